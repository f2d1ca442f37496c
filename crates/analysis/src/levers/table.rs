//! The table of levers: what of a plan can be set otherwise, which part of the design it belongs to, and what becomes of
//! the loss.

/// The part of the design that a lever belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// The shape of the model.
    Architecture,
    /// How the loss is computed.
    Loss,
    /// The optimizer and what it keeps.
    Optimizer,
    /// Learning rate, its schedule, and the batch it belongs to.
    LearningRate,
    /// How work is divided over devices, and how many there are.
    Parallelism,
    /// Data types.
    Quantization,
    /// What is recomputed rather than kept.
    Checkpointing,
    /// What is kept in the host's memory.
    Offloading,
    /// How operators are computed.
    Kernels,
    /// How the model is served.
    Inference,
    /// How much is learnt from.
    Data,
    /// What is done after pretraining.
    Alignment,
}

impl Area {
    /// The word for it in reports.
    pub fn word(self) -> &'static str {
        match self {
            Area::Architecture => "architecture",
            Area::Loss => "loss",
            Area::Optimizer => "optimizer",
            Area::LearningRate => "learning rate",
            Area::Parallelism => "parallelism",
            Area::Quantization => "quantization",
            Area::Checkpointing => "activation checkpointing",
            Area::Offloading => "CPU offloading",
            Area::Kernels => "kernels",
            Area::Inference => "inference",
            Area::Data => "data",
            Area::Alignment => "alignment",
        }
    }
}

/// What a lever does to the loss that training ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LossEffect {
    /// Nothing: the same arithmetic, elsewhere or in another order.
    Same,
    /// What the plan's scaling law says of parameters and tokens.
    Law,
    /// More than the law knows: it has to be measured.
    Unknown,
}

impl LossEffect {
    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            LossEffect::Same => "same",
            LossEffect::Law => "law",
            LossEffect::Unknown => "unknown",
        }
    }
}

/// What a lever can be set to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moves {
    /// Every other word of the schema, but for those named.
    Words(&'static [&'static str]),
    /// Twice and half as much; any number between may do too.
    Any,
    /// Twice and half as much, and nothing between.
    Doubles,
    /// One more and one less.
    Steps,
    /// One that looks at the plan, by its name.
    Own(Own),
}

/// Levers whose changes follow from the plan as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// Nodes or devices, whichever the plan declares.
    Fleet,
    /// Tokens: what the law finds best for the model's size, twice and half as many.
    Tokens,
    /// Layers, with the tokens that leave the compute as it is.
    Depth,
    /// Width, with heads and feed-forward in proportion, and the tokens that leave the compute as it is.
    Width,
    /// Groups of keys and values: half as many, or eight.
    Groups,
    /// The width of the feed-forward network: a quarter more or less.
    FeedForward,
    /// The learning rate that is recommended.
    Rate,
    /// Other devices of the catalog that have a list price, at that price.
    Device,
    /// Twice and half as many as the plan has, where it may say `auto`; the quantity that counts them then is beside it.
    Auto(&'static str),
}

/// A lever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The attribute that is set; `*` stands for the name of a block.
    pub(super) path: &'static str,
    /// Its part of the design.
    pub(super) area: Area,
    /// What it does to the loss.
    pub(super) loss: LossEffect,
    /// The quantity with which the report prices it, where it has that.
    pub(super) told: Option<&'static str>,
    /// What it can be set to.
    pub(super) moves: Moves,
    /// The attribute and the word, or the number, without which it does nothing.
    pub(super) only: Option<(&'static str, Only)>,
}

/// When a lever does anything.
#[derive(Clone, Copy, Debug)]
pub(super) enum Only {
    /// Where an attribute has not this word.
    Not(&'static str),
    /// Where an attribute has this word.
    Is(&'static str),
    /// Where an attribute is above this.
    Above(u64),
    /// Where an attribute has a value.
    Set,
}

const fn row(path: &'static str, area: Area, loss: LossEffect, moves: Moves) -> Row {
    Row { path, area, loss, told: None, moves, only: None }
}

const fn told(row: Row, by: &'static str) -> Row {
    Row { told: Some(by), ..row }
}

const fn when(row: Row, path: &'static str, only: Only) -> Row {
    Row { only: Some((path, only)), ..row }
}

const TENSOR: &str = "training.parallelism.tensor";
const PIPELINE: &str = "training.parallelism.pipeline";
const CONTEXT: &str = "training.parallelism.context";
const EXPERT: &str = "training.parallelism.expert";
const ZERO: &str = "training.parallelism.zero";
const CHECKPOINTING: &str = "training.checkpointing";
const OFFLOAD: &str = "training.offload";

/// Every lever, in the order of the lecture's areas. One whose attribute the language or the plan does not have is no
/// lever of that plan.
pub(super) const TABLE: &[Row] = &{
    use Area::*;
    use LossEffect::{Law, Same, Unknown};
    use Moves::{Any, Doubles, Own as By, Steps, Words};
    [
        row("model.layers", Architecture, Law, By(Own::Depth)),
        row("model.d_model", Architecture, Law, By(Own::Width)),
        row("model.ffn.d_ff", Architecture, Law, By(Own::FeedForward)),
        row("model.attention.kv_heads", Architecture, Unknown, By(Own::Groups)),
        row("model.tied_embeddings", Architecture, Unknown, Words(&[])),
        row("model.moe.experts_per_token", Architecture, Unknown, Steps),
        row("model.mtp.depth", Loss, Unknown, Steps),
        row("training.logits", Loss, Same, Words(&[])),
        // Language models are not trained with plain gradients.
        row("training.optimizer", Optimizer, Unknown, Words(&["sgd", "momentum", "adam"])),
        row("training.optimizer_states", Optimizer, Unknown, Words(&[])),
        row("training.master_weights", Optimizer, Unknown, Words(&[])),
        row("training.main_gradients", Optimizer, Unknown, Words(&[])),
        told(row("training.global_batch", LearningRate, Unknown, Doubles), "recipe.batch.extra_tokens_share"),
        row("training.learning_rate", LearningRate, Law, By(Own::Rate)),
        // Of a schedule only what a sweep of it costs is known.
        when(
            row("training.learning_rate_schedule", LearningRate, Unknown, Words(&[])),
            "training.sweep.runs",
            Only::Set,
        ),
        row("hardware.nodes", Parallelism, Same, By(Own::Fleet)),
        row("hardware.device", Kernels, Same, By(Own::Device)),
        row("training.micro_batch", Parallelism, Same, Doubles),
        row(TENSOR, Parallelism, Same, Doubles),
        when(
            row("training.parallelism.sequence_parallel", Parallelism, Same, Words(&[])),
            TENSOR,
            Only::Above(1),
        ),
        row(PIPELINE, Parallelism, Same, Doubles),
        when(row("training.parallelism.interleave", Parallelism, Same, Steps), PIPELINE, Only::Above(1)),
        when(row("training.parallelism.schedule", Parallelism, Same, Words(&[])), PIPELINE, Only::Above(1)),
        row(CONTEXT, Parallelism, Same, Doubles),
        when(
            row("training.parallelism.context_kind", Parallelism, Same, Words(&[])),
            CONTEXT,
            Only::Above(1),
        ),
        when(row(EXPERT, Parallelism, Same, Doubles), "model.moe.experts", Only::Set),
        when(row("training.parallelism.expert_kind", Parallelism, Same, Words(&[])), EXPERT, Only::Above(1)),
        when(
            row("training.parallelism.expert_tensor", Parallelism, Same, Doubles),
            "model.moe.experts",
            Only::Set,
        ),
        row(ZERO, Parallelism, Same, Steps),
        when(row("training.parallelism.prefetch", Parallelism, Same, Steps), ZERO, Only::Above(2)),
        row("training.precision", Quantization, Unknown, Words(&[])),
        row("training.matmul", Quantization, Unknown, Words(&[])),
        row("training.gradients", Quantization, Unknown, Words(&[])),
        row("training.activation_inputs", Quantization, Unknown, Words(&[])),
        row("training.lora.base", Quantization, Unknown, Words(&[])),
        row("training.lora.rank", Architecture, Unknown, Doubles),
        row(CHECKPOINTING, Checkpointing, Same, Words(&["modules"])),
        when(
            row("training.recompute.attention", Checkpointing, Same, Words(&[])),
            CHECKPOINTING,
            Only::Is("modules"),
        ),
        when(
            row("training.recompute.norm", Checkpointing, Same, Words(&[])),
            CHECKPOINTING,
            Only::Is("modules"),
        ),
        when(
            row("training.recompute.activation", Checkpointing, Same, Words(&[])),
            CHECKPOINTING,
            Only::Is("modules"),
        ),
        when(
            row("training.recompute.ffn", Checkpointing, Same, Words(&[])),
            CHECKPOINTING,
            Only::Is("modules"),
        ),
        when(
            row("training.recompute.experts", Checkpointing, Same, Words(&[])),
            CHECKPOINTING,
            Only::Is("modules"),
        ),
        row(OFFLOAD, Offloading, Same, Words(&[])),
        when(
            row("training.offload_activations", Offloading, Same, Words(&[])),
            CHECKPOINTING,
            Only::Not("none"),
        ),
        when(row("training.offload_to", Offloading, Same, Words(&[])), OFFLOAD, Only::Not("none")),
        row("training.attention", Kernels, Same, Words(&[])),
        row("training.pointwise", Kernels, Same, Words(&[])),
        told(row("inference.weights", Inference, Unknown, Words(&["fp32"])), "inference.quantization_loss"),
        // What engines store keys and values in.
        row("inference.kv_cache", Inference, Unknown, Words(&["fp32", "int6", "int3", "fp4"])),
        row("inference.matmul", Inference, Unknown, Words(&[])),
        row("inference.tensor", Inference, Same, Doubles),
        row("inference.batch", Inference, Same, By(Own::Auto("inference.sequences"))),
        row("inference.device", Inference, Same, By(Own::Device)),
        row("inference.speculative.tokens", Inference, Same, Steps),
        row("data.tokens", Data, Law, By(Own::Tokens)),
        // How long answers are on average, and how often they are right, is measured, not set.
        row("alignment.*.prompts", Alignment, Unknown, Any),
        row("alignment.*.samples", Alignment, Unknown, Any),
        row("alignment.*.max_response_tokens", Alignment, Unknown, Any),
        row("alignment.*.epochs", Alignment, Unknown, Steps),
        row("alignment.*.batch", Alignment, Unknown, Doubles),
        row("alignment.*.updates", Alignment, Unknown, Steps),
        row("alignment.*.lora", Alignment, Unknown, Words(&[])),
        row("alignment.*.reference", Alignment, Unknown, Words(&[])),
        row("alignment.*.old_logprobs", Alignment, Unknown, Words(&[])),
        row("alignment.*.synchronous", Alignment, Unknown, Words(&[])),
        row("alignment.*.colocated", Alignment, Same, Words(&[])),
        row("alignment.*.prefix_cache", Alignment, Same, Words(&[])),
        row("alignment.*.devices", Alignment, Same, Any),
        row("alignment.*.generation_devices", Alignment, Same, Any),
        row("alignment.*.tensor", Alignment, Same, By(Own::Auto("alignment.*.replica"))),
        row("alignment.*.verifier.workers", Alignment, Same, Doubles),
    ]
};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails
mod tests {
    use llmplan_spec::schema::{self, Type};

    use super::*;

    /// A lever whose attribute is misspelled would never be pulled.
    #[test]
    fn levers_are_attributes_of_the_language() {
        for row in TABLE {
            let path = row.path.replace('*', "stage");
            let attribute = schema::declared(&path);
            assert!(attribute.is_some(), "{path}");
            if let (Moves::Words(without), Some(attribute)) = (row.moves, attribute) {
                match attribute.ty {
                    Type::Choice(words) => {
                        let known = |word: &&str| words.iter().any(|(own, _)| *own == *word);
                        assert!(without.iter().all(known), "{path}");
                    }
                    Type::Flag => assert!(without.is_empty(), "{path}"),
                    _ => panic!("{path} has no words"),
                }
            }
        }
    }

    #[test]
    fn no_lever_stands_twice_and_every_area_has_one() {
        for (at, row) in TABLE.iter().enumerate() {
            assert!(TABLE[..at].iter().all(|other| other.path != row.path), "{}", row.path);
        }
        let areas = [
            Area::Architecture,
            Area::Loss,
            Area::Optimizer,
            Area::LearningRate,
            Area::Parallelism,
            Area::Quantization,
            Area::Checkpointing,
            Area::Offloading,
            Area::Kernels,
            Area::Inference,
            Area::Data,
            Area::Alignment,
        ];
        assert!(areas.iter().all(|area| TABLE.iter().any(|row| row.area == *area)));
    }
}
