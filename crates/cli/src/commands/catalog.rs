//! `llmplan catalog`: the built-in models and devices, listed or printed.

use llmplan_analysis::report::Value;
use llmplan_spec::catalog::{self, Entry};
use llmplan_spec::loader::{LoadError, Loader};
use llmplan_spec::plan::{Origin, Plan, SettingValue};
use llmplan_spec::resolve::{Request, resolve};
use llmplan_spec::schema::suggest;
use llmplan_spec::source::{Source, SourceKind, Sources};
use llmplan_spec::units::{Number, Quantity, Unit};

use crate::args::{CatalogArgs, CatalogCommand, EntryKind, ListFormat};
use crate::exit::Exit;
use crate::output::Output;
use crate::render::catalog::{Card, Kind, json, markdown, text};

/// Lists the catalog, or prints an entry.
pub(crate) fn run(args: &CatalogArgs, output: &mut Output<'_>) -> Exit {
    match &args.command {
        None => list(None, ListFormat::Text, output),
        Some(CatalogCommand::List(args)) => list(args.kind, args.format, output),
        Some(CatalogCommand::Show(args)) => show(&args.name, output),
    }
}

fn list(only: Option<EntryKind>, format: ListFormat, output: &mut Output<'_>) -> Exit {
    let kinds = [(EntryKind::Models, Kind::Model), (EntryKind::Devices, Kind::Device)];
    let mut cards = Vec::new();
    for (_, kind) in kinds.into_iter().filter(|(named, _)| only.is_none_or(|only| only == *named)) {
        let entries = catalog::ENTRIES.iter().filter(|entry| entry.kind == kind.word());
        cards.push((kind, entries.map(|entry| card(entry, kind)).collect::<Vec<_>>()));
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
        Kind::Device => format!(
            "model probe {{\n  layers = 1\n  d_model = 1\n  vocab = 1\n\n  attention {{\n    heads = 1\n  }}\n}}\n\n\
             hardware {{\n  device = {}\n  devices = 1\n}}\n",
            entry.name
        ),
    };
    let mut sources = Sources::default();
    let file = sources.add(Source { name: "catalog".to_owned(), text, kind: SourceKind::File });
    let resolution = resolve(Request {
        sources: &mut sources,
        file,
        path: "",
        loader: &NoFiles,
        params: &llmplan_analysis::count,
        set: &[],
    });
    // A test holds that every entry is sound; one that is not still has its line.
    let Some(plan) = resolution.plans.into_iter().next() else {
        return Card { name: entry.name, figures: Vec::new() };
    };
    let mut figures = attributes(&plan, kind);
    if kind == Kind::Model
        && let Some(report) = llmplan_analysis::analyze(&plan, &sources).report
    {
        for path in ["model.params", "model.active_params"] {
            if let Some(Value::Count(count)) = report.get(path).map(|quantity| &quantity.value)
                && let Ok(count) = i128::try_from(*count)
            {
                let quantity = Quantity { number: Number::Int(count), unit: Unit::PARAMS };
                figures.push((path.to_owned(), SettingValue::Quantity(quantity)));
            }
        }
    }
    figures.sort_by(|a, b| a.0.cmp(&b.0));
    Card { name: entry.name, figures }
}

/// The attributes of the entry's block. A device's defaults are no figures of that device; a model's are its shape.
fn attributes(plan: &Plan, kind: Kind) -> Vec<(String, SettingValue)> {
    let prefix = format!("{}.", kind.word());
    let known = plan.settings.iter().filter(|setting| {
        setting.path.starts_with(&prefix)
            && (kind == Kind::Model
                || matches!(setting.origin, Origin::Declared(_))
                || setting.path == "device.kind")
    });
    known.map(|setting| (setting.path.clone(), setting.value.clone())).collect()
}

/// The catalog imports nothing.
struct NoFiles;

impl Loader for NoFiles {
    fn load(&self, _: &str) -> Result<String, LoadError> {
        Err(LoadError::NotFound)
    }

    fn root(&self) -> String {
        String::new()
    }
}
