//! Formulas, parsed once: plans that are tried one after the other have the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use llmplan_spec::diagnostic::Diagnostic;
use llmplan_spec::expr::Expr;
use llmplan_spec::source::FileId;

/// Formulas that are kept; more are parsed each time.
const MOST: usize = 4096;

static KNOWN: Mutex<BTreeMap<String, Arc<Expr>>> = Mutex::new(BTreeMap::new());

/// A formula as an expression. What it is depends on its text alone.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn formula(text: &str, keep: bool) -> Result<Arc<Expr>, Diagnostic> {
    let parse = || llmplan_spec::parse_expression(text, FileId(u32::MAX)).map(Arc::new);
    if !keep {
        return parse();
    }
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(parsed) = known().get(text) {
        return Ok(Arc::clone(parsed));
    }
    let parsed = parse()?;
    let mut known = known();
    if known.len() < MOST {
        known.insert(text.to_owned(), Arc::clone(&parsed));
    }
    Ok(parsed)
}
