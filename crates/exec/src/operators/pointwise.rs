//! Non-linearities, gates and additions.

use candle_core::{D, Tensor};
use llmplan_spec::plan::FfnKind;

use super::{Cotangents, Done, Weights};
use crate::access::Lent;
use crate::context::Context;
use crate::kernels::{activation as kernels, gate as gating, sum as adding};
use crate::trouble::{Result, Trouble};

/// √(2/π), of the GELU that GPT-2 uses (Hendrycks 2016).
const ROOT: f64 = 0.797_884_560_802_865_4;
/// Its cubic part.
const CUBE: f64 = 0.044_715;

/// A function of a gate or a value.
#[derive(Clone, Copy, PartialEq)]
enum Function {
    Gelu,
    Relu,
    Relu2,
    Silu,
    Sigmoid,
}

/// The non-linearity of a feed-forward network; with a gate it is the gate's, times the first input (Shazeer 2020).
pub(super) fn activation(
    cx: &Context,
    weights: &Weights<'_>,
    kind: FfnKind,
    up: &Tensor,
    gate: Option<&Tensor>,
) -> Result<Done> {
    if let (Some(values), Some(other), Some(alpha)) =
        (cx.lend(up), cx.lend_some(gate), cx.lend_some(weights.find("alpha")))
    {
        let alpha = pair(alpha);
        let output = kernels::activation(kind, values.values(), other.as_ref().map(Lent::values), alpha);
        return Ok(cx.made(output, up.dims())?.into());
    }
    let values = cx.wide(up)?;
    let output = match (function(kind), gate) {
        (Some(function), Some(gate)) => (apply(function, &cx.wide(gate)?)? * values)?,
        (Some(function), None) => apply(function, &values)?,
        (None, _) => xielu(cx, weights, &values)?,
    };
    Ok(cx.narrow(&output)?.into())
}

pub(super) fn activation_backward(
    cx: &Context,
    weights: &Weights<'_>,
    kind: FfnKind,
    (up, gate): (&Tensor, Option<&Tensor>),
    gradient: &Tensor,
) -> Result<Cotangents> {
    if let (Some(values), Some(other), Some(alpha), Some(gradient)) =
        (cx.lend(up), cx.lend_some(gate), cx.lend_some(weights.find("alpha")), cx.lend(gradient))
    {
        let other = other.as_ref().map(Lent::values);
        let found =
            kernels::activation_backward(kind, values.values(), other, pair(alpha), gradient.values());
        let mut inputs = vec![cx.made(found.up, up.dims())?];
        if let Some(d_gate) = found.gate {
            inputs.push(cx.made(d_gate, up.dims())?);
        }
        let d_alpha = match (found.alpha, weights.find("alpha")) {
            (Some(alpha), Some(own)) => Some(cx.made(alpha.to_vec(), own.dims())?),
            _ => None,
        };
        return Ok(Cotangents::of(inputs).with_some("alpha", d_alpha));
    }
    let (values, gradient) = (cx.wide(up)?, cx.wide(gradient)?);
    match (function(kind), gate) {
        (Some(function), Some(gate)) => {
            let gate = cx.wide(gate)?;
            let d_up = (&gradient * apply(function, &gate)?)?;
            let d_gate = ((gradient * values)? * slope(function, &gate)?)?;
            Ok(Cotangents::of([cx.narrow(&d_up)?, cx.narrow(&d_gate)?]))
        }
        (Some(function), None) => Ok(Cotangents::of([cx.narrow(&(gradient * slope(function, &values)?)?)?])),
        (None, _) => xielu_backward(cx, weights, &values, &gradient),
    }
}

/// The function of a network or of its gate; none is that of xIELU, which has weights.
fn function(kind: FfnKind) -> Option<Function> {
    match kind {
        FfnKind::Gelu | FfnKind::Geglu => Some(Function::Gelu),
        FfnKind::Relu | FfnKind::Reglu => Some(Function::Relu),
        FfnKind::Relu2 => Some(Function::Relu2),
        FfnKind::Silu | FfnKind::Swiglu => Some(Function::Silu),
        FfnKind::Xielu => None,
    }
}

/// The first input times the sigmoid or SiLU of the second, which has as many values or one for several.
pub(super) fn gate(cx: &Context, silu: bool, input: &Tensor, gate: &Tensor) -> Result<Done> {
    let (values, gates) = (cx.lend(input), cx.lend(gate));
    if let (Some(values), Some(gates)) = (&values, &gates) {
        let served = served(input, gate)?;
        let output = gating::gate(values.values(), gates.values(), served, silu);
        return Ok(cx.made(output, input.dims())?.into());
    }
    let (values, gates) = by_gate(cx, input, gate)?;
    let output = values.broadcast_mul(&apply(function_of_gate(silu), &gates)?)?;
    Ok(cx.narrow(&output.reshape(input.dims())?)?.into())
}

pub(super) fn gate_backward(
    cx: &Context,
    silu: bool,
    input: &Tensor,
    gate: &Tensor,
    gradient: &Tensor,
) -> Result<Cotangents> {
    if let (Some(values), Some(gates), Some(gradient)) = (cx.lend(input), cx.lend(gate), cx.lend(gradient)) {
        let (values, gates) = (values.values(), gates.values());
        let (d_input, d_gate) =
            gating::gate_backward(values, gates, served(input, gate)?, silu, gradient.values());
        return Ok(Cotangents::of([cx.made(d_input, input.dims())?, cx.made(d_gate, gate.dims())?]));
    }
    let (values, gates) = by_gate(cx, input, gate)?;
    let gradient = cx.wide(gradient)?.reshape(values.dims())?;
    let d_input = gradient.broadcast_mul(&apply(function_of_gate(silu), &gates)?)?;
    let d_gate = ((gradient * values)?.sum_keepdim(D::Minus1)? * slope(function_of_gate(silu), &gates)?)?;
    let d_input = cx.narrow(&d_input)?.reshape(input.dims())?;
    Ok(Cotangents::of([d_input, cx.narrow(&d_gate)?.reshape(gate.dims())?]))
}

fn function_of_gate(silu: bool) -> Function {
    if silu { Function::Silu } else { Function::Sigmoid }
}

/// Rows × gates × the values that each serves, and rows × gates × 1.
fn by_gate(cx: &Context, input: &Tensor, gate: &Tensor) -> Result<(Tensor, Tensor)> {
    let (rows, gates) = gate.dims2()?;
    let values = cx.wide(input)?.reshape((rows, gates, served(input, gate)?))?;
    Ok((values, cx.wide(gate)?.reshape((rows, gates, 1))?))
}

/// Values that each value of a gate serves.
fn served(input: &Tensor, gate: &Tensor) -> Result<usize> {
    let (width, gates) = (input.dim(1)?, gate.dim(1)?);
    match width.is_multiple_of(gates) {
        true => Ok(width / gates),
        false => Err(Trouble::Misshapen("gate")),
    }
}

pub(super) fn add(cx: &Context, one: &Tensor, other: &Tensor) -> Result<Done> {
    Ok(sum(cx, one, other)?.into())
}

/// The sum of two values of one shape.
pub(crate) fn sum(cx: &Context, one: &Tensor, other: &Tensor) -> Result<Tensor> {
    if one.dims() != other.dims() {
        return Err(Trouble::Misshapen("add"));
    }
    match (cx.lend(one), cx.lend(other)) {
        (Some(values), Some(others)) => cx.made(adding::add(values.values(), others.values()), one.dims()),
        _ => Ok((one + other)?),
    }
}

/// The two scalars of xIELU.
fn pair(alpha: Option<Lent<'_>>) -> Option<[f32; 2]> {
    alpha.and_then(|alpha| <[f32; 2]>::try_from(alpha.values()).ok())
}

fn apply(function: Function, values: &Tensor) -> Result<Tensor> {
    Ok(match function {
        Function::Gelu => {
            let inner = ((values.sqr()? * CUBE)? + 1.0)?;
            let bent = (inner * values)?.affine(ROOT, 0.0)?.tanh()?;
            ((bent + 1.0)? * values)?.affine(0.5, 0.0)?
        }
        Function::Relu => values.relu()?,
        Function::Relu2 => values.relu()?.sqr()?,
        Function::Silu => (values * sigmoid(values)?)?,
        Function::Sigmoid => sigmoid(values)?,
    })
}

/// The derivative of a function.
fn slope(function: Function, values: &Tensor) -> Result<Tensor> {
    Ok(match function {
        Function::Gelu => {
            let square = values.sqr()?;
            let bent = (((&square * CUBE)? + 1.0)? * values)?.affine(ROOT, 0.0)?.tanh()?;
            let inner = (square * (3.0 * CUBE * ROOT))?.affine(1.0, ROOT)?;
            let rest = ((bent.sqr()?.affine(-1.0, 1.0)? * inner)? * values)?;
            ((bent + 1.0)? + rest)?.affine(0.5, 0.0)?
        }
        Function::Relu => values.gt(0.0)?.to_dtype(values.dtype())?,
        Function::Relu2 => (values.relu()? * 2.0)?,
        Function::Silu => {
            let share = sigmoid(values)?;
            let rest = (values * share.affine(-1.0, 1.0)?)?.affine(1.0, 1.0)?;
            (share * rest)?
        }
        Function::Sigmoid => {
            let share = sigmoid(values)?;
            (share.affine(-1.0, 1.0)? * share)?
        }
    })
}

/// The logistic function, by tanh: it neither overflows nor stops candle's differentiation.
pub(super) fn sigmoid(values: &Tensor) -> Result<Tensor> {
    Ok((values * 0.5)?.tanh()?.affine(0.5, 0.5)?)
}

/// log(1 + eˣ), without overflow.
pub(super) fn softplus(values: &Tensor) -> Result<Tensor> {
    let rest = (values.abs()?.neg()?.exp()? + 1.0)?.log()?;
    Ok((values.relu()? + rest)?)
}

/// The expanded integral of ELU with two learned scalars, β = 0.5 (Huang 2024, eq. 6).
fn xielu(cx: &Context, weights: &Weights<'_>, values: &Tensor) -> Result<Tensor> {
    let (positive, negative) = alphas(cx, weights)?;
    let (above, below) = (values.relu()?, values.neg()?.relu()?.neg()?);
    let above = above.sqr()?.broadcast_mul(&softplus(&positive)?)?;
    let bent = ((below.exp()? - 1.0)? - below)?;
    let below = bent.broadcast_mul(&(softplus(&negative)? + 0.5)?)?;
    Ok(((above + below)? + (values * 0.5)?)?)
}

fn xielu_backward(
    cx: &Context,
    weights: &Weights<'_>,
    values: &Tensor,
    gradient: &Tensor,
) -> Result<Cotangents> {
    let (positive, negative) = alphas(cx, weights)?;
    let (above, below) = (values.relu()?, values.neg()?.relu()?.neg()?);
    let grown = (below.exp()? - 1.0)?;
    let d_above = (&above * 2.0)?.broadcast_mul(&softplus(&positive)?)?;
    let d_below = grown.broadcast_mul(&(softplus(&negative)? + 0.5)?)?;
    let d_values = (((d_above + d_below)? + 0.5)? * gradient)?;
    let d_positive = ((above.sqr()? * gradient)?.sum_all()?.reshape(1)? * sigmoid(&positive)?)?;
    let d_negative = (((grown - below)? * gradient)?.sum_all()?.reshape(1)? * sigmoid(&negative)?)?;
    let alpha = weights.get("alpha")?;
    let d_alpha = Tensor::cat(&[&d_positive, &d_negative], 0)?.reshape(alpha.dims())?;
    Ok(Cotangents::of([cx.narrow(&d_values)?]).with("alpha", cx.narrow(&d_alpha)?))
}

fn alphas(cx: &Context, weights: &Weights<'_>) -> Result<(Tensor, Tensor)> {
    let alphas = cx.wide(&weights.get("alpha")?.flatten_all()?)?;
    Ok((alphas.narrow(0, 0, 1)?, alphas.narrow(0, 1, 1)?))
}
