//! The law as a block of the language, with where it is from.

use llmplan_analysis::scaling::fit::Range;
use llmplan_spec::format::format;
use llmplan_spec::source::FileId;
use llmplan_spec::units::format::{literal, plain, round};

use super::Fitted;
use super::words::{formula, rule};
use crate::args::{Counted, FitArgs};
use crate::render::{clean, wrapped};

/// Columns of a comment, its mark left out.
const WIDTH: usize = 98;
/// Digits of constants: more than runs determine, enough to be the same law.
const DIGITS: usize = 10;

/// The block `law NAME { … }` in its canonical layout, behind comments.
pub(crate) fn law(fitted: &Fitted, name: &str, file: &str, args: &FitArgs) -> String {
    let law = &fitted.fit.law;
    let mut text = String::new();
    for line in comments(fitted, file, args) {
        for (at, line) in wrapped(&clean(&line), WIDTH - 2).iter().enumerate() {
            text.push_str(if at == 0 { "# " } else { "#   " });
            text.push_str(line);
            text.push('\n');
        }
    }
    text.push_str(&format!("\nlaw {name} {{\nform = parametric\n"));
    for (name, value) in [("e", law.e), ("a", law.a), ("b", law.b), ("alpha", law.alpha), ("beta", law.beta)]
    {
        text.push_str(&format!("{name} = {}\n", round(value, DIGITS)));
    }
    if args.params == Counted::NonEmbedding {
        text.push_str(&format!("params = {}\n", args.params.word()));
    }
    if let Some(tokenizer) = &args.tokenizer {
        text.push_str(&format!("tokenizer = \"{}\"\n", quoted(tokenizer)));
    }
    if let Some(bytes) = args.bytes_per_token {
        text.push_str(&format!("bytes_per_token = {bytes} bytes\n"));
    }
    let ranges = &fitted.ranges;
    for (name, Range { low, high }) in [("params", ranges.params), ("tokens", ranges.tokens)] {
        text.push_str(&format!("{name}_low = {}\n{name}_high = {}\n", whole(low), whole(high)));
    }
    let Range { low, high } = ranges.flops;
    text.push_str(&format!("compute_low = {} FLOP\ncompute_high = {} FLOP\n", compute(low), compute(high)));
    if let Some(triangle) = fitted.bootstrap.covariance().filter(|own| own.iter().all(|own| own.is_finite()))
    {
        text.push_str("covariance = [\n");
        let mut rest = triangle.as_slice();
        for row in 1..=5 {
            let (own, others) = rest.split_at(row.min(rest.len()));
            let numbers: Vec<String> = own.iter().map(|own| round(*own, DIGITS).to_string()).collect();
            text.push_str(&format!("{},\n", numbers.join(", ")));
            rest = others;
        }
        text.push_str("]\n");
    }
    text.push_str(&format!("source = \"fitted to {} runs of {}\"\n}}\n", fitted.runs.len(), quoted(file)));
    format(&text, FileId(0)).text
}

/// How the law came about.
fn comments(fitted: &Fitted, file: &str, args: &FitArgs) -> Vec<String> {
    let columns: Vec<String> =
        fitted.read.columns.iter().map(|(role, name)| format!("{} = `{name}`", role.word())).collect();
    let mut lines = vec![
        format!("Fitted to {file} by `llmplan fit`: {}.", formula(&fitted.fit.law)),
        format!("Runs: {}. Columns: {}.", rule(fitted), columns.join(", ")),
    ];
    let filters: Vec<String> =
        args.filter.iter().map(|(name, value)| format!("`{name}` = `{value}`")).collect();
    if !filters.is_empty() {
        lines.push(format!("Only rows with {}.", filters.join(" and ")));
    }
    lines.push(format!(
        "Objective: {} = sum of Huber losses of ln L, delta {} (Hoffmann 2022 eq. 3).",
        plain(fitted.fit.objective, DIGITS),
        args.delta
    ));
    if args.bootstrap > 0 {
        lines.push(format!(
            "Covariance: {} resamples, seed {}; of ln A, ln B, E, alpha, beta, lower triangle.",
            fitted.bootstrap.laws.len(),
            args.seed
        ));
    }
    for doubt in &fitted.doubts {
        lines.push(format!("Doubtful: {}.", doubt.message));
    }
    lines
}

/// A text between quotes: what would end it is left out.
fn quoted(text: &str) -> String {
    clean(text).replace(['"', '\\'], "'")
}

/// At least 1: a bound of the language counts whole parameters and tokens.
fn whole(value: f64) -> String {
    literal((value.round() as u128).max(1))
}

/// Four digits are enough for where runs end.
fn compute(flops: f64) -> String {
    format!("{:e}", round(flops, 4))
}
