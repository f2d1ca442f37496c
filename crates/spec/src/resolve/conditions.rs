//! Conditions of a plan, written out: `let` statements put in and units made literal, so that only paths are left.

use super::plans::Draft;
use super::values::{Names, unit};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Expr, Node, Op};
use crate::limits;
use crate::plan::{Comparison, Requirement};
use crate::source::{Sources, Span};

/// The conditions of a plan, with lets put in and units made literal: what is left are paths.
pub(super) fn requirements(
    draft: &Draft,
    names: &Names<'_>,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<Requirement>> {
    let mut requirements = Vec::new();
    for condition in &draft.conditions {
        let mut left = Vec::new();
        let mut right = Vec::new();
        let whole = inline(&condition.left, condition.scope, names, &mut left, 0)
            .and_then(|()| inline(&condition.right, condition.scope, names, &mut right, 0));
        let span = condition.left.span()?.to(condition.right.span()?);
        if whole.is_none() {
            let title = "this condition is too large once its names are written out";
            diagnostics.push(Diagnostic::error(Code::NestingTooDeep, span, title));
            return None;
        }
        let reason = condition.reason.map(|reason| {
            let mut found = Vec::new();
            crate::grammar::unquoted(sources.slice(reason), reason, &mut found)
        });
        requirements.push(Requirement {
            strict: condition.strict,
            text: sources.slice(span).split_whitespace().collect::<Vec<_>>().join(" "),
            reason,
            span,
            left: Expr { nodes: left },
            comparison: match sources.slice(condition.comparison) {
                "<" => Comparison::Less,
                "<=" => Comparison::LessEqual,
                ">" => Comparison::Greater,
                ">=" => Comparison::GreaterEqual,
                "==" => Comparison::Equal,
                _ => Comparison::NotEqual,
            },
            right: Expr { nodes: right },
        });
    }
    Some(requirements)
}

/// Writes an expression out; `None` when it grows past all bounds.
fn inline(expr: &Expr, scope: Span, names: &Names<'_>, out: &mut Vec<Node>, depth: usize) -> Option<()> {
    if depth > limits::MAX_NESTING {
        return None;
    }
    for node in &expr.nodes {
        match &node.op {
            Op::Name(name) => match (names.binding(name, scope), unit(name)) {
                (Some(binding), _) => inline(&binding.value, scope, names, out, depth + 1)?,
                (None, Some(quantity)) => out.push(Node { span: node.span, op: Op::Quantity(quantity) }),
                (None, None) => out.push(node.clone()),
            },
            _ => out.push(node.clone()),
        }
        if out.len() > limits::MAX_STATEMENT_BYTES {
            return None;
        }
    }
    Some(())
}
