//! What operators take for a moment beside what they read and give: copies in another order, values in another type.

use llmplan_analysis::graph::{Block, Kind, Operator};
use llmplan_analysis::saved::{Shape, value_bytes};

/// An operator with all that its temporaries hang on.
pub(crate) struct Sizes<'a> {
    pub(crate) block: &'a Block,
    pub(crate) operator: &'a Operator,
    pub(crate) shape: Shape,
    /// Whether kernels of our own run.
    pub(crate) fused: bool,
}

/// Bytes that an operator takes for a moment, forward or backward. Where candle's operators do, each step of a
/// composition has a tensor in 32 bits; how many live at once was measured. `None` beyond 128 bits.
pub(crate) fn scratch(sizes: &Sizes<'_>, backward: bool) -> Option<u128> {
    let inputs: Vec<u128> = sizes
        .operator
        .inputs
        .iter()
        .map(|value| value_bytes(sizes.block, *value, sizes.shape))
        .collect::<Option<_>>()?;
    let output = value_bytes(sizes.block, sizes.operator.output, sizes.shape)?;
    let first = inputs.first().copied().unwrap_or(0);
    let second = inputs.get(1).copied().unwrap_or(0);
    let own: u128 = sizes.operator.weights.iter().map(|tensor| tensor.elements().unwrap_or(u128::MAX)).sum();
    // Values of 32 bits for each stored one.
    let wide = |bytes: u128| bytes.checked_mul(4)?.checked_div(u128::from(sizes.shape.bytes.max(1)));
    let times = |bytes: u128, copies: u128| wide(bytes)?.checked_mul(copies);
    let narrow = sizes.shape.bytes < 4;
    // A product of 16-bit values is formed of copies in 32 bits.
    let product =
        if narrow { times(first.checked_add(output)?, 1)?.checked_add(own.checked_mul(4)?)? } else { 0 };
    Some(match (sizes.operator.kind, backward) {
        (Kind::MatMul { .. } | Kind::Logits { .. } | Kind::HeadMatMul { .. }, _) => {
            let heads = matches!(sizes.operator.kind, Kind::HeadMatMul { .. });
            let copies =
                first.checked_add(output)?.checked_add(own.checked_mul(u128::from(sizes.shape.bytes))?)?;
            product + if heads { copies } else { 0 }
        }
        // Heads first.
        (Kind::Scores { relative, .. }, false) => {
            let more = if relative { output.checked_mul(3)? } else { 0 };
            first.checked_add(second)?.checked_add(more)?.checked_add(product)?
        }
        (Kind::Scores { relative, .. }, true) => {
            let more = if relative { output.checked_mul(3)? } else { 0 };
            first.checked_add(second)?.checked_mul(2)?.checked_add(more)?.checked_add(product)?
        }
        (Kind::WeightedSum { .. }, false) => second.checked_add(output)?.checked_add(product)?,
        (Kind::WeightedSum { .. }, true) => {
            second.checked_mul(2)?.checked_add(output)?.checked_add(product)?
        }
        (Kind::Softmax { .. }, _) if sizes.fused => 0,
        (Kind::Softmax { .. }, false) => times(output, 4)?,
        (Kind::Softmax { .. }, true) => times(output, 5)?,
        (Kind::Norm { .. } | Kind::Activation { .. } | Kind::Gate { .. } | Kind::Rotate { .. }, _)
            if sizes.fused =>
        {
            0
        }
        (Kind::Norm { .. }, false) => times(output, 3)?,
        (Kind::Norm { .. }, true) => times(output, 5)?,
        (Kind::Activation { .. } | Kind::Gate { .. }, false) => times(output, 6)?,
        (Kind::Activation { .. } | Kind::Gate { .. }, true) => times(output, 8)?,
        (Kind::Rotate { .. }, _) => times(output, 4)?,
        (Kind::Loss { .. }, false) if sizes.fused => 0,
        (Kind::Loss { .. }, true) if sizes.fused => 0,
        (Kind::Loss { .. }, false) => times(first, 3)?,
        (Kind::Loss { .. }, true) => times(first, 3)?,
        // The scores of all experts, for a moment in 64 bits and on the host.
        (Kind::Route { experts, .. }, _) => {
            product + sizes.shape.rows().checked_mul(u128::from(experts))?.checked_mul(36)?
        }
        (Kind::ExpertMatMul { active, inner, outer, .. }, _) => {
            let visits = |width: u64| {
                let values = u128::from(active).checked_mul(u128::from(width))?;
                sizes.shape.rows().checked_mul(values)?.checked_mul(u128::from(sizes.shape.bytes))
            };
            let (read, given) = (visits(inner)?, visits(outer)?);
            let widened = if narrow { times(read.checked_add(given)?, 1)? } else { 0 };
            let own = own.checked_mul(if narrow { 4 } else { u128::from(sizes.shape.bytes) })?;
            match backward {
                false => read.checked_add(given.checked_mul(2)?)?.checked_add(widened)?,
                true => read.checked_mul(4)?.checked_add(given)?.checked_add(own)?.checked_add(widened)?,
            }
        }
        (Kind::Combine { .. }, _) => times(first, 2)?,
        (Kind::Convolve { .. }, false) => times(output, 5)?,
        (Kind::Convolve { .. }, true) => times(output, 8)?,
        (Kind::StateSpace { heads, head_dim, state, .. }, _) => {
            states(sizes.shape, &[heads, head_dim, state])?.checked_mul(if backward { 6 } else { 4 })?
        }
        (Kind::DeltaRule { value_heads, key_dim, value_dim, .. }, _) => {
            states(sizes.shape, &[value_heads, key_dim, value_dim])?.checked_mul(if backward {
                2
            } else {
                1
            })?
        }
        (Kind::Join { .. }, _) => output,
        (Kind::Gather { .. }, true) if narrow => own.checked_mul(4)?.checked_add(times(output, 1)?)?,
        (Kind::Gather { .. } | Kind::Distances { .. } | Kind::AddPosition { .. } | Kind::Add { .. }, _) => 0,
    })
}

/// Bytes of the states of all tokens.
fn states(shape: Shape, factors: &[u64]) -> Option<u128> {
    let each = factors.iter().try_fold(4_u128, |sum, factor| sum.checked_mul(u128::from(*factor)))?;
    each.checked_mul(shape.rows())
}
