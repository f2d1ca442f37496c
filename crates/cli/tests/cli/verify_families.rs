//! `llmplan verify` with the names that transformers writes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::Folder;
use crate::verify_support::{Tensors, write};

/// Every family with the names that the package writes: its configuration is imported, and the model is its checkpoint.
/// No tensor can be taken away, added, or changed without a word.
#[test]
fn every_family_is_what_its_package_writes() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/checkpoints");
    let folder = Folder::new("verify-families");
    let mut count = 0;
    for entry in fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        let family: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert!(family["origin"].as_str().unwrap().contains("transformers"));
        folder.write("config.json", family["config"].to_string());
        let run = folder.run(&["import", "config.json", "--name", "tiny", "-o", "model.llm"]);
        assert_eq!(run.code, 0, "{path:?}: {}", run.stderr);
        let mut all: Tensors = serde_json::from_value(family["tensors"].clone()).unwrap();
        let verify = |tensors: &Tensors| {
            write(&folder, "model.safetensors", tensors);
            folder.run(&["verify", "model.llm", "model.safetensors"])
        };
        let run = verify(&all);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{path:?}\n{}", run.stdout);
        assert!(run.stdout.lines().all(|line| line.chars().count() <= 100), "{}", run.stdout);

        // The plan's side is what `check` counts.
        let report = |args: &[&str]| -> Value { serde_json::from_str(&folder.run(args).stdout).unwrap() };
        let checked = report(&["check", "model.llm", "--format", "json"]);
        let params = checked["plans"][0]["quantities"]
            .as_array()
            .unwrap()
            .iter()
            .find(|quantity| quantity["path"] == "model.params")
            .unwrap();
        let verified = report(&["verify", "model.llm", "model.safetensors", "--format", "json"]);
        assert_eq!(params["value"], verified["parameters"]["plan"], "{path:?}");

        all.retain(|name, _| !name.ends_with(".act_fn.beta") && !name.ends_with(".act_fn.eps"));
        // Some tensors of each, spread over all of them.
        for at in [1, all.len() / 2, all.len() - 2] {
            let (name, (dtype, shape)) =
                all.iter().nth(at).map(|(name, what)| (name.clone(), what.clone())).unwrap();
            let mut other = all.clone();
            other.remove(&name);
            assert_eq!(verify(&other).code, 1, "{path:?}: {name} is not missed");
            let longer = shape.iter().map(|side| side + 1).collect::<Vec<_>>();
            let longer = if longer.is_empty() { vec![2] } else { longer };
            other.insert(name.clone(), (dtype.clone(), longer));
            assert_eq!(verify(&other).code, 1, "{path:?}: {name} may have any shape");
            other.insert(name.clone(), (dtype, shape));
            other.insert(format!("{name}.extra"), ("F32".to_owned(), vec![1]));
            assert_eq!(verify(&other).code, 1, "{path:?}: {name} may have company");
        }
        count += 1;
    }
    assert!(count >= 90, "{count} families");
}
