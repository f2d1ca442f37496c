//! Training memory: what weights, gradients and optimizer of a whole model take, on all devices together.

use llmplan_spec::plan::{LoraBase, MainGradients, Offload, Optimizer, Precision, Training};

use super::assume_defaults;
use crate::cluster::optimizer::moments;
use crate::folds::optimizer_blocks;
use crate::graph::Graph;
use crate::lora;
use crate::quantities::Quantities;

const ZERO: &str = "Rajbhandari 2020 §3.1";
const ADAM_8BIT: &str = "Dettmers 2021 §2";
const OFFLOAD: &str = "Ren 2021 §3";
const QLORA: &str = "Hu 2021 §4.1; Dettmers 2023 §3";

/// Weights, gradients and optimizer of the whole model: the recipe's bytes per parameter. With adapters, only they have
/// gradients and optimizer states (Hu 2021 §4.1).
pub(crate) fn memory(q: &mut Quantities<'_>, graph: &Graph) {
    let Some(training) = q.plan.training.clone() else { return };
    assume_defaults(q, &["training.precision"], &["memory.weights"]);
    assume_defaults(q, &["training.precision"], &["memory.gradients"]);
    assume_defaults(q, &["training.precision"], &["memory.optimizer.master"]);
    let moments = ["memory.optimizer.first_moment", "memory.optimizer.second_moment", "memory.optimizer"];
    assume_defaults(q, &["training.optimizer"], &moments);
    // What is trained: the model's own parameters, or those of the adapters.
    let (trained, own) = match training.lora {
        Some(lora) => ("model.params.adapters", Some(lora::adapters(graph, lora))),
        None => ("model.params", None),
    };
    let graph = own.as_ref().unwrap_or(graph);
    weights(q, &training);
    let mut per_parameter = training.precision.bytes() + gradients(q, &training, trained);
    let mut parts = Vec::new();
    let mut part = |q: &mut Quantities<'_>, path: &'static str, bytes: u64, source: &str| {
        if bytes > 0 {
            q.derive(path, &format!("{bytes} bytes * {trained}"), source);
            parts.push(path);
            per_parameter += bytes;
        }
    };
    let master = match training.offload {
        Offload::None => u64::from(training.master_weights) * 4,
        _ => master_bytes(training.precision, true),
    };
    part(q, "memory.optimizer.master", master, "Micikevicius 2018 §3.1");
    let state = training.optimizer_states.bytes();
    let source = moments_source(training.optimizer);
    match training.optimizer {
        Optimizer::Adafactor | Optimizer::Muon | Optimizer::Shampoo | Optimizer::Soap => {
            parts.extend(moments_of_shapes(q, graph, training.optimizer, (state, trained)));
        }
        _ => {
            let (first, second) = moment_bytes(training.optimizer);
            // Stated for fp32; an 8-bit optimizer has its own type.
            let scaled = |bytes: u64| if bytes == 4 { state } else { bytes };
            part(q, "memory.optimizer.first_moment", scaled(first), source);
            part(q, "memory.optimizer.second_moment", scaled(second), source);
        }
    }
    if training.optimizer == Optimizer::Adam8bit {
        let bytes =
            optimizer_blocks(graph, training.optimizer_block).and_then(|blocks| blocks.checked_mul(8));
        let name = "over all tensors, 2 moments · 4 bytes · ceil(elements / training.optimizer_block)";
        let inputs = [trained, "training.optimizer_block"];
        q.procedure("memory.optimizer.scales", bytes, name, &inputs, "Dettmers 2021 §2.1");
        parts.push("memory.optimizer.scales");
    }
    // What no number per parameter stands for.
    let shapes: String = parts
        .iter()
        .filter(|path| path.ends_with("_moment") && moment_bytes(training.optimizer) == (0, 0))
        .map(|path| format!(" + {path}"))
        .collect();
    let optimizer = if parts.is_empty() { format!("0 bytes * {trained}") } else { parts.join(" + ") };
    q.derive("memory.optimizer", &optimizer, source);
    q.derive("memory.model_states", "memory.weights + memory.gradients + memory.optimizer", ZERO);
    offloaded(q, &training);
    let frozen = training.lora.map_or_else(String::new, |lora| {
        let bytes = lora::base_millibits(lora.base)
            .map_or(training.precision.bytes() as f64, |bits| bits as f64 / 8_000.0);
        format!("{bytes} bytes * model.params + ")
    });
    let rule = format!("{frozen}{per_parameter} bytes * {trained}{shapes}");
    q.derive("memory.rule_of_thumb", &rule, source);
    q.derive(
        "memory.training_to_inference",
        "memory.model_states / memory.weights_only.bf16",
        "16 bytes over 2 for Adam in mixed precision",
    );
}

/// Weights as the passes read them; frozen ones as they are stored, with the adapters beside them.
fn weights(q: &mut Quantities<'_>, training: &Training) {
    let bytes = training.precision.bytes();
    let (formula, source) = match training.lora.map(|lora| lora.base) {
        None => (format!("{bytes} bytes * model.params"), ZERO),
        Some(LoraBase::Same) => (format!("{bytes} bytes * (model.params + model.params.adapters)"), QLORA),
        Some(base) => {
            let stored = match lora::base_millibits(base) {
                Some(bits) if bits != 8_000 => {
                    format!("1 bytes * ceil({bits} * model.params.quantized / 8000)")
                }
                _ => "1 bytes * model.params.quantized".to_owned(),
            };
            let rest = "(model.params - model.params.quantized + model.params.adapters)";
            (format!("{bytes} bytes * {rest} + {stored}"), QLORA)
        }
    };
    q.derive("memory.weights", &formula, source);
}

/// Gradients, with their copy in fp32 where there is one; gives back the bytes of each.
fn gradients(q: &mut Quantities<'_>, training: &Training, trained: &str) -> u64 {
    let bytes = training.gradients.bytes();
    if training.main_gradients == MainGradients::None {
        q.derive("memory.gradients", &format!("{bytes} bytes * {trained}"), ZERO);
        return bytes;
    }
    q.derive("memory.gradients.main", &format!("4 bytes * {trained}"), "Micikevicius 2018 §3.1");
    q.derive("memory.gradients", &format!("{bytes} bytes * {trained} + memory.gradients.main"), ZERO);
    bytes + 4
}

/// Which model states are on the devices, and which in the memory of their hosts: a copy of gradients goes with the
/// optimizer.
fn offloaded(q: &mut Quantities<'_>, training: &Training) {
    let copied = training.main_gradients != MainGradients::None;
    let (less, more) =
        if copied { (" - memory.gradients.main", " + memory.gradients.main") } else { ("", "") };
    let (device, host, source) = match training.offload {
        Offload::None => {
            let nothing = "0 bytes * model.params".to_owned();
            ("memory.model_states".to_owned(), nothing, "nothing is offloaded")
        }
        Offload::Optimizer => {
            (format!("memory.weights + memory.gradients{less}"), format!("memory.optimizer{more}"), OFFLOAD)
        }
        Offload::Parameters => {
            (format!("memory.gradients{less}"), format!("memory.weights + memory.optimizer{more}"), OFFLOAD)
        }
    };
    q.derive("memory.device_states", &device, source);
    q.derive("memory.host", &host, source);
}

/// Bytes per parameter of the weights in fp32 that are kept beside those of the forward pass: where these have 16 bits,
/// and where the update is made in the host's memory (Micikevicius 2018 §3.1; Ren 2021 §3).
pub fn master_bytes(precision: Precision, offloaded: bool) -> u64 {
    if precision == Precision::Fp32 && !offloaded { 0 } else { 4 }
}

/// Bytes per parameter of the first and second moment in fp32, of an optimizer that keeps as much for every tensor; nothing
/// for one whose states depend on shapes ([`cluster::optimizer::moments`](crate::cluster::optimizer::moments)).
pub fn moment_bytes(optimizer: Optimizer) -> (u64, u64) {
    match optimizer {
        Optimizer::Momentum | Optimizer::Lion => (4, 0),
        Optimizer::Adam | Optimizer::Adamw => (4, 4),
        Optimizer::Adam8bit => (1, 1),
        Optimizer::Sgd | Optimizer::Adafactor | Optimizer::Muon | Optimizer::Shampoo | Optimizer::Soap => {
            (0, 0)
        }
    }
}

/// The moments of an optimizer whose states depend on the shapes of tensors; gives back the paths that there are.
fn moments_of_shapes(
    q: &mut Quantities<'_>,
    graph: &Graph,
    optimizer: Optimizer,
    (state, trained): (u64, &str),
) -> Vec<&'static str> {
    let values = moments(graph, optimizer);
    let name = match optimizer {
        Optimizer::Adafactor => "over all tensors, rows + columns of matrices and all of vectors",
        Optimizer::Muon => "one momentum; Adam's second moment for embeddings, output projection and vectors",
        Optimizer::Shampoo => "a momentum; over all matrices m × n, 2 · (m² + n²) in blocks of 8192",
        _ => "Adam's moments, and over all matrices m × n, 2 · (m² + n²) in blocks of 8192",
    };
    let mut found = Vec::new();
    for (path, count) in [
        ("memory.optimizer.first_moment", values.map(|values| values.first)),
        ("memory.optimizer.second_moment", values.map(|values| values.second)),
    ] {
        if count != Some(0) {
            let bytes = count.and_then(|count| count.checked_mul(u128::from(state)));
            q.procedure(path, bytes, name, &[trained], moments_source(optimizer));
            found.push(path);
        }
    }
    found
}

fn moments_source(optimizer: Optimizer) -> &'static str {
    match optimizer {
        Optimizer::Adam8bit => ADAM_8BIT,
        Optimizer::Adafactor => "Shazeer 2018 §4",
        Optimizer::Lion => "Chen 2023 §3",
        Optimizer::Muon => "Jordan 2024",
        Optimizer::Shampoo => "Gupta 2018; Anil 2020 §5",
        Optimizer::Soap => "Vyas 2024 §4",
        _ => ZERO,
    }
}
