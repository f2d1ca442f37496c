//! What the command line names: files, patterns, standard input.

use std::collections::BTreeSet;
use std::fs;

use glob::MatchOptions;

/// Something to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// `-`
    Stdin,
    /// A file, as the user named it.
    File(String),
}

impl Input {
    /// The name in reports and messages: as the user wrote it, with `/` between folders.
    pub(crate) fn name(&self) -> String {
        match self {
            Input::Stdin => "<stdin>".to_owned(),
            Input::File(path) => crate::load::shown(path),
        }
    }

    /// One argument that names one text: never a pattern.
    pub(crate) fn single(argument: &str) -> Input {
        if argument == "-" { Input::Stdin } else { Input::File(argument.to_owned()) }
    }
}

/// The inputs that the arguments name, each once, in their order; the matches of a pattern are sorted. An argument that
/// names nothing gives what is wrong with it.
///
/// The name of an existing file is never taken for a pattern, and neither is one without `*`, `?` or `[`.
pub(crate) fn expand(arguments: &[String]) -> Vec<Result<Input, String>> {
    let mut seen = BTreeSet::new();
    let mut inputs = Vec::new();
    for argument in arguments {
        let pattern = argument.contains(['*', '?', '[']) && fs::symlink_metadata(argument).is_err();
        if !pattern {
            if seen.insert(argument.clone()) {
                inputs.push(Ok(Input::single(argument)));
            }
            continue;
        }
        match matches(argument) {
            Ok(files) if files.is_empty() => inputs.push(Err(format!("no file matches `{argument}`"))),
            Ok(files) => {
                inputs.extend(
                    files
                        .into_iter()
                        .filter(|file| seen.insert(file.clone()))
                        .map(|file| Ok(Input::File(file))),
                );
            }
            Err(error) => inputs.push(Err(error)),
        }
    }
    inputs
}

/// The files that a pattern matches, sorted; folders are passed over, and hidden files match only a written dot.
fn matches(pattern: &str) -> Result<Vec<String>, String> {
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let paths = glob::glob_with(pattern, options)
        .map_err(|error| format!("`{pattern}` is neither a file nor a pattern: {}", error.msg))?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|error| {
            format!("`{}` cannot be searched: {}", error.path().display(), crate::load::words(error.error()))
        })?;
        if !path.is_dir() {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    files.sort();
    Ok(files)
}
