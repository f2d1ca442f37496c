//! The derivation of a number, down to what the plan declares.

use std::collections::BTreeSet;

use crate::report::{Derivation, Quantity, Report};

/// A quantity with everything it is computed from.
#[derive(Clone, Debug)]
pub struct Explanation<'r> {
    /// The quantity.
    pub quantity: &'r Quantity,
    /// What it reads, in the order of its formula. Empty where it is `seen`.
    pub inputs: Vec<Explanation<'r>>,
    /// Whether it was explained further up already, with inputs of its own.
    pub seen: bool,
}

/// The derivation tree of a path; `None` where the report has no such quantity. What is read more than once is
/// explained once.
pub fn explain<'r>(report: &'r Report, path: &str) -> Option<Explanation<'r>> {
    node(report, path, &mut BTreeSet::new())
}

fn node<'r>(report: &'r Report, path: &str, known: &mut BTreeSet<&'r str>) -> Option<Explanation<'r>> {
    let quantity = report.get(path)?;
    let inputs = match &quantity.derivation {
        Derivation::Attribute { .. } => &[],
        Derivation::Formula { inputs, .. } | Derivation::Procedure { inputs, .. } => inputs.as_slice(),
    };
    if !inputs.is_empty() && !known.insert(&quantity.path) {
        return Some(Explanation { quantity, inputs: Vec::new(), seen: true });
    }
    let inputs = inputs.iter().filter_map(|input| node(report, input, known)).collect();
    Some(Explanation { quantity, inputs, seen: false })
}
