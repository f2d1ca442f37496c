//! The tables of the model: parameters, kinds of layers, weights, the KV cache.

use llmplan_spec::plan::{
    Arrangement, Attention, BytesConvention, FeedForward, Layer, Mixer, Moe, OutputGate, Position, QkNorm,
    Reach, Run,
};
use llmplan_spec::units::format::{self, BytePrefix};
use llmplan_spec::units::{Number, Unit};

use super::{row, section, share, symbols};
use crate::model::uniform;
use crate::quantities::Quantities;
use crate::report::{Row, Section, Value};

/// Parameters by component.
pub(super) fn parameters(q: &Quantities<'_>) -> Section {
    let rows = [
        ("Token embedding", "model.params.embedding"),
        ("Embedding projections", "model.params.projection"),
        ("Learned positions", "model.params.position"),
        ("Q, K, V projections", "model.params.attention.qkv"),
        ("Relative positions", "model.params.attention.relative"),
        ("Attention sinks", "model.params.attention.sinks"),
        ("Attention gate", "model.params.attention.gate"),
        ("Attention output", "model.params.attention.output"),
        ("Recurrent input", "model.params.recurrent.input"),
        ("Recurrent state", "model.params.recurrent.state"),
        ("Recurrent output", "model.params.recurrent.output"),
        ("FFN up", "model.params.ffn.up"),
        ("FFN gate", "model.params.ffn.gate"),
        ("FFN down", "model.params.ffn.down"),
        ("Router", "model.params.router"),
        ("Routed experts", "model.params.experts"),
        ("Shared experts", "model.params.shared_experts"),
        ("Norms", "model.params.norm"),
        ("Output to vocabulary", "model.params.output"),
        ("Multi-token prediction", "model.params.mtp"),
        ("Total", "model.params"),
    ];
    let mut rows: Vec<Row> = rows
        .iter()
        .filter(|(_, path)| q.get(path).is_some())
        .map(|(label, path)| {
            let total = *path == "model.params";
            let symbols = if total { q.display(path) } else { symbols(q, path) };
            row(
                path,
                vec![(*label).to_owned(), count(q, path), share(q, path, "model.params"), symbols],
                total,
            )
        })
        .collect();
    let sparse = q.get("model.params.active_experts").is_some();
    let below = [
        ("Active per token", "model.active_params", sparse || q.get("model.params.mtp").is_some()),
        ("without lookups", "model.active_params.without_lookups", sparse),
        ("Each layer", "model.params.per_layer", true),
        ("Adapters, trained", "model.params.adapters", true),
        ("Frozen in few bits", "model.params.quantized", true),
    ];
    for (label, path, _) in below.into_iter().filter(|(_, path, shown)| *shown && q.get(path).is_some()) {
        let of = if sparse { share(q, path, "model.params") } else { String::new() };
        let indent = u8::from(label == "without lookups");
        let cells = vec![label.to_owned(), count(q, path), of, q.display(path)];
        rows.push(Row { indent, ..row(path, cells, false) });
    }
    let mut notes = Vec::new();
    if q.plan.model.tied_embeddings {
        notes.push("Embeddings are tied: the output to the vocabulary is the token embedding.".to_owned());
    }
    if sparse {
        notes.push(
            "Active counts embeddings and output; without lookups, tables that are only read row by row are left out."
                .to_owned(),
        );
    }
    if q.get("model.params.mtp").is_some() {
        notes.push("Active leaves multi-token prediction out: it is trained, and not served.".to_owned());
    }
    section("Parameters", &["Component", "parameters", "share", "formula"], 1, rows, notes)
}

/// The kinds of layers, where they differ.
pub(super) fn layers(q: &Quantities<'_>) -> Section {
    let model = &q.plan.model;
    if uniform(model) {
        return section("Layers", &[], 0, Vec::new(), Vec::new());
    }
    let rows = model
        .kinds
        .iter()
        .map(|kind| {
            let path = |leaf: &str| format!("model.layer.{}.{leaf}", kind.name);
            let cells = vec![
                kind.name.clone(),
                kind.count.to_string(),
                q.display(&path("params")),
                q.display(&path("flops")),
                q.display(&path("kv_bytes_per_token")),
                words(&kind.layer),
            ];
            row(&path("params"), cells, false)
        })
        .collect();
    let columns = ["Kind", "layers", "params each", "forward each", "KV per token", "what it is"];
    section("Layers", &columns, 1, rows, vec![order(q)])
}

/// The order of the kinds, as the runs that repeat.
fn order(q: &Quantities<'_>) -> String {
    let model = &q.plan.model;
    let name = |kind: usize| model.kinds.get(kind).map_or("", |kind| kind.name.as_str());
    let run = |run: &Run| format!("{} × {}", run.repeat, name(run.kind));
    let runs = &model.order;
    // The shortest beginning that the rest repeats: at least once in full, and perhaps cut off at the end.
    let repeats = |period: &usize| (*period..runs.len()).all(|at| runs[at] == runs[at - period]);
    let period = (1..=runs.len() / 2).find(repeats).filter(|period| *period <= 12);
    let words = |runs: &[Run]| runs.iter().map(run).collect::<Vec<_>>().join(", ");
    match period {
        Some(period) => {
            let (times, rest) = (runs.len() / period, words(&runs[runs.len() - runs.len() % period..]));
            let behind = if rest.is_empty() { String::new() } else { format!(", then {rest}") };
            format!("In order: {times} times {}{behind}", words(&runs[..period]))
        }
        None => {
            let rest = if runs.len() > 12 { ", …" } else { "" };
            format!("In order: {}{rest}", words(&runs[..runs.len().min(12)]))
        }
    }
}

/// What a layer is, in a few words.
fn words(layer: &Layer) -> String {
    let mixer = match &layer.mixer {
        Mixer::Attention(own) => attention_words(own),
        Mixer::Mamba2(own) => format!("Mamba-2, {} heads, state {}", own.heads(), own.state),
        Mixer::GatedDelta(own) => format!("gated delta, {} heads", own.value_heads),
        Mixer::None => String::new(),
    };
    let feed = match &layer.feed_forward {
        FeedForward::Dense(own) => format!("FFN {}", format::grouped(u128::from(own.d_ff))),
        FeedForward::Moe(own) => moe_words(own),
        FeedForward::None => String::new(),
    };
    let joint = if layer.arrangement == Arrangement::Sequential { "; " } else { " beside " };
    [mixer, feed].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(joint)
}

fn attention_words(own: &Attention) -> String {
    let mut words = match own.latent {
        Some(latent) if latent.absorbed => format!("absorbed latent attention, {} heads", own.heads),
        Some(_) => format!("latent attention, {} heads", own.heads),
        None if own.kv_heads == own.heads => format!("attention, {} heads", own.heads),
        None => format!("attention, {} heads on {}", own.heads, own.kv_heads),
    };
    match own.reach {
        Reach::Full => {}
        Reach::Window(window) => words.push_str(&format!(", window {}", format::grouped(u128::from(window)))),
        Reach::Chunk(chunk) => words.push_str(&format!(", chunk {}", format::grouped(u128::from(chunk)))),
    }
    for (there, what) in [
        (own.position == Position::None, ", no positions"),
        (own.qk_norm != QkNorm::None, ", QK-norm"),
        (own.sinks, ", sinks"),
        (own.gate != OutputGate::None, ", gated"),
    ] {
        words.push_str(if there { what } else { "" });
    }
    words
}

fn moe_words(own: &Moe) -> String {
    let shared = match own.shared_experts {
        0 => String::new(),
        count => format!(" + {count} shared"),
    };
    format!("{} of {} experts{shared}", own.experts_per_token, own.experts)
}

/// Weights alone, in each precision.
pub(super) fn weights(q: &Quantities<'_>) -> Section {
    let rows = [
        ("fp32", "4 bytes", "memory.weights_only.fp32"),
        ("fp16, bf16", "2 bytes", "memory.weights_only.bf16"),
        ("int8", "1 byte", "memory.weights_only.int8"),
        ("int4", "½ byte", "memory.weights_only.int4"),
    ];
    let (other, name) = match q.plan.convention.bytes {
        BytesConvention::Decimal => (BytePrefix::Binary, "binary"),
        BytesConvention::Binary => (BytePrefix::Decimal, "decimal"),
    };
    let rows = rows
        .iter()
        .map(|(label, each, path)| {
            let again =
                q.number(path).map(|bytes| format::quantity(Number::Real(bytes), Unit::BYTES, 4, other));
            row(
                path,
                vec![(*label).to_owned(), (*each).to_owned(), q.display(path), again.unwrap_or_default()],
                false,
            )
        })
        .collect();
    section("Weights in memory", &["Precision", "each", "memory", name], 0, rows, Vec::new())
}

/// What a served sequence keeps.
pub(super) fn cache(q: &Quantities<'_>) -> Section {
    let rows: Vec<Row> = [
        ("Each token", "model.kv_bytes_per_token", growth_words(q).to_owned()),
        ("A whole context", "model.kv_cache", context_words(q)),
        ("Recurrent state", "model.state_bytes", "whatever the sequence".to_owned()),
    ]
    .into_iter()
    .filter(|(_, path, _)| q.get(path).is_some())
    .map(|(label, path, words)| {
        row(path, vec![label.to_owned(), q.display(path), words, symbols(q, path)], false)
    })
    .collect();
    section("KV cache of one sequence, in 16 bits", &["Part", "memory", "of", "formula"], 2, rows, Vec::new())
}

/// How many tokens of a sequence an expert is sent.
pub(super) fn experts(q: &Quantities<'_>) -> Section {
    let rows: Vec<Row> = [
        ("Mean", "model.moe.tokens_per_expert", "what each sees under an even load"),
        ("Busiest", "model.moe.busiest_expert", "at the declared imbalance"),
        ("Slots", "model.moe.slots_per_expert", "at the declared capacity; more are dropped"),
    ]
    .into_iter()
    .filter(|(_, path, _)| q.get(path).is_some())
    .map(|(label, path, words)| {
        let cells = vec![label.to_owned(), q.display(path), words.to_owned(), symbols(q, path)];
        row(path, cells, false)
    })
    .collect();
    let columns = ["Expert", "of a sequence", "what", "formula"];
    section("Load of one expert", &columns, 2, rows, Vec::new())
}

/// Until when the cache grows with each token.
fn growth_words(q: &Quantities<'_>) -> &'static str {
    let bounded = q.plan.model.kinds.iter().any(|kind| match &kind.layer.mixer {
        Mixer::Attention(own) => own.reach != Reach::Full,
        _ => false,
    });
    if bounded { "while no window is full" } else { "one token" }
}

fn context_words(q: &Quantities<'_>) -> String {
    let context = if q.plan.model.context.is_some() { "model.context" } else { "flops.sequence" };
    q.display(context)
}

fn count(q: &Quantities<'_>, path: &str) -> String {
    match q.get(path).map(|quantity| &quantity.value) {
        Some(Value::Count(count)) => format::grouped(*count),
        _ => q.display(path),
    }
}
