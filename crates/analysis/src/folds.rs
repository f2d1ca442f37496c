//! The folds over the Graph: parameters, matmul FLOPs, bytes moved, blocks of an 8-bit optimizer. Exact, or nothing.

use llmplan_spec::plan::{AttentionConvention, Documents, Mixer, Model, Reach, Training};

use crate::graph::{Component, Graph, Kind, Operator, Part, Tensor};
use crate::saved::{Keep, Rerun, selected};

/// Counts by component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u128; Component::ALL.len()]);

impl Counts {
    /// The count of a component.
    pub fn of(&self, component: Component) -> u128 {
        self.0[component as usize]
    }

    /// The sum of all; `None` beyond 128 bits.
    pub fn total(&self) -> Option<u128> {
        self.0.iter().try_fold(0_u128, |total, count| total.checked_add(*count))
    }

    fn add(&mut self, component: Component, count: u128) -> Option<()> {
        let own = &mut self.0[component as usize];
        *own = own.checked_add(count)?;
        Some(())
    }
}

/// Trainable parameters by component. `None` beyond 128 bits.
pub fn params(graph: &Graph) -> Option<Counts> {
    tensors(graph, |tensor| tensor.trained)
}

/// Stored values that are not trained, by component. `None` beyond 128 bits.
pub fn buffers(graph: &Graph) -> Option<Counts> {
    tensors(graph, |tensor| !tensor.trained)
}

fn tensors(graph: &Graph, counts: impl Fn(&Tensor) -> bool) -> Option<Counts> {
    let mut found = Counts::default();
    for block in &graph.blocks {
        for operator in &block.operators {
            for tensor in operator.weights.iter().filter(|tensor| counts(tensor)) {
                found.add(operator.component, tensor.elements()?.checked_mul(u128::from(block.count))?)?;
            }
        }
    }
    Some(found)
}

/// Parameters that one token passes when the model is served, by component: of the experts only those that it is routed
/// to, and no multi-token prediction. `None` beyond 128 bits.
pub fn active_params(graph: &Graph) -> Option<Counts> {
    let mut found = Counts::default();
    for block in graph.blocks.iter().filter(|block| block.part != Part::Mtp) {
        for operator in &block.operators {
            for tensor in operator.weights.iter().filter(|tensor| tensor.trained) {
                let copies = match operator.kind {
                    Kind::ExpertMatMul { active, .. } => active,
                    _ => tensor.copies,
                };
                let each = tensor.each().checked_mul(u128::from(copies))?;
                found.add(operator.component, each.checked_mul(u128::from(block.count))?)?;
            }
        }
    }
    Some(found)
}

/// Values that the KV cache keeps for a sequence of `tokens`: keys and values, or latents and the rotated key, of the
/// tokens within reach. `None` beyond 128 bits.
pub fn cache_values(model: &Model, tokens: u64) -> Option<u128> {
    per_layer(model, |mixer| match mixer {
        Mixer::Attention(own) => {
            let each = match own.latent {
                Some(latent) => u128::from(latent.kv_rank) + u128::from(own.rope_dim),
                None => product(&[own.kv_heads, own.head_dim])?
                    .checked_add(product(&[own.kv_heads, own.v_dim])?)?,
            };
            let held = match own.reach {
                Reach::Full => tokens,
                Reach::Window(limit) | Reach::Chunk(limit) => tokens.min(limit),
            };
            each.checked_mul(u128::from(held))
        }
        _ => Some(0),
    })
}

/// Values of state that recurrent layers keep, whatever the sequence: what a convolution has yet to see, and the state.
/// `None` beyond 128 bits.
pub fn state_values(model: &Model) -> Option<u128> {
    let past = |channels: u64, conv: u64| product(&[channels, conv.saturating_sub(1)]);
    per_layer(model, |mixer| match mixer {
        Mixer::Mamba2(own) => {
            past(own.channels(), own.conv)?.checked_add(product(&[own.d_inner, own.state])?)
        }
        Mixer::GatedDelta(own) => {
            let state = product(&[own.value_heads, own.key_dim, own.value_dim])?;
            past(own.channels(), own.conv)?.checked_add(state)
        }
        _ => Some(0),
    })
}

fn per_layer(model: &Model, values: impl Fn(&Mixer) -> Option<u128>) -> Option<u128> {
    model.kinds.iter().try_fold(0_u128, |total, kind| {
        total.checked_add(values(&kind.layer.mixer)?.checked_mul(u128::from(kind.count))?)
    })
}

/// A sequence, and which of its pairs of tokens count.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// T: tokens.
    pub tokens: u64,
    /// The documents that fill it, where attention ends at their bounds.
    pub documents: Option<&'a Documents>,
    /// Whether the masked half counts.
    pub attention: AttentionConvention,
}

/// FLOPs of the matrix products of one forward pass over a sequence, by component. A multiply-add is two. `None` beyond
/// 128 bits.
///
/// Convolutions and recurrences count as the products that they are: a depthwise convolution 2·kernel per channel, a
/// state-space layer 4 and the delta rule 6 for each value of state (update and read; read, update and read).
pub fn forward_flops(graph: &Graph, sequence: Sequence<'_>) -> Option<Counts> {
    let mut counts = Counts::default();
    for block in &graph.blocks {
        for operator in &block.operators {
            if let Some(flops) = operator_flops(operator, sequence)? {
                counts.add(operator.component, flops.checked_mul(u128::from(block.count))?)?;
            }
        }
    }
    Some(counts)
}

/// FLOPs of one forward pass over a sequence where all T² pairs are computed, whatever a layer's reach and the documents
/// are: what an attention without a kernel of its own does. `None` beyond 128 bits.
pub fn dense_flops(graph: &Graph, tokens: u64) -> Option<u128> {
    dense(graph, tokens, |_, _| true)
}

/// FLOPs of what runs again of one sequence, where layers do not keep everything; all T² pairs are computed. `keep` says
/// it for each layer, counted from 0 in the order of execution. `None` beyond 128 bits.
pub fn recomputed_flops(graph: &Graph, tokens: u64, keep: &dyn Fn(usize) -> Keep) -> Option<u128> {
    dense(graph, tokens, |layer, kind| match layer.map(keep) {
        Some(Keep::Input) => true,
        Some(Keep::Selective) => selected(kind),
        Some(Keep::All) | None => false,
    })
}

/// FLOPs of what a training runs again of one sequence, by the pairs that the sequence's convention counts, of a model with
/// so many layers. `None` beyond 128 bits.
pub fn rerun_flops(graph: &Graph, sequence: Sequence<'_>, training: &Training, layers: u64) -> Option<u128> {
    let (mut total, mut layer) = (0_u128, 0_u64);
    for step in &graph.order {
        let block = graph.blocks.get(step.block)?;
        if block.part != Part::Layer {
            continue;
        }
        let again = Rerun::of(block, training.checkpointing, training.recompute, true);
        let each = block
            .operators
            .iter()
            .filter(|operator| again.again(operator))
            .try_fold(0_u128, |sum, own| sum.checked_add(operator_flops(own, sequence)?.unwrap_or(0)))?;
        let end = layer.checked_add(step.repeat)?;
        let times = u128::from(training.checkpointed(layer, end, layers));
        layer = end;
        total = total.checked_add(each.checked_mul(times)?)?;
    }
    Some(total)
}

/// FLOPs of those operators of all blocks that count, each with the number of its layer.
fn dense(graph: &Graph, tokens: u64, counts: impl Fn(Option<usize>, Kind) -> bool) -> Option<u128> {
    let sequence = Sequence { tokens, documents: None, attention: AttentionConvention::Full };
    let (mut total, mut layer) = (0_u128, 0_usize);
    for step in &graph.order {
        let block = graph.blocks.get(step.block)?;
        for _ in 0..step.repeat {
            let own = (block.part == Part::Layer).then_some(layer);
            for operator in block.operators.iter().filter(|operator| counts(own, operator.kind)) {
                let mut operator = operator.clone();
                if let Kind::Scores { reach, .. } | Kind::WeightedSum { reach, .. } = &mut operator.kind {
                    *reach = Reach::Full;
                }
                total = total.checked_add(operator_flops(&operator, sequence)?.unwrap_or(0))?;
            }
            layer = layer.checked_add(usize::from(own.is_some()))?;
        }
    }
    Some(total)
}

/// FLOPs of one operator over a sequence; the inner `None` is for one that is no product.
fn operator_flops(operator: &Operator, sequence: Sequence<'_>) -> Option<Option<u128>> {
    let per_token =
        |factors: &[u64]| product(factors)?.checked_mul(u128::from(sequence.tokens))?.checked_mul(2);
    let per_pair =
        |reach, width: &[u64]| product(width)?.checked_mul(pairs(reach, sequence)?)?.checked_mul(2);
    let flops = match operator.kind {
        Kind::MatMul { inner, outer } | Kind::Logits { inner, outer } => per_token(&[inner, outer])?,
        Kind::HeadMatMul { heads, inner, outer, .. } => per_token(&[heads, inner, outer])?,
        Kind::Route { inner, experts, .. } => per_token(&[inner, experts])?,
        Kind::ExpertMatMul { active, inner, outer, .. } => per_token(&[active, inner, outer])?,
        Kind::Convolve { channels, kernel } => per_token(&[channels, kernel])?,
        Kind::StateSpace { heads, head_dim, state, .. } => per_token(&[2, heads, head_dim, state])?,
        Kind::DeltaRule { value_heads, key_dim, value_dim, .. } => {
            per_token(&[3, value_heads, key_dim, value_dim])?
        }
        Kind::Scores { heads, head_dim, reach, relative, .. } => {
            per_pair(reach, &[heads, head_dim, 1 + u64::from(relative)])?
        }
        Kind::WeightedSum { heads, head_dim, reach, .. } => per_pair(reach, &[heads, head_dim])?,
        // Lookups and pointwise work are memory traffic, not matrix products.
        _ => return Some(None),
    };
    Some(Some(flops))
}

/// Pairs of a query and a key that one head meets. `None` beyond 128 bits.
///
/// The full convention takes off what a window, a chunk or a document hides, and not the masked half; the causal one
/// takes off both.
pub fn pairs(reach: Reach, sequence: Sequence<'_>) -> Option<u128> {
    let within = |tokens: u64| text_pairs(reach, u128::from(tokens), sequence.attention);
    match sequence.documents {
        None => within(sequence.tokens),
        Some(Documents::Alike(length)) => {
            let whole = sequence.tokens.checked_div(*length)?;
            let rest = within(sequence.tokens.checked_rem(*length)?)?;
            within(*length)?.checked_mul(u128::from(whole))?.checked_add(rest)
        }
        Some(Documents::Listed(lengths)) => {
            lengths.iter().try_fold(0_u128, |total, length| total.checked_add(within(*length)?))
        }
    }
}

/// The pairs of one text of `n` tokens.
fn text_pairs(reach: Reach, n: u128, attention: AttentionConvention) -> Option<u128> {
    let half = |n: u128| Some(n.checked_mul(n.checked_add(1)?)? / 2);
    match (reach, attention) {
        (Reach::Full, AttentionConvention::Full) => n.checked_mul(n),
        (Reach::Full, AttentionConvention::Causal) => half(n),
        (Reach::Window(window), AttentionConvention::Full) => n.checked_mul(n.min(u128::from(window))),
        (Reach::Window(window), AttentionConvention::Causal) => {
            let m = n.min(u128::from(window));
            n.checked_mul(m)?.checked_sub(m.checked_mul(m.saturating_sub(1))? / 2)
        }
        (Reach::Chunk(chunk), attention) => {
            let chunk = u128::from(chunk);
            let each = text_pairs(Reach::Full, chunk.min(n), attention)?;
            let rest = text_pairs(Reach::Full, n.checked_rem(chunk)?, attention)?;
            match n < chunk {
                true => Some(each),
                false => each.checked_mul(n / chunk)?.checked_add(rest),
            }
        }
    }
}

/// Bytes that the products of one forward pass move at 2 bytes a value, by component: values read and written once,
/// and weights read once; of the experts as many as `T` tokens can meet. Scores stay on the chip. `None` beyond 128 bits.
pub fn forward_traffic(graph: &Graph, tokens: u64) -> Option<Counts> {
    let mut counts = Counts::default();
    for block in &graph.blocks {
        for operator in &block.operators {
            let width =
                |value: crate::graph::Value| u128::from(block.widths.get(value.0).copied().unwrap_or(0));
            let stored = || {
                operator.weights.iter().try_fold(0_u128, |sum, tensor| sum.checked_add(tensor.elements()?))
            };
            let weights = match operator.kind {
                Kind::MatMul { .. }
                | Kind::HeadMatMul { .. }
                | Kind::Route { .. }
                | Kind::Convolve { .. }
                | Kind::StateSpace { .. }
                | Kind::DeltaRule { .. }
                | Kind::Scores { .. }
                | Kind::WeightedSum { .. } => stored()?,
                // Tied tables are read all the same.
                Kind::Logits { inner, outer } => product(&[inner, outer])?.max(stored()?),
                Kind::ExpertMatMul { experts, active, .. } => {
                    let met = u128::from(experts).min(u128::from(tokens).checked_mul(u128::from(active))?);
                    let each = operator.weights.iter().map(|tensor| tensor.each());
                    each.fold(0_u128, u128::saturating_add).checked_mul(met)?
                }
                _ => continue,
            };
            let values = operator
                .inputs
                .iter()
                .map(|input| width(*input))
                .fold(width(operator.output), u128::saturating_add);
            let moved = values.checked_mul(u128::from(tokens))?.checked_add(weights)?.checked_mul(2)?;
            counts.add(operator.component, moved.checked_mul(u128::from(block.count))?)?;
        }
    }
    Some(counts)
}

/// Blocks of `block` values in which an 8-bit optimizer keeps one scale: every tensor begins a block of its own
/// (Dettmers 2021 §2.1). `None` beyond 128 bits, or for blocks of no values.
pub fn optimizer_blocks(graph: &Graph, block: u64) -> Option<u128> {
    let size = u128::from(block);
    let mut blocks = 0_u128;
    for block in &graph.blocks {
        let tensors = block.operators.iter().flat_map(|operator| &operator.weights);
        for tensor in tensors.filter(|tensor| tensor.trained) {
            let own = tensor.each().checked_add(size.checked_sub(1)?)?.checked_div(size)?;
            let all = own.checked_mul(u128::from(tensor.copies))?.checked_mul(u128::from(block.count))?;
            blocks = blocks.checked_add(all)?;
        }
    }
    Some(blocks)
}

fn product(factors: &[u64]) -> Option<u128> {
    factors.iter().try_fold(1_u128, |product, factor| product.checked_mul(u128::from(*factor)))
}
