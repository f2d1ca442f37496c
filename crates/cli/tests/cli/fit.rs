//! `llmplan fit`: what it prints and writes, and what it says of files that have no law.

use std::fs;

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{Folder, Run, shown};

/// The 245 points of Hoffmann 2022 fig. 4.
fn chinchilla() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/scaling/chinchilla_fig4_points.csv");
    fs::read_to_string(path).unwrap()
}

/// Runs of a law that is known, with a column for what they were trained on.
fn runs(heading: &str, row: impl Fn(f64, f64, f64) -> String) -> String {
    let mut text = format!("{heading}\n");
    for n in 0..5 {
        for d in 0..5 {
            let (params, tokens) = (1e8 * 3f64.powi(n), 1e10 * 3f64.powi(d));
            let loss = 1.8 + 450.0 * params.powf(-0.35) + 2000.0 * tokens.powf(-0.37);
            text.push_str(&row(params, tokens, loss));
            text.push('\n');
        }
    }
    text
}

fn plain() -> String {
    runs("params,tokens,loss", |n, d, loss| format!("{n},{d},{loss}"))
}

fn json(run: &Run) -> Value {
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn a_fit_is_a_page() {
    let folder = Folder::new("fit-page");
    folder.write("chinchilla.csv", chinchilla());
    let run = folder.run(&[
        "fit",
        "chinchilla.csv",
        "--drop-highest",
        "5",
        "--at",
        "1e20 FLOP",
        "--at",
        "5.76e23 FLOP",
        "--bootstrap",
        "200",
    ]);
    assert!(run.stdout.lines().all(|line| line.chars().count() <= 100), "{}", run.stdout);
    assert_snapshot!(shown(&run));
}

#[test]
fn a_law_is_written_as_a_block_with_where_it_is_from() {
    let folder = Folder::new("fit-write");
    folder.write("chinchilla.csv", chinchilla());
    let run = folder.run(&[
        "fit",
        "chinchilla.csv",
        "--name",
        "mine",
        "--write",
        "mine.llm",
        "--tokenizer",
        "32k \"pieces\"",
        "--bytes-per-token",
        "4.3",
        "--min-tokens-per-param",
        "0.5",
        "--params",
        "non_embedding",
        "--bootstrap",
        "200",
    ]);
    assert_eq!((run.code, run.stderr.as_str()), (0, "law `mine` written to mine.llm\n"));
    let law = folder.read("mine.llm");
    assert_snapshot!(law);
    assert_eq!(folder.run(&["fmt", "--check", "mine.llm"]).code, 0);
}

#[test]
fn json_has_every_number() {
    let folder = Folder::new("fit-json");
    folder.write("chinchilla.csv", chinchilla());
    let args = [
        "fit",
        "chinchilla.csv",
        "--drop-highest",
        "5",
        "--at",
        "5.76e23 FLOP",
        "--bootstrap",
        "100",
        "--format",
        "json",
    ];
    let found = json(&folder.run(&args));
    let number = |path: &str| found.pointer(path).unwrap().as_f64().unwrap();
    assert!((number("/objective") / 0.001_018_274_171_633 - 1.0).abs() < 1e-7);
    assert!((number("/law/alpha") - 0.347_310_53).abs() < 1e-5);
    assert!((number("/at/0/params") / 73.19e9 - 1.0).abs() < 1e-3);
    assert!((number("/at/0/extrapolated") - 44.5).abs() < 0.1);
    assert!(number("/at/0/intervals/params/low") < number("/at/0/params"));
    assert!(number("/at/0/intervals/loss/high") > number("/at/0/loss"));
    assert_eq!((number("/runs"), number("/dropped"), number("/rule/drop_highest")), (240.0, 5.0, 5.0));
    assert_eq!(found["bootstrap"]["covariance"].as_array().unwrap().len(), 15);
    assert_eq!(found["held_out"]["predictions"].as_array().unwrap().len(), 24);
    assert_eq!(found["doubts"][0]["name"], "short-runs");
    // The same seed gives the same text, another one other intervals and the same law.
    let again = folder.run(&args);
    assert_eq!(json(&again), found);
    let other = json(&folder.run(&[&args[..], &["--seed", "2"]].concat()));
    assert_eq!(other["law"], found["law"]);
    assert_ne!(other["bootstrap"]["a"], found["bootstrap"]["a"]);
    let none = json(&folder.run(&["fit", "chinchilla.csv", "--bootstrap", "0", "--format", "json"]));
    assert_eq!(none["at"][0]["intervals"]["params"], Value::Null);
}

/// The same runs in any dress have the same law.
#[test]
fn columns_are_found_by_their_names() {
    let folder = Folder::new("fit-columns");
    let law = |text: &str, args: &[&str]| {
        folder.write("runs", text);
        json(&folder.run(&[&["fit", "runs", "--bootstrap", "0", "--format", "json"], args].concat()))["law"]
            .clone()
    };
    let same = |found: &Value, expected: &Value| {
        let number = |law: &Value, name: &str| law[name].as_f64().unwrap();
        for name in ["e", "a", "b", "alpha", "beta"] {
            let (own, other) = (number(found, name), number(expected, name));
            assert!((own / other - 1.0).abs() < 1e-6, "{name}: {own} {other}");
        }
    };
    let expected = law(&plain(), &[]);
    assert!((expected["alpha"].as_f64().unwrap() - 0.35).abs() < 1e-6);
    assert!((expected["b"].as_f64().unwrap() / 2000.0 - 1.0).abs() < 1e-5);
    same(
        &law(&runs("seed;D;Val Loss;N", |n, d, loss| format!("1;{d:e};{loss};{}B", n / 1e9)), &[]),
        &expected,
    );
    same(&law(&runs("N,loss,C", |n, d, loss| format!("{n},{loss},{}", 6.0 * n * d)), &[]), &expected);
    // Tokens from FLOPs where a row has none.
    same(
        &law(
            &runs("n,d,c,loss", |n, d, loss| {
                format!("{n},{},{},{loss}", if n > 1e9 { String::new() } else { d.to_string() }, 6.0 * n * d)
            }),
            &[],
        ),
        &expected,
    );
    same(
        &law(
            &runs("size,seen,eval/loss,loss", |n, d, loss| format!("{n},{d},{loss},9")),
            &["--columns", "params=size,tokens=seen,loss=eval/loss"],
        ),
        &expected,
    );
    let lines = runs("", |n, d, loss| {
        format!("{{\"n\": {n}, \"tokens\": \"{d}\", \"loss\": {loss}, \"note\": null}}")
    });
    same(&law(&lines, &[]), &expected);
    let mixed = runs("corpus,params,tokens,loss", |n, d, loss| {
        format!("web,{n},{d},{loss}\ncode,{n},{d},{}", loss - 1.0)
    });
    same(&law(&mixed, &["--filter", "corpus=web"]), &expected);
    let piped = folder.pipe(&["fit", "-", "--format", "json", "--bootstrap", "0"], plain().as_bytes());
    assert_eq!(json(&piped)["name"], "mine");
}

/// Exit code 1, and a line that says where, what was found, and what is expected.
#[test]
fn files_without_a_law_say_why() {
    let folder = Folder::new("fit-faults");
    let mut all = String::new();
    let many = format!("params,tokens,loss\n{}", "1e9,2e10,x\n".repeat(30));
    let equal = format!("params,tokens,loss\n{}", "1e9,2e10,2.5\n".repeat(30));
    let one_size = runs("params,tokens,loss", |n, d, loss| format!("1e9,{},{loss}", d + n));
    let rising = runs("params,tokens,loss", |n, d, loss| format!("{n},{d},{}", 10.0 / loss));
    let long = format!("params,tokens,loss\n{}", "1e9,2e10,2.5\n".repeat(10_001));
    let cases: [(&str, &str, &[&str]); 22] = [
        ("empty", "", &[]),
        ("only-a-heading", "params,tokens,loss\n", &[]),
        ("no-heading", "1e9,2e10,2.5\n1e9,3e10,2.4\n", &[]),
        ("other-columns", "width,steps\n1,2\n", &[]),
        ("no-tokens", "params,loss\n1e9,2\n", &[]),
        ("two-losses", "params,tokens,val_loss,train_loss\n1,2,3,4\n", &[]),
        ("two-of-a-name", "params,tokens,loss,loss\n1,2,3,4\n", &[]),
        ("cells", "params,tokens,loss\n1e9,2e10,2\n1e9,2e10\n1,000,000,2e10,2\n", &[]),
        ("numbers", "params,tokens,loss\n1e9,nan,2\n-1,0,inf\n1e400,1e-99,\n\"1,000\",2e10,7b\n", &[]),
        ("many", &many, &[]),
        ("quote", "params,tokens,loss\n1e9,\"2e10,2.5\n", &[]),
        ("json-list", "[{\"params\": 1e9}]", &[]),
        ("json", "{\"params\": 1e9, \"tokens\": 2e10, \"loss\": NaN}\n[1]\n", &[]),
        ("no-such-column", &plain(), &["--columns", "loss=val"]),
        ("no-such-filter", &plain(), &["--filter", "corpus=web"]),
        ("nothing-passes", &plain(), &["--filter", "loss=7"]),
        ("one-row", "params,tokens,loss\n1e9,2e10,2.5\n", &[]),
        ("equal", &equal, &[]),
        ("one-size", &one_size, &[]),
        ("all-dropped", &plain(), &["--min-tokens-per-param", "1e9"]),
        ("rising", &rising, &[]),
        ("too-many", &long, &[]),
    ];
    for (name, text, args) in cases {
        folder.write("runs.csv", text);
        let run = folder.run(&[&["fit", "runs.csv"], args].concat());
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{name}: {}", run.stderr);
        all.push_str(&format!("# {name}\n{}\n", run.stderr));
    }
    assert_snapshot!(all);
    folder.write("runs.bin", [0xff, 0xfe, 0x00]);
    assert_eq!(folder.run(&["fit", "runs.bin"]).code, 1);
}

/// A law that is called as its file is must be one that plans can use.
#[test]
fn no_file_gives_a_law_a_name_that_is_none() {
    let folder = Folder::new("fit-names");
    for (file, name) in [("loss.csv", "loss_law"), ("band.csv", "band_law"), ("runs.v2.csv", "runs_v2")] {
        folder.write(file, plain());
        let run = folder.run(&["fit", file, "--bootstrap", "0", "--write", "law.llm"]);
        assert_eq!((run.code, run.stderr), (0, format!("law `{name}` written to law.llm\n")));
        let run = folder.run(&["check", "law.llm"]);
        assert_eq!(run.code, 0, "{}", run.stdout);
    }
}

/// Exit code 2: the command line or a file is at fault.
#[test]
fn wrong_usage_is_told_apart() {
    let folder = Folder::new("fit-usage");
    folder.write("runs.csv", plain());
    let cases: [&[&str]; 15] = [
        &["fit"],
        &["fit", "nosuch.csv"],
        &["fit", "."],
        &["fit", "runs.csv", "--at", "5e23"],
        &["fit", "runs.csv", "--delta", "0"],
        &["fit", "runs.csv", "--delta", "nan"],
        &["fit", "runs.csv", "--columns", "size=params"],
        &["fit", "runs.csv", "--filter", "corpus"],
        &["fit", "runs.csv", "--name", "9 lives"],
        &["fit", "runs.csv", "--name", "loss"],
        &["fit", "runs.csv", "--name", "runs.v2"],
        &["fit", "runs.csv", "--write", "-"],
        &["fit", "runs.csv", "--write", "runs.csv"],
        &["fit", "runs.csv", "--write", "no/such/folder.llm"],
        &["fit", "runs.csv", "--drop-highest", "1", "--min-tokens-per-param", "1"],
    ];
    for args in cases {
        let run = folder.run(args);
        assert_eq!(run.code, 2, "{args:?}: {}", run.stdout);
        assert!(!run.stderr.is_empty());
    }
    assert_eq!(folder.read("runs.csv"), plain());
}

/// Numbers at the ends of what is read: a law or a reason, never a panic.
#[test]
fn hostile_numbers_have_an_end() {
    let folder = Folder::new("fit-hostile");
    // Anything between the bounds, in no order.
    let spread = |at: usize, most: f64| 10f64.powf(most * (((at * 7919) % 101) as f64 / 100.0));
    let mut text = "params,tokens,loss\n".to_owned();
    for at in 0..40 {
        let (n, d, loss) = (spread(at, 20.0), spread(at + 33, 25.0), spread(at + 71, 12.0) * 1e-6);
        text.push_str(&format!("{n:e},{d:e},{loss:e}\n"));
    }
    folder.write("runs.csv", &text);
    let tiny = runs("params,tokens,loss", |n, d, loss| format!("{},{},{}", n * 1e-8, d * 1e11, loss * 2e-6));
    folder.write("tiny.csv", tiny);
    folder.write("plain.csv", plain());
    let cases: [&[&str]; 6] = [
        &["fit", "runs.csv"],
        &["fit", "runs.csv", "--delta", "1e-300"],
        &["fit", "runs.csv", "--delta", "1e300", "--at", "1e37 FLOP"],
        &["fit", "tiny.csv", "--at", "1e-9 FLOP"],
        &["fit", "plain.csv", "--delta", "1e-300", "--at", "1e-9 FLOP"],
        &["fit", "plain.csv", "--delta", "1e300", "--format", "json", "--at", "1e37 FLOP"],
    ];
    for args in cases {
        let run = folder.run(&[args, &["--bootstrap", "20", "--write", "law.llm"]].concat());
        assert!(matches!(run.code, 0 | 1), "{args:?}: {} {}", run.code, run.stderr);
        if run.code == 0 {
            assert_eq!(folder.run(&["fmt", "--check", "law.llm"]).code, 0, "{}", folder.read("law.llm"));
        }
    }
}
