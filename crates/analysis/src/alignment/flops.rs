//! Samples, tokens and FLOPs of a stage, by part.

use llmplan_spec::plan::{OldLogprobs, Reference, StageKind, VerifierKind};

use super::Own;
use crate::folds::{Counts, Sequence, forward_flops};
use crate::graph::{Component, Graph};
use crate::quantities::Quantities;

const FORWARD: &str = "matrix products of one sequence: Kaplan 2020 §2.1";
const BACKWARD: &str = "two products for each of the forward pass: Kaplan 2020 §2.1";
const FROZEN: &str = "no gradients of frozen weights: 4N in place of 6N (Hu 2021)";
const OTHER: &str = "2 FLOP for each parameter and token: Kaplan 2020 §2.1";

/// The parts of a stage's FLOPs, in the order of the report.
pub(crate) const PARTS: [&str; 8] = [
    "flops.generation",
    "flops.old_logprobs",
    "flops.reference",
    "flops.reward",
    "flops.judge",
    "flops.critic",
    "flops.teacher",
    "flops.training",
];

/// What is counted of a stage.
pub(super) fn run(q: &mut Quantities<'_>, own: Own<'_>, graph: &Graph) {
    chosen(q, own);
    sequence(q, own, graph);
    samples(q, own);
    tokens(q, own);
    if own.stage.kind.generates() {
        generation(q, own);
        scores(q, own);
    }
    references(q, own);
    taught(q, own);
    training(q, own);
    if let Some(sum) = own.sum(q, &PARTS) {
        own.derive(q, "flops", &sum, "the sum of the parts");
    }
    if own.has(q, "flops.generation") {
        own.derive(q, "generation_flops_share", "@flops.generation / @flops", "of all parts");
    }
}

/// The words that decide which parts there are: where they are left out, they are assumptions.
fn chosen(q: &mut Quantities<'_>, own: Own<'_>) {
    let kind = own.stage.kind;
    let words = [
        ("reference", kind.on_policy() || kind == StageKind::Dpo),
        ("old_logprobs", kind.on_policy()),
        ("prefix_cache", kind.generates()),
        ("colocated", kind.on_policy()),
        ("synchronous", kind.on_policy()),
    ];
    for (leaf, _) in words.iter().filter(|(_, matters)| *matters) {
        q.leaf(&own.path(leaf));
    }
}

/// One prompt with its answer through the policy, forward and backward.
fn sequence(q: &mut Quantities<'_>, own: Own<'_>, graph: &Graph) {
    let stage = own.stage;
    let tokens = stage.prompt_tokens.saturating_add(stage.response_tokens);
    let whole = Sequence { tokens, documents: None, attention: own.plan.convention.attention };
    let counts = forward_flops(graph, whole);
    let forward = counts.and_then(|counts| served(&counts));
    let inputs = [own.path("prompt_tokens"), own.path("response_tokens"), "model.params".to_owned()];
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    q.procedure(&own.path("sequence.forward"), forward, "products over prompt and answer", &inputs, FORWARD);
    if stage.lora {
        // Gradients of inputs alone; what has no weights has both of its own.
        let backward = counts.and_then(|counts| {
            let weightless = [Component::Scores, Component::WeightedSum, Component::Recurrence];
            let twice =
                weightless.into_iter().try_fold(0_u128, |sum, part| sum.checked_add(counts.of(part)))?;
            served(&counts)?.checked_add(twice)
        });
        q.procedure(&own.path("sequence.backward"), backward, "gradients of inputs", &inputs, FROZEN);
    } else {
        own.derive(q, "sequence.backward", "2 * @sequence.forward", BACKWARD);
    }
    own.derive(q, "forward_per_token", "@sequence.forward / (@prompt_tokens + @response_tokens)", FORWARD);
    let each = "(@sequence.forward + @sequence.backward) / (@prompt_tokens + @response_tokens)";
    own.derive(q, "training_per_token", each, if stage.lora { FROZEN } else { BACKWARD });
}

/// Without multi-token prediction, which is neither served nor aligned.
fn served(counts: &Counts) -> Option<u128> {
    let modules = counts.of(Component::Mtp).checked_add(counts.of(Component::MtpAttention))?;
    counts.total()?.checked_sub(modules)
}

/// Samples that are generated, and which of them teach something.
fn samples(q: &mut Quantities<'_>, own: Own<'_>) {
    let stage = own.stage;
    let kind = stage.kind;
    if kind.generates() {
        let all = if kind.on_policy() { "@prompts * @samples * @epochs" } else { "@prompts * @samples" };
        own.derive(q, "rollouts", all, "samples of each prompt");
        let whole = "@rollouts * (@prompt_tokens + @response_tokens)";
        own.derive(q, "rollout_tokens", whole, "prompts and answers");
        own.derive(q, "generated_tokens", "@rollouts * @response_tokens", "answers alone");
        if stage.pass_rate.is_some() {
            let solved = "1 - (1 - @pass_rate)^@samples";
            own.derive(q, "pass_at_k", solved, "Chen 2021 §2.1, for samples that are independent");
        }
    }
    if kind.grouped() && stage.pass_rate.is_some() {
        own.derive(
            q,
            "usable_share",
            "max(0, 1 - @pass_rate^@samples - (1 - @pass_rate)^@samples)",
            "a group that is all right or all wrong has no advantage: Yu 2025 §3.2",
        );
    }
    let kept = match kind {
        StageKind::Sft | StageKind::Reward | StageKind::Dpo | StageKind::Distillation => "@prompts",
        StageKind::Ppo => "@rollouts",
        StageKind::Grpo | StageKind::Rloo if own.has(q, "usable_share") => "@rollouts * @usable_share",
        StageKind::Grpo | StageKind::Rloo => "@rollouts",
        StageKind::BestOfN if stage.accept.is_some() => "@prompts * @accept",
        StageKind::BestOfN if own.has(q, "pass_at_k") => "@prompts * @pass_at_k",
        StageKind::BestOfN => "@prompts",
        StageKind::Synthetic if stage.accept.is_some() => "@rollouts * @accept",
        StageKind::Synthetic if stage.pass_rate.is_some() => "@rollouts * @pass_rate",
        StageKind::Synthetic => "@rollouts",
    };
    own.derive(q, "kept_samples", kept, "what the stage learns from");
}

/// Tokens that pass the model that is trained, in all passes.
fn tokens(q: &mut Quantities<'_>, own: Own<'_>) {
    let (formula, source) = match own.stage.kind {
        StageKind::Sft | StageKind::Distillation => (
            "@prompts * (@prompt_tokens + @response_tokens) * @epochs",
            "prompts cost although no loss is on them",
        ),
        StageKind::Reward | StageKind::Dpo => (
            "2 * @prompts * (@prompt_tokens + @response_tokens) * @epochs",
            "the chosen and the rejected answer",
        ),
        StageKind::Ppo | StageKind::Grpo | StageKind::Rloo => {
            ("@rollout_tokens * @updates", "every sample, with a signal or not")
        }
        StageKind::BestOfN | StageKind::Synthetic => {
            ("@kept_samples * (@prompt_tokens + @response_tokens) * @epochs", "what is kept")
        }
    };
    own.derive(q, "tokens", formula, source);
}

/// Reading prompts and decoding answers.
fn generation(q: &mut Quantities<'_>, own: Own<'_>) {
    let stage = own.stage;
    let teacher = stage.kind == StageKind::Synthetic && stage.teacher_params.is_some();
    let each = if teacher { "2 FLOP * @teacher_params" } else { "@forward_per_token" };
    let read = match (stage.prefix_cache, stage.kind.on_policy()) {
        (false, _) => "@rollouts * @prompt_tokens",
        (true, true) => "@prompts * @epochs * @prompt_tokens",
        (true, false) => "@prompts * @prompt_tokens",
    };
    let source = "2 FLOP for each parameter and token: Pope 2022 §2; Ouyang 2022";
    own.derive(q, "flops.generation", &format!("({read} + @generated_tokens) * {each}"), source);
}

/// What judges samples, where it is a model of these devices.
fn scores(q: &mut Quantities<'_>, own: Own<'_>) {
    let stage = own.stage;
    match stage.scorer() {
        VerifierKind::Reward => {
            let each = own.other(stage.reward_params, "reward_params");
            own.estimate(q, "flops.reward", &format!("@rollout_tokens * {each}"), OTHER);
        }
        VerifierKind::Judge if stage.verifier.price.is_none() => {
            let read = "@rollouts * (@prompt_tokens + @response_tokens + @verifier.judge_tokens)";
            own.estimate(q, "flops.judge", &format!("{read} * 2 FLOP * @verifier.judge_params"), OTHER);
        }
        _ => {}
    }
}

/// Log-probabilities under the policies that are not trained.
fn references(q: &mut Quantities<'_>, own: Own<'_>) {
    let stage = own.stage;
    if stage.kind.on_policy() && stage.old_logprobs == OldLogprobs::Recomputed {
        let source = "one forward pass: Schulman 2017 §5";
        own.derive(q, "flops.old_logprobs", "@rollout_tokens * @forward_per_token", source);
    }
    let formula = match (stage.kind.on_policy(), stage.reference) {
        (_, Reference::None) => return,
        (true, _) => "@rollout_tokens * @forward_per_token",
        (false, Reference::Loaded) => "@tokens * @forward_per_token",
        (false, Reference::Cached) => "@tokens / @epochs * @forward_per_token",
    };
    own.derive(q, "flops.reference", formula, "one forward pass: Ouyang 2022; Rafailov 2023 §4");
}

/// The models beside the policy that are taught, or that teach.
fn taught(q: &mut Quantities<'_>, own: Own<'_>) {
    let stage = own.stage;
    if stage.kind == StageKind::Ppo {
        let each = own.other(stage.critic_params, "critic_params");
        let passes = if stage.lora { 2 } else { 3 };
        let formula = format!("@rollout_tokens * (1 + {passes} * @updates) * {each}");
        let source = match stage.lora {
            true => "values once, and training in each update; no gradients of frozen weights (Hu 2021)",
            false => "values once, and training in each update: Ouyang 2022",
        };
        own.estimate(q, "flops.critic", &formula, source);
    }
    if stage.kind == StageKind::Distillation {
        let passes = if stage.cached_logits.is_some() { "@tokens / @epochs" } else { "@tokens" };
        own.estimate(q, "flops.teacher", &format!("{passes} * 2 FLOP * @teacher_params"), OTHER);
    }
}

/// Forward and backward passes of what is trained.
fn training(q: &mut Quantities<'_>, own: Own<'_>) {
    let stage = own.stage;
    let rule = stage.kind == StageKind::Reward && stage.reward_params.is_some();
    let (formula, source) = match (rule, stage.lora) {
        (true, false) => ("@tokens * 6 FLOP * @reward_params", "Kaplan 2020 §2.1"),
        (true, true) => ("@tokens * 4 FLOP * @reward_params", FROZEN),
        (false, false) => ("@tokens * @training_per_token", BACKWARD),
        (false, true) => ("@tokens * @training_per_token", FROZEN),
    };
    own.derive(q, "flops.training", formula, source);
}
