//! The report in Markdown: the same parts as the text, as GitHub shows them.

use std::fmt::Write as _;

use llmplan_analysis::report::Report;

use super::comparison::compare;
use super::paint::Paint;
use super::{clean, diagnostic, tables, text, verdict};
use crate::examine::{Examined, Outcome};
use crate::levers;

/// Everything about one input.
pub(crate) fn render(examined: &Examined, brief: bool) -> String {
    let mut text = String::new();
    let faults =
        fenced(&diagnostic::all(&examined.diagnostics, &examined.sources, &examined.file, Paint::PLAIN));
    let groups = text::groups(&examined.plans);
    let single = groups.len() == 1;
    if groups.is_empty() || (!single && !faults.is_empty()) {
        let verdict = verdict::file(examined).text;
        let _ = write!(text, "# {}\n\n{}\n\n{faults}", escaped(&examined.file), strong(&verdict));
    }
    for group in groups {
        let own = group.first().map_or(&[][..], |outcome| outcome.faults.as_slice());
        let diagnostics = if single { examined.diagnostics.as_slice() } else { own };
        let (verdict, body) = match group {
            [outcome @ Outcome { plan, report: Some(report), .. }] if plan.variant.is_empty() => {
                (verdict::plan(report, diagnostics), one(examined, (outcome, report), brief))
            }
            [Outcome { plan, report: None, .. }] if plan.variant.is_empty() => {
                (verdict::faulty(diagnostics), String::new())
            }
            _ => {
                let broken = group
                    .iter()
                    .filter(|outcome| !outcome.report.as_ref().is_some_and(Report::holds))
                    .count();
                (verdict::variants(group.len(), broken, diagnostics), variants(group))
            }
        };
        let name = group.first().map_or("", |outcome| outcome.plan.name.as_str());
        let _ = write!(
            text,
            "# {}: plan {}\n\n{}\n\n{}{body}",
            escaped(&examined.file),
            escaped(name),
            strong(&verdict.text),
            if single { faults.as_str() } else { "" },
        );
    }
    text
}

fn one(examined: &Examined, (outcome, report): (&Outcome, &Report), brief: bool) -> String {
    let mut text = String::new();
    for fault in levers::broken(examined, outcome) {
        text.push_str(&fenced(&diagnostic::one(&fault, &examined.sources, &examined.file, Paint::PLAIN)));
    }
    if brief {
        let _ = writeln!(text, "{}", tables::headline(report).markdown());
        return text;
    }
    for section in &report.sections {
        let _ = writeln!(text, "## {}\n", escaped(&section.title));
        // Some sections are notes alone.
        if !section.columns.is_empty() {
            let _ = writeln!(text, "{}", tables::section(section).markdown());
        }
        list(&mut text, &section.notes);
    }
    if !report.requirements.is_empty() {
        let _ =
            writeln!(text, "## Requirements\n\n{}", tables::requirements(&report.requirements).markdown());
    }
    if !report.conventions.is_empty() {
        text.push_str("## Conventions\n\n");
        list(&mut text, &report.conventions);
    }
    if !report.assumptions.is_empty() {
        let _ = writeln!(text, "## Assumptions\n\n{}", tables::assumptions(&report.assumptions).markdown());
    }
    text
}

fn variants(group: &[Outcome]) -> String {
    let comparison = compare(group, None);
    let mut text = format!("{}\n", comparison.table.markdown());
    list(&mut text, &comparison.notes);
    text
}

fn list(text: &mut String, sentences: &[String]) {
    for sentence in sentences {
        let _ = writeln!(text, "- {}", escaped(sentence));
    }
    if !sentences.is_empty() {
        text.push('\n');
    }
}

fn strong(verdict: &str) -> String {
    let (word, rest) = verdict.split_at(verdict.find([',', ':']).unwrap_or(verdict.len()));
    format!("**{word}**{}", escaped(rest))
}

/// A text as a block of code, behind a fence longer than any run of backticks in it.
fn fenced(text: &str) -> String {
    let text = text.trim_end();
    if text.is_empty() {
        return String::new();
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{text}\n{fence}\n\n")
}

/// A text as it is read, not as Markdown: but `code` in backticks stays code.
pub(crate) fn escaped(text: &str) -> String {
    let text = clean(text);
    // The last backtick of an odd number opens nothing.
    let paired = text.matches('`').count() / 2 * 2;
    let (mut seen, mut out) = (0, String::with_capacity(text.len() + 8));
    for c in text.chars() {
        let code = seen % 2 == 1 && seen < paired;
        match c {
            '`' if seen < paired => out.push('`'),
            '|' => out.push_str("\\|"),
            '<' if !code => out.push_str("&lt;"),
            '>' if !code => out.push_str("&gt;"),
            '&' if !code => out.push_str("&amp;"),
            '*' | '$' | '~' | '[' | ']' | '\\' | '`' if !code => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
        seen += usize::from(c == '`');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_markdown_would_read_is_escaped_but_code_is_kept() {
        assert_eq!(escaped("a | b"), "a \\| b");
        assert_eq!(escaped("<b> & $2.00"), "&lt;b&gt; &amp; \\$2.00");
        assert_eq!(escaped("`x <= 2 | 3` < 4"), "`x <= 2 \\| 3` &lt; 4");
        assert_eq!(escaped("a ` b < c"), "a \\` b &lt; c");
        assert_eq!(escaped("two\nlines"), "two lines");
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        assert_eq!(fenced("a ``` b"), "````text\na ``` b\n````\n\n");
        assert_eq!(fenced("a"), "```text\na\n```\n\n");
        assert_eq!(fenced("\n"), "");
    }
}
