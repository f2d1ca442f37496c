//! What tokens are worth that were seen before, and parameters that there are too few distinct tokens for.

use libm::exp;
use llmplan_spec::plan::Law;

use super::laws::{loss, params_for};

/// How soon repeated tokens and excess parameters lose their worth (Muennighoff 2023 §3.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repetition {
    /// R*_D, in epochs.
    pub tokens: f64,
    /// R*_N, in multiples of the parameters that the distinct tokens are best used with.
    pub params: f64,
}

impl Repetition {
    /// As a law declares them.
    pub fn of(law: &Law) -> Repetition {
        Repetition { tokens: law.repeat_tokens, params: law.repeat_params }
    }

    /// D_eff = U + U·R*·(1 − e^(−(e−1)/R*)) for e = D/U epochs: the distinct tokens that would teach as much
    /// (Muennighoff 2023 eq. 5). Up to one epoch, D itself.
    pub fn effective_tokens(self, unique: f64, tokens: f64) -> f64 {
        saturated(unique, tokens, self.tokens)
    }

    /// N_eff of parameters beyond `best`, those that the distinct tokens are the optimum for (eq. 6), after `repeats` = D/U − 1:
    /// N − (1 − e^(−repeats))·(N − N'), with N' the parameters of eq. 6. The weight is ours: without repetition the law itself
    /// says what an excess is worth; from four epochs on 95% of what eq. 6 takes from it is taken.
    pub fn effective_params(self, best: f64, params: f64, repeats: f64) -> f64 {
        params - (1.0 - exp(-repeats.max(0.0))) * (params - saturated(best, params, self.params))
    }

    /// Loss of so many parameters after so many tokens of which `unique` are distinct (eq. 7 within `law`'s own constants);
    /// `None` where the law has no loss.
    pub fn loss(self, law: &Law, params: f64, tokens: f64, unique: f64) -> Option<f64> {
        if tokens <= unique {
            return loss(law, params, tokens);
        }
        let repeats = tokens / unique - 1.0;
        let params = self.effective_params(params_for(law, unique)?, params, repeats);
        loss(law, params, self.effective_tokens(unique, tokens))
    }
}

/// `amount` while it is at most `unit`; beyond, each further part of it is worth less.
fn saturated(unit: f64, amount: f64, decay: f64) -> f64 {
    if amount <= unit {
        return amount;
    }
    let repeats = amount / unit - 1.0;
    unit + unit * decay * (1.0 - exp(-repeats / decay))
}
