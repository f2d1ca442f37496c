//! Expressions as text again: with their names, in the field's symbols, or with numbers put in.

use super::{Expr, Op};
use crate::schema;
use crate::units::{Number, Quantity, Unit, format};

/// What to write for a name.
#[derive(Clone, Copy)]
pub enum Substitution<'a> {
    /// The name itself: the language's own syntax.
    Names,
    /// The field's symbol where it has one: `12·L·d²`.
    Symbols,
    /// A number, ready to print; the name itself where there is none.
    Values(&'a dyn Fn(&str) -> Option<String>),
}

/// The binding strength of an operand that never needs parentheses.
const ATOM: u8 = 9;

/// The expression as text. It reads back as the same expression, but for symbols.
pub fn print(expr: &Expr, substitution: Substitution<'_>) -> String {
    let mut stack: Vec<(String, u8)> = Vec::new();
    for node in &expr.nodes {
        let item = match &node.op {
            Op::Quantity(quantity) => literal(*quantity, substitution),
            Op::Name(name) => (self::name(name, substitution), ATOM),
            Op::Text(text) => (format!("{text:?}"), ATOM),
            Op::Date(date) => (date.to_string(), ATOM),
            Op::Invalid => ("?".to_owned(), ATOM),
            Op::Negate => {
                let operand = wrapped(stack.pop(), 3);
                (format!("-{operand}"), 3)
            }
            Op::Binary(operator) => {
                let strength = operator.precedence();
                let right = stack.pop();
                let left = stack.pop();
                let symbols = matches!(substitution, Substitution::Symbols);
                let text = match (operator.symbol(), symbols) {
                    ("*", true) => format!("{}·{}", wrapped(left, strength), wrapped(right, strength + 1)),
                    ("^", true) => match right.as_ref().and_then(|(text, _)| superscript(text)) {
                        Some(high) => format!("{}{high}", wrapped(left, strength + 1)),
                        None => format!("{}^{}", wrapped(left, strength + 1), wrapped(right, strength)),
                    },
                    ("^", false) => format!("{}^{}", wrapped(left, strength + 1), wrapped(right, strength)),
                    (symbol, _) => {
                        format!("{} {symbol} {}", wrapped(left, strength), wrapped(right, strength + 1))
                    }
                };
                (text, strength)
            }
            Op::Call(function, count) => {
                (format!("{}({})", function.name(), joined(&mut stack, *count)), ATOM)
            }
            Op::List(count) => (format!("[{}]", joined(&mut stack, *count)), ATOM),
            Op::Range(stepped) => {
                let step = if *stepped { stack.pop() } else { None };
                let end = wrapped(stack.pop(), 0);
                let start = wrapped(stack.pop(), 0);
                let step = step.map(|(step, _)| format!(" step {step}")).unwrap_or_default();
                (format!("{start}..{end}{step}"), 0)
            }
            Op::Pick(which, from) => {
                let from = if *from { stack.pop() } else { None };
                let count = wrapped(stack.pop(), 0);
                let from = from.map(|(from, _)| format!(" from {from}")).unwrap_or_default();
                (format!("{} {count}{from}", which.word()), 0)
            }
            Op::Keep => (format!("keep {}", wrapped(stack.pop(), 0)), 0),
        };
        stack.push(item);
    }
    stack.pop().map(|(text, _)| text).unwrap_or_default()
}

fn wrapped(item: Option<(String, u8)>, strength: u8) -> String {
    match item {
        Some((text, own)) if own < strength => format!("({text})"),
        Some((text, _)) => text,
        None => String::new(),
    }
}

fn joined(stack: &mut Vec<(String, u8)>, count: u32) -> String {
    let at = stack.len().saturating_sub(count as usize);
    let items: Vec<String> = stack.drain(at..).map(|(text, _)| text).collect();
    items.join(", ")
}

fn literal(quantity: Quantity, substitution: Substitution<'_>) -> (String, u8) {
    let number = match quantity.number {
        Number::Int(int) if int >= 0 => format::literal(int.unsigned_abs()),
        Number::Int(int) => int.to_string(),
        Number::Real(real) => real.to_string(),
    };
    if quantity.unit == Unit::NONE || matches!(substitution, Substitution::Symbols) {
        return (number, ATOM);
    }
    match quantity.unit.symbol() {
        symbol if symbol == "$" => (format!("${number}"), ATOM),
        // `$/s` and the like have no literal of their own: a product of literals is what a plan would write.
        symbol if symbol.starts_with('$') => (format!("${number} {}", symbol.trim_start_matches('$')), 2),
        symbol => (format!("{number} {symbol}"), ATOM),
    }
}

fn name(name: &str, substitution: Substitution<'_>) -> String {
    match substitution {
        Substitution::Names => name.to_owned(),
        Substitution::Symbols => symbol(name),
        Substitution::Values(value) => value(name).unwrap_or_else(|| name.to_owned()),
    }
}

/// The field's symbol; of a kind of layer with its name behind: `a_full`.
fn symbol(path: &str) -> String {
    if let Some((kind, _)) = path.strip_prefix("flops.pairs.").and_then(|rest| rest.split_once('.')) {
        return format!("pairs_{}", kind.replace('-', "_"));
    }
    let kind = path.strip_prefix("model.layer.").and_then(|rest| rest.split_once('.'));
    match (kind, schema::symbol(path)) {
        (Some((kind, "count")), _) => format!("L_{}", kind.replace('-', "_")),
        (Some((kind, _)), Some(symbol)) => format!("{symbol}_{}", kind.replace('-', "_")),
        (_, symbol) => symbol.unwrap_or(path).to_owned(),
    }
}

fn superscript(text: &str) -> Option<String> {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    text.chars().map(|c| c.to_digit(10).and_then(|digit| digits.get(digit as usize))).collect()
}
