//! What the loops are made of: functions without branches that compilers turn into vector instructions, sums in a
//! fixed order, and the amount of work that is worth a task of its own.

/// Calls an `#[inline(always)]` function with what the processor has: AVX2, which the baseline of x86-64 lacks and
/// which doubles the width of a vector. Other processors have their vectors in the baseline.
macro_rules! vectorised {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        #[cfg(target_arch = "x86_64")]
        let result = match pulp::x86::V3::try_new() {
            Some(processor) => processor.vectorize(|| $function($($argument),*)),
            None => $function($($argument),*),
        };
        #[cfg(not(target_arch = "x86_64"))]
        let result = $function($($argument),*);
        result
    }};
}
pub(super) use vectorised;

/// Values that a task handles at least: some microseconds of work, and 64 KiB that stay in a core's cache.
pub(super) const TASK: usize = 16_384;

/// Sums are taken in so many lanes, which are then added pairwise.
pub(super) const LANES: usize = 16;

/// Rows of `width` values that make a task.
pub(super) fn rows_per_task(width: usize) -> usize {
    (TASK / width.max(1)).max(1)
}

/// Rows of `width` values whose sum is one summand of the sum over all rows.
pub(super) fn rows_per_sum(width: usize) -> usize {
    rows_per_task(width).max(64)
}

/// eˣ with a relative error below 2·10⁻⁷ (reduction after Cody and Waite 1980, polynomial of Moshier's Cephes library).
/// Zero below -87.33, where results would be denormal; 2.4·10³⁸ above 88.37, where they would soon be infinite. NaN
/// stays NaN.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.33;
    const HIGHEST: f32 = 88.37;
    // 1.5·2²³: a sum with it has its last bit at one, and so is rounded to a whole number.
    const ROUNDER: f32 = 12_582_912.0;
    // ln 2 in two parts. The first has 9 bits, so its products with whole numbers here are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Comparisons rather than `clamp`, `min` and `max`: these have their own ideas about NaN.
    let bounded = if x < LOWEST { LOWEST } else { x };
    let bounded = if bounded > HIGHEST { HIGHEST } else { bounded };
    let shifted = bounded * std::f32::consts::LOG2_E + ROUNDER;
    let power = shifted - ROUNDER;
    let r = (bounded - power * LN_2_HIGH) - power * LN_2_LOW;
    // In pairs of terms (Estrin 1960): fewer steps wait for each other than in one chain.
    let square = r * r;
    let low = 0.5 + 1.666_666_5e-1 * r;
    let middle = 4.166_579_6e-2 + 8.333_452e-3 * r;
    let high = 1.398_199_9e-3 + 1.987_569_1e-4 * r;
    let series = low + square * (middle + square * high);
    let mantissa = series * square + r + 1.0;
    // The last nine bits of the shifted number are the power in two's complement: with the bias, an exponent.
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < LOWEST { 0.0 } else { mantissa * scale }
}

/// The logistic function.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The largest of values times a positive factor, and of a floor. NaN is passed over.
#[inline(always)]
pub(super) fn largest(values: &[f32], factor: f32, floor: f32) -> f32 {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [floor; LANES];
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            let value = value * factor;
            *lane = if value > *lane { value } else { *lane };
        }
    }
    let rest = rest.iter().map(|value| value * factor);
    rest.chain(lanes).fold(floor, |largest, value| if value > largest { value } else { largest })
}

/// The sum of a cheap function of each value.
#[inline(always)]
pub(super) fn sum_of(values: &[f32], function: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += function(*value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += function(*value);
    }
    folded(lanes)
}

/// The sum of products.
#[inline(always)]
pub(super) fn dot(one: &[f32], other: &[f32]) -> f32 {
    sum_of_both(one, other, |one, other| one * other)
}

/// The sum of a cheap function of two values at the same place.
#[inline(always)]
pub(super) fn sum_of_both(one: &[f32], other: &[f32], function: impl Fn(f32, f32) -> f32) -> f32 {
    let (ones, rest_of_one) = one.as_chunks::<LANES>();
    let (others, rest_of_other) = other.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (one, other) in ones.iter().zip(others) {
        for ((lane, one), other) in lanes.iter_mut().zip(one).zip(other) {
            *lane += function(*one, *other);
        }
    }
    for ((lane, one), other) in lanes.iter_mut().zip(rest_of_one).zip(rest_of_other) {
        *lane += function(*one, *other);
    }
    folded(lanes)
}

/// The sum of the lanes, halves upon halves.
#[inline(always)]
pub(super) fn folded(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high) {
            *low += *high;
        }
        half /= 2;
    }
    lanes[0]
}
