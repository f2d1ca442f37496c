//! The model of a row, as a block of the language.

use super::origin::Framework;
use super::rows::{Row, after};
use super::shapes::{self, bare, letters, size, spread};

/// The model block of a row, if it needs one, and the name that the plan picks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelText {
    /// A `model` block; empty where the catalog's is taken as it is.
    pub(crate) block: String,
    /// Its name.
    pub(crate) name: String,
}

/// The model of a row: the catalog's by name, with what the row states of it; else the GPT of the row's own shape; else
/// one that `models.json` records; else a shape published elsewhere; else a GPT of the size in the name.
///
/// # Errors
/// Why there is none.
pub(crate) fn model(row: &Row, framework: Framework, records: &[Row]) -> Result<ModelText, String> {
    let name = row.text("model").ok_or("the row names no model")?;
    for word in ["t5", "meena", "bert-base", "vit", "unet"] {
        if letters(name).starts_with(&letters(word)) {
            return Err("the model is no decoder, and its shape is not stated".to_owned());
        }
    }
    // LLM Foundry's benchmarks are of GPTs with learned positions, whatever the released models of that name are.
    if framework != Framework::Foundry
        && let Some(known) = shapes::catalog_name(name)
        && agrees(row, known)
    {
        return Ok(of_catalog(row, known, framework));
    }
    if row.count("d_model").is_some() {
        return gpt(row, framework).map(own);
    }
    if let Some(known) = shapes::catalog_name(name) {
        return Ok(of_catalog(row, known, framework));
    }
    if name.contains(" layers, d ") {
        return from_words(name).map(own);
    }
    if let Some(record) = records.iter().find(|record| same_name(record, name)) {
        return super::record::model(record).map(own);
    }
    if let Some(block) = shapes::published(name) {
        return Ok(own(block));
    }
    let word = bare(name).to_lowercase();
    let only_a_size = letters(&word).len() <= 5 && size(name).is_some();
    let sized =
        only_a_size || word.contains("gpt") || word.contains("megatron") || framework == Framework::Zero;
    match size(name).or_else(|| row.number("params")) {
        Some(params) if sized => Ok(own(of_size(params, row))),
        _ => Err(format!("no shape is known of the model {}", bare(name))),
    }
}

fn own(block: String) -> ModelText {
    ModelText { block, name: "run".to_owned() }
}

fn same_name(record: &Row, name: &str) -> bool {
    record.text("name").is_some_and(|own| letters(own) == letters(bare(name)))
}

/// Whether the row's own width is that of the catalog's model; the number of layers may differ.
fn agrees(row: &Row, known: &str) -> bool {
    let text = llmplan_spec::catalog::find("model", known).map_or("", |entry| entry.text);
    row.count("d_model").is_none_or(|width| after(&text.replace('_', ""), "dmodel") == Some(width as f64))
}

/// A model of the catalog with what the row changes: fewer layers, heads, a longer context, dropped tokens, prediction of
/// further tokens.
fn of_catalog(row: &Row, known: &str, framework: Framework) -> ModelText {
    let text = llmplan_spec::catalog::find("model", known).map_or("", |entry| entry.text).replace('_', "");
    let name = row.lower("model");
    let mut own = String::new();
    let layers = row.count("layers").filter(|layers| after(&text, "layers") != Some(*layers as f64));
    if let Some(layers) = layers {
        own.push_str(&format!("layers = {layers}; "));
        // A reduced DeepSeek-V3 of three layers would have no experts: sources say how many stay dense.
        if let Some(dense) = after(&row.lower("notes"), "dense_layers").filter(|_| name.contains("v3")) {
            own.push_str(&format!("layer dense {{ at = first {dense} }}; "));
        }
    }
    if let Some(heads) = after(&name, "kv_head_num") {
        own.push_str(&format!("attention {{ kv_heads = {heads} }}; "));
    }
    let learned = text.contains("position = learned");
    let sequence = row.count("seq_len");
    if let Some(sequence) =
        sequence.filter(|length| after(&text, "context").is_some_and(|own| *length as f64 > own))
    {
        own.push_str(&format!("context = {sequence}; "));
    } else if let Some(sequence) = sequence.filter(|_| learned && after(&text, "context").is_none()) {
        own.push_str(&format!("context = {sequence}; "));
    }
    if name.contains("tokendrop") {
        own.push_str("moe { capacity = 1 }; ");
    }
    // Megatron-Bridge's recipes train DeepSeek-V3's further token unless the table says otherwise.
    let mtp = known == "deepseek-v3" && framework == Framework::Nemo && !name.contains("w/o mtp");
    if mtp {
        own.push_str("mtp { depth = 1 }; ");
    }
    if own.is_empty() {
        return ModelText { block: String::new(), name: known.to_owned() };
    }
    let block = spread(&format!("model run extends {known} {{ {} }}\n", own.trim_end_matches("; ")));
    ModelText { block, name: "run".to_owned() }
}

/// A GPT of the row's shape: biases, LayerNorm, GELU over 4·d; BLOOM has ALiBi and a norm behind the embedding. Output and
/// embedding are one matrix unless the stated size says otherwise.
fn gpt(row: &Row, framework: Framework) -> Result<String, String> {
    let count = |field: &str| row.count(field).ok_or_else(|| format!("the row has no {field}"));
    let width = count("d_model")?;
    let heads = row.count("n_heads").unwrap_or((width / 128).max(1));
    let vocab = row.count("vocab").unwrap_or(MEGATRON_VOCAB);
    let layers = match row.count("layers") {
        Some(layers) => layers,
        None => layers_of(row, width, vocab)?,
    };
    let bloom = row.lower("model").contains("bloom") || row.lower("source").contains("bigscience");
    let context = row.count("seq_len").unwrap_or(2048);
    let (body, embedding) = (12.0 * layers as f64 * (width as f64).powi(2), width as f64 * vocab as f64);
    let stated = row.number("params").or_else(|| row.text("model").and_then(size));
    let tied = stated.is_none_or(|size| {
        (size - body - embedding).abs() <= (size - body - 2.0 * embedding).abs()
            || framework == Framework::Foundry
    });
    let position = if bloom { "alibi" } else { "learned" };
    let more = if bloom { "; embedding = true" } else { "" };
    Ok(spread(&format!(
        "model run {{ layers = {layers}; d_model = {width}; vocab = {vocab}; context = {context}; tied_embeddings = {tied}; \
         attention {{ heads = {heads}; position = {position}; qkv_bias = true; output_bias = true }}; \
         ffn {{ bias = true }}; norm {{ kind = layernorm{more} }} }}\n"
    )))
}

/// Megatron-LM's padding of GPT-2's vocabulary under tensor parallelism by 8.
const MEGATRON_VOCAB: u64 = 51_200;

/// Layers that a row leaves out: what the size in its name makes them, as the nearest multiple of the pipeline's stages.
fn layers_of(row: &Row, width: u64, vocab: u64) -> Result<u64, String> {
    let size = row.text("model").and_then(size).ok_or("the row has no layers, and its model no size")?;
    let width = width as f64;
    let layers = (size - width * vocab as f64) / (12.0 * width * width + 13.0 * width);
    let stages = row.count("pp").unwrap_or(1) as f64;
    let layers = (layers / stages).round() * stages;
    if layers < 1.0 { Err("the row's size leaves no layers".to_owned()) } else { Ok(layers as u64) }
}

/// A shape that a name spells out: `(gpt_neox: 16 layers, d 4096, 32 heads, ff 16384, vocab 50688)`.
fn from_words(name: &str) -> Result<String, String> {
    let find = |word: &str| {
        after(name, word)
            .filter(|number| *number >= 1.0)
            .ok_or_else(|| format!("the model's shape has no {word}"))
    };
    let before =
        |word: &str| super::rows::before(name, word).ok_or_else(|| format!("the model's shape has no{word}"));
    let (layers, heads) = (before(" layers")?, before(" heads")?);
    let (width, inner, vocab) = (find(", d ")?, find(", ff ")?, find(", vocab ")?);
    // BERT: norms behind each half and behind the embedding; its types of segments are left out.
    let (stream, position, norm) = match super::rows::before(name, " positions") {
        Some(rows) => (
            format!("context = {rows}; tied_embeddings = true; "),
            "position = learned; ",
            "; placement = post_residual; embedding = true; final = false",
        ),
        None => (String::new(), "", ""),
    };
    let block = if name.contains("neox") { "block = parallel_two_norms; " } else { "" };
    Ok(spread(&format!(
        "model run {{ layers = {layers}; d_model = {width}; vocab = {vocab}; {stream}{block}\
         attention {{ heads = {heads}; {position}qkv_bias = true; output_bias = true }}; \
         ffn {{ d_ff = {inner}; bias = true }}; norm {{ kind = layernorm{norm} }} }}\n"
    )))
}

/// A GPT of so many parameters: the width that models of that size have, and as many layers as that takes (Brown 2020
/// Table 2.1; Narayanan 2021 Table 1).
fn of_size(params: f64, row: &Row) -> String {
    let near = |shape: &(f64, u64, u64)| (shape.0 / params).ln().abs();
    let (_, width, heads) = WIDTHS
        .iter()
        .min_by(|one, other| near(one).total_cmp(&near(other)))
        .copied()
        .unwrap_or((1.3e9, 2048, 16));
    let d = width as f64;
    let vocab = 50_304;
    let layers = (((params - d * f64::from(vocab)) / (12.0 * d * d)).round()).max(1.0);
    let context = row.count("seq_len").unwrap_or(2048);
    spread(&format!(
        "model run {{ layers = {layers}; d_model = {width}; vocab = {vocab}; context = {context}; tied_embeddings = true; \
         attention {{ heads = {heads}; position = learned; qkv_bias = true; output_bias = true }}; \
         ffn {{ bias = true }}; norm {{ kind = layernorm }} }}\n"
    ))
}

/// Size, width and heads.
const WIDTHS: &[(f64, u64, u64)] = &[
    (125e6, 768, 12),
    (350e6, 1024, 16),
    (760e6, 1536, 16),
    (1.3e9, 2048, 16),
    (2.7e9, 2560, 32),
    (6.7e9, 4096, 32),
    (13e9, 5120, 40),
    (20e9, 6144, 48),
    (39e9, 8192, 64),
    (76e9, 10_240, 80),
    (175e9, 12_288, 96),
    (310e9, 16_384, 128),
    (530e9, 20_480, 128),
    (1e12, 25_600, 160),
];
