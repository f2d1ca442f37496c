//! Help is a page that people read: every one is a snapshot.

use insta::assert_snapshot;

use crate::support::Folder;

#[test]
fn every_command_has_help() {
    let folder = Folder::new("help");
    let commands = [
        &[][..],
        &["check"],
        &["fmt"],
        &["explain"],
        &["import"],
        &["verify"],
        &["validate"],
        &["search"],
        &["fit"],
        &["levers"],
        &["budget"],
        &["docs"],
        &["catalog"],
        &["catalog", "list"],
        &["catalog", "show"],
    ];
    for command in commands {
        let mut args = command.to_vec();
        args.push("--help");
        let run = folder.run(&args);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        assert!(run.stdout.lines().all(|line| line.chars().count() <= 100), "{}", run.stdout);
        let name = if command.is_empty() { "llmplan".to_owned() } else { command.join("_") };
        assert_snapshot!(format!("help_{name}"), run.stdout);
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let run = Folder::new("version").run(&["--version"]);
    assert_eq!((run.code, run.stdout), (0, format!("llmplan {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let folder = Folder::new("usage");
    folder.write("a.llm", crate::support::MODEL);
    let wrong: [&[&str]; 21] = [
        &[],
        &["chekc"],
        &["check"],
        &["fmt"],
        &["check", "a.llm", "--fromat", "json"],
        &["check", "a.llm", "--format", "yaml"],
        &["check", "a.llm", "--set", "model.layers"],
        &["check", "a.llm", "--set", "=3"],
        &["explain"],
        &["catalog", "show"],
        &["catalog", "list", "planets"],
        &["validate"],
        &["validate", "a.llm", "--budget", "60"],
        &["validate", "a.llm", "--budget", "0s"],
        &["validate", "a.llm", "--memory", "8 bits"],
        &["validate", "a.llm", "--steps", "0"],
        &["validate", "a.llm", "--format", "csv"],
        &["search"],
        &["search", "a.llm", "--objective", "speed"],
        &["search", "a.llm", "--keep", "heads"],
        &["search", "a.llm", "--threads", "0"],
    ];
    for args in wrong {
        let run = folder.run(args);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}");
        assert!(!run.stderr.is_empty(), "{args:?}");
    }
}
