//! The files of a plan: the one asked for, what it imports, what it cites, and what it takes from the catalog.

use std::collections::BTreeMap;

use super::blocks::{self, BlockDef};
use crate::catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Expr, Node, Op};
use crate::grammar;
use crate::limits;
use crate::loader::{LoadError, Loader};
use crate::schema::{self, Type};
use crate::source::{FileId, Source, SourceKind, Sources, Span};
use crate::syntax::{File, ItemKind};

/// All files that were read, each once.
#[derive(Default)]
pub(super) struct Files {
    /// In reading order: the file asked for is the first.
    pub(super) files: Vec<PlanFile>,
    /// Where in `files` a source is.
    pub(super) index: BTreeMap<FileId, usize>,
    /// The one block of each cited file, by the place of its path in a plan: file and block.
    pub(super) cited: BTreeMap<Span, (usize, usize)>,
}

/// A file, parsed.
pub(super) struct PlanFile {
    pub(super) id: FileId,
    pub(super) tree: File,
    pub(super) blocks: Vec<BlockDef>,
    /// Where in `blocks` a name is, by kind.
    pub(super) names: BTreeMap<&'static str, BTreeMap<String, usize>>,
    /// Top-level `let` statements.
    pub(super) lets: Lets,
    /// The files it imports, as places in [`Files::files`].
    pub(super) imports: Vec<usize>,
}

/// The `let` statements of a block or a file, by name.
pub(super) type Lets = BTreeMap<String, LetDef>;

/// `let name = value`
#[derive(Clone, Debug)]
pub(super) struct LetDef {
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) value: Expr,
}

/// An override of the command line.
pub(super) struct Override {
    pub(super) path: String,
    pub(super) span: Span,
    pub(super) value: Expr,
}

/// Reads a file and everything it imports and cites; what the command line cites is relative to that file.
pub(super) fn read(
    sources: &mut Sources,
    (file, path): (FileId, &str),
    overrides: &[Override],
    loader: &dyn Loader,
    diagnostics: &mut Vec<Diagnostic>,
) -> Files {
    let mut reader = Reader {
        sources,
        loader,
        diagnostics,
        files: Files::default(),
        by_path: BTreeMap::new(),
        open: Vec::new(),
    };
    reader.file(file, path);
    for given in overrides {
        reader.cited(citation(&given.path, &super::blocks::OVERRIDE, &given.value), path);
    }
    reader.files
}

/// Reads the overrides of the command line.
pub(super) fn read_overrides(
    sources: &Sources,
    set: &[FileId],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Override> {
    let mut overrides = Vec::new();
    for &file in set {
        let (tree, found) = grammar::parse(&sources.get(file).text, file);
        let clean = found.is_empty();
        diagnostics.extend(found);
        let whole = Span { file, start: 0, end: sources.get(file).text.len() as u32 };
        match tree.items.into_iter().map(|item| item.kind).collect::<Vec<_>>().as_slice() {
            [ItemKind::Attribute { name, value }] => overrides.push(Override {
                path: sources.slice(*name).to_owned(),
                span: *name,
                value: value.clone(),
            }),
            _ if clean => diagnostics.push(
                Diagnostic::error(Code::InvalidOverride, whole, "an override is a path, `=` and a value")
                    .help("write `--set training.micro_batch=2`"),
            ),
            _ => {}
        }
    }
    overrides
}

/// Adds a file of the catalog, once. Its text is ours: tests hold it to be free of mistakes.
pub(super) fn read_catalog(
    files: &mut Files,
    sources: &mut Sources,
    kind: &str,
    name: &str,
) -> Option<usize> {
    let entry = catalog::find(kind, name)?;
    let source_name = entry.source_name();
    if let Some(at) = files.files.iter().position(|file| sources.get(file.id).name == source_name) {
        return Some(at);
    }
    let id =
        sources.add(Source { name: source_name, text: entry.text.to_owned(), kind: SourceKind::Catalog });
    let (tree, _) = grammar::parse(entry.text, id);
    Some(files.push(id, tree, sources, &mut Vec::new()))
}

impl Files {
    fn push(
        &mut self,
        id: FileId,
        tree: File,
        sources: &Sources,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> usize {
        let at = self.files.len();
        let (blocks, lets) = blocks::collect(&tree, sources, diagnostics);
        let mut names: BTreeMap<&'static str, BTreeMap<String, usize>> = BTreeMap::new();
        for (at, block) in blocks.iter().enumerate() {
            if let Some((name, _)) = &block.name {
                names.entry(block.schema.kind).or_default().insert(name.clone(), at);
            }
        }
        self.files.push(PlanFile { id, tree, blocks, names, lets, imports: Vec::new() });
        self.index.insert(id, at);
        at
    }

    /// The file that a place is in.
    pub(super) fn of(&self, id: FileId) -> Option<&PlanFile> {
        self.index.get(&id).map(|&at| &self.files[at])
    }
}

struct Reader<'a> {
    sources: &'a mut Sources,
    loader: &'a dyn Loader,
    diagnostics: &'a mut Vec<Diagnostic>,
    files: Files,
    by_path: BTreeMap<String, usize>,
    /// The paths of the files that are being read: an import of one of them is a cycle.
    open: Vec<String>,
}

impl Reader<'_> {
    fn file(&mut self, id: FileId, path: &str) -> usize {
        let (tree, found) = grammar::parse(&self.sources.get(id).text, id);
        self.diagnostics.extend(found);
        let at = self.files.push(id, tree, self.sources, self.diagnostics);
        self.by_path.insert(path.to_owned(), at);
        self.open.push(path.to_owned());
        let imports: Vec<Span> = self.files.files[at]
            .tree
            .items
            .iter()
            .filter_map(|item| match item.kind {
                ItemKind::Import { path } => Some(path),
                _ => None,
            })
            .collect();
        for import in imports {
            if let Some(imported) = self.load(import, path, "import") {
                self.files.files[at].imports.push(imported);
            }
        }
        let citations: Vec<Citation> = self.files.files[at]
            .blocks
            .iter()
            .flat_map(|block| &block.attributes)
            .filter_map(|attribute| citation(&attribute.path, attribute.ty, &attribute.value))
            .collect();
        for cited in citations {
            self.cited(Some(cited), path);
        }
        self.open.pop();
        at
    }

    /// Reads a file that is cited for its one block of a kind.
    fn cited(&mut self, citation: Option<Citation>, from: &str) {
        let Some((span, kind)) = citation else { return };
        let Some(at) = self.load(span, from, "citation") else { return };
        let file = &self.files.files[at];
        let mut found = file.blocks.iter().enumerate().filter(|(_, block)| block.schema.kind == kind);
        let diagnostic = match (found.next(), found.next()) {
            (Some((only, _)), None) => {
                self.files.cited.insert(span, (at, only));
                return;
            }
            (Some((_, first)), Some((_, second))) => {
                let title = format!("this file has more than one `{kind}`");
                Diagnostic::error(Code::NotAMeasurement, span, title)
                    .also(first.header, "the first")
                    .also(second.header, "another one")
                    .help("put each into a file of its own, and cite one")
            }
            (None, _) => {
                let id = file.id;
                let broken =
                    |known: &Diagnostic| known.primary.as_ref().is_some_and(|label| label.span.file == id);
                if self.diagnostics.iter().any(broken) {
                    // What is wrong with it may be why there is none.
                    return;
                }
                let title = format!("this file has no `{kind}`");
                Diagnostic::error(Code::NotAMeasurement, span, title)
                    .help("`llmplan validate PLAN --write FILE` saves a file that can be cited")
            }
        };
        self.diagnostics.push(diagnostic);
    }

    /// Reads the file that a statement (`import`, or a `citation`) names.
    fn load(&mut self, span: Span, from: &str, statement: &str) -> Option<usize> {
        let quoted = self.sources.slice(span).to_owned();
        let target = quoted.trim_matches('"');
        if target.contains("://") {
            let title = format!("`{target}` is an address, not a file");
            self.report(Code::ImportFailed, span, title, |diagnostic| {
                diagnostic
                    .note("nothing is fetched from the network: the same files give the same report")
                    .help("keep a copy beside the plan and import that")
            });
            return None;
        }
        let Some(path) = normalized(from, target) else {
            let root = self.loader.root();
            self.report(
                Code::ImportOutsideRoot,
                span,
                format!("`{target}` is outside the project"),
                |diagnostic| {
                    diagnostic.note(format!(
                        "the project's root is {root}: the nearest folder with `.git`, else the plan's own"
                    ))
                },
            );
            return None;
        };
        if let Some(at) = self.open.iter().position(|open| *open == path) {
            let mut members: Vec<String> = self.open[at..].to_vec();
            members.push(path);
            let chain: Vec<String> = members.iter().map(|member| format!("`{member}`")).collect();
            self.report(
                Code::ImportCycle,
                span,
                format!("this {statement} leads back to its own file"),
                |diagnostic| {
                    let diagnostic = diagnostic.note(format!("the cycle is {}", chain.join(" → ")));
                    match statement {
                        "import" => diagnostic,
                        _ => diagnostic
                            .help("what is cited stands in a file of its own, which imports no plan"),
                    }
                },
            );
            return None;
        }
        if let Some(&at) = self.by_path.get(&path) {
            return Some(at);
        }
        if self.files.files.len() > limits::MAX_IMPORTS || self.open.len() > limits::MAX_NESTING {
            let title = format!("more than {} imports, or {} deep", limits::MAX_IMPORTS, limits::MAX_NESTING);
            self.report(Code::TooManyImports, span, title, |diagnostic| diagnostic);
            return None;
        }
        match self.loader.load(&path) {
            Ok(text) => {
                let name = self.loader.display(&path);
                let id = self.sources.add(Source { name, text, kind: SourceKind::File });
                Some(self.file(id, &path))
            }
            Err(error) => {
                self.failed(span, target, &path, error);
                None
            }
        }
    }

    fn failed(&mut self, span: Span, target: &str, path: &str, error: LoadError) {
        let shown = self.loader.display(path);
        let (code, title) = match error {
            LoadError::NotFound => (Code::ImportNotFound, format!("there is no file `{target}`")),
            LoadError::NotAFile => (Code::ImportFailed, format!("`{target}` is no file")),
            LoadError::OutsideRoot => (Code::ImportOutsideRoot, format!("`{target}` is outside the project")),
            LoadError::TooLarge(bytes) => (
                Code::FileTooLarge,
                format!("`{target}` has {bytes} bytes; at most {} are read", limits::MAX_FILE_BYTES),
            ),
            LoadError::NotUtf8(at) => {
                (Code::NotText, format!("`{target}` is not UTF-8: byte {at} is no text"))
            }
            LoadError::Other(why) => (Code::ImportFailed, format!("`{target}` cannot be read: {why}")),
        };
        self.report(code, span, title, |diagnostic| diagnostic.label(format!("looked for `{shown}`")));
    }

    fn report(&mut self, code: Code, span: Span, title: String, more: impl Fn(Diagnostic) -> Diagnostic) {
        self.diagnostics.push(more(Diagnostic::error(code, span, title)));
    }
}

/// The place of a path, and the kind of block that its file is cited for.
type Citation = (Span, &'static str);

/// The file that an attribute cites: one of a block, or one of a plan or the command line by its whole path. What is no
/// path in quotes is told where values are checked.
fn citation(path: &str, ty: &Type, value: &Expr) -> Option<Citation> {
    let whole = schema::declared(path).map(|attribute| &attribute.ty);
    let Type::File(kind) = *(if std::ptr::eq(ty, &super::blocks::OVERRIDE) { whole? } else { ty }) else {
        return None;
    };
    match value.nodes.as_slice() {
        [Node { op: Op::Text(_), span }] => Some((*span, kind)),
        _ => None,
    }
}

/// A path relative to the root: `from`'s folder joined with `target`. `None` where that leaves the root.
fn normalized(from: &str, target: &str) -> Option<String> {
    let target = target.replace('\\', "/");
    let drive = target.as_bytes().get(1) == Some(&b':');
    if target.starts_with('/') || target.starts_with('~') || drive || target.contains('\0') {
        return None;
    }
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::normalized;

    #[test]
    fn imports_stay_below_the_root() {
        assert_eq!(normalized("plans/a.llm", "b.llm").as_deref(), Some("plans/b.llm"));
        assert_eq!(normalized("plans/a.llm", "../shared/./b.llm").as_deref(), Some("shared/b.llm"));
        for outside in ["../../etc/passwd", "/etc/passwd", "..", "C:\\x", "~/x", "..\\..\\x"] {
            assert_ne!(normalized("plans/a.llm", outside).as_deref(), Some("etc/passwd"));
        }
        assert_eq!(normalized("a.llm", "../b.llm"), None);
        assert_eq!(normalized("plans/a.llm", "../../b.llm"), None);
    }
}
