//! What storing weights in few bits costs of quality, by the precision law.

use llmplan_spec::plan::{Inference, LawForm, LawParams, Plan};

use crate::quantities::Quantities;
use crate::report::Value;

/// C_T, the powers of tokens and parameters, and γ of Kumar 2024's law of quantization after training. Read second-hand.
const COEFFICIENT: f64 = 0.0598;
const TOKENS: f64 = 0.5068;
const PARAMS: f64 = 0.3439;
const DECAY: f64 = 0.5907;

/// Below this share of the reducible loss the risk is low, and from [`HIGH`] on it is high. 1 % of it is worth 6 % of
/// compute, 10 % nearly half of it.
const MEDIUM: f64 = 0.01;
const HIGH: f64 = 0.10;

const LAW: &str = "Kumar 2024, law of quantization after training; its constants are second-hand, from integers rounded \
                   to nearest in models of at most 1.7B: what to watch, no forecast";

/// The loss that quantizing weights adds, and how much that is of what training has yet to gain.
pub(super) fn risk(q: &mut Quantities<'_>, own: &Inference) {
    let bits = own.weights.bits();
    if q.plan.data.is_none() || adapters(q.plan) {
        return;
    }
    let paths = ["quantization_loss", "quantization_share", "quantization_risk"];
    q.assumed.extend(paths.map(|path| format!("inference.{path}")));
    q.derive(
        "inference.quantization_loss",
        &format!("{COEFFICIENT} * data.tokens^{TOKENS} / model.params^{PARAMS} * exp(-{bits} / {DECAY})"),
        LAW,
    );
    let law = &q.plan.law;
    let Some(n) = law_params(q) else { return };
    let LawForm::Parametric { a, b, alpha, beta, .. } = law.form else { return };
    let source = format!("of what the loss is above E under {}", law.name);
    let formula = format!("inference.quantization_loss / ({a} / {n}^{alpha} + {b} / data.tokens^{beta})");
    // Constants that no runs give may leave nothing above E that a float holds.
    if !q.comes_out(&formula) {
        return;
    }
    q.derive("inference.quantization_share", &formula, &source);
    let Some(share) = q.number("inference.quantization_share") else { return };
    let inputs = ["inference.quantization_share"];
    let name = "low below 1 % of the reducible loss, medium below 10 %, else high";
    q.modelled("inference.quantization_risk", Value::Text(word(share).to_owned()), name, &inputs, LAW);
}

/// What the plan's law counts as parameters, whatever `convention.params` says: of experts those that a token is routed to.
/// `None` where it counts FLOPs.
pub(super) fn law_params(q: &Quantities<'_>) -> Option<&'static str> {
    let sparse = q.get("model.params.active_experts").is_some();
    match (q.plan.law.params, sparse) {
        (LawParams::Total, false) => Some("model.params"),
        (LawParams::Total, true) => Some("model.active_params"),
        (LawParams::NonEmbedding, false) => Some("model.non_embedding_params"),
        (LawParams::NonEmbedding, true) => Some("model.active_non_embedding_params"),
        (LawParams::FlopsPerToken, _) => None,
    }
}

/// Whether only adapters are trained: the plan's tokens are then not those that the model was trained on, and no law of
/// pretraining applies.
pub(super) fn adapters(plan: &Plan) -> bool {
    plan.training.as_ref().is_some_and(|training| training.lora.is_some())
}

fn word(share: f64) -> &'static str {
    match share {
        share if share < MEDIUM => "low",
        share if share < HIGH => "medium",
        _ => "high",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_follow_the_share() {
        assert_eq!(
            [0.0, 0.009, 0.01, 0.099, 0.1, 2.0].map(word),
            ["low", "low", "medium", "medium", "high", "high"]
        );
    }
}
