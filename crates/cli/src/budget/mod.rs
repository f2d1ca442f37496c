//! The best model for a budget: the question put to the analysis, and its answer examined like any plan.

mod json;
mod render;
mod shape;

pub(crate) use json::json;
pub(crate) use render::text;
pub(crate) use shape::{Proposal, edited};

use std::io::Read;

use llmplan_analysis::budget::optimum::{Best, Bounds, best};
use llmplan_analysis::budget::{LIMITS, band, bounds};
use llmplan_analysis::missing::why;
use llmplan_analysis::report::Report;
use llmplan_spec::plan::{LawParams, Plan};

use crate::args::{BudgetArgs, Paid};
use crate::commands::explain::choose;
use crate::examine::{Examined, Outcome, examine};
use crate::exit::Exit;
use crate::inputs::Input;
use crate::output::Output;
use crate::render::diagnostic;

/// What is best for a budget.
pub(crate) struct Answer {
    /// The file, as the user wrote it.
    pub(crate) file: String,
    /// The file as it was read.
    pub(crate) examined: Examined,
    /// The place of the plan in it.
    at: usize,
    /// What the budget pays for.
    pub(crate) paid: Paid,
    /// FLOP that the tightest limit leaves, at the efficiency of the model that is proposed.
    pub(crate) compute: f64,
    /// What bounds the model beside compute.
    pub(crate) bounds: Bounds,
    /// N*, D* and L*.
    pub(crate) best: Best,
    /// What every law says, by parameters.
    pub(crate) band: Vec<Opinion>,
    /// The model as a shape, or why there is none.
    pub(crate) proposal: Result<Proposal, String>,
    /// Where that does not fit the devices and a search was wanted, what it found.
    pub(crate) strategy: Option<String>,
}

/// What a law says.
pub(crate) struct Opinion {
    /// Its name.
    pub(crate) law: String,
    /// What it counts as N.
    pub(crate) params: LawParams,
    /// N*, D* and L*.
    pub(crate) best: Best,
    /// Whether its loss can be compared with that of the plan's law.
    pub(crate) comparable: bool,
}

impl Answer {
    /// The plan as declared.
    pub(crate) fn plan(&self) -> &Plan {
        &self.outcome().plan
    }

    /// Its report.
    pub(crate) fn report(&self) -> Option<&Report> {
        self.outcome().report.as_ref()
    }

    /// The report that the answer is of: the proposal's, else the plan's.
    pub(crate) fn final_report(&self) -> Option<&Report> {
        self.proposal.as_ref().ok().and_then(Proposal::report).or_else(|| self.report())
    }

    fn outcome(&self) -> &Outcome {
        &self.examined.plans[self.at]
    }
}

/// How often the efficiency of a proposed model may change what is proposed.
const ROUNDS: usize = 4;

/// The best model for the budget of a plan.
///
/// # Errors
/// How the program should end, and why; nothing where that has been told.
pub(crate) fn answer(
    input: &Input,
    args: &BudgetArgs,
    stdin: &mut dyn Read,
    output: &mut Output<'_>,
) -> Result<Answer, (Exit, String)> {
    let law = args.law.iter().map(|name| format!("law = {name}"));
    let set: Vec<String> = args.set.iter().chain(&args.budget).cloned().chain(law).collect();
    let trouble = |trouble: String| (Exit::Trouble, trouble);
    let examined = examine(input, &set, stdin).map_err(trouble)?;
    output.talk(&diagnostic::all(
        &examined.diagnostics,
        &examined.sources,
        &examined.file,
        output.stderr_paint(),
    ));
    let file = examined.file.clone();
    let chosen = choose(&examined.plans, args.plan.as_deref(), &file, output)?;
    let at = examined.plans.iter().position(|own| std::ptr::eq(own, chosen)).unwrap_or(0);
    let report = chosen.report.as_ref().ok_or((Exit::PlanAtFault, String::new()))?;
    let plan = &chosen.plan;
    let compute = spendable(plan, report)?;
    let served = args.objective == Paid::Lifetime;
    let bounds = bounds(plan, served);
    if served && bounds.served <= 0.0 {
        let why = "--objective lifetime needs `inference.demand`: the tokens that will be served";
        return Err((Exit::PlanAtFault, why.to_owned()));
    }
    let question = shape::Question { input, set: &set, examined: &examined, at, bounds: &bounds };
    let mut now = compute;
    let mut proposal = question.propose(now);
    for _ in 1..ROUNDS {
        let flops = proposal
            .as_ref()
            .ok()
            .and_then(Proposal::report)
            .and_then(|report| number(report, "budget.flops"));
        let Some(flops) = flops.filter(|flops| (flops / now - 1.0).abs() > 1e-9) else { break };
        now = flops;
        proposal = question.propose(now);
    }
    let best = best(&plan.law, now, &bounds)
        .ok_or_else(|| (Exit::PlanAtFault, format!("`{}` does not say what is best", plan.law.name)))?;
    let own = &plan.law;
    let band = band(plan, now, &bounds).into_iter().map(|(law, best)| Opinion {
        law: law.name.clone(),
        params: law.params,
        best,
        comparable: law.name == own.name || own.tokenizer.is_some() && law.tokenizer == own.tokenizer,
    });
    let band = band.collect();
    let strategy = proposal.as_ref().ok().filter(|own| args.search && !fits(own)).map(searched);
    Ok(Answer {
        strategy,
        file,
        at,
        paid: args.objective,
        compute: now,
        best,
        band,
        proposal,
        bounds,
        examined,
    })
}

/// Whether a proposal fits its devices, as far as is known.
fn fits(proposal: &Proposal) -> bool {
    proposal
        .report()
        .and_then(|report| number(report, "memory.device_share"))
        .is_none_or(|share| share <= 1.0)
}

/// What a search finds for a proposal, in words.
fn searched(proposal: &Proposal) -> String {
    match crate::search::shortest(&proposal.outcome.plan, &proposal.sources) {
        Ok(Some(found)) => format!("The best that `llmplan search` finds for it takes {found}."),
        Ok(None) => "`llmplan search` finds no strategy that fits and meets the requirements.".to_owned(),
        Err(why) => format!("There is nothing to search: {why}."),
    }
}

/// The FLOP that there are, or what keeps them from being known.
fn spendable(plan: &Plan, report: &Report) -> Result<f64, (Exit, String)> {
    let fault = |why: String| Err((Exit::PlanAtFault, why));
    if plan.budget.is_none() {
        return fault(format!(
            "plan `{}` has no budget; add `budget {{ … }}`, or --budget 'compute=1e21 FLOP'",
            plan.name
        ));
    }
    if plan.training.as_ref().is_some_and(|training| training.lora.is_some()) {
        return fault("a law is of pretraining: with adapters a budget has no best model".to_owned());
    }
    let Some(flops) = number(report, "budget.flops") else {
        return fault(format!("the budget cannot be turned into FLOP: {}", lacking(plan, report)));
    };
    // What is too small for anything has been told.
    if report.get("budget.optimal_params").is_none() { fault(String::new()) } else { Ok(flops) }
}

/// What keeps the limits of a budget from being turned into FLOP.
fn lacking(plan: &Plan, report: &Report) -> String {
    let declared = LIMITS.iter().filter(|(word, _)| plan.setting(&format!("budget.{word}")).is_some());
    let mut needs: Vec<String> = Vec::new();
    let mut said: Vec<String> = Vec::new();
    for (_, path) in declared {
        let why = why(path, plan, &|path| report.get(path).is_some(), &report.unmodelled);
        needs.extend(why.needs.into_iter().map(|need| format!("`{need}`")));
        said.extend(why.instead.into_iter().chain(why.reasons));
    }
    needs.dedup();
    said.dedup();
    let needs = if needs.is_empty() { String::new() } else { format!("it needs {}", needs.join(", ")) };
    let all: Vec<String> = [needs].into_iter().chain(said).filter(|own| !own.is_empty()).collect();
    all.join("; ")
}

pub(super) fn number(report: &Report, path: &str) -> Option<f64> {
    report.get(path).and_then(|quantity| quantity.value.number())
}
