//! Did-you-mean: the nearest known name, and what other tools call the same thing.

use super::{Attribute, BLOCKS, BlockSchema, all_derived};
use crate::units::{Unit, table};

/// The candidate nearest to a name, if one is near enough: edit distance at most a third of its length, and at most 3;
/// a name of one or two letters is near only to itself in the other case.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let allowed = (name.chars().count() / 3).min(3);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate.len().abs_diff(name.len()) > 3 {
            continue;
        }
        let distance = if candidate.eq_ignore_ascii_case(name) { 0 } else { edit_distance(name, candidate) };
        if distance <= allowed && best.is_none_or(|found| (distance, candidate) < found) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The candidates that begin with a name, else those that it is a part of, else those that begin with the same word:
/// `h100` is `h100-sxm` and `h100-pcie`.
pub fn family<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Vec<&'c str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', ' '], "-");
    let name = plain(name);
    let word = |text: &str| text.split('-').next().unwrap_or_default().to_owned();
    let (mut first, mut contained, mut related) = (Vec::new(), Vec::new(), Vec::new());
    for candidate in candidates {
        if candidate.starts_with(&name) {
            first.push(candidate);
        } else if candidate.contains(&name) {
            contained.push(candidate);
        } else if word(candidate) == word(&name) {
            related.push(candidate);
        }
    }
    [first, contained, related].into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one name into the other.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

/// What an unknown attribute of a block was meant to be.
#[derive(Clone, Copy, Debug)]
pub enum Meant {
    /// An attribute of the same block, under another tool's name.
    Alias(&'static Attribute),
    /// An attribute of the same block, misspelled.
    Near(&'static Attribute),
    /// An attribute of another block: its path.
    Elsewhere(&'static str, &'static Attribute),
    /// A block, where an attribute was written.
    Block(&'static BlockSchema),
}

/// What an unknown attribute `name` of the block at `path` was meant to be.
pub fn attribute(schema: &'static BlockSchema, name: &str) -> Option<Meant> {
    let by_alias = schema.attributes.iter().find(|attribute| attribute.aliases.contains(&name));
    if let Some(attribute) = by_alias {
        return Some(Meant::Alias(attribute));
    }
    if let Some(block) =
        schema.blocks.iter().find(|block| block.kind == name || block.aliases.contains(&name))
    {
        return Some(Meant::Block(block));
    }
    if let Some(near) = nearest(name, schema.attributes.iter().map(|attribute| attribute.name)) {
        return schema.attribute(near).map(Meant::Near);
    }
    let exact = elsewhere(|attribute| attribute.name == name);
    exact
        .or_else(|| elsewhere(|attribute| attribute.aliases.contains(&name)))
        .map(|(path, attribute)| Meant::Elsewhere(path, attribute))
}

/// The kind of block that a word was meant to be.
pub fn block(blocks: &'static [BlockSchema], kind: &str) -> Option<&'static str> {
    let alias = blocks.iter().find(|block| block.aliases.contains(&kind)).map(|block| block.kind);
    alias.or_else(|| nearest(kind, blocks.iter().map(|block| block.kind)))
}

/// The known path that a name in an expression was meant to be.
pub fn path(name: &str) -> Option<String> {
    let known = paths();
    if let Some((found, attribute)) =
        elsewhere(|attribute| attribute.name == name || attribute.aliases.contains(&name))
    {
        return Some(format!("{}.{}", in_paths(found), attribute.name));
    }
    let leaf = name.rsplit('.').next().unwrap_or(name);
    nearest(name, known.iter().map(String::as_str))
        .map(str::to_owned)
        .or_else(|| known.iter().find(|path| path.ends_with(&format!(".{leaf}"))).cloned())
}

/// Every path of the language, declared and derived; data sources are left out.
pub fn paths() -> Vec<String> {
    let mut paths = Vec::new();
    for block in BLOCKS.iter().filter(|block| block.kind != "plan") {
        collect(block, in_paths(block.kind), &mut paths);
    }
    paths.extend(
        all_derived().filter(|derived| !derived.path.contains('*')).map(|derived| derived.path.to_owned()),
    );
    paths
}

/// What a block is called in paths: a measurement goes by the attribute that cites it.
pub(super) fn in_paths(block: &str) -> String {
    match block.strip_prefix("measurement") {
        Some(nested) => format!("hardware.measured{nested}"),
        None => block.to_owned(),
    }
}

fn collect(block: &BlockSchema, prefix: String, paths: &mut Vec<String>) {
    paths.extend(block.attributes.iter().map(|attribute| format!("{prefix}.{}", attribute.name)));
    for nested in block.blocks.iter().filter(|nested| nested.naming == super::Naming::Never) {
        collect(nested, format!("{prefix}.{}", nested.kind), paths);
    }
}

/// The first attribute of any block that fits, with the path of its block.
fn elsewhere(fits: impl Fn(&Attribute) -> bool) -> Option<(&'static str, &'static Attribute)> {
    const NESTED: &[(&str, &[&str])] = &[
        ("model", &["model"]),
        ("model.attention", &["model", "attention"]),
        ("model.ffn", &["model", "ffn"]),
        ("model.norm", &["model", "norm"]),
        ("model.moe", &["model", "moe"]),
        ("model.mamba2", &["model", "mamba2"]),
        ("model.gated_delta", &["model", "gated_delta"]),
        ("model.mtp", &["model", "mtp"]),
        ("model.layer", &["model", "layer"]),
        ("data", &["data"]),
        ("hardware", &["hardware"]),
        ("training", &["training"]),
        ("training.parallelism", &["training", "parallelism"]),
        ("device", &["device"]),
        ("device.peak", &["device", "peak"]),
        ("convention", &["convention"]),
        ("measurement", &["measurement"]),
    ];
    NESTED.iter().find_map(|(path, segments)| {
        let (first, rest) = segments.split_first()?;
        let mut schema = super::block(first)?;
        for segment in rest {
            schema = schema.block(segment)?;
        }
        schema.attributes.iter().find(|attribute| fits(attribute)).map(|attribute| (*path, attribute))
    })
}

/// Where a block stands, in words: "`attention` in `model`".
pub fn place_words(path: &str) -> String {
    let segments: Vec<String> = path.split('.').rev().map(|segment| format!("`{segment}`")).collect();
    segments.join(" in ")
}

/// Units that measure the same, as examples: "`GB`, `GiB` or `TB`".
pub fn unit_examples(unit: Unit) -> String {
    let names: &[&str] = match unit {
        Unit::BYTES => &["GB", "GiB", "TB"],
        Unit::BYTES_PER_SECOND => &["GB/s", "TB/s"],
        Unit::FLOP => &["FLOP", "PFLOP", "EFLOP"],
        Unit::FLOP_PER_SECOND => &["TFLOP/s", "PFLOP/s"],
        Unit::TIME => &["s", "h", "days"],
        Unit::MONEY => &["$"],
        Unit::MONEY_PER_TIME => &["$2.00 / h"],
        Unit::POWER => &["W", "kW"],
        _ => &[],
    };
    if names.is_empty() {
        let found = table::UNITS.iter().find(|named| named.unit == unit).map(|named| named.name);
        return found.map_or_else(|| unit.words(), |name| format!("`{name}`"));
    }
    one_of(&names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>())
}

/// "a, b or c"
pub fn one_of(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("layer", ["layers", "d_model"]), Some("layers"));
        assert_eq!(nearest("laeyrs", ["layers", "d_model"]), Some("layers"));
        assert_eq!(nearest("quantum", ["layers", "d_model"]), None);
    }

    #[test]
    fn a_name_without_its_variant_is_a_family() {
        let known = ["a100-80gb", "h100-pcie", "h100-sxm", "l4"];
        assert_eq!(family("H100", known), ["h100-pcie", "h100-sxm"]);
        assert_eq!(family("h100", ["h100-sxm", "study-h100-1.7b"]), ["h100-sxm"]);
        assert_eq!(family("h100-sxm5-80gb", known), ["h100-pcie", "h100-sxm"]);
        assert_eq!(family("abacus", known), Vec::<&str>::new());
    }

    #[test]
    fn every_alias_leads_to_one_attribute_of_its_block() {
        fn check(block: &'static BlockSchema) {
            for attribute in block.attributes {
                for alias in attribute.aliases {
                    assert!(
                        block.attribute(alias).is_none(),
                        "{alias} is itself an attribute of {}",
                        block.kind
                    );
                    let owners =
                        block.attributes.iter().filter(|other| other.aliases.contains(alias)).count();
                    assert_eq!(owners, 1, "{alias} in {}", block.kind);
                }
            }
            block.blocks.iter().for_each(check);
        }
        BLOCKS.iter().for_each(check);
    }

    #[test]
    fn a_path_is_suggested_for_a_bare_name() {
        assert_eq!(path("layers").as_deref(), Some("model.layers"));
        assert_eq!(path("hidden_size").as_deref(), Some("model.d_model"));
        assert_eq!(path("model.parms").as_deref(), Some("model.params"));
        assert_eq!(path("achieved").as_deref(), Some("hardware.measured.achieved"));
    }
}
