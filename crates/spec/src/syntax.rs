//! The syntax tree: statements with spans, comments included. The formatter, the checker and the editor share it.
//!
//! The tree is lossless: every byte of a text that is not blank lies in exactly one item, comment or bracket.

use crate::expr::Expr;
use crate::source::Span;

/// A parsed text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// What stands at the top level, in order.
    pub items: Vec<Item>,
}

/// One line of a plan, more or less.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its text; for a block, all of it.
    pub span: Span,
    /// What it is.
    pub kind: ItemKind,
    /// The comment that ends its (last) line, from `#` on.
    pub comment: Option<Span>,
}

/// A statement, a block or a comment.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// A comment on a line of its own.
    Comment,
    /// `import "path.llm"`
    Import {
        /// The string, quotes included.
        path: Span,
    },
    /// `let name = value`
    Let {
        /// The name.
        name: Span,
        /// What it stands for.
        value: Expr,
    },
    /// `name = value`
    Attribute {
        /// The name: `layers`, or in a plan a path.
        name: Span,
        /// Its value.
        value: Expr,
    },
    /// `left <= right "reason"`
    Condition {
        /// Left of the comparison.
        left: Expr,
        /// The comparison itself.
        comparison: Span,
        /// Right of it.
        right: Expr,
        /// The string, quotes included.
        reason: Option<Span>,
    },
    /// `kind name { … }`
    Block(Box<Block>),
    /// A line that could not be read: kept as it is.
    Broken,
}

/// A block.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The word that opens it; `None` where the header could not be read.
    pub kind: Option<Span>,
    /// Its name, without quotes.
    pub name: Option<Span>,
    /// The name of the block it starts from.
    pub extends: Option<Span>,
    /// The header, `{` included.
    pub header: Span,
    /// The comment behind `{`.
    pub comment: Option<Span>,
    /// What stands in it.
    pub items: Vec<Item>,
    /// The `}`; empty where it is missing.
    pub close: Span,
}
