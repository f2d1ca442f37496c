//! What served tokens cost, and what serving takes over a model's lifetime.

use llmplan_spec::plan::Inference;

use super::device;
use crate::quantities::Quantities;
use crate::report::{Grade, Value};

/// What a million tokens cost: of prompts and answers by the time that each takes, and of both together.
pub(super) fn all(q: &mut Quantities<'_>, own: &Inference) {
    if !price(q, own) {
        return;
    }
    // Dollars per second of a replica that has work.
    let rate = "inference.tensor * inference.device.price / inference.utilization";
    let million = "1_000_000 *";
    q.derive(
        "inference.cost_per_million.input",
        &format!("{million} {rate} * inference.ttft / inference.prompt"),
        "the time of a prompt",
    );
    q.derive(
        "inference.cost_per_million.output",
        &format!(
            "{million} {rate} * (inference.output - 1) * inference.tpot / (inference.sequences * inference.output)"
        ),
        "the time of an answer's steps, shared by the batch",
    );
    q.derive(
        "inference.cost_per_million",
        &format!("{million} {rate} * inference.request_time / (inference.prompt + inference.output)"),
        "the time of a request over all its tokens",
    );
}

/// The price of a device: declared, the hardware's, or the geometric middle of list prices.
fn price(q: &mut Quantities<'_>, own: &Inference) -> bool {
    let path = "inference.device.price";
    let list = "the geometric middle of list prices";
    let Some((served, apart)) = device::of(q.plan, own) else { return false };
    let prices = served.price_low.zip(served.price_high);
    let hardware = q.plan.hardware.as_ref().filter(|_| !apart);
    if own.price.is_some() {
        q.derive(path, "inference.price", "as declared");
    } else if q.get("hardware.price").is_some() && !apart || hardware.is_some_and(|own| own.price.is_some()) {
        q.derive(path, "hardware.price", "what training pays for the same devices");
    } else if let Some((low, high)) = prices {
        q.assumed.insert(path.to_owned());
        if apart {
            let place = format!("device {}: {list}", served.name);
            q.figure(path, Value::Real((low * high).sqrt()), &place, Grade::Assumed);
        } else {
            q.derive(path, "sqrt(device.price_low * device.price_high)", list);
        }
        q.interval(path, low, high);
    } else {
        return false;
    }
    true
}

/// What all of the demand takes, and what it is beside training.
pub(super) fn lifetime(q: &mut Quantities<'_>, own: &Inference) {
    if own.demand.is_none() {
        return;
    }
    q.derive(
        "inference.lifetime.requests",
        "inference.demand / (inference.prompt + inference.output)",
        "all alike",
    );
    q.derive(
        "inference.lifetime.flops",
        "inference.lifetime.requests * (inference.prefill.flops + (inference.output - 1) * inference.decode.flops)",
        "2N_active a token, and attention",
    );
    let known = |q: &Quantities<'_>, path: &str| q.get(path).is_some();
    if known(q, "training.flops") {
        q.derive(
            "inference.lifetime.flops_to_training",
            "inference.lifetime.flops / training.flops",
            "Sardana 2024",
        );
    }
    if known(q, "inference.request_time") {
        q.derive(
            "inference.lifetime.device_hours",
            "inference.lifetime.requests * inference.tensor * inference.request_time / inference.utilization",
            "full batches, in the share of the time that there is work",
        );
    }
    if known(q, "inference.device.price") && known(q, "inference.lifetime.device_hours") {
        q.derive(
            "inference.lifetime.cost",
            "inference.lifetime.device_hours * inference.device.price",
            "device-hours × price",
        );
        if known(q, "training.cost") {
            q.derive(
                "inference.lifetime.total_cost",
                "training.cost + inference.lifetime.cost",
                "trained once, served for all of the demand",
            );
            q.derive(
                "inference.lifetime.cost_to_training",
                "inference.lifetime.cost / training.cost",
                "Sardana 2024",
            );
        }
    }
}
