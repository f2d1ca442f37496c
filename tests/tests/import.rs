//! Imported configurations have as many parameters as the package that runs them builds, to the last one.
//!
//! `tests/data/configs.jsonl` says in its first line where its configurations and totals are from.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;

use llmplan::{Console, Exit};
use llmplan_spec::format::format;
use llmplan_spec::source::FileId;
use llmplan_tests::root;
use serde_json::Value;

/// A configuration, and what is known about its model.
struct Row {
    name: String,
    config: String,
    params: u64,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("tests/data/configs.jsonl")).unwrap();
    let mut lines = text.lines();
    let head: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert!(head["origin"].as_str().unwrap().contains("transformers"));
    lines
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            Row {
                name: row["name"].as_str().unwrap().to_owned(),
                config: row["config"].as_str().unwrap().to_owned(),
                params: row["params"].as_u64().unwrap(),
            }
        })
        .collect()
}

/// Runs the tool with a text on standard input.
fn run(args: &[&str], stdin: &str) -> (Exit, String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let console = Console {
        stdin: &mut stdin.as_bytes(),
        stdout: &mut stdout,
        stderr: &mut stderr,
        stdout_color: false,
        stderr_color: false,
    };
    let exit = llmplan::run(["llmplan"].iter().chain(args).map(OsString::from), console);
    (exit, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The parameters that a check of a model reports, or what it says instead.
fn params(model: &str) -> Result<u64, String> {
    let (exit, report, _) = run(&["check", "-", "--format", "json"], model);
    let report: Value = serde_json::from_str(&report).unwrap();
    let quantities = report["plans"][0]["quantities"].as_array();
    let params = quantities.and_then(|all| all.iter().find(|quantity| quantity["path"] == "model.params"));
    match params.and_then(|params| params["value"].as_u64()) {
        Some(params) if exit == Exit::Fine => Ok(params),
        _ => Err(report["diagnostics"].to_string()),
    }
}

#[test]
fn every_configuration_has_the_parameters_that_are_built_from_it() {
    let rows = rows();
    assert!(rows.len() > 500, "only {} configurations were found", rows.len());
    let mut wrong = Vec::new();
    for Row { name, config, params: built } in &rows {
        let (exit, model, said) = run(&["import", "-", "--name", "imported"], config);
        if exit != Exit::Fine {
            wrong.push(format!("{name}: {said}"));
            continue;
        }
        match params(&model) {
            Ok(counted) if counted == *built => {}
            Ok(counted) => {
                wrong.push(format!("{name}: {counted} parameters, and {built} were built\n{model}"))
            }
            Err(said) => wrong.push(format!("{name}: {said}\n{model}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn what_is_imported_has_its_canonical_layout() {
    for Row { name, config, .. } in rows() {
        let (_, model, _) = run(&["import", "-"], &config);
        let formatted = format(&model, FileId(0));
        assert!(formatted.diagnostics.is_empty(), "{name}: {:?}\n{model}", formatted.diagnostics);
        assert_eq!(formatted.text, model, "{name}");
        assert!(
            model.lines().filter(|line| line.starts_with('#')).all(|line| line.len() <= 100),
            "{name}\n{model}"
        );
    }
}

/// No cut through a configuration is a panic, and hardly any is a model.
#[test]
fn cut_and_spoiled_configurations_are_refused() {
    let mut seen = BTreeSet::new();
    for Row { name, config, .. } in rows() {
        let family = name.split(['-', '_', '.']).next().unwrap_or_default().to_owned();
        if !seen.insert(family) {
            continue;
        }
        for end in (0..config.len()).step_by(97).filter(|end| config.is_char_boundary(*end)) {
            let (exit, model, said) = run(&["import", "-"], &config[..end]);
            assert_eq!((exit, model.as_str()), (Exit::PlanAtFault, ""), "{name}");
            assert!(said.starts_with("error: "), "{said}");
        }
    }
}

/// Whatever stands for the value of a field, the answer is a model or an error.
#[test]
fn no_value_of_a_field_is_fatal() {
    const NAMES: [&str; 12] = [
        "llama-0",
        "qwen2_moe-4",
        "gemma-3-4b",
        "deepseek_v3-0",
        "nemotron_h-1",
        "opt-1",
        "falcon-1",
        "mpt-0",
        "llama-4-maverick",
        "granitemoehybrid-0",
        "gpt_neo-0",
        "qwen3_next-2",
    ];
    const VALUES: [&str; 11] = [
        "null",
        "0",
        "1",
        "-1",
        "1.5",
        "4294967295",
        "18446744073709551615",
        "1e300",
        "NaN",
        "\"4096\"",
        "[[], {}]",
    ];
    let rows = rows();
    for name in NAMES {
        let config = &rows.iter().find(|row| row.name == name).unwrap().config;
        let Value::Object(object) = serde_json::from_str::<Value>(config).unwrap() else { panic!("{name}") };
        for key in object.keys().filter(|key| *key != "model_type") {
            let mut rest = object.clone();
            rest.remove(key);
            let rest = serde_json::to_string(&rest).unwrap();
            for value in VALUES {
                let spoiled = format!("{{\"{key}\": {value}, {}", &rest[1..]);
                let (exit, model, said) = run(&["import", "-"], &spoiled);
                let fine = exit == Exit::Fine;
                assert!(fine || exit == Exit::PlanAtFault, "{name} {key} {value}");
                assert!(said.is_empty() == fine && model.is_empty() != fine, "{name} {key} {value}: {said}");
            }
        }
    }
}
