//! What a stage costs, and what each kept sample and token of it does.

use llmplan_spec::plan::{StageKind, VerifierKind};

use super::Own;
use super::time::{matmul, mfu};
use crate::goodput;
use crate::quantities::Quantities;

/// Money, where there are prices.
pub(super) fn run(q: &mut Quantities<'_>, own: Own<'_>) {
    let plan = own.plan;
    let priced = plan.hardware.as_ref().is_some_and(|hardware| goodput::price(q, hardware));
    if priced && own.has(q, "time") {
        own.derive(q, "cost.devices", "@devices * @time * hardware.price", "rented for as long as it takes");
    }
    judged(q, own);
    if own.stage.kind.paired() && own.stage.pair_price.is_some() {
        own.derive(q, "cost.pairs", "@prompts * @pair_price", "each pair is bought once");
    }
    if own.has(q, "cost.devices")
        && let Some(sum) = own.sum(q, &["cost.devices", "cost.verifier", "cost.pairs"])
    {
        own.derive(q, "cost", &sum, "the sum of the parts");
        own.derive(
            q,
            "cost_per_kept_sample",
            "@cost / @kept_samples",
            "all of it for what teaches something",
        );
        if own.has(q, "usable_share") {
            own.derive(
                q,
                "wasted_cost",
                "@cost * (1 - @usable_share)",
                "groups without a signal cost as much",
            );
        }
    }
    if matches!(own.stage.kind, StageKind::BestOfN | StageKind::Synthetic) {
        per_token(q, own);
    }
}

/// What judging costs beside the stage's own devices.
fn judged(q: &mut Quantities<'_>, own: Own<'_>) {
    if !own.stage.kind.generates() {
        return;
    }
    match own.stage.scorer() {
        VerifierKind::Code => own.derive(
            q,
            "cost.verifier",
            "@rollouts * @verifier.seconds * @verifier.cores * @verifier.core_price",
            "core-hours",
        ),
        VerifierKind::Judge | VerifierKind::Human if own.stage.verifier.price.is_some() => {
            own.derive(q, "cost.verifier", "@rollouts * @verifier.price", "paid by the sample");
        }
        _ => {}
    }
}

/// Kept tokens, beside those that could be bought or seen again.
fn per_token(q: &mut Quantities<'_>, own: Own<'_>) {
    let kept = "(@kept_samples * @response_tokens)";
    if let Some(made) = own.sum(q, &["flops.generation", "flops.reward", "flops.judge"]) {
        own.derive(
            q,
            "flops_per_kept_token",
            &format!("({made}) / {kept}"),
            "what is thrown away counts for what is kept",
        );
    }
    if !own.has(q, "cost") {
        return;
    }
    let judged = own.sum(q, &["cost.verifier"]).map_or_else(String::new, |cost| format!(" + {cost}"));
    own.derive(
        q,
        "cost_per_million_tokens",
        &format!("1_000_000 * (@devices * @time.generation * hardware.price{judged}) / {kept}"),
        "what is thrown away counts for what is kept; training on it comes on top",
    );
    if own.stage.buy_price.is_some() {
        own.derive(
            q,
            "cost_over_buying",
            "@cost_per_million_tokens / (1_000_000 * @buy_price)",
            "above 1, buying is cheaper",
        );
    }
    worth(q, own);
}

/// Worth per dollar of kept tokens, over that of seeing the data once more.
fn worth(q: &mut Quantities<'_>, own: Own<'_>) {
    let Some(hardware) = &own.plan.hardware else { return };
    let matmul = matmul(own, hardware);
    let mfu = mfu(q, own);
    own.derive(
        q,
        "training_cost_per_million_tokens",
        &format!(
            "1_000_000 * @training_per_token / (device.peak.{} * {mfu}) * hardware.price",
            matmul.word()
        ),
        "FLOP over what a device achieves, at its price",
    );
    if own.stage.worth.is_none() || q.get("data.epochs").is_none() {
        return;
    }
    own.derive(
        q,
        "repeat_worth",
        "law.repeat_tokens * (exp((1 - max(1, data.epochs)) / law.repeat_tokens) - exp(-max(1, data.epochs) / \
         law.repeat_tokens))",
        "the worth of epoch after epoch falls as e^(−epochs/R*): Muennighoff 2023 eq. 5",
    );
    own.derive(
        q,
        "worth_over_repeating",
        "@worth / (@cost_per_million_tokens + @training_cost_per_million_tokens) * @training_cost_per_million_tokens / \
         @repeat_worth",
        "above 1, making tokens is worth more per dollar than one more epoch",
    );
}
