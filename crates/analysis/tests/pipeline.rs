//! What data takes: tokens of bytes, cores, scores and money; and whether sources last.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod support;

use llmplan_analysis::report::{Report, Section};
use llmplan_spec::diagnostic::{Diagnostic, Severity};
use llmplan_tests::formulas::formulas_hold;
use support::{count, diagnostics, model, number, report};

const WEB: &str = "source web {\n raw_bytes = 12 TB\n bytes_per_token = 4 bytes\n weight = 90%\n extract = keep 50%\n \
                   filter = keep 40%\n dedup_scope = global\n processing_rate = 2 MB/s\n classifier_params = 300M\n price = $1_000\n}\n";
const CODE: &str = "source code {\n raw = 200B\n weight = 10%\n price = $5_000\n}\n";
const RUN: &str =
    "hardware {\n device = h100-sxm\n devices = 256\n price = $2 / h\n}\ntraining {\n mfu = 40%\n}\n";

#[test]
fn bytes_become_tokens_and_stages_keep_a_share_of_them() {
    let report = report(&plan("", &[WEB, CODE], ""));
    assert_eq!(count(&report, "data.web.raw"), 3_000_000_000_000);
    close(number(&report, "data.web.kept"), 0.2);
    close(number(&report, "data.web.unique"), 6e11);
    close(number(&report, "data.web.epochs"), 9e11 / 6e11);
    close(number(&report, "data.web.core_hours") / 3600.0, 12e12 / 2e6 / 3600.0);
    close(number(&report, "data.web.flops"), 2.0 * 3e8 * 3e12);
    assert!(formulas_hold(&report) > 30);
}

#[test]
fn what_sources_cost_is_what_all_of_it_costs() {
    for price in ["", "core_price = $0.04 / h\n"] {
        for run in ["", RUN] {
            let report = report(&plan(price, &[WEB, CODE], run));
            let sum = number(&report, "data.web.cost") + number(&report, "data.code.cost");
            close(number(&report, "data.cost"), sum);
            let cores = number(&report, "data.pipeline.core_hours");
            close(cores, number(&report, "data.web.core_hours"));
            let pipeline = report.get("data.pipeline.cost").map_or(0.0, |cost| cost.value.number().unwrap());
            close(number(&report, "data.cost"), 6_000.0 + pipeline);
            let cores = if price.is_empty() { 0.0 } else { 0.04 * cores / 3600.0 };
            if run.is_empty() {
                close(pipeline, cores);
                continue;
            }
            // Scores are paid for at the run's own price of a FLOP.
            let scores = number(&report, "data.pipeline.flops") / number(&report, "training.flops");
            close(number(&report, "data.pipeline.flops_share"), scores);
            close(pipeline, cores + scores * number(&report, "training.cost"));
            close(
                number(&report, "data.cost_share"),
                number(&report, "data.cost") / number(&report, "training.cost"),
            );
        }
    }
}

#[test]
fn a_source_that_says_nothing_of_its_pipeline_has_none() {
    let report = report(&plan("", &["source all {\n raw = 2T\n weight = 100%\n}\n"], RUN));
    let beside = ["data.cost", "data.pipeline.cost", "data.all.kept", "data.all.cost"];
    assert!(beside.iter().all(|path| report.get(path).is_none()));
    assert!(table(&report).is_none());
}

#[test]
fn the_table_of_the_pipeline_has_columns_for_what_is_declared() {
    let columns = |sources: &[&str]| {
        let report = report(&plan("core_price = $0.04 / h\n", sources, RUN));
        let table = table(&report).unwrap().clone();
        assert!(table.rows.iter().all(|row| row.cells.len() == table.columns.len()), "{table:#?}");
        let total = table.rows.last().unwrap().cells.last().unwrap().clone();
        assert_eq!(total, report.get("data.cost").unwrap().display);
        table.columns
    };
    assert_eq!(columns(&[WEB, CODE]), ["Source", "bytes", "core-hours", "scoring", "cost"]);
    assert_eq!(columns(&[&CODE.replace("10%", "100%")]), ["Source", "cost"]);
    // Bytes alone have no sum and no cost, and every row has a quantity all the same.
    let bytes = "source all {\n raw_bytes = 8 TB\n bytes_per_token = 4 bytes\n weight = 100%\n}\n";
    let report = report(&plan("", &[bytes], RUN));
    let table = table(&report).unwrap();
    assert_eq!((table.columns.len(), table.rows.len()), (2, 1));
    assert!(report.get(table.rows[0].path.as_deref().unwrap()).is_some());
}

/// FineWeb-Edu: 1.3T tokens, of which about 200B are distinct over all dumps: one epoch of it is 6.5 of them.
#[test]
fn duplicates_between_dumps_are_warned_of() {
    let source = |scope: &str, stage: &str| {
        format!("source edu {{\n raw = 1300B\n weight = 100%\n dedup_scope = {scope}\n{stage}}}\n")
    };
    let of = |scope: &str, stage: &str| {
        let text =
            format!("{}data {{\n tokens = 1300B\n {}}}\n", model(2, 64, 4, 1000), source(scope, stage));
        diagnostics(&text)
    };
    let found = of("dump", "");
    assert_eq!(codes(&found), ["duplicates-remain"]);
    assert_eq!(found[0].severity, Severity::Warning);
    assert!(of("global", "global = keep 15.4%\n").is_empty() && of("none", "").is_empty());
    let text = format!(
        "{}data {{\n tokens = 1300B\n {}}}\n",
        model(2, 64, 4, 1000),
        source("global", "global = keep 15.4%\n")
    );
    let epochs = number(&report(&text), "data.edu.epochs");
    assert!((epochs - 6.5).abs() < 0.01, "{epochs}");
}

/// 10% of 1T are 100B; 20B of them are there, four times 80B.
#[test]
fn a_source_that_runs_out_is_an_error_with_the_arithmetic() {
    let source = |most: &str| {
        format!(
            "source a {{\n raw = 2T\n weight = 90%\n}}\nsource b {{\n raw = 40B\n weight = 10%\n filter = keep 50%\n{most}}}\n"
        )
    };
    let of = |most: &str| diagnostics(&plan("", &[&source(most)], ""));
    let found = of("max_epochs = 4\n");
    assert_eq!(codes(&found), ["source-runs-out"]);
    assert_eq!(found[0].severity, Severity::Error);
    let said = format!("{:?}", found[0]);
    for part in ["20B tokens × 4 = 80B tokens", "10% × 1T tokens = 100B tokens", "a weight of 8%", "5 epochs"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(of("max_epochs = 5\n").is_empty() && of("").is_empty());
}

#[test]
fn what_does_not_go_together_is_refused() {
    let of = |source: &str| codes(&diagnostics(&plan("", &[source], "")));
    let both = "source a {\n raw = 2T\n raw_bytes = 8 TB\n bytes_per_token = 4 bytes\n weight = 100%\n}\n";
    assert_eq!(of(both), ["duplicate-attribute"]);
    assert_eq!(of("source a {\n raw_bytes = 8 TB\n weight = 100%\n}\n"), ["missing-attribute"]);
    assert_eq!(of("source a {\n weight = 100%\n}\n"), ["missing-attribute"]);
    let rate = "source a {\n raw = 2T\n weight = 100%\n processing_rate = 2 MB/s\n}\n";
    assert_eq!(of(rate), ["missing-attribute"]);
    let named = "source pipeline {\n raw = 2T\n weight = 100%\n price = $5\n}\n";
    assert_eq!(of(named), ["reserved-name"]);
    assert!(of("source pipeline {\n raw = 2T\n weight = 100%\n}\n").is_empty());
    let few = "source a {\n raw_bytes = 3 bytes\n bytes_per_token = 4 bytes\n weight = 100%\n}\n";
    assert_eq!(of(few), ["out-of-range"]);
}

fn plan(price: &str, sources: &[&str], rest: &str) -> String {
    format!("{}data {{\n tokens = 1T\n {price}{}}}\n{rest}", model(12, 1024, 16, 50_000), sources.concat())
}

fn table(report: &Report) -> Option<&Section> {
    report.sections.iter().find(|section| section.title == "Data pipeline")
}

fn codes(found: &[Diagnostic]) -> Vec<&'static str> {
    found.iter().map(|diagnostic| diagnostic.code.as_str()).collect()
}

fn close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() <= 1e-9 * expected.abs(), "{actual} for {expected}");
}
