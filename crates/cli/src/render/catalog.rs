//! The catalog as tables, Markdown and JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use llmplan_spec::plan::SettingValue;
use llmplan_spec::units::format::{self, BytePrefix};
use serde_json::Value;

use super::paint::Paint;
use super::table::{Align, Table};
use super::{WIDTH, wrapped};

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Model,
    Device,
    Generation,
    Law,
}

/// An entry and its figures, by path.
#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) name: &'static str,
    /// Sorted by path: `device.peak.bf16`.
    pub(crate) figures: Vec<(String, SettingValue)>,
}

const MODEL_NOTES: &[&str] = &[
    "Active are the parameters that one token passes, where they are not all.",
    "KV per token is the cache of all layers, in 16 bits.",
];

const DEVICE_NOTES: &[&str] = &[
    "Peaks are dense, in bf16 or else in fp16; link and network are in one direction.",
    "Prices are list prices; `llmplan catalog show NAME` has their date and all sources.",
];

const GENERATION_NOTES: &[&str] = &[
    "Shares of the data sheet's peak or bandwidth that large operations reach; where no `mfu` is declared, step times \
     rest on them.",
    "The error is that of step times over published runs that the constants were not fitted to.",
];

const LAW_NOTES: &[&str] = &[
    "N* and D* are those at 5.76e23 FLOP, Gopher's and Chinchilla's; N* grows as C^a. Each law counts N in its own way: \
     plans convert.",
    "`chinchilla_refit` is the law of plans that pick none; `llmplan catalog show NAME` has sources and known trouble.",
];

impl Kind {
    /// The word that opens such a block.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Model => "model",
            Kind::Device => "device",
            Kind::Generation => "generation",
            Kind::Law => "law",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Kind::Model => "Models",
            Kind::Device => "Devices",
            Kind::Generation => "Generations",
            Kind::Law => "Laws",
        }
    }

    fn notes(self) -> &'static [&'static str] {
        match self {
            Kind::Model => MODEL_NOTES,
            Kind::Device => DEVICE_NOTES,
            Kind::Generation => GENERATION_NOTES,
            Kind::Law => LAW_NOTES,
        }
    }
}

/// The lists as text.
pub(crate) fn text(lists: &[(Kind, Vec<Card>)], paint: Paint) -> String {
    let parts: Vec<String> = lists
        .iter()
        .map(|(kind, cards)| {
            let mut text = format!("{}\n", paint.strong(kind.title()));
            if cards.is_empty() {
                text.push_str("  none in this version\n");
                return text;
            }
            text.push_str(&table(*kind, cards).text(WIDTH, paint));
            for note in kind.notes() {
                for (at, line) in wrapped(note, WIDTH - 4).iter().enumerate() {
                    let _ = writeln!(text, "  {}{line}", if at == 0 { "" } else { "  " });
                }
            }
            text
        })
        .collect();
    parts.join("\n")
}

/// The lists in Markdown.
pub(crate) fn markdown(lists: &[(Kind, Vec<Card>)]) -> String {
    let parts: Vec<String> = lists
        .iter()
        .map(|(kind, cards)| {
            let mut text = format!("## {}\n\n", kind.title());
            if cards.is_empty() {
                text.push_str("None in this version.\n");
                return text;
            }
            text.push_str(&table(*kind, cards).markdown());
            for note in kind.notes() {
                let _ = write!(text, "\n{note}\n");
            }
            text
        })
        .collect();
    parts.join("\n")
}

/// The lists as JSON: `{"devices": [{"name": …, "memory": …}], …}`. Attributes have their paths in the block and are in
/// SI base units.
///
/// # Errors
/// Those of the JSON writer.
pub(crate) fn json(lists: &[(Kind, Vec<Card>)]) -> serde_json::Result<String> {
    let mut document: BTreeMap<String, Value> =
        BTreeMap::from([("schema_version".to_owned(), Value::from(1))]);
    for (kind, cards) in lists {
        let prefix = format!("{}.", kind.word());
        let entries = cards.iter().map(|card| {
            let mut entry = serde_json::Map::new();
            entry.insert("name".to_owned(), Value::from(card.name));
            for (path, value) in &card.figures {
                entry.insert(path.strip_prefix(&prefix).unwrap_or(path).to_owned(), plain(value));
            }
            Value::Object(entry)
        });
        document.insert(kind.title().to_lowercase(), entries.collect());
    }
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn plain(value: &SettingValue) -> Value {
    match value {
        SettingValue::Text(text) if text == "true" => Value::Bool(true),
        SettingValue::Text(text) if text == "false" => Value::Bool(false),
        SettingValue::Text(text) => Value::from(text.as_str()),
        SettingValue::Quantity(quantity) => match quantity.number.count().map(u64::try_from) {
            Some(Ok(count)) => Value::from(count),
            _ => Value::from(quantity.number.real()),
        },
    }
}

fn table(kind: Kind, cards: &[Card]) -> Table {
    match kind {
        Kind::Model => models(cards),
        Kind::Device => devices(cards),
        Kind::Generation => generations(cards),
        Kind::Law => laws(cards),
    }
}

fn models(cards: &[Card]) -> Table {
    let columns = [
        ("name", Align::Left),
        ("parameters", Align::Right),
        ("active", Align::Right),
        ("experts", Align::Right),
        ("layers", Align::Right),
        ("d_model", Align::Right),
        ("KV per token", Align::Right),
        ("context", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for card in cards {
        let bare = |path: &str| {
            let shown = shown(card, path);
            shown.split(' ').next().unwrap_or_default().to_owned()
        };
        let params = bare("model.params");
        let active = Some(bare("model.active_params")).filter(|active| *active != params);
        let routed = bare("model.moe.experts");
        let experts = match bare("model.moe.experts_per_token") {
            taken if taken.is_empty() || routed.is_empty() => String::new(),
            taken => format!("{taken} of {routed}"),
        };
        table.push([
            card.name,
            &params,
            &active.unwrap_or_default(),
            &experts,
            &bare("model.layers"),
            &bare("model.d_model"),
            &shown(card, "model.kv_bytes_per_token"),
            &bare("model.context"),
        ]);
    }
    table
}

fn devices(cards: &[Card]) -> Table {
    let columns = [
        ("name", Align::Left),
        ("memory", Align::Right),
        ("bandwidth", Align::Right),
        ("16-bit peak", Align::Right),
        ("link", Align::Right),
        ("network", Align::Right),
        ("power", Align::Right),
        ("price / h", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for card in cards {
        let peak = ["device.peak.bf16", "device.peak.fp16"].iter().map(|path| shown(card, path));
        table.push([
            card.name,
            &shown(card, "device.memory"),
            &shown(card, "device.memory_bandwidth"),
            &peak.into_iter().find(|peak| !peak.is_empty()).unwrap_or_default(),
            &shown(card, "device.link"),
            &shown(card, "device.network"),
            &shown(card, "device.power"),
            &price(card),
        ]);
    }
    table
}

fn generations(cards: &[Card]) -> Table {
    let columns = [
        ("name", Align::Left),
        ("16-bit", Align::Right),
        ("fp8", Align::Right),
        ("fp4", Align::Right),
        ("attention", Align::Right),
        ("memory", Align::Right),
        ("link", Align::Right),
        ("network", Align::Right),
        ("error", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for card in cards {
        let of = |name: &str| percent(card, &format!("generation.{name}"));
        table.push([
            card.name,
            &of("matmul"),
            &of("matmul_fp8"),
            &of("matmul_fp4"),
            &of("attention_forward"),
            &of("memory"),
            &of("link"),
            &of("network"),
            &of("error"),
        ]);
    }
    table
}

fn laws(cards: &[Card]) -> Table {
    let columns = [
        ("name", Align::Left),
        ("form", Align::Left),
        ("N is", Align::Left),
        ("runs, in FLOP", Align::Right),
        ("a", Align::Right),
        ("N*", Align::Right),
        ("D*", Align::Right),
        ("D*/N*", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for card in cards {
        let bare = |path: &str, digits: usize| match of(card, path) {
            Some(SettingValue::Quantity(own)) => {
                let text = format::quantity(own.number, own.unit, digits, BytePrefix::Decimal);
                text.split(' ').next().unwrap_or_default().to_owned()
            }
            Some(SettingValue::Text(text)) => text.replace('_', " "),
            None => String::new(),
        };
        let flop = |path: &str| match of(card, path) {
            Some(SettingValue::Quantity(own)) => format!("{:e}", own.number.real()),
            _ => String::new(),
        };
        let range = match (flop("law.compute_low"), flop("law.compute_high")) {
            (low, high) if low.is_empty() && high.is_empty() => String::new(),
            (low, high) if low.is_empty() => format!("to {high}"),
            (low, high) => format!("{low}–{high}"),
        };
        table.push([
            card.name,
            &bare("law.form", 4),
            &bare("law.params", 4),
            &range,
            &bare("law.optimum.exponent", 3),
            &bare("law.optimum.params", 3),
            &bare("law.optimum.tokens", 3),
            &bare("law.optimum.tokens_per_param", 3),
        ]);
    }
    table
}

/// A share; empty where there is none.
fn percent(card: &Card, path: &str) -> String {
    match card.figures.iter().find(|(known, _)| known == path).map(|(_, value)| value) {
        Some(SettingValue::Quantity(quantity)) => format::percent(quantity.number.real()),
        _ => String::new(),
    }
}

/// `$1.99–5.00`, or one price where both are the same.
fn price(card: &Card) -> String {
    let of = |path: &str| shown(card, path).trim_end_matches(" / h").to_owned();
    let (low, high) = (of("device.price_low"), of("device.price_high"));
    if low == high { low } else { format!("{low}–{}", high.trim_start_matches('$')) }
}

fn of<'c>(card: &'c Card, path: &str) -> Option<&'c SettingValue> {
    card.figures.iter().find(|(known, _)| known == path).map(|(_, value)| value)
}

/// A figure as reports print it; empty where there is none.
fn shown(card: &Card, path: &str) -> String {
    match of(card, path) {
        Some(SettingValue::Quantity(quantity)) => {
            format::quantity(quantity.number, quantity.unit, 4, BytePrefix::Decimal)
        }
        Some(SettingValue::Text(text)) => text.clone(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use llmplan_spec::units::{Number, Quantity, Unit};

    use super::*;

    fn figure(path: &str, count: i128, unit: Unit) -> (String, SettingValue) {
        let number = Number::Int(count);
        (path.to_owned(), SettingValue::Quantity(Quantity { number, unit }))
    }

    #[test]
    fn a_model_has_its_size_and_shape() {
        let figures = vec![
            figure("model.active_params", 12_879_925_248, Unit::PARAMS),
            figure("model.context", 32_768, Unit::TOKENS),
            figure("model.d_model", 4_096, Unit::NONE),
            figure("model.kv_bytes_per_token", 131_072, Unit::BYTES),
            figure("model.moe.experts", 8, Unit::NONE),
            figure("model.moe.experts_per_token", 2, Unit::NONE),
            figure("model.params", 46_702_792_704, Unit::PARAMS),
        ];
        let lists = [(Kind::Model, vec![Card { name: "mixtral-8x7b", figures }])];
        let lines = [
            "Models",
            "  name          parameters  active  experts  layers  d_model  KV per token  context",
            "  mixtral-8x7b       46.7B  12.88B   2 of 8            4,096      131.1 KB   32,768",
            "  Active are the parameters that one token passes, where they are not all.",
            "  KV per token is the cache of all layers, in 16 bits.",
            "",
        ];
        assert_eq!(text(&lists, Paint::PLAIN), lines.join("\n"));
        let json: Value = serde_json::from_str(&json(&lists).unwrap()).unwrap();
        assert_eq!(json["models"][0]["params"], 46_702_792_704_u64);
    }

    #[test]
    fn a_law_has_its_form_range_and_optimum() {
        let real = |path: &str, real: f64, unit: Unit| {
            (path.to_owned(), SettingValue::Quantity(Quantity { number: Number::Real(real), unit }))
        };
        let figures = vec![
            real("law.compute_high", 3e20, Unit::FLOP),
            real("law.compute_low", 1e17, Unit::FLOP),
            ("law.form".to_owned(), SettingValue::Text("allocation".to_owned())),
            real("law.optimum.exponent", 0.5243, Unit::NONE),
            real("law.optimum.params", 81.98e9, Unit::PARAMS),
            real("law.optimum.tokens", 1.171e12, Unit::TOKENS),
            real("law.optimum.tokens_per_param", 14.28, Unit::NONE),
            ("law.params".to_owned(), SettingValue::Text("flops_per_token".to_owned())),
        ];
        let open = figures.iter().filter(|(path, _)| path != "law.compute_low").cloned().collect();
        let lists =
            [(Kind::Law, vec![Card { name: "deepseek", figures }, Card { name: "open", figures: open }])];
        let shown = text(&lists, Paint::PLAIN);
        let lines: Vec<&str> = shown.lines().take(4).collect();
        assert_eq!(
            lines,
            [
                "Laws",
                "  name      form        N is             runs, in FLOP      a   N*     D*  D*/N*",
                "  deepseek  allocation  flops per token      1e17–3e20  0.524  82B  1.17T   14.3",
                "  open      allocation  flops per token        to 3e20  0.524  82B  1.17T   14.3",
            ]
        );
    }

    #[test]
    fn a_price_is_a_range_or_one() {
        let hourly = |path: &str, dollars: f64| {
            let number = Number::Real(dollars / 3600.0);
            (path.to_owned(), SettingValue::Quantity(Quantity { number, unit: Unit::MONEY_PER_TIME }))
        };
        let card = |low: f64, high: f64| Card {
            name: "mine",
            figures: vec![hourly("device.price_low", low), hourly("device.price_high", high)],
        };
        assert_eq!(price(&card(4.2, 4.2)), "$4.20");
        assert_eq!(price(&card(1.99, 5.0)), "$1.99–5.00");
        assert_eq!(price(&Card { name: "mine", figures: Vec::new() }), "");
    }

    #[test]
    fn a_kind_without_entries_says_so() {
        let lists = [(Kind::Model, Vec::new())];
        assert_eq!(text(&lists, Paint::PLAIN), "Models\n  none in this version\n");
        assert_eq!(markdown(&lists), "## Models\n\nNone in this version.\n");
    }
}
