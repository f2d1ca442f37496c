//! What keeps a model from being served as declared, with the arithmetic.

use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::plan::{Inference, LawForm, LawParams, Mixer, Multiplied, Plan, Stored};
use llmplan_spec::schema::suggest::one_of;
use llmplan_spec::units::{Number, Unit};

use super::quantized::adapters;
use super::{bytes_of, device};
use crate::quantities::Quantities;
use crate::training::{declared, place};

/// Degrees that do not divide, and a data type that the device does not multiply.
pub(super) fn degrees(q: &mut Quantities<'_>, own: &Inference) {
    if !q.errors.is_empty() {
        return;
    }
    heads(q, own);
    no_peak(q, own);
}

/// Each device of a replica has whole heads.
fn heads(q: &mut Quantities<'_>, own: &Inference) {
    let tensor = own.tensor;
    for kind in &q.plan.model.kinds {
        let Mixer::Attention(attention) = &kind.layer.mixer else { continue };
        let (heads, kv) = (attention.heads, attention.kv_heads);
        let whole = heads.is_multiple_of(tensor);
        let shared = attention.latent.is_some() || kv.is_multiple_of(tensor) || tensor.is_multiple_of(kv);
        if whole && shared {
            continue;
        }
        let what = if whole { format!("{kv} key and value heads") } else { format!("{heads} heads") };
        let span = place(q, &["inference.tensor"]);
        let fitting = |degree: &u64| {
            heads.is_multiple_of(*degree)
                && (attention.latent.is_some() || kv.is_multiple_of(*degree) || degree.is_multiple_of(kv))
        };
        let degrees: Vec<String> = [1, 2, 3, 4, 6, 8, 12, 16, 32, 64]
            .iter()
            .filter(|degree| fitting(degree))
            .map(|degree| format!("`{degree}`"))
            .collect();
        q.errors.push(
            Diagnostic::error(Code::DegreeNotDividing, span, format!("{tensor} devices cannot share {what}"))
                .label("devices of one replica")
                .help(format!("use {}", one_of(&degrees))),
        );
        return;
    }
}

fn no_peak(q: &mut Quantities<'_>, own: &Inference) {
    let Some((device, apart)) = device::of(q.plan, own) else { return };
    let (word, peak) = device::peak(device, own.matmul);
    if peak.is_some() || !q.errors.is_empty() {
        return;
    }
    let known: Vec<String> = Multiplied::ALL
        .iter()
        .filter(|matmul| device::peak(device, **matmul).1.is_some())
        .map(|matmul| format!("`{}`", matmul.word()))
        .collect();
    let names = if apart { "inference.device" } else { "hardware.device" };
    let span = place(q, &["inference.matmul", "inference.weights", names]);
    let mut diagnostic =
        Diagnostic::error(Code::NoPeak, span, format!("`{}` has no peak for {word}", device.name));
    if let Some(device) = declared(q, names)
        && device != span
    {
        diagnostic = diagnostic.also(device, "the device is chosen here");
    }
    let help = match known.is_empty() {
        true => format!("declare `peak {{ {word} = … }}` in the device"),
        false => format!(
            "`matmul` says what weights are multiplied in, however they are stored: here {}",
            one_of(&known)
        ),
    };
    q.errors.push(diagnostic.help(help));
}

/// Weights and one sequence, or those of the batch, are more than a device has.
pub(super) fn does_not_fit(q: &mut Quantities<'_>, own: &Inference, fixed: &[&str]) {
    if !q.errors.is_empty() {
        return;
    }
    let (Some(memory), Some(each)) =
        (q.number("inference.device.memory"), q.number("inference.kv_per_device"))
    else {
        return;
    };
    let show = |bytes: f64| q.show(Number::Real(bytes), Unit::BYTES, 4);
    let sum: f64 = fixed.iter().filter_map(|path| q.number(path)).sum();
    let batch = own.batch.unwrap_or(1);
    let largest = q.number("inference.largest_batch").unwrap_or(0.0);
    let parts: Vec<String> = fixed
        .iter()
        .map(|path| format!("{} {}", q.display(path), path.rsplit('.').next().unwrap_or_default()))
        .collect();
    let needed = sum + batch as f64 * each;
    let sequences = if batch == 1 { "one sequence".to_owned() } else { format!("{batch} sequences") };
    let title = match largest >= 1.0 {
        true => format!("a batch of {batch} does not fit: {largest} sequences do"),
        false => "the served model does not fit".to_owned(),
    };
    let span = match largest >= 1.0 {
        true => place(q, &["inference.batch", "inference.tensor"]),
        false => place(q, &["inference.tensor", "inference.weights", "inference.device", "hardware.device"]),
    };
    let mut found = Diagnostic::warning(Code::DoesNotFit, span, title)
        .label(format!("{} on a device that has {}", show(needed), show(memory)))
        .note(format!(
            "{} + {} for {sequences} of {} tokens = {}",
            parts.join(" + "),
            show(batch as f64 * each),
            own.prompt.saturating_add(own.output),
            show(needed),
        ));
    let ways = ways(q, own, batch as f64, memory);
    found = match ways.is_empty() {
        true => found.help("use devices with more memory, or shorter prompts and answers"),
        false => found.help(format!("what would fit: {}", one_of(&ways))),
    };
    q.warnings.push(found);
}

/// Changes that would make it fit, each on its own: fewer bits of weights, of the cache, more devices, a smaller batch.
fn ways(q: &Quantities<'_>, own: &Inference, batch: f64, memory: f64) -> Vec<String> {
    let number = |path: &str| q.number(path).unwrap_or(0.0);
    let (weights, draft) = (number("inference.memory.weights"), number("inference.memory.draft"));
    let (reserve, cache) = (number("inference.memory.reserve"), batch * number("inference.kv_per_device"));
    let bytes = |stored: Stored| q.value_of(&bytes_of(stored)).unwrap_or(f64::INFINITY);
    let fits = |weights: f64, cache: f64| weights + reserve + cache <= memory;
    let mut ways = Vec::new();
    let fewer = [Stored::Fp8, Stored::Int4].into_iter().find(|stored| {
        stored.bits() < own.weights.bits()
            && fits((weights + draft) * bytes(*stored) / bytes(own.weights), cache)
    });
    ways.extend(fewer.map(|stored| format!("`weights = {}`", stored.word())));
    if own.kv_cache.bits() > 8 && fits(weights + draft, cache * bytes(Stored::Fp8) / bytes(own.kv_cache)) {
        ways.push("`kv_cache = fp8`".to_owned());
    }
    // Latents and heads that are fewer than devices stay whole on each: only weights are surely divided.
    let heads = q.plan.model.kinds.iter().filter_map(|kind| match &kind.layer.mixer {
        Mixer::Attention(own) => Some((own.heads, own.kv_heads, own.latent.is_some())),
        _ => None,
    });
    let heads: Vec<(u64, u64, bool)> = heads.collect();
    let more =
        [2_u64, 4, 8, 16, 32].into_iter().map(|times| times.saturating_mul(own.tensor)).find(|tensor| {
            let divides = heads.iter().all(|(heads, kv, latent)| {
                heads.is_multiple_of(*tensor)
                    && (*latent || kv.is_multiple_of(*tensor) || tensor.is_multiple_of(*kv))
            });
            let divided = heads.iter().all(|(_, kv, latent)| !latent && kv.is_multiple_of(*tensor));
            let times = *tensor as f64 / own.tensor as f64;
            divides && fits((weights + draft) / times, if divided { cache / times } else { cache })
        });
    ways.extend(more.map(|tensor| format!("`tensor = {tensor}`")));
    if let Some(largest) =
        q.number("inference.largest_batch").filter(|largest| *largest >= 1.0 && *largest < batch)
    {
        ways.push(format!("`batch = {largest}`"));
    }
    ways
}

/// Why a quantity of serving has no value although the plan declares what it needs, in sentences. `known` says which
/// quantities it has.
pub(crate) fn reasons(path: &str, plan: &Plan, known: &dyn Fn(&str) -> bool) -> Vec<String> {
    let parametric = matches!(plan.law.form, LawForm::Parametric { .. });
    let unsuited = match path {
        path if path.starts_with("inference.optimal.") => !parametric || plan.law.params != LawParams::Total,
        "inference.quantization_share" | "inference.quantization_risk" => {
            !parametric || plan.law.params == LawParams::FlopsPerToken
        }
        _ => false,
    };
    let of_pretraining =
        path.starts_with("inference.optimal.") || path.starts_with("inference.quantization_");
    if plan.inference.is_some() && of_pretraining && adapters(plan) {
        return vec![
            "Laws are of pretraining: the plan trains adapters, and the tokens of the model itself are not declared."
                .to_owned(),
        ];
    }
    match (plan.inference.is_some(), unsuited) {
        (false, _) => Vec::new(),
        (true, true) => vec![format!(
            "`{}` has no loss of parameters and tokens, or counts parameters in another way.",
            plan.law.name
        )],
        (true, false) if known("inference.tpot") => Vec::new(),
        (true, false) => unmodelled(plan),
    }
}

/// Why a plan's serving has no times although it names a device, in sentences.
pub(crate) fn unmodelled(plan: &Plan) -> Vec<String> {
    let Some(own) = &plan.inference else { return Vec::new() };
    let Some((device, _)) = device::of(plan, own) else { return Vec::new() };
    let mut reasons = Vec::new();
    let mut lacks = |figure: &str| {
        reasons.push(format!("Serving is not timed: `{figure}` of {} is unknown.", device.name))
    };
    if device.memory_bandwidth.is_none() {
        lacks("memory_bandwidth");
    }
    if device.memory.is_none() && own.batch.is_none() {
        lacks("memory");
    }
    if let Err(figure) = device::all_reduce(device, own.tensor, 1.0) {
        lacks(figure.trim_start_matches("device."));
    }
    if reasons.is_empty() && own.batch.is_none() {
        reasons.push(
            "Serving is timed for a batch: not one sequence fits, and no batch is declared.".to_owned(),
        );
    }
    reasons
}
