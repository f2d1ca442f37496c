//! The model: kinds of layers, and in which order they run.

/// A decoder-only language model. Nothing assumes that its layers are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The block's name.
    pub name: String,
    /// L: number of layers.
    pub layers: u64,
    /// d: width of the residual stream.
    pub d_model: u64,
    /// V: rows of the embedding, padding included.
    pub vocab: u64,
    /// Width of the token embedding; where it is not `d_model`, projections lead in and out.
    pub embedding_width: u64,
    /// Longest sequence the model is made for, in tokens.
    pub context: Option<u64>,
    /// Rows of the table of learned positions, where there is one.
    pub position_rows: Option<u64>,
    /// Whether the output projection is the embedding itself.
    pub tied_embeddings: bool,
    /// Whether the output projection has a bias of V values.
    pub output_bias: bool,
    /// The norms.
    pub norm: Norm,
    /// The kinds of layers, in order of first appearance; their counts sum to `layers`.
    pub kinds: Vec<LayerKind>,
    /// The layers in execution order, as runs of equal ones.
    pub order: Vec<Run>,
    /// Modules that predict one token further each (DeepSeek-V3 §2.2); trained, not served.
    pub mtp: u64,
}

impl Model {
    /// The kind of the last layer: what multi-token-prediction modules repeat.
    pub fn last_kind(&self) -> Option<&LayerKind> {
        self.order.last().and_then(|run| self.kinds.get(run.kind))
    }

    /// Whether any layer routes tokens to experts.
    pub fn has_experts(&self) -> bool {
        self.kinds.iter().any(|kind| matches!(kind.layer.feed_forward, FeedForward::Moe(_)))
    }
}

/// Layers that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerKind {
    /// `base`, or the names of the `layer` blocks that make it, joined by `-`; `kind-7` where that is too long.
    pub name: String,
    /// How many layers of the model are of this kind.
    pub count: u64,
    /// What such a layer is.
    pub layer: Layer,
}

/// Equal layers that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The place in [`Model::kinds`].
    pub kind: usize,
    /// How many.
    pub repeat: u64,
}

/// Some layers of a model, as plans pick them. Layers are numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerChoice {
    /// `every step from start`; without `from`, the first is `step - 1`.
    Every {
        /// Distance between two.
        step: u64,
        /// The first.
        start: u64,
    },
    /// `first n`
    First(u64),
    /// `last n`
    Last(u64),
    /// By number, ascending.
    List(Vec<u64>),
}

impl LayerChoice {
    /// Whether a layer of a model with so many is among them.
    pub fn has(&self, layer: u64, layers: u64) -> bool {
        match self {
            LayerChoice::Every { step, start } => {
                layer >= *start && (layer - start).checked_rem(*step) == Some(0)
            }
            LayerChoice::First(count) => layer < *count,
            LayerChoice::Last(count) => layer >= layers.saturating_sub(*count),
            LayerChoice::List(list) => list.binary_search(&layer).is_ok(),
        }
    }

    /// How many of the layers `first..end`, of a model with so many, are among them.
    pub fn among(&self, first: u64, end: u64, layers: u64) -> u64 {
        let overlap = |low: u64, high: u64| high.min(end).saturating_sub(low.max(first));
        match self {
            LayerChoice::Every { step, start } => {
                let below = |bound: u64| bound.saturating_sub(*start).div_ceil((*step).max(1));
                below(end).saturating_sub(below(first))
            }
            LayerChoice::First(count) => overlap(0, *count),
            LayerChoice::Last(count) => overlap(layers.saturating_sub(*count), layers),
            LayerChoice::List(list) => {
                let below = |bound: u64| list.partition_point(|layer| *layer < bound) as u64;
                below(end).saturating_sub(below(first))
            }
        }
    }

    /// The largest number that a model with so many layers must have for all of them to exist.
    pub fn reach(&self) -> u64 {
        match self {
            LayerChoice::Every { start, .. } => start.saturating_add(1),
            LayerChoice::First(count) | LayerChoice::Last(count) => *count,
            LayerChoice::List(list) => list.last().map_or(0, |last| last.saturating_add(1)),
        }
    }
}

/// One layer: a sequence mixer and a feed-forward network, each with its norms and its residual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// How the two follow each other.
    pub arrangement: Arrangement,
    /// What mixes tokens.
    pub mixer: Mixer,
    /// What follows it.
    pub feed_forward: FeedForward,
}

/// How mixer and feed-forward network follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arrangement {
    /// One after the other.
    Sequential,
    /// Side by side, from one norm (GPT-J, PaLM).
    Parallel,
    /// Side by side, each from a norm of its own (GPT-NeoX).
    ParallelTwoNorms,
}

words!(Arrangement {
    "sequential" => Sequential,
    "parallel" => Parallel,
    "parallel_two_norms" => ParallelTwoNorms,
});

/// What mixes the tokens of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mixer {
    /// Softmax attention.
    Attention(Attention),
    /// A state-space layer (Dao 2024).
    Mamba2(Mamba2),
    /// Linear attention with the gated delta rule (Yang 2024).
    GatedDelta(GatedDelta),
    /// Nothing: the layer is a feed-forward network.
    None,
}

/// Softmax attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// a: query heads.
    pub heads: u64,
    /// k: key and value heads; equal to `heads` for multi-head attention.
    pub kv_heads: u64,
    /// h: width of one query or key head; with latents, `nope_dim` + `rope_dim`.
    pub head_dim: u64,
    /// Width of one value head.
    pub v_dim: u64,
    /// Values of a head that are rotated; the last ones with latents, else the first.
    pub rope_dim: u64,
    /// Low-rank queries, keys and values, where there are (multi-head latent attention).
    pub latent: Option<Latent>,
    /// How positions reach this layer.
    pub position: Position,
    /// The tokens that a token may see.
    pub reach: Reach,
    /// Biases.
    pub bias: AttentionBias,
    /// Norms of queries and keys.
    pub qk_norm: QkNorm,
    /// Whether those have biases beside their weights.
    pub qk_norm_bias: bool,
    /// Whether each query head has a learned logit that nothing is read from (gpt-oss).
    pub sinks: bool,
    /// A gate on the output of the heads.
    pub gate: OutputGate,
    /// Whether the projection of the gate has a bias.
    pub gate_bias: bool,
}

/// The ranks of multi-head latent attention (DeepSeek-V2 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latent {
    /// Rank of the queries; `None` where they are projected directly.
    pub q_rank: Option<u64>,
    /// Rank of keys and values: what is cached, beside the rotated part of the key.
    pub kv_rank: u64,
    /// Width of the part of a head that is not rotated.
    pub nope_dim: u64,
    /// Whether up-projections are absorbed into queries and output, so that attention runs over the latents.
    pub absorbed: bool,
}

/// Which projections of attention have biases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttentionBias {
    /// Queries; with latents, their down-projection.
    pub q: bool,
    /// Keys; with latents, the down-projection of keys and values.
    pub k: bool,
    /// Values.
    pub v: bool,
    /// The output.
    pub output: bool,
}

/// How positions reach a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// A table of learned vectors, added to the embedding.
    Learned,
    /// Rotary: no parameters.
    Rope,
    /// Linear biases on the scores: no parameters.
    Alibi,
    /// Projected sinusoids of the distance (Dai 2019 §3.3), without the two biases of each head.
    Relative,
    /// None at all.
    None,
}

words!(Position {
    "rope" => Rope,
    "learned" => Learned,
    "alibi" => Alibi,
    "relative" => Relative,
    "none" => None,
});

/// The tokens that a token may see, itself included and the future left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All before it.
    Full,
    /// The last so many.
    Window(u64),
    /// Those of its own chunk of so many.
    Chunk(u64),
}

/// Norms of queries and keys before the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QkNorm {
    /// None.
    None,
    /// Each head, with weights that all heads share.
    PerHead,
    /// Each head, with weights of its own.
    PerHeadDistinct,
    /// All heads together.
    Full,
    /// Each head, without weights.
    Unweighted,
}

words!(QkNorm {
    "none" => None,
    "per_head" => PerHead,
    "per_head_distinct" => PerHeadDistinct,
    "full" => Full,
    "unweighted" => Unweighted,
});

/// A sigmoid gate on the output of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputGate {
    /// None.
    None,
    /// A value for each value of each head.
    Full,
    /// A value for each head.
    PerHead,
}

words!(OutputGate {
    "none" => None,
    "full" => Full,
    "per_head" => PerHead,
});

/// A state-space layer (Dao 2024 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mamba2 {
    /// Width of all heads together.
    pub d_inner: u64,
    /// Width of one head; divides `d_inner`.
    pub head_dim: u64,
    /// Groups of heads that share B and C.
    pub groups: u64,
    /// Values of state for each value of a head.
    pub state: u64,
    /// Tokens that the convolution spans.
    pub conv: u64,
    /// Whether the convolution has a bias.
    pub conv_bias: bool,
    /// Whether the projections have biases.
    pub bias: bool,
    /// Whether there is a gated norm before the output projection.
    pub norm: bool,
}

impl Mamba2 {
    /// Number of heads.
    pub fn heads(&self) -> u64 {
        self.d_inner.checked_div(self.head_dim).unwrap_or(0)
    }

    /// Channels that are convolved: x, B and C. Saturates; counts of such a size overflow where they are formed.
    pub fn channels(&self) -> u64 {
        self.d_inner.saturating_add(self.groups.saturating_mul(self.state).saturating_mul(2))
    }
}

/// Linear attention with the gated delta rule (Yang 2024; Qwen3-Next).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatedDelta {
    /// Query and key heads.
    pub key_heads: u64,
    /// Value heads; a multiple of `key_heads`.
    pub value_heads: u64,
    /// Width of a query or key head.
    pub key_dim: u64,
    /// Width of a value head.
    pub value_dim: u64,
    /// Tokens that the convolution spans.
    pub conv: u64,
}

impl GatedDelta {
    /// Width of all keys.
    pub fn keys(&self) -> u64 {
        self.key_heads.saturating_mul(self.key_dim)
    }

    /// Width of all values.
    pub fn values(&self) -> u64 {
        self.value_heads.saturating_mul(self.value_dim)
    }

    /// Channels that are convolved: queries, keys and values.
    pub fn channels(&self) -> u64 {
        self.keys().saturating_mul(2).saturating_add(self.values())
    }
}

/// What follows the mixer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedForward {
    /// A feed-forward network that every token passes.
    Dense(Ffn),
    /// Experts of which each token passes a few.
    Moe(Moe),
    /// Nothing: the layer is a mixer.
    None,
}

/// A feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ffn {
    /// Its non-linearity, and whether it is gated.
    pub kind: FfnKind,
    /// f: its inner width.
    pub d_ff: u64,
    /// Whether the up-projection has a bias.
    pub up_bias: bool,
    /// Whether the gate has one.
    pub gate_bias: bool,
    /// Whether the down-projection has one.
    pub down_bias: bool,
}

/// A mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moe {
    /// E: routed experts.
    pub experts: u64,
    /// K: experts that a token is routed to.
    pub experts_per_token: u64,
    /// Inner width of a routed expert.
    pub d_ff: u64,
    /// The non-linearity of all experts.
    pub kind: FfnKind,
    /// Whether the projections of routed experts have biases.
    pub bias: bool,
    /// Whether the router has a trained bias.
    pub router_bias: bool,
    /// Whether the router has a bias that is set by rule and not trained: a buffer (DeepSeek-V3 §2.1.2).
    pub correction_bias: bool,
    /// Experts that every token passes.
    pub shared_experts: u64,
    /// Inner width of each of those.
    pub shared_d_ff: u64,
    /// Whether the projections of shared experts have biases.
    pub shared_bias: bool,
    /// Whether a sigmoid gate weighs the shared experts.
    pub shared_gate: bool,
    /// Slots of an expert over the mean load, where tokens beyond are dropped and empty slots are computed.
    pub capacity: Option<f64>,
    /// Load of the busiest expert over the mean, at least 1.
    pub imbalance: f64,
}

impl Eq for Moe {}

/// The non-linearity of a feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FfnKind {
    /// Two projections with GELU between.
    Gelu,
    /// Two projections with ReLU between.
    Relu,
    /// Two projections with ReLU² between (So 2021).
    Relu2,
    /// Two projections with SiLU between.
    Silu,
    /// Two projections with xIELU between: two learned scalars (Huang 2024).
    Xielu,
    /// Three projections: SiLU(gate) × up (Shazeer 2020).
    Swiglu,
    /// Three projections: GELU(gate) × up (Shazeer 2020).
    Geglu,
    /// Three projections: ReLU(gate) × up (Shazeer 2020).
    Reglu,
}

words!(FfnKind {
    "gelu" => Gelu,
    "relu" => Relu,
    "relu2" => Relu2,
    "silu" => Silu,
    "xielu" => Xielu,
    "swiglu" => Swiglu,
    "geglu" => Geglu,
    "reglu" => Reglu,
});

impl FfnKind {
    /// Whether there is a third, gating projection.
    pub fn gated(self) -> bool {
        matches!(self, FfnKind::Swiglu | FfnKind::Geglu | FfnKind::Reglu)
    }
}

/// The norms of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Norm {
    /// Which one.
    pub kind: NormKind,
    /// Whether it has weights.
    pub weight: bool,
    /// Whether it has a bias; only LayerNorm can.
    pub bias: bool,
    /// Where in a layer they stand.
    pub placement: Placement,
    /// Whether there is one behind the embedding.
    pub embedding: bool,
    /// Whether there is one before the output projection.
    pub last: bool,
}

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// Mean and variance.
    LayerNorm,
    /// Root mean square.
    RmsNorm,
    /// None: no parameters, no operator.
    None,
}

words!(NormKind {
    "rmsnorm" => RmsNorm,
    "layernorm" => LayerNorm,
    "none" => None,
});

/// Where the norms of a layer stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Placement {
    /// On the input of mixer and feed-forward network.
    Pre,
    /// On their output, before it is added to the stream (OLMo 2).
    Post,
    /// On both (Gemma 2).
    Sandwich,
    /// On the stream, behind the addition (Vaswani 2017).
    PostResidual,
}

words!(Placement {
    "pre" => Pre,
    "post" => Post,
    "sandwich" => Sandwich,
    "post_residual" => PostResidual,
});

#[cfg(test)]
mod tests {
    use super::LayerChoice;

    #[test]
    fn layers_are_counted_as_they_are_picked() {
        let choices = [
            LayerChoice::Every { step: 3, start: 2 },
            LayerChoice::Every { step: 1, start: 0 },
            LayerChoice::First(5),
            LayerChoice::Last(4),
            LayerChoice::List(vec![0, 3, 4, 11]),
        ];
        for choice in choices {
            for first in 0..13 {
                for end in first..13 {
                    let picked = (first..end).filter(|layer| choice.has(*layer, 12) && *layer < 12).count();
                    let end = end.min(12).max(first);
                    assert_eq!(choice.among(first, end, 12), picked as u64, "{choice:?} {first}..{end}");
                }
            }
        }
    }
}
