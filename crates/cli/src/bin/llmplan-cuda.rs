//! The `llmplan` command as it is built for CUDA devices: `llmplan validate --device cuda` runs it.
//!
//! It is linked with the driver and does not start without one, so that it is no replacement for `llmplan`.

use std::process::ExitCode;

/// Counts what running a model takes on the host.
#[global_allocator]
static ALLOCATOR: llmplan_exec::meter::allocator::Counting = llmplan_exec::meter::allocator::Counting;

fn main() -> ExitCode {
    llmplan::start()
}
