//! The one table of the language: every block, attribute and derived quantity with its type, default, meaning and
//! source. It drives checking, defaults, did-you-mean, completion, `llmplan docs` and the reference in `docs/`.

mod alignment;
mod blocks;
mod budget;
mod data;
mod derived;
mod device;
pub mod docs;
mod generation;
mod inference;
mod law;
mod layer;
mod measurement;
mod model;
mod operation;
mod parallelism;
mod recipe;
mod recurrent;
pub mod suggest;
mod training;

pub use blocks::BLOCKS;
pub use derived::all_derived;

use crate::units::{Noun, Unit};

/// A kind of block and what may stand in it.
#[derive(Clone, Copy, Debug)]
pub struct BlockSchema {
    /// The word that opens it.
    pub kind: &'static str,
    /// What it declares.
    pub doc: &'static str,
    /// Whether it has a name.
    pub naming: Naming,
    /// Whether its attributes have defaults where the block is not written.
    pub presence: Presence,
    /// Its attributes, in the order of the reference.
    pub attributes: &'static [Attribute],
    /// The blocks that may be nested in it.
    pub blocks: &'static [BlockSchema],
    /// What other tools call it.
    pub aliases: &'static [&'static str],
}

/// Whether a block has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// A name may be left out where a file has just one of its kind; `extends` and references need one.
    Optional,
    /// There may be several, each with a name of its own, which is a segment of paths: `data.crawl.raw`.
    Required,
    /// There may be several, each with a name of its own behind the kind: `model.layer.full.at`.
    Keyed,
    /// It never has one.
    Never,
}

/// Whether a block counts where it is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Its defaults hold all the same.
    Always,
    /// It stands for a part that only its declaration brings: experts, a state-space layer.
    Declared,
}

/// An attribute of a block.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What it may be set to.
    pub ty: Type,
    /// What happens when it is left out.
    pub default: Default,
    /// What it means, in a sentence.
    pub doc: &'static str,
    /// The field's symbol in formulas: `L`, `d`.
    pub symbol: Option<&'static str>,
    /// What other tools call it.
    pub aliases: &'static [&'static str],
    /// Why no number depends on it yet, where that is so.
    pub inert: Option<&'static str>,
    /// Whether leaving it out says that a part is not there, rather than assuming something of one that is: then its
    /// default is no assumption.
    pub quiet: bool,
}

/// The type of an attribute.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// A whole number, at least `min`, with or without its noun.
    Count {
        /// What it counts.
        noun: Option<Noun>,
        /// The smallest allowed.
        min: u64,
    },
    /// A whole number of sequences or tokens; a bare number counts sequences.
    Batch,
    /// A whole number of at least 1, of a noun where there is one, or a word: `auto`, `none`.
    CountOr(Option<Noun>, &'static str),
    /// A plain number, at least the one given and above zero.
    Factor(f64),
    /// A list of plain numbers of any sign, that is no sweep.
    Numbers,
    /// Some of a model's layers: `every 6`, `first 3`, `3..60`, `[0, 5]`. A list is no sweep here.
    Layers,
    /// One count of tokens, or a list of them that is no sweep.
    Lengths,
    /// A number with a unit, above zero.
    Amount(Unit),
    /// A share: `40%` or `0.4`, in 0..=1; with `true`, above 0.
    Share {
        /// Whether zero is refused.
        positive: bool,
    },
    /// One of some words, each with its meaning.
    Choice(&'static [(&'static str, &'static str)]),
    /// `true` or `false`.
    Flag,
    /// The name of a block of a kind.
    Reference(&'static str),
    /// A text in quotes.
    Text,
    /// The path of a file with one block of a kind, in quotes; paths go on in that block: `hardware.measured.achieved`.
    File(&'static str),
    /// A date: `2026-11-01`.
    Date,
    /// `keep 50%`: what a stage of a pipeline lets through.
    Keep,
}

/// What happens when an attribute is left out.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// It must be declared.
    Required,
    /// It must be declared where an attribute beside its block has a word: (path below the model or layer, word).
    RequiredFor(&'static str, &'static str),
    /// One expression where a block is declared, another where not: (block, with, without, what it rests on).
    IfBlock(&'static str, &'static str, &'static str, &'static str),
    /// It has no value; the words say what follows.
    Absent(&'static str),
    /// An expression of the language, and what it rests on.
    Value(&'static str, &'static str),
    /// An expression by the word that another attribute of the block has, its `kind` mostly: (attribute, (words,
    /// expression, what it rests on)).
    ByWord(&'static str, &'static [(&'static [&'static str], &'static str, &'static str)]),
}

/// A quantity that is computed.
#[derive(Debug)]
pub struct Derived {
    /// Its path; a segment `*` stands for the name of a data source.
    pub path: &'static str,
    /// Its unit; `None` for a text.
    pub unit: Option<Unit>,
    /// Whether it is a share, or a change, that is shown in percent.
    pub percent: bool,
    /// What it is, in a line.
    pub meaning: &'static str,
    /// The blocks and attributes it needs beyond the model.
    pub needs: &'static [&'static str],
}

/// What a path stands for.
#[derive(Clone, Copy, Debug)]
pub enum PathKind {
    /// An attribute of a block.
    Declared(&'static Attribute),
    /// A computed quantity.
    Derived(&'static Derived),
}

impl PathKind {
    /// The unit of the path's value; `None` where it is no number.
    pub fn unit(self) -> Option<Unit> {
        match self {
            PathKind::Declared(attribute) => attribute.ty.unit(),
            PathKind::Derived(derived) => derived.unit,
        }
    }

    /// What the path means.
    pub fn meaning(self) -> &'static str {
        match self {
            PathKind::Declared(attribute) => attribute.doc,
            PathKind::Derived(derived) => derived.meaning,
        }
    }
}

impl Type {
    /// The unit of values of this type; `None` where they are no numbers.
    pub fn unit(&self) -> Option<Unit> {
        match self {
            Type::Count { noun, .. } => Some(Unit { noun: *noun, ..Unit::NONE }),
            Type::Batch => Some(Unit::SEQUENCES),
            Type::Amount(unit) => Some(*unit),
            Type::CountOr(noun, _) => Some(Unit { noun: *noun, ..Unit::NONE }),
            Type::Lengths => Some(Unit::TOKENS),
            Type::Share { .. } | Type::Keep | Type::Factor(_) => Some(Unit::NONE),
            Type::Layers | Type::Numbers => None,
            Type::Choice(_) | Type::Flag | Type::Reference(_) | Type::Text | Type::File(_) | Type::Date => {
                None
            }
        }
    }

    /// What may be written, in words: `a count of tokens, such as 15T`.
    pub fn words(&self) -> String {
        match self {
            Type::Count { noun: None, min } => format!("a whole number, at least {min}"),
            Type::Count { noun: Some(noun), min } => {
                format!("a whole number of {}, at least {min}", noun.word())
            }
            Type::Batch => {
                "a whole number of sequences or tokens, such as `512 sequences` or `4M tokens`".to_owned()
            }
            Type::CountOr(None, word) => format!("a whole number, at least 1, or `{word}`"),
            Type::CountOr(Some(noun), word) => {
                format!("a whole number of {}, at least 1, or `{word}`", noun.word())
            }
            Type::Factor(min) if *min > 0.0 => format!("a plain number, at least {min}"),
            Type::Factor(_) => "a plain number above 0".to_owned(),
            Type::Numbers => "a list of plain numbers, such as `[0.1, -0.2]`".to_owned(),
            Type::Layers => {
                "layers, such as `every 6`, `every 8 from 4`, `first 3`, `last 1`, `3..60`, `[0, 5]`"
                    .to_owned()
            }
            Type::Lengths => {
                "a whole number of tokens, at least 1, or a list of them, such as `[4096, 1024]`".to_owned()
            }
            Type::Amount(unit) => format!("an amount in {}", suggest::unit_examples(*unit)),
            Type::Share { .. } => "a share, such as `40%`".to_owned(),
            Type::Choice(words) => {
                let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
                suggest::one_of(&words)
            }
            Type::Flag => "`true` or `false`".to_owned(),
            Type::Reference(kind) => {
                let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
                format!("the name of {article} {kind}")
            }
            Type::Text => "a text in double quotes".to_owned(),
            Type::File(kind) => {
                format!("the path of a file with one `{kind}` block, in double quotes")
            }
            Type::Date => "a date, such as `2026-11-01`".to_owned(),
            Type::Keep => "what the stage keeps, such as `keep 50%`".to_owned(),
        }
    }
}

impl BlockSchema {
    /// An attribute by its name.
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// The block of the file that an attribute names.
    fn cited(&self, name: &str) -> Option<&'static BlockSchema> {
        match self.attribute(name)?.ty {
            Type::File(kind) => block(kind),
            _ => None,
        }
    }

    /// A nested block by its kind.
    pub fn block(&self, kind: &str) -> Option<&'static BlockSchema> {
        self.blocks.iter().find(|block| block.kind == kind)
    }
}

/// A top-level block by its kind.
pub fn block(kind: &str) -> Option<&'static BlockSchema> {
    BLOCKS.iter().find(|block| block.kind == kind)
}

/// What a path stands for; the names of data sources are matched by any name.
pub fn path(path: &str) -> Option<PathKind> {
    declared(path).map(PathKind::Declared).or_else(|| derived(path).map(PathKind::Derived))
}

/// The attribute behind a path such as `model.attention.heads`.
pub fn declared(path: &str) -> Option<&'static Attribute> {
    let mut segments = path.split('.');
    let mut schema = block(segments.next()?)?;
    let mut segment = segments.next()?;
    // Several of a kind count for a plan: `gain.muon.compute`.
    if schema.kind == "gain" {
        segment = segments.next().unwrap_or(segment);
    }
    while let Some(next) = segments.next() {
        schema = schema
            .block(segment)
            .or_else(|| schema.cited(segment))
            .or_else(|| schema.blocks.iter().find(|nested| nested.naming == Naming::Required))?;
        segment = if schema.naming == Naming::Keyed { segments.next()? } else { next };
    }
    schema.attribute(segment)
}

/// The block of an attribute's path that only its declaration brings: `model.moe` of `model.moe.experts`.
pub fn optional_block(path: &str) -> Option<&str> {
    let mut ends = path.match_indices('.').map(|(at, _)| at);
    let mut schema = block(&path[..ends.next()?])?;
    let mut start = path.find('.')? + 1;
    for end in ends {
        schema = schema.block(&path[start..end])?;
        if schema.presence == Presence::Declared {
            return Some(&path[..end]);
        }
        start = end + 1;
    }
    None
}

/// The field's symbol for a path: `L` for `model.layers`, `N` for `model.params`.
pub fn symbol(path: &str) -> Option<&'static str> {
    match path {
        "model.params" => Some("N"),
        "model.active_params" => Some("N_active"),
        "model.padded_vocab" => Some("V"),
        "model.moe.tokens_per_expert" => Some("mean"),
        "flops.sequence" => Some("T"),
        "training.tokens" => Some("D"),
        _ => declared(path).and_then(|attribute| attribute.symbol),
    }
}

/// The derived quantity behind a path.
pub fn derived(path: &str) -> Option<&'static Derived> {
    let matches = |pattern: &str| {
        let mut pattern = pattern.split('.');
        path.split('.')
            .all(|segment| pattern.next().is_some_and(|expected| expected == "*" || expected == segment))
            && pattern.next().is_none()
    };
    // Every number of a report is looked up here, and few paths have a place for names.
    all_derived()
        .find(|derived| derived.path == path || (derived.path.contains('*') && matches(derived.path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_attributes_and_quantities() {
        assert_eq!(declared("model.attention.heads").unwrap().name, "heads");
        assert_eq!(declared("data.crawl.raw").unwrap().name, "raw");
        assert_eq!(declared("model.layer.full.at").unwrap().name, "at");
        assert_eq!(declared("model.layer.full.attention.window").unwrap().name, "window");
        assert_eq!(declared("hardware.measured").unwrap().name, "measured");
        assert_eq!(declared("hardware.measured.achieved").unwrap().name, "achieved");
        assert_eq!(declared("hardware.measured.class.qkv.rate").unwrap().name, "rate");
        assert!(declared("hardware.measured.class.qkv").is_none() && declared("hardware.price.of").is_none());
        assert!(declared("model.layer.full").is_none() && declared("model.layer").is_none());
        assert!(matches!(path("model.params.ffn"), Some(PathKind::Derived(_))));
        assert!(matches!(path("data.crawl.epochs"), Some(PathKind::Derived(_))));
        assert!(
            path("model").is_none() && path("model.attention").is_none() && path("nothing.at.all").is_none()
        );
    }

    #[test]
    fn blocks_that_only_their_declaration_brings_are_found() {
        assert_eq!(optional_block("model.moe.experts"), Some("model.moe"));
        assert_eq!(optional_block("model.attention.heads"), None);
        assert_eq!(optional_block("model.layers"), None);
    }

    #[test]
    fn no_path_is_both_declared_and_derived() {
        for derived in all_derived() {
            assert!(declared(derived.path).is_none(), "{}", derived.path);
        }
    }

    /// The words that the schema explains are those that plans are read by.
    #[test]
    fn words_of_the_schema_are_words_of_the_plan() {
        use crate::plan::{
            Arrangement, Checkpointing, FfnKind, NormKind, Offload, OutputGate, Placement, Position,
            Precision, QkNorm,
        };
        fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Vec<&'static str> {
            let mut words: Vec<&str> = all.iter().map(|value| word(*value)).collect();
            words.sort_unstable();
            words
        }
        for (path, expected) in [
            ("model.block", words(Arrangement::ALL, Arrangement::word)),
            ("model.attention.position", words(Position::ALL, Position::word)),
            ("model.attention.qk_norm", words(QkNorm::ALL, QkNorm::word)),
            ("model.attention.output_gate", words(OutputGate::ALL, OutputGate::word)),
            ("model.ffn.kind", words(FfnKind::ALL, FfnKind::word)),
            ("model.moe.kind", words(FfnKind::ALL, FfnKind::word)),
            ("model.norm.kind", words(NormKind::ALL, NormKind::word)),
            ("model.norm.placement", words(Placement::ALL, Placement::word)),
            ("training.precision", words(Precision::ALL, Precision::word)),
            ("training.checkpointing", words(Checkpointing::ALL, Checkpointing::word)),
            ("training.offload", words(Offload::ALL, Offload::word)),
            ("measurement.precision", words(Precision::ALL, Precision::word)),
        ] {
            let Type::Choice(choices) = declared(path).unwrap().ty else { panic!("{path}") };
            let mut known: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            known.sort_unstable();
            assert_eq!(known, expected, "{path}");
        }
    }
}
