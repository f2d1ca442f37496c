//! The reference of the language in Markdown, from the schema itself: `llmplan docs`, `docs/reference.md`.

use std::fmt::Write as _;

use super::{
    Attribute, BLOCKS, BlockSchema, Default, Derived, Naming, Presence, Type, all_derived, declared, derived,
    suggest, symbol,
};
use crate::codes::Code;
use crate::expr::Function;
use crate::units::{Rational, format, table};

/// The whole reference: statements, blocks with their attributes, computed quantities, units and functions.
pub fn reference() -> String {
    let mut text = String::from(
        "# Reference\n\nEvery statement, block, attribute, quantity, unit and function of the language. A name in parentheses is the \
         field's symbol, as formulas in reports have it.\n\n## Statements\n\n",
    );
    text.push_str(&statements());
    text.push_str("\n## Blocks\n");
    each_block(&mut |path, schema| {
        let _ = write!(text, "\n### `{path}`\n\n{}", block(path, schema));
    });
    let _ = write!(text, "\n## Quantities\n\n{}", quantities());
    let _ = write!(text, "\n## Units\n\n{}", units());
    let _ = write!(text, "\n## Functions\n\n{}", functions());
    text
}

/// What there is to say about a name: a block (`model.attention`), an attribute or a quantity by its path, an attribute
/// by its bare name, a unit, a function, a code, or one of `statements`, `quantities`, `units`, `functions`, `codes`.
pub fn topic(name: &str) -> Option<String> {
    match name {
        "statements" => return Some(statements()),
        "quantities" => return Some(quantities()),
        "units" => return Some(units()),
        "functions" => return Some(functions()),
        "codes" => return Some(codes()),
        _ => {}
    }
    let mut found = Vec::new();
    each_block(&mut |path, schema| {
        if path == name {
            found.push(format!("# `{path}`\n\n{}", block(path, schema)));
        }
    });
    if found.is_empty() {
        found.extend(declared(name).map(|attribute| page(name, attribute)));
        found.extend(derived(name).map(|derived| quantity(name, derived)));
    }
    if found.is_empty() {
        found.extend(
            STATEMENTS.iter().filter(|(word, _)| *word == name).map(|(_, text)| format!("- {text}\n")),
        );
        each_block(&mut |path, schema| {
            if schema.kind == name {
                found.push(format!("# `{path}`\n\n{}", block(path, schema)));
            }
            if let Some(attribute) = schema.attribute(name) {
                found.push(page(&format!("{path}.{name}"), attribute));
            }
        });
        found.extend(
            Function::ALL
                .iter()
                .filter(|function| function.name() == name)
                .map(|function| self::function(*function)),
        );
        found.extend(table::lookup(name).map(|unit| format!("`{name}` is {}.\n", worth(unit))));
        found.extend(
            Code::parse(name).map(|code| format!("# `{code}`: {}\n\n{}", code.summary(), code.explanation())),
        );
    }
    (!found.is_empty()).then(|| found.join("\n"))
}

/// Every name that [`topic`] knows and that is worth listing: sections, blocks, attributes and quantities.
pub fn topics() -> Vec<String> {
    let mut topics: Vec<String> = ["statements", "quantities", "units", "functions", "codes"]
        .iter()
        .map(|&name| name.to_owned())
        .collect();
    each_block(&mut |path, schema| {
        topics.push(path.to_owned());
        let name = if schema.naming == Naming::Keyed { ".*" } else { "" };
        topics.extend(schema.attributes.iter().map(|attribute| format!("{path}{name}.{}", attribute.name)));
    });
    topics.extend(all_derived().map(|derived| derived.path.to_owned()));
    topics
}

/// The statements that are no blocks of the schema.
const STATEMENTS: &[(&str, &str)] = &[
    ("import", "`import \"shared/cluster.llm\"`: brings the named blocks of another file into scope."),
    ("let", "`let NAME = EXPRESSION`: a named quantity, seen in its block, or in the file at the top level."),
    ("extends", "`KIND NAME extends OTHER { … }`: a block that differs from another in what it states."),
    (
        "require",
        "`require { CONDITION \"reason\" }`: fails the plan where a condition is false; the reason is optional.",
    ),
    ("prefer", "`prefer { CONDITION \"reason\" }`: warns where a condition is false."),
];

fn statements() -> String {
    let mut text = String::new();
    for (_, statement) in STATEMENTS {
        let _ = writeln!(text, "- {statement}");
    }
    text.push_str("- `KIND NAME { … }`: a block, see below.\n");
    text.push_str("- `NAME = VALUE`: an attribute, inside a block.\n");
    text.push_str("- `[1, 2, 4]`, `16..64 step 16`: a list as a value compares one plan for each.\n");
    text
}

/// Every block with its path, nested ones behind their parent.
fn each_block(visit: &mut dyn FnMut(&str, &'static BlockSchema)) {
    fn walk(path: &str, schema: &'static BlockSchema, visit: &mut dyn FnMut(&str, &'static BlockSchema)) {
        visit(path, schema);
        // What stands in `layer` is what stands in `model`: said there.
        for nested in schema.blocks.iter().filter(|_| schema.naming != Naming::Keyed) {
            walk(&format!("{path}.{}", nested.kind), nested, visit);
        }
    }
    for schema in BLOCKS {
        walk(schema.kind, schema, visit);
    }
}

fn block(path: &str, schema: &BlockSchema) -> String {
    let mut text = format!("{}\n", schema.doc);
    match schema.naming {
        Naming::Optional => text.push_str("It may have a name.\n"),
        Naming::Required | Naming::Keyed => text.push_str("It has a name.\n"),
        Naming::Never => {}
    }
    if schema.presence == Presence::Declared && schema.naming == Naming::Never {
        text.push_str("It is there only where it is written.\n");
    }
    if schema.naming == Naming::Keyed {
        let _ = writeln!(text, "In paths the name follows the kind: `{}.NAME`.", suggest::in_paths(path));
    }
    text.push('\n');
    for attribute in schema.attributes {
        text.push_str(&entry(path, attribute));
    }
    for nested in schema.blocks {
        let named = matches!(nested.naming, Naming::Required | Naming::Keyed);
        let name = if named { " NAME" } else { "" };
        let _ = writeln!(text, "- `{}{name} {{ … }}`: {}", nested.kind, nested.doc);
    }
    text
}

fn page(path: &str, attribute: &Attribute) -> String {
    let mut text =
        format!("# `{path}`{}\n\n{}\n{}\n", in_parentheses(path), attribute.doc, accepted(attribute));
    for (word, meaning) in words(attribute) {
        let _ = writeln!(text, "- `{word}`: {meaning}");
    }
    if !attribute.aliases.is_empty() {
        let aliases: Vec<String> = attribute.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        let _ = write!(text, "\nOther tools call it {}.\n", suggest::one_of(&aliases));
    }
    text
}

/// An attribute as one item of its block's list.
fn entry(block: &str, attribute: &Attribute) -> String {
    let symbol = in_parentheses(&format!("{block}.{}", attribute.name));
    let mut text = format!("- `{}`{symbol}: {}\n  {}\n", attribute.name, attribute.doc, accepted(attribute));
    for (word, meaning) in words(attribute) {
        let _ = writeln!(text, "  - `{word}`: {meaning}");
    }
    text
}

/// What may be written, and what happens where nothing is.
fn accepted(attribute: &Attribute) -> String {
    let ty = match &attribute.ty {
        Type::Choice(_) => "One of the words below.".to_owned(),
        Type::Reference(kind) => format!("The name of a `{kind}` block."),
        other => sentence(&other.words()),
    };
    let default = match &attribute.default {
        Default::Required => "Required.".to_owned(),
        Default::RequiredFor(path, word) => format!("Required with `{path} = {word}`."),
        Default::IfBlock(block, with, without, why) => {
            format!("Default `{with}` with a block `{block}`, else `{without}`: {why}.")
        }
        Default::Absent(what) => format!("May be left out: {what}."),
        Default::Value(value, why) => format!("Default `{value}`: {why}."),
        Default::ByWord(_, cases) => {
            let cases: Vec<String> = cases
                .iter()
                .map(|(kinds, value, why)| {
                    let kinds: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
                    format!("with {} `{value}`: {why}", suggest::one_of(&kinds))
                })
                .collect();
            format!("Default {}.", cases.join("; "))
        }
    };
    match attribute.inert {
        Some(why) => format!("{ty} {default} It is read and changes no number: {why}."),
        None => format!("{ty} {default}"),
    }
}

fn words(attribute: &Attribute) -> &'static [(&'static str, &'static str)] {
    match attribute.ty {
        Type::Choice(words) => words,
        _ => &[],
    }
}

fn quantities() -> String {
    let mut text = String::from(
        "Computed, never set. They may be used in `require`, in `prefer`, and in a `let` that only those use; \
         `model.params` and `model.active_params` also in attributes. `*` stands for the name of a source, of a kind of layer or of a part of the forward pass.\n\n",
    );
    for derived in all_derived() {
        let _ = writeln!(
            text,
            "- `{}`{}, {}: {}.{}",
            derived.path,
            in_parentheses(derived.path),
            unit_name(derived),
            derived.meaning,
            conditions(derived)
        );
    }
    text
}

fn quantity(path: &str, derived: &Derived) -> String {
    let meaning = sentence(derived.meaning);
    let unit = unit_name(derived);
    format!("# `{path}`{}\n\n{meaning} Computed, in {unit}.{}\n", in_parentheses(path), conditions(derived))
}

fn unit_name(derived: &Derived) -> String {
    match derived.unit {
        None => "a text".to_owned(),
        Some(unit) if unit.symbol() == "1" => "a plain number".to_owned(),
        Some(unit) => unit.symbol(),
    }
}

/// What a quantity needs beyond the model.
fn conditions(derived: &Derived) -> String {
    if derived.needs.is_empty() {
        return String::new();
    }
    let needs: Vec<String> = derived.needs.iter().map(|need| format!("`{need}`")).collect();
    format!(" Needs {}.", suggest::one_of(&needs).replace(" or ", " and "))
}

fn units() -> String {
    let mut text = String::from(
        "A blank before a unit is usual; none is accepted. Units combine with `/` and `*`: `989 TFLOP/s`, `$2.00 / h`. \
         Magnitudes are attached to the digits: `k` 10^3, `M` 10^6, `B` 10^9, `T` 10^12. `%` is a hundredth, `$` stands \
         before the number.\n\n",
    );
    for group in table::UNITS.chunk_by(|one, next| one.unit == next.unit) {
        let Some(first) = group.first() else { continue };
        let names: Vec<String> =
            group.iter().map(|unit| format!("`{}` = {}", unit.name, number(unit))).collect();
        let _ = writeln!(text, "- in {}: {}", first.unit.symbol(), names.join(", "));
    }
    text
}

/// `10^9 bytes`
fn worth(unit: &table::NamedUnit) -> String {
    let symbol = unit.unit.symbol();
    if symbol.starts_with("1/") {
        symbol.replacen('1', &number(unit), 1)
    } else {
        format!("{} {symbol}", number(unit))
    }
}

/// How many base units it is: `10^9`, `1/10^3`.
fn number(unit: &table::NamedUnit) -> String {
    let Rational { above, below } = unit.scale;
    if below == 1 { power(above) } else { format!("{}/{}", power(above), power(below)) }
}

/// A number as a power of ten or two where it is a large one.
fn power(number: i128) -> String {
    let number = number.unsigned_abs();
    let zeros = number.checked_ilog10().unwrap_or(0);
    if zeros >= 3 && number == 10_u128.pow(zeros) {
        return format!("10^{zeros}");
    }
    if number >= 1024 && number.is_power_of_two() {
        return format!("2^{}", number.trailing_zeros());
    }
    format::grouped(number)
}

fn functions() -> String {
    Function::ALL.iter().map(|function| self::function(*function)).collect()
}

fn function(function: Function) -> String {
    let (call, meaning) = match function {
        Function::Min => ("min(a, b, …)", "the smallest; all have the same unit"),
        Function::Max => ("max(a, b, …)", "the largest; all have the same unit"),
        Function::Ceil => {
            ("ceil(a)", "up to the next whole number; of a number without a unit, or of a count")
        }
        Function::Floor => {
            ("floor(a)", "down to the next whole number; of a number without a unit, or of a count")
        }
        Function::Round => ("round(a)", "to the nearest whole number, halves away from zero"),
        Function::Sqrt => ("sqrt(a)", "the square root; a unit must be a square"),
        Function::Log => ("log(a)", "the natural logarithm; of a number without a unit"),
        Function::Exp => ("exp(a)", "e to the power a; of a number without a unit"),
    };
    format!("- `{call}`: {meaning}.\n")
}

fn codes() -> String {
    let mut text = String::from("`llmplan explain CODE` has a page on each.\n\n");
    for code in Code::ALL {
        let _ = writeln!(text, "- `{code}`: {}.", code.summary());
    }
    text
}

/// The field's symbol: ` (L)`.
fn in_parentheses(path: &str) -> String {
    symbol(path).map_or_else(String::new, |symbol| format!(" ({symbol})"))
}

/// Words as a sentence: a capital and a full stop.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_page() {
        for name in topics() {
            assert!(topic(&name).is_some_and(|page| page.len() > 20), "{name}");
        }
        for name in [
            "model",
            "model.attention",
            "attention",
            "heads",
            "kind",
            "GB",
            "ceil",
            "unknown-unit",
            "data.crawl.raw",
            "let",
        ] {
            assert!(topic(name).is_some(), "{name}");
        }
        assert!(topic("nothing.at.all").is_none());
    }

    #[test]
    fn the_reference_names_everything() {
        let reference = reference();
        for derived in all_derived() {
            assert!(reference.contains(&format!("- `{}`", derived.path)), "{}", derived.path);
        }
        each_block(&mut |path, schema| {
            assert!(reference.contains(&format!("### `{path}`")), "{path}");
            for attribute in schema.attributes {
                assert!(reference.contains(&format!("- `{}`", attribute.name)), "{path}.{}", attribute.name);
            }
        });
        assert!(reference.lines().all(|line| line == line.trim_end()), "a line ends with a blank");
    }

    #[test]
    fn a_unit_says_what_it_is_worth() {
        assert_eq!(topic("GiB").as_deref(), Some("`GiB` is 2^30 bytes.\n"));
        assert_eq!(topic("ms").as_deref(), Some("`ms` is 1/10^3 s.\n"));
        assert_eq!(topic("h").as_deref(), Some("`h` is 3,600 s.\n"));
    }
}
