//! What the run consumes, where it comes from, and what it takes to make it ready.

/// What the run consumes.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// The block's name, where it has one.
    pub name: Option<String>,
    /// D: tokens that training consumes, repeats counted.
    pub tokens: u64,
    /// Dollars per second of one core that prepares data.
    pub core_price: Option<f64>,
    /// Where the tokens come from; may be empty.
    pub sources: Vec<DataSource>,
}

/// One source of data.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSource {
    /// Its name.
    pub name: String,
    /// Tokens before filtering; where bytes are declared, the whole tokens in them.
    pub raw: u64,
    /// Bytes before filtering, where they are declared in place of tokens.
    pub raw_bytes: Option<f64>,
    /// Bytes of text in a token.
    pub bytes_per_token: Option<f64>,
    /// What each named stage keeps, in source order; shares in 0..=1.
    pub stages: Vec<(String, f64)>,
    /// Share of the run's tokens; in 0..=1.
    pub weight: f64,
    /// Among what duplicates were looked for, where that is said.
    pub dedup_scope: Option<DedupScope>,
    /// The most that it may be seen, in epochs.
    pub max_epochs: Option<f64>,
    /// Bytes per second that one core puts through all stages.
    pub processing_rate: Option<f64>,
    /// Parameters of a model that scores every token before filtering.
    pub classifier_params: Option<u64>,
    /// Dollars for the data itself.
    pub price: Option<f64>,
}

impl DataSource {
    /// Whether the source says anything of what it takes to make it ready.
    pub fn has_pipeline(&self) -> bool {
        self.raw_bytes.is_some()
            || self.bytes_per_token.is_some()
            || self.processing_rate.is_some()
            || self.classifier_params.is_some()
            || self.price.is_some()
    }
}

/// Among what duplicates were looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DedupScope {
    /// Each dump for itself: what several of them have counts as often.
    Dump,
    /// All of the source.
    Global,
    /// Nothing.
    None,
}

words!(DedupScope {
    "dump" => Dump,
    "global" => Global,
    "none" => None,
});
