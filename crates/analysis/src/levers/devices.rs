//! Other devices as a lever: what the catalog has with a list price, in the same number.

use llmplan_spec::catalog;
use llmplan_spec::plan::{Plan, SettingValue};
use llmplan_spec::units::Number;
use llmplan_spec::units::format::round;

use super::change::{Change, word};

/// The plan with each other device of its kind. A declared price follows: it stays as far from the middle of the device's
/// list prices as it is.
pub(super) fn others(plan: &Plan, path: &str) -> Vec<Change> {
    // A declared efficiency was measured on the device that the plan has.
    if path == "hardware.device" && plan.training.as_ref().is_some_and(|training| training.mfu.is_some()) {
        return Vec::new();
    }
    let own = word(plan, path).or_else(|| word(plan, "hardware.device")).unwrap_or_default();
    // One of the file's own says nothing of what others of its kind cost.
    if catalog::find("device", own).is_none() {
        return Vec::new();
    }
    let both = path == "hardware.device" && word(plan, "inference.device").is_none();
    let prices: &[&str] = match path {
        "hardware.device" if both => &["hardware.price", "inference.price"],
        "hardware.device" => &["hardware.price"],
        _ => &["inference.price"],
    };
    let others = catalog::names("device").filter(|name| *name != own && kind(name) == kind(own));
    let one = |name: &'static str| {
        let list = middle(name)?;
        let mut change = Change::word(plan, path, name);
        for price in prices {
            // Without a price of its own a plan takes the list's.
            let Some(declared) = number(plan, price) else { continue };
            let off = middle(own).map_or(1.0, |list| declared * HOUR / list);
            change.and_word(plan, price, &format!("${:.2} / h", round(list * off, 3)));
        }
        Some(change)
    };
    others.filter_map(one).collect()
}

/// Seconds: prices of plans are per second.
const HOUR: f64 = 3600.0;

/// The geometric middle of list prices, per hour.
fn middle(device: &str) -> Option<f64> {
    let (low, high) = catalog::list_prices(device)?;
    Some(libm::sqrt(low * high))
}

/// What programs for one run on all of: GPUs, or TPUs.
fn kind(device: &str) -> bool {
    device.starts_with("tpu-")
}

fn number(plan: &Plan, path: &str) -> Option<f64> {
    match &plan.setting(path)?.value {
        SettingValue::Quantity(own) => match own.number {
            Number::Int(count) => Some(count as f64),
            Number::Real(real) => Some(real),
        },
        SettingValue::Text(_) => None,
    }
}
