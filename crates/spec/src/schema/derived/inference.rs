//! Quantities of `inference`.

use super::{DEVICE_TIME, Derived, row, share, text};
use crate::units::{Dimension, Unit};

const SERVED: &[&str] = &["inference"];
const HELD: &[&str] = &["inference", "inference.device"];
const TIMED: &[&str] = &["inference", "inference.device"];
const LINKED: &[&str] = &["inference", "inference.device", "inference.tensor"];
const DRAFTED: &[&str] = &["inference", "inference.device", "inference.speculative.draft_params"];
const PRICED: &[&str] = &["inference", "inference.device", "inference.price"];
const WANTED: &[&str] = &["inference", "inference.demand"];
const TAKEN: &[&str] = &["inference", "inference.device", "inference.demand"];
const PAID: &[&str] = &["inference", "inference.device", "inference.demand", "inference.price"];
const TRAINED: &[&str] = &["inference", "inference.demand", "training", "data"];
const BOTH: &[&str] =
    &["inference", "inference.demand", "inference.price", "training", "data", "hardware", "training.mfu"];
const QUANTIZED: &[&str] = &["inference", "inference.weights", "data"];
const OPTIMAL: &[&str] = &["inference", "inference.demand", "data"];

/// A rate of FLOPs.
const RATE: Unit = Unit { dimension: Dimension::FLOP.per_second(), noun: None };

/// In the order of the reference.
pub(super) static ROWS: &[Derived] = &[
    row("inference.params", Unit::PARAMS, "parameters that are served", SERVED),
    row("inference.weight_bytes", Unit::BYTES, "weights of one replica as stored, scales included", SERVED),
    row(
        "inference.kv_bytes_per_token",
        Unit::BYTES,
        "KV cache per token as stored, while no window is full",
        SERVED,
    ),
    row(
        "inference.kv_per_sequence",
        Unit::BYTES,
        "KV cache and state of one sequence of prompt and answer, in whole blocks, each value once",
        SERVED,
    ),
    row(
        "inference.kv_per_device",
        Unit::BYTES,
        "what one device of a replica holds of that, heads and latents that several devices hold included",
        SERVED,
    ),
    row("inference.context", Unit::TOKENS, "tokens before the one that is decoded, on average", SERVED),
    row(
        "inference.kv_read",
        Unit::BYTES,
        "what one device reads of one sequence's cache in a step, and moves of its state",
        SERVED,
    ),
    row("inference.prefill.flops", Unit::FLOP, "one pass over a prompt", SERVED),
    row(
        "inference.decode.products",
        Unit::FLOP,
        "one token of an answer, without attention's scores",
        SERVED,
    ),
    row(
        "inference.decode.attention",
        Unit::FLOP,
        "scores and weighted sums of one token at the mean context",
        SERVED,
    ),
    row("inference.decode.flops", Unit::FLOP, "one token of an answer at the mean context", SERVED),
    row("inference.memory.weights", Unit::BYTES, "weights on one device", SERVED),
    row(
        "inference.memory.draft",
        Unit::BYTES,
        "weights of the model that proposes, on one device",
        &["inference", "inference.speculative.draft_params"],
    ),
    row("inference.memory.reserve", Unit::BYTES, "what context and libraries take of one device", SERVED),
    row("inference.memory.kv_cache", Unit::BYTES, "KV cache of the batch on one device", HELD),
    row("inference.memory", Unit::BYTES, "memory of one device that serves", HELD),
    share("inference.memory_share", "share of the device's memory that serving takes", HELD),
    row("inference.largest_batch", Unit::SEQUENCES, "sequences that fit in one replica", HELD),
    row("inference.sequences", Unit::SEQUENCES, "sequences that one replica decodes together", HELD),
    row("inference.device.memory", Unit::BYTES, "memory of the serving device", HELD),
    row(
        "inference.device.memory_bandwidth",
        Unit::BYTES_PER_SECOND,
        "bandwidth of its memory as sold",
        TIMED,
    ),
    share("inference.device.memory_share", "share of that which kernels reach", TIMED),
    row("inference.device.peak", RATE, "its dense peak in the data type of products", TIMED),
    share("inference.device.matmul_share", "share of the peak that large products reach", TIMED),
    row("inference.device.link", Unit::BYTES_PER_SECOND, "its links within a node as sold", LINKED),
    row("inference.device.price", Unit::MONEY_PER_TIME, "price of one serving device for a time", PRICED),
    row("inference.bandwidth", Unit::BYTES_PER_SECOND, "bandwidth of its memory as reached", TIMED),
    row("inference.rate", RATE, "rate of large products as reached", TIMED),
    row("inference.prefill.params", Unit::PARAMS, "parameters that a pass over a prompt reads", TIMED),
    row("inference.prefill.communication", Unit::TIME, "collectives of a pass over a prompt", LINKED),
    row("inference.ttft", Unit::TIME, "time to the first token: the pass over one prompt, no queue", TIMED),
    row("inference.decode.params", Unit::PARAMS, "parameters that a step of the batch reads", TIMED),
    row("inference.decode.weights_read", Unit::BYTES, "weights that a step of the batch reads", TIMED),
    row("inference.decode.memory_time", Unit::TIME, "reading weights and cache in a step", TIMED),
    row("inference.decode.compute_time", Unit::TIME, "products of a step", TIMED),
    row("inference.decode.communication", Unit::TIME, "collectives of a step", LINKED),
    row("inference.decode.step", Unit::TIME, "a step of the batch, one token of each sequence", TIMED),
    row(
        "inference.speculative.expected_tokens",
        Unit::NONE,
        "tokens of a sequence that proposing and checking once gives, on average",
        DRAFTED,
    ),
    row("inference.speculative.draft_time", Unit::TIME, "steps of the model that proposes", DRAFTED),
    row("inference.speculative.params", Unit::PARAMS, "parameters that checking reads", DRAFTED),
    row("inference.speculative.communication", Unit::TIME, "collectives of checking", DRAFTED),
    row("inference.speculative.check_time", Unit::TIME, "checking the proposals in one pass", DRAFTED),
    row(
        "inference.speculative.speedup",
        Unit::NONE,
        "time per token without proposals over that with them",
        DRAFTED,
    ),
    row("inference.tpot", Unit::TIME, "time per output token: from one to the next of an answer", TIMED),
    row("inference.answer_time", Unit::TIME, "from a prompt to the end of its answer, no queue", TIMED),
    row(
        "inference.request_time",
        Unit::TIME,
        "time of a replica that one request takes: its prompt, and its share of the batch's steps",
        TIMED,
    ),
    row(
        "inference.tokens_per_second",
        Unit::TOKENS_PER_SECOND,
        "tokens of answers that one replica gives, prompts' time included",
        TIMED,
    ),
    row(
        "inference.tokens_per_second_per_device",
        Unit::TOKENS_PER_SECOND,
        "tokens of answers per device",
        TIMED,
    ),
    share("inference.mfu", "share of the peak that serving's FLOPs are", TIMED),
    row("inference.cost_per_million", Unit::MONEY, "a million tokens, prompts and answers alike", PRICED),
    row("inference.cost_per_million.input", Unit::MONEY, "a million tokens of prompts", PRICED),
    row("inference.cost_per_million.output", Unit::MONEY, "a million tokens of answers", PRICED),
    row("inference.lifetime.requests", Unit::NONE, "prompts that are answered over the lifetime", WANTED),
    row("inference.lifetime.flops", Unit::FLOP, "all that is served over the lifetime", WANTED),
    row(
        "inference.lifetime.flops_to_training",
        Unit::NONE,
        "FLOPs of serving over those of training",
        TRAINED,
    ),
    row("inference.lifetime.device_hours", DEVICE_TIME, "devices that serve, over the lifetime", TAKEN),
    row("inference.lifetime.cost", Unit::MONEY, "serving over the lifetime", PAID),
    row("inference.lifetime.cost_to_training", Unit::NONE, "cost of serving over that of training", BOTH),
    row("inference.lifetime.total_cost", Unit::MONEY, "training, and serving over the lifetime", BOTH),
    row(
        "inference.quantization_loss",
        Unit::NONE,
        "nats per token that quantizing the weights adds, by the precision law",
        QUANTIZED,
    ),
    share(
        "inference.quantization_share",
        "that, as a share of what the loss is above the law's floor",
        QUANTIZED,
    ),
    text("inference.quantization_risk", "low, medium or high, by that share", QUANTIZED),
    row(
        "inference.optimal.params",
        Unit::PARAMS,
        "N that reaches the plan's loss at the least FLOPs of training and serving",
        OPTIMAL,
    ),
    row("inference.optimal.tokens", Unit::TOKENS, "D of that model", OPTIMAL),
    share("inference.optimal.saving", "share of the plan's FLOPs that it saves", OPTIMAL),
    row("inference.price_ratio", Unit::NONE, "price of a useful FLOP of serving over one of training", BOTH),
    row(
        "inference.optimal.by_cost.params",
        Unit::PARAMS,
        "N that reaches the plan's loss at the least cost of training and serving",
        BOTH,
    ),
    row("inference.optimal.by_cost.tokens", Unit::TOKENS, "D of that model", BOTH),
    share("inference.optimal.by_cost.saving", "share of the plan's cost that it saves", BOTH),
];
