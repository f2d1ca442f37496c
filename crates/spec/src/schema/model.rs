//! The `model` block: what a decoder is made of beside its layers.

use super::blocks::{attribute, count, flag};
use super::layer::{ATTENTION, FFN, LAYER, MOE, WHOLE};
use super::recurrent::{GATED_DELTA, MAMBA2};
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::Noun;

/// The block and the blocks in it.
pub(super) const MODEL: BlockSchema = BlockSchema {
    kind: "model",
    doc: "A decoder-only language model: what every layer is, and in `layer` blocks what differs in some.",
    naming: Naming::Optional,
    presence: Presence::Always,
    attributes: &[
        Attribute {
            symbol: Some("L"),
            aliases: &[
                "num_hidden_layers",
                "num_layers",
                "n_layer",
                "n_layers",
                "depth",
                "blocks",
                "n_blocks",
            ],
            ..count("layers", None, 1, Default::Required, "Number of layers.")
        },
        Attribute {
            symbol: Some("d"),
            aliases: &[
                "hidden_size",
                "n_embd",
                "dim",
                "hidden_dim",
                "emb_dim",
                "embed_dim",
                "width",
                "model_dim",
            ],
            ..count("d_model", None, 1, Default::Required, "Width of the residual stream.")
        },
        Attribute {
            symbol: Some("V"),
            aliases: &["vocab_size", "n_vocab", "padded_vocab_size", "vocabulary"],
            ..count(
                "vocab",
                None,
                1,
                Default::Required,
                "Rows of the embedding, padding included unless `vocab_multiple` adds it.",
            )
        },
        Attribute {
            aliases: &["make_vocab_size_divisible_by", "pad_vocab_size_multiple", "vocab_padding"],
            quiet: true,
            ..count(
                "vocab_multiple",
                None,
                1,
                Default::Value("1", "`vocab` has its padding already"),
                "The embedding's rows are `vocab` rounded up to a multiple of it.",
            )
        },
        Attribute {
            symbol: Some("C"),
            aliases: &[
                "max_position_embeddings",
                "n_positions",
                "n_ctx",
                "block_size",
                "context_length",
                "max_seq_len",
                "max_sequence_length",
            ],
            ..count(
                "context",
                Some(Noun::Tokens),
                1,
                Default::Absent(
                    "learned positions need it; without it FLOPs and the KV cache are those of the training sequence, else of 2048 tokens",
                ),
                "Longest sequence the model is made for; FLOPs are counted for it where `training.sequence` is left out.",
            )
        },
        Attribute {
            symbol: Some("P"),
            quiet: true,
            ..count(
                "position_rows",
                Some(Noun::Tokens),
                1,
                Default::Value("model.context", "a row for each token of the context"),
                "Rows of the table of learned positions; other positions have none.",
            )
        },
        Attribute {
            aliases: &["word_embed_proj_dim", "embedding_size", "embedding_dim"],
            quiet: true,
            symbol: Some("e"),
            ..count(
                "embedding_width",
                None,
                1,
                Default::Value("model.d_model", "as wide as the residual stream"),
                "Width of the token embedding; where it is not `d_model`, projections lead in and out.",
            )
        },
        Attribute {
            aliases: &["tie_word_embeddings", "tie_embeddings", "weight_tying", "tied"],
            ..flag(
                "tied_embeddings",
                Default::Value("false", "input and output embeddings are counted apart: 2·V·d"),
                "Whether the output projection is the embedding itself.",
            )
        },
        flag(
            "output_bias",
            Default::Value("false", "published decoders have none"),
            "Whether the output projection to the vocabulary has a bias.",
        ),
        WHOLE[0],
        WHOLE[1],
        WHOLE[2],
        attribute("source", Type::Text, Default::Absent("no source is named"), "Where the figures are from."),
    ],
    blocks: &[
        ATTENTION,
        FFN,
        MOE,
        MAMBA2,
        GATED_DELTA,
        BlockSchema {
            kind: "norm",
            doc: "The norms of the layers, behind the last of them, and behind the embedding.",
            naming: Naming::Never,
            presence: Presence::Always,
            attributes: &[
                attribute(
                    "kind",
                    Type::Choice(&[
                        ("rmsnorm", "root mean square"),
                        ("layernorm", "mean and variance"),
                        ("none", "no norms"),
                    ]),
                    Default::Value("rmsnorm", "what decoders since 2022 use"),
                    "Which norm.",
                ),
                Attribute {
                    quiet: true,
                    ..flag(
                        "weight",
                        Default::Value("true", "OLMo 1 has none"),
                        "Whether it has weights; without, it normalises and has no parameters.",
                    )
                },
                flag(
                    "bias",
                    Default::ByWord(
                        "kind",
                        &[
                            (
                                &["layernorm"],
                                "model.norm.weight",
                                "LayerNorm as published has one beside its weights (Ba 2016)",
                            ),
                            (&["rmsnorm", "none"], "false", "RMSNorm has none (Zhang 2019)"),
                        ],
                    ),
                    "Whether it has a bias; only `layernorm` can.",
                ),
                Attribute {
                    aliases: &["norm_position", "pre_norm", "post_norm"],
                    quiet: true,
                    ..attribute(
                        "placement",
                        Type::Choice(&[
                            ("pre", "on the input of mixer and feed-forward network"),
                            ("post", "on their output, before it is added (OLMo 2)"),
                            ("sandwich", "on both (Gemma 2)"),
                            ("post_residual", "on the stream, behind the addition (Vaswani 2017, OPT-350m)"),
                        ]),
                        Default::Value("pre", "what decoders since 2019 use"),
                        "Where in a layer they stand.",
                    )
                },
                Attribute {
                    aliases: &["embedding_norm", "word_embeddings_layernorm"],
                    quiet: true,
                    ..flag(
                        "embedding",
                        Default::Value("false", "few models have one: BLOOM does"),
                        "Whether there is one behind the embedding.",
                    )
                },
                Attribute {
                    aliases: &["final_norm", "final_layer_norm", "ln_f"],
                    quiet: true,
                    ..flag(
                        "final",
                        Default::Value("true", "pre-norm decoders have one"),
                        "Whether there is one before the output projection.",
                    )
                },
            ],
            blocks: &[],
            aliases: &["normalization", "layer_norm", "layernorm", "rmsnorm"],
        },
        BlockSchema {
            kind: "mtp",
            doc: "Multi-token prediction (DeepSeek-V3 §2.2): modules that are trained and not served. Each has two norms, a \
                  projection 2d → d, a layer like the last one and a norm; embedding and output are the model's.",
            naming: Naming::Never,
            presence: Presence::Declared,
            attributes: &[Attribute {
                aliases: &["num_nextn_predict_layers", "modules", "layers"],
                symbol: Some("M"),
                ..count(
                    "depth",
                    None,
                    1,
                    Default::Required,
                    "Number of modules: each predicts one token further.",
                )
            }],
            blocks: &[],
            aliases: &["multi_token_prediction", "nextn"],
        },
        LAYER,
    ],
    aliases: &["architecture", "network", "arch"],
};
