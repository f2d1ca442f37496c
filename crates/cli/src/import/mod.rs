//! A Hugging Face `config.json` as a model of the language: text in, text out.

mod defaults;
mod families;
mod fields;
mod header;
mod json;
mod layers;
mod shape;
mod write;

use std::borrow::Cow;
use std::collections::BTreeSet;

use llmplan_spec::diagnostic::Severity;
use llmplan_spec::format::format;
use llmplan_spec::source::FileId;

use crate::load::resolve_alone;
use crate::render::verdict::plural;

pub(crate) use header::valid as valid_name;

use fields::Fields;
use json::{Json, Object};

/// What is wrong with a configuration, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    fn new(message: String) -> Fault {
        Fault { message, help: None }
    }

    fn help(self, help: impl Into<String>) -> Fault {
        Fault { help: Some(help.into()), ..self }
    }
}

/// What is known about a configuration beside its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'r> {
    /// The text of the configuration.
    pub(crate) text: &'r str,
    /// Its name in the header.
    pub(crate) file: &'r str,
    /// A name for the model where the configuration has none.
    pub(crate) stem: Option<&'r str>,
    /// The type to take it for.
    pub(crate) kind: Option<&'r str>,
    /// What to call the model.
    pub(crate) name: Option<&'r str>,
}

/// A model from a configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Imported {
    /// The model in its canonical layout, behind comments that say where it is from.
    pub(crate) text: String,
    /// Fields that were read, by the names that the configuration has for them.
    pub(crate) read: Vec<String>,
    /// Fields that were left out, and what they are then.
    pub(crate) defaulted: Vec<(String, String)>,
    /// Fields that mean nothing here.
    pub(crate) ignored: Vec<String>,
    /// What the language says otherwise.
    pub(crate) remarks: Vec<String>,
}

/// Reads a configuration.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn import(request: Request<'_>) -> Result<Imported, Vec<Fault>> {
    let one = |fault| vec![fault];
    let whole = json::parse(request.text).map_err(one)?;
    let part = Part::of(&whole);
    let kind = match (request.kind, part.object.get("model_type"), whole.get("model_type")) {
        (Some(kind), ..) => kind,
        (_, Some(Json::Text(kind)), _) | (_, None | Some(Json::Null), Some(Json::Text(kind))) => kind,
        (_, Some(other), _) if *other != Json::Null => {
            return Err(one(Fault::new(format!("`model_type` is {other}, and must be a text"))));
        }
        _ => {
            return Err(one(Fault::new("`model_type` is missing".to_owned()).help("name it: `--as llama`")));
        }
    };
    let (own, reader) = families::find(kind).map_err(one)?;
    let kind = defaults::of(own).map_err(one)?;
    let fields = Fields::new(&part.object, &kind, part.prefix);
    let shape = reader(&fields);
    let mut notes = fields.into_notes();
    notes.faults.extend(beyond(&part, shape.layers.len() as u64));
    if !notes.faults.is_empty() {
        return Err(notes.faults);
    }
    let name = header::name(request, &whole, &kind.name).map_err(one)?;
    let mut imported = Imported {
        text: String::new(),
        ignored: ignored(&whole, &part, &notes.read),
        read: notes.read.into_iter().collect(),
        defaulted: notes.defaulted.into_iter().collect(),
        remarks: notes.remarks,
    };
    let source = format!("config.json of the model type {}", kind.name);
    let text = header::comment(request.file, &kind.name, &imported) + &write::model(&name, &source, &shape);
    imported.text = format(&text, FileId(0)).text;
    match faults_of(&imported.text) {
        faults if faults.is_empty() => Ok(imported),
        faults => Err(faults),
    }
}

/// Lists of a configuration that do not fit its layers: as long as those, or numbers of some of them.
fn beyond(part: &Part<'_>, layers: u64) -> Vec<Fault> {
    let lists = part.object.iter().filter_map(|(key, value)| match value {
        Json::List(list) => Some((key.as_str(), list)),
        _ => None,
    });
    let fault = |key: &str, what: String| {
        let title = format!("`{}{key}` {what}", part.prefix);
        Fault::new(title).help(format!("the model has {layers} layers, numbered from 0"))
    };
    lists
        .filter_map(|(key, list)| match key {
            "layer_types" | "mlp_layer_types" if list.len() as u64 != layers => {
                Some(fault(key, format!("names {}", plural(list.len(), "layer"))))
            }
            "mlp_only_layers" | "attn_layer_indices" | "moe_layers" => {
                let number = list.iter().find_map(|item| match item {
                    Json::Count(number) if *number >= layers => Some(number),
                    _ => None,
                })?;
                Some(fault(key, format!("names layer {number}")))
            }
            _ => None,
        })
        .collect()
}

/// What keeps a text from being a model: shapes that do not fit are told by the language itself.
fn faults_of(text: &str) -> Vec<Fault> {
    let (_, resolution) = resolve_alone("", text.to_owned());
    let errors =
        resolution.diagnostics.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    errors
        .map(|diagnostic| {
            let fault = Fault::new(format!("this is no model: {}", diagnostic.title));
            match diagnostic.help.first() {
                Some(help) => fault.help(help),
                None => fault,
            }
        })
        .collect()
}

/// The object that describes the language model.
struct Part<'w> {
    object: Cow<'w, Object>,
    prefix: &'static str,
}

impl<'w> Part<'w> {
    /// A model of text and more describes its text apart.
    fn of(whole: &'w Object) -> Part<'w> {
        for (key, prefix) in [
            ("text_config", "text_config."),
            ("llm_config", "llm_config."),
            ("language_config", "language_config."),
        ] {
            let Some(Json::Object(inner)) = whole.get(key) else { continue };
            let mut object = inner.clone();
            // Old files say only once whether embeddings are tied.
            if let (false, Some(tied)) =
                (object.contains_key("tie_word_embeddings"), whole.get("tie_word_embeddings"))
            {
                object.insert("tie_word_embeddings".to_owned(), tied.clone());
            }
            return Part { object: Cow::Owned(object), prefix };
        }
        Part { object: Cow::Borrowed(whole), prefix: "" }
    }
}

/// The fields that nothing was read from.
fn ignored(whole: &Object, part: &Part<'_>, read: &BTreeSet<String>) -> Vec<String> {
    let outer = whole.keys().filter(|_| !part.prefix.is_empty()).cloned();
    let inner = part.object.keys().map(|key| format!("{}{key}", part.prefix));
    let is_read = |name: &String| {
        name.ends_with("model_type")
            || name == "_name_or_path"
            || part.prefix.trim_end_matches('.') == name
            || read.iter().any(|read| {
                read.strip_prefix(name.as_str())
                    .is_some_and(|rest| matches!(rest.as_bytes(), [] | [b'.', ..]))
            })
    };
    let mut ignored: Vec<String> = outer.chain(inner).filter(|name| !is_read(name)).collect();
    ignored.sort();
    ignored
}
