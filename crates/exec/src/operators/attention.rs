//! Softmax attention: rotations, scores, weights, and the weighted sum of values.

use std::ops::Range;

use candle_core::{D, Tensor};
use llmplan_spec::plan::Reach;

use super::{Cotangents, Done, Weights, size};
use crate::access::{Lent, edit_f32};
use crate::context::Context;
use crate::kernels::rotate::{Turned, rotate as turn};
use crate::kernels::{permute, softmax as kernels};
use crate::trouble::{Result, Trouble};

/// Query heads, and the key or value heads that serve them, as many each (Ainslie 2023).
#[derive(Clone, Copy)]
pub(super) struct Heads {
    queries: usize,
    keys: usize,
}

impl Heads {
    pub(super) fn of(queries: u64, keys: u64) -> Result<Heads> {
        let heads = Heads { queries: size(queries)?, keys: size(keys)? };
        match heads.queries.is_multiple_of(heads.keys) {
            true => Ok(heads),
            false => Err(Trouble::Misshapen("attention.scores")),
        }
    }

    /// B·T × heads·width → B·key heads × (queries of one)·T × width: the queries that a key head serves, one after
    /// another.
    fn queries(self, cx: &Context, rows: &Tensor) -> Result<Tensor> {
        let heads = heads_first(cx, rows, self.queries)?;
        let width = heads.dim(D::Minus1)?;
        Ok(heads.reshape((cx.sequences * self.keys, self.served() * cx.tokens, width))?)
    }

    /// B·T × key heads·width → B·key heads × T × width.
    fn keys(self, cx: &Context, rows: &Tensor) -> Result<Tensor> {
        heads_first(cx, rows, self.keys)
    }

    /// B·heads × T × T → B·key heads × (queries of one)·T × T.
    fn pairs(self, cx: &Context, pairs: &Tensor) -> Result<Tensor> {
        Ok(pairs.reshape((cx.sequences * self.keys, self.served() * cx.tokens, cx.tokens))?)
    }

    /// Query heads of one key head.
    fn served(self) -> usize {
        self.queries / self.keys
    }
}

/// B·T × heads·width → B·heads × T × width.
fn heads_first(cx: &Context, rows: &Tensor, heads: usize) -> Result<Tensor> {
    let whole = rows.dim(1)?;
    if !whole.is_multiple_of(heads) {
        return Err(Trouble::Misshapen("attention"));
    }
    let width = whole / heads;
    if let Some(values) = cx.lend(rows) {
        let moved = permute::heads_first(values.values(), (cx.sequences, cx.tokens, heads, width));
        return cx.made(moved, (cx.sequences * heads, cx.tokens, width));
    }
    let split = rows.reshape((cx.sequences, cx.tokens, heads, width))?;
    Ok(split.transpose(1, 2)?.contiguous()?.reshape((cx.sequences * heads, cx.tokens, width))?)
}

/// … × width of B·heads × T in all → B·T × heads·width.
fn tokens_first(cx: &Context, values: &Tensor, heads: usize) -> Result<Tensor> {
    let width = values.dim(D::Minus1)?;
    if let Some(values) = cx.lend(values) {
        let moved = permute::tokens_first(values.values(), (cx.sequences, cx.tokens, heads, width));
        return cx.made(moved, (cx.rows(), heads * width));
    }
    let split = values.reshape((cx.sequences, heads, cx.tokens, width))?;
    Ok(split.transpose(1, 2)?.contiguous()?.reshape((cx.rows(), heads * width))?)
}

/// The values of each head that are rotated.
#[derive(Clone, Copy)]
pub(super) struct Rotation {
    head: usize,
    rope: usize,
    offset: usize,
}

impl Rotation {
    pub(super) fn of(head: u64, rope: u64, offset: u64) -> Result<Rotation> {
        let fits = offset.checked_add(rope).is_some_and(|end| end <= head) && rope.is_multiple_of(2);
        match (size(head), usize::try_from(rope), usize::try_from(offset)) {
            (Ok(head), Ok(rope), Ok(offset)) if fits => Ok(Rotation { head, rope, offset }),
            _ => Err(Trouble::Misshapen("attention.rotate")),
        }
    }
}

/// Rotates pairs of values by an angle that grows with the position (Su 2021 §3.2); `back` by the same angle the other
/// way, which is its transpose.
pub(super) fn rotate(cx: &Context, shape: Rotation, input: &Tensor, back: bool) -> Result<Tensor> {
    let Rotation { head, rope, offset } = shape;
    let whole = input.dim(1)?;
    if !whole.is_multiple_of(head) {
        return Err(Trouble::Misshapen("attention.rotate"));
    }
    if rope == 0 {
        return Ok(input.clone());
    }
    if let Some(values) = cx.lend(input) {
        let what = Turned { width: whole, head, offset };
        let turned = turn(values.values(), what, &cx.rotations(rope), back);
        return cx.made(turned, input.dims());
    }
    let heads = whole / head;
    let (cos, sin) = angles(cx, rope)?;
    let values = input.reshape((cx.sequences, cx.tokens, heads, head))?;
    let pairs = cx.wide(&values.narrow(3, offset, rope)?)?.contiguous()?;
    let pairs = pairs.reshape((cx.sequences, cx.tokens, heads, rope / 2, 2))?;
    let (one, other) = (pairs.narrow(4, 0, 1)?.squeeze(4)?, pairs.narrow(4, 1, 1)?.squeeze(4)?);
    let sin = if back { sin.neg()? } else { sin };
    let turned = [
        (one.broadcast_mul(&cos)? - other.broadcast_mul(&sin)?)?,
        (one.broadcast_mul(&sin)? + other.broadcast_mul(&cos)?)?,
    ];
    let turned = Tensor::stack(&turned, 4)?.reshape((cx.sequences, cx.tokens, heads, rope))?;
    let turned = cx.narrow(&turned)?;
    let rest = head - offset - rope;
    let mut parts = vec![turned];
    if offset > 0 {
        parts.insert(0, values.narrow(3, 0, offset)?);
    }
    if rest > 0 {
        parts.push(values.narrow(3, offset + rope, rest)?);
    }
    let output = if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(&parts, 3)? };
    Ok(output.reshape((cx.rows(), whole))?)
}

/// Cosines and sines, T × 1 × rope/2.
fn angles(cx: &Context, rope: usize) -> Result<(Tensor, Tensor)> {
    let angle =
        |position: usize, pair: usize| position as f64 * 10_000_f64.powf(-2.0 * pair as f64 / rope as f64);
    let table = |function: fn(f64) -> f64| {
        let values: Vec<f64> = (0..cx.tokens)
            .flat_map(|position| (0..rope / 2).map(move |pair| function(angle(position, pair))))
            .collect();
        let table = Tensor::from_vec(values, (cx.tokens, 1, rope / 2), &candle_core::Device::Cpu)?;
        Ok(table.to_dtype(cx.wide_type())?.to_device(&cx.device)?)
    };
    let cos = cx.table(format!("cos {rope}"), || table(f64::cos))?;
    Ok((cos, cx.table(format!("sin {rope}"), || table(f64::sin))?))
}

/// QKᵀ: B·heads × T × T products of all pairs, those that are not seen included. With relative positions a third input
/// has a row for each distance, which the query is multiplied by as well (Dai 2019 §3.3).
pub(super) fn scores(
    cx: &Context,
    heads: Heads,
    q: &Tensor,
    k: &Tensor,
    distances: Option<&Tensor>,
) -> Result<Done> {
    let queries = heads.queries(cx, q)?;
    let scores = cx.product(&queries, &heads.keys(cx, k)?.transpose(1, 2)?)?;
    let scores = scores.reshape((cx.sequences * heads.queries, cx.tokens, cx.tokens))?;
    let Some(distances) = distances else { return Ok(scores.into()) };
    let rows = heads_first(cx, distances, heads.queries)?;
    let by_distance = cx.product(&heads_first(cx, q, heads.queries)?, &rows.transpose(1, 2)?)?;
    let by_key = by_distance.gather(&apart(cx, heads.queries)?, 2)?;
    Ok((scores + by_key)?.into())
}

pub(super) fn scores_backward(
    cx: &Context,
    heads: Heads,
    (q, k, distances): (&Tensor, &Tensor, Option<&Tensor>),
    gradient: &Tensor,
) -> Result<Cotangents> {
    let pairs = heads.pairs(cx, gradient)?;
    let d_q = cx.product(&pairs, &heads.keys(cx, k)?)?;
    let d_k = cx.product(&pairs.transpose(1, 2)?, &heads.queries(cx, q)?)?;
    let mut d_q = tokens_first(cx, &d_q, heads.queries)?;
    let d_k = tokens_first(cx, &d_k, heads.keys)?;
    let Some(distances) = distances else { return Ok(Cotangents::of([d_q, d_k])) };
    let zeros = Tensor::zeros(gradient.dims(), gradient.dtype(), &cx.device)?;
    let by_distance = zeros.scatter_add(&apart(cx, heads.queries)?, gradient, 2)?;
    let rows = heads_first(cx, distances, heads.queries)?;
    let own = cx.product(&by_distance, &rows)?;
    d_q = (d_q + tokens_first(cx, &own, heads.queries)?)?;
    let d_rows = cx.product(&by_distance.transpose(1, 2)?, &heads_first(cx, q, heads.queries)?)?;
    Ok(Cotangents::of([d_q, d_k, tokens_first(cx, &d_rows, heads.queries)?]))
}

/// For each pair its distance, B·heads × T × T.
fn apart(cx: &Context, heads: usize) -> Result<Tensor> {
    cx.table(format!("apart {heads}"), || {
        let tokens = cx.tokens;
        let one: Vec<u32> = (0..tokens)
            .flat_map(|query: usize| (0..tokens).map(move |key| query.abs_diff(key) as u32))
            .collect();
        let one = Tensor::from_vec(one, (1, tokens, tokens), &cx.device)?;
        Ok(one.broadcast_as((cx.sequences * heads, tokens, tokens))?.contiguous()?)
    })
}

/// How products become scores.
#[derive(Clone, Copy)]
pub(super) struct Scoring {
    pub(super) scale: u64,
    pub(super) reach: Reach,
    pub(super) alibi: bool,
}

impl Scoring {
    /// What products are multiplied by.
    fn factor(self) -> f64 {
        1.0 / (self.scale.max(1) as f64).sqrt()
    }

    /// The slopes of a linear bias by distance, one for each head.
    fn slopes(self, heads: usize) -> Option<Vec<f32>> {
        self.alibi.then(|| (0..heads).map(|head| slope(head, heads) as f32).collect())
    }

    /// The same for a kernel.
    fn kernel<'a>(
        self,
        cx: &Context,
        heads: usize,
        seen: &'a [Range<usize>],
        slopes: Option<&'a [f32]>,
        sinks: Option<&'a Lent<'_>>,
    ) -> kernels::Softmax<'a> {
        let sinks = sinks.map(Lent::values);
        kernels::Softmax { heads, keys: cx.tokens, scale: self.factor() as f32, seen, slopes, sinks }
    }

    /// What is added to them: -∞ for what is not seen, and a slope by distance for each head (Press 2021 §3). Heads × T
    /// × T, or 1 × T × T.
    fn bias(self, cx: &Context, heads: usize) -> Result<Tensor> {
        let rows = if self.alibi { heads } else { 1 };
        let name = format!("bias {:?} {} {heads}", self.reach, self.alibi);
        cx.table(name, || {
            let seen = cx.seen(self.reach)?;
            let mut values = Vec::with_capacity(rows * cx.tokens * cx.tokens);
            for head in 0..rows {
                let slope = if self.alibi { slope(head, heads) } else { 0.0 };
                for (query, seen) in seen.iter().enumerate() {
                    values.extend((0..cx.tokens).map(|key| match seen.contains(&key) {
                        true => -slope * query.abs_diff(key) as f64,
                        false => f64::NEG_INFINITY,
                    }));
                }
            }
            let table = Tensor::from_vec(values, (rows, cx.tokens, cx.tokens), &candle_core::Device::Cpu)?;
            Ok(table.to_dtype(cx.wide_type())?.to_device(&cx.device)?)
        })
    }
}

/// The slope of a head's linear bias.
fn slope(head: usize, heads: usize) -> f64 {
    (-8.0 * (head + 1) as f64 / heads as f64).exp2()
}

/// Products as weights that sum to one over what is seen. With sinks each head has one logit more, that takes its share
/// and gives nothing (gpt-oss).
pub(super) fn softmax(
    cx: &Context,
    weights: &Weights<'_>,
    heads: u64,
    scoring: Scoring,
    products: &Tensor,
) -> Result<Done> {
    let heads = size(heads)?;
    if cx.lends(products)
        && let Some(sinks) = cx.lend_some(weights.find("sinks"))
    {
        let (seen, slopes) = (cx.seen(scoring.reach)?, scoring.slopes(heads));
        let how = scoring.kernel(cx, heads, &seen, slopes.as_deref(), sinks.as_ref());
        // Nobody reads the products but their softmax: it takes their place.
        edit_f32(products, |values| {
            kernels::softmax(values, how);
            Ok(())
        })?;
        return Ok(products.clone().into());
    }
    let by_head = (cx.sequences, heads, cx.tokens, cx.tokens);
    let scores = (cx.wide(products)? * scoring.factor())?.reshape(by_head)?;
    let scores = scores.broadcast_add(&scoring.bias(cx, heads)?)?;
    // What is taken off cancels: nothing flows through it.
    let largest = scores.detach().max_keepdim(D::Minus1)?;
    let powers = scores.broadcast_sub(&largest)?.exp()?;
    let mut sums = powers.sum_keepdim(D::Minus1)?;
    if let Some(sinks) = weights.find("sinks") {
        let sinks = cx.wide(sinks)?.reshape((1, heads, 1, 1))?;
        sums = (sums + sinks.broadcast_sub(&largest)?.exp()?)?;
    }
    let shares = cx.narrow(&powers.broadcast_div(&sums)?)?;
    Ok(shares.reshape((cx.sequences * heads, cx.tokens, cx.tokens))?.into())
}

pub(super) fn softmax_backward(
    cx: &Context,
    weights: &Weights<'_>,
    heads: u64,
    scoring: Scoring,
    shares: &Tensor,
    gradient: Tensor,
) -> Result<Cotangents> {
    if cx.lends(&gradient)
        && let (Some(values), Some(sinks)) = (cx.lend(shares), cx.lend_some(weights.find("sinks")))
    {
        let heads = size(heads)?;
        let (seen, slopes) = (cx.seen(scoring.reach)?, scoring.slopes(heads));
        let how = scoring.kernel(cx, heads, &seen, slopes.as_deref(), sinks.as_ref());
        let mut d_sinks = None;
        // The gradient of the shares has no other reader.
        edit_f32(&gradient, |gradient| {
            d_sinks = kernels::softmax_backward(values.values(), gradient, how);
            Ok(())
        })?;
        let d_sinks = match (d_sinks, weights.find("sinks")) {
            (Some(values), Some(own)) => Some(cx.made(values, own.dims())?),
            _ => None,
        };
        return Ok(Cotangents::of([gradient]).with_some("sinks", d_sinks));
    }
    let (shares, gradient) = (cx.wide(shares)?, cx.wide(&gradient)?);
    let flow = (&shares * &gradient)?;
    let sums = flow.sum_keepdim(D::Minus1)?;
    let d_products = ((flow - shares.broadcast_mul(&sums)?)? * scoring.factor())?;
    let found = Cotangents::of([cx.narrow(&d_products)?]);
    let Some(sinks) = weights.find("sinks") else { return Ok(found) };
    // What is missing to one is the sink's share.
    let own = shares.sum_keepdim(D::Minus1)?.affine(-1.0, 1.0)?;
    let d_sinks = (own * sums)?.neg()?.reshape((cx.sequences, size(heads)?, cx.tokens))?;
    let d_sinks = d_sinks.sum((0, 2))?.reshape(sinks.dims())?;
    Ok(found.with("sinks", cx.narrow(&d_sinks)?))
}

/// For each query the values of the keys, weighted: B·T × heads·width.
pub(super) fn weighted_sum(cx: &Context, heads: Heads, shares: &Tensor, v: &Tensor) -> Result<Done> {
    let sums = cx.product(&heads.pairs(cx, shares)?, &heads.keys(cx, v)?)?;
    Ok(tokens_first(cx, &sums, heads.queries)?.into())
}

pub(super) fn weighted_sum_backward(
    cx: &Context,
    heads: Heads,
    shares: &Tensor,
    v: &Tensor,
    gradient: &Tensor,
) -> Result<Cotangents> {
    let gradient = heads.queries(cx, gradient)?;
    let d_shares = cx.product(&gradient, &heads.keys(cx, v)?.transpose(1, 2)?)?;
    let d_v = cx.product(&heads.pairs(cx, shares)?.transpose(1, 2)?, &gradient)?;
    Ok(Cotangents::of([d_shares.reshape(shares.dims())?, tokens_first(cx, &d_v, heads.keys)?]))
}
