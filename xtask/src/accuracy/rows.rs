//! Published rows as they stand in JSON: every field is optional, and a number may be written as a text.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

/// One row of a table: a run, a measurement of memory, or a model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    fields: Map<String, Value>,
}

impl Row {
    /// A row of an object's fields.
    pub(crate) fn new(fields: Map<String, Value>) -> Row {
        Row { fields }
    }

    /// A field's text; empty texts are none.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    /// A field's text in lower case, or an empty one.
    pub(crate) fn lower(&self, field: &str) -> String {
        self.text(field).unwrap_or_default().to_lowercase()
    }

    /// A field's finite number.
    pub(crate) fn number(&self, field: &str) -> Option<f64> {
        let value = self.fields.get(field)?;
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
        number.is_finite().then_some(number)
    }

    /// A field's whole number above zero.
    pub(crate) fn count(&self, field: &str) -> Option<u64> {
        let number = self.number(field)?;
        (number >= 1.0 && number.fract() == 0.0 && number < 9e15).then_some(number as u64)
    }

    /// The first of some fields that has a whole number above zero.
    pub(crate) fn first_count(&self, fields: &[&str]) -> Option<u64> {
        fields.iter().find_map(|field| self.count(field))
    }

    /// Whether a field is `true`.
    pub(crate) fn flag(&self, field: &str) -> bool {
        self.fields.get(field).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether a field is there with anything but `null` or `false`.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !value.is_null() && value.as_bool() != Some(false))
    }

    /// An object in a field, as a row of its own.
    pub(crate) fn inner(&self, field: &str) -> Option<Row> {
        self.fields.get(field)?.as_object().map(|fields| Row::new(fields.clone()))
    }

    /// The row with a field set where it has none.
    pub(crate) fn or(&mut self, field: &str, value: impl Into<Value>) {
        if !self.has(field) {
            self.fields.insert(field.to_owned(), value.into());
        }
    }

    /// The group that the row is reported in: its own, else what its id begins with.
    pub(crate) fn group(&self) -> String {
        let id = self.text("id").unwrap_or("row");
        self.text("group").or_else(|| id.split('-').next()).unwrap_or("row").to_owned()
    }

    /// The row's name.
    pub(crate) fn id(&self) -> String {
        self.text("id").unwrap_or("row").to_owned()
    }

    /// Why the row is not to be scored, where its own words say so.
    pub(crate) fn excluded(&self) -> bool {
        self.has("exclude_from_accuracy")
            || ["row_note", "notes"].iter().any(|field| self.lower(field).contains("do not score"))
    }
}

/// The rows of a file: the list it is, or the longest one in it. None where there is no such file.
///
/// # Errors
/// Whatever keeps the file from being read.
pub(crate) fn read(folder: &Path, name: &str) -> Result<Vec<Row>, String> {
    let path = folder.join(name);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let shown = path.display();
    let text = fs::read_to_string(&path).map_err(|error| format!("{shown}: {error}"))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| format!("{shown}: {error}"))?;
    let list = match value {
        Value::Array(list) => list,
        Value::Object(fields) => fields
            .into_iter()
            .filter_map(|(_, value)| match value {
                Value::Array(list) => Some(list),
                _ => None,
            })
            .max_by_key(Vec::len)
            .unwrap_or_default(),
        _ => Vec::new(),
    };
    Ok(list
        .into_iter()
        .filter_map(|value| match value {
            Value::Object(fields) => Some(Row::new(fields)),
            _ => None,
        })
        .collect())
}

/// The numbers that stand before a word in a text: `before("96GB HBM2e, 2.4 TB/s", "tb/s")` is `[2.4]`. Case does not
/// matter; spaces may stand between.
pub(crate) fn before(text: &str, word: &str) -> Option<f64> {
    let text = text.to_lowercase();
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find(word) {
        let end = from + at;
        let head = text.get(..end)?.trim_end();
        let digits = head.rfind(|c: char| !c.is_ascii_digit() && c != '.').map_or(0, |last| last + 1);
        // What the number stands behind may be a character of several bytes.
        let start = (digits..=head.len()).find(|start| head.is_char_boundary(*start))?;
        if let Some(number) = head.get(start..).and_then(|digits| digits.parse().ok()) {
            return Some(number);
        }
        from = end + word.len();
    }
    None
}

/// The number behind a word: `after("llama (kv_head_num 16 in config)", "kv_head_num")` is 16.
pub(crate) fn after(text: &str, word: &str) -> Option<f64> {
    let text = text.to_lowercase();
    let rest = text.get(text.find(word)? + word.len()..)?.trim_start_matches([' ', '=', ':']);
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{after, before};

    #[test]
    fn numbers_are_found_beside_their_words() {
        let text = "H100 SXM variant: 96GB HBM2e 2.4 TB/s, 500 W power limit";
        assert_eq!(before(text, "gb hbm"), Some(96.0));
        assert_eq!(before(text, "tb/s"), Some(2.4));
        assert_eq!(before(text, " w power"), Some(500.0));
        assert_eq!(before(text, "gbps"), None);
        assert_eq!(after("layers reduced; dense_layers=1", "dense_layers"), Some(1.0));
        assert_eq!(after("(kv_head_num 16 in config)", "kv_head_num"), Some(16.0));
    }
}
