//! Llama and what differs from it in details: gated FFNs, rotary positions.

use crate::import::Fault;
use crate::import::fields::Fields;
use crate::import::json::Json;
use crate::import::shape::{Arrangement, Attention, Ffn, Norm, Placement, Position, QkNorm, Shape};

use super::common::{attending, gated, llama, placed, plain, position, qk_norm, sliding};

/// Every layer has the window, if there is one.
pub(super) fn mistral(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    sliding(f, &mut shape, |_| true);
    shape
}

/// Biases on queries, keys and values only.
pub(super) fn qwen2(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    shape.attention = shape.attention.map(|attention| attention.biased(true, false));
    late_windows(f, &mut shape);
    shape
}

/// Norms on queries and keys.
pub(super) fn qwen3(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    qk_norm(&mut shape, QkNorm::PerHead);
    late_windows(f, &mut shape);
    shape
}

/// The window of Qwen's: off unless it is switched on, and then from a layer on.
fn late_windows(f: &Fields<'_>, shape: &mut Shape) {
    if f.flag("use_sliding_window") {
        let from = f.size("max_window_layers");
        sliding(f, shape, |at| at >= from);
    }
}

pub(super) fn gemma2(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    placed(&mut shape, Placement::Sandwich);
    sliding(f, &mut shape, |at| at.is_multiple_of(2));
    shape
}

/// Gemma 2 without the norms behind each part.
pub(super) fn vaultgemma(f: &Fields<'_>) -> Shape {
    let mut shape = gemma2(f);
    placed(&mut shape, Placement::Pre);
    shape
}

/// Gemma 2 with norms on queries and keys; every sixth layer sees everything.
pub(super) fn gemma3(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    placed(&mut shape, Placement::Sandwich);
    qk_norm(&mut shape, QkNorm::PerHead);
    every_nth_full(f, &mut shape, "sliding_window_pattern");
    if f.flag("use_bidirectional_attention") {
        f.refuse("use_bidirectional_attention", "attention to later tokens");
    }
    shape
}

/// Windows but for every n-th layer.
pub(super) fn every_nth_full(f: &Fields<'_>, shape: &mut Shape, key: &str) {
    // A list says it better, and then the pattern is of no meaning.
    let every = if f.gives("layer_types") { 1 } else { f.size(key).max(1) };
    sliding(f, shape, |at| !(at + 1).is_multiple_of(every));
}

pub(super) fn phi3(f: &Fields<'_>) -> Shape {
    mistral(f)
}

/// Norms without parameters.
pub(super) fn olmo(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    shape.norm = Norm { weight: false, bias: false, ..Norm::LAYER };
    shape
}

/// Norms on what each part gives, and on whole queries and keys.
pub(super) fn olmo2(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    placed(&mut shape, Placement::Post);
    qk_norm(&mut shape, QkNorm::Full);
    shape
}

pub(super) fn olmo3(f: &Fields<'_>) -> Shape {
    let mut shape = olmo2(f);
    sliding(f, &mut shape, |at| !(at + 1).is_multiple_of(4));
    shape
}

/// One norm for both parts, which read the same input.
pub(super) fn cohere(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    shape.norm = Norm { bias: false, ..Norm::LAYER };
    shape.block = Arrangement::Parallel;
    if f.flag("use_qk_norm") {
        qk_norm(&mut shape, QkNorm::PerHeadDistinct);
    }
    shape
}

/// Cohere's with windows; the layers that see everything have no positions.
pub(super) fn cohere2(f: &Fields<'_>) -> Shape {
    let mut shape = cohere(f);
    every_nth_full(f, &mut shape, "sliding_window_pattern");
    positions_where_windows(&mut shape);
    shape
}

/// Where windows are, rotary positions are: all other layers have none.
pub(super) fn positions_where_windows(shape: &mut Shape) {
    shape.views(|_, view| {
        if view.window.is_none() {
            view.position = Position::None;
        }
    });
}

/// Biases on queries, keys and values only.
pub(super) fn glm(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    shape.attention = shape.attention.map(|attention| attention.biased(attention.q_bias, false));
    shape
}

pub(super) fn glm4(f: &Fields<'_>) -> Shape {
    let mut shape = glm(f);
    placed(&mut shape, Placement::Sandwich);
    shape
}

pub(super) fn stablelm(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    shape.norm = Norm::LAYER;
    let bias = f.flag("use_qkv_bias");
    shape.attention = shape.attention.map(|attention| attention.biased(bias, false));
    if f.flag("use_parallel_residual") {
        shape.block = Arrangement::Parallel;
    }
    if f.flag("qk_layernorm") {
        qk_norm(&mut shape, QkNorm::PerHeadDistinct);
        shape.attention = shape.attention.map(|attention| Attention { qk_norm_bias: false, ..attention });
    }
    shape
}

/// Some layers have no positions.
pub(super) fn smollm3(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    without_positions(f, &mut shape);
    if f.flag("use_sliding_window") {
        let rotary: Vec<bool> =
            shape.layers.iter().map(|layer| layer.view.position == Position::Rope).collect();
        sliding(f, &mut shape, |at| rotary.get(at as usize) == Some(&false));
    }
    shape
}

/// Takes positions from the layers where `no_rope_layers` has a 0, or from every n-th.
pub(super) fn without_positions(f: &Fields<'_>, shape: &mut Shape) {
    let given = f.list("no_rope_layers").is_some_and(|list| !list.is_empty());
    let marks = if given { f.for_layers("no_rope_layers", shape.layers.len()) } else { None };
    let interval = if given { 1 } else { f.size("no_rope_layer_interval") };
    shape.views(|at, view| {
        let rotary = match marks {
            Some(marks) => marks.get(at as usize).is_none_or(|mark| *mark != Json::Count(0)),
            None => interval == 0 || !(at + 1).is_multiple_of(interval),
        };
        if !rotary {
            view.position = Position::None;
        }
    });
}

/// Norms on what each part gives; layers that see everything have no positions where others have windows.
pub(super) fn exaone4(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    placed(&mut shape, Placement::Post);
    qk_norm(&mut shape, QkNorm::PerHead);
    if f.size("sliding_window") > 0 {
        every_nth_full(f, &mut shape, "sliding_window_pattern");
        positions_where_windows(&mut shape);
    }
    shape
}

pub(super) fn seed_oss(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    let output = f.flag("attention_out_bias");
    shape.attention = shape.attention.map(|attention| attention.biased(attention.q_bias, output));
    shape
}

pub(super) fn hunyuan(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    qk_norm(&mut shape, QkNorm::PerHead);
    shape
}

/// No bias on the output of attention, whatever the others have.
pub(super) fn helium(f: &Fields<'_>) -> Shape {
    let shape = glm(f);
    if let Some(attention) = shape.attention
        && attention.heads * attention.head_dim != shape.d_model
    {
        let (heads, head_dim, d_model) = (attention.heads, attention.head_dim, shape.d_model);
        f.conflict(Fault::new(format!(
            "{heads} heads of {head_dim} must be as wide as the model, and that is {d_model}"
        )));
    }
    shape
}

pub(super) fn hyperclovax(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    if f.flag("use_post_norm") {
        placed(&mut shape, Placement::Sandwich);
    }
    shape
}

/// Windows but for every fourth layer, which begins a group.
pub(super) fn cwm(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    sliding(f, &mut shape, |at| !at.is_multiple_of(4));
    shape
}

/// The same with sinks.
pub(super) fn granite_swa(f: &Fields<'_>) -> Shape {
    let mut shape = cwm(f);
    shape.attention = shape.attention.map(|attention| Attention { sinks: true, ..attention });
    shape
}

/// Two matrices in the FFN.
pub(super) fn arcee(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    let bias = f.flag("mlp_bias");
    shape.ffn = Some(plain(f, "hidden_act", f.count("intermediate_size"), bias));
    shape
}

pub(super) fn apertus(f: &Fields<'_>) -> Shape {
    let mut shape = arcee(f);
    qk_norm(&mut shape, QkNorm::PerHead);
    shape
}

/// Two matrices in the FFN and norms with biases: Nemotron, Jais 2.
pub(super) fn nemotron(f: &Fields<'_>) -> Shape {
    let mut shape = arcee(f);
    shape.norm = Norm::LAYER;
    shape
}

/// No norm has a parameter.
pub(super) fn nanochat(f: &Fields<'_>) -> Shape {
    let mut shape = arcee(f);
    shape.norm = Norm { weight: false, embedding: true, ..Norm::RMS };
    qk_norm(&mut shape, QkNorm::Unweighted);
    shape
}

/// The first Qwen: its FFN is half as wide as its configuration says.
pub(super) fn qwen(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    shape.attention = shape.attention.map(|attention| attention.biased(true, false));
    shape.ffn = shape.ffn.map(|ffn| Ffn { d_ff: (ffn.d_ff / 2).max(1), ..ffn });
    shape
}

/// GLM under its own code: the same shape, and other names for its sizes.
pub(super) fn chatglm(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    let linear = f.flag("add_bias_linear");
    let qkv = linear || f.flag("add_qkv_bias");
    let kv_heads =
        if f.flag("multi_query_attention") { Some(f.count("multi_query_group_num")) } else { None };
    shape.attention = shape.attention.map(|attention| {
        let kv_heads = kv_heads.unwrap_or(attention.heads);
        Attention { kv_heads, ..attention }.rotated(attention.head_dim / 2).biased(qkv, linear)
    });
    shape.ffn = shape.ffn.map(|ffn| Ffn { bias: linear, ..ffn });
    shape
}

/// Baichuan: the small one has rotary positions and a length, the large one ALiBi.
pub(super) fn baichuan(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    shape.ffn = Some(gated(f));
    if shape.d_model >= 5120 {
        f.remark("models of this type and width have ALiBi: `position = alibi`");
        position(&mut shape, Position::Alibi);
    }
    shape
}
