//! What operators keep where kernels are fused or not, values are dropped, weights are frozen, and parts of a layer run
//! again: the plain list, changed by what each of these does to it.

use std::collections::BTreeSet;

use llmplan_spec::plan::{AttentionKernel, Checkpointing, Lora, Pointwise, Recompute, Training};

use super::{Extra, Saves, Store, producer, saves, selected};
use crate::graph::{Block, Kind, Operator, Part, Value};
use crate::lora::adapted;

/// How operators run, as far as it decides what they keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// How attention is computed.
    pub attention: AttentionKernel,
    /// Whether pointwise operators that follow each other are one kernel.
    pub pointwise: Pointwise,
    /// Whether values are dropped: of the softmax where that is in memory, and of what each branch adds to the stream.
    pub dropout: bool,
    /// The adapters, where the weights are frozen.
    pub lora: Option<Lora>,
    /// Tokens that each token meets in attention: T.
    pub tokens: u64,
}

impl Policy {
    /// The policy of a training over sequences of so many tokens.
    pub fn of(training: &Training, tokens: u64) -> Policy {
        Policy {
            attention: training.attention,
            pointwise: training.pointwise,
            dropout: training.dropout > 0.0,
            lora: training.lora,
            tokens,
        }
    }
}

/// Which parts of a block run again in the backward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rerun {
    /// All of it, from its input.
    pub whole: bool,
    /// What [`selected`] names.
    pub selected: bool,
    /// The parts that are named.
    pub parts: Recompute,
}

/// What latents become before attention.
const OF_LATENTS: [&str; 5] =
    ["attention.q_up", "attention.k_up", "attention.v_up", "attention.rotate_q", "attention.join_k"];

impl Rerun {
    /// What runs again of a block; `recomputed` says whether it is one of those that the checkpointing is for.
    pub fn of(block: &Block, checkpointing: Checkpointing, parts: Recompute, recomputed: bool) -> Rerun {
        if !recomputed || block.part != Part::Layer {
            return Rerun::default();
        }
        match checkpointing {
            Checkpointing::None => Rerun::default(),
            Checkpointing::Selective => Rerun { selected: true, ..Rerun::default() },
            Checkpointing::Full => Rerun { whole: true, ..Rerun::default() },
            Checkpointing::Modules => Rerun { parts, ..Rerun::default() },
        }
    }

    /// Whether anything runs again.
    pub fn any(self) -> bool {
        self != Rerun::default()
    }

    /// Whether an operator runs again.
    pub fn again(self, operator: &Operator) -> bool {
        self.whole || self.segment(operator) || self.discards(operator)
    }

    /// Whether an operator runs again as part of a segment: what others read of the segment stays.
    fn segment(self, operator: &Operator) -> bool {
        let core =
            matches!(operator.kind, Kind::Scores { .. } | Kind::Softmax { .. } | Kind::WeightedSum { .. });
        let expert = matches!(operator.kind, Kind::ExpertMatMul { .. } | Kind::Combine { .. });
        let (dense, inner) = (operator.name.starts_with("ffn."), operator.name == "moe.activation");
        let feeds = matches!(operator.kind, Kind::MatMul { .. } | Kind::Activation { .. });
        (self.selected && selected(operator.kind))
            || (self.parts.attention && core)
            || (self.parts.ffn && dense && feeds)
            || (self.parts.experts && (expert || inner))
    }

    /// Whether an operator's output is dropped once it has been read, and computed again from what the operator reads.
    fn discards(self, operator: &Operator) -> bool {
        (self.parts.norm && matches!(operator.kind, Kind::Norm { .. }))
            || (self.parts.activation && matches!(operator.kind, Kind::Activation { .. }))
            || (self.parts.latents && OF_LATENTS.contains(&operator.name))
    }
}

/// What an operator keeps under a policy where nothing runs again.
pub fn policy_saves(block: &Block, operator: &Operator, policy: Policy) -> Saves {
    let mut own = saves(block, operator);
    let flash = policy.attention == AttentionKernel::Flash;
    let width = |place: usize| {
        let value = operator.inputs.get(place);
        value.and_then(|value| block.widths.get(value.0)).copied().unwrap_or(0)
    };
    let extra = |name, width, store| Extra { name, width, store };
    match operator.kind {
        // One kernel reads queries, keys and values, and keeps its output and a number for each row (Dao 2022 §3.1).
        Kind::Softmax { heads } if flash => {
            own.output = false;
            own.extras.push(extra("log_sum", heads, Store::Single));
        }
        Kind::WeightedSum { .. } if flash => {
            own = Saves { inputs: vec![1], output: true, extras: Vec::new() }
        }
        Kind::Softmax { heads } if policy.dropout => {
            let pairs = heads.saturating_mul(policy.tokens);
            own.extras.push(extra("mask", pairs, Store::Byte));
            own.extras.push(extra("dropped", pairs, Store::Activation));
        }
        Kind::Add { width } if policy.dropout && operator.name.ends_with(".residual") => {
            own.extras.push(extra("mask", width, Store::Byte));
        }
        Kind::Gather { width } if policy.dropout && block.part == Part::Embedding => {
            own.extras.push(extra("mask", width, Store::Byte));
        }
        // The activation multiplies by the routes, so that what experts give back is summed up and not kept (Megatron Core's
        // fused activation with weights).
        Kind::Combine { .. } if policy.pointwise == Pointwise::Fused => own.inputs = vec![1],
        // Rows are gathered for the experts once, and kept where they were sent.
        Kind::ExpertMatMul { active, inner, fan_out: true, .. } => {
            own.inputs = vec![1];
            if operator.name == "moe.up" {
                own.extras.push(extra("rows", active.saturating_mul(inner), Store::Activation));
            }
        }
        _ => {}
    }
    if policy.pointwise == Pointwise::Unfused {
        match operator.kind {
            Kind::Rotate { .. } => own.inputs.push(0),
            Kind::Activation { kind, width } if kind.gated() => {
                own.extras.push(extra("factor", width, Store::Activation));
            }
            Kind::Gate { .. } => own.extras.push(extra("factor", width(1), Store::Activation)),
            // Squares are of a copy in fp32, and the weight multiplies a copy that is rounded again.
            Kind::Norm { centred: false, .. } => {
                own.inputs.clear();
                own.extras.push(extra("copy", width(0), Store::Single));
                own.extras.push(extra("normed", width(0), Store::Activation));
            }
            _ => {}
        }
    }
    match policy.lora {
        Some(lora) => frozen(operator, lora, own),
        None => own,
    }
}

/// A product with frozen weights needs its input for nothing: its gradient is a product with the weights. An adapter
/// reads the input, and keeps what lies between its matrices (Hu 2021 §4.1).
fn frozen(operator: &Operator, lora: Lora, mut own: Saves) -> Saves {
    let product = matches!(
        operator.kind,
        Kind::MatMul { .. } | Kind::HeadMatMul { .. } | Kind::Logits { .. } | Kind::ExpertMatMul { .. }
    );
    if product && adapted(operator, lora.targets) {
        let copies = match operator.kind {
            Kind::ExpertMatMul { active, .. } => active,
            _ => 1,
        };
        let width = lora.rank.saturating_mul(copies);
        own.extras.push(Extra { name: "adapter", width, store: Store::Activation });
    } else if product {
        own = Saves::default();
    }
    own
}

/// What a block keeps: the places of the values, and for each operator what it keeps beside them.
pub fn needs(block: &Block, policy: Policy, rerun: Rerun) -> (BTreeSet<usize>, Vec<(&Operator, Extra)>) {
    let (mut values, mut extras) = (BTreeSet::new(), Vec::new());
    if rerun.whole {
        values.insert(0);
        return (values, extras);
    }
    let inside = |value: &Value| producer(block, *value).is_some_and(|by| rerun.segment(by));
    for operator in &block.operators {
        if rerun.segment(operator) {
            values.extend(operator.inputs.iter().filter(|value| !inside(value)).map(|value| value.0));
            continue;
        }
        let own = policy_saves(block, operator, policy);
        let inputs = own.inputs.iter().filter_map(|place| operator.inputs.get(*place));
        values.extend(inputs.map(|value| value.0));
        values.extend(own.output.then_some(operator.output.0));
        if !rerun.discards(operator) {
            extras.extend(own.extras.into_iter().map(|extra| (operator, extra)));
        }
    }
    // The last first: what a dropped value is computed from may be dropped too.
    for operator in block.operators.iter().rev().filter(|operator| rerun.discards(operator)) {
        if values.remove(&operator.output.0) {
            values.extend(operator.inputs.iter().map(|value| value.0));
        }
    }
    (values, extras)
}
