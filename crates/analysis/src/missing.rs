//! Why a plan's report lacks a quantity that the language has: for conditions, and for `explain`.

use llmplan_spec::plan::Plan;
use llmplan_spec::schema::{self, PathKind};

/// Why a quantity has no value in a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Why {
    /// Blocks and attributes that it needs and the plan does not declare.
    pub needs: Vec<String>,
    /// What it can do with instead, as half a sentence.
    pub instead: Option<String>,
    /// What else keeps it from being computed, in sentences.
    pub reasons: Vec<String>,
}

/// What the time of a step needs, and what an MFU is modelled from where none is declared.
const MODELLED: [&str; 2] = ["training.global_batch", "training.micro_batch"];

/// Why a plan has no value for a path. `known` says which quantities it has; `unmodelled` is why no step is modelled.
pub fn why(path: &str, plan: &Plan, known: &dyn Fn(&str) -> bool, unmodelled: &[String]) -> Why {
    let (needs, derived): (&[&str], bool) = match schema::path(path) {
        Some(PathKind::Derived(derived)) => (derived.needs, true),
        Some(PathKind::Declared(_)) if path == "training.mfu" => (&["training.mfu"], false),
        Some(PathKind::Declared(_)) | None => return Why::default(),
    };
    let lacks = |need: &&str| !known(need) && !has(plan, need);
    let mut found =
        Why { needs: needs.iter().copied().filter(lacks).map(str::to_owned).collect(), ..Why::default() };
    // A step alone gives the MFU, where it is modelled.
    if found.needs.iter().any(|need| need == "training.mfu") {
        let lacking: Vec<String> =
            MODELLED.iter().copied().filter(lacks).map(|need| format!("`{need}`")).collect();
        if lacking.is_empty() {
            found.reasons = unmodelled.to_vec();
        } else {
            found.instead = Some(format!("with {} the MFU is modelled", lacking.join(" and ")));
        }
    }
    if derived && found.needs.is_empty() {
        let of_step = path.starts_with("training.");
        let of_cluster = needs.contains(&"training.micro_batch");
        if of_step && !unmodelled.is_empty() {
            found.reasons = unmodelled.to_vec();
        } else {
            let whole = match path.split('.').next() {
                _ if of_cluster => "the plan's strategy has no such part",
                Some("model" | "flops" | "traffic" | "intensity") => "the model has no such part",
                _ => "the plan has no such part",
            };
            found.reasons.push(whole.to_owned());
        }
    }
    found
}

/// Whether a plan has a block or an attribute.
pub(crate) fn has(plan: &Plan, need: &str) -> bool {
    match need {
        "training" => plan.training.is_some(),
        "data" => plan.data.is_some(),
        "hardware" => plan.hardware.is_some(),
        // Where it is not declared, list prices of the device stand for it.
        "hardware.price" => {
            let list = ["device.price_low", "device.price_high"];
            plan.setting(need).is_some() || list.iter().all(|price| plan.setting(price).is_some())
        }
        "data.source" => plan.data.as_ref().is_some_and(|data| !data.sources.is_empty()),
        path => plan.setting(path).is_some(),
    }
}
