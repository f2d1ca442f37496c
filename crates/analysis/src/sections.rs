//! The tables of the report, in reading order: the lecture's, filled in.

mod alignment;
mod budget;
mod cluster;
mod efficiency;
mod flops;
mod goodput;
mod inference;
mod model;
mod scaling;

use llmplan_spec::plan::Origin;
use llmplan_spec::schema;
use llmplan_spec::source::SourceKind;
use llmplan_spec::units::format;
use llmplan_spec::units::{Number, Unit};

use crate::quantities::Quantities;
use crate::report::{Derivation, Grade, Row, Section};

/// Every table that the plan has numbers for.
pub(crate) fn all(q: &Quantities<'_>) -> Vec<Section> {
    let sections = [
        model::parameters(q),
        model::layers(q),
        model::weights(q),
        model::cache(q),
        flops::forward(q),
        flops::per_token(q),
        flops::conventions(q),
        flops::intensity(q),
        model::experts(q),
        memory(q),
        cluster::memory(q),
        cluster::step(q),
        data(q),
        efficiency::pipeline(q),
        run(q),
        goodput::interruptions(q),
        goodput::cost(q),
        scaling::scaling(q),
        scaling::laws(q),
        alignment::stages(q),
        alignment::parts(q),
        efficiency::recipe(q),
        efficiency::table(q),
        budget::budget(q),
        inference::serving(q),
        inference::lifetime(q),
        rules(q),
        unused(q),
    ];
    sections.into_iter().filter(|section| !section.rows.is_empty() || !section.notes.is_empty()).collect()
}

fn memory(q: &Quantities<'_>) -> Section {
    let rows = [
        ("Weights", "memory.weights"),
        ("Gradients", "memory.gradients"),
        ("of them a copy in fp32", "memory.gradients.main"),
        ("Master weights, fp32", "memory.optimizer.master"),
        ("First moment", "memory.optimizer.first_moment"),
        ("Second moment", "memory.optimizer.second_moment"),
        ("Scales of 8-bit moments", "memory.optimizer.scales"),
        ("Model states", "memory.model_states"),
    ];
    let n = q.number("model.params").unwrap_or(1.0);
    let rows: Vec<Row> = rows
        .iter()
        .filter(|(_, path)| q.get(path).is_some())
        .map(|(label, path)| {
            let each = q.number(path).map(|bytes| format!("{}N", format::plain(bytes / n, 4)));
            let total = *path == "memory.model_states";
            let cells = vec![
                (*label).to_owned(),
                each.unwrap_or_default(),
                q.display(path),
                share(q, path, "memory.model_states"),
            ];
            Row { indent: u8::from(*path == "memory.gradients.main"), ..row(path, cells, total) }
        })
        .collect();
    let mut notes = Vec::new();
    if !rows.is_empty() {
        notes.push(
            "The whole model, on all devices together; activations and buffers come on top.".to_owned(),
        );
        let offloaded = q.number("memory.host").is_some_and(|bytes| bytes > 0.0);
        if offloaded {
            notes.push(format!(
                "The optimizer is in the memory of the hosts, {}; {} are on the devices.",
                q.display("memory.host"),
                q.display("memory.device_states"),
            ));
        }
        if let (Some(states), Some(memory)) = (q.number("memory.device_states"), q.number("hardware.memory"))
        {
            notes.push(format!(
                "That is {} of the {} that the {} devices have.",
                format::percent(states / memory),
                q.display("hardware.memory"),
                q.display("hardware.devices").trim_end_matches(" devices"),
            ));
        }
    }
    section("Training memory", &["Part", "bytes", "memory", "share"], 0, rows, notes)
}

fn data(q: &Quantities<'_>) -> Section {
    let Some(data) = &q.plan.data else { return section("Data", &[], 0, Vec::new(), Vec::new()) };
    let mut rows: Vec<Row> = data
        .sources
        .iter()
        .map(|source| {
            let path = |leaf: &str| format!("data.{}.{leaf}", source.name);
            let kept: f64 = source.stages.iter().map(|(_, share)| share).product();
            let tokens = |count: f64| q.show(Number::Real(count), Unit::TOKENS, 4);
            let cells = vec![
                source.name.clone(),
                tokens(source.raw as f64),
                format::percent(kept),
                q.display(&path("unique")),
                format::percent(source.weight),
                q.display(&path("tokens")),
                q.display(&path("epochs")),
            ];
            row(&path("epochs"), cells, false)
        })
        .collect();
    if !rows.is_empty() {
        let cells = vec![
            "All".to_owned(),
            String::new(),
            String::new(),
            q.display("data.unique_tokens"),
            "100%".to_owned(),
            q.display("data.tokens"),
            q.display("data.epochs"),
        ];
        rows.push(row("data.epochs", cells, true));
    }
    let columns = ["Source", "raw", "kept", "unique", "weight", "tokens", "epochs"];
    section("Data", &columns, 0, rows, Vec::new())
}

fn run(q: &Quantities<'_>) -> Section {
    let devices = q.plan.hardware.as_ref().map(|hardware| hardware.device.name.clone()).unwrap_or_default();
    let rows = [
        ("Tokens", "training.tokens", "D".to_owned()),
        ("FLOP", "training.flops", "FLOP per token × D".to_owned()),
        ("Tokens per step", "training.tokens_per_step", "global batch".to_owned()),
        ("Steps", "training.steps", "D / tokens per step".to_owned()),
        ("Replicas", "training.replicas", "devices / (tensor × pipeline)".to_owned()),
        ("Micro-batches", "training.micro_batches", "of each replica in a step".to_owned()),
        ("Devices", "hardware.devices", devices),
        ("Peak", "hardware.peak", "devices × dense peak".to_owned()),
        ("MFU", "training.mfu", mfu_words(q)),
        ("HFU", "training.hfu", "MFU, with what is recomputed".to_owned()),
        ("Throughput", "training.tokens_per_second", "peak × MFU / FLOP per token".to_owned()),
        ("Step time", "training.step_time", "FLOP per step / (peak × MFU)".to_owned()),
        ("Time", "training.time", "FLOP / (peak × MFU), without interruptions".to_owned()),
    ];
    let has_run = q.get("training.flops").is_some() || q.get("hardware.peak").is_some();
    let rows: Vec<Row> = rows
        .into_iter()
        .filter(|(_, path, _)| has_run && q.get(path).is_some())
        .map(|(label, path, words)| {
            let grade = q.get(path).map(|quantity| quantity.grade.word().to_owned()).unwrap_or_default();
            row(path, vec![label.to_owned(), q.display(path), q.range(path), grade, words], false)
        })
        .collect();
    let mut notes = Vec::new();
    if !rows.is_empty() && q.plan.hardware.is_some() && q.get("training.tokens_per_second").is_none() {
        notes.push(
            "Time and cost need `training.mfu`: declare it, cite a measurement, or declare `global_batch` and `micro_batch` \
             to have it modelled."
                .to_owned(),
        );
    }
    if !rows.is_empty() {
        notes.extend(measurement(q));
    }
    section("Training run", &["Quantity", "value", "range", "grade", "how"], 2, rows, notes)
}

fn mfu_words(q: &Quantities<'_>) -> String {
    match q.get("training.mfu").map(|mfu| mfu.grade) {
        Some(Grade::Declared) | None => "declared".to_owned(),
        Some(_) if q.get("hardware.measured.achieved").is_some() => {
            "achieved / peak of one device".to_owned()
        }
        Some(_) => "of the modelled step".to_owned(),
    }
}

/// What is said of a measurement that is cited: what it was, or that the declared MFU stands before it.
fn measurement(q: &Quantities<'_>) -> Option<String> {
    let hardware = q.plan.hardware.as_ref()?;
    let training = q.plan.training.as_ref()?;
    let measured = hardware.measured.as_ref()?;
    let share = measured.achieved / hardware.device.peak.of(training.precision)?;
    Some(match training.mfu {
        None => format!(
            "The MFU was measured: {} on {} in {}, {} ({}).",
            measured.model,
            measured.device,
            measured.precision.word(),
            measured.taken,
            measured.file,
        ),
        Some(_) => format!(
            "`training.mfu` is declared: the {} of {} are not used.",
            format::percent(share),
            measured.file
        ),
    })
}

fn rules(q: &Quantities<'_>) -> Section {
    let tied = if q.plan.model.tied_embeddings { "12Ld² + Vd" } else { "12Ld² + 2Vd" };
    let each = q.get("memory.rule_of_thumb").map_or_else(String::new, |rule| {
        let bytes = rule.value.number().zip(q.number("model.params"));
        bytes.map(|(rule, n)| format!("{}N", format::plain(rule / n, 3))).unwrap_or_default()
    });
    let times = if q.get("flops.adapters").is_some() { 4 } else { 6 };
    let rows = [
        (format!("N ≈ {tied}"), "model.params.rule_of_thumb", "model.params"),
        ("forward ≈ 2N per token".to_owned(), "flops.rule_of_thumb.forward", "flops.forward_per_token"),
        ("inference ≈ 2NT".to_owned(), "flops.rule_of_thumb.inference", "flops.forward"),
        ("layer ≈ 24Td² + 4T²d".to_owned(), "flops.rule_of_thumb.per_layer", "flops.forward.per_layer"),
        ("layers ≈ L(24Td² + 4T²d)".to_owned(), "flops.rule_of_thumb.layers", "flops.forward.layers"),
        (
            format!("training ≈ {times}N per token"),
            "flops.rule_of_thumb.training",
            "flops.training_per_token",
        ),
        (format!("training ≈ {times}ND"), "training.rule_of_thumb", "training.flops"),
        (format!("model states ≈ {each}"), "memory.rule_of_thumb", "memory.model_states"),
    ];
    let rows: Vec<Row> = rows
        .into_iter()
        .filter_map(|(label, rule, exact)| {
            let gap = q.number(rule)? / q.number(exact)? - 1.0;
            Some(row(
                rule,
                vec![label, q.display(rule), q.display(exact), format::signed_percent(gap)],
                false,
            ))
        })
        .collect();
    section("Rules of thumb", &["Rule", "says", "exact", "gap"], 0, rows, where_rules_fail(q))
}

/// How far the plan is from where the rules hold.
fn where_rules_fail(q: &Quantities<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(ratio) = q.number("flops.sequence_ratio") {
        notes.push(format!(
            "2N and 6N leave out attention's T² terms, which vanish while T ≪ d: here T/d is {}, and they are {} of the forward pass.",
            format::plain(ratio, 3),
            q.display("flops.attention_share"),
        ));
    }
    if q.get("flops.forward.mtp").is_some() {
        notes.push("2N and 6N leave multi-token prediction out: N is what is served.".to_owned());
    }
    let share = q.display("model.params.embedding_share");
    notes.push(match q.get("model.params.active_experts") {
        None => format!(
            "2N counts all of N as matrix products: embeddings, positions and output are {share} of N."
        ),
        Some(_) => {
            "N is what one token passes here: the experts that it is routed to, not all of them.".to_owned()
        }
    });
    if let Some(ratio) = q.number("memory.training_to_inference") {
        notes.push(format!(
            "Training holds {} times the memory of 16-bit inference; 8 with Adam in mixed precision.",
            format::plain(ratio, 3)
        ));
    }
    notes
}

/// Attributes that the user declares although no number depends on them yet. The catalog's are not the user's doing.
fn unused(q: &Quantities<'_>) -> Section {
    let mut notes = Vec::new();
    for setting in &q.plan.settings {
        let declared = match setting.origin {
            Origin::Declared(span) => q.sources.get(span.file).kind != SourceKind::Catalog,
            Origin::Default(_) => false,
        };
        if declared && let Some(why) = schema::declared(&setting.path).and_then(|attribute| attribute.inert) {
            notes.push(format!("`{}`: {why}.", setting.path));
        }
    }
    section("Declared, without effect on these numbers", &[], 0, Vec::new(), notes)
}

fn symbols(q: &Quantities<'_>, path: &str) -> String {
    match q.get(path).map(|quantity| &quantity.derivation) {
        Some(Derivation::Formula { symbols, .. }) => {
            // A table has no room for "1·": it says nothing.
            symbols.strip_prefix("1·").unwrap_or(symbols).replace(" + 1·", " + ")
        }
        Some(Derivation::Procedure { name, .. }) => name.clone(),
        _ => String::new(),
    }
}

fn share(q: &Quantities<'_>, path: &str, of: &str) -> String {
    match (q.number(path), q.number(of)) {
        (Some(part), Some(whole)) if whole > 0.0 => format::percent(part / whole),
        _ => String::new(),
    }
}

fn row(path: &str, cells: Vec<String>, total: bool) -> Row {
    Row { path: Some(path.to_owned()), cells, total, indent: 0 }
}

fn section(
    title: &str,
    columns: &[&str],
    prose_columns: usize,
    rows: Vec<Row>,
    notes: Vec<String>,
) -> Section {
    let columns = columns.iter().map(|column| (*column).to_owned()).collect();
    Section { title: title.to_owned(), columns, prose_columns, rows, notes }
}
