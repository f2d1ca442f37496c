//! Serving: what a model that answers prompts takes of memory, time and money, on one replica of so many devices.
//!
//! A replica decodes a batch of sequences together. A step is bound by what it reads or by what it computes (Williams
//! 2009; Pope 2022 §2), whichever takes longer, and then by its collectives. Requests do not wait for each other: the
//! times are those of a replica whose batch is full.

mod cost;
mod counts;
mod device;
mod memory;
mod optimal;
mod problems;
mod quantized;
mod times;

pub(crate) use problems::{reasons, unmodelled};

use llmplan_spec::plan::Stored;

use crate::model::Forms;
use crate::quantities::Quantities;

/// Where the formulas of a step are from.
const ROOFLINE: &str = "Pope 2022 §2; Williams 2009: the slower of memory and products";

/// Everything about serving that the plan has figures for.
pub(crate) fn run(q: &mut Quantities<'_>, forms: &Forms<'_>) {
    let Some(own) = q.plan.inference.clone() else { return };
    counts::weights(q, &own);
    counts::cache(q, &own, forms);
    counts::flops(q, forms);
    let fits = match device::figures(q, &own) {
        Some(()) => memory::device(q, &own),
        None => memory::declared(q, &own),
    };
    problems::degrees(q, &own);
    if fits && times::all(q, &own, forms) {
        cost::all(q, &own);
    }
    cost::lifetime(q, &own);
    quantized::risk(q, &own);
    optimal::all(q, &own);
}

/// Bytes of one stored value, scales included, as an expression.
fn bytes_of(stored: Stored) -> String {
    let bytes = stored.bits() as f64 / 8.0;
    match stored.grouped() {
        true => format!("({bytes} bytes + 2 bytes / inference.group)"),
        false => format!("{bytes} bytes"),
    }
}
