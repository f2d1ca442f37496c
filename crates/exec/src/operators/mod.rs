//! The operators on tensors: what each computes, and its vector-Jacobian product from what it kept.
//!
//! Values are rows of tokens: B·T rows of so many values. Everything is composed of candle's operators, so that the
//! same text runs on every device and candle's own differentiation can follow it; where the device is the CPU and
//! values are f32, the kernels of [`crate::kernels`] take the place of what candle does slowly.

mod attention;
mod experts;
mod linear;
mod loss;
mod norm;
mod pointwise;
mod recurrent;
mod recurrent_backward;

pub(crate) use pointwise::sum;

use candle_core::Tensor;
use llmplan_analysis::graph::{Block, Kind, Operator};
use llmplan_analysis::saved::producer;

use crate::context::Context;
use crate::trouble::{Result, Trouble};

/// Something computed.
#[derive(Clone)]
pub(crate) enum Held {
    /// B·T rows of values; scores and their weights are B·heads × T × T, a loss a single number.
    Tensor(Tensor),
    /// Where each token goes.
    Routes(Routes),
    /// The tokens themselves: what the embedding reads.
    Tokens,
}

/// For each token its experts.
#[derive(Clone)]
pub(crate) struct Routes {
    /// B·T rows of expert numbers, u32.
    pub(crate) numbers: Tensor,
    /// B·T rows of weights, which sum to one.
    pub(crate) shares: Tensor,
}

impl Held {
    /// The tensor, of what is one.
    pub(crate) fn tensor(&self) -> Result<&Tensor> {
        match self {
            Held::Tensor(tensor) => Ok(tensor),
            _ => Err(Trouble::Misshapen("value")),
        }
    }

    /// The routes, of what is some.
    pub(crate) fn routes(&self) -> Result<&Routes> {
        match self {
            Held::Routes(routes) => Ok(routes),
            _ => Err(Trouble::Misshapen("routes")),
        }
    }

    /// The tensors that it holds.
    pub(crate) fn tensors(&self) -> Vec<&Tensor> {
        match self {
            Held::Tensor(tensor) => vec![tensor],
            Held::Routes(routes) => vec![&routes.numbers, &routes.shares],
            Held::Tokens => Vec::new(),
        }
    }
}

/// What an operator gives.
pub(crate) struct Done {
    /// Its value.
    pub(crate) output: Held,
    /// What its backward pass reads beside, in the order of the saved list.
    pub(crate) extras: Vec<Tensor>,
}

impl From<Tensor> for Done {
    fn from(tensor: Tensor) -> Done {
        Done { output: Held::Tensor(tensor), extras: Vec::new() }
    }
}

/// The tensors of an operator, by name. `embedding` is the model's own table where the operator reads it.
pub(crate) struct Weights<'a>(pub(crate) Vec<(&'static str, &'a Tensor)>);

impl<'a> Weights<'a> {
    /// A tensor that has to be there.
    pub(crate) fn get(&self, name: &'static str) -> Result<&'a Tensor> {
        self.find(name).ok_or(Trouble::Misshapen(name))
    }

    /// A tensor that may be left out.
    pub(crate) fn find(&self, name: &str) -> Option<&'a Tensor> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, tensor)| *tensor)
    }
}

/// What an operator kept: nothing else reaches its backward pass.
pub(crate) struct Kept {
    /// By place, those of the saved list.
    pub(crate) inputs: Vec<Option<Held>>,
    /// Where the saved list says so.
    pub(crate) output: Option<Held>,
    /// In the order of the saved list.
    pub(crate) extras: Vec<Tensor>,
}

impl Kept {
    /// An input that was kept.
    fn input(&self, place: usize) -> Result<&Tensor> {
        self.held(place)?.tensor()
    }

    /// An input that was kept, whatever it is.
    fn held(&self, place: usize) -> Result<&Held> {
        self.inputs.get(place).and_then(Option::as_ref).ok_or(Trouble::NotKept)
    }

    /// The output, which was kept.
    fn output(&self) -> Result<&Held> {
        self.output.as_ref().ok_or(Trouble::NotKept)
    }

    /// Something kept beside inputs and output.
    fn extra(&self, place: usize) -> Result<&Tensor> {
        self.extras.get(place).ok_or(Trouble::NotKept)
    }
}

/// Gradients that an operator hands back: of its inputs by place, where they take one, and of its tensors by name.
#[derive(Default)]
pub(crate) struct Cotangents {
    pub(crate) inputs: Vec<Option<Tensor>>,
    pub(crate) weights: Vec<(&'static str, Tensor)>,
}

impl Cotangents {
    fn of(inputs: impl IntoIterator<Item = Tensor>) -> Cotangents {
        Cotangents { inputs: inputs.into_iter().map(Some).collect(), weights: Vec::new() }
    }

    fn with(mut self, name: &'static str, gradient: Tensor) -> Cotangents {
        self.weights.push((name, gradient));
        self
    }

    fn with_some(self, name: &'static str, gradient: Option<Tensor>) -> Cotangents {
        match gradient {
            Some(gradient) => self.with(name, gradient),
            None => self,
        }
    }
}

/// An operator in its block, with what it reads of the model.
pub(crate) struct Place<'a> {
    pub(crate) block: &'a Block,
    pub(crate) operator: &'a Operator,
    pub(crate) weights: Weights<'a>,
    /// How many tokens further than the model its module looks; 0 for the model itself.
    pub(crate) ahead: usize,
}

impl Place<'_> {
    /// The scores that a softmax weighs.
    fn scoring(&self) -> Result<attention::Scoring> {
        let scores = self.operator.inputs.first().and_then(|value| producer(self.block, *value));
        match scores.map(|operator| operator.kind) {
            Some(Kind::Scores { scale, reach, alibi, .. }) => Ok(attention::Scoring { scale, reach, alibi }),
            _ => Err(Trouble::Misshapen(self.operator.name)),
        }
    }
}

/// Runs an operator.
pub(crate) fn forward(cx: &Context, place: &Place<'_>, inputs: &[Held]) -> Result<Done> {
    let weights = &place.weights;
    let tensor = |at: usize| inputs.get(at).ok_or(Trouble::Misshapen("input"))?.tensor();
    let held = |at: usize| inputs.get(at).ok_or(Trouble::Misshapen("input"));
    match place.operator.kind {
        Kind::Gather { .. } => linear::gather(cx, weights, place.ahead),
        Kind::Distances { width } => linear::distances(cx, width),
        Kind::AddPosition { .. } => linear::add_position(cx, weights, tensor(0)?),
        Kind::MatMul { .. } => linear::matmul(cx, weights, tensor(0)?),
        Kind::Logits { .. } => linear::logits(cx, weights, tensor(0)?),
        Kind::HeadMatMul { heads, inner, outer, kept, transposed } => {
            let shape = linear::HeadShape::of(heads, inner, outer, kept, transposed)?;
            linear::head_matmul(cx, weights, shape, tensor(0)?)
        }
        Kind::Join { heads } => linear::join(cx, heads, tensor(0)?, tensor(1)?),
        Kind::Norm { width, centred } => norm::norm(cx, weights, width, centred, tensor(0)?),
        Kind::Rotate { head_dim, rope_dim, offset } => {
            let shape = attention::Rotation::of(head_dim, rope_dim, offset)?;
            Ok(attention::rotate(cx, shape, tensor(0)?, false)?.into())
        }
        Kind::Scores { heads, kv_heads, relative, .. } => {
            let distances = if relative { Some(tensor(2)?) } else { None };
            attention::scores(cx, attention::Heads::of(heads, kv_heads)?, tensor(0)?, tensor(1)?, distances)
        }
        Kind::Softmax { heads } => attention::softmax(cx, weights, heads, place.scoring()?, tensor(0)?),
        Kind::WeightedSum { heads, kv_heads, .. } => {
            attention::weighted_sum(cx, attention::Heads::of(heads, kv_heads)?, tensor(0)?, tensor(1)?)
        }
        Kind::Activation { kind, .. } => {
            let gate = if kind.gated() { Some(tensor(1)?) } else { None };
            pointwise::activation(cx, weights, kind, tensor(0)?, gate)
        }
        Kind::Gate { silu, .. } => pointwise::gate(cx, silu, tensor(0)?, tensor(1)?),
        Kind::Add { .. } => pointwise::add(cx, tensor(0)?, tensor(1)?),
        Kind::Route { active, .. } => experts::route(cx, weights, active, tensor(0)?),
        Kind::ExpertMatMul { experts, inner, outer, fan_out, .. } => {
            let shape = experts::Shape::of(experts, inner, outer, fan_out)?;
            experts::matmul(cx, weights, shape, tensor(0)?, held(1)?.routes()?)
        }
        Kind::Combine { width, .. } => experts::combine(cx, width, tensor(0)?, held(1)?.routes()?),
        Kind::Convolve { kernel, .. } => recurrent::convolve(cx, weights, kernel, tensor(0)?),
        Kind::StateSpace { heads, head_dim, groups, state } => {
            let shape = recurrent::StateSpace::of(heads, head_dim, groups, state)?;
            recurrent::state_space(cx, weights, shape, tensor(0)?, tensor(1)?)
        }
        Kind::DeltaRule { key_heads, value_heads, key_dim, value_dim } => {
            let shape = recurrent::DeltaRule::of(key_heads, value_heads, key_dim, value_dim)?;
            recurrent::delta_rule(cx, weights, shape, tensor(0)?, tensor(1)?)
        }
        Kind::Loss { .. } => loss::loss(cx, place.ahead, tensor(0)?),
    }
}

/// The vector-Jacobian product of an operator: from the gradient of its output and what it kept, those of its inputs and
/// tensors. `gradient` of a loss is not read: its seed is the context's.
pub(crate) fn backward(cx: &Context, place: &Place<'_>, kept: &Kept, gradient: Tensor) -> Result<Cotangents> {
    let weights = &place.weights;
    match place.operator.kind {
        Kind::Gather { .. } => linear::gather_backward(cx, weights, place.ahead, &gradient),
        Kind::Distances { .. } => Ok(Cotangents::default()),
        Kind::AddPosition { .. } => linear::add_position_backward(cx, weights, gradient),
        Kind::MatMul { .. } => linear::matmul_backward(cx, weights, kept.input(0)?, &gradient),
        Kind::Logits { .. } => linear::logits_backward(cx, weights, kept.input(0)?, &gradient),
        Kind::HeadMatMul { heads, inner, outer, kept: rest, transposed } => {
            let shape = linear::HeadShape::of(heads, inner, outer, rest, transposed)?;
            linear::head_matmul_backward(cx, weights, shape, kept.input(0)?, &gradient)
        }
        Kind::Join { heads } => {
            let width = |at: usize| {
                let value = place.operator.inputs.get(at).and_then(|value| place.block.widths.get(value.0));
                value.copied().ok_or(Trouble::Misshapen("join"))
            };
            linear::join_backward(cx, heads, (width(0)?, width(1)?), &gradient)
        }
        Kind::Norm { width, centred } => {
            norm::norm_backward(cx, weights, width, centred, (kept.input(0)?, &kept.extras), &gradient)
        }
        Kind::Rotate { head_dim, rope_dim, offset } => {
            let shape = attention::Rotation::of(head_dim, rope_dim, offset)?;
            Ok(Cotangents::of([attention::rotate(cx, shape, &gradient, true)?]))
        }
        Kind::Scores { heads, kv_heads, relative, .. } => {
            let distances = if relative { Some(kept.input(2)?) } else { None };
            let heads = attention::Heads::of(heads, kv_heads)?;
            attention::scores_backward(cx, heads, (kept.input(0)?, kept.input(1)?, distances), &gradient)
        }
        Kind::Softmax { heads } => {
            let scoring = place.scoring()?;
            attention::softmax_backward(cx, weights, heads, scoring, kept.output()?.tensor()?, gradient)
        }
        Kind::WeightedSum { heads, kv_heads, .. } => {
            let heads = attention::Heads::of(heads, kv_heads)?;
            attention::weighted_sum_backward(cx, heads, kept.input(0)?, kept.input(1)?, &gradient)
        }
        Kind::Activation { kind, .. } => {
            let gate = if kind.gated() { Some(kept.input(1)?) } else { None };
            pointwise::activation_backward(cx, weights, kind, (kept.input(0)?, gate), &gradient)
        }
        Kind::Gate { silu, .. } => {
            pointwise::gate_backward(cx, silu, kept.input(0)?, kept.input(1)?, &gradient)
        }
        Kind::Add { .. } => Ok(Cotangents::of([gradient.clone(), gradient])),
        Kind::Route { .. } => {
            experts::route_backward(cx, weights, kept.input(0)?, kept.output()?.routes()?, &gradient)
        }
        Kind::ExpertMatMul { experts, inner, outer, fan_out, .. } => {
            let shape = experts::Shape::of(experts, inner, outer, fan_out)?;
            let routes = kept.held(1)?.routes()?;
            experts::matmul_backward(cx, weights, shape, kept.input(0)?, routes, &gradient)
        }
        Kind::Combine { width, .. } => {
            experts::combine_backward(cx, width, kept.input(0)?, kept.held(1)?.routes()?, &gradient)
        }
        Kind::Convolve { kernel, .. } => {
            recurrent_backward::convolve(cx, weights, kernel, (kept.input(0)?, kept.extra(0)?), &gradient)
        }
        Kind::StateSpace { heads, head_dim, groups, state } => {
            let shape = recurrent::StateSpace::of(heads, head_dim, groups, state)?;
            let read = (kept.input(0)?, kept.input(1)?, kept.extra(0)?);
            recurrent_backward::state_space(cx, weights, shape, read, &gradient)
        }
        Kind::DeltaRule { key_heads, value_heads, key_dim, value_dim } => {
            let shape = recurrent::DeltaRule::of(key_heads, value_heads, key_dim, value_dim)?;
            let inputs = (kept.input(0)?, kept.input(1)?);
            recurrent_backward::delta_rule(
                cx,
                weights,
                shape,
                inputs,
                (kept.extra(0)?, kept.extra(1)?),
                &gradient,
            )
        }
        Kind::Loss { .. } => loss::loss_backward(cx, place.ahead, kept.input(0)?, kept.extra(0)?),
    }
}

/// A size of the graph as one of a tensor.
pub(crate) fn size(value: u64) -> Result<usize> {
    usize::try_from(value).ok().filter(|size| *size > 0).ok_or(Trouble::Misshapen("size"))
}
