//! Data, training memory and the run itself: steps and time at an MFU that is declared or measured.

mod memory;

pub(crate) use memory::memory;
pub use memory::{master_bytes, moment_bytes};

use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::plan::{
    Batch, FlopsConvention, Hardware, MatmulType, Measurement, Origin, Precision, Training,
};
use llmplan_spec::source::Span;
use llmplan_spec::units::format;
use llmplan_spec::units::{Number, Unit};

use crate::folds::{self, Sequence};
use crate::graph::Graph;
use crate::lora;
use crate::model::params_path;
use crate::on_cluster;
use crate::quantities::Quantities;

const MFU: &str = "Chowdhery 2022 appendix B";

/// Sources of data: what is distinct, what is taken, how often it is seen.
pub(crate) fn data(q: &mut Quantities<'_>) {
    let Some(data) = &q.plan.data else { return };
    q.leaf("data.tokens");
    if data.sources.is_empty() {
        return;
    }
    let mut unique = Vec::new();
    for source in &data.sources {
        let path = |leaf: &str| format!("data.{}.{leaf}", source.name);
        let stages: Vec<String> =
            source.stages.iter().map(|(stage, _)| format!(" * {}", path(stage))).collect();
        q.derive(
            &path("unique"),
            &format!("{}{}", path("raw"), stages.concat()),
            "stages keep a share each, in order",
        );
        q.derive(&path("tokens"), &format!("{} * data.tokens", path("weight")), "mixture weights");
        q.derive(
            &path("epochs"),
            &format!("{} / {}", path("tokens"), path("unique")),
            "tokens taken over distinct tokens",
        );
        unique.push(path("unique"));
    }
    q.derive("data.unique_tokens", &unique.join(" + "), "sources are taken to be disjoint");
    q.derive("data.epochs", "data.tokens / data.unique_tokens", "tokens taken over distinct tokens");
}

/// Steps and time.
pub(crate) fn run(q: &mut Quantities<'_>, graph: &Graph) {
    let plan = q.plan;
    let Some(training) = &plan.training else { return };
    recomputed(q, graph, training);
    if plan.data.is_some() {
        q.derive("training.tokens", "data.tokens", "as declared");
        q.derive(
            "training.flops",
            "flops.training_per_token * training.tokens",
            "every token once forward, once backward",
        );
        if q.get("flops.recomputed").is_some() {
            q.derive(
                "training.hardware_flops",
                "(flops.training + flops.recomputed) / flops.sequence * training.tokens",
                "with what is recomputed",
            );
        }
        let n = params_path(q);
        let (each, source) = match training.lora {
            Some(_) => (4, lora::FROZEN),
            None => (6, "Kaplan 2020 §2.1; Hoffmann 2022 §3"),
        };
        let rule = format!("{each} FLOP * {n} * training.tokens");
        q.derive("training.rule_of_thumb", &rule, source);
    }
    if let Some(batch) = training.global_batch {
        let formula = match batch {
            Batch::Sequences(_) => "training.global_batch * flops.sequence",
            Batch::Tokens(_) => "training.global_batch",
        };
        q.derive("training.tokens_per_step", formula, "as declared");
        if plan.data.is_some() {
            q.derive(
                "training.steps",
                "ceil(training.tokens / training.tokens_per_step)",
                "the last step begun counts",
            );
        }
    }
    if let Some(hardware) = &plan.hardware {
        on_hardware(q, graph, training, hardware);
    }
}

/// What the backward pass runs again of one sequence.
fn recomputed(q: &mut Quantities<'_>, graph: &Graph, training: &Training) {
    let plan = q.plan;
    let Some(tokens) = q.number("flops.sequence") else { return };
    let sequence = Sequence {
        tokens: tokens as u64,
        documents: training.documents.as_ref(),
        attention: plan.convention.attention,
    };
    let layers = plan.model.layers;
    let flops = folds::rerun_flops(graph, sequence, training, layers);
    let inputs = ["flops.sequence", "training.checkpointing"];
    q.procedure(
        "flops.recomputed",
        flops,
        "products of what is not kept",
        &inputs,
        "Chen 2016; Korthikanti 2022 §5",
    );
}

fn on_hardware(q: &mut Quantities<'_>, graph: &Graph, training: &Training, hardware: &Hardware) {
    let plan = q.plan;
    if hardware.device.memory.is_some() {
        q.derive("hardware.memory", "hardware.devices * device.memory", "as sold");
    }
    replicas(q, training, hardware);
    if hardware.device.peak.of(training.precision).is_none() {
        return no_peak(q, hardware, training.precision.word(), "training.precision");
    }
    if hardware.device.peak.of_matmul(training.matmul).is_none() {
        return no_peak(q, hardware, training.matmul.word(), "training.matmul");
    }
    assume_defaults(q, &["training.precision"], &["hardware.peak"]);
    q.derive(
        "hardware.peak",
        &format!("hardware.devices * device.peak.{}", training.matmul.word()),
        "dense peak of the data sheet",
    );
    if let Some(measured) = &hardware.measured {
        self::measured(q, training, hardware, measured);
    }
    on_cluster::report(q, graph);
    if training.mfu.is_none() && hardware.measured.is_none() {
        if q.get("training.modelled_mfu").is_none() {
            return;
        }
        q.derive("training.mfu", "training.modelled_mfu", "the modelled step");
    }
    let executed = plan.convention.flops == FlopsConvention::Executed;
    if q.get("flops.recomputed").is_some() {
        let formula = match executed {
            true => "training.mfu",
            false => "training.mfu * (flops.training + flops.recomputed) / flops.training",
        };
        q.derive("training.hfu", formula, "Chowdhery 2022 §4.1; Korthikanti 2022 §6.3");
    }
    let rate = "hardware.peak * training.mfu";
    let each = counted(plan.convention.flops);
    q.derive("training.tokens_per_second", &format!("{rate} / ({each})"), MFU);
    if training.global_batch.is_some() {
        let formula = format!("{each} * training.tokens_per_step / ({rate})");
        q.derive("training.step_time", &formula, MFU);
    }
    if plan.data.is_some() {
        let all = if executed { "training.hardware_flops" } else { "training.flops" };
        let source = format!("{all} over what the devices achieve: Chowdhery 2022 appendix B");
        q.derive("training.time", &format!("{all} / ({rate})"), &source);
    }
}

/// FLOPs of a token that a utilisation is of.
pub(crate) fn counted(convention: FlopsConvention) -> &'static str {
    match convention {
        FlopsConvention::Model => "flops.training_per_token",
        FlopsConvention::Executed => "(flops.training + flops.recomputed) / flops.sequence",
    }
}

/// What was measured, and the MFU that follows from it where none is declared.
fn measured(q: &mut Quantities<'_>, training: &Training, hardware: &Hardware, measured: &Measurement) {
    let Some(peak) = hardware.device.peak.of(training.precision) else { return };
    let precision = training.precision.word();
    if measured.achieved > peak {
        return above_peak(q, hardware, measured, peak);
    }
    let plan = q.plan;
    let own = plan.settings.iter().filter(|setting| setting.path.starts_with("hardware.measured"));
    own.for_each(|setting| q.leaf(&setting.path));
    if training.mfu.is_none() {
        let formula = format!("hardware.measured.achieved / device.peak.{precision}");
        q.derive(
            "training.mfu",
            &formula,
            "what was measured over the dense peak of one device: Chowdhery 2022 §4.1",
        );
    }
}

fn above_peak(q: &mut Quantities<'_>, hardware: &Hardware, measured: &Measurement, peak: f64) {
    let rate = |rate: f64| q.show(Number::Real(rate), Unit::FLOP_PER_SECOND, 4);
    let path = format!("device.peak.{}", measured.precision.word());
    let share = format::percent(measured.achieved / peak);
    let span = place(q, &["hardware.measured.achieved", "hardware.measured"]);
    let mut diagnostic = Diagnostic::error(
        Code::AchievedAbovePeak,
        span,
        "the measurement achieved more than the peak of the plan's device",
    )
    .label(format!("{} / {} = {share}", rate(measured.achieved), rate(peak)));
    diagnostic = diagnostic.also(measured.cited, "cited here");
    if let Some(peak) = declared(q, &path) {
        diagnostic = diagnostic.also(peak, format!("the dense peak of `{}`", hardware.device.name));
    }
    q.errors.push(
        diagnostic
            .note(format!("it ran on \"{}\"", measured.device))
            .help("cite a measurement of the plan's own device, or correct its peak"),
    );
}

/// Replicas and micro-batches: whole numbers, or an error with the arithmetic.
fn replicas(q: &mut Quantities<'_>, training: &Training, hardware: &Hardware) {
    let parallelism = &training.parallelism;
    let model_parallel = [parallelism.tensor, parallelism.pipeline, parallelism.context]
        .into_iter()
        .fold(1_u128, |product, degree| product.saturating_mul(u128::from(degree)));
    let devices = u128::from(hardware.devices);
    let product = model_parallel.saturating_mul(u128::from(parallelism.data.unwrap_or(1)));
    let fits = match parallelism.data {
        Some(_) => product == devices,
        None => devices % model_parallel == 0,
    };
    if !fits {
        let mut own = format!("{} × {}", parallelism.tensor, parallelism.pipeline);
        if parallelism.context > 1 {
            own = format!("{own} × {}", parallelism.context);
        }
        let degrees = match parallelism.data {
            Some(data) => format!("{own} × {data} = {product}"),
            None => format!("{own} = {model_parallel}, and {devices} / {model_parallel} is not whole"),
        };
        let span = place(
            q,
            &[
                "training.parallelism.data",
                "training.parallelism.tensor",
                "training.parallelism.pipeline",
                "training.parallelism.context",
            ],
        );
        let mut diagnostic = Diagnostic::error(
            Code::DegreesDoNotMultiply,
            span,
            format!("the degrees of parallelism do not multiply to {devices} devices"),
        )
        .label(degrees)
        .note("tensor × pipeline × context × data is the number of devices");
        if let Some(devices) = declared(q, "hardware.devices").or_else(|| declared(q, "hardware.nodes")) {
            diagnostic = diagnostic.also(devices, format!("{} devices", hardware.devices));
        }
        if parallelism.data.is_some() && devices % model_parallel == 0 {
            diagnostic =
                diagnostic.help(format!("use `data = {}` or `data = auto`", devices / model_parallel));
        }
        return q.errors.push(diagnostic);
    }
    let formula = match parallelism.data {
        Some(_) => "training.parallelism.data",
        None if parallelism.context > 1 => {
            "hardware.devices / (training.parallelism.tensor * training.parallelism.pipeline * training.parallelism.context)"
        }
        None => "hardware.devices / (training.parallelism.tensor * training.parallelism.pipeline)",
    };
    q.derive("training.replicas", formula, "the devices that the other degrees leave");
    micro_batches(q, training, devices / model_parallel);
}

fn micro_batches(q: &mut Quantities<'_>, training: &Training, replicas: u128) {
    let (Some(batch), Some(micro)) = (training.global_batch, training.micro_batch) else { return };
    let sequence = q.number("flops.sequence").map_or(1, |tokens| tokens as u128);
    let step = u128::from(micro).saturating_mul(replicas);
    let (total, unit, noun) = match batch {
        Batch::Sequences(count) => (u128::from(count), step, "sequences"),
        Batch::Tokens(count) => (u128::from(count), step.saturating_mul(sequence), "tokens"),
    };
    if total % unit != 0 {
        let span = place(q, &["training.global_batch"]);
        let below = total / unit * unit;
        let near =
            if below == 0 { unit.to_string() } else { format!("{below} or {}", below.saturating_add(unit)) };
        let mut diagnostic = Diagnostic::error(
            Code::BatchNotDivisible,
            span,
            "the global batch is no whole number of micro-batches",
        )
        .label(format!("{total} / {unit} is not whole"))
        .note(match batch {
            Batch::Sequences(_) => {
                format!("{replicas} replicas × {micro} sequences = {unit} sequences at a time")
            }
            Batch::Tokens(_) => {
                format!(
                    "{replicas} replicas × {micro} sequences × {sequence} tokens = {unit} tokens at a time"
                )
            }
        })
        .help(format!("use {near} {noun}"));
        if let Some(micro) = declared(q, "training.micro_batch") {
            diagnostic = diagnostic.also(micro, "the micro-batch of each replica");
        }
        return q.errors.push(diagnostic);
    }
    let formula = "training.tokens_per_step / (flops.sequence * training.micro_batch * training.replicas)";
    q.derive("training.micro_batches", formula, "gradient accumulation");
}

fn no_peak(q: &mut Quantities<'_>, hardware: &Hardware, word: &str, attribute: &str) {
    let trains = |word: &&&str| attribute == "training.matmul" || Precision::of(word).is_some();
    let known: Vec<String> = ["fp32", "tf32", "fp16", "bf16", "fp8", "fp4"]
        .iter()
        .filter(trains)
        .filter_map(|word| MatmulType::of(word))
        .filter(|matmul| hardware.device.peak.of_matmul(*matmul).is_some())
        .map(|matmul| format!("`{}`", matmul.word()))
        .collect();
    let name = &hardware.device.name;
    let span = place(q, &[attribute, "hardware.device"]);
    let mut diagnostic = Diagnostic::error(Code::NoPeak, span, format!("`{name}` has no peak for {word}"));
    if let Some(device) = declared(q, "hardware.device")
        && device != span
    {
        diagnostic = diagnostic.also(device, "the device is chosen here");
    }
    let help = if known.is_empty() {
        format!("declare `peak {{ {word} = … }}` in the device")
    } else {
        format!("it computes in {}", llmplan_spec::schema::suggest::one_of(&known))
    };
    if declared(q, attribute).is_none() {
        diagnostic = diagnostic.note(format!("`{attribute}` is left out: {word} by default"));
    }
    q.errors.push(diagnostic.help(help));
}

/// Where the first of some attributes is declared, else the plan itself.
pub(crate) fn place(q: &Quantities<'_>, paths: &[&str]) -> Span {
    paths.iter().find_map(|path| declared(q, path)).unwrap_or(q.plan.span)
}

/// Where an attribute is declared; `None` where it is left out.
pub(crate) fn declared(q: &Quantities<'_>, path: &str) -> Option<Span> {
    match q.plan.setting(path)?.origin {
        Origin::Declared(span) => Some(span),
        Origin::Default(_) => None,
    }
}

/// Marks quantities as assumed where an attribute that they rest on is left out.
fn assume_defaults(q: &mut Quantities<'_>, attributes: &[&str], paths: &[&str]) {
    if attributes.iter().any(|attribute| declared(q, attribute).is_none()) {
        q.assumed.extend(paths.iter().map(|path| (*path).to_owned()));
    }
}
