//! How far reports are from what was measured, as text of at most 100 columns.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::measure::Measured;
use super::{Case, Cases};

/// A case with what its report says.
pub(crate) struct Compared<'c> {
    case: &'c Case,
    predicted: f64,
    measured: f64,
}

impl Compared<'_> {
    /// Predicted over measured, less one.
    fn error(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }
}

/// The cases that a report has a figure for.
pub(crate) fn compared(found: &Cases) -> Vec<Compared<'_>> {
    found
        .cases
        .iter()
        .filter_map(|case| {
            let measured = value(&case.measured)?;
            case.predicted().map(|predicted| Compared { case, predicted, measured })
        })
        .collect()
}

/// The whole text.
pub(crate) fn text(found: &Cases, compared: &[Compared<'_>]) -> String {
    let mut out = String::new();
    for memory in [false, true] {
        table(&mut out, found, compared, memory);
    }
    out_of_memory(&mut out, found);
    missed(&mut out, found);
    for case in &found.cases {
        for words in &case.warnings {
            let _ = writeln!(out, "{}: {words}", case.id);
        }
    }
    if found.excluded > 0 {
        let _ = writeln!(out, "\n{} rows say themselves that they are not to be scored.", found.excluded);
    }
    out
}

/// The measured number; `None` where there is just a verdict.
fn value(measured: &Measured) -> Option<f64> {
    match measured {
        Measured::Step(number) | Measured::Run(number) | Measured::Memory(number, _) => Some(*number),
        Measured::OutOfMemory => None,
    }
}

fn of_memory(measured: &Measured) -> bool {
    matches!(measured, Measured::Memory(..) | Measured::OutOfMemory)
}

/// The groups of time, or of memory.
fn table(out: &mut String, found: &Cases, compared: &[Compared<'_>], memory: bool) {
    let mut groups: BTreeMap<&str, (usize, Vec<&Compared<'_>>)> = BTreeMap::new();
    for case in found
        .cases
        .iter()
        .filter(|case| of_memory(&case.measured) == memory && value(&case.measured).is_some())
    {
        groups.entry(&case.group).or_default().0 += 1;
    }
    for row in found.missed.iter().filter(|row| row.memory == memory) {
        groups.entry(&row.group).or_default().0 += 1;
    }
    for own in compared.iter().filter(|own| of_memory(&own.case.measured) == memory) {
        groups.entry(&own.case.group).or_default().1.push(own);
    }
    if groups.is_empty() {
        return;
    }
    let title = if memory { "Memory of a device" } else { "Time" };
    let _ = writeln!(
        out,
        "{title}\n\n{:<22}{:>6}{:>9}{:>9}{:>9}{:>9}{:>10}",
        "group", "rows", "covered", "mean", "absolute", "median", "largest"
    );
    let mut all: Vec<&Compared<'_>> = Vec::new();
    let mut rows = 0;
    for (group, (count, own)) in &mut groups {
        line(out, group, *count, own);
        rows += *count;
        all.append(&mut own.clone());
        worst(out, own);
    }
    line(out, "all", rows, &mut all);
    out.push('\n');
}

/// One line of a table; sorts the cases by error, largest first.
fn line(out: &mut String, name: &str, rows: usize, own: &mut Vec<&Compared<'_>>) {
    own.sort_by(|one, other| other.error().abs().total_cmp(&one.error().abs()));
    let _ = write!(out, "{:<22}{rows:>6}{:>9}", short(name, 21), own.len());
    if let Some(largest) = own.first() {
        let count = own.len() as f64;
        let mean = own.iter().map(|one| one.error()).sum::<f64>() / count;
        let absolute = own.iter().map(|one| one.error().abs()).sum::<f64>() / count;
        let median = own.get(own.len() / 2).map_or(0.0, |one| one.error().abs());
        let _ = write!(
            out,
            "{:>9}{:>9}{:>9}{:>10}",
            signed(mean),
            percent(absolute),
            percent(median),
            signed(largest.error())
        );
    }
    out.push('\n');
}

/// The three cases with the largest errors.
fn worst(out: &mut String, own: &[&Compared<'_>]) {
    for one in own.iter().take(3) {
        let figures =
            format!("{} for {}", shown(&one.case.measured, one.predicted), figure(&one.case.measured));
        let _ = writeln!(out, "  {:<52}{:>9}  {}", short(&one.case.id, 51), signed(one.error()), figures);
    }
}

/// What the report says of runs that did not fit.
fn out_of_memory(out: &mut String, found: &Cases) {
    let verdicts: Vec<(&Case, Option<bool>)> = found
        .cases
        .iter()
        .filter(|case| case.measured == Measured::OutOfMemory)
        .map(|case| {
            let memory = case.plan.hardware.as_ref().and_then(|hardware| hardware.device.memory);
            (case, case.predicted().zip(memory).map(|(peak, memory)| peak > memory as f64))
        })
        .collect();
    if verdicts.is_empty() {
        return;
    }
    let right = verdicts.iter().filter(|(_, verdict)| *verdict == Some(true)).count();
    let _ = writeln!(out, "Runs that did not fit: {}; predicted not to fit: {right}.", verdicts.len());
    for (case, _) in verdicts.iter().filter(|(_, verdict)| *verdict == Some(false)) {
        let _ = writeln!(out, "  {}: predicted to fit", short(&case.id, 78));
    }
}

/// Rows that are not compared, by reason.
fn missed(out: &mut String, found: &Cases) {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in &found.missed {
        let what = if row.memory { "memory" } else { "time" };
        reasons.entry(format!("{what}: {}", row.why)).or_default().push(row.id.clone());
    }
    for case in found.cases.iter().filter(|case| case.predicted().is_none()) {
        let what = if of_memory(&case.measured) { "memory" } else { "time" };
        reasons
            .entry(format!("{what}: the report does not have the figure"))
            .or_default()
            .push(case.id.clone());
    }
    if reasons.is_empty() {
        return;
    }
    let mut sorted: Vec<(String, Vec<String>)> = reasons.into_iter().collect();
    sorted.sort_by_key(|(_, ids)| std::cmp::Reverse(ids.len()));
    let _ = writeln!(out, "\nNot covered");
    for (reason, ids) in sorted {
        let named: Vec<&str> = ids.iter().take(2).map(String::as_str).collect();
        let _ = writeln!(out, "{:>6}  {}", ids.len(), short(&reason, 92));
        let _ = writeln!(out, "        {}", short(&named.join(", "), 92));
    }
}

/// A measured figure with its unit.
pub(crate) fn figure(measured: &Measured) -> String {
    match value(measured) {
        Some(number) => shown(measured, number),
        None => "it did not fit".to_owned(),
    }
}

/// A number in the unit of a measured figure.
fn shown(measured: &Measured, number: f64) -> String {
    match measured {
        Measured::Step(_) => format!("{number:.4} s a step"),
        Measured::Run(_) => format!("{:.0} device-hours", number / 3600.0),
        Measured::Memory(..) | Measured::OutOfMemory => format!("{:.2} GiB", number / 1_073_741_824.0),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

fn signed(share: f64) -> String {
    format!("{:+.1}%", 100.0 * share)
}

/// The beginning of a text where it is longer than so many characters.
fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        text.to_owned()
    } else {
        text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
    }
}
