//! `llmplan explain`

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{Folder, MODEL, TRAINING, shown};

fn folder(test: &str) -> Folder {
    let folder = Folder::new(test);
    folder.write("model.llm", MODEL).write("plan.llm", format!("{MODEL}{TRAINING}"));
    folder
}

#[test]
fn a_number_is_taken_apart() {
    let folder = folder("explain");
    assert_snapshot!("explain_cost", shown(&folder.run(&["explain", "plan.llm", "training.cost"])));
    assert_snapshot!("explain_optimizer", shown(&folder.run(&["explain", "plan.llm", "memory.optimizer"])));
    let json = folder.run(&["explain", "plan.llm", "training.cost", "--format", "json"]);
    let tree: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(tree["quantities"][0]["path"], "training.cost");
    assert!(tree["quantities"].as_array().unwrap().len() > 5);
}

#[test]
fn what_cannot_be_explained_says_why() {
    let folder = folder("explain-not");
    let texts: Vec<String> = [
        ["model.llm", "model.parms"],
        ["model.llm", "training.cost"],
        ["model.llm", "training.mfu"],
        ["plan.llm", "memory.activations"],
        ["plan.llm", "data.epochs"],
        ["missing.llm", "model.params"],
    ]
    .iter()
    .map(|[file, path]| format!("explain {file} {path}\n{}", shown(&folder.run(&["explain", file, path]))))
    .collect();
    assert_snapshot!("explain_not", texts.join("\n"));
}

#[test]
fn a_code_has_a_page() {
    let folder = folder("explain-code");
    let run = folder.run(&["explain", "unknown-attribute"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("attribute"), "{}", run.stdout);
    let run = folder.run(&["explain", "unknown-atribute"]);
    assert_eq!(run.code, 2);
    assert_eq!(
        run.stderr,
        "error: there is no diagnostic `unknown-atribute`; did you mean `unknown-attribute`?\n"
    );
    assert_eq!(folder.run(&["explain", "plan.llm"]).code, 2);
}

#[test]
fn of_several_plans_one_is_chosen() {
    let folder = Folder::new("explain-plans");
    folder.write(
        "plans.llm",
        format!("{MODEL}\nplan small {{\n  model = tiny\n}}\n\nplan large extends small {{\n  model.layers = 4\n}}\n"),
    );
    let first = folder.run(&["explain", "plans.llm", "model.layers"]);
    assert_eq!(first.code, 0);
    assert!(first.stdout.starts_with("model.layers = 2"), "{}", first.stdout);
    assert!(first.stderr.contains("plan small") && first.stderr.contains("large"), "{}", first.stderr);
    let large = folder.run(&["explain", "plans.llm", "model.layers", "--plan", "large"]);
    assert!(large.stdout.starts_with("model.layers = 4"), "{}", large.stdout);
    assert_eq!(folder.run(&["explain", "plans.llm", "model.layers", "--plan", "huge"]).code, 1);
}
