//! Training on a cluster: what each device holds, and how long a step takes, under every form of parallelism.
//!
//! Pure arithmetic over a [`Workload`] and a [`Strategy`]. `check` evaluates one strategy, a search millions: what depends
//! only on a [`Layout`] is computed once for it, and the rest is a few sums.

pub mod activation;
pub mod block;
pub mod collective;
pub mod division;
pub mod feasible;
pub mod memory;
pub mod operator;
pub mod optimizer;
mod pointwise;
pub mod product;
pub mod replicas;
pub mod schedule;
pub mod shares;
pub mod stages;
pub mod states;
pub mod step;
pub mod strategy;
pub mod system;
pub mod update;

pub use collective::Group;
pub use stages::{Content, Piece, contents};
pub use strategy::{Layout, Strategy};
pub use system::System;

use llmplan_spec::plan::{AttentionConvention, Hardware, Plan, Training};

use crate::folds::Sequence;
use crate::graph::Graph;

/// What is run, whatever the strategy.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    /// The model.
    pub graph: &'a Graph,
    /// How it is trained; its parallelism, micro-batch, checkpointing and offload are those of the strategy instead.
    pub training: &'a Training,
    /// What it is trained with.
    pub hardware: &'a Hardware,
    /// Layers of the model.
    pub layers: u64,
    /// T: tokens of a sequence.
    pub tokens: u64,
    /// Tokens of a step over all devices.
    pub batch: u64,
}

impl<'a> Workload<'a> {
    /// The workload of a plan; `None` where it has no training, no hardware or no global batch.
    pub fn of(plan: &'a Plan, graph: &'a Graph, tokens: u64) -> Option<Workload<'a>> {
        let (training, hardware) = (plan.training.as_ref()?, plan.hardware.as_ref()?);
        let batch = match training.global_batch? {
            llmplan_spec::plan::Batch::Sequences(count) => count.checked_mul(tokens)?,
            llmplan_spec::plan::Batch::Tokens(count) => count,
        };
        Some(Workload { graph, training, hardware, layers: plan.model.layers, tokens, batch })
    }

    /// The pairs of tokens that attention computes: a kernel in tiles leaves out what is masked.
    pub fn executed(&self) -> Sequence<'a> {
        Sequence {
            tokens: self.tokens,
            documents: self.training.documents.as_ref(),
            attention: match self.training.attention {
                llmplan_spec::plan::AttentionKernel::Flash => AttentionConvention::Causal,
                llmplan_spec::plan::AttentionKernel::Plain => AttentionConvention::Full,
            },
        }
    }

    /// Micro-batches that each replica runs in a step; `None` where that is no whole number of at least 1.
    pub fn micro_batches(&self, strategy: &Strategy) -> Option<u64> {
        let each = self.tokens.checked_mul(strategy.micro_batch)?.checked_mul(strategy.data)?;
        (self.batch.checked_rem(each)? == 0).then(|| self.batch / each).filter(|count| *count > 0)
    }
}
