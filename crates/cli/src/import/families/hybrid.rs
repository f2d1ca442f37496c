//! Models whose layers mix tokens in other ways than attention, or in several.

use crate::import::Fault;
use crate::import::fields::Fields;
use crate::import::json::Json;
use crate::import::shape::{
    Attention, FeedForward, Ffn, GatedDelta, Layer, Mamba2, Mixer, Moe, Position, QkNorm, Shape,
};

use super::common::{
    attending, attention, decoder, decoder_of, experts, gated, kind, llama, plain, position, qk_norm,
    with_dense,
};
use super::moe::stepped;

/// The names that a type has for the sizes of its Mamba-2 mixer.
struct Names {
    heads: &'static str,
    head_dim: &'static str,
    groups: &'static str,
    state: &'static str,
    conv: &'static str,
    conv_bias: &'static str,
    bias: &'static str,
}

const GRANITE: Names = Names {
    heads: "mamba_n_heads",
    head_dim: "mamba_d_head",
    groups: "mamba_n_groups",
    state: "mamba_d_state",
    conv: "mamba_d_conv",
    conv_bias: "mamba_conv_bias",
    bias: "mamba_proj_bias",
};

fn mixer(f: &Fields<'_>, names: &Names, d_inner: Option<u64>) -> Mamba2 {
    let heads = f.count(names.heads);
    // `auto` means that the heads share the inner width.
    let head_dim = match (matches!(f.raw(names.head_dim), Some(Json::Text(auto)) if auto == "auto"), d_inner)
    {
        (true, Some(d_inner)) => (d_inner / heads).max(1),
        _ => f.count(names.head_dim),
    };
    let own = heads * head_dim;
    if let Some(d_inner) = d_inner.filter(|d_inner| *d_inner != own) {
        f.conflict(Fault::new(format!(
            "`{}` · `{}` is {own}, and the inner width of the mixer {d_inner}",
            names.heads, names.head_dim
        )));
    }
    Mamba2 {
        d_inner: own,
        head_dim,
        groups: f.count(names.groups),
        state: f.count(names.state),
        conv: f.count(names.conv),
        conv_bias: f.flag(names.conv_bias),
        bias: f.flag(names.bias),
    }
}

pub(super) fn mamba2(f: &Fields<'_>) -> Shape {
    let mut shape = decoder(f);
    const NAMES: Names = Names {
        heads: "num_heads",
        head_dim: "head_dim",
        groups: "n_groups",
        state: "state_size",
        conv: "conv_kernel",
        conv_bias: "use_conv_bias",
        bias: "use_bias",
    };
    let d_inner = f.count("expand").saturating_mul(shape.d_model);
    shape.mamba2 = Some(mixer(f, &NAMES, Some(d_inner)));
    for layer in &mut shape.layers {
        layer.mixer = Mixer::Mamba2;
        layer.feed_forward = FeedForward::None;
    }
    shape
}

pub(super) fn bamba(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    let d_inner = f.count("mamba_expand").saturating_mul(shape.d_model);
    shape.mamba2 = Some(mixer(f, &GRANITE, Some(d_inner)));
    let attending = f.numbers("attn_layer_indices").unwrap_or_default();
    shape.mixers(|at| if attending.contains(&at) { Mixer::Attention } else { Mixer::Mamba2 });
    shape
}

pub(super) fn granitemoehybrid(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    let words = f.words("layer_types", Some(shape.layers.len()));
    shape.mixers(|at| match words.as_ref().and_then(|words| words.get(at as usize)) {
        Some(&("attention" | "full_attention")) => Mixer::Attention,
        _ => Mixer::Mamba2,
    });
    check(
        f,
        "layer_types",
        words.iter().flatten(),
        &["mamba", "linear_attention", "attention", "full_attention"],
    );
    if shape.layers.iter().any(|layer| layer.mixer == Mixer::Mamba2) {
        let d_inner = f.count("mamba_expand").saturating_mul(shape.d_model);
        shape.mamba2 = Some(mixer(f, &GRANITE, Some(d_inner)));
    }
    if f.text("position_embedding_type") != Some("rope") {
        position(&mut shape, Position::None);
    }
    // Without experts, the shared ones are all there is: a dense FFN.
    let width = f.count("shared_intermediate_size");
    if f.size("num_local_experts") == 0 {
        shape.ffn = Some(Ffn { kind: kind(f, "hidden_act", true), d_ff: width, bias: false });
    } else {
        let moe = experts(f, "num_local_experts", "num_experts_per_tok", "intermediate_size");
        shape.moe = Some(Moe { shared_experts: 1, shared_d_ff: width, ..moe });
        shape.experts_where(|_| true);
    }
    shape
}

fn check<'w>(f: &Fields<'_>, key: &str, words: impl Iterator<Item = &'w &'w str>, known: &[&'static str]) {
    for word in words {
        if !known.contains(word) {
            f.unknown_word(key, word, known.iter().copied());
            return;
        }
    }
}

/// A letter of `hybrid_override_pattern`, or a word of `layers_block_type`.
fn part(word: &str) -> Option<(Mixer, FeedForward)> {
    Some(match word {
        "M" | "mamba" | "linear_attention" => (Mixer::Mamba2, FeedForward::None),
        "*" | "attention" | "full_attention" => (Mixer::Attention, FeedForward::None),
        "-" | "mlp" => (Mixer::None, FeedForward::Dense),
        "E" | "moe" => (Mixer::None, FeedForward::Moe),
        _ => return None,
    })
}

/// One part a layer: a mixer, an FFN or experts.
pub(super) fn nemotron_h(f: &Fields<'_>) -> Shape {
    const NAMES: Names = Names {
        heads: "mamba_num_heads",
        head_dim: "mamba_head_dim",
        groups: "n_groups",
        state: "ssm_state_size",
        conv: "conv_kernel",
        conv_bias: "use_conv_bias",
        bias: "use_bias",
    };
    let words: Vec<String> = if f.gives("layers_block_type") {
        f.words("layers_block_type", None).unwrap_or_default().into_iter().map(str::to_owned).collect()
    } else {
        f.text("hybrid_override_pattern").unwrap_or_default().chars().map(String::from).collect()
    };
    if words.is_empty() {
        f.fault(Fault::new("`layers_block_type` and `hybrid_override_pattern` are both missing".to_owned()));
    }
    let mut shape = decoder_of(f, f.bounded("layers_block_type", words.len() as u64));
    for (word, layer) in words.iter().zip(&mut shape.layers) {
        let Some((mixer, feed_forward)) = part(word) else {
            f.unknown_word("layers_block_type", word, ["mamba", "attention", "mlp", "moe"]);
            break;
        };
        (layer.mixer, layer.feed_forward) = (mixer, feed_forward);
    }
    let has = |of: fn(&Layer) -> bool| shape.layers.iter().any(of);
    let (mamba, attends, dense, moe) = (
        has(|layer| layer.mixer == Mixer::Mamba2),
        has(|layer| layer.mixer == Mixer::Attention),
        has(|layer| layer.feed_forward == FeedForward::Dense),
        has(|layer| layer.feed_forward == FeedForward::Moe),
    );
    position(&mut shape, Position::None);
    if mamba {
        shape.mamba2 = Some(mixer(f, &NAMES, None));
    }
    if attends {
        shape.attention = Some(attention(f, &shape).biased(false, false));
    }
    let bias = f.flag("mlp_bias");
    if dense {
        shape.ffn = Some(plain(f, "mlp_hidden_act", f.count("intermediate_size"), bias));
    }
    if moe {
        shape.moe = Some(Moe { shared_bias: bias, ..nemotron_experts(f) });
    }
    shape
}

fn nemotron_experts(f: &Fields<'_>) -> Moe {
    if f.gives("moe_latent_size") {
        f.refuse("moe_latent_size", "experts that work in a narrower space");
    }
    Moe {
        kind: kind(f, "mlp_hidden_act", false),
        experts: f.count("n_routed_experts"),
        experts_per_token: f.count("num_experts_per_tok"),
        d_ff: f.count("moe_intermediate_size"),
        bias: false,
        router_bias: false,
        correction_bias: true,
        shared_experts: 1,
        shared_d_ff: f.count("moe_shared_expert_intermediate_size"),
        shared_gate: false,
        shared_bias: false,
    }
}

/// The sizes of a Gated DeltaNet mixer; those that are left out follow from attention and the width.
fn delta(f: &Fields<'_>, shape: &Shape) -> GatedDelta {
    let heads = shape.attention.map_or(1, |attention| attention.heads);
    let key_heads = f.optional("linear_num_key_heads").unwrap_or(heads);
    let key_dim = f.optional("linear_key_head_dim").unwrap_or((shape.d_model * 3 / 4 / key_heads).max(1));
    let value_heads = f.optional("linear_num_value_heads").unwrap_or(heads);
    if !value_heads.is_multiple_of(key_heads) {
        f.conflict(Fault::new(format!(
            "{value_heads} value heads cannot share {key_heads} heads of queries and keys"
        )));
    }
    GatedDelta {
        key_heads,
        value_heads,
        key_dim,
        value_dim: f.optional("linear_value_head_dim").unwrap_or(2 * key_dim),
        conv: f.count("linear_conv_kernel_dim"),
    }
}

/// Sets the mixers from `layer_types`, or attention in every n-th layer.
fn delta_layers(f: &Fields<'_>, shape: &mut Shape, every: u64) {
    let words = f.words("layer_types", Some(shape.layers.len()));
    check(f, "layer_types", words.iter().flatten(), &["linear_attention", "full_attention"]);
    let full = |at: u64| match words.as_ref() {
        Some(words) => words.get(at as usize) == Some(&"full_attention"),
        None => (at + 1).is_multiple_of(every),
    };
    shape.mixers(|at| if full(at) { Mixer::Attention } else { Mixer::GatedDelta });
}

/// Qwen's: gates on the output of attention, norms on queries and keys.
fn qwen_hybrid(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    // Queries and gates are one projection, and one bias.
    shape.attention = shape.attention.map(|attention| Attention {
        output_gate: true,
        gate_bias: attention.q_bias,
        ..attention
    });
    qk_norm(&mut shape, QkNorm::PerHead);
    shape.gated_delta = Some(delta(f, &shape));
    let every = if f.gives("layer_types") { 1 } else { f.size("full_attention_interval").max(1) };
    delta_layers(f, &mut shape, every);
    shape
}

fn gated_experts(f: &Fields<'_>) -> Moe {
    let moe = experts(f, "num_experts", "num_experts_per_tok", "moe_intermediate_size");
    let shared_d_ff = f.count("shared_expert_intermediate_size");
    Moe { shared_experts: 1, shared_d_ff, shared_gate: true, ..moe }
}

pub(super) fn qwen3_next(f: &Fields<'_>) -> Shape {
    let mut shape = qwen_hybrid(f);
    shape.moe = Some(gated_experts(f));
    stepped(f, &mut shape);
    with_dense(f, &mut shape);
    shape
}

pub(super) fn qwen3_5(f: &Fields<'_>) -> Shape {
    let mut shape = qwen_hybrid(f);
    shape.ffn = Some(gated(f));
    shape
}

pub(super) fn qwen3_5_moe(f: &Fields<'_>) -> Shape {
    let mut shape = qwen_hybrid(f);
    shape.moe = Some(gated_experts(f));
    shape.experts_where(|_| true);
    shape
}

pub(super) fn olmo_hybrid(f: &Fields<'_>) -> Shape {
    let mut shape = llama(f);
    qk_norm(&mut shape, QkNorm::Full);
    shape.gated_delta = Some(delta(f, &shape));
    delta_layers(f, &mut shape, 4);
    if shape.layers.iter().all(|layer| layer.mixer == Mixer::GatedDelta)
        && let Some(layer) = shape.layers.last_mut()
    {
        layer.mixer = Mixer::Attention;
    }
    f.remark("layers with attention have their norms behind each part: `placement` is the same here for all");
    shape
}
