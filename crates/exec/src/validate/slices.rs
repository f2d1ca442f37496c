//! Layers at full width, one and two of each sort: what the second adds is a layer, what is left of the first is around
//! them. Every count of the whole is a sum of these, to the digit.

use std::collections::BTreeMap;

use llmplan_analysis::graph::Component;
use llmplan_analysis::saved::{Keep, Tag};
use llmplan_spec::plan::{LayerKind, Model, Run};

use crate::flops::Flops;
use crate::trial::{States, Times, Trial};

/// Layers of one kind that keep the same for their backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The place in [`Model::kinds`].
    pub kind: usize,
    /// What they keep.
    pub keep: Keep,
    /// How many there are.
    pub count: u64,
}

/// A part of a model at its full width.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// What it is: `1 × base`.
    pub label: String,
    /// The part, with embedding and head.
    pub model: Model,
    /// What each of its layers keeps.
    pub keep: Vec<Keep>,
}

/// The sorts of a model's layers, in order of first appearance. `keep` says what each layer keeps; layers beyond it keep
/// everything.
pub fn sorts(model: &Model, keep: &[Keep]) -> Vec<Sort> {
    let mut sorts: Vec<Sort> = Vec::new();
    let mut add = |kind: usize, keep: Keep, count: u64| match sorts
        .iter_mut()
        .find(|sort| sort.kind == kind && sort.keep == keep)
    {
        Some(sort) => sort.count = sort.count.saturating_add(count),
        None => sorts.push(Sort { kind, keep, count }),
    };
    let mut told = keep.iter();
    for run in &model.order {
        let mut left = run.repeat;
        while left > 0 {
            // Beyond what is told, all at once: there may be any number of them.
            let (own, count) = told.next().map_or((Keep::All, left), |own| (*own, 1));
            add(run.kind, own, count);
            left -= count;
        }
    }
    sorts
}

/// The slices of a model: of each sort one layer and two. Where there are modules of multi-token prediction, one of them
/// behind a layer of the last kind as well.
pub fn slices(model: &Model, keep: &[Keep]) -> Vec<Slice> {
    let sorts = sorts(model, keep);
    let mut slices = Vec::new();
    let mut push = |sort: &Sort, count: u64, mtp: u64| {
        let Some(kind) = model.kinds.get(sort.kind) else { return };
        let keeps = match sort.keep {
            Keep::All => "",
            Keep::Selective => " that keeps a selection",
            Keep::Input => " that keeps its input",
        };
        let module = if mtp == 0 { "" } else { " and a module" };
        let keep = vec![sort.keep; if count == 1 { 1 } else { 2 }];
        let label = format!("{count} × {}{keeps}{module}", kind.name);
        slices.push(Slice { label, model: part(model, kind, count, mtp), keep });
    };
    for sort in &sorts {
        push(sort, 1, 0);
        push(sort, 2, 0);
    }
    if let Some(sort) = behind(model, &sorts).and_then(|at| sorts.get(at)) {
        push(sort, 1, 1);
    }
    slices
}

/// The sort that the slice of a module is made of; none where there are no modules.
fn behind(model: &Model, sorts: &[Sort]) -> Option<usize> {
    let last = model.order.last().filter(|_| model.mtp > 0)?;
    sorts.iter().rposition(|sort| sort.kind == last.kind)
}

/// So many layers of one kind, and modules.
fn part(model: &Model, kind: &LayerKind, count: u64, mtp: u64) -> Model {
    Model {
        layers: count,
        kinds: vec![LayerKind { count, ..kind.clone() }],
        order: vec![Run { kind: 0, repeat: count }],
        mtp,
        ..model.clone()
    }
}

/// What a trial of the whole model would have counted, from the trials of its slices in their order: its numbers of
/// values, FLOPs and bytes. It has no instants, losses or times. `None` where a trial is missing or a count is beyond
/// 128 bits.
pub fn together(model: &Model, keep: &[Keep], trials: &[&Trial]) -> Option<Trial> {
    let sorts = sorts(model, keep);
    let pair = |at: usize| Some((*trials.get(2 * at)?, *trials.get(2 * at + 1)?));
    let (one, two) = pair(0)?;
    // Twice one layer less two layers: no layer.
    let mut sum = Sum::default();
    sum.add(one, 2)?;
    sum.add(two, -1)?;
    for (at, sort) in sorts.iter().enumerate() {
        let (one, two) = pair(at)?;
        let count = i128::from(sort.count);
        sum.add(two, count)?;
        sum.add(one, -count)?;
    }
    if let Some(at) = behind(model, &sorts) {
        let count = i128::from(model.mtp);
        sum.add(trials.get(2 * sorts.len())?, count)?;
        sum.add(pair(at)?.0, -count)?;
    }
    sum.trial()
}

/// A sum of trials, some of them taken off.
#[derive(Default)]
struct Sum {
    parameters: BTreeMap<Component, i128>,
    buffers: BTreeMap<Component, i128>,
    saved: BTreeMap<Tag, i128>,
    /// FLOPs by phase, then bytes of states.
    rest: [i128; 9],
}

impl Sum {
    fn add(&mut self, trial: &Trial, times: i128) -> Option<()> {
        add(&mut self.parameters, &trial.parameters, times)?;
        add(&mut self.buffers, &trial.buffers, times)?;
        add(&mut self.saved, &trial.saved, times)?;
        let (flops, states) = (trial.flops, trial.states);
        let rest = [
            flops.forward,
            flops.backward,
            flops.recompute,
            states.weights,
            states.gradients,
            states.master,
            states.first_moment,
            states.second_moment,
            states.scales,
        ];
        for (sum, value) in self.rest.iter_mut().zip(rest) {
            *sum = more(*sum, value, times)?;
        }
        Some(())
    }

    fn trial(self) -> Option<Trial> {
        let [forward, backward, recompute, weights, gradients, master, first_moment, second_moment, scales] =
            self.rest.map(|value| u128::try_from(value).ok());
        Some(Trial {
            parameters: counts(self.parameters)?,
            buffers: counts(self.buffers)?,
            flops: Flops { forward: forward?, backward: backward?, recompute: recompute? },
            saved: counts(self.saved)?,
            states: States {
                weights: weights?,
                gradients: gradients?,
                master: master?,
                first_moment: first_moment?,
                second_moment: second_moment?,
                scales: scales?,
            },
            instants: Vec::new(),
            losses: Vec::new(),
            times: Times::default(),
            classes: BTreeMap::new(),
        })
    }
}

fn add<K: Ord + Copy>(sums: &mut BTreeMap<K, i128>, own: &BTreeMap<K, u128>, times: i128) -> Option<()> {
    for (key, value) in own {
        let sum = sums.entry(*key).or_default();
        *sum = more(*sum, *value, times)?;
    }
    Some(())
}

fn more(sum: i128, value: u128, times: i128) -> Option<i128> {
    sum.checked_add(i128::try_from(value).ok()?.checked_mul(times)?)
}

/// The sums that are left, all of which are counts; none where one is below zero.
fn counts<K: Ord>(sums: BTreeMap<K, i128>) -> Option<BTreeMap<K, u128>> {
    let left = sums.into_iter().filter(|(_, sum)| *sum != 0);
    left.map(|(key, sum)| Some((key, u128::try_from(sum).ok()?))).collect()
}
