//! A plan with attributes set otherwise: resolved and analysed from the texts that were read once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use llmplan_analysis::levers::Trial;
use llmplan_analysis::report::Report;
use llmplan_spec::diagnostic::{Code, Diagnostic, Severity};
use llmplan_spec::loader::{LoadError, Loader};
use llmplan_spec::plan::{Law, Plan};
use llmplan_spec::resolve::{Request, resolve, resolve_again};
use llmplan_spec::source::{FileId, Source, SourceKind, Sources};

use crate::examine::{Examined, Outcome};
use crate::inputs::Input;
use crate::load::Project;

/// One plan of a file, to be tried with attributes set otherwise.
pub(crate) struct Bench {
    file: String,
    text: String,
    project: Kept,
    plan: String,
    /// The laws that it knows: changes leave them as they are.
    laws: Vec<Law>,
    /// What was set on the command line, and what the plan takes from its lists.
    set: Vec<String>,
}

impl Bench {
    /// The bench of a plan of an input; `set` are the statements that overrode attributes when it was examined.
    pub(crate) fn new(input: &Input, examined: &Examined, plan: &Plan, set: &[String]) -> Bench {
        let pinned = plan.variant.iter().map(|(path, value)| format!("{path} = {value}"));
        Bench {
            file: examined.file.clone(),
            text: examined.sources.get(FileId(0)).text.clone(),
            project: Kept { project: Project::of(input), read: Mutex::default() },
            plan: plan.name.clone(),
            laws: needed(plan, examined),
            set: set.iter().cloned().chain(pinned).collect(),
        }
    }

    /// The plan with attributes set.
    ///
    /// # Errors
    /// Why it has no report, in a line.
    pub(crate) fn attempt(&self, changes: &[(String, String)]) -> Result<Trial, String> {
        let mut sources = Sources::default();
        let file =
            sources.add(Source { name: self.file.clone(), text: self.text.clone(), kind: SourceKind::File });
        let lawful = changes.iter().any(|(path, _)| path == "law" || path.starts_with("law."));
        let changes = changes.iter().map(|(path, value)| format!("{path} = {value}"));
        let set: Vec<FileId> = self
            .set
            .iter()
            .cloned()
            .chain(changes)
            .map(|text| sources.add(Source { name: "--set".to_owned(), text, kind: SourceKind::CommandLine }))
            .collect();
        let request = Request {
            sources: &mut sources,
            file,
            path: self.project.project.file(),
            loader: &self.project,
            params: &llmplan_analysis::count,
            set: &set,
        };
        let resolution = if lawful { resolve(request) } else { resolve_again(request, &self.laws) };
        failure(&resolution.diagnostics)?;
        let plan = resolution.plans.iter().find(|plan| plan.name == self.plan);
        let plan = plan.ok_or_else(|| format!("there is no plan `{}` with it", self.plan))?;
        let analysis = llmplan_analysis::numbers(plan, &sources);
        failure(&analysis.diagnostics)?;
        trial(analysis.report, &analysis.diagnostics).ok_or_else(|| "it has no report".to_owned())
    }
}

/// The laws of a plan that a trial is asked about: its own, and those that some text read for it names. To say what all
/// others think of a plan takes a quarter of a trial.
fn needed(plan: &Plan, examined: &Examined) -> Vec<Law> {
    let texts = examined.sources.iter().filter(|own| own.kind != SourceKind::Catalog);
    let texts: Vec<&str> = texts.map(|own| own.text.as_str()).collect();
    let named = |name: &str| texts.iter().any(|text| text.contains(name));
    let laws = plan.laws.iter();
    // Bands are of all laws, and what a budget says may be.
    let all = named("band") || named("budget");
    laws.filter(|law| all || law.name == plan.law.name || named(&law.name)).cloned().collect()
}

/// What was examined, as a trial; `None` where it has no report.
pub(crate) fn examined(outcome: &Outcome) -> Option<Trial> {
    trial(outcome.report.clone(), &outcome.faults)
}

fn trial(report: Option<Report>, diagnostics: &[Diagnostic]) -> Option<Trial> {
    let fits = diagnostics.iter().all(|own| own.code != Code::DoesNotFit);
    report.map(|report| Trial { report, fits })
}

/// The first error, as its title and what is seen at its place.
fn failure(diagnostics: &[Diagnostic]) -> Result<(), String> {
    match diagnostics.iter().find(|own| own.severity == Severity::Error) {
        Some(error) => Err(error.title.clone()),
        None => Ok(()),
    }
}

/// A project whose files are each read once.
struct Kept {
    project: Project,
    read: Mutex<BTreeMap<String, Result<String, LoadError>>>,
}

impl Loader for Kept {
    fn load(&self, path: &str) -> Result<String, LoadError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.entry(path.to_owned()).or_insert_with(|| self.project.load(path)).clone()
    }

    fn display(&self, path: &str) -> String {
        self.project.display(path)
    }

    fn root(&self) -> String {
        self.project.root()
    }
}
