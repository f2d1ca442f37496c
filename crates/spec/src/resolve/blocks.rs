//! Blocks as flat tables of attributes, `attention.heads` and the like, checked against the schema while they are
//! collected.

use super::files::{Files, LetDef};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::Expr;
use crate::schema::{self, BLOCKS, BlockSchema, Naming, Type, suggest, suggest::Meant};
use crate::source::{Sources, Span};
use crate::syntax::{Block, File, Item, ItemKind};
use crate::units::table;

/// A top-level block.
#[derive(Clone, Debug)]
pub(super) struct BlockDef {
    pub(super) schema: &'static BlockSchema,
    pub(super) name: Option<(String, Span)>,
    pub(super) extends: Option<(String, Span)>,
    pub(super) header: Span,
    pub(super) attributes: Vec<AttributeDef>,
    /// Names of nested named blocks (data sources), in order.
    pub(super) sources: Vec<(String, Span)>,
    pub(super) lets: Vec<LetDef>,
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
) -> (Vec<BlockDef>, Vec<LetDef>) {
    let mut collector = Collector { sources, diagnostics };
    let mut blocks: Vec<BlockDef> = Vec::new();
    let mut lets = Vec::new();
    for item in &tree.items {
        match &item.kind {
            ItemKind::Block(block) => {
                if let Some(block) = collector.top_level(block)
                    && collector.unique(&block, &blocks)
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
    attributes: &[],
    blocks: &[],
    aliases: &["assert", "requirements", "constraints", "policy"],
};

impl BlockDef {
    fn attributes_or_name(&self) -> bool {
        self.name.is_some() || !self.attributes.is_empty()
    }

    /// The block's own attribute.
    pub(super) fn attribute(&self, path: &str) -> Option<&AttributeDef> {
        self.attributes.iter().find(|attribute| attribute.path == path)
    }
}

struct Collector<'a> {
    sources: &'a Sources,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Collector<'_> {
    fn text(&self, span: Span) -> &str {
        self.sources.slice(span)
    }

    fn top_level(&mut self, block: &Block) -> Option<BlockDef> {
        let kind_span = block.kind?;
        let kind = self.text(kind_span).to_owned();
        let strict = kind == "require";
        if strict || kind == "prefer" {
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
            sources: Vec::new(),
            lets: Vec::new(),
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
                    let mut lets = std::mem::take(&mut definition.lets);
                    self.binding(*name, value, &mut lets);
                    definition.lets = lets;
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
        if let Some(first) = definition.attribute(&path) {
            let first = first.span;
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
                self.body(block, nested, &format!("{prefix}{kind}."), definition);
            }
            (_, None) => {
                let title = format!("a `{kind}` block needs a name");
                let help = format!("write `{kind} NAME {{ … }}`");
                self.diagnostics.push(Diagnostic::error(Code::MissingName, kind_span, title).help(help));
            }
            (_, Some((name, span))) => {
                if self.source_name(&name, span, definition) {
                    self.body(block, nested, &format!("{prefix}{name}."), definition);
                    definition.sources.push((name, span));
                }
            }
        }
    }

    /// A source's name is a segment of paths: it must not be one already, nor stand twice.
    fn source_name(&mut self, name: &str, span: Span, definition: &BlockDef) -> bool {
        if let Some((_, first)) = definition.sources.iter().find(|(other, _)| other == name) {
            let title = format!("there are two sources `{name}`");
            self.diagnostics
                .push(Diagnostic::error(Code::DuplicateBlock, span, title).also(*first, "first here"));
            return false;
        }
        let reserved = schema::path(&format!("data.{name}")).is_some();
        let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if reserved || !plain {
            let why = if reserved {
                "is the name of an attribute or quantity of `data`"
            } else {
                "is no name of a source"
            };
            self.diagnostics.push(
                Diagnostic::error(Code::ReservedName, span, format!("`{name}` {why}"))
                    .help("a source's name has lower-case letters, digits and `_`, as in `web_crawl`"),
            );
            return false;
        }
        true
    }

    fn plan(&mut self, block: &Block, definition: &mut BlockDef) {
        for item in &block.items {
            match &item.kind {
                ItemKind::Attribute { name, value } => {
                    let text = self.text(*name).to_owned();
                    if let Some(first) = definition.attribute(&text) {
                        let first = first.span;
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
                    let mut lets = std::mem::take(&mut definition.lets);
                    self.binding(*name, value, &mut lets);
                    definition.lets = lets;
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
                    let mut lets = std::mem::take(&mut definition.lets);
                    self.binding(*name, value, &mut lets);
                    definition.lets = lets;
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

    fn binding(&mut self, name: Span, value: &Expr, lets: &mut Vec<LetDef>) {
        let text = self.text(name).to_owned();
        if let Some(first) = lets.iter().find(|other| other.name == text) {
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
        lets.push(LetDef { name: text, span: name, value: value.clone() });
    }

    fn unique(&mut self, block: &BlockDef, before: &[BlockDef]) -> bool {
        let kind = block.schema.kind;
        let same = |other: &&BlockDef| {
            other.schema.kind == kind
                && other.name.as_ref().map(|(name, _)| name) == block.name.as_ref().map(|(name, _)| name)
        };
        let repeatable = std::ptr::eq(block.schema, &CONDITIONS);
        match before.iter().find(same) {
            Some(first) if !repeatable => {
                let (title, place) = match &block.name {
                    Some((name, span)) => (format!("there are two {kind} blocks `{name}`"), *span),
                    None => (format!("there are two `{kind}` blocks without a name"), block.header),
                };
                let diagnostic =
                    Diagnostic::error(Code::DuplicateBlock, place, title).also(first.header, "first here");
                self.diagnostics.push(diagnostic.help("name them apart, or keep one"));
                false
            }
            _ => true,
        }
    }

    fn stray_attribute(&mut self, name: Span) {
        let text = self.text(name).to_owned();
        let diagnostic =
            Diagnostic::error(Code::MisplacedStatement, name, format!("`{text}` stands outside any block"));
        let help = match suggest::path(&text) {
            Some(path) => match path.rsplit_once('.') {
                Some((block, leaf)) => format!("`{leaf}` belongs in {}", suggest::place_words(block)),
                None => "attributes stand in a block".to_owned(),
            },
            None => "attributes stand in a block; a value of the file's own is `let NAME = …`".to_owned(),
        };
        self.diagnostics.push(diagnostic.help(help));
    }

    fn stray_condition(&mut self, item: &Item) {
        let title = "a condition stands outside `require` and `prefer`";
        let diagnostic = Diagnostic::error(Code::MisplacedStatement, item.span, title);
        let set =
            matches!(&item.kind, ItemKind::Condition { comparison, .. } if self.text(*comparison) == "==");
        let help =
            if set { "to set an attribute, write a single `=`" } else { "put it in `require { … }`" };
        self.diagnostics.push(diagnostic.help(help));
    }

    fn misplaced(&mut self, span: Span, title: &str) {
        self.diagnostics.push(Diagnostic::error(Code::MisplacedStatement, span, title));
    }

    fn unknown_attribute(&mut self, span: Span, name: &str, value: &Expr, schema: &'static BlockSchema) {
        let kind = schema.kind;
        let diagnostic =
            Diagnostic::error(Code::UnknownAttribute, span, format!("`{kind}` has no attribute `{name}`"));
        let diagnostic = match suggest::attribute(schema, name) {
            Some(Meant::Alias(attribute) | Meant::Near(attribute)) => {
                diagnostic.help(format!("did you mean `{}`?", attribute.name)).fix(span, attribute.name)
            }
            Some(Meant::Elsewhere(path, attribute)) => {
                diagnostic.help(format!("`{}` belongs in {}", attribute.name, suggest::place_words(path)))
            }
            Some(Meant::Block(block)) => {
                diagnostic.help(format!("`{}` is a block: `{} {{ … }}`", block.kind, block.kind))
            }
            None if kind == "source" && value.nodes.len() == 1 => {
                diagnostic.help(format!("a stage says what it keeps: `{name} = keep 50%`"))
            }
            None => {
                let names: Vec<String> =
                    schema.attributes.iter().map(|attribute| format!("`{}`", attribute.name)).collect();
                diagnostic.help(format!("its attributes are {}", names.join(", ")))
            }
        };
        self.diagnostics.push(diagnostic);
    }

    fn unknown_nested(&mut self, span: Span, kind: &str, schema: &'static BlockSchema) {
        let title = format!("`{}` has no block `{kind}`", schema.kind);
        let diagnostic = Diagnostic::error(Code::UnknownBlock, span, title);
        let diagnostic = if let Some(near) = suggest::block(schema.blocks, kind) {
            diagnostic.help(format!("did you mean `{near}`?")).fix(span, near)
        } else if schema.attribute(kind).is_some() {
            diagnostic.help(format!("`{kind}` is an attribute: `{kind} = …`"))
        } else if schema::block(kind).is_some() || kind == "require" || kind == "prefer" {
            diagnostic.help(format!("`{kind}` stands at the top level"))
        } else if let Some(parent) = BLOCKS.iter().find(|block| block.block(kind).is_some()) {
            diagnostic.help(format!("`{kind}` stands in `{}`", parent.kind))
        } else {
            let names: Vec<String> = schema.blocks.iter().map(|block| format!("`{}`", block.kind)).collect();
            match names.is_empty() {
                true => diagnostic.help(format!("`{}` has no blocks in it", schema.kind)),
                false => diagnostic.help(format!("its blocks are {}", names.join(", "))),
            }
        };
        self.diagnostics.push(diagnostic);
    }

    fn unknown_block(&mut self, span: Span, kind: &str, blocks: &'static [BlockSchema], place: &str) {
        let diagnostic = Diagnostic::error(Code::UnknownBlock, span, format!("unknown block `{kind}`"));
        let conditions =
            CONDITIONS.aliases.contains(&kind) || suggest::nearest(kind, ["require", "prefer"]).is_some();
        let diagnostic = if conditions {
            let near = suggest::nearest(kind, ["require", "prefer"]).unwrap_or("require");
            diagnostic.help(format!("did you mean `{near}`?")).fix(span, near)
        } else if let Some((outer, inner)) = kind.split_once('.')
            && schema::block(outer).is_some_and(|outer| outer.block(inner).is_some())
        {
            diagnostic.help(format!("write `{outer} {{` and in it `{inner} {{`"))
        } else if let Some(parent) = blocks.iter().find(|block| block.block(kind).is_some()) {
            diagnostic.help(format!("`{kind}` stands in `{}`", parent.kind))
        } else if let Some(near) = suggest::block(blocks, kind) {
            diagnostic.help(format!("did you mean `{near}`?")).fix(span, near)
        } else {
            let names: Vec<String> = blocks.iter().map(|block| format!("`{}`", block.kind)).collect();
            diagnostic.help(format!("the blocks {place} are {}, `require` and `prefer`", names.join(", ")))
        };
        self.diagnostics.push(diagnostic);
    }
}
