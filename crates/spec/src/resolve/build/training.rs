//! How the model is trained.

use super::{Builder, Typed, shapes};
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::{
    Checkpointing, Documents, LayerChoice, Offload, Optimizer, Parallelism, Precision, Training,
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
            gradients: Precision::of(&self.word("training.gradients")?)?,
            optimizer: match self.word("training.optimizer")?.as_str() {
                "sgd" => Optimizer::Sgd,
                "momentum" => Optimizer::Momentum,
                "adam" => Optimizer::Adam,
                "adam8bit" => Optimizer::Adam8bit,
                _ => Optimizer::Adamw,
            },
            optimizer_block: self.count("training.optimizer_block")?,
            sequence,
            documents,
            global_batch,
            micro_batch: self.count("training.micro_batch"),
            mfu: self.share("training.mfu"),
            checkpointing: Checkpointing::of(&self.word("training.checkpointing")?)?,
            checkpointing_layers: self.checkpointing_layers(),
            offload: Offload::of(&self.word("training.offload")?)?,
            loss_scale: self.count("training.loss_scale")?,
            parallelism: Parallelism {
                tensor: self.count("training.parallelism.tensor")?,
                pipeline: self.count("training.parallelism.pipeline")?,
                data,
            },
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
