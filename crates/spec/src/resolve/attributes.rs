//! The values of a draft's attributes, declared or by default, each computed when it is first asked for.

use std::collections::BTreeMap;

use super::blocks::AttributeDef;
use super::model::model;
use super::plans::Draft;
use super::values::{Names, Paths, Typed, typed};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Failure, Value};
use crate::plan::{Batch, Model, Origin, Setting, SettingValue};
use crate::schema::{self, Default, PathKind, Type};
use crate::source::{FileId, Span};
use crate::units::{Number, Quantity, Unit};

/// The values of a draft's attributes, computed when first asked for.
pub(super) struct Values<'a> {
    pub(super) draft: &'a Draft,
    pub(super) params: &'a dyn Fn(&Model) -> Option<(u128, u128)>,
    known: BTreeMap<String, Option<Typed>>,
    pub(super) settings: Vec<Setting>,
    counted: Option<(u128, u128)>,
    pub(super) found: Vec<Diagnostic>,
}

/// Stands for the attribute when it is missing from the draft and has no default.
struct Missing;

impl<'a> Values<'a> {
    pub(super) fn new(draft: &'a Draft, params: &'a dyn Fn(&Model) -> Option<(u128, u128)>) -> Values<'a> {
        Values {
            draft,
            params,
            known: BTreeMap::new(),
            settings: Vec::new(),
            counted: None,
            found: Vec::new(),
        }
    }

    /// An attribute's value; `None` where it has none or is wrong.
    pub(super) fn get(&mut self, names: &mut Names<'_>, path: &str) -> Option<Typed> {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let result = self.compute(names, path);
        let value = match result {
            Ok(found) => found.ok(),
            Err(failure) => {
                self.found.extend(failure.0.map(|diagnostic| *diagnostic));
                None
            }
        };
        self.known.insert(path.to_owned(), value.clone());
        value
    }

    fn compute(&mut self, names: &mut Names<'_>, path: &str) -> Result<Result<Typed, Missing>, Failure> {
        let draft = self.draft;
        if let Some(AttributeDef { value, ty, scope, span, .. }) = draft.attributes.get(path) {
            let used = names
                .open
                .last()
                .map(|(_, span)| *span)
                .filter(|span| span.file != FileId(u32::MAX))
                .unwrap_or(*span);
            names.enter(path, *span, used)?;
            let result = typed(names, value, ty, *scope, self);
            names.open.pop();
            let result = result?;
            self.settle(path, &result, Origin::Declared(value.span().unwrap_or(*span)), ty);
            return Ok(Ok(result));
        }
        let Some(attribute) = schema::declared(path) else { return Ok(Err(Missing)) };
        if schema::optional_block(path).is_some_and(|block| !draft.declares(block)) {
            return Ok(Err(Missing));
        }
        let (text, why) = match &attribute.default {
            Default::Required | Default::RequiredFor(..) | Default::Absent(_) => return Ok(Err(Missing)),
            Default::IfBlock(block, with, without, why) => {
                let declared = draft.declares(&format!("model.{block}"));
                (if declared { *with } else { *without }, *why)
            }
            Default::Value(text, why) => (*text, *why),
            Default::ByWord(attribute, rows) => {
                let other = path.rsplit_once('.').map(|(block, _)| format!("{block}.{attribute}"));
                let word = other.and_then(|other| self.get(names, &other));
                let row = rows.iter().find(|(words, _, _)| match &word {
                    Some(Typed::Word(word)) => words.contains(&word.as_str()),
                    _ => false,
                });
                match row {
                    Some((_, text, why)) => (*text, *why),
                    None => return Ok(Err(Missing)),
                }
            }
        };
        let place = Span { file: draft.span.file, start: u32::MAX, end: u32::MAX };
        let cyclic = names.open.iter().any(|(open, _)| open == path);
        if cyclic {
            // Two defaults that would each follow from the other: neither is declared.
            return Ok(Err(Missing));
        }
        names.open.push((path.to_owned(), place));
        let expr = crate::grammar::parse_expression(text, FileId(u32::MAX)).map_err(Failure::from);
        let result = expr.and_then(|expr| typed(names, &expr, &attribute.ty, draft.span, self));
        names.open.pop();
        match result {
            Ok(value) => {
                self.settle(path, &value, Origin::Default(why), &attribute.ty);
                Ok(Ok(value))
            }
            // The default rests on something that is wrong or missing; that has been said.
            Err(Failure(Some(diagnostic)))
                if diagnostic.primary.as_ref().is_some_and(|label| label.span.file != FileId(u32::MAX)) =>
            {
                Err(Failure(Some(diagnostic)))
            }
            Err(Failure(Some(diagnostic))) => {
                // A default that does not come out, such as `d_model / heads` when that is not whole.
                self.default_fails(path, text, &diagnostic);
                Ok(Err(Missing))
            }
            Err(Failure(None)) => Ok(Err(Missing)),
        }
    }

    fn default_fails(&mut self, path: &str, formula: &str, diagnostic: &Diagnostic) {
        // A default that only lacks what it is computed from has no value; that is told where the value is needed.
        if !matches!(diagnostic.code, Code::NotWhole | Code::OutOfRange | Code::Overflow) {
            return;
        }
        let span = |path: &str| self.draft.attributes.get(path).and_then(|attribute| attribute.value.span());
        if path == "model.attention.head_dim"
            && let (Some(heads), Some(d_model)) = (span("model.attention.heads"), span("model.d_model"))
        {
            let number = |path: &str| match self.known.get(path) {
                Some(Some(Typed::Count(count))) => *count,
                _ => 0,
            };
            let (a, d) = (number("model.attention.heads"), number("model.d_model"));
            let help = match nearest_divisors(d, a) {
                near if near.is_empty() => "declare `head_dim`".to_owned(),
                near => format!("use {}, or declare `head_dim`", schema::suggest::one_of(&near)),
            };
            self.found.push(
                Diagnostic::error(
                    Code::InconsistentShape,
                    heads,
                    format!("{a} heads do not divide `d_model`"),
                )
                .label(format!("{d} / {a} is not whole"))
                .also(d_model, format!("`d_model` is {d}"))
                .help(help),
            );
            return;
        }
        let why = diagnostic.primary.as_ref().map_or("", |label| label.text.as_str());
        self.found.push(
            Diagnostic::error(
                diagnostic.code,
                self.draft.span,
                format!("`{path}` is left out, and its default does not come out"),
            )
            .note(format!("`{formula}`: {}, {why}", diagnostic.title))
            .help(format!("declare `{path}`, or change what it is computed from")),
        );
    }

    fn settle(&mut self, path: &str, value: &Typed, origin: Origin, ty: &Type) {
        let unit = ty.unit().unwrap_or(Unit::NONE);
        let value = match value {
            Typed::Count(count) => {
                SettingValue::Quantity(Quantity { number: Number::Int(i128::from(*count)), unit })
            }
            Typed::Batch(Batch::Sequences(count)) => SettingValue::Quantity(Quantity {
                number: Number::Int(i128::from(*count)),
                unit: Unit::SEQUENCES,
            }),
            Typed::Batch(Batch::Tokens(count)) => SettingValue::Quantity(Quantity {
                number: Number::Int(i128::from(*count)),
                unit: Unit::TOKENS,
            }),
            Typed::Amount(number) => SettingValue::Quantity(Quantity { number: *number, unit }),
            Typed::Share(share) | Typed::Keep(share) => {
                SettingValue::Quantity(Quantity { number: Number::Real(*share), unit: Unit::NONE })
            }
            Typed::Word(word) => SettingValue::Text(word.clone()),
            Typed::Text(text) => SettingValue::Text(text.clone()),
            Typed::Flag(flag) => SettingValue::Text(flag.to_string()),
            Typed::Date(date) => SettingValue::Text(date.to_string()),
            Typed::Instead(word) => SettingValue::Text((*word).to_owned()),
            Typed::Factor(factor) => {
                SettingValue::Quantity(Quantity { number: Number::Real(*factor), unit: Unit::NONE })
            }
            Typed::Layers(choice) => SettingValue::Text(super::layers::words(choice)),
            Typed::Numbers(numbers) => SettingValue::Text(format!("{} numbers", numbers.len())),
            Typed::Lengths(lengths) => match lengths.as_slice() {
                [length] => {
                    SettingValue::Quantity(Quantity { number: Number::Int(i128::from(*length)), unit })
                }
                lengths => {
                    let lengths: Vec<String> = lengths.iter().map(u64::to_string).collect();
                    SettingValue::Text(format!("[{}]", lengths.join(", ")))
                }
            },
            Typed::Unknown => return,
        };
        self.settings.push(Setting { path: path.to_owned(), value, origin });
    }

    /// The number of parameters, for attributes that refer to it.
    fn counted(&mut self, names: &mut Names<'_>, span: Span) -> Result<(u128, u128), Failure> {
        if let Some(counted) = self.counted {
            return Ok(counted);
        }
        names.enter("model.params", Span { file: FileId(u32::MAX), start: 0, end: 0 }, span)?;
        let model = model(self, names);
        names.open.pop();
        let model = model.ok_or(Failure(None))?;
        let counted = (self.params)(&model).ok_or_else(|| {
            Failure::from(Diagnostic::error(
                Code::Overflow,
                span,
                "the model's parameters do not fit in 128 bits",
            ))
        })?;
        self.counted = Some(counted);
        Ok(counted)
    }
}

impl Paths for Values<'_> {
    fn path(
        &mut self,
        names: &mut Names<'_>,
        path: &str,
        kind: PathKind,
        span: Span,
    ) -> Result<Value, Failure> {
        if let PathKind::Derived(_) = kind {
            let (total, active) = self.counted(names, span)?;
            let count = if path == "model.active_params" { active } else { total };
            let number = i128::try_from(count).map(Number::Int).unwrap_or(Number::Real(count as f64));
            return Ok(Value::Quantity { number: Some(number), unit: Unit::PARAMS, firm: true });
        }
        // A cycle is found where an attribute is entered; the use is what is underlined.
        if let Some(definition) = self.draft.attributes.get(path)
            && names.open.iter().any(|(_, open)| *open == definition.span)
        {
            names.enter(path, definition.span, span)?;
        }
        let value = self.get(names, path);
        let unit = kind.unit().unwrap_or(Unit::NONE);
        let quantity = |number: Number, unit: Unit| Value::Quantity {
            number: Some(number),
            unit,
            firm: unit.noun.is_some(),
        };
        Ok(match value {
            Some(Typed::Count(count)) => quantity(Number::Int(i128::from(count)), unit),
            Some(Typed::Batch(Batch::Sequences(count))) => {
                quantity(Number::Int(i128::from(count)), Unit::SEQUENCES)
            }
            Some(Typed::Batch(Batch::Tokens(count))) => {
                quantity(Number::Int(i128::from(count)), Unit::TOKENS)
            }
            Some(Typed::Amount(number)) => quantity(number, unit),
            Some(Typed::Factor(factor)) => quantity(Number::Real(factor), Unit::NONE),
            Some(Typed::Instead(word)) => Value::Word(word.into()),
            Some(Typed::Layers(choice)) => Value::Word(super::layers::words(&choice).into()),
            Some(Typed::Numbers(_)) => Value::Word("a list".into()),
            Some(Typed::Lengths(lengths)) => match lengths.as_slice() {
                [length] => quantity(Number::Int(i128::from(*length)), unit),
                _ => Value::Word("a list".into()),
            },
            Some(Typed::Share(share) | Typed::Keep(share)) => quantity(Number::Real(share), Unit::NONE),
            Some(Typed::Word(word)) => Value::Word(word.into()),
            Some(Typed::Text(text)) => Value::Text(text.into()),
            Some(Typed::Flag(flag)) => Value::Word(flag.to_string().into()),
            Some(Typed::Date(date)) => Value::Date(date),
            Some(Typed::Unknown) | None => {
                if self.found.is_empty() {
                    let title = format!("`{path}` has no value in this plan");
                    return Err(Diagnostic::error(Code::MissingAttribute, span, title)
                        .help(format!("declare `{path}`"))
                        .into());
                }
                return Err(Failure(None));
            }
        })
    }
}

/// Divisors of `whole` around `near`.
pub(super) fn nearest_divisors(whole: u64, near: u64) -> Vec<String> {
    let divides = |candidate: &u64| *candidate > 0 && whole.is_multiple_of(*candidate);
    let below = (near.saturating_sub(256)..near).rev().find(divides);
    let above = (near + 1..=near.saturating_add(256)).find(divides);
    [below, above].into_iter().flatten().map(|count| count.to_string()).collect()
}
