//! The command line of `llmplan budget`.

use clap::{Args, ValueEnum};

use super::setting;

const BUDGET_EXAMPLES: &str = "\
Examples:
  llmplan budget plan.llm
  llmplan budget plan.llm --budget 'compute=5.76e23 FLOP'
  llmplan budget plan.llm --budget 'cost=$2M' --budget 'time=60 days' --law besiroglu
  llmplan budget plan.llm --objective lifetime --format json
  llmplan budget plan.llm --apply

Exit codes:
  0  found; with --apply: written
  1  nothing fits the budget, there is none, or the plan is at fault
  2  wrong usage, or a file that cannot be read or written";

/// Find the best model for what there is to spend.
///
/// The tightest limit of the plan's `budget` becomes FLOP on its hardware, at its efficiency; the plan's scaling law says how
/// many parameters and tokens are best for them, with the data there is; and those parameters become a shape like the
/// plan's model, within 1%.
#[derive(Args, Debug)]
#[command(after_help = BUDGET_EXAMPLES)]
pub(crate) struct BudgetArgs {
    /// A plan with a `budget`, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: String,

    /// What the budget pays for
    #[arg(long, value_name = "OBJECTIVE", value_enum, default_value_t = Paid::Training)]
    pub(crate) objective: Paid,

    /// A limit: compute, device_hours, cost, time or energy. May be repeated
    #[arg(long, value_name = "LIMIT=AMOUNT", value_parser = limit)]
    pub(crate) budget: Vec<String>,

    /// The scaling law to go by; the plan's own if left out
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) law: Option<String>,

    /// Write the shape and its tokens into the plan, with comments and layout kept
    #[arg(long, conflicts_with_all = ["set", "budget", "law"])]
    pub(crate) apply: bool,

    /// Where the shape does not fit the devices as the plan divides it, search for a strategy that does
    #[arg(long)]
    pub(crate) search: bool,

    /// Which plan of the file, where there are several; the first if left out
    #[arg(long, value_name = "NAME")]
    pub(crate) plan: Option<String>,

    /// Set an attribute without editing the plan. May be repeated
    #[arg(long, value_name = "PATH=VALUE", value_parser = setting)]
    pub(crate) set: Vec<String>,

    /// How to print the result
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = BudgetFormat::Text)]
    pub(crate) format: BudgetFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BudgetFormat {
    /// Tables of at most 100 columns
    Text,
    /// One object with every number in SI base units
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Paid {
    /// Training alone
    Training,
    /// Training and the tokens of `inference.demand`
    Lifetime,
}

/// `LIMIT=AMOUNT` as a statement of the language: `budget.LIMIT = AMOUNT`.
fn limit(text: &str) -> Result<String, String> {
    const LIMITS: [&str; 5] = ["compute", "device_hours", "cost", "time", "energy"];
    let statement = setting(text)?;
    let word = statement.split(' ').next().unwrap_or_default();
    let word = word.strip_prefix("budget.").unwrap_or(word);
    if !LIMITS.contains(&word) {
        return Err(format!("`{word}` is no limit; write one of {}", LIMITS.join(", ")));
    }
    let rest = statement.strip_prefix("budget.").unwrap_or(&statement);
    Ok(format!("budget.{rest}"))
}

/// The name of a block.
fn name(text: &str) -> Result<String, String> {
    let within = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    match !text.is_empty() && text.chars().all(within) {
        true => Ok(text.to_owned()),
        false => Err("it is no name".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_becomes_a_statement() {
        assert_eq!(limit("compute=1e21 FLOP").unwrap(), "budget.compute = 1e21 FLOP");
        assert_eq!(limit("budget.time = 3 days").unwrap(), "budget.time = 3 days");
        assert!(limit("money=$3").is_err() && limit("compute").is_err());
        assert!(name("chinchilla_refit").is_ok() && name("a b").is_err() && name("").is_err());
    }
}
