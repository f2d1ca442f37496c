//! How long a stage takes: generation, training at an MFU, verifiers by their throughput.

use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::plan::{Hardware, MatmulType, VerifierKind};
use llmplan_spec::units::{Number, Unit};

use super::Own;
use super::decode::{generation, generator, sides};
use super::flops::PARTS;
use super::memory::MODELS;
use crate::quantities::Quantities;
use crate::report::Value;
use crate::training::{declared, place};

const EVENLY: &str = "divided evenly, as ZeRO-3 does: Rajbhandari 2020 §5";

/// Time of a stage, where its devices are known.
pub(super) fn run(q: &mut Quantities<'_>, own: Own<'_>, hardware: &Hardware) {
    let matmul = matmul(own, hardware);
    let Some(peak) = hardware.device.peak.of_matmul(matmul) else { return };
    let peak_path = format!("device.peak.{}", matmul.word());
    let rate = format!("{peak_path} * {}", mfu(q, own));
    let stage = own.stage;
    let generator = if stage.kind.generates() { generator(q, own, hardware, peak) } else { None };
    if stage.kind.generates() && generator.is_none() {
        return;
    }
    let sides = sides(q, own, &rate, generator.as_ref());
    if let Some(models) = own.sum(q, &MODELS) {
        own.estimate(q, "memory.states", &format!("({models}) / {}", sides.training), EVENLY);
    }
    if let Some(generator) = &generator
        && !generation(q, own, generator, &sides, &peak_path)
    {
        let states = q.number(&own.path("memory.states")).unwrap_or(0.0);
        return too_much(q, own, hardware, states, "of models that train, and what generates beside them");
    }
    if let Some(passes) = own.sum(q, &passes()) {
        let formula = format!("({passes}) / ({} * {rate})", sides.training);
        own.estimate(
            q,
            "time.training",
            &formula,
            "FLOP over what the devices achieve: Chowdhery 2022 appendix B",
        );
    }
    verifier(q, own, &rate);
    total(q, own);
    held(q, own, hardware);
}

/// The parts of the FLOPs that the training side computes.
pub(super) fn passes() -> Vec<&'static str> {
    PARTS.into_iter().filter(|part| !matches!(*part, "flops.generation" | "flops.judge")).collect()
}

/// The data type of products: the training's, else bf16, or fp16 where the device has no bf16.
pub(super) fn matmul(own: Own<'_>, hardware: &Hardware) -> MatmulType {
    match &own.plan.training {
        Some(training) => training.matmul,
        None if hardware.device.peak.bf16.is_none() => MatmulType::Fp16,
        None => MatmulType::Bf16,
    }
}

/// The MFU of a stage: its own, else the plan's, else the default.
pub(super) fn mfu(q: &Quantities<'_>, own: Own<'_>) -> String {
    let path = own.path("mfu");
    match declared(q, &path).is_none() && q.get("training.mfu").is_some() {
        true => "training.mfu".to_owned(),
        false => path,
    }
}

/// How long judging takes.
fn verifier(q: &mut Quantities<'_>, own: Own<'_>, rate: &str) {
    let verifier = &own.stage.verifier;
    if !own.stage.kind.generates() {
        return;
    }
    let timed = verifier.seconds.is_some() && verifier.workers.is_some();
    match own.stage.scorer() {
        VerifierKind::Code if timed => own.estimate(
            q,
            "time.verifier",
            "@rollouts * @verifier.seconds * @verifier.cores / @verifier.workers",
            "checks that run side by side",
        ),
        VerifierKind::Human if timed => own.estimate(
            q,
            "time.verifier",
            "@rollouts * @verifier.seconds / @verifier.workers",
            "people who judge side by side",
        ),
        VerifierKind::Judge if own.has(q, "flops.judge") => own.estimate(
            q,
            "time.verifier",
            &format!("@flops.judge / (@devices * {rate})"),
            "at the utilisation of training: decoding its verdicts takes longer",
        ),
        _ => {}
    }
}

/// Time of the stage, and what of it is longest.
fn total(q: &mut Quantities<'_>, own: Own<'_>) {
    let stage = own.stage;
    let parts = ["time.generation", "time.verifier", "time.training"];
    let there: Vec<&str> = parts.into_iter().filter(|part| own.has(q, part)).collect();
    let judged = if own.has(q, "time.verifier") { ", @time.verifier" } else { "" };
    let (formula, source) = if !stage.kind.generates() {
        ("@time.training".to_owned(), "nothing is generated")
    } else if own.has(q, "flops.judge") && !(stage.kind.on_policy() && stage.synchronous) {
        let others = match own.has(q, "split.generation_devices") {
            true => "max(@time.generation, @time.training)",
            false => "@time.generation + @time.training",
        };
        (
            format!("{others} + @time.verifier"),
            "a judge takes the stage's own devices, which do nothing else then",
        )
    } else if !stage.kind.on_policy() {
        (
            format!("max(@time.generation{judged}) + @time.training"),
            "samples are judged while others are generated",
        )
    } else if stage.synchronous {
        (own.sum(q, &there).unwrap_or_default(), "each part waits for the one before it")
    } else if own.has(q, "split.generation_devices") {
        (
            format!("max(@time.generation{judged}, @time.training)"),
            "all parts at once: the slowest sets the pace",
        )
    } else {
        (format!("max(@time.generation + @time.training{judged})"), "judging goes on beside")
    };
    own.estimate(q, "time", &formula, source);
    if own.has(q, "time.generation") {
        let (generation, training) = match own.has(q, "split.generation_devices") {
            true => {
                ("@time.generation * @split.generation_devices", "@time.training * @split.training_devices")
            }
            false => ("@time.generation", "@time.training"),
        };
        own.estimate(
            q,
            "generation_share",
            &format!("{generation} / ({generation} + {training})"),
            "devices in proportion to device time",
        );
    }
    let longest = there
        .iter()
        .filter_map(|part| Some((q.number(&own.path(part))?, part.trim_start_matches("time."))))
        .fold(None, |best: Option<(f64, &str)>, next| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            _ => Some(next),
        });
    if let Some((_, word)) = longest {
        let inputs: Vec<String> = there.iter().map(|part| own.path(part)).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        q.modelled(&own.path("binds"), Value::Text(word.to_owned()), "the longest part", &inputs, "");
    }
}

/// What one device holds at the most.
fn held(q: &mut Quantities<'_>, own: Own<'_>, hardware: &Hardware) {
    let beside = own.sum(q, &["memory.rollout_weights", "memory.cache"]);
    let (formula, source) = match beside {
        Some(beside) if own.has(q, "split.generation_devices") || !own.stage.kind.on_policy() => {
            (format!("max(@memory.states, {beside})"), "generating or training, what holds more")
        }
        Some(beside) => {
            (format!("@memory.states + {beside}"), "all models and the cache, on the same devices")
        }
        None => ("@memory.states".to_owned(), "all models"),
    };
    own.estimate(q, "memory", &formula, source);
    fits(q, own, hardware);
}

/// A warning where a device has less than its share of the models.
fn fits(q: &mut Quantities<'_>, own: Own<'_>, hardware: &Hardware) {
    let (Some(held), Some(memory)) = (q.number(&own.path("memory")), hardware.device.memory) else { return };
    if held > memory as f64 - hardware.operation.reserve as f64 {
        too_much(q, own, hardware, held, "on each device");
    }
}

fn too_much(q: &mut Quantities<'_>, own: Own<'_>, hardware: &Hardware, held: f64, what: &str) {
    let Some(memory) = hardware.device.memory.filter(|_| q.errors.is_empty()) else { return };
    let bytes = |bytes: f64| q.show(Number::Real(bytes), Unit::BYTES, 4);
    let usable = bytes(memory as f64 - hardware.operation.reserve as f64);
    let paths = ["devices", "tensor", "kind"].map(|leaf| own.path(leaf));
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let title = format!("stage `{}` needs more memory than `{}` has", own.stage.name, hardware.device.name);
    let diagnostic = Diagnostic::warning(Code::DoesNotFit, place(q, &paths), title)
        .label(format!("{} {what}, of {usable}", bytes(held)))
        .note("activations are not counted: they come on top")
        .help("use more `devices`, or adapters: `lora = true`");
    q.warnings.push(diagnostic);
}
