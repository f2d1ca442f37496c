//! What a plan cites: time rests on what was measured, and says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use llmplan_analysis::report::{Grade, Report};
use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::loader::{LoadError, Loader};
use llmplan_spec::plan::Plan;
use llmplan_spec::resolve::{Request, resolve};
use llmplan_spec::source::{Source, SourceKind, Sources};
use llmplan_tests::formulas::formulas_hold;

const CITES: &str = "measured = \"runs/a100.llm\"";

#[test]
fn without_a_measurement_time_is_not_reported() {
    let report = report(&plan("", "precision = bf16"), "");
    for path in ["training.mfu", "training.time", "training.tokens_per_second", "training.cost"] {
        assert!(report.get(path).is_none(), "{path}");
    }
    assert_eq!(grade(&report, "hardware.peak"), Grade::Exact);
}

#[test]
fn with_one_time_and_cost_are_measured() {
    let report = report(&plan(CITES, "precision = bf16"), &measurement(124.8));
    for path in [
        "hardware.measured.achieved",
        "hardware.measured.matmul_peak",
        "hardware.measured.class.qkv.rate",
        "training.mfu",
        "training.tokens_per_second",
        "training.step_time",
        "training.time",
        "training.device_hours",
        "training.cost",
    ] {
        assert_eq!(grade(&report, path), Grade::Measured, "{path}");
    }
    // An A100 has 312 TFLOP/s in bf16.
    assert_eq!(number(&report, "training.mfu"), 0.4);
    assert_eq!(report.get("training.mfu").unwrap().display, "40%");
    assert_eq!(grade(&report, "training.flops"), Grade::Exact);
    let all = self::report(&plan(CITES, "precision = bf16"), &measurement(312.0));
    assert_eq!(all.get("training.mfu").unwrap().display, "100%");
    assert!(formulas_hold(&report) > 60);
}

#[test]
fn it_gives_what_the_same_mfu_declared_gives() {
    let measured = report(&plan(CITES, "precision = bf16"), &measurement(124.8));
    let declared = report(&plan("", "precision = bf16\n mfu = 40%"), "");
    for path in ["training.time", "training.step_time", "training.cost"] {
        assert_eq!(number(&measured, path), number(&declared, path), "{path}");
        assert_eq!(grade(&declared, path), Grade::Modelled, "{path}");
    }
}

#[test]
fn achieved_times_two_is_time_over_two() {
    let report = |achieved| report(&plan(CITES, "precision = bf16"), &measurement(achieved));
    for achieved in [1.0, 40.0, 124.8, 156.0] {
        let (once, twice) = (report(achieved), report(2.0 * achieved));
        for path in ["training.time", "training.step_time", "training.device_hours", "training.cost"] {
            let ratio = number(&once, path) / number(&twice, path);
            assert!((ratio - 2.0).abs() < 1e-10, "{path}: {ratio}");
        }
        assert_eq!(number(&once, "training.flops"), number(&twice, "training.flops"));
    }
}

/// A default that a number rests on is no surer for what was measured beside it.
#[test]
fn what_also_rests_on_a_default_is_assumed() {
    let report = report(&plan(CITES, ""), &measurement(124.8));
    assert_eq!(grade(&report, "training.mfu"), Grade::Measured);
    assert_eq!(grade(&report, "hardware.peak"), Grade::Assumed);
    assert_eq!(grade(&report, "training.time"), Grade::Assumed);
}

#[test]
fn a_declared_mfu_stands_before_a_measured_one_and_the_report_says_so() {
    let report = report(&plan(CITES, "precision = bf16\n mfu = 20%"), &measurement(124.8));
    assert_eq!(number(&report, "training.mfu"), 0.2);
    assert_eq!(grade(&report, "training.mfu"), Grade::Declared);
    assert_eq!(grade(&report, "training.time"), Grade::Modelled);
    let notes = report.sections.iter().flat_map(|section| &section.notes);
    let said = "`training.mfu` is declared: the 40% of runs/a100.llm are not used.";
    assert!(notes.into_iter().any(|note| note == said));
    // The measurement can be explained all the same.
    assert_eq!(grade(&report, "hardware.measured.achieved"), Grade::Measured);
}

#[test]
fn the_plan_has_the_whole_measurement() {
    let (plans, sources, found) = resolved(&plan(CITES, "precision = bf16"), &measurement(124.8));
    assert!(found.is_empty(), "{found:#?}");
    let measured = plans[0].hardware.as_ref().unwrap().measured.as_ref().unwrap();
    assert_eq!((measured.file.as_str(), measured.device.as_str()), ("runs/a100.llm", "an A100"));
    assert_eq!((measured.tokens, measured.achieved, measured.matmul_peak), (16_384, 124.8e12, 260e12));
    assert_eq!((measured.memory_overhead, measured.peak_ratio), (Some(0.001), Some(0.98)));
    assert_eq!(sources.slice(measured.cited), "\"runs/a100.llm\"");
    let classes: Vec<(&str, f64, f64)> =
        measured.classes.iter().map(|class| (class.name.as_str(), class.rate, class.share)).collect();
    assert_eq!(classes, [("qkv", 230e12, 0.12), ("ffn_up", 250e12, 0.4)]);
    assert!(plans[0].data.as_ref().unwrap().sources.is_empty(), "classes are no sources of data");
}

#[test]
fn more_than_the_peak_is_refused_with_the_arithmetic() {
    let (plans, sources, _) = resolved(&plan(CITES, "precision = bf16"), &measurement(390.0));
    let analysis = llmplan_analysis::analyze(&plans[0], &sources);
    assert!(analysis.report.is_none());
    let [diagnostic] = analysis.diagnostics.as_slice() else { panic!("{:#?}", analysis.diagnostics) };
    assert_eq!(diagnostic.code, Code::AchievedAbovePeak);
    assert_eq!(diagnostic.primary.as_ref().unwrap().text, "390 TFLOP/s / 312 TFLOP/s = 125%");
}

fn plan(hardware: &str, training: &str) -> String {
    format!(
        "model m {{\n layers = 4\n d_model = 64\n vocab = 1000\n attention {{\n heads = 4\n }}\n}}\n\
         data {{\n tokens = 3B\n}}\n\
         hardware {{\n device = a100-80gb\n nodes = 2\n price = $1.50 / h\n mtbf = 50_000 h\n restart = 10 min\n \
         storage_bandwidth = 4 GB/s\n stragglers = 0%\n {hardware}\n}}\n\
         training {{\n optimizer = adamw\n sequence = 1024\n global_batch = 64 sequences\n {training}\n}}\n"
    )
}

/// A measurement of so many TFLOP/s.
fn measurement(achieved: f64) -> String {
    format!(
        "measurement {{\n device = \"an A100\"\n precision = bf16\n taken = 2026-11-01\n model = \"GPT-2 small\"\n \
         tokens = 16_384\n matmul_peak = 260 TFLOP/s\n achieved = {achieved} TFLOP/s\n memory_overhead = 0.1%\n \
         peak_ratio = 0.98\n class qkv {{\n rate = 230 TFLOP/s\n share = 12%\n }}\n \
         class ffn_up {{\n rate = 250 TFLOP/s\n share = 40%\n }}\n}}\n"
    )
}

fn number(report: &Report, path: &str) -> f64 {
    report.get(path).and_then(|quantity| quantity.value.number()).unwrap()
}

fn grade(report: &Report, path: &str) -> Grade {
    report.get(path).unwrap_or_else(|| panic!("no {path}")).grade
}

fn report(plan: &str, measured: &str) -> Report {
    let (plans, sources, found) = resolved(plan, measured);
    assert!(found.is_empty(), "{found:#?}");
    let analysis = llmplan_analysis::analyze(&plans[0], &sources);
    assert!(analysis.diagnostics.is_empty(), "{:#?}", analysis.diagnostics);
    analysis.report.unwrap()
}

fn resolved(plan: &str, measured: &str) -> (Vec<Plan>, Sources, Vec<Diagnostic>) {
    let mut sources = Sources::default();
    let file =
        sources.add(Source { name: "plan.llm".to_owned(), text: plan.to_owned(), kind: SourceKind::File });
    let resolution = resolve(Request {
        sources: &mut sources,
        file,
        path: "plan.llm",
        loader: &One(measured),
        params: &llmplan_analysis::count,
        set: &[],
    });
    (resolution.plans, sources, resolution.diagnostics)
}

/// Has one file, the measurement.
struct One<'t>(&'t str);

impl Loader for One<'_> {
    fn load(&self, path: &str) -> Result<String, LoadError> {
        match path {
            "runs/a100.llm" => Ok(self.0.to_owned()),
            _ => Err(LoadError::NotFound),
        }
    }

    fn root(&self) -> String {
        ".".to_owned()
    }
}
