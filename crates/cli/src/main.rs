//! The `llmplan` command.

use std::process::ExitCode;

/// Counts what running a model takes; nothing else needs it.
#[cfg(feature = "validate")]
#[global_allocator]
static ALLOCATOR: llmplan_exec::meter::allocator::Counting = llmplan_exec::meter::allocator::Counting;

fn main() -> ExitCode {
    llmplan::start()
}
