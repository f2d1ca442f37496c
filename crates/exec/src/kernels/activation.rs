//! The non-linearities of feed-forward networks.

use llmplan_spec::plan::FfnKind;
use rayon::prelude::*;

use super::vector::{LANES, TASK, exp, folded, sigmoid, vectorised};

/// The gradients of an activation.
pub(crate) struct ActivationGradients {
    /// Of the first input.
    pub(crate) up: Vec<f32>,
    /// Of the gate, where there is one.
    pub(crate) gate: Option<Vec<f32>>,
    /// Of the two scalars of xIELU.
    pub(crate) alpha: Option<[f32; 2]>,
}

/// The function of each value; with a gated kind that of the gate, times the value (Shazeer 2020). `gate` is as long as
/// `up` and there where the kind is gated; `alpha` is there with xIELU: for positive values and for the others.
pub(crate) fn activation(
    kind: FfnKind,
    up: &[f32],
    gate: Option<&[f32]>,
    alpha: Option<[f32; 2]>,
) -> Vec<f32> {
    debug_assert!(fits(kind, up, gate, alpha));
    match kind {
        FfnKind::Gelu => plain(Gelu, up),
        FfnKind::Relu => plain(Relu, up),
        FfnKind::Relu2 => plain(Relu2, up),
        FfnKind::Silu => plain(Silu, up),
        FfnKind::Xielu => plain(Xielu::of(alpha.unwrap_or_default()), up),
        FfnKind::Geglu => gated(Gelu, up, gate.unwrap_or_default()),
        FfnKind::Reglu => gated(Relu, up, gate.unwrap_or_default()),
        FfnKind::Swiglu => gated(Silu, up, gate.unwrap_or_default()),
    }
}

/// The gradients, from the inputs and the gradient of the output.
pub(crate) fn activation_backward(
    kind: FfnKind,
    up: &[f32],
    gate: Option<&[f32]>,
    alpha: Option<[f32; 2]>,
    dy: &[f32],
) -> ActivationGradients {
    debug_assert!(fits(kind, up, gate, alpha) && up.len() == dy.len());
    let of = |up| ActivationGradients { up, gate: None, alpha: None };
    let both = |(up, gate)| ActivationGradients { up, gate: Some(gate), alpha: None };
    match kind {
        FfnKind::Gelu => of(plain_backward(Gelu, up, dy)),
        FfnKind::Relu => of(plain_backward(Relu, up, dy)),
        FfnKind::Relu2 => of(plain_backward(Relu2, up, dy)),
        FfnKind::Silu => of(plain_backward(Silu, up, dy)),
        FfnKind::Xielu => {
            let alpha = alpha.unwrap_or_default();
            let up_gradients = plain_backward(Xielu::of(alpha), up, dy);
            ActivationGradients { up: up_gradients, gate: None, alpha: Some(d_alpha(alpha, up, dy)) }
        }
        FfnKind::Geglu => both(gated_backward(Gelu, up, gate.unwrap_or_default(), dy)),
        FfnKind::Reglu => both(gated_backward(Relu, up, gate.unwrap_or_default(), dy)),
        FfnKind::Swiglu => both(gated_backward(Silu, up, gate.unwrap_or_default(), dy)),
    }
}

/// Whether a kind has what it needs, and no more.
fn fits(kind: FfnKind, up: &[f32], gate: Option<&[f32]>, alpha: Option<[f32; 2]>) -> bool {
    kind.gated() == gate.is_some()
        && gate.is_none_or(|gate| gate.len() == up.len())
        && (kind == FfnKind::Xielu) == alpha.is_some()
}

/// A function without branches.
pub(super) trait Curve: Copy + Sync {
    /// Its value, and its derivative.
    fn at(self, x: f32) -> (f32, f32);
}

/// The approximation by tanh that GPT-2 uses (Hendrycks 2016): half of one plus tanh u is the logistic function of 2u.
#[derive(Clone, Copy)]
struct Gelu;

impl Curve for Gelu {
    #[inline(always)]
    fn at(self, x: f32) -> (f32, f32) {
        // 2·√(2/π), and that times 0.044715.
        const LINEAR: f32 = 1.595_769;
        const CUBIC: f32 = 0.071_354_814;
        let square = x * x;
        let s = sigmoid(x * (LINEAR + CUBIC * square));
        (x * s, s + x * (s * (1.0 - s)) * (LINEAR + 3.0 * CUBIC * square))
    }
}

#[derive(Clone, Copy)]
struct Relu;

impl Curve for Relu {
    #[inline(always)]
    fn at(self, x: f32) -> (f32, f32) {
        // What is compared keeps NaN.
        (if x < 0.0 { 0.0 } else { x }, if x > 0.0 { 1.0 } else { 0.0 })
    }
}

/// The square of ReLU (So 2021).
#[derive(Clone, Copy)]
struct Relu2;

impl Curve for Relu2 {
    #[inline(always)]
    fn at(self, x: f32) -> (f32, f32) {
        let positive = if x < 0.0 { 0.0 } else { x };
        (positive * positive, 2.0 * positive)
    }
}

/// x · σ(x) (Hendrycks 2016).
#[derive(Clone, Copy)]
pub(super) struct Silu;

impl Curve for Silu {
    #[inline(always)]
    fn at(self, x: f32) -> (f32, f32) {
        let s = sigmoid(x);
        (x * s, s * (1.0 + x * (1.0 - s)))
    }
}

/// The logistic function.
#[derive(Clone, Copy)]
pub(super) struct Sigmoid;

impl Curve for Sigmoid {
    #[inline(always)]
    fn at(self, x: f32) -> (f32, f32) {
        let s = sigmoid(x);
        (s, s * (1.0 - s))
    }
}

/// The expanded integral of ELU, β = 0.5 (Huang 2024, eq. 6), with the factors of the square and of eˣ - 1 - x.
#[derive(Clone, Copy)]
struct Xielu {
    positive: f32,
    negative: f32,
}

impl Xielu {
    fn of([positive, negative]: [f32; 2]) -> Xielu {
        let softplus = |value: f32| if value > 20.0 { value } else { value.exp().ln_1p() };
        Xielu { positive: softplus(positive), negative: 0.5 + softplus(negative) }
    }
}

impl Curve for Xielu {
    #[inline(always)]
    fn at(self, x: f32) -> (f32, f32) {
        let bend = bend(x);
        let (value, slope) = if x > 0.0 {
            (self.positive * (x * x), 2.0 * self.positive * x)
        } else {
            (self.negative * bend, self.negative * (bend + x))
        };
        (value + 0.5 * x, slope + 0.5)
    }
}

/// eˣ - 1 - x for x up to 0: near it as a series, because the difference would be all rounding.
#[inline(always)]
fn bend(x: f32) -> f32 {
    let mut series = 1.0 / 3_628_800.0;
    for divisor in [362_880.0, 40_320.0, 5_040.0, 720.0, 120.0, 24.0, 6.0, 2.0] {
        series = series * x + 1.0 / divisor;
    }
    if x > -1.0 { series * (x * x) } else { exp(x) - 1.0 - x }
}

fn plain(curve: impl Curve, x: &[f32]) -> Vec<f32> {
    #[inline(always)]
    fn run(curve: impl Curve, y: &mut [f32], x: &[f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = curve.at(*x).0;
        }
    }
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(y, x)| vectorised!(run(curve, y, x)));
    y
}

fn plain_backward(curve: impl Curve, x: &[f32], dy: &[f32]) -> Vec<f32> {
    #[inline(always)]
    fn run(curve: impl Curve, dx: &mut [f32], x: &[f32], dy: &[f32]) {
        for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
            *dx = dy * curve.at(*x).1;
        }
    }
    let mut dx = vec![0.0; x.len()];
    dx.par_chunks_mut(TASK)
        .zip(x.par_chunks(TASK))
        .zip(dy.par_chunks(TASK))
        .for_each(|((dx, x), dy)| vectorised!(run(curve, dx, x, dy)));
    dx
}

/// Values times the curve of their gates.
pub(super) fn gated(curve: impl Curve, up: &[f32], gate: &[f32]) -> Vec<f32> {
    #[inline(always)]
    fn run(curve: impl Curve, y: &mut [f32], up: &[f32], gate: &[f32]) {
        for ((y, up), gate) in y.iter_mut().zip(up).zip(gate) {
            *y = up * curve.at(*gate).0;
        }
    }
    let mut y = vec![0.0; up.len()];
    y.par_chunks_mut(TASK)
        .zip(up.par_chunks(TASK))
        .zip(gate.par_chunks(TASK))
        .for_each(|((y, up), gate)| vectorised!(run(curve, y, up, gate)));
    y
}

/// The gradients of values and gates.
pub(super) fn gated_backward(
    curve: impl Curve,
    up: &[f32],
    gate: &[f32],
    dy: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    #[inline(always)]
    fn run(curve: impl Curve, d_up: &mut [f32], d_gate: &mut [f32], up: &[f32], gate: &[f32], dy: &[f32]) {
        for ((((d_up, d_gate), up), gate), dy) in d_up.iter_mut().zip(d_gate).zip(up).zip(gate).zip(dy) {
            let (value, slope) = curve.at(*gate);
            *d_up = dy * value;
            *d_gate = dy * up * slope;
        }
    }
    let (mut d_up, mut d_gate) = (vec![0.0; up.len()], vec![0.0; up.len()]);
    d_up.par_chunks_mut(TASK)
        .zip(d_gate.par_chunks_mut(TASK))
        .zip(up.par_chunks(TASK).zip(gate.par_chunks(TASK)).zip(dy.par_chunks(TASK)))
        .for_each(|((d_up, d_gate), ((up, gate), dy))| vectorised!(run(curve, d_up, d_gate, up, gate, dy)));
    (d_up, d_gate)
}

/// The gradients of the two scalars of xIELU.
fn d_alpha(alpha: [f32; 2], x: &[f32], dy: &[f32]) -> [f32; 2] {
    #[inline(always)]
    fn run(x: &[f32], dy: &[f32]) -> [f32; 2] {
        let (mut positive, mut negative) = ([0.0; LANES], [0.0; LANES]);
        for (x, dy) in x.chunks(LANES).zip(dy.chunks(LANES)) {
            for (((positive, negative), x), dy) in positive.iter_mut().zip(&mut negative).zip(x).zip(dy) {
                *positive += if *x > 0.0 { dy * (x * x) } else { 0.0 };
                *negative += if *x > 0.0 { 0.0 } else { dy * bend(*x) };
            }
        }
        [folded(positive), folded(negative)]
    }
    let parts: Vec<[f32; 2]> =
        x.par_chunks(TASK).zip(dy.par_chunks(TASK)).map(|(x, dy)| vectorised!(run(x, dy))).collect();
    let total = parts.iter().fold([0.0; 2], |sums, part| [sums[0] + part[0], sums[1] + part[1]]);
    // The derivative of softplus.
    let slope = |value: f32| 1.0 / (1.0 + (-value).exp());
    [total[0] * slope(alpha[0]), total[1] * slope(alpha[1])]
}
