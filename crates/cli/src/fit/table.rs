//! Rows of a text: CSV with a heading (RFC 4180; commas, tabs or semicolons), or a JSON object on each line.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Fault;
use crate::render::verdict::plural;

/// A table of texts.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// The names of the columns, in their order.
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// A row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The line that it begins on, from 1.
    pub(super) line: usize,
    /// A text for each column, empty where it has none.
    pub(super) cells: Vec<String>,
}

/// More faults than these are counted and not told.
const TOLD: usize = 10;
/// Columns beyond which a text is no table.
const MOST_COLUMNS: usize = 1000;

/// Reads a text as a table. Blank lines, and those that begin with `#`, are passed over.
///
/// # Errors
/// Everything that is wrong with its rows, the first ten told.
pub(super) fn parse(text: &str) -> Result<Table, Vec<Fault>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    match first {
        None => Err(vec![
            Fault::new("there is nothing in it".to_owned())
                .help("the first line names the columns: `params,tokens,loss`"),
        ]),
        Some(first) if first.starts_with('{') => json_lines(text),
        Some(first) if first.starts_with('[') => Err(vec![
            Fault::new("this is a JSON list".to_owned())
                .help("write JSON lines, an object on each: `jq -c '.[]' runs.json`"),
        ]),
        Some(first) => separated(text, separator(first)),
    }
}

/// At most [`TOLD`] faults, and how many there are beyond.
pub(super) fn told(mut faults: Vec<Fault>) -> Vec<Fault> {
    let more = faults.len().saturating_sub(TOLD);
    faults.truncate(TOLD);
    if more > 0 {
        faults.push(Fault::new(format!("and {more} more of the kind")));
    }
    faults
}

/// What the heading has most of between its names.
fn separator(heading: &str) -> char {
    let count = |separator: char| heading.matches(separator).count();
    // The first of equals: a comma where there is none at all.
    [';', '\t', ','].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(',')
}

fn separated(text: &str, separator: char) -> Result<Table, Vec<Fault>> {
    let mut table = Table::default();
    let mut faults = Vec::new();
    for (line, cells) in records(text, separator).map_err(|fault| vec![fault])? {
        if table.columns.is_empty() {
            table.columns = cells;
            headings(&table.columns).map_err(|fault| vec![fault])?;
        } else if cells.len() == table.columns.len() {
            table.rows.push(Row { line, cells });
        } else {
            faults.push(
                Fault::new(format!(
                    "line {line}: {}, where the heading has {}",
                    plural(cells.len(), "cell"),
                    table.columns.len()
                ))
                .help("a cell with a separator in it stands in quotes: `\"a, b\"`"),
            );
        }
    }
    if faults.is_empty() { Ok(table) } else { Err(told(faults)) }
}

/// Whether names can be told apart.
fn headings(columns: &[String]) -> Result<(), Fault> {
    if columns.len() > MOST_COLUMNS {
        return Err(Fault::new(format!("the heading has {} columns", columns.len()))
            .help("the first line names the columns: `params,tokens,loss`"));
    }
    for (at, column) in columns.iter().enumerate() {
        if !column.is_empty() && columns.iter().take(at).any(|other| other == column) {
            return Err(Fault::new(format!("two columns are called `{column}`")).help("rename one"));
        }
    }
    if columns.iter().any(|column| column.parse::<f64>().is_ok()) {
        return Err(Fault::new("the first line has numbers in it, where names of columns belong".to_owned())
            .help("the first line names the columns: `params,tokens,loss`"));
    }
    Ok(())
}

/// The records of a text with the lines that they begin on. Quotes go around cells; two of them stand for one.
fn records(text: &str, separator: char) -> Result<Vec<(usize, Vec<String>)>, Fault> {
    let mut records = Vec::new();
    let (mut cells, mut cell) = (Vec::new(), String::new());
    let (mut line, mut begun) = (1, 1);
    let (mut quoted, mut was_quoted) = (None, false);
    let mut characters = text.chars().peekable();
    loop {
        let next = characters.next();
        match next {
            Some('"') if quoted.is_some() => {
                if characters.peek() == Some(&'"') {
                    characters.next();
                    cell.push('"');
                } else {
                    quoted = None;
                }
            }
            Some(character) if quoted.is_some() => {
                line += usize::from(character == '\n');
                cell.push(character);
            }
            Some('"') if cell.trim().is_empty() && !was_quoted => {
                cell.clear();
                quoted = Some(line);
                was_quoted = true;
            }
            Some('#') if cells.is_empty() && cell.trim().is_empty() && !was_quoted => {
                cell.clear();
                while characters.peek().is_some_and(|character| *character != '\n') {
                    characters.next();
                }
            }
            Some('\r') if characters.peek() == Some(&'\n') => {}
            Some(character) if character == separator => {
                cells.push(std::mem::take(&mut cell).trim().to_owned());
                was_quoted = false;
            }
            Some('\n') | None => {
                let last = std::mem::take(&mut cell).trim().to_owned();
                if !(cells.is_empty() && last.is_empty() && !was_quoted) {
                    cells.push(last);
                    records.push((begun, std::mem::take(&mut cells)));
                }
                was_quoted = false;
                line += 1;
                begun = line;
                if next.is_none() {
                    break;
                }
            }
            Some(character) => cell.push(character),
        }
        if let (None, Some(opened)) = (characters.peek(), quoted) {
            return Err(Fault::new(format!("line {opened}: a quote is opened and never closed"))
                .help("two quotes in a row stand for one within a cell"));
        }
    }
    Ok(records)
}

fn json_lines(text: &str) -> Result<Table, Vec<Fault>> {
    let mut objects = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    let mut table = Table::default();
    for (at, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match serde_json::from_str::<Value>(line) {
            Ok(Value::Object(object)) => {
                for name in object.keys() {
                    if !places.contains_key(name) && places.len() < MOST_COLUMNS {
                        places.insert(name.clone(), places.len());
                        table.columns.push(name.clone());
                    }
                }
                objects.push((at, object));
            }
            Ok(_) => faults.push(
                Fault::new(format!("line {at}: this is no object"))
                    .help("a run is an object: `{\"params\": 1e9, …}`"),
            ),
            Err(error) => faults.push(
                Fault::new(format!("line {at}, column {}: this is no JSON", error.column()))
                    .help("each line is an object of its own; JSON has no NaN and no Infinity"),
            ),
        }
    }
    if !faults.is_empty() {
        return Err(told(faults));
    }
    for (line, object) in objects {
        let mut cells = vec![String::new(); table.columns.len()];
        for (name, value) in object {
            let text = match value {
                Value::Null => String::new(),
                Value::String(text) => text.trim().to_owned(),
                other => other.to_string(),
            };
            if let Some(cell) = places.get(&name).and_then(|place| cells.get_mut(*place)) {
                *cell = text;
            }
        }
        table.rows.push(Row { line, cells });
    }
    Ok(table)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is how a test fails
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<(usize, Vec<String>)> {
        parse(text).unwrap().rows.into_iter().map(|row| (row.line, row.cells)).collect()
    }

    fn row(line: usize, cells: &[&str]) -> (usize, Vec<String>) {
        (line, cells.iter().map(|cell| (*cell).to_owned()).collect())
    }

    #[test]
    fn rows_are_read_as_spreadsheets_write_them() {
        let expected = vec![row(2, &["1", "2"]), row(3, &["3", "4"])];
        for text in [
            "a,b\n1,2\n3,4\n",
            "a,b\r\n1,2\r\n3,4",
            "a;b\n1;2\n3;4",
            "a\tb\n1\t2\n3\t4\n",
            "\u{feff}a, b\n 1 ,2\n3,4\n\n\n",
        ] {
            assert_eq!(cells(text), expected, "{text:?}");
        }
        assert_eq!(cells("# of 2024\na,b\n\n1,2\n# more\n3,4\n"), [row(4, &["1", "2"]), row(6, &["3", "4"])]);
        assert_eq!(
            cells("a,b\n\"x, y\",2\n\"say \"\"so\"\"\",\"\"\n\"two\nlines\",4\n5,6"),
            [
                row(2, &["x, y", "2"]),
                row(3, &["say \"so\"", ""]),
                row(4, &["two\nlines", "4"]),
                row(6, &["5", "6"])
            ]
        );
        assert_eq!(
            cells("{\"a\": 1, \"b\": \"x\"}\n\n{\"b\": null, \"c\": 1e30, \"a\": 2}\n"),
            [row(1, &["1", "x", ""]), row(3, &["2", "", "1e+30"])]
        );
    }

    #[test]
    fn what_is_no_table_says_where() {
        let message = |text: &str| parse(text).unwrap_err().first().unwrap().message.clone();
        assert_eq!(message(""), "there is nothing in it");
        assert_eq!(message("\n# only this\n"), "there is nothing in it");
        assert_eq!(message("a,b\n1,2\n3\n"), "line 3: 1 cell, where the heading has 2");
        assert_eq!(message("a,b\n1,\"2\n3,4\n"), "line 2: a quote is opened and never closed");
        assert_eq!(message("a,a\n1,2\n"), "two columns are called `a`");
        assert_eq!(message("1,2\n3,4\n"), "the first line has numbers in it, where names of columns belong");
        assert_eq!(message("[{\"a\": 1}]"), "this is a JSON list");
        assert_eq!(message("{\"a\": 1}\n{\"a\": NaN}\n"), "line 2, column 7: this is no JSON");
        assert_eq!(message("{\"a\": 1}\n3\n"), "line 2: this is no object");
        let many = format!("a,b\n{}", "1\n".repeat(50));
        let faults = parse(&many).unwrap_err();
        assert_eq!((faults.len(), faults[10].message.as_str()), (11, "and 40 more of the kind"));
    }

    /// Any text is a table whose rows are whole, or has a reason: here are all beginnings of some, and all texts that are
    /// one character off.
    #[test]
    fn no_text_is_too_strange() {
        for text in ["a,b\r\n\"x, \"\"y\",2\n# c\n\n3,4", "{\"a\": 1}\n{\"a\": \"é\", \"b\": [1e9]}\n"] {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            for at in places {
                let (before, rest) = text.split_at(at);
                let after: String = rest.chars().skip(1).collect();
                let mut texts = vec![before.to_owned(), rest.to_owned(), format!("{before}{after}")];
                for other in ['"', ',', ';', '\t', '\n', '\r', '#', '{', '[', '}', '\0', '\u{feff}', '∞'] {
                    texts.push(format!("{before}{other}{after}"));
                }
                for text in texts {
                    match parse(&text) {
                        Ok(table) => {
                            let whole = |row: &Row| row.cells.len() == table.columns.len();
                            assert!(!table.columns.is_empty() && table.rows.iter().all(whole), "{text:?}");
                        }
                        Err(faults) => assert!(!faults.is_empty(), "{text:?}"),
                    }
                }
            }
        }
    }
}
