//! The flags of `llmplan fit`.

use clap::{Args, ValueEnum};

use crate::amount;

const FIT_EXAMPLES: &str = "\
Examples:
  llmplan fit runs.csv
  llmplan fit runs.csv --columns params=size,loss=eval/loss --filter corpus=web
  llmplan fit runs.csv --min-tokens-per-param 0.5 --at '5.76e23 FLOP'
  llmplan fit runs.jsonl --name mine --tokenizer \"own, 64k\" --write mine.llm

Exit codes:
  0  fitted; with --write: written
  1  the runs are at fault: a row that cannot be read, or none that determine a law
  2  wrong usage, or a file that cannot be read or written";

/// Fit a scaling law to runs.
///
/// A run is a row: parameters, tokens (or FLOPs) and the loss in nats per token. L = E + A/N^α + B/D^β is fitted as in
/// Hoffmann 2022, to the exact optimum, with 95% intervals of what it says about the best model for a compute.
#[derive(Args, Debug)]
#[command(after_help = FIT_EXAMPLES)]
pub(crate) struct FitArgs {
    /// A CSV file with a heading, or JSON lines; - for standard input
    #[arg(value_name = "RUNS")]
    pub(crate) file: String,

    /// What to call the law; as the file is called if left out
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Write the law to a file that plans can import
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<String>,

    /// Which columns to read; commas between. Known by their names are params, tokens, flops and loss
    #[arg(long, value_name = "ROLE=COLUMN", value_delimiter = ',', value_parser = column)]
    pub(crate) columns: Vec<(Role, String)>,

    /// Only rows that have this value in a column. May be repeated
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = filter)]
    pub(crate) filter: Vec<(String, String)>,

    /// Leave out runs with fewer tokens for each parameter: they end before the law begins to hold
    #[arg(long, value_name = "RATIO", value_parser = positive, conflicts_with = "drop_highest")]
    pub(crate) min_tokens_per_param: Option<f64>,

    /// Leave out the runs with the highest losses, so many: kept is what is below the last of them
    #[arg(long, value_name = "COUNT")]
    pub(crate) drop_highest: Option<usize>,

    /// The compute to give the optimum for, such as '5.76e23 FLOP'. May be repeated
    #[arg(long, value_name = "COMPUTE", value_parser = amount::flops)]
    pub(crate) at: Vec<f64>,

    /// Residuals of ln L beyond this count linearly
    #[arg(long, value_name = "NATS", value_parser = positive, default_value = "0.001")]
    pub(crate) delta: f64,

    /// How many resamples intervals are of; 0 for none
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=1_000_000), default_value_t = 1000)]
    pub(crate) bootstrap: u32,

    /// What resamples are drawn from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,

    /// What the parameters of the runs count
    #[arg(long, value_name = "COUNTED", value_enum, default_value_t = Counted::Total)]
    pub(crate) params: Counted,

    /// What the losses are counted in: those of different tokenizers cannot be compared
    #[arg(long, value_name = "TEXT")]
    pub(crate) tokenizer: Option<String>,

    /// Bytes of text in a token of it
    #[arg(long, value_name = "BYTES", value_parser = positive)]
    pub(crate) bytes_per_token: Option<f64>,

    /// How to print the law
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = FitFormat::Text)]
    pub(crate) format: FitFormat,
}

/// What a column is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Params,
    Tokens,
    Flops,
    Loss,
}

impl Role {
    pub(crate) const ALL: [Role; 4] = [Role::Params, Role::Tokens, Role::Flops, Role::Loss];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Role::Params => "params",
            Role::Tokens => "tokens",
            Role::Flops => "flops",
            Role::Loss => "loss",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FitFormat {
    /// Tables of at most 100 columns
    Text,
    /// One object: the law, its intervals, what it predicts, and what makes it doubtful
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Counted {
    /// All parameters, embeddings included
    Total,
    /// Without embeddings and the output projection
    #[value(name = "non_embedding")]
    NonEmbedding,
}

impl Counted {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Counted::Total => "total",
            Counted::NonEmbedding => "non_embedding",
        }
    }
}

fn column(text: &str) -> Result<(Role, String), String> {
    let (word, name) = sides(text, "params=size")?;
    let role = Role::ALL.into_iter().find(|role| role.word() == word);
    let role =
        role.ok_or_else(|| format!("`{word}` is no role; there are params, tokens, flops and loss"))?;
    Ok((role, name))
}

fn filter(text: &str) -> Result<(String, String), String> {
    sides(text, "corpus=web")
}

fn sides(text: &str, example: &str) -> Result<(String, String), String> {
    let (left, right) =
        text.split_once('=').ok_or_else(|| format!("there is no `=` in it; write `{example}`"))?;
    let (left, right) = (left.trim().to_owned(), right.trim().to_owned());
    if left.is_empty() || right.is_empty() {
        return Err(format!("one side of the `=` is empty; write `{example}`"));
    }
    Ok((left, right))
}

fn positive(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        Ok(_) => Err("it must be more than 0".to_owned()),
        Err(_) => Err("that is no number".to_owned()),
    }
}
