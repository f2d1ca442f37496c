//! One table for text and Markdown: labels, numbers to the right, words at the end.

use super::paint::Paint;
use super::{clean, markdown, shortened, wrapped};

/// The longest cell that is no prose.
const CELL: usize = 60;
/// The narrowest column of prose before a table may become wider than the page.
const NARROW: usize = 24;

/// A table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

/// A column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Its heading; `\n` breaks it in text.
    pub(crate) title: String,
    pub(crate) align: Align,
}

/// How the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Labels.
    Left,
    /// Numbers.
    Right,
    /// Words that may take several lines.
    Prose,
}

/// A row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) cells: Vec<String>,
    /// Set apart by a rule above it.
    pub(crate) total: bool,
    /// Levels that its label is moved in.
    pub(crate) indent: usize,
}

impl Table {
    /// A table with these columns and no rows.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Table {
        let columns =
            columns.iter().map(|(title, align)| Column { title: (*title).to_owned(), align: *align });
        Table { columns: columns.collect(), rows: Vec::new() }
    }

    /// Adds a plain row.
    pub(crate) fn push<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(Row { cells: cells.iter().map(|&cell| cell.to_owned()).collect(), ..Row::default() });
    }

    /// Adds a plain row with as many cells as there are columns.
    pub(crate) fn push_cells(&mut self, cells: Vec<String>) {
        self.rows.push(Row { cells, ..Row::default() });
    }

    /// The table without the columns that have nothing but a heading.
    pub(crate) fn without_empty_columns(mut self) -> Table {
        let filled: Vec<bool> = (0..self.columns.len())
            .map(|at| self.rows.iter().any(|row| row.cells.get(at).is_some_and(|cell| !cell.is_empty())))
            .collect();
        let mut kept = filled.iter();
        self.columns.retain(|_| kept.next() == Some(&true));
        for row in &mut self.rows {
            let mut kept = filled.iter();
            row.cells.retain(|_| kept.next() == Some(&true));
        }
        self
    }

    /// The width of each column as text, prose unbroken.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let heading = |column: &Column| column.title.lines().map(length).max().unwrap_or(0);
        let mut widths: Vec<usize> = self.columns.iter().map(heading).collect();
        for row in &self.rows {
            for (at, width) in widths.iter_mut().enumerate() {
                *width = (*width).max(length(&self.cell(row, at)));
            }
        }
        widths
    }

    /// The table as lines of at most `width` columns, moved in by two, each with its line break.
    pub(crate) fn text(&self, width: usize, paint: Paint) -> String {
        let mut widths = self.widths();
        // Words give way to numbers, the last column of them first.
        for prose in (0..widths.len()).rev().filter(|&at| self.columns[at].align == Align::Prose) {
            let taken: usize = widths.iter().map(|width| width + 2).sum();
            let rest = taken - widths[prose];
            widths[prose] = widths[prose].min(width.saturating_sub(rest).max(NARROW));
        }
        let mut text = String::new();
        self.headings(&widths, paint, &mut text);
        for (at, row) in self.rows.iter().enumerate() {
            if row.total && at > 0 && !self.rows[at - 1].total {
                text.push_str("  ");
                text.push_str(&paint.faint(&"─".repeat(self.ruled(&widths))));
                text.push('\n');
            }
            self.row(row, &widths, &mut text);
        }
        text
    }

    /// The table in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("|");
        for column in &self.columns {
            text.push_str(&format!(" {} |", markdown::escaped(&column.title.replace('\n', ""))));
        }
        text.push_str("\n|");
        for column in &self.columns {
            text.push_str(if column.align == Align::Right { "--:|" } else { "---|" });
        }
        text.push('\n');
        for row in &self.rows {
            text.push('|');
            for at in 0..self.columns.len() {
                let cell = markdown::escaped(row.cells.get(at).map_or("", String::as_str));
                let indent = if at == 0 { "&nbsp;&nbsp;".repeat(row.indent) } else { String::new() };
                let bold = if row.total && !cell.is_empty() { "**" } else { "" };
                text.push_str(&format!(" {indent}{bold}{cell}{bold} |"));
            }
            text.push('\n');
        }
        text
    }

    fn headings(&self, widths: &[usize], paint: Paint, text: &mut String) {
        let height = self.columns.iter().map(|column| column.title.lines().count()).max().unwrap_or(0);
        for level in 0..height {
            let mut line = String::new();
            for (column, &width) in self.columns.iter().zip(widths) {
                // Short headings stand at the bottom.
                let lines: Vec<&str> = column.title.lines().collect();
                let part = (level + lines.len()).checked_sub(height).and_then(|at| lines.get(at)).copied();
                pad(&mut line, part.unwrap_or_default(), width, column.align);
            }
            let line = line.strip_prefix("  ").unwrap_or_default().trim_end();
            text.push_str(&format!("  {}\n", paint.faint(line)));
        }
    }

    fn row(&self, row: &Row, widths: &[usize], text: &mut String) {
        let cells: Vec<Vec<String>> = (0..self.columns.len())
            .map(|at| {
                let cell = self.cell(row, at);
                if self.columns[at].align == Align::Prose { wrapped(&cell, widths[at]) } else { vec![cell] }
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for level in 0..height {
            let mut line = String::new();
            for (at, column) in self.columns.iter().enumerate() {
                let part = cells[at].get(level).map_or("", String::as_str);
                pad(&mut line, part, widths[at], column.align);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }

    /// A cell as text: indented where it is a label, cut where it is no prose.
    fn cell(&self, row: &Row, at: usize) -> String {
        let text = clean(row.cells.get(at).map_or("", String::as_str));
        match self.columns[at].align {
            Align::Prose => text,
            _ if at == 0 => shortened(&format!("{}{text}", "  ".repeat(row.indent)), CELL),
            _ => shortened(&text, CELL),
        }
    }

    /// How far the rule above a total goes: to the end of the last column of numbers.
    fn ruled(&self, widths: &[usize]) -> usize {
        let numbers =
            self.columns.iter().rposition(|column| column.align != Align::Prose).map_or(0, |at| at + 1);
        widths[..numbers].iter().map(|width| width + 2).sum::<usize>().saturating_sub(2)
    }
}

/// Adds a cell to a line, behind a gap of two.
fn pad(line: &mut String, cell: &str, width: usize, align: Align) {
    let blank = " ".repeat(width.saturating_sub(length(cell)));
    line.push_str("  ");
    if align == Align::Right {
        line.push_str(&blank);
    }
    line.push_str(cell);
    if align != Align::Right {
        line.push_str(&blank);
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Table {
        let mut table = Table::new(&[("part", Align::Left), ("bytes", Align::Right), ("", Align::Prose)]);
        table.push(["weights", "350 GB", "2 bytes each"]);
        table.push(["optimizer", "2.1 TB", "two moments and the master weights, all of them in fp32"]);
        table.rows[1].indent = 1;
        table.push(["all", "2.45 TB", ""]);
        table.rows[2].total = true;
        table
    }

    #[test]
    fn numbers_stand_right_totals_apart_and_prose_is_broken() {
        let lines = [
            "  part           bytes",
            "  weights       350 GB  2 bytes each",
            "    optimizer   2.1 TB  two moments and the master",
            "                        weights, all of them in",
            "                        fp32",
            "  ────────────────────",
            "  all          2.45 TB",
            "",
        ];
        assert_eq!(memory().text(50, Paint::PLAIN), lines.join("\n"));
    }

    #[test]
    fn no_line_is_wider_than_the_page() {
        for width in 50..100 {
            assert!(memory().text(width, Paint::PLAIN).lines().all(|line| length(line) <= width));
        }
    }

    #[test]
    fn markdown_has_the_same_rows() {
        let lines = [
            "| part | bytes |  |",
            "|---|--:|---|",
            "| weights | 350 GB | 2 bytes each |",
            "| &nbsp;&nbsp;optimizer | 2.1 TB | two moments and the master weights, all of them in fp32 |",
            "| **all** | **2.45 TB** |  |",
            "",
        ];
        assert_eq!(memory().markdown(), lines.join("\n"));
    }

    #[test]
    fn headings_of_several_lines_stand_at_the_bottom() {
        let mut table = Table::new(&[("a", Align::Left), ("long.\nheading", Align::Right)]);
        table.push(["x", "1"]);
        assert_eq!(table.text(50, Paint::PLAIN), "       long.\n  a  heading\n  x        1\n");
        assert!(table.markdown().starts_with("| a | long.heading |"));
    }

    #[test]
    fn a_long_label_is_cut_and_a_control_character_replaced() {
        let mut table = Table::new(&[("", Align::Left)]);
        table.push([&"x".repeat(100)]);
        table.push(["a\u{1b}[2Jb"]);
        let text = table.text(50, Paint::PLAIN);
        assert!(text.contains(&format!("{}…", "x".repeat(59))) && text.contains("a\u{fffd}[2Jb"), "{text}");
    }
}
