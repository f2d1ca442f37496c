//! What lies between the matrix products on a CPU: fused loops over `f32`, on all threads, forward and backward.
//!
//! Slices in, vectors out: nothing here knows tensors. Reductions have an order that depends on shapes alone, and no
//! multiplication is fused with an addition, so a result has the same bits whatever the number of threads and whichever
//! instructions the processor has.
//!
//! Lengths must fit each other as the functions say; builds with debug assertions check them.

pub(crate) mod activation;
pub(crate) mod gate;
pub(crate) mod gather;
pub(crate) mod loss;
pub(crate) mod norm;
pub(crate) mod permute;
pub(crate) mod rotate;
pub(crate) mod softmax;
pub(crate) mod sum;
#[cfg(test)]
mod tests;
mod vector;
