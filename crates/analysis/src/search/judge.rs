//! What a plan requires, before a search and after it.
//!
//! Before: limits of `memory.per_device`, and of a modelled `training.step_time`, that the device alone decides bound the
//! search itself. After: what nothing
//! dominates is put into the plan and analysed as a whole, and every condition is judged on that. This loses nothing: a
//! condition that holds for some strategy, and that less time, memory and devices cannot break, holds for one that
//! nothing dominates.

use llmplan_spec::diagnostic::Severity;
use llmplan_spec::expr::{self, Environment, Failure, Value};
use llmplan_spec::plan::{Comparison, Plan, SettingValue};
use llmplan_spec::source::{Sources, Span};

use super::apply::apply;
use super::pareto::Point;
use super::prune::Bounds;
use super::{Found, Objective};
use crate::report::{Judgement, Report};

/// A strategy that nothing dominates, and what the whole analysis says of it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The strategy with its numbers.
    pub point: Point,
    /// The plan's report with the strategy; `None` where it has none.
    pub report: Option<Report>,
    /// Whether every `require` holds and was computed.
    pub holds: bool,
}

impl Candidate {
    /// The requirements that it breaks.
    pub fn broken(&self) -> impl Iterator<Item = &Judgement> {
        let all = self.report.iter().flat_map(|report| &report.requirements);
        all.filter(|judgement| judgement.strict && !judgement.holds)
    }
}

/// Analyses the plan with each of the strategies that nothing dominates.
pub fn judge(plan: &Plan, sources: &Sources, found: &Found) -> Vec<Candidate> {
    let one = |point: &Point| {
        let mut applied = plan.clone();
        apply(&mut applied, &point.strategy);
        let analysis = crate::analyze(&applied, sources);
        let sound = analysis.diagnostics.iter().all(|own| own.severity != Severity::Error);
        let holds = sound && analysis.report.as_ref().is_some_and(Report::holds);
        Candidate { point: *point, report: analysis.report, holds }
    };
    found.pareto.iter().map(one).collect()
}

/// The place of the best by an objective: of those that hold, or of all where none does.
pub fn best(candidates: &[Candidate], objective: Objective) -> Option<usize> {
    let any = candidates.iter().any(|own| own.holds);
    let wanted = candidates.iter().enumerate().filter(|(_, own)| own.holds || !any);
    wanted.min_by(|(_, one), (_, other)| objective.order(&one.point, &other.point)).map(|(place, _)| place)
}

impl Bounds {
    /// The bounds of a plan: its device, its hosts, and what it requires of memory and, where the step is modelled, time.
    pub fn of(plan: &Plan) -> Bounds {
        let Some(hardware) = &plan.hardware else { return Bounds::default() };
        let device = &hardware.device;
        let declared = plan.training.as_ref().is_some_and(|training| training.mfu.is_some());
        let modelled = !declared && hardware.measured.is_none();
        Bounds {
            device: device.memory,
            required: required(plan, "memory.per_device").map(|bytes| bytes as u64),
            host: device.host_memory,
            node: device.devices_per_node,
            seconds: required(plan, "training.step_time").filter(|_| modelled),
        }
    }
}

/// The least upper limit that a plan requires of a quantity, where the device and numbers alone decide it.
fn required(plan: &Plan, path: &str) -> Option<f64> {
    let own = plan.requirements.iter().filter(|own| {
        own.strict
            && matches!(own.comparison, Comparison::Less | Comparison::LessEqual)
            && own.left.as_name().is_some_and(|(name, _)| name == path)
    });
    let limits = own.filter_map(|own| match expr::evaluate(&own.right, &mut Device(plan)) {
        Ok(Value::Quantity { number: Some(number), .. }) => Some(number.real()),
        _ => None,
    });
    limits.filter(|limit| *limit >= 0.0).min_by(f64::total_cmp)
}

/// Knows the attributes of the device and no other: what no strategy changes.
struct Device<'p>(&'p Plan);

impl Environment for Device<'_> {
    fn name(&mut self, name: &str, _: Span) -> Result<Value, Failure> {
        let setting = self.0.setting(name).filter(|_| name.starts_with("device."));
        match setting.map(|setting| &setting.value) {
            Some(SettingValue::Quantity(own)) => Ok(Value::Quantity {
                number: Some(own.number),
                unit: own.unit,
                firm: own.unit.noun.is_some(),
            }),
            _ => Err(Failure(None)),
        }
    }
}
