//! The strategies that a search looks at.
//!
//! What changes nothing is there once: without a pipeline there is one schedule, without replicas no ZeRO, without
//! tensor parallelism no choice of what it divides.

use llmplan_spec::plan::{Checkpointing, ContextKind, Model, Offload, Schedule, Training};

use crate::cluster::feasible::Limits;
use crate::cluster::{Layout, Strategy, System, Workload};

/// Something that a search chooses, unless it is told to leave it as declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Knob {
    /// `parallelism.tensor`
    Tensor,
    /// `parallelism.pipeline`
    Pipeline,
    /// `parallelism.context`
    Context,
    /// `parallelism.expert`
    Expert,
    /// `parallelism.zero` and `parallelism.shard`
    Zero,
    /// `parallelism.schedule` and `parallelism.interleave`
    Schedule,
    /// `training.micro_batch`
    MicroBatch,
    /// `training.checkpointing`
    Checkpointing,
    /// `training.offload`
    Offload,
}

/// Every choice of every knob. Their product is the space; what cannot run is in it, and is counted by its obstacle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Numbers of devices, each a divisor of the plan's, and made of whole nodes or a divisor of one.
    pub devices: Vec<u64>,
    /// Degrees of tensor parallelism.
    pub tensor: Vec<u64>,
    /// Degrees of pipeline parallelism.
    pub pipeline: Vec<u64>,
    /// Degrees of context parallelism.
    pub context: Vec<u64>,
    /// Degrees of expert parallelism.
    pub expert: Vec<u64>,
    /// Sequences of a micro-batch.
    pub micro_batch: Vec<u64>,
    /// What is recomputed.
    pub checkpointing: Vec<Checkpointing>,
    /// Orders of micro-batches in a pipeline.
    pub schedules: Vec<Schedule>,
    /// Whether devices of a pipeline may have several groups of layers; otherwise as declared.
    pub interleaves: bool,
    /// Stages of ZeRO.
    pub zero: Vec<u64>,
    /// Whether ZeRO may divide over the replicas of one node instead of all; otherwise as declared.
    pub shards: bool,
    /// What the host keeps.
    pub offload: Vec<Offload>,
    /// What is not varied.
    pub held: Held,
    /// What the model and the cluster can be divided by.
    pub limits: Limits,
}

/// What a search takes as the plan declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    sequence_parallel: bool,
    interleave: u64,
    schedule: Schedule,
    context_kind: ContextKind,
    expert_tensor: u64,
    shard: Option<u64>,
    prefetch: u64,
    offload_activations: bool,
}

/// Most layouts of a space: some hundred megabytes of them.
const MOST_LAYOUTS: u128 = 4_000_000;

/// Most layouts of a space times pipelines and numbers of devices: some minutes of looking.
const MOST_GROUPS: u128 = 1_000_000_000;

/// Most layers: each number of groups that divides them is a choice.
const MOST_LAYERS: u64 = 10_000;

impl Space {
    /// The space of a plan's model and workload: all devices of the plan, or every part of them that is whole nodes.
    /// `keep` are left as declared.
    pub fn of(model: &Model, workload: &Workload<'_>, fewer_devices: bool, keep: &[Knob]) -> Space {
        let limits = Limits::of(model, workload);
        let training = workload.training;
        let own = &training.parallelism;
        let varies = |knob: Knob| !keep.contains(&knob);
        let total = workload.hardware.devices;
        let every = divisors(total);
        let degrees = |knob: Knob, declared: u64| match varies(knob) {
            true => every.clone(),
            false => vec![declared],
        };
        let whole_nodes =
            |count: &u64| count.is_multiple_of(limits.node) || limits.node.is_multiple_of(*count);
        let sequences = workload.batch.checked_div(workload.tokens).unwrap_or(0);
        Space {
            devices: match fewer_devices {
                true => every.iter().copied().filter(|count| *count == total || whole_nodes(count)).collect(),
                false => vec![total],
            },
            tensor: degrees(Knob::Tensor, own.tensor),
            pipeline: degrees(Knob::Pipeline, own.pipeline),
            context: degrees(Knob::Context, own.context),
            expert: match varies(Knob::Expert) {
                // A further divisor of the devices that is none of the experts could never run.
                true if limits.experts == 0 => vec![1],
                true => every.clone(),
                false => vec![own.expert],
            },
            micro_batch: match (varies(Knob::MicroBatch), training.micro_batch) {
                (false, Some(declared)) => vec![declared],
                _ => divisors(sequences.max(1)),
            },
            checkpointing: match varies(Knob::Checkpointing) {
                true => with(
                    &[Checkpointing::None, Checkpointing::Selective, Checkpointing::Full],
                    training.checkpointing,
                ),
                false => vec![training.checkpointing],
            },
            schedules: match varies(Knob::Schedule) {
                true => vec![
                    Schedule::Gpipe,
                    Schedule::OneForwardOneBackward,
                    Schedule::ZbH1,
                    Schedule::ZbH2,
                    Schedule::ZbV,
                    Schedule::DualPipe,
                ],
                false => vec![own.schedule],
            },
            interleaves: varies(Knob::Schedule),
            zero: if varies(Knob::Zero) { vec![0, 1, 2, 3] } else { vec![own.zero] },
            shards: varies(Knob::Zero),
            offload: match varies(Knob::Offload) {
                true if offloads(workload) => with(&[Offload::None, Offload::Optimizer], training.offload),
                true => with(&[Offload::None], training.offload),
                false => vec![training.offload],
            },
            held: Held::of(training),
            limits,
        }
    }

    /// Whether there are more strategies than can be looked at in minutes: of a cluster of a million devices, say, whose
    /// number has hundreds of divisors.
    pub fn too_large(&self) -> bool {
        let product =
            |lengths: &[usize]| lengths.iter().fold(1_u128, |all, own| all.saturating_mul(*own as u128));
        let layouts = product(&[
            self.tensor.len(),
            self.context.len(),
            self.expert.len(),
            self.micro_batch.len(),
            self.checkpointing.len(),
        ]);
        let groups = layouts.saturating_mul(product(&[self.pipeline.len(), self.devices.len()]));
        layouts > MOST_LAYOUTS || groups > MOST_GROUPS || self.limits.layers > MOST_LAYERS
    }

    /// Every layout, those of small micro-batches and little division first: what is found early cuts the rest short.
    pub fn layouts(&self) -> Vec<Layout> {
        let most = self.devices.iter().copied().max().unwrap_or(1);
        let mut found = Vec::new();
        for &micro_batch in &self.micro_batch {
            for &context in &self.context {
                for &tensor in self.tensor.iter().filter(|own| own.saturating_mul(context) <= most) {
                    for &expert in &self.expert {
                        found.extend(self.checkpointing.iter().map(|&checkpointing| Layout {
                            tensor,
                            sequence_parallel: tensor > 1 || self.held.sequence_parallel,
                            context,
                            context_kind: self.held.context_kind,
                            expert,
                            expert_tensor: self.held.expert_tensor,
                            micro_batch,
                            checkpointing,
                        }));
                    }
                }
            }
        }
        found
    }

    /// The strategies of a layout that differ in devices, pipeline and schedule: each stands for its [`Space::leaves`].
    pub fn groups(&self, layout: Layout, mut each: impl FnMut(&Strategy)) {
        for &devices in &self.devices {
            for &pipeline in &self.pipeline {
                let model = layout.tensor.saturating_mul(layout.context).saturating_mul(pipeline);
                if devices.checked_rem(model) != Some(0) {
                    continue;
                }
                let data = devices / model;
                let ranks = data.saturating_mul(layout.context);
                let group = Strategy {
                    tensor: layout.tensor,
                    sequence_parallel: layout.sequence_parallel,
                    pipeline,
                    interleave: 1,
                    schedule: Schedule::OneForwardOneBackward,
                    context: layout.context,
                    context_kind: layout.context_kind,
                    expert: layout.expert,
                    expert_tensor: layout.expert_tensor,
                    data,
                    zero: 0,
                    shard: ranks,
                    prefetch: self.held.prefetch,
                    micro_batch: layout.micro_batch,
                    checkpointing: layout.checkpointing,
                    offload: Offload::None,
                    offload_activations: self.held.offload_activations,
                };
                self.orders(pipeline, |schedule, interleave| {
                    each(&Strategy { schedule, interleave, ..group })
                });
            }
        }
    }

    /// The strategies of a group: stages of ZeRO, what they divide over, and what the host keeps.
    pub fn leaves(&self, group: &Strategy, mut each: impl FnMut(&Strategy)) {
        let ranks = group.ranks();
        for &zero in self.zero.iter().filter(|zero| ranks > 1 || **zero == 0 || !self.shards) {
            for shard in self.shard(group, zero).into_iter().flatten() {
                for &offload in &self.offload {
                    each(&Strategy { zero, shard, offload, ..*group });
                }
            }
        }
    }

    /// How many strategies a group has.
    pub fn size(&self, group: &Strategy) -> u64 {
        let mut count = 0;
        self.leaves(group, |_| count += 1);
        count
    }

    /// What ZeRO divides over: all replicas, and those of a node where these are fewer.
    fn shard(&self, group: &Strategy, zero: u64) -> [Option<u64>; 2] {
        let ranks = group.ranks();
        if !self.shards {
            return [Some(self.held.shard.unwrap_or(ranks).min(ranks)), None];
        }
        let node = self.limits.node.checked_div(group.tensor).unwrap_or(1);
        let fewer = zero > 0 && node > 1 && node < ranks && ranks.is_multiple_of(node);
        [Some(ranks), fewer.then_some(node)]
    }

    /// Schedules of so many stages, with the groups of layers on each device.
    fn orders(&self, pipeline: u64, mut each: impl FnMut(Schedule, u64)) {
        if !self.interleaves {
            return each(self.held.schedule, self.held.interleave);
        }
        if pipeline == 1 {
            return each(Schedule::OneForwardOneBackward, 1);
        }
        for &schedule in &self.schedules {
            each(schedule, 1);
            if schedule == Schedule::OneForwardOneBackward {
                let parts = self.limits.layers.saturating_add(self.limits.ends);
                let most = parts.checked_div(pipeline).unwrap_or(1);
                (2..=most).filter(|own| self.limits.even(own * pipeline)).for_each(|own| each(schedule, own));
            }
        }
    }
}

/// Whether it is known how fast a device reaches its host, and the host its memory: without that, offloading takes an
/// unknown time.
pub fn offloads(workload: &Workload<'_>) -> bool {
    System::of(workload.hardware, workload.training)
        .is_ok_and(|system| system.host_link > 0.0 && system.host_memory > 0.0)
}

impl Held {
    fn of(training: &Training) -> Held {
        let own = &training.parallelism;
        Held {
            sequence_parallel: own.sequence_parallel,
            interleave: own.interleave,
            schedule: own.schedule,
            context_kind: own.context_kind,
            expert_tensor: own.expert_tensor,
            shard: own.shard,
            prefetch: own.prefetch,
            offload_activations: training.offload_activations,
        }
    }
}

/// Some choices and the declared one, each once.
fn with<T: Copy + PartialEq>(choices: &[T], declared: T) -> Vec<T> {
    let mut all = choices.to_vec();
    if !all.contains(&declared) {
        all.push(declared);
    }
    all
}

/// Divisors of a number, the least first. Of numbers beyond 2^40 those are left out that neither are below 2^20 nor have
/// such a counterpart: no cluster is so large, and finding them would take minutes.
pub fn divisors(whole: u64) -> Vec<u64> {
    let square = |part: u64| part.saturating_mul(part);
    let low: Vec<u64> = (1..=1 << 20)
        .take_while(|part| square(*part) <= whole)
        .filter(|part| whole.is_multiple_of(*part))
        .collect();
    let high = low.iter().rev().filter(|part| square(**part) != whole).map(|part| whole / part);
    low.iter().copied().chain(high).collect()
}
