//! What is said of a broken requirement: the smallest change that meets it, and the edit where the file declares it.

use llmplan_analysis::levers::{Change, LEAST, LossEffect, Met, Remedy, remedies};
use llmplan_analysis::report::Report;
use llmplan_spec::diagnostic::{Diagnostic, Fix};
use llmplan_spec::plan::{Origin, Plan};
use llmplan_spec::source::{FileId, SourceKind};
use llmplan_spec::units::format::{plain, signed_percent};

use super::bench::{self, Bench};
use crate::examine::{Examined, Outcome};
use crate::inputs::Input;
use crate::render::diagnostic;
use crate::render::text::groups;

/// Plans of one file whose requirements are looked at.
const MOST: usize = 4;
/// Beyond these each trial takes so long that `check` would: bytes of the file, its plans with their variants, and
/// different layers of a model.
const LARGEST: (usize, usize, usize) = (64 << 10, 16, 64);

/// Looks for what would meet the requirements that plans of an input break; variants of one plan answer that themselves.
pub(crate) fn find(input: &Input, examined: &mut Examined, set: &[String]) {
    let (bytes, plans, kinds) = LARGEST;
    if examined.sources.get(FileId(0)).text.len() > bytes || examined.plans.len() > plans {
        return;
    }
    let lacking = |own: &Outcome| {
        own.plan.variant.is_empty()
            && own.plan.model.kinds.len() <= kinds
            && own.report.as_ref().is_some_and(|report| !report.holds())
    };
    let places: Vec<usize> =
        examined.plans.iter().enumerate().filter(|(_, own)| lacking(own)).map(|(place, _)| place).collect();
    for place in places.into_iter().take(MOST) {
        let Some(outcome) = examined.plans.get(place) else { continue };
        let Some(before) = bench::examined(outcome) else { continue };
        let bench = Bench::new(input, examined, &outcome.plan, set);
        let found = remedies(&outcome.plan, &before, &|changes| bench.attempt(changes));
        if let Some(outcome) = examined.plans.get_mut(place) {
            outcome.remedies = found;
        }
    }
}

/// The conditions that a plan does not meet, each as a diagnostic with what would meet it.
pub(crate) fn broken(examined: &Examined, outcome: &Outcome) -> Vec<Diagnostic> {
    let judgements = outcome.report.iter().flat_map(|report: &Report| &report.requirements).enumerate();
    judgements
        .filter(|(_, judgement)| !judgement.holds)
        .map(|(place, judgement)| {
            let found = diagnostic::broken(judgement);
            match outcome.remedies.iter().find(|own| own.requirement == place) {
                Some(remedy) => advised(found, remedy, examined, &outcome.plan),
                None => found,
            }
        })
        .collect()
}

/// A diagnostic with what would meet its requirement.
fn advised(diagnostic: Diagnostic, remedy: &Remedy, examined: &Examined, plan: &Plan) -> Diagnostic {
    if let Some(met) = &remedy.met {
        let (setting, consequences) = (setting(&met.change), consequences(met));
        return match fix(met, examined, plan) {
            Some(Fix { span, replacement }) => diagnostic
                .help(format!("with {setting} {consequences}"))
                .help(format!("set {setting}"))
                .fix(span, replacement),
            None => diagnostic.help(format!("set {setting}: {consequences}")),
        };
    }
    let mut diagnostic = match &remedy.nearest {
        Some(near) => diagnostic.help(format!(
            "no single change meets it; nearest comes {}: with it {}",
            setting(&near.change),
            consequences(near)
        )),
        None if remedy.barred.is_some() => diagnostic.help("no single change meets it"),
        None => diagnostic.help("no single change meets it, or comes nearer"),
    };
    if let Some(barred) = &remedy.barred {
        let setting = setting(&barred.change);
        let would = if barred.meets { "would meet it" } else { "would come nearer" };
        diagnostic = diagnostic.help(match &barred.broken {
            Some(broken) => format!("{setting} {would}, but `{broken}` no longer holds then"),
            None => format!("{setting} {would}, but it needs more memory than there is"),
        });
    }
    diagnostic
}

/// The edit of a change, where the file declares the attribute, and nothing else takes its value from there.
pub(crate) fn fix(met: &Met, examined: &Examined, plan: &Plan) -> Option<Fix> {
    let [assignment] = met.change.assignments.as_slice() else { return None };
    let Origin::Declared(span) = plan.setting(&assignment.path)?.origin else { return None };
    let own = span.file == FileId(0) && examined.sources.get(span.file).kind == SourceKind::File;
    let alone = groups(&examined.plans).len() == 1;
    (own && alone && met.loss != LossEffect::Unknown)
        .then(|| Fix { span, replacement: assignment.to.clone() })
}

/// `` `hardware.nodes = 16` ``
fn setting(change: &Change) -> String {
    let values = change.assignments.iter().map(|own| format!("`{} = {}`", own.path, own.to));
    values.collect::<Vec<_>>().join(" and ")
}

/// `this is 20.9 days: time -50%, cost +0.02%`
fn consequences(met: &Met) -> String {
    let mut moved: Vec<String> = met
        .differences
        .iter()
        .filter(|own| own.share().abs() >= LEAST)
        .map(|own| format!("{} {}", own.word(), signed_percent(own.share())))
        .collect();
    match (met.gain, met.loss) {
        (Some(gain), _) => moved.push(format!("a compute-equivalent gain of ×{}", plain(gain, 3))),
        (None, LossEffect::Same) => {}
        (None, _) => moved.push("what it does to the loss has to be measured".to_owned()),
    }
    let moved = if moved.is_empty() { String::new() } else { format!(": {}", moved.join(", ")) };
    format!("this is {}{moved}", met.value)
}
