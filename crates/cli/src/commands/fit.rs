//! `llmplan fit`: a scaling law of a file of runs.

use std::io::Read;
use std::path::Path;

use llmplan_spec::limits::MAX_FILE_BYTES;
use llmplan_spec::loader::LoadError;
use llmplan_spec::resolve::is_law_name;

use crate::args::{FitArgs, FitFormat};
use crate::atomic;
use crate::exit::Exit;
use crate::fit::{self, Fault};
use crate::import::valid_name;
use crate::inputs::Input;
use crate::load;
use crate::output::Output;
use crate::render::{clean, shortened};

/// Fits, prints what was found, and writes the law where asked.
pub(crate) fn run(args: &FitArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> Exit {
    fitted(args, stdin, output).unwrap_or_else(|(exit, faults)| {
        let file = Input::single(&args.file).name();
        for (at, fault) in faults.iter().enumerate() {
            output.trouble(&format!("`{file}`: {}", fault.message));
            // What helps against several in a row stands once, behind the last.
            let next = faults.get(at + 1).and_then(|next| next.help.as_ref());
            if let Some(help) = fault.help.as_ref().filter(|help| next != Some(help)) {
                output.advice(help);
            }
        }
        exit
    })
}

/// What went wrong, and how bad that is.
type Trouble = (Exit, Vec<Fault>);

fn fitted(args: &FitArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> Result<Exit, Trouble> {
    let input = Input::single(&args.file);
    let file = input.name();
    let name = match name(args, &input) {
        Ok(name) => name,
        Err((message, help)) => {
            output.trouble(&message);
            output.advice(&help);
            return Ok(Exit::Trouble);
        }
    };
    if args.write.as_deref() == Some("-") {
        output.trouble("standard output has the report: --write needs a file");
        output.advice("name one, such as `--write law.llm`");
        return Ok(Exit::Trouble);
    }
    if let Some(path) = &args.write
        && matches!(&input, Input::File(own) if load::same(own, path))
    {
        output.trouble(&format!("`{}` has the runs; they would be lost", load::shown(path)));
        output.advice("name another file, such as `--write law.llm`");
        return Ok(Exit::Trouble);
    }
    let text = load::read(&input, stdin).map_err(|error| unreadable(&error))?;
    let fitted = fit::run(&text, args).map_err(|faults| (Exit::PlanAtFault, faults))?;
    match args.format {
        FitFormat::Text => output.print(&fit::text(&fitted, &name, &file, args, output.paint())),
        FitFormat::Json => {
            let json = fit::json(&fitted, &name, &file, args);
            let fault = |error| {
                vec![Fault { message: format!("the law cannot be written as JSON: {error}"), help: None }]
            };
            output.print(&json.map_err(|error| (Exit::Trouble, fault(error)))?);
        }
    }
    let Some(path) = &args.write else { return Ok(Exit::Fine) };
    let law = fit::law(&fitted, &name, &file, args);
    if let Err(error) = atomic::write(Path::new(path), law.as_bytes()) {
        output.trouble(&format!("`{}` cannot be written: {}", load::shown(path), load::words(&error)));
        return Ok(Exit::Trouble);
    }
    output.talk(&format!("law `{name}` written to {}\n", clean(&load::shown(path))));
    Ok(Exit::Fine)
}

/// What to call the law: as asked for, as its file is called, or `mine`.
///
/// # Errors
/// Where the name that was asked for is none, and one that is.
fn name(args: &FitArgs, input: &Input) -> Result<String, (String, String)> {
    if let Some(asked) = &args.name {
        return match law_name(asked) {
            Some(name) if name == *asked => Ok(name),
            other => Err((
                format!("`{}` is no name of a law", clean(&shortened(asked, 60))),
                format!("`{}` is one", other.unwrap_or_else(|| "mine".to_owned())),
            )),
        };
    }
    let stem = match input {
        Input::Stdin => None,
        Input::File(path) => Path::new(path).file_stem().and_then(|stem| stem.to_str()),
    };
    Ok(stem.and_then(law_name).unwrap_or_else(|| "mine".to_owned()))
}

/// A text as the name of a law: `loss` is a quantity that laws have, and a dot would divide the law's paths.
fn law_name(text: &str) -> Option<String> {
    let name = valid_name(text)?.replace('.', "_");
    if is_law_name(&name) { Some(name) } else { Some(format!("{name}_law")).filter(|name| is_law_name(name)) }
}

/// Why there is no text, and whose fault that is.
fn unreadable(error: &LoadError) -> Trouble {
    let fault = |message: String| vec![Fault { message, help: None }];
    match error {
        LoadError::TooLarge(_) => {
            (Exit::PlanAtFault, fault(format!("this has more than {MAX_FILE_BYTES} bytes")))
        }
        LoadError::NotUtf8(offset) => (
            Exit::PlanAtFault,
            fault(format!("this is not UTF-8: byte {offset}, counted from 0, is no part of a character")),
        ),
        LoadError::NotFound => (Exit::Trouble, fault("there is no such file".to_owned())),
        LoadError::NotAFile => (Exit::Trouble, fault("this is not a file".to_owned())),
        LoadError::OutsideRoot => (Exit::Trouble, fault("this is outside of the project".to_owned())),
        LoadError::Other(words) => (Exit::Trouble, fault(format!("this cannot be read: {words}"))),
    }
}
