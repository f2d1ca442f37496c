//! Quantities of `budget`.

use super::{Derived, row, share, text};
use crate::units::Unit;

const BUDGET: &[&str] = &["budget"];
const COMPUTE: &[&str] = &["budget.compute"];
const HOURS: &[&str] = &["budget.device_hours", "training", "hardware", "training.mfu"];
const COST: &[&str] = &["budget.cost", "training", "hardware", "training.mfu", "hardware.price"];
const TIME: &[&str] = &["budget.time", "training", "hardware", "training.mfu"];
const ENERGY: &[&str] = &["budget.energy", "training", "hardware", "training.mfu", "device.power"];
const EPOCHS: &[&str] = &["budget", "data", "data.source"];
const PLAN: &[&str] = &["budget", "data"];
const RANGE: &[&str] = &["budget", "law.compute_high"];
const SERVED: &[&str] = &["budget", "inference", "inference.demand"];

/// In the order of the reference.
pub(super) static ROWS: &[Derived] = &[
    row("budget.rate", Unit::FLOP_PER_SECOND, "FLOP of training in a second, interruptions included", HOURS),
    row("budget.allows.compute", Unit::FLOP, "FLOP of training that `compute` allows", COMPUTE),
    row("budget.allows.device_hours", Unit::FLOP, "FLOP of training that `device_hours` allow", HOURS),
    row("budget.allows.cost", Unit::FLOP, "FLOP of training that `cost` allows", COST),
    row("budget.allows.time", Unit::FLOP, "FLOP of training that `time` allows", TIME),
    row("budget.allows.energy", Unit::FLOP, "FLOP of training that `energy` allows", ENERGY),
    row("budget.flops", Unit::FLOP, "FLOP of training that the tightest limit allows", BUDGET),
    text("budget.limit", "the tightest limit", BUDGET),
    row(
        "budget.optimal_params",
        Unit::PARAMS,
        "N*: the parameters of the lowest loss, as the plan's law counts",
        BUDGET,
    ),
    row("budget.optimal_tokens", Unit::TOKENS, "D*: the tokens of the lowest loss, repeats counted", BUDGET),
    row("budget.tokens_per_param", Unit::NONE, "D*/N*", BUDGET),
    row("budget.epochs", Unit::NONE, "D* over the distinct tokens of all sources", EPOCHS),
    row("budget.loss", Unit::NONE, "the lowest loss, in nats per token", BUDGET),
    row(
        "budget.extrapolation",
        Unit::NONE,
        "compute over the most that the law was fitted to; 1 within",
        RANGE,
    ),
    share("budget.plan_share", "what the plan as declared uses of the budget", PLAN),
    row("budget.loss_of_plan", Unit::NONE, "loss of the plan as declared, in nats per token", PLAN),
    share("budget.waste", "share of the budget that the plan's loss would not need", PLAN),
    row("budget.lifetime.params", Unit::PARAMS, "N where the same FLOP are for training and serving", SERVED),
    row("budget.lifetime.tokens", Unit::TOKENS, "tokens of training for it", SERVED),
    row("budget.lifetime.loss", Unit::NONE, "its loss, in nats per token", SERVED),
];
