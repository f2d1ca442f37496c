//! The bytes that a CUDA device's memory pool has handed out, and the most it had at once.

// The attributes of a pool are read through the driver's C interface, which writes them behind a pointer.
#![allow(unsafe_code)]

use candle_core::backend::BackendDevice;
use candle_core::cuda_backend::cudarc::driver::result::{DriverError, device, mem_pool};
use candle_core::cuda_backend::cudarc::driver::sys::{CUmemPool_attribute, CUmemoryPool};
use candle_core::{CudaDevice, Error, Result};

/// Whether allocations on a device come from a pool. Where the device has none they are made one by one, uncounted.
pub(super) fn counts(device: &CudaDevice) -> bool {
    device.cuda_stream().context().has_async_alloc()
}

/// Bytes in use, as the driver rounds them.
pub(super) fn live(device: &CudaDevice) -> Result<u64> {
    read(device, CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)
}

/// The most bytes in use since the last reset.
pub(super) fn peak(device: &CudaDevice) -> Result<u64> {
    read(device, CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH)
}

/// Lets the high-water mark begin anew at what is in use.
pub(super) fn reset_peak(device: &CudaDevice) -> Result<()> {
    let pool = settled(device)?;
    // The only value that the driver takes: it stands for "what is in use now".
    let mut zero: u64 = 0;
    // SAFETY: the pool is the device's own and lives as long as the device; the attribute is a 64-bit count, and the
    // pointer is to one that outlives the call.
    unsafe {
        mem_pool::set_attribute(
            pool,
            CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH,
            (&raw mut zero).cast(),
        )
    }
    .map_err(failed)
}

fn read(device: &CudaDevice, attribute: CUmemPool_attribute) -> Result<u64> {
    let pool = settled(device)?;
    let mut bytes: u64 = 0;
    // SAFETY: as in `reset_peak`; both attributes that are read here are 64-bit counts.
    unsafe { mem_pool::get_attribute(pool, attribute, (&raw mut bytes).cast()) }.map_err(failed)?;
    Ok(bytes)
}

/// The pool that allocations on a device come from, once all work that was queued has ended.
fn settled(device: &CudaDevice) -> Result<CUmemoryPool> {
    device.synchronize()?;
    let stream = device.cuda_stream();
    let context = stream.context();
    context.bind_to_thread().map_err(failed)?;
    // SAFETY: the device is the one that this live context was made for.
    unsafe { device::get_mem_pool(context.cu_device()) }.map_err(failed)
}

fn failed(error: DriverError) -> Error {
    Error::msg(format!("the memory pool of the device cannot be read: {error}"))
}
