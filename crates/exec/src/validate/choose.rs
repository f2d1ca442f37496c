//! What is run of a plan: all of it, or its layers at full width, or the same architecture made smaller.

use llmplan_analysis::graph::{Graph, lower};
use llmplan_analysis::saved::Keep;
use llmplan_spec::plan::{
    Checkpointing, Documents, MainGradients, Model, Offload, Plan, Precision, StateType, Training,
};
use llmplan_spec::units::format::grouped;
use serde::Serialize;

use super::compare::PEAKS;
use super::ladder::ladder;
use super::slices::{self, Slice};
use crate::forecast::{Forecast, forecast};
use crate::optimizer::Kind;
use crate::trial::Setup;

/// What a validation may take, and what the device gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Seconds for the plan.
    pub seconds: f64,
    /// The most bytes to use.
    pub memory: u64,
    /// Steps that are timed.
    pub steps: u64,
    /// FLOP/s of the best matrix product in f32, measured in the same run.
    pub rate: f64,
    /// Whether kernels of our own run: on the CPU.
    pub fused: bool,
}

/// How much of a plan is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// The whole model.
    Whole,
    /// One and two layers of each kind at full width, between embedding and head.
    Slices,
    /// The same architecture at several smaller widths.
    Proxies,
}

/// What is run.
#[derive(Clone, Debug)]
pub struct Choice {
    /// How much of the plan.
    pub extent: Extent,
    /// The runs, one after another.
    pub runs: Vec<Planned>,
    /// Why, in a sentence with its numbers.
    pub why: String,
}

/// A run that is planned.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What it is: `whole`, `1 × base`, `width 64`.
    pub label: String,
    /// The model.
    pub model: Model,
    /// Its operators.
    pub graph: Graph,
    /// How it is trained.
    pub setup: Setup,
    /// What that will take.
    pub forecast: Forecast,
}

/// Why nothing is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

/// T of a plan that declares neither a sequence nor a context.
const SEQUENCE: u64 = 2048;
/// Steps that are timed at the most where time is short.
const LIGHT_STEPS: u64 = 2;
/// The shortest sequence that the whole model is shortened to.
const SHORTEST: u64 = 64;
/// What the program itself takes.
const PROGRAM: u128 = 64 << 20;
/// The share of the best product's rate that a step is taken to reach.
const REACHED: f64 = 0.4;
/// Proxies that are run at least: fewer say nothing of how times grow.
const LEAST_PROXIES: usize = 4;
/// Layers that are folded one by one at the most.
const MOST_LAYERS: u64 = 10_000;

/// Chooses what to run of a plan.
///
/// # Errors
/// Limits that not even the smallest proxies keep.
pub fn choose(plan: &Plan, limits: &Limits) -> Result<Choice, Refused> {
    let model = &plan.model;
    let trained = plan.training.as_ref();
    if let Some(attribute) = trained.and_then(unknown) {
        return Err(Refused(format!(
            "a trial does not run `{attribute}` of this plan: change it with `--set`"
        )));
    }
    let declared = trained.and_then(|training| training.sequence).or(model.context).unwrap_or(SEQUENCE);
    for light in [false, true] {
        let limits =
            &if light { Limits { steps: limits.steps.min(LIGHT_STEPS), ..*limits } } else { *limits };
        let mut tokens = declared;
        while tokens >= SHORTEST.min(declared) {
            let mut setup = setup(plan, model, tokens, limits);
            if light {
                (setup.sequences, setup.micro_batches) = (1, 1);
            }
            let whole = planned("whole", model.clone(), setup, limits);
            if let Some(whole) = whole.filter(|whole| fits(std::slice::from_ref(whole), limits)) {
                return Ok(entire(whole, declared, limits));
            }
            tokens /= 2;
        }
    }
    let whole = planned("whole", model.clone(), setup(plan, model, declared, limits), limits);
    let large = match &whole {
        Some(whole) => format!(
            "the whole model takes {} and about {:.0} s a step, where {} and {:.0} s are allowed",
            bytes(whole.forecast.peak),
            seconds(whole, limits),
            bytes(limits.memory.into()),
            limits.seconds
        ),
        None => "the whole model's numbers are beyond 128 bits".to_owned(),
    };
    let short = declared.min(128);
    if let Some(runs) = slices(plan, short, limits).filter(|runs| fits(runs, limits)) {
        let why = format!("{large}: one and two layers of each kind at full width");
        return Ok(Choice { extent: Extent::Slices, runs, why });
    }
    let mut runs = proxies(plan, ladder(model, short, false), short, limits);
    if runs.len() < LEAST_PROXIES {
        let limits = Limits { steps: limits.steps.min(LIGHT_STEPS), ..*limits };
        let short = declared.min(SHORTEST);
        let sizes = ladder(model, short, true);
        let least = sizes.first().cloned();
        runs = proxies(plan, sizes, short, &limits);
        if runs.len() < LEAST_PROXIES {
            let least = least.map_or_else(String::new, |least| told(plan, least, short, &limits));
            let fit = format!("of the {LEAST_PROXIES} proxies that a law needs {} fit", runs.len());
            return Err(Refused(format!("{large}, and {fit}{least}")));
        }
    }
    let why = format!("{large}: {} proxies of the same architecture", runs.len());
    Ok(Choice { extent: Extent::Proxies, runs, why })
}

/// Graphs of one and of two layers of each sort at full width. `None` beyond 128 bits, and for models of so many layers
/// that their numbers cannot be folded layer by layer.
fn slices(plan: &Plan, tokens: u64, limits: &Limits) -> Option<Vec<Planned>> {
    let model = &plan.model;
    if model.layers.saturating_add(model.mtp) > MOST_LAYERS {
        return None;
    }
    let whole = setup(plan, model, tokens, limits);
    let slices = slices::slices(model, &whole.keep).into_iter();
    let run = |slice: Slice| {
        planned(&slice.label, slice.model, Setup { keep: slice.keep, ..whole.clone() }, limits)
    };
    slices.map(run).collect()
}

/// The whole model as its slices are trained: what they add up to is held against it.
pub(super) fn whole_of(plan: &Plan, slice: &Setup) -> Planned {
    let (model, graph) = (plan.model.clone(), lower(&plan.model));
    let setup = Setup { keep: keeps(plan, &model), ..slice.clone() };
    Planned { label: "whole".to_owned(), model, graph, setup, forecast: Forecast::default() }
}

/// The proxies that fit, the smallest first.
fn proxies(plan: &Plan, sizes: Vec<Model>, tokens: u64, limits: &Limits) -> Vec<Planned> {
    let mut runs: Vec<Planned> = Vec::new();
    for small in sizes {
        let Some(run) = proxy(plan, small, tokens, limits) else { break };
        runs.push(run);
        if !fits(&runs, limits) {
            runs.pop();
            break;
        }
    }
    runs
}

/// The whole model, and why.
fn entire(whole: Planned, declared: u64, limits: &Limits) -> Choice {
    let Setup { sequences, tokens, .. } = whole.setup;
    let short = if tokens < declared {
        format!(" at {} of its {} tokens", grouped(tokens.into()), grouped(declared.into()))
    } else {
        format!(" at {} tokens", grouped(tokens.into()))
    };
    let sequences = if sequences == 1 { "1 sequence".to_owned() } else { format!("{sequences} sequences") };
    let why = format!(
        "the whole model{short}, {sequences} at a time: about {} of {}",
        bytes(whole.forecast.peak),
        bytes(limits.memory.into())
    );
    Choice { extent: Extent::Whole, runs: vec![whole], why }
}

fn proxy(plan: &Plan, small: Model, tokens: u64, limits: &Limits) -> Option<Planned> {
    let setup = setup(plan, &small, tokens, limits);
    planned(&format!("width {}", small.d_model), small, setup, limits)
}

/// What a proxy takes, in words behind others.
fn told(plan: &Plan, small: Model, tokens: u64, limits: &Limits) -> String {
    let Some(run) = proxy(plan, small, tokens, limits) else { return String::new() };
    let memory = bytes(needed(run.forecast.peak));
    let time = seconds(&run, limits) * (run.setup.steps + 1) as f64;
    format!(": the smallest takes {memory} and about {time:.2} s")
}

/// What a plan's training asks for that trials do not run.
fn unknown(training: &Training) -> Option<String> {
    let optimizer = training.optimizer;
    [
        (Kind::of(optimizer).is_none(), format!("training.optimizer = {}", optimizer.word())),
        (
            training.matmul.word() != training.precision.word(),
            format!("training.matmul = {}", training.matmul.word()),
        ),
        (training.dropout > 0.0, "training.dropout".to_owned()),
        (
            training.main_gradients != MainGradients::None,
            format!("training.main_gradients = {}", training.main_gradients.word()),
        ),
        (training.offload_activations, "training.offload_activations = true".to_owned()),
        (training.optimizer_states != StateType::Fp32, "training.optimizer_states = bf16".to_owned()),
        (
            !training.master_weights && training.precision != Precision::Fp32,
            "training.master_weights = none".to_owned(),
        ),
        (training.checkpointing == Checkpointing::Modules, "training.checkpointing = modules".to_owned()),
        (training.offload == Offload::Parameters, "training.offload = parameters".to_owned()),
        (training.lora.is_some(), "training.lora".to_owned()),
        // Learning rate, schedule and study change no cost of a step; what the loss is made of does.
        (training.recipe.distillation.is_some(), "training.distillation".to_owned()),
        (training.recipe.z_loss, "training.z_loss = true".to_owned()),
    ]
    .into_iter()
    .find_map(|(asked, attribute)| asked.then_some(attribute))
}

/// How a plan's training runs a model, over sequences of so many tokens.
fn setup(plan: &Plan, model: &Model, tokens: u64, limits: &Limits) -> Setup {
    let training = plan.training.as_ref();
    let precision = training.map_or(Precision::Fp32, |training| training.precision);
    let documents = training.and_then(|training| training.documents.clone());
    let whole = training.and_then(|training| training.sequence) == Some(tokens);
    Setup {
        precision,
        gradients: training.map_or(precision, |training| training.gradients),
        optimizer: training.and_then(|training| Kind::of(training.optimizer)).unwrap_or(Kind::Adamw),
        optimizer_block: training.map_or(256, |training| training.optimizer_block),
        offload: training.is_some_and(|training| training.offload == Offload::Optimizer),
        loss_scale: training.map_or(1.0, |training| training.loss_scale as f64),
        keep: keeps(plan, model),
        sequences: training.and_then(|training| training.micro_batch).unwrap_or(1).clamp(1, 4),
        tokens,
        documents: match documents {
            Some(Documents::Listed(_)) if !whole => None,
            other => other,
        },
        micro_batches: 2,
        steps: limits.steps,
    }
}

/// What each layer of a model keeps under a plan's training; layers beyond a million are not told apart.
fn keeps(plan: &Plan, model: &Model) -> Vec<Keep> {
    let keep = |layer| match &plan.training {
        Some(training) if training.recomputes(layer, model.layers) => match training.checkpointing {
            Checkpointing::None | Checkpointing::Modules => Keep::All,
            Checkpointing::Selective => Keep::Selective,
            Checkpointing::Full => Keep::Input,
        },
        _ => Keep::All,
    };
    (0..model.layers.min(1 << 20)).map(keep).collect()
}

fn planned(label: &str, model: Model, setup: Setup, limits: &Limits) -> Option<Planned> {
    let graph = lower(&model);
    let forecast = forecast(&graph, &setup, limits.fused)?;
    Some(Planned { label: label.to_owned(), model, graph, setup, forecast })
}

/// Whether runs keep to the limits: the memory each, the time all together.
fn fits(runs: &[Planned], limits: &Limits) -> bool {
    let memory = runs.iter().all(|run| needed(run.forecast.peak) <= u128::from(limits.memory));
    let time: f64 = runs.iter().map(|run| seconds(run, limits) * (run.setup.steps + 1) as f64).sum();
    memory && time <= limits.seconds
}

/// The bytes that a run may take at the most, the program included.
pub fn needed(peak: u128) -> u128 {
    let margin = (peak as f64 * (1.0 + PEAKS)) as u128;
    margin.saturating_add(PROGRAM)
}

/// The seconds that a step is taken to need: products at a share of the best rate, and what moves between them.
fn seconds(run: &Planned, limits: &Limits) -> f64 {
    let slower = match (run.setup.precision, limits.fused) {
        (Precision::Fp32, _) | (_, false) => 1.0,
        // A CPU has no units for 16 bits: values are widened, and nothing is fused.
        (_, true) => 4.0,
    };
    let products = run.forecast.flops as f64 / (limits.rate * REACHED);
    let moved = run.forecast.peak as f64 * run.setup.micro_batches as f64 / 2e9;
    (products + moved) * slower
}

fn bytes(bytes: u128) -> String {
    use llmplan_spec::units::format::{BytePrefix, quantity};
    use llmplan_spec::units::{Number, Unit};
    quantity(Number::Int(i128::try_from(bytes).unwrap_or(i128::MAX)), Unit::BYTES, 3, BytePrefix::Decimal)
}
