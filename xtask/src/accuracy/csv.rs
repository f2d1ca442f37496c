//! Every case with its prediction and the parts of it, as CSV: what an error is looked for in.

use std::fmt::Write as _;

use super::measure::Measured;
use super::{Case, evaluate};

/// The quantities that stand beside a prediction.
const PARTS: [&str; 18] = [
    "training.step_time.compute",
    "training.step_time.recompute",
    "training.step_time.bubble",
    "training.step_time.exposed_communication.tensor",
    "training.step_time.exposed_communication.pipeline",
    "training.step_time.exposed_communication.context",
    "training.step_time.exposed_communication.expert",
    "training.step_time.exposed_communication.data",
    "training.step_time.optimizer",
    "training.modelled_mfu",
    "memory.device.weights",
    "memory.device.gradients",
    "memory.device.optimizer",
    "memory.activations",
    "memory.logits",
    "memory.buffers",
    "memory.reserve",
    "memory.per_device",
];

/// A line for each case.
pub(crate) fn text(cases: &[Case]) -> String {
    let names: Vec<&str> = PARTS.iter().map(|path| path.rsplit('.').next().unwrap_or(path)).collect();
    let mut out = format!("group,id,generation,kind,measured,predicted,error,{}\n", names.join(","));
    for case in cases {
        let (kind, measured) = match &case.measured {
            Measured::Step(number) => ("step", *number),
            Measured::Run(number) => ("run", *number),
            Measured::Memory(number, _) => ("memory", *number),
            Measured::OutOfMemory => continue,
        };
        let Ok(report) = evaluate::report(&case.plan, &case.sources) else { continue };
        let Some(predicted) = evaluate::predicted(&case.plan, &report, &case.measured) else { continue };
        let error = predicted / measured - 1.0;
        let _ = write!(
            out,
            "{},{},{},{kind},{measured},{predicted},{error:.4}",
            case.group,
            case.id.replace(',', ";"),
            case.generation()
        );
        for path in PARTS {
            let number =
                evaluate::number(&report, path).map_or_else(String::new, |number| format!("{number:.6}"));
            let _ = write!(out, ",{number}");
        }
        out.push('\n');
    }
    out
}
