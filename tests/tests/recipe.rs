//! The recipe of training, through the language: what is recomputed, what is offloaded, what the loss is scaled by.

use llmplan_spec::plan::{Checkpointing, Offload, Training};
use llmplan_tests::resolved;

/// A plan of twelve layers with some text in its `training`.
fn training(recipe: &str) -> Vec<Training> {
    let text = format!(
        "model small {{\n  layers = 12\n  d_model = 64\n  vocab = 1000\n\n  attention {{\n    heads = 4\n  }}\n}}\n\n\
         training {{\n  {recipe}\n}}\n"
    );
    let (_, resolution) = resolved(&text);
    assert!(resolution.diagnostics.is_empty(), "{text}\n{:#?}", resolution.diagnostics);
    resolution.plans.into_iter().map(|plan| plan.training.unwrap()).collect()
}

fn one(recipe: &str) -> Training {
    let [training] = training(recipe).try_into().unwrap();
    training
}

fn recomputed(recipe: &str) -> Vec<u64> {
    let training = one(recipe);
    (0..14).filter(|&layer| training.recomputes(layer, 12)).collect()
}

#[test]
fn layers_are_recomputed_as_they_are_picked() {
    let all: Vec<u64> = (0..12).collect();
    assert_eq!(recomputed("precision = bf16"), [] as [u64; 0]);
    assert_eq!(recomputed("checkpointing = none"), [] as [u64; 0]);
    assert_eq!(recomputed("checkpointing = full"), all);
    assert_eq!(recomputed("checkpointing = selective"), all);
    for (choice, layers) in [
        ("every 6", &[5, 11][..]),
        ("every 5 from 2", &[2, 7]),
        ("first 4", &[0, 1, 2, 3]),
        ("last 2", &[10, 11]),
        ("3..5", &[3, 4, 5]),
        ("[7, 0]", &[0, 7]),
        ("last model.layers / 4", &[9, 10, 11]),
    ] {
        for checkpointing in ["selective", "full"] {
            let recipe = format!("checkpointing = {checkpointing}\n  checkpointing_layers = {choice}");
            assert_eq!(recomputed(&recipe), layers, "{recipe}");
        }
        // Picked, and yet nothing is recomputed.
        assert_eq!(recomputed(&format!("checkpointing_layers = {choice}")), [] as [u64; 0]);
    }
}

#[test]
fn words_are_swept_and_layers_are_not() {
    let variants = training(
        "checkpointing = [none, selective, full, modules]\n  checkpointing_layers = [0, 3]\n  offload = [none, optimizer, parameters]",
    );
    let found: Vec<(Checkpointing, Offload)> =
        variants.iter().map(|training| (training.checkpointing, training.offload)).collect();
    let expected: Vec<(Checkpointing, Offload)> = Checkpointing::ALL
        .iter()
        .flat_map(|checkpointing| Offload::ALL.iter().map(|offload| (*checkpointing, *offload)))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_loss_is_scaled_in_fp16_alone_unless_declared() {
    assert_eq!(one("precision = fp16").loss_scale, 65_536);
    assert_eq!(one("precision = bf16").loss_scale, 1);
    assert_eq!(one("precision = fp32").loss_scale, 1);
    assert_eq!(one("optimizer = sgd").loss_scale, 1);
    assert_eq!(one("precision = bf16\n  loss_scale = 128").loss_scale, 128);
    assert_eq!(one("precision = fp16\n  loss_scale = 2^10").loss_scale, 1024);
}
