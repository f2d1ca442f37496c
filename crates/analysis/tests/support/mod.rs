//! Plans in the language's own words, for the laws.
#![allow(unreachable_pub)] // a module of a test: nothing is outside
#![allow(dead_code)] // each test takes what it needs

use llmplan_analysis::report::{Report, Value};
use llmplan_spec::diagnostic::Diagnostic;
use llmplan_spec::loader::{LoadError, Loader};
use llmplan_spec::plan::Plan;
use llmplan_spec::resolve::{Request, resolve};
use llmplan_spec::source::{Source, SourceKind, Sources};

/// A plain model: multi-head attention, GELU, RMSNorm, untied.
pub fn model(layers: u64, d_model: u64, heads: u64, vocab: u64) -> String {
    format!(
        "model m {{\n layers = {layers}\n d_model = {d_model}\n vocab = {vocab}\n attention {{\n heads = {heads}\n }}\n}}\n"
    )
}

/// The report of a text with one plan.
pub fn report(text: &str) -> Report {
    match analyzed(text) {
        (Some(report), diagnostics) if diagnostics.is_empty() => report,
        (_, diagnostics) => panic!("{text}\n{diagnostics:#?}"),
    }
}

/// What is wrong with a text that has a plan.
pub fn diagnostics(text: &str) -> Vec<Diagnostic> {
    analyzed(text).1
}

/// An exact quantity.
pub fn count(report: &Report, path: &str) -> u128 {
    match report.get(path).map(|quantity| &quantity.value) {
        Some(Value::Count(count)) => *count,
        other => panic!("{path} is {other:?}"),
    }
}

/// A quantity as a float.
pub fn number(report: &Report, path: &str) -> f64 {
    report.get(path).and_then(|quantity| quantity.value.number()).unwrap()
}

/// The report of a text with one plan, and what is wrong with it.
pub fn analyzed(text: &str) -> (Option<Report>, Vec<Diagnostic>) {
    let (plan, diagnostics, sources) = resolved(text);
    let Some(plan) = plan else { return (None, diagnostics) };
    let analysis = llmplan_analysis::analyze(&plan, &sources);
    (analysis.report, analysis.diagnostics)
}

/// The plan of a text with one plan.
pub fn plan(text: &str) -> Plan {
    match resolved(text) {
        (Some(plan), diagnostics, _) if diagnostics.is_empty() => plan,
        (_, diagnostics, _) => panic!("{text}\n{diagnostics:#?}"),
    }
}

fn resolved(text: &str) -> (Option<Plan>, Vec<Diagnostic>, Sources) {
    let mut sources = Sources::default();
    let file =
        sources.add(Source { name: "plan.llm".to_owned(), text: text.to_owned(), kind: SourceKind::File });
    let request = Request {
        sources: &mut sources,
        file,
        path: "plan.llm",
        loader: &Nothing,
        params: &llmplan_analysis::count,
        set: &[],
    };
    let mut resolution = resolve(request);
    let plan = (resolution.plans.len() == 1).then(|| resolution.plans.remove(0));
    (plan, resolution.diagnostics, sources)
}

/// Imports nothing.
struct Nothing;

impl Loader for Nothing {
    fn load(&self, _: &str) -> Result<String, LoadError> {
        Err(LoadError::NotFound)
    }

    fn root(&self) -> String {
        "nowhere".to_owned()
    }
}
