//! A model as text: what the language defaults is left out.

use std::fmt::{Display, Write};

use llmplan_spec::units::format::literal;

use super::layers::{Overlay, overlays};
use super::shape::{
    Arrangement, Attention, FeedForward, Ffn, FfnKind, GatedDelta, Mamba2, Mixer, Moe, Norm, Placement,
    Position, QkNorm, Shape, View,
};

/// Writes the block `model NAME { … }`.
pub(crate) fn model(name: &str, source: &str, shape: &Shape) -> String {
    let mut w = Writer::default();
    let (base, overlays) = overlays(shape);
    w.open(&format!("model {name}"));
    w.set("source", format!("\"{}\"", quoted(source)));
    w.set("layers", number(shape.layers.len() as u64));
    w.set("d_model", number(shape.d_model));
    w.set("vocab", number(shape.vocab));
    w.some("context", shape.context.map(number));
    w.some("position_rows", shape.position_rows.filter(|rows| Some(*rows) != shape.context).map(number));
    w.some("embedding_width", shape.embedding_width.map(number));
    w.flag("tied_embeddings", shape.tied);
    w.flag("output_bias", shape.output_bias);
    w.unless("mixer", mixer(base.mixer), mixer(Mixer::Attention));
    let implied = if shape.moe.is_some() { FeedForward::Moe } else { FeedForward::Dense };
    w.unless("feed_forward", feed_forward(base.feed_forward), feed_forward(implied));
    w.unless("block", shape.block.word(), Arrangement::Sequential.word());
    let has = |of: FeedForward| shape.layers.iter().any(|layer| layer.feed_forward == of);
    if let Some(attention) = &shape.attention {
        w.attention(attention, &base.view, shape.d_model);
    }
    let dense = shape.ffn.filter(|_| has(FeedForward::Dense));
    if let Some(ffn) = &dense {
        w.ffn(ffn);
    }
    if let Some(moe) = &shape.moe {
        w.moe(moe, dense.map_or(FfnKind::Gelu, |ffn| ffn.kind));
    }
    if let Some(mamba2) = &shape.mamba2 {
        w.mamba2(mamba2);
    }
    if let Some(delta) = &shape.gated_delta {
        w.gated_delta(delta);
    }
    w.norm(&shape.norm);
    for overlay in &overlays {
        w.overlay(overlay, &base.view);
    }
    w.close();
    w.out
}

/// A text between quotes: what would end it, and what no text shows, is left out.
fn quoted(text: &str) -> String {
    crate::render::clean(text).replace(['"', '\\'], "'")
}

/// A number as the language spells it.
fn number(number: u64) -> String {
    literal(u128::from(number))
}

fn mixer(mixer: Mixer) -> &'static str {
    match mixer {
        Mixer::Attention => "attention",
        Mixer::Mamba2 => "mamba2",
        Mixer::GatedDelta => "gated_delta",
        Mixer::None => "none",
    }
}

fn feed_forward(feed_forward: FeedForward) -> &'static str {
    match feed_forward {
        FeedForward::Dense => "dense",
        FeedForward::Moe => "moe",
        FeedForward::None => "none",
    }
}

/// Lines, two blanks deep for each open block.
#[derive(Default)]
struct Writer {
    out: String,
    depth: usize,
}

impl Writer {
    fn line(&mut self, text: &str) {
        let indent = 2 * self.depth;
        // A String takes everything.
        let _ = writeln!(self.out, "{:indent$}{text}", "");
    }

    fn open(&mut self, header: &str) {
        if !self.out.is_empty() && !self.out.ends_with("{\n") {
            self.out.push('\n');
        }
        self.line(&format!("{header} {{"));
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.line("}");
    }

    /// A nested block; one that says nothing is left out.
    fn nested(&mut self, header: &str, fill: impl FnOnce(&mut Writer)) {
        let mut inner = Writer { out: String::new(), depth: self.depth + 1 };
        fill(&mut inner);
        if !inner.out.is_empty() {
            self.open(header);
            self.out.push_str(&inner.out);
            self.close();
        }
    }

    fn set(&mut self, key: &str, value: impl Display) {
        self.line(&format!("{key} = {value}"));
    }

    fn some(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    fn unless<T: PartialEq + Display>(&mut self, key: &str, value: T, implied: T) {
        if value != implied {
            self.set(key, value);
        }
    }

    fn flag(&mut self, key: &str, flag: bool) {
        self.unless(key, flag, false);
    }

    fn count(&mut self, key: &str, count: u64, implied: u64) {
        self.unless(key, number(count), number(implied));
    }

    fn attention(&mut self, attention: &Attention, view: &View, d_model: u64) {
        self.nested("attention", |w| {
            if attention.latent.is_some() {
                w.set("kind", "mla");
            }
            w.set("heads", number(attention.heads));
            match attention.latent {
                Some(latent) => {
                    w.some("q_rank", latent.q_rank.map(number));
                    w.set("kv_rank", number(latent.kv_rank));
                    w.set("nope_dim", number(latent.nope_dim));
                    w.set("rope_dim", number(latent.rope_dim));
                    w.count("v_dim", attention.v_dim, latent.nope_dim);
                }
                None => {
                    w.set("kv_heads", number(attention.kv_heads));
                    let divides = d_model.is_multiple_of(attention.heads);
                    w.count(
                        "head_dim",
                        attention.head_dim,
                        if divides { d_model / attention.heads } else { 0 },
                    );
                    w.count("v_dim", attention.v_dim, attention.head_dim);
                    if view.position == Position::Rope {
                        w.count("rope_dim", attention.rope_dim, attention.head_dim);
                    }
                }
            }
            w.view(view, &PLAIN);
            let any = attention.q_bias || attention.kv_bias;
            w.flag("qkv_bias", any);
            w.unless("q_bias", attention.q_bias, any);
            w.unless("k_bias", attention.kv_bias, any);
            w.unless("v_bias", attention.kv_bias, any);
            w.flag("output_bias", attention.output_bias);
            w.unless("qk_norm_bias", attention.qk_norm_bias, true);
            w.flag("sinks", attention.sinks);
            w.unless("output_gate", if attention.output_gate { "full" } else { "none" }, "none");
            w.flag("gate_bias", attention.gate_bias);
        });
    }

    /// What is different from another view.
    fn view(&mut self, view: &View, from: &View) {
        let tokens = |length: Option<u64>| match length {
            Some(length) => format!("{} tokens", number(length)),
            None => "none".to_owned(),
        };
        self.unless("position", view.position.word(), from.position.word());
        self.unless("window", tokens(view.window), tokens(from.window));
        self.unless("chunk", tokens(view.chunk), tokens(from.chunk));
        self.unless("qk_norm", view.qk_norm.word(), from.qk_norm.word());
    }

    fn ffn(&mut self, ffn: &Ffn) {
        self.nested("ffn", |w| {
            w.unless("kind", ffn.kind.word(), FfnKind::Gelu.word());
            w.set("d_ff", number(ffn.d_ff));
            w.flag("bias", ffn.bias);
        });
    }

    fn moe(&mut self, moe: &Moe, implied: FfnKind) {
        self.nested("moe", |w| {
            w.set("experts", number(moe.experts));
            w.set("experts_per_token", number(moe.experts_per_token));
            w.set("d_ff", number(moe.d_ff));
            w.unless("kind", moe.kind.word(), implied.word());
            w.flag("bias", moe.bias);
            w.flag("router_bias", moe.router_bias);
            w.flag("correction_bias", moe.correction_bias);
            if moe.shared_experts > 0 {
                w.set("shared_experts", number(moe.shared_experts));
                w.count("shared_d_ff", moe.shared_d_ff, moe.d_ff);
                w.flag("shared_gate", moe.shared_gate);
                w.flag("shared_bias", moe.shared_bias);
            }
        });
    }

    fn mamba2(&mut self, mamba2: &Mamba2) {
        self.nested("mamba2", |w| {
            // Always said, as the width of every other part is.
            w.set("d_inner", number(mamba2.d_inner));
            w.count("head_dim", mamba2.head_dim, 64);
            w.count("groups", mamba2.groups, 1);
            w.count("state", mamba2.state, 128);
            w.count("conv", mamba2.conv, 4);
            w.unless("conv_bias", mamba2.conv_bias, true);
            w.flag("bias", mamba2.bias);
        });
    }

    fn gated_delta(&mut self, delta: &GatedDelta) {
        self.nested("gated_delta", |w| {
            w.set("key_heads", number(delta.key_heads));
            w.set("value_heads", number(delta.value_heads));
            w.count("key_dim", delta.key_dim, 128);
            w.count("value_dim", delta.value_dim, 128);
            w.count("conv", delta.conv, 4);
        });
    }

    fn norm(&mut self, norm: &Norm) {
        self.nested("norm", |w| {
            w.unless("kind", if norm.layernorm { "layernorm" } else { "rmsnorm" }, "rmsnorm");
            w.unless("weight", norm.weight, true);
            // Without weights there is nothing to bias.
            if norm.weight {
                w.unless("bias", norm.bias, norm.layernorm);
            }
            w.unless("placement", norm.placement.word(), Placement::Pre.word());
            w.flag("embedding", norm.embedding);
            w.unless("final", norm.last, true);
        });
    }

    fn overlay(&mut self, overlay: &Overlay, base: &View) {
        self.nested(&format!("layer {}", overlay.name), |w| {
            w.set("at", &overlay.at);
            w.some("mixer", overlay.mixer.map(mixer));
            w.some("feed_forward", overlay.feed_forward.map(feed_forward));
            if let Some(view) = &overlay.view {
                w.nested("attention", |w| w.view(view, base));
            }
        });
    }
}

/// What the language sees where nothing is said.
const PLAIN: View = View { window: None, chunk: None, position: Position::Rope, qk_norm: QkNorm::None };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart_from_five_digits_on() {
        assert_eq!(number(4096), "4096");
        assert_eq!(number(10_000), "10_000");
        assert_eq!(number(129_280), "129_280");
        assert_eq!(number(1_234_567), "1_234_567");
    }

    #[test]
    fn a_text_cannot_end_early() {
        assert_eq!(quoted("a\"b\\c\nd"), "a'b'c d");
    }
}
