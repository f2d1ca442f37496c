//! The update on the CPU: one pass over a tensor's values, on all cores, with nothing of its size beside it.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::codes::{
    decode_first, decode_second, encode_first, encode_second, first_factors, fourth_root, second_factors,
};
use super::rule::Constants;
use super::state::{Blocks, Moments, State};
use crate::access::{Values, ValuesMut, edit_beside, edit_f32, edit_u8};

/// Values that one thread takes at a time, about; blocks are not torn.
const SHARE: usize = 16_384;
/// Values that are decoded together.
const LANE: usize = 1024;

/// Updates a tensor's states, and its weights in place. All are contiguous and on the CPU.
pub(super) fn update(
    state: &mut State,
    weights: &Tensor,
    gradient: &Tensor,
    constants: &Constants,
) -> Result<()> {
    let blocks = state.blocks;
    let moments = &state.moments;
    let finish = |weights: &mut [f32], fresh: Option<ValuesMut<'_>>, gradient: Values<'_>| {
        lend(moments, |moments| {
            let shares = Share { weights, fresh, gradient, moments }.divide(blocks);
            shares.into_par_iter().for_each(|share| share.update(blocks.size, constants));
            Ok(())
        })
    };
    edit_beside(weights, gradient, |weights, gradient| match (&state.master, weights) {
        (Some(master), fresh) => edit_f32(master, |weights| finish(weights, Some(fresh), gradient)),
        (None, ValuesMut::F32(weights)) => finish(weights, None, gradient),
        (None, _) => bail!("weights of 16 bits have a copy in fp32"),
    })
}

/// Lends the moments to be written.
fn lend(moments: &Moments, run: impl FnOnce(Lent<'_>) -> Result<()>) -> Result<()> {
    match moments {
        Moments::None => run(Lent::None),
        Moments::First(first) => edit_f32(first, |first| run(Lent::First(first))),
        Moments::Both { first, second } => {
            edit_f32(first, |first| edit_f32(second, |second| run(Lent::Both(first, second))))
        }
        Moments::Coded { first, second } => edit_u8(&first.codes, |codes| {
            edit_f32(&first.scales, |scales| {
                let first = Bytes { codes, scales };
                edit_u8(&second.codes, |codes| {
                    edit_f32(&second.scales, |scales| run(Lent::Coded(first, Bytes { codes, scales })))
                })
            })
        }),
    }
}

/// A part of a tensor, with its states.
struct Share<'a> {
    /// In fp32.
    weights: &'a mut [f32],
    /// The weights as the next forward pass reads them, where those are others.
    fresh: Option<ValuesMut<'a>>,
    gradient: Values<'a>,
    moments: Lent<'a>,
}

/// The moments of a share.
enum Lent<'a> {
    None,
    First(&'a mut [f32]),
    Both(&'a mut [f32], &'a mut [f32]),
    Coded(Bytes<'a>, Bytes<'a>),
}

/// A moment in 8 bits: codes, and one scale for each block of them.
struct Bytes<'a> {
    codes: &'a mut [u8],
    scales: &'a mut [f32],
}

impl<'a> Share<'a> {
    /// Divides a tensor so that every share begins with a block.
    fn divide(self, blocks: Blocks) -> Vec<Share<'a>> {
        let length = blocks.size * SHARE.div_ceil(blocks.size);
        let mut shares = Vec::new();
        let mut rest = self;
        for _ in 0..blocks.copies {
            let (mut copy, others) = rest.split(blocks.each, blocks.size);
            while copy.weights.len() > length {
                let (head, tail) = copy.split(length, blocks.size);
                shares.push(head);
                copy = tail;
            }
            shares.push(copy);
            rest = others;
        }
        shares
    }

    /// The first `length` values, and the rest.
    fn split(self, length: usize, block: usize) -> (Share<'a>, Share<'a>) {
        let (weights, weights_rest) = self.weights.split_at_mut(length);
        let (gradient, gradient_rest) = self.gradient.split(length);
        let (moments, moments_rest) = self.moments.split(length, block);
        let (fresh, fresh_rest) = self.fresh.map(|fresh| fresh.split(length)).unzip();
        let head = Share { weights, fresh, gradient, moments };
        (
            head,
            Share {
                weights: weights_rest,
                fresh: fresh_rest,
                gradient: gradient_rest,
                moments: moments_rest,
            },
        )
    }

    /// Updates all values.
    fn update(self, block: usize, constants: &Constants) {
        let coded = matches!(self.moments, Lent::Coded(..));
        let lane = if coded { block } else { LANE };
        let mut buffer = vec![0.0; lane.min(self.weights.len())];
        let mut rest = self;
        while !rest.weights.is_empty() {
            let length = rest.weights.len().min(lane);
            let (mut part, tail) = rest.split(length, block);
            let gradient = &mut buffer[..length];
            part.gradient.decode(gradient);
            part.descend(gradient, constants);
            if let Some(fresh) = &mut part.fresh {
                fresh.encode(part.weights);
            }
            rest = tail;
        }
    }

    /// Updates weights and moments by a gradient as it was accumulated.
    fn descend(&mut self, gradient: &mut [f32], constants: &Constants) {
        gradient.iter_mut().for_each(|gradient| *gradient *= constants.unscale);
        if constants.penalty != 0.0 {
            let pairs = gradient.iter_mut().zip(self.weights.iter());
            pairs.for_each(|(gradient, weight)| *gradient += *weight * constants.penalty);
        }
        match &mut self.moments {
            Lent::None => {
                for (weight, gradient) in self.weights.iter_mut().zip(gradient) {
                    *weight -= *gradient * constants.rate;
                }
            }
            Lent::First(first) => {
                for ((weight, gradient), first) in self.weights.iter_mut().zip(gradient).zip(first.iter_mut())
                {
                    *first = *first * constants.momentum + *gradient;
                    *weight -= *first * constants.rate;
                }
            }
            Lent::Both(first, second) => {
                let moments = first.iter_mut().zip(second.iter_mut());
                for ((weight, gradient), (first, second)) in
                    self.weights.iter_mut().zip(gradient).zip(moments)
                {
                    (*first, *second) = moved(*first, *second, *gradient, constants);
                    *weight = stepped(*weight, *first, *second, constants);
                }
            }
            Lent::Coded(first, second) => coded(self.weights, gradient, first, second, constants),
        }
    }
}

impl<'a> Lent<'a> {
    fn split(self, length: usize, block: usize) -> (Lent<'a>, Lent<'a>) {
        match self {
            Lent::None => (Lent::None, Lent::None),
            Lent::First(first) => {
                let (head, tail) = first.split_at_mut(length);
                (Lent::First(head), Lent::First(tail))
            }
            Lent::Both(first, second) => {
                let (first, first_rest) = first.split_at_mut(length);
                let (second, second_rest) = second.split_at_mut(length);
                (Lent::Both(first, second), Lent::Both(first_rest, second_rest))
            }
            Lent::Coded(first, second) => {
                let (first, first_rest) = first.split(length, block);
                let (second, second_rest) = second.split(length, block);
                (Lent::Coded(first, second), Lent::Coded(first_rest, second_rest))
            }
        }
    }
}

impl<'a> Bytes<'a> {
    fn split(self, length: usize, block: usize) -> (Bytes<'a>, Bytes<'a>) {
        let (codes, codes_rest) = self.codes.split_at_mut(length);
        let (scales, scales_rest) = self.scales.split_at_mut(length.div_ceil(block));
        (Bytes { codes, scales }, Bytes { codes: codes_rest, scales: scales_rest })
    }
}

/// One block of Adam in 8 bits. The moments are computed twice, once for their scales and once to be kept, so that they
/// never lie anywhere in fp32.
fn coded(
    weights: &mut [f32],
    gradient: &[f32],
    first: &mut Bytes<'_>,
    second: &mut Bytes<'_>,
    constants: &Constants,
) {
    let ([first_scale], [second_scale]) = (&mut *first.scales, &mut *second.scales) else { return };
    let ((first_unit, _), (second_unit, _)) = (first_factors(*first_scale), second_factors(*second_scale));
    let renewed = |first: u8, second: u8, gradient: f32| {
        moved(decode_first(first, first_unit), decode_second(second, second_unit), gradient, constants)
    };
    let (mut most_first, mut most_second) = (0.0_f32, 0.0_f32);
    for ((first, second), gradient) in first.codes.iter().zip(second.codes.iter()).zip(gradient) {
        let (first, second) = renewed(*first, *second, *gradient);
        most_first = most_first.max(first.abs());
        most_second = most_second.max(second);
    }
    (*first_scale, *second_scale) = (most_first, fourth_root(most_second));
    let ((_, first_per), (_, second_per)) = (first_factors(*first_scale), second_factors(*second_scale));
    let codes = first.codes.iter_mut().zip(second.codes.iter_mut());
    for ((weight, gradient), (first_code, second_code)) in weights.iter_mut().zip(gradient).zip(codes) {
        let (first, second) = renewed(*first_code, *second_code, *gradient);
        *weight = stepped(*weight, first, second, constants);
        *first_code = encode_first(first, first_per, constants.dither);
        *second_code = encode_second(second, second_per, constants.dither);
    }
}

/// The moments after a gradient.
#[inline(always)]
fn moved(first: f32, second: f32, gradient: f32, constants: &Constants) -> (f32, f32) {
    let Constants { first: (keep, take), second: (keep_square, take_square), .. } = *constants;
    (first * keep + gradient * take, second * keep_square + gradient * gradient * take_square)
}

/// A weight after a step of Adam.
#[inline(always)]
fn stepped(weight: f32, first: f32, second: f32, constants: &Constants) -> f32 {
    weight * constants.keep - first / (second.sqrt() * constants.root + constants.epsilon) * constants.rate
}
