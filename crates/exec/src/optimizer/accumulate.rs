//! The sum of gradients over micro-batches.

use candle_core::{DType, Device, Result, Tensor, bail};
use rayon::prelude::*;

use crate::access::{Values, ValuesMut, edit_beside};

/// Adds the gradient of one micro-batch to the sum so far, which is kept in `dtype`: f32, bf16 or f16.
///
/// The first gradient is copied, in `dtype`, so that the sum owns exactly its values and shares them with nothing. Later
/// ones are added in place on the CPU, where every handle on the sum sees it; elsewhere a new sum takes the old one's
/// place. Every addition is made in f32 and rounded once.
pub fn accumulate(into: &mut Option<Tensor>, gradient: &Tensor, dtype: DType) -> Result<()> {
    let gradient = gradient.detach();
    match into {
        None => {
            let own = gradient.dtype() != dtype;
            *into = Some(if own { gradient.to_dtype(dtype)? } else { gradient.force_contiguous()? });
        }
        Some(sum) if matches!(sum.device(), Device::Cpu) && gradient.dtype() != DType::F64 => {
            if gradient.dims() != sum.dims() {
                bail!("a gradient of {:?} does not fit the sum of {:?}", gradient.dims(), sum.dims());
            }
            edit_beside(sum, &gradient.contiguous()?, |sum, gradient| {
                add(sum, gradient);
                Ok(())
            })?;
        }
        Some(sum) if sum.dtype() == gradient.dtype() => *sum = sum.add(&gradient)?,
        Some(sum) => {
            let wide = sum.to_dtype(DType::F32)?.add(&gradient.to_dtype(DType::F32)?)?;
            *sum = wide.to_dtype(dtype)?;
        }
    }
    Ok(())
}

/// Adds values that are as many.
fn add(mut sum: ValuesMut<'_>, mut gradient: Values<'_>) {
    const CHUNK: usize = 4096;
    let mut jobs = Vec::new();
    while gradient.len() > 0 {
        let length = gradient.len().min(CHUNK);
        let (sums, rest) = sum.split(length);
        let (gradients, others) = gradient.split(length);
        jobs.push((sums, gradients));
        (sum, gradient) = (rest, others);
    }
    jobs.into_par_iter().for_each(|(mut sum, gradient)| {
        let (mut left, mut right) = ([0.0_f32; CHUNK], [0.0_f32; CHUNK]);
        let (left, right) = (&mut left[..gradient.len()], &mut right[..gradient.len()]);
        sum.read().decode(left);
        gradient.decode(right);
        left.iter_mut().zip(right).for_each(|(left, right)| *left += *right);
        sum.encode(left);
    });
}
