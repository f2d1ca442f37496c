//! What is cut off, and why nothing better is lost.
//!
//! A group is strategies that differ in ZeRO and offloading alone. Its floor is what none of them can get under: the
//! engine says why. From that:
//!
//! - If the floor of memory is above a limit, every strategy of the group is above it, and none of them may be chosen.
//! - If something found takes no longer than the floor and holds no more, and is better in one of the two, it is so
//!   against every strategy of the group. It then dominates all of them, so that none is in the Pareto set; and whatever
//!   objective is asked for, the best is in that set ([`Objective::order`](super::Objective::order)).
//!
//! Nothing else is cut off. A floor is compared with what fits alone, since only that is in a front.

use super::engine::Estimate;
use super::pareto::Front;
use super::reasons::{Family, Reasons};

/// What a strategy must keep to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Bytes of a device, where known.
    pub device: Option<u64>,
    /// What the plan requires of `memory.per_device`: the most that is allowed.
    pub required: Option<u64>,
    /// Bytes of a host's memory, where known.
    pub host: Option<u64>,
    /// Devices of a host.
    pub node: u64,
    /// What the plan requires of `training.step_time`: the most that is allowed, in seconds.
    pub seconds: Option<f64>,
}

/// What becomes of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    /// None of it keeps to a memory limit.
    TooLarge(Family, f64),
    /// Something found is better than all of it.
    Beaten,
    /// It may hold something better.
    Open,
}

impl Bounds {
    /// The first bound that something breaks: its family, the value and the limit.
    pub fn broken(&self, estimate: &Estimate, devices: u64) -> Option<(Family, f64, f64)> {
        let host = estimate.host.saturating_mul(self.node.min(devices).max(1));
        let memory = [
            (Family::DeviceMemory, estimate.bytes, self.device),
            (Family::RequiredMemory, estimate.bytes, self.required),
            (Family::HostMemory, host, self.host),
        ];
        let memory = memory.into_iter().find_map(|(family, value, limit)| {
            limit.filter(|limit| value > *limit).map(|limit| (family, value as f64, limit as f64))
        });
        let time = || {
            let limit = self.seconds.filter(|limit| estimate.seconds > *limit)?;
            Some((Family::RequiredTime, estimate.seconds, limit))
        };
        memory.or_else(time)
    }

    /// What becomes of a group with such a floor. One that is too large but nearer to the limit than anything so far is
    /// left open, so that the nearest miss is an evaluated one.
    pub(super) fn fate(&self, floor: &Estimate, devices: u64, fronts: &[&Front], reasons: &Reasons) -> Fate {
        let memory = Estimate { seconds: 0.0, host: 0, ..*floor };
        if let Some((family, value, limit)) = self.broken(&memory, devices) {
            let nearer = value < reasons.least(family);
            return if nearer { Fate::Open } else { Fate::TooLarge(family, limit) };
        }
        let beaten = fronts.iter().any(|front| front.beats(devices, floor.seconds, floor.bytes));
        if beaten { Fate::Beaten } else { Fate::Open }
    }
}
