//! The `.llm` language: text becomes a syntax tree, and a tree becomes a typed [`plan::Plan`].
//!
//! Nothing here reads a file, a clock or the environment: texts arrive through [`loader::Loader`]. Everything a user
//! can get wrong is a [`diagnostic::Diagnostic`]; nothing panics.

// The parser that pest generates names it: pest is built without `std`.
extern crate alloc;

pub mod catalog;
pub mod codes;
pub mod complete;
pub mod diagnostic;
pub mod expr;
pub mod format;
mod grammar;
pub mod limits;
pub mod loader;
pub mod plan;
pub mod resolve;
pub mod schema;
pub mod source;
pub mod syntax;
pub mod units;

pub use grammar::{parse, parse_expression};
