//! A row's plan resolved, analysed and compared.

use llmplan_analysis::report::Report;
use llmplan_analysis::{analyze, count};
use llmplan_spec::diagnostic::Diagnostic;
use llmplan_spec::loader::{LoadError, Loader};
use llmplan_spec::plan::{Batch, Hardware, Mixer, Plan};
use llmplan_spec::resolve::{Request, resolve};
use llmplan_spec::source::{Source, SourceKind, Sources};

use super::measure::{Counter, Facts, Measured};

/// A text of the language with its plan.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// The plan.
    pub(crate) plan: Plan,
    /// The texts that it was read from.
    pub(crate) sources: Sources,
    /// What there is to say about it.
    pub(crate) warnings: Vec<String>,
}

/// Diagnostics in a line each, errors first.
fn words(diagnostics: &[Diagnostic]) -> Vec<String> {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| diagnostic.severity);
    sorted.iter().map(|own| format!("{}: {}", own.code.as_str(), own.title)).collect()
}

/// Resolves a text that holds one plan.
///
/// # Errors
/// What is wrong with it, warnings included where there is no plan.
pub(crate) fn resolved(text: &str) -> Result<Resolved, String> {
    let mut sources = Sources::default();
    let file =
        sources.add(Source { name: "run.llm".to_owned(), text: text.to_owned(), kind: SourceKind::File });
    let resolution = resolve(Request {
        sources: &mut sources,
        file,
        path: "run.llm",
        loader: &NoFiles,
        params: &count,
        set: &[],
    });
    let found = resolution.diagnostics;
    match resolution.plans.into_iter().next() {
        Some(plan) => Ok(Resolved { plan, sources, warnings: words(&found) }),
        None => Err(words(&found).into_iter().next().unwrap_or_else(|| "the text holds no plan".to_owned())),
    }
}

/// Plans here stand alone.
struct NoFiles;

impl Loader for NoFiles {
    fn load(&self, _: &str) -> Result<String, LoadError> {
        Err(LoadError::NotFound)
    }

    fn root(&self) -> String {
        ".".to_owned()
    }
}

/// The report of a plan.
///
/// # Errors
/// The first diagnostic, where there is no report.
pub(crate) fn report(plan: &Plan, sources: &Sources) -> Result<Report, String> {
    let analysis = analyze(plan, sources);
    let found = analysis.diagnostics;
    analysis.report.ok_or_else(|| words(&found).into_iter().next().unwrap_or_else(|| "no report".to_owned()))
}

/// A number of a report, in SI base units.
pub(crate) fn number(report: &Report, path: &str) -> Option<f64> {
    report.get(path)?.value.number().filter(|number| number.is_finite())
}

/// Whether the peak of a device is below its memory; `None` where either is not known.
pub(crate) fn fits(plan: &Plan, report: &Report) -> Option<bool> {
    let memory = plan.hardware.as_ref()?.device.memory? as f64;
    Some(number(report, "memory.per_device")? <= memory)
}

/// What a report predicts of a measured figure, in its unit: seconds, device-seconds or bytes. `None` where the report
/// lacks a path.
pub(crate) fn predicted(plan: &Plan, report: &Report, measured: &Measured) -> Option<f64> {
    let get = |path: &str| number(report, path);
    match measured {
        Measured::Step(_) => get("training.step_time.modelled"),
        Measured::Run(_) => match get("training.device_hours") {
            Some(time) => Some(time),
            None => {
                let tokens = plan.data.as_ref()?.tokens as f64;
                let steps = tokens / get("training.tokens_per_step")?;
                Some(
                    get("training.step_time.modelled")?
                        * steps.ceil()
                        * plan.hardware.as_ref()?.devices as f64,
                )
            }
        },
        Measured::OutOfMemory => get("memory.per_device"),
        Measured::Memory(_, counter) => match counter {
            Counter::Device => get("memory.per_device"),
            Counter::Allocator => Some(get("memory.per_device")? - get("memory.reserve")?),
            Counter::Accounted => Some(
                get("memory.device.weights")?
                    + get("memory.device.gradients")?
                    + get("memory.device.optimizer")?
                    + get("memory.activations")?,
            ),
            Counter::States => Some(
                get("memory.device.weights")?
                    + get("memory.device.gradients")?
                    + get("memory.device.optimizer")?,
            ),
            Counter::Stored => get("memory.device.weights"),
            Counter::Weights(bits) => get(match bits {
                8 => "memory.weights_only.int8",
                32 => "memory.weights_only.fp32",
                _ => "memory.weights_only.bf16",
            }),
        },
    }
}

/// The facts of a plan that turn FLOP/s into seconds.
pub(crate) fn facts(plan: &Plan) -> Facts {
    let (params, active) = count(&plan.model).unwrap_or_default();
    let model = &plan.model;
    let attention = model
        .order
        .iter()
        .filter_map(|run| match &model.kinds.get(run.kind)?.layer.mixer {
            // Scores are over the width of keys, their sum over that of values.
            Mixer::Attention(own) => {
                Some(run.repeat as f64 * own.heads as f64 * (own.head_dim + own.v_dim) as f64 / 2.0)
            }
            _ => None,
        })
        .sum();
    let training = plan.training.as_ref();
    let tokens = training.and_then(|training| training.sequence).unwrap_or_default() as f64;
    let batch = match training.and_then(|training| training.global_batch) {
        Some(Batch::Sequences(count)) => count as f64,
        Some(Batch::Tokens(count)) => count as f64 / tokens.max(1.0),
        None => 0.0,
    };
    let peak =
        |hardware: &Hardware| hardware.device.peak.bf16.or(hardware.device.peak.fp16).unwrap_or_default();
    Facts {
        params: params as f64,
        active: active as f64,
        embedding: model.vocab as f64 * model.d_model as f64,
        attention,
        layers: model.layers as f64,
        width: model.d_model as f64,
        vocab: model.vocab as f64,
        tokens,
        batch,
        devices: plan.hardware.as_ref().map_or(0.0, |hardware| hardware.devices as f64),
        peak: plan.hardware.as_ref().map_or(0.0, peak),
    }
}
