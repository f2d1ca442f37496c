//! The update by tensor operations, for every device: what [`super::fused`] does, with temporaries of one tensor's size.

use candle_core::{DType, Result, Tensor};

use super::codes::{code_first, code_second, first, second};
use super::rule::Constants;
use super::state::{Moments, State};

/// Updates a tensor's states, and its weights in place. All are on one device.
pub(super) fn update(
    state: &mut State,
    weights: &Tensor,
    gradient: &Tensor,
    constants: &Constants,
) -> Result<()> {
    let shape = (state.blocks.copies, state.blocks.each);
    let old = match &state.master {
        Some(master) => master.clone(),
        None => weights.detach().reshape(shape)?,
    };
    let mut gradient = scaled(&gradient.to_dtype(DType::F32)?.reshape(shape)?, constants.unscale)?;
    if constants.penalty != 0.0 {
        gradient = (gradient + scaled(&old, constants.penalty)?)?;
    }
    let change = change(state, gradient, constants)?;
    let new = (scaled(&old, constants.keep)? - scaled(&change, constants.rate)?)?;
    drop((old, change));
    write(weights, &new)?;
    if state.master.is_some() {
        state.master = Some(new);
    }
    Ok(())
}

/// Writes values into a tensor of another format and shape, in place: every handle on it sees them.
pub(super) fn write(into: &Tensor, values: &Tensor) -> Result<()> {
    let length = into.elem_count();
    let values = values.to_dtype(into.dtype())?.reshape(length)?;
    into.detach().reshape(length)?.slice_set(&values, 0, 0)
}

/// What the rate is multiplied with: renews the moments.
fn change(state: &mut State, gradient: Tensor, constants: &Constants) -> Result<Tensor> {
    let blocks = state.blocks;
    match &mut state.moments {
        Moments::None => Ok(gradient),
        Moments::First(velocity) => {
            *velocity = (scaled(velocity, constants.momentum)? + gradient)?;
            Ok(velocity.clone())
        }
        Moments::Both { first, second } => {
            *first = moved(first, &gradient, constants.first)?;
            *second = moved(second, &gradient.sqr()?, constants.second)?;
            direction(first, second, constants)
        }
        Moments::Coded { first: one, second: two } => {
            let new_first = moved(&first(one, blocks)?, &gradient, constants.first)?;
            *one = code_first(&new_first, blocks, constants.dither)?;
            let new_second = moved(&second(two, blocks)?, &gradient.sqr()?, constants.second)?;
            *two = code_second(&new_second, blocks, constants.dither)?;
            direction(&new_first, &new_second, constants)
        }
    }
}

/// A running mean after one more value.
fn moved(mean: &Tensor, value: &Tensor, (keep, take): (f32, f32)) -> Result<Tensor> {
    scaled(mean, keep)? + scaled(value, take)?
}

/// The first moment over the root of the second.
fn direction(first: &Tensor, second: &Tensor, constants: &Constants) -> Result<Tensor> {
    let root = second.sqrt()?.affine(f64::from(constants.root), f64::from(constants.epsilon))?;
    first / root
}

fn scaled(values: &Tensor, factor: f32) -> Result<Tensor> {
    values.affine(f64::from(factor), 0.0)
}
