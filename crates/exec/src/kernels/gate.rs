//! Gates: values times the logistic function or SiLU of others.

use rayon::prelude::*;

use super::activation::{Curve, Sigmoid, Silu, gated, gated_backward};
use super::vector::{dot, rows_per_task, vectorised};

/// Each value times σ(g), or g·σ(g) with `silu`; a value of `g` serves `served` consecutive ones of `x`.
pub(crate) fn gate(x: &[f32], g: &[f32], served: usize, silu: bool) -> Vec<f32> {
    debug_assert_eq!(x.len(), g.len() * served);
    match (served, silu) {
        (1, true) => gated(Silu, x, g),
        (1, false) => gated(Sigmoid, x, g),
        (_, true) => shared(Silu, x, g, served),
        (_, false) => shared(Sigmoid, x, g, served),
    }
}

/// The gradients of `x` and `g`, from both and the gradient of the output.
pub(crate) fn gate_backward(
    x: &[f32],
    g: &[f32],
    served: usize,
    silu: bool,
    dy: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    debug_assert!(x.len() == g.len() * served && x.len() == dy.len());
    match (served, silu) {
        (1, true) => gated_backward(Silu, x, g, dy),
        (1, false) => gated_backward(Sigmoid, x, g, dy),
        (_, true) => shared_backward(Silu, x, g, served, dy),
        (_, false) => shared_backward(Sigmoid, x, g, served, dy),
    }
}

fn shared(curve: impl Curve, x: &[f32], g: &[f32], served: usize) -> Vec<f32> {
    #[inline(always)]
    fn run(curve: impl Curve, y: &mut [f32], x: &[f32], g: &[f32], served: usize) {
        for ((y, x), g) in y.chunks_exact_mut(served).zip(x.chunks_exact(served)).zip(g) {
            let factor = curve.at(*g).0;
            y.iter_mut().zip(x).for_each(|(y, x)| *y = x * factor);
        }
    }
    let mut y = vec![0.0; x.len()];
    if served == 0 {
        return y;
    }
    let groups = rows_per_task(served);
    y.par_chunks_mut(groups * served)
        .zip(x.par_chunks(groups * served))
        .zip(g.par_chunks(groups))
        .for_each(|((y, x), g)| vectorised!(run(curve, y, x, g, served)));
    y
}

fn shared_backward(
    curve: impl Curve,
    x: &[f32],
    g: &[f32],
    served: usize,
    dy: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    #[inline(always)]
    fn run(curve: impl Curve, dx: &mut [f32], dg: &mut [f32], x: &[f32], g: &[f32], dy: &[f32]) {
        let served = x.len() / g.len();
        let groups = dx.chunks_exact_mut(served).zip(x.chunks_exact(served)).zip(dy.chunks_exact(served));
        for ((((dx, x), dy), dg), g) in groups.zip(dg).zip(g) {
            let (factor, slope) = curve.at(*g);
            dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = dy * factor);
            *dg = slope * dot(x, dy);
        }
    }
    let (mut dx, mut dg) = (vec![0.0; x.len()], vec![0.0; g.len()]);
    if served == 0 {
        return (dx, dg);
    }
    let groups = rows_per_task(served);
    dx.par_chunks_mut(groups * served)
        .zip(dg.par_chunks_mut(groups))
        .zip(x.par_chunks(groups * served).zip(g.par_chunks(groups)).zip(dy.par_chunks(groups * served)))
        .for_each(|((dx, dg), ((x, g), dy))| vectorised!(run(curve, dx, dg, x, g, dy)));
    (dx, dg)
}
