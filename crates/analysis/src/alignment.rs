//! Alignment: what each stage computes, holds, takes and costs. No law of reward against compute is trusted enough to be
//! here: nothing is said of how good a model becomes.

mod cost;
mod decode;
mod flops;
mod memory;
mod split;
mod time;

use llmplan_spec::plan::{Plan, Stage};

use crate::graph::Graph;
use crate::quantities::Quantities;
use crate::report::Grade;

/// Every stage, and their sums.
pub(crate) fn run(q: &mut Quantities<'_>, graph: &Graph) {
    let plan = q.plan;
    let Some(alignment) = &plan.alignment else { return };
    for stage in &alignment.stages {
        let own = Own { stage, plan };
        flops::run(q, own, graph);
        memory::models(q, own);
        if let Some(hardware) = &plan.hardware {
            time::run(q, own, hardware);
        }
        cost::run(q, own);
    }
    for leaf in ["flops", "time", "cost"] {
        let parts: Vec<String> =
            alignment.stages.iter().map(|stage| format!("alignment.{}.{leaf}", stage.name)).collect();
        if !parts.is_empty() && parts.iter().all(|part| q.get(part).is_some()) {
            q.derive(&format!("alignment.{leaf}"), &parts.join(" + "), "one stage after another");
        }
    }
}

/// Why a stage has no time, in a sentence; `None` where it has one, or the plan no such stage.
pub(crate) fn unmodelled(path: &str, plan: &Plan, known: &dyn Fn(&str) -> bool) -> Option<&'static str> {
    let mut segments = path.split('.');
    let name = segments.next().filter(|part| *part == "alignment").and_then(|_| segments.next())?;
    let stages = &plan.alignment.as_ref()?.stages;
    let whole = segments.next().is_none();
    let untimed = stages
        .iter()
        .find(|stage| (whole || stage.name == name) && !known(&format!("alignment.{}.time", stage.name)))?;
    let placed = known(&format!("alignment.{}.memory.states", untimed.name));
    plan.hardware.as_ref().map(|_| match placed && untimed.kind.generates() {
        true => "the weights that generate do not fit beside the models that are trained",
        false => "the device has no peak for its products, or no memory and bandwidth to generate with",
    })
}

/// One stage, and names of its figures as formulas read them.
#[derive(Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) plan: &'a Plan,
}

impl Own<'_> {
    /// The path of an attribute or quantity of the stage.
    pub(crate) fn path(&self, leaf: &str) -> String {
        format!("alignment.{}.{leaf}", self.stage.name)
    }

    /// A formula, with `@` for the stage: `@prompts * @samples`.
    pub(crate) fn formula(&self, text: &str) -> String {
        text.replace('@', &format!("alignment.{}.", self.stage.name))
    }

    /// Derives a quantity of the stage; `@` stands for it in the formula.
    pub(crate) fn derive(&self, q: &mut Quantities<'_>, leaf: &str, formula: &str, source: &str) {
        q.derive(&self.path(leaf), &self.formula(formula), source);
    }

    /// The same of an estimate: whole numbers are no counts of anything then.
    pub(crate) fn estimate(&self, q: &mut Quantities<'_>, leaf: &str, formula: &str, source: &str) {
        self.derive(q, leaf, formula, source);
        q.no_surer_than(&self.path(leaf), Grade::Modelled);
    }

    /// Whether a quantity of the stage is there.
    pub(crate) fn has(&self, q: &Quantities<'_>, leaf: &str) -> bool {
        q.get(&self.path(leaf)).is_some()
    }

    /// FLOPs of a token that passes another model forward: 2 for each of its parameters where they are declared, else the
    /// policy's.
    pub(crate) fn other(&self, params: Option<u64>, leaf: &str) -> String {
        match params {
            Some(_) => format!("2 FLOP * @{leaf}"),
            None => "@forward_per_token".to_owned(),
        }
    }

    /// Parameters of another model: those declared, else the policy's.
    pub(crate) fn params(&self, params: Option<u64>, leaf: &str) -> String {
        match params {
            Some(_) => format!("@{leaf}"),
            None => "model.params".to_owned(),
        }
    }

    /// Those of some quantities of the stage that are there, as the terms of a sum.
    pub(crate) fn sum(&self, q: &Quantities<'_>, leaves: &[&str]) -> Option<String> {
        let there: Vec<String> =
            leaves.iter().filter(|leaf| self.has(q, leaf)).map(|leaf| format!("@{leaf}")).collect();
        (!there.is_empty()).then(|| there.join(" + "))
    }
}

/// The parts of a stage's FLOPs, with what tables call them.
pub(crate) fn parts() -> impl Iterator<Item = (&'static str, &'static str)> {
    let labels = [
        "Generation",
        "Old log-probabilities",
        "Reference",
        "Reward model",
        "Judge",
        "Critic",
        "Teacher",
        "Training",
    ];
    flops::PARTS.into_iter().zip(labels)
}
