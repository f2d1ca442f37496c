//! Expressions in postfix form: flat, so that no input, however deep, can exhaust the stack.

mod evaluate;
mod print;

pub use evaluate::{Environment, Failure, Value, evaluate};
pub use print::{Substitution, print};

use crate::source::Span;
use crate::units::{Date, Quantity};

/// An expression: operators follow their operands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expr {
    /// The nodes, in postfix order.
    pub nodes: Vec<Node>,
}

/// A step of an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The text it covers: operands included.
    pub span: Span,
    /// What it does.
    pub op: Op,
}

/// What a step does with the values before it.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Pushes a number with its unit.
    Quantity(Quantity),
    /// Pushes what a name stands for: a `let`, a path, a unit, one of an attribute's words.
    Name(Box<str>),
    /// Pushes a text.
    Text(Box<str>),
    /// Pushes a date.
    Date(Date),
    /// Turns the sign.
    Negate,
    /// Combines two values.
    Binary(Binary),
    /// Applies a function to the last `n` values.
    Call(Function, u32),
    /// Gathers the last `n` values into a list.
    List(u32),
    /// Makes `start..end` a list; with `true`, `start..end step width`.
    Range(bool),
    /// `keep X`: what a stage of a data pipeline lets through.
    Keep,
    /// `every X`, `first X`, `last X`: some of a model's layers; with `true`, `every X from Y`.
    Pick(Pick, bool),
    /// Stands where a literal could not be read; it has been reported.
    Invalid,
}

/// Which layers are picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Each n-th, the n-th first, or those in steps of n from one on.
    Every,
    /// The first n.
    First,
    /// The last n.
    Last,
}

impl Pick {
    /// Its spelling.
    pub fn word(self) -> &'static str {
        match self {
            Pick::Every => "every",
            Pick::First => "first",
            Pick::Last => "last",
        }
    }
}

/// An arithmetic operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `^`
    Power,
}

impl Binary {
    /// Its spelling.
    pub fn symbol(self) -> &'static str {
        match self {
            Binary::Add => "+",
            Binary::Subtract => "-",
            Binary::Multiply => "*",
            Binary::Divide => "/",
            Binary::Power => "^",
        }
    }

    /// How tightly it binds; a prefix minus binds at 3.
    pub fn precedence(self) -> u8 {
        match self {
            Binary::Add | Binary::Subtract => 1,
            Binary::Multiply | Binary::Divide => 2,
            Binary::Power => 4,
        }
    }
}

/// A function of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Up to the next whole number.
    Ceil,
    /// Down to the next whole number.
    Floor,
    /// To the nearest whole number, halves away from zero.
    Round,
    /// The square root.
    Sqrt,
    /// The natural logarithm.
    Log,
    /// e to a power.
    Exp,
}

impl Function {
    /// Every function, in the order of the reference.
    pub const ALL: [Function; 8] = [
        Function::Min,
        Function::Max,
        Function::Ceil,
        Function::Floor,
        Function::Round,
        Function::Sqrt,
        Function::Log,
        Function::Exp,
    ];

    /// Its spelling.
    pub fn name(self) -> &'static str {
        match self {
            Function::Min => "min",
            Function::Max => "max",
            Function::Ceil => "ceil",
            Function::Floor => "floor",
            Function::Round => "round",
            Function::Sqrt => "sqrt",
            Function::Log => "log",
            Function::Exp => "exp",
        }
    }

    /// Whether it takes one value, not one or more.
    pub fn unary(self) -> bool {
        !matches!(self, Function::Min | Function::Max)
    }
}

impl Expr {
    /// The text the whole expression covers; `None` for an empty one.
    pub fn span(&self) -> Option<Span> {
        self.nodes.last().map(|node| node.span)
    }

    /// The name, where the expression is nothing but one.
    pub fn as_name(&self) -> Option<(&str, Span)> {
        match self.nodes.as_slice() {
            [Node { span, op: Op::Name(name) }] => Some((name, *span)),
            _ => None,
        }
    }

    /// The names that the expression mentions, in order, each as often as it stands there.
    pub fn names(&self) -> impl Iterator<Item = (&str, Span)> {
        self.nodes.iter().filter_map(|node| match &node.op {
            Op::Name(name) => Some((&**name, node.span)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

    use super::*;
    use crate::diagnostic::Code;
    use crate::source::FileId;

    #[test]
    fn exp_undoes_log_and_takes_plain_numbers() {
        for (text, expected) in
            [("exp(0)", 1.0), ("exp(log(5))", 5.0), ("exp(-1) * exp(2 s / 1 s)", 1_f64.exp())]
        {
            let Ok(Value::Quantity { number: Some(number), .. }) = evaluated(text) else { panic!("{text}") };
            assert!((number.real() / expected - 1.0).abs() < 1e-14, "{text} is {number:?}");
        }
        for (text, code) in [
            ("exp(1 s)", Code::UnitMismatch),
            ("exp(1000)", Code::Overflow),
            ("exp(1, 2)", Code::WrongArguments),
        ] {
            match evaluated(text) {
                Err(Failure(Some(diagnostic))) => assert_eq!(diagnostic.code, code, "{text}"),
                other => panic!("{text} is {other:?}"),
            }
        }
    }

    fn evaluated(text: &str) -> Result<Value, Failure> {
        evaluate(&crate::parse_expression(text, FileId(0)).unwrap(), &mut Nothing)
    }

    struct Nothing;

    impl Environment for Nothing {
        fn name(&mut self, _: &str, _: Span) -> Result<Value, Failure> {
            Err(Failure(None))
        }
    }
}
