//! LayerNorm (Ba 2016) and RMSNorm (Zhang 2019).

use candle_core::{D, Tensor};

use super::{Cotangents, Done, Held, Weights, size};
use crate::access::Lent;
use crate::context::Context;
use crate::kernels::norm as kernels;
use crate::trouble::{Result, Trouble};

/// Normalises each `width` values. One row of weights serves all such groups of a token, or each has a row of its own,
/// or there are none. Keeps the mean, where it is taken off, and the reciprocal of the deviation.
pub(super) fn norm(
    cx: &Context,
    weights: &Weights<'_>,
    width: u64,
    centred: bool,
    input: &Tensor,
) -> Result<Done> {
    let (width, whole) = (size(width)?, input.dim(1)?);
    if !whole.is_multiple_of(width) {
        return Err(Trouble::Misshapen("norm"));
    }
    if let Some(done) = fused(cx, weights, (width, centred), input)? {
        return Ok(done);
    }
    let groups = cx.wide(input)?.reshape(((), width))?;
    let mut extras = Vec::new();
    let mut offset = groups;
    if centred {
        let mean = offset.mean_keepdim(1)?;
        offset = offset.broadcast_sub(&mean)?;
        extras.push(mean.detach());
    }
    let variance = offset.sqr()?.mean_keepdim(1)?;
    let deviation = (variance + kernels::EPSILON)?.sqrt()?.recip()?;
    let mut output = offset.broadcast_mul(&deviation)?;
    extras.push(deviation.detach());
    if let Some(weight) = weights.find("weight") {
        output = output.reshape(shape(weight, whole)?)?.broadcast_mul(&row(cx, weight)?)?;
    }
    if let Some(bias) = weights.find("bias") {
        output = output.reshape(shape(bias, whole)?)?.broadcast_add(&row(cx, bias)?)?;
    }
    Ok(Done { output: Held::Tensor(cx.narrow(&output.reshape(((), whole))?)?), extras })
}

/// The same by a kernel, whose statistics are rows of mean and deviation: they are kept as one tensor each.
fn fused(
    cx: &Context,
    weights: &Weights<'_>,
    (width, centred): (usize, bool),
    input: &Tensor,
) -> Result<Option<Done>> {
    let lent = (cx.lend(input), cx.lend_some(weights.find("weight")), cx.lend_some(weights.find("bias")));
    let (Some(values), Some(weight), Some(bias)) = lent else { return Ok(None) };
    let how = kernels::Norm {
        width,
        centred,
        weight: weight.as_ref().map(Lent::values),
        bias: bias.as_ref().map(Lent::values),
    };
    let (output, statistics) = kernels::norm(values.values(), how);
    let groups = values.values().len() / width;
    let column = |of: usize| -> Result<Tensor> {
        let each = if centred { 2 } else { 1 };
        cx.made(statistics.iter().skip(of).step_by(each).copied().collect(), (groups, 1))
    };
    let extras = if centred { vec![column(0)?, column(1)?] } else { vec![column(0)?] };
    Ok(Some(Done { output: Held::Tensor(cx.made(output, input.dims())?), extras }))
}

/// The statistics of a kernel, out of what was kept.
fn statistics(cx: &Context, extras: &[Tensor]) -> Option<Vec<f32>> {
    match extras {
        [deviation] => Some(cx.lend(deviation)?.values().to_vec()),
        [mean, deviation] => {
            let (mean, deviation) = (cx.lend(mean)?, cx.lend(deviation)?);
            let pairs = mean.values().iter().zip(deviation.values());
            Some(pairs.flat_map(|(mean, deviation)| [*mean, *deviation]).collect())
        }
        _ => None,
    }
}

/// The gradients by a kernel.
fn fused_backward(
    cx: &Context,
    weights: &Weights<'_>,
    (width, centred): (usize, bool),
    (input, extras): (&Tensor, &[Tensor]),
    gradient: &Tensor,
) -> Result<Option<Cotangents>> {
    let own = [weights.find("weight"), weights.find("bias")];
    let lent = (cx.lend(input), cx.lend(gradient), cx.lend_some(own[0]), cx.lend_some(own[1]));
    let (Some(values), Some(gradient), Some(weight), Some(bias)) = lent else { return Ok(None) };
    let Some(statistics) = statistics(cx, extras) else { return Ok(None) };
    let how = kernels::Norm {
        width,
        centred,
        weight: weight.as_ref().map(Lent::values),
        bias: bias.as_ref().map(Lent::values),
    };
    let found = kernels::norm_backward(values.values(), &statistics, gradient.values(), how);
    let mut cotangents = Cotangents::of([cx.made(found.x, input.dims())?]);
    for (name, own, values) in [("weight", own[0], found.weight), ("bias", own[1], found.bias)] {
        if let (Some(own), Some(values)) = (own, values) {
            cotangents = cotangents.with(name, cx.made(values, own.dims())?);
        }
    }
    Ok(Some(cotangents))
}

pub(super) fn norm_backward(
    cx: &Context,
    weights: &Weights<'_>,
    width: u64,
    centred: bool,
    (input, extras): (&Tensor, &[Tensor]),
    gradient: &Tensor,
) -> Result<Cotangents> {
    let (width, whole) = (size(width)?, input.dim(1)?);
    if let Some(found) = fused_backward(cx, weights, (width, centred), (input, extras), gradient)? {
        return Ok(found);
    }
    let (mean, deviation) = match (centred, extras) {
        (true, [mean, deviation]) => (Some(mean), deviation),
        (false, [deviation]) => (None, deviation),
        _ => return Err(Trouble::NotKept),
    };
    let mut normed = cx.wide(input)?.reshape(((), width))?;
    if let Some(mean) = mean {
        normed = normed.broadcast_sub(mean)?;
    }
    let normed = normed.broadcast_mul(deviation)?;
    let mut d_normed = cx.wide(gradient)?;
    let mut found = Cotangents::default();
    for name in ["weight", "bias"] {
        let Some(own) = weights.find(name) else { continue };
        let d_row = match name {
            "weight" => (d_normed.reshape(normed.dims())? * &normed)?,
            _ => d_normed.clone(),
        };
        let d_row = d_row.reshape(shape(own, whole)?)?.sum(0)?;
        found = found.with(name, cx.narrow(&d_row)?.reshape(own.dims())?);
    }
    if let Some(weight) = weights.find("weight") {
        d_normed = d_normed.reshape(shape(weight, whole)?)?.broadcast_mul(&row(cx, weight)?)?;
    }
    let d_normed = d_normed.reshape(((), width))?;
    let along = (&d_normed * &normed)?.mean_keepdim(D::Minus1)?;
    let mut d_input = (&d_normed - normed.broadcast_mul(&along)?)?;
    if centred {
        d_input = d_input.broadcast_sub(&d_normed.mean_keepdim(1)?)?;
    }
    let d_input = d_input.broadcast_mul(deviation)?.reshape(((), whole))?;
    found.inputs = vec![Some(cx.narrow(&d_input)?)];
    Ok(found)
}

/// Rows as long as the tensor's values.
fn shape(weight: &Tensor, whole: usize) -> Result<((), usize)> {
    let values = weight.elem_count();
    whole.is_multiple_of(values).then_some(((), values)).ok_or(Trouble::Misshapen("norm"))
}

fn row(cx: &Context, weight: &Tensor) -> Result<Tensor> {
    cx.wide(&weight.flatten_all()?)
}
