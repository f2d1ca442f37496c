//! The rules of update and their constants.

use llmplan_spec::plan::Optimizer;

/// The rules that are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Plain stochastic gradient descent.
    Sgd,
    /// SGD with momentum.
    Momentum,
    /// Adam.
    Adam,
    /// Adam with decoupled weight decay.
    Adamw,
    /// Adam with both moments in 8 bits.
    Adam8bit,
}

impl Kind {
    /// The rule of a plan's optimizer; `None` where it is not run.
    pub fn of(optimizer: Optimizer) -> Option<Kind> {
        Some(match optimizer {
            Optimizer::Sgd => Kind::Sgd,
            Optimizer::Momentum => Kind::Momentum,
            Optimizer::Adam => Kind::Adam,
            Optimizer::Adamw => Kind::Adamw,
            Optimizer::Adam8bit => Kind::Adam8bit,
            Optimizer::Adafactor
            | Optimizer::Lion
            | Optimizer::Muon
            | Optimizer::Shampoo
            | Optimizer::Soap => {
                return None;
            }
        })
    }
}

impl From<Kind> for Optimizer {
    fn from(kind: Kind) -> Optimizer {
        match kind {
            Kind::Sgd => Optimizer::Sgd,
            Kind::Momentum => Optimizer::Momentum,
            Kind::Adam => Optimizer::Adam,
            Kind::Adamw => Optimizer::Adamw,
            Kind::Adam8bit => Optimizer::Adam8bit,
        }
    }
}

/// How a weight follows its gradient.
///
/// With g the gradient, w the weight, λ the weight decay, η the learning rate and t the tensor's own count of steps from 1:
///
/// - SGD: w ← w − η·g.
/// - Momentum (Polyak 1964, as PyTorch writes it): m ← μ·m + g, w ← w − η·m.
/// - Adam (Kingma 2015, Algorithm 1): m ← β₁·m + (1−β₁)·g, v ← β₂·v + (1−β₂)·g²,
///   w ← w − η·m̂/(√v̂ + ε), where m̂ = m/(1−β₁ᵗ) and v̂ = v/(1−β₂ᵗ).
/// - AdamW (Loshchilov 2019, Algorithm 2, with λ times η as PyTorch has it): w ← (1 − η·λ)·w, then as Adam.
/// - Adam in 8 bits (Dettmers 2021 §2): as AdamW in fp32, with both moments in int8 between the steps.
///
/// SGD, momentum and Adam add λ·w to the gradient instead, which is L2 regularization.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Which of the rules.
    pub kind: Kind,
    /// η: the size of a step.
    pub learning_rate: f64,
    /// β₁ and β₂: how much of the first and the second moment stays, in 0..1.
    pub betas: (f64, f64),
    /// ε: keeps a step finite where the second moment is nought.
    pub epsilon: f64,
    /// λ: what pulls weights towards nought.
    pub weight_decay: f64,
    /// μ: how much of the velocity stays, in 0..1. Momentum alone reads it.
    pub momentum: f64,
    /// Values that share one scale in an 8-bit optimizer.
    pub block: usize,
}

impl Rule {
    /// The usual constants: η is 10⁻², and 10⁻³ for the kinds of Adam; β₁ = 0.9, β₂ = 0.999 and ε = 10⁻⁸ (Kingma 2015,
    /// Algorithm 1); μ = 0.9; λ is 10⁻² for AdamW, as in PyTorch, and 0 for all others.
    pub fn of(kind: Kind, block: usize) -> Rule {
        let adaptive = matches!(kind, Kind::Adam | Kind::Adamw | Kind::Adam8bit);
        Rule {
            kind,
            learning_rate: if adaptive { 1e-3 } else { 1e-2 },
            betas: (0.9, 0.999),
            epsilon: 1e-8,
            weight_decay: if kind == Kind::Adamw { 1e-2 } else { 0.0 },
            momentum: 0.9,
            block,
        }
    }

    /// The constants of a tensor's step number `step`, from 1, with gradients that are `divisor` times too large.
    pub(super) fn at(&self, step: u64, divisor: f64) -> Constants {
        let decoupled = matches!(self.kind, Kind::Adamw | Kind::Adam8bit);
        let exponent = i32::try_from(step).unwrap_or(i32::MAX);
        let correction = |beta: f64| 1.0 - beta.powi(exponent);
        let (first, second) = self.betas;
        let rate = match self.kind {
            Kind::Sgd | Kind::Momentum => self.learning_rate,
            Kind::Adam | Kind::Adamw | Kind::Adam8bit => self.learning_rate / correction(first),
        };
        Constants {
            unscale: (1.0 / divisor) as f32,
            penalty: if decoupled { 0.0 } else { self.weight_decay as f32 },
            keep: if decoupled { (1.0 - self.learning_rate * self.weight_decay) as f32 } else { 1.0 },
            rate: rate as f32,
            momentum: self.momentum as f32,
            first: (first as f32, (1.0 - first) as f32),
            second: (second as f32, (1.0 - second) as f32),
            root: (1.0 / correction(second).sqrt()) as f32,
            epsilon: self.epsilon as f32,
            dither: dither(step),
        }
    }
}

/// What one step multiplies with. The exact numbers are formed in f64; a step is taken in f32.
#[derive(Clone, Copy, Debug)]
pub(super) struct Constants {
    /// What gradients are multiplied with first.
    pub(super) unscale: f32,
    /// λ where it is added to the gradient.
    pub(super) penalty: f32,
    /// What the weight is multiplied with: 1 − η·λ where decay is decoupled.
    pub(super) keep: f32,
    /// η, over 1 − β₁ᵗ for the kinds of Adam.
    pub(super) rate: f32,
    /// μ.
    pub(super) momentum: f32,
    /// β₁ and 1 − β₁.
    pub(super) first: (f32, f32),
    /// β₂ and 1 − β₂.
    pub(super) second: (f32, f32),
    /// 1/√(1 − β₂ᵗ).
    pub(super) root: f32,
    /// ε.
    pub(super) epsilon: f32,
    /// What is added before a code is rounded down, in 0..1.
    pub(super) dither: f32,
}

/// The multiples of the golden ratio modulo 1: of any run of them, the share below x is close to x.
fn dither(step: u64) -> f32 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    // Below one also once rounded to f32.
    ((step as f64 * GOLDEN).fract() as f32).min(0.999_999)
}
