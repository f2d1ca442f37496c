//! What is said about text that is not the language: in its words, with the habits of other tools in mind.

use pest::error::{Error, ErrorVariant};

use super::Rule;
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::Function;
use crate::schema::suggest;
use crate::source::Span;

/// A statement that could not be read; `at` is how far reading came.
pub(super) fn unexpected(text: &str, statement: Span, at: usize, error: &Error<Rule>) -> Diagnostic {
    let line = &text[statement.start as usize..statement.end as usize];
    let place = found_at(text, statement, at);
    if let Some(diagnostic) = foreign_habit(text, line, statement, at) {
        return diagnostic;
    }
    if let Some(open) = unclosed_bracket(text, statement.start as usize, at) {
        let bracket = &text[open..open + 1];
        let close = if bracket == "(" { ")" } else { "]" };
        let span = Span { start: open as u32, end: open as u32 + 1, ..statement };
        let diagnostic = Diagnostic::error(Code::UnclosedBracket, place, format!("`{close}` is missing"));
        let words = words(error).into_iter().chain([format!("`{close}`")]).collect::<Vec<_>>();
        return diagnostic.label(format!("expected {}", suggest::one_of(&words))).also(span, "opened here");
    }
    let found = describe(text, at);
    let expected = expected(error);
    if found == "the end of the line" {
        return Diagnostic::error(Code::Syntax, place, format!("expected {expected}"))
            .label("the line ends here");
    }
    Diagnostic::error(Code::Syntax, place, format!("expected {expected}, found {found}"))
        .label(format!("expected {expected}"))
}

/// A statement over very many lines.
pub(super) fn too_long(start: Span) -> Diagnostic {
    let most = crate::limits::MAX_STATEMENT_BYTES;
    Diagnostic::error(Code::FileTooLarge, start, format!("a statement of more than {most} bytes"))
        .label("it begins here, and reading stops here")
        .help("take parts out into `let` statements")
}

/// Text behind a statement that is complete; `condition` where that one compares.
pub(super) fn leftover(text: &str, rest: Span, condition: bool) -> Diagnostic {
    let line = &text[rest.start as usize..rest.end as usize];
    if let Some(open) = unclosed_bracket(text, rest.start as usize, rest.end as usize) {
        let span = Span { start: open as u32, end: open as u32 + 1, ..rest };
        let (open, close) = if text[open..].starts_with('(') { ('(', ')') } else { ('[', ']') };
        return Diagnostic::error(Code::UnclosedBracket, span, format!("`{close}` is missing"))
            .label(format!("this `{open}` is not closed"));
    }
    let first = line.chars().next().unwrap_or(' ');
    let one = Span { end: rest.start + first.len_utf8() as u32, ..rest };
    let second = line[first.len_utf8()..].chars().next().unwrap_or(' ');
    if first == ',' && second.is_ascii_digit() {
        return Diagnostic::error(Code::InvalidNumber, one, "a comma in a number")
            .help("group digits with `_`, as in `32_000`; a decimal point is `.`, as in `0.4`");
    }
    let pair = Span { end: one.end + second.len_utf8() as u32, ..one };
    if first == '/' && matches!(second, '/' | '*') {
        return Diagnostic::error(Code::Syntax, pair, "a comment begins with `#`").fix(pair, "#");
    }
    if first == '*' && second == '*' {
        return Diagnostic::error(Code::Syntax, pair, "a power is written `^`").fix(pair, "^");
    }
    if condition && ("<>!=&|".contains(first) || ["and ", "or "].iter().any(|word| line.starts_with(word))) {
        return Diagnostic::error(Code::Syntax, one, "a condition is one comparison")
            .help("put each comparison on a line of its own: all of them must hold");
    }
    if first == ',' || first == ';' {
        return Diagnostic::error(
            Code::Syntax,
            one,
            format!("a statement ends with its line, not with `{first}`"),
        )
        .help("leave it out")
        .fix(one, "");
    }
    let word = line.find(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c))).unwrap_or(line.len());
    let after = line[word..].trim_start();
    let span = Span { end: rest.start + word.max(first.len_utf8()) as u32, ..rest };
    if word > 0 && (after.starts_with('=') || after.starts_with('{') || after.starts_with(':')) {
        return Diagnostic::error(Code::TwoStatements, span, "two statements on one line")
            .label("the second one begins here")
            .help("put each on a line of its own");
    }
    if first == ')' || first == ']' {
        return Diagnostic::error(Code::Syntax, one, format!("`{first}` closes nothing"));
    }
    if "<>!=".contains(first) {
        return Diagnostic::error(Code::Syntax, one, "a comparison is no value")
            .help("conditions stand in `require { … }` or `prefer { … }`");
    }
    if let Some(replacement) = look_alike(first) {
        return Diagnostic::error(Code::Syntax, one, format!("unexpected character `{first}`"))
            .help(format!("write `{replacement}`"))
            .fix(one, replacement);
    }
    Diagnostic::error(
        Code::Syntax,
        span,
        format!("expected an operator or the end of the line, found {}", describe(text, rest.start as usize)),
    )
}

/// `{` below its header.
pub(super) fn brace_on_next_line(brace: Span, header: Span, text: &str) -> Diagnostic {
    Diagnostic::error(Code::Syntax, brace, "`{` stands on the line of its block")
        .also(header, "the block's header")
        .help(format!("write `{text} {{`"))
}

/// A block without its `}`; `end` is where that was noticed.
pub(super) fn unclosed(header: Span, end: Span) -> Diagnostic {
    let diagnostic =
        Diagnostic::error(Code::UnclosedBlock, header, "this block is not closed").label("opened here");
    let diagnostic =
        if end.end > end.start { diagnostic.also(end, "a new block begins here") } else { diagnostic };
    diagnostic.help("add `}` where the block ends")
}

/// A `}` without a block.
pub(super) fn stray_close(close: Span) -> Diagnostic {
    Diagnostic::error(Code::StrayBrace, close, "`}` closes nothing").label("no block is open here")
}

/// `layers: 96`
pub(super) fn colon(colon: Span, name: &str) -> Diagnostic {
    Diagnostic::error(Code::Colon, colon, "an attribute is set with `=`, not with `:`")
        .help(format!("write `{name} = …`"))
        .fix(colon, " =")
}

/// `model "gpt" {`
pub(super) fn quoted_name(span: Span, quoted: &str) -> Diagnostic {
    let bare = quoted.trim_matches('"');
    let plain = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    let diagnostic = Diagnostic::error(Code::QuotedName, span, "the name of a block is not quoted");
    if plain {
        diagnostic.help(format!("write `{bare}`")).fix(span, bare)
    } else {
        diagnostic.help("a name has letters, digits, `_`, `-` and `.`")
    }
}

/// `average(1, 2)`
pub(super) fn unknown_function(span: Span, name: &str) -> Diagnostic {
    let names: Vec<String> = Function::ALL.iter().map(|function| format!("`{}`", function.name())).collect();
    let diagnostic = Diagnostic::error(Code::UnknownFunction, span, format!("unknown function `{name}`"));
    match suggest::nearest(name, Function::ALL.iter().map(|function| function.name())) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")).fix(span, near),
        None => {
            diagnostic.help(format!("the functions are {}", suggest::one_of(&names).replace(" or ", " and ")))
        }
    }
}

/// What people write who come from JSON, YAML, TOML or C.
fn foreign_habit(text: &str, line: &str, statement: Span, at: usize) -> Option<Diagnostic> {
    let sub = |start: usize, end: usize| Span {
        start: statement.start + start as u32,
        end: statement.start + end as u32,
        ..statement
    };
    if line.starts_with("//") || line.starts_with("/*") || line.starts_with("--") {
        return Some(
            Diagnostic::error(Code::Syntax, sub(0, 2), "a comment begins with `#`").fix(sub(0, 2), "#"),
        );
    }
    if let Some(rest) = line.strip_prefix('"') {
        let quoted = rest.find('"').map(|end| &rest[..end])?;
        return Some(
            Diagnostic::error(Code::Syntax, sub(0, quoted.len() + 2), "names are not quoted")
                .help(format!("write `{quoted} = …`")),
        );
    }
    if line.starts_with("- ") {
        return Some(
            Diagnostic::error(Code::Syntax, sub(0, 1), "there are no list items")
                .help("a list is written `[1, 2, 4]`, a block `name { … }`"),
        );
    }
    if line.starts_with('[') {
        return Some(
            Diagnostic::error(Code::Syntax, sub(0, line.len()), "there are no sections in brackets")
                .help("a block is written `model gpt { … }`"),
        );
    }
    let here = text[at..].chars().next();
    if let Some(c) = here
        && let Some(replacement) = look_alike(c)
    {
        let span = Span { start: at as u32, end: (at + c.len_utf8()) as u32, ..statement };
        return Some(
            Diagnostic::error(Code::Syntax, span, format!("unexpected character `{c}`"))
                .help(format!("write `{replacement}`"))
                .fix(span, replacement),
        );
    }
    if here == Some('"') {
        let rest = text[at..].lines().next().unwrap_or_default();
        return Some(
            Diagnostic::error(
                Code::UnclosedString,
                Span { start: at as u32, end: (at + rest.len()) as u32, ..statement },
                "this text is not closed",
            )
            .help("end it with `\"` on the same line"),
        )
        .filter(|_| !rest[1..].contains('"') || rest.ends_with("\\\""));
    }
    if let Some(import) = ["import", "include", "use", "load", "from"]
        .iter()
        .find(|word| line.strip_prefix(**word).is_some_and(|rest| rest.starts_with([' ', '\t'])))
        && !line.contains('=')
    {
        let path = line[import.len()..].trim().trim_matches(['"', '\'', ';']).to_owned();
        return Some(
            Diagnostic::error(
                Code::Syntax,
                sub(0, import.len()),
                "another file is brought in with `import` and its path in quotes",
            )
            .help(format!("write `import \"{path}\"`")),
        );
    }
    if let Some(name) = line.strip_prefix("let ").map(str::trim)
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        return Some(
            Diagnostic::error(
                Code::MissingEquals,
                sub(line.trim_end().len(), line.trim_end().len()),
                "`=` is missing",
            )
            .help(format!("write `let {name} = …`")),
        );
    }
    // In brackets a statement goes on behind its first line.
    let before = line.get(..at.saturating_sub(statement.start as usize)).unwrap_or_default();
    if here == Some('{') && before.trim_end().ends_with(['=', ':']) {
        return Some(
            Diagnostic::error(
                Code::Syntax,
                sub(at - statement.start as usize, at + 1 - statement.start as usize),
                "a block is opened without `=`",
            )
            .help(format!("write `{} {{`", line.split(['=', ':']).next().unwrap_or_default().trim())),
        );
    }
    // `layers 96`
    let word = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))?;
    let value = line[word..].trim_start();
    let gap = line.len() - value.len();
    if word > 0
        && gap > word
        && at >= statement.start as usize + gap
        && starts_value(value)
        && !value.contains('{')
    {
        return Some(
            Diagnostic::error(Code::MissingEquals, sub(gap, gap).at_start(), "`=` is missing")
                .help(format!("write `{} = {}`", &line[..word], value.trim_end()))
                .fix(sub(gap, gap), "= "),
        );
    }
    None
}

fn starts_value(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '$' || c == '"' || c == '[')
        && !text.split_once('#').map_or(text, |(code, _)| code).contains('=')
}

/// Characters that word processors and formulas put where the language has plain ones.
fn look_alike(c: char) -> Option<&'static str> {
    match c {
        '×' | '·' => Some("*"),
        '÷' => Some("/"),
        '−' | '–' | '—' => Some("-"),
        '≤' => Some("<="),
        '≥' => Some(">="),
        '≠' => Some("!="),
        '“' | '”' | '„' | '\'' | '‘' | '’' | '`' => Some("\""),
        '\u{a0}' | '\u{202f}' | '\u{3000}' | '\u{200b}' | '\u{feff}' => Some(" "),
        _ => None,
    }
}

fn unclosed_bracket(text: &str, start: usize, at: usize) -> Option<usize> {
    let mut open = Vec::new();
    let mut quoted = false;
    let mut comment = false;
    for (offset, byte) in text.as_bytes()[start..at].iter().enumerate() {
        match byte {
            b'\n' => comment = false,
            _ if comment => {}
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'#' => comment = true,
            b'(' | b'[' => open.push(start + offset),
            b')' | b']' => drop(open.pop()),
            _ => {}
        }
    }
    open.pop()
}

/// The place to underline: the character or word at which reading stopped.
fn found_at(text: &str, statement: Span, at: usize) -> Span {
    let rest = &text[at..];
    let length = match rest.chars().next() {
        None | Some('\n' | '\r') => 0,
        Some(c) if c.is_alphanumeric() => rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len()),
        Some(c) => c.len_utf8(),
    };
    Span { start: at as u32, end: (at + length) as u32, ..statement }
}

fn describe(text: &str, at: usize) -> String {
    let rest = &text[at..];
    match rest.chars().next() {
        None => "the end of the file".to_owned(),
        Some('\n' | '\r' | '#') => "the end of the line".to_owned(),
        Some(c) if c.is_alphanumeric() => {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let word: String = rest[..end].chars().take(40).collect();
            format!("`{word}`")
        }
        Some(c) => format!("`{c}`"),
    }
}

/// What could have stood there, in words.
fn expected(error: &Error<Rule>) -> String {
    let words = words(error);
    if words.is_empty() { "a value".to_owned() } else { suggest::one_of(&words) }
}

fn words(error: &Error<Rule>) -> Vec<String> {
    let ErrorVariant::ParsingError { positives, .. } = &error.variant else { return Vec::new() };
    let only_names = positives.iter().all(|rule| matches!(rule, Rule::name | Rule::string | Rule::extends));
    let mut words: Vec<String> = Vec::new();
    for rule in positives {
        let word = match rule {
            Rule::statement
            | Rule::attribute
            | Rule::import
            | Rule::binding
            | Rule::header
            | Rule::condition => "a statement",
            Rule::assign => "`=`",
            Rule::open => "`{`",
            Rule::extends => "`extends`",
            Rule::comparison => "a comparison",
            Rule::operator => "an operator",
            Rule::unit => "a unit",
            Rule::string if positives.len() == 1 => "a text in quotes",
            Rule::name | Rule::string if only_names => "a name",
            Rule::keep
            | Rule::pick
            | Rule::which
            | Rule::expression
            | Rule::bracketed
            | Rule::minus
            | Rule::number
            | Rule::name
            | Rule::call
            | Rule::group
            | Rule::list
            | Rule::string => "a value",
            Rule::range => "`..`",
            Rule::EOI
            | Rule::items
            | Rule::operand
            | Rule::quantity
            | Rule::value
            | Rule::word
            | Rule::blank
            | Rule::gap
            | Rule::gap1
            | Rule::lines
            | Rule::exponent
            | Rule::magnitude
            | Rule::date
            | Rule::tokens
            | Rule::symbol
            | Rule::comment
            | Rule::newline => continue,
        };
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    words
}
