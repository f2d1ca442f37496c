//! The `data` block: what the run consumes, and what it takes to make it ready.

use super::blocks::{attribute, count};
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::{Noun, Unit};

/// The block and the sources in it.
pub(super) const DATA: BlockSchema = BlockSchema {
    kind: "data",
    doc: "What the run consumes and where it comes from.",
    naming: Naming::Optional,
    presence: Presence::Always,
    attributes: &[
        Attribute {
            symbol: Some("D"),
            aliases: &["train_tokens", "num_tokens", "total_tokens", "n_tokens"],
            ..count(
                "tokens",
                Some(Noun::Tokens),
                1,
                Default::Required,
                "Tokens that training consumes, repeats counted.",
            )
        },
        Attribute {
            aliases: &["cpu_price", "price_per_core_hour", "core_cost"],
            ..attribute(
                "core_price",
                Type::Amount(Unit::MONEY_PER_TIME),
                Default::Absent("processing has no price"),
                "Price of one core for a time, for what sources take to process.",
            )
        },
    ],
    blocks: &[SOURCE],
    aliases: &["dataset", "corpus"],
};

const SOURCE: BlockSchema = BlockSchema {
    kind: "source",
    doc: "One source of tokens. Each attribute that is not in this table names a stage: `filter = keep 50%`, in order.",
    naming: Naming::Required,
    presence: Presence::Always,
    attributes: &[
        Attribute {
            aliases: &["size", "tokens", "total"],
            ..count(
                "raw",
                Some(Noun::Tokens),
                1,
                Default::Absent("`raw_bytes` over `bytes_per_token`; one of the two is needed"),
                "Tokens before the first stage.",
            )
        },
        Attribute {
            aliases: &["bytes", "raw_size", "text_bytes"],
            ..attribute(
                "raw_bytes",
                Type::Amount(Unit::BYTES),
                Default::Absent("`raw` is declared"),
                "Bytes of text before the first stage, in place of `raw`.",
            )
        },
        attribute(
            "bytes_per_token",
            Type::Amount(Unit::BYTES),
            Default::Absent("the source is counted in tokens alone"),
            "Bytes of text in a token: about 4 for English.",
        ),
        Attribute {
            aliases: &["ratio", "proportion", "share", "probability"],
            ..attribute(
                "weight",
                Type::Share { positive: false },
                Default::Required,
                "Share of the run's tokens that come from it; the weights of all sources sum to 100%.",
            )
        },
        Attribute {
            aliases: &["deduplication", "dedup_level"],
            ..attribute(
                "dedup_scope",
                Type::Choice(&[
                    ("dump", "each dump for itself: what several of them have counts as often"),
                    ("global", "all of the source"),
                    ("none", "duplicates were not looked for"),
                ]),
                Default::Absent("nothing is said of duplicates"),
                "Among what duplicates were looked for: it decides how far `unique` can be trusted.",
            )
        },
        Attribute {
            aliases: &["epochs", "max_repeats", "repeats"],
            ..attribute(
                "max_epochs",
                Type::Factor(0.0),
                Default::Absent("it may be seen any number of times"),
                "The most that the run may see it; a source that runs out before is an error.",
            )
        },
        Attribute {
            aliases: &["throughput", "rate_per_core"],
            ..attribute(
                "processing_rate",
                Type::Amount(Unit::BYTES_PER_SECOND),
                Default::Absent("processing takes no time that is counted"),
                "Bytes of raw text per second that one core puts through all stages.",
            )
        },
        Attribute {
            aliases: &["classifier", "scorer_params"],
            ..count(
                "classifier_params",
                Some(Noun::Params),
                1,
                Default::Absent("no model scores it"),
                "Parameters of a model that scores every raw token, at 2 FLOP each.",
            )
        },
        Attribute {
            aliases: &["cost", "license_fee"],
            ..attribute(
                "price",
                Type::Amount(Unit::MONEY),
                Default::Absent("the data itself has no price"),
                "Price of the data itself.",
            )
        },
    ],
    blocks: &[],
    aliases: &["dataset", "corpus"],
};
