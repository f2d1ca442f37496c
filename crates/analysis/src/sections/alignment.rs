//! What is done after pretraining: a table of stages, one of what they compute, and notes on each.

use llmplan_spec::plan::{Reference, Stage, VerifierKind};
use llmplan_spec::units::format;

use super::{row, section, share};
use crate::alignment::{Own, parts as names};
use crate::quantities::Quantities;
use crate::report::{Row, Section};

/// Stages, one after another.
pub(super) fn stages(q: &Quantities<'_>) -> Section {
    let mut rows: Vec<Row> = own(q).map(|own| stage(q, own)).collect();
    if rows.len() > 1 {
        let cell = |leaf: &str| q.display(&format!("alignment.{leaf}"));
        let cells = ["All".to_owned(), String::new(), String::new(), cell("flops")];
        let rest = [cell("time"), String::new(), cell("cost"), q.range("alignment.cost")];
        rows.push(row("alignment.flops", cells.into_iter().chain(rest).collect(), true));
    }
    let mut notes: Vec<String> = own(q).flat_map(|own| notes(q, own)).collect();
    if !rows.is_empty() {
        notes.push(
            "Nothing is said of reward or accuracy: no law of either against compute holds beyond the runs that it was \
             fitted to."
                .to_owned(),
        );
    }
    section(
        "Alignment",
        &["Stage", "kind", "tokens", "FLOP", "time", "binds", "cost", "range"],
        0,
        rows,
        notes,
    )
}

/// What each stage computes, by part.
pub(super) fn parts(q: &Quantities<'_>) -> Section {
    let mut rows = Vec::new();
    for own in own(q) {
        let whole = own.path("flops");
        rows.push(row(&whole, cells(q, &own.stage.name, &whole, &whole), true));
        for (leaf, label) in names() {
            let path = own.path(leaf);
            if q.get(&path).is_some() {
                let mut cells = cells(q, label, &path, &whole);
                let time = leaf.replace("flops.", "time.");
                if let Some(cell) = cells.last_mut() {
                    *cell = q.display(&own.path(&time));
                }
                rows.push(Row { indent: 1, ..row(&path, cells, false) });
            }
        }
    }
    let passes = q.plan.hardware.is_some() && !rows.is_empty();
    let notes = passes.then(|| "The time of training has the passes of other models in it.".to_owned());
    let notes = notes.into_iter().collect();
    section("Alignment, by part", &["Part", "FLOP", "share", "time"], 0, rows, notes)
}

fn own<'q>(q: &Quantities<'q>) -> impl Iterator<Item = Own<'q>> {
    let plan = q.plan;
    plan.alignment.iter().flat_map(|alignment| &alignment.stages).map(move |stage| Own { stage, plan })
}

fn stage(q: &Quantities<'_>, own: Own<'_>) -> Row {
    let cell = |leaf: &str| q.display(&own.path(leaf));
    let cells = vec![
        own.stage.name.clone(),
        own.stage.kind.word().to_owned(),
        cell("tokens"),
        cell("flops"),
        cell("time"),
        cell("binds"),
        cell("cost"),
        q.range(&own.path("cost")),
    ];
    row(&own.path("flops"), cells, false)
}

fn cells(q: &Quantities<'_>, label: &str, path: &str, whole: &str) -> Vec<String> {
    let time = if path == whole { path.replace(".flops", ".time") } else { String::new() };
    vec![label.to_owned(), q.display(path), share(q, path, whole), q.display(&time)]
}

/// What is said of a stage below the table.
fn notes(q: &Quantities<'_>, own: Own<'_>) -> Vec<String> {
    let notes =
        [times(q, own), split(q, own), memory(q, own), signal(q, own), verifier(q, own), made(q, own)];
    notes.into_iter().flatten().collect()
}

/// How generation and training compare.
fn times(q: &Quantities<'_>, own: Own<'_>) -> Option<String> {
    let stage = own.stage;
    let cell = |leaf: &str| q.display(&own.path(leaf));
    if q.plan.hardware.is_some() && !own.has(q, "time") {
        return Some(match stage.kind.generates() && own.has(q, "memory.states") {
            true => format!(
                "{}: the weights that generate do not fit beside {} of states on each device: use more devices, \
                 `colocated = false`, or declare `tensor`.",
                stage.name,
                cell("memory.states"),
            ),
            false => format!(
                "{}: its time needs the device's peak, and what generates its memory and bandwidth too.",
                stage.name
            ),
        });
    }
    let (generation, all) = (q.number(&own.path("time.generation"))?, q.number(&own.path("time"))?);
    let longer = match stage.max_response_tokens {
        Some(longest) if stage.synchronous && stage.kind.on_policy() => format!(
            "; steps wait for the longest answer, {} times the mean",
            format::plain(longest as f64 / stage.response_tokens as f64, 3)
        ),
        _ => String::new(),
    };
    Some(format!(
        "{}: generation has {} of the FLOPs and takes {} of the time{longer}. A replica of {} decodes {} sequences \
         together: {} on all of them.",
        stage.name,
        cell("generation_flops_share"),
        format::percent(generation / all),
        if q.number(&own.path("replica")) == Some(1.0) { "one device".to_owned() } else { cell("replica") },
        format::plain(q.number(&own.path("decode_batch")).unwrap_or(1.0), 3),
        cell("tokens_per_second"),
    ))
}

/// How devices divide between generating and training.
fn split(q: &Quantities<'_>, own: Own<'_>) -> Option<String> {
    let stage = own.stage;
    if !stage.kind.on_policy() {
        return None;
    }
    let share = q.number(&own.path("generation_share"))?;
    let name = &stage.name;
    if own.has(q, "split.generation_devices") {
        let (generating, training) = (
            q.display(&own.path("split.generation_devices")),
            q.display(&own.path("split.training_devices")),
        );
        let lag = if stage.synchronous {
            "each side idles while the other works"
        } else {
            "what is trained on was sampled by an older policy"
        };
        return Some(format!("{name}: {generating} generate and {training} train; {lag}."));
    }
    Some(format!(
        "{name}: the same devices take turns. Apart, {} of them would generate: devices in proportion to device time.",
        format::percent(share)
    ))
}

/// What is on each device, and whether it fits.
fn memory(q: &Quantities<'_>, own: Own<'_>) -> Option<String> {
    let hardware = q.plan.hardware.as_ref()?;
    let held = q.number(&own.path("memory"))?;
    let there = hardware.device.memory? as f64;
    let usable = there - hardware.operation.reserve as f64;
    let cell = |leaf: &str| q.display(&own.path(leaf));
    let mut parts = vec![format!("{} of models and their states", cell("memory.states"))];
    if own.has(q, "memory.rollout_weights") {
        parts.push(format!("{} of weights that generate", cell("memory.rollout_weights")));
    }
    if own.has(q, "memory.cache") {
        parts.push(format!("{} of cache", cell("memory.cache")));
    }
    let apart = own.has(q, "split.generation_devices") || !own.stage.kind.on_policy();
    let held_parts = match parts.split_first() {
        // Never at once.
        Some((states, generating)) if apart && !generating.is_empty() => {
            format!("{states}, or {}", generating.join(" and "))
        }
        _ => parts.join(", "),
    };
    let verdict = if held <= usable { "it fits" } else { "it does not fit" };
    let adapters = match own.stage.lora && own.stage.reference == Reference::Loaded {
        true => " The reference is the policy without its adapters.",
        false => "",
    };
    Some(format!(
        "{}: each device holds {}; {verdict} in {}, activations not counted.{adapters}",
        own.stage.name,
        held_parts,
        q.show(llmplan_spec::units::Number::Real(usable), llmplan_spec::units::Unit::BYTES, 3),
    ))
}

/// What groups without a signal cost.
fn signal(q: &Quantities<'_>, own: Own<'_>) -> Option<String> {
    let usable = q.number(&own.path("usable_share"))?;
    let cost = match own.has(q, "wasted_cost") {
        true => format!(", which is {} for nothing", q.display(&own.path("wasted_cost"))),
        false => String::new(),
    };
    Some(format!(
        "{}: of groups of {}, each sample right with {}, {} are all right or all wrong and teach nothing{cost}. Prompts \
         of unequal difficulty waste more.",
        own.stage.name,
        own.stage.samples,
        own.stage.pass_rate.map(format::percent).unwrap_or_default(),
        format::percent(1.0 - usable),
    ))
}

/// What judging takes.
fn verifier(q: &Quantities<'_>, own: Own<'_>) -> Option<String> {
    let stage: &Stage = own.stage;
    let what = match stage.scorer() {
        VerifierKind::Code => "checks",
        VerifierKind::Judge => "verdicts",
        VerifierKind::Human => "judgements of people",
        VerifierKind::Reward | VerifierKind::None => return None,
    };
    let rollouts = q.display(&own.path("rollouts"));
    let time = match (own.has(q, "time.verifier"), own.has(q, "time")) {
        (true, _) => format!(" take {}", q.display(&own.path("time.verifier"))),
        (false, true) => " are taken to keep up".to_owned(),
        (false, false) => return None,
    };
    let cost = match own.has(q, "cost.verifier") {
        true => format!(" and cost {}", q.display(&own.path("cost.verifier"))),
        false => String::new(),
    };
    Some(format!("{}: {rollouts} {what}{time}{cost}.", stage.name))
}

/// What a made token costs, beside the alternatives that are declared.
fn made(q: &Quantities<'_>, own: Own<'_>) -> Option<String> {
    let cell = |leaf: &str| q.display(&own.path(leaf));
    let million = own.path("cost_per_million_tokens");
    q.get(&million)?;
    let mut text = format!(
        "{}: a million kept tokens cost {} to make and {} to train on",
        own.stage.name,
        cell("cost_per_million_tokens"),
        cell("training_cost_per_million_tokens"),
    );
    if own.has(q, "cost_over_buying") {
        text.push_str(&format!("; making them costs {} times what buying does", cell("cost_over_buying")));
    }
    if own.has(q, "worth_over_repeating") {
        text.push_str(&format!(
            "; at the declared worth a dollar of them is worth {} times a dollar of one more epoch",
            cell("worth_over_repeating")
        ));
    }
    text.push('.');
    Some(text)
}
