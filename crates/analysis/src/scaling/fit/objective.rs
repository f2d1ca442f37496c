//! The objective with its gradient and Hessian, in logarithms that are centred: a and α, b and β hardly pull at each
//! other there.

use libm::{exp, log};

use super::Run;
use crate::scaling::Parametric;

/// a − α·mean(−ln N) and so on: a′, b′, e, α, β.
pub(super) type Constants = [f64; 5];

/// Runs as the objective sees them.
#[derive(Clone, Debug)]
pub(super) struct Points {
    pub(super) points: Vec<Point>,
    /// The means of ln N and ln D over all runs.
    center: (f64, f64),
}

/// A run in logarithms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// ln N less its mean.
    pub(super) params: f64,
    /// ln D less its mean.
    pub(super) tokens: f64,
    /// ln L.
    pub(super) loss: f64,
    /// How often it counts.
    pub(super) weight: f64,
}

/// The objective at a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slope {
    pub(super) value: f64,
    pub(super) gradient: Constants,
    pub(super) hessian: [[f64; 5]; 5],
    /// The diagonal of JᵀJ over all points: the scale of each constant.
    pub(super) scale: Constants,
}

impl Points {
    /// The runs, each as often as `weights` say, or once.
    pub(super) fn new(runs: &[Run], weights: Option<&[u32]>) -> Points {
        let count = runs.len().max(1) as f64;
        let mean = |of: fn(&Run) -> f64| runs.iter().map(|run| log(of(run))).sum::<f64>() / count;
        let center = (mean(|run| run.params), mean(|run| run.tokens));
        let weight = |at: usize| weights.map_or(1.0, |own| own.get(at).copied().map_or(0.0, f64::from));
        let points = runs.iter().enumerate().map(|(at, run)| Point {
            params: log(run.params) - center.0,
            tokens: log(run.tokens) - center.1,
            loss: log(run.loss),
            weight: weight(at),
        });
        Points { points: points.filter(|point| point.weight > 0.0).collect(), center }
    }

    /// The same points, each as often as drawn; those that were not drawn are left out.
    pub(super) fn weighted(&self, weights: &[u32]) -> Points {
        let drawn = self.points.iter().zip(weights).filter(|(_, weight)| **weight > 0);
        let points = drawn.map(|(point, weight)| Point { weight: f64::from(*weight), ..*point }).collect();
        Points { points, center: self.center }
    }

    /// The law of constants.
    pub(super) fn law(&self, &[a, b, e, alpha, beta]: &Constants) -> Parametric {
        let (params, tokens) = self.center;
        Parametric { e: exp(e), a: exp(a + alpha * params), b: exp(b + beta * tokens), alpha, beta }
    }

    /// The constants of a law.
    pub(super) fn constants(&self, law: &Parametric) -> Constants {
        let (params, tokens) = self.center;
        [log(law.a) - law.alpha * params, log(law.b) - law.beta * tokens, log(law.e), law.alpha, law.beta]
    }

    /// The objective alone.
    pub(super) fn value(&self, constants: &Constants, delta: f64) -> f64 {
        let residual = |point: &Point| {
            let terms = terms(point, constants);
            let top = terms[0].max(terms[1]).max(terms[2]);
            let sum: f64 = terms.iter().map(|term| exp(term - top)).sum();
            point.loss - top - log(sum)
        };
        self.points.iter().map(|point| point.weight * huber(residual(point), delta)).sum()
    }

    /// The objective with its derivatives.
    ///
    /// With shares pₖ of the three terms and vₖ their gradients, ∇LSE = Σ pₖvₖ and ∇²LSE = Σ pₖvₖvₖᵀ − ∇LSE∇LSEᵀ.
    pub(super) fn slope(&self, constants: &Constants, delta: f64) -> Slope {
        let mut slope = Slope { value: 0.0, gradient: [0.0; 5], hessian: [[0.0; 5]; 5], scale: [0.0; 5] };
        for point in &self.points {
            let terms = terms(point, constants);
            let top = terms[0].max(terms[1]).max(terms[2]);
            let shares = terms.map(|term| exp(term - top));
            let sum: f64 = shares.iter().sum();
            let [of_params, of_tokens, of_floor] = shares.map(|share| share / sum);
            let (x, y) = (point.params, point.tokens);
            let lse = [of_params, of_tokens, of_floor, -of_params * x, -of_tokens * y];
            let residual = point.loss - top - log(sum);
            let pull = point.weight * residual.clamp(-delta, delta);
            let inside = if residual.abs() <= delta { point.weight } else { 0.0 };
            slope.value += point.weight * huber(residual, delta);
            // −pull·∇²LSE: the outer products of it here, what is left of it, which is sparse, below.
            for row in 0..5 {
                slope.gradient[row] -= pull * lse[row];
                slope.scale[row] += point.weight * lse[row] * lse[row];
                for column in 0..=row {
                    slope.hessian[row][column] += (inside + pull) * lse[row] * lse[column];
                }
            }
            slope.hessian[0][0] -= pull * of_params;
            slope.hessian[1][1] -= pull * of_tokens;
            slope.hessian[2][2] -= pull * of_floor;
            slope.hessian[3][0] += pull * of_params * x;
            slope.hessian[3][3] -= pull * of_params * x * x;
            slope.hessian[4][1] += pull * of_tokens * y;
            slope.hessian[4][4] -= pull * of_tokens * y * y;
        }
        slope
    }

    /// How often all points count together.
    pub(super) fn weight(&self) -> f64 {
        self.points.iter().map(|point| point.weight).sum()
    }
}

/// r²/2 within δ, δ·(|r| − δ/2) beyond (Huber 1964).
pub(super) fn huber(residual: f64, delta: f64) -> f64 {
    let size = residual.abs();
    if size <= delta { 0.5 * size * size } else { delta * (size - 0.5 * delta) }
}

/// The logarithms of A/N^α, B/D^β and E.
fn terms(point: &Point, &[a, b, e, alpha, beta]: &Constants) -> [f64; 3] {
    [a - alpha * point.params, b - beta * point.tokens, e]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_values() {
        let run = |params: f64, tokens: f64, loss: f64| Run { params, tokens, loss };
        let runs = [run(1e8, 2e9, 3.1), run(1e9, 2e10, 2.4), run(3e8, 9e10, 2.6), run(5e9, 1e10, 2.7)];
        let points = Points::new(&runs, Some(&[1, 2, 1, 3]));
        // Some residuals are within δ, some beyond.
        let (place, delta) = ([-0.6, -0.5, 0.5, 0.3, 0.35], 0.1);
        let slope = points.slope(&place, delta);
        assert!((slope.value - points.value(&place, delta)).abs() < 1e-12);
        let step = 1e-6;
        for at in 0..5 {
            let moved = |by: f64| {
                let mut place = place;
                place[at] += by;
                points.slope(&place, delta)
            };
            let (up, down) = (moved(step), moved(-step));
            let gradient = (up.value - down.value) / (2.0 * step);
            assert!((gradient - slope.gradient[at]).abs() < 1e-8, "{at}: {gradient} {:?}", slope.gradient);
            for row in at..5 {
                let curvature = (up.gradient[row] - down.gradient[row]) / (2.0 * step);
                assert!((curvature - slope.hessian[row][at]).abs() < 1e-7, "{row} {at}");
            }
        }
    }

    #[test]
    fn huber_is_smooth_where_it_changes() {
        assert!((huber(0.1, 0.1) - 0.005).abs() < 1e-15);
        assert!((huber(-0.1 - 1e-9, 0.1) - 0.005).abs() < 1e-9);
        assert!((huber(1.0, 0.1) - 0.095).abs() < 1e-15);
    }
}
