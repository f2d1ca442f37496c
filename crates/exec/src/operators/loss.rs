//! Cross-entropy.

use candle_core::{D, Tensor};

use super::{Cotangents, Done, Held};
use crate::context::Context;
use crate::kernels::loss as kernels;
use crate::trouble::{Result, Trouble};

/// Mean cross-entropy of the token that lies one further than the module looks, in nats. Keeps the logarithm of each
/// row's sum.
pub(super) fn loss(cx: &Context, ahead: usize, logits: &Tensor) -> Result<Done> {
    let targets = targets(cx, ahead, logits)?;
    if let Some(values) = cx.lend(logits) {
        let (mean, log_sum) = kernels::cross_entropy(values.values(), logits.dim(1)?, &targets);
        let extras = vec![cx.made(log_sum, cx.rows())?];
        return Ok(Done { output: Held::Tensor(Tensor::new(mean as f32, &cx.device)?), extras });
    }
    let targets = column(cx, targets)?;
    let wide = cx.wide(logits)?;
    // What is taken off cancels: nothing flows through it.
    let largest = wide.detach().max_keepdim(1)?;
    let sums = wide.broadcast_sub(&largest)?.exp()?.sum_keepdim(1)?;
    let log_sum = (sums.log()? + largest)?.squeeze(1)?;
    let hit = wide.gather(&targets, D::Minus1)?.squeeze(1)?;
    let loss = (&log_sum - hit)?.mean_all()?;
    Ok(Done { output: Held::Tensor(loss), extras: vec![log_sum.detach()] })
}

/// Softmax less the target, over the number of tokens, times the context's seed.
pub(super) fn loss_backward(
    cx: &Context,
    ahead: usize,
    logits: &Tensor,
    log_sum: &Tensor,
) -> Result<Cotangents> {
    let targets = targets(cx, ahead, logits)?;
    let factor = cx.seed.get() / cx.rows() as f64;
    if let (Some(values), Some(sums)) = (cx.lend(logits), cx.lend(log_sum)) {
        let vocab = logits.dim(1)?;
        let found =
            kernels::cross_entropy_backward(values.values(), vocab, sums.values(), &targets, factor as f32);
        return Ok(Cotangents::of([cx.made(found, logits.dims())?]));
    }
    let targets = column(cx, targets)?;
    let shares = cx.wide(logits)?.broadcast_sub(&log_sum.unsqueeze(1)?)?.exp()?;
    let hits = (Tensor::ones(targets.dims(), shares.dtype(), &cx.device)? * -1.0)?;
    let gradient = (shares.scatter_add(&targets, &hits, 1)? * factor)?;
    Ok(Cotangents::of([cx.narrow(&gradient)?]))
}

/// For each token the row that it should have.
fn targets(cx: &Context, ahead: usize, logits: &Tensor) -> Result<Vec<u32>> {
    let vocab = logits.dim(1)?;
    let ids = cx.ahead(ahead + 1);
    match ids.iter().all(|id| (*id as usize) < vocab) {
        true => Ok(ids),
        false => Err(Trouble::Misshapen("loss")),
    }
}

/// B·T × 1.
fn column(cx: &Context, ids: Vec<u32>) -> Result<Tensor> {
    Ok(Tensor::from_vec(ids, (cx.rows(), 1), &cx.device)?)
}
