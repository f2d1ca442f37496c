//! What a change does to the loss, in compute: how many times the compute the plan as it is would need for the same.
//!
//! With r = L − E, what training can still reduce, the gain is (r_before/r_after)^(1/g), g = αβ/(α+β): the frontier of a
//! parametric law falls as C^−g.

use libm::pow;
use llmplan_spec::plan::{LawForm, LawParams, Plan};

use super::candidates::tidy;
use crate::report::Report;
use crate::scaling::{Parametric, flops};

/// Below this many nats above E a gain says more about E than about the plan.
const LEAST: f64 = 0.05;
/// Compute beyond so many times of what a law was fitted to is no forecast.
const FARTHEST: f64 = 100.0;

/// What makes up for a learning rate that is off, over the run's compute.
const MISS: &str = "recipe.learning_rate.compute";
/// Tokens that a batch near the critical one takes beyond the fewest, as a share of these.
const EXTRA: &str = "recipe.batch.extra_tokens_share";
/// The loss that storing weights in fewer bits adds when they are served, nats per token.
const QUANTIZED: &str = "inference.quantization_loss";

/// The law of a plan, and where the plan stands on it.
pub(super) struct Loss<'p> {
    plan: &'p Plan,
    law: Option<Parametric>,
    own: Option<Standing>,
    report: &'p Report,
}

/// Parameters and tokens as the law counts them.
#[derive(Clone, Copy, Debug)]
struct Standing {
    params: f64,
    tokens: f64,
}

impl<'p> Loss<'p> {
    /// The plan's law, and where the plan stands on it.
    pub(super) fn new(plan: &'p Plan, report: &'p Report) -> Loss<'p> {
        let adapters = plan.training.as_ref().is_some_and(|training| training.lora.is_some());
        let law = match plan.law.form {
            // Adapters are not trained from scratch: no law of pretraining is about them.
            _ if adapters => None,
            LawForm::Parametric { e, a, b, alpha, beta } => Some(Parametric { e, a, b, alpha, beta }),
            LawForm::Kaplan { .. } | LawForm::Allocation => None,
        };
        Loss { plan, law, own: standing(plan, report), report }
    }

    /// Whether the law could say what parameters and tokens do: it is parametric, and the plan has both.
    pub(super) fn speaks(&self) -> bool {
        self.law.is_some() && self.own.is_some()
    }

    /// The tokens for which the model's size is the best, of three digits: N* grows as C^a. `None` where the model is
    /// served for a lifetime: then its size is no longer what they are chosen for.
    pub(super) fn tokens(&self) -> Option<u64> {
        let (law, own) = (self.law?, self.own?);
        if self.served().is_some() {
            return None;
        }
        let now = flops(own.params, own.tokens);
        let compute = now * pow(own.params / law.optimum(now).params, 1.0 / law.exponent());
        self.within(compute)?;
        Some(tidy(law.optimum(compute).tokens))
    }

    /// The learning rate that laws recommend.
    pub(super) fn learning_rate(&self) -> Option<f64> {
        number(self.report, "recipe.learning_rate")
    }

    /// A count of the plan as it is: what stands for `auto`.
    pub(super) fn count(&self, path: &str) -> Option<u64> {
        number(self.report, path).filter(|own| *own >= 1.0).map(|own| own.round() as u64)
    }

    /// How many times as large the best model is: for the plan's compute, or for the same loss over a lifetime of serving.
    pub(super) fn growth(&self) -> Option<f64> {
        let (law, own) = (self.law?, self.own?);
        let compute = flops(own.params, own.tokens);
        self.within(compute)?;
        let best = self.served().unwrap_or_else(|| law.optimum(compute).params);
        Some(best / own.params)
    }

    /// The tokens for a model `factor` times as large: the same compute, or, where it is served for a lifetime, the same
    /// loss.
    pub(super) fn tokens_of(&self, factor: f64) -> Option<u64> {
        let own = self.own?;
        let same = self.served().and_then(|_| {
            let law = self.law?;
            law.tokens_for(own.params * factor, law.loss(own.params, own.tokens))
        });
        Some(tidy(same.unwrap_or(own.tokens / factor)))
    }

    /// The size that costs least over the plan's lifetime, at its loss.
    fn served(&self) -> Option<f64> {
        let paths = ["inference.optimal.by_cost.params", "inference.optimal.params"];
        paths.iter().find_map(|path| number(self.report, path))
    }

    /// The gain of a report over another; `None` where nothing that the law knows has changed, or it does not say.
    pub(super) fn gain(&self, before: &Report, after: &Report) -> Option<f64> {
        let law = self.law?;
        // What the reports say of the loss knows more: repeated tokens, for one.
        let told = |report: &Report| report.get("scaling.loss").and_then(|own| own.value.number());
        let both = told(before).is_some() && told(after).is_some();
        let above = |report: &Report| {
            let standing = standing(self.plan, report)?;
            self.within(flops(standing.params, standing.tokens))?;
            let loss = told(report).filter(|_| both);
            let loss = loss.unwrap_or_else(|| law.loss(standing.params, standing.tokens));
            // What is served is the quantized model.
            let quantized = number(report, QUANTIZED).unwrap_or(0.0);
            Some(loss + quantized - law.e).filter(|above| *above >= LEAST)
        };
        let gain = pow(above(before)? / above(after)?, law.gain_exponent()) * wasted(before) / wasted(after);
        ((gain - 1.0).abs() > 1e-9).then_some(gain)
    }

    /// Refuses compute that is far from the law's own.
    fn within(&self, compute: f64) -> Option<()> {
        let (low, high) = self.plan.law.range.compute;
        let above = high.is_some_and(|high| compute > high * FARTHEST);
        let below = low.is_some_and(|low| compute < low / FARTHEST);
        (!above && !below).then_some(())
    }
}

/// The factor of compute that a learning rate and a batch off the best ones waste.
fn wasted(report: &Report) -> f64 {
    let miss = number(report, MISS).unwrap_or(1.0);
    miss * (1.0 + number(report, EXTRA).unwrap_or(0.0))
}

fn number(report: &Report, path: &str) -> Option<f64> {
    report.get(path)?.value.number()
}

fn standing(plan: &Plan, report: &Report) -> Option<Standing> {
    let number = |path: &str| number(report, path);
    let params = match plan.law.params {
        _ if report.get("scaling.params").is_some() => number("scaling.params")?,
        LawParams::Total => number("model.params")?,
        LawParams::NonEmbedding => {
            let ends = ["model.params.embedding", "model.params.position", "model.params.output"];
            number("model.params")? - ends.into_iter().filter_map(number).sum::<f64>()
        }
        LawParams::FlopsPerToken => return None,
    };
    // Without training the plan says at least how much there is to learn from.
    Some(Standing { params, tokens: number("training.tokens").or_else(|| number("data.tokens"))? })
}
