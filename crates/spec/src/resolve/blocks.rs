//! Blocks as flat tables of attributes, `attention.heads` and the like, checked against the schema while they are
//! collected.

use std::collections::BTreeMap;

use super::files::{Files, LetDef, Lets};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::Expr;
use crate::limits;
use crate::schema::{self, BLOCKS, BlockSchema, Naming, Presence, Type, suggest, suggest::Meant};
use crate::source::{Sources, Span};
use crate::syntax::{Block, File, ItemKind};
use crate::units::table;

/// A top-level block.
#[derive(Clone, Debug)]
pub(super) struct BlockDef {
    pub(super) schema: &'static BlockSchema,
    pub(super) name: Option<(String, Span)>,
    pub(super) extends: Option<(String, Span)>,
    pub(super) header: Span,
    pub(super) attributes: Vec<AttributeDef>,
    /// Names of nested named blocks, in order: the sources of data, the layers of a model.
    pub(super) named: Vec<(String, Span)>,
    /// Nested blocks that were written, empty ones too: `mamba2`, `layer.full.moe`.
    pub(super) opened: Vec<String>,
    pub(super) lets: Lets,
    pub(super) conditions: Vec<ConditionDef>,
    /// Words of lines that could not be read or taken: what they name is not missing.
    pub(super) mentioned: Vec<String>,
}

/// An attribute as declared.
#[derive(Clone, Debug)]
pub(super) struct AttributeDef {
    /// Below the block: `attention.heads`, `crawl.raw`; in a plan, the whole path.
    pub(super) path: String,
    pub(super) span: Span,
    pub(super) value: Expr,
    pub(super) ty: &'static Type,
    /// The header of the block it stands in: its `let` statements are in scope.
    pub(super) scope: Span,
}

/// A condition of `require` or `prefer`.
#[derive(Clone, Debug)]
pub(super) struct ConditionDef {
    pub(super) strict: bool,
    pub(super) left: Expr,
    pub(super) comparison: Span,
    pub(super) right: Expr,
    pub(super) reason: Option<Span>,
    pub(super) scope: Span,
}

/// The type of a pipeline stage, whose name is the plan's own.
pub(super) static STAGE: Type = Type::Keep;
/// Stands for a type that depends on more than the block itself: a plan's override.
pub(super) static OVERRIDE: Type = Type::Text;

/// The blocks and `let` statements of a file. Conditions at the top level become a block of kind `require`'s own,
/// see [`top_level_conditions`].
pub(super) fn collect(
    tree: &File,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Vec<BlockDef>, Lets) {
    let mut collector = Collector { sources, diagnostics, named: BTreeMap::new(), taken: BTreeMap::new() };
    let mut blocks: Vec<BlockDef> = Vec::new();
    let mut lets = Lets::new();
    for item in &tree.items {
        if collector.diagnostics.len() >= limits::MAX_DIAGNOSTICS {
            break;
        }
        match &item.kind {
            ItemKind::Block(block) => {
                if let Some(block) = collector.top_level(block)
                    && collector.unique(&block)
                {
                    blocks.push(block);
                }
            }
            ItemKind::Let { name, value } => collector.binding(*name, value, &mut lets),
            ItemKind::Attribute { name, .. } => collector.stray_attribute(*name),
            ItemKind::Condition { .. } => collector.stray_condition(item),
            ItemKind::Comment | ItemKind::Import { .. } | ItemKind::Broken => {}
        }
    }
    (blocks, lets)
}

/// How many blocks of each kind the first file declares.
pub(super) fn census(files: &Files) -> Vec<(&'static str, usize)> {
    let Some(file) = files.files.first() else { return Vec::new() };
    let count = |kind| {
        file.blocks.iter().filter(|block| block.schema.kind == kind && block.attributes_or_name()).count()
    };
    BLOCKS.iter().map(|schema| (schema.kind, count(schema.kind))).filter(|(_, count)| *count > 0).collect()
}

/// `require` and `prefer` are no blocks of the schema: they hold conditions, at the top level or in a plan.
pub(super) static CONDITIONS: BlockSchema = BlockSchema {
    kind: "require",
    doc: "Conditions that the plan must meet (`require`) or should meet (`prefer`).",
    naming: Naming::Never,
    presence: Presence::Always,
    attributes: &[],
    blocks: &[],
    aliases: &["assert", "requirements", "constraints", "policy"],
};

impl BlockDef {
    fn attributes_or_name(&self) -> bool {
        self.name.is_some() || !self.attributes.is_empty()
    }
}

pub(super) struct Collector<'a> {
    sources: &'a Sources,
    pub(super) diagnostics: &'a mut Vec<Diagnostic>,
    /// Where blocks were declared first, by kind and name.
    named: BTreeMap<(&'static str, Option<String>), Span>,
    /// Where attributes, sources and `let` statements were declared first: by the header of their block and their name.
    taken: BTreeMap<(Span, String), Span>,
}

impl Collector<'_> {
    pub(super) fn text(&self, span: Span) -> &str {
        self.sources.slice(span)
    }

    fn top_level(&mut self, block: &Block) -> Option<BlockDef> {
        let kind_span = block.kind?;
        let kind = self.text(kind_span).to_owned();
        let strict = kind == "require";
        if strict || kind == "prefer" {
            if let Some(name) = block.name {
                let title = format!("the block `{kind}` has no name");
                self.diagnostics.push(
                    Diagnostic::error(Code::UnexpectedName, name, title)
                        .help("a condition says why it is there in a text behind it"),
                );
            }
            let mut definition = self.definition(block, &CONDITIONS);
            self.conditions(block, strict, block.header, &mut definition);
            return Some(definition);
        }
        let Some(schema) = schema::block(&kind) else {
            self.unknown_block(kind_span, &kind, BLOCKS, "at the top level");
            return None;
        };
        if schema.naming == Naming::Never
            && let Some(name) = block.name
        {
            let title = format!("the block `{kind}` has no name");
            self.diagnostics.push(
                Diagnostic::error(Code::UnexpectedName, name, title).help(format!("write `{kind} {{`")),
            );
        }
        if schema.naming == Naming::Required && block.name.is_none() {
            let title = format!("a `{kind}` block needs a name");
            let help = format!("write `{kind} NAME {{ … }}`");
            self.diagnostics.push(Diagnostic::error(Code::MissingName, kind_span, title).help(help));
        }
        if let Some(name) = block.name
            && let Some(found) = super::extras::unfit_name(&kind, self.text(name), name)
        {
            self.diagnostics.push(found);
        }
        let mut definition = self.definition(block, schema);
        if kind == "plan" {
            self.plan(block, &mut definition)
        } else {
            self.body(block, schema, "", &mut definition)
        }
        Some(definition)
    }

    fn definition(&mut self, block: &Block, schema: &'static BlockSchema) -> BlockDef {
        for name in [block.name, block.extends].into_iter().flatten() {
            self.name_spelling(name);
        }
        let named = |span: Option<Span>| span.map(|span| (self.text(span).to_owned(), span));
        BlockDef {
            schema,
            name: named(block.name),
            extends: named(block.extends),
            header: block.header,
            attributes: Vec::new(),
            named: Vec::new(),
            opened: Vec::new(),
            lets: Lets::new(),
            conditions: Vec::new(),
            mentioned: Vec::new(),
        }
    }

    /// Block names are lower case: a path or a file on any system spells them the same.
    fn name_spelling(&mut self, span: Span) {
        let name = self.text(span);
        let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c));
        if !plain && !name.is_empty() {
            let lower: String = name.to_lowercase();
            let title = format!("`{name}` is no name of a block");
            let diagnostic = Diagnostic::error(Code::UnknownName, span, title)
                .help(format!("names are lower case with digits, `_`, `-` and `.`: `{lower}`"));
            self.diagnostics.push(diagnostic);
        }
    }

    fn body(&mut self, block: &Block, schema: &'static BlockSchema, prefix: &str, definition: &mut BlockDef) {
        let mut nested_kinds: Vec<(&str, Span)> = Vec::new();
        for item in &block.items {
            if self.diagnostics.len() >= limits::MAX_DIAGNOSTICS {
                return;
            }
            if let ItemKind::Block(nested) = &item.kind
                && let Some(kind) = nested.kind
                && schema.block(self.text(kind)).is_some_and(|nested| nested.naming == Naming::Never)
            {
                let text = self.sources.slice(kind);
                match nested_kinds.iter().find(|(other, _)| *other == text) {
                    Some((_, first)) => {
                        let title = format!("there are two `{text}` blocks");
                        let diagnostic =
                            Diagnostic::error(Code::DuplicateBlock, kind, title).also(*first, "first here");
                        self.diagnostics.push(diagnostic.help("put the attributes of both into one"));
                        continue;
                    }
                    None => nested_kinds.push((text, kind)),
                }
            }
            match &item.kind {
                ItemKind::Attribute { name, value } => {
                    self.attribute(*name, value, schema, prefix, definition);
                }
                ItemKind::Let { name, value } => {
                    self.binding(*name, value, &mut definition.lets);
                }
                ItemKind::Block(nested) => {
                    if nested.kind.is_none() {
                        self.mention(nested.header, definition);
                    }
                    self.nested(nested, schema, prefix, definition);
                }
                ItemKind::Condition { .. } => {
                    self.mention(item.span, definition);
                    self.stray_condition(item);
                }
                ItemKind::Import { path } => self.misplaced(*path, "an import stands at the top level"),
                ItemKind::Broken => self.mention(item.span, definition),
                ItemKind::Comment => {}
            }
        }
    }

    /// Notes the words of a line that could not be taken.
    fn mention(&mut self, span: Span, definition: &mut BlockDef) {
        let words = self
            .text(span)
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| !word.is_empty());
        definition.mentioned.extend(words.map(str::to_owned));
    }

    fn attribute(
        &mut self,
        name: Span,
        value: &Expr,
        schema: &'static BlockSchema,
        prefix: &str,
        definition: &mut BlockDef,
    ) {
        let text = self.text(name).to_owned();
        let in_source = schema.kind == "source";
        let stage = in_source && value.nodes.last().is_some_and(|node| node.op == crate::expr::Op::Keep);
        let ty = match schema.attribute(&text) {
            Some(attribute) => &attribute.ty,
            None if stage => &STAGE,
            None => {
                if let Some(Meant::Alias(meant) | Meant::Near(meant) | Meant::Elsewhere(_, meant)) =
                    suggest::attribute(schema, &text)
                {
                    definition.mentioned.push(meant.name.to_owned());
                }
                definition.mentioned.push(text.clone());
                return self.unknown_attribute(name, &text, value, schema);
            }
        };
        if std::ptr::eq(ty, &STAGE) && schema::derived(&format!("data.source.{text}")).is_some() {
            let title = format!("`{text}` is the name of a quantity of each source");
            let diagnostic = Diagnostic::error(Code::ReservedName, name, title);
            self.diagnostics.push(diagnostic.help("choose another name for the stage"));
            return;
        }
        let path = format!("{prefix}{text}");
        if let Some(first) = self.take(definition.header, &path, name) {
            self.diagnostics.push(
                Diagnostic::error(Code::DuplicateAttribute, name, format!("`{text}` is set twice"))
                    .also(first, "first here")
                    .help("keep one of them"),
            );
            return;
        }
        definition.attributes.push(AttributeDef {
            path,
            span: name,
            value: value.clone(),
            ty,
            scope: definition.header,
        });
    }

    fn nested(
        &mut self,
        block: &Block,
        schema: &'static BlockSchema,
        prefix: &str,
        definition: &mut BlockDef,
    ) {
        let Some(kind_span) = block.kind else { return };
        let kind = self.text(kind_span).to_owned();
        let Some(nested) = schema.block(&kind) else {
            definition.mentioned.push(kind.clone());
            return self.unknown_nested(kind_span, &kind, schema);
        };
        let name = block.name.map(|span| (self.text(span).to_owned(), span));
        match (nested.naming, name) {
            (Naming::Never, Some((_, span))) => {
                let title = format!("the block `{kind}` has no name");
                self.diagnostics.push(
                    Diagnostic::error(Code::UnexpectedName, span, title).help(format!("write `{kind} {{`")),
                );
                self.body(block, nested, &format!("{prefix}{kind}."), definition);
            }
            (Naming::Never, None) => {
                definition.opened.push(format!("{prefix}{kind}"));
                self.body(block, nested, &format!("{prefix}{kind}."), definition);
            }
            (_, None) => {
                let title = format!("a `{kind}` block needs a name");
                let help = format!("write `{kind} NAME {{ … }}`");
                self.diagnostics.push(Diagnostic::error(Code::MissingName, kind_span, title).help(help));
            }
            (_, Some((name, span))) => {
                if self.nested_name(&kind, &name, span, definition) {
                    let path = match nested.naming {
                        Naming::Keyed => format!("{prefix}{kind}.{name}."),
                        _ => format!("{prefix}{name}."),
                    };
                    self.body(block, nested, &path, definition);
                    definition.named.push((name, span));
                }
            }
        }
    }

    /// The name of a nested block is a segment of paths: it must not be one already, nor stand twice.
    fn nested_name(&mut self, kind: &str, name: &str, span: Span, definition: &BlockDef) -> bool {
        if let Some(first) = self.take(definition.header, &format!("{kind} {name}"), span) {
            let plural = if kind == "class" { "classes".to_owned() } else { format!("{kind}s") };
            let title = format!("there are two {plural} `{name}`");
            self.diagnostics
                .push(Diagnostic::error(Code::DuplicateBlock, span, title).also(first, "first here"));
            return false;
        }
        if definition.named.len() >= limits::MAX_LAYER_BLOCKS && kind == "layer" {
            let title = format!("more than {} `layer` blocks", limits::MAX_LAYER_BLOCKS);
            self.diagnostics.push(Diagnostic::error(Code::OutOfRange, span, title));
            return false;
        }
        let reserved = match kind {
            "layer" => super::model::is_reserved(name),
            "class" | "task" => false,
            "stage" => schema::path(&format!("alignment.{name}")).is_some(),
            _ => schema::path(&format!("data.{name}")).is_some(),
        };
        let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && name.len() <= limits::MAX_LAYER_NAME;
        if reserved || !plain {
            let (why, example) = match (reserved, kind) {
                (true, "layer") => {
                    ("is the name of the layers that no `layer` block picks", "full_attention")
                }
                (true, "stage") => ("is the name of a quantity of `alignment`", "rl"),
                (true, _) => ("is the name of an attribute or quantity of `data`", "web_crawl"),
                (false, "layer") => ("is no name of a layer", "full_attention"),
                (false, "class") => ("is no name of a class of operators", "ffn_up"),
                (false, "stage") => ("is no name of a stage", "rl"),
                (false, "task") => ("is no name of a set of tasks", "err17"),
                (false, _) => ("is no name of a source", "web_crawl"),
            };
            self.diagnostics.push(
                Diagnostic::error(Code::ReservedName, span, format!("`{name}` {why}")).help(format!(
                    "a {kind}'s name has at most {} lower-case letters, digits and `_`, as in `{example}`",
                    limits::MAX_LAYER_NAME
                )),
            );
            return false;
        }
        true
    }

    fn plan(&mut self, block: &Block, definition: &mut BlockDef) {
        for item in &block.items {
            if self.diagnostics.len() >= limits::MAX_DIAGNOSTICS {
                return;
            }
            match &item.kind {
                ItemKind::Attribute { name, value } => {
                    let text = self.text(*name).to_owned();
                    if let Some(first) = self.take(definition.header, &text, *name) {
                        let title = format!("`{text}` is set twice");
                        self.diagnostics.push(
                            Diagnostic::error(Code::DuplicateAttribute, *name, title)
                                .also(first, "first here"),
                        );
                        continue;
                    }
                    let ty = definition.schema.attribute(&text).map_or(&OVERRIDE, |attribute| &attribute.ty);
                    let scope = definition.header;
                    definition.attributes.push(AttributeDef {
                        path: text,
                        span: *name,
                        value: value.clone(),
                        ty,
                        scope,
                    });
                }
                ItemKind::Let { name, value } => {
                    self.binding(*name, value, &mut definition.lets);
                }
                ItemKind::Block(nested) => match nested.kind.map(|span| (self.text(span).to_owned(), span)) {
                    Some((kind, _)) if kind == "require" || kind == "prefer" => {
                        self.conditions(nested, kind == "require", block.header, definition);
                    }
                    Some((kind, span)) => {
                        let title = format!("a plan picks its `{kind}`, it does not declare it");
                        self.diagnostics.push(
                            Diagnostic::error(Code::MisplacedStatement, span, title)
                                .help(format!("declare `{kind} NAME {{ … }}` at the top level and write `{kind} = NAME` here; single attributes are overridden by path, as in `training.micro_batch = 2`")),
                        );
                    }
                    None => {}
                },
                ItemKind::Condition { .. } => self.stray_condition(item),
                ItemKind::Import { path } => self.misplaced(*path, "an import stands at the top level"),
                ItemKind::Comment | ItemKind::Broken => {}
            }
        }
    }

    fn conditions(&mut self, block: &Block, strict: bool, scope: Span, definition: &mut BlockDef) {
        for item in &block.items {
            if self.diagnostics.len() >= limits::MAX_DIAGNOSTICS {
                return;
            }
            match &item.kind {
                ItemKind::Condition { left, comparison, right, reason } => {
                    definition.conditions.push(ConditionDef {
                        strict,
                        left: left.clone(),
                        comparison: *comparison,
                        right: right.clone(),
                        reason: *reason,
                        scope,
                    })
                }
                ItemKind::Let { name, value } => {
                    self.binding(*name, value, &mut definition.lets);
                }
                ItemKind::Attribute { name, .. } => {
                    let text = self.text(*name).to_owned();
                    self.diagnostics.push(
                        Diagnostic::error(
                            Code::MisplacedStatement,
                            *name,
                            "a condition is expected, this sets an attribute",
                        )
                        .help(format!("compare with `<=`, `>=` or `==`, as in `{text} <= …`")),
                    );
                }
                ItemKind::Block(nested) => {
                    self.misplaced(nested.header, "no block stands in a list of conditions")
                }
                ItemKind::Import { path } => self.misplaced(*path, "an import stands at the top level"),
                ItemKind::Comment | ItemKind::Broken => {}
            }
        }
    }

    fn binding(&mut self, name: Span, value: &Expr, lets: &mut Lets) {
        let text = self.text(name).to_owned();
        if let Some(first) = lets.get(&text) {
            let title = format!("`{text}` is declared twice");
            self.diagnostics.push(
                Diagnostic::error(Code::DuplicateAttribute, name, title).also(first.span, "first here"),
            );
            return;
        }
        let unit = table::lookup(&text).is_some();
        let path = text.contains('.') || text.contains('-');
        let function = crate::expr::Function::ALL.iter().any(|function| function.name() == text);
        if unit || path || function || schema::block(&text).is_some() {
            let why = match (unit, path, function) {
                (true, ..) => "is a unit",
                (_, true, _) => "is no plain name",
                (.., true) => "is a function",
                _ => "is a kind of block",
            };
            self.diagnostics.push(
                Diagnostic::error(Code::ReservedName, name, format!("`{text}` {why}"))
                    .help("choose another name of letters, digits and `_`"),
            );
            return;
        }
        lets.insert(text.clone(), LetDef { name: text, span: name, value: value.clone() });
    }

    fn unique(&mut self, block: &BlockDef) -> bool {
        let kind = block.schema.kind;
        let name = block.name.as_ref().map(|(name, _)| name.clone());
        if std::ptr::eq(block.schema, &CONDITIONS) {
            return true;
        }
        let Some(first) = self.named.get(&(kind, name.clone())).copied() else {
            self.named.insert((kind, name), block.header);
            return true;
        };
        let (title, place) = match &block.name {
            Some((name, span)) => (format!("there are two {kind} blocks `{name}`"), *span),
            None => (format!("there are two `{kind}` blocks without a name"), block.header),
        };
        let diagnostic = Diagnostic::error(Code::DuplicateBlock, place, title).also(first, "first here");
        self.diagnostics.push(diagnostic.help("name them apart, or keep one"));
        false
    }

    /// Takes a name within a block; where it was taken before, says where.
    fn take(&mut self, block: Span, name: &str, span: Span) -> Option<Span> {
        let key = (block, name.to_owned());
        match self.taken.get(&key) {
            Some(first) => Some(*first),
            None => {
                self.taken.insert(key, span);
                None
            }
        }
    }
}
