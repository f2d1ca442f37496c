//! The Graph: a model as operators with shapes, wired to each other. Every count is a fold over it, and `exec` runs it.

mod attention;
mod build;
mod feed_forward;
mod lower;
mod recurrent;

pub use lower::lower;

use llmplan_spec::plan::{FfnKind, Reach};

/// A model, lowered: kinds of blocks, and the order in which they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// Embedding, each kind of layer, head, multi-token prediction. Nothing assumes that layers are alike.
    pub blocks: Vec<Block>,
    /// What runs after what.
    pub order: Vec<Step>,
}

/// A block that runs so many times in a row, each time with weights of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The place in [`Graph::blocks`].
    pub block: usize,
    /// How many times.
    pub repeat: u64,
}

/// Operators that take the residual stream and give it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// `embedding`, the name of a kind of layer, `head`, `mtp`.
    pub name: String,
    /// What it is a part of.
    pub part: Part,
    /// How often it runs in all.
    pub count: u64,
    /// Its operators in execution order.
    pub operators: Vec<Operator>,
    /// Values per token of everything that is computed, the input first; [`Value`] is a place in it.
    pub widths: Vec<u64>,
    /// What the stream is afterwards; the head leaves it as it was.
    pub output: Value,
}

/// What a block is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Tokens to the stream.
    Embedding,
    /// A layer.
    Layer,
    /// The stream to logits and loss.
    Head,
    /// A module that predicts one token further: trained, not served.
    Mtp,
}

/// Something computed in a block: the place of its width in [`Block::widths`]. The first is the block's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(pub usize);

/// One operator with its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// A stable name: `attention.q`.
    pub name: &'static str,
    /// The row of the report it is counted in.
    pub component: Component,
    /// What it computes, with shapes per sequence of T tokens.
    pub kind: Kind,
    /// What it reads, in the order that its kind says.
    pub inputs: Vec<Value>,
    /// What it writes.
    pub output: Value,
    /// Its tensors.
    pub weights: Vec<Tensor>,
}

/// A tensor of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// `weight`, `bias`, or what the paper calls it.
    pub name: &'static str,
    /// How many of it there are: one for each expert, else 1.
    pub copies: u64,
    /// Rows; 1 for a vector.
    pub rows: u64,
    /// Columns.
    pub columns: u64,
    /// Whether it is trained; a buffer is stored, and no parameter.
    pub trained: bool,
}

impl Tensor {
    /// Values of one copy. Two 64-bit factors always fit.
    pub fn each(self) -> u128 {
        u128::from(self.rows) * u128::from(self.columns)
    }

    /// Values of all copies; `None` beyond 128 bits.
    pub fn elements(self) -> Option<u128> {
        self.each().checked_mul(u128::from(self.copies))
    }
}

/// What an operator is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// Token embedding.
    Embedding,
    /// Projections between the embedding's width and the stream's.
    EmbeddingProjection,
    /// Learned positions.
    Position,
    /// Q, K and V projections, through latents or not.
    Qkv,
    /// Projection of relative positions.
    Relative,
    /// QKᵀ.
    Scores,
    /// Logits of attention that nothing is read from.
    Sinks,
    /// The weighted sum of V.
    WeightedSum,
    /// The gate on attention's output.
    AttentionGate,
    /// Output projection of attention.
    AttentionOutput,
    /// Input projections of state-space and linear-attention layers.
    RecurrentInput,
    /// Their convolution, recurrence and gated norm.
    Recurrence,
    /// Their output projections.
    RecurrentOutput,
    /// Up-projection of the feed-forward network.
    FfnUp,
    /// Its gate.
    FfnGate,
    /// Its down-projection.
    FfnDown,
    /// Routers of experts.
    Router,
    /// Routed experts.
    Experts,
    /// Experts that every token passes, and their gate.
    SharedExperts,
    /// Norms.
    Norm,
    /// Output projection to the vocabulary.
    Output,
    /// Multi-token prediction, but for its attention.
    Mtp,
    /// Scores and weighted sums of multi-token prediction.
    MtpAttention,
    /// Everything without weights or matrix products: rotations, softmax, activations, residuals, loss.
    Pointwise,
}

impl Component {
    /// Every component, in the order of the report.
    pub const ALL: [Component; 24] = [
        Component::Embedding,
        Component::EmbeddingProjection,
        Component::Position,
        Component::Qkv,
        Component::Relative,
        Component::Scores,
        Component::Sinks,
        Component::WeightedSum,
        Component::AttentionGate,
        Component::AttentionOutput,
        Component::RecurrentInput,
        Component::Recurrence,
        Component::RecurrentOutput,
        Component::FfnUp,
        Component::FfnGate,
        Component::FfnDown,
        Component::Router,
        Component::Experts,
        Component::SharedExperts,
        Component::Norm,
        Component::Output,
        Component::Mtp,
        Component::MtpAttention,
        Component::Pointwise,
    ];
}

/// What an operator computes. Shapes are per token, or per pair of tokens for attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Row lookup: token → `width` values. Without weights it reads the model's own table, one token further.
    Gather {
        /// Values per row.
        width: u64,
    },
    /// Sinusoids of `width` values, one row for each distance from 0 on: as many as tokens (Dai 2019 §3.3). Reads nothing.
    Distances {
        /// Values per row.
        width: u64,
    },
    /// Adds the row of a table that belongs to the position.
    AddPosition {
        /// Values per row.
        width: u64,
    },
    /// Normalises each `width` values. One row of weights serves all such groups, or each has a row of its own.
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
    /// Within each of `heads`: `inner` values → `outer` values, with a matrix for each head; values of the head behind
    /// `inner` are kept behind the result.
    HeadMatMul {
        /// Heads.
        heads: u64,
        /// Values of the input that are multiplied.
        inner: u64,
        /// Values of the result.
        outer: u64,
        /// Values of each head that are kept as they are.
        kept: u64,
        /// Whether the matrix is stored with `outer` rows and used transposed.
        transposed: bool,
    },
    /// Two values side by side within each of `heads`; the second may have fewer heads, each of which serves several.
    Join {
        /// Heads of the result.
        heads: u64,
    },
    /// Rotates pairs of values by the position: `rope_dim` values of each head, behind `offset` others.
    Rotate {
        /// Width of a head.
        head_dim: u64,
        /// Values that are rotated.
        rope_dim: u64,
        /// Values before them.
        offset: u64,
    },
    /// QKᵀ over the root of `scale`: one product of `head_dim` for each head and pair of tokens. With a third input, the
    /// projected distances in rows of `heads` × `head_dim` values from distance 0 on, another one.
    Scores {
        /// Query heads.
        heads: u64,
        /// Key heads.
        kv_heads: u64,
        /// Width of a head.
        head_dim: u64,
        /// The width that scores are scaled for.
        scale: u64,
        /// The tokens that are seen.
        reach: Reach,
        /// Whether a linear bias by distance is added.
        alibi: bool,
        /// Whether distances are multiplied in.
        relative: bool,
    },
    /// Softmax over the scores of each head; with weights, one logit more, of which nothing is read.
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
        /// The tokens that are seen.
        reach: Reach,
    },
    /// A non-linearity on `width` values; the second input, where there is one, is the gate that it is applied to.
    Activation {
        /// Which.
        kind: FfnKind,
        /// Values.
        width: u64,
    },
    /// The first input times a function of the second, which has as many values or one for several.
    Gate {
        /// Values.
        width: u64,
        /// Whether the function is SiLU; else the sigmoid.
        silu: bool,
    },
    /// `inner` values → scores of `experts`, of which the `active` largest are taken: pairs of an expert and its weight,
    /// which is a softmax over those taken.
    Route {
        /// Values of the input.
        inner: u64,
        /// Routed experts.
        experts: u64,
        /// Those that a token is sent to.
        active: u64,
    },
    /// In each of the experts that a token is sent to: `inner` values → `outer` values. Inputs: values, routes. What is
    /// read is one row for all experts (`fan_out`), or one for each.
    ExpertMatMul {
        /// Routed experts.
        experts: u64,
        /// Those that a token is sent to.
        active: u64,
        /// Values of the input.
        inner: u64,
        /// Values of the output.
        outer: u64,
        /// Whether the input is the same for all experts.
        fan_out: bool,
    },
    /// The outputs of a token's experts, weighed by its routes: inputs are values and routes.
    Combine {
        /// Those that a token was sent to.
        active: u64,
        /// Values of each.
        width: u64,
    },
    /// Mixes each channel with its own past of `kernel` tokens, then SiLU. Weights are rows of a channel, the oldest token
    /// first.
    Convolve {
        /// Channels.
        channels: u64,
        /// Tokens.
        kernel: u64,
    },
    /// The state-space recurrence (Dao 2024): for each head a state of `head_dim` × `state`, which each token decays,
    /// adds to and reads. Inputs: convolved x, B and C in one, time steps.
    StateSpace {
        /// Heads.
        heads: u64,
        /// Width of a head.
        head_dim: u64,
        /// Groups of heads that share B and C.
        groups: u64,
        /// Values of state for each value of a head.
        state: u64,
    },
    /// The gated delta rule (Yang 2024): for each value head a state of `key_dim` × `value_dim`, from which each token
    /// reads, corrects, and reads again. Inputs: convolved q, k and v in one; write strengths and then decays in one.
    DeltaRule {
        /// Query and key heads.
        key_heads: u64,
        /// Value heads.
        value_heads: u64,
        /// Width of a key head.
        key_dim: u64,
        /// Width of a value head.
        value_dim: u64,
    },
    /// Adds two values.
    Add {
        /// Values.
        width: u64,
    },
    /// `d_model` values → `vocab` logits; with the embedding's weights where those are tied, or the head's where it is
    /// a module's.
    Logits {
        /// Values of the input.
        inner: u64,
        /// Rows of the vocabulary.
        outer: u64,
    },
    /// Cross-entropy of the logits: of the next token, in a module of multi-token prediction of one further each.
    Loss {
        /// Rows of the vocabulary.
        outer: u64,
    },
}
