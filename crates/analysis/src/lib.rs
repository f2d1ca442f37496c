//! The arithmetic of training a language model: a typed plan becomes a Graph of operators, and every number of the
//! report is a fold over it, or a formula over such folds.
//!
//! Pure functions: nothing here reads a file, a clock or the environment. Each formula names its source.

mod alignment;
pub mod budget;
mod closed;
pub mod cluster;
pub mod efficiency;
pub mod explain;
mod flops;
pub mod folds;
mod goodput;
pub mod graph;
mod inference;
mod intervals;
pub mod levers;
mod lora;
pub mod missing;
mod model;
mod on_cluster;
mod parsed;
mod pipeline;
mod quantities;
pub mod recipe;
pub mod report;
mod requirements;
pub mod saved;
pub mod scaling;
pub mod search;
mod sections;
pub mod tensors;
mod traffic;
mod training;

pub use training::{master_bytes, moment_bytes};

use llmplan_spec::diagnostic::Diagnostic;
use llmplan_spec::plan::{
    AttentionConvention, BytesConvention, FeedForward, FlopsConvention, LayerKind, Mixer, Model, Origin,
    ParamsConvention, Plan, Reach, SettingValue,
};
use llmplan_spec::schema;
use llmplan_spec::source::Sources;
use llmplan_spec::units::format;

use quantities::Quantities;
use report::{Assumption, Report};

/// What there is to say about a plan.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The report; `None` where the plan's numbers do not come out.
    pub report: Option<Report>,
    /// What is wrong. Counts beyond 128 bits, degrees and batches that do not divide, and a device without a peak for
    /// the precision leave no report; a requirement that cannot be computed leaves the rest of it standing.
    pub diagnostics: Vec<Diagnostic>,
}

/// Everything this version knows about a plan.
pub fn analyze(plan: &Plan, sources: &Sources) -> Analysis {
    analyzed(plan, sources, false)
}

/// The numbers of [`analyze`], in half the time: without tables, formulas in words, and intervals.
pub fn numbers(plan: &Plan, sources: &Sources) -> Analysis {
    analyzed(plan, sources, true)
}

fn analyzed(plan: &Plan, sources: &Sources, bare: bool) -> Analysis {
    let graph = graph::lower(&plan.model);
    let mut q = Quantities::new(plan, sources);
    q.bare = bare;
    let own = |path: &str| plan.setting(path).is_some();
    let forms = model::Forms::new(plan, &graph, &own);
    model::parameters(&mut q, &graph, &forms);
    lora::parameters(&mut q, &graph);
    model::weights(&mut q);
    let tokens = flops::flops(&mut q, &graph, &forms);
    traffic::cache(&mut q, &forms);
    traffic::experts(&mut q, &forms);
    traffic::intensity(&mut q, &graph, tokens);
    pipeline::raw(&mut q);
    training::data(&mut q);
    training::memory(&mut q, &graph);
    training::run(&mut q, &graph);
    goodput::run(&mut q);
    scaling::run(&mut q);
    alignment::run(&mut q, &graph);
    pipeline::run(&mut q);
    recipe::run(&mut q);
    efficiency::run(&mut q);
    budget::run(&mut q);
    inference::run(&mut q, &forms);
    if !q.errors.is_empty() {
        return Analysis { report: None, diagnostics: q.errors };
    }
    let (requirements, mut diagnostics) = requirements::judge(&mut q);
    diagnostics.append(&mut q.warnings);
    let sparse = q.get("model.params.active_experts").is_some();
    let headline = HEADLINE
        .iter()
        .filter(|path| q.get(path).is_some() && (sparse || **path != "model.active_params"))
        .map(|path| (*path).to_owned())
        .collect();
    let report = Report {
        plan: plan.name.clone(),
        file: sources.get(plan.span.file).name.clone(),
        sections: if bare { Vec::new() } else { sections::all(&q) },
        headline,
        requirements,
        assumptions: assumptions(&q),
        conventions: conventions(&q),
        unmodelled: q.notes,
        quantities: q.list,
    };
    Analysis { report: Some(report), diagnostics }
}

/// A model's parameters, total and active per token; `None` beyond 128 bits.
pub fn count(model: &Model) -> Option<(u128, u128)> {
    let graph = graph::lower(model);
    Some((folds::params(&graph)?.total()?, folds::active_params(&graph)?.total()?))
}

/// The numbers of `--brief`, of those a plan has.
const HEADLINE: [&str; 21] = [
    "model.params",
    "model.active_params",
    "memory.weights_only.bf16",
    "flops.sequence",
    "flops.forward_per_token",
    "flops.training_per_token",
    "memory.model_states",
    "memory.per_device",
    "data.epochs",
    "scaling.loss",
    "training.flops",
    "training.mfu",
    "training.time",
    "training.calendar_time",
    "training.device_hours",
    "training.cost",
    "inference.tpot",
    "inference.cost_per_million",
    "inference.lifetime.cost",
    "alignment.time",
    "alignment.cost",
];

fn conventions(q: &Quantities<'_>) -> Vec<String> {
    let plan = q.plan;
    let convention = plan.convention;
    let mut lines = vec![
        "a multiply-add is 2 FLOP; lookups, norms, activations and softmax are not counted".to_owned(),
        attention_convention(plan),
        match convention.params {
            ParamsConvention::Total => "N is all parameters, embeddings included (convention.params = total)",
            ParamsConvention::NonEmbedding => {
                "N is without embeddings, positions and output (convention.params = non_embedding)"
            }
        }
        .to_owned(),
        match convention.bytes {
            BytesConvention::Decimal => "1 GB is 10^9 bytes (convention.bytes = GB)",
            BytesConvention::Binary => "1 GiB is 2^30 bytes (convention.bytes = GiB)",
        }
        .to_owned(),
        "peaks are dense: without sparsity".to_owned(),
    ];
    if q.get("training.mfu").is_some() {
        lines.push(
            match convention.flops {
                FlopsConvention::Model => {
                    "MFU is of the model's FLOPs, without what is recomputed (convention.flops = model)"
                }
                FlopsConvention::Executed => {
                    "MFU is of executed FLOPs, with what is recomputed: HFU (convention.flops = executed)"
                }
            }
            .to_owned(),
        );
    }
    if plan.training.as_ref().is_some_and(|training| training.lora.is_some()) {
        lines.push(
            "weights are frozen: the backward pass has no gradients of theirs, and those of inputs through all layers"
                .to_owned(),
        );
    }
    lines
}

/// The defaults that numbers of the report rest on.
fn assumptions(q: &Quantities<'_>) -> Vec<Assumption> {
    let mut assumptions = Vec::new();
    if let Some(sequence) = q.get("flops.sequence")
        && let report::Derivation::Attribute { place } = &sequence.derivation
    {
        assumptions.push(Assumption {
            path: sequence.path.clone(),
            value: sequence.display.clone(),
            why: place.trim_start_matches("default: ").to_owned(),
        });
    } else if q.plan.training.as_ref().is_none_or(|training| training.sequence.is_none()) {
        assumptions.push(Assumption {
            path: "flops.sequence".to_owned(),
            value: q.display("flops.sequence"),
            why: "`training.sequence` is not declared: FLOPs are counted for the model's whole context"
                .to_owned(),
        });
    }
    for setting in &q.plan.settings {
        let Origin::Default(why) = &setting.origin else { continue };
        if !matters(q, &setting.path) {
            continue;
        }
        let value = match &setting.value {
            SettingValue::Text(text) => text.clone(),
            SettingValue::Quantity(amount) if quantities::in_percent(&setting.path) => {
                format::percent(amount.number.real())
            }
            SettingValue::Quantity(amount) => q.show(amount.number, amount.unit, 6),
        };
        assumptions.push(Assumption { path: setting.path.clone(), value, why: (*why).to_owned() });
    }
    assumptions
}

/// Whether a number of this report depends on an attribute's default.
fn matters(q: &Quantities<'_>, path: &str) -> bool {
    let silent = schema::declared(path).is_some_and(|attribute| attribute.inert.is_some() || attribute.quiet);
    let batches = q.get("training.micro_batches").is_some();
    let replicas = q.get("training.replicas").is_some();
    match path {
        _ if silent || path.starts_with("convention.") => false,
        // Derived from each other: what is declared of the two is no assumption.
        "hardware.nodes" | "hardware.devices" => false,
        _ if absent(q, path) => false,
        "device.devices_per_node" => q
            .plan
            .setting("hardware.devices")
            .is_some_and(|devices| matches!(devices.origin, Origin::Default(_))),
        _ if operates(path) || beside(path) => q.get(path).is_some(),
        "training.optimizer_block" => q.get("memory.optimizer.scales").is_some(),
        "training.parallelism.tensor" | "training.parallelism.pipeline" => batches,
        "training.parallelism.data" => replicas && batches,
        _ => true,
    }
}

/// Whether an attribute belongs to a part whose defaults matter where a number reads them.
fn beside(path: &str) -> bool {
    ["law.", "inference.", "alignment.", "budget.", "gain."].iter().any(|part| path.starts_with(part))
}

/// Whether an attribute says how a cluster is run. Its default matters where a number reads it.
fn operates(path: &str) -> bool {
    let rest = path.strip_prefix("hardware.");
    rest.is_some_and(|rest| !matches!(rest, "device" | "price" | "reserve") && !rest.contains('.'))
}

/// Whether an attribute belongs to a part that no layer of the model has.
fn absent(q: &Quantities<'_>, path: &str) -> bool {
    let part =
        |name: &str| path.starts_with(&format!("model.{name}.")) || path.contains(&format!(".{name}."));
    let kinds = &q.plan.model.kinds;
    let attends = kinds.iter().any(|kind| matches!(kind.layer.mixer, Mixer::Attention(_)));
    let dense = kinds.iter().any(|kind| matches!(kind.layer.feed_forward, FeedForward::Dense(_)));
    // Widths and numbers of heads that follow from latents are no assumptions.
    let latent =
        |kind: &LayerKind| matches!(&kind.layer.mixer, Mixer::Attention(own) if own.latent.is_some());
    let derived = path.ends_with("attention.head_dim") || path.ends_with("attention.kv_heads");
    (part("attention") && !attends) || (part("ffn") && !dense) || (derived && kinds.iter().all(latent))
}

/// Which scores count, and what keeps some from being computed.
fn attention_convention(plan: &Plan) -> String {
    let reaches: Vec<Reach> = plan
        .model
        .kinds
        .iter()
        .filter_map(|kind| match &kind.layer.mixer {
            Mixer::Attention(own) => Some(own.reach),
            _ => None,
        })
        .collect();
    let documents = plan.training.as_ref().is_some_and(|training| training.documents.is_some());
    let bounds: Vec<&str> = [
        (reaches.iter().any(|reach| matches!(reach, Reach::Window(_))), "windows"),
        (reaches.iter().any(|reach| matches!(reach, Reach::Chunk(_))), "chunks"),
        (documents, "documents"),
    ]
    .into_iter()
    .filter_map(|(there, word)| there.then_some(word))
    .collect();
    let (word, scores) = match plan.convention.attention {
        AttentionConvention::Full => {
            ("full", if bounds.is_empty() { "all T² scores count" } else { "all scores count" })
        }
        AttentionConvention::Causal => (
            "causal",
            if bounds.is_empty() { "T(T+1)/2 scores count" } else { "scores that are not masked count" },
        ),
    };
    let within = if bounds.is_empty() { String::new() } else { format!(" within {}", bounds.join(" and ")) };
    format!("attention is {word}: {scores}{within} (convention.attention = {word})")
}
