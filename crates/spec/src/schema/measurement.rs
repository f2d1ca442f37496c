//! The `measurement` block: what a plan cites, and `llmplan validate --write` saves.

use super::blocks::{attribute, count};
use super::training::PRECISIONS;
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::{Noun, Unit};

/// The block and the block in it.
pub(super) const MEASUREMENT: BlockSchema = BlockSchema {
    kind: "measurement",
    doc: "What was measured on one device while it trained; `llmplan validate --write FILE` saves one. It stands in a file \
          of its own, which a plan cites: `hardware { measured = \"FILE\" }`. There `achieved` and `precision` enter the \
          plan's numbers; the rest says what was measured. In paths it is `hardware.measured`.",
    naming: Naming::Optional,
    presence: Presence::Always,
    attributes: &[
        Attribute {
            aliases: &["machine", "gpu", "accelerator", "hardware"],
            ..attribute("device", Type::Text, Default::Required, "The machine, in words.")
        },
        Attribute {
            aliases: &["dtype", "data_type"],
            ..attribute(
                "precision",
                Type::Choice(PRECISIONS),
                Default::Required,
                "Data type of the weights; the plan's `training.precision` must be the same.",
            )
        },
        Attribute {
            aliases: &["date", "day", "measured"],
            ..attribute("taken", Type::Date, Default::Required, "The day of the run.")
        },
        attribute("model", Type::Text, Default::Required, "What ran, in words."),
        Attribute {
            aliases: &["tokens_per_step", "batch_tokens"],
            ..count("tokens", Some(Noun::Tokens), 1, Default::Required, "Tokens that one step consumed.")
        },
        rate(
            "matmul_peak",
            "The best matrix product of the same run: what the device can reach, as against its data sheet.",
        ),
        rate("achieved", "Model FLOPs of a step over its wall time; recomputed FLOPs are not counted."),
        attribute(
            "memory_overhead",
            Type::Share { positive: false },
            Default::Absent("the allocator was not measured"),
            "Bytes that the allocator held beyond the payload, over the payload.",
        ),
        attribute(
            "peak_ratio",
            Type::Factor(0.0),
            Default::Absent("the peak was not measured"),
            "The measured peak of memory over the predicted one.",
        ),
    ],
    blocks: &[BlockSchema {
        kind: "class",
        doc: "Operators whose products have one shape. What the shares leave is the rest of the step.",
        naming: Naming::Keyed,
        presence: Presence::Declared,
        attributes: &[
            rate("rate", "FLOP/s while they ran."),
            attribute(
                "share",
                Type::Share { positive: false },
                Default::Required,
                "Share of the step's wall time.",
            ),
        ],
        blocks: &[],
        aliases: &["operator", "shape"],
    }],
    aliases: &["benchmark", "measured", "validation"],
};

const fn rate(name: &'static str, doc: &'static str) -> Attribute {
    attribute(name, Type::Amount(Unit::FLOP_PER_SECOND), Default::Required, doc)
}
