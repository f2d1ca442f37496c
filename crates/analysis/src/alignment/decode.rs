//! How samples are generated: replicas, what each decodes together, and a roofline of memory and products.

use llmplan_spec::plan::{Hardware, StageKind};

use super::Own;
use super::split::{self, Decoder, Work};
use super::time::passes;
use crate::folds::{cache_values, state_values};
use crate::quantities::Quantities;

const DECODE: &str = "weights and cache are read once for a token of each sequence: Pope 2022 §2";
const CACHE: &str = "Pope 2022 §2.1; 2 bytes a value";
const PAGED: &str =
    "pages of what is there, not of what might come: Kwon 2023 §4; all are taken to be at the mean length";

/// The model that generates, as formulas and numbers.
pub(super) struct Generator {
    /// Bytes of its weights.
    weights: String,
    /// FLOP per token.
    flops: &'static str,
    /// The same as numbers, with a replica yet to be chosen.
    decoder: Decoder,
    /// Device-seconds of reading prompts.
    prefill: f64,
}

/// The model that generates; `None` where the device's memory is not known.
pub(super) fn generator(
    q: &mut Quantities<'_>,
    own: Own<'_>,
    hardware: &Hardware,
    peak: f64,
) -> Option<Generator> {
    let stage = own.stage;
    let device = &hardware.device;
    let teacher = stage.teacher_params.filter(|_| stage.kind == StageKind::Synthetic);
    let (weights, params, flops) = match teacher {
        Some(params) => ("2 bytes * @teacher_params".to_owned(), params as f64, "2 FLOP * @teacher_params"),
        None => ("2 bytes * model.params".to_owned(), q.number("model.params")?, "@forward_per_token"),
    };
    let each = match teacher {
        Some(params) => 2.0 * params as f64,
        None => q.number(&own.path("forward_per_token"))?,
    };
    let (whole, half) = caches(q, own, teacher.and(stage.teacher_cache).is_some())?;
    let decoder = Decoder {
        weights: 2.0 * params,
        cache: half,
        whole,
        free: device.memory? as f64 - hardware.operation.reserve as f64,
        bandwidth: device.memory_bandwidth? * device.generation.memory,
        flops: each,
        rate: peak * device.generation.matmul,
        replica: 1.0,
    };
    let read = q.number(&own.path("flops.generation"))? - q.number(&own.path("generated_tokens"))? * each;
    let prefill = read / decoder.rate;
    Some(Generator { weights, flops, decoder, prefill })
}

/// Bytes that one sequence holds once it is whole, and when half of its answer is there: keys, values, latents and states,
/// of the tokens within reach.
fn caches(q: &mut Quantities<'_>, own: Own<'_>, declared: bool) -> Option<(f64, f64)> {
    let stage = own.stage;
    if declared {
        own.estimate(q, "cache.whole", "@teacher_cache * (@prompt_tokens + @response_tokens)", CACHE);
        own.estimate(q, "cache.half", "@teacher_cache * (@prompt_tokens + @response_tokens / 2)", CACHE);
    } else {
        let lengths = [("cache.whole", stage.response_tokens), ("cache.half", stage.response_tokens / 2)];
        for (leaf, answer) in lengths {
            let model = &own.plan.model;
            let tokens = stage.prompt_tokens.saturating_add(answer);
            let values = cache_values(model, tokens).zip(state_values(model));
            let bytes = values.and_then(|(cache, state)| cache.checked_add(state)?.checked_mul(2));
            let inputs = [own.path("prompt_tokens"), own.path("response_tokens"), "model.layers".to_owned()];
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            q.procedure(
                &own.path(leaf),
                bytes,
                "what each layer keeps of the tokens within its reach",
                &inputs,
                CACHE,
            );
        }
    }
    Some((q.number(&own.path("cache.whole"))?, q.number(&own.path("cache.half"))?))
}

/// Who generates and who trains, as formulas.
pub(super) struct Sides {
    /// The devices that generate.
    generation: &'static str,
    /// The devices that train.
    pub(super) training: &'static str,
    /// Whether the models that train are elsewhere while samples are generated, or not there yet.
    apart: bool,
}

/// The devices of each side.
pub(super) fn sides(
    q: &mut Quantities<'_>,
    own: Own<'_>,
    rate: &str,
    generator: Option<&Generator>,
) -> Sides {
    let stage = own.stage;
    let apart = !stage.kind.on_policy();
    let together = Sides { generation: "@devices", training: "@devices", apart };
    let Some(generator) = generator.filter(|_| stage.kind.on_policy() && !stage.colocated) else {
        return together;
    };
    let Some(devices) = stage.devices.filter(|devices| *devices > 1) else { return together };
    if stage.generation_devices.is_some() {
        own.derive(q, "split.generation_devices", "@generation_devices", "as declared");
    } else {
        let rate = q.value_of(rate).unwrap_or(generator.decoder.rate);
        let passes: f64 = passes().into_iter().filter_map(|part| q.number(&own.path(part))).sum();
        let chosen = stage.tensor.or_else(|| {
            split::replica(generator.decoder.weights, generator.decoder.free, devices.saturating_sub(1))
        });
        let decoder = Decoder { replica: chosen.unwrap_or(1) as f64, ..generator.decoder };
        let tokens = q.number(&own.path("generated_tokens")).unwrap_or(0.0) * stragglers(own);
        let sequences = stage.batch.min(stage.prompts) as f64 * stage.samples as f64;
        let training = passes / rate;
        let turns = stage.synchronous;
        let work = Work { devices, tokens, sequences, prefill: generator.prefill, training, turns };
        let count = work.balance(&decoder);
        let inputs = ["devices", "generated_tokens", "flops"].map(|leaf| own.path(leaf));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let source = "a whole number of replicas; each number is tried";
        q.procedure(
            &own.path("split.generation_devices"),
            Some(u128::from(count)),
            "the split that takes the least time",
            &inputs,
            source,
        );
    }
    own.estimate(q, "split.training_devices", "@devices - @split.generation_devices", "the others");
    Sides { generation: "@split.generation_devices", training: "@split.training_devices", apart: true }
}

/// How much longer a synchronous step takes than its mean answer.
fn stragglers(own: Own<'_>) -> f64 {
    let stage = own.stage;
    match stage.max_response_tokens {
        Some(longest) if stage.kind.on_policy() && stage.synchronous => {
            longest as f64 / stage.response_tokens as f64
        }
        _ => 1.0,
    }
}

/// Replicas, what each decodes together, and how long all of it takes. False where the weights fit nowhere.
pub(super) fn generation(
    q: &mut Quantities<'_>,
    own: Own<'_>,
    generator: &Generator,
    sides: &Sides,
    peak: &str,
) -> bool {
    let stage = own.stage;
    let states = if sides.apart { 0.0 } else { q.number(&own.path("memory.states")).unwrap_or(0.0) };
    let beside = if sides.apart { "" } else { " - @memory.states" };
    let free = format!("device.memory - hardware.reserve{beside}");
    let room = generator.decoder.free - states;
    let most = q.value_of(&own.formula(sides.generation)).unwrap_or(1.0) as u64;
    match stage.tensor {
        Some(_) => own.derive(q, "replica", "@tensor", "as declared"),
        None => {
            let Some(devices) = split::replica(generator.decoder.weights, room, most) else { return false };
            let inputs = [own.path("devices"), "device.memory".to_owned(), "model.params".to_owned()];
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            let name = "the least power of two on which weights leave half of the room to the cache";
            q.procedure(
                &own.path("replica"),
                Some(u128::from(devices)),
                name,
                &inputs,
                "fewer devices for each replica, fewer collectives",
            );
        }
    }
    own.estimate(
        q,
        "replicas",
        &format!("max(1, floor({} / @replica))", sides.generation),
        "what is left over idles",
    );
    let weights = &generator.weights;
    own.estimate(
        q,
        "memory.rollout_weights",
        &format!("{weights} / @replica"),
        "a copy for each replica, in 16 bits",
    );
    let waiting = if stage.kind.on_policy() { "min(@batch, @prompts) * @samples" } else { "@rollouts" };
    let batch = format!(
        "max(1, min({waiting} / @replicas, floor((({free}) * @replica - {weights}) / @cache.whole)))"
    );
    own.estimate(q, "decode_batch", &batch, "what waits, or what the memory beside all models holds");
    own.estimate(q, "memory.cache", "@decode_batch * @cache.whole / @replica", PAGED);
    let flops = generator.flops;
    own.estimate(
        q,
        "decode_step",
        &format!(
            "max(({weights} + @decode_batch * @cache.half) / (device.memory_bandwidth * generation.memory), @decode_batch * {flops} / ({peak} \
             * generation.matmul)) / @replica"
        ),
        DECODE,
    );
    own.estimate(q, "tokens_per_second", "@decode_batch * @replicas / @decode_step", DECODE);
    let straggling = if stragglers(own) > 1.0 { " * @max_response_tokens / @response_tokens" } else { "" };
    own.estimate(
        q,
        "time.generation",
        &format!(
            "(@flops.generation - @generated_tokens * {flops}) / ({} * {peak} * generation.matmul) + @generated_tokens \
             / @tokens_per_second{straggling}",
            sides.generation
        ),
        "prompts by products, answers by steps; a synchronous step ends with its longest answer",
    );
    true
}
