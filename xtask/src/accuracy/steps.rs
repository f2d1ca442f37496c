//! What one step of a row consumes.

use super::device;
use super::origin::Framework;
use super::rows::Row;
use super::shapes::{catalog_name, letters};

/// Sequences of a step and of a micro-batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Sequences over all devices.
    pub(crate) global: u64,
    /// Sequences that one replica processes at a time.
    pub(crate) micro: u64,
}

/// Tokens of a sequence: as stated, else the model's context, at most 8192: longer ones come from later stages.
pub(crate) fn sequence(row: &Row) -> u64 {
    if let Some(length) = row.first_count(&["seq_len", "sequence", "longest_example_tokens"]) {
        return length;
    }
    let name = row.lower("model");
    if name.contains("maxtext") {
        return 2048;
    }
    if let Some(positions) = super::rows::before(&name, " positions") {
        return positions as u64;
    }
    let context = row
        .text("model")
        .and_then(catalog_name)
        .and_then(|name| llmplan_spec::catalog::find("model", name))
        .and_then(|entry| super::rows::after(&entry.text.replace('_', ""), "context"))
        .unwrap_or(1024.0);
    (context as u64).clamp(1, 8192)
}

/// The batches that a row can mean, most likely first. Where no micro-batch is stated it is the largest of 4, 2 and 1 that
/// fits, and 1 in a pipeline, whose bubble larger ones would widen. Where no batch is stated it is 4M tokens, as large runs
/// since 2020 have.
pub(crate) fn batch(row: &Row, framework: Framework, replicas: u64, pipeline: u64) -> Vec<Batch> {
    let micro = row.first_count(&["micro_batch", "local_batch"]).or_else(|| maxtext_batch(row));
    let tokens =
        |field: &str| row.number(field).map(|tokens| (tokens / sequence(row) as f64).round().max(1.0) as u64);
    let stated = row
        .first_count(&["global_batch_seqs", "global_batch"])
        .or_else(|| tokens("global_batch_tokens"))
        .or_else(|| tokens("tokens_per_batch").filter(|count| count.is_multiple_of(replicas)));
    let choices: Vec<u64> = match micro {
        Some(micro) => vec![micro],
        None if pipeline > 1 => vec![1],
        None => vec![4, 2, 1],
    };
    let mut batches = Vec::new();
    for micro in choices {
        let whole = micro.saturating_mul(replicas);
        let global = stated.unwrap_or_else(|| assumed(row, framework, micro, replicas));
        if row.first_count(&["micro_batch", "local_batch"]).is_some() || global.is_multiple_of(whole) {
            batches.push(Batch { global, micro });
        }
    }
    if batches.is_empty() {
        let global = stated.unwrap_or_else(|| assumed(row, framework, 1, replicas));
        batches.push(Batch { global, micro: 1 });
    }
    batches
}

/// Sequences of a step where a row states none.
fn assumed(row: &Row, framework: Framework, micro: u64, replicas: u64) -> u64 {
    let one = micro.saturating_mul(replicas);
    if let Some(count) = row.first_count(&["micro_batch_count", "grad_accum"]) {
        return one.saturating_mul(count);
    }
    if matches!(framework, Framework::Torchtitan | Framework::DeepSpeed | Framework::Jax | Framework::Zero) {
        return one;
    }
    let tokens = row.number("tokens_per_batch").unwrap_or(4.0 * 1024.0 * 1024.0);
    let sequences = (tokens / sequence(row) as f64 / one as f64).round().max(1.0);
    one.saturating_mul(sequences as u64)
}

/// Sequences for each chip in MaxText's scripts (configs/v4 and configs/v5e).
fn maxtext_batch(row: &Row) -> Option<u64> {
    let model = letters(&row.lower("model"));
    if !model.starts_with("maxtext") {
        return None;
    }
    let v5 = device::catalog_name(row.text("gpu")?).is_some_and(|name| name == "tpu-v5e");
    match model.trim_start_matches("maxtext") {
        "16b" if v5 => Some(6),
        "32b" if v5 => Some(4),
        "64b" if v5 => Some(2),
        "128b" if v5 => Some(1),
        "22b" => Some(13),
        "52b" => Some(7),
        _ => None,
    }
}
