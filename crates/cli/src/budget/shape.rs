//! The best model as a shape, resolved and analysed as a plan of its own, and written into a file.

use llmplan_analysis::budget::optimum::{Bounds, best, loss_with};
use llmplan_analysis::budget::sequence;
use llmplan_analysis::budget::shape::{Degrees, NoShape, Shape, counted, shape};
use llmplan_analysis::report::Report;
use llmplan_analysis::search::{Change, Choice};
use llmplan_spec::plan::{Mixer, Origin, Plan};
use llmplan_spec::source::Sources;
use llmplan_spec::units::format::literal;

use super::{Answer, number};
use crate::edit::{Assignment, changed};
use crate::examine::{Examined, Outcome, examine};
use crate::inputs::Input;

/// Digits of the tokens that are proposed.
const DIGITS: u32 = 4;

/// A shape, and what becomes of the plan with it.
pub(crate) struct Proposal {
    /// The shape.
    pub(crate) shape: Shape,
    /// Its parameters over N*, less 1.
    pub(crate) gap: f64,
    /// D: what its exact FLOPs leave of the budget, or what data there is.
    pub(crate) tokens: u64,
    /// Loss by the plan's law, in nats per token, where it has one.
    pub(crate) loss: Option<f64>,
    /// What the file would have to say otherwise.
    pub(crate) changes: Vec<Change>,
    /// The plan with it.
    pub(crate) outcome: Outcome,
    /// Every text that was read for it.
    pub(crate) sources: Sources,
}

impl Proposal {
    /// The report of the plan with it.
    pub(crate) fn report(&self) -> Option<&Report> {
        self.outcome.report.as_ref()
    }
}

/// What a shape is asked for.
pub(super) struct Question<'q> {
    pub(super) input: &'q Input,
    /// Statements that are set.
    pub(super) set: &'q [String],
    pub(super) examined: &'q Examined,
    /// The place of the plan.
    pub(super) at: usize,
    pub(super) bounds: &'q Bounds,
}

impl Question<'_> {
    /// The shape for an amount of compute, with the tokens that its own FLOPs leave.
    ///
    /// # Errors
    /// Why there is none, as half a sentence.
    pub(super) fn propose(&self, compute: f64) -> Result<Proposal, String> {
        let plan = &self.outcome().plan;
        let found = best(&plan.law, compute, self.bounds)
            .ok_or_else(|| format!("`{}` does not say what is best", plan.law.name))?;
        let degrees = Degrees::of(plan);
        let shape = shape(&plan.model, found.params, plan.law.params, sequence(plan), degrees)
            .map_err(|none| words(&none, found.params))?;
        let (first, _) = self.resolved(&shape, whole(found.tokens))?;
        let report = first.report.as_ref().ok_or_else(|| fault(&first))?;
        let each = number(report, "flops.training_per_token").ok_or("its FLOPs cannot be counted")?;
        let serving = number(report, "flops.inference_per_token")
            .or_else(|| number(report, "flops.forward_per_token"))
            .unwrap_or(0.0);
        // The efficiency is the shape's own, where it is modelled.
        let compute = number(report, "budget.flops").unwrap_or(compute);
        let left = (compute - self.bounds.served * serving) / each;
        let most = self.bounds.supply.as_ref().map_or(f64::INFINITY, |supply| supply.most());
        let tokens = whole(left.min(most));
        if tokens == 0 {
            return Err("serving takes all of the budget".to_owned());
        }
        let (outcome, sources) = self.resolved(&shape, tokens)?;
        if outcome.report.is_none() {
            return Err(fault(&outcome));
        }
        let loss = loss_with(&plan.law, self.bounds.supply.as_ref(), shape.counted as f64, tokens as f64);
        let changes = changes(plan, &shape, tokens);
        Ok(Proposal { gap: shape.gap(found.params), shape, tokens, loss, changes, outcome, sources })
    }

    /// The plan with a shape, read and analysed anew.
    fn resolved(&self, shape: &Shape, tokens: u64) -> Result<(Outcome, Sources), String> {
        let plan = &self.outcome().plan;
        let written =
            all(plan, shape, tokens).into_iter().map(|change| format!("{} = {}", change.path, change.value));
        let set: Vec<String> = self.set.iter().cloned().chain(written).collect();
        let text = self.examined.sources.get(plan.span.file).text.clone();
        // Standard input was read already.
        let mut again = text.as_bytes();
        let mut examined = examine(self.input, &set, &mut again)?;
        if self.at >= examined.plans.len() {
            let why = examined.diagnostics.first().map(|own| own.title.clone()).unwrap_or_default();
            return Err(format!("the plan does not take it: {why}"));
        }
        let outcome = examined.plans.swap_remove(self.at);
        let sequence = sequence(&outcome.plan);
        if counted(&outcome.plan.model, plan.law.params, sequence) != Some(shape.counted) {
            return Err("the file's model has parts that its own attributes do not set".to_owned());
        }
        Ok((outcome, examined.sources))
    }

    fn outcome(&self) -> &Outcome {
        &self.examined.plans[self.at]
    }
}

/// The text of the plan's file with a proposal in it.
///
/// # Errors
/// Why it cannot be written, in a line.
pub(crate) fn edited(input: &Input, answer: &Answer, proposal: &Proposal) -> Result<String, String> {
    let plan = answer.plan();
    let wanted = Some(proposal.shape.counted);
    let values: Vec<Assignment> =
        proposal.changes.iter().map(|change| (change.path.to_owned(), written(change))).collect();
    changed(input, &answer.examined, plan, &values, &|new| {
        counted(&new.model, plan.law.params, sequence(new)) == wanted
            && new.data.as_ref().map(|data| data.tokens) == Some(proposal.tokens)
    })
}

/// A value as plans spell it.
fn written(change: &Change) -> String {
    match change.value {
        Choice::Count(count) if change.path == "data.tokens" => tokens(count),
        Choice::Count(count) => literal(count.into()),
        Choice::Word(word) => word.to_owned(),
    }
}

/// `1.27T` where three decimals say it exactly, else the number in full.
fn tokens(count: u64) -> String {
    const MAGNITUDES: [(u64, &str); 3] = [(1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M")];
    let Some((unit, suffix)) = MAGNITUDES.into_iter().find(|(unit, _)| count >= *unit) else {
        return literal(count.into());
    };
    let thousandths = count % unit / (unit / 1000);
    if !count.is_multiple_of(unit / 1000) {
        return literal(count.into());
    }
    let decimals = format!("{thousandths:03}");
    match decimals.trim_end_matches('0') {
        "" => format!("{}{suffix}", count / unit),
        decimals => format!("{}.{decimals}{suffix}", count / unit),
    }
}

fn fault(outcome: &Outcome) -> String {
    let first = outcome.faults.first().map(|fault| fault.title.clone()).unwrap_or_default();
    format!("the plan cannot run it: {first}")
}

fn words(none: &NoShape, params: f64) -> String {
    match none {
        NoShape::Kinds(why) => format!("{why}: which of them to scale is for you to say"),
        NoShape::None(None) => "no width of such a model can be divided as the plan does".to_owned(),
        NoShape::None(Some(nearest)) => format!(
            "no such model is within 1%: the nearest has {:.0}% of these parameters, with {} layers and a width of {}",
            100.0 * (1.0 + nearest.gap(params)),
            nearest.layers,
            nearest.d_model,
        ),
    }
}

/// Every attribute that makes a shape.
fn all(plan: &Plan, shape: &Shape, tokens: u64) -> Vec<Change> {
    let mut all = vec![
        Change { path: "model.layers", value: Choice::Count(shape.layers) },
        Change { path: "model.d_model", value: Choice::Count(shape.d_model) },
        Change { path: "model.attention.heads", value: Choice::Count(shape.heads) },
        Change { path: "model.attention.kv_heads", value: Choice::Count(shape.kv_heads) },
        Change { path: "model.attention.head_dim", value: Choice::Count(shape.head_dim) },
    ];
    if let Some(d_ff) = shape.d_ff {
        let path = if plan.model.has_experts() { "model.moe.d_ff" } else { "model.ffn.d_ff" };
        all.push(Change { path, value: Choice::Count(d_ff) });
        let shared = shape.model.kinds.iter().find_map(|kind| match &kind.layer.feed_forward {
            llmplan_spec::plan::FeedForward::Moe(own) if own.shared_experts > 0 => Some(own.shared_d_ff),
            _ => None,
        });
        if let Some(shared) = shared {
            all.push(Change { path: "model.moe.shared_d_ff", value: Choice::Count(shared) });
        }
    }
    all.push(Change { path: "data.tokens", value: Choice::Count(tokens) });
    all
}

/// Those of them that the file does not say already, and that do not follow from the others.
fn changes(plan: &Plan, shape: &Shape, tokens: u64) -> Vec<Change> {
    let declared =
        |path: &str| plan.setting(path).is_some_and(|setting| matches!(setting.origin, Origin::Declared(_)));
    let mut changes = all(plan, shape, tokens);
    changes.retain(|change| {
        let follows = match change.path {
            "model.attention.kv_heads" => shape.kv_heads == shape.heads,
            "model.attention.head_dim" => shape.heads * shape.head_dim == shape.d_model,
            "model.moe.shared_d_ff" => Choice::Count(shape.d_ff.unwrap_or(0)) == change.value,
            _ => false,
        };
        let same = value(plan, change.path) == Some(change.value) && declared(change.path);
        !same && (declared(change.path) || !follows)
    });
    changes
}

/// The plan's own value.
fn value(plan: &Plan, path: &str) -> Option<Choice> {
    let layer = plan.model.kinds.first().map(|kind| &kind.layer)?;
    let attention = match &layer.mixer {
        Mixer::Attention(own) => Some(own),
        _ => None,
    };
    use llmplan_spec::plan::FeedForward::{Dense, Moe};
    let count = match (path, &layer.feed_forward) {
        ("model.layers", _) => plan.model.layers,
        ("model.d_model", _) => plan.model.d_model,
        ("model.attention.heads", _) => attention?.heads,
        ("model.attention.kv_heads", _) => attention?.kv_heads,
        ("model.attention.head_dim", _) => attention?.head_dim,
        ("model.ffn.d_ff", Dense(own)) => own.d_ff,
        ("model.moe.d_ff", Moe(own)) => own.d_ff,
        ("model.moe.shared_d_ff", Moe(own)) => own.shared_d_ff,
        ("data.tokens", _) => plan.data.as_ref()?.tokens,
        _ => return None,
    };
    Some(Choice::Count(count))
}

/// Tokens rounded down to a few digits.
fn whole(tokens: f64) -> u64 {
    if !tokens.is_finite() || tokens < 1.0 {
        return 0;
    }
    let tokens = tokens.min(1e18) as u64;
    let unit = 10_u64.pow(tokens.ilog10().saturating_sub(DIGITS - 1));
    tokens / unit * unit
}
