//! The Graph: a model as a list of operators with shapes. Every count is a fold over it, and `exec` runs it.

use llmplan_spec::plan::{FfnKind, Model, NormKind, Position};

/// A model, lowered: groups of layers in execution order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// Embedding, layers, head. Nothing assumes that layers are alike: each kind of layer is a group of its own.
    pub groups: Vec<Group>,
}

/// Operators that run one after another, so many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What the group is: `embedding`, `layer`, `head`.
    pub name: &'static str,
    /// How often it is repeated, each time with weights of its own.
    pub repeat: u64,
    /// Its operators in execution order.
    pub operators: Vec<Operator>,
}

/// One operator with its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// A stable name: `attention.q`.
    pub name: &'static str,
    /// The row of the report it is counted in.
    pub component: Component,
    /// What it computes, with shapes per sequence of T tokens.
    pub kind: Kind,
    /// Its trainable tensors.
    pub weights: Vec<Tensor>,
}

/// A trainable tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// `weight`, `bias`.
    pub name: &'static str,
    /// Rows; 1 for a vector.
    pub rows: u64,
    /// Columns.
    pub columns: u64,
}

impl Tensor {
    /// Number of values. Two 64-bit factors always fit.
    pub fn elements(self) -> u128 {
        u128::from(self.rows) * u128::from(self.columns)
    }
}

/// What an operator is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// Token embedding.
    Embedding,
    /// Learned positions.
    Position,
    /// Q, K and V projections.
    Qkv,
    /// QKᵀ.
    Scores,
    /// The weighted sum of V.
    WeightedSum,
    /// Output projection of attention.
    AttentionOutput,
    /// Up-projection of the feed-forward network.
    FfnUp,
    /// Its gate.
    FfnGate,
    /// Its down-projection.
    FfnDown,
    /// Norms.
    Norm,
    /// Output projection to the vocabulary.
    Output,
    /// Everything without weights or matrix products: rotations, softmax, activations, residuals, loss.
    Pointwise,
}

/// What an operator computes. Shapes are per token, or per pair of tokens for attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Row lookup: token → `width` values.
    Gather {
        /// Values per row.
        width: u64,
    },
    /// Adds the row of a table that belongs to the position.
    AddPosition {
        /// Values per row.
        width: u64,
    },
    /// Normalises `width` values.
    Norm {
        /// Values normalised together.
        width: u64,
        /// Whether the mean is taken off first.
        centred: bool,
    },
    /// `inner` values → `outer` values.
    MatMul {
        /// Values of the input.
        inner: u64,
        /// Values of the output.
        outer: u64,
    },
    /// Rotates pairs of values by the position.
    Rotate {
        /// Values rotated.
        width: u64,
    },
    /// QKᵀ: one product of `head_dim` for each head and pair of tokens.
    Scores {
        /// Query heads.
        heads: u64,
        /// Key heads.
        kv_heads: u64,
        /// Width of a head.
        head_dim: u64,
        /// Whether a linear bias by distance is added.
        alibi: bool,
    },
    /// Softmax over the scores of each head.
    Softmax {
        /// Query heads.
        heads: u64,
    },
    /// Scores × V: `head_dim` multiply-adds for each head and pair of tokens.
    WeightedSum {
        /// Query heads.
        heads: u64,
        /// Value heads.
        kv_heads: u64,
        /// Width of a head.
        head_dim: u64,
    },
    /// A non-linearity on `width` values, times the gate where there is one.
    Activation {
        /// Which.
        kind: FfnKind,
        /// Values.
        width: u64,
    },
    /// Adds the residual stream.
    Residual {
        /// Values.
        width: u64,
    },
    /// `d_model` values → `vocab` logits; with the embedding's weights where those are tied.
    Logits {
        /// Values of the input.
        inner: u64,
        /// Rows of the vocabulary.
        outer: u64,
    },
    /// Cross-entropy of the logits.
    Loss {
        /// Rows of the vocabulary.
        outer: u64,
    },
}

/// Lowers a model to its operators: a pre-norm decoder (Vaswani 2017; Radford 2019; Touvron 2023 for gates and RMSNorm).
pub fn lower(model: &Model) -> Graph {
    Graph {
        groups: vec![
            Group { name: "embedding", repeat: 1, operators: embedding(model) },
            Group { name: "layer", repeat: model.layers, operators: layer(model) },
            Group { name: "head", repeat: 1, operators: head(model) },
        ],
    }
}

fn embedding(model: &Model) -> Vec<Operator> {
    let width = model.d_model;
    let table = weight(model.vocab, width);
    let mut operators =
        vec![operator("embedding", Component::Embedding, Kind::Gather { width }, vec![table])];
    if model.attention.position == Position::Learned {
        let rows = model.context.unwrap_or(0);
        let kind = Kind::AddPosition { width };
        operators.push(operator("position", Component::Position, kind, vec![weight(rows, width)]));
    }
    operators
}

fn layer(model: &Model) -> Vec<Operator> {
    let mut operators = Vec::new();
    operators.extend(norm(model, "attention.norm"));
    operators.extend(attention(model));
    operators.push(pointwise("attention.residual", Kind::Residual { width: model.d_model }));
    operators.extend(norm(model, "ffn.norm"));
    operators.extend(ffn(model));
    operators.push(pointwise("ffn.residual", Kind::Residual { width: model.d_model }));
    operators
}

fn attention(model: &Model) -> Vec<Operator> {
    let d_model = model.d_model;
    let attention = &model.attention;
    let (heads, kv_heads, head_dim) = (attention.heads, attention.kv_heads, attention.head_dim);
    let (q, kv) = (heads.saturating_mul(head_dim), kv_heads.saturating_mul(head_dim));
    let project = |name, outer| matmul(name, Component::Qkv, d_model, outer, attention.qkv_bias);
    let mut operators =
        vec![project("attention.q", q), project("attention.k", kv), project("attention.v", kv)];
    if attention.position == Position::Rope {
        operators.push(pointwise("attention.rotate_q", Kind::Rotate { width: q }));
        operators.push(pointwise("attention.rotate_k", Kind::Rotate { width: kv }));
    }
    let alibi = attention.position == Position::Alibi;
    let scores = Kind::Scores { heads, kv_heads, head_dim, alibi };
    operators.push(operator("attention.scores", Component::Scores, scores, Vec::new()));
    operators.push(pointwise("attention.softmax", Kind::Softmax { heads }));
    let sum = Kind::WeightedSum { heads, kv_heads, head_dim };
    operators.push(operator("attention.weighted_sum", Component::WeightedSum, sum, Vec::new()));
    operators.push(matmul("attention.output", Component::AttentionOutput, q, d_model, attention.output_bias));
    operators
}

fn ffn(model: &Model) -> Vec<Operator> {
    let (d_model, ffn) = (model.d_model, &model.ffn);
    let mut operators = vec![matmul("ffn.up", Component::FfnUp, d_model, ffn.d_ff, ffn.bias)];
    if ffn.kind.gated() {
        operators.push(matmul("ffn.gate", Component::FfnGate, d_model, ffn.d_ff, ffn.bias));
    }
    operators.push(pointwise("ffn.activation", Kind::Activation { kind: ffn.kind, width: ffn.d_ff }));
    operators.push(matmul("ffn.down", Component::FfnDown, ffn.d_ff, d_model, ffn.bias));
    operators
}

fn head(model: &Model) -> Vec<Operator> {
    let (inner, outer) = (model.d_model, model.vocab);
    let mut weights = Vec::new();
    if !model.tied_embeddings {
        weights.push(weight(inner, outer));
    }
    if model.output_bias {
        weights.push(bias(outer));
    }
    let mut operators: Vec<Operator> = norm(model, "final_norm").into_iter().collect();
    operators.push(operator("logits", Component::Output, Kind::Logits { inner, outer }, weights));
    operators.push(pointwise("loss", Kind::Loss { outer }));
    operators
}

fn norm(model: &Model, name: &'static str) -> Option<Operator> {
    let width = model.d_model;
    let centred = match model.norm.kind {
        NormKind::None => return None,
        NormKind::LayerNorm => true,
        NormKind::RmsNorm => false,
    };
    let mut weights = vec![weight(1, width)];
    if model.norm.bias {
        weights.push(bias(width));
    }
    Some(operator(name, Component::Norm, Kind::Norm { width, centred }, weights))
}

fn matmul(name: &'static str, component: Component, inner: u64, outer: u64, biased: bool) -> Operator {
    let mut weights = vec![weight(inner, outer)];
    if biased {
        weights.push(bias(outer));
    }
    operator(name, component, Kind::MatMul { inner, outer }, weights)
}

fn operator(name: &'static str, component: Component, kind: Kind, weights: Vec<Tensor>) -> Operator {
    Operator { name, component, kind, weights }
}

fn pointwise(name: &'static str, kind: Kind) -> Operator {
    operator(name, Component::Pointwise, kind, Vec::new())
}

fn weight(rows: u64, columns: u64) -> Tensor {
    Tensor { name: "weight", rows, columns }
}

fn bias(columns: u64) -> Tensor {
    Tensor { name: "bias", rows: 1, columns }
}
