//! The memory of one device of a replica, and the batch that it leaves room for.

use llmplan_spec::plan::Inference;

use super::{bytes_of, problems};
use crate::quantities::Quantities;

const HELD: &str = "weights are divided over the devices of a replica";

/// Memory on a device that is known. Whether there is a batch to decode.
pub(super) fn device(q: &mut Quantities<'_>, own: &Inference) -> bool {
    let fixed = parts(q, own);
    let each = q.number("inference.kv_per_device").unwrap_or(0.0);
    if q.get("inference.device.memory").is_some() && each > 0.0 {
        q.derive(
            "inference.largest_batch",
            &format!(
                "max(0, floor((inference.device.memory - {}) / inference.kv_per_device))",
                fixed.join(" - ")
            ),
            "sequences at the full length of prompt and answer",
        );
    }
    let batch = own.batch.map(|batch| batch as f64);
    let largest = q.number("inference.largest_batch");
    if largest.is_some_and(|largest| largest < batch.unwrap_or(1.0).max(1.0)) {
        problems::does_not_fit(q, own, &fixed);
    }
    match (batch, largest) {
        (Some(_), _) => {
            q.derive("inference.sequences", "inference.batch", "as declared");
        }
        (None, Some(largest)) if largest >= 1.0 => {
            q.derive("inference.sequences", "inference.largest_batch", "as many as fit");
        }
        _ => {
            total(q, fixed);
            return false;
        }
    }
    total(q, fixed);
    true
}

/// Memory without a device: of the batch that is declared, else of one sequence. There are no times.
pub(super) fn declared(q: &mut Quantities<'_>, own: &Inference) -> bool {
    let fixed = parts(q, own);
    if own.batch.is_some() {
        q.derive("inference.sequences", "inference.batch", "as declared");
    }
    total(q, fixed);
    false
}

/// What a device holds whatever the batch is.
fn parts(q: &mut Quantities<'_>, own: &Inference) -> Vec<&'static str> {
    q.derive("inference.memory.weights", "inference.weight_bytes / inference.tensor", HELD);
    let mut parts = vec!["inference.memory.weights"];
    if own.speculative.is_some() {
        q.derive(
            "inference.memory.draft",
            &format!("{} * inference.speculative.draft_params / inference.tensor", bytes_of(own.weights)),
            "stored as the model's own; its cache is left out",
        );
        parts.push("inference.memory.draft");
    }
    q.derive("inference.memory.reserve", "inference.reserve", "context, libraries, working space");
    parts.push("inference.memory.reserve");
    parts
}

/// With the cache of the batch, or of one sequence where there is none.
fn total(q: &mut Quantities<'_>, mut parts: Vec<&'static str>) {
    if q.get("inference.kv_per_device").is_some() {
        let (formula, source) = match q.get("inference.sequences") {
            Some(_) => {
                ("inference.sequences * inference.kv_per_device", "all sequences at their full length")
            }
            None => ("inference.kv_per_device", "one sequence at its full length"),
        };
        q.derive("inference.memory.kv_cache", formula, source);
        parts.push("inference.memory.kv_cache");
    }
    q.derive("inference.memory", &parts.join(" + "), HELD);
    if q.get("inference.device.memory").is_some() {
        q.derive(
            "inference.memory_share",
            "inference.memory / inference.device.memory",
            "the device's memory as sold",
        );
    }
}
