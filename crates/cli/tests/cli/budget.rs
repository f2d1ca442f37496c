//! `llmplan budget`: what it prints, and that what it writes into a plan is what it printed.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{Folder, Run, shown};

const GOPHER: &str = "\
# What is the best model for Gopher's compute?

model gopher {
  layers = 80
  d_model = 16_384
  vocab = 32_000

  attention {
    heads = 128
  }
}

data {
  tokens = 300B  # as published
}

budget {
  compute = 5.76e23 FLOP
}
";

/// A plan that is trained on hardware of its own: constants of the catalog are fitted anew now and then.
const TRAINED: &str = "\
model llama {
  layers = 32
  d_model = 4096
  vocab = 32_000

  attention {
    heads = 32
    kv_heads = 8
  }

  ffn {
    kind = swiglu
    d_ff = 11_008
  }
}

data {
  tokens = 1T

  source web {
    raw = 200B
    weight = 80%
  }

  source code {
    raw = 80B
    weight = 20%
  }
}

device mine {
  memory = 80 GB
  power = 700 W

  peak {
    bf16 = 1000 TFLOP/s
  }
}

hardware {
  device = mine
  devices = 512
  price = $2.00 / h
}

training {
  sequence = 4096
  global_batch = 1024 sequences
  mfu = 40%

  parallelism {
    tensor = 2
    pipeline = 4
    data = auto
  }
}

inference {
  demand = 2T tokens
}

budget {
  time = 30 days
  cost = $500k  # granted
  energy = 400 MWh
  max_epochs = 4
}
";

fn json(run: &Run) -> Value {
    assert_eq!(run.code, 0, "{run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

/// The quantities of the only plan of a file.
fn quantity(folder: &Folder, name: &str, path: &str) -> f64 {
    let check: Value =
        serde_json::from_str(&folder.run(&["check", name, "--format", "json"]).stdout).unwrap();
    let plans = check["files"][0]["plans"].as_array().or(check["plans"].as_array()).unwrap();
    let quantities = plans[0]["quantities"].as_array().unwrap();
    quantities.iter().find(|own| own["path"] == path).unwrap()["value"].as_f64().unwrap()
}

#[test]
fn the_answer_comes_first() {
    let folder = Folder::new("budget");
    folder.write("a.llm", GOPHER);
    let run = folder.run(&["budget", "a.llm"]);
    assert!(run.stdout.lines().all(|line| line.chars().count() <= 100), "{}", run.stdout);
    assert_snapshot!("budget_compute", shown(&run));
    let piped = folder.pipe(&["budget", "-"], GOPHER.as_bytes());
    assert_eq!(piped.stdout.replace("<stdin>", "a.llm"), run.stdout);
}

#[test]
fn the_tightest_limit_is_named_and_the_proposal_keeps_to_it() {
    let folder = Folder::new("budget-limits");
    folder.write("a.llm", TRAINED);
    let run = folder.run(&["budget", "a.llm"]);
    assert!(run.stdout.lines().all(|line| line.chars().count() <= 100), "{}", run.stdout);
    assert_snapshot!("budget_limits", shown(&run));
    let found = json(&folder.run(&["budget", "a.llm", "--format", "json"]));
    assert_eq!(found["limit"], "cost");
    let own = &found["proposed"]["quantities"];
    let value = |path: &str| own[path].as_f64().unwrap();
    assert!(value("training.cost") <= 500_000.0 && value("training.cost") > 495_000.0);
    assert!(value("budget.plan_share") <= 1.0 && value("training.calendar_time") < 30.0 * 86_400.0);
    assert!(found["proposed"]["gap"].as_f64().unwrap().abs() <= 0.01);
    for (path, divisor) in [("layers", 4), ("heads", 2), ("d_ff", 128)] {
        assert_eq!(found["proposed"][path].as_u64().unwrap() % divisor, 0, "{path}");
    }
}

#[test]
fn laws_limits_and_what_is_paid_for_can_be_others() {
    let folder = Folder::new("budget-options");
    folder.write("a.llm", TRAINED);
    let ask = |args: &[&str]| json(&folder.run(&[&["budget", "a.llm", "--format", "json"], args].concat()));
    let own = ask(&[]);
    let more = ask(&["--budget", "cost=$1M"]);
    let params = |found: &Value| found["best"]["params"].as_f64().unwrap();
    assert_eq!((&own["limit"], &more["limit"]), (&"cost".into(), &"time".into()));
    assert!(params(&more) > params(&own));
    let other = ask(&["--law", "hoffmann_3", "--set", "budget.max_epochs=16"]);
    assert_eq!(other["law"], "hoffmann_3");
    assert!(params(&other) < params(&own));
    let lifetime = ask(&["--objective", "lifetime"]);
    assert!(params(&lifetime) < params(&own));
    let opinions = own["band"].as_array().unwrap();
    let names: Vec<&str> = opinions.iter().map(|own| own["law"].as_str().unwrap()).collect();
    assert!(names.contains(&"kaplan") && names.contains(&"chinchilla_refit"), "{names:?}");
    for opinion in opinions {
        assert!(!opinion["comparable_loss"].as_bool().unwrap() || opinion["loss"].is_f64(), "{opinion}");
    }
}

#[test]
fn what_is_written_is_what_was_printed() {
    let catalog = "plan mine {\n  model = llama-2-7b\n  budget.compute = 1e23 FLOP\n}\n";
    let named = GOPHER.replace("budget {", "plan mine {\n  model = gopher\n}\n\nbudget {");
    let files = [
        ("compute", GOPHER.to_owned()),
        ("limits", TRAINED.to_owned()),
        ("without-data", GOPHER.replace("data {\n  tokens = 300B  # as published\n}\n\n", "")),
        ("catalog", catalog.to_owned()),
        ("named", named),
        ("windows", GOPHER.replace('\n', "\r\n")),
        ("small", GOPHER.replace("5.76e23", "1e19").replace("32_000", "8000")),
    ];
    for (name, text) in files {
        let folder = Folder::new(&format!("budget-apply-{name}"));
        folder.write("a.llm", &text);
        let run = folder.run(&["budget", "a.llm", "--format", "json", "--apply"]);
        let found = json(&run);
        let after = folder.read("a.llm");
        if matches!(name, "compute" | "without-data" | "catalog") {
            assert_snapshot!(format!("budget_apply_{name}"), run.stderr);
        }
        assert_eq!(text.contains('\r'), after.contains('\r'), "{name}");
        assert_eq!(text.matches('#').count(), after.matches('#').count(), "{name}: {after}");
        assert_eq!(
            folder.run(&["fmt", "--check", "a.llm"]).code,
            folder.write("b.llm", &text).run(&["fmt", "--check", "b.llm"]).code
        );
        assert_eq!(folder.run(&["check", "a.llm"]).code, 0, "{name}: {after}");
        let share = quantity(&folder, "a.llm", "budget.plan_share");
        assert!(share <= 1.0 && share > 0.98, "{name}: {share}");
        assert_eq!(
            quantity(&folder, "a.llm", "model.params"),
            found["proposed"]["quantities"]["model.params"]
        );
        let loss = quantity(&folder, "a.llm", "budget.loss_of_plan");
        assert!((loss - found["proposed"]["loss"].as_f64().unwrap()).abs() < 1e-9, "{name}: {loss}");
        // There is nothing left to write.
        let again = folder.run(&["budget", "a.llm", "--apply"]);
        assert!(again.code == 0 && again.stderr.ends_with("a.llm has it already\n"), "{name}: {again:?}");
        assert_eq!(folder.read("a.llm"), after, "{name}");
    }
}

/// A shape that does not fit as the plan divides it: the strategy that is found instead is one that does.
#[test]
fn what_does_not_fit_is_searched_for_where_asked() {
    let folder = Folder::new("budget-search");
    let device = TRAINED.find("device mine").unwrap()..TRAINED.find("hardware {").unwrap();
    let mut text =
        TRAINED.replace("device = mine", "device = h100-sxm").replace("  mfu = 40%", "  micro_batch = 1");
    text.replace_range(device, "");
    folder.write("a.llm", &text);
    let told = |args: &[&str]| {
        let run = folder.run(&[&["budget", "a.llm"], args].concat());
        assert_eq!(run.code, 0, "{run:?}");
        run.stdout.split_whitespace().collect::<Vec<&str>>().join(" ")
    };
    let plain = told(&[]);
    assert!(plain.contains("It does not fit the devices") && plain.contains("--search looks for"), "{plain}");
    let searched = told(&["--search"]);
    let found = searched.split("The best that `llmplan search` finds for it takes").nth(1).unwrap();
    let memory: f64 = found.split(" GB").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(memory <= 80.0 && found.contains("ZeRO"), "{found}");
}

#[test]
fn what_cannot_be_answered_says_why() {
    let folder = Folder::new("budget-not");
    let bare = GOPHER.split("budget {").next().unwrap();
    let latent = "plan mine {\n  model = deepseek-v3\n  budget.compute = 1e24 FLOP\n}\n";
    let cases = [
        ("without a budget", bare.to_owned(), &[][..], 1, "has no budget"),
        (
            "without hardware",
            bare.to_owned(),
            &["--budget", "time=3 days"],
            1,
            "it needs `training`, `hardware`",
        ),
        ("nothing fits", GOPHER.replace("5.76e23", "1e12"), &[], 1, "budget-too-small"),
        ("no demand", GOPHER.to_owned(), &["--objective", "lifetime"], 1, "needs `inference.demand`"),
        ("no law", GOPHER.to_owned(), &["--law", "chinchila_refit"], 1, "did you mean `chinchilla_refit`?"),
        ("no limit", GOPHER.to_owned(), &["--budget", "money=$3"], 2, "`money` is no limit"),
        ("set and applied", GOPHER.to_owned(), &["--apply", "--law", "kaplan"], 2, "cannot be used with"),
        ("no shape", latent.to_owned(), &["--apply"], 1, "--apply cannot write this plan"),
        ("a list", GOPHER.replace("300B", "[300B, 600B]"), &["--apply"], 1, "one of a list"),
    ];
    for (name, text, args, code, why) in cases {
        folder.write("a.llm", &text);
        let run = folder.run(&[&["budget", "a.llm"], args].concat());
        assert_eq!(run.code, code, "{name}: {run:?}");
        assert!(run.stderr.contains(why), "{name}: {}", run.stderr);
        assert_eq!(folder.read("a.llm"), text, "{name}");
    }
    let run = folder.pipe(&["budget", "-", "--apply"], GOPHER.as_bytes());
    assert_eq!(run.code, 2, "{run:?}");
}
