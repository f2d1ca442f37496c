//! The device of a row, as a block of the language.

use super::origin::Framework;
use super::rows::{Row, after, before};
use super::shapes::spread;

/// The device block of a row, if it needs one, and the name that `hardware` picks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceText {
    /// A `device` block; empty where the catalog's is taken as it is.
    pub(crate) block: String,
    /// Its name.
    pub(crate) name: String,
}

/// The device of a row: the catalog's, with the figures that the row states.
///
/// # Errors
/// Why there is none.
pub(crate) fn device(row: &Row, framework: Framework) -> Result<DeviceText, String> {
    let named = ["gpu", "gpu_model", "device"].iter().find_map(|field| row.text(field));
    // What an analytic row counts does not depend on what would hold it.
    let analytic = row.has("kind").then_some("A100 80GB");
    let words = named.or(analytic).ok_or("the row names no device")?;
    let known = catalog_name(words).ok_or_else(|| format!("no device of the catalog is `{words}`"))?;
    let mut own = String::new();
    let text = llmplan_spec::catalog::find("device", known).map_or("", |entry| entry.text).replace('_', "");
    if words.to_lowercase().starts_with("gb300") {
        own.push_str(GB300);
    }
    // `96GB HBM2e 2.4 TB/s`: a part of its own.
    if let Some(memory) = before(words, "gb hbm") {
        own.push_str(&format!("memory = {memory} GB; "));
    }
    let variant = before(words, "gb hbm2e").is_some() && known.starts_with("h100");
    if let Some(bandwidth) = before(words, "tb/s").or_else(|| variant.then_some(HBM2E)) {
        own.push_str(&format!("memory_bandwidth = {bandwidth} TB/s; "));
    }
    // Jean Zay's nodes have four Omni-Path links of 100 Gb/s (BLOOM's model card).
    let omni_path = row.lower("source").contains("bigscience").then_some(400.0);
    let network = before(&format!("{words} {}", row.lower("section")), " gbps node-node")
        .or_else(|| before(words, " gb/s per node"))
        .or(omni_path);
    if let Some(node) = network {
        own.push_str(&format!("network = {} GB/s; ", node / 8.0 / 8.0));
    }
    let limit = before(words, "w power limit").or_else(|| before(words, "w").filter(|watts| *watts >= 100.0));
    if let (Some(limit), Some(power)) = (limit, after(&text, "power"))
        && limit < power
    {
        // Power grows with the cube of the clock where voltage follows it.
        let share = (limit / power).cbrt();
        let mut peaks = String::new();
        for kind in ["fp32", "tf32", "fp16", "bf16", "fp8", "fp4"] {
            if let Some(peak) = after(&text, &format!("{kind} = ")) {
                peaks.push_str(&format!("{kind} = {:.1} TFLOP/s; ", peak * share));
            }
        }
        own.push_str(&format!("power = {limit} W; peak {{ {} }}; ", peaks.trim_end_matches("; ")));
    }
    if framework == Framework::Jax {
        own.push_str(&slice(row, known));
    }
    if own.is_empty() {
        return Ok(DeviceText { block: String::new(), name: known.to_owned() });
    }
    let block = spread(&format!("device run extends {known} {{ {} }}\n", own.trim_end_matches("; ")));
    Ok(DeviceText { block, name: "run".to_owned() })
}

/// Bandwidth of HBM2e on an H100, TB/s (pytorch/torchtitan benchmarks/llama3_h100_202412_torchtitan.md).
const HBM2E: f64 = 2.4;

/// GB300 NVL72 over GB200: NVIDIA GB300 NVL72 page, dense NVFP4 15 PFLOP/s, 288 GB, 800 Gb/s out of the rack.
const GB300: &str = "memory = 288 GB; network = 100 GB/s; peak { fp4 = 15_000 TFLOP/s }; ";

/// What a slice of a TPU is to the language: one node, joined by links in a torus; slices reach each other through their
/// hosts' adapters (jax-ml/scaling-book tpus.md: 3.1 GB/s for each chip of a v5e, 6.25 of a v4).
fn slice(row: &Row, known: &str) -> String {
    let chips = slice_chips(row, known);
    let network = match known {
        "tpu-v5e" => "network = 3.125 GB/s; ",
        "tpu-v3" => "link = 140 GB/s; network = 3.125 GB/s; ",
        _ => "",
    };
    format!("devices_per_node = {chips}; {network}")
}

/// Chips of one slice: what MaxText's scripts run on, at most what the run has.
pub(crate) fn slice_chips(row: &Row, known: &str) -> u64 {
    let model = row.lower("model");
    let whole = match known {
        "tpu-v5e" | "tpu-v6e" => 256,
        "tpu-v4" if model.contains("maxtext") && model.contains("52b") => 192,
        "tpu-v4" if model.contains("maxtext") => 64,
        // A pod has at most 4096 chips.
        "tpu-v4" if devices(row).is_some_and(|count| count > 4096) => devices(row).unwrap_or(1) / 2,
        _ => devices(row).unwrap_or(1),
    };
    whole.min(devices(row).unwrap_or(whole)).max(1)
}

/// How many devices a row has: as counted, or as labelled: `v3-256` counts cores, two a chip; `2 x A100`.
pub(crate) fn devices(row: &Row) -> Option<u64> {
    if let Some(count) = row.first_count(&["n_gpus", "n_devices", "n_chips", "devices"]) {
        return Some(count);
    }
    if let Some(replicas) = row.count("dp") {
        let each = |field: &str| row.count(field).unwrap_or(1);
        return Some(["tp", "pp", "cp"].iter().fold(replicas, |all, field| all.saturating_mul(each(field))));
    }
    let label = row.lower("n_gpus_label");
    if let Some((_, cores)) = label.split_once('-') {
        return cores.parse::<u64>().ok().map(|cores| (cores / 2).max(1));
    }
    let words = row.lower("gpus");
    words.split_once('x').and_then(|(count, _)| count.trim().parse().ok())
}

/// The catalog's device that some words mean: the first whose parts are all in them.
pub(crate) fn catalog_name(words: &str) -> Option<&'static str> {
    let words = words.to_lowercase().replace([' ', '-', '_', '/'], "");
    DEVICES
        .iter()
        .find(|(parts, _)| parts.iter().all(|part| words.contains(part)))
        .map(|(_, name)| *name)
        .filter(|name| llmplan_spec::catalog::find("device", name).is_some())
}

/// Parts of a spelling and the device they mean: the particular before the general.
const DEVICES: &[(&[&str], &str)] = &[
    (&["gb300"], "gb200-nvl72"),
    (&["gb200"], "gb200-nvl72"),
    (&["gh200"], "gh200-96gb"),
    (&["b300"], "b300-sxm"),
    (&["b200"], "b200-sxm"),
    (&["h200"], "h200-sxm"),
    (&["h800"], "h800-sxm"),
    (&["h100", "nvl"], "h100-nvl"),
    (&["h100", "pcie"], "h100-pcie"),
    (&["h100"], "h100-sxm"),
    (&["a800"], "a800-sxm-80gb"),
    (&["a100", "pcie", "40"], "a100-pcie-40gb"),
    (&["a100", "pcie"], "a100-pcie-80gb"),
    (&["a100", "40g"], "a100-40gb"),
    (&["a100"], "a100-80gb"),
    (&["v100", "pcie", "32"], "v100-pcie-32gb"),
    (&["v100", "pcie"], "v100-pcie-16gb"),
    (&["v100", "16g"], "v100-sxm-16gb"),
    (&["v100"], "v100-sxm-32gb"),
    (&["mi355"], "mi355x"),
    (&["mi325"], "mi325x"),
    (&["mi300"], "mi300x"),
    (&["mi250"], "mi250x"),
    (&["mi210"], "mi210"),
    (&["tpu", "v7"], "tpu-v7x"),
    (&["tpu", "v6"], "tpu-v6e"),
    (&["tpu", "v5p"], "tpu-v5p"),
    (&["tpu", "v5"], "tpu-v5e"),
    (&["tpu", "v4"], "tpu-v4"),
    (&["tpu", "v3"], "tpu-v3"),
    (&["tpu", "v2"], "tpu-v2"),
    (&["trainium2"], "trainium2"),
    (&["trainium"], "trainium1"),
    (&["trn2"], "trainium2"),
    (&["trn1"], "trainium1"),
    (&["gaudi3"], "gaudi3"),
    (&["gaudi"], "gaudi2"),
    (&["l40s"], "l40s"),
    (&["l40"], "l40"),
    (&["l4"], "l4"),
    (&["a6000"], "rtx-a6000"),
    (&["a40"], "a40"),
    (&["a10g"], "a10g"),
    (&["a10"], "a10"),
    (&["5090"], "rtx-5090"),
    (&["4090"], "rtx-4090"),
    (&["3090"], "rtx-3090"),
    (&["t4"], "t4"),
];
