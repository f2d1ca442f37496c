//! The meter of matrix products: FLOPs that were really done, by phase.

/// When something is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The forward pass.
    #[default]
    Forward,
    /// The vector-Jacobian products.
    Backward,
    /// What the forward pass did not keep, computed again.
    Recompute,
}

/// FLOPs by phase; a multiply-add is two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flops {
    /// Of the forward pass.
    pub forward: u128,
    /// Of the backward pass.
    pub backward: u128,
    /// Of what ran again.
    pub recompute: u128,
}

impl Flops {
    /// Adds what was done in a phase.
    pub fn add(&mut self, phase: Phase, flops: u128) {
        let own = match phase {
            Phase::Forward => &mut self.forward,
            Phase::Backward => &mut self.backward,
            Phase::Recompute => &mut self.recompute,
        };
        *own = own.saturating_add(flops);
    }

    /// All phases.
    pub fn total(self) -> u128 {
        self.forward.saturating_add(self.backward).saturating_add(self.recompute)
    }
}
