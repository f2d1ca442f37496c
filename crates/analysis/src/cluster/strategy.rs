//! A strategy: how a training is divided over devices, and what each keeps.

use llmplan_spec::plan::{Checkpointing, ContextKind, Offload, Schedule, Training};

use super::schedule;

/// One way to run a training: what a search varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Strategy {
    /// Devices that share each matrix.
    pub tensor: u64,
    /// Whether tensor parallelism divides the rest by tokens.
    pub sequence_parallel: bool,
    /// Groups of layers on devices of their own.
    pub pipeline: u64,
    /// Groups of layers on each device.
    pub interleave: u64,
    /// The order of micro-batches.
    pub schedule: Schedule,
    /// Devices that share each sequence.
    pub context: u64,
    /// How they exchange keys and values.
    pub context_kind: ContextKind,
    /// Devices that share the routed experts of a layer.
    pub expert: u64,
    /// Devices that share each matrix of a routed expert.
    pub expert_tensor: u64,
    /// Replicas.
    pub data: u64,
    /// ZeRO stage, 0 to 3.
    pub zero: u64,
    /// Devices over which ZeRO divides, at most [`Strategy::ranks`].
    pub shard: u64,
    /// Layers whose weights are gathered ahead, under stage 3.
    pub prefetch: u64,
    /// Sequences of a micro-batch.
    pub micro_batch: u64,
    /// What is recomputed.
    pub checkpointing: Checkpointing,
    /// What the host keeps.
    pub offload: Offload,
    /// Whether it keeps the inputs of recomputed layers.
    pub offload_activations: bool,
}

/// The part of a strategy that decides what a micro-batch costs a device, whatever the stages and replicas are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layout {
    /// As in [`Strategy`].
    pub tensor: u64,
    /// As in [`Strategy`].
    pub sequence_parallel: bool,
    /// As in [`Strategy`].
    pub context: u64,
    /// As in [`Strategy`].
    pub context_kind: ContextKind,
    /// As in [`Strategy`].
    pub expert: u64,
    /// As in [`Strategy`].
    pub expert_tensor: u64,
    /// As in [`Strategy`].
    pub micro_batch: u64,
    /// As in [`Strategy`].
    pub checkpointing: Checkpointing,
}

impl Strategy {
    /// The strategy that a training declares, on so many devices; `None` without a micro-batch, or where the degrees do
    /// not multiply to the devices.
    pub fn of(training: &Training, devices: u64) -> Option<Strategy> {
        let own = &training.parallelism;
        let model = own.tensor.checked_mul(own.pipeline)?.checked_mul(own.context)?;
        let data = match own.data {
            Some(data) => data,
            None => (devices.checked_rem(model)? == 0).then(|| devices / model)?,
        };
        if model.checked_mul(data)? != devices || data == 0 {
            return None;
        }
        let ranks = data.checked_mul(own.context)?;
        Some(Strategy {
            tensor: own.tensor,
            sequence_parallel: own.sequence_parallel,
            pipeline: own.pipeline,
            interleave: own.interleave,
            schedule: own.schedule,
            context: own.context,
            context_kind: own.context_kind,
            expert: own.expert,
            expert_tensor: own.expert_tensor,
            data,
            zero: own.zero,
            shard: own.shard.unwrap_or(ranks).min(ranks),
            prefetch: own.prefetch,
            micro_batch: training.micro_batch?,
            checkpointing: training.checkpointing,
            offload: training.offload,
            offload_activations: training.offload_activations,
        })
    }

    /// The part that decides what a micro-batch costs.
    pub fn layout(&self) -> Layout {
        Layout {
            tensor: self.tensor,
            sequence_parallel: self.sequence_parallel,
            context: self.context,
            context_kind: self.context_kind,
            expert: self.expert,
            expert_tensor: self.expert_tensor,
            micro_batch: self.micro_batch,
            checkpointing: self.checkpointing,
        }
    }

    /// Devices.
    pub fn devices(&self) -> u64 {
        self.tensor.saturating_mul(self.pipeline).saturating_mul(self.context).saturating_mul(self.data)
    }

    /// Devices that have the same part of every weight but the experts': replicas and parts of a sequence.
    pub fn ranks(&self) -> u64 {
        self.data.saturating_mul(self.context)
    }

    /// Devices that have the same part of an expert's weights (Megatron's expert-data parallelism).
    pub fn expert_ranks(&self) -> u64 {
        let stage = self.tensor.saturating_mul(self.ranks());
        stage.checked_div(self.expert.saturating_mul(self.expert_tensor)).unwrap_or(1).max(1)
    }

    /// Devices over which ZeRO divides an expert's weights.
    pub fn expert_shard(&self) -> u64 {
        self.expert_ranks().min(self.shard)
    }

    /// Parts of the model on each device that a micro-batch passes one after another.
    pub fn chunks(&self) -> u64 {
        schedule::chunks(self.schedule, self.interleave)
    }
}
