//! Source texts and places in them.

/// One text of a [`Sources`] collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A range of bytes in one source text: `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The text the range lies in.
    pub file: FileId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// The smallest span that covers both; the second one's file is taken to be the same.
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// An empty span at the start of this one.
    pub fn at_start(self) -> Span {
        Span { end: self.start, ..self }
    }
}

/// Where a text came from: decides how messages and reports name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A file of the user's, or standard input.
    File,
    /// A file of the built-in catalog.
    Catalog,
    /// A value given on the command line with `--set`.
    CommandLine,
}

/// A named text.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name shown to people: a path as the user wrote it (`/` separated), `catalog:devices/h100-sxm.llm`, `--set`.
    pub name: String,
    /// The text itself.
    pub text: String,
    /// Where it came from.
    pub kind: SourceKind,
}

/// What stands behind an id of no collection.
static NOWHERE: Source = Source { name: String::new(), text: String::new(), kind: SourceKind::File };

/// All texts that one run has read: the arena behind every [`Span`].
#[derive(Clone, Debug, Default)]
pub struct Sources {
    sources: Vec<Source>,
}

impl Sources {
    /// Adds a text and returns its id.
    pub fn add(&mut self, source: Source) -> FileId {
        let id = FileId(u32::try_from(self.sources.len()).unwrap_or(u32::MAX));
        self.sources.push(source);
        id
    }

    /// Every text that was read, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }

    /// The text behind an id made by [`Sources::add`] of the same collection; an empty one for any other.
    pub fn get(&self, file: FileId) -> &Source {
        self.sources.get(file.0 as usize).unwrap_or(&NOWHERE)
    }

    /// The bytes that a span covers.
    pub fn slice(&self, span: Span) -> &str {
        self.get(span.file).text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Line and column of a span's start, both from 1; the column counts characters.
    pub fn line_column(&self, span: Span) -> (usize, usize) {
        let before = self.get(span.file).text.get(..span.start as usize).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// `name:line` of a span, the form used in reports.
    pub fn place(&self, span: Span) -> String {
        format!("{}:{}", self.get(span.file).name, self.line_column(span).0)
    }
}
