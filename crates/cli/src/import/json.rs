//! JSON as configurations have it: whole numbers apart from others, no key twice, `NaN` and `Infinity` allowed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::Fault;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Flag(bool),
    /// A whole number that is not negative.
    Count(u64),
    /// Any other number.
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Object),
}

/// The keys of an object, sorted.
pub(crate) type Object = BTreeMap<String, Json>;

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Flag(flag) => write!(f, "{flag}"),
            Json::Count(count) => write!(f, "{count}"),
            Json::Number(number) => write!(f, "{number}"),
            Json::Text(text) => write!(f, "{text:?}"),
            Json::List(list) if list.is_empty() => f.write_str("an empty list"),
            Json::List(list) => write!(f, "a list of {}", list.len()),
            Json::Object(_) => f.write_str("an object"),
        }
    }
}

/// Reads a text whose value is an object.
///
/// # Errors
/// Where the text is no JSON, has a key twice, or is something else than an object.
pub(crate) fn parse(text: &str) -> Result<Object, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new("this is empty".to_owned()));
    }
    match serde_json::from_str(&finite(text)) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(other) => Err(Fault::new(format!("this is {other}, and a configuration is an object `{{ … }}`"))),
        Err(error) => Err(explained(&error)),
    }
}

fn explained(error: &serde_json::Error) -> Fault {
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    let place = format!("line {}, column {}", error.line(), error.column());
    match error.classify() {
        Category::Eof => Fault::new("the text ends in the middle of a value".to_owned())
            .help("the file was cut off: fetch it again"),
        Category::Data => Fault::new(format!("{words} ({place})")),
        _ if words.starts_with("recursion") => Fault::new(format!("this is nested too deep ({place})")),
        _ if words.starts_with("number out of range") => {
            Fault::new(format!("a number is larger than any that can be read ({place})"))
        }
        _ => Fault::new(format!("this is not JSON: {words} ({place})")),
    }
}

/// Python writes `NaN` and `Infinity`, which JSON has not: they become texts.
fn finite(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    let (mut rest, mut quoted) = (text, false);
    while let Some(at) = rest.find(['"', '\\', 'N', 'I', '-']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let word =
            ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| !quoted && from.starts_with(word));
        let taken = match word {
            Some(word) => {
                out.push_str(&format!("\"{word}\""));
                word.len()
            }
            None => {
                quoted ^= from.starts_with('"');
                // What a backslash quotes is no end of a text.
                let escape = if quoted && from.starts_with('\\') { from.chars().nth(1) } else { None };
                let taken = 1 + escape.map_or(0, char::len_utf8);
                out.push_str(from.get(..taken).unwrap_or_default());
                taken
            }
        };
        rest = from.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Flag(flag))
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<Json, E> {
        Ok(Json::Count(count))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object = Object::new();
        while let Some((key, value)) = entries.next_entry::<String, Json>()? {
            let shown = crate::render::shortened(&key, 60);
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom(format!("the key `{shown}` stands twice in one object")));
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_has_not_become_texts_outside_of_texts() {
        let object =
            parse(r#"{"a": [0.0, Infinity, -Infinity], "NaN": NaN, "b": "\"NaN\\", "c": -1}"#).unwrap();
        let text = |text: &str| Json::Text(text.to_owned());
        let list = Json::List(vec![Json::Number(0.0), text("Infinity"), text("-Infinity")]);
        assert_eq!(object["a"], list);
        assert_eq!(object["NaN"], text("NaN"));
        assert_eq!(object["b"], text("\"NaN\\"));
        assert_eq!(object["c"], Json::Number(-1.0));
    }

    #[test]
    fn a_key_stands_once() {
        assert!(parse(r#"{"a": 1, "b": {"a": 1}}"#).is_ok());
        let fault = parse(r#"{"a": 1, "b": {"c": 1, "c": 1}}"#).unwrap_err();
        assert!(fault.message.starts_with("the key `c` stands twice"), "{}", fault.message);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "1", "{", "{\"a\": 1e400}", "{'a': 1}", &"[".repeat(100_000)] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
