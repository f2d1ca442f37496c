//! How a number comes about, as a tree: itself, then what it is computed from.

use std::collections::{BTreeMap, BTreeSet};

use llmplan_analysis::explain::Explanation;
use llmplan_analysis::report::{Derivation, Quantity, Report, Value};
use serde::Serialize;

use super::paint::Paint;
use super::{WIDTH, clean, json, wrapped};

/// The narrowest text beside the guides of a deep tree.
const NARROW: usize = 40;

/// The tree as text; a quantity that several others use is taken apart where it first stands.
pub(crate) fn text(explanation: &Explanation<'_>, paint: Paint) -> String {
    let mut tree = Tree { paint, text: String::new() };
    tree.node(explanation, "", "");
    tree.text
}

/// The quantities of the tree as JSON, the explained one first, each once.
///
/// # Errors
/// A bug of the serializer; no value of these types is refused.
pub(crate) fn json(explanation: &Explanation<'_>, report: &Report) -> Result<String, serde_json::Error> {
    let values: BTreeMap<&str, &Value> =
        report.quantities.iter().map(|quantity| (quantity.path.as_str(), &quantity.value)).collect();
    let mut known = BTreeSet::new();
    let mut quantities = Vec::new();
    let mut rest = vec![explanation];
    while let Some(node) = rest.pop() {
        if !node.seen && known.insert(node.quantity.path.as_str()) {
            quantities.push(json::quantity(node.quantity, &values));
        }
        rest.extend(node.inputs.iter().rev());
    }
    let path = &explanation.quantity.path;
    json::pretty(&Explained { path, plan: &report.plan, quantities, schema_version: 1 })
}

/// The output of `llmplan explain --format json`; quantities are as in `check --format json`.
#[derive(Serialize)]
struct Explained<'r> {
    path: &'r str,
    plan: &'r str,
    quantities: Vec<json::Quantity>,
    schema_version: u32,
}

struct Tree {
    paint: Paint,
    text: String,
}

impl Tree {
    /// A quantity behind `first`, and behind `guide` what there is to say about it and what it is computed from.
    fn node(&mut self, node: &Explanation<'_>, first: &str, guide: &str) {
        let path = self.paint.strong(&node.quantity.path);
        let more = if node.seen { "  (explained above)" } else { "" };
        self.line(first, &format!("{path} = {}{more}", clean(&node.quantity.display)));
        if node.seen {
            return;
        }
        let lines = if node.inputs.is_empty() { format!("{guide}  ") } else { format!("{guide}│ ") };
        for line in about(node.quantity) {
            self.wrapped(&lines, &line);
        }
        for (at, input) in node.inputs.iter().enumerate() {
            let last = at + 1 == node.inputs.len();
            let first = format!("{guide}{}", if last { "└─ " } else { "├─ " });
            let below = format!("{guide}{}", if last { "   " } else { "│  " });
            self.node(input, &first, &below);
        }
    }

    fn wrapped(&mut self, guide: &str, line: &str) {
        let room = WIDTH.saturating_sub(guide.chars().count() + 2).max(NARROW);
        for (at, part) in wrapped(&clean(line), room).iter().enumerate() {
            self.line(guide, &format!("{}{part}", if at == 0 { "" } else { "  " }));
        }
    }

    fn line(&mut self, guide: &str, line: &str) {
        let line = format!("{}{line}", self.paint.faint(guide));
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// What there is to say about a quantity, apart from its inputs.
fn about(quantity: &Quantity) -> Vec<String> {
    let mut lines = vec![quantity.meaning.to_owned()];
    let grade = quantity.grade.word();
    match &quantity.derivation {
        Derivation::Attribute { place } => {
            lines.push(format!("{grade}: {place}"));
            return lines.into_iter().filter(|line| !line.is_empty()).collect();
        }
        Derivation::Formula { text, symbols, substituted, .. } => {
            lines.push(format!("= {text}"));
            if symbols != text {
                lines.push(format!("= {symbols}"));
            }
            if substituted != text {
                lines.push(format!("= {substituted}"));
            }
        }
        Derivation::Procedure { name, .. } => lines.push(format!("by {name}")),
    }
    if let Some((low, high)) = quantity.interval {
        lines.push(format!("between {low} and {high} in base units"));
    }
    lines.push(if quantity.source.is_empty() {
        grade.to_owned()
    } else {
        format!("{grade}; {}", quantity.source)
    });
    lines.into_iter().filter(|line| !line.is_empty()).collect()
}
