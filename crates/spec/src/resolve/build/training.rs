//! How the model is trained.

use super::{Builder, Typed, shapes};
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::{
    ActivationInputs, AttentionKernel, Checkpointing, ContextKind, Documents, ExpertKind, LayerChoice,
    LogitsKernel, Lora, LoraBase, LoraTargets, MainGradients, MatmulType, Offload, OffloadTo, Optimizer,
    Overlap, Parallelism, Pointwise, Precision, Recompute, Schedule, StateType, Training,
};

impl Builder<'_> {
    /// How the model is trained.
    pub(super) fn training(&mut self) -> Option<Training> {
        let zero = self.count("training.parallelism.zero");
        if let (Some(zero @ 4..), Some(attribute)) =
            (zero, self.values.draft.attributes.get("training.parallelism.zero"))
        {
            let span = attribute.value.span().unwrap_or(attribute.span);
            let diagnostic = Diagnostic::error(Code::OutOfRange, span, "a ZeRO stage is 0, 1, 2 or 3");
            self.values.found.push(diagnostic.label(format!("this is {zero}")));
        }
        let data = match self.get("training.parallelism.data") {
            Some(Typed::Count(count)) => Some(count),
            _ => None,
        };
        let sequence = self.count("training.sequence");
        let documents = match self.get("training.documents") {
            Some(Typed::Lengths(lengths)) => {
                let total = sequence.or_else(|| self.count("model.context"));
                shapes::documents(&mut self.values, &lengths, total);
                Some(packed(&lengths))
            }
            _ => None,
        };
        let global_batch = match self.get("training.global_batch") {
            Some(Typed::Batch(batch)) => Some(batch),
            _ => None,
        };
        Some(Training {
            name: self.part("training"),
            precision: Precision::of(&self.word("training.precision")?)?,
            matmul: MatmulType::of(&self.word("training.matmul")?)?,
            gradients: Precision::of(&self.word("training.gradients")?)?,
            main_gradients: MainGradients::of(&self.word("training.main_gradients")?)?,
            optimizer: Optimizer::of(&self.word("training.optimizer")?)?,
            optimizer_states: StateType::of(&self.word("training.optimizer_states")?)?,
            master_weights: self.word("training.master_weights")? == "fp32",
            optimizer_block: self.count("training.optimizer_block")?,
            sequence,
            documents,
            global_batch,
            micro_batch: self.count("training.micro_batch"),
            mfu: self.share("training.mfu"),
            attention: AttentionKernel::of(&self.word("training.attention")?)?,
            pointwise: Pointwise::of(&self.word("training.pointwise")?)?,
            activation_inputs: ActivationInputs::of(&self.word("training.activation_inputs")?)?,
            dropout: self.share("training.dropout")?,
            logits: LogitsKernel::of(&self.word("training.logits")?)?,
            checkpointing: Checkpointing::of(&self.word("training.checkpointing")?)?,
            checkpointing_layers: self.checkpointing_layers(),
            recompute: Recompute {
                attention: self.flag("training.recompute.attention"),
                latents: self.flag("training.recompute.latents"),
                norm: self.flag("training.recompute.norm"),
                activation: self.flag("training.recompute.activation"),
                ffn: self.flag("training.recompute.ffn"),
                experts: self.flag("training.recompute.experts"),
            },
            offload: Offload::of(&self.word("training.offload")?)?,
            offload_activations: self.flag("training.offload_activations"),
            offload_to: OffloadTo::of(&self.word("training.offload_to")?)?,
            loading: self.amount("training.loading"),
            lora: self.lora(),
            loss_scale: self.count("training.loss_scale")?,
            recipe: self.recipe()?,
            parallelism: self.parallelism(zero, data)?,
        })
    }

    fn parallelism(&mut self, zero: Option<u64>, data: Option<u64>) -> Option<Parallelism> {
        let mut count = |name: &str| self.count(&format!("training.parallelism.{name}"));
        let (tensor, pipeline, interleave) = (count("tensor")?, count("pipeline")?, count("interleave")?);
        let (context, expert, expert_tensor) = (count("context")?, count("expert")?, count("expert_tensor")?);
        let (shard, prefetch) = (count("shard"), count("prefetch")?);
        let mut overlap = |name: &str| self.share(&format!("training.parallelism.overlap.{name}"));
        let overlap = Overlap {
            tensor: overlap("tensor")?,
            pipeline: overlap("pipeline")?,
            context: overlap("context")?,
            expert: overlap("expert")?,
            data: overlap("data")?,
            offload: overlap("offload")?,
        };
        Some(Parallelism {
            tensor,
            sequence_parallel: self.flag("training.parallelism.sequence_parallel"),
            pipeline,
            interleave,
            schedule: Schedule::of(&self.word("training.parallelism.schedule")?)?,
            context,
            context_kind: ContextKind::of(&self.word("training.parallelism.context_kind")?)?,
            expert,
            expert_kind: ExpertKind::of(&self.word("training.parallelism.expert_kind")?)?,
            expert_tensor,
            data,
            zero: zero?,
            shard,
            prefetch,
            overlap,
        })
    }

    /// Adapters, where the block is written.
    fn lora(&mut self) -> Option<Lora> {
        Some(Lora {
            rank: self.count("training.lora.rank")?,
            targets: LoraTargets::of(&self.word("training.lora.targets")?)?,
            base: LoraBase::of(&self.word("training.lora.base")?)?,
        })
    }

    /// The layers that are checkpointed; all of them exist.
    fn checkpointing_layers(&mut self) -> Option<LayerChoice> {
        let path = "training.checkpointing_layers";
        let Some(Typed::Layers(choice)) = self.get(path) else { return None };
        let layers = self.count("model.layers")?;
        if choice.reach() > layers {
            let draft = self.values.draft;
            let title = "`checkpointing_layers` picks layers that the model does not have";
            let mut diagnostic = Diagnostic::error(
                Code::InconsistentShape,
                self.values.place(path).unwrap_or(draft.span),
                title,
            )
            .label(format!("this needs {} layers", choice.reach()));
            if let Some(place) = self.values.place("model.layers") {
                diagnostic =
                    diagnostic.also(place, format!("{layers} layers, numbered from 0 to {}", layers - 1));
            }
            self.values.found.push(diagnostic);
        }
        Some(choice)
    }

    /// Degrees of parallelism cannot exceed what they divide.
    pub(super) fn degrees(&mut self) {
        let draft = self.values.draft;
        if !draft.parts.contains_key("training") {
            return;
        }
        let pairs = [
            (
                "training.parallelism.tensor",
                "model.attention.heads",
                "heads",
                "tensor parallelism divides heads",
            ),
            (
                "training.parallelism.pipeline",
                "model.layers",
                "layers",
                "pipeline parallelism divides layers",
            ),
        ];
        for (degree, whole, noun, why) in pairs {
            let (Some(parts), Some(count)) = (self.count(degree), self.count(whole)) else { continue };
            if parts <= count {
                continue;
            }
            let place = |path: &str| {
                draft.attributes.get(path).map(|attribute| attribute.value.span().unwrap_or(attribute.span))
            };
            let span = place(degree).unwrap_or(draft.span);
            let mut diagnostic = Diagnostic::error(
                Code::InconsistentShape,
                span,
                format!("{count} {noun} cannot be divided over {parts} devices"),
            );
            if let Some(whole) = place(whole) {
                diagnostic = diagnostic.also(whole, format!("{count} {noun} here"));
            }
            self.values.found.push(diagnostic.label(format!("more than {count}")).note(why));
        }
    }
}

/// The documents of one sequence.
fn packed(lengths: &[u64]) -> Documents {
    match lengths {
        [length] => Documents::Alike(*length),
        lengths => Documents::Listed(lengths.to_vec()),
    }
}
