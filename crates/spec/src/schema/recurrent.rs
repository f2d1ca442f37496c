//! Layers whose state does not grow with the sequence.

use super::blocks::{count, flag};
use super::{Attribute, BlockSchema, Default, Naming, Presence};

pub(super) const MAMBA2: BlockSchema = BlockSchema {
    kind: "mamba2",
    doc: "A state-space layer (Dao 2024 §7.1): its state does not grow with the sequence.",
    naming: Naming::Never,
    presence: Presence::Declared,
    attributes: &[
        Attribute {
            symbol: Some("i"),
            aliases: &["intermediate_size", "mamba_d_ssm", "d_ssm"],
            ..count(
                "d_inner",
                None,
                1,
                Default::Value("2 * model.d_model", "expansion by 2 (Dao 2024)"),
                "Width of all heads together.",
            )
        },
        Attribute {
            aliases: &["mamba_d_head", "mamba_head_dim", "headdim"],
            symbol: Some("p"),
            ..count(
                "head_dim",
                None,
                1,
                Default::Value("64", "as published (Dao 2024)"),
                "Width of one head; divides `d_inner`.",
            )
        },
        Attribute {
            symbol: Some("g"),
            aliases: &["n_groups", "mamba_n_groups", "ngroups"],
            ..count(
                "groups",
                None,
                1,
                Default::Value("1", "as published (Dao 2024)"),
                "Groups of heads that share B and C.",
            )
        },
        Attribute {
            symbol: Some("n"),
            aliases: &["state_size", "ssm_state_size", "mamba_d_state", "d_state"],
            ..count(
                "state",
                None,
                1,
                Default::Value("128", "as published (Dao 2024)"),
                "Values of state for each value of a head.",
            )
        },
        Attribute {
            aliases: &["conv_kernel", "mamba_d_conv", "d_conv"],
            symbol: Some("κ"),
            ..count(
                "conv",
                None,
                1,
                Default::Value("4", "as published (Dao 2024)"),
                "Tokens that the convolution spans.",
            )
        },
        Attribute {
            quiet: true,
            ..flag(
                "conv_bias",
                Default::Value("true", "as published (Dao 2024)"),
                "Whether the convolution has a bias.",
            )
        },
        Attribute {
            aliases: &["use_bias", "mamba_proj_bias", "proj_bias"],
            quiet: true,
            ..flag(
                "bias",
                Default::Value("false", "as published (Dao 2024)"),
                "Whether the projections have biases.",
            )
        },
        Attribute {
            quiet: true,
            ..flag(
                "norm",
                Default::Value("true", "as published (Dao 2024)"),
                "Whether there is a gated RMSNorm before the output projection.",
            )
        },
    ],
    blocks: &[],
    aliases: &["mamba", "ssm", "state_space"],
};

pub(super) const GATED_DELTA: BlockSchema = BlockSchema {
    kind: "gated_delta",
    doc: "Linear attention with the gated delta rule (Yang 2024), as Qwen3-Next has it: its state does not grow with the \
          sequence.",
    naming: Naming::Never,
    presence: Presence::Declared,
    attributes: &[
        Attribute {
            aliases: &["linear_num_key_heads", "num_k_heads"],
            symbol: Some("a_k"),
            ..count("key_heads", None, 1, Default::Required, "Query and key heads.")
        },
        Attribute {
            aliases: &["linear_num_value_heads", "num_v_heads"],
            symbol: Some("a_v"),
            ..count("value_heads", None, 1, Default::Required, "Value heads; a multiple of `key_heads`.")
        },
        Attribute {
            aliases: &["linear_key_head_dim", "head_k_dim"],
            symbol: Some("h_k"),
            ..count(
                "key_dim",
                None,
                1,
                Default::Value("128", "as in Qwen3-Next"),
                "Width of a query or key head.",
            )
        },
        Attribute {
            aliases: &["linear_value_head_dim", "head_v_dim"],
            symbol: Some("h_v"),
            ..count("value_dim", None, 1, Default::Value("128", "as in Qwen3-Next"), "Width of a value head.")
        },
        Attribute {
            aliases: &["linear_conv_kernel_dim", "conv_kernel"],
            symbol: Some("κ"),
            ..count(
                "conv",
                None,
                1,
                Default::Value("4", "as in Qwen3-Next"),
                "Tokens that the convolution spans.",
            )
        },
    ],
    blocks: &[],
    aliases: &["linear_attention", "deltanet", "gdn"],
};
