//! Levers: plans tried with single changes, and what is said of them.

mod bench;
mod fix;
mod json;
mod remedies;
mod render;

pub(crate) use bench::{Bench, examined};
pub(crate) use fix::fix;
pub(crate) use json::json;
pub(crate) use remedies::{broken, find};
pub(crate) use render::text;
