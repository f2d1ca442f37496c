//! What a stage holds: the models that must be there at once.

use llmplan_spec::plan::{Reference, StageKind, VerifierKind};

use super::Own;
use crate::quantities::Quantities;

const MIXED: &str = "weights and gradients in 16 bits, master and two moments in fp32: Rajbhandari 2020 §3.1";
const FROZEN: &str = "16-bit weights; adapters and their optimizer are small beside them: Hu 2021 §4.2";
const WEIGHTS: &str = "16-bit weights";

/// The models of the training side.
pub(crate) const MODELS: [&str; 6] =
    ["memory.policy", "memory.critic", "memory.reference", "memory.reward", "memory.judge", "memory.teacher"];

/// Bytes of each model of a stage, all devices together.
pub(super) fn models(q: &mut Quantities<'_>, own: Own<'_>) {
    let stage = own.stage;
    policy(q, own);
    if stage.kind == StageKind::Ppo {
        let params = own.params(stage.critic_params, "critic_params");
        let (each, source) = if stage.lora { (2, FROZEN) } else { (16, MIXED) };
        own.estimate(q, "memory.critic", &format!("{each} bytes * {params}"), source);
    }
    // Without its adapters the policy is the reference.
    if stage.reference == Reference::Loaded && !stage.lora {
        own.estimate(q, "memory.reference", "2 bytes * model.params", WEIGHTS);
    }
    if stage.kind.generates() {
        match stage.scorer() {
            VerifierKind::Reward => {
                let params = own.params(stage.reward_params, "reward_params");
                own.estimate(q, "memory.reward", &format!("2 bytes * {params}"), WEIGHTS);
            }
            VerifierKind::Judge if stage.verifier.price.is_none() => {
                own.estimate(q, "memory.judge", "2 bytes * @verifier.judge_params", WEIGHTS);
            }
            _ => {}
        }
    }
    if stage.kind == StageKind::Distillation {
        match stage.cached_logits {
            Some(_) => own.estimate(
                q,
                "logits_size",
                "@tokens / @epochs * @cached_logits * 6 bytes",
                "2 bytes for a logit, 4 for its place",
            ),
            None => own.estimate(q, "memory.teacher", "2 bytes * @teacher_params", WEIGHTS),
        }
    }
}

/// What is trained, with its gradients and optimizer.
fn policy(q: &mut Quantities<'_>, own: Own<'_>) {
    let stage = own.stage;
    let adapters = own.plan.training.as_ref().is_some_and(|training| training.lora.is_some());
    let other = stage.kind == StageKind::Reward && stage.reward_params.is_some();
    let params = if other { "@reward_params" } else { "model.params" };
    if !other && stage.lora == adapters && q.get("memory.model_states").is_some() {
        own.estimate(q, "memory.policy", "memory.model_states", "as the plan's training has them");
    } else if stage.lora {
        own.estimate(q, "memory.policy", &format!("2 bytes * {params}"), FROZEN);
    } else {
        own.estimate(q, "memory.policy", &format!("16 bytes * {params}"), MIXED);
    }
}
