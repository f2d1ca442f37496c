//! The stable names of everything the tool says about a plan, each with a page: `llmplan explain CODE`.

use std::fmt::{self, Write as _};

macro_rules! codes {
    ($($variant:ident $name:literal $summary:literal)*) => {
        /// The stable name of a diagnostic. A name never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $summary] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the reference.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// Its name, as shown in messages: `unknown-unit`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$variant => $name,)*
                }
            }

            /// What it says, in a line; lower case, no full stop.
            pub fn summary(self) -> &'static str {
                match self {
                    $(Code::$variant => $summary,)*
                }
            }

            /// Its page, in Markdown: what it means, an example that triggers it, how to mend it.
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Code::$variant => include_str!(concat!("codes/", $name, ".md")),)*
                }
            }
        }
    };
}

codes! {
    Syntax "syntax" "the text is not a statement of the language"
    MissingEquals "missing-equals" "an attribute has no `=`"
    Colon "colon" "`:` stands where `=` belongs"
    QuotedName "quoted-name" "the name of a block is in quotes"
    TwoStatements "two-statements" "two statements stand on one line"
    UnclosedBlock "unclosed-block" "a block has no `}`"
    StrayBrace "stray-brace" "a `}` closes nothing"
    UnclosedBracket "unclosed-bracket" "a `(` or `[` is not closed"
    UnclosedString "unclosed-string" "a text has no closing quote"
    InvalidString "invalid-string" "a text has an escape that means nothing"
    InvalidNumber "invalid-number" "a number is not written as the language writes numbers"
    InvalidDate "invalid-date" "a date is not one of the calendar"
    InvalidRange "invalid-range" "a range is empty, endless or too long"
    UnknownUnit "unknown-unit" "there is no such unit"
    UnitMismatch "unit-mismatch" "two quantities measure different things"
    MissingUnit "missing-unit" "a bare number stands where a unit is needed"
    TypeMismatch "type-mismatch" "a value is of the wrong kind"
    WrongArguments "wrong-arguments" "a function has too few or too many values"
    UnknownFunction "unknown-function" "there is no such function"
    UnknownName "unknown-name" "a name stands for nothing here"
    UnknownBlock "unknown-block" "there is no such block"
    UnknownAttribute "unknown-attribute" "a block has no such attribute"
    MisplacedStatement "misplaced-statement" "a statement stands where it cannot"
    DuplicateAttribute "duplicate-attribute" "an attribute is set twice"
    DuplicateBlock "duplicate-block" "a block is declared twice"
    MissingName "missing-name" "a block needs a name"
    UnexpectedName "unexpected-name" "a block has a name where it takes none"
    MissingAttribute "missing-attribute" "a block lacks an attribute that has no default"
    InvalidValue "invalid-value" "a word is none of those the attribute takes"
    OutOfRange "out-of-range" "a number is outside the range of its attribute"
    NotWhole "not-whole" "a count is not a whole number"
    Overflow "overflow" "a number is too large"
    DivisionByZero "division-by-zero" "something is divided by zero"
    Undefined "undefined" "a result is no real number"
    Cycle "cycle" "something depends on itself"
    ReservedName "reserved-name" "a name already means something else"
    ImportNotFound "import-not-found" "an imported file is not there"
    ImportOutsideRoot "import-outside-root" "an import leaves the project"
    ImportCycle "import-cycle" "files import one another"
    ImportFailed "import-failed" "an imported file cannot be read"
    NotAMeasurement "not-a-measurement" "a cited file has no measurement, or several"
    MeasurementMismatch "measurement-mismatch" "a measurement is of another data type than the plan's"
    AchievedAbovePeak "achieved-above-peak" "a measurement has more FLOP/s than the device's peak"
    TooManyImports "too-many-imports" "a plan imports too many files"
    AmbiguousPlan "ambiguous-plan" "a file has several blocks of a kind and no `plan`"
    NoModel "no-model" "there is nothing to plan"
    EmptyFile "empty-file" "the file has no statement"
    InconsistentShape "inconsistent-shape" "the parts of a model do not fit together"
    RepeatedData "repeated-data" "data is seen so often that little is left to learn from it"
    Extrapolated "extrapolated" "a scaling law is applied far beyond what it was fitted to"
    SourceRunsOut "source-runs-out" "a source of data does not last for the run"
    DuplicatesRemain "duplicates-remain" "a source counts duplicates as distinct"
    UnusualRecipe "unusual-recipe" "a learning rate or a batch is far from what laws recommend"
    WeightsDoNotSum "weights-do-not-sum" "the weights of the sources do not sum to 100%"
    DerivedInAttribute "derived-in-attribute" "an attribute refers to a computed quantity"
    NotComputable "not-computable" "a quantity cannot be computed for this plan"
    NoPeak "no-peak" "the device has no peak in this data type"
    DegreesDoNotMultiply "degrees-do-not-multiply" "the devices do not fit the degrees of parallelism"
    BatchNotDivisible "batch-not-divisible" "a batch does not split evenly"
    DegreeNotDividing "degree-not-dividing" "a degree of parallelism does not divide what it must"
    DoesNotFit "does-not-fit" "the peak of memory is more than a device has"
    BudgetTooSmall "budget-too-small" "nothing fits what there is to spend"
    DataShort "data-short" "there are fewer tokens than the budget is best spent on"
    PoorStrategy "poor-strategy" "a way to divide the training costs more than it needs to"
    TooManyVariants "too-many-variants" "the lists of a plan have too many combinations"
    ListNotAllowed "list-not-allowed" "a list stands where one value is needed"
    InvalidOverride "invalid-override" "a path that is set is no attribute of the plan"
    FileTooLarge "file-too-large" "the file is larger than any plan"
    NestingTooDeep "nesting-too-deep" "brackets are nested too deep"
    NotText "not-text" "the file is not a text"
    RequirementFailed "requirement-failed" "a `require` does not hold"
    PreferenceNotMet "preference-not-met" "a `prefer` does not hold"
}

impl Code {
    /// The code of a name.
    pub fn parse(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

/// All pages as one, in Markdown: `docs/errors.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Messages\n\nEvery message has a code. This page has a section on each; `llmplan explain CODE` prints the same.\n",
    );
    for code in Code::ALL {
        let _ = write!(text, "\n## `{code}`: {}\n\n{}", code.summary(), code.explanation());
    }
    text
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UnknownUnit` → `unknown-unit`
    fn kebab(variant: &str) -> String {
        let mut name = String::new();
        for letter in variant.chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    #[test]
    fn a_name_is_its_variant_and_leads_back_to_it() {
        for code in Code::ALL {
            assert_eq!(code.as_str(), kebab(&format!("{code:?}")));
            assert_eq!(Code::parse(code.as_str()), Some(*code));
        }
        assert_eq!(Code::parse("nothing"), None);
    }

    #[test]
    fn every_code_has_a_line_and_a_page() {
        for code in Code::ALL {
            let summary = code.summary();
            assert!(!summary.ends_with('.') && summary.len() <= 100, "{code}: {summary}");
            let lines = code.explanation().lines().count();
            assert!((3..=40).contains(&lines), "{code} has {lines} lines");
            assert!(code.explanation().ends_with('\n'), "{code}");
        }
    }
}
