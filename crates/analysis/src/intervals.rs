//! Intervals: what a quantity would be if the figures that it rests on were at the ends of their own.

use std::collections::{BTreeMap, BTreeSet};

use llmplan_spec::expr::{self, Environment, Expr, Failure, Value as Evaluated};
use llmplan_spec::source::Span;
use llmplan_spec::units::{Number, format};

use crate::quantities::{Known, Quantities};

/// What could be otherwise, and what rests on it.
#[derive(Default)]
pub(crate) struct Intervals {
    /// The ends of those figures that have an interval of their own.
    ends: BTreeMap<String, (f64, f64)>,
    /// By path, the figures of `ends` that a quantity rests on.
    sources: BTreeMap<String, BTreeSet<String>>,
    /// By path, the formula of a quantity that rests on any.
    formulas: BTreeMap<String, Expr>,
}

impl Quantities<'_> {
    /// States that a quantity of the report lies between `low` and `high`, in base units. Every quantity that is derived
    /// from it afterwards has an interval too.
    pub(crate) fn interval(&mut self, path: &str, low: f64, high: f64) {
        let Some(value) = self.number(path) else { return };
        let ends = (low.min(value), high.max(value));
        self.set_interval(path, ends);
        self.intervals.ends.insert(path.to_owned(), ends);
        self.intervals.sources.insert(path.to_owned(), BTreeSet::from([path.to_owned()]));
        self.intervals.formulas.remove(path);
    }

    /// The interval of a quantity that has just been derived, from those of the figures that it rests on.
    ///
    /// Each of these figures is put to both of its ends, one at a time, through all formulas between it and the quantity:
    /// a figure that is read twice moves in both places. That gives the direction in which it moves the quantity; then
    /// all of them are put to the ends that lower it, and to those that raise it. This is exact where the quantity is
    /// monotone in each figure and the direction does not depend on the others, as it is for products, ratios and sums of
    /// positive figures. The interval always contains the value.
    pub(crate) fn spread(&mut self, path: &str, formula: &Expr) {
        let sources: BTreeSet<String> = formula
            .names()
            .filter_map(|(name, _)| self.intervals.sources.get(name))
            .flatten()
            .cloned()
            .collect();
        let Some(value) = self.number(path).filter(|_| !sources.is_empty()) else { return };
        let Some((low, high)) = self.ends(formula, &sources, value) else { return };
        let (low, high) = (format::round(low, 12).min(value), format::round(high, 12).max(value));
        // What cancels leaves the noise of the last digits.
        if high - low > 1e-9 * high.abs().max(low.abs()) {
            self.set_interval(path, (low, high));
        }
        self.intervals.sources.insert(path.to_owned(), sources);
        self.intervals.formulas.insert(path.to_owned(), formula.clone());
    }

    /// Least and most of a formula; `None` where it has no value at an end.
    fn ends(&self, formula: &Expr, sources: &BTreeSet<String>, value: f64) -> Option<(f64, f64)> {
        let (mut least, mut most) = (BTreeMap::new(), BTreeMap::new());
        let mut found = vec![value];
        for source in sources {
            let (from, to) = *self.intervals.ends.get(source)?;
            let at_from = self.at(formula, &BTreeMap::from([(source.as_str(), from)]))?;
            let at_to = self.at(formula, &BTreeMap::from([(source.as_str(), to)]))?;
            let (down, up) = if at_from <= at_to { (from, to) } else { (to, from) };
            least.insert(source.as_str(), down);
            most.insert(source.as_str(), up);
            found.extend([at_from, at_to]);
        }
        // With one figure both have been there.
        if sources.len() > 1 {
            found.extend([self.at(formula, &least)?, self.at(formula, &most)?]);
        }
        let low = found.iter().copied().fold(f64::INFINITY, f64::min);
        let high = found.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (low.is_finite() && high.is_finite()).then_some((low, high))
    }

    /// A formula's value where some figures are as given.
    fn at(&self, formula: &Expr, given: &BTreeMap<&str, f64>) -> Option<f64> {
        let mut moved = Moved { quantities: self, given, known: BTreeMap::new() };
        match expr::evaluate(formula, &mut moved) {
            Ok(Evaluated::Quantity { number: Some(number), .. }) => Some(number.real()),
            _ => None,
        }
    }
}

/// The names of a formula where some figures are not as the report has them.
struct Moved<'q, 'a> {
    quantities: &'q Quantities<'a>,
    given: &'q BTreeMap<&'q str, f64>,
    /// Quantities that were evaluated already.
    known: BTreeMap<String, f64>,
}

impl Environment for Moved<'_, '_> {
    fn name(&mut self, name: &str, span: Span) -> Result<Evaluated, Failure> {
        let q = self.quantities;
        let given = self.given.get(name).or_else(|| self.known.get(name)).copied();
        let real = match (given, q.intervals.formulas.get(name), q.intervals.sources.get(name)) {
            (Some(real), _, _) => real,
            (None, Some(formula), Some(sources))
                if sources.iter().any(|source| self.given.contains_key(source.as_str())) =>
            {
                let Evaluated::Quantity { number: Some(number), .. } = expr::evaluate(formula, self)? else {
                    return Err(Failure(None));
                };
                self.known.insert(name.to_owned(), number.real());
                number.real()
            }
            _ => return Known { quantities: q }.name(name, span),
        };
        let unit = q.get(name).map(|quantity| quantity.unit).unwrap_or_default();
        Ok(Evaluated::Quantity { number: Some(Number::Real(real)), unit, firm: unit.noun.is_some() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

    use llmplan_spec::loader::{LoadError, Loader};
    use llmplan_spec::resolve::{Request, resolve};
    use llmplan_spec::source::{Source, SourceKind, Sources};

    use super::*;

    const PLAN: &str = "model m {\n layers = 2\n d_model = 64\n vocab = 1000\n attention {\n heads = 4\n }\n}\n\
                        hardware {\n device = a100-80gb\n devices = 8\n mtbf = 100 h\n restart = 1 h\n}\n\
                        training {\n}\n";

    /// A chain of formulas is moved as a whole: what is read twice cancels where it should.
    #[test]
    fn ends_go_through_all_formulas() {
        with(|q| {
            for path in ["hardware.mtbf", "hardware.restart", "hardware.devices"] {
                q.leaf(path);
            }
            q.interval("hardware.mtbf", 180_000.0, 720_000.0);
            q.interval("hardware.restart", 1_800.0, 4_500.0);
            let mut derive = |path: &str, formula: &str| {
                q.derive(path, formula, "a test");
                let quantity = q.get(path).unwrap();
                (quantity.interval, quantity.value.number().unwrap())
            };
            let (interval, value) = derive("training.cluster_mtbf", "hardware.mtbf / hardware.devices");
            assert_eq!((interval, value), (Some((22_500.0, 90_000.0)), 45_000.0));
            // Down in one, up in the other.
            let (interval, _) = derive("training.lost.restarts", "hardware.restart / training.cluster_mtbf");
            assert_eq!(interval, Some((0.02, 0.2)));
            let (interval, _) =
                derive("training.failures", "training.cluster_mtbf * hardware.devices / hardware.mtbf");
            assert_eq!(interval, None);
            let (interval, _) = derive("training.lost.rework", "1 - training.lost.restarts");
            assert_eq!(interval, Some((0.8, 0.98)));
            // Nothing that could be otherwise, no interval.
            let (interval, _) = derive("training.goodput", "1 / hardware.devices");
            assert_eq!(interval, None);
        });
    }

    /// A figure of the report is given an interval after the fact; its own sources no longer move what follows.
    #[test]
    fn an_interval_replaces_what_it_would_follow_from() {
        with(|q| {
            q.leaf("hardware.mtbf");
            q.interval("hardware.mtbf", 180_000.0, 720_000.0);
            q.derive("training.cluster_mtbf", "hardware.mtbf / hardware.devices", "a test");
            q.interval("training.cluster_mtbf", 44_000.0, 46_000.0);
            q.derive("training.checkpoint_interval", "2 * training.cluster_mtbf", "a test");
            let quantity = q.get("training.checkpoint_interval").unwrap();
            assert_eq!(quantity.interval, Some((88_000.0, 92_000.0)));
        });
    }

    fn with(test: impl FnOnce(&mut Quantities<'_>)) {
        let mut sources = Sources::default();
        let (name, text) = ("plan.llm".to_owned(), PLAN.to_owned());
        let file = sources.add(Source { name, text, kind: SourceKind::File });
        let request = Request {
            sources: &mut sources,
            file,
            path: "plan.llm",
            loader: &Nothing,
            params: &crate::count,
            set: &[],
        };
        let resolution = resolve(request);
        assert!(resolution.diagnostics.is_empty(), "{:#?}", resolution.diagnostics);
        test(&mut Quantities::new(&resolution.plans[0], &sources));
    }

    struct Nothing;

    impl Loader for Nothing {
        fn load(&self, _: &str) -> Result<String, LoadError> {
            Err(LoadError::NotFound)
        }

        fn root(&self) -> String {
            "nowhere".to_owned()
        }
    }
}
