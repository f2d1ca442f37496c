//! What MFU means: of the model's FLOPs, or of all that are executed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod support;

use support::number;

/// Under `convention.flops = executed`, a declared utilisation is of all FLOPs that run: with full recomputation a third
/// more than the model's, but for the output, which does not run again.
#[test]
fn a_utilisation_is_of_the_model_or_of_what_is_executed() {
    let text = |flops: &str, checkpointing: &str, mfu: &str| {
        format!(
            "{}hardware {{\n device = a100-80gb\n devices = 4\n}}\ndata {{\n tokens = 1M tokens\n}}\ntraining {{\n precision = \
             bf16\n sequence = 128\n global_batch = 8 sequences\n micro_batch = 1\n checkpointing = {checkpointing}\n {mfu}\n}}\n\
             convention {{\n {flops}\n}}\n",
            support::model(2, 64, 4, 1000)
        )
    };
    let of = |flops: &str, checkpointing: &str, mfu: &str| {
        let found = support::report(&text(flops, checkpointing, mfu));
        llmplan_tests::formulas::formulas_hold(&found);
        found
    };
    let (executed, declared) = ("flops = executed", "mfu = 40%");
    let (model, all) = (of("", "full", declared), of(executed, "full", declared));
    let share = number(&all, "training.hardware_flops") / number(&all, "training.flops");
    let repeated = number(&all, "flops.recomputed") / number(&all, "flops.training");
    assert!((share - 1.0 - repeated).abs() < 1e-9 && share > 1.1 && share < 4.0 / 3.0, "{share}");
    let close = |path: &str, factor: f64| {
        let (own, other) = (number(&all, path), number(&model, path));
        assert!((own / other / factor - 1.0).abs() < 1e-9, "{path}: {own} {other}");
    };
    for path in ["training.time", "training.step_time", "training.modelled_mfu"] {
        close(path, share);
    }
    close("training.tokens_per_second", 1.0 / share);
    // What is declared is the HFU then, and the MFU else.
    close("training.mfu", 1.0);
    close("training.hfu", 1.0 / share);
    assert_eq!(number(&all, "training.hfu"), 0.4);
    // What is modelled takes as long, however it is counted.
    let (model, all) = (of("", "full", ""), of(executed, "full", ""));
    let (own, other) = (number(&model, "training.time"), number(&all, "training.time"));
    assert!((own / other - 1.0).abs() < 1e-9, "{own} {other}");
    let said = |report: &llmplan_analysis::report::Report| report.conventions.join("\n");
    assert!(said(&model).contains("(convention.flops = model)"), "{}", said(&model));
    assert!(said(&all).contains("(convention.flops = executed)"), "{}", said(&all));
    // Where nothing runs again, there is no difference.
    let (model, all) = (of("", "none", declared), of(executed, "none", declared));
    let (own, other) = (number(&model, "training.time"), number(&all, "training.time"));
    assert!((own / other - 1.0).abs() < 1e-12);
}
