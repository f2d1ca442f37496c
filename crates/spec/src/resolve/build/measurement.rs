//! The measurement that the hardware cites.

use super::{Builder, Typed};
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::{Hardware, MeasuredClass, Measurement, Origin, Precision, Training};
use crate::schema;

/// What stands before the attributes of a measurement.
const PREFIX: &str = "hardware.measured";

impl Builder<'_> {
    /// The measurement, `Some(None)` where none is cited; `None` where it is not whole, which is then among what was
    /// found.
    pub(super) fn measurement(&mut self) -> Option<Option<Measurement>> {
        let Some(cited) = self.values.place(PREFIX) else { return Some(None) };
        if let Some(schema) = schema::block("measurement") {
            self.visit(schema, PREFIX.to_owned());
        }
        let draft = self.values.draft;
        let mut classes = Vec::new();
        for name in &draft.classes {
            let prefix = format!("{PREFIX}.class.{name}");
            classes.push(MeasuredClass {
                name: name.clone(),
                rate: self.amount(&format!("{prefix}.rate"))?,
                share: self.share(&format!("{prefix}.share"))?,
            });
        }
        Some(Some(Measurement {
            file: self.text(PREFIX)?,
            cited,
            device: self.text("hardware.measured.device")?,
            precision: Precision::of(&self.word("hardware.measured.precision")?)?,
            taken: self.date("hardware.measured.taken")?,
            model: self.text("hardware.measured.model")?,
            tokens: self.count("hardware.measured.tokens")?,
            matmul_peak: self.amount("hardware.measured.matmul_peak")?,
            achieved: self.amount("hardware.measured.achieved")?,
            classes,
            memory_overhead: self.share("hardware.measured.memory_overhead"),
            peak_ratio: match self.get("hardware.measured.peak_ratio") {
                Some(Typed::Factor(ratio)) => Some(ratio),
                _ => None,
            },
        }))
    }

    /// What was measured in one data type says nothing about another.
    pub(super) fn same_precision(&mut self, hardware: &Hardware, training: &Training) {
        let Some(measured) = &hardware.measured else { return };
        if measured.precision == training.precision {
            return;
        }
        let (own, other) = (training.precision.word(), measured.precision.word());
        let place = |path: &str| {
            let setting = self.values.settings.iter().find(|setting| setting.path == path)?;
            match setting.origin {
                Origin::Declared(span) => Some(span),
                Origin::Default(_) => None,
            }
        };
        let title = format!("the plan trains in {own}, and what it cites was measured in {other}");
        let declared = place("training.precision");
        let mut diagnostic =
            Diagnostic::error(Code::MeasurementMismatch, declared.unwrap_or(measured.cited), title);
        diagnostic = match declared {
            Some(_) => diagnostic.label(format!("{own} here")).also(measured.cited, "cited here"),
            None => diagnostic
                .label("cited here")
                .note(format!("`training.precision` is left out: {own} by default")),
        };
        if let Some(span) = place("hardware.measured.precision") {
            diagnostic = diagnostic.also(span, format!("{other} here"));
        }
        self.values.found.push(
            diagnostic
                .help(format!("cite a measurement in {own}, or train in {other}: `precision = {other}`")),
        );
    }

    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        match self.get(path) {
            Some(Typed::Text(text)) => Some(text),
            _ => None,
        }
    }
}
