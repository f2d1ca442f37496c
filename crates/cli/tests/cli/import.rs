//! `llmplan import`

use std::fmt::Write;

use insta::assert_snapshot;

use crate::support::{Folder, Run, shown};

const LLAMA: &str = r#"{
  "_name_or_path": "org/Tiny Llama",
  "hidden_size": 64,
  "intermediate_size": 172,
  "model_type": "llama",
  "num_attention_heads": 4,
  "num_hidden_layers": 2,
  "num_key_value_heads": 2,
  "rope_theta": 10000.0,
  "vocab_size": 1000
}
"#;

/// [`LLAMA`] with something else in the place of a part.
fn with(part: &str, other: &str) -> String {
    assert!(LLAMA.contains(part), "{part}");
    LLAMA.replace(part, other)
}

fn import(test: &str, config: impl AsRef<[u8]>) -> Run {
    Folder::new(test).pipe(&["import", "-"], config.as_ref())
}

#[test]
fn a_model_comes_with_what_was_read() {
    let folder = Folder::new("import-model");
    folder.write("config.json", LLAMA);
    let run = folder.run(&["import", "config.json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_snapshot!("import_llama", run.stdout);
}

#[test]
fn a_model_goes_into_a_file_that_is_formatted() {
    let folder = Folder::new("import-output");
    folder.write("models/small/config.json", with("  \"_name_or_path\": \"org/Tiny Llama\",\n", ""));
    let run = folder.run(&["import", "models/small/config.json", "-o", "small.llm"]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""));
    assert!(folder.read("small.llm").contains("\nmodel small {\n"), "the folder names it");
    assert_eq!(folder.run(&["fmt", "small.llm", "--check"]).code, 0);
    let same = folder.run(&["import", "models/small/config.json", "-o", "-"]);
    assert_eq!(same.stdout, folder.read("small.llm"));
    let run = folder.run(&["import", "models/small/config.json", "-o", "none/small.llm"]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    assert!(
        run.stderr.contains("`none/small.llm` cannot be written: there is no such file"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_model_has_the_name_that_is_asked_for() {
    let folder = Folder::new("import-name");
    folder.write("config.json", LLAMA).write("9.json", with("org/Tiny Llama", "/data/42/"));
    let first = |args: &[&str]| {
        let run = folder.run(args);
        assert_eq!(run.code, 0, "{}", run.stderr);
        run.stdout.lines().find(|line| line.starts_with("model ")).unwrap().to_owned()
    };
    assert_eq!(first(&["import", "config.json", "--name", "mine-7b"]), "model mine-7b {");
    assert_eq!(first(&["import", "config.json"]), "model tiny-llama {");
    assert_eq!(first(&["import", "9.json"]), "model llama {", "neither `42` nor `9` is a name");
    let run = folder.run(&["import", "config.json", "--name", "My Model"]);
    assert_snapshot!("import_name", shown(&run));
}

#[test]
fn another_type_is_read_where_it_is_asked_for() {
    let folder = Folder::new("import-as");
    folder.write("config.json", with("\"llama\"", "\"lama_plus\""));
    let run = folder.run(&["import", "config.json", "--as", "qwen2"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(
        run.stdout.contains("model type `qwen2`") && run.stdout.contains("qkv_bias = true"),
        "{}",
        run.stdout
    );
}

#[test]
fn the_text_of_a_model_of_more_is_read() {
    let config = format!(
        "{{\"model_type\": \"gemma3\", \"vision_config\": {{}}, \"text_config\": {}}}",
        with("\"llama\"", "\"gemma3_text\"")
    );
    let run = import("import-text-config", config);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_snapshot!("import_text_config", run.stdout);
}

/// What is wrong with a configuration, and what is said about it.
#[test]
fn faults_are_told() {
    let cases = [
        ("an unknown type", with("\"llama\"", "\"lama\"")),
        ("a type like many", with("\"llama\"", "\"qwen9\"")),
        ("a type like none", with("\"llama\"", "\"zzz\\u001b[31m\"")),
        ("a type that cannot be said", with("\"llama\"", "\"jamba\"")),
        ("a part that cannot be said", with("\"llama\"", "\"gpt2\", \"add_cross_attention\": true")),
        ("no type", with("\"model_type\": \"llama\",", "")),
        ("a type that is no text", with("\"llama\"", "7")),
        ("sizes that are missing", "{\"model_type\": \"llama\", \"vocab_size\": null}".to_owned()),
        (
            "values of wrong types",
            LLAMA
                .replace("64", "\"64\"")
                .replace("172", "17.5")
                .replace("4,", "true,")
                .replace("1000\n", "-1\n"),
        ),
        ("zero", with("64", "0")),
        ("more than any model has", with("64", "99999999999")),
        ("more layers than are read", with("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 20000")),
        ("heads that do not divide", with("\"num_attention_heads\": 4", "\"num_attention_heads\": 6")),
        ("heads that cannot be shared", with("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3")),
        ("a flag that is none", with("\"llama\"", "\"llama\", \"attention_bias\": \"no\"")),
        ("an activation that is none", with("\"llama\"", "\"llama\", \"hidden_act\": \"sliu\"")),
        ("a list of another length", with("\"llama\"", "\"gemma2\", \"layer_types\": [\"full_attention\"]")),
        (
            "an unknown kind of layer",
            with("\"llama\"", "\"gemma2\", \"layer_types\": [\"full_attention\", \"fulll_attention\"]"),
        ),
        (
            "a key that stands twice",
            with("\"vocab_size\": 1000", "\"vocab_size\": 1000, \"hidden_size\": 64"),
        ),
        ("a file that was cut off", LLAMA[..150].to_owned()),
        ("no JSON", with("{", "{{")),
        ("nothing", String::new()),
        ("a list", "[]".to_owned()),
        ("a number that is none", with("64", "NaN")),
        ("a number out of range", with("64", "1e400")),
        ("deep nesting", format!("{{\"a\": {}", "[".repeat(100_000))),
    ];
    let mut text = String::new();
    for (what, config) in cases {
        let run = import("import-faults", config);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{what}");
        writeln!(text, "{what}\n{}", run.stderr).unwrap();
    }
    assert_snapshot!("import_faults", text);
}

#[test]
fn what_is_no_text_or_no_file_is_told() {
    let folder = Folder::new("import-bytes");
    folder.write("bytes.json", b"{\"a\": \xff}").write("large.json", vec![b' '; 8_000_001]);
    let mut text = String::new();
    for (file, code) in [("bytes.json", 1), ("large.json", 1), ("missing.json", 2), (".", 2)] {
        let run = folder.run(&["import", file]);
        assert_eq!((run.code, run.stdout.as_str()), (code, ""), "{file}");
        text.push_str(&run.stderr);
    }
    assert_snapshot!("import_unreadable", text);
    assert_eq!(folder.run(&["import"]).code, 2);
    assert_eq!(folder.run(&["import", "a.json", "b.json"]).code, 2);
}

/// What a configuration says cannot make its comment something else.
#[test]
fn names_in_comments_stay_in_comments() {
    let run = import("import-comments", with("\"rope_theta\"", "\"a\\nmodel evil {\\u001b[31m\""));
    assert_eq!(run.code, 0);
    assert!(!run.stdout.contains('\u{1b}') && !run.stdout.contains("\nmodel evil"), "{}", run.stdout);
    let many: String = (0..500).map(|at| format!("\"key_{at}\": {at}, ")).collect();
    let run = import("import-comments", with("\"rope_theta\"", &format!("{many}\"rope_theta\"")));
    assert!(run.stdout.contains("and 421 more") && run.stdout.lines().count() < 60, "{}", run.stdout);
}
