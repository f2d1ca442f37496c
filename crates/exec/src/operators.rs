//! The operators, as loops. Values are rows of tokens; each returns `None` where shapes do not fit.

use llmplan_spec::plan::FfnKind;

/// The heads of an attention: each key head serves as many query heads as there are for it.
#[derive(Clone, Copy)]
pub(crate) struct Heads {
    /// Query heads.
    pub(crate) queries: usize,
    /// Key and value heads.
    pub(crate) keys: usize,
    /// Width of one.
    pub(crate) width: usize,
}

impl Heads {
    /// Where the values of a token's query head and of the key head it reads begin.
    fn offsets(self, head: usize, query: usize, key: usize) -> (usize, usize) {
        let shared = head * self.keys / self.queries;
        ((query * self.queries + head) * self.width, (key * self.keys + shared) * self.width)
    }

    /// How many keys a query meets.
    fn keys_of(query: usize, length: usize, all: bool) -> usize {
        if all { length } else { query + 1 }
    }
}

/// Rows of a table.
pub(crate) fn gather(table: &[f32], rows: &[usize], width: usize) -> Option<Vec<f32>> {
    let mut values = Vec::with_capacity(rows.len() * width);
    for row in rows {
        values.extend_from_slice(table.get(row * width..(row + 1) * width)?);
    }
    Some(values)
}

/// Adds one to the other, value by value.
pub(crate) fn add(values: &mut [f32], other: &[f32]) -> Option<()> {
    if values.len() != other.len() {
        return None;
    }
    values.iter_mut().zip(other).for_each(|(value, other)| *value += other);
    Some(())
}

/// LayerNorm (Ba 2016), or RMSNorm (Zhang 2019) where it is not centred.
pub(crate) fn norm(
    input: &[f32],
    weight: &[f32],
    bias: Option<&Vec<f32>>,
    width: usize,
    centred: bool,
) -> Option<Vec<f32>> {
    if weight.len() != width
        || bias.is_some_and(|bias| bias.len() != width)
        || !input.len().is_multiple_of(width)
    {
        return None;
    }
    let mut output = Vec::with_capacity(input.len());
    for row in input.chunks_exact(width) {
        let mean = if centred { row.iter().sum::<f32>() / width as f32 } else { 0.0 };
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / width as f32;
        let scale = 1.0 / (variance + 1e-5).sqrt();
        let shifts = bias.into_iter().flatten().chain(std::iter::repeat(&0.0));
        output.extend(
            row.iter()
                .zip(weight)
                .zip(shifts)
                .map(|((value, weight), shift)| (value - mean) * scale * weight + shift),
        );
    }
    Some(output)
}

/// `inner` values → `outer` values for each row. The weight has `inner` rows.
pub(crate) fn matmul(
    input: &[f32],
    weight: &[f32],
    bias: Option<&Vec<f32>>,
    (inner, outer): (usize, usize),
    done: &mut u128,
) -> Option<Vec<f32>> {
    let unlike = bias.is_some_and(|bias| bias.len() != outer);
    if weight.len() != inner * outer || unlike || input.is_empty() || !input.len().is_multiple_of(inner) {
        return None;
    }
    let mut output = Vec::with_capacity(input.len() / inner * outer);
    for row in input.chunks_exact(inner) {
        for column in 0..outer {
            let mut sum = 0.0;
            for (at, value) in row.iter().enumerate() {
                sum += value * weight[at * outer + column];
                *done += 1;
            }
            output.push(sum + bias.map_or(Some(0.0), |bias| bias.get(column).copied())?);
        }
    }
    Some(output)
}

/// Rotates pairs of values within each head by an angle that grows with the position (Su 2021).
pub(crate) fn rotate(values: &mut [f32], width: usize, head: usize) -> Option<()> {
    if !values.len().is_multiple_of(width) || !width.is_multiple_of(head) {
        return None;
    }
    for (position, row) in values.chunks_exact_mut(width).enumerate() {
        for head in row.chunks_exact_mut(head) {
            let size = head.len() as f32;
            for (pair, values) in head.chunks_exact_mut(2).enumerate() {
                let angle = position as f32 * 10_000_f32.powf(-2.0 * pair as f32 / size);
                if let [first, second] = values {
                    (*first, *second) = (
                        *first * angle.cos() - *second * angle.sin(),
                        *first * angle.sin() + *second * angle.cos(),
                    );
                }
            }
        }
    }
    Some(())
}

/// QKᵀ over the root of the head's width: for each head and query a row of scores, the future masked.
pub(crate) fn scores(
    q: &[f32],
    k: &[f32],
    heads: Heads,
    (length, all, alibi): (usize, bool, bool),
    done: &mut u128,
) -> Option<Vec<f32>> {
    fits(q, heads.queries, heads, length)?;
    fits(k, heads.keys, heads, length)?;
    let mut scores = vec![f32::NEG_INFINITY; heads.queries * length * length];
    let mut rows = scores.chunks_exact_mut(length);
    for head in 0..heads.queries {
        // The slope of a head's linear bias (Press 2021, section 3).
        let slope = if alibi { (-8.0 * (head + 1) as f32 / heads.queries as f32).exp2() } else { 0.0 };
        for query in 0..length {
            let row = rows.next()?;
            for (key, score) in row.iter_mut().enumerate().take(Heads::keys_of(query, length, all)) {
                let (from, to) = heads.offsets(head, query, key);
                let mut sum = 0.0;
                for at in 0..heads.width {
                    sum += q[from + at] * k[to + at];
                    *done += 1;
                }
                if key <= query {
                    *score = sum / (heads.width as f32).sqrt() - slope * (query - key) as f32;
                }
            }
        }
    }
    Some(scores)
}

/// Turns each row of scores into weights that sum to one; masked ones become zero.
pub(crate) fn softmax(scores: &mut [f32], length: usize) {
    for row in scores.chunks_exact_mut(length) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|score| *score = (*score - largest).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|score| *score /= sum);
    }
}

/// For each query the values of the keys it meets, weighted.
pub(crate) fn weighted_sum(
    weights: &[f32],
    v: &[f32],
    heads: Heads,
    (length, all): (usize, bool),
    done: &mut u128,
) -> Option<Vec<f32>> {
    fits(v, heads.keys, heads, length)?;
    let mut output = vec![0.0; length * heads.queries * heads.width];
    let mut rows = weights.chunks_exact(length);
    for head in 0..heads.queries {
        for query in 0..length {
            let row = rows.next()?;
            for (key, weight) in row.iter().enumerate().take(Heads::keys_of(query, length, all)) {
                let (to, from) = heads.offsets(head, query, key);
                for at in 0..heads.width {
                    output[to + at] += weight * v[from + at];
                    *done += 1;
                }
            }
        }
    }
    Some(output)
}

/// The non-linearity of a feed-forward network; with a gate it is the gate's, times the other half (Shazeer 2020).
pub(crate) fn activate(up: &mut [f32], gate: &[f32], kind: FfnKind) -> Option<()> {
    if kind.gated() && up.len() != gate.len() {
        return None;
    }
    match kind {
        FfnKind::Relu => up.iter_mut().for_each(|value| *value = value.max(0.0)),
        FfnKind::Gelu => up.iter_mut().for_each(|value| *value = gelu(*value)),
        FfnKind::Geglu => up.iter_mut().zip(gate).for_each(|(value, gate)| *value *= gelu(*gate)),
        FfnKind::Swiglu => {
            up.iter_mut().zip(gate).for_each(|(value, gate)| *value *= gate / (1.0 + (-gate).exp()))
        }
    }
    Some(())
}

/// A table of `width` columns with rows and columns exchanged.
pub(crate) fn transposed(table: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|column| table.iter().skip(column).step_by(width).copied()).collect()
}

/// Mean cross-entropy of each next token, in nats; the last one's next is the first.
pub(crate) fn loss(logits: &[f32], tokens: &[usize], vocab: usize) -> Option<f32> {
    let mut total = 0.0;
    for (at, row) in logits.chunks_exact(vocab).enumerate() {
        let next = tokens[(at + 1) % tokens.len()];
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|logit| (logit - largest).exp()).sum();
        total += sum.ln() + largest - row.get(next)?;
    }
    Some(total / tokens.len() as f32)
}

/// The approximation by tanh that GPT-2 uses (Hendrycks 2016).
fn gelu(value: f32) -> f32 {
    0.5 * value * (1.0 + (0.797_884_6 * (value + 0.044_715 * value.powi(3))).tanh())
}

fn fits(values: &[f32], count: usize, heads: Heads, length: usize) -> Option<()> {
    let whole = heads.keys > 0 && heads.queries.is_multiple_of(heads.keys);
    (whole && length > 0 && values.len() == length * count * heads.width).then_some(())
}
