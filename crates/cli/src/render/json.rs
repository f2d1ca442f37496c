//! Reports as JSON. The types here are the format: `schema/check.schema.json` is generated from them, and fields stand
//! in the order of their names.

use std::collections::BTreeMap;

use llmplan_analysis::report::{self, Derivation, Judgement, Report};
use llmplan_spec::diagnostic::{self, Diagnostic, Severity};
use llmplan_spec::source::Span;
use serde::Serialize;

use super::lines::Lines;
use crate::examine::Examined;
use crate::levers;

/// The committed schema of [`Document`].
pub(crate) const SCHEMA: &str = include_str!("../../schema/check.schema.json");

/// Up to here every whole number is exact in readers that know only floats.
const EXACT_IN_A_FLOAT: u128 = 1 << 53;

/// The output of `llmplan check --format json`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Document {
    /// What is wrong with the files; broken requirements are in `plans`.
    diagnostics: Vec<Fault>,
    /// Every plan that could be analysed; a plan with lists once for each combination.
    plans: Vec<Plan>,
    /// The version of this format: fields may be added to it, none changes its meaning.
    schema_version: u32,
}

/// A plan and its numbers.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Plan {
    /// Defaults that a number rests on.
    assumptions: Vec<Assumption>,
    /// What the words mean here.
    conventions: Vec<String>,
    /// The file, as named on the command line.
    file: String,
    /// Whether every `require` holds.
    holds: bool,
    /// The plan's name.
    name: String,
    /// Every number, in the order of the report.
    quantities: Vec<Quantity>,
    /// Every `require` and `prefer`, judged.
    requirements: Vec<Requirement>,
    /// What this variant takes from each list: path and value as written. Left out without lists.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(test, schemars(default))]
    variant: BTreeMap<String, String>,
}

/// One number, or one text, with everything needed to check it by hand.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Quantity {
    /// The value as the text report prints it.
    pub(super) display: String,
    /// All digits of a whole number above 2^53.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exact: Option<String>,
    /// The closed form, in the language's expression syntax.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) formula: Option<String>,
    /// `exact`, `modelled`, `fitted`, `assumed`, `measured` or `declared`.
    pub(super) grade: &'static str,
    /// The upper end of an interval, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) high: Option<f64>,
    /// The quantities it is computed from.
    pub(super) inputs: Vec<Operand>,
    /// The lower end of an interval, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) low: Option<f64>,
    /// Its name everywhere.
    pub(super) path: String,
    /// For an attribute: where its value stands, or why it is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
    /// What is done, where there is no closed form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) procedure: Option<String>,
    /// Paper, section, equation.
    pub(super) source: String,
    /// The base unit of `value`, or `text`.
    pub(super) unit: String,
    /// The value in base units: a whole number where it is exact.
    pub(super) value: Value,
}

/// A quantity that another one is computed from.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Operand {
    /// Its name.
    path: String,
    /// Its value in base units; null where the report has none.
    value: Option<Value>,
}

/// A value in base units.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(super) enum Value {
    /// An exact count.
    Count(u64),
    /// An estimate, or a count too large for 64 bits.
    Real(f64),
    /// A text.
    Text(String),
}

/// A `require` or `prefer`, judged.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Requirement {
    /// As written, without the reason.
    condition: String,
    /// For a broken one: what the value is made of, largest first.
    contributors: Vec<String>,
    /// For a broken one: the edit that sets what `help` says, where the file declares it. Left out without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<Fix>,
    /// For a broken one: the smallest single change that meets it, or what comes nearest. Left out without any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(default))]
    help: Vec<String>,
    /// Whether it holds.
    holds: bool,
    /// The right side in base units; null where it is no number.
    limit: Option<f64>,
    /// The right side as the text report prints it.
    limit_display: String,
    /// Left side, limit and excess, in words.
    message: String,
    /// The plan's words on why it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// `error` for a `require`, `warning` for a `prefer`.
    severity: &'static str,
    /// Where it stands.
    span: Place,
    /// The left side in base units; null where it is no number.
    value: Option<f64>,
    /// The left side as the text report prints it.
    value_display: String,
}

/// A default that a number rests on.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Assumption {
    /// The attribute.
    path: String,
    /// Its value, as printed.
    value: String,
    /// What the default rests on.
    why: String,
}

/// Something that is wrong.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Fault {
    /// The stable name that `llmplan explain` knows.
    code: &'static str,
    /// The file that was checked, as named on the command line.
    file: String,
    /// The edit that mends it, where one is certain enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<Fix>,
    /// What to do.
    help: Vec<String>,
    /// Why `span` is shown; may be empty.
    label: String,
    /// What is wrong, in a line.
    message: String,
    /// The arithmetic, or why the rule is there.
    notes: Vec<String>,
    /// Other places that matter.
    related: Vec<Related>,
    /// `error` or `warning`.
    severity: &'static str,
    /// The place; null where the file as a whole is at fault.
    span: Option<Place>,
}

/// Another place that matters.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Related {
    /// Why it is shown.
    label: String,
    /// The place.
    span: Place,
}

/// A text edit.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Fix {
    /// What takes the place of the text there.
    replacement: String,
    /// The text to replace; empty to insert.
    span: Place,
}

/// A range of characters in a file.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Place {
    /// Column of the first character, from 1.
    column: usize,
    /// Column behind the last character, from 1.
    end_column: usize,
    /// Line of the end, from 1.
    end_line: usize,
    /// The file, as messages name it.
    file: String,
    /// Line of the first character, from 1.
    line: usize,
}

/// Collects the inputs of a run.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    diagnostics: Vec<Fault>,
    plans: Vec<Plan>,
}

impl Writer {
    /// Adds what there is to say about an input.
    pub(crate) fn add(&mut self, examined: &Examined) {
        let Examined { file, sources, plans, diagnostics, .. } = examined;
        let mut lines = Lines::new(sources);
        self.diagnostics.extend(diagnostics.iter().map(|diagnostic| fault(diagnostic, file, &mut lines)));
        for outcome in plans {
            if let Some(report) = &outcome.report {
                let broken = levers::broken(examined, outcome);
                self.plans.push(plan(report, file, &outcome.plan.variant, broken, &mut lines));
            }
        }
    }

    /// The document, two spaces a level, with a line break at its end.
    ///
    /// # Errors
    /// A bug of the serializer; no value of these types is refused.
    pub(crate) fn finish(self) -> Result<String, serde_json::Error> {
        let Writer { diagnostics, plans } = self;
        pretty(&Document { diagnostics, plans, schema_version: 1 })
    }
}

/// Any document of ours as text.
pub(super) fn pretty(document: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    Ok(text)
}

/// A plan; `broken` has a diagnostic for each condition that does not hold, in their order.
fn plan(
    report: &Report,
    file: &str,
    variant: &[(String, String)],
    broken: Vec<Diagnostic>,
    lines: &mut Lines<'_>,
) -> Plan {
    let mut broken = broken.into_iter();
    let mut condition = |judgement: &Judgement| {
        let fault = if judgement.holds { None } else { broken.next() };
        requirement(judgement, fault, lines)
    };
    let assumption = |assumption: &report::Assumption| Assumption {
        path: assumption.path.clone(),
        value: assumption.value.clone(),
        why: assumption.why.clone(),
    };
    let values: BTreeMap<&str, &report::Value> =
        report.quantities.iter().map(|quantity| (quantity.path.as_str(), &quantity.value)).collect();
    Plan {
        assumptions: report.assumptions.iter().map(assumption).collect(),
        conventions: report.conventions.clone(),
        file: file.to_owned(),
        holds: report.holds(),
        name: report.plan.clone(),
        quantities: report.quantities.iter().map(|quantity| self::quantity(quantity, &values)).collect(),
        requirements: report.requirements.iter().map(&mut condition).collect(),
        variant: variant.iter().cloned().collect(),
    }
}

/// A quantity; `values` are those of its report, by path.
pub(super) fn quantity(quantity: &report::Quantity, values: &BTreeMap<&str, &report::Value>) -> Quantity {
    let (mut formula, mut procedure, mut place) = (None, None, None);
    let inputs: &[String] = match &quantity.derivation {
        Derivation::Attribute { place: written } => {
            place = Some(written.clone());
            &[]
        }
        Derivation::Formula { text, inputs, .. } => {
            formula = Some(text.clone());
            inputs
        }
        Derivation::Procedure { name, inputs } => {
            procedure = Some(name.clone());
            inputs
        }
    };
    let operand = |path: &String| Operand {
        path: path.clone(),
        value: values.get(path.as_str()).map(|value| self::value(value)),
    };
    Quantity {
        display: quantity.display.clone(),
        exact: match quantity.value {
            report::Value::Count(count) if count > EXACT_IN_A_FLOAT => Some(count.to_string()),
            _ => None,
        },
        formula,
        grade: quantity.grade.word(),
        high: quantity.interval.map(|(_, high)| high),
        inputs: inputs.iter().map(operand).collect(),
        low: quantity.interval.map(|(low, _)| low),
        path: quantity.path.clone(),
        place,
        procedure,
        source: quantity.source.clone(),
        unit: match quantity.value {
            report::Value::Text(_) => "text".to_owned(),
            _ => quantity.unit.symbol(),
        },
        value: value(&quantity.value),
    }
}

fn value(value: &report::Value) -> Value {
    match value {
        report::Value::Count(count) => u64::try_from(*count).map_or(Value::Real(*count as f64), Value::Count),
        report::Value::Real(real) => Value::Real(*real),
        report::Value::Text(text) => Value::Text(text.clone()),
    }
}

fn requirement(judgement: &Judgement, fault: Option<Diagnostic>, lines: &mut Lines<'_>) -> Requirement {
    let excess = judgement.excess.as_ref().map(|excess| format!(": {excess}")).unwrap_or_default();
    let relation = super::tables::symbol(judgement.comparison);
    let not = if judgement.holds { "" } else { "not " };
    let (help, fix) = fault.map(|fault| (fault.help, fault.fix)).unwrap_or_default();
    Requirement {
        condition: judgement.condition.clone(),
        contributors: judgement.contributors.clone(),
        fix: fix.map(|fix| Fix { replacement: fix.replacement, span: place(fix.span, lines) }),
        help,
        holds: judgement.holds,
        limit: judgement.limit_number,
        limit_display: judgement.limit.clone(),
        message: format!("{} is {not}{relation} {}{excess}", judgement.value, judgement.limit),
        reason: judgement.reason.clone(),
        severity: severity(if judgement.strict { Severity::Error } else { Severity::Warning }),
        span: place(judgement.span, lines),
        value: judgement.value_number,
        value_display: judgement.value.clone(),
    }
}

fn fault(diagnostic: &Diagnostic, file: &str, lines: &mut Lines<'_>) -> Fault {
    let mut related =
        |label: &diagnostic::Label| Related { label: label.text.clone(), span: place(label.span, lines) };
    let related = diagnostic.secondary.iter().map(&mut related).collect();
    let mut fix =
        |fix: &diagnostic::Fix| Fix { replacement: fix.replacement.clone(), span: place(fix.span, lines) };
    let fix = diagnostic.fix.as_ref().map(&mut fix);
    Fault {
        code: diagnostic.code.as_str(),
        file: file.to_owned(),
        fix,
        help: diagnostic.help.clone(),
        label: diagnostic.primary.as_ref().map(|label| label.text.clone()).unwrap_or_default(),
        message: diagnostic.title.clone(),
        notes: diagnostic.notes.clone(),
        related,
        severity: severity(diagnostic.severity),
        span: diagnostic.primary.as_ref().map(|label| place(label.span, lines)),
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn place(span: Span, lines: &mut Lines<'_>) -> Place {
    let (line, column) = lines.line_column(span.file, span.start);
    let (end_line, end_column) = lines.line_column(span.file, span.end);
    Place { column, end_column, end_line, file: lines.name(span.file).to_owned(), line }
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use llmplan_analysis::report::Grade;
    use llmplan_spec::units::Unit;
    use serde_json::Value as Json;

    use super::*;

    /// The schema with sorted keys, however the JSON library is built.
    fn schema() -> String {
        fn sorted(json: Json) -> Json {
            match json {
                Json::Object(fields) => {
                    let fields: BTreeMap<String, Json> =
                        fields.into_iter().map(|(name, field)| (name, sorted(field))).collect();
                    Json::Object(fields.into_iter().collect())
                }
                Json::Array(items) => Json::Array(items.into_iter().map(sorted).collect()),
                other => other,
            }
        }
        pretty(&sorted(schemars::schema_for!(Document).to_value())).unwrap()
    }

    #[test]
    fn the_committed_schema_is_that_of_the_types() {
        let schema = schema();
        if env::var_os("LLMPLAN_BLESS").is_some_and(|value| value == "1") {
            fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/check.schema.json"), &schema).unwrap();
            return;
        }
        assert_eq!(schema, SCHEMA, "run the tests with LLMPLAN_BLESS=1 to write it anew");
    }

    fn number(value: report::Value) -> Json {
        let quantity = report::Quantity {
            path: "model.params".to_owned(),
            meaning: "all parameters",
            value,
            unit: Unit::PARAMS,
            display: String::new(),
            grade: Grade::Exact,
            derivation: Derivation::Procedure {
                name: "count".to_owned(),
                inputs: vec!["model.layers".to_owned()],
            },
            source: String::new(),
            interval: None,
        };
        serde_json::to_value(self::quantity(&quantity, &BTreeMap::new())).unwrap()
    }

    #[test]
    fn large_counts_keep_their_digits() {
        let small = number(report::Value::Count(1 << 53));
        assert_eq!((&small["value"], small.get("exact")), (&Json::from(1_u64 << 53), None));
        let large = number(report::Value::Count(u128::from(u64::MAX)));
        assert_eq!(
            (&large["value"], &large["exact"]),
            (&Json::from(u64::MAX), &Json::from("18446744073709551615"))
        );
        let huge = number(report::Value::Count(1 << 64));
        assert_eq!(huge["value"].as_f64(), Some(18_446_744_073_709_551_616.0));
        assert_eq!(huge["exact"], "18446744073709551616");
    }

    #[test]
    fn a_text_says_so_and_an_unknown_input_is_null() {
        let text = number(report::Value::Text("bf16".to_owned()));
        assert_eq!((&text["unit"], &text["value"]), (&Json::from("text"), &Json::from("bf16")));
        assert_eq!(text["inputs"][0]["value"], Json::Null);
    }
}
