//! What changes are judged by: what the plan lacks most.

use std::cmp::Ordering;

use llmplan_spec::units::format::round;

use super::Trial;
use super::effect::{self, Difference, Measure, fullest};
use crate::report::{Judgement, Report};

/// What a plan lacks most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Memory: the quantity that is more than there is.
    Memory(String),
    /// So many requirements that do not hold.
    Requirements(usize),
    /// Nothing: what the same loss costs, by the quantities whose sum is its price.
    Nothing(String),
}

impl Lack {
    /// What a plan lacks most.
    pub(super) fn of(plan: &Trial) -> Lack {
        let broken = plan.report.requirements.iter().filter(|own| fails(own)).count();
        let over = |path: &str| number(&plan.report, path).is_some_and(|share| share > 1.0);
        let memory = |path: &str| Lack::Memory(path.to_owned());
        match (plan.fits, broken) {
            (false, _) if over("memory.device_share") => memory("memory.per_device"),
            (false, _) if over("inference.memory_share") => memory("inference.memory"),
            (false, _) if number(&plan.report, "memory.host_per_node").is_some() => {
                memory("memory.host_per_node")
            }
            (false, _) => memory(&fullest(&plan.report).unwrap_or_else(|| "memory.model_states".to_owned())),
            (true, 0) => Lack::Nothing(Price::of(&plan.report).words()),
            (true, broken) => Lack::Requirements(broken),
        }
    }
}

/// What stands for the price of a plan: quantities whose sum it is.
struct Price {
    /// What training takes, which a compute-equivalent gain divides.
    trained: Option<&'static str>,
    /// What is paid beside.
    beside: Vec<&'static str>,
}

impl Price {
    /// Money, where the plan has prices: of training, alignment and a lifetime of serving together. Else the first
    /// quantity that it has.
    fn of(report: &Report) -> Price {
        let has = |path: &&'static str| report.get(path).is_some();
        let found = |paths: &[&'static str]| paths.iter().copied().find(|path| has(path));
        let beside: Vec<&'static str> =
            ["alignment.cost", "inference.lifetime.cost"].into_iter().filter(|path| has(path)).collect();
        if has(&"training.flops") {
            return match found(&["training.cost"]) {
                Some(cost) => Price { trained: Some(cost), beside },
                None => {
                    let paths = ["training.device_hours", "training.time", "training.flops"];
                    Price { trained: found(&paths), beside: Vec::new() }
                }
            };
        }
        if !beside.is_empty() {
            return Price { trained: None, beside };
        }
        let paths = ["alignment.time", "inference.cost_per_million", "inference.tpot"];
        match found(&paths) {
            Some(path) => Price { trained: None, beside: vec![path] },
            None => {
                Price { trained: found(&["scaling.compute", "flops.forward_per_token"]), beside: Vec::new() }
            }
        }
    }

    fn words(&self) -> String {
        let parts: Vec<&str> = self.trained.iter().chain(&self.beside).copied().collect();
        match parts.as_slice() {
            ["training.cost", "inference.lifetime.cost"] => "inference.lifetime.total_cost".to_owned(),
            parts => parts.join(" + "),
        }
    }
}

/// Where a plan stands; less is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// 1 where it needs more memory than there is.
    pub over: u8,
    /// Requirements that do not hold.
    pub broken: usize,
    /// Relative to the plan as it is: memory where that is lacking, the sum of relative gaps where requirements fail,
    /// else the price of the same loss.
    pub score: f64,
    /// Price and time of the same loss, with relative changes of what these do not show: it decides between equal scores.
    pub(super) rest: f64,
}

impl Standing {
    /// Where the plan stands as it is.
    pub(super) fn now(lack: &Lack, before: &Trial) -> Standing {
        Standing::of(lack, before, before, None)
    }

    /// Where it stands after a change that has this gain.
    pub(super) fn of(lack: &Lack, before: &Trial, after: &Trial, gain: Option<f64>) -> Standing {
        let broken = after.report.requirements.iter().filter(|own| fails(own)).count();
        let over = u8::from(!after.fits);
        let ratio = |path: &str| ratio(&before.report, &after.report, path);
        let at_equal_loss = || at_equal_loss(&before.report, &after.report, gain);
        let time =
            || Measure::Time.path(&before.report).map_or(1.0, |path| ratio(&path)) / gain.unwrap_or(1.0);
        let slower = || time().max(waited(&before.report, &after.report));
        let score = match lack {
            Lack::Memory(path) if over > 0 => ratio(path),
            Lack::Requirements(_) if broken > 0 => {
                after.report.requirements.iter().filter(|own| fails(own)).map(gap).sum()
            }
            // What saves less than the time it takes saves nothing, where the model stays what it is.
            _ if gain.is_none() && at_equal_loss() < 1.0 && slower() > 1.0 => at_equal_loss() * slower(),
            _ => at_equal_loss(),
        };
        let beside = [
            Measure::Memory,
            Measure::AlignmentTime,
            Measure::FirstToken,
            Measure::Latency,
            Measure::Served,
            Measure::Serving,
        ];
        let differences = effect::differences(&before.report, &after.report);
        let beside = differences.iter().filter(|own| beside.contains(&own.measure));
        let rest = at_equal_loss() + time() + beside.map(Difference::share).sum::<f64>();
        Standing { over, broken, score: round(score, 9), rest: round(rest, 9) }
    }

    /// Whether it fits, or meets a requirement, where another does not.
    pub(super) fn reaches(&self, other: &Standing) -> bool {
        self.over < other.over || self.broken < other.broken
    }

    /// The better one first; what is the same is equal.
    pub(super) fn order(&self, other: &Standing) -> Ordering {
        // Where memory is lacking requirements come second.
        let broken = if self.over > 0 { Ordering::Equal } else { self.broken.cmp(&other.broken) };
        let whole = self.over.cmp(&other.over).then(broken);
        whole.then(self.score.total_cmp(&other.score)).then(self.rest.total_cmp(&other.rest))
    }
}

/// How far a requirement is from holding, relative to its limit; 0 where it holds.
pub(super) fn gap(own: &Judgement) -> f64 {
    match (own.value_number, own.limit_number) {
        _ if own.holds => 0.0,
        (Some(value), Some(limit)) if limit != 0.0 => ((value - limit) / limit).abs(),
        (Some(value), Some(limit)) => (value - limit).abs(),
        _ => f64::INFINITY,
    }
}

/// The price of the same loss relative to what it was, where a change has this gain: training is what it divides.
pub(super) fn at_equal_loss(before: &Report, after: &Report, gain: Option<f64>) -> f64 {
    let price = Price::of(before);
    let sum = |report: &Report, gain: f64| {
        let trained = price.trained.map_or(Some(0.0), |path| number(report, path))?;
        let beside = price.beside.iter().map(|path| number(report, path));
        Some(trained / gain + beside.sum::<Option<f64>>()?)
    };
    match (sum(before, 1.0), sum(after, gain.unwrap_or(1.0))) {
        (Some(before), Some(after)) if before > 0.0 => after / before,
        _ => 1.0,
    }
}

/// How much longer each served token takes; nothing where a requirement says how long it may.
fn waited(before: &Report, after: &Report) -> f64 {
    let bounded =
        before.requirements.iter().any(|own| own.strict && own.condition.contains("inference.tpot"));
    if bounded { 1.0 } else { ratio(before, after, "inference.tpot") }
}

/// A number relative to what it was; 1 where there is none.
fn ratio(before: &Report, after: &Report, path: &str) -> f64 {
    match (number(before, path), number(after, path)) {
        (Some(before), Some(after)) if before > 0.0 => after / before,
        _ => 1.0,
    }
}

fn fails(own: &Judgement) -> bool {
    own.strict && !own.holds
}

fn number(report: &Report, path: &str) -> Option<f64> {
    report.get(path)?.value.number()
}
