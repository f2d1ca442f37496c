//! Quantities of `alignment`. The segment `*` is the name of a stage.

use super::{Derived, row, share, text};
use crate::units::Unit;

const STAGE: &[&str] = &["alignment"];
const DEVICES: &[&str] = &["alignment", "hardware"];
const PRICED: &[&str] = &["alignment", "hardware", "hardware.price"];
const SIGNAL: &[&str] = &["alignment", "alignment.*.pass_rate"];
const MARKET: &[&str] = &["alignment", "hardware", "hardware.price", "alignment.*.buy_price"];
const WORTH: &[&str] =
    &["alignment", "hardware", "hardware.price", "alignment.*.worth", "data", "data.source"];

/// In the order of the reference.
pub(super) static ROWS: &[Derived] = &[
    row(
        "alignment.*.sequence.forward",
        Unit::FLOP,
        "the policy, forward over one prompt and its answer",
        STAGE,
    ),
    row("alignment.*.sequence.backward", Unit::FLOP, "the policy, backward over the same", STAGE),
    row("alignment.*.forward_per_token", Unit::FLOP, "the policy's forward pass, per token", STAGE),
    row("alignment.*.training_per_token", Unit::FLOP, "its forward and backward pass, per token", STAGE),
    row("alignment.*.rollouts", Unit::NONE, "samples that are generated, in all passes", STAGE),
    row("alignment.*.rollout_tokens", Unit::TOKENS, "tokens of all samples, their prompts included", STAGE),
    row("alignment.*.generated_tokens", Unit::TOKENS, "tokens that are decoded", STAGE),
    share("alignment.*.pass_at_k", "share of prompts that at least one of their samples solves", SIGNAL),
    share("alignment.*.usable_share", "share of groups whose samples are not all right or all wrong", SIGNAL),
    row("alignment.*.kept_samples", Unit::NONE, "samples, examples or pairs that teach something", STAGE),
    row("alignment.*.tokens", Unit::TOKENS, "tokens that are trained on, repeats counted", STAGE),
    row("alignment.*.flops.generation", Unit::FLOP, "reading prompts and decoding answers", STAGE),
    row(
        "alignment.*.flops.old_logprobs",
        Unit::FLOP,
        "log-probabilities under the policy that sampled",
        STAGE,
    ),
    row("alignment.*.flops.reference", Unit::FLOP, "log-probabilities under the reference", STAGE),
    row("alignment.*.flops.reward", Unit::FLOP, "scores of the reward model", STAGE),
    row("alignment.*.flops.judge", Unit::FLOP, "verdicts of a judge that runs on these devices", STAGE),
    row("alignment.*.flops.critic", Unit::FLOP, "the critic's values, and its training", STAGE),
    row("alignment.*.flops.teacher", Unit::FLOP, "the teacher's forward passes", STAGE),
    row("alignment.*.flops.training", Unit::FLOP, "forward and backward passes of what is trained", STAGE),
    row("alignment.*.flops", Unit::FLOP, "FLOPs of the stage: the sum of its parts", STAGE),
    share("alignment.*.generation_flops_share", "share of the FLOPs that generation has", STAGE),
    row("alignment.*.logits_size", Unit::BYTES, "the teacher's largest logits and their places", STAGE),
    row(
        "alignment.*.memory.policy",
        Unit::BYTES,
        "weights, gradients and optimizer of what is trained",
        STAGE,
    ),
    row("alignment.*.memory.critic", Unit::BYTES, "the same of the critic", STAGE),
    row("alignment.*.memory.reference", Unit::BYTES, "weights of the reference", STAGE),
    row("alignment.*.memory.reward", Unit::BYTES, "weights of the reward model", STAGE),
    row("alignment.*.memory.judge", Unit::BYTES, "weights of the judge", STAGE),
    row("alignment.*.memory.teacher", Unit::BYTES, "weights of the teacher", STAGE),
    row("alignment.*.split.generation_devices", Unit::DEVICES, "devices that generate", DEVICES),
    row("alignment.*.split.training_devices", Unit::DEVICES, "devices that train", DEVICES),
    row(
        "alignment.*.memory.states",
        Unit::BYTES,
        "per device: all models of the training side, divided evenly",
        DEVICES,
    ),
    row("alignment.*.cache.whole", Unit::BYTES, "what a sequence has in the cache once it is whole", DEVICES),
    row("alignment.*.cache.half", Unit::BYTES, "the same when half of its answer is there", DEVICES),
    row("alignment.*.replica", Unit::DEVICES, "devices of one replica that generates", DEVICES),
    row("alignment.*.replicas", Unit::NONE, "replicas that generate", DEVICES),
    row(
        "alignment.*.memory.rollout_weights",
        Unit::BYTES,
        "per device: the copy of the weights that generates",
        DEVICES,
    ),
    row("alignment.*.decode_batch", Unit::NONE, "sequences that one replica decodes together", DEVICES),
    row(
        "alignment.*.memory.cache",
        Unit::BYTES,
        "per device: keys and values of these sequences once they are whole",
        DEVICES,
    ),
    row(
        "alignment.*.memory",
        Unit::BYTES,
        "per device: the most that is there at once, without activations",
        DEVICES,
    ),
    row(
        "alignment.*.decode_step",
        Unit::TIME,
        "time in which a replica decodes one token of each sequence",
        DEVICES,
    ),
    row(
        "alignment.*.tokens_per_second",
        Unit::TOKENS_PER_SECOND,
        "decoded by all replicas, without stragglers",
        DEVICES,
    ),
    row(
        "alignment.*.time.generation",
        Unit::TIME,
        "reading prompts and decoding, stragglers included",
        DEVICES,
    ),
    row("alignment.*.time.verifier", Unit::TIME, "judging all samples", DEVICES),
    row("alignment.*.time.training", Unit::TIME, "training, and the forward passes that it needs", DEVICES),
    row("alignment.*.time", Unit::TIME, "time of the stage", DEVICES),
    share(
        "alignment.*.generation_share",
        "share of device time that generation has: what a split gives it",
        DEVICES,
    ),
    text("alignment.*.binds", "the part that takes longest", DEVICES),
    row("alignment.*.cost.devices", Unit::MONEY, "devices for the time", PRICED),
    row("alignment.*.cost.verifier", Unit::MONEY, "cores, people or a provider that judge", STAGE),
    row("alignment.*.cost.pairs", Unit::MONEY, "preference pairs that are bought", STAGE),
    row("alignment.*.cost", Unit::MONEY, "devices, verifier and pairs", PRICED),
    row("alignment.*.cost_per_kept_sample", Unit::MONEY, "cost over what teaches something", PRICED),
    row("alignment.*.wasted_cost", Unit::MONEY, "what groups without a signal cost", PRICED),
    row(
        "alignment.*.flops_per_kept_token",
        Unit::FLOP,
        "generating and judging, for each token that is kept",
        STAGE,
    ),
    row(
        "alignment.*.cost_per_million_tokens",
        Unit::MONEY,
        "generating and judging a million kept tokens",
        PRICED,
    ),
    row("alignment.*.cost_over_buying", Unit::NONE, "that, over what a million tokens cost to buy", MARKET),
    row("alignment.*.training_cost_per_million_tokens", Unit::MONEY, "training on a million tokens", PRICED),
    share("alignment.*.repeat_worth", "what a token of one more epoch is worth, in distinct ones", WORTH),
    row(
        "alignment.*.worth_over_repeating",
        Unit::NONE,
        "worth per dollar of kept tokens, over that of one more epoch",
        WORTH,
    ),
    row("alignment.flops", Unit::FLOP, "FLOPs of all stages", STAGE),
    row("alignment.time", Unit::TIME, "time of all stages, one after another", DEVICES),
    row("alignment.cost", Unit::MONEY, "cost of all stages", PRICED),
];
