//! LayerNorm (Ba 2016) and RMSNorm (Zhang 2019).

use rayon::prelude::*;

use super::vector::{rows_per_sum, rows_per_task, sum_of, sum_of_both, vectorised};

/// Added to the variance.
pub(crate) const EPSILON: f64 = 1e-5;

/// A norm over each `width` consecutive values.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    /// Values of a group.
    pub(crate) width: usize,
    /// LayerNorm, which takes the mean away; RMSNorm does not.
    pub(crate) centred: bool,
    /// Factors: `width` of them, which serve all groups, or a multiple, which serves that many groups in turn.
    pub(crate) weight: Option<&'a [f32]>,
    /// Summands, likewise.
    pub(crate) bias: Option<&'a [f32]>,
}

/// The gradients of a norm.
pub(crate) struct NormGradients {
    /// Of the input.
    pub(crate) x: Vec<f32>,
    /// Of the factors, as many as there are.
    pub(crate) weight: Option<Vec<f32>>,
    /// Of the summands, as many as there are.
    pub(crate) bias: Option<Vec<f32>>,
}

/// The output, and per group what the way back needs: one over the standard deviation (the root of the mean square
/// where it is not centred), behind the mean where it is centred.
pub(crate) fn norm(x: &[f32], how: Norm<'_>) -> (Vec<f32>, Vec<f32>) {
    debug_assert!(how.fits(x.len()));
    if x.is_empty() || how.width == 0 {
        return (Vec::new(), Vec::new());
    }
    let affine = Affine::of(how);
    let groups = rows_per_task(how.width);
    let mut y = vec![0.0; x.len()];
    let mut statistics = vec![0.0; x.len() / how.width * how.statistics()];
    y.par_chunks_mut(groups * how.width)
        .zip(x.par_chunks(groups * how.width))
        .zip(statistics.par_chunks_mut(groups * how.statistics()))
        .enumerate()
        .for_each(|(task, ((y, x), statistics))| {
            vectorised!(forward(y, x, statistics, task * groups, how, &affine));
        });
    (y, statistics)
}

/// The gradients, from input, statistics, and gradient of the output.
pub(crate) fn norm_backward(x: &[f32], statistics: &[f32], dy: &[f32], how: Norm<'_>) -> NormGradients {
    debug_assert!(how.fits(x.len()) && x.len() == dy.len());
    debug_assert_eq!(statistics.len(), x.len() / how.width.max(1) * how.statistics());
    let mut gradients = NormGradients {
        x: vec![0.0; x.len()],
        weight: how.weight.map(|values| vec![0.0; values.len()]),
        bias: how.bias.map(|values| vec![0.0; values.len()]),
    };
    if x.is_empty() || how.width == 0 {
        return gradients;
    }
    let affine = Affine::of(how);
    let period = affine.weight.len().max(affine.bias.len());
    let values = rows_per_sum(period) * period;
    let parts: Vec<(Vec<f32>, Vec<f32>)> = gradients
        .x
        .par_chunks_mut(values)
        .zip(x.par_chunks(values))
        .zip(dy.par_chunks(values))
        .zip(statistics.par_chunks(values / how.width * how.statistics()))
        .map(|(((dx, x), dy), statistics)| {
            let (mut d_weight, mut d_bias) = (vec![0.0; affine.weight.len()], vec![0.0; affine.bias.len()]);
            let sums = (d_weight.as_mut_slice(), d_bias.as_mut_slice());
            vectorised!(backward(dx, x, dy, statistics, how, &affine, sums));
            (d_weight, d_bias)
        })
        .collect();
    for (of_weight, of_bias) in &parts {
        for (sums, part) in [(&mut gradients.weight, of_weight), (&mut gradients.bias, of_bias)] {
            let sums = sums.iter_mut().flatten();
            sums.zip(part).for_each(|(sum, part)| *sum += part);
        }
    }
    gradients
}

impl Norm<'_> {
    /// How many statistics a group has.
    fn statistics(self) -> usize {
        if self.centred { 2 } else { 1 }
    }

    /// Whether so many values are whole groups, and the weights are.
    fn fits(self, values: usize) -> bool {
        let whole = |count: usize| count == 0 || self.width > 0 && count.is_multiple_of(self.width);
        let weights = [self.weight, self.bias].into_iter().flatten();
        whole(values) && weights.into_iter().all(|row| !row.is_empty() && whole(row.len()))
    }
}

/// Factors and summands, those that are not there as ones and zeros.
struct Affine {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Affine {
    fn of(how: Norm<'_>) -> Affine {
        let or =
            |values: Option<&[f32]>, other| values.map_or_else(|| vec![other; how.width], <[f32]>::to_vec);
        Affine { weight: or(how.weight, 1.0), bias: or(how.bias, 0.0) }
    }
}

/// The part of a row of weights that serves a group.
#[inline(always)]
fn serving(values: &[f32], group: usize, width: usize) -> &[f32] {
    let start = group * width % values.len();
    &values[start..start + width]
}

/// Groups of values, the first of them at `first`.
#[inline(always)]
fn forward(y: &mut [f32], x: &[f32], statistics: &mut [f32], first: usize, how: Norm<'_>, affine: &Affine) {
    let groups = y.chunks_exact_mut(how.width).zip(x.chunks_exact(how.width));
    for (at, ((y, x), statistics)) in groups.zip(statistics.chunks_exact_mut(how.statistics())).enumerate() {
        let mean = if how.centred { sum_of(x, |value| value) / how.width as f32 } else { 0.0 };
        let variance = sum_of(x, |value| (value - mean) * (value - mean)) / how.width as f32;
        let scale = 1.0 / (variance + EPSILON as f32).sqrt();
        if let [kept_mean, kept_scale] = statistics {
            (*kept_mean, *kept_scale) = (mean, scale);
        } else if let [kept_scale] = statistics {
            *kept_scale = scale;
        }
        let weight = serving(&affine.weight, first + at, how.width);
        let bias = serving(&affine.bias, first + at, how.width);
        for (((y, x), weight), bias) in y.iter_mut().zip(x).zip(weight).zip(bias) {
            *y = (x - mean) * scale * weight + bias;
        }
    }
}

/// Groups of gradients, the first of them where factors and summands start.
#[inline(always)]
fn backward(
    dx: &mut [f32],
    x: &[f32],
    dy: &[f32],
    statistics: &[f32],
    how: Norm<'_>,
    affine: &Affine,
    (d_weight, d_bias): (&mut [f32], &mut [f32]),
) {
    let groups =
        dx.chunks_exact_mut(how.width).zip(x.chunks_exact(how.width)).zip(dy.chunks_exact(how.width));
    for (at, (((dx, x), dy), statistics)) in groups.zip(statistics.chunks_exact(how.statistics())).enumerate()
    {
        let (mean, scale) = match *statistics {
            [mean, scale] => (mean, scale),
            [scale] => (0.0, scale),
            _ => continue,
        };
        let weight = serving(&affine.weight, at, how.width);
        // First the gradients of the normalised values, then what scale and mean take of them.
        for ((dx, dy), weight) in dx.iter_mut().zip(dy).zip(weight) {
            *dx = dy * weight;
        }
        let mean_gradient =
            if how.centred { sum_of(dx, |gradient| gradient) / how.width as f32 } else { 0.0 };
        let product = sum_of_both(dx, x, |gradient, x| gradient * (x - mean)) * scale / how.width as f32;
        for (dx, x) in dx.iter_mut().zip(x) {
            *dx = scale * (*dx - mean_gradient - (x - mean) * scale * product);
        }
        let start = at * how.width % d_weight.len();
        for ((total, x), dy) in d_weight[start..start + how.width].iter_mut().zip(x).zip(dy) {
            *total += dy * ((x - mean) * scale);
        }
        let start = at * how.width % d_bias.len();
        for (total, dy) in d_bias[start..start + how.width].iter_mut().zip(dy) {
            *total += dy;
        }
    }
}
