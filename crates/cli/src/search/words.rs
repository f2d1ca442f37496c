//! Strategies and reasons in words.

use llmplan_analysis::cluster::Strategy;
use llmplan_analysis::cluster::feasible::Obstacle;
use llmplan_analysis::search::{Family, Miss, Objective, Reason};
use llmplan_spec::plan::{Checkpointing, Offload, Schedule};
use llmplan_spec::units::format::{BytePrefix, grouped, quantity};
use llmplan_spec::units::{Number, Unit};

/// The objective's name on the command line, and what it wants.
pub(super) fn objective(objective: Objective) -> (&'static str, &'static str) {
    match objective {
        Objective::Time => ("time", "the shortest step"),
        Objective::Cost => ("cost", "the fewest device-hours"),
        Objective::Memory => ("memory", "the least memory on a device"),
        Objective::Devices => ("devices", "the fewest devices"),
    }
}

/// The order of micro-batches: `1f1b ×4`; empty without a pipeline.
pub(super) fn schedule(strategy: &Strategy) -> String {
    if strategy.pipeline == 1 {
        return String::new();
    }
    let word = match strategy.schedule {
        Schedule::OneForwardOneBackward => "1f1b",
        other => other.word(),
    };
    if strategy.interleave > 1 { format!("{word} ×{}", strategy.interleave) } else { word.to_owned() }
}

/// A strategy in a line, without what it does not use.
pub(super) fn brief(strategy: &Strategy) -> String {
    let degrees = [
        ("tensor", strategy.tensor),
        ("pipeline", strategy.pipeline),
        ("context", strategy.context),
        ("expert", strategy.expert),
        ("data", strategy.data),
    ];
    let mut words: Vec<String> = degrees
        .into_iter()
        .filter(|(_, degree)| *degree > 1)
        .map(|(name, degree)| format!("{name} {}", grouped(degree.into())))
        .collect();
    if strategy.zero > 0 {
        let part = if strategy.shard < strategy.ranks() {
            format!(" over {}", grouped(strategy.shard.into()))
        } else {
            String::new()
        };
        words.push(format!("ZeRO {}{part}", strategy.zero));
    }
    words.push(format!("micro-batch {}", grouped(strategy.micro_batch.into())));
    words.extend(Some(schedule(strategy)).filter(|own| !own.is_empty()));
    if strategy.checkpointing != Checkpointing::None {
        words.push(format!("{} checkpointing", strategy.checkpointing.word()));
    }
    if strategy.offload != Offload::None {
        words.push(format!("{} offloaded", strategy.offload.word()));
    }
    words.join(", ")
}

/// A family's name in JSON, and what it says of its strategies.
pub(super) fn family(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::Obstacle(Obstacle::Tensor) => ("tensor", "tensor does not divide heads and widths"),
        Family::Obstacle(Obstacle::Layers) => ("layers", "layers do not make so many groups"),
        Family::Obstacle(Obstacle::Schedule) => ("schedule", "the schedule is not made for it"),
        Family::Obstacle(Obstacle::Context) => ("context", "context does not divide tokens or heads"),
        Family::Obstacle(Obstacle::Experts) => ("experts", "expert does not divide experts or devices"),
        Family::Obstacle(Obstacle::Shard) => ("shard", "shard does not divide the replicas"),
        Family::Obstacle(Obstacle::Batch) => ("batch", "the batch is no whole micro-batches"),
        Family::Obstacle(Obstacle::Interleave) => {
            ("interleave", "micro-batches do not fill the stages evenly")
        }
        Family::DeviceMemory => ("device_memory", "more than the device's memory"),
        Family::RequiredMemory => ("required_memory", "more than memory.per_device may be"),
        Family::HostMemory => ("host_memory", "more than the host's memory"),
        Family::RequiredTime => ("required_time", "a longer step than required"),
        Family::Unknown => ("unknown", "a number of it is beyond 64 bits"),
    }
}

/// The nearest miss of a reason, with its numbers.
pub(super) fn nearest(reason: &Reason, bytes: BytePrefix) -> String {
    let Miss { value, limit, strategy } = &reason.nearest;
    let count = |value: f64| grouped(value as u128);
    let (value, limit) = (*value, *limit);
    let numbers = match reason.family {
        Family::Obstacle(Obstacle::Tensor) => {
            return format!(
                "tensor {}, where heads and widths are multiples of {}",
                count(value),
                count(limit)
            );
        }
        Family::Obstacle(Obstacle::Layers) => format!("{} groups of {} layers", count(value), count(limit)),
        Family::Obstacle(Obstacle::Schedule | Obstacle::Interleave) => {
            let noun = if limit == 1.0 { "micro-batch" } else { "micro-batches" };
            format!("{} stages, {} {noun}", count(value), count(limit))
        }
        Family::Obstacle(Obstacle::Context) => format!("{} parts of {}", count(value), count(limit)),
        Family::Obstacle(Obstacle::Experts) => format!("{} do not divide {}", count(value), count(limit)),
        Family::Obstacle(Obstacle::Shard) => format!("shard {}, {} replicas", count(value), count(limit)),
        Family::Obstacle(Obstacle::Batch) => {
            format!("{} sequences at a time of {}", count(value), short(limit))
        }
        Family::DeviceMemory | Family::RequiredMemory | Family::HostMemory => {
            let show = |value: f64, digits: usize| quantity(Number::Real(value), Unit::BYTES, digits, bytes);
            // Two different numbers are never shown as the same text.
            let digits =
                [4, 6, 9, 12, 17].into_iter().find(|digits| show(value, *digits) != show(limit, *digits));
            let digits = digits.unwrap_or(17);
            format!("{}, where there is {}", show(value, digits), show(limit, digits))
        }
        Family::RequiredTime => format!("{} of {}", seconds(value), seconds(limit)),
        Family::Unknown => String::new(),
    };
    if numbers.is_empty() { brief(strategy) } else { format!("{numbers}: {}", brief(strategy)) }
}

/// A time as reports show it.
pub(super) fn seconds(value: f64) -> String {
    quantity(Number::Real(value), Unit::TIME, 4, BytePrefix::Decimal)
}

/// A number of sequences that need not be whole.
fn short(value: f64) -> String {
    llmplan_spec::units::format::plain(value, 8)
}
