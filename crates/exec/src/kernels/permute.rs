//! Values of heads side by side, or head after head.

use rayon::prelude::*;

use super::vector::rows_per_task;

/// Batch × tokens × heads × width, as batch × heads × tokens × width.
pub(crate) fn heads_first(x: &[f32], shape: (usize, usize, usize, usize)) -> Vec<f32> {
    swap_middle(x, shape)
}

/// Batch × heads × tokens × width, as batch × tokens × heads × width; `shape` is that of the result, as it is that of
/// the argument of [`heads_first`].
pub(crate) fn tokens_first(x: &[f32], shape: (usize, usize, usize, usize)) -> Vec<f32> {
    let (batch, tokens, heads, width) = shape;
    swap_middle(x, (batch, heads, tokens, width))
}

/// Exchanges the second and the third of four dimensions.
fn swap_middle(x: &[f32], (batch, rows, columns, width): (usize, usize, usize, usize)) -> Vec<f32> {
    debug_assert_eq!(x.len(), batch * rows * columns * width);
    let mut y = vec![0.0; x.len()];
    if x.is_empty() {
        return y;
    }
    let pieces = rows_per_task(width);
    y.par_chunks_mut(pieces * width).enumerate().for_each(|(task, block)| {
        // Where the first piece of the task comes from; the next ones are a row apart.
        let first = task * pieces;
        let (mut row, mut column) = (first % rows, first / rows % columns);
        let mut matrix = first / (rows * columns);
        for piece in block.chunks_exact_mut(width) {
            let start = ((matrix * rows + row) * columns + column) * width;
            piece.copy_from_slice(&x[start..start + width]);
            row += 1;
            if row == rows {
                (row, column) = (0, column + 1);
            }
            if column == columns {
                (column, matrix) = (0, matrix + 1);
            }
        }
    });
    y
}
