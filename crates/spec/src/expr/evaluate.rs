//! Evaluation: numbers and units together, so that a mistake of dimension is found even where a number is not known.

use super::{Binary, Expr, Function, Op, Pick};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::MAX_LIST;
use crate::source::Span;
use crate::units::{Date, Number, NumberError, Unit};

/// What an expression stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number with its unit. The number is `None` where only the unit is known.
    Quantity {
        /// How much, in base units.
        number: Option<Number>,
        /// Of what.
        unit: Unit,
        /// Whether the noun is meant, and not left over from a product such as `20 * model.params`.
        firm: bool,
    },
    /// One of an attribute's words, or a block's name.
    Word(Box<str>),
    /// A text.
    Text(Box<str>),
    /// A date.
    Date(Date),
    /// Several values: a sweep.
    List(Vec<Value>),
    /// `keep X`.
    Kept(Option<Number>),
    /// `every X from Y`, `first X`, `last X`: which, how many, and from where.
    Picked(Pick, Option<Number>, Option<Number>),
}

impl Value {
    /// A plain known number.
    pub fn plain(number: Number) -> Value {
        Value::Quantity { number: Some(number), unit: Unit::NONE, firm: false }
    }

    /// What it is, for messages.
    pub fn describe(&self) -> String {
        match self {
            Value::Quantity { unit, .. } => unit.words(),
            Value::Word(word) => format!("the word `{word}`"),
            Value::Text(_) => "a text".to_owned(),
            Value::Date(_) => "a date".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Kept(_) => "a stage".to_owned(),
            Value::Picked(..) => "a choice of layers".to_owned(),
        }
    }
}

/// Why there is no value: a message, or nothing where one has been given already.
#[derive(Clone, Debug)]
pub struct Failure(pub Option<Box<Diagnostic>>);

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Failure {
        Failure(Some(Box::new(diagnostic)))
    }
}

/// What names stand for.
pub trait Environment {
    /// The value of a name that stands at a place.
    ///
    /// # Errors
    /// Where it stands for nothing, or for nothing that has a value here.
    fn name(&mut self, name: &str, span: Span) -> Result<Value, Failure>;
}

/// The value of an expression.
///
/// # Errors
/// A mistake of units, an overflow, or whatever the environment reports.
pub fn evaluate(expr: &Expr, environment: &mut dyn Environment) -> Result<Value, Failure> {
    let mut stack: Vec<(Value, Span)> = Vec::with_capacity(8);
    for node in &expr.nodes {
        let value = match &node.op {
            Op::Quantity(quantity) => Value::Quantity {
                number: Some(quantity.number),
                unit: quantity.unit,
                firm: quantity.unit.noun.is_some(),
            },
            Op::Name(name) => environment.name(name, node.span)?,
            Op::Invalid => return Err(Failure(None)),
            Op::Text(text) => Value::Text(text.clone()),
            Op::Date(date) => Value::Date(*date),
            Op::Negate => {
                let operand = pop_quantity(&mut stack, "a minus needs a number")?;
                operand.map(|number| number.negated(), node.span)?
            }
            Op::Binary(operator) => {
                let why = "arithmetic needs numbers";
                let right = pop_quantity(&mut stack, why)?;
                let left = pop_quantity(&mut stack, why)?;
                binary(*operator, left, right, node.span)?
            }
            Op::Call(function, count) => {
                let arguments = pop_quantities(&mut stack, *count)?;
                call(*function, &arguments, node.span)?
            }
            Op::List(count) => {
                let at = stack.len().saturating_sub(*count as usize);
                Value::List(stack.drain(at..).map(|(value, _)| value).collect())
            }
            Op::Range(stepped) => {
                let bounds = pop_quantities(&mut stack, if *stepped { 3 } else { 2 })?;
                range(&bounds, node.span)?
            }
            Op::Pick(which, from) => {
                let numbers = pop_quantities(&mut stack, 1 + u32::from(*from))?;
                if let Some(other) = numbers.iter().find(|number| number.unit != Unit::NONE) {
                    let title = "layers are counted by plain numbers";
                    return Err(Diagnostic::error(Code::UnitMismatch, other.span, title)
                        .label(format!("this is in {}", other.unit.words()))
                        .into());
                }
                let number = |at: usize| numbers.get(at).and_then(|operand| operand.number);
                Value::Picked(*which, number(0), number(1))
            }
            Op::Keep => {
                let share = pop_quantity(&mut stack, "`keep` needs a share, such as `keep 50%`")?;
                if share.unit != Unit::NONE {
                    return Err(Diagnostic::error(
                        Code::UnitMismatch,
                        share.span,
                        "`keep` needs a share without a unit",
                    )
                    .label(format!("this is in {}", share.unit.words()))
                    .help("write a percentage, such as `keep 50%`")
                    .into());
                }
                Value::Kept(share.number)
            }
        };
        stack.push((value, node.span));
    }
    // A well-formed expression leaves one value; a broken statement was reported by the parser.
    match (stack.pop(), stack.is_empty()) {
        (Some((value, _)), true) => Ok(value),
        _ => Err(Failure(None)),
    }
}

/// A number on the stack, with its place.
#[derive(Clone, Copy)]
struct Operand {
    number: Option<Number>,
    unit: Unit,
    firm: bool,
    span: Span,
}

impl Operand {
    fn map(
        self,
        apply: impl Fn(Number) -> Result<Number, NumberError>,
        span: Span,
    ) -> Result<Value, Failure> {
        let number = self.number.map(apply).transpose().map_err(|error| arithmetic(error, span))?;
        Ok(Value::Quantity { number, unit: self.unit, firm: self.firm })
    }
}

fn pop_quantity(stack: &mut Vec<(Value, Span)>, why: &str) -> Result<Operand, Failure> {
    match stack.pop() {
        Some((Value::Quantity { number, unit, firm }, span)) => Ok(Operand { number, unit, firm, span }),
        Some((other, span)) => Err(Diagnostic::error(Code::TypeMismatch, span, why)
            .label(format!("this is {}", other.describe()))
            .into()),
        None => Err(Failure(None)),
    }
}

fn pop_quantities(stack: &mut Vec<(Value, Span)>, count: u32) -> Result<Vec<Operand>, Failure> {
    let mut operands = Vec::new();
    for _ in 0..count {
        operands.push(pop_quantity(stack, "a number is needed here")?);
    }
    operands.reverse();
    Ok(operands)
}

fn binary(operator: Binary, left: Operand, right: Operand, span: Span) -> Result<Value, Failure> {
    let too_high =
        || Failure::from(Diagnostic::error(Code::Overflow, span, "the powers of the units are too high"));
    let (unit, firm) = match operator {
        Binary::Add | Binary::Subtract => {
            let verb = if operator == Binary::Add { "added to" } else { "subtracted from" };
            let (what, to) = if operator == Binary::Add { (left, right) } else { (right, left) };
            (
                common_unit(left, right, || {
                    format!("{} cannot be {verb} {}", what.unit.words(), to.unit.words())
                })?,
                left.firm || right.firm,
            )
        }
        Binary::Multiply => (left.unit.times(right.unit).ok_or_else(too_high)?, false),
        Binary::Divide => (left.unit.over(right.unit).ok_or_else(too_high)?, false),
        Binary::Power => (power_unit(left, right)?, false),
    };
    let number = match (left.number, right.number) {
        (Some(left), Some(right)) => Some(match operator {
            Binary::Add => left.plus(right),
            Binary::Subtract => left.minus(right),
            Binary::Multiply => left.times(right),
            Binary::Divide => left.over(right),
            Binary::Power => left.power(right),
        }),
        _ => None,
    };
    let number = number.transpose().map_err(|error| arithmetic(error, span))?;
    Ok(Value::Quantity { number, unit, firm })
}

/// The unit of two numbers that stand side by side: dimensions must agree, and so must what is counted where both
/// say what they count.
fn common_unit(left: Operand, right: Operand, title: impl Fn() -> String) -> Result<Unit, Failure> {
    let clash = left.firm
        && right.firm
        && left.unit.noun.is_some()
        && left.unit.noun != right.unit.noun
        && right.unit.noun.is_some();
    if left.unit.dimension != right.unit.dimension || clash {
        return Err(Diagnostic::error(Code::UnitMismatch, left.span, title())
            .label(format!("this is in {}", left.unit.words()))
            .also(right.span, format!("this is in {}", right.unit.words()))
            .into());
    }
    let noun = if left.firm || left.unit.noun == right.unit.noun {
        left.unit.noun.or(right.unit.noun)
    } else if right.firm {
        right.unit.noun
    } else {
        None
    };
    Ok(Unit { dimension: left.unit.dimension, noun })
}

fn power_unit(base: Operand, exponent: Operand) -> Result<Unit, Failure> {
    if exponent.unit.dimension != Unit::NONE.dimension {
        return Err(Diagnostic::error(Code::UnitMismatch, exponent.span, "an exponent is a plain number")
            .label(format!("this is in {}", exponent.unit.words()))
            .into());
    }
    if base.unit.dimension == Unit::NONE.dimension {
        return Ok(Unit::NONE);
    }
    let whole = match exponent.number {
        Some(Number::Int(whole)) => i8::try_from(whole).ok(),
        _ => None,
    };
    let dimension = whole.and_then(|whole| base.unit.dimension.power(whole));
    dimension.map(|dimension| Unit { dimension, noun: None }).ok_or_else(|| {
        Diagnostic::error(
            Code::UnitMismatch,
            exponent.span,
            format!("{} can only be raised to a small whole number", base.unit.words()),
        )
        .label("not a whole number from -128 to 127")
        .also(base.span, format!("this is in {}", base.unit.words()))
        .into()
    })
}

fn call(function: Function, arguments: &[Operand], span: Span) -> Result<Value, Failure> {
    let name = function.name();
    let [first, rest @ ..] = arguments else {
        return Err(Diagnostic::error(Code::WrongArguments, span, format!("`{name}` needs a value")).into());
    };
    if function.unary() && !rest.is_empty() {
        return Err(Diagnostic::error(
            Code::WrongArguments,
            span,
            format!("`{name}` takes one value, not {}", arguments.len()),
        )
        .into());
    }
    let plain_only = |advice: &str| -> Result<(), Failure> {
        if first.unit.dimension == Unit::NONE.dimension {
            return Ok(());
        }
        Err(Diagnostic::error(
            Code::UnitMismatch,
            first.span,
            format!("`{name}` of a quantity with a unit has no meaning"),
        )
        .label(format!("this is in {}", first.unit.words()))
        .help(advice)
        .into())
    };
    match function {
        Function::Min | Function::Max => {
            let mut best = *first;
            for next in rest {
                let unit = common_unit(best, *next, || {
                    format!("`{name}` compares {} with {}", best.unit.words(), next.unit.words())
                })?;
                let number = match (best.number, next.number) {
                    (Some(a), Some(b)) => {
                        Some(if a.compare(b).is_gt() == (function == Function::Max) { a } else { b })
                    }
                    _ => None,
                };
                best = Operand { number, unit, firm: best.firm || next.firm, span: best.span };
            }
            Ok(Value::Quantity { number: best.number, unit: best.unit, firm: best.firm })
        }
        Function::Ceil | Function::Floor | Function::Round => {
            plain_only("divide by a unit first, as in `ceil(x / 1 GB) * 1 GB`")?;
            first.map(
                |number| match number {
                    Number::Int(_) => Ok(number),
                    Number::Real(real) => whole(match function {
                        Function::Ceil => libm::ceil(real),
                        Function::Floor => libm::floor(real),
                        _ => libm::round(real),
                    }),
                },
                span,
            )
        }
        Function::Sqrt => {
            let dimension = first.unit.dimension.half().ok_or_else(|| {
                Diagnostic::error(
                    Code::UnitMismatch,
                    first.span,
                    format!("{} has no square root", first.unit.words()),
                )
            })?;
            let root = Operand { unit: Unit { dimension, noun: None }, firm: false, ..*first };
            root.map(square_root, span)
        }
        Function::Log => {
            plain_only("divide by a quantity of the same unit first")?;
            let result = Operand { unit: Unit::NONE, firm: false, ..*first };
            result.map(
                |number| match number.real() {
                    real if real > 0.0 => Ok(Number::Real(libm::log(real))),
                    _ => Err(NumberError::Undefined),
                },
                span,
            )
        }
        Function::Exp => {
            plain_only("divide by a quantity of the same unit first")?;
            let result = Operand { unit: Unit::NONE, firm: false, ..*first };
            result.map(
                |number| match libm::exp(number.real()) {
                    power if power.is_finite() => Ok(Number::Real(power)),
                    _ => Err(NumberError::Overflow),
                },
                span,
            )
        }
    }
}

fn whole(real: f64) -> Result<Number, NumberError> {
    // 2^126: far inside i128, where the conversion is exact.
    if real.abs() < 8.507_059_173_023_462e37 { Ok(Number::Int(real as i128)) } else { Ok(Number::Real(real)) }
}

fn square_root(number: Number) -> Result<Number, NumberError> {
    if number.is_negative() {
        return Err(NumberError::Undefined);
    }
    let root = libm::sqrt(number.real());
    match (number, whole(root)?) {
        (Number::Int(square), Number::Int(exact)) if exact.checked_mul(exact) == Some(square) => {
            Ok(Number::Int(exact))
        }
        _ => Ok(Number::Real(root)),
    }
}

fn range(bounds: &[Operand], span: Span) -> Result<Value, Failure> {
    let refuse = |title: String| Failure::from(Diagnostic::error(Code::InvalidRange, span, title));
    let [start, end, ..] = bounds else { return Err(Failure(None)) };
    let unit =
        common_unit(*start, *end, || format!("a range from {} to {}", start.unit.words(), end.unit.words()))?;
    let step = match bounds.get(2) {
        Some(step) => {
            common_unit(*start, *step, || {
                format!("a range in {} with a step in {}", unit.words(), step.unit.words())
            })?;
            *step
        }
        None => Operand { number: Some(Number::Int(1)), unit, firm: false, span },
    };
    let (Some(start), Some(end), Some(step)) = (start.number, end.number, step.number) else {
        return Err(refuse("the bounds of a range are not known here".to_owned()));
    };
    if step.real() <= 0.0 {
        return Err(refuse(format!("a step of {} never arrives", step.real())));
    }
    let count = (end.real() - start.real()) / step.real();
    if count < 0.0 {
        return Err(refuse(format!("the range from {} to {} is empty", start.real(), end.real())));
    }
    if count >= MAX_LIST as f64 {
        return Err(refuse(format!("the range has {:.0} values; {MAX_LIST} are allowed", count + 1.0)));
    }
    let mut values = Vec::new();
    let mut index = 0;
    loop {
        let next = step.times(Number::Int(index)).and_then(|offset| start.plus(offset));
        let next = next.map_err(|error| arithmetic(error, span))?;
        if next.compare(end).is_gt() {
            return Ok(Value::List(values));
        }
        values.push(Value::Quantity { number: Some(next), unit, firm: unit.noun.is_some() });
        index += 1;
    }
}

fn arithmetic(error: NumberError, span: Span) -> Failure {
    match error {
        NumberError::Overflow => Diagnostic::error(Code::Overflow, span, "this number is too large")
            .label("beyond 128 bits")
            .note("counts are exact integers of at most 38 digits"),
        NumberError::DivisionByZero => Diagnostic::error(Code::DivisionByZero, span, "division by zero"),
        NumberError::Undefined => {
            Diagnostic::error(Code::Undefined, span, "a root, power or logarithm of a number that has none")
                .label("negative or zero")
        }
    }
    .into()
}
