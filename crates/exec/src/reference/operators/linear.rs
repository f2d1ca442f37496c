//! Lookups and matrix products.

use super::{Reads, Tally, size};

/// Rows of a table of `width` columns.
pub(crate) fn rows_of(table: &[f32], rows: &[usize], width: usize) -> Option<Vec<f32>> {
    let mut values = Vec::with_capacity(rows.len().checked_mul(width)?);
    for row in rows {
        let start = row.checked_mul(width)?;
        values.extend_from_slice(table.get(start..start.checked_add(width)?)?);
    }
    Some(values)
}

/// A table of `width` columns with rows and columns exchanged.
pub(crate) fn transposed(table: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|column| table.iter().skip(column).step_by(width).copied()).collect()
}

/// The stream plus the row of each position: T × `width` (Vaswani 2017 §3.5, learned).
pub(super) fn add_position(reads: &Reads<'_>, width: u64) -> Option<Vec<f32>> {
    let width = size(&[width])?;
    let positions: Vec<usize> = (0..reads.tokens()).collect();
    let rows = rows_of(reads.weights.find("weight")?, &positions, width)?;
    Some(reads.input(0, width)?.iter().zip(rows).map(|(value, row)| value + row).collect())
}

/// T × `inner` → T × `outer`; the weight has `inner` rows.
pub(super) fn matmul(reads: &Reads<'_>, inner: u64, outer: u64, tally: &mut Tally) -> Option<Vec<f32>> {
    let table = reads.weights.get("weight", size(&[inner, outer])?)?;
    let (inner, outer) = (size(&[inner])?, size(&[outer])?);
    let bias = reads.weights.optional("bias", outer)?;
    Some(product(reads.input(0, inner)?, table, bias, (inner, outer), tally))
}

/// Each row of `inner` values by a matrix of `inner` rows and `outer` columns, whose sizes are known to fit.
pub(crate) fn product(
    input: &[f32],
    table: &[f32],
    bias: Option<&[f32]>,
    (inner, outer): (usize, usize),
    tally: &mut Tally,
) -> Vec<f32> {
    let mut output = Vec::with_capacity(input.len() / inner * outer);
    for row in input.chunks_exact(inner) {
        for column in 0..outer {
            let mut sum = 0.0;
            for (value, weights) in row.iter().zip(table.chunks_exact(outer)) {
                tally.multiply_add(&mut sum, *value, weights[column]);
            }
            output.push(sum + bias.map_or(0.0, |bias| bias[column]));
        }
    }
    output
}

/// The shape of a product within heads.
pub(super) struct HeadShape {
    pub(super) heads: u64,
    pub(super) inner: u64,
    pub(super) outer: u64,
    pub(super) kept: u64,
    pub(super) transposed: bool,
}

/// T × heads × (inner + kept) → T × heads × (outer + kept): the up-projections that absorbed latent attention
/// multiplies into queries and output (DeepSeek-V2 §2.1.2).
///
/// The weight is stored as the plain projection has it: a row for each value of the rank, the heads side by side. It
/// leads from the rank, or `transposed` back to it.
pub(super) fn head_matmul(reads: &Reads<'_>, shape: HeadShape, tally: &mut Tally) -> Option<Vec<f32>> {
    let table = reads.weights.get("weight", size(&[shape.heads, shape.inner, shape.outer])?)?;
    let (heads, inner, outer) = (size(&[shape.heads])?, size(&[shape.inner])?, size(&[shape.outer])?);
    let head = size(&[shape.inner.checked_add(shape.kept)?])?;
    let input = reads.input(0, head.checked_mul(heads)?)?;
    let each = if shape.transposed { inner } else { outer };
    let weight = |head: usize, from: usize, to: usize| {
        let (row, column) = if shape.transposed { (to, from) } else { (from, to) };
        table[row * heads * each + head * each + column]
    };
    let mut output = Vec::new();
    for (at, values) in input.chunks_exact(head).enumerate() {
        for to in 0..outer {
            let mut sum = 0.0;
            for (from, value) in values.iter().take(inner).enumerate() {
                tally.multiply_add(&mut sum, *value, weight(at % heads, from, to));
            }
            output.push(sum);
        }
        output.extend_from_slice(values.get(inner..)?);
    }
    Some(output)
}

/// Two values side by side within each of `heads`. The first has that many heads; each head of the second serves
/// several where it has fewer, as the rotated part of a latent key does (DeepSeek-V2 §2.1.3).
pub(super) fn join(reads: &Reads<'_>, heads: u64) -> Option<Vec<f32>> {
    let heads = size(&[heads])?;
    let ((one, one_width), (other, other_width)) = (reads.any_input(0)?, reads.any_input(1)?);
    let own = one_width.checked_div(heads).filter(|own| own * heads == one_width)?;
    let added = reads.output.checked_div(heads)?.checked_sub(own).filter(|added| *added > 0)?;
    let served = heads.checked_div(other_width / added)?;
    if served == 0 || other_width * served != added.checked_mul(heads)? {
        return None;
    }
    let mut output = Vec::new();
    for (one, other) in one.chunks_exact(one_width).zip(other.chunks_exact(other_width)) {
        for head in 0..heads {
            output.extend_from_slice(&one[head * own..(head + 1) * own]);
            let shared = head / served * added;
            output.extend_from_slice(&other[shared..shared + added]);
        }
    }
    Some(output)
}
