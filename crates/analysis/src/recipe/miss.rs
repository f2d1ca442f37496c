//! What a miss of the best learning rate or batch costs.

use libm::log2;

/// What is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The learning rate, at the best batch.
    LearningRate,
    /// The batch, at the best learning rate.
    Batch,
}

/// The share of the loss that is lost where something is a factor off its best, between 1/8 and 4 times; outside, what the
/// ends cost, which is the least it may be. Between the points it is linear in the logarithm of the factor.
///
/// The points are medians over 17 pairs of N and D of Step Law's runs.
pub fn lost(miss: Miss, factor: f64) -> f64 {
    let points = match miss {
        Miss::LearningRate => [1.71, 0.91, 0.32, 0.0, 0.84, 3.92],
        Miss::Batch => [4.58, 1.58, 0.44, 0.0, 0.44, 1.40],
    };
    let at = (log2(factor) + 3.0).clamp(0.0, 5.0);
    let below = (at as usize).min(4);
    let [low, high] = [points[below], points[below + 1]];
    (low + (high - low) * (at - below as f64)) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_the_table_are_what_it_says_and_between_them_it_is_even() {
        for (factor, rate, batch) in [
            (0.125, 0.0171, 0.0458),
            (0.25, 0.0091, 0.0158),
            (0.5, 0.0032, 0.0044),
            (1.0, 0.0, 0.0),
            (2.0, 0.0084, 0.0044),
            (4.0, 0.0392, 0.0140),
        ] {
            assert!((lost(Miss::LearningRate, factor) - rate).abs() < 1e-12, "{factor}");
            assert!((lost(Miss::Batch, factor) - batch).abs() < 1e-12, "{factor}");
        }
        let middle = lost(Miss::LearningRate, 2.0 * std::f64::consts::SQRT_2);
        assert!((middle - 0.0238).abs() < 1e-9, "{middle}");
        for factor in [1e-9, 4.0, 5.0, 1e9] {
            assert!(
                [0.0171, 0.0392].iter().any(|end| (lost(Miss::LearningRate, factor) - end).abs() < 1e-12)
            );
        }
    }
}
