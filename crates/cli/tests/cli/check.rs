//! `llmplan check`

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{Folder, MODEL, TRAINING, shown};

const BROKEN: &str =
    "require {\n  training.time <= 1 s  \"a demonstration must be quick\"\n  model.params <= 1B\n}\n";
const UNMET: &str = "prefer {\n  model.params >= 1B\n}\n";

fn folder(test: &str) -> Folder {
    let folder = Folder::new(test);
    folder
        .write("model.llm", MODEL)
        .write("plan.llm", format!("{MODEL}{TRAINING}"))
        .write("broken.llm", format!("{MODEL}{TRAINING}\n{BROKEN}"))
        .write("unmet.llm", format!("{MODEL}{TRAINING}\n{UNMET}"))
        .write("mistakes.llm", "model tiny {\n  layers: 2\n  hidden_size = 64\n}\n")
        .write("devices.llm", "device toy {\n  memory = 8 GB\n}\n");
    folder
}

#[test]
fn reports_are_printed() {
    let folder = folder("check");
    for name in ["model", "plan", "broken", "unmet", "mistakes", "devices"] {
        let file = format!("{name}.llm");
        let run = folder.run(&["check", &file]);
        assert!(run.stdout.lines().all(|line| line.chars().count() <= 100), "{}", run.stdout);
        assert_snapshot!(format!("check_{name}"), shown(&run));
        assert_snapshot!(format!("check_{name}_brief"), shown(&folder.run(&["check", &file, "--brief"])));
        assert_snapshot!(
            format!("check_{name}_markdown"),
            shown(&folder.run(&["check", &file, "--format", "markdown"]))
        );
    }
}

#[test]
fn exit_codes_are_the_worst_of_all_files() {
    let folder = folder("check-codes");
    let code = |args: &[&str]| folder.run(&[&["check"], args].concat()).code;
    assert_eq!(code(&["model.llm", "plan.llm", "unmet.llm", "devices.llm"]), 0);
    assert_eq!(code(&["model.llm", "broken.llm"]), 1);
    assert_eq!(code(&["mistakes.llm", "model.llm"]), 1);
    assert_eq!(code(&["mistakes.llm", "missing.llm", "model.llm"]), 2);
    assert_eq!(code(&["*.llm"]), 1);
    assert_eq!(code(&["*.nothing"]), 2);
    assert_eq!(code(&["."]), 2);
}

#[test]
fn trouble_with_one_file_does_not_stop_the_others() {
    let folder = folder("check-several");
    let run = folder.run(&["check", "missing.llm", ".", "mistakes.llm", "m*.llm", "--brief"]);
    assert_snapshot!("check_several", shown(&run));
}

#[test]
fn a_file_whose_name_is_a_pattern_is_a_file() {
    let folder = folder("check-names");
    folder.write("a[1].llm", MODEL).write("plans/.hidden.llm", "{").write("plans/b.llm", MODEL);
    assert!(folder.run(&["check", "a[1].llm"]).stdout.starts_with("a[1].llm  plan tiny: OK"));
    let run = folder.run(&["check", "plans/*"]);
    assert!(run.code == 0 && run.stdout.starts_with("plans/b.llm  plan tiny: OK"), "{}", shown(&run));
}

#[test]
fn standard_input_is_a_plan() {
    let run = Folder::new("check-stdin").pipe(&["check", "-", "--brief"], MODEL.as_bytes());
    assert!(run.code == 0 && run.stdout.starts_with("<stdin>  plan tiny: OK"), "{}", shown(&run));
}

#[test]
fn variants_are_compared() {
    let folder = folder("check-variants");
    let check = |args: &[&str]| shown(&folder.run(&[&["check", "plan.llm"], args].concat()));
    assert_snapshot!("variants", check(&["--set", "training.mfu=20%,40%,60%"]));
    assert_snapshot!(
        "variants_two",
        check(&["--set", "model.layers=2,4", "--set", "training.micro_batch=1,2"])
    );
    assert_snapshot!("variants_nothing", check(&["--set", "training.micro_batch=1,2,4"]));
    assert_snapshot!("variants_csv", check(&["--set", "model.layers=2,4", "--format", "csv"]));
    assert_snapshot!("variants_markdown", check(&["--set", "training.mfu=20%,40%", "--format", "markdown"]));
    assert_snapshot!(
        "variants_broken",
        shown(&folder.run(&["check", "broken.llm", "--set", "training.mfu=20%,40%"]))
    );
    assert_snapshot!("set_unknown", check(&["--set", "training.micro_bach=1", "--set", "model.layers=0"]));
}

#[test]
fn csv_has_a_row_for_each_plan() {
    let folder = folder("check-csv");
    let run = folder.run(&["check", "model.llm", "mistakes.llm", "plan.llm", "--format", "csv"]);
    assert_eq!(run.code, 1);
    let rows: Vec<Vec<&str>> = run.stdout.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 3, "{}", run.stdout);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()));
    assert_eq!(&rows[0][..3], ["file", "plan", "holds"]);
    assert_eq!(&rows[1][..3], ["model.llm", "tiny", "true"]);
    assert!(run.stderr.contains("error[colon]"), "{}", run.stderr);
}

#[test]
fn json_follows_its_schema_and_is_the_same_on_every_run() {
    let folder = folder("check-json");
    let schema: Value = serde_json::from_str(&folder.run(&["docs", "schema"]).stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let files = ["model.llm", "plan.llm", "broken.llm", "unmet.llm", "mistakes.llm", "devices.llm"];
    let mut args = vec!["check", "--format", "json", "--set", "model.layers=2,4"];
    args.extend(files);
    for args in [
        &args[..],
        &["check", "--format", "json", "model.llm"],
        &["check", "--format", "json", "missing.llm"],
    ] {
        let run = folder.run(args);
        assert_eq!(run.stdout, folder.run(args).stdout);
        let document: Value = serde_json::from_str(&run.stdout).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", run.stdout);
        sorted(&document, &run.stdout);
    }
    assert_snapshot!("json", folder.run(&["check", "--format", "json", "broken.llm", "mistakes.llm"]).stdout);
}

/// Fields stand in the order of their names, also where the reader keeps the order of the text.
fn sorted(document: &Value, text: &str) {
    let mut names: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        names.retain(|(depth, _)| *depth <= indent);
        if let Some((name, _)) = line.trim_start().strip_prefix('"').and_then(|rest| rest.split_once("\": "))
        {
            if let Some((_, before)) = names.iter().find(|(depth, _)| *depth == indent) {
                assert!(before.as_str() < name, "`{before}` stands before `{name}`");
            }
            names.retain(|(depth, _)| *depth < indent);
            names.push((indent, name.to_owned()));
        } else {
            names.retain(|(depth, _)| *depth < indent);
        }
    }
    assert_eq!(document["schema_version"], 1);
}

#[test]
fn the_examples_follow_the_schema_too() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let folder = Folder::new("check-examples");
    let schema: Value = serde_json::from_str(&folder.run(&["docs", "schema"]).stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for entry in fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "llm") {
            let run = folder.run(&["check", path.to_str().unwrap(), "--format", "json"]);
            let document: Value = serde_json::from_str(&run.stdout).unwrap();
            assert!(validator.is_valid(&document), "{}", path.display());
        }
    }
}

#[test]
fn any_bytes_are_refused_quickly_and_without_a_panic() {
    let folder = Folder::new("check-bytes");
    let noise: Vec<u8> = (0..5_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    folder
        .write("empty.llm", "")
        .write("noise.llm", noise)
        .write("latin.llm", b"# caf\xe9\nmodel a {}\n")
        .write("large.llm", vec![b'#'; 9_000_000])
        .write("line.llm", format!("model a {{\n  layers = {}\n}}\n", "x".repeat(60_000)))
        .write("deep.llm", "(".repeat(100_000))
        .write("escapes.llm", "model a {\n  layers = \"\u{1b}[2J\n}\n")
        .write("many.llm", "x\n".repeat(100_000));
    for name in ["empty", "noise", "latin", "large", "line", "deep", "escapes", "many"] {
        let start = Instant::now();
        let run = folder.run(&["check", &format!("{name}.llm"), "--color", "never"]);
        assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{name}: {}", run.stdout);
        assert!(run.stdout.starts_with(&format!("{name}.llm  FAILS: ")), "{name}: {}", run.stdout);
        assert!(run.stdout.contains("error["), "{name}: {}", run.stdout);
        assert!(!run.stdout.contains('\u{1b}'), "{name}");
        assert!(run.stdout.len() < 60_000, "{name}: {} bytes", run.stdout.len());
        // A debug build on a busy machine: the release build is held to a second elsewhere.
        assert!(start.elapsed() < Duration::from_secs(20), "{name}: {:?}", start.elapsed());
    }
    assert!(folder.run(&["check", "latin.llm"]).stdout.contains("byte 5"));
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_no_way_around_the_limits() {
    use std::os::unix::fs::symlink;

    let folder = Folder::new("check-links");
    folder.write("secret/other.llm", MODEL).write("project/plan.llm", "import \"link.llm\"\n");
    fs::create_dir(folder.path().join("project/.git")).unwrap();
    symlink("../secret/other.llm", folder.path().join("project/link.llm")).unwrap();
    let run = folder.run(&["check", "project/plan.llm"]);
    assert!(run.code == 1 && run.stdout.contains("import-outside-root"), "{}", shown(&run));
    // The user may name any file; only imports are confined.
    assert_eq!(folder.run(&["check", "project/link.llm"]).code, 0);
    let run = folder.run(&["check", "/dev/null"]);
    assert!(run.code == 2 && run.stderr.contains("is not a file"), "{}", shown(&run));
}
