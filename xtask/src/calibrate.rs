//! `cargo xtask calibrate`: fits what each generation of devices reaches of its data sheets to published step times, and
//! says how far a fit is from a group of rows that it has not seen.

mod fit;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

use llmplan_analysis::cluster::Strategy;
use llmplan_analysis::graph::{Graph, lower};
use llmplan_spec::plan::{Generation, Hardware, Plan};

use crate::Failure;
use crate::accuracy::{Case, cases, resolved};
use fit::{Fit, mean_error};

/// Groups that no fit sees, as their steps hold more than what the constants stand for; the errors of the fits to all
/// others are held against them.
const UNSEEN: [&str; 4] = [
    // A fault of PCIe and NUMA until it was found, and optimizers that were tried out.
    "bloom-prequel",
    // Device-hours of whole runs, whatever happened in them.
    "full-run",
    // Two clusters whose network is not stated.
    "mt-nlg",
    "zero3",
];
/// The fewest rows of a group that a fit is held against.
const LEAST_ROWS: usize = 2;

/// A measured step: all that its prediction needs, but for the constants.
pub(crate) struct Problem {
    /// The group that it is of.
    pub(crate) group: String,
    /// Its plan.
    pub(crate) plan: Plan,
    /// The hardware, whose constants are tried out.
    pub(crate) hardware: Hardware,
    /// The model's operators.
    pub(crate) graph: Graph,
    /// T: tokens of a sequence.
    pub(crate) tokens: u64,
    /// How it is divided.
    pub(crate) strategy: Strategy,
    /// Seconds of a step.
    pub(crate) measured: f64,
}

/// Fits the constants of every generation that has rows, or of one, and prints them with their errors; with `write`, into
/// the catalog below `root`.
///
/// # Errors
/// What keeps a file from being read or written.
pub(crate) fn run(root: &Path, data: &Path, only: Option<&str>, save: bool) -> Result<(), Failure> {
    let found = cases(data).map_err(Failure::Trouble)?;
    let generic = generic().map_err(Failure::Trouble)?;
    let mut generations: BTreeMap<String, Vec<Problem>> = BTreeMap::new();
    for case in found.cases {
        let name = case.generation().to_owned();
        if only.is_none_or(|only| only == name)
            && let Some(problem) = problem(case)
        {
            generations.entry(name).or_default().push(problem);
        }
    }
    for (name, problems) in &generations {
        let Some(first) = problems.first() else { continue };
        let known = first.hardware.device.generation.clone();
        // From the same figures every time, and from none that a fit has seen.
        let start = Generation {
            name: known.name.clone(),
            processors: known.processors,
            tile_rows: known.tile_rows,
            tile_columns: known.tile_columns,
            ..generic.clone()
        };
        let fitted = fit::fit(&seen(problems, ""), &start);
        let held_out = left_out(problems, &start);
        print(name, problems, &known, &fitted, &held_out);
        if save {
            let error = mean(held_out.values().copied()).unwrap_or(fitted.error);
            write::constants(root, name, &fitted.constants, error).map_err(Failure::Trouble)?;
        }
    }
    Ok(())
}

/// The constants of devices that no rows are known of: where fits start.
fn generic() -> Result<Generation, String> {
    let text = "model m {\n layers = 1\n d_model = 1\n vocab = 1\n attention {\n heads = 1\n }\n}\n\
                device d {\n generation = generic\n}\nhardware {\n device = d\n devices = 1\n}\n";
    let plan = resolved(text)?.plan;
    let hardware = plan.hardware.ok_or("the probe has no hardware")?;
    Ok(hardware.device.generation)
}

/// A case as a problem; `None` where no step was measured or the plan has no strategy.
fn problem(case: Case) -> Option<Problem> {
    let measured = case.measured_seconds()?;
    let plan = case.plan;
    let (training, hardware) = (plan.training.as_ref()?, plan.hardware.clone()?);
    let strategy = Strategy::of(training, hardware.devices)?;
    let tokens = training.sequence.or(plan.model.context)?;
    let graph = lower(&plan.model);
    Some(Problem { group: case.group, plan, hardware, graph, tokens, strategy, measured })
}

/// For each group of rows, the mean error of a fit to all others.
fn left_out(problems: &[Problem], start: &Generation) -> BTreeMap<String, f64> {
    let mut names: Vec<&str> = problems.iter().map(|problem| problem.group.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut found = BTreeMap::new();
    for name in names {
        let own: Vec<&Problem> = problems.iter().filter(|problem| problem.group == name).collect();
        let others = seen(problems, name);
        if own.len() < LEAST_ROWS || others.is_empty() {
            continue;
        }
        let fitted = fit::fit(&others, start);
        found.insert(name.to_owned(), mean_error(&own, &fitted.constants));
    }
    if found.is_empty() {
        found.insert("every other row".to_owned(), by_halves(problems, start));
    }
    found
}

/// Where all rows are of one group: the mean error of each half under a fit to the other.
fn by_halves(problems: &[Problem], start: &Generation) -> f64 {
    let half = |odd: usize| -> Vec<&Problem> { problems.iter().skip(odd).step_by(2).collect() };
    let (even, odd) = (half(0), half(1));
    let error = |seen: &[&Problem], own: &[&Problem]| mean_error(own, &fit::fit(seen, start).constants);
    f64::midpoint(error(&even, &odd), error(&odd, &even))
}

/// The problems that a fit sees which leaves a group out.
fn seen<'p>(problems: &'p [Problem], left_out: &str) -> Vec<&'p Problem> {
    let seen = |problem: &&Problem| problem.group != left_out && !UNSEEN.contains(&problem.group.as_str());
    problems.iter().filter(seen).collect()
}

fn print(
    name: &str,
    problems: &[Problem],
    start: &Generation,
    fitted: &Fit,
    held_out: &BTreeMap<String, f64>,
) {
    println!("\n{name}: {} steps", problems.len());
    for constant in fit::CONSTANTS {
        let (before, after) = ((constant.get)(start), (constant.get)(&fitted.constants));
        println!("  {:20} {before:>12.6} -> {after:.6}", constant.name);
    }
    println!("  {:20} {:>8} {:>10} {:>10} {:>12}", "group", "rows", "before", "fitted", "left out");
    let mut groups: BTreeMap<&str, Vec<&Problem>> = BTreeMap::new();
    for problem in problems {
        groups.entry(&problem.group).or_default().push(problem);
    }
    for (group, own) in &groups {
        let percent = |error: f64| format!("{:.1}%", error * 100.0);
        let unseen = held_out.get(*group).map_or_else(|| "-".to_owned(), |error| percent(*error));
        println!(
            "  {group:20} {:>8} {:>10} {:>10} {unseen:>12}",
            own.len(),
            percent(mean_error(own, start)),
            percent(mean_error(own, &fitted.constants)),
        );
    }
    if let Some(error) = mean(held_out.values().copied()) {
        println!("  mean over groups that a fit has not seen: {:.1}%", error * 100.0);
    }
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0), |(sum, count), number| (sum + number, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}
