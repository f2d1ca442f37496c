//! A plan against a checkpoint: whether the tensors that the plan's model has are those that were saved. Of the
//! checkpoint only headers are read.

mod compare;
mod group;
mod header;
mod index;
mod names;
mod ranges;
mod report;
mod table;

pub(crate) use index::{Checkpoint, read};

use llmplan_analysis::{graph, tensors};
use llmplan_spec::plan::Plan;

use compare::Comparison;

/// The outcome of a verification.
pub(crate) struct Verified<'v> {
    plan: &'v Plan,
    /// The plan's file, as the user named it.
    file: String,
    checkpoint: &'v Checkpoint,
    comparison: Comparison,
}

/// Compares a plan's model with a checkpoint.
pub(crate) fn verify<'v>(plan: &'v Plan, file: &str, checkpoint: &'v Checkpoint) -> Verified<'v> {
    let planned = tensors::tensors(&graph::lower(&plan.model));
    let comparison = compare::compare(&planned, checkpoint);
    Verified { plan, file: file.to_owned(), checkpoint, comparison }
}

impl Verified<'_> {
    /// Whether everything is equal.
    pub(crate) fn equal(&self) -> bool {
        self.comparison.differences.is_empty()
    }

    /// How many tensors differ.
    fn differing(&self) -> u128 {
        let tensors = |((_, problem), numbers): (&(_, group::Problem), &Option<ranges::Ranges>)| {
            u128::from(problem.tensors) * numbers.as_ref().map_or(1, |numbers| u128::from(numbers.count()))
        };
        self.comparison.differences.iter().map(tensors).fold(0, u128::saturating_add)
    }
}
