//! Feed-forward networks and mixtures of experts, lowered.

use llmplan_spec::plan::{Ffn, FfnKind, Moe};

use super::build::{Builder, vector, weight};
use super::{Component, Kind, Tensor, Value};

/// A feed-forward network (Vaswani 2017 §3.3; Shazeer 2020 with a gate).
pub(super) fn dense(block: &mut Builder, own: &Ffn, input: Value) -> Value {
    let d_model = block.width(input);
    let up = block.matmul("ffn.up", Component::FfnUp, input, own.d_ff, own.up_bias);
    let gate = own
        .kind
        .gated()
        .then(|| block.matmul("ffn.gate", Component::FfnGate, input, own.d_ff, own.gate_bias));
    let inner = activate(block, "ffn.activation", Component::FfnUp, own.kind, up, gate);
    block.matmul("ffn.down", Component::FfnDown, inner, d_model, own.down_bias)
}

/// A mixture of experts (Shazeer 2017; shared experts: DeepSeekMoE §3).
pub(super) fn experts(block: &mut Builder, own: &Moe, input: Value) -> Value {
    let d_model = block.width(input);
    let (experts, active) = (own.experts, own.experts_per_token);
    let mut weights = vec![weight(d_model, experts)];
    if own.router_bias {
        weights.push(vector("bias", experts));
    }
    if own.correction_bias {
        weights.push(Tensor { trained: false, ..vector("correction_bias", experts) });
    }
    let route = Kind::Route { inner: d_model, experts, active };
    // For each of its experts, which it is and its weight.
    let width = active.saturating_mul(2);
    let routes = block.operator("moe.router", Component::Router, route, &[input], width, weights);
    let up = expert(block, "moe.up", own, (input, routes), (d_model, own.d_ff), true);
    let gate =
        own.kind.gated().then(|| expert(block, "moe.gate", own, (input, routes), (d_model, own.d_ff), true));
    let inner = activate(block, "moe.activation", Component::Experts, own.kind, up, gate);
    let down = expert(block, "moe.down", own, (inner, routes), (own.d_ff, d_model), false);
    let kind = Kind::Combine { active, width: d_model };
    let routed = block.pointwise("moe.combine", kind, &[down, routes], d_model);
    if own.shared_experts == 0 {
        return routed;
    }
    let shared = shared(block, own, input);
    block.add("moe.add", routed, shared)
}

/// A projection of each routed expert: inputs are values and routes.
fn expert(
    block: &mut Builder,
    name: &'static str,
    own: &Moe,
    (input, routes): (Value, Value),
    (inner, outer): (u64, u64),
    fan_out: bool,
) -> Value {
    let (experts, active) = (own.experts, own.experts_per_token);
    let mut weights = vec![Tensor { copies: experts, ..weight(inner, outer) }];
    if own.bias {
        weights.push(Tensor { copies: experts, ..vector("bias", outer) });
    }
    let kind = Kind::ExpertMatMul { experts, active, inner, outer, fan_out };
    block.operator(name, Component::Experts, kind, &[input, routes], active.saturating_mul(outer), weights)
}

/// The experts that every token passes: side by side they are one network.
fn shared(block: &mut Builder, own: &Moe, input: Value) -> Value {
    let d_model = block.width(input);
    let width = own.shared_experts.saturating_mul(own.shared_d_ff);
    let component = Component::SharedExperts;
    let up = block.matmul("moe.shared_up", component, input, width, own.shared_bias);
    let gate =
        own.kind.gated().then(|| block.matmul("moe.shared_gate", component, input, width, own.shared_bias));
    let inner = activate(block, "moe.shared_activation", component, own.kind, up, gate);
    let output = block.matmul("moe.shared_down", component, inner, d_model, own.shared_bias);
    if !own.shared_gate {
        return output;
    }
    let gate = block.matmul("moe.shared_weight", component, input, 1, false);
    let kind = Kind::Gate { width: d_model, silu: false };
    block.pointwise("moe.shared_gated", kind, &[output, gate], d_model)
}

/// The non-linearity; its learned scalars, where it has some, belong to `component`.
fn activate(
    block: &mut Builder,
    name: &'static str,
    component: Component,
    kind: FfnKind,
    up: Value,
    gate: Option<Value>,
) -> Value {
    let width = block.width(up);
    let inputs: Vec<Value> = [Some(up), gate].into_iter().flatten().collect();
    let operator = Kind::Activation { kind, width };
    match kind {
        // Two learned scalars (Huang 2024, eq. 6).
        FfnKind::Xielu => block.operator(name, component, operator, &inputs, width, vec![vector("alpha", 2)]),
        _ => block.pointwise(name, operator, &inputs, width),
    }
}
