//! Syntax to typed plans: imports and the catalog, `extends`, `let`, references, overrides, defaults.

mod attributes;
mod blocks;
mod build;
mod check;
mod conditions;
mod devices;
mod extras;
mod files;
mod layers;
mod misplaced;
mod model;
mod plans;
mod shapes;
mod values;
mod variants;

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::limits;
use crate::loader::Loader;
use crate::plan::{Law, Model, Plan};
use crate::source::{FileId, Sources};

pub use extras::is_law_name;

/// What to resolve, and with whose help.
pub struct Request<'a> {
    /// The texts read so far; imports and catalog files are added.
    pub sources: &'a mut Sources,
    /// The file to resolve, already among the sources.
    pub file: FileId,
    /// Its path relative to the project's root; empty for standard input.
    pub path: &'a str,
    /// Reads imports.
    pub loader: &'a dyn Loader,
    /// Counts a model's parameters, total and active: attributes may refer to them. `None` on overflow.
    pub params: &'a dyn Fn(&Model) -> Option<(u128, u128)>,
    /// Overrides, one source each: `training.micro_batch = 2`.
    pub set: &'a [FileId],
}

/// What a file says.
#[derive(Debug, Default)]
pub struct Resolution {
    /// Its plans, in source order; a plan with lists once for each combination. None where an error keeps them from
    /// being whole, and none for a file that only declares blocks for others.
    pub plans: Vec<Plan>,
    /// What is wrong, in source order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// How many blocks of each kind the file declares, in the order of the reference.
    pub blocks: Vec<(&'static str, usize)>,
}

/// Resolves a file to its plans.
pub fn resolve(request: Request<'_>) -> Resolution {
    resolved(request, None)
}

/// Resolves a file again, with other overrides. `laws` are those of a plan that it had before: nothing but an override
/// of `law` itself changes them, and building them takes as long as all the rest of a small plan.
pub fn resolve_again(request: Request<'_>, laws: &[Law]) -> Resolution {
    resolved(request, Some(laws))
}

fn resolved(request: Request<'_>, laws: Option<&[Law]>) -> Resolution {
    let Request { sources, file, path, loader, params, set } = request;
    let mut diagnostics = Vec::new();
    let overrides = files::read_overrides(sources, set, &mut diagnostics);
    let mut files = files::read(sources, (file, path), &overrides, loader, &mut diagnostics);
    check::files(&files, &overrides, &mut diagnostics);
    plans::references(&mut files, sources, &overrides, &mut diagnostics);
    let parsed = !diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let mut plans = Vec::new();
    if parsed {
        plans = plans::assemble(&mut files, &overrides, sources, params, laws, &mut diagnostics);
    }
    if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        plans.clear();
    }
    let blocks = blocks::census(&files);
    Resolution { plans, diagnostics: tidied(diagnostics), blocks }
}

/// Diagnostics in source order, each once: variants of a plan repeat what is wrong with their common parts.
fn tidied(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|diagnostic| {
        diagnostic.primary.as_ref().map(|label| (label.span.file, label.span.start, label.span.end))
    });
    let mut kept: Vec<Diagnostic> = Vec::new();
    for diagnostic in diagnostics {
        let same = |other: &Diagnostic| {
            other.code == diagnostic.code
                && other.title == diagnostic.title
                && other.primary.as_ref().map(|label| label.span)
                    == diagnostic.primary.as_ref().map(|label| label.span)
        };
        // What is the same stands side by side once sorted; the few that share a place are compared.
        if !kept.iter().rev().take(8).any(same) {
            kept.push(diagnostic);
        }
    }
    let total = kept.len();
    if total > limits::MAX_DIAGNOSTICS {
        kept.truncate(limits::MAX_DIAGNOSTICS);
        if let Some(last) = kept.last_mut() {
            last.notes.push(format!("{} more mistakes are not shown", total - limits::MAX_DIAGNOSTICS));
        }
    }
    kept
}

/// An error of code `Cycle` that names its members.
fn cycle(span: crate::source::Span, members: &[String]) -> Diagnostic {
    let chain: Vec<String> = members.iter().map(|member| format!("`{member}`")).collect();
    Diagnostic::error(
        Code::Cycle,
        span,
        format!("{} depends on itself", chain.first().map_or("this", String::as_str)),
    )
    .note(format!("the cycle is {}", chain.join(" → ")))
}
