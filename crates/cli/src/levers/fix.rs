//! The smallest changes that meet broken requirements, written into the plan.

use std::io::Read;
use std::path::Path;

use llmplan_analysis::levers::LossEffect;
use llmplan_analysis::report::Report;
use llmplan_spec::plan::Plan;

use super::remedies::find;
use crate::atomic;
use crate::commands::fmt::difference;
use crate::edit::assigned;
use crate::examine::{Examined, examine};
use crate::inputs::Input;
use crate::load;
use crate::render::clean;
use crate::render::text::groups;
use crate::render::verdict::plural;

/// Changes that are made one after the other, each to the plan with those before it.
const MOST: usize = 8;

/// Meets the broken requirements of a file's one plan as far as single changes do, one after the other. What is said of
/// it: the changes as a unified diff, or why there are none.
///
/// # Errors
/// What keeps the file from being read, or written, in a line.
pub(crate) fn fix(input: &Input, stdin: &mut dyn Read) -> Result<String, String> {
    let Input::File(path) = input else {
        return Err("--fix writes a file, and standard input is none".to_owned());
    };
    let examined = examine(input, &[], stdin)?;
    let Some(plan) = sole(&examined) else {
        return Ok(format!("{}: --fix is for files with one plan, without lists\n", clean(&examined.file)));
    };
    let (values, wanted) = changes(input, stdin)?;
    let Some(wanted) = wanted.filter(|_| !values.is_empty()) else {
        return Ok(format!("{}: there is nothing to fix\n", clean(&examined.file)));
    };
    let text = assigned(input, &examined, (plan, &wanted), &values)
        .map_err(|why| format!("--fix cannot write `{}`: {why}", examined.file))?;
    atomic::write(Path::new(path), text.as_bytes())
        .map_err(|error| format!("`{}` cannot be written: {}", examined.file, load::words(&error)))?;
    let old = &examined.sources.get(plan.span.file).text;
    let attributes = plural(values.len(), "attribute");
    let file = clean(&examined.file);
    Ok(format!("{}{attributes} written to {file}\n", difference(&file, old, &text)))
}

/// What to set, by path and value, and the plan with it.
fn changes(input: &Input, stdin: &mut dyn Read) -> Result<(Values, Option<Plan>), String> {
    let mut values = Values::new();
    for _ in 0..MOST {
        let (met, _) = next(input, &values, stdin)?;
        let Some(met) = met else { break };
        for (path, value) in met {
            values.retain(|(own, _)| *own != path);
            values.push((path, value));
        }
    }
    // What was set first may be more than is needed now that others are set: 32 nodes, before there were fewer tokens.
    for at in 0..values.len() {
        let mut others = values.clone();
        let (path, _) = others.remove(at);
        if let (Some(met), _) = next(input, &others, stdin)?
            && let [(own, value)] = met.as_slice()
            && *own == path
        {
            others.insert(at, (path, value.clone()));
            let (left, examined) = next(input, &others, stdin)?;
            if left.is_none() && holds(&examined) {
                values = others;
            }
        }
    }
    let examined = examine(input, &statements(&values), stdin)?;
    Ok((values, examined.plans.into_iter().next().map(|outcome| outcome.plan)))
}

/// Attributes and what they are set to.
type Values = Vec<(String, String)>;

/// The smallest change to a plan that has values set already, which meets the first requirement that one meets; and the
/// plan.
fn next(
    input: &Input,
    values: &[(String, String)],
    stdin: &mut dyn Read,
) -> Result<(Option<Values>, Examined), String> {
    let set = statements(values);
    let mut examined = examine(input, &set, stdin)?;
    find(input, &mut examined, &set);
    let remedies = examined.plans.iter().flat_map(|outcome| &outcome.remedies);
    let known = remedies.filter_map(|own| own.met.as_ref()).find(|met| met.loss != LossEffect::Unknown);
    Ok((known.map(|met| met.change.set()), examined))
}

fn holds(examined: &Examined) -> bool {
    examined.plans.iter().all(|own| own.report.as_ref().is_some_and(Report::holds))
}

fn statements(values: &[(String, String)]) -> Vec<String> {
    values.iter().map(|(path, value)| format!("{path} = {value}")).collect()
}

/// The one plan of a file, where it has just one and no lists.
fn sole(examined: &Examined) -> Option<&Plan> {
    let plan = &examined.plans.first()?.plan;
    (groups(&examined.plans).len() == 1 && plan.variant.is_empty()).then_some(plan)
}
