//! What a search asks of the arithmetic of memory and time.

use crate::cluster::{Layout, Strategy};

/// What a strategy takes, or at least takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Seconds of a step.
    pub seconds: f64,
    /// Bytes on the device that holds most, at its peak.
    pub bytes: u64,
    /// Bytes that the host holds for each of its devices.
    pub host: u64,
}

/// The arithmetic, in three steps: what many strategies share is computed once for them.
pub trait Engine: Sync {
    /// What all strategies of a layout share.
    type Tables;
    /// What those of a group share besides: they differ in ZeRO and offloading alone ([`Space::leaves`](super::Space::leaves)).
    type Group<'e>
    where
        Self: 'e;

    /// The tables of a layout; `None` where a number is beyond its bits.
    fn tables(&self, layout: &Layout) -> Option<Self::Tables>;

    /// The group that a strategy stands for, whatever its ZeRO and offloading.
    fn group(&self, tables: &Self::Tables, strategy: &Strategy) -> Option<Self::Group<'_>>;

    /// What no strategy of a group can get under.
    fn floor(&self, tables: &Self::Tables, group: &Self::Group<'_>, strategy: &Strategy) -> Estimate;

    /// What a strategy takes.
    fn estimate(
        &self,
        tables: &Self::Tables,
        group: &Self::Group<'_>,
        strategy: &Strategy,
    ) -> Option<Estimate>;
}
