//! The 8-bit codes of Adam's moments.
//!
//! The first moment is linear: −127..127 times a hundred-and-twenty-seventh of the block's largest magnitude, kept as a
//! byte with 128 added.
//!
//! The second moment is never negative, and spans the square of what gradients span: of it the **fourth root** is linear, in
//! 1..255, so that a block holds roots from 1 down to 1/65025 of its largest. In a linear code of the moment itself all that
//! is below a two-hundred-and-fiftieth of the largest is nought, and its weight leaps by m/ε. The dynamic code of Dettmers
//! 2021 §1.3 serves the same end with a table. Code 0 stands only before the first step.
//!
//! A code is rounded down after an offset in 0..1 is added, another one in every step, so that over steps a value is rounded
//! up as often as its fraction says. To nearest, a change of less than half a code in one step would be lost for good: a
//! first moment of five codes would never fade (0.9 · 5 rounds to 5), and a second moment not at all (β₂ = 0.999). Always
//! up, which keeps divisors from nought as well, the second moment would only grow.

use candle_core::{DType, Result, Tensor};

use super::state::{Blocks, Coded};

/// Below it a scale is taken for nought.
const LEAST: f32 = 1e-30;

/// From a block's scale: what a code of the first moment is multiplied with to be decoded, and a value to be encoded.
#[inline(always)]
pub(super) fn first_factors(scale: f32) -> (f32, f32) {
    (scale * (1.0 / 127.0), 1.0 / scale.max(LEAST) * 127.0)
}

/// The same for the fourth root of the second moment.
#[inline(always)]
pub(super) fn second_factors(scale: f32) -> (f32, f32) {
    (scale * (1.0 / 255.0), 1.0 / scale.max(LEAST) * 255.0)
}

#[inline(always)]
pub(super) fn decode_first(code: u8, unit: f32) -> f32 {
    (f32::from(code) - 128.0) * unit
}

#[inline(always)]
pub(super) fn decode_second(code: u8, unit: f32) -> f32 {
    let fourth = f32::from(code) * unit;
    let root = fourth * fourth;
    root * root
}

#[inline(always)]
pub(super) fn encode_first(value: f32, per: f32, dither: f32) -> u8 {
    (value * per + (128.0 + dither)).clamp(1.0, 255.0) as u8
}

#[inline(always)]
pub(super) fn encode_second(value: f32, per: f32, dither: f32) -> u8 {
    (fourth_root(value) * per + dither).clamp(1.0, 255.0) as u8
}

/// What a block's scale is of, for the second moment.
#[inline(always)]
pub(super) fn fourth_root(value: f32) -> f32 {
    value.sqrt().sqrt()
}

/// The first moment of a tensor, `[copies, each]`, by tensor operations.
pub(super) fn first(coded: &Coded, blocks: Blocks) -> Result<Tensor> {
    let units = coded.scales.affine(1.0 / 127.0, 0.0)?;
    let values = split(&coded.codes.to_dtype(DType::F32)?.affine(1.0, -128.0)?, blocks)?;
    join(&values.broadcast_mul(&units.unsqueeze(2)?)?, blocks)
}

/// The second moment, likewise.
pub(super) fn second(coded: &Coded, blocks: Blocks) -> Result<Tensor> {
    let units = coded.scales.affine(1.0 / 255.0, 0.0)?;
    let roots = split(&coded.codes.to_dtype(DType::F32)?, blocks)?.broadcast_mul(&units.unsqueeze(2)?)?;
    join(&roots.sqr()?.sqr()?, blocks)
}

/// Codes of a first moment `[copies, each]`.
pub(super) fn code_first(value: &Tensor, blocks: Blocks, dither: f32) -> Result<Coded> {
    let values = split(value, blocks)?;
    let scales = values.abs()?.max_keepdim(2)?;
    code(&values, scales, 127.0, 128.0 + dither, blocks)
}

/// Codes of a second moment `[copies, each]`.
pub(super) fn code_second(value: &Tensor, blocks: Blocks, dither: f32) -> Result<Coded> {
    let roots = split(&value.sqrt()?.sqrt()?, blocks)?;
    let scales = roots.max_keepdim(2)?;
    code(&roots, scales, 255.0, dither, blocks)
}

/// Codes of values `[copies, blocks, size]` with scales `[copies, blocks, 1]`.
fn code(values: &Tensor, scales: Tensor, most: f64, offset: f32, blocks: Blocks) -> Result<Coded> {
    let per = scales.maximum(f64::from(LEAST))?.recip()?.affine(most, 0.0)?;
    let codes = values.broadcast_mul(&per)?.affine(1.0, f64::from(offset))?.clamp(1.0, 255.0)?;
    // A cast to bytes rounds down.
    Ok(Coded { codes: join(&codes, blocks)?.to_dtype(DType::U8)?, scales: scales.squeeze(2)? })
}

/// `[copies, each]` as `[copies, blocks, size]`, the last block filled up with noughts.
fn split(values: &Tensor, blocks: Blocks) -> Result<Tensor> {
    let padding = blocks.of_copy() * blocks.size - blocks.each;
    let padded = if padding == 0 { values.clone() } else { values.pad_with_zeros(1, 0, padding)? };
    padded.reshape((blocks.copies, blocks.of_copy(), blocks.size))
}

/// The inverse of [`split`].
fn join(values: &Tensor, blocks: Blocks) -> Result<Tensor> {
    values.reshape((blocks.copies, blocks.of_copy() * blocks.size))?.narrow(1, 0, blocks.each)
}
