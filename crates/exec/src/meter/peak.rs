//! What a device reaches at best: the yardstick of every efficiency, measured in the same process with the same kernels.

use std::time::{Duration, Instant};

use candle_core::{DType, Device, Result, Tensor, bail};

use super::clock::{Stopwatch, median};
use crate::device::available_memory;

/// The fastest matrix product that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// FLOP/s, a multiply-add being 2 FLOP.
    pub flops_per_second: f64,
    /// The side of the square matrices that reached it.
    pub size: usize,
}

/// The sides of the square products that [`matmul_peak`] tries on a device, in order.
///
/// On a CPU the operands of the last still fit into caches; a GPU needs some GFLOP to be filled at all.
pub fn sizes(device: &Device) -> &'static [usize] {
    match device {
        Device::Cpu => &[256, 384, 512, 768, 1024],
        _ => &[1024, 2048, 4096, 8192],
    }
}

/// The device's rate in square products of one type, the best of all runs of all [`sizes`] that fit into half of its
/// free memory. The smallest is tried however short the budget; each other takes its share of it.
///
/// # Errors
/// What the product fails with: a type without products, a device that is out of memory.
pub fn matmul_peak(device: &Device, dtype: DType, budget: Duration) -> Result<Peak> {
    let started = Instant::now();
    let memory = available_memory(device).unwrap_or(u64::MAX);
    let sizes = sizes(device);
    let mut best = None::<Peak>;
    for (at, &size) in sizes.iter().enumerate() {
        let left = budget.saturating_sub(started.elapsed());
        // The two operands, the result, and as much again for what a product may convert on its way.
        let bytes = 6 * (size * size * dtype.size_in_bytes()) as u64;
        if best.is_some() && (left.is_zero() || bytes > memory / 2) {
            break;
        }
        let share = left.as_secs_f64() / (sizes.len() - at) as f64;
        let rates = rates(device, dtype, (1, size, size, size), share)?;
        let rate = rates.into_iter().fold(0.0, f64::max);
        if best.is_none_or(|best| rate > best.flops_per_second) {
            best = Some(Peak { flops_per_second: rate, size });
        }
    }
    match best {
        Some(best) => Ok(best),
        None => bail!("no size of product was tried"),
    }
}

/// The rate of products `[batch, m, k] · [batch, k, n]` in FLOP/s: the median of all runs in about so many `seconds`,
/// of at least one.
///
/// # Errors
/// As [`matmul_peak`]; also where a side is 0 or the operands have more elements than can be counted.
pub fn product_rate(
    device: &Device,
    dtype: DType,
    shape: (usize, usize, usize, usize),
    seconds: f64,
) -> Result<f64> {
    let mut rates = rates(device, dtype, shape, seconds)?;
    match median(&mut rates) {
        Some(rate) => Ok(rate),
        None => bail!("no product was run"),
    }
}

/// The bytes per second that a pointwise kernel reads and writes, `y = a·x + b` over tens of megabytes: what bounds
/// everything that is not a product. The median of the runs in a fifth of a second.
///
/// # Errors
/// What the kernel fails with.
pub fn bandwidth(device: &Device, dtype: DType) -> Result<f64> {
    // More than caches hold, and on the CPU less than what the system's allocator maps anew each time.
    let bytes: usize = if device.is_cpu() { 16 << 20 } else { 256 << 20 };
    let x = values(device, dtype, &[bytes / dtype.size_in_bytes().max(1)])?;
    let moved = 2.0 * (x.elem_count() * dtype.size_in_bytes()) as f64;
    let mut rates = measured(device, moved, 0.2, || x.affine(0.5, 0.25))?;
    match median(&mut rates) {
        Some(rate) => Ok(rate),
        None => bail!("no kernel was run"),
    }
}

/// The rates of all runs of a product.
fn rates(
    device: &Device,
    dtype: DType,
    (batch, m, k, n): (usize, usize, usize, usize),
    seconds: f64,
) -> Result<Vec<f64>> {
    let elements = |sides: [usize; 3]| sides.iter().try_fold(1_usize, |all, side| all.checked_mul(*side));
    let countable = [[batch, m, k], [batch, k, n], [batch, m, n]].map(elements);
    if !countable.iter().all(|elements| elements.is_some_and(|elements| elements > 0)) {
        bail!("a product of shape {batch}×[{m}×{k}]·[{k}×{n}] cannot be run");
    }
    let flops = 2.0 * batch as f64 * m as f64 * k as f64 * n as f64;
    let a = values(device, dtype, &[batch, m, k])?;
    let b = values(device, dtype, &[batch, k, n])?;
    measured(device, flops, seconds, || a.matmul(&b))
}

/// How much work per second each run of a kernel does, until the time is over; one run is `amount`. Kernels so short
/// that the clock would be in the way run several times between two looks at it.
fn measured(
    device: &Device,
    amount: f64,
    seconds: f64,
    kernel: impl Fn() -> Result<Tensor>,
) -> Result<Vec<f64>> {
    /// The least time between two looks at the clock, in seconds.
    const STRETCH: f64 = 2e-3;
    /// The most runs in one stretch: what is queued on a device is bounded.
    const MOST: f64 = 1000.0;

    let started = Instant::now();
    // The first run compiles, loads, packs; the second is the first to tell how long one takes.
    drop(kernel()?);
    let watch = Stopwatch::start(device)?;
    drop(kernel()?);
    let once = watch.stop()?.max(1e-9);
    let runs = (STRETCH / once).ceil().clamp(1.0, MOST) as usize;
    let mut rates = Vec::new();
    loop {
        let watch = Stopwatch::start(device)?;
        for _ in 0..runs {
            drop(kernel()?);
        }
        // A clock may stand still for so short a time.
        rates.push(amount * runs as f64 / watch.stop()?.max(1e-9));
        if started.elapsed().as_secs_f64() >= seconds {
            return Ok(rates);
        }
    }
}

/// A tensor of small values of both signs. Zeros would flatter: a GPU draws less power on them and clocks higher.
fn values(device: &Device, dtype: DType, shape: &[usize]) -> Result<Tensor> {
    let count: usize = shape.iter().product();
    // 251 is prime: rows differ from each other whatever their length.
    let values: Vec<f32> = (0..count).map(|at| (at % 251) as f32 / 125.0 - 1.0).collect();
    // Narrowed on the host, so that a large tensor is not on the device twice.
    Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is how a test fails
mod tests {
    use super::*;

    const FLOATS: [DType; 4] = [DType::F32, DType::F64, DType::BF16, DType::F16];

    #[test]
    fn a_peak_is_a_rate_of_one_of_the_sizes() {
        for dtype in FLOATS {
            let peak = matmul_peak(&Device::Cpu, dtype, Duration::from_millis(20)).unwrap();
            assert!(peak.flops_per_second.is_finite() && peak.flops_per_second > 0.0, "{peak:?}");
            assert!(sizes(&Device::Cpu).contains(&peak.size), "{peak:?}");
        }
    }

    /// However short the time, something is measured.
    #[test]
    fn no_budget_gives_the_smallest() {
        let peak = matmul_peak(&Device::Cpu, DType::F32, Duration::ZERO).unwrap();
        assert_eq!(peak.size, sizes(&Device::Cpu)[0]);
    }

    #[test]
    fn every_shape_has_a_rate() {
        for shape in [(1, 1, 1, 1), (3, 5, 7, 2), (4, 64, 16, 64)] {
            for dtype in FLOATS {
                let rate = product_rate(&Device::Cpu, dtype, shape, 1e-3).unwrap();
                assert!(rate.is_finite() && rate > 0.0, "{shape:?} {dtype:?} {rate}");
            }
        }
    }

    #[test]
    fn a_product_that_cannot_be_run_is_refused() {
        for shape in [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0), (usize::MAX, 2, 2, 2)] {
            assert!(product_rate(&Device::Cpu, DType::F32, shape, 1e-3).is_err(), "{shape:?}");
        }
        // There are no products of integers.
        assert!(product_rate(&Device::Cpu, DType::U32, (1, 2, 2, 2), 1e-3).is_err());
        assert!(matmul_peak(&Device::Cpu, DType::U32, Duration::ZERO).is_err());
    }

    #[test]
    fn a_bandwidth_is_a_rate() {
        for dtype in [DType::F32, DType::BF16] {
            let rate = bandwidth(&Device::Cpu, dtype).unwrap();
            assert!(rate.is_finite() && rate > 0.0, "{dtype:?} {rate}");
        }
    }
}
