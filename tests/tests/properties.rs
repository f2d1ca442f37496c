//! What holds for every text: nothing panics, the tree is lossless, the formatter changes layout only.

use std::fs;
use std::sync::LazyLock;

use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::format::format;
use llmplan_spec::parse;
use llmplan_spec::plan::SettingValue;
use llmplan_spec::source::{FileId, Span};
use llmplan_spec::syntax::{Item, ItemKind};
use llmplan_tests::{files, resolved, shown};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The plans that mutations start from: examples, catalog and files with mistakes.
static PLANS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let found = [
        files("examples", "llm").unwrap(),
        files("specs", "llm").unwrap(),
        files("tests/errors", "llm").unwrap(),
    ];
    found
        .concat()
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .filter(|text| text.len() < 4_000)
        .collect()
});

/// The same cases on every machine and every day.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(20_260_801),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Editors of Windows put one at the start of a file.
#[test]
fn a_byte_order_mark_is_skipped() {
    let text = "model tiny {\n  layers = 2\n}\n";
    let marked = ["\u{feff}", text].concat();
    assert_eq!(format(&marked, FileId(0)).text, text);
    assert!(parse(&marked, FileId(0)).1.is_empty());
}

#[test]
fn every_plan_of_the_repository_holds() {
    for path in [
        files("examples", "llm").unwrap(),
        files("specs", "llm").unwrap(),
        files("tests/errors", "llm").unwrap(),
    ]
    .concat()
    {
        let text = fs::read_to_string(&path).unwrap();
        if let Err(error) = holds(&text) {
            panic!("{}: {error}", shown(&path));
        }
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn any_text_holds(text in any::<String>()) {
        holds(&text)?;
    }

    #[test]
    fn any_row_of_words_holds(words in prop::collection::vec(word(), 0..60)) {
        holds(&words.concat())?;
    }
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn any_mutation_of_a_plan_holds(plan in any::<prop::sample::Index>(), edits in prop::collection::vec(edit(), 1..6)) {
        let mut text = plan.get(&PLANS).clone();
        for edit in &edits {
            edit.apply(&mut text);
        }
        holds(&text)?;
    }
}

/// All that must be true of a text, whatever it says.
fn holds(text: &str) -> Result<(), TestCaseError> {
    let (tree, diagnostics) = parse(text, FileId(0));
    if !diagnostics.iter().any(refused) {
        lossless(text, &tree.items)?;
    }
    let once = format(text, FileId(0));
    let twice = format(&once.text, FileId(0));
    prop_assert_eq!(&twice.text, &once.text, "formatting again changes {:?}", text);
    // A byte order mark is no part of the text.
    let dense = |text: &str| {
        text.trim_start_matches('\u{feff}').chars().filter(|c| !c.is_ascii_whitespace()).collect::<String>()
    };
    prop_assert_eq!(dense(&once.text), dense(text), "formatting changes more than blanks");
    prop_assert_eq!(kept(&once.text), kept(text), "formatting changes a comment or a text");
    // What follows a `}` on its line moves to a line of its own, which may mend it; nothing goes wrong by it.
    let (before, after) = (codes(&once.diagnostics), codes(&twice.diagnostics));
    prop_assert!(after.len() <= before.len(), "formatting spoils {text:?}: {before:?}, then {after:?}");
    if before.is_empty() {
        prop_assert_eq!(settings(&once.text), settings(text), "formatting changes a value");
    }
    Ok(())
}

/// Every byte that is not blank lies in exactly one statement, comment or bracket.
fn lossless(text: &str, items: &[Item]) -> Result<(), TestCaseError> {
    let mut covered = vec![0_u8; text.len()];
    cover(items, &mut covered);
    for (at, c) in text.char_indices() {
        let blank = matches!(c, ' ' | '\t' | '\n' | '\r') || (at == 0 && c == '\u{feff}');
        let times = covered[at];
        prop_assert!(times < 2, "byte {at} ({c:?}) lies in two items of {text:?}");
        prop_assert!(blank || times == 1, "byte {at} ({c:?}) lies in no item of {text:?}");
    }
    Ok(())
}

fn cover(items: &[Item], covered: &mut [u8]) {
    let mut mark = |span: Span| {
        for byte in &mut covered[span.start as usize..span.end as usize] {
            *byte += 1;
        }
    };
    for item in items {
        item.comment.into_iter().for_each(&mut mark);
        match &item.kind {
            ItemKind::Block(block) => {
                [Some(block.header), block.comment, Some(block.close)]
                    .into_iter()
                    .flatten()
                    .for_each(&mut mark);
            }
            _ => mark(item.span),
        }
    }
    for item in items {
        if let ItemKind::Block(block) = &item.kind {
            cover(&block.items, covered);
        }
    }
}

/// Whether a text was refused before it was read.
fn refused(diagnostic: &Diagnostic) -> bool {
    matches!(diagnostic.code, Code::FileTooLarge | Code::NestingTooDeep | Code::NotText)
}

fn codes(diagnostics: &[Diagnostic]) -> Vec<Code> {
    diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

/// The comments and quoted texts of a text, each to its last visible character.
fn kept(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // A line end of Windows is none of the comment's.
    for line in text.replace('\r', "").lines() {
        let mut rest = line;
        while let Some(at) = rest.find(['#', '"']) {
            rest = &rest[at..];
            if rest.starts_with('#') {
                found.push(rest.trim_end().to_owned());
                break;
            }
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let closes = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            });
            // What follows an open text is no text: it may move to another line.
            let Some(end) = end else { break };
            found.push(rest[..end + 2].to_owned());
            rest = &rest[end + 2..];
        }
    }
    found
}

/// Every value of every plan, by path.
fn settings(text: &str) -> Vec<(String, String, SettingValue)> {
    let (_, resolution) = resolved(text);
    let settings = resolution.plans.iter().flat_map(|plan| {
        plan.settings.iter().map(|setting| (plan.name.clone(), setting.path.clone(), setting.value.clone()))
    });
    settings.collect()
}

/// A change somewhere in a text.
#[derive(Clone, Debug)]
enum Edit {
    Insert(prop::sample::Index, String),
    Delete(prop::sample::Index, usize),
    Replace(prop::sample::Index, String),
    DuplicateLine(prop::sample::Index),
    SwapLines(prop::sample::Index, prop::sample::Index),
}

impl Edit {
    fn apply(&self, text: &mut String) {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        match self {
            Edit::Insert(at, word) => {
                let at = boundary(text, *at);
                text.insert_str(at, word);
            }
            Edit::Delete(at, length) => {
                let start = boundary(text, *at);
                let end = text.ceil_char_boundary((start + length).min(text.len()));
                text.replace_range(start..end, "");
            }
            Edit::Replace(at, word) => {
                let start = boundary(text, *at);
                let end = text.ceil_char_boundary((start + word.len()).min(text.len()));
                text.replace_range(start..end, word);
            }
            Edit::DuplicateLine(_) | Edit::SwapLines(..) if lines.is_empty() => {}
            Edit::DuplicateLine(at) => {
                let at = at.index(lines.len());
                *text = [&lines[..=at], &lines[at..]].concat().concat();
            }
            Edit::SwapLines(a, b) => {
                let mut lines = lines;
                let (a, b) = (a.index(lines.len()), b.index(lines.len()));
                lines.swap(a, b);
                *text = lines.concat();
            }
        }
    }
}

fn boundary(text: &str, at: prop::sample::Index) -> usize {
    text.floor_char_boundary(at.index(text.len() + 1))
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => (index(), word()).prop_map(|(at, word)| Edit::Insert(at, word)),
        3 => (index(), 1..20_usize).prop_map(|(at, length)| Edit::Delete(at, length)),
        3 => (index(), word()).prop_map(|(at, word)| Edit::Replace(at, word)),
        1 => index().prop_map(Edit::DuplicateLine),
        1 => (index(), index()).prop_map(|(a, b)| Edit::SwapLines(a, b)),
    ]
}

/// A piece of a plan, or of what is none.
fn word() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        " ",
        "\n",
        "\r\n",
        "\t",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "=",
        ":",
        ",",
        ";",
        "..",
        "+",
        "-",
        "*",
        "/",
        "^",
        "<=",
        ">=",
        "==",
        "!=",
        "<",
        ">",
        "#",
        "# why\n",
        "\"",
        "\"a text\"",
        "\\",
        "$",
        "%",
        "_",
        ".",
        "0",
        "1",
        "-1",
        "96",
        "12_288",
        "7B",
        "2.5e21",
        "1e400",
        "40%",
        "$2.00 / h",
        "80 GB",
        "3 days",
        "TFLOP/s",
        "2026-11-01",
        "auto",
        "true",
        "rope",
        "keep ",
        "step ",
        "let ",
        "import ",
        "extends ",
        "model ",
        "data ",
        "training ",
        "plan ",
        "require ",
        "model.layers",
        "model.params",
        "layers",
        "d_model",
        "max(",
        "sqrt(",
        "\u{a0}",
        "×",
        "“",
        "é",
        "\0",
        "\u{7f}",
    ];
    prop_oneof![8 => prop::sample::select(WORDS).prop_map(str::to_owned), 1 => any::<char>().prop_filter("marks a start", |c| *c != '\u{feff}').prop_map(|c| c.to_string())]
}
