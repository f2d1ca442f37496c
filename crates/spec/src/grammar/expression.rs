//! A row of operands and operators to a postfix expression.

use pest::iterators::Pair;

use super::{Found, Rule, literal, mistakes, span_of};
use crate::expr::{Binary, Expr, Function, Node, Op, Pick};
use crate::source::{FileId, Span};

/// What an attribute is set to: a stage, an expression, or a range where `range` follows.
pub(super) fn value(
    value: Pair<'_, Rule>,
    range: Option<Pair<'_, Rule>>,
    file: FileId,
    base: usize,
    found: &mut Found,
) -> Expr {
    let mut builder = Builder { file, base, found, nodes: Vec::new() };
    let whole = span_of(&value, file, base);
    match value.as_rule() {
        Rule::keep => {
            value.into_inner().for_each(|share| builder.row(share));
            builder.push(whole, Op::Keep);
        }
        Rule::pick => builder.pick(value, whole),
        _ => builder.row(value),
    }
    if let Some(range) = range {
        let whole = whole.to(span_of(&range, file, base));
        let bounds: Vec<_> = range.into_inner().collect();
        let stepped = bounds.len() > 1;
        for bound in bounds {
            builder.row(bound);
        }
        builder.push(whole, Op::Range(stepped));
    }
    Expr { nodes: builder.nodes }
}

/// An expression.
pub(super) fn build(pair: Pair<'_, Rule>, file: FileId, base: usize, found: &mut Found) -> Expr {
    let mut builder = Builder { file, base, found, nodes: Vec::new() };
    builder.row(pair);
    Expr { nodes: builder.nodes }
}

struct Builder<'f> {
    file: FileId,
    base: usize,
    found: &'f mut Found,
    nodes: Vec<Node>,
}

/// An operator that waits for its right operand.
enum Waiting {
    Minus(Span),
    Binary(Binary),
}

impl Builder<'_> {
    /// Dijkstra's shunting yard, with a stack of operand spans beside it.
    fn row(&mut self, row: Pair<'_, Rule>) {
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut spans: Vec<Span> = Vec::new();
        let mut parts = row.into_inner().peekable();
        while let Some(part) = parts.next() {
            let span = span_of(&part, self.file, self.base);
            match part.as_rule() {
                Rule::minus => {
                    // Two minuses in a row cancel: a long row of them must not grow the stack.
                    match waiting.last() {
                        Some(Waiting::Minus(_)) => drop(waiting.pop()),
                        _ => waiting.push(Waiting::Minus(span)),
                    }
                }
                Rule::operator => self.operator(binary(part.as_str()), &mut waiting, &mut spans),
                Rule::number => {
                    let unit = parts.next_if(|next| next.as_rule() == Rule::unit);
                    let unit = unit.as_ref().map(|unit| (unit.as_str(), span_of(unit, self.file, self.base)));
                    let literal = literal::read(part.as_str(), span, unit, self.found);
                    self.push(literal.span, literal.op);
                    spans.push(literal.span);
                    // `4GiB/n`: what is no unit divides as a name.
                    for (divides, name, span) in literal.tail {
                        let operator = if divides { Binary::Divide } else { Binary::Multiply };
                        self.operator(operator, &mut waiting, &mut spans);
                        self.push(span, Op::Name(name.into()));
                        spans.push(span);
                    }
                }
                _ => {
                    self.operand(part, span);
                    spans.push(span);
                }
            }
        }
        while let Some(operator) = waiting.pop() {
            self.apply(operator, &mut spans);
        }
    }

    /// `every 8 from 4`
    fn pick(&mut self, pick: Pair<'_, Rule>, whole: Span) {
        let mut parts = pick.into_inner();
        let which = match parts.next().map(|which| which.as_str()) {
            Some("first") => Pick::First,
            Some("last") => Pick::Last,
            _ => Pick::Every,
        };
        let count = parts.map(|part| self.row(part)).count();
        self.push(whole, Op::Pick(which, count > 1));
    }

    fn operand(&mut self, part: Pair<'_, Rule>, span: Span) {
        match part.as_rule() {
            Rule::name => self.push(span, Op::Name(part.as_str().into())),
            Rule::string => {
                let text = literal::text(part.as_str(), span, self.found);
                self.push(span, Op::Text(text.into()));
            }
            Rule::group => {
                if let Some(inner) = part.into_inner().next() {
                    self.row(inner);
                }
            }
            Rule::list => {
                let count = part.into_inner().map(|item| self.row(item)).count();
                self.push(span, Op::List(count as u32));
            }
            _ => self.call(part, span),
        }
    }

    fn call(&mut self, part: Pair<'_, Rule>, span: Span) {
        let mut parts = part.into_inner();
        let Some(name) = parts.next() else { return };
        let function = Function::ALL.into_iter().find(|function| function.name() == name.as_str());
        let count = parts.map(|argument| self.row(argument)).count();
        match function {
            Some(function) => self.push(span, Op::Call(function, count as u32)),
            None => {
                self.found
                    .push(mistakes::unknown_function(span_of(&name, self.file, self.base), name.as_str()));
                self.push(span, Op::Invalid);
            }
        }
    }

    fn operator(&mut self, operator: Binary, waiting: &mut Vec<Waiting>, spans: &mut Vec<Span>) {
        while let Some(top) = waiting.last() {
            let strength = match top {
                Waiting::Minus(_) => 3,
                Waiting::Binary(top) => top.precedence(),
            };
            // `^` binds to the right: 2^3^2 is 2^9.
            if strength < operator.precedence()
                || (strength == operator.precedence() && operator == Binary::Power)
            {
                break;
            }
            if let Some(top) = waiting.pop() {
                self.apply(top, spans);
            }
        }
        waiting.push(Waiting::Binary(operator));
    }

    fn apply(&mut self, operator: Waiting, spans: &mut Vec<Span>) {
        let Some(right) = spans.pop() else { return };
        let (span, op) = match operator {
            Waiting::Minus(minus) => (minus.to(right), Op::Negate),
            Waiting::Binary(operator) => {
                (spans.pop().map_or(right, |left| left.to(right)), Op::Binary(operator))
            }
        };
        self.push(span, op);
        spans.push(span);
    }

    fn push(&mut self, span: Span, op: Op) {
        self.found.nodes += 1;
        self.nodes.push(Node { span, op });
    }
}

fn binary(symbol: &str) -> Binary {
    match symbol {
        "+" => Binary::Add,
        "-" => Binary::Subtract,
        "*" => Binary::Multiply,
        "/" => Binary::Divide,
        _ => Binary::Power,
    }
}
