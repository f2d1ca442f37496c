//! The types of configurations, and what each of them defaults: read from `defaults.json`, whose README says how it
//! was made.

use std::collections::BTreeMap;

use super::Fault;
use super::json::{self, Json, Object};

const TABLE: &str = include_str!("defaults.json");

/// A type of configurations.
#[derive(Clone, Debug)]
pub(crate) struct Type {
    pub(crate) name: String,
    /// Each field that matters here and its default.
    pub(crate) defaults: Object,
    /// Common names of fields, and how this type spells them.
    pub(crate) aliases: BTreeMap<String, String>,
}

/// The type of a name in the table.
///
/// # Errors
/// Where the table has no such type, which a test excludes for every type that can be imported.
pub(crate) fn of(name: &str) -> Result<Type, Fault> {
    let mut table = json::parse(TABLE)?;
    let found = match table.remove("types") {
        Some(Json::Object(mut types)) => types.remove(name),
        _ => None,
    };
    let Some(Json::Object(mut found)) = found else {
        return Err(Fault::new(format!("there are no defaults for the model type `{name}`")));
    };
    let aliases = match found.remove("aliases") {
        Some(Json::Object(aliases)) => aliases
            .into_iter()
            .filter_map(|(key, own)| if let Json::Text(own) = own { Some((key, own)) } else { None })
            .collect(),
        _ => BTreeMap::new(),
    };
    match found.remove("defaults") {
        Some(Json::Object(defaults)) => Ok(Type { name: name.to_owned(), defaults, aliases }),
        _ => Err(Fault::new(format!("there are no defaults for the model type `{name}`"))),
    }
}
