//! Mixtures of experts under attention with grouped queries.

use crate::import::fields::Fields;
use crate::import::json::Json;
use crate::import::shape::{
    Arrangement, Attention, FeedForward, Ffn, Moe, Norm, Placement, Position, QkNorm, Shape,
};

use super::common::{
    attending, decoder, divided, experts, experts_of, gated, placed, qk_norm, sliding, with_dense, with_heads,
};
use super::dense::{every_nth_full, positions_where_windows, without_positions};

/// Gives every layer the same experts.
fn all_experts(shape: &mut Shape, moe: Moe) {
    shape.moe = Some(moe);
    shape.experts_where(|_| true);
}

/// Experts that every token passes, as wide as `times` routed ones together.
pub(super) fn shared(moe: Moe, times: u64) -> Moe {
    Moe { shared_experts: times, ..moe }
}

/// One expert of a width of its own that every token passes.
fn shared_of(moe: Moe, width: u64) -> Moe {
    if width == 0 { moe } else { Moe { shared_experts: 1, shared_d_ff: width, ..moe } }
}

/// The layers with experts where `mlp_layer_types` names them; without that list, where `pattern` does.
pub(super) fn sparse_layers(f: &Fields<'_>, shape: &mut Shape, pattern: impl Fn(u64) -> bool) {
    const WORDS: [&str; 2] = ["sparse", "dense"];
    let types = f.words("mlp_layer_types", Some(shape.layers.len()));
    if let Some(word) = types.iter().flatten().find(|word| !WORDS.contains(*word)) {
        f.unknown_word("mlp_layer_types", word, WORDS);
    }
    shape.experts_where(|at| match &types {
        Some(types) => types.get(at as usize) == Some(&"sparse"),
        None => pattern(at),
    });
}

/// Every n-th layer has experts, but for those that are listed.
pub(super) fn stepped(f: &Fields<'_>, shape: &mut Shape) {
    let step = f.size("decoder_sparse_step").max(1);
    let dense = f.numbers("mlp_only_layers").unwrap_or_default();
    shape.experts_where(|at| (at + 1).is_multiple_of(step) && !dense.contains(&at));
}

pub(super) fn mixtral(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    let moe = experts(f, "num_local_experts", "num_experts_per_tok", "intermediate_size");
    all_experts(&mut shape, moe);
    sliding(f, &mut shape, |_| true);
    shape
}

/// Norms with biases, and perhaps a bias on the output.
pub(super) fn phimoe(f: &Fields<'_>) -> Shape {
    let mut shape = mixtral(f);
    shape.norm = Norm::LAYER;
    shape.output_bias = f.flag("lm_head_bias");
    shape
}

pub(super) fn qwen2_moe(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    let bias = f.flag("qkv_bias");
    shape.attention = shape.attention.map(|attention| attention.biased(bias, false));
    let moe = experts(f, "num_experts", "num_experts_per_tok", "moe_intermediate_size");
    shape.moe = Some(Moe { shared_gate: true, ..shared_of(moe, f.count("shared_expert_intermediate_size")) });
    stepped(f, &mut shape);
    if f.flag("use_sliding_window") {
        let until = f.size("max_window_layers");
        sliding(f, &mut shape, |at| at.is_multiple_of(2) && at < until);
    }
    with_dense(f, &mut shape);
    shape
}

pub(super) fn qwen3_moe(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    qk_norm(&mut shape, QkNorm::PerHead);
    shape.moe = Some(experts(f, "num_local_experts", "num_experts_per_tok", "moe_intermediate_size"));
    stepped(f, &mut shape);
    if f.flag("use_sliding_window") {
        sliding(f, &mut shape, |_| true);
    }
    with_dense(f, &mut shape);
    shape
}

pub(super) fn olmoe(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    qk_norm(&mut shape, QkNorm::Full);
    all_experts(&mut shape, experts(f, "num_experts", "num_experts_per_tok", "intermediate_size"));
    shape
}

pub(super) fn flex_olmo(f: &Fields<'_>) -> Shape {
    let mut shape = olmoe(f);
    placed(&mut shape, Placement::Post);
    shape
}

/// DeepSeek's experts: shared ones, and a correction of the router's choice.
fn deepseek_experts(f: &Fields<'_>) -> Moe {
    let moe = experts(f, "n_routed_experts", "num_experts_per_tok", "moe_intermediate_size");
    Moe { correction_bias: true, ..shared(moe, f.size("n_shared_experts")) }
}

pub(super) fn glm4_moe(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    shape.attention = shape.attention.map(|attention| attention.biased(attention.q_bias, false));
    if f.flag("use_qk_norm") {
        qk_norm(&mut shape, QkNorm::PerHead);
    }
    let dense = f.size("first_k_dense_replace");
    shape.moe = Some(deepseek_experts(f));
    shape.experts_where(|at| at >= dense);
    without_prediction(f);
    with_dense(f, &mut shape);
    shape
}

/// The module that predicts further tokens is not part of the model that runs.
pub(super) fn without_prediction(f: &Fields<'_>) {
    let depth = f.size("num_nextn_predict_layers");
    if depth > 0 {
        f.remark(format!(
            "`num_nextn_predict_layers = {depth}`: released weights have this module and the model that runs has not; \
             `mtp {{ depth = {depth} }}` plans its training"
        ));
    }
}

pub(super) fn solar_open(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    all_experts(&mut shape, deepseek_experts(f));
    shape
}

pub(super) fn dots1(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    qk_norm(&mut shape, QkNorm::PerHead);
    let dense = f.size("first_k_dense_replace");
    shape.moe = Some(deepseek_experts(f));
    shape.experts_where(|at| at >= dense);
    let from = f.size("max_window_layers");
    sliding(f, &mut shape, |at| at >= from);
    with_dense(f, &mut shape);
    shape
}

/// The first DeepSeek: no correction, and `moe_layer_freq`.
pub(super) fn deepseek(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    let moe = experts(f, "n_routed_experts", "num_experts_per_tok", "moe_intermediate_size");
    shape.moe = Some(shared(moe, f.size("n_shared_experts")));
    let (dense, step) = (f.size("first_k_dense_replace"), f.size("moe_layer_freq").max(1));
    shape.experts_where(|at| at >= dense && at.is_multiple_of(step));
    with_dense(f, &mut shape);
    shape
}

pub(super) fn gpt_oss(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    shape.attention = shape.attention.map(|attention| Attention { sinks: true, ..attention });
    let moe = experts(f, "num_local_experts", "num_experts_per_tok", "intermediate_size");
    all_experts(&mut shape, Moe { bias: true, router_bias: true, ..moe });
    sliding(f, &mut shape, |at| at.is_multiple_of(2));
    shape
}

/// Chunks and positions in most layers, everything without positions in the others.
pub(super) fn llama4(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    shape.ffn = Some(Ffn { d_ff: f.count("intermediate_size_mlp"), ..gated(f) });
    let moe = experts(f, "num_local_experts", "num_experts_per_tok", "intermediate_size");
    shape.moe = Some(shared(moe, 1));
    let listed = if f.gives("moe_layers") { f.numbers("moe_layers") } else { None };
    let step = if listed.is_some() { 1 } else { f.size("interleave_moe_layer_step").max(1) };
    shape.experts_where(|at| match &listed {
        Some(listed) => listed.contains(&at),
        None => (at + 1).is_multiple_of(step),
    });
    without_positions(f, &mut shape);
    let chunk = f.optional("attention_chunk_size");
    let types = f.words("layer_types", Some(shape.layers.len()));
    let normed = f.flag("use_qk_norm");
    shape.views(|at, view| {
        let chunked = match &types {
            Some(types) => types.get(at as usize) == Some(&"chunked_attention"),
            None => view.position == Position::Rope,
        };
        view.chunk = if chunked { chunk } else { None };
        if normed && view.position == Position::Rope {
            view.qk_norm = QkNorm::Unweighted;
        }
    });
    shape
}

pub(super) fn granitemoe(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    let moe = experts(f, "num_local_experts", "num_experts_per_tok", "intermediate_size");
    all_experts(&mut shape, shared_of(moe, f.size("shared_intermediate_size")));
    shape
}

pub(super) fn granitemoe_swa(f: &Fields<'_>) -> Shape {
    let mut shape = granitemoe(f);
    shape.attention = shape.attention.map(|attention| Attention { sinks: true, ..attention });
    sliding(f, &mut shape, |at| !at.is_multiple_of(4));
    shape
}

pub(super) fn exaone_moe(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    qk_norm(&mut shape, QkNorm::PerHead);
    let moe = experts(f, "num_experts", "num_experts_per_tok", "moe_intermediate_size");
    shape.moe = Some(Moe { correction_bias: true, ..shared(moe, f.size("num_shared_experts")) });
    let dense = if f.gives("mlp_layer_types") { 0 } else { f.size("first_k_dense_replace") };
    sparse_layers(f, &mut shape, |at| at >= dense);
    if f.size("sliding_window") > 0 {
        every_nth_full(f, &mut shape, "sliding_window_pattern");
        positions_where_windows(&mut shape);
    }
    with_dense(f, &mut shape);
    shape
}

pub(super) fn hunyuan_moe(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    qk_norm(&mut shape, QkNorm::PerHead);
    for key in ["num_experts", "moe_topk"] {
        if matches!(f.raw(key), Some(Json::List(_))) {
            f.refuse(key, "experts that differ in number between layers, nor lists of equal ones");
            return shape;
        }
    }
    let moe = experts(f, "num_experts", "moe_topk", "intermediate_size");
    all_experts(&mut shape, shared(moe, 1));
    shape
}

pub(super) fn hy_v3(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    qk_norm(&mut shape, QkNorm::PerHead);
    let moe = experts(f, "num_experts", "num_experts_per_tok", "moe_intermediate_size");
    shape.moe = Some(Moe { correction_bias: true, ..shared(moe, f.size("num_shared_experts")) });
    sparse_layers(f, &mut shape, |at| at >= 1);
    shared_bias(f, &mut shape, "mlp_bias");
    with_dense(f, &mut shape);
    shape
}

/// Biases on the dense and the shared matrices, and not on the routed ones.
pub(super) fn shared_bias(f: &Fields<'_>, shape: &mut Shape, key: &str) {
    if let Some(moe) = &mut shape.moe
        && moe.shared_experts > 0
    {
        moe.shared_bias = f.flag(key);
    }
}

pub(super) fn ernie4_5_moe(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    let moe = experts(f, "moe_num_experts", "moe_k", "moe_intermediate_size");
    shape.moe = Some(shared(counted_correction(f, moe), f.size("moe_num_shared_experts")));
    let (first, every) = (f.size("moe_layer_start_index"), f.size("moe_layer_interval").max(1));
    let last = match f.raw("moe_layer_end_index") {
        Some(Json::Number(number)) if *number == -1.0 => u64::MAX,
        _ => f.size("moe_layer_end_index"),
    };
    shape.experts_where(|at| at >= first && at <= last && (at + 1).is_multiple_of(every));
    shared_bias(f, &mut shape, "use_bias");
    shape.output_bias = f.flag("use_bias");
    with_dense(f, &mut shape);
    shape
}

/// The package makes the router's correction a parameter here, and so it counts as a bias of the router.
fn counted_correction(f: &Fields<'_>, moe: Moe) -> Moe {
    f.remark("the correction of the router is a parameter in this type: `router_bias = true`");
    Moe { router_bias: true, ..moe }
}

pub(super) fn minimax_m2(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    qk_norm(&mut shape, QkNorm::Full);
    let moe = experts(f, "num_local_experts", "num_experts_per_tok", "intermediate_size");
    all_experts(&mut shape, Moe { correction_bias: true, ..moe });
    shape
}

pub(super) fn mellum(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    qk_norm(&mut shape, QkNorm::PerHead);
    shape.moe = Some(experts(f, "num_local_experts", "num_experts_per_tok", "moe_intermediate_size"));
    sparse_layers(f, &mut shape, |_| true);
    sliding(f, &mut shape, |_| false);
    with_dense(f, &mut shape);
    shape
}

pub(super) fn afmoe(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    placed(&mut shape, Placement::Sandwich);
    qk_norm(&mut shape, QkNorm::PerHead);
    shape.attention = shape.attention.map(|attention| Attention { output_gate: true, ..attention });
    let moe = experts(f, "num_experts", "num_experts_per_tok", "moe_intermediate_size");
    shape.moe = Some(shared(counted_correction(f, moe), f.size("num_shared_experts")));
    let dense = f.size("num_dense_layers");
    shape.experts_where(|at| at >= dense);
    every_nth_full(f, &mut shape, "global_attn_every_n_layers");
    positions_where_windows(&mut shape);
    with_dense(f, &mut shape);
    shape
}

pub(super) fn aria(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    let moe = experts(f, "moe_num_experts", "moe_topk", "intermediate_size");
    all_experts(&mut shape, shared(moe, f.size("moe_num_shared_experts")));
    shared_bias(f, &mut shape, "mlp_bias");
    shape
}

pub(super) fn cohere2_moe(f: &Fields<'_>) -> Shape {
    let mut shape = attending(f);
    shape.norm = Norm { bias: false, ..Norm::LAYER };
    shape.block = Arrangement::Parallel;
    let moe = experts(f, "num_experts", "num_experts_per_tok", "intermediate_size");
    shape.moe = Some(shared(moe, f.size("num_shared_experts")));
    let dense = if f.gives("mlp_layer_types") { 0 } else { f.size("first_k_dense_replace") };
    sparse_layers(f, &mut shape, |at| at >= dense);
    if shape.layers.iter().any(|layer| layer.feed_forward == FeedForward::Dense) {
        shape.ffn =
            Some(Ffn { kind: moe.kind, d_ff: f.count("prefix_dense_intermediate_size"), bias: false });
    }
    if f.gives("layer_types") || dense == 0 {
        every_nth_full(f, &mut shape, "sliding_window_pattern");
    } else {
        let (early, late) =
            (f.size("prefix_dense_sliding_window_pattern").max(1), f.size("sliding_window_pattern").max(1));
        sliding(f, &mut shape, |at| {
            if at < dense { !(at + 1).is_multiple_of(early) } else { !(at - dense + 1).is_multiple_of(late) }
        });
    }
    positions_where_windows(&mut shape);
    shape
}

pub(super) fn dbrx(f: &Fields<'_>) -> Shape {
    let mut shape = decoder(f);
    shape.norm = Norm { bias: false, ..Norm::LAYER };
    let heads = f.count("num_attention_heads");
    let head_dim = divided(f, shape.d_model, heads);
    shape.attention = Some(with_heads(heads, f.count("attn_config.kv_n_heads"), head_dim));
    let moe = experts_of(
        f,
        "ffn_config.ffn_act_fn.name",
        "ffn_config.moe_num_experts",
        "ffn_config.moe_top_k",
        "ffn_config.ffn_hidden_size",
    );
    all_experts(&mut shape, moe);
    shape
}
