//! Times of a prompt and of a step, on the roofline; with proposals of a small model where they are declared.

use llmplan_spec::plan::{Arrangement, FeedForward, Inference, Mixer, Model, Speculative};

use super::{ROOFLINE, bytes_of, counts, device};
use crate::model::Forms;
use crate::quantities::Quantities;
use crate::report::Value;

const EXCHANGED: &str =
    "Shoeybi 2019 §3: the outputs of mixer and feed-forward network are summed; Patarasuk 2009";
const LEVIATHAN: &str = "Leviathan 2023 equation 1";

/// Times of a full batch; whether they are known.
pub(super) fn all(q: &mut Quantities<'_>, own: &Inference, forms: &Forms<'_>) -> bool {
    if ["inference.bandwidth", "inference.rate"].iter().any(|figure| q.get(figure).is_none())
        || exchange(q, own, 1.0).is_none()
    {
        return false;
    }
    prefill(q, own, forms);
    step(q, own, forms);
    let mut each = "inference.decode.step".to_owned();
    let mut source = "one step gives one token of each sequence";
    if let Some(speculative) = own.speculative {
        proposals(q, own, speculative, forms);
        each = "(inference.speculative.draft_time + inference.speculative.check_time) / \
                inference.speculative.expected_tokens"
            .to_owned();
        source = LEVIATHAN;
    }
    q.derive("inference.tpot", &each, source);
    if own.speculative.is_some() {
        q.derive(
            "inference.speculative.speedup",
            "inference.decode.step / inference.tpot",
            "tokens of one sequence in the same time",
        );
    }
    q.derive(
        "inference.answer_time",
        "inference.ttft + (inference.output - 1) * inference.tpot",
        "the prompt gives the first token, each step the next",
    );
    q.derive(
        "inference.request_time",
        "inference.ttft + (inference.output - 1) * inference.tpot / inference.sequences",
        "prompts are computed one by one, answers all together",
    );
    rates(q);
    q.errors.is_empty()
}

/// The time of one prompt.
fn prefill(q: &mut Quantities<'_>, own: &Inference, forms: &Forms<'_>) {
    counts::params_read(q, forms, "inference.prefill.params", "inference.prompt");
    let mut sum = format!(
        "max(inference.prefill.flops / (inference.tensor * inference.rate), {} * inference.prefill.params / \
         (inference.tensor * inference.bandwidth))",
        bytes_of(own.weights)
    );
    if communicates(q, own, "inference.prefill.communication", own.prompt as f64) {
        sum.push_str(" + inference.prefill.communication");
    }
    q.derive("inference.ttft", &sum, ROOFLINE);
}

/// The time of one step of the batch.
fn step(q: &mut Quantities<'_>, own: &Inference, forms: &Forms<'_>) {
    counts::params_read(q, forms, "inference.decode.params", "inference.sequences");
    let read = format!("{} * inference.decode.params", bytes_of(own.weights));
    q.derive("inference.decode.weights_read", &read, "each weight once for the whole batch");
    let cache = cache(q);
    q.derive(
        "inference.decode.memory_time",
        &format!("(inference.decode.weights_read / inference.tensor{cache}) / inference.bandwidth"),
        ROOFLINE,
    );
    q.derive(
        "inference.decode.compute_time",
        "inference.sequences * inference.decode.flops / (inference.tensor * inference.rate)",
        ROOFLINE,
    );
    let mut sum = "max(inference.decode.memory_time, inference.decode.compute_time)".to_owned();
    let sequences = q.number("inference.sequences").unwrap_or(1.0);
    if communicates(q, own, "inference.decode.communication", sequences) {
        sum.push_str(" + inference.decode.communication");
    }
    q.derive("inference.decode.step", &sum, ROOFLINE);
}

/// What a step reads of the cache, as a further term.
fn cache(q: &Quantities<'_>) -> &'static str {
    match q.get("inference.kv_read") {
        Some(_) => " + inference.sequences * inference.kv_read",
        None => "",
    }
}

/// γ steps of the small model, and one pass of the served one over all proposals and one token more.
fn proposals(q: &mut Quantities<'_>, own: &Inference, speculative: Speculative, forms: &Forms<'_>) {
    let expected = match speculative.acceptance >= 1.0 {
        true => "inference.speculative.tokens + 1",
        false => {
            "(1 - inference.speculative.acceptance^(inference.speculative.tokens + 1)) / \
             (1 - inference.speculative.acceptance)"
        }
    };
    q.derive("inference.speculative.expected_tokens", expected, LEVIATHAN);
    let bytes = bytes_of(own.weights);
    q.derive(
        "inference.speculative.draft_time",
        &format!(
            "inference.speculative.tokens * inference.speculative.draft_params * max({bytes} / (inference.tensor * \
             inference.bandwidth), 2 FLOP * inference.sequences / (inference.tensor * inference.rate))"
        ),
        "a step for each proposal; 2N FLOP a token; its cache and collectives are left out",
    );
    let tokens = "inference.sequences * (inference.speculative.tokens + 1)";
    counts::params_read(q, forms, "inference.speculative.params", tokens);
    let cache = cache(q);
    let mut sum = format!(
        "max(({bytes} * inference.speculative.params / inference.tensor{cache}) / inference.bandwidth, {tokens} * \
         inference.decode.flops / (inference.tensor * inference.rate))"
    );
    let count = q.number("inference.sequences").unwrap_or(1.0) * (speculative.tokens as f64 + 1.0);
    if communicates(q, own, "inference.speculative.communication", count) {
        sum.push_str(" + inference.speculative.communication");
    }
    q.derive("inference.speculative.check_time", &sum, ROOFLINE);
}

/// Throughput, and what share of the peak is the model's.
fn rates(q: &mut Quantities<'_>) {
    q.derive(
        "inference.tokens_per_second",
        "inference.output / inference.request_time",
        "tokens of answers, prompts' time included",
    );
    q.derive(
        "inference.tokens_per_second_per_device",
        "inference.tokens_per_second / inference.tensor",
        "devices of a replica",
    );
    q.derive(
        "inference.mfu",
        "(inference.prefill.flops + (inference.output - 1) * inference.decode.flops) / (inference.request_time * \
         inference.tensor * inference.device.peak)",
        "Chowdhery 2022 appendix B, of a request",
    );
}

/// The collectives of a pass over so many tokens, where a replica has several devices.
fn communicates(q: &mut Quantities<'_>, own: &Inference, path: &str, tokens: f64) -> bool {
    let Some(seconds) = exchange(q, own, tokens).filter(|_| own.tensor > 1) else { return false };
    let inputs =
        ["inference.tensor", "inference.sequences", "inference.device.link", "model.d_model", "model.layers"];
    let name = "all-reduces of tokens · d_model 16-bit values, two a layer, over the links";
    q.modelled(path, Value::Real(seconds), name, &inputs, EXCHANGED);
    true
}

/// Seconds of those; `None` where the links are unknown.
fn exchange(q: &Quantities<'_>, own: &Inference, tokens: f64) -> Option<f64> {
    let (device, _) = device::of(q.plan, own)?;
    let model = &q.plan.model;
    let each = device::all_reduce(device, own.tensor, tokens * model.d_model as f64 * 2.0).ok()?;
    Some(each * sums(model) as f64)
}

/// How many outputs of a pass are partial sums: of each mixer and feed-forward network, of both at once side by side.
fn sums(model: &Model) -> u64 {
    let each = model.kinds.iter().map(|kind| {
        let mixer = u64::from(kind.layer.mixer != Mixer::None);
        let feed_forward = u64::from(kind.layer.feed_forward != FeedForward::None);
        let own = match kind.layer.arrangement {
            Arrangement::Sequential => mixer + feed_forward,
            Arrangement::Parallel | Arrangement::ParallelTwoNorms => mixer.max(feed_forward),
        };
        own.saturating_mul(kind.count)
    });
    each.fold(0, u64::saturating_add)
}
