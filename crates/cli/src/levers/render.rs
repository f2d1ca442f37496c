//! Levers as text.

use llmplan_analysis::levers::{Difference, LEAST, Lack, LossEffect, Measure, Pulled, Trial, Tried};
use llmplan_spec::plan::Plan;
use llmplan_spec::units::format::{grouped, percent, plain, signed_percent};

use crate::render::paint::Paint;
use crate::render::table::{Align, Table};
use crate::render::verdict::plural;
use crate::render::{WIDTH, clean, wrapped};

/// Levers that a text shows without `--all`.
const SHOWN: usize = 16;

/// The levers of a plan as text of at most [`WIDTH`] columns; with `all`, every lever and why some cannot be pulled.
pub(crate) fn text(
    tried: &Tried,
    before: &Trial,
    plan: &Plan,
    file: &str,
    all: bool,
    paint: Paint,
) -> String {
    let mut text = verdict(tried, plan, paint);
    let tally = tally(tried);
    for (word, line) in
        [("plan", file), ("now", &now(before)), ("judged", &judged(tried, before)), ("tried", &tally)]
    {
        for (at, line) in wrapped(&clean(line), WIDTH - 12).iter().enumerate() {
            text.push_str(&format!("  {:<8}  {line}\n", if at == 0 { word } else { "" }));
        }
    }
    let shown = if all { usize::MAX } else { SHOWN };
    if !tried.rows.is_empty() {
        text.push('\n');
        text.push_str(&table(tried, shown).text(WIDTH, paint));
    }
    for note in notes(tried, plan, all, shown) {
        text.push('\n');
        wrapped(&clean(&note), WIDTH - 2).iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text
}

/// `BEST gpt3: training.checkpointing: full → none, -20.1% training.cost at equal loss`
fn verdict(tried: &Tried, plan: &Plan, paint: Paint) -> String {
    let (word, rest) = match tried.rows.first() {
        Some(best) if best.known() && best.gains(tried) => {
            ("BEST", format!("{}{}", told(best), worth_in_words(best, tried)))
        }
        Some(best) if best.known() => (
            "NONE",
            "no single change makes it better at equal loss: each trades one number for another".to_owned(),
        ),
        Some(_) => ("NONE", "no single change is known to make it better".to_owned()),
        None => ("NONE", "no single change makes it better".to_owned()),
    };
    let lines = wrapped(&clean(&format!("{word} {}: {rest}", plan.name)), WIDTH);
    let painted = if word == "BEST" { paint.good(word) } else { paint.bad(word) };
    format!("{}\n", lines.join("\n").replacen(word, &painted, 1))
}

fn worth_in_words(best: &Pulled, tried: &Tried) -> String {
    let standing = &best.standing;
    match &tried.lack {
        Lack::Memory(_) if standing.over == 0 => ", with which it fits".to_owned(),
        Lack::Memory(path) => format!(", {} {path}: it still does not fit", signed(standing.score - 1.0)),
        Lack::Requirements(_) if standing.broken == 0 => ", with which every requirement holds".to_owned(),
        Lack::Requirements(broken) if standing.broken < *broken => {
            format!(
                ", with which {} of {} hold",
                broken - standing.broken,
                plural(*broken, "broken requirement")
            )
        }
        Lack::Requirements(_) => ", which comes nearest to what is required".to_owned(),
        Lack::Nothing(path) => format!(", {} {path} at equal loss", signed(standing.score - 1.0)),
    }
}

/// What the plan has: `33.1 days, 38.55 GB, $1.47M`.
fn now(before: &Trial) -> String {
    let shown = Measure::ALL.into_iter().filter_map(|measure| {
        let path = measure.path(&before.report)?;
        Some(format!("{path} {}", before.report.get(&path)?.display))
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn judged(tried: &Tried, before: &Trial) -> String {
    match &tried.lack {
        Lack::Memory(path) => format!("by {path}: the plan needs more than there is; then by its price"),
        Lack::Requirements(1) => "by the requirement that does not hold; then by its price".to_owned(),
        Lack::Requirements(broken) => {
            format!("by the {broken} requirements that do not hold; then by its price")
        }
        Lack::Nothing(path) => {
            let holds = match before.report.requirements.iter().filter(|own| own.strict).count() {
                0 => "; it lacks nothing",
                _ => "; the plan fits and meets its requirements",
            };
            format!("by {path} at equal loss: over the compute-equivalent gain{holds}")
        }
    }
}

fn tally(tried: &Tried) -> String {
    let parts = [
        (tried.rows.len(), "changes something for the better", "change something for the better"),
        (tried.worse.len(), "only makes it worse", "only make it worse"),
        (tried.breaking.len(), "breaks what holds", "break what holds"),
        (tried.unable.len(), "cannot run", "cannot run"),
        (tried.idle.len(), "makes no difference", "make no difference"),
    ];
    let levers: usize = parts.iter().map(|(count, ..)| count).sum();
    let parts = parts.iter().filter(|(count, ..)| *count > 0);
    let parts = parts.map(|(count, one, all)| format!("{count} {}", if *count == 1 { one } else { all }));
    format!(
        "{} of {}, one at a time: {}",
        plural(tried.changes, "change"),
        plural(levers, "lever"),
        parts.collect::<Vec<_>>().join(", ")
    )
}

fn table(tried: &Tried, shown: usize) -> Table {
    let heading = if matches!(tried.lack, Lack::Requirements(_)) { "gap" } else { "worth" };
    let mut differences = tried.rows.iter().flat_map(|own| &own.differences);
    let time = differences.find(|own| own.measure == Measure::Time).map_or("time", Difference::word);
    let measures = columns(tried, shown);
    let mut headings = vec![("Change", Align::Prose)];
    headings.extend(measures.iter().map(|own| match own {
        Measure::Time => (time, Align::Right),
        own => (heading_of(*own), Align::Right),
    }));
    headings.extend([("loss", Align::Right), (heading, Align::Right)]);
    let reasons = measures.len() <= FEW;
    headings.extend(reasons.then_some(("why", Align::Prose)));
    let mut table = Table::new(&headings);
    for own in tried.rows.iter().take(shown) {
        let share = |measure: &Measure| {
            let found = own.differences.iter().find(|own| own.measure == *measure);
            found.map(|own| signed(own.share())).unwrap_or_default()
        };
        let mut cells = vec![brief(own)];
        cells.extend(measures.iter().map(share));
        cells.extend([gain(own), worth(own, tried)]);
        cells.extend(reasons.then(|| own.reason.clone()));
        table.push_cells(cells);
    }
    table.without_empty_columns()
}

/// Measures that have a column: those that a row moves, as many as leave room for words.
fn columns(tried: &Tried, shown: usize) -> Vec<Measure> {
    let moved = |measure: &Measure| {
        let rows = tried.rows.iter().take(shown).flat_map(|own| &own.differences);
        rows.filter(|own| own.measure == *measure).any(|own| own.share().abs() >= LEAST)
    };
    let mut found: Vec<Measure> = Measure::ALL.into_iter().filter(moved).collect();
    // What is served is told by how long a token takes, and alignment by its cost; the rest is in JSON.
    for least in [Measure::FirstToken, Measure::Served, Measure::AlignmentTime, Measure::Serving] {
        if found.len() > MOST {
            found.retain(|own| *own != least);
        }
    }
    found
}

/// Measures that a text has room for.
const MOST: usize = 6;
/// Beside so many there is room for reasons, too.
const FEW: usize = 4;

/// A column's heading, where the word for it is longer than its numbers.
fn heading_of(measure: Measure) -> &'static str {
    match measure {
        Measure::AlignmentTime => "al. time",
        Measure::AlignmentCost => "al. cost",
        Measure::FirstToken => "ttft",
        Measure::Latency => "tpot",
        Measure::Served => "held",
        Measure::Serving => "$/M",
        Measure::Lifetime => "total",
        measure => measure.word(),
    }
}

/// The change, without the block that most levers are of.
fn brief(own: &Pulled) -> String {
    let words = told(own);
    let words = words.split(", ").map(|words| words.strip_prefix("training.").unwrap_or(words));
    words.collect::<Vec<_>>().join(", ")
}

/// The change, without what follows from it.
fn told(own: &Pulled) -> String {
    const FOLLOW: [&str; 3] = ["model.attention.heads", "model.attention.kv_heads", "model.ffn.d_ff"];
    let many = own.change.assignments.len() > 3;
    let (follow, said): (Vec<_>, Vec<_>) = own
        .change
        .assignments
        .iter()
        .enumerate()
        .partition(|(at, set)| many && *at > 0 && FOLLOW.contains(&set.path.as_str()));
    let mut words: Vec<String> = said.iter().map(|(_, set)| set.words()).collect();
    if !follow.is_empty() {
        words.push("heads and d_ff with it".to_owned());
    }
    words.join(", ")
}

/// `×1.08`, `×0.99 ?` where more than the law knows changes, `?` where it knows nothing of it, else nothing.
fn gain(own: &Pulled) -> String {
    let gain = own.gain.map(|gain| format!("×{}", plain(gain, 3)));
    match (gain, own.loss) {
        (Some(gain), LossEffect::Unknown) => format!("{gain} ?"),
        (Some(gain), _) => gain,
        (None, LossEffect::Same) => String::new(),
        (None, _) => "?".to_owned(),
    }
}

fn worth(own: &Pulled, tried: &Tried) -> String {
    let standing = &own.standing;
    match &tried.lack {
        Lack::Memory(_) if standing.over == 0 => "fits".to_owned(),
        Lack::Requirements(_) if standing.broken == 0 => "holds".to_owned(),
        Lack::Requirements(broken) if standing.broken < *broken => {
            format!("{} of {broken}", broken - standing.broken)
        }
        Lack::Requirements(_) => percent(standing.score),
        Lack::Memory(_) | Lack::Nothing(_) => signed(standing.score - 1.0),
    }
}

/// A share with its sign in three digits; nothing where there is no change to speak of.
fn signed(share: f64) -> String {
    if share.abs() < LEAST {
        return String::new();
    }
    if share >= 10.0 { format!("×{}", plain(share + 1.0, 3)) } else { signed_percent(share) }
}

fn notes(tried: &Tried, plan: &Plan, all: bool, shown: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if tried.rows.len() > shown {
        notes.push(format!("{} more with --all.", tried.rows.len() - shown));
    }
    if tried.rows.iter().any(|own| own.path.starts_with("training.")) {
        notes.push(
            "Attributes without a block in front of them, and `parallelism`, are of `training`.".to_owned(),
        );
    }
    if tried.rows.iter().any(|own| own.gain.is_some()) {
        notes.push(format!(
            "loss: the compute-equivalent gain by `law {}`, the factor by which the plan as it is would need more compute \
             for the same loss. Below 1 the model becomes worse{}.",
            plan.law.name,
            if matches!(tried.lack, Lack::Nothing(_)) { ", which stands behind what leaves it no worse" } else { "" },
        ));
    }
    if tried.rows.iter().any(|own| !own.known()) {
        notes.push(
            "?: what it does to the loss is more than the law knows of this plan, and has to be measured. These stand \
             behind the others."
                .to_owned(),
        );
    }
    if plan.training.as_ref().is_some_and(|training| training.mfu.is_some()) {
        notes.push(
            "`training.mfu` is declared: times follow it, whatever a change does to the step.".to_owned(),
        );
    }
    for (levers, what) in [
        (&tried.idle, "make no difference"),
        (&tried.worse, "only make it worse"),
        (&tried.breaking, "break a requirement that holds, or need more memory than there is"),
    ] {
        notes.extend(named(levers, what));
    }
    let unable: Vec<String> = if all {
        tried.unable.iter().map(|(path, why)| format!("{path} ({why})")).collect()
    } else {
        tried.unable.iter().map(|(path, _)| path.clone()).collect()
    };
    notes.extend(named(&unable, "cannot run"));
    notes.push(
        "One change at a time: what two of them do together is not the sum of what each does.".to_owned(),
    );
    notes
}

/// `2 levers make no difference: training.offload, training.logits.`
fn named(levers: &[String], what: &str) -> Option<String> {
    let what = if levers.len() == 1 {
        what.replacen("make", "makes", 1).replacen("break", "breaks", 1).replacen("need", "needs", 1)
    } else {
        what.to_owned()
    };
    let count = grouped(levers.len() as u128);
    let noun = if levers.len() == 1 { "lever" } else { "levers" };
    (!levers.is_empty()).then(|| format!("{count} {noun} {what}: {}.", levers.join(", ")))
}
