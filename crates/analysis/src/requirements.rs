//! `require` and `prefer`, judged against the report's own quantities.

use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::expr::{self, Expr, Failure, Value as Evaluated};
use llmplan_spec::plan::{Comparison, Requirement};
use llmplan_spec::schema::{self, PathKind};
use llmplan_spec::source::Span;
use llmplan_spec::units::{Number, Unit, format};

use crate::missing::{self, Why};
use crate::quantities::{Known, Quantities, in_percent};
use crate::report::{Derivation, Judgement, Quantity};

/// Judges every condition of the plan. One that cannot be computed, or only in part, is an error of the plan, never a
/// pass.
pub(crate) fn judge(q: &mut Quantities<'_>) -> (Vec<Judgement>, Vec<Diagnostic>) {
    let plan = q.plan;
    let mut judgements = Vec::new();
    let mut diagnostics = Vec::new();
    for requirement in &plan.requirements {
        for (name, _) in requirement.left.names().chain(requirement.right.names()) {
            q.leaf(name);
        }
        match (side(q, &requirement.left), side(q, &requirement.right)) {
            (Ok(left), Ok(right)) => judgements.push(judgement(q, requirement, left, right)),
            (left, right) => {
                for failure in [left.err(), right.err()].into_iter().flatten() {
                    diagnostics.extend(failure.0.map(|diagnostic| *diagnostic));
                }
            }
        }
    }
    (judgements, diagnostics)
}

/// Why a name of a condition has no value in this plan.
pub(crate) fn not_computable(q: &Quantities<'_>, name: &str, span: Span) -> Diagnostic {
    let error = |title: String| Diagnostic::error(Code::NotComputable, span, title);
    let mut diagnostic = match schema::path(name) {
        Some(PathKind::Derived(derived)) => {
            error(format!("`{name}` cannot be computed for this plan")).label(derived.meaning)
        }
        _ => error(format!("`{name}` has no value in this plan")),
    };
    let Why { needs, instead, reasons } = missing::why(name, q.plan, &|path| q.get(path).is_some(), &q.notes);
    for reason in reasons {
        diagnostic = diagnostic.note(reason);
    }
    let declare = match (schema::path(name), needs.as_slice()) {
        (Some(PathKind::Declared(_)), _) => Some(format!("declare `{name}`")),
        (_, []) => None,
        (_, needs) => {
            let named: Vec<String> = needs.iter().map(|need| format!("`{need}`")).collect();
            let them = if needs.len() > 1 { "them" } else { "it" };
            Some(format!("it needs {}: declare {them}", named.join(" and ")))
        }
    };
    match (declare, instead) {
        (Some(declare), Some(instead)) => diagnostic.help(format!("{declare}; {instead}")),
        (Some(declare), None) => diagnostic.help(declare),
        (None, _) => diagnostic,
    }
}

/// A side of a comparison: its number and unit.
type Side = (Number, Unit);

fn side(q: &Quantities<'_>, expr: &Expr) -> Result<Side, Failure> {
    match expr::evaluate(expr, &mut Known { quantities: q })? {
        Evaluated::Quantity { number: Some(number), unit, .. } => Ok((number, unit)),
        other => Err(match expr.span() {
            Some(span) => Diagnostic::error(Code::TypeMismatch, span, "a condition compares numbers")
                .label(format!("this is {}", other.describe()))
                .into(),
            None => Failure(None),
        }),
    }
}

fn judgement(q: &Quantities<'_>, requirement: &Requirement, left: Side, right: Side) -> Judgement {
    let order = left.0.compare(right.0);
    let holds = match requirement.comparison {
        Comparison::Less => order.is_lt(),
        Comparison::LessEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterEqual => order.is_ge(),
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
    };
    let unit = Unit { noun: left.1.noun.or(right.1.noun), ..left.1 };
    let share = share_like(requirement);
    let show = |number: Number, digits: usize| {
        if share { format::percent(number.real()) } else { q.show(number, unit, digits) }
    };
    // Two different numbers are never shown as the same text.
    let digits = [4, 6, 9, 12, 17]
        .into_iter()
        .find(|digits| order.is_eq() || show(left.0, *digits) != show(right.0, *digits));
    let digits = digits.unwrap_or(17);
    let difference = left.0.real() - right.0.real();
    let excess = (!holds && requirement.comparison != Comparison::NotEqual).then(|| {
        let direction = if difference > 0.0 { "over" } else { "short" };
        let relative = if right.0.real() == 0.0 {
            String::new()
        } else {
            format!(", {}", format::percent((difference / right.0.real()).abs()))
        };
        format!("{direction} by {}{relative}", show(Number::Real(difference.abs()), 3))
    });
    Judgement {
        condition: requirement.text.clone(),
        strict: requirement.strict,
        holds,
        value: show(left.0, digits),
        value_number: Some(format::round(left.0.real(), 12)),
        limit: show(right.0, digits),
        limit_number: Some(format::round(right.0.real(), 12)),
        comparison: requirement.comparison,
        excess,
        reason: requirement.reason.clone(),
        contributors: if holds { Vec::new() } else { contributors(q, &requirement.left) },
        span: requirement.span,
    }
}

/// Whether a condition is about a share, to be shown in percent.
fn share_like(requirement: &Requirement) -> bool {
    let share = |expr: &Expr| expr.as_name().is_some_and(|(name, _)| in_percent(name));
    share(&requirement.left) || share(&requirement.right)
}

/// What a value is made of: the parts of a sum by size, else what it is computed from.
fn contributors(q: &Quantities<'_>, expr: &Expr) -> Vec<String> {
    let Some(quantity) = expr.as_name().and_then(|(name, _)| q.get(name)) else {
        let parts = expr.names().filter_map(|(name, _)| q.get(name));
        return parts.take(3).map(|part| format!("{} is {}", part.path, part.display)).collect();
    };
    let Derivation::Formula { text, inputs, .. } = &quantity.derivation else { return Vec::new() };
    let mut parts: Vec<&Quantity> = inputs.iter().filter_map(|input| q.get(input)).collect();
    let is_sum = text.split(" + ").all(|term| inputs.iter().any(|input| input == term));
    if !is_sum || parts.len() < 2 {
        return parts.into_iter().take(3).map(|part| format!("{} is {}", part.path, part.display)).collect();
    }
    let total = quantity.value.number().unwrap_or(0.0);
    let size = |part: &Quantity| part.value.number().unwrap_or(0.0);
    parts.sort_by(|a, b| size(b).total_cmp(&size(a)));
    let line = |part: &&Quantity| {
        format!("{} is {}, {}", part.path, part.display, format::percent(size(part) / total))
    };
    parts.iter().take(3).map(line).collect()
}
