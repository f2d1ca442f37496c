//! The weights of a device, and the time of updating them.

use llmplan_spec::plan::{MainGradients, Offload, Optimizer, Training};

use super::division::divisions;
use super::states::{Share, block_states};
use super::{Layout, Strategy, System, Workload};
use crate::graph::{Block, Kind, Part, Tensor};

/// Weights of one device before ZeRO divides them. Those of experts have replicas of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Held {
    /// Trained values outside of routed experts.
    pub dense: f64,
    /// Trained values of routed experts.
    pub experts: f64,
    /// Bytes of frozen values outside of routed experts.
    pub frozen: f64,
    /// Bytes of frozen values of routed experts.
    pub frozen_experts: f64,
    /// FLOPs of an update by whole matrices, all of a layer's.
    pub update_flops: f64,
}

impl Held {
    /// Adds so many of another.
    pub fn add(&mut self, other: &Held, count: f64) {
        self.dense += other.dense * count;
        self.experts += other.experts * count;
        self.frozen += other.frozen * count;
        self.frozen_experts += other.frozen_experts * count;
        self.update_flops += other.update_flops * count;
    }

    /// Whether there are any, as a sum.
    pub fn all(&self) -> f64 {
        self.dense + self.experts + self.frozen + self.frozen_experts
    }

    /// The weights of a block under a layout; `None` beyond 64 bits.
    pub(super) fn of(workload: &Workload<'_>, layout: &Layout, block: &Block) -> Option<Held> {
        let training = workload.training;
        let states = block_states(workload, layout, block)?;
        let frozen = |share: &Share| {
            share.weights.saturating_sub(share.trained.saturating_mul(training.precision.bytes())) as f64
        };
        Some(Held {
            dense: states.dense.trained as f64,
            experts: states.expert.trained as f64,
            frozen: frozen(&states.dense),
            frozen_experts: frozen(&states.expert),
            update_flops: block_update_flops(training, layout, block),
        })
    }
}

/// FLOPs of an update of a layer's matrices by whole matrices.
fn block_update_flops(training: &Training, layout: &Layout, block: &Block) -> f64 {
    if training.lora.is_some() || block.part != Part::Layer {
        return 0.0;
    }
    let mut sum = 0.0;
    for (operator, division) in block.operators.iter().zip(divisions(block)) {
        let experts = matches!(operator.kind, Kind::ExpertMatMul { .. });
        let devices = if experts { layout.expert.max(1) } else { 1 };
        for tensor in operator.weights.iter().filter(|tensor| tensor.trained && tensor.rows > 1) {
            let parts = division.parts(operator, tensor, layout).saturating_mul(devices);
            sum += update_flops(training.optimizer, tensor) * tensor.copies as f64 / parts as f64;
        }
    }
    sum
}

/// FLOPs that an optimizer spends on a matrix beside its values' own update. Roots and bases that are refreshed every
/// tens of steps are not counted.
fn update_flops(optimizer: Optimizer, tensor: &Tensor) -> f64 {
    let (m, n) = (tensor.rows.min(tensor.columns) as f64, tensor.rows.max(tensor.columns) as f64);
    match optimizer {
        // Five Newton–Schulz iterations (Jordan 2024).
        Optimizer::Muon => 5.0 * (4.0 * m * m * n + 2.0 * m * m * m),
        // Statistics of both sides, and a product with the root of each (Gupta 2018, algorithm 1).
        Optimizer::Shampoo => 4.0 * (m * m * n + m * n * n),
        // Statistics, and gradient and update there and back (Vyas 2024, algorithm 3).
        Optimizer::Soap => 8.0 * (m * m * n + m * n * n),
        Optimizer::Sgd
        | Optimizer::Momentum
        | Optimizer::Adam
        | Optimizer::Adamw
        | Optimizer::Adam8bit
        | Optimizer::Adafactor
        | Optimizer::Lion => 0.0,
    }
}

/// Bytes that the update of one value reads and writes: gradient, states, the weights in fp32, and those of the passes.
fn update_bytes(training: &Training) -> f64 {
    let gradient = training.gradients.bytes() as f64;
    let state = training.optimizer_states.bytes() as f64;
    let states = match training.optimizer {
        Optimizer::Sgd => 0.0,
        Optimizer::Momentum | Optimizer::Lion | Optimizer::Muon => state,
        Optimizer::Adam | Optimizer::Adamw | Optimizer::Shampoo | Optimizer::Soap => 2.0 * state,
        Optimizer::Adam8bit => 2.0,
        // Sums of rows and columns: the update itself passes through memory.
        Optimizer::Adafactor => 4.0,
    };
    let copied = match training.main_gradients {
        MainGradients::None => 0.0,
        MainGradients::Sharded | MainGradients::Whole => gradient + 4.0,
    };
    let weight = training.precision.bytes() as f64;
    let weights = if training.master_weights { 8.0 + weight } else { 2.0 * weight };
    // Once more for their norm, and once to set them to zero.
    3.0 * gradient + copied + 2.0 * states + weights
}

/// The update of one step, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    /// Of the optimizer, where it runs.
    pub optimizer: f64,
    /// Bytes of gradients to the host.
    pub down: f64,
    /// Bytes of weights back.
    pub up: f64,
}

/// The time of updating what a device updates: all that it holds, or what ZeRO leaves it. On the host it takes the time
/// of the host's memory (Ren 2021 §5). `None` where that is not known.
pub fn update(training: &Training, system: &System, held: &Held, strategy: &Strategy) -> Option<Update> {
    let (dense, experts) = match strategy.zero {
        0 => (1.0, 1.0),
        _ => (strategy.shard.max(1) as f64, strategy.expert_shard().max(1) as f64),
    };
    let values = held.dense / dense + held.experts / experts;
    let computes = held.update_flops / dense / system.others;
    let bytes = values * update_bytes(training);
    if strategy.offload == Offload::None {
        return Some(Update { optimizer: system.moves(bytes) + computes, down: 0.0, up: 0.0 });
    }
    if system.host_memory <= 0.0 || system.host_link <= 0.0 {
        return None;
    }
    Some(Update {
        optimizer: bytes / system.host_memory + computes,
        down: values * training.gradients.bytes() as f64,
        up: values * training.precision.bytes() as f64,
    })
}
