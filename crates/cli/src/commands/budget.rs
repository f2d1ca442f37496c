//! `llmplan budget`: the best model for what there is to spend.

use std::io::Read;
use std::path::Path;

use crate::args::{BudgetArgs, BudgetFormat};
use crate::atomic;
use crate::budget::{self, Answer};
use crate::commands::fmt::difference;
use crate::exit::Exit;
use crate::inputs::Input;
use crate::load;
use crate::output::Output;
use crate::render::clean;

/// Finds the best model, prints it, and writes it into the plan where asked.
pub(crate) fn run(args: &BudgetArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> Exit {
    answered(args, stdin, output).unwrap_or_else(|(exit, trouble)| {
        if !trouble.is_empty() {
            output.trouble(&trouble);
        }
        exit
    })
}

fn answered(
    args: &BudgetArgs,
    stdin: &mut dyn Read,
    output: &mut Output<'_>,
) -> Result<Exit, (Exit, String)> {
    let input = Input::single(&args.file);
    if args.apply && input == Input::Stdin {
        return Err((Exit::Trouble, "--apply writes a file, and standard input is none".to_owned()));
    }
    let answer = budget::answer(&input, args, stdin, output)?;
    match args.format {
        BudgetFormat::Text => output.print(&budget::text(&answer, output.paint())),
        BudgetFormat::Json => output
            .print(&budget::json(&answer).map_err(|error| {
                (Exit::Trouble, format!("the result cannot be written as JSON: {error}"))
            })?),
    }
    if args.apply {
        apply(&input, &answer, output)?;
    }
    Ok(if answer.proposal.is_ok() { Exit::Fine } else { Exit::PlanAtFault })
}

fn apply(input: &Input, answer: &Answer, output: &mut Output<'_>) -> Result<(), (Exit, String)> {
    let cannot = |why: &str| (Exit::PlanAtFault, format!("--apply cannot write this plan: {why}"));
    let proposal = answer.proposal.as_ref().map_err(|why| cannot(why))?;
    let file = &answer.file;
    if proposal.changes.is_empty() {
        output.talk(&format!("{} has it already\n", clean(file)));
        return Ok(());
    }
    let new = budget::edited(input, answer, proposal).map_err(|why| cannot(&why))?;
    let old = &answer.examined.sources.get(answer.plan().span.file).text;
    let Input::File(path) = input else { return Ok(()) };
    atomic::write(Path::new(path), new.as_bytes())
        .map_err(|error| (Exit::Trouble, format!("`{file}` cannot be written: {}", load::words(&error))))?;
    output.talk(&difference(file, old, &new));
    Ok(())
}
