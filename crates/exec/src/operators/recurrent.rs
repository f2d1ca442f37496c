//! Layers whose state does not grow with the sequence: convolution, state-space recurrence, gated delta rule.

use candle_core::{D, Tensor};

use super::pointwise::{sigmoid, softplus};
use super::{Done, Held, Weights, size};
use crate::context::Context;
use crate::trouble::{Result, Trouble};

/// Mixes each channel with its own `kernel` last tokens, itself included, then SiLU (Gu 2023 §3.4). Before the first
/// token of a sequence there are zeros, which are multiplied like the rest. Keeps the sum.
pub(super) fn convolve(cx: &Context, weights: &Weights<'_>, kernel: u64, input: &Tensor) -> Result<Done> {
    let (kernel, channels) = (size(kernel)?, input.dim(1)?);
    let weight = cx.wide(weights.get("weight")?)?;
    let past = past(cx, input, kernel)?;
    let mut sum = Tensor::zeros((cx.sequences, cx.tokens, channels), cx.wide_type(), &cx.device)?;
    for tap in 0..kernel {
        let product =
            past.narrow(1, tap, cx.tokens)?.broadcast_mul(&weight.narrow(1, tap, 1)?.squeeze(1)?)?;
        cx.count(2 * product.elem_count() as u128);
        sum = (sum + product)?;
    }
    if let Some(bias) = weights.find("bias") {
        sum = sum.broadcast_add(&cx.wide(&bias.flatten_all()?)?)?;
    }
    let sum = sum.reshape((cx.rows(), channels))?;
    let output = cx.narrow(&(&sum * sigmoid(&sum)?)?)?;
    Ok(Done { output: Held::Tensor(output), extras: vec![cx.narrow(&sum)?.detach()] })
}

/// The tokens of each sequence behind `kernel` - 1 rows of zeros: B × (kernel - 1 + T) × channels.
pub(super) fn past(cx: &Context, input: &Tensor, kernel: usize) -> Result<Tensor> {
    let channels = input.dim(1)?;
    let values = cx.wide(input)?.reshape((cx.sequences, cx.tokens, channels))?;
    Ok(values.pad_with_zeros(1, kernel - 1, 0)?)
}

/// The shape of a state-space recurrence.
#[derive(Clone, Copy)]
pub(super) struct StateSpace {
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    pub(super) groups: usize,
    pub(super) state: usize,
}

/// What a state-space recurrence reads at each token, with B, T and heads in front.
pub(super) struct Steps {
    /// … × head_dim.
    pub(super) x: Tensor,
    /// … × state, of the head's group.
    pub(super) b: Tensor,
    /// … × state, of the head's group.
    pub(super) c: Tensor,
    /// What the step is before its softplus.
    pub(super) raw: Tensor,
    /// Δ: … without more.
    pub(super) step: Tensor,
    /// e^(-e^a_log·Δ).
    pub(super) decay: Tensor,
    /// e^a_log of the heads.
    pub(super) rate: Tensor,
}

impl StateSpace {
    pub(super) fn of(heads: u64, head_dim: u64, groups: u64, state: u64) -> Result<StateSpace> {
        let shape = StateSpace {
            heads: size(heads)?,
            head_dim: size(head_dim)?,
            groups: size(groups)?,
            state: size(state)?,
        };
        match shape.heads.is_multiple_of(shape.groups) {
            true => Ok(shape),
            false => Err(Trouble::Misshapen("mamba2.scan")),
        }
    }

    /// B × T × heads × `width`.
    pub(super) fn by_head(self, cx: &Context, width: usize) -> (usize, usize, usize, usize) {
        (cx.sequences, cx.tokens, self.heads, width)
    }

    pub(super) fn read(
        self,
        cx: &Context,
        weights: &Weights<'_>,
        mixed: &Tensor,
        steps: &Tensor,
    ) -> Result<Steps> {
        let (inner, shared) = (self.heads * self.head_dim, self.groups * self.state);
        let mixed = cx.wide(mixed)?;
        let group = |start: usize| -> Result<Tensor> {
            let rows = mixed.narrow(1, start, shared)?.contiguous()?;
            let served = self.heads / self.groups;
            let rows = rows.reshape((cx.rows(), self.groups, 1, self.state))?;
            let rows = rows.broadcast_as((cx.rows(), self.groups, served, self.state))?.contiguous()?;
            Ok(rows.reshape(self.by_head(cx, self.state))?)
        };
        let vector = |name| -> Result<Tensor> { cx.wide(&weights.get(name)?.flatten_all()?) };
        let raw = cx.wide(steps)?.broadcast_add(&vector("dt_bias")?)?;
        let step = softplus(&raw)?;
        let rate = vector("a_log")?.exp()?;
        let decay = step.broadcast_mul(&rate)?.neg()?.exp()?;
        let each = (cx.sequences, cx.tokens, self.heads);
        Ok(Steps {
            x: mixed.narrow(1, 0, inner)?.contiguous()?.reshape(self.by_head(cx, self.head_dim))?,
            b: group(inner)?,
            c: group(inner + shared)?,
            raw: raw.reshape(each)?,
            step: step.reshape(each)?,
            decay: decay.reshape(each)?,
            rate,
        })
    }
}

/// The state-space recurrence of Mamba-2 (Dao 2024 §7.1): of each head a state h of head_dim × state, h ← decay·h +
/// Δx⊗B, and y = hC + `d`·x. Keeps the states behind all tokens. A sequence begins with a state of zeros.
pub(super) fn state_space(
    cx: &Context,
    weights: &Weights<'_>,
    shape: StateSpace,
    mixed: &Tensor,
    steps: &Tensor,
) -> Result<Done> {
    let StateSpace { heads, head_dim, state, .. } = shape;
    let steps = shape.read(cx, weights, mixed, steps)?;
    let pushed = steps.x.broadcast_mul(&steps.step.unsqueeze(3)?)?;
    let updates = cx
        .product(&pushed.reshape(((), head_dim, 1))?, &steps.b.reshape(((), 1, state))?)?
        .reshape((cx.sequences, cx.tokens, heads, head_dim, state))?;
    let decay = steps.decay.unsqueeze(3)?.unsqueeze(4)?;
    let mut held: Option<Tensor> = None;
    let mut states = Vec::with_capacity(cx.tokens);
    for token in 0..cx.tokens {
        let update = updates.narrow(1, token, 1)?;
        let next = match held {
            Some(held) => (held.broadcast_mul(&decay.narrow(1, token, 1)?)? + update)?,
            None => update,
        };
        states.push(next.clone());
        held = Some(next);
    }
    let states = Tensor::cat(&states, 1)?;
    let read = cx.product(&states.reshape(((), head_dim, state))?, &steps.c.reshape(((), state, 1))?)?;
    let skip = cx.wide(weights.get("d")?)?.reshape((1, 1, heads, 1))?;
    let output = (read.reshape(shape.by_head(cx, head_dim))? + steps.x.broadcast_mul(&skip)?)?;
    let output = cx.narrow(&output.reshape((cx.rows(), heads * head_dim))?)?;
    let states = states.detach().reshape((cx.rows(), heads * head_dim * state))?;
    Ok(Done { output: Held::Tensor(output), extras: vec![states] })
}

/// The shape of a gated delta rule.
#[derive(Clone, Copy)]
pub(super) struct DeltaRule {
    pub(super) key_heads: usize,
    pub(super) value_heads: usize,
    pub(super) key_dim: usize,
    pub(super) value_dim: usize,
}

/// What a delta rule reads at each token, with B, T and value heads in front.
pub(super) struct Rules {
    /// … × key_dim, of length one.
    pub(super) q: Tensor,
    /// … × key_dim, of length one.
    pub(super) k: Tensor,
    /// … × value_dim.
    pub(super) v: Tensor,
    /// β: … without more.
    pub(super) strength: Tensor,
    /// What the decay is made of, before softplus.
    pub(super) raw: Tensor,
    /// e^(-e^a_log·softplus(raw)).
    pub(super) decay: Tensor,
    /// e^a_log of the heads.
    pub(super) rate: Tensor,
}

impl DeltaRule {
    pub(super) fn of(key_heads: u64, value_heads: u64, key_dim: u64, value_dim: u64) -> Result<DeltaRule> {
        let shape = DeltaRule {
            key_heads: size(key_heads)?,
            value_heads: size(value_heads)?,
            key_dim: size(key_dim)?,
            value_dim: size(value_dim)?,
        };
        match shape.value_heads.is_multiple_of(shape.key_heads) {
            true => Ok(shape),
            false => Err(Trouble::Misshapen("gated_delta.rule")),
        }
    }

    /// B × T × value heads × `width`.
    pub(super) fn by_head(self, cx: &Context, width: usize) -> (usize, usize, usize, usize) {
        (cx.sequences, cx.tokens, self.value_heads, width)
    }

    /// The queries or keys before they have length one, each for all value heads that it serves.
    pub(super) fn keys(self, cx: &Context, mixed: &Tensor, place: usize) -> Result<Tensor> {
        let width = self.key_heads * self.key_dim;
        let rows = mixed.narrow(1, place * width, width)?.contiguous()?;
        let served = self.value_heads / self.key_heads;
        let rows = rows.reshape((cx.rows(), self.key_heads, 1, self.key_dim))?;
        let rows = rows.broadcast_as((cx.rows(), self.key_heads, served, self.key_dim))?.contiguous()?;
        Ok(rows.reshape(self.by_head(cx, self.key_dim))?)
    }

    pub(super) fn read(
        self,
        cx: &Context,
        weights: &Weights<'_>,
        mixed: &Tensor,
        strengths: &Tensor,
    ) -> Result<Rules> {
        let mixed = cx.wide(mixed)?;
        let values = self.value_heads * self.value_dim;
        let v = mixed.narrow(1, 2 * self.key_heads * self.key_dim, values)?.contiguous()?;
        let strengths = cx.wide(strengths)?;
        let half = |place: usize| strengths.narrow(1, place * self.value_heads, self.value_heads);
        let vector = |name| -> Result<Tensor> { cx.wide(&weights.get(name)?.flatten_all()?) };
        let each = (cx.sequences, cx.tokens, self.value_heads);
        let raw = half(1)?.broadcast_add(&vector("dt_bias")?)?;
        let rate = vector("a_log")?.exp()?;
        let decay = softplus(&raw)?.broadcast_mul(&rate)?.neg()?.exp()?;
        Ok(Rules {
            q: unit(&self.keys(cx, &mixed, 0)?)?,
            k: unit(&self.keys(cx, &mixed, 1)?)?,
            v: v.reshape(self.by_head(cx, self.value_dim))?,
            strength: sigmoid(&half(0)?.contiguous()?)?.reshape(each)?,
            raw: raw.reshape(each)?,
            decay: decay.reshape(each)?,
            rate,
        })
    }
}

/// The gated delta rule (Yang 2024 §3, eq. 10): of each value head a state S of key_dim × value_dim, S ← decay·S, S ← S +
/// k⊗β(v - Sᵀk), and Sᵀq goes out. Keeps the states behind all tokens, and what was read with the keys.
pub(super) fn delta_rule(
    cx: &Context,
    weights: &Weights<'_>,
    shape: DeltaRule,
    mixed: &Tensor,
    strengths: &Tensor,
) -> Result<Done> {
    let DeltaRule { value_heads: heads, key_dim, value_dim, .. } = shape;
    let rules = shape.read(cx, weights, mixed, strengths)?;
    let all = cx.sequences * heads;
    let at = |tensor: &Tensor, token: usize, width: usize| -> Result<Tensor> {
        Ok(tensor.narrow(1, token, 1)?.contiguous()?.reshape((all, width, 1))?)
    };
    let mut held = Tensor::zeros((all, key_dim, value_dim), cx.wide_type(), &cx.device)?;
    let (mut states, mut reads) = (Vec::with_capacity(cx.tokens), Vec::with_capacity(cx.tokens));
    for token in 0..cx.tokens {
        let decay = at(&rules.decay, token, 1)?;
        let k = at(&rules.k, token, key_dim)?;
        let kept = held.broadcast_mul(&decay)?;
        let read = cx.product(&kept.transpose(1, 2)?, &k)?;
        let wrong = (at(&rules.v, token, value_dim)? - &read)?;
        let change = wrong.broadcast_mul(&at(&rules.strength, token, 1)?)?;
        held = (kept + cx.product(&k, &change.transpose(1, 2)?)?)?;
        states.push(held.reshape((cx.sequences, 1, heads, key_dim, value_dim))?);
        reads.push(read.detach().reshape((cx.sequences, 1, heads, value_dim))?);
    }
    let (states, reads) = (Tensor::cat(&states, 1)?, Tensor::cat(&reads, 1)?);
    let by_pair = states.reshape(((), key_dim, value_dim))?.transpose(1, 2)?;
    let output = cx.product(&by_pair, &rules.q.reshape(((), key_dim, 1))?)?;
    let width = heads * value_dim;
    let output = cx.narrow(&output.reshape((cx.rows(), width))?)?;
    let states = states.detach().reshape((cx.rows(), key_dim * width))?;
    Ok(Done { output: Held::Tensor(output), extras: vec![states, reads.reshape((cx.rows(), width))?] })
}

/// Vectors at length one.
fn unit(values: &Tensor) -> Result<Tensor> {
    Ok(values.broadcast_div(&length(values)?)?)
}

/// The length of vectors.
pub(super) fn length(values: &Tensor) -> Result<Tensor> {
    Ok((values.sqr()?.sum_keepdim(D::Minus1)? + 1e-6)?.sqrt()?)
}
