//! Seconds of work on a device.

use std::time::Instant;

use candle_core::{Device, Result};

/// Runs from its start to its stop, on the clock of the device.
///
/// A GPU works behind the program's back: the time is that between two events in the device's stream on CUDA, and
/// elsewhere that between two moments at which nothing was left to do.
#[derive(Debug)]
pub struct Stopwatch<'d> {
    device: &'d Device,
    started: Instant,
    #[cfg(feature = "cuda")]
    event: Option<candle_core::cuda_backend::cudarc::driver::CudaEvent>,
}

impl<'d> Stopwatch<'d> {
    /// Waits for the device to be idle, and starts.
    ///
    /// # Errors
    /// What work that was still queued ended with.
    pub fn start(device: &'d Device) -> Result<Stopwatch<'d>> {
        device.synchronize()?;
        Ok(Stopwatch {
            device,
            #[cfg(feature = "cuda")]
            event: event(device)?,
            started: Instant::now(),
        })
    }

    /// Waits for the work since the start to end, and gives its seconds.
    ///
    /// # Errors
    /// What that work ended with.
    pub fn stop(self) -> Result<f64> {
        #[cfg(feature = "cuda")]
        if let (Some(start), Some(end)) = (&self.event, event(self.device)?) {
            let milliseconds = start.elapsed_ms(&end).map_err(candle_core::Error::wrap)?;
            return Ok(f64::from(milliseconds) / 1e3);
        }
        self.device.synchronize()?;
        Ok(self.started.elapsed().as_secs_f64())
    }
}

/// An event behind what is queued now; `None` where the device is not a CUDA one.
#[cfg(feature = "cuda")]
fn event(device: &Device) -> Result<Option<candle_core::cuda_backend::cudarc::driver::CudaEvent>> {
    use candle_core::cuda_backend::cudarc::driver::sys::CUevent_flags;

    let Device::Cuda(device) = device else { return Ok(None) };
    // Without flags an event keeps no time.
    let event = device.cuda_stream().record_event(Some(CUevent_flags::CU_EVENT_DEFAULT));
    event.map(Some).map_err(candle_core::Error::wrap)
}

/// The seconds that the same work took, several times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// The one in the middle.
    pub median: f64,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
    /// How often it ran, warm-ups left out; at least 1.
    pub repeats: usize,
}

/// Runs a piece of work `warmups` times unmeasured, then `repeats` times (at least once) with the clock on. What it
/// returns is dropped before the clock stops: freeing is part of the work.
///
/// # Errors
/// The first error of the work or of the device.
pub fn timed<T>(
    device: &Device,
    warmups: usize,
    repeats: usize,
    mut work: impl FnMut() -> Result<T>,
) -> Result<Times> {
    for _ in 0..warmups {
        drop(work()?);
    }
    let repeats = repeats.max(1);
    let (mut seconds, mut min, mut max) = (Vec::with_capacity(repeats), f64::INFINITY, 0.0_f64);
    for _ in 0..repeats {
        let watch = Stopwatch::start(device)?;
        drop(work()?);
        let took = watch.stop()?;
        min = min.min(took);
        max = max.max(took);
        seconds.push(took);
    }
    Ok(Times { median: median(&mut seconds).unwrap_or(max), min, max, repeats })
}

/// The value in the middle, or the mean of the two there; `None` of nothing. The values are sorted on the way.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(middle.checked_sub(1)?)?;
    Some(lower / 2.0 + upper / 2.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is how a test fails
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0]), Some(3.0));
        assert_eq!(median(&mut [9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 9.0, 2.0]), Some(3.0));
    }

    #[test]
    fn work_runs_as_often_as_was_asked() {
        let mut runs = 0;
        let times = timed(&Device::Cpu, 2, 5, || {
            runs += 1;
            Ok(())
        });
        let times = times.unwrap();
        assert_eq!((runs, times.repeats), (7, 5));
        assert!(times.min <= times.median && times.median <= times.max);
        assert_eq!(timed(&Device::Cpu, 0, 0, || Ok(())).unwrap().repeats, 1);
    }

    #[test]
    fn an_error_ends_the_runs() {
        let mut runs = 0;
        let times = timed(&Device::Cpu, 1, 5, || {
            runs += 1;
            if runs == 3 { candle_core::bail!("three") } else { Ok(()) }
        });
        assert!(times.is_err());
        assert_eq!(runs, 3);
    }

    /// What is timed cannot have taken less than it waited.
    #[test]
    fn a_stopwatch_runs_while_the_work_does() {
        let watch = Stopwatch::start(&Device::Cpu).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(watch.stop().unwrap() >= 0.005);
    }
}
