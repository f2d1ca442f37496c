//! Additions, and sums over rows.

use rayon::prelude::*;

use super::vector::{TASK, rows_per_sum, rows_per_task, vectorised};

/// The sums of two equally long slices.
pub(crate) fn add(one: &[f32], other: &[f32]) -> Vec<f32> {
    #[inline(always)]
    fn run(sum: &mut [f32], one: &[f32], other: &[f32]) {
        for ((sum, one), other) in sum.iter_mut().zip(one).zip(other) {
            *sum = one + other;
        }
    }
    debug_assert_eq!(one.len(), other.len());
    let mut sum = vec![0.0; one.len()];
    sum.par_chunks_mut(TASK)
        .zip(one.par_chunks(TASK))
        .zip(other.par_chunks(TASK))
        .for_each(|((sum, one), other)| vectorised!(run(sum, one, other)));
    sum
}

/// Adds a row to each row.
pub(crate) fn add_row(x: &mut [f32], row: &[f32]) {
    #[inline(always)]
    fn run(x: &mut [f32], row: &[f32]) {
        x.chunks_exact_mut(row.len()).for_each(|x| accumulate(x, row));
    }
    if row.is_empty() {
        return;
    }
    debug_assert!(x.len().is_multiple_of(row.len()));
    x.par_chunks_mut(rows_per_task(row.len()) * row.len()).for_each(|x| vectorised!(run(x, row)));
}

/// The sum of all rows of `width` values: blocks of rows in their order, then the blocks in theirs.
pub(crate) fn sum_rows(x: &[f32], width: usize) -> Vec<f32> {
    #[inline(always)]
    fn run(sum: &mut [f32], x: &[f32]) {
        x.chunks_exact(sum.len()).for_each(|row| accumulate(sum, row));
    }
    let mut sum = vec![0.0; width];
    if width == 0 {
        return sum;
    }
    debug_assert!(x.len().is_multiple_of(width));
    let block = |x: &[f32]| {
        let mut sum = vec![0.0; width];
        vectorised!(run(&mut sum, x));
        sum
    };
    let parts: Vec<Vec<f32>> = x.par_chunks(rows_per_sum(width) * width).map(block).collect();
    parts.iter().for_each(|part| accumulate(&mut sum, part));
    sum
}

#[inline(always)]
fn accumulate(sum: &mut [f32], other: &[f32]) {
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum += other;
    }
}
