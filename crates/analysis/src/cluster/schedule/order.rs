//! What each device of a pipeline runs, in order.

use std::collections::VecDeque;

use super::{Schedule, Shape, chunks, runs};

/// A micro-batch in one chunk of a device.
///
/// Chunks are counted from 0. Under [`Schedule::DualPipe`] chunk 0 belongs to the copy of the model that starts on the
/// first device, and chunk 1 to the copy that starts on the last; the first half of the micro-batches takes the first
/// copy, the second half the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The chunk of the device.
    pub chunk: u64,
    /// The micro-batch, from 0.
    pub micro_batch: u64,
}

/// Something that a device runs without a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The forward pass.
    Forward(Cell),
    /// The whole backward pass: its result goes on when gradients of weights are done too.
    Backward(Cell),
    /// The backward pass for inputs.
    Input(Cell),
    /// The backward pass for weights.
    Weight(Cell),
    /// The forward pass of one micro-batch beside the whole backward pass of another (DeepSeek-V3 §3.2.1). It needs what
    /// both need, and both are done when it ends.
    Overlapped {
        /// What runs forward.
        forward: Cell,
        /// What runs backward.
        backward: Cell,
    },
}

/// Passes that a replay lists at most: more make no chart.
const LIMIT: u64 = 1 << 20;

/// What each device runs, first device first. Where interleaving needs a multiple of the stages, or ZB-V 2p − 1
/// micro-batches, the order is that of so many, without those that are not there.
///
/// `None` where the schedule does not run in that shape ([`runs`]), and beyond 2^20 passes in all.
pub fn orders(schedule: Schedule, shape: Shape) -> Option<Vec<Vec<Op>>> {
    let Shape { stages: p, micro_batches: m, .. } = shape;
    let v = chunks(schedule, shape.chunks);
    let each = m.max(p.checked_mul(2)?).checked_mul(v)?.checked_mul(3)?;
    if !runs(schedule, shape) || each.checked_mul(p)? > LIMIT {
        return None;
    }
    let order = |device| match schedule {
        Schedule::Gpipe => gpipe(m),
        Schedule::OneForwardOneBackward => one_forward_one_backward(p, v, m, device),
        Schedule::ZbH2 if m >= 2 * p - 1 => zero_bubble(m, 2 * p - 1, 2 * (p - device) - 1),
        Schedule::ZbH1 | Schedule::ZbH2 => zero_bubble(m, p, p - device),
        Schedule::ZbV => zb_v(p, m, device),
        Schedule::DualPipe => dual_pipe(p, m / 2, device),
    };
    Some((0..p).map(order).collect())
}

/// All forward, then all backward (Huang 2018, without its recomputing).
fn gpipe(m: u64) -> Vec<Op> {
    let cells = || (0..m).map(|micro_batch| Cell { chunk: 0, micro_batch });
    cells().map(Op::Forward).chain(cells().map(Op::Backward)).collect()
}

/// 1F1B, interleaved where v > 1 (Narayanan 2021 §2.2): so many forward passes ahead as Megatron-LM runs, then one
/// forward and one backward in turn. Chunks change after every p micro-batches.
fn one_forward_one_backward(p: u64, v: u64, m: u64, device: u64) -> Vec<Op> {
    let padded = if v == 1 { m } else { m.div_ceil(p) * p };
    let group = if v == 1 { m } else { p };
    let cells = |last_first: bool| -> Vec<Cell> {
        let at = |step: u64| {
            let chunk = step / group % v;
            Cell {
                chunk: if last_first { v - 1 - chunk } else { chunk },
                micro_batch: step / (group * v) * group + step % group,
            }
        };
        (0..padded * v).map(at).collect()
    };
    let ahead = if v == 1 { p - 1 - device } else { 2 * (p - 1 - device) + (v - 1) * p };
    let mut forward = cells(false).into_iter().map(Op::Forward);
    let mut backward = cells(true).into_iter().map(Op::Backward);
    let mut order: Vec<Op> = (0..ahead).map_while(|_| forward.next()).collect();
    for op in forward {
        order.push(op);
        order.extend(backward.next());
    }
    order.extend(backward);
    order.retain(|op| op.cells().all(|cell| cell.micro_batch < m));
    order
}

/// ZB-H1 and ZB-H2 (Qi 2023 §2, figures 2 and 3); with fewer micro-batches than ZB-H2 holds it is ZB-H1. A device that runs fewer forward passes ahead than the first lets its
/// passes for weights lag behind by as many, so that all devices hold `most` micro-batches.
fn zero_bubble(m: u64, most: u64, ahead: u64) -> Vec<Op> {
    let cell = |micro_batch| Cell { chunk: 0, micro_batch };
    let most = most.min(m);
    let mut forward = ahead.min(m);
    let lag = most - forward;
    let mut weight = 0;
    let mut order: Vec<Op> = (0..forward).map(|at| Op::Forward(cell(at))).collect();
    for input in 0..m {
        order.push(Op::Input(cell(input)));
        if forward - weight >= most || input + 1 - weight > lag {
            order.push(Op::Weight(cell(weight)));
            weight += 1;
        }
        if forward < m {
            order.push(Op::Forward(cell(forward)));
            forward += 1;
        }
    }
    order.extend((weight..m).map(|at| Op::Weight(cell(at))));
    order
}

/// ZB-V (Qi 2024, "Pipeline parallelism with controllable memory"), in the order that PyTorch runs. Chunk 1 of a device
/// is as far from the end of the model as chunk 0 is from its start.
fn zb_v(p: u64, m: u64, device: u64) -> Vec<Op> {
    let padded = m.max(2 * p - 1);
    let mut line = Line::default();
    for _ in 0..2 * (p - device) - 1 {
        line.forward(0);
    }
    for _ in 0..device {
        line.forward(1);
        line.forward(0);
    }
    for _ in 0..p - device {
        line.forward(1);
        line.input(1);
        line.weight(1);
    }
    while line.forward[1] < padded {
        if line.forward[0] < padded {
            line.forward(0);
        }
        line.input(0);
        line.weight(0);
        line.forward(1);
        line.input(1);
        line.weight(1);
    }
    for _ in 0..device {
        line.input(0);
        line.input(1);
    }
    for _ in 0..p - device {
        line.input(0);
        line.weight(0);
    }
    for chunk in [1, 0] {
        while line.weight[chunk] < line.input[chunk] {
            line.weight(chunk);
        }
    }
    line.order.retain(|op| op.cells().all(|cell| cell.micro_batch < m));
    line.order
}

/// DualPipe (DeepSeek-V3 §3.2.1, figure 5), in the eight steps of DeepSeek's own program. `half` micro-batches go each
/// way.
fn dual_pipe(p: u64, half: u64, device: u64) -> Vec<Op> {
    let from_end = device.min(p - 1 - device);
    let inner = p / 2 - 1 - from_end;
    // The copy that starts at the nearer end comes first, the copy that starts at the other end second.
    let (near, far) = if device < p / 2 { (0, 1) } else { (1, 0) };
    let mut line = Line::default();
    line.forward[1] = half;
    line.input[1] = half;
    let mut late = VecDeque::new();
    for _ in 0..2 * inner {
        line.forward(near);
    }
    for _ in 0..=from_end {
        line.forward(near);
        line.forward(far);
    }
    for _ in 0..inner {
        let cell = line.input(far);
        line.order.push(Op::Weight(cell));
        line.forward(far);
    }
    for turn in 0..half + from_end + 1 - p {
        if turn == 0 && inner == 0 {
            line.forward(near);
            line.backward(far);
        } else {
            line.overlapped(near, far);
        }
        line.overlapped(far, near);
    }
    for _ in 0..inner {
        line.backward(far);
        line.overlapped(far, near);
    }
    // Of the last passes here the second half is split: what is put off fills the gaps that follow.
    for turn in 0..2 * (from_end + 1) {
        let copy = if turn % 2 == 0 { far } else { near };
        if turn > from_end {
            late.push_back(line.input(copy));
        } else {
            line.backward(copy);
        }
    }
    for _ in 0..inner {
        line.order.extend(late.pop_front().map(Op::Weight));
        late.push_back(line.input(near));
    }
    line.order.extend(late.into_iter().map(Op::Weight));
    line.order
}

impl Op {
    /// What it runs on: one cell, or the two of [`Op::Overlapped`], forward first.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + use<> {
        let (first, second) = match *self {
            Op::Forward(cell) | Op::Backward(cell) | Op::Input(cell) | Op::Weight(cell) => (cell, None),
            Op::Overlapped { forward, backward } => (forward, Some(backward)),
        };
        std::iter::once(first).chain(second)
    }
}

/// An order of two chunks as it grows, with the micro-batch that is next in each.
#[derive(Default)]
struct Line {
    order: Vec<Op>,
    forward: [u64; 2],
    input: [u64; 2],
    weight: [u64; 2],
}

impl Line {
    fn forward(&mut self, chunk: usize) {
        let cell = next(&mut self.forward, chunk);
        self.order.push(Op::Forward(cell));
    }

    fn backward(&mut self, chunk: usize) {
        let cell = next(&mut self.input, chunk);
        self.order.push(Op::Backward(cell));
    }

    fn input(&mut self, chunk: usize) -> Cell {
        let cell = next(&mut self.input, chunk);
        self.order.push(Op::Input(cell));
        cell
    }

    fn weight(&mut self, chunk: usize) {
        let cell = next(&mut self.weight, chunk);
        self.order.push(Op::Weight(cell));
    }

    fn overlapped(&mut self, forward: usize, backward: usize) {
        let forward = next(&mut self.forward, forward);
        let backward = next(&mut self.input, backward);
        self.order.push(Op::Overlapped { forward, backward });
    }
}

fn next(counts: &mut [u64; 2], chunk: usize) -> Cell {
    let count = &mut counts[chunk];
    let cell = Cell { chunk: chunk as u64, micro_batch: *count };
    *count += 1;
    cell
}
