//! The seconds of one operator for one micro-batch on one device: forward, backward for its inputs, and for its weights.

use llmplan_spec::plan::{AttentionKernel, MatmulType, Training};

use super::pointwise;
use super::product::{Product, traffic};
use super::shares::Share;
use super::{Layout, System, Workload};
use crate::folds::pairs;
use crate::graph::{Block, Component, Kind, Operator};
use crate::lora::{adapted, few_bits};

/// What an operator costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Seconds forward.
    pub forward: f64,
    /// Seconds of the gradients of its inputs.
    pub inputs: f64,
    /// Seconds of the gradients of its weights.
    pub weights: f64,
    /// FLOPs of its products forward.
    pub forward_flops: f64,
    /// The same backward.
    pub backward_flops: f64,
    /// Kernels.
    pub kernels: Kernels,
}

/// How many kernels something is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kernels {
    /// Forward.
    pub forward: f64,
    /// Backward.
    pub backward: f64,
}

/// Where an operator runs.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) workload: &'a Workload<'a>,
    pub(super) system: &'a System,
    pub(super) layout: &'a Layout,
    pub(super) block: &'a Block,
}

impl Place<'_> {
    pub(super) fn training(&self) -> &Training {
        self.workload.training
    }

    /// Bytes of an activation.
    pub(super) fn bytes(&self) -> f64 {
        self.training().precision.bytes() as f64
    }

    /// Bytes of a factor of the layers' products.
    fn factor(&self) -> f64 {
        match self.training().matmul {
            MatmulType::Fp4 => 0.5,
            MatmulType::Fp8 => 1.0,
            MatmulType::Fp32 | MatmulType::Tf32 | MatmulType::Fp16 | MatmulType::Bf16 => self.bytes(),
        }
    }

    /// Values per token of all inputs, and of the output.
    pub(super) fn widths(&self, operator: &Operator) -> (f64, f64) {
        let width = |place: usize| self.block.widths.get(place).copied().unwrap_or(0) as f64;
        (operator.inputs.iter().map(|value| width(value.0)).sum(), width(operator.output.0))
    }
}

/// Pairs per query at which a fused kernel of attention reaches half of what it does over long texts. Assumed.
const KEYS: f64 = 256.0;

/// What a fused kernel of attention reaches with heads of so many values, over that with heads of 128: 64 reach two thirds,
/// 256 a tenth more (Shah 2024 figure 5).
fn narrow(width: f64) -> f64 {
    (2.0 * width / (width + 128.0)).min(1.1)
}

/// What an operator costs. `joined` is the outer dimension on the device of all projections that read what it reads: they
/// run as one product. `None` where pairs of tokens go beyond 128 bits.
pub(super) fn cost(place: &Place<'_>, operator: &Operator, share: &Share, joined: f64) -> Option<Cost> {
    let tensor = place.layout.tensor as f64;
    let rows = share.rows;
    Some(match operator.kind {
        Kind::MatMul { inner, outer } => {
            let columns = outer as f64 / share.outer;
            let dims = (rows, joined, inner as f64 / share.inner);
            let own = matrix(place, operator, (1.0, dims), (place.system.layers, place.factor()));
            // Norms and activations write what the next product reads; attention and gradients do not.
            let apart = if operator.component == Component::AttentionOutput {
                inner as f64 / share.inner
            } else {
                0.0
            };
            let cast = cast(place, rows * apart, rows * columns);
            own.times(columns / joined.max(1.0)).plus(cast).plus(biased(place, operator, rows * columns))
        }
        Kind::HeadMatMul { heads, inner, outer, .. } => {
            let heads = (heads as f64 / share.outer).max(1.0);
            let dims = (rows, outer as f64, inner as f64);
            matrix(place, operator, (heads, dims), (place.system.layers, place.factor()))
        }
        Kind::Logits { inner, outer } => {
            let dims = (rows, outer as f64 / share.outer, inner as f64);
            matrix(place, operator, (1.0, dims), (place.system.others, place.bytes()))
        }
        Kind::Route { inner, experts, active } => {
            let dims = (rows, experts as f64, inner as f64);
            let own = matrix(place, operator, (1.0, dims), (place.system.others, place.bytes()));
            // Tokens are copied for each of their experts, and, once received, sorted by expert.
            let sorted = if place.layout.expert > 1 { 2.0 } else { 1.0 };
            let copied = pointwise::copies(place, sorted * rows * active as f64 * inner as f64);
            own.plus(copied).launched(ROUTING)
        }
        Kind::ExpertMatMul { experts, active, inner, outer, .. } => {
            let own = place.layout;
            let held = (experts as f64 / own.expert as f64).max(1.0);
            // Of tokens that spread evenly, those of one expert: from all devices that share the experts.
            let tokens = rows * active as f64 * own.expert_tensor as f64 / held;
            let depth = inner as f64 / share.inner;
            let part = outer as f64 / share.outer / joined.max(1.0);
            let dims = (tokens, joined, depth);
            let own = matrix(place, operator, (held, dims), (place.system.layers, place.factor()));
            // Each expert's product is a kernel of its own.
            let cast = cast(place, held * tokens * depth, held * tokens * joined);
            own.plus(cast).launched(held).times(part)
        }
        Kind::Scores { heads, head_dim, reach, relative, .. } => {
            let met = pairs(reach, place.workload.executed())? as f64;
            let products = 1.0 + f64::from(u8::from(relative));
            let met = Met::of(place, heads as f64 / tensor, met);
            attention(place, met, head_dim as f64 * products, true)
        }
        Kind::WeightedSum { heads, head_dim, reach, .. } => {
            let met = pairs(reach, place.workload.executed())? as f64;
            attention(place, Met::of(place, heads as f64 / tensor, met), head_dim as f64, false)
        }
        Kind::Softmax { heads } => match place.training().attention {
            AttentionKernel::Flash => Cost::default(),
            AttentionKernel::Plain => {
                let met = place.workload.tokens as f64 * place.workload.tokens as f64;
                let met = Met::of(place, heads as f64 / tensor, met);
                pointwise::softmax(place, met.heads * met.pairs)
            }
        },
        Kind::StateSpace { heads, head_dim, state, .. } => {
            recurrence(place, operator, share, 4.0 * heads as f64 * head_dim as f64 * state as f64)
        }
        Kind::DeltaRule { value_heads, key_dim, value_dim, .. } => {
            recurrence(place, operator, share, 6.0 * value_heads as f64 * key_dim as f64 * value_dim as f64)
        }
        _ => pointwise::cost(place, operator, share),
    })
}

/// Values that are written in the data type of products before they are multiplied, by rows for one product and by
/// columns for the other: inputs forward, and gradients of outputs backward (Micikevicius 2022 §3).
fn cast(place: &Place<'_>, inputs: f64, gradients: f64) -> Cost {
    let (bytes, factor) = (place.bytes(), place.factor());
    if factor >= bytes {
        return Cost::default();
    }
    let each = (bytes + 2.0 * factor) / place.system.memory;
    Cost { forward: inputs * each, inputs: gradients * each, ..Cost::default() }
}

/// Kernels that route tokens: the scores' softmax, the choice, counts, places and copies. As Megatron-LM runs them.
const ROUTING: f64 = 12.0;

impl Cost {
    /// The same in so many kernels more.
    fn launched(self, more: f64) -> Cost {
        let Kernels { forward, backward } = self.kernels;
        Cost { kernels: Kernels { forward: forward + more, backward: backward + more }, ..self }
    }

    fn times(self, part: f64) -> Cost {
        Cost {
            forward: self.forward * part,
            inputs: self.inputs * part,
            weights: self.weights * part,
            forward_flops: self.forward_flops * part,
            backward_flops: self.backward_flops * part,
            kernels: Kernels { forward: self.kernels.forward * part, backward: self.kernels.backward * part },
        }
    }

    pub(super) fn plus(self, other: Cost) -> Cost {
        Cost {
            forward: self.forward + other.forward,
            inputs: self.inputs + other.inputs,
            weights: self.weights + other.weights,
            forward_flops: self.forward_flops + other.forward_flops,
            backward_flops: self.backward_flops + other.backward_flops,
            kernels: Kernels {
                forward: self.kernels.forward + other.kernels.forward,
                backward: self.kernels.backward + other.kernels.backward,
            },
        }
    }
}

/// A matrix of m×k activations and k×n weights: forward, its input's gradient m×n by n×k, and its weights' k×m by m×n,
/// which is added to what is there. A frozen one has none, and adapters in place of it where it is a target.
fn matrix(
    place: &Place<'_>,
    operator: &Operator,
    (copies, (m, n, k)): (f64, (f64, f64, f64)),
    (reach, factor): (f64, f64),
) -> Cost {
    let (system, bytes) = (place.system, place.bytes());
    let product = |dims: (f64, f64, f64), result: f64| {
        let (rows, columns, depth) = dims;
        Product { copies, rows, columns, depth, reach, bytes: copies * traffic(dims, factor, result) }
    };
    let forward = product((m, n, k), bytes);
    let inputs = product((m, k, n), bytes);
    let gradients = place.training().gradients.bytes() as f64;
    let weights = product((k, n, m), 2.0 * gradients);
    let mut cost = Cost {
        forward: system.product(&forward),
        inputs: system.product(&inputs),
        weights: 0.0,
        forward_flops: forward.flops(),
        backward_flops: inputs.flops(),
        kernels: Kernels { forward: 1.0, backward: 1.0 },
    };
    match place.training().lora {
        None => {
            cost.kernels.backward += 1.0;
            cost.weights = system.product(&weights);
            cost.backward_flops += weights.flops();
        }
        Some(lora) if adapted(operator, lora.targets) => {
            cost.kernels = Kernels { forward: 3.0, backward: 5.0 };
            let rank = lora.rank as f64;
            for dims in [(m, rank, k), (m, n, rank)] {
                let (m, n, k) = dims;
                let flops = product(dims, bytes).flops();
                cost.forward += system.product(&product(dims, bytes));
                cost.inputs += system.product(&product((m, k, n), bytes));
                cost.weights += system.product(&product((k, n, m), 2.0 * gradients));
                cost.forward_flops += flops;
                cost.backward_flops += 2.0 * flops;
            }
        }
        Some(_) => {}
    }
    if let Some(bits) = few_bits(place.training(), place.block, operator) {
        // Written in those of the passes before each use.
        let stored = bits as f64 / 8_000.0;
        let moved = system.moves(copies * k * n * (stored + bytes));
        cost.forward += moved;
        cost.inputs += moved;
    }
    cost
}

/// A bias that is added by a kernel of its own.
fn biased(place: &Place<'_>, operator: &Operator, values: f64) -> Cost {
    let bias = operator.weights.iter().any(|tensor| tensor.name == "bias");
    if bias && place.training().pointwise == llmplan_spec::plan::Pointwise::Unfused {
        let moved = place.system.moves(2.0 * values * place.bytes());
        let kernels = Kernels { forward: 1.0, backward: 1.0 };
        return Cost { forward: moved, weights: moved / 2.0, kernels, ..Cost::default() };
    }
    Cost::default()
}

/// What attention of one device meets for one micro-batch.
#[derive(Clone, Copy)]
struct Met {
    /// Sequences times heads.
    heads: f64,
    /// Queries of one head.
    queries: f64,
    /// Pairs of one head.
    pairs: f64,
}

impl Met {
    /// Parts of a sequence meet as many pairs each: those of its start with those of its end.
    fn of(place: &Place<'_>, heads: f64, pairs: f64) -> Met {
        let context = place.layout.context as f64;
        let heads = heads.max(1.0) * place.layout.micro_batch as f64;
        Met { heads, queries: place.workload.tokens as f64 / context, pairs: pairs / context }
    }
}

/// One of attention's two products, of `width` multiply-adds for each pair: of scores, or of the weighted sum.
///
/// In one kernel, the backward pass computes scores again: three products for them, two for the sum (Dao 2022, algorithm
/// 4). One after another, each has two, and scores pass through memory.
fn attention(place: &Place<'_>, met: Met, width: f64, scores: bool) -> Cost {
    let system = place.system;
    let flops = 2.0 * met.heads * met.pairs * width;
    let keys = met.pairs / met.queries;
    match place.training().attention {
        AttentionKernel::Flash => {
            let fills = keys / (keys + KEYS) * narrow(width);
            let products = if scores { 3.0 } else { 2.0 };
            let own = if scores { 1.0 } else { 0.0 };
            // Queries and keys, or values and output, once.
            let moved = 2.0 * met.heads * met.queries * width * place.bytes() / system.memory;
            let forward = (flops / (system.attention_forward * fills)).max(moved);
            let inputs = (products * flops / (system.attention_backward * fills)).max(2.0 * moved);
            Cost {
                forward,
                inputs,
                weights: 0.0,
                forward_flops: flops,
                backward_flops: products * flops,
                kernels: Kernels { forward: own, backward: own },
            }
        }
        AttentionKernel::Plain => {
            let bytes = place.bytes();
            let product = |rows: f64, columns: f64, depth: f64| {
                let bytes = met.heads * traffic((rows, columns, depth), bytes, bytes);
                system.product(&Product {
                    copies: met.heads,
                    rows,
                    columns,
                    depth,
                    reach: system.others,
                    bytes,
                })
            };
            let queries = met.queries;
            let (wide, narrow) = (product(queries, keys, width), product(queries, width, keys));
            let (forward, inputs) = if scores { (wide, 2.0 * narrow) } else { (narrow, wide + narrow) };
            let kernels = Kernels { forward: 1.0, backward: 2.0 };
            Cost { forward, inputs, weights: 0.0, forward_flops: flops, backward_flops: 2.0 * flops, kernels }
        }
    }
}

/// A recurrence in chunks: its products at the pace of attention's kernel, or its values through memory. Backward it
/// runs again before its gradients.
fn recurrence(place: &Place<'_>, operator: &Operator, share: &Share, each: f64) -> Cost {
    let system = place.system;
    let flops = each * share.rows / share.outer;
    let (inputs, output) = place.widths(operator);
    let moved = (inputs + output) * share.rows / share.outer * place.bytes() / system.memory;
    Cost {
        forward: (flops / system.attention_forward).max(moved),
        inputs: (3.0 * flops / system.attention_backward).max(2.0 * moved),
        weights: 0.0,
        forward_flops: flops,
        backward_flops: 2.0 * flops,
        kernels: Kernels { forward: 1.0, backward: 2.0 },
    }
}
