//! Which runs a fit is of, and where they lie.

use super::Run;

/// What leaves runs out before a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Nothing.
    All,
    /// The k highest losses and all that are equal to the lowest of them: kept is what is below the k-th highest. It
    /// removes whatever fits badly, too, and moves the law: k is a choice (Besiroglu 2024 took 5).
    Highest(usize),
    /// Runs with fewer tokens for each parameter: they end before the law begins to hold.
    TokensPerParam(f64),
}

/// What a rule left.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The runs of the fit, in their order.
    pub runs: Vec<Run>,
    /// How many it took away.
    pub dropped: usize,
}

/// The runs that a rule leaves.
pub fn keep(runs: &[Run], rule: Rule) -> Kept {
    let kept: Vec<Run> = match rule {
        Rule::All => runs.to_vec(),
        Rule::Highest(count) => {
            let mut losses: Vec<f64> = runs.iter().map(|run| run.loss).collect();
            losses.sort_by(|one, other| other.total_cmp(one));
            match count.checked_sub(1).map(|last| losses.get(last).copied()) {
                None => runs.to_vec(),
                Some(limit) => {
                    let below = |run: &&Run| limit.is_some_and(|limit| run.loss < limit);
                    runs.iter().filter(below).copied().collect()
                }
            }
        }
        Rule::TokensPerParam(least) => {
            runs.iter().filter(|run| run.tokens / run.params >= least).copied().collect()
        }
    };
    let dropped = runs.len() - kept.len();
    Kept { runs: kept, dropped }
}

/// From where to where something goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

impl Range {
    /// How many times the least the most is.
    pub fn factor(&self) -> f64 {
        self.high / self.low
    }

    /// By which factor a value lies outside, 1 within.
    pub fn beyond(&self, value: f64) -> f64 {
        f64::max(value / self.high, self.low / value).max(1.0)
    }
}

/// Where runs lie. A law is known there, and guessed elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranges {
    /// N, in parameters.
    pub params: Range,
    /// D, in tokens.
    pub tokens: Range,
    /// C = 6ND, in FLOP.
    pub flops: Range,
    /// D/N, in tokens per parameter.
    pub tokens_per_param: Range,
    /// L, in nats per token.
    pub loss: Range,
}

/// Where runs lie; `None` where there are none.
pub fn ranges(runs: &[Run]) -> Option<Ranges> {
    let range = |of: fn(&Run) -> f64| {
        runs.iter().map(of).fold(None, |range: Option<Range>, value| {
            Some(range.map_or(Range { low: value, high: value }, |range| Range {
                low: range.low.min(value),
                high: range.high.max(value),
            }))
        })
    };
    Some(Ranges {
        params: range(|run| run.params)?,
        tokens: range(|run| run.tokens)?,
        flops: range(Run::flops)?,
        tokens_per_param: range(|run| run.tokens / run.params)?,
        loss: range(|run| run.loss)?,
    })
}

/// How far apart two values are that count as two.
const APART: f64 = 1.01;

/// The values that are at least 1% apart, ascending.
pub(super) fn levels(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let mut levels: Vec<f64> = Vec::new();
    for value in values {
        if levels.last().is_none_or(|last| value > last * APART) {
            levels.push(value);
        }
    }
    levels
}
