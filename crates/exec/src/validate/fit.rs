//! The law of times: so much for each FLOP, and so much for a step of none.

use serde::Serialize;

/// Seconds = overhead + FLOPs / rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// Seconds of a step without FLOPs.
    pub overhead: f64,
    /// FLOP/s.
    pub rate: f64,
    /// Standard error of a time, relative to the mean time; none for two points, which a line always fits.
    pub error: Option<f64>,
    /// Points.
    pub points: usize,
}

/// The least squares of times over FLOPs. `None` for fewer than two sizes, or times that do not grow.
pub fn fit(points: &[(f64, f64)]) -> Option<Fit> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (flops, seconds) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - flops).powi(2)).sum();
    let along: f64 = points.iter().map(|point| (point.0 - flops) * (point.1 - seconds)).sum();
    let slope = along / spread;
    if points.len() < 2 || !(slope.is_finite() && slope > 0.0) {
        return None;
    }
    let overhead = seconds - slope * flops;
    let rest: f64 = points.iter().map(|point| (point.1 - overhead - slope * point.0).powi(2)).sum();
    let error = (points.len() > 2).then(|| (rest / (count - 2.0)).sqrt() / seconds);
    Some(Fit { overhead, rate: 1.0 / slope, error, points: points.len() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is how a test fails
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_again() {
        let found = fit(&[(1e9, 0.6), (2e9, 1.1), (4e9, 2.1)]).unwrap();
        assert!((found.overhead - 0.1).abs() < 1e-9 && (found.rate - 2e9).abs() < 1.0);
        assert!(found.error.unwrap() < 1e-9);
        assert!(fit(&[(1e9, 0.6), (2e9, 1.3), (4e9, 2.0)]).unwrap().error.unwrap() > 0.01);
    }

    #[test]
    fn what_is_no_line_has_no_fit() {
        assert_eq!(fit(&[(1e9, 0.6)]), None);
        assert_eq!(fit(&[(1e9, 0.6), (1e9, 0.7)]), None);
        assert_eq!(fit(&[(1e9, 0.6), (2e9, 0.5)]), None);
        assert_eq!(fit(&[]), None);
    }
}
