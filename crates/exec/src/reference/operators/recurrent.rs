//! Layers whose state does not grow with the sequence: convolution, state-space recurrence, gated delta rule.

use super::{Reads, Tally, sigmoid, silu, size, softplus};

/// T × `channels`: each channel mixed with its own `kernel` last tokens, itself included, then SiLU (Gu 2023 §3.4).
/// Before the first token there are zeros, which are multiplied like the rest. The weight has a row for each channel,
/// oldest token first.
pub(super) fn convolve(reads: &Reads<'_>, channels: u64, kernel: u64, tally: &mut Tally) -> Option<Vec<f32>> {
    let weight = reads.weights.get("weight", size(&[channels, kernel])?)?;
    let (channels, kernel) = (size(&[channels])?, size(&[kernel])?);
    let bias = reads.weights.optional("bias", channels)?;
    let input = reads.input(0, channels)?;
    let mut output = Vec::with_capacity(input.len());
    for token in 0..reads.tokens() {
        for channel in 0..channels {
            let mut sum = bias.map_or(0.0, |bias| bias[channel]);
            for tap in 0..kernel {
                let past = (token + tap + 1).checked_sub(kernel);
                let value = past.map_or(0.0, |token| input[token * channels + channel]);
                tally.multiply_add(&mut sum, value, weight[channel * kernel + tap]);
            }
            output.push(silu(sum));
        }
    }
    Some(output)
}

/// The state-space recurrence of Mamba-2 (Dao 2024 §7.1): T × heads × head_dim out of x, B and C (T × heads·head_dim,
/// groups·state and groups·state in one) and time steps (T × heads).
///
/// Of each head a state h of head_dim × state: Δ = softplus(step + `dt_bias`), h ← e^(-e^`a_log`·Δ)·h + Δx⊗B, and
/// y = hC + `d`·x. The update and the read count as a multiply-add for each value of state.
pub(super) fn state_space(
    reads: &Reads<'_>,
    (heads, head_dim): (u64, u64),
    (groups, state): (u64, u64),
    tally: &mut Tally,
) -> Option<Vec<f32>> {
    size(&[heads, head_dim, state])?;
    let (inner, shared) = (size(&[heads, head_dim])?, size(&[groups, state])?);
    let (heads, head_dim, groups, state) =
        (size(&[heads])?, size(&[head_dim])?, size(&[groups])?, size(&[state])?);
    let width = shared.checked_mul(2)?.checked_add(inner)?;
    let (mixed, steps) = (reads.input(0, width)?, reads.input(1, heads)?);
    let [dt_bias, a_log, skip] = ["dt_bias", "a_log", "d"].map(|name| reads.weights.get(name, heads));
    let (dt_bias, a_log, skip) = (dt_bias?, a_log?, skip?);
    if !heads.is_multiple_of(groups) {
        return None;
    }
    let mut held = vec![0.0; heads * head_dim * state];
    let mut output = Vec::new();
    for (row, steps) in mixed.chunks_exact(width).zip(steps.chunks_exact(heads)) {
        let (x, rest) = row.split_at(inner);
        let (b, c) = rest.split_at(shared);
        for head in 0..heads {
            let step = softplus(steps[head] + dt_bias[head]);
            let decay = (-a_log[head].exp() * step).exp();
            let group = head * groups / heads * state;
            let (b, c) = (&b[group..group + state], &c[group..group + state]);
            for place in head * head_dim..(head + 1) * head_dim {
                let own = &mut held[place * state..(place + 1) * state];
                for (value, b) in own.iter_mut().zip(b) {
                    *value *= decay;
                    tally.multiply_add(value, step * x[place], *b);
                }
                output.push(tally.dot(own, c) + skip[head] * x[place]);
            }
        }
    }
    Some(output)
}

/// The gated delta rule (Yang 2024 §3, eq. 10): T × value heads × value_dim out of q, k and v (T × key heads·key_dim
/// twice and value heads·value_dim in one) and strengths before decays (T × value heads twice).
///
/// Of each value head a state S of key_dim × value_dim, with q and k of length one: S ← e^(-e^`a_log`·softplus(a +
/// `dt_bias`))·S, S ← S + k⊗β(v - Sᵀk) with β = σ(b), and Sᵀq goes out. What is read, written and read again counts as a
/// multiply-add for each value of state.
pub(super) fn delta_rule(
    reads: &Reads<'_>,
    (key_heads, key_dim): (u64, u64),
    (value_heads, value_dim): (u64, u64),
    tally: &mut Tally,
) -> Option<Vec<f32>> {
    size(&[value_heads, key_dim, value_dim])?;
    let (keys, values) = (size(&[key_heads, key_dim])?, size(&[value_heads, value_dim])?);
    let (key_heads, key_dim) = (size(&[key_heads])?, size(&[key_dim])?);
    let (heads, value_dim) = (size(&[value_heads])?, size(&[value_dim])?);
    let width = keys.checked_mul(2)?.checked_add(values)?;
    let (mixed, strengths) = (reads.input(0, width)?, reads.input(1, heads.checked_mul(2)?)?);
    let (dt_bias, a_log) = (reads.weights.get("dt_bias", heads)?, reads.weights.get("a_log", heads)?);
    if !heads.is_multiple_of(key_heads) {
        return None;
    }
    let mut held = vec![0.0; heads * key_dim * value_dim];
    let mut output = Vec::new();
    for (row, strengths) in mixed.chunks_exact(width).zip(strengths.chunks_exact(2 * heads)) {
        let (q, rest) = row.split_at(keys);
        let (k, v) = rest.split_at(keys);
        let (b, a) = strengths.split_at(heads);
        for head in 0..heads {
            let shared = head * key_heads / heads * key_dim;
            let (q, k) = (unit(&q[shared..shared + key_dim]), unit(&k[shared..shared + key_dim]));
            let v = &v[head * value_dim..(head + 1) * value_dim];
            let decay = (-a_log[head].exp() * softplus(a[head] + dt_bias[head])).exp();
            let state = &mut held[head * key_dim * value_dim..(head + 1) * key_dim * value_dim];
            state.iter_mut().for_each(|value| *value *= decay);
            let old = read(state, &k, value_dim, tally);
            for (row, k) in state.chunks_exact_mut(value_dim).zip(&k) {
                for ((value, v), old) in row.iter_mut().zip(v).zip(&old) {
                    tally.multiply_add(value, *k, sigmoid(b[head]) * (v - old));
                }
            }
            output.extend(read(state, &q, value_dim, tally));
        }
    }
    Some(output)
}

/// What a state of key_dim × value_dim has for a key: Sᵀk.
fn read(state: &[f32], key: &[f32], value_dim: usize, tally: &mut Tally) -> Vec<f32> {
    let mut sums = vec![0.0; value_dim];
    for (row, key) in state.chunks_exact(value_dim).zip(key) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| tally.multiply_add(sum, *value, *key));
    }
    sums
}

/// A vector at length one.
fn unit(values: &[f32]) -> Vec<f32> {
    let square: f32 = values.iter().map(|value| value * value).sum();
    values.iter().map(|value| value / (square + 1e-6).sqrt()).collect()
}
