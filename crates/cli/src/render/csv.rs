//! Reports as CSV: one row for each plan or variant, every number in SI base units. Quoted as RFC 4180 says, with bare
//! line feeds.

use std::collections::BTreeMap;

use llmplan_analysis::report::{Quantity, Value};

use crate::examine::Examined;

/// All plans of all inputs; columns are the swept paths and quantities that any of them has, in order of appearance.
/// A cell is empty where a plan lacks the number, and `holds` where it could not be analysed.
pub(crate) fn render(inputs: &[Examined]) -> String {
    let outcomes = || inputs.iter().flat_map(|input| input.plans.iter().map(move |outcome| (input, outcome)));
    let mut swept: Vec<&str> = Vec::new();
    let mut paths: Vec<&str> = Vec::new();
    let mut known: BTreeMap<&str, ()> = BTreeMap::new();
    for (_, outcome) in outcomes() {
        for (path, _) in &outcome.plan.variant {
            if !swept.contains(&path.as_str()) {
                swept.push(path);
            }
        }
    }
    for (_, outcome) in outcomes() {
        for quantity in outcome.report.iter().flat_map(|report| &report.quantities) {
            let path = quantity.path.as_str();
            let column = number(&quantity.value).is_some() && !swept.contains(&path);
            if column && known.insert(path, ()).is_none() {
                paths.push(path);
            }
        }
    }

    let mut text = String::new();
    let heading = ["file", "plan"]
        .into_iter()
        .chain(swept.iter().copied())
        .chain(["holds"])
        .chain(paths.iter().copied());
    line(&mut text, heading.map(str::to_owned));
    for (input, outcome) in outcomes() {
        let variant: BTreeMap<&str, &str> =
            outcome.plan.variant.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect();
        let quantities: BTreeMap<&str, &Quantity> = outcome
            .report
            .iter()
            .flat_map(|report| &report.quantities)
            .map(|quantity| (quantity.path.as_str(), quantity))
            .collect();
        let mut cells = vec![input.file.clone(), outcome.plan.name.clone()];
        cells.extend(swept.iter().map(|path| variant.get(path).copied().unwrap_or_default().to_owned()));
        cells.push(outcome.report.as_ref().map(|report| report.holds().to_string()).unwrap_or_default());
        cells.extend(paths.iter().map(|path| {
            quantities.get(path).and_then(|quantity| number(&quantity.value)).unwrap_or_default()
        }));
        line(&mut text, cells.into_iter());
    }
    text
}

/// A number as every reader of CSV takes it: all digits of a count, the shortest form of an estimate.
fn number(value: &Value) -> Option<String> {
    match value {
        Value::Count(count) => Some(count.to_string()),
        Value::Real(real) if (1e-5..1e16).contains(&real.abs()) || *real == 0.0 => Some(real.to_string()),
        Value::Real(real) => Some(format!("{real:e}")),
        Value::Text(_) => None,
    }
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&quoted(&cell));
    }
    text.push('\n');
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(quoted("plain text"), "plain text");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(quoted("two\nlines"), "\"two\nlines\"");
    }

    #[test]
    fn numbers_keep_their_digits() {
        let number = |value| number(&value).unwrap();
        assert_eq!(number(Value::Count(u128::MAX)), "340282366920938463463374607431768211455");
        assert_eq!(number(Value::Real(0.4)), "0.4");
        assert_eq!(number(Value::Real(3.14e23)), "3.14e23");
        assert_eq!(number(Value::Real(2.5e-7)), "2.5e-7");
        assert_eq!(number(Value::Real(0.0)), "0");
    }

    #[test]
    fn without_plans_there_is_a_heading() {
        assert_eq!(render(&[]), "file,plan,holds\n");
    }
}
