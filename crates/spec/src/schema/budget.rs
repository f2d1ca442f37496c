//! The `budget` block, what there is to spend, and `gain` blocks, what a plan gets for nothing.

use super::blocks::attribute;
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::{Dimension, Noun, Unit};

const DEVICE_TIME: Unit = Unit { noun: Some(Noun::Devices), ..Unit::TIME };
const JOULES: Unit = Unit { dimension: Dimension::ENERGY, noun: None };

/// The block.
pub(super) const BUDGET: BlockSchema = BlockSchema {
    kind: "budget",
    doc: "What there is to spend on pretraining; where there are several limits, the tightest holds.",
    naming: Naming::Optional,
    presence: Presence::Always,
    attributes: &[
        limit("compute", Unit::FLOP, "FLOP of training."),
        limit("device_hours", DEVICE_TIME, "Devices × time, interruptions included."),
        limit("cost", Unit::MONEY, "Money."),
        limit("time", Unit::TIME, "Time from start to end, interruptions included."),
        limit("energy", JOULES, "Energy that the site draws."),
        Attribute {
            aliases: &["epochs"],
            ..attribute(
                "max_epochs",
                Type::Factor(1.0),
                Default::Value("16", "beyond it the law of repetition is not trusted (Muennighoff 2023)"),
                "The most often that the data is seen.",
            )
        },
    ],
    blocks: &[],
    aliases: &["compute_budget", "limits"],
};

/// The block of a gain.
pub(super) const GAIN: BlockSchema = BlockSchema {
    kind: "gain",
    doc: "A compute-equivalent gain: the same loss for less compute. Every gain of a file counts for its plans, and they are \
          multiplied.",
    naming: Naming::Required,
    presence: Presence::Always,
    attributes: &[
        attribute(
            "compute",
            Type::Factor(0.0),
            Default::Required,
            "Compute without it over compute with it: `1.2`.",
        ),
        attribute(
            "lever",
            Type::Choice(&[
                ("data", "quality or mixture of data"),
                ("architecture", "the model's architecture"),
                ("loss", "the loss function"),
                ("optimizer", "the optimizer"),
                ("learning_rate", "learning rate and its schedule"),
                ("precision", "data types"),
                ("other", "anything else"),
            ]),
            Default::Value("other", "not said"),
            "What it is a gain of.",
        ),
        attribute("source", Type::Text, Default::Required, "Where the figure is from."),
    ],
    blocks: &[],
    aliases: &["ceg", "efficiency_gain"],
};

const fn limit(name: &'static str, unit: Unit, doc: &'static str) -> Attribute {
    attribute(name, Type::Amount(unit), Default::Absent("no limit"), doc)
}
