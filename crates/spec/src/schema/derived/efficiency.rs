//! Quantities of `efficiency`, of what data takes, and of the recipe.

use super::{COST, DEVICE_TIME, Derived, RUN, SOURCES, row, share};
use crate::units::Unit;

const GAINS: &[&str] = &["gain"];
const GAINS_RUN: &[&str] = &["gain", "training", "data"];
const GAINS_TIME: &[&str] = &["gain", "training", "data", "hardware", "training.mfu"];
const YEAR: &[&str] = &["training", "training.recipe_year"];
const RATE_DECLARED: &[&str] = &["training", "data", "training.learning_rate"];
const BATCH: &[&str] = &["training", "data", "training.global_batch"];
const MICRO: &[&str] = &["training", "data", "training.micro_batch"];
const WARMUP: &[&str] = &["training", "data", "training.warmup"];
const COOLDOWN: &[&str] = &["training", "data", "training.cooldown"];
const MTP: &[&str] = &["training", "data", "model.mtp.depth"];
const SWEEP: &[&str] = &["training", "training.sweep.runs"];
const SWEEP_RUN: &[&str] = &["training", "data", "training.sweep.runs"];
const SWEEP_COST: &[&str] =
    &["training", "data", "hardware", "training.mfu", "hardware.price", "training.sweep.runs"];
const TEACHER: &[&str] = &["training", "data", "training.distillation.teacher_params"];

/// In the order of the reference.
pub(super) static ROWS: &[Derived] = &[
    row("data.pipeline.core_hours", Unit::TIME, "time of one core that all sources take", SOURCES),
    row("data.pipeline.flops", Unit::FLOP, "FLOPs of the models that score all sources", SOURCES),
    share("data.pipeline.flops_share", "these over the FLOPs of the run", SOURCES),
    row("data.pipeline.cost", Unit::MONEY, "cores, and scores at the run's cost per FLOP", SOURCES),
    row("data.cost", Unit::MONEY, "the data itself and its pipeline", SOURCES),
    share("data.cost_share", "cost of data over the cost of the run", COST),
    share("data.*.kept", "share of a source that its stages keep", SOURCES),
    row("data.*.core_hours", Unit::TIME, "time of one core that a source takes to process", SOURCES),
    row("data.*.flops", Unit::FLOP, "FLOPs of the model that scores a source", SOURCES),
    row("data.*.cost", Unit::MONEY, "a source itself, its processing and its scores", SOURCES),
    row("efficiency.peak", Unit::FLOP_PER_SECOND, "dense peak of one device", GAINS_TIME),
    row("efficiency.hours", DEVICE_TIME, "devices × calendar time", GAINS_TIME),
    share("efficiency.mfu", "share of the peak that is model FLOPs", GAINS_TIME),
    share("efficiency.goodput", "share of the time that is computation which is kept", GAINS_TIME),
    row("efficiency.gain.*", Unit::NONE, "a declared gain: compute without it over compute with it", GAINS),
    row("efficiency.gains", Unit::NONE, "all declared gains, multiplied", GAINS),
    row(
        "efficiency.effective_compute",
        Unit::FLOP,
        "peak × device-hours × MFU × goodput × gains: what the compute is worth",
        GAINS_RUN,
    ),
    row("efficiency.loss", Unit::NONE, "loss by the plan's law with all gains, in nats per token", GAINS_RUN),
    row(
        "efficiency.algorithmic_progress",
        Unit::NONE,
        "compute that a recipe of the base year takes over one of the recipe's year; counted nowhere",
        YEAR,
    ),
    row("recipe.compute", Unit::FLOP, "non-embedding FLOPs per token × D, as DeepSeek counts", RUN),
    row("recipe.learning_rate.step_law", Unit::NONE, "1.79 N^-.713 D^.307", RUN),
    row("recipe.learning_rate.deepseek", Unit::NONE, "0.3118 C^-.125", RUN),
    row("recipe.learning_rate", Unit::NONE, "the geometric middle of what two laws recommend", RUN),
    row(
        "recipe.learning_rate.miss",
        Unit::NONE,
        "the declared learning rate over the nearest that is recommended",
        RATE_DECLARED,
    ),
    share("recipe.learning_rate.loss_share", "loss that the miss adds", RATE_DECLARED),
    row(
        "recipe.learning_rate.compute",
        Unit::NONE,
        "compute that makes up for the miss, over the run's",
        RATE_DECLARED,
    ),
    row("recipe.batch.step_law", Unit::TOKENS, "0.58 D^.571", RUN),
    row("recipe.batch.deepseek", Unit::TOKENS, "0.2920 C^.3271", RUN),
    row("recipe.batch", Unit::TOKENS, "the geometric middle of what two laws recommend", RUN),
    row("recipe.batch.miss", Unit::NONE, "tokens of a step over the nearest that are recommended", BATCH),
    share("recipe.batch.loss_share", "loss that the miss adds at the same tokens", BATCH),
    row("recipe.batch.compute", Unit::NONE, "compute that makes up for the miss, over the run's", BATCH),
    row("recipe.critical_batch", Unit::TOKENS, "the batch that takes 20% more tokens than the least", RUN),
    row(
        "recipe.critical_batch.kaplan",
        Unit::TOKENS,
        "2e8 / L^4.76: the batch that takes twice the least",
        RUN,
    ),
    share("recipe.batch.extra_tokens_share", "tokens beyond the least, for the batch", BATCH),
    share("recipe.batch.extra_steps_share", "steps beyond the least, for the batch", BATCH),
    row("recipe.data_parallel", Unit::NONE, "replicas beyond which the batch is critical", MICRO),
    share("recipe.warmup_share", "share of the run in which the learning rate rises", WARMUP),
    row(
        "recipe.cooldown_tokens",
        Unit::TOKENS,
        "tokens over which the learning rate falls at the end",
        COOLDOWN,
    ),
    share("recipe.mtp_share", "share of training FLOPs in multi-token prediction", MTP),
    row("training.sweep.flops", Unit::FLOP, "FLOPs of the study before the run", SWEEP),
    share("training.sweep.share", "these over the FLOPs of the run", SWEEP_RUN),
    row("training.sweep.cost", Unit::MONEY, "the study at the run's cost per FLOP", SWEEP_COST),
    row("training.distillation.flops", Unit::FLOP, "forward passes of the teacher", TEACHER),
    row("training.distillation.storage", Unit::BYTES, "logits of the teacher that are kept", TEACHER),
    share("training.distillation.share", "FLOPs of the teacher over those of the run", TEACHER),
    row("training.distillation.total", Unit::FLOP, "FLOPs of the run and of its teacher", TEACHER),
];
