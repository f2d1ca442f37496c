//! What the tests of the whole tool share: the repository's files, and a plan given as text.

pub mod formulas;

use std::path::{Path, PathBuf};
use std::{fs, io};

use llmplan_analysis::report::Report;
use llmplan_spec::diagnostic::{Diagnostic, Severity};
use llmplan_spec::loader::{LoadError, Loader};
use llmplan_spec::resolve::{Request, Resolution, resolve};
use llmplan_spec::source::{Source, SourceKind, Sources};

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file below a folder of the repository with an extension, sorted; `target` and hidden folders are left out.
///
/// # Errors
/// Whatever keeps a folder from being read.
pub fn files(folder: &str, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found)?;
    found.retain(|path| extension.is_empty() || path.extension().is_some_and(|found| found == extension));
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == "target" || (name.starts_with('.') && name != ".github" && name != ".ci") {
            continue;
        }
        if path.is_dir() {
            collect(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// A path as messages and test names show it: relative to the repository, `/` separated.
pub fn shown(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap_or(path);
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// A loader that has no files: texts that stand alone.
pub struct NoFiles;

impl Loader for NoFiles {
    fn load(&self, _: &str) -> Result<String, LoadError> {
        Err(LoadError::NotFound)
    }

    fn root(&self) -> String {
        ".".to_owned()
    }
}

/// Resolves a text that imports nothing.
pub fn resolved(text: &str) -> (Sources, Resolution) {
    let mut sources = Sources::default();
    let file =
        sources.add(Source { name: "plan.llm".to_owned(), text: text.to_owned(), kind: SourceKind::File });
    let request = Request {
        sources: &mut sources,
        file,
        path: "plan.llm",
        loader: &NoFiles,
        params: &llmplan_analysis::count,
        set: &[],
    };
    let resolution = resolve(request);
    (sources, resolution)
}

/// The reports of a text that imports nothing, or what is wrong with it.
///
/// # Errors
/// The diagnostics, where one of them is an error.
pub fn reports(text: &str) -> Result<Vec<Report>, Vec<Diagnostic>> {
    let (sources, resolution) = resolved(text);
    if resolution.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(resolution.diagnostics);
    }
    let mut reports = Vec::new();
    for plan in &resolution.plans {
        let analysis = llmplan_analysis::analyze(plan, &sources);
        match analysis.report {
            Some(report) if analysis.diagnostics.is_empty() => reports.push(report),
            _ => return Err(analysis.diagnostics),
        }
    }
    Ok(reports)
}
