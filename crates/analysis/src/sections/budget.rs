//! What there is to spend, and the best model for it.

use llmplan_spec::plan::LawParams;
use llmplan_spec::units::format;

use super::{row, section};
use crate::budget::LIMITS;
use crate::quantities::Quantities;
use crate::report::{Row, Section};

/// The table of a budget: limits, the best model, and what the plan makes of it.
pub(super) fn budget(q: &Quantities<'_>) -> Section {
    let mut rows = Vec::new();
    if q.plan.budget.is_some() {
        limits(q, &mut rows);
        let law = q.plan.law.name.as_str();
        let best = [
            ("Best N", "budget.optimal_params", format!("by `{law}`")),
            ("Best D", "budget.optimal_tokens", per_param(q)),
            ("Its loss", "budget.loss", "nats per token".to_owned()),
            ("Best N, serving paid too", "budget.lifetime.params", "6ND + 2N·demand = budget".to_owned()),
            ("Plan's share", "budget.plan_share", "FLOP of the plan / budget".to_owned()),
            ("Plan's loss", "budget.loss_of_plan", "nats per token".to_owned()),
            ("Wasted", "budget.waste", wasted(q).to_owned()),
        ];
        for (label, path, words) in best {
            if let Some(row) = line(q, label, path, words) {
                rows.push(row);
            }
        }
    }
    let notes = if q.plan.budget.is_some() { notes(q) } else { Vec::new() };
    let columns = ["Quantity", "value", "range", "grade", "how"];
    let (columns, prose): (&[&str], usize) = if rows.is_empty() { (&[], 0) } else { (&columns, 2) };
    section("Budget", columns, prose, rows, notes)
}

/// "17.9 × N, 2.5 epochs"; where sources do not last equally long, "17.9 × N, 4 epochs of `web`": of the one that is seen
/// most often.
fn per_param(q: &Quantities<'_>) -> String {
    let most = scarcest(q).filter(|(_, epochs)| *epochs > 1.0);
    let epochs = match (q.get("budget.epochs"), most) {
        (Some(_), Some((name, epochs))) => format!(", {} epochs of `{name}`", format::plain(epochs, 3)),
        (Some(epochs), None) => format!(", {} epochs", epochs.display),
        (None, _) => String::new(),
    };
    format!("{} × N{epochs}", q.display("budget.tokens_per_param"))
}

/// Of several sources the one that the best model sees most often, and how often.
fn scarcest<'p>(q: &Quantities<'p>) -> Option<(&'p str, f64)> {
    let sources = &q.plan.data.as_ref()?.sources;
    let tokens = q.number("budget.optimal_tokens")?;
    let seen = sources.iter().filter(|_| sources.len() > 1).filter_map(|source| {
        let unique = q.number(&format!("data.{}.unique", source.name))?;
        Some((source.name.as_str(), source.weight * tokens / unique))
    });
    seen.max_by(|one, other| one.1.total_cmp(&other.1))
}

/// What the share that is wasted is of: nothing is where the plan's loss takes more than there is.
fn wasted(q: &Quantities<'_>) -> &'static str {
    match q.number("budget.loss_of_plan").zip(q.number("budget.loss")) {
        Some((own, best)) if own < best => "that loss takes more than the budget",
        _ => "of the budget, for that loss",
    }
}

fn limits(q: &Quantities<'_>, rows: &mut Vec<Row>) {
    let tightest = q.display("budget.limit");
    for (word, path) in LIMITS {
        let declared = format!("budget.{word}");
        let amount = q.display(&declared);
        let words =
            if word == tightest { format!("of {amount}: the tightest") } else { format!("of {amount}") };
        let words = if word == "compute" && word == tightest { "the tightest".to_owned() } else { words };
        if let Some(mut row) = line(q, &format!("`{word}` allows"), path, words) {
            row.total = word == tightest;
            rows.push(row);
        }
    }
}

fn line(q: &Quantities<'_>, label: &str, path: &str, words: String) -> Option<Row> {
    let grade = q.get(path)?.grade.word().to_owned();
    Some(row(path, vec![label.to_owned(), q.display(path), q.range(path), grade, words], false))
}

fn notes(q: &Quantities<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let unknown = LIMITS
        .iter()
        .filter(|(word, path)| q.plan.setting(&format!("budget.{word}")).is_some() && q.get(path).is_none());
    for (word, path) in unknown {
        notes.push(format!("`{word}` has no FLOP here: `llmplan explain FILE {path}` says what is missing."));
    }
    let adapters = q.plan.training.as_ref().is_some_and(|training| training.lora.is_some());
    if adapters && q.get("budget.flops").is_some() {
        notes.push("A law is of pretraining: with adapters a budget has no best model.".to_owned());
    }
    let served = q.get("inference.demand").is_some() && q.get("budget.optimal_params").is_some();
    if served && q.get("budget.lifetime.params").is_none() {
        notes.push(
            "Serving all of `inference.demand` leaves no compute for any model: it is not paid from this budget."
                .to_owned(),
        );
    }
    if q.get("budget.optimal_params").is_some() {
        let far = match q.number("budget.extrapolation").filter(|times| *times > 10.0) {
            Some(times) => format!("; this one is extrapolated ×{}", format::plain(times, 2)),
            None => String::new(),
        };
        notes.push(format!(
            "Ranges of N, D and loss are of all laws{far}. `llmplan budget` makes a shape of N."
        ));
    }
    if q.plan.model.has_experts()
        && q.plan.law.params == LawParams::Total
        && q.get("budget.optimal_params").is_some()
    {
        notes.push("N is of active parameters: those that a token is routed to.".to_owned());
    }
    notes
}
