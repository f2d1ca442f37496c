//! The plan's own strategy on its cluster, as quantities: memory of a device at its peak, and the parts of a step.

use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::plan::{FlopsConvention, Hardware, OffloadTo, Training};
use llmplan_spec::units::format;
use llmplan_spec::units::{Number, Unit};

use crate::cluster::feasible::{Limits, Obstacle, Waste};
use crate::cluster::memory::{self, Memory, Moment};
use crate::cluster::stages::MOST_GROUPS;
use crate::cluster::step::{self, StepTime};
use crate::cluster::system::System;
use crate::cluster::{Strategy, Workload};
use crate::graph::Graph;
use crate::quantities::Quantities;
use crate::report::Value;
use crate::training::{counted, place};

/// What every number here is computed from, beside the model.
const INPUTS: &[&str] = &[
    "training.global_batch",
    "training.micro_batch",
    "training.parallelism.tensor",
    "training.parallelism.pipeline",
    "training.parallelism.zero",
    "training.replicas",
    "flops.sequence",
];
/// What a step is computed from beside that: figures of the device, and what its generation reaches of them.
const FIGURES: &[&str] = &[
    "hardware.peak",
    "device.memory_bandwidth",
    "device.link",
    "device.network",
    "device.generation",
    "generation.matmul",
    "generation.memory",
    "generation.link",
    "generation.network",
];
const MEMORY: &str = "the stage and the instant with the most bytes: docs/cluster.md, Memory of a device";
const STEP: &str = "operators on a roofline, collectives and schedule: docs/cluster.md, Time of a step";
const RESERVE: &str = "hardware.reserve, and hardware.fragmentation of all that is allocated, in whole bytes";
const HELD: &str = "Korthikanti 2022 §4; Rajbhandari 2020 §5";
const ROOFLINE: &str = "Williams 2009; Narayanan 2021 §3; Hockney 1994";

/// Memory and time of the plan's strategy, where it declares one; what keeps it from running is an error.
pub(crate) fn report(q: &mut Quantities<'_>, graph: &Graph) {
    let plan = q.plan;
    let (Some(training), Some(hardware)) = (&plan.training, &plan.hardware) else { return };
    let Some(tokens) = q.number("flops.sequence").map(|tokens| tokens as u64) else { return };
    let Some(workload) = Workload::of(plan, graph, tokens) else { return };
    let Some(strategy) = Strategy::of(training, hardware.devices) else { return };
    let limits = Limits::of(&plan.model, &workload);
    if let Some(obstacle) = limits.obstacle(&workload, &strategy) {
        return q.errors.extend(problem(q, &limits, &strategy, obstacle));
    }
    if strategy.pipeline.saturating_mul(strategy.chunks()) > MOST_GROUPS {
        q.notes.push(format!("Pipelines of more than {MOST_GROUPS} groups of layers are not planned."));
        return;
    }
    for waste in limits.wastes(&workload, &strategy) {
        let found = wasteful(q, &limits, &workload, &strategy, waste);
        q.warnings.push(found);
    }
    let Some(memory) = memory::memory(&workload, &strategy) else { return q.overflow("memory.per_device") };
    held(q, hardware, &memory);
    match System::of(hardware, training) {
        Ok(_) => match step::step(&workload, &strategy) {
            Some(time) => taken(q, training, hardware, &strategy, &time),
            None => q.notes.push("The step is not modelled: a block is beyond 64 bits.".to_owned()),
        },
        Err(figure) => q.notes.push(format!("The step is not modelled: `{figure}` is unknown.")),
    }
}

/// Memory of the device with the peak, and of the stages.
fn held(q: &mut Quantities<'_>, hardware: &Hardware, memory: &Memory) {
    let worst = memory.worst();
    let instant = worst.peak_instant();
    let mut sum = Vec::new();
    for (name, bytes) in worst.peak().named() {
        let path = match name {
            "weights" | "gradients" | "optimizer" => format!("memory.device.{name}"),
            _ => format!("memory.{name}"),
        };
        if name == "reserve" {
            let inputs = &["hardware.reserve", "hardware.fragmentation"];
            let source = "context and libraries, and what the allocator holds beyond";
            q.modelled(&path, Value::Count(u128::from(bytes)), RESERVE, inputs, source);
        } else {
            q.modelled(&path, Value::Count(u128::from(bytes)), MEMORY, INPUTS, HELD);
        }
        sum.push(path);
    }
    q.derive("memory.per_device", &sum.join(" + "), HELD);
    let last = memory.stages.len().saturating_sub(1);
    let names = ["first", "middle", "last"];
    for (own, name) in memory.shown().into_iter().zip(if last > 1 { &names[..] } else { &["first", "last"] })
    {
        let bytes = u128::from(own.peak().total());
        q.modelled(&format!("memory.stage.{name}"), Value::Count(bytes), MEMORY, INPUTS, HELD);
    }
    for instant in Moment::ALL {
        let bytes = u128::from(worst.at(instant).total());
        q.modelled(&format!("memory.at.{}", instant.word()), Value::Count(bytes), MEMORY, INPUTS, HELD);
    }
    let peak_at = match memory.stages.len() {
        1 => instant.word().to_owned(),
        stages => format!("{} on stage {} of {stages}", instant.word(), worst.stage + 1),
    };
    q.modelled("memory.peak_at", Value::Text(peak_at), MEMORY, INPUTS, HELD);
    let hosts = hardware.device.devices_per_node.min(hardware.devices);
    let most = memory.stages.iter().map(|stage| stage.host).max().unwrap_or(0);
    if most > 0 {
        let bytes = u128::from(most) * u128::from(hosts);
        q.modelled("memory.host_per_node", Value::Count(bytes), MEMORY, INPUTS, HELD);
    }
    if let Some(limit) = hardware.device.memory {
        q.derive("memory.device_share", "memory.per_device / device.memory", "the device's memory as sold");
        fits(q, hardware, memory, limit, most.saturating_mul(hosts));
    }
}

/// A warning where a device, or a host, has less than is needed.
fn fits(q: &mut Quantities<'_>, hardware: &Hardware, memory: &Memory, limit: u64, host: u64) {
    let bytes = |bytes: u64| q.show(Number::Int(i128::from(bytes)), Unit::BYTES, 4);
    let mut found = Vec::new();
    let total = memory.total();
    if total > limit {
        let mut parts: Vec<(&str, u64)> = memory.worst().peak().named().to_vec();
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let largest: Vec<String> =
            parts.iter().take(3).map(|(name, own)| format!("{name} {}", bytes(*own))).collect();
        let diagnostic = Diagnostic::warning(
            Code::DoesNotFit,
            place(q, &["training.parallelism.tensor", "training.micro_batch", "hardware.device"]),
            format!("the plan needs more memory than `{}` has", hardware.device.name),
        )
        .label(format!("{} at the peak, of {}", bytes(total), bytes(limit)))
        .note(format!("at the peak, {}: {}", q.display("memory.peak_at"), largest.join(", ")))
        .help("`llmplan search` finds strategies that fit");
        found.push(diagnostic);
    }
    // Disks are as large as they need to be.
    let disks = q.plan.training.as_ref().is_some_and(|training| training.offload_to == OffloadTo::Nvme);
    if let Some(own) = hardware.device.host_memory
        && host > own
        && !disks
    {
        let diagnostic = Diagnostic::warning(
            Code::DoesNotFit,
            place(q, &["training.offload", "hardware.device"]),
            "the hosts have less memory than is offloaded to them",
        )
        .label(format!("{} for each host, of {}", bytes(host), bytes(own)));
        found.push(diagnostic.help("offload less, or over more hosts"));
    }
    q.warnings.extend(found);
}

/// The parts of a step; those that are not there have no row.
fn taken(
    q: &mut Quantities<'_>,
    training: &Training,
    hardware: &Hardware,
    strategy: &Strategy,
    time: &StepTime,
) {
    let waits = "exposed_communication";
    let parts = [
        ("compute".to_owned(), time.compute, true),
        ("recompute".to_owned(), time.recompute, time.recompute > 0.0),
        ("bubble".to_owned(), time.bubble, strategy.pipeline > 1),
        (format!("{waits}.tensor"), time.tensor, strategy.tensor > 1),
        (format!("{waits}.pipeline"), time.pipeline, strategy.pipeline > 1),
        (format!("{waits}.context"), time.context, strategy.context > 1),
        (format!("{waits}.expert"), time.expert, strategy.expert > 1 || strategy.expert_tensor > 1),
        (format!("{waits}.data"), time.data, strategy.ranks() > 1),
        ("optimizer".to_owned(), time.optimizer, true),
        ("offload".to_owned(), time.offload, time.offload > 0.0),
        ("loading".to_owned(), time.loading, training.loading.is_some()),
    ];
    let mut sum = Vec::new();
    for (name, seconds, there) in parts {
        if there || seconds > 0.0 {
            let path = format!("training.step_time.{name}");
            q.modelled(&path, Value::Real(seconds), STEP, &[INPUTS, FIGURES].concat(), ROOFLINE);
            sum.push(path);
        }
    }
    q.derive("training.step_time.modelled", &sum.join(" + "), ROOFLINE);
    let error = hardware.device.generation.error;
    if let Some(step) = q.number("training.step_time.modelled")
        && error > 0.0
    {
        q.interval("training.step_time.modelled", step * (1.0 - error), step * (1.0 + error));
    }
    let convention = q.plan.convention.flops;
    let each = counted(convention);
    let formula =
        format!("{each} * training.tokens_per_step / (hardware.peak * training.step_time.modelled)");
    let source = match convention {
        FlopsConvention::Model => "model FLOPs over what the peak would do meanwhile: Chowdhery 2022 §4.1",
        FlopsConvention::Executed => {
            "executed FLOPs over what the peak would do meanwhile: Chowdhery 2022 §4.1"
        }
    };
    q.derive("training.modelled_mfu", &formula, source);
}

/// What keeps a strategy from running, with the arithmetic.
fn problem(
    q: &Quantities<'_>,
    limits: &Limits,
    strategy: &Strategy,
    obstacle: Obstacle,
) -> Option<Diagnostic> {
    let own = |name: &str| format!("training.parallelism.{name}");
    let (attribute, title, label, help) = match obstacle {
        // Batches and shapes of this kind are told where they are computed.
        Obstacle::Batch => return None,
        Obstacle::Tensor => (
            own("tensor"),
            format!("tensor parallelism of {} does not divide heads and widths", strategy.tensor),
            format!("{} / {} is not whole", limits.tensor, strategy.tensor),
            format!("use a divisor of {}: what heads and feed-forward widths have in common", limits.tensor),
        ),
        Obstacle::Layers => (
            own(if strategy.interleave > 1 { "interleave" } else { "pipeline" }),
            "the layers cannot be divided over the pipeline".to_owned(),
            format!(
                "{} layers over {} stages × {} groups",
                limits.layers,
                strategy.pipeline,
                strategy.chunks()
            ),
            "groups are as many as layers at most; where a device has several, they are of equal size".to_owned(),
        ),
        Obstacle::Schedule => (
            own("schedule"),
            format!("the schedule `{}` does not run like this", strategy.schedule.word()),
            format!("{} stages, {} groups on each", strategy.pipeline, strategy.interleave),
            "only `one_f_one_b` interleaves, over several stages; `dualpipe` needs even stages and micro-batches, two for \
             each stage at least"
                .to_owned(),
        ),
        Obstacle::Context if limits.tokens.is_multiple_of(strategy.context) => (
            own("context"),
            "tokens cannot be exchanged for heads over so many devices".to_owned(),
            format!("{} heads / ({} × {}) is not whole", limits.heads, strategy.context, strategy.tensor),
            "with `ulysses`, context × tensor divides the heads; `ring` has no such limit".to_owned(),
        ),
        Obstacle::Context => (
            own("context"),
            format!("context parallelism of {} does not divide the sequence", strategy.context),
            format!("{} tokens / {} is not whole", limits.tokens, strategy.context),
            format!("use a divisor of {}", limits.tokens),
        ),
        Obstacle::Experts if limits.experts == 0 => (
            own("expert"),
            "the model has no experts to divide".to_owned(),
            "no layer routes tokens".to_owned(),
            "leave it out".to_owned(),
        ),
        Obstacle::Experts => (
            own("expert"),
            "expert parallelism does not fit".to_owned(),
            format!(
                "{} experts over {} × {} devices, of {}",
                limits.experts,
                strategy.expert,
                strategy.expert_tensor,
                strategy.tensor.saturating_mul(strategy.ranks())
            ),
            "`expert` divides the routed experts, and expert × expert_tensor the devices of a stage".to_owned(),
        ),
        Obstacle::Shard => (
            own("shard"),
            format!("groups of {} devices do not divide the replicas", strategy.shard),
            format!("{} / {} is not whole", strategy.ranks(), strategy.shard),
            format!("use a divisor of {}", strategy.ranks()),
        ),
        Obstacle::Interleave => (
            own("interleave"),
            "interleaving needs micro-batches in groups of as many as there are stages".to_owned(),
            format!(
                "{} micro-batches, {} stages",
                q.display("training.micro_batches"),
                strategy.pipeline
            ),
            "change `micro_batch`, `global_batch` or `pipeline`".to_owned(),
        ),
    };
    let span = place(q, &[&attribute, "training.parallelism.pipeline", "training.parallelism.tensor"]);
    Some(Diagnostic::error(Code::DegreeNotDividing, span, title).label(label).help(help))
}

/// "1 micro-batch", "2 micro-batches"
fn several(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// What a strategy wastes, with its numbers.
fn wasteful(
    q: &Quantities<'_>,
    limits: &Limits,
    workload: &Workload<'_>,
    strategy: &Strategy,
    waste: Waste,
) -> Diagnostic {
    let micro_batches = workload.micro_batches(strategy).unwrap_or(1);
    let device = &workload.hardware.device;
    let rate = |rate: Option<f64>| {
        rate.map_or("an unknown rate".to_owned(), |rate| {
            q.show(Number::Real(rate), Unit::BYTES_PER_SECOND, 4)
        })
    };
    let (attribute, title, label, note) = match waste {
        Waste::TensorBeyondNode => (
            "tensor",
            "tensor parallelism goes beyond a node".to_owned(),
            format!("{} devices, of which a node has {}", strategy.tensor, limits.node),
            format!(
                "every layer waits for it, at {} between nodes against {} within one",
                rate(device.network),
                rate(device.link)
            ),
        ),
        Waste::MicroBatchesBelowStages => (
            "pipeline",
            "there are fewer micro-batches than stages".to_owned(),
            format!(
                "{} for {} stages",
                several(micro_batches, "micro-batch", "micro-batches"),
                strategy.pipeline
            ),
            format!(
                "of each stage's time, {} is waiting",
                format::percent(
                    (strategy.pipeline - 1) as f64
                        / (micro_batches as f64 * strategy.chunks() as f64 + (strategy.pipeline - 1) as f64)
                )
            ),
        ),
        Waste::ZeroInPipeline => (
            "zero",
            "gradients are reduced in every micro-batch of the pipeline".to_owned(),
            format!(
                "stage {} with {}",
                strategy.zero,
                several(micro_batches, "micro-batch", "micro-batches")
            ),
            "stage 1 reduces them once in a step".to_owned(),
        ),
        Waste::UnevenStages => (
            "pipeline",
            "the layers cannot be divided evenly over the pipeline".to_owned(),
            format!("{} layers over {} groups", limits.layers, strategy.pipeline * strategy.chunks()),
            "the longest group sets the pace, and the others wait".to_owned(),
        ),
    };
    let path = format!("training.parallelism.{attribute}");
    Diagnostic::warning(Code::PoorStrategy, place(q, &[&path]), title).label(label).note(note)
}
