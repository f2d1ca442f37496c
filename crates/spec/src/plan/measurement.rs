//! What a plan cites instead of assuming: figures that were measured on its device.

use super::Precision;
use crate::source::Span;
use crate::units::Date;

/// One run of a training step on one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The file, as the plan cites it.
    pub file: String,
    /// Where the plan cites it.
    pub cited: Span,
    /// The machine, in words.
    pub device: String,
    /// Data type of the weights in the forward and backward pass.
    pub precision: Precision,
    /// The day of the run.
    pub taken: Date,
    /// What ran, in words.
    pub model: String,
    /// Tokens that one step consumed.
    pub tokens: u64,
    /// FLOP/s of the best matrix product of the same run.
    pub matmul_peak: f64,
    /// FLOP/s: the model FLOPs of a step over its wall time.
    pub achieved: f64,
    /// Operators by the shape of their products, in source order.
    pub classes: Vec<MeasuredClass>,
    /// Bytes that the allocator held beyond the payload, over the payload; in 0..=1.
    pub memory_overhead: Option<f64>,
    /// The measured peak of memory over the predicted one; above 0.
    pub peak_ratio: Option<f64>,
}

/// Operators whose products have one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredClass {
    /// Its name.
    pub name: String,
    /// FLOP/s while they ran.
    pub rate: f64,
    /// Share of the step's wall time; in 0..=1.
    pub share: f64,
}
