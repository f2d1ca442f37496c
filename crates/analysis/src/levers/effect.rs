//! What a change does: the numbers of a plan that are watched, before and after.

use llmplan_spec::plan::Plan;
use llmplan_spec::units::format::{self, BytePrefix};
use llmplan_spec::units::{Number, Unit};

use crate::report::Report;

/// A number that is watched: of the quantities that could stand for it, the first that a plan has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// How long training takes; without training, how long alignment does.
    Time,
    /// What a device holds.
    Memory,
    /// What training costs; without training, what alignment does.
    Cost,
    /// How long alignment takes, beside training.
    AlignmentTime,
    /// What alignment costs, beside training.
    AlignmentCost,
    /// How long the first served token takes.
    FirstToken,
    /// How long each further one takes.
    Latency,
    /// What a device holds that serves.
    Served,
    /// What served tokens cost.
    Serving,
    /// What training and serving cost together.
    Lifetime,
}

/// What all of alignment's quantities begin with.
const ALIGNED: &str = "alignment.";

impl Measure {
    /// Every measure, in the order of reports.
    pub const ALL: [Measure; 10] = [
        Measure::Time,
        Measure::Memory,
        Measure::Cost,
        Measure::AlignmentTime,
        Measure::AlignmentCost,
        Measure::FirstToken,
        Measure::Latency,
        Measure::Served,
        Measure::Serving,
        Measure::Lifetime,
    ];

    /// The word for it in reports.
    pub fn word(self) -> &'static str {
        match self {
            Measure::Time => "time",
            Measure::Memory => "memory",
            Measure::Cost => "cost",
            Measure::AlignmentTime => "alignment time",
            Measure::AlignmentCost => "alignment cost",
            Measure::FirstToken => "first token",
            Measure::Latency => "latency",
            Measure::Served => "serving memory",
            Measure::Serving => "serving",
            Measure::Lifetime => "total cost",
        }
    }

    /// The quantity that stands for it in a report; `None` where it has none.
    pub fn path(self, report: &Report) -> Option<String> {
        let has = |path: &str| report.get(path).is_some();
        let trained = has("training.flops");
        let paths: &[&str] = match self {
            Measure::Time if !trained && has("alignment.time") => &["alignment.time"],
            Measure::Time if !trained && has("inference.tpot") => &[],
            Measure::Time => &[
                "training.calendar_time",
                "training.time",
                "training.flops",
                "scaling.compute",
                "flops.forward_per_token",
            ],
            Measure::Memory if !trained && has("alignment.time") => return fullest(report),
            Measure::Memory if !trained && has("inference.memory") => &[],
            Measure::Memory => &["memory.per_device", "memory.model_states", "memory.weights_only.bf16"],
            Measure::Cost if !trained => &["alignment.cost"],
            Measure::Cost => &["training.cost", "training.device_hours"],
            Measure::AlignmentTime if trained => &["alignment.time"],
            Measure::AlignmentCost if trained => &["alignment.cost"],
            Measure::AlignmentTime | Measure::AlignmentCost => &[],
            Measure::FirstToken => &["inference.ttft"],
            Measure::Latency => &["inference.tpot"],
            Measure::Served => &["inference.memory"],
            Measure::Serving => &["inference.cost_per_million"],
            Measure::Lifetime => &["inference.lifetime.total_cost", "inference.lifetime.cost"],
        };
        paths.iter().copied().find(|path| has(path)).map(str::to_owned)
    }
}

/// Of the stages of an alignment the one that takes most of a device's memory.
pub(super) fn fullest(report: &Report) -> Option<String> {
    let stages = report.quantities.iter().filter_map(|own| {
        let name = own.path.strip_prefix(ALIGNED)?.strip_suffix(".memory")?;
        Some((&own.path, own.value.number()?)).filter(|_| !name.contains('.'))
    });
    // The first of equals, so that the order of a report decides.
    let most = stages.rev().max_by(|(_, one), (_, other)| one.total_cmp(other));
    most.map(|(path, _)| path.to_string())
}

/// A measure of a plan before a change and after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// What is measured.
    pub measure: Measure,
    /// The quantity that stands for it.
    pub path: String,
    /// Its value before, in base units.
    pub before: f64,
    /// Its value after.
    pub after: f64,
}

impl Difference {
    /// The word for what is measured: FLOPs, where they stand for the time.
    pub fn word(&self) -> &'static str {
        match self.measure {
            Measure::Time if !self.path.ends_with("time") => "FLOPs",
            measure => measure.word(),
        }
    }

    /// The change relative to what it was; 0 where it was nothing and is.
    pub fn share(&self) -> f64 {
        match (self.before, self.after) {
            (before, after) if before == after => 0.0,
            (before, after) => after / before - 1.0,
        }
    }
}

/// The watched numbers of a plan, before and after.
pub(super) fn differences(before: &Report, after: &Report) -> Vec<Difference> {
    let one = |measure: Measure| {
        let path = measure.path(before)?;
        let number = |report: &Report| report.get(&path)?.value.number();
        let (before, after) = (number(before)?, number(after)?);
        Some(Difference { measure, path, before, after })
    };
    Measure::ALL.into_iter().filter_map(one).collect()
}

/// The parts of a step that a change can move.
const STEP: &str = "training.step_time.";
/// The parts of a device's memory.
const HELD: [(&str, &str); 7] = [
    ("memory.device.weights", "weights"),
    ("memory.device.gradients", "gradients"),
    ("memory.device.optimizer", "optimizer"),
    ("memory.activations", "activations"),
    ("memory.logits", "logits"),
    ("memory.buffers", "buffers"),
    ("memory.reserve", "reserve"),
];
/// What a change can move outright: then nothing else need be said.
const COUNTS: [(&str, &str); 6] = [
    ("hardware.devices", "devices"),
    ("training.tokens", "tokens"),
    ("data.tokens", "tokens"),
    ("training.tokens_per_step", "tokens a step"),
    ("model.params", "parameters"),
    ("flops.training_per_token", "FLOPs per token"),
];

/// Why the numbers move: the part that moves most, `recompute -5.97 s a step`; empty where none does.
pub(super) fn reason(
    plan: &Plan,
    bytes: BytePrefix,
    before: &Report,
    after: &Report,
    memory: bool,
) -> String {
    let number = |report: &Report, path: &str| report.get(path).and_then(|own| own.value.number());
    let counts = COUNTS.iter().filter_map(|(path, name)| {
        let ratio = number(after, path)? / number(before, path)?;
        ((ratio - 1.0).abs() > 1e-9).then(|| format!("{name} ×{}", format::plain(ratio, 3)))
    });
    let mut counts: Vec<String> = counts.collect();
    counts.dedup();
    counts.truncate(2);
    if !counts.is_empty() {
        return counts.join(", ");
    }
    let served = served(before, after);
    if let Some((name, delta)) = most(&served, 1e-9) {
        return format!("{name} {}", signed(*delta, Unit::TIME, bytes));
    }
    let aligned = aligned(before, after);
    if let Some((name, delta)) = most(&aligned, 1e-3) {
        return format!("{name} {}", signed(*delta, Unit::TIME, bytes));
    }
    let parts = step(before, after);
    let declared = plan.training.as_ref().is_some_and(|training| training.mfu.is_some());
    let step = most(&parts, 1e-9).filter(|_| !declared).map(|(name, delta)| {
        let delta = signed(*delta, Unit::TIME, bytes);
        format!("{name} {delta} a step")
    });
    let held: Vec<(String, f64)> = HELD
        .iter()
        .map(|(path, name)| {
            let of = |report: &Report| number(report, path).unwrap_or(0.0);
            ((*name).to_owned(), of(after) - of(before))
        })
        .collect();
    let held = most(&held, 1.0).map(|(name, delta)| format!("{name} {}", signed(*delta, Unit::BYTES, bytes)));
    let found = if memory { held.or(step) } else { step.or(held) };
    found.unwrap_or_default()
}

/// The parts of the time of a served token, by how much each moves, in seconds.
fn served(before: &Report, after: &Report) -> Vec<(String, f64)> {
    const PARTS: [(&str, &str); 3] = [
        ("inference.decode.memory_time", "reading"),
        ("inference.decode.compute_time", "computing"),
        ("inference.decode.collective_time", "collectives"),
    ];
    let number = |report: &Report, path: &str| report.get(path).and_then(|own| own.value.number());
    let parts = PARTS.iter().map(|(path, name)| {
        let of = |report: &Report| number(report, path).unwrap_or(0.0);
        ((*name).to_owned(), of(after) - of(before))
    });
    parts.collect()
}

/// The parts of the time of all stages of an alignment, by how much each moves, in seconds.
fn aligned(before: &Report, after: &Report) -> Vec<(String, f64)> {
    let mut parts: Vec<(String, f64)> = Vec::new();
    for (report, sign) in [(before, -1.0), (after, 1.0)] {
        for own in &report.quantities {
            let Some((_, part)) = own.path.strip_prefix(ALIGNED).and_then(|rest| rest.split_once(".time."))
            else {
                continue;
            };
            let value = sign * own.value.number().unwrap_or(0.0);
            match parts.iter_mut().find(|(known, _)| known == part) {
                Some((_, delta)) => *delta += value,
                None => parts.push((part.to_owned(), value)),
            }
        }
    }
    parts
}

/// The parts of a modelled step, by how much each moves, in seconds.
fn step(before: &Report, after: &Report) -> Vec<(String, f64)> {
    let mut parts: Vec<(String, f64)> = Vec::new();
    for (report, sign) in [(before, -1.0), (after, 1.0)] {
        for own in &report.quantities {
            let Some(name) = own.path.strip_prefix(STEP).filter(|name| *name != "modelled") else { continue };
            let name = match name.strip_prefix("exposed_communication.") {
                Some(kind) => format!("{kind} communication"),
                None => name.to_owned(),
            };
            let value = sign * own.value.number().unwrap_or(0.0);
            match parts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, delta)) => *delta += value,
                None => parts.push((name, value)),
            }
        }
    }
    parts
}

fn most(parts: &[(String, f64)], least: f64) -> Option<&(String, f64)> {
    let moved = parts.iter().filter(|(_, delta)| delta.abs() > least);
    // The first of equals, so that the order of a report decides.
    moved.rev().max_by(|(_, one), (_, other)| one.abs().total_cmp(&other.abs()))
}

fn signed(delta: f64, unit: Unit, bytes: BytePrefix) -> String {
    let size = format::quantity(Number::Real(delta.abs()), unit, 3, bytes);
    format!("{}{size}", if delta < 0.0 { "-" } else { "+" })
}
