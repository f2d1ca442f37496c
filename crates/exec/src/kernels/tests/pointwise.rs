//! Activations and gates.

use llmplan_spec::plan::FfnKind;

use super::{TASK, close, is_gradient, numbers, same_on_any_threads, wide};
use crate::kernels::activation::{ActivationGradients, activation, activation_backward};
use crate::kernels::gate::{gate, gate_backward};

const KINDS: [FfnKind; 8] = [
    FfnKind::Gelu,
    FfnKind::Relu,
    FfnKind::Relu2,
    FfnKind::Silu,
    FfnKind::Xielu,
    FfnKind::Swiglu,
    FfnKind::Geglu,
    FfnKind::Reglu,
];

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The activation as papers write it.
fn formula(kind: FfnKind, up: &[f64], gate: &[f64], alpha: &[f64]) -> Vec<f64> {
    let relu = |x: f64| x.max(0.0);
    let gelu = |x: f64| {
        let root = (2.0 / std::f64::consts::PI).sqrt();
        0.5 * x * (1.0 + (root * (x + 0.044715 * x.powi(3))).tanh())
    };
    let silu = |x: f64| x * logistic(x);
    let xielu = |x: f64| {
        let softplus = |a: f64| a.exp().ln_1p();
        match x > 0.0 {
            true => softplus(alpha[0]) * x * x + 0.5 * x,
            false => (0.5 + softplus(alpha[1])) * (x.exp_m1() - x) + 0.5 * x,
        }
    };
    let plain = |function: &dyn Fn(f64) -> f64| up.iter().map(|x| function(*x)).collect();
    let gated = |function: &dyn Fn(f64) -> f64| up.iter().zip(gate).map(|(x, g)| x * function(*g)).collect();
    match kind {
        FfnKind::Gelu => plain(&gelu),
        FfnKind::Relu => plain(&relu),
        FfnKind::Relu2 => plain(&|x| relu(x).powi(2)),
        FfnKind::Silu => plain(&silu),
        FfnKind::Xielu => plain(&xielu),
        FfnKind::Geglu => gated(&gelu),
        FfnKind::Reglu => gated(&relu),
        FfnKind::Swiglu => gated(&silu),
    }
}

/// Inputs up to ±20, where functions are flat, and the scalars where there are some.
fn inputs(kind: FfnKind, count: usize) -> (Vec<f32>, Option<Vec<f32>>, Option<[f32; 2]>) {
    let far = |seed| {
        numbers(count, seed).into_iter().enumerate().map(|(at, x)| if at % 5 == 0 { x * 10.0 } else { x })
    };
    let gate = kind.gated().then(|| far(2).collect());
    (far(1).collect(), gate, (kind == FfnKind::Xielu).then_some([0.3, -0.8]))
}

#[test]
fn activations_are_what_papers_say() {
    for kind in KINDS {
        let (up, gate, alpha) = inputs(kind, 103);
        let (gates, alphas) = (wide(gate.as_deref().unwrap_or(&[])), wide(&alpha.unwrap_or_default()));
        close(&activation(kind, &up, gate.as_deref(), alpha), &formula(kind, &wide(&up), &gates, &alphas));
    }
}

#[test]
fn gradients_of_activations_are_their_slopes() {
    for kind in KINDS {
        let (up, gate, alpha) = inputs(kind, 103);
        let dy = numbers(up.len(), 3);
        let gradients = activation_backward(kind, &up, gate.as_deref(), alpha, &dy);
        let (ups, gates) = (wide(&up), wide(gate.as_deref().unwrap_or(&[])));
        let alphas = wide(&alpha.unwrap_or_default());
        is_gradient(&gradients.up, &up, &dy, |up| formula(kind, up, &gates, &alphas));
        assert_eq!((gradients.gate.is_some(), gradients.alpha.is_some()), (kind.gated(), alpha.is_some()));
        if let (Some(got), Some(gate)) = (gradients.gate, gate) {
            is_gradient(&got, &gate, &dy, |gate| formula(kind, &ups, gate, &alphas));
        }
        if let (Some(got), Some(alpha)) = (gradients.alpha, alpha) {
            is_gradient(&got, &alpha, &dy, |alpha| formula(kind, &ups, &gates, alpha));
        }
    }
}

/// Near zero the difference eˣ - 1 - x would be all rounding.
#[test]
fn xielu_is_smooth_at_zero() {
    for x in [-1e-1_f32, -1e-2, -1e-3, -1e-4] {
        let slope = activation_backward(FfnKind::Xielu, &[x], None, Some([0.0; 2]), &[1.0]).up[0];
        let factor = 0.5 + 2_f64.ln();
        let expected = factor * f64::from(x).exp_m1();
        assert!((f64::from(slope - 0.5) / expected - 1.0).abs() < 1e-3, "{slope} at {x}");
    }
}

#[test]
fn nan_stays_nan() {
    for kind in KINDS {
        let gate = kind.gated().then_some([f32::NAN]);
        let alpha = (kind == FfnKind::Xielu).then_some([0.0; 2]);
        let up = if kind.gated() { 1.0 } else { f32::NAN };
        let y = activation(kind, &[up], gate.as_ref().map(<[f32; 1]>::as_slice), alpha);
        assert!(y[0].is_nan(), "{kind:?}");
    }
}

#[test]
fn gates_serve_one_value_or_several() {
    for (served, silu) in [(1, false), (1, true), (7, false), (7, true), (19, true)] {
        let formula = |x: &[f64], g: &[f64]| -> Vec<f64> {
            let factor = |g: f64| if silu { g * logistic(g) } else { logistic(g) };
            x.iter().enumerate().map(|(at, x)| x * factor(g[at / served])).collect()
        };
        let (x, g) = (numbers(11 * served, 1), numbers(11, 2));
        let dy = numbers(x.len(), 3);
        close(&gate(&x, &g, served, silu), &formula(&wide(&x), &wide(&g)));
        let (dx, dg) = gate_backward(&x, &g, served, silu, &dy);
        is_gradient(&dx, &x, &dy, |x| formula(x, &wide(&g)));
        is_gradient(&dg, &g, &dy, |g| formula(&wide(&x), g));
    }
}

#[test]
fn threads_do_not_change_bits() {
    let count = 3 * TASK + 35;
    for kind in KINDS {
        let (up, gate, alpha) = inputs(kind, count);
        let dy = numbers(count, 3);
        same_on_any_threads(|| activation(kind, &up, gate.as_deref(), alpha));
        same_on_any_threads(|| {
            let all: ActivationGradients = activation_backward(kind, &up, gate.as_deref(), alpha, &dy);
            [all.up, all.gate.unwrap_or_default(), all.alpha.unwrap_or_default().to_vec()].concat()
        });
    }
    let (x, g) = (numbers(count, 1), numbers(count / 7, 2));
    let x = &x[..g.len() * 7];
    same_on_any_threads(|| gate(x, &g, 7, true));
    same_on_any_threads(|| {
        let (dx, dg) = gate_backward(x, &g, 7, false, x);
        [dx, dg].concat()
    });
}
