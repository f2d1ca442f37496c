//! Heads, rotations, and scores as weights.

use std::ops::Range;

use super::{close, is_gradient, numbers, same_on_any_threads, wide};
use crate::kernels::permute::{heads_first, tokens_first};
use crate::kernels::rotate::{Rotations, Turned, rotate};
use crate::kernels::softmax::{Softmax, softmax, softmax_backward};

#[test]
fn heads_go_first_and_back() {
    for shape @ (batch, tokens, heads, width) in [(2, 3, 5, 7), (1, 1, 4, 1), (3, 4, 1, 2), (2, 301, 9, 33)] {
        let x = numbers(batch * tokens * heads * width, 1);
        let y = heads_first(&x, shape);
        let mut at = 0;
        for b in 0..batch {
            for h in 0..heads {
                for t in 0..tokens {
                    for w in 0..width {
                        assert_eq!(y[at], x[((b * tokens + t) * heads + h) * width + w]);
                        at += 1;
                    }
                }
            }
        }
        assert_eq!(at, y.len());
        assert_eq!(tokens_first(&y, shape), x);
    }
    assert!(heads_first(&[], (0, 3, 2, 4)).is_empty());
}

/// Rotations as products with e^{iθ}.
fn rotated(x: &[f64], what: Turned, tokens: usize, rope: usize) -> Vec<f64> {
    let mut y = x.to_vec();
    for (row, y) in y.chunks_mut(what.width).enumerate() {
        for y in y.chunks_mut(what.head) {
            for pair in 0..rope / 2 {
                let frequency = 10_000_f64.powf(-2.0 * pair as f64 / rope as f64);
                let (sine, cosine) = ((row % tokens) as f64 * frequency).sin_cos();
                let at = what.offset + 2 * pair;
                (y[at], y[at + 1]) = (y[at] * cosine - y[at + 1] * sine, y[at] * sine + y[at + 1] * cosine);
            }
        }
    }
    y
}

#[test]
fn rotations_turn_pairs_and_back() {
    let tokens = 9;
    for (head, rope, offset) in [(8, 8, 0), (12, 6, 5), (40, 36, 4), (7, 5, 1)] {
        let what = Turned { width: 3 * head, head, offset };
        let by = Rotations::of(tokens, rope);
        let (x, dy) = (numbers(2 * tokens * what.width, 1), numbers(2 * tokens * what.width, 2));
        let y = rotate(&x, what, &by, false);
        close(&y, &rotated(&wide(&x), what, tokens, rope));
        close(&rotate(&y, what, &by, true), &wide(&x));
        is_gradient(&rotate(&dy, what, &by, true), &x, &dy, |x| rotated(x, what, tokens, rope));
    }
}

/// Which keys the queries see, and what else the weights depend on.
struct Case {
    heads: usize,
    keys: usize,
    seen: Vec<Range<usize>>,
    slopes: Option<Vec<f32>>,
    sinks: Option<Vec<f32>>,
}

impl Case {
    const SCALE: f32 = 0.35;

    /// Full, causal, windowed, and one in which some queries see nothing; with odd numbers of keys.
    fn all() -> Vec<Case> {
        let mut cases = Vec::new();
        for keys in [1_usize, 5, 37] {
            let full: Vec<_> = (0..7).map(|_| 0..keys).collect();
            let causal: Vec<_> = (0..keys).map(|query| 0..query + 1).collect();
            let window: Vec<_> = (0..keys).map(|query| query.saturating_sub(3)..query + 1).collect();
            let some: Vec<_> =
                (0..4).map(|query| if query % 2 == 0 { 2..2 } else { 0..keys.min(20) }).collect();
            for seen in [full, causal, window, some] {
                for (biased, sunk) in [(false, false), (true, false), (false, true), (true, true)] {
                    let (slopes, sinks) = (biased.then(|| numbers(3, 4)), sunk.then(|| numbers(3, 5)));
                    cases.push(Case { heads: 3, keys, seen: seen.clone(), slopes, sinks });
                }
            }
        }
        cases
    }

    fn how(&self) -> Softmax<'_> {
        Softmax {
            heads: self.heads,
            keys: self.keys,
            scale: Case::SCALE,
            seen: &self.seen,
            slopes: self.slopes.as_deref(),
            sinks: self.sinks.as_deref(),
        }
    }

    /// Values of two sequences.
    fn numbers(&self, seed: usize) -> Vec<f32> {
        numbers(2 * self.heads * self.seen.len() * self.keys, seed)
    }

    fn formula(&self, scores: &[f64], sinks: Option<&[f64]>) -> Vec<f64> {
        let mut weights = vec![0.0; scores.len()];
        for (row, scores) in scores.chunks(self.keys).enumerate() {
            let (query, head) = (row % self.seen.len(), row / self.seen.len() % self.heads);
            let exponential = |key: usize| {
                let slope = self.slopes.as_ref().map_or(0.0, |slopes| f64::from(slopes[head]));
                (scores[key] * f64::from(Case::SCALE) - slope * query.abs_diff(key) as f64).exp()
            };
            let seen = self.seen[query].clone();
            let sum: f64 = seen.clone().map(exponential).sum();
            let sum = sum + sinks.map_or(0.0, |sinks| sinks[head].exp());
            seen.for_each(|key| weights[row * self.keys + key] = exponential(key) / sum);
        }
        weights
    }
}

#[test]
fn weights_are_shares_of_what_is_seen() {
    for case in Case::all() {
        let scores = case.numbers(1);
        let mut weights = scores.clone();
        softmax(&mut weights, case.how());
        close(&weights, &case.formula(&wide(&scores), case.sinks.as_deref().map(wide).as_deref()));
        for (row, weights) in weights.chunks(case.keys).enumerate() {
            let seen = &case.seen[row % case.seen.len()];
            assert!(weights.iter().enumerate().all(|(key, weight)| seen.contains(&key) || *weight == 0.0));
        }
    }
}

#[test]
fn gradients_of_scores_and_sinks() {
    for case in Case::all().into_iter().filter(|case| case.keys < 10) {
        let (scores, dy) = (case.numbers(1), case.numbers(2));
        let mut weights = scores.clone();
        softmax(&mut weights, case.how());
        let mut gradients = dy.clone();
        let d_sinks = softmax_backward(&weights, &mut gradients, case.how());
        let sinks = case.sinks.as_deref().map(wide);
        is_gradient(&gradients, &scores, &dy, |scores| case.formula(scores, sinks.as_deref()));
        assert_eq!(d_sinks.is_some(), case.sinks.is_some());
        if let (Some(got), Some(sinks)) = (&d_sinks, &case.sinks) {
            let scores = wide(&scores);
            is_gradient(got, sinks, &dy, |sinks| case.formula(&scores, Some(sinks)));
        }
    }
}

/// Scores far from zero, whose exponentials alone would overflow.
#[test]
fn large_scores_do_not_overflow() {
    let seen = vec![0..3; 1];
    let how = Softmax { heads: 1, keys: 3, scale: 2.0, seen: &seen, slopes: None, sinks: None };
    let mut weights = [1e4, 1e4, -1e4];
    softmax(&mut weights, how);
    assert_eq!(weights, [0.5, 0.5, 0.0]);
    let mut weights = [1.0, f32::NAN, 1.0];
    softmax(&mut weights, how);
    assert!(weights.iter().all(|weight| weight.is_nan()));
}

#[test]
fn threads_do_not_change_bits() {
    let (heads, keys) = (3, 211);
    let seen = (0..keys).map(|query| 0..query + 1).collect();
    let case = Case { heads, keys, seen, slopes: Some(numbers(3, 4)), sinks: Some(numbers(3, 5)) };
    let (scores, dy) = (case.numbers(1), case.numbers(2));
    same_on_any_threads(|| {
        let mut weights = scores.clone();
        softmax(&mut weights, case.how());
        let mut gradients = dy.clone();
        let d_sinks = softmax_backward(&weights, &mut gradients, case.how());
        [weights, gradients, d_sinks.unwrap()].concat()
    });
    let what = Turned { width: 111, head: 37, offset: 1 };
    let by = Rotations::of(100, 36);
    let x = numbers(1000 * what.width, 1);
    same_on_any_threads(|| rotate(&x, what, &by, false));
    same_on_any_threads(|| heads_first(&x, (2, 500, 3, 37)));
}
