//! `llmplan search`: what it prints, and that what it writes into a plan is what it printed.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{DEVICE, Folder, Run, WIDE, shown};

const REST: &str = "
data {
  tokens = 300B
}

hardware {
  device = mine  # of two nodes
  devices = 16
  price = $2.00 / h
}

# How it is run.
training {
  sequence = 2048
  global_batch = 64 sequences  # as published
  micro_batch = 32  # too many

  parallelism {
    data = auto
  }
}

require {
  training.time <= 400 days
}
";

fn plan() -> String {
    format!("{WIDE}{DEVICE}{REST}")
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap()
}

/// Searches, writes the best, and checks that the file now gives what was printed.
fn applied(folder: &Folder, name: &str, args: &[&str]) -> (Value, String) {
    let before = folder.read(name);
    let run = folder.run(&[&["search", name, "--format", "json", "--apply"], args].concat());
    assert_eq!(run.code, 0, "{run:?}");
    let found = json(&run);
    let after = folder.read(name);
    assert_ne!(before, after);
    let check = json(&folder.run(&["check", name, "--format", "json"]));
    let plans = check["files"][0]["plans"].as_array().or(check["plans"].as_array()).unwrap();
    let named = plans.iter().find(|plan| plan["plan"] == found["plan"] || plan["name"] == found["plan"]);
    let quantities = named.unwrap()["quantities"].as_array().unwrap();
    let value =
        |path: &str| quantities.iter().find(|own| own["path"] == path).unwrap()["value"].as_f64().unwrap();
    let best = &found["best"];
    assert_eq!(value("memory.per_device"), best["memory_per_device"].as_f64().unwrap());
    let seconds = best["step_time"].as_f64().unwrap();
    assert!(
        (value("training.step_time.modelled") / seconds - 1.0).abs() < 1e-11,
        "{} and {seconds}",
        value("training.step_time.modelled")
    );
    // The plan that was judged is the one that was written.
    let judged = best["requirements"].as_array().unwrap();
    let conditions = named.unwrap()["requirements"].as_array().unwrap();
    assert!(!judged.is_empty() && judged.len() == conditions.len());
    for (own, other) in judged.iter().zip(conditions) {
        assert_eq!((&own["condition"], &own["holds"]), (&other["condition"], &other["holds"]));
    }
    let again = json(&folder.run(&[&["search", name, "--format", "json"], args].concat()));
    assert_eq!(again["declared"], best["strategy"]);
    (found, after)
}

/// The lines that are in one text and not in the other.
fn changed(before: &str, after: &str) -> Vec<String> {
    let lines = |one: &str, other: &str, sign: char| {
        let lacking = one.lines().filter(|line| !other.lines().any(|other| other == *line));
        lacking.map(|line| format!("{sign}{line}")).collect::<Vec<_>>()
    };
    [lines(before, after, '-'), lines(after, before, '+')].concat()
}

#[test]
fn the_best_is_printed_beside_what_bound_the_rest() {
    let folder = Folder::new("search");
    folder.write("a.llm", plan());
    let run = folder.run(&["search", "a.llm"]);
    assert!(run.stdout.lines().all(|line| line.chars().count() <= 100), "{}", run.stdout);
    assert_snapshot!("search_time", shown(&run));
    for threads in ["1", "3"] {
        assert_eq!(folder.run(&["search", "a.llm", "--threads", threads]).stdout, run.stdout);
    }
    let piped = folder.pipe(&["search", "-"], plan().as_bytes());
    assert_eq!(piped.stdout.replace("<stdin>", "a.llm"), run.stdout);
}

#[test]
fn each_objective_has_the_best_of_its_kind() {
    let folder = Folder::new("search-objectives");
    folder.write("a.llm", plan());
    let best = |objective: &str| {
        let run = folder.run(&["search", "a.llm", "--objective", objective, "--format", "json"]);
        assert_eq!(run.code, 0, "{run:?}");
        let found = json(&run);
        let number = |name: &str| found["best"][name].as_f64().unwrap();
        for own in found["pareto"].as_array().unwrap().iter().filter(|own| own["holds"] == true) {
            let other = |name: &str| own[name].as_f64().unwrap();
            let better = match objective {
                "time" => other("step_time") < number("step_time"),
                "memory" => other("memory_per_device") < number("memory_per_device"),
                "devices" => other("devices") < number("devices"),
                _ => other("devices") * other("step_time") < number("devices") * number("step_time"),
            };
            assert!(!better, "{objective}: {own:#}");
        }
        (number("step_time"), number("memory_per_device"), number("devices"))
    };
    let (time, memory, devices, cost) = (best("time"), best("memory"), best("devices"), best("cost"));
    assert!(time.0 < memory.0 && memory.1 < time.1);
    assert!(devices.2 < time.2, "{devices:?}");
    assert!(cost.0 * cost.2 <= time.0 * time.2);
}

#[test]
fn what_is_kept_stays_as_declared() {
    let folder = Folder::new("search-keep");
    folder.write("a.llm", plan().replace("micro_batch = 32", "micro_batch = 2"));
    let run = folder.run(&["search", "a.llm", "--keep", "micro_batch,schedule,zero", "--format", "json"]);
    let found = json(&run);
    for own in found["pareto"].as_array().unwrap() {
        let strategy = &own["strategy"];
        assert_eq!((&strategy["micro_batch"], &strategy["zero"]), (&2.into(), &0.into()));
        assert_eq!((&strategy["schedule"], &strategy["interleave"]), (&"one_f_one_b".into(), &1.into()));
    }
}

#[test]
fn the_best_is_written_into_the_plan_and_nothing_else_changes() {
    let folder = Folder::new("search-apply");
    folder.write("a.llm", plan());
    let (_, after) = applied(&folder, "a.llm", &["--objective", "memory"]);
    let changed = changed(&plan(), &after);
    assert_snapshot!("search_apply", changed.join("\n"));
    assert!(after.contains("# How it is run.\n") && after.contains("# as published\n"));
    assert_eq!(folder.run(&["fmt", "--check", "a.llm"]).code, 0, "{after}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
    // There is nothing left to write.
    let run = folder.run(&["search", "a.llm", "--objective", "memory", "--apply"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, "a.llm has it already\n"));
    assert_eq!(folder.read("a.llm"), after);
}

#[test]
fn plans_of_every_layout_can_be_written() {
    let bare = plan().replace("\n  parallelism {\n    data = auto\n  }\n", "");
    let files = [
        ("without-a-block", bare.clone()),
        ("empty-block", bare.replace("# too many\n", "# too many\n  parallelism {}\n")),
        ("one-line", bare.replace("# too many\n", "# too many\n  parallelism { tensor = 4 }\n")),
        ("untidy", plan().replace("    data = auto", "  zero   =  2 # was 1\n    data=auto")),
        ("expressions", format!("let width = 2\n\n{}", plan().replace("data = auto", "tensor = 2 * width"))),
        ("windows", plan().replace('\n', "\r\n")),
        ("data", plan().replace("micro_batch = 32", "micro_batch = 16").replace("data = auto", "data = 16")),
        (
            "named",
            plan()
                .replace("training {", "training base {\n  micro_batch = 4\n}\n\ntraining run extends base {")
                .replace("  micro_batch = 32  # too many\n", "")
                .replace("require {", "plan mine {\n  model = tiny\n  training = run\n}\n\nrequire {"),
        ),
        (
            "two-plans",
            plan().replace(
                "require {",
                "plan other {\n  training.micro_batch = 1\n}\n\nplan mine {\n  training.parallelism.zero = 1\n}\n\nrequire {",
            ),
        ),
    ];
    for (name, text) in files {
        let folder = Folder::new(&format!("search-apply-{name}"));
        folder.write("a.llm", &text);
        let args: &[&str] = if matches!(name, "named" | "two-plans") {
            &["--objective", "memory", "--plan", "mine"]
        } else {
            &["--objective", "memory"]
        };
        let (_, after) = applied(&folder, "a.llm", args);
        assert_eq!(text.contains('\r'), after.contains('\r'), "{name}");
        assert!(after.lines().all(|line| !line.ends_with(' ')), "{name}: {after}");
        for kept in ["# as published", "# of two nodes", "# How it is run."] {
            assert!(after.contains(kept), "{name}: {after}");
        }
        if name == "two-plans" {
            assert!(after.contains("plan other {\n  training.micro_batch = 1\n}"), "{after}");
            assert!(after.contains("micro_batch = 32  # too many"), "{after}");
        }
    }
}

#[test]
fn the_examples_can_be_written() {
    for name in ["gpt3-on-a100s", "llama-2-70b"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let before = fs::read_to_string(root.join(format!("{name}.llm"))).unwrap();
        let folder = Folder::new(&format!("search-apply-{name}"));
        folder.write("a.llm", &before);
        let (_, after) = applied(&folder, "a.llm", &["--keep", "context,schedule,offload,checkpointing"]);
        let comments = |text: &str| text.matches('#').count();
        assert_eq!(comments(&before), comments(&after), "{after}");
        let changed = changed(&before, &after);
        let knobs = ["tensor", "sequence_parallel", "pipeline", "data", "zero", "shard", "micro_batch"];
        for line in &changed {
            let name = line[1..].trim_start().split(' ').next().unwrap();
            assert!(knobs.contains(&name), "{line}");
        }
        assert_eq!(folder.run(&["fmt", "--check", "a.llm"]).code, 0, "{after}");
    }
}

#[test]
fn devices_are_written_as_the_plan_counts_them() {
    for (name, devices) in [("nodes", "nodes = 2"), ("devices", "devices = 16")] {
        let folder = Folder::new(&format!("search-apply-by-{name}"));
        folder.write("a.llm", plan().replace("devices = 16", devices).replace("400 days", "4000 days"));
        let args = ["--objective", "devices"];
        let run = folder.run(&[&["search", "a.llm", "--format", "json"], &args[..]].concat());
        let best = json(&run)["best"]["devices"].as_u64().unwrap();
        if name == "nodes" && !best.is_multiple_of(8) {
            // Fewer than a node has cannot be said in nodes.
            let run = folder.run(&[&["search", "a.llm", "--apply"], &args[..]].concat());
            assert_eq!(run.code, 1, "{run:?}");
            continue;
        }
        let (found, after) = applied(&folder, "a.llm", &args);
        assert!(found["best"]["devices"].as_u64().unwrap() < 16, "{found:#}");
        assert!(after.contains(&format!("devices = {best}")), "{after}");
    }
}

#[test]
fn what_is_not_the_files_own_is_not_written() {
    let cases = [
        ("lists", plan().replace("micro_batch = 32", "micro_batch = [1, 2]"), "one of a list"),
        (
            "imports",
            format!("import \"run.llm\"\n\n{}", plan().replace("training {", "training other {"))
                .replace("require {", "plan mine {\n  training = run\n}\n\nrequire {"),
            "run.llm",
        ),
        (
            "follows",
            plan().replace(
                "sequence = 2048",
                "loading = 1M tokens/s * training.micro_batch\n  sequence = 2048",
            ),
            "`training.loading` would change with it",
        ),
    ];
    for (name, text, why) in cases {
        let folder = Folder::new(&format!("search-not-{name}"));
        folder.write("a.llm", &text);
        folder.write(
            "run.llm",
            "training run {\n  sequence = 2048\n  global_batch = 64 sequences\n  micro_batch = 2\n}\n",
        );
        let run = folder.run(&["search", "a.llm", "--objective", "memory", "--apply"]);
        assert_eq!(run.code, 1, "{name}: {run:?}");
        assert!(run.stderr.contains("--apply cannot write this plan") && run.stderr.contains(why), "{run:?}");
        assert!(run.stdout.starts_with("BEST"), "{name}: {}", run.stdout);
        assert_eq!(folder.read("a.llm"), text);
    }
    let folder = Folder::new("search-not-stdin");
    let run = folder.pipe(&["search", "-", "--apply"], plan().as_bytes());
    assert_eq!(run.code, 2, "{run:?}");
    folder.write("a.llm", plan());
    let run = folder.run(&["search", "a.llm", "--apply", "--set", "training.micro_batch=1"]);
    assert_eq!(run.code, 2, "{run:?}");
}

#[test]
fn where_nothing_fits_or_holds_that_is_said() {
    let folder = Folder::new("search-none");
    folder.write("never.llm", plan().replace("400 days", "1 h"));
    let run = folder.run(&["search", "never.llm", "--apply"]);
    assert_eq!(run.code, 1);
    assert!(run.stdout.starts_with("NONE tiny: nothing meets every requirement\n"), "{}", run.stdout);
    assert!(run.stdout.contains("require training.time <= 1 h"), "{}", run.stdout);
    assert_eq!(folder.read("never.llm"), plan().replace("400 days", "1 h"));

    folder.write("large.llm", plan().replace("training.time <= 400 days", "memory.per_device <= 1 MB"));
    let run = folder.run(&["search", "large.llm"]);
    assert_eq!(run.code, 1);
    assert!(run.stdout.starts_with("NONE tiny: nothing runs and fits\n"), "{}", run.stdout);
    assert!(run.stdout.contains("more than memory.per_device may be"), "{}", run.stdout);

    folder.write("model.llm", WIDE);
    let run = folder.run(&["search", "model.llm"]);
    assert_eq!(run.code, 1);
    assert_eq!(run.stderr, "error: a search needs `training` and `hardware`: declare them\n");
    assert_eq!(folder.run(&["search", "missing.llm"]).code, 2);

    // A number with 240 divisors, twice.
    let vast =
        plan().replace("devices = 16", "devices = 720_720").replace("64 sequences", "720_720 sequences");
    folder.write("vast.llm", vast.replace("micro_batch = 32", "micro_batch = 1"));
    let run = folder.run(&["search", "vast.llm"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr
            .ends_with("error: there are too many strategies to look at; leave some choices as declared\n")
    );
}

#[test]
fn degrees_that_do_not_fit_are_chosen_anew() {
    let folder = Folder::new("search-degrees");
    folder.write("a.llm", plan().replace("data = auto", "tensor = 5"));
    let run = folder.run(&["search", "a.llm", "--apply"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(folder.run(&["check", "a.llm"]).code, 0);
}
