//! Writing: a closed pipe is no error, any other trouble is told once.

use std::io::{self, BufWriter, ErrorKind, Write};

use crate::exit::Exit;
use crate::render::paint::Paint;

/// Where a run prints.
pub(crate) struct Output<'c> {
    stdout: BufWriter<&'c mut dyn Write>,
    stderr: &'c mut dyn Write,
    color: bool,
    stderr_color: bool,
    /// The first failure to write; nothing is written behind it.
    failure: Option<io::Error>,
}

impl<'c> Output<'c> {
    pub(crate) fn new(
        stdout: &'c mut dyn Write,
        color: bool,
        stderr: &'c mut dyn Write,
        stderr_color: bool,
    ) -> Output<'c> {
        Output {
            stdout: BufWriter::with_capacity(1 << 16, stdout),
            stderr,
            color,
            stderr_color,
            failure: None,
        }
    }

    /// Turns colour on or off for both streams, whatever they are.
    pub(crate) fn set_color(&mut self, color: bool) {
        self.color = color;
        self.stderr_color = color;
    }

    /// Whether `stdout` takes colour.
    pub(crate) fn color(&self) -> bool {
        self.color
    }

    /// Whether `stderr` takes colour.
    pub(crate) fn stderr_color(&self) -> bool {
        self.stderr_color
    }

    /// How texts for `stdout` are coloured.
    pub(crate) fn paint(&self) -> Paint {
        Paint { color: self.color }
    }

    /// How texts for `stderr` are coloured.
    pub(crate) fn stderr_paint(&self) -> Paint {
        Paint { color: self.stderr_color }
    }

    /// Writes to `stdout`, as long as it takes anything.
    pub(crate) fn print(&mut self, text: &str) {
        if self.failure.is_none()
            && let Err(error) = self.stdout.write_all(text.as_bytes())
        {
            self.failure = Some(error);
        }
    }

    /// Writes to `stderr`; there is nowhere to tell that this failed.
    pub(crate) fn talk(&mut self, text: &str) {
        let _ = self.stderr.write_all(text.as_bytes());
    }

    /// One line of trouble on `stderr`.
    pub(crate) fn trouble(&mut self, text: &str) {
        let paint = self.stderr_paint();
        self.talk(&format!("{} {}\n", paint.bad("error:"), paint.strong(&crate::render::clean(text))));
    }

    /// One line of what to do about the trouble above it.
    pub(crate) fn advice(&mut self, text: &str) {
        let paint = self.stderr_paint();
        self.talk(&format!("  = {} {}\n", paint.strong("help:"), crate::render::clean(text)));
    }

    /// Flushes, and makes the exit code worse where writing failed for another reason than a closed pipe.
    pub(crate) fn finish(mut self, exit: Exit) -> Exit {
        let failure = self.failure.take().or_else(|| self.stdout.flush().err());
        match failure {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                self.trouble(&format!("standard output cannot be written: {}", crate::load::words(&error)));
                Exit::Trouble
            }
            _ => exit,
        }
        // A `BufWriter` tries to write once more when it is dropped; that failure is ignored.
    }
}
