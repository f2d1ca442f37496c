//! What laws say of a plan, as quantities: first the plan's own law, then every other.

use llmplan_spec::plan::{Data, Law, LawForm, LawParams};

use super::laws::floor;
use super::written::Written;
use super::{intervals, warnings};
use crate::quantities::Quantities;
use crate::report::Grade;

const HOFFMANN: &str = "Hoffmann 2022 equations 2 and 4";
const KAPLAN: &str = "Kaplan 2020 equation 1.5";
const MUENNIGHOFF: &str = "Muennighoff 2023 equations 5 to 7";

/// Scaling of a plan that trains all of a model on declared data.
pub(crate) fn run(q: &mut Quantities<'_>) {
    let plan = q.plan;
    let Some(data) = &plan.data else { return };
    // Adapters are trained on a model that has its loss already: these laws say nothing of it.
    if plan.training.as_ref().is_some_and(|training| training.lora.is_some()) {
        return;
    }
    let own = &plan.law;
    effective_tokens(q, data);
    let Some(params) = params_formula(q, own.params) else { return };
    q.derive("scaling.params", &params, counting(own.params));
    q.derive(
        "scaling.compute",
        "6 FLOP * scaling.params * data.tokens",
        "as laws count it: Kaplan 2020 §2.1",
    );
    q.derive("scaling.tokens_per_param", "data.tokens / scaling.params", "as declared");
    if !q.errors.is_empty() {
        return;
    }
    effective_params(q, data, own);
    if own.range.compute.1.is_some() {
        let formula = "max(1, scaling.compute / law.compute_high)";
        q.derive("scaling.extrapolation", formula, "compute over the most of the law's runs");
    }
    let written = Written { law: own, own: true };
    apply(q, written, "scaling");
    tasks(q, own);
    for law in &plan.laws {
        if law.name == own.name {
            again(q, law);
        } else if params_formula(q, law.params).is_some() {
            apply(q, Written { law, own: false }, &format!("scaling.{}", law.name));
        }
    }
    band(q);
    warnings::find(q, data);
}

/// What a law counts as N, of this plan: so that C = 6ND, FLOPs per token are divided by 6.
fn params_formula(q: &Quantities<'_>, params: LawParams) -> Option<String> {
    let sparse = q.get("model.params.active_experts").is_some();
    let path = match (params, sparse) {
        (LawParams::Total, false) => "model.params",
        (LawParams::Total, true) => "model.active_params",
        (LawParams::NonEmbedding, false) => "model.non_embedding_params",
        (LawParams::NonEmbedding, true) => "model.active_non_embedding_params",
        (LawParams::FlopsPerToken, _) => {
            q.get("flops.convention.full.training_per_token")?;
            return Some(
                "(flops.convention.full.training_per_token - 3 * flops.forward.logits / flops.sequence) / 6 FLOP"
                    .to_owned(),
            );
        }
    };
    // A model may be all embedding.
    q.number(path).filter(|count| *count > 0.0).map(|_| path.to_owned())
}

fn counting(params: LawParams) -> &'static str {
    match params {
        LawParams::Total => "the law counts all parameters",
        LawParams::NonEmbedding => "the law counts parameters without embeddings and output",
        LawParams::FlopsPerToken => {
            "the law counts non-embedding FLOPs per token; a sixth of them is near to parameters"
        }
    }
}

/// Sources of data: what their tokens are worth together.
fn effective_tokens(q: &mut Quantities<'_>, data: &Data) {
    let mut parts = Vec::new();
    for source in &data.sources {
        let path = |leaf: &str| format!("data.{}.{leaf}", source.name);
        let (unique, epochs) = (path("unique"), path("epochs"));
        let repeated = q.number(&epochs).is_some_and(|epochs| epochs > 1.0);
        let (formula, worth) = if repeated {
            let left = format!("exp(-({epochs} - 1) / law.repeat_tokens)");
            (format!("{unique} + {unique} * law.repeat_tokens * (1 - {left})"), left)
        } else {
            (path("tokens"), "1".to_owned())
        };
        q.derive(&path("effective_tokens"), &formula, MUENNIGHOFF);
        q.derive(&path("marginal_worth"), &worth, "Muennighoff 2023 equation 5, by its derivative");
        parts.push(path("effective_tokens"));
    }
    if parts.is_empty() {
        return q.derive("scaling.effective_tokens", "data.tokens", "no source says that any are repeated");
    }
    q.derive("data.effective_tokens", &parts.join(" + "), "sources are taken to be disjoint");
    q.derive("scaling.effective_tokens", "data.effective_tokens", MUENNIGHOFF);
    q.derive(
        "scaling.repetition_worth",
        "scaling.effective_tokens / data.tokens",
        "effective tokens over tokens taken",
    );
}

/// Parameters beyond what the distinct tokens are best used with count for less, where tokens are repeated.
fn effective_params(q: &mut Quantities<'_>, data: &Data, law: &Law) {
    if !repeats(q, data) {
        return;
    }
    let seen: Vec<String> = data
        .sources
        .iter()
        .map(|source| format!("min(data.{0}.unique, data.{0}.tokens)", source.name))
        .collect();
    let seen = if seen.len() == 1 { seen.concat() } else { format!("({})", seen.join(" + ")) };
    let written = Written { law, own: true };
    let Some(unique) = written.params_for(&seen) else { return };
    q.derive(
        "scaling.repeats",
        &format!("data.tokens / {seen} - 1"),
        "tokens taken over those that are distinct, less 1",
    );
    let best_path = "scaling.best_params_for_unique";
    fitted(q, best_path, &unique, "Muennighoff 2023 §3.1");
    if q.get(best_path).is_none() {
        return;
    }
    let excess = q.number("scaling.params") > q.number(best_path);
    let formula = if excess {
        format!(
            "scaling.params - (1 - exp(-scaling.repeats)) * (scaling.params - {best_path} - {best_path} * \
             law.repeat_params * (1 - exp(-(scaling.params / {best_path} - 1) / law.repeat_params)))"
        )
    } else {
        "scaling.params".to_owned()
    };
    fitted(q, "scaling.effective_params", &formula, MUENNIGHOFF);
}

fn repeats(q: &Quantities<'_>, data: &Data) -> bool {
    let epochs = |name: &str| q.number(&format!("data.{name}.epochs")).unwrap_or(0.0);
    data.sources.iter().any(|source| epochs(&source.name) > 1.0)
}

/// Loss, optimum and waste by one law, under `prefix`.
fn apply(q: &mut Quantities<'_>, written: Written<'_>, prefix: &str) {
    let law = written.law;
    let path = |leaf: &str| format!("{prefix}.{leaf}");
    let source = match law.form {
        LawForm::Parametric { .. } if law.allocation.is_none() => HOFFMANN,
        LawForm::Kaplan { .. } if law.allocation.is_none() => KAPLAN,
        _ => law.source.as_str(),
    };
    // N as this law counts it, and what one parameter of the plan's law is then.
    let other = law.params != q.plan.law.params;
    let (mut params, mut compute, mut scale) =
        ("scaling.params".to_owned(), "scaling.compute".to_owned(), String::new());
    if other {
        let Some(formula) = params_formula(q, law.params) else { return };
        (params, compute) = (path("params"), path("compute"));
        q.derive(&params, &formula, counting(law.params));
        let formula = format!("6 FLOP * {params} * data.tokens");
        q.derive(&compute, &formula, "as the law counts it");
        scale = format!(" * {params} / scaling.params");
    }
    let effective = match q.get("scaling.effective_params") {
        Some(_) => format!("scaling.effective_params{scale}"),
        None => params.clone(),
    };
    if let Some(formula) = written.loss(&effective, "scaling.effective_tokens") {
        fitted(q, &path("loss"), &formula, source);
        if written.own {
            intervals::loss(q, law);
        }
        if let Some(bytes) = written.bytes_per_token() {
            let formula = format!("{} / (log(2) * ({bytes}))", path("loss"));
            fitted(q, &path("bits_per_byte"), &formula, "nats per token over ln 2 and bytes per token");
        }
    }
    let Some(formula) = written.optimal_params(&compute) else { return };
    let formula = if other { format!("{formula} * scaling.params / {params}") } else { formula };
    fitted(q, &path("optimal_params"), &formula, source);
    if written.own {
        intervals::optimal_params(q, law);
    }
    let formula = written
        .declared_tokens(&compute)
        .unwrap_or_else(|| format!("scaling.compute / (6 FLOP * {})", path("optimal_params")));
    fitted(q, &path("optimal_tokens"), &formula, source);
    let formula = format!("{} / {}", path("optimal_tokens"), path("optimal_params"));
    fitted(q, &path("optimal_tokens_per_param"), &formula, "both at the optimum");
    let best = format!("{}{scale}", path("optimal_params"));
    if let Some(formula) = written.loss(&best, &path("optimal_tokens")) {
        fitted(q, &path("optimal_loss"), &formula, source);
        if written.own {
            intervals::optimal_loss(q, law);
        }
    }
    waste(q, written, &path);
    if written.own {
        let formula = "scaling.tokens_per_param / scaling.optimal_tokens_per_param";
        fitted(q, "scaling.overtraining", formula, "at the plan's compute");
    }
}

/// The compute that the loss takes at least, and what the plan takes beyond.
fn waste(q: &mut Quantities<'_>, written: Written<'_>, path: &dyn Fn(&str) -> String) {
    // At the floor nothing is left to compare.
    const LEAST: f64 = 1e-9;
    let own_floor = floor(written.law);
    let above = |leaf: &str| q.number(&path(leaf)).map(|loss| loss - own_floor);
    let (Some(loss), Some(best)) = (above("loss"), above("optimal_loss")) else { return };
    let Some(relative) = written.relative_compute(&path("optimal_loss"), &path("loss")) else { return };
    if loss < LEAST || best < LEAST {
        return;
    }
    let source = "the optimum's loss above the floor falls as C^-g, 1/g = 1/α + 1/β";
    if written.own {
        let formula = format!("scaling.compute * {relative}");
        fitted(q, "scaling.equal_loss_compute", &formula, source);
        let formula = "max(0, scaling.compute / scaling.equal_loss_compute - 1)";
        fitted(q, "scaling.compute_waste", formula, "compute over the least for this loss");
        intervals::waste(q, written.law);
    } else {
        fitted(q, &path("compute_waste"), &format!("max(0, 1 / {relative} - 1)"), source);
    }
}

/// The plan's own law, under its own name too.
fn again(q: &mut Quantities<'_>, law: &Law) {
    for leaf in [
        "loss",
        "bits_per_byte",
        "optimal_params",
        "optimal_tokens",
        "optimal_tokens_per_param",
        "optimal_loss",
        "compute_waste",
    ] {
        let own = format!("scaling.{leaf}");
        if q.get(&own).is_some() {
            q.derive(&format!("scaling.{}.{leaf}", law.name), &own, "the plan's own law");
        }
    }
}

/// Errors on tasks that the law has fits of.
fn tasks(q: &mut Quantities<'_>, law: &Law) {
    if q.get("scaling.loss").is_none() {
        return;
    }
    for task in &law.tasks {
        let path = |leaf: &str| format!("law.task.{}.{leaf}", task.name);
        let formula =
            format!("{} - {} * exp(-{} * scaling.loss)", path("error"), path("scale"), path("rate"));
        fitted(q, &format!("scaling.error.{}", task.name), &formula, "Gadre 2024 equation 5");
    }
}

/// N* by all laws: their lowest and highest are the interval.
fn band(q: &mut Quantities<'_>) {
    let found = optimal_params(q);
    if q.get("scaling.optimal_params").is_none() {
        return;
    }
    let (Some((_, low)), Some((_, high))) = (found.first(), found.last()) else { return };
    let (low, high) = (*low, *high);
    let path = "scaling.band.optimal_params";
    q.derive(path, "scaling.optimal_params", "the plan's own law, between the lowest and the highest of all");
    q.interval(path, low, high);
}

/// N* by every law, from the lowest to the highest.
pub(crate) fn optimal_params<'a>(q: &Quantities<'a>) -> Vec<(&'a str, f64)> {
    let each = q.plan.laws.iter().filter_map(|law| {
        let params = q.number(&format!("scaling.{}.optimal_params", law.name))?;
        Some((law.name.as_str(), params))
    });
    let mut found: Vec<(&str, f64)> = each.collect();
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    found
}

/// A quantity of a law: constants that are written out are fitted as much as those that are named. Constants that no runs
/// give may take powers beyond what numbers hold: the law says nothing then.
fn fitted(q: &mut Quantities<'_>, path: &str, formula: &str, source: &str) {
    if !q.comes_out(formula) {
        return;
    }
    q.derive(path, formula, source);
    q.no_surer_than(path, Grade::Fitted);
}
