//! Runs from a table: which columns they are in, and what is wrong with a cell.

use llmplan_analysis::scaling::{fit::Run, flops};
use llmplan_spec::units::format::grouped;
use llmplan_spec::units::table::magnitude;

use super::Fault;
use super::table::{Table, told};
use crate::args::{FitArgs, Role};
use crate::render::{clean, shortened};

/// What was read of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read {
    /// The runs, in the order of their rows.
    pub(crate) runs: Vec<Run>,
    /// Which column each role was read from.
    pub(crate) columns: Vec<(Role, String)>,
    /// Rows of the table, those of other filters included.
    pub(crate) rows: usize,
    /// How many runs have their tokens from their FLOPs.
    pub(crate) derived: usize,
    /// How many runs say FLOPs that are more than a tenth off 6ND.
    pub(crate) other_flops: usize,
}

/// Other names of each role, as [`plain`] has them.
fn names(role: Role) -> &'static [&'static str] {
    match role {
        Role::Params => &[
            "params",
            "n",
            "parameters",
            "nparams",
            "numparams",
            "modelparams",
            "modelsize",
            "size",
            "totalparams",
            "paramstotal",
            "nonembeddingparams",
            "paramcount",
        ],
        Role::Tokens => &[
            "tokens",
            "d",
            "trainingtokens",
            "traintokens",
            "ntokens",
            "numtokens",
            "tokensseen",
            "datasize",
            "totaltokens",
            "trainedtokens",
        ],
        Role::Flops => &[
            "flops",
            "c",
            "compute",
            "flop",
            "trainingflops",
            "trainflops",
            "trainingcompute",
            "totalflops",
            "computeflops",
        ],
        Role::Loss => &[
            "loss",
            "l",
            "valloss",
            "validationloss",
            "testloss",
            "evalloss",
            "finalloss",
            "trainloss",
            "trainingloss",
            "finalvalloss",
        ],
    }
}

/// Runs beyond which 1,000 resamples take minutes: nobody has that many.
const MOST_RUNS: usize = 10_000;
/// What a number of each role can be, and what is wrong with one below.
fn bounds(role: Role) -> (f64, f64, &'static str) {
    match role {
        Role::Params => (1.0, 1e20, "N is in parameters: write 0.07B where billions are meant"),
        Role::Tokens => (1.0, 1e25, "D is in tokens: write 0.3B where billions are meant"),
        Role::Flops => (1.0, 1e45, "C is in FLOP"),
        Role::Loss => (1e-6, 1e6, "losses are in nats per token"),
    }
}

/// Reads the runs.
///
/// # Errors
/// A column that cannot be found, or every cell that is no number of its kind.
pub(super) fn read(table: &Table, args: &FitArgs) -> Result<Read, Vec<Fault>> {
    let one = |fault| vec![fault];
    let find = |role| column(table, role, args).map_err(one);
    let (params, loss) = (find(Role::Params)?, find(Role::Loss)?);
    let (tokens, compute) = (find(Role::Tokens)?, find(Role::Flops)?);
    let missing = |role: Role| one(absent(table, role));
    let params = params.ok_or_else(|| missing(Role::Params))?;
    let loss = loss.ok_or_else(|| missing(Role::Loss))?;
    if tokens.is_none() && compute.is_none() {
        return Err(missing(Role::Tokens));
    }
    let filters = filters(table, args).map_err(one)?;
    let (mut runs, mut faults) = (Vec::new(), Vec::new());
    let (mut derived, mut other_flops) = (0, 0);
    for row in &table.rows {
        let cell = |place: usize| row.cells.get(place).map_or("", String::as_str);
        if !filters.iter().all(|(place, value)| same(cell(*place), value)) {
            continue;
        }
        let mut number = |role: Role, place: usize| match amount(cell(place), role) {
            Ok(value) => Some(value),
            Err((found, help)) => {
                let name = table.columns.get(place).map_or("", String::as_str);
                faults.push(
                    Fault::new(format!("line {}, column `{}`: {found}", row.line, clean(name))).help(help),
                );
                None
            }
        };
        let filled = |place: Option<usize>| place.filter(|place| !cell(*place).is_empty());
        let size = number(Role::Params, params);
        let spent = filled(compute).map(|place| number(Role::Flops, place));
        let seen = match (filled(tokens), spent) {
            (Some(place), _) => number(Role::Tokens, place),
            (None, Some(spent)) => {
                derived += 1;
                spent.zip(size).map(|(spent, size)| spent / flops(size, 1.0))
            }
            (None, None) => number(Role::Tokens, tokens.or(compute).unwrap_or(params)),
        };
        if let (Some(params), Some(tokens), Some(loss)) = (size, seen, number(Role::Loss, loss)) {
            let run = Run { params, tokens, loss };
            let off = spent.flatten().is_some_and(|spent| (spent / run.flops() - 1.0).abs() > 0.1);
            other_flops += usize::from(off);
            runs.push(run);
        }
    }
    if !faults.is_empty() {
        return Err(told(faults));
    }
    if runs.is_empty() {
        let message = if table.rows.is_empty() {
            "there are no rows below the heading".to_owned()
        } else {
            format!("none of {} rows has what --filter asks for", table.rows.len())
        };
        return Err(one(Fault::new(message)));
    }
    if runs.len() > MOST_RUNS {
        return Err(one(Fault::new(format!(
            "there are {} runs, and {} are the most",
            grouped(runs.len() as u128),
            grouped(MOST_RUNS as u128)
        ))
        .help("a row is a whole run, not a step of one; `--filter` takes some of them")));
    }
    let used = [
        (Role::Params, Some(params)),
        (Role::Tokens, tokens),
        (Role::Flops, compute),
        (Role::Loss, Some(loss)),
    ];
    let columns = used
        .into_iter()
        .filter_map(|(role, place)| Some((role, table.columns.get(place?)?.clone())))
        .collect();
    Ok(Read { runs, columns, rows: table.rows.len(), derived, other_flops })
}

/// The place of a role's column: the one asked for, else the one of the role's own name, else the only one of its others.
fn column(table: &Table, role: Role, args: &FitArgs) -> Result<Option<usize>, Fault> {
    if let Some((_, name)) = args.columns.iter().rev().find(|(own, _)| *own == role) {
        return place(table, name).map(Some);
    }
    let known = |column: &String| names(role).contains(&plain(column).as_str());
    let found: Vec<usize> =
        (0..table.columns.len()).filter(|at| table.columns.get(*at).is_some_and(known)).collect();
    let own = found.iter().find(|at| table.columns.get(**at).is_some_and(|name| plain(name) == role.word()));
    match (own, found.as_slice()) {
        (Some(own), _) => Ok(Some(*own)),
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(*only)),
        (None, several) => {
            let names: Vec<String> = several
                .iter()
                .filter_map(|at| table.columns.get(*at))
                .map(|name| format!("`{}`", clean(name)))
                .collect();
            let first = several.first().and_then(|at| table.columns.get(*at)).map_or("", String::as_str);
            Err(Fault::new(format!("{} may be the {}", names.join(" and "), role.word())).help(&format!(
                "say which: `--columns {}={}`",
                role.word(),
                clean(first)
            )))
        }
    }
}

fn place(table: &Table, name: &str) -> Result<usize, Fault> {
    let found = table.columns.iter().position(|column| column == name);
    found
        .or_else(|| table.columns.iter().position(|column| plain(column) == plain(name)))
        .ok_or_else(|| Fault::new(format!("there is no column `{}`", clean(name))).help(&all(table)))
}

fn absent(table: &Table, role: Role) -> Fault {
    let what = if role == Role::Tokens { "tokens, and none of FLOPs" } else { role.word() };
    let word = role.word();
    Fault::new(format!("there is no column of {what}"))
        .help(&format!("name it: `--columns {word}=COLUMN`; {}", all(table)))
}

fn all(table: &Table) -> String {
    const SHOWN: usize = 20;
    let names: Vec<String> =
        table.columns.iter().take(SHOWN).map(|name| format!("`{}`", shortened(&clean(name), 30))).collect();
    let more = table.columns.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("there are {}{more}", names.join(", "))
}

fn filters(table: &Table, args: &FitArgs) -> Result<Vec<(usize, String)>, Fault> {
    args.filter.iter().map(|(name, value)| Ok((place(table, name)?, value.clone()))).collect()
}

/// Whether a cell has a value: as text, or as a number.
fn same(cell: &str, value: &str) -> bool {
    cell == value
        || matches!((cell.parse::<f64>(), value.parse::<f64>()), (Ok(own), Ok(other)) if own == other)
}

/// A name without what people write in different ways.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A positive number: `1e9`, `1_000_000`, `7B`.
///
/// # Errors
/// What the text is instead, and what is expected.
fn amount(text: &str, role: Role) -> Result<f64, (String, &'static str)> {
    const EXPECTED: &str = "a number more than 0 is expected, such as 1000000, 1e9 or 7B";
    let (low, high, unit) = bounds(role);
    if text.is_empty() {
        return Err(("there is nothing".to_owned(), EXPECTED));
    }
    let shown = format!("`{}`", shortened(&clean(text), 40));
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = text.get(digits.len()..).unwrap_or_default();
    let plain = |digits: &str| -> Option<f64> {
        let begins = digits.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+'));
        if begins { digits.replace('_', "").parse().ok() } else { None }
    };
    let value = match magnitude(suffix) {
        Some(factor) => plain(digits.trim_end()).map(|value| value * factor as f64),
        None => plain(text),
    };
    match value {
        None if text.contains(',') => Err((format!("{shown} is no number"), "write it without commas")),
        None => Err((format!("{shown} is no number"), EXPECTED)),
        Some(value) if value.is_nan() || value <= 0.0 => {
            Err((format!("{shown} is not more than 0"), EXPECTED))
        }
        Some(value) if value < low => Err((format!("{shown} is less than {low}"), unit)),
        Some(value) if value > high => Err((
            format!("{shown} is more than {high:e}"),
            "that is beyond anything trained: is the unit the right one?",
        )),
        Some(value) => Ok(value),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is how a test fails
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, value) in [
            ("1", 1.0),
            ("1e9", 1e9),
            ("6.8e+09", 6.8e9),
            ("7B", 7e9),
            ("1.5 T", 1.5e12),
            ("1_000", 1e3),
            ("+5", 5.0),
        ] {
            assert_eq!(amount(text, Role::Tokens), Ok(value), "{text}");
        }
        for text in [
            "", "-1", "0", "NaN", "nan", "inf", "-inf", "1e999", "1e26", "0.5", "1e-300", "x", "1,000", "7b",
            "0x10", "1e", "∞", "--1",
        ] {
            assert!(amount(text, Role::Tokens).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_in_billions_are_told() {
        let (found, help) = amount("0.07", Role::Params).unwrap_err();
        assert_eq!(found, "`0.07` is less than 1");
        assert!(help.contains("0.07B"));
        assert_eq!(amount("0.07", Role::Loss), Ok(0.07));
    }

    #[test]
    fn names_are_the_same_in_any_spelling() {
        assert_eq!(plain("Val_Loss"), "valloss");
        assert_eq!(plain("eval/loss"), "evalloss");
        for role in Role::ALL {
            assert_eq!(names(role).first(), Some(&role.word()));
            for other in Role::ALL.into_iter().filter(|other| *other != role) {
                assert!(names(role).iter().all(|name| !names(other).contains(name)));
            }
        }
    }
}
