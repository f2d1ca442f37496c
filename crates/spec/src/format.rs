//! Canonical layout: two spaces, one statement a line, one space around `=`, nothing aligned, at most one blank line.
//!
//! Only layout changes: never a value, a spelling or an order. A statement that could not be read stays as it is, and
//! a text whose braces do not match stays as it is altogether.

use crate::diagnostic::{Code, Diagnostic};
use crate::grammar::{self, TokenKind};
use crate::limits::MAX_DIAGNOSTICS;
use crate::source::{FileId, Span};
use crate::syntax::{Block, File, Item, ItemKind};

/// A formatted text.
#[derive(Clone, Debug, PartialEq)]
pub struct Formatted {
    /// The canonical text, or as much of it as could be made so.
    pub text: String,
    /// What could not be read, in source order.
    pub diagnostics: Vec<Diagnostic>,
}

/// Formats a text; diagnostics point into it as `file`.
pub fn format(text: &str, file: FileId) -> Formatted {
    let (tree, diagnostics) = grammar::parse(text, file);
    let structural = |diagnostic: &Diagnostic| {
        matches!(
            diagnostic.code,
            Code::UnclosedBlock
                | Code::StrayBrace
                | Code::FileTooLarge
                | Code::NestingTooDeep
                | Code::NotText
        )
    };
    // After so many mistakes reading has stopped: the rest of the text was never told apart.
    if diagnostics.len() >= MAX_DIAGNOSTICS || diagnostics.iter().any(structural) {
        return Formatted { text: text.to_owned(), diagnostics };
    }
    let mut printer = Printer { source: text, out: String::with_capacity(text.len() + 64), depth: 0 };
    printer.file(&tree);
    // The line ends of the file are kept: its first one decides.
    let windows = text.find('\n').is_some_and(|at| text[..at].ends_with('\r'));
    let text = if windows { printer.out.replace('\n', "\r\n") } else { printer.out };
    Formatted { text, diagnostics }
}

struct Printer<'t> {
    source: &'t str,
    out: String,
    depth: usize,
}

impl Printer<'_> {
    fn file(&mut self, file: &File) {
        let mut end = 0;
        for item in &file.items {
            self.separated(item, end, end == 0);
            end = end_of(item);
        }
    }

    /// An item with the blank line that may stand before it.
    fn separated(&mut self, item: &Item, previous_end: usize, first: bool) {
        let gap = self.source.get(previous_end..item.span.start as usize).unwrap_or_default();
        if !first && gap.matches('\n').count() > 1 {
            self.out.push('\n');
        }
        self.item(item);
    }

    fn item(&mut self, item: &Item) {
        self.indent(self.depth);
        match &item.kind {
            ItemKind::Block(block) => self.block(block),
            ItemKind::Comment => self.verbatim(item.span),
            ItemKind::Broken => self.verbatim(item.span),
            _ => self.statement(item.span),
        }
        self.comment(item.comment);
        self.out.push('\n');
    }

    fn block(&mut self, block: &Block) {
        match block.kind {
            Some(_) => self.statement(block.header),
            None => self.verbatim(block.header),
        }
        if block.items.is_empty() && block.comment.is_none() {
            self.out.push('}');
            return;
        }
        self.comment(block.comment);
        self.out.push('\n');
        self.depth += 1;
        let mut end = block.header.end as usize;
        for (at, item) in block.items.iter().enumerate() {
            self.separated(item, end, at == 0);
            end = end_of(item);
        }
        self.depth -= 1;
        self.indent(self.depth);
        self.out.push('}');
    }

    fn comment(&mut self, comment: Option<Span>) {
        if let Some(comment) = comment {
            self.out.push_str("  ");
            self.verbatim(comment);
        }
    }

    fn verbatim(&mut self, span: Span) {
        let text = &self.source[span.start as usize..span.end as usize];
        if text.contains('\r') { self.out.push_str(&text.replace('\r', "")) } else { self.out.push_str(text) }
    }

    fn statement(&mut self, span: Span) {
        let text = &self.source[span.start as usize..span.end as usize];
        let Some(tokens) = grammar::tokens(text) else { return self.verbatim(span) };
        let mut before: Option<Token<'_>> = None;
        let mut brackets = 0_usize;
        let mut fresh = false;
        for (kind, range) in tokens {
            let token = Token { kind, text: &text[range], unary: false };
            if kind == TokenKind::Newline {
                fresh = true;
                continue;
            }
            let opens = matches!(token.text, "(" | "[");
            let closes = matches!(token.text, ")" | "]");
            if closes {
                brackets = brackets.saturating_sub(1);
            }
            let token =
                Token { unary: token.text == "-" && before.is_none_or(Token::wants_operand), ..token };
            if fresh {
                self.out.push('\n');
                let hanging = usize::from(brackets == 0 && !closes);
                self.indent(self.depth + brackets + hanging);
                fresh = false;
            } else if let Some(before) = before {
                self.out.push_str(gap(before, token));
            }
            token.print(&mut self.out);
            brackets += usize::from(opens);
            before = Some(token);
        }
    }

    fn indent(&mut self, depth: usize) {
        for _ in 0..depth {
            self.out.push_str("  ");
        }
    }
}

/// Where an item ends, its comment included.
fn end_of(item: &Item) -> usize {
    item.comment.unwrap_or(item.span).end as usize
}

/// Words of the language that a value follows.
const WORDS: [&str; 6] = ["keep", "step", "every", "first", "last", "from"];

#[derive(Clone, Copy)]
struct Token<'t> {
    kind: TokenKind,
    text: &'t str,
    /// Whether it is a minus that turns a sign.
    unary: bool,
}

impl Token<'_> {
    /// Whether an operand must follow: a minus there turns a sign.
    fn wants_operand(self) -> bool {
        match self.kind {
            TokenKind::Symbol => !matches!(self.text, ")" | "]"),
            TokenKind::Name => WORDS.contains(&self.text),
            _ => false,
        }
    }

    fn print(self, out: &mut String) {
        match self.text.strip_suffix('%') {
            Some(digits) if self.kind == TokenKind::Number => {
                out.push_str(digits.trim_end());
                out.push('%');
            }
            _ => out.push_str(self.text),
        }
    }
}

/// What stands between two tokens of a line.
fn gap(before: Token<'_>, token: Token<'_>) -> &'static str {
    let after_value =
        matches!(before.kind, TokenKind::Number | TokenKind::Unit | TokenKind::Name | TokenKind::Text)
            || matches!(before.text, ")" | "]");
    match (before.text, token.text) {
        _ if token.kind == TokenKind::Comment => "  ",
        (_, "," | ")" | "]" | ":" | ".." | "^") | ("(" | "[" | ".." | "^", _) => "",
        _ if before.unary => "",
        (_, "(") if before.kind == TokenKind::Name && !WORDS.contains(&before.text) => "",
        // The reason of a requirement stands apart; a path behind `import` does not.
        _ if token.kind == TokenKind::Text && after_value && before.text != "import" => "  ",
        _ => " ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fmt(text: &str) -> String {
        let once = format(text, FileId(0)).text;
        assert_eq!(format(&once, FileId(0)).text, once, "formatting again changes the text");
        once
    }

    #[test]
    fn layout_is_canonical() {
        assert_eq!(
            fmt("model  gpt{\n\n\nlayers=96#deep\n  d_model =12_288\n\n\n\n  }\n"),
            "model gpt {\n  layers = 96  #deep\n  d_model = 12_288\n}\n"
        );
        assert_eq!(fmt("norm{}"), "norm {}\n");
        assert_eq!(fmt("a { # why\n}\n"), "a {  # why\n}\n");
        assert_eq!(fmt("x{y{z=1}}"), "x {\n  y {\n    z = 1\n  }\n}\n");
        assert_eq!(fmt(""), "");
        assert_eq!(fmt("\n\n# only\n\n\n# comments"), "# only\n\n# comments\n");
    }

    #[test]
    fn operators_and_units_are_spaced() {
        let line = |text: &str| fmt(text).trim_end().to_owned();
        assert_eq!(line("price=$2.00/h"), "price = $2.00 / h");
        assert_eq!(line("bw=3.35TB/s"), "bw = 3.35 TB/s");
        assert_eq!(line("x = 500GB/2TB/s"), "x = 500 GB / 2 TB/s");
        assert_eq!(line("mfu = 40 %"), "mfu = 40%");
        assert_eq!(line("x=-( 1+2 )*- 3^ 2"), "x = -(1 + 2) * -3^2");
        assert_eq!(line("x = [1,2 , 4,]"), "x = [1, 2, 4,]");
        assert_eq!(line("x = 16 .. 64  step  16"), "x = 16..64 step 16");
        assert_eq!(line("x = max( a,b )"), "x = max(a, b)");
        assert_eq!(line("f = keep 50 %"), "f = keep 50%");
        assert_eq!(line("import   \"a.llm\""), "import \"a.llm\"");
        assert_eq!(line("require{a<=76GB \"room\"}"), "require {\n  a <= 76 GB  \"room\"\n}");
    }

    #[test]
    fn lines_within_a_statement_stay() {
        let text = "x = [\n  1,  # one\n  # two\n  2,\n]\ny = 1 +\n  2\n";
        assert_eq!(fmt(text), text);
        assert_eq!(fmt("x = [\n1,\n\n2 ]\n"), "x = [\n  1,\n  2]\n");
    }

    #[test]
    fn what_is_broken_stays() {
        assert_eq!(
            fmt("model m {\n layers   96\n   d_model=1\n}\n"),
            "model m {\n  layers   96\n  d_model = 1\n}\n"
        );
        assert_eq!(fmt("model m {\nlayers=1\n"), "model m {\nlayers=1\n");
        // `step` is no unit, at the end of a line neither.
        assert_eq!(fmt("x = 2step \n"), "x = 2step\n");
    }

    #[test]
    fn windows_line_ends_stay() {
        assert_eq!(fmt("a=1\r\nb=2\r\n"), "a = 1\r\nb = 2\r\n");
    }
}
