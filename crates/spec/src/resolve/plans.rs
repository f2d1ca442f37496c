//! Plans put together: blocks picked, `extends` followed, overrides applied, lists spread out.

use std::collections::{BTreeMap, BTreeSet};

use super::blocks::{AttributeDef, BlockDef, CONDITIONS, ConditionDef, STAGE};
use super::build;
use super::cycle;
use super::files::{self, Files, Override};
use super::values::elements;
use super::variants::variants;
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Expr, Node, Op};
use crate::limits;
use crate::plan::{Law, Model, Plan};
use crate::schema::{self, Type, suggest};
use crate::source::{Sources, Span};

/// The kinds of block that a plan has one of each.
const PARTS: [&str; 8] = ["model", "data", "hardware", "training", "inference", "alignment", "budget", "law"];
/// The law of a plan that neither has nor picks one.
const LAW: &str = "chinchilla_refit";

/// A plan before its values are known: whole paths and what they are set to.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) span: Span,
    /// The names of its blocks, by kind, for those it has.
    pub(super) parts: BTreeMap<&'static str, Option<String>>,
    /// By whole path: `model.attention.heads`.
    pub(super) attributes: BTreeMap<String, AttributeDef>,
    /// Data sources, in order.
    pub(super) sources: Vec<String>,
    /// The `layer` blocks of the model, in order.
    pub(super) layers: Vec<String>,
    /// The `class` blocks of the measurement, in order.
    pub(super) classes: Vec<String>,
    /// The `stage` blocks of the alignment, in order.
    pub(super) steps: Vec<String>,
    /// The `task` blocks of the law, in order.
    pub(super) tasks: Vec<String>,
    /// The `gain` blocks of the file, in order.
    pub(super) gains: Vec<String>,
    /// The device that the model is served on, where it is not the hardware's: attributes of a draft of its own.
    pub(super) serving: Option<Box<Draft>>,
    /// Nested blocks that were written, empty ones too, by their paths.
    pub(super) opened: BTreeSet<String>,
    /// Stages of data sources, as whole paths, in order.
    pub(super) stages: Vec<String>,
    pub(super) conditions: Vec<ConditionDef>,
    pub(super) variant: Vec<(String, String)>,
}

/// Follows every reference to a block by name, whether a plan uses it or not: a mistake elsewhere hides none of them.
pub(super) fn references(
    files: &mut Files,
    sources: &mut Sources,
    overrides: &[Override],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut assembler = Assembler { files, sources, overrides, diagnostics };
    let count = assembler.files.files.len();
    for file in 0..count {
        for index in 0..assembler.files.files[file].blocks.len() {
            let block = &assembler.files.files[file].blocks[index];
            let from = block.header.file;
            let extends = block.extends.is_some() && block.schema.kind != "plan";
            let mut named: Vec<(&'static str, String, Span)> = Vec::new();
            for attribute in &block.attributes {
                let Type::Reference(kind) = attribute.ty else { continue };
                let list = elements(&attribute.value);
                let values = list.as_deref().unwrap_or(std::slice::from_ref(&attribute.value));
                let names = values.iter().filter_map(Expr::as_name);
                named.extend(names.map(|(name, place)| (*kind, name.to_owned(), place)));
            }
            if extends {
                assembler.flattened(file, index);
            }
            for (kind, name, place) in named {
                assembler.find(kind, &name, from, place);
            }
        }
    }
}

/// The plans of the first file.
pub(super) fn assemble(
    files: &mut Files,
    overrides: &[Override],
    sources: &mut Sources,
    params: &dyn Fn(&Model) -> Option<(u128, u128)>,
    known: Option<&[Law]>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Plan> {
    let drafts =
        Assembler { files: &mut *files, sources: &mut *sources, overrides, diagnostics: &mut *diagnostics }
            .drafts();
    if drafts.is_empty() {
        return Vec::new();
    }
    let laws: Vec<Law> = match known {
        Some(laws) => laws.to_vec(),
        None => {
            let own = &mut *diagnostics;
            let laws = Assembler { files, sources, overrides, diagnostics: own }.laws();
            laws.into_iter().filter_map(|draft| build::law(draft, files, params, diagnostics)).collect()
        }
    };
    let mut plans = Vec::new();
    for draft in drafts {
        for variant in variants(draft, files, sources, diagnostics) {
            plans.extend(build::plan(variant, files, sources, &laws, params, diagnostics));
        }
    }
    plans
}

pub(super) struct Assembler<'a> {
    pub(super) files: &'a mut Files,
    pub(super) sources: &'a mut Sources,
    overrides: &'a [Override],
    pub(super) diagnostics: &'a mut Vec<Diagnostic>,
}

impl Assembler<'_> {
    fn drafts(&mut self) -> Vec<Draft> {
        let Some(file) = self.files.files.first() else { return Vec::new() };
        let plans: Vec<BlockDef> =
            file.blocks.iter().filter(|block| block.schema.kind == "plan").cloned().collect();
        if !plans.is_empty() {
            return plans.iter().filter_map(|plan| self.named_plan(plan)).collect();
        }
        self.whole_file()
    }

    /// The file as one plan: it has at most one block of each kind. Models alone are a plan each.
    fn whole_file(&mut self) -> Vec<Draft> {
        let Some(file) = self.files.files.first() else { return Vec::new() };
        let id = file.id;
        let models: Vec<&BlockDef> =
            file.blocks.iter().filter(|block| block.schema.kind == "model").collect();
        // Named blocks are there for others to pick; what has no name is meant for a plan of this file.
        let wants_plan = file.blocks.iter().any(|block| match block.schema.kind {
            "training" => true,
            "hardware" | "data" => block.name.is_none() || !models.is_empty(),
            _ => std::ptr::eq(block.schema, &CONDITIONS),
        });
        if models.is_empty() {
            let place = Span { file: id, start: 0, end: 0 };
            if file.blocks.is_empty() && file.lets.is_empty() && file.imports.is_empty() {
                let title = "nothing is declared";
                let diagnostic = Diagnostic::error(Code::EmptyFile, place, title);
                self.diagnostics.push(diagnostic.help("a plan begins with `model NAME { … }`"));
            } else if wants_plan {
                let span = file.blocks.first().map_or(place, |block| block.header);
                let diagnostic = Diagnostic::error(Code::NoModel, span, "there is no model to plan for");
                let imported = file
                    .imports
                    .iter()
                    .any(|&at| self.files.files[at].blocks.iter().any(|block| block.schema.kind == "model"));
                self.diagnostics.push(if imported {
                    diagnostic.help("pick an imported one: `plan NAME { model = … }`")
                } else {
                    diagnostic.help("add `model NAME { … }`")
                });
            }
            return Vec::new();
        }
        if let [first, second, ..] = models.as_slice()
            && wants_plan
        {
            self.ambiguous("model", first.header, second.header);
            return Vec::new();
        }
        let only = models.len() == 1;
        let names: Vec<(String, Span)> = models
            .iter()
            .map(|model| model.name.clone().unwrap_or_else(|| ("plan".to_owned(), model.header)))
            .collect();
        let mut drafts = Vec::new();
        for (name, span) in names {
            let mut picks = BTreeMap::new();
            if !only {
                let value = Expr { nodes: vec![Node { span, op: Op::Name(name.as_str().into()) }] };
                picks.insert(
                    "model",
                    AttributeDef {
                        path: "model".to_owned(),
                        span,
                        value,
                        ty: &super::blocks::OVERRIDE,
                        scope: span,
                    },
                );
            }
            drafts.extend(self.draft(name, span, picks, Vec::new(), Vec::new()));
        }
        drafts
    }

    fn ambiguous(&mut self, kind: &str, first: Span, second: Span) {
        self.diagnostics.push(
            Diagnostic::error(
                Code::AmbiguousPlan,
                second,
                format!("there are two {kind} blocks, and no plan picks one"),
            )
            .also(first, "the other one")
            .help(format!("add `plan NAME {{ {kind} = … }}` for each plan")),
        );
    }

    fn named_plan(&mut self, plan: &BlockDef) -> Option<Draft> {
        let (name, span) = plan.name.clone()?;
        // A plan that extends another begins with what that one says.
        let mut chain = vec![plan.clone()];
        let mut members = vec![name.clone()];
        while let Some((base, base_span)) = chain.last().and_then(|block| block.extends.clone()) {
            if members.contains(&base) {
                members.push(base);
                self.diagnostics.push(cycle(base_span, &members));
                return None;
            }
            let (at, index) = self.find("plan", &base, span.file, base_span)?;
            chain.push(self.files.files[at].blocks[index].clone());
            members.push(base);
        }
        let mut picks = BTreeMap::new();
        let mut changes: Vec<AttributeDef> = Vec::new();
        let mut conditions = Vec::new();
        for block in chain.into_iter().rev() {
            for attribute in block.attributes {
                match PARTS.iter().find(|part| **part == attribute.path) {
                    Some(part) => drop(picks.insert(*part, attribute)),
                    None => {
                        changes.retain(|other| other.path != attribute.path);
                        changes.push(attribute);
                    }
                }
            }
            conditions.extend(block.conditions);
        }
        self.draft(name, span, picks, changes, conditions)
    }

    fn draft(
        &mut self,
        name: String,
        span: Span,
        mut picks: BTreeMap<&'static str, AttributeDef>,
        mut changes: Vec<AttributeDef>,
        own_conditions: Vec<ConditionDef>,
    ) -> Option<Draft> {
        for given in self.overrides {
            let scope = Span { end: given.span.start, ..given.span };
            let definition = AttributeDef {
                path: given.path.clone(),
                span: given.span,
                value: given.value.clone(),
                ty: &super::blocks::OVERRIDE,
                scope,
            };
            match PARTS.iter().find(|part| **part == given.path) {
                Some(part) => drop(picks.insert(part, definition)),
                None => {
                    changes.retain(|other| other.path != given.path);
                    changes.push(definition);
                }
            }
        }
        let mut draft = Draft::new(name, span);
        let mut sound = true;
        for kind in PARTS {
            let block = match picks.get(kind) {
                Some(pick) => match pick.value.as_name() {
                    Some((wanted, place)) => self.find(kind, wanted, span.file, place).or_else(|| {
                        sound = false;
                        None
                    }),
                    None => {
                        sound = false;
                        self.diagnostics.extend(pick.value.span().map(|place| {
                            Diagnostic::error(
                                Code::TypeMismatch,
                                place,
                                format!("a plan picks one {kind}, by name"),
                            )
                        }));
                        None
                    }
                },
                None => self.sole(kind, &mut sound),
            };
            let block = match block {
                None if kind == "law" && sound => self.find(kind, LAW, span.file, span),
                block => block,
            };
            if let Some((file, index)) = block {
                let merged = self.flattened(file, index)?;
                draft.parts.insert(kind, merged.name.clone().map(|(name, _)| name));
                draft.take(kind, merged);
            }
        }
        if !sound {
            return None;
        }
        if !draft.parts.contains_key("model") {
            let diagnostic =
                Diagnostic::error(Code::NoModel, span, format!("plan `{}` has no model", draft.name));
            self.diagnostics.push(diagnostic.help("add `model = NAME`"));
            return None;
        }
        self.conventions(&mut draft);
        self.gains(&mut draft)?;
        for change in changes {
            if !self.change(&mut draft, change) {
                return None;
            }
        }
        if !self.device(&mut draft) || !self.serving(&mut draft) || !self.measurement(&mut draft) {
            return None;
        }
        let file = self.files.files.first()?;
        let shared = file.blocks.iter().filter(|block| std::ptr::eq(block.schema, &CONDITIONS));
        draft.conditions = shared.flat_map(|block| block.conditions.clone()).chain(own_conditions).collect();
        Some(draft)
    }

    /// The file's own block of a kind, where it has just one.
    fn sole(&mut self, kind: &str, sound: &mut bool) -> Option<(usize, usize)> {
        let file = self.files.files.first()?;
        let mut found = file.blocks.iter().enumerate().filter(|(_, block)| block.schema.kind == kind);
        let first = found.next()?;
        if let Some((_, second)) = found.next() {
            let (first, second) = (first.1.header, second.header);
            self.ambiguous(kind, first, second);
            *sound = false;
            return None;
        }
        Some((0, first.0))
    }

    /// A block by kind and name: of the file, of its imports, of the catalog.
    pub(super) fn find(
        &mut self,
        kind: &'static str,
        name: &str,
        from: crate::source::FileId,
        place: Span,
    ) -> Option<(usize, usize)> {
        let start = *self.files.index.get(&from).unwrap_or(&0);
        let mut queue = vec![start];
        let mut at = 0;
        while at < queue.len() {
            let file = &self.files.files[queue[at]];
            if let Some(&index) = file.names.get(kind).and_then(|names| names.get(name)) {
                return Some((queue[at], index));
            }
            for &import in &file.imports {
                if !queue.contains(&import) {
                    queue.push(import);
                }
            }
            at += 1;
        }
        if let Some(file) = files::read_catalog(self.files, self.sources, kind, name) {
            let index = self.files.files[file].blocks.iter().position(|block| block.schema.kind == kind);
            if let Some(index) = index {
                return Some((file, index));
            }
        }
        let mut own: Vec<String> = queue
            .iter()
            .flat_map(|&file| &self.files.files[file].blocks)
            .filter(|block| block.schema.kind == kind)
            .filter_map(|block| block.name.as_ref().map(|(name, _)| name.clone()))
            .collect();
        own.sort();
        let mut known: Vec<&str> = own.iter().map(String::as_str).collect();
        known.extend(crate::catalog::names(kind).map(|name| -> &str { name }));
        let diagnostic = Diagnostic::error(Code::UnknownName, place, format!("there is no {kind} `{name}`"));
        self.diagnostics.push(match suggest::nearest(name, known.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")).fix(place, near),
            None if known.is_empty() => diagnostic.help(format!("declare `{kind} {name} {{ … }}`")),
            None => diagnostic.help(instead(kind, name, &own, &known)),
        });
        None
    }

    /// A block with everything it takes from those it extends.
    pub(super) fn flattened(&mut self, file: usize, index: usize) -> Option<BlockDef> {
        let mut block = self.files.files[file].blocks[index].clone();
        let kind = block.schema.kind;
        let mut members = vec![block.name.as_ref().map_or_else(|| kind.to_owned(), |(name, _)| name.clone())];
        let mut places = vec![(file, index)];
        while let Some((base, place)) = block.extends.take() {
            let from = self.files.files.get(places.last()?.0)?.id;
            // A block that extends its own name takes the one it shadows: an import's or the catalog's.
            let (at, base_index) = self.find_base(kind, &base, from, place, &places)?;
            if places.contains(&(at, base_index)) {
                members.push(base);
                self.diagnostics.push(cycle(place, &members));
                return None;
            }
            if places.len() >= limits::MAX_NESTING {
                let title = format!("blocks extend each other more than {} deep", limits::MAX_NESTING);
                self.diagnostics.push(Diagnostic::error(Code::NestingTooDeep, place, title));
                return None;
            }
            places.push((at, base_index));
            members.push(base);
            let under = self.files.files[at].blocks[base_index].clone();
            let own: BTreeSet<String> =
                block.attributes.iter().map(|attribute| attribute.path.clone()).collect();
            let inherited = under.attributes.into_iter().filter(|attribute| !own.contains(&attribute.path));
            block.attributes.extend(inherited);
            let known: BTreeSet<String> = under.named.iter().map(|(name, _)| name.clone()).collect();
            let mut named = under.named;
            named.extend(block.named.into_iter().filter(|(name, _)| !known.contains(name)));
            block.named = named;
            block.opened.extend(under.opened);
            block.extends = under.extends;
        }
        Some(block)
    }

    fn find_base(
        &mut self,
        kind: &'static str,
        name: &str,
        from: crate::source::FileId,
        place: Span,
        places: &[(usize, usize)],
    ) -> Option<(usize, usize)> {
        let found = self.find(kind, name, from, place)?;
        if places.last() == Some(&found)
            && crate::catalog::find(kind, name).is_some()
            && let Some(file) = files::read_catalog(self.files, self.sources, kind, name)
        {
            return Some((file, 0));
        }
        Some(found)
    }

    /// `convention` blocks: the file's own.
    fn conventions(&mut self, draft: &mut Draft) {
        let Some(file) = self.files.files.first() else { return };
        let convention = file.blocks.iter().find(|block| block.schema.kind == "convention").cloned();
        if let Some(convention) = convention {
            draft.take("convention", convention);
        }
    }

    /// An override of a plan or of the command line.
    fn change(&mut self, draft: &mut Draft, mut change: AttributeDef) -> bool {
        let Some((kind, rest)) = change.path.split_once('.') else { return false };
        if PARTS.contains(&kind) && !draft.parts.contains_key(kind) {
            // `--set training.mfu=40%` on a plan without training makes one, if that is all it needs.
            if let Some(kind) = PARTS.iter().find(|part| **part == kind) {
                draft.parts.insert(kind, None);
            }
        }
        if let Some((source, leaf)) = rest.split_once('.')
            && kind == "data"
        {
            if !draft.sources.iter().any(|own| own == source) {
                let title = format!("there is no data source `{source}`");
                self.diagnostics.push(Diagnostic::error(Code::InvalidOverride, change.span, title));
                return false;
            }
            let known = draft.attributes.contains_key(&change.path);
            if schema::declared(&change.path).is_none() && !known {
                let title = format!("`{source}` has no stage `{leaf}`");
                self.diagnostics.push(Diagnostic::error(Code::InvalidOverride, change.span, title));
                return false;
            }
        }
        if let Some((name, _)) =
            change.path.strip_prefix("model.layer.").and_then(|rest| rest.split_once('.'))
            && !draft.layers.iter().any(|own| own == name)
        {
            let title = format!("the model has no layer block `{name}`");
            let known: Vec<String> = draft.layers.iter().map(|own| format!("`{own}`")).collect();
            let help = match (name, known.is_empty()) {
                ("base", _) => {
                    "layers that no block picks are as the model says: leave `layer.base` out".to_owned()
                }
                (_, true) => format!("declare `layer {name} {{ … }}` in the model"),
                (_, false) => format!("its blocks are {}", known.join(", ")),
            };
            self.diagnostics.push(Diagnostic::error(Code::InvalidOverride, change.span, title).help(help));
            return false;
        }
        change.ty = schema::declared(&change.path).map_or(&STAGE, |attribute| &attribute.ty);
        draft.attributes.insert(change.path.clone(), change);
        true
    }
}

impl Assembler<'_> {
    /// The measurement that the hardware cites.
    fn measurement(&mut self, draft: &mut Draft) -> bool {
        let place = draft.attributes.get("hardware.measured").and_then(|cited| cited.value.span());
        let Some(&(file, index)) = place.and_then(|place| self.files.cited.get(&place)) else { return true };
        let Some(block) = self.flattened(file, index) else { return false };
        draft.take("hardware.measured", block);
        true
    }
}

impl Draft {
    /// A draft that says nothing yet.
    pub(super) fn new(name: String, span: Span) -> Draft {
        Draft {
            name,
            span,
            parts: BTreeMap::new(),
            attributes: BTreeMap::new(),
            sources: Vec::new(),
            layers: Vec::new(),
            classes: Vec::new(),
            steps: Vec::new(),
            tasks: Vec::new(),
            gains: Vec::new(),
            serving: None,
            opened: BTreeSet::new(),
            stages: Vec::new(),
            conditions: Vec::new(),
            variant: Vec::new(),
        }
    }

    /// Takes a block's attributes under their whole paths.
    pub(super) fn take(&mut self, kind: &str, block: BlockDef) {
        for attribute in block.attributes {
            let path = format!("{kind}.{}", attribute.path);
            if std::ptr::eq(attribute.ty, &STAGE) {
                self.stages.push(path.clone());
            }
            self.attributes.insert(path.clone(), AttributeDef { path, ..attribute });
        }
        self.opened.extend(block.opened.into_iter().map(|path| format!("{kind}.{path}")));
        let names = block.named.into_iter().map(|(name, _)| name);
        match kind {
            "model" => self.layers.extend(names),
            "hardware.measured" => self.classes.extend(names),
            "alignment" => self.steps.extend(names),
            "law" => self.tasks.extend(names),
            _ => self.sources.extend(names),
        }
    }
}

/// What there is where a name is near to none: names of the same family, else the user's own.
fn instead(kind: &str, name: &str, own: &[String], known: &[&str]) -> String {
    let family = suggest::family(name, known.iter().copied());
    let names = if family.is_empty() { own.iter().map(String::as_str).collect() } else { family };
    let quoted: Vec<String> = names.iter().take(8).map(|name| format!("`{name}`")).collect();
    let more = format!("`llmplan catalog list {kind}s`");
    match quoted.as_slice() {
        [] => format!("{more} names those of the catalog"),
        some if names.len() <= 8 => format!("there is {}", suggest::one_of(some)),
        some => format!("there is {}; {more} has them all", some.join(", ")),
    }
}
