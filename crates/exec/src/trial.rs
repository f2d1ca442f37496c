//! A trial: a model that trains for a few steps, and what was measured while it did.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use llmplan_analysis::graph::{Component, Graph};
use llmplan_analysis::saved::{Keep, Tag};
use llmplan_spec::plan::{Documents, Precision};

use crate::context::{Batch, Class};
use crate::flops::Flops;
use crate::gradients::Gradients;
use crate::meter::Meter;
use crate::meter::clock::{Stopwatch, median};
use crate::model::Model;
use crate::optimizer::{Home, Kind, LossScale, Optimizer, Rule};
use crate::tape::Pass;
use crate::trouble::{Result, Trouble};

/// How a model is trained in a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Data type of weights and activations.
    pub precision: Precision,
    /// Data type in which gradients are kept.
    pub gradients: Precision,
    /// The optimizer.
    pub optimizer: Kind,
    /// Values that share a scale in an 8-bit optimizer.
    pub optimizer_block: u64,
    /// Whether the optimizer's state is in the host's memory.
    pub offload: bool,
    /// What the loss is multiplied by.
    pub loss_scale: f64,
    /// What each layer keeps.
    pub keep: Vec<Keep>,
    /// B: sequences that run at once.
    pub sequences: u64,
    /// T: tokens of each.
    pub tokens: u64,
    /// The documents of each sequence, where attention ends at their bounds.
    pub documents: Option<Documents>,
    /// Micro-batches whose gradients one step adds up.
    pub micro_batches: u64,
    /// Steps that are timed, behind one that is not.
    pub steps: u64,
}

/// What a trial measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Trained values that were allocated, by component.
    pub parameters: BTreeMap<Component, u128>,
    /// Values that are stored and not trained, by component.
    pub buffers: BTreeMap<Component, u128>,
    /// FLOPs of the matrix products of one step, all its micro-batches.
    pub flops: Flops,
    /// What one micro-batch keeps for its backward pass, by tag in bytes.
    pub saved: BTreeMap<Tag, u128>,
    /// Bytes of what lives from step to step.
    pub states: States,
    /// The memory at each instant of a step, in order.
    pub instants: Vec<Instant>,
    /// The loss of each step, in nats, the first one's first.
    pub losses: Vec<f64>,
    /// Seconds of a step.
    pub times: Times,
    /// Matrix products of the timed steps by component, and how long they took; none where work is queued.
    pub classes: BTreeMap<Component, Class>,
}

/// Trains a model for a few steps and measures it. `progress` hears what is done, in a few words.
///
/// Weights are pseudo-random and so are the tokens, which are the same in every step. Bytes are those of the process, or
/// of the device's memory pool: nothing else may run meanwhile.
///
/// # Errors
/// A graph whose operators do not fit together, tokens that are not those of the sequence, and a device that fails.
pub fn trial(graph: &Graph, setup: &Setup, device: &Device, progress: &mut dyn FnMut(&str)) -> Result<Trial> {
    progress("weights");
    prepare(device)?;
    let meter = Meter::of(device);
    let live = || meter.as_ref().map(Meter::live).transpose();
    let before = live()?;
    let model = Model::new(graph, device, data_type(setup.precision))?;
    let trained: Vec<usize> =
        (0..model.parameters.len()).filter(|place| model.parameters[*place].trained).collect();
    let weights: Vec<Tensor> = trained.iter().map(|place| model.parameters[*place].tensor.clone()).collect();
    let copies: Vec<usize> = trained.iter().map(|place| model.parameters[*place].copies).collect();
    let rule = Rule::of(setup.optimizer, size(setup.optimizer_block)?);
    let home = if setup.offload { Home::Host } else { Home::Device };
    let mut optimizer = Optimizer::new(rule, &weights, &copies, home)?;
    let start = between(before, live()?);
    let batch = Batch {
        tokens: size(setup.tokens)?,
        ids: tokens(&model, 0, size(setup.sequences)? * size(setup.tokens)?)?,
        documents: setup.documents.clone(),
    };
    let pass = Pass::new(&model, &batch, &setup.keep, false)?;
    let mut step = Step {
        model: &model,
        pass: &pass,
        setup,
        device,
        meter: meter.as_ref(),
        trained: &trained,
        scale: match setup.precision {
            Precision::Fp16 => LossScale::dynamic(setup.loss_scale, 2_000),
            _ => LossScale::fixed(setup.loss_scale),
        },
    };
    progress("warm-up");
    let mut marks = step.run(&weights, &mut optimizer)?;
    let mut losses = vec![marks.loss];
    let mut times = Vec::new();
    pass.classes();
    for at in 1..=setup.steps {
        progress(&format!("step {at} of {}", setup.steps));
        marks = step.run(&weights, &mut optimizer)?;
        losses.push(marks.loss);
        times.push(marks.times);
    }
    let states = States {
        weights: bytes(weights.iter()),
        gradients: marks.gradients,
        master: optimizer.bytes().master.into(),
        first_moment: optimizer.bytes().first_moment.into(),
        second_moment: optimizer.bytes().second_moment.into(),
        scales: optimizer.bytes().scales.into(),
    };
    let buffers = model.parameters.iter().filter(|own| !own.trained).map(|own| &own.tensor);
    let held = states.held() + bytes(buffers);
    let saved = marks.saved.values().sum::<u128>();
    let payload = |moment| match moment {
        Moment::ForwardEnd => held + saved,
        Moment::BackwardEnd => held + states.gradients,
        _ => held,
    };
    let instants = marks.readings.iter().filter_map(|(moment, reading)| {
        let bytes = start?.checked_add_signed((*reading)?)?;
        Some(Instant { moment: *moment, bytes, payload: payload(*moment) })
    });
    Ok(Trial {
        parameters: elements(&model, true),
        buffers: elements(&model, false),
        flops: marks.flops,
        instants: instants.collect(),
        saved: marks.saved,
        states,
        losses,
        times: Times::median(&times),
        classes: pass.classes(),
    })
}

/// Has every thread form a product. The first of each takes memory that it keeps for packing (`gemm` 0.19, one slab as
/// large as a cache): taken in the middle of a trial it would be counted as the model's.
fn prepare(device: &Device) -> Result<()> {
    if !device.is_cpu() {
        return Ok(());
    }
    let product = || -> Result<()> {
        let one = Tensor::ones((SIDE, SIDE), DType::F32, device)?;
        one.matmul(&one)?;
        Ok(())
    };
    product()?;
    rayon::broadcast(|_| product()).into_iter().collect()
}

/// The side of a product that is large enough to be packed, and too small for more than one thread.
const SIDE: usize = 64;

/// Bytes of weights, gradients and optimizer: elements times their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// Trained weights, as the forward pass reads them.
    pub weights: u128,
    /// Gradients of all weights.
    pub gradients: u128,
    /// Weights in 32 bits, where the others have 16.
    pub master: u128,
    /// First moments, or momentum.
    pub first_moment: u128,
    /// Second moments.
    pub second_moment: u128,
    /// Scales of an 8-bit optimizer.
    pub scales: u128,
}

impl States {
    /// Bytes of what lives between two steps: all but the gradients.
    pub fn held(&self) -> u128 {
        self.weights + self.master + self.first_moment + self.second_moment + self.scales
    }
}

/// The memory of the device at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    /// Which.
    pub moment: Moment,
    /// Bytes that live then, beyond those before the trial; of a peak, the most that lived at once.
    pub bytes: u64,
    /// Payload of what is known to live then: elements times their size. Of a peak, what lives throughout.
    pub payload: u128,
}

/// An instant of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Weights and optimizer are there. Gradients are not: each step frees them at its end.
    Start,
    /// The most during the forward pass.
    ForwardPeak,
    /// The forward pass is over: what was saved is there too.
    ForwardEnd,
    /// The most during the backward pass.
    BackwardPeak,
    /// The backward pass is over: gradients are there, and nothing that was saved.
    BackwardEnd,
    /// The most during the optimizer's step.
    OptimizerPeak,
}

/// Seconds; each the median of the timed steps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// Forward passes of one step.
    pub forward: f64,
    /// Backward passes of one step, recomputation included.
    pub backward: f64,
    /// The optimizer.
    pub optimizer: f64,
    /// All of it.
    pub step: f64,
}

impl Times {
    /// The medians, each by itself.
    fn median(times: &[Times]) -> Times {
        let of = |part: fn(&Times) -> f64| {
            median(&mut times.iter().map(part).collect::<Vec<f64>>()).unwrap_or_default()
        };
        Times {
            forward: of(|times| times.forward),
            backward: of(|times| times.backward),
            optimizer: of(|times| times.optimizer),
            step: of(|times| times.step),
        }
    }
}

/// What a step needs.
struct Step<'a> {
    model: &'a Model,
    pass: &'a Pass<'a>,
    setup: &'a Setup,
    device: &'a Device,
    meter: Option<&'a Meter>,
    trained: &'a [usize],
    scale: LossScale,
}

/// What a step left.
struct Marks {
    loss: f64,
    flops: Flops,
    saved: BTreeMap<Tag, u128>,
    gradients: u128,
    /// Bytes beyond those at the start of the step.
    readings: Vec<(Moment, Option<i64>)>,
    times: Times,
}

impl Step<'_> {
    /// One step of training: forward and backward over each micro-batch, then the optimizer.
    fn run(&mut self, weights: &[Tensor], optimizer: &mut Optimizer) -> Result<Marks> {
        let whole = Stopwatch::start(self.device)?;
        let before = self.pass.flops();
        let start = self.live()?;
        let mut marks = Marks {
            loss: 0.0,
            flops: Flops::default(),
            saved: BTreeMap::new(),
            gradients: 0,
            readings: vec![(Moment::Start, Some(0))],
            times: Times::default(),
        };
        let mut gradients = Gradients::new(self.model.parameters.len(), data_type(self.setup.gradients));
        let micro_batches = self.setup.micro_batches.max(1);
        for at in 0..micro_batches {
            let count = size(self.setup.sequences)? * size(self.setup.tokens)?;
            self.pass.load(tokens(self.model, at, count)?)?;
            self.reset()?;
            let watch = Stopwatch::start(self.device)?;
            let tape = self.pass.forward()?;
            marks.times.forward += watch.stop()?;
            if at == 0 {
                marks.readings.push((Moment::ForwardPeak, self.peak(start)?));
                marks.readings.push((Moment::ForwardEnd, self.since(start)?));
                marks.saved = tape.saved(self.pass)?;
            }
            let losses: Vec<Tensor> = tape.losses().to_vec();
            self.reset()?;
            let watch = Stopwatch::start(self.device)?;
            self.pass.backward(tape, self.scale.scale(), &mut gradients)?;
            marks.times.backward += watch.stop()?;
            if at + 1 == micro_batches {
                marks.readings.push((Moment::BackwardPeak, self.peak(start)?));
                marks.readings.push((Moment::BackwardEnd, self.since(start)?));
            }
            for loss in losses {
                marks.loss += loss.to_dtype(DType::F64)?.to_scalar::<f64>()? / micro_batches as f64;
            }
        }
        marks.gradients = gradients.bytes();
        let all = gradients.into_all();
        let gradients: Vec<Option<Tensor>> =
            self.trained.iter().map(|place| all.get(*place).cloned().flatten()).collect();
        drop(all);
        self.reset()?;
        let watch = Stopwatch::start(self.device)?;
        let outcome = optimizer.step(weights, &gradients, self.scale.scale() * micro_batches as f64)?;
        marks.times.optimizer = watch.stop()?;
        self.scale.observe(outcome);
        marks.readings.push((Moment::OptimizerPeak, self.peak(start)?));
        let after = self.pass.flops();
        marks.flops = Flops {
            forward: after.forward - before.forward,
            backward: after.backward - before.backward,
            recompute: after.recompute - before.recompute,
        };
        drop(gradients);
        marks.times.step = whole.stop()?;
        Ok(marks)
    }

    fn live(&self) -> Result<Option<u64>> {
        Ok(self.meter.map(Meter::live).transpose()?)
    }

    fn reset(&self) -> Result<()> {
        Ok(self.meter.map_or(Ok(()), Meter::reset_peak)?)
    }

    fn since(&self, start: Option<u64>) -> Result<Option<i64>> {
        Ok(difference(start, self.live()?))
    }

    fn peak(&self, start: Option<u64>) -> Result<Option<i64>> {
        Ok(difference(start, self.meter.map(Meter::peak).transpose()?))
    }
}

/// The tensors' type for a plan's precision.
pub(crate) fn data_type(precision: Precision) -> DType {
    match precision {
        Precision::Fp32 => DType::F32,
        Precision::Fp16 => DType::F16,
        Precision::Bf16 => DType::BF16,
    }
}

/// The tokens of a micro-batch: rows of the embedding in no order, the same in every step.
fn tokens(model: &Model, micro_batch: u64, count: usize) -> Result<Vec<u32>> {
    let table = model.parameters.first().ok_or(Trouble::Misshapen("embedding"))?;
    let rows = u32::try_from(table.tensor.dim(0)?).unwrap_or(u32::MAX);
    // A multiplicative generator (L'Ecuyer 1999, table 2) started anew for each micro-batch.
    let mut state = micro_batch.wrapping_add(1);
    Ok((0..count)
        .map(|_| {
            state = state.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
            ((state >> 33) % u64::from(rows)) as u32
        })
        .collect())
}

/// Values of all trained tensors by component, or of all others.
fn elements(model: &Model, trained: bool) -> BTreeMap<Component, u128> {
    let mut found = BTreeMap::new();
    for own in model.parameters.iter().filter(|own| own.trained == trained) {
        *found.entry(own.component).or_default() += own.tensor.elem_count() as u128;
    }
    found
}

fn bytes<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> u128 {
    tensors.map(|tensor| tensor.elem_count() as u128 * tensor.dtype().size_in_bytes() as u128).sum()
}

fn between(before: Option<u64>, after: Option<u64>) -> Option<u64> {
    after?.checked_sub(before?)
}

fn difference(before: Option<u64>, after: Option<u64>) -> Option<i64> {
    Some(i64::try_from(after?).ok()? - i64::try_from(before?).ok()?)
}

fn size(value: u64) -> Result<usize> {
    usize::try_from(value).map_err(|_| Trouble::Sequence)
}
