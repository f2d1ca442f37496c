//! The `inference` block: how the model is served.

use super::blocks::{attribute, count};
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::{Noun, Unit};

const STORED: &[(&str, &str)] = &[
    ("fp32", "32 bits"),
    ("bf16", "16 bits, fp16 too"),
    ("fp8", "8-bit floating point"),
    ("int8", "8-bit integers"),
    ("int6", "6-bit integers"),
    ("int4", "4-bit integers"),
    ("fp4", "4-bit floating point"),
    ("int3", "3-bit integers"),
];

const MULTIPLIED: &[(&str, &str)] = &[
    ("fp32", "32 bits"),
    ("bf16", "16 bits: bf16, or fp16 where the device has no bf16"),
    ("fp8", "8-bit floating point"),
    ("int8", "8-bit integers"),
    ("fp4", "4-bit floating point"),
];

/// The block.
pub(super) const INFERENCE: BlockSchema = BlockSchema {
    kind: "inference",
    doc: "How the model is served.",
    naming: Naming::Optional,
    presence: Presence::Always,
    attributes: &[
        attribute(
            "device",
            Type::Reference("device"),
            Default::Absent("the hardware's"),
            "The device that it is served on, by name.",
        ),
        Attribute {
            aliases: &["tensor_parallel", "tp", "devices"],
            ..count("tensor", None, 1, Default::Value("1", "one device"), "Devices of one replica.")
        },
        Attribute {
            aliases: &["precision", "quantization", "dtype"],
            ..attribute(
                "weights",
                Type::Choice(STORED),
                Default::Value("bf16", "as trained"),
                "How weights are stored.",
            )
        },
        Attribute {
            aliases: &["kv", "kv_precision", "kv_cache_dtype"],
            ..attribute(
                "kv_cache",
                Type::Choice(STORED),
                Default::Value("bf16", "not quantized"),
                "How keys and values are stored.",
            )
        },
        Attribute {
            aliases: &["group_size", "quantization_block"],
            ..count(
                "group",
                None,
                1,
                Default::Value("64", "0.25 bits of a value; GPTQ and AWQ use 32 to 128"),
                "Values that share one 16-bit scale, where numbers of fewer than 8 bits are stored.",
            )
        },
        Attribute {
            aliases: &["compute_dtype", "activations"],
            ..attribute(
                "matmul",
                Type::Choice(MULTIPLIED),
                Default::ByWord(
                    "weights",
                    &[
                        (&["fp32"], "fp32", "as the weights"),
                        (&["fp8"], "fp8", "as the weights"),
                        (&["fp4"], "fp4", "as the weights"),
                        (
                            &["bf16", "int8", "int6", "int4", "int3"],
                            "bf16",
                            "integers are expanded to 16 bits before they are multiplied",
                        ),
                    ],
                ),
                "Data type of products.",
            )
        },
        Attribute {
            aliases: &["max_num_seqs", "concurrency", "batch_size"],
            ..attribute(
                "batch",
                Type::CountOr(Some(Noun::Sequences), "auto"),
                Default::Value("auto", "as many as fit"),
                "Sequences that one replica decodes together.",
            )
        },
        Attribute {
            aliases: &["input", "prompt_tokens", "input_tokens"],
            ..count(
                "prompt",
                Some(Noun::Tokens),
                1,
                Default::Value("1024", "a chat with some history"),
                "Tokens of a prompt.",
            )
        },
        Attribute {
            aliases: &["answer", "output_tokens", "response"],
            ..count(
                "output",
                Some(Noun::Tokens),
                1,
                Default::Value("256", "a few paragraphs"),
                "Tokens of an answer.",
            )
        },
        Attribute {
            aliases: &["block_size", "page"],
            ..count(
                "block",
                Some(Noun::Tokens),
                1,
                Default::Value("16", "vLLM's block"),
                "Tokens of one block of the cache.",
            )
        },
        attribute(
            "reserve",
            Type::Amount(Unit::BYTES),
            Default::Value("2.25 GiB", "as `hardware.reserve`; working space of long prompts may take more"),
            "Memory of each device that context, libraries and working space take.",
        ),
        attribute(
            "price",
            Type::Amount(Unit::MONEY_PER_TIME),
            Default::Absent("`hardware.price`"),
            "Price of one device for a time.",
        ),
        attribute(
            "utilization",
            Type::Share { positive: true },
            Default::Value("100%", "replicas always have work"),
            "Share of the time in which replicas have work.",
        ),
        Attribute {
            aliases: &["lifetime_tokens", "lifetime", "served"],
            ..count(
                "demand",
                Some(Noun::Tokens),
                1,
                Default::Absent("no lifetime is planned"),
                "Tokens served over the model's lifetime, prompts and answers.",
            )
        },
    ],
    blocks: &[BlockSchema {
        kind: "speculative",
        doc: "A small model proposes tokens, which the model checks together (Leviathan 2023).",
        naming: Naming::Never,
        presence: Presence::Declared,
        attributes: &[
            count(
                "draft_params",
                Some(Noun::Params),
                1,
                Default::Required,
                "Parameters of the model that proposes.",
            ),
            count(
                "tokens",
                Some(Noun::Tokens),
                1,
                Default::Value("4", "as in Leviathan 2023"),
                "γ: tokens proposed at a time.",
            ),
            attribute(
                "acceptance",
                Type::Share { positive: false },
                Default::Required,
                "α: share of proposals that are accepted.",
            ),
        ],
        blocks: &[],
        aliases: &["draft", "speculation"],
    }],
    aliases: &["serve", "serving", "deployment"],
};
