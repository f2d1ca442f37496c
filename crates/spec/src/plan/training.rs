//! How the model is trained.

use super::LayerChoice;

/// How the model is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// The block's name, where it has one.
    pub name: Option<String>,
    /// Data type of the weights in the forward and backward pass.
    pub precision: Precision,
    /// Data type in which gradients are kept.
    pub gradients: Precision,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Values that share one scale in an 8-bit optimizer.
    pub optimizer_block: u64,
    /// T: tokens in one training sequence.
    pub sequence: Option<u64>,
    /// The documents packed into one sequence, where attention ends at its document; `None` where a sequence is one text.
    pub documents: Option<Documents>,
    /// Tokens or sequences that one step consumes.
    pub global_batch: Option<Batch>,
    /// Sequences that one device processes at a time.
    pub micro_batch: Option<u64>,
    /// Model FLOPs utilisation, in (0, 1], where declared; see also [`Hardware::measured`](super::Hardware::measured).
    pub mfu: Option<f64>,
    /// What is recomputed in the backward pass instead of kept.
    pub checkpointing: Checkpointing,
    /// The layers that [`Training::checkpointing`] holds for, where not all; every one of them exists.
    pub checkpointing_layers: Option<LayerChoice>,
    /// What is kept in the host's memory.
    pub offload: Offload,
    /// The factor that the loss is multiplied by before the backward pass, at least 1 (Micikevicius 2018 §3.2).
    pub loss_scale: u64,
    /// Degrees of parallelism.
    pub parallelism: Parallelism,
}

impl Training {
    /// Whether a layer, of a model with so many, recomputes in its backward pass what it did not keep.
    pub fn recomputes(&self, layer: u64, layers: u64) -> bool {
        self.checkpointing != Checkpointing::None
            && layer < layers
            && self.checkpointing_layers.as_ref().is_none_or(|choice| choice.has(layer, layers))
    }
}

/// What is recomputed in the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpointing {
    /// Nothing: everything that the backward pass needs is kept.
    None,
    /// Scores, softmax and weighted sum of attention (Korthikanti 2022 §5), and the states of recurrences.
    Selective,
    /// The whole layer, from its input (Chen 2016 §4).
    Full,
}

words!(Checkpointing {
    "none" => None,
    "selective" => Selective,
    "full" => Full,
});

/// What is kept in the host's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// Nothing.
    None,
    /// The optimizer's states and the master weights, which are updated there (Ren 2021 §3).
    Optimizer,
}

words!(Offload {
    "none" => None,
    "optimizer" => Optimizer,
});

/// Documents that fill a sequence one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Documents {
    /// All of so many tokens; what is left over is a shorter one.
    Alike(u64),
    /// Of these lengths, which sum to T.
    Listed(Vec<u64>),
}

/// The size of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// In sequences of T tokens.
    Sequences(u64),
    /// In tokens.
    Tokens(u64),
}

/// Degrees of parallelism; their product is the number of devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parallelism {
    /// Devices that share each matrix.
    pub tensor: u64,
    /// Groups of layers on devices of their own.
    pub pipeline: u64,
    /// Replicas; `None` is `auto`, the devices that are left.
    pub data: Option<u64>,
}

/// A floating-point format that training uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 4 bytes.
    Fp32,
    /// 2 bytes, 5 exponent bits.
    Fp16,
    /// 2 bytes, 8 exponent bits.
    Bf16,
}

impl Precision {
    /// Bytes of one value.
    pub fn bytes(self) -> u64 {
        match self {
            Precision::Fp32 => 4,
            Precision::Fp16 | Precision::Bf16 => 2,
        }
    }
}

words!(Precision {
    "fp32" => Fp32,
    "fp16" => Fp16,
    "bf16" => Bf16,
});

/// An optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimizer {
    /// Plain stochastic gradient descent: no state.
    Sgd,
    /// SGD with momentum: one fp32 value per parameter.
    Momentum,
    /// Adam: two fp32 values per parameter.
    Adam,
    /// Adam with decoupled weight decay: the same state.
    Adamw,
    /// Adam with both moments in int8, blockwise scales in fp32 (Dettmers 2021).
    Adam8bit,
}
