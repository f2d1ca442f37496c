//! `layer` blocks, through the language: which layers they mean, and what holds there.

use llmplan_analysis::report::{Report, Value};
use llmplan_spec::plan::{FeedForward, Mixer, Model, Reach};
use llmplan_tests::{reports, resolved};

/// A small model with some more text in its block.
fn small(more: &str) -> String {
    format!(
        "model small {{\n  layers = 12\n  d_model = 64\n  vocab = 1000\n  context = 512\n\n  attention {{\n    heads = 4\n  }}\n\n  \
         ffn {{\n    d_ff = 100\n  }}\n{more}\n}}\n"
    )
}

fn model(text: &str) -> Model {
    let (_, resolution) = resolved(text);
    assert!(resolution.diagnostics.is_empty(), "{text}\n{:#?}", resolution.diagnostics);
    resolution.plans.into_iter().next().unwrap().model
}

/// The kinds of a model's layers, one name for each layer.
fn names(model: &Model) -> Vec<String> {
    let runs = model.order.iter().flat_map(|run| {
        std::iter::repeat_n(model.kinds[run.kind].name.clone(), usize::try_from(run.repeat).unwrap())
    });
    runs.collect()
}

/// The layers that a choice picks.
fn picked(choice: &str) -> Vec<usize> {
    let text =
        small(&format!("\n  layer some {{\n    at = {choice}\n\n    ffn {{\n      d_ff = 7\n    }}\n  }}"));
    let model = model(&text);
    assert_eq!(model.kinds.iter().map(|kind| kind.count).sum::<u64>(), 12);
    let named = names(&model);
    (0..12).filter(|&layer| named[layer] == "some").collect()
}

#[test]
fn layers_are_picked_by_number_from_zero() {
    assert_eq!(picked("every 6"), [5, 11]);
    assert_eq!(picked("every 5 from 2"), [2, 7]);
    assert_eq!(picked("every 1"), (0..12).collect::<Vec<_>>());
    assert_eq!(picked("first 3"), [0, 1, 2]);
    assert_eq!(picked("last 2"), [10, 11]);
    assert_eq!(picked("3..5"), [3, 4, 5]);
    assert_eq!(picked("1..9 step 4"), [1, 5, 9]);
    assert_eq!(picked("[7, 0, 7]"), [0, 7]);
    assert_eq!(picked("4"), [4]);
    assert_eq!(picked("model.layers - 1"), [11]);
    assert_eq!(picked("last model.layers / 4"), [9, 10, 11]);
}

#[test]
fn of_two_blocks_the_later_one_wins_and_both_count() {
    let model = model(&small(
        "\n  layer wide {\n    at = first 6\n\n    ffn {\n      d_ff = 7\n      kind = swiglu\n    }\n  }\n\n  \
         layer even {\n    at = every 2 from 0\n\n    ffn {\n      d_ff = 9\n    }\n  }",
    ));
    let shape = |layer: usize| {
        let named = names(&model);
        let kind = model.kinds.iter().find(|kind| kind.name == named[layer]).unwrap();
        match kind.layer.feed_forward {
            FeedForward::Dense(ffn) => (kind.name.as_str(), ffn.d_ff, ffn.kind.gated()),
            _ => panic!("layer {layer} is no dense one"),
        }
    };
    assert_eq!(shape(0), ("wide-even", 9, true));
    assert_eq!(shape(1), ("wide", 7, true));
    assert_eq!(shape(6), ("even", 9, false));
    assert_eq!(shape(7), ("base", 100, false));
}

/// What a block leaves out is the model's where the model declares it; else it follows from what holds in the layer.
#[test]
fn defaults_follow_from_what_holds_in_the_layer() {
    let model =
        model(&small("\n  layer narrow {\n    at = last 1\n\n    attention {\n      heads = 2\n    }\n  }"));
    let heads = |name: &str| {
        let kind = model.kinds.iter().find(|kind| kind.name == name).unwrap();
        match &kind.layer.mixer {
            Mixer::Attention(own) => (own.heads, own.kv_heads, own.head_dim),
            _ => panic!("no attention"),
        }
    };
    assert_eq!(heads("base"), (4, 4, 16));
    assert_eq!(heads("narrow"), (2, 2, 32));
}

#[test]
fn a_model_that_extends_another_changes_its_layers() {
    let text = small(
        "\n  layer full {\n    at = every 6\n\n    attention {\n      window = none\n    }\n  }",
    )
    .replace("heads = 4", "heads = 4\n    window = 128 tokens")
        + "\nmodel mine extends small {\n  layers = 24\n\n  layer full {\n    at = every 4\n  }\n\n  layer wide {\n    at = last 1\n\n    \
           ffn {\n      d_ff = 999\n    }\n  }\n}\n";
    let (_, resolution) = resolved(&text);
    assert!(resolution.diagnostics.is_empty(), "{:#?}", resolution.diagnostics);
    let mine = &resolution.plans.iter().find(|plan| plan.name == "mine").unwrap().model;
    let count = |name: &str| mine.kinds.iter().find(|kind| kind.name == name).map(|kind| kind.count);
    assert_eq!((count("base"), count("full"), count("full-wide")), (Some(18), Some(5), Some(1)));
    let last = mine.last_kind().unwrap();
    assert!(matches!(&last.layer.mixer, Mixer::Attention(own) if own.reach == Reach::Full), "{last:?}");
}

/// A block whose attributes all have defaults may be empty.
#[test]
fn an_empty_block_is_there() {
    let model = model(&small("  mixer = mamba2\n\n  mamba2 {\n  }"));
    assert!(matches!(model.kinds[0].layer.mixer, Mixer::Mamba2(own) if own.d_inner == 128), "{model:?}");
}

/// An attribute of some layers can be swept like any other.
#[test]
fn a_list_of_windows_gives_a_variant_each() {
    let text = small(
        "\n  layer local {\n    at = every 2\n\n    attention {\n      window = [32 tokens, 64 tokens]\n    }\n  }",
    );
    let found = reports(&text).unwrap();
    let scores: Vec<u128> = found.iter().map(|report| count(report, "flops.forward.scores")).collect();
    // Six layers see everything, six a window of the 512 tokens.
    let expected = |window: u128| 2 * 64 * 6 * (512 * 512 + 512 * window);
    assert_eq!(scores, [expected(32), expected(64)]);
}

/// Layers that are said to differ and do not are as many as if nothing had been said.
#[test]
fn kinds_that_are_alike_change_no_number() {
    let plain = &reports(&small("")).unwrap()[0];
    let kinds =
        &reports(&small("\n  layer some {\n    at = every 3\n    mixer = attention\n  }")).unwrap()[0];
    for path in ["model.params", "flops.forward", "model.kv_bytes_per_token", "model.params.attention"] {
        assert_eq!(count(plain, path), count(kinds, path), "{path}");
    }
}

/// The parts of each kind of layer sum to the model's.
#[test]
fn kinds_of_layers_sum_to_the_model() {
    let text = small(
        "\n  moe {\n    experts = 4\n    experts_per_token = 2\n    d_ff = 30\n  }\n\n  mamba2 {\n    head_dim = 16\n    state = 8\n  }\n\n  \
         layer dense {\n    at = first 2\n    feed_forward = dense\n  }\n\n  layer state {\n    at = every 2\n    mixer = mamba2\n  }",
    );
    let report = &reports(&text).unwrap()[0];
    let kinds = ["dense", "dense-state", "base", "state"];
    let sum = |leaf: &str| -> u128 {
        let each = kinds.iter().map(|kind| {
            count(report, &format!("model.layer.{kind}.count"))
                * count(report, &format!("model.layer.{kind}.{leaf}"))
        });
        each.sum()
    };
    let outer = count(report, "model.params.embedding") + count(report, "model.params.output") + 64;
    assert_eq!(sum("params") + outer, count(report, "model.params"));
    assert_eq!(sum("flops"), count(report, "flops.forward.layers"));
}

fn count(report: &Report, path: &str) -> u128 {
    match report.get(path).map(|quantity| &quantity.value) {
        Some(Value::Count(count)) => *count,
        other => panic!("{path} is {other:?}"),
    }
}
