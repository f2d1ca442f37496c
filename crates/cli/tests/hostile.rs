//! The process under hostile input: files that are no files, bytes that are no text, pipes that close. Always an exit
//! code of 1 or 2 with a word on why, never a panic, a hang, or much memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TOOL: &str = env!("CARGO_BIN_EXE_llmplan");

/// Generous: it catches what hangs, on a slow machine without optimisation.
const LIMIT: Duration = Duration::from_secs(20);

/// Address space of the process, in KiB: far above what is needed, so that what grows without bound fails.
const ADDRESS_SPACE: u32 = 400_000;

const PLAN: &str =
    "model tiny {\n  layers = 2\n  d_model = 64\n  vocab = 1000\n\n  attention {\n    heads = 4\n  }\n}\n";

/// A folder of its own for a test; removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("llmplan-hostile-{}-{test}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("project")).unwrap();
        Folder(path)
    }

    /// The folder that the tool runs in; its parent is outside the project.
    fn project(&self) -> PathBuf {
        self.0.join("project")
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.project().join(name), bytes).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a run left: exit code, standard output, standard error.
struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Outcome {
    fn said(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// The tool in a folder, its memory limited where the system can.
fn tool(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = if cfg!(target_os = "linux") {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -v {ADDRESS_SPACE}; exec \"$0\" \"$@\""), TOOL]);
        shell
    } else {
        Command::new(TOOL)
    };
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Outcome {
    finish(tool(folder, arguments).spawn().unwrap(), &arguments.join(" "))
}

/// Waits for a process, reading what it says; kills what hangs.
fn finish(mut child: Child, what: &str) -> Outcome {
    fn read(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_end(&mut bytes);
            }
            String::from_utf8(bytes).expect("output is UTF-8")
        })
    }
    let (out, err) = (read(child.stdout.take()), read(child.stderr.take()));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("{what}: still running after {LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Outcome { code: status.code(), out: out.join().unwrap(), err: err.join().unwrap() }
}

/// Checks and formats a file; both must refuse it with this code and say something.
fn refused(folder: &Folder, name: &str, code: i32) -> String {
    let checked = run(&folder.project(), &["check", name]);
    let said = checked.said();
    assert_eq!(checked.code, Some(code), "check {name}: {said}");
    assert!(said.contains("error"), "check {name}: {said}");
    assert!(!said.contains("panicked"), "check {name}: {said}");
    assert!(said.len() < 2_000_000, "check {name} prints {} bytes", said.len());
    said
}

/// Formats a file to standard output or refuses it; what is checked is that it ends well.
fn formatted(folder: &Folder, name: &str) {
    let outcome = run(&folder.project(), &["fmt", "--check", name]);
    assert!(matches!(outcome.code, Some(0..=2)), "fmt {name}: {:?} {}", outcome.code, outcome.said());
}

#[test]
fn bytes_that_are_no_plan() {
    let folder = Folder::new("bytes");
    // A linear congruential generator: the same bytes everywhere.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let random: Vec<u8> = (0..100_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    let cases: &[(&str, &[u8])] = &[
        ("empty.llm", b""),
        ("nul.llm", b"\0\0\0\0"),
        ("nul-inside.llm", b"model tiny {\n  layers = 2\0\n}\n"),
        ("random.llm", &random),
        ("utf-16.llm", b"\xff\xfem\0o\0d\0e\0l\0"),
        ("latin-1.llm", b"# caf\xe9\n"),
        ("cut-utf-8.llm", b"model tiny { # \xe2\x82"),
        ("surrogate.llm", b"# \xed\xa0\x80\n"),
        ("elf.llm", b"\x7fELF\x02\x01\x01\0"),
        ("bom.llm", b"\xef\xbb\xbf"),
    ];
    for (name, bytes) in cases {
        folder.write(name, bytes);
        refused(&folder, name, 1);
        formatted(&folder, name);
    }
}

#[test]
fn sizes_and_depths() {
    let folder = Folder::new("sizes");
    // 8 MB in a debug build would measure the compiler: 1 MB shows the same.
    let megabytes =
        |line: &str| line.repeat(if cfg!(debug_assertions) { 1_000_000 } else { 7_900_000 } / line.len());
    let cases: Vec<(&str, String)> = vec![
        ("parentheses.llm", format!("a = {}1{}", "(".repeat(100_000), ")".repeat(100_000))),
        ("blocks.llm", "m {\n".repeat(100_000)),
        ("fifty-megabytes.llm", "a".repeat(50_000_000)),
        ("statements.llm", megabytes("a=1\n")),
        ("braces.llm", megabytes("}\n")),
        ("sum.llm", format!("a = {}1\n", megabytes("1+\n"))),
        ("minuses.llm", format!("a = {}1\n", "-".repeat(60_000))),
        ("powers.llm", format!("a = {}2\n", "2^".repeat(30_000))),
        ("unclosed.llm", megabytes("a = (\n")),
        ("lets.llm", (0..30_000).map(|at| format!("let a{at} = a{}\n", at + 1)).collect()),
    ];
    for (name, text) in &cases {
        folder.write(name, text);
        refused(&folder, name, if *name == "fifty-megabytes.llm" { code_of_large_files(&folder) } else { 1 });
        formatted(&folder, name);
    }
}

/// Whether a file that is too large is the plan's fault or the system's is one decision: 1 or 2.
fn code_of_large_files(folder: &Folder) -> i32 {
    folder.write("large.llm", "#\n".repeat(4_000_001));
    let code = run(&folder.project(), &["check", "large.llm"]).code.unwrap_or_default();
    assert!(matches!(code, 1 | 2), "{code}");
    code
}

#[test]
fn numbers_that_are_none() {
    let folder = Folder::new("numbers");
    for layers in ["0", "-1", "1e400", "2.5", "10^39", "1e38 * 1e38", "1 / 0"] {
        folder.write("plan.llm", PLAN.replace("layers = 2", &format!("layers = {layers}")));
        refused(&folder, "plan.llm", 1);
    }
    folder.write("heads.llm", PLAN.replace("heads = 4", "heads = 7"));
    refused(&folder, "heads.llm", 1);
    folder.write("product.llm", PLAN.replace("= 2", "= 10^18").replace("= 64", "= 10^18"));
    refused(&folder, "product.llm", 1);
}

#[test]
fn imports_that_lead_nowhere() {
    let folder = Folder::new("imports");
    fs::write(folder.0.join("secret.llm"), "secret {\n  word = 1\n}\n").unwrap();
    fs::create_dir(folder.project().join("folder")).unwrap();
    folder.write("a.llm", "import \"b.llm\"\n");
    folder.write("b.llm", "import \"a.llm\"\n");
    folder.write("latin-1.llm", b"# caf\xe9\n");
    for (import, code) in [
        ("../../../../../../etc/passwd", "import-outside-root"),
        ("../secret.llm", "import-outside-root"),
        ("folder/../../secret.llm", "import-outside-root"),
        ("a.llm", "import-cycle"),
        ("folder", "import-failed"),
        ("latin-1.llm", "not-text"),
        ("missing.llm", "import-not-found"),
        ("", "import-"),
        (".", "import-"),
        ("..", "import-"),
    ] {
        folder.write("plan.llm", format!("import \"{import}\"\n\n{PLAN}"));
        let said = refused(&folder, "plan.llm", 1);
        assert!(said.contains(code), "{import}: {said}");
        assert!(!said.contains("secret {") && !said.contains("root:"), "{import} is shown: {said}");
    }
}

#[test]
fn more_imports_than_are_read() {
    let folder = Folder::new("many-imports");
    for at in 0..300 {
        folder.write(&format!("{at}.llm"), format!("import \"{}.llm\"\n", at + 1));
    }
    folder.write("300.llm", PLAN);
    assert!(refused(&folder, "0.llm", 1).contains("too-many-imports"));
}

#[test]
fn files_that_are_none() {
    let folder = Folder::new("files");
    fs::create_dir(folder.project().join("folder.llm")).unwrap();
    for name in ["missing.llm", "folder.llm", "missing/plan.llm", "folder.llm/plan.llm"] {
        refused(&folder, name, 2);
    }
    for arguments in [&["check"][..], &["check", "--no-such-flag"], &["no-such-command"], &[]] {
        let outcome = run(&folder.project(), arguments);
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {}", outcome.said());
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_do_not_lead_out() {
        let folder = Folder::new("links");
        fs::write(folder.0.join("secret.llm"), "secret {\n  word = 1\n}\n").unwrap();
        fs::create_dir(folder.0.join("outside")).unwrap();
        fs::write(folder.0.join("outside/secret.llm"), "secret {\n  word = 1\n}\n").unwrap();
        symlink("../secret.llm", folder.project().join("link.llm")).unwrap();
        symlink("../outside", folder.project().join("inside")).unwrap();
        symlink("loop.llm", folder.project().join("loop.llm")).unwrap();
        symlink("nowhere.llm", folder.project().join("dangling.llm")).unwrap();
        for (import, code) in [
            ("link.llm", "import-outside-root"),
            ("inside/secret.llm", "import-outside-root"),
            ("loop.llm", "import-"),
            ("dangling.llm", "import-"),
        ] {
            folder.write("plan.llm", format!("import \"{import}\"\n\n{PLAN}"));
            let said = refused(&folder, "plan.llm", 1);
            assert!(said.contains(code), "{import}: {said}");
            assert!(!said.contains("secret {"), "{import} is shown: {said}");
        }
        refused(&folder, "loop.llm", 2);
    }

    #[test]
    fn a_pipe_is_no_import() {
        let folder = Folder::new("pipe");
        let made = Command::new("mkfifo").arg(folder.project().join("pipe.llm")).status();
        if !made.is_ok_and(|status| status.success()) {
            return;
        }
        folder.write("plan.llm", format!("import \"pipe.llm\"\n\n{PLAN}"));
        assert!(refused(&folder, "plan.llm", 1).contains("import-failed"));
    }

    #[test]
    fn endless_devices_are_not_read_to_their_end() {
        let folder = Folder::new("devices");
        for device in ["/dev/zero", "/dev/null"] {
            let outcome = run(&folder.project(), &["check", device]);
            assert!(matches!(outcome.code, Some(1 | 2)), "{device}: {:?} {}", outcome.code, outcome.said());
        }
    }

    #[test]
    fn names_that_are_no_text() {
        let folder = Folder::new("names");
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9.llm");
        if fs::write(folder.project().join(name), PLAN).is_err() {
            return;
        }
        let child = tool(&folder.project(), &["check"]).arg(name).spawn().unwrap();
        let outcome = finish(child, "a name that is no text");
        assert!(matches!(outcome.code, Some(0..=2)), "{:?} {}", outcome.code, outcome.said());
    }

    #[test]
    fn what_cannot_be_read_or_written() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new("permissions");
        folder.write("plan.llm", PLAN.replace("layers = 2", "layers=2"));
        let path = folder.project().join("plan.llm");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        if fs::read(&path).is_err() {
            refused(&folder, "plan.llm", 2);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        if Path::new("/dev/full").exists() {
            let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
            let child = tool(&folder.project(), &["check", "plan.llm"]).stdout(full).spawn().unwrap();
            let outcome = finish(child, "a full disk");
            assert_eq!(outcome.code, Some(2), "{}", outcome.err);
            assert!(!outcome.err.contains("panicked"), "{}", outcome.err);
        }
    }
}

/// `llmplan check … | head -1`: the reader goes first. The tool stops without a word.
#[test]
fn a_closed_pipe_is_no_panic() {
    let folder = Folder::new("closed-pipe");
    folder.write("plan.llm", PLAN);
    folder.write("wrong.llm", "a = 1\n".repeat(1_000));
    for arguments in [
        &["check", "plan.llm"][..],
        &["check", "wrong.llm"],
        &["check", "plan.llm", "--format", "json"],
        &["docs"],
        &["--help"],
    ] {
        let mut child = tool(&folder.project(), arguments).spawn().unwrap();
        drop(child.stdout.take());
        let outcome = finish(child, &arguments.join(" "));
        assert!(matches!(outcome.code, Some(0..=2) | None), "{arguments:?}: {:?}", outcome.code);
        assert!(!outcome.err.contains("panicked"), "{arguments:?}: {}", outcome.err);
    }
}

#[test]
fn standard_input_may_be_anything() {
    let folder = Folder::new("stdin");
    for (bytes, code) in [(&b""[..], 1), (b"\xff\xfe", 1), (b"\0", 1), (PLAN.as_bytes(), 0)] {
        let mut child = tool(&folder.project(), &["check", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let outcome = finish(child, "standard input");
        assert_eq!(outcome.code, Some(code), "{bytes:?}: {}", outcome.said());
    }
    let mut child = tool(&folder.project(), &["check", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The tool may stop reading before all of it is written.
    let writer = std::thread::spawn(move || {
        let chunk = vec![b'a'; 1_000_000];
        (0..50).all(|_| stdin.write_all(&chunk).is_ok())
    });
    let outcome = finish(child, "50 MB of standard input");
    assert!(matches!(outcome.code, Some(1 | 2)), "{:?} {}", outcome.code, outcome.said());
    let _ = writer.join();
}

#[test]
fn values_on_the_command_line_may_be_anything() {
    let folder = Folder::new("set");
    folder.write("plan.llm", PLAN);
    let deep = format!("model.layers={}1", "(".repeat(50_000));
    let long = format!("model.layers={}", "1,".repeat(50_000));
    let values = [
        "",
        "=",
        "model.layers",
        "model.layers=",
        "model.layers=0",
        "model.layers=1e400",
        "=3",
        "model.params=3",
        "\u{1b}[31m=1",
        "model.layers=2\nmodel.vocab=3",
        "nothing.at.all=1",
        &deep,
        &long,
    ];
    for value in values {
        let outcome = run(&folder.project(), &["check", "plan.llm", "--set", value]);
        assert!(matches!(outcome.code, Some(1 | 2)), "{:.40}: {:?} {}", value, outcome.code, outcome.said());
        assert!(!outcome.said().contains("panicked"), "{:.40}: {}", value, outcome.said());
        assert!(!outcome.said().contains('\u{1b}'), "{value:?} is printed raw");
    }
}

/// Whatever stands behind `validate`, nothing runs: not even a build that could.
#[test]
fn nonsense_for_validate_is_refused() {
    let folder = Folder::new("validate");
    folder.write("plan.llm", PLAN);
    let long = "9".repeat(100_000);
    let ordinal = format!("cuda:{long}");
    let options = [
        ("--device", "gpu"),
        ("--device", ""),
        ("--device", "cuda:"),
        ("--device", "cuda:-1"),
        ("--device", "cpu:0"),
        ("--device", "../cpu"),
        ("--device", "\u{1b}[31mcpu"),
        ("--device", &ordinal),
        ("--budget", "forever"),
        ("--budget", "-1s"),
        ("--budget", "nan s"),
        ("--budget", "inf s"),
        ("--budget", "1e999s"),
        ("--budget", &long),
        ("--memory", "-8GiB"),
        ("--memory", "8"),
        ("--memory", "1e30 PB"),
        ("--memory", &long),
        ("--steps", "-1"),
        ("--steps", "1001"),
        ("--steps", &long),
        ("--set", "="),
        ("--write", "plan.llm"),
        ("--nothing", "1"),
    ];
    for (option, value) in options {
        let outcome = run(&folder.project(), &["validate", "plan.llm", option, value]);
        assert_eq!(outcome.code, Some(2), "{option} {value:.40}: {}", outcome.said());
        assert!(!outcome.said().contains("panicked"), "{option} {value:.40}: {}", outcome.said());
        assert!(!outcome.said().contains('\u{1b}'), "{option} {value:?} is printed raw");
    }
    assert_eq!(fs::read_to_string(folder.project().join("plan.llm")).unwrap(), PLAN);
}
