//! Parameters, forward FLOPs and bare weights: what follows from the model alone.

use llmplan_spec::plan::{AttentionConvention, Model, NormKind, ParamsConvention, Position};

use crate::folds::{forward_flops, params};
use crate::graph::{Component, Graph};
use crate::quantities::Quantities;

const PARAMETERS: &str = "Vaswani 2017 §3; Kaplan 2020 §2.1, table 1";
const MATMUL: &str = "a product [n×k]·[k×o] is 2nko FLOP; Kaplan 2020 §2.1, table 1";
const BACKWARD: &str =
    "two products for each of the forward pass: Kaplan 2020 §2.1; Chowdhery 2022 appendix B";
const RULE_2N: &str = "Kaplan 2020 §2.1, eq. 2.2";
const RULE_6N: &str = "Kaplan 2020 §2.1; Hoffmann 2022 §3";

/// T where neither training nor the model says: listed under the assumptions.
pub(crate) const DEFAULT_SEQUENCE: u64 = 2048;

/// The shapes that formulas can be written shorter for.
#[derive(Clone, Copy)]
struct Shape {
    /// heads × head_dim is d_model: queries are as wide as the residual stream.
    square: bool,
    /// As many key and value heads as query heads.
    multi_head: bool,
    /// d_ff is 4·d_model.
    fourfold: bool,
}

impl Shape {
    fn of(model: &Model) -> Shape {
        let attention = &model.attention;
        Shape {
            square: attention.heads.checked_mul(attention.head_dim) == Some(model.d_model),
            multi_head: attention.heads == attention.kv_heads,
            fourfold: model.d_model.checked_mul(4) == Some(model.ffn.d_ff),
        }
    }

    /// The width of all query heads together.
    fn queries(self) -> &'static str {
        if self.square { "model.d_model" } else { "model.attention.heads * model.attention.head_dim" }
    }
}

/// Parameters by component, their total, and the rule of thumb beside it.
pub(crate) fn parameters(q: &mut Quantities<'_>, graph: &Graph) {
    let model = &q.plan.model;
    let shape = Shape::of(model);
    let Some(counts) = params(graph) else { return q.count("model.params", None, "0", PARAMETERS) };
    let mut count = |path: &str, component: Component, formula: String| {
        q.count(path, Some(counts.of(component)), &formula, PARAMETERS);
    };
    let (attention, ffn) = (&model.attention, &model.ffn);
    let biased = |on: bool, term: &str| if on { format!(" + {term}") } else { String::new() };

    count("model.params.embedding", Component::Embedding, "model.vocab * model.d_model".to_owned());
    let learned = attention.position == Position::Learned;
    if learned {
        count("model.params.position", Component::Position, "model.context * model.d_model".to_owned());
    }
    let qkv = if shape.square && shape.multi_head {
        let bias = biased(attention.qkv_bias, "3 * model.layers * model.d_model");
        format!("3 * model.layers * model.d_model^2{bias}")
    } else {
        let wide = "(model.attention.heads + 2 * model.attention.kv_heads) * model.attention.head_dim";
        let bias = biased(attention.qkv_bias, &format!("model.layers * {wide}"));
        format!("model.layers * model.d_model * {wide}{bias}")
    };
    count("model.params.attention.qkv", Component::Qkv, qkv);
    let output = if shape.square {
        "model.d_model^2".to_owned()
    } else {
        format!("{} * model.d_model", shape.queries())
    };
    let bias = biased(attention.output_bias, "model.layers * model.d_model");
    count(
        "model.params.attention.output",
        Component::AttentionOutput,
        format!("model.layers * {output}{bias}"),
    );
    let wide = if shape.fourfold {
        ("4 * model.layers * model.d_model^2", "4 * model.layers * model.d_model")
    } else {
        ("model.layers * model.d_model * model.ffn.d_ff", "model.layers * model.ffn.d_ff")
    };
    let into = format!("{}{}", wide.0, biased(ffn.bias, wide.1));
    count("model.params.ffn.up", Component::FfnUp, into.clone());
    if ffn.kind.gated() {
        count("model.params.ffn.gate", Component::FfnGate, into);
    }
    let down = format!("{}{}", wide.0, biased(ffn.bias, "model.layers * model.d_model"));
    count("model.params.ffn.down", Component::FfnDown, down);
    let vectors = if model.norm.bias { "2 * " } else { "" };
    let normed = model.norm.kind != NormKind::None;
    if normed {
        let formula = format!("{vectors}(2 * model.layers + 1) * model.d_model");
        count("model.params.norm", Component::Norm, formula);
    }
    let head = match (model.tied_embeddings, model.output_bias) {
        (false, false) => Some("model.vocab * model.d_model"),
        (false, true) => Some("model.vocab * model.d_model + model.vocab"),
        (true, true) => Some("model.vocab"),
        (true, false) => None,
    };
    if let Some(head) = head {
        count("model.params.output", Component::Output, head.to_owned());
    }

    q.derive(
        "model.params.attention",
        "model.params.attention.qkv + model.params.attention.output",
        PARAMETERS,
    );
    let gate = if ffn.kind.gated() { " + model.params.ffn.gate" } else { "" };
    q.derive("model.params.ffn", &format!("model.params.ffn.up{gate} + model.params.ffn.down"), PARAMETERS);
    let mut own = vec!["model.params.attention", "model.params.ffn"];
    let mut outer = vec!["model.params.embedding"];
    if learned {
        outer.push("model.params.position");
    }
    if head.is_some() {
        outer.push("model.params.output");
    }
    let norms = if normed { format!(" + {vectors}2 * model.d_model") } else { String::new() };
    q.derive("model.params.per_layer", &format!("({}) / model.layers{norms}", own.join(" + ")), PARAMETERS);
    if normed {
        own.push("model.params.norm");
    }
    let all: Vec<&str> = outer.iter().chain(&own).copied().collect();
    q.count("model.params", counts.total(), &all.join(" + "), PARAMETERS);
    q.derive("model.active_params", "model.params", "dense: every token passes through every parameter");
    q.derive("model.non_embedding_params", &own.join(" + "), "Kaplan 2020 §2.1");
    q.derive("model.params.embedding_share", &format!("({}) / model.params", outer.join(" + ")), PARAMETERS);
    let tables = if model.tied_embeddings { "" } else { "2 * " };
    let rule = format!("12 * model.layers * model.d_model^2 + {tables}model.vocab * model.d_model");
    q.derive(
        "model.params.rule_of_thumb",
        &rule,
        "Kaplan 2020 §2.1: biases and norms left out, d_ff = 4d, multi-head",
    );
}

/// T, the sequence that FLOPs are counted for.
pub(crate) fn sequence(q: &mut Quantities<'_>) -> u64 {
    let plan = q.plan;
    let trained = plan.training.as_ref().and_then(|training| training.sequence);
    let path = match (trained, plan.model.context) {
        (Some(sequence), _) => Some((sequence, "training.sequence")),
        (None, Some(context)) => Some((context, "model.context")),
        (None, None) => None,
    };
    match path {
        Some((sequence, path)) => {
            q.count("flops.sequence", Some(u128::from(sequence)), path, "as declared");
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

/// FLOPs of one pass over a sequence by component, per token, and the rules of thumb beside them.
pub(crate) fn flops(q: &mut Quantities<'_>, graph: &Graph) {
    let tokens = sequence(q);
    let model = &q.plan.model;
    let shape = Shape::of(model);
    let convention = q.plan.convention;
    let Some(counts) = forward_flops(graph, tokens, convention.attention) else {
        return q.count("flops.forward", None, "0 FLOP", MATMUL);
    };
    let mut count = |path: &str, component: Component, formula: String| {
        q.count(path, Some(counts.of(component)), &formula, MATMUL);
    };
    let qkv = if shape.square && shape.multi_head {
        "6 FLOP * model.layers * flops.sequence * model.d_model^2".to_owned()
    } else {
        "2 FLOP * model.layers * flops.sequence * model.d_model * \
         (model.attention.heads + 2 * model.attention.kv_heads) * model.attention.head_dim"
            .to_owned()
    };
    count("flops.forward.qkv", Component::Qkv, qkv);
    let queries = shape.queries();
    let pairs = match convention.attention {
        AttentionConvention::Full => format!("2 FLOP * model.layers * flops.sequence^2 * {queries}"),
        AttentionConvention::Causal => {
            format!("1 FLOP * model.layers * flops.sequence * (flops.sequence + 1) * {queries}")
        }
    };
    count("flops.forward.scores", Component::Scores, pairs.clone());
    count("flops.forward.weighted_sum", Component::WeightedSum, pairs);
    let output =
        if shape.square { "model.d_model^2".to_owned() } else { format!("{queries} * model.d_model") };
    let output = format!("2 FLOP * model.layers * flops.sequence * {output}");
    count("flops.forward.output_projection", Component::AttentionOutput, output);
    let wide = if shape.fourfold {
        "8 FLOP * model.layers * flops.sequence * model.d_model^2"
    } else {
        "2 FLOP * model.layers * flops.sequence * model.d_model * model.ffn.d_ff"
    };
    count("flops.forward.ffn_up", Component::FfnUp, wide.to_owned());
    if model.ffn.kind.gated() {
        count("flops.forward.ffn_gate", Component::FfnGate, wide.to_owned());
    }
    count("flops.forward.ffn_down", Component::FfnDown, wide.to_owned());
    let logits = "2 FLOP * flops.sequence * model.vocab * model.d_model";
    count("flops.forward.logits", Component::Output, logits.to_owned());

    let gate = if model.ffn.kind.gated() { " + flops.forward.ffn_gate" } else { "" };
    let layers = format!(
        "flops.forward.qkv + flops.forward.scores + flops.forward.weighted_sum + flops.forward.output_projection \
         + flops.forward.ffn_up{gate} + flops.forward.ffn_down"
    );
    q.derive("flops.forward.layers", &layers, MATMUL);
    q.derive("flops.forward.per_layer", "flops.forward.layers / model.layers", MATMUL);
    q.count("flops.forward", counts.total(), "flops.forward.layers + flops.forward.logits", MATMUL);
    q.derive("flops.backward", "2 * flops.forward", BACKWARD);
    q.derive("flops.training", "flops.forward + flops.backward", BACKWARD);
    q.derive("flops.forward_per_token", "flops.forward / flops.sequence", MATMUL);
    q.derive("flops.backward_per_token", "flops.backward / flops.sequence", BACKWARD);
    q.derive("flops.training_per_token", "flops.training / flops.sequence", BACKWARD);
    let share = "(flops.forward.scores + flops.forward.weighted_sum) / flops.forward";
    q.derive("flops.attention_share", share, MATMUL);
    q.derive(
        "flops.sequence_ratio",
        "flops.sequence / model.d_model",
        "Kaplan 2020 §2.1: the T² terms need T ≪ 12d to vanish",
    );

    let n = params_path(q);
    q.derive("flops.rule_of_thumb.forward", &format!("2 FLOP * {n}"), RULE_2N);
    q.derive("flops.rule_of_thumb.training", &format!("6 FLOP * {n}"), RULE_6N);
    q.derive("flops.rule_of_thumb.inference", &format!("2 FLOP * {n} * flops.sequence"), RULE_2N);
    let rule = "24 FLOP * flops.sequence * model.d_model^2 + 4 FLOP * flops.sequence^2 * model.d_model";
    q.derive(
        "flops.rule_of_thumb.per_layer",
        rule,
        "multi-head attention, d_ff = 4d, all scores: Kaplan 2020 §2.1, table 1",
    );
    q.derive("flops.rule_of_thumb.layers", "model.layers * flops.rule_of_thumb.per_layer", "L layers alike");
}

/// The parameters that N means under the plan's convention.
pub(crate) fn params_path(q: &Quantities<'_>) -> &'static str {
    match q.plan.convention.params {
        ParamsConvention::Total => "model.params",
        ParamsConvention::NonEmbedding => "model.non_embedding_params",
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
