//! Published models: what the language counts of each, and what the catalog says of it.
//!
//! The records are read by a writer of their own, and the catalog's files were imported from configurations: two ways to
//! the same number.

mod records;

use std::collections::BTreeMap;
use std::fs;

use llmplan_analysis::folds::buffers;
use llmplan_analysis::graph::lower;
use llmplan_analysis::report::{Report, Value};
use llmplan_spec::catalog;
use llmplan_tests::formulas::formulas_hold;
use llmplan_tests::{reports, resolved, root};
use records::{Record, record, records};
use serde_json::Value as Json;

/// Parameters of every model of the catalog, with where each integer is from.
const CATALOG: &str = include_str!("../data/catalog_models.json");

/// Rows whose exact printed total is not what is counted: (name, printed less counted, why).
const OTHERWISE: [(&str, i128, &str); 1] = [
    // 58 layers of 256 experts.
    ("deepseek-v3", 58 * 256, "the correction biases of its routers, which are stored and not trained"),
];

/// Rows that no code was counted for: printed to two or three digits.
const ROUNDED: [&str; 2] = ["chinchilla-70b", "mt-nlg-530b"];

#[test]
fn every_record_has_its_parameters() {
    let records = records();
    assert_eq!(records.len(), 98);
    let (mut counted, mut printed, mut otherwise) = (0, 0, 0);
    for record in &records {
        let name = record.name();
        let params = count(&only(&record.text()), "model.params");
        match record.counted() {
            Some(expected) => {
                assert_eq!(params, expected, "{name}\n{}", record.text());
                counted += 1;
            }
            None => {
                assert!(ROUNDED.contains(&name), "{name} has no count");
                let label = record.printed_label().unwrap();
                assert!((params as f64 / label - 1.0).abs() < 0.01, "{name}: {params}, printed {label}");
            }
        }
        let Some(total) = record.printed() else { continue };
        let difference = total as i128 - params as i128;
        match OTHERWISE.iter().find(|(other, ..)| *other == name) {
            Some((_, expected, why)) => {
                assert_eq!(difference, *expected, "{name}: {why}");
                otherwise += 1;
            }
            None => assert_eq!(difference, 0, "{name}"),
        }
        printed += 1;
    }
    assert_eq!((counted, printed, otherwise), (96, 75, OTHERWISE.len()));
}

/// What is stored and not trained is counted apart, and is all that DeepSeek-V3's printed total has besides.
#[test]
fn correction_biases_are_buffers() {
    let (_, resolution) = resolved(&record("deepseek-v3").text());
    let graph = lower(&resolution.plans[0].model);
    assert_eq!(buffers(&graph).unwrap().total(), Some(14_848));
}

/// Labels are rounded, some by the half: `8B` of 8.54B.
#[test]
fn labels_are_near() {
    for record in records() {
        let (Some(label), name) = (record.printed_label(), record.name()) else { continue };
        let params = count(&only(&record.text()), "model.params") as f64;
        let most = if name == "minitron-8b" { 0.07 } else { 0.04 };
        assert!((params / label - 1.0).abs() < most, "{name}: {params}, label {label}");
    }
}

#[test]
fn every_model_of_the_catalog_has_its_parameters() {
    let known: Json = serde_json::from_str(CATALOG).unwrap();
    let known = known["models"].as_object().unwrap();
    let names: Vec<&str> = catalog::names("model").collect();
    assert_eq!(names, known.keys().map(String::as_str).collect::<Vec<_>>());
    assert!(names.len() > 220, "{}", names.len());
    let records: BTreeMap<String, Record> =
        records().into_iter().map(|record| (record.name().to_lowercase(), record)).collect();
    for name in names {
        let params = count(&of(name), "model.params");
        assert_eq!(Some(params), known[name]["params"].as_u64().map(u128::from), "{name}");
        match known[name]["origin"].as_str().unwrap().split_once(':') {
            None => {}
            Some(("models.json", row)) => {
                assert_eq!(records[row.trim()].counted(), Some(params), "{name}: {row}");
            }
            Some((kind, _)) => assert_eq!(kind, "transformers", "{name}"),
        }
        if known[name]["origin"] == "models.json" {
            assert_eq!(records[name].counted(), Some(params), "{name}");
        }
    }
}

/// The README says how many entries there are.
#[test]
fn the_readme_counts_the_catalog() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let [models, devices, laws] = ["model", "device", "law"].map(|kind| catalog::names(kind).count());
    assert!(
        readme.contains(&format!("{models} published models, {devices} devices and {laws} scaling laws")),
        "{models}, {devices}, {laws}"
    );
}

/// Every record has a file of its name and its shape; one is named for what its shape is.
#[test]
fn every_record_is_in_the_catalog() {
    for record in records() {
        let name = match record.name() {
            // The row says that it is not the pruned model of that name.
            "minitron-8b" => "nemotron-3-8b".to_owned(),
            name => name.to_lowercase(),
        };
        let (mine, theirs) = (only(&record.text()), of(&name));
        for path in [
            "model.params",
            "model.active_params",
            "model.params.attention",
            "model.params.ffn",
            "model.params.norm",
            "model.kv_bytes_per_token",
        ] {
            assert_eq!(value(&mine, path), value(&theirs, path), "{name}: {path}");
        }
        // Its file has a window of 2047 tokens, and the row has none.
        if name != "phi-3-mini-4k" {
            let training = format!("  sequence = {}\n", record.context().min(8192));
            let path = "flops.convention.full.training_per_token";
            let mine = only(&format!("{}\ntraining {{\n{training}}}\n", record.text()));
            assert_eq!(count(&mine, path), count(&trained(&name, &training, ""), path), "{name}");
        }
    }
}

/// Parameters that one token passes, as published: exactly, or to the digits that are printed. `true`: without the input
/// embedding, which is looked up and not multiplied.
#[test]
fn active_parameters_are_those_published() {
    assert_eq!(count(&of("mixtral-8x7b"), "model.active_params"), 12_879_925_248);
    for (name, without_lookups, billions) in [
        ("mixtral-8x7b", false, "12.88"),
        ("mixtral-8x22b", false, "39.2"),
        ("deepseek-v3", true, "36.63"),
        ("deepseek-v3", false, "37.55"),
        ("deepseek-v2", false, "21.4"),
        ("deepseek-v2-lite", true, "2.5"),
        ("gpt-oss-20b", true, "3.61"),
        ("gpt-oss-120b", true, "5.13"),
        ("qwen1.5-moe-a2.7b", false, "2.7"),
        ("qwen3-30b-a3b", false, "3.4"),
        ("qwen3-235b-a22b", false, "22.19"),
        ("qwen3-coder-480b-a35b", false, "35"),
        ("olmoe-1b-7b", false, "1.28"),
        ("phi-3.5-moe", false, "6.64"),
        ("dbrx-132b", false, "36"),
        ("glm-4.5", true, "32.86"),
        ("glm-4.5-air", true, "12.80"),
        ("llama-4-scout-text", false, "17"),
        ("llama-4-maverick-text", false, "17"),
    ] {
        let path =
            if without_lookups { "model.active_params.without_lookups" } else { "model.active_params" };
        let active = count(&of(name), path) as f64 / 1e9;
        let digits = billions.split_once('.').map_or(0, |(_, digits)| digits.len());
        assert_eq!(format!("{active:.digits$}"), billions, "{name}: {active}");
    }
}

/// A forward pass of Mixtral goes through two experts of eight: 3 matrices of 4096 × 14,336 each, in 32 layers.
#[test]
fn a_pass_counts_the_experts_that_are_taken() {
    let report = of("mixtral-8x7b");
    let active = 32 * 2 * 3 * 4096 * 14_336;
    assert_eq!(count(&report, "model.params.active_experts"), active);
    assert_eq!(count(&report, "model.params.experts"), 4 * active);
    assert_eq!(count(&report, "flops.forward.experts"), 2 * count(&report, "flops.sequence") * active);
    assert_eq!(count(&report, "model.params.router"), 32 * 8 * 4096);
}

#[test]
fn a_token_of_cache_is_what_is_published() {
    for (name, bytes) in [
        // 28 layers · 2 · 8 heads · 128 values · 2 bytes.
        ("qwen3-0.6b", 114_688),
        // 61 layers · (512 + 64) values · 2 bytes: DeepSeek-V3 (arXiv:2505.09343) Table 1 has 70.272 KB.
        ("deepseek-v3", 70_272),
    ] {
        assert_eq!(count(&of(name), "model.kv_bytes_per_token"), bytes, "{name}");
    }
}

/// Training FLOPs per token, forward and backward, to the digits of the source. Its causal figures are half of the
/// attention: T²/2 pairs, where T(T + 1)/2 are left and counted here. The diagonal is all that is between them.
#[test]
fn training_flops_of_a_token_are_those_published() {
    for (name, sequence, full, causal, precision) in [
        ("gpt2", 1024, 854_438_400, 797_815_296, 1),
        ("llama-2-7b", 4096, 46_084_915_200, 42_863_689_728, 1),
        ("llama-3-8b", 8192, 57_912_852_480, 51_470_000_000, 10_000_000),
        ("mixtral-8x7b", 4096, 82_930_000_000, 79_710_000_000, 10_000_000),
    ] {
        let report = &trained(name, &format!("  sequence = {sequence}\n"), "");
        let diagonal = 3 * count(report, "flops.convention.full.attention") / (2 * sequence * sequence);
        for (convention, printed, more) in [("full", full, 0), ("causal", causal, diagonal)] {
            let path = format!("flops.convention.{convention}.training_per_token");
            let ours = count(report, &path) - more;
            assert!(
                ours.abs_diff(printed) <= precision / 2,
                "{name} {convention}: {ours}, printed {printed}"
            );
        }
    }
    let llama = trained("llama-3-8b", "  sequence = 8192\n", "");
    assert_eq!(count(&llama, "flops.convention.full.training_per_token"), 57_912_852_480);
}

/// DeepSeek-V3 README_WEIGHTS: the module has 11.5B unique parameters; its embedding and output are the main model's.
#[test]
fn a_model_that_extends_one_of_the_catalog_differs_in_what_it_says() {
    let main = of("deepseek-v3");
    let trained = only("model mine extends deepseek-v3 {\n  mtp {\n    depth = 1\n  }\n}\n");
    let module = count(&trained, "model.params.mtp");
    // Queries, keys and values with their norms, output; 257 experts and the router; the projection; five norms.
    let attention =
        7168 * 1536 + 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 + 512 * 128 * 256 + 128 * 128 * 7168;
    assert_eq!(module, attention + 257 * 3 * 7168 * 2048 + 256 * 7168 + 2 * 7168 * 7168 + 5 * 7168);
    assert!((module as f64 / 11.5e9 - 1.0).abs() < 0.01, "{module}");
    assert_eq!(count(&trained, "model.params"), count(&main, "model.params") + module);
    assert_eq!(count(&trained, "model.active_params"), count(&main, "model.active_params"));

    let deeper = only("model deeper extends llama-3-8b {\n  layers = 64\n}\n");
    let layer = count(&of("llama-3-8b"), "model.params.per_layer");
    assert_eq!(count(&deeper, "model.params"), 8_030_261_248 + 32 * layer);
}

#[test]
fn a_plan_names_a_model_of_the_catalog() {
    let text = "plan small {\n  model = llama-3.2-1b\n}\n\nplan large {\n  model = llama-3.1-405b\n}\n";
    let reports = reports(text).unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"));
    let params: Vec<u128> = reports.iter().map(|report| count(report, "model.params")).collect();
    assert_eq!(params, [1_235_814_400, 405_853_388_800]);
}

/// Of every model and in four settings, each formula that is shown equals the number beside it.
#[test]
fn every_formula_of_a_model_equals_its_number() {
    let mut formulas = 0;
    for name in catalog::names("model") {
        for (training, more) in [
            ("", ""),
            ("  sequence = 1000\n", "convention {\n  attention = causal\n}\n"),
            ("  sequence = 777\n  optimizer = adam8bit\n", ""),
            ("  sequence = 1024\n  documents = [700, 324]\n", ""),
        ] {
            let report = if training.is_empty() { of(name) } else { trained(name, training, more) };
            formulas += formulas_hold(&report);
        }
    }
    assert!(formulas > 4 * 220 * 40, "{formulas}");
}

/// A plan of a model of the catalog and nothing else.
fn of(name: &str) -> Report {
    only(&format!("plan p {{\n  model = {name}\n}}\n"))
}

/// A plan that trains a model of the catalog.
fn trained(name: &str, training: &str, more: &str) -> Report {
    only(&format!("plan p {{\n  model = {name}\n}}\n\ntraining {{\n{training}}}\n\n{more}"))
}

fn only(text: &str) -> Report {
    reports(text).unwrap_or_else(|diagnostics| panic!("{text}\n{diagnostics:#?}")).remove(0)
}

fn count(report: &Report, path: &str) -> u128 {
    value(report, path).unwrap_or_else(|| panic!("{path} is no count"))
}

fn value(report: &Report, path: &str) -> Option<u128> {
    match report.get(path)?.value {
        Value::Count(count) => Some(count),
        _ => None,
    }
}
