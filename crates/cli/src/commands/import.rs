//! `llmplan import`: a Hugging Face `config.json` as a model of the language.

use std::io::Read;
use std::path::Path;

use llmplan_spec::limits::MAX_FILE_BYTES;
use llmplan_spec::loader::LoadError;

use crate::args::ImportArgs;
use crate::atomic;
use crate::exit::Exit;
use crate::import::{Fault, Request, import};
use crate::inputs::Input;
use crate::load;
use crate::output::Output;

/// Imports one configuration.
pub(crate) fn run(args: &ImportArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> Exit {
    let input = Input::single(&args.file);
    let file = input.name();
    let text = match load::read(&input, stdin) {
        Ok(text) => text,
        Err(error) => {
            let (exit, fault) = unreadable(&input, &error);
            tell(&file, &[fault], output);
            return exit;
        }
    };
    let request = Request {
        text: &text,
        file: &file,
        stem: stem(&input),
        kind: args.kind.as_deref(),
        name: args.name.as_deref(),
    };
    let imported = match import(request) {
        Ok(imported) => imported,
        Err(faults) => {
            tell(&file, &faults, output);
            return Exit::PlanAtFault;
        }
    };
    let Some(path) = args.output.as_ref().filter(|path| *path != "-") else {
        output.print(&imported.text);
        return Exit::Fine;
    };
    if matches!(&input, Input::File(own) if load::same(own, path)) {
        output.trouble(&format!("`{}` is the configuration itself; it would be lost", load::shown(path)));
        output.advice("name another file, such as `-o model.llm`");
        return Exit::Trouble;
    }
    match atomic::write(Path::new(path), imported.text.as_bytes()) {
        Ok(()) => Exit::Fine,
        Err(error) => {
            output.trouble(&format!("`{}` cannot be written: {}", load::shown(path), load::words(&error)));
            Exit::Trouble
        }
    }
}

/// The name that a file gives its model: its own, or for a `config.json` that of its folder.
fn stem(input: &Input) -> Option<&str> {
    let Input::File(path) = input else { return None };
    let path = Path::new(path);
    let named =
        |path: &Path| path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem != "config");
    if named(path) {
        return path.file_stem()?.to_str();
    }
    path.parent()?.file_name()?.to_str()
}

fn tell(file: &str, faults: &[Fault], output: &mut Output<'_>) {
    for fault in faults {
        output.trouble(&format!("`{file}`: {}", fault.message));
        if let Some(help) = &fault.help {
            output.advice(help);
        }
    }
}

/// Why there is no text, and whose fault that is.
fn unreadable(input: &Input, error: &LoadError) -> (Exit, Fault) {
    let fault = |message: String, help: Option<&str>| Fault { message, help: help.map(str::to_owned) };
    match error {
        LoadError::TooLarge(_) => (
            Exit::PlanAtFault,
            fault(
                format!("this has more than {MAX_FILE_BYTES} bytes"),
                Some("a configuration has a few thousand: is this another file?"),
            ),
        ),
        LoadError::NotUtf8(offset) => (
            Exit::PlanAtFault,
            fault(
                format!("this is not UTF-8: byte {offset}, counted from 0, is no part of a character"),
                Some("a configuration is a text file"),
            ),
        ),
        LoadError::NotFound => (Exit::Trouble, fault("there is no such file".to_owned(), None)),
        LoadError::NotAFile => {
            let help = match input {
                Input::File(path) if Path::new(path).is_dir() => "name the `config.json` in it",
                _ => "`-` reads standard input",
            };
            (Exit::Trouble, fault("this is not a file".to_owned(), Some(help)))
        }
        LoadError::OutsideRoot => (Exit::Trouble, fault("this is outside of the project".to_owned(), None)),
        LoadError::Other(words) => (Exit::Trouble, fault(format!("this cannot be read: {words}"), None)),
    }
}
