//! A change of a plan: attributes set to other values, as a plan spells them.

use llmplan_spec::plan::{Origin, Plan, SettingValue};
use llmplan_spec::schema::{self, Type};
use llmplan_spec::units::format::{literal, percent, plain};
use llmplan_spec::units::{Number, Unit};

/// An attribute set to another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The attribute's path: `training.checkpointing`.
    pub path: String,
    /// What the plan has, as it would spell it; empty where it has nothing.
    pub from: String,
    /// What is set instead: `--set PATH=VALUE` takes it, and so does a plan.
    pub to: String,
}

impl Assignment {
    /// `training.checkpointing: full → selective`
    pub fn words(&self) -> String {
        match self.from.as_str() {
            "" => format!("{}: {}", self.path, self.to),
            from => format!("{}: {from} → {}", self.path, self.to),
        }
    }
}

/// Attributes that are set together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// What is set; the lever's own attribute first.
    pub assignments: Vec<Assignment>,
    /// How far from what the plan has: |ln(to/from)| of a number, ln 2 for a word.
    pub(super) distance: Distance,
}

/// How far a change goes: a whole number of 1/1000 of e-folds, so that it can be compared exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Distance(pub(super) u64);

impl Change {
    /// What is set, as paths and values.
    pub fn set(&self) -> Vec<(String, String)> {
        self.assignments.iter().map(|own| (own.path.clone(), own.to.clone())).collect()
    }

    /// `training.checkpointing: full → selective`
    pub fn words(&self) -> String {
        self.assignments.iter().map(Assignment::words).collect::<Vec<_>>().join(", ")
    }

    /// A word in place of another.
    pub(super) fn word(plan: &Plan, path: &str, to: &str) -> Change {
        Change { assignments: vec![assignment(plan, path, to.to_owned())], distance: Distance(693) }
    }

    /// A number in place of another, in the unit that the plan has it in.
    pub(super) fn number(plan: &Plan, path: &str, to: u64) -> Change {
        let mut change = Change::default();
        change.and(plan, path, to);
        change
    }

    /// Sets a further attribute with it, which does not make the change a longer one.
    pub(super) fn and_word(&mut self, plan: &Plan, path: &str, to: &str) {
        self.assignments.push(assignment(plan, path, to.to_owned()));
    }

    /// Sets a further attribute with it.
    pub(super) fn and(&mut self, plan: &Plan, path: &str, to: u64) {
        let own = count(plan, path).unwrap_or(1);
        let factor = to.max(1) as f64 / own.max(1) as f64;
        let distance = (libm::log(factor).abs() * 1e3).round() as u64;
        self.distance = self.distance.max(Distance(distance));
        self.assignments.push(assignment(plan, path, spelled(to, noun(plan, path))));
    }
}

/// A count that the plan has.
pub(super) fn count(plan: &Plan, path: &str) -> Option<u64> {
    match &plan.setting(path)?.value {
        SettingValue::Quantity(own) => match own.number {
            Number::Int(count) => u64::try_from(count).ok(),
            Number::Real(_) => None,
        },
        SettingValue::Text(_) => None,
    }
}

/// A word that the plan has.
pub(super) fn word<'p>(plan: &'p Plan, path: &str) -> Option<&'p str> {
    match &plan.setting(path)?.value {
        SettingValue::Text(text) => Some(text),
        SettingValue::Quantity(_) => None,
    }
}

/// Whether the plan or the catalog says it, rather than a default.
pub(super) fn declared(plan: &Plan, path: &str) -> bool {
    plan.setting(path).is_some_and(|own| matches!(own.origin, Origin::Declared(_)))
}

/// What stands behind a number of the attribute: a batch is in sequences or tokens, and says which.
fn noun(plan: &Plan, path: &str) -> &'static str {
    let batch = schema::declared(path).is_some_and(|own| matches!(own.ty, Type::Batch));
    match plan.setting(path).map(|own| &own.value) {
        Some(SettingValue::Quantity(own)) if batch && own.unit == Unit::TOKENS => " tokens",
        Some(SettingValue::Quantity(_)) if batch => " sequences",
        _ => "",
    }
}

fn is_share(path: &str) -> bool {
    schema::declared(path).is_some_and(|own| matches!(own.ty, Type::Share { .. }))
}

fn assignment(plan: &Plan, path: &str, to: String) -> Assignment {
    let from = plan.setting(path).map_or_else(String::new, |own| match &own.value {
        SettingValue::Text(text) => text.clone(),
        SettingValue::Quantity(own) => match own.number {
            number if own.unit == Unit::MONEY_PER_TIME => format!("${:.2} / h", number.real() * 3600.0),
            Number::Int(count) => spelled(u64::try_from(count).unwrap_or(u64::MAX), noun(plan, path)),
            Number::Real(share) if is_share(path) => percent(share),
            Number::Real(real) => plain(real, 6),
        },
    });
    Assignment { path: path.to_owned(), from, to }
}

/// A count as plans spell it, `1.54T` or `128_256`, with what stands behind it.
pub(super) fn spelled(count: u64, noun: &str) -> String {
    let suffixes = [(1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M")];
    let short = suffixes.into_iter().find(|(size, _)| count >= *size && count.is_multiple_of(size / 1000));
    let number = match short {
        Some((size, suffix)) => {
            let rest = format!("{:03}", count % size / (size / 1000));
            let digits = rest.trim_end_matches('0');
            let point = if digits.is_empty() { "" } else { "." };
            format!("{}{point}{digits}{suffix}", count / size)
        }
        None => literal(count.into()),
    };
    format!("{number}{noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_spelled_as_plans_spell_them() {
        for (count, text) in [
            (8, "8"),
            (16_384, "16_384"),
            (1_540_000_000_000, "1.54T"),
            (300_000_000_000, "300B"),
            (1_500_000, "1.5M"),
            (1_000_001, "1_000_001"),
            (2_000_000_000_000, "2T"),
        ] {
            assert_eq!(spelled(count, ""), text);
        }
        assert_eq!(spelled(64, " sequences"), "64 sequences");
    }
}
