//! `llmplan verify` with files that are no checkpoints: one line with the file's name, exit code 2, never a panic.

use std::fmt::Write;
use std::fs;

use insta::assert_snapshot;

use crate::support::Folder;
use crate::verify_support::sharded;

const MODEL: &str = "model.llm";

/// A file with such a header, and so many bytes behind it.
fn file(header: impl AsRef<[u8]>, data: usize) -> Vec<u8> {
    let header = header.as_ref();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// Whether a run ended as it should; what it said.
fn said(folder: &Folder, checkpoint: &str) -> String {
    let run = folder.run(&["verify", MODEL, checkpoint]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{checkpoint}: {}", run.stderr);
    assert!(run.stderr.starts_with("error: `") && !run.stderr.contains("panicked"), "{}", run.stderr);
    run.stderr
}

#[test]
fn a_file_that_breaks_the_format_is_told() {
    let folder = Folder::new("verify-hostile");
    folder.write(MODEL, crate::support::MODEL);
    let tensor = |name: &str, dtype: &str, shape: &str, from: &str, to: &str| {
        format!(r#""{name}": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": [{from}, {to}]}}"#)
    };
    let a = tensor("a", "F32", "[2]", "0", "8");
    let one = |entry: &str| format!("{{{entry}}}");
    let two = |entry: &str| format!("{{{a}, {entry}}}");
    let huge = |length: u64| [length.to_le_bytes().to_vec(), b"{}".to_vec()].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("four-bytes", vec![1, 0, 0, 0]),
        ("length-10-gb", huge(10_000_000_000)),
        ("length-largest", huge(u64::MAX)),
        ("length-longer-than-file", huge(99_999_999)),
        ("no-header", huge(0)),
        ("not-utf8", file(b"{\"\xff\": 1}", 0)),
        ("not-json", file("{'a': 1}", 0)),
        ("json-cut-off", file("{\"a\": {\"dtype\"", 0)),
        ("json-list", file("[]", 0)),
        ("json-deep", file("[".repeat(100_000), 0)),
        ("json-deep-value", file(format!("{{\"a\": {}", "{\"b\":".repeat(100_000)), 0)),
        ("json-and-more", file(format!("{} {{}}", one(&a)), 8)),
        ("tensor-twice", file(two(&tensor("a", "F32", "[2]", "8", "16")), 16)),
        ("metadata-twice", file(r#"{"__metadata__": {}, "__metadata__": {}}"#, 0)),
        ("metadata-number", file(r#"{"__metadata__": {"format": 1}}"#, 0)),
        (
            "key-twice",
            file(r#"{"a": {"dtype": "F32", "dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}"#, 8),
        ),
        ("no-shape", file(r#"{"a": {"dtype": "F32", "data_offsets": [0, 8]}}"#, 8)),
        ("unknown-type", file(one(&tensor("a", "F33", "[2]", "0", "8")), 8)),
        ("negative-side", file(one(&tensor("a", "F32", "[-2]", "0", "8")), 8)),
        ("fractional-side", file(one(&tensor("a", "F32", "[2.0]", "0", "8")), 8)),
        ("side-too-large", file(one(&tensor("a", "F32", "[18446744073709551616]", "0", "8")), 8)),
        ("shape-overflows", file(one(&tensor("a", "F32", "[4294967296, 4294967296]", "0", "8")), 8)),
        ("bits-overflow", file(one(&tensor("a", "F32", "[9223372036854775807]", "0", "8")), 8)),
        ("bytes-differ", file(one(&tensor("a", "F32", "[3]", "0", "8")), 8)),
        ("half-a-byte", file(one(&tensor("a", "F4", "[3]", "0", "1")), 1)),
        ("offsets-backwards", file(one(&tensor("a", "F32", "[2]", "8", "0")), 8)),
        ("offsets-overlap", file(two(&tensor("b", "F32", "[2]", "4", "12")), 12)),
        ("offsets-same", file(two(&tensor("b", "F32", "[2]", "0", "8")), 8)),
        ("offsets-gap", file(two(&tensor("b", "F32", "[2]", "12", "20")), 20)),
        ("offsets-gap-at-start", file(one(&tensor("a", "F32", "[2]", "8", "16")), 16)),
        ("beyond-the-file", file(one(&tensor("a", "F32", "[2]", "0", "8")), 4)),
        (
            "far-beyond-the-file",
            file(one(&tensor("a", "F32", "[1152921504606846975]", "0", "4611686018427387900")), 8),
        ),
        ("bytes-behind", file(one(&a), 12)),
        ("control\u{1b}[31m-name", file(one(&tensor("\\u001b[31m", "F32", "[3]", "0", "8")), 8)),
        ("long-name", file(one(&tensor(&"x".repeat(100_000), "F32", "[3]", "0", "8")), 8)),
    ];
    let mut all = String::new();
    for (name, bytes) in cases {
        let name = format!("{name}.safetensors");
        folder.write(&name, bytes);
        write!(all, "{}", said(&folder, &name)).unwrap();
    }
    assert_snapshot!("verify_hostile", all);
}

/// A dimension of nothing, a scalar, and a file without tensors break no rule: they are told as differences.
#[test]
fn odd_files_that_keep_the_format_are_compared() {
    let folder = Folder::new("verify-odd");
    folder.write(MODEL, crate::support::MODEL);
    let many: Vec<String> = (0..50_000)
        .map(|at| {
            format!(
                r#""model.layers.{}.x{at}": {{"dtype": "F32", "shape": [], "data_offsets": [{}, {}]}}"#,
                at * 2,
                at * 4,
                at * 4 + 4
            )
        })
        .collect();
    let cases = [
        file("{}", 0),
        file(r#"{"a": {"dtype": "F32", "shape": [0, 3], "data_offsets": [0, 0]}}"#, 0),
        file(
            r#"{"model.layers.18446744073709551615.a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}"#,
            4,
        ),
        file(
            r#"{"model.layers.99999999999999999999.a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}"#,
            4,
        ),
        file(r#"{"": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}"#, 4),
        file(
            r#"{"mtp.layers.18446744073709551615.a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}"#,
            4,
        ),
        file(
            r#"{"model.layers.0.mlp.experts.18446744073709551615.up_proj.weight": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}"#,
            4,
        ),
        file(
            format!(
                r#"{{"a": {{"dtype": "F32", "shape": [{}1], "data_offsets": [0, 4]}}}}"#,
                "1,".repeat(100_000)
            ),
            4,
        ),
        file(format!("{{{}}}", many.join(",")), 200_000),
    ];
    for bytes in cases {
        folder.write("odd.safetensors", bytes);
        for format in ["text", "json"] {
            let run = folder.run(&["verify", MODEL, "odd.safetensors", "--format", format]);
            assert_eq!((run.code, run.stderr.as_str()), (1, ""), "{}", run.stdout);
            assert!(
                format == "json" || run.stdout.lines().all(|line| line.chars().count() <= 100),
                "{}",
                run.stdout
            );
        }
    }
}

#[test]
fn what_is_no_file_is_told() {
    let folder = Folder::new("verify-no-file");
    folder.write(MODEL, crate::support::MODEL).write("empty/x", "").write("two/a.safetensors", "");
    folder.write("two/b.safetensors", "").write("folder.safetensors/model.safetensors/x", "");
    folder.write("broken/model.safetensors", "");
    let mut all = String::new();
    let mut paths = vec!["none.safetensors", "none/none", "empty", "two", "folder.safetensors", "broken"];
    #[cfg(unix)]
    {
        let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe.safetensors")).status();
        assert!(made.unwrap().success());
        std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
        paths.extend(["pipe.safetensors", "loop", "/dev/zero"]);
    }
    for path in paths {
        all.push_str(&said(&folder, path));
    }
    assert_snapshot!("verify_no_file", all);
}

#[test]
fn an_index_that_is_wrong_is_told() {
    let folder = sharded("verify-index");
    let index = fs::read_to_string(folder.path().join("ck/model.safetensors.index.json")).unwrap();
    let with = |part: &str, other: &str| {
        assert!(index.contains(part), "{part} in {index}");
        index.replacen(part, other, 1)
    };
    let name = r#""model.layers.1.mlp.up_proj.weight":"b.safetensors""#;
    let elsewhere = |file: &str| with(name, &name.replace("b.safetensors", file));
    let outside = folder.path().join("ck/b.safetensors").to_str().unwrap().to_owned();
    let cases = [
        ("empty", String::new()),
        ("not-json", "weight_map".to_owned()),
        ("no-map", "{}".to_owned()),
        ("no-tensor", r#"{"weight_map": {}}"#.to_owned()),
        ("map-of-numbers", r#"{"weight_map": {"a": 1}}"#.to_owned()),
        ("shard-missing", index.replace("b.safetensors", "c.safetensors")),
        ("tensor-of-missing-shard", elsewhere("c.safetensors")),
        ("shard-above", elsewhere("../b.safetensors")),
        ("shard-absolute", elsewhere("/b.safetensors")),
        ("shard-empty", elsewhere("")),
        ("shard-backslash", elsewhere("..\\\\b.safetensors")),
        ("shard-folder", elsewhere(".")),
        ("tensor-twice", with(name, &format!("{name},{name}"))),
        ("tensor-of-other-shard", elsewhere("a.safetensors")),
        ("tensor-not-listed", with(&format!(",{name}"), "")),
        ("tensor-not-there", with(name, &format!("{name},\"extra.weight\":\"b.safetensors\""))),
        ("total-wrong", with("39232", "39231")),
        ("total-text", with("39232", "\"39232\"")),
        ("total-negative", with("39232", "-39232")),
    ];
    let mut all = String::new();
    for (case, text) in cases {
        folder.write("ck/model.safetensors.index.json", text);
        write!(all, "# {case}\n{}", said(&folder, "ck")).unwrap();
    }
    folder.write("ck/model.safetensors.index.json", elsewhere(&outside));
    assert!(said(&folder, "ck").contains("no place below its folder"));
    folder.write("ck/model.safetensors.index.json", [b"{\"weight_map\": {\"".as_slice(), b"\xff"].concat());
    write!(all, "# not-utf8\n{}", said(&folder, "ck")).unwrap();
    // A total as some tools write it.
    folder.write("ck/model.safetensors.index.json", with("39232", "39232.0"));
    assert_eq!(folder.run(&["verify", MODEL, "ck"]).code, 0);
    folder.write("ck/model.safetensors.index.json", &index).write("ck/b.safetensors", "");
    write!(all, "# shard-empty-file\n{}", said(&folder, "ck")).unwrap();
    assert_snapshot!("verify_index", all);
}

/// The cache of Hugging Face keeps files elsewhere and links to them.
#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_followed() {
    let folder = sharded("verify-links");
    fs::rename(folder.path().join("ck/b.safetensors"), folder.path().join("blob")).unwrap();
    std::os::unix::fs::symlink("../blob", folder.path().join("ck/b.safetensors")).unwrap();
    assert_eq!(folder.run(&["verify", MODEL, "ck"]).code, 0);
}
