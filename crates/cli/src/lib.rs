//! The face of llmplan: the command line, files, and what is printed. [`run`] is the whole tool as a function, so that
//! tests and benchmarks need no process.

mod amount;
mod args;
mod atomic;
mod budget;
mod commands;
#[cfg(all(feature = "validate", not(feature = "cuda")))]
mod companion;
mod edit;
mod examine;
mod exit;
mod fit;
mod import;
mod inputs;
mod levers;
mod load;
mod output;
mod process;
#[cfg(feature = "validate")]
mod progress;
mod render;
mod search;
#[cfg(feature = "validate")]
mod validate;
mod verify;

pub use exit::Exit;
pub use process::start;

use std::ffi::OsString;
use std::io::{Read, Write};

use clap::Parser;

use args::{Cli, Color, Command};
use output::Output;

/// The streams of a run, and what is known about them.
pub struct Console<'c> {
    /// Read where a file is named `-`.
    pub stdin: &'c mut dyn Read,
    /// Takes what was asked for: reports, formatted plans, help.
    pub stdout: &'c mut dyn Write,
    /// Takes talk: wrong usage, trouble with files.
    pub stderr: &'c mut dyn Write,
    /// Whether `--color auto` means colour on `stdout`.
    pub stdout_color: bool,
    /// Whether `--color auto` means colour on `stderr`.
    pub stderr_color: bool,
}

/// Runs the command line `args`, the program's name first, and returns how it ended.
///
/// A reader that closes `stdout` ends the output quietly; any other failure to write is told on `stderr` and is
/// [`Exit::Trouble`]. `validate` on a CUDA device hands the arguments to another executable, with the streams of this
/// process.
pub fn run(args: impl IntoIterator<Item = OsString>, console: Console<'_>) -> Exit {
    let Console { stdin, stdout, stderr, stdout_color, stderr_color } = console;
    let mut output = Output::new(stdout, stdout_color, stderr, stderr_color);
    let args: Vec<OsString> = args.into_iter().collect();
    let exit = match Cli::try_parse_from(&args) {
        Ok(cli) => {
            match cli.color {
                Color::Auto => {}
                Color::Always => output.set_color(true),
                Color::Never => output.set_color(false),
            }
            match cli.command {
                Command::Check(args) => commands::check::run(&args, stdin, &mut output),
                Command::Fmt(args) => commands::fmt::run(&args, stdin, &mut output),
                Command::Explain(args) => commands::explain::run(&args, stdin, &mut output),
                Command::Import(args) => commands::import::run(&args, stdin, &mut output),
                Command::Verify(args) => commands::verify::run(&args, stdin, &mut output),
                Command::Validate(validate) => {
                    commands::validate::run(&validate, args.get(1..).unwrap_or_default(), stdin, &mut output)
                }
                Command::Search(args) => commands::search::run(&args, stdin, &mut output),
                Command::Fit(args) => commands::fit::run(&args, stdin, &mut output),
                Command::Levers(args) => commands::levers::run(&args, stdin, &mut output),
                Command::Budget(args) => commands::budget::run(&args, stdin, &mut output),
                Command::Docs(args) => commands::docs::run(&args, &mut output),
                Command::Catalog(args) => commands::catalog::run(&args, &mut output),
            }
        }
        Err(answer) => {
            let text = answer.render();
            if answer.use_stderr() {
                output.talk(&if output.stderr_color() { text.ansi().to_string() } else { text.to_string() });
                Exit::Trouble
            } else {
                output.print(&if output.color() { text.ansi().to_string() } else { text.to_string() });
                Exit::Fine
            }
        }
    };
    output.finish(exit)
}
