//! Adapters of low rank in the report: what is trained, what it takes, and what the backward pass leaves out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod support;

use llmplan_analysis::cluster::memory::{Moment, memory};
use llmplan_analysis::cluster::{Strategy, Workload};
use llmplan_analysis::graph::lower;
use llmplan_analysis::report::Report;
use llmplan_tests::formulas::formulas_hold;
use proptest::prelude::*;
use support::{count, number, report};

const PARAMS: u128 = 8_030_261_248;
/// All matrices of the layers of Llama 3 8B.
const MATRICES: u128 = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14_336);
/// Rank 16 on Q and V.
const QV: u128 = 32 * 16 * ((4096 + 4096) + (4096 + 1024));
/// Rank 16 on all of attention and of the feed-forward network.
const ALL: u128 = 32 * 16 * (2 * (4096 + 4096) + 2 * (4096 + 1024) + 3 * (4096 + 14_336));
const T: u128 = 1024;

/// Llama 3 8B, trained somewhere.
fn llama(training: &str) -> String {
    format!(
        "model llama {{\n layers = 32\n d_model = 4096\n vocab = 128256\n attention {{\n heads = 32\n kv_heads = 8\n }}\n ffn \
         {{\n kind = swiglu\n d_ff = 14336\n }}\n}}\ntraining {{\n precision = bf16\n gradients = bf16\n optimizer = adamw\n \
         sequence = {T}\n {training}\n}}\n"
    )
}

fn adapted(targets: &str, more: &str) -> Report {
    let found = report(&llama(&format!("lora {{\n rank = 16\n targets = {targets}\n {more}\n }}")));
    formulas_hold(&found);
    found
}

/// Hu 2021 §4.1: r(d_in + d_out) for each matrix; nothing else has gradients or states.
#[test]
fn adapters_are_all_that_is_trained() {
    for (targets, adapters) in [("qv", QV), ("all", ALL)] {
        let found = adapted(targets, "");
        assert_eq!(count(&found, "model.params"), PARAMS);
        assert_eq!(count(&found, "model.params.adapters"), adapters);
        assert_eq!(count(&found, "memory.weights"), 2 * (PARAMS + adapters));
        assert_eq!(count(&found, "memory.gradients"), 2 * adapters);
        assert_eq!(count(&found, "memory.optimizer"), 12 * adapters);
        assert_eq!(count(&found, "memory.model_states"), 2 * PARAMS + 16 * adapters);
        assert_eq!(count(&found, "memory.rule_of_thumb"), 2 * PARAMS + 16 * adapters);
    }
}

/// Dettmers 2023 §3: 4.127 bits for each value of a layer's matrices; embeddings, norms and output stay as they are.
#[test]
fn frozen_matrices_are_stored_in_few_bits() {
    for (base, stored) in [("int8", MATRICES), ("nf4", (MATRICES * 4127).div_ceil(8000))] {
        let found = adapted("all", &format!("base = {base}"));
        assert_eq!(count(&found, "model.params.quantized"), MATRICES);
        let weights = 2 * (PARAMS - MATRICES + ALL) + stored;
        assert_eq!(count(&found, "memory.weights"), weights);
        assert_eq!(count(&found, "memory.model_states"), weights + 14 * ALL);
    }
}

/// Forward 2 for each weight, backward 2 and no more; 6 for each of the adapters. Attention has no weights: 2 products
/// forward and 4 backward for each pair.
#[test]
fn frozen_weights_have_no_gradients() {
    let (frozen, whole) = (adapted("qv", ""), report(&llama("")));
    let of = |path: &str| count(&whole, path);
    let attention = of("flops.forward.scores") + of("flops.forward.weighted_sum");
    let linear = of("flops.forward") - attention;
    assert_eq!(linear, 2 * T * (MATRICES + 4096 * 128_256));
    assert_eq!(count(&frozen, "flops.forward"), of("flops.forward"));
    assert_eq!(count(&frozen, "flops.backward"), linear + 2 * attention);
    assert_eq!(count(&frozen, "flops.adapters"), 6 * T * QV);
    assert_eq!(count(&frozen, "flops.training"), 2 * linear + 3 * attention + 6 * T * QV);
    for convention in ["full", "causal"] {
        let path = |leaf: &str| format!("flops.convention.{convention}.{leaf}");
        let pairs = number(&whole, &path("attention"));
        let each = (2.0 * linear as f64 + 3.0 * pairs) / T as f64 + 6.0 * QV as f64;
        let training = number(&frozen, &path("training_per_token"));
        assert!((training / each - 1.0).abs() < 1e-9, "{training} {each}");
    }
    assert_eq!(count(&frozen, "flops.rule_of_thumb.training"), 4 * PARAMS);
}

/// Of experts a token passes some, and their adapters; all of them are trained.
#[test]
fn a_token_passes_the_adapters_of_its_experts() {
    let found = report(
        "model m {\n layers = 2\n d_model = 64\n vocab = 100\n attention {\n heads = 4\n }\n moe {\n kind = gelu\n experts = 8\n \
         experts_per_token = 2\n d_ff = 32\n }\n}\ntraining {\n precision = bf16\n sequence = 16\n lora {\n rank = 4\n }\n}\n",
    );
    let (attention, expert) = (4 * 4 * (64 + 64), 2 * 4 * (64 + 32));
    assert_eq!(count(&found, "model.params.adapters"), 2 * (attention + 8 * expert));
    assert_eq!(count(&found, "flops.adapters"), 6 * 16 * 2 * (attention + 2 * expert));
}

/// A copy of the gradients in fp32 is 4 bytes more of what is trained, and moves to the host with the optimizer.
#[test]
fn main_gradients_are_counted() {
    for (more, trained) in [("", PARAMS), ("lora {\n rank = 16\n targets = qv\n }", QV)] {
        for copy in ["sharded", "whole"] {
            let found = report(&llama(&format!("main_gradients = {copy}\n {more}")));
            formulas_hold(&found);
            let plain = report(&llama(more));
            let further = |path: &str| count(&found, path) - count(&plain, path);
            assert_eq!(count(&found, "memory.gradients.main"), 4 * trained);
            assert_eq!(further("memory.gradients"), 4 * trained);
            assert_eq!(further("memory.model_states"), 4 * trained);
            assert_eq!(further("memory.rule_of_thumb"), 4 * trained);
            assert!(plain.get("memory.gradients.main").is_none());
            let parts = ["memory.weights", "memory.gradients", "memory.optimizer"];
            let sum: u128 = parts.iter().map(|path| count(&found, path)).sum();
            assert_eq!(count(&found, "memory.model_states"), sum);
            let moved = report(&llama(&format!("main_gradients = {copy}\n offload = optimizer\n {more}")));
            formulas_hold(&moved);
            assert_eq!(count(&moved, "memory.host"), 16 * trained);
            let states = count(&moved, "memory.host") + count(&moved, "memory.device_states");
            assert_eq!(states, count(&moved, "memory.model_states"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The report's states are those of a single device, whatever is trained and stored.
    #[test]
    fn the_report_and_a_device_agree(
        rank in 1_u64..64,
        targets in prop::sample::select(vec!["qv", "attention", "all"]),
        base in prop::sample::select(vec!["same", "int8", "nf4"]),
        main in prop::sample::select(vec!["none", "sharded", "whole"]),
        optimizer in prop::sample::select(vec!["sgd", "adamw", "adam8bit", "adafactor", "lion", "muon", "soap"]),
        mixture in any::<bool>(),
    ) {
        let feeds = if mixture {
            "moe {\n experts = 8\n experts_per_token = 2\n d_ff = 96\n shared_experts = 1\n }"
        } else {
            "ffn {\n kind = swiglu\n d_ff = 512\n }"
        };
        let text = format!(
            "model m {{\n layers = 3\n d_model = 128\n vocab = 1000\n attention {{\n heads = 4\n kv_heads = 2\n }}\n {feeds}\n}}\n\
             hardware {{\n device = h100-sxm\n devices = 1\n}}\ntraining {{\n precision = bf16\n optimizer = {optimizer}\n \
             main_gradients = {main}\n sequence = 128\n global_batch = 4 sequences\n micro_batch = 1\n lora {{\n rank = \
             {rank}\n targets = {targets}\n base = {base}\n }}\n}}\n"
        );
        let report = report(&text);
        formulas_hold(&report);
        let plan = support::plan(&text);
        let graph = lower(&plan.model);
        let workload = Workload::of(&plan, &graph, 128).unwrap();
        let memory = memory(&workload, &Strategy::of(workload.training, 1).unwrap()).unwrap();
        let device = memory.worst().at(Moment::Update);
        let of = |path: &str| report.get(path).map_or(0, |_| count(&report, path));
        let main = of("memory.gradients.main");
        prop_assert_eq!(u128::from(device.gradients), of("memory.gradients") - main);
        prop_assert_eq!(u128::from(device.optimizer), of("memory.optimizer") + main);
        // Each tensor that is stored in few bits is rounded up to whole bytes.
        let gap = u128::from(device.weights).abs_diff(of("memory.weights"));
        prop_assert!(gap <= if base == "nf4" { 64 } else { 0 }, "{gap}");
        // Fewer FLOPs than where everything is trained, and more than where nothing is.
        let forward = of("flops.forward");
        prop_assert!(of("flops.backward") >= forward && of("flops.backward") <= 2 * forward);
    }
}
