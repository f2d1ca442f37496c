//! Intervals of what the plan's own law says: 95% by the delta method where the law has a covariance, and from all of a
//! model's parameters to its active ones where it has experts.

use libm::{exp, log};
use llmplan_spec::plan::Law;

use super::band::half_width;
use super::laws::loss as loss_of;
use super::{Parametric, Repetition};
use crate::quantities::Quantities;

/// The widest interval of a logarithm: of a covariance that says nothing.
const WIDEST: f64 = 50.0;

/// L(N, D): of experts, from L(N_total, D) to L(N_active, D).
pub(super) fn loss(q: &mut Quantities<'_>, law: &Law) {
    let Some(value) = q.number("scaling.loss") else { return };
    let least = all_experts(q, law).map_or(value, |other| other.min(value));
    let half = at(q).and_then(|(params, tokens)| half_width(law, |law| law.loss(params, tokens)));
    let half = half.unwrap_or(0.0);
    if least - half < value + half {
        q.interval("scaling.loss", least - half, value + half);
    }
}

/// ln N*; D* = C/6N* follows from it.
pub(super) fn optimal_params(q: &mut Quantities<'_>, law: &Law) {
    let (Some(value), Some(compute)) = (q.number("scaling.optimal_params"), compute(q, law)) else { return };
    if let Some(half) = half_width(law, |law| log(law.optimum(compute).params)) {
        let half = half.min(WIDEST);
        q.interval("scaling.optimal_params", value * exp(-half), value * exp(half));
    }
}

/// L*.
pub(super) fn optimal_loss(q: &mut Quantities<'_>, law: &Law) {
    let (Some(value), Some(compute)) = (q.number("scaling.optimal_loss"), compute(q, law)) else { return };
    if let Some(half) = half_width(law, |law| law.optimum(compute).loss) {
        q.interval("scaling.optimal_loss", value - half, value + half);
    }
}

/// The least compute for the loss, and what the plan takes beyond: ln of their ratio. The floor of the law moves both losses
/// alike, so that the interval of the loss says nothing of it.
pub(super) fn waste(q: &mut Quantities<'_>, law: &Law) {
    let (Some(least), Some(compute)) = (q.number("scaling.equal_loss_compute"), q.number("scaling.compute"))
    else {
        return;
    };
    let ratio = |law: &Parametric, loss: f64| log(compute / law.flops_for(loss).unwrap_or(f64::NAN));
    let half = at(q).and_then(|(params, tokens)| {
        half_width(law, |law| ratio(law, law.loss(params, tokens))).filter(|half| half.is_finite())
    });
    let half = half.unwrap_or(0.0).min(WIDEST);
    // Experts: the compute is that of active parameters, the loss may be that of all.
    let more = all_experts(q, law).and_then(|loss| super::compute_for(law, loss)).unwrap_or(least);
    let (low, high) = (least * exp(-half), least.max(more) * exp(half));
    if low < high {
        q.interval("scaling.equal_loss_compute", low, high);
        let share = |least: f64| (compute / least - 1.0).max(0.0);
        q.interval("scaling.compute_waste", share(high), share(low));
    }
}

/// C, where the law has a covariance and its optimum follows from its constants.
fn compute(q: &Quantities<'_>, law: &Law) -> Option<f64> {
    (law.allocation.is_none() && law.covariance.is_some()).then(|| q.number("scaling.compute"))?
}

/// N and D that the loss is taken at.
fn at(q: &Quantities<'_>) -> Option<(f64, f64)> {
    let params = q.number("scaling.effective_params").or_else(|| q.number("scaling.params"))?;
    Some((params, q.number("scaling.effective_tokens")?))
}

/// The loss of a model with experts if every one of its parameters counted; `None` for a dense one.
fn all_experts(q: &Quantities<'_>, law: &Law) -> Option<f64> {
    q.get("model.params.active_experts")?;
    let (total, active) = (q.number("model.params")?, q.number("model.active_params")?);
    let params = q.number("scaling.params")? + (total - active);
    let params = match (q.number("scaling.best_params_for_unique"), q.number("scaling.repeats")) {
        (Some(best), Some(repeats)) => Repetition::of(law).effective_params(best, params, repeats),
        _ => params,
    };
    loss_of(law, params, q.number("scaling.effective_tokens")?)
}
