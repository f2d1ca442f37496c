//! Softmax attention, lowered: multi-head and grouped-query, or through latents.

use llmplan_spec::plan::{Attention, Latent, Model, OutputGate, Position, QkNorm};

use super::build::{Builder, vector, weight};
use super::lower::norm_of;
use super::{Component, Kind, Value};

/// Queries, keys and values of an attention, as its scores read them.
struct Heads {
    q: Value,
    k: Value,
    v: Value,
    /// Key and value heads.
    kv_heads: u64,
    /// Width of a query or key head.
    k_dim: u64,
    /// Width of a value head.
    v_dim: u64,
}

pub(super) fn lower(block: &mut Builder, model: &Model, own: &Attention, input: Value) -> Value {
    let parts = match own.latent {
        Some(latent) => latents(block, own, latent, input),
        None => grouped(block, model, own, input),
    };
    let heads = own.heads;
    let mut read = vec![parts.q, parts.k];
    let relative = own.position == Position::Relative;
    if relative {
        let width = block.width(input);
        let distances = block.pointwise("attention.distances", Kind::Distances { width }, &[], width);
        let outer = heads.saturating_mul(own.head_dim);
        read.push(block.matmul("attention.relative", Component::Relative, distances, outer, false));
    }
    let scores = Kind::Scores {
        heads,
        kv_heads: parts.kv_heads,
        head_dim: parts.k_dim,
        scale: own.head_dim,
        reach: own.reach,
        alibi: own.position == Position::Alibi,
        relative,
    };
    // Scores are a row of pairs, not of values: they stay on the chip.
    let scores = block.operator("attention.scores", Component::Scores, scores, &read, 0, Vec::new());
    let sinks = if own.sinks { vec![vector("sinks", heads)] } else { Vec::new() };
    let component = if own.sinks { Component::Sinks } else { Component::Pointwise };
    let weights =
        block.operator("attention.softmax", component, Kind::Softmax { heads }, &[scores], 0, sinks);
    let sum = Kind::WeightedSum { heads, kv_heads: parts.kv_heads, head_dim: parts.v_dim, reach: own.reach };
    let width = heads.saturating_mul(parts.v_dim);
    let mut output = block.operator(
        "attention.weighted_sum",
        Component::WeightedSum,
        sum,
        &[weights, parts.v],
        width,
        Vec::new(),
    );
    if let Some(latent) = own.latent.filter(|latent| latent.absorbed) {
        output = expand(block, own, latent, output);
    }
    let width = block.width(output);
    let gates = match own.gate {
        OutputGate::None => None,
        OutputGate::Full => Some(width),
        OutputGate::PerHead => Some(heads),
    };
    if let Some(gates) = gates {
        let gate = block.matmul("attention.gate", Component::AttentionGate, input, gates, own.gate_bias);
        let kind = Kind::Gate { width, silu: false };
        output = block.pointwise("attention.gated", kind, &[output, gate], width);
    }
    let d_model = block.width(input);
    block.matmul("attention.output", Component::AttentionOutput, output, d_model, own.bias.output)
}

/// Multi-head and grouped-query attention (Ainslie 2023).
fn grouped(block: &mut Builder, model: &Model, own: &Attention, input: Value) -> Heads {
    let (heads, kv_heads, head_dim) = (own.heads, own.kv_heads, own.head_dim);
    let (q, k) = (heads.saturating_mul(head_dim), kv_heads.saturating_mul(head_dim));
    let mut q = block.matmul("attention.q", Component::Qkv, input, q, own.bias.q);
    let mut k = block.matmul("attention.k", Component::Qkv, input, k, own.bias.k);
    let v = kv_heads.saturating_mul(own.v_dim);
    let v = block.matmul("attention.v", Component::Qkv, input, v, own.bias.v);
    let rows = |heads: u64| match own.qk_norm {
        QkNorm::None => None,
        QkNorm::PerHead => Some((head_dim, 1)),
        QkNorm::PerHeadDistinct => Some((head_dim, heads)),
        QkNorm::Full => Some((heads.saturating_mul(head_dim), 1)),
        QkNorm::Unweighted => Some((head_dim, 0)),
    };
    if let (Some((q_width, q_rows)), Some((k_width, k_rows))) = (rows(heads), rows(kv_heads)) {
        q = norm_of(block, model, "attention.q_norm", q, (q_width, q_rows), own.qk_norm_bias);
        k = norm_of(block, model, "attention.k_norm", k, (k_width, k_rows), own.qk_norm_bias);
    }
    if own.position == Position::Rope {
        let kind = Kind::Rotate { head_dim, rope_dim: own.rope_dim, offset: 0 };
        q = rotate(block, "attention.rotate_q", q, kind);
        k = rotate(block, "attention.rotate_k", k, kind);
    }
    Heads { q, k, v, kv_heads, k_dim: head_dim, v_dim: own.v_dim }
}

/// Multi-head latent attention (DeepSeek-V2 §2.1, eq. 9–19; its §2.1.3 for the rotated part).
fn latents(block: &mut Builder, own: &Attention, latent: Latent, input: Value) -> Heads {
    let (heads, rope) = (own.heads, own.rope_dim);
    let (rank, nope) = (latent.kv_rank, latent.nope_dim);
    let outer = heads.saturating_mul(own.head_dim);
    let mut q = match latent.q_rank {
        Some(rank) => {
            let down = block.matmul("attention.q_down", Component::Qkv, input, rank, own.bias.q);
            let down = latent_norm(block, "attention.q_norm", down);
            block.matmul("attention.q_up", Component::Qkv, down, outer, false)
        }
        None => block.matmul("attention.q", Component::Qkv, input, outer, own.bias.q),
    };
    let down = block.matmul("attention.kv_down", Component::Qkv, input, rank, own.bias.k);
    let mut shared = block.matmul("attention.k_rope", Component::Qkv, input, rope, own.bias.k);
    let down = latent_norm(block, "attention.kv_norm", down);
    if own.position == Position::Rope {
        let kind = Kind::Rotate { head_dim: own.head_dim, rope_dim: rope, offset: nope };
        q = rotate(block, "attention.rotate_q", q, kind);
        let kind = Kind::Rotate { head_dim: rope, rope_dim: rope, offset: 0 };
        shared = rotate(block, "attention.rotate_k", shared, kind);
    }
    if latent.absorbed {
        let kind = Kind::HeadMatMul { heads, inner: nope, outer: rank, kept: rope, transposed: true };
        let width = heads.saturating_mul(rank.saturating_add(rope));
        let weights = vec![weight(rank, heads.saturating_mul(nope))];
        let q = block.operator("attention.k_up", Component::Qkv, kind, &[q], width, weights);
        let k_dim = rank.saturating_add(rope);
        let k = block.pointwise("attention.join_k", Kind::Join { heads: 1 }, &[down, shared], k_dim);
        return Heads { q, k, v: down, kv_heads: 1, k_dim, v_dim: rank };
    }
    let k = block.matmul("attention.k_up", Component::Qkv, down, heads.saturating_mul(nope), false);
    let v = block.matmul("attention.v_up", Component::Qkv, down, heads.saturating_mul(own.v_dim), false);
    let k = block.pointwise("attention.join_k", Kind::Join { heads }, &[k, shared], outer);
    Heads { q, k, v, kv_heads: heads, k_dim: own.head_dim, v_dim: own.v_dim }
}

/// The values of each head out of the weighted latents.
fn expand(block: &mut Builder, own: &Attention, latent: Latent, input: Value) -> Value {
    let (heads, inner, outer) = (own.heads, latent.kv_rank, own.v_dim);
    let kind = Kind::HeadMatMul { heads, inner, outer, kept: 0, transposed: false };
    let width = heads.saturating_mul(outer);
    let weights = vec![weight(inner, width)];
    block.operator("attention.v_up", Component::Qkv, kind, &[input], width, weights)
}

/// Latents have an RMSNorm whatever the model's norm is (DeepSeek-V2's code).
fn latent_norm(block: &mut Builder, name: &'static str, input: Value) -> Value {
    let width = block.width(input);
    let kind = Kind::Norm { width, centred: false };
    block.operator(name, Component::Norm, kind, &[input], width, vec![vector("weight", width)])
}

fn rotate(block: &mut Builder, name: &'static str, input: Value, kind: Kind) -> Value {
    let width = block.width(input);
    block.pointwise(name, kind, &[input], width)
}
