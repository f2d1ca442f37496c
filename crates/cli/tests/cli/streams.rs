//! Standard output is data, standard error is talk, and either may go away.

use std::io::Read;
use std::process::Stdio;

use llmplan::{Console, Exit};

use crate::support::{Folder, MODEL, TRAINING};

#[test]
fn the_tool_is_a_function_too() {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let console = Console {
        stdin: &mut MODEL.as_bytes(),
        stdout: &mut stdout,
        stderr: &mut stderr,
        stdout_color: true,
        stderr_color: false,
    };
    let exit = llmplan::run(["llmplan", "check", "-", "--brief"].map(Into::into), console);
    assert_eq!((exit, stderr.as_slice()), (Exit::Fine, &b""[..]));
    let stdout = String::from_utf8(stdout).unwrap();
    assert!(stdout.starts_with("<stdin>  plan \u{1b}[1mtiny\u{1b}[0m: \u{1b}[1;32mOK"), "{stdout}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = Folder::new("closed-pipe");
    folder.write("a.llm", MODEL);
    folder.write("b.llm", "model {\n");
    for (args, code) in [(vec!["check", "a.llm"], 0), (vec!["check", "b.llm"], 1), (vec!["docs"], 0)] {
        let mut child = folder.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(code), ""), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_is_exit_code_2() {
    let folder = Folder::new("full-disk");
    folder.write("a.llm", MODEL);
    let full = std::fs::File::create("/dev/full").unwrap();
    let output = folder.command(&["check", "a.llm"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("standard output cannot be written"));
}

#[test]
fn colour_is_for_terminals_or_on_request() {
    let folder = Folder::new("colour");
    folder.write("a.llm", format!("{MODEL}{TRAINING}"));
    let escapes = |args: &[&str]| folder.run(args).stdout.contains('\u{1b}');
    assert!(!escapes(&["check", "a.llm"]));
    assert!(!escapes(&["check", "a.llm", "--color", "never"]));
    assert!(escapes(&["check", "a.llm", "--color", "always"]));
    assert!(escapes(&["--color=always", "check", "a.llm"]));
}

#[test]
fn colour_carries_no_meaning() {
    let folder = Folder::new("colour-only");
    folder.write("a.llm", format!("{MODEL}{TRAINING}require {{\n  training.time <= 1 s\n}}\n"));
    let plain = folder.run(&["check", "a.llm"]).stdout;
    let coloured = folder.run(&["check", "a.llm", "--color", "always"]).stdout;
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((text, behind)) = rest.split_once("\u{1b}[") {
        stripped.push_str(text);
        rest = behind.split_once('m').unwrap().1;
    }
    stripped.push_str(rest);
    let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(lines(&stripped), lines(&plain));
}

#[test]
fn an_explicit_request_for_colour_is_stronger_than_no_color() {
    let folder = Folder::new("no-color");
    folder.write("a.llm", MODEL);
    let output = folder.command(&["check", "a.llm"]).env("NO_COLOR", "1").output().unwrap();
    assert!(!output.stdout.contains(&0x1b));
    let output =
        folder.command(&["check", "a.llm", "--color", "always"]).env("NO_COLOR", "1").output().unwrap();
    assert!(output.stdout.contains(&0x1b));
}
