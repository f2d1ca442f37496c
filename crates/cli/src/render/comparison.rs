//! The variants of one plan side by side: one row each, and only the columns that tell them apart.

use std::collections::BTreeMap;

use llmplan_analysis::report::{Quantity, Report};

use super::table::{Align, Column, Row, Table};
use crate::examine::Outcome;

/// The variants of a plan as one table, and what it leaves out.
pub(crate) struct Comparison {
    pub(crate) table: Table,
    /// Sentences below it: what is the same for all, what no number depends on, what did not fit.
    pub(crate) notes: Vec<String>,
}

/// Compares the variants of one plan; columns that would make the table wider than `width` are named instead.
pub(crate) fn compare(variants: &[Outcome], width: Option<usize>) -> Comparison {
    let swept: Vec<&str> = variants
        .first()
        .map_or(Vec::new(), |outcome| outcome.plan.variant.iter().map(|(path, _)| path.as_str()).collect());
    let reports: Vec<&Report> = variants.iter().filter_map(|outcome| outcome.report.as_ref()).collect();
    let mut table = Table { columns: Vec::new(), rows: vec![Row::default(); variants.len()] };
    for (at, path) in swept.iter().enumerate() {
        let cell = |outcome: &Outcome| {
            outcome.plan.variant.get(at).map(|(_, value)| value.clone()).unwrap_or_default()
        };
        add(&mut table, path, variants.iter().map(cell).collect());
    }

    let headline: Vec<&str> = reports.first().map_or(Vec::new(), |report| {
        report.headline.iter().map(String::as_str).filter(|path| !swept.contains(path)).collect()
    });
    let (mut different, same): (Vec<&str>, Vec<&str>) =
        headline.iter().partition(|path| differs(path, &reports));
    if different.is_empty() {
        different = all_that_differ(&reports, &swept);
    }
    let judged =
        reports.iter().any(|report| !report.requirements.is_empty()) || reports.len() < variants.len();
    let room = width.map(|width| width.saturating_sub(if judged { 9 } else { 0 }));
    let mut left_out = Vec::new();
    for path in &different {
        let mut wider = table.clone();
        let cell = |outcome: &Outcome| {
            let quantity = outcome.report.as_ref().and_then(|report| report.get(path));
            quantity.map_or_else(|| "-".to_owned(), |quantity| quantity.display.clone())
        };
        add(&mut wider, path, variants.iter().map(cell).collect());
        let fits =
            room.is_none_or(|room| wider.widths().iter().map(|width| width + 2).sum::<usize>() <= room);
        if fits {
            table = wider;
        } else {
            left_out.push(*path);
        }
    }
    if judged {
        table.columns.push(Column { title: "verdict".to_owned(), align: Align::Left });
        for (row, outcome) in table.rows.iter_mut().zip(variants) {
            row.cells.push(word(outcome).to_owned());
        }
    }
    Comparison { table, notes: notes(&reports, variants, &swept, &same, &left_out) }
}

/// Adds a column of numbers, one cell for each row.
fn add(table: &mut Table, path: &str, cells: Vec<String>) {
    let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
    table.columns.push(Column { title: heading(path, width), align: Align::Right });
    for (row, cell) in table.rows.iter_mut().zip(cells) {
        row.cells.push(cell);
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match &outcome.report {
        Some(report) if report.holds() => "OK",
        Some(_) => "FAILS",
        None => "error",
    }
}

fn notes(
    reports: &[&Report],
    variants: &[Outcome],
    swept: &[&str],
    same: &[&str],
    left_out: &[&str],
) -> Vec<String> {
    let mut notes = broken(variants);
    if !left_out.is_empty() {
        notes.push(format!("also different (see --format csv): {}", left_out.join(", ")));
    }
    if let [first, _, ..] = reports {
        let value = |path: &&str| first.get(path).map(|quantity| format!("{path} = {}", quantity.display));
        let values: Vec<String> = same.iter().filter_map(value).collect();
        if !values.is_empty() {
            notes.push(format!("the same for all: {}", values.join(", ")));
        }
    }
    if reports.len() == variants.len() {
        for (at, path) in swept.iter().enumerate() {
            if !matters(at, variants, swept) {
                notes.push(format!("no number of the report depends on {path}"));
            }
        }
    }
    notes
}

/// Which `require` is broken, and in how many variants.
fn broken(variants: &[Outcome]) -> Vec<String> {
    let mut conditions: Vec<(&str, usize)> = Vec::new();
    for judgement in
        variants.iter().filter_map(|outcome| outcome.report.as_ref()).flat_map(|report| &report.requirements)
    {
        if judgement.holds || !judgement.strict {
            continue;
        }
        match conditions.iter_mut().find(|(condition, _)| *condition == judgement.condition) {
            Some((_, count)) => *count += 1,
            None => conditions.push((&judgement.condition, 1)),
        }
    }
    let total = variants.len();
    conditions
        .iter()
        .map(|(condition, count)| format!("{condition} is broken in {count} of {total} variants"))
        .collect()
}

/// Whether a quantity is not the same, or not there, in all reports.
fn differs(path: &str, reports: &[&Report]) -> bool {
    let value = |report: &Report| report.get(path).map(|quantity| quantity.value.clone());
    reports.windows(2).any(|pair| value(pair[0]) != value(pair[1]))
}

/// The computed quantities that are not the same in all reports, in the order of the report.
fn all_that_differ<'r>(reports: &[&'r Report], swept: &[&str]) -> Vec<&'r str> {
    let Some((first, rest)) = reports.split_first() else { return Vec::new() };
    let rest: Vec<BTreeMap<&str, &Quantity>> = rest.iter().map(|report| by_path(report)).collect();
    let differs = |quantity: &&Quantity| {
        !swept.contains(&quantity.path.as_str())
            && rest.iter().any(|other| {
                other.get(quantity.path.as_str()).is_none_or(|other| other.value != quantity.value)
            })
    };
    first.quantities.iter().filter(differs).map(|quantity| quantity.path.as_str()).collect()
}

/// Whether two variants that differ in nothing but one swept path have different numbers.
fn matters(at: usize, variants: &[Outcome], swept: &[&str]) -> bool {
    let mut groups: BTreeMap<Vec<&str>, &Report> = BTreeMap::new();
    for outcome in variants {
        let Some(report) = &outcome.report else { continue };
        let others: Vec<&str> = outcome
            .plan
            .variant
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != at)
            .map(|(_, (_, value))| value.as_str())
            .collect();
        let first = groups.entry(others).or_insert(report);
        if !std::ptr::eq(*first, report) && !all_that_differ(&[first, report], swept).is_empty() {
            return true;
        }
    }
    false
}

fn by_path(report: &Report) -> BTreeMap<&str, &Quantity> {
    report.quantities.iter().map(|quantity| (quantity.path.as_str(), quantity)).collect()
}

/// A path broken behind `.` and `_` into at most three lines, so that its column is hardly wider than its cells.
fn heading(path: &str, cells: usize) -> String {
    let parts: Vec<&str> = path.split_inclusive(['.', '_']).collect();
    (cells.max(1)..path.len())
        .map(|width| {
            let mut lines = vec![String::new()];
            for part in &parts {
                match lines.last_mut() {
                    Some(line) if line.is_empty() || line.len() + part.len() <= width => line.push_str(part),
                    _ => lines.push((*part).to_owned()),
                }
            }
            lines
        })
        .find(|lines| lines.len() <= 3)
        .map_or_else(|| path.to_owned(), |lines| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::heading;

    #[test]
    fn headings_are_as_narrow_as_three_lines_allow() {
        assert_eq!(heading("memory.weights_only.bf16", 8), "memory.\nweights_\nonly.bf16");
        assert_eq!(heading("training.device_hours", 19), "training.device_\nhours");
        assert_eq!(heading("model.layers", 2), "model.\nlayers");
        assert_eq!(heading("model.layers", 40), "model.layers");
    }
}
