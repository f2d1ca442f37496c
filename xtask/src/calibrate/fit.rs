//! The fit: each constant in turn moves to where the mean error over groups is least, until none gains.
//!
//! Groups weigh alike, however many rows they have, and an error is the logarithm of predicted over measured, so that half
//! and double weigh alike and no row is worth more than its share. A small pull towards where the fit starts keeps
//! constants in place that no row depends on.

use std::collections::BTreeMap;

use llmplan_analysis::cluster::Workload;
use llmplan_analysis::cluster::step::step;
use llmplan_spec::plan::Generation;

use super::Problem;

/// A constant that is fitted.
pub(crate) struct Constant {
    /// Its name in the language.
    pub(crate) name: &'static str,
    /// Its value.
    pub(crate) get: fn(&Generation) -> f64,
    set: fn(&mut Generation, f64),
    low: f64,
    high: f64,
}

macro_rules! constants {
    ($($name:ident $low:literal $high:literal)*) => {
        /// The constants and the ranges that they are sought in.
        pub(crate) const CONSTANTS: &[Constant] = &[$(Constant {
            name: stringify!($name),
            get: |generation| generation.$name,
            set: |generation, value| generation.$name = value,
            low: $low,
            high: $high,
        },)*];
    };
}

constants! {
    matmul 0.3 0.95
    matmul_fp8 0.2 0.9
    matmul_fp4 0.1 0.9
    depth 16.0 512.0
    attention_forward 0.25 0.8
    memory 0.5 0.95
    launch 2e-6 1e-4
    link 0.4 0.95
    link_latency 2e-6 3e-5
    network 0.3 0.95
    network_latency 5e-6 1e-4
}

/// What a fit found.
pub(crate) struct Fit {
    /// The constants.
    pub(crate) constants: Generation,
    /// Mean over groups of the mean absolute error.
    pub(crate) error: f64,
}

/// What attention's backward pass reaches of what its forward pass does: rows do not tell the two apart, and kernels differ
/// little (Dao 2023 §4.1; Shah 2024 §4.1).
const BACKWARD: f64 = 0.8;
/// Weight of the pull towards the start.
const PULL: f64 = 2e-4;
/// Times that every constant has its turn at the most.
const ROUNDS: usize = 12;
/// Values of a constant that are tried in each narrowing of its range, and narrowings.
const TRIED: usize = 9;
const NARROWED: usize = 3;

/// The best constants for some problems.
pub(crate) fn fit(problems: &[&Problem], start: &Generation) -> Fit {
    let mut best = start.clone();
    let mut least = loss(problems, &best, start);
    for _ in 0..ROUNDS {
        let before = least;
        for constant in CONSTANTS {
            let (mut low, mut high) = (constant.low.ln(), constant.high.ln());
            for _ in 0..NARROWED {
                let width = (high - low) / (TRIED - 1) as f64;
                let mut found = (constant.get)(&best).ln();
                for at in 0..TRIED {
                    let value = low + width * at as f64;
                    let mut tried = best.clone();
                    (constant.set)(&mut tried, value.exp());
                    tried.attention_backward = BACKWARD * tried.attention_forward;
                    let own = loss(problems, &tried, start);
                    if own < least {
                        (least, found) = (own, value);
                        best = tried;
                    }
                }
                (low, high) =
                    ((found - width).max(constant.low.ln()), (found + width).min(constant.high.ln()));
            }
        }
        if before - least < 1e-4 {
            break;
        }
    }
    let error = mean_over_groups(problems, &best, |ratio| (ratio - 1.0).abs());
    Fit { constants: best, error }
}

/// Mean absolute error of predicted over measured.
pub(crate) fn mean_error(problems: &[&Problem], constants: &Generation) -> f64 {
    let sum: f64 = problems.iter().map(|problem| (ratio(problem, constants) - 1.0).abs()).sum();
    sum / problems.len().max(1) as f64
}

fn loss(problems: &[&Problem], constants: &Generation, start: &Generation) -> f64 {
    let pull: f64 = CONSTANTS
        .iter()
        .map(|constant| ((constant.get)(constants) / (constant.get)(start)).ln().powi(2))
        .sum();
    mean_over_groups(problems, constants, |ratio| ratio.ln().abs()) + PULL * pull
}

fn mean_over_groups(problems: &[&Problem], constants: &Generation, error: impl Fn(f64) -> f64) -> f64 {
    let mut groups: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for problem in problems {
        let own = groups.entry(&problem.group).or_default();
        own.0 += error(ratio(problem, constants));
        own.1 += 1.0;
    }
    groups.values().map(|(sum, count)| sum / count).sum::<f64>() / groups.len().max(1) as f64
}

/// Predicted over measured; a step that is not predicted counts as ten times too slow.
fn ratio(problem: &Problem, constants: &Generation) -> f64 {
    let mut hardware = problem.hardware.clone();
    hardware.device.generation = constants.clone();
    let predicted = Workload::of(&problem.plan, &problem.graph, problem.tokens)
        .map(|workload| Workload { hardware: &hardware, ..workload })
        .and_then(|workload| step(&workload, &problem.strategy))
        .map(|time| time.total());
    predicted.map_or(10.0, |seconds| seconds / problem.measured)
}
