//! What is done with a model after its pretraining.

/// Stages of alignment, in source order.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment {
    /// The stages.
    pub stages: Vec<Stage>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// What is done.
    pub kind: StageKind,
    /// Prompts, or examples, or pairs, in one pass.
    pub prompts: u64,
    /// G: answers sampled for each prompt.
    pub samples: u64,
    /// Tokens of a prompt.
    pub prompt_tokens: u64,
    /// Tokens of an answer, on average.
    pub response_tokens: u64,
    /// Tokens of the longest answer, where it is declared; at least [`Stage::response_tokens`].
    pub max_response_tokens: Option<u64>,
    /// Passes over the prompts.
    pub epochs: u64,
    /// Prompts of one step; more than there are means all of them.
    pub batch: u64,
    /// μ: passes of training over one rollout.
    pub updates: u64,
    /// Where log-probabilities under the reference come from.
    pub reference: Reference,
    /// Where log-probabilities under the policy that sampled come from.
    pub old_logprobs: OldLogprobs,
    /// Parameters of the reward model; `None` for the policy's.
    pub reward_params: Option<u64>,
    /// Parameters of the critic; `None` for the policy's.
    pub critic_params: Option<u64>,
    /// Parameters of the teacher; `None` for the policy's.
    pub teacher_params: Option<u64>,
    /// Bytes that the teacher's cache holds of a token; `None` for the policy's.
    pub teacher_cache: Option<f64>,
    /// Largest logits of a token that are kept of the teacher, so that it runs once; `None` where it runs in each pass.
    pub cached_logits: Option<u64>,
    /// p: probability that one sample is right, in (0, 1) where it decides whether there is a signal.
    pub pass_rate: Option<f64>,
    /// Share of what is generated that is kept, in (0, 1].
    pub accept: Option<f64>,
    /// Whether only adapters are trained.
    pub lora: bool,
    /// $ for one preference pair.
    pub pair_price: Option<f64>,
    /// Devices of the hardware that it uses; `None` without hardware.
    pub devices: Option<u64>,
    /// Whether the same devices generate and train, in turns.
    pub colocated: bool,
    /// Whether a step waits for its own rollouts.
    pub synchronous: bool,
    /// Devices that generate, where they are not those that train; `None` for what balances both.
    pub generation_devices: Option<u64>,
    /// Devices of one replica that generates; `None` for as few as it fits on.
    pub tensor: Option<u64>,
    /// Whether samples of a prompt share its cache.
    pub prefix_cache: bool,
    /// What a kept token is worth in distinct tokens of the data, where it is declared.
    pub worth: Option<f64>,
    /// $ for one token that could be bought instead.
    pub buy_price: Option<f64>,
    /// What judges the samples.
    pub verifier: Verifier,
}

impl Stage {
    /// What scores samples: the declared verifier, else a reward model where the method is defined by one.
    pub fn scorer(&self) -> VerifierKind {
        self.verifier.kind.unwrap_or(match self.kind {
            StageKind::Ppo | StageKind::Rloo | StageKind::BestOfN => VerifierKind::Reward,
            _ => VerifierKind::None,
        })
    }
}

/// What a stage does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageKind {
    /// Supervised fine-tuning.
    Sft,
    /// A model of preferences (Ouyang 2022).
    Reward,
    /// Direct preference optimization (Rafailov 2023).
    Dpo,
    /// Proximal policy optimization with a critic (Schulman 2017; Ouyang 2022).
    Ppo,
    /// Group-relative policy optimization (Shao 2024).
    Grpo,
    /// REINFORCE leave-one-out (Ahmadian 2024).
    Rloo,
    /// The best of several samples is kept, and trained on.
    BestOfN,
    /// Training on the outputs of a larger model.
    Distillation,
    /// Data written by a model, kept where it is accepted.
    Synthetic,
}

words!(StageKind {
    "sft" => Sft,
    "reward" => Reward,
    "dpo" => Dpo,
    "ppo" => Ppo,
    "grpo" => Grpo,
    "rloo" => Rloo,
    "best_of_n" => BestOfN,
    "distillation" => Distillation,
    "synthetic" => Synthetic,
});

impl StageKind {
    /// Whether the policy that is trained samples in each step.
    pub fn on_policy(self) -> bool {
        matches!(self, StageKind::Ppo | StageKind::Grpo | StageKind::Rloo)
    }

    /// Whether a model generates.
    pub fn generates(self) -> bool {
        self.on_policy() || matches!(self, StageKind::BestOfN | StageKind::Synthetic)
    }

    /// Whether samples of a prompt are only compared with each other: where all are right, or none, nothing is learnt.
    pub fn grouped(self) -> bool {
        matches!(self, StageKind::Grpo | StageKind::Rloo)
    }

    /// Whether it learns from pairs.
    pub fn paired(self) -> bool {
        matches!(self, StageKind::Reward | StageKind::Dpo)
    }
}

/// Where log-probabilities under the reference come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A frozen copy of the policy runs beside it.
    Loaded,
    /// They were computed once, before.
    Cached,
    /// There is none: no KL term.
    None,
}

words!(Reference {
    "loaded" => Loaded,
    "cached" => Cached,
    "none" => None,
});

/// Where log-probabilities under the policy that sampled come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldLogprobs {
    /// A forward pass of the trainer.
    Recomputed,
    /// The engine that sampled, or the training pass itself where it is the first.
    Sampled,
}

words!(OldLogprobs {
    "recomputed" => Recomputed,
    "sampled" => Sampled,
});

/// What judges samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Verifier {
    /// What it is; `None` where it is not declared.
    pub kind: Option<VerifierKind>,
    /// Seconds of one check.
    pub seconds: Option<f64>,
    /// Cores that one check takes.
    pub cores: u64,
    /// Cores, or people, that check at the same time.
    pub workers: Option<u64>,
    /// $ of one core for a second.
    pub core_price: f64,
    /// Parameters of the model that judges.
    pub judge_params: Option<u64>,
    /// Tokens that it writes for each sample.
    pub judge_tokens: u64,
    /// $ for one sample.
    pub price: Option<f64>,
}

/// What a verifier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifierKind {
    /// Nothing that costs anything: a comparison with a known answer.
    None,
    /// A program that runs: unit tests, a proof checker.
    Code,
    /// A reward model.
    Reward,
    /// A language model that is asked.
    Judge,
    /// A person.
    Human,
}

words!(VerifierKind {
    "none" => None,
    "code" => Code,
    "reward" => Reward,
    "judge" => Judge,
    "human" => Human,
});
