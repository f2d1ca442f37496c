//! What the configurations of most decoders have in common.

use crate::import::Fault;
use crate::import::fields::Fields;
use crate::import::shape::{
    Arrangement, Attention, FeedForward, Ffn, FfnKind, Layer, Mixer, Moe, Norm, Placement, Position, QkNorm,
    Shape, View,
};

/// The sizes of a decoder with rotary positions and RMS norms; its parts are still to be filled in.
pub(super) fn decoder(f: &Fields<'_>) -> Shape {
    decoder_of(f, f.layers())
}

/// The same with a number of layers that something else than `num_hidden_layers` says.
pub(super) fn decoder_of(f: &Fields<'_>, layers: u64) -> Shape {
    let view = View { window: None, chunk: None, position: Position::Rope, qk_norm: QkNorm::None };
    let layer = Layer { mixer: Mixer::Attention, feed_forward: FeedForward::Dense, view };
    Shape {
        d_model: f.essential("hidden_size"),
        vocab: f.count("vocab_size"),
        context: f.optional("max_position_embeddings"),
        position_rows: None,
        embedding_width: None,
        tied: f.flag("tie_word_embeddings"),
        output_bias: false,
        block: Arrangement::Sequential,
        layers: vec![layer; usize::try_from(layers).unwrap_or(1)],
        attention: None,
        ffn: None,
        moe: None,
        mamba2: None,
        gated_delta: None,
        norm: Norm::RMS,
    }
}

/// A decoder with attention over grouped queries; whatever bias its type knows is on all four projections.
pub(super) fn attending(f: &Fields<'_>) -> Shape {
    let mut shape = decoder(f);
    shape.attention = Some(attention(f, &shape));
    shape
}

/// Attention over grouped queries.
pub(super) fn attention(f: &Fields<'_>, shape: &Shape) -> Attention {
    let heads = f.count("num_attention_heads");
    let kv_heads = f.optional("num_key_value_heads").unwrap_or(heads);
    let bias =
        ["attention_bias", "use_bias"].into_iter().find(|key| f.knows(key)).is_some_and(|key| f.flag(key));
    if !heads.is_multiple_of(kv_heads) {
        f.conflict(Fault::new(format!(
            "{heads} attention heads cannot share {kv_heads} heads of keys and values"
        )));
    }
    let head_dim = f.optional("head_dim").unwrap_or_else(|| divided(f, shape.d_model, heads));
    with_heads(heads, kv_heads, head_dim).rotated(rotated(f, head_dim)).biased(bias, bias)
}

/// Attention without biases; every value of a head is rotated.
pub(super) fn with_heads(heads: u64, kv_heads: u64, head_dim: u64) -> Attention {
    Attention {
        latent: None,
        heads,
        kv_heads,
        head_dim,
        v_dim: head_dim,
        rope_dim: head_dim,
        q_bias: false,
        kv_bias: false,
        output_bias: false,
        sinks: false,
        output_gate: false,
        gate_bias: false,
        qk_norm_bias: true,
    }
}

impl Attention {
    pub(super) fn rotated(self, rope_dim: u64) -> Attention {
        Attention { rope_dim, ..self }
    }

    pub(super) fn biased(self, qkv: bool, output: bool) -> Attention {
        Attention { q_bias: qkv, kv_bias: qkv, output_bias: output, ..self }
    }
}

/// The width of a head where it is not given.
pub(super) fn divided(f: &Fields<'_>, d_model: u64, heads: u64) -> u64 {
    let head_dim = d_model / heads.max(1);
    if head_dim == 0 || head_dim * heads != d_model {
        f.conflict(
            Fault::new(format!(
                "a width of {d_model} is not divided by {heads} heads, and `head_dim` is not given"
            ))
            .help("one of the three must be wrong"),
        );
        return 1;
    }
    head_dim
}

/// How much of a head is rotated.
fn rotated(f: &Fields<'_>, head_dim: u64) -> u64 {
    let nested = "rope_parameters.partial_rotary_factor";
    let key = if f.gives(nested) { nested } else { "partial_rotary_factor" };
    // Values are rotated in pairs; no head is so wide that a float would not hold its width exactly.
    f.fraction(key).map_or(head_dim, |factor| 2 * ((head_dim as f64 * factor) as u64 / 2))
}

/// The FFN of three matrices; whatever bias its type knows is on all of them.
pub(super) fn gated(f: &Fields<'_>) -> Ffn {
    let bias = ["mlp_bias", "use_bias"].into_iter().find(|key| f.knows(key)).is_some_and(|key| f.flag(key));
    Ffn { kind: kind(f, activation_key(f), true), d_ff: f.count("intermediate_size"), bias }
}

/// The FFN of two matrices.
pub(super) fn plain(f: &Fields<'_>, key: &str, d_ff: u64, bias: bool) -> Ffn {
    Ffn { kind: kind(f, key, false), d_ff, bias }
}

fn activation_key(f: &Fields<'_>) -> &'static str {
    if f.knows("hidden_activation") { "hidden_activation" } else { "hidden_act" }
}

/// The kind of an FFN from its activation.
pub(super) fn kind(f: &Fields<'_>, key: &str, gated: bool) -> FfnKind {
    let word = f.text(key).unwrap_or(if gated { "silu" } else { "gelu" });
    match (word, gated) {
        ("silu" | "swish" | "swiglu", true) => FfnKind::Swiglu,
        ("silu" | "swish", false) => FfnKind::Silu,
        ("relu", true) => FfnKind::Reglu,
        ("relu", false) => FfnKind::Relu,
        ("relu2" | "relu_squared", false) => FfnKind::Relu2,
        ("xielu", false) => FfnKind::Xielu,
        ("geglu", true) => FfnKind::Geglu,
        (gelu, true) if is_gelu(gelu) => FfnKind::Geglu,
        (gelu, false) if is_gelu(gelu) => FfnKind::Gelu,
        ("relu2" | "relu_squared" | "xielu", true) => {
            f.refuse(key, "gated FFN with this activation");
            FfnKind::Swiglu
        }
        _ => {
            f.unknown_word(
                key,
                word,
                ["silu", "swish", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "relu2"],
            );
            FfnKind::Gelu
        }
    }
}

/// The spellings of GELU and its approximations, which cost the same.
fn is_gelu(word: &str) -> bool {
    const GELU: [&str; 9] = [
        "gelu",
        "gelu_new",
        "gelu_fast",
        "gelu_python",
        "gelu_pytorch_tanh",
        "gelu_python_tanh",
        "gelu_accurate",
        "gelu_10",
        "quick_gelu",
    ];
    GELU.contains(&word)
}

/// Gives the layers that are dense their gated FFN; where there is none, its fields are of no meaning.
pub(super) fn with_dense(f: &Fields<'_>, shape: &mut Shape) {
    if shape.layers.iter().any(|layer| layer.feed_forward == FeedForward::Dense) {
        shape.ffn = Some(gated(f));
    }
}

/// A decoder with attention and a gated FFN: Llama and all that is like it.
pub(super) fn llama(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    shape.ffn = Some(gated(f));
    shape
}

/// A mixture of gated experts without biases or shared experts.
pub(super) fn experts(f: &Fields<'_>, experts: &str, per_token: &str, d_ff: &str) -> Moe {
    experts_of(f, activation_key(f), experts, per_token, d_ff)
}

/// The same, with the field that names their function.
pub(super) fn experts_of(f: &Fields<'_>, function: &str, experts: &str, per_token: &str, d_ff: &str) -> Moe {
    let d_ff = f.count(d_ff);
    Moe {
        kind: kind(f, function, true),
        experts: f.count(experts),
        experts_per_token: f.count(per_token),
        d_ff,
        bias: false,
        router_bias: false,
        correction_bias: false,
        shared_experts: 0,
        shared_d_ff: d_ff,
        shared_gate: false,
        shared_bias: false,
    }
}

/// The sliding window where `layer_types` says so; without that list, where `pattern` does.
pub(super) fn sliding(f: &Fields<'_>, shape: &mut Shape, pattern: impl Fn(u64) -> bool) {
    const WORDS: [&str; 3] = ["sliding_attention", "full_attention", "attention"];
    let window = match f.size("sliding_window") {
        0 => None,
        window => Some(window),
    };
    let types = f.words("layer_types", Some(shape.layers.len()));
    if let Some(word) = types.iter().flatten().find(|word| !WORDS.contains(*word)) {
        f.unknown_word("layer_types", word, WORDS);
    }
    shape.views(|at, view| {
        let slides = match &types {
            Some(types) => types.get(at as usize) == Some(&"sliding_attention"),
            None => pattern(at),
        };
        view.window = if slides { window } else { None };
    });
}

/// Sets the norms of queries and keys in every layer.
pub(super) fn qk_norm(shape: &mut Shape, norm: QkNorm) {
    shape.views(|_, view| view.qk_norm = norm);
}

/// Sets where positions come from in every layer.
pub(super) fn position(shape: &mut Shape, position: Position) {
    shape.views(|_, view| view.position = position);
}

/// Sets where norms stand.
pub(super) fn placed(shape: &mut Shape, placement: Placement) {
    shape.norm.placement = placement;
}
