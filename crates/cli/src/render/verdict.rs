//! The first line: is the plan fine, and if not, how much is wrong with it.

use llmplan_analysis::report::Report;
use llmplan_spec::diagnostic::{Diagnostic, Severity};

use super::paint::Paint;
use crate::examine::Examined;

/// `OK, 3 requirements hold`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// Whether the exit code is 0.
    pub(crate) fine: bool,
    /// `OK` or `FAILS`, and why.
    pub(crate) text: String,
}

impl Verdict {
    /// The verdict with its word in green or red.
    pub(crate) fn painted(&self, paint: Paint) -> String {
        let word = if self.fine { "OK" } else { "FAILS" };
        let rest = self.text.strip_prefix(word).unwrap_or(&self.text);
        format!("{}{rest}", if self.fine { paint.good(word) } else { paint.bad(word) })
    }
}

/// The verdict on a plan, with what is wrong with its file where that belongs to this line.
pub(crate) fn plan(report: &Report, diagnostics: &[Diagnostic]) -> Verdict {
    let (strict, soft): (Vec<_>, Vec<_>) = report.requirements.iter().partition(|judgement| judgement.strict);
    let broken = strict.iter().filter(|judgement| !judgement.holds).count();
    let unmet = soft.iter().filter(|judgement| !judgement.holds).count();
    let (errors, mut reasons) = counted(diagnostics);
    match (strict.len(), broken) {
        (0, _) => {}
        (1, 0) => reasons.push("1 requirement holds".to_owned()),
        (total, 0) => reasons.push(format!("{total} requirements hold")),
        (1, _) => reasons.push("the requirement is broken".to_owned()),
        (total, 1) => reasons.push(format!("1 of {total} requirements is broken")),
        (total, broken) => reasons.push(format!("{broken} of {total} requirements are broken")),
    }
    match (soft.len(), unmet) {
        (_, 0) => {}
        (1, _) => reasons.push("the preference is not met".to_owned()),
        (total, 1) => reasons.push(format!("1 of {total} preferences is not met")),
        (total, unmet) => reasons.push(format!("{unmet} of {total} preferences are not met")),
    }
    verdict(errors == 0 && broken == 0, &reasons)
}

/// The verdict on a file as a whole: what its diagnostics say, and what it declares where it has no plan.
pub(crate) fn file(examined: &Examined) -> Verdict {
    let (errors, mut reasons) = counted(&examined.diagnostics);
    if errors == 0 && examined.plans.is_empty() {
        let blocks: Vec<String> = examined.blocks.iter().map(|&(kind, count)| blocks(kind, count)).collect();
        reasons.push(match blocks.as_slice() {
            [] => "no plan".to_owned(),
            blocks => format!("no plan; it declares {}", blocks.join(", ")),
        });
    }
    verdict(errors == 0, &reasons)
}

/// The verdict on a plan that has no report.
pub(crate) fn faulty(diagnostics: &[Diagnostic]) -> Verdict {
    verdict(false, &counted(diagnostics).1)
}

/// The verdict on all variants of a plan.
pub(crate) fn variants(total: usize, broken: usize, diagnostics: &[Diagnostic]) -> Verdict {
    let (errors, mut reasons) = counted(diagnostics);
    reasons.push(match broken {
        0 => format!("{total} variants"),
        1 => format!("1 of {total} variants fails"),
        broken => format!("{broken} of {total} variants fail"),
    });
    verdict(errors == 0 && broken == 0, &reasons)
}

/// How many errors there are, and errors and warnings in words.
fn counted(diagnostics: &[Diagnostic]) -> (usize, Vec<String>) {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let warnings = diagnostics.len() - errors;
    let words = [(errors, "error"), (warnings, "warning")];
    (
        errors,
        words.into_iter().filter(|&(count, _)| count > 0).map(|(count, word)| plural(count, word)).collect(),
    )
}

fn verdict(fine: bool, reasons: &[String]) -> Verdict {
    let word = if fine { "OK" } else { "FAILS" };
    let gap = match (fine, reasons.is_empty()) {
        (_, true) => "",
        (true, false) => ", ",
        (false, false) => ": ",
    };
    Verdict { fine, text: format!("{word}{gap}{}", reasons.join(", ")) }
}

/// `1 error`, `3 errors`.
pub(crate) fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// `1 device`; blocks whose kind is no countable noun are called by it: `2 data blocks`.
fn blocks(kind: &str, count: usize) -> String {
    match kind {
        "model" | "device" | "plan" | "budget" | "law" | "gain" => plural(count, kind),
        _ => plural(count, &format!("{kind} block")),
    }
}
