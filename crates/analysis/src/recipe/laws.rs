//! What laws recommend as learning rate and batch, and what a miss costs. Pure functions of plain numbers.

use libm::{log2, pow};

/// The learning rate that Step Law recommends: 1.79 N^-.713 D^.307, N without embeddings (Li 2025). Its runs have 215M to
/// 1.07B parameters and 4B to 100B tokens, and were trained by AdamW.
pub fn step_law_rate(params: f64, tokens: f64) -> f64 {
    1.79 * pow(params, -0.713) * pow(tokens, 0.307)
}

/// The batch in tokens that Step Law recommends: 0.58 D^.571 (Li 2025).
pub fn step_law_batch(tokens: f64) -> f64 {
    0.58 * pow(tokens, 0.571)
}

/// The learning rate that DeepSeek's law recommends: 0.3118 C^-.125, C in FLOP, non-embedding FLOPs per token × D (DeepSeek
/// LLM 2024 equation 1). Its runs have 1e17 to 2e19 FLOP.
pub fn deepseek_rate(compute: f64) -> f64 {
    0.3118 * pow(compute, -0.125)
}

/// The batch in tokens that DeepSeek's law recommends: 0.2920 C^.3271 (DeepSeek LLM 2024 equation 1).
pub fn deepseek_batch(compute: f64) -> f64 {
    0.292 * pow(compute, 0.3271)
}

/// The batch in tokens that takes 20 % more tokens than the least: 22.91 (D/1M)^.47 sequences of 512 tokens (Zhang 2024, on
/// models of 85M to 1.2B parameters).
pub fn critical_batch(tokens: f64) -> f64 {
    22.91 * pow(tokens / 1e6, 0.47) * 512.0
}

/// The batch in tokens that takes twice the least tokens: 2e8 / L^(1/.21), L in nats per token (Kaplan 2020 §5.1).
pub fn kaplan_critical_batch(loss: f64) -> f64 {
    2e8 * pow(loss, -1.0 / 0.21)
}

/// Tokens of a run over the least that reach its loss, where `overhead` is what the critical batch adds: 1 + o·B/B_crit
/// (McCandlish 2018 equation 2.11, whose critical batch has an overhead of 1).
pub fn tokens_over_least(batch: f64, critical: f64, overhead: f64) -> f64 {
    1.0 + overhead * batch / critical
}

/// Steps of a run over the least that reach its loss: 1 + B_crit/(o·B), the other side of [`tokens_over_least`].
pub fn steps_over_least(batch: f64, critical: f64, overhead: f64) -> f64 {
    1.0 + critical / (overhead * batch)
}

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

/// The compute that makes up for a share of the loss that is lost, over the run's: (r_after/r_before)^(1/g), with r the loss
/// above the law's floor and `power` the law's 1/g.
pub fn compute_for_lost(loss: f64, floor: f64, power: f64, lost: f64) -> f64 {
    pow((loss * (1.0 + lost) - floor) / (loss - floor), power)
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
