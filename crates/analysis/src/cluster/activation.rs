//! Bytes of activations that one block holds of one micro-batch on one device.

use std::collections::BTreeMap;

use llmplan_spec::plan::{
    ActivationInputs, AttentionKernel, ContextKind, LogitsKernel, MatmulType, Training,
};

use super::division::{self, Split};
use super::{Layout, Workload};
use crate::graph::{Block, Kind, Operator, Value};
use crate::saved::{INPUT, Policy, Rerun, Shape, Store, Tag, needs, policy_saves, producer, value_bytes};

/// Something that a block keeps of a micro-batch for its backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// What it is.
    pub tag: Tag,
    /// Whether it is a mean or a deviation of a norm, which papers leave out.
    pub statistic: bool,
    /// Bytes over all devices that share the layer.
    pub bytes: u128,
    /// How these devices divide it.
    pub split: Split,
}

/// Bytes of one block and one micro-batch on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activations {
    /// Kept from the forward pass to the backward pass, `checkpoint` included, logits not.
    pub kept: u64,
    /// Of `kept`, the input of a block that recomputes: what may be kept by the host.
    pub checkpoint: u64,
    /// What its backward pass computes again and holds while it runs.
    pub again: u64,
    /// Gradients of values while its backward pass runs: those of the widest operator, and of the stream.
    pub gradients: u64,
    /// Keys and values of other devices, held while attention runs.
    pub exchange: u64,
    /// What the loss keeps of the logits until its backward pass.
    pub loss: u64,
    /// What computing the loss and its gradient holds in all, `loss` included.
    pub logits: u64,
}

/// The activations of a block under a layout; `None` beyond 64 bits.
pub fn activations(
    workload: &Workload<'_>,
    layout: &Layout,
    block: &Block,
    recomputed: bool,
) -> Option<Activations> {
    let training = workload.training;
    let shape =
        Shape { sequences: layout.micro_batch, tokens: workload.tokens, bytes: training.precision.bytes() };
    let rerun = Rerun::of(block, layout.checkpointing, training.recompute, recomputed);
    let sum = |terms: &[Term]| {
        terms.iter().try_fold(0_u128, |sum, term| sum.checked_add(term.split.values(term.bytes, layout)))
    };
    let kept = sum(&terms(block, training, shape, rerun)?)?;
    let all = match rerun.any() {
        true => sum(&terms(block, training, shape, Rerun::default())?)?,
        false => kept,
    };
    let checkpoint = match rerun.whole {
        true => Split::Stream.values(value_bytes(block, Value(0), shape)?, layout),
        false => 0,
    };
    let (loss, logits) = losses(block, training, shape, layout)?;
    let fit = |bytes: u128| u64::try_from(bytes).ok();
    Some(Activations {
        kept: fit(kept)?,
        checkpoint: fit(checkpoint)?,
        again: fit(all.saturating_sub(kept))?,
        gradients: fit(gradients(block, training, shape, layout)?)?,
        exchange: fit(exchange(block, shape, layout)?)?,
        loss: fit(loss)?,
        logits: fit(logits)?,
    })
}

/// What a block keeps of a micro-batch, each tensor once; logits and loss are not among it. `None` beyond 128 bits.
pub fn terms(block: &Block, training: &Training, shape: Shape, rerun: Rerun) -> Option<Vec<Term>> {
    let policy = Policy::of(training, shape.tokens);
    let splits = division::splits(block);
    let (values, extras) = needs(block, policy, rerun);
    let products = matches!(training.matmul, MatmulType::Fp8 | MatmulType::Fp4);
    let narrow = narrow(block, policy, (products, training.activation_inputs == ActivationInputs::Fp8));
    let mut found = Vec::with_capacity(values.len() + extras.len());
    for value in values.into_iter().map(Value) {
        let by = producer(block, value);
        if by.is_some_and(|by| matches!(by.kind, Kind::Logits { .. })) {
            continue;
        }
        let width = block.widths.get(value.0).copied().unwrap_or(0);
        let bytes = match narrow.get(&value.0) {
            Some(true) => shape.stored(width, Store::Byte)?,
            _ => value_bytes(block, value, shape)?,
        };
        let tag = Tag { operator: by.map_or(INPUT, |by| by.name), what: "output" };
        let split = splits.get(value.0).copied().unwrap_or(Split::Stream);
        found.push(Term { tag, statistic: false, bytes, split });
    }
    for (operator, extra) in extras {
        if matches!(operator.kind, Kind::Loss { .. }) {
            continue;
        }
        let store = if extra.name == "rows" && products { Store::Byte } else { extra.store };
        let split = division::split_of_extra(operator, &splits, extra.name);
        found.push(Term {
            tag: Tag { operator: operator.name, what: extra.name },
            statistic: matches!(extra.name, "mean" | "deviation"),
            bytes: shape.stored(extra.width, store)?,
            split,
        });
    }
    Some(found)
}

/// The values that are kept, and whether nothing reads them but what takes a byte: products of linear layers, and
/// non-linearities, where either does.
fn narrow(block: &Block, policy: Policy, (products, activations): (bool, bool)) -> BTreeMap<usize, bool> {
    let mut found = BTreeMap::new();
    for operator in &block.operators {
        let own = policy_saves(block, operator, policy);
        let linear = products && matches!(operator.kind, Kind::MatMul { .. } | Kind::ExpertMatMul { .. });
        let activation = activations && matches!(operator.kind, Kind::Activation { .. });
        for place in &own.inputs {
            // The second input of an expert is its routes.
            let alone = (linear && *place == 0) || activation;
            if let Some(value) = operator.inputs.get(*place) {
                found.entry(value.0).and_modify(|only| *only &= alone).or_insert(alone);
            }
        }
        if own.output {
            found.insert(operator.output.0, false);
        }
    }
    found
}

/// The gradients of the operator that has most of them, of what it writes and of what it reads, and that of the stream
/// which passes it by. Under sequence parallelism a product has the tokens of all devices: it gathers what it reads once
/// more, and its gradient is whole until it is divided again (Korthikanti 2022 §4.2.2).
fn gradients(block: &Block, training: &Training, shape: Shape, layout: &Layout) -> Option<u128> {
    let splits = division::splits(block);
    let apart = Layout { sequence_parallel: false, ..*layout };
    let share = |value: &Value, layout: &Layout| {
        let pairs = producer(block, *value)
            .is_some_and(|by| matches!(by.kind, Kind::Scores { .. } | Kind::Softmax { .. }));
        let bytes = match pairs && training.attention == AttentionKernel::Flash {
            true => 0,
            false => value_bytes(block, *value, shape)?,
        };
        let split = splits.get(value.0).copied().unwrap_or(Split::Stream);
        Some(split.values(bytes, layout))
    };
    let mut most = 0;
    for operator in block.operators.iter().filter(|operator| !of_loss(operator)) {
        let product = matches!(operator.kind, Kind::MatMul { .. });
        let mut own = 0_u128;
        for value in operator.inputs.iter().chain([&operator.output]) {
            own = own.checked_add(share(value, if product { &apart } else { layout })?)?;
        }
        let read = operator.inputs.first().filter(|_| product);
        if let Some(read) = read.filter(|read| splits.get(read.0) == Some(&Split::Stream)) {
            own = own.checked_add(share(read, &apart)?.saturating_sub(share(read, layout)?))?;
        }
        most = own.max(most);
    }
    most.checked_add(share(&block.output, layout)?)
}

/// Keys and values of the other devices that share a sequence: one block more on a ring (Liu 2023 §3), all of them where
/// they are gathered (Llama 3 §3.3.2), none where tokens are exchanged for heads (Jacobs 2023 §3).
fn exchange(block: &Block, shape: Shape, layout: &Layout) -> Option<u128> {
    let others = match layout.context_kind {
        _ if layout.context <= 1 => return Some(0),
        ContextKind::Ring => 1,
        ContextKind::AllGather => layout.context.saturating_sub(1),
        ContextKind::Ulysses => return Some(0),
    };
    let splits = division::splits(block);
    let mut own = 0_u128;
    for operator in &block.operators {
        // Keys and values are the second input of their products.
        if let (Kind::Scores { .. } | Kind::WeightedSum { .. }, Some(value)) =
            (operator.kind, operator.inputs.get(1))
        {
            let split = splits.get(value.0).copied().unwrap_or(Split::Stream);
            own = own.checked_add(split.values(value_bytes(block, *value, shape)?, layout))?;
        }
    }
    own.checked_mul(u128::from(others))
}

/// What the loss keeps of the logits, and what computing it and its gradient holds in all.
///
/// Kept: the logits and, in fp32, their logarithmic softmax, its gradient and theirs, each a tensor of its own; the first
/// two stay until the backward pass. Fused: softmax and gradient take the place of the logits. Chunked: as many tokens at a time as make the logits of a chunk no larger than
/// what they are computed from, with gradients at once (Hsu 2024 §3.2).
fn losses(block: &Block, training: &Training, shape: Shape, layout: &Layout) -> Option<(u128, u128)> {
    let (mut kept, mut most) = (0_u128, 0_u128);
    for operator in &block.operators {
        let Kind::Logits { inner, outer } = operator.kind else { continue };
        let all = |bytes| {
            let total = shape.rows().checked_mul(u128::from(outer))?.checked_mul(bytes)?;
            Some(Split::Tensor.values(total, layout))
        };
        let own = u128::from(shape.bytes);
        let (keeps, holds) = match training.logits {
            LogitsKernel::Kept => (all(own.checked_add(4)?)?, all(own.checked_add(12)?)?),
            LogitsKernel::Fused => (all(own)?, all(own)?),
            LogitsKernel::Chunked => {
                let chunks = u128::from(outer.div_ceil(inner.max(1)).max(1));
                let gradient = Split::Stream.values(shape.stored(inner, Store::Activation)?, layout);
                (gradient, all(own.checked_add(12)?)?.div_ceil(chunks).checked_add(gradient)?)
            }
        };
        kept = kept.checked_add(keeps)?;
        most = most.max(holds.saturating_sub(keeps));
    }
    Some((kept, kept.checked_add(most)?))
}

fn of_loss(operator: &Operator) -> bool {
    matches!(operator.kind, Kind::Logits { .. } | Kind::Loss { .. })
}
