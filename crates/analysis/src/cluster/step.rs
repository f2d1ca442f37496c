//! The time of one step, in parts that sum to it.

use llmplan_spec::plan::{Offload, Schedule};

use super::block::{Both, Load, Tables};
use super::collective::{Group, exposed};
use super::replicas::Exchange;
use super::schedule::{self, Passes, Shape};
use super::stages::{Content, contents};
use super::update::update;
use super::{Strategy, System, Workload};

/// Seconds of one step by the clock on the wall: what hides behind something else is in none of the parts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTime {
    /// Operators forward and backward, on the slowest stage.
    pub compute: f64,
    /// What runs again because it was not kept.
    pub recompute: f64,
    /// Waiting for other stages.
    pub bubble: f64,
    /// Communication of tensor parallelism.
    pub tensor: f64,
    /// Between stages.
    pub pipeline: f64,
    /// Of context parallelism.
    pub context: f64,
    /// Of expert parallelism.
    pub expert: f64,
    /// Between replicas.
    pub data: f64,
    /// The update of the weights.
    pub optimizer: f64,
    /// Transfers to and from the host.
    pub offload: f64,
    /// Waiting for data.
    pub loading: f64,
    /// FLOPs of products that a device executes in the step, the mean of all devices.
    pub hardware_flops: f64,
    /// m: micro-batches of each replica.
    pub micro_batches: f64,
    /// Seconds that replicas exchange something, whether it hides or not.
    pub exchange: f64,
    /// Seconds of forward computing that gathering can hide behind: of one micro-batch.
    pub forward_window: f64,
    /// Seconds of backward computing that reducing can hide behind: of one micro-batch.
    pub backward_window: f64,
}

impl StepTime {
    /// Seconds of the step: the sum of its parts.
    pub fn total(&self) -> f64 {
        self.device() + self.loading
    }

    /// Seconds of the step but for waiting for data.
    fn device(&self) -> f64 {
        self.compute
            + self.recompute
            + self.bubble
            + self.tensor
            + self.pipeline
            + self.context
            + self.expert
            + self.data
            + self.optimizer
            + self.offload
    }
}

/// The loads of a pipeline's stages: computed once for a layout and the number, order and parts of stages.
#[derive(Clone, Debug, PartialEq)]
pub struct Stages {
    /// Each different load, and how many stages have it.
    different: Vec<(Load, f64)>,
    /// Their mean.
    mean: Load,
}

impl Stages {
    /// The loads of stages, by their contents.
    pub fn of(tables: &Tables, contents: &[Content]) -> Stages {
        let mut different: Vec<(Load, f64)> = Vec::new();
        let mut mean = Load::default();
        for content in contents {
            let mut load = Load::default();
            for piece in &content.pieces {
                if let Some(own) = tables.blocks.get(piece.block) {
                    let [kept, again] = own;
                    load.add(if piece.recomputed { again } else { kept }, piece.count as f64);
                }
            }
            mean.add(&load, 1.0 / contents.len() as f64);
            match different.iter_mut().find(|(known, _)| *known == load) {
                Some((_, count)) => *count += 1.0,
                None => different.push((load, 1.0)),
            }
        }
        Stages { different, mean }
    }

    /// Seconds of one micro-batch on the slowest stage, but for what stages and replicas exchange.
    pub fn slowest(&self) -> f64 {
        let seconds = |load: &Load| {
            let communication = load.communication();
            load.forward + load.backward() + communication.forward + communication.backward
        };
        self.different.iter().map(|(load, _)| seconds(load)).fold(0.0, f64::max)
    }
}

/// The time of a step under a strategy; `None` where the system lacks a figure, the batch is no whole number of
/// micro-batches, or counts go beyond 128 bits.
pub fn step(workload: &Workload<'_>, strategy: &Strategy) -> Option<StepTime> {
    let system = System::of(workload.hardware, workload.training).ok()?;
    let tables = Tables::of(workload, &system, strategy.layout())?;
    let contents = contents(workload.graph, workload.training, workload.layers, strategy);
    step_time(workload, &system, &tables, &Stages::of(&tables, &contents), strategy)
}

/// The same from what was computed before: tables of the strategy's layout, and its stages. `None` as [`step`].
///
/// The slowest stage sets the pace: the step takes as long as it would with all of them equal to it, and a bubble that
/// the others leave.
pub fn step_time(
    workload: &Workload<'_>,
    system: &System,
    tables: &Tables,
    stages: &Stages,
    strategy: &Strategy,
) -> Option<StepTime> {
    let count = workload.micro_batches(strategy)? as f64;
    let mut slowest: Option<StepTime> = None;
    for (load, _) in &stages.different {
        let own = stage(workload, system, tables, stages, (load, count), strategy)?;
        if slowest.is_none_or(|known| known.device() < own.device()) {
            slowest = Some(own);
        }
    }
    let mut time = slowest?;
    let mirrored = if strategy.schedule == Schedule::DualPipe { 0.5 } else { 1.0 };
    time.hardware_flops = stages.mean.flops * count * mirrored;
    if let Some(rate) = workload.training.loading {
        // The next batch is read while this one is trained.
        time.loading = (workload.batch as f64 / rate - time.device()).max(0.0);
    }
    Some(time)
}

/// The time of a step as one stage sets it.
fn stage(
    workload: &Workload<'_>,
    system: &System,
    tables: &Tables,
    stages: &Stages,
    (load, count): (&Load, f64),
    strategy: &Strategy,
) -> Option<StepTime> {
    let training = workload.training;
    let overlap = training.parallelism.overlap;
    // Two copies of the model run towards each other: each device has two stages, for half of the micro-batches each.
    let runs = if strategy.schedule == Schedule::DualPipe { count / 2.0 } else { count };
    let communication = load.communication();
    let exchange = Exchange::of(training, system, load, strategy);
    let ahead = if strategy.prefetch > 0 { overlap.data } else { 0.0 };
    // Replicas exchange while a device computes, and while its other communication keeps it waiting.
    let windows = (load.forward + communication.forward, load.backward() + communication.backward);
    let waits = Both {
        forward: exposed(exchange.forward, ahead, windows.0),
        backward: exposed(exchange.backward, ahead, windows.1),
    };
    let each = waits.forward + waits.backward;
    // A block's own part has nothing ahead of the first one, or behind the last.
    let units = load.units.max(1.0);
    let first = if strategy.zero >= 3 { exchange.forward / units } else { 0.0 };
    let once = |seconds: f64, window: f64, used: f64| {
        let left = (window - used * ahead).max(0.0);
        exposed(seconds, overlap.data, left).max(seconds / units)
    };
    let once = once(exchange.reduce, windows.1, exchange.backward)
        + once(exchange.gather, windows.0, exchange.forward);
    let update = update(training, system, &load.held, strategy)?;
    let host = transfers(system, load, strategy, workload)?;
    // The host's link is another one: it works while replicas keep a device waiting, too.
    let beside = (windows.0 + waits.forward, windows.1 + waits.backward);
    let offload = exposed(host.0, overlap.offload, beside.0) + exposed(host.1, overlap.offload, beside.1);
    let behind = (beside.1 - host.1 * overlap.offload).max(0.0);
    let link = |bytes: f64| if bytes > 0.0 { bytes / system.host_link } else { 0.0 };
    let sends = sends(system, tables, strategy, load, overlap.pipeline);
    let bubble = bubble(stages, (load, count), strategy, (sends, each + offload));
    Some(StepTime {
        compute: runs * (load.forward + load.inputs + load.weights),
        recompute: runs * load.recompute,
        bubble,
        tensor: runs * (load.tensor.forward + load.tensor.backward),
        pipeline: runs * sends,
        context: runs * (load.context.forward + load.context.backward),
        expert: runs * (load.expert.forward + load.expert.backward),
        data: runs * each + once + first + tied(system, tables, strategy),
        optimizer: update.optimizer + norm(system, strategy),
        // Gradients leave while the last backward pass runs; weights come back behind the update.
        offload: runs * offload
            + exposed(link(update.down), overlap.offload, behind)
            + link(update.up) * (1.0 - overlap.offload),
        loading: 0.0,
        hardware_flops: 0.0,
        micro_batches: count,
        exchange: exchange.reduce + exchange.gather + runs * (exchange.forward + exchange.backward),
        forward_window: windows.0,
        backward_window: windows.1,
    })
}

/// Seconds of one micro-batch's transfers to and from the host, forward and backward: weights that it keeps (Rajbhandari
/// 2021 §5), and the inputs of layers. `None` without a link.
fn transfers(
    system: &System,
    load: &Load,
    strategy: &Strategy,
    workload: &Workload<'_>,
) -> Option<(f64, f64)> {
    let mut bytes = 0.0;
    if strategy.offload == Offload::Parameters {
        let (dense, experts) = if strategy.zero >= 3 {
            (strategy.shard.max(1) as f64, strategy.expert_shard().max(1) as f64)
        } else {
            (1.0, 1.0)
        };
        let weight = workload.training.precision.bytes() as f64;
        let held = &load.held;
        bytes += (held.dense * weight + held.frozen) / dense;
        bytes += (held.experts * weight + held.frozen_experts) / experts;
    }
    if strategy.offload_activations {
        bytes += load.kept;
    }
    if bytes == 0.0 {
        return Some((0.0, 0.0));
    }
    (system.host_link > 0.0).then(|| (bytes / system.host_link, bytes / system.host_link))
}

/// Exposed seconds of one micro-batch between stages: its activations come in, and their gradients, once for each part of
/// the model that a device has.
fn sends(system: &System, tables: &Tables, strategy: &Strategy, load: &Load, share: f64) -> f64 {
    if strategy.pipeline <= 1 {
        return 0.0;
    }
    let stride = strategy.tensor.saturating_mul(strategy.ranks());
    let seconds = system.next(Group::new(strategy.pipeline, stride), tables.boundary) + tables.spread;
    let parts = if strategy.schedule == Schedule::DualPipe { 2.0 } else { strategy.chunks() as f64 };
    parts * (exposed(seconds, share, load.forward / parts) + exposed(seconds, share, load.backward() / parts))
}

/// Seconds that a stage waits for the others, who all wait for each other before the weights change: those of its
/// schedule at the mean of the other stages, as the slowest does not wait for itself.
fn bubble(
    stages: &Stages,
    (load, micro_batches): (&Load, f64),
    strategy: &Strategy,
    (sends, each): (f64, f64),
) -> f64 {
    let pipeline = strategy.pipeline as f64;
    if pipeline <= 1.0 {
        return 0.0;
    }
    let others = |mean: f64, own: f64| ((mean * pipeline - own) / (pipeline - 1.0)).max(0.0);
    let mean = &stages.mean;
    let extra = (sends + each) / 2.0;
    let forward = |own: &Load| own.forward + own.communication().forward + extra;
    let inputs = |own: &Load| own.inputs + own.recompute + own.communication().backward + extra;
    let f = others(forward(mean), forward(load));
    let b = others(inputs(mean), inputs(load));
    let w = others(mean.weights, load.weights);
    // Of the two stages that a device has where the model runs from both ends, each is half of its load.
    let part = if strategy.schedule == Schedule::DualPipe { 0.5 } else { 1.0 };
    let passes = Passes { forward: f * part, input: b * part, weight: w * part };
    let shape =
        Shape { stages: strategy.pipeline, chunks: strategy.interleave, micro_batches: micro_batches as u64 };
    schedule::synchronized_bubble(strategy.schedule, shape, passes).max(0.0)
}

/// Seconds until embedding and output, which are on the ends of a pipeline, have the sum of the gradients of the table
/// that they share (Narayanan 2021 §3.1).
fn tied(system: &System, tables: &Tables, strategy: &Strategy) -> f64 {
    if strategy.pipeline <= 1 {
        return 0.0;
    }
    let stride = strategy.tensor.saturating_mul(strategy.ranks()).saturating_mul(strategy.pipeline - 1);
    system.all_reduce(Group::new(2, stride), tables.tied)
}

/// Seconds until all devices know the norm of all gradients.
fn norm(system: &System, strategy: &Strategy) -> f64 {
    system.all_reduce(Group::new(strategy.devices(), 1), 4.0)
}
