//! What one device does of each operator, as the operators are divided.

use super::Layout;
use super::division::{Division, Split, divisions};
use crate::graph::Block;

/// What one device does of an operator for one micro-batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Tokens that it runs on.
    pub rows: f64,
    /// What the inner dimension of its matrix is divided by.
    pub inner: f64,
    /// What the outer one is divided by, and what widths and heads are.
    pub outer: f64,
    /// Whether its input is gathered for it, where tokens are divided; backward, its gradient is reduced.
    pub gathers: bool,
    /// Whether its output is a sum over the devices, or gathered from them.
    pub reduces: bool,
}

/// Tokens of a micro-batch on one device, before tensor parallelism divides any.
pub fn rows(layout: &Layout, tokens: u64) -> f64 {
    layout.micro_batch as f64 * tokens as f64 / layout.context as f64
}

/// The shares of a block's operators, in their order.
pub fn shares(block: &Block, layout: &Layout, tokens: u64) -> Vec<Share> {
    let rows = rows(layout, tokens);
    let mut gathered = vec![false; block.widths.len()];
    let mut shares = Vec::with_capacity(block.operators.len());
    for (operator, division) in block.operators.iter().zip(divisions(block)) {
        let mut share = share(division, layout, rows);
        if share.gathers
            && let Some(value) = operator.inputs.first()
            && let Some(known) = gathered.get_mut(value.0)
        {
            // What several matrices read is gathered once.
            share.gathers = !std::mem::replace(known, true);
        }
        shares.push(share);
    }
    shares
}

/// The share of an operator that is divided so, of so many tokens.
fn share(division: Division, layout: &Layout, rows: f64) -> Share {
    let parts = |split: Split| split.parts(layout) as f64;
    let (tensor, experts) = (layout.tensor as f64, layout.expert_tensor as f64);
    let all = Share { rows, inner: 1.0, outer: 1.0, gathers: false, reduces: false };
    let whole = Share { rows: rows / parts(Split::Stream), ..all };
    let routed = Share { rows: rows / tensor, ..all };
    match division {
        Division::Whole => whole,
        Division::Table => Share { reduces: true, ..whole },
        Division::Columns(split) => Share { outer: parts(split), gathers: true, ..all },
        Division::Gathered => Share { outer: tensor, gathers: true, reduces: true, ..all },
        Division::Rows => Share { inner: tensor, reduces: true, ..all },
        Division::Width(split) => Share { outer: parts(split), ..all },
        Division::ExpertColumns => Share { outer: experts, ..routed },
        Division::ExpertRows => Share { inner: experts, ..routed },
        Division::Routed => routed,
        Division::Combined => Share { reduces: !layout.sequence_parallel, ..routed },
    }
}
