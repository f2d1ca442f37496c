//! Words for what a fit is and why there is none.

use llmplan_analysis::scaling::Parametric;
use llmplan_analysis::scaling::fit::{FEWEST, Rule, Unfit};
use llmplan_spec::units::format::{grouped, plain};

use super::columns::Read;
use super::{Fault, Fitted};
use crate::render::verdict::plural;

/// Why runs have no law.
pub(super) fn unfit(unfit: &Unfit, read: &Read, dropped: usize) -> Fault {
    match unfit {
        Unfit::TooFew(count) => {
            let left = if dropped > 0 {
                format!(" of {}, {dropped} left out", read.runs.len())
            } else {
                String::new()
            };
            let runs = if *count == 1 { "there is 1 run" } else { "there are" };
            let message =
                if *count == 1 { format!("{runs}{left}") } else { format!("{runs} {count} runs{left}") };
            Fault::new(format!("{message}, and a law has {FEWEST} constants"))
                .help("about 50 runs of several sizes and lengths make a law")
        }
        Unfit::Levels { of, values } => {
            let shown: Vec<String> = values.iter().map(|value| plain(*value, 4)).collect();
            let (term, constants) =
                if *of == "N" { ("A/N^α", "A, α and E") } else { ("B/D^β", "B, β and E") };
            let count = plural(values.len(), "value");
            Fault::new(format!(
                "{of} has only {count} in these runs, {}: {constants} cannot be told apart",
                shown.join(" and ")
            ))
            .help(&format!("{term} needs three values of {of} that are more than 1% apart"))
        }
        Unfit::NotPositive(run) => Fault::new(format!(
            "a run has {} parameters, {} tokens and a loss of {}: not all are positive",
            run.params, run.tokens, run.loss
        )),
        Unfit::NotFalling(of) => Fault::new(format!("in these runs the loss does not fall as {of} grows"))
            .help("are the columns the right ones, and the runs comparable? `--columns`, `--filter`"),
    }
}

/// Which runs are left out, in words and as what was asked for.
pub(super) fn rule(fitted: &Fitted) -> String {
    let (kept, all) = (grouped(fitted.runs.len() as u128), grouped(fitted.read.runs.len() as u128));
    let dropped = grouped(fitted.dropped as u128);
    match fitted.rule {
        Rule::All => format!("{kept}, none left out"),
        Rule::Highest(count) => {
            format!("{kept} of {all}: {dropped} left out, the highest losses (--drop-highest {count})")
        }
        Rule::TokensPerParam(least) => format!(
            "{kept} of {all}: {dropped} left out, fewer than {least} tokens per parameter (--min-tokens-per-param {least})",
            least = plain(least, 6)
        ),
    }
}

/// `L = 1.817 + 477.8/N^0.3473 + 2,143/D^0.3672`
pub(super) fn formula(law: &Parametric) -> String {
    format!(
        "L = {} + {}/N^{} + {}/D^{}",
        plain(law.e, 4),
        plain(law.a, 4),
        plain(law.alpha, 4),
        plain(law.b, 4),
        plain(law.beta, 4)
    )
}
