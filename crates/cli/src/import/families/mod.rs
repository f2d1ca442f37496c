//! The types that can be imported, and how each becomes a model.

mod common;
mod dense;
mod gpt;
mod hybrid;
mod latent;
mod moe;

use llmplan_spec::schema::suggest;

use super::Fault;
use super::fields::Fields;
use super::shape::Shape;

/// How a type is read.
pub(super) type Reader = fn(&Fields<'_>) -> Shape;

/// Every type with defaults of its own, and its reader.
const TYPES: &[(&str, Reader)] = &[
    ("afmoe", moe::afmoe),
    ("apertus", dense::apertus),
    ("arcee", dense::arcee),
    ("aria_text", moe::aria),
    ("baichuan", dense::baichuan),
    ("bamba", hybrid::bamba),
    ("biogpt", gpt::biogpt),
    ("bloom", gpt::bloom),
    ("chatglm", dense::chatglm),
    ("codegen", gpt::gptj),
    ("cohere", dense::cohere),
    ("cohere2", dense::cohere2),
    ("cohere2_moe", moe::cohere2_moe),
    ("cwm", dense::cwm),
    ("dbrx", moe::dbrx),
    ("deepseek", moe::deepseek),
    ("deepseek_v2", latent::deepseek_v2),
    ("deepseek_v3", latent::deepseek_v3),
    ("dots1", moe::dots1),
    ("ernie4_5", common::llama),
    ("ernie4_5_moe", moe::ernie4_5_moe),
    ("exaone4", dense::exaone4),
    ("exaone_moe", moe::exaone_moe),
    ("falcon", gpt::falcon),
    ("flex_olmo", moe::flex_olmo),
    ("gemma", common::llama),
    ("gemma2", dense::gemma2),
    ("gemma3_text", dense::gemma3),
    ("glm", dense::glm),
    ("glm4", dense::glm4),
    ("glm4_moe", moe::glm4_moe),
    ("glm4_moe_lite", latent::glm4_moe_lite),
    ("gpt2", gpt::gpt2),
    ("gpt_bigcode", gpt::gpt_bigcode),
    ("gpt_neo", gpt::gpt_neo),
    ("gpt_neox", gpt::gpt_neox),
    ("gpt_oss", moe::gpt_oss),
    ("gptj", gpt::gptj),
    ("granite", common::llama),
    ("granite_swa", dense::granite_swa),
    ("granitemoe", moe::granitemoe),
    ("granitemoe_swa", moe::granitemoe_swa),
    ("granitemoehybrid", hybrid::granitemoehybrid),
    ("granitemoeshared", moe::granitemoe),
    ("helium", dense::helium),
    ("hunyuan_v1_dense", dense::hunyuan),
    ("hunyuan_v1_moe", moe::hunyuan_moe),
    ("hy_v3", moe::hy_v3),
    ("hyperclovax", dense::hyperclovax),
    ("internlm", common::llama),
    ("internlm2", common::llama),
    ("internlm3", common::llama),
    ("jais2", dense::nemotron),
    ("llama", common::llama),
    ("llama4_text", moe::llama4),
    ("mamba2", hybrid::mamba2),
    ("mellum", moe::mellum),
    ("minicpm", common::llama),
    ("minicpm3", latent::dense),
    ("minimax_m2", moe::minimax_m2),
    ("ministral", dense::mistral),
    ("ministral3", dense::mistral),
    ("mistral", dense::mistral),
    ("mixtral", moe::mixtral),
    ("mpt", gpt::mpt),
    ("nanochat", dense::nanochat),
    ("nemotron", dense::nemotron),
    ("nemotron_h", hybrid::nemotron_h),
    ("olmo", dense::olmo),
    ("olmo2", dense::olmo2),
    ("olmo3", dense::olmo3),
    ("olmo_hybrid", hybrid::olmo_hybrid),
    ("olmoe", moe::olmoe),
    ("openai-gpt", gpt::openai_gpt),
    ("opt", gpt::opt),
    ("persimmon", gpt::persimmon),
    ("phi", gpt::phi),
    ("phi3", dense::phi3),
    ("phimoe", moe::phimoe),
    ("qwen", dense::qwen),
    ("qwen2", dense::qwen2),
    ("qwen2_moe", moe::qwen2_moe),
    ("qwen3", dense::qwen3),
    ("qwen3_5_moe_text", hybrid::qwen3_5_moe),
    ("qwen3_5_text", hybrid::qwen3_5),
    ("qwen3_moe", moe::qwen3_moe),
    ("qwen3_next", hybrid::qwen3_next),
    ("seed_oss", dense::seed_oss),
    ("smollm3", dense::smollm3),
    ("solar_open", moe::solar_open),
    ("stablelm", dense::stablelm),
    ("starcoder2", gpt::starcoder2),
    ("vaultgemma", dense::vaultgemma),
    ("xglm", gpt::xglm),
    ("youtu", latent::dense),
];

/// Types that are others under a name of their own.
const SAME: &[(&str, &str)] = &[
    ("Yi", "llama"),
    ("aquila", "llama"),
    ("cohere2_vision_text", "cohere2"),
    ("emu3_text_model", "llama"),
    ("exaone", "llama"),
    ("gemma3", "gemma3_text"),
    ("glm4v_text", "glm4"),
    ("glm4v_moe_text", "glm4_moe"),
    ("gpt-sw3", "gpt2"),
    ("iquestcoder", "llama"),
    ("kimi_k2", "deepseek_v3"),
    ("llama4", "llama4_text"),
    ("llava", "llama"),
    ("llava_next", "llama"),
    ("mistral3", "mistral"),
    ("qwen2_5_vl", "qwen2"),
    ("qwen2_5_vl_text", "qwen2"),
    ("qwen2_vl", "qwen2"),
    ("qwen2_vl_text", "qwen2"),
    ("qwen3_5", "qwen3_5_text"),
    ("qwen3_5_moe", "qwen3_5_moe_text"),
    ("qwen3_vl_moe_text", "qwen3_moe"),
    ("qwen3_vl_text", "qwen3"),
    ("RefinedWeb", "falcon"),
    ("RefinedWebModel", "falcon"),
    ("phi3_v", "phi3"),
    ("stablelm_epoch", "stablelm"),
    ("xverse", "llama"),
];

/// Types that the language cannot say, and the part that it has no word for.
const REFUSED: &[(&str, &str)] = &[
    ("axk1", "norms that only the layers with experts have"),
    ("axk2", "norms that only the layers with experts have"),
    ("bailing_hybrid", "Kimi Delta Attention"),
    ("bart", "an encoder"),
    ("bert", "an encoder"),
    ("bitnet", "norms inside of attention and FFN"),
    ("blt", "patches of bytes"),
    ("deepseek_v32", "an indexer that chooses what attention sees"),
    ("deepseek_v4", "compressed attention and hyper-connections"),
    ("diffllama", "differential attention"),
    ("doge", "dynamic masks in attention"),
    ("falcon_h1", "attention and Mamba side by side in one layer"),
    ("falcon_mamba", "Mamba-1 mixers"),
    ("gemma3n", "embeddings of each layer and layers that share keys and values"),
    ("gemma3n_text", "embeddings of each layer and layers that share keys and values"),
    ("gemma4", "embeddings of each layer and heads whose width differs between layers"),
    ("gemma4_text", "embeddings of each layer and heads whose width differs between layers"),
    ("glm_moe_dsa", "an indexer that chooses what attention sees"),
    ("gpt_neox_japanese", "biases in the last layer alone"),
    ("jamba", "Mamba-1 mixers"),
    ("jetmoe", "mixtures of attention heads"),
    ("kimi_linear", "Kimi Delta Attention"),
    ("laguna", "heads whose number differs between layers"),
    ("lfm2", "short convolutions as mixers"),
    ("lfm2_moe", "short convolutions as mixers"),
    ("longcat_flash", "layers of two attentions and experts that do nothing"),
    ("mamba", "Mamba-1 mixers"),
    ("mimo_v2_flash", "heads whose number differs between layers"),
    ("minimax", "lightning attention"),
    ("mllama", "layers that attend to images"),
    ("recurrent_gemma", "RG-LRU mixers"),
    ("rwkv", "RWKV mixers"),
    ("t5", "an encoder"),
    ("whisper", "an encoder"),
    ("xlnet", "permuted attention"),
    ("xlstm", "xLSTM mixers"),
    ("zamba", "blocks that several layers share"),
    ("zamba2", "blocks that several layers share"),
];

/// The type with defaults that a name stands for, and its reader.
///
/// # Errors
/// Where there is no such type, or the language cannot say what it is.
pub(super) fn find(name: &str) -> Result<(&'static str, Reader), Fault> {
    let own = SAME.iter().find(|(same, _)| *same == name).map_or(name, |(_, own)| own);
    if let Some((own, reader)) = TYPES.iter().find(|(known, _)| *known == own) {
        return Ok((own, *reader));
    }
    let shown = crate::render::clean(&crate::render::shortened(name, 60));
    if let Some((_, part)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Err(Fault::new(format!(
            "the model type `{shown}` has {part}, for which the language has no words"
        ))
        .help("write the model by hand, as near as it comes: `llmplan docs model`"));
    }
    let near = near(name);
    let fault = Fault::new(format!("the model type `{shown}` is not known"));
    Err(match near.as_slice() {
        [] => fault.help("if it is like one that is known, name that: `--as llama`"),
        [first, ..] => {
            let list: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
            fault.help(format!("near it: {}; `--as {first}` reads it as that", list.join(", ")))
        }
    })
}

/// The types with names near to one: that which it may be misspelled from, then those that begin like it.
fn near(name: &str) -> Vec<&'static str> {
    let names = || TYPES.iter().map(|(name, _)| *name).chain(SAME.iter().map(|(name, _)| *name));
    let common =
        |known: &str| known.bytes().zip(name.to_lowercase().bytes()).take_while(|(a, b)| a == b).count();
    let mut alike: Vec<&str> = names().filter(|known| common(known) > 2).collect();
    alike.sort_by_key(|known| std::cmp::Reverse(common(known)));
    let mut found: Vec<&str> = suggest::nearest(name, names()).into_iter().collect();
    for known in alike {
        if !found.contains(&known) {
            found.push(known);
        }
    }
    found.truncate(4);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::defaults;

    #[test]
    fn every_type_has_defaults() {
        for (name, _) in TYPES {
            assert!(defaults::of(name).is_ok(), "{name}");
        }
        for (name, own) in SAME {
            assert!(TYPES.iter().any(|(known, _)| known == own), "{name} is {own}");
        }
    }

    /// The page on importing names every type.
    #[test]
    fn every_type_is_documented() {
        const PAGE: &str = include_str!("../../../../../docs/importing.md");
        for name in TYPES.iter().map(|(name, _)| name).chain(SAME.iter().map(|(name, _)| name)) {
            assert!(PAGE.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn types_are_listed_once_and_those_near_are_found() {
        let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names.len(), sorted.len());
        assert_eq!(near("lama").first(), Some(&"llama"));
        assert!(near("qwen3_6").iter().all(|known| known.starts_with("qwen3")));
        assert!(near("zzz").is_empty());
    }
}
