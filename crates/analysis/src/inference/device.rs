//! The device that a model is served on: figures of its data sheet, and what its generation reaches of them.

use llmplan_spec::plan::{Device, Inference, Multiplied, Plan};

use crate::cluster::{Group, System};
use crate::quantities::Quantities;
use crate::report::{Grade, Value};

/// A figure: its path in the report, where the hardware's device has it, and what it is.
type Figure = (&'static str, String, Option<Value>);

/// The device that a plan serves on, and whether it is one of its own beside the hardware's.
pub(super) fn of<'p>(plan: &'p Plan, own: &'p Inference) -> Option<(&'p Device, bool)> {
    let hardware = plan.hardware.as_ref().map(|hardware| (&hardware.device, false));
    own.device.as_ref().map(|device| (device, true)).or(hardware)
}

/// The device's figures as quantities; `None` where the plan has no device.
pub(super) fn figures(q: &mut Quantities<'_>, own: &Inference) -> Option<()> {
    let plan = q.plan;
    let (device, apart) = of(plan, own)?;
    q.leaf("inference.matmul");
    let real = |figure: Option<f64>| figure.map(Value::Real);
    let generation = &device.generation;
    let (peak, dense) = peak(device, own.matmul);
    let (name, share) = reached(device, own.matmul);
    let mut figures: Vec<Figure> = vec![
        (
            "inference.device.memory",
            "device.memory".to_owned(),
            device.memory.map(|bytes| Value::Count(u128::from(bytes))),
        ),
        (
            "inference.device.memory_bandwidth",
            "device.memory_bandwidth".to_owned(),
            real(device.memory_bandwidth),
        ),
        (
            "inference.device.memory_share",
            "generation.memory".to_owned(),
            Some(Value::Real(generation.memory)),
        ),
        ("inference.device.peak", format!("device.peak.{peak}"), real(dense)),
        ("inference.device.matmul_share", format!("generation.{name}"), Some(Value::Real(share))),
    ];
    if own.tensor > 1 {
        figures.push(("inference.device.link", "device.link".to_owned(), real(device.link)));
    }
    for (path, of_hardware, value) in figures {
        let Some(value) = value else { continue };
        if apart {
            let what = match of_hardware.strip_prefix("generation.") {
                Some(share) => format!("`{share}` of its generation {}", generation.name),
                None => format!("`{}`", of_hardware.trim_start_matches("device.")),
            };
            q.figure(path, value, &format!("device {}: {what}", device.name), Grade::Declared);
        } else {
            q.derive(path, &of_hardware, "the hardware's device");
        }
    }
    if q.get("inference.device.memory_bandwidth").is_some() {
        q.derive(
            "inference.bandwidth",
            "inference.device.memory_bandwidth * inference.device.memory_share",
            "what kernels of its generation reach",
        );
    }
    if q.get("inference.device.peak").is_some() {
        q.derive(
            "inference.rate",
            "inference.device.peak * inference.device.matmul_share",
            "what large products of its generation reach",
        );
    }
    Some(())
}

/// The data type that the peak is of, as a device has it, and the peak in FLOP/s.
pub(super) fn peak(device: &Device, matmul: Multiplied) -> (&'static str, Option<f64>) {
    let peak = &device.peak;
    match matmul {
        Multiplied::Fp32 => ("fp32", peak.fp32),
        Multiplied::Bf16 if peak.bf16.is_none() && peak.fp16.is_some() => ("fp16", peak.fp16),
        Multiplied::Bf16 => ("bf16", peak.bf16),
        Multiplied::Fp8 => ("fp8", peak.fp8),
        Multiplied::Int8 => ("int8", peak.int8),
        Multiplied::Fp4 => ("fp4", peak.fp4),
    }
}

/// What large products reach of it; 8-bit integers as fp8 does, which has the same units.
fn reached(device: &Device, matmul: Multiplied) -> (&'static str, f64) {
    let own = &device.generation;
    match matmul {
        Multiplied::Fp32 | Multiplied::Bf16 => ("matmul", own.matmul),
        Multiplied::Fp8 | Multiplied::Int8 => ("matmul_fp8", own.matmul_fp8),
        Multiplied::Fp4 => ("matmul_fp4", own.matmul_fp4),
    }
}

/// Seconds of one all-reduce over the devices of a replica; the figure that is missing for it otherwise.
pub(super) fn all_reduce(device: &Device, tensor: u64, bytes: f64) -> Result<f64, &'static str> {
    let system = System::linked(device, tensor)?;
    Ok(system.all_reduce(Group::new(tensor, 1), bytes))
}
