//! Adapters of low rank beside frozen weights: which matrices have them, their shapes, and how the frozen ones are stored.

use llmplan_spec::plan::{Lora, LoraBase, LoraTargets, Training};

use crate::folds;
use crate::graph::{Block, Graph, Kind, Operator, Part, Tensor};
use crate::quantities::Quantities;

const HU: &str = "Hu 2021 §4.1";

/// Why a backward pass has one product for each frozen matrix. It is taken to run through all layers, though nothing needs
/// the gradient of what is before the first adapter.
pub(crate) const FROZEN: &str =
    "no gradients of frozen weights, those of inputs through all layers: Hu 2021 §4.2";

/// Parameters of the adapters, and of what is stored in few bits beside them; FLOPs are in [`flops`].
pub(crate) fn parameters(q: &mut Quantities<'_>, graph: &Graph) {
    let plan = q.plan;
    let Some(training) = &plan.training else { return };
    let Some(lora) = training.lora else { return };
    let count = folds::params(&adapters(graph, lora)).and_then(|counts| counts.total());
    let name = "over all matrices d_in × d_out that have adapters, r · (d_in + d_out)";
    let inputs = ["training.lora.rank", "training.lora.targets", "model.params"];
    q.procedure("model.params.adapters", count, name, &inputs, HU);
    if base_millibits(lora.base).is_some() {
        let name = "over all linear layers but embeddings, routers and output, d_in · d_out";
        let inputs = ["training.lora.base", "model.params"];
        q.procedure("model.params.quantized", quantized(graph, training), name, &inputs, "Dettmers 2023 §3");
    }
}

/// FLOPs of the adapters, forward and backward over a sequence: they are trained, and cost 6 each that a token passes.
pub(crate) fn flops(q: &mut Quantities<'_>, graph: &Graph, tokens: u64) {
    let Some(lora) = q.plan.training.as_ref().and_then(|training| training.lora) else { return };
    let passed = passed(graph, lora).and_then(|each| each.checked_mul(6)?.checked_mul(u128::from(tokens)));
    let name = "over all matrices d_in × d_out with adapters that a token passes, 6 · T · r · (d_in + d_out)";
    let inputs = ["flops.sequence", "model.params.adapters"];
    q.procedure("flops.adapters", passed, name, &inputs, HU);
}

/// A model whose only weights are the adapters' beside it.
pub(crate) fn adapters(graph: &Graph, lora: Lora) -> Graph {
    let mut own = graph.clone();
    for operator in own.blocks.iter_mut().flat_map(|block| &mut block.operators) {
        let matrix = operator.weights.iter().find(|tensor| tensor.rows > 1).copied();
        let found = matrix.filter(|_| adapted(operator, lora.targets));
        operator.weights = found.map_or_else(Vec::new, |matrix| adapter(&matrix, lora.rank).to_vec());
    }
    own
}

/// Values of the adapters that one token passes, of experts those that it is routed to; `None` beyond 128 bits.
fn passed(graph: &Graph, lora: Lora) -> Option<u128> {
    let mut total = 0_u128;
    for block in &adapters(graph, lora).blocks {
        for operator in &block.operators {
            for tensor in &operator.weights {
                let copies = match operator.kind {
                    Kind::ExpertMatMul { active, .. } => active,
                    _ => tensor.copies,
                };
                let each = tensor.each().checked_mul(u128::from(copies))?;
                total = total.checked_add(each.checked_mul(u128::from(block.count))?)?;
            }
        }
    }
    Some(total)
}

/// Values of the matrices that are stored in few bits; `None` beyond 128 bits.
fn quantized(graph: &Graph, training: &Training) -> Option<u128> {
    let mut total = 0_u128;
    for block in &graph.blocks {
        for operator in block.operators.iter().filter(|own| few_bits(training, block, own).is_some()) {
            for tensor in operator.weights.iter().filter(|tensor| tensor.rows > 1) {
                total = total.checked_add(tensor.elements()?.checked_mul(u128::from(block.count))?)?;
            }
        }
    }
    Some(total)
}

/// Whether an operator has an adapter.
pub(crate) fn adapted(operator: &Operator, targets: LoraTargets) -> bool {
    if !matches!(operator.kind, Kind::MatMul { .. } | Kind::ExpertMatMul { .. }) {
        return false;
    }
    let name = operator.name;
    let attention = name.starts_with("attention.") && name != "attention.relative";
    match targets {
        LoraTargets::Qv => {
            matches!(name, "attention.q" | "attention.q_up" | "attention.v" | "attention.v_up")
        }
        LoraTargets::Attention => attention,
        LoraTargets::All => attention || name.starts_with("ffn.") || name.starts_with("moe."),
    }
}

/// The two matrices of an adapter beside a matrix of d_in × d_out: d_in × r and r × d_out (Hu 2021 §4.1).
pub(crate) fn adapter(matrix: &Tensor, rank: u64) -> [Tensor; 2] {
    let down = Tensor { name: "down", columns: rank, ..*matrix };
    let up = Tensor { name: "up", rows: rank, ..*matrix };
    [down, up]
}

/// Thousandths of a bit for each value of a tensor as it is stored.
pub(crate) fn millibits(training: &Training, block: &Block, operator: &Operator, tensor: &Tensor) -> u64 {
    let few = few_bits(training, block, operator).filter(|_| tensor.rows > 1);
    few.unwrap_or(training.precision.bytes().saturating_mul(8_000))
}

/// Thousandths of a bit for each value of the matrix of an operator, where that is one of those that are stored in fewer
/// bits than the passes compute with: linear layers, of layers and of modules of multi-token prediction.
pub(crate) fn few_bits(training: &Training, block: &Block, operator: &Operator) -> Option<u64> {
    let linear =
        matches!(operator.kind, Kind::MatMul { .. } | Kind::HeadMatMul { .. } | Kind::ExpertMatMul { .. });
    let inner = linear && matches!(block.part, Part::Layer | Part::Mtp);
    base_millibits(training.lora?.base).filter(|_| inner)
}

/// Thousandths of a bit for each frozen value; `None` where it is stored as the passes compute.
pub(crate) fn base_millibits(base: LoraBase) -> Option<u64> {
    match base {
        LoraBase::Same => None,
        LoraBase::Int8 => Some(8_000),
        // 4 bits, an 8-bit scale for each 64 values, and one in fp32 for each 256 of these (Dettmers 2023 §3).
        LoraBase::Nf4 => Some(4_127),
    }
}
