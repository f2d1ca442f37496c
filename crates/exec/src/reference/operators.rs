//! The operators, as loops. Values are rows of tokens; each operator returns `None` where shapes do not fit.

mod attention;
mod experts;
mod linear;
mod pointwise;
mod recurrent;
#[cfg(test)]
mod tests;

pub(crate) use linear::{product, rows_of, transposed};
pub(crate) use pointwise::{loss, sinusoids};

use llmplan_analysis::graph::Kind;

use crate::reference::sight::Sight;
use crate::weights::Weights;

/// What an operator reads.
pub(crate) struct Reads<'a> {
    /// The sequence.
    pub(crate) sight: &'a Sight,
    /// Its inputs: T rows each.
    pub(crate) inputs: Vec<&'a [f32]>,
    /// Its tensors.
    pub(crate) weights: &'a Weights,
    /// Values per token that it must write.
    pub(crate) output: usize,
}

impl<'a> Reads<'a> {
    /// T: tokens.
    pub(crate) fn tokens(&self) -> usize {
        self.sight.tokens()
    }

    /// An input of T rows of `width` values.
    pub(crate) fn input(&self, at: usize, width: usize) -> Option<&'a [f32]> {
        let length = self.tokens().checked_mul(width).filter(|length| *length > 0)?;
        self.inputs.get(at).copied().filter(|values| values.len() == length)
    }

    /// An input with its width, whatever that is.
    fn any_input(&self, at: usize) -> Option<(&'a [f32], usize)> {
        let values = self.inputs.get(at).copied()?;
        let width = values.len() / self.tokens();
        Some((self.input(at, width)?, width))
    }
}

/// The multiply-adds that were done.
#[derive(Default)]
pub(crate) struct Tally(u64);

impl Tally {
    /// Adds a product to a sum, and counts it.
    fn multiply_add(&mut self, sum: &mut f32, one: f32, other: f32) {
        *sum += one * other;
        self.0 += 1;
    }

    /// The products of two vectors, added up.
    fn dot(&mut self, one: &[f32], other: &[f32]) -> f32 {
        let mut sum = 0.0;
        one.iter().zip(other).for_each(|(one, other)| self.multiply_add(&mut sum, *one, *other));
        sum
    }

    /// How many there were.
    pub(crate) fn done(&self) -> u128 {
        u128::from(self.0)
    }
}

/// Runs an operator that needs nothing but its inputs and weights.
pub(crate) fn apply(kind: Kind, reads: &Reads<'_>, tally: &mut Tally) -> Option<Vec<f32>> {
    match kind {
        Kind::AddPosition { width } => linear::add_position(reads, width),
        Kind::MatMul { inner, outer } => linear::matmul(reads, inner, outer, tally),
        Kind::HeadMatMul { heads, inner, outer, kept, transposed } => {
            linear::head_matmul(reads, linear::HeadShape { heads, inner, outer, kept, transposed }, tally)
        }
        Kind::Join { heads } => linear::join(reads, heads),
        Kind::Norm { width, centred } => pointwise::norm(reads, width, centred),
        Kind::Activation { kind, width } => pointwise::activation(reads, kind, width),
        Kind::Gate { width, silu } => pointwise::gate(reads, width, silu),
        Kind::Add { width } => pointwise::add(reads, width),
        Kind::Rotate { head_dim, rope_dim, offset } => attention::rotate(reads, head_dim, rope_dim, offset),
        Kind::Scores { heads, kv_heads, head_dim, scale, reach, alibi, relative } => {
            let heads = attention::Heads::of(heads, kv_heads, head_dim)?;
            attention::scores(reads, heads, attention::Scoring { scale, reach, alibi, relative }, tally)
        }
        Kind::Softmax { heads } => attention::softmax(reads, heads),
        Kind::WeightedSum { heads, kv_heads, head_dim, reach } => {
            let heads = attention::Heads::of(heads, kv_heads, head_dim)?;
            attention::weighted_sum(reads, heads, reach, tally)
        }
        Kind::Route { inner, experts, active } => experts::route(reads, inner, experts, active, tally),
        Kind::ExpertMatMul { experts, active, inner, outer, fan_out } => {
            experts::matmul(reads, experts::Shape { experts, active, inner, outer, fan_out }, tally)
        }
        Kind::Combine { active, width } => experts::combine(reads, active, width),
        Kind::Convolve { channels, kernel } => recurrent::convolve(reads, channels, kernel, tally),
        Kind::StateSpace { heads, head_dim, groups, state } => {
            recurrent::state_space(reads, (heads, head_dim), (groups, state), tally)
        }
        Kind::DeltaRule { key_heads, value_heads, key_dim, value_dim } => {
            recurrent::delta_rule(reads, (key_heads, key_dim), (value_heads, value_dim), tally)
        }
        // These read the tokens or the tables of others: the machine runs them.
        Kind::Gather { .. } | Kind::Distances { .. } | Kind::Logits { .. } | Kind::Loss { .. } => None,
    }
}

/// The product of sizes, none of them zero.
pub(crate) fn size(factors: &[u64]) -> Option<usize> {
    let product = factors.iter().try_fold(1_u64, |product, factor| product.checked_mul(*factor))?;
    usize::try_from(product).ok().filter(|size| *size > 0)
}

/// log(1 + eˣ): a smooth step up.
fn softplus(value: f32) -> f32 {
    if value > 20.0 { value } else { value.exp().ln_1p() }
}

/// The logistic function.
fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

/// x · σ(x) (Hendrycks 2016).
fn silu(value: f32) -> f32 {
    value * sigmoid(value)
}
