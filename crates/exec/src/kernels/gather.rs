//! Rows of a table by number, and what becomes of their gradients.

use rayon::prelude::*;

use super::vector::rows_per_task;

/// For each number that row of a table, `width` wide. A number beyond the table gives zeros.
pub(crate) fn rows(table: &[f32], width: usize, ids: &[u32]) -> Vec<f32> {
    debug_assert!(ids.iter().all(|id| (*id as usize) < table.len() / width.max(1)));
    let mut y = vec![0.0; ids.len() * width];
    if width == 0 {
        return y;
    }
    let count = rows_per_task(width);
    y.par_chunks_mut(count * width).zip(ids.par_chunks(count)).for_each(|(y, ids)| {
        for (y, id) in y.chunks_exact_mut(width).zip(ids) {
            if let Some(row) = table.chunks_exact(width).nth(*id as usize) {
                y.copy_from_slice(row);
            }
        }
    });
    y
}

/// Adds each row of `dy` to the row of `d_table` that its number names: those of one number in their order.
pub(crate) fn scatter_add(d_table: &mut [f32], width: usize, ids: &[u32], dy: &[f32]) {
    debug_assert_eq!(dy.len(), ids.len() * width);
    if width == 0 {
        return;
    }
    let mut order: Vec<(u32, usize)> = ids.iter().copied().zip(0..).collect();
    order.sort_unstable();
    let count = rows_per_task(width);
    d_table.par_chunks_mut(count * width).enumerate().for_each(|(task, block)| {
        let first = task * count;
        let start = order.partition_point(|(id, _)| (*id as usize) < first);
        for (id, at) in &order[start..] {
            let Some(row) = block.chunks_exact_mut(width).nth(*id as usize - first) else { break };
            row.iter_mut().zip(&dy[at * width..]).for_each(|(sum, gradient)| *sum += gradient);
        }
    });
}
