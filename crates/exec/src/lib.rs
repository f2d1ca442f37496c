//! The proof: runs the graph that the arithmetic counts, and counts what it really does.
//!
//! Twice over. [`reference`](mod@reference) is plain loops over one short sequence, forward only: slow, and meant to be
//! obviously right. [`Model`] and [`Tape`] run the same graph on tensors, forward and backward, on every device that
//! candle knows: each operator keeps what the saved list of [`llmplan_analysis::saved`] says, and nothing else.

mod access;
mod context;
pub mod device;
mod flops;
mod forecast;
mod gradients;
mod kernels;
pub mod meter;
mod model;
mod operators;
pub mod optimizer;
pub mod reference;
mod scratch;
mod tape;
mod trial;
mod trouble;
pub mod validate;
mod weights;

pub use candle_core::{DType, Device};
pub use context::{Batch, Class};
pub use flops::{Flops, Phase};
pub use forecast::{Forecast, forecast};
pub use gradients::Gradients;
pub use model::{Model, Parameter};
pub use reference::{MAX_VALUES, Prediction, Refusal, Run, run};
pub use tape::{Pass, Tape};
pub use trial::{Instant, Moment, Setup, States, Times, Trial, trial};
pub use trouble::{Result, Trouble};
