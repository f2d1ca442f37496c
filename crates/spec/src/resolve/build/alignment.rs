//! What is done after pretraining.

use super::{Builder, Typed};
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::{Alignment, OldLogprobs, Reference, Stage, StageKind, Verifier, VerifierKind};
use crate::source::Span;
use crate::units::format;

impl Builder<'_> {
    /// Stages of alignment, in source order.
    pub(super) fn alignment(&mut self) -> Option<Alignment> {
        let mut stages = Vec::new();
        for name in &self.values.draft.steps {
            let stage = self.stage(name)?;
            self.needs(&stage);
            self.signal(&stage);
            self.shape(&stage);
            stages.push(stage);
        }
        Some(Alignment { stages })
    }

    fn stage(&mut self, name: &str) -> Option<Stage> {
        let path = |leaf: &str| format!("alignment.{name}.{leaf}");
        Some(Stage {
            name: name.to_owned(),
            kind: StageKind::of(&self.word(&path("kind"))?)?,
            prompts: self.count(&path("prompts"))?,
            samples: self.count(&path("samples"))?,
            prompt_tokens: self.count(&path("prompt_tokens"))?,
            response_tokens: self.count(&path("response_tokens"))?,
            max_response_tokens: self.count(&path("max_response_tokens")),
            epochs: self.count(&path("epochs"))?,
            batch: self.count(&path("batch"))?,
            updates: self.count(&path("updates"))?,
            reference: Reference::of(&self.word(&path("reference"))?)?,
            old_logprobs: OldLogprobs::of(&self.word(&path("old_logprobs"))?)?,
            reward_params: self.count(&path("reward_params")),
            critic_params: self.count(&path("critic_params")),
            teacher_params: self.count(&path("teacher_params")),
            teacher_cache: self.amount(&path("teacher_cache")),
            cached_logits: self.count(&path("cached_logits")),
            pass_rate: self.share(&path("pass_rate")),
            accept: self.share(&path("accept")),
            lora: self.flag(&path("lora")),
            pair_price: self.amount(&path("pair_price")),
            devices: self.count(&path("devices")),
            colocated: self.flag(&path("colocated")),
            synchronous: self.flag(&path("synchronous")),
            generation_devices: self.count(&path("generation_devices")),
            tensor: match self.get(&path("tensor")) {
                Some(Typed::Count(count)) => Some(count),
                _ => None,
            },
            prefix_cache: self.flag(&path("prefix_cache")),
            worth: self.factor(&path("worth")),
            buy_price: self.amount(&path("buy_price")),
            verifier: self.verifier(&path("verifier"))?,
        })
    }

    fn verifier(&mut self, block: &str) -> Option<Verifier> {
        let path = |leaf: &str| format!("{block}.{leaf}");
        Some(Verifier {
            kind: self.word(&path("kind")).and_then(|word| VerifierKind::of(&word)),
            seconds: self.amount(&path("seconds")),
            cores: self.count(&path("cores"))?,
            workers: self.count(&path("workers")),
            core_price: self.amount(&path("core_price"))?,
            judge_params: self.count(&path("judge_params")),
            judge_tokens: self.count(&path("judge_tokens"))?,
            price: self.amount(&path("price")),
        })
    }

    /// What a kind of stage, or of verifier, cannot do without.
    fn needs(&mut self, stage: &Stage) {
        let verifier = &stage.verifier;
        let lacking = match stage.scorer() {
            VerifierKind::Judge if verifier.judge_params.is_none() && verifier.price.is_none() => Some((
                "a judge needs `judge_params`",
                "add `judge_params = …` for one that runs on these devices, or `price = …` for one that is paid by the \
                 sample",
            )),
            VerifierKind::Code if verifier.seconds.is_none() => Some((
                "a check needs `seconds`",
                "add `seconds = …`: how long one check takes, such as `2 s`",
            )),
            VerifierKind::Human if verifier.price.is_none() => {
                Some(("people need `price`", "add `price = …`: what is paid for one sample, such as `$0.50`"))
            }
            _ => None,
        };
        if let Some((title, help)) = lacking {
            let span = self.at(stage, &["verifier.kind", "kind"]);
            self.values.found.push(Diagnostic::error(Code::MissingAttribute, span, title).help(help));
        }
        if stage.kind == StageKind::Distillation && stage.teacher_params.is_none() {
            let span = self.at(stage, &["kind"]);
            let title = "distillation needs `teacher_params`";
            self.values.found.push(
                Diagnostic::error(Code::MissingAttribute, span, title)
                    .help("add `teacher_params = …`: the parameters of the model that is learnt from"),
            );
        }
        if stage.reference == Reference::Cached && stage.kind.on_policy() {
            let span = self.at(stage, &["reference"]);
            self.values.found.push(
                Diagnostic::error(Code::InvalidValue, span, "rollouts have no cached reference")
                    .label("they are new in each step")
                    .help("write `loaded`, or `none` without a KL term"),
            );
        }
    }

    /// Samples that are only compared with each other teach nothing where they are all alike.
    fn signal(&mut self, stage: &Stage) {
        let kind = stage.kind;
        if kind.grouped() && stage.samples < 2 {
            let span = self.at(stage, &["samples", "kind"]);
            self.values.found.push(
                Diagnostic::error(Code::OutOfRange, span, "a group of one has no signal")
                    .label(format!("{} compares the samples of a prompt with each other", kind.word()))
                    .note("the advantage is a reward less the mean of its group: r − r = 0")
                    .help("write `samples = 8` or more"),
            );
            return;
        }
        let Some(rate) = stage.pass_rate else { return };
        let none = rate <= 0.0 && kind.generates();
        let all = rate >= 1.0 && kind.grouped();
        if !none && !all {
            return;
        }
        let span = self.at(stage, &["pass_rate"]);
        let (title, label) = if kind.grouped() {
            (
                "no prompt gives a signal",
                if none { "no sample is ever right" } else { "all samples are right" },
            )
        } else {
            ("nothing is kept", "no sample is ever right")
        };
        let mut diagnostic = Diagnostic::error(Code::OutOfRange, span, title).label(label);
        if kind.grouped() {
            let (samples, p) = (stage.samples, format::percent(rate));
            diagnostic = diagnostic
                .note(format!("usable groups are 1 − p^G − (1 − p)^G, which is 0 at p = {p}, G = {samples}"));
        }
        self.values.found.push(diagnostic.help("choose prompts that the model solves sometimes"));
    }

    /// Counts that go together.
    fn shape(&mut self, stage: &Stage) {
        if let Some(longest) = stage.max_response_tokens
            && longest < stage.response_tokens
        {
            let span = self.at(stage, &["max_response_tokens"]);
            self.values.found.push(
                Diagnostic::error(
                    Code::InconsistentShape,
                    span,
                    "the longest answer is shorter than the mean",
                )
                .label(format!("`response_tokens` is {}", stage.response_tokens)),
            );
        }
        let Some(devices) = stage.devices else { return };
        let there = self.count("hardware.devices");
        if let Some(there) = there.filter(|there| devices > *there) {
            let span = self.at(stage, &["devices"]);
            self.values.found.push(
                Diagnostic::error(Code::OutOfRange, span, "the stage uses more devices than there are")
                    .label(format!("`hardware.devices` is {there}")),
            );
        }
        let training = if stage.colocated { devices } else { devices.saturating_sub(1) };
        let limits = [
            (
                "generation_devices",
                stage.generation_devices,
                devices.saturating_sub(1),
                "leaves none to train",
            ),
            (
                "tensor",
                stage.tensor,
                stage.generation_devices.unwrap_or(training),
                "is more than there are to generate",
            ),
        ];
        for (leaf, count, most, title) in limits {
            if let Some(count) = count.filter(|count| *count > most) {
                let span = self.at(stage, &[leaf]);
                self.values.found.push(
                    Diagnostic::error(Code::OutOfRange, span, format!("`{leaf}` {title}"))
                        .label(format!("{count}, of at most {most}")),
                );
            }
        }
    }

    /// Where the first of some attributes that is declared stands; the plan where none is.
    fn at(&self, stage: &Stage, leaves: &[&str]) -> Span {
        let draft = self.values.draft;
        let place = |leaf: &&str| draft.attributes.get(&format!("alignment.{}.{leaf}", stage.name));
        let found = leaves.iter().find_map(place);
        found.map_or(draft.span, |attribute| attribute.value.span().unwrap_or(attribute.span))
    }
}
