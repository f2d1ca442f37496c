//! What is said about names that a block does not have, and statements that stand in the wrong place.

use super::blocks::{CONDITIONS, Collector};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::Expr;
use crate::schema::{self, BLOCKS, BlockSchema, suggest, suggest::Meant};
use crate::source::Span;
use crate::syntax::{Item, ItemKind};

impl Collector<'_> {
    pub(super) fn stray_attribute(&mut self, name: Span) {
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

    pub(super) fn stray_condition(&mut self, item: &Item) {
        let title = "a condition stands outside `require` and `prefer`";
        let diagnostic = Diagnostic::error(Code::MisplacedStatement, item.span, title);
        let set =
            matches!(&item.kind, ItemKind::Condition { comparison, .. } if self.text(*comparison) == "==");
        let help =
            if set { "to set an attribute, write a single `=`" } else { "put it in `require { … }`" };
        self.diagnostics.push(diagnostic.help(help));
    }

    pub(super) fn misplaced(&mut self, span: Span, title: &str) {
        self.diagnostics.push(Diagnostic::error(Code::MisplacedStatement, span, title));
    }

    pub(super) fn unknown_attribute(
        &mut self,
        span: Span,
        name: &str,
        value: &Expr,
        schema: &'static BlockSchema,
    ) {
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

    pub(super) fn unknown_nested(&mut self, span: Span, kind: &str, schema: &'static BlockSchema) {
        let title = format!("`{}` has no block `{kind}`", schema.kind);
        let diagnostic = Diagnostic::error(Code::UnknownBlock, span, title);
        let diagnostic = if schema.attribute(kind).is_some() {
            diagnostic.help(format!("`{kind}` is an attribute: `{kind} = …`"))
        } else if let Some(near) = suggest::block(schema.blocks, kind) {
            diagnostic.help(format!("did you mean `{near}`?")).fix(span, near)
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

    pub(super) fn unknown_block(
        &mut self,
        span: Span,
        kind: &str,
        blocks: &'static [BlockSchema],
        place: &str,
    ) {
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
