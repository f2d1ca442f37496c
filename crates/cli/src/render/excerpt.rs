//! The part of a text that a message shows: few lines, none of them long.

use std::ops::Range;

/// The longest line that is shown whole, in bytes.
const LINE: usize = 160;
/// What is shown before a span in a line that is cut, in bytes.
const LEAD: usize = 40;
/// The most lines that one span may underline; of a longer one, only the first is shown.
const SPAN_LINES: usize = 6;

/// A part of a text, cut to what can be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Excerpt {
    /// Whole lines, `…` where one is cut.
    pub(crate) text: String,
    /// The number of the first line, from 1.
    pub(crate) line: usize,
    /// The spans that were asked for, in `text`.
    pub(crate) spans: Vec<Range<usize>>,
    /// Whether a line that was asked for is cut, so that columns of `text` are not those of the file.
    pub(crate) cut: bool,
}

/// The lines of `text` from the first to the last of `spans`, in bytes; there must be a span.
pub(crate) fn excerpt(text: &str, spans: &[Range<usize>]) -> Excerpt {
    let spans: Vec<Range<usize>> = spans.iter().map(|span| clipped(text, span)).collect();
    let first = spans.iter().map(|span| span.start).min().unwrap_or(0);
    let last = spans.iter().map(|span| span.end).max().unwrap_or(0);
    let start = text[..first].rfind('\n').map_or(0, |at| at + 1);
    let end = text[last..].find('\n').map_or(text.len(), |at| last + at);

    let mut shown = Excerpt {
        text: String::with_capacity(end - start + 8),
        line: text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count() + 1,
        spans: vec![0..0; spans.len()],
        cut: false,
    };
    let mut at = start;
    for line in text[start..end].split('\n') {
        if at > start {
            shown.text.push('\n');
        }
        let touching: Vec<usize> = (0..spans.len())
            .filter(|&index| spans[index].start <= at + line.len() && spans[index].end >= at)
            .collect();
        // A carriage return belongs to the line break.
        let shown_line = line.strip_suffix('\r').unwrap_or(line);
        let view = match shown_line.len() {
            short if short <= LINE => 0..short,
            _ => view(shown_line, at, &spans, &touching),
        };
        shown.cut |= view != (0..shown_line.len()) && !touching.is_empty();
        let offset = shown.add(shown_line, &view);
        for index in touching {
            let place = |byte: usize| offset + (byte - at).clamp(view.start, view.end) - view.start;
            if spans[index].start >= at {
                shown.spans[index].start = place(spans[index].start);
            }
            if spans[index].end <= at + line.len() {
                shown.spans[index].end = place(spans[index].end);
            }
        }
        at += line.len() + 1;
    }
    shown
}

impl Excerpt {
    /// Adds a line, or the part of it that is in view, and returns where that part starts.
    fn add(&mut self, line: &str, view: &Range<usize>) -> usize {
        if view.start > 0 {
            self.text.push('…');
        }
        let offset = self.text.len();
        self.text.push_str(&line[view.clone()]);
        if view.end < line.len() {
            self.text.push('…');
        }
        offset
    }
}

/// The part of a long line to show: a little before the first span that touches it, and what follows.
fn view(line: &str, at: usize, spans: &[Range<usize>], touching: &[usize]) -> Range<usize> {
    let first = touching.iter().map(|&index| spans[index].start.saturating_sub(at)).min().unwrap_or(0);
    let start = boundary(line, first.min(line.len()).saturating_sub(LEAD));
    start..boundary(line, (start + LINE).min(line.len()))
}

/// A span inside of the text, on whole characters; only its first line where it covers many.
fn clipped(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = boundary(text, span.start);
    let end = boundary(text, span.end).max(start);
    let covered = &text[start..end];
    match covered.match_indices('\n').nth(SPAN_LINES) {
        None => start..end,
        Some(_) => start..start + covered.find('\n').unwrap_or(0),
    }
}

/// The last place at or before a byte where a character starts.
fn boundary(text: &str, byte: usize) -> usize {
    let mut at = byte.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // one span is one range
mod tests {
    use super::*;

    #[test]
    fn the_lines_around_the_spans_are_shown() {
        let text = "one\ntwo\nthree\nfour\n";
        let shown = excerpt(text, &[8..13, 5..6]);
        assert_eq!((shown.text.as_str(), shown.line, shown.cut), ("two\nthree", 2, false));
        assert_eq!(
            shown.spans.iter().map(|span| &shown.text[span.clone()]).collect::<Vec<_>>(),
            ["three", "w"]
        );
    }

    #[test]
    fn an_empty_span_at_the_end_of_the_text_is_in_its_last_line() {
        let shown = excerpt("one\n", &[4..4]);
        assert_eq!((shown.text.as_str(), shown.line, shown.spans), ("", 2, vec![0..0]));
        assert_eq!(excerpt("", &[0..0]).line, 1);
    }

    #[test]
    fn carriage_returns_are_not_shown() {
        let shown = excerpt("one\r\ntwo\r\n", &[0..6]);
        assert_eq!((shown.text.as_str(), shown.spans), ("one\ntwo", vec![0..5]));
        assert_eq!(excerpt("one\r\n", &[3..4]).spans, [3..3]);
    }

    #[test]
    fn a_long_line_is_cut_around_the_span() {
        let text = format!("{}here{}", "é".repeat(40_000), "x".repeat(40_000));
        let shown = excerpt(&text, &[80_000..80_004]);
        assert!(shown.cut && shown.text.len() < 200, "{}", shown.text);
        assert_eq!(&shown.text[shown.spans[0].clone()], "here");
        assert!(shown.text.starts_with('…') && shown.text.ends_with('…'));
    }

    #[test]
    fn a_span_that_outgrows_its_line_is_cut_with_it() {
        let text = "x".repeat(1000);
        let shown = excerpt(&text, &[10..900]);
        assert_eq!(&shown.text[shown.spans[0].clone()], &"x".repeat(150));
        let shown = excerpt(&text, &[0..2, 900..901]);
        assert_eq!(&shown.text[shown.spans[0].clone()], "xx");
        assert!(shown.spans[1].is_empty());
    }

    #[test]
    fn of_a_span_of_many_lines_the_first_is_shown() {
        let text = "{\n".repeat(50);
        let shown = excerpt(&text, &[2..90]);
        assert_eq!((shown.text.as_str(), shown.line, shown.spans), ("{", 2, vec![0..1]));
    }

    #[test]
    fn spans_that_do_not_fit_the_text_are_moved_into_it() {
        assert_eq!(excerpt("é", &[1..9]).spans, [0..2]);
    }
}
