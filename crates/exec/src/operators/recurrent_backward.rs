//! The vector-Jacobian products of convolution, state-space recurrence and gated delta rule.

use candle_core::{D, Tensor};

use super::pointwise::sigmoid;
use super::recurrent::{DeltaRule, StateSpace, length, past};
use super::{Cotangents, Weights, size};
use crate::context::Context;
use crate::trouble::Result;

/// Each tap spreads the gradient of the sum over the token that it read.
pub(super) fn convolve(
    cx: &Context,
    weights: &Weights<'_>,
    kernel: u64,
    (input, sum): (&Tensor, &Tensor),
    gradient: &Tensor,
) -> Result<Cotangents> {
    let (kernel, channels) = (size(kernel)?, input.dim(1)?);
    let sum = cx.wide(sum)?;
    let share = sigmoid(&sum)?;
    let slope = (&share * (sum * share.affine(-1.0, 1.0)?)?.affine(1.0, 1.0)?)?;
    let d_sum = (cx.wide(gradient)? * slope)?.reshape((cx.sequences, cx.tokens, channels))?;
    let weight = cx.wide(weights.get("weight")?)?;
    let past = past(cx, input, kernel)?;
    let ahead = d_sum.pad_with_zeros(1, 0, kernel - 1)?;
    let mut d_input = Tensor::zeros(d_sum.dims(), cx.wide_type(), &cx.device)?;
    let mut d_taps = Vec::with_capacity(kernel);
    for tap in 0..kernel {
        let later = ahead.narrow(1, kernel - 1 - tap, cx.tokens)?;
        let product = later.broadcast_mul(&weight.narrow(1, tap, 1)?.squeeze(1)?)?;
        cx.count(4 * product.elem_count() as u128);
        d_input = (d_input + product)?;
        d_taps.push((past.narrow(1, tap, cx.tokens)? * &d_sum)?.sum((0, 1))?);
    }
    let d_weight = cx.narrow(&Tensor::stack(&d_taps, 1)?)?;
    let d_bias = match weights.find("bias") {
        Some(bias) => Some(cx.narrow(&d_sum.sum((0, 1))?)?.reshape(bias.dims())?),
        None => None,
    };
    let d_input = cx.narrow(&d_input.reshape((cx.rows(), channels))?)?;
    Ok(Cotangents::of([d_input]).with("weight", d_weight).with_some("bias", d_bias))
}

/// Backwards through time: what a state passes on is what it hands to its output and to the next state.
pub(super) fn state_space(
    cx: &Context,
    weights: &Weights<'_>,
    shape: StateSpace,
    (mixed, steps, states): (&Tensor, &Tensor, &Tensor),
    gradient: &Tensor,
) -> Result<Cotangents> {
    let StateSpace { heads, head_dim, groups, state } = shape;
    let read = shape.read(cx, weights, mixed, steps)?;
    let states = states.reshape((cx.sequences, cx.tokens, heads, head_dim, state))?;
    let gradient = cx.wide(gradient)?.reshape(shape.by_head(cx, head_dim))?;
    let column = gradient.reshape(((), head_dim, 1))?;
    let d_c = cx.product(&states.reshape(((), head_dim, state))?.transpose(1, 2)?, &column)?;
    let direct = cx.product(&column, &read.c.reshape(((), 1, state))?)?.reshape(states.dims())?;
    let decay = read.decay.unsqueeze(3)?.unsqueeze(4)?;
    let mut flow: Option<Tensor> = None;
    let mut flows = Vec::with_capacity(cx.tokens);
    for token in (0..cx.tokens).rev() {
        let own = direct.narrow(1, token, 1)?;
        let whole = match flow {
            Some(later) => (own + later)?,
            None => own,
        };
        flow = Some(whole.broadcast_mul(&decay.narrow(1, token, 1)?)?);
        flows.push(whole);
    }
    flows.reverse();
    let flows = Tensor::cat(&flows, 1)?;
    let before = states.narrow(1, 0, cx.tokens - 1)?.pad_with_zeros(1, 1, 0)?;
    let d_decay = (&flows * before)?.sum((3, 4))?;
    let flat = flows.reshape(((), head_dim, state))?;
    let pushed = read.x.broadcast_mul(&read.step.unsqueeze(3)?)?;
    let d_pushed = cx.product(&flat, &read.b.reshape(((), state, 1))?)?.reshape(gradient.dims())?;
    let d_b = cx.product(&flat.transpose(1, 2)?, &pushed.reshape(((), head_dim, 1))?)?;
    let skip = cx.wide(weights.get("d")?)?.reshape((1, 1, heads, 1))?;
    let d_x = (d_pushed.broadcast_mul(&read.step.unsqueeze(3)?)? + gradient.broadcast_mul(&skip)?)?;
    // decay = e^(-rate·step), rate = e^a_log.
    let d_exponent = (d_decay * &read.decay)?.neg()?;
    let d_step = ((d_pushed * &read.x)?.sum(D::Minus1)? + d_exponent.broadcast_mul(&read.rate)?)?;
    let d_raw = (d_step * sigmoid(&read.raw)?)?;
    let d_rate = (d_exponent * &read.step)?.sum((0, 1))?;
    let by_group = |rows: Tensor| -> Result<Tensor> {
        let rows = rows.reshape((cx.rows(), groups, heads / groups, state))?.sum(2)?;
        Ok(rows.reshape((cx.rows(), groups * state))?)
    };
    let d_x_rows = d_x.reshape((cx.rows(), heads * head_dim))?;
    let d_mixed = Tensor::cat(&[&d_x_rows, &by_group(d_b)?, &by_group(d_c)?], 1)?;
    let d_steps = cx.narrow(&d_raw.reshape((cx.rows(), heads))?)?;
    let shaped = |name: &'static str, sum: Tensor| -> Result<Tensor> {
        Ok(cx.narrow(&sum)?.reshape(weights.get(name)?.dims())?)
    };
    Ok(Cotangents::of([cx.narrow(&d_mixed)?, d_steps])
        .with("dt_bias", shaped("dt_bias", d_raw.sum((0, 1))?)?)
        .with("a_log", shaped("a_log", (d_rate * &read.rate)?)?)
        .with("d", shaped("d", (gradient * &read.x)?.sum((0, 1, 3))?)?))
}

/// Backwards through time, with the states and what was read of them.
pub(super) fn delta_rule(
    cx: &Context,
    weights: &Weights<'_>,
    shape: DeltaRule,
    (mixed, strengths): (&Tensor, &Tensor),
    (states, reads): (&Tensor, &Tensor),
    gradient: &Tensor,
) -> Result<Cotangents> {
    let DeltaRule { key_heads, value_heads: heads, key_dim, value_dim } = shape;
    let rules = shape.read(cx, weights, mixed, strengths)?;
    let all = cx.sequences * heads;
    let states = states.reshape((cx.sequences, cx.tokens, heads, key_dim, value_dim))?;
    let gradient = cx.wide(gradient)?.reshape(((), value_dim, 1))?;
    let d_q = cx.product(&states.reshape(((), key_dim, value_dim))?, &gradient)?;
    let direct = cx
        .product(&rules.q.reshape(((), key_dim, 1))?, &gradient.transpose(1, 2)?)?
        .reshape(states.dims())?;
    let wrong = (&rules.v - reads.reshape(rules.v.dims())?)?;
    let at = |tensor: &Tensor, token: usize, width: usize| -> Result<Tensor> {
        Ok(tensor.narrow(1, token, 1)?.contiguous()?.reshape((all, width, 1))?)
    };
    let whole = |tensor: &Tensor, token: usize| -> Result<Tensor> {
        Ok(tensor.narrow(1, token, 1)?.contiguous()?.reshape((all, key_dim, value_dim))?)
    };
    let mut flow: Option<Tensor> = None;
    let (mut d_k, mut d_v, mut d_strength, mut d_decay) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for token in (0..cx.tokens).rev() {
        let own = whole(&direct, token)?;
        let own = match flow {
            Some(later) => (own + later)?,
            None => own,
        };
        let (k, decay) = (at(&rules.k, token, key_dim)?, at(&rules.decay, token, 1)?);
        let (wrong, strength) = (at(&wrong, token, value_dim)?, at(&rules.strength, token, 1)?);
        let change = wrong.broadcast_mul(&strength)?;
        let d_change = cx.product(&own.transpose(1, 2)?, &k)?;
        let d_wrong = d_change.broadcast_mul(&strength)?;
        let before = match token.checked_sub(1) {
            Some(earlier) => whole(&states, earlier)?,
            None => own.zeros_like()?,
        };
        let kept = before.broadcast_mul(&decay)?;
        let written = cx.product(&own, &change)?;
        let read = cx.product(&kept, &d_wrong)?;
        d_k.push((written - read)?);
        let d_kept = (own - cx.product(&k, &d_wrong.transpose(1, 2)?)?)?;
        d_decay.push((&d_kept * before)?.sum((1, 2))?.reshape((all, 1, 1))?);
        d_strength.push((d_change * wrong)?.sum(1)?.reshape((all, 1, 1))?);
        d_v.push(d_wrong);
        flow = Some(d_kept.broadcast_mul(&decay)?);
    }
    let ordered = |mut parts: Vec<Tensor>, width: usize| -> Result<Tensor> {
        parts.reverse();
        let parts: Vec<Tensor> = parts
            .iter()
            .map(|part| part.reshape((cx.sequences, 1, heads, width)))
            .collect::<candle_core::Result<_>>()?;
        Ok(Tensor::cat(&parts, 1)?)
    };
    let keys = |d_unit: Tensor, place: usize| -> Result<Tensor> {
        let raw = shape.keys(cx, &cx.wide(mixed)?, place)?;
        let d_raw = d_raw_of_unit(&raw, &d_unit)?;
        let rows = d_raw.reshape((cx.rows(), key_heads, heads / key_heads, key_dim))?.sum(2)?;
        Ok(rows.reshape((cx.rows(), key_heads * key_dim))?)
    };
    let d_q = keys(d_q.reshape(rules.q.dims())?, 0)?;
    let d_k = keys(ordered(d_k, key_dim)?, 1)?;
    let d_v = ordered(d_v, value_dim)?.reshape((cx.rows(), heads * value_dim))?;
    let d_mixed = cx.narrow(&Tensor::cat(&[d_q, d_k, d_v], 1)?)?;
    // decay = e^(-rate·softplus(raw)), strength = σ(b).
    let d_strength = ordered(d_strength, 1)?.squeeze(3)?;
    let d_b = ((d_strength * &rules.strength)? * rules.strength.affine(-1.0, 1.0)?)?;
    let d_exponent = (ordered(d_decay, 1)?.squeeze(3)? * &rules.decay)?.neg()?;
    let d_raw = (d_exponent.broadcast_mul(&rules.rate)? * sigmoid(&rules.raw)?)?;
    let soft = super::pointwise::softplus(&rules.raw)?;
    let d_rate = ((d_exponent * soft)?.sum((0, 1))? * &rules.rate)?;
    let rows = (cx.rows(), heads);
    let d_strengths = Tensor::cat(&[d_b.reshape(rows)?, d_raw.reshape(rows)?], 1)?;
    let shaped = |name: &'static str, sum: Tensor| -> Result<Tensor> {
        Ok(cx.narrow(&sum)?.reshape(weights.get(name)?.dims())?)
    };
    Ok(Cotangents::of([d_mixed, cx.narrow(&d_strengths)?])
        .with("dt_bias", shaped("dt_bias", d_raw.sum((0, 1))?)?)
        .with("a_log", shaped("a_log", d_rate)?))
}

/// Through the division by a vector's length.
fn d_raw_of_unit(raw: &Tensor, d_unit: &Tensor) -> Result<Tensor> {
    let length = length(raw)?;
    let unit = raw.broadcast_div(&length)?;
    let along = (&unit * d_unit)?.sum_keepdim(D::Minus1)?;
    Ok((d_unit - unit.broadcast_mul(&along)?)?.broadcast_div(&length)?)
}
