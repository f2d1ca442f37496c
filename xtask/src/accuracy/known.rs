//! How well-known runs were divided, for rows that state the whole run and no degree.

use super::rows::Row;
use super::shapes::catalog_name;

/// What the paper of a run says of its strategy.
struct Strategy {
    /// The model, as the catalog names it.
    model: &'static str,
    tensor: u64,
    pipeline: u64,
    expert: u64,
    zero: u64,
    /// Sequences of a step.
    batch: u64,
    /// Tokens of a sequence.
    sequence: u64,
    /// Data type of products.
    precision: &'static str,
    schedule: &'static str,
    /// What is recomputed; empty where it is not said.
    recompute: &'static str,
}

/// DeepSeek-V3 §3.2 and §4.2; Llama 3 §3.3.2 and Table 4; BLOOM §3.3; PaLM §4; OPT §2.2; Falcon series §5.1; StarCoder §5;
/// EleutherAI/pythia models/*.yml. Of GPT-3 it is only known that matrices and layers were divided (Brown 2020 §2.3).
const STRATEGIES: &[Strategy] = &[
    strategy("deepseek-v3", (1, 16, 64, 1), (15_360, 4096), "fp8", "dualpipe"),
    strategy("llama-3.1-405b", (8, 16, 1, 1), (2048, 8192), "bf16", ""),
    strategy("bloom-176b", (4, 12, 1, 1), (2048, 2048), "bf16", ""),
    strategy("palm-540b", (12, 1, 1, 3), (2048, 2048), "bf16", ""),
    strategy("opt-175b", (8, 1, 1, 3), (992, 2048), "fp16", ""),
    strategy("falcon-180b", (8, 8, 1, 1), (2048, 2048), "bf16", ""),
    strategy("starcoder", (4, 4, 1, 1), (512, 8192), "bf16", ""),
    strategy("gpt-3-175b", (8, 16, 1, 1), (1600, 2048), "fp16", ""),
    pythia("pythia-12b", 4),
    pythia("pythia-6.9b", 2),
    pythia("pythia-2.8b", 1),
    pythia("pythia-1.4b", 1),
    pythia("pythia-1b", 1),
    pythia("pythia-410m", 1),
    pythia("pythia-160m", 1),
    pythia("pythia-70m", 1),
];

const fn strategy(
    model: &'static str,
    (tensor, pipeline, expert, zero): (u64, u64, u64, u64),
    (batch, sequence): (u64, u64),
    precision: &'static str,
    schedule: &'static str,
) -> Strategy {
    Strategy { model, tensor, pipeline, expert, zero, batch, sequence, precision, schedule, recompute: "" }
}

const fn pythia(model: &'static str, tensor: u64) -> Strategy {
    Strategy { recompute: "full", ..strategy(model, (tensor, 1, 1, 1), (1024, 2048), "fp16", "") }
}

/// A row with what is known of its run, where it states tokens and no degree of its own.
pub(crate) fn completed(row: &Row) -> Row {
    let mut row = row.clone();
    let silent = ["tp", "pp", "zero_stage", "fsdp"].iter().all(|field| !row.has(field));
    let name = row.text("model").and_then(catalog_name);
    let known = STRATEGIES.iter().find(|own| Some(own.model) == name);
    if let Some(own) = known.filter(|_| silent && row.has("tokens")) {
        row.or("tp", own.tensor);
        row.or("pp", own.pipeline);
        row.or("ep", own.expert);
        row.or("zero_stage", own.zero);
        row.or("global_batch_seqs", own.batch);
        row.or("seq_len", own.sequence);
        row.or("precision", own.precision);
        for (field, value) in [("schedule", own.schedule), ("recompute", own.recompute)] {
            if !value.is_empty() {
                row.or(field, value);
            }
        }
    }
    row
}
