//! Scores as weights: scale, linear bias, mask, sinks and softmax in one go.

use std::ops::Range;

use rayon::prelude::*;

use super::vector::{LANES, dot, exp, folded, largest, rows_per_task, sum_of, vectorised};

/// How scores become weights. Scores are batch × heads × queries × keys.
#[derive(Clone, Copy)]
pub(crate) struct Softmax<'a> {
    /// Heads of each sequence.
    pub(crate) heads: usize,
    /// Values of a row.
    pub(crate) keys: usize,
    /// Positive factor of each product of query and key.
    pub(crate) scale: f32,
    /// For each query the keys it sees. The others get no weight.
    pub(crate) seen: &'a [Range<usize>],
    /// For each head, what a key loses per token between it and the query (Press 2021 §3).
    pub(crate) slopes: Option<&'a [f32]>,
    /// For each head one logit more, that takes its share and gives nothing (gpt-oss).
    pub(crate) sinks: Option<&'a [f32]>,
}

/// Turns products of queries and keys into weights, in place. A row without a seen key becomes zero.
pub(crate) fn softmax(scores: &mut [f32], how: Softmax<'_>) {
    debug_assert!(how.fits(scores.len()));
    if scores.is_empty() {
        return;
    }
    let rows = rows_per_task(how.keys);
    scores.par_chunks_mut(rows * how.keys).enumerate().for_each(|(task, block)| {
        vectorised!(forward(block, task * rows, how));
    });
}

/// From weights and their gradients, in place, the gradients of the products of queries and keys; and those of the
/// sinks where there are some.
pub(crate) fn softmax_backward(weights: &[f32], d_weights: &mut [f32], how: Softmax<'_>) -> Option<Vec<f32>> {
    debug_assert!(how.fits(weights.len()) && weights.len() == d_weights.len());
    let mut d_sinks = how.sinks.map(|sinks| vec![0.0; sinks.len()]);
    if weights.is_empty() {
        return d_sinks;
    }
    let rows = rows_per_task(how.keys);
    let mut shares = vec![0.0; weights.len() / how.keys];
    d_weights
        .par_chunks_mut(rows * how.keys)
        .zip(weights.par_chunks(rows * how.keys))
        .zip(shares.par_chunks_mut(rows))
        .enumerate()
        .for_each(|(task, ((d_weights, weights), shares))| {
            vectorised!(backward(d_weights, weights, shares, task * rows, how));
        });
    for (at, of_head) in shares.chunks(how.seen.len()).enumerate() {
        if let Some(sum) = d_sinks.as_mut().and_then(|sums| sums.get_mut(at % how.heads)) {
            *sum += of_head.iter().sum::<f32>();
        }
    }
    d_sinks
}

impl Softmax<'_> {
    /// Whether so many scores are whole heads, and each head has what it needs.
    fn fits(&self, scores: usize) -> bool {
        let of = |values: Option<&[f32]>| values.is_none_or(|values| values.len() == self.heads);
        let sequence = self.heads * self.seen.len() * self.keys;
        of(self.slopes) && of(self.sinks) && (scores == 0 || sequence > 0 && scores.is_multiple_of(sequence))
    }

    /// The query and the head of a row.
    #[inline(always)]
    fn place(&self, row: usize) -> (usize, usize) {
        (row % self.seen.len(), row / self.seen.len() % self.heads)
    }

    /// The keys that a query sees.
    #[inline(always)]
    fn range(&self, query: usize) -> Range<usize> {
        let seen = self.seen.get(query).cloned().unwrap_or_default();
        let end = seen.end.min(self.keys);
        seen.start.min(end)..end
    }
}

/// Rows of scores, the first of them at `first`.
#[inline(always)]
fn forward(block: &mut [f32], first: usize, how: Softmax<'_>) {
    for (at, row) in block.chunks_exact_mut(how.keys).enumerate() {
        let (query, head) = how.place(first + at);
        let Range { start, end } = how.range(query);
        row[..start].fill(0.0);
        row[end..].fill(0.0);
        let seen = &mut row[start..end];
        let mut scale = how.scale;
        if let Some(slopes) = how.slopes {
            // Whole numbers below 2²⁴ are exact.
            let before = query as i32 - start as i32;
            for (at, score) in seen.iter_mut().enumerate() {
                *score = *score * scale - slopes[head] * (before - at as i32).abs() as f32;
            }
            scale = 1.0;
        }
        let sink = how.sinks.map_or(f32::NEG_INFINITY, |sinks| sinks[head]);
        let top = largest(seen, scale, sink);
        let sum = exponentials(seen, scale, top) + exp(sink - top);
        let share = 1.0 / sum;
        seen.iter_mut().for_each(|weight| *weight *= share);
    }
}

/// Turns scores into exponentials, and gives their sum.
#[inline(always)]
fn exponentials(scores: &mut [f32], scale: f32, top: f32) -> f32 {
    let (blocks, rest) = scores.as_chunks_mut::<LANES>();
    let mut lanes = [0.0; LANES];
    for block in blocks {
        for (lane, score) in lanes.iter_mut().zip(block) {
            *score = exp(*score * scale - top);
            *lane += *score;
        }
    }
    for (lane, score) in lanes.iter_mut().zip(rest) {
        *score = exp(*score * scale - top);
        *lane += *score;
    }
    folded(lanes)
}

/// Rows of gradients; also what each row adds to the gradient of its head's sink.
#[inline(always)]
fn backward(d_weights: &mut [f32], weights: &[f32], shares: &mut [f32], first: usize, how: Softmax<'_>) {
    let rows = d_weights.chunks_exact_mut(how.keys).zip(weights.chunks_exact(how.keys));
    for (at, ((gradients, row), share)) in rows.zip(shares).enumerate() {
        let (query, _) = how.place(first + at);
        let Range { start, end } = how.range(query);
        gradients[..start].fill(0.0);
        gradients[end..].fill(0.0);
        let (gradients, row) = (&mut gradients[start..end], &row[start..end]);
        let mean = dot(row, gradients);
        for (gradient, weight) in gradients.iter_mut().zip(row) {
            *gradient = how.scale * (*weight * (*gradient - mean));
        }
        if how.sinks.is_some() {
            *share = (sum_of(row, |weight| weight) - 1.0) * mean;
        }
    }
}
