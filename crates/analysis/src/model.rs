//! Parameters and bare weights: what follows from the model alone.

use llmplan_spec::plan::{LayerKind, Model, NormKind, ParamsConvention, Plan};

use crate::closed::{Form, norm_vectors, sum, term};
use crate::folds;
use crate::graph::{Component, Graph};
use crate::quantities::Quantities;

const PARAMETERS: &str = "Vaswani 2017 §3; Kaplan 2020 §2.1, table 1";
const LATENT: &str = "DeepSeek-V2 §2.1, eq. 9–19";
const EXPERTS: &str = "Shazeer 2017 §2; shared experts: DeepSeekMoE §3.2";
const STATE_SPACE: &str = "Dao 2024 §7.1";
const DELTA: &str = "Yang 2024 §3; Qwen3-Next";
const MTP: &str = "DeepSeek-V3 §2.2, eq. 21–23";

/// The parts of the layers that have parameters: path, component, source.
const PARTS: [(&str, Component, &str); 15] = [
    ("model.params.attention.qkv", Component::Qkv, PARAMETERS),
    ("model.params.attention.relative", Component::Relative, "Dai 2019 §3.3"),
    ("model.params.attention.sinks", Component::Sinks, "gpt-oss model card §2.2"),
    ("model.params.attention.gate", Component::AttentionGate, "Qiu 2025"),
    ("model.params.attention.output", Component::AttentionOutput, PARAMETERS),
    ("model.params.recurrent.input", Component::RecurrentInput, STATE_SPACE),
    ("model.params.recurrent.state", Component::Recurrence, STATE_SPACE),
    ("model.params.recurrent.output", Component::RecurrentOutput, STATE_SPACE),
    ("model.params.ffn.up", Component::FfnUp, PARAMETERS),
    ("model.params.ffn.gate", Component::FfnGate, "Shazeer 2020"),
    ("model.params.ffn.down", Component::FfnDown, PARAMETERS),
    ("model.params.router", Component::Router, EXPERTS),
    ("model.params.experts", Component::Experts, EXPERTS),
    ("model.params.shared_experts", Component::SharedExperts, EXPERTS),
    ("model.params.norm", Component::Norm, "Ba 2016; Zhang 2019"),
];

/// The sums of some parts, as the report has them.
const SUMS: [(&str, &[&str]); 3] = [
    (
        "model.params.attention",
        &[
            "model.params.attention.qkv",
            "model.params.attention.relative",
            "model.params.attention.sinks",
            "model.params.attention.gate",
            "model.params.attention.output",
        ],
    ),
    (
        "model.params.recurrent",
        &["model.params.recurrent.input", "model.params.recurrent.state", "model.params.recurrent.output"],
    ),
    ("model.params.ffn", &["model.params.ffn.up", "model.params.ffn.gate", "model.params.ffn.down"]),
];

/// The kinds of a model's layers with their closed forms.
pub(crate) struct Forms<'a> {
    pub(crate) kinds: Vec<Form<'a>>,
    /// The layer of each module of multi-token prediction.
    pub(crate) module: Option<Form<'a>>,
}

impl<'a> Forms<'a> {
    pub(crate) fn new(plan: &'a Plan, graph: &Graph, own: &'a dyn Fn(&str) -> bool) -> Forms<'a> {
        let model = &plan.model;
        let form = |kind: &'a LayerKind, count: Option<String>| Form::new(kind, model, graph, own, count);
        let kinds = model.kinds.iter().map(|kind| form(kind, Some(count_path(model, kind)))).collect();
        let module = model.last_kind().filter(|_| model.mtp > 0);
        Forms { kinds, module: module.map(|kind| form(kind, Some("model.mtp.depth".to_owned()))) }
    }
}

/// Whether all layers of a model are alike.
pub(crate) fn uniform(model: &Model) -> bool {
    model.kinds.len() == 1
}

/// The path of the number of layers of a kind.
fn count_path(model: &Model, kind: &LayerKind) -> String {
    match uniform(model) {
        true => "model.layers".to_owned(),
        false => format!("model.layer.{}.count", kind.name),
    }
}

/// Parameters by component, their total, and the rule of thumb beside it.
pub(crate) fn parameters(q: &mut Quantities<'_>, graph: &Graph, forms: &Forms<'_>) {
    let model = &q.plan.model;
    let Some(counts) = folds::params(graph) else { return q.count("model.params", None, "0", PARAMETERS) };
    if !uniform(model) {
        for kind in &model.kinds {
            let name = "layers that the `layer` blocks pick";
            let inputs = ["model.layers"];
            let count = Some(u128::from(kind.count));
            q.procedure(&format!("model.layer.{}.count", kind.name), count, name, &inputs, "as declared");
        }
    }
    outer(q, &counts);
    let source = |component: Component, known: &'static str| match component {
        Component::Qkv if has_latents(model) => LATENT,
        Component::RecurrentInput | Component::Recurrence | Component::RecurrentOutput
            if has_delta(model) =>
        {
            DELTA
        }
        _ => known,
    };
    for (path, component, known) in PARTS {
        let terms: Vec<_> = forms.kinds.iter().map(|form| (form, form.params(component))).collect();
        let mut formula = sum(q, &terms, "", "");
        if component == Component::Norm {
            formula = with_outer_norms(model, formula);
        }
        if let Some(formula) = formula {
            q.count(path, Some(counts.of(component)), &formula, source(component, known));
        }
    }
    for (path, parts) in SUMS {
        let parts = known(q, parts);
        if !parts.is_empty() {
            q.derive(path, &parts.join(" + "), PARAMETERS);
        }
    }
    each_kind(q, forms);
    if let Some(module) = &forms.module {
        let formula = module_params(q.plan, module);
        q.count("model.params.mtp", Some(counts.of(Component::Mtp)), &formula, MTP);
    }
    totals(q, graph, &counts);
}

/// Embedding, positions and output.
fn outer(q: &mut Quantities<'_>, counts: &folds::Counts) {
    let model = &q.plan.model;
    if q.plan.setting("model.vocab").is_some_and(|declared| number(declared) != Some(model.vocab)) {
        let formula = "model.vocab_multiple * ceil(model.vocab / model.vocab_multiple)";
        q.count("model.padded_vocab", Some(u128::from(model.vocab)), formula, "Shoeybi 2019 §5");
    }
    let (v, width) = (vocab_path(q), width_path(model));
    let table = format!("{v} * {width}");
    q.count("model.params.embedding", Some(counts.of(Component::Embedding)), &table, PARAMETERS);
    if model.embedding_width != model.d_model {
        let formula = format!("2 * {width} * model.d_model");
        let count = Some(counts.of(Component::EmbeddingProjection));
        q.count("model.params.projection", count, &formula, "Zhang 2022");
    }
    if model.position_rows.is_some() {
        // Rows have the noun of tokens; a row is no token once it is multiplied.
        let formula = "model.position_rows * model.d_model";
        q.count("model.params.position", Some(counts.of(Component::Position)), formula, PARAMETERS);
    }
    let head = match (model.tied_embeddings, model.output_bias) {
        (false, false) => table,
        (false, true) => format!("{table} + {v}"),
        (true, true) => v,
        (true, false) => return,
    };
    q.count("model.params.output", Some(counts.of(Component::Output)), &head, PARAMETERS);
}

/// Norms of the layers with those before and behind them.
fn with_outer_norms(model: &Model, layers: Option<String>) -> Option<String> {
    let outer = u64::from(model.norm.embedding) + u64::from(model.norm.last);
    let vectors = norm_vectors(model).saturating_mul(outer);
    let own =
        (vectors > 0 && model.norm.kind != NormKind::None).then(|| term(vectors, &["model.d_model"], ""));
    match (layers, own) {
        (Some(layers), Some(own)) => Some(format!("{layers} + {own}")),
        (layers, own) => layers.or(own),
    }
}

/// One layer of each kind.
fn each_kind(q: &mut Quantities<'_>, forms: &Forms<'_>) {
    let plan = q.plan;
    for (kind, form) in plan.model.kinds.iter().zip(&forms.kinds) {
        let mut parts = Vec::new();
        for (_, component, _) in PARTS {
            for (coefficient, factors) in form.params(component) {
                parts.push(term(coefficient, &[&factors], ""));
            }
        }
        let path = match uniform(&plan.model) {
            true => "model.params.per_layer".to_owned(),
            false => format!("model.layer.{}.params", kind.name),
        };
        if !parts.is_empty() {
            q.derive(&path, &parts.join(" + "), PARAMETERS);
        }
    }
}

/// Parameters of all modules of multi-token prediction.
fn module_params(plan: &Plan, module: &Form<'_>) -> String {
    let depth = module.count.as_deref().unwrap_or_default();
    let mut parts = vec![term(2, &[depth, "model.d_model^2"], "")];
    let norms = norm_vectors(&plan.model) * 3;
    if norms > 0 {
        parts.push(term(norms, &[depth, "model.d_model"], ""));
    }
    for (_, component, _) in PARTS {
        for (coefficient, factors) in module.params(component) {
            parts.push(term(coefficient, &[depth, &factors], ""));
        }
    }
    parts.join(" + ")
}

fn totals(q: &mut Quantities<'_>, graph: &Graph, counts: &folds::Counts) {
    let plan = q.plan;
    let model = &plan.model;
    let tables = known(
        q,
        &[
            "model.params.embedding",
            "model.params.projection",
            "model.params.position",
            "model.params.output",
        ],
    );
    let inner = known(
        q,
        &[
            "model.params.attention",
            "model.params.recurrent",
            "model.params.ffn",
            "model.params.router",
            "model.params.experts",
            "model.params.shared_experts",
            "model.params.norm",
            "model.params.mtp",
        ],
    );
    let all = [tables.as_slice(), inner.as_slice()].concat().join(" + ");
    q.count("model.params", counts.total(), &all, PARAMETERS);
    let inner = if inner.is_empty() { "0 params".to_owned() } else { inner.join(" + ") };
    q.derive("model.non_embedding_params", &inner, "Kaplan 2020 §2.1");
    active(q, graph);
    let share = format!("({}) / model.params", tables.join(" + "));
    q.derive("model.params.embedding_share", &share, PARAMETERS);
    let twice = if model.tied_embeddings { "" } else { "2 * " };
    let rule = format!("12 * model.layers * model.d_model^2 + {twice}{} * model.d_model", vocab_path(q));
    q.derive(
        "model.params.rule_of_thumb",
        &rule,
        "Kaplan 2020 §2.1: biases and norms left out, d_ff = 4d, multi-head",
    );
}

/// What one token passes: all of a dense model; of experts those that it is routed to.
fn active(q: &mut Quantities<'_>, graph: &Graph) {
    let plan = q.plan;
    let own = |path: &str| plan.setting(path).is_some();
    let forms = Forms::new(plan, graph, &own);
    let mut less = String::new();
    let terms: Vec<_> = forms.kinds.iter().map(|form| (form, form.active_experts())).collect();
    let counts = folds::active_params(graph);
    if let Some(formula) = sum(q, &terms, "", "") {
        let count = counts.map(|counts| counts.of(Component::Experts));
        q.count("model.params.active_experts", count, &formula, EXPERTS);
        less.push_str(" - model.params.experts + model.params.active_experts");
    }
    if forms.module.is_some() {
        less.push_str(" - model.params.mtp");
    }
    let source = match less.is_empty() {
        true => "dense: every token passes through every parameter",
        false => "experts that the token is routed to, embeddings included, multi-token prediction left out",
    };
    q.count(
        "model.active_params",
        counts.and_then(|counts| counts.total()),
        &format!("model.params{less}"),
        source,
    );
    if !less.is_empty() {
        let formula = format!("model.non_embedding_params{less}");
        q.derive("model.active_non_embedding_params", &formula, "Kaplan 2020 §2.1");
    }
    let mut rest = String::from("model.active_params");
    if !plan.model.tied_embeddings {
        rest.push_str(" - model.params.embedding");
    }
    if plan.model.position_rows.is_some() {
        rest.push_str(" - model.params.position");
    }
    let source = "tables that are only looked up left out, as gpt-oss and DeepSeek count";
    q.derive("model.active_params.without_lookups", &rest, source);
}

/// The parameters that N means under the plan's convention, of a mixture of experts those that a token passes.
pub(crate) fn params_path(q: &Quantities<'_>) -> &'static str {
    let sparse = q.get("model.params.active_experts").is_some();
    match (q.plan.convention.params, sparse) {
        (ParamsConvention::Total, false) => "model.params",
        (ParamsConvention::Total, true) => "model.active_params",
        (ParamsConvention::NonEmbedding, false) => "model.non_embedding_params",
        (ParamsConvention::NonEmbedding, true) => "model.active_non_embedding_params",
    }
}

/// Weights alone, in each precision.
pub(crate) fn weights(q: &mut Quantities<'_>) {
    let source = "bytes of the data type times N; scales of quantized formats left out";
    q.derive("memory.weights_only.fp32", "4 bytes * model.params", source);
    q.derive("memory.weights_only.bf16", "2 bytes * model.params", source);
    q.derive("memory.weights_only.int8", "1 bytes * model.params", source);
    q.derive("memory.weights_only.int4", "1 bytes * ceil(model.params / 2)", source);
}

/// The rows of the embedding.
pub(crate) fn vocab_path(q: &Quantities<'_>) -> String {
    let padded = q.get("model.padded_vocab").is_some();
    if padded { "model.padded_vocab" } else { "model.vocab" }.to_owned()
}

/// The width of the embedding.
pub(crate) fn width_path(model: &Model) -> &'static str {
    if model.embedding_width == model.d_model { "model.d_model" } else { "model.embedding_width" }
}

/// Those paths that the report has.
pub(crate) fn known<'p>(q: &Quantities<'_>, paths: &[&'p str]) -> Vec<&'p str> {
    paths.iter().copied().filter(|path| q.get(path).is_some()).collect()
}

fn number(setting: &llmplan_spec::plan::Setting) -> Option<u64> {
    match &setting.value {
        llmplan_spec::plan::SettingValue::Quantity(amount) => {
            amount.number.count().and_then(|count| u64::try_from(count).ok())
        }
        llmplan_spec::plan::SettingValue::Text(_) => None,
    }
}

fn has_latents(model: &Model) -> bool {
    use llmplan_spec::plan::Mixer;
    let latent =
        |kind: &LayerKind| matches!(&kind.layer.mixer, Mixer::Attention(own) if own.latent.is_some());
    model.kinds.iter().any(latent)
}

fn has_delta(model: &Model) -> bool {
    use llmplan_spec::plan::Mixer;
    model.kinds.iter().any(|kind| matches!(kind.layer.mixer, Mixer::GatedDelta(_)))
}
