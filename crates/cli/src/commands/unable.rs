//! `llmplan validate` in a build that cannot run models.

use std::ffi::OsString;
use std::io::Read;

use crate::args::ValidateArgs;
use crate::exit::Exit;
use crate::output::Output;

/// Says that this build cannot, and how to get one that can.
pub(crate) fn run(_: &ValidateArgs, _: &[OsString], _: &mut dyn Read, output: &mut Output<'_>) -> Exit {
    output
        .trouble("this build of llmplan cannot run models: it has been made without the feature `validate`");
    output.advice("`cargo build --release` makes one that can; the feature is on where nothing turns it off");
    Exit::Trouble
}
