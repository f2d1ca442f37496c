//! Lists spread out: one draft of a plan for each combination of their values.

use super::blocks::AttributeDef;
use super::files::Files;
use super::plans::Draft;
use super::values::{Names, Paths, elements, sweeps};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Expr, Failure, Node, Op, Value};
use crate::limits;
use crate::schema::PathKind;
use crate::source::{Sources, Span};
use crate::units::Quantity;

/// One draft for each combination of the lists' values.
pub(super) fn variants(
    draft: Draft,
    files: &Files,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Draft> {
    let mut swept: Vec<(String, Vec<Expr>)> = Vec::new();
    for (path, attribute) in &draft.attributes {
        if !sweeps(attribute.ty) {
            continue;
        }
        let values = match attribute.value.nodes.last().map(|node| &node.op) {
            Some(Op::List(_)) => elements(&attribute.value),
            Some(Op::Range(_)) => range(attribute, files, diagnostics),
            _ => None,
        };
        swept.extend(values.map(|values| (path.clone(), values)));
    }
    let total = swept.iter().try_fold(1_usize, |total, (_, values)| total.checked_mul(values.len()));
    let Some(total) = total.filter(|total| *total <= limits::MAX_VARIANTS) else {
        diagnostics.push(
            Diagnostic::error(
                Code::TooManyVariants,
                draft.span,
                "the lists of this plan have too many combinations",
            )
            .note(format!("at most {} are computed", limits::MAX_VARIANTS)),
        );
        return Vec::new();
    };
    if let Some((path, _)) = swept.iter().find(|(_, values)| values.is_empty()) {
        let place = draft.attributes.get(path).map_or(draft.span, |attribute| attribute.span);
        diagnostics.push(Diagnostic::error(Code::InvalidValue, place, "the list is empty"));
        return Vec::new();
    }
    let mut drafts = Vec::with_capacity(total);
    for number in 0..total {
        let mut variant = draft.clone();
        // The last list turns fastest.
        let mut rest = number;
        for (path, values) in swept.iter().rev() {
            let value = &values[rest % values.len()];
            if path == "hardware.device" {
                variant.choose_device(rest % values.len());
            }
            rest /= values.len();
            let shown = value.span().map_or_else(String::new, |span| match value.nodes.as_slice() {
                // A value of a range has no text of its own.
                [Node { op: Op::Quantity(quantity), .. }]
                    if draft.attributes[path].value.nodes.len() != values.len() + 1 =>
                {
                    shown(*quantity)
                }
                _ => sources.slice(span).to_owned(),
            });
            variant.variant.insert(0, (path.clone(), shown));
            if let Some(attribute) = variant.attributes.get_mut(path) {
                attribute.value = value.clone();
            }
        }
        drafts.push(variant);
    }
    drafts
}

impl Draft {
    fn choose_device(&mut self, index: usize) {
        for kind in ["device", "generation"] {
            let prefix = format!("{kind}@{index}.");
            let chosen: Vec<(String, AttributeDef)> = self
                .attributes
                .iter()
                .filter_map(|(path, attribute)| {
                    Some((format!("{kind}.{}", path.strip_prefix(&prefix)?), attribute.clone()))
                })
                .collect();
            for (path, attribute) in chosen {
                self.attributes.entry(path).or_insert(attribute);
            }
        }
    }
}

fn shown(quantity: Quantity) -> String {
    crate::units::format::quantity(
        quantity.number,
        quantity.unit,
        12,
        crate::units::format::BytePrefix::Decimal,
    )
}

/// The values of a range, as expressions.
fn range(attribute: &AttributeDef, files: &Files, diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<Expr>> {
    struct Nothing;
    impl Paths for Nothing {
        fn path(&mut self, _: &mut Names<'_>, path: &str, _: PathKind, span: Span) -> Result<Value, Failure> {
            let title = format!("a range cannot depend on `{path}`");
            Err(Diagnostic::error(Code::InvalidRange, span, title).help("write its bounds as numbers").into())
        }
    }
    let span = attribute.value.span()?;
    let mut names = Names::new(files, attribute.scope);
    match names.evaluate(&attribute.value, attribute.scope, &mut Nothing) {
        Ok(Value::List(values)) => Some(
            values
                .into_iter()
                .filter_map(|value| match value {
                    Value::Quantity { number: Some(number), unit, .. } => {
                        Some(Expr { nodes: vec![Node { span, op: Op::Quantity(Quantity { number, unit }) }] })
                    }
                    _ => None,
                })
                .collect(),
        ),
        Ok(_) => None,
        Err(Failure(diagnostic)) => {
            diagnostics.extend(diagnostic.map(|diagnostic| *diagnostic));
            Some(Vec::new())
        }
    }
}
