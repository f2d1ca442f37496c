//! A draft with its values: the typed plan. Consistency of shapes is checked here, with both places shown.

mod alignment;
mod budget;
mod data;
mod device;
mod inference;
mod law;
mod measurement;
mod recipe;
mod training;

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
    laws: &[Law],
    params: &dyn Fn(&Model) -> Option<(u128, u128)>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Plan> {
    let values = Values::new(&draft, params);
    let mut builder = Builder { names: Names::new(files, draft.span), values, failed: false };
    let plan = builder.plan(laws);
    let Builder { values, names, failed } = builder;
    diagnostics.extend(values.found);
    let mut plan = plan.filter(|_| !failed)?;
    plan.requirements = requirements(&draft, &names, sources, diagnostics)?;
    Some(plan)
}

/// A law of a draft that has nothing else; `None` where something is wrong, which is then among the diagnostics.
pub(super) fn law(
    draft: Draft,
    files: &Files,
    params: &dyn Fn(&Model) -> Option<(u128, u128)>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Law> {
    let values = Values::new(&draft, params);
    let mut builder = Builder { names: Names::new(files, draft.span), values, failed: false };
    let law = builder.law();
    let Builder { values, .. } = builder;
    let sound = values.found.is_empty();
    diagnostics.extend(values.found);
    law.filter(|_| sound)
}

struct Builder<'a> {
    names: Names<'a>,
    values: Values<'a>,
    failed: bool,
}

impl Builder<'_> {
    fn plan(&mut self, laws: &[Law]) -> Option<Plan> {
        let draft = self.values.draft;
        for kind in draft.parts.keys() {
            if let Some(schema) = schema::block(kind) {
                self.visit(schema, (*kind).to_owned());
            }
        }
        if let Some(schema) = schema::block("convention") {
            self.visit(schema, "convention".to_owned());
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
        let inference = if has("inference") { self.inference() } else { None };
        let alignment = if has("alignment") { self.alignment() } else { None };
        let budget = if has("budget") { self.budget() } else { None };
        let law = self.law();
        let gains = self.gains();
        let convention = self.convention();
        self.degrees();
        if let (Some(hardware), Some(training)) = (&hardware, &training) {
            self.same_precision(hardware, training);
        }
        let complete = (!has("data") || data.is_some())
            && (!has("hardware") || hardware.is_some())
            && (!has("training") || training.is_some())
            && (!has("inference") || inference.is_some())
            && (!has("alignment") || alignment.is_some())
            && (!has("budget") || budget.is_some());
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
            inference,
            alignment,
            budget,
            law: law?,
            laws: laws.to_vec(),
            gains: gains?,
            convention,
            requirements: Vec::new(),
            settings,
            variant: draft.variant.clone(),
        })
    }

    /// Asks for every attribute of a block, so that all of them are judged; required ones must be there.
    fn visit(&mut self, schema: &'static BlockSchema, prefix: String) {
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
                        self.visit(nested, path);
                    }
                }
                Naming::Required => {
                    let names = match prefix.as_str() {
                        "data" => &self.values.draft.sources,
                        "alignment" => &self.values.draft.steps,
                        _ => continue,
                    };
                    for name in names {
                        self.visit(nested, format!("{prefix}.{name}"));
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
            self.visit(schema, "device".to_owned());
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
