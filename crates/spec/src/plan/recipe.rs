//! The recipe of a training: learning rate and schedule, what the loss is made of, and the study before the run.

/// How the optimizer is driven and what the loss is made of. No shape and no memory depends on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The highest learning rate.
    pub learning_rate: Option<f64>,
    /// How it goes on from there.
    pub schedule: LearningRateSchedule,
    /// Tokens over which it rises.
    pub warmup: Option<u64>,
    /// Share of the run over which it falls at the end, in (0, 1], where the schedule has such a part.
    pub cooldown: Option<f64>,
    /// The square of log-sum-exp is added to the loss (Chowdhery 2022 §5).
    pub z_loss: bool,
    /// The model whose outputs are learned, where there is one.
    pub distillation: Option<Distillation>,
    /// The study of smaller runs before this one.
    pub sweep: Option<Sweep>,
    /// The year that the recipe is of.
    pub year: Option<u64>,
    /// The year that it is compared with.
    pub base: Option<u64>,
    /// Seconds in which the compute for the same result halves, by better recipes.
    pub doubling: Option<f64>,
}

/// How the learning rate goes on from its highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LearningRateSchedule {
    /// Down a half-wave to the end of the run, which must be known (Loshchilov 2017).
    Cosine,
    /// Constant, and a short cool-down at the end: warm-up, stable, decay (Hu 2024).
    Wsd,
    /// Down a straight line to the end of the run.
    Linear,
    /// It stays.
    Constant,
}

words!(LearningRateSchedule {
    "cosine" => Cosine,
    "wsd" => Wsd,
    "linear" => Linear,
    "constant" => Constant,
});

/// A larger model whose outputs are learned in training (Hinton 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distillation {
    /// Parameters that a token passes through in the teacher.
    pub teacher_params: u64,
    /// When the teacher runs.
    pub logits: TeacherLogits,
    /// Logits of a token that are kept where they are cached.
    pub top_k: u64,
}

/// When the teacher runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeacherLogits {
    /// With every step of the student.
    Online,
    /// Once over the distinct tokens; its highest logits are kept.
    Cached,
}

words!(TeacherLogits {
    "online" => Online,
    "cached" => Cached,
});

/// Smaller runs that the recipe or a law is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Settings that are tried: sizes, learning rates, batches.
    pub runs: u64,
    /// Parameters of each.
    pub params: u64,
    /// The most tokens of each.
    pub tokens: u64,
    /// Numbers of tokens at which each has its loss read, equally spaced up to the most.
    pub points: u64,
}
