//! What needs no matrix product: norms, non-linearities, gates, additions, and the loss.

use llmplan_spec::plan::FfnKind;

use super::{Reads, sigmoid, silu, size, softplus};

/// LayerNorm (Ba 2016), or RMSNorm (Zhang 2019) where it is not centred, over each `width` values of T rows. One row of
/// weights serves all groups, or each group has a row of its own, or there are none.
pub(super) fn norm(reads: &Reads<'_>, width: u64, centred: bool) -> Option<Vec<f32>> {
    let width = size(&[width])?;
    let (input, whole) = reads.any_input(0)?;
    let groups = whole.checked_div(width).filter(|groups| groups * width == whole)?;
    let rows = |name: &str| -> Option<Option<&[f32]>> {
        let Some(values) = reads.weights.find(name) else { return Some(None) };
        (values.len() == width || values.len() == whole).then_some(Some(values))
    };
    let (weights, biases) = (rows("weight")?, rows("bias")?);
    let mut output = Vec::with_capacity(input.len());
    for (at, group) in input.chunks_exact(width).enumerate() {
        let mean = if centred { group.iter().sum::<f32>() / width as f32 } else { 0.0 };
        let variance = group.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / width as f32;
        let scale = 1.0 / (variance + 1e-5).sqrt();
        let place = at % groups * width;
        for (column, value) in group.iter().enumerate() {
            let of = |values: &[f32]| values[(place + column) % values.len()];
            output.push((value - mean) * scale * weights.map_or(1.0, of) + biases.map_or(0.0, of));
        }
    }
    Some(output)
}

/// The non-linearity of a feed-forward network, T × `width`; with a gate it is the gate's, times the first input
/// (Shazeer 2020).
pub(super) fn activation(reads: &Reads<'_>, kind: FfnKind, width: u64) -> Option<Vec<f32>> {
    let width = size(&[width])?;
    let up = reads.input(0, width)?;
    let gated = |function: fn(f32) -> f32| {
        Some(up.iter().zip(reads.input(1, width)?).map(|(up, gate)| up * function(*gate)).collect())
    };
    let plain = |function: fn(f32) -> f32| {
        (reads.inputs.len() == 1).then(|| up.iter().map(|value| function(*value)).collect())
    };
    match kind {
        FfnKind::Gelu => plain(gelu),
        FfnKind::Relu => plain(relu),
        FfnKind::Relu2 => plain(|value| relu(value).powi(2)),
        FfnKind::Silu => plain(silu),
        FfnKind::Geglu => gated(gelu),
        FfnKind::Reglu => gated(relu),
        FfnKind::Swiglu => gated(silu),
        FfnKind::Xielu => {
            let alpha = reads.weights.get("alpha", 2)?;
            Some(up.iter().map(|value| xielu(*value, alpha[0], alpha[1])).collect())
        }
    }
}

/// The first input, T × `width`, times the sigmoid or SiLU of the second, which has as many values or one for several.
pub(super) fn gate(reads: &Reads<'_>, width: u64, by_silu: bool) -> Option<Vec<f32>> {
    let width = size(&[width])?;
    let (gates, count) = reads.any_input(1)?;
    let served = width.checked_div(count).filter(|served| served * count == width)?;
    let function = if by_silu { silu } else { sigmoid };
    let gate = |at: usize| function(gates[at / served]);
    Some(reads.input(0, width)?.iter().enumerate().map(|(at, value)| value * gate(at)).collect())
}

/// Two values of T × `width`, added.
pub(super) fn add(reads: &Reads<'_>, width: u64) -> Option<Vec<f32>> {
    let width = size(&[width])?;
    Some(reads.input(0, width)?.iter().zip(reads.input(1, width)?).map(|(one, other)| one + other).collect())
}

/// A row for each distance 0..T, sines before cosines (Dai 2019 §3.3, after Vaswani 2017 §3.5).
pub(crate) fn sinusoids(distances: usize, width: usize) -> Option<Vec<f32>> {
    let mut rows = Vec::with_capacity(distances.checked_mul(width)?);
    let half = width.div_ceil(2);
    for distance in 0..distances {
        rows.extend((0..width).map(|column| {
            let frequency = 10_000_f32.powf(-((column % half) as f32) / half as f32);
            let angle = distance as f32 * frequency;
            if column < half { angle.sin() } else { angle.cos() }
        }));
    }
    Some(rows)
}

/// Mean cross-entropy of the tokens `ahead` of each, in nats; behind the last one, the first follow again.
pub(crate) fn loss(logits: &[f32], tokens: &[usize], vocab: usize, ahead: usize) -> Option<f32> {
    let mut total = 0.0;
    for (at, row) in logits.chunks_exact(vocab).enumerate() {
        let next = tokens.get((at + ahead) % tokens.len())?;
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|logit| (logit - largest).exp()).sum();
        total += sum.ln() + largest - row.get(*next)?;
    }
    Some(total / tokens.len() as f32)
}

fn relu(value: f32) -> f32 {
    value.max(0.0)
}

/// The approximation by tanh that GPT-2 uses (Hendrycks 2016).
fn gelu(value: f32) -> f32 {
    0.5 * value * (1.0 + (0.797_884_6 * (value + 0.044_715 * value.powi(3))).tanh())
}

/// The expanded integral of ELU, β = 0.5 (Huang 2024, eq. 6).
fn xielu(value: f32, positive: f32, negative: f32) -> f32 {
    let linear = 0.5 * value;
    if value > 0.0 {
        softplus(positive) * value * value + linear
    } else {
        (0.5 + softplus(negative)) * (value.exp_m1() - value) + linear
    }
}
