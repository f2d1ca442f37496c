//! `llmplan catalog`

use insta::assert_snapshot;
use llmplan_spec::catalog;
use serde_json::Value;

use crate::support::{Folder, MODEL, TRAINING};

#[test]
fn devices_are_listed() {
    let folder = Folder::new("catalog-devices");
    let list = folder.run(&["catalog", "list", "devices"]);
    assert_eq!((list.code, list.stderr.as_str()), (0, ""));
    assert!(list.stdout.lines().all(|line| line.chars().count() <= 100), "{}", list.stdout);
    assert_snapshot!("catalog_devices", list.stdout);
    let markdown = folder.run(&["catalog", "list", "devices", "--format", "markdown"]).stdout;
    assert!(markdown.contains("| h100-sxm | 80 GB | 3.35 TB/s | 989 TFLOP/s |"), "{markdown}");
}

#[test]
fn models_are_listed_by_family_and_size() {
    let folder = Folder::new("catalog-models");
    let list = folder.run(&["catalog", "list", "models"]);
    assert_eq!((list.code, list.stderr.as_str()), (0, ""));
    assert!(list.stdout.lines().all(|line| line.chars().count() <= 100), "{}", list.stdout);
    assert_snapshot!("catalog_models", list.stdout);
    let markdown = folder.run(&["catalog", "list", "models", "--format", "markdown"]).stdout;
    assert!(markdown.contains("| mixtral-8x7b | 46.7B | 12.88B | 2 of 8 | 32 |"), "{markdown}");
}

/// Every entry has its line, and a kind without entries its heading.
#[test]
fn alone_it_lists_everything() {
    let folder = Folder::new("catalog");
    let all = folder.run(&["catalog"]);
    assert_eq!((all.code, all.stderr.as_str()), (0, ""));
    for format in ["text", "json", "markdown"] {
        let listed = folder.run(&["catalog", "list", "--format", format]);
        assert_eq!((listed.code, listed.stderr.as_str()), (0, ""));
        for entry in catalog::ENTRIES {
            assert!(listed.stdout.contains(entry.name), "{format}: {}", entry.name);
        }
    }
    assert_eq!(all.stdout, folder.run(&["catalog", "list"]).stdout);
    assert!(all.stdout.starts_with("Models\n") && all.stdout.contains("\nDevices\n"), "{}", all.stdout);
    assert!(all.stdout.lines().all(|line| line.chars().count() <= 100), "{}", all.stdout);
}

#[test]
fn json_has_every_figure_in_base_units() {
    let list = Folder::new("catalog-json").run(&["catalog", "list", "--format", "json"]);
    let document: Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(document["schema_version"], 1);
    let devices = document["devices"].as_array().unwrap();
    let h100 = devices.iter().find(|device| device["name"] == "h100-sxm").unwrap();
    assert_snapshot!("catalog_json_h100", serde_json::to_string_pretty(h100).unwrap());
    for (kind, entries) in [("model", "models"), ("device", "devices")] {
        let listed = document[entries].as_array().unwrap();
        assert_eq!(listed.len(), catalog::names(kind).count());
        // Each was read: its name is not all there is.
        assert!(listed.iter().all(|entry| entry.as_object().unwrap().len() > 3), "{listed:#?}");
    }
    for model in document["models"].as_array().unwrap() {
        assert!(model["params"].as_u64() > Some(0), "{model}");
    }
}

/// What is printed is the file: it can be kept, changed and used in place of the catalog's.
#[test]
fn an_entry_is_printed_as_it_stands() {
    let folder = Folder::new("catalog-show");
    for entry in catalog::ENTRIES {
        let shown = folder.run(&["catalog", "show", entry.name]);
        assert_eq!((shown.code, shown.stdout.as_str(), shown.stderr.as_str()), (0, entry.text, ""));
    }
    let mine = folder.run(&["catalog", "show", "h100-sxm"]).stdout;
    folder.write("mine.llm", &mine);
    assert_eq!(folder.run(&["check", "mine.llm"]).code, 0);
    assert_eq!(folder.run(&["fmt", "--check", "mine.llm"]).code, 0);
    let own = mine.replace("bf16 = 989 TFLOP/s", "bf16 = 500 TFLOP/s");
    folder.write("plan.llm", format!("{MODEL}\n{own}\n{TRAINING}"));
    let peak = folder.run(&["explain", "plan.llm", "hardware.peak"]);
    assert!(peak.stdout.starts_with("hardware.peak = 4 PFLOP/s"), "{}{}", peak.stdout, peak.stderr);
}

#[test]
fn an_unknown_name_suggests_known_ones() {
    let folder = Folder::new("catalog-unknown");
    let said = |name: &str| {
        let run = folder.run(&["catalog", "show", name]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""));
        run.stderr
    };
    assert_eq!(said("gaudi33"), "error: there is no `gaudi33` in the catalog; did you mean `gaudi3`?\n");
    assert_eq!(
        said("H100"),
        "error: there is no `H100` in the catalog; there is `h100-nvl`, `h100-pcie` or `h100-sxm`\n"
    );
    assert_eq!(said("abacus"), "error: there is no `abacus` in the catalog; `llmplan catalog` lists it\n");
}
