//! Mixtures of experts: who goes where, the products of those experts only, and their sum.

use super::linear::product;
use super::{Reads, Tally, size};

/// T × `inner` → T × `active` pairs of an expert's number and its weight. The largest scores are taken, of equal ones
/// those of the first experts; their softmax is the weights (Shazeer 2017 §2.1). A `correction_bias` has a part in the
/// choice and none in the weights (DeepSeek-V3 §2.1.2).
pub(super) fn route(
    reads: &Reads<'_>,
    inner: u64,
    experts: u64,
    active: u64,
    tally: &mut Tally,
) -> Option<Vec<f32>> {
    let table = reads.weights.get("weight", size(&[inner, experts])?)?;
    let (inner, experts, active) = (size(&[inner])?, size(&[experts])?, size(&[active])?);
    if active > experts {
        return None;
    }
    let bias = reads.weights.optional("bias", experts)?;
    let correction = reads.weights.optional("correction_bias", experts)?;
    let scores = product(reads.input(0, inner)?, table, bias, (inner, experts), tally);
    let mut routes = Vec::new();
    for scores in scores.chunks_exact(experts) {
        let wanted = |expert: usize| scores[expert] + correction.map_or(0.0, |correction| correction[expert]);
        let mut order: Vec<usize> = (0..experts).collect();
        // The sort is stable: equal ones stay in order.
        order.sort_by(|one, other| wanted(*other).total_cmp(&wanted(*one)));
        order.truncate(active);
        let largest = order.iter().map(|expert| scores[*expert]).fold(f32::NEG_INFINITY, f32::max);
        let shares: Vec<f32> = order.iter().map(|expert| (scores[*expert] - largest).exp()).collect();
        let sum: f32 = shares.iter().sum();
        for (expert, share) in order.iter().zip(shares) {
            // A number below 2²⁴ is exact in f32, and more experts are not run.
            routes.extend([*expert as f32, share / sum]);
        }
    }
    Some(routes)
}

/// The shape of the experts' product.
pub(super) struct Shape {
    pub(super) experts: u64,
    pub(super) active: u64,
    pub(super) inner: u64,
    pub(super) outer: u64,
    pub(super) fan_out: bool,
}

/// T × `inner` where the same row fans out to all, else T × `active` × `inner` → T × `active` × `outer`, by the matrices
/// of the experts that a token was sent to.
pub(super) fn matmul(reads: &Reads<'_>, shape: Shape, tally: &mut Tally) -> Option<Vec<f32>> {
    let tables = reads.weights.get("weight", size(&[shape.experts, shape.inner, shape.outer])?)?;
    let biases = reads.weights.optional("bias", size(&[shape.experts, shape.outer])?)?;
    let (active, inner, outer) = (size(&[shape.active])?, size(&[shape.inner])?, size(&[shape.outer])?);
    let width = if shape.fan_out { inner } else { inner.checked_mul(active)? };
    let input = reads.input(0, width)?;
    let routes = reads.input(1, active.checked_mul(2)?)?;
    let mut output = Vec::new();
    for (row, routes) in input.chunks_exact(width).zip(routes.chunks_exact(2 * active)) {
        for (slot, route) in routes.chunks_exact(2).enumerate() {
            let expert = route[0] as usize;
            let own = if shape.fan_out { row } else { &row[slot * inner..(slot + 1) * inner] };
            let table = tables.chunks_exact(inner * outer).nth(expert)?;
            let bias = match biases {
                Some(biases) => Some(biases.chunks_exact(outer).nth(expert)?),
                None => None,
            };
            output.extend(product(own, table, bias, (inner, outer), tally));
        }
    }
    Some(output)
}

/// T × `active` × `width` → T × `width`: the outputs of a token's experts by their weights, added up.
pub(super) fn combine(reads: &Reads<'_>, active: u64, width: u64) -> Option<Vec<f32>> {
    let whole = size(&[active, width])?;
    let (active, width) = (size(&[active])?, size(&[width])?);
    let input = reads.input(0, whole)?;
    let routes = reads.input(1, active.checked_mul(2)?)?;
    let mut output = Vec::new();
    for (row, routes) in input.chunks_exact(whole).zip(routes.chunks_exact(2 * active)) {
        let mut sums = vec![0.0; width];
        for (values, route) in row.chunks_exact(width).zip(routes.chunks_exact(2)) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += route[1] * value);
        }
        output.extend(sums);
    }
    Some(output)
}
