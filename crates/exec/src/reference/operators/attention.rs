//! Softmax attention: rotations, scores, weights, and the weighted sum of values.

use llmplan_spec::plan::Reach;

use super::{Reads, Tally, size};

/// The heads of an attention: each key head serves as many query heads as there are for it (Ainslie 2023).
#[derive(Clone, Copy)]
pub(super) struct Heads {
    queries: usize,
    keys: usize,
    /// Width of one.
    width: usize,
}

impl Heads {
    /// `None` where key heads do not divide query heads.
    pub(super) fn of(queries: u64, keys: u64, width: u64) -> Option<Heads> {
        size(&[queries, width])?;
        let heads = Heads { queries: size(&[queries])?, keys: size(&[keys])?, width: size(&[width])? };
        heads.queries.is_multiple_of(heads.keys).then_some(heads)
    }

    /// The values of a token's query head.
    fn query(self, values: &[f32], token: usize, head: usize) -> &[f32] {
        let start = (token * self.queries + head) * self.width;
        &values[start..start + self.width]
    }

    /// The values of a token's key or value head that serves a query head.
    fn key(self, values: &[f32], token: usize, head: usize) -> &[f32] {
        let start = (token * self.keys + head * self.keys / self.queries) * self.width;
        &values[start..start + self.width]
    }
}

/// How scores are taken.
pub(super) struct Scoring {
    pub(super) scale: u64,
    pub(super) reach: Reach,
    pub(super) alibi: bool,
    pub(super) relative: bool,
}

/// Rotates pairs of values by an angle that grows with the position: `rope_dim` of each `head_dim`, behind `offset`
/// others (Su 2021 §3.2).
pub(super) fn rotate(reads: &Reads<'_>, head_dim: u64, rope_dim: u64, offset: u64) -> Option<Vec<f32>> {
    if offset.checked_add(rope_dim)? > head_dim {
        return None;
    }
    let (input, width) = reads.any_input(0)?;
    let head = size(&[head_dim]).filter(|head| width.is_multiple_of(*head))?;
    let (rope, offset) = (usize::try_from(rope_dim).ok()?, usize::try_from(offset).ok()?);
    let mut output = input.to_vec();
    for (position, row) in output.chunks_exact_mut(width).enumerate() {
        for head in row.chunks_exact_mut(head) {
            let rotated = head.get_mut(offset..offset + rope)?;
            for (pair, values) in rotated.chunks_exact_mut(2).enumerate() {
                let angle = position as f32 * 10_000_f32.powf(-2.0 * pair as f32 / rope as f32);
                if let [one, other] = values {
                    (*one, *other) = (
                        *one * angle.cos() - *other * angle.sin(),
                        *one * angle.sin() + *other * angle.cos(),
                    );
                }
            }
        }
    }
    Some(output)
}

/// QKᵀ over the root of `scale` (Vaswani 2017 §3.2.1): heads × T × T. What is not seen is -∞, whether it was computed or
/// not. With relative positions a third input has a row for each distance, which the query is multiplied by as well
/// (Dai 2019 §3.3).
pub(super) fn scores(reads: &Reads<'_>, heads: Heads, how: Scoring, tally: &mut Tally) -> Option<Vec<f32>> {
    let q = reads.input(0, heads.queries.checked_mul(heads.width)?)?;
    let k = reads.input(1, heads.keys.checked_mul(heads.width)?)?;
    let distances = match how.relative {
        true => Some(reads.input(2, heads.queries.checked_mul(heads.width)?)?),
        false => None,
    };
    let root = (how.scale.max(1) as f32).sqrt();
    let tokens = reads.tokens();
    let mut scores = vec![f32::NEG_INFINITY; heads.queries.checked_mul(tokens)?.checked_mul(tokens)?];
    let mut rows = scores.chunks_exact_mut(tokens);
    for head in 0..heads.queries {
        // The slope of a head's linear bias (Press 2021 §3).
        let slope = if how.alibi { (-8.0 * (head + 1) as f32 / heads.queries as f32).exp2() } else { 0.0 };
        for query in 0..tokens {
            let row = rows.next()?;
            let met = reads.sight.met(query, how.reach)?;
            let own = heads.query(q, query, head);
            for key in met.computed {
                let mut sum = tally.dot(own, heads.key(k, key, head));
                let distance = query.abs_diff(key);
                if let Some(distances) = distances {
                    sum += tally.dot(own, heads.query(distances, distance, head));
                }
                if met.seen.contains(&key) {
                    row[key] = sum / root - slope * distance as f32;
                }
            }
        }
    }
    Some(scores)
}

/// Scores as weights that sum to one; what is not seen becomes zero. With sinks each head has one logit more, that
/// takes its share and gives nothing (gpt-oss).
pub(super) fn softmax(reads: &Reads<'_>, heads: u64) -> Option<Vec<f32>> {
    let heads = size(&[heads])?;
    let tokens = reads.tokens();
    let sinks = reads.weights.optional("sinks", heads)?;
    let mut scores = reads.inputs.first()?.to_vec();
    if scores.len() != heads.checked_mul(tokens)?.checked_mul(tokens)? {
        return None;
    }
    for (at, row) in scores.chunks_exact_mut(tokens).enumerate() {
        let sink = sinks.map_or(f32::NEG_INFINITY, |sinks| sinks[at / tokens]);
        let largest = row.iter().copied().fold(sink, f32::max);
        row.iter_mut().for_each(|score| *score = (*score - largest).exp());
        let sum: f32 = row.iter().sum::<f32>() + (sink - largest).exp();
        row.iter_mut().for_each(|score| *score /= sum);
    }
    Some(scores)
}

/// For each query the values of the keys it meets, weighted: T × heads × width.
pub(super) fn weighted_sum(
    reads: &Reads<'_>,
    heads: Heads,
    reach: Reach,
    tally: &mut Tally,
) -> Option<Vec<f32>> {
    let v = reads.input(1, heads.keys.checked_mul(heads.width)?)?;
    let tokens = reads.tokens();
    let weights = reads.inputs.first()?;
    if weights.len() != heads.queries.checked_mul(tokens)?.checked_mul(tokens)? {
        return None;
    }
    let mut output = Vec::new();
    for query in 0..tokens {
        for head in 0..heads.queries {
            let mut sums = vec![0.0; heads.width];
            for key in reads.sight.met(query, reach)?.computed {
                let weight = weights[(head * tokens + query) * tokens + key];
                for (sum, value) in sums.iter_mut().zip(heads.key(v, key, head)) {
                    tally.multiply_add(sum, weight, *value);
                }
            }
            output.extend(sums);
        }
    }
    Some(output)
}
