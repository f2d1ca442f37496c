//! A search over strategies: what is asked, what was found, and how the choice gets into the plan.

mod apply;
mod json;
mod render;
mod words;

pub(crate) use apply::edited;
pub(crate) use json::json;
pub(crate) use render::text;

use llmplan_analysis::cluster::Strategy;
use llmplan_analysis::graph::lower;
use llmplan_analysis::search::prune::Bounds;
use llmplan_analysis::search::space::offloads;
use llmplan_analysis::search::{
    Arithmetic, Candidate, Found, Knob, Objective, Options, Space, best, judge, search, workload,
};
use llmplan_spec::plan::{BytesConvention, Plan};
use llmplan_spec::source::Sources;
use llmplan_spec::units::format::{BytePrefix, quantity};
use llmplan_spec::units::{Number, Unit};
use rayon::ThreadPoolBuilder;

use crate::args::{Kept, SearchArgs, Wanted};

/// What was found for a plan.
pub(crate) struct Searched {
    /// What was asked for.
    pub(crate) objective: Objective,
    /// The plan's own strategy, where it can run.
    pub(crate) declared: Option<Strategy>,
    /// Whether it could look at offloading.
    pub(crate) offloads: bool,
    /// What it found.
    pub(crate) found: Found,
    /// What nothing dominates, judged by the plan's requirements.
    pub(crate) candidates: Vec<Candidate>,
    /// The place of the best among them.
    pub(crate) best: Option<usize>,
}

impl Searched {
    /// The best, where it meets every requirement.
    pub(crate) fn winner(&self) -> Option<&Candidate> {
        self.best.and_then(|place| self.candidates.get(place)).filter(|own| own.holds)
    }
}

/// Searches for the best strategy of a plan.
///
/// # Errors
/// What the plan lacks for it, in a line.
pub(crate) fn run(plan: &Plan, sources: &Sources, args: &SearchArgs) -> Result<Searched, String> {
    let keep: Vec<Knob> = args.keep.iter().map(|own| knob(*own)).collect();
    best_of(plan, sources, objective(args.objective), &keep, args.threads.map_or(0, usize::from))
}

/// The strategy of the shortest step that fits and meets the plan's requirements, in words; `None` where there is none.
///
/// # Errors
/// What the plan lacks for a search, in a line.
pub(crate) fn shortest(plan: &Plan, sources: &Sources) -> Result<Option<String>, String> {
    let searched = best_of(plan, sources, Objective::Time, &[], 0)?;
    let bytes = match plan.convention.bytes {
        BytesConvention::Decimal => BytePrefix::Decimal,
        BytesConvention::Binary => BytePrefix::Binary,
    };
    Ok(searched.winner().map(|own| {
        let memory = quantity(Number::Real(own.point.bytes as f64), Unit::BYTES, 4, bytes);
        format!(
            "{} a step, {memory}: {}",
            words::seconds(own.point.seconds),
            words::brief(&own.point.strategy)
        )
    }))
}

fn best_of(
    plan: &Plan,
    sources: &Sources,
    objective: Objective,
    keep: &[Knob],
    threads: usize,
) -> Result<Searched, String> {
    let graph = lower(&plan.model);
    let workload = workload(plan, &graph)?;
    let space = Space::of(&plan.model, &workload, objective.varies_devices(), keep);
    let engine = Arithmetic::new(workload, &space)?;
    let threads = ThreadPoolBuilder::new().num_threads(threads).build();
    // Where no thread can be started, this one does it alone.
    let options = Options { prune: true, pool: threads.as_ref().ok() };
    let found = search(&engine, &workload, &space, &Bounds::of(plan), options);
    let candidates = judge(plan, sources, &found);
    let best = best(&candidates, objective);
    let declared = Strategy::of(workload.training, workload.hardware.devices);
    Ok(Searched { objective, declared, offloads: offloads(&workload), found, candidates, best })
}

fn objective(wanted: Wanted) -> Objective {
    match wanted {
        Wanted::Time => Objective::Time,
        Wanted::Cost => Objective::Cost,
        Wanted::Memory => Objective::Memory,
        Wanted::Devices => Objective::Devices,
    }
}

fn knob(kept: Kept) -> Knob {
    match kept {
        Kept::Tensor => Knob::Tensor,
        Kept::Pipeline => Knob::Pipeline,
        Kept::Context => Knob::Context,
        Kept::Expert => Knob::Expert,
        Kept::Zero => Knob::Zero,
        Kept::Schedule => Knob::Schedule,
        Kept::MicroBatch => Knob::MicroBatch,
        Kept::Checkpointing => Knob::Checkpointing,
        Kept::Offload => Knob::Offload,
    }
}
