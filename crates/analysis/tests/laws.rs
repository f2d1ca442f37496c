//! Laws of the arithmetic: every formula that is shown equals the number beside it, parts sum to totals, and doubling
//! what should double does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod support;

use llmplan_tests::formulas::formulas_hold;
use proptest::prelude::*;
use support::{count, model, number, report};

#[test]
fn every_formula_equals_its_number_in_every_kind_of_plan() {
    let mut formulas = 0;
    let mut plans = 0;
    for kind in ["gelu", "relu", "swiglu", "geglu"] {
        for (norm, norm_bias) in
            [("layernorm", "true"), ("layernorm", "false"), ("rmsnorm", "false"), ("none", "false")]
        {
            for bias in ["true", "false"] {
                for (heads, kv_heads, head_dim, d_ff) in [(4, 4, 16, 256), (4, 2, 16, 200), (4, 1, 24, 176)] {
                    for (tied, output_bias) in [("true", "false"), ("false", "true"), ("true", "true")] {
                        let position = ["learned", "rope", "alibi", "none"][plans % 4];
                        let text = format!(
                            "model m {{\n layers = 3\n d_model = 64\n vocab = 1001\n context = 128\n \
                                 tied_embeddings = {tied}\n output_bias = {output_bias}\n attention {{\n heads = {heads}\n \
                                 kv_heads = {kv_heads}\n head_dim = {head_dim}\n position = {position}\n qkv_bias = {bias}\n \
                                 output_bias = {bias}\n }}\n ffn {{\n kind = {kind}\n d_ff = {d_ff}\n bias = {bias}\n }}\n \
                                 norm {{\n kind = {norm}\n bias = {norm_bias}\n }}\n}}\n"
                        );
                        formulas += formulas_hold(&report(&text));
                        plans += 1;
                    }
                }
            }
        }
    }
    assert_eq!(plans, 4 * 4 * 2 * 3 * 3);
    assert!(formulas > 30 * plans, "{formulas} formulas in {plans} plans");
}

#[test]
fn every_formula_of_a_run_equals_its_number() {
    for (precision, device) in [("fp32", "v100-sxm-32gb"), ("fp16", "v100-sxm-32gb"), ("bf16", "a100-80gb")] {
        for gradients in ["fp32", "fp16", "bf16"] {
            for optimizer in ["sgd", "momentum", "adam", "adamw", "adam8bit"] {
                for (attention, params) in [("full", "total"), ("causal", "non_embedding")] {
                    for batch in ["64 sequences", "65536 tokens"] {
                        let text = format!(
                            "{}data {{\n tokens = 3B\n source a {{\n raw = 2B\n filter = keep 50%\n dedup = keep 30%\n \
                             weight = 60%\n }}\n source b {{\n raw = 9B\n weight = 40%\n }}\n}}\nhardware {{\n \
                             device = {device}\n nodes = 2\n price = $1.50 / h\n storage_price = $20 / TB / (30 days)\n}}\ntraining {{\n precision = {precision}\n \
                             gradients = {gradients}\n optimizer = {optimizer}\n sequence = 1024\n global_batch = {batch}\n \
                             micro_batch = 2\n mfu = 37%\n parallelism {{\n tensor = 2\n pipeline = 2\n }}\n}}\n\
                             convention {{\n attention = {attention}\n params = {params}\n}}\n",
                            model(4, 64, 4, 1000),
                        );
                        let report = report(&text);
                        assert!(formulas_hold(&report) > 60);
                        assert!(report.get("training.cost").is_some());
                    }
                }
            }
        }
    }
}

#[test]
fn scales_of_the_8_bit_optimizer_are_one_for_each_block_of_each_tensor() {
    let text =
        format!("{}training {{\n optimizer = adam8bit\n optimizer_block = 100\n}}\n", model(2, 64, 4, 1001));
    let report = report(&text);
    // Untied, no biases: two tables, and in each layer Q, K, V, output, up and down, and two norms; the last norm.
    let blocks = |elements: u128| elements.div_ceil(100);
    let layer = 4 * blocks(64 * 64) + 2 * blocks(64 * 256) + 2 * blocks(64);
    let expected = 2 * blocks(1001 * 64) + 2 * layer + blocks(64);
    assert_eq!(count(&report, "memory.optimizer.scales"), 8 * expected);
}

/// What is offloaded leaves the devices for the hosts; nothing of it is lost.
#[test]
fn offloaded_states_are_in_the_memory_of_the_hosts() {
    for optimizer in ["sgd", "momentum", "adamw", "adam8bit"] {
        for precision in ["fp32", "fp16", "bf16"] {
            let report = |offload: &str| {
                report(&format!(
                    "{}training {{\n precision = {precision}\n optimizer = {optimizer}\n offload = {offload}\n}}\n",
                    model(2, 64, 4, 1001)
                ))
            };
            let (none, offloaded) = (report("none"), report("optimizer"));
            let states = count(&none, "memory.model_states");
            assert_eq!(count(&none, "memory.device_states"), states);
            assert_eq!(count(&none, "memory.host"), 0);
            // Where the weights have 32 bits already, the hosts need a copy of their own to update.
            let copy = if precision == "fp32" { 4 * count(&none, "model.params") } else { 0 };
            let states = states + copy;
            assert_eq!(count(&offloaded, "memory.model_states"), states);
            assert_eq!(count(&offloaded, "memory.host"), count(&none, "memory.optimizer") + copy);
            assert_eq!(
                count(&offloaded, "memory.device_states") + count(&offloaded, "memory.host"),
                states,
                "{optimizer} in {precision}"
            );
            formulas_hold(&offloaded);
        }
    }
}

#[test]
fn the_recipes_have_their_bytes() {
    // Rajbhandari 2020 §3.1: 16 in mixed precision. Megatron-LM with fp32 main gradients: 18. Dettmers 2021: 10.
    for (recipe, bytes) in [
        ("precision = fp32\n optimizer = adam", 16),
        ("precision = fp16\n optimizer = adam", 16),
        ("precision = bf16\n optimizer = adamw", 16),
        ("precision = bf16\n gradients = fp32\n optimizer = adamw", 18),
        ("precision = bf16\n optimizer = adam8bit", 10),
        ("precision = fp32\n optimizer = sgd", 8),
        ("precision = fp32\n optimizer = momentum", 12),
        ("precision = fp16\n optimizer = sgd", 8),
        ("precision = fp16\n optimizer = momentum", 12),
    ] {
        let report = report(&format!("{}training {{\n {recipe}\n}}\n", model(2, 64, 4, 1000)));
        assert_eq!(
            count(&report, "memory.rule_of_thumb"),
            bytes * count(&report, "model.params"),
            "{recipe}"
        );
        let scales =
            report.get("memory.optimizer.scales").map_or(0, |_| count(&report, "memory.optimizer.scales"));
        assert_eq!(
            count(&report, "memory.model_states") - scales,
            count(&report, "memory.rule_of_thumb"),
            "{recipe}"
        );
    }
}

#[test]
fn a_count_beyond_128_bits_is_a_diagnostic() {
    let text =
        "model m {\n layers = 10^17\n d_model = 10^17\n vocab = 10^17\n attention {\n heads = 1\n }\n}\n";
    let found = support::diagnostics(text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].code.as_str(), "overflow");
}

#[test]
fn what_cannot_be_computed_never_passes() {
    for (condition, missing) in [
        ("memory.per_device <= 80 GB", "training.micro_batch"),
        ("training.time <= 1 days", "training.mfu"),
        ("training.cost >= $0", "hardware.price"),
        ("data.epochs <= 4", "data"),
        ("memory.weights + memory.activations >= 0 GB", "training.global_batch"),
    ] {
        let text = format!(
            "{}training {{\n sequence = 128\n}}\nrequire {{\n {condition}\n}}\n",
            model(2, 64, 4, 1000)
        );
        let found = support::diagnostics(&text);
        assert_eq!(found.len(), 1, "{condition}: {found:?}");
        assert_eq!(found[0].code.as_str(), "not-computable", "{condition}");
        let said = format!("{:?} {:?}", found[0].notes, found[0].help);
        assert!(said.contains(missing), "{condition}: {said}");
    }
}

/// Where nothing is missing, the reason is told; where the MFU is, that a step would give it.
#[test]
fn conditions_say_why_nothing_is_modelled() {
    let plan = |device: &str, training: &str, condition: &str| {
        let text = format!(
            "{}device d {{\n memory = 80 GB\n memory_bandwidth = 2 TB/s\n peak {{\n bf16 = 300 TFLOP/s\n }}\n {device}\n}}\n\
             hardware {{\n device = d\n devices = 4\n}}\ndata {{\n tokens = 1M tokens\n}}\ntraining {{\n precision = \
             bf16\n sequence = 128\n {training}\n}}\nrequire {{\n {condition}\n}}\n",
            model(2, 64, 4, 1000)
        );
        let mut found = support::diagnostics(&text);
        assert_eq!(found.len(), 1, "{condition}: {found:?}");
        let found = found.remove(0);
        assert_eq!(found.code.as_str(), "not-computable", "{condition}");
        (found.notes.concat(), found.help.concat())
    };
    let batches = "global_batch = 8 sequences\n micro_batch = 1";
    for condition in ["training.step_time.modelled < 1 s", "training.mfu > 10%", "training.time < 1 days"] {
        let (notes, _) = plan("", batches, condition);
        assert!(notes.contains("`device.link` is unknown"), "{condition}: {notes}");
    }
    let (notes, help) = plan("", batches, "training.step_time.bubble < 1 s");
    assert!(notes.contains("`device.link`") && help.is_empty(), "{notes} {help}");
    let link = "link = 600 GB/s";
    let (notes, _) = plan(link, batches, "training.step_time.bubble < 1 s");
    assert!(notes.contains("strategy has no such part"), "{notes}");
    let (notes, help) = plan(link, "global_batch = 8 sequences", "training.time < 1 days");
    assert!(notes.is_empty() && help.contains("with `training.micro_batch` the MFU is modelled"), "{help}");
    let (_, help) = plan(link, "", "training.mfu > 10%");
    assert!(help.contains("with `training.global_batch` and `training.micro_batch`"), "{help}");
    let (notes, _) = plan(link, batches, "model.params.router > 1");
    assert!(notes.contains("the model has no such part") || notes.is_empty(), "{notes}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parameters_equal_an_independent_count(
        layers in 1_u128..200, heads in 1_u128..32, head_dim in 1_u128..160, groups in 1_u128..8, vocab in 1_u128..100_000,
        d_ff in 1_u128..20_000, gated: bool, bias: bool, tied: bool,
    ) {
        let (kv_heads, heads) = (heads, heads * groups);
        let d = heads * head_dim;
        let kind = if gated { "swiglu" } else { "relu" };
        let text = format!(
            "model m {{\n layers = {layers}\n d_model = {d}\n vocab = {vocab}\n tied_embeddings = {tied}\n attention {{\n \
             heads = {heads}\n kv_heads = {kv_heads}\n qkv_bias = {bias}\n output_bias = {bias}\n }}\n ffn {{\n kind = {kind}\n \
             d_ff = {d_ff}\n bias = {bias}\n }}\n norm {{\n kind = layernorm\n bias = {bias}\n }}\n}}\n"
        );
        let report = report(&text);
        // Written out as one would by hand, matrix by matrix.
        let b = u128::from(bias);
        let (q, kv) = (heads * head_dim, kv_heads * head_dim);
        let attention = d * q + 2 * d * kv + q * d + b * (q + 2 * kv + d);
        let into = if gated { 2 } else { 1 };
        let ffn = into * (d * d_ff + b * d_ff) + d_ff * d + b * d;
        let norm = d + b * d;
        let tables = if tied { 1 } else { 2 };
        prop_assert_eq!(count(&report, "model.params"), layers * (attention + ffn + 2 * norm) + norm + tables * vocab * d);
    }

    #[test]
    fn tokens_times_two_is_flops_times_two(tokens in 1_u64..1_000_000_000_000, sequence in 1_u64..100_000) {
        let plan = |tokens: u64| {
            let text = format!(
                "{}data {{\n tokens = {tokens}\n}}\ntraining {{\n sequence = {sequence}\n}}\n", model(3, 48, 4, 777)
            );
            report(&text)
        };
        let (once, twice) = (plan(tokens), plan(2 * tokens));
        prop_assert_eq!(2 * count(&once, "training.flops"), count(&twice, "training.flops"));
        prop_assert_eq!(count(&once, "flops.forward_per_token") * u128::from(sequence), count(&once, "flops.forward"));
        prop_assert_eq!(3 * count(&once, "flops.forward"), count(&once, "flops.training"));
    }

    #[test]
    fn time_falls_with_devices_and_useful_cost_does_not_change(nodes in 1_u64..500, mfu in 1_u64..100) {
        let plan = |nodes: u64| {
            let text = format!(
                "{}data {{\n tokens = 1B\n}}\nhardware {{\n device = a100-80gb\n nodes = {nodes}\n price = $2 / h\n}}\n\
                 training {{\n mfu = {mfu}%\n}}\n", model(3, 48, 4, 777)
            );
            report(&text)
        };
        let (once, twice) = (plan(nodes), plan(2 * nodes));
        let ratio = number(&once, "training.time") / number(&twice, "training.time");
        prop_assert!((ratio - 2.0).abs() < 1e-9, "{}", ratio);
        // More devices fail more often: that is all that they cost more.
        let useful = |report| number(report, "training.cost") * number(report, "training.goodput");
        let cost = useful(&once) / useful(&twice);
        prop_assert!((cost - 1.0).abs() < 1e-9, "{}", cost);
        prop_assert!(number(&once, "training.cost") <= number(&twice, "training.cost"));
    }
}
