//! The `law` block: a scaling law with its constants, its range and where it is from.

use super::blocks::{attribute, count};
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::{Noun, Unit};

/// The block.
pub(super) const LAW: BlockSchema = BlockSchema {
    kind: "law",
    doc: "A scaling law. A plan's own is the one that it picks, the file's only one, or `chinchilla_refit`; reports have \
          the band over all of them.",
    naming: Naming::Required,
    presence: Presence::Always,
    attributes: &[
        attribute(
            "form",
            Type::Choice(&[
                ("parametric", "L = E + A/N^α + B/D^β (Hoffmann 2022 eq. 2)"),
                ("kaplan", "L = ((A/N)^(α/β) + B/D)^β (Kaplan 2020 eq. 1.5)"),
                ("allocation", "N* and D* as powers of compute, without a loss"),
            ]),
            Default::Value("parametric", "the form of Hoffmann 2022"),
            "What the law says.",
        ),
        constant("e", "E", "Loss that no model gets below, in nats per token."),
        constant("a", "A", "Numerator of the term of parameters; N_c in the form `kaplan`."),
        constant("b", "B", "Numerator of the term of tokens; D_c in the form `kaplan`."),
        constant("alpha", "α", "Exponent of parameters."),
        constant("beta", "β", "Exponent of tokens."),
        constant("n_coefficient", "", "N* at a compute of 1 FLOP."),
        constant("n_exponent", "", "Power of compute that N* grows with."),
        constant("d_coefficient", "", "D* at a compute of 1 FLOP."),
        constant("d_exponent", "", "Power of compute that D* grows with."),
        attribute(
            "params",
            Type::Choice(&[
                ("total", "all parameters (Hoffmann 2022)"),
                ("non_embedding", "without embeddings and output projection (Kaplan 2020)"),
                ("flops_per_token", "non-embedding FLOPs per token (DeepSeek LLM 2024 §3.2)"),
            ]),
            Default::Value("total", "what Hoffmann 2022 counts"),
            "What N counts.",
        ),
        attribute(
            "repeat_tokens",
            Type::Factor(0.0),
            Default::Value("15.387756", "182 runs (Muennighoff 2023 §5)"),
            "R*_D: epochs after which repeated tokens have lost 63% of their worth.",
        ),
        attribute(
            "repeat_params",
            Type::Factor(0.0),
            Default::Value("5.309743", "182 runs (Muennighoff 2023 §5)"),
            "R*_N: the same for parameters beyond what the distinct tokens are best used with.",
        ),
        attribute(
            "tokenizer",
            Type::Text,
            Default::Absent("losses are compared as they are"),
            "What its losses are counted in.",
        ),
        attribute(
            "bytes_per_token",
            Type::Amount(Unit::BYTES),
            Default::Absent("there are no bits per byte"),
            "Bytes of text in a token of that tokenizer.",
        ),
        bound("params_low", Noun::Params, "Fewest parameters of its runs."),
        bound("params_high", Noun::Params, "Most parameters of its runs."),
        bound("tokens_low", Noun::Tokens, "Fewest tokens of its runs."),
        bound("tokens_high", Noun::Tokens, "Most tokens of its runs."),
        attribute(
            "compute_low",
            Type::Amount(Unit::FLOP),
            Default::Absent("the range is unknown"),
            "Least compute of its runs.",
        ),
        attribute(
            "compute_high",
            Type::Amount(Unit::FLOP),
            Default::Absent("the range is unknown"),
            "Most compute of its runs.",
        ),
        attribute(
            "covariance",
            Type::Numbers,
            Default::Absent("there are no intervals"),
            "Lower triangle of the covariance of ln A, ln B, E, α, β, row by row: 15 numbers.",
        ),
        attribute("source", Type::Text, Default::Required, "Where it is from."),
    ],
    blocks: &[BlockSchema {
        kind: "task",
        doc: "Error on a set of tasks as a function of loss: error − scale · exp(−rate · L) (Gadre 2024 eq. 5). It holds for \
              the tokenizer and the corpus of the law.",
        naming: Naming::Keyed,
        presence: Presence::Declared,
        attributes: &[
            attribute(
                "error",
                Type::Share { positive: true },
                Default::Required,
                "Error of a model that knows nothing.",
            ),
            attribute("scale", Type::Factor(0.0), Default::Required, "Factor of the exponential."),
            attribute("rate", Type::Factor(0.0), Default::Required, "Rate of the exponential, per nat."),
            attribute("loss_low", Type::Factor(0.0), Default::Required, "Lowest loss of its runs."),
            attribute("loss_high", Type::Factor(0.0), Default::Required, "Highest loss of its runs."),
        ],
        blocks: &[],
        aliases: &["downstream", "benchmark"],
    }],
    aliases: &["scaling_law", "scaling"],
};

const fn constant(name: &'static str, symbol: &'static str, doc: &'static str) -> Attribute {
    let symbol = if symbol.is_empty() { None } else { Some(symbol) };
    Attribute {
        symbol,
        ..attribute(name, Type::Factor(0.0), Default::Absent("the form of the law has no such constant"), doc)
    }
}

const fn bound(name: &'static str, noun: Noun, doc: &'static str) -> Attribute {
    count(name, Some(noun), 1, Default::Absent("the range is unknown"), doc)
}
