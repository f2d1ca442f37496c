//! The best model for a budget, as JSON: every number in SI base units.

use llmplan_analysis::budget::LIMITS;
use llmplan_analysis::budget::optimum::Best;
use llmplan_analysis::report::{Report, Value as Of};
use llmplan_analysis::search::Choice;
use serde_json::{Map, Value, json};

use super::{Answer, Proposal, number};
use crate::args::Paid;

/// What is told of a plan, declared or proposed.
const RESULTS: [&str; 13] = [
    "model.params",
    "model.active_params",
    "data.tokens",
    "flops.training_per_token",
    "budget.plan_share",
    "budget.loss_of_plan",
    "training.mfu",
    "training.goodput",
    "training.calendar_time",
    "training.device_hours",
    "training.cost",
    "training.energy",
    "memory.per_device",
];

/// The answer as one JSON object.
///
/// # Errors
/// What keeps it from being written.
pub(crate) fn json(answer: &Answer) -> Result<String, serde_json::Error> {
    let report = answer.final_report();
    let limit = report.and_then(|report| report.get("budget.limit")).map(|own| match &own.value {
        Of::Text(text) => text.clone(),
        _ => String::new(),
    });
    let limits: Map<String, Value> = LIMITS
        .iter()
        .filter_map(|(word, path)| Some(((*word).to_owned(), number(report?, path)?.into())))
        .collect();
    let ranges: Map<String, Value> = ["optimal_params", "optimal_tokens", "tokens_per_param", "loss"]
        .iter()
        .filter_map(|leaf| {
            let (low, high) = report?.get(&format!("budget.{leaf}"))?.interval?;
            Some(((*leaf).to_owned(), json!([low, high])))
        })
        .collect();
    let band: Vec<Value> = answer
        .band
        .iter()
        .map(|opinion| {
            let mut own = best(&opinion.best);
            own["law"] = json!(opinion.law);
            own["counts"] = json!(opinion.params.word());
            own["comparable_loss"] = json!(opinion.comparable && opinion.best.loss.is_some());
            own
        })
        .collect();
    let value = json!({
        "schema_version": 1,
        "file": answer.file,
        "plan": answer.plan().name,
        "objective": match answer.paid { Paid::Training => "training", Paid::Lifetime => "lifetime" },
        "law": answer.plan().law.name,
        "flops": answer.compute,
        "limit": limit,
        "limits": limits,
        "best": best(&answer.best),
        "ranges": if answer.paid == Paid::Training { Value::Object(ranges) } else { Value::Null },
        "band": band,
        "declared": answer.report().map(results),
        "proposed": answer.proposal.as_ref().ok().map(proposal),
        "strategy": answer.strategy,
        "no_shape": answer.proposal.as_ref().err(),
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&value)?))
}

fn best(own: &Best) -> Value {
    json!({
        "params": own.params,
        "tokens": own.tokens,
        "tokens_per_param": own.tokens / own.params,
        "loss": own.loss,
        "epochs": own.epochs,
        "tokens_without_limit_of_data": own.free_tokens,
    })
}

fn proposal(own: &Proposal) -> Value {
    let shape = &own.shape;
    let changes: Map<String, Value> = own
        .changes
        .iter()
        .map(|change| {
            let value = match change.value {
                Choice::Count(count) => json!(count),
                Choice::Word(word) => json!(word),
            };
            (change.path.to_owned(), value)
        })
        .collect();
    json!({
        "layers": shape.layers,
        "d_model": shape.d_model,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "d_ff": shape.d_ff,
        "params": shape.counted as f64,
        "gap": own.gap,
        "tokens": own.tokens,
        "loss": own.loss,
        "changes": changes,
        "quantities": own.report().map(results),
    })
}

fn results(report: &Report) -> Value {
    let known: Map<String, Value> =
        RESULTS.iter().filter_map(|path| Some(((*path).to_owned(), number(report, path)?.into()))).collect();
    Value::Object(known)
}
