//! What there is to spend, and gains that a plan declares.

/// What there is to spend; at least one of the first five is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// FLOP of training.
    pub compute: Option<f64>,
    /// Device-seconds.
    pub device_hours: Option<f64>,
    /// Dollars.
    pub cost: Option<f64>,
    /// Seconds from start to end.
    pub time: Option<f64>,
    /// Joules.
    pub energy: Option<f64>,
    /// The most that any source may be seen.
    pub max_epochs: f64,
}

/// A compute-equivalent gain: the same loss for less compute.
#[derive(Clone, Debug, PartialEq)]
pub struct Gain {
    /// Its name.
    pub name: String,
    /// Compute without it over compute with it; above 0.
    pub compute: f64,
    /// What it is a gain of.
    pub lever: Lever,
    /// Where the figure is from.
    pub source: String,
}

/// What a gain is a gain of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lever {
    /// Data: its quality, its mixture.
    Data,
    /// The model's architecture.
    Architecture,
    /// The loss function.
    Loss,
    /// The optimizer.
    Optimizer,
    /// Learning rate and its schedule.
    LearningRate,
    /// Data types.
    Precision,
    /// Anything else.
    Other,
}

words!(Lever {
    "data" => Data,
    "architecture" => Architecture,
    "loss" => Loss,
    "optimizer" => Optimizer,
    "learning_rate" => LearningRate,
    "precision" => Precision,
    "other" => Other,
});
