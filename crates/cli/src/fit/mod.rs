//! A law from a file of runs: what was read, what was found, and how it is told.

mod columns;
mod json;
mod law;
mod render;
mod table;
mod words;

pub(crate) use columns::Read;
pub(crate) use json::json;
pub(crate) use law::law;
pub(crate) use render::text;

use llmplan_analysis::scaling::fit::{
    Bootstrap, Doubt, Fit, HeldOut, Ranges, Rule, Run, bootstrap, doubts, fit, folds, hold_out, keep, ranges,
};
use llmplan_analysis::scaling::isoflop::{Approach, approach};

use crate::args::FitArgs;

/// What is wrong with runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What and where, with what was found.
    pub(crate) message: String,
    /// What is expected.
    pub(crate) help: Option<String>,
}

impl Fault {
    fn new(message: String) -> Fault {
        Fault { message, help: None }
    }

    fn help(self, help: &str) -> Fault {
        Fault { help: Some(help.to_owned()), ..self }
    }
}

/// What was found for a file.
pub(crate) struct Fitted {
    /// What was read.
    pub(crate) read: Read,
    /// What is left out.
    pub(crate) rule: Rule,
    /// How many runs that are.
    pub(crate) dropped: usize,
    /// The runs of the fit.
    pub(crate) runs: Vec<Run>,
    /// Where they lie.
    pub(crate) ranges: Ranges,
    /// The law.
    pub(crate) fit: Fit,
    /// The laws of resamples, none where none were asked for.
    pub(crate) bootstrap: Bootstrap,
    /// The runs of most compute, predicted by the others.
    pub(crate) held_out: Option<HeldOut>,
    /// All runs, each predicted by others.
    pub(crate) folds: Option<HeldOut>,
    /// Parabolas, where the runs have budgets.
    pub(crate) approach: Option<Approach>,
    /// What makes the law doubtful.
    pub(crate) doubts: Vec<Doubt>,
    /// The compute that optima are told for.
    pub(crate) at: Vec<f64>,
}

/// Parts that runs are divided into to predict each by the others.
const FOLDS: usize = 5;
/// How many times more or fewer parameters than a budget's best run a parabola takes in.
const WINDOW: f64 = 4.0;
/// Budgets with an optimum below which no power is told.
const FEWEST_BUDGETS: usize = 3;
/// How far beyond its runs a law is told for where nothing was asked for.
const BEYOND: f64 = 10.0;

/// Reads the runs of a text and fits a law to them.
///
/// # Errors
/// Everything that is wrong with the rows, or the one reason why they have no law.
pub(crate) fn run(text: &str, args: &FitArgs) -> Result<Fitted, Vec<Fault>> {
    let one = |fault| vec![fault];
    let table = table::parse(text)?;
    let read = columns::read(&table, args)?;
    let rule = match (args.drop_highest, args.min_tokens_per_param) {
        (Some(count), _) => Rule::Highest(count),
        (None, Some(least)) => Rule::TokensPerParam(least),
        (None, None) => Rule::All,
    };
    let kept = keep(&read.runs, rule);
    let runs = kept.runs;
    let found = fit(&runs, args.delta).map_err(|unfit| one(words::unfit(&unfit, &read, kept.dropped)))?;
    let ranges = ranges(&runs).ok_or_else(|| one(Fault::new("there are no runs".to_owned())))?;
    let parabolas = approach(&runs, WINDOW);
    let optima = parabolas.budgets.iter().filter(|budget| budget.lowest.is_ok()).count();
    let most = ranges.flops.high;
    let bootstrap = bootstrap(&runs, &found, args.delta, args.bootstrap as usize, args.seed);
    let held_out = hold_out(&runs, args.delta).ok();
    Ok(Fitted {
        doubts: doubts(&runs, &found, &bootstrap, held_out.as_ref()),
        bootstrap,
        held_out,
        folds: folds(&runs, args.delta, FOLDS).ok(),
        approach: (optima >= FEWEST_BUDGETS).then_some(parabolas),
        at: if args.at.is_empty() { vec![most, most * BEYOND] } else { args.at.clone() },
        dropped: kept.dropped,
        fit: found,
        read,
        rule,
        runs,
        ranges,
    })
}
