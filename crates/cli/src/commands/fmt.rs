//! `llmplan fmt`: plans to their canonical layout.

use std::io::Read;
use std::path::Path;

use llmplan_spec::diagnostic::{Diagnostic, Severity};
use llmplan_spec::format::format;
use llmplan_spec::source::{Source, SourceKind, Sources};
use similar::TextDiff;

use crate::args::FmtArgs;
use crate::atomic;
use crate::examine::unreadable;
use crate::exit::Exit;
use crate::inputs::{Input, expand};
use crate::load;
use crate::output::Output;
use crate::render::{clean, diagnostic};

/// Formats every input; trouble with one does not stop the others.
pub(crate) fn run(args: &FmtArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> Exit {
    let mut exit = Exit::Fine;
    for input in expand(&args.files) {
        let formatted = input.and_then(|input| one(&input, args, stdin, output));
        exit = exit.max(formatted.unwrap_or_else(|trouble| {
            output.trouble(&trouble);
            Exit::Trouble
        }));
    }
    exit
}

/// Formats one input.
///
/// # Errors
/// Trouble with the file, as one line that names it.
fn one(input: &Input, args: &FmtArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> Result<Exit, String> {
    let name = input.name();
    let mut sources = Sources::default();
    let read = load::read(input, stdin);
    let text = read.as_ref().map(String::as_str).unwrap_or_default().to_owned();
    let id = sources.add(Source { name: name.clone(), text, kind: SourceKind::File });
    let text = match &read {
        Ok(text) => text,
        Err(error) => {
            tell(&[unreadable(input, error, id)?], &sources, &name, output);
            return Ok(Exit::PlanAtFault);
        }
    };
    let formatted = format(text, id);
    tell(&formatted.diagnostics, &sources, &name, output);
    let broken = formatted.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let mut exit = if broken { Exit::PlanAtFault } else { Exit::Fine };

    let changed = formatted.text != *text;
    if args.check || args.diff {
        if changed {
            exit = Exit::PlanAtFault;
            if args.check {
                output.print(&format!("{}\n", clean(&name)));
            }
            if args.diff {
                output.print(&difference(&name, text, &formatted.text));
            }
        }
        return Ok(exit);
    }
    match input {
        Input::Stdin => output.print(&formatted.text),
        Input::File(path) if changed => {
            atomic::write(Path::new(path), formatted.text.as_bytes())
                .map_err(|error| format!("`{name}` cannot be written: {}", load::words(&error)))?;
            output.print(&format!("{}\n", clean(&name)));
        }
        Input::File(_) => {}
    }
    Ok(exit)
}

fn tell(diagnostics: &[Diagnostic], sources: &Sources, name: &str, output: &mut Output<'_>) {
    let text = diagnostic::all(diagnostics, sources, name, output.stderr_paint());
    output.talk(&text);
}

/// A unified diff that `patch -p0` takes.
pub(crate) fn difference(name: &str, old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(3).header(name, name).to_string()
}
