//! Lines and columns of many places: each text is searched for its line breaks once.

use std::collections::BTreeMap;

use llmplan_spec::source::{FileId, Sources};

/// The line starts of the texts that were asked for.
pub(super) struct Lines<'s> {
    sources: &'s Sources,
    starts: BTreeMap<FileId, Vec<usize>>,
}

impl<'s> Lines<'s> {
    pub(super) fn new(sources: &'s Sources) -> Lines<'s> {
        Lines { sources, starts: BTreeMap::new() }
    }

    /// How messages name a text.
    pub(super) fn name(&self, file: FileId) -> &'s str {
        &self.sources.get(file).name
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    pub(super) fn line_column(&mut self, file: FileId, byte: u32) -> (usize, usize) {
        let text = &self.sources.get(file).text;
        let starts = self.starts.entry(file).or_insert_with(|| {
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
        });
        let byte = (byte as usize).min(text.len());
        let line = starts.partition_point(|&start| start <= byte);
        let start = starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        (line, text.get(start..byte).map_or(0, |before| before.chars().count()) + 1)
    }
}

#[cfg(test)]
mod tests {
    use llmplan_spec::source::{Source, SourceKind, Span};

    use super::*;

    #[test]
    fn places_are_those_of_the_sources() {
        let mut sources = Sources::default();
        let text = "é\ntwo\n\nlast".to_owned();
        let length = text.len() as u32;
        let file = sources.add(Source { name: "a.llm".to_owned(), text, kind: SourceKind::File });
        let mut lines = Lines::new(&sources);
        for byte in (0..=length).filter(|byte| *byte != 1) {
            let span = Span { file, start: byte, end: byte };
            assert_eq!(lines.line_column(file, byte), sources.line_column(span), "byte {byte}");
        }
        assert_eq!(lines.line_column(file, length), (4, 5));
    }
}
