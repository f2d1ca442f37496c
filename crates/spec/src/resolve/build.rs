//! A draft with its values: the typed plan. Consistency of shapes is checked here, with both places shown.

use std::collections::BTreeMap;

use super::blocks::AttributeDef;
use super::files::Files;
use super::plans::Draft;
use super::values::{Names, Paths, Typed, typed, unit};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Expr, Failure, Node, Op, Value};
use crate::limits;
use crate::plan::*;
use crate::schema::{self, BlockSchema, Default, Naming, PathKind, Type};
use crate::source::{FileId, Sources, Span};
use crate::units::{Number, Quantity, Unit};

/// The typed plan of a draft; `None` where something is wrong, which is then among the diagnostics.
pub(super) fn plan(
    draft: Draft,
    files: &Files,
    sources: &Sources,
    params: &dyn Fn(&Model) -> Option<(u128, u128)>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Plan> {
    let values = Values {
        draft: &draft,
        params,
        known: BTreeMap::new(),
        settings: Vec::new(),
        counted: None,
        found: Vec::new(),
    };
    let mut builder = Builder { names: Names::new(files, draft.span), values, failed: false };
    let plan = builder.plan();
    let Builder { values, names, failed } = builder;
    diagnostics.extend(values.found);
    let mut plan = plan.filter(|_| !failed)?;
    plan.requirements = requirements(&draft, &names, sources, diagnostics)?;
    Some(plan)
}

/// The values of a draft's attributes, computed when first asked for.
struct Values<'a> {
    draft: &'a Draft,
    params: &'a dyn Fn(&Model) -> Option<(u128, u128)>,
    known: BTreeMap<String, Option<Typed>>,
    settings: Vec<Setting>,
    counted: Option<(u128, u128)>,
    found: Vec<Diagnostic>,
}

/// Stands for the attribute when it is missing from the draft and has no default.
struct Missing;

impl Values<'_> {
    /// An attribute's value; `None` where it has none or is wrong.
    fn get(&mut self, names: &mut Names<'_>, path: &str) -> Option<Typed> {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let result = self.compute(names, path);
        let value = match result {
            Ok(found) => found.ok(),
            Err(failure) => {
                self.found.extend(failure.0.map(|diagnostic| *diagnostic));
                None
            }
        };
        self.known.insert(path.to_owned(), value.clone());
        value
    }

    fn compute(&mut self, names: &mut Names<'_>, path: &str) -> Result<Result<Typed, Missing>, Failure> {
        let draft = self.draft;
        if let Some(AttributeDef { value, ty, scope, span, .. }) = draft.attributes.get(path) {
            let used = names
                .open
                .last()
                .map(|(_, span)| *span)
                .filter(|span| span.file != FileId(u32::MAX))
                .unwrap_or(*span);
            names.enter(path, *span, used)?;
            let result = typed(names, value, ty, *scope, self);
            names.open.pop();
            let result = result?;
            self.settle(path, &result, Origin::Declared(value.span().unwrap_or(*span)), ty);
            return Ok(Ok(result));
        }
        let Some(attribute) = schema::declared(path) else { return Ok(Err(Missing)) };
        let (text, why) = match &attribute.default {
            Default::Required | Default::Absent(_) => return Ok(Err(Missing)),
            Default::Value(text, why) => (*text, *why),
            Default::ByKind(rows) => {
                let kind = path.rsplit_once('.').map(|(block, _)| format!("{block}.kind"));
                let word = kind.and_then(|kind| self.get(names, &kind));
                let row = rows.iter().find(|(words, _, _)| match &word {
                    Some(Typed::Word(word)) => words.contains(&word.as_str()),
                    _ => false,
                });
                match row {
                    Some((_, text, why)) => (*text, *why),
                    None => return Ok(Err(Missing)),
                }
            }
        };
        let place = Span { file: draft.span.file, start: u32::MAX, end: u32::MAX };
        let cyclic = names.open.iter().any(|(open, _)| open == path);
        if cyclic {
            // Two defaults that would each follow from the other: neither is declared.
            return Ok(Err(Missing));
        }
        names.open.push((path.to_owned(), place));
        let expr = crate::grammar::parse_expression(text, FileId(u32::MAX)).map_err(Failure::from);
        let result = expr.and_then(|expr| typed(names, &expr, &attribute.ty, draft.span, self));
        names.open.pop();
        match result {
            Ok(value) => {
                self.settle(path, &value, Origin::Default(why), &attribute.ty);
                Ok(Ok(value))
            }
            // The default rests on something that is wrong or missing; that has been said.
            Err(Failure(Some(diagnostic)))
                if diagnostic.primary.as_ref().is_some_and(|label| label.span.file != FileId(u32::MAX)) =>
            {
                Err(Failure(Some(diagnostic)))
            }
            Err(Failure(Some(diagnostic))) => {
                // A default that does not come out, such as `d_model / heads` when that is not whole.
                self.default_fails(path, &diagnostic);
                Ok(Err(Missing))
            }
            Err(Failure(None)) => Ok(Err(Missing)),
        }
    }

    fn default_fails(&mut self, path: &str, diagnostic: &Diagnostic) {
        if diagnostic.code != Code::NotWhole && diagnostic.code != Code::OutOfRange {
            return;
        }
        let span = |path: &str| self.draft.attributes.get(path).and_then(|attribute| attribute.value.span());
        if path == "model.attention.head_dim"
            && let (Some(heads), Some(d_model)) = (span("model.attention.heads"), span("model.d_model"))
        {
            let number = |path: &str| match self.known.get(path) {
                Some(Some(Typed::Count(count))) => *count,
                _ => 0,
            };
            let (a, d) = (number("model.attention.heads"), number("model.d_model"));
            let help = match nearest_divisors(d, a) {
                near if near.is_empty() => "declare `head_dim`".to_owned(),
                near => format!("use {}, or declare `head_dim`", schema::suggest::one_of(&near)),
            };
            self.found.push(
                Diagnostic::error(
                    Code::InconsistentShape,
                    heads,
                    format!("{a} heads do not divide `d_model`"),
                )
                .label(format!("{d} / {a} is not whole"))
                .also(d_model, format!("`d_model` is {d}"))
                .help(help),
            );
        }
    }

    fn settle(&mut self, path: &str, value: &Typed, origin: Origin, ty: &Type) {
        let unit = ty.unit().unwrap_or(Unit::NONE);
        let value = match value {
            Typed::Count(count) => {
                SettingValue::Quantity(Quantity { number: Number::Int(i128::from(*count)), unit })
            }
            Typed::Batch(Batch::Sequences(count)) => SettingValue::Quantity(Quantity {
                number: Number::Int(i128::from(*count)),
                unit: Unit::SEQUENCES,
            }),
            Typed::Batch(Batch::Tokens(count)) => SettingValue::Quantity(Quantity {
                number: Number::Int(i128::from(*count)),
                unit: Unit::TOKENS,
            }),
            Typed::Amount(number) => SettingValue::Quantity(Quantity { number: *number, unit }),
            Typed::Share(share) | Typed::Keep(share) => {
                SettingValue::Quantity(Quantity { number: Number::Real(*share), unit: Unit::NONE })
            }
            Typed::Word(word) => SettingValue::Text(word.clone()),
            Typed::Text(text) => SettingValue::Text(text.clone()),
            Typed::Flag(flag) => SettingValue::Text(flag.to_string()),
            Typed::Date(date) => SettingValue::Text(date.to_string()),
            Typed::Auto => SettingValue::Text("auto".to_owned()),
            Typed::Unknown => return,
        };
        self.settings.push(Setting { path: path.to_owned(), value, origin });
    }

    /// The number of parameters, for attributes that refer to it.
    fn counted(&mut self, names: &mut Names<'_>, span: Span) -> Result<(u128, u128), Failure> {
        if let Some(counted) = self.counted {
            return Ok(counted);
        }
        names.enter("model.params", Span { file: FileId(u32::MAX), start: 0, end: 0 }, span)?;
        let model = model(self, names);
        names.open.pop();
        let model = model.ok_or(Failure(None))?;
        let counted = (self.params)(&model).ok_or_else(|| {
            Failure::from(Diagnostic::error(
                Code::Overflow,
                span,
                "the model's parameters do not fit in 128 bits",
            ))
        })?;
        self.counted = Some(counted);
        Ok(counted)
    }
}

impl Paths for Values<'_> {
    fn path(
        &mut self,
        names: &mut Names<'_>,
        path: &str,
        kind: PathKind,
        span: Span,
    ) -> Result<Value, Failure> {
        if let PathKind::Derived(_) = kind {
            let (total, active) = self.counted(names, span)?;
            let count = if path == "model.active_params" { active } else { total };
            let number = i128::try_from(count).map(Number::Int).unwrap_or(Number::Real(count as f64));
            return Ok(Value::Quantity { number: Some(number), unit: Unit::PARAMS, firm: true });
        }
        // A cycle is found where an attribute is entered; the use is what is underlined.
        if let Some(definition) = self.draft.attributes.get(path)
            && names.open.iter().any(|(_, open)| *open == definition.span)
        {
            names.enter(path, definition.span, span)?;
        }
        let value = self.get(names, path);
        let unit = kind.unit().unwrap_or(Unit::NONE);
        let quantity = |number: Number, unit: Unit| Value::Quantity {
            number: Some(number),
            unit,
            firm: unit.noun.is_some(),
        };
        Ok(match value {
            Some(Typed::Count(count)) => quantity(Number::Int(i128::from(count)), unit),
            Some(Typed::Batch(Batch::Sequences(count))) => {
                quantity(Number::Int(i128::from(count)), Unit::SEQUENCES)
            }
            Some(Typed::Batch(Batch::Tokens(count))) => {
                quantity(Number::Int(i128::from(count)), Unit::TOKENS)
            }
            Some(Typed::Amount(number)) => quantity(number, unit),
            Some(Typed::Share(share) | Typed::Keep(share)) => quantity(Number::Real(share), Unit::NONE),
            Some(Typed::Word(word)) => Value::Word(word.into()),
            Some(Typed::Text(text)) => Value::Text(text.into()),
            Some(Typed::Flag(flag)) => Value::Word(flag.to_string().into()),
            Some(Typed::Date(date)) => Value::Date(date),
            Some(Typed::Auto | Typed::Unknown) | None => {
                if self.found.is_empty() {
                    let title = format!("`{path}` has no value in this plan");
                    return Err(Diagnostic::error(Code::MissingAttribute, span, title)
                        .help(format!("declare `{path}`"))
                        .into());
                }
                return Err(Failure(None));
            }
        })
    }
}

/// Divisors of `whole` around `near`.
fn nearest_divisors(whole: u64, near: u64) -> Vec<String> {
    let divides = |candidate: &u64| *candidate > 0 && whole % *candidate == 0;
    let below = (near.saturating_sub(256)..near).rev().find(divides);
    let above = (near + 1..=near.saturating_add(256)).find(divides);
    [below, above].into_iter().flatten().map(|count| count.to_string()).collect()
}

struct Builder<'a> {
    names: Names<'a>,
    values: Values<'a>,
    failed: bool,
}

impl Builder<'_> {
    fn plan(&mut self) -> Option<Plan> {
        let draft = self.values.draft;
        for kind in draft.parts.keys() {
            if let Some(schema) = schema::block(kind) {
                self.visit(schema, (*kind).to_owned(), kind == &"data");
            }
        }
        if let Some(schema) = schema::block("convention") {
            self.visit(schema, "convention".to_owned(), false);
        }
        let model = model(&mut self.values, &mut self.names);
        let has = |kind: &str| draft.parts.contains_key(kind);
        let data = if has("data") { self.data() } else { None };
        let hardware = if has("hardware") { self.hardware() } else { None };
        let training = if has("training") { self.training() } else { None };
        let convention = self.convention();
        self.shapes();
        let complete = (!has("data") || data.is_some())
            && (!has("hardware") || hardware.is_some())
            && (!has("training") || training.is_some());
        self.failed |= !complete || !self.values.found.is_empty();
        let mut settings = std::mem::take(&mut self.values.settings);
        settings.sort_by(|a, b| a.path.cmp(&b.path));
        settings.dedup_by(|a, b| a.path == b.path);
        Some(Plan {
            name: draft.name.clone(),
            span: draft.span,
            model: model?,
            data,
            hardware,
            training,
            convention,
            requirements: Vec::new(),
            settings,
            variant: draft.variant.clone(),
        })
    }

    /// Asks for every attribute of a block, so that all of them are judged; required ones must be there.
    fn visit(&mut self, schema: &'static BlockSchema, prefix: String, with_sources: bool) {
        for attribute in schema.attributes {
            let path = format!("{prefix}.{}", attribute.name);
            let value = self.values.get(&mut self.names, &path);
            if value.is_none()
                && matches!(attribute.default, Default::Required)
                && self.values.found.is_empty()
            {
                let title = format!("`{prefix}` needs `{}`", attribute.name);
                let help = format!("add `{} = …`: {}", attribute.name, attribute.ty.words());
                self.values.found.push(
                    Diagnostic::error(Code::MissingAttribute, self.values.draft.span, title).help(help),
                );
            }
        }
        for nested in schema.blocks {
            match nested.naming {
                Naming::Never => self.visit(nested, format!("{prefix}.{}", nested.kind), false),
                _ if with_sources => {
                    for source in &self.values.draft.sources {
                        self.visit(nested, format!("{prefix}.{source}"), false);
                    }
                }
                _ => {}
            }
        }
    }

    fn get(&mut self, path: &str) -> Option<Typed> {
        self.values.get(&mut self.names, path)
    }

    fn count(&mut self, path: &str) -> Option<u64> {
        count(&mut self.values, &mut self.names, path)
    }

    fn word(&mut self, path: &str) -> Option<String> {
        word(&mut self.values, &mut self.names, path)
    }

    fn amount(&mut self, path: &str) -> Option<f64> {
        match self.get(path) {
            Some(Typed::Amount(number)) => Some(number.real()),
            _ => None,
        }
    }

    fn share(&mut self, path: &str) -> Option<f64> {
        match self.get(path) {
            Some(Typed::Share(share) | Typed::Keep(share)) => Some(share),
            _ => None,
        }
    }

    fn part(&self, kind: &str) -> Option<String> {
        self.values.draft.parts.get(kind).cloned().flatten()
    }

    fn data(&mut self) -> Option<Data> {
        let draft = self.values.draft;
        let mut sources = Vec::new();
        for name in &draft.sources {
            let prefix = format!("data.{name}.");
            let mut stages = Vec::new();
            for path in draft.stages.iter().filter(|path| path.starts_with(&prefix)) {
                stages.push((path[prefix.len()..].to_owned(), self.share(path)?));
            }
            sources.push(DataSource {
                name: name.clone(),
                raw: self.count(&format!("{prefix}raw"))?,
                stages,
                weight: self.share(&format!("{prefix}weight"))?,
            });
        }
        let total: f64 = sources.iter().map(|source| source.weight).sum();
        if !sources.is_empty() && (total - 1.0).abs() > 1e-9 {
            let place = |source: &DataSource| {
                draft.attributes.get(&format!("data.{}.weight", source.name)).map(|attribute| attribute.span)
            };
            let mut places = sources.iter().rev().filter_map(place);
            let span = places.next().unwrap_or(draft.span);
            let sum: Vec<String> =
                sources.iter().map(|source| crate::units::format::percent(source.weight)).collect();
            let percent = crate::units::format::percent(total);
            let mut diagnostic = Diagnostic::error(
                Code::WeightsDoNotSum,
                span,
                format!("the weights sum to {percent}, not to 100%"),
            )
            .note(format!("{} = {percent}", sum.join(" + ")));
            for other in places {
                diagnostic = diagnostic.also(other, "");
            }
            self.values.found.push(diagnostic);
        }
        Some(Data { name: self.part("data"), tokens: self.count("data.tokens")?, sources })
    }

    fn hardware(&mut self) -> Option<Hardware> {
        let draft = self.values.draft;
        let (nodes, devices) = ("hardware.nodes", "hardware.devices");
        let declared = |path: &str| draft.attributes.get(path).map(|attribute| attribute.span);
        if declared(nodes).is_none() && declared(devices).is_none() {
            let place = declared("hardware.device").unwrap_or(draft.span);
            self.values.found.push(
                Diagnostic::error(Code::MissingAttribute, place, "`hardware` needs `nodes` or `devices`")
                    .help("add `nodes = …` or `devices = …`: a whole number, at least 1"),
            );
            return None;
        }
        if let Some(schema) = schema::block("device") {
            self.visit(schema, "device".to_owned(), false);
        }
        let per_node = self.count("device.devices_per_node")?;
        let (hosts, total) = (self.count(nodes)?, self.count(devices)?);
        if let (Some(first), Some(second)) = (declared(nodes), declared(devices))
            && hosts.checked_mul(per_node) != Some(total)
        {
            self.values.found.push(
                Diagnostic::error(Code::InconsistentShape, second, "`nodes` and `devices` do not agree")
                    .label(format!("{total} devices"))
                    .also(
                        first,
                        format!(
                            "{hosts} nodes of {per_node} devices are {}",
                            u128::from(hosts) * u128::from(per_node)
                        ),
                    )
                    .help("declare one of them"),
            );
        }
        let name = self.word("hardware.device")?;
        let peak = Peak {
            fp32: self.amount("device.peak.fp32"),
            fp16: self.amount("device.peak.fp16"),
            bf16: self.amount("device.peak.bf16"),
        };
        let memory = match self.get("device.memory") {
            Some(Typed::Amount(number)) => number.count().and_then(|bytes| u64::try_from(bytes).ok()),
            _ => None,
        };
        let price_as_of = match self.get("hardware.price_as_of") {
            Some(Typed::Date(date)) => Some(date),
            _ => None,
        };
        Some(Hardware {
            name: self.part("hardware"),
            device: Device { name, memory, memory_bandwidth: self.amount("device.memory_bandwidth"), peak },
            devices: total,
            price: self.amount("hardware.price"),
            price_as_of,
        })
    }

    fn training(&mut self) -> Option<Training> {
        let zero = self.count("training.parallelism.zero");
        if let (Some(zero @ 4..), Some(attribute)) =
            (zero, self.values.draft.attributes.get("training.parallelism.zero"))
        {
            let span = attribute.value.span().unwrap_or(attribute.span);
            let diagnostic = Diagnostic::error(Code::OutOfRange, span, "a ZeRO stage is 0, 1, 2 or 3");
            self.values.found.push(diagnostic.label(format!("this is {zero}")));
        }
        let data = match self.get("training.parallelism.data") {
            Some(Typed::Count(count)) => Some(count),
            _ => None,
        };
        let global_batch = match self.get("training.global_batch") {
            Some(Typed::Batch(batch)) => Some(batch),
            _ => None,
        };
        Some(Training {
            name: self.part("training"),
            precision: precision(&self.word("training.precision")?)?,
            gradients: precision(&self.word("training.gradients")?)?,
            optimizer: match self.word("training.optimizer")?.as_str() {
                "sgd" => Optimizer::Sgd,
                "momentum" => Optimizer::Momentum,
                "adam" => Optimizer::Adam,
                "adam8bit" => Optimizer::Adam8bit,
                _ => Optimizer::Adamw,
            },
            optimizer_block: self.count("training.optimizer_block")?,
            sequence: self.count("training.sequence"),
            global_batch,
            micro_batch: self.count("training.micro_batch"),
            mfu: self.share("training.mfu"),
            parallelism: Parallelism {
                tensor: self.count("training.parallelism.tensor")?,
                pipeline: self.count("training.parallelism.pipeline")?,
                data,
            },
        })
    }

    fn convention(&mut self) -> Convention {
        let is = |word: Option<String>, expected: &str| word.as_deref() == Some(expected);
        Convention {
            attention: if is(self.word("convention.attention"), "causal") {
                AttentionConvention::Causal
            } else {
                AttentionConvention::Full
            },
            params: if is(self.word("convention.params"), "non_embedding") {
                ParamsConvention::NonEmbedding
            } else {
                ParamsConvention::Total
            },
            bytes: if is(self.word("convention.bytes"), "GiB") {
                BytesConvention::Binary
            } else {
                BytesConvention::Decimal
            },
        }
    }

    /// Shapes that must agree.
    fn shapes(&mut self) {
        let draft = self.values.draft;
        let place = |path: &str| {
            let attribute = draft.attributes.get(path)?;
            Some(attribute.value.span().unwrap_or(attribute.span))
        };
        let (heads, kv_heads) = (self.count("model.attention.heads"), self.count("model.attention.kv_heads"));
        if let (Some(a), Some(k)) = (heads, kv_heads)
            && a % k != 0
        {
            let span = place("model.attention.kv_heads").unwrap_or(draft.span);
            let mut diagnostic = Diagnostic::error(
                Code::InconsistentShape,
                span,
                format!("{k} key/value heads do not divide {a} heads"),
            )
            .label(format!("{a} / {k} is not whole"));
            if let Some(heads) = place("model.attention.heads") {
                diagnostic = diagnostic.also(heads, format!("{a} heads here"));
            }
            let near = nearest_divisors(a, k);
            if !near.is_empty() {
                diagnostic = diagnostic.help(format!("use {}", schema::suggest::one_of(&near)));
            }
            self.values.found.push(diagnostic);
        }
        if self.word("model.attention.position").as_deref() == Some("learned")
            && self.count("model.context").is_none()
        {
            let span = place("model.attention.position").unwrap_or(draft.span);
            self.values.found.push(
                Diagnostic::error(Code::InconsistentShape, span, "learned positions need `context`")
                    .label("a table with `context` rows")
                    .help("add `context = …` to the model: the longest sequence, in tokens"),
            );
        }
        if let (Some("learned"), Some(rows), Some(sequence)) = (
            self.word("model.attention.position").as_deref(),
            self.count("model.context"),
            draft.parts.contains_key("training").then(|| self.count("training.sequence")).flatten(),
        ) && sequence > rows
        {
            let span = place("training.sequence").unwrap_or(draft.span);
            let mut diagnostic = Diagnostic::error(
                Code::InconsistentShape,
                span,
                "the sequence is longer than the learned positions",
            )
            .label(format!("{sequence} tokens"));
            if let Some(context) = place("model.context") {
                diagnostic = diagnostic.also(context, format!("positions for {rows} tokens"));
            }
            self.values.found.push(
                diagnostic.help(format!("train on at most {rows} tokens, or declare a longer `context`")),
            );
        }
        self.degrees();
        let bias = matches!(self.get("model.norm.bias"), Some(Typed::Flag(true)));
        if bias && let Some(kind @ ("rmsnorm" | "none")) = self.word("model.norm.kind").as_deref() {
            let span = place("model.norm.bias").unwrap_or(draft.span);
            let mut diagnostic =
                Diagnostic::error(Code::InconsistentShape, span, format!("`{kind}` has no bias"));
            if let Some(kind) = place("model.norm.kind") {
                diagnostic = diagnostic.also(kind, "the norm is chosen here");
            }
            self.values.found.push(diagnostic.help("leave `bias` out, or use `kind = layernorm`"));
        }
    }
}

impl Builder<'_> {
    /// Degrees of parallelism cannot exceed what they divide.
    fn degrees(&mut self) {
        let draft = self.values.draft;
        if !draft.parts.contains_key("training") {
            return;
        }
        let pairs = [
            (
                "training.parallelism.tensor",
                "model.attention.heads",
                "heads",
                "tensor parallelism divides heads",
            ),
            (
                "training.parallelism.pipeline",
                "model.layers",
                "layers",
                "pipeline parallelism divides layers",
            ),
        ];
        for (degree, whole, noun, why) in pairs {
            let (Some(parts), Some(count)) = (self.count(degree), self.count(whole)) else { continue };
            if parts <= count {
                continue;
            }
            let place = |path: &str| {
                draft.attributes.get(path).map(|attribute| attribute.value.span().unwrap_or(attribute.span))
            };
            let span = place(degree).unwrap_or(draft.span);
            let mut diagnostic = Diagnostic::error(
                Code::InconsistentShape,
                span,
                format!("{count} {noun} cannot be divided over {parts} devices"),
            );
            if let Some(whole) = place(whole) {
                diagnostic = diagnostic.also(whole, format!("{count} {noun} here"));
            }
            self.values.found.push(diagnostic.label(format!("more than {count}")).note(why));
        }
    }
}

fn count(values: &mut Values<'_>, names: &mut Names<'_>, path: &str) -> Option<u64> {
    match values.get(names, path) {
        Some(Typed::Count(count)) => Some(count),
        _ => None,
    }
}

fn word(values: &mut Values<'_>, names: &mut Names<'_>, path: &str) -> Option<String> {
    match values.get(names, path) {
        Some(Typed::Word(word)) => Some(word),
        _ => None,
    }
}

fn flag(values: &mut Values<'_>, names: &mut Names<'_>, path: &str) -> bool {
    matches!(values.get(names, path), Some(Typed::Flag(true)))
}

fn precision(word: &str) -> Option<Precision> {
    [Precision::Fp32, Precision::Fp16, Precision::Bf16].into_iter().find(|precision| precision.word() == word)
}

fn model(values: &mut Values<'_>, names: &mut Names<'_>) -> Option<Model> {
    let name =
        values.draft.parts.get("model").cloned().flatten().unwrap_or_else(|| values.draft.name.clone());
    Some(Model {
        name,
        layers: count(values, names, "model.layers")?,
        d_model: count(values, names, "model.d_model")?,
        vocab: count(values, names, "model.vocab")?,
        context: count(values, names, "model.context"),
        tied_embeddings: flag(values, names, "model.tied_embeddings"),
        output_bias: flag(values, names, "model.output_bias"),
        attention: Attention {
            heads: count(values, names, "model.attention.heads")?,
            kv_heads: count(values, names, "model.attention.kv_heads")?,
            head_dim: count(values, names, "model.attention.head_dim")?,
            position: match word(values, names, "model.attention.position")?.as_str() {
                "learned" => Position::Learned,
                "alibi" => Position::Alibi,
                "none" => Position::None,
                _ => Position::Rope,
            },
            qkv_bias: flag(values, names, "model.attention.qkv_bias"),
            output_bias: flag(values, names, "model.attention.output_bias"),
        },
        ffn: FeedForward {
            kind: match word(values, names, "model.ffn.kind")?.as_str() {
                "relu" => FfnKind::Relu,
                "swiglu" => FfnKind::Swiglu,
                "geglu" => FfnKind::Geglu,
                _ => FfnKind::Gelu,
            },
            d_ff: count(values, names, "model.ffn.d_ff")?,
            bias: flag(values, names, "model.ffn.bias"),
        },
        norm: Norm {
            kind: match word(values, names, "model.norm.kind")?.as_str() {
                "layernorm" => NormKind::LayerNorm,
                "none" => NormKind::None,
                _ => NormKind::RmsNorm,
            },
            bias: flag(values, names, "model.norm.bias"),
        },
    })
}

/// The conditions of a plan, with lets put in and units made literal: what is left are paths.
fn requirements(
    draft: &Draft,
    names: &Names<'_>,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<Requirement>> {
    let mut requirements = Vec::new();
    for condition in &draft.conditions {
        let mut left = Vec::new();
        let mut right = Vec::new();
        let whole = inline(&condition.left, condition.scope, names, &mut left, 0)
            .and_then(|()| inline(&condition.right, condition.scope, names, &mut right, 0));
        let span = condition.left.span()?.to(condition.right.span()?);
        if whole.is_none() {
            let title = "this condition is too large once its names are written out";
            diagnostics.push(Diagnostic::error(Code::NestingTooDeep, span, title));
            return None;
        }
        let reason = condition.reason.map(|reason| {
            let mut found = Vec::new();
            crate::grammar::unquoted(sources.slice(reason), reason, &mut found)
        });
        requirements.push(Requirement {
            strict: condition.strict,
            text: sources.slice(span).split_whitespace().collect::<Vec<_>>().join(" "),
            reason,
            span,
            left: Expr { nodes: left },
            comparison: match sources.slice(condition.comparison) {
                "<" => Comparison::Less,
                "<=" => Comparison::LessEqual,
                ">" => Comparison::Greater,
                ">=" => Comparison::GreaterEqual,
                "==" => Comparison::Equal,
                _ => Comparison::NotEqual,
            },
            right: Expr { nodes: right },
        });
    }
    Some(requirements)
}

/// Writes an expression out; `None` when it grows past all bounds.
fn inline(expr: &Expr, scope: Span, names: &Names<'_>, out: &mut Vec<Node>, depth: usize) -> Option<()> {
    if depth > limits::MAX_NESTING {
        return None;
    }
    for node in &expr.nodes {
        match &node.op {
            Op::Name(name) => match (names.binding(name, scope), unit(name)) {
                (Some(binding), _) => inline(&binding.value, scope, names, out, depth + 1)?,
                (None, Some(quantity)) => out.push(Node { span: node.span, op: Op::Quantity(quantity) }),
                (None, None) => out.push(node.clone()),
            },
            _ => out.push(node.clone()),
        }
        if out.len() > limits::MAX_STATEMENT_BYTES {
            return None;
        }
    }
    Some(())
}
