//! `llmplan verify`: a plan against a checkpoint.

use std::io::Read;

use super::explain::choose;
use crate::args::{VerifyArgs, VerifyFormat};
use crate::examine::examine;
use crate::exit::Exit;
use crate::inputs::Input;
use crate::output::Output;
use crate::render::diagnostic;
use crate::verify;

/// Compares the model of a plan with the tensors of a checkpoint.
pub(crate) fn run(args: &VerifyArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> Exit {
    compared(args, stdin, output).unwrap_or_else(|(exit, trouble)| {
        output.trouble(&trouble);
        exit
    })
}

fn compared(
    args: &VerifyArgs,
    stdin: &mut dyn Read,
    output: &mut Output<'_>,
) -> Result<Exit, (Exit, String)> {
    let trouble = |text: String| (Exit::Trouble, text);
    let input = Input::single(&args.plan_file);
    let examined = examine(&input, &args.set, stdin).map_err(trouble)?;
    let faults =
        diagnostic::all(&examined.diagnostics, &examined.sources, &examined.file, output.stderr_paint());
    output.talk(&faults);
    let outcome = choose(&examined.plans, args.plan.as_deref(), &examined.file, output)?;
    // Without a report its diagnostics have been told.
    if outcome.report.is_none() {
        return Ok(Exit::PlanAtFault);
    }
    let checkpoint = verify::read(&args.checkpoint).map_err(trouble)?;
    let verified = verify::verify(&outcome.plan, &examined.file, &checkpoint);
    match args.format {
        VerifyFormat::Text => output.print(&verified.text(args.brief, output.paint())),
        VerifyFormat::Json => {
            output.print(&verified.json().map_err(|error| trouble(error.to_string()))?);
        }
    }
    Ok(if verified.equal() { Exit::Fine } else { Exit::PlanAtFault })
}
