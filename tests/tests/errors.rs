//! What a user reads: each file of `errors/` is a mistake that people make, and its snapshot is what the tool says.

use std::collections::BTreeSet;
use std::fs;

use llmplan_spec::diagnostic::Code;
use llmplan_tests::root;

mod tool;

/// Codes that none of the files brings about, and why.
const ELSEWHERE: &[(Code, &str)] = &[
    (Code::FileTooLarge, "needs a line of 65,536 bytes; hostile.rs has it"),
    (Code::TooManyImports, "needs 257 files; the hostile.rs of the command line has them"),
];

/// Every file with a mistake, relative to the package, sorted.
fn mistakes() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root().join("tests/errors"))
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().into_string().ok()?.strip_suffix(".llm").map(str::to_owned)
        })
        .collect();
    names.sort();
    names
}

#[test]
fn every_mistake_is_told_as_its_snapshot_says() {
    let names = mistakes();
    assert!(names.len() >= 75, "{}", names.len());
    insta::glob!("../errors", "*.llm", |path| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let said = tool::run(&["check", &format!("errors/{name}.llm")]);
        assert_eq!(said.code, 1, "{name}: {}", said.all());
        assert!(said.all().contains("error["), "{name}: {}", said.all());
        assert!(said.all().lines().all(|line| line.chars().count() <= 200), "{name}: a line is too long");
        insta::assert_snapshot!(said.all());
    });
}

/// A mistake costs one message: ten of them are told in one run.
#[test]
fn ten_mistakes_are_told_at_once() {
    let said = tool::run(&["check", "errors/ten-mistakes.llm"]);
    let errors = said.all().lines().filter(|line| line.starts_with("error[")).count();
    assert_eq!(errors, 10, "{}", said.all());
}

#[test]
fn every_code_is_brought_about() {
    let mut seen = BTreeSet::new();
    for name in mistakes() {
        let said = tool::run(&["check", &format!("errors/{name}.llm")]).all();
        let codes = said.lines().filter_map(|line| {
            let line = line.strip_prefix("error[").or_else(|| line.strip_prefix("warning["))?;
            Code::parse(line.split_once(']')?.0)
        });
        seen.extend(codes);
    }
    for code in Code::ALL {
        let elsewhere = ELSEWHERE.iter().any(|(known, _)| known == code);
        assert!(seen.contains(code) != elsewhere, "{code}: seen {}, listed {elsewhere}", seen.contains(code));
    }
}
