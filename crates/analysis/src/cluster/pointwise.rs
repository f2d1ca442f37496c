//! The seconds of operators that only move values: bytes read and written over the memory's bandwidth.

use llmplan_spec::plan::{LogitsKernel, Pointwise};

use super::operator::{Cost, Kernels, Place};
use super::shares::Share;
use crate::graph::{Kind, Operator};

/// Bytes of the mask of one dropped value.
const MASK: f64 = 1.0;

/// Values of one token that an operator moves.
#[derive(Clone, Copy, Default)]
struct Moved {
    /// Forward.
    forward: f64,
    /// Backward.
    backward: f64,
    /// Kernels that it is without fusion: each reads and writes as much again.
    steps: f64,
    /// Values that dropout may drop.
    dropped: f64,
}

/// What an operator without matrix products costs.
pub(super) fn cost(place: &Place<'_>, operator: &Operator, share: &Share) -> Cost {
    let (inputs, output) = place.widths(operator);
    if let Kind::Loss { outer } = operator.kind {
        return loss(place, share.rows * outer as f64 / share.outer);
    }
    let plain = Moved { forward: inputs + output, backward: inputs + output, steps: 1.0, dropped: 0.0 };
    let own = match operator.kind {
        // The gradient is added to the rows of the table.
        Kind::Gather { .. } => Moved { forward: 2.0 * output, backward: 3.0 * output, ..plain },
        Kind::AddPosition { .. } => Moved { forward: 3.0 * output, backward: 3.0 * output, ..plain },
        Kind::Distances { .. } => Moved { forward: output, backward: 0.0, ..plain },
        // Backward: the input and the gradient, to the gradient.
        Kind::Norm { .. } => Moved { backward: 3.0 * output, steps: 3.0, ..plain },
        Kind::Rotate { .. } => Moved { steps: 2.0, ..plain },
        Kind::Activation { .. } | Kind::Gate { .. } => {
            Moved { backward: 2.0 * inputs + output, steps: 2.0, ..plain }
        }
        // Backward, the gradients of both uses of the stream are added.
        Kind::Add { .. } => Moved { backward: 3.0 * output, dropped: output, ..plain },
        Kind::Combine { active, width } => {
            // What experts of other devices give back is put in order first.
            let sorted = if place.layout.expert > 1 { 2.0 } else { 0.0 };
            let routed = active as f64 * width as f64;
            let (forward, backward) = ((1.0 + sorted) * routed, (2.0 + sorted) * routed);
            Moved { forward: forward + output, backward: backward + output, ..plain }
        }
        Kind::Convolve { .. } => Moved { backward: 2.0 * inputs + output, steps: 2.0, ..plain },
        _ => plain,
    };
    let values = share.rows / share.outer;
    let (bytes, training) = (place.bytes(), place.training());
    let unfused = training.pointwise == Pointwise::Unfused;
    let steps = if unfused { own.steps } else { 1.0 };
    let mut forward = own.forward * bytes * steps;
    let mut backward = own.backward * bytes * steps;
    if training.dropout > 0.0 && own.dropped > 0.0 {
        let again = if unfused { 2.0 * bytes } else { 0.0 };
        forward += own.dropped * (MASK + again);
        backward += own.dropped * (MASK + 2.0 * bytes);
    }
    moved(place, forward * values, backward * values, steps)
}

/// Values that are copied to another place, and their gradients back.
pub(super) fn copies(place: &Place<'_>, values: f64) -> Cost {
    let bytes = 2.0 * values * place.bytes();
    moved(place, bytes, bytes, 1.0)
}

/// Softmax over scores in memory, with its scale and mask: one kernel, or three. Dropout is another one.
pub(super) fn softmax(place: &Place<'_>, scores: f64) -> Cost {
    let (bytes, training) = (place.bytes(), place.training());
    let unfused = training.pointwise == Pointwise::Unfused;
    let (mut forward, mut backward) = if unfused { (6.0, 5.0) } else { (2.0, 3.0) };
    let mut masks = 0.0;
    if training.dropout > 0.0 {
        forward += 2.0;
        backward += 2.0;
        masks = MASK;
    }
    let kernels = if unfused { 3.0 } else { 1.0 } + masks;
    moved(place, scores * (forward * bytes + masks), scores * (backward * bytes + masks), kernels)
}

/// Cross-entropy of so many logits. Kept: a copy in fp32, which softmax reads and writes, and its gradient, which is
/// written in the logits' type. Fused or by chunks: the logits are read and replaced by their gradient.
fn loss(place: &Place<'_>, logits: f64) -> Cost {
    let bytes = place.bytes();
    let (forward, backward) = match place.training().logits {
        LogitsKernel::Kept => ((bytes + 4.0) + 4.0 + 8.0, 8.0 + (4.0 + bytes)),
        LogitsKernel::Fused | LogitsKernel::Chunked => (2.0 * bytes, bytes),
    };
    moved(place, logits * forward, logits * backward, 1.0)
}

/// Bytes that so many kernels move forward and backward.
fn moved(place: &Place<'_>, forward: f64, backward: f64, kernels: f64) -> Cost {
    Cost {
        forward: place.system.moves(forward),
        inputs: place.system.moves(backward),
        kernels: Kernels { forward: kernels, backward: if backward > 0.0 { kernels } else { 0.0 } },
        ..Cost::default()
    }
}
