//! Colour, which never carries a meaning of its own: the same text is printed without.

/// Colours texts, or leaves them as they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    /// Whether to colour.
    pub(crate) color: bool,
}

impl Paint {
    /// No colour.
    pub(crate) const PLAIN: Paint = Paint { color: false };

    /// Titles.
    pub(crate) fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    /// Headings of columns, guides, everything in the background.
    pub(crate) fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    /// What is as it should be.
    pub(crate) fn good(self, text: &str) -> String {
        self.with("1;32", text)
    }

    /// What is wrong.
    pub(crate) fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
