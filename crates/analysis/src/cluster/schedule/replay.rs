//! A pipeline schedule, run pass by pass: what proves the closed forms, and what a chart of a step shows.

use super::order::{Cell, Op, orders};
use super::{Passes, Schedule, Shape, chunks};

/// A step as it ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// First device first.
    pub devices: Vec<Device>,
}

/// What a device did.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Its passes, in order.
    pub slots: Vec<Slot>,
    /// Seconds without work, from the start of its first pass to the end of its last.
    pub idle: f64,
    /// Most activations that it held at once, in micro-batches through all of its chunks. A forward pass holds them from
    /// its start, to the end of the backward pass, or of the pass for weights where that runs on its own.
    pub in_flight: f64,
}

/// A pass with its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// What runs.
    pub op: Op,
    /// When it starts, in seconds from the start of the step.
    pub start: f64,
    /// When it ends.
    pub end: f64,
}

impl Timeline {
    /// Seconds from the first pass of any device to the last.
    pub fn makespan(&self) -> f64 {
        let ends = self.devices.iter().filter_map(|device| device.slots.last()).map(|slot| slot.end);
        ends.fold(0.0, f64::max)
    }

    /// Seconds that the device with most of them is idle between its first pass and its last.
    pub fn bubble(&self) -> f64 {
        self.devices.iter().map(|device| device.idle).fold(0.0, f64::max)
    }
}

/// Runs a schedule. A pass starts as soon as its device is free and what it needs is there: a forward pass needs that of
/// the stage before; a backward pass for inputs needs that of the stage after, and its own forward pass; one for weights
/// needs its own for inputs. Communication takes no time. A forward pass beside a backward pass takes as long as both in
/// turn.
///
/// `None` where [`orders`] has none. Time and memory grow with stages × chunks × micro-batches.
pub fn replay(schedule: Schedule, shape: Shape, passes: Passes) -> Option<Timeline> {
    let mut run = Run::new(schedule, shape, passes);
    let orders = orders(schedule, shape)?;
    let mut devices: Vec<Clock> = orders.iter().map(|_| Clock::default()).collect();
    loop {
        let mut moved = false;
        for ((number, clock), order) in (0_u64..).zip(&mut devices).zip(&orders) {
            while let Some(op) = order.get(clock.slots.len()) {
                let Some(ready) = run.ready(number, op) else { break };
                let start = clock.free.max(ready);
                let slot = Slot { op: *op, start, end: start + run.seconds(op) };
                run.finish(number, &slot)?;
                clock.push(slot);
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    let all = devices.iter().zip(&orders).all(|(clock, order)| clock.slots.len() == order.len());
    let parts = run.parts;
    all.then(|| Timeline { devices: devices.into_iter().map(|clock| clock.device(parts)).collect() })
}

/// What has run, over all devices.
struct Run {
    schedule: Schedule,
    /// Seconds of a pass in one chunk.
    each: Passes,
    /// Devices.
    stages: u64,
    /// Chunks that a micro-batch passes through, on all devices.
    depth: u64,
    /// Chunks that make up a device's share of one micro-batch.
    parts: f64,
    /// By micro-batch, then by position in the model: when the forward pass ended.
    forward: Vec<Option<f64>>,
    /// The same of the backward pass for inputs.
    input: Vec<Option<f64>>,
}

impl Run {
    fn new(schedule: Schedule, shape: Shape, passes: Passes) -> Run {
        let v = chunks(schedule, shape.chunks);
        let parts = v as f64;
        let Passes { forward, input, weight } = passes;
        Run {
            schedule,
            each: Passes { forward: forward / parts, input: input / parts, weight: weight / parts },
            stages: shape.stages,
            depth: shape.stages.saturating_mul(v),
            parts,
            forward: Vec::new(),
            input: Vec::new(),
        }
    }

    /// When what a pass needs is there; `None` while it is not.
    fn ready(&self, device: u64, op: &Op) -> Option<f64> {
        let forward = |cell: &Cell| match self.position(device, cell) {
            0 => Some(0.0),
            at => ended(&self.forward, self.index(cell, at - 1)),
        };
        let backward = |cell: &Cell| {
            let at = self.position(device, cell);
            let own = ended(&self.forward, self.index(cell, at))?;
            if at + 1 == self.depth {
                return Some(own);
            }
            Some(own.max(ended(&self.input, self.index(cell, at + 1))?))
        };
        match op {
            Op::Forward(cell) => forward(cell),
            Op::Backward(cell) | Op::Input(cell) => backward(cell),
            Op::Weight(cell) => ended(&self.input, self.index(cell, self.position(device, cell))),
            Op::Overlapped { forward: first, backward: second } => {
                Some(forward(first)?.max(backward(second)?))
            }
        }
    }

    fn seconds(&self, op: &Op) -> f64 {
        let Passes { forward, input, weight } = self.each;
        match op {
            Op::Forward(_) => forward,
            Op::Backward(_) => input + weight,
            Op::Input(_) => input,
            Op::Weight(_) => weight,
            Op::Overlapped { .. } => forward + input + weight,
        }
    }

    /// Notes that a pass has ended; `None` where its place cannot be addressed.
    fn finish(&mut self, device: u64, slot: &Slot) -> Option<()> {
        let place = |cell: &Cell| usize::try_from(self.index(cell, self.position(device, cell))).ok();
        let (forward, input) = match &slot.op {
            Op::Forward(cell) => (Some(place(cell)?), None),
            Op::Backward(cell) | Op::Input(cell) => (None, Some(place(cell)?)),
            Op::Weight(_) => (None, None),
            Op::Overlapped { forward, backward } => (Some(place(forward)?), Some(place(backward)?)),
        };
        for (ends, place) in [(&mut self.forward, forward), (&mut self.input, input)] {
            let Some(place) = place else { continue };
            if ends.len() <= place {
                ends.resize(place + 1, None);
            }
            ends[place] = Some(slot.end);
        }
        Some(())
    }

    /// Where in the model a chunk of a device is, in chunks from the first.
    fn position(&self, device: u64, cell: &Cell) -> u64 {
        match (self.schedule, cell.chunk) {
            (Schedule::ZbV | Schedule::DualPipe, 0) => device,
            (Schedule::ZbV | Schedule::DualPipe, _) => self.depth - 1 - device,
            (_, chunk) => chunk * self.stages + device,
        }
    }

    fn index(&self, cell: &Cell, position: u64) -> u64 {
        cell.micro_batch * self.depth + position
    }
}

fn ended(ends: &[Option<f64>], index: u64) -> Option<f64> {
    *ends.get(usize::try_from(index).ok()?)?
}

/// A device while it runs.
#[derive(Default)]
struct Clock {
    slots: Vec<Slot>,
    free: f64,
    busy: f64,
    held: u64,
    most: u64,
}

impl Clock {
    fn push(&mut self, slot: Slot) {
        self.free = slot.end;
        self.busy += slot.end - slot.start;
        if matches!(slot.op, Op::Forward(_) | Op::Overlapped { .. }) {
            self.held += 1;
        }
        self.most = self.most.max(self.held);
        if matches!(slot.op, Op::Backward(_) | Op::Weight(_) | Op::Overlapped { .. }) {
            self.held = self.held.saturating_sub(1);
        }
        self.slots.push(slot);
    }

    fn device(self, parts: f64) -> Device {
        let start = self.slots.first().map_or(0.0, |slot| slot.start);
        let idle = (self.free - start - self.busy).max(0.0);
        Device { slots: self.slots, idle, in_flight: self.most as f64 / parts }
    }
}
