//! A model that `models.json` records and the catalog lacks.

use super::rows::Row;
use super::shapes::spread;

/// The `model` block of a record: decoders of attention and dense or routed feed-forward networks.
///
/// # Errors
/// What the record lacks, or has that the language does not.
pub(crate) fn model(record: &Row) -> Result<String, String> {
    let count = |field: &str| record.count(field).ok_or_else(|| format!("the model's record has no {field}"));
    let (layers, width, heads) = (count("layers")?, count("d_model")?, count("n_heads")?);
    let (vocab, inner) = (count("vocab_size")?, count("d_ff")?);
    let kind = match record.lower("ffn") {
        words if words.contains("swiglu") => "swiglu",
        words if words.contains("geglu") => "geglu",
        words if words.contains("relu2") || words.contains("squared") => "relu2",
        words if words.contains("relu") => "relu",
        _ => "gelu",
    };
    let norm = match record.lower("norm") {
        words if words.contains("nonparametric") => "kind = layernorm; weight = false",
        words if words.contains("nobias") => "kind = layernorm; bias = false",
        words if words.contains("layernorm") => "kind = layernorm",
        _ => "kind = rmsnorm",
    };
    let biases = record.inner("biases").unwrap_or_default();
    let position = record.inner("position").unwrap_or_default();
    let place = match position.lower("type") {
        words if words.contains("learned") => "learned",
        words if words.contains("alibi") => "alibi",
        words if words.contains("relative") => "relative",
        words if words.contains("none") => "none",
        _ => "rope",
    };
    let context = record.first_count(&["context_length"]).or_else(|| position.count("size")).unwrap_or(2048);
    let mut text = format!(
        "model run {{ layers = {layers}; d_model = {width}; vocab = {vocab}; context = {context}; tied_embeddings = {}; ",
        record.flag("tied_embeddings"),
    );
    if record.flag("parallel_attn_ffn") {
        text.push_str("block = parallel; ");
    }
    let attention = match record.inner("mla") {
        Some(latent) => {
            let rank = |field: &str, name: &str| {
                latent.count(field).map_or(String::new(), |number| format!("{name} = {number}; "))
            };
            format!(
                "kind = mla; heads = {heads}; {}{}{}{}{}",
                rank("q_lora_rank", "q_rank"),
                rank("kv_lora_rank", "kv_rank"),
                rank("qk_nope_head_dim", "nope_dim"),
                rank("qk_rope_head_dim", "rope_dim"),
                rank("v_head_dim", "v_dim"),
            )
        }
        None => format!(
            "heads = {heads}; kv_heads = {}; head_dim = {}; position = {place}; ",
            record.count("n_kv_heads").unwrap_or(heads),
            record.count("head_dim").unwrap_or(width / heads),
        ),
    };
    text.push_str(&format!(
        "attention {{ {attention}qkv_bias = {}; output_bias = {} }}; ffn {{ kind = {kind}; d_ff = {inner}; bias = {} }}; \
         norm {{ {norm} }}; ",
        biases.flag("qkv"),
        biases.flag("attn_out"),
        biases.flag("ffn"),
    ));
    if let Some(moe) = record.inner("moe") {
        text.push_str(&experts(&moe, kind)?);
    }
    Ok(spread(&format!("{} }}\n", text.trim_end_matches("; "))))
}

/// The `moe` block of a record, and the layers before it that have none.
fn experts(moe: &Row, kind: &str) -> Result<String, String> {
    let count = |field: &str| moe.count(field).ok_or_else(|| format!("the model's experts have no {field}"));
    let mut text = format!(
        "moe {{ experts = {}; experts_per_token = {}; d_ff = {}; kind = {kind}",
        count("experts")?,
        count("top_k")?,
        count("expert_d_ff")?,
    );
    for (field, name) in [("shared_experts", "shared_experts"), ("shared_d_ff", "shared_d_ff")] {
        if let Some(number) = moe.count(field) {
            text.push_str(&format!("; {name} = {number}"));
        }
    }
    for (field, name) in
        [("router_bias", "router_bias"), ("shared_gate", "shared_gate"), ("expert_bias", "bias")]
    {
        if moe.flag(field) {
            text.push_str(&format!("; {name} = true"));
        }
    }
    text.push_str(" }; ");
    if let Some(dense) = moe.count("first_dense_layers") {
        text.push_str(&format!("layer dense {{ at = first {dense}; feed_forward = dense }}; "));
    }
    Ok(text)
}
