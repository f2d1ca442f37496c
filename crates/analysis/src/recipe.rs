//! The recipe: learning rate, batch and critical batch that laws recommend, what a miss costs, and what is trained beside
//! the run.

mod beside;
mod miss;
mod warnings;

pub use miss::{Miss, lost};

use llmplan_spec::plan::{Optimizer, Training};

use crate::efficiency;
use crate::quantities::Quantities;
use crate::report::{Grade, Value};
use crate::scaling;

const STEP_LAW: &str = "Li 2025 (Step Law, arXiv:2503.04715)";
const DEEPSEEK: &str = "DeepSeek LLM 2024 (arXiv:2401.02954) equation 1";
const ZHANG: &str = "Zhang 2024 (arXiv:2410.21676): 20% more tokens than the least";
const KAPLAN: &str = "Kaplan 2020 §5.1: twice the least tokens";
/// No model has a loss like this, in nats per token: a law that gives it says nothing.
const MOST_LOSS: f64 = 1e3;
const MCCANDLISH: &str = "McCandlish 2018 equation 2.11, so scaled that the critical batch adds 20%";
const MIDDLE: &str = "the geometric middle of two laws that disagree";

/// Recipe of a plan that trains all of a model on declared data.
pub(crate) fn run(q: &mut Quantities<'_>) {
    let plan = q.plan;
    let Some(training) = &plan.training else { return };
    beside::run(q, training);
    // Laws are of pretraining: adapters are trained on a model that has its weights.
    if plan.data.is_none() || training.lora.is_some() || !q.errors.is_empty() {
        return;
    }
    let Some(params) = non_embedding(q) else { return };
    compute(q);
    if by_adam(training) {
        rate(q, training, params);
    }
    batch(q, training);
    critical(q, training);
    warnings::find(q);
}

/// Whether learning rates are those of AdamW, which the laws' runs were trained by.
pub(crate) fn by_adam(training: &Training) -> bool {
    matches!(training.optimizer, Optimizer::Adam | Optimizer::Adamw | Optimizer::Adam8bit)
}

/// N of Step Law: without embeddings; of experts, those that are active.
fn non_embedding(q: &Quantities<'_>) -> Option<&'static str> {
    let path = match q.get("model.params.active_experts") {
        Some(_) => "model.active_non_embedding_params",
        None => "model.non_embedding_params",
    };
    // A model may be all embedding.
    q.number(path).filter(|count| *count > 0.0).map(|_| path)
}

/// C = M·D of DeepSeek's laws; M counts all scores and no output projection.
fn compute(q: &mut Quantities<'_>) {
    if q.get("flops.convention.full.training_per_token").is_some() {
        q.derive(
            "recipe.compute",
            "(flops.convention.full.training_per_token - 3 * flops.forward.logits / flops.sequence) * training.tokens",
            "non-embedding FLOPs per token × D: DeepSeek LLM 2024 §3.2",
        );
    }
}

fn rate(q: &mut Quantities<'_>, training: &Training, params: &str) {
    let formula = format!("1.79 * {params} ^ -0.713 * training.tokens ^ 0.307");
    fitted(q, "recipe.learning_rate.step_law", &formula, STEP_LAW);
    if q.number("recipe.compute").is_some_and(|compute| compute > 0.0) {
        let formula = "0.3118 * (recipe.compute / 1 FLOP) ^ -0.125";
        fitted(q, "recipe.learning_rate.deepseek", formula, DEEPSEEK);
    }
    middle(q, "recipe.learning_rate");
    if training.recipe.learning_rate.is_some() {
        missed(q, "recipe.learning_rate", "training.learning_rate", Miss::LearningRate);
    }
}

fn batch(q: &mut Quantities<'_>, training: &Training) {
    fitted(q, "recipe.batch.step_law", "0.58 * training.tokens ^ 0.571", STEP_LAW);
    if q.number("recipe.compute").is_some_and(|compute| compute > 0.0) {
        let formula = "0.2920 * (recipe.compute / 1 FLOP) ^ 0.3271";
        fitted(q, "recipe.batch.deepseek", formula, DEEPSEEK);
    }
    middle(q, "recipe.batch");
    if training.global_batch.is_some() {
        missed(q, "recipe.batch", "training.tokens_per_step", Miss::Batch);
    }
}

/// The middle of both laws, with them as its ends; of one law where there is no other.
fn middle(q: &mut Quantities<'_>, path: &str) {
    let own = |law: &str| format!("{path}.{law}");
    let (step, other) = (own("step_law"), own("deepseek"));
    match (q.number(&step), q.number(&other)) {
        (Some(a), Some(b)) => {
            fitted(q, path, &format!("sqrt({step} * {other})"), MIDDLE);
            q.interval(path, a.min(b), a.max(b));
        }
        (Some(_), None) => fitted(q, path, &step, STEP_LAW),
        (None, _) => {}
    }
}

/// How far what is declared is from the nearest that is recommended, and what that costs.
fn missed(q: &mut Quantities<'_>, path: &str, declared: &str, miss: Miss) {
    let (step, other) = (format!("{path}.step_law"), format!("{path}.deepseek"));
    let nearest = match q.get(&other) {
        Some(_) => format!("max(min({step}, {other}), min({declared}, max({step}, {other})))"),
        None => step,
    };
    let own = format!("{path}.miss");
    fitted(q, &own, &format!("{declared} / {nearest}"), "1 anywhere between the two laws");
    let Some(factor) = q.number(&own) else { return };
    let lost = lost(miss, factor);
    let share = format!("{path}.loss_share");
    let source =
        "medians over Step Law's runs (Li 2025), between their points by the logarithm of the factor";
    q.modelled(&share, Value::Real(lost), "what a miss of this factor cost", &[&own], source);
    q.no_surer_than(&share, Grade::Fitted);
    let law = &q.plan.law;
    let (Some(loss), Some(_)) = (q.number("scaling.loss"), scaling::gain_exponent(law)) else { return };
    let floor = scaling::floor(law);
    if loss - floor < efficiency::LEAST_REDUCIBLE || loss > MOST_LOSS {
        return;
    }
    let above = if floor > 0.0 { " - law.e" } else { "" };
    let formula = format!(
        "((scaling.loss * (1 + {share}){above}) / (scaling.loss{above})) ^ (1 / law.alpha + 1 / law.beta)"
    );
    fitted(
        q,
        &format!("{path}.compute"),
        &formula,
        "compute for the same loss, by the law: what is above the floor falls as C^-g",
    );
}

/// The critical batch, what the declared one takes beyond the least, and the replicas that it can feed.
fn critical(q: &mut Quantities<'_>, training: &Training) {
    fitted(q, "recipe.critical_batch", "22.91 * (training.tokens / 1e6) ^ 0.47 * 512", ZHANG);
    if q.number("scaling.loss").is_some_and(|loss| loss > 0.0 && loss < MOST_LOSS) {
        fitted(q, "recipe.critical_batch.kaplan", "2e8 / scaling.loss ^ (1 / 0.21)", KAPLAN);
    }
    if training.global_batch.is_some() {
        let formula = "0.2 * training.tokens_per_step / recipe.critical_batch";
        fitted(q, "recipe.batch.extra_tokens_share", formula, MCCANDLISH);
        let formula = "recipe.critical_batch / (0.2 * training.tokens_per_step)";
        fitted(q, "recipe.batch.extra_steps_share", formula, MCCANDLISH);
    }
    if training.micro_batch.is_some() {
        let formula = "floor(recipe.critical_batch / (training.micro_batch * flops.sequence))";
        fitted(
            q,
            "recipe.data_parallel",
            formula,
            "a micro-batch each: more replicas make the batch larger than critical",
        );
    }
}

/// A quantity of a law whose constants are written out.
fn fitted(q: &mut Quantities<'_>, path: &str, formula: &str, source: &str) {
    q.derive(path, formula, source);
    q.no_surer_than(path, Grade::Fitted);
}
