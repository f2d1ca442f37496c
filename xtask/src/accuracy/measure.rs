//! What a row measured, in seconds and bytes.

use super::device;
use super::origin::{Framework, framework};
use super::rows::Row;

/// A measured figure and what of the report it is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Measured {
    /// Seconds of one step.
    Step(f64),
    /// Device-seconds of a whole run: all that was lost on the way is in them.
    Run(f64),
    /// Bytes of one device.
    Memory(f64, Counter),
    /// The run did not fit.
    OutOfMemory,
}

/// What the bytes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    /// All that the device has in use (nvidia-smi): context and libraries too.
    Device,
    /// What the framework has allocated or holds (`max_memory_allocated`): without them.
    Allocator,
    /// Weights, gradients, optimizer and activations of the paper's accounting: without logits.
    Accounted,
    /// Weights, gradients and optimizer.
    States,
    /// Weights of so many bits: a table of a model that is loaded, not trained.
    Weights(u8),
    /// Weights as a plan with quantized ones stores them.
    Stored,
}

/// What the model and the plan are, for those rows that state throughput in FLOP/s.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// N: parameters.
    pub(crate) params: f64,
    /// Parameters that a token passes through.
    pub(crate) active: f64,
    /// The input embedding alone, V·d.
    pub(crate) embedding: f64,
    /// L·heads·width of a head, over the layers that attend.
    pub(crate) attention: f64,
    /// L.
    pub(crate) layers: f64,
    /// d.
    pub(crate) width: f64,
    /// V.
    pub(crate) vocab: f64,
    /// T.
    pub(crate) tokens: f64,
    /// Sequences of a step.
    pub(crate) batch: f64,
    /// Devices.
    pub(crate) devices: f64,
    /// Dense 16-bit peak of a device, FLOP/s.
    pub(crate) peak: f64,
}

/// The time that a row measured: step time, else tokens per second, else FLOP/s by the row's own convention, else the
/// device-hours of the run, which have its interruptions in them.
///
/// # Errors
/// Why there is none.
pub(crate) fn time(row: &Row, facts: &Facts) -> Result<Measured, String> {
    if row.flag("oom") {
        return Err("it did not fit: no time was measured".to_owned());
    }
    let positive = |field: &str| row.number(field).filter(|number| *number > 0.0);
    if let Some(seconds) = positive("step_time_s") {
        return Ok(Measured::Step(seconds));
    }
    let step = facts.batch * facts.tokens;
    if let Some(rate) = positive("tokens_per_s") {
        return Ok(Measured::Step(step / rate));
    }
    if let Some(rate) = positive("tokens_per_s_per_gpu") {
        return Ok(Measured::Step(step / (rate * facts.devices)));
    }
    if let Some(rate) = positive("seqs_per_s") {
        return Ok(Measured::Step(facts.batch / rate));
    }
    let run = positive("tokens").and_then(|_| {
        let hours = ["gpu_hours", "chip_hours", "device_hours"].iter().find_map(|field| positive(field));
        let days = || Some(positive("wall_days")? * 24.0 * device::devices(row)? as f64);
        hours.or_else(days).map(|hours| Measured::Run(hours * 3600.0))
    });
    let model = positive("model_tflops_per_gpu")
        .map(|rate| rate * 1e12)
        .or_else(|| positive("mfu_pct").map(|share| share / 100.0 * facts.peak));
    let hardware = positive("hw_tflops_per_gpu")
        .map(|rate| rate * 1e12)
        .or_else(|| positive("hfu_pct").map(|share| share / 100.0 * facts.peak));
    let by_hardware = row.has("hw_tflops_per_gpu");
    let (flops, rate) = match (model, hardware) {
        (Some(rate), _) if !by_hardware => (model_flops(row, facts), rate),
        (_, Some(rate)) => (hardware_flops(facts), rate),
        _ => {
            let words = if row.has("total_flops") {
                "the row states FLOPs of a run, and no time"
            } else {
                "the row states no time and no throughput"
            };
            return run.ok_or_else(|| words.to_owned());
        }
    };
    if rate > 0.0 && flops > 0.0 {
        Ok(Measured::Step(flops / (rate * facts.devices)))
    } else {
        Err("the row's throughput cannot be turned into time".to_owned())
    }
}

/// FLOPs of a step with one recomputed forward pass (Narayanan 2021 Eq. 3): what early tables report.
fn hardware_flops(facts: &Facts) -> f64 {
    let Facts { layers, width, vocab, tokens, batch, .. } = *facts;
    96.0 * batch
        * tokens
        * layers
        * width.powi(2)
        * (1.0 + tokens / (6.0 * width) + vocab / (16.0 * layers * width))
}

/// Model FLOPs of a step by the convention of the row's source.
fn model_flops(row: &Row, facts: &Facts) -> f64 {
    let convention = row.lower("flops_convention");
    let source = row.lower("source");
    let Facts { params, active, embedding, attention, layers, width, vocab, tokens, batch, .. } = *facts;
    let full = 12.0 * attention * tokens;
    let each = if convention.contains("6n") {
        6.0 * params + full
    } else if source.contains("megatron-bridge") {
        // Causal attention, no lookup (Megatron-Bridge 25.11 and later).
        6.0 * (active - embedding) + full / 2.0
    } else if source.contains("megatron-lm") {
        // Megatron-LM's `num_floating_point_operations` of 2024: all scores.
        72.0 * layers * width.powi(2) * (1.0 + tokens / (6.0 * width) + vocab / (12.0 * layers * width))
    } else if framework(row) == Framework::Jax {
        // MaxText until July 2025, Levanter, PaLM: all parameters, all scores.
        6.0 * active + full
    } else {
        // NeMo 24.07 and most papers: all scores, no lookup.
        6.0 * (active - embedding) + full
    };
    each * batch * tokens
}

/// The memory that a row measured.
///
/// # Errors
/// Why there is none to compare with.
pub(crate) fn memory(row: &Row) -> Result<Measured, String> {
    const GIB: f64 = 1_073_741_824.0;
    const MIB: f64 = 1_048_576.0;
    let kind = row.lower("kind");
    let positive = |field: &str| row.number(field).filter(|number| *number > 0.0);
    if kind.contains("adapter") {
        return Err("adapters of prompts or of biases: the language has those of low rank".to_owned());
    }
    if kind.contains("estimator") {
        return Err("the output of an estimator for a model that is no decoder".to_owned());
    }
    if kind.contains("baseline") {
        return Err("a context without a model".to_owned());
    }
    if kind.contains("inference") || kind.contains("checkpoint") || kind.contains("load") {
        return weights(row, &kind);
    }
    if row.flag("oom") {
        return Ok(Measured::OutOfMemory);
    }
    let notes = format!("{} {}", row.lower("notes"), row.lower("unit"));
    let smi = notes.contains("nvidia-smi") || notes.contains("context");
    let counter = if smi { Counter::Device } else { Counter::Allocator };
    if let Some(used) = positive("memory_gib_per_gpu") {
        return Ok(Measured::Memory(used * GIB, counter));
    }
    if let Some(used) = positive("memory_gb_per_gpu") {
        // nvidia-smi counts MiB: its GB are 2^30.
        return Ok(Measured::Memory(used * if smi { GIB } else { 1e9 }, counter));
    }
    if let Some(used) = positive("max_gpu_ram_gb") {
        return Ok(Measured::Memory(used * 1e9, Counter::Allocator));
    }
    if let (Some(states), Some(activations)) =
        (positive("params_grads_optimizer_gib"), positive("activations_gib"))
    {
        return Ok(Measured::Memory((states + activations) * GIB, Counter::Accounted));
    }
    if let Some(states) = positive("model_states_gb") {
        return Ok(Measured::Memory(states * 1e9, Counter::States));
    }
    if let Some(used) = positive("gpu_memory_mb").or_else(|| positive("gpu_mb")) {
        return Ok(Measured::Memory(used * MIB, Counter::Device));
    }
    if row.has("activation_pct_of_baseline") {
        return Err("shares of activations, and no bytes".to_owned());
    }
    Err("the row states no memory in a form that is read".to_owned())
}

/// Rows of models that are loaded and not trained: weights alone.
fn weights(row: &Row, kind: &str) -> Result<Measured, String> {
    let positive = |field: &str| row.number(field).filter(|number| *number > 0.0);
    if row.flag("oom") {
        return Err("a model that could not be loaded: no memory was measured".to_owned());
    }
    let words =
        format!("{} {} {}", row.lower("quantization"), row.lower("dtype"), row.lower("weights_dtype"));
    if words.contains("mxfp4") {
        return Err("experts in MXFP4: the language has no such weights".to_owned());
    }
    let counter = if words.contains("nf4") {
        Counter::Stored
    } else if words.contains("int8") {
        Counter::Weights(8)
    } else if words.contains("fp32") || words.contains("float32") {
        Counter::Weights(32)
    } else {
        Counter::Weights(16)
    };
    let bytes = positive("max_gpu_ram_gb")
        .map(|used| used * 1e9)
        .or_else(|| positive("bf16_weights_gib").map(|used| used * 1_073_741_824.0))
        .or_else(|| positive("weights_bytes"))
        .or_else(|| positive("minus_context_mb").map(|used| used * 1_048_576.0))
        .or_else(|| positive("measured_cuda_mb").map(|used| used * 1_048_576.0));
    bytes
        .map(|bytes| Measured::Memory(bytes, counter))
        .ok_or_else(|| format!("a row of kind {kind} without memory in a form that is read"))
}
