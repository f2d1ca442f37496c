//! The tool as a process: its arguments, its streams, and what a bug looks like.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::{env, panic};

use crate::{Console, Exit, run};

/// Runs the command line of this process on its own streams. A binary is a `main` that calls it.
pub fn start() -> ExitCode {
    panic::set_hook(Box::new(|panic| {
        let _ = writeln!(
            io::stderr(),
            "llmplan {} has met a bug of its own: {panic}\nplease report it with the plan and the command line",
            env!("CARGO_PKG_VERSION")
        );
        std::process::exit(u8::from(Exit::Bug).into());
    }));

    // See https://no-color.org: any value counts but an empty one.
    let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|value| value == "dumb");
    let console = Console {
        stdout_color: !plain && io::stdout().is_terminal(),
        stderr_color: !plain && io::stderr().is_terminal(),
        stdin: &mut io::stdin().lock(),
        stdout: &mut io::stdout().lock(),
        stderr: &mut io::stderr(),
    };
    ExitCode::from(u8::from(run(env::args_os(), console)))
}
