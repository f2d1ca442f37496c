//! `llmplan explain`: the derivation of a number, or the page of a diagnostic.

use std::io::Read;

use llmplan_analysis::explain::explain;
use llmplan_analysis::missing::{Why, why};
use llmplan_analysis::report::Report;
use llmplan_spec::codes::Code;
use llmplan_spec::plan::Plan;
use llmplan_spec::schema::{self, PathKind, suggest};

use crate::args::{ExplainArgs, TreeFormat};
use crate::examine::{Outcome, examine};
use crate::exit::Exit;
use crate::inputs::Input;
use crate::output::Output;
use crate::render::{clean, derivation, diagnostic};

/// Explains a quantity of a plan, or a code.
pub(crate) fn run(args: &ExplainArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> Exit {
    let explained = match &args.path {
        Some(path) => quantity(args, path, stdin, output),
        None => code(&args.subject, output),
    };
    explained.unwrap_or_else(|(exit, trouble)| {
        output.trouble(&trouble);
        exit
    })
}

/// What went wrong, and how bad that is.
type Trouble = (Exit, String);

fn code(name: &str, output: &mut Output<'_>) -> Result<Exit, Trouble> {
    if let Some(code) = Code::parse(name) {
        output.print(code.explanation().trim_end());
        output.print("\n");
        return Ok(Exit::Fine);
    }
    let near = suggest::nearest(name, Code::ALL.iter().map(|code| code.as_str()));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if name.contains(['.', '/']) || name == "-" => {
            format!("to explain a number of a plan, name it too: `llmplan explain {name} model.params`")
        }
        None => "`llmplan docs codes` lists them".to_owned(),
    };
    Err((Exit::Trouble, format!("there is no diagnostic `{name}`; {hint}")))
}

fn quantity(
    args: &ExplainArgs,
    path: &str,
    stdin: &mut dyn Read,
    output: &mut Output<'_>,
) -> Result<Exit, Trouble> {
    let input = Input::single(&args.subject);
    let examined = examine(&input, &args.set, stdin).map_err(|trouble| (Exit::Trouble, trouble))?;
    let faults =
        diagnostic::all(&examined.diagnostics, &examined.sources, &examined.file, output.stderr_paint());
    output.talk(&faults);

    let outcome = choose(&examined.plans, args.plan.as_deref(), &examined.file, output)?;
    // Without a report its diagnostics have been told.
    let Some(report) = &outcome.report else { return Ok(Exit::PlanAtFault) };
    let Some(explanation) = explain(report, path) else {
        return Err((Exit::PlanAtFault, absent(path, report, &outcome.plan)));
    };
    match args.format {
        TreeFormat::Text => output.print(&derivation::text(&explanation, output.paint())),
        TreeFormat::Json => {
            let text =
                derivation::json(&explanation, report).map_err(|error| (Exit::Trouble, error.to_string()))?;
            output.print(&text);
        }
    }
    Ok(Exit::Fine)
}

/// The plan that was asked for, or the first; says which where there was a choice.
///
/// # Errors
/// Where the file has no such plan.
pub(crate) fn choose<'p>(
    plans: &'p [Outcome],
    name: Option<&str>,
    file: &str,
    output: &mut Output<'_>,
) -> Result<&'p Outcome, Trouble> {
    let mut names: Vec<&str> = plans.iter().map(|outcome| outcome.plan.name.as_str()).collect();
    names.dedup();
    let known = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let found = plans.iter().find(|outcome| name.is_none_or(|name| outcome.plan.name == name));
    match (found, name) {
        (Some(outcome), _) => {
            if plans.len() > 1 {
                let variant: Vec<String> =
                    outcome.plan.variant.iter().map(|(path, value)| format!("{path} = {value}")).collect();
                let variant =
                    if variant.is_empty() { String::new() } else { format!(" with {}", variant.join(", ")) };
                let others = if name.is_none() && names.len() > 1 {
                    format!("; --plan picks another: {}", known())
                } else {
                    String::new()
                };
                output.talk(&clean(&format!("plan {}{variant}{others}", outcome.plan.name)));
                output.talk("\n");
            }
            Ok(outcome)
        }
        (None, Some(name)) if !plans.is_empty() => {
            Err((Exit::PlanAtFault, format!("`{file}` has no plan `{name}`; it has {}", known())))
        }
        (None, _) => Err((Exit::PlanAtFault, format!("`{file}` has no plan"))),
    }
}

/// Why a report has no such quantity.
fn absent(path: &str, report: &Report, plan: &Plan) -> String {
    let kind = schema::path(path);
    if kind.is_none() {
        let known = report.quantities.iter().map(|quantity| quantity.path.as_str());
        let near = suggest::nearest(path, known).map(str::to_owned).or_else(|| suggest::path(path));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return format!("there is no quantity `{path}`{hint}");
    }
    let Why { needs, instead, reasons } =
        why(path, plan, &|path| report.get(path).is_some(), &report.unmodelled);
    let mut said = match kind {
        Some(PathKind::Declared(_)) => format!("`{path}` is not set in plan `{}`", plan.name),
        _ => format!("`{path}` is not computed for plan `{}`", plan.name),
    };
    // An attribute lacks nothing but itself.
    let needs: Vec<String> =
        needs.iter().filter(|need| *need != path).map(|need| format!("`{need}`")).collect();
    if !needs.is_empty() {
        said.push_str(&format!(": it needs {}", listed(&needs)));
    }
    for more in instead.into_iter().chain(reasons) {
        let first = needs.is_empty() && matches!(kind, Some(PathKind::Derived(_)));
        said.push_str(if first { ": " } else { "; " });
        said.push_str(more.trim_end_matches('.'));
    }
    said
}

/// "a, b and c"
fn listed(words: &[String]) -> String {
    match words {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        words => words.concat(),
    }
}
