//! Why a plan's report lacks a quantity that the language has: for conditions, and for `explain`.

use llmplan_spec::plan::{LawForm, Plan};
use llmplan_spec::schema::{self, PathKind, suggest};

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
    if let Some(reason) = nothing_called_so(path, plan) {
        return Why { reasons: vec![reason], ..Why::default() };
    }
    let lacks = |need: &&str| !known(need) && !has(plan, need);
    // `*` is the name that the path has there.
    let named = |need: &str| need.replace('*', path.split('.').nth(1).unwrap_or_default());
    let lacking = needs.iter().map(|need| named(need)).filter(|need| lacks(&need.as_str())).collect();
    let mut found = Why { needs: lacking, ..Why::default() };
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
        let serving = match path.starts_with("inference.") {
            true => crate::inference::reasons(path, plan, known),
            false => Vec::new(),
        };
        if !serving.is_empty() {
            found.reasons = serving;
        } else if of_step && !unmodelled.is_empty() {
            found.reasons = unmodelled.to_vec();
        } else if let Some(why) = crate::alignment::unmodelled(path, plan, known) {
            found.reasons.push(why.to_owned());
        } else if path.starts_with("scaling.") {
            found.reasons.push(of_law(path, plan));
        } else if let Some(why) = of_budget(path, plan, known) {
            found.reasons.push(why);
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

/// Where a path is of a part by its name and the plan has such parts, but none of that name.
fn nothing_called_so(path: &str, plan: &Plan) -> Option<String> {
    let Some(PathKind::Derived(derived)) = schema::path(path) else { return None };
    let place = derived.path.split('.').position(|segment| segment == "*")?;
    let name = path.split('.').nth(place)?;
    let (part, names): (&str, Vec<&str>) = match derived.path.split('.').next()? {
        "alignment" => {
            ("stage", plan.alignment.as_ref()?.stages.iter().map(|own| own.name.as_str()).collect())
        }
        "data" => ("source", plan.data.as_ref()?.sources.iter().map(|own| own.name.as_str()).collect()),
        "efficiency" => ("gain", plan.gains.iter().map(|own| own.name.as_str()).collect()),
        _ => return None,
    };
    if names.is_empty() || names.contains(&name) {
        return None;
    }
    let near = suggest::nearest(name, names);
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Some(format!("there is no {part} `{name}`{near}"))
}

/// Why a scaling law says nothing of a quantity.
fn of_law(path: &str, plan: &Plan) -> String {
    if plan.training.as_ref().is_some_and(|training| training.lora.is_some()) {
        return "scaling laws say nothing of adapters: their model has its loss already".to_owned();
    }
    let mut segments = path.split('.').skip(1);
    let (first, second) = (segments.next().unwrap_or_default(), segments.next());
    if let ("error", Some(task)) = (first, second) {
        return format!("`{}` has no task `{task}`", plan.law.name);
    }
    let (law, leaf) = match second {
        None => (Some(&plan.law), first),
        Some(leaf) => (plan.laws.iter().find(|law| law.name == first), leaf),
    };
    let Some(law) = law else {
        let near = suggest::nearest(first, plan.laws.iter().map(|law| law.name.as_str()));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return format!("there is no law `{first}`{near}");
    };
    let name = &law.name;
    match (law.form, leaf) {
        (LawForm::Allocation, "loss" | "optimal_loss" | "compute_waste" | "equal_loss_compute") => {
            format!("`{name}` divides compute and says nothing of loss")
        }
        (_, "compute_waste" | "equal_loss_compute") if law.allocation.is_some() => {
            format!("N* and D* of `{name}` are declared: they need not be the optimum of its loss")
        }
        (_, "bits_per_byte") => format!("`{name}` does not say how many bytes a token has"),
        (_, "params" | "compute") => {
            format!("`{name}` counts as the plan's own law does: `scaling.{leaf}` is the same")
        }
        _ if law.form == LawForm::Allocation => format!("`{name}` divides compute and says nothing of loss"),
        (_, "effective_params" | "best_params_for_unique") => {
            "no source is seen more than once: N counts as it is".to_owned()
        }
        _ => format!("`{name}` gives no number for it in this plan"),
    }
}

/// Why a budget has no best model, where that is known.
fn of_budget(path: &str, plan: &Plan, known: &dyn Fn(&str) -> bool) -> Option<String> {
    let leaf = path.strip_prefix("budget.")?;
    let adapters = plan.training.as_ref().is_some_and(|training| training.lora.is_some());
    let limit = leaf.starts_with("allows.") || ["flops", "limit", "rate"].contains(&leaf);
    if adapters && !limit {
        return Some("laws are of pretraining: with adapters a budget has no best model".to_owned());
    }
    let of_loss = ["loss", "loss_of_plan", "waste", "lifetime.loss"].contains(&leaf);
    if of_loss && matches!(plan.law.form, LawForm::Allocation) {
        return Some(format!("`{}` divides compute and says nothing of loss", plan.law.name));
    }
    let paid = leaf.starts_with("lifetime.") && known("budget.optimal_params");
    let demand = plan.inference.as_ref().is_some_and(|own| own.demand.is_some());
    (paid && demand).then(|| "serving all of `inference.demand` leaves no compute for any model".to_owned())
}

/// Whether a plan has a block or an attribute.
pub(crate) fn has(plan: &Plan, need: &str) -> bool {
    match need {
        "training" => plan.training.is_some(),
        "data" => plan.data.is_some(),
        "hardware" => plan.hardware.is_some(),
        "alignment" => plan.alignment.is_some(),
        "gain" => !plan.gains.is_empty(),
        "budget" => plan.budget.is_some(),
        "inference" => plan.inference.is_some(),
        // The hardware's device stands for it.
        "inference.device" => plan.hardware.is_some() || plan.setting(need).is_some(),
        "inference.price" => match plan.inference.as_ref().and_then(|own| own.device.as_ref()) {
            Some(device) => plan.setting(need).is_some() || device.price_low.is_some(),
            None => plan.setting(need).is_some() || has(plan, "hardware.price"),
        },
        // Where it is not declared, list prices of the device stand for it.
        "hardware.price" => {
            let list = ["device.price_low", "device.price_high"];
            plan.setting(need).is_some() || list.iter().all(|price| plan.setting(price).is_some())
        }
        "law.task" => !plan.law.tasks.is_empty(),
        "data.source" => plan.data.as_ref().is_some_and(|data| !data.sources.is_empty()),
        path => plan.setting(path).is_some(),
    }
}
