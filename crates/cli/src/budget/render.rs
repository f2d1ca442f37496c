//! The best model for a budget, as text.

use llmplan_analysis::budget::LIMITS;
use llmplan_analysis::report::{Report, Value};
use llmplan_spec::plan::{FeedForward, LawParams, Mixer, Model};
use llmplan_spec::units::format::{BytePrefix, grouped, percent, plain, quantity, signed_percent};
use llmplan_spec::units::{Number, Unit};

use super::{Answer, Proposal, number};
use crate::args::Paid;
use crate::render::paint::Paint;
use crate::render::table::{Align, Table};
use crate::render::{WIDTH, clean, wrapped};

/// The answer as text of at most [`WIDTH`] columns.
pub(crate) fn text(answer: &Answer, paint: Paint) -> String {
    let mut text = String::new();
    let name = clean(&answer.plan().name);
    for (at, line) in
        wrapped(&sentence(answer), WIDTH.saturating_sub(7 + name.chars().count()).max(40)).iter().enumerate()
    {
        match at {
            0 => text.push_str(&format!("{} {name}: {line}\n", paint.good("BEST"))),
            _ => text.push_str(&format!("  {line}\n")),
        }
    }
    for (word, line) in facts(answer) {
        for (at, line) in wrapped(&clean(&line), WIDTH - 12).iter().enumerate() {
            text.push_str(&format!("  {:<8}  {line}\n", if at == 0 { word } else { "" }));
        }
    }
    for table in [limits(answer), laws(answer), comparison(answer)] {
        if !table.rows.is_empty() {
            text.push('\n');
            text.push_str(&table.without_empty_columns().text(WIDTH, paint));
        }
    }
    for note in notes(answer) {
        text.push('\n');
        wrapped(&clean(&note), WIDTH - 2).iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text
}

/// "on this budget: 73.2B parameters on 1.31T tokens (17.9 per parameter), loss 1.973 [1.951 – 2.002]"
fn sentence(answer: &Answer) -> String {
    let best = &answer.best;
    let mut said = format!(
        "on this budget: {} parameters on {} ({} per parameter)",
        params(best.params).trim_end_matches(" params"),
        tokens(best.tokens),
        plain(best.tokens / best.params, 3),
    );
    // Sources need not last equally long.
    let several = answer.bounds.supply.as_ref().filter(|supply| supply.sources() > 1);
    let (epochs, of) = match several {
        Some(supply) => (Some(best.tokens / supply.fresh()), " of the scarcest source"),
        None => (best.epochs, ""),
    };
    if let Some(epochs) = epochs.filter(|epochs| *epochs > 1.0) {
        said.push_str(&format!(", {} epochs{of}", plain(epochs, 3)));
    }
    if let Some(loss) = best.loss {
        said.push_str(&format!(", loss {}", decimals(loss)));
        let range = answer
            .final_report()
            .and_then(|report| report.get("budget.loss"))
            .and_then(|quantity| quantity.interval)
            .filter(|(low, high)| answer.paid == Paid::Training && low < high);
        if let Some((low, high)) = range {
            said.push_str(&format!(" [{} – {}]", decimals(low), decimals(high)));
        }
    }
    said
}

fn facts(answer: &Answer) -> Vec<(&'static str, String)> {
    let law = &answer.plan().law;
    let limit = answer.final_report().and_then(|report| text_of(report, "budget.limit")).unwrap_or_default();
    let spent = match answer.paid {
        Paid::Training => format!("{}: `{limit}` is the tightest", flop(answer.compute)),
        Paid::Lifetime => format!(
            "{} for training and {} served: `{limit}` is the tightest",
            flop(answer.compute),
            tokens(answer.bounds.served)
        ),
    };
    let mut by = law.name.clone();
    if let Some(most) = law.range.compute.1.filter(|most| answer.compute > *most) {
        by.push_str(&format!(", extrapolated ×{} beyond its runs", plain(answer.compute / most, 2)));
    }
    vec![("plan", answer.file.clone()), ("budget", spent), ("law", by)]
}

/// What each limit allows.
fn limits(answer: &Answer) -> Table {
    let mut table = Table::new(&[
        ("Limit", Align::Left),
        ("amount", Align::Right),
        ("allows", Align::Right),
        ("range", Align::Right),
        ("", Align::Prose),
    ]);
    let Some(report) = answer.final_report() else { return table };
    let tightest = text_of(report, "budget.limit").unwrap_or_default();
    for (word, path) in LIMITS {
        let Some(allows) = report.get(path) else { continue };
        let amount = report.get(&format!("budget.{word}")).map(|own| own.display.clone()).unwrap_or_default();
        let range = allows
            .interval
            .map(|(low, high)| {
                let (low, high) = (flop(low), flop(high));
                format!("{} – {}", low.trim_end_matches(" FLOP"), high.trim_end_matches(" FLOP"))
            })
            .unwrap_or_default();
        let binds = if word == tightest { "the tightest" } else { "" };
        table.push([word, &amount, &allows.display, &range, binds]);
    }
    table
}

/// What every law says.
fn laws(answer: &Answer) -> Table {
    let mut table = Table::new(&[
        ("Law", Align::Left),
        ("N*", Align::Right),
        ("D*", Align::Right),
        ("D*/N*", Align::Right),
        ("loss", Align::Right),
        ("N counts", Align::Prose),
    ]);
    let own = &answer.plan().law.name;
    for opinion in &answer.band {
        let name =
            if opinion.law == *own { format!("{} (the plan's)", opinion.law) } else { opinion.law.clone() };
        let loss = opinion.best.loss.filter(|_| opinion.comparable).map(decimals).unwrap_or_default();
        let counts = match opinion.params {
            LawParams::Total => "all",
            LawParams::NonEmbedding => "without embeddings",
            LawParams::FlopsPerToken => "FLOP per token / 6",
        };
        let ratio = plain(opinion.best.tokens / opinion.best.params, 3);
        table.push([
            &clean(&name),
            &params(opinion.best.params),
            &tokens(opinion.best.tokens),
            &ratio,
            &loss,
            counts,
        ]);
    }
    table
}

/// The plan as declared beside the one that is proposed.
fn comparison(answer: &Answer) -> Table {
    let mut table =
        Table::new(&[("Plan", Align::Left), ("declared", Align::Right), ("proposed", Align::Right)]);
    let (Ok(proposal), Some(declared)) = (&answer.proposal, answer.report()) else { return table };
    let Some(report) = proposal.report() else { return table };
    let old = shape(&answer.plan().model);
    for ((label, old), (_, new)) in old.iter().zip(&shape(&proposal.shape.model)) {
        if old.is_some() || new.is_some() {
            let count = |value: &Option<u64>| value.map(|own| grouped(own.into())).unwrap_or_default();
            table.push([*label, &count(old), &count(new)]);
        }
    }
    let rows = [
        ("parameters", "model.params"),
        ("active parameters", "model.params.active_experts"),
        ("tokens", "data.tokens"),
        ("epochs", "data.epochs"),
        ("FLOP per token", "flops.training_per_token"),
        ("share of the budget", "budget.plan_share"),
        ("loss", "budget.loss_of_plan"),
        ("MFU", "training.mfu"),
        ("goodput", "training.goodput"),
        ("calendar time", "training.calendar_time"),
        ("device-hours", "training.device_hours"),
        ("cost", "training.cost"),
        ("energy", "training.energy"),
        ("memory of a device", "memory.per_device"),
        ("of what it has", "memory.device_share"),
    ];
    for (label, path) in rows {
        let path = if path == "model.params.active_experts" && report.get(path).is_some() {
            "model.active_params"
        } else {
            path
        };
        let cell = |report: &Report| match path {
            "model.params" | "model.active_params" => {
                number(report, path).map(|own| grouped(own as u128)).unwrap_or_default()
            }
            "budget.loss_of_plan" => number(report, path).map(decimals).unwrap_or_default(),
            _ => report.get(path).map(|own| own.display.clone()).unwrap_or_default(),
        };
        let (old, new) = (cell(declared), cell(report));
        if !old.is_empty() || !new.is_empty() {
            table.push([label, &old, &new]);
        }
    }
    table
}

/// The attributes of a shape; nothing where a model has several.
fn shape(model: &Model) -> [(&'static str, Option<u64>); 6] {
    let layer = match model.kinds.as_slice() {
        [kind] => Some(&kind.layer),
        _ => None,
    };
    let attention = layer.and_then(|layer| match &layer.mixer {
        Mixer::Attention(own) => Some(own),
        _ => None,
    });
    let inner = layer.and_then(|layer| match &layer.feed_forward {
        FeedForward::Dense(own) => Some(own.d_ff),
        FeedForward::Moe(own) => Some(own.d_ff),
        FeedForward::None => None,
    });
    [
        ("layers", Some(model.layers)),
        ("d_model", Some(model.d_model)),
        ("heads", attention.map(|own| own.heads)),
        ("kv_heads", attention.map(|own| own.kv_heads)),
        ("head_dim", attention.map(|own| own.head_dim)),
        ("d_ff", inner),
    ]
}

fn notes(answer: &Answer) -> Vec<String> {
    let mut notes = Vec::new();
    let best = &answer.best;
    match &answer.proposal {
        Ok(proposal) => notes.extend(about(answer, proposal)),
        Err(why) => notes.push(format!("There is no shape of {}: {why}.", params(best.params))),
    }
    if best.tokens < best.free_tokens * 0.999
        && let Some(supply) = &answer.bounds.supply
    {
        notes.push(format!(
            "Data is short: the optimum would take {}; no source repeats up to {}, and repeats are worth less; at {} epochs {} is \
             the most.",
            tokens(best.free_tokens),
            tokens(supply.fresh()),
            plain(supply.max_epochs(), 3),
            tokens(supply.most()),
        ));
    }
    notes
}

fn about(answer: &Answer, proposal: &Proposal) -> Vec<String> {
    let Some(report) = proposal.report() else { return Vec::new() };
    let gap = match proposal.gap.abs() < 5e-6 {
        true => "exactly N*".to_owned(),
        false => format!("{} off N*", signed_percent(proposal.gap)),
    };
    let loss = proposal.loss.map(|loss| format!("; its loss is {}", decimals(loss))).unwrap_or_default();
    let counted = grouped(proposal.shape.counted);
    let mut notes = vec![format!(
        "The shape has {counted} parameters as the law counts them, {gap}, and its exact FLOPs leave {}{loss}.",
        tokens(proposal.tokens as f64),
    )];
    if let Some(own) = answer.report().and_then(|report| number(report, "budget.flops"))
        && (own / answer.compute - 1.0).abs() > 1e-3
    {
        notes.push(format!(
            "The compute is what the proposed model makes of the budget; at the declared one's efficiency it is {}.",
            flop(own)
        ));
    }
    if answer.paid == Paid::Lifetime {
        notes.push("Serving comes on top of the share, time and cost of the table: 2 FLOP for each parameter and token.".to_owned());
    }
    if let Some(share) = number(report, "memory.device_share") {
        let fits = match share <= 1.0 {
            true => format!(
                "It fits the devices with the plan's own strategy: {} of their memory.",
                percent(share)
            ),
            false => format!(
                "It does not fit the devices with the plan's own strategy, {} of their memory; time and cost are as if it \
                 did.{}",
                percent(share),
                if answer.strategy.is_some() { "" } else { " --search looks for one that fits." }
            ),
        };
        notes.push(fits);
        notes.extend(answer.strategy.clone());
    }
    if answer.plan().model.has_experts() {
        notes.push(
            "Of experts, how many there are and are used stays; depth and widths are scaled.".to_owned(),
        );
    }
    notes
}

fn text_of(report: &Report, path: &str) -> Option<String> {
    match &report.get(path)?.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn decimals(loss: f64) -> String {
    format!("{loss:.3}")
}

fn params(count: f64) -> String {
    show(count, Unit::PARAMS)
}

fn tokens(count: f64) -> String {
    show(count, Unit::TOKENS)
}

fn flop(count: f64) -> String {
    show(count, Unit::FLOP)
}

fn show(count: f64, unit: Unit) -> String {
    quantity(Number::Real(count), unit, 3, BytePrefix::Decimal)
}
