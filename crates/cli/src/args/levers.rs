//! The arguments of `llmplan levers`.

use clap::Args;

use super::{SearchFormat, setting};

const LEVERS_EXAMPLES: &str = "\
Examples:
  llmplan levers plan.llm
  llmplan levers plan.llm --all
  llmplan levers plan.llm --set training.mfu=45% --format json

Exit codes:
  0  tried
  1  the plan is at fault
  2  wrong usage, or a file that cannot be read";

/// Show what each single change does to a plan: time, memory, cost and loss.
///
/// Of every lever, from the shape of the model to how it is served, the best change is shown; the first is worth the most
/// of what the plan lacks most.
#[derive(Args, Debug)]
#[command(after_help = LEVERS_EXAMPLES)]
pub(crate) struct LeversArgs {
    /// A plan, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: String,

    /// Which plan of the file, where there are several; the first if left out
    #[arg(long, value_name = "NAME")]
    pub(crate) plan: Option<String>,

    /// Set an attribute without editing the plan. May be repeated
    #[arg(long, value_name = "PATH=VALUE", value_parser = setting)]
    pub(crate) set: Vec<String>,

    /// Show all levers that change something, and why some cannot be pulled (text)
    #[arg(long)]
    pub(crate) all: bool,

    /// How to print the levers
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SearchFormat::Text)]
    pub(crate) format: SearchFormat,
}
