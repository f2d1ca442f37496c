//! A row as a plan: what it states, and what its framework did where it states nothing.

use super::device::{self, DeviceText};
use super::model::{self, ModelText};
use super::origin::{Checkpointing, Framework, framework, stated_checkpointing};
use super::rows::Row;
use super::shapes::spread;
use super::steps::{Batch, batch, sequence};

/// The plans that a row can mean, as texts, most likely first: where a row leaves checkpointing or the micro-batch open,
/// the first that fits the devices is taken. Each comes with those to take where it cannot run at all.
///
/// # Errors
/// Why the row cannot be expressed.
pub(crate) fn candidates(row: &Row, records: &[Row]) -> Result<Vec<Vec<String>>, String> {
    plausible(row)?;
    let framework = framework(row);
    let model = model::model(row, framework, records)?;
    let device = device::device(row, framework)?;
    let devices = device::devices(row).unwrap_or(ASSUMED_DEVICES);
    let degrees = Degrees::of(row, devices, framework)?;
    let stated = stated_checkpointing(row, framework);
    let open = framework.checkpointing();
    let checkpoints = stated.as_ref().map_or(open, std::slice::from_ref);
    let mut texts = Vec::new();
    for checkpointing in checkpoints {
        for batch in batch(row, framework, degrees.replicas, degrees.pipeline) {
            let write = |interleave: u64, offload: bool| {
                let degrees = Degrees { interleave, ..degrees };
                let checkpointing = *checkpointing;
                text(
                    &model,
                    &device,
                    &Parts { row, framework, devices, degrees, batch, checkpointing, offload },
                )
            };
            let mut ways = vec![write(degrees.interleave, false)];
            if degrees.interleave > 1 {
                // Layers that no division makes even are run without interleaving.
                ways.push(write(1, false));
            }
            texts.push(ways);
            if framework == Framework::DeepSpeed && *checkpointing == Checkpointing::Full {
                texts.push(vec![write(degrees.interleave, true)]);
            }
        }
    }
    Ok(texts)
}

/// Refuses numbers that no run has: a mistake in a table must not keep the others from being read.
fn plausible(row: &Row) -> Result<(), String> {
    const MOST: &[(&str, u64)] = &[
        ("layers", 10_000),
        ("pp", 10_000),
        ("vp", 10_000),
        ("n_gpus", 10_000_000),
        ("dp", 10_000_000),
        ("global_batch_seqs", 10_000_000),
        ("global_batch", 10_000_000),
        ("micro_batch", 1_000_000),
        ("micro_batch_count", 1_000_000),
        ("seq_len", 1_000_000_000),
    ];
    match MOST.iter().find(|(field, most)| row.count(field).is_some_and(|count| count > *most)) {
        Some((field, _)) => Err(format!("the row's {field} is beyond any run")),
        None => Ok(()),
    }
}

/// Devices of runs that state device-hours and no number of devices: what they cost hardly depends on it.
const ASSUMED_DEVICES: u64 = 1024;

/// Degrees of parallelism.
#[derive(Clone, Copy, Debug)]
struct Degrees {
    tensor: u64,
    pipeline: u64,
    context: u64,
    expert: u64,
    interleave: u64,
    replicas: u64,
    zero: u64,
}

impl Degrees {
    /// Those that a row states; replicas are the devices that are left, whatever a row prints (one table's do not multiply).
    fn of(row: &Row, devices: u64, framework: Framework) -> Result<Degrees, String> {
        let degree = |field: &str| row.count(field).unwrap_or(1);
        let (tensor, pipeline, context, expert) = (degree("tp"), degree("pp"), degree("cp"), degree("ep"));
        let each = tensor.saturating_mul(pipeline).saturating_mul(context);
        let replicas = devices / each;
        if replicas == 0 || !devices.is_multiple_of(each) {
            return Err(format!("tensor × pipeline × context = {each} does not divide {devices} devices"));
        }
        let chunks = match (row.count("vp"), row.count("layers_per_virtual_stage"), row.count("layers")) {
            (Some(chunks), ..) => chunks,
            (None, Some(each), Some(layers)) => (layers / each.saturating_mul(pipeline)).max(1),
            _ => 1,
        };
        let interleave = if pipeline > 1 { chunks } else { 1 };
        Ok(Degrees {
            tensor,
            pipeline,
            context,
            expert,
            interleave,
            replicas,
            zero: zero(row, framework, each),
        })
    }
}

/// The ZeRO stage: as stated, by FSDP's words, else the framework's; a run of unknown code with model parallelism
/// divides its optimizer only.
fn zero(row: &Row, framework: Framework, model_parallel: u64) -> u64 {
    let parallelism = row.lower("parallelism");
    let setting = row.lower("setting");
    if let Some(stage) = row.number("zero_stage") {
        return (stage as u64).min(3);
    }
    if let Some(stage) =
        super::rows::after(&setting, "zero-").or_else(|| super::rows::after(&setting, "zero"))
    {
        return (stage as u64).min(3);
    }
    if parallelism.contains("shard_grad_op") {
        2
    } else if parallelism.contains("full_shard") || row.number("fsdp").is_some_and(|degree| degree > 1.0) {
        3
    } else if framework == Framework::Other && model_parallel > 1 {
        1
    } else {
        framework.zero()
    }
}

/// All that a plan is written from, beside its model and device.
struct Parts<'r> {
    row: &'r Row,
    framework: Framework,
    devices: u64,
    degrees: Degrees,
    batch: Batch,
    checkpointing: Checkpointing,
    offload: bool,
}

/// What DeepSpeed takes beside: the default, and its buckets for reducing and for gathering, of 5e8 values of two bytes each
/// (deepspeed.ai/docs/config-json, `reduce_bucket_size`, `allgather_bucket_size`).
const BUCKETS: &str = "reserve = 2.25 GiB + 2 GB\n";

/// The whole plan.
fn text(model: &ModelText, device: &DeviceText, parts: &Parts<'_>) -> String {
    let mut text = String::new();
    for block in [&model.block, &device.block] {
        if !block.is_empty() {
            text.push_str(block);
            text.push('\n');
        }
    }
    if let Some(tokens) = parts.row.number("tokens").filter(|tokens| *tokens >= 1.0) {
        text.push_str(&format!("data {{\ntokens = {}\n}}\n\n", tokens as u64));
    }
    let reserve = match parts.framework {
        Framework::MegatronDeepSpeed | Framework::DeepSpeed => BUCKETS,
        _ => "",
    };
    text.push_str(&format!(
        "hardware {{\ndevice = {}\ndevices = {}\n{reserve}}}\n\n",
        device.name, parts.devices
    ));
    text.push_str(&training(parts));
    text.push_str(&format!("\nplan run {{\nmodel = {}\n}}\n", model.name));
    text
}

/// The `training` block.
fn training(parts: &Parts<'_>) -> String {
    let Parts { row, framework, degrees, .. } = parts;
    let types = Types::of(row, *framework);
    let mut own = format!(
        "precision = {}; matmul = {}; gradients = {}; ",
        types.precision, types.matmul, types.gradients
    );
    let bf16_optimizer = row.lower("precision").contains("unsharded");
    if bf16_optimizer {
        own.push_str("main_gradients = whole; ");
    } else if *framework == Framework::MegatronDeepSpeed && types.precision != "fp32" && degrees.zero > 0 {
        own.push_str("main_gradients = sharded; ");
    }
    if *framework == Framework::Litgpt {
        own.push_str("optimizer_states = bf16; master_weights = none; ");
    }
    own.push_str(&format!(
        "sequence = {}; global_batch = {} sequences; micro_batch = {}; ",
        sequence(row),
        parts.batch.global,
        parts.batch.micro,
    ));
    let attention = if framework.plain_attention() { "plain" } else { "flash" };
    own.push_str(&format!("attention = {attention}; pointwise = {}; ", pointwise(row, *framework)));
    if framework.dropout() {
        own.push_str("dropout = 10%; ");
    }
    own.push_str(&format!("logits = {}; ", logits(*framework)));
    own.push_str(match parts.checkpointing {
        Checkpointing::None => "checkpointing = none; ",
        Checkpointing::Selective => "checkpointing = selective; ",
        Checkpointing::Full => "checkpointing = full; ",
        Checkpointing::EverySecond => "checkpointing = full; checkpointing_layers = every 2; ",
        Checkpointing::Experts => {
            "checkpointing = modules; recompute { attention = true; norm = true; activation = true; experts = true }; "
        }
        Checkpointing::Pointwise => "checkpointing = modules; recompute { norm = true; activation = true }; ",
    });
    let setting = row.lower("setting");
    if setting.contains("offload_param=cpu") || setting.contains("param+optimizer") {
        own.push_str("offload = parameters; ");
    } else if setting.contains("optimizer=cpu") || setting.contains("optimizer_cpu") {
        own.push_str("offload = optimizer; ");
    }
    if parts.offload {
        own.push_str("offload_activations = true; ");
    }
    own.push_str(&lora(row));
    own.push_str(&parallelism(parts));
    spread(&format!("training {{ {} }}\n", own.trim_end_matches("; ")))
}

/// Data types of weights, products and gradients.
struct Types {
    precision: &'static str,
    matmul: &'static str,
    gradients: &'static str,
}

impl Types {
    fn of(row: &Row, framework: Framework) -> Types {
        let words =
            format!("{} {} {}", row.lower("precision"), row.lower("weights_dtype"), row.lower("dtype"));
        let has = |word: &str| words.contains(word);
        let device = row.lower("gpu");
        let old = device.contains("v100") || framework.plain_attention();
        let precision = if has("fp16") || (old && !has("bf16") && !has("fp32")) {
            "fp16"
        } else if has("fp32") && !has("bf16") && !has("tf32") && framework != Framework::Litgpt {
            "fp32"
        } else {
            "bf16"
        };
        let silent = words.trim().is_empty();
        let eight =
            ["h100", "h200", "b200", "b300", "gb200", "gb300"].iter().any(|name| device.contains(name));
        let matmul = if has("fp4") {
            "fp4"
        } else if has("fp8") || has("float8") || (silent && framework == Framework::Nemo && eight) {
            // NVIDIA's tables that print no precision are those of fp8 recipes.
            "fp8"
        } else {
            precision
        };
        // Megatron accumulates in fp32; NVIDIA's recipes reduce in bf16; DeepSpeed and FSDP as the weights unless said.
        let gradients = match framework {
            Framework::Megatron | Framework::MegatronEarly => "fp32",
            Framework::Torchtitan => "fp32",
            _ if row.lower("optimizer").contains("fp32 reduce") => "fp32",
            _ => precision,
        };
        Types { precision, matmul, gradients }
    }
}

/// Whether pointwise operators are fused: torchtitan's are where it compiles; LLM Foundry and LitGPT did not compile.
fn pointwise(row: &Row, framework: Framework) -> &'static str {
    let technique = row.lower("technique");
    let eager = match framework {
        Framework::Torchtitan => {
            !technique.is_empty() && !technique.contains("compile") && !technique.contains("2d")
        }
        // Benchmarks of 2023 and before, uncompiled.
        Framework::Foundry | Framework::Litgpt => true,
        _ => false,
    };
    if eager { "unfused" } else { "fused" }
}

/// How the loss is computed: torchtitan and code before 2023 keep 16-bit logits and fp32 ones.
fn logits(framework: Framework) -> &'static str {
    match framework {
        Framework::Torchtitan
        | Framework::Early
        | Framework::MegatronEarly
        | Framework::MegatronDeepSpeed
        | Framework::DeepSpeed
        | Framework::Other => "kept",
        _ => "fused",
    }
}

/// Adapters, where the row's task has some: on queries and values, of rank 8 in LitGPT's tables and 32 in NVIDIA's, whose
/// one adapter of the fused projection covers keys too.
fn lora(row: &Row) -> String {
    let task = format!("{} {}", row.lower("task"), row.lower("kind"));
    let quantized = row.lower("quantization").contains("nf4");
    if !task.contains("lora") && !quantized {
        return String::new();
    }
    let litgpt = row.lower("source").contains("litgpt");
    let rank = if litgpt { 8 } else { 32 };
    let base = match row.lower("quantization") {
        words if words.contains("nf4") => "nf4",
        words if words.contains("int8") => "int8",
        _ => "same",
    };
    format!("lora {{ rank = {rank}; targets = qv; base = {base} }}; ")
}

/// The `parallelism` block.
fn parallelism(parts: &Parts<'_>) -> String {
    let Parts { row, framework, degrees, devices, .. } = parts;
    let mut own = format!("tensor = {}; ", degrees.tensor);
    let words = row.lower("recompute");
    let said = words.contains("sequence") && !words.contains("no sequence");
    if degrees.tensor > 1
        && (words.contains("no sequence") || (framework.sequence_parallel_when_said() && !said))
    {
        own.push_str("sequence_parallel = false; ");
    }
    own.push_str(&format!("pipeline = {}; ", degrees.pipeline));
    if degrees.interleave > 1 {
        own.push_str(&format!("interleave = {}; ", degrees.interleave));
    }
    let schedule = row.lower("schedule").replace('-', "_");
    if degrees.pipeline > 1 && ["gpipe", "zb_h1", "zb_h2", "zb_v", "dualpipe"].contains(&schedule.as_str()) {
        own.push_str(&format!("schedule = {schedule}; "));
    }
    if degrees.context > 1 {
        let kind = if *framework == Framework::Torchtitan { "all_gather" } else { "ring" };
        own.push_str(&format!("context = {}; context_kind = {kind}; ", degrees.context));
    }
    if degrees.expert > 1 {
        own.push_str(&format!("expert = {}; ", degrees.expert));
        if row.lower("schedule") == "dualpipe" || *framework == Framework::Nemo {
            // DeepSeek's kernels, which NVIDIA's recipes took over (DeepEP, HybridEP).
            own.push_str("expert_kind = by_node; ");
        }
    }
    own.push_str(&format!("data = auto; zero = {}; ", degrees.zero));
    if *framework == Framework::Jax {
        let known = device::catalog_name(row.text("gpu").unwrap_or_default()).unwrap_or_default();
        let slice = device::slice_chips(row, known);
        if slice < *devices && devices.is_multiple_of(slice) {
            own.push_str(&format!("shard = {slice}; "));
        }
    }
    // Recipes of NVIDIA since 2023 run most of tensor parallelism beside products, and interleaved sends beside passes.
    let asynchronous = row.lower("technique").contains("async");
    let recipes = matches!(framework, Framework::Nemo | Framework::Megatron);
    let mut overlap = String::new();
    // SimuMax's runs are of Megatron-LM as it is, without.
    let overlaps = recipes && !row.lower("source").contains("simumax");
    if degrees.tensor > 1 && (asynchronous || overlaps) {
        overlap.push_str("tensor = 75%; ");
    }
    // Megatron sends one chunk's tokens to experts while it computes another's; experts on latents get a quarter of what
    // the language counts (see `shapes`).
    let latents = row.text("model").is_some_and(super::shapes::has_latents);
    if degrees.expert > 1
        && *framework == Framework::Nemo
        && (row.count("vp").is_some_and(|chunks| chunks > 1) || latents)
    {
        overlap.push_str("expert = 75%; ");
    }
    if degrees.interleave > 1 && recipes {
        overlap.push_str("pipeline = 100%; ");
    }
    if framework.overlaps_nothing() {
        overlap.push_str("data = 0%; ");
    }
    if !overlap.is_empty() {
        own.push_str(&format!("overlap {{ {} }}; ", overlap.trim_end_matches("; ")));
    }
    format!("parallelism {{ {} }}; ", own.trim_end_matches("; "))
}
