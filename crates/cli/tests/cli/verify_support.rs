//! Checkpoints without values, for tests of `llmplan verify`.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use crate::support::{Folder, Run};

/// Tensors by name: type and shape.
pub(crate) type Tensors = BTreeMap<String, (String, Vec<u64>)>;

/// Bytes of a value.
fn size(dtype: &str) -> u64 {
    let sizes = [("F32", 4), ("I32", 4), ("BF16", 2), ("F16", 2), ("U8", 1), ("F8_E4M3", 1)];
    sizes.iter().find(|(name, _)| *name == dtype).unwrap().1
}

/// The bytes of the data, and the header with its length.
fn header(tensors: &Tensors) -> (u64, Vec<u8>) {
    let mut end = 0;
    let mut entries = serde_json::Map::new();
    for (name, (dtype, shape)) in tensors {
        let start = end;
        end += size(dtype) * shape.iter().product::<u64>();
        entries.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}));
    }
    let text = serde_json::to_string(&entries).unwrap();
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.into_bytes());
    (end, bytes)
}

/// Writes a checkpoint without values: the data are a hole in the file.
pub(crate) fn write(folder: &Folder, name: &str, tensors: &Tensors) {
    let (data, bytes) = header(tensors);
    let length = bytes.len() as u64 + data;
    folder.write(name, bytes);
    let file = fs::OpenOptions::new().write(true).open(folder.path().join(name)).unwrap();
    file.set_len(length).unwrap();
}

/// Parts `name dtype side side …`, one a line; `*` stands for every number from 0 up to the given one.
pub(crate) fn tensors(lines: &str) -> Tensors {
    let mut tensors = Tensors::new();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let (name, dtype) = (words.next().unwrap(), words.next().unwrap());
        let shape: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
        for layer in 0..if name.contains('*') { 2 } else { 1 } {
            let name = name.replacen('*', &layer.to_string(), 1);
            for expert in 0..if name.contains('+') { 4 } else { 1 } {
                let name = name.replacen('+', &expert.to_string(), 1);
                tensors.insert(name, (dtype.to_owned(), shape.clone()));
            }
        }
    }
    tensors
}

/// A model in the manner of Llama, by hand.
pub(crate) const LLAMA: &str = "model tiny {
  layers = 2
  d_model = 32
  vocab = 64
  context = 128

  attention {
    heads = 4
    kv_heads = 2
  }

  ffn {
    kind = swiglu
    d_ff = 48
  }
}
";

pub(crate) fn llama() -> Tensors {
    tensors(
        "lm_head.weight BF16 64 32
        model.embed_tokens.weight BF16 64 32
        model.norm.weight BF16 32
        model.layers.*.input_layernorm.weight BF16 32
        model.layers.*.post_attention_layernorm.weight BF16 32
        model.layers.*.mlp.down_proj.weight BF16 32 48
        model.layers.*.mlp.gate_proj.weight BF16 48 32
        model.layers.*.mlp.up_proj.weight BF16 48 32
        model.layers.*.self_attn.q_proj.weight BF16 32 32
        model.layers.*.self_attn.k_proj.weight BF16 16 32
        model.layers.*.self_attn.v_proj.weight BF16 16 32
        model.layers.*.self_attn.o_proj.weight BF16 32 32",
    )
}

/// Verifies a model against a checkpoint of these tensors.
pub(crate) fn verify(test: &str, model: &str, tensors: &Tensors) -> Run {
    let folder = Folder::new(test);
    folder.write("model.llm", model);
    write(&folder, "model.safetensors", tensors);
    folder.run(&["verify", "model.llm", "model.safetensors"])
}

pub(crate) fn equal(test: &str, model: &str, tensors: &Tensors) {
    let run = verify(test, model, tensors);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.stdout);
    let buffers = tensors.keys().filter(|name| name.ends_with(".attn.bias") || name.ends_with("masked_bias"));
    let scales = tensors.keys().filter(|name| name.ends_with("_scale_inv"));
    let compared = tensors.len() - buffers.count() - scales.count();
    assert!(run.stdout.starts_with(&format!("OK, {compared} tensors, ")), "{}", run.stdout);
}

/// A folder with a model and its checkpoint in two files with an index.
pub(crate) fn sharded(test: &str) -> Folder {
    let folder = Folder::new(test);
    folder.write("model.llm", LLAMA).write("ck/a.safetensors", "");
    let all = llama();
    let (first, second): (Vec<_>, Vec<_>) =
        all.clone().into_iter().partition(|(name, _)| !name.contains("layers.1."));
    write(&folder, "ck/a.safetensors", &first.into_iter().collect());
    write(&folder, "ck/b.safetensors", &second.into_iter().collect());
    let map: BTreeMap<&str, &str> = all
        .keys()
        .map(|name| {
            (name.as_str(), if name.contains("layers.1.") { "b.safetensors" } else { "a.safetensors" })
        })
        .collect();
    let index = json!({"metadata": {"total_size": 39_232}, "weight_map": map});
    folder.write("ck/model.safetensors.index.json", index.to_string());
    folder
}
