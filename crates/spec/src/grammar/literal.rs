//! Literals: numbers with their magnitude and the unit behind, and texts.

use super::Found;
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::Op;
use crate::schema::suggest;
use crate::source::Span;
use crate::units::{Date, NumberError, Quantity, Rational, Unit, parse_decimal, table};

/// A number with its unit.
pub(super) struct Literal<'t> {
    pub(super) span: Span,
    pub(super) op: Op,
    /// What follows the unit without being one: whether it divides, the name, its place.
    pub(super) tail: Vec<(bool, &'t str, Span)>,
}

/// Reads `number` and the unit that follows it.
pub(super) fn read<'t>(
    number: &'t str,
    span: Span,
    unit: Option<(&'t str, Span)>,
    found: &mut Found,
) -> Literal<'t> {
    let whole = unit.map_or(span, |(_, unit)| span.to(unit));
    match quantity(number, span, unit) {
        Ok(mut literal) => {
            literal.span =
                literal.tail.first().map_or(whole, |(_, _, tail)| Span { end: tail.start - 1, ..whole });
            literal
        }
        Err(diagnostic) => {
            found.push(*diagnostic);
            Literal { span: whole, op: Op::Invalid, tail: Vec::new() }
        }
    }
}

/// The text between quotes, with its escapes.
pub(super) fn text(quoted: &str, span: Span, found: &mut Found) -> String {
    let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(quoted);
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some((_, 'n')) => text.push('\n'),
            Some((_, 't')) => text.push('\t'),
            Some((_, c @ ('"' | '\\'))) => text.push(c),
            other => {
                let start = span.start + 1 + at as u32;
                let length = 1 + other.map_or(0, |(_, c)| c.len_utf8()) as u32;
                let place = Span { start, end: start + length, ..span };
                found.push(
                    Diagnostic::error(Code::InvalidString, place, "unknown escape in a text")
                        .help(r#"the escapes are `\"`, `\\`, `\n` and `\t`"#),
                );
            }
        }
    }
    text
}

fn quantity<'t>(
    number: &'t str,
    span: Span,
    unit: Option<(&'t str, Span)>,
) -> Result<Literal<'t>, Box<Diagnostic>> {
    let literal = |op, tail| Ok(Literal { span, op, tail });
    if number.len() > 8 && number.contains('-') && !number.contains(['e', 'E']) {
        return match Date::parse(number) {
            Some(date) if unit.is_none() => literal(Op::Date(date), Vec::new()),
            _ => Err(Box::new(
                Diagnostic::error(Code::InvalidDate, span, format!("`{number}` is no date"))
                    .help("a date is written `2026-11-01`; to subtract, put blanks around `-`"),
            )),
        };
    }
    let money = number.starts_with('$');
    let body = number.trim_start_matches('$');
    let percent = body.ends_with('%');
    let body = body.trim_end_matches('%').trim_end();
    let digits = numeric_length(body);
    let (digits, magnitude) = body.split_at(digits);

    let mut scale = if percent { Rational { above: 1, below: 100 } } else { Rational::ONE };
    let mut measure = if money { Unit::MONEY } else { Unit::NONE };
    let mut named = money.then_some("$").or(percent.then_some("%"));
    let mut tail = Vec::new();
    let mut take = |names: &'t str, place: Span, spaced: bool| -> Result<(), Box<Diagnostic>> {
        if let Some(first) = named {
            return Err(Box::new(
                Diagnostic::error(
                    Code::UnknownUnit,
                    place,
                    format!("a number has one unit: `{first}` or `{names}`"),
                )
                .help("multiply or divide by the second one, as in `$2.00 / h`"),
            ));
        }
        named = Some(names);
        let (unit, worth, rest) = compound(names, place, digits, spaced)?;
        scale = scale.times(worth).ok_or_else(|| overflow(span))?;
        measure = unit;
        tail = rest;
        Ok(())
    };
    if let Some((names, place)) = unit {
        take(names, place, place.start > span.end)?;
    }
    if let Some(magnitude) = table::magnitude(magnitude) {
        scale = scale.times(Rational::whole(magnitude)).ok_or_else(|| overflow(span))?;
    }
    match parse_decimal(digits, scale) {
        Some(Ok(number)) => literal(Op::Quantity(Quantity { number, unit: measure }), tail),
        Some(Err(NumberError::Overflow)) => Err(overflow(span)),
        Some(Err(_)) | None => Err(Box::new(
            Diagnostic::error(Code::InvalidNumber, span, format!("`{digits}` is no number"))
                .help("numbers are written `96`, `12_288`, `0.4`, `7B`, `2.5e21`"),
        )),
    }
}

/// How far the digits and the exponent reach; a magnitude may follow.
fn numeric_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'0'..=b'9' | b'_' | b'.' => at += 1,
            b'e' | b'E' => {
                let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
                let digits = bytes[at + 1 + sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                if digits == 0 {
                    return at;
                }
                at += 1 + sign + digits;
            }
            _ => return at,
        }
    }
    at
}

/// A unit, what it is worth, and the names that follow it without being units.
type Compound<'t> = (Unit, Rational, Vec<(bool, &'t str, Span)>);

/// `TFLOP/s` is a unit; `GiB/n` is one followed by a name that divides.
fn compound<'t>(
    names: &'t str,
    place: Span,
    digits: &str,
    spaced: bool,
) -> Result<Compound<'t>, Box<Diagnostic>> {
    let mut measure = Unit::NONE;
    let mut worth = Rational::ONE;
    let mut tail = Vec::new();
    let mut at = 0;
    let mut divides = false;
    while at <= names.len() {
        let rest = &names[at..];
        let end = rest.find(['/', '*']).unwrap_or(rest.len());
        let name = &rest[..end];
        let span = Span { start: place.start + at as u32, end: place.start + (at + end) as u32, ..place };
        match table::lookup(name) {
            Some(unit) if tail.is_empty() => {
                let (combined, scaled) = if divides {
                    (measure.over(unit.unit), worth.over(unit.scale))
                } else {
                    (measure.times(unit.unit), worth.times(unit.scale))
                };
                measure = combined.ok_or_else(|| overflow(place))?;
                worth = scaled.ok_or_else(|| overflow(place))?;
            }
            None if at == 0 => return Err(Box::new(unknown_unit(name, span, digits, spaced))),
            _ => tail.push((divides, name, span)),
        }
        divides = rest.as_bytes().get(end) == Some(&b'/');
        at += end + 1;
    }
    Ok((measure, worth, tail))
}

fn unknown_unit(name: &str, span: Span, digits: &str, spaced: bool) -> Diagnostic {
    let diagnostic = Diagnostic::error(Code::UnknownUnit, span, format!("unknown unit `{name}`"));
    if spaced && table::magnitude(name).is_some() {
        return diagnostic
            .help(table::advice(name).unwrap_or_else(|| format!("attach the magnitude: `{digits}{name}`")))
            .fix(Span { start: span.start - 1, ..span }, name);
    }
    let (head, rest) = name.split_at(name.chars().next().map_or(0, char::len_utf8));
    if table::magnitude(head).is_some() && table::lookup(rest).is_some() {
        return diagnostic
            .help(format!("write `{digits}{head} {rest}`"))
            .fix(Span { start: span.start, ..span }, format!("{head} {rest}"));
    }
    if let Some(advice) = table::advice(name) {
        return diagnostic.help(advice);
    }
    match suggest::nearest(name, table::UNITS.iter().map(|unit| unit.name)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")).fix(span, near),
        None => diagnostic
            .help(format!("to multiply, write `{digits} * {name}`; `llmplan docs units` lists the units")),
    }
}

fn overflow(span: Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(Code::Overflow, span, "this number is too large")
            .label("beyond 128 bits")
            .note("counts are exact integers of at most 38 digits"),
    )
}
