//! Laws and facts of serving.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod support;

use llmplan_analysis::report::{Report, Value};
use llmplan_spec::codes::Code;
use llmplan_spec::diagnostic::Severity;
use llmplan_tests::formulas::formulas_hold;
use support::{count, diagnostics, model, number, report};

/// A catalog model on its own with how it is served.
fn served(name: &str, inference: &str) -> String {
    format!("plan p {{\n model = {name}\n}}\ninference {{\n{inference}\n}}\n")
}

fn serve(name: &str, inference: &str) -> Report {
    report(&served(name, inference))
}

fn near(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual / expected - 1.0).abs() <= tolerance, "{actual}, not {expected}");
}

const H100: &str = "device = h100-sxm\ntensor = 8\n";

/// Llama 2 70B has 80 layers of 8 key and value heads of 128 (Touvron 2023 table 1; its config): 2·80·8·128·2 bytes.
/// DeepSeek-V3 keeps 512 + 64 values in each of 61 layers (DeepSeek-AI 2024 §4.2).
#[test]
fn published_caches_come_out() {
    let report = serve("llama-2-70b", "");
    assert_eq!(count(&report, "inference.kv_bytes_per_token"), 327_680);
    let report = serve("deepseek-v3", "");
    assert_eq!(count(&report, "inference.kv_bytes_per_token"), 70_272);
}

/// DeepSeek-V2 §2.1.4, table 1: its latents take as much as grouped-query attention with 2.25 groups.
#[test]
fn latents_take_as_much_as_two_and_a_quarter_groups() {
    let report = serve("deepseek-v2", "");
    let (layers, head_dim) = (number(&report, "model.layers"), 128.0);
    let groups = number(&report, "inference.kv_bytes_per_token") / (layers * 2.0 * head_dim * 2.0);
    near(groups, 2.25, 1e-12);
}

/// 312 TFLOP/s over 2.039 TB/s (NVIDIA A100 data sheet, SXM 80 GB).
#[test]
fn the_ridge_of_an_a100_is_at_153() {
    let report = serve("llama-2-7b", "device = a100-80gb");
    let ridge =
        number(&report, "inference.device.peak") / number(&report, "inference.device.memory_bandwidth");
    assert_eq!(ridge.round(), 153.0);
}

#[test]
fn stored_bits_are_the_weights_and_their_scales() {
    let weights = |inference: &str| number(&serve("llama-2-7b", inference), "inference.weight_bytes");
    let wide = weights("weights = bf16");
    near(weights("weights = fp8"), wide / 2.0, 1e-12);
    // A quarter, and 16 bits for each 64 values.
    near(weights("weights = int4"), wide / 4.0 * (1.0 + 0.25 / 4.0), 1e-12);
    near(weights("weights = fp4\ngroup = 32"), wide / 4.0 * (1.0 + 0.5 / 4.0), 1e-12);
    near(weights("weights = int3"), wide * 3.25 / 16.0, 1e-12);
    near(weights("weights = int6"), wide * 6.25 / 16.0, 1e-12);
    near(weights("weights = fp32"), wide * 2.0, 1e-12);
}

#[test]
fn the_cache_is_linear_in_the_context_in_whole_blocks() {
    let cache = |inference: &str| number(&serve("llama-2-7b", inference), "inference.kv_per_sequence");
    let each = number(&serve("llama-2-7b", ""), "inference.kv_bytes_per_token");
    assert_eq!(cache("prompt = 768\noutput = 256"), 1024.0 * each);
    assert_eq!(cache("prompt = 1792\noutput = 256"), 2048.0 * each);
    assert_eq!(cache("prompt = 1\noutput = 1"), 16.0 * each);
    assert_eq!(cache("prompt = 16\noutput = 1\nblock = 32"), 32.0 * each);
    assert_eq!(cache("prompt = 768\noutput = 256\nkv_cache = int8"), 512.0 * each);
}

/// A window bounds what is kept and what is read; recurrent layers keep a state and nothing else.
#[test]
fn windows_and_states_do_not_grow_with_the_context() {
    let windowed = model(4, 256, 4, 1000).replace("heads = 4", "heads = 4\n window = 128");
    let of = |prompt: u64, path: &str| {
        number(&report(&format!("{windowed}inference {{\n prompt = {prompt}\n output = 64\n}}\n")), path)
    };
    for path in ["inference.kv_per_sequence", "inference.kv_read", "inference.decode.attention"] {
        assert_eq!(of(1024, path), of(8192, path), "{path}");
        assert!(of(16, path) < of(1024, path), "{path}");
    }
}

/// More devices than key and value heads hold them several times; latents are on each.
#[test]
fn heads_that_are_fewer_than_devices_are_held_several_times() {
    let share = |name: &str, tensor: u64| {
        let report = serve(name, &format!("tensor = {tensor}"));
        number(&report, "inference.kv_per_sequence") / number(&report, "inference.kv_per_device")
    };
    assert_eq!([1, 4, 8, 16].map(|tensor| share("llama-2-70b", tensor)), [1.0, 4.0, 8.0, 8.0]);
    assert_eq!([1, 8].map(|tensor| share("deepseek-v3", tensor)), [1.0, 1.0]);
}

/// Below the ridge a step reads the weights whatever the batch is; far above it, products take all the time.
#[test]
fn throughput_doubles_with_the_batch_until_products_bind() {
    let rate = |batch: u64| {
        let inference = format!("device = h200-sxm\nprompt = 1\noutput = 512\nbatch = {batch}");
        number(&serve("llama-3-8b", &inference), "inference.tokens_per_second")
    };
    for batch in [1, 2, 4, 8] {
        let gain = rate(2 * batch) / rate(batch);
        assert!((1.9..=2.0).contains(&gain), "{batch}: {gain}");
    }
    let inference = "device = h200-sxm\nprompt = 1\noutput = 2\nbatch = ";
    let bound = |batch: u64| {
        let report = serve("llama-3-8b", &format!("{inference}{batch}"));
        number(&report, "inference.decode.compute_time") > number(&report, "inference.decode.memory_time")
    };
    assert!(!bound(64) && bound(1024));
}

#[test]
fn parts_make_the_whole() {
    let with = format!("{H100}speculative {{\n draft_params = 1B\n acceptance = 70%\n}}");
    for text in [served("llama-2-70b", H100), served("mixtral-8x7b", H100), served("llama-2-70b", &with)] {
        let report = report(&text);
        let value = |path: &str| report.get(path).and_then(|own| own.value.number()).unwrap_or(0.0);
        let parts = ["weights", "draft", "kv_cache", "reserve"];
        let sum: f64 = parts.iter().map(|part| value(&format!("inference.memory.{part}"))).sum();
        near(value("inference.memory"), sum, 1e-12);
        // One more sequence would not fit.
        assert!(value("inference.memory") <= value("inference.device.memory"));
        assert!(
            value("inference.memory") + value("inference.kv_per_device") > value("inference.device.memory")
        );
        let slower = value("inference.decode.memory_time").max(value("inference.decode.compute_time"));
        near(value("inference.decode.step"), slower + value("inference.decode.communication"), 1e-11);
        let steps = 255.0 * value("inference.tpot");
        near(value("inference.answer_time"), value("inference.ttft") + steps, 1e-11);
        // Prompts and answers, each by its tokens, make what a request costs.
        let both = value("inference.cost_per_million.input") * 1024.0
            + value("inference.cost_per_million.output") * 256.0;
        near(value("inference.cost_per_million"), both / 1280.0, 1e-11);
    }
}

/// Published models can be served on enough devices, and every formula of theirs gives its number. Each fourth, and those
/// with states, experts and windows.
#[test]
fn formulas_say_what_the_numbers_are() {
    let lifetime = "demand = 10T\nutilization = 50%\nweights = int4\nkv_cache = fp8\n";
    let data = "data {\n tokens = 1T\n}\n";
    let some = llmplan_spec::catalog::names("model").step_by(4);
    let others = ["qwen3-next-80b-a3b", "nemotron-h-8b", "gpt-oss-120b", "deepseek-v3", "gemma-2-27b"];
    for name in some.chain(others) {
        let text = format!("{}{data}", served(name, &format!("device = b200-sxm\n{lifetime}")));
        let report = match diagnostics(&text) {
            fits if fits.is_empty() => report(&text),
            _ => report(&text.replace("b200-sxm", "b200-sxm\ntensor = 8")),
        };
        assert!(number(&report, "inference.tpot") > 0.0, "{name}");
        assert!(formulas_hold(&report) > 40, "{name}");
    }
}

/// A token alone meets K experts; very many tokens meet all.
#[test]
fn a_batch_reads_the_experts_that_it_meets() {
    let read = |batch: u64| {
        number(&serve("mixtral-8x7b", &format!("{H100}batch = {batch}")), "inference.decode.params")
    };
    let report = serve("mixtral-8x7b", &format!("{H100}batch = 1"));
    near(read(1), number(&report, "model.active_params.without_lookups"), 1e-12);
    let all = number(&report, "model.params") - number(&report, "model.params.embedding");
    near(read(64), all, 1e-6);
    // Two tokens meet E(1 − (6/8)²) = 3.5 of 8.
    let experts = number(&report, "model.params.experts");
    near(read(2), all - experts * (1.0 - 3.5 / 8.0), 1e-12);
}

/// Layers that route in different ways are met each by its own experts.
#[test]
fn layers_with_other_experts_count_their_own() {
    let moe = "moe {\n experts = 8\n experts_per_token = 2\n d_ff = 128\n }\n";
    let layer = "layer wide {\n at = first 1\n moe {\n experts = 16\n experts_per_token = 1\n }\n }\n}\n";
    let two = model(3, 64, 4, 1000);
    let two = format!("{}{moe}{layer}", two.strip_suffix("}\n").unwrap());
    let read = |batch: i32| {
        let report = report(&format!("{two}inference {{\n device = h100-sxm\n batch = {batch}\n}}\n"));
        let always = number(&report, "inference.params")
            - number(&report, "model.params.embedding")
            - number(&report, "model.params.experts");
        (number(&report, "inference.decode.params") - always, number(&report, "model.params.experts"))
    };
    for batch in [1, 2, 5] {
        let (met, all) = read(batch);
        // 16 experts in one layer, 8 in each of two: all of one size.
        let expected =
            16.0 * (1.0 - (15.0_f64 / 16.0).powi(batch)) + 2.0 * 8.0 * (1.0 - (6.0_f64 / 8.0).powi(batch));
        near(met, all * expected / 32.0, 1e-11);
    }
}

/// Absorbed latents: 2a(r + d_r) + 2a·r for each token that is kept, of each layer.
#[test]
fn a_token_costs_its_weights_and_the_context() {
    let report = serve("deepseek-v3", "prompt = 4096\noutput = 1024");
    let context = 4096.0 + 512.0;
    near(
        number(&report, "inference.decode.attention"),
        61.0 * 2.0 * 128.0 * ((512.0 + 64.0) + 512.0) * context,
        1e-12,
    );
    let products = number(&report, "inference.decode.products");
    near(products, 2.0 * number(&report, "model.active_params.without_lookups"), 0.001);
    // Grouped queries: 4·a·h.
    let report = serve("llama-2-70b", "prompt = 4096\noutput = 1024");
    near(number(&report, "inference.decode.attention"), 80.0 * 4.0 * 8192.0 * context, 1e-12);
}

/// A prompt of one token costs what a token of an answer does whose context is itself.
#[test]
fn a_prompt_costs_its_tokens_and_their_pairs() {
    let flops =
        |prompt: u64| number(&serve("llama-2-70b", &format!("prompt = {prompt}")), "inference.prefill.flops");
    let products = number(&serve("llama-2-70b", ""), "inference.decode.products");
    let pair = 80.0 * 4.0 * 8192.0;
    near(flops(1), products + pair, 1e-12);
    // Logits are computed once.
    let logits = 2.0 * 8192.0 * 32_000.0;
    near(flops(1000), 1000.0 * (products - logits) + logits + 500_500.0 * pair, 1e-12);
}

/// Leviathan 2023 equation 1, at its ends and between.
#[test]
fn proposals_are_worth_what_is_accepted() {
    let speculative = |acceptance: &str| {
        let block =
            format!("speculative {{\n draft_params = 1B\n acceptance = {acceptance}\n tokens = 4\n}}");
        serve("llama-2-70b", &format!("{H100}batch = 1\n{block}"))
    };
    let plain = number(&serve("llama-2-70b", &format!("{H100}batch = 1")), "inference.tpot");
    for (acceptance, expected) in [("0%", 1.0), ("100%", 5.0), ("50%", 1.9375), ("70%", 2.7731)] {
        let report = speculative(acceptance);
        near(number(&report, "inference.speculative.expected_tokens"), expected, 1e-12);
        let both = number(&report, "inference.speculative.draft_time")
            + number(&report, "inference.speculative.check_time");
        near(number(&report, "inference.tpot"), both / expected, 1e-11);
        near(number(&report, "inference.speculative.speedup"), plain * expected / both, 1e-11);
    }
    assert!(number(&speculative("0%"), "inference.speculative.speedup") < 1.0);
    assert!(number(&speculative("90%"), "inference.speculative.speedup") > 1.5);
}

/// The hardware's device and the same one by name are the same.
#[test]
fn a_device_of_its_own_counts_as_the_hardwares() {
    let text = |hardware: &str, device: &str| {
        let model = "plan p {\n model = llama-2-70b\n}\n";
        report(&format!("{model}{hardware}inference {{\n {device}\n tensor = 4\n weights = fp8\n}}\n"))
    };
    let hardware = "hardware {\n device = h200-sxm\n nodes = 1\n price = $3 / h\n}\n";
    let own = text(&hardware.replace("h200-sxm", "a100-80gb"), "device = h200-sxm\n price = $3 / h");
    let shared = text(hardware, "");
    for path in ["inference.tpot", "inference.ttft", "inference.sequences", "inference.cost_per_million"] {
        assert_eq!(number(&own, path), number(&shared, path), "{path}");
    }
    assert!(own.sections.iter().any(|section| section.title == "Serving"));
}

#[test]
fn plans_that_do_not_serve_say_nothing_of_it() {
    let report = report(&model(2, 64, 4, 1000));
    assert!(report.quantities.iter().all(|quantity| !quantity.path.starts_with("inference.")));
    assert!(report.sections.iter().all(|section| section.title != "Serving" && section.title != "Lifetime"));
}

/// Without a device there are bytes and FLOPs, and no times.
#[test]
fn without_a_device_there_is_memory_and_no_time() {
    let report = serve("llama-2-7b", "batch = 8");
    near(
        number(&report, "inference.memory"),
        number(&report, "inference.weight_bytes")
            + 8.0 * number(&report, "inference.kv_per_sequence")
            + number(&report, "inference.memory.reserve"),
        1e-12,
    );
    assert!(report.get("inference.tpot").is_none() && report.get("inference.cost_per_million").is_none());
}

/// What is wrong, by code; the help says what would fit.
#[test]
fn what_cannot_be_served_is_said_with_the_arithmetic() {
    let one = |inference: &str| {
        let mut found = diagnostics(&served("llama-2-70b", inference));
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    };
    let found = one("device = h100-sxm");
    assert_eq!((found.code, found.severity), (Code::DoesNotFit, Severity::Warning));
    assert!(
        found.help[0].contains("`weights = fp8`") && found.help[0].contains("`tensor = 2`"),
        "{found:#?}"
    );
    // Each of these is true.
    for way in ["weights = fp8", "tensor = 2"] {
        assert!(
            diagnostics(&served("llama-2-70b", &format!("device = h100-sxm\n{way}"))).is_empty(),
            "{way}"
        );
    }
    let found = one(&format!("{H100}batch = 5000"));
    assert_eq!(found.code, Code::DoesNotFit);
    let largest = count(&serve("llama-2-70b", H100), "inference.largest_batch");
    assert!(found.help[0].contains(&format!("`batch = {largest}`")), "{found:#?}");
    assert_eq!(one("device = h100-sxm\ntensor = 3").code, Code::DegreeNotDividing);
    assert_eq!(one("device = a100-80gb\ntensor = 4\nweights = fp8").code, Code::NoPeak);
    assert!(
        diagnostics(&served("llama-2-70b", "device = a100-80gb\ntensor = 4\nweights = fp8\nmatmul = bf16"))
            .is_empty()
    );
}

/// What a condition needs is named: a device, a price, a law that has a loss.
#[test]
fn what_is_not_known_is_said_by_its_cause() {
    let of = |condition: &str, rest: &str| {
        let text = format!("{}require {{\n {condition}\n}}\n{rest}", served("llama-3-8b", "demand = 1T"));
        let found = diagnostics(&text);
        assert!(found.iter().any(|own| own.code == Code::NotComputable), "{found:#?}");
        let words = found.into_iter().flat_map(|own| own.help.into_iter().chain(own.notes));
        words.collect::<Vec<String>>().join(" ")
    };
    assert!(of("inference.tpot < 1 s", "").contains("`inference.device`"));
    assert!(of("inference.lifetime.cost < $1", "").contains("`inference.price`"));
    assert!(of("inference.optimal.params < 1B", "").contains("`data`"));
    let large = served("llama-2-70b", "device = h100-sxm");
    let found = diagnostics(&format!("{large}require {{\n inference.tpot < 1 s\n}}\n"));
    let notes: Vec<&String> = found.iter().flat_map(|own| &own.notes).collect();
    assert!(notes.iter().any(|note| note.contains("not one sequence fits")), "{found:#?}");
}

/// A context that the model does not have is said beside the numbers.
#[test]
fn more_tokens_than_the_context_are_said() {
    let notes = |prompt: u64| {
        let report = serve("llama-2-7b", &format!("prompt = {prompt}\noutput = 256"));
        let section = report.sections.into_iter().find(|section| section.title == "Serving").unwrap();
        section.notes.join(" ")
    };
    assert!(notes(4096).contains("4,352") && notes(4096).contains("4,096"), "{}", notes(4096));
    assert!(!notes(3840).contains("context"));
}

/// The precision law at 8B parameters and 15T tokens: 0.13 nats at 4 bits, 0.004 at 6, 0.0001 at 8, 0.70 at 3.
#[test]
fn fewer_bits_risk_more_and_more_data_makes_it_worse() {
    let of = |weights: &str, tokens: &str| {
        let text = format!(
            "{}data {{\n tokens = {tokens}\n}}\n",
            served("llama-3-8b", &format!("weights = {weights}"))
        );
        report(&text)
    };
    for (weights, loss, digits) in
        [("int8", 0.0001, 0.5), ("int6", 0.004, 0.15), ("int4", 0.13, 0.05), ("int3", 0.70, 0.05)]
    {
        near(number(&of(weights, "15T"), "inference.quantization_loss"), loss, digits);
    }
    let risk = |weights: &str| match &of(weights, "15T").get("inference.quantization_risk").unwrap().value {
        Value::Text(word) => word.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(["int8", "int6", "int4"].map(risk), ["low", "medium", "high"]);
    let (little, much) = (of("int4", "1T"), of("int4", "15T"));
    let ratio = number(&much, "inference.quantization_loss") / number(&little, "inference.quantization_loss");
    near(ratio, 15_f64.powf(0.5068), 1e-9);
    // 16 bits lose nothing that counts.
    assert!(number(&of("bf16", "15T"), "inference.quantization_share") < 1e-8);
}

/// What is served much should be smaller than what is trained best; what it costs is requests times a request.
#[test]
fn a_lifetime_is_its_requests() {
    let text = |demand: &str| {
        format!(
            "{}data {{\n tokens = 1T\n}}\nhardware {{\n device = h100-sxm\n nodes = 128\n price = $2 / h\n}}\n\
             training {{\n mfu = 40%\n}}\n",
            served(
                "llama-2-13b",
                &format!("device = h100-sxm\n price = $2 / h\n utilization = 50%\n demand = {demand}")
            )
        )
    };
    let (some, more) = (report(&text("1T")), report(&text("2T")));
    for leaf in ["flops", "device_hours", "cost"] {
        let path = format!("inference.lifetime.{leaf}");
        near(number(&more, &path), 2.0 * number(&some, &path), 1e-11);
    }
    let tokens = number(&some, "inference.lifetime.cost") / number(&some, "inference.cost_per_million");
    near(tokens * 1e6, 1e12, 1e-9);
    near(
        number(&some, "inference.lifetime.total_cost"),
        number(&some, "training.cost") + number(&some, "inference.lifetime.cost"),
        1e-11,
    );
    for optimum in ["inference.optimal", "inference.optimal.by_cost"] {
        let params = |report: &Report| number(report, &format!("{optimum}.params"));
        assert!(params(&more) < params(&some), "{optimum}");
        assert!(number(&more, &format!("{optimum}.saving")) > 0.0);
    }
    // Serving reaches less of the peak than training: a FLOP of it is dearer, which is demand.
    assert!(number(&some, "inference.price_ratio") > 1.0);
    assert!(number(&some, "inference.optimal.by_cost.params") < number(&some, "inference.optimal.params"));
}

/// A law of all parameters is given all of them, however the plan counts; adapters are trained on a model that has its loss
/// already, and the plan's tokens say nothing of it; of repeated tokens the loss to reach is the plan's.
#[test]
fn the_optimum_is_at_the_loss_of_the_plan() {
    let text = |rest: &str| format!("{}{rest}", served("llama-3-8b", "weights = int4\n demand = 2T tokens"));
    let data = "data {\n tokens = 2T\n}\n";
    let plain = report(&text(data));
    let counted = report(&text(&format!("{data}convention {{\n params = non_embedding\n}}\n")));
    for path in ["inference.optimal.params", "inference.optimal.tokens", "inference.quantization_share"] {
        near(number(&counted, path), number(&plain, path), 1e-9);
    }
    let adapters = report(&text(&format!("{data}training {{\n lora {{\n rank = 8\n }}\n}}\n")));
    for path in ["inference.optimal.params", "inference.quantization_loss"] {
        assert!(adapters.get(path).is_none(), "{path}");
    }
    let repeated = report(&text("data {\n tokens = 2T\n source web {\n raw = 200B\n weight = 100%\n }\n}\n"));
    assert!(number(&repeated, "scaling.loss") > number(&plain, "scaling.loss"));
    assert!(number(&repeated, "inference.optimal.params") < number(&plain, "inference.optimal.params"));
    let told = |report: &Report| {
        let section = report.sections.iter().find(|section| section.title == "Lifetime").unwrap();
        section.notes.iter().any(|note| note.contains("distinct tokens, and the data has 200B tokens"))
    };
    assert!(told(&repeated) && !told(&plain));
}
