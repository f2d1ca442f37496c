//! What serving counts of a model, whatever serves it: weights, the cache, FLOPs of a prompt and of a token.

use llmplan_spec::plan::{AttentionConvention, FeedForward, Inference, Mixer, Model, Reach};

use super::bytes_of;
use crate::closed::{Form, Terms, sum};
use crate::folds::{Counts, Sequence, forward_flops};
use crate::graph::{Component, Kind, lower};
use crate::model::Forms;
use crate::quantities::Quantities;
use crate::report::Value;

const SCALES: &str = "bits of the format, and a 16-bit scale for each group below 8 bits";
const CACHE: &str = "Pope 2022 §2.1; blocks: Kwon 2023 §4.1; latents: DeepSeek-V2 §2.1.2";
const FLOPS: &str = "2 FLOP a multiply-add; of the scores only those that are not masked";
/// Formulas of more bytes than this are not shown.
const LONGEST: usize = 8_192;

/// Parameters that are served, and their bytes.
pub(super) fn weights(q: &mut Quantities<'_>, own: &Inference) {
    q.leaf("inference.weights");
    let (formula, source) = match q.get("model.params.mtp") {
        Some(_) => ("model.params - model.params.mtp", "multi-token prediction is not served"),
        None => ("model.params", "all of them"),
    };
    q.derive("inference.params", formula, source);
    q.derive("inference.weight_bytes", &format!("{} * inference.params", bytes_of(own.weights)), SCALES);
}

/// Bytes of the cache, of a token and of a sequence.
pub(super) fn cache(q: &mut Quantities<'_>, own: &Inference, forms: &Forms<'_>) {
    q.leaf("inference.kv_cache");
    let each = bytes_of(own.kv_cache);
    if q.get("model.kv_bytes_per_token").is_some() {
        let formula = format!("model.kv_bytes_per_token / 2 bytes * {each}");
        q.derive("inference.kv_bytes_per_token", &formula, CACHE);
    }
    // Blocks are whole; a window's too.
    let full = "inference.prompt + inference.output";
    let blocks = |tokens: &str| format!("ceil(({tokens}) / inference.block) * inference.block");
    let held = |limit: Option<String>| match limit {
        Some(limit) => blocks(&format!("min({limit}, {full})")),
        None => blocks(full),
    };
    sequence(q, own, forms, "inference.kv_per_sequence", &held, (false, 1));
    sequence(q, own, forms, "inference.kv_per_device", &held, (true, 1));
    q.derive(
        "inference.context",
        "inference.prompt + inference.output / 2",
        "from the first token of an answer to its last",
    );
    sequence(q, own, forms, "inference.kv_read", &reached, (true, 2));
}

/// The tokens that a layer reaches at the mean context.
fn reached(limit: Option<String>) -> String {
    limit.map_or("inference.context".to_owned(), |limit| format!("min({limit}, inference.context)"))
}

/// Bytes of one sequence's cache and state. `split`: whether on one device of the replica, where heads that are fewer than
/// devices are held several times and latents by every device; and how often state counts: read and written, it moves
/// twice.
fn sequence(
    q: &mut Quantities<'_>,
    own: &Inference,
    forms: &Forms<'_>,
    path: &str,
    held: &dyn Fn(Option<String>) -> String,
    (split, moved): (bool, u64),
) {
    let plan = q.plan;
    let split = split && own.tensor > 1;
    let terms: Vec<(&Form<'_>, Terms)> = forms
        .kinds
        .iter()
        .zip(&plan.model.kinds)
        .map(|(form, kind)| {
            let Mixer::Attention(attention) = &kind.layer.mixer else { return (form, Terms::new()) };
            let share = match split && attention.latent.is_none() {
                true => {
                    format!(" * max(1 / inference.tensor, 1 / {})", form.path("attention.kv_heads"))
                }
                false => String::new(),
            };
            let held = held(limit(form, attention.reach));
            let own =
                form.cache_values().map(|(values, factors)| (values, format!("{held} * {factors}{share}")));
            (form, own.into_iter().collect())
        })
        .collect();
    let states: Vec<(&Form<'_>, Terms)> = forms
        .kinds
        .iter()
        .map(|form| {
            let bytes = |(values, factors): (u64, String)| (2 * moved * values, factors);
            (form, form.state_values().into_iter().map(bytes).collect())
        })
        .collect();
    let cache = sum(q, &terms, "", "").map(|sum| format!("{} * ({sum})", bytes_of(own.kv_cache)));
    let state = sum(q, &states, "bytes", "").map(|sum| match split {
        true => format!("({sum}) / inference.tensor"),
        false => sum,
    });
    let parts: Vec<String> = cache.into_iter().chain(state).collect();
    let formula = parts.join(" + ");
    if !parts.is_empty() && formula.len() <= LONGEST {
        q.derive(path, &formula, CACHE);
    }
}

fn limit(form: &Form<'_>, reach: Reach) -> Option<String> {
    match reach {
        Reach::Full => None,
        Reach::Window(_) => Some(form.path("attention.window")),
        Reach::Chunk(_) => Some(form.path("attention.chunk")),
    }
}

/// FLOPs of a prompt, and of one token of an answer at the mean context.
pub(super) fn flops(q: &mut Quantities<'_>, forms: &Forms<'_>) {
    let plan = q.plan;
    let Some(own) = &plan.inference else { return };
    let inputs = ["inference.prompt", "inference.params"];
    let name = "products over the operators, causal scores, latents expanded, logits of the last token alone";
    q.procedure("inference.prefill.flops", prompt(&plan.model, own.prompt), name, &inputs, FLOPS);
    let name = "products of one token over the operators, scores left out";
    q.procedure("inference.decode.products", token(&plan.model), name, &["inference.params"], FLOPS);
    let terms: Vec<(&Form<'_>, Terms)> = forms
        .kinds
        .iter()
        .zip(&plan.model.kinds)
        .map(|(form, kind)| {
            let Mixer::Attention(attention) = &kind.layer.mixer else { return (form, Terms::new()) };
            let held = reached(limit(form, attention.reach));
            let term = |(times, width): (u64, String)| (2 * times, format!("{held} * {width}"));
            let widths = match attention.latent {
                // Up-projections are absorbed: heads meet latents.
                Some(_) => {
                    let [heads, rank, rope] =
                        ["heads", "kv_rank", "rope_dim"].map(|leaf| form.path(&format!("attention.{leaf}")));
                    vec![(1, format!("{heads} * ({rank} + {rope})")), (1, format!("{heads} * {rank}"))]
                }
                None => [false, true].into_iter().filter_map(|sum| form.pair_width(sum)).collect(),
            };
            (form, widths.into_iter().map(term).collect())
        })
        .collect();
    let products = "inference.decode.products";
    let source = "heads meet every token that is kept; latents: 2a(r + d_r) + 2a·r each, DeepSeek-V2 §2.1.2";
    let mut formula = products.to_owned();
    if let Some(attention) = sum(q, &terms, "FLOP", "").filter(|text| text.len() <= LONGEST) {
        q.derive("inference.decode.attention", &attention, source);
        formula.push_str(" + inference.decode.attention");
    }
    q.derive("inference.decode.flops", &formula, FLOPS);
}

/// FLOPs of one pass over a prompt; `None` beyond 128 bits.
fn prompt(model: &Model, tokens: u64) -> Option<u128> {
    let counts = forward(model, false, tokens)?;
    let logits = counts.of(Component::Output);
    let last = logits.checked_div(u128::from(tokens))?;
    counts.total()?.checked_sub(logits)?.checked_add(last)
}

/// FLOPs of the products of one token; `None` beyond 128 bits.
fn token(model: &Model) -> Option<u128> {
    let counts = forward(model, true, 1)?;
    let scores = counts.of(Component::Scores).checked_add(counts.of(Component::WeightedSum))?;
    counts.total()?.checked_sub(scores)
}

fn forward(model: &Model, absorbed: bool, tokens: u64) -> Option<Counts> {
    let graph = lower(&served(model, absorbed));
    forward_flops(&graph, Sequence { tokens, documents: None, attention: AttentionConvention::Causal })
}

/// A model as it is served: without multi-token prediction, with latents as the pass takes them.
fn served(model: &Model, absorbed: bool) -> Model {
    let mut model = model.clone();
    model.mtp = 0;
    for kind in &mut model.kinds {
        if let Mixer::Attention(own) = &mut kind.layer.mixer
            && let Some(latent) = &mut own.latent
        {
            latent.absorbed = absorbed;
        }
    }
    model
}

/// Parameters that a pass over `tokens` reads, as a quantity: tables that are only looked up are not, and of the experts
/// those that any token meets, E(1 − (1 − K/E)^B) of a layer's E where tokens pick them at random.
pub(super) fn params_read(q: &mut Quantities<'_>, forms: &Forms<'_>, path: &str, tokens: &str) {
    let plan = q.plan;
    let mut formula = "inference.params".to_owned();
    if !plan.model.tied_embeddings {
        formula.push_str(" - model.params.embedding");
    }
    if q.get("model.params.position").is_some() {
        formula.push_str(" - model.params.position");
    }
    let routed: Vec<(u64, u64, &Form<'_>)> = plan
        .model
        .kinds
        .iter()
        .zip(&forms.kinds)
        .filter_map(|(kind, form)| match &kind.layer.feed_forward {
            FeedForward::Moe(moe) => Some((moe.experts, moe.experts_per_token, form)),
            _ => None,
        })
        .collect();
    let source = "tables that are looked up left out; experts that no token meets: E(1 − K/E)^B, at random";
    match routed.as_slice() {
        [] => q.derive(path, &formula, "all but tables that are looked up"),
        [(experts, active, form), rest @ ..] if rest.iter().all(|(e, k, _)| (e, k) == (experts, active)) => {
            let (k, e) = (form.path("moe.experts_per_token"), form.path("moe.experts"));
            q.derive(path, &format!("{formula} - model.params.experts * (1 - {k} / {e})^({tokens})"), source);
        }
        _ => several(q, path, &formula, tokens, source),
    }
}

/// Layers that route in different ways: each by its own experts.
fn several(q: &mut Quantities<'_>, path: &str, formula: &str, tokens: &str, source: &str) {
    let Some(count) = q.value_of(tokens) else { return };
    let Some(rest) = q.value_of(formula) else { return };
    let graph = lower(&served(&q.plan.model, true));
    let unmet: f64 = graph
        .blocks
        .iter()
        .flat_map(|block| block.operators.iter().map(move |operator| (block.count, operator)))
        .filter_map(|(times, operator)| match operator.kind {
            Kind::ExpertMatMul { experts, active, .. } => {
                let held: f64 =
                    operator.weights.iter().filter_map(|own| own.elements()).map(|n| n as f64).sum();
                let missed = libm::pow(1.0 - active as f64 / experts as f64, count);
                Some(held * times as f64 * missed)
            }
            _ => None,
        })
        .sum();
    let name = "parameters less, in each layer, the experts that no token meets";
    q.modelled(path, Value::Real(rest - unmet), name, &["inference.params", "model.params.experts"], source);
}
