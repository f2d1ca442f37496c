//! `llmplan levers` and what `check` says of broken requirements: every effect is what `check` reports of the change, and
//! every fix meets its requirement.

use std::collections::BTreeMap;
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
  micro_batch = 1

  parallelism {
    zero = 1
    data = auto
  }
}
";

/// A law of its own, for the same reason.
const LAW: &str = "
law mine {
  e = 1.8
  a = 480
  b = 2100
  alpha = 0.35
  beta = 0.37
  source = \"made up\"
}
";

fn folder(test: &str) -> Folder {
    let folder = Folder::new(test);
    let plan = format!("{WIDE}{REST}{DEVICE}{LAW}");
    let tight = "\nrequire {\n  training.calendar_time <= 7 days\n  training.cost <= $5k\n}\n";
    folder
        .write("model.llm", WIDE)
        .write("plan.llm", &plan)
        .write("large.llm", plan.replace("layers = 6", "layers = 96").replace("zero = 1", "zero = 0"))
        .write("tight.llm", format!("{plan}{tight}"));
    folder
}

fn levers(folder: &Folder, file: &str) -> Value {
    let run = folder.run(&["levers", file, "--format", "json"]);
    assert_eq!(run.code, 0, "{}", shown(&run));
    serde_json::from_str(&run.stdout).unwrap()
}

/// The numbers of a plan by path, `holds` among them.
fn numbers(folder: &Folder, file: &str, set: &[String]) -> BTreeMap<String, String> {
    let mut args = vec!["check", file, "--format", "csv"];
    args.extend(set.iter().flat_map(|own| ["--set", own]));
    let run = folder.run(&args);
    let mut lines = run.stdout.lines();
    let (names, cells) = (lines.next().unwrap().split(','), lines.next().unwrap().split(','));
    names.map(str::to_owned).zip(cells.map(str::to_owned)).collect()
}

fn settings(own: &Value) -> Vec<String> {
    let one = |own: &Value| format!("{}={}", own["path"].as_str().unwrap(), own["to"].as_str().unwrap());
    own["set"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn levers_are_printed() {
    let folder = folder("levers");
    for name in ["model", "plan", "large", "tight"] {
        let run = folder.run(&["levers", &format!("{name}.llm")]);
        assert!(run.stdout.lines().all(|line| line.chars().count() <= 100), "{}", run.stdout);
        assert_snapshot!(format!("levers_{name}"), shown(&run));
    }
    assert_snapshot!("levers_all", shown(&folder.run(&["levers", "plan.llm", "--all"])));
}

/// Every row, set by hand, gives what the row says.
#[test]
fn every_effect_is_what_check_reports() {
    let folder = folder("levers-replayed");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let examples_of = ["gpt3-on-a100s", "over-budget", "minimal", "llama-3.1-405b", "serve-heavy", "grpo-8b"];
    let named = examples_of.map(|name| format!("{name}.llm"));
    for file in &named {
        folder.write(file, fs::read(examples.join(file)).unwrap());
    }
    let mut replayed = 0;
    let examples = named.each_ref().map(String::as_str);
    for file in ["large.llm", "tight.llm"].into_iter().chain(examples) {
        let found = levers(&folder, file);
        let before = numbers(&folder, file, &[]);
        for own in found["levers"].as_array().unwrap() {
            let set = settings(own);
            let after = numbers(&folder, file, &set);
            for effect in own["effects"].as_array().unwrap() {
                let path = effect["path"].as_str().unwrap();
                for (numbers, when) in [(&before, "before"), (&after, "after")] {
                    let expected: f64 = numbers[path].parse().unwrap();
                    assert_eq!(effect[when].as_f64(), Some(expected), "{file} {set:?}: {path} {when}");
                }
            }
            let holds = own["broken_requirements"] == 0;
            assert_eq!(after["holds"], holds.to_string(), "{file} {set:?}");
            replayed += 1;
        }
    }
    assert!(replayed > 70, "only {replayed} rows");
}

/// (r_before/r_after)^(1/g), with the law's own constants, and what the batch takes beside.
#[test]
fn the_gain_is_that_of_the_law() {
    let folder = folder("levers-gain");
    let found = levers(&folder, "plan.llm");
    // Compute for the same loss: the law's, and the tokens that a batch near the critical one takes beside.
    let compute = |set: &[String]| {
        let own = numbers(&folder, "plan.llm", set);
        let number = |path: &str| own[path].parse::<f64>().unwrap();
        let above =
            480.0 * number("model.params").powf(-0.35) + 2100.0 * number("training.tokens").powf(-0.37);
        above.powf((0.35 + 0.37) / (0.35 * 0.37)) * (1.0 + number("recipe.batch.extra_tokens_share"))
    };
    let mut checked = 0;
    for own in found["levers"].as_array().unwrap() {
        if let Some(gain) = own["compute_equivalent_gain"].as_f64() {
            let set = settings(own);
            let expected = compute(&[]) / compute(&set);
            assert!((gain / expected - 1.0).abs() < 1e-9, "{set:?}: {gain}, not {expected}");
            checked += 1;
        }
        if own["loss"] == "same" {
            assert!(own["compute_equivalent_gain"].is_null(), "{own}");
        }
    }
    assert!(checked > 3, "only {checked} gains");
}

#[test]
fn levers_are_the_same_on_any_number_of_threads() {
    let folder = folder("levers-threads");
    let run = |threads: &str| {
        let mut command = folder.command(&["levers", "plan.llm", "--format", "json"]);
        crate::support::finished(command.env("RAYON_NUM_THREADS", threads).output().unwrap())
    };
    let one = run("1");
    assert_eq!(one.stdout, run("3").stdout);
    assert!(one.stdout.contains("\"levers\""), "{}", shown(&one));
}

/// What does not fit is judged by memory, and what breaks a requirement by that.
#[test]
fn levers_are_judged_by_what_is_lacking() {
    let folder = folder("levers-lacking");
    assert_eq!(levers(&folder, "plan.llm")["lacks"], "nothing");
    assert_eq!(levers(&folder, "tight.llm")["lacks"], "requirements");
    let large = levers(&folder, "large.llm");
    assert_eq!((&large["lacks"], &large["judged_by"]), (&"memory".into(), &"memory.per_device".into()));
    let of = |own: &Value| {
        let effects = own["effects"].as_array().unwrap();
        let memory = effects.iter().find(|own| own["measure"] == "memory").unwrap();
        memory["after"].as_f64().unwrap() / memory["before"].as_f64().unwrap()
    };
    let known: Vec<&Value> =
        large["levers"].as_array().unwrap().iter().filter(|own| own["loss"] == "same").collect();
    assert!(known.windows(2).all(|pair| of(pair[0]) <= of(pair[1]) + 1e-9), "{known:#?}");
}

/// An edit of the report, made by hand.
fn edited(text: &str, fix: &Value) -> String {
    let span = &fix["span"];
    let (line, column) = (span["line"].as_u64().unwrap() as usize, span["column"].as_u64().unwrap() as usize);
    let end = span["end_column"].as_u64().unwrap() as usize;
    assert_eq!(span["line"], span["end_line"]);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[line - 1].replace_range(column - 1..end - 1, fix["replacement"].as_str().unwrap());
    lines.join("\n") + "\n"
}

fn requirements(folder: &Folder, file: &str) -> Vec<Value> {
    let run = folder.run(&["check", file, "--format", "json"]);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    document["plans"][0]["requirements"].as_array().unwrap().clone()
}

#[test]
fn an_edit_of_a_broken_requirement_meets_it() {
    let folder = folder("levers-edits");
    let text = folder.read("tight.llm");
    let broken = requirements(&folder, "tight.llm");
    assert!(broken.iter().all(|own| own["holds"] == false), "{broken:#?}");
    for (at, own) in broken.iter().enumerate() {
        folder.write("edited.llm", edited(&text, &own["fix"]));
        let after = requirements(&folder, "edited.llm");
        assert_eq!(after[at]["holds"], true, "{own:#?}");
    }
}

/// Tokens are told in three digits: one more of the last digit would be too many.
#[test]
fn a_fix_is_as_small_as_it_can_be() {
    let folder = folder("levers-smallest");
    let broken = requirements(&folder, "tight.llm");
    let text = broken[1]["fix"]["replacement"].as_str().unwrap();
    let billions: f64 = text.strip_suffix('B').unwrap().parse().unwrap();
    let step = if billions < 100.0 { 0.1 } else { 1.0 };
    let more = format!("data.tokens={}B", ((billions + step) * 10.0).round() / 10.0);
    let cost = |set: &str| numbers(&folder, "tight.llm", &[set.to_owned()])["training.cost"].parse().unwrap();
    let (enough, too_much): (f64, f64) = (cost(&format!("data.tokens={text}")), cost(&more));
    assert!(enough <= 5_000.0 && too_much > 5_000.0, "{enough} {too_much}");
}

#[test]
fn fixes_are_written_together_and_printed_as_a_diff() {
    let folder = folder("levers-fix");
    let run = folder.run(&["check", "tight.llm", "--brief", "--fix"]);
    assert_eq!(run.code, 0, "{}", shown(&run));
    assert_snapshot!("check_fix", shown(&run));
    assert!(folder.read("tight.llm").contains("devices = 16") || run.stderr.contains("devices"));
    let again = folder.run(&["check", "tight.llm", "--brief", "--fix"]);
    assert_eq!((again.code, again.stderr.as_str()), (0, "tight.llm: there is nothing to fix\n"));
}

#[test]
fn what_is_not_one_plan_is_left_alone() {
    let folder = folder("levers-several");
    let two = format!("{}\nplan a {{\n}}\n\nplan b {{\n  data.tokens = 200B\n}}\n", folder.read("tight.llm"));
    folder.write("two.llm", &two);
    let run = folder.run(&["check", "two.llm", "--brief", "--fix"]);
    assert_eq!(run.stderr, "two.llm: --fix is for files with one plan, without lists\n");
    assert_eq!((run.code, folder.read("two.llm")), (1, two));
    assert!(
        requirements(&folder, "two.llm").iter().all(|own| own["fix"].is_null() && own["help"] != Value::Null)
    );
    let piped = folder.pipe(&["check", "-", "--fix"], WIDE.as_bytes());
    assert!(piped.stderr.starts_with("error: --fix writes a file"), "{}", shown(&piped));
}

/// What no single change can do is said, with what comes nearest.
#[test]
fn what_no_change_meets_is_said() {
    let folder = folder("levers-never");
    let plan = folder.read("plan.llm");
    folder.write(
        "never.llm",
        format!("{plan}\nrequire {{\n  training.mfu >= 99%\n  device.memory >= 200 GB\n}}\n"),
    );
    let help: Vec<String> = requirements(&folder, "never.llm")
        .iter()
        .map(|own| own["help"][0].as_str().unwrap().to_owned())
        .collect();
    assert!(help[0].starts_with("no single change meets it; nearest comes "), "{help:?}");
    assert_eq!(help[1], "no single change meets it, or comes nearer");
    let fixed = folder.run(&["check", "never.llm", "--fix"]);
    assert!(fixed.code == 1 && fixed.stderr.contains("nothing to fix"), "{}", shown(&fixed));
}

/// A condition that could not be broken further by a fix stays whole.
#[test]
fn a_fix_breaks_no_other_requirement() {
    let folder = folder("levers-others");
    let plan = folder.read("plan.llm");
    let conditions =
        "\nrequire {\n  training.cost <= $5k\n  data.tokens >= 300B\n  model.params >= 1.6B\n}\n";
    folder.write("bound.llm", format!("{plan}{conditions}"));
    let run: Run = folder.run(&["check", "bound.llm", "--brief", "--fix"]);
    let after = requirements(&folder, "bound.llm");
    assert_eq!((&after[1]["holds"], &after[2]["holds"]), (&true.into(), &true.into()), "{}", shown(&run));
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(format!("{name}.llm"));
    fs::read_to_string(path).unwrap()
}

/// What is served or aligned is judged by what it costs, and its levers show what they do.
#[test]
fn serving_and_alignment_have_levers() {
    let folder = folder("levers-served");
    folder.write("serve.llm", example("serve-heavy")).write("grpo.llm", example("grpo-8b"));
    let served = levers(&folder, "serve.llm");
    assert_eq!(served["judged_by"], "inference.lifetime.total_cost");
    let row = |found: &Value, path: &str| -> Value {
        let rows = found["levers"].as_array().unwrap();
        rows.iter().find(|own| own["lever"] == path).unwrap_or_else(|| panic!("no {path}")).clone()
    };
    // A requirement bounds how long a token may take: within it a larger batch is cheaper, at equal loss.
    assert_eq!(served["levers"][0]["lever"], "inference.batch");
    // Fewer bits of weights have a law; of the cache they have none.
    let (weights, cache) = (row(&served, "inference.weights"), row(&served, "inference.kv_cache"));
    assert!(
        weights["loss"] == "law" && weights["compute_equivalent_gain"].as_f64().unwrap() < 1.0,
        "{weights}"
    );
    assert!(cache["loss"] == "unknown" && cache["compute_equivalent_gain"].is_null(), "{cache}");

    let aligned = levers(&folder, "grpo.llm");
    assert_eq!(aligned["judged_by"], "alignment.cost");
    let rows = aligned["levers"].as_array().unwrap();
    for own in rows {
        let path = own["lever"].as_str().unwrap();
        assert!(!path.starts_with("model."), "a model that is only aligned is what it is: {path}");
        assert!(own["compute_equivalent_gain"].is_null(), "no law knows what alignment gives: {own}");
    }
    for leaf in ["samples", "prompts", "synchronous", "lora", "reference"] {
        assert_eq!(row(&aligned, &format!("alignment.code.{leaf}"))["loss"], "unknown", "{leaf}");
    }
    // What is known to leave the model as it is stands first.
    let same = rows.iter().take_while(|own| own["loss"] == "same").count();
    assert!(same >= 3 && rows[same..].iter().all(|own| own["loss"] == "unknown"), "{aligned:#}");
}

/// Requirements of every block, with the lever that is asked first, and whether it is true.
#[test]
fn fixes_are_of_the_block_that_is_asked() {
    let folder = folder("levers-blocks");
    let cases = [
        ("serve-heavy", "inference.tpot <= 15 ms", "inference."),
        ("serve-heavy", "inference.cost_per_million <= $0.045", "inference.batch"),
        ("serve-heavy", "inference.lifetime.total_cost <= $1M", "inference.batch"),
        ("serve-heavy", "inference.memory <= 15 GB", "inference.batch"),
        ("serve-heavy", "inference.quantization_share <= 0.01%", "inference.weights"),
        ("serve-heavy", "scaling.compute_waste <= 20%", "data.tokens"),
        ("serve-heavy", "recipe.critical_batch >= 12M tokens", "data.tokens"),
        ("grpo-8b", "alignment.time <= 2 h", "hardware.devices"),
        ("grpo-8b", "alignment.cost <= $500", "alignment.code."),
        ("grpo-8b", "alignment.code.cost <= $200", "alignment.code."),
        ("grpo-8b", "alignment.flops <= 1e20 FLOP", "alignment.code."),
        ("grpo-8b", "alignment.code.time.verifier <= 10 min", "alignment.code.verifier.workers"),
        ("grpo-8b", "alignment.code.usable_share >= 99.9%", "alignment.code.samples"),
        ("efficiency", "data.code.epochs <= 1", "data.tokens"),
        ("efficiency", "recipe.batch.extra_tokens_share <= 5%", "training.global_batch"),
    ];
    for (name, condition, lever) in cases {
        let text = example(name);
        let before = text.find("\nrequire {").unwrap();
        let text = format!("{}\nrequire {{\n  {condition}\n}}\n", &text[..before]);
        folder.write("asked.llm", text);
        let own = &requirements(&folder, "asked.llm")[0];
        assert_eq!(own["holds"], false, "{condition}");
        let help = own["help"][0].as_str().unwrap();
        let quoted: Vec<&str> = help.split('`').skip(1).step_by(2).collect();
        assert!(help.starts_with("set `") || help.starts_with("with `"), "{condition}: {help}");
        assert!(quoted[0].starts_with(lever), "{condition}: {help}");
        let set: Vec<String> = quoted.iter().map(|own| own.replace(" = ", "=")).collect();
        assert_eq!(numbers(&folder, "asked.llm", &set)["holds"], "true", "{condition}: {help}");
    }
}

/// More samples would come nearer to a signal, but the night is too short for them.
#[test]
fn what_bars_a_fix_is_said() {
    let folder = folder("levers-barred");
    folder.write("grpo.llm", example("grpo-8b").replace("pass_rate = 30%", "pass_rate = 1%"));
    let own = &requirements(&folder, "grpo.llm")[2];
    let help = own["help"].to_string();
    assert!(help.contains("alignment.code.samples") && help.contains("no longer holds then"), "{help}");
}

/// Nothing absurd is proposed where nothing suffices: neither thousands of devices nor another model.
#[test]
fn what_does_not_suffice_stays_sensible() {
    let folder = folder("levers-sensible");
    let text = example("grpo-8b");
    let before = text.find("\nrequire {").unwrap();
    folder.write("night.llm", format!("{}\nrequire {{\n  alignment.time <= 1 s\n}}\n", &text[..before]));
    let help = requirements(&folder, "night.llm")[0]["help"][0].as_str().unwrap().to_owned();
    assert!(help.contains("nearest comes `hardware.devices = 512`"), "{help}");
}

/// A learning rate far off the recommended one is answered with that, and its gain is the compute that the miss wastes.
#[test]
fn the_learning_rate_is_a_lever() {
    let folder = folder("levers-rate");
    folder.write("rate.llm", example("efficiency").replace("learning_rate = 6e-4", "learning_rate = 3e-3"));
    let own = &requirements(&folder, "rate.llm")[0];
    assert!(own["help"][0].as_str().unwrap().starts_with("with `training.learning_rate = "), "{own}");
    let best = levers(&folder, "rate.llm")["levers"][0].clone();
    assert_eq!(best["lever"], "training.learning_rate");
    let wasted = |set: &[String]| -> f64 {
        numbers(&folder, "rate.llm", set)["recipe.learning_rate.compute"].parse().unwrap()
    };
    let (gain, miss) = (best["compute_equivalent_gain"].as_f64().unwrap(), wasted(&[]));
    assert!(miss > 1.5 && (gain / (miss / wasted(&settings(&best))) - 1.0).abs() < 1e-9, "{gain} {miss}");
}
