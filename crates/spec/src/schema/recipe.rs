//! The recipe in the `training` block: learning rate and schedule, losses, and the study before the run.

use super::blocks::{attribute, count, flag};
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::{Noun, Unit};

pub(super) const LEARNING_RATE: Attribute = Attribute {
    aliases: &["lr", "max_lr", "peak_lr", "max_learning_rate"],
    ..attribute(
        "learning_rate",
        Type::Factor(0.0),
        Default::Absent("`recipe.learning_rate` says what laws recommend"),
        "The highest learning rate.",
    )
};

pub(super) const SCHEDULE: Attribute = Attribute {
    aliases: &["lr_schedule", "lr_scheduler", "lr_scheduler_type", "lr_decay_style"],
    quiet: true,
    ..attribute(
        "learning_rate_schedule",
        Type::Choice(&[
            ("cosine", "down a half-wave to the end of the run (Loshchilov 2017)"),
            ("wsd", "warm-up, stable, decay: constant, with a cool-down at the end (Hu 2024)"),
            ("linear", "down a straight line to the end of the run"),
            ("constant", "it stays"),
        ]),
        Default::Value("cosine", "what the laws of scaling were fitted with"),
        "How the learning rate goes on from its highest.",
    )
};

pub(super) const WARMUP: Attribute = Attribute {
    aliases: &["warmup_tokens", "lr_warmup"],
    ..count(
        "warmup",
        Some(Noun::Tokens),
        1,
        Default::Absent("no warm-up is reported"),
        "Tokens over which the learning rate rises; a share of the run is `round(0.01 * data.tokens)`.",
    )
};

pub(super) const COOLDOWN: Attribute = Attribute {
    aliases: &["decay_share", "decay_fraction", "cooldown_fraction"],
    quiet: true,
    ..attribute(
        "cooldown",
        Type::Share { positive: true },
        Default::ByWord(
            "learning_rate_schedule",
            &[(&["wsd"], "20%", "as good as cosine from there on (Hägele 2024)")],
        ),
        "Share of the run over which the learning rate falls at the end.",
    )
};

pub(super) const Z_LOSS: Attribute = Attribute {
    aliases: &["zloss", "z_loss_weight", "logit_regularization"],
    quiet: true,
    ..flag(
        "z_loss",
        Default::Value("false", "the loss is cross-entropy alone"),
        "Whether the square of log-sum-exp is added to the loss (Chowdhery 2022 §5). It adds no matrix product and no memory.",
    )
};

pub(super) const RECIPE_YEAR: Attribute = count(
    "recipe_year",
    None,
    1950,
    Default::Absent("no progress of recipes is reported"),
    "The year that the recipe is of: how much compute better recipes save is reported beside the plan, and never counted.",
);

pub(super) const RECIPE_BASE: Attribute = count(
    "recipe_base",
    None,
    1950,
    Default::Absent("2022, the year of the runs that the default law was fitted to (Hoffmann 2022)"),
    "The year that `recipe_year` is compared with.",
);

pub(super) const RECIPE_DOUBLING: Attribute = attribute(
    "recipe_doubling",
    Type::Amount(Unit::TIME),
    Default::Absent("8 months, 2 to 22 (Ho 2024)"),
    "The time in which the compute for the same result halves, by better recipes; 8 months are `243.5 days`.",
);

pub(super) const DISTILLATION: BlockSchema = BlockSchema {
    kind: "distillation",
    doc: "A larger model whose outputs are learned in place of, or beside, the next token (Hinton 2015).",
    naming: Naming::Never,
    presence: Presence::Declared,
    attributes: &[
        Attribute {
            aliases: &["teacher", "teacher_size"],
            ..count(
                "teacher_params",
                Some(Noun::Params),
                1,
                Default::Required,
                "Parameters that a token passes through in the teacher.",
            )
        },
        attribute(
            "logits",
            Type::Choice(&[
                ("online", "the teacher runs with every step"),
                ("cached", "it runs once over the distinct tokens, and its highest logits are kept"),
            ]),
            Default::Value("online", "nothing is kept"),
            "When the teacher runs.",
        ),
        Attribute {
            aliases: &["k", "topk"],
            ..count(
                "top_k",
                None,
                1,
                Default::Value("50", "a small share of the vocabulary has nearly all of the probability"),
                "Logits of a token that are kept where they are `cached`: 2 bytes for each, and 4 for its place.",
            )
        },
    ],
    blocks: &[],
    aliases: &["teacher", "distill"],
};

pub(super) const SWEEP: BlockSchema = BlockSchema {
    kind: "sweep",
    doc: "Smaller runs before this one, by which the recipe or a law is found: what the study costs.",
    naming: Naming::Never,
    presence: Presence::Declared,
    attributes: &[
        count("runs", None, 1, Default::Required, "Settings that are tried: sizes, learning rates, batches."),
        count(
            "params",
            Some(Noun::Params),
            1,
            Default::Required,
            "Parameters of each; where sizes differ, their mean.",
        ),
        count("tokens", Some(Noun::Tokens), 1, Default::Required, "The most tokens of each."),
        count(
            "points",
            None,
            1,
            Default::Value("1", "the loss is read at the end"),
            "Numbers of tokens at which each has its loss read, equally spaced up to the most. With a schedule that needs \
             to know its end each is a run of its own; with `wsd` they share one.",
        ),
    ],
    blocks: &[],
    aliases: &["scaling_study", "ladder", "pilot"],
};
