//! Lookups and matrix products.

use candle_core::Tensor;

use super::{Cotangents, Done, Weights, size};
use crate::access::edit_f32;
use crate::context::Context;
use crate::kernels::{gather, sum};
use crate::trouble::{Result, Trouble};

/// Rows of the embedding: of its own table, or of the model's for the tokens further on.
pub(super) fn gather(cx: &Context, weights: &Weights<'_>, ahead: usize) -> Result<Done> {
    let table = table(weights)?.1;
    let ids = ids(cx, table, ahead)?;
    if let Some(values) = cx.lend(table) {
        let width = table.dim(1)?;
        return Ok(cx.made(gather::rows(values.values(), width, &ids), (ids.len(), width))?.into());
    }
    let ids = Tensor::new(ids, &cx.device)?;
    Ok(table.index_select(&ids, 0)?.into())
}

/// The rows that were read take the gradient of what was read.
pub(super) fn gather_backward(
    cx: &Context,
    weights: &Weights<'_>,
    ahead: usize,
    gradient: &Tensor,
) -> Result<Cotangents> {
    let (name, table) = table(weights)?;
    let ids = ids(cx, table, ahead)?;
    let rows = match cx.lend(gradient) {
        Some(values) => {
            let mut rows = vec![0.0; table.elem_count()];
            gather::scatter_add(&mut rows, table.dim(1)?, &ids, values.values());
            cx.made(rows, table.dims())?
        }
        None => {
            let zeros = Tensor::zeros(table.dims(), cx.wide_type(), &cx.device)?;
            zeros.index_add(&Tensor::new(ids, &cx.device)?, &cx.wide(gradient)?, 0)?
        }
    };
    Ok(Cotangents { inputs: vec![None], ..Cotangents::default() }.with(name, cx.narrow(&rows)?))
}

fn table<'a>(weights: &Weights<'a>) -> Result<(&'static str, &'a Tensor)> {
    match weights.find("weight") {
        Some(table) => Ok(("weight", table)),
        None => Ok(("embedding", weights.get("embedding")?)),
    }
}

/// The tokens, each a row of the table.
fn ids(cx: &Context, table: &Tensor, ahead: usize) -> Result<Vec<u32>> {
    let rows = table.dim(0)?;
    let ids = cx.ahead(ahead);
    match ids.iter().all(|id| (*id as usize) < rows) {
        true => Ok(ids),
        false => Err(Trouble::Misshapen("embedding")),
    }
}

/// A row of sinusoids for each distance, the same for every sequence (Dai 2019 §3.3).
pub(super) fn distances(cx: &Context, width: u64) -> Result<Done> {
    let width = size(width)?;
    let rows = crate::reference::sinusoids(cx.tokens, width).ok_or(Trouble::Misshapen("distances"))?;
    let rows = Tensor::from_vec(rows, (1, cx.tokens, width), &cx.device)?.to_dtype(cx.dtype)?;
    let all = rows.broadcast_as((cx.sequences, cx.tokens, width))?.contiguous()?;
    Ok(all.reshape((cx.rows(), width))?.into())
}

/// The stream plus the row of each position (Vaswani 2017 §3.5, learned).
pub(super) fn add_position(cx: &Context, weights: &Weights<'_>, input: &Tensor) -> Result<Done> {
    let rows = weights.get("weight")?.narrow(0, 0, cx.tokens).map_err(|_| Trouble::Misshapen("position"))?;
    let width = rows.dim(1)?;
    let input = input.reshape((cx.sequences, cx.tokens, width))?;
    Ok(input.broadcast_add(&rows)?.reshape((cx.rows(), width))?.into())
}

pub(super) fn add_position_backward(
    cx: &Context,
    weights: &Weights<'_>,
    gradient: Tensor,
) -> Result<Cotangents> {
    let table = weights.get("weight")?;
    let (rows, width) = table.dims2()?;
    let sums = cx.wide(&gradient)?.reshape((cx.sequences, cx.tokens, width))?.sum(0)?;
    let unused = Tensor::zeros((rows - cx.tokens, width), sums.dtype(), &cx.device)?;
    let sums = if rows > cx.tokens { Tensor::cat(&[&sums, &unused], 0)? } else { sums };
    Ok(Cotangents::of([gradient]).with("weight", cx.narrow(&sums)?))
}

/// Rows of `inner` values by a matrix of `inner` rows and `outer` columns.
pub(super) fn matmul(cx: &Context, weights: &Weights<'_>, input: &Tensor) -> Result<Done> {
    let product = cx.product(input, weights.get("weight")?)?;
    Ok(biased(cx, product, weights)?.into())
}

pub(super) fn matmul_backward(
    cx: &Context,
    weights: &Weights<'_>,
    input: &Tensor,
    gradient: &Tensor,
) -> Result<Cotangents> {
    let d_input = cx.product(gradient, &weights.get("weight")?.t()?)?;
    let d_weight = cx.product(&input.t()?, gradient)?;
    Ok(Cotangents::of([d_input]).with("weight", d_weight).with_some("bias", d_bias(cx, weights, gradient)?))
}

/// Logits by a table of their own, or by the embedding's where those are tied.
pub(super) fn logits(cx: &Context, weights: &Weights<'_>, input: &Tensor) -> Result<Done> {
    let product = match weights.find("weight") {
        Some(table) => cx.product(input, table)?,
        None => cx.product(input, &weights.get("embedding")?.t()?)?,
    };
    Ok(biased(cx, product, weights)?.into())
}

pub(super) fn logits_backward(
    cx: &Context,
    weights: &Weights<'_>,
    input: &Tensor,
    gradient: &Tensor,
) -> Result<Cotangents> {
    if weights.find("weight").is_some() {
        return matmul_backward(cx, weights, input, gradient);
    }
    let d_input = cx.product(gradient, weights.get("embedding")?)?;
    let d_table = cx.product(&gradient.t()?, input)?;
    let d_bias = d_bias(cx, weights, gradient)?;
    Ok(Cotangents::of([d_input]).with("embedding", d_table).with_some("bias", d_bias))
}

fn biased(cx: &Context, product: Tensor, weights: &Weights<'_>) -> Result<Tensor> {
    let Some(bias) = weights.find("bias") else { return Ok(product) };
    match cx.lend(bias) {
        Some(row) => {
            // The product is new: nobody else has it.
            edit_f32(&product, |values| {
                sum::add_row(values, row.values());
                Ok(())
            })?;
            Ok(product)
        }
        None => Ok(product.broadcast_add(&bias.flatten_all()?)?),
    }
}

fn d_bias(cx: &Context, weights: &Weights<'_>, gradient: &Tensor) -> Result<Option<Tensor>> {
    let Some(bias) = weights.find("bias") else { return Ok(None) };
    if let Some(values) = cx.lend(gradient) {
        return Ok(Some(cx.made(sum::sum_rows(values.values(), gradient.dim(1)?), bias.dims())?));
    }
    let sum = cx.narrow(&cx.wide(gradient)?.sum(0)?)?;
    Ok(Some(sum.reshape(bias.dims())?))
}

/// The shape of a product within heads.
#[derive(Clone, Copy)]
pub(super) struct HeadShape {
    heads: usize,
    inner: usize,
    outer: usize,
    kept: usize,
    transposed: bool,
}

impl HeadShape {
    pub(super) fn of(heads: u64, inner: u64, outer: u64, kept: u64, transposed: bool) -> Result<HeadShape> {
        let kept = usize::try_from(kept).map_err(|_| Trouble::Misshapen("heads"))?;
        Ok(HeadShape { heads: size(heads)?, inner: size(inner)?, outer: size(outer)?, kept, transposed })
    }

    /// The matrices of the heads, heads × inner × outer: stored as the plain projection has them, with the rank as rows
    /// and the heads side by side.
    fn matrices(self, weight: &Tensor) -> Result<Tensor> {
        let rank = if self.transposed { self.outer } else { self.inner };
        let each = if self.transposed { self.inner } else { self.outer };
        let by_head = weight.reshape((rank, self.heads, each))?;
        let order = if self.transposed { [1, 2, 0] } else { [1, 0, 2] };
        Ok(by_head.permute(order)?.contiguous()?)
    }

    /// A gradient of those matrices as one of the tensor that is stored.
    fn stored(self, matrices: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let order = if self.transposed { [2, 0, 1] } else { [1, 0, 2] };
        Ok(matrices.permute(order)?.contiguous()?.reshape(weight.dims())?)
    }

    /// Rows of heads × `width` values as heads × rows × `width`.
    fn by_head(self, rows: &Tensor, width: usize) -> Result<Tensor> {
        Ok(rows.reshape(((), self.heads, width))?.transpose(0, 1)?.contiguous()?)
    }

    fn by_row(self, heads: &Tensor) -> Result<Tensor> {
        let width = heads.dim(2)?;
        Ok(heads.transpose(0, 1)?.contiguous()?.reshape(((), self.heads * width))?)
    }
}

/// Rows of heads × (inner + kept) → heads × (outer + kept): what absorbed latent attention multiplies into queries and
/// output (DeepSeek-V2 §2.1.2).
pub(super) fn head_matmul(
    cx: &Context,
    weights: &Weights<'_>,
    shape: HeadShape,
    input: &Tensor,
) -> Result<Done> {
    let heads = shape.by_head(input, shape.inner + shape.kept)?;
    let matrices = shape.matrices(weights.get("weight")?)?;
    let product = cx.product(&heads.narrow(2, 0, shape.inner)?.contiguous()?, &matrices)?;
    let whole = match shape.kept {
        0 => product,
        kept => Tensor::cat(&[&product, &heads.narrow(2, shape.inner, kept)?], 2)?,
    };
    Ok(shape.by_row(&whole)?.into())
}

pub(super) fn head_matmul_backward(
    cx: &Context,
    weights: &Weights<'_>,
    shape: HeadShape,
    input: &Tensor,
    gradient: &Tensor,
) -> Result<Cotangents> {
    let weight = weights.get("weight")?;
    let heads = shape.by_head(input, shape.inner + shape.kept)?.narrow(2, 0, shape.inner)?.contiguous()?;
    let gradient = shape.by_head(gradient, shape.outer + shape.kept)?;
    let own = gradient.narrow(2, 0, shape.outer)?.contiguous()?;
    let matrices = shape.matrices(weight)?;
    let d_heads = cx.product(&own, &matrices.transpose(1, 2)?)?;
    let d_matrices = cx.product(&heads.transpose(1, 2)?, &own)?;
    let d_input = match shape.kept {
        0 => d_heads,
        kept => Tensor::cat(&[&d_heads, &gradient.narrow(2, shape.outer, kept)?], 2)?,
    };
    Ok(Cotangents::of([shape.by_row(&d_input)?]).with("weight", shape.stored(&d_matrices, weight)?))
}

/// Two values side by side within each head; the second has one head, which is joined to each (DeepSeek-V2 §2.1.3).
pub(super) fn join(cx: &Context, heads: u64, one: &Tensor, other: &Tensor) -> Result<Done> {
    let (heads, own) = split(heads, one.dim(1)?)?;
    let (rows, added) = (cx.rows(), other.dim(1)?);
    let one = one.reshape((rows, heads, own))?;
    let other = other.reshape((rows, 1, added))?.broadcast_as((rows, heads, added))?;
    let whole = Tensor::cat(&[&one, &other.contiguous()?], 2)?;
    Ok(whole.reshape((rows, heads * (own + added)))?.into())
}

pub(super) fn join_backward(
    cx: &Context,
    heads: u64,
    (one, other): (u64, u64),
    gradient: &Tensor,
) -> Result<Cotangents> {
    let (heads, own) = split(heads, size(one)?)?;
    let (rows, added) = (cx.rows(), size(other)?);
    let whole = gradient.reshape((rows, heads, own + added))?;
    let one = whole.narrow(2, 0, own)?.contiguous()?.reshape((rows, heads * own))?;
    let other = cx.wide(&whole.narrow(2, own, added)?)?.sum(1)?;
    Ok(Cotangents::of([one, cx.narrow(&other)?]))
}

/// Heads, and the values that each has of a width.
fn split(heads: u64, width: usize) -> Result<(usize, usize)> {
    let heads = size(heads)?;
    match width.is_multiple_of(heads) {
        true => Ok((heads, width / heads)),
        false => Err(Trouble::Misshapen("join")),
    }
}
