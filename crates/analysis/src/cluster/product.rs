//! The time of a matrix product: a roofline under an efficiency that depends on its shape.

use super::System;

/// So many products m×k by k×n, run as one kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    /// How many: heads, or experts.
    pub copies: f64,
    /// m: rows of the result.
    pub rows: f64,
    /// n: columns of the result.
    pub columns: f64,
    /// k: what is summed over.
    pub depth: f64,
    /// FLOP/s that large products reach.
    pub reach: f64,
    /// Bytes of memory that it reads and writes.
    pub bytes: f64,
}

impl Product {
    /// 2·m·n·k of each.
    pub fn flops(&self) -> f64 {
        2.0 * self.copies * self.rows * self.columns * self.depth
    }
}

/// Bytes of the products: both factors read, and the result written, at so many bytes a value.
pub fn traffic((m, n, k): (f64, f64, f64), factors: f64, result: f64) -> f64 {
    factors * (m * k + k * n) + result * m * n
}

/// Side at which a tile computes half of what its operands' loads leave room for: smaller tiles read more for each
/// FLOP. Assumed.
const SIDE: f64 = 16.0;

/// What a product reaches of its rate where rows of its factors do not begin at multiples of 16 bytes, so that they are
/// loaded in pieces (NVIDIA, Matrix Multiplication Background, §3: half to a third).
const MISALIGNED: f64 = 0.5;

/// Whether rows of so many values of two bytes begin at multiples of 16 bytes; parts of a value are rounded by padding.
fn aligned(values: f64) -> bool {
    values.fract() != 0.0 || values % 8.0 == 0.0
}

impl System {
    /// Seconds of a product (Williams 2009): the larger of computing and moving.
    pub fn product(&self, own: &Product) -> f64 {
        let flops = own.flops();
        if flops <= 0.0 {
            return 0.0;
        }
        let aligned = if aligned(own.columns) && aligned(own.depth) { 1.0 } else { MISALIGNED };
        let computes = flops / (own.reach * aligned * self.shape(own));
        computes.max(own.bytes / self.memory)
    }

    /// The share of what large products reach that one of this shape does, in (0, 1]: k/(k + depth) for the pipeline that
    /// fills along the inner dimension, times the share of all tiles of all waves that is result. Of a few tiles and of
    /// a few ways to cut the inner dimension the best is taken, as libraries do.
    fn shape(&self, own: &Product) -> f64 {
        let fills = |depth: f64| depth / (depth + self.depth);
        if self.processors <= 0.0 {
            return fills(own.depth);
        }
        let side = |rows: f64, columns: f64| {
            let side = 2.0 * rows * columns / (rows + columns);
            side / (side + SIDE)
        };
        let whole = side(self.tile_rows, self.tile_columns);
        let mut best = f64::MIN_POSITIVE;
        for (rows, columns) in [(1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.5, 0.5), (0.25, 0.5), (0.5, 0.25)] {
            let (rows, columns) = ((self.tile_rows * rows).max(1.0), (self.tile_columns * columns).max(1.0));
            let tiles = own.copies * (own.rows / rows).ceil() * (own.columns / columns).ceil();
            let used = own.copies * own.rows * own.columns / (tiles * rows * columns);
            let tile = (side(rows, columns) / whole).min(1.0);
            for parts in [1.0, 2.0, 4.0, 8.0] {
                let waves = (tiles * parts / self.processors).ceil();
                let busy = tiles * parts / (waves * self.processors);
                best = best.max(used * tile * busy * fills(own.depth / parts));
                // Where the tiles fill the device many times over, cutting deeper only costs.
                if waves > 4.0 {
                    break;
                }
            }
        }
        best.min(1.0)
    }
}
