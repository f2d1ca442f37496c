//! The recipe of a training.

use super::Builder;
use crate::diagnostic::{Code, Diagnostic};
use crate::plan::{Distillation, LearningRateSchedule, Recipe, Sweep, TeacherLogits};

impl Builder<'_> {
    /// Learning rate and schedule, losses, and the study before the run.
    pub(super) fn recipe(&mut self) -> Option<Recipe> {
        let warmup = self.count("training.warmup");
        let tokens = if warmup.is_some() { self.count("data.tokens") } else { None };
        if let (Some(warmup), Some(tokens)) = (warmup, tokens)
            && warmup > tokens
        {
            let draft = self.values.draft;
            let place = self.values.place("training.warmup").unwrap_or(draft.span);
            let title = "the learning rate rises for longer than the run lasts";
            let mut diagnostic = Diagnostic::error(Code::OutOfRange, place, title)
                .label(format!("{warmup} tokens"))
                .help("warm-up is counted in tokens, not in steps");
            if let Some(run) = self.values.place("data.tokens") {
                diagnostic = diagnostic.also(run, format!("{tokens} tokens of the run"));
            }
            self.values.found.push(diagnostic);
        }
        Some(Recipe {
            learning_rate: self.factor("training.learning_rate"),
            schedule: LearningRateSchedule::of(&self.word("training.learning_rate_schedule")?)?,
            warmup,
            cooldown: self.share("training.cooldown"),
            z_loss: self.flag("training.z_loss"),
            distillation: self.distillation(),
            sweep: self.sweep(),
            year: self.count("training.recipe_year"),
            base: self.count("training.recipe_base"),
            doubling: self.amount("training.recipe_doubling"),
        })
    }

    /// The teacher, where the block is written.
    fn distillation(&mut self) -> Option<Distillation> {
        Some(Distillation {
            teacher_params: self.count("training.distillation.teacher_params")?,
            logits: TeacherLogits::of(&self.word("training.distillation.logits")?)?,
            top_k: self.count("training.distillation.top_k")?,
        })
    }

    /// The study, where the block is written.
    fn sweep(&mut self) -> Option<Sweep> {
        Some(Sweep {
            runs: self.count("training.sweep.runs")?,
            params: self.count("training.sweep.params")?,
            tokens: self.count("training.sweep.tokens")?,
            points: self.count("training.sweep.points")?,
        })
    }
}
