//! The KV cache, the load of experts, and arithmetic intensity: what serving and the roofline rest on.

use llmplan_spec::plan::{FeedForward, Mixer, Reach};

use crate::closed::{Form, sum};
use crate::flops::PRODUCTS;
use crate::folds::{cache_values, forward_traffic, state_values};
use crate::graph::{Component, Graph};
use crate::model::{Forms, known, uniform};
use crate::quantities::Quantities;

const CACHE: &str = "Pope 2022 §2.1; latents: DeepSeek-V2 §2.1.2; 2 bytes a value";
const STATE: &str = "convolution's past and state, at 2 bytes a value: Dao 2024 §7.1";
const TRAFFIC: &str = "Williams 2009: values read and written once, weights once, scores on the chip";

/// Bytes of the KV cache and of recurrent state, in 16 bits.
pub(crate) fn cache(q: &mut Quantities<'_>, forms: &Forms<'_>) {
    let plan = q.plan;
    let cached = |form: &Form<'_>| -> crate::closed::Terms {
        form.cache_values().map(|(values, factors)| (2 * values, factors)).into_iter().collect()
    };
    let terms: Vec<_> = forms.kinds.iter().map(|form| (form, cached(form))).collect();
    let context = if plan.model.context.is_some() { "model.context" } else { "flops.sequence" };
    if let Some(formula) = sum(q, &terms, "bytes", "") {
        q.count("model.kv_bytes_per_token", twice(cache_values(&plan.model, 1)), &formula, CACHE);
        let terms: Vec<_> = forms
            .kinds
            .iter()
            .zip(&plan.model.kinds)
            .map(|(form, kind)| {
                let held = match &kind.layer.mixer {
                    Mixer::Attention(own) => match own.reach {
                        Reach::Full => context.to_owned(),
                        Reach::Window(_) => format!("min({}, {context})", form.path("attention.window")),
                        Reach::Chunk(_) => format!("min({}, {context})", form.path("attention.chunk")),
                    },
                    _ => context.to_owned(),
                };
                let held = |(values, factors)| (values, format!("{held} * {factors}"));
                (form, cached(form).into_iter().map(held).collect())
            })
            .collect();
        if let Some(formula) = sum(q, &terms, "bytes", "") {
            let tokens = q.number(context).map_or(0, |tokens| tokens as u64);
            let count = cache_values(&plan.model, plan.model.context.unwrap_or(tokens));
            q.count("model.kv_cache", twice(count), &formula, CACHE);
        }
    }
    let states: Vec<_> = forms
        .kinds
        .iter()
        .map(|form| {
            let twice = |(values, factors): (u64, String)| (2 * values, factors);
            (form, form.state_values().into_iter().map(twice).collect())
        })
        .collect();
    if let Some(formula) = sum(q, &states, "bytes", "") {
        q.count("model.state_bytes", twice(state_values(&plan.model)), &formula, STATE);
    }
    if !uniform(&plan.model) {
        for form in &forms.kinds {
            if let Some((values, factors)) = form.cache_values() {
                let formula = format!("{} bytes * {factors}", 2 * values);
                q.derive(&format!("model.layer.{}.kv_bytes_per_token", form.name()), &formula, CACHE);
            }
        }
    }
}

/// Bytes of 16-bit values.
fn twice(values: Option<u128>) -> Option<u128> {
    values?.checked_mul(2)
}

/// How many tokens of a sequence an expert sees, evenly loaded and at worst.
pub(crate) fn experts(q: &mut Quantities<'_>, forms: &Forms<'_>) {
    let plan = q.plan;
    let routed =
        plan.model.kinds.iter().zip(&forms.kinds).find_map(|(kind, form)| match &kind.layer.feed_forward {
            FeedForward::Moe(moe) => Some((moe, form)),
            _ => None,
        });
    let Some((moe, form)) = routed else { return };
    let (k, e) = (form.path("moe.experts_per_token"), form.path("moe.experts"));
    let mean = format!("flops.sequence * {k} / {e}");
    q.derive("model.moe.tokens_per_expert", &mean, "T·K tokens over E experts");
    let busiest = format!("model.moe.tokens_per_expert * {}", form.path("moe.imbalance"));
    q.derive("model.moe.busiest_expert", &busiest, "the declared imbalance");
    if moe.capacity.is_some() {
        let slots = format!("ceil(model.moe.tokens_per_expert * {})", form.path("moe.capacity"));
        q.derive("model.moe.slots_per_expert", &slots, "Lepikhin 2020 §3.1; Fedus 2021 §2.2");
    }
}

/// Bytes that the products of a forward pass move, and FLOPs over those.
pub(crate) fn intensity(q: &mut Quantities<'_>, graph: &Graph, tokens: u64) {
    let Some(counts) = forward_traffic(graph, tokens) else { return };
    let inputs = ["flops.sequence", "model.params"];
    let name = "over the operators, 2 bytes · (values read + values written + weights)";
    let logits = ("logits", Component::Output);
    for (part, component) in PRODUCTS.into_iter().chain([logits]) {
        let flops = format!("flops.forward.{part}");
        if q.get(&flops).is_none() || counts.of(component) == 0 {
            continue;
        }
        q.procedure(&format!("traffic.{part}"), Some(counts.of(component)), name, &inputs, TRAFFIC);
        q.derive(&format!("intensity.{part}"), &format!("{flops} / traffic.{part}"), TRAFFIC);
    }
    let attention = known(q, &["flops.forward.scores", "flops.forward.weighted_sum"]);
    if attention.is_empty() {
        return;
    }
    let count = counts.of(Component::Scores).checked_add(counts.of(Component::WeightedSum));
    q.procedure(
        "traffic.attention",
        count,
        name,
        &inputs,
        "Dao 2022: queries, keys, values and output move, scores do not",
    );
    let formula = format!("({}) / traffic.attention", attention.join(" + "));
    q.derive("intensity.attention", &formula, TRAFFIC);
}
