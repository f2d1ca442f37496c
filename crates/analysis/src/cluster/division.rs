//! How tensor, sequence, context and expert parallelism divide a block: each operator, what it writes, and its weights.
//!
//! [`divisions`] and [`splits`] are the two sides of one fold over the operators; memory and time both read it. Matrices
//! alternate: one whose input is whole is divided by columns, and one whose input is divided by rows (Shoeybi 2019 §3;
//! Korthikanti 2022 §4.2.2; Megatron-LM for experts and further predictions).

use super::Layout;
use crate::graph::{Block, Kind, Operator, Tensor, Value};

/// How something is divided over the devices that share a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Not by tensor parallelism; by tokens where that is with sequence parallelism (Korthikanti 2022 §4.2.2).
    Stream,
    /// By tensor parallelism: heads, or columns of the feed-forward network.
    Tensor,
    /// Likewise, but not into more parts than there are heads of keys and values: further devices have copies.
    Heads(u64),
    /// Rows of experts at their full width: as many as a device receives under a balanced load. Each token is sent once,
    /// whether its stream is divided or on all devices (Singh 2023 §5).
    Rows,
    /// Rows of experts at a width that expert-tensor parallelism divides.
    Inner,
}

impl Split {
    /// The share of a device of values of a micro-batch, rounded up. All of them are divided by context parallelism.
    pub fn values(self, total: u128, layout: &Layout) -> u128 {
        // A group of expert-tensor devices takes the rows of all of its members.
        let times = if self == Split::Rows { layout.expert_tensor } else { 1 };
        let parts = u128::from(self.parts(layout)) * u128::from(layout.context.max(1));
        total.saturating_mul(u128::from(times)).div_ceil(parts)
    }

    /// Into how many parts the devices that share a layer divide it, at least 1; context parallelism is not among them.
    pub fn parts(self, layout: &Layout) -> u64 {
        let parts = match self {
            Split::Stream if layout.sequence_parallel => layout.tensor,
            Split::Stream => 1,
            Split::Heads(heads) => layout.tensor.min(heads),
            Split::Tensor | Split::Rows | Split::Inner => layout.tensor,
        };
        parts.max(1)
    }
}

/// How an operator is divided over the devices that share a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division {
    /// Not at all: each device runs it on the tokens that it has.
    Whole,
    /// A table by rows, of which what is found is summed.
    Table,
    /// By columns: its output is divided so.
    Columns(Split),
    /// By columns, and the parts of its output are gathered.
    Gathered,
    /// By rows: its output is a sum over the devices.
    Rows,
    /// By the width of what it reads, heads or columns.
    Width(Split),
    /// By experts, whose matrices expert-tensor parallelism divides by columns.
    ExpertColumns,
    /// By experts, whose matrices expert-tensor parallelism divides by rows.
    ExpertRows,
    /// Over the rows of experts.
    Routed,
    /// Over the rows of experts, which come back to their tokens.
    Combined,
}

impl Division {
    /// How what it writes is divided.
    pub fn output(self) -> Split {
        match self {
            Division::Columns(split) | Division::Width(split) => split,
            Division::ExpertColumns | Division::Routed => Split::Inner,
            Division::Whole
            | Division::Table
            | Division::Gathered
            | Division::Rows
            | Division::ExpertRows
            | Division::Combined => Split::Stream,
        }
    }

    /// Into how many parts one copy of a tensor of an operator is divided, at least 1.
    pub fn parts(self, operator: &Operator, tensor: &Tensor, layout: &Layout) -> u64 {
        // A bias of sums is added once, on every device.
        let bias = tensor.rows == 1 && tensor.name != "weight";
        let parts = match self {
            // Their vectors are on every device, whatever they are multiplied with.
            _ if matches!(operator.kind, Kind::Norm { .. } | Kind::Activation { .. }) => 1,
            Division::Whole | Division::Routed | Division::Combined => 1,
            Division::Rows | Division::ExpertRows if bias => 1,
            Division::Columns(split) | Division::Width(split) => split.parts(layout),
            Division::Table | Division::Gathered | Division::Rows => layout.tensor,
            Division::ExpertColumns | Division::ExpertRows => layout.expert_tensor,
        };
        parts.max(1)
    }

    /// Whether the matrix of an operator is divided by rows: of an adapter beside it, the first one is then.
    pub fn by_rows(self) -> bool {
        matches!(self, Division::Rows | Division::ExpertRows)
    }
}

/// How each operator of a block is divided, in their order.
pub fn divisions(block: &Block) -> Vec<Division> {
    fold(block).0
}

/// How each value of a block is divided, by its place.
pub fn splits(block: &Block) -> Vec<Split> {
    fold(block).1
}

fn fold(block: &Block) -> (Vec<Division>, Vec<Split>) {
    let mut splits = vec![Split::Stream; block.widths.len()];
    let mut found = Vec::with_capacity(block.operators.len());
    let kv_heads = kv_heads(block);
    for operator in &block.operators {
        let mut read = operator.inputs.iter().filter_map(|value| splits.get(value.0)).copied();
        let read = read.find(|split| *split != Split::Stream).unwrap_or(Split::Stream);
        let own = division(operator, read, kv_heads);
        if let Some(place) = splits.get_mut(operator.output.0) {
            *place = own.output();
        }
        found.push(own);
    }
    (found, splits)
}

/// How an operator is divided, where what it reads is.
fn division(operator: &Operator, read: Split, kv_heads: u64) -> Division {
    match (operator.kind, read) {
        (Kind::Gather { .. }, _) => Division::Table,
        (Kind::MatMul { .. }, Split::Stream) => match operator.name {
            // Small ones, which every device has: latents, gates of one value, from and to the embedding's width.
            "attention.q_down" | "attention.kv_down" | "attention.k_rope" | "moe.shared_weight"
            | "embedding.in" | "embedding.out" => Division::Whole,
            "attention.k" | "attention.v" => Division::Columns(Split::Heads(kv_heads)),
            "mtp.projection" => Division::Gathered,
            _ => Division::Columns(Split::Tensor),
        },
        (Kind::MatMul { .. }, _) => Division::Rows,
        (Kind::Logits { .. }, _) => Division::Columns(Split::Tensor),
        (
            Kind::HeadMatMul { .. }
            | Kind::Scores { .. }
            | Kind::Softmax { .. }
            | Kind::WeightedSum { .. }
            | Kind::Loss { .. },
            _,
        ) => Division::Width(Split::Tensor),
        (Kind::ExpertMatMul { fan_out: true, .. }, _) => Division::ExpertColumns,
        (Kind::ExpertMatMul { .. }, _) => Division::ExpertRows,
        (Kind::Combine { .. }, _) => Division::Combined,
        (Kind::Route { .. } | Kind::Distances { .. } | Kind::AddPosition { .. }, _) => Division::Whole,
        (_, Split::Stream) => Division::Whole,
        (_, Split::Rows | Split::Inner) => Division::Routed,
        (_, Split::Tensor | Split::Heads(_)) => Division::Width(read),
    }
}

/// How what an operator keeps beside its values is divided.
pub fn split_of_extra(operator: &Operator, splits: &[Split], name: &str) -> Split {
    if name == "rows" {
        return Split::Rows;
    }
    let of = |value: Option<&Value>| value.and_then(|value| splits.get(value.0)).copied();
    match operator.kind {
        Kind::MatMul { .. } | Kind::ExpertMatMul { .. } => Split::Stream,
        Kind::Norm { .. } => of(operator.inputs.first()).unwrap_or(Split::Stream),
        _ => of(Some(&operator.output)).unwrap_or(Split::Stream),
    }
}

/// Heads of keys and values of a block's attention, at least 1.
pub fn kv_heads(block: &Block) -> u64 {
    let heads = block.operators.iter().find_map(|operator| match operator.kind {
        Kind::Scores { kv_heads, .. } => Some(kv_heads),
        _ => None,
    });
    heads.unwrap_or(1).max(1)
}
