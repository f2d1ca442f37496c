//! The report as text.

use std::fmt::Write as _;

use llmplan_analysis::report::Report;

use super::comparison::compare;
use super::paint::Paint;
use super::{WIDTH, clean, diagnostic, tables, verdict, wrapped};
use crate::examine::{Examined, Outcome};
use crate::levers;

/// Everything about one input: verdict, what is wrong, then the report of each plan or just its headline.
pub(crate) fn render(examined: &Examined, brief: bool, paint: Paint) -> String {
    let mut text = String::new();
    let faults = diagnostic::all(&examined.diagnostics, &examined.sources, &examined.file, paint);
    let groups = groups(&examined.plans);
    // With one plan, what is wrong with the file is part of the plan's verdict.
    let single = groups.len() == 1;
    if groups.is_empty() || (!single && !faults.is_empty()) {
        let _ =
            write!(text, "{}  {}\n\n{faults}", clean(&examined.file), verdict::file(examined).painted(paint));
    }
    for group in groups {
        let own = group.first().map_or(&[][..], |outcome| outcome.faults.as_slice());
        let diagnostics = if single { examined.diagnostics.as_slice() } else { own };
        let (verdict, body) = match group {
            [outcome @ Outcome { plan, report: Some(report), .. }] if plan.variant.is_empty() => {
                (verdict::plan(report, diagnostics), one(examined, (outcome, report), brief, paint))
            }
            [Outcome { plan, report: None, .. }] if plan.variant.is_empty() => {
                (verdict::faulty(diagnostics), String::new())
            }
            _ => {
                let broken = group
                    .iter()
                    .filter(|outcome| !outcome.report.as_ref().is_some_and(Report::holds))
                    .count();
                (verdict::variants(group.len(), broken, diagnostics), variants(group, paint))
            }
        };
        let name = group.first().map_or("", |outcome| outcome.plan.name.as_str());
        let _ = write!(
            text,
            "{}  plan {}: {}\n\n{}{body}",
            clean(&examined.file),
            paint.strong(&clean(name)),
            verdict.painted(paint),
            if single { faults.as_str() } else { "" },
        );
    }
    text
}

/// The outcomes by plan: the variants of one stand together.
pub(crate) fn groups(plans: &[Outcome]) -> Vec<&[Outcome]> {
    plans.chunk_by(|a, b| a.plan.name == b.plan.name && a.plan.span == b.plan.span).collect()
}

fn one(examined: &Examined, (outcome, report): (&Outcome, &Report), brief: bool, paint: Paint) -> String {
    let mut text = String::new();
    for fault in levers::broken(examined, outcome) {
        let _ = write!(text, "{}\n\n", diagnostic::one(&fault, &examined.sources, &examined.file, paint));
    }
    if brief {
        let _ = writeln!(text, "{}", tables::headline(report).text(WIDTH, paint));
        return text;
    }
    for section in &report.sections {
        titled(&mut text, &section.title, &tables::section(section).text(WIDTH, paint), paint);
        for note in &section.notes {
            sentence(&mut text, note);
        }
        text.push('\n');
    }
    if !report.requirements.is_empty() {
        titled(
            &mut text,
            "Requirements",
            &tables::requirements(&report.requirements).text(WIDTH, paint),
            paint,
        );
        text.push('\n');
    }
    if !report.conventions.is_empty() {
        titled(&mut text, "Conventions", "", paint);
        for convention in &report.conventions {
            sentence(&mut text, convention);
        }
        text.push('\n');
    }
    if !report.assumptions.is_empty() {
        titled(&mut text, "Assumptions", &tables::assumptions(&report.assumptions).text(WIDTH, paint), paint);
        text.push('\n');
    }
    text
}

fn variants(group: &[Outcome], paint: Paint) -> String {
    let comparison = compare(group, Some(WIDTH));
    let mut text = comparison.table.text(WIDTH, paint);
    if !comparison.notes.is_empty() {
        text.push('\n');
    }
    for note in &comparison.notes {
        sentence(&mut text, note);
    }
    text.push('\n');
    text
}

fn titled(text: &mut String, title: &str, body: &str, paint: Paint) {
    let _ = write!(text, "{}\n{body}", paint.strong(&clean(title)));
}

/// A sentence below a table; its further lines are moved in.
fn sentence(text: &mut String, sentence: &str) {
    for (at, line) in wrapped(&clean(sentence), WIDTH - 4).iter().enumerate() {
        let _ = writeln!(text, "  {}{line}", if at == 0 { "" } else { "  " });
    }
}
