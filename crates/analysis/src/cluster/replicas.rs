//! What replicas exchange: gradients that are reduced, and weights that are gathered (Rajbhandari 2020 §7).

use llmplan_spec::plan::Training;

use super::block::Load;
use super::collective::Group;
use super::{Strategy, System};

/// Seconds of what replicas exchange, before any of it hides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Exchange {
    /// Once a step, of gradients.
    pub reduce: f64,
    /// Once a step, of updated weights.
    pub gather: f64,
    /// For each micro-batch forward: weights under stage 3.
    pub forward: f64,
    /// For each micro-batch backward: weights again under stage 3, and gradients under stages 2 and 3.
    pub backward: f64,
}

/// Weights of one kind with the ranks that have the same of them.
struct Kind {
    /// Values that are trained.
    trained: f64,
    /// Bytes of those that are not.
    frozen: f64,
    /// Ranks that ZeRO divides over.
    shard: u64,
    /// Groups of such ranks.
    groups: u64,
    /// From one rank to the next.
    stride: u64,
}

impl Exchange {
    /// What the replicas of a device exchange about its weights, a block at a time.
    pub fn of(training: &Training, system: &System, load: &Load, strategy: &Strategy) -> Exchange {
        let mut found = Exchange::default();
        let (ranks, shard) = (strategy.ranks().max(1), strategy.shard.max(1));
        let (expert_ranks, expert_shard) = (strategy.expert_ranks(), strategy.expert_shard().max(1));
        let held = &load.held;
        let stride = strategy.expert.saturating_mul(strategy.expert_tensor);
        let dense = Kind {
            trained: held.dense,
            frozen: held.frozen,
            shard,
            groups: (ranks / shard).max(1),
            stride: strategy.tensor,
        };
        let experts = Kind {
            trained: held.experts,
            frozen: held.frozen_experts,
            shard: expert_shard,
            groups: (expert_ranks / expert_shard).max(1),
            stride,
        };
        for own in [dense, experts] {
            found.add(training, system, load.units.max(1.0), strategy.zero, &own);
        }
        found
    }

    fn add(&mut self, training: &Training, system: &System, units: f64, zero: u64, own: &Kind) {
        let gradients = own.trained * training.gradients.bytes() as f64;
        let weights = own.trained * training.precision.bytes() as f64;
        let all = Group::new(own.shard.saturating_mul(own.groups), own.stride);
        if zero == 0 {
            self.reduce += units * system.all_reduce(all, gradients / units);
            return;
        }
        let within = Group::new(own.shard, own.stride);
        let between = Group::new(own.groups, own.stride.saturating_mul(own.shard));
        let scatter = units * system.scatter_or_gather(within, gradients / units);
        let gather = |bytes: f64| units * system.scatter_or_gather(within, bytes / units);
        // Each rank's part, where several groups divide the weights.
        self.reduce += units * system.all_reduce(between, gradients / own.shard as f64 / units);
        match zero {
            1 => {
                self.reduce += scatter;
                self.gather += gather(weights);
            }
            2 => {
                self.backward += scatter;
                self.gather += gather(weights);
            }
            _ => {
                let gathered = gather(weights + own.frozen);
                self.forward += gathered;
                self.backward += gathered + scatter;
            }
        }
    }
}
