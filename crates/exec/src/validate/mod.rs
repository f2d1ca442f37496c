//! The proof of a plan: what is run of it, what was predicted of that, and what was measured.

mod choose;
mod compare;
mod fit;
mod ladder;
mod measurement;
mod row;
mod slices;

pub use choose::{Choice, Extent, Limits, Planned, Refused, choose, needed};
pub use compare::{PEAKS, by_convention, compare};
pub use fit::{Fit, fit};
pub use ladder::{ladder, scaled};
pub use measurement::measurement;
pub use row::{Amount, Measure, Row, Tolerance};
pub use slices::{Slice, Sort, slices, sorts, together};

use std::collections::BTreeMap;
use std::time::Duration;

use candle_core::{DType, Device};
use llmplan_spec::plan::{Plan, Precision};
use serde::Serialize;

use crate::device::describe;
use crate::meter::peak::matmul_peak;
use crate::trial::{Trial, data_type, trial};

/// What a validation found.
#[derive(Clone, Debug, Serialize)]
pub struct Validation {
    /// The plan's name.
    pub plan: String,
    /// The machine, in words.
    pub device: String,
    /// The data type of weights and activations.
    pub precision: &'static str,
    /// How much of the plan ran.
    pub extent: Extent,
    /// Why that, in a sentence.
    pub why: String,
    /// FLOP/s of the best matrix product of the same run.
    pub matmul_peak: f64,
    /// What ran.
    pub runs: Vec<Ran>,
    /// What slices add up to, and the law of the times of proxies.
    pub whole: Vec<Row>,
    /// The law of the times, of proxies.
    pub fit: Option<Fit>,
}

/// A run and its rows.
#[derive(Clone, Debug, Serialize)]
pub struct Ran {
    /// What it is.
    pub label: String,
    /// Tokens of one step.
    pub tokens: u64,
    /// Tokens of one sequence.
    pub sequence: u64,
    /// Predicted and measured.
    pub rows: Vec<Row>,
    /// Seconds of a step.
    pub seconds: f64,
    /// Model FLOPs of a step over its seconds: what ran again is not counted.
    pub achieved: f64,
    /// Where the seconds went: components by what their products took, and at which rate.
    pub classes: BTreeMap<String, ClassRate>,
}

/// Matrix products of one sort.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ClassRate {
    /// FLOP/s.
    pub rate: f64,
    /// Share of the steps' seconds.
    pub share: f64,
}

impl Ran {
    /// The rows, of saved activations the `most` largest and those that are out; the others are one row that adds them up.
    pub fn digest(&self, most: usize) -> Vec<Row> {
        let saved = |row: &Row| row.quantity.starts_with("activations.");
        let mut largest: Vec<usize> =
            (0..self.rows.len()).filter(|at| saved(&self.rows[*at]) && self.rows[*at].holds).collect();
        largest.sort_by(|one, other| {
            self.rows[*other].measured.real().total_cmp(&self.rows[*one].measured.real())
        });
        let rest = largest.split_off(largest.len().min(most));
        let last = self.rows.iter().rposition(saved);
        let mut digest = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            if !rest.contains(&at) {
                digest.push(row.clone());
            }
            if Some(at) == last && !rest.is_empty() {
                digest.push(Row::together(
                    format!("activations: {} more", rest.len()),
                    rest.iter().map(|at| &self.rows[*at]),
                ));
            }
        }
        digest
    }
}

impl Validation {
    /// Whether every row holds.
    pub fn holds(&self) -> bool {
        self.rows().all(|row| row.holds)
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.runs.iter().flat_map(|run| &run.rows).chain(&self.whole)
    }
}

/// Runs what fits of a plan, and compares. `progress` hears what begins.
///
/// # Errors
/// Limits that nothing of it fits in, and a device that fails.
pub fn validate(
    plan: &Plan,
    device: &Device,
    limits: &Limits,
    progress: &mut dyn FnMut(&str),
) -> Result<Validation, Refused> {
    let refused = |error: &dyn std::fmt::Display| Refused(error.to_string());
    let choice = choose(plan, limits)?;
    let precision = choice.runs.first().map_or(Precision::Fp32, |run| run.setup.precision);
    progress("the rate of matrix products");
    let peak = match precision {
        Precision::Fp32 => limits.rate,
        _ => best_product(device, data_type(precision), limits.seconds)?,
    };
    let (mut runs, mut trials) = (Vec::new(), Vec::new());
    for run in &choice.runs {
        let label = run.label.clone();
        let done = trial(&run.graph, &run.setup, device, &mut |what| progress(&format!("{label}: {what}")))
            .map_err(|error| refused(&error))?;
        let model_flops = (done.flops.forward + done.flops.backward) as f64;
        let mut rows = compare(run, &done);
        rows.extend(by_convention(run, &done, plan.convention.attention));
        let times = done.times;
        for (name, seconds) in [
            ("seconds.forward", times.forward),
            ("seconds.backward", times.backward),
            ("seconds.optimizer", times.optimizer),
            ("seconds.step", times.step),
        ] {
            rows.push(Row::told(name, seconds, Measure::Seconds));
        }
        let achieved = model_flops / times.step.max(1e-9);
        rows.push(Row::told("flops_per_second", achieved, Measure::FlopPerSecond));
        rows.push(Row::told("mfu", achieved / peak, Measure::Ratio));
        let all = times.step * run.setup.steps as f64;
        let classes = done.classes.iter().map(|(component, class)| {
            let rate = class.flops as f64 / class.seconds.max(1e-12);
            (compare::word(*component), ClassRate { rate, share: (class.seconds / all).min(1.0) })
        });
        let classes = classes.collect();
        let tokens = run.setup.sequences * run.setup.tokens * run.setup.micro_batches;
        let sequence = run.setup.tokens;
        runs.push(Ran { label, tokens, sequence, rows, seconds: times.step, achieved, classes });
        trials.push(done);
    }
    let whole = if choice.extent == Extent::Slices { added_up(plan, &choice, &trials) } else { Vec::new() };
    let fit = match choice.extent {
        Extent::Proxies => {
            let points: Vec<(f64, f64)> = choice
                .runs
                .iter()
                .zip(&runs)
                .map(|(planned, ran)| (planned.forecast.flops as f64, ran.seconds))
                .collect();
            fit(&points)
        }
        _ => None,
    };
    Ok(Validation {
        plan: plan.name.clone(),
        device: describe(device),
        precision: precision.word(),
        extent: choice.extent,
        why: choice.why,
        matmul_peak: peak,
        runs,
        whole,
        fit,
    })
}

/// The rate of the best matrix product in f32 on a device.
///
/// # Errors
/// A device that fails.
pub fn rate(device: &Device, seconds: f64) -> Result<f64, Refused> {
    best_product(device, DType::F32, seconds)
}

/// The rate of the best matrix product, in a twentieth of the time there is.
fn best_product(device: &Device, dtype: DType, seconds: f64) -> Result<f64, Refused> {
    let share = Duration::from_secs_f64((seconds / 20.0).clamp(0.2, 2.0));
    match matmul_peak(device, dtype, share) {
        Ok(peak) => Ok(peak.flops_per_second),
        Err(error) => Err(Refused(error.to_string())),
    }
}

/// What slices add up to, held against the numbers of the whole model: every count of it, to the digit.
fn added_up(plan: &Plan, choice: &Choice, trials: &[Trial]) -> Vec<Row> {
    let Some(first) = choice.runs.first() else { return Vec::new() };
    let whole = choose::whole_of(plan, &first.setup);
    let trials: Vec<&Trial> = trials.iter().collect();
    match together(&plan.model, &whole.setup.keep, &trials) {
        Some(sum) => {
            let named = |row: Row| Row { quantity: format!("whole.{}", row.quantity), ..row };
            compare(&whole, &sum).into_iter().map(named).collect()
        }
        // Counts that cannot be added up are those of no model.
        None => vec![Row { holds: false, ..Row::told("whole.model.params", 0.0, Measure::Count) }],
    }
}
