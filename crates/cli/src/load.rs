//! Reading plans from disk: bounded in size, confined to the project, never blocked by what is no file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use llmplan_spec::limits::MAX_FILE_BYTES;
use llmplan_spec::loader::{LoadError, Loader};
use llmplan_spec::resolve::{Request, Resolution, resolve};
use llmplan_spec::source::{Source, SourceKind, Sources};

use crate::inputs::Input;

/// Reads the whole text of an input, at most [`MAX_FILE_BYTES`] of it.
///
/// # Errors
/// Whatever keeps it from being a text; the size of standard input is told as that of what was read.
pub(crate) fn read(input: &Input, stdin: &mut dyn Read) -> Result<String, LoadError> {
    match input {
        Input::Stdin => read_bounded(stdin),
        Input::File(path) => read_file(Path::new(path)),
    }
}

fn read_file(path: &Path) -> Result<String, LoadError> {
    // Opening a named pipe would wait for a writer: what is no file is refused before.
    let metadata = fs::metadata(path).map_err(refusal)?;
    if !metadata.is_file() {
        return Err(LoadError::NotAFile);
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge(metadata.len()));
    }
    read_bounded(&mut File::open(path).map_err(refusal)?)
}

fn read_bounded(reader: &mut dyn Read) -> Result<String, LoadError> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(refusal)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge(bytes.len() as u64));
    }
    String::from_utf8(bytes).map_err(|error| LoadError::NotUtf8(error.utf8_error().valid_up_to()))
}

fn refusal(error: io::Error) -> LoadError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => LoadError::NotFound,
        _ => LoadError::Other(words(&error)),
    }
}

/// What the system says, without its error number.
pub(crate) fn words(error: &io::Error) -> String {
    let text = match error.kind() {
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    };
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

/// A path as messages show it: `/` between folders on every system.
pub(crate) fn shown(path: &str) -> String {
    if cfg!(windows) { path.replace('\\', "/") } else { path.to_owned() }
}

/// Whether two paths lead to one file.
pub(crate) fn same(one: &str, other: &str) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// The files of one project, for imports.
///
/// The project's root is the nearest folder above the checked file that holds `.git`, else the file's own folder.
pub(crate) struct Project {
    /// The root, free of links; `None` where the file's folder cannot be found, so that there is nothing to import.
    root: Option<PathBuf>,
    /// The checked file relative to the root, `/` separated; empty for standard input.
    file: String,
    /// The folder of the checked file relative to the root.
    folder: Vec<String>,
    /// The same folder as the user wrote it.
    written: PathBuf,
}

impl Project {
    /// The project that an input belongs to; standard input belongs to that of the current folder.
    pub(crate) fn of(input: &Input) -> Project {
        let (written, name) = match input {
            Input::Stdin => (PathBuf::new(), String::new()),
            Input::File(path) => {
                let path = Path::new(path);
                let name =
                    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                (path.parent().map(Path::to_owned).unwrap_or_default(), name)
            }
        };
        let folder = if written.as_os_str().is_empty() { Path::new(".") } else { &written };
        let Ok(folder) = fs::canonicalize(folder) else {
            return Project { root: None, file: name, folder: Vec::new(), written };
        };
        let marked = folder.ancestors().find(|folder| folder.join(".git").exists());
        // A folder whose name is no text cannot be spelled in an import: the project then starts below it.
        let (root, inner) = marked
            .and_then(|root| Some((root, segments(folder.strip_prefix(root).ok()?)?)))
            .unwrap_or_else(|| (&folder, Vec::new()));
        let file = if name.is_empty() { name } else { [inner.as_slice(), &[name]].concat().join("/") };
        Project { root: Some(root.to_owned()), file, folder: inner, written }
    }

    /// The checked file relative to the root, `/` separated; empty for standard input.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// A place of the project in the terms of the path that the user wrote for the checked file.
    fn in_the_users_terms(&self, segments: &[&str]) -> String {
        let common = self.folder.iter().zip(segments).take_while(|(own, other)| own == *other).count();
        let mut path = self.written.clone();
        for _ in common..self.folder.len() {
            match path.components().next_back() {
                Some(Component::Normal(_)) => {
                    path.pop();
                }
                Some(Component::CurDir) => path = PathBuf::from(".."),
                _ => path.push(".."),
            }
        }
        path.extend(&segments[common..]);
        match shown(&path.to_string_lossy()) {
            empty if empty.is_empty() => ".".to_owned(),
            text => text,
        }
    }
}

impl Loader for Project {
    fn load(&self, path: &str) -> Result<String, LoadError> {
        let root = self.root.as_ref().ok_or(LoadError::NotFound)?;
        // Links are followed first, so that none leads out of the project.
        let file = fs::canonicalize(root.join(path)).map_err(refusal)?;
        if !file.starts_with(root) {
            return Err(LoadError::OutsideRoot);
        }
        read_file(&file)
    }

    fn display(&self, path: &str) -> String {
        self.in_the_users_terms(&path.split('/').collect::<Vec<_>>())
    }

    fn root(&self) -> String {
        self.in_the_users_terms(&[])
    }
}

/// Resolves a text that stands alone: one that imports nothing, and is no file of the user's.
pub(crate) fn resolve_alone(name: &str, text: String) -> (Sources, Resolution) {
    let mut sources = Sources::default();
    let file = sources.add(Source { name: name.to_owned(), text, kind: SourceKind::File });
    let resolution = resolve(Request {
        sources: &mut sources,
        file,
        path: "",
        loader: &NoFiles,
        params: &llmplan_analysis::count,
        set: &[],
    });
    (sources, resolution)
}

struct NoFiles;

impl Loader for NoFiles {
    fn load(&self, _: &str) -> Result<String, LoadError> {
        Err(LoadError::NotFound)
    }

    fn root(&self) -> String {
        String::new()
    }
}

/// The names of a relative path; `None` where one is no text.
fn segments(path: &Path) -> Option<Vec<String>> {
    path.components().map(|component| component.as_os_str().to_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(written: &str, folder: &[&str]) -> Project {
        let folder = folder.iter().map(|&name| name.to_owned()).collect();
        Project { root: None, file: String::new(), folder, written: PathBuf::from(written) }
    }

    #[test]
    fn imports_are_named_in_the_users_terms() {
        assert_eq!(project("", &[]).display("shared/a.llm"), "shared/a.llm");
        assert_eq!(project("plans", &["plans"]).display("shared/a.llm"), "shared/a.llm");
        assert_eq!(project("plans", &["plans"]).display("plans/a.llm"), "plans/a.llm");
        assert_eq!(project("", &["plans", "big"]).display("plans/a.llm"), "../a.llm");
        assert_eq!(project(".", &["plans", "big"]).display("shared/a.llm"), "../../shared/a.llm");
        assert_eq!(project("../other", &["other"]).display("other/a.llm"), "../other/a.llm");
        assert_eq!(project("../other", &["other"]).display("a.llm"), "../a.llm");
        assert_eq!(project("/srv/repo/plans", &["plans"]).display("a.llm"), "/srv/repo/a.llm");
    }

    #[test]
    fn the_root_is_named_in_the_users_terms() {
        assert_eq!(project("", &[]).root(), ".");
        assert_eq!(project("plans", &["plans"]).root(), ".");
        assert_eq!(project("", &["plans"]).root(), "..");
        assert_eq!(project("../other", &["other"]).root(), "..");
    }

    #[test]
    fn what_is_too_large_or_no_text_is_refused() {
        let read = |bytes: &[u8]| read_bounded(&mut { bytes });
        assert_eq!(read(b"model").unwrap(), "model");
        assert_eq!(read(b"model \xff"), Err(LoadError::NotUtf8(6)));
        assert_eq!(read_bounded(&mut io::repeat(b'#')), Err(LoadError::TooLarge(MAX_FILE_BYTES + 1)));
    }
}
