//! `llmplan fmt`

use std::fs;

use crate::support::{Folder, MODEL};

const UNTIDY: &str =
    "model tiny {\nlayers=2 # two\n  d_model = 64\n  vocab   = 1000\n  attention {\n    heads = 4\n  }\n}\n";
const TIDY: &str = "model tiny {\n  layers = 2  # two\n  d_model = 64\n  vocab = 1000\n  attention {\n    heads = 4\n  }\n}\n";

#[test]
fn files_are_rewritten_and_named_where_they_change() {
    let folder = Folder::new("fmt");
    folder.write("a.llm", UNTIDY).write("b.llm", MODEL);
    let run = folder.run(&["fmt", "a.llm", "b.llm"]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "a.llm\n", ""));
    assert_eq!(folder.read("a.llm"), TIDY);
    let again = folder.run(&["fmt", "*.llm"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, ""));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "no temporary file is left");
}

#[test]
fn check_and_diff_write_nothing() {
    let folder = Folder::new("fmt-check");
    folder.write("a.llm", UNTIDY).write("b.llm", MODEL);
    let run = folder.run(&["fmt", "a.llm", "b.llm", "--check"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, "a.llm\n"));
    let run = folder.run(&["fmt", "a.llm", "b.llm", "--diff"]);
    assert_eq!(run.code, 1);
    insta::assert_snapshot!("fmt_diff", run.stdout);
    assert_eq!(folder.read("a.llm"), UNTIDY);
    assert_eq!(folder.run(&["fmt", "b.llm", "--check", "--diff"]).code, 0);
}

#[test]
fn standard_input_goes_to_standard_output() {
    let folder = Folder::new("fmt-stdin");
    let run = folder.pipe(&["fmt", "-"], UNTIDY.as_bytes());
    assert_eq!((run.code, run.stdout.as_str()), (0, TIDY));
    assert_eq!(folder.pipe(&["fmt", "-", "--check"], UNTIDY.as_bytes()).stdout, "<stdin>\n");
}

#[test]
fn a_broken_statement_stays_and_is_told() {
    let folder = Folder::new("fmt-broken");
    folder.write("a.llm", "model tiny {\nlayers = = 2\nd_model=64\n}\n");
    let run = folder.run(&["fmt", "a.llm"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("a.llm:2"), "{}", run.stderr);
    let text = folder.read("a.llm");
    assert!(text.contains("layers = = 2\n") && text.contains("  d_model = 64\n"), "{text}");
}

#[test]
fn what_is_no_plan_is_left_alone() {
    let folder = Folder::new("fmt-bytes");
    folder.write("a.llm", b"model \xff");
    let run = folder.run(&["fmt", "a.llm", "missing.llm", "."]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("not-text") && run.stderr.contains("there is no file `missing.llm`"),
        "{}",
        run.stderr
    );
    assert_eq!(fs::read(folder.path().join("a.llm")).unwrap(), b"model \xff");
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_permissions_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = Folder::new("fmt-links");
    folder.write("real/a.llm", UNTIDY);
    let real = folder.path().join("real/a.llm");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real/a.llm", folder.path().join("link.llm")).unwrap();
    assert_eq!(folder.run(&["fmt", "link.llm"]).stdout, "link.llm\n");
    assert_eq!(folder.read("real/a.llm"), TIDY);
    assert!(fs::symlink_metadata(folder.path().join("link.llm")).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);

    fs::set_permissions(&real, fs::Permissions::from_mode(0o440)).unwrap();
    fs::write(folder.path().join("b.llm"), UNTIDY).unwrap();
    fs::set_permissions(folder.path().join("b.llm"), fs::Permissions::from_mode(0o440)).unwrap();
    let run = folder.run(&["fmt", "b.llm"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("read-only"), "{}", run.stderr);
}
