//! Writing files in one step.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;

/// Writes a file in one step: whoever reads it sees the old bytes or the new ones, and a run that is killed leaves the
/// old ones. Links are followed, permissions are kept; a file that may not be written is refused although its folder
/// would allow it. What is no regular file, such as a pipe, takes the bytes as they come.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (target, permissions) = match fs::canonicalize(path) {
        Ok(target) => {
            let metadata = fs::metadata(&target)?;
            if !metadata.is_file() {
                return fs::write(&target, bytes);
            }
            if metadata.permissions().readonly() {
                return Err(io::Error::other("the file is read-only"));
            }
            (target, Some(metadata.permissions()))
        }
        // A link that leads nowhere: only its owner knows what should become of it.
        Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
            (path.to_owned(), None)
        }
        Err(error) => return Err(error),
    };
    let (mut file, temporary) = beside(&target)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| permissions.map_or(Ok(()), |permissions| fs::set_permissions(&temporary, permissions)))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, &target));
    if written.is_err() {
        // The file itself is untouched.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A new file in the folder of another one, where a rename is one step.
fn beside(target: &Path) -> io::Result<(File, PathBuf)> {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", process::id()));
    let temporary = target.with_file_name(name);
    let file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    Ok((file, temporary))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is how a test fails
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("llmplan-{name}-{}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn files(&self) -> Vec<OsString> {
            let mut files: Vec<OsString> =
                fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            files.sort();
            files
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_is_made_or_replaced_and_nothing_is_left_beside_it() {
        let folder = Folder::new("atomic");
        let path = folder.0.join("a.llm");
        write(&path, b"one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(folder.files(), ["a.llm"]);
    }

    #[test]
    fn what_fails_leaves_the_old_bytes() {
        let folder = Folder::new("atomic-fails");
        let path = folder.0.join("a.llm");
        fs::write(&path, "old").unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions.clone()).unwrap();
        assert!(write(&path, b"new").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(folder.files(), ["a.llm"]);
        assert!(write(&folder.0.join("no/such/folder.llm"), b"new").is_err());
        assert!(write(&folder.0, b"new").is_err());
    }

    #[test]
    #[cfg(unix)]
    fn links_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = Folder::new("atomic-links");
        let (path, link) = (folder.0.join("a.llm"), folder.0.join("b.llm"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("a.llm", &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);

        symlink("nowhere", folder.0.join("c.llm")).unwrap();
        assert!(write(&folder.0.join("c.llm"), b"new").is_err());
        write(Path::new("/dev/null"), b"new").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
