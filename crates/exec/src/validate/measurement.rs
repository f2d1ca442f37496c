//! A validation as the text of a `measurement` block, which plans cite.

use llmplan_spec::units::Date;
use llmplan_spec::units::format::{literal, plain};

use super::{Extent, Row, Validation};

/// The text of a measurement, in the language's canonical layout: of the largest run. `taken` is the day.
/// `None` where nothing ran.
pub fn measurement(found: &Validation, taken: Date) -> Option<String> {
    let run = found.runs.last()?;
    let what = match found.extent {
        Extent::Whole => format!("{}, sequences of {} tokens", found.plan, run.sequence),
        Extent::Slices | Extent::Proxies => {
            format!("{}, {}, sequences of {} tokens", found.plan, run.label, run.sequence)
        }
    };
    let rate = |flops: f64| format!("{} GFLOP/s", plain(flops / 1e9, 4));
    let percent = |share: f64| format!("{}%", plain(share * 100.0, 3));
    let mut text = String::from("# Measured by `llmplan validate`.\n\nmeasurement {\n");
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name} = {value}\n"));
    line("device", quoted(&found.device));
    line("precision", found.precision.to_owned());
    line("taken", taken.to_string());
    line("model", quoted(&what));
    line("tokens", format!("{} tokens", literal(run.tokens.into())));
    line("matmul_peak", rate(found.matmul_peak));
    line("achieved", rate(run.achieved));
    let ratio = |path: &str| {
        let row = run.rows.iter().find(|row: &&Row| row.quantity == path)?;
        Some(row.measured.real() / row.predicted?.real())
    };
    if let Some(more) = ratio("memory.live.forward_end") {
        line("memory_overhead", percent((more - 1.0).max(0.0)));
    }
    if let Some(peak) = ratio("memory.peak.backward") {
        line("peak_ratio", plain(peak, 4));
    }
    for (name, class) in &run.classes {
        text.push_str(&format!(
            "\n  class {name} {{\n    rate = {}\n    share = {}\n  }}\n",
            rate(class.rate),
            percent(class.share)
        ));
    }
    text.push_str("}\n");
    Some(text)
}

/// A text of the language.
fn quoted(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("\"{}\"", clean.replace('\\', "\\\\").replace('"', "\\\""))
}
