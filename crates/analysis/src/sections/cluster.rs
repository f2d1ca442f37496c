//! Tables of one device and one step of the plan's strategy.

use llmplan_spec::units::format;
use llmplan_spec::units::{Number, Unit};

use super::{row, section, share};
use crate::quantities::Quantities;
use crate::report::{Row, Section};

/// What the device with the peak holds, and the peaks of stages and instants.
pub(super) fn memory(q: &Quantities<'_>) -> Section {
    let rows = [
        ("Weights", "memory.device.weights", false),
        ("Gradients", "memory.device.gradients", false),
        ("Optimizer", "memory.device.optimizer", false),
        ("Activations", "memory.activations", false),
        ("Logits and loss", "memory.logits", false),
        ("Buffers", "memory.buffers", false),
        ("Reserve", "memory.reserve", false),
        ("Peak", "memory.per_device", true),
    ];
    let rows: Vec<Row> = rows
        .iter()
        .filter(|(_, path, total)| *total || q.number(path).is_some_and(|bytes| bytes > 0.0))
        .filter(|(_, path, _)| q.get(path).is_some())
        .map(|(label, path, total)| {
            let cells = vec![(*label).to_owned(), q.display(path), share(q, path, "memory.per_device")];
            row(path, cells, *total)
        })
        .collect();
    let mut notes = Vec::new();
    if !rows.is_empty() {
        notes.push(format!("The peak is at: {}.", q.display("memory.peak_at")));
        notes.extend(line(q, "Stages", "memory.stage.", &["first", "middle", "last"]));
        let instants = ["forward", "loss", "backward", "reduction", "update"];
        notes.extend(line(q, "In the course of a step", "memory.at.", &instants));
        if let Some(own) = q.number("memory.device_share") {
            notes.push(format!(
                "That is {} of the {} of a device.",
                format::percent(own),
                q.show(Number::Real(q.number("device.memory").unwrap_or(0.0)), Unit::BYTES, 4)
            ));
        }
        if q.get("memory.host_per_node").is_some() {
            notes.push(format!("Each host keeps {} beside that.", q.display("memory.host_per_node")));
        }
    }
    section("Memory of a device", &["Part", "memory", "share"], 0, rows, notes)
}

/// Several quantities in a line: "Stages: first 10 GB, last 12 GB."
fn line(q: &Quantities<'_>, title: &str, prefix: &str, names: &[&str]) -> Option<String> {
    let shown: Vec<String> = names
        .iter()
        .filter(|name| q.get(&format!("{prefix}{name}")).is_some())
        .map(|name| format!("{name} {}", q.display(&format!("{prefix}{name}"))))
        .collect();
    (shown.len() > 1).then(|| format!("{title}: {}.", shown.join(", ")))
}

/// Where the time of a step goes.
pub(super) fn step(q: &Quantities<'_>) -> Section {
    let rows = [
        ("Compute", "compute", "products and pointwise work of the slowest stage"),
        ("Recompute", "recompute", "forward passes that run again"),
        ("Bubble", "bubble", "the pipeline fills and drains"),
        ("Tensor parallelism", "exposed_communication.tensor", "not hidden"),
        ("Pipeline parallelism", "exposed_communication.pipeline", "not hidden"),
        ("Context parallelism", "exposed_communication.context", "not hidden"),
        ("Expert parallelism", "exposed_communication.expert", "not hidden"),
        ("Data parallelism", "exposed_communication.data", "not hidden"),
        ("Optimizer", "optimizer", "the update of weights"),
        ("Offload", "offload", "not hidden"),
        ("Data loading", "loading", "waiting for tokens"),
        ("Step", "modelled", "the sum"),
    ];
    let total = "training.step_time.modelled";
    let rows: Vec<Row> = rows
        .iter()
        .filter_map(|(label, name, how)| {
            let path = format!("training.step_time.{name}");
            q.get(&path)?;
            let cells =
                vec![(*label).to_owned(), q.display(&path), share(q, &path, total), (*how).to_owned()];
            Some(row(&path, cells, *name == "modelled"))
        })
        .collect();
    let mut notes = q.notes.clone();
    if !rows.is_empty() {
        let own = q.plan.hardware.as_ref().map(|hardware| &hardware.device.generation);
        let error = own.filter(|own| own.error > 0.0).map(|own| {
            format!(
                "Modelled with the constants of `{}`, whose step times are {} off on average.",
                own.name,
                format::percent(own.error)
            )
        });
        notes.push(error.unwrap_or_else(|| {
            "Modelled with constants that are not compared with published runs.".to_owned()
        }));
        if q.plan.training.as_ref().is_some_and(|training| training.mfu.is_some()) {
            notes.push(format!(
                "The model comes to an MFU of {}; the plan declares {}, which time and cost rest on.",
                q.display("training.modelled_mfu"),
                q.display("training.mfu")
            ));
        }
    }
    let columns: &[&str] = if rows.is_empty() { &[] } else { &["Part", "time", "share", "what"] };
    section("A step", columns, 1, rows, notes)
}
