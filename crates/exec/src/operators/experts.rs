//! Mixtures of experts: who goes where, the products of those experts only, and their sum.

use candle_core::{D, Tensor};

use super::{Cotangents, Done, Held, Routes, Weights, size};
use crate::context::Context;
use crate::trouble::{Result, Trouble};

/// B·T × `inner` → routes to the experts with the largest scores, of equal ones to the first; their softmax is the
/// weights (Shazeer 2017 §2.1). A `correction_bias` has a part in the choice and none in the weights (DeepSeek-V3
/// §2.1.2).
pub(super) fn route(cx: &Context, weights: &Weights<'_>, active: u64, input: &Tensor) -> Result<Done> {
    let active = size(active)?;
    let mut scores = cx.wide(&cx.product(input, weights.get("weight")?)?)?;
    if let Some(bias) = weights.find("bias") {
        scores = scores.broadcast_add(&cx.wide(&bias.flatten_all()?)?)?;
    }
    let mut wanted = scores.detach();
    if let Some(correction) = weights.find("correction_bias") {
        wanted = wanted.broadcast_add(&cx.wide(&correction.flatten_all()?)?)?;
    }
    let mut numbers = Vec::with_capacity(cx.rows() * active);
    for row in wanted.to_dtype(candle_core::DType::F64)?.to_vec2::<f64>()? {
        let mut order: Vec<u32> = (0..row.len() as u32).collect();
        // The sort is stable: equal ones stay in order.
        order.sort_by(|one, other| row[*other as usize].total_cmp(&row[*one as usize]));
        order.truncate(active);
        numbers.extend(order);
    }
    if numbers.len() != cx.rows() * active {
        return Err(Trouble::Misshapen("moe.router"));
    }
    let numbers = Tensor::from_vec(numbers, (cx.rows(), active), &cx.device)?;
    let chosen = scores.gather(&numbers, D::Minus1)?;
    let powers = chosen.broadcast_sub(&chosen.detach().max_keepdim(1)?)?.exp()?;
    let shares = powers.broadcast_div(&powers.sum_keepdim(1)?)?;
    Ok(Done { output: Held::Routes(Routes { numbers, shares }), extras: Vec::new() })
}

/// `gradient` is that of the shares.
pub(super) fn route_backward(
    cx: &Context,
    weights: &Weights<'_>,
    input: &Tensor,
    routes: &Routes,
    gradient: &Tensor,
) -> Result<Cotangents> {
    let weight = weights.get("weight")?;
    let flow = (&routes.shares * gradient)?;
    let d_chosen = (&flow - routes.shares.broadcast_mul(&flow.sum_keepdim(1)?)?)?;
    let zeros = Tensor::zeros((cx.rows(), weight.dim(1)?), d_chosen.dtype(), &cx.device)?;
    let d_scores = zeros.scatter_add(&routes.numbers, &d_chosen, 1)?;
    let d_bias = match weights.find("bias") {
        Some(bias) => Some(cx.narrow(&d_scores.sum(0)?)?.reshape(bias.dims())?),
        None => None,
    };
    let d_scores = cx.narrow(&d_scores)?;
    let d_input = cx.product(&d_scores, &weight.t()?)?;
    let d_weight = cx.product(&input.t()?, &d_scores)?;
    Ok(Cotangents::of([d_input]).with("weight", d_weight).with_some("bias", d_bias))
}

/// The shape of the experts' product.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    experts: usize,
    inner: usize,
    outer: usize,
    fan_out: bool,
}

impl Shape {
    pub(super) fn of(experts: u64, inner: u64, outer: u64, fan_out: bool) -> Result<Shape> {
        Ok(Shape { experts: size(experts)?, inner: size(inner)?, outer: size(outer)?, fan_out })
    }

    /// The matrix of one expert.
    fn matrix(self, weight: &Tensor, expert: usize) -> Result<Tensor> {
        Ok(weight.reshape((self.experts, self.inner, self.outer))?.get(expert)?)
    }
}

/// The visits of tokens to experts, sorted by expert.
struct Visits {
    /// For each visit in sorted order, its place: token · active + slot.
    places: Tensor,
    /// For each place, the visit's position in sorted order.
    positions: Tensor,
    /// For each visit in sorted order, its token.
    tokens: Tensor,
    /// Visits of each expert.
    counts: Vec<usize>,
}

impl Visits {
    fn of(cx: &Context, shape: Shape, routes: &Routes) -> Result<Visits> {
        let active = routes.numbers.dim(1)?;
        let numbers = routes.numbers.flatten_all()?.to_vec1::<u32>()?;
        let mut places: Vec<u32> = (0..numbers.len() as u32).collect();
        // Stable: within an expert, tokens stay in order.
        places.sort_by_key(|place| numbers[*place as usize]);
        let mut positions = vec![0; places.len()];
        for (position, place) in (0_u32..).zip(&places) {
            positions[*place as usize] = position;
        }
        let mut counts = vec![0; shape.experts];
        for number in &numbers {
            *counts.get_mut(*number as usize).ok_or(Trouble::Misshapen("routes"))? += 1;
        }
        let tokens: Vec<u32> = places.iter().map(|place| place / active as u32).collect();
        Ok(Visits {
            places: Tensor::new(places, &cx.device)?,
            positions: Tensor::new(positions, &cx.device)?,
            tokens: Tensor::new(tokens, &cx.device)?,
            counts,
        })
    }

    /// What the visits read, sorted: visits × `inner`.
    fn read(&self, shape: Shape, input: &Tensor) -> Result<Tensor> {
        match shape.fan_out {
            true => Ok(input.index_select(&self.tokens, 0)?),
            false => Ok(input.reshape(((), shape.inner))?.index_select(&self.places, 0)?),
        }
    }

    /// For each expert that is visited its number, and the rows of its visits.
    fn by_expert(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        let mut start = 0;
        self.counts.iter().enumerate().filter_map(move |(expert, count)| {
            start += count;
            (*count > 0).then_some((expert, start - count, *count))
        })
    }
}

/// B·T × `inner` where the same row fans out to all, else B·T × active·`inner` → B·T × active·`outer`, by the matrices
/// of the experts that a token was sent to.
pub(super) fn matmul(
    cx: &Context,
    weights: &Weights<'_>,
    shape: Shape,
    input: &Tensor,
    routes: &Routes,
) -> Result<Done> {
    let visits = Visits::of(cx, shape, routes)?;
    let read = visits.read(shape, input)?;
    let weight = weights.get("weight")?;
    let mut parts = Vec::new();
    for (expert, start, count) in visits.by_expert() {
        let mut part = cx.product(&read.narrow(0, start, count)?, &shape.matrix(weight, expert)?)?;
        if let Some(biases) = weights.find("bias") {
            part = part.broadcast_add(&biases.reshape((shape.experts, shape.outer))?.get(expert)?)?;
        }
        parts.push(part);
    }
    let sorted = Tensor::cat(&parts, 0)?;
    Ok(sorted.index_select(&visits.positions, 0)?.reshape((cx.rows(), ()))?.into())
}

pub(super) fn matmul_backward(
    cx: &Context,
    weights: &Weights<'_>,
    shape: Shape,
    input: &Tensor,
    routes: &Routes,
    gradient: &Tensor,
) -> Result<Cotangents> {
    let visits = Visits::of(cx, shape, routes)?;
    let read = visits.read(shape, input)?;
    let gradient = gradient.reshape(((), shape.outer))?.index_select(&visits.places, 0)?;
    let weight = weights.get("weight")?;
    let mut d_read = Vec::new();
    // Experts that nobody visits have a gradient all the same: none.
    let none = |width: usize| Tensor::zeros((width, shape.outer), cx.dtype, &cx.device);
    let mut d_weights = vec![none(shape.inner)?; shape.experts];
    let mut d_biases = vec![none(1)?; shape.experts];
    for (expert, start, count) in visits.by_expert() {
        let own = gradient.narrow(0, start, count)?;
        d_read.push(cx.product(&own, &shape.matrix(weight, expert)?.t()?)?);
        d_weights[expert] = cx.product(&read.narrow(0, start, count)?.t()?, &own)?;
        d_biases[expert] = cx.narrow(&cx.wide(&own)?.sum_keepdim(0)?)?;
    }
    let d_read = Tensor::cat(&d_read, 0)?;
    let d_input = match shape.fan_out {
        true => {
            let zeros = Tensor::zeros((cx.rows(), shape.inner), cx.wide_type(), &cx.device)?;
            cx.narrow(&zeros.index_add(&visits.tokens, &cx.wide(&d_read)?, 0)?)?
        }
        false => d_read.index_select(&visits.positions, 0)?.reshape(input.dims())?,
    };
    let d_weight = Tensor::stack(&d_weights, 0)?.reshape(weight.dims())?;
    let found = Cotangents::of([d_input]).with("weight", d_weight);
    let Some(bias) = weights.find("bias") else { return Ok(found) };
    Ok(found.with("bias", Tensor::stack(&d_biases, 0)?.reshape(bias.dims())?))
}

/// B·T × active·`width` → B·T × `width`: the outputs of a token's experts by their weights, added up.
pub(super) fn combine(cx: &Context, width: u64, input: &Tensor, routes: &Routes) -> Result<Done> {
    let values = cx.wide(input)?.reshape((cx.rows(), (), size(width)?))?;
    let weighed = values.broadcast_mul(&routes.shares.unsqueeze(2)?)?;
    Ok(cx.narrow(&weighed.sum(1)?)?.into())
}

pub(super) fn combine_backward(
    cx: &Context,
    width: u64,
    input: &Tensor,
    routes: &Routes,
    gradient: &Tensor,
) -> Result<Cotangents> {
    let values = cx.wide(input)?.reshape((cx.rows(), (), size(width)?))?;
    let gradient = cx.wide(gradient)?.unsqueeze(1)?;
    let d_values = gradient.broadcast_mul(&routes.shares.unsqueeze(2)?)?;
    let d_shares = values.broadcast_mul(&gradient)?.sum(2)?;
    Ok(Cotangents::of([cx.narrow(&d_values)?.reshape(input.dims())?, d_shares]))
}
