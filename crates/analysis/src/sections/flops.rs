//! The tables of FLOPs: by component, per token, by convention, and over the bytes that move.

use llmplan_spec::plan::Documents;

use super::{row, section, share, symbols};
use crate::flops::PRODUCTS;
use crate::quantities::Quantities;
use crate::report::{Row, Section};

/// The parts of a forward pass with their labels, in the order of the report.
const PARTS: [(&str, &str); 19] = [
    ("Q, K, V projections", "flops.forward.qkv"),
    ("Relative positions", "flops.forward.relative"),
    ("Scores QKᵀ", "flops.forward.scores"),
    ("Weighted sum of V", "flops.forward.weighted_sum"),
    ("Attention gate", "flops.forward.attention_gate"),
    ("Attention output", "flops.forward.output_projection"),
    ("Recurrent input", "flops.forward.recurrent_input"),
    ("Recurrence", "flops.forward.recurrence"),
    ("Recurrent output", "flops.forward.recurrent_output"),
    ("FFN up", "flops.forward.ffn_up"),
    ("FFN gate", "flops.forward.ffn_gate"),
    ("FFN down", "flops.forward.ffn_down"),
    ("Router", "flops.forward.router"),
    ("Routed experts", "flops.forward.experts"),
    ("Shared experts", "flops.forward.shared_experts"),
    ("Embedding projections", "flops.forward.projection"),
    ("Logits", "flops.forward.logits"),
    ("Multi-token prediction", "flops.forward.mtp"),
    ("its attention", "flops.forward.mtp_attention"),
];

/// One forward pass by component.
pub(super) fn forward(q: &Quantities<'_>) -> Section {
    let mut rows: Vec<Row> = PARTS
        .iter()
        .chain(&[("Forward", "flops.forward")])
        .filter(|(_, path)| q.get(path).is_some())
        .map(|(label, path)| {
            let total = *path == "flops.forward";
            let symbols = if total { String::new() } else { symbols(q, path) };
            let cells = vec![(*label).to_owned(), q.display(path), share(q, path, "flops.forward"), symbols];
            Row { indent: u8::from(*label == "its attention"), ..row(path, cells, total) }
        })
        .collect();
    let (backward, training) = match q.get("flops.adapters") {
        None => ("2 × forward", "forward + backward = 3 × forward"),
        Some(_) => ("forward, and attention once more: weights are frozen", "forward + backward + adapters"),
    };
    for (label, path, words) in [
        ("Each layer", "flops.forward.per_layer", "logits left out"),
        ("Backward", "flops.backward", backward),
        ("Adapters", "flops.adapters", "6 for each value, forward and backward"),
        ("Training", "flops.training", training),
    ] {
        if q.get(path).is_some() {
            let cells = vec![label.to_owned(), q.display(path), String::new(), words.to_owned()];
            rows.push(row(path, cells, false));
        }
    }
    let title = format!("One sequence of T = {}{}", q.display("flops.sequence"), documents_words(q));
    section(&title, &["Component", "FLOP", "share", "formula"], 1, rows, Vec::new())
}

/// What the sequence is packed from.
fn documents_words(q: &Quantities<'_>) -> String {
    match q.plan.training.as_ref().and_then(|training| training.documents.as_ref()) {
        None => String::new(),
        Some(Documents::Listed(lengths)) => format!(" in {} documents", lengths.len()),
        Some(Documents::Alike(length)) => format!(" in documents of {length}"),
    }
}

/// Per token, with the rules of thumb.
pub(super) fn per_token(q: &Quantities<'_>) -> Section {
    let served = q.get("flops.inference_per_token").is_some();
    let n = if q.get("model.params.active_experts").is_some() { "N_active" } else { "N" };
    let packed = !documents_words(q).is_empty();
    let forward = if served || packed { "Forward, in training" } else { "Forward, also inference" };
    let times = if q.get("flops.adapters").is_some() { "4" } else { "6" };
    let rows = [
        (forward, "flops.forward_per_token", "flops.rule_of_thumb.forward", "2"),
        ("Forward, in inference", "flops.inference_per_token", "", ""),
        ("Backward", "flops.backward_per_token", "", ""),
        ("Training", "flops.training_per_token", "flops.rule_of_thumb.training", times),
    ];
    let rows = rows
        .iter()
        .filter(|(_, path, ..)| q.get(path).is_some())
        .map(|(label, path, rule, times)| {
            let beside =
                if rule.is_empty() { String::new() } else { format!("{times}{n} = {}", q.display(rule)) };
            row(path, vec![(*label).to_owned(), q.display(path), beside], false)
        })
        .collect();
    section("Each token", &["Pass", "FLOP", "rule of thumb"], 0, rows, Vec::new())
}

/// What each convention counts per token.
pub(super) fn conventions(q: &Quantities<'_>) -> Section {
    let rows: Vec<Row> = [("full", "the masked half counts"), ("causal", "it does not")]
        .into_iter()
        .filter_map(|(word, meaning)| {
            let path = |leaf: &str| format!("flops.convention.{word}.{leaf}");
            q.get(&path("training_per_token"))?;
            let cells = vec![
                word.to_owned(),
                q.display(&path("forward_per_token")),
                q.display(&path("backward_per_token")),
                q.display(&path("training_per_token")),
                meaning.to_owned(),
            ];
            Some(row(&path("training_per_token"), cells, false))
        })
        .collect();
    let columns = ["Attention", "forward", "backward", "training", "convention"];
    section("Each token, by convention", &columns, 1, rows, Vec::new())
}

/// FLOPs over the bytes that move.
pub(super) fn intensity(q: &Quantities<'_>) -> Section {
    let names = PRODUCTS.iter().map(|(name, _)| *name).filter(|name| *name != "relative");
    let rows: Vec<Row> = names
        .chain(["attention", "logits"])
        .filter_map(|name| {
            let path = format!("intensity.{name}");
            q.get(&path)?;
            let known = format!("flops.forward.{name}");
            let label =
                PARTS.iter().find(|(_, path)| *path == known).map_or("Scores and sum", |(label, _)| label);
            let cells = vec![
                label.to_owned(),
                q.display(&format!("traffic.{name}")),
                q.display(&path).replace(" FLOP/bytes", ""),
            ];
            Some(row(&path, cells, false))
        })
        .collect();
    let notes = vec![
        "One forward pass over T tokens at 2 bytes a value; an operator is bound by memory below the device's peak over \
         its bandwidth."
            .to_owned(),
    ];
    section("Arithmetic intensity", &["Operator", "moves", "FLOP per byte"], 0, rows, notes)
}
