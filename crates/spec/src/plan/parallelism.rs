//! How a model and its batches are divided over devices.

/// Degrees of parallelism: tensor × pipeline × context × data is the number of devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Parallelism {
    /// Devices that share each matrix.
    pub tensor: u64,
    /// Whether what tensor parallelism does not divide is divided by tokens (Korthikanti 2022 §4.2.2).
    pub sequence_parallel: bool,
    /// Groups of layers on devices of their own.
    pub pipeline: u64,
    /// Parts of the model on each device of a pipeline (Narayanan 2021 §2.2).
    pub interleave: u64,
    /// The order of micro-batches in the pipeline.
    pub schedule: Schedule,
    /// Devices that share each sequence.
    pub context: u64,
    /// How they exchange keys and values.
    pub context_kind: ContextKind,
    /// Devices that share the routed experts of a layer.
    pub expert: u64,
    /// How tokens are sent to the experts of other devices.
    pub expert_kind: ExpertKind,
    /// Devices that share each matrix of a routed expert.
    pub expert_tensor: u64,
    /// Replicas; `None` is `auto`, the devices that are left.
    pub data: Option<u64>,
    /// What replicas divide among themselves: ZeRO stage, 0 to 3 (Rajbhandari 2020).
    pub zero: u64,
    /// Devices over which ZeRO divides, where fewer than all replicas (HSDP).
    pub shard: Option<u64>,
    /// Layers whose weights are gathered ahead of the one that runs, under stage 3.
    pub prefetch: u64,
    /// What of each communication can run beside computation.
    pub overlap: Overlap,
}

/// Shares of communication that can hide behind computation, in 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlap {
    /// Of tensor parallelism.
    pub tensor: f64,
    /// Of pipeline parallelism.
    pub pipeline: f64,
    /// Of context parallelism.
    pub context: f64,
    /// Of expert parallelism.
    pub expert: f64,
    /// Of data parallelism, ZeRO's gathering included.
    pub data: f64,
    /// Of transfers to and from the host.
    pub offload: f64,
}

/// The order in which a device of a pipeline runs its micro-batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schedule {
    /// All forward passes, then all backward passes (Huang 2019).
    Gpipe,
    /// One forward, one backward; interleaved where a device has several parts (Narayanan 2021 §2.2).
    OneForwardOneBackward,
    /// Backward passes split into those of inputs and of weights, in the memory of 1F1B (Qi 2023).
    ZbH1,
    /// The same with twice the memory and almost no bubble (Qi 2023).
    ZbH2,
    /// Two parts of the model on each device, in a V (Qi 2024).
    ZbV,
    /// Two copies of the model that run towards each other (DeepSeek-V3 §3.2.1).
    DualPipe,
}

words!(Schedule {
    "gpipe" => Gpipe,
    "one_f_one_b" => OneForwardOneBackward,
    "zb_h1" => ZbH1,
    "zb_h2" => ZbH2,
    "zb_v" => ZbV,
    "dualpipe" => DualPipe,
});

/// How tokens are sent to the experts of other devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExpertKind {
    /// A copy for each expert, from device to device (Lepikhin 2020 §3.2).
    AllToAll,
    /// One copy for each node, which is copied further there (DeepSeek-V3 §3.2.2).
    ByNode,
}

words!(ExpertKind {
    "all_to_all" => AllToAll,
    "by_node" => ByNode,
});

/// How the devices that share a sequence exchange keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContextKind {
    /// From device to device around a ring, while attention runs (Liu 2023).
    Ring,
    /// All keys and values are gathered before attention (Llama 3 §3.3.2).
    AllGather,
    /// Tokens are exchanged for heads before attention, and back after it (Jacobs 2023).
    Ulysses,
}

words!(ContextKind {
    "ring" => Ring,
    "all_gather" => AllGather,
    "ulysses" => Ulysses,
});
