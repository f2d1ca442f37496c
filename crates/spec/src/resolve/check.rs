//! What can be said about files before any plan is put together: names, units, types and ranges of every statement,
//! used by a plan or not.

use std::collections::BTreeSet;

use super::blocks::{CONDITIONS, ConditionDef};
use super::files::{Files, Override};
use super::values::{Names, Paths, elements, sweeps, typed};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Expr, Failure, Value};
use crate::limits;
use crate::schema::{self, PathKind, Type, suggest};
use crate::source::Span;

/// Checks every statement of every file, and the overrides of the command line.
pub(super) fn files(files: &Files, overrides: &[Override], diagnostics: &mut Vec<Diagnostic>) {
    let Some(first) = files.files.first() else { return };
    let mut checker =
        Checker { names: Names::new(files, Span { file: first.id, start: 0, end: 0 }), diagnostics };
    for file in &files.files {
        let whole = Span { file: file.id, start: 0, end: 0 };
        for binding in file.lets.values() {
            checker.expression(&binding.value, whole);
        }
        for block in &file.blocks {
            if checker.diagnostics.len() >= limits::MAX_DIAGNOSTICS {
                return;
            }
            for binding in block.lets.values() {
                checker.expression(&binding.value, block.header);
            }
            let picks = block.schema.kind == "plan";
            for attribute in &block.attributes {
                match picks {
                    true => {
                        checker.override_(&attribute.path, attribute.span, &attribute.value, attribute.scope)
                    }
                    false => checker.attribute(&attribute.value, attribute.ty, attribute.scope),
                }
            }
            for condition in &block.conditions {
                checker.condition(condition);
            }
            checker.complete(block);
        }
    }
    for given in overrides {
        checker.override_(&given.path, given.span, &given.value, given.span);
    }
}

struct Checker<'a, 'd> {
    names: Names<'a>,
    diagnostics: &'d mut Vec<Diagnostic>,
}

/// Paths stand for their units.
struct Units;

impl Paths for Units {
    fn path(&mut self, _: &mut Names<'_>, _: &str, kind: PathKind, _: Span) -> Result<Value, Failure> {
        Ok(match kind.unit() {
            Some(unit) => Value::Quantity { number: None, unit, firm: unit.noun.is_some() },
            None => Value::Word("".into()),
        })
    }
}

impl Checker<'_, '_> {
    fn report(&mut self, failure: Failure) {
        if let Failure(Some(diagnostic)) = failure {
            self.diagnostics.push(*diagnostic);
        }
    }

    fn expression(&mut self, expr: &Expr, scope: Span) {
        // A word that stands for itself, such as `let kind = swiglu`, is judged where it is used.
        if let Err(failure) = self.names.evaluate(expr, scope, &mut Units) {
            self.report(failure);
        }
    }

    fn attribute(&mut self, expr: &Expr, ty: &Type, scope: Span) {
        match elements(expr) {
            Some(elements) if sweeps(ty) => {
                for element in elements {
                    self.single(&element, ty, scope);
                }
            }
            _ if sweeps(ty)
                && matches!(expr.nodes.last().map(|node| &node.op), Some(crate::expr::Op::Range(_))) =>
            {
                self.expression(expr, scope)
            }
            _ => self.single(expr, ty, scope),
        }
    }

    fn single(&mut self, expr: &Expr, ty: &Type, scope: Span) {
        self.names.derived = None;
        match typed(&mut self.names, expr, ty, scope, &mut Units) {
            Err(failure) => self.report(failure),
            Ok(_) => {
                if let Some((path, span)) = self.names.derived.take() {
                    self.diagnostics.push(
                        Diagnostic::error(Code::DerivedInAttribute, span, format!("`{path}` is computed from the plan"))
                            .label("known only after every attribute is")
                            .help("attributes may use what is declared, and `model.params` and `model.active_params`"),
                    );
                }
            }
        }
    }

    /// An attribute of a plan, or of the command line: a block picked by name, or a path and its value.
    fn override_(&mut self, path: &str, span: Span, value: &Expr, scope: Span) {
        if let Some(attribute) = schema::block("plan").and_then(|plan| plan.attribute(path)) {
            return self.attribute(value, &attribute.ty, scope);
        }
        match schema::path(path) {
            Some(PathKind::Declared(_)) if path.starts_with("hardware.measured.") => self.diagnostics.push(
                Diagnostic::error(
                    Code::InvalidOverride,
                    span,
                    format!("`{path}` is measured, it cannot be set"),
                )
                .help("cite another file with `hardware.measured`, or set `training.mfu`"),
            ),
            Some(PathKind::Declared(attribute)) => self.attribute(value, &attribute.ty, scope),
            Some(PathKind::Derived(_)) => self.diagnostics.push(
                Diagnostic::error(
                    Code::InvalidOverride,
                    span,
                    format!("`{path}` is computed, it cannot be set"),
                )
                .help("set what it is computed from; `llmplan explain` shows that"),
            ),
            None if path.starts_with("data.") && path.matches('.').count() == 2 => {
                self.attribute(value, &super::blocks::STAGE, scope);
            }
            None => {
                let diagnostic =
                    Diagnostic::error(Code::InvalidOverride, span, format!("there is no attribute `{path}`"));
                self.diagnostics.push(match suggest::path(path) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")).fix(span, near),
                    None => {
                        diagnostic.help("overrides are whole paths, such as `training.parallelism.tensor`")
                    }
                });
            }
        }
    }

    fn condition(&mut self, condition: &ConditionDef) {
        let mut side = |expr: &Expr| {
            let value = self.names.evaluate(expr, condition.scope, &mut Units);
            value.map_err(|failure| self.report(failure)).ok()
        };
        let (left, right) = (side(&condition.left), side(&condition.right));
        let (Some(left), Some(right)) = (left, right) else { return };
        let (Some(left_span), Some(right_span)) = (condition.left.span(), condition.right.span()) else {
            return;
        };
        match (&left, &right) {
            (Value::Quantity { unit: a, firm: af, .. }, Value::Quantity { unit: b, firm: bf, .. }) => {
                let nouns = *af && *bf && a.noun.is_some() && b.noun.is_some() && a.noun != b.noun;
                if a.dimension != b.dimension || nouns {
                    let title = format!("{} cannot be compared with {}", a.words(), b.words());
                    self.diagnostics.push(
                        Diagnostic::error(Code::UnitMismatch, left_span, title)
                            .label(format!("this is in {}", a.words()))
                            .also(right_span, format!("this is in {}", b.words())),
                    );
                }
            }
            _ => {
                let (span, value) = if matches!(left, Value::Quantity { .. }) {
                    (right_span, &right)
                } else {
                    (left_span, &left)
                };
                self.diagnostics.push(
                    Diagnostic::error(Code::TypeMismatch, span, "a condition compares numbers")
                        .label(format!("this is {}", value.describe())),
                );
            }
        }
    }

    /// Required attributes that a block lacks; one that extends another may take them from there.
    fn complete(&mut self, block: &super::blocks::BlockDef) {
        if block.extends.is_some() || block.schema.kind == "plan" || std::ptr::eq(block.schema, &CONDITIONS) {
            return;
        }
        let declared: BTreeSet<&str> =
            block.attributes.iter().map(|attribute| attribute.path.as_str()).collect();
        let mut missing = Vec::new();
        let mut nested = Vec::new();
        // Layers that differ may have what the others lack: that is judged layer by layer.
        let alike = !declared.contains("mixer") && !declared.iter().any(|path| path.starts_with("layer."));
        let present = |block: &str| declared.iter().any(|path| path.starts_with(block));
        required(block.schema, "", alike, &present, &mut |path| {
            if !declared.contains(path) {
                missing.push(path.to_owned());
            }
        });
        for (name, _) in &block.named {
            let named =
                block.schema.blocks.iter().find(|nested| !matches!(nested.naming, schema::Naming::Never));
            let Some(schema) = named else { continue };
            let prefix = match schema.naming {
                schema::Naming::Keyed => format!("{}.{name}.", schema.kind),
                _ => format!("{name}."),
            };
            for attribute in schema.attributes {
                let path = format!("{prefix}{}", attribute.name);
                if matches!(attribute.default, schema::Default::Required) && !declared.contains(path.as_str())
                {
                    nested.push(path);
                }
            }
        }
        missing.extend(nested);
        for path in missing {
            let (outer, leaf) = path.rsplit_once('.').unwrap_or(("", &path));
            // Its line is there, and what is wrong with it has been said.
            if block.mentioned.iter().any(|word| word == leaf || word == outer) {
                continue;
            }
            let kind = block.schema.kind;
            let title = match outer {
                "" => format!("`{kind}` needs `{leaf}`"),
                outer => format!("`{kind}` needs `{leaf}` in `{outer}`"),
            };
            let words = schema::declared(&format!("{kind}.{path}")).map(|attribute| attribute.ty.words());
            let place = block
                .named
                .iter()
                .find(|(name, _)| name == outer || outer.split_once('.').map(|(_, own)| own) == Some(name))
                .map_or(block.header, |(_, span)| *span);
            let mut diagnostic = Diagnostic::error(Code::MissingAttribute, place, title);
            if let Some(words) = words {
                let example = if outer.is_empty() || place != block.header {
                    format!("add `{leaf} = …`: {words}")
                } else {
                    format!("add `{outer} {{ {leaf} = … }}`: {words}")
                };
                diagnostic = diagnostic.help(example);
            }
            self.diagnostics.push(diagnostic);
        }
    }
}

/// The paths of a block's required attributes, those of nested blocks included that are there.
fn required(
    schema: &'static schema::BlockSchema,
    prefix: &str,
    alike: bool,
    present: &dyn Fn(&str) -> bool,
    found: &mut dyn FnMut(&str),
) {
    for attribute in schema.attributes {
        let needed = match attribute.default {
            schema::Default::Required => true,
            schema::Default::RequiredFor("mixer", _) => alike,
            _ => false,
        };
        if needed {
            found(&format!("{prefix}{}", attribute.name));
        }
    }
    for nested in schema.blocks.iter().filter(|nested| nested.naming == schema::Naming::Never) {
        let path = format!("{prefix}{}.", nested.kind);
        if nested.presence == schema::Presence::Always || (alike && present(&path)) {
            required(nested, &path, alike, present, found);
        }
    }
}
