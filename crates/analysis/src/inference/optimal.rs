//! The model that would reach the plan's loss at the least of training and serving together.

use llmplan_spec::plan::{Inference, LawForm, LawParams};

use super::quantized::{adapters, law_params};
use crate::quantities::Quantities;
use crate::report::{Grade, Value};
use crate::scaling::{Parametric, flops, lifetime_optimum, served};

const SARDANA: &str = "Sardana 2024: the least of 6ND + 2N for each token served, at the plan's loss";

/// By FLOPs, and by dollars where the plan has both prices of a FLOP.
pub(super) fn all(q: &mut Quantities<'_>, own: &Inference) {
    let Some(demand) = own.demand.filter(|_| !adapters(q.plan)) else { return };
    optimum(q, "inference.optimal", demand as f64, 1.0);
    let cost = |q: &Quantities<'_>, part: &str| {
        let (cost, flops) = (format!("{part}.cost"), format!("{part}.flops"));
        Some(q.number(&cost)? / q.number(&flops)?)
    };
    if let (Some(serving), Some(training)) = (cost(q, "inference.lifetime"), cost(q, "training"))
        && training > 0.0
    {
        q.derive(
            "inference.price_ratio",
            "inference.lifetime.cost / inference.lifetime.flops / (training.cost / training.flops)",
            "a useful FLOP of serving over one of training",
        );
        optimum(q, "inference.optimal.by_cost", demand as f64, serving / training);
    }
}

/// One optimum under a prefix.
fn optimum(q: &mut Quantities<'_>, prefix: &str, demand: f64, ratio: f64) {
    let law = &q.plan.law;
    let (LawForm::Parametric { e, a, b, alpha, beta }, LawParams::Total) = (law.form, law.params) else {
        return;
    };
    let Some(params) = law_params(q) else { return };
    let (Some(n), Some(data)) = (q.number(params), &q.plan.data) else { return };
    let (law, d) = (Parametric { e, a, b, alpha, beta }, data.tokens as f64);
    // Of repeated tokens the loss is what they are worth; the optimum's tokens are all distinct.
    let loss = q.number("scaling.loss").unwrap_or_else(|| law.loss(n, d));
    let Some(best) = lifetime_optimum(&law, loss, demand, ratio) else { return };
    let cost = |training: f64, serving: f64| training + ratio * serving;
    let own = cost(flops(n, d), served(n, demand));
    let saving = 1.0 - cost(best.flops_training, best.flops_serving) / own;
    let name = format!("halving on the first-order condition, under {}", q.plan.law.name);
    let inputs = [params, "data.tokens", "inference.demand", "inference.price_ratio"];
    let inputs = if ratio == 1.0 { &inputs[..3] } else { &inputs[..] };
    for (leaf, value) in [("params", best.params), ("tokens", best.tokens), ("saving", saving)] {
        let path = format!("{prefix}.{leaf}");
        q.modelled(&path, Value::Real(value.max(0.0)), &name, inputs, SARDANA);
        q.no_surer_than(&path, Grade::Fitted);
    }
}
