//! How sure a law is of itself, and how far laws are apart.

use libm::sqrt;
use llmplan_spec::plan::Law;

use super::Parametric;
use super::laws::{optimum, parametric};

/// Standard normal quantile of 97.5%.
const TWO_SIDED_95: f64 = 1.959_963_984_540_054;

/// Half of the 95% interval of a function of a law's constants, by the delta method: 1.96·√(gᵀΣg), g its gradient by
/// ln A, ln B, E, α and β. `None` where the law has no covariance.
///
/// The interval is symmetric about the function: of ln N*, it is symmetric in the logarithm.
pub fn half_width(law: &Law, of: impl Fn(&Parametric) -> f64) -> Option<f64> {
    const STEP: f64 = 1e-5;
    let covariance = law.covariance?;
    let own = parametric(law)?;
    let at = |which: usize, step: f64| {
        let mut moved = own;
        match which {
            0 => moved.a *= libm::exp(step),
            1 => moved.b *= libm::exp(step),
            2 => moved.e += step,
            3 => moved.alpha += step,
            _ => moved.beta += step,
        }
        // A is of 6N where a law counts FLOPs per token: its α moves that factor too, by less than is shown.
        of(&moved)
    };
    let gradient: Vec<f64> =
        (0..5).map(|which| (at(which, STEP) - at(which, -STEP)) / (2.0 * STEP)).collect();
    let mut variance = 0.0;
    for (row, left) in gradient.iter().enumerate() {
        for (column, right) in gradient.iter().enumerate().take(row + 1) {
            let entry = covariance.get(row * (row + 1) / 2 + column)?;
            let times = if row == column { 1.0 } else { 2.0 };
            variance += times * entry * left * right;
        }
    }
    (variance >= 0.0 && variance.is_finite()).then(|| TWO_SIDED_95 * sqrt(variance))
}

/// What each law makes of an amount of compute in FLOP: its name, N* and D*, by N*. Each counts N in its own way.
pub fn band(laws: &[Law], compute: f64) -> Vec<(&str, f64, f64)> {
    let divided = laws.iter().filter_map(|law| {
        let found = optimum(law, compute)?;
        Some((law.name.as_str(), found.params, found.tokens))
    });
    let mut found: Vec<(&str, f64, f64)> = divided.collect();
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    found
}
