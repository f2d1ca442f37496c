//! `llmplan docs`

use crate::support::Folder;

#[test]
fn topics_are_printed() {
    let folder = Folder::new("docs");
    let reference = folder.run(&["docs"]);
    assert_eq!((reference.code, reference.stderr.as_str()), (0, ""));
    for topic in ["training", "training.mfu", "memory.optimizer", "units", "codes", "schema", "unknown-unit"]
    {
        let run = folder.run(&["docs", topic]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{topic}");
        assert!(run.stdout.len() > 40 && run.stdout.ends_with('\n'), "{topic}: {}", run.stdout);
    }
    let schema: serde_json::Value = serde_json::from_str(&folder.run(&["docs", "schema"]).stdout).unwrap();
    assert_eq!(schema["title"], "Document");
}

#[test]
fn an_unknown_topic_suggests_a_known_one() {
    let run = Folder::new("docs-unknown").run(&["docs", "trainig"]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    assert_eq!(run.stderr, "error: there is no topic `trainig`; did you mean `training`?\n");
}
