//! The command line: flags, help and examples. Nothing here acts.

mod budget;
mod fit;
mod levers;

pub(crate) use budget::{BudgetArgs, BudgetFormat, Paid};
pub(crate) use levers::LeversArgs;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::amount;

pub(crate) use fit::{Counted, FitArgs, FitFormat, Role};

const EXIT_CODES: &str = "\
Examples:
  llmplan check plan.llm
  llmplan explain plan.llm memory.optimizer
  llmplan docs training
  llmplan catalog

Exit codes:
  0    fine
  1    the plan is at fault: an error in it, a broken `require`, or `fmt --check` would change it
  2    the command line, a file or a stream is at fault
  101  a bug of llmplan's own";

const CHECK_EXAMPLES: &str = "\
Examples:
  llmplan check plan.llm
  llmplan check 'plans/*.llm' --brief
  llmplan check plan.llm --set training.mfu=50%
  llmplan check plan.llm --set training.micro_batch=1,2,4 --format csv
  llmplan check plan.llm --fix
  cat plan.llm | llmplan check - --format json

Exit codes:
  0  every plan is sound and every `require` holds
  1  a plan has an error, or a `require` is broken
  2  wrong usage, or a file that cannot be read";

const FMT_EXAMPLES: &str = "\
Examples:
  llmplan fmt plan.llm
  llmplan fmt 'plans/**/*.llm' --check
  llmplan fmt - < plan.llm > tidy.llm

Exit codes:
  0  every file has its canonical layout now, or had it before
  1  a file has a statement that cannot be read; with --check or --diff: a file would change
  2  wrong usage, or a file that cannot be read or written";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  llmplan explain plan.llm memory.optimizer
  llmplan explain plan.llm training.cost --format json
  llmplan explain unknown-attribute

Exit codes:
  0  explained
  1  the plan is at fault, or has no such quantity
  2  wrong usage, an unknown code, or a file that cannot be read";

const IMPORT_EXAMPLES: &str = "\
Examples:
  llmplan import config.json
  llmplan import config.json -o model.llm --name mine
  llmplan import config.json --as llama
  llmplan import - < config.json | llmplan check -

Exit codes:
  0  imported
  1  the configuration is at fault, or the language has no words for its model
  2  wrong usage, or a file that cannot be read or written";

const VERIFY_EXAMPLES: &str = "\
Examples:
  llmplan verify model.llm model.safetensors
  llmplan verify model.llm model.safetensors.index.json
  llmplan verify plan.llm checkpoints/step-1000/ --format json

Exit codes:
  0  plan and checkpoint have the same tensors
  1  they differ, or the plan is at fault
  2  wrong usage, or a file that cannot be read or breaks its format";

const VALIDATE_EXAMPLES: &str = "\
Examples:
  llmplan validate plan.llm
  llmplan validate 'plans/*.llm' --budget 2min --memory 8GiB
  llmplan validate plan.llm --set training.micro_batch=1 --format json
  llmplan validate plan.llm --device cuda:1 --write mine.measured.llm

Exit codes:
  0  every number is within its tolerance
  1  a number is not, or the plan is at fault
  2  wrong usage, a device that cannot be used, or a file that cannot be read or written";

const SEARCH_EXAMPLES: &str = "\
Examples:
  llmplan search plan.llm
  llmplan search plan.llm --objective cost --format json
  llmplan search plan.llm --keep schedule,offload
  llmplan search plan.llm --objective memory --apply

Exit codes:
  0  found; with --apply: written
  1  nothing fits or meets the requirements, or the plan is at fault
  2  wrong usage, or a file that cannot be read or written";

const DOCS_EXAMPLES: &str = "\
Topics:
  a block (`training`), an attribute or quantity (`training.mfu`), `units`
  codes   every diagnostic, with one line each
  schema  the JSON schema of `llmplan check --format json`

Examples:
  llmplan docs
  llmplan docs model.attention.kv_heads
  llmplan docs schema > check.schema.json

Exit codes:
  0  printed
  2  there is no such topic";

const CATALOG_EXAMPLES: &str = "\
Examples:
  llmplan catalog
  llmplan catalog list devices --format json
  llmplan catalog show h100-sxm
  llmplan catalog show h100-sxm > mine.llm

Exit codes:
  0  printed
  2  wrong usage, or a name that is not in the catalog";

/// What `--version` prints behind the name. The companion tells itself apart, so that it is not taken for another build.
pub(crate) const VERSION: &str = if cfg!(feature = "cuda") {
    concat!(env!("CARGO_PKG_VERSION"), " (cuda)")
} else {
    env!("CARGO_PKG_VERSION")
};

/// Plans the training of language models: a `.llm` file becomes exact parameters, memory, FLOPs, time and cost.
#[derive(Debug, Parser)]
#[command(name = "llmplan", version = VERSION, max_term_width = 100, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// When to colour; `auto` is on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto, global = true)]
    pub(crate) color: Color,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(CheckArgs),
    Fmt(FmtArgs),
    Explain(ExplainArgs),
    Import(ImportArgs),
    Verify(VerifyArgs),
    Validate(ValidateArgs),
    Search(SearchArgs),
    Fit(FitArgs),
    Levers(LeversArgs),
    Budget(BudgetArgs),
    Docs(DocsArgs),
    Catalog(CatalogArgs),
}

/// Check plans and print their reports.
///
/// A plan with lists (`micro_batch = [1, 2, 4]`, or --set with commas) gives one table that compares its variants.
#[derive(Args, Debug)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct CheckArgs {
    /// Plans: files, patterns in quotes such as 'plans/*.llm', or - for standard input
    #[arg(value_name = "FILES", required = true)]
    pub(crate) files: Vec<String>,

    /// Set an attribute without editing the plan; commas make a list of variants. May be repeated
    #[arg(long, value_name = "PATH=VALUE", value_parser = setting)]
    pub(crate) set: Vec<String>,

    /// How to print the report
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Print the verdict and the headline numbers only (text and markdown)
    #[arg(long)]
    pub(crate) brief: bool,

    /// Write the smallest changes that meet broken requirements into the plan, one after the other, and print them as a
    /// unified diff. Only in files with one plan, and none whose loss would have to be measured
    #[arg(long, conflicts_with = "set")]
    pub(crate) fix: bool,
}

/// Bring plans into their canonical layout.
///
/// Files are rewritten in place, and the names of those that changed are printed. There are no options: two spaces, one
/// statement a line, nothing aligned. A statement that cannot be read stays as it is.
#[derive(Args, Debug)]
#[command(after_help = FMT_EXAMPLES)]
pub(crate) struct FmtArgs {
    /// Plans: files, patterns in quotes, or - to format standard input to standard output
    #[arg(value_name = "FILES", required = true)]
    pub(crate) files: Vec<String>,

    /// Write nothing; list the files that would change
    #[arg(long)]
    pub(crate) check: bool,

    /// Write nothing; print what would change as a unified diff
    #[arg(long)]
    pub(crate) diff: bool,
}

/// Show how a number comes about, or what a diagnostic means.
///
/// With a file and a path: the formula, the numbers put in, the source, and the same for every number it rests on. With
/// the code of a diagnostic alone: what it means and what to do.
#[derive(Args, Debug)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub(crate) struct ExplainArgs {
    /// A plan (- for standard input), or the code of a diagnostic
    #[arg(value_name = "FILE|CODE")]
    pub(crate) subject: String,

    /// The quantity to explain, such as memory.optimizer
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<String>,

    /// Which plan of the file, where there are several; the first if left out
    #[arg(long, value_name = "NAME", requires = "path")]
    pub(crate) plan: Option<String>,

    /// Set an attribute without editing the plan. May be repeated
    #[arg(long, value_name = "PATH=VALUE", value_parser = setting, requires = "path")]
    pub(crate) set: Vec<String>,

    /// How to print the derivation
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = TreeFormat::Text)]
    pub(crate) format: TreeFormat,
}

/// Make a model from a Hugging Face `config.json`.
///
/// The model is printed in its canonical layout. Comments above it say which fields were read, which were left out and so
/// have the default of their model type, and which mean nothing here.
#[derive(Args, Debug)]
#[command(after_help = IMPORT_EXAMPLES)]
pub(crate) struct ImportArgs {
    /// The configuration, or - for standard input
    #[arg(value_name = "CONFIG")]
    pub(crate) file: String,

    /// Read it as this model type, whatever it says it is
    #[arg(long = "as", value_name = "TYPE")]
    pub(crate) kind: Option<String>,

    /// What to call the model; as the configuration or its file is called if left out
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Write the model to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<String>,
}

/// Compare a model with a checkpoint, tensor by tensor.
///
/// Of safetensors files only the headers are read: names, shapes and types. Names are those of Hugging Face. A matrix may
/// be stored either way round, fused with others or split by expert; biases, buffers and tied embeddings count.
#[derive(Args, Debug)]
#[command(after_help = VERIFY_EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// A plan, or - for standard input
    #[arg(value_name = "PLAN")]
    pub(crate) plan_file: String,

    /// A safetensors file, the index of several (model.safetensors.index.json), or a folder with either
    #[arg(value_name = "CHECKPOINT")]
    pub(crate) checkpoint: String,

    /// Which plan of the file, where there are several; the first if left out
    #[arg(long, value_name = "NAME")]
    pub(crate) plan: Option<String>,

    /// Set an attribute without editing the plan. May be repeated
    #[arg(long, value_name = "PATH=VALUE", value_parser = setting)]
    pub(crate) set: Vec<String>,

    /// How to print what was found
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = VerifyFormat::Text)]
    pub(crate) format: VerifyFormat,

    /// Print the verdict only (text)
    #[arg(long)]
    pub(crate) brief: bool,
}

/// Run a model, and compare what it takes with what was predicted.
///
/// Parameters, FLOPs and bytes must be equal; times are measured. What is too large for the budget or the memory runs in
/// slices or scaled down, and the report says so.
#[derive(Args, Debug)]
#[command(after_help = VALIDATE_EXAMPLES)]
pub(crate) struct ValidateArgs {
    /// Plans: files, patterns in quotes such as 'plans/*.llm', or - for standard input
    #[arg(value_name = "FILES", required = true)]
    pub(crate) files: Vec<String>,

    /// Only plans of this name; all if left out
    #[arg(long, value_name = "NAME")]
    pub(crate) plan: Option<String>,

    /// Set an attribute without editing the plan. May be repeated
    #[arg(long, value_name = "PATH=VALUE", value_parser = setting)]
    pub(crate) set: Vec<String>,

    /// What to run on: cpu, cuda, cuda:1 and so on, or metal
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: String,

    /// The time for all plans together, such as 60s or 2min
    #[arg(long, value_name = "TIME", value_parser = amount::seconds, default_value = "60s")]
    pub(crate) budget: f64,

    /// The most memory to use, such as 8GiB; 90% of what is free if left out
    #[arg(long, value_name = "BYTES", value_parser = amount::bytes)]
    pub(crate) memory: Option<u64>,

    /// How many training steps are timed; the median counts
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000), default_value_t = 5)]
    pub(crate) steps: u32,

    /// How to print the report
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ListFormat::Text)]
    pub(crate) format: ListFormat,

    /// Write what was measured to a file that plans can cite
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<String>,
}

/// Find the best way to divide a training over its devices.
///
/// Every degree of parallelism, ZeRO, micro-batch, schedule, checkpointing and offloading that the model and the devices
/// allow is looked at. Printed are the best, what nothing else beats in time and memory, and what bound the rest.
#[derive(Args, Debug)]
#[command(after_help = SEARCH_EXAMPLES)]
pub(crate) struct SearchArgs {
    /// A plan with `training`, `hardware` and a `global_batch`, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: String,

    /// What to look for. `cost` and `devices` look at fewer devices than the plan has, too
    #[arg(long, value_name = "OBJECTIVE", value_enum, default_value_t = Wanted::Time)]
    pub(crate) objective: Wanted,

    /// What to leave as the plan has it; names with commas between
    #[arg(long, value_name = "NAMES", value_enum, value_delimiter = ',')]
    pub(crate) keep: Vec<Kept>,

    /// Write the best into the plan: only what differs, with comments and layout kept
    #[arg(long, conflicts_with = "set")]
    pub(crate) apply: bool,

    /// Which plan of the file, where there are several; the first if left out
    #[arg(long, value_name = "NAME")]
    pub(crate) plan: Option<String>,

    /// Set an attribute without editing the plan. May be repeated
    #[arg(long, value_name = "PATH=VALUE", value_parser = setting)]
    pub(crate) set: Vec<String>,

    /// How many threads to use; one for each core if left out. The result is the same
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// How to print what was found
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SearchFormat::Text)]
    pub(crate) format: SearchFormat,
}

/// Print the language reference.
#[derive(Args, Debug)]
#[command(after_help = DOCS_EXAMPLES)]
pub(crate) struct DocsArgs {
    /// What to print; the whole reference if left out
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
}

/// List the built-in models and devices, or print one.
///
/// A plan names them without an import: `device = h100-sxm`. Alone, the command lists all of them.
#[derive(Args, Debug)]
#[command(after_help = CATALOG_EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct CatalogArgs {
    #[command(subcommand)]
    pub(crate) command: Option<CatalogCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    List(ListArgs),
    Show(ShowArgs),
}

/// List the entries with their main figures.
#[derive(Args, Debug)]
#[command(after_help = CATALOG_EXAMPLES)]
pub(crate) struct ListArgs {
    /// What to list; everything if left out
    #[arg(value_name = "KIND", value_enum)]
    pub(crate) kind: Option<EntryKind>,

    /// How to print the list
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ListFormat::Text)]
    pub(crate) format: ListFormat,
}

/// Print an entry as it stands in the catalog: its figures and where they are from.
#[derive(Args, Debug)]
#[command(after_help = CATALOG_EXAMPLES)]
pub(crate) struct ShowArgs {
    /// The name of a model, a device, a generation or a law
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EntryKind {
    Models,
    Devices,
    Generations,
    Laws,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// Tables of at most 100 columns
    Text,
    /// Every attribute, in SI base units
    Json,
    /// For pull requests and wikis
    Markdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables of at most 100 columns
    Text,
    /// One document, described by `llmplan docs schema`
    Json,
    /// For pull requests and wikis
    Markdown,
    /// One row per plan or variant, every number in SI base units
    Csv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TreeFormat {
    /// An indented tree
    Text,
    /// The same tree as JSON
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerifyFormat {
    /// Tables of at most 100 columns
    Text,
    /// One object with every total, part and difference
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SearchFormat {
    /// Tables of at most 100 columns
    Text,
    /// One object: the best, everything that nothing beats, and every reason
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    /// The shortest step
    Time,
    /// The fewest device-hours, and so the least to pay for devices
    Cost,
    /// The least memory on a device
    Memory,
    /// The fewest devices that are enough
    Devices,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kept {
    /// The degree of tensor parallelism
    Tensor,
    /// The degree of pipeline parallelism
    Pipeline,
    /// The degree of context parallelism
    Context,
    /// The degree of expert parallelism
    Expert,
    /// The stage of ZeRO, and what it divides over
    Zero,
    /// The schedule and `interleave`
    Schedule,
    /// The micro-batch
    #[value(name = "micro_batch")]
    MicroBatch,
    /// What is recomputed
    Checkpointing,
    /// What the host keeps
    Offload,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// `PATH=VALUE` as a statement of the language: `PATH = VALUE`, with commas `PATH = [A, B]`.
fn setting(text: &str) -> Result<String, String> {
    let (path, value) = text.split_once('=').ok_or("there is no `=` in it; write `training.mfu=40%`")?;
    let (path, value) = (path.trim(), value.trim());
    if path.is_empty() || value.is_empty() {
        return Err("one side of the `=` is empty; write `training.mfu=40%`".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("it has a line break or another control character in it".to_owned());
    }
    Ok(if has_bare_comma(value) { format!("{path} = [{value}]") } else { format!("{path} = {value}") })
}

/// Whether a comma stands outside of brackets and texts.
fn has_bare_comma(value: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_i32, false, false);
    for c in value.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_setting_becomes_a_statement() {
        assert_eq!(setting("training.mfu=40%").unwrap(), "training.mfu = 40%");
        assert_eq!(setting(" a.b = 1 ").unwrap(), "a.b = 1");
        assert_eq!(setting("a.b=1,2,4").unwrap(), "a.b = [1,2,4]");
        assert_eq!(setting("a.b=[1, 2]").unwrap(), "a.b = [1, 2]");
        assert_eq!(setting("a.b=max(1, 2)").unwrap(), "a.b = max(1, 2)");
        assert_eq!(setting(r#"a.b="x, \", y""#).unwrap(), r#"a.b = "x, \", y""#);
        assert_eq!(setting(r#"a.b=["x", (1)], 2"#).unwrap(), r#"a.b = [["x", (1)], 2]"#);
        assert_eq!(setting("a=b==c").unwrap(), "a = b==c");
    }

    #[test]
    fn a_setting_needs_two_sides_on_one_line() {
        assert!(setting("training.mfu").is_err());
        assert!(setting("=1").is_err());
        assert!(setting("a=").is_err());
        assert!(setting("a=1\nb=2").is_err());
    }
}
