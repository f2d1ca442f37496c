//! Levers as JSON: every number in SI base units, every change as what `--set` takes.

use llmplan_analysis::levers::{Assignment, Difference, Lack, Pulled, Tried};
use llmplan_spec::plan::Plan;
use serde_json::{Value, json};

/// The levers of a plan as one JSON object.
///
/// # Errors
/// What keeps it from being written.
pub(crate) fn json(tried: &Tried, plan: &Plan, file: &str) -> Result<String, serde_json::Error> {
    let (lacks, path) = match &tried.lack {
        Lack::Memory(path) => ("memory", Some(path)),
        Lack::Requirements(_) => ("requirements", None),
        Lack::Nothing(path) => ("nothing", Some(path)),
    };
    let unable: Vec<Value> =
        tried.unable.iter().map(|(path, why)| json!({ "lever": path, "why": why })).collect();
    let report = json!({
        "schema_version": 1,
        "file": file,
        "plan": plan.name,
        "law": plan.law.name,
        "lacks": lacks,
        "judged_by": path,
        "changes": tried.changes,
        "levers": tried.rows.iter().map(lever).collect::<Vec<_>>(),
        "no_difference": tried.idle,
        "only_worse": tried.worse,
        "breaking": tried.breaking,
        "unable": unable,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&report)?))
}

fn lever(own: &Pulled) -> Value {
    let set: Vec<Value> = own.change.assignments.iter().map(assignment).collect();
    json!({
        "lever": own.path,
        "area": own.area.word(),
        "set": set,
        "effects": own.differences.iter().map(difference).collect::<Vec<_>>(),
        "loss": own.loss.word(),
        "compute_equivalent_gain": own.gain,
        "fits": own.standing.over == 0,
        "broken_requirements": own.standing.broken,
        "score": own.standing.score,
        "why": own.reason,
    })
}

fn assignment(own: &Assignment) -> Value {
    json!({ "path": own.path, "from": own.from, "to": own.to })
}

fn difference(own: &Difference) -> Value {
    json!({ "measure": own.measure.word(), "path": own.path, "before": own.before, "after": own.after })
}
