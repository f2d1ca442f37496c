//! Cross-entropy of logits.

use rayon::prelude::*;

use super::vector::{LANES, exp, folded, largest, rows_per_task, vectorised};

/// The mean cross-entropy in nats of `targets`, one for each row of `vocab` logits, and for each row the logarithm of
/// the sum of its exponentials. A target outside of the vocabulary makes the mean NaN.
pub(crate) fn cross_entropy(logits: &[f32], vocab: usize, targets: &[u32]) -> (f64, Vec<f32>) {
    debug_assert!(vocab > 0 && logits.len() == vocab * targets.len());
    let mut sums = vec![0.0; targets.len()];
    let rows = rows_per_task(vocab);
    logits
        .par_chunks(rows * vocab.max(1))
        .zip(sums.par_chunks_mut(rows))
        .for_each(|(logits, sums)| vectorised!(forward(logits, vocab, sums)));
    let losses = logits.chunks_exact(vocab.max(1)).zip(targets).zip(&sums).map(|((row, target), sum)| {
        let logit = usize::try_from(*target).ok().and_then(|target| row.get(target));
        f64::from(*sum) - logit.map_or(f64::NAN, |logit| f64::from(*logit))
    });
    (losses.sum::<f64>() / targets.len() as f64, sums)
}

/// The gradients of the logits, times a factor (one over the rows for the mean), from what the way there gave.
pub(crate) fn cross_entropy_backward(
    logits: &[f32],
    vocab: usize,
    sums: &[f32],
    targets: &[u32],
    factor: f32,
) -> Vec<f32> {
    debug_assert!(vocab > 0 && logits.len() == vocab * targets.len() && sums.len() == targets.len());
    let mut gradients = vec![0.0; logits.len()];
    let rows = rows_per_task(vocab);
    gradients
        .par_chunks_mut(rows * vocab.max(1))
        .zip(logits.par_chunks(rows * vocab.max(1)))
        .zip(sums.par_chunks(rows).zip(targets.par_chunks(rows)))
        .for_each(|((gradients, logits), (sums, targets))| {
            vectorised!(backward(gradients, logits, vocab, sums, targets, factor));
        });
    gradients
}

#[inline(always)]
fn forward(logits: &[f32], vocab: usize, sums: &mut [f32]) {
    for (row, sum) in logits.chunks_exact(vocab).zip(sums) {
        let top = largest(row, 1.0, f32::NEG_INFINITY);
        let (blocks, rest) = row.as_chunks::<LANES>();
        let mut lanes = [0.0; LANES];
        for block in blocks {
            for (lane, logit) in lanes.iter_mut().zip(block) {
                *lane += exp(logit - top);
            }
        }
        for (lane, logit) in lanes.iter_mut().zip(rest) {
            *lane += exp(logit - top);
        }
        *sum = top + folded(lanes).ln();
    }
}

#[inline(always)]
fn backward(gradients: &mut [f32], logits: &[f32], vocab: usize, sums: &[f32], targets: &[u32], factor: f32) {
    let rows = gradients.chunks_exact_mut(vocab).zip(logits.chunks_exact(vocab));
    for (((gradients, logits), sum), target) in rows.zip(sums).zip(targets) {
        for (gradient, logit) in gradients.iter_mut().zip(logits) {
            *gradient = factor * exp(logit - sum);
        }
        if let Some(gradient) = gradients.get_mut(*target as usize) {
            *gradient -= factor;
        }
    }
}
