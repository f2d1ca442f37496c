//! What is going on while a run takes a minute, on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;
use crate::render::clean;

/// One line that changes on a terminal, a line for each message elsewhere. The line is gone when this is dropped.
pub(crate) struct Progress<'o, 'c> {
    output: &'o mut Output<'c>,
    /// Moves with each message only: a thread that moved it would allocate while bytes are counted.
    line: ProgressBar,
}

impl<'o, 'c> Progress<'o, 'c> {
    pub(crate) fn new(output: &'o mut Output<'c>) -> Progress<'o, 'c> {
        let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            line.set_style(style);
        }
        Progress { output, line }
    }

    /// Says what begins now, in a few words.
    pub(crate) fn say(&mut self, text: &str) {
        let text = clean(text);
        if self.line.is_hidden() {
            self.output.talk(&format!("{text}\n"));
        } else {
            self.line.set_message(text);
            self.line.tick();
        }
    }
}

impl Drop for Progress<'_, '_> {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}
