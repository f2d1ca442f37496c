//! A model between a configuration and the language: what `model` can say, with nothing left to a default.

use std::collections::BTreeMap;

pub(crate) use llmplan_spec::plan::{Arrangement, FfnKind, Placement, Position, QkNorm};

/// What mixes the tokens of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mixer {
    Attention,
    Mamba2,
    GatedDelta,
    None,
}

/// What follows the mixer in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FeedForward {
    Dense,
    Moe,
    None,
}

/// What tokens a layer's attention sees, and how: the part of attention that differs between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct View {
    /// The sliding window.
    pub(crate) window: Option<u64>,
    /// The length of a chunk.
    pub(crate) chunk: Option<u64>,
    pub(crate) position: Position,
    pub(crate) qk_norm: QkNorm,
}

/// One layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) mixer: Mixer,
    pub(crate) feed_forward: FeedForward,
    /// Of no meaning where the mixer is not attention.
    pub(crate) view: View,
}

/// The ranks and widths of multi-head latent attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latent {
    pub(crate) q_rank: Option<u64>,
    pub(crate) kv_rank: u64,
    pub(crate) nope_dim: u64,
    pub(crate) rope_dim: u64,
}

/// Attention, as far as it is the same in all layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attention {
    /// `None`: grouped queries.
    pub(crate) latent: Option<Latent>,
    pub(crate) heads: u64,
    pub(crate) kv_heads: u64,
    pub(crate) head_dim: u64,
    pub(crate) v_dim: u64,
    /// How many of `head_dim` are rotated.
    pub(crate) rope_dim: u64,
    pub(crate) q_bias: bool,
    pub(crate) kv_bias: bool,
    pub(crate) output_bias: bool,
    pub(crate) sinks: bool,
    /// A gate of `heads · v_dim` values on the output.
    pub(crate) output_gate: bool,
    /// Whether that gate has a bias.
    pub(crate) gate_bias: bool,
    /// Whether norms of queries and keys have biases where the model's norms have.
    pub(crate) qk_norm_bias: bool,
}

/// The dense FFN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ffn {
    pub(crate) kind: FfnKind,
    pub(crate) d_ff: u64,
    pub(crate) bias: bool,
}

/// The mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moe {
    pub(crate) kind: FfnKind,
    pub(crate) experts: u64,
    pub(crate) experts_per_token: u64,
    pub(crate) d_ff: u64,
    pub(crate) bias: bool,
    pub(crate) router_bias: bool,
    pub(crate) correction_bias: bool,
    pub(crate) shared_experts: u64,
    pub(crate) shared_d_ff: u64,
    pub(crate) shared_gate: bool,
    /// Biases on the shared experts.
    pub(crate) shared_bias: bool,
}

/// A Mamba-2 mixer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mamba2 {
    pub(crate) d_inner: u64,
    pub(crate) head_dim: u64,
    pub(crate) groups: u64,
    pub(crate) state: u64,
    pub(crate) conv: u64,
    pub(crate) conv_bias: bool,
    pub(crate) bias: bool,
}

/// A Gated DeltaNet mixer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GatedDelta {
    pub(crate) key_heads: u64,
    pub(crate) value_heads: u64,
    pub(crate) key_dim: u64,
    pub(crate) value_dim: u64,
    pub(crate) conv: u64,
}

/// The norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Norm {
    pub(crate) layernorm: bool,
    pub(crate) weight: bool,
    pub(crate) bias: bool,
    pub(crate) placement: Placement,
    pub(crate) embedding: bool,
    pub(crate) last: bool,
}

impl Norm {
    /// A norm of weights before each part and before the output.
    pub(crate) const RMS: Norm = Norm {
        layernorm: false,
        weight: true,
        bias: false,
        placement: Placement::Pre,
        embedding: false,
        last: true,
    };
    /// The same with means and biases.
    pub(crate) const LAYER: Norm = Norm { layernorm: true, bias: true, ..Norm::RMS };
}

/// A whole model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) d_model: u64,
    pub(crate) vocab: u64,
    pub(crate) context: Option<u64>,
    pub(crate) position_rows: Option<u64>,
    pub(crate) embedding_width: Option<u64>,
    pub(crate) tied: bool,
    pub(crate) output_bias: bool,
    pub(crate) block: Arrangement,
    pub(crate) layers: Vec<Layer>,
    pub(crate) attention: Option<Attention>,
    pub(crate) ffn: Option<Ffn>,
    pub(crate) moe: Option<Moe>,
    pub(crate) mamba2: Option<Mamba2>,
    pub(crate) gated_delta: Option<GatedDelta>,
    pub(crate) norm: Norm,
}

impl Shape {
    /// Sets the FFN of each layer: a mixture of experts where `is` says so, else dense.
    pub(crate) fn experts_where(&mut self, is: impl Fn(u64) -> bool) {
        for (at, layer) in (0..).zip(&mut self.layers) {
            layer.feed_forward = if is(at) { FeedForward::Moe } else { FeedForward::Dense };
        }
    }

    /// Sets the mixer of each layer.
    pub(crate) fn mixers(&mut self, of: impl Fn(u64) -> Mixer) {
        for (at, layer) in (0..).zip(&mut self.layers) {
            layer.mixer = of(at);
        }
    }

    /// Changes what each layer sees.
    pub(crate) fn views(&mut self, change: impl Fn(u64, &mut View)) {
        for (at, layer) in (0..).zip(&mut self.layers) {
            change(at, &mut layer.view);
        }
    }
}

/// A value and the layers that have it.
pub(crate) type Group<T> = (T, Vec<u64>);

/// Values that layers have: the most frequent one, and the layers of each other one, in the order in which they appear
/// first. `None` where a layer has no such value.
pub(crate) fn grouped<T: Copy + Ord>(
    layers: &[Layer],
    of: impl Fn(&Layer) -> Option<T>,
) -> Option<(T, Vec<Group<T>>)> {
    let mut groups: BTreeMap<T, Vec<u64>> = BTreeMap::new();
    for (at, value) in (0..).zip(layers.iter().map(of)) {
        if let Some(value) = value {
            groups.entry(value).or_default().push(at);
        }
    }
    let mut groups: Vec<Group<T>> = groups.into_iter().collect();
    groups.sort_by_key(|(_, layers)| layers.first().copied());
    let most = groups.iter().map(|(_, layers)| layers.len()).max()?;
    let base = groups.iter().position(|(_, layers)| layers.len() == most)?;
    let (value, _) = groups.remove(base);
    Some((value, groups))
}
