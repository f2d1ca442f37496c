//! The rules of the house that no compiler holds.

use std::fs;

use llmplan_spec::format::format;
use llmplan_spec::source::FileId;
use llmplan_spec::syntax::ItemKind;
use llmplan_tests::{files, root, shown};

/// The longest source file; beyond it a file says more than one thing.
const MAX_LINES: usize = 600;

/// `spec` and `analysis` compute: they touch no file, clock, environment or hash order, and build for wasm32.
#[test]
fn spec_and_analysis_are_pure() {
    const FORBIDDEN: &[&str] = &["env", "fs", "io", "net", "process", "thread", "time"];
    const WORDS: &[&str] = &["SystemTime", "Instant", "HashMap", "HashSet", "println!", "eprintln!"];
    let mut found = Vec::new();
    for krate in ["crates/spec/src", "crates/analysis/src"] {
        for path in files(krate, "rs").unwrap() {
            let code = code(&fs::read_to_string(&path).unwrap());
            let modules =
                modules_of_std(&code).into_iter().filter(|module| FORBIDDEN.contains(&module.as_str()));
            found.extend(modules.map(|module| format!("{}: std::{module}", shown(&path))));
            let words = WORDS.iter().filter(|word| mentions(&code, word));
            found.extend(words.map(|word| format!("{}: {word}", shown(&path))));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn modules_of_std_are_found_in_every_spelling() {
    let code = "use std::{env, fs::File, cell::{Cell, RefCell}};\nstd::io::stdin();\nuse std::fmt;";
    assert_eq!(modules_of_std(code), ["env", "fs", "cell", "io", "fmt"]);
    assert!(mentions("a: HashMap<u8, u8>", "HashMap") && !mentions("MyHashMap2", "HashMap"));
}

/// spec ← analysis ← exec ← cli: nothing points back.
#[test]
fn crates_depend_forwards() {
    let order = ["llmplan-spec", "llmplan-analysis", "llmplan-exec", "llmplan"];
    let folders = ["spec", "analysis", "exec", "cli"];
    for (at, folder) in folders.iter().enumerate() {
        let Ok(manifest) = fs::read_to_string(root().join("crates").join(folder).join("Cargo.toml")) else {
            continue;
        };
        assert!(manifest.contains(&format!("name = \"{}\"", order[at])), "crates/{folder} has another name");
        for (line, dependency) in dependencies(&manifest) {
            let Some(place) = order.iter().position(|name| *name == dependency) else { continue };
            assert!(place < at, "crates/{folder}/Cargo.toml:{line}: {} depends on {dependency}", order[at]);
        }
    }
}

/// A file that names a machine's folders works on that machine only.
#[test]
fn no_file_names_a_machine() {
    // In two parts each, so that this file does not find itself.
    let roots: Vec<String> = [
        ("/ho", "me/"),
        ("/Us", "ers/"),
        ("/ro", "ot/"),
        ("/wo", "rk/"),
        ("/tm", "p/target"),
        ("C:", "\\Users"),
    ]
    .iter()
    .map(|(start, end)| format!("{start}{end}"))
    .collect();
    let mut found = Vec::new();
    for path in files("", "").unwrap() {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            if roots.iter().any(|root| starts_path(line, root)) {
                found.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn source_files_say_one_thing() {
    let long: Vec<String> = files("crates", "rs")
        .unwrap()
        .iter()
        .filter(|path| shown(path).contains("/src/"))
        .map(|path| (shown(path), fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "more than {MAX_LINES} lines: {long:#?}");
}

/// A figure without a source cannot be checked.
#[test]
fn catalog_files_declare_their_block_and_its_source() {
    for path in files("specs", "llm").unwrap() {
        let text = fs::read_to_string(&path).unwrap();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let folder = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let kind = folder.strip_suffix('s').unwrap();
        let (tree, diagnostics) = llmplan_spec::parse(&text, FileId(0));
        assert!(diagnostics.is_empty(), "{}: {diagnostics:?}", shown(&path));
        let slice = |span: llmplan_spec::source::Span| &text[span.start as usize..span.end as usize];
        let blocks: Vec<_> = tree
            .items
            .iter()
            .filter_map(|item| match &item.kind {
                ItemKind::Block(block) => Some(block),
                _ => None,
            })
            .collect();
        assert_eq!(blocks.len(), 1, "{}: one block a file", shown(&path));
        assert_eq!(blocks[0].kind.map(slice), Some(kind), "{}: a {kind} is expected", shown(&path));
        assert_eq!(blocks[0].name.map(slice), Some(stem), "{}: named like its file", shown(&path));
        let source = blocks[0].items.iter().any(|item| match &item.kind {
            ItemKind::Attribute { name, .. } => slice(*name) == "source",
            _ => false,
        });
        assert!(source, "{}: no source is named", shown(&path));
        assert!(text.starts_with("# "), "{}: its first line says what it is", shown(&path));
    }
}

#[test]
fn plans_are_formatted() {
    let mut count = 0;
    for path in [files("examples", "llm").unwrap(), files("specs", "llm").unwrap()].concat() {
        let text = fs::read_to_string(&path).unwrap();
        let formatted = format(&text, FileId(0));
        assert!(formatted.diagnostics.is_empty(), "{}: {:?}", shown(&path), formatted.diagnostics);
        assert_eq!(formatted.text, text, "{}: run `llmplan fmt`", shown(&path));
        count += 1;
    }
    assert!(count > 0, "no plan was found");
}

/// A source text without its comments and its tests.
fn code(text: &str) -> String {
    let tests = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let lines = text[..tests].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The modules of the standard library that a text names, `use std::{a, b::c}` included.
fn modules_of_std(code: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (at, _) in code.match_indices("std::") {
        let whole_word = !code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let rest = &code[at + "std::".len()..];
        if !whole_word {
            continue;
        }
        let Some(group) = rest.strip_prefix('{') else {
            modules.push(word(rest));
            continue;
        };
        let mut depth = 0_i32;
        let mut start = 0;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    modules.push(word(&group[start..at]));
                    break;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    modules.push(word(&group[start..at]));
                    start = at + 1;
                }
                _ => {}
            }
        }
    }
    modules
}

fn word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

fn mentions(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !code[..at].ends_with(word) && !code[at + name.len()..].starts_with(word)
    })
}

/// The names under `[dependencies]`, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut inside = false;
    let mut names = Vec::new();
    for (number, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
            names.extend(
                line.strip_prefix("[dependencies.")
                    .map(|name| (number + 1, name.trim_end_matches(']').to_owned())),
            );
        } else if inside && !line.trim().is_empty() && !line.starts_with('#') {
            let end = line.find(['=', '.', ' ']).unwrap_or(line.len());
            names.push((number + 1, line[..end].to_owned()));
        }
    }
    names
}

/// Whether a path that begins at a root stands in a line, and not only further down in one.
fn starts_path(line: &str, root: &str) -> bool {
    line.match_indices(root)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "._-".contains(c)))
}
