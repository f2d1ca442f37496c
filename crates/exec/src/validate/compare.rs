//! Predicted and measured, side by side: each row says what it may be out by.

use std::collections::BTreeMap;

use llmplan_analysis::folds::{self, Counts, Sequence};
use llmplan_analysis::graph::Component;
use llmplan_analysis::saved::{self, Shape, Tag};
use llmplan_spec::plan::AttentionConvention;

use super::choose::Planned;
use super::row::{Amount, Measure, Row};
use crate::forecast::HEADER;
use crate::optimizer::Kind;
use crate::trial::{Instant, Moment, Trial};

/// What the allocator may hold beyond the payload: headers and shapes.
const HEADERS: f64 = 0.002;
/// What the bytes that a forward pass leaves behind may be out by, of the saved list.
const ACTIVATIONS: f64 = 0.005;
/// What a peak may be out by, measured over the shapes of the tests.
pub const PEAKS: f64 = 0.25;

/// The rows of a run.
pub fn compare(run: &Planned, trial: &Trial) -> Vec<Row> {
    let mut rows = Vec::new();
    counts(&mut rows, "model.params", folds::params(&run.graph), &trial.parameters);
    let buffers = folds::buffers(&run.graph);
    if !trial.buffers.is_empty() || buffers.and_then(|counts| counts.total()) != Some(0) {
        counts(&mut rows, "model.buffers", buffers, &trial.buffers);
    }
    flops(&mut rows, run, trial);
    states(&mut rows, run, trial);
    activations(&mut rows, run, trial);
    lives(&mut rows, run, trial);
    rows.extend(left_behind(run, trial));
    rows
}

/// FLOPs of the forward pass as the plan's report counts them, beside those that were done; none where they are the same.
/// Tensors have all T² scores, whatever a convention, a window or documents leave out.
pub fn by_convention(run: &Planned, trial: &Trial, attention: AttentionConvention) -> Option<Row> {
    let setup = &run.setup;
    let own = Sequence { tokens: setup.tokens, documents: setup.documents.as_ref(), attention };
    let counted = times(folds::forward_flops(&run.graph, own)?.total(), sequences(run))?;
    let dense = times(folds::dense_flops(&run.graph, setup.tokens), sequences(run));
    let word = match attention {
        AttentionConvention::Full => "full",
        AttentionConvention::Causal => "causal",
    };
    let row = Row::told(format!("flops.forward.{word}"), 0.0, Measure::Flop);
    let (predicted, measured) = (Some(Amount::Count(counted)), Amount::Count(trial.flops.forward));
    (dense != Some(counted)).then_some(Row { predicted, measured, ..row })
}

fn counts(rows: &mut Vec<Row>, path: &str, folded: Option<Counts>, counted: &BTreeMap<Component, u128>) {
    let whole = folded.and_then(|counts| counts.total());
    rows.push(Row::exact(path, whole, counted.values().sum(), Measure::Count));
    for component in Component::ALL {
        let own = counted.get(&component).copied().unwrap_or(0);
        let predicted = folded.map(|counts| counts.of(component));
        if own > 0 || predicted != Some(0) {
            rows.push(Row::exact(format!("{path}.{}", word(component)), predicted, own, Measure::Count));
        }
    }
}

fn flops(rows: &mut Vec<Row>, run: &Planned, trial: &Trial) {
    let setup = &run.setup;
    let forward = times(folds::dense_flops(&run.graph, setup.tokens), sequences(run));
    let backward = times(forward, 2);
    let keep = |layer: usize| setup.keep.get(layer).copied().unwrap_or_default();
    let again = times(folds::recomputed_flops(&run.graph, setup.tokens, &keep), sequences(run));
    rows.push(Row::exact("flops.forward", forward, trial.flops.forward, Measure::Flop));
    rows.push(Row::exact("flops.backward", backward, trial.flops.backward, Measure::Flop));
    if again != Some(0) || trial.flops.recompute > 0 {
        rows.push(Row::exact("flops.recompute", again, trial.flops.recompute, Measure::Flop));
    }
}

/// Sequences of one step. Two 64-bit factors always fit.
fn sequences(run: &Planned) -> u128 {
    u128::from(run.setup.sequences) * u128::from(run.setup.micro_batches.max(1))
}

fn times(count: Option<u128>, by: u128) -> Option<u128> {
    count?.checked_mul(by)
}

fn states(rows: &mut Vec<Row>, run: &Planned, trial: &Trial) {
    let setup = &run.setup;
    let params = folds::params(&run.graph).and_then(|counts| counts.total());
    let each = |bytes: u64| params.and_then(|params| params.checked_mul(u128::from(bytes)));
    let (first, second) = llmplan_analysis::moment_bytes(setup.optimizer.into());
    let master = llmplan_analysis::master_bytes(setup.precision, setup.offload);
    let held = trial.states;
    for (path, predicted, measured) in [
        ("memory.weights", each(setup.precision.bytes()), held.weights),
        ("memory.gradients", each(setup.gradients.bytes()), held.gradients),
        ("memory.optimizer.master", each(master), held.master),
        ("memory.optimizer.first_moment", each(first), held.first_moment),
        ("memory.optimizer.second_moment", each(second), held.second_moment),
    ] {
        if measured > 0 || predicted != Some(0) {
            rows.push(Row::exact(path, predicted, measured, Measure::Bytes));
        }
    }
    if setup.optimizer == Kind::Adam8bit {
        let blocks = folds::optimizer_blocks(&run.graph, setup.optimizer_block);
        let scales = blocks.and_then(|blocks| blocks.checked_mul(8));
        rows.push(Row::exact("memory.optimizer.scales", scales, held.scales, Measure::Bytes));
    }
}

fn activations(rows: &mut Vec<Row>, run: &Planned, trial: &Trial) {
    let listed = listed(run);
    let whole = listed.as_ref().map(|listed| listed.values().sum());
    rows.push(Row::exact("activations", whole, trial.saved.values().sum(), Measure::Bytes));
    let listed = listed.unwrap_or_default();
    let mut tags: Vec<&Tag> = listed.keys().chain(trial.saved.keys()).collect();
    tags.sort();
    tags.dedup();
    for tag in tags {
        let predicted = listed.get(tag).copied().unwrap_or(0);
        let measured = trial.saved.get(tag).copied().unwrap_or(0);
        let what = if tag.what == "output" { String::new() } else { format!(".{}", tag.what) };
        let quantity = format!("activations.{}{what}", tag.operator);
        rows.push(Row::exact(quantity, Some(predicted), measured, Measure::Bytes));
    }
}

/// The saved list of one micro-batch.
fn listed(run: &Planned) -> Option<BTreeMap<Tag, u128>> {
    let setup = &run.setup;
    let shape = Shape { sequences: setup.sequences, tokens: setup.tokens, bytes: setup.precision.bytes() };
    saved::saved(&run.graph, shape, &|layer| setup.keep.get(layer).copied().unwrap_or_default())
}

/// What the allocator holds more at the end of a forward pass than before it: the saved list, and nothing that nobody
/// reads. None where no bytes are metered.
fn left_behind(run: &Planned, trial: &Trial) -> Option<Row> {
    let at = |moment| trial.instants.iter().find(|instant| instant.moment == moment);
    let (start, end) = (at(Moment::Start)?, at(Moment::ForwardEnd)?);
    let predicted = listed(run)?.values().try_fold(0_u128, |sum, bytes| sum.checked_add(*bytes))?;
    let small = headers(run) as f64 / predicted.max(1) as f64;
    let measured = end.bytes.saturating_sub(start.bytes);
    Some(Row::within("memory.live.activations", predicted, measured, ACTIVATIONS.max(small)))
}

/// What the allocator held at each instant, and its peaks.
fn lives(rows: &mut Vec<Row>, run: &Planned, trial: &Trial) {
    for Instant { moment, bytes, payload } in &trial.instants {
        let (name, forecast) = match moment {
            Moment::Start => ("memory.live.start", None),
            Moment::ForwardEnd => ("memory.live.forward_end", None),
            Moment::BackwardEnd => ("memory.live.backward_end", None),
            Moment::ForwardPeak => ("memory.peak.forward", Some(run.forecast.forward_peak)),
            Moment::BackwardPeak => ("memory.peak.backward", Some(run.forecast.backward_peak)),
            Moment::OptimizerPeak => ("memory.peak.optimizer", Some(run.forecast.optimizer_peak)),
        };
        rows.push(match forecast {
            Some(forecast) => Row::within(name, forecast, *bytes, PEAKS),
            None => {
                let small = headers(run) as f64 / (*payload).max(1) as f64;
                Row::within(name, *payload, *bytes, HEADERS.max(small))
            }
        });
    }
}

/// Bytes of the headers of all tensors at the most: of each weight, its gradient and its moments, and of what operators
/// keep.
fn headers(run: &Planned) -> u128 {
    let tensors = run.graph.blocks.iter().map(|block| {
        let own = block.operators.iter().map(|own| 4 * own.weights.len() + own.inputs.len() + 2);
        u128::from(block.count).saturating_mul(own.sum::<usize>() as u128)
    });
    tensors.fold(0, u128::saturating_add).saturating_mul(HEADER)
}

/// A component's name in paths.
pub(super) fn word(component: Component) -> String {
    let mut word = String::new();
    for c in format!("{component:?}").chars() {
        if c.is_ascii_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(c.to_ascii_lowercase());
    }
    word
}
