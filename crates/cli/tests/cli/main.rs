//! The command line as a user meets it: help, exit codes, streams, files.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its part fails the test")]

mod budget;
mod catalog;
mod check;
mod docs;
mod explain;
mod fit;
mod fmt;
mod help;
mod import;
mod levers;
mod search;
mod streams;
mod support;
mod validate;
mod verify;
mod verify_families;
mod verify_hostile;
mod verify_support;
