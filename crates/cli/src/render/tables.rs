//! A report's parts as tables, for text and Markdown alike.

use llmplan_analysis::report::{Assumption, Judgement, Report, Section};
use llmplan_spec::plan::Comparison;

use super::table::{Align, Column, Row, Table};

/// A section of the report.
pub(crate) fn section(section: &Section) -> Table {
    let prose = section.columns.len().saturating_sub(section.prose_columns);
    let align = |at: usize| match at {
        0 => Align::Left,
        at if at >= prose => Align::Prose,
        _ => Align::Right,
    };
    let column = |(at, title): (usize, &String)| Column { title: title.clone(), align: align(at) };
    let row = |row: &llmplan_analysis::report::Row| Row {
        cells: row.cells.clone(),
        total: row.total,
        indent: row.indent.into(),
    };
    Table {
        columns: section.columns.iter().enumerate().map(column).collect(),
        rows: section.rows.iter().map(row).collect(),
    }
}

/// The ten or so numbers of `--brief`.
pub(crate) fn headline(report: &Report) -> Table {
    let mut table = Table::new(&[("", Align::Left), ("", Align::Right), ("", Align::Prose)]);
    for quantity in report.headline.iter().filter_map(|path| report.get(path)) {
        table.push([&quantity.path, &quantity.display, quantity.meaning]);
    }
    table
}

/// Every condition with its verdict; a limit is shown where the condition does not say it as it is printed.
pub(crate) fn requirements(judgements: &[Judgement]) -> Table {
    let columns = [
        ("Verdict", Align::Left),
        ("condition", Align::Prose),
        ("value", Align::Right),
        ("limit", Align::Right),
        ("reason", Align::Prose),
    ];
    let mut table = Table::new(&columns);
    for judgement in judgements {
        let said = judgement.condition.ends_with(&judgement.limit);
        table.push([
            word(judgement),
            &judgement.condition,
            &judgement.value,
            if said { "" } else { &judgement.limit },
            judgement.reason.as_deref().unwrap_or_default(),
        ]);
    }
    table.without_empty_columns()
}

/// The defaults that a number rests on.
pub(crate) fn assumptions(assumptions: &[Assumption]) -> Table {
    let mut table =
        Table::new(&[("Attribute", Align::Left), ("value", Align::Right), ("because", Align::Prose)]);
    for assumption in assumptions {
        table.push([&assumption.path, &assumption.value, &assumption.why]);
    }
    table
}

/// What became of a condition, in a word.
pub(crate) fn word(judgement: &Judgement) -> &'static str {
    match (judgement.holds, judgement.strict) {
        (true, _) => "ok",
        (false, true) => "BROKEN",
        (false, false) => "not met",
    }
}

/// A comparison as plans spell it.
pub(crate) fn symbol(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Less => "<",
        Comparison::LessEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterEqual => ">=",
        Comparison::Equal => "==",
        Comparison::NotEqual => "!=",
    }
}
