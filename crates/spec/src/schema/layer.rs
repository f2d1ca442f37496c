//! What a layer is made of: attention and other mixers, feed-forward networks, experts. The same blocks stand in
//! `model`, for every layer, and in `layer`, for some.

use super::blocks::{attribute, count, flag};
use super::recurrent::{GATED_DELTA, MAMBA2};
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::Noun;

/// The attributes of a layer as a whole.
pub(super) const WHOLE: [Attribute; 3] = [
    Attribute {
        aliases: &["layer_type", "block_type", "token_mixer"],
        quiet: true,
        ..attribute(
            "mixer",
            Type::Choice(&[
                ("attention", "softmax attention, as in `attention`"),
                ("mamba2", "a state-space layer, as in `mamba2` (Dao 2024)"),
                (
                    "gated_delta",
                    "linear attention with the gated delta rule, as in `gated_delta` (Yang 2024)",
                ),
                ("none", "nothing: the layer is a feed-forward network"),
            ]),
            Default::Value("attention", "a Transformer"),
            "What mixes the tokens of a sequence.",
        )
    },
    Attribute {
        aliases: &["mlp_type", "channel_mixer"],
        quiet: true,
        ..attribute(
            "feed_forward",
            Type::Choice(&[
                ("dense", "one network that every token passes, as in `ffn`"),
                ("moe", "experts of which each token passes a few, as in `moe`"),
                ("none", "nothing: the layer is a mixer"),
            ]),
            Default::IfBlock("moe", "moe", "dense", "experts where `moe` is declared"),
            "What follows the mixer.",
        )
    },
    Attribute {
        aliases: &["parallel_residual", "use_parallel_residual", "parallel_attn", "parallel"],
        quiet: true,
        ..attribute(
            "block",
            Type::Choice(&[
                ("sequential", "one after the other"),
                ("parallel", "side by side, from one norm (GPT-J, PaLM)"),
                ("parallel_two_norms", "side by side, each from a norm of its own (GPT-NeoX)"),
            ]),
            Default::Value("sequential", "the Transformer as published"),
            "How mixer and feed-forward network follow each other.",
        )
    },
];

pub(super) const ATTENTION: BlockSchema = BlockSchema {
    kind: "attention",
    doc: "Attention: multi-head, grouped-query where `kv_heads` is smaller, or from latents with `kind = mla`.",
    naming: Naming::Never,
    presence: Presence::Always,
    attributes: &[
        Attribute {
            aliases: &["attention_type", "attn_type"],
            quiet: true,
            ..attribute(
                "kind",
                Type::Choice(&[
                    ("gqa", "queries, keys and values are projected; multi-head where `kv_heads` is `heads`"),
                    ("mla", "queries, keys and values come from latents of low rank (DeepSeek-V2 §2.1)"),
                ]),
                Default::Value("gqa", "multi-head where `kv_heads` is `heads`"),
                "How queries, keys and values are made.",
            )
        },
        Attribute {
            symbol: Some("a"),
            aliases: &["num_attention_heads", "n_head", "n_heads", "num_heads"],
            ..count("heads", None, 1, Default::RequiredFor("mixer", "attention"), "Query heads.")
        },
        Attribute {
            symbol: Some("k"),
            aliases: &["num_key_value_heads", "n_kv_heads", "n_head_kv", "num_kv_heads", "num_query_groups"],
            ..count(
                "kv_heads",
                None,
                1,
                Default::Value("model.attention.heads", "multi-head attention: as many as query heads"),
                "Key and value heads; must divide `heads`.",
            )
        },
        Attribute {
            symbol: Some("h"),
            aliases: &["kv_channels", "d_head", "head_size", "d_kv", "qk_head_dim"],
            ..count(
                "head_dim",
                None,
                1,
                Default::ByWord(
                    "kind",
                    &[
                        (&["gqa"], "model.d_model / model.attention.heads", "`d_model` / `heads`"),
                        (
                            &["mla"],
                            "model.attention.nope_dim + model.attention.rope_dim",
                            "`nope_dim` + `rope_dim`",
                        ),
                    ],
                ),
                "Width of one query or key head.",
            )
        },
        Attribute {
            aliases: &["v_head_dim", "value_dim"],
            quiet: true,
            symbol: Some("h_v"),
            ..count(
                "v_dim",
                None,
                1,
                Default::ByWord(
                    "kind",
                    &[
                        (&["gqa"], "model.attention.head_dim", "as wide as a key head"),
                        (
                            &["mla"],
                            "model.attention.nope_dim",
                            "as wide as the part of a key that is not rotated",
                        ),
                    ],
                ),
                "Width of one value head.",
            )
        },
        Attribute {
            aliases: &["q_lora_rank"],
            symbol: Some("r_q"),
            ..count(
                "q_rank",
                None,
                1,
                Default::Absent("queries are projected directly"),
                "With `mla`: rank of the queries.",
            )
        },
        Attribute {
            aliases: &["kv_lora_rank"],
            symbol: Some("r"),
            ..count(
                "kv_rank",
                None,
                1,
                Default::RequiredFor("attention.kind", "mla"),
                "With `mla`: rank of keys and values, which is what is cached beside the rotated key.",
            )
        },
        Attribute {
            aliases: &["qk_nope_head_dim"],
            symbol: Some("h_n"),
            ..count(
                "nope_dim",
                None,
                1,
                Default::RequiredFor("attention.kind", "mla"),
                "With `mla`: values of a head that are not rotated.",
            )
        },
        Attribute {
            aliases: &["qk_rope_head_dim", "rotary_dim"],
            quiet: true,
            symbol: Some("h_r"),
            ..count(
                "rope_dim",
                None,
                1,
                Default::ByWord("kind", &[(&["gqa"], "model.attention.head_dim", "all of a head")]),
                "Values of a head that are rotated; `mla` needs it, and its heads share them.",
            )
        },
        Attribute {
            quiet: true,
            ..flag(
                "absorbed",
                Default::Value("false", "keys and values are expanded, as in training and prefill"),
                "With `mla`: whether up-projections are absorbed into queries and output, so that attention runs over latents.",
            )
        },
        Attribute {
            aliases: &["position_embedding_type", "pos_emb", "positional_encoding", "positions"],
            ..attribute(
                "position",
                Type::Choice(&[
                    ("rope", "rotary (Su 2021): no parameters"),
                    ("learned", "a table of `position_rows` × `d_model`, added to the embedding"),
                    ("alibi", "linear biases on the scores (Press 2021): no parameters"),
                    (
                        "relative",
                        "projected distances (Dai 2019 §3.3): d × heads·head_dim weights in each layer",
                    ),
                    ("none", "no positions"),
                ]),
                Default::Value("rope", "what decoders since 2022 use; it has no parameters"),
                "How positions reach the model.",
            )
        },
        Attribute {
            symbol: Some("w"),
            aliases: &["sliding_window", "window_size", "local_window"],
            quiet: true,
            ..attribute(
                "window",
                Type::CountOr(Some(Noun::Tokens), "none"),
                Default::Value("none", "every token before it is seen"),
                "Sliding window: a token sees itself and the `window` - 1 tokens before it.",
            )
        },
        Attribute {
            symbol: Some("c"),
            aliases: &["attention_chunk_size", "chunk_size"],
            quiet: true,
            ..attribute(
                "chunk",
                Type::CountOr(Some(Noun::Tokens), "none"),
                Default::Value("none", "every token before it is seen"),
                "Chunked attention: a token sees those before it in its own chunk of so many.",
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
            quiet: true,
            ..flag(
                "q_bias",
                Default::Value("model.attention.qkv_bias", "as `qkv_bias`"),
                "Whether the Q projection has a bias; with `mla` and `q_rank`, its down-projection.",
            )
        },
        Attribute {
            quiet: true,
            ..flag(
                "k_bias",
                Default::Value("model.attention.qkv_bias", "as `qkv_bias`"),
                "Whether the K projection has a bias; with `mla`, the down-projection of keys and values.",
            )
        },
        Attribute {
            quiet: true,
            ..flag(
                "v_bias",
                Default::Value("model.attention.qkv_bias", "as `qkv_bias`"),
                "Whether the V projection has a bias; `mla` has none.",
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
        Attribute {
            aliases: &["use_qk_norm", "qk_layernorm", "q_norm", "k_norm"],
            quiet: true,
            ..attribute(
                "qk_norm",
                Type::Choice(&[
                    ("none", "none"),
                    ("per_head", "each head, with weights that all heads share (Qwen3, Gemma 3)"),
                    ("per_head_distinct", "each head, with weights of its own (Command R+)"),
                    ("full", "all heads together (OLMo 2)"),
                    ("unweighted", "each head, without weights (Llama 4)"),
                ]),
                Default::Value("none", "most models have none"),
                "Norms of queries and keys before the scores, of the model's kind.",
            )
        },
        Attribute {
            quiet: true,
            ..flag(
                "qk_norm_bias",
                Default::Value("model.norm.bias", "as the other norms"),
                "Whether the norms of queries and keys have biases beside their weights.",
            )
        },
        Attribute {
            aliases: &["attention_sinks", "sink"],
            quiet: true,
            ..flag(
                "sinks",
                Default::Value("false", "softmax as published"),
                "Whether each query head has a learned logit that nothing is read from (gpt-oss).",
            )
        },
        Attribute {
            aliases: &["attention_output_gate", "attn_output_gate", "gate"],
            quiet: true,
            ..attribute(
                "output_gate",
                Type::Choice(&[
                    ("none", "none"),
                    ("full", "a value for each value of each head (Qwen3-Next)"),
                    ("per_head", "a value for each head"),
                ]),
                Default::Value("none", "most models have none"),
                "A sigmoid gate on the output of the heads, projected from the layer's input.",
            )
        },
        Attribute {
            quiet: true,
            ..flag(
                "gate_bias",
                Default::Value("false", "few models have one"),
                "Whether that gate has a bias.",
            )
        },
    ],
    blocks: &[],
    aliases: &["attn", "self_attention"],
};

/// The words of a feed-forward network's kind.
const FFN_KINDS: Type = Type::Choice(&[
    ("gelu", "two projections with GELU between"),
    ("relu", "two projections with ReLU between"),
    ("relu2", "two projections with ReLU² between (So 2021)"),
    ("silu", "two projections with SiLU between"),
    ("xielu", "two projections with xIELU between: two learned scalars (Huang 2024)"),
    ("swiglu", "three projections: SiLU(gate) × up (Shazeer 2020)"),
    ("geglu", "three projections: GELU(gate) × up (Shazeer 2020)"),
    ("reglu", "three projections: ReLU(gate) × up (Shazeer 2020)"),
]);

pub(super) const FFN: BlockSchema = BlockSchema {
    kind: "ffn",
    doc: "The feed-forward network of a layer.",
    naming: Naming::Never,
    presence: Presence::Always,
    attributes: &[
        Attribute {
            aliases: &["hidden_act", "activation", "activation_function", "act"],
            ..attribute(
                "kind",
                FFN_KINDS,
                Default::Value("gelu", "two projections, d → f → d"),
                "Its non-linearity, and with it whether there is a gate.",
            )
        },
        Attribute {
            symbol: Some("f"),
            aliases: &["intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", "mlp_dim", "hidden_dim"],
            ..count(
                "d_ff",
                None,
                1,
                Default::ByWord(
                    "kind",
                    &[
                        (&["gelu", "relu", "relu2", "silu", "xielu"], "4 * model.d_model", "4·d"),
                        (
                            &["swiglu", "geglu", "reglu"],
                            "256 * ceil(model.d_model / 96)",
                            "8/3·d, rounded up to a multiple of 256: as many parameters as 4·d without a gate (Shazeer 2020)",
                        ),
                    ],
                ),
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
        Attribute {
            quiet: true,
            ..flag(
                "up_bias",
                Default::Value("model.ffn.bias", "as `bias`"),
                "Whether the up-projection has a bias.",
            )
        },
        Attribute {
            quiet: true,
            ..flag("gate_bias", Default::Value("model.ffn.bias", "as `bias`"), "Whether the gate has a bias.")
        },
        Attribute {
            quiet: true,
            ..flag(
                "down_bias",
                Default::Value("model.ffn.bias", "as `bias`"),
                "Whether the down-projection has a bias.",
            )
        },
    ],
    blocks: &[],
    aliases: &["mlp", "feed_forward_network", "feedforward", "ff"],
};

pub(super) const MOE: BlockSchema = BlockSchema {
    kind: "moe",
    doc: "A mixture of experts: a router sends each token to a few of them; shared experts see every token.",
    naming: Naming::Never,
    presence: Presence::Declared,
    attributes: &[
        Attribute {
            symbol: Some("E"),
            aliases: &[
                "num_experts",
                "num_local_experts",
                "n_routed_experts",
                "moe_num_experts",
                "routed_experts",
            ],
            ..count("experts", None, 1, Default::Required, "Routed experts.")
        },
        Attribute {
            symbol: Some("K"),
            aliases: &["num_experts_per_tok", "top_k", "moe_topk", "moe_k", "topk", "active"],
            ..count(
                "experts_per_token",
                None,
                1,
                Default::Required,
                "Routed experts that each token passes; at most `experts`.",
            )
        },
        Attribute {
            symbol: Some("f_e"),
            aliases: &["moe_intermediate_size", "expert_d_ff", "moe_ffn_hidden_size", "intermediate_size"],
            ..count("d_ff", None, 1, Default::Required, "Inner width of one routed expert.")
        },
        Attribute {
            aliases: &["hidden_act", "activation"],
            quiet: true,
            ..attribute(
                "kind",
                FFN_KINDS,
                Default::Value("model.ffn.kind", "as the dense network"),
                "The non-linearity of every expert.",
            )
        },
        Attribute {
            quiet: true,
            ..flag(
                "bias",
                Default::Value("false", "few models have them: gpt-oss does"),
                "Whether the projections of routed experts have biases.",
            )
        },
        Attribute {
            quiet: true,
            ..flag(
                "router_bias",
                Default::Value("false", "few models have one: gpt-oss does"),
                "Whether the router has a trained bias of E values.",
            )
        },
        Attribute {
            aliases: &["e_score_correction_bias", "score_bias", "expert_bias"],
            quiet: true,
            ..flag(
                "correction_bias",
                Default::Value("false", "DeepSeek-V3 and its kin have one"),
                "Whether the router has a bias that is set by rule, not trained: stored, and no parameter.",
            )
        },
        Attribute {
            symbol: Some("S"),
            aliases: &["n_shared_experts", "num_shared_experts", "shared"],
            quiet: true,
            ..count(
                "shared_experts",
                None,
                0,
                Default::Value("0", "none"),
                "Experts that every token passes.",
            )
        },
        Attribute {
            symbol: Some("f_s"),
            aliases: &["shared_expert_intermediate_size", "shared_intermediate_size"],
            quiet: true,
            ..count(
                "shared_d_ff",
                None,
                1,
                Default::Value("model.moe.d_ff", "as a routed expert"),
                "Inner width of one shared expert.",
            )
        },
        Attribute {
            quiet: true,
            ..flag(
                "shared_bias",
                Default::Value("false", "few models have them"),
                "Whether the projections of shared experts have biases.",
            )
        },
        Attribute {
            quiet: true,
            ..flag(
                "shared_gate",
                Default::Value("false", "few models have one: Qwen1.5-MoE does"),
                "Whether a sigmoid gate of d weights weighs the shared experts.",
            )
        },
        Attribute {
            symbol: Some("capacity"),
            aliases: &["capacity_factor", "moe_capacity_factor", "expert_capacity"],
            ..attribute(
                "capacity",
                Type::Factor(0.0),
                Default::Absent("no token is dropped and no slot is empty"),
                "Slots of an expert over its mean load: tokens beyond are dropped, empty slots are computed (Lepikhin 2020).",
            )
        },
        Attribute {
            symbol: Some("imbalance"),
            aliases: &["load_imbalance", "imbalance_factor"],
            quiet: true,
            ..attribute(
                "imbalance",
                Type::Factor(1.0),
                Default::Value("1", "experts are loaded evenly"),
                "Load of the busiest expert over the mean.",
            )
        },
    ],
    blocks: &[],
    aliases: &["experts", "mixture_of_experts", "moe_config"],
};

pub(super) const LAYER: BlockSchema = BlockSchema {
    kind: "layer",
    doc: "What differs in some layers. Attributes that are left out are the model's; of two `layer` blocks that pick the \
          same layer, the later one wins.",
    naming: Naming::Keyed,
    presence: Presence::Declared,
    attributes: &[
        Attribute {
            aliases: &["layers", "which", "index", "indices"],
            ..attribute("at", Type::Layers, Default::Required, "Which layers; they are numbered from 0.")
        },
        WHOLE[0],
        WHOLE[1],
        WHOLE[2],
    ],
    blocks: &[ATTENTION, FFN, MOE, MAMBA2, GATED_DELTA],
    aliases: &["override", "layer_override"],
};
