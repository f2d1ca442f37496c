//! Kernels against plain formulas in `f64`, and gradients against differences of these.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod attention;
mod pointwise;
mod rows;

use super::vector::{TASK, exp, sigmoid};

/// Numbers without a pattern, between -2 and 2.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 5 + seed * 13) as f32 * 0.9).sin() * 2.0).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// Each value is right to within 10⁻⁵ of itself, or of one where it is smaller.
#[track_caller]
fn close(got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(*got) - expected).abs();
        assert!(error <= 1e-5 * expected.abs().max(1.0), "{got} and {expected} at {at}");
    }
}

/// The gradient of a function of `x` whose result has the gradient `dy`: differences to both sides.
#[track_caller]
fn is_gradient(got: &[f32], x: &[f32], dy: &[f32], function: impl Fn(&[f64]) -> Vec<f64>) {
    let step = 1e-5;
    let (mut x, dy) = (wide(x), wide(dy));
    let expected: Vec<f64> = (0..x.len())
        .map(|at| {
            let value = x[at];
            let mut sum_at = |value| {
                x[at] = value;
                let y = function(&x);
                assert_eq!(y.len(), dy.len());
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
            };
            let difference = sum_at(value + step) - sum_at(value - step);
            x[at] = value;
            difference / (2.0 * step)
        })
        .collect();
    close(got, &expected);
}

/// A function that does the same with one thread and with three, to the bit.
#[track_caller]
fn same_on_any_threads(run: impl Fn() -> Vec<f32> + Send + Sync) {
    let bits = |threads| -> Vec<u32> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(&run).into_iter().map(f32::to_bits).collect()
    };
    let alone = bits(1);
    assert!(alone.len() > 1 && alone.iter().any(|bits| *bits != alone[0]));
    assert!(alone == bits(3));
}

/// Over all magnitudes of both signs, and densely where results are normal numbers.
#[test]
fn exponentials_are_right_to_the_last_bit_but_one() {
    let magnitudes = (0..=u32::from(u16::MAX)).map(|high| f32::from_bits(high << 16 | 0x5a5a));
    let dense = (0..2_000_000).map(|at| -87.3 + at as f32 * (88.3 + 87.3) / 2e6);
    for x in magnitudes.chain(dense).filter(|x| (-87.33..=88.37).contains(x)) {
        let expected = f64::from(x).exp();
        let error = (f64::from(exp(x)) / expected - 1.0).abs();
        assert!(error <= 2e-7, "exp({x}) is {}, off by {error:e}", exp(x));
    }
}

#[test]
fn exponentials_end_well() {
    assert_eq!(exp(0.0), 1.0);
    for x in [-87.34, -88.0, -104.0, -1e10, f32::MIN, f32::NEG_INFINITY] {
        assert_eq!(exp(x), 0.0);
    }
    for x in [88.4, 89.0, 1e10, f32::MAX, f32::INFINITY] {
        assert!((2.3e38..f32::INFINITY).contains(&exp(x)), "exp({x}) is {}", exp(x));
    }
    assert!(exp(f32::NAN).is_nan() && exp(-f32::NAN).is_nan());
    assert_eq!((sigmoid(f32::INFINITY), sigmoid(0.0)), (1.0, 0.5));
    assert!(sigmoid(f32::NEG_INFINITY) < 1e-38 && sigmoid(f32::NAN).is_nan());
}

/// A kernel that runs with wider instructions gives what the plain function gives.
#[test]
fn instructions_do_not_change_bits() {
    let x = numbers(TASK, 1);
    let y = super::gate::gate(&vec![1.0; TASK], &x, 1, false);
    assert!(x.iter().zip(y).all(|(x, y)| sigmoid(*x).to_bits() == y.to_bits()));
}
