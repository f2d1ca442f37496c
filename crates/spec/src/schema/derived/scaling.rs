//! Quantities of `scaling`, and what repeated data is worth.

use super::{Derived, row, share};
use crate::units::Unit;

const DATA: &[&str] = &["data"];
const SOURCES: &[&str] = &["data", "data.source"];
const BYTES: &[&str] = &["data", "law.bytes_per_token"];
const RANGE: &[&str] = &["data", "law.compute_high"];

/// In the order of the reference.
pub(super) static ROWS: &[Derived] = &[
    row("data.effective_tokens", Unit::TOKENS, "D_eff: distinct tokens that would teach as much", SOURCES),
    row("data.*.effective_tokens", Unit::TOKENS, "distinct tokens that would teach as much", SOURCES),
    share("data.*.marginal_worth", "worth of the last token taken, of a distinct one", SOURCES),
    row(
        "scaling.params",
        Unit::PARAMS,
        "N as the plan's law counts it; of experts, those that are active",
        DATA,
    ),
    row("scaling.effective_tokens", Unit::TOKENS, "D of the law: repeated tokens count for less", DATA),
    share("scaling.repetition_worth", "worth of a token on average, of a distinct one", SOURCES),
    row("scaling.repeats", Unit::NONE, "tokens taken over those of them that are distinct, less 1", SOURCES),
    row(
        "scaling.best_params_for_unique",
        Unit::PARAMS,
        "parameters that the distinct tokens are best used with",
        SOURCES,
    ),
    row("scaling.effective_params", Unit::PARAMS, "N of the law where data is repeated", SOURCES),
    row("scaling.compute", Unit::FLOP, "C = 6ND, as laws count compute", DATA),
    row(
        "scaling.extrapolation",
        Unit::NONE,
        "compute over the most that the law was fitted to; 1 within",
        RANGE,
    ),
    row("scaling.loss", Unit::NONE, "loss of the plan by its law, in nats per token", DATA),
    row("scaling.bits_per_byte", Unit::NONE, "that loss in bits per byte of text", BYTES),
    share(
        "scaling.error.*",
        "share of a task that is answered wrongly, by the law's fit of it",
        &["data", "law.task"],
    ),
    row("scaling.optimal_params", Unit::PARAMS, "N*: parameters of the lowest loss at this compute", DATA),
    row("scaling.optimal_tokens", Unit::TOKENS, "D*: tokens of the lowest loss at this compute", DATA),
    row("scaling.optimal_loss", Unit::NONE, "L*: the lowest loss at this compute, in nats per token", DATA),
    row("scaling.tokens_per_param", Unit::NONE, "D/N of the plan", DATA),
    row("scaling.optimal_tokens_per_param", Unit::NONE, "D*/N* at this compute", DATA),
    row("scaling.overtraining", Unit::NONE, "tokens per parameter over the optimum's at this compute", DATA),
    row("scaling.equal_loss_compute", Unit::FLOP, "the least compute that reaches this loss", DATA),
    share(
        "scaling.compute_waste",
        "compute beyond the least that reaches this loss, as a share of that",
        DATA,
    ),
    row(
        "scaling.band.optimal_params",
        Unit::PARAMS,
        "N* by the plan's law; its interval is from the lowest to the highest law",
        DATA,
    ),
    row("scaling.*.params", Unit::PARAMS, "N as a law counts it", DATA),
    row("scaling.*.compute", Unit::FLOP, "6ND with that N", DATA),
    row(
        "scaling.*.loss",
        Unit::NONE,
        "loss of the plan by a law, in nats per token of its own tokenizer",
        DATA,
    ),
    row("scaling.*.bits_per_byte", Unit::NONE, "that loss in bits per byte of text", DATA),
    row("scaling.*.optimal_params", Unit::PARAMS, "N* by a law, counted as the plan's own law does", DATA),
    row("scaling.*.optimal_tokens", Unit::TOKENS, "D* by a law", DATA),
    row("scaling.*.optimal_loss", Unit::NONE, "L* by a law, in nats per token of its own tokenizer", DATA),
    row("scaling.*.optimal_tokens_per_param", Unit::NONE, "D*/N* by a law", DATA),
    share("scaling.*.compute_waste", "compute beyond the least for this loss, by a law", DATA),
];
