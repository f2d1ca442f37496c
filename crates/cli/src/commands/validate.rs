//! `llmplan validate`: plans against what running their models takes.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use llmplan_exec::device::{DeviceError, Target, available_memory};
use llmplan_spec::diagnostic::Severity;

use crate::args::ValidateArgs;
use crate::atomic;
use crate::examine::{Examined, examine};
use crate::exit::Exit;
use crate::inputs::expand;
use crate::load;
use crate::output::Output;
use crate::progress::Progress;
use crate::render::diagnostic;
use crate::validate::{self, How, Subject};

/// Runs the models of all plans and compares. `arguments` are those of the process, for the executable that has the
/// code for CUDA where this one has not.
pub(crate) fn run(
    args: &ValidateArgs,
    arguments: &[OsString],
    stdin: &mut dyn Read,
    output: &mut Output<'_>,
) -> Exit {
    validated(args, arguments, stdin, output).unwrap_or_else(|Failure { exit, trouble, advice }| {
        output.trouble(&trouble);
        for advice in advice {
            output.advice(advice);
        }
        exit
    })
}

/// Why nothing was run, or nothing written.
struct Failure {
    exit: Exit,
    trouble: String,
    advice: &'static [&'static str],
}

impl Failure {
    fn new(trouble: impl Into<String>, advice: &'static [&'static str]) -> Failure {
        Failure { exit: Exit::Trouble, trouble: trouble.into(), advice }
    }
}

fn validated(
    args: &ValidateArgs,
    arguments: &[OsString],
    stdin: &mut dyn Read,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let target: Target =
        args.device.parse().map_err(|error| Failure::new(format!("--device: {error}"), &[]))?;
    if let Some(exit) = elsewhere(target, arguments, output) {
        return Ok(exit);
    }
    let (examined, mut exit) = read(args, stdin, output);
    let subjects = subjects(&examined, args.plan.as_deref(), exit)?;
    if subjects.is_empty() {
        return Ok(exit);
    }
    writable(args, subjects.len())?;
    let device = target.open().map_err(|error| Failure::new(error.to_string(), advice(&error)))?;
    let free = || available_memory(&device).map(|bytes| bytes / 10 * 9);
    let memory = args.memory.or_else(free).ok_or_else(|| {
        Failure::new("how much memory is free is not known here", &["say how much to use: `--memory 8GiB`"])
    })?;
    let how = How { budget: args.budget, memory, steps: args.steps };

    let mut progress = Progress::new(output);
    let done = validate::run(&subjects, &device, &how, &mut |text| progress.say(text));
    drop(progress);
    let done = done.map_err(|words| Failure::new(words, &[]))?;

    let report = validate::render(&done, args.format, output.paint());
    output.print(&report.map_err(|words| Failure::new(words, &[]))?);
    if done.iter().any(|one| !one.holds()) {
        exit = exit.max(Exit::PlanAtFault);
    }
    if let (Some(path), [one]) = (&args.write, done.as_slice()) {
        let text = validate::measurement(one).map_err(|words| Failure::new(words, &[]))?;
        atomic::write(Path::new(path), text.as_bytes()).map_err(|error| {
            let trouble = format!("`{}` cannot be written: {}", load::shown(path), load::words(&error));
            Failure::new(trouble, &[])
        })?;
    }
    Ok(exit)
}

/// Has the companion run the command, where only that can.
#[cfg(not(feature = "cuda"))]
fn elsewhere(target: Target, arguments: &[OsString], output: &mut Output<'_>) -> Option<Exit> {
    matches!(target, Target::Cuda(_)).then(|| crate::companion::run(target, arguments, output))
}

#[cfg(feature = "cuda")]
fn elsewhere(_: Target, _: &[OsString], _: &mut Output<'_>) -> Option<Exit> {
    None
}

/// What to do about a device that does not open.
fn advice(error: &DeviceError) -> &'static [&'static str] {
    const HERE: &str = "`--device cpu` runs on every machine";
    match error {
        DeviceError::NotBuilt(Target::Metal(_)) => {
            &["`cargo build --release --features metal` makes a build that can, on macOS", HERE]
        }
        DeviceError::Unusable(Target::Cuda(_), _) => {
            &["`nvidia-smi` lists the devices that the driver knows", HERE]
        }
        DeviceError::TooFew { .. } => &[],
        _ => &[HERE],
    }
}

/// Reads and resolves every file, and tells what is wrong; trouble with one does not stop the others.
fn read(args: &ValidateArgs, stdin: &mut dyn Read, output: &mut Output<'_>) -> (Vec<Examined>, Exit) {
    let mut exit = Exit::Fine;
    let mut all = Vec::new();
    for input in expand(&args.files) {
        match input.and_then(|input| examine(&input, &args.set, stdin)) {
            Ok(examined) => {
                let Examined { diagnostics, sources, file, .. } = &examined;
                output.talk(&diagnostic::all(diagnostics, sources, file, output.stderr_paint()));
                // A requirement that does not hold is no matter of what is true.
                if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
                    exit = exit.max(Exit::PlanAtFault);
                }
                all.push(examined);
            }
            Err(trouble) => {
                output.trouble(&trouble);
                exit = exit.max(Exit::Trouble);
            }
        }
    }
    (all, exit)
}

/// The sound plans of a name, or all; `so_far` is how reading went.
///
/// # Errors
/// Where everything was read and there is no such plan, sound or not.
fn subjects<'e>(
    examined: &'e [Examined],
    name: Option<&str>,
    so_far: Exit,
) -> Result<Vec<Subject<'e>>, Failure> {
    let plans = || examined.iter().flat_map(|one| one.plans.iter().map(move |outcome| (one, outcome)));
    let named = || plans().filter(|(_, outcome)| name.is_none_or(|name| outcome.plan.name == name));
    if so_far == Exit::Fine && named().next().is_none() {
        let trouble = match name {
            Some(name) => {
                let mut names: Vec<String> =
                    plans().map(|(_, outcome)| format!("`{}`", outcome.plan.name)).collect();
                names.sort();
                names.dedup();
                if names.is_empty() {
                    format!("there is no plan `{name}`, and no other")
                } else {
                    format!("there is no plan `{name}`; there is {}", names.join(", "))
                }
            }
            None => "there is no plan".to_owned(),
        };
        return Err(Failure { exit: Exit::PlanAtFault, trouble, advice: &[] });
    }
    // What is wrong with a plan that has no report has been told.
    let sound = named().filter(|(_, outcome)| outcome.report.is_some());
    Ok(sound.map(|(one, outcome)| Subject { plan: &outcome.plan, file: &one.file }).collect())
}

/// Whether what will be measured can be saved: better told now than after a minute.
fn writable(args: &ValidateArgs, plans: usize) -> Result<(), Failure> {
    let Some(path) = &args.write else { return Ok(()) };
    if plans > 1 {
        return Err(Failure::new(
            format!("--write saves the measurement of one plan, and there are {plans}"),
            &["pick one: `--plan NAME`, and one file"],
        ));
    }
    if args.files.iter().any(|file| load::same(file, path)) {
        return Err(Failure::new(
            format!("`{}` is the plan itself; it would be lost", load::shown(path)),
            &["name another file, such as `--write mine.measured.llm`"],
        ));
    }
    Ok(())
}
