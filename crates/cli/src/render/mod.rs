//! Reports and diagnostics in each format. Everything shown has been computed before.

pub(crate) mod catalog;
pub(crate) mod comparison;
pub(crate) mod csv;
pub(crate) mod derivation;
pub(crate) mod diagnostic;
pub(crate) mod excerpt;
pub(crate) mod json;
mod lines;
pub(crate) mod markdown;
pub(crate) mod paint;
pub(crate) mod table;
pub(crate) mod tables;
pub(crate) mod text;
pub(crate) mod verdict;

/// Columns of text output.
pub(crate) const WIDTH: usize = 100;

/// A text in one line that cannot move the cursor: control characters become `\u{fffd}`, line breaks blanks.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            // Characters that turn the reading direction can make a text look like another one.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// A text cut to at most `width` characters, with an ellipsis where something is left out.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if text.chars().nth(width).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A text in lines of at most `width` characters, broken at blanks where there are any.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + word.len() > width {
            lines.push(String::new());
            length = 0;
        }
        while !word.is_empty() {
            let Some(line) = lines.last_mut() else { break };
            if length > 0 && length < width {
                line.push(' ');
                length += 1;
            }
            let taken: Vec<char> = word.drain(..word.len().min(width - length)).collect();
            length += taken.len();
            line.extend(taken);
            if !word.is_empty() {
                lines.push(String::new());
                length = 0;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_blanks_and_long_words_anywhere() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one", 7), ["one"]);
        assert_eq!(wrapped("", 7), [""]);
        assert_eq!(wrapped("a bcdefghij k", 4), ["a", "bcde", "fghi", "j k"]);
        assert_eq!(wrapped("abcd efgh", 4), ["abcd", "efgh"]);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\nc"), "a\u{fffd}[31mb c");
    }

    #[test]
    fn what_is_cut_ends_in_an_ellipsis() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abcde…");
    }
}
