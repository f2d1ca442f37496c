//! The folds over the Graph: parameters, matmul FLOPs, blocks of an 8-bit optimizer. Exact, or nothing.

use std::collections::BTreeMap;

use llmplan_spec::plan::AttentionConvention;

use crate::graph::{Component, Graph, Kind};

/// Counts by component; components without any are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Component, u128>);

impl Counts {
    /// The count of a component.
    pub fn of(&self, component: Component) -> u128 {
        self.0.get(&component).copied().unwrap_or(0)
    }

    /// The sum of all; `None` beyond 128 bits.
    pub fn total(&self) -> Option<u128> {
        self.0.values().try_fold(0_u128, |total, count| total.checked_add(*count))
    }

    fn add(&mut self, component: Component, count: u128) -> Option<()> {
        let sum = self.of(component).checked_add(count)?;
        self.0.insert(component, sum);
        Some(())
    }
}

/// Trainable parameters by component. `None` beyond 128 bits.
pub fn params(graph: &Graph) -> Option<Counts> {
    let mut counts = Counts::default();
    for group in &graph.groups {
        for operator in &group.operators {
            for tensor in &operator.weights {
                let count = tensor.elements().checked_mul(u128::from(group.repeat))?;
                counts.add(operator.component, count)?;
            }
        }
    }
    Some(counts)
}

/// FLOPs of the matrix products of one forward pass over a sequence of `tokens`, by component. A multiply-add is two.
/// Full attention counts T² pairs, causal the T(T+1)/2 that the mask leaves. `None` beyond 128 bits.
pub fn forward_flops(graph: &Graph, tokens: u64, attention: AttentionConvention) -> Option<Counts> {
    let t = u128::from(tokens);
    // Twice the number of pairs, so that it is whole: each pair costs two operations for each value.
    let pairs_twice = match attention {
        AttentionConvention::Full => t.checked_mul(t)?.checked_mul(2)?,
        AttentionConvention::Causal => t.checked_mul(t.checked_add(1)?)?,
    };
    let mut counts = Counts::default();
    for group in &graph.groups {
        for operator in &group.operators {
            let flops = match operator.kind {
                Kind::MatMul { inner, outer } | Kind::Logits { inner, outer } => {
                    t.checked_mul(2)?.checked_mul(u128::from(inner).checked_mul(u128::from(outer))?)?
                }
                Kind::Scores { heads, head_dim, .. } | Kind::WeightedSum { heads, head_dim, .. } => {
                    pairs_twice.checked_mul(u128::from(heads).checked_mul(u128::from(head_dim))?)?
                }
                // Lookups and pointwise work are memory traffic, not matrix products.
                _ => continue,
            };
            counts.add(operator.component, flops.checked_mul(u128::from(group.repeat))?)?;
        }
    }
    Some(counts)
}

/// Blocks of `block` values in which an 8-bit optimizer keeps one scale: every tensor begins a block of its own
/// (Dettmers 2021 §2.1). `None` beyond 128 bits, or for blocks of no values.
pub fn optimizer_blocks(graph: &Graph, block: u64) -> Option<u128> {
    let block = u128::from(block);
    let mut blocks = 0_u128;
    for group in &graph.groups {
        for tensor in group.operators.iter().flat_map(|operator| &operator.weights) {
            let own = tensor.elements().checked_add(block.checked_sub(1)?)?.checked_div(block)?;
            blocks = blocks.checked_add(own.checked_mul(u128::from(group.repeat))?)?;
        }
    }
    Some(blocks)
}
