//! Exit codes.

/// How a run ended; the worst of several files counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: nothing to complain about.
    Fine,
    /// 1: a plan is at fault: an error in it, a broken `require`, a layout that `fmt --check` would change, another
    /// checkpoint than `verify` was given, or a number that `validate` did not find.
    PlanAtFault,
    /// 2: the command line, a file or a stream is at fault.
    Trouble,
    /// 101: a bug of the tool's own.
    Bug,
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> u8 {
        match exit {
            Exit::Fine => 0,
            Exit::PlanAtFault => 1,
            Exit::Trouble => 2,
            Exit::Bug => 101,
        }
    }
}
