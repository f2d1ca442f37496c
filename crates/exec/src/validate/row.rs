//! A row: a quantity, what was predicted of it, what was measured, and what it may be out by.

use serde::Serialize;

/// A quantity, predicted and measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its path in reports, where it has one there.
    pub quantity: String,
    /// What the analysis says; none where nothing is said beforehand.
    pub predicted: Option<Amount>,
    /// What was measured.
    pub measured: Amount,
    /// What it is counted in.
    pub unit: Measure,
    /// What it may be out by.
    pub tolerance: Tolerance,
    /// Whether it is within that.
    pub holds: bool,
}

/// How much of something.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Amount {
    /// Counted: every digit is right.
    Count(u128),
    /// Measured, or computed from what was.
    Real(f64),
}

impl Amount {
    /// The value as a float, rounded where it is a count beyond 2⁵³.
    pub fn real(self) -> f64 {
        match self {
            Amount::Count(count) => count as f64,
            Amount::Real(real) => real,
        }
    }
}

/// What a row is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Values.
    Count,
    /// FLOPs.
    Flop,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// FLOP/s.
    FlopPerSecond,
    /// A share or a ratio.
    Ratio,
}

/// What a row may be out by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    /// Nothing.
    Exact,
    /// A share of what was predicted, either way.
    Share(f64),
    /// It is told and not judged.
    Told,
}

impl Row {
    /// Counts that must be equal. They are compared as the integers that they are; no prediction is a wrong one.
    pub fn exact(quantity: impl Into<String>, predicted: Option<u128>, measured: u128, unit: Measure) -> Row {
        Row {
            quantity: quantity.into(),
            predicted: predicted.map(Amount::Count),
            measured: Amount::Count(measured),
            unit,
            tolerance: Tolerance::Exact,
            holds: predicted == Some(measured),
        }
    }

    /// Bytes that may differ by a share of what was predicted.
    pub fn within(quantity: impl Into<String>, predicted: u128, measured: u64, share: f64) -> Row {
        let measured = u128::from(measured);
        Row {
            quantity: quantity.into(),
            predicted: Some(Amount::Count(predicted)),
            measured: Amount::Count(measured),
            unit: Measure::Bytes,
            tolerance: Tolerance::Share(share),
            holds: measured.abs_diff(predicted) as f64 <= share * predicted as f64,
        }
    }

    /// Exact rows that hold, added up in one.
    pub(super) fn together<'a>(quantity: String, rows: impl Iterator<Item = &'a Row>) -> Row {
        let count = |amount: Amount| match amount {
            Amount::Count(count) => count,
            Amount::Real(_) => 0,
        };
        let (mut predicted, mut measured) = (0_u128, 0_u128);
        for row in rows {
            predicted = predicted.saturating_add(row.predicted.map_or(0, count));
            measured = measured.saturating_add(count(row.measured));
        }
        Row::exact(quantity, Some(predicted), measured, Measure::Bytes)
    }

    /// Something that is told and not judged.
    pub fn told(quantity: impl Into<String>, measured: f64, unit: Measure) -> Row {
        Row {
            quantity: quantity.into(),
            predicted: None,
            measured: Amount::Real(measured),
            unit,
            tolerance: Tolerance::Told,
            holds: true,
        }
    }

    /// How far off it is, relative to what was predicted: above 0 where more was measured. None where nothing was
    /// predicted, and beyond all measure where 0 was.
    pub fn error(&self) -> Option<f64> {
        let predicted = self.predicted?;
        let more = match (predicted, self.measured) {
            // Near counts would be the same float.
            (Amount::Count(predicted), Amount::Count(measured)) => {
                let size = measured.abs_diff(predicted) as f64;
                if measured < predicted { -size } else { size }
            }
            (predicted, measured) => measured.real() - predicted.real(),
        };
        let error = if more == 0.0 { 0.0 } else { more / predicted.real() };
        error.is_finite().then_some(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A float of 2⁵³ and more does not tell a count from the next one.
    #[test]
    fn counts_that_differ_by_one_are_not_equal() {
        let large = (1_u128 << 60) + 1;
        let row = Row::exact("flops.forward", Some(large), large - 1, Measure::Flop);
        assert!(!row.holds && row.error().is_some_and(|error| error < 0.0));
        assert!(Row::exact("flops.forward", Some(large), large, Measure::Flop).holds);
        assert!(!Row::exact("flops.forward", None, 0, Measure::Flop).holds);
    }

    #[test]
    fn a_share_is_one_of_what_was_predicted() {
        let row = |predicted, measured| Row::within("memory", predicted, measured, 0.002);
        assert!(row(1_000, 1_002).holds && row(1_000, 998).holds && row(0, 0).holds);
        assert!(!row(1_000, 1_003).holds && !row(1_000, 997).holds && !row(0, 1).holds);
        assert_eq!((row(1_000, 1_500).error(), row(1_000, 250).error()), (Some(0.5), Some(-0.75)));
        assert_eq!((row(0, 0).error(), row(0, 1).error()), (Some(0.0), None));
    }

    #[test]
    fn what_is_told_holds() {
        let row = Row::told("mfu", 0.4, Measure::Ratio);
        assert!(row.holds && row.error().is_none());
    }
}
