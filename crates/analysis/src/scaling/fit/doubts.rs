//! What makes a fit doubtful, with the arithmetic.

use llmplan_spec::units::format::{percent, plain, round, signed_percent};

use super::{Bootstrap, FEWEST, Fit, HeldOut, Range, Run, ranges};
use crate::scaling::Parametric;

/// A reason to doubt a fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// A short name, for machines: `few-runs`.
    pub name: &'static str,
    /// What is wrong, with the numbers that say so.
    pub message: String,
    /// What to do about it.
    pub help: &'static str,
}

/// Runs below which a fit is told to be of few.
const FEW: usize = 10;
/// Factor that N, D and C should span.
const SPAN: f64 = 10.0;
/// Factor that tokens per parameter should span: the two terms are told apart by it.
const ALLOCATION_SPAN: f64 = 4.0;
/// A term below this share of the lowest loss is none.
const NOTHING: f64 = 1e-3;
/// Exponents that laws have had: 0.05 (Kaplan 2020) to 0.5 (Muennighoff 2023), with room.
const EXPONENTS: Range = Range { low: 0.03, high: 1.5 };
/// Tokens per parameter below which a run ends before the law begins to hold: Besiroglu 2024's outliers have up to 0.41.
const SHORT: f64 = 0.5;
/// Mean error of what is held out above which a law does not extrapolate: published ones are within 1% or so.
const WRONG: f64 = 0.03;
/// Width of the 95% interval of a above which nothing is known about it: published laws differ by less.
const WIDE: f64 = 0.3;
/// A loss in nats above which it is rather a perplexity: ln of a vocabulary of 160,000.
const HIGHEST_LOSS: f64 = 12.0;

/// What makes the fit of these runs doubtful, by the runs, the law, its resamples and what it says of runs held out.
pub fn doubts(runs: &[Run], fit: &Fit, bootstrap: &Bootstrap, held_out: Option<&HeldOut>) -> Vec<Doubt> {
    let mut found = of_runs(runs);
    found.extend(of_law(runs, fit));
    found.extend(of_checks(bootstrap, held_out));
    found
}

fn doubt(name: &'static str, message: String, help: &'static str) -> Doubt {
    Doubt { name, message, help }
}

fn of_runs(runs: &[Run]) -> Vec<Doubt> {
    let mut found = Vec::new();
    let Some(ranges) = ranges(runs) else { return found };
    if runs.len() < FEW {
        let rest = runs.len().saturating_sub(FEWEST);
        found.push(doubt(
            "few-runs",
            format!("{} runs determine {FEWEST} constants: {rest} are left to judge them by", runs.len()),
            "intervals of so few runs are too narrow; add runs of other sizes and lengths",
        ));
    }
    let repeated = repeated(runs);
    if repeated > 0 {
        found.push(doubt(
            "repeated-runs",
            format!("{repeated} of {} runs are equal to another one in N, D and loss", runs.len()),
            "a run that stands twice counts twice, and makes intervals too narrow: leave the copies out",
        ));
    }
    for (symbol, range) in [("N", ranges.params), ("D", ranges.tokens), ("C = 6ND", ranges.flops)] {
        if range.factor() < SPAN {
            found.push(doubt(
                "narrow-range",
                format!("{symbol} spans only ×{}: {}", number(range.factor()), from_to(range)),
                "an exponent is read off a span of at least ×10",
            ));
        }
    }
    let allocation = ranges.tokens_per_param;
    if allocation.factor() < ALLOCATION_SPAN {
        found.push(doubt(
            "one-allocation",
            format!("tokens per parameter span only ×{}: {}", plain(allocation.factor(), 4), from_to(allocation)),
            "N and D grow together, so that A/N^α and B/D^β can hardly be told apart: add runs with other ratios",
        ));
    }
    let short = runs.iter().filter(|run| run.tokens / run.params < SHORT).count();
    if short > 0 {
        found.push(doubt(
            "short-runs",
            format!(
                "{short} of {} runs have fewer than {SHORT} tokens per parameter, the least {}",
                runs.len(),
                number(allocation.low)
            ),
            "they end before the law begins to hold, and move β: leave them out (--min-tokens-per-param 0.5)",
        ));
    }
    if ranges.loss.high > HIGHEST_LOSS {
        found.push(doubt(
            "high-loss",
            format!("a loss of {} is above ln of any vocabulary", number(ranges.loss.high)),
            "losses are in nats per token; a perplexity is exp of them",
        ));
    }
    found
}

/// How many runs are copies of others.
fn repeated(runs: &[Run]) -> usize {
    let mut all: Vec<[u64; 3]> =
        runs.iter().map(|run| [run.params, run.tokens, run.loss].map(f64::to_bits)).collect();
    all.sort_unstable();
    all.dedup();
    runs.len() - all.len()
}

fn of_law(runs: &[Run], fit: &Fit) -> Vec<Doubt> {
    let mut found = Vec::new();
    let lowest = ranges(runs).map_or(f64::NAN, |ranges| ranges.loss.low);
    for (term, value) in terms(fit, runs) {
        if value < NOTHING * lowest {
            found.push(doubt(
                "no-such-term",
                format!(
                    "{term} is at most {} of the lowest loss, {}",
                    percent(value / lowest),
                    number(lowest)
                ),
                "the optimum is at the edge of what a law can be: these runs do not show this term",
            ));
        }
    }
    for (symbol, exponent) in [("α", fit.law.alpha), ("β", fit.law.beta)] {
        if EXPONENTS.beyond(exponent) > 1.0 {
            let (low, high) = (number(EXPONENTS.low), number(EXPONENTS.high));
            found.push(doubt(
                "odd-exponent",
                format!("{symbol} is {}; published laws are within {low} to {high}", number(exponent)),
                "the optimum is at the edge of what a law can be: do not extrapolate it",
            ));
        }
    }
    if !fit.converged {
        found.push(doubt(
            "not-converged",
            "the descent ended before the objective was least".to_owned(),
            "the runs hardly determine a law; add runs of other sizes and lengths",
        ));
    }
    found
}

fn of_checks(bootstrap: &Bootstrap, held_out: Option<&HeldOut>) -> Vec<Doubt> {
    let mut found = Vec::new();
    if let Some(interval) = bootstrap.interval(Parametric::exponent)
        && interval.high - interval.low > WIDE
    {
        found.push(doubt(
            "wide-interval",
            format!("a is {} to {} in 95% of resamples", number(interval.low), number(interval.high)),
            "how to divide compute between N and D is not known from these runs; add budgets with several sizes each",
        ));
    }
    let failed = bootstrap.failed as f64 / (bootstrap.failed + bootstrap.laws.len()).max(1) as f64;
    if failed > 0.01 {
        found.push(doubt(
            "resamples-without-a-law",
            format!("{} of resamples have no law", percent(failed)),
            "a few runs carry the whole law: intervals are those of the other resamples",
        ));
    }
    if let Some(held) = held_out.filter(|held| held.mean_error() > WRONG) {
        found.push(doubt(
            "extrapolates-badly",
            format!(
                "a law of {} runs is {} off on average, with sign {}, for the {} of most compute",
                held.fitted,
                percent(held.mean_error()),
                signed_percent(held.bias()),
                held.predictions.len()
            ),
            "further out it is more: are the runs of one setting (--filter), and do all end with their learning rate low?",
        ));
    }
    found
}

/// The most that each term of the law is over the runs.
fn terms(fit: &Fit, runs: &[Run]) -> [(&'static str, f64); 3] {
    let law = &fit.law;
    let most = |of: &dyn Fn(&Run) -> f64| runs.iter().map(of).fold(0.0, f64::max);
    [
        ("E", law.e),
        ("A/N^α", most(&|run| law.a * libm::pow(run.params, -law.alpha))),
        ("B/D^β", most(&|run| law.b * libm::pow(run.tokens, -law.beta))),
    ]
}

fn number(value: f64) -> String {
    plain(value, 3)
}

fn from_to(range: Range) -> String {
    let end = |value: f64| if value < 1e5 { number(value) } else { format!("{:e}", round(value, 3)) };
    format!("{} to {}", end(range.low), end(range.high))
}
