//! Shapes of a model that must agree: what is wrong is shown with both places.

use super::attributes::{Values, nearest_divisors};
use super::values::Names;
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::{Attention, FeedForward, Layer, Mixer, Model, Position, QkNorm};
use crate::schema::suggest::one_of;

/// Checks one layer; where it could not be read, what there is of it.
pub(super) fn layer(values: &mut Values<'_>, names: &mut Names<'_>, layer: Option<&Layer>) {
    let Some(layer) = layer else { return };
    match &layer.mixer {
        Mixer::Attention(attention) => {
            divides(
                values,
                ("attention.kv_heads", attention.kv_heads),
                ("attention.heads", attention.heads),
                "heads",
            );
            spans(values);
            if let Some(latent) = attention.latent {
                let sum = latent.nope_dim.saturating_add(attention.rope_dim);
                with_latents(values, attention);
                if attention.head_dim != sum {
                    let title = format!("`head_dim` is not `nope_dim` + `rope_dim` = {sum}");
                    conflict(
                        values,
                        title,
                        "attention.head_dim",
                        "attention.nope_dim",
                        "leave `head_dim` out",
                    );
                }
            } else {
                without_latents(values);
                rotated(values, attention.position, attention.rope_dim, attention.head_dim);
            }
            learned(values, names, attention.position);
        }
        Mixer::Mamba2(mamba) => {
            divides(
                values,
                ("mamba2.head_dim", mamba.head_dim),
                ("mamba2.d_inner", mamba.d_inner),
                "values of `d_inner`",
            );
            divides(values, ("mamba2.groups", mamba.groups), ("mamba2.d_inner", mamba.heads()), "heads");
        }
        Mixer::GatedDelta(delta) => {
            let (keys, all) = (delta.key_heads, delta.value_heads);
            divides(values, ("gated_delta.key_heads", keys), ("gated_delta.value_heads", all), "value heads");
        }
        Mixer::None => {}
    }
    if let FeedForward::Moe(moe) = layer.feed_forward
        && moe.experts_per_token > moe.experts
    {
        let (k, e) = (moe.experts_per_token, moe.experts);
        let title = format!("a token cannot be routed to {k} of {e} experts");
        let (at, of) = ("moe.experts_per_token", "moe.experts");
        conflict(values, title, at, of, "`experts_per_token` is at most `experts`");
    }
    if let FeedForward::Moe(moe) = layer.feed_forward {
        // No expert is sent more tokens than there are: E/K times the mean.
        let most = moe.experts as f64 / moe.experts_per_token.max(1) as f64;
        if moe.imbalance > most && moe.experts_per_token <= moe.experts {
            let title = format!("no expert can have {} times the mean load", moe.imbalance);
            let help =
                format!("at most `experts` / `experts_per_token` = {most}: then it is sent every token");
            conflict(values, title, "moe.imbalance", "moe.experts_per_token", &help);
        }
    }
    if layer.mixer == Mixer::None && layer.feed_forward == FeedForward::None {
        let title = "the layer is empty: it has neither a mixer nor a feed-forward network".to_owned();
        conflict(values, title, "mixer", "feed_forward", "one of `mixer` and `feed_forward` is not `none`");
    }
}

/// The norm of the model.
pub(super) fn norm(values: &mut Values<'_>, names: &mut Names<'_>) {
    let bias = values.flag(names, "model.norm.bias");
    let kind = values.word(names, "model.norm.kind");
    if bias && let Some(kind @ ("rmsnorm" | "none")) = kind.as_deref() {
        let title = format!("`{kind}` has no bias");
        conflict(values, title, "norm.bias", "norm.kind", "leave `bias` out, or use `kind = layernorm`");
    } else if bias && !values.flag(names, "model.norm.weight") {
        let title = "a norm without weights has no bias".to_owned();
        conflict(values, title, "norm.bias", "norm.weight", "leave `bias` out, or `weight = false`");
    }
}

/// The documents that are packed into a sequence fill it.
pub(super) fn documents(values: &mut Values<'_>, lengths: &[u64], sequence: Option<u64>) {
    let path = "training.documents";
    let span = values.place(path).unwrap_or(values.draft.span);
    let Some(sequence) = sequence else {
        values.found.push(
            Diagnostic::error(
                Code::MissingAttribute,
                span,
                "packed documents need a `sequence` to be packed into",
            )
            .help("add `sequence = …` to `training`, in tokens"),
        );
        return;
    };
    let total = lengths.iter().try_fold(0_u64, |total, length| total.checked_add(*length));
    let fits = match lengths {
        [length] => *length <= sequence,
        _ => total == Some(sequence),
    };
    if !fits {
        let title = "the documents do not fill the sequence".to_owned();
        let mut diagnostic = Diagnostic::error(Code::InconsistentShape, span, title);
        diagnostic = match total {
            Some(total) => diagnostic.label(format!("{total} tokens in all")),
            None => diagnostic,
        };
        if let Some(place) = values.place("training.sequence") {
            diagnostic = diagnostic.also(place, format!("{sequence} tokens"));
        }
        values.found.push(diagnostic.help("a list sums to `sequence`; one length is at most as long"));
    }
}

/// `part` must divide `whole`.
fn divides(values: &mut Values<'_>, part: (&str, u64), whole: (&str, u64), noun: &str) {
    let ((path, k), (of, a)) = (part, whole);
    if k > 0 && a.is_multiple_of(k) {
        return;
    }
    let leaf = path.rsplit('.').next().unwrap_or(path);
    let words = if leaf == "kv_heads" { "key/value heads".to_owned() } else { format!("`{leaf}`") };
    let title = match leaf {
        "kv_heads" => format!("{k} {words} do not divide {a} {noun}"),
        _ => format!("{words} = {k} does not divide {a} {noun}"),
    };
    let span = values.place(&format!("model.{path}")).unwrap_or(values.draft.span);
    let mut diagnostic =
        Diagnostic::error(Code::InconsistentShape, span, title).label(format!("{a} / {k} is not whole"));
    if let Some(whole) = values.place(&format!("model.{of}"))
        && whole != span
    {
        diagnostic = diagnostic.also(whole, format!("{a} {noun} here"));
    }
    let near = nearest_divisors(a, k);
    if !near.is_empty() {
        diagnostic = diagnostic.help(format!("use {}", one_of(&near)));
    }
    values.found.push(diagnostic);
}

/// A window and a chunk are two answers to the same question.
fn spans(values: &mut Values<'_>) {
    let declared = |path: &str| {
        let attribute = values.draft.attributes.get(path)?;
        let none = attribute.value.as_name().is_some_and(|(word, _)| word == "none");
        (!none).then_some(())
    };
    if declared("model.attention.window").is_some() && declared("model.attention.chunk").is_some() {
        let title = "a layer has a `window` or a `chunk`, not both".to_owned();
        let help = "take one away, or put it into a `layer` block with the other as `none`";
        conflict(values, title, "attention.chunk", "attention.window", help);
    }
}

/// Ranks belong to latent attention.
fn without_latents(values: &mut Values<'_>) {
    for leaf in ["q_rank", "kv_rank", "nope_dim", "absorbed"] {
        let path = format!("attention.{leaf}");
        if values.place(&format!("model.{path}")).is_some() {
            let title = format!("`{leaf}` belongs to `kind = mla`");
            return conflict(values, title, &path, "attention.kind", "add `kind = mla`, or leave it out");
        }
    }
}

/// What latent attention has no place for.
fn with_latents(values: &mut Values<'_>, own: &Attention) {
    for (there, leaf, help) in [
        (own.qk_norm != QkNorm::None, "qk_norm", "its latents are normed anyway: leave `qk_norm` out"),
        (own.position == Position::Relative, "position", "use `rope`, `alibi` or `none`"),
        (
            own.kv_heads != own.heads,
            "kv_heads",
            "every head has keys and values of its own: leave `kv_heads` out",
        ),
    ] {
        if there {
            let title = format!("latent attention has no such `{leaf}`");
            conflict(values, title, &format!("attention.{leaf}"), "attention.kind", help);
        }
    }
}

/// A module of multi-token prediction reads and writes the stream as wide as it is.
pub(super) fn modules(values: &mut Values<'_>, model: &Model) {
    if model.mtp > 0 && model.embedding_width != model.d_model {
        let title = "multi-token prediction needs an embedding as wide as the stream".to_owned();
        let help = "leave `embedding_width` out, or `mtp`";
        conflict(values, title, "embedding_width", "mtp.depth", help);
    }
}

fn rotated(values: &mut Values<'_>, position: Position, rope_dim: u64, head_dim: u64) {
    let declared = values.place("model.attention.rope_dim").is_some();
    if position == Position::Rope && (rope_dim > head_dim || (declared && !rope_dim.is_multiple_of(2))) {
        let title = format!("{rope_dim} values of a head of {head_dim} cannot be rotated in pairs");
        let help = "`rope_dim` is even and at most `head_dim`";
        conflict(values, title, "attention.rope_dim", "attention.head_dim", help);
    }
}

/// Learned positions are rows: a sequence cannot be longer than there are.
fn learned(values: &mut Values<'_>, names: &mut Names<'_>, position: Position) {
    if position != Position::Learned || !values.draft.parts.contains_key("training") {
        return;
    }
    let (Some(rows), Some(sequence)) =
        (values.count(names, "model.context"), values.count(names, "training.sequence"))
    else {
        return;
    };
    if sequence > rows {
        let span = values.place("training.sequence").unwrap_or(values.draft.span);
        let title = "the sequence is longer than the learned positions";
        let mut diagnostic =
            Diagnostic::error(Code::InconsistentShape, span, title).label(format!("{sequence} tokens"));
        if let Some(context) = values.place("model.context") {
            diagnostic = diagnostic.also(context, format!("positions for {rows} tokens"));
        }
        let help = format!("train on at most {rows} tokens, or declare a longer `context`");
        values.found.push(diagnostic.help(help));
    }
}

/// Two attributes that contradict each other, below `model`.
fn conflict(values: &mut Values<'_>, title: String, at: &str, other: &str, help: &str) {
    let leaf = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let (place, beside) = (values.place(&format!("model.{at}")), values.place(&format!("model.{other}")));
    let span = place.or(beside).unwrap_or(values.draft.span);
    let mut diagnostic = Diagnostic::error(Code::InconsistentShape, span, title);
    if let (Some(_), Some(beside)) = (place, beside) {
        diagnostic =
            diagnostic.label(format!("`{}` here", leaf(at))).also(beside, format!("`{}` here", leaf(other)));
    }
    values.found.push(diagnostic.help(help.to_owned()));
}
