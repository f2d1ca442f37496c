//! Fitted constants, written into the catalog: the lines of the file that set them, and nothing else.

use std::fs;
use std::path::Path;

use llmplan_spec::plan::Generation;

use super::fit::CONSTANTS;

/// Writes the constants of a generation into its file of the catalog.
///
/// # Errors
/// What keeps the file from being read or written.
pub(super) fn constants(root: &Path, name: &str, constants: &Generation, error: f64) -> Result<(), String> {
    let path = root.join("specs/generations").join(format!("{name}.llm"));
    let trouble = |error: std::io::Error| format!("{}: {error}", path.display());
    let text = fs::read_to_string(&path).map_err(trouble)?;
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let own = line.trim_start().split(' ').next().unwrap_or_default();
        if own == "error" {
            continue;
        }
        match CONSTANTS.iter().find(|constant| constant.name == own) {
            None if own == "attention_backward" => {
                lines.push(format!("  {own} = {}", shown(own, constants.attention_backward)));
            }
            Some(constant) => lines.push(format!("  {own} = {}", shown(own, (constant.get)(constants)))),
            None => {
                if own == "source" {
                    lines.push(format!("  error = {:.1}%", error * 100.0));
                }
                lines.push(line.to_owned());
            }
        }
    }
    fs::write(&path, lines.join("\n") + "\n").map_err(trouble)
}

/// A constant as its file writes it.
fn shown(name: &str, value: f64) -> String {
    match name {
        "depth" => format!("{value:.0}"),
        "launch" | "link_latency" | "network_latency" => format!("{:.1} us", value * 1e6),
        _ => format!("{:.1}%", value * 100.0),
    }
}
