//! Text to syntax tree. The only file that sees pest's `Rule`: statements are parsed one by one, blocks are matched
//! here, and after a mistake reading goes on at the next line.

mod expression;
mod literal;
mod mistakes;

use pest::Parser;
use pest::iterators::Pair;

use crate::diagnostic::{Code, Diagnostic};
use crate::expr::Expr;
use crate::limits;
use crate::schema;
use crate::source::{FileId, Span};
use crate::syntax::{Block, File, Item, ItemKind};

#[derive(pest_derive::Parser)]
#[grammar = "grammar.pest"]
struct Grammar;

/// Parses a text. The tree holds all of it, whatever is wrong; what is wrong is in the diagnostics, in source order.
pub fn parse(text: &str, file: FileId) -> (File, Vec<Diagnostic>) {
    if let Err(refusal) = limits::check(text, file) {
        return (File::default(), vec![*refusal]);
    }
    let mut reader = Reader {
        text,
        file,
        at: 0,
        open: Vec::new(),
        items: Vec::new(),
        statements: 0,
        found: Found::default(),
    };
    reader.read();
    (File { items: reader.items }, reader.found.diagnostics)
}

/// Parses one expression that is all of the text.
///
/// # Errors
/// What is wrong with it.
pub fn parse_expression(text: &str, file: FileId) -> Result<Expr, Diagnostic> {
    limits::check(text, file).map_err(|refusal| *refusal)?;
    let end = text.trim_end().len();
    let start = end - text[..end].trim_start().len();
    let whole = Span { file, start: start as u32, end: end as u32 };
    let mut found = Found::default();
    let expr = match Grammar::parse(Rule::expression, &text[start..end]) {
        Ok(mut pairs) => pairs.next().map(|pair| {
            let read = start + pair.as_span().end();
            if read < end {
                let rest = Span { file, start: read as u32, end: end as u32 };
                found.push(mistakes::leftover(text, rest, false));
            }
            expression::build(pair, file, start, &mut found)
        }),
        Err(error) => {
            found.push(mistakes::unexpected(text, whole, start + offset(&error), &error));
            None
        }
    };
    match (expr, found.diagnostics.into_iter().next()) {
        (_, Some(diagnostic)) => Err(diagnostic),
        (Some(expr), None) => Ok(expr),
        (None, None) => Err(Diagnostic::error(Code::Syntax, whole, "an expression is expected")),
    }
}

/// A token, for the formatter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Number,
    Unit,
    Name,
    Text,
    Symbol,
    Comment,
    Newline,
}

/// The tokens of a statement, with their byte ranges; `None` where the text cannot be told apart.
pub(crate) fn tokens(text: &str) -> Option<Vec<(TokenKind, std::ops::Range<usize>)>> {
    let mut pairs = Grammar::parse(Rule::tokens, text).ok()?;
    let mut tokens = Vec::new();
    for pair in pairs.next()?.into_inner() {
        let kind = match pair.as_rule() {
            Rule::number => TokenKind::Number,
            Rule::unit => TokenKind::Unit,
            Rule::name => TokenKind::Name,
            Rule::string => TokenKind::Text,
            Rule::comment => TokenKind::Comment,
            Rule::newline => TokenKind::Newline,
            Rule::EOI => break,
            _ => TokenKind::Symbol,
        };
        let span = pair.as_span();
        tokens.push((kind, span.start()..span.end()));
    }
    Some(tokens)
}

/// The mistakes found so far, and the budget of nodes that is left.
#[derive(Default)]
struct Found {
    diagnostics: Vec<Diagnostic>,
    nodes: usize,
}

impl Found {
    fn push(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < limits::MAX_DIAGNOSTICS {
            self.diagnostics.push(diagnostic);
        }
    }
}

/// A block whose `}` has not come yet, with the items that stood before it.
struct OpenBlock {
    kind: Option<Span>,
    name: Option<Span>,
    extends: Option<Span>,
    header: Span,
    comment: Option<Span>,
    outer: Vec<Item>,
}

struct Reader<'t> {
    text: &'t str,
    file: FileId,
    at: usize,
    open: Vec<OpenBlock>,
    items: Vec<Item>,
    statements: usize,
    found: Found,
}

impl Reader<'_> {
    fn read(&mut self) {
        if self.text.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
        }
        loop {
            self.skip_blank();
            let Some(&byte) = self.text.as_bytes().get(self.at) else { break };
            if self.full() {
                self.give_up();
                break;
            }
            match byte {
                b'#' => {
                    let span = self.take_comment();
                    self.items.push(Item { span, kind: ItemKind::Comment, comment: None });
                }
                b'}' => self.close_block(),
                _ => {
                    self.statements += 1;
                    self.statement();
                }
            }
        }
        while let Some(block) = self.open.last() {
            let header = block.header;
            let end = self.span(self.text.len(), self.text.len());
            self.found.push(mistakes::unclosed(header, end));
            self.pop_block(end);
        }
    }

    fn statement(&mut self) {
        let start = self.at;
        // Nothing may be longer than the limit; a statement that is cut there does not parse.
        let window = self.text.floor_char_boundary(start + limits::MAX_STATEMENT_BYTES);
        match Grammar::parse(Rule::statement, &self.text[start..window]) {
            Ok(mut pairs) => {
                let inner = pairs.next().and_then(|statement| statement.into_inner().next());
                match inner {
                    Some(pair) => {
                        self.at = start + pair.as_span().end();
                        self.build(pair, start);
                    }
                    None => self.broken(start, start),
                }
            }
            Err(error) => {
                let at = start + offset(&error);
                if at >= window && window < self.text.len() {
                    let place = self.span(start, self.line_end(start).min(window));
                    self.found.push(mistakes::too_long(place));
                    return self.give_up_at(start);
                }
                let line = self.line_end(start);
                if self.brace_on_next_line(start, line) {
                    return;
                }
                let statement = self.span(start, line);
                self.found.push(mistakes::unexpected(self.text, statement, at, &error));
                self.broken(start, at);
            }
        }
    }

    /// `model gpt` with its `{` on a line of its own: said, and read as it was meant.
    fn brace_on_next_line(&mut self, start: usize, line: usize) -> bool {
        let header = self.text[start..self.code_end(start, line)].trim_end();
        let mut words = header.split([' ', '\t']).filter(|word| !word.is_empty());
        let kind = words.next().unwrap_or_default();
        let known = schema::block(kind).is_some()
            || schema::BLOCKS.iter().any(|block| block.block(kind).is_some())
            || matches!(kind, "require" | "prefer");
        let rest = &self.text[line..];
        let brace = line + rest.len() - rest.trim_start().len();
        if !known || header.contains(['=', '{']) || self.text.as_bytes().get(brace) != Some(&b'{') {
            return false;
        }
        let within = |word: &str| {
            let at = start + (word.as_ptr() as usize).saturating_sub(header.as_ptr() as usize);
            self.span(at, at + word.len())
        };
        let block = OpenBlock {
            kind: Some(within(kind)),
            name: words.next().map(within),
            extends: None,
            header: self.span(start, brace + 1),
            comment: None,
            outer: Vec::new(),
        };
        self.found.push(mistakes::brace_on_next_line(
            self.span(brace, brace + 1),
            self.span(start, start + header.len()),
            header,
        ));
        self.at = brace + 1;
        self.push_block(block);
        true
    }

    fn build(&mut self, pair: Pair<'_, Rule>, base: usize) {
        let before = self.found.diagnostics.len();
        let (file, rule) = (self.file, pair.as_rule());
        let span = span_of(&pair, file, base);
        let mut parts = pair.into_inner();
        let mut next = || parts.next();
        let kind = match rule {
            Rule::header => return self.open_block(parts, span, base),
            Rule::import => next().map(|path| ItemKind::Import { path: span_of(&path, file, base) }),
            Rule::attribute | Rule::binding => match (next(), next(), next()) {
                (Some(name), Some(assign), Some(value)) => {
                    let name = span_of(&name, file, base);
                    if assign.as_str() == ":" {
                        self.found.push(mistakes::colon(
                            span_of(&assign, file, base),
                            &self.text[name.start as usize..name.end as usize],
                        ));
                    }
                    let value = expression::value(value, parts.next(), file, base, &mut self.found);
                    Some(if rule == Rule::binding {
                        ItemKind::Let { name, value }
                    } else {
                        ItemKind::Attribute { name, value }
                    })
                }
                _ => None,
            },
            _ => match (next(), next(), next()) {
                (Some(left), Some(comparison), Some(right)) => Some(ItemKind::Condition {
                    left: expression::build(left, file, base, &mut self.found),
                    comparison: span_of(&comparison, file, base),
                    right: expression::build(right, file, base, &mut self.found),
                    reason: parts.next().map(|reason| span_of(&reason, file, base)),
                }),
                _ => None,
            },
        };
        let told = self.found.diagnostics.len() > before;
        self.finish(Item { span, kind: kind.unwrap_or(ItemKind::Broken), comment: None }, told);
    }

    /// Takes what may follow a statement on its line, and says what may not, unless the statement's mistake has been
    /// `told` already.
    fn finish(&mut self, mut item: Item, told: bool) {
        self.skip_spaces();
        match self.text.as_bytes().get(self.at) {
            None | Some(b'\n' | b'\r' | b'}') => {}
            Some(b'#') => item.comment = Some(self.take_comment()),
            Some(_) => {
                let end = self.line_end(self.at);
                let rest = self.span(self.at, end);
                if !told {
                    let condition = matches!(item.kind, ItemKind::Condition { .. });
                    self.found.push(mistakes::leftover(self.text, rest, condition));
                }
                let start = item.span.start as usize;
                return self.broken(start, self.at);
            }
        }
        self.items.push(item);
    }

    fn open_block(&mut self, parts: pest::iterators::Pairs<'_, Rule>, header: Span, base: usize) {
        let mut block =
            OpenBlock { kind: None, name: None, extends: None, header, comment: None, outer: Vec::new() };
        let mut extending = false;
        for part in parts {
            let mut span = span_of(&part, self.file, base);
            match part.as_rule() {
                Rule::extends => extending = true,
                Rule::name | Rule::string => {
                    if part.as_rule() == Rule::string {
                        self.found.push(mistakes::quoted_name(span, part.as_str()));
                        span = Span { start: span.start + 1, end: span.end - 1, ..span };
                    }
                    if block.kind.is_none() {
                        block.kind = Some(span);
                    } else if extending {
                        block.extends = Some(span);
                    } else {
                        block.name = Some(span);
                    }
                }
                _ => {}
            }
        }
        self.push_block(block);
    }

    fn push_block(&mut self, mut block: OpenBlock) {
        let word = block.kind.map(|span| &self.text[span.start as usize..span.end as usize]);
        let top_level = word.is_some_and(|word| schema::block(word).is_some());
        let column = block.header.start as usize - self.line_start(block.header.start as usize);
        if top_level && column == 0 && !self.open.is_empty() {
            // A top-level block at the start of a line: the ones before it were meant to be closed.
            let end = self.span(block.header.start as usize, block.header.start as usize);
            while let Some(unclosed) = self.open.last() {
                self.found.push(mistakes::unclosed(unclosed.header, block.header));
                self.pop_block(end);
            }
        }
        self.skip_spaces();
        if self.text.as_bytes().get(self.at) == Some(&b'#') {
            block.comment = Some(self.take_comment());
        }
        block.outer = std::mem::take(&mut self.items);
        self.open.push(block);
    }

    fn close_block(&mut self) {
        let close = self.span(self.at, self.at + 1);
        self.at += 1;
        if self.open.is_empty() {
            self.found.push(mistakes::stray_close(close));
            self.items.push(Item { span: close, kind: ItemKind::Broken, comment: None });
            return;
        }
        self.pop_block(close);
        self.skip_spaces();
        match self.text.as_bytes().get(self.at) {
            None | Some(b'\n' | b'\r' | b'}') => {}
            Some(b'#') => {
                let comment = self.take_comment();
                if let Some(item) = self.items.last_mut() {
                    item.comment = Some(comment);
                }
            }
            Some(_) => {
                let start = self.at;
                let rest = self.span(start, self.line_end(start));
                self.found.push(mistakes::leftover(self.text, rest, false));
                self.broken(start, start);
            }
        }
    }

    fn pop_block(&mut self, close: Span) {
        let Some(block) = self.open.pop() else { return };
        let items = std::mem::replace(&mut self.items, block.outer);
        let OpenBlock { kind, name, extends, header, comment, .. } = block;
        let block = Block { kind, name, extends, header, comment, items, close };
        self.items.push(Item {
            span: header.to(close),
            kind: ItemKind::Block(Box::new(block)),
            comment: None,
        });
    }

    /// Keeps a line that could not be read. A `{` at its end opens a block whose kind is not known, so that the lines
    /// in it are still read.
    fn broken(&mut self, start: usize, at: usize) {
        // A statement over several lines goes wrong on its last one: go on behind that, unless it begins anew there.
        let last = self.line_start(at.min(self.text.len()));
        let resume = if last > start && !self.continues(last) { last } else { at.max(start) };
        let end = if resume == last && last > start { last } else { self.line_end(resume) };
        let code = self.code_end(resume.min(end), end);
        let text = self.text[start..code].trim_end();
        self.at = start + text.len();
        let span = self.span(start, self.at);
        let opens = text.ends_with('{') && !text[..text.len() - 1].contains('{');
        if opens {
            let block = OpenBlock {
                kind: None,
                name: None,
                extends: None,
                header: span,
                comment: None,
                outer: Vec::new(),
            };
            return self.push_block(block);
        }
        // `heads = ?? }` closes the block it stands in.
        if text.ends_with('}') && !text.contains('{') && text.len() > 1 {
            let kept = text[..text.len() - 1].trim_end();
            self.at = start + kept.len();
            let span = self.span(start, self.at);
            self.items.push(Item { span, kind: ItemKind::Broken, comment: None });
            return;
        }
        self.skip_spaces();
        let comment = (self.text.as_bytes().get(self.at) == Some(&b'#')).then(|| self.take_comment());
        self.items.push(Item { span, kind: ItemKind::Broken, comment });
    }

    /// Whether a line carries on what stood before it: it does not look like a statement of its own.
    fn continues(&self, line: usize) -> bool {
        let end = self.line_end(line);
        let text = self.text[line..end].trim_start();
        let word =
            text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(text.len());
        let rest = text[word..].trim_start();
        word == 0 && !text.starts_with('}')
            || !(rest.starts_with('=') || rest.contains('{') || text.starts_with('}'))
    }

    /// Whether there is more in the text than is read.
    fn full(&self) -> bool {
        self.found.nodes > limits::MAX_NODES
            || self.statements >= limits::MAX_STATEMENTS
            || self.found.diagnostics.len() >= limits::MAX_DIAGNOSTICS
    }

    fn give_up(&mut self) {
        let place = self.span(self.at, self.at);
        let (most, what) = if self.found.nodes > limits::MAX_NODES {
            (limits::MAX_NODES, "operands")
        } else {
            (limits::MAX_STATEMENTS, "statements")
        };
        // After very many mistakes it is they that say it all.
        self.found.push(
            Diagnostic::error(Code::FileTooLarge, place, format!("more than {most} {what} in one file"))
                .label("reading stops here"),
        );
        self.give_up_at(self.at);
    }

    /// Keeps the rest of the text as it is.
    fn give_up_at(&mut self, start: usize) {
        let span = self.span(start, self.text.len());
        self.items.push(Item { span, kind: ItemKind::Broken, comment: None });
        self.at = self.text.len();
    }

    fn take_comment(&mut self) -> Span {
        let start = self.at;
        let end = self.line_end(start);
        self.at = end;
        let kept = start + self.text[start..end].trim_end().len();
        self.span(start, kept)
    }

    fn skip_blank(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at +=
            rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).unwrap_or(rest.len());
    }

    fn skip_spaces(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(rest.len());
    }

    fn line_start(&self, at: usize) -> usize {
        self.text.as_bytes()[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        let rest = &self.text.as_bytes()[at..];
        let end = at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        if end > at && self.text.as_bytes()[end - 1] == b'\r' { end - 1 } else { end }
    }

    /// Where the code of a line ends and its comment begins.
    fn code_end(&self, from: usize, end: usize) -> usize {
        let mut quoted = false;
        let mut escaped = false;
        for (at, byte) in self.text.as_bytes()[from..end].iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'#' if !quoted => return from + at,
                _ => {}
            }
        }
        end
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { file: self.file, start: start as u32, end: end as u32 }
    }
}

fn span_of(pair: &Pair<'_, Rule>, file: FileId, base: usize) -> Span {
    let span = pair.as_span();
    Span { file, start: (base + span.start()) as u32, end: (base + span.end()) as u32 }
}

fn offset(error: &pest::error::Error<Rule>) -> usize {
    match error.location {
        pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
    }
}

/// The text between quotes, with its escapes read.
pub(crate) fn unquoted(quoted: &str, span: Span, diagnostics: &mut Vec<Diagnostic>) -> String {
    let mut found = Found::default();
    let text = literal::text(quoted, span, &mut found);
    diagnostics.append(&mut found.diagnostics);
    text
}
