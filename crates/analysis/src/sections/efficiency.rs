//! Efficiency × resources, the recipe, and what data takes: tables that are there where a plan declares what they tell of.

use llmplan_spec::plan::{Data, DedupScope, FlopsConvention, TeacherLogits, Training};
use llmplan_spec::units::{Number, Unit, format};

use super::{row, section};
use crate::efficiency;
use crate::quantities::Quantities;
use crate::recipe;
use crate::report::{Row, Section};

const COLUMNS: [&str; 5] = ["Quantity", "value", "range", "grade", "how"];

/// What compute is worth with all declared gains.
pub(super) fn table(q: &Quantities<'_>) -> Section {
    let gains = &q.plan.gains;
    let mut rows: Vec<Row> = if gains.is_empty() {
        Vec::new()
    } else {
        let rows = [
            ("Peak of a device", "efficiency.peak", "dense, of the data sheet"),
            ("Device-hours", "efficiency.hours", "devices × calendar time"),
            ("MFU", mfu(q), "of the model's FLOPs"),
            ("Goodput", "training.goodput", "what interruptions leave"),
        ];
        rows.into_iter().filter_map(|(label, path, words)| line(q, label, path, words)).collect()
    };
    // Of very many the product says enough.
    if gains.len() <= 3 {
        rows.extend(gains.iter().filter_map(|gain| {
            let words = format!("{}: {}", gain.lever.word().replace('_', " "), gain.source);
            line(q, &format!("× {}", gain.name), &format!("gain.{}.compute", gain.name), &words)
        }));
    } else {
        let words = format!("{} gains, multiplied", gains.len());
        rows.extend(line(q, "Gains", "efficiency.gains", &words));
    }
    let total = line(q, "Effective compute", "efficiency.effective_compute", "all of them multiplied");
    rows.extend(total.map(|row| Row { total: true, ..row }));
    let words = format!("was {} without gains", q.display("scaling.loss"));
    rows.extend(line(q, "Loss", "efficiency.loss", &words));
    let mut notes = Vec::new();
    if let Some(training) = &q.plan.training {
        rows.extend(progress(q, training));
        if q.get("efficiency.algorithmic_progress").is_some() {
            notes.push("Progress of recipes is context: no other number has it.".to_owned());
        }
    }
    if !gains.is_empty()
        && q.get("efficiency.effective_compute").is_some()
        && let Some(why) = efficiency::refused(q)
    {
        notes.push(format!("Gains are not turned into loss: {why}."));
    }
    section("Efficiency × resources", &COLUMNS, 2, rows, notes)
}

/// The MFU of the model's FLOPs: the run's own, with its grade, where that is what it is of.
fn mfu(q: &Quantities<'_>) -> &'static str {
    match q.plan.convention.flops {
        FlopsConvention::Model => "training.mfu",
        FlopsConvention::Executed => "efficiency.mfu",
    }
}

fn progress(q: &Quantities<'_>, training: &Training) -> Option<Row> {
    let year = training.recipe.year?;
    let base = q.display("training.recipe_base").replace(',', "");
    let words = format!("compute of a recipe of {base} over one of {year}");
    line(q, "Progress of recipes", "efficiency.algorithmic_progress", &words)
}

/// Learning rate, batch and critical batch; and what is beside the run.
pub(super) fn recipe(q: &Quantities<'_>) -> Section {
    let Some(training) = &q.plan.training else { return section("Recipe", &[], 0, Vec::new(), Vec::new()) };
    let mut rows = Vec::new();
    if q.get("training.tokens").is_some() {
        rows.extend(line(q, "Learning rate", "recipe.learning_rate", &both(q, "recipe.learning_rate")));
        rows.extend(line(q, "as declared", "training.learning_rate", &cost(q, "recipe.learning_rate")));
        rows.extend(line(q, "Batch", "recipe.batch", &both(q, "recipe.batch")));
        if q.get("recipe.batch.miss").is_some() {
            rows.extend(line(q, "as declared", "training.tokens_per_step", &cost(q, "recipe.batch")));
        }
        let kaplan = match q.get("recipe.critical_batch.kaplan") {
            Some(kaplan) => format!("20% more tokens (Zhang 2024); Kaplan 2020: {}", kaplan.display),
            None => "20% more tokens than the least (Zhang 2024)".to_owned(),
        };
        rows.extend(line(q, "Critical batch", "recipe.critical_batch", &kaplan));
        let words = "0.2 × batch / critical batch";
        rows.extend(line(q, "tokens beyond the least", "recipe.batch.extra_tokens_share", words));
        let words = "critical batch / (micro-batch × T)";
        rows.extend(line(q, "Replicas at most", "recipe.data_parallel", words));
        let words = format!("of the tokens, {}", training.recipe.schedule.word());
        rows.extend(line(q, "Warm-up", "recipe.warmup_share", &words));
        rows.extend(line(q, "Cool-down", "recipe.cooldown_tokens", "tokens at the end"));
        let words = "of training FLOPs; N is what is served, without it";
        rows.extend(line(q, "Multi-token prediction", "recipe.mtp_share", words));
        rows.extend(teacher(q, training));
    }
    let words = match (q.get("training.sweep.share"), q.get("training.sweep.cost")) {
        (Some(share), Some(cost)) => format!(", {} of the run's FLOPs, {}", share.display, cost.display),
        (Some(share), None) => format!(", {} of the run's FLOPs", share.display),
        _ => String::new(),
    };
    let words = format!("6ND of its runs, {}{words}", training.recipe.schedule.word());
    rows.extend(line(q, "Study before the run", "training.sweep.flops", &words));
    let notes = if rows.is_empty() { Vec::new() } else { notes(q, training) };
    let rows = rows.into_iter().map(|row| {
        let below = row.cells.first().is_some_and(|label| label.starts_with(['a', 't']));
        Row { indent: u8::from(below), ..row }
    });
    section("Recipe", &COLUMNS, 2, rows.collect(), notes)
}

/// What each of two laws says.
fn both(q: &Quantities<'_>, path: &str) -> String {
    let own = |law: &str| q.display(&format!("{path}.{law}"));
    match q.get(&format!("{path}.deepseek")) {
        Some(_) => format!("Step Law {}, DeepSeek {}", own("step_law"), own("deepseek")),
        None => "Step Law".to_owned(),
    }
}

/// What the distance to the laws costs.
fn cost(q: &Quantities<'_>, path: &str) -> String {
    let own = |leaf: &str| q.number(&format!("{path}.{leaf}"));
    let Some(miss) = own("miss") else { return "`recipe` has no law of it".to_owned() };
    if (miss - 1.0).abs() < 1e-9 {
        return "between the two".to_owned();
    }
    let (times, side) = if miss > 1.0 { (miss, "above") } else { (1.0 / miss, "below") };
    let lost = own("loss_share").unwrap_or_default();
    let compute = own("compute").map(|compute| format!(", ×{} compute", format::plain(compute, 3)));
    // Beyond what was measured the ends of it are the least.
    let least = if (0.125..=4.0).contains(&miss) { "" } else { "at least " };
    format!(
        "×{} {side}: {least}{} of loss{}",
        format::plain(times, 2),
        format::signed_percent(lost),
        compute.unwrap_or_default()
    )
}

fn teacher(q: &Quantities<'_>, training: &Training) -> Option<Row> {
    let distillation = training.recipe.distillation?;
    let words = format!(
        "{} of the run's FLOPs, {}",
        q.display("training.distillation.share"),
        match distillation.logits {
            TeacherLogits::Online => "in every step".to_owned(),
            TeacherLogits::Cached => {
                format!("once; {} of logits are kept", q.display("training.distillation.storage"))
            }
        }
    );
    line(q, "Teacher", "training.distillation.flops", &words)
}

/// Where the laws are beyond their runs, and what is not in the numbers of the run.
fn notes(q: &Quantities<'_>, training: &Training) -> Vec<String> {
    let mut notes = Vec::new();
    if q.get("recipe.batch").is_some() {
        notes.extend(beyond(q));
        if !recipe::by_adam(training) {
            notes.push(format!(
                "Laws of learning rates are of AdamW: none is recommended for {}.",
                training.optimizer.word()
            ));
        }
    }
    if training.recipe.z_loss {
        notes.push(
            "z-loss adds no matrix product and no memory: cross-entropy has computed log-sum-exp already."
                .to_owned(),
        );
    }
    if training.recipe.distillation.is_some() {
        notes.push("Time and cost of the run are without the teacher.".to_owned());
    }
    notes
}

/// How far the run is beyond those of the laws.
fn beyond(q: &Quantities<'_>) -> Option<String> {
    let times = |path: &str, low: f64, high: f64| {
        let value = q.number(path)?;
        let factor = if value > high { value / high } else { low / value };
        (factor > 1.0).then(|| format!("×{}", format::plain(factor, 2)))
    };
    let params = match q.get("model.params.active_experts") {
        Some(_) => "model.active_non_embedding_params",
        None => "model.non_embedding_params",
    };
    let laws = [
        ("Step Law in N", times(params, 215e6, 1.07e9)),
        ("Step Law in D", times("training.tokens", 4e9, 100e9)),
        ("DeepSeek's in C", times("recipe.compute", 1e17, 2e19)),
        ("the critical batch in N", times("model.params", 85e6, 1.2e9)),
    ];
    let found: Vec<String> =
        laws.into_iter().filter_map(|(law, times)| Some(format!("{law} {}", times?))).collect();
    (!found.is_empty()).then(|| format!("Extrapolated beyond the runs of the laws: {}.", found.join(", ")))
}

/// What preparing the sources takes: a column for what some of them declare, and their totals in the last row.
pub(super) fn pipeline(q: &Quantities<'_>) -> Section {
    let Some(data) = &q.plan.data else { return section("Data pipeline", &[], 0, Vec::new(), Vec::new()) };
    let mut columns = vec!["Source"];
    // Sources without a cost have their bytes or their cores alone.
    let either = |cost: String, other: &str| if q.get(&cost).is_some() { cost } else { other.to_owned() };
    let named = data.sources.iter().map(|source| {
        let path = |leaf: &str| format!("data.{}.{leaf}", source.name);
        row(&either(path("cost"), &path("unique")), vec![source.name.clone()], false)
    });
    let all = row(&either("data.cost".to_owned(), "data.unique_tokens"), vec!["All".to_owned()], true);
    let mut rows: Vec<Row> = named.chain([all]).collect();
    for (column, leaf, total) in [
        ("bytes", "raw_bytes", ""),
        ("core-hours", "core_hours", "data.pipeline.core_hours"),
        ("scoring", "flops", "data.pipeline.flops"),
        ("cost", "cost", "data.cost"),
    ] {
        let paths: Vec<String> =
            data.sources.iter().map(|source| format!("data.{}.{leaf}", source.name)).collect();
        if paths.iter().all(|path| q.get(path).is_none()) {
            continue;
        }
        columns.push(column);
        // A time of one core would be shown in days.
        let show = |path: &str| match q.number(path) {
            Some(seconds) if leaf == "core_hours" => q.show(Number::Real(seconds / 3600.0), Unit::NONE, 4),
            _ => q.display(path),
        };
        for (row, path) in rows.iter_mut().zip(paths.iter().map(String::as_str).chain([total])) {
            row.cells.push(show(path));
        }
    }
    if columns.len() == 1 {
        (columns, rows) = (Vec::new(), Vec::new());
    } else if rows.last().is_some_and(|all| all.cells[1..].iter().all(String::is_empty)) {
        rows.pop();
    }
    section("Data pipeline", &columns, 0, rows, pipeline_notes(q, data))
}

/// What is said below that table.
fn pipeline_notes(q: &Quantities<'_>, data: &Data) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(share) = q.get("data.cost_share") {
        notes.push(format!(
            "Data takes {}, {} of what the run takes.",
            q.display("data.cost"),
            share.display
        ));
    }
    if q.get("data.pipeline.core_hours").is_some() && data.core_price.is_none() {
        notes.push("Cores have no price: `core_price` gives them one.".to_owned());
    }
    let unsearched = data.sources.iter().filter(|source| source.dedup_scope == Some(DedupScope::None));
    notes.extend(unsearched.map(|source| {
        format!("`{}` was not searched for duplicates: at most so many tokens are distinct.", source.name)
    }));
    notes
}

/// A quantity that the plan has, with what there is to say of it.
fn line(q: &Quantities<'_>, label: &str, path: &str, words: &str) -> Option<Row> {
    let grade = q.get(path)?.grade.word().to_owned();
    let cells = vec![label.to_owned(), q.display(path), q.range(path), grade, words.to_owned()];
    Some(row(path, cells, false))
}
