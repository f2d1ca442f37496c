//! A draft with its values: the typed plan. Consistency of shapes is checked here, with both places shown.

mod device;
mod measurement;
mod training;

use std::collections::BTreeMap;

use super::attributes::Values;
use super::conditions::requirements;
use super::files::Files;
use super::model::model;
use super::plans::Draft;
use super::shapes;
use super::values::{Names, Typed};
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::*;
use crate::schema::{self, BlockSchema, Default, Naming, Presence};
use crate::source::Sources;

/// The typed plan of a draft; `None` where something is wrong, which is then among the diagnostics.
pub(super) fn plan(
    draft: Draft,
    files: &Files,
    sources: &Sources,
    params: &dyn Fn(&Model) -> Option<(u128, u128)>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Plan> {
    let values = Values::new(&draft, params);
    let mut builder = Builder { names: Names::new(files, draft.span), values, failed: false };
    let plan = builder.plan();
    let Builder { values, names, failed } = builder;
    diagnostics.extend(values.found);
    let mut plan = plan.filter(|_| !failed)?;
    plan.requirements = requirements(&draft, &names, sources, diagnostics)?;
    Some(plan)
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
        shapes::norm(&mut self.values, &mut self.names);
        if let Some(model) = &model {
            shapes::modules(&mut self.values, model);
        }
        let has = |kind: &str| draft.parts.contains_key(kind);
        let data = if has("data") { self.data() } else { None };
        let hardware = if has("hardware") { self.hardware() } else { None };
        let training = if has("training") { self.training() } else { None };
        let convention = self.convention();
        self.degrees();
        if let (Some(hardware), Some(training)) = (&hardware, &training) {
            self.same_precision(hardware, training);
        }
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
                Naming::Never => {
                    let path = format!("{prefix}.{}", nested.kind);
                    if nested.presence == Presence::Always || self.values.draft.declares(&path) {
                        self.visit(nested, path, false);
                    }
                }
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
        self.values.count(&mut self.names, path)
    }

    fn word(&mut self, path: &str) -> Option<String> {
        self.values.word(&mut self.names, path)
    }

    fn amount(&mut self, path: &str) -> Option<f64> {
        match self.get(path) {
            Some(Typed::Amount(number)) => Some(number.real()),
            _ => None,
        }
    }

    fn factor(&mut self, path: &str) -> Option<f64> {
        match self.get(path) {
            Some(Typed::Factor(factor)) => Some(factor),
            _ => None,
        }
    }

    fn flag(&mut self, path: &str) -> bool {
        matches!(self.get(path), Some(Typed::Flag(true)))
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
        let mut staged: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
        for path in &draft.stages {
            staged.entry(path.split('.').nth(1).unwrap_or_default()).or_default().push(path);
        }
        let mut sources = Vec::new();
        for name in &draft.sources {
            let prefix = format!("data.{name}.");
            let mut stages = Vec::new();
            for path in staged.get(name.as_str()).into_iter().flatten() {
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
            let percent = crate::units::format::percent(total);
            let mut diagnostic = Diagnostic::error(
                Code::WeightsDoNotSum,
                span,
                format!("the weights sum to {percent}, not to 100%"),
            );
            // A sum that a person can follow; beyond that the number of terms says enough.
            if sources.len() <= 12 {
                let terms: Vec<String> =
                    sources.iter().map(|source| crate::units::format::percent(source.weight)).collect();
                diagnostic = diagnostic.note(format!("{} = {percent}", terms.join(" + ")));
                for other in places {
                    diagnostic = diagnostic.also(other, "");
                }
            } else {
                diagnostic = diagnostic.note(format!("{} sources", sources.len()));
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
        let device = self.device()?;
        Some(Hardware {
            name: self.part("hardware"),
            device,
            devices: total,
            price: self.amount("hardware.price"),
            price_as_of: self.date("hardware.price_as_of"),
            measured: self.measurement()?,
            operation: self.operation()?,
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
            flops: if is(self.word("convention.flops"), "executed") {
                FlopsConvention::Executed
            } else {
                FlopsConvention::Model
            },
        }
    }
}
