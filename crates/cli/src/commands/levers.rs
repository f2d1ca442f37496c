//! `llmplan levers`: what each single change does to a plan.

use std::io::Read;

use llmplan_analysis::levers::levers;

use crate::args::{LeversArgs, SearchFormat};
use crate::commands::explain::choose;
use crate::examine::examine;
use crate::exit::Exit;
use crate::inputs::Input;
use crate::levers::{Bench, examined, json, text};
use crate::output::Output;
use crate::render::diagnostic;

/// Tries every lever of a plan and prints what each does.
pub(crate) fn run(args: &LeversArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> Exit {
    tried(args, stdin, output).unwrap_or_else(|(exit, trouble)| {
        output.trouble(&trouble);
        exit
    })
}

/// What went wrong, and how bad that is.
type Trouble = (Exit, String);

fn tried(args: &LeversArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> Result<Exit, Trouble> {
    let input = Input::single(&args.file);
    let found = examine(&input, &args.set, stdin).map_err(|trouble| (Exit::Trouble, trouble))?;
    output.talk(&diagnostic::all(&found.diagnostics, &found.sources, &found.file, output.stderr_paint()));
    let outcome = choose(&found.plans, args.plan.as_deref(), &found.file, output)?;
    let Some(before) = examined(outcome) else { return Ok(Exit::PlanAtFault) };
    let plan = &outcome.plan;
    let bench = Bench::new(&input, &found, plan, &args.set);
    let tried = levers(plan, &before, &|changes| bench.attempt(changes));
    match args.format {
        SearchFormat::Text => {
            output.print(&text(&tried, &before, plan, &found.file, args.all, output.paint()));
        }
        SearchFormat::Json => output
            .print(&json(&tried, plan, &found.file).map_err(|error| {
                (Exit::Trouble, format!("the levers cannot be written as JSON: {error}"))
            })?),
    }
    Ok(Exit::Fine)
}
