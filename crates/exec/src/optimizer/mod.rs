//! The update half of a training step: fp32 master weights, the moments of the gradient, and new low-precision weights.
//!
//! Tensors here are plain ones: nothing is recorded for a backward pass.

mod accumulate;
mod codes;
mod composed;
mod fused;
mod rule;
mod scale;
mod state;
#[cfg(test)]
mod tests;

pub use accumulate::accumulate;
pub use rule::{Kind, Rule};
pub use scale::LossScale;

use candle_core::{DType, Device, Result, Tensor, bail};
use rayon::prelude::*;

use self::state::State;
use crate::access;

/// Where an optimizer keeps its states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Where the weights are.
    Device,
    /// In the host's memory, and the update is made there (Ren 2021, ZeRO-Offload): gradients go there and new weights come
    /// back. A copy of the weights in fp32 is then kept whatever their format. Where the weights are in the host's memory
    /// themselves nothing moves; bytes are counted as if it did.
    Host,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Weights and states are new.
    Updated,
    /// A gradient was infinite or not a number: nothing has changed.
    Skipped,
}

/// Payload bytes of an optimizer: elements times the size of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateBytes {
    /// Weights in fp32 beside those of the forward pass.
    pub master: u64,
    /// The first moment, without scales.
    pub first_moment: u64,
    /// The second moment, without scales.
    pub second_moment: u64,
    /// The scales of 8-bit moments: 4 bytes for each moment and block.
    pub scales: u64,
}

impl StateBytes {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.master + self.first_moment + self.second_moment + self.scales
    }
}

/// Payload bytes that went between the device and the host, in all steps together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Gradients, to the host.
    pub gradients: u64,
    /// New weights, to the device.
    pub weights: u64,
}

/// An optimizer and what it keeps of every tensor.
pub struct Optimizer {
    rule: Rule,
    home: Home,
    states: Vec<State>,
    moved: Moved,
    /// Whether updates on the CPU are made in one pass, rather than by tensor operations.
    fused: bool,
}

impl Optimizer {
    /// The states before the first step of weights in f32, bf16 or f16, each contiguous. Where they are 16-bit an fp32 copy
    /// is kept. `copies` says of each tensor how many equal matrices lie one after another in it, as an experts' does, and 1
    /// otherwise: blocks of an 8-bit optimizer begin anew in every one.
    ///
    /// # Errors
    /// Where a tensor has another format, gaps, no values, or not that many copies; or blocks are to hold no value.
    pub fn new(rule: Rule, weights: &[Tensor], copies: &[usize], home: Home) -> Result<Optimizer> {
        if weights.len() != copies.len() {
            bail!("{} tensors and the copies of {}", weights.len(), copies.len());
        }
        let states = weights.iter().zip(copies).map(|(weights, copies)| match home {
            Home::Device => State::new(&rule, weights, *copies, weights.device(), false),
            Home::Host => State::new(&rule, weights, *copies, &Device::Cpu, true),
        });
        let states = states.collect::<Result<_>>()?;
        Ok(Optimizer { rule, home, states, moved: Moved::default(), fused: true })
    }

    /// Takes a step. `gradients` are sums, of any floating format, that are `divisor` times the gradient: the loss scale
    /// times the number of micro-batches. A tensor without one stays as it is.
    ///
    /// New weights are written where the old ones lie: every handle on that storage sees them. On the CPU no temporary has
    /// the size of a tensor, unless a gradient has gaps or is f64; elsewhere one tensor's are alive at a time.
    ///
    /// # Errors
    /// Where shapes or formats are not those the optimizer was made for, a gradient is on another device than its weights or
    /// shares storage with them, or the divisor is not positive and finite. States may then be those of before or after the step.
    pub fn step(
        &mut self,
        weights: &[Tensor],
        gradients: &[Option<Tensor>],
        divisor: f64,
    ) -> Result<Outcome> {
        self.check(weights, gradients, divisor)?;
        if !finite(gradients)? {
            return Ok(Outcome::Skipped);
        }
        for ((state, weights), gradient) in self.states.iter_mut().zip(weights).zip(gradients) {
            let Some(gradient) = gradient else { continue };
            state.steps += 1;
            let constants = self.rule.at(state.steps, divisor);
            let mut gradient = gradient.detach().contiguous()?;
            if gradient.dtype() == DType::F64 {
                gradient = gradient.to_dtype(DType::F32)?;
            }
            if self.home == Home::Host {
                self.moved.gradients += bytes(&gradient);
                self.moved.weights += bytes(weights);
                gradient = gradient.to_device(&Device::Cpu)?;
            }
            let here = gradient.device().same_device(weights.device());
            let target = if here {
                weights.detach()
            } else {
                Tensor::zeros(weights.shape(), state.dtype, &Device::Cpu)?
            };
            if self.fused && matches!(target.device(), Device::Cpu) {
                fused::update(state, &target, &gradient, &constants)?;
            } else {
                composed::update(state, &target, &gradient, &constants)?;
            }
            if !here {
                composed::write(weights, &target.to_device(weights.device())?)?;
            }
        }
        Ok(Outcome::Updated)
    }

    /// What is really held.
    pub fn bytes(&self) -> StateBytes {
        self.states.iter().map(State::bytes).fold(StateBytes::default(), |all, one| StateBytes {
            master: all.master + one.master,
            first_moment: all.first_moment + one.first_moment,
            second_moment: all.second_moment + one.second_moment,
            scales: all.scales + one.scales,
        })
    }

    /// What went between device and host: nothing unless the home is the host.
    pub fn moved(&self) -> Moved {
        self.moved
    }

    /// The rule, to read.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Sets η for the steps to come.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.rule.learning_rate = learning_rate;
    }

    fn check(&self, weights: &[Tensor], gradients: &[Option<Tensor>], divisor: f64) -> Result<()> {
        if weights.len() != self.states.len() || gradients.len() != self.states.len() {
            bail!("{} tensors and {} gradients for {}", weights.len(), gradients.len(), self.states.len());
        }
        if !(divisor.is_finite() && divisor > 0.0) {
            bail!("gradients cannot be divided by {divisor}");
        }
        for ((state, weights), gradient) in self.states.iter().zip(weights).zip(gradients) {
            let elements = state.blocks.copies * state.blocks.each;
            if weights.dtype() != state.dtype || weights.elem_count() != elements || !weights.is_contiguous()
            {
                bail!(
                    "the optimizer was made for other weights than {:?} {:?}",
                    weights.dtype(),
                    weights.dims()
                );
            }
            let Some(gradient) = gradient else { continue };
            if gradient.dims() != weights.dims() || !gradient.device().same_device(weights.device()) {
                bail!("a gradient of {:?} does not fit its weights of {:?}", gradient.dims(), weights.dims());
            }
        }
        Ok(())
    }
}

/// Whether no gradient has an infinity or NaN.
fn finite(gradients: &[Option<Tensor>]) -> Result<bool> {
    // Off the CPU: nought times a value is nought, or else NaN. One number comes to the host at the end.
    let mut doubts: Option<Tensor> = None;
    for gradient in gradients.iter().flatten() {
        let gradient = gradient.detach();
        if matches!(gradient.device(), Device::Cpu) && gradient.dtype() != DType::F64 {
            let finite = |values: access::Values<'_>| {
                values.pieces(65_536).into_par_iter().all(access::Values::finite)
            };
            if !access::read(&gradient.contiguous()?, finite)? {
                return Ok(false);
            }
        } else {
            let doubt = gradient.affine(0.0, 0.0)?.sum_all()?.to_dtype(DType::F32)?;
            doubts = Some(match doubts {
                Some(others) => (others + doubt)?,
                None => doubt,
            });
        }
    }
    Ok(doubts.map_or(Ok(0.0), |doubts| doubts.to_scalar::<f32>())? == 0.0)
}

fn bytes(tensor: &Tensor) -> u64 {
    (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64
}
