//! `llmplan catalog`: the built-in models, devices, their generations and scaling laws, listed or printed.

use llmplan_analysis::report::Value;
use llmplan_analysis::scaling;
use llmplan_spec::catalog::{self, Entry};
use llmplan_spec::plan::{Law, Origin, Plan, SettingValue};
use llmplan_spec::schema::suggest;
use llmplan_spec::units::{Number, Quantity, Unit, format};

use crate::args::{CatalogArgs, CatalogCommand, EntryKind, ListFormat};
use crate::exit::Exit;
use crate::load::resolve_alone;
use crate::output::Output;
use crate::render::catalog::{Card, Kind, json, markdown, text};

const PARAMS: &str = "model.params";

/// The smallest of models.
const PROBE: &str =
    "model probe {\n  layers = 1\n  d_model = 1\n  vocab = 1\n\n  attention {\n    heads = 1\n  }\n}\n\n";

/// Attributes that are shown where they are defaults too.
const ALWAYS: [&str; 3] = ["device.kind", "law.form", "law.params"];

/// The compute that laws are compared at, in FLOP: Gopher's and Chinchilla's.
const COMPARED: f64 = 5.76e23;

/// What names say for a size where it is no number.
const SIZES: [&str; 8] = ["h", "large", "medium", "micro", "mini", "small", "tiny", "xl"];

/// Lists the catalog, or prints an entry.
pub(crate) fn run(args: &CatalogArgs, output: &mut Output<'_>) -> Exit {
    match &args.command {
        None => list(None, ListFormat::Text, output),
        Some(CatalogCommand::List(args)) => list(args.kind, args.format, output),
        Some(CatalogCommand::Show(args)) => show(&args.name, output),
    }
}

fn list(only: Option<EntryKind>, format: ListFormat, output: &mut Output<'_>) -> Exit {
    let kinds = [
        (EntryKind::Models, Kind::Model),
        (EntryKind::Devices, Kind::Device),
        (EntryKind::Generations, Kind::Generation),
        (EntryKind::Laws, Kind::Law),
    ];
    let mut cards = Vec::new();
    for (_, kind) in kinds.into_iter().filter(|(named, _)| only.is_none_or(|only| only == *named)) {
        let entries = catalog::ENTRIES.iter().filter(|entry| entry.kind == kind.word());
        let mut listed: Vec<Card> = entries.map(|entry| card(entry, kind)).collect();
        if kind == Kind::Model {
            listed.sort_by(|a, b| order(a).cmp(&order(b)));
        }
        cards.push((kind, listed));
    }
    match format {
        ListFormat::Text => output.print(&text(&cards, output.paint())),
        ListFormat::Markdown => output.print(&markdown(&cards)),
        ListFormat::Json => match json(&cards) {
            Ok(text) => output.print(&text),
            Err(error) => {
                output.trouble(&format!("the list cannot be written as JSON: {error}"));
                return Exit::Trouble;
            }
        },
    }
    Exit::Fine
}

fn show(name: &str, output: &mut Output<'_>) -> Exit {
    let found: Vec<&str> =
        catalog::ENTRIES.iter().filter(|entry| entry.name == name).map(|entry| entry.text).collect();
    if !found.is_empty() {
        output.print(&found.join("\n"));
        return Exit::Fine;
    }
    let names = || catalog::ENTRIES.iter().map(|entry| entry.name);
    let family = suggest::family(name, names());
    let hint = match suggest::nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if (1..=8).contains(&family.len()) => {
            let quoted: Vec<String> = family.iter().map(|name| format!("`{name}`")).collect();
            format!("there is {}", suggest::one_of(&quoted))
        }
        None => "`llmplan catalog` lists it".to_owned(),
    };
    output.trouble(&format!("there is no `{name}` in the catalog; {hint}"));
    Exit::Trouble
}

/// What an entry says, read as any plan is.
fn card(entry: &'static Entry, kind: Kind) -> Card {
    let text = match kind {
        Kind::Model => entry.text.to_owned(),
        // A device alone is no plan: the smallest of models is put on it.
        Kind::Device => format!("{PROBE}hardware {{\n  device = {}\n  devices = 1\n}}\n", entry.name),
        Kind::Generation => format!(
            "{PROBE}device probe {{\n  generation = {}\n}}\n\nhardware {{\n  device = probe\n  devices = 1\n}}\n",
            entry.name
        ),
        Kind::Law => format!("{PROBE}{}", entry.text),
    };
    let (sources, resolution) = resolve_alone("catalog", text);
    // A test holds that every entry is sound; one that is not still has its line.
    let Some(plan) = resolution.plans.into_iter().next() else {
        return Card { name: entry.name, figures: Vec::new() };
    };
    let mut figures = attributes(&plan, kind);
    if kind == Kind::Model
        && let Some(report) = llmplan_analysis::analyze(&plan, &sources).report
    {
        let known = [PARAMS, "model.active_params", "model.kv_bytes_per_token"];
        for quantity in known.into_iter().filter_map(|path| report.get(path)) {
            if let Value::Count(count) = quantity.value
                && let Ok(count) = i128::try_from(count)
            {
                let value = Quantity { number: Number::Int(count), unit: quantity.unit };
                figures.push((quantity.path.clone(), SettingValue::Quantity(value)));
            }
        }
    }
    if kind == Kind::Law {
        figures.extend(divided(&plan.law));
    }
    figures.sort_by(|a, b| a.0.cmp(&b.0));
    Card { name: entry.name, figures }
}

/// How a law divides one amount of compute, and the power of compute that N* grows with.
fn divided(law: &Law) -> Vec<(String, SettingValue)> {
    let real = |real: f64, unit: Unit| {
        SettingValue::Quantity(Quantity { number: Number::Real(format::round(real, 12)), unit })
    };
    let (Some(here), Some(there)) =
        (scaling::optimum(law, COMPARED), scaling::optimum(law, COMPARED * std::f64::consts::E))
    else {
        return Vec::new();
    };
    vec![
        ("law.optimum.compute".to_owned(), real(COMPARED, Unit::FLOP)),
        ("law.optimum.exponent".to_owned(), real((there.params / here.params).ln(), Unit::NONE)),
        ("law.optimum.params".to_owned(), real(here.params, Unit::PARAMS)),
        ("law.optimum.tokens".to_owned(), real(here.tokens, Unit::TOKENS)),
        ("law.optimum.tokens_per_param".to_owned(), real(here.tokens / here.params, Unit::NONE)),
    ]
}

/// Models stand by family, and in a family by size.
fn order(card: &Card) -> (String, Option<u128>, &'static str) {
    let params = card.figures.iter().find(|(path, _)| path == PARAMS).and_then(|(_, value)| match value {
        SettingValue::Quantity(quantity) => quantity.number.count(),
        SettingValue::Text(_) => None,
    });
    (family(card.name), params, card.name)
}

/// The parts of a name before the one that says a size: `gemma-3` of `gemma-3-4b-text`.
fn family(name: &str) -> String {
    let size = |part: &str| {
        SIZES.contains(&part) || (part.starts_with(|c: char| c.is_ascii_digit()) && part.contains(['b', 'm']))
    };
    let mut parts = name.split('-');
    let first = parts.next().into_iter();
    first.chain(parts.take_while(|part| !size(part))).collect::<Vec<_>>().join("-")
}

/// The attributes of the entry's block. A device's defaults are no figures of that device; a model's are its shape.
fn attributes(plan: &Plan, kind: Kind) -> Vec<(String, SettingValue)> {
    let prefix = format!("{}.", kind.word());
    let known = plan.settings.iter().filter(|setting| {
        setting.path.starts_with(&prefix)
            && (kind == Kind::Model
                || matches!(setting.origin, Origin::Declared(_))
                || ALWAYS.contains(&setting.path.as_str()))
    });
    known.map(|setting| (setting.path.clone(), setting.value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_what_stands_before_the_size() {
        for (name, expected) in [
            ("gpt2", "gpt2"),
            ("gpt2-xl", "gpt2"),
            ("llama-3.1-70b", "llama-3.1"),
            ("gemma-3-4b-text", "gemma-3"),
            ("mixtral-8x7b", "mixtral"),
            ("bloom-7b1", "bloom"),
            ("granite-4.0-h-tiny", "granite-4.0"),
            ("deepseek-v3", "deepseek-v3"),
        ] {
            assert_eq!(family(name), expected);
        }
    }
}
