//! The typed plan: what `analysis` sees. Shapes are plain integers in the field's names; where each value came from
//! is kept beside them, by path, in [`Plan::settings`].

#[macro_use]
mod words;

mod alignment;
mod budget;
mod data;
mod hardware;
mod inference;
mod law;
mod measurement;
mod model;
mod optimizer;
mod parallelism;
mod recipe;
mod training;

pub use alignment::*;
pub use budget::*;
pub use data::*;
pub use hardware::*;
pub use inference::*;
pub use law::*;
pub use measurement::*;
pub use model::*;
pub use optimizer::*;
pub use parallelism::*;
pub use recipe::*;
pub use training::*;

use crate::expr::Expr;
use crate::source::Span;
use crate::units::Quantity;

/// A whole plan, resolved: every attribute has its value, declared or by default.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `plan` block's name, or the model's where the file is itself one plan.
    pub name: String,
    /// The block that names the plan: where a problem of the plan as a whole is shown.
    pub span: Span,
    /// The model. A plan always has one.
    pub model: Model,
    /// What it is trained on.
    pub data: Option<Data>,
    /// What it is trained with.
    pub hardware: Option<Hardware>,
    /// How it is trained.
    pub training: Option<Training>,
    /// How it is served.
    pub inference: Option<Inference>,
    /// What is done after pretraining.
    pub alignment: Option<Alignment>,
    /// What there is to spend.
    pub budget: Option<Budget>,
    /// The scaling law of its own: `chinchilla_refit` where none is picked.
    pub law: Law,
    /// Every law there is, the plan's own among them, sorted by name.
    pub laws: Vec<Law>,
    /// Declared gains of compute, in source order.
    pub gains: Vec<Gain>,
    /// What FLOPs, parameters and bytes are taken to mean.
    pub convention: Convention,
    /// `require` and `prefer` conditions, in source order.
    pub requirements: Vec<Requirement>,
    /// Every attribute the plan has a value for, sorted by path (`model.attention.heads`).
    pub settings: Vec<Setting>,
    /// Where lists are given, what this variant takes from each: path and value as written. Empty without lists.
    pub variant: Vec<(String, String)>,
}

impl Plan {
    /// The value and origin of an attribute, by its path.
    pub fn setting(&self, path: &str) -> Option<&Setting> {
        self.settings
            .binary_search_by(|setting| setting.path.as_str().cmp(path))
            .ok()
            .map(|at| &self.settings[at])
    }
}

/// An attribute's value and where it came from.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The attribute's path: `training.parallelism.tensor`.
    pub path: String,
    /// Its value.
    pub value: SettingValue,
    /// Where it came from.
    pub origin: Origin,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingValue {
    /// A number with its unit.
    Quantity(Quantity),
    /// One of an attribute's words, a name, a text or a date, as written.
    Text(String),
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Written in the plan, an import, the catalog or on the command line: the span's source says which.
    Declared(Span),
    /// Left out; the reason says what the default rests on.
    Default(&'static str),
}

/// What the words of the report are taken to mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convention {
    /// Whether attention FLOPs count the masked half.
    pub attention: AttentionConvention,
    /// Which parameters N counts in 2N and 6ND.
    pub params: ParamsConvention,
    /// Whether bytes are shown in powers of ten or two.
    pub bytes: BytesConvention,
    /// Which FLOPs a utilisation is of.
    pub flops: FlopsConvention,
}

/// Which scores are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionConvention {
    /// All T² of them: what PaLM, nanoGPT and the 24Td²+4T²d rule count.
    Full,
    /// The T(T+1)/2 that a causal mask leaves.
    Causal,
}

/// Which parameters N counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamsConvention {
    /// All of them (Hoffmann 2022).
    Total,
    /// Without token and position embeddings and the output projection (Kaplan 2020).
    NonEmbedding,
}

/// Units of bytes in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BytesConvention {
    /// kB, MB, GB: powers of ten.
    Decimal,
    /// KiB, MiB, GiB: powers of two.
    Binary,
}

/// Which FLOPs a utilisation counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlopsConvention {
    /// Those of the model, forward and backward once: MFU (Chowdhery 2022 §4.1).
    Model,
    /// All that are executed, with what runs again in the backward pass: HFU (Chowdhery 2022 §4.1).
    Executed,
}

/// A condition on the plan's numbers.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// `require` fails the plan, `prefer` warns.
    pub strict: bool,
    /// The condition as written, without the reason.
    pub text: String,
    /// The reason, where one is given.
    pub reason: Option<String>,
    /// The condition's place.
    pub span: Span,
    /// Left of the comparison: lets are inlined, names are full paths.
    pub left: Expr,
    /// The comparison.
    pub comparison: Comparison,
    /// Right of the comparison.
    pub right: Expr,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}
