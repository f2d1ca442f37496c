//! The quantities of a budget.

use llmplan_spec::plan::{Budget, Law, LawForm, LawParams, Plan};

use super::optimum::{Best, Bounds, best, loss_with};
use super::shape::counted;
use super::{LIMITS, band, bounds, sequence, warnings};
use crate::goodput;
use crate::quantities::Quantities;
use crate::report::{Grade, Value};
use crate::scaling::{compute_for, half_width, optimum};

const OPTIMUM: &str = "Hoffmann 2022 eq. 4, at C = 6ND";
const SEARCHED: &str = "Hoffmann 2022 eq. 2; Muennighoff 2023 eq. 5 to 7";
const EQUAL: &str = "lowest loss along 6ND = C, with what repeated data is worth";
const SHARED: &str = "lowest loss along 6ND + 2N·demand = C, with what repeated data is worth";

/// What the optimum is computed from, where it has no closed form.
const INPUTS: [&str; 9] = [
    "budget.flops",
    "law.form",
    "law.e",
    "law.a",
    "law.b",
    "law.alpha",
    "law.beta",
    "data.unique_tokens",
    "budget.max_epochs",
];

/// What each limit allows, which is the tightest, and the best model for it.
pub(crate) fn run(q: &mut Quantities<'_>) {
    let plan = q.plan;
    let Some(budget) = &plan.budget else { return };
    rate(q, budget);
    allowed(q, budget);
    tightest(q);
    let Some(compute) = q.number("budget.flops") else { return };
    if plan.training.as_ref().is_some_and(|training| training.lora.is_some()) {
        return;
    }
    if warnings::too_small(q, compute) {
        return;
    }
    let bounds = bounds(plan, false);
    let Some(found) = best(&plan.law, compute, &bounds) else { return };
    best_model(q, &found, compute, &bounds);
    served(q, plan, compute);
    declared(q, plan, &bounds, compute);
    warnings::find(q, &found, &bounds);
}

/// FLOP of training in a second of the calendar: what all limits but `compute` are turned into FLOP by.
fn rate(q: &mut Quantities<'_>, budget: &Budget) {
    let Budget { device_hours, cost, time, energy, .. } = budget;
    if [device_hours, cost, time, energy].iter().all(|limit| limit.is_none())
        || q.get("training.mfu").is_none() && q.plan.setting("training.mfu").is_none()
        || q.get("hardware.peak").is_none()
        || q.get("training.goodput").is_none()
    {
        return;
    }
    let executed = q.plan.convention.flops == llmplan_spec::plan::FlopsConvention::Executed;
    let formula = match executed && q.get("flops.recomputed").is_some() {
        true => {
            "hardware.peak * training.mfu * training.goodput * flops.training / (flops.training + flops.recomputed)"
        }
        false => "hardware.peak * training.mfu * training.goodput",
    };
    q.derive("budget.rate", formula, "what the devices achieve, for the share of the time that is kept");
}

fn allowed(q: &mut Quantities<'_>, budget: &Budget) {
    if budget.compute.is_some() {
        q.derive("budget.allows.compute", "budget.compute", "as declared");
    }
    let Some(hardware) = q.plan.hardware.as_ref().filter(|_| q.get("budget.rate").is_some()) else { return };
    if budget.device_hours.is_some() {
        let formula = "budget.rate * budget.device_hours / hardware.devices";
        q.derive("budget.allows.device_hours", formula, "all devices run until they are used up");
    }
    if budget.cost.is_some() && goodput::price(q, hardware) {
        let mut each = "hardware.devices * hardware.price".to_owned();
        if hardware.operation.storage_price.is_some() {
            each.push_str(" + hardware.checkpoints * training.checkpoint_size * hardware.storage_price");
        }
        q.derive(
            "budget.allows.cost",
            &format!("budget.rate * budget.cost / ({each})"),
            "the money over what a second costs",
        );
    }
    if budget.time.is_some() {
        q.derive("budget.allows.time", "budget.rate * budget.time", "the calendar, interruptions included");
    }
    if budget.energy.is_some() && hardware.device.power.is_some() {
        let watts =
            "hardware.devices * device.power * hardware.utilization * hardware.host_power * hardware.pue";
        q.derive(
            "budget.allows.energy",
            &format!("budget.rate * budget.energy / ({watts})"),
            "the energy over what the site draws",
        );
    }
}

fn tightest(q: &mut Quantities<'_>) {
    let known: Vec<(&str, &str, f64)> =
        LIMITS.iter().filter_map(|(word, path)| Some((*word, *path, q.number(path)?))).collect();
    let Some((word, path, _)) = known.iter().copied().min_by(|one, other| one.2.total_cmp(&other.2)) else {
        return;
    };
    let paths: Vec<&str> = known.iter().map(|(_, path, _)| *path).collect();
    let formula = match paths.as_slice() {
        [_] => path.to_owned(),
        paths => format!("min({})", paths.join(", ")),
    };
    q.derive("budget.flops", &formula, "the tightest limit holds");
    q.modelled("budget.limit", Value::Text(word.to_owned()), "the limit that allows the least", &paths, "");
}

/// N*, D* and L*, with what all laws say as their intervals.
fn best_model(q: &mut Quantities<'_>, found: &Best, compute: f64, bounds: &Bounds) {
    let plan = q.plan;
    let law = &plan.law;
    // Where data is short, more epochs of a smaller model may be best: D is above the free optimum's then.
    let free = bounds.supply.as_ref().is_none_or(|supply| found.free_tokens <= supply.fresh());
    let closed = matches!(law.form, LawForm::Parametric { .. })
        && law.allocation.is_none()
        && law.params != LawParams::FlopsPerToken
        && free;
    if closed {
        q.derive(
            "budget.optimal_params",
            "(law.alpha * law.a / (law.beta * law.b))^(1 / (law.alpha + law.beta)) * \
             (budget.flops / (6 FLOP))^(law.beta / (law.alpha + law.beta))",
            OPTIMUM,
        );
        q.derive("budget.optimal_tokens", "budget.flops / (6 FLOP) / budget.optimal_params", OPTIMUM);
    } else {
        q.modelled("budget.optimal_params", Value::Real(found.params), EQUAL, &INPUTS, SEARCHED);
        q.modelled("budget.optimal_tokens", Value::Real(found.tokens), EQUAL, &INPUTS, SEARCHED);
    }
    q.derive("budget.tokens_per_param", "budget.optimal_tokens / budget.optimal_params", "D over N");
    if found.epochs.is_some() {
        q.derive(
            "budget.epochs",
            "budget.optimal_tokens / data.unique_tokens",
            "tokens over distinct tokens",
        );
    }
    if let Some(loss) = found.loss.filter(|loss| loss.is_finite()) {
        let formula =
            "law.e + law.a / budget.optimal_params^law.alpha + law.b / budget.optimal_tokens^law.beta";
        if closed && q.comes_out(formula) {
            q.derive("budget.loss", formula, "Hoffmann 2022 eq. 2");
        } else {
            q.modelled("budget.loss", Value::Real(loss), EQUAL, &INPUTS, SEARCHED);
        }
    }
    if let Some(most) = law.range.compute.1 {
        q.leaf("law.compute_high");
        let formula = "max(1, budget.flops / law.compute_high)";
        if most > 0.0 {
            q.derive("budget.extrapolation", formula, "over the largest of the law's runs");
        }
    }
    spread(q, compute, bounds);
    for path in [
        "budget.optimal_params",
        "budget.optimal_tokens",
        "budget.tokens_per_param",
        "budget.epochs",
        "budget.loss",
    ] {
        q.no_surer_than(path, Grade::Fitted);
    }
}

/// What all laws say: the band of N*, D* and D*/N*. Losses only of those with the tokenizer of the plan's law, and its own
/// interval.
fn spread(q: &mut Quantities<'_>, compute: f64, bounds: &Bounds) {
    let law = &q.plan.law;
    let all = band(q.plan, compute, bounds);
    let ends = |of: &dyn Fn(&Law, &Best) -> Option<f64>| {
        let values: Vec<f64> = all.iter().filter_map(|(law, found)| of(law, found)).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        (low, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    };
    let params = ends(&|_, found| Some(found.params));
    let tokens = ends(&|_, found| Some(found.tokens));
    let ratio = ends(&|_, found| Some(found.tokens / found.params));
    let epochs = ends(&|_, found| found.epochs);
    let comparable =
        |other: &Law| law.tokenizer.is_some() && other.tokenizer == law.tokenizer || other.name == law.name;
    let mut loss = ends(&|other, found| found.loss.filter(|_| comparable(other)));
    if let (Some(half), Some(own)) =
        (half_width(law, |constants| constants.optimum(compute).loss), q.number("budget.loss"))
    {
        loss = (loss.0.min(own - half), loss.1.max(own + half));
    }
    for (path, (low, high)) in [
        ("budget.optimal_params", params),
        ("budget.optimal_tokens", tokens),
        ("budget.tokens_per_param", ratio),
        ("budget.epochs", epochs),
        ("budget.loss", loss),
    ] {
        if low < high {
            q.interval(path, low, high);
        }
    }
}

/// The best where what is served is paid from the same compute.
fn served(q: &mut Quantities<'_>, plan: &Plan, compute: f64) {
    let bounds = bounds(plan, true);
    if bounds.served <= 0.0 {
        return;
    }
    let Some(found) = best(&plan.law, compute, &bounds) else { return };
    // Serving takes so much that nothing is left for a model.
    if found.params < warnings::least_params(plan) {
        return;
    }
    let inputs = [INPUTS.as_slice(), &["inference.demand"]].concat();
    let source = "Sardana 2024 §3, with the compute given instead of the loss";
    let values = [
        ("budget.lifetime.params", Some(found.params)),
        ("budget.lifetime.tokens", Some(found.tokens)),
        ("budget.lifetime.loss", found.loss),
    ];
    for (path, value) in values {
        if let Some(value) = value {
            q.modelled(path, Value::Real(value), SHARED, &inputs, source);
            q.no_surer_than(path, Grade::Fitted);
        }
    }
}

/// What the plan as declared makes of the budget.
fn declared(q: &mut Quantities<'_>, plan: &Plan, bounds: &Bounds, compute: f64) {
    let Some(data) = &plan.data else { return };
    q.derive(
        "budget.plan_share",
        "flops.training_per_token * data.tokens / budget.flops",
        "exactly counted, over what there is",
    );
    let repeats = bounds.supply.as_ref().is_some_and(|supply| data.tokens as f64 > supply.fresh());
    if q.get("scaling.loss").is_some() && !repeats {
        q.derive("budget.loss_of_plan", "scaling.loss", "as the plan's law has it");
    } else {
        let Some(params) = counted(&plan.model, plan.law.params, sequence(plan)) else { return };
        let loss = loss_with(&plan.law, bounds.supply.as_ref(), params as f64, data.tokens as f64);
        let Some(loss) = loss.filter(|loss| loss.is_finite()) else { return };
        let inputs = ["model.params", "data.tokens", "data.unique_tokens", "law.e", "law.a", "law.b"];
        q.modelled("budget.loss_of_plan", Value::Real(loss), "L(N, D) of the law", &inputs, SEARCHED);
        q.no_surer_than("budget.loss_of_plan", Grade::Fitted);
    }
    let Some(needed) = q.number("budget.loss_of_plan").and_then(|loss| least(plan, loss, bounds, compute))
    else {
        return;
    };
    let waste = (1.0 - needed / compute).max(0.0);
    let inputs = ["budget.flops", "budget.loss_of_plan", "law.alpha", "law.beta"];
    q.modelled(
        "budget.waste",
        Value::Real(waste),
        "1 - least compute of this loss / budget",
        &inputs,
        SEARCHED,
    );
    q.no_surer_than("budget.waste", Grade::Fitted);
}

/// The least compute that reaches a loss with the data that there is; `None` where the law does not say, or the budget
/// does not reach it. Above what it takes when data does not end, the loss along the best models falls with compute: bisection.
fn least(plan: &Plan, loss: f64, bounds: &Bounds, compute: f64) -> Option<f64> {
    let law = &plan.law;
    let free = compute_for(law, loss)?;
    let bound = bounds
        .supply
        .as_ref()
        .filter(|supply| optimum(law, free).is_some_and(|own| own.tokens > supply.fresh()));
    if bound.is_none() {
        return Some(free);
    }
    let at = |compute: f64| best(law, compute, bounds).and_then(|found| found.loss);
    let (mut low, mut high) = (libm::log(free), libm::log(compute.max(free)));
    if at(libm::exp(high))? > loss {
        return Some(compute);
    }
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if at(libm::exp(middle))? > loss { low = middle } else { high = middle }
    }
    Some(libm::exp(high))
}
