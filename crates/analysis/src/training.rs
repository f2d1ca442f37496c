//! Data, training memory and the run itself: steps, time, device-hours and cost at an MFU that is declared or measured.

use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::plan::{Batch, Hardware, Measurement, Offload, Optimizer, Origin, Precision, Training};
use llmplan_spec::source::Span;
use llmplan_spec::units::format;
use llmplan_spec::units::{Number, Unit};

use crate::folds::optimizer_blocks;
use crate::graph::Graph;
use crate::model::params_path;
use crate::quantities::Quantities;

const ZERO: &str = "Rajbhandari 2020 §3.1";
const ADAM_8BIT: &str = "Dettmers 2021 §2";
const MFU: &str = "Chowdhery 2022 appendix B";
const OFFLOAD: &str = "Ren 2021 §3";

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

/// Weights, gradients and optimizer of the whole model: the recipe's bytes per parameter.
pub(crate) fn memory(q: &mut Quantities<'_>, graph: &Graph) {
    let Some(training) = q.plan.training.clone() else { return };
    assume_defaults(q, &["training.precision"], &["memory.weights"]);
    assume_defaults(q, &["training.precision"], &["memory.gradients"]);
    assume_defaults(q, &["training.precision"], &["memory.optimizer.master"]);
    let moments = ["memory.optimizer.first_moment", "memory.optimizer.second_moment", "memory.optimizer"];
    assume_defaults(q, &["training.optimizer"], &moments);
    let (weights, gradients) = (training.precision.bytes(), training.gradients.bytes());
    q.derive("memory.weights", &format!("{weights} bytes * model.params"), ZERO);
    q.derive("memory.gradients", &format!("{gradients} bytes * model.params"), ZERO);
    let (first, second) = moment_bytes(training.optimizer);
    let mut parts = Vec::new();
    let mut per_parameter = weights + gradients;
    let mut part = |q: &mut Quantities<'_>, path: &'static str, bytes: u64, source: &str| {
        if bytes > 0 {
            q.derive(path, &format!("{bytes} bytes * model.params"), source);
            parts.push(path);
            per_parameter += bytes;
        }
    };
    let master = master_bytes(training.precision, training.offload == Offload::Optimizer);
    let source = if training.optimizer == Optimizer::Adam8bit { ADAM_8BIT } else { ZERO };
    part(q, "memory.optimizer.master", master, "Micikevicius 2018 §3.1");
    part(q, "memory.optimizer.first_moment", first, source);
    part(q, "memory.optimizer.second_moment", second, source);
    if training.optimizer == Optimizer::Adam8bit {
        let bytes =
            optimizer_blocks(graph, training.optimizer_block).and_then(|blocks| blocks.checked_mul(8));
        let name = "over all tensors, 2 moments · 4 bytes · ceil(elements / training.optimizer_block)";
        q.procedure(
            "memory.optimizer.scales",
            bytes,
            name,
            &["model.params", "training.optimizer_block"],
            "Dettmers 2021 §2.1",
        );
        parts.push("memory.optimizer.scales");
    }
    let optimizer = if parts.is_empty() { "0 bytes * model.params".to_owned() } else { parts.join(" + ") };
    q.derive("memory.optimizer", &optimizer, source);
    q.derive("memory.model_states", "memory.weights + memory.gradients + memory.optimizer", ZERO);
    offloaded(q, training.offload);
    q.derive("memory.rule_of_thumb", &format!("{per_parameter} bytes * model.params"), source);
    q.derive(
        "memory.training_to_inference",
        "memory.model_states / memory.weights_only.bf16",
        "16 bytes over 2 for Adam in mixed precision",
    );
}

/// Which model states are on the devices, and which in the memory of their hosts.
fn offloaded(q: &mut Quantities<'_>, offload: Offload) {
    let (device, host, source) = match offload {
        Offload::None => ("memory.model_states", "0 bytes * model.params", "nothing is offloaded"),
        Offload::Optimizer => ("memory.weights + memory.gradients", "memory.optimizer", OFFLOAD),
    };
    q.derive("memory.device_states", device, source);
    q.derive("memory.host", host, source);
}

/// Bytes per parameter of the weights in fp32 that are kept beside those of the forward pass: where these have 16 bits,
/// and where the update is made in the host's memory (Micikevicius 2018 §3.1; Ren 2021 §3).
pub fn master_bytes(precision: Precision, offloaded: bool) -> u64 {
    if precision == Precision::Fp32 && !offloaded { 0 } else { 4 }
}

/// Bytes per parameter of the first and second moment.
pub fn moment_bytes(optimizer: Optimizer) -> (u64, u64) {
    match optimizer {
        Optimizer::Sgd => (0, 0),
        Optimizer::Momentum => (4, 0),
        Optimizer::Adam | Optimizer::Adamw => (4, 4),
        Optimizer::Adam8bit => (1, 1),
    }
}

/// Steps, time, device-hours and cost.
pub(crate) fn run(q: &mut Quantities<'_>) {
    let plan = q.plan;
    let Some(training) = &plan.training else { return };
    if plan.data.is_some() {
        q.derive("training.tokens", "data.tokens", "as declared");
        q.derive(
            "training.flops",
            "flops.training_per_token * training.tokens",
            "every token once forward, once backward",
        );
        let n = params_path(q);
        q.derive(
            "training.rule_of_thumb",
            &format!("6 FLOP * {n} * training.tokens"),
            "Kaplan 2020 §2.1; Hoffmann 2022 §3",
        );
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
        on_hardware(q, training, hardware);
    }
}

fn on_hardware(q: &mut Quantities<'_>, training: &Training, hardware: &Hardware) {
    let plan = q.plan;
    if hardware.device.memory.is_some() {
        q.derive("hardware.memory", "hardware.devices * device.memory", "as sold");
    }
    replicas(q, training, hardware);
    let precision = training.precision.word();
    if hardware.device.peak.of(training.precision).is_none() {
        return no_peak(q, hardware, training.precision);
    }
    assume_defaults(q, &["training.precision"], &["hardware.peak"]);
    q.derive(
        "hardware.peak",
        &format!("hardware.devices * device.peak.{precision}"),
        "dense peak of the data sheet",
    );
    if let Some(measured) = &hardware.measured {
        self::measured(q, training, hardware, measured);
    }
    if training.mfu.is_none() && hardware.measured.is_none() {
        return;
    }
    let source = "training.flops over what the devices achieve: Chowdhery 2022 appendix B";
    let rate = "hardware.peak * training.mfu";
    q.derive("training.tokens_per_second", &format!("{rate} / flops.training_per_token"), MFU);
    if training.global_batch.is_some() {
        let formula = format!("flops.training_per_token * training.tokens_per_step / ({rate})");
        q.derive("training.step_time", &formula, MFU);
    }
    if plan.data.is_some() {
        q.derive("training.time", &format!("training.flops / ({rate})"), source);
        q.derive(
            "training.device_hours",
            "hardware.devices * training.time",
            "all devices for the whole time",
        );
        if hardware.price.is_some() {
            q.derive(
                "training.cost",
                "training.device_hours * hardware.price",
                "device-hours at the declared price",
            );
        }
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
    let model_parallel = u128::from(parallelism.tensor) * u128::from(parallelism.pipeline);
    let devices = u128::from(hardware.devices);
    let product = model_parallel.saturating_mul(u128::from(parallelism.data.unwrap_or(1)));
    let fits = match parallelism.data {
        Some(_) => product == devices,
        None => devices % model_parallel == 0,
    };
    if !fits {
        let (tensor, pipeline) = (parallelism.tensor, parallelism.pipeline);
        let degrees = match parallelism.data {
            Some(data) => format!("{tensor} × {pipeline} × {data} = {product}"),
            None => format!(
                "{tensor} × {pipeline} = {model_parallel}, and {devices} / {model_parallel} is not whole"
            ),
        };
        let span = place(
            q,
            &["training.parallelism.data", "training.parallelism.tensor", "training.parallelism.pipeline"],
        );
        let mut diagnostic = Diagnostic::error(
            Code::DegreesDoNotMultiply,
            span,
            format!("the degrees of parallelism do not multiply to {devices} devices"),
        )
        .label(degrees)
        .note("tensor × pipeline × data is the number of devices");
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
        None => "hardware.devices / (training.parallelism.tensor * training.parallelism.pipeline)",
    };
    q.derive("training.replicas", formula, "the devices that tensor and pipeline parallelism leave");
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

fn no_peak(q: &mut Quantities<'_>, hardware: &Hardware, precision: Precision) {
    let known: Vec<String> = [Precision::Fp32, Precision::Fp16, Precision::Bf16]
        .into_iter()
        .filter(|precision| hardware.device.peak.of(*precision).is_some())
        .map(|precision| format!("`{}`", precision.word()))
        .collect();
    let (name, word) = (&hardware.device.name, precision.word());
    let span = place(q, &["training.precision", "hardware.device"]);
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
    if declared(q, "training.precision").is_none() {
        diagnostic = diagnostic.note(format!("`training.precision` is left out: {word} by default"));
    }
    q.errors.push(diagnostic.help(help));
}

/// Where the first of some attributes is declared, else the plan itself.
fn place(q: &Quantities<'_>, paths: &[&str]) -> Span {
    paths.iter().find_map(|path| declared(q, path)).unwrap_or(q.plan.span)
}

fn declared(q: &Quantities<'_>, path: &str) -> Option<Span> {
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
