//! What there is to spend, and declared gains.

use super::{Builder, Typed};
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::{Budget, Gain, Lever};

impl Builder<'_> {
    /// What there is to spend.
    pub(super) fn budget(&mut self) -> Option<Budget> {
        let budget = Budget {
            compute: self.amount("budget.compute"),
            device_hours: self.amount("budget.device_hours"),
            cost: self.amount("budget.cost"),
            time: self.amount("budget.time"),
            energy: self.amount("budget.energy"),
            max_epochs: self.factor("budget.max_epochs")?,
        };
        let Budget { compute, device_hours, cost, time, energy, .. } = budget;
        if [compute, device_hours, cost, time, energy].iter().all(Option::is_none)
            && self.values.found.is_empty()
        {
            let title = "`budget` has no limit";
            let span = self.values.place("budget.max_epochs").unwrap_or(self.values.draft.span);
            self.values.found.push(
                Diagnostic::error(Code::MissingAttribute, span, title)
                    .help("add `compute`, `device_hours`, `cost`, `time` or `energy`"),
            );
            return None;
        }
        Some(budget)
    }

    /// The gains of the file.
    pub(super) fn gains(&mut self) -> Option<Vec<Gain>> {
        let mut gains = Vec::new();
        for name in &self.values.draft.gains {
            let prefix = format!("gain.{name}");
            if let Some(schema) = crate::schema::block("gain") {
                self.visit(schema, prefix.clone());
            }
            gains.push(Gain {
                name: name.clone(),
                compute: self.factor(&format!("{prefix}.compute"))?,
                lever: Lever::of(&self.word(&format!("{prefix}.lever"))?)?,
                source: match self.get(&format!("{prefix}.source")) {
                    Some(Typed::Text(text)) => text,
                    _ => return None,
                },
            });
        }
        Some(gains)
    }
}
