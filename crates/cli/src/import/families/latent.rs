//! Multi-head latent attention: DeepSeek and what took it over.

use crate::import::Fault;
use crate::import::fields::Fields;
use crate::import::shape::{Attention, Latent, Moe, Shape};

use super::common::{decoder, divided, experts, with_dense, with_heads};
use super::moe::{shared, shared_bias, sparse_layers, without_prediction};

/// A decoder with latent attention.
fn latent(f: &Fields<'_>) -> Shape {
    let mut shape = decoder(f);
    let heads = f.count("num_attention_heads");
    let latent = Latent {
        q_rank: f.optional("q_lora_rank"),
        kv_rank: f.count("kv_lora_rank"),
        nope_dim: f.count("qk_nope_head_dim"),
        rope_dim: f.count("qk_rope_head_dim"),
    };
    let bias = f.flag("attention_bias");
    let head_dim = latent.nope_dim + latent.rope_dim;
    let attention = with_heads(heads, heads, head_dim).rotated(latent.rope_dim).biased(bias, bias);
    shape.attention = Some(Attention {
        latent: Some(latent),
        v_dim: f.optional("v_head_dim").unwrap_or_else(|| divided(f, shape.d_model, heads)),
        // Queries that are projected directly have no bias.
        q_bias: bias && latent.q_rank.is_some(),
        ..attention
    });
    shape
}

/// Adds the experts, but not yet the layers that have them.
fn with_experts(f: &Fields<'_>, shape: &mut Shape, correction_bias: bool) {
    let moe = experts(f, "n_routed_experts", "num_experts_per_tok", "moe_intermediate_size");
    shape.moe = Some(Moe { correction_bias, ..shared(moe, f.size("n_shared_experts")) });
    shared_bias(f, shape, "mlp_bias");
}

pub(super) fn deepseek_v2(f: &Fields<'_>) -> Shape {
    let mut shape = latent(f);
    with_experts(f, &mut shape, false);
    every_layer_from(f, &mut shape);
    with_dense(f, &mut shape);
    shape
}

pub(super) fn deepseek_v3(f: &Fields<'_>) -> Shape {
    let mut shape = latent(f);
    with_experts(f, &mut shape, true);
    every_layer_from(f, &mut shape);
    without_prediction(f);
    with_dense(f, &mut shape);
    shape
}

/// Experts from a layer on; no file has ever had another step than 1.
fn every_layer_from(f: &Fields<'_>, shape: &mut Shape) {
    let dense = f.size("first_k_dense_replace");
    shape.experts_where(|at| at >= dense);
    if f.size("moe_layer_freq") > 1 {
        f.fault(Fault::new(
            "`moe_layer_freq` is more than 1, which the model's own code does not have".to_owned(),
        ));
    }
}

pub(super) fn glm4_moe_lite(f: &Fields<'_>) -> Shape {
    let mut shape = latent(f);
    with_experts(f, &mut shape, true);
    sparse_layers(f, &mut shape, |at| at >= 1);
    with_dense(f, &mut shape);
    shape
}

/// No experts at all.
pub(super) fn dense(f: &Fields<'_>) -> Shape {
    let mut shape = latent(f);
    with_dense(f, &mut shape);
    shape
}
