//! Which strategies can run at all, and which run worse than they need to: one list, for `check` and for a search.

use llmplan_spec::plan::{ContextKind, FeedForward, Mixer, Model, Schedule};

use super::schedule::{self, Shape};
use super::{Strategy, Workload};

/// What a model and a cluster can be divided by: computed once, asked for every strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What tensor parallelism must divide: query heads, feed-forward widths and heads of recurrences.
    pub tensor: u64,
    /// What tensor parallelism of experts must divide: their widths.
    pub expert_tensor: u64,
    /// Query heads of all attention: what Ulysses divides by tensor × context.
    pub heads: u64,
    /// Routed experts; 0 without.
    pub experts: u64,
    /// L: layers.
    pub layers: u64,
    /// What else may stand in a group of its own: embedding, head and modules of multi-token prediction.
    pub ends: u64,
    /// T: tokens of a sequence.
    pub tokens: u64,
    /// Devices of a node.
    pub node: u64,
}

/// Why a strategy cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obstacle {
    /// Tensor parallelism does not divide heads and widths.
    Tensor,
    /// A pipeline has more groups than layers, or interleaving does not divide them.
    Layers,
    /// The schedule is not made for so many chunks or stages.
    Schedule,
    /// Context parallelism does not divide the sequence, or the heads that it exchanges tokens for.
    Context,
    /// Expert parallelism does not divide the experts, or the devices do not make whole groups of it.
    Experts,
    /// ZeRO's groups do not divide the replicas.
    Shard,
    /// The batch is no whole number of micro-batches.
    Batch,
    /// Interleaving needs micro-batches in groups of as many as there are stages.
    Interleave,
}

/// What a strategy wastes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Waste {
    /// Tensor parallelism leaves the node.
    TensorBeyondNode,
    /// A pipeline has more stages than micro-batches to fill them.
    MicroBatchesBelowStages,
    /// ZeRO 2 and 3 reduce gradients in every micro-batch of a pipeline.
    ZeroInPipeline,
    /// Layers cannot be divided evenly over the stages.
    UnevenStages,
}

impl Limits {
    /// The limits of a model in a workload.
    pub fn of(model: &Model, workload: &Workload<'_>) -> Limits {
        let (mut tensor, mut expert_tensor, mut heads, mut experts) = (0, 0, 0, 0);
        for kind in &model.kinds {
            match &kind.layer.mixer {
                Mixer::Attention(own) => {
                    tensor = gcd(tensor, own.heads);
                    heads = gcd(heads, own.heads);
                }
                Mixer::Mamba2(own) => tensor = gcd(tensor, own.heads()),
                Mixer::GatedDelta(own) => tensor = gcd(tensor, own.key_heads),
                _ => {}
            }
            match &kind.layer.feed_forward {
                FeedForward::Dense(own) => tensor = gcd(tensor, own.d_ff),
                FeedForward::Moe(own) => {
                    experts = gcd(experts, own.experts);
                    expert_tensor = gcd(expert_tensor, own.d_ff);
                    if own.shared_experts > 0 {
                        tensor = gcd(tensor, own.shared_d_ff);
                    }
                }
                _ => {}
            }
        }
        Limits {
            tensor,
            expert_tensor,
            heads,
            experts,
            layers: model.layers,
            ends: model.mtp.saturating_add(2),
            tokens: workload.tokens,
            node: workload.hardware.device.devices_per_node,
        }
    }

    /// The first reason for which a strategy cannot run.
    pub fn obstacle(&self, workload: &Workload<'_>, strategy: &Strategy) -> Option<Obstacle> {
        let divides = |part: u64, whole: u64| whole.checked_rem(part) == Some(0);
        let Strategy { tensor, pipeline, context, expert, expert_tensor, .. } = *strategy;
        if !divides(tensor, self.tensor) {
            return Some(Obstacle::Tensor);
        }
        let groups = pipeline.saturating_mul(strategy.chunks());
        if groups > self.layers.saturating_add(self.ends) || (strategy.chunks() > 1 && !self.even(groups)) {
            return Some(Obstacle::Layers);
        }
        let fits = match strategy.schedule {
            Schedule::OneForwardOneBackward => strategy.interleave == 1 || pipeline > 1,
            _ => strategy.interleave == 1,
        };
        if !fits {
            return Some(Obstacle::Schedule);
        }
        let exchanged = strategy.context_kind == ContextKind::Ulysses;
        if !divides(context, self.tokens)
            || (exchanged && !divides(context.saturating_mul(tensor), self.heads))
        {
            return Some(Obstacle::Context);
        }
        if expert > 1 || expert_tensor > 1 {
            let stage = tensor.saturating_mul(strategy.ranks());
            if self.experts == 0
                || !divides(expert, self.experts)
                || !divides(expert_tensor, self.expert_tensor)
                || !divides(expert.saturating_mul(expert_tensor), stage)
            {
                return Some(Obstacle::Experts);
            }
        }
        if !divides(strategy.shard, strategy.ranks()) {
            return Some(Obstacle::Shard);
        }
        let Some(micro_batches) = workload.micro_batches(strategy) else { return Some(Obstacle::Batch) };
        let shape = Shape { stages: pipeline, chunks: strategy.interleave, micro_batches };
        if pipeline > 1 && !schedule::runs(strategy.schedule, shape) {
            return Some(Obstacle::Schedule);
        }
        if strategy.interleave > 1 && !divides(pipeline, micro_batches) {
            return Some(Obstacle::Interleave);
        }
        None
    }

    /// What a strategy that can run wastes.
    pub fn wastes(&self, workload: &Workload<'_>, strategy: &Strategy) -> Vec<Waste> {
        let micro_batches = workload.micro_batches(strategy).unwrap_or(1);
        [
            (strategy.tensor > self.node, Waste::TensorBeyondNode),
            (micro_batches < strategy.pipeline, Waste::MicroBatchesBelowStages),
            (strategy.zero >= 2 && strategy.pipeline > 1 && micro_batches > 1, Waste::ZeroInPipeline),
            (!self.even(strategy.pipeline.saturating_mul(strategy.chunks())), Waste::UnevenStages),
        ]
        .into_iter()
        .filter_map(|(there, waste)| there.then_some(waste))
        .collect()
    }

    /// Whether layers can be divided over groups: evenly, or with embedding, head and modules in place of a layer each.
    pub fn even(&self, groups: u64) -> bool {
        (0..=self.ends).any(|more| self.layers.saturating_add(more).is_multiple_of(groups.max(1)))
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
