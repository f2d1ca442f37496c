//! How files reach the language: the caller reads, this crate never does.

/// Reads the files that plans import.
pub trait Loader {
    /// The text of a file; `path` is relative to the project's root, `/` separated and free of `.` and `..`.
    ///
    /// # Errors
    /// Whatever kept the file from being read.
    fn load(&self, path: &str) -> Result<String, LoadError>;

    /// How messages name that file; the path itself unless the caller knows better.
    fn display(&self, path: &str) -> String {
        path.to_owned()
    }

    /// The project's root, as messages name it.
    fn root(&self) -> String;
}

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// There is none.
    NotFound,
    /// It is a directory, a device or the like.
    NotAFile,
    /// It leaves the project's root, perhaps through a link.
    OutsideRoot,
    /// It is larger than [`crate::limits::MAX_FILE_BYTES`].
    TooLarge(u64),
    /// It is not UTF-8; the offset of the first bad byte.
    NotUtf8(usize),
    /// Anything else, in the system's words.
    Other(String),
}
