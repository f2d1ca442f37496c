//! A scaling law: how loss follows from parameters and tokens, or how compute is best divided between them.

/// A scaling law as declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Law {
    /// Its name.
    pub name: String,
    /// What it says of loss; `None` where it only divides compute.
    pub form: LawForm,
    /// What N counts.
    pub params: LawParams,
    /// N* and D* as powers of compute, where they are declared rather than derived.
    pub allocation: Option<Allocation>,
    /// R*_D: how soon repeated tokens lose their worth, in epochs (Muennighoff 2023 eq. 5).
    pub repeat_tokens: f64,
    /// R*_N: how soon excess parameters lose theirs (Muennighoff 2023 eq. 6).
    pub repeat_params: f64,
    /// What its losses are counted in: losses under different tokenizers are not compared.
    pub tokenizer: Option<String>,
    /// Bytes of text per token of that tokenizer.
    pub bytes_per_token: Option<f64>,
    /// Where its runs were.
    pub range: LawRange,
    /// Lower triangle of the covariance of ln A, ln B, E, α, β, row by row: 15 numbers.
    pub covariance: Option<[f64; 15]>,
    /// Where it is from.
    pub source: String,
    /// Fits of error on tasks against loss.
    pub tasks: Vec<LawTask>,
}

/// What a law says of loss, in nats per token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LawForm {
    /// L = E + A/N^α + B/D^β (Hoffmann 2022 eq. 2).
    Parametric {
        /// E: what no model gets below.
        e: f64,
        /// A.
        a: f64,
        /// B.
        b: f64,
        /// α.
        alpha: f64,
        /// β.
        beta: f64,
    },
    /// L = ((a/N)^(α/β) + b/D)^β (Kaplan 2020 eq. 1.5), with N_c and D_c as `a` and `b`.
    Kaplan {
        /// N_c.
        a: f64,
        /// D_c.
        b: f64,
        /// α_N.
        alpha: f64,
        /// α_D.
        beta: f64,
    },
    /// It only divides compute.
    Allocation,
}

/// N* = n_coefficient · C^n_exponent, D* = d_coefficient · C^d_exponent, C in FLOP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allocation {
    /// Parameters at C = 1.
    pub n_coefficient: f64,
    /// Power of compute.
    pub n_exponent: f64,
    /// Tokens at C = 1.
    pub d_coefficient: f64,
    /// Power of compute.
    pub d_exponent: f64,
}

/// What a law counts as N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LawParams {
    /// All parameters (Hoffmann 2022).
    Total,
    /// Without embeddings and output projection (Kaplan 2020).
    NonEmbedding,
    /// M: non-embedding FLOPs per token, C = M·D (DeepSeek LLM 2024 §3.2).
    FlopsPerToken,
}

words!(LawParams {
    "total" => Total,
    "non_embedding" => NonEmbedding,
    "flops_per_token" => FlopsPerToken,
});

/// Where a law's runs were: lowest and highest, where known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LawRange {
    /// Parameters.
    pub params: (Option<f64>, Option<f64>),
    /// Tokens.
    pub tokens: (Option<f64>, Option<f64>),
    /// Compute, in FLOP.
    pub compute: (Option<f64>, Option<f64>),
}

/// Error on a set of tasks as a function of loss: error − scale · exp(−rate · L) (Gadre 2024 eq. 5).
#[derive(Clone, Debug, PartialEq)]
pub struct LawTask {
    /// Its name.
    pub name: String,
    /// Error of a model that knows nothing, in 0..=1.
    pub error: f64,
    /// Factor of the exponential.
    pub scale: f64,
    /// Rate of the exponential, per nat.
    pub rate: f64,
    /// Lowest loss of its runs.
    pub loss_low: f64,
    /// Highest loss of its runs.
    pub loss_high: f64,
}
