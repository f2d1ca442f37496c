//! One input, taken from bytes to reports: what `check` and `explain` share.

use std::io::Read;

use llmplan_analysis::levers::Remedy;
use llmplan_analysis::report::Report;
use llmplan_spec::diagnostic::{Code, Diagnostic, Severity};
use llmplan_spec::limits::{self, MAX_FILE_BYTES};
use llmplan_spec::loader::LoadError;
use llmplan_spec::plan::Plan;
use llmplan_spec::resolve::{Request, resolve};
use llmplan_spec::source::{FileId, Source, SourceKind, Sources, Span};

use crate::exit::Exit;
use crate::inputs::Input;
use crate::load::{self, Project};

/// What there is to say about one input.
pub(crate) struct Examined {
    /// Its name, as the user wrote it.
    pub(crate) file: String,
    /// Every text that was read.
    pub(crate) sources: Sources,
    /// Its plans in source order, each variant apart.
    pub(crate) plans: Vec<Outcome>,
    /// What is wrong, in source order; each thing once, however many variants have it.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// How many blocks of each kind it declares.
    pub(crate) blocks: Vec<(&'static str, usize)>,
}

/// A plan, and its report where it is sound.
pub(crate) struct Outcome {
    pub(crate) plan: Plan,
    pub(crate) report: Option<Report>,
    /// What is wrong with this plan's numbers; also among the input's diagnostics.
    pub(crate) faults: Vec<Diagnostic>,
    /// What would meet the requirements that do not hold, where that was looked for.
    pub(crate) remedies: Vec<Remedy>,
}

impl Examined {
    /// The exit code that the input alone would give.
    pub(crate) fn exit(&self) -> Exit {
        let sound = self.diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error)
            && self.plans.iter().all(|outcome| outcome.report.as_ref().is_some_and(Report::holds));
        if sound { Exit::Fine } else { Exit::PlanAtFault }
    }
}

/// Reads an input, resolves its plans and analyses each; `set` are statements that override attributes.
///
/// # Errors
/// What keeps the file from being read at all, as one line that names it.
pub(crate) fn examine(input: &Input, set: &[String], stdin: &mut dyn Read) -> Result<Examined, String> {
    let file = input.name();
    let mut sources = Sources::default();
    let text = match load::read(input, stdin) {
        Ok(text) => text,
        Err(error) => {
            let id = sources.add(Source { name: file.clone(), text: String::new(), kind: SourceKind::File });
            let diagnostics = vec![unreadable(input, &error, id)?];
            return Ok(Examined { file, sources, plans: Vec::new(), diagnostics, blocks: Vec::new() });
        }
    };
    let id = sources.add(Source { name: file.clone(), text, kind: SourceKind::File });
    let set: Vec<FileId> = set
        .iter()
        .map(|text| {
            sources.add(Source {
                name: "--set".to_owned(),
                text: text.clone(),
                kind: SourceKind::CommandLine,
            })
        })
        .collect();
    let project = Project::of(input);
    let resolution = resolve(Request {
        sources: &mut sources,
        file: id,
        path: project.file(),
        loader: &project,
        params: &llmplan_analysis::count,
        set: &set,
    });
    let mut diagnostics = resolution.diagnostics;
    let mut plans = Vec::with_capacity(resolution.plans.len());
    for plan in resolution.plans {
        let analysis = llmplan_analysis::analyze(&plan, &sources);
        for fault in &analysis.diagnostics {
            if !diagnostics.contains(fault) {
                diagnostics.push(fault.clone());
            }
        }
        plans.push(Outcome {
            plan,
            report: analysis.report,
            faults: analysis.diagnostics,
            remedies: Vec::new(),
        });
    }
    Ok(Examined { file, sources, plans, diagnostics, blocks: resolution.blocks })
}

/// Why an input is no plan: a diagnostic where its contents are at fault.
///
/// # Errors
/// One line that names the file, where it could not be read at all.
pub(crate) fn unreadable(input: &Input, error: &LoadError, id: FileId) -> Result<Diagnostic, String> {
    let name = input.name();
    let span = Span { file: id, start: 0, end: 0 };
    let mut diagnostic = match error {
        LoadError::TooLarge(_) if *input == Input::Stdin => Diagnostic::error(
            Code::FileTooLarge,
            span,
            format!("standard input has more than {MAX_FILE_BYTES} bytes"),
        ),
        LoadError::TooLarge(bytes) => limits::too_large(span, *bytes),
        LoadError::NotUtf8(offset) => Diagnostic::error(
            Code::NotText,
            span,
            format!("the file is not UTF-8: byte {offset} is no part of a character"),
        )
        .note("bytes are counted from 0")
        .help("save it as UTF-8; a plan is a text file"),
        LoadError::NotFound => return Err(format!("there is no file `{name}`")),
        LoadError::NotAFile => {
            let help = match input {
                Input::File(path) if std::path::Path::new(path).is_dir() => {
                    format!("; name the plans in it: `{}/*.llm`", name.trim_end_matches('/'))
                }
                _ => "; `-` reads standard input".to_owned(),
            };
            return Err(format!("`{name}` is not a file{help}"));
        }
        LoadError::OutsideRoot => return Err(format!("`{name}` is outside of the project")),
        LoadError::Other(words) => return Err(format!("`{name}` cannot be read: {words}")),
    };
    // There is no text to show.
    diagnostic.primary = None;
    Ok(diagnostic)
}
