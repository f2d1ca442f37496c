//! The tables of the report, in reading order: the lecture's, filled in.

use llmplan_spec::plan::{BytesConvention, Origin};
use llmplan_spec::schema;
use llmplan_spec::source::SourceKind;
use llmplan_spec::units::format::{self, BytePrefix};
use llmplan_spec::units::{Number, Unit};

use crate::quantities::Quantities;
use crate::report::{Derivation, Row, Section, Value};

/// Every table that the plan has numbers for.
pub(crate) fn all(q: &Quantities<'_>) -> Vec<Section> {
    let sections = [
        parameters(q),
        weights(q),
        forward(q),
        per_token(q),
        memory(q),
        data(q),
        run(q),
        rules(q),
        unused(q),
    ];
    sections.into_iter().filter(|section| !section.rows.is_empty() || !section.notes.is_empty()).collect()
}

fn parameters(q: &Quantities<'_>) -> Section {
    let rows = [
        ("Token embedding", "model.params.embedding"),
        ("Learned positions", "model.params.position"),
        ("Q, K, V projections", "model.params.attention.qkv"),
        ("Attention output", "model.params.attention.output"),
        ("FFN up", "model.params.ffn.up"),
        ("FFN gate", "model.params.ffn.gate"),
        ("FFN down", "model.params.ffn.down"),
        ("Norms", "model.params.norm"),
        ("Output to vocabulary", "model.params.output"),
        ("Total", "model.params"),
    ];
    let count = |path: &str| match q.get(path).map(|quantity| &quantity.value) {
        Some(Value::Count(count)) => format::grouped(*count),
        _ => q.display(path),
    };
    let mut rows: Vec<Row> = rows
        .iter()
        .filter(|(_, path)| q.get(path).is_some())
        .map(|(label, path)| {
            let total = *path == "model.params";
            let symbols = if total { q.display(path) } else { symbols(q, path) };
            row(path, vec![(*label).to_owned(), count(path), share(q, path, "model.params"), symbols], total)
        })
        .collect();
    let per_layer = "model.params.per_layer";
    rows.push(row(
        per_layer,
        vec!["Each layer".to_owned(), count(per_layer), String::new(), q.display(per_layer)],
        false,
    ));
    let tied = q.plan.model.tied_embeddings;
    let notes = if tied {
        vec!["Embeddings are tied: the output to the vocabulary is the token embedding.".to_owned()]
    } else {
        Vec::new()
    };
    section("Parameters", &["Component", "parameters", "share", "formula"], 1, rows, notes)
}

fn weights(q: &Quantities<'_>) -> Section {
    let rows = [
        ("fp32", "4 bytes", "memory.weights_only.fp32"),
        ("fp16, bf16", "2 bytes", "memory.weights_only.bf16"),
        ("int8", "1 byte", "memory.weights_only.int8"),
        ("int4", "½ byte", "memory.weights_only.int4"),
    ];
    let (other, name) = match q.plan.convention.bytes {
        BytesConvention::Decimal => (BytePrefix::Binary, "binary"),
        BytesConvention::Binary => (BytePrefix::Decimal, "decimal"),
    };
    let rows = rows
        .iter()
        .map(|(label, each, path)| {
            let again =
                q.number(path).map(|bytes| format::quantity(Number::Real(bytes), Unit::BYTES, 4, other));
            row(
                path,
                vec![(*label).to_owned(), (*each).to_owned(), q.display(path), again.unwrap_or_default()],
                false,
            )
        })
        .collect();
    section("Weights in memory", &["Precision", "each", "memory", name], 0, rows, Vec::new())
}

fn forward(q: &Quantities<'_>) -> Section {
    let rows = [
        ("Q, K, V projections", "flops.forward.qkv"),
        ("Scores QKᵀ", "flops.forward.scores"),
        ("Weighted sum of V", "flops.forward.weighted_sum"),
        ("Attention output", "flops.forward.output_projection"),
        ("FFN up", "flops.forward.ffn_up"),
        ("FFN gate", "flops.forward.ffn_gate"),
        ("FFN down", "flops.forward.ffn_down"),
        ("Logits", "flops.forward.logits"),
        ("Forward", "flops.forward"),
    ];
    let mut rows: Vec<Row> = rows
        .iter()
        .filter(|(_, path)| q.get(path).is_some())
        .map(|(label, path)| {
            let total = *path == "flops.forward";
            let symbols = if total { String::new() } else { symbols(q, path) };
            row(
                path,
                vec![(*label).to_owned(), q.display(path), share(q, path, "flops.forward"), symbols],
                total,
            )
        })
        .collect();
    for (label, path, words) in [
        ("Each layer", "flops.forward.per_layer", "logits left out"),
        ("Backward", "flops.backward", "2 × forward"),
        ("Training", "flops.training", "forward + backward = 3 × forward"),
    ] {
        rows.push(row(path, vec![label.to_owned(), q.display(path), String::new(), words.to_owned()], false));
    }
    let title = format!("One sequence of T = {}", q.display("flops.sequence"));
    section(&title, &["Component", "FLOP", "share", "formula"], 1, rows, Vec::new())
}

fn per_token(q: &Quantities<'_>) -> Section {
    let rows = [
        ("Forward, also inference", "flops.forward_per_token", "flops.rule_of_thumb.forward", "2N"),
        ("Backward", "flops.backward_per_token", "", ""),
        ("Training", "flops.training_per_token", "flops.rule_of_thumb.training", "6N"),
    ];
    let rows = rows
        .iter()
        .map(|(label, path, rule, words)| {
            let beside =
                if rule.is_empty() { String::new() } else { format!("{words} = {}", q.display(rule)) };
            row(path, vec![(*label).to_owned(), q.display(path), beside], false)
        })
        .collect();
    section("Each token", &["Pass", "FLOP", "rule of thumb"], 0, rows, Vec::new())
}

fn memory(q: &Quantities<'_>) -> Section {
    let rows = [
        ("Weights", "memory.weights"),
        ("Gradients", "memory.gradients"),
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
            row(path, cells, total)
        })
        .collect();
    let mut notes = Vec::new();
    if !rows.is_empty() {
        notes.push(
            "The whole model, on all devices together; activations and buffers come on top.".to_owned(),
        );
        if let (Some(states), Some(memory)) = (q.number("memory.model_states"), q.number("hardware.memory")) {
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
    section("Data", &["Source", "raw", "kept", "unique", "weight", "tokens", "epochs"], 0, rows, Vec::new())
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
        ("MFU", "training.mfu", "declared".to_owned()),
        ("Throughput", "training.tokens_per_second", "peak × MFU / FLOP per token".to_owned()),
        ("Step time", "training.step_time", "FLOP per step / (peak × MFU)".to_owned()),
        ("Time", "training.time", "FLOP / (peak × MFU), without interruptions".to_owned()),
        ("Device-hours", "training.device_hours", "devices × time".to_owned()),
        ("Price", "hardware.price", price_words(q)),
        ("Cost", "training.cost", "device-hours × price".to_owned()),
    ];
    let has_run = q.get("training.flops").is_some() || q.get("hardware.peak").is_some();
    let rows: Vec<Row> = rows
        .into_iter()
        .filter(|(_, path, _)| has_run && q.get(path).is_some())
        .map(|(label, path, words)| {
            let grade = q.get(path).map(|quantity| quantity.grade.word().to_owned()).unwrap_or_default();
            row(path, vec![label.to_owned(), q.display(path), grade, words], false)
        })
        .collect();
    let mut notes = Vec::new();
    if !rows.is_empty() && q.plan.hardware.is_some() && q.get("training.tokens_per_second").is_none() {
        notes.push("Time and cost need `training.mfu`: declare it.".to_owned());
    }
    section("Training run", &["Quantity", "value", "grade", "how"], 2, rows, notes)
}

fn price_words(q: &Quantities<'_>) -> String {
    match q.plan.hardware.as_ref().and_then(|hardware| hardware.price_as_of) {
        Some(date) => format!("of one device, as of {date}"),
        None => "of one device; `price_as_of` says how old it is".to_owned(),
    }
}

fn rules(q: &Quantities<'_>) -> Section {
    let tied = if q.plan.model.tied_embeddings { "12Ld² + Vd" } else { "12Ld² + 2Vd" };
    let each = q.get("memory.rule_of_thumb").map_or_else(String::new, |rule| {
        let bytes = rule.value.number().zip(q.number("model.params"));
        bytes.map(|(rule, n)| format!("{}N", format::plain(rule / n, 3))).unwrap_or_default()
    });
    let rows = [
        (format!("N ≈ {tied}"), "model.params.rule_of_thumb", "model.params"),
        ("forward ≈ 2N per token".to_owned(), "flops.rule_of_thumb.forward", "flops.forward_per_token"),
        ("inference ≈ 2NT".to_owned(), "flops.rule_of_thumb.inference", "flops.forward"),
        ("layer ≈ 24Td² + 4T²d".to_owned(), "flops.rule_of_thumb.per_layer", "flops.forward.per_layer"),
        ("layers ≈ L(24Td² + 4T²d)".to_owned(), "flops.rule_of_thumb.layers", "flops.forward.layers"),
        ("training ≈ 6N per token".to_owned(), "flops.rule_of_thumb.training", "flops.training_per_token"),
        ("training ≈ 6ND".to_owned(), "training.rule_of_thumb", "training.flops"),
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
    notes.push(format!(
        "2N counts all of N as matrix products: embeddings, positions and output are {} of N.",
        q.display("model.params.embedding_share"),
    ));
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
            symbols.strip_prefix("1·").unwrap_or(symbols).to_owned()
        }
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
