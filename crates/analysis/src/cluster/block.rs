//! What a micro-batch costs a device, by kind of block: computed once for a [`Layout`], whatever stages and replicas are.

use llmplan_spec::plan::{Checkpointing, ContextKind, ExpertKind};

use super::collective::{Group, exposed};
use super::division::Split;
use super::operator::{Cost, Kernels, Place, cost};
use super::shares::{Share, rows, shares};
use super::states::{reads_embedding, table};
use super::update::Held;
use super::{Layout, System, Workload};
use crate::graph::{Block, Kind, Operator};
use crate::saved::Rerun;

/// Seconds of something forward and backward; backward, with what runs again.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Both {
    /// Forward.
    pub forward: f64,
    /// Backward.
    pub backward: f64,
}

/// One block, or several together, for one micro-batch on one device. Communication is what is exposed of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Blocks that have weights.
    pub units: f64,
    /// Seconds of computing forward.
    pub forward: f64,
    /// Of the gradients of inputs.
    pub inputs: f64,
    /// Of the gradients of weights.
    pub weights: f64,
    /// Of what runs again in the backward pass.
    pub recompute: f64,
    /// Exposed communication of tensor parallelism.
    pub tensor: Both,
    /// Of context parallelism.
    pub context: Both,
    /// Of expert parallelism.
    pub expert: Both,
    /// FLOPs of products, executed forward, backward and again.
    pub flops: f64,
    /// Bytes of block inputs that checkpointing keeps.
    pub kept: f64,
    /// Its weights.
    pub held: Held,
}

impl Load {
    /// Adds so many of another.
    pub fn add(&mut self, other: &Load, count: f64) {
        let both = |own: &mut Both, other: Both| {
            own.forward += other.forward * count;
            own.backward += other.backward * count;
        };
        self.units += other.units * count;
        self.forward += other.forward * count;
        self.inputs += other.inputs * count;
        self.weights += other.weights * count;
        self.recompute += other.recompute * count;
        both(&mut self.tensor, other.tensor);
        both(&mut self.context, other.context);
        both(&mut self.expert, other.expert);
        self.flops += other.flops * count;
        self.kept += other.kept * count;
        self.held.add(&other.held, count);
    }

    /// Seconds of computing backward, with what runs again.
    pub fn backward(&self) -> f64 {
        self.inputs + self.weights + self.recompute
    }

    /// Exposed communication of all that divides a layer.
    pub fn communication(&self) -> Both {
        Both {
            forward: self.tensor.forward + self.context.forward + self.expert.forward,
            backward: self.tensor.backward + self.context.backward + self.expert.backward,
        }
    }
}

/// The loads of all blocks under a layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    /// The layout.
    pub layout: Layout,
    /// For each of [`Graph::blocks`](crate::graph::Graph::blocks): where everything is kept, and where checkpointing is.
    pub blocks: Vec<[Load; 2]>,
    /// Bytes that a stage sends to the next for a micro-batch.
    pub boundary: f64,
    /// Seconds until all devices of the next stage have them, where each has sent a part.
    pub spread: f64,
    /// Bytes of the gradients of a table that embedding and output share; 0 where they have one each.
    pub tied: f64,
}

impl Tables {
    /// The loads of a layout. `None` where pairs of tokens go beyond 128 bits.
    pub fn of(workload: &Workload<'_>, system: &System, layout: Layout) -> Option<Tables> {
        let mut blocks = Vec::with_capacity(workload.graph.blocks.len());
        for block in &workload.graph.blocks {
            let place = Place { workload, system, layout: &layout, block };
            blocks.push([load(&place, false)?, load(&place, true)?]);
        }
        let width = workload.graph.blocks.first().map_or(0, output_width) as f64;
        let bytes = workload.training.precision.bytes() as f64;
        let stream = rows(&layout, workload.tokens) * width * bytes;
        // Where all devices have the same, each sends a part, which the next stage's gather (Narayanan 2021 §4.1).
        let group = Group::new(layout.tensor, 1);
        let spread = if layout.sequence_parallel { 0.0 } else { system.scatter_or_gather(group, stream) };
        let table = if workload.graph.blocks.iter().any(reads_embedding) {
            table(workload, &layout)?.trained
        } else {
            0
        };
        let tied = table as f64 * workload.training.gradients.bytes() as f64;
        Some(Tables { layout, blocks, boundary: stream / layout.tensor as f64, spread, tied })
    }
}

fn output_width(block: &Block) -> u64 {
    block.widths.get(block.output.0).copied().unwrap_or(0)
}

/// The load of a block.
fn load(place: &Place<'_>, recomputed: bool) -> Option<Load> {
    let (training, block) = (place.training(), place.block);
    let overlap = training.parallelism.overlap;
    let rerun = Rerun::of(block, place.layout.checkpointing, training.recompute, recomputed);
    let mut load = Load::default();
    let mut tensor = Both::default();
    let mut expert = Both::default();
    let (mut kernels, mut repeated) = (Kernels::default(), 0.0);
    let shares = shares(block, place.layout, place.workload.tokens);
    for (operator, share) in block.operators.iter().zip(&shares) {
        let own = cost(place, operator, share, joined(block, &shares, operator))?;
        let mut exchanged = exchanged(place, operator, share, own)?;
        load.forward += own.forward;
        load.inputs += own.inputs;
        load.weights += own.weights;
        load.flops += own.forward_flops + own.backward_flops;
        kernels.forward += own.kernels.forward;
        kernels.backward += own.kernels.backward;
        if rerun.again(operator) {
            repeated += own.kernels.forward;
            load.recompute += own.forward;
            load.flops += own.forward_flops;
            exchanged.tensor.backward += exchanged.tensor.forward;
            exchanged.context.backward += exchanged.context.forward;
            exchanged.expert.backward += exchanged.expert.forward;
        }
        add(&mut tensor, exchanged.tensor);
        add(&mut expert, exchanged.expert);
        add(&mut load.context, exchanged.context);
    }
    load.held = Held::of(place.workload, place.layout, block)?;
    // The host starts kernels ahead of the device: where they are shorter, over a whole block, the device waits for it.
    let launch = place.system.launch;
    load.forward = load.forward.max(kernels.forward * launch);
    load.recompute = load.recompute.max(repeated * launch);
    let backward = load.inputs + load.weights;
    if backward > 0.0 {
        let slower = (kernels.backward * launch / backward).max(1.0);
        load.inputs *= slower;
        load.weights *= slower;
    }
    let hide = |own: Both, share: f64, window: Both| Both {
        forward: exposed(own.forward, share, window.forward),
        backward: exposed(own.backward, share, window.backward),
    };
    let window = Both { forward: load.forward, backward: load.backward() };
    load.tensor = hide(tensor, overlap.tensor, window);
    // Tokens on their way to experts hide behind another micro-batch, which may run in the other direction; what
    // tensor parallelism hides behind is taken.
    let sum = |own: Both| own.forward + own.backward;
    let left = sum(window) - (sum(tensor) - sum(load.tensor));
    let seen = exposed(sum(expert), overlap.expert, left);
    let part = if sum(expert) > 0.0 { seen / sum(expert) } else { 0.0 };
    load.expert = Both { forward: expert.forward * part, backward: expert.backward * part };
    load.units = if load.held.all() > 0.0 { 1.0 } else { 0.0 };
    if recomputed && place.layout.checkpointing == Checkpointing::Full {
        let width = block.widths.first().copied().unwrap_or(0) as f64;
        let rows = rows(place.layout, place.workload.tokens) / Split::Stream.parts(place.layout) as f64;
        load.kept = rows * width * place.bytes();
    }
    Some(load)
}

/// The outer dimension on a device of all projections of one kind that read what an operator reads: libraries run them as
/// one.
fn joined(block: &Block, shares: &[Share], operator: &Operator) -> f64 {
    let outer = |other: &Operator| match (operator.kind, other.kind) {
        (Kind::MatMul { .. }, Kind::MatMul { outer, .. }) => outer,
        (Kind::ExpertMatMul { fan_out: true, .. }, Kind::ExpertMatMul { outer, fan_out: true, .. }) => outer,
        (Kind::ExpertMatMul { fan_out: false, .. }, Kind::ExpertMatMul { outer, fan_out: false, .. }) => {
            outer
        }
        _ => 0,
    };
    let all = block.operators.iter().zip(shares);
    let same = all.filter(|(other, _)| other.inputs.first() == operator.inputs.first());
    same.map(|(other, share)| outer(other) as f64 / share.outer).sum()
}

/// What an operator's devices exchange, in seconds. Of context parallelism it is what is exposed.
#[derive(Clone, Copy, Default)]
struct Exchanged {
    tensor: Both,
    context: Both,
    expert: Both,
}

fn exchanged(place: &Place<'_>, operator: &Operator, share: &Share, own: Cost) -> Option<Exchanged> {
    let (layout, bytes) = (place.layout, place.bytes());
    let mut found = Exchanged::default();
    if layout.tensor > 1 {
        found.tensor = divided(place, operator, share);
    }
    if layout.context > 1
        && let Kind::Scores { heads, kv_heads, head_dim, .. } = operator.kind
    {
        let values = place.block.operators.iter().find_map(|other| match other.kind {
            Kind::WeightedSum { head_dim, .. } => Some(head_dim),
            _ => None,
        });
        let width = head_dim as f64 + values.unwrap_or(head_dim) as f64;
        let keys = kv_heads as f64 / Split::Heads(kv_heads).parts(layout) as f64 * width;
        let queries = heads as f64 / Split::Heads(heads).parts(layout) as f64 * width;
        found.context = context(place, share.rows * keys * bytes, share.rows * queries * bytes, own);
    }
    let routed = match operator.kind {
        Kind::Route { inner, active, .. } => (active as f64, active as f64 * inner as f64),
        Kind::Combine { active, width } => (active as f64, active as f64 * width as f64),
        _ => (0.0, 0.0),
    };
    if let (active, routed) = routed
        && routed > 0.0
    {
        // There and back; the gradients take the same way.
        let moved = routed * bytes * rows(layout, place.workload.tokens) / layout.tensor as f64;
        let split = layout.expert_tensor as f64;
        let copies = match place.training().parallelism.expert_kind {
            ExpertKind::AllToAll => 1.0,
            ExpertKind::ByNode => active,
        };
        let seconds = place.system.all_to_all(Group::new(layout.expert, layout.expert_tensor), moved, copies)
            + place.system.scatter_or_gather(Group::new(layout.expert_tensor, 1), moved * split);
        found.expert = Both { forward: seconds, backward: seconds };
    }
    Some(found)
}

/// Of tensor parallelism: a sum over all devices behind each matrix that is divided by rows, and, backward, before each
/// that is divided by columns. Where tokens are divided, each sum is a scatter, and a gather stands on the other side.
fn divided(place: &Place<'_>, operator: &Operator, share: &Share) -> Both {
    let (layout, bytes) = (place.layout, place.bytes());
    let group = Group::new(layout.tensor, 1);
    let whole = rows(layout, place.workload.tokens) * bytes;
    let (_, output) = place.widths(operator);
    let input =
        operator.inputs.first().and_then(|value| place.block.widths.get(value.0)).copied().unwrap_or(0);
    let mut found = Both::default();
    if layout.sequence_parallel {
        let width = if share.gathers { input as f64 } else { 0.0 } + if share.reduces { output } else { 0.0 };
        let seconds = place.system.scatter_or_gather(group, whole * width);
        found = Both { forward: seconds, backward: seconds };
    } else {
        if share.reduces {
            found.forward += place.system.all_reduce(group, whole * output);
        }
        if share.gathers {
            found.backward += place.system.all_reduce(group, whole * input as f64);
        }
    }
    if let Kind::Loss { .. } = operator.kind {
        // The largest logit, the sum of exponentials, and the target's, of each token in fp32.
        found.forward += 3.0 * place.system.all_reduce(group, whole / bytes * 4.0);
    }
    found
}

/// What is exposed of context parallelism. Around a ring, blocks of keys and values travel while others are multiplied;
/// backward their gradients do too. Gathered or exchanged ones are there before attention begins: nothing hides them.
fn context(place: &Place<'_>, keys: f64, queries: f64, own: Cost) -> Both {
    let (layout, system) = (place.layout, place.system);
    let group = Group::new(layout.context, layout.tensor);
    let parts = layout.context as f64;
    match layout.context_kind {
        ContextKind::Ring => {
            let share = place.training().parallelism.overlap.context;
            let seconds = (parts - 1.0) * system.next(group, keys);
            // Scores are one of the two products that it runs beside.
            Both {
                forward: exposed(seconds, share, 2.0 * own.forward),
                backward: exposed(2.0 * seconds, share, 2.0 * own.inputs),
            }
        }
        ContextKind::AllGather => {
            let seconds = system.scatter_or_gather(group, keys * parts);
            Both { forward: seconds, backward: 2.0 * seconds }
        }
        ContextKind::Ulysses => {
            let seconds = 2.0 * system.all_to_all(group, (keys + queries) / 2.0, 1.0);
            Both { forward: seconds, backward: seconds }
        }
    }
}

fn add(own: &mut Both, other: Both) {
    own.forward += other.forward;
    own.backward += other.backward;
}
