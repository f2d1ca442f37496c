//! The scale of the loss: keeps small gradients from vanishing in fp16.

use super::Outcome;

/// What the loss is multiplied with before the backward pass, and gradients divided by before the update
/// (Micikevicius 2018 §3.2).
#[derive(Clone, Debug, PartialEq)]
pub struct LossScale {
    scale: f64,
    growth: Option<Growth>,
}

/// How a dynamic scale grows.
#[derive(Clone, Debug, PartialEq)]
struct Growth {
    /// Good steps in a row after which the scale doubles.
    after: u32,
    /// Good steps since it last changed.
    good: u32,
}

impl LossScale {
    /// The least that a dynamic scale becomes.
    pub const LEAST: f64 = 1.0;
    /// The most that a dynamic scale becomes, 2²⁴ (NVIDIA Apex, `max_loss_scale`).
    pub const MOST: f64 = 16_777_216.0;

    /// No scaling: for fp32 and bf16, whose exponents reach far enough.
    pub fn none() -> LossScale {
        LossScale::fixed(1.0)
    }

    /// The same scale throughout. A power of two changes no digit.
    pub fn fixed(scale: f64) -> LossScale {
        LossScale { scale, growth: None }
    }

    /// A scale that halves at every overflow and doubles after so many good steps in a row. NVIDIA's usual choice is to
    /// begin at 2¹⁶ and to double after 2000.
    pub fn dynamic(initial: f64, after: u32) -> LossScale {
        let scale = initial.clamp(LossScale::LEAST, LossScale::MOST);
        LossScale { scale, growth: Some(Growth { after: after.max(1), good: 0 }) }
    }

    /// What to multiply the loss with now.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Learns what came of a step.
    pub fn observe(&mut self, outcome: Outcome) {
        let Some(growth) = &mut self.growth else { return };
        match outcome {
            Outcome::Skipped => {
                self.scale = (self.scale / 2.0).max(LossScale::LEAST);
                growth.good = 0;
            }
            Outcome::Updated => {
                growth.good += 1;
                if growth.good >= growth.after {
                    self.scale = (self.scale * 2.0).min(LossScale::MOST);
                    growth.good = 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every overflow halves, every run of good steps doubles, and an overflow ends a run.
    #[test]
    fn a_dynamic_scale_follows_the_overflows() {
        let mut scale = LossScale::dynamic(8.0, 3);
        let mut after = |outcome| {
            scale.observe(outcome);
            scale.scale()
        };
        use Outcome::{Skipped, Updated};
        let outcomes = [Skipped, Updated, Updated, Skipped, Updated, Updated, Updated, Updated];
        assert_eq!(outcomes.map(&mut after), [4.0, 4.0, 4.0, 2.0, 2.0, 2.0, 4.0, 4.0]);
        assert_eq!([Skipped; 4].map(&mut after), [2.0, 1.0, 1.0, 1.0]);
    }

    /// It does not grow beyond what a loss can be multiplied with.
    #[test]
    fn a_dynamic_scale_has_a_ceiling() {
        let mut scale = LossScale::dynamic(LossScale::MOST / 2.0, 1);
        for _ in 0..3 {
            scale.observe(Outcome::Updated);
        }
        assert_eq!(scale.scale(), LossScale::MOST);
    }

    /// A fixed scale stays.
    #[test]
    fn a_fixed_scale_stays() {
        let mut scale = LossScale::fixed(1024.0);
        for outcome in [Outcome::Skipped, Outcome::Updated] {
            scale.observe(outcome);
            assert_eq!(scale.scale(), 1024.0);
        }
        assert_eq!(LossScale::none().scale(), 1.0);
    }
}
