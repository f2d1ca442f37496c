//! The typed model of a draft: its kinds of layers, each with the values that hold there.

use super::attributes::Values;
use super::layers::{BASE, Kind, kinds};
use super::shapes;
use super::values::{Names, Typed};
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::*;
use crate::schema::{self, BlockSchema, Default, Naming, Presence};
use crate::source::{FileId, Span as Place};

/// The model; `None` where something is wrong, which is then among what the values have found.
pub(super) fn model(values: &mut Values<'_>, names: &mut Names<'_>) -> Option<Model> {
    let name =
        values.draft.parts.get("model").cloned().flatten().unwrap_or_else(|| values.draft.name.clone());
    let layers = values.count(names, "model.layers")?;
    let vocab = padded(values, names)?;
    let norm = Norm {
        kind: NormKind::of(&values.word(names, "model.norm.kind")?)?,
        weight: values.flag(names, "model.norm.weight"),
        bias: values.flag(names, "model.norm.bias"),
        placement: Placement::of(&values.word(names, "model.norm.placement")?)?,
        embedding: values.flag(names, "model.norm.embedding"),
        last: values.flag(names, "model.norm.final"),
    };
    let (kinds, order) = layer_kinds(values, names, layers)?;
    let learned = |kind: &LayerKind| matches!(&kind.layer.mixer, Mixer::Attention(attention) if attention.position == Position::Learned);
    let position_rows = if kinds.iter().any(learned) { Some(position_rows(values, names)?) } else { None };
    let mtp = match values.draft.declares("model.mtp") {
        true => values.count(names, "model.mtp.depth").or_else(|| missing(values, "mtp", "depth"))?,
        false => 0,
    };
    Some(Model {
        name,
        layers,
        d_model: values.count(names, "model.d_model")?,
        vocab,
        embedding_width: values.count(names, "model.embedding_width")?,
        context: values.count(names, "model.context"),
        position_rows,
        tied_embeddings: values.flag(names, "model.tied_embeddings"),
        output_bias: values.flag(names, "model.output_bias"),
        norm,
        kinds,
        order,
        mtp,
    })
}

/// Rows of the embedding: the vocabulary rounded up.
fn padded(values: &mut Values<'_>, names: &mut Names<'_>) -> Option<u64> {
    let vocab = values.count(names, "model.vocab")?;
    let multiple = values.count(names, "model.vocab_multiple")?;
    let rows = vocab.checked_next_multiple_of(multiple);
    if rows.is_none() {
        let span = values.place("model.vocab_multiple").unwrap_or(values.draft.span);
        values.found.push(Diagnostic::error(Code::Overflow, span, "the padded vocabulary is too large"));
    }
    rows
}

fn position_rows(values: &mut Values<'_>, names: &mut Names<'_>) -> Option<u64> {
    let rows = values.count(names, "model.position_rows");
    if rows.is_none() && values.found.is_empty() {
        let span = values.place("model.attention.position").unwrap_or(values.draft.span);
        values.found.push(
            Diagnostic::error(Code::InconsistentShape, span, "learned positions need `context`")
                .label("a table with `context` rows")
                .help("add `context = …` to the model: the longest sequence, in tokens"),
        );
    }
    rows
}

/// The kinds of layers with their values, and the order of the layers.
fn layer_kinds(
    values: &mut Values<'_>,
    names: &mut Names<'_>,
    layers: u64,
) -> Option<(Vec<LayerKind>, Vec<Run>)> {
    let draft = values.draft;
    let mut choices = Vec::with_capacity(draft.layers.len());
    for name in &draft.layers {
        match values.get(names, &format!("model.layer.{name}.at")) {
            Some(Typed::Layers(choice)) => choices.push(choice),
            _ => return None,
        }
    }
    let (kinds, order) = match kinds(draft, layers, &choices) {
        Ok(found) => found,
        Err(diagnostic) => {
            values.found.push(*diagnostic);
            return None;
        }
    };
    let mut typed = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let layer = if kind.blocks.is_empty() {
            let layer = layer(values, names);
            shapes::layer(values, names, layer.as_ref());
            layer
        } else {
            of_kind(values, names, &kind)
        };
        typed.push(LayerKind { name: kind.name, count: kind.count, layer: layer? });
    }
    Some((typed, order))
}

/// A layer of a kind, from a draft of its own: what its blocks say replaces what the model says, and defaults follow
/// from what then holds.
fn of_kind(values: &mut Values<'_>, names: &mut Names<'_>, kind: &Kind) -> Option<Layer> {
    let draft = values.draft.of_kind(kind);
    let mut own = Values::new(&draft, values.params);
    let mut inner = Names::new(names.files, names.scope);
    inner.open = names.open.clone();
    // A layer cannot depend on the size of the model that it is a part of.
    let model = Place { file: FileId(u32::MAX), start: 0, end: 0 };
    if inner.enter("model.params", model, draft.span).is_ok()
        && let Some(schema) = schema::block("model").and_then(|model| model.block("layer"))
    {
        visit(&mut own, &mut inner, schema, "model");
    }
    let layer = layer(&mut own, &mut inner);
    shapes::layer(&mut own, &mut inner, layer.as_ref());
    let settings = own.settings.iter().filter_map(|setting| {
        let rest = setting.path.strip_prefix("model.")?;
        let whole = schema::declared(&format!("model.layer.{}.{rest}", kind.name)).is_some();
        let same =
            values.settings.iter().any(|other| other.path == setting.path && other.value == setting.value);
        (whole && !same)
            .then(|| Setting { path: format!("model.layer.{}.{rest}", kind.name), ..setting.clone() })
    });
    let settings: Vec<Setting> = settings.collect();
    values.settings.extend(settings);
    values.found.append(&mut own.found);
    layer
}

/// Asks for every attribute of a layer, so that all of them are judged.
fn visit(values: &mut Values<'_>, names: &mut Names<'_>, schema: &BlockSchema, prefix: &str) {
    for attribute in schema.attributes.iter().filter(|attribute| attribute.name != "at") {
        values.get(names, &format!("{prefix}.{}", attribute.name));
    }
    for nested in schema.blocks.iter().filter(|nested| nested.naming == Naming::Never) {
        let path = format!("{prefix}.{}", nested.kind);
        if nested.presence == Presence::Always || values.draft.declares(&path) {
            visit(values, names, nested, &path);
        }
    }
}

fn layer(values: &mut Values<'_>, names: &mut Names<'_>) -> Option<Layer> {
    Some(Layer {
        arrangement: Arrangement::of(&values.word(names, "model.block")?)?,
        mixer: match values.word(names, "model.mixer")?.as_str() {
            "mamba2" => Mixer::Mamba2(mamba2(values, names)?),
            "gated_delta" => Mixer::GatedDelta(gated_delta(values, names)?),
            "none" => Mixer::None,
            _ => Mixer::Attention(attention(values, names)?),
        },
        feed_forward: match values.word(names, "model.feed_forward")?.as_str() {
            "moe" => FeedForward::Moe(moe(values, names)?),
            "none" => FeedForward::None,
            _ => FeedForward::Dense(Ffn {
                kind: FfnKind::of(&values.word(names, "model.ffn.kind")?)?,
                d_ff: values.count(names, "model.ffn.d_ff")?,
                up_bias: values.flag(names, "model.ffn.up_bias"),
                gate_bias: values.flag(names, "model.ffn.gate_bias"),
                down_bias: values.flag(names, "model.ffn.down_bias"),
            }),
        },
    })
}

fn attention(values: &mut Values<'_>, names: &mut Names<'_>) -> Option<Attention> {
    let mla = values.word(names, "model.attention.kind")? == "mla";
    let mut need = |values: &mut Values<'_>, leaf: &str| {
        let found = values.count(names, &format!("model.attention.{leaf}"));
        found.or_else(|| missing(values, "attention", leaf))
    };
    let heads = need(values, "heads")?;
    let ranks = match mla {
        true => {
            let (rank, nope) = (need(values, "kv_rank"), need(values, "nope_dim"));
            // All that is missing is said at once.
            let rope = need(values, "rope_dim");
            Some((rank?, nope?, rope?))
        }
        false => None,
    };
    let latent = ranks.map(|(kv_rank, nope_dim, _)| Latent {
        q_rank: values.count(names, "model.attention.q_rank"),
        kv_rank,
        nope_dim,
        absorbed: values.flag(names, "model.attention.absorbed"),
    });
    let (window, chunk) = (span(values, names, "window"), span(values, names, "chunk"));
    Some(Attention {
        heads,
        kv_heads: values.count(names, "model.attention.kv_heads")?,
        head_dim: values.count(names, "model.attention.head_dim")?,
        v_dim: values.count(names, "model.attention.v_dim")?,
        rope_dim: values.count(names, "model.attention.rope_dim")?,
        latent,
        position: Position::of(&values.word(names, "model.attention.position")?)?,
        reach: match (window, chunk) {
            (Some(window), _) => Reach::Window(window),
            (None, Some(chunk)) => Reach::Chunk(chunk),
            (None, None) => Reach::Full,
        },
        bias: AttentionBias {
            q: values.flag(names, "model.attention.q_bias"),
            k: values.flag(names, "model.attention.k_bias"),
            v: values.flag(names, "model.attention.v_bias"),
            output: values.flag(names, "model.attention.output_bias"),
        },
        qk_norm: QkNorm::of(&values.word(names, "model.attention.qk_norm")?)?,
        qk_norm_bias: values.flag(names, "model.attention.qk_norm_bias"),
        sinks: values.flag(names, "model.attention.sinks"),
        gate: OutputGate::of(&values.word(names, "model.attention.output_gate")?)?,
        gate_bias: values.flag(names, "model.attention.gate_bias"),
    })
}

fn span(values: &mut Values<'_>, names: &mut Names<'_>, leaf: &str) -> Option<u64> {
    values.count(names, &format!("model.attention.{leaf}"))
}

fn moe(values: &mut Values<'_>, names: &mut Names<'_>) -> Option<Moe> {
    let mut need = |values: &mut Values<'_>, leaf: &str| {
        let found = values.count(names, &format!("model.moe.{leaf}"));
        found.or_else(|| missing(values, "moe", leaf))
    };
    let (experts, active, d_ff) =
        (need(values, "experts"), need(values, "experts_per_token"), need(values, "d_ff"));
    let factor = |found: Option<Typed>| match found {
        Some(Typed::Factor(factor)) => Some(factor),
        _ => None,
    };
    Some(Moe {
        experts: experts?,
        experts_per_token: active?,
        d_ff: d_ff?,
        kind: FfnKind::of(&values.word(names, "model.moe.kind")?)?,
        bias: values.flag(names, "model.moe.bias"),
        router_bias: values.flag(names, "model.moe.router_bias"),
        correction_bias: values.flag(names, "model.moe.correction_bias"),
        shared_experts: values.count(names, "model.moe.shared_experts")?,
        shared_d_ff: values.count(names, "model.moe.shared_d_ff")?,
        shared_bias: values.flag(names, "model.moe.shared_bias"),
        shared_gate: values.flag(names, "model.moe.shared_gate"),
        capacity: factor(values.get(names, "model.moe.capacity")),
        imbalance: factor(values.get(names, "model.moe.imbalance"))?,
    })
}

fn mamba2(values: &mut Values<'_>, names: &mut Names<'_>) -> Option<Mamba2> {
    if !values.draft.declares("model.mamba2") {
        return undeclared(values, "mamba2");
    }
    Some(Mamba2 {
        d_inner: values.count(names, "model.mamba2.d_inner")?,
        head_dim: values.count(names, "model.mamba2.head_dim")?,
        groups: values.count(names, "model.mamba2.groups")?,
        state: values.count(names, "model.mamba2.state")?,
        conv: values.count(names, "model.mamba2.conv")?,
        conv_bias: values.flag(names, "model.mamba2.conv_bias"),
        bias: values.flag(names, "model.mamba2.bias"),
        norm: values.flag(names, "model.mamba2.norm"),
    })
}

fn gated_delta(values: &mut Values<'_>, names: &mut Names<'_>) -> Option<GatedDelta> {
    if !values.draft.declares("model.gated_delta") {
        return undeclared(values, "gated_delta");
    }
    let mut need = |values: &mut Values<'_>, leaf: &str| {
        let found = values.count(names, &format!("model.gated_delta.{leaf}"));
        found.or_else(|| missing(values, "gated_delta", leaf))
    };
    let (key_heads, value_heads) = (need(values, "key_heads"), need(values, "value_heads"));
    Some(GatedDelta {
        key_heads: key_heads?,
        value_heads: value_heads?,
        key_dim: values.count(names, "model.gated_delta.key_dim")?,
        value_dim: values.count(names, "model.gated_delta.value_dim")?,
        conv: values.count(names, "model.gated_delta.conv")?,
    })
}

/// Says that a block that a layer needs lacks an attribute, unless something is wrong already.
fn missing<T>(values: &mut Values<'_>, block: &str, leaf: &str) -> Option<T> {
    let attribute = schema::declared(&format!("model.{block}.{leaf}"))?;
    let why = match attribute.default {
        Default::RequiredFor(path, word) => values.place(&format!("model.{path}")).map(|place| (place, word)),
        // The heads of other attention have a width to rotate by default.
        _ if leaf == "rope_dim" => values.place("model.attention.kind").map(|place| (place, "mla")),
        _ => None,
    };
    let title = format!("`model` needs `{leaf}` in `{block}`");
    let repeated = values.found.iter().any(|diagnostic| diagnostic.title == title);
    let wrong = values.draft.attributes.contains_key(&format!("model.{block}.{leaf}"));
    if repeated || wrong {
        return None;
    }
    let place = why.map_or(values.draft.span, |(place, _)| place);
    let mut diagnostic = Diagnostic::error(Code::MissingAttribute, place, title)
        .help(format!("add `{block} {{ {leaf} = … }}`: {}", attribute.ty.words()));
    if let Some((_, word)) = why {
        diagnostic = diagnostic.label(format!("`{word}` needs it"));
    }
    values.found.push(diagnostic);
    None
}

/// Says that a mixer is chosen whose block is not there.
fn undeclared<T>(values: &mut Values<'_>, block: &str) -> Option<T> {
    let place = values.place("model.mixer").unwrap_or(values.draft.span);
    let title = format!("there is no block `{block}` to say what the layer is");
    values.found.push(Diagnostic::error(Code::MissingAttribute, place, title).label("chosen here").help(
        format!("add `{block} {{ … }}` to the model; `llmplan docs model.{block}` lists its attributes"),
    ));
    None
}

impl Values<'_> {
    /// A whole number; `None` where there is none.
    pub(super) fn count(&mut self, names: &mut Names<'_>, path: &str) -> Option<u64> {
        match self.get(names, path) {
            Some(Typed::Count(count)) => Some(count),
            _ => None,
        }
    }

    /// A word.
    pub(super) fn word(&mut self, names: &mut Names<'_>, path: &str) -> Option<String> {
        match self.get(names, path) {
            Some(Typed::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// Whether a flag is set.
    pub(super) fn flag(&mut self, names: &mut Names<'_>, path: &str) -> bool {
        matches!(self.get(names, path), Some(Typed::Flag(true)))
    }

    /// Where an attribute's value stands.
    pub(super) fn place(&self, path: &str) -> Option<Place> {
        let attribute = self.draft.attributes.get(path)?;
        Some(attribute.value.span().unwrap_or(attribute.span))
    }
}

/// Whether a name may stand for a `layer` block: layers that no block picks have one already.
pub(super) fn is_reserved(name: &str) -> bool {
    name == BASE
}
