//! `llmplan verify`: plans against checkpoints.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{Folder, shown};
use crate::verify_support::{LLAMA, Tensors, equal, llama, sharded, tensors, verify, write};

#[test]
fn a_file_that_the_crate_writes_is_read() {
    let all = llama();
    let data: BTreeMap<&str, Vec<u8>> = all
        .iter()
        .map(|(name, (_, shape))| (name.as_str(), vec![0; 2 * shape.iter().product::<u64>() as usize]))
        .collect();
    let views = all.iter().map(|(name, (_, shape))| {
        let shape = shape.iter().map(|&side| side as usize).collect();
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::BF16, shape, &data[name.as_str()]);
        (name.as_str(), view.unwrap())
    });
    let folder = Folder::new("verify-crate");
    folder.write("model.llm", LLAMA);
    folder.write("model.safetensors", safetensors::serialize(views, None).unwrap());
    assert_snapshot!("verify_equal", shown(&folder.run(&["verify", "model.llm", "model.safetensors"])));
}

/// The shapes that are published with Llama 3 8B (Dubey 2024, table 3, and its released checkpoint): 8,030,261,248
/// parameters. The file has no values, but their length.
#[test]
fn a_large_checkpoint_is_its_header() {
    let model = "model llama-3-8b {
  layers = 32
  d_model = 4096
  vocab = 128_256

  attention {
    heads = 32
    kv_heads = 8
  }

  ffn {
    kind = swiglu
    d_ff = 14_336
  }
}
";
    let sides = |side: u64| match side {
        16 => 1024,
        32 => 4096,
        48 => 14_336,
        64 => 128_256,
        other => other,
    };
    let mut all = Tensors::new();
    for (name, (dtype, shape)) in llama().into_iter().filter(|(name, _)| !name.contains("layers.1.")) {
        let shape: Vec<u64> = shape.into_iter().map(sides).collect();
        for layer in 0..if name.contains("layers.0.") { 32 } else { 1 } {
            let name = name.replace("layers.0.", &format!("layers.{layer}."));
            all.insert(name, (dtype.clone(), shape.clone()));
        }
    }
    let run = verify("verify-large", model, &all);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_snapshot!("verify_large", shown(&run));
}

#[test]
fn gpt2_with_and_without_its_prefix() {
    let model = "model tiny {
  layers = 2
  d_model = 32
  vocab = 64
  context = 128
  tied_embeddings = true

  attention {
    heads = 4
    position = learned
    qkv_bias = true
    output_bias = true
  }

  ffn {
    bias = true
  }

  norm {
    kind = layernorm
  }
}
";
    let bare = tensors(
        "wte.weight F32 64 32
        wpe.weight F32 128 32
        ln_f.weight F32 32
        ln_f.bias F32 32
        h.*.ln_1.weight F32 32
        h.*.ln_1.bias F32 32
        h.*.ln_2.weight F32 32
        h.*.ln_2.bias F32 32
        h.*.attn.bias F32 1 1 128 128
        h.*.attn.masked_bias F32
        h.*.attn.c_attn.weight F32 32 96
        h.*.attn.c_attn.bias F32 96
        h.*.attn.c_proj.weight F32 32 32
        h.*.attn.c_proj.bias F32 32
        h.*.mlp.c_fc.weight F32 32 128
        h.*.mlp.c_fc.bias F32 128
        h.*.mlp.c_proj.weight F32 128 32
        h.*.mlp.c_proj.bias F32 32",
    );
    equal("verify-gpt2-bare", model, &bare);
    let mut prefixed: Tensors =
        bare.iter().map(|(name, what)| (format!("transformer.{name}"), what.clone())).collect();
    equal("verify-gpt2", model, &prefixed);
    prefixed.insert("lm_head.weight".to_owned(), ("F32".to_owned(), vec![64, 32]));
    assert_snapshot!("verify_tied_and_buffers", shown(&verify("verify-gpt2-tied", model, &prefixed)));
    prefixed.insert("lm_head.weight".to_owned(), ("F32".to_owned(), vec![65, 32]));
    assert_eq!(verify("verify-gpt2-tied-wrong", model, &prefixed).code, 1);
}

#[test]
fn experts_are_one_by_one_or_stacked() {
    let model = LLAMA.replace(
        "  ffn {\n    kind = swiglu\n    d_ff = 48\n  }\n",
        "  moe {\n    experts = 4\n    experts_per_token = 2\n    d_ff = 24\n    kind = swiglu\n  }\n",
    );
    let mut one_by_one = llama();
    one_by_one.retain(|name, _| !name.contains(".mlp."));
    let mut stacked = one_by_one.clone();
    one_by_one.extend(tensors(
        "model.layers.*.block_sparse_moe.gate.weight BF16 4 32
        model.layers.*.block_sparse_moe.experts.+.w1.weight BF16 24 32
        model.layers.*.block_sparse_moe.experts.+.w2.weight BF16 32 24
        model.layers.*.block_sparse_moe.experts.+.w3.weight BF16 24 32",
    ));
    stacked.extend(tensors(
        "model.layers.*.mlp.router.weight BF16 4 32
        model.layers.*.mlp.experts.gate_up_proj BF16 4 32 48
        model.layers.*.mlp.experts.down_proj BF16 4 24 32",
    ));
    equal("verify-experts", &model, &one_by_one);
    equal("verify-experts-stacked", &model, &stacked);
    // One expert of four is missing, and another is there twice under a wrong number.
    let name = "model.layers.1.block_sparse_moe.experts.2.w1.weight";
    let expert = one_by_one.remove(name).unwrap();
    assert_snapshot!("verify_expert_missing", shown(&verify("verify-experts-missing", &model, &one_by_one)));
    one_by_one.insert(name.replace(".2.", ".7."), expert);
    assert_snapshot!(
        "verify_expert_misnumbered",
        shown(&verify("verify-experts-number", &model, &one_by_one))
    );
}

/// DeepSeek's attention, its correction bias, and its module behind the layers; in fp8 with scales.
#[test]
fn latents_and_multi_token_prediction() {
    let model = "model tiny {
  layers = 2
  d_model = 32
  vocab = 64
  context = 128

  attention {
    kind = mla
    heads = 4
    q_rank = 24
    kv_rank = 16
    nope_dim = 8
    rope_dim = 4
  }

  moe {
    experts = 4
    experts_per_token = 2
    d_ff = 24
    kind = swiglu
    shared_experts = 1
    correction_bias = true
  }
}
";
    let mut all = tensors(
        "lm_head.weight BF16 64 32
        model.embed_tokens.weight BF16 64 32
        model.norm.weight BF16 32",
    );
    let layer = "input_layernorm.weight BF16 32
        post_attention_layernorm.weight BF16 32
        self_attn.q_a_proj.weight F8_E4M3 24 32
        self_attn.q_a_proj.weight_scale_inv F32 1 1
        self_attn.q_a_layernorm.weight BF16 24
        self_attn.q_b_proj.weight BF16 48 24
        self_attn.kv_a_proj_with_mqa.weight BF16 20 32
        self_attn.kv_a_layernorm.weight BF16 16
        self_attn.kv_b_proj.weight BF16 64 16
        self_attn.o_proj.weight BF16 32 32
        mlp.gate.weight BF16 4 32
        mlp.gate.e_score_correction_bias F32 4
        mlp.experts.+.gate_proj.weight BF16 24 32
        mlp.experts.+.up_proj.weight BF16 24 32
        mlp.experts.+.down_proj.weight BF16 32 24
        mlp.shared_experts.gate_proj.weight BF16 24 32
        mlp.shared_experts.up_proj.weight BF16 24 32
        mlp.shared_experts.down_proj.weight BF16 32 24";
    let at = |place: &str| layer.lines().map(|line| format!("{place}.{}\n", line.trim())).collect::<String>();
    all.extend(tensors(&at("model.layers.*")));
    equal("verify-mla", model, &all);

    all.extend(tensors(&at("model.layers.2")));
    all.extend(tensors(
        "model.layers.2.enorm.weight BF16 32
        model.layers.2.hnorm.weight BF16 32
        model.layers.2.eh_proj.weight BF16 32 64
        model.layers.2.shared_head.norm.weight BF16 32
        model.layers.2.shared_head.head.weight BF16 64 32
        model.layers.2.embed_tokens.weight BF16 64 32",
    ));
    assert_snapshot!("verify_module_left_out", shown(&verify("verify-mtp-none", model, &all)));
    let with = model.replacen("  attention {", "  mtp {\n    depth = 1\n  }\n\n  attention {", 1);
    assert_snapshot!("verify_module", shown(&verify("verify-mtp", &with, &all)));
    all.remove("model.layers.2.eh_proj.weight");
    assert_eq!(verify("verify-mtp-less", &with, &all).code, 1);
    // A second module is planned, and only one is there.
    let two = with.replace("depth = 1", "depth = 2");
    assert_eq!(verify("verify-mtp-two", &two, &all).code, 1);
}

#[test]
fn differences_are_told_with_their_layers() {
    let mut all = llama();
    all.remove("model.norm.weight");
    all.remove("lm_head.weight");
    all.insert("model.layers.1.self_attn.k_proj.weight".to_owned(), ("BF16".to_owned(), vec![32, 32]));
    all.insert("model.layers.0.self_attn.q_proj.weight".to_owned(), ("BF16".to_owned(), vec![16, 64]));
    for layer in 0..2 {
        all.insert(format!("model.layers.{layer}.self_attn.q_proj.bias"), ("BF16".to_owned(), vec![32]));
    }
    all.insert("score.weight".to_owned(), ("F32".to_owned(), vec![1, 32]));
    all.insert("model.layers.4.input_layernorm.weight".to_owned(), ("BF16".to_owned(), vec![32]));
    assert_snapshot!("verify_differs", shown(&verify("verify-differs", LLAMA, &all)));
}

#[test]
fn a_second_output_is_no_copy_where_embeddings_are_not_tied() {
    let mut all = llama();
    all.insert("embed_out.weight".to_owned(), ("BF16".to_owned(), vec![64, 32]));
    let run = verify("verify-two-outputs", LLAMA, &all);
    assert_eq!(run.code, 1);
    assert!(run.stdout.contains("another tensor is `logits` already"), "{}", run.stdout);
}

#[test]
fn layers_without_anything_are_told_together_however_many() {
    let model = LLAMA.replace("layers = 2", "layers = 1_000_000_000");
    assert_snapshot!("verify_layers_missing", shown(&verify("verify-deep", &model, &llama())));
}

#[test]
fn packed_weights_are_not_guessed() {
    let mut all = llama();
    for layer in 0..2 {
        let name = format!("model.layers.{layer}.mlp.up_proj.");
        all.remove(&format!("{name}weight"));
        all.insert(format!("{name}qweight"), ("I32".to_owned(), vec![4, 48]));
        all.insert(format!("{name}qzeros"), ("I32".to_owned(), vec![1, 6]));
        all.insert(format!("{name}scales"), ("F16".to_owned(), vec![1, 48]));
    }
    assert_snapshot!("verify_packed", shown(&verify("verify-packed", LLAMA, &all)));
}

/// gpt-oss stores two values of four bits in each byte, and a scale for 32 of them.
#[test]
fn four_bit_blocks_are_counted() {
    let model = LLAMA.replace(
        "  ffn {\n    kind = swiglu\n    d_ff = 48\n  }\n",
        "  moe {\n    experts = 4\n    experts_per_token = 2\n    d_ff = 32\n    kind = swiglu\n  }\n",
    );
    let mut all = llama();
    all.retain(|name, _| !name.contains(".mlp."));
    all.extend(tensors(
        "model.layers.*.mlp.router.weight BF16 4 32
        model.layers.*.mlp.experts.gate_up_proj_blocks U8 4 64 1 16
        model.layers.*.mlp.experts.gate_up_proj_scales U8 4 64 1
        model.layers.*.mlp.experts.down_proj_blocks U8 4 32 1 16
        model.layers.*.mlp.experts.down_proj_scales U8 4 32 1",
    ));
    assert_snapshot!("verify_four_bits", shown(&verify("verify-four-bits", &model, &all)));
}

#[test]
fn several_files_have_an_index() {
    let folder = sharded("verify-sharded");
    for checkpoint in ["ck", "ck/", "ck/model.safetensors.index.json"] {
        let run = folder.run(&["verify", "model.llm", checkpoint, "--brief"]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        assert_eq!(run.stdout, "OK, 21 tensors, 19,616 parameters, 39.23 KB bf16\n");
    }
    let run = folder.run(&["verify", "model.llm", "ck/model.safetensors.index.json"]);
    assert!(run.stdout.contains("ck/model.safetensors.index.json with 2 files\n"), "{}", run.stdout);
    // One file alone lacks what the other has.
    assert_eq!(folder.run(&["verify", "model.llm", "ck/a.safetensors"]).code, 1);
}

#[test]
fn json_has_the_same() {
    let folder = Folder::new("verify-json");
    folder.write("model.llm", LLAMA);
    let mut all = llama();
    all.remove("model.layers.1.mlp.up_proj.weight");
    write(&folder, "model.safetensors", &all);
    let run = folder.run(&["verify", "model.llm", ".", "--format", "json"]);
    assert_eq!((run.code, run.stderr.as_str()), (1, ""));
    assert_snapshot!("verify_json", run.stdout);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["parameters"]["plan"], 19_616);
}

#[test]
fn the_plan_is_chosen_by_its_name() {
    let folder = Folder::new("verify-plan");
    let second = LLAMA.replace("model tiny", "model deep").replace("layers = 2", "layers = 3");
    let plans = "plan one {\n  model = tiny\n}\n\nplan two {\n  model = deep\n}\n";
    write(&folder, "model.safetensors", &llama());
    let text = format!("{LLAMA}\n{second}\n{plans}");
    folder.write("plans.llm", &text);
    let run = |plan: &str| folder.run(&["verify", "plans.llm", "model.safetensors", "--plan", plan]);
    assert_eq!(run("one").code, 0, "{}", run("one").stderr);
    assert_eq!(run("two").code, 1);
    let run = run("three");
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("has no plan `three`"), "{}", run.stderr);
    let run = folder.pipe(&["verify", "-", "model.safetensors", "--brief"], LLAMA.as_bytes());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let run = folder.pipe(&["verify", "-", "model.safetensors"], b"model tiny {\n  layers = 0\n}\n");
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
}
