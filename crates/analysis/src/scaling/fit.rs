//! A parametric law from runs: the constants that explain their losses best.
//!
//! The objective is Hoffmann's (2022 eq. 3): Σ Huber_δ(ln L − LSE(a − α ln N, b − β ln D, e)), with A = exp(a), B = exp(b)
//! and E = exp(e). Minimized naively it stops far from its optimum, as Besiroglu 2024 found: its values are of the order
//! of 10⁻³, below the absolute tolerances that optimizers come with. Here every test is relative, the start is found by
//! variable projection, and δ is brought down step by step.

mod bootstrap;
mod doubts;
mod holdout;
mod objective;
mod polish;
mod rows;
mod start;

pub use bootstrap::{Bootstrap, Interval, bootstrap};
pub use doubts::{Doubt, doubts};
pub use holdout::{HeldOut, Prediction, folds, hold_out};
pub use rows::{Kept, Range, Ranges, Rule, keep, ranges};

use super::Parametric;
use objective::{Constants, Points};

/// A training run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// N, in parameters: positive.
    pub params: f64,
    /// D, in tokens: positive.
    pub tokens: f64,
    /// The loss it reached, in nats per token: positive.
    pub loss: f64,
}

impl Run {
    /// Its compute in FLOP, 6ND.
    pub fn flops(&self) -> f64 {
        super::flops(self.params, self.tokens)
    }
}

/// Hoffmann's δ, in nats (2022 app. D.2): residuals of ln L beyond it count linearly.
pub const DELTA: f64 = 1e-3;

/// Fewest runs that five constants are taken from.
pub const FEWEST: usize = 5;

/// A law as runs have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// The constants.
    pub law: Parametric,
    /// The sum of Huber losses at them.
    pub objective: f64,
    /// Whether nothing near them is better, to the last digits of a float.
    pub converged: bool,
}

/// The least exponent of a term that falls: below it ten decades of N or D are worth 0.002% of the term, less than any
/// loss is read to.
const LEAST_EXPONENT: f64 = 1e-6;

/// Whether an optimum is made of numbers.
fn holds(optimum: super::Optimum) -> bool {
    let sound = |value: f64| value.is_finite() && value > 0.0;
    sound(optimum.params) && sound(optimum.tokens) && optimum.loss.is_finite()
}

/// Why runs have no law.
#[derive(Clone, Debug, PartialEq)]
pub enum Unfit {
    /// There are fewer runs than [`FEWEST`].
    TooFew(usize),
    /// N or D takes fewer than three values, so that a power of it cannot be told from a constant.
    Levels {
        /// `N` or `D`.
        of: &'static str,
        /// The values that are far enough apart to count, ascending.
        values: Vec<f64>,
    },
    /// A number is not positive and finite.
    NotPositive(Run),
    /// The best constants are not those of a law: loss does not fall as N or D grows.
    NotFalling(&'static str),
}

/// The law that explains the runs best.
///
/// The same runs in the same order give the same bits. The optimum is exact: its objective is within 10⁻⁷ of the least,
/// where the runs determine one.
///
/// # Errors
/// Runs that do not determine five constants, or whose loss grows with N or D.
pub fn fit(runs: &[Run], delta: f64) -> Result<Fit, Unfit> {
    check(runs)?;
    let points = Points::new(runs, None);
    let mut best: Option<polish::Polished> = None;
    for start in start::starts(&points) {
        let polished = polish::descend(&points, start, delta);
        if best.as_ref().is_none_or(|best| polished.value < best.value) {
            best = Some(polished);
        }
    }
    let best = best.ok_or(Unfit::TooFew(runs.len()))?;
    let law = points.law(&best.constants);
    for (name, exponent) in [("N", law.alpha), ("D", law.beta)] {
        if exponent.is_nan() || exponent < LEAST_EXPONENT {
            return Err(Unfit::NotFalling(name));
        }
    }
    // Two small exponents put the optimum beyond what a float holds.
    let most = runs.iter().map(Run::flops).fold(0.0, f64::max);
    if !holds(law.optimum(most)) {
        return Err(Unfit::NotFalling(if law.alpha < law.beta { "N" } else { "D" }));
    }
    Ok(Fit { law, objective: best.value, converged: best.converged })
}

/// Σ Huber_δ(ln L − ln L(N, D)) of a law over runs: what [`fit`] minimizes.
pub fn objective(runs: &[Run], law: &Parametric, delta: f64) -> f64 {
    let residual = |run: &Run| libm::log(run.loss) - libm::log(law.loss(run.params, run.tokens));
    runs.iter().map(|run| objective::huber(residual(run), delta)).sum()
}

/// Whether the runs can determine a law at all.
fn check(runs: &[Run]) -> Result<(), Unfit> {
    let sound = |value: f64| value.is_finite() && value > 0.0;
    if let Some(run) = runs.iter().find(|run| !(sound(run.params) && sound(run.tokens) && sound(run.loss))) {
        return Err(Unfit::NotPositive(*run));
    }
    if runs.len() < FEWEST {
        return Err(Unfit::TooFew(runs.len()));
    }
    let params = rows::levels(runs.iter().map(|run| run.params));
    let tokens = rows::levels(runs.iter().map(|run| run.tokens));
    for (of, values) in [("N", params), ("D", tokens)] {
        if values.len() < 3 {
            return Err(Unfit::Levels { of, values });
        }
    }
    Ok(())
}
