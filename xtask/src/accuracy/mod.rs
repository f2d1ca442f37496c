//! `cargo xtask accuracy`: published rows, each written as a plan, and what the plan's report says beside what was
//! measured.
//!
//! What a row states is taken from its fields. What it leaves open is what its framework did ([`origin`]), never a choice
//! for one row: the same rules serve rows that nobody has looked at.

mod csv;
mod device;
mod evaluate;
mod known;
mod measure;
mod model;
mod origin;
mod plan;
mod record;
mod report;
mod rows;
mod shapes;
mod steps;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use llmplan_spec::format::format as canonical;
use llmplan_spec::plan::Plan;
use llmplan_spec::source::{FileId, Sources};

use crate::Failure;
use evaluate::Resolved;
pub(crate) use evaluate::resolved;
use measure::Measured;
use rows::Row;

/// Prints how far reports are from the rows of a folder; with `keep`, writes each plan below that folder, and a table of all
/// that was compared.
///
/// # Errors
/// What keeps a file from being read or written.
pub(crate) fn run(data: &Path, keep: Option<&Path>) -> Result<(), Failure> {
    let found = cases(data).map_err(Failure::Trouble)?;
    if let Some(folder) = keep {
        for case in &found.cases {
            write(folder, case).map_err(Failure::Trouble)?;
        }
        let path = folder.join("rows.csv");
        fs::write(&path, csv::text(&found.cases))
            .map_err(|error| Failure::Trouble(format!("{}: {error}", path.display())))?;
    }
    let compared = report::compared(&found);
    print!("{}", report::text(&found, &compared));
    Ok(())
}

/// A row as a plan, with what was measured.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The group that it is reported in.
    pub(crate) group: String,
    /// The row's name.
    pub(crate) id: String,
    /// Where the row is from.
    pub(crate) source: String,
    /// The plan as text, canonical.
    pub(crate) text: String,
    /// The plan.
    pub(crate) plan: Plan,
    /// The texts that it was read from.
    pub(crate) sources: Sources,
    /// What was measured.
    pub(crate) measured: Measured,
    /// What the language has to say about the plan: nothing, where the plan is written as it should be.
    pub(crate) warnings: Vec<String>,
}

impl Case {
    /// The generation of the device, whose constants the predicted time rests on.
    pub(crate) fn generation(&self) -> &str {
        self.plan.hardware.as_ref().map_or("", |hardware| hardware.device.generation.name.as_str())
    }

    /// Seconds of a step, where they were measured.
    pub(crate) fn measured_seconds(&self) -> Option<f64> {
        match self.measured {
            Measured::Step(seconds) => Some(seconds),
            _ => None,
        }
    }

    /// What the plan's report says of the measured figure, in its unit; `None` where it says nothing.
    pub(crate) fn predicted(&self) -> Option<f64> {
        let report = evaluate::report(&self.plan, &self.sources).ok()?;
        evaluate::predicted(&self.plan, &report, &self.measured)
    }
}

/// A row that is no case, and why.
#[derive(Clone, Debug)]
pub(crate) struct Missed {
    /// The group that it is reported in.
    pub(crate) group: String,
    /// The row's name.
    pub(crate) id: String,
    /// Whether it is of memory, not of time.
    pub(crate) memory: bool,
    /// Why.
    pub(crate) why: String,
}

/// All rows of a folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cases {
    /// Those that are expressed.
    pub(crate) cases: Vec<Case>,
    /// Those that are not.
    pub(crate) missed: Vec<Missed>,
    /// How many are not to be scored by their own words.
    pub(crate) excluded: usize,
}

/// The rows of a folder as cases: time from `runs.json`, memory from `memory_measured.json`.
///
/// # Errors
/// What keeps a file from being read.
pub(crate) fn cases(data: &Path) -> Result<Cases, String> {
    let records = rows::read(data, "models.json")?;
    let runs = rows::read(data, "runs.json")?;
    let memory = rows::read(data, "memory_measured.json")?;
    if runs.is_empty() && memory.is_empty() {
        return Err(format!("{}: neither runs.json nor memory_measured.json has rows", data.display()));
    }
    let mut found = Cases::default();
    let all = runs.iter().map(|row| (row, false)).chain(memory.iter().map(|row| (row, true)));
    for (row, memory) in all {
        if row.excluded() {
            found.excluded += 1;
            continue;
        }
        match case(row, &records, memory) {
            Ok(case) => found.cases.push(case),
            Err(why) => found.missed.push(Missed { group: row.group(), id: row.id(), memory, why }),
        }
    }
    Ok(found)
}

/// One row as a case.
///
/// # Errors
/// Why it is none.
fn case(row: &Row, records: &[Row], memory: bool) -> Result<Case, String> {
    let row = &known::completed(row);
    // What was measured of memory needs no plan, and says sooner why there is nothing to compare.
    let of_memory = if memory { Some(measure::memory(row)?) } else { None };
    let (text, Resolved { plan, sources, warnings }) = chosen(&plan::candidates(row, records)?)?;
    let measured = match of_memory {
        Some(measured) => measured,
        None => measure::time(row, &evaluate::facts(&plan))?,
    };
    let source = row.text("source").unwrap_or("no source is named").to_owned();
    Ok(Case { group: row.group(), id: row.id(), source, text, plan, sources, measured, warnings })
}

/// The first plan that fits, of each the first way that runs; else the last that runs.
///
/// # Errors
/// What is wrong with the first, where none runs.
fn chosen(plans: &[Vec<String>]) -> Result<(String, Resolved), String> {
    let (mut best, mut trouble) = (None, None);
    for ways in plans {
        for text in ways {
            let text = canonical(text, FileId(0)).text;
            match runs(&text) {
                Ok((resolved, true)) => return Ok((text, resolved)),
                Ok((resolved, false)) => {
                    best = Some((text, resolved));
                    break;
                }
                Err(why) => trouble = trouble.or(Some(why)),
            }
        }
    }
    best.ok_or_else(|| trouble.unwrap_or_else(|| "the row leaves no plan".to_owned()))
}

/// A text's plan, and whether it fits its devices, as far as that is known.
///
/// # Errors
/// Why it cannot run.
fn runs(text: &str) -> Result<(Resolved, bool), String> {
    let resolved = evaluate::resolved(text)?;
    let report = evaluate::report(&resolved.plan, &resolved.sources)?;
    let fits = evaluate::fits(&resolved.plan, &report) != Some(false);
    Ok((resolved, fits))
}

/// Writes a case as `FOLDER/GROUP/ID.llm`.
fn write(folder: &Path, case: &Case) -> Result<(), String> {
    let safe = |name: &str| -> String {
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
    };
    let folder = folder.join(safe(&case.group));
    let path = folder.join(format!("{}.llm", safe(&case.id)));
    let source = case.source.replace(['\n', '\r'], " ");
    let text = format!("# Measured: {}. {source}\n{}", report::figure(&case.measured), case.text);
    let trouble = |error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(&folder).map_err(trouble)?;
    fs::write(&path, text).map_err(trouble)
}
