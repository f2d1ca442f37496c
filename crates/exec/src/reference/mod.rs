//! The operators as plain loops on f32: what they mean, written to be read.
//!
//! It is no fast implementation and no trainer: tiny shapes, one forward pass over one sequence. What it shows is that
//! the operators of a [`Graph`] are a language model, and that parameters and multiply-adds are as many as
//! [`llmplan_analysis::folds`] says, because each is allocated or done here, and counted there and then.

mod machine;
mod operators;
pub(crate) use operators::sinusoids;
pub(crate) mod sight;

use std::collections::BTreeMap;
use std::fmt;

use llmplan_analysis::folds::Sequence;
use llmplan_analysis::graph::{Component, Graph, Kind, Operator};

/// The most values that one run may allocate: 64 MB of f32.
pub const MAX_VALUES: u128 = 16_000_000;

/// What one forward pass allocated and did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Trained values that were allocated, by component.
    pub parameters: BTreeMap<Component, u128>,
    /// Values that are stored and not trained, by component.
    pub buffers: BTreeMap<Component, u128>,
    /// Multiply-adds that were done in matrix products, convolutions and recurrences, by component.
    pub multiply_adds: BTreeMap<Component, u128>,
    /// Logits of each token: T rows of V values.
    pub logits: Vec<f32>,
    /// Mean cross-entropy of the next token, in nats.
    pub loss: f32,
    /// What each module of multi-token prediction says of the tokens further on.
    pub modules: Vec<Prediction>,
}

/// What a module of multi-token prediction gives: the first predicts two tokens ahead, the next three, and so on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    /// T rows of V values.
    pub logits: Vec<f32>,
    /// Mean cross-entropy, in nats.
    pub loss: f32,
}

/// Why a graph was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It takes more values than [`MAX_VALUES`].
    TooLarge(u128),
    /// There are not as many tokens as the sequence has, or its documents do not fill it.
    Sequence,
    /// An operator finds no input or weights of its shape: the graph is no model.
    Misshapen(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooLarge(values) => write!(formatter, "{values} values; at most {MAX_VALUES} are run"),
            Refusal::Sequence => write!(formatter, "the tokens are not those of the sequence"),
            Refusal::Misshapen(name) => write!(formatter, "`{name}` has no input of its shape"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Runs a graph forward over tokens, which are row numbers of the embedding. The sequence says which pairs of them
/// are computed, and means here what it means to [`llmplan_analysis::folds::forward_flops`]: by the full convention
/// the masked half is computed and thrown away, by the causal one it is skipped.
///
/// Weights are pseudo-random: a tensor's values follow from the place of its block in the order of execution, its
/// operator and its name. Attention ends at the bounds of documents; positions and recurrences go on.
///
/// # Errors
/// A graph that is too large for loops, or whose operators do not fit together, and tokens that are not the sequence's.
pub fn run(graph: &Graph, tokens: &[usize], sequence: Sequence<'_>) -> Result<Run, Refusal> {
    let sight = sight::Sight::of(tokens.len(), sequence).ok_or(Refusal::Sequence)?;
    let values = needed(graph, tokens.len() as u128);
    if values > MAX_VALUES {
        return Err(Refusal::TooLarge(values));
    }
    machine::run(graph, tokens, &sight)
}

/// An upper bound of the values that a run allocates, and of the steps it takes. Saturates.
fn needed(graph: &Graph, tokens: u128) -> u128 {
    let mut needed = tokens.saturating_mul(tokens);
    for step in &graph.order {
        let Some(block) = graph.blocks.get(step.block) else { continue };
        let weights = block.operators.iter().flat_map(|operator| &operator.weights);
        let each = weights
            .map(|tensor| tensor.elements().unwrap_or(u128::MAX))
            .fold(1 + block.operators.len() as u128, u128::saturating_add);
        let held = block.operators.iter().map(|operator| state(operator, tokens));
        let widths = block.widths.iter().map(|width| tokens.saturating_mul(u128::from(*width)));
        needed = held
            .chain(widths)
            .fold(needed, u128::saturating_add)
            .saturating_add(each.saturating_mul(u128::from(step.repeat)));
    }
    needed
}

/// Values that an operator holds beside those it reads and writes per token: pairs, or the state of a recurrence.
fn state(operator: &Operator, tokens: u128) -> u128 {
    let of = |factors: &[u64]| factors.iter().map(|factor| u128::from(*factor)).fold(1, u128::saturating_mul);
    match operator.kind {
        Kind::Scores { heads, .. } => of(&[heads]).saturating_mul(tokens).saturating_mul(tokens),
        Kind::StateSpace { heads, head_dim, state, .. } => of(&[heads, head_dim, state]),
        Kind::DeltaRule { value_heads, key_dim, value_dim, .. } => of(&[value_heads, key_dim, value_dim]),
        _ => 0,
    }
}
