//! Any bytes at all: a diagnostic, never a panic, a hang or an exhausted stack. The process's side of it (files that
//! are no files, closed pipes, memory) is in `crates/cli/tests/hostile.rs`.

use std::time::{Duration, Instant};

use llmplan_spec::diagnostic::{Code, Severity};
use llmplan_spec::format::format;
use llmplan_spec::limits;
use llmplan_spec::source::FileId;
use llmplan_tests::{reports, resolved};

/// Generous: it catches what hangs, on a slow machine without optimisation.
const LIMIT: Duration = Duration::from_secs(20);

/// Checks and formats a text within the time; returns the codes of its errors.
fn refused(what: &str, text: &str) -> Vec<Code> {
    let start = Instant::now();
    let (_, resolution) = resolved(text);
    let errors: Vec<Code> = resolution
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| diagnostic.code)
        .collect();
    assert!(start.elapsed() < LIMIT, "{what}: checked in {:?}", start.elapsed());
    assert!(!errors.is_empty(), "{what}: no error");
    assert!(
        resolution.diagnostics.len() <= limits::MAX_DIAGNOSTICS + 1,
        "{what}: {}",
        resolution.diagnostics.len()
    );
    let start = Instant::now();
    let formatted = format(text, FileId(0));
    assert!(start.elapsed() < LIMIT, "{what}: formatted in {:?}", start.elapsed());
    assert!(
        formatted.text.len() <= 4 * text.len() + 64,
        "{what}: formatting makes it {} bytes",
        formatted.text.len()
    );
    errors
}

#[test]
fn nothing_but_blanks_has_no_model() {
    for text in ["", "\n", "  \t \r\n", "\u{feff}", "# a comment"] {
        assert_eq!(refused("blank", text), refused("empty", ""), "{text:?}");
    }
}

#[test]
fn control_characters_are_no_text() {
    for text in [
        "\0",
        "model tiny {\n  layers = 2\0\n}",
        "a = 1\u{1b}[31m",
        "# \u{1b}[31m",
        "a = \"\u{1b}\"",
        "a = 1\rb = 2",
        "\u{7f}ELF",
    ] {
        assert_eq!(refused("control characters", text), [Code::NotText], "{text:?}");
    }
}

#[test]
fn deep_nesting_is_refused_before_it_is_read() {
    let deep = 100_000;
    for (open, close) in [("(", ")"), ("[", "]"), ("m {\n", "}\n"), ("min(", ")"), ("{", "}")] {
        for closed in [true, false] {
            let tail = if closed { close.repeat(deep) } else { String::new() };
            let text = format!("a = {}1{tail}", open.repeat(deep));
            assert_eq!(refused("deep nesting", &text), [Code::NestingTooDeep], "{open}");
        }
    }
}

/// Brackets that the depth check does not see, because they stand in comments or texts, cost nothing either.
#[test]
fn brackets_in_comments_are_no_brackets() {
    let text = format!("# {}\nmodel tiny {{\n  layers = 0\n}}\n", "(".repeat(50_000));
    assert!(!refused("brackets in a comment", &text).contains(&Code::NestingTooDeep));
    // A `"` that is never closed must not hide what follows on the next line.
    let text = format!("a = \"\nb = {}", "(".repeat(50_000));
    assert_eq!(refused("brackets behind an open text", &text), [Code::NestingTooDeep]);
    // Neither may a quote that the parser reads otherwise than the depth check.
    let text = format!("a = 1 \\\" {} \"", "(".repeat(50_000));
    assert!(!refused("brackets behind an escape", &text).is_empty());
}

#[test]
fn large_files_are_refused_before_they_are_read() {
    let large = "a".repeat(50_000_000);
    assert_eq!(refused("50 MB", &large), [Code::FileTooLarge]);
    let line = "1".repeat(1_000_000);
    assert_eq!(refused("a line of 1 MB", &line), [Code::FileTooLarge]);
}

#[test]
fn long_rows_cost_little() {
    let rows = [
        ("minuses", format!("a = {}1", "-".repeat(60_000))),
        ("spaced minuses", format!("a = {}1", "- ".repeat(30_000))),
        ("powers", format!("a = {}2", "2^".repeat(30_000))),
        ("sums", format!("a = {}1", "1+".repeat(30_000))),
        ("alternating", format!("a = {}1", "1+2*3^-".repeat(9_000))),
        ("quotes", "\"".repeat(60_000)),
        ("backslashes", format!("a = \"{}", "\\".repeat(60_000))),
        ("dots", format!("a = 1{}", "..1".repeat(20_000))),
        ("underscores", format!("a = 1{}", "_".repeat(60_000))),
        ("digits", format!("a = {}", "9".repeat(60_000))),
        ("commas", format!("a = [{}]", ",".repeat(60_000))),
        ("units", format!("a = 1 GB{}", "/s".repeat(30_000))),
        ("percents", format!("a = 1{}", "%".repeat(60_000))),
        ("equals", "=".repeat(60_000)),
        ("names", format!("a = {}b", "b.".repeat(30_000))),
        ("extends", "extends ".repeat(8_000)),
        ("braces on a line", "a{".repeat(60)),
    ];
    for (what, row) in rows {
        refused(what, &row);
        refused(what, &format!("model tiny {{\n  {row}\n"));
    }
}

#[test]
fn many_lines_cost_little() {
    let repeat = |line: &str, bytes: usize| line.repeat(bytes / line.len());
    // Debug builds are some twenty times slower: half a megabyte there says as much as 8 MB.
    let bytes = if cfg!(debug_assertions) { 500_000 } else { limits::MAX_FILE_BYTES as usize };
    for line in [
        "a=1\n",
        "}\n",
        "{\n",
        "a {\n}\n",
        "a = (\n",
        "let a = 1\n",
        "import \"a\"\n",
        "1+\n",
        "#\n",
        "\"\n",
        "a = [1, 2]\n",
        "a <= b\n",
    ] {
        refused(line, &repeat(line, bytes));
    }
    refused("a sum over lines", &format!("a = {}1", repeat("1+\n", bytes)));
    refused("a list over lines", &format!("a = [{}]", repeat("1,\n", bytes)));
    refused("one long line in a block", &format!("model m {{\n{}}}\n", repeat("  layers = 2\n", bytes)));
}

#[test]
fn chains_of_names_end() {
    let count = if cfg!(debug_assertions) { 5_000 } else { 50_000 };
    let chain: String = (0..count).map(|at| format!("let a{at} = a{} + 1\n", at + 1)).collect();
    refused("a chain that leads nowhere", &chain);
    let cycle = format!("{chain}let a{count} = a0\n\nmodel tiny {{\n  layers = a0\n}}\n");
    refused("a cycle", &cycle);
    let doubling: String = (0..count).map(|at| format!("let a{at} = a{} + a{}\n", at + 1, at + 1)).collect();
    refused("doubling", &format!("{doubling}let a{count} = 1\n\nmodel tiny {{\n  layers = a0\n}}\n"));
    let extends: String = (0..count).map(|at| format!("model m{at} extends m{} {{\n}}\n", at + 1)).collect();
    refused("a chain of extends", &extends);
}

/// Layers may differ, within bounds: every kind is a model of its own.
#[test]
fn very_many_kinds_of_layers_are_refused() {
    let model = |layers: &str, blocks: &str| {
        format!(
            "model m {{\n  layers = {layers}\n  d_model = 8\n  vocab = 9\n  attention {{\n    heads = 1\n  }}\n{blocks}}}\n"
        )
    };
    let block =
        |name: usize, at: &str| format!("  layer l{name} {{\n    at = {at}\n    mixer = none\n  }}\n");
    let mixed: String = (0..200).map(|at| block(at, &format!("every {}", at + 2))).collect();
    assert_eq!(refused("more kinds than are told apart", &model("4096", &mixed)), [Code::OutOfRange]);
    let half = block(0, "every 2");
    assert_eq!(refused("more layers than are told apart", &model("10^17", &half)), [Code::OutOfRange]);
    let many: String = (0..1_000).map(|at| block(at, "first 1")).collect();
    assert!(refused("more blocks than are read", &model("12", &many)).contains(&Code::OutOfRange));
    let name = format!("  layer {} {{\n    at = 1\n  }}\n", "a".repeat(65));
    assert_eq!(refused("a name longer than any", &model("12", &name)), [Code::ReservedName]);
    let range = block(0, "0..1000000000");
    assert!(!refused("a range longer than any", &model("4096", &range)).is_empty());
}

/// Lets that double in every line, used by a condition, must not double the condition.
#[test]
fn conditions_stay_small() {
    let model = "model tiny {\n  layers = 2\n  d_model = 64\n  vocab = 1000\n\n  attention {\n    heads = 4\n  }\n}\n";
    let doubling: String = (0..60).map(|at| format!("let a{at} = a{} + a{}\n", at + 1, at + 1)).collect();
    let text = format!("{doubling}let a60 = model.params\n\n{model}\nrequire {{\n  a0 <= 1\n}}\n");
    let start = Instant::now();
    let _ = reports(&text);
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
}

#[test]
fn numbers_that_are_none_are_refused() {
    let model = |layers: &str, width: &str| {
        format!(
            "model tiny {{\n  layers = {layers}\n  d_model = {width}\n  vocab = 1000\n\n  attention {{\n    heads = 4\n  }}\n}}\n"
        )
    };
    for layers in [
        "0",
        "-1",
        "1e400",
        "1e-400",
        "2.5",
        "9e99",
        "10^39",
        "2^128",
        "1e38 * 1e38",
        "1 / 0",
        "0 / 0",
        "log(0)",
        "sqrt(-1)",
        "-0",
        "1e18446744073709551616",
    ] {
        refused(layers, &model(layers, "64"));
    }
    refused("7 heads", &model("2", "4096").replace("heads = 4", "heads = 7"));
    for (layers, width) in [("10^18", "10^18"), ("18_446_744_073_709_551_615", "18_446_744_073_709_551_612")]
    {
        let text = model(layers, width);
        let found = reports(&text).expect_err("a product beyond 128 bits");
        let told = |code: Code| matches!(code, Code::Overflow | Code::OutOfRange);
        assert!(found.iter().any(|diagnostic| told(diagnostic.code)), "{found:#?}");
    }
}

#[test]
fn too_many_variants_are_refused() {
    let text = "model tiny {\n  layers = 1..1000\n  d_model = 64\n  vocab = 1..1000\n\n  attention {\n    heads = 4\n  }\n}\n";
    refused("a million variants", text);
}
