//! How the model is served: memory, times, throughput and cost in one table, its lifetime in another.

use llmplan_spec::plan::Inference;
use llmplan_spec::units::format;

use super::{row, section};
use crate::inference::unmodelled;
use crate::quantities::Quantities;
use crate::report::{Row, Section};

/// A row: its label, its quantity, its words, and its indentation.
type Line<'l> = (&'l str, &'l str, String, u8);

/// One replica with a full batch.
pub(super) fn serving(q: &Quantities<'_>) -> Section {
    let Some(own) = &q.plan.inference else { return empty("Serving") };
    let lines = [
        ("Weights", "inference.weight_bytes", format!("{} for each parameter", own.weights.word()), 0),
        ("KV cache per token", "inference.kv_bytes_per_token", own.kv_cache.word().to_owned(), 0),
        ("KV cache per sequence", "inference.kv_per_sequence", length(own), 0),
        ("Memory per device", "inference.memory", replica(q, own), 0),
        ("weights", "inference.memory.weights", "weights / devices".to_owned(), 1),
        ("draft model", "inference.memory.draft", "stored as the weights".to_owned(), 1),
        ("KV cache", "inference.memory.kv_cache", cached(q).to_owned(), 1),
        ("reserve", "inference.memory.reserve", "context, libraries, working space".to_owned(), 1),
        ("Batch", "inference.sequences", batch(q, own), 0),
        ("Time to first token", "inference.ttft", "one prompt, no queue".to_owned(), 0),
        ("Step", "inference.decode.step", "slower of the two + collectives".to_owned(), 0),
        ("reading", "inference.decode.memory_time", "weights and cache / bandwidth".to_owned(), 1),
        ("computing", "inference.decode.compute_time", "FLOP / rate".to_owned(), 1),
        ("collectives", "inference.decode.communication", "two all-reduces a layer".to_owned(), 1),
        ("Speedup of proposals", "inference.speculative.speedup", proposals(q), 0),
        ("Time per output token", "inference.tpot", tpot(own).to_owned(), 0),
        ("Time of an answer", "inference.answer_time", "first token + steps".to_owned(), 0),
        ("Throughput", "inference.tokens_per_second", "of answers, one replica".to_owned(), 0),
        ("per device", "inference.tokens_per_second_per_device", String::new(), 1),
        ("MFU", "inference.mfu", "of the dense peak".to_owned(), 0),
        ("Price", "inference.device.price", "of one device".to_owned(), 0),
        ("A million tokens", "inference.cost_per_million", "prompts and answers".to_owned(), 0),
        ("of prompts", "inference.cost_per_million.input", "by their time".to_owned(), 1),
        ("of answers", "inference.cost_per_million.output", "by their time".to_owned(), 1),
    ];
    let timed = q.get("inference.tpot").is_some();
    let mut notes = if timed { Vec::new() } else { unmodelled(q.plan) };
    if own.device.is_none() && q.plan.hardware.is_none() {
        notes.push("Times and costs need a device: `inference.device`, or `hardware`.".to_owned());
    }
    let tokens = own.prompt.saturating_add(own.output);
    if let Some(context) = q.plan.model.context.filter(|context| *context < tokens) {
        let count = |tokens: u64| format::grouped(u128::from(tokens));
        notes.push(format!(
            "Prompt and answer are {} tokens, more than the model's context of {}.",
            count(tokens),
            count(context)
        ));
    }
    section("Serving", &["Quantity", "value", "range", "grade", "how"], 2, filled(q, &lines), notes)
}

/// All that is served, what it is beside training, and what quantizing risks.
pub(super) fn lifetime(q: &Quantities<'_>) -> Section {
    let Some(own) = &q.plan.inference else { return empty("Lifetime") };
    let law = &q.plan.law.name;
    let lines = [
        ("Requests", "inference.lifetime.requests", "demand / tokens of each".to_owned(), 0),
        ("FLOP of serving", "inference.lifetime.flops", "requests × FLOP of each".to_owned(), 0),
        ("over training's", "inference.lifetime.flops_to_training", String::new(), 1),
        ("Device-hours", "inference.lifetime.device_hours", "batches / utilization".to_owned(), 0),
        ("Cost of serving", "inference.lifetime.cost", "device-hours × price".to_owned(), 0),
        ("over training's", "inference.lifetime.cost_to_training", String::new(), 1),
        ("Total cost", "inference.lifetime.total_cost", "training + serving".to_owned(), 0),
        ("Least FLOP, same loss: N", "inference.optimal.params", format!("under {law}"), 0),
        ("D", "inference.optimal.tokens", String::new(), 1),
        ("saves", "inference.optimal.saving", "of 6ND + 2N × demand".to_owned(), 1),
        ("Least cost, same loss: N", "inference.optimal.by_cost.params", format!("under {law}"), 0),
        ("D", "inference.optimal.by_cost.tokens", String::new(), 1),
        ("saves", "inference.optimal.by_cost.saving", price_words(q), 1),
        ("Loss of quantization", "inference.quantization_loss", "nats per token".to_owned(), 0),
        ("of what is above E", "inference.quantization_share", format!("under {law}"), 1),
        ("risk", "inference.quantization_risk", "low < 1 %, medium < 10 %".to_owned(), 1),
    ];
    let quantized = own.weights.bits() < 16;
    let told = lines.iter().filter(|(_, path, ..)| quantized || !path.starts_with("inference.quantization"));
    let lines: Vec<Line<'_>> = told.cloned().collect();
    let mut notes = Vec::new();
    if quantized && q.get("inference.quantization_loss").is_some() {
        notes.push(format!(
            "The precision law was fitted to integers, rounded to nearest, in models of at most 1.7B: {} may lose less or more.",
            own.weights.word(),
        ));
    }
    notes.extend(short_of_data(q));
    section("Lifetime", &["Quantity", "value", "range", "grade", "how"], 2, filled(q, &lines), notes)
}

/// Where the least of training and serving takes more distinct tokens than there are.
fn short_of_data(q: &Quantities<'_>) -> Option<String> {
    let there = q.number("data.unique_tokens")?;
    let wanted = ["inference.optimal.tokens", "inference.optimal.by_cost.tokens"];
    let most = wanted.iter().filter_map(|path| q.number(path)).fold(0.0, f64::max);
    (most > there).then(|| {
        format!(
            "The least is of distinct tokens, and the data has {}: repeats are worth less, and it would save less.",
            q.display("data.unique_tokens")
        )
    })
}

fn filled(q: &Quantities<'_>, lines: &[Line<'_>]) -> Vec<Row> {
    let total = |path: &str| path == "inference.cost_per_million";
    lines
        .iter()
        .filter_map(|(label, path, words, indent)| {
            let grade = q.get(path)?.grade.word().to_owned();
            let cells = vec![(*label).to_owned(), q.display(path), q.range(path), grade, words.clone()];
            Some(Row { indent: *indent, ..row(path, cells, total(path)) })
        })
        .collect()
}

fn empty(title: &str) -> Section {
    section(title, &[], 0, Vec::new(), Vec::new())
}

fn length(own: &Inference) -> String {
    format!("{} + {} tokens, in blocks of {}", own.prompt, own.output, own.block)
}

/// What a replica is, and how full its devices are.
fn replica(q: &Quantities<'_>, own: &Inference) -> String {
    let hardware = q.plan.hardware.as_ref().map(|hardware| &hardware.device);
    let device = own.device.as_ref().or(hardware).map_or("device", |device| device.name.as_str());
    match q.get("inference.memory_share") {
        Some(share) => format!("{} of {} × {device}", share.display, own.tensor),
        None => format!("{} × {device}", own.tensor),
    }
}

fn batch(q: &Quantities<'_>, own: &Inference) -> String {
    match (own.batch, q.get("inference.largest_batch")) {
        (None, _) => "as many as fit".to_owned(),
        (Some(_), Some(largest)) => format!("declared; {} fit", largest.display),
        (Some(_), None) => "declared".to_owned(),
    }
}

fn cached(q: &Quantities<'_>) -> &'static str {
    if q.get("inference.sequences").is_some() { "batch × sequence" } else { "one sequence" }
}

fn tpot(own: &Inference) -> &'static str {
    if own.speculative.is_some() { "(draft + check) / tokens" } else { "a step" }
}

fn proposals(q: &Quantities<'_>) -> String {
    format!("{} tokens expected", q.display("inference.speculative.expected_tokens"))
}

fn price_words(q: &Quantities<'_>) -> String {
    format!("a FLOP costs {} × training's", q.display("inference.price_ratio"))
}
