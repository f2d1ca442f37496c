//! Pipeline schedules: how long devices wait for each other in a step, and how many activations they hold meanwhile.
//!
//! Every closed form here is that of an order of passes in [`order`], proved against its [`replay`]. In the formulas p
//! is stages, v chunks of a device, m micro-batches, and F, B and W are seconds of [`Passes`]. B is for inputs alone, as
//! in Qi 2023; what DeepSeek-V3 calls B is B + W here.

pub mod order;
pub mod replay;

pub use llmplan_spec::plan::Schedule;

/// Seconds of one micro-batch on one stage, all of a device's chunks together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passes {
    /// F: forward.
    pub forward: f64,
    /// B: backward for inputs.
    pub input: f64,
    /// W: backward for weights.
    pub weight: f64,
}

/// What a schedule divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// p: devices of the pipeline.
    pub stages: u64,
    /// v: chunks of each under 1F1B; other schedules have their own ([`chunks`]).
    pub chunks: u64,
    /// m: micro-batches of a step. DualPipe sends half of them from each end.
    pub micro_batches: u64,
}

/// Whether a schedule runs in that shape: there are stages and micro-batches, and DualPipe has an even number of both,
/// with at least two micro-batches for each stage.
pub fn runs(schedule: Schedule, shape: Shape) -> bool {
    let Shape { stages: p, micro_batches: m, .. } = shape;
    let even = schedule != Schedule::DualPipe || (p % 2 == 0 && m % 2 == 0 && m >= p.saturating_mul(2));
    p > 0 && m > 0 && even
}

/// Chunks into which a schedule cuts a device's share of one micro-batch, of those that are declared. ZB-V cuts in two,
/// 1F1B as declared, others not; under DualPipe each copy of the model is whole.
pub fn chunks(schedule: Schedule, declared: u64) -> u64 {
    match schedule {
        Schedule::OneForwardOneBackward => declared.max(1),
        Schedule::ZbV => 2,
        Schedule::Gpipe | Schedule::ZbH1 | Schedule::ZbH2 | Schedule::DualPipe => 1,
    }
}

/// Copies of its stage's parameters that a device holds: under DualPipe a stage from either end of the model.
pub fn parameter_copies(schedule: Schedule) -> u64 {
    if schedule == Schedule::DualPipe { 2 } else { 1 }
}

/// Boundaries of chunks that a micro-batch crosses for each device, in each direction.
pub fn transfers(schedule: Schedule, declared: u64) -> u64 {
    chunks(schedule, declared)
}

/// Seconds that the device that waits longest is idle between its first pass and its last: its part of a step takes
/// m (F + B + W) and this. That device is the first one, except under ZB-V where W > F.
///
/// Devices need not start and end together. Where all wait for each other before the weights change, a step takes
/// [`synchronized_bubble`] instead; Qi 2023 §4 shows how not to.
///
/// Exact, in the order of [`order::orders`] and where communication takes no time:
/// - GPipe and 1F1B: (p − 1)(F + B + W), over v where m is a multiple of p. With m = k p + r an upper bound: the last
///   p − r places of the last group stay empty, which adds (p − r)(1 − 1/v)(F + B + W) at most, and that much where
///   m < p.
/// - ZB-H1: (p − 1)(F + B − W), where W ≤ F and m ≥ p: (p − 1)(F + B) − (min(m, p) − 1) min(F, W) in general.
/// - ZB-H2: (p − 1)(F + B − 2W), but no less than (p − 1)(B − F) and 0; where m < 2p − 1 it runs as ZB-H1.
/// - ZB-V: (p − 1)(B − W), where W ≤ F ≤ B and m ≥ 2p − 1. An upper bound where B < F, within 3% of the step where
///   m ≥ 2p − 1; and where p < m < 2p − 1 and F < W.
/// - DualPipe: (p/2 − 1)(F + 2B − W), where F = B ≥ W: (p/2 − 1)(F + B + max(F, B) − min(B, W)) −
///   min((p/2 − 1)(B − F), F) in general, without the last term where B ≤ F. DeepSeek-V3 table 2 has
///   (p/2 − 1)(F&B + B − 3W) with its B, which is (p/2 − 1)(F + 2B − W) where F&B is their sum.
///
/// Where [`runs`] does not hold, the formula at p and m as they are, no less than 0. 0 for one stage.
pub fn bubble(schedule: Schedule, shape: Shape, passes: Passes) -> f64 {
    let Shape { stages: p, micro_batches: m, .. } = shape;
    if p < 2 || m == 0 {
        return 0.0;
    }
    let Passes { forward, input, weight } = passes;
    let others = (p - 1) as f64;
    match schedule {
        Schedule::Gpipe => others * (forward + input + weight),
        Schedule::OneForwardOneBackward => {
            let v = chunks(schedule, shape.chunks) as f64;
            let missing = match m % p {
                0 => 0.0,
                last => (p - last) as f64,
            };
            (others + missing * (v - 1.0)) / v * (forward + input + weight)
        }
        Schedule::ZbH2 if ahead(shape) => {
            others * (forward + input - 2.0 * weight).max(input - forward).max(0.0)
        }
        Schedule::ZbH1 | Schedule::ZbH2 => {
            others * (forward + input) - (m.min(p) - 1) as f64 * forward.min(weight)
        }
        Schedule::ZbV => zb_v(p, m, passes),
        Schedule::DualPipe => {
            let inner = (p as f64 / 2.0 - 1.0).max(0.0);
            let gap = inner * (forward + input + forward.max(input) - input.min(weight));
            gap - (inner * (input - forward).max(0.0)).min(forward)
        }
    }
}

/// The bubble of ZB-V, fitted to its replay: Qi 2024 gives no formula for passes of unequal length.
///
/// Where m ≥ 2p − 1 it is (p − 1) max(B − W, (B − F)/2) + (p/2 − 1) max(W − B, 0) if F ≤ B; if B < F it is at most
/// (p − 1) max(F − W, F − (B + W)/2, 0) + (p/2 − 1) max(W − F, 0). A single micro-batch leaves (p − 1)(F + B). Each of
/// the next p − 1 fills min(F, B) of that, and p − 1 more fill equal parts of what goes at all.
fn zb_v(p: u64, m: u64, passes: Passes) -> f64 {
    let Passes { forward, input, weight } = passes;
    let others = (p - 1) as f64;
    let filled = forward.min(input);
    let few = others * (forward + input) - (m.min(p) - 1) as f64 * filled;
    if m <= p {
        return few;
    }
    let longer = (input - weight).max((input - forward) / 2.0);
    let many = if forward <= input {
        others * longer + (others - 1.0) / 2.0 * (weight - input).max(0.0)
    } else {
        let shorter = (forward - weight).max(forward - (input + weight) / 2.0).max(0.0);
        others * shorter + (others - 1.0) / 2.0 * (weight - forward).max(0.0)
    };
    let further = (m - p).min(p - 1) as f64 / others;
    few + (many - few) * further
}

/// Seconds that a step takes beyond m (F + B + W) where all devices wait for each other before the weights change, as
/// they do to clip gradients by their norm: from the start of the first pass of any device to the end of the last.
///
/// Exact where [`bubble`] is, except under ZB-V where m < 2p − 1: an upper bound there. GPipe, 1F1B and DualPipe start
/// and end on the first device; under ZB-H1 and ZB-H2 the last starts (p − 1) F after it and has no gap.
pub fn synchronized_bubble(schedule: Schedule, shape: Shape, passes: Passes) -> f64 {
    let own = bubble(schedule, shape, passes);
    let Passes { forward, input, weight } = passes;
    if shape.stages < 2 || shape.micro_batches == 0 {
        return own;
    }
    let others = (shape.stages - 1) as f64;
    match schedule {
        Schedule::Gpipe | Schedule::OneForwardOneBackward | Schedule::DualPipe => own,
        Schedule::ZbH1 | Schedule::ZbH2 => own.max(others * forward),
        Schedule::ZbV if forward <= input && ahead(shape) => {
            own.max(others / 2.0 * input + (others - 1.0) / 2.0 * (weight - input).max(0.0))
        }
        Schedule::ZbV => own + others / 2.0 * forward.max(input),
    }
}

/// Most activations that a device holds at once, where the first stage is 0: in micro-batches through all chunks of the
/// device, so that one chunk's are 1/v. They are held from the start of the forward pass to the end of the backward
/// pass, where that is split to the end of the pass for weights.
///
/// - GPipe: m.
/// - 1F1B: min(m, p − i) on stage i. Interleaved: min(m v, 2(p − 1 − i) + (v − 1) p + 1)/v, which is p (1 + (p − 1)/(p v))
///   on the first; an upper bound where m is no multiple of p.
/// - ZB-H1: min(m, p) on all stages. ZB-H2: 2p − 1, and as ZB-H1 where m is less.
/// - ZB-V: p, where m ≥ 2p − 1: (min(m, 2p − 1 − i) + min(m, i + 1))/2 in general.
/// - DualPipe: p + 1, of both copies together.
///
/// Exact otherwise. 0 for a stage that is not there.
pub fn in_flight(schedule: Schedule, shape: Shape, stage: u64) -> f64 {
    let Shape { stages: p, micro_batches: m, .. } = shape;
    if stage >= p {
        return 0.0;
    }
    let after = p - 1 - stage;
    match schedule {
        Schedule::Gpipe => m as f64,
        Schedule::OneForwardOneBackward => {
            let v = chunks(schedule, shape.chunks);
            if v == 1 {
                return m.min(after + 1) as f64;
            }
            let held = after.saturating_mul(2).saturating_add((v - 1).saturating_mul(p)).saturating_add(1);
            m.saturating_mul(v).min(held) as f64 / v as f64
        }
        Schedule::ZbH2 if ahead(shape) => p as f64 + (p - 1) as f64,
        Schedule::ZbH1 | Schedule::ZbH2 => m.min(p) as f64,
        Schedule::ZbV => (m.min(p.saturating_add(after)) as f64 + m.min(stage + 1) as f64) / 2.0,
        Schedule::DualPipe => m.min(p.saturating_add(1)) as f64,
    }
}

/// Whether there are the 2p − 1 micro-batches that ZB-H2 and ZB-V run ahead with.
fn ahead(shape: Shape) -> bool {
    shape.micro_batches >= shape.stages.saturating_mul(2).saturating_sub(1)
}
