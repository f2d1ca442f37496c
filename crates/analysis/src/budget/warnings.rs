//! Budgets that nothing fits, data that is short of the optimum, laws that are far from their runs.

use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::plan::{LawParams, Plan};
use llmplan_spec::source::Span;
use llmplan_spec::units::{Number, Unit, format};

use super::optimum::{Best, Bounds};
use crate::quantities::Quantities;
use crate::scaling::optimum;
use crate::training::place;

/// Compute over the most of a law's runs beyond which its optimum is no forecast.
const FAR: f64 = 1e4;

/// Tables of the narrowest model that is worth the name: this many values for each word of the vocabulary.
const NARROWEST: u64 = 64;

/// Whether nothing fits the budget, which is then an error: not one step, or less than the tables of the narrowest model.
pub(super) fn too_small(q: &mut Quantities<'_>, compute: f64) -> bool {
    let plan = q.plan;
    let limit = q.display("budget.limit");
    if let (Some(tokens), Some(each)) =
        (q.number("training.tokens_per_step"), q.number("flops.training_per_token"))
        && compute < tokens * each
    {
        let note = format!(
            "a step takes {} × {} = {}; `{limit}` allows {}",
            q.display("training.tokens_per_step"),
            q.display("flops.training_per_token"),
            flop(q, tokens * each),
            flop(q, compute),
        );
        tell(q, &limit, "the budget is less than one step of the plan", note);
        return true;
    }
    let least = least_params(plan);
    let Some(found) = optimum(&plan.law, compute) else { return false };
    if plan.law.params != LawParams::Total || found.params >= least {
        return false;
    }
    let note = format!(
        "{} is best spent on {} and {}; embedding and output of {} words take {} at a width of {NARROWEST}",
        flop(q, compute),
        q.show(Number::Real(found.params), Unit::PARAMS, 3),
        q.show(Number::Real(found.tokens), Unit::TOKENS, 3),
        format::grouped(u128::from(plan.model.vocab)),
        q.show(Number::Real(least), Unit::PARAMS, 3),
    );
    tell(q, &limit, "the budget is too small for any model with this vocabulary", note);
    true
}

/// Parameters of the tables of the narrowest model.
pub(super) fn least_params(plan: &Plan) -> f64 {
    let tables = if plan.model.tied_embeddings { 1 } else { 2 };
    plan.model.vocab as f64 * (NARROWEST * tables) as f64
}

fn tell(q: &mut Quantities<'_>, limit: &str, title: &str, note: String) {
    let span = limit_place(q, limit);
    let label = format!("allows {}", q.display("budget.flops"));
    let diagnostic = Diagnostic::error(Code::BudgetTooSmall, span, title).label(label).note(note);
    q.warnings.push(diagnostic.help("spend more, or plan a smaller model or batch"));
}

/// What is far from where laws hold, or short of what they ask for.
pub(super) fn find(q: &mut Quantities<'_>, found: &Best, bounds: &Bounds) {
    data_short(q, found, bounds);
    extrapolated(q);
}

fn data_short(q: &mut Quantities<'_>, found: &Best, bounds: &Bounds) {
    let Some(supply) = &bounds.supply else { return };
    if found.free_tokens <= supply.most() {
        return;
    }
    let tokens = |count: f64| q.show(Number::Real(count), Unit::TOKENS, 3);
    let span = place(q, &["budget.max_epochs", "data.tokens"]);
    let epochs = format::plain(supply.max_epochs(), 3);
    let diagnostic =
        Diagnostic::warning(Code::DataShort, span, "the data is short of what the budget is best spent on")
            .label(format!("at most {epochs} epochs"))
            .note(format!(
                "the optimum takes {}; {} × {epochs} epochs = {}",
                tokens(found.free_tokens),
                match supply.sources() {
                    1 => format!("{} distinct", tokens(supply.fresh())),
                    _ => format!("{} before a source repeats", tokens(supply.fresh())),
                },
                tokens(supply.most()),
            ))
            .note(format!(
                "the best under that: {} on {}",
                q.display("budget.optimal_params"),
                tokens(found.tokens),
            ));
    q.warnings.push(diagnostic.help("find more distinct tokens, or spend less"));
}

fn extrapolated(q: &mut Quantities<'_>) {
    // Where the plan itself is as far out, that has been said.
    let said = q.number("scaling.extrapolation").is_some_and(|times| times > FAR);
    let (Some(times), Some(most)) = (q.number("budget.extrapolation"), q.plan.law.range.compute.1) else {
        return;
    };
    if said || times <= FAR {
        return;
    }
    let limit = q.display("budget.limit");
    let title = format!("`{}` is extrapolated too far to say what is best", q.plan.law.name);
    let diagnostic = Diagnostic::warning(Code::Extrapolated, limit_place(q, &limit), title)
        .label(format!("{} / {} = {}", q.display("budget.flops"), flop(q, most), format::plain(times, 3)))
        .note("the compute of the budget over the most that the law was fitted to; beyond 10,000 an optimum says little")
        .help("`llmplan fit` fits a law to runs of your own");
    q.warnings.push(diagnostic);
}

fn limit_place(q: &Quantities<'_>, limit: &str) -> Span {
    place(q, &[&format!("budget.{limit}")])
}

fn flop(q: &Quantities<'_>, flop: f64) -> String {
    q.show(Number::Real(flop), Unit::FLOP, 3)
}
