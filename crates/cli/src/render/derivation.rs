//! How a number comes about, as a tree: itself, then what it is computed from.

use std::collections::{BTreeMap, BTreeSet};

use llmplan_analysis::explain::Explanation;
use llmplan_analysis::report::{Derivation, Quantity, Report, Value};
use llmplan_spec::units::Number;
use llmplan_spec::units::format::{self, BytePrefix};
use serde::Serialize;

use super::paint::Paint;
use super::{WIDTH, clean, json, wrapped};

/// The narrowest text beside the guides of a deep tree.
const NARROW: usize = 40;

/// The tree as text; a quantity that several others use is taken apart where it first stands.
pub(crate) fn text(explanation: &Explanation<'_>, paint: Paint) -> String {
    let mut tree = Tree { paint, known: BTreeSet::new(), text: String::new() };
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

struct Tree<'r> {
    paint: Paint,
    /// Attributes whose place has been told.
    known: BTreeSet<&'r str>,
    text: String,
}

impl<'r> Tree<'r> {
    /// A quantity behind `first`, and behind `guide` what there is to say about it and what it is computed from.
    fn node(&mut self, node: &Explanation<'r>, first: &str, guide: &str) {
        let Explanation { quantity, inputs, seen } = node;
        let more = match &quantity.derivation {
            _ if *seen => "  (explained above)".to_owned(),
            Derivation::Attribute { place } if self.known.insert(&quantity.path) => {
                format!("  ({}: {place})", quantity.grade.word())
            }
            _ => String::new(),
        };
        let path = self.paint.strong(&quantity.path);
        self.line(first, &format!("{path} = {}{}", clean(&quantity.display), clean(&more)));
        if *seen {
            return;
        }
        let lines = if inputs.is_empty() { format!("{guide}  ") } else { format!("{guide}│ ") };
        // An attribute below a formula is told by its line alone.
        if !matches!(quantity.derivation, Derivation::Attribute { .. }) || first.is_empty() {
            for line in about(quantity) {
                self.wrapped(&lines, &line);
            }
        }
        for (at, input) in inputs.iter().enumerate() {
            let last = at + 1 == inputs.len();
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

/// What there is to say about a quantity, apart from its value and inputs.
fn about(quantity: &Quantity) -> Vec<String> {
    let mut lines = vec![quantity.meaning.to_owned()];
    match &quantity.derivation {
        Derivation::Attribute { .. } => return lines,
        Derivation::Formula { text, symbols, substituted, inputs } => {
            lines.push(format!("= {text}"));
            // Without symbols, or with one name alone, the same would be said again.
            if symbols.replace('·', " * ") != *text && inputs.first() != Some(text) {
                lines.push(format!("= {symbols}"));
            }
            if inputs.first() != Some(text) {
                lines.push(format!("= {substituted}"));
            }
        }
        Derivation::Procedure { name, .. } => lines.push(format!("by {name}")),
    }
    if let Some((low, high)) = quantity.interval {
        let show = |end: f64| format::quantity(Number::Real(end), quantity.unit, 4, BytePrefix::Decimal);
        lines.push(format!("between {} and {}", show(low), show(high)));
    }
    let source = if quantity.source.is_empty() { String::new() } else { format!("; {}", quantity.source) };
    lines.push(format!("{}{source}", quantity.grade.word()));
    lines
}
