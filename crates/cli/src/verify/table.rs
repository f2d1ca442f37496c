//! The names of tensors in checkpoints of Hugging Face, and what they may be in a plan: data, and nothing else.

/// What models are wrapped in.
pub(super) const PREFIXES: [&str; 13] = [
    "model.language_model.",
    "language_model.model.",
    "language_model.",
    "model.decoder.",
    "transformer.encoder.",
    "biogpt.",
    "model.model.",
    "model.",
    "transformer.",
    "gpt_neox.",
    "decoder.",
    "backbone.",
    "",
];

/// What lists of layers are called.
pub(super) const LAYERS: [&str; 3] = ["layers", "h", "blocks"];

/// Names within a part of a layer, which different models call differently.
pub(super) struct Part {
    /// The names of the part; empty where its modules stand in the layer itself.
    pub(super) containers: &'static [&'static str],
    pub(super) rules: &'static [Rule],
}

/// Names of a module, and what it may be. A target is an operator, whose tensor is the name's own `weight` or `bias`, or
/// an operator with a tensor behind a colon.
pub(super) type Rule = (&'static [&'static str], &'static [&'static [&'static str]]);

pub(super) const OUTER: Part = Part {
    containers: &[""],
    rules: &[
        (
            &[
                "embed_tokens",
                "wte",
                "embed_in",
                "word_embeddings",
                "embeddings",
                "tok_embeddings",
                "tokens_embed",
                "embedding.word_embeddings",
                "embedding",
            ],
            &[&["embedding"]],
        ),
        (&["wpe", "embed_positions", "position_embeddings", "positions_embed"], &[&["position"]]),
        (&["word_embeddings_layernorm", "embed_norm", "embedding_norm"], &[&["embedding.norm"]]),
        (&["project_in"], &[&["embedding.in"]]),
        (&["project_out"], &[&["embedding.out"]]),
        (
            &[
                "norm",
                "ln_f",
                "norm_f",
                "final_layer_norm",
                "final_layernorm",
                "final_norm",
                "layer_norm",
                "embedding_norm",
            ],
            &[&["final_norm"]],
        ),
        (
            &["lm_head", "embed_out", "output", "output_layer", "output_projection"],
            &[&["logits"], &["embedding"]],
        ),
    ],
};

pub(super) const MODULE: Part = Part {
    containers: &[""],
    rules: &[
        (&["enorm", "pre_fc_norm_embedding", "token_layernorm"], &[&["mtp.embedding_norm"]]),
        (&["hnorm", "pre_fc_norm_hidden", "hidden_layernorm"], &[&["mtp.stream_norm"]]),
        (&["eh_proj", "fc", "input_proj"], &[&["mtp.projection"]]),
        (&["shared_head.norm", "norm", "final_layernorm"], &[&["mtp.norm"]]),
        (&["embed_tokens"], &[&["embedding"]]),
        (&["shared_head.head"], &[&["logits"], &["embedding"]]),
    ],
};

const NORMS: Part = Part {
    containers: &[""],
    rules: &[
        (
            &[
                "input_layernorm",
                "ln_1",
                "norm_1",
                "norm_attn_norm.norm_1",
                "ln_attn",
                "attention_norm",
                "attention_layernorm",
                "attention_layer_norm",
                "self_attn_layer_norm",
                "norm",
            ],
            &[&["mixer.norm"], &["ffn.norm"]],
        ),
        (&["post_attention_layernorm"], &[&["mixer.post_norm"], &["ffn.norm"]]),
        (&["post_self_attn_layernorm", "post_attention_norm", "post_norm1"], &[&["mixer.post_norm"]]),
        (
            &[
                "pre_feedforward_layernorm",
                "pre_ff_layernorm",
                "pre_mlp_layernorm",
                "ln_2",
                "norm_2",
                "norm_attn_norm.norm_2",
                "ln_mlp",
                "ffn_norm",
                "feedforward_layernorm",
                "feedforward_layer_norm",
                "final_layer_norm",
            ],
            &[&["ffn.norm"]],
        ),
        (&["post_feedforward_layernorm", "post_mlp_layernorm", "post_norm2"], &[&["ffn.post_norm"]]),
    ],
};

pub(super) const ATTENTION: Part = Part {
    containers: &[
        "self_attn",
        "attn.attention",
        "attn",
        "attention",
        "self_attention",
        "norm_attn_norm.attn",
        "mixer",
    ],
    rules: &[
        // Qwen3-Next has its output gate in the query projection.
        (&["q_proj", "wq"], &[&["attention.q", "attention.gate"], &["attention.q"]]),
        (&["k_proj", "wk"], &[&["attention.k"]]),
        (&["v_proj", "wv"], &[&["attention.v"]]),
        (
            &["c_attn", "query_key_value", "Wqkv", "qkv_proj", "qkv", "wqkv", "W_pack"],
            &[&["attention.q", "attention.k", "attention.v"]],
        ),
        (&["kv_proj"], &[&["attention.k", "attention.v"]]),
        (&["o_proj", "out_proj", "c_proj", "dense", "wo"], &[&["attention.output"]]),
        (&["gate_proj", "g_proj", "output_gate"], &[&["attention.gate"]]),
        (
            &["q_norm", "q_layernorm", "query_layernorm", "q_ln", "q_layernorm.norms.*", "q_a_layernorm"],
            &[&["attention.q_norm"]],
        ),
        (
            &["k_norm", "k_layernorm", "key_layernorm", "k_ln", "k_layernorm.norms.*"],
            &[&["attention.k_norm"]],
        ),
        (&["q_a_proj"], &[&["attention.q_down"]]),
        (&["q_b_proj"], &[&["attention.q_up"]]),
        (&["kv_a_proj_with_mqa"], &[&["attention.kv_down", "attention.k_rope"]]),
        (&["kv_a_layernorm"], &[&["attention.kv_norm"]]),
        (&["kv_b_proj"], &[&["attention.k_up", "attention.v_up"]]),
        (&["sinks"], &[&["attention.softmax:sinks"]]),
    ],
};

const RECURRENT: Part = Part {
    containers: &["mixer", "mamba", "linear_attn"],
    rules: &[
        (&["in_proj"], &[&["mamba2.z", "mamba2.xbc", "mamba2.dt"]]),
        (&["in_proj_qkvz"], &[&["gated_delta.qkv", "gated_delta.z"]]),
        (&["in_proj_qkv", "q_proj", "k_proj", "v_proj"], &[&["gated_delta.qkv"]]),
        (&["in_proj_z", "g_proj"], &[&["gated_delta.z"]]),
        (&["in_proj_ba", "in_proj_b", "in_proj_a", "b_proj", "a_proj"], &[&["gated_delta.ba"]]),
        (&["conv1d"], &[&["mamba2.conv"], &["gated_delta.conv"]]),
        (&["q_conv1d", "k_conv1d", "v_conv1d"], &[&["gated_delta.conv"]]),
        (&["norm"], &[&["mamba2.norm"], &["gated_delta.norm"]]),
        (&["o_norm"], &[&["gated_delta.norm"]]),
        (&["out_proj"], &[&["mamba2.output"], &["gated_delta.output"]]),
        (&["o_proj"], &[&["gated_delta.output"]]),
        (&["A_log"], &[&["mamba2.scan:a_log"], &["gated_delta.rule:a_log"]]),
        (&["dt_bias"], &[&["mamba2.scan:dt_bias"], &["gated_delta.rule:dt_bias"]]),
        (&["D"], &[&["mamba2.scan:d"]]),
    ],
};

const FFN: Part = Part {
    containers: &["mlp", "ffn", "feed_forward", "mixer", "shared_mlp", ""],
    rules: &[
        (&["up_proj", "c_fc", "fc_in", "fc1", "w3"], &[&["ffn.up"]]),
        // ChatGLM has its gate in it.
        (&["dense_h_to_4h"], &[&["ffn.gate", "ffn.up"], &["ffn.up"]]),
        (&["gate_proj", "w1"], &[&["ffn.gate"]]),
        // The first Qwen calls its two projections in `w1` and `w2`, and that back `c_proj`.
        (&["w2"], &[&["ffn.down"], &["ffn.up"]]),
        (&["down_proj", "c_proj", "fc_out", "fc2", "dense_4h_to_h"], &[&["ffn.down"]]),
        (&["act_fn.alpha_p", "act_fn.alpha_n"], &[&["ffn.activation:alpha"]]),
        (&["gate_up_proj"], &[&["ffn.gate", "ffn.up"]]),
        // Granite's hybrids call shared experts so, with experts beside them or without.
        (&["input_linear"], &[&["moe.shared_gate", "moe.shared_up"], &["ffn.gate", "ffn.up"]]),
        (&["output_linear"], &[&["moe.shared_down"], &["ffn.down"]]),
    ],
};

const EXPERTS: Part = Part {
    containers: &["mlp", "ffn", "feed_forward", "block_sparse_moe", "moe", "mixer"],
    rules: &[
        (&["gate", "router", "router.layer", "router.gate", "gate.wg"], &[&["moe.router"]]),
        (&["gate.e_score_correction_bias", "e_score_correction_bias"], &[&["moe.router:correction_bias"]]),
        // ERNIE and AFMoE train it.
        (
            &["moe_statics.e_score_correction_bias", "expert_bias"],
            &[&["moe.router:correction_bias"], &["moe.router:bias"]],
        ),
        (&["experts.*.up_proj", "experts.*.w3", "experts.up_proj", "experts.mlp.v1"], &[&["moe.up"]]),
        (&["experts.*.gate_proj", "experts.*.w1", "experts.gate_proj", "experts.mlp.w1"], &[&["moe.gate"]]),
        (
            &[
                "experts.*.down_proj",
                "experts.*.w2",
                "experts.down_proj",
                "experts.mlp.w2",
                "experts.fc2",
                "output_linear",
            ],
            &[&["moe.down"]],
        ),
        (
            &["experts.gate_up_proj", "experts.*.gate_up_proj", "experts.fc1", "input_linear"],
            &[&["moe.gate", "moe.up"]],
        ),
        (&["shared_expert_gate"], &[&["moe.shared_weight"]]),
    ],
};

const SHARED: Part = Part {
    containers: &[
        "mlp.shared_experts",
        "mlp.shared_expert",
        "mlp.shared_mlp",
        "feed_forward.shared_expert",
        "block_sparse_moe.shared_experts",
        "mixer.shared_experts",
    ],
    rules: &[
        (&["up_proj"], &[&["moe.shared_up"]]),
        (&["gate_proj"], &[&["moe.shared_gate"]]),
        (&["down_proj"], &[&["moe.shared_down"]]),
        (&["gate_up_proj"], &[&["moe.shared_gate", "moe.shared_up"]]),
    ],
};

pub(super) const LAYER: [&Part; 6] = [&NORMS, &ATTENTION, &RECURRENT, &FFN, &EXPERTS, &SHARED];

/// Masks, tables of rotations and constants; with `*`, in every part of a layer that attends.
pub(super) const BUFFERS: [&str; 10] = [
    "*.bias",
    "*.masked_bias",
    "*.rotary_emb.inv_freq",
    "*.embed_positions",
    "rotary_emb.inv_freq",
    "rotary_pos_emb.inv_freq",
    "position_ids",
    "embed_positions.position_ids",
    "mlp.act_fn.beta",
    "mlp.act_fn.eps",
];

/// What quantisation adds beside the weights (fp8, GPTQ, AWQ, compressed-tensors, bitsandbytes, MXFP4).
pub(super) const COMPANIONS: [&str; 20] = [
    "weight_scale_inv",
    "weight_scale",
    "weight_scale_2",
    "input_scale",
    "activation_scale",
    "k_scale",
    "v_scale",
    "scales",
    "qzeros",
    "g_idx",
    "weight_zero_point",
    "weight_shape",
    "weight_g_idx",
    "SCB",
    "weight_format",
    "absmax",
    "quant_map",
    "nested_absmax",
    "nested_quant_map",
    "quant_state",
];

/// Names of weights that are packed by a number of bits which only a configuration tells.
pub(super) const PACKED: [&str; 2] = ["qweight", "weight_packed"];

/// Modules that only multi-token prediction has.
pub(super) const ONLY_IN_MODULES: [&str; 4] =
    ["enorm.weight", "hnorm.weight", "eh_proj.weight", "shared_head.norm.weight"];
