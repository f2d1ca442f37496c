//! The blocks and attributes of the language.

use super::alignment::ALIGNMENT;
use super::budget::{BUDGET, GAIN};
use super::data::DATA;
use super::device::DEVICE;
use super::generation::GENERATION;
use super::inference::INFERENCE;
use super::law::LAW;
use super::measurement::MEASUREMENT;
use super::model::MODEL;
use super::operation;
use super::training::TRAINING;
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::{Noun, Unit};

/// The blocks that stand at the top level, in the order of the reference. `require`, `prefer`, `import` and `let` are
/// statements of their own.
pub static BLOCKS: &[BlockSchema] = &[
    MODEL,
    DATA,
    DEVICE,
    GENERATION,
    MEASUREMENT,
    BlockSchema {
        kind: "hardware",
        doc: "A cluster of one kind of device.",
        naming: Naming::Optional,
        presence: Presence::Always,
        attributes: &[
            Attribute {
                aliases: &["gpu", "accelerator", "gpu_type", "chip"],
                ..attribute("device", Type::Reference("device"), Default::Required, "The device, by name.")
            },
            Attribute {
                aliases: &["num_nodes", "hosts", "n_nodes"],
                ..count(
                    "nodes",
                    None,
                    1,
                    Default::Value(
                        "ceil(hardware.devices / device.devices_per_node)",
                        "enough for the devices",
                    ),
                    "Number of hosts.",
                )
            },
            Attribute {
                aliases: &["gpus", "num_gpus", "n_gpus", "world_size", "chips", "count"],
                ..count(
                    "devices",
                    Some(Noun::Devices),
                    1,
                    Default::Value("hardware.nodes * device.devices_per_node", "nodes × devices per node"),
                    "Number of devices.",
                )
            },
            Attribute {
                aliases: &["cost", "price_per_hour", "gpu_price", "cost_per_gpu_hour"],
                ..attribute(
                    "price",
                    Type::Amount(Unit::MONEY_PER_TIME),
                    Default::Absent("the middle of the device's list prices, where it has any"),
                    "Price of one device for a time.",
                )
            },
            Attribute {
                aliases: &["as_of", "price_date"],
                ..attribute(
                    "price_as_of",
                    Type::Date,
                    Default::Absent("the age of the price is unknown"),
                    "The day on which the price was looked up.",
                )
            },
            Attribute {
                aliases: &["measurement", "benchmark", "validated"],
                ..attribute(
                    "measured",
                    Type::File("measurement"),
                    Default::Absent("`training.mfu` is declared or modelled"),
                    "A file with a `measurement` of the device: where `training.mfu` is not declared, it is what was \
                     achieved over the device's peak.",
                )
            },
            operation::RESERVE,
            operation::FRAGMENTATION,
            operation::MTBF,
            operation::RESTART,
            operation::STORAGE_BANDWIDTH,
            operation::CHECKPOINTS,
            operation::STORAGE_COST,
            operation::STRAGGLERS,
            operation::UTILIZATION,
            operation::HOST_POWER,
            operation::PUE,
            operation::CARBON_INTENSITY,
        ],
        blocks: &[],
        aliases: &["cluster", "compute", "gpus", "infrastructure"],
    },
    TRAINING,
    INFERENCE,
    ALIGNMENT,
    BUDGET,
    LAW,
    GAIN,
    BlockSchema {
        kind: "convention",
        doc: "What FLOPs, parameters and bytes are taken to mean. A multiply-add is always 2 FLOP.",
        naming: Naming::Never,
        presence: Presence::Always,
        attributes: &[
            attribute(
                "attention",
                Type::Choice(&[
                    ("full", "all T² scores (PaLM, nanoGPT, the 24Td² + 4T²d rule)"),
                    ("causal", "the T(T+1)/2 scores that a causal mask leaves (Megatron-LM since 2024)"),
                ]),
                Default::Value("full", "the rule 24Td² + 4T²d counts all scores"),
                "Which attention scores count as FLOPs.",
            ),
            attribute(
                "params",
                Type::Choice(&[
                    ("total", "all parameters (Hoffmann 2022)"),
                    ("non_embedding", "without embeddings, positions and output projection (Kaplan 2020)"),
                ]),
                Default::Value("total", "N of Hoffmann 2022"),
                "Which parameters N counts in 2N and 6ND.",
            ),
            attribute(
                "bytes",
                Type::Choice(&[
                    ("GB", "powers of ten: 1 GB is 10^9 bytes"),
                    ("GiB", "powers of two: 1 GiB is 2^30 bytes"),
                ]),
                Default::Value("GB", "what vendors' sheets use"),
                "How bytes are shown.",
            ),
            attribute(
                "flops",
                Type::Choice(&[
                    ("model", "those of the model, once forward and once backward: MFU"),
                    ("executed", "all that are executed, recomputation included: HFU"),
                ]),
                Default::Value("model", "MFU compares runs whatever they recompute (Chowdhery 2022 §4.1)"),
                "Which FLOPs `training.mfu` and the modelled one are of.",
            ),
        ],
        blocks: &[],
        aliases: &["conventions"],
    },
    BlockSchema {
        kind: "plan",
        doc: "Picks blocks and overrides single attributes by path: `training.parallelism.tensor = 8`.",
        naming: Naming::Required,
        presence: Presence::Always,
        attributes: &[
            reference("model", "The model, by name."),
            reference("data", "The data, by name."),
            reference("hardware", "The hardware, by name."),
            reference("training", "The training, by name."),
            reference("inference", "The serving, by name."),
            reference("alignment", "The alignment, by name."),
            reference("budget", "The budget, by name."),
            attribute(
                "law",
                Type::Reference("law"),
                Default::Absent("the file's own, where it has just one, else `chinchilla_refit`"),
                "The scaling law, by name.",
            ),
        ],
        blocks: &[],
        aliases: &["variant", "scenario", "experiment"],
    },
];

pub(super) const fn attribute(
    name: &'static str,
    ty: Type,
    default: Default,
    doc: &'static str,
) -> Attribute {
    Attribute { name, ty, default, doc, symbol: None, aliases: &[], inert: None, quiet: false }
}

pub(super) const fn count(
    name: &'static str,
    noun: Option<Noun>,
    min: u64,
    default: Default,
    doc: &'static str,
) -> Attribute {
    attribute(name, Type::Count { noun, min }, default, doc)
}

pub(super) const fn flag(name: &'static str, default: Default, doc: &'static str) -> Attribute {
    attribute(name, Type::Flag, default, doc)
}

const fn reference(kind: &'static str, doc: &'static str) -> Attribute {
    attribute(kind, Type::Reference(kind), Default::Absent("the file's own, where it has just one"), doc)
}
