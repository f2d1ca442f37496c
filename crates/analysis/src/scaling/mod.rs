//! Scaling laws: the loss that parameters and tokens reach, and fitting such a law to runs.

mod band;
pub mod fit;
mod intervals;
pub mod isoflop;
mod laws;
mod lifetime;
mod parametric;
mod quantities;
mod repetition;
mod warnings;
mod written;

pub use band::{band, half_width};
pub use laws::{Division, compute_for, floor, gain_exponent, loss, optimum, parametric, params_for};
pub use lifetime::{Lifetime, lifetime_optimum, served};
pub use parametric::{Optimum, Parametric, flops};
pub(crate) use quantities::{optimal_params, run};
pub use repetition::Repetition;
