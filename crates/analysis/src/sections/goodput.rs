//! What a run takes beyond its computation, and what it costs: two tables, with the range of each number.

use llmplan_spec::units::{Date, Number, Unit};

use super::{row, section};
use crate::quantities::Quantities;
use crate::report::{Row, Section};

/// Where the time goes that is not computation.
pub(super) fn interruptions(q: &Quantities<'_>) -> Section {
    let rows = [
        ("Checkpoint", "training.checkpoint_size", "weights and optimizer"),
        ("Writing it", "training.checkpoint_time", "size / storage bandwidth"),
        ("Between failures", "training.cluster_mtbf", "MTBF of a device / devices"),
        ("Between checkpoints", "training.checkpoint_interval", "what loses the least time"),
        ("Lost to writing", "training.lost.checkpoints", "one checkpoint for each interval"),
        ("Lost to rework", "training.lost.rework", "since the last checkpoint"),
        ("Lost to restarts", "training.lost.restarts", "one for each failure"),
        ("Lost to stragglers", "training.lost.stragglers", "waiting for the slowest device"),
        ("Goodput", "training.goodput", "what is left for computation"),
    ];
    let rows = filled(q, &rows.map(|(label, path, words)| (label, path, words.to_owned())));
    let mut notes = Vec::new();
    let number = |path: &str| q.number(path).unwrap_or(0.0);
    let gap = number("training.checkpoint_time")
        + q.plan.hardware.as_ref().map_or(0.0, |hardware| hardware.operation.restart);
    if !rows.is_empty() && number("training.cluster_mtbf") < gap {
        notes.push(
            "The next failure comes sooner than a restart and a checkpoint take: most of the time is lost."
                .to_owned(),
        );
    }
    section("Interruptions", &["Quantity", "value", "range", "grade", "how"], 2, rows, notes)
}

/// What is paid for: calendar time, all devices, energy.
pub(super) fn cost(q: &Quantities<'_>) -> Section {
    let rows = [
        ("Calendar time", "training.calendar_time", "time / goodput".to_owned()),
        ("Failures", "training.failures", "time / time between them".to_owned()),
        ("Device-hours", "training.device_hours", "devices × calendar time".to_owned()),
        ("Price", "hardware.price", price_words(q)),
        ("Storage", "training.storage_cost", "kept checkpoints × price × time".to_owned()),
        ("Cost", "training.cost", cost_words(q).to_owned()),
        ("Energy", "training.energy", "devices' power × hosts × PUE".to_owned()),
        ("CO2 equivalent", "training.carbon", "energy × carbon intensity".to_owned()),
    ];
    let known = q.get("training.calendar_time").is_some();
    let rows = if known { filled(q, &rows) } else { Vec::new() };
    let mut notes = Vec::new();
    if known && let Some(note) = beside(q) {
        notes.push(note);
    }
    section("Cost and energy", &["Quantity", "value", "range", "grade", "how"], 2, rows, notes)
}

fn filled(q: &Quantities<'_>, rows: &[(&str, &str, String)]) -> Vec<Row> {
    let filled = rows.iter().filter_map(|(label, path, words)| {
        let grade = q.get(path)?.grade.word().to_owned();
        let cells = vec![(*label).to_owned(), q.display(path), q.range(path), grade, words.clone()];
        Some(row(path, cells, matches!(*path, "training.goodput" | "training.cost")))
    });
    filled.collect()
}

fn cost_words(q: &Quantities<'_>) -> &'static str {
    match q.get("training.storage_cost") {
        Some(_) => "device-hours × price + storage",
        None => "device-hours × price",
    }
}

fn price_words(q: &Quantities<'_>) -> String {
    let Some(hardware) = &q.plan.hardware else { return String::new() };
    match (hardware.price, hardware.price_as_of) {
        (None, _) => format!("middle of list prices{}", as_of(hardware.device.price_as_of)),
        (Some(_), None) => "of one device; `price_as_of` says how old it is".to_owned(),
        (Some(_), date) => format!("of one device{}", as_of(date)),
    }
}

/// The device's list prices, where the plan has a price of its own.
fn beside(q: &Quantities<'_>) -> Option<String> {
    let hardware = q.plan.hardware.as_ref()?;
    hardware.price?;
    let device = &hardware.device;
    let show = |price: f64| q.show(Number::Real(price), Unit::MONEY_PER_TIME, 4);
    let (low, high) = (show(device.price_low?), show(device.price_high?));
    Some(format!("List prices of the device: {low} to {high}{}.", as_of(device.price_as_of)))
}

fn as_of(date: Option<Date>) -> String {
    date.map(|date| format!(", as of {date}")).unwrap_or_default()
}
