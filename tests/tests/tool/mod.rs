//! The whole tool as a function, in the folder of this package.

/// What a run said.
pub(crate) struct Said {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Both streams: what a user at a terminal reads.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// Runs a command line without colour.
pub(crate) fn run(arguments: &[&str]) -> Said {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let console = llmplan::Console {
        stdin: &mut std::io::empty(),
        stdout: &mut out,
        stderr: &mut err,
        stdout_color: false,
        stderr_color: false,
    };
    let exit = llmplan::run(["llmplan"].iter().chain(arguments).map(Into::into), console);
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    Said { code: exit.into(), out: text(out), err: text(err) }
}
