//! What a run takes beyond its computation: checkpoints, failures, restarts; and what all of it costs.

use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::plan::{Hardware, Operation};
use llmplan_spec::units::format;
use llmplan_spec::units::{Number, Unit};

use crate::quantities::Quantities;
use crate::training::{declared, place};

const DALY: &str = "Daly 2006: failures at a constant rate, also while writing and restarting";

/// How far the default of `hardware.mtbf` may be off, as a factor each way: that of BLOOM's cluster is 0.65 to 1.3 of it
/// (Le Scao 2022), that of OPT-175B's at most 0.83 (Zhang 2022 §2.5).
const MTBF_FACTOR: f64 = 2.0;

/// Below this share of useful time a run is said not to end.
const LEAST_GOODPUT: f64 = 1e-3;

/// Goodput, and where the run's time is known what it takes by the calendar, costs and draws.
pub(crate) fn run(q: &mut Quantities<'_>) {
    let plan = q.plan;
    let (Some(_), Some(hardware)) = (&plan.training, &plan.hardware) else { return };
    interruptions(q, &hardware.operation);
    if q.get("training.time").is_none() || q.get("training.goodput").is_none() {
        return;
    }
    q.derive(
        "training.calendar_time",
        "training.time / training.goodput",
        "computation over the share of the time that it has",
    );
    q.derive(
        "training.failures",
        "training.calendar_time / training.cluster_mtbf",
        "failures at a constant rate",
    );
    q.derive(
        "training.device_hours",
        "hardware.devices * training.calendar_time",
        "all devices for the whole time, interruptions included",
    );
    money(q, hardware);
    energy(q, hardware);
}

/// What checkpoints, failures, restarts and stragglers leave of the time.
fn interruptions(q: &mut Quantities<'_>, operation: &Operation) {
    q.leaf("hardware.mtbf");
    if declared(q, "hardware.mtbf").is_none() {
        q.interval("hardware.mtbf", operation.mtbf / MTBF_FACTOR, operation.mtbf * MTBF_FACTOR);
    }
    q.derive(
        "training.checkpoint_size",
        "memory.weights + memory.optimizer",
        "what a run needs to go on; gradients are computed anew",
    );
    q.derive(
        "training.checkpoint_time",
        "training.checkpoint_size / hardware.storage_bandwidth",
        "all devices write, and wait for the end of it",
    );
    q.derive(
        "training.cluster_mtbf",
        "hardware.mtbf / hardware.devices",
        "any device that fails stops the run; failures are independent",
    );
    let (Some(write), Some(between)) =
        (q.number("training.checkpoint_time"), q.number("training.cluster_mtbf"))
    else {
        return;
    };
    interval(q, write, between);
    let Some(interval) = q.number("training.checkpoint_interval") else { return };
    let kept = kept(interval, write, between, operation);
    if kept < LEAST_GOODPUT {
        return never_ends(q, write, between, operation);
    }
    q.derive(
        "training.goodput",
        "min(1, (1 - hardware.stragglers) * training.checkpoint_interval / (training.cluster_mtbf * \
         exp(hardware.restart / training.cluster_mtbf) * (exp((training.checkpoint_interval + \
         training.checkpoint_time) / training.cluster_mtbf) - 1)))",
        DALY,
    );
    lost(q);
}

/// The interval between checkpoints that loses the least time.
fn interval(q: &mut Quantities<'_>, write: f64, between: f64) {
    let (formula, source) = if write < 2.0 * between {
        (
            "sqrt(2 * training.checkpoint_time * training.cluster_mtbf) * (1 - sqrt(training.checkpoint_time / \
             (18 * training.cluster_mtbf)))^2",
            "Daly 2006 equation 37; Young 1974 is its first factor, √(2·write·MTBF)",
        )
    } else {
        ("training.cluster_mtbf", "Daly 2006 equation 37: writing takes more than twice the MTBF")
    };
    q.derive("training.checkpoint_interval", formula, source);
}

/// The shares of the time that are lost, by cause. With goodput they sum to 1.
fn lost(q: &mut Quantities<'_>) {
    q.derive(
        "training.lost.checkpoints",
        "training.goodput / (1 - hardware.stragglers) * training.checkpoint_time / training.checkpoint_interval",
        "one checkpoint for each interval that is kept",
    );
    q.derive(
        "training.lost.restarts",
        "1 - exp(-hardware.restart / training.cluster_mtbf)",
        "one restart for each failure, those that fail themselves included: Daly 2006",
    );
    q.derive(
        "training.lost.rework",
        "max(0, (1 - training.lost.restarts) * (1 - (training.checkpoint_interval + training.checkpoint_time) / \
         (training.cluster_mtbf * (exp((training.checkpoint_interval + training.checkpoint_time) / \
         training.cluster_mtbf) - 1))))",
        "from the last checkpoint to the failure: Daly 2006",
    );
    q.derive(
        "training.lost.stragglers",
        "training.goodput * hardware.stragglers / (1 - hardware.stragglers)",
        "a share of the computation that is kept",
    );
}

/// Goodput: the share of the time that is computation which is kept (Daly 2006).
fn kept(interval: f64, write: f64, between: f64, operation: &Operation) -> f64 {
    let restarts = (operation.restart / between).exp();
    let segment = ((interval + write) / between).exp_m1();
    (1.0 - operation.stragglers) * interval / (between * restarts * segment)
}

/// Failures, or stragglers, leave nothing of the time.
fn never_ends(q: &mut Quantities<'_>, write: f64, between: f64, operation: &Operation) {
    if !q.errors.is_empty() {
        return;
    }
    let time = |seconds: f64| q.show(Number::Real(seconds), Unit::TIME, 3);
    let paths = ["hardware.stragglers", "hardware.mtbf", "hardware.storage_bandwidth", "hardware.restart"];
    let label = if operation.stragglers >= 1.0 {
        "all of the time is spent waiting".to_owned()
    } else {
        format!("one of the devices fails every {}", time(between))
    };
    q.errors.push(
        Diagnostic::error(Code::OutOfRange, place(q, &paths), "interruptions leave no time to compute")
            .label(label)
            .note(format!(
                "a checkpoint takes {}, a restart {}, and stragglers cost {} of the time",
                time(write),
                time(operation.restart),
                format::percent(operation.stragglers),
            ))
            .help("use fewer devices, faster storage, or a longer `hardware.mtbf`"),
    );
}

/// Device-hours and storage at their prices: the declared one, else the middle of list prices.
fn money(q: &mut Quantities<'_>, hardware: &Hardware) {
    if !price(q, hardware) {
        return;
    }
    let mut formula = "training.device_hours * hardware.price".to_owned();
    if hardware.operation.storage_price.is_some() {
        q.derive(
            "training.storage_cost",
            "hardware.checkpoints * training.checkpoint_size * hardware.storage_price * training.calendar_time",
            "all kept checkpoints from the first day on",
        );
        formula.push_str(" + training.storage_cost");
    }
    q.derive("training.cost", &formula, "what is rented, for as long as it is");
}

/// Whether a device has a price: the declared one, else the middle of list prices, which becomes a quantity.
pub(crate) fn price(q: &mut Quantities<'_>, hardware: &Hardware) -> bool {
    if hardware.price.is_some() || q.get("hardware.price").is_some() {
        return true;
    }
    let (Some(low), Some(high)) = (hardware.device.price_low, hardware.device.price_high) else {
        return false;
    };
    q.assumed.insert("hardware.price".to_owned());
    q.derive(
        "hardware.price",
        "sqrt(device.price_low * device.price_high)",
        "the geometric middle of list prices",
    );
    q.interval("hardware.price", low, high);
    true
}

/// What the site draws, and its CO2 equivalent.
fn energy(q: &mut Quantities<'_>, hardware: &Hardware) {
    if hardware.device.power.is_none() {
        return;
    }
    q.derive(
        "training.energy",
        "hardware.devices * device.power * hardware.utilization * hardware.host_power * hardware.pue * \
         training.calendar_time",
        "Strubell 2019 §2; model cards count the devices' thermal design power",
    );
    q.derive("training.carbon", "training.energy * hardware.carbon", "Lacoste 2019; Patterson 2021 §2");
}
