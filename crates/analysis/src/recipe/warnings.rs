//! Learning rates and batches that are far from what laws recommend.

use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::units::{Number, Unit, format};

use crate::quantities::Quantities;
use crate::training::place;

/// How far off a learning rate is that is warned of, as a factor each way: the ends of what was measured.
const FAR: f64 = 4.0;

/// How much larger than critical a batch is that is warned of: the law is not known to a tenth.
const LEEWAY: f64 = 1.1;

/// What is far from what laws recommend.
pub(super) fn find(q: &mut Quantities<'_>) {
    rate(q);
    batch(q);
}

fn rate(q: &mut Quantities<'_>) {
    let Some(factor) = q.number("recipe.learning_rate.miss") else { return };
    if (1.0 / FAR..=FAR).contains(&factor) {
        return;
    }
    let (times, side) = if factor > 1.0 { (factor, "above") } else { (1.0 / factor, "below") };
    let mut diagnostic = Diagnostic::warning(
        Code::UnusualRecipe,
        place(q, &["training.learning_rate"]),
        format!("the learning rate is far {side} what laws recommend"),
    )
    .label(format!("{} times {side}", format::plain(times, 3)))
    .note(format!(
        "for these N and D Step Law gives {}, DeepSeek's law {}",
        q.display("recipe.learning_rate.step_law"),
        q.display("recipe.learning_rate.deepseek"),
    ));
    if let Some(lost) = q.number("recipe.learning_rate.loss_share") {
        let mut cost = format!("a miss like this costs at least {} of the loss", format::percent(lost));
        if let Some(compute) = q.number("recipe.learning_rate.compute") {
            cost = format!("{cost}, which is {} times the compute", format::plain(compute, 3));
        }
        diagnostic = diagnostic.note(cost);
    }
    let nearest = q.number("training.learning_rate").map(|rate| rate / factor).unwrap_or_default();
    let help = format!("`learning_rate = {}` is the nearest of the two", format::plain(nearest, 2));
    q.warnings.push(diagnostic.help(help));
}

fn batch(q: &mut Quantities<'_>) {
    let (Some(batch), Some(critical)) =
        (q.number("training.tokens_per_step"), q.number("recipe.critical_batch"))
    else {
        return;
    };
    if batch <= LEEWAY * critical {
        return;
    }
    let diagnostic = Diagnostic::warning(
        Code::UnusualRecipe,
        place(q, &["training.global_batch"]),
        "the batch is larger than critical: it buys time with tokens",
    )
    .label(format!(
        "{} a step, {} are critical",
        q.display("training.tokens_per_step"),
        q.display("recipe.critical_batch"),
    ))
    .note(format!(
        "{} of the tokens are beyond the least that reach this loss, and 16.7% at the critical batch (Zhang 2024, on models of \
         up to 1.2B params)",
        format::percent(wasted(q).unwrap_or_default()),
    ))
    .help(format!(
        "use at most {} a step, or fewer devices",
        q.show(Number::Real(critical), Unit::TOKENS, 2)
    ));
    q.warnings.push(diagnostic);
}

/// The share of a run's tokens that are beyond the least: the extra ones are counted over the least.
fn wasted(q: &Quantities<'_>) -> Option<f64> {
    let extra = q.number("recipe.batch.extra_tokens_share")?;
    Some(extra / (1.0 + extra))
}
