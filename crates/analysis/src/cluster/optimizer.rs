//! Values that an optimizer keeps for a tensor of a shape, and for a whole model.

use llmplan_spec::plan::Optimizer;

use crate::graph::{Component, Graph, Operator, Tensor};

/// Dimensions beyond this are divided into blocks of it, each with statistics of its own (Anil 2020 §5).
const BLOCK: u64 = 8192;

/// Values that an optimizer keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    /// Of the first moment, or momentum.
    pub first: u128,
    /// Of the second moment, or of the statistics that take its place.
    pub second: u128,
}

impl Moments {
    /// Both sums; `None` beyond 128 bits.
    pub fn plus(self, other: Moments) -> Option<Moments> {
        Some(Moments {
            first: self.first.checked_add(other.first)?,
            second: self.second.checked_add(other.second)?,
        })
    }

    /// So many times as much; `None` beyond 128 bits.
    pub fn times(self, count: u64) -> Option<Moments> {
        let count = u128::from(count);
        Some(Moments { first: self.first.checked_mul(count)?, second: self.second.checked_mul(count)? })
    }

    /// Both together; `None` beyond 128 bits.
    pub fn total(self) -> Option<u128> {
        self.first.checked_add(self.second)
    }
}

/// The values for all trained tensors of a model; `None` beyond 128 bits.
pub fn moments(graph: &Graph, optimizer: Optimizer) -> Option<Moments> {
    let mut total = Moments::default();
    for block in &graph.blocks {
        for operator in &block.operators {
            for tensor in operator.weights.iter().filter(|tensor| tensor.trained) {
                let own = of_tensor(optimizer, operator, tensor)?;
                total = total.plus(own.times(tensor.copies)?.times(block.count)?)?;
            }
        }
    }
    Some(total)
}

/// The values for one copy of a tensor of an operator; `None` beyond 128 bits.
pub fn of_tensor(optimizer: Optimizer, operator: &Operator, tensor: &Tensor) -> Option<Moments> {
    let hidden = !matches!(
        operator.component,
        Component::Embedding | Component::Position | Component::Output | Component::Norm
    );
    of_shape(optimizer, (tensor.rows, tensor.columns), hidden)
}

/// The values for a matrix of so many rows and columns, or for a vector, which has one row. `hidden` is whether it is in a
/// layer, and not an embedding or the output projection. `None` beyond 128 bits.
///
/// Sgd none. Momentum, Lion (Chen 2023) mn. Adam 2mn. Adafactor (Shazeer 2018 §4) m + n for a matrix, and n for a vector.
/// Muon (Jordan 2024) mn for hidden matrices, the rest as Adam. Shampoo (Gupta 2018) mn, and m² + n² of statistics with as
/// many of their inverse roots. SOAP (Vyas 2024) 2mn, and m² + n² of statistics with as many of their eigenvectors; both
/// as Adam for vectors.
pub fn of_shape(optimizer: Optimizer, (rows, columns): (u64, u64), hidden: bool) -> Option<Moments> {
    let all = u128::from(rows).checked_mul(u128::from(columns))?;
    let vector = rows <= 1;
    let both = || twice(square(rows, columns)?.checked_add(square(columns, rows)?)?);
    let (first, second) = match optimizer {
        Optimizer::Sgd => (0, 0),
        Optimizer::Momentum | Optimizer::Lion => (all, 0),
        Optimizer::Adam | Optimizer::Adamw | Optimizer::Adam8bit => (all, all),
        Optimizer::Adafactor if vector => (0, all),
        Optimizer::Adafactor => (0, u128::from(rows).checked_add(u128::from(columns))?),
        Optimizer::Muon if hidden && !vector => (all, 0),
        Optimizer::Muon => (all, all),
        Optimizer::Shampoo | Optimizer::Soap if vector => (all, all),
        Optimizer::Shampoo => (all, both()?),
        Optimizer::Soap => (all, all.checked_add(both()?)?),
    };
    Some(Moments { first, second })
}

/// Values of the statistics of one side of a matrix, in blocks: each block of `side` × `other` has a square of its own.
fn square(side: u64, other: u64) -> Option<u128> {
    let each = |length: u64| u128::from(length).checked_mul(u128::from(length));
    let whole = each(BLOCK)?.checked_mul(u128::from(side / BLOCK))?;
    let of_side = whole.checked_add(each(side % BLOCK)?)?;
    of_side.checked_mul(u128::from(other.div_ceil(BLOCK)))
}

fn twice(values: u128) -> Option<u128> {
    values.checked_mul(2)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails
mod tests {
    use super::{Optimizer, of_shape};

    #[test]
    fn states_of_one_matrix_are_those_of_the_papers() {
        let (m, n) = (300_u128, 700_u128);
        let squares = 2 * (m * m + n * n);
        for (optimizer, expected, vector) in [
            (Optimizer::Sgd, (0, 0), (0, 0)),
            (Optimizer::Momentum, (m * n, 0), (n, 0)),
            (Optimizer::Adam, (m * n, m * n), (n, n)),
            (Optimizer::Adamw, (m * n, m * n), (n, n)),
            (Optimizer::Adam8bit, (m * n, m * n), (n, n)),
            (Optimizer::Adafactor, (0, m + n), (0, n)),
            (Optimizer::Lion, (m * n, 0), (n, 0)),
            (Optimizer::Muon, (m * n, 0), (n, n)),
            (Optimizer::Shampoo, (m * n, squares), (n, n)),
            (Optimizer::Soap, (m * n, m * n + squares), (n, n)),
        ] {
            let both = |shape| {
                let own = of_shape(optimizer, shape, true).unwrap();
                (own.first, own.second)
            };
            assert_eq!(both((300, 700)), expected, "{optimizer:?}");
            assert_eq!(both((1, 700)), vector, "{optimizer:?}");
        }
        let embedding = of_shape(Optimizer::Muon, (300, 700), false).unwrap();
        assert_eq!((embedding.first, embedding.second), (m * n, m * n));
    }

    #[test]
    fn large_dimensions_have_statistics_in_blocks() {
        // Two blocks of 8192 rows and one of 100, each beside one block of 64 columns.
        let own = of_shape(Optimizer::Shampoo, (16_484, 64), true).unwrap();
        let rows = 2 * 8192_u128 * 8192 + 100 * 100;
        assert_eq!(own.second, 2 * (rows + 3 * 64 * 64));
    }
}
