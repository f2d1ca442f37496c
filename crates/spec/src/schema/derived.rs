//! The quantities that are computed: one vocabulary for `require`, reports, JSON and `explain`.

mod alignment;
mod budget;
mod efficiency;
mod inference;
mod scaling;

use super::Derived;
use crate::units::{Dimension, Noun, Unit};

const SEQUENCE: &[&str] = &[];
const TRAINING: &[&str] = &["training"];
const LORA: &[&str] = &["training", "training.lora.rank"];
const MAIN: &[&str] = &["training", "training.main_gradients"];
const RUN: &[&str] = &["training", "data"];
const RATE: &[&str] = &["training", "hardware", "training.mfu"];
const STEPS: &[&str] = &["training", "data", "training.global_batch"];
const TIME: &[&str] = &["training", "data", "hardware", "training.mfu"];
const COST: &[&str] = &["training", "data", "hardware", "training.mfu", "hardware.price"];
/// What a step on a cluster is computed from.
const CLUSTER: &[&str] = &["training", "hardware", "training.global_batch", "training.micro_batch"];
const FITS: &[&str] =
    &["training", "hardware", "training.global_batch", "training.micro_batch", "device.memory"];
const STORAGE: &[&str] = &["training", "data", "hardware", "training.mfu", "hardware.storage_price"];
const ENERGY: &[&str] = &["training", "data", "hardware", "training.mfu", "device.power"];
const DEVICES: &[&str] = &["training", "hardware"];
const SOURCES: &[&str] = &["data", "data.source"];

/// Arithmetic intensity.
const INTENSITY: Unit = Unit { dimension: Dimension { flop: 1, byte: -1, ..Dimension::NONE }, noun: None };

/// Energy, shown as kWh or MWh.
const JOULES: Unit = Unit { dimension: Dimension::ENERGY, noun: None };

/// CO2 equivalent.
const CARBON: Unit = Unit { dimension: Dimension::CARBON, noun: None };

/// Device-seconds, shown as device-hours.
const DEVICE_TIME: Unit = Unit { noun: Some(Noun::Devices), ..Unit::TIME };

/// Every derived quantity, in the order of the reference.
pub fn all_derived() -> impl Iterator<Item = &'static Derived> {
    [RUNS, efficiency::ROWS, scaling::ROWS, budget::ROWS, inference::ROWS, alignment::ROWS]
        .into_iter()
        .flatten()
}

/// Model, memory and run.
static RUNS: &[Derived] = &[
    row("model.params", Unit::PARAMS, "all parameters, each once", &[]),
    row("model.active_params", Unit::PARAMS, "parameters that one token passes through", &[]),
    row(
        "model.active_params.without_lookups",
        Unit::PARAMS,
        "active parameters without tables that are only looked up",
        &[],
    ),
    row(
        "model.active_non_embedding_params",
        Unit::PARAMS,
        "active parameters without embeddings, positions and output projection",
        &["model.moe"],
    ),
    row(
        "model.non_embedding_params",
        Unit::PARAMS,
        "parameters without embeddings, positions and output projection",
        &[],
    ),
    row("model.params.embedding", Unit::PARAMS, "token embedding", &[]),
    row(
        "model.padded_vocab",
        Unit::NONE,
        "rows of the embedding, padding included",
        &["model.vocab_multiple"],
    ),
    row(
        "model.params.projection",
        Unit::PARAMS,
        "projections between the embedding's width and d_model",
        &[],
    ),
    row("model.params.position", Unit::PARAMS, "learned positions", &[]),
    row("model.params.attention", Unit::PARAMS, "attention of all layers, biases included", &[]),
    row("model.params.attention.qkv", Unit::PARAMS, "Q, K and V projections of all layers", &[]),
    row("model.params.attention.output", Unit::PARAMS, "output projections of attention", &[]),
    row("model.params.attention.relative", Unit::PARAMS, "projections of relative positions", &[]),
    row("model.params.attention.sinks", Unit::PARAMS, "attention sinks", &[]),
    row("model.params.attention.gate", Unit::PARAMS, "gates on the output of attention", &[]),
    row("model.params.recurrent", Unit::PARAMS, "state-space and linear-attention layers", &[]),
    row("model.params.recurrent.input", Unit::PARAMS, "their input projections", &[]),
    row("model.params.recurrent.state", Unit::PARAMS, "their convolutions, recurrences and inner norms", &[]),
    row("model.params.recurrent.output", Unit::PARAMS, "their output projections", &[]),
    row("model.params.ffn", Unit::PARAMS, "feed-forward networks of all layers, biases included", &[]),
    row("model.params.ffn.up", Unit::PARAMS, "up-projections of all feed-forward networks", &[]),
    row("model.params.ffn.gate", Unit::PARAMS, "gates of all feed-forward networks", &[]),
    row("model.params.ffn.down", Unit::PARAMS, "down-projections of all feed-forward networks", &[]),
    row("model.params.router", Unit::PARAMS, "routers of experts", &["model.moe"]),
    row("model.params.experts", Unit::PARAMS, "routed experts, all of them", &["model.moe"]),
    row("model.params.active_experts", Unit::PARAMS, "routed experts that one token passes", &["model.moe"]),
    row("model.params.shared_experts", Unit::PARAMS, "experts that every token passes", &["model.moe"]),
    row("model.params.norm", Unit::PARAMS, "norms", &[]),
    row("model.params.mtp", Unit::PARAMS, "multi-token prediction: trained, not served", &["model.mtp"]),
    row(
        "model.params.output",
        Unit::PARAMS,
        "output projection to the vocabulary, where it is not the embedding",
        &[],
    ),
    row("model.params.adapters", Unit::PARAMS, "adapters of low rank, all that is trained", LORA),
    row("model.params.quantized", Unit::PARAMS, "frozen weights that are stored in few bits", LORA),
    row("model.params.per_layer", Unit::PARAMS, "one layer, norms included", &[]),
    share("model.params.embedding_share", "share of embeddings, positions and output in the total", &[]),
    row("model.params.rule_of_thumb", Unit::PARAMS, "12Ld² + 2Vd (Vd where embeddings are tied)", &[]),
    row("model.layer.*.count", Unit::NONE, "how many layers are of a kind, where layers differ", &[]),
    row("model.layer.*.params", Unit::PARAMS, "one layer of a kind, norms included", &[]),
    row("model.layer.*.flops", Unit::FLOP, "one layer of a kind in one forward pass", &[]),
    row("model.layer.*.kv_bytes_per_token", Unit::BYTES, "KV cache of one layer of a kind, per token", &[]),
    row(
        "model.kv_bytes_per_token",
        Unit::BYTES,
        "KV cache per token while no window is full, in 16 bits",
        &[],
    ),
    row("model.kv_cache", Unit::BYTES, "KV cache of one sequence as long as the context, in 16 bits", &[]),
    row(
        "model.state_bytes",
        Unit::BYTES,
        "state of recurrent layers, whatever the sequence, in 16 bits",
        &[],
    ),
    row(
        "model.moe.tokens_per_expert",
        Unit::TOKENS,
        "tokens of a sequence that an expert sees on average",
        &[],
    ),
    row(
        "model.moe.busiest_expert",
        Unit::TOKENS,
        "tokens of a sequence that the busiest expert is sent",
        &[],
    ),
    row("model.moe.slots_per_expert", Unit::TOKENS, "tokens of a sequence that an expert can take", &[]),
    row("flops.sequence", Unit::TOKENS, "T: the sequence that FLOPs are counted for", SEQUENCE),
    row("flops.forward", Unit::FLOP, "one forward pass over a sequence of T tokens", SEQUENCE),
    row("flops.forward.qkv", Unit::FLOP, "Q, K and V projections in one forward pass", SEQUENCE),
    row("flops.forward.scores", Unit::FLOP, "attention scores QKᵀ in one forward pass", SEQUENCE),
    row(
        "flops.forward.weighted_sum",
        Unit::FLOP,
        "attention-weighted sum of V in one forward pass",
        SEQUENCE,
    ),
    row(
        "flops.forward.output_projection",
        Unit::FLOP,
        "output projections of attention in one forward pass",
        SEQUENCE,
    ),
    row("flops.forward.ffn_up", Unit::FLOP, "up-projections in one forward pass", SEQUENCE),
    row("flops.forward.ffn_gate", Unit::FLOP, "gate projections in one forward pass", SEQUENCE),
    row("flops.forward.ffn_down", Unit::FLOP, "down-projections in one forward pass", SEQUENCE),
    row(
        "flops.forward.logits",
        Unit::FLOP,
        "output projection to the vocabulary in one forward pass",
        SEQUENCE,
    ),
    row(
        "flops.forward.relative",
        Unit::FLOP,
        "projections of relative positions in one forward pass",
        SEQUENCE,
    ),
    row("flops.forward.attention_gate", Unit::FLOP, "gates of attention in one forward pass", SEQUENCE),
    row("flops.forward.recurrent_input", Unit::FLOP, "input projections of recurrent layers", SEQUENCE),
    row("flops.forward.recurrence", Unit::FLOP, "convolutions and recurrences in one forward pass", SEQUENCE),
    row("flops.forward.recurrent_output", Unit::FLOP, "output projections of recurrent layers", SEQUENCE),
    row("flops.forward.router", Unit::FLOP, "routers of experts in one forward pass", SEQUENCE),
    row("flops.forward.experts", Unit::FLOP, "routed experts in one forward pass", SEQUENCE),
    row("flops.forward.shared_experts", Unit::FLOP, "shared experts in one forward pass", SEQUENCE),
    row("flops.forward.projection", Unit::FLOP, "projections between embedding and d_model", SEQUENCE),
    row(
        "flops.forward.mtp",
        Unit::FLOP,
        "multi-token prediction without its attention scores",
        &["model.mtp"],
    ),
    row(
        "flops.forward.mtp_attention",
        Unit::FLOP,
        "scores and sums of multi-token prediction",
        &["model.mtp"],
    ),
    row(
        "flops.pairs.*.full",
        Unit::NONE,
        "pairs of a query and a key for one head of a kind of layer",
        SEQUENCE,
    ),
    row("flops.pairs.*.causal", Unit::NONE, "those pairs without the masked half", SEQUENCE),
    row("flops.forward.layers", Unit::FLOP, "all layers in one forward pass, logits left out", SEQUENCE),
    row("flops.forward.per_layer", Unit::FLOP, "one layer in one forward pass", SEQUENCE),
    row("flops.backward", Unit::FLOP, "one backward pass over a sequence of T tokens", SEQUENCE),
    row("flops.adapters", Unit::FLOP, "adapters, forward and backward over a sequence of T tokens", LORA),
    row("flops.training", Unit::FLOP, "forward and backward over a sequence of T tokens", SEQUENCE),
    row("flops.forward_per_token", Unit::FLOP, "forward pass, per token", SEQUENCE),
    row("flops.backward_per_token", Unit::FLOP, "backward pass, per token", SEQUENCE),
    row("flops.training_per_token", Unit::FLOP, "forward and backward, per token", SEQUENCE),
    row(
        "flops.inference_per_token",
        Unit::FLOP,
        "forward pass without multi-token prediction, per token",
        &["model.mtp"],
    ),
    row(
        "flops.convention.full.attention",
        Unit::FLOP,
        "scores and sums where the masked half counts",
        SEQUENCE,
    ),
    row(
        "flops.convention.full.forward_per_token",
        Unit::FLOP,
        "forward pass, per token, so counted",
        SEQUENCE,
    ),
    row(
        "flops.convention.full.backward_per_token",
        Unit::FLOP,
        "backward pass, per token, so counted",
        SEQUENCE,
    ),
    row(
        "flops.convention.full.training_per_token",
        Unit::FLOP,
        "both passes, per token, so counted",
        SEQUENCE,
    ),
    row("flops.convention.causal.attention", Unit::FLOP, "scores and sums without the masked half", SEQUENCE),
    row(
        "flops.convention.causal.forward_per_token",
        Unit::FLOP,
        "forward pass, per token, so counted",
        SEQUENCE,
    ),
    row(
        "flops.convention.causal.backward_per_token",
        Unit::FLOP,
        "backward pass, per token, so counted",
        SEQUENCE,
    ),
    row(
        "flops.convention.causal.training_per_token",
        Unit::FLOP,
        "both passes, per token, so counted",
        SEQUENCE,
    ),
    row(
        "traffic.*",
        Unit::BYTES,
        "bytes that a part of one forward pass moves, at 2 bytes a value",
        SEQUENCE,
    ),
    row("intensity.*", INTENSITY, "FLOP of a part over the bytes that it moves", SEQUENCE),
    row(
        "flops.recomputed",
        Unit::FLOP,
        "what the backward pass of a sequence of T tokens runs again",
        TRAINING,
    ),
    share("flops.attention_share", "share of QKᵀ and weighted sum in the forward pass", SEQUENCE),
    row("flops.sequence_ratio", Unit::NONE, "T/d: the T² terms are negligible while it is small", SEQUENCE),
    row("flops.rule_of_thumb.forward", Unit::FLOP, "2N: forward pass, per token", &[]),
    row("flops.rule_of_thumb.training", Unit::FLOP, "6N: forward and backward, per token", &[]),
    row("flops.rule_of_thumb.inference", Unit::FLOP, "2NT: one forward pass over T tokens", SEQUENCE),
    row("flops.rule_of_thumb.per_layer", Unit::FLOP, "24Td² + 4T²d: one layer in one forward pass", SEQUENCE),
    row(
        "flops.rule_of_thumb.layers",
        Unit::FLOP,
        "L·(24Td² + 4T²d): all layers in one forward pass",
        SEQUENCE,
    ),
    row("memory.weights_only.fp32", Unit::BYTES, "weights at 4 bytes", &[]),
    row("memory.weights_only.bf16", Unit::BYTES, "weights at 2 bytes: fp16 or bf16", &[]),
    row("memory.weights_only.int8", Unit::BYTES, "weights at 1 byte, scales left out", &[]),
    row("memory.weights_only.int4", Unit::BYTES, "weights at half a byte, scales left out", &[]),
    row("memory.weights", Unit::BYTES, "weights that the forward and backward pass use", TRAINING),
    row("memory.gradients", Unit::BYTES, "gradients of what is trained, copies included", TRAINING),
    row("memory.gradients.main", Unit::BYTES, "the copy of gradients in fp32", MAIN),
    row("memory.optimizer", Unit::BYTES, "everything the optimizer keeps", TRAINING),
    row(
        "memory.optimizer.master",
        Unit::BYTES,
        "fp32 master weights, where training is in 16 bits",
        TRAINING,
    ),
    row("memory.optimizer.first_moment", Unit::BYTES, "moving average of gradients", TRAINING),
    row("memory.optimizer.second_moment", Unit::BYTES, "moving average of squared gradients", TRAINING),
    row(
        "memory.optimizer.scales",
        Unit::BYTES,
        "fp32 scales of 8-bit moments, one per block and moment",
        TRAINING,
    ),
    row(
        "memory.model_states",
        Unit::BYTES,
        "weights, gradients and optimizer of the whole model, on all devices together",
        TRAINING,
    ),
    row(
        "memory.device_states",
        Unit::BYTES,
        "model states that are on the devices: without those that are offloaded",
        TRAINING,
    ),
    row("memory.host", Unit::BYTES, "model states that are offloaded to the hosts' memory", TRAINING),
    row("memory.rule_of_thumb", Unit::BYTES, "bytes per parameter of the recipe, times N", TRAINING),
    row("memory.training_to_inference", Unit::NONE, "model states over 16-bit weights", TRAINING),
    row("memory.activations", Unit::BYTES, "what passes keep for backward passes, at the peak", CLUSTER),
    row("memory.logits", Unit::BYTES, "logits and what the loss makes of them, at the peak", CLUSTER),
    row(
        "memory.buffers",
        Unit::BYTES,
        "gathered weights, reductions and the optimizer's work space, at the peak",
        CLUSTER,
    ),
    row("memory.reserve", Unit::BYTES, "context, libraries and allocator of a device", CLUSTER),
    row("memory.device.weights", Unit::BYTES, "weights of the device with the peak", CLUSTER),
    row("memory.device.gradients", Unit::BYTES, "gradients of the device with the peak", CLUSTER),
    row("memory.device.optimizer", Unit::BYTES, "optimizer of the device with the peak", CLUSTER),
    row("memory.per_device", Unit::BYTES, "the peak of one device: of all stages, at its instant", CLUSTER),
    text("memory.peak_at", "the stage and the instant of the peak", CLUSTER),
    row("memory.stage.*", Unit::BYTES, "peak of the first, a middle or the last stage", CLUSTER),
    row("memory.at.*", Unit::BYTES, "memory of the device with the peak, at an instant of the step", CLUSTER),
    share("memory.device_share", "the peak over the memory of a device", FITS),
    row("memory.host_per_node", Unit::BYTES, "what the devices of one host keep in its memory", CLUSTER),
    row("data.unique_tokens", Unit::TOKENS, "distinct tokens of all sources, after their stages", SOURCES),
    row("data.epochs", Unit::NONE, "tokens consumed over distinct tokens", SOURCES),
    row("data.*.unique", Unit::TOKENS, "distinct tokens of a source, after its stages", SOURCES),
    row("data.*.tokens", Unit::TOKENS, "tokens that the run takes from a source", SOURCES),
    row("data.*.epochs", Unit::NONE, "how often the run sees a source", SOURCES),
    row(
        "hardware.peak",
        Unit::FLOP_PER_SECOND,
        "dense peak of all devices at the training precision",
        &["hardware", "training"],
    ),
    row("hardware.memory", Unit::BYTES, "device memory of all devices", &["hardware", "device.memory"]),
    row("training.tokens", Unit::TOKENS, "D: tokens that training consumes", RUN),
    row("training.flops", Unit::FLOP, "all forward and backward passes, exactly counted", RUN),
    row("training.rule_of_thumb", Unit::FLOP, "6ND", RUN),
    row(
        "training.tokens_per_step",
        Unit::TOKENS,
        "tokens that one optimizer step consumes",
        &["training", "training.global_batch"],
    ),
    row("training.steps", Unit::NONE, "optimizer steps, the last one begun counted", STEPS),
    row(
        "training.micro_batches",
        Unit::NONE,
        "micro-batches that each replica processes in one step",
        &["training", "hardware", "training.global_batch", "training.micro_batch"],
    ),
    row(
        "training.replicas",
        Unit::NONE,
        "model replicas: the data-parallel degree",
        &["training", "hardware"],
    ),
    row("training.hardware_flops", Unit::FLOP, "FLOPs of the run with what is recomputed", RUN),
    share("training.hfu", "hardware FLOPs utilisation: the MFU, with what is recomputed counted", RATE),
    row(
        "training.step_time.compute",
        Unit::TIME,
        "products and pointwise work of a step, on the slowest stage",
        CLUSTER,
    ),
    row("training.step_time.recompute", Unit::TIME, "forward passes that run again", CLUSTER),
    row("training.step_time.bubble", Unit::TIME, "waiting for the pipeline to fill and to drain", CLUSTER),
    row(
        "training.step_time.exposed_communication.*",
        Unit::TIME,
        "communication of one form of parallelism that nothing hides",
        CLUSTER,
    ),
    row("training.step_time.optimizer", Unit::TIME, "the update of weights", CLUSTER),
    row(
        "training.step_time.offload",
        Unit::TIME,
        "transfers to and from the host that nothing hides",
        CLUSTER,
    ),
    row("training.step_time.loading", Unit::TIME, "waiting for data", CLUSTER),
    row("training.step_time.modelled", Unit::TIME, "one step, modelled: the sum of its parts", CLUSTER),
    share("training.modelled_mfu", "model FLOPs utilisation of the modelled step", CLUSTER),
    row("training.time", Unit::TIME, "time at `training.mfu`, without interruptions", TIME),
    row(
        "training.step_time",
        Unit::TIME,
        "time of one optimizer step at `training.mfu`",
        &["training", "hardware", "training.mfu", "training.global_batch"],
    ),
    row(
        "training.tokens_per_second",
        Unit::TOKENS_PER_SECOND,
        "throughput of all devices at `training.mfu`",
        &["training", "hardware", "training.mfu"],
    ),
    row(
        "training.checkpoint_size",
        Unit::BYTES,
        "one checkpoint: weights and optimizer, without gradients",
        DEVICES,
    ),
    row("training.checkpoint_time", Unit::TIME, "time in which a checkpoint is written", DEVICES),
    row("training.cluster_mtbf", Unit::TIME, "mean time between failures of all devices together", DEVICES),
    row(
        "training.checkpoint_interval",
        Unit::TIME,
        "computation between two checkpoints that loses the least time",
        DEVICES,
    ),
    share("training.goodput", "share of the time that is computation which is kept", DEVICES),
    share("training.lost.checkpoints", "share of the time that checkpoints are written in", DEVICES),
    share("training.lost.rework", "share of the time that failures undo", DEVICES),
    share("training.lost.restarts", "share of the time that restarts take", DEVICES),
    share("training.lost.stragglers", "share of the time that the slowest device costs", DEVICES),
    row("training.calendar_time", Unit::TIME, "time with checkpoints, failures and restarts", TIME),
    row("training.failures", Unit::NONE, "failures to expect in the calendar time", TIME),
    row("training.device_hours", DEVICE_TIME, "devices × calendar time", TIME),
    row(
        "training.storage_cost",
        Unit::MONEY,
        "kept checkpoints, for the calendar time, at the price of storage",
        STORAGE,
    ),
    row("training.cost", Unit::MONEY, "device-hours × price, and storage where it has a price", COST),
    row(
        "training.energy",
        JOULES,
        "what the site draws in the calendar time: devices, hosts, cooling",
        ENERGY,
    ),
    row("training.carbon", CARBON, "CO2 equivalent of the energy", ENERGY),
];

const fn row(
    path: &'static str,
    unit: Unit,
    meaning: &'static str,
    needs: &'static [&'static str],
) -> Derived {
    Derived { path, unit: Some(unit), percent: false, meaning, needs }
}

/// A plain number that is shown in percent.
const fn share(path: &'static str, meaning: &'static str, needs: &'static [&'static str]) -> Derived {
    Derived { path, unit: Some(Unit::NONE), percent: true, meaning, needs }
}

const fn text(path: &'static str, meaning: &'static str, needs: &'static [&'static str]) -> Derived {
    Derived { path, unit: None, percent: false, meaning, needs }
}
