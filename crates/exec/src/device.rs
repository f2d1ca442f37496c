//! Which device models run on: its name on a command line, how it is opened, and what it is called.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use candle_core::Device;

mod memory;

pub use memory::available_memory;

/// A device by its name, not yet opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The processor: `cpu`.
    Cpu,
    /// A CUDA device by its number, from 0: `cuda`, `cuda:1`.
    Cuda(usize),
    /// An Apple GPU by its number, from 0: `metal`, `metal:0`.
    Metal(usize),
}

impl Target {
    /// Opens the device.
    ///
    /// # Errors
    /// Where this build has no code for it, or this machine no such device.
    pub fn open(&self) -> Result<Device, DeviceError> {
        match *self {
            Target::Cpu => Ok(Device::Cpu),
            Target::Cuda(ordinal) => {
                if !cfg!(feature = "cuda") {
                    return Err(DeviceError::NotBuilt(*self));
                }
                within(*self, ordinal, cuda_devices().map_err(|words| self.unusable(&words))?)?;
                Device::new_cuda(ordinal).map_err(|error| self.unusable(&error.to_string()))
            }
            Target::Metal(ordinal) => {
                if !cfg!(feature = "metal") {
                    return Err(DeviceError::NotBuilt(*self));
                }
                // Candle ends the process where there are fewer; every Apple machine has one.
                within(*self, ordinal, 1)?;
                Device::new_metal(ordinal).map_err(|error| self.unusable(&error.to_string()))
            }
        }
    }

    /// A device that does not open. Of what its driver says the first line: a backtrace may follow.
    fn unusable(self, words: &str) -> DeviceError {
        DeviceError::Unusable(self, words.lines().next().unwrap_or_default().trim().to_owned())
    }
}

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(text: &str) -> Result<Target, UnknownTarget> {
        let unknown = || UnknownTarget(text.to_owned());
        let (kind, ordinal) = match text.split_once(':') {
            None => (text, None),
            // Digits alone: a number may also begin with `+`.
            Some((kind, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (kind, Some(digits.parse().map_err(|_| unknown())?))
            }
            Some(_) => return Err(unknown()),
        };
        match (kind, ordinal) {
            ("cpu", None) => Ok(Target::Cpu),
            ("cuda", ordinal) => Ok(Target::Cuda(ordinal.unwrap_or(0))),
            ("metal", ordinal) => Ok(Target::Metal(ordinal.unwrap_or(0))),
            _ => Err(unknown()),
        }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Target::Cpu => f.write_str("cpu"),
            Target::Cuda(0) => f.write_str("cuda"),
            Target::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            Target::Metal(0) => f.write_str("metal"),
            Target::Metal(ordinal) => write!(f, "metal:{ordinal}"),
        }
    }
}

/// A text that names no device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTarget(String);

impl Display for UnknownTarget {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no device; there are `cpu`, `cuda`, `cuda:1` and so on, and `metal`", self.0)
    }
}

impl Error for UnknownTarget {}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceError {
    /// This build has no code for it.
    NotBuilt(Target),
    /// There are not so many.
    TooFew {
        /// What was asked for.
        target: Target,
        /// How many there are, at least one.
        devices: usize,
    },
    /// There is none, or it does not work: what its driver says, in one line.
    Unusable(Target, String),
}

impl Display for DeviceError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::NotBuilt(target) => write!(f, "this build of llmplan cannot run on `{target}`"),
            DeviceError::TooFew { target, devices: 1 } => {
                write!(f, "there is no device `{target}`: this machine has one, with the number 0")
            }
            DeviceError::TooFew { target, devices } => {
                write!(f, "there is no device `{target}`: this machine has {devices}, numbered from 0")
            }
            DeviceError::Unusable(target, words) => write!(f, "device `{target}` cannot be used: {words}"),
        }
    }
}

impl Error for DeviceError {}

/// Whether there are enough devices for a number.
fn within(target: Target, ordinal: usize, devices: usize) -> Result<(), DeviceError> {
    match devices {
        0 => Err(DeviceError::Unusable(target, "this machine has none".to_owned())),
        devices if ordinal < devices => Ok(()),
        devices => Err(DeviceError::TooFew { target, devices }),
    }
}

/// How many CUDA devices there are, or what the driver says instead.
#[cfg(feature = "cuda")]
fn cuda_devices() -> Result<usize, String> {
    use candle_core::cuda_backend::cudarc::driver::CudaContext;

    let count = CudaContext::device_count().map_err(|error| error.to_string())?;
    Ok(usize::try_from(count).unwrap_or(0))
}

#[cfg(not(feature = "cuda"))]
fn cuda_devices() -> Result<usize, String> {
    Ok(0)
}

/// What a device is, in words: the name of the processor and how many threads work on it, or the name of the GPU.
pub fn describe(device: &Device) -> String {
    match device {
        Device::Cpu => {
            let threads = rayon::current_num_threads();
            let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
            format!("{}, {threads}", processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()))
        }
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            device.cuda_stream().context().name().unwrap_or_else(|_| "a CUDA device".to_owned())
        }
        #[cfg(not(feature = "cuda"))]
        Device::Cuda(_) => "a CUDA device".to_owned(),
        Device::Metal(_) => "an Apple GPU".to_owned(),
    }
}

/// The model of the processor, where Linux tells it.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'))?.1.trim();
    (!value.is_empty()).then(|| value.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is how a test fails
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        let same = [
            ("cpu", Target::Cpu),
            ("cuda", Target::Cuda(0)),
            ("cuda:7", Target::Cuda(7)),
            ("metal", Target::Metal(0)),
            ("metal:1", Target::Metal(1)),
        ];
        for (name, target) in same {
            assert_eq!(name.parse(), Ok(target));
            assert_eq!(target.to_string(), name);
        }
        assert_eq!("cuda:0".parse(), Ok(Target::Cuda(0)));
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "gpu",
            "CUDA",
            "cpu:0",
            "cuda:",
            "cuda:x",
            "cuda:+1",
            "cuda:-1",
            "cuda:1:2",
            "cuda:99999999999999999999",
        ] {
            let error = name.parse::<Target>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{name}` is no device")), "{error}");
        }
    }

    #[test]
    fn numbers_that_are_too_high_are_refused() {
        assert_eq!(within(Target::Cuda(1), 1, 2), Ok(()));
        let error = within(Target::Cuda(2), 2, 2).unwrap_err();
        assert_eq!(error.to_string(), "there is no device `cuda:2`: this machine has 2, numbered from 0");
        let error = within(Target::Cuda(0), 0, 0).unwrap_err();
        assert_eq!(error.to_string(), "device `cuda` cannot be used: this machine has none");
    }

    #[test]
    fn of_a_drivers_words_the_first_line_is_told() {
        let error = Target::Cuda(0).unusable("NO_DEVICE \n   0: backtrace\n   1: frames");
        assert_eq!(error.to_string(), "device `cuda` cannot be used: NO_DEVICE");
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_build_without_cuda_says_so() {
        assert_eq!(Target::Cuda(1).open().unwrap_err(), DeviceError::NotBuilt(Target::Cuda(1)));
    }

    #[test]
    fn the_processor_opens_and_has_a_name() {
        let device = Target::Cpu.open().unwrap();
        assert!(device.is_cpu());
        let words = describe(&device);
        assert!(words.contains("thread") && !words.starts_with(','), "{words}");
    }
}
