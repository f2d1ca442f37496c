//! Why strategies were rejected: how many by each reason, and the one that came nearest.

use crate::cluster::feasible::{Limits, Obstacle};
use crate::cluster::{Strategy, Workload};

/// What bound a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// It cannot run at all.
    Obstacle(Obstacle),
    /// A device has less memory than it takes.
    DeviceMemory,
    /// The plan requires `memory.per_device` to be less.
    RequiredMemory,
    /// A host has less memory than what is offloaded to it takes.
    HostMemory,
    /// The plan requires a step to be shorter.
    RequiredTime,
    /// A number of it is beyond 64 bits, or the device lacks a figure that it needs.
    Unknown,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 13] = [
        Family::Obstacle(Obstacle::Tensor),
        Family::Obstacle(Obstacle::Layers),
        Family::Obstacle(Obstacle::Schedule),
        Family::Obstacle(Obstacle::Context),
        Family::Obstacle(Obstacle::Experts),
        Family::Obstacle(Obstacle::Shard),
        Family::Obstacle(Obstacle::Batch),
        Family::Obstacle(Obstacle::Interleave),
        Family::DeviceMemory,
        Family::RequiredMemory,
        Family::HostMemory,
        Family::RequiredTime,
        Family::Unknown,
    ];

    fn place(self) -> usize {
        Family::ALL.iter().position(|own| *own == self).unwrap_or(Family::ALL.len() - 1)
    }
}

/// The nearest miss of a family: what it came to, and what there was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Miss {
    /// What the strategy needs.
    pub value: f64,
    /// What there is: the most, or what should divide or be divided.
    pub limit: f64,
    /// The strategy.
    pub strategy: Strategy,
}

/// A family, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    /// The family.
    pub family: Family,
    /// Strategies that it took.
    pub strategies: u64,
    /// The one that needs least.
    pub nearest: Miss,
}

/// What was rejected so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasons {
    found: [Option<Reason>; Family::ALL.len()],
}

impl Reasons {
    /// Adds so many strategies, of which this is the nearest.
    pub fn add(&mut self, family: Family, strategies: u64, nearest: Miss) {
        let Some(own) = self.found.get_mut(family.place()) else { return };
        match own {
            None => *own = Some(Reason { family, strategies, nearest }),
            Some(known) => {
                known.strategies = known.strategies.saturating_add(strategies);
                let order = nearest.value.total_cmp(&known.nearest.value);
                if order.then_with(|| nearest.strategy.cmp(&known.nearest.strategy)).is_lt() {
                    known.nearest = nearest;
                }
            }
        }
    }

    /// What the nearest miss of a family needs; infinite where it has none.
    pub fn least(&self, family: Family) -> f64 {
        self.found.get(family.place()).copied().flatten().map_or(f64::INFINITY, |own| own.nearest.value)
    }

    /// Adds all of others.
    pub fn absorb(&mut self, other: &Reasons) {
        other.list().for_each(|own| self.add(own.family, own.strategies, own.nearest));
    }

    /// Each family that took something, in the order of [`Family::ALL`].
    pub fn list(&self) -> impl Iterator<Item = &Reason> {
        self.found.iter().flatten()
    }
}

/// The numbers of a strategy that cannot run: what does not divide or fit, and into what.
pub fn miss(obstacle: Obstacle, limits: &Limits, workload: &Workload<'_>, strategy: &Strategy) -> Miss {
    let sequences = workload.batch as f64 / workload.tokens as f64;
    let micro_batches = workload.micro_batches(strategy).unwrap_or(0);
    let groups = strategy.pipeline.saturating_mul(strategy.chunks());
    let (value, limit) = match obstacle {
        Obstacle::Tensor => (strategy.tensor as f64, limits.tensor as f64),
        Obstacle::Layers => (groups as f64, limits.layers as f64),
        Obstacle::Schedule => (strategy.pipeline as f64, micro_batches as f64),
        Obstacle::Context if limits.tokens.is_multiple_of(strategy.context.max(1)) => {
            (strategy.context.saturating_mul(strategy.tensor) as f64, limits.heads as f64)
        }
        Obstacle::Context => (strategy.context as f64, limits.tokens as f64),
        Obstacle::Experts if limits.experts.is_multiple_of(strategy.expert.max(1)) && limits.experts > 0 => {
            let group = strategy.expert.saturating_mul(strategy.expert_tensor);
            (group as f64, strategy.tensor.saturating_mul(strategy.ranks()) as f64)
        }
        Obstacle::Experts => (strategy.expert as f64, limits.experts as f64),
        Obstacle::Shard => (strategy.shard as f64, strategy.ranks() as f64),
        Obstacle::Batch => (strategy.data.saturating_mul(strategy.micro_batch) as f64, sequences),
        Obstacle::Interleave => (strategy.pipeline as f64, micro_batches as f64),
    };
    Miss { value, limit, strategy: *strategy }
}
