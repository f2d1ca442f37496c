//! Values of attributes: names looked up, expressions evaluated, results held to their types.

use std::collections::BTreeMap;

use super::cycle;
use super::files::{Files, LetDef};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Environment, Expr, Failure, Node, Op, Value, evaluate};
use crate::limits;
use crate::plan::{Batch, LayerChoice};
use crate::schema::{self, PathKind, Type, suggest};
use crate::source::Span;
use crate::units::{Date, Noun, Number, Quantity, Unit, table};

/// What paths stand for: units alone while files are checked, values once a plan is put together.
pub(super) trait Paths {
    /// The value of a known path.
    fn path(
        &mut self,
        names: &mut Names<'_>,
        path: &str,
        kind: PathKind,
        span: Span,
    ) -> Result<Value, Failure>;
}

/// Looks names up: `let`, then units, then paths.
pub(super) struct Names<'a> {
    pub(super) files: &'a Files,
    /// The header of the block, or any place in the file, that names are looked up from.
    pub(super) scope: Span,
    /// A derived quantity that was used since this was last cleared: attributes may not.
    pub(super) derived: Option<(String, Span)>,
    lets: BTreeMap<Span, Option<Bound>>,
    /// What is being evaluated: to find cycles, and to bound the depth.
    pub(super) open: Vec<(String, Span)>,
}

/// The value of a `let`, and the derived quantity it rests on.
type Bound = (Value, Option<(String, Span)>);

impl<'a> Names<'a> {
    pub(super) fn new(files: &'a Files, scope: Span) -> Names<'a> {
        Names { files, scope, derived: None, lets: BTreeMap::new(), open: Vec::new() }
    }

    /// Evaluates an expression in a scope.
    pub(super) fn evaluate(
        &mut self,
        expr: &Expr,
        scope: Span,
        paths: &mut dyn Paths,
    ) -> Result<Value, Failure> {
        let outer = std::mem::replace(&mut self.scope, scope);
        let value = evaluate(expr, &mut Lookup { names: self, paths });
        self.scope = outer;
        value
    }

    /// Marks something as being evaluated, unless it is already: then it depends on itself.
    pub(super) fn enter(&mut self, name: &str, declared: Span, used: Span) -> Result<(), Failure> {
        if let Some(at) = self.open.iter().position(|(_, span)| *span == declared) {
            let mut members: Vec<String> = self.open[at..].iter().map(|(name, _)| name.clone()).collect();
            members.push(name.to_owned());
            return Err(cycle(used, &members).into());
        }
        if self.open.len() >= limits::MAX_NAMES {
            let title = format!("names refer to names more than {} deep", limits::MAX_NAMES);
            return Err(Diagnostic::error(Code::NestingTooDeep, used, title).into());
        }
        self.open.push((name.to_owned(), declared));
        Ok(())
    }

    /// The `let` that a name means here.
    pub(super) fn binding(&self, name: &str, scope: Span) -> Option<&'a LetDef> {
        let file = self.files.of(scope.file)?;
        // Blocks stand in source order.
        let own = file.blocks.binary_search_by_key(&scope.start, |block| block.header.start).ok();
        let own = own.map(|at| &file.blocks[at]).filter(|block| block.header == scope);
        own.and_then(|block| block.lets.get(name)).or_else(|| file.lets.get(name))
    }

    fn binding_value(
        &mut self,
        binding: &LetDef,
        span: Span,
        paths: &mut dyn Paths,
    ) -> Result<Value, Failure> {
        if let Some(known) = self.lets.get(&binding.span) {
            let (value, derived) = known.clone().ok_or(Failure(None))?;
            self.derived = self.derived.take().or(derived);
            return Ok(value);
        }
        self.enter(&binding.name, binding.span, span)?;
        let outer = self.derived.take();
        let result = self.evaluate(&binding.value, self.scope, paths);
        self.open.pop();
        let derived = std::mem::replace(&mut self.derived, outer);
        let known = result.as_ref().ok().map(|value| (value.clone(), derived.clone()));
        self.lets.insert(binding.span, known);
        self.derived = self.derived.take().or(derived);
        result
    }
}

struct Lookup<'n, 'a, 'p> {
    names: &'n mut Names<'a>,
    paths: &'p mut dyn Paths,
}

impl Environment for Lookup<'_, '_, '_> {
    fn name(&mut self, name: &str, span: Span) -> Result<Value, Failure> {
        if let Some(binding) = self.names.binding(name, self.names.scope) {
            return self.names.binding_value(binding, span, self.paths);
        }
        if let Some(unit) = unit(name) {
            return Ok(Value::Quantity {
                number: Some(unit.number),
                unit: unit.unit,
                firm: unit.unit.noun.is_some(),
            });
        }
        if let Some(rest) = name.strip_prefix("measurement.") {
            let path = format!("hardware.measured.{rest}");
            return Err(Diagnostic::error(Code::UnknownName, span, format!("unknown name `{name}`"))
                .help(format!(
                    "a measurement that the plan cites is `hardware.measured`: did you mean `{path}`?"
                ))
                .fix(span, path)
                .into());
        }
        let Some(kind) = schema::path(name) else { return Err(unknown_name(name, span).into()) };
        if let PathKind::Derived(derived) = kind
            && !matches!(derived.path, "model.params" | "model.active_params")
            && self.names.derived.is_none()
        {
            self.names.derived = Some((name.to_owned(), span));
        }
        self.paths.path(self.names, name, kind, span)
    }
}

/// A unit that stands alone: `h` is one hour.
pub(super) fn unit(name: &str) -> Option<Quantity> {
    let unit = table::lookup(name)?;
    let number = Number::Int(unit.scale.above).over(Number::Int(unit.scale.below)).ok()?;
    Some(Quantity { number, unit: unit.unit })
}

fn unknown_name(name: &str, span: Span) -> Diagnostic {
    let diagnostic = Diagnostic::error(Code::UnknownName, span, format!("unknown name `{name}`"));
    if let Some(at) = name.find('-') {
        return diagnostic.help(format!(
            "to subtract, put blanks around the minus: `{} - {}`",
            &name[..at],
            &name[at + 1..]
        ));
    }
    if let Some(path) = suggest::path(name) {
        return diagnostic.help(format!("did you mean `{path}`?")).fix(span, path);
    }
    if let Some(advice) = table::advice(name) {
        return diagnostic.help(advice);
    }
    diagnostic.help("names are declared with `let`, or are paths such as `model.layers`")
}

/// An attribute's value, of its type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Typed {
    Count(u64),
    Batch(Batch),
    /// The word that may stand instead of a count: `auto`, `none`.
    Instead(&'static str),
    Amount(Number),
    Factor(f64),
    Layers(LayerChoice),
    Lengths(Vec<u64>),
    Numbers(Vec<f64>),
    Share(f64),
    Word(String),
    Flag(bool),
    Text(String),
    Date(Date),
    Keep(f64),
    /// Of the right kind, but not known: while files are checked.
    Unknown,
}

/// Evaluates an attribute's expression to a value of its type.
pub(super) fn typed(
    names: &mut Names<'_>,
    expr: &Expr,
    ty: &Type,
    scope: Span,
    paths: &mut dyn Paths,
) -> Result<Typed, Failure> {
    let Some(span) = expr.span() else { return Err(Failure(None)) };
    if let Some((word, _)) = expr.as_name()
        && let Some(typed) = word_value(names, word, span, ty, scope)
    {
        return typed.map_err(Failure::from);
    }
    if let (Type::File(_), [Node { op: Op::Text(text), .. }]) = (ty, expr.nodes.as_slice()) {
        return Ok(Typed::Text(text.as_ref().to_owned()));
    }
    let value = names.evaluate(expr, scope, paths)?;
    convert(value, ty, span).map_err(Failure::from)
}

/// The value of a single word where the type has words; `None` where it must be looked up.
fn word_value(
    names: &Names<'_>,
    word: &str,
    span: Span,
    ty: &Type,
    scope: Span,
) -> Option<Result<Typed, Diagnostic>> {
    let known = || names.binding(word, scope).is_some() || schema::path(word).is_some();
    match ty {
        Type::Choice(words) if words.iter().any(|(choice, _)| *choice == word) => {
            Some(Ok(Typed::Word(word.to_owned())))
        }
        Type::Choice(words) if !known() => {
            let diagnostic =
                Diagnostic::error(Code::InvalidValue, span, format!("`{word}` is none of the values"));
            let near = suggest::nearest(word, words.iter().map(|(choice, _)| *choice));
            Some(Err(match near {
                Some(near) => diagnostic
                    .help(format!("did you mean `{near}`? The values are {}", ty.words()))
                    .fix(span, near),
                None => diagnostic.help(format!("the values are {}", ty.words())),
            }))
        }
        Type::Flag if !matches!(word, "true" | "false") && known() => None,
        Type::Flag => Some(match word {
            "true" => Ok(Typed::Flag(true)),
            "false" => Ok(Typed::Flag(false)),
            _ => {
                let value = match word.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "true" => Some("true"),
                    "no" | "off" | "false" | "none" => Some("false"),
                    _ => None,
                };
                let diagnostic = Diagnostic::error(
                    Code::InvalidValue,
                    span,
                    format!("`{word}` is neither `true` nor `false`"),
                );
                Err(match value {
                    Some(value) => diagnostic.help(format!("write `{value}`")).fix(span, value),
                    None => diagnostic,
                })
            }
        }),
        Type::CountOr(_, choice) if word == *choice => Some(Ok(Typed::Instead(choice))),
        Type::Reference(_) => Some(Ok(Typed::Word(word.to_owned()))),
        _ => None,
    }
}

/// Holds a value to a type.
fn convert(value: Value, ty: &Type, span: Span) -> Result<Typed, Diagnostic> {
    let wrong = |value: &Value| {
        Diagnostic::error(Code::TypeMismatch, span, format!("this must be {}", ty.words()))
            .label(format!("this is {}", value.describe()))
    };
    match (ty, value) {
        (Type::Layers, value) => super::layers::choice(value, span),
        (Type::Lengths, Value::List(values)) => lengths(values, span),
        (Type::Numbers, Value::List(values)) => numbers(values, span),
        (Type::File(_), Value::List(_)) => {
            Err(Diagnostic::error(Code::ListNotAllowed, span, "a list cannot stand here")
                .help("one file is cited: write a `plan` for each, with `hardware.measured = …` in it"))
        }
        (_, Value::List(_)) => Err(Diagnostic::error(Code::ListNotAllowed, span, "a list cannot stand here")
            .help("a list of values is given to one attribute of a plan, as in `micro_batch = [1, 2, 4]`")),
        (Type::Text, Value::Text(text)) => Ok(Typed::Text(text.into())),
        (Type::File(_), Value::Text(_)) => Err(Diagnostic::error(
            Code::TypeMismatch,
            span,
            "the path of a file is written where it is cited",
        )
        .label("this is a name for a text")
        .help("files are read before anything is computed: write the path itself, in double quotes")),
        (Type::Date, Value::Date(date)) => Ok(Typed::Date(date)),
        (Type::Keep, Value::Kept(number)) => match number.map(|number| share(number, false, span)) {
            Some(share) => share.map(Typed::Keep),
            None => Ok(Typed::Unknown),
        },
        // A flag that another one decides: not known while files are checked.
        (Type::Flag, Value::Word(word)) if matches!(&*word, "true" | "false" | "") => {
            Ok(if word.is_empty() { Typed::Unknown } else { Typed::Flag(&*word == "true") })
        }
        (Type::Choice(_), Value::Word(word)) => Ok(Typed::Word(word.into())),
        (Type::Reference(kind), Value::Text(text)) => {
            Err(Diagnostic::error(Code::TypeMismatch, span, format!("the name of a {kind} is not quoted"))
                .help(format!("write `{text}`"))
                .fix(span, text))
        }
        (ty, Value::Quantity { number, unit, firm }) if ty.unit().is_some() && !matches!(ty, Type::Keep) => {
            quantity(number, unit, firm, ty, span)
        }
        (_, value) => Err(wrong(&value)),
    }
}

fn quantity(
    number: Option<Number>,
    unit: Unit,
    firm: bool,
    ty: &Type,
    span: Span,
) -> Result<Typed, Diagnostic> {
    let expected = ty.unit().unwrap_or(Unit::NONE);
    if let Type::Batch = ty {
        if unit.dimension != Unit::NONE.dimension
            || (firm && !matches!(unit.noun, Some(Noun::Tokens | Noun::Sequences)))
        {
            return Err(mismatch(unit, ty, span));
        }
        let tokens = unit.noun == Some(Noun::Tokens);
        let Some(number) = number else { return Ok(Typed::Unknown) };
        let count = whole(number, 1, span)?;
        return Ok(Typed::Batch(if tokens { Batch::Tokens(count) } else { Batch::Sequences(count) }));
    }
    let other_noun = firm && unit.noun.is_some() && unit.noun != expected.noun;
    if unit.dimension != expected.dimension || other_noun {
        return Err(mismatch(unit, ty, span));
    }
    let Some(number) = number else { return Ok(Typed::Unknown) };
    match ty {
        Type::Count { min, .. } => whole(number, *min, span).map(Typed::Count),
        Type::CountOr(..) => whole(number, 1, span).map(Typed::Count),
        Type::Lengths => whole(number, 1, span).map(|length| Typed::Lengths(vec![length])),
        Type::Factor(min) => match number.real() {
            factor if factor > 0.0 && factor >= *min => Ok(Typed::Factor(factor)),
            factor => Err(Diagnostic::error(Code::OutOfRange, span, format!("this must be {}", ty.words()))
                .label(format!("this is {factor}"))),
        },
        Type::Share { positive } => share(number, *positive, span).map(Typed::Share),
        _ if number.real() <= 0.0 => {
            Err(Diagnostic::error(Code::OutOfRange, span, "this must be above zero"))
        }
        _ => Ok(Typed::Amount(number)),
    }
}

/// Counts of tokens, one after another.
fn lengths(values: Vec<Value>, span: Span) -> Result<Typed, Diagnostic> {
    let mut lengths = Vec::with_capacity(values.len());
    for value in values {
        match convert(value, &Type::Lengths, span)? {
            Typed::Lengths(length) => lengths.extend(length),
            _ => return Ok(Typed::Unknown),
        }
    }
    match lengths.is_empty() {
        true => Err(Diagnostic::error(Code::InvalidValue, span, "the list is empty")),
        false => Ok(Typed::Lengths(lengths)),
    }
}

/// Plain numbers, one after another.
fn numbers(values: Vec<Value>, span: Span) -> Result<Typed, Diagnostic> {
    let mut numbers = Vec::with_capacity(values.len());
    for value in values {
        match value {
            Value::Quantity { number: Some(number), unit: Unit::NONE, .. } => numbers.push(number.real()),
            Value::Quantity { number: None, unit: Unit::NONE, .. } => return Ok(Typed::Unknown),
            value => {
                return Err(Diagnostic::error(Code::TypeMismatch, span, "the list has plain numbers only")
                    .label(format!("one of them is {}", value.describe())));
            }
        }
    }
    Ok(Typed::Numbers(numbers))
}

fn mismatch(unit: Unit, ty: &Type, span: Span) -> Diagnostic {
    let bare = unit == Unit::NONE;
    let code = if bare { Code::MissingUnit } else { Code::UnitMismatch };
    let title = if bare { "a unit is missing" } else { "the unit does not fit" };
    Diagnostic::error(code, span, title)
        .label(format!("this is {}{}", if bare { "" } else { "in " }, unit.words()))
        .help(format!("write {}", ty.words()))
}

pub(super) fn whole(number: Number, min: u64, span: Span) -> Result<u64, Diagnostic> {
    // Shapes and counts beyond 10^18 mean a slip of the pen; products are checked where they are formed.
    const MAX: u64 = 1_000_000_000_000_000_000;
    let shown = number.real();
    if number.is_negative() || shown < min as f64 {
        return Err(Diagnostic::error(Code::OutOfRange, span, format!("this must be at least {min}"))
            .label(format!("this is {shown}")));
    }
    let Some(count) = number.count() else {
        return Err(Diagnostic::error(Code::NotWhole, span, "this must be a whole number")
            .label(format!("this is {shown}"))
            .help("`ceil`, `floor` and `round` make one"));
    };
    match u64::try_from(count) {
        Ok(count) if count <= MAX => Ok(count),
        _ => Err(Diagnostic::error(Code::OutOfRange, span, "this must be at most 10^18")
            .label(format!("this is {shown:e}"))),
    }
}

fn share(number: Number, positive: bool, span: Span) -> Result<f64, Diagnostic> {
    let share = number.real();
    if (0.0..=1.0).contains(&share) && (share > 0.0 || !positive) {
        return Ok(share);
    }
    let range = if positive { "above 0% and at most 100%" } else { "from 0% to 100%" };
    let diagnostic = Diagnostic::error(Code::OutOfRange, span, format!("a share is {range}"))
        .label(format!("this is {}", crate::units::format::percent(share)));
    // `40` for `40%`; what is a little above 1 was meant as a share and is too large.
    Err(if (2.0..=100.0).contains(&share) {
        diagnostic.help(format!("write `{share}%`"))
    } else {
        diagnostic
    })
}

/// Whether a list of values means one plan for each.
pub(super) fn sweeps(ty: &Type) -> bool {
    !matches!(
        ty,
        Type::Text | Type::File(_) | Type::Date | Type::Keep | Type::Layers | Type::Lengths | Type::Numbers
    )
}

/// The elements of a list, each an expression of its own; `None` where the expression is no list.
pub(super) fn elements(expr: &Expr) -> Option<Vec<Expr>> {
    let (last, rest) = expr.nodes.split_last()?;
    let Op::List(count) = last.op else { return None };
    let mut parts = Vec::new();
    let mut end = rest.len();
    for _ in 0..count {
        let start = start_of(rest, end)?;
        parts.push(Expr { nodes: rest[start..end].to_vec() });
        end = start;
    }
    parts.reverse();
    (end == 0).then_some(parts)
}

/// Where the postfix expression that ends at `end` starts.
fn start_of(nodes: &[Node], end: usize) -> Option<usize> {
    let mut wanted = 1_usize;
    let mut at = end;
    while wanted > 0 {
        at = at.checked_sub(1)?;
        let arity = match nodes[at].op {
            Op::Negate | Op::Keep => 1,
            Op::Binary(_) => 2,
            Op::Call(_, count) | Op::List(count) => count as usize,
            Op::Range(stepped) => 2 + usize::from(stepped),
            Op::Pick(_, from) => 1 + usize::from(from),
            _ => 0,
        };
        wanted = wanted - 1 + arity;
    }
    Some(at)
}
