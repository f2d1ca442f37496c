//! A validation as text, Markdown and JSON.

use llmplan_exec::validate::{Amount, Extent, Measure, Ran, Row, Tolerance, Validation};
use llmplan_spec::units::format::{BytePrefix, grouped, percent, plain, quantity, signed_percent};
use llmplan_spec::units::{Number, Unit};

use super::Validated;
use crate::args::ListFormat;
use crate::render::paint::Paint;
use crate::render::table::{Align, Table};
use crate::render::verdict::plural;
use crate::render::{WIDTH, clean, wrapped};

/// The saved activations that a text shows of each run; the rest are one row.
const TAGS: usize = 6;

/// The report on all plans.
///
/// # Errors
/// What keeps it from being written in this format.
pub(crate) fn render(all: &[Validated], format: ListFormat, paint: Paint) -> Result<String, String> {
    match format {
        ListFormat::Text => Ok(all.iter().map(|one| text(one, paint)).collect::<Vec<_>>().join("\n")),
        ListFormat::Markdown => Ok(all.iter().map(markdown).collect::<Vec<_>>().join("\n")),
        ListFormat::Json => {
            let mut plans = Vec::new();
            for one in all {
                let mut plan = serde_json::to_value(&one.found).map_err(|error| error.to_string())?;
                if let Some(object) = plan.as_object_mut() {
                    object.insert("file".to_owned(), one.file.clone().into());
                    object.insert("holds".to_owned(), one.holds().into());
                }
                plans.push(plan);
            }
            let holds = all.iter().all(Validated::holds);
            let report = serde_json::json!({ "schema_version": 1, "holds": holds, "plans": plans });
            Ok(format!("{report:#}\n"))
        }
    }
}

fn text(one: &Validated, paint: Paint) -> String {
    let found = &one.found;
    let mut text = format!("{} {}\n", verdict(found, paint), headline(found));
    for (word, line) in facts(one) {
        for (at, line) in wrapped(&clean(&line), WIDTH - 12).iter().enumerate() {
            text.push_str(&format!("  {:<8}  {line}\n", if at == 0 { word } else { "" }));
        }
    }
    for table in tables(found) {
        text.push('\n');
        text.push_str(&table.text(WIDTH, paint));
    }
    if !found.whole.is_empty() {
        text.push('\n');
        text.push_str(&table("All layers together", &found.whole).text(WIDTH, paint));
    }
    if let Some(law) = law(found) {
        text.push('\n');
        for line in wrapped(&law, WIDTH - 2) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

fn markdown(one: &Validated) -> String {
    let found = &one.found;
    let mut text = format!("### {} {}\n\n", verdict(found, Paint::PLAIN), headline(found));
    for (word, line) in facts(one) {
        text.push_str(&format!("- {word}: {}\n", clean(&line)));
    }
    for table in tables(found) {
        text.push('\n');
        text.push_str(&table.markdown());
    }
    if !found.whole.is_empty() {
        text.push('\n');
        text.push_str(&table("All layers together", &found.whole).markdown());
    }
    if let Some(law) = law(found) {
        text.push_str(&format!("\n{law}\n"));
    }
    text
}

/// All runs in a line each where there are several, then the last one, which is the largest, and what is out elsewhere.
fn tables(found: &Validation) -> Vec<Table> {
    let mut tables = Vec::new();
    let Some((last, others)) = found.runs.split_last() else { return tables };
    if !others.is_empty() {
        tables.push(overview(found));
    }
    for run in others {
        let out: Vec<Row> = run.rows.iter().filter(|row| !row.holds).cloned().collect();
        if !out.is_empty() {
            tables.push(table(&title(run), &out));
        }
    }
    tables.push(table(&title(last), &last.digest(TAGS)));
    tables
}

fn overview(found: &Validation) -> Table {
    let mut table = Table::new(&[
        ("Run", Align::Left),
        ("parameters", Align::Right),
        ("tokens", Align::Right),
        ("numbers", Align::Right),
        ("out", Align::Right),
        ("s a step", Align::Right),
        ("achieved", Align::Right),
    ]);
    for run in &found.runs {
        let of = |quantity: &str| run.rows.iter().find(|row| row.quantity == quantity);
        let params = of("model.params").map_or(Amount::Count(0), |row| row.measured);
        let judged = run.rows.iter().filter(|row| row.tolerance != Tolerance::Told).count();
        let out = run.rows.iter().filter(|row| !row.holds).count();
        table.push([
            &clean(&run.label),
            &number(params, Measure::Count),
            &grouped(u128::from(run.tokens)),
            &judged.to_string(),
            &out.to_string(),
            &plain(run.seconds, 3),
            &rate(run.achieved),
        ]);
    }
    table
}

fn verdict(found: &Validation, paint: Paint) -> String {
    if found.holds() { paint.good("OK") } else { paint.bad("DIFFERS") }
}

/// `gpt2-small: 58 numbers hold`
fn headline(found: &Validation) -> String {
    let judged = found.rows().filter(|row| row.tolerance != Tolerance::Told).count();
    let out = found.rows().filter(|row| !row.holds).count();
    match out {
        0 => format!("{}: all {} hold", clean(&found.plan), plural(judged, "number")),
        out => format!("{}: {} of {} out of tolerance", clean(&found.plan), out, plural(judged, "number")),
    }
}

/// What was run, on what.
fn facts(one: &Validated) -> [(&'static str, String); 3] {
    let found = &one.found;
    let peak = rate(found.matmul_peak);
    [
        ("plan", one.file.clone()),
        ("ran", found.why.clone()),
        ("device", format!("{}, {}; best matrix product {peak}", found.device, found.precision)),
    ]
}

fn title(run: &Ran) -> String {
    let tokens = grouped(u128::from(run.tokens));
    format!("{}, {tokens} tokens a step", clean(&run.label))
}

fn table(title: &str, rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        (title, Align::Left),
        ("predicted", Align::Right),
        ("measured", Align::Right),
        ("error", Align::Right),
        ("tolerance", Align::Right),
        ("", Align::Left),
    ]);
    for row in rows {
        let predicted = row.predicted.map(|value| number(value, row.unit)).unwrap_or_default();
        let verdict = match (row.tolerance, row.holds) {
            (Tolerance::Told, _) => "",
            (_, true) => "holds",
            (_, false) => "OUT",
        };
        table.push([
            &row.quantity,
            &predicted,
            &number(row.measured, row.unit),
            &error(row),
            &tolerance(row.tolerance),
            verdict,
        ]);
    }
    table
}

/// What slices and proxies say of the whole.
fn law(found: &Validation) -> Option<String> {
    if found.extent != Extent::Proxies {
        return None;
    }
    let Some(fit) = found.fit else {
        return Some("Times of the proxies follow no law: too few sizes, or too short times.".to_owned());
    };
    let error = match fit.error {
        Some(error) => format!("standard error {}", percent(error)),
        None => "two sizes, so no error is known".to_owned(),
    };
    Some(format!(
        "Time of a step over {} sizes: {} s + FLOPs / {}; {error}.",
        fit.points,
        plain(fit.overhead, 3),
        rate(fit.rate)
    ))
}

fn rate(flops: f64) -> String {
    quantity(Number::Real(flops), Unit::FLOP_PER_SECOND, 4, BytePrefix::Decimal)
}

fn number(value: Amount, unit: Measure) -> String {
    match (unit, value) {
        (Measure::Count | Measure::Flop | Measure::Bytes, Amount::Count(count)) => grouped(count),
        (Measure::Count | Measure::Flop | Measure::Bytes, Amount::Real(real)) => grouped(real as u128),
        (Measure::Seconds, value) => format!("{} s", plain(value.real(), 4)),
        (Measure::FlopPerSecond, value) => rate(value.real()),
        (Measure::Ratio, value) => percent(value.real()),
    }
}

fn error(row: &Row) -> String {
    match (row.predicted, row.error()) {
        (None, _) => String::new(),
        (Some(_), Some(0.0)) => "0".to_owned(),
        (Some(_), Some(error)) => signed_percent(error),
        (Some(_), None) => "not 0".to_owned(),
    }
}

fn tolerance(tolerance: Tolerance) -> String {
    match tolerance {
        Tolerance::Exact => "exact".to_owned(),
        Tolerance::Share(share) => percent(share),
        Tolerance::Told => String::new(),
    }
}
