//! How sure a fit is: the same fit of runs drawn anew from the runs.

use rayon::prelude::*;

use super::objective::Points;
use super::{Fit, LEAST_EXPONENT, Run, polish};
use crate::scaling::Parametric;

/// The laws of resampled runs (Efron 1979).
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    /// A law for each resample that has one, in the order of resamples.
    pub laws: Vec<Parametric>,
    /// Resamples whose best constants are no law: loss grows with N or D, or they are beyond what a float holds.
    pub failed: usize,
}

/// What a number is in 95% of resamples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The 2.5th percentile.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The 97.5th percentile.
    pub high: f64,
    /// The standard deviation.
    pub deviation: f64,
}

/// Fits `count` resamples of the runs, each as many runs as there are, with replacement.
///
/// Each resample draws from a generator of its own, made of the seed and its place: the result does not depend on how
/// many threads there are.
pub fn bootstrap(runs: &[Run], fit: &Fit, delta: f64, count: usize, seed: u64) -> Bootstrap {
    let points = Points::new(runs, None);
    let start = points.constants(&fit.law);
    let laws: Vec<Option<Parametric>> = (0..count)
        .into_par_iter()
        .map(|at| {
            let drawn = points.weighted(&draw(runs.len(), Random::new(seed, at as u64)));
            let polished = polish::refine(&drawn, start, delta);
            let law = drawn.law(&polished.constants);
            let sound = |value: f64| value.is_finite() && value > 0.0;
            let falls = law.alpha >= LEAST_EXPONENT && law.beta >= LEAST_EXPONENT;
            let whole = sound(law.a) && sound(law.b) && sound(law.alpha) && sound(law.beta) && falls;
            (whole && law.e.is_finite()).then_some(law)
        })
        .collect();
    let laws: Vec<Parametric> = laws.into_iter().flatten().collect();
    Bootstrap { failed: count - laws.len(), laws }
}

impl Bootstrap {
    /// The interval of a number of a law; `None` where no resample has it.
    pub fn interval(&self, of: impl Fn(&Parametric) -> f64) -> Option<Interval> {
        let mut values: Vec<f64> = self.laws.iter().map(of).filter(|value| !value.is_nan()).collect();
        values.sort_by(f64::total_cmp);
        let (mean, count) = (values.iter().sum::<f64>() / values.len() as f64, values.len() as f64);
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        Some(Interval {
            low: percentile(&values, 0.025)?,
            median: percentile(&values, 0.5)?,
            high: percentile(&values, 0.975)?,
            deviation: (squares / (count - 1.0).max(1.0)).sqrt(),
        })
    }

    /// The covariance of ln A, ln B, E, α and β: its lower triangle, row by row. `None` with fewer than two laws.
    pub fn covariance(&self) -> Option<[f64; 15]> {
        if self.laws.len() < 2 {
            return None;
        }
        let row = |law: &Parametric| [libm::log(law.a), libm::log(law.b), law.e, law.alpha, law.beta];
        let count = self.laws.len() as f64;
        let mut means = [0.0; 5];
        for law in &self.laws {
            means.iter_mut().zip(row(law)).for_each(|(mean, value)| *mean += value / count);
        }
        let mut triangle = [0.0; 15];
        for law in &self.laws {
            let own = row(law);
            let mut at = 0;
            for one in 0..5 {
                for other in 0..=one {
                    triangle[at] += (own[one] - means[one]) * (own[other] - means[other]) / (count - 1.0);
                    at += 1;
                }
            }
        }
        Some(triangle)
    }
}

/// Between the two nearest of sorted values, linearly.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    if below == above { Some(*below) } else { Some(below + (above - below) * place.fract()) }
}

/// How often each of `count` runs is drawn in as many draws.
fn draw(count: usize, mut random: Random) -> Vec<u32> {
    let mut drawn = vec![0; count];
    for _ in 0..count {
        if let Some(own) = drawn.get_mut(random.below(count)) {
            *own += 1;
        }
    }
    drawn
}

/// SplitMix64 (Steele 2014): a state of 64 bits that any seed is good for.
struct Random(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The generator of a place: seeds and places that are near each other share nothing.
    fn new(seed: u64, at: u64) -> Random {
        let mut mixed = Random(seed);
        let first = mixed.next();
        Random(Random(first ^ at.wrapping_mul(GOLDEN)).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `count`; its bias is below count/2⁶⁴.
    fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_values() {
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.5), Some(3.0));
        assert_eq!(percentile(&[1.0, 2.0], 0.25), Some(1.25));
        assert_eq!(percentile(&[7.0], 0.975), Some(7.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn draws_are_even_and_differ_by_place_and_seed() {
        let total: Vec<u32> = (0..1000)
            .map(|at| draw(10, Random::new(1, at)))
            .fold(vec![0; 10], |sum, own| sum.iter().zip(own).map(|(sum, own)| sum + own).collect());
        // 1,000 each, with a deviation of 30.
        assert!(total.iter().all(|count| count.abs_diff(1000) < 150), "{total:?}");
        let of = |seed, at| draw(50, Random::new(seed, at));
        assert_ne!(of(1, 0), of(1, 1));
        assert_ne!(of(1, 0), of(2, 0));
        assert_eq!(of(1, 0), of(1, 0));
    }
}
