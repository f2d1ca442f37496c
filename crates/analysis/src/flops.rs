//! FLOPs: one pass over a sequence by component, per token under each convention, and the rules of thumb beside them.

use llmplan_spec::plan::{AttentionConvention, Documents, Mixer, Plan, Reach};

use crate::closed::{Form, sum, term};
use crate::folds::{self, Sequence, forward_flops};
use crate::graph::{Component, Graph};
use crate::lora::{self, FROZEN};
use crate::model::{Forms, known, params_path, uniform, vocab_path, width_path};
use crate::quantities::Quantities;

const MATMUL: &str = "a product [n×k]·[k×o] is 2nko FLOP; Kaplan 2020 §2.1, table 1";
const RECURRENCE: &str =
    "convolution, and the recurrence as products with its state: Dao 2024 §6; Yang 2024 §3.2";
const BACKWARD: &str =
    "two products for each of the forward pass: Kaplan 2020 §2.1; Chowdhery 2022 appendix B";
const RULE_2N: &str = "Kaplan 2020 §2.1, eq. 2.2";
const RULE_6N: &str = "Kaplan 2020 §2.1; Hoffmann 2022 §3";
const PAIRS: &str = "each query meets the keys that its mask leaves";

/// T where neither training nor the model says: listed under the assumptions.
const DEFAULT_SEQUENCE: u64 = 2048;

/// Components of layers that are products per token, in the order of the report.
pub(crate) const PRODUCTS: [(&str, Component); 13] = [
    ("qkv", Component::Qkv),
    ("relative", Component::Relative),
    ("attention_gate", Component::AttentionGate),
    ("output_projection", Component::AttentionOutput),
    ("recurrent_input", Component::RecurrentInput),
    ("recurrence", Component::Recurrence),
    ("recurrent_output", Component::RecurrentOutput),
    ("ffn_up", Component::FfnUp),
    ("ffn_gate", Component::FfnGate),
    ("ffn_down", Component::FfnDown),
    ("router", Component::Router),
    ("experts", Component::Experts),
    ("shared_experts", Component::SharedExperts),
];

/// The paths of all parts of a forward pass, in the order of the report.
pub(crate) const LAYERS: [&str; 15] = [
    "flops.forward.qkv",
    "flops.forward.relative",
    "flops.forward.scores",
    "flops.forward.weighted_sum",
    "flops.forward.attention_gate",
    "flops.forward.output_projection",
    "flops.forward.recurrent_input",
    "flops.forward.recurrence",
    "flops.forward.recurrent_output",
    "flops.forward.ffn_up",
    "flops.forward.ffn_gate",
    "flops.forward.ffn_down",
    "flops.forward.router",
    "flops.forward.experts",
    "flops.forward.shared_experts",
];

/// Products of two values, which no frozen weights are in. Convolutions are counted with their recurrence.
const WEIGHTLESS: [&str; 4] = [
    "flops.forward.scores",
    "flops.forward.weighted_sum",
    "flops.forward.recurrence",
    "flops.forward.mtp_attention",
];

/// T: the tokens of a sequence of a plan.
pub(crate) fn tokens(plan: &Plan) -> u64 {
    let trained = plan.training.as_ref().and_then(|training| training.sequence);
    trained.or(plan.model.context).unwrap_or(DEFAULT_SEQUENCE)
}

/// T, the sequence that FLOPs are counted for.
fn sequence(q: &mut Quantities<'_>) -> u64 {
    let plan = q.plan;
    let trained = plan.training.as_ref().and_then(|training| training.sequence);
    let path = match (trained, plan.model.context) {
        (Some(sequence), _) => Some((sequence, "training.sequence", "as declared")),
        (None, Some(context)) => {
            Some((context, "model.context", "the whole context: `training.sequence` is not declared"))
        }
        (None, None) => None,
    };
    match path {
        Some((sequence, path, source)) => {
            q.count("flops.sequence", Some(u128::from(sequence)), path, source);
            sequence
        }
        None => {
            q.given(
                "flops.sequence",
                DEFAULT_SEQUENCE,
                "neither `training.sequence` nor `model.context` is declared",
            );
            DEFAULT_SEQUENCE
        }
    }
}

/// FLOPs of one pass over a sequence by component, per token, and the rules of thumb beside them. Gives T.
pub(crate) fn flops(q: &mut Quantities<'_>, graph: &Graph, forms: &Forms<'_>) -> u64 {
    let tokens = sequence(q);
    let plan = q.plan;
    let documents = plan.training.as_ref().and_then(|training| training.documents.as_ref());
    let own = Sequence { tokens, documents, attention: plan.convention.attention };
    let Some(counts) = forward_flops(graph, own) else {
        q.count("flops.forward", None, "0 FLOP", MATMUL);
        return tokens;
    };
    for (name, component) in PRODUCTS {
        let terms: Vec<_> =
            forms.kinds.iter().map(|form| (form, twice(form.multiply_adds(component)))).collect();
        if let Some(formula) = sum(q, &terms, "FLOP", "flops.sequence") {
            let source = if component == Component::Recurrence { RECURRENCE } else { MATMUL };
            q.count(&format!("flops.forward.{name}"), Some(counts.of(component)), &formula, source);
        }
    }
    pairs(q, own);
    for (name, component, of_sum) in
        [("scores", Component::Scores, false), ("weighted_sum", Component::WeightedSum, true)]
    {
        if let Some(formula) = attention(q, &forms.kinds, &[of_sum], own.attention) {
            q.count(&format!("flops.forward.{name}"), Some(counts.of(component)), &formula, MATMUL);
        }
    }
    let (v, width) = (vocab_path(q), width_path(&plan.model));
    let logits = format!("2 FLOP * flops.sequence * {v} * {width}");
    q.count("flops.forward.logits", Some(counts.of(Component::Output)), &logits, MATMUL);
    if width != "model.d_model" {
        let formula = format!("4 FLOP * flops.sequence * {width} * model.d_model");
        let count = Some(counts.of(Component::EmbeddingProjection));
        q.count("flops.forward.projection", count, &formula, MATMUL);
    }
    if let Some(module) = &forms.module {
        modules(q, module, &counts, own.attention);
    }
    lora::flops(q, graph, tokens);
    totals(q, &counts);
    per_kind(q, forms, own.attention);
    conventions(q, graph, forms, own);
    rules(q);
    tokens
}

fn twice(terms: crate::closed::Terms) -> crate::closed::Terms {
    terms.into_iter().map(|(coefficient, factors)| (coefficient.saturating_mul(2), factors)).collect()
}

/// The pairs of one head, for each kind of layer that does not see everything; and where documents are packed.
fn pairs(q: &mut Quantities<'_>, sequence: Sequence<'_>) {
    let plan = q.plan;
    for kind in &plan.model.kinds {
        let Mixer::Attention(attention) = &kind.layer.mixer else { continue };
        if attention.reach == Reach::Full && sequence.documents.is_none() {
            continue;
        }
        for convention in [AttentionConvention::Full, AttentionConvention::Causal] {
            let path = pairs_path(&kind.name, convention);
            let count = folds::pairs(attention.reach, Sequence { attention: convention, ..sequence });
            let limit = |leaf: &str| {
                let own = format!("model.layer.{}.attention.{leaf}", kind.name);
                if plan.setting(&own).is_some() { own } else { format!("model.attention.{leaf}") }
            };
            match sequence.documents {
                None => {
                    let formula = match attention.reach {
                        Reach::Chunk(_) => chunk_pairs(&limit("chunk"), convention),
                        _ => window_pairs(&limit("window"), convention),
                    };
                    q.count(&path, count, &formula, PAIRS);
                }
                Some(documents) => {
                    let mut inputs = vec!["flops.sequence".to_owned(), "training.documents".to_owned()];
                    match attention.reach {
                        Reach::Full => {}
                        Reach::Window(_) => inputs.push(limit("window")),
                        Reach::Chunk(_) => inputs.push(limit("chunk")),
                    }
                    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                    q.procedure(&path, count, documents_words(documents, convention), &inputs, PAIRS);
                }
            }
        }
    }
}

fn documents_words(documents: &Documents, convention: AttentionConvention) -> &'static str {
    match (documents, convention) {
        (Documents::Alike(_), AttentionConvention::Full) => {
            "over documents of one length and the shorter rest, length · keys within reach"
        }
        (Documents::Alike(_), AttentionConvention::Causal) => {
            "over documents of one length and the shorter rest, keys within reach that are not ahead"
        }
        (Documents::Listed(_), AttentionConvention::Full) => "over documents, length · keys within reach",
        (Documents::Listed(_), AttentionConvention::Causal) => {
            "over documents, keys within reach that are not ahead"
        }
    }
}

fn pairs_path(kind: &str, convention: AttentionConvention) -> String {
    match convention {
        AttentionConvention::Full => format!("flops.pairs.{kind}.full"),
        AttentionConvention::Causal => format!("flops.pairs.{kind}.causal"),
    }
}

fn window_pairs(window: &str, convention: AttentionConvention) -> String {
    let met = format!("min({window}, flops.sequence)");
    match convention {
        AttentionConvention::Full => format!("flops.sequence * {met}"),
        AttentionConvention::Causal => format!("flops.sequence * {met} - {met} * ({met} - 1) / 2"),
    }
}

fn chunk_pairs(chunk: &str, convention: AttentionConvention) -> String {
    let whole = format!("floor(flops.sequence / {chunk})");
    let rest = format!("(flops.sequence - {chunk} * {whole})");
    match convention {
        AttentionConvention::Full => format!("{whole} * {chunk}^2 + {rest}^2"),
        AttentionConvention::Causal => {
            format!("{whole} * {chunk} * ({chunk} + 1) / 2 + {rest} * ({rest} + 1) / 2")
        }
    }
}

/// Scores, weighted sums or both of some layers under a convention.
fn attention(
    q: &Quantities<'_>,
    forms: &[Form<'_>],
    sums: &[bool],
    convention: AttentionConvention,
) -> Option<String> {
    let terms: Vec<_> = forms.iter().map(|form| (form, pair_terms(q, form, sums, convention))).collect();
    sum(q, &terms, "FLOP", "")
}

fn pair_terms(
    q: &Quantities<'_>,
    form: &Form<'_>,
    sums: &[bool],
    convention: AttentionConvention,
) -> crate::closed::Terms {
    let path = pairs_path(form.name(), convention);
    let (coefficient, pairs) = match (q.get(&path).is_some(), convention) {
        (true, _) => (2, path),
        (false, AttentionConvention::Full) => (2, "flops.sequence^2".to_owned()),
        (false, AttentionConvention::Causal) => (1, "flops.sequence * (flops.sequence + 1)".to_owned()),
    };
    let widths = sums.iter().filter_map(|of_sum| form.pair_width(*of_sum));
    let mut terms: crate::closed::Terms = Vec::new();
    for (products, width) in widths {
        let factors = format!("{pairs} * {width}");
        match terms.iter_mut().find(|(_, known)| *known == factors) {
            Some((known, _)) => *known += coefficient * products,
            None => terms.push((coefficient * products, factors)),
        }
    }
    terms
}

/// Modules of multi-token prediction: projection, a layer, logits.
fn modules(
    q: &mut Quantities<'_>,
    module: &Form<'_>,
    counts: &folds::Counts,
    convention: AttentionConvention,
) {
    const MTP: &str = "DeepSeek-V3 §2.2, eq. 21–23";
    let depth = "model.mtp.depth";
    let v = vocab_path(q);
    let outer = format!("{v} * model.d_model");
    let mut parts = vec![
        term(4, &[depth, "flops.sequence", "model.d_model^2"], "FLOP"),
        term(2, &[depth, "flops.sequence", &outer], "FLOP"),
    ];
    for (_, component) in PRODUCTS {
        for (coefficient, factors) in twice(module.multiply_adds(component)) {
            parts.push(term(coefficient, &[depth, "flops.sequence", &factors], "FLOP"));
        }
    }
    q.count("flops.forward.mtp", Some(counts.of(Component::Mtp)), &parts.join(" + "), MTP);
    if let Some(formula) = attention(q, std::slice::from_ref(module), &[false, true], convention) {
        let count = Some(counts.of(Component::MtpAttention));
        q.count("flops.forward.mtp_attention", count, &formula, MTP);
    }
}

fn totals(q: &mut Quantities<'_>, counts: &folds::Counts) {
    let layers = known(q, &LAYERS);
    q.derive("flops.forward.layers", &layers.join(" + "), MATMUL);
    if uniform(&q.plan.model) {
        q.derive("flops.forward.per_layer", "flops.forward.layers / model.layers", MATMUL);
    }
    let rest = known(
        q,
        &[
            "flops.forward.layers",
            "flops.forward.projection",
            "flops.forward.logits",
            "flops.forward.mtp",
            "flops.forward.mtp_attention",
        ],
    );
    q.count("flops.forward", counts.total(), &rest.join(" + "), MATMUL);
    let (backward, adapters, source) = match q.get("flops.adapters") {
        None => ("2 * flops.forward".to_owned(), "", BACKWARD),
        // What has no weights has both of its gradients.
        Some(_) => {
            let weightless = known(q, &WEIGHTLESS);
            (
                ["flops.forward"].into_iter().chain(weightless).collect::<Vec<_>>().join(" + "),
                " + flops.adapters",
                FROZEN,
            )
        }
    };
    q.derive("flops.backward", &backward, source);
    q.derive("flops.training", &format!("flops.forward + flops.backward{adapters}"), source);
    q.derive("flops.forward_per_token", "flops.forward / flops.sequence", MATMUL);
    q.derive("flops.backward_per_token", "flops.backward / flops.sequence", source);
    q.derive("flops.training_per_token", "flops.training / flops.sequence", source);
    let modules = known(q, &["flops.forward.mtp", "flops.forward.mtp_attention"]);
    if !modules.is_empty() {
        let formula = format!("(flops.forward - {}) / flops.sequence", modules.join(" - "));
        q.derive("flops.inference_per_token", &formula, "multi-token prediction is not served");
    }
    let attention = known(q, &["flops.forward.scores", "flops.forward.weighted_sum"]);
    if !attention.is_empty() {
        let share = format!("({}) / flops.forward", attention.join(" + "));
        q.derive("flops.attention_share", &share, MATMUL);
    }
    q.derive(
        "flops.sequence_ratio",
        "flops.sequence / model.d_model",
        "Kaplan 2020 §2.1: the T² terms need T ≪ 12d to vanish",
    );
}

/// One layer of each kind, where they differ.
fn per_kind(q: &mut Quantities<'_>, forms: &Forms<'_>, convention: AttentionConvention) {
    let plan = q.plan;
    if uniform(&plan.model) {
        return;
    }
    for form in &forms.kinds {
        let mut parts = Vec::new();
        for (_, component) in PRODUCTS {
            for (coefficient, factors) in twice(form.multiply_adds(component)) {
                parts.push(term(coefficient, &["flops.sequence", &factors], "FLOP"));
            }
        }
        for (coefficient, factors) in pair_terms(q, form, &[false, true], convention) {
            parts.push(term(coefficient, &[&factors], "FLOP"));
        }
        if !parts.is_empty() {
            q.derive(&format!("model.layer.{}.flops", form.name()), &parts.join(" + "), MATMUL);
        }
    }
}

/// FLOPs per token as each convention counts them, side by side: published figures use either.
fn conventions(q: &mut Quantities<'_>, graph: &Graph, forms: &Forms<'_>, own: Sequence<'_>) {
    let parts =
        known(q, &["flops.forward.scores", "flops.forward.weighted_sum", "flops.forward.mtp_attention"]);
    if parts.is_empty() {
        return;
    }
    for (word, convention, source) in [
        ("full", AttentionConvention::Full, "Chowdhery 2022 appendix B: the masked half counts"),
        ("causal", AttentionConvention::Causal, "Megatron-LM since 2024: the masked half does not count"),
    ] {
        let path = |leaf: &str| format!("flops.convention.{word}.{leaf}");
        let Some(counts) = forward_flops(graph, Sequence { attention: convention, ..own }) else { continue };
        let components = [Component::Scores, Component::WeightedSum, Component::MtpAttention];
        let count =
            components.iter().try_fold(0_u128, |total, component| total.checked_add(counts.of(*component)));
        let mut terms: Vec<_> =
            forms.kinds.iter().map(|form| (form, pair_terms(q, form, &[false, true], convention))).collect();
        if let Some(module) = &forms.module {
            terms.push((module, pair_terms(q, module, &[false, true], convention)));
        }
        let Some(formula) = sum(q, &terms, "FLOP", "") else { continue };
        q.count(&path("attention"), count, &formula, source);
        let forward =
            format!("(flops.forward - ({}) + {}) / flops.sequence", parts.join(" + "), path("attention"));
        q.derive(&path("forward_per_token"), &forward, source);
        let (attention, forward) = (path("attention"), path("forward_per_token"));
        let (backward, adapters, source) = match q.get("flops.adapters") {
            None => (format!("2 * {forward}"), "", BACKWARD),
            Some(_) => {
                let other = format!("flops.backward - 2 * ({}) + 2 * {attention}", parts.join(" + "));
                (format!("({other}) / flops.sequence"), " + flops.adapters / flops.sequence", FROZEN)
            }
        };
        q.derive(&path("backward_per_token"), &backward, source);
        let both = format!("{forward} + {}{adapters}", path("backward_per_token"));
        q.derive(&path("training_per_token"), &both, source);
    }
}

fn rules(q: &mut Quantities<'_>) {
    let n = params_path(q);
    q.derive("flops.rule_of_thumb.forward", &format!("2 FLOP * {n}"), RULE_2N);
    match q.get("flops.adapters") {
        None => q.derive("flops.rule_of_thumb.training", &format!("6 FLOP * {n}"), RULE_6N),
        Some(_) => q.derive("flops.rule_of_thumb.training", &format!("4 FLOP * {n}"), FROZEN),
    }
    q.derive("flops.rule_of_thumb.inference", &format!("2 FLOP * {n} * flops.sequence"), RULE_2N);
    let rule = "24 FLOP * flops.sequence * model.d_model^2 + 4 FLOP * flops.sequence^2 * model.d_model";
    q.derive(
        "flops.rule_of_thumb.per_layer",
        rule,
        "multi-head attention, d_ff = 4d, all scores: Kaplan 2020 §2.1, table 1",
    );
    q.derive("flops.rule_of_thumb.layers", "model.layers * flops.rule_of_thumb.per_layer", "L layers alike");
}
