//! Completion: what may be written at a place of a plan, from the schema.

use crate::catalog;
use crate::schema::{self, BLOCKS, BlockSchema, Type};

/// A word that may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The word.
    pub word: String,
    /// What it means, in a line.
    pub meaning: String,
}

/// What may be written at `offset` of a text: blocks and attributes where a statement begins, values behind `=`.
pub fn complete(text: &str, offset: usize) -> Vec<Completion> {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let before = &text[..offset];
    let line = before.rsplit('\n').next().unwrap_or_default();
    let stack = open_blocks(before);
    let Some(schema) = innermost(&stack) else {
        return if stack.is_empty() { top_level(word_of(line)) } else { Vec::new() };
    };
    match line.split_once('=') {
        Some((name, typed)) => schema
            .attribute(name.trim())
            .map(|attribute| values(&attribute.ty, typed.trim_start()))
            .unwrap_or_default(),
        None => statements(schema, word_of(line)),
    }
}

/// The kinds of the blocks that are open at the end of a text, outermost first.
fn open_blocks(before: &str) -> Vec<&str> {
    let mut stack = Vec::new();
    for line in before.lines() {
        let code = line.split('#').next().unwrap_or_default();
        for part in code.split_inclusive(['{', '}']) {
            if part.ends_with('{') {
                stack.push(part.split_whitespace().next().unwrap_or_default());
            } else if part.ends_with('}') {
                stack.pop();
            }
        }
    }
    stack
}

fn innermost(stack: &[&str]) -> Option<&'static BlockSchema> {
    let (first, rest) = stack.split_first()?;
    rest.iter().try_fold(schema::block(first)?, |schema, kind| schema.block(kind))
}

fn word_of(line: &str) -> &str {
    line.trim_start()
}

fn top_level(typed: &str) -> Vec<Completion> {
    let statements = [
        ("import", "brings the blocks of another file into scope"),
        ("let", "names a quantity"),
        ("require", "conditions that fail the plan"),
        ("prefer", "conditions that warn"),
    ];
    let blocks = BLOCKS.iter().map(|block| (block.kind, block.doc));
    fitting(blocks.chain(statements), typed)
}

fn statements(schema: &'static BlockSchema, typed: &str) -> Vec<Completion> {
    let attributes = schema.attributes.iter().map(|attribute| (attribute.name, attribute.doc));
    fitting(attributes.chain(schema.blocks.iter().map(|block| (block.kind, block.doc))), typed)
}

fn values(ty: &Type, typed: &str) -> Vec<Completion> {
    match ty {
        Type::Choice(words) => fitting(words.iter().copied(), typed),
        Type::Flag => fitting([("true", ""), ("false", "")], typed),
        Type::CountOr(_, word) => fitting([(*word, "")], typed),
        Type::Layers => fitting(
            [
                ("every", "each n-th layer: `every 6`, `every 8 from 4`"),
                ("first", "the first n layers"),
                ("last", "the last n layers"),
            ],
            typed,
        ),
        Type::Reference(kind) => fitting(catalog::names(kind).map(|name| (name, "from the catalog")), typed),
        _ => Vec::new(),
    }
}

fn fitting<'w>(words: impl IntoIterator<Item = (&'w str, &'w str)>, typed: &str) -> Vec<Completion> {
    let fits = words.into_iter().filter(|(word, _)| word.starts_with(typed));
    fits.map(|(word, meaning)| Completion { word: word.to_owned(), meaning: meaning.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        complete(text, text.len()).into_iter().map(|completion| completion.word).collect()
    }

    #[test]
    fn completes_blocks_attributes_and_values() {
        assert!(words("mo").contains(&"model".to_owned()));
        assert_eq!(words("model m {\n  lay"), ["layers", "layer"]);
        assert_eq!(words("model m {\n  attention {\n    kv_h"), ["kv_heads"]);
        assert_eq!(words("model m {\n  ffn {\n    kind = sw"), ["swiglu"]);
        assert_eq!(words("model m {\n} # done {\nhard"), ["hardware"]);
        assert!(words("nonsense {\n  ").is_empty());
    }
}
