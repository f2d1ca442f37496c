//! Levers: what a single change does to a plan, for every lever of its design, and the smallest change that meets a
//! requirement.
//!
//! Every candidate is the plan with attributes set otherwise, resolved and analysed as a whole: nothing is estimated
//! here. One change is looked at at a time; what two of them do together is not the sum of what each does.

mod candidates;
mod change;
mod devices;
mod effect;
mod loss;
mod rank;
mod remedy;
mod table;

pub use change::{Assignment, Change};
pub use effect::{Difference, Measure};
pub use rank::{Lack, Standing};
pub use remedy::{Barred, Met, Remedy, remedies};
pub use table::{Area, LossEffect};

use llmplan_spec::plan::{BytesConvention, Plan};
use llmplan_spec::units::format::BytePrefix;
use rayon::prelude::*;

use crate::report::{Judgement, Report};
use candidates::Lever;
use loss::Loss;

/// A plan with attributes set otherwise.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its report.
    pub report: Report,
    /// Whether its devices and hosts have the memory it needs.
    pub fits: bool,
}

/// Resolves and analyses the plan with attributes set, by path and value; the error says why it has no report.
pub type Attempt<'t> = dyn Fn(&[(String, String)]) -> Result<Trial, String> + Sync + 't;

/// A relative change that is worth a word: 0.1%.
pub const LEAST: f64 = 1e-3;

/// Every lever of a plan, tried.
#[derive(Clone, Debug)]
pub struct Tried {
    /// What the plan lacks most, and so what levers are judged by.
    pub lack: Lack,
    /// Where the plan stands as it is.
    pub now: Standing,
    /// Levers that change a number for the better, the best first.
    pub rows: Vec<Pulled>,
    /// Levers that change no number that is watched, by path.
    pub idle: Vec<String>,
    /// Levers whose every change only makes numbers worse.
    pub worse: Vec<String>,
    /// Levers whose every change breaks a requirement that holds, or needs more memory than there is.
    pub breaking: Vec<String>,
    /// Levers whose every change cannot run, and why the first cannot.
    pub unable: Vec<(String, String)>,
    /// How many changes were tried.
    pub changes: usize,
}

/// A lever with the best of its changes.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The attribute that it sets.
    pub path: String,
    /// Its part of the design.
    pub area: Area,
    /// What it does to the loss.
    pub loss: LossEffect,
    /// The change.
    pub change: Change,
    /// The watched numbers before and after.
    pub differences: Vec<Difference>,
    /// Compute-equivalent gain, from the plan's law; `None` where it says nothing, or refuses to.
    pub gain: Option<f64>,
    /// Where the plan stands with it, by what it lacks most.
    pub standing: Standing,
    /// The part of the plan that moves most, in words; may be empty.
    pub reason: String,
}

/// Tries every lever of a plan. `before` is the plan as it is.
pub fn levers(plan: &Plan, before: &Trial, attempt: &Attempt<'_>) -> Tried {
    let loss = Loss::new(plan, &before.report);
    let lack = Lack::of(before);
    let now = Standing::now(&lack, before);
    let all: Vec<(Lever, Vec<Change>)> = candidates::levers(plan)
        .into_iter()
        .map(|lever| {
            let changes = lever.candidates(plan, &loss);
            (lever, changes)
        })
        .collect();
    let flat: Vec<&Change> = all.iter().flat_map(|(_, changes)| changes).collect();
    let trials: Vec<Result<Trial, String>> = flat.par_iter().map(|change| attempt(&change.set())).collect();
    let mut trials = trials.into_iter();
    let mut tried = Tried {
        lack,
        now,
        rows: Vec::new(),
        idle: Vec::new(),
        worse: Vec::new(),
        breaking: Vec::new(),
        unable: Vec::new(),
        changes: flat.len(),
    };
    let memory = matches!(tried.lack, Lack::Memory(_));
    for (lever, changes) in &all {
        let mut found: Vec<Pulled> = Vec::new();
        let (mut broke, mut same, mut why) = (false, false, None);
        for (change, trial) in changes.iter().zip(trials.by_ref()) {
            let trial = match trial {
                Ok(trial) => trial,
                Err(reason) => {
                    why.get_or_insert(reason);
                    continue;
                }
            };
            let differences = effect::differences(&before.report, &trial.report);
            let gain = loss.gain(&before.report, &trial.report);
            let effect = lever.loss(&before.report, &trial.report);
            if differences.iter().all(|own| own.share().abs() < LEAST) && gain.is_none() {
                same = true;
                continue;
            }
            if lever.row.loss == LossEffect::Law && gain.is_none() && loss.speaks() {
                why.get_or_insert_with(|| format!("`law {}` does not reach so far", plan.law.name));
                continue;
            }
            if breaks(before, &trial) {
                broke = true;
                continue;
            }
            found.push(Pulled {
                path: lever.path.clone(),
                area: lever.row.area,
                loss: effect,
                standing: Standing::of(&tried.lack, before, &trial, gain),
                reason: effect::reason(plan, bytes(plan), &before.report, &trial.report, memory),
                change: change.clone(),
                differences,
                gain,
            });
        }
        let best = found.into_iter().min_by(|one, other| one.standing.order(&other.standing));
        match best {
            Some(best) if best.better(&now) => tried.rows.push(best),
            Some(_) => tried.worse.push(lever.path.clone()),
            None if broke => tried.breaking.push(lever.path.clone()),
            None if same => tried.idle.push(lever.path.clone()),
            None => tried.unable.extend(why.map(|why| (lever.path.clone(), why))),
        }
    }
    tried.rows.sort_by(|one, other| {
        let group = |own: &Pulled| own.group(&tried.lack);
        group(one).cmp(&group(other)).then(one.standing.order(&other.standing))
    });
    tried
}

impl Pulled {
    /// Whether it is known what it does to the loss.
    pub fn known(&self) -> bool {
        match self.loss {
            LossEffect::Same => true,
            LossEffect::Law => self.gain.is_some(),
            LossEffect::Unknown => false,
        }
    }

    /// What is known to leave the model no worse comes first, then what makes it worse, then what has to be measured. A
    /// plan that lacks something is asked for that before.
    fn group(&self, lack: &Lack) -> u8 {
        let worse = self.gain.is_some_and(|gain| gain < 1.0 - LEAST);
        match lack {
            _ if !self.known() => 2,
            Lack::Nothing(_) if worse => 1,
            _ => 0,
        }
    }

    /// Whether the plan stands better with it, by what it lacks most.
    pub fn gains(&self, tried: &Tried) -> bool {
        self.standing.reaches(&tried.now) || self.standing.score < tried.now.score - LEAST
    }

    /// Whether anything is better with it.
    fn better(&self, now: &Standing) -> bool {
        let less = self.differences.iter().any(|own| own.share() < -LEAST);
        let more = self.gain.is_some_and(|gain| gain > 1.0 + LEAST);
        less || more || self.standing.reaches(now)
    }
}

/// Whether a change breaks what holds: a requirement, or that the plan fits.
fn breaks(before: &Trial, after: &Trial) -> bool {
    lost(before, after).is_some() || (before.fits && !after.fits)
}

/// A requirement that held and does no more.
fn lost<'b>(before: &'b Trial, after: &Trial) -> Option<&'b Judgement> {
    let mut held = before.report.requirements.iter().filter(|own| own.strict && own.holds);
    held.find(|own| {
        let same = after.report.requirements.iter().find(|other| other.condition == own.condition);
        !same.is_some_and(|other| other.holds)
    })
}

fn bytes(plan: &Plan) -> BytePrefix {
    match plan.convention.bytes {
        BytesConvention::Decimal => BytePrefix::Decimal,
        BytesConvention::Binary => BytePrefix::Binary,
    }
}
