//! Weights, gradients and optimizer states that a device holds.

use llmplan_spec::plan::{MainGradients, Offload, Optimizer, Training};

use super::division::{Division, divisions};
use super::optimizer::of_tensor;
use super::{Content, Layout, Strategy, Workload};
use crate::graph::{Block, Kind, Operator, Part, Tensor};
use crate::lora::{adapted, adapter, millibits};

/// The weights of one block on one device, before ZeRO divides them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockStates {
    /// Of everything but the routed experts.
    pub dense: Share,
    /// Of the routed experts, which fewer devices have the same part of.
    pub expert: Share,
    /// Values of the trained tensor that has most of them.
    pub largest: u64,
}

/// Weights on a device with what belongs to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Bytes of the weights as the passes read them.
    pub weights: u64,
    /// Values that are trained.
    pub trained: u64,
    /// Values that the optimizer keeps, of both moments.
    pub moments: u64,
    /// Blocks of the moments that have a scale, of an 8-bit optimizer.
    pub scales: u64,
}

impl Share {
    fn add(&mut self, other: Share, count: u64) {
        let sum = |one: u64, other: u64| one.saturating_add(other.saturating_mul(count));
        self.weights = sum(self.weights, other.weights);
        self.trained = sum(self.trained, other.trained);
        self.moments = sum(self.moments, other.moments);
        self.scales = sum(self.scales, other.scales);
    }
}

/// Bytes of a stage on one of its devices, whatever the instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// Weights that it holds all the time.
    pub weights: u64,
    /// Gradients, once the first micro-batch is through.
    pub gradients: u64,
    /// Optimizer states, master weights, and gradients in fp32 beside the others.
    pub optimizer: u64,
    /// Weights of other devices that are gathered while a block runs.
    pub gathered: u64,
    /// Gradients of a block before they are divided, or added to those in another type.
    pub reducing: u64,
    /// What the optimizer computes with: the largest tensor in fp32.
    pub update: u64,
    /// What the host holds for the device.
    pub host: u64,
}

/// The states of a block under a layout; `None` beyond 64 bits.
pub fn block_states(workload: &Workload<'_>, layout: &Layout, block: &Block) -> Option<BlockStates> {
    let training = workload.training;
    let mut found = BlockStates::default();
    for (operator, division) in block.operators.iter().zip(divisions(block)) {
        let experts = matches!(operator.kind, Kind::ExpertMatMul { .. });
        let share = if experts { &mut found.expert } else { &mut found.dense };
        let copies = |tensor: &Tensor| match experts {
            true => tensor.copies.div_ceil(layout.expert.max(1)),
            false => tensor.copies,
        };
        for tensor in &operator.weights {
            let parts = division.parts(operator, tensor, layout);
            let bits = u128::from(millibits(training, block, operator, tensor));
            let all = tensor.each().div_ceil(u128::from(parts)).checked_mul(u128::from(copies(tensor)))?;
            let bytes = all.checked_mul(bits)?.div_ceil(8_000);
            share.add(Share { weights: u64::try_from(bytes).ok()?, ..Share::default() }, 1);
            if tensor.trained && training.lora.is_none() {
                let own = trained(training, operator, tensor, parts)?;
                share.add(own, copies(tensor));
                found.largest = found.largest.max(own.trained);
            }
        }
        let adapters = training.lora.filter(|lora| adapted(operator, lora.targets));
        let matrix = operator.weights.iter().find(|tensor| tensor.rows > 1);
        if let (Some(lora), Some(matrix)) = (adapters, matrix) {
            for (tensor, parts) in beside(operator, division, matrix, lora.rank, layout) {
                let mut own = trained(training, operator, &tensor, parts)?;
                own.weights = own.trained.checked_mul(training.precision.bytes())?;
                share.add(own, copies(&tensor));
                found.largest = found.largest.max(own.trained);
            }
        }
    }
    Some(found)
}

/// What is trained of one copy of a tensor that is divided into parts.
fn trained(training: &Training, operator: &Operator, tensor: &Tensor, parts: u64) -> Option<Share> {
    let fit = |values: u128| u64::try_from(values.div_ceil(u128::from(parts.max(1)))).ok();
    let moments = of_tensor(training.optimizer, operator, tensor)?.total()?;
    let values = fit(tensor.each())?;
    let scales = match training.optimizer {
        Optimizer::Adam8bit => values.div_ceil(training.optimizer_block.max(1)).checked_mul(2)?,
        _ => 0,
    };
    Some(Share { weights: 0, trained: values, moments: fit(moments)?, scales })
}

/// The two matrices of an adapter, each with the parts it is divided into: one of them as the matrix it is beside.
fn beside(
    operator: &Operator,
    division: Division,
    matrix: &Tensor,
    rank: u64,
    layout: &Layout,
) -> [(Tensor, u64); 2] {
    let parts = division.parts(operator, matrix, layout);
    let [down, up] = adapter(matrix, rank);
    if division.by_rows() { [(down, parts), (up, 1)] } else { [(down, 1), (up, parts)] }
}

/// The table of the embedding on a device, which a tied output on another one has a copy of; `None` beyond 64 bits.
pub(super) fn table(workload: &Workload<'_>, layout: &Layout) -> Option<Share> {
    let mut found = Share::default();
    for block in workload.graph.blocks.iter().filter(|block| block.part == Part::Embedding) {
        let table = block.operators.iter().filter(|own| matches!(own.kind, Kind::Gather { .. }));
        let only = Block { operators: table.cloned().collect(), ..block.clone() };
        found = block_states(workload, layout, &only)?.dense;
    }
    Some(found)
}

/// Whether a block reads the table of the embedding without having it: a tied head, or a further prediction.
pub(super) fn reads_embedding(block: &Block) -> bool {
    block.part != Part::Embedding
        && block.operators.iter().any(|operator| match operator.kind {
            Kind::Gather { .. } => operator.weights.is_empty(),
            Kind::Logits { .. } => {
                block.part == Part::Head && !operator.weights.iter().any(|tensor| tensor.rows > 1)
            }
            _ => false,
        })
}

/// What a stage holds, of the blocks that it has; `shared` is a second copy of the embedding, where it has one.
pub fn states(
    blocks: &[BlockStates],
    workload: &Workload<'_>,
    strategy: &Strategy,
    content: &Content,
    shared: Option<Share>,
) -> States {
    let training = workload.training;
    let (mut dense, mut expert) = (Share::default(), Share::default());
    // The block that is the most to gather, and the largest tensor.
    let (mut unit, mut largest) = (BlockStates::default(), 0);
    for piece in &content.pieces {
        let Some(own) = blocks.get(piece.block) else { continue };
        dense.add(own.dense, piece.count);
        expert.add(own.expert, piece.count);
        largest = own.largest.max(largest);
        let size = |states: &BlockStates| states.dense.weights.saturating_add(states.expert.weights);
        if size(own) > size(&unit) {
            unit = *own;
        }
    }
    if let Some(shared) = shared {
        dense.add(shared, 1);
        largest = largest.max(shared.trained);
    }
    let Bytes { weights, gradients, optimizer } = bytes(training, strategy, &dense, strategy.shard);
    let other = bytes(training, strategy, &expert, strategy.expert_shard());
    let (weights, gradients) = (weights.plus(other.weights), gradients.plus(other.gradients));
    let optimizer = optimizer.plus(other.optimizer);
    let mut found = States {
        weights: weights.held,
        gradients: gradients.held,
        optimizer: optimizer.held,
        ..States::default()
    };
    if strategy.offload != Offload::None {
        found.host = found.optimizer;
        found.optimizer = 0;
    }
    let one = unit.dense.weights.saturating_add(unit.expert.weights);
    let ahead = one.saturating_mul(strategy.prefetch.saturating_add(1));
    found.gathered = ahead.min(weights.whole.saturating_sub(weights.held));
    if strategy.offload == Offload::Parameters {
        found.host = found.host.saturating_add(found.weights);
        found.weights = 0;
        found.gathered = ahead.min(weights.whole);
    }
    let trained = unit.dense.trained.saturating_add(unit.expert.trained);
    let (own, reduced) = (training.precision.bytes(), training.gradients.bytes());
    let whole = trained.saturating_mul(reduced);
    found.reducing = whole.min(gradients.whole.saturating_sub(gradients.held));
    // Gradients come out as the passes compute, and are added to those that are kept in another type.
    if own != reduced {
        found.reducing = found.reducing.saturating_add(trained.saturating_mul(own));
    }
    let divided = if strategy.zero > 0 { strategy.shard.max(1) } else { 1 };
    if strategy.offload == Offload::None {
        found.update = largest.saturating_mul(4).div_ceil(divided);
    }
    found
}

/// Bytes that all devices of a group have together, and one of them holds.
#[derive(Clone, Copy, Debug)]
struct Divided {
    whole: u64,
    held: u64,
}

impl Divided {
    fn new(whole: u64, parts: u64) -> Divided {
        Divided { whole, held: whole.div_ceil(parts.max(1)) }
    }

    fn plus(self, other: Divided) -> Divided {
        Divided { whole: self.whole.saturating_add(other.whole), held: self.held.saturating_add(other.held) }
    }
}

struct Bytes {
    weights: Divided,
    gradients: Divided,
    optimizer: Divided,
}

/// Bytes of a share that ZeRO divides over `shard` devices, by its stage (Rajbhandari 2020 §5).
fn bytes(training: &Training, strategy: &Strategy, share: &Share, shard: u64) -> Bytes {
    let divided =
        |whole: u64, stage: u64| Divided::new(whole, if strategy.zero >= stage { shard } else { 1 });
    let state = match training.optimizer {
        Optimizer::Adam8bit => 1,
        _ => training.optimizer_states.bytes(),
    };
    // An update in the host's memory is made in fp32 whatever the passes compute in (Ren 2021 §3).
    let master = if training.master_weights || strategy.offload != Offload::None { 4 } else { 0 };
    let moments = share.moments.saturating_mul(state).saturating_add(share.scales.saturating_mul(4));
    let main = share.trained.saturating_mul(4);
    let mut states = moments.saturating_add(share.trained.saturating_mul(master));
    if training.main_gradients == MainGradients::Sharded {
        states = states.saturating_add(main);
    }
    let mut optimizer = divided(states, 1);
    if training.main_gradients == MainGradients::Whole {
        optimizer = optimizer.plus(Divided::new(main, 1));
    }
    Bytes {
        weights: divided(share.weights, 3),
        gradients: divided(share.trained.saturating_mul(training.gradients.bytes()), 2),
        optimizer,
    }
}
