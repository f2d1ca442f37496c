//! How the model is trained.

use super::{LayerChoice, MatmulType, Optimizer, Parallelism, Precision, Recipe, StateType};

/// How the model is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// The block's name, where it has one.
    pub name: Option<String>,
    /// Data type of the weights in the forward and backward pass.
    pub precision: Precision,
    /// Data type of the linear layers' products; norms, softmax and attention stay in [`Training::precision`].
    pub matmul: MatmulType,
    /// Data type in which gradients are kept and reduced.
    pub gradients: Precision,
    /// A further copy of the gradients in fp32, which the optimizer reads.
    pub main_gradients: MainGradients,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Data type of the optimizer's states, where its own rule does not say otherwise.
    pub optimizer_states: StateType,
    /// Whether a copy of the weights in fp32 is kept, which the optimizer updates.
    pub master_weights: bool,
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
    /// How attention is computed.
    pub attention: AttentionKernel,
    /// Whether pointwise operators that follow each other run as one kernel.
    pub pointwise: Pointwise,
    /// Data type in which the inputs of non-linearities are kept.
    pub activation_inputs: ActivationInputs,
    /// Probability that a value is dropped, in [0, 1); above zero, masks are kept (Srivastava 2014).
    pub dropout: f64,
    /// How logits and loss are computed.
    pub logits: LogitsKernel,
    /// What is recomputed in the backward pass instead of kept.
    pub checkpointing: Checkpointing,
    /// The parts of a layer that are recomputed where [`Training::checkpointing`] is by modules.
    pub recompute: Recompute,
    /// The layers that [`Training::checkpointing`] holds for, where not all; every one of them exists.
    pub checkpointing_layers: Option<LayerChoice>,
    /// What is kept in the host's memory.
    pub offload: Offload,
    /// Whether the inputs of recomputed layers are kept in the host's memory.
    pub offload_activations: bool,
    /// Where offloaded things are.
    pub offload_to: OffloadTo,
    /// Tokens per second that the data pipeline delivers to all devices; `None` where it never keeps them waiting.
    pub loading: Option<f64>,
    /// Adapters, where the weights are frozen (Hu 2021).
    pub lora: Option<Lora>,
    /// The factor that the loss is multiplied by before the backward pass, at least 1 (Micikevicius 2018 §3.2).
    pub loss_scale: u64,
    /// Learning rate and schedule, losses, and the study before the run.
    pub recipe: Recipe,
    /// Degrees of parallelism.
    pub parallelism: Parallelism,
}

impl Training {
    /// How many of the layers `first..end`, of a model with so many, checkpointing holds for, where there is any.
    pub fn checkpointed(&self, first: u64, end: u64, layers: u64) -> u64 {
        match &self.checkpointing_layers {
            Some(choice) => choice.among(first, end, layers),
            None => end.saturating_sub(first),
        }
    }

    /// Whether a layer, of a model with so many, recomputes in its backward pass what it did not keep.
    pub fn recomputes(&self, layer: u64, layers: u64) -> bool {
        self.checkpointing != Checkpointing::None
            && layer < layers
            && self.checkpointing_layers.as_ref().is_none_or(|choice| choice.has(layer, layers))
    }
}

/// What is recomputed in the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checkpointing {
    /// Nothing: everything that the backward pass needs is kept.
    None,
    /// Scores, softmax and weighted sum of attention (Korthikanti 2022 §5), and the states of recurrences.
    Selective,
    /// The whole layer, from its input (Chen 2016 §4).
    Full,
    /// The parts that [`Training::recompute`] names.
    Modules,
}

words!(Checkpointing {
    "none" => None,
    "selective" => Selective,
    "full" => Full,
    "modules" => Modules,
});

/// The parts of a layer that are recomputed, each from what it reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Recompute {
    /// Scores, softmax and weighted sum.
    pub attention: bool,
    /// Up-projections of latents, with what turns them into queries and keys (DeepSeek-V3 §3.2.3).
    pub latents: bool,
    /// Norms.
    pub norm: bool,
    /// The non-linearity of the feed-forward network, with its gate.
    pub activation: bool,
    /// The whole feed-forward network.
    pub ffn: bool,
    /// The routed experts.
    pub experts: bool,
}

/// How attention is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttentionKernel {
    /// In tiles that stay on the chip: nothing of T² is kept (Dao 2022).
    Flash,
    /// Scores, softmax and weighted sum one after another, each in memory.
    Plain,
}

words!(AttentionKernel {
    "flash" => Flash,
    "plain" => Plain,
});

/// Whether pointwise operators that follow each other run as one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pointwise {
    /// They do: what lies between them is not kept.
    Fused,
    /// Each is a kernel of its own, and keeps what its backward pass reads.
    Unfused,
}

words!(Pointwise {
    "fused" => Fused,
    "unfused" => Unfused,
});

/// Data type in which the inputs of non-linearities are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActivationInputs {
    /// As they are computed.
    Same,
    /// In a byte (DeepSeek-V3 §3.3.3).
    Fp8,
}

words!(ActivationInputs {
    "same" => Same,
    "fp8" => Fp8,
});

/// How logits and loss are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogitsKernel {
    /// Logits as computed, a copy in fp32, and its gradient.
    Kept,
    /// The softmax and its gradient replace the logits.
    Fused,
    /// A part of the tokens at a time: all logits are never there.
    Chunked,
}

words!(LogitsKernel {
    "kept" => Kept,
    "fused" => Fused,
    "chunked" => Chunked,
});

/// What is kept in the host's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offload {
    /// Nothing.
    None,
    /// The optimizer's states and the master weights, which are updated there (Ren 2021 §3).
    Optimizer,
    /// These and the weights, which are fetched a layer at a time (Rajbhandari 2021 §5).
    Parameters,
}

words!(Offload {
    "none" => None,
    "optimizer" => Optimizer,
    "parameters" => Parameters,
});

/// Where offloaded things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OffloadTo {
    /// In the memory of the host.
    Host,
    /// On the host's disks, through its memory.
    Nvme,
}

words!(OffloadTo {
    "host" => Host,
    "nvme" => Nvme,
});

/// Adapters of low rank beside frozen matrices: W + BA (Hu 2021 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lora {
    /// r: rows of A and columns of B.
    pub rank: u64,
    /// The matrices that have adapters.
    pub targets: LoraTargets,
    /// How the frozen weights are stored.
    pub base: LoraBase,
}

/// The matrices that have adapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoraTargets {
    /// Those of queries and values (Hu 2021 §4.2).
    Qv,
    /// All of attention's.
    Attention,
    /// All of attention's and of the feed-forward network's (Dettmers 2023 §4).
    All,
}

words!(LoraTargets {
    "qv" => Qv,
    "attention" => Attention,
    "all" => All,
});

/// How frozen weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoraBase {
    /// As training computes.
    Same,
    /// In 8 bits.
    Int8,
    /// In the 4 bits of QLoRA, with scales quantized twice (Dettmers 2023 §3).
    Nf4,
}

words!(LoraBase {
    "same" => Same,
    "int8" => Int8,
    "nf4" => Nf4,
});

/// A copy of the gradients in fp32 beside those of the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MainGradients {
    /// There is none.
    None,
    /// Divided as the optimizer's states are.
    Sharded,
    /// Whole on each device, whatever ZeRO divides.
    Whole,
}

words!(MainGradients {
    "none" => None,
    "sharded" => Sharded,
    "whole" => Whole,
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
