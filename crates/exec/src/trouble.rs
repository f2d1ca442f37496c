//! Why a graph could not be run.

use std::fmt;

/// A result of running something.
pub type Result<T> = std::result::Result<T, Trouble>;

/// Why a graph could not be run.
#[derive(Debug)]
pub enum Trouble {
    /// An operator finds no input or weights of its shape: the graph is no model.
    Misshapen(&'static str),
    /// The backward pass of an operator reads what its saved list does not have.
    NotKept,
    /// There are not as many tokens as the sequence has, its documents do not fill it, or a token is no row of the
    /// embedding.
    Sequence,
    /// The tensor library, or the device under it.
    Tensor(candle_core::Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Misshapen(name) => write!(formatter, "`{name}` has no input of its shape"),
            Trouble::NotKept => write!(formatter, "a backward pass reads what was not kept"),
            Trouble::Sequence => write!(formatter, "the tokens are not those of the sequence"),
            // What follows the first line is a backtrace.
            Trouble::Tensor(error) => {
                write!(formatter, "{}", error.to_string().lines().next().unwrap_or("the device failed"))
            }
        }
    }
}

impl std::error::Error for Trouble {}

impl From<candle_core::Error> for Trouble {
    fn from(error: candle_core::Error) -> Trouble {
        Trouble::Tensor(error)
    }
}
