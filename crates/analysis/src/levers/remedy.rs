//! The smallest change that meets a requirement.
//!
//! Smallest is: one lever; of those, one that leaves the loss as it is before one that the law prices, and that before
//! one whose loss has to be measured; then one of the block that the requirement is about; then the least relative change,
//! where a word counts as a doubling. What is asked of serving or alignment is answered with another model last of all. A
//! change that breaks another requirement that holds, needs more memory than there is where that was not so, or leaves
//! little of what is learnt from is none.

use llmplan_spec::plan::Plan;
use rayon::prelude::*;

use super::candidates::{self, Lever, tidy};
use super::change::{Change, Distance, count};
use super::effect::{self, Difference};
use super::loss::Loss;
use super::rank::{self, gap};
use super::table::{LossEffect, Moves, Own};
use super::{Attempt, Trial, breaks, lost};
use crate::report::Judgement;

/// Requirements that are looked at: a plan that breaks more has other worries.
const MOST: usize = 8;
/// Steps of a ladder: a factor of 4,096.
const STEPS: usize = 12;
/// Steps of devices: a factor of 64.
const FLEETS: usize = 6;
/// Steps where the loss would have to be measured: 8 times as much is another plan.
const BLIND: usize = 3;
/// Below this gain little is left of the compute's worth.
const LITTLE: f64 = 0.1;
/// The farthest that a number of the model goes: a factor of 4.
const ANOTHER: Distance = Distance(1_387);
/// What comes nearer by less of the gap is not worth a word.
const WORTH: f64 = 0.1;
/// Numbers between two steps that are tried one after the other; more are halved.
const SCANNED: u64 = 16;

/// What there is to say about a requirement that does not hold.
#[derive(Clone, Debug)]
pub struct Remedy {
    /// Its place among the report's judgements.
    pub requirement: usize,
    /// The smallest change that meets it; `None` where no single one does.
    pub met: Option<Met>,
    /// What comes nearest to it, where nothing meets it and anything helps.
    pub nearest: Option<Met>,
    /// What would meet it, or come nearer, but for something else: where nothing does that breaks nothing.
    pub barred: Option<Barred>,
}

/// A change that is good for a requirement, and breaks what holds.
#[derive(Clone, Debug)]
pub struct Barred {
    /// The change.
    pub change: Change,
    /// Whether it meets the requirement, or comes nearer.
    pub meets: bool,
    /// The requirement that it breaks; `None` where it needs more memory than there is.
    pub broken: Option<String>,
}

/// A change with what it makes of a requirement.
#[derive(Clone, Debug)]
pub struct Met {
    /// The change.
    pub change: Change,
    /// What it does to the loss.
    pub loss: LossEffect,
    /// Compute-equivalent gain, from the plan's law; `None` where it says nothing, or refuses to.
    pub gain: Option<f64>,
    /// The requirement's left side with it, as printed.
    pub value: String,
    /// The watched numbers before and after.
    pub differences: Vec<Difference>,
}

/// The smallest changes that meet the requirements that do not hold, one for each; `before` is the plan as it is.
pub fn remedies(plan: &Plan, before: &Trial, attempt: &Attempt<'_>) -> Vec<Remedy> {
    let broken = before.report.requirements.iter().enumerate();
    let broken: Vec<(usize, &Judgement)> =
        broken.filter(|(_, own)| own.strict && !own.holds).take(MOST).collect();
    if broken.is_empty() {
        return Vec::new();
    }
    let bench = Bench { plan, before, attempt, loss: Loss::new(plan, &before.report) };
    let levers = candidates::levers(plan);
    let changes: Vec<(&Lever, Change)> = levers
        .iter()
        .flat_map(|lever| lever.candidates(plan, &bench.loss).into_iter().map(move |change| (lever, change)))
        .collect();
    let steps: Vec<Step<'_>> =
        changes.into_par_iter().filter_map(|(lever, change)| bench.tried(lever, change)).collect();
    broken.into_iter().map(|(place, own)| bench.remedy(place, own, &levers, &steps)).collect()
}

/// A change that was tried.
struct Step<'l> {
    lever: &'l Lever,
    change: Change,
    trial: Trial,
    loss: LossEffect,
    gain: Option<f64>,
}

struct Bench<'b> {
    plan: &'b Plan,
    before: &'b Trial,
    attempt: &'b Attempt<'b>,
    loss: Loss<'b>,
}

impl Bench<'_> {
    fn remedy(&self, place: usize, own: &Judgement, levers: &[Lever], steps: &[Step<'_>]) -> Remedy {
        let climbed: Vec<Step<'_>> =
            levers.par_iter().filter_map(|lever| self.climbed(lever, own, steps)).collect();
        // A number that was found on the way to its smallest stands for all of its lever.
        let within = |step: &&Step<'_>| !climbed.iter().any(|other| other.lever.path == step.lever.path);
        let asked = own.condition.split('.').next().unwrap_or_default();
        let all = steps.iter().filter(within).chain(&climbed);
        let (sound, unsound): (Vec<&Step<'_>>, Vec<&Step<'_>>) = all
            .filter(|step| step.gain.is_none_or(|gain| gain >= LITTLE))
            // A model of many times the size is another plan.
            .filter(|step| !step.lever.path.starts_with("model.") || step.change.distance <= ANOTHER)
            // What data costs is no reason to train otherwise: dearer training makes it a smaller share, too.
            .filter(|step| asked != "data" || step.lever.path.starts_with("data."))
            .partition(|step| !breaks(self.before, &step.trial));
        let smallest = self.smallest(own, &sound);
        let nearest = self.nearest(own, &sound).filter(|_| smallest.is_none());
        let barred = match (smallest, nearest) {
            (Some(_), _) => None,
            (None, Some(_)) => self.smallest(own, &unsound),
            (None, None) => self.smallest(own, &unsound).or_else(|| self.nearest(own, &unsound)),
        };
        let barred = barred.map(|step| Barred {
            change: step.change.clone(),
            meets: self.judged(step, own).is_some_and(|own| own.holds),
            broken: lost(self.before, &step.trial).map(|own| own.condition.clone()),
        });
        let met = |step: &Step<'_>| self.met(step, own);
        Remedy { requirement: place, met: smallest.and_then(met), nearest: nearest.and_then(met), barred }
    }

    /// Of steps that meet a requirement the smallest.
    fn smallest<'s, 'l>(&self, own: &Judgement, steps: &[&'s Step<'l>]) -> Option<&'s Step<'l>> {
        let asked = own.condition.split('.').next().unwrap_or_default();
        let size = |step: &Step<'_>| {
            let same = step.lever.path.split('.').next() == Some(asked);
            (another(own, step), step.loss, !same, step.change.distance, step.change.assignments.len())
        };
        let meets = steps.iter().filter(|step| self.judged(step, own).is_some_and(|own| own.holds));
        let smallest = meets.min_by(|one, other| {
            // Of equals the one that costs least.
            size(one).cmp(&size(other)).then(self.price(one).total_cmp(&self.price(other)))
        });
        smallest.copied()
    }

    /// Of steps that come nearer to a requirement by so much that it is worth a word the nearest.
    fn nearest<'s, 'l>(&self, own: &Judgement, steps: &[&'s Step<'l>]) -> Option<&'s Step<'l>> {
        let near = |step: &Step<'_>| self.judged(step, own).map_or(f64::INFINITY, gap);
        let nearer = steps.iter().filter(|step| near(step) < gap(own) * (1.0 - WORTH));
        let nearest = nearer.min_by(|one, other| {
            let rank = |step: &Step<'_>| (another(own, step), step.loss);
            rank(one).cmp(&rank(other)).then(near(one).total_cmp(&near(other)))
        });
        nearest.copied()
    }

    fn met(&self, step: &Step<'_>, own: &Judgement) -> Option<Met> {
        Some(Met {
            change: step.change.clone(),
            loss: step.loss,
            gain: step.gain,
            value: self.judged(step, own)?.value.clone(),
            differences: effect::differences(&self.before.report, &step.trial.report),
        })
    }

    /// What a step makes of the price of the same loss.
    fn price(&self, step: &Step<'_>) -> f64 {
        rank::at_equal_loss(&self.before.report, &step.trial.report, step.gain)
    }

    /// The requirement as a step has it.
    fn judged<'s>(&self, step: &'s Step<'_>, own: &Judgement) -> Option<&'s Judgement> {
        step.trial.report.requirements.iter().find(|other| other.condition == own.condition)
    }

    /// The smallest number of a lever that meets a requirement; `None` where none was found.
    fn climbed<'l>(&self, lever: &'l Lever, own: &Judgement, steps: &[Step<'_>]) -> Option<Step<'l>> {
        let between = lever.ladder()?;
        let start = lever.start(self.plan, &self.loss)?;
        let now = gap(own);
        let first = |up: bool| {
            let to = lever.next(start, up)?;
            let change = lever.to(self.plan, to)?;
            let known = steps.iter().find(|step| step.change == change);
            let tried = if known.is_none() { self.at(lever, to) } else { None };
            let judged = self.judged(known.or(tried.as_ref())?, own)?;
            Some((up, gap(judged), judged.holds))
        };
        let helps = [first(true), first(false)].into_iter().flatten().filter(|(_, gap, _)| *gap < now);
        let (up, mut nearest, mut holds) = helps.min_by(|(_, one, _), (_, other, _)| one.total_cmp(other))?;
        let blind = lever.row.loss == LossEffect::Unknown && lever.row.told.is_none();
        let most = match lever.row.moves {
            _ if blind => BLIND,
            Moves::Own(Own::Fleet) => FLEETS,
            _ => STEPS,
        };
        let (mut failing, mut reached, mut left) = (start, lever.next(start, up)?, most - 1);
        let mut furthest = None;
        while !holds {
            let Some(next) = lever.next(reached, up).filter(|_| left > 0) else { return furthest };
            left -= 1;
            // What cannot run may run a step further: a batch that does not divide.
            if let Some(step) = self.at(lever, next)
                && let Some(judged) = self.judged(&step, own)
            {
                holds = judged.holds;
                let little = step.gain.is_some_and(|gain| gain < LITTLE);
                if little || !holds && gap(judged) >= nearest {
                    return furthest;
                }
                nearest = gap(judged);
                // What does not suffice is told as far as 8 times as much.
                if !breaks(self.before, &step.trial) && left + BLIND >= most {
                    furthest = Some(step);
                }
            }
            failing = reached;
            reached = next;
        }
        let meets = |value: u64| {
            let step = self.at(lever, value)?;
            self.judged(&step, own)?.holds.then_some(step)
        };
        if !between {
            return meets(reached);
        }
        if failing.abs_diff(reached) <= SCANNED {
            let (low, high) = (failing.min(reached) + 1, failing.max(reached));
            let mut values: Vec<u64> =
                if up { (low..=high).collect() } else { (low - 1..high).rev().collect() };
            let host = self.host(lever);
            values.retain(|value| *value != failing && (value.is_multiple_of(host) || *value == reached));
            return values.into_iter().find_map(meets);
        }
        let mut best = meets(reached)?;
        while failing.abs_diff(reached) > 1 {
            let middle = self.rounded(lever, failing / 2 + reached / 2 + (failing & reached & 1), reached);
            if middle == failing || middle == reached {
                break;
            }
            match meets(middle) {
                Some(step) => (best, reached) = (step, middle),
                None => failing = middle,
            }
        }
        Some(best)
    }

    /// Devices come by the host where a plan has several.
    fn host(&self, lever: &Lever) -> u64 {
        let fleet = lever.path == "hardware.devices";
        let host = count(self.plan, "device.devices_per_node").filter(|host| fleet && *host > 0).unwrap_or(1);
        let whole = count(self.plan, "hardware.devices").is_some_and(|own| own.is_multiple_of(host));
        if whole { host } else { 1 }
    }

    /// Tokens are told in three digits; devices are counted.
    fn rounded(&self, lever: &Lever, value: u64, reached: u64) -> u64 {
        let host = self.host(lever);
        match lever.row.moves {
            Moves::Own(Own::Fleet) => value / host * host,
            _ if value < 1000 => value,
            _ if tidy(value as f64) == tidy(reached as f64) => reached,
            _ => tidy(value as f64),
        }
    }

    fn at<'l>(&self, lever: &'l Lever, value: u64) -> Option<Step<'l>> {
        self.tried(lever, lever.to(self.plan, value)?)
    }

    /// A change, tried; `None` where it cannot run, or the law does not reach as far as it goes.
    fn tried<'l>(&self, lever: &'l Lever, change: Change) -> Option<Step<'l>> {
        let trial = (self.attempt)(&change.set()).ok()?;
        let loss = lever.loss(&self.before.report, &trial.report);
        let gain = self.loss.gain(&self.before.report, &trial.report);
        let beyond = lever.row.loss == LossEffect::Law && gain.is_none() && self.loss.speaks();
        (!beyond).then_some(Step { lever, change, trial, loss, gain })
    }
}

/// Whether a step answers what is asked of serving or alignment with another model.
fn another(own: &Judgement, step: &Step<'_>) -> bool {
    let beside = ["alignment.", "inference."].iter().any(|block| own.condition.starts_with(block));
    beside && step.lever.path.starts_with("model.")
}
