//! What a run costs: bytes, seconds and rates, as the device itself gives them.
//!
//! A meter sees the whole process: one run at a time is measured, and nothing beside it.

pub mod allocator;
pub mod clock;
pub mod peak;
#[cfg(feature = "cuda")]
mod pool;

use candle_core::{Device, Result};

/// Who counts the bytes that tensors of a device take.
///
/// - CPU: the allocator of the process ([`allocator::Counting`]), in bytes that were asked for. All that the process
///   allocates is in it, tensors or not: what counts is a difference.
/// - CUDA: the memory pool that the device's allocations come from, in bytes that the driver handed out. Code, contexts
///   and the workspaces of cuBLAS are not in it. The device is synchronised before each reading, since allocations and
///   frees are work of a stream like any other.
/// - Metal: nobody. Candle keeps freed buffers for reuse and says neither what is used nor what is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Meter {
    /// The counting allocator.
    Allocator,
    /// The memory pool of a CUDA device.
    #[cfg(feature = "cuda")]
    Pool(candle_core::CudaDevice),
}

impl Meter {
    /// The meter of a device. `None` where there is none: on Metal, on CUDA devices without memory pools, and on the CPU
    /// of a binary that has not installed the allocator.
    pub fn of(device: &Device) -> Option<Meter> {
        match device {
            Device::Cpu => allocator::installed().then_some(Meter::Allocator),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => pool::counts(device).then(|| Meter::Pool(device.clone())),
            _ => None,
        }
    }

    /// The bytes that are allocated now.
    ///
    /// # Errors
    /// What the driver of the device reports; the CPU has nothing to report.
    pub fn live(&self) -> Result<u64> {
        match self {
            Meter::Allocator => Ok(allocator::live()),
            #[cfg(feature = "cuda")]
            Meter::Pool(device) => pool::live(device),
        }
    }

    /// The most bytes that were allocated at once since [`Meter::reset_peak`].
    ///
    /// # Errors
    /// As [`Meter::live`].
    pub fn peak(&self) -> Result<u64> {
        match self {
            Meter::Allocator => Ok(allocator::peak()),
            #[cfg(feature = "cuda")]
            Meter::Pool(device) => pool::peak(device),
        }
    }

    /// Lets the peak begin anew at what is live now.
    ///
    /// # Errors
    /// As [`Meter::live`].
    pub fn reset_peak(&self) -> Result<()> {
        match self {
            Meter::Allocator => {
                allocator::reset_peak();
                Ok(())
            }
            #[cfg(feature = "cuda")]
            Meter::Pool(device) => pool::reset_peak(device),
        }
    }
}
