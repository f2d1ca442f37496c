//! What a search found, as JSON: every number in SI base units.

use llmplan_analysis::cluster::Strategy;
use llmplan_analysis::search::{Candidate, Point, Reason};
use llmplan_spec::plan::Plan;
use serde_json::{Value, json};

use super::Searched;
use super::words::{family, objective};

/// The result as one JSON object.
///
/// # Errors
/// What keeps it from being written.
pub(crate) fn json(searched: &Searched, plan: &Plan, file: &str) -> Result<String, serde_json::Error> {
    let found = &searched.found;
    let (name, _) = objective(searched.objective);
    let best = searched.best.and_then(|place| searched.candidates.get(place));
    let pareto: Vec<Value> = searched.candidates.iter().map(candidate).collect();
    let rejected: Vec<Value> = found.reasons.list().map(reason).collect();
    let report = json!({
        "schema_version": 1,
        "file": file,
        "plan": plan.name,
        "objective": name,
        "holds": searched.winner().is_some(),
        "strategies": found.strategies,
        "unable": found.unable,
        "too_large": found.too_large,
        "beaten": found.beaten,
        "evaluated": found.evaluated,
        "declared": searched.declared.as_ref().map(strategy),
        "best": best.map(candidate),
        "pareto": pareto,
        "rejected": rejected,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&report)?))
}

fn candidate(own: &Candidate) -> Value {
    let Point { devices, seconds, bytes, host, strategy: chosen } = &own.point;
    let requirements: Vec<Value> = own
        .report
        .iter()
        .flat_map(|report| &report.requirements)
        .map(|judgement| {
            json!({
                "condition": judgement.condition,
                "strict": judgement.strict,
                "holds": judgement.holds,
                "value": judgement.value_number,
                "limit": judgement.limit_number,
            })
        })
        .collect();
    json!({
        "devices": devices,
        "step_time": seconds,
        "memory_per_device": bytes,
        "host_memory_per_device": host,
        "holds": own.holds,
        "strategy": strategy(chosen),
        "requirements": requirements,
    })
}

fn reason(reason: &Reason) -> Value {
    let (name, meaning) = family(reason.family);
    json!({
        "family": name,
        "meaning": meaning,
        "strategies": reason.strategies,
        "nearest": {
            "value": reason.nearest.value,
            "limit": reason.nearest.limit,
            "strategy": strategy(&reason.nearest.strategy),
        },
    })
}

fn strategy(own: &Strategy) -> Value {
    json!({
        "tensor": own.tensor,
        "sequence_parallel": own.sequence_parallel,
        "pipeline": own.pipeline,
        "interleave": own.interleave,
        "schedule": own.schedule.word(),
        "context": own.context,
        "context_kind": own.context_kind.word(),
        "expert": own.expert,
        "expert_tensor": own.expert_tensor,
        "data": own.data,
        "zero": own.zero,
        "shard": own.shard,
        "prefetch": own.prefetch,
        "micro_batch": own.micro_batch,
        "checkpointing": own.checkpointing.word(),
        "offload": own.offload.word(),
        "offload_activations": own.offload_activations,
    })
}
