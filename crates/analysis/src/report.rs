//! The report as data: what every renderer shows and none computes.

use llmplan_spec::plan::Comparison;
use llmplan_spec::source::Span;
use llmplan_spec::units::Unit;

/// What is known about one plan.
#[derive(Clone, Debug)]
pub struct Report {
    /// The plan's name.
    pub plan: String,
    /// The file it stands in, as the user named it.
    pub file: String,
    /// Every number, in the order of the report.
    pub quantities: Vec<Quantity>,
    /// Tables, in reading order.
    pub sections: Vec<Section>,
    /// The ten or so numbers of `--brief`, as paths, in order.
    pub headline: Vec<String>,
    /// `require` and `prefer`, judged.
    pub requirements: Vec<Judgement>,
    /// Defaults that a number of the report rests on.
    pub assumptions: Vec<Assumption>,
    /// What the words mean here: "a multiply-add is 2 FLOP", …
    pub conventions: Vec<String>,
    /// Why no step is modelled although the plan declares a strategy, in sentences.
    pub unmodelled: Vec<String>,
}

impl Report {
    /// A quantity by its path.
    pub fn get(&self, path: &str) -> Option<&Quantity> {
        self.quantities.iter().find(|quantity| quantity.path == path)
    }

    /// Whether no `require` is broken.
    pub fn holds(&self) -> bool {
        self.requirements.iter().all(|judgement| judgement.holds || !judgement.strict)
    }
}

/// One number, or one text, with everything needed to check it by hand.
#[derive(Clone, Debug)]
pub struct Quantity {
    /// Its name everywhere: `memory.optimizer`.
    pub path: String,
    /// What it is, in a line: the schema's words.
    pub meaning: &'static str,
    /// Its value in SI base units.
    pub value: Value,
    /// The unit of the value.
    pub unit: Unit,
    /// The value as the text report prints it: `22.5 GB`.
    pub display: String,
    /// How far it can be trusted.
    pub grade: Grade,
    /// How it is computed.
    pub derivation: Derivation,
    /// Paper, section, equation.
    pub source: String,
    /// An interval around the value, where one is known.
    pub interval: Option<(f64, f64)>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An exact count.
    Count(u128),
    /// An estimate, rounded to 12 significant digits.
    Real(f64),
    /// A text.
    Text(String),
}

impl Value {
    /// The value as a float; `None` for a text.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Count(count) => Some(*count as f64),
            Value::Real(real) => Some(*real),
            Value::Text(_) => None,
        }
    }
}

/// How far a number can be trusted. A number that others are computed from passes the later of its grade and its own on,
/// all but [`Grade::Declared`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Counted.
    Exact,
    /// A formula over declared figures.
    Modelled,
    /// From a validation or an imported run.
    Measured,
    /// A fitted law, with an interval.
    Fitted,
    /// Rests on a default.
    Assumed,
    /// Written in the plan.
    Declared,
}

impl Grade {
    /// The word used in every format.
    pub fn word(self) -> &'static str {
        match self {
            Grade::Exact => "exact",
            Grade::Modelled => "modelled",
            Grade::Fitted => "fitted",
            Grade::Assumed => "assumed",
            Grade::Measured => "measured",
            Grade::Declared => "declared",
        }
    }
}

/// How a number comes about.
#[derive(Clone, Debug, PartialEq)]
pub enum Derivation {
    /// An attribute: `place` is `file:line`, or says that it is a default and why.
    Attribute {
        /// Where the value stands.
        place: String,
    },
    /// A closed form over other paths, in the language's expression syntax.
    Formula {
        /// `model.layers * 12 * model.d_model^2`
        text: String,
        /// The same in the field's symbols: `12·L·d²`.
        symbols: String,
        /// The same with the numbers put in: `96 * 12 * 12_288^2`.
        substituted: String,
        /// The paths it reads, in order of first use.
        inputs: Vec<String>,
    },
    /// A documented procedure where there is no closed form.
    Procedure {
        /// What is done, in a line.
        name: String,
        /// The paths it reads.
        inputs: Vec<String>,
    },
}

/// A table of the report.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its title.
    pub title: String,
    /// The headings of its columns: the first is the label's, the rest are right-aligned values but for the last
    /// `prose_columns`, which are left-aligned.
    pub columns: Vec<String>,
    /// How many columns at the end hold words.
    pub prose_columns: usize,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Sentences below it.
    pub notes: Vec<String>,
}

/// A row of a table; every cell is ready to print.
#[derive(Clone, Debug)]
pub struct Row {
    /// The quantity the row is about, where there is one.
    pub path: Option<String>,
    /// One text per column.
    pub cells: Vec<String>,
    /// Whether it is a total: renderers set it apart.
    pub total: bool,
    /// Levels of indentation of its label.
    pub indent: u8,
}

/// A requirement, judged.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The condition as written.
    pub condition: String,
    /// `require`: a broken one fails the plan. Otherwise `prefer`.
    pub strict: bool,
    /// Whether it holds.
    pub holds: bool,
    /// The left side, as printed.
    pub value: String,
    /// The left side in SI base units, where it is a number.
    pub value_number: Option<f64>,
    /// The right side, as printed.
    pub limit: String,
    /// The right side in SI base units, where it is a number.
    pub limit_number: Option<f64>,
    /// How the two were compared.
    pub comparison: Comparison,
    /// For a broken one: by how much, as printed (`over by $7k, 5.6 %`).
    pub excess: Option<String>,
    /// The plan's words on why it is there.
    pub reason: Option<String>,
    /// For a broken one: what the value is made of, largest first, at most three lines.
    pub contributors: Vec<String>,
    /// Where it stands.
    pub span: Span,
}

/// A default that a number rests on.
#[derive(Clone, Debug)]
pub struct Assumption {
    /// The attribute's path.
    pub path: String,
    /// Its value, as printed.
    pub value: String,
    /// What the default rests on.
    pub why: String,
}
