//! Attributes of `hardware` that say how a cluster is run: what it loses, stores and draws.

use super::blocks::{attribute, count};
use super::{Attribute, Default, Type};
use crate::units::{Dimension, Unit};

const STORAGE_PRICE: Unit =
    Unit { dimension: Dimension { dollar: 1, byte: -1, second: -1, ..Dimension::NONE }, noun: None };
const CARBON: Unit = Unit { dimension: Dimension { carbon: 1, joule: -1, ..Dimension::NONE }, noun: None };

pub(super) const RESERVE: Attribute = Attribute {
    aliases: &["memory_reserve", "overhead", "headroom"],
    ..amount(
        "reserve",
        Unit::BYTES,
        "2.25 GiB",
        "1.25 GiB of context and kernels (Hugging Face, Model training anatomy: 1,343 MB), about 1 GiB of the communication library",
        "Memory of each device that context and libraries take.",
    )
};

pub(super) const FRAGMENTATION: Attribute = Attribute {
    aliases: &["allocator_overhead"],
    ..share(
        "fragmentation",
        false,
        "5%",
        "reserved over allocated memory of PyTorch's allocator is 1.03 to 1.1",
        "What the allocator holds beyond what is allocated, as a share of it.",
    )
};

pub(super) const MTBF: Attribute = Attribute {
    aliases: &["mean_time_between_failures", "failure_interval"],
    ..amount(
        "mtbf",
        Unit::TIME,
        "50_000 h",
        "419 unexpected interruptions in 54 days on 16,384 devices (Llama 3 §3.3.4)",
        "Mean time between failures of one device, with its share of hosts and network.",
    )
};

pub(super) const RESTART: Attribute = Attribute {
    aliases: &["restart_time", "recovery_time"],
    ..amount(
        "restart",
        Unit::TIME,
        "10 min",
        "finding the fault, starting again, reading the checkpoint",
        "From a failure to the next step.",
    )
};

pub(super) const STORAGE_BANDWIDTH: Attribute = Attribute {
    aliases: &["checkpoint_bandwidth", "write_bandwidth"],
    ..amount(
        "storage_bandwidth",
        Unit::BYTES_PER_SECOND,
        "2 GB/s * hardware.nodes",
        "2 GB/s of each host, as Llama 3's storage sustains (§3.3.1: 2 TB/s for 7,500 hosts' worth at most)",
        "Bandwidth at which all devices together write a checkpoint.",
    )
};

pub(super) const CHECKPOINTS: Attribute = Attribute {
    aliases: &["keep_checkpoints", "save_total_limit"],
    quiet: true,
    ..count(
        "checkpoints",
        None,
        0,
        Default::Value("10", "the last ones and some milestones"),
        "Checkpoints that are kept.",
    )
};

pub(super) const STORAGE_COST: Attribute = Attribute {
    aliases: &["storage_cost"],
    ..attribute(
        "storage_price",
        Type::Amount(STORAGE_PRICE),
        Default::Absent("storage is not part of the cost"),
        "Price of storage: `$0.02 / GB / (30 days)`.",
    )
};

pub(super) const STRAGGLERS: Attribute = Attribute {
    aliases: &["straggler_loss"],
    ..share(
        "stragglers",
        false,
        "0%",
        "fitted step times are of whole clusters already",
        "Share of the time that is spent waiting for the slowest device.",
    )
};

pub(super) const UTILIZATION: Attribute = Attribute {
    aliases: &["power_utilization"],
    ..share(
        "utilization",
        true,
        "100%",
        "what model cards count",
        "Share of a device's power that it draws on average.",
    )
};

pub(super) const HOST_POWER: Attribute = Attribute {
    aliases: &["server_overhead", "node_power_overhead"],
    ..attribute(
        "host_power",
        Type::Factor(1.0),
        Default::Value("1.0", "what model cards count: the devices alone"),
        "Power of a whole node over that of its devices.",
    )
};

pub(super) const PUE: Attribute = Attribute {
    aliases: &["power_usage_effectiveness"],
    ..attribute(
        "pue",
        Type::Factor(1.0),
        Default::Value("1.1", "large sites of 2024"),
        "Power usage effectiveness: power of the site over that of its nodes.",
    )
};

pub(super) const CARBON_INTENSITY: Attribute = Attribute {
    aliases: &["carbon_intensity", "grid"],
    ..attribute(
        "carbon",
        Type::Amount(CARBON),
        Default::Value(
            "0.42 kgCO2 / kWh",
            "eight Llama model cards imply 0.411 to 0.429, location-based, United States",
        ),
        "CO2 equivalent of a unit of energy.",
    )
};

const fn amount(
    name: &'static str,
    unit: Unit,
    value: &'static str,
    why: &'static str,
    doc: &'static str,
) -> Attribute {
    attribute(name, Type::Amount(unit), Default::Value(value, why), doc)
}

const fn share(
    name: &'static str,
    positive: bool,
    value: &'static str,
    why: &'static str,
    doc: &'static str,
) -> Attribute {
    attribute(name, Type::Share { positive }, Default::Value(value, why), doc)
}
