//! The `model` block: the shape of a decoder.

use super::blocks::{attribute, count, flag};
use super::{Attribute, BlockSchema, Default, Naming, Type};
use crate::units::Noun;

/// The block and the blocks in it.
pub(super) const MODEL: BlockSchema = BlockSchema {
    kind: "model",
    doc: "The shape of a decoder-only Transformer.",
    naming: Naming::Optional,
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
            ..count("vocab", None, 1, Default::Required, "Rows of the embedding, padding included.")
        },
        Attribute {
            symbol: Some("P"),
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
                Default::Absent("learned positions need it, nothing else does"),
                "Longest sequence the model is made for; learned positions have this many rows.",
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
    ],
    blocks: &[
        BlockSchema {
            kind: "attention",
            doc: "The attention of each layer: multi-head, or grouped-query where `kv_heads` is smaller.",
            naming: Naming::Never,
            attributes: &[
                Attribute {
                    symbol: Some("a"),
                    aliases: &["num_attention_heads", "n_head", "n_heads", "num_heads"],
                    ..count("heads", None, 1, Default::Required, "Query heads.")
                },
                Attribute {
                    symbol: Some("k"),
                    aliases: &[
                        "num_key_value_heads",
                        "n_kv_heads",
                        "n_head_kv",
                        "num_kv_heads",
                        "num_query_groups",
                    ],
                    ..count(
                        "kv_heads",
                        None,
                        1,
                        Default::Value(
                            "model.attention.heads",
                            "multi-head attention: as many as query heads",
                        ),
                        "Key and value heads; must divide `heads`.",
                    )
                },
                Attribute {
                    symbol: Some("h"),
                    aliases: &["kv_channels", "d_head", "head_size", "d_kv"],
                    ..count(
                        "head_dim",
                        None,
                        1,
                        Default::Value("model.d_model / model.attention.heads", "`d_model` / `heads`"),
                        "Width of one head.",
                    )
                },
                Attribute {
                    aliases: &["position_embedding_type", "pos_emb", "positional_encoding", "positions"],
                    ..attribute(
                        "position",
                        Type::Choice(&[
                            ("rope", "rotary (Su 2021): no parameters"),
                            ("learned", "a table of `context` × `d_model`, added to the embedding"),
                            ("alibi", "linear biases on the scores (Press 2021): no parameters"),
                            ("none", "no positions"),
                        ]),
                        Default::Value("rope", "what decoders since 2022 use; it has no parameters"),
                        "How positions reach the model.",
                    )
                },
                Attribute {
                    aliases: &["attention_bias", "qkv_proj_bias", "bias"],
                    ..flag(
                        "qkv_bias",
                        Default::Value("false", "biases are small enough to ignore"),
                        "Whether the Q, K and V projections have biases.",
                    )
                },
                Attribute {
                    aliases: &["o_bias", "out_bias"],
                    ..flag(
                        "output_bias",
                        Default::Value("false", "biases are small enough to ignore"),
                        "Whether the output projection of attention has a bias.",
                    )
                },
            ],
            blocks: &[],
            aliases: &["attn", "self_attention"],
        },
        BlockSchema {
            kind: "ffn",
            doc: "The feed-forward network of each layer.",
            naming: Naming::Never,
            attributes: &[
                Attribute {
                    aliases: &["hidden_act", "activation", "activation_function", "act"],
                    ..attribute(
                        "kind",
                        Type::Choice(&[
                            ("gelu", "two projections with GELU between"),
                            ("relu", "two projections with ReLU between"),
                            ("swiglu", "three projections: SiLU(gate) × up (Shazeer 2020)"),
                            ("geglu", "three projections: GELU(gate) × up (Shazeer 2020)"),
                        ]),
                        Default::Value("gelu", "two projections, d → f → d"),
                        "Its non-linearity, and with it whether there is a gate.",
                    )
                },
                Attribute {
                    symbol: Some("f"),
                    aliases: &[
                        "intermediate_size",
                        "ffn_hidden_size",
                        "n_inner",
                        "ffn_dim",
                        "mlp_dim",
                        "hidden_dim",
                    ],
                    ..count(
                        "d_ff",
                        None,
                        1,
                        Default::ByKind(&[
                            (&["gelu", "relu"], "4 * model.d_model", "4·d"),
                            (
                                &["swiglu", "geglu"],
                                "256 * ceil(model.d_model / 96)",
                                "8/3·d, rounded up to a multiple of 256: as many parameters as 4·d without a gate (Shazeer 2020)",
                            ),
                        ]),
                        "Inner width.",
                    )
                },
                Attribute {
                    aliases: &["mlp_bias", "use_bias"],
                    ..flag(
                        "bias",
                        Default::Value("false", "biases are small enough to ignore"),
                        "Whether its projections have biases.",
                    )
                },
            ],
            blocks: &[],
            aliases: &["mlp", "feed_forward", "feedforward", "ff"],
        },
        BlockSchema {
            kind: "norm",
            doc: "The norms: two in each layer and one behind the last.",
            naming: Naming::Never,
            attributes: &[
                attribute(
                    "kind",
                    Type::Choice(&[
                        ("rmsnorm", "root mean square: d weights"),
                        ("layernorm", "mean and variance: d weights, and d biases with `bias`"),
                        ("none", "no norms"),
                    ]),
                    Default::Value("rmsnorm", "what decoders since 2022 use"),
                    "Which norm.",
                ),
                flag(
                    "bias",
                    Default::ByKind(&[
                        (&["layernorm"], "true", "LayerNorm as published has one (Ba 2016)"),
                        (&["rmsnorm", "none"], "false", "RMSNorm has none (Zhang 2019)"),
                    ]),
                    "Whether it has a bias; only `layernorm` can.",
                ),
            ],
            blocks: &[],
            aliases: &["normalization", "layer_norm", "layernorm", "rmsnorm"],
        },
    ],
    aliases: &["architecture", "network", "arch"],
};
