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

/// What the compiler does not check for us stands in two files, each with its reasons.
#[test]
fn unsafe_code_is_where_it_must_be() {
    const ALLOWED: [&str; 2] = ["crates/exec/src/meter/allocator.rs", "crates/exec/src/meter/pool.rs"];
    let mut found = Vec::new();
    for path in [files("crates", "rs").unwrap(), files("tests", "rs").unwrap(), files("xtask", "rs").unwrap()]
        .concat()
    {
        let code = without_comments_and_texts(&fs::read_to_string(&path).unwrap());
        if ["unsafe", "unsafe_code"].iter().any(|word| mentions(&code, word)) {
            found.push(shown(&path));
        }
    }
    found.sort();
    assert_eq!(found, ALLOWED);
}

#[test]
fn comments_and_texts_are_no_code() {
    for text in [
        "// unsafe\n/// unsafe\nfn a() {}",
        "/* unsafe /* nested */ unsafe */ fn a() {}",
        r#"let a = "unsafe \" unsafe";"#,
        "let a = r#\"unsafe \" unsafe\"#;",
        "let a = br\"\\\"; let b = \"unsafe\";",
        "let a = ['\"', '\\'', '\\\\']; let b = \"unsafe\";",
    ] {
        assert!(!mentions(&without_comments_and_texts(text), "unsafe"), "{text}");
    }
    for code in [
        "/* a */ unsafe {}",
        "let a = \"//\"; unsafe {}",
        "let a = '\"'; unsafe {}",
        "fn a<'a>(b: &'a str) { unsafe {} }",
        "let a = r\"\\\"; unsafe {}",
        "let a = r##\"\"#\"##; unsafe {}",
    ] {
        assert!(mentions(&without_comments_and_texts(code), "unsafe"), "{code}");
    }
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

/// A source text with a blank for each comment, and each text and character between quotes.
fn without_comments_and_texts(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            length_of_comment(rest)
        } else {
            // A name that ends in `r` begins no text.
            let inside = code.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            length_of_text(rest, inside)
        };
        if length > 0 {
            code.push(' ');
        } else {
            code.push(first);
        }
        rest = &rest[length.max(first.len_utf8())..];
    }
    code
}

/// The bytes of the block comment that a text begins with, those inside of it included.
fn length_of_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let bytes = &text.as_bytes()[at..];
        if bytes.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The bytes of the text or character that some code begins with, quotes included; 0 if it begins with none.
fn length_of_text(code: &str, inside_of_a_name: bool) -> usize {
    let after_prefix = code.trim_start_matches(['b', 'c']);
    let raw = after_prefix.strip_prefix('r').map(|rest| (rest, rest.trim_start_matches('#')));
    if let Some((hashes, quoted)) = raw
        && !inside_of_a_name
        && code.len() - after_prefix.len() <= 1
        && quoted.starts_with('"')
    {
        let end = format!("\"{}", &hashes[..hashes.len() - quoted.len()]);
        let length = quoted[1..].find(&end).map_or(quoted.len(), |at| 1 + at + end.len());
        return code.len() - quoted.len() + length;
    }
    let Some(quote) = code.chars().next().filter(|c| matches!(c, '"' | '\'')) else { return 0 };
    let mut escaped = false;
    for (at, c) in code.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            // One character and no quote behind it: a lifetime.
            _ if quote == '\'' && !code[1..].starts_with('\\') && at > 1 => return 0,
            _ => {}
        }
    }
    if quote == '"' { code.len() } else { 0 }
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
