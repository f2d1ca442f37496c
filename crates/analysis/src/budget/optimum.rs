//! The parameters and tokens of the lowest loss for an amount of compute, where data and serving bound them.

use libm::{exp, log};
use llmplan_spec::plan::{Data, Law};

use crate::scaling::{Repetition, loss, optimum, params_for};

/// FLOP of training for each parameter and token, and of serving (Kaplan 2020 §2.1).
const TRAINING: f64 = 6.0;
const SERVING: f64 = 2.0;

/// The least share of its own optimum's tokens that an optimum is looked for at.
const FEWEST: f64 = 1e-3;

/// What bounds a model beside compute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    /// The data that there is; `None` where no source is declared: then it does not end.
    pub supply: Option<Supply>,
    /// Tokens that are served from the same compute, at 2N each; 0 where it is all for training.
    pub served: f64,
}

/// Distinct tokens, and how often they may be seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Supply {
    /// Distinct tokens of each source, and its share of the tokens that are taken; above 0 both.
    sources: Vec<(f64, f64)>,
    /// The most often that any source is seen, at least 1.
    max_epochs: f64,
}

impl Supply {
    /// The sources of a plan's data, where it has any that tokens are taken from.
    pub fn of(data: &Data, max_epochs: f64) -> Option<Supply> {
        let distinct = |source: &llmplan_spec::plan::DataSource| {
            source.raw as f64 * source.stages.iter().map(|(_, share)| share).product::<f64>()
        };
        let taken = data.sources.iter().filter(|source| source.weight > 0.0);
        let sources: Vec<(f64, f64)> = taken.map(|source| (distinct(source), source.weight)).collect();
        let sound = !sources.is_empty() && sources.iter().all(|(distinct, _)| *distinct > 0.0);
        sound.then_some(Supply { sources, max_epochs: max_epochs.max(1.0) })
    }

    /// One source of so many distinct tokens.
    pub fn single(unique: f64, max_epochs: f64) -> Supply {
        Supply { sources: vec![(unique, 1.0)], max_epochs: max_epochs.max(1.0) }
    }

    /// How many sources there are.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Distinct tokens of all sources.
    pub fn unique(&self) -> f64 {
        self.sources.iter().map(|(distinct, _)| distinct).sum()
    }

    /// The most tokens that may be taken: until the first source has been seen as often as it may.
    pub fn most(&self) -> f64 {
        self.max_epochs * self.fresh()
    }

    /// The most often that data may be seen.
    pub fn max_epochs(&self) -> f64 {
        self.max_epochs
    }

    /// The most tokens that can be taken with none seen twice.
    pub fn fresh(&self) -> f64 {
        self.sources.iter().map(|(distinct, weight)| distinct / weight).fold(f64::INFINITY, f64::min)
    }

    /// Tokens that are distinct among so many that are taken.
    fn distinct(&self, tokens: f64) -> f64 {
        self.sources.iter().map(|(distinct, weight)| (weight * tokens).min(*distinct)).sum()
    }

    /// Distinct tokens that would teach as much as so many that are taken (Muennighoff 2023 eq. 5, for each source).
    pub fn effective(&self, law: &Law, tokens: f64) -> f64 {
        let worth = Repetition::of(law);
        self.sources.iter().map(|(distinct, weight)| worth.effective_tokens(*distinct, weight * tokens)).sum()
    }
}

/// The best for an amount of compute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    /// N*, as the law counts it, so that training takes 6ND.
    pub params: f64,
    /// D*, repeats counted.
    pub tokens: f64,
    /// Loss in nats per token of the law's tokenizer; `None` where the law only divides compute.
    pub loss: Option<f64>,
    /// D* over the distinct tokens there are; `None` where data does not end.
    pub epochs: Option<f64>,
    /// What D* would be if data did not end.
    pub free_tokens: f64,
}

/// The loss of `params` parameters after `tokens` tokens, repeats at what they are worth, and parameters beyond what
/// the distinct tokens are the optimum for as well (Muennighoff 2023 eq. 5 to 7); `None` where the law has no loss.
pub fn loss_with(law: &Law, supply: Option<&Supply>, params: f64, tokens: f64) -> Option<f64> {
    match supply.filter(|supply| tokens > supply.fresh()) {
        None => loss(law, params, tokens),
        Some(supply) => repeated(law, supply, params, tokens),
    }
}

fn repeated(law: &Law, supply: &Supply, params: f64, tokens: f64) -> Option<f64> {
    let distinct = supply.distinct(tokens);
    let best = params_for(law, distinct)?;
    let params = Repetition::of(law).effective_params(best, params, tokens / distinct - 1.0);
    loss(law, params, supply.effective(law, tokens))
}

/// The best for `compute` FLOP: 6ND for training and 2N for each token served. Without bounds it is the law's own optimum;
/// otherwise the bottom along the line of equal compute, by golden section over ln D. `None` where the law says nothing.
pub fn best(law: &Law, compute: f64, bounds: &Bounds) -> Option<Best> {
    let free = optimum(law, compute)?;
    let most = bounds.supply.as_ref().map_or(f64::INFINITY, Supply::most);
    let fresh = bounds.supply.as_ref().map_or(f64::INFINITY, Supply::fresh);
    let free_tokens = match bounds.served > 0.0 {
        true => along(law, compute, bounds.served, None, (free.tokens * FEWEST, free.tokens / FEWEST)),
        false => free.tokens,
    };
    let tokens = if free_tokens <= fresh {
        free_tokens
    } else {
        // More tokens than there are fresh ones: at least those, at most what may be taken.
        let low = fresh.min(most);
        along(law, compute, bounds.served, bounds.supply.as_ref(), (low, most.min(free_tokens / FEWEST)))
            .min(most)
    };
    let params = match bounds.served > 0.0 || tokens < free_tokens || tokens > free_tokens {
        true => params_at(compute, bounds.served, tokens),
        false => free.params,
    };
    Some(Best {
        params,
        tokens,
        loss: loss_with(law, bounds.supply.as_ref(), params, tokens),
        epochs: bounds.supply.as_ref().map(|supply| tokens / supply.unique()),
        free_tokens,
    })
}

/// N that compute leaves for D tokens: C = N · (6D + 2·served).
fn params_at(compute: f64, served: f64, tokens: f64) -> f64 {
    compute / (TRAINING * tokens + SERVING * served)
}

/// The tokens of the lowest loss along the line of equal compute; the lower end of the range where the law has no loss, or
/// its own D* where that is within.
fn along(law: &Law, compute: f64, served: f64, supply: Option<&Supply>, range: (f64, f64)) -> f64 {
    let value = |tokens: f64| {
        let params = params_at(compute, served, tokens);
        let own = match supply {
            Some(supply) => repeated(law, supply, params, tokens),
            None => loss(law, params, tokens),
        };
        own.filter(|own| own.is_finite())
    };
    let (low, high) = range;
    if value(low).is_none() {
        return optimum(law, compute).map_or(low, |own| own.tokens.clamp(low, high.max(low)));
    }
    exp(bottom(|point| value(exp(point)).unwrap_or(f64::INFINITY), log(low), log(high.max(low))))
}

/// Where a function with one valley between `low` and `high` is lowest.
fn bottom(value: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    const RATIO: f64 = 0.618_033_988_749_894_9;
    let ends = [low, high];
    let (mut left, mut right) = (high - RATIO * (high - low), low + RATIO * (high - low));
    let (mut at_left, mut at_right) = (value(left), value(right));
    while high - low > 1e-9 {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - RATIO * (high - low);
            at_left = value(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + RATIO * (high - low);
            at_right = value(right);
        }
    }
    // The valley may lie at an end.
    let middle = (low + high) / 2.0;
    let all = [ends[0], middle, ends[1]];
    all.into_iter().min_by(|one, other| value(*one).total_cmp(&value(*other))).unwrap_or(middle)
}
