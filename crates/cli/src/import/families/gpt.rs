//! GPT-2 and what came before Llama: FFNs of two matrices, norms with means.

use crate::import::Fault;
use crate::import::fields::Fields;
use crate::import::json::Json;
use crate::import::shape::{Arrangement, Attention, Ffn, FfnKind, Norm, Placement, Position, QkNorm, Shape};

use super::common::{attending, decoder, divided, plain, position, qk_norm, sliding, with_heads};

/// A decoder with means and biases in its norms, and as many heads of keys and values as of queries.
fn old(f: &Fields<'_>) -> Shape {
    let mut shape = decoder(f);
    shape.norm = Norm::LAYER;
    let heads = f.count("num_attention_heads");
    shape.attention = Some(with_heads(heads, heads, divided(f, shape.d_model, heads)));
    shape
}

fn biased(shape: &mut Shape, qkv: bool, output: bool) {
    shape.attention = shape.attention.map(|attention| attention.biased(qkv, output));
}

pub(super) fn gpt2(f: &Fields<'_>) -> Shape {
    let mut shape = old(f);
    position(&mut shape, Position::Learned);
    biased(&mut shape, true, true);
    let d_ff = f.optional("n_inner").unwrap_or(4 * shape.d_model);
    shape.ffn = Some(plain(f, "activation_function", d_ff, true));
    if f.flag("add_cross_attention") {
        f.refuse("add_cross_attention", "attention to another model");
    }
    shape
}

/// GPT-2 whose heads may share one of keys and values.
pub(super) fn gpt_bigcode(f: &Fields<'_>) -> Shape {
    let mut shape = gpt2(f);
    if f.flag("multi_query") {
        shape.attention = shape.attention.map(|attention| Attention { kv_heads: 1, ..attention });
    }
    shape
}

/// Norms behind the additions, and none before the output.
pub(super) fn openai_gpt(f: &Fields<'_>) -> Shape {
    let mut shape = old(f);
    position(&mut shape, Position::Learned);
    biased(&mut shape, true, true);
    shape.ffn = Some(plain(f, "afn", 4 * shape.d_model, true));
    shape.norm = Norm { placement: Placement::PostResidual, last: false, ..Norm::LAYER };
    shape
}

pub(super) fn gpt_neo(f: &Fields<'_>) -> Shape {
    let mut shape = old(f);
    position(&mut shape, Position::Learned);
    biased(&mut shape, false, true);
    let d_ff = f.optional("intermediate_size").unwrap_or(4 * shape.d_model);
    shape.ffn = Some(plain(f, "activation_function", d_ff, true));
    let local = local_layers(f, shape.layers.len());
    let window = f.optional("window_size");
    shape.views(|at, view| {
        if local.get(at as usize) == Some(&true) {
            view.window = window;
        }
    });
    shape
}

/// `[[["global", "local"], 12]]`: a pattern and how often it comes.
fn local_layers(f: &Fields<'_>, layers: usize) -> Vec<bool> {
    let mut local = Vec::new();
    for entry in f.list("attention_types").unwrap_or_default() {
        let pattern = match entry {
            Json::List(entry) => match entry.as_slice() {
                [Json::List(pattern), Json::Count(times)] => Some((pattern, *times)),
                _ => None,
            },
            _ => None,
        };
        let Some((pattern, times)) = pattern else {
            f.fault(
                Fault::new("`attention_types` has an entry that is no pattern and a number".to_owned())
                    .help("write `[[[\"global\", \"local\"], 12]]`"),
            );
            break;
        };
        for _ in 0..times {
            if local.len() >= layers || pattern.is_empty() {
                break;
            }
            local.extend(pattern.iter().map(|word| *word == Json::Text("local".to_owned())));
        }
    }
    let length = local.len();
    if length != layers {
        f.conflict(Fault::new(format!(
            "`attention_types` has length {length}, and the number of layers is {layers}"
        )));
    }
    local
}

pub(super) fn gpt_neox(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    shape.norm = Norm::LAYER;
    shape.ffn = Some(plain(f, "hidden_act", f.count("intermediate_size"), true));
    if f.flag("use_parallel_residual") {
        shape.block = Arrangement::ParallelTwoNorms;
    }
    shape
}

/// GPT-J and CodeGen: one norm, no biases in attention, one on the output.
pub(super) fn gptj(f: &Fields<'_>) -> Shape {
    let mut shape = old(f);
    shape.block = Arrangement::Parallel;
    shape.output_bias = true;
    let rotary = f.optional("rotary_dim");
    shape.attention = shape
        .attention
        .map(|attention| attention.rotated(rotary.unwrap_or(attention.head_dim).min(attention.head_dim)));
    let d_ff = f.optional("n_inner").unwrap_or(4 * shape.d_model);
    shape.ffn = Some(plain(f, "activation_function", d_ff, true));
    shape
}

pub(super) fn opt(f: &Fields<'_>) -> Shape {
    let mut shape = old(f);
    let bias = f.flag("enable_bias");
    biased(&mut shape, bias, bias);
    shape.ffn = Some(plain(f, "activation_function", f.count("ffn_dim"), bias));
    learned_with_two_more(&mut shape);
    shape.embedding_width = f.optional("word_embed_proj_dim").filter(|width| *width != shape.d_model);
    if !f.flag("layer_norm_elementwise_affine") {
        shape.norm = Norm { weight: false, bias: false, ..shape.norm };
    }
    if f.flag("do_layer_norm_before") {
        shape.norm.last = !f.flag("_remove_final_layer_norm");
    } else {
        shape.norm = Norm { placement: Placement::PostResidual, last: false, ..shape.norm };
    }
    shape
}

/// Tables of positions that begin at 2.
fn learned_with_two_more(shape: &mut Shape) {
    position(shape, Position::Learned);
    shape.position_rows = shape.context.map(|context| context + 2);
}

pub(super) fn biogpt(f: &Fields<'_>) -> Shape {
    let mut shape = old(f);
    biased(&mut shape, true, true);
    shape.ffn = Some(plain(f, "hidden_act", f.count("intermediate_size"), true));
    learned_with_two_more(&mut shape);
    shape
}

pub(super) fn xglm(f: &Fields<'_>) -> Shape {
    let mut shape = old(f);
    biased(&mut shape, true, true);
    shape.ffn = Some(plain(f, "activation_function", f.count("ffn_dim"), true));
    position(&mut shape, Position::None);
    f.remark("positions are fixed sines, which have no parameters: `position = none`");
    shape
}

pub(super) fn bloom(f: &Fields<'_>) -> Shape {
    let mut shape = old(f);
    shape.norm.embedding = true;
    position(&mut shape, Position::Alibi);
    biased(&mut shape, true, true);
    shape.ffn = Some(Ffn { kind: FfnKind::Gelu, d_ff: 4 * shape.d_model, bias: true });
    shape
}

pub(super) fn mpt(f: &Fields<'_>) -> Shape {
    let mut shape = old(f);
    // The package builds no biases, even where `no_bias` is false.
    shape.norm.bias = false;
    shape.context = f.optional("max_seq_len");
    position(&mut shape, Position::Alibi);
    shape.ffn = Some(Ffn { kind: FfnKind::Gelu, d_ff: 4 * shape.d_model, bias: false });
    // The package builds these whatever the fields say, and so a model that differs is not the one that would run.
    let as_built = [
        ("expansion_ratio", f.count("expansion_ratio") == 4, "an FFN of four times the width"),
        ("no_bias", f.flag("no_bias"), "no biases"),
        ("attn_config.alibi", f.flag("attn_config.alibi"), "ALiBi"),
        ("attn_config.qk_ln", !f.flag("attn_config.qk_ln"), "no norms on queries and keys"),
    ];
    for (key, is, built) in as_built {
        if !is {
            f.contradicts(key, built);
        }
    }
    shape
}

pub(super) fn falcon(f: &Fields<'_>) -> Shape {
    let mut shape = old(f);
    // The first files of the large model have no such field: their own code knew the architecture by its heads.
    let first = f.has("n_head_kv") && !f.has("new_decoder_architecture");
    let new = f.flag("new_decoder_architecture") || first;
    let heads = f.count("num_attention_heads");
    let kv_heads = if new {
        f.optional("num_kv_heads").unwrap_or(heads)
    } else if f.flag("multi_query") {
        1
    } else {
        heads
    };
    let bias = f.flag("bias");
    shape.attention = shape.attention.map(|attention| Attention { kv_heads, ..attention }.biased(bias, bias));
    let d_ff = f.optional("ffn_hidden_size").unwrap_or(4 * shape.d_model);
    shape.ffn = Some(plain(f, "activation", d_ff, bias));
    let parallel = new || f.flag("parallel_attn");
    let norms = f.optional("num_ln_in_parallel_attn").unwrap_or(if new { 2 } else { 1 });
    shape.block = match (parallel, norms) {
        (false, _) => Arrangement::Sequential,
        (true, 2) if new => Arrangement::ParallelTwoNorms,
        (true, _) => Arrangement::Parallel,
    };
    if f.flag("alibi") {
        position(&mut shape, Position::Alibi);
    }
    shape
}

pub(super) fn phi(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    shape.norm = Norm::LAYER;
    shape.block = Arrangement::Parallel;
    shape.output_bias = true;
    biased(&mut shape, true, true);
    shape.ffn = Some(plain(f, "hidden_act", f.count("intermediate_size"), true));
    if f.flag("qk_layernorm") {
        qk_norm(&mut shape, QkNorm::PerHead);
    }
    shape
}

pub(super) fn persimmon(f: &Fields<'_>) -> Shape {
    let mut shape = phi(f);
    shape.block = Arrangement::Sequential;
    shape.output_bias = false;
    shape
}

pub(super) fn starcoder2(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    shape.norm = Norm::LAYER;
    let bias = f.flag("use_bias");
    shape.ffn = Some(plain(f, "hidden_act", f.count("intermediate_size"), bias));
    sliding(f, &mut shape, |_| true);
    shape
}
