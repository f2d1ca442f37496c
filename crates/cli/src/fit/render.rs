//! A fit as text.

use llmplan_analysis::scaling::Parametric;
use llmplan_analysis::scaling::fit::{HeldOut, Range};
use llmplan_analysis::scaling::isoflop::{Approach, FEWEST_SIZES, Flaw, Power};
use llmplan_spec::units::format::{BytePrefix, grouped, percent, plain, quantity, round, signed_percent};
use llmplan_spec::units::{Number, Unit};

use super::Fitted;
use super::words::{formula, rule};
use crate::args::{Counted, FitArgs};
use crate::render::paint::Paint;
use crate::render::table::{Align, Table};
use crate::render::verdict::plural;
use crate::render::{WIDTH, clean, wrapped};

/// Columns of the words in front of the head's lines.
const LABEL: usize = 12;

/// The fit as text of at most [`WIDTH`] columns.
pub(crate) fn text(fitted: &Fitted, name: &str, file: &str, args: &FitArgs, paint: Paint) -> String {
    let doubtful = !fitted.doubts.is_empty();
    let word = if doubtful { paint.bad("DOUBTFUL") } else { paint.good("FITTED") };
    let mut text = format!("{word} {}: {}\n", clean(name), formula(&fitted.fit.law));
    for (word, line) in head(fitted, file, args) {
        for (at, line) in wrapped(&clean(&line), WIDTH - 4 - LABEL).iter().enumerate() {
            text.push_str(&format!("  {:<LABEL$}  {line}\n", if at == 0 { word } else { "" }));
        }
    }
    let mut tables = vec![constants(fitted), optima(fitted)];
    tables.extend(checks(fitted));
    tables.extend(fitted.approach.as_ref().map(budgets));
    for table in tables {
        text.push('\n');
        text.push_str(&table.without_empty_columns().text(WIDTH, paint));
    }
    for note in notes(fitted, args) {
        text.push('\n');
        wrapped(&clean(&note), WIDTH - 2).iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text
}

fn head(fitted: &Fitted, file: &str, args: &FitArgs) -> Vec<(&'static str, String)> {
    let columns: Vec<String> = fitted
        .read
        .columns
        .iter()
        .map(
            |(role, name)| {
                if role.word() == name { name.clone() } else { format!("{} = `{name}`", role.word()) }
            },
        )
        .collect();
    let mut runs = rule(fitted);
    if fitted.read.rows > fitted.read.runs.len() {
        runs.push_str(&format!(
            "; {} rows by --filter",
            grouped((fitted.read.rows - fitted.read.runs.len()) as u128)
        ));
    }
    let counted = match args.params {
        Counted::Total => "all parameters (--params total)",
        Counted::NonEmbedding => "without embeddings (--params non_embedding)",
    };
    let ranges = &fitted.ranges;
    let mut lines = vec![
        ("file", file.to_owned()),
        ("runs", runs),
        ("columns", columns.join(", ")),
        ("N", format!("{} params, {counted}", span(ranges.params, short))),
        ("D", format!("{} tokens", span(ranges.tokens, short))),
        ("C = 6ND", format!("{} FLOP", span(ranges.flops, compute))),
        (
            "objective",
            format!(
                "{}, the sum of Huber losses of ln L with delta {}",
                plain(fitted.fit.objective, 7),
                args.delta
            ),
        ),
        ("losses", tokenizer(args)),
    ];
    if args.bootstrap > 0 {
        let failed = fitted.bootstrap.failed;
        let failed =
            if failed > 0 { format!(", {} without a law", grouped(failed as u128)) } else { String::new() };
        let count = grouped(args.bootstrap.into());
        lines.push((
            "intervals",
            format!(
                "95% of {count} resamples{failed} (--bootstrap {}, --seed {})",
                args.bootstrap, args.seed
            ),
        ));
    }
    lines
}

/// What the losses are in.
fn tokenizer(args: &FitArgs) -> String {
    let of = args
        .tokenizer
        .as_ref()
        .map_or(", of a tokenizer that --tokenizer names".to_owned(), |own| format!(" of `{own}`"));
    let bytes = args.bytes_per_token.map_or(String::new(), |own| format!(", {own} bytes each"));
    format!("nats per token{of}{bytes}")
}

/// The constants. Alone, A and B mean little: each undoes the other constant of its term.
fn constants(fitted: &Fitted) -> Table {
    let mut table = Table::new(&[
        ("Constant", Align::Left),
        ("value", Align::Right),
        ("from", Align::Right),
        ("to", Align::Right),
        ("", Align::Prose),
    ]);
    let law = &fitted.fit.law;
    type Row = (&'static str, fn(&Parametric) -> f64, &'static str);
    let rows: [Row; 6] = [
        ("E", |law| law.e, "nats per token that no model gets below"),
        ("α", |law| law.alpha, "exponent of parameters"),
        ("β", |law| law.beta, "exponent of tokens"),
        ("a = β/(α+β)", Parametric::exponent, "N* grows as C^a, D* as C^(1−a)"),
        ("A", |law| law.a, "means little without α"),
        ("B", |law| law.b, "means little without β"),
    ];
    for (name, of, meaning) in rows {
        let interval = fitted.bootstrap.interval(of);
        let end = |value: Option<f64>| value.map_or(String::new(), |value| constant(value, 4));
        table.push([
            name,
            &constant(of(law), 5),
            &end(interval.map(|own| own.low)),
            &end(interval.map(|own| own.high)),
            meaning,
        ]);
    }
    table
}

/// What the law is for.
fn optima(fitted: &Fitted) -> Table {
    let mut table = Table::new(&[
        ("Compute", Align::Right),
        ("N*", Align::Right),
        ("D*", Align::Right),
        ("tokens per\nparameter", Align::Right),
        ("L*", Align::Right),
        ("beyond\nthe runs", Align::Right),
    ]);
    for flops in &fitted.at {
        let optimum = fitted.fit.law.optimum(*flops);
        let beyond = fitted.ranges.flops.beyond(*flops);
        let ratio = optimum.tokens / optimum.params;
        table.push([
            &format!("{} FLOP", compute(*flops)),
            &short(optimum.params),
            &short(optimum.tokens),
            &plain(ratio, 3),
            &plain(optimum.loss, 4),
            &if beyond > 1.0 { format!("×{}", plain(beyond, 3)) } else { "within".to_owned() },
        ]);
        let ends = |of: &dyn Fn(&Parametric) -> f64, show: &dyn Fn(f64) -> String| {
            let interval = fitted.bootstrap.interval(of);
            interval.map_or(String::new(), |own| format!("{} to {}", show(own.low), show(own.high)))
        };
        let at = |law: &Parametric| law.optimum(*flops);
        if !fitted.bootstrap.laws.is_empty() {
            table.push([
                "95%",
                &ends(&|law| at(law).params, &short),
                &ends(&|law| at(law).tokens, &short),
                &ends(&|law| at(law).tokens / at(law).params, &|value| plain(value, 3)),
                &ends(&|law| at(law).loss, &|value| plain(value, 4)),
                "",
            ]);
        }
    }
    table
}

/// What the law says of runs that it has not seen.
fn checks(fitted: &Fitted) -> Option<Table> {
    let mut table = Table::new(&[
        ("Predicted", Align::Left),
        ("runs", Align::Right),
        ("from", Align::Right),
        ("mean\nerror", Align::Right),
        ("bias", Align::Right),
        ("worst", Align::Right),
        ("", Align::Prose),
    ]);
    let held =
        fitted.held_out.as_ref().map(|own| ("the most compute", own, "a tenth, by a law of the others"));
    let folds = fitted.folds.as_ref().map(|own| ("each by others", own, "a fifth at a time"));
    for (name, own, meaning) in [held, folds].into_iter().flatten() {
        let HeldOut { fitted: seen, predictions } = own;
        let worst = own.worst().map_or(String::new(), |own| signed_percent(own.error()));
        table.push([
            name,
            &grouped(predictions.len() as u128),
            &grouped(*seen as u128),
            &percent(own.mean_error()),
            &signed_percent(own.bias()),
            &worst,
            meaning,
        ]);
    }
    (!table.rows.is_empty()).then_some(table)
}

fn budgets(approach: &Approach) -> Table {
    let mut table = Table::new(&[
        ("Parabola at", Align::Right),
        ("runs", Align::Right),
        ("N*", Align::Right),
        ("D*", Align::Right),
        ("L*", Align::Right),
        ("", Align::Prose),
    ]);
    for budget in &approach.budgets {
        let (params, tokens, loss, flaw) = match budget.lowest {
            Ok(lowest) => (short(lowest.params), short(lowest.tokens), plain(lowest.loss, 4), String::new()),
            // So few are no budget.
            Err(Flaw::TooFew(_)) if budget.runs < FEWEST_SIZES => continue,
            Err(flaw) => (String::new(), String::new(), String::new(), words(flaw)),
        };
        table.push([
            &format!("{} FLOP", compute(budget.flops)),
            &grouped(budget.runs as u128),
            &params,
            &tokens,
            &loss,
            &flaw,
        ]);
    }
    table
}

fn words(flaw: Flaw) -> String {
    match flaw {
        Flaw::TooFew(sizes) => {
            format!("{} near its lowest loss, and a parabola needs {FEWEST_SIZES}", plural(sizes, "size"))
        }
        Flaw::Concave => "loss has no lowest point".to_owned(),
        Flaw::Outside { params, trained } => format!(
            "lowest at {}, outside of {} to {}",
            short(params),
            short(trained.low),
            short(trained.high)
        ),
    }
}

fn notes(fitted: &Fitted, args: &FitArgs) -> Vec<String> {
    let mut notes: Vec<String> = fitted
        .doubts
        .iter()
        .map(|doubt| format!("Doubtful ({}): {}. {}.", doubt.name, doubt.message, capital(doubt.help)))
        .collect();
    if let Some(Approach { params: Some(params), tokens: Some(tokens), .. }) = &fitted.approach {
        notes.push(format!(
            "Through the lowest points of parabolas: N* = {}, D* = {} (Approach 2 of Hoffmann 2022). The law above has \
             N* growing as C^{}.",
            power(params),
            power(tokens),
            plain(fitted.fit.law.exponent(), 3)
        ));
    }
    if fitted.read.derived > 0 {
        let count = plural(fitted.read.derived, "run");
        notes.push(format!("{count} without tokens: D = C/(6N) from the FLOPs."));
    }
    if fitted.read.other_flops > 0 {
        let count = plural(fitted.read.other_flops, "run");
        notes.push(format!(
            "{count} with FLOPs that are more than 10% off 6ND: they count attention, or other parameters than N does. \
             The law has C = 6ND."
        ));
    }
    if args.bootstrap > 0 && fitted.bootstrap.laws.len() < 100 {
        notes.push("Fewer than 100 resamples: their 2.5th percentile is a guess.".to_owned());
    }
    notes
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

fn power(own: &Power) -> String {
    format!("{} · C^{}", plain(own.coefficient, 3), plain(own.exponent, 3))
}

fn span(range: Range, show: fn(f64) -> String) -> String {
    format!("{} to {}", show(range.low), show(range.high))
}

/// A constant: A and B may be of any size.
fn constant(value: f64, digits: usize) -> String {
    if value < 1e6 { plain(value, digits) } else { format!("{:e}", round(value, 3)) }
}

/// A number of parameters or tokens: `73.2B`.
fn short(value: f64) -> String {
    quantity(Number::Real(value), Unit::NONE, 3, BytePrefix::Decimal)
}

/// Compute without its unit, as powers of ten at any size: `5.76e23`.
fn compute(flops: f64) -> String {
    format!("{:e}", round(flops, 3))
}
