//! The documentation is true: plans in it are checked, commands in it are run, generated pages are fresh.
//!
//! A ```` ```llm ```` block is a whole plan and must be sound, ```` ```llm fragment ```` must parse, ```` ```llm error ````
//! must be refused. A ```` ```console ```` block that begins with `$ llmplan` is run from the root of the repository and
//! must print what follows; `LLMPLAN_BLESS=1` rewrites it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::{env, fs, io};

use llmplan_spec::codes::{self, Code};
use llmplan_spec::diagnostic::Severity;
use llmplan_spec::format::format;
use llmplan_spec::loader::{LoadError, Loader};
use llmplan_spec::resolve::{Request, resolve};
use llmplan_spec::schema::docs;
use llmplan_spec::source::{FileId, Source, SourceKind, Sources};
use llmplan_tests::{files, root, shown};

#[test]
fn plans_in_the_documentation_are_what_they_say() {
    let mut count = 0;
    for path in pages() {
        for block in blocks(&fs::read_to_string(&path).unwrap()) {
            let place = format!("{}:{}", shown(&path), block.line);
            match block.info.as_str() {
                "llm" => {
                    let outcome = outcome(&block.text);
                    assert!(outcome.codes.is_empty() && outcome.plans > 0, "{place}: {:?}", outcome.codes);
                    assert_eq!(formatted(&block.text), block.text, "{place} is not formatted");
                }
                "llm fragment" => {
                    let (_, diagnostics) = llmplan_spec::parse(&block.text, FileId(0));
                    assert!(diagnostics.is_empty(), "{place}: {diagnostics:?}");
                    assert_eq!(formatted(&block.text), block.text, "{place} is not formatted");
                }
                "llm error" => {
                    assert!(!outcome(&block.text).codes.is_empty(), "{place}: nothing is wrong with it");
                }
                info => assert!(!info.starts_with("llm"), "{place}: unknown kind of block `{info}`"),
            }
            count += usize::from(block.info.starts_with("llm"));
        }
    }
    assert!(count > 40, "only {count} plans were found");
}

/// The example of a code's page brings that code about.
#[test]
fn examples_of_codes_trigger_them() {
    for code in Code::ALL {
        for block in blocks(code.explanation()).iter().filter(|block| block.info == "llm error") {
            let found = outcome(&block.text).codes;
            assert!(found.contains(code), "the example of `{code}` gives {found:?}");
        }
    }
}

#[test]
fn generated_pages_are_fresh() {
    for (path, text) in [("docs/reference.md", docs::reference()), ("docs/errors.md", codes::reference())] {
        let page = fs::read_to_string(root().join(path)).unwrap().replace("\r\n", "\n");
        assert!(page.ends_with(&text), "{path} is stale: run `cargo xtask docs`");
    }
}

#[test]
fn commands_in_the_documentation_print_what_it_shows() {
    // Only this test runs commands, and all others name files by whole paths.
    env::set_current_dir(root()).unwrap();
    let bless = env::var_os("LLMPLAN_BLESS").is_some();
    let mut count = 0;
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        let mut rewritten = page.clone();
        for block in blocks(&page).iter().filter(|block| block.info == "console") {
            if !block.text.starts_with("$ llmplan ") {
                continue;
            }
            let actual = session(&block.text);
            if bless {
                rewritten = rewritten.replacen(&block.text, &actual, 1);
            } else {
                assert_eq!(
                    actual,
                    block.text,
                    "{}:{}: LLMPLAN_BLESS=1 rewrites it",
                    shown(&path),
                    block.line
                );
            }
            count += 1;
        }
        if rewritten != page {
            fs::write(&path, rewritten).unwrap();
        }
    }
    assert!(count > 2, "only {count} commands were found");
}

/// Links between pages lead somewhere.
#[test]
fn links_lead_to_files() {
    let mut found = Vec::new();
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            if !path.parent().unwrap().join(target).exists() {
                found.push(format!("{}: {target}", shown(&path)));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// The pages that people read.
fn pages() -> Vec<PathBuf> {
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    let mut pages: Vec<PathBuf> = top.iter().map(|name| root().join(name)).collect();
    pages.extend(files("docs", "md").unwrap());
    pages
}

/// A fenced block.
struct Block {
    /// What follows the opening fence: `llm error`.
    info: String,
    text: String,
    /// The line of its first line of text.
    line: usize,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let text = body.iter().flat_map(|line| [*line, "\n"]).collect();
        blocks.push(Block { info: info.to_owned(), text, line: number + 2 });
    }
    blocks
}

/// What becomes of a plan.
struct Outcome {
    plans: usize,
    codes: Vec<Code>,
}

fn outcome(text: &str) -> Outcome {
    let mut sources = Sources::default();
    let source = Source { name: "plan.llm".to_owned(), text: text.to_owned(), kind: SourceKind::File };
    let file = sources.add(source);
    let request = Request {
        sources: &mut sources,
        file,
        path: "plan.llm",
        loader: &Repository,
        params: &llmplan_analysis::count,
        set: &[],
    };
    let resolution = resolve(request);
    let mut diagnostics = resolution.diagnostics;
    let mut codes = Vec::new();
    for plan in &resolution.plans {
        let analysis = llmplan_analysis::analyze(plan, &sources);
        if analysis.report.is_some_and(|report| !report.holds()) {
            codes.push(Code::RequirementFailed);
        }
        diagnostics.extend(analysis.diagnostics);
    }
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    codes.extend(errors.map(|diagnostic| diagnostic.code));
    Outcome { plans: resolution.plans.len(), codes }
}

fn formatted(text: &str) -> String {
    format(text, FileId(0)).text
}

/// The files of the repository.
struct Repository;

impl Loader for Repository {
    fn load(&self, path: &str) -> Result<String, LoadError> {
        let path = root().join(path);
        if path.is_dir() {
            return Err(LoadError::NotAFile);
        }
        fs::read_to_string(&path).map_err(|_| LoadError::NotFound)
    }

    fn root(&self) -> String {
        ".".to_owned()
    }
}

/// Runs the commands of a block, each followed by what it prints.
fn session(block: &str) -> String {
    let mut text = String::new();
    for command in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let printed = run(command);
        text.push_str("$ ");
        text.push_str(command);
        text.push('\n');
        text.push_str(&printed);
        if !printed.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

fn run(command: &str) -> String {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let console = llmplan::Console {
        stdin: &mut io::empty(),
        stdout: &mut stdout,
        stderr: &mut stderr,
        stdout_color: false,
        stderr_color: false,
    };
    llmplan::run(command.split_whitespace().map(OsString::from), console);
    stdout.extend(stderr);
    let printed = String::from_utf8(stdout).unwrap();
    // Editors take blanks at the end of a line away.
    printed.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
