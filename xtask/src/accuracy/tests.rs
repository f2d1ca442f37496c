//! Rows as published tables print them, and what becomes of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use llmplan_spec::format::format as canonical;
use llmplan_spec::source::FileId;
use serde_json::{Value, json};

use super::measure::{Counter, Measured};
use super::rows::Row;
use super::{Case, case};

fn row(value: Value) -> Row {
    Row::new(value.as_object().expect("an object").clone())
}

fn run(value: Value) -> Case {
    case(&row(value), &[], false).expect("the row is expressed")
}

fn memory(value: Value) -> Case {
    case(&row(value), &[], true).expect("the row is expressed")
}

/// mosaicml/llm-foundry@8c8dd48 scripts/train/benchmarking/README.md.
fn foundry() -> Value {
    json!({
        "id": "mpt", "group": "llm-foundry", "section": "A100 80GB with 1600 Gbps node-node interconnect (RoCE)",
        "source": "mosaicml/llm-foundry@8c8dd48", "model": "MPT-7b", "layers": 32, "d_model": 4096, "n_heads": 32,
        "vocab": 50368, "params": 6684024832u64, "seq_len": 8192, "gpu": "a100_80gb", "n_gpus": 8,
        "model_tflops_per_gpu": 367, "micro_batch": 8, "grad_accum": 2, "global_batch_seqs": 128,
        "tokens_per_s": 55481, "precision": "amp_bf16", "parallelism": "FSDP FULL_SHARD", "recompute": "full",
        "flops_convention": "6N + 12*L*d*seq per token (non-causal attention)"
    })
}

/// NVIDIA/NeMo@070a0bb docs/source/performance/performance_summary.md (24.07).
fn nemo() -> Value {
    json!({
        "id": "nemo", "group": "nemo-perf", "source": "NVIDIA/NeMo@070a0bb", "model": "LLAMA3-8B",
        "gpu": "H100 SXM (DGX-H100)", "n_gpus": 8, "global_batch_seqs": 128, "micro_batch": 1, "seq_len": 8192,
        "tp": 1, "pp": 1, "cp": 2, "vp": 1, "dp": 4, "tokens_per_s_per_gpu": 12036, "model_tflops_per_gpu": 697,
        "precision": "fp8"
    })
}

/// NVIDIA-NeMo/Megatron-Bridge@067f987 docs/performance-summary-archive.md (25.11).
fn bridge() -> Value {
    json!({
        "id": "bridge", "group": "megatron-bridge", "source": "NVIDIA-NeMo/Megatron-Bridge@067f987",
        "model": "LLAMA3_8B", "gpu": "GB300", "n_gpus": 8, "precision": "FP8-CS (FP8-MX)", "global_batch_seqs": 128,
        "micro_batch": 2, "seq_len": 8192, "fsdp": 0, "tp": 1, "pp": 1, "cp": 1, "ep": 1,
        "tokens_per_s_per_gpu": 37556, "model_tflops_per_gpu": 1933
    })
}

/// NVIDIA-NeMo/Megatron-Bridge@067f987 docs/performance-summary.md (26.08).
fn bridge_experts() -> Value {
    json!({
        "id": "deepseek", "group": "megatron-bridge", "source": "NVIDIA-NeMo/Megatron-Bridge@067f987",
        "model": "DeepSeekV3 (w/o MTP)", "gpu": "GB200", "n_gpus": 256, "precision": "MXFP8",
        "global_batch_seqs": 4096, "micro_batch": 1, "seq_len": 4096, "tp": 1, "pp": 4, "cp": 1, "vp": 4, "ep": 64,
        "tokens_per_s_per_gpu": 4256
    })
}

/// NVIDIA/Megatron-LM@50a4b5fa02 images/cases_april2021.png (Narayanan 2021 Table 1).
fn sc21() -> Value {
    json!({
        "id": "sc21", "group": "megatron-sc21", "source": "NVIDIA/Megatron-LM@50a4b5fa02 (= arXiv:2104.04473 Table 1)",
        "model": "megatron-sc21-76.1B", "layers": 60, "d_model": 10240, "n_heads": 80, "vocab": 51200,
        "seq_len": 2048, "gpu": "A100 SXM 80GB", "n_gpus": 1024, "tp": 8, "pp": 4, "dp": 32, "micro_batch": 2,
        "global_batch_seqs": 1792, "precision": "fp16", "recompute": "full (uniform)", "hw_tflops_per_gpu": 140,
        "layers_per_virtual_stage": 5
    })
}

/// bigscience-workshop/bigscience@9e64ede train/tr11-176B-ml/chronicles-prequel.md, lines 480 and 947.
fn bloom() -> Value {
    json!({
        "id": "bloom", "group": "bloom-prequel", "source": "bigscience-workshop/bigscience@9e64ede",
        "model": "BLOOM-shape 200B", "d_model": 14400, "n_heads": 96, "vocab": 250880, "seq_len": 2048,
        "gpu": "A100 SXM 80GB", "n_gpus": 384, "dp": 6, "tp": 8, "pp": 8, "micro_batch": 1,
        "global_batch_seqs": 2046, "zero_stage": 1, "step_time_s": 185.75, "memory_gb_per_gpu": 36, "oom": false,
        "precision": "fp16 (ZeRO-1)", "recompute": "full", "kind": "training-measured",
        "notes": "GB from nvidia-smi-like reading; includes CUDA context and allocator slack"
    })
}

/// pytorch/torchtitan@b5bcd76 benchmarks/llama3_h100_202412_torchtitan.md Table 1.
fn torchtitan() -> Value {
    json!({
        "id": "titan", "group": "torchtitan", "source": "pytorch/torchtitan@b5bcd76", "model": "llama-3-8b",
        "gpu": "H100 SXM variant: 96GB HBM2e 2.4 TB/s, 500 W power limit", "n_gpus": 8,
        "tokens_per_s_per_gpu": 5762, "memory_gib_per_gpu": 82.4, "technique": "FSDP", "micro_batch": 2,
        "global_batch_seqs": 16, "seq_len": 8192, "recompute": "selective", "precision": "bf16", "fsdp": 8,
        "kind": "training-measured"
    })
}

/// Lightning-AI/litgpt@2685705 tutorials/resource-tables.md.
fn litgpt() -> Value {
    json!({
        "id": "lora", "kind": "lora", "source": "Lightning-AI/litgpt@2685705", "model": "llama-2-7b",
        "quantization": "bnb.nf4-dq", "micro_batch": 1, "global_batch": 128, "gpus": "1 x A100",
        "gpu_model": "A100-SXM4-40GB", "weights_dtype": "bf16-true", "max_gpu_ram_gb": 13.84, "oom": false,
        "longest_example_tokens": 1304
    })
}

/// MooreThreads/SimuMax docs/b200/b200_release_v1.2_summary.md.
fn simumax() -> Value {
    json!({
        "id": "simumax", "group": "simumax-b200", "source": "MooreThreads/SimuMax",
        "model": "llama-3.1-405b (kv_head_num 16 in config)", "layers": 4, "gpu": "B200 SXM 180GB", "n_gpus": 8,
        "tp": 2, "pp": 1, "dp": 4, "ep": 1, "cp": 1, "micro_batch": 1, "micro_batch_count": 32, "seq_len": 4096,
        "precision": "bf16", "recompute": "none", "step_time_s": 6.6041, "memory_gib_per_gpu": 81.59,
        "kind": "training-measured"
    })
}

fn all() -> Vec<Case> {
    let runs = [foundry(), nemo(), bridge(), bridge_experts(), sc21(), bloom(), torchtitan(), simumax()];
    let mut cases: Vec<Case> = runs.into_iter().map(run).collect();
    cases.extend([bloom(), torchtitan(), litgpt(), simumax()].into_iter().map(memory));
    cases
}

#[test]
fn plans_of_rows_are_canonical_and_without_a_warning() {
    for case in all() {
        assert_eq!(canonical(&case.text, FileId(0)).text, case.text, "{}", case.id);
        assert_eq!(case.warnings, Vec::<String>::new(), "{}", case.id);
    }
}

#[test]
fn models_of_rows_have_the_published_numbers_of_parameters() {
    // The row's own count; names' sizes; 61 layers of DeepSeek-V3; 80 of the 200B shape; 4 layers of 405B with 16 heads of
    // keys: 4·(2·16384² + 2·16384·2048 + 3·16384·53248) and both tables.
    for (case, params) in [
        (run(foundry()), 6_684_024_832.0),
        (run(nemo()), 8_030_261_248.0),
        (run(bridge_experts()), 671_026_404_352.0),
        (run(sc21()), 76_050_739_200.0),
        (run(bloom()), 200e9),
        (run(simumax()), 17.09e9),
    ] {
        let (counted, _) = llmplan_analysis::count(&case.plan.model).expect("it is counted");
        let share = counted as f64 / params;
        assert!((share - 1.0).abs() < 0.03, "{}: {counted} for {params}", case.id);
    }
}

#[test]
fn throughput_in_flops_gives_the_time_that_tokens_give() {
    // Each table prints both; the conversion by its own convention must agree to the digits printed.
    for value in [foundry(), nemo(), bridge()] {
        let by_tokens = run(value.clone()).measured_seconds().expect("seconds");
        let mut fields = value.as_object().expect("an object").clone();
        fields.remove("tokens_per_s");
        fields.remove("tokens_per_s_per_gpu");
        let by_flops = run(Value::Object(fields)).measured_seconds().expect("seconds");
        assert!((by_flops / by_tokens - 1.0).abs() < 0.01, "{by_flops} against {by_tokens}");
    }
}

#[test]
fn hardware_flops_of_2021_give_the_time_of_its_formula() {
    // Narayanan 2021 Eq. 3: 96·B·s·l·h²·(1 + s/6h + V/16lh), over 1024 devices of 140 TFLOP/s.
    let (batch, tokens, layers, width, vocab) = (1792.0, 2048.0, 60.0, 10_240.0_f64, 51_200.0);
    let flops = 96.0
        * batch
        * tokens
        * layers
        * width.powi(2)
        * (1.0 + tokens / (6.0 * width) + vocab / (16.0 * layers * width));
    let seconds = run(sc21()).measured_seconds().expect("seconds");
    assert!((seconds / (flops / (1024.0 * 140e12)) - 1.0).abs() < 1e-9);
}

#[test]
fn what_a_framework_does_is_in_the_plan() {
    let text = |case: Case| case.text;
    assert!(text(run(sc21())).contains("interleave = 3"), "60 layers in 4 stages of chunks of 5");
    assert!(text(run(sc21())).contains("attention = plain"));
    assert!(text(run(nemo())).contains("matmul = fp8"));
    assert!(text(run(foundry())).contains("network = 25 GB/s"), "1600 Gb/s over 8 devices");
    assert!(text(memory(litgpt())).contains("base = nf4"));
    assert!(
        text(run(bridge_experts())).contains("model = deepseek-v3\n"),
        "without the further token: the catalog's"
    );
    assert!(text(run(torchtitan())).contains("memory = 96 GB"));
    assert!(text(run(simumax())).contains("global_batch = 128 sequences"), "32 micro-batches of 4 replicas");
}

#[test]
fn memory_is_counted_as_the_source_counts_it() {
    const GIB: f64 = 1_073_741_824.0;
    assert_eq!(memory(bloom()).measured, Measured::Memory(36.0 * GIB, Counter::Device));
    assert_eq!(memory(torchtitan()).measured, Measured::Memory(82.4 * GIB, Counter::Allocator));
    assert_eq!(memory(litgpt()).measured, Measured::Memory(13.84e9, Counter::Allocator));
}

#[test]
fn rows_that_cannot_be_expressed_say_why() {
    let mut unknown = nemo();
    unknown["model"] = json!("Model Nobody Knows");
    let mut other = nemo();
    other["gpu"] = json!("abacus");
    let mut uneven = nemo();
    uneven["tp"] = json!(3);
    let strange = json!({"id": 7, "model": ["a"], "gpu": {"x": 1}, "n_gpus": -4, "tp": "many"});
    for value in [unknown, other, uneven, strange, json!({})] {
        for of_memory in [false, true] {
            let why = case(&row(value.clone()), &[], of_memory).expect_err("it is not expressed");
            assert!(!why.is_empty());
        }
    }
}

#[test]
fn rows_that_are_not_to_be_scored_are_left_out() {
    assert!(row(json!({"exclude_from_accuracy": "hours of more than the stated tokens"})).excluded());
    assert!(row(json!({"row_note": "columns look swapped; do not score"})).excluded());
    assert!(!row(nemo()).excluded());
}
