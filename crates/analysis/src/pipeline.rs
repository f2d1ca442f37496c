//! What it takes to make data ready: bytes that become tokens, cores, a model that scores, and money. And whether sources
//! last for the run.

use llmplan_spec::diagnostic::{Code, Diagnostic};
use llmplan_spec::plan::{DataSource, DedupScope};
use llmplan_spec::units::format;

use crate::quantities::Quantities;
use crate::training::place;

/// Raw tokens of sources that are declared in bytes. What follows from them is computed as for all others.
pub(crate) fn raw(q: &mut Quantities<'_>) {
    let Some(data) = &q.plan.data else { return };
    for source in data.sources.iter().filter(|source| source.raw_bytes.is_some()) {
        let path = |leaf: &str| format!("data.{}.{leaf}", source.name);
        let formula = format!("floor({} / {})", path("raw_bytes"), path("bytes_per_token"));
        q.derive(&path("raw"), &formula, "bytes of text over bytes per token");
    }
}

/// Cost of the pipeline, and sources that do not last. Needs the run and its cost, where there are any.
pub(crate) fn run(q: &mut Quantities<'_>) {
    let Some(data) = &q.plan.data else { return };
    for source in &data.sources {
        lasts(q, source);
        trusted(q, source);
    }
    if !data.sources.iter().any(DataSource::has_pipeline) {
        return;
    }
    for source in data.sources.iter().filter(|source| source.has_pipeline()) {
        one(q, source, data.core_price.is_some());
    }
    together(q, &data.sources, data.core_price.is_some());
}

/// What one source takes.
fn one(q: &mut Quantities<'_>, source: &DataSource, priced: bool) {
    let path = |leaf: &str| format!("data.{}.{leaf}", source.name);
    let mut kept: Vec<String> = source.stages.iter().map(|(stage, _)| path(stage)).collect();
    if kept.is_empty() {
        kept.push("1".to_owned());
    }
    q.derive(&path("kept"), &kept.join(" * "), "stages keep a share each, in order");
    if source.raw_bytes.is_none() && source.bytes_per_token.is_some() {
        let formula = format!("{} * {}", path("raw"), path("bytes_per_token"));
        q.derive(&path("raw_bytes"), &formula, "tokens × bytes per token");
    }
    let mut parts = Vec::new();
    if source.price.is_some() {
        parts.push(path("price"));
    }
    if source.processing_rate.is_some() {
        let formula = format!("{} / {}", path("raw_bytes"), path("processing_rate"));
        q.derive(&path("core_hours"), &formula, "all raw bytes pass through one core's rate");
        if priced {
            parts.push(format!("{} * data.core_price", path("core_hours")));
        }
    }
    if source.classifier_params.is_some() {
        let formula = format!("2 FLOP * {} * {}", path("classifier_params"), path("raw"));
        q.derive(&path("flops"), &formula, "2N per token for a forward pass: Kaplan 2020 §2.1");
        if q.get("training.cost").is_some() {
            parts.push(format!("{} / training.flops * training.cost", path("flops")));
        }
    }
    if !parts.is_empty() {
        q.derive(
            &path("cost"),
            &parts.join(" + "),
            "the data, its processing, and scores at the run's cost per FLOP",
        );
    }
}

/// What all sources take.
fn together(q: &mut Quantities<'_>, sources: &[DataSource], priced: bool) {
    let all = |has: &dyn Fn(&DataSource) -> bool, leaf: &str| -> String {
        let own = sources.iter().filter(|source| has(source));
        own.map(|source| format!("data.{}.{leaf}", source.name)).collect::<Vec<_>>().join(" + ")
    };
    let (hours, flops) = (
        all(&|source| source.processing_rate.is_some(), "core_hours"),
        all(&|source| source.classifier_params.is_some(), "flops"),
    );
    let mut parts = Vec::new();
    if !hours.is_empty() {
        q.derive("data.pipeline.core_hours", &hours, "all sources");
        if priced {
            parts.push("data.pipeline.core_hours * data.core_price");
        }
    }
    if !flops.is_empty() {
        q.derive("data.pipeline.flops", &flops, "all sources");
        if q.get("training.flops").is_some() {
            let formula = "data.pipeline.flops / training.flops";
            q.derive("data.pipeline.flops_share", formula, "scores over the run's own FLOPs");
        }
        if q.get("training.cost").is_some() {
            parts.push("data.pipeline.flops_share * training.cost");
        }
    }
    if !parts.is_empty() {
        q.derive("data.pipeline.cost", &parts.join(" + "), "cores, and scores at the run's cost per FLOP");
    }
    let prices = all(&|source| source.price.is_some(), "price");
    let mut parts: Vec<&str> = if prices.is_empty() { Vec::new() } else { vec![prices.as_str()] };
    if q.get("data.pipeline.cost").is_some() {
        parts.push("data.pipeline.cost");
    }
    if parts.is_empty() {
        return;
    }
    q.derive("data.cost", &parts.join(" + "), "the data itself and its pipeline");
    if q.get("training.cost").is_some() {
        q.derive("data.cost_share", "data.cost / training.cost", "data over the run");
    }
}

/// A source that may be seen only so often must last for what the run takes from it.
fn lasts(q: &mut Quantities<'_>, source: &DataSource) {
    let path = |leaf: &str| format!("data.{}.{leaf}", source.name);
    let (Some(most), Some(wanted), Some(unique)) =
        (source.max_epochs, q.number(&path("tokens")), q.number(&path("unique")))
    else {
        return;
    };
    q.leaf(&path("max_epochs"));
    // Rounding of a product is no shortage.
    if !q.errors.is_empty() || wanted <= unique * most * (1.0 + 1e-9) {
        return;
    }
    let times = format::plain(most, 4);
    let (wanted_shown, unique_shown) = (q.display(&path("tokens")), q.display(&path("unique")));
    let tokens = |tokens: f64| {
        use llmplan_spec::units::{Number, Unit};
        q.show(Number::Real(tokens), Unit::TOKENS, 4)
    };
    let least = wanted / unique;
    let diagnostic = Diagnostic::error(
        Code::SourceRunsOut,
        place(q, &[&path("max_epochs"), &path("weight")]),
        format!("`{}` runs out before the run ends", source.name),
    )
    .label(format!("{unique_shown} × {times} = {}", tokens(unique * most)))
    .note(format!(
        "{} × {} = {wanted_shown} are wanted",
        format::percent(source.weight),
        q.display("data.tokens")
    ))
    .help(format!(
        "a weight of {} lasts, or {} epochs",
        format::percent(floor_to_thousandths(source.weight * most / least)),
        format::plain(ceil_to_hundredths(least), 6),
    ));
    q.errors.push(diagnostic);
}

fn floor_to_thousandths(share: f64) -> f64 {
    libm::floor(share * 1e3) / 1e3
}

fn ceil_to_hundredths(times: f64) -> f64 {
    libm::ceil(times * 100.0) / 100.0
}

/// What is distinct only within each dump is counted several times.
fn trusted(q: &mut Quantities<'_>, source: &DataSource) {
    if source.dedup_scope != Some(DedupScope::Dump) || !q.errors.is_empty() {
        return;
    }
    let path = |leaf: &str| format!("data.{}.{leaf}", source.name);
    let diagnostic = Diagnostic::warning(
        Code::DuplicatesRemain,
        place(q, &[&path("dedup_scope")]),
        format!("`{}` has fewer distinct tokens than are counted", source.name),
    )
    .label("duplicates in different dumps remain")
    .note(format!(
        "{} are counted as distinct; of FineWeb-Edu's 1.3T, deduplicated by dump, about 200B are (its authors)",
        q.display(&path("unique"))
    ))
    .help("add a stage with what deduplication over all dumps keeps, and say `dedup_scope = global`");
    q.warnings.push(diagnostic);
}
