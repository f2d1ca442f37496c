//! What scaling laws say of the plan: a short table by its own law, and all laws beside each other where one is asked for.

use llmplan_spec::plan::{Law, LawForm, Origin};
use llmplan_spec::source::SourceKind;
use llmplan_spec::units::{Number, Unit, format};

use super::{row, section};
use crate::budget::optimum::{Bounds, Supply, best};
use crate::quantities::Quantities;
use crate::report::{Row, Section};
use crate::scaling::optimal_params;

/// The law of a plan that picks none.
const DEFAULT: &str = "chinchilla_refit";

/// Epochs up to which repetition is looked for: the decay was checked on runs of up to 14.
const MOST_EPOCHS: f64 = 16.0;

/// The plan by its own law.
pub(super) fn scaling(q: &Quantities<'_>) -> Section {
    let law = &q.plan.law;
    let nats = match &law.tokenizer {
        Some(tokenizer) => format!("nats per token of {tokenizer}"),
        None => "nats per token".to_owned(),
    };
    let mut rows = vec![
        ("Compute".to_owned(), "scaling.compute".to_owned(), "6ND, as laws count it".to_owned()),
        ("Loss".to_owned(), "scaling.loss".to_owned(), nats),
        (
            "In bits per byte".to_owned(),
            "scaling.bits_per_byte".to_owned(),
            "loss / (ln 2 × bytes per token)".to_owned(),
        ),
    ];
    if q.get("scaling.effective_params").is_some() || repeated(q) {
        let tokens = format!("repeats: {} of new tokens' worth", q.display("scaling.repetition_worth"));
        rows.push(("Effective tokens".to_owned(), "scaling.effective_tokens".to_owned(), tokens));
    }
    rows.extend(law.tasks.iter().map(|task| {
        let path = format!("scaling.error.{}", task.name);
        (format!("Error on {}", task.name), path, task_words(q, task.loss_low, task.loss_high))
    }));
    let best = [
        ("Optimal loss", "scaling.optimal_loss", "L*: the lowest for this compute".to_owned()),
        (
            "Optimal parameters",
            "scaling.optimal_params",
            format!("N*; the plan has {}", q.display("scaling.params")),
        ),
        (
            "Optimal tokens",
            "scaling.optimal_tokens",
            format!("D*; the plan has {}", q.display("data.tokens")),
        ),
        (
            "Optimal tokens per parameter",
            "scaling.optimal_tokens_per_param",
            format!("the plan has {}", q.display("scaling.tokens_per_param")),
        ),
        ("Compute waste", "scaling.compute_waste", "beyond the least for this loss".to_owned()),
    ];
    rows.extend(best.map(|(label, path, words)| (label.to_owned(), path.to_owned(), words)));
    let filled = rows.into_iter().filter_map(|(label, path, words)| {
        let grade = q.get(&path)?.grade.word().to_owned();
        let cells = vec![label, q.display(&path), q.range(&path), grade, words];
        Some(row(&path, cells, false))
    });
    let rows: Vec<Row> = if q.get("scaling.params").is_some() { filled.collect() } else { Vec::new() };
    let notes = if rows.is_empty() { Vec::new() } else { notes(q, law) };
    section("Scaling", &["Quantity", "value", "range", "grade", "how"], 2, rows, notes)
}

/// Every law beside the plan's, where the plan has or picks a law, or a budget to divide.
pub(super) fn laws(q: &Quantities<'_>) -> Section {
    let mut columns = vec!["Law", "N*", "D*", "D*/N*", "loss", "L*", "waste"];
    if q.get("scaling.params").is_none() || !(asked(q) || q.plan.budget.is_some()) {
        return section("Scaling laws", &columns, 0, Vec::new(), Vec::new());
    }
    let own = &q.plan.law;
    let bits = |law: &str| q.display(&format!("scaling.{law}.bits_per_byte"));
    let in_bits = q.plan.laws.iter().filter(|law| !bits(&law.name).is_empty()).count() > 1;
    if in_bits {
        columns.push("bits/byte");
    }
    let each = optimal_params(q);
    let each = each.iter().filter_map(|(name, _)| q.plan.laws.iter().find(|law| law.name == *name));
    let rows = each.map(|law| {
        let mut cells = law_cells(q, law, own);
        if in_bits {
            cells.push(bits(&law.name));
        }
        row(&format!("scaling.{}.optimal_params", law.name), cells, false)
    });
    let notes = vec![
        match &own.tokenizer {
            Some(tokenizer) => {
                format!("Losses are in tokens of {tokenizer}: those of other tokenizers are not comparable.")
            }
            None => format!("`{}` names no tokenizer: its losses stand alone.", own.name),
        },
        "N* is counted as the plan's own law does, by the parameters and FLOPs of this model.".to_owned(),
    ];
    section("Scaling laws", &columns, 0, rows.collect(), notes)
}

fn law_cells(q: &Quantities<'_>, law: &Law, own: &Law) -> Vec<String> {
    let shown = |leaf: &str| q.display(&format!("scaling.{}.{leaf}", law.name));
    let comparable = law.name == own.name || (own.tokenizer.is_some() && law.tokenizer == own.tokenizer);
    let loss = |leaf: &str| if comparable { shown(leaf) } else { String::new() };
    let mark = match law.name.as_str() {
        name if name == own.name => " (the plan's)",
        DEFAULT => " (default)",
        _ => "",
    };
    vec![
        format!("{}{mark}", law.name),
        shown("optimal_params"),
        shown("optimal_tokens"),
        shown("optimal_tokens_per_param"),
        loss("loss"),
        loss("optimal_loss"),
        shown("compute_waste"),
    ]
}

fn notes(q: &Quantities<'_>, law: &Law) -> Vec<String> {
    let mut notes = Vec::new();
    let which = match (!asked(q), law.form) {
        (true, _) => ", the default",
        (false, LawForm::Allocation) => ", which has no loss",
        (false, _) => "",
    };
    let all = optimal_params(q);
    let n = |params: f64| q.show(Number::Real(params), Unit::PARAMS, 3);
    if let (Some((least, low)), Some((most, high))) = (all.first(), all.last()) {
        notes.push(format!(
            "By `{}`{which}; {} laws put N* anywhere from {} ({least}) to {} ({most}).",
            law.name,
            all.len(),
            n(*low),
            n(*high),
        ));
    }
    notes.extend(range(q, law));
    if q.get("model.params.active_experts").is_some() {
        notes.push("Of experts the active count; the low end of the loss is that of all of them.".to_owned());
    }
    notes.extend(short_of_data(q, law));
    notes
}

/// How far the plan is from the law's runs.
fn range(q: &Quantities<'_>, law: &Law) -> Option<String> {
    let compute = q.number("scaling.compute")?;
    let flop = |flop: f64| q.show(Number::Real(flop), Unit::FLOP, 3);
    if let Some(most) = law.range.compute.1.filter(|most| compute > *most) {
        return Some(format!(
            "Extrapolated ×{}: the law's runs end at {}.",
            format::plain(compute / most, 3),
            flop(most)
        ));
    }
    let least = law.range.compute.0.filter(|least| compute < *least)?;
    Some(format!(
        "Below the law's range by ×{}: its runs begin at {}.",
        format::plain(least / compute, 3),
        flop(least)
    ))
}

/// Distinct tokens against those that the optimum takes, and the best that repeats can do.
fn short_of_data(q: &Quantities<'_>, law: &Law) -> Option<String> {
    let (unique, wanted) = (q.number("data.unique_tokens")?, q.number("scaling.optimal_tokens")?);
    if unique >= wanted {
        return None;
    }
    let bare = |path: &str| q.display(path).trim_end_matches(" tokens").to_owned();
    let mut note = format!(
        "Short of data: the optimum takes {} tokens, and {} are distinct: {} epochs",
        bare("scaling.optimal_tokens"),
        bare("data.unique_tokens"),
        format::plain(wanted / unique, 3)
    );
    let supply = q.plan.data.as_ref().and_then(|data| Supply::of(data, MOST_EPOCHS));
    let found = best(law, q.number("scaling.compute")?, &Bounds { supply, served: 0.0 });
    if let Some(found) = found
        && let Some(epochs) = found.epochs
        && found.loss.is_some()
    {
        note.push_str(&format!(
            "; with what repeats are worth, {} and {} epochs are best",
            q.show(Number::Real(found.params), Unit::PARAMS, 3),
            format::plain(epochs, 3)
        ));
    }
    Some(note + ".")
}

fn task_words(q: &Quantities<'_>, low: f64, high: f64) -> String {
    let inside = q.number("scaling.loss").is_some_and(|loss| (low..=high).contains(&loss));
    let range = format!("{} to {}", format::plain(low, 3), format::plain(high, 3));
    if inside {
        format!("fitted at losses of {range}")
    } else {
        format!("outside its fit: losses of {range}")
    }
}

fn repeated(q: &Quantities<'_>) -> bool {
    q.number("scaling.repetition_worth").is_some_and(|worth| worth < 1.0)
}

/// Whether the plan declares a law, or picks another than the default.
fn asked(q: &Quantities<'_>) -> bool {
    let declared = q.plan.setting("law.source").is_some_and(|setting| match setting.origin {
        Origin::Declared(span) => q.sources.get(span.file).kind != SourceKind::Catalog,
        Origin::Default(_) => false,
    });
    declared || q.plan.law.name != DEFAULT
}
