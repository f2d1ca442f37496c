//! The builder of a report's quantities: a path, a value, a formula, where it comes from.

use std::collections::{BTreeMap, BTreeSet};

use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::expr::{self, Environment, Expr, Failure, Substitution, Value as Evaluated};
use llmplan_spec::plan::{BytesConvention, Origin, Plan, Setting, SettingValue};
use llmplan_spec::schema;
use llmplan_spec::source::{Sources, Span};
use llmplan_spec::units::format::{self, BytePrefix};
use llmplan_spec::units::{Number, Quantity as Amount, Unit};

use crate::intervals::Intervals;
use crate::parsed;
use crate::report::{Derivation, Grade, Quantity, Value};

/// The longest formula that is shown, in bytes.
const MAX_FORMULA: usize = 8_192;

/// Collects quantities. After an error it takes no more, so that one overflow is told once.
pub(crate) struct Quantities<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) sources: &'a Sources,
    pub(crate) list: Vec<Quantity>,
    pub(crate) errors: Vec<Diagnostic>,
    /// What is wasteful, or does not fit; the report stands.
    pub(crate) warnings: Vec<Diagnostic>,
    /// Why something is not modelled, in sentences.
    pub(crate) notes: Vec<String>,
    /// Whether only values are wanted: no formulas in words, no intervals.
    pub(crate) bare: bool,
    index: BTreeMap<String, usize>,
    /// Attributes whose default a number rests on although it could well be otherwise.
    pub(crate) assumed: BTreeSet<String>,
    /// What could be otherwise, and what rests on it.
    pub(crate) intervals: Intervals,
}

impl<'a> Quantities<'a> {
    pub(crate) fn new(plan: &'a Plan, sources: &'a Sources) -> Quantities<'a> {
        Quantities {
            plan,
            sources,
            list: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            bare: false,
            index: BTreeMap::new(),
            assumed: BTreeSet::new(),
            intervals: Intervals::default(),
        }
    }

    /// An exact count from a fold; the formula says the same in closed form, and tests hold the two together.
    pub(crate) fn count(&mut self, path: &str, count: Option<u128>, formula: &str, source: &str) {
        // A model of very many kinds of layers: nobody reads that, and the sum is what it says.
        if formula.len() > MAX_FORMULA {
            return self.procedure(path, count, "sum over all kinds of layers", &["model.layers"], source);
        }
        match count {
            Some(count) => self.formula(path, Some(Value::Count(count)), formula, source),
            None => self.overflow(path),
        }
    }

    /// A quantity whose formula is all there is to it.
    pub(crate) fn derive(&mut self, path: &str, formula: &str, source: &str) {
        self.formula(path, None, formula, source);
    }

    /// A count that has no closed form: the procedure is named, with what it reads.
    pub(crate) fn procedure(
        &mut self,
        path: &str,
        count: Option<u128>,
        name: &str,
        inputs: &[&str],
        source: &str,
    ) {
        let Some(count) = count else { return self.overflow(path) };
        for input in inputs {
            self.leaf(input);
        }
        let inputs: Vec<String> = inputs.iter().map(|input| (*input).to_owned()).collect();
        let grade = self.grade(&inputs, true);
        let derivation = Derivation::Procedure { name: name.to_owned(), inputs };
        self.push(path, Value::Count(count), grade, derivation, source);
    }

    /// What a procedure that is named estimates, with what it reads of what there is.
    pub(crate) fn modelled(&mut self, path: &str, value: Value, name: &str, inputs: &[&str], source: &str) {
        let inputs: Vec<&str> = inputs.iter().copied().filter(|input| self.known(input)).collect();
        inputs.iter().for_each(|input| self.leaf(input));
        let inputs: Vec<String> = inputs.into_iter().map(str::to_owned).collect();
        let grade = self.grade(&inputs, false);
        let derivation = Derivation::Procedure { name: name.to_owned(), inputs };
        self.push(path, value, grade, derivation, source);
    }

    fn known(&self, path: &str) -> bool {
        self.get(path).is_some() || self.plan.setting(path).is_some()
    }

    /// A number that a default stands for where no attribute does: T without a sequence.
    pub(crate) fn given(&mut self, path: &str, count: u64, why: &str) {
        let derivation = Derivation::Attribute { place: format!("default: {why}") };
        self.push(path, Value::Count(u128::from(count)), Grade::Assumed, derivation, why);
    }

    /// A figure that is no attribute of the plan, of a block that only one of its parts names; `place` says which.
    pub(crate) fn figure(&mut self, path: &str, value: Value, place: &str, grade: Grade) {
        let derivation = Derivation::Attribute { place: place.to_owned() };
        self.push(path, value, grade, derivation, "");
    }

    /// The value of an expression over what the report has so far; `None` where it has none.
    pub(crate) fn value_of(&self, formula: &str) -> Option<f64> {
        let parsed = parsed::formula(formula, self.bare).ok()?;
        match expr::evaluate(&parsed, &mut Known { quantities: self }) {
            Ok(Evaluated::Quantity { number: Some(number), .. }) => Some(number.real()),
            _ => None,
        }
    }

    /// A quantity by its path.
    pub(crate) fn get(&self, path: &str) -> Option<&Quantity> {
        self.index.get(path).map(|&at| &self.list[at])
    }

    /// How the quantity is shown; empty where there is none.
    pub(crate) fn display(&self, path: &str) -> String {
        self.get(path).map(|quantity| quantity.display.clone()).unwrap_or_default()
    }

    /// A quantity as a float.
    pub(crate) fn number(&self, path: &str) -> Option<f64> {
        self.get(path)?.value.number()
    }

    /// Whether a formula has a value: everything that it reads is there, and nothing of it overflows.
    pub(crate) fn comes_out(&self, formula: &str) -> bool {
        self.value_of(formula).is_some()
    }

    /// States that a quantity is at best of a grade: figures of its formula are that are written out in it.
    pub(crate) fn no_surer_than(&mut self, path: &str, grade: Grade) {
        if let Some(quantity) = self.index.get(path).and_then(|&at| self.list.get_mut(at)) {
            quantity.grade = quantity.grade.max(grade);
        }
    }

    /// Sets the interval of a quantity, in base units.
    pub(crate) fn set_interval(&mut self, path: &str, interval: (f64, f64)) {
        if let Some(quantity) = self.index.get(path).and_then(|&at| self.list.get_mut(at)) {
            quantity.interval = Some(interval);
        }
    }

    /// The interval of a quantity, as shown beside it: `$1.9M – $3.1M`, without a unit that the value has too; empty
    /// where there is none, or where its ends are the same to four digits.
    pub(crate) fn range(&self, path: &str) -> String {
        let Some(quantity) = self.get(path) else { return String::new() };
        let Some((low, high)) = quantity.interval else { return String::new() };
        let show = |end: f64, digits: usize| match in_percent(path) {
            true => format::percent(end),
            false if below_cents(path, end) => cents(end),
            false => self.show(Number::Real(end), quantity.unit, digits),
        };
        let apart = [3, 4].into_iter().find(|digits| show(low, *digits) != show(high, *digits));
        let Some(digits) = apart else { return String::new() };
        let (low, high) = (show(low, digits), show(high, digits));
        let split =
            |text: &str| text.split_once(' ').map(|(number, unit)| (number.to_owned(), unit.to_owned()));
        match (split(&low), split(&high), split(&quantity.display)) {
            (Some((low, a)), Some((high, b)), Some((_, c))) if a == b && b == c => format!("{low} – {high}"),
            (Some((low, a)), Some((_, b)), _) if a == b => format!("{low} – {high}"),
            _ => format!("{low} – {high}"),
        }
    }

    /// A number in a unit, as this plan's conventions show it.
    pub(crate) fn show(&self, number: Number, unit: Unit, digits: usize) -> String {
        format::quantity(number, unit, digits, self.bytes())
    }

    pub(crate) fn bytes(&self) -> BytePrefix {
        match self.plan.convention.bytes {
            BytesConvention::Decimal => BytePrefix::Decimal,
            BytesConvention::Binary => BytePrefix::Binary,
        }
    }

    fn formula(&mut self, path: &str, value: Option<Value>, formula: &str, source: &str) {
        if !self.errors.is_empty() {
            return;
        }
        let parsed = match parsed::formula(formula, self.bare) {
            Ok(parsed) => parsed,
            Err(diagnostic) => return self.errors.push(diagnostic),
        };
        let inputs = self.inputs(&parsed);
        let value = match value {
            Some(value) => value,
            None => match expr::evaluate(&parsed, &mut Known { quantities: self }) {
                Ok(Evaluated::Quantity { number: Some(number), .. }) => from_number(number),
                Err(Failure(Some(failure))) if failure.code == Code::DivisionByZero => {
                    return self.divides_by_zero(path, formula);
                }
                _ => return self.overflow(path),
            },
        };
        let exact = matches!(value, Value::Count(_));
        let values = |name: &str| {
            let quantity = self.get(name)?;
            Some(literal(&quantity.value, quantity.unit))
        };
        let print = |substitution| if self.bare { String::new() } else { expr::print(&parsed, substitution) };
        let derivation = Derivation::Formula {
            text: print(Substitution::Names),
            symbols: print(Substitution::Symbols),
            substituted: print(Substitution::Values(&values)),
            inputs: inputs.clone(),
        };
        let grade = self.grade(&inputs, exact);
        self.push(path, value, grade, derivation, source);
        if !self.bare {
            self.spread(path, &parsed);
        }
    }

    /// The names of a formula, each once; attributes among them become quantities of the report.
    fn inputs(&mut self, parsed: &Expr) -> Vec<String> {
        let mut inputs: Vec<String> = Vec::new();
        for (name, _) in parsed.names() {
            if !inputs.iter().any(|known| known == name) {
                inputs.push(name.to_owned());
            }
        }
        for input in &inputs {
            self.leaf(input);
        }
        inputs
    }

    /// An attribute as a quantity of its own: the leaves that explanations end in.
    pub(crate) fn leaf(&mut self, path: &str) {
        if self.index.contains_key(path) {
            return;
        }
        let Some(setting) = self.plan.setting(path) else { return };
        let (place, grade) = match &setting.origin {
            // What is measured is set by its file alone, and says so in whatever is computed from it.
            Origin::Declared(span) if path.starts_with("hardware.measured.") => {
                (self.sources.place(*span), Grade::Measured)
            }
            // The constants of a law are fitted, whoever declares them.
            Origin::Declared(span) if path.starts_with("law.") => (self.sources.place(*span), Grade::Fitted),
            Origin::Default(why) if path.starts_with("law.") => (format!("default: {why}"), Grade::Fitted),
            Origin::Declared(span) => (self.sources.place(*span), Grade::Declared),
            Origin::Default(why) => {
                let uncertain = matches!(path, "device.devices_per_node" | "device.generation")
                    || UNCERTAIN.contains(&path)
                    || uncertain_stage(path);
                (format!("default: {why}"), if uncertain { Grade::Assumed } else { Grade::Declared })
            }
        };
        let (value, unit) = match &setting.value {
            SettingValue::Quantity(Amount { number, unit }) => (from_number(*number), *unit),
            SettingValue::Text(text) => (Value::Text(text.clone()), Unit::NONE),
        };
        let meaning = schema::path(path).map_or("", |kind| kind.meaning());
        let display = match &value {
            Value::Count(count) if unit == Unit::NONE => format::grouped(*count),
            Value::Text(text) => text.clone(),
            Value::Count(count) => {
                self.show(Number::Int(i128::try_from(*count).unwrap_or(i128::MAX)), unit, 6)
            }
            Value::Real(real) if is_share(path) => format::percent(*real),
            Value::Real(real) => self.show(Number::Real(*real), unit, 6),
        };
        self.index.insert(path.to_owned(), self.list.len());
        self.list.push(Quantity {
            path: path.to_owned(),
            meaning,
            value,
            unit,
            display,
            grade,
            derivation: Derivation::Attribute { place },
            source: String::new(),
            interval: None,
        });
    }

    /// A number is no surer than what it is computed from. Declared figures give exact counts and modelled estimates.
    fn grade(&self, inputs: &[String], exact: bool) -> Grade {
        let own = if exact { Grade::Exact } else { Grade::Modelled };
        let worst = inputs.iter().filter_map(|input| self.get(input)).map(|quantity| quantity.grade);
        worst.filter(|grade| *grade != Grade::Declared).fold(own, std::cmp::Ord::max)
    }

    fn push(&mut self, path: &str, value: Value, grade: Grade, derivation: Derivation, source: &str) {
        if !self.errors.is_empty() {
            return;
        }
        // An attribute that is left out may be computed too: `training.mfu`.
        let Some(schema) = schema::path(path) else { return };
        let unit = schema.unit().unwrap_or(Unit::NONE);
        let grade = if self.assumed.contains(path) { grade.max(Grade::Assumed) } else { grade };
        let digits = if grade == Grade::Assumed { 3 } else { 4 };
        let value = match value {
            Value::Real(real) => Value::Real(format::round(real, 12)),
            value => value,
        };
        let share = in_percent(path);
        let display = match &value {
            Value::Text(text) => text.clone(),
            Value::Real(real) if share => format::percent(*real),
            Value::Count(count) if share => format::percent(*count as f64),
            Value::Real(real) if below_cents(path, *real) => cents(*real),
            Value::Real(real) => self.show(Number::Real(*real), unit, digits),
            Value::Count(count) => self.show(Number::Real(*count as f64), unit, digits),
        };
        self.index.insert(path.to_owned(), self.list.len());
        self.list.push(Quantity {
            path: path.to_owned(),
            meaning: schema.meaning(),
            value,
            unit,
            display,
            grade,
            derivation,
            source: source.to_owned(),
            interval: None,
        });
    }

    /// `keep 0%`: a source that nothing is left of cannot be seen any number of times.
    fn divides_by_zero(&mut self, path: &str, formula: &str) {
        let below = formula.rsplit(" / ").next().unwrap_or(formula);
        let span = below.rsplit_once('.').and_then(|(block, _)| {
            let within = |setting: &&Setting| setting.path.starts_with(block) && matches!(setting.origin, Origin::Declared(_));
            let zero = |setting: &&Setting| matches!(&setting.value, SettingValue::Quantity(amount) if amount.number.real() == 0.0);
            let setting = self.plan.settings.iter().filter(within).find(zero)?;
            match setting.origin {
                Origin::Declared(span) => Some(span),
                Origin::Default(_) => None,
            }
        });
        self.errors.push(
            Diagnostic::error(
                Code::DivisionByZero,
                span.unwrap_or(self.plan.span),
                format!("`{path}` divides by zero"),
            )
            .label("nothing is left")
            .note(format!("it is `{formula}`, and `{below}` is 0")),
        );
    }

    /// A quantity that is beyond what counts can be.
    pub(crate) fn overflow(&mut self, path: &str) {
        if self.errors.is_empty() {
            let meaning = schema::path(path).map_or("", |kind| kind.meaning());
            self.errors.push(
                Diagnostic::error(
                    Code::Overflow,
                    self.plan.span,
                    format!("`{path}` does not fit in 128 bits"),
                )
                .label("of this plan")
                .note(format!("`{path}` is {meaning}; counts are exact integers of at most 38 digits")),
            );
        }
    }
}

/// The quantities and attributes of a report, as names of expressions.
pub(crate) struct Known<'q, 'a> {
    pub(crate) quantities: &'q Quantities<'a>,
}

impl Environment for Known<'_, '_> {
    fn name(&mut self, name: &str, span: Span) -> Result<Evaluated, Failure> {
        let quantity = |number: Number, unit: Unit| Evaluated::Quantity {
            number: Some(number),
            unit,
            firm: unit.noun.is_some(),
        };
        if let Some(found) = self.quantities.get(name) {
            return Ok(match &found.value {
                Value::Count(count) => {
                    let number = i128::try_from(*count).map_or(Number::Real(*count as f64), Number::Int);
                    quantity(number, found.unit)
                }
                Value::Real(real) => quantity(Number::Real(*real), found.unit),
                Value::Text(text) => Evaluated::Text(text.as_str().into()),
            });
        }
        match self.quantities.plan.setting(name).map(|setting| &setting.value) {
            Some(SettingValue::Quantity(amount)) => Ok(quantity(amount.number, amount.unit)),
            Some(SettingValue::Text(text)) => Ok(Evaluated::Text(text.as_str().into())),
            None => Err(crate::requirements::not_computable(self.quantities, name, span).into()),
        }
    }
}

/// A number as a plan would write it, in base units.
fn literal(value: &Value, unit: Unit) -> String {
    let number = match value {
        Value::Count(count) => format::literal(*count),
        Value::Real(real) => format!("{}", format::round(*real, 12)),
        Value::Text(text) => return text.clone(),
    };
    match unit {
        Unit { noun: Some(_), .. } | Unit::NONE => number,
        Unit::MONEY => format!("${number}"),
        Unit::MONEY_PER_TIME => format!("(${number} / s)"),
        unit => format!("{number} {}", unit.symbol()),
    }
}

fn from_number(number: Number) -> Value {
    match number {
        Number::Int(int) => u128::try_from(int).map_or(Value::Real(int as f64), Value::Count),
        Number::Real(real) => Value::Real(real),
    }
}

/// Attributes of a cluster whose defaults could well be otherwise.
const UNCERTAIN: [&str; 9] = [
    "hardware.mtbf",
    "hardware.restart",
    "hardware.storage_bandwidth",
    "hardware.checkpoints",
    "hardware.stragglers",
    "hardware.utilization",
    "hardware.host_power",
    "hardware.pue",
    "hardware.carbon",
];

/// Whether an attribute of a stage of alignment has a default that could well be otherwise.
fn uncertain_stage(path: &str) -> bool {
    let leaves = [".mfu", ".samples", ".prompt_tokens", ".batch", ".workers", ".core_price", ".judge_tokens"];
    path.starts_with("alignment.") && leaves.iter().any(|leaf| path.ends_with(leaf))
}

/// Whether a quantity is shown in percent.
pub(crate) fn in_percent(path: &str) -> bool {
    declared_share(path) || schema::derived(path).is_some_and(|derived| derived.percent)
}

/// Whether dollars are shown in fractions of a cent: a million tokens of a small model cost little.
fn below_cents(path: &str, dollars: f64) -> bool {
    path.starts_with("inference.cost_per_million") && dollars < 1.0
}

fn cents(dollars: f64) -> String {
    format!("${}", format::plain(dollars, 3))
}

fn is_share(path: &str) -> bool {
    declared_share(path) || (path.starts_with("data.") && schema::declared(path).is_none())
}

fn declared_share(path: &str) -> bool {
    schema::declared(path)
        .is_some_and(|attribute| matches!(attribute.ty, schema::Type::Share { .. } | schema::Type::Keep))
}
