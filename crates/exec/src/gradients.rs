//! The gradients of a model's tensors, added up over micro-batches.

use candle_core::{DType, Tensor};

use crate::optimizer::accumulate;
use crate::trouble::{Result, Trouble};

/// A gradient for each tensor of a model, in the order of its parameters; none before the first is added.
pub struct Gradients {
    dtype: DType,
    own: Vec<Option<Tensor>>,
}

impl Gradients {
    /// None yet, for so many tensors; they are kept in a data type of their own.
    pub fn new(tensors: usize, dtype: DType) -> Gradients {
        Gradients { dtype, own: vec![None; tensors] }
    }

    /// Adds to the gradient of a tensor.
    pub(crate) fn add(&mut self, place: usize, gradient: Tensor) -> Result<()> {
        let own = self.own.get_mut(place).ok_or(Trouble::Misshapen("gradient"))?;
        match own {
            // What an operator hands over is its own: it need not be copied.
            None if gradient.dtype() == self.dtype && gradient.is_contiguous() => *own = Some(gradient),
            own => accumulate(own, &gradient, self.dtype)?,
        }
        Ok(())
    }

    /// The gradients so far.
    pub fn all(&self) -> &[Option<Tensor>] {
        &self.own
    }

    /// The gradients, handed over.
    pub fn into_all(self) -> Vec<Option<Tensor>> {
        self.own
    }

    /// Bytes of the gradients that are held.
    pub fn bytes(&self) -> u128 {
        let bytes = |tensor: &Tensor| tensor.elem_count() as u128 * tensor.dtype().size_in_bytes() as u128;
        self.own.iter().flatten().map(bytes).sum()
    }
}
