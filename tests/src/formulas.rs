//! The formulas of a report, evaluated: each must equal the number beside it.

use llmplan_analysis::report::{Derivation, Report, Value};
use llmplan_spec::expr::{Environment, Failure, Value as Evaluated, evaluate};
use llmplan_spec::parse_expression;
use llmplan_spec::source::{FileId, Span};
use llmplan_spec::units::Number;

/// A report's quantities as names.
struct Quantities<'r>(&'r Report);

impl Environment for Quantities<'_> {
    fn name(&mut self, name: &str, _: Span) -> Result<Evaluated, Failure> {
        let quantity =
            self.0.get(name).unwrap_or_else(|| panic!("`{name}` is read by a formula and not in the report"));
        let number = match quantity.value {
            Value::Count(count) => Number::Int(i128::try_from(count).unwrap()),
            Value::Real(real) => Number::Real(real),
            Value::Text(_) => panic!("`{name}` is a text"),
        };
        Ok(Evaluated::Quantity { number: Some(number), unit: quantity.unit, firm: false })
    }
}

/// Evaluates every formula of a report and holds it to its value: counts exactly, estimates to 1e-11.
pub fn formulas_hold(report: &Report) -> usize {
    let mut formulas = 0;
    for quantity in &report.quantities {
        let Derivation::Formula { text, .. } = &quantity.derivation else { continue };
        let parsed = parse_expression(text, FileId(0)).unwrap();
        let value = match evaluate(&parsed, &mut Quantities(report)) {
            Ok(Evaluated::Quantity { number: Some(number), unit, .. }) => {
                assert_eq!(unit.dimension, quantity.unit.dimension, "{}: unit of `{text}`", quantity.path);
                number
            }
            other => panic!("{}: `{text}` gives {other:?}", quantity.path),
        };
        match (&quantity.value, value) {
            (Value::Count(count), Number::Int(int)) => {
                assert_eq!(Ok(*count), u128::try_from(int), "{}: `{text}`", quantity.path);
            }
            (Value::Real(real), value) => {
                let gap = (value.real() - real).abs() / real.abs().max(f64::MIN_POSITIVE);
                assert!(gap < 1e-11, "{}: `{text}` is {}, not {real}", quantity.path, value.real());
            }
            (value, formula) => panic!("{}: {value:?} and `{text}` = {formula:?}", quantity.path),
        }
        formulas += 1;
    }
    formulas
}
