//! Whether a law says anything about runs that it has not seen.

use rayon::prelude::*;

use super::{Fit, Run, Unfit, fit};

/// A run that a fit has not seen, with what the fit says of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The run.
    pub run: Run,
    /// The loss of the law, in nats per token.
    pub predicted: f64,
}

impl Prediction {
    /// The predicted loss over the seen one, less 1: positive where the law is too pessimistic.
    pub fn error(&self) -> f64 {
        self.predicted / self.run.loss - 1.0
    }
}

/// Predictions of runs held out.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// How many runs the law was fitted to; of several laws the fewest.
    pub fitted: usize,
    /// What was held out, in ascending compute.
    pub predictions: Vec<Prediction>,
}

impl HeldOut {
    /// The mean size of the errors.
    pub fn mean_error(&self) -> f64 {
        let sum: f64 = self.predictions.iter().map(|own| own.error().abs()).sum();
        sum / self.predictions.len().max(1) as f64
    }

    /// The mean of the errors with their signs: where it is near their mean size, all err one way.
    pub fn bias(&self) -> f64 {
        let sum: f64 = self.predictions.iter().map(Prediction::error).sum();
        sum / self.predictions.len().max(1) as f64
    }

    /// The largest error, whatever its sign.
    pub fn worst(&self) -> Option<Prediction> {
        self.predictions
            .iter()
            .copied()
            .max_by(|one, other| one.error().abs().total_cmp(&other.error().abs()))
    }
}

/// The tenth of the runs with the most compute, at least one, as a law of the others predicts it: what extrapolation is
/// worth.
///
/// # Errors
/// Runs that have no law without them.
pub fn hold_out(runs: &[Run], delta: f64) -> Result<HeldOut, Unfit> {
    let sorted = by_compute(runs);
    let kept = sorted.len() - sorted.len().div_ceil(10);
    let (seen, unseen) = sorted.split_at(kept);
    let law = fit(seen, delta)?;
    Ok(HeldOut { fitted: kept, predictions: predictions(&law, unseen) })
}

/// All runs, each predicted by a law of the others: every `count`-th in ascending compute is held out together.
///
/// # Errors
/// Runs that have no law without one of these parts.
pub fn folds(runs: &[Run], delta: f64, count: usize) -> Result<HeldOut, Unfit> {
    let sorted = by_compute(runs);
    let part = |fold: usize, own: bool| -> Vec<Run> {
        let of = sorted.iter().enumerate().filter(|(at, _)| (at % count.max(1) == fold) == own);
        of.map(|(_, run)| *run).collect()
    };
    let parts: Result<Vec<(usize, Vec<Prediction>)>, Unfit> = (0..count)
        .into_par_iter()
        .map(|fold| {
            let seen = part(fold, false);
            let law = fit(&seen, delta)?;
            Ok((seen.len(), predictions(&law, &part(fold, true))))
        })
        .collect();
    let parts = parts?;
    let fitted = parts.iter().map(|(fitted, _)| *fitted).min().unwrap_or(0);
    let mut predictions: Vec<Prediction> = parts.into_iter().flat_map(|(_, own)| own).collect();
    predictions.sort_by(|one, other| one.run.flops().total_cmp(&other.run.flops()));
    Ok(HeldOut { fitted, predictions })
}

fn predictions(fit: &Fit, runs: &[Run]) -> Vec<Prediction> {
    runs.iter().map(|run| Prediction { run: *run, predicted: fit.law.loss(run.params, run.tokens) }).collect()
}

fn by_compute(runs: &[Run]) -> Vec<Run> {
    let mut sorted = runs.to_vec();
    sorted.sort_by(|one, other| one.flops().total_cmp(&other.flops()));
    sorted
}
