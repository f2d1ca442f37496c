//! What the backward pass needs of the forward pass: for each operator the inputs, the output and the statistics that
//! its vector-Jacobian product reads, and the folds over them. `exec` keeps exactly what is listed here, so that bytes
//! that are counted and bytes that are held come from one list.
//!
//! Counted for attention with its weights kept, T² for each head, and for products whose inputs are kept once however
//! many read them (Korthikanti 2022 §4.1 without dropout).

mod policy;

pub use policy::{Policy, Rerun, needs, policy_saves};

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Block, Graph, Kind, Operator, Part, Value};

/// What an operator keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saves {
    /// The places of its inputs that are kept.
    pub inputs: Vec<usize>,
    /// Whether its output is kept.
    pub output: bool,
    /// What it computes beside its output and keeps.
    pub extras: Vec<Extra>,
}

/// Something that an operator computes for its backward pass alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extra {
    /// What it is: `deviation`.
    pub name: &'static str,
    /// Values per token.
    pub width: u64,
    /// How each value is stored.
    pub store: Store,
}

/// How a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In the data type of activations.
    Activation,
    /// In 4 bytes, whatever activations are: statistics and states, which 16 bits would spoil.
    Single,
    /// In one byte: masks of dropout, and what fp8 products read.
    Byte,
}

/// Which activations are computed again instead of kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Everything the backward pass needs is kept.
    #[default]
    All,
    /// Scores, softmax and weighted sum run again, and recurrences; what they read is kept (Korthikanti 2022 §5).
    Selective,
    /// Of a layer its input is kept, and all of it runs again (Chen 2016).
    Input,
}

/// The tokens that run at once, and the width of what is kept of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Sequences.
    pub sequences: u64,
    /// T: tokens of each.
    pub tokens: u64,
    /// Bytes of an activation.
    pub bytes: u64,
}

impl Shape {
    /// Tokens of all sequences.
    pub fn rows(self) -> u128 {
        u128::from(self.sequences) * u128::from(self.tokens)
    }

    /// Bytes of so many values per token. `None` beyond 128 bits.
    pub fn stored(self, width: u64, store: Store) -> Option<u128> {
        let each = match store {
            Store::Activation => self.bytes,
            Store::Single => 4,
            Store::Byte => 1,
        };
        self.rows().checked_mul(u128::from(width))?.checked_mul(u128::from(each))
    }
}

/// Something that is kept from the forward pass for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// The operator that computes it; `input` for what the block reads.
    pub operator: &'static str,
    /// `output`, or the name of the [`Extra`].
    pub what: &'static str,
}

/// What an operator of a block keeps where everything is kept.
pub fn saves(block: &Block, operator: &Operator) -> Saves {
    let width = |place: usize| {
        let value = operator.inputs.get(place);
        value.and_then(|value| block.widths.get(value.0)).copied().unwrap_or(0)
    };
    let single = |name, width| Extra { name, width, store: Store::Single };
    let inputs = |places: &[usize]| Saves { inputs: places.to_vec(), ..Saves::default() };
    match operator.kind {
        Kind::Gather { .. }
        | Kind::Distances { .. }
        | Kind::AddPosition { .. }
        | Kind::Join { .. }
        | Kind::Rotate { .. }
        | Kind::Add { .. } => Saves::default(),
        Kind::MatMul { .. } | Kind::HeadMatMul { .. } | Kind::Logits { .. } => inputs(&[0]),
        Kind::Scores { relative: false, .. } => inputs(&[0, 1]),
        Kind::Scores { relative: true, .. } => inputs(&[0, 1, 2]),
        Kind::Softmax { .. } => Saves { output: true, ..Saves::default() },
        Kind::WeightedSum { .. } | Kind::Gate { .. } | Kind::ExpertMatMul { .. } | Kind::Combine { .. } => {
            inputs(&[0, 1])
        }
        Kind::Activation { kind, .. } => inputs(if kind.gated() { &[0, 1] } else { &[0] }),
        Kind::Route { .. } => Saves { output: true, ..inputs(&[0]) },
        Kind::Norm { width: each, centred } => {
            let groups = width(0).checked_div(each).unwrap_or(0);
            let mean = centred.then(|| single("mean", groups));
            let extras = mean.into_iter().chain([single("deviation", groups)]).collect();
            Saves { extras, ..inputs(&[0]) }
        }
        Kind::Convolve { channels, .. } => {
            let extras = vec![Extra { name: "sum", width: channels, store: Store::Activation }];
            Saves { extras, ..inputs(&[0]) }
        }
        Kind::StateSpace { heads, head_dim, state, .. } => {
            let states = heads.saturating_mul(head_dim).saturating_mul(state);
            Saves { extras: vec![single("states", states)], ..inputs(&[0, 1]) }
        }
        Kind::DeltaRule { value_heads, key_dim, value_dim, .. } => {
            let read = value_heads.saturating_mul(value_dim);
            let extras = vec![single("states", read.saturating_mul(key_dim)), single("read", read)];
            Saves { extras, ..inputs(&[0, 1]) }
        }
        Kind::Loss { .. } => Saves { extras: vec![single("log_sum", 1)], ..inputs(&[0]) },
    }
}

/// Whether an operator runs again where that is selective: what is large for the little that it computes.
pub fn selected(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Scores { .. }
            | Kind::Softmax { .. }
            | Kind::WeightedSum { .. }
            | Kind::StateSpace { .. }
            | Kind::DeltaRule { .. }
    )
}

/// What an operator keeps under a choice, of a block that is a layer. Where operators run again, it is what they read
/// from others.
pub fn kept(block: &Block, operator: &Operator, keep: Keep) -> Saves {
    let all = saves(block, operator);
    match keep {
        Keep::Selective if block.part == Part::Layer && selected(operator.kind) => {
            let outside = |place: &usize| {
                let value = operator.inputs.get(*place);
                value.is_some_and(|value| !producer(block, *value).is_some_and(|by| selected(by.kind)))
            };
            Saves { inputs: all.inputs.into_iter().filter(outside).collect(), ..Saves::default() }
        }
        Keep::Input if block.part == Part::Layer => Saves::default(),
        _ => all,
    }
}

/// The operator that computes a value; `None` for the block's input.
pub fn producer(block: &Block, value: Value) -> Option<&Operator> {
    block.operators.iter().find(|operator| operator.output == value)
}

/// Bytes of a value of a block. Scores and their softmax are rows of pairs, routes a number and a weight for each expert
/// of a token; a loss is kept nowhere. `None` beyond 128 bits.
pub fn value_bytes(block: &Block, value: Value, shape: Shape) -> Option<u128> {
    let width = block.widths.get(value.0).copied().unwrap_or(0);
    match producer(block, value).map(|operator| operator.kind) {
        Some(Kind::Scores { heads, .. } | Kind::Softmax { heads }) => {
            shape.stored(heads, Store::Activation)?.checked_mul(u128::from(shape.tokens))
        }
        Some(Kind::Route { active, .. }) => shape.stored(active, Store::Single)?.checked_mul(2),
        Some(Kind::Loss { .. }) => Some(0),
        _ => shape.stored(width, Store::Activation),
    }
}

/// What a block keeps: each tensor once, with its bytes, in the order in which they are computed. `None` beyond 128 bits.
pub fn block_saved(block: &Block, shape: Shape, keep: Keep) -> Option<Vec<(Tag, u128)>> {
    let mut values = BTreeSet::new();
    let mut extras = Vec::new();
    for operator in &block.operators {
        let own = kept(block, operator, keep);
        values.extend(own.inputs.iter().filter_map(|place| operator.inputs.get(*place)).map(|value| value.0));
        values.extend(own.output.then_some(operator.output.0));
        for extra in own.extras {
            let tag = Tag { operator: operator.name, what: extra.name };
            extras.push((tag, shape.stored(extra.width, extra.store)?));
        }
    }
    if keep == Keep::Input && block.part == Part::Layer {
        values.insert(0);
    }
    let mut saved = Vec::new();
    for value in values.into_iter().map(Value) {
        let operator = producer(block, value).map_or(INPUT, |operator| operator.name);
        saved.push((Tag { operator, what: "output" }, value_bytes(block, value, shape)?));
    }
    saved.extend(extras);
    Some(saved)
}

/// The operator of a tag for what a block reads.
pub const INPUT: &str = "input";

/// What a forward pass keeps of activations, by tag in bytes, each tensor once: what one block hands to the next and
/// both keep is counted in the first. `keep` says it for each layer, counted from 0 in the order of execution. `None`
/// beyond 128 bits.
pub fn saved(graph: &Graph, shape: Shape, keep: &dyn Fn(usize) -> Keep) -> Option<BTreeMap<Tag, u128>> {
    let mut total = BTreeMap::new();
    let mut layer = 0_usize;
    // Whether the stream that the next block reads has been counted.
    let mut counted = false;
    for step in &graph.order {
        let block = graph.blocks.get(step.block)?;
        for _ in 0..step.repeat {
            let own = keep(layer);
            layer = layer.checked_add(usize::from(block.part == Part::Layer))?;
            let saved = block_saved(block, shape, own)?;
            let has = |operator: &str| {
                saved.iter().any(|(tag, _)| tag.operator == operator && tag.what == "output")
            };
            for (tag, bytes) in &saved {
                if !(counted && tag.operator == INPUT) {
                    let sum: &mut u128 = total.entry(*tag).or_default();
                    *sum = sum.checked_add(*bytes)?;
                }
            }
            counted = match producer(block, block.output) {
                Some(operator) => has(operator.name),
                // The head leaves the stream as it was.
                None => counted || has(INPUT),
            };
        }
    }
    Some(total)
}
