//! Layers whose state does not grow with the sequence, lowered.

use llmplan_spec::plan::{GatedDelta, Mamba2};

use super::build::{Builder, bias, vector, weight};
use super::{Component, Kind, Tensor, Value};

/// A Mamba-2 layer (Dao 2024 §7.1): z, x, B, C and time steps from one projection; x, B and C are convolved.
pub(super) fn mamba2(block: &mut Builder, own: &Mamba2, input: Value) -> Value {
    let d_model = block.width(input);
    let (heads, channels) = (own.heads(), own.channels());
    let component = Component::RecurrentInput;
    let z = block.matmul("mamba2.z", component, input, own.d_inner, own.bias);
    let mixed = block.matmul("mamba2.xbc", component, input, channels, own.bias);
    let steps = block.matmul("mamba2.dt", component, input, heads, own.bias);
    let mixed = convolve(block, "mamba2.conv", mixed, own.conv, own.conv_bias);
    let (head_dim, groups, state) = (own.head_dim, own.groups, own.state);
    let kind = Kind::StateSpace { heads, head_dim, groups, state };
    let vectors = vec![vector("dt_bias", heads), vector("a_log", heads), vector("d", heads)];
    let inputs = [mixed, steps];
    let output = block.operator("mamba2.scan", Component::Recurrence, kind, &inputs, own.d_inner, vectors);
    let gate = Kind::Gate { width: own.d_inner, silu: true };
    let mut output = block.pointwise("mamba2.gated", gate, &[output, z], own.d_inner);
    if own.norm {
        output = inner_norm(block, "mamba2.norm", output, own.d_inner);
    }
    block.matmul("mamba2.output", Component::RecurrentOutput, output, d_model, own.bias)
}

/// A gated delta layer (Yang 2024 §3), as Qwen3-Next has it: q, k and v are convolved, the output is normed in each head
/// and gated.
pub(super) fn gated_delta(block: &mut Builder, own: &GatedDelta, input: Value) -> Value {
    let d_model = block.width(input);
    let values = own.values();
    let component = Component::RecurrentInput;
    let mixed = block.matmul("gated_delta.qkv", component, input, own.channels(), false);
    let z = block.matmul("gated_delta.z", component, input, values, false);
    let strengths = own.value_heads.saturating_mul(2);
    let strengths = block.matmul("gated_delta.ba", component, input, strengths, false);
    let mixed = convolve(block, "gated_delta.conv", mixed, own.conv, false);
    let kind = Kind::DeltaRule {
        key_heads: own.key_heads,
        value_heads: own.value_heads,
        key_dim: own.key_dim,
        value_dim: own.value_dim,
    };
    let vectors = vec![vector("dt_bias", own.value_heads), vector("a_log", own.value_heads)];
    let inputs = [mixed, strengths];
    let output = block.operator("gated_delta.rule", Component::Recurrence, kind, &inputs, values, vectors);
    let output = inner_norm(block, "gated_delta.norm", output, own.value_dim);
    let gate = Kind::Gate { width: values, silu: true };
    let output = block.pointwise("gated_delta.gated", gate, &[output, z], values);
    block.matmul("gated_delta.output", Component::RecurrentOutput, output, d_model, false)
}

fn convolve(block: &mut Builder, name: &'static str, input: Value, kernel: u64, biased: bool) -> Value {
    let channels = block.width(input);
    let mut weights = vec![weight(channels, kernel)];
    if biased {
        weights.push(bias(channels));
    }
    let kind = Kind::Convolve { channels, kernel };
    block.operator(name, Component::Recurrence, kind, &[input], channels, weights)
}

/// The RMSNorm inside of a layer, over each `width` values; its weights belong to the layer.
fn inner_norm(block: &mut Builder, name: &'static str, input: Value, width: u64) -> Value {
    let weights: Vec<Tensor> = vec![vector("weight", width)];
    let whole = block.width(input);
    let kind = Kind::Norm { width, centred: false };
    block.operator(name, Component::Recurrence, kind, &[input], whole, weights)
}
