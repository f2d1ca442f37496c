//! Reading a configuration: which fields were read, which were defaulted, and what is wrong with them.
//!
//! Readers never fail: what is wrong is noted and a harmless value stands in, so that one run tells everything.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use llmplan_spec::schema::suggest;

use super::Fault;
use super::defaults::Type;
use super::json::{Json, Object};

/// The largest number that a size may be; the product of two never overflows.
const MAX_SIZE: u64 = u32::MAX as u64;
/// The most layers.
const MAX_LAYERS: u64 = 10_000;

/// Spellings of older files, whatever their type: the key of today, and what stood for it.
const OLD: [(&str, &str); 9] = [
    ("hidden_size", "n_embed"),
    ("hidden_size", "n_embd"),
    ("num_hidden_layers", "n_layer"),
    ("num_hidden_layers", "num_layers"),
    ("num_attention_heads", "n_head"),
    ("num_kv_heads", "n_head_kv"),
    ("partial_rotary_factor", "rotary_pct"),
    ("partial_rotary_factor", "rope_pct"),
    ("max_position_embeddings", "seq_length"),
];

/// Where a value comes from.
enum Found<'f> {
    Given(String, &'f Json),
    Default(&'f Json),
    /// The type does not know the key.
    Unknown,
}

/// The fields of one configuration.
pub(crate) struct Fields<'f> {
    object: &'f Object,
    kind: &'f Type,
    /// What stands before a name in messages, such as `text_config.`.
    prefix: &'static str,
    /// Where nothing is left to the type that decides what model it is.
    whole: bool,
    notes: RefCell<Notes>,
}

/// What was learned while reading.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Fields whose value counts.
    pub(crate) read: BTreeSet<String>,
    /// Fields that are not there, and what they are then.
    pub(crate) defaulted: BTreeMap<String, String>,
    /// What the language says otherwise, or not at all.
    pub(crate) remarks: Vec<String>,
    /// What is wrong.
    pub(crate) faults: Vec<Fault>,
}

impl<'f> Fields<'f> {
    pub(crate) fn new(object: &'f Object, kind: &'f Type, prefix: &'static str) -> Fields<'f> {
        Fields { object, kind, prefix, whole: prefix.is_empty(), notes: RefCell::default() }
    }

    /// What was learned.
    pub(crate) fn into_notes(self) -> Notes {
        self.notes.into_inner()
    }

    /// Whether the type has this field.
    pub(crate) fn knows(&self, key: &str) -> bool {
        !matches!(self.find(key), Found::Unknown)
    }

    /// Whether the configuration itself has this field, with a value.
    pub(crate) fn gives(&self, key: &str) -> bool {
        matches!(self.find(key), Found::Given(_, value) if *value != Json::Null)
    }

    /// Whether the configuration has a field under this very name.
    pub(crate) fn has(&self, name: &str) -> bool {
        lookup(self.object, name).is_some()
    }

    /// A count of at least one that the model cannot do without.
    pub(crate) fn count(&self, key: &str) -> u64 {
        self.optional(key).unwrap_or_else(|| {
            self.missing(key);
            1
        })
    }

    /// The number of layers.
    pub(crate) fn layers(&self) -> u64 {
        self.bounded("num_hidden_layers", self.essential("num_hidden_layers"))
    }

    /// A number of layers that is not too large to list them.
    pub(crate) fn bounded(&self, key: &str, layers: u64) -> u64 {
        if layers > MAX_LAYERS {
            let name = self.spelled(key);
            self.fault(Fault::new(format!(
                "`{name}`: {layers} layers are more than the {MAX_LAYERS} that are read"
            )));
            return 1;
        }
        layers
    }

    /// A count that is never left to the type in a file of its own: a default would make it another model.
    pub(crate) fn essential(&self, key: &str) -> u64 {
        if self.whole && !matches!(self.find(key), Found::Given(..)) {
            self.missing(key);
            return 1;
        }
        self.count(key)
    }

    /// A count of at least one; `None` where it is left out or null.
    pub(crate) fn optional(&self, key: &str) -> Option<u64> {
        match self.number(key)? {
            0 => {
                self.fault(Fault::new(format!("`{}` is 0, and must be at least 1", self.spelled(key))));
                Some(1)
            }
            count => Some(count),
        }
    }

    /// A count that may be 0; null and what is left out are 0.
    pub(crate) fn size(&self, key: &str) -> u64 {
        self.number(key).unwrap_or_default()
    }

    fn number(&self, key: &str) -> Option<u64> {
        let (name, value) = self.take(key)?;
        match value {
            Json::Null => None,
            Json::Count(count) if *count <= MAX_SIZE => Some(*count),
            Json::Count(count) => {
                self.fault(Fault::new(format!("`{name}` is {count}, which is more than any model has")));
                Some(1)
            }
            other => {
                self.mistyped(&name, "a whole number that is not negative", other);
                Some(1)
            }
        }
    }

    /// A yes or no; what is left out or null is no.
    pub(crate) fn flag(&self, key: &str) -> bool {
        match self.take(key) {
            None | Some((_, Json::Null)) => false,
            Some((_, Json::Flag(flag))) => *flag,
            // Old files of some types say 0 and 1.
            Some((_, Json::Count(flag @ (0 | 1)))) => *flag == 1,
            Some((name, other)) => {
                self.mistyped(&name, "`true` or `false`", other);
                false
            }
        }
    }

    /// A factor between 0 and 1.
    pub(crate) fn fraction(&self, key: &str) -> Option<f64> {
        match self.take(key)? {
            (_, Json::Null) => None,
            (_, Json::Count(1)) => Some(1.0),
            (_, Json::Number(number)) if (0.0..=1.0).contains(number) => Some(*number),
            (name, other) => {
                self.mistyped(&name, "a number between 0 and 1", other);
                None
            }
        }
    }

    /// A word.
    pub(crate) fn text(&self, key: &str) -> Option<&'f str> {
        match self.take(key)? {
            (_, Json::Null) => None,
            (_, Json::Text(text)) => Some(text),
            (name, other) => {
                self.mistyped(&name, "a text", other);
                None
            }
        }
    }

    /// A list; `None` where it is left out or null.
    pub(crate) fn list(&self, key: &str) -> Option<&'f [Json]> {
        match self.take(key)? {
            (_, Json::Null) => None,
            (_, Json::List(list)) => Some(list),
            (name, other) => {
                self.mistyped(&name, "a list", other);
                None
            }
        }
    }

    /// A list of words, one for each layer where their number is given.
    pub(crate) fn words(&self, key: &str, layers: Option<usize>) -> Option<Vec<&'f str>> {
        let list = match layers {
            Some(layers) => self.for_layers(key, layers)?,
            None => self.list(key)?,
        };
        let text = |item: &'f Json| if let Json::Text(word) = item { Some(word.as_str()) } else { None };
        let words: Option<Vec<&str>> = list.iter().map(text).collect();
        if words.is_none() {
            self.fault(Fault::new(format!("`{}` must be a list of texts", self.spelled(key))));
        }
        words
    }

    /// A list with one entry for each layer.
    pub(crate) fn for_layers(&self, key: &str, layers: usize) -> Option<&'f [Json]> {
        let list = self.list(key)?;
        if list.len() != layers {
            let (name, entries) = (self.spelled(key), list.len());
            self.conflict(Fault::new(format!(
                "`{name}` has length {entries}, and the number of layers is {layers}"
            )));
            return None;
        }
        Some(list)
    }

    /// A list of whole numbers; one that is left out or null has none.
    pub(crate) fn numbers(&self, key: &str) -> Option<Vec<u64>> {
        let list = self.list(key)?;
        let numbers: Option<Vec<u64>> = list
            .iter()
            .map(|item| if let Json::Count(number) = item { Some(*number) } else { None })
            .collect();
        if numbers.is_none() {
            self.fault(Fault::new(format!("`{}` must be a list of whole numbers", self.spelled(key))));
        }
        numbers
    }

    /// The value as it is written, or its default.
    pub(crate) fn raw(&self, key: &str) -> Option<&'f Json> {
        self.take(key).map(|(_, value)| value)
    }

    /// Notes what the reader should know.
    pub(crate) fn remark(&self, text: impl Into<String>) {
        self.notes.borrow_mut().remarks.push(text.into());
    }

    /// Refuses what the language has no word for.
    pub(crate) fn refuse(&self, key: &str, part: &str) {
        self.fault(
            Fault::new(format!("`{}` is {}: the language has no {part}", self.spelled(key), self.shown(key)))
                .help("write the model by hand, as near as it comes: `llmplan docs model`"),
        );
    }

    /// Refuses a field that the package does not heed.
    pub(crate) fn contradicts(&self, key: &str, built: &str) {
        let text = format!(
            "`{}` is {}, but models of this type are built with {built}",
            self.spelled(key),
            self.shown(key)
        );
        self.fault(
            Fault::new(text).help("write the model by hand where another one is meant: `llmplan docs model`"),
        );
    }

    fn shown(&self, key: &str) -> String {
        match self.find(key) {
            Found::Given(_, value) | Found::Default(value) => {
                crate::render::shortened(&value.to_string(), 60)
            }
            Found::Unknown => "left out".to_owned(),
        }
    }

    /// Refuses a word that is none of those that are known.
    pub(crate) fn unknown_word<'w>(&self, key: &str, word: &str, known: impl IntoIterator<Item = &'w str>) {
        let near = suggest::nearest(word, known).map(|near| format!("did you mean `{near}`?"));
        let word = crate::render::shortened(word, 60);
        let fault = Fault::new(format!("`{}` is \"{word}\", which is not known here", self.spelled(key)));
        self.fault(match near {
            Some(near) => fault.help(near),
            None => fault,
        });
    }

    pub(crate) fn fault(&self, fault: Fault) {
        let faults = &mut self.notes.borrow_mut().faults;
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }

    /// Notes what is wrong with fields together; where one of them is wrong alone, that is enough.
    pub(crate) fn conflict(&self, fault: Fault) {
        if self.notes.borrow().faults.is_empty() {
            self.fault(fault);
        }
    }

    fn missing(&self, key: &str) {
        let name = self.spelled(key);
        let given = matches!(self.find(key), Found::Given(..));
        let text = match lookup(&self.kind.defaults, self.own(key)) {
            _ if given => format!("`{name}` is null, and must be a whole number"),
            Some(default) if *default != Json::Null => {
                format!(
                    "`{name}` is missing; `{}` would take {default}, which may be another model",
                    self.kind.name
                )
            }
            _ => format!("`{name}` is missing"),
        };
        self.fault(Fault::new(text));
    }

    fn mistyped(&self, name: &str, must: &str, value: &Json) {
        let shown = crate::render::shortened(&value.to_string(), 60);
        self.fault(Fault::new(format!("`{name}` is {shown}, and must be {must}")));
    }

    /// The name of a field as the configuration or its type spells it.
    fn spelled(&self, key: &str) -> String {
        match self.find(key) {
            Found::Given(name, _) => name,
            _ => format!("{}{}", self.prefix, self.own(key)),
        }
    }

    /// The type's own spelling of a key.
    fn own<'k>(&'k self, key: &'k str) -> &'k str {
        self.kind.aliases.get(key).map_or(key, String::as_str)
    }

    fn find(&self, key: &str) -> Found<'f> {
        let own = self.own(key);
        let default = lookup(&self.kind.defaults, own).or_else(|| lookup(&self.kind.defaults, key));
        let Some(default) = default else { return Found::Unknown };
        let common =
            self.kind.aliases.iter().filter(|(_, own)| *own == key).map(|(common, _)| common.as_str());
        let old = OLD.iter().filter(|(today, _)| *today == key).map(|(_, old)| *old);
        for name in [own, key].into_iter().chain(common).chain(old) {
            if let Some(value) = lookup(self.object, name) {
                return Found::Given(format!("{}{name}", self.prefix), value);
            }
        }
        Found::Default(default)
    }

    /// The value of a field, which is then read or defaulted.
    fn take(&self, key: &str) -> Option<(String, &'f Json)> {
        match self.find(key) {
            Found::Given(name, value) => {
                self.notes.borrow_mut().read.insert(name.clone());
                Some((name, value))
            }
            Found::Default(value) => {
                let name = format!("{}{}", self.prefix, self.own(key));
                if *value != Json::Null {
                    self.notes.borrow_mut().defaulted.insert(name.clone(), value.to_string());
                }
                Some((name, value))
            }
            Found::Unknown => None,
        }
    }
}

/// The value at a path such as `attn_config.alibi`.
fn lookup<'o>(object: &'o Object, path: &str) -> Option<&'o Json> {
    match path.split_once('.') {
        None => object.get(path),
        Some((first, rest)) => match object.get(first)? {
            Json::Object(inner) => lookup(inner, rest),
            _ => None,
        },
    }
}
