//! One law applied: its loss, its optimum for a compute, the compute for a loss. N is so counted that C = 6ND.

use libm::pow;
use llmplan_spec::plan::{Allocation, Law, LawForm, LawParams};

use super::{Optimum, Parametric, flops};

/// How a law divides an amount of compute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Division {
    /// N*, in what the law counts as parameters; for a law in FLOPs per token, a sixth of them.
    pub params: f64,
    /// D*, in tokens.
    pub tokens: f64,
    /// L*, in nats per token of the law's tokenizer; `None` where the law has no loss.
    pub loss: Option<f64>,
}

/// The law in the form of Hoffmann 2022, with N so counted that C = 6ND; `None` where it has another form.
pub fn parametric(law: &Law) -> Option<Parametric> {
    match law.form {
        LawForm::Parametric { e, a, b, alpha, beta } => {
            // (6N)^-α = 6^-α · N^-α
            let a = a * pow(per_param(law), -alpha);
            Some(Parametric { e, a, b, alpha, beta })
        }
        LawForm::Kaplan { .. } | LawForm::Allocation => None,
    }
}

/// What the law says that `params` parameters reach after `tokens` tokens, in nats per token; `None` where it has no loss.
pub fn loss(law: &Law, params: f64, tokens: f64) -> Option<f64> {
    match law.form {
        LawForm::Parametric { .. } => Some(parametric(law)?.loss(params, tokens)),
        LawForm::Kaplan { a, b, alpha, beta } => {
            let size = pow(a / (per_param(law) * params), alpha / beta);
            Some(pow(size + b / tokens, beta))
        }
        LawForm::Allocation => None,
    }
}

/// N* and D* for an amount of compute in FLOP: as the law declares them, else where its loss is lowest at C = 6ND.
pub fn optimum(law: &Law, compute: f64) -> Option<Division> {
    if let Some(Allocation { n_coefficient, n_exponent, d_coefficient, d_exponent }) = law.allocation {
        let params = n_coefficient * pow(compute, n_exponent) / per_param(law);
        let tokens = d_coefficient * pow(compute, d_exponent);
        return Some(Division { params, tokens, loss: loss(law, params, tokens) });
    }
    match law.form {
        LawForm::Parametric { .. } => {
            let Optimum { params, tokens, loss } = parametric(law)?.optimum(compute);
            Some(Division { params, tokens, loss: Some(loss) })
        }
        // The bottom of (a/N)^p + 6bN/C, p = α/β, is where p·(a/N)^p = 6bN/C.
        LawForm::Kaplan { a, b, alpha, beta } => {
            let power = alpha / beta;
            let above = power * pow(a / per_param(law), power) * compute / flops(1.0, b);
            let params = pow(above, 1.0 / (1.0 + power));
            let tokens = compute / flops(params, 1.0);
            Some(Division { params, tokens, loss: loss(law, params, tokens) })
        }
        LawForm::Allocation => None,
    }
}

/// The power by which what is above the floor of a law turns into compute: 1/g = 1/α + 1/β, for both forms. `None` where
/// the law's N* and D* are declared: they need not be the optimum of its loss.
pub fn gain_exponent(law: &Law) -> Option<f64> {
    match (law.allocation, law.form) {
        (None, LawForm::Parametric { alpha, beta, .. } | LawForm::Kaplan { alpha, beta, .. }) => {
            Some(1.0 / alpha + 1.0 / beta)
        }
        _ => None,
    }
}

/// The loss that no model gets below, in nats per token; 0 for Kaplan's form.
pub fn floor(law: &Law) -> f64 {
    match law.form {
        LawForm::Parametric { e, .. } => e,
        LawForm::Kaplan { .. } | LawForm::Allocation => 0.0,
    }
}

/// The least compute in FLOP that reaches a loss: C · (r*/r)^(1/g), with r* and r what L* at C and the loss are above the
/// floor. `None` where the law does not say, or nothing reaches it.
pub fn compute_for(law: &Law, loss: f64) -> Option<f64> {
    const ANY: f64 = 1e21;
    let power = gain_exponent(law)?;
    let left = loss - floor(law);
    let own = optimum(law, ANY)?.loss? - floor(law);
    let compute = ANY * pow(own / left, power);
    (left > 0.0 && compute.is_finite() && compute > 0.0).then_some(compute)
}

/// The parameters that `tokens` tokens are the optimum for: N*(C) of the C with D*(C) = `tokens`. It stands for the
/// parameters that distinct tokens are best used with (Muennighoff 2023 §3.1).
pub fn params_for(law: &Law, tokens: f64) -> Option<f64> {
    if let Some(Allocation { n_coefficient, n_exponent, d_coefficient, d_exponent }) = law.allocation {
        let compute = pow(tokens / d_coefficient, 1.0 / d_exponent);
        return Some(n_coefficient * pow(compute, n_exponent) / per_param(law));
    }
    match law.form {
        // α·A/N^α = β·B/D^β
        LawForm::Parametric { b, alpha, beta, .. } => {
            let a = parametric(law)?.a;
            Some(pow(alpha * a * pow(tokens, beta) / (beta * b), 1.0 / alpha))
        }
        // p·(a/N)^p = b/D
        LawForm::Kaplan { a, b, alpha, beta } => {
            let power = alpha / beta;
            Some(a / per_param(law) * pow(power * tokens / b, 1.0 / power))
        }
        LawForm::Allocation => None,
    }
}

/// What a law counts for one parameter.
fn per_param(law: &Law) -> f64 {
    match law.params {
        LawParams::Total | LawParams::NonEmbedding => 1.0,
        LawParams::FlopsPerToken => 6.0,
    }
}
