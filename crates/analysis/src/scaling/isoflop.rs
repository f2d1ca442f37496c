//! IsoFLOP parabolas: Approach 2 of Hoffmann 2022 (§3.2). For each budget the loss over ln N is a parabola, and its lowest
//! point the best N; over all budgets N* and D* are powers of compute.

use libm::{exp, log};

use super::fit::{Range, Run};

/// The runs of one budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// C: the geometric mean of its runs' compute, in FLOP.
    pub flops: f64,
    /// How many runs the parabola is of.
    pub runs: usize,
    /// The lowest point, or why there is none.
    pub lowest: Result<Lowest, Flaw>,
}

/// The lowest point of a parabola.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lowest {
    /// N*, in parameters.
    pub params: f64,
    /// D* = C/(6N*), in tokens.
    pub tokens: f64,
    /// L*, in nats per token.
    pub loss: f64,
}

/// Why a budget has no optimum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flaw {
    /// Fewer than four sizes: a parabola goes through any three.
    TooFew(usize),
    /// The parabola has no lowest point.
    Concave,
    /// Its lowest point lies outside of the sizes that were trained.
    Outside {
        /// Where it lies, in parameters.
        params: f64,
        /// What was trained, in parameters.
        trained: Range,
    },
}

/// y = coefficient · C^exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power {
    /// Its value at 1 FLOP.
    pub coefficient: f64,
    /// How it grows.
    pub exponent: f64,
}

impl Power {
    /// Its value at a compute in FLOP.
    pub fn at(&self, flops: f64) -> f64 {
        self.coefficient * libm::pow(flops, self.exponent)
    }
}

/// What Approach 2 says.
#[derive(Clone, Debug, PartialEq)]
pub struct Approach {
    /// Every budget, in ascending compute.
    pub budgets: Vec<Budget>,
    /// N* over C; `None` with fewer than two optima.
    pub params: Option<Power>,
    /// D* over C; `None` with fewer than two optima.
    pub tokens: Option<Power>,
}

/// Sizes that a parabola needs to be more than drawn through them.
pub const FEWEST_SIZES: usize = 4;

/// Runs whose compute differs by at most this are of one budget.
const SAME_BUDGET: f64 = 1.05;

/// Parabolas of the runs' budgets, and the powers through their lowest points.
///
/// `window` leaves out runs with more than so many times, or less than that part of, the parameters of a budget's best
/// run: far from its lowest point, loss is no parabola. `f64::INFINITY` takes all.
pub fn approach(runs: &[Run], window: f64) -> Approach {
    let mut sorted = runs.to_vec();
    sorted.sort_by(|one, other| one.flops().total_cmp(&other.flops()));
    let mut groups: Vec<Vec<Run>> = Vec::new();
    for run in sorted {
        match groups.last_mut() {
            Some(group) if group.first().is_some_and(|first| run.flops() <= first.flops() * SAME_BUDGET) => {
                group.push(run);
            }
            _ => groups.push(vec![run]),
        }
    }
    let budgets: Vec<Budget> = groups.iter().map(|group| budget(group, window)).collect();
    let lowest: Vec<(f64, Lowest)> =
        budgets.iter().filter_map(|own| Some((own.flops, own.lowest.ok()?))).collect();
    let params = power(lowest.iter().map(|(flops, own)| (*flops, own.params)));
    let tokens = power(lowest.iter().map(|(flops, own)| (*flops, own.tokens)));
    Approach { budgets, params, tokens }
}

/// The power through points (C, y) with the least squares of ln y.
pub fn power(points: impl Iterator<Item = (f64, f64)>) -> Option<Power> {
    let points: Vec<(f64, f64)> = points.map(|(x, y)| (log(x), log(y))).collect();
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|own| own.0), mean(|own| own.1));
    let above: f64 = points.iter().map(|own| (own.0 - x) * (own.1 - y)).sum();
    let below: f64 = points.iter().map(|own| (own.0 - x) * (own.0 - x)).sum();
    let exponent = above / below;
    exponent.is_finite().then(|| Power { coefficient: exp(y - exponent * x), exponent })
}

fn budget(group: &[Run], window: f64) -> Budget {
    let flops = exp(group.iter().map(|run| log(run.flops())).sum::<f64>() / group.len().max(1) as f64);
    let best = group.iter().min_by(|one, other| one.loss.total_cmp(&other.loss)).copied();
    let near = |run: &&Run| {
        best.is_some_and(|best| run.params <= best.params * window && run.params >= best.params / window)
    };
    let near: Vec<Run> = group.iter().filter(near).copied().collect();
    Budget { flops, runs: near.len(), lowest: lowest(&near, flops) }
}

fn lowest(runs: &[Run], flops: f64) -> Result<Lowest, Flaw> {
    let mut sizes: Vec<f64> = runs.iter().map(|run| run.params).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let (Some(low), Some(high), true) = (sizes.first(), sizes.last(), sizes.len() >= FEWEST_SIZES) else {
        return Err(Flaw::TooFew(sizes.len()));
    };
    let points: Vec<(f64, f64)> = runs.iter().map(|run| (log(run.params), run.loss)).collect();
    let [level, slope, curvature, center] = parabola(&points).ok_or(Flaw::Concave)?;
    if curvature <= 0.0 {
        return Err(Flaw::Concave);
    }
    let place = -slope / (2.0 * curvature);
    let params = exp(center + place);
    let trained = Range { low: *low, high: *high };
    if trained.beyond(params) > 1.0 {
        return Err(Flaw::Outside { params, trained });
    }
    let loss = level + slope * place + curvature * place * place;
    Ok(Lowest { params, tokens: flops / (6.0 * params), loss })
}

/// level + slope·(x − center) + curvature·(x − center)² with the least squares, by polynomials orthogonal over the points.
fn parabola(points: &[(f64, f64)]) -> Option<[f64; 4]> {
    let count = points.len() as f64;
    let center = points.iter().map(|own| own.0).sum::<f64>() / count;
    let second: f64 = points.iter().map(|own| (own.0 - center) * (own.0 - center)).sum();
    let third: f64 = points.iter().map(|own| (own.0 - center) * (own.0 - center) * (own.0 - center)).sum();
    // p₂ = x² − skew·x − mean is orthogonal to 1 and x.
    let (skew, mean) = (third / second, second / count);
    let p2 = |x: f64| x * x - skew * x - mean;
    let level = points.iter().map(|own| own.1).sum::<f64>() / count;
    let slope = points.iter().map(|own| own.1 * (own.0 - center)).sum::<f64>() / second;
    let norm: f64 = points.iter().map(|own| p2(own.0 - center) * p2(own.0 - center)).sum();
    let curvature = points.iter().map(|own| own.1 * p2(own.0 - center)).sum::<f64>() / norm;
    let all = [level - curvature * mean, slope - curvature * skew, curvature, center];
    all.iter().all(|value| value.is_finite()).then_some(all)
}
