//! What there is to spend: the compute that the tightest limit leaves, the best model for it, and what the plan makes of it.

mod family;
pub mod optimum;
mod quantities;
pub mod shape;
mod warnings;

pub(crate) use quantities::run;

use llmplan_spec::plan::{Law, Plan};

use crate::folds::Sequence;
use optimum::{Best, Bounds, Supply, best};

/// The limits of a budget: the attribute, what is shown for it, and what its compute is called.
pub const LIMITS: [(&str, &str); 5] = [
    ("compute", "budget.allows.compute"),
    ("device_hours", "budget.allows.device_hours"),
    ("cost", "budget.allows.cost"),
    ("time", "budget.allows.time"),
    ("energy", "budget.allows.energy"),
];

/// What bounds the plan's model beside compute: its sources, and with `served` the tokens that it will serve.
pub fn bounds(plan: &Plan, served: bool) -> Bounds {
    let max_epochs = plan.budget.as_ref().map_or(f64::INFINITY, |own| own.max_epochs);
    let supply = plan.data.as_ref().and_then(|data| Supply::of(data, max_epochs));
    let demand = plan.inference.as_ref().and_then(|own| own.demand).unwrap_or(0);
    Bounds { supply, served: if served { demand as f64 } else { 0.0 } }
}

/// The sequence that a plan's FLOPs are counted for.
pub fn sequence(plan: &Plan) -> Sequence<'_> {
    Sequence {
        tokens: crate::flops::tokens(plan),
        documents: plan.training.as_ref().and_then(|training| training.documents.as_ref()),
        attention: plan.convention.attention,
    }
}

/// The best by every law for an amount of compute, by parameters. Each counts N in its own way.
pub fn band<'p>(plan: &'p Plan, compute: f64, bounds: &Bounds) -> Vec<(&'p Law, Best)> {
    let mut found: Vec<(&Law, Best)> =
        all(plan).filter_map(|law| Some((law, best(law, compute, bounds)?))).collect();
    found.sort_by(|one, other| one.1.params.total_cmp(&other.1.params));
    found
}

/// Every law, the plan's own among them.
fn all(plan: &Plan) -> impl Iterator<Item = &Law> {
    let own = plan.laws.iter().all(|law| law.name != plan.law.name).then_some(&plan.law);
    plan.laws.iter().chain(own)
}
