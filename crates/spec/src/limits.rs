//! How large a plan may be. Whatever is larger is refused before it is parsed, so that no input can take long or
//! exhaust the stack or the memory.

use crate::diagnostic::{Code, Diagnostic};
use crate::source::{FileId, Span};

/// The largest file, in bytes: 8 MB. A plan of a thousand lines has 40 KB.
pub const MAX_FILE_BYTES: u64 = 8_000_000;
/// The deepest nesting of `{`, `(` and `[`.
pub const MAX_NESTING: usize = 64;
/// The longest statement, in bytes.
pub const MAX_STATEMENT_BYTES: usize = 65_536;
/// The most statements of a file.
pub const MAX_STATEMENTS: usize = 100_000;
/// The most operands and operators in all expressions of a file.
pub const MAX_NODES: usize = 500_000;
/// The most layers of a model whose layers differ from each other.
pub const MAX_UNLIKE_LAYERS: u64 = 4_096;
/// The most kinds of layers that the `layer` blocks of a model may make together.
pub const MAX_LAYER_KINDS: usize = 256;
/// The longest name of a `layer` block, in bytes: a kind of layer is named after all that make it.
pub const MAX_LAYER_NAME: usize = 64;
/// The most `layer` blocks of a model.
pub const MAX_LAYER_BLOCKS: usize = 256;
/// The most values of one list or range.
pub const MAX_LIST: usize = 1_000;
/// The most combinations of a plan's lists.
pub const MAX_VARIANTS: usize = 1_000;
/// The most names that refer to names.
pub const MAX_NAMES: usize = 128;
/// The most files that one plan may import, directly or not.
pub const MAX_IMPORTS: usize = 256;
/// The most mistakes that one file is told; the rest is counted.
pub const MAX_DIAGNOSTICS: usize = 500;

/// Reads the text once, without parsing it: its size, its nesting, the length of its lines, and bytes that no text
/// has.
pub(crate) fn check(text: &str, file: FileId) -> Result<(), Box<Diagnostic>> {
    let span = |start: usize, end: usize| Span { file, start: start as u32, end: end as u32 };
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(Box::new(too_large(span(0, 0), text.len() as u64)));
    }
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut line_start = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'#' => {
                // To the end of the line, or to what no comment may hold.
                let stop = |&byte: &u8| matches!(byte, b'\n' | b'\r') || is_control(byte);
                at += bytes[at..].iter().position(stop).unwrap_or(bytes.len() - at) - 1;
            }
            b'"' => at = string_end(bytes, at),
            b'{' | b'(' | b'[' => {
                depth += 1;
                if depth > MAX_NESTING {
                    return Err(Box::new(
                        Diagnostic::error(
                            Code::NestingTooDeep,
                            span(at, at + 1),
                            format!("nested more than {MAX_NESTING} deep"),
                        )
                        .label("this bracket")
                        .help("take parts out into `let` statements"),
                    ));
                }
            }
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            b'\n' => {
                check_line(at - line_start, span(line_start, line_start))?;
                line_start = at + 1;
            }
            byte if is_control(byte) || (byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) => {
                return Err(Box::new(
                    Diagnostic::error(
                        Code::NotText,
                        span(at, at + 1),
                        format!("byte {:#04x} is not text", bytes[at]),
                    )
                    .label("a control character")
                    .help("a plan is a text file in UTF-8"),
                ));
            }
            _ => {}
        }
        at += 1;
    }
    check_line(bytes.len() - line_start.min(bytes.len()), span(line_start, line_start))
}

/// A file that is refused for its size.
pub fn too_large(span: Span, bytes: u64) -> Diagnostic {
    Diagnostic::error(
        Code::FileTooLarge,
        span,
        format!("the file has {bytes} bytes; at most {MAX_FILE_BYTES} are read"),
    )
    .help("a plan is written by hand: is this the right file?")
}

fn check_line(length: usize, span: Span) -> Result<(), Box<Diagnostic>> {
    if length <= MAX_STATEMENT_BYTES {
        return Ok(());
    }
    Err(Box::new(
        Diagnostic::error(
            Code::FileTooLarge,
            span,
            format!("a line of {length} bytes; at most {MAX_STATEMENT_BYTES} are read"),
        )
        .label("this line"),
    ))
}

/// Bytes that no text has: blanks and line ends are none of them.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r')
}

fn string_end(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at,
            b'\n' | b'\r' => return at - 1,
            b'\\' => at += 2,
            byte if is_control(byte) => return at - 1,
            _ => at += 1,
        }
    }
    bytes.len()
}
