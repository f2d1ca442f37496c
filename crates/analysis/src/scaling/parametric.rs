//! The arithmetic of a parametric law.

use libm::pow;

/// L(N, D) = E + A/N^α + B/D^β: the loss of a model of N parameters after D tokens (Hoffmann 2022 eq. 2).
///
/// Losses are in nats per token of the tokenizer that the law was fitted under. A, B, α and β are positive, E is not
/// negative: every function here relies on it, and gives what is no number where it does not hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parametric {
    /// E: the loss of an infinite model after infinite data, in nats per token.
    pub e: f64,
    /// A: the numerator of what is lost to the size of the model.
    pub a: f64,
    /// B: the numerator of what is lost to the amount of data.
    pub b: f64,
    /// α: the exponent of parameters.
    pub alpha: f64,
    /// β: the exponent of tokens.
    pub beta: f64,
}

/// The parameters and tokens that reach the lowest loss for their compute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimum {
    /// N*, in parameters.
    pub params: f64,
    /// D*, in tokens.
    pub tokens: f64,
    /// L*, in nats per token.
    pub loss: f64,
}

impl Parametric {
    /// L(N, D), in nats per token.
    pub fn loss(&self, params: f64, tokens: f64) -> f64 {
        self.e + self.a * pow(params, -self.alpha) + self.b * pow(tokens, -self.beta)
    }

    /// N*, D* and L* for an amount of compute in FLOP, at C = 6ND: N* = G·(C/6)^a, D* = (C/6)/N* with
    /// G = (αA/βB)^(1/(α+β)) and a = β/(α+β) (Hoffmann 2022 eq. 4).
    pub fn optimum(&self, flops: f64) -> Optimum {
        let product = flops / FLOPS_PER_PARAM_AND_TOKEN;
        let ratio = self.alpha * self.a / (self.beta * self.b);
        let params = pow(ratio, 1.0 / (self.alpha + self.beta)) * pow(product, self.exponent());
        let tokens = product / params;
        Optimum { params, tokens, loss: self.loss(params, tokens) }
    }

    /// a = β/(α+β): N* grows as C^a, D* as C^(1−a) (Hoffmann 2022 eq. 4).
    pub fn exponent(&self) -> f64 {
        self.beta / (self.alpha + self.beta)
    }

    /// The compute in FLOP whose optimum has this loss; `None` at or below E, and where it is beyond what a float holds.
    ///
    /// At an optimum α·A/N^α = β·B/D^β, so that A/N^α is the share a of what the loss is above E.
    pub fn flops_for(&self, loss: f64) -> Option<f64> {
        let reducible = loss - self.e;
        if reducible.is_nan() || reducible <= 0.0 {
            return None;
        }
        let params = pow(self.a / (self.exponent() * reducible), 1.0 / self.alpha);
        let tokens = pow(self.b / ((1.0 - self.exponent()) * reducible), 1.0 / self.beta);
        positive(flops(params, tokens))
    }

    /// How many times the optimum's compute it takes to reach the optimum's loss at `times` × the tokens per parameter
    /// that are optimal for the compute spent. It does not depend on the compute: 1 at 1, more on both sides.
    ///
    /// At fixed compute, N = N*/√k and D = D*·√k: what the loss is above E grows by a·k^(α/2) + (1−a)·k^(−β/2), and
    /// compute regains it with the power [`gain_exponent`](Self::gain_exponent) (Hoffmann 2022 eq. 2 and 4).
    pub fn overtraining(&self, times: f64) -> f64 {
        let share = self.exponent();
        let worse = share * pow(times, self.alpha / 2.0) + (1.0 - share) * pow(times, -self.beta / 2.0);
        pow(worse, self.gain_exponent())
    }

    /// 1/g with g = αβ/(α+β): what an optimal run's loss is above E falls as C^−g, so that a change of it from r₁ to r₂
    /// is worth (r₁/r₂)^(1/g) times the compute.
    pub fn gain_exponent(&self) -> f64 {
        (self.alpha + self.beta) / (self.alpha * self.beta)
    }

    /// The tokens after which a model of so many parameters has this loss; `None` where it is not above E + A/N^α, the
    /// loss after infinite data, or the tokens are beyond what a float holds.
    pub fn tokens_for(&self, params: f64, loss: f64) -> Option<f64> {
        let left = loss - self.e - self.a * pow(params, -self.alpha);
        if left.is_nan() || left <= 0.0 {
            return None;
        }
        positive(pow(self.b / left, 1.0 / self.beta))
    }
}

/// The FLOP of training with so many parameters on so many tokens: 6ND (Kaplan 2020 §2.1). As floats: whole numbers of
/// 64 bits overflow for any large run.
pub fn flops(params: f64, tokens: f64) -> f64 {
    FLOPS_PER_PARAM_AND_TOKEN * params * tokens
}

/// Forward 2, backward 4.
const FLOPS_PER_PARAM_AND_TOKEN: f64 = 6.0;

fn positive(value: f64) -> Option<f64> {
    (value.is_finite() && value > 0.0).then_some(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is how a test fails
mod tests {
    use super::*;

    /// The exact optimum on the 240 points of Hoffmann 2022 fig. 4 that Besiroglu 2024 fits.
    const REFIT: Parametric = Parametric {
        e: 1.817_218_148,
        a: 477.826_102,
        b: 2_143.415_382,
        alpha: 0.347_310_53,
        beta: 0.367_172_39,
    };

    /// Besiroglu 2024 as published.
    const BESIROGLU: Parametric =
        Parametric { e: 1.8172, a: 482.01, b: 2_085.43, alpha: 0.3478, beta: 0.3658 };

    /// The compute of Chinchilla and Gopher.
    const GOPHER: f64 = 5.76e23;

    fn close(actual: f64, expected: f64, tolerance: f64) {
        let error = (actual / expected - 1.0).abs();
        assert!(error <= tolerance, "{actual} is {error:e} off {expected}");
    }

    #[test]
    fn the_optimum_for_chinchillas_compute_is_the_one_that_is_known() {
        let optimum = REFIT.optimum(GOPHER);
        close(optimum.params, 73.19e9, 1e-4);
        close(optimum.tokens, 1.312e12, 5e-4);
        close(optimum.tokens / optimum.params, 17.92, 5e-4);
        close(optimum.loss, 1.973_9, 1e-5);
        close(REFIT.exponent(), 0.513_899_463, 1e-8);

        let optimum = BESIROGLU.optimum(GOPHER);
        // Known from constants with more digits than are printed: 72.4B and 18.3.
        close(optimum.params, 72.4e9, 2.5e-3);
        close(optimum.tokens / optimum.params, 18.3, 6e-3);

        for (compute, params, tokens) in [(1e20, 855.0e6, 19.49e9), (3.8e25, 630.1e9, 10.05e12)] {
            let optimum = REFIT.optimum(compute);
            close(optimum.params, params, 1e-3);
            close(optimum.tokens, tokens, 1e-3);
        }
    }

    #[test]
    fn nothing_of_the_same_compute_is_better_than_the_optimum() {
        for law in [REFIT, BESIROGLU] {
            for compute in [1e18, GOPHER, 1e28] {
                let optimum = law.optimum(compute);
                close(flops(optimum.params, optimum.tokens), compute, 1e-12);
                for factor in [0.5, 0.99, 1.01, 2.0] {
                    assert!(law.loss(optimum.params * factor, optimum.tokens / factor) > optimum.loss);
                }
            }
        }
    }

    #[test]
    fn training_beyond_the_optimum_costs_what_is_known() {
        for (times, cost) in [(2.0, 1.04), (4.0, 1.18), (10.0, 1.58), (16.0, 1.92), (64.0, 4.07)] {
            assert_eq!(format!("{:.2}", REFIT.overtraining(times)), format!("{cost:.2}"));
        }
        close(REFIT.overtraining(1.0), 1.0, 1e-12);
        assert!(REFIT.overtraining(0.5) > 1.0);
    }

    #[test]
    fn that_cost_is_what_the_law_itself_takes_for_the_same_loss() {
        for times in [0.1, 4.0, 64.0] {
            let spent = GOPHER * REFIT.overtraining(times);
            let own = REFIT.optimum(spent);
            let root = f64::sqrt(times);
            let (params, tokens) = (own.params / root, own.tokens * root);
            close(REFIT.loss(params, tokens), REFIT.optimum(GOPHER).loss, 1e-12);
        }
    }

    #[test]
    fn compute_for_a_loss_and_tokens_for_a_loss_undo_the_loss() {
        for compute in [1e18, GOPHER, 1e28] {
            let optimum = REFIT.optimum(compute);
            close(REFIT.flops_for(optimum.loss).unwrap(), compute, 1e-9);
            close(REFIT.tokens_for(optimum.params, optimum.loss).unwrap(), optimum.tokens, 1e-9);
            let more = REFIT.optimum(compute * 3.0);
            let gain = (optimum.loss - REFIT.e) / (more.loss - REFIT.e);
            close(pow(gain, REFIT.gain_exponent()), 3.0, 1e-9);
        }
    }

    #[test]
    fn a_loss_that_nothing_reaches_has_no_compute() {
        assert_eq!(REFIT.flops_for(REFIT.e), None);
        assert_eq!(REFIT.flops_for(1.0), None);
        assert_eq!(REFIT.flops_for(f64::NAN), None);
        assert_eq!(REFIT.flops_for(REFIT.e + 1e-300), None);
        let limit = REFIT.loss(1e9, f64::INFINITY);
        assert_eq!(REFIT.tokens_for(1e9, limit), None);
        assert_eq!(REFIT.tokens_for(1e9, f64::NAN), None);
        assert!(REFIT.tokens_for(1e9, limit + 0.01).is_some());
    }
}
