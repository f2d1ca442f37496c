//! A strategy written into a plan's text.

use llmplan_analysis::cluster::Strategy;
use llmplan_analysis::search::{Choice, changes};
use llmplan_spec::plan::Plan;
use llmplan_spec::units::format::literal;

use crate::edit::{self, Assignment};
use crate::examine::Examined;
use crate::inputs::Input;

/// The text of a plan's file with a strategy in it, in its canonical layout if it was in that before.
///
/// # Errors
/// Why it cannot be written, in a line.
pub(crate) fn edited(
    input: &Input,
    examined: &Examined,
    plan: &Plan,
    strategy: &Strategy,
) -> Result<String, String> {
    let values: Vec<Assignment> = changes(plan, strategy)
        .iter()
        .map(|change| (change.path.to_owned(), written(change.value)))
        .collect();
    edit::own(examined, plan, &values)?;
    edit::changed(input, examined, plan, &values, &|new| {
        let reached = new.training.as_ref().zip(new.hardware.as_ref());
        reached.and_then(|(training, hardware)| Strategy::of(training, hardware.devices)) == Some(*strategy)
    })
}

/// A value as plans spell it.
fn written(choice: Choice) -> String {
    match choice {
        Choice::Count(count) => literal(count.into()),
        Choice::Word(word) => word.to_owned(),
    }
}
