//! `llmplan search`: the best strategy of a plan.

use std::io::Read;
use std::path::Path;

use llmplan_analysis::search::changes;
use llmplan_spec::diagnostic::{Code, Diagnostic};

use crate::args::{SearchArgs, SearchFormat};
use crate::atomic;
use crate::commands::explain::choose;
use crate::examine::examine;
use crate::exit::Exit;
use crate::inputs::Input;
use crate::load;
use crate::output::Output;
use crate::render::diagnostic;
use crate::search;

/// Searches, prints what was found, and writes the best into the plan where asked.
pub(crate) fn run(args: &SearchArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> Exit {
    searched(args, stdin, output).unwrap_or_else(|(exit, trouble)| {
        output.trouble(&trouble);
        exit
    })
}

/// What went wrong, and how bad that is.
type Trouble = (Exit, String);

fn searched(args: &SearchArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> Result<Exit, Trouble> {
    let input = Input::single(&args.file);
    if args.apply && input == Input::Stdin {
        return Err((Exit::Trouble, "--apply writes a file, and standard input is none".to_owned()));
    }
    let examined = examine(&input, &args.set, stdin).map_err(|trouble| (Exit::Trouble, trouble))?;
    let told: Vec<Diagnostic> = examined.diagnostics.iter().filter(|own| !chosen(own)).cloned().collect();
    output.talk(&diagnostic::all(&told, &examined.sources, &examined.file, output.stderr_paint()));
    let outcome = choose(&examined.plans, args.plan.as_deref(), &examined.file, output)?;
    if outcome.report.is_none() && !outcome.faults.iter().all(chosen) {
        return Ok(Exit::PlanAtFault);
    }
    let plan = &outcome.plan;
    let searched =
        search::run(plan, &examined.sources, args).map_err(|lacking| (Exit::PlanAtFault, lacking))?;
    match args.format {
        SearchFormat::Text => output.print(&search::text(&searched, plan, &examined.file, output.paint())),
        SearchFormat::Json => output
            .print(&search::json(&searched, plan, &examined.file).map_err(|error| {
                (Exit::Trouble, format!("the result cannot be written as JSON: {error}"))
            })?),
    }
    let Some(winner) = searched.winner() else { return Ok(Exit::PlanAtFault) };
    if args.apply {
        let strategy = &winner.point.strategy;
        let changes = changes(plan, strategy);
        if changes.is_empty() {
            output.talk(&format!("{} has it already\n", crate::render::clean(&examined.file)));
            return Ok(Exit::Fine);
        }
        let text = search::edited(&input, &examined, plan, strategy)
            .map_err(|why| (Exit::PlanAtFault, format!("--apply cannot write this plan: {why}")))?;
        atomic::write(Path::new(&args.file), text.as_bytes()).map_err(|error| {
            (Exit::Trouble, format!("`{}` cannot be written: {}", examined.file, load::words(&error)))
        })?;
        output.talk(&applied(&examined.file, changes.len()));
    }
    Ok(Exit::Fine)
}

/// Whether something is wrong with the declared strategy alone: a search chooses another.
fn chosen(diagnostic: &Diagnostic) -> bool {
    matches!(
        diagnostic.code,
        Code::DegreesDoNotMultiply
            | Code::DegreeNotDividing
            | Code::BatchNotDivisible
            | Code::PoorStrategy
            | Code::DoesNotFit
    )
}

fn applied(file: &str, count: usize) -> String {
    let attributes = crate::render::verdict::plural(count, "attribute");
    format!("{attributes} written to {}\n", crate::render::clean(file))
}
