//! `cargo xtask`: what cargo cannot do by itself.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod accuracy;
mod calibrate;
mod cuda;
mod docs;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask docs [--check]        writes the generated pages of docs/
       cargo xtask check-cuda [--full]   checks the code for CUDA devices; compiles and links it, kernels too
       cargo xtask accuracy --data DIR [--keep OUT]
       cargo xtask calibrate --data DIR [--generation NAME] [--write]
                                         compares reports with published runs; writes their plans below OUT";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["docs"] => docs::write(&root),
        ["docs", "--check"] => docs::check(&root),
        ["check-cuda"] => cuda::check(&root),
        ["check-cuda", "--full"] => cuda::build(&root),
        ["accuracy", "--data", data] => accuracy::run(Path::new(data), None),
        ["calibrate", "--data", data] => calibrate::run(&root, Path::new(data), None, false),
        ["calibrate", "--data", data, "--write"] => calibrate::run(&root, Path::new(data), None, true),
        ["calibrate", "--data", data, "--generation", name] => {
            calibrate::run(&root, Path::new(data), Some(name), false)
        }
        ["calibrate", "--data", data, "--generation", name, "--write"] => {
            calibrate::run(&root, Path::new(data), Some(name), true)
        }
        ["accuracy", "--data", data, "--keep", keep] => accuracy::run(Path::new(data), Some(Path::new(keep))),
        _ => Err(Failure::Trouble(USAGE.to_owned())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Found(words)) => {
            eprintln!("{words}");
            ExitCode::from(1)
        }
        Err(Failure::Trouble(words)) => {
            eprintln!("{words}");
            ExitCode::from(2)
        }
    }
}

/// How a task fails.
enum Failure {
    /// What was checked is at fault.
    Found(String),
    /// It could not be done.
    Trouble(String),
}
