//! What a search found, as text.

use llmplan_analysis::cluster::Strategy;
use llmplan_analysis::search::{Candidate, Point};
use llmplan_spec::plan::{BytesConvention, Checkpointing, Offload, Plan};
use llmplan_spec::units::format::{BytePrefix, grouped, quantity};
use llmplan_spec::units::{Number, Unit};

use super::Searched;
use super::words::{brief, family, nearest, objective, schedule, seconds};
use crate::render::paint::Paint;
use crate::render::table::{Align, Table};
use crate::render::verdict::plural;
use crate::render::{WIDTH, clean, wrapped};

/// Strategies that a text shows of those that nothing dominates.
const SHOWN: usize = 20;

/// The result as text of at most [`WIDTH`] columns.
pub(crate) fn text(searched: &Searched, plan: &Plan, file: &str, paint: Paint) -> String {
    let bytes = prefix(plan);
    let mut text = format!("{}\n", verdict(searched, plan, paint));
    let (name, wanted) = objective(searched.objective);
    let found = &searched.found;
    let passed = found.too_large + found.beaten;
    let space = format!(
        "{} strategies: {} cannot run, {} passed over, {} evaluated",
        grouped(found.strategies.into()),
        grouped(found.unable.into()),
        grouped(passed.into()),
        grouped(found.evaluated.into())
    );
    for (word, line) in
        [("plan", file), ("wanted", &format!("{wanted} (--objective {name})")), ("space", &space)]
    {
        for (at, line) in wrapped(&clean(line), WIDTH - 12).iter().enumerate() {
            text.push_str(&format!("  {:<8}  {line}\n", if at == 0 { word } else { "" }));
        }
    }
    let best = searched.best.and_then(|place| searched.candidates.get(place));
    let mut tables = Vec::new();
    if let Some(best) = best {
        tables.push(comparison(searched, best));
        tables.push(pareto(searched, bytes));
    }
    let rejected = rejected(searched, bytes);
    if !rejected.rows.is_empty() {
        tables.push(rejected);
    }
    for table in tables {
        text.push('\n');
        text.push_str(&table.text(WIDTH, paint));
    }
    for note in notes(searched, plan, best) {
        text.push('\n');
        wrapped(&clean(&note), WIDTH - 2).iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text
}

/// `BEST gpt3: 21.4 s a step and 61.3 GB on each of 1,024 devices`
fn verdict(searched: &Searched, plan: &Plan, paint: Paint) -> String {
    let name = clean(&plan.name);
    match (searched.winner(), searched.best) {
        (Some(winner), _) => {
            format!("{} {name}: {}", paint.good("BEST"), headline(&winner.point, prefix(plan)))
        }
        (None, Some(_)) => format!("{} {name}: nothing meets every requirement", paint.bad("NONE")),
        (None, None) => format!("{} {name}: nothing runs and fits", paint.bad("NONE")),
    }
}

fn headline(point: &Point, bytes: BytePrefix) -> String {
    let on = if point.devices == 1 {
        "on 1 device".to_owned()
    } else {
        format!("on each of {} devices", grouped(point.devices.into()))
    };
    format!("{} a step and {} {on}", seconds(point.seconds), memory(point.bytes, bytes))
}

/// The best beside what the plan says.
fn comparison(searched: &Searched, best: &Candidate) -> Table {
    let title = if best.holds { "best" } else { "best but for `require`" };
    let mut table =
        Table::new(&[("Strategy", Align::Left), ("declared", Align::Right), (title, Align::Right)]);
    let rows = attributes(&best.point.strategy);
    let declared = searched.declared.as_ref().map(attributes);
    for (at, (name, value)) in rows.iter().enumerate() {
        let own = declared.as_ref().and_then(|own| own.get(at)).map_or("", |(_, value)| value.as_str());
        let unused = |text: &str| matches!(text, "" | "1" | "none" | "0");
        let always =
            matches!(*name, "tensor" | "pipeline" | "data" | "zero" | "micro_batch" | "checkpointing");
        if always || !unused(value) || !unused(own) {
            table.push([name, own, value]);
        }
    }
    table
}

/// What a plan would say, by the last part of its path.
fn attributes(strategy: &Strategy) -> [(&'static str, String); 15] {
    let count = |count: u64| grouped(count.into());
    let pipelined = strategy.pipeline > 1;
    let if_used = |used: bool, text: String| if used { text } else { String::new() };
    [
        ("devices", count(strategy.devices())),
        ("tensor", count(strategy.tensor)),
        ("sequence_parallel", if_used(strategy.tensor > 1, strategy.sequence_parallel.to_string())),
        ("pipeline", count(strategy.pipeline)),
        ("schedule", if_used(pipelined, strategy.schedule.word().to_owned())),
        ("interleave", count(strategy.interleave)),
        ("context", count(strategy.context)),
        ("context_kind", if_used(strategy.context > 1, strategy.context_kind.word().to_owned())),
        ("expert", count(strategy.expert)),
        ("data", count(strategy.data)),
        ("zero", count(strategy.zero)),
        ("shard", if_used(strategy.zero > 0 && strategy.shard < strategy.ranks(), count(strategy.shard))),
        ("micro_batch", count(strategy.micro_batch)),
        ("checkpointing", strategy.checkpointing.word().to_owned()),
        ("offload", strategy.offload.word().to_owned()),
    ]
}

/// What nothing dominates, of what meets the requirements where something does.
fn pareto(searched: &Searched, bytes: BytePrefix) -> Table {
    let mut table = Table::new(&[
        ("Step", Align::Right),
        ("memory", Align::Right),
        ("devices", Align::Right),
        ("tensor", Align::Right),
        ("pipe-\nline", Align::Right),
        ("con-\ntext", Align::Right),
        ("ex-\npert", Align::Right),
        ("data", Align::Right),
        ("ZeRO", Align::Right),
        ("micro-\nbatch", Align::Right),
        ("schedule", Align::Left),
        ("recompute", Align::Left),
        ("offload", Align::Left),
        ("", Align::Left),
    ]);
    let shown = shown(searched);
    let varied = shown.iter().any(|own| own.point.devices != shown[0].point.devices);
    let used = |degree: fn(&Strategy) -> u64| shown.iter().any(|own| degree(&own.point.strategy) > 1);
    let (context, expert) = (used(|own| own.context), used(|own| own.expert));
    for own in thinned(&shown, searched) {
        let Point { devices, seconds: step, bytes: held, strategy, .. } = &own.point;
        let count = |count: u64| grouped(count.into());
        let if_used = |used: bool, text: String| if used { text } else { String::new() };
        let zero = match strategy.zero {
            0 => "0".to_owned(),
            zero if strategy.shard < strategy.ranks() => format!("{zero} /{}", strategy.shard),
            zero => zero.to_string(),
        };
        let recompute = match strategy.checkpointing {
            Checkpointing::None => String::new(),
            other => other.word().to_owned(),
        };
        let best = searched.best.and_then(|place| searched.candidates.get(place));
        table.push([
            &seconds(*step),
            &memory(*held, bytes),
            &if_used(varied, count(*devices)),
            &count(strategy.tensor),
            &count(strategy.pipeline),
            &if_used(context, count(strategy.context)),
            &if_used(expert, count(strategy.expert)),
            &count(strategy.data),
            &zero,
            &count(strategy.micro_batch),
            &schedule(strategy),
            &recompute,
            if strategy.offload == Offload::None { "" } else { strategy.offload.word() },
            if best.is_some_and(|best| best.point.strategy == *strategy) { "best" } else { "" },
        ]);
    }
    table.without_empty_columns()
}

fn shown(searched: &Searched) -> Vec<&Candidate> {
    let any = searched.candidates.iter().any(|own| own.holds);
    searched.candidates.iter().filter(|own| own.holds || !any).collect()
}

/// At most [`SHOWN`] of them and the best: those that hold clearly less than the one shown before them, and the ends.
fn thinned<'c>(shown: &[&'c Candidate], searched: &Searched) -> Vec<&'c Candidate> {
    let best = searched.best.and_then(|place| searched.candidates.get(place)).map(|own| own.point.strategy);
    let mut kept = shown.to_vec();
    for percent in (50..100).rev() {
        if kept.len() <= SHOWN {
            break;
        }
        kept.clear();
        for (at, own) in shown.iter().enumerate() {
            let less = kept.last().is_none_or(|last| {
                let enough = u128::from(own.point.bytes) * 100 <= u128::from(last.point.bytes) * percent;
                last.point.devices != own.point.devices || enough
            });
            if less || at + 1 == shown.len() || best == Some(own.point.strategy) {
                kept.push(own);
            }
        }
    }
    kept
}

fn rejected(searched: &Searched, bytes: BytePrefix) -> Table {
    let mut table =
        Table::new(&[("Rejected", Align::Left), ("strategies", Align::Right), ("nearest", Align::Prose)]);
    for reason in searched.found.reasons.list() {
        let (_, words) = family(reason.family);
        table.push([words, &grouped(reason.strategies.into()), &nearest(reason, bytes)]);
    }
    for own in broken(searched) {
        let near = format!("{}: {}", own.value, brief(&own.strategy));
        table.push([&format!("require {}", own.condition), &grouped(own.taken as u128), &near]);
    }
    table
}

/// A requirement that some of what nothing dominates breaks.
struct Broken {
    condition: String,
    /// How many break it.
    taken: usize,
    /// What comes nearest to it.
    strategy: Strategy,
    /// The value that has.
    value: String,
    gap: f64,
}

fn broken(searched: &Searched) -> Vec<Broken> {
    let mut found: Vec<Broken> = Vec::new();
    for own in &searched.candidates {
        for judgement in own.broken() {
            let gap = match (judgement.value_number, judgement.limit_number) {
                (Some(value), Some(limit)) => (value - limit).abs(),
                _ => f64::INFINITY,
            };
            let new = Broken {
                condition: judgement.condition.clone(),
                taken: 1,
                strategy: own.point.strategy,
                value: judgement.value.clone(),
                gap,
            };
            match found.iter_mut().find(|known| known.condition == new.condition) {
                None => found.push(new),
                Some(known) if gap < known.gap => *known = Broken { taken: known.taken + 1, ..new },
                Some(known) => known.taken += 1,
            }
        }
    }
    found
}

fn notes(searched: &Searched, plan: &Plan, best: Option<&Candidate>) -> Vec<String> {
    let mut notes = Vec::new();
    let shown = shown(searched).len();
    if shown > SHOWN {
        notes.push(format!(
            "Nothing beats any of {shown} strategies in all of time, memory and devices. Left out are those that hold \
             little less than the one above them; --format json has all."
        ));
    }
    let unmet = best.and_then(|own| own.report.as_ref()).map_or(0, |report| {
        report.requirements.iter().filter(|judgement| !judgement.strict && !judgement.holds).count()
    });
    if unmet > 0 {
        notes.push(format!("The best does not meet {}.", plural(unmet, "preference")));
    }
    if !searched.offloads {
        notes.push(
            "Offloading is not looked at: the device lacks `host_link` or `host_memory_bandwidth`."
                .to_owned(),
        );
    }
    if plan.training.as_ref().is_some_and(|training| training.mfu.is_some()) {
        notes.push(
            "`training.mfu` is declared: `check` takes times from it, whatever the strategy. The times here are modelled."
                .to_owned(),
        );
    }
    notes
}

fn memory(held: u64, bytes: BytePrefix) -> String {
    quantity(Number::Real(held as f64), Unit::BYTES, 4, bytes)
}

fn prefix(plan: &Plan) -> BytePrefix {
    match plan.convention.bytes {
        BytesConvention::Decimal => BytePrefix::Decimal,
        BytesConvention::Binary => BytePrefix::Binary,
    }
}
