//! The built-in catalog: the files of `specs/`, embedded as they are.

/// A file of the catalog.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The kind of block it declares: `device`, `model`.
    pub kind: &'static str,
    /// The block's name, which is also the file's.
    pub name: &'static str,
    /// The text.
    pub text: &'static str,
}

impl Entry {
    /// How messages name the file: `catalog:devices/h100-sxm.llm`.
    pub fn source_name(&self) -> String {
        format!("catalog:{}s/{}.llm", self.kind, self.name)
    }
}

include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// A block of the catalog, by kind and name.
pub fn find(kind: &str, name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.kind == kind && entry.name == name)
}

/// The names of a kind, sorted.
pub fn names(kind: &str) -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().filter(move |entry| entry.kind == kind).map(|entry| entry.name)
}
