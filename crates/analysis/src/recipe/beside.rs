//! What is trained or run beside the run: a study before it, a teacher, modules that predict further tokens; and the parts
//! of the schedule.

use llmplan_spec::plan::{LearningRateSchedule, TeacherLogits, Training};

use crate::quantities::Quantities;

const KAPLAN: &str = "6ND per run: Kaplan 2020 §2.1";

/// Everything beside the run that the plan declares.
pub(super) fn run(q: &mut Quantities<'_>, training: &Training) {
    sweep(q, training);
    teacher(q, training);
    let recipe = &training.recipe;
    if q.get("training.tokens").is_none() {
        return;
    }
    if recipe.warmup.is_some() {
        let formula = "training.warmup / training.tokens";
        q.derive("recipe.warmup_share", formula, "as declared");
    }
    if recipe.cooldown.is_some() {
        let formula = "training.cooldown * training.tokens";
        q.derive(
            "recipe.cooldown_tokens",
            formula,
            "the end of the run; before it the run can go on as another",
        );
    }
    if q.get("flops.forward.mtp").is_some() {
        let formula = match q.get("flops.forward.mtp_attention") {
            Some(_) => "(flops.forward.mtp + flops.forward.mtp_attention) / flops.forward",
            None => "flops.forward.mtp / flops.forward",
        };
        q.derive("recipe.mtp_share", formula, "backward passes cost twice as much for all parts");
    }
}

/// A study of smaller runs.
///
/// The loss is read at p numbers of tokens, D/p, 2D/p, … D. A schedule that must know its end takes a run for each:
/// D(p + 1)/2 tokens. A constant rate is read anywhere. With a cool-down of share c one run serves all, and each point has
/// its own cool-down: (1 − c)·D + c·D(p + 1)/2 (Hägele 2024).
fn sweep(q: &mut Quantities<'_>, training: &Training) {
    if training.recipe.sweep.is_none() {
        return;
    }
    let points = "(training.sweep.points + 1) / 2";
    let (times, source) = match training.recipe.schedule {
        LearningRateSchedule::Cosine | LearningRateSchedule::Linear => {
            (points.to_owned(), "6ND per run, and a run for each point: the schedule must know its end")
        }
        LearningRateSchedule::Constant => ("1".to_owned(), KAPLAN),
        LearningRateSchedule::Wsd => (
            format!("(1 - training.cooldown + training.cooldown * {points})"),
            "6ND per run, and a cool-down for each point: Hägele 2024",
        ),
    };
    q.derive(
        "training.sweep.flops",
        &format!("6 FLOP * training.sweep.runs * training.sweep.params * training.sweep.tokens * {times}"),
        source,
    );
    if q.get("training.flops").is_some() {
        q.derive("training.sweep.share", "training.sweep.flops / training.flops", "the study over the run");
    }
    if q.get("training.cost").is_some() {
        let formula = "training.sweep.share * training.cost";
        q.derive(
            "training.sweep.cost",
            formula,
            "at the run's cost per FLOP; small models use devices less well",
        );
    }
}

/// A teacher: its forward passes, and what is kept of them.
fn teacher(q: &mut Quantities<'_>, training: &Training) {
    let Some(distillation) = &training.recipe.distillation else { return };
    if q.get("training.tokens").is_none() {
        return;
    }
    // Tokens that are seen again are read from what is kept.
    let tokens = match (distillation.logits, q.get("data.unique_tokens")) {
        (TeacherLogits::Cached, Some(_)) => "min(training.tokens, data.unique_tokens)",
        _ => "training.tokens",
    };
    q.derive(
        "training.distillation.flops",
        &format!("2 FLOP * training.distillation.teacher_params * {tokens}"),
        "2N per token for a forward pass: Kaplan 2020 §2.1",
    );
    if distillation.logits == TeacherLogits::Cached {
        q.derive(
            "training.distillation.storage",
            &format!("{tokens} * training.distillation.top_k * 6 bytes"),
            "2 bytes for a logit and 4 for its place in the vocabulary",
        );
    }
    q.derive(
        "training.distillation.share",
        "training.distillation.flops / training.flops",
        "the teacher over the run",
    );
    q.derive(
        "training.distillation.total",
        "training.flops + training.distillation.flops",
        "`training.time` and `training.cost` are of the run alone",
    );
}
