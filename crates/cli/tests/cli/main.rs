//! The command line as a user meets it: help, exit codes, streams, files.

mod check;
mod docs;
mod explain;
mod fmt;
mod help;
mod streams;
mod support;
