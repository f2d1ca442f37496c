//! The proof: runs the graph that the arithmetic counts, and counts what it really does.
//!
//! Twice over. [`reference`](mod@reference) is plain loops over one short sequence, forward only: slow, and meant to be obviously right.

pub mod reference;
mod weights;

pub use reference::{MAX_VALUES, Prediction, Refusal, Run, run};
