//! Runs the models of plans, and what is said about it.

mod render;

pub(crate) use render::render;

use llmplan_exec::Device;
use llmplan_exec::validate::{self as exec, Limits, Refused, Validation};
use llmplan_spec::plan::Plan;
use llmplan_spec::units::Date;

/// A plan to run, and the file that it is in.
pub(crate) struct Subject<'p> {
    pub(crate) plan: &'p Plan,
    pub(crate) file: &'p str,
}

/// How much may be spent on it.
pub(crate) struct How {
    /// Seconds for all plans together.
    pub(crate) budget: f64,
    /// The most bytes to use.
    pub(crate) memory: u64,
    /// Training steps that are timed.
    pub(crate) steps: u32,
}

/// What was found about one plan.
pub(crate) struct Validated {
    /// Where the plan is, and what it takes from lists.
    pub(crate) file: String,
    pub(crate) found: Validation,
}

impl Validated {
    /// Whether every number is within its tolerance.
    pub(crate) fn holds(&self) -> bool {
        self.found.holds()
    }
}

/// Runs every plan; each has its share of the budget that is left. `progress` hears what begins.
///
/// # Errors
/// A plan of which nothing fits, and what the device fails with.
pub(crate) fn run(
    plans: &[Subject<'_>],
    device: &Device,
    how: &How,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Validated>, String> {
    let began = std::time::Instant::now();
    progress("the rate of matrix products");
    let words = |Refused(words): Refused| words;
    let rate = exec::rate(device, how.budget).map_err(words)?;
    let mut done = Vec::with_capacity(plans.len());
    for (at, Subject { plan, file }) in plans.iter().enumerate() {
        let left = (how.budget - began.elapsed().as_secs_f64()).max(0.0);
        let limits = Limits {
            seconds: left / (plans.len() - at) as f64,
            memory: how.memory,
            steps: how.steps.into(),
            rate,
            fused: device.is_cpu(),
        };
        let found = exec::validate(plan, device, &limits, &mut |what| {
            progress(&format!("{}: {what}", plan.name));
        });
        let found = found.map_err(|Refused(words)| format!("`{}` cannot be run: {words}", plan.name))?;
        let variant: String =
            plan.variant.iter().map(|(path, value)| format!(", {path} = {value}")).collect();
        done.push(Validated { file: format!("{file}{variant}"), found });
    }
    Ok(done)
}

/// What was measured, as a file that a plan can cite.
///
/// # Errors
/// What keeps it from being saved.
pub(crate) fn measurement(one: &Validated) -> Result<String, String> {
    let today = today().ok_or("the clock of this machine is before 1970")?;
    exec::measurement(&one.found, today).ok_or_else(|| "nothing was measured".to_owned())
}

/// The day, in UTC.
fn today() -> Option<Date> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Date::of_day(since.as_secs() / 86_400)
}
