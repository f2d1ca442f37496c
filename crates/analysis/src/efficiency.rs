//! Efficiency × resources: what devices, time, utilisation and declared gains are worth together, and what recipes have
//! gained over the years.

use llmplan_spec::plan::{FlopsConvention, LawForm};
use llmplan_spec::units::format;

use crate::quantities::Quantities;
use crate::report::Grade;
use crate::scaling;

/// Reducible loss, in nats per token, below which a law says nothing of gains.
pub(crate) const LEAST_REDUCIBLE: f64 = 0.05;

/// Compute over the most of the law's runs beyond which gains are not turned into loss.
const MOST_EXTRAPOLATION: f64 = 100.0;

/// The year of the runs that the default law was fitted to (Hoffmann 2022).
const BASE_YEAR: &str = "2022";

/// Days of 8 months: what Ho 2024 finds for language models, with 2 and 22 months as the ends (90 %, NeurIPS text).
const DOUBLING: &str = "243.5 days";
const DOUBLING_ENDS: (f64, f64) = (MONTH * 2.0, MONTH * 22.0);

/// A twelfth of 365.25 days, in seconds; 8 of them are 243.5 days.
const MONTH: f64 = 365.25 / 12.0 * 86_400.0;

/// How much compute better recipes save over some months, where it halves every `doubling` of them.
pub fn progress(months: f64, doubling: f64) -> f64 {
    libm::exp2(months / doubling)
}

/// The months in which compute halves, where it fell by `gain` over some months.
pub fn doubling(months: f64, gain: f64) -> f64 {
    months / libm::log2(gain)
}

/// The table of efficiency, for plans that declare gains; progress, for plans that declare the year of their recipe.
pub(crate) fn run(q: &mut Quantities<'_>) {
    year(q);
    let plan = q.plan;
    if plan.gains.is_empty() {
        return;
    }
    let mut product = Vec::new();
    for gain in &plan.gains {
        let path = format!("efficiency.gain.{}", gain.name);
        q.derive(&path, &format!("gain.{}.compute", gain.name), &gain.source);
        product.push(path);
    }
    q.derive("efficiency.gains", &product.join(" * "), "gains are taken to be independent");
    if q.get("training.flops").is_none() {
        return;
    }
    if q.get("training.device_hours").is_some() {
        q.derive("efficiency.peak", "hardware.peak / hardware.devices", "dense peak of the data sheet");
        q.derive("efficiency.hours", "training.device_hours", "interruptions included");
        let mfu = match plan.convention.flops {
            FlopsConvention::Model => "training.mfu",
            FlopsConvention::Executed => {
                "training.mfu * flops.training / (flops.training + flops.recomputed)"
            }
        };
        q.derive("efficiency.mfu", mfu, "of the model's FLOPs, without what is recomputed");
        q.derive("efficiency.goodput", "training.goodput", "what interruptions leave");
        q.derive(
            "efficiency.effective_compute",
            "efficiency.peak * efficiency.hours * efficiency.mfu * efficiency.goodput * efficiency.gains",
            "accuracy = efficiency × resources: the run's FLOPs, times what they are worth",
        );
    } else {
        q.derive(
            "efficiency.effective_compute",
            "training.flops * efficiency.gains",
            "the run's FLOPs, times what they are worth",
        );
    }
    loss(q);
}

/// What the gains do to the loss: as so many times the compute would, at the plan's own ratio of tokens to parameters.
fn loss(q: &mut Quantities<'_>) {
    if refused(q).is_some() {
        return;
    }
    let floor = match q.plan.law.form {
        LawForm::Parametric { e, .. } if e > 0.0 => "law.e",
        _ => "0",
    };
    let formula = format!(
        "{floor} + (scaling.loss - {floor}) / efficiency.gains ^ (law.alpha * law.beta / (law.alpha + law.beta))"
    );
    q.derive("efficiency.loss", &formula, "what is above the floor falls as C^-g, 1/g = 1/α + 1/β");
    q.no_surer_than("efficiency.loss", Grade::Fitted);
}

/// Why gains are not turned into loss; `None` where they are.
pub(crate) fn refused(q: &Quantities<'_>) -> Option<String> {
    let law = &q.plan.law;
    let (Some(loss), Some(gains)) = (q.number("scaling.loss"), q.number("efficiency.gains")) else {
        return Some("no law gives this plan a loss".to_owned());
    };
    let Some(power) = scaling::gain_exponent(law) else {
        return Some(format!("`{}` does not say what compute is worth in loss", law.name));
    };
    let reducible = loss - scaling::floor(law);
    let least = reducible.min(reducible / libm::pow(gains, 1.0 / power));
    if least < LEAST_REDUCIBLE {
        return Some(format!(
            "it would be {} nats above the floor of `{}`, where a law says nothing of gains",
            format::plain(least, 2),
            law.name
        ));
    }
    let extrapolated = q.number("scaling.extrapolation").unwrap_or(1.0);
    (extrapolated > MOST_EXTRAPOLATION).then(|| {
        format!(
            "`{}` is extrapolated ×{}, and gains are not turned into loss beyond ×{MOST_EXTRAPOLATION}",
            law.name,
            format::plain(extrapolated, 3)
        )
    })
}

/// Progress between two years, as context: no other number depends on it.
fn year(q: &mut Quantities<'_>) {
    let Some(recipe) = q.plan.training.as_ref().map(|training| &training.recipe) else { return };
    if recipe.year.is_none() {
        return;
    }
    if recipe.base.is_none() {
        q.assumed.insert("training.recipe_base".to_owned());
        q.derive(
            "training.recipe_base",
            BASE_YEAR,
            "the year of Hoffmann 2022, whose runs the default law is of",
        );
    }
    if recipe.doubling.is_none() {
        q.assumed.insert("training.recipe_doubling".to_owned());
        q.derive("training.recipe_doubling", DOUBLING, "Ho 2024: 8 months, 2 to 22");
        q.interval("training.recipe_doubling", DOUBLING_ENDS.0, DOUBLING_ENDS.1);
    }
    ["training.recipe_year", "training.recipe_base", "training.recipe_doubling"]
        .iter()
        .for_each(|path| q.leaf(path));
    // Context must not fail a plan: a time so short that the power is no number has none.
    let years = q.number("training.recipe_year").zip(q.number("training.recipe_base"));
    let power = years.zip(q.number("training.recipe_doubling"));
    if power.is_none_or(|((year, base), doubling)| ((year - base) * 12.0 * MONTH / doubling).abs() > 1e3) {
        return;
    }
    q.derive(
        "efficiency.algorithmic_progress",
        "2 ^ ((training.recipe_year - training.recipe_base) * 365.25 days / training.recipe_doubling)",
        "Hernandez 2020; Ho 2024: compute for the same result halves in a time",
    );
}
