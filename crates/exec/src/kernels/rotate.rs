//! Rotary positions (Su 2021 §3.2), over adjacent pairs.

use rayon::prelude::*;

use super::vector::{rows_per_task, vectorised};

/// The angles of `tokens` positions for `rope` rotated values, as cosines and sines.
pub(crate) struct Rotations {
    /// Positions.
    tokens: usize,
    /// Rotated values of a head: two per angle.
    rope: usize,
    /// Tokens × rope/2.
    cosines: Vec<f32>,
    /// Likewise.
    sines: Vec<f32>,
}

impl Rotations {
    /// Makes the tables; an odd last value is not rotated. The base is 10,000.
    pub(crate) fn of(tokens: usize, rope: usize) -> Rotations {
        let pairs = rope / 2;
        let angle = |at: usize| {
            let (position, pair) = (at / pairs, at % pairs);
            position as f64 * 10_000_f64.powf(-2.0 * pair as f64 / rope as f64)
        };
        let table =
            |function: fn(f64) -> f64| (0..tokens * pairs).map(|at| function(angle(at)) as f32).collect();
        Rotations { tokens, rope, cosines: table(f64::cos), sines: table(f64::sin) }
    }
}

/// Which values of a row are rotated.
#[derive(Clone, Copy)]
pub(crate) struct Turned {
    /// Values of a row, which is a token's: whole heads.
    pub(crate) width: usize,
    /// Values of a head.
    pub(crate) head: usize,
    /// How many of a head's values stand before those that are rotated.
    pub(crate) offset: usize,
}

/// Rotates each head of each row by its position, which is the row modulo the tokens of the tables; `inverse` turns
/// back, which is the gradient.
pub(crate) fn rotate(x: &[f32], what: Turned, by: &Rotations, inverse: bool) -> Vec<f32> {
    debug_assert!(what.offset + by.rope <= what.head && what.width.is_multiple_of(what.head));
    debug_assert!(x.is_empty() || by.tokens > 0 && x.len().is_multiple_of(what.width));
    let mut y = vec![0.0; x.len()];
    if x.is_empty() {
        return y;
    }
    let rows = rows_per_task(what.width);
    y.par_chunks_mut(rows * what.width).zip(x.par_chunks(rows * what.width)).enumerate().for_each(
        |(task, (y, x))| {
            if inverse {
                vectorised!(backward(y, x, task * rows, what, by));
            } else {
                vectorised!(forward(y, x, task * rows, what, by));
            }
        },
    );
    y
}

#[inline(always)]
fn forward(y: &mut [f32], x: &[f32], first: usize, what: Turned, by: &Rotations) {
    turn::<false>(y, x, first, what, by);
}

#[inline(always)]
fn backward(y: &mut [f32], x: &[f32], first: usize, what: Turned, by: &Rotations) {
    turn::<true>(y, x, first, what, by);
}

/// Rows, the first of them at `first`.
#[inline(always)]
fn turn<const INVERSE: bool>(y: &mut [f32], x: &[f32], first: usize, what: Turned, by: &Rotations) {
    let pairs = by.rope / 2;
    let rotated = what.offset..what.offset + 2 * pairs;
    for (at, (y, x)) in y.chunks_exact_mut(what.width).zip(x.chunks_exact(what.width)).enumerate() {
        let start = (first + at) % by.tokens * pairs;
        let (cosines, sines) = (&by.cosines[start..start + pairs], &by.sines[start..start + pairs]);
        for (y, x) in y.chunks_exact_mut(what.head).zip(x.chunks_exact(what.head)) {
            if pairs * 2 < what.head {
                y.copy_from_slice(x);
            }
            let (to, _) = y[rotated.clone()].as_chunks_mut::<2>();
            let (from, _) = x[rotated.clone()].as_chunks::<2>();
            for (((to, from), cosine), sine) in to.iter_mut().zip(from).zip(cosines).zip(sines) {
                let sine = if INVERSE { -sine } else { *sine };
                *to = [from[0] * cosine - from[1] * sine, from[0] * sine + from[1] * cosine];
            }
        }
    }
}
