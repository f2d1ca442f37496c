//! `llmplan check`: plans to reports.

use std::io::Read;

use crate::args::{CheckArgs, Format};
use crate::examine::{Examined, examine};
use crate::exit::Exit;
use crate::inputs::{Input, expand};
use crate::levers;
use crate::output::Output;
use crate::render::verdict::plural;
use crate::render::{csv, diagnostic, json, markdown, text};

/// Checks every input; trouble with one does not stop the others.
pub(crate) fn run(args: &CheckArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> Exit {
    let inputs = expand(&args.files);
    let several = inputs.len() > 1;
    let mut exit = Exit::Fine;
    let mut summary = Summary::default();
    let mut document = json::Writer::default();
    let mut rows = Vec::new();
    for input in inputs {
        if let (true, Ok(input)) = (args.fix, &input) {
            match levers::fix(input, stdin) {
                Ok(told) => output.talk(&told),
                Err(trouble) => {
                    output.trouble(&trouble);
                    exit = exit.max(Exit::Trouble);
                }
            }
        }
        let examined = match input.and_then(|input| one(&input, args, stdin)) {
            Ok(examined) => examined,
            Err(trouble) => {
                output.trouble(&trouble);
                summary.unreadable += 1;
                exit = exit.max(Exit::Trouble);
                continue;
            }
        };
        exit = exit.max(examined.exit());
        summary.add(&examined);
        match args.format {
            Format::Text => output.print(&text::render(&examined, args.brief, output.paint())),
            Format::Markdown => output.print(&markdown::render(&examined, args.brief)),
            Format::Json => document.add(&examined),
            Format::Csv => {
                // The rows have no place for them.
                let Examined { diagnostics, sources, file, .. } = &examined;
                let faults = diagnostic::all(diagnostics, sources, file, output.stderr_paint());
                output.talk(&faults);
                rows.push(examined);
            }
        }
    }
    match args.format {
        Format::Text if several => output.print(&format!("{}\n", summary.text())),
        Format::Text | Format::Markdown => {}
        Format::Csv => output.print(&csv::render(&rows)),
        Format::Json => match document.finish() {
            Ok(text) => output.print(&text),
            Err(error) => {
                output.trouble(&format!("the report cannot be written as JSON: {error}"));
                exit = Exit::Trouble;
            }
        },
    }
    exit
}

/// One input, with what would meet the requirements that it breaks where the format has a place for it.
///
/// # Errors
/// What keeps the file from being read at all, as one line that names it.
fn one(input: &Input, args: &CheckArgs, stdin: &mut dyn Read) -> Result<Examined, String> {
    let mut examined = examine(input, &args.set, stdin)?;
    if args.format != Format::Csv {
        levers::find(input, &mut examined, &args.set);
    }
    Ok(examined)
}

/// What became of several files.
#[derive(Debug, Default)]
struct Summary {
    files: usize,
    plans: usize,
    at_fault: usize,
    unreadable: usize,
}

impl Summary {
    fn add(&mut self, examined: &Examined) {
        self.files += 1;
        self.plans += text::groups(&examined.plans).len();
        self.at_fault += usize::from(examined.exit() != Exit::Fine);
    }

    /// `4 files with 5 plans: 1 file at fault`
    fn text(&self) -> String {
        let mut verdict = Vec::new();
        if self.at_fault > 0 {
            verdict.push(format!("{} at fault", plural(self.at_fault, "file")));
        }
        if self.unreadable > 0 {
            verdict.push(format!("{} not read", plural(self.unreadable, "file")));
        }
        let verdict = if verdict.is_empty() { "OK".to_owned() } else { verdict.join(", ") };
        format!("{} with {}: {verdict}", plural(self.files, "file"), plural(self.plans, "plan"))
    }
}
