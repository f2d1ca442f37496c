//! What a plan takes beside its parts: gains of its file, and every law there is.

use super::plans::{Assembler, Draft};
use crate::diagnostic::{Code, Diagnostic};
use crate::schema;
use crate::source::Span;

impl Assembler<'_> {
    /// The `gain` blocks of the first file: all of them count.
    pub(super) fn gains(&mut self, draft: &mut Draft) -> Option<()> {
        let file = self.files.files.first()?;
        let blocks: Vec<usize> =
            (0..file.blocks.len()).filter(|at| file.blocks[*at].schema.kind == "gain").collect();
        for index in blocks {
            let block = self.flattened(0, index)?;
            let Some((name, _)) = block.name.clone() else { continue };
            draft.take(&format!("gain.{name}"), block);
            draft.gains.push(name);
        }
        Some(())
    }

    /// Every law of the catalog, of the first file and of its imports, as drafts of their own.
    pub(super) fn laws(&mut self) -> Vec<Draft> {
        let mut places: Vec<(String, usize, usize)> = Vec::new();
        for at in 0..self.files.files.len() {
            for (index, block) in self.files.files[at].blocks.iter().enumerate() {
                if block.schema.kind == "law"
                    && let Some((name, _)) = &block.name
                    && !places.iter().any(|(known, _, _)| known == name)
                {
                    places.push((name.clone(), at, index));
                }
            }
        }
        for name in crate::catalog::names("law") {
            if !places.iter().any(|(known, _, _)| known == name)
                && let Some(file) = super::files::read_catalog(self.files, self.sources, "law", name)
            {
                places.push((name.to_owned(), file, 0));
            }
        }
        places.sort();
        let drafts = places.into_iter().filter_map(|(name, file, index)| {
            let block = self.flattened(file, index)?;
            let mut draft = Draft::new(name.clone(), block.header);
            draft.parts.insert("law", Some(name));
            draft.take("law", block);
            Some(draft)
        });
        drafts.collect()
    }
}

/// Whether a law can be called so: `scaling.NAME.loss` is a path, beside other quantities of `scaling`.
pub fn is_law_name(name: &str) -> bool {
    !is_scaling(name) && !name.contains('.')
}

fn is_scaling(name: &str) -> bool {
    matches!(name, "band" | "error") || schema::path(&format!("scaling.{name}")).is_some()
}

/// What is wrong with the name of a law or a gain: both are segments of paths.
pub(super) fn unfit_name(kind: &str, name: &str, span: Span) -> Option<Diagnostic> {
    let (sound, example) = match kind {
        "law" => (is_law_name(name), "our_runs"),
        "gain" => (!name.contains('.'), "better_data"),
        _ => return None,
    };
    let why = match kind == "law" && is_scaling(name) {
        true => "is the name of a quantity of `scaling`".to_owned(),
        false => format!("is no name of a {kind}"),
    };
    let help = format!("a {kind}'s name has letters, digits, `_` and `-`, as in `{example}`");
    (!sound).then(|| Diagnostic::error(Code::ReservedName, span, format!("`{name}` {why}")).help(help))
}
