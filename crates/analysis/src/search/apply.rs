//! A strategy put into a plan.

use llmplan_spec::plan::{Origin, Plan, Setting, SettingValue, Training};
use llmplan_spec::units::{Number, Quantity, Unit};

use crate::cluster::Strategy;

/// An attribute that a strategy decides, and what it sets it to.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The attribute's path: `training.parallelism.tensor`.
    pub path: &'static str,
    /// Its value.
    pub value: Choice,
}

/// A value of an attribute that a strategy decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A count.
    Count(u64),
    /// One of the attribute's words.
    Word(&'static str),
}

impl std::fmt::Display for Choice {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Choice::Count(count) => write!(to, "{count}"),
            Choice::Word(word) => to.write_str(word),
        }
    }
}

/// What a plan must say otherwise than it does, for a strategy to be its own; nothing for a plan without training or
/// hardware. `data = auto` stays where it comes to the strategy's replicas.
pub fn changes(plan: &Plan, strategy: &Strategy) -> Vec<Change> {
    let (Some(training), Some(hardware)) = (&plan.training, &plan.hardware) else { return Vec::new() };
    let own = &training.parallelism;
    let flag = |on: bool| Choice::Word(if on { "true" } else { "false" });
    let ranks = strategy.ranks();
    let devices = strategy.devices();
    let per_node = hardware.device.devices_per_node.max(1);
    let fleet = hardware.devices != devices;
    let by_node =
        plan.setting("hardware.nodes").is_some_and(|nodes| matches!(nodes.origin, Origin::Declared(_)));
    let by_device =
        plan.setting("hardware.devices").is_some_and(|own| matches!(own.origin, Origin::Declared(_)));
    let all = [
        ("hardware.devices", Choice::Count(devices), fleet && (by_device || !by_node)),
        ("hardware.nodes", Choice::Count(devices.div_ceil(per_node)), fleet && by_node),
        (
            "training.checkpointing",
            Choice::Word(strategy.checkpointing.word()),
            training.checkpointing != strategy.checkpointing,
        ),
        (
            "training.micro_batch",
            Choice::Count(strategy.micro_batch),
            training.micro_batch != Some(strategy.micro_batch),
        ),
        ("training.offload", Choice::Word(strategy.offload.word()), training.offload != strategy.offload),
        (
            "training.offload_activations",
            flag(strategy.offload_activations),
            training.offload_activations != strategy.offload_activations,
        ),
        ("training.parallelism.context", Choice::Count(strategy.context), own.context != strategy.context),
        (
            "training.parallelism.context_kind",
            Choice::Word(strategy.context_kind.word()),
            own.context_kind != strategy.context_kind,
        ),
        (
            "training.parallelism.data",
            Choice::Count(strategy.data),
            own.data.is_some_and(|data| data != strategy.data),
        ),
        ("training.parallelism.expert", Choice::Count(strategy.expert), own.expert != strategy.expert),
        (
            "training.parallelism.expert_tensor",
            Choice::Count(strategy.expert_tensor),
            own.expert_tensor != strategy.expert_tensor,
        ),
        (
            "training.parallelism.interleave",
            Choice::Count(strategy.interleave),
            own.interleave != strategy.interleave,
        ),
        (
            "training.parallelism.pipeline",
            Choice::Count(strategy.pipeline),
            own.pipeline != strategy.pipeline,
        ),
        (
            "training.parallelism.prefetch",
            Choice::Count(strategy.prefetch),
            own.prefetch != strategy.prefetch,
        ),
        (
            "training.parallelism.schedule",
            Choice::Word(strategy.schedule.word()),
            own.schedule != strategy.schedule,
        ),
        (
            "training.parallelism.sequence_parallel",
            flag(strategy.sequence_parallel),
            own.sequence_parallel != strategy.sequence_parallel,
        ),
        (
            "training.parallelism.shard",
            Choice::Count(strategy.shard),
            own.shard.unwrap_or(ranks).min(ranks) != strategy.shard,
        ),
        ("training.parallelism.tensor", Choice::Count(strategy.tensor), own.tensor != strategy.tensor),
        ("training.parallelism.zero", Choice::Count(strategy.zero), own.zero != strategy.zero),
    ];
    let differing = all.into_iter().filter(|(_, _, differs)| *differs);
    differing.map(|(path, value, _)| Change { path, value }).collect()
}

/// Puts a strategy into a plan, as if its text said so: what is set is taken to be declared where the plan is, unless it
/// was declared elsewhere. What the plan computes other attributes from these is not computed again.
pub fn apply(plan: &mut Plan, strategy: &Strategy) {
    let changes = changes(plan, strategy);
    if let Some(training) = &mut plan.training {
        put(training, strategy);
    }
    let fleet = plan.hardware.as_mut().filter(|hardware| hardware.devices != strategy.devices());
    if let Some(hardware) = fleet {
        let per_node = hardware.device.devices_per_node.max(1);
        let before = hardware.devices.div_ceil(per_node);
        hardware.devices = strategy.devices();
        let nodes = hardware.devices.div_ceil(per_node);
        // One of the two follows from the other.
        set(plan, "hardware.devices", Choice::Count(strategy.devices()), false);
        set(plan, "hardware.nodes", Choice::Count(nodes), false);
        storage(plan, before, nodes);
    }
    for change in changes {
        set(plan, change.path, change.value, true);
    }
}

fn put(training: &mut Training, strategy: &Strategy) {
    training.micro_batch = Some(strategy.micro_batch);
    training.checkpointing = strategy.checkpointing;
    training.offload = strategy.offload;
    training.offload_activations = strategy.offload_activations;
    let own = &mut training.parallelism;
    own.tensor = strategy.tensor;
    own.sequence_parallel = strategy.sequence_parallel;
    own.pipeline = strategy.pipeline;
    own.interleave = strategy.interleave;
    own.schedule = strategy.schedule;
    own.context = strategy.context;
    own.context_kind = strategy.context_kind;
    own.expert = strategy.expert;
    own.expert_tensor = strategy.expert_tensor;
    own.data = own.data.map(|_| strategy.data);
    own.zero = strategy.zero;
    let ranks = strategy.ranks();
    if own.shard.unwrap_or(ranks).min(ranks) != strategy.shard {
        own.shard = Some(strategy.shard);
    }
    own.prefetch = strategy.prefetch;
}

/// The default that follows from the number of nodes.
fn storage(plan: &mut Plan, before: u64, nodes: u64) {
    let path = "hardware.storage_bandwidth";
    let by_default = |own: &Setting| own.path == path && matches!(own.origin, Origin::Default(_));
    let (Some(setting), Some(hardware)) =
        (plan.settings.iter_mut().find(|own| by_default(own)), &mut plan.hardware)
    else {
        return;
    };
    let bandwidth = hardware.operation.storage_bandwidth / before.max(1) as f64 * nodes as f64;
    hardware.operation.storage_bandwidth = bandwidth;
    if let SettingValue::Quantity(own) = &mut setting.value {
        own.number = match own.number {
            Number::Int(_) => Number::Int(bandwidth as i128),
            Number::Real(_) => Number::Real(bandwidth),
        };
    }
}

/// Sets an attribute in the list of settings.
fn set(plan: &mut Plan, path: &str, value: Choice, declared: bool) {
    let unit = llmplan_spec::schema::declared(path).and_then(|attribute| attribute.ty.unit());
    let value = match value {
        Choice::Count(count) => SettingValue::Quantity(Quantity {
            number: Number::Int(i128::from(count)),
            unit: unit.unwrap_or(Unit::NONE),
        }),
        Choice::Word(word) => SettingValue::Text(word.to_owned()),
    };
    match plan.settings.binary_search_by(|setting| setting.path.as_str().cmp(path)) {
        Ok(at) => {
            let setting = &mut plan.settings[at];
            setting.value = value;
            if declared && matches!(setting.origin, Origin::Default(_)) {
                setting.origin = Origin::Declared(plan.span);
            }
        }
        Err(at) => {
            let origin = Origin::Declared(plan.span);
            plan.settings.insert(at, Setting { path: path.to_owned(), value, origin });
        }
    }
}
