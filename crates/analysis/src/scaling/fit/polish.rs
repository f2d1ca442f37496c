//! From a start to the optimum next to it: Newton's method with Levenberg's damping, and no absolute tolerance anywhere.

use super::Constants;
use super::objective::{Points, Slope};

/// Where a descent ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Polished {
    pub(super) constants: Constants,
    pub(super) value: f64,
    /// Whether it ended because nothing near is better.
    pub(super) converged: bool,
}

/// The first δ: nearly least squares, smooth and far-sighted.
const FIRST_DELTA: f64 = 0.1;
/// How much smaller each δ is than the one before.
const NARROWING: f64 = 0.2;
/// Steps at a δ on the way.
const ON_THE_WAY: usize = 12;
/// Steps at the last δ.
const LAST: usize = 300;

/// Minimizes the objective from a start, δ coming down to `delta`.
pub(super) fn descend(points: &Points, start: Constants, delta: f64) -> Polished {
    let mut constants = start;
    let mut wide = FIRST_DELTA;
    while wide > delta {
        constants = newton(points, constants, wide, ON_THE_WAY, 1e-4).constants;
        wide *= NARROWING;
    }
    newton(points, constants, delta, LAST, EXACT)
}

/// Minimizes it from a place that is near: one wider δ, and the last.
pub(super) fn refine(points: &Points, start: Constants, delta: f64) -> Polished {
    let near = newton(points, start, delta * 5.0, ON_THE_WAY, 1e-4).constants;
    newton(points, near, delta, LAST, EXACT)
}

/// What a step must promise, relative to the objective, at the end.
const EXACT: f64 = 1e-13;
/// A root mean square residual of ln L that is nothing but rounding.
const NOISE: f64 = 1e-13;
/// The damping at which a step moves nothing any more.
const STIFF: f64 = 1e14;

fn newton(points: &Points, start: Constants, delta: f64, steps: usize, tolerance: f64) -> Polished {
    let mut constants = start;
    let mut slope = points.slope(&constants, delta);
    let least = 0.5 * NOISE * NOISE * points.weight();
    let mut damping = 1e-4;
    let mut converged = false;
    for _ in 0..steps {
        let Some((step, promised)) = damped(&slope, damping) else {
            damping = f64::max(damping * 8.0, 1e-6);
            if damping > STIFF {
                break;
            }
            continue;
        };
        if promised <= tolerance * slope.value || slope.value <= least {
            converged = true;
            break;
        }
        let mut moved = constants;
        moved.iter_mut().zip(step).for_each(|(own, by)| *own += by);
        let value = points.value(&moved, delta);
        let gain = (slope.value - value) / promised;
        // Also false for what is no number.
        if gain > 1e-4 {
            constants = moved;
            slope = points.slope(&constants, delta);
            damping *= if gain > 0.75 {
                0.1
            } else if gain > 0.25 {
                1.0
            } else {
                4.0
            };
            damping = f64::max(damping, 1e-12);
        } else {
            damping *= 8.0;
            if damping > STIFF {
                converged = true;
                break;
            }
        }
    }
    Polished { constants, value: slope.value, converged }
}

/// The step that minimizes the quadratic model with its damping, and what it promises; `None` where that has no minimum.
fn damped(slope: &Slope, damping: f64) -> Option<(Constants, f64)> {
    // Cholesky of H + λ·diag(JᵀJ), lower triangle.
    let mut lower = slope.hessian;
    for (at, row) in lower.iter_mut().enumerate() {
        row[at] += damping * slope.scale[at];
    }
    for row in 0..5 {
        for column in 0..=row {
            let known: f64 = (0..column).map(|at| lower[row][at] * lower[column][at]).sum();
            let left = lower[row][column] - known;
            if row != column {
                lower[row][column] = left / lower[column][column];
            } else if left > 1e-14 * slope.scale[row] {
                lower[row][row] = left.sqrt();
            } else {
                return None;
            }
        }
    }
    let mut step = [0.0; 5];
    for row in 0..5 {
        let known: f64 = (0..row).map(|at| lower[row][at] * step[at]).sum();
        step[row] = (-slope.gradient[row] - known) / lower[row][row];
    }
    for row in (0..5).rev() {
        let known: f64 = (row + 1..5).map(|at| lower[at][row] * step[at]).sum();
        step[row] = (step[row] - known) / lower[row][row];
    }
    let mut promised = 0.0;
    for row in 0..5 {
        let bent: f64 = (0..5).map(|at| slope.hessian[row.max(at)][row.min(at)] * step[at]).sum();
        promised -= step[row] * (slope.gradient[row] + 0.5 * bent);
    }
    (promised.is_finite() && promised >= 0.0).then_some((step, promised))
}
