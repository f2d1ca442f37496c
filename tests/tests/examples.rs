//! Every example in every format, as its snapshot says, the same on every run.

use std::fs;

use llmplan_tests::root;

mod tool;

/// The folders that this machine has must not be in what is printed; the examples are named as a user in the
/// repository's root names them.
fn check(name: &str, arguments: &[&str]) -> tool::Said {
    let file = format!("../examples/{name}.llm");
    let mut said = tool::run(&[&["check", &file], arguments].concat());
    said.out = said.out.replace("../examples/", "examples/");
    said.err = said.err.replace("../examples/", "examples/");
    said
}

fn examples() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root().join("examples"))
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().into_string().ok()?.strip_suffix(".llm").map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(names.len() >= 6, "{names:?}");
    names
}

#[test]
fn every_example_prints_its_snapshots() {
    for name in examples() {
        for (kind, arguments) in [
            ("text", &[][..]),
            ("brief", &["--brief"]),
            ("markdown", &["--format", "markdown"]),
            ("json", &["--format", "json"]),
        ] {
            let said = check(&name, arguments);
            assert!(said.code <= 1, "{name}: {}", said.all());
            // What people read is whole; of the rest, a few for the form and every number of all in a line.
            match kind {
                "json" if !WHOLE.contains(&name.as_str()) => {
                    insta::assert_snapshot!(format!("{name}@quantities"), quantities(&said.out));
                }
                kind => insta::assert_snapshot!(format!("{name}@{kind}"), said.all()),
            }
        }
    }
}

/// Examples whose JSON is in a snapshot as it is: one that holds and one that fails.
const WHOLE: [&str; 2] = ["gpt3-on-a100s", "over-budget"];

/// Each quantity of each plan in a line: path, value, grade and interval.
fn quantities(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let mut text = String::new();
    for plan in value["plans"].as_array().unwrap() {
        text.push_str(&format!("plan {}\n", plan["name"]));
        for quantity in plan["quantities"].as_array().unwrap() {
            let word = |key: &str| quantity[key].as_str().unwrap_or_default().to_owned();
            let interval = match (&quantity["low"], &quantity["high"]) {
                (serde_json::Value::Null, _) => String::new(),
                (low, high) => format!("  {low} to {high}"),
            };
            let (path, value, grade) = (word("path"), &quantity["value"], word("grade"));
            text.push_str(&format!("{path} = {value} {}  {grade}{interval}\n", word("unit")));
        }
    }
    text
}

/// An example that fails does so because of a `require`, not because of a mistake, and says so in its name.
#[test]
fn examples_hold_but_for_those_that_show_a_failure() {
    for name in examples() {
        let said = check(&name, &[]);
        let fails = name.contains("fail") || name.contains("over-budget");
        assert_eq!(said.code, u8::from(fails), "{name}: {}", said.all());
        assert!(!said.all().contains("error[") || said.all().contains("error[requirement-failed]"), "{name}");
    }
}

#[test]
fn json_is_the_same_on_every_run() {
    for name in examples() {
        let once = check(&name, &["--format", "json"]);
        let again = check(&name, &["--format", "json"]);
        assert!(once.out == again.out, "{name}: the second run differs");
        assert!(once.out.starts_with('{') && once.out.ends_with("}\n"), "{name}: {:.80}", once.out);
    }
}

/// 100 columns, and no blanks that nobody sees.
#[test]
fn text_reports_fit_on_a_page() {
    for name in examples() {
        for line in check(&name, &[]).out.lines() {
            assert!(line.chars().count() <= 100, "{name}: {line}");
            assert_eq!(line.trim_end(), line, "{name}: blanks at the end of {line:?}");
        }
    }
}
