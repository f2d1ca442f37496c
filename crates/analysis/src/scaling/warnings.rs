//! Plans that are far from what laws were fitted to.

use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::plan::Data;
use llmplan_spec::units::{Number, Unit, format};

use crate::quantities::Quantities;
use crate::training::place;

/// Compute over the most of a law's runs beyond which its loss is no forecast.
const FAR: f64 = 1e4;

/// Epochs up to which the decay was checked on runs, with some room (Muennighoff 2023; runs of 14 epochs agree to .005 nats).
const MANY: f64 = 16.0;

/// Epochs at which runs lose more than twice what the decay says (44: .854 against .347 nats).
const TOO_MANY: f64 = 40.0;

/// What is wrong with the plan as its law sees it.
pub(super) fn find(q: &mut Quantities<'_>, data: &Data) {
    extrapolation(q);
    for source in &data.sources {
        repetition(q, &source.name);
    }
}

fn extrapolation(q: &mut Quantities<'_>) {
    let law = &q.plan.law;
    let (Some(times), Some(most)) = (q.number("scaling.extrapolation"), law.range.compute.1) else { return };
    if times <= FAR {
        return;
    }
    let flop = |flop: f64| q.show(Number::Real(flop), Unit::FLOP, 3);
    let diagnostic = Diagnostic::warning(
        Code::Extrapolated,
        place(q, &["data.tokens"]),
        format!("`{}` is extrapolated too far to forecast a loss", law.name),
    )
    .label(format!(
        "{} / {} = {}",
        q.display("scaling.compute"),
        flop(most),
        format::plain(times, 3)
    ))
    .note("the compute of the plan, 6ND, over the most that the law was fitted to; beyond 10,000 a loss says little")
    .help("`llmplan fit` fits a law to runs of your own");
    q.warnings.push(diagnostic);
}

fn repetition(q: &mut Quantities<'_>, source: &str) {
    let path = |leaf: &str| format!("data.{source}.{leaf}");
    let Some(epochs) = q.number(&path("epochs")).filter(|epochs| *epochs > MANY) else { return };
    let span = place(q, &[&path("weight"), &path("raw"), "data.tokens"]);
    let arithmetic = format!(
        "{} / {} = {} epochs",
        q.display(&path("tokens")),
        q.display(&path("unique")),
        q.display(&path("epochs"))
    );
    let seen = if epochs > TOO_MANY {
        let title = format!("`{source}` is repeated more often than any law of repetition holds for");
        Diagnostic::error(Code::RepeatedData, span, title)
            .note("runs of 44 epochs lost .85 nats where the law says .35 (Muennighoff 2023); 40 are the limit here")
    } else {
        let title = format!("`{source}` is repeated until little is left to learn from it");
        Diagnostic::warning(Code::RepeatedData, span, title).note(format!(
            "its last token is worth {} of a new one; the law was checked on runs of up to 14 epochs (Muennighoff 2023)",
            format::percent(q.number(&path("marginal_worth")).unwrap_or(0.0)),
        ))
    };
    q.warnings.push(seen.label(arithmetic).help("take fewer tokens of it, or find more that are distinct"));
}
