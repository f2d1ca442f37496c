//! The proof: runs the graph that the arithmetic counts, in plain loops on f32, and counts what it really does.
//!
//! It is no fast implementation and no trainer: tiny shapes, one forward pass over one sequence. What it shows is that
//! the operators of a [`Graph`] are a decoder-only Transformer, and that parameters and multiply-adds are as many as
//! [`llmplan_analysis::folds`] says, because each is allocated or done here, and counted there and then.

mod operators;

use std::collections::BTreeMap;
use std::fmt;

use llmplan_analysis::graph::{Component, Graph, Group, Kind, Operator};
use llmplan_spec::plan::AttentionConvention;

/// The most values that one run may allocate: 64 MB of weights.
pub const MAX_VALUES: u128 = 16_000_000;

/// What one forward pass allocated and did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Trainable values that were allocated, by component.
    pub parameters: BTreeMap<Component, u128>,
    /// Multiply-adds that were done in matrix products, by component.
    pub multiply_adds: BTreeMap<Component, u128>,
    /// Logits of each token: T rows of V values.
    pub logits: Vec<f32>,
    /// Mean cross-entropy of the next token, in nats.
    pub loss: f32,
}

/// Why a graph was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has more values than [`MAX_VALUES`].
    TooLarge(u128),
    /// An operator finds no input of its shape: the graph is no Transformer.
    Misshapen(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooLarge(values) => write!(formatter, "{values} values; at most {MAX_VALUES} are run"),
            Refusal::Misshapen(name) => write!(formatter, "`{name}` has no input of its shape"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Runs a graph forward over a sequence of tokens, which are row numbers of the embedding. Weights are pseudo-random, the
/// same on every run. With full attention all T² scores are computed and the future is masked; with causal attention
/// only the T(T+1)/2 that are used.
///
/// # Errors
/// A graph that is too large for loops, or whose operators do not fit together.
pub fn run(graph: &Graph, tokens: &[usize], attention: AttentionConvention) -> Result<Run, Refusal> {
    let weights = graph.groups.iter().flat_map(|group| {
        group.operators.iter().flat_map(move |operator| {
            operator
                .weights
                .iter()
                .map(move |tensor| tensor.elements().saturating_mul(u128::from(group.repeat)))
        })
    });
    let values = weights.fold(0_u128, u128::saturating_add).saturating_add((tokens.len() as u128).pow(2));
    if values > MAX_VALUES {
        return Err(Refusal::TooLarge(values));
    }
    let mut machine = Machine { tokens, attention, random: 1, run: Run::default(), state: State::default() };
    for group in &graph.groups {
        for _ in 0..group.repeat {
            machine.state.branch = machine.state.stream.clone();
            for operator in &group.operators {
                machine.step(operator, group).ok_or(Refusal::Misshapen(operator.name))?;
            }
        }
    }
    Ok(machine.run)
}

/// What operators read and write: T rows each.
#[derive(Default)]
struct State {
    /// The residual stream.
    stream: Vec<f32>,
    /// What is computed from it, to be added to it.
    branch: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    /// For each head and token, a row of T scores; those that were not computed are -∞.
    scores: Vec<f32>,
    up: Vec<f32>,
    gate: Vec<f32>,
    /// The table of the embedding: tied logits read it again.
    embedding: Vec<f32>,
}

struct Machine<'a> {
    tokens: &'a [usize],
    attention: AttentionConvention,
    random: u64,
    run: Run,
    state: State,
}

impl Machine<'_> {
    /// One operator; `None` where its inputs do not fit.
    fn step(&mut self, operator: &Operator, group: &Group) -> Option<()> {
        let weights = self.allocate(operator)?;
        let bias =
            operator.weights.iter().position(|tensor| tensor.name == "bias").and_then(|at| weights.get(at));
        let table = weights.first();
        let state = &mut self.state;
        let length = self.tokens.len();
        let mut done = 0;
        match operator.kind {
            Kind::Gather { width } => {
                state.embedding = table?.clone();
                state.stream = operators::gather(&state.embedding, self.tokens, size(width)?)?;
            }
            Kind::AddPosition { width } => {
                let rows: Vec<usize> = (0..length).collect();
                operators::add(&mut state.stream, &operators::gather(table?, &rows, size(width)?)?)?;
            }
            Kind::Norm { width, centred } => {
                state.branch = operators::norm(&state.stream, table?, bias, size(width)?, centred)?;
            }
            Kind::MatMul { inner, outer } => {
                let input = if operator.name == "ffn.down" { &state.up } else { &state.branch };
                let output = operators::matmul(input, table?, bias, (size(inner)?, size(outer)?), &mut done)?;
                *match operator.name {
                    "attention.q" => &mut state.q,
                    "attention.k" => &mut state.k,
                    "attention.v" => &mut state.v,
                    "ffn.up" => &mut state.up,
                    "ffn.gate" => &mut state.gate,
                    _ => &mut state.branch,
                } = output;
            }
            Kind::Rotate { width } => {
                let values = if operator.name.ends_with("_q") { &mut state.q } else { &mut state.k };
                operators::rotate(values, size(width)?, head_dim(group)?)?;
            }
            Kind::Scores { heads, kv_heads, head_dim, alibi } => {
                let heads =
                    operators::Heads { queries: size(heads)?, keys: size(kv_heads)?, width: size(head_dim)? };
                let all = self.attention == AttentionConvention::Full;
                state.scores = operators::scores(&state.q, &state.k, heads, (length, all, alibi), &mut done)?;
            }
            Kind::Softmax { .. } => operators::softmax(&mut state.scores, length),
            Kind::WeightedSum { heads, kv_heads, head_dim } => {
                let heads =
                    operators::Heads { queries: size(heads)?, keys: size(kv_heads)?, width: size(head_dim)? };
                let all = self.attention == AttentionConvention::Full;
                state.branch =
                    operators::weighted_sum(&state.scores, &state.v, heads, (length, all), &mut done)?;
            }
            Kind::Activation { kind, .. } => operators::activate(&mut state.up, &state.gate, kind)?,
            Kind::Residual { .. } => {
                operators::add(&mut state.stream, &state.branch)?;
                state.branch.clone_from(&state.stream);
            }
            Kind::Logits { inner, outer } => {
                let (inner, outer) = (size(inner)?, size(outer)?);
                let own = operator.weights.iter().any(|tensor| tensor.name == "weight");
                let transposed = operators::transposed(&state.embedding, inner);
                let table = if own { table? } else { &transposed };
                self.run.logits = operators::matmul(&state.branch, table, bias, (inner, outer), &mut done)?;
            }
            Kind::Loss { outer } => {
                self.run.loss = operators::loss(&self.run.logits, self.tokens, size(outer)?)?
            }
        }
        if done > 0 {
            *self.run.multiply_adds.entry(operator.component).or_default() += done;
        }
        Some(())
    }

    /// The operator's tensors, each value counted: matrices of small numbers, vectors around one, biases around zero.
    fn allocate(&mut self, operator: &Operator) -> Option<Vec<Vec<f32>>> {
        let mut tensors = Vec::new();
        for tensor in &operator.weights {
            let centre = if tensor.rows == 1 && tensor.name == "weight" { 1.0 } else { 0.0 };
            let values: Vec<f32> =
                (0..usize::try_from(tensor.elements()).ok()?).map(|_| centre + 0.1 * self.noise()).collect();
            *self.run.parameters.entry(operator.component).or_default() += values.len() as u128;
            tensors.push(values);
        }
        Some(tensors)
    }

    /// A number in -1..1, of a linear congruential generator (Knuth's MMIX).
    fn noise(&mut self) -> f32 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    }
}

/// The width of a head in a group: rotations turn pairs within one.
fn head_dim(group: &Group) -> Option<usize> {
    group.operators.iter().find_map(|operator| match operator.kind {
        Kind::Scores { head_dim, .. } => size(head_dim),
        _ => None,
    })
}

fn size(width: u64) -> Option<usize> {
    usize::try_from(width).ok().filter(|width| *width > 0)
}
