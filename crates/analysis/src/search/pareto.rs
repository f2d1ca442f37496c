//! Strategies that no other one beats in devices, time and memory.

use crate::cluster::Strategy;

/// A strategy with what it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Devices.
    pub devices: u64,
    /// Seconds of a step; never NaN.
    pub seconds: f64,
    /// Bytes on the device that holds most, at its peak.
    pub bytes: u64,
    /// Bytes that the host holds for each of its devices.
    pub host: u64,
    /// How.
    pub strategy: Strategy,
}

impl Point {
    /// Whether it is as good in everything, and better in something or earlier in the order of strategies: one of any
    /// two alike is dominated.
    pub fn dominates(&self, other: &Point) -> bool {
        let as_good =
            self.devices <= other.devices && self.seconds <= other.seconds && self.bytes <= other.bytes;
        let alike =
            self.devices == other.devices && self.seconds == other.seconds && self.bytes == other.bytes;
        as_good && (!alike || self.strategy < other.strategy)
    }
}

/// The strategies that are not dominated by another, of those that were offered. It does not depend on their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Front {
    /// For each number of devices, by time; each takes longer than the one before it and holds less.
    by_devices: Vec<(u64, Vec<Point>)>,
}

impl Front {
    /// Takes a strategy, unless one of as many devices dominates it.
    pub fn offer(&mut self, point: Point) {
        let points = self.of_mut(point.devices);
        // The last that is as fast holds least of all that are as fast.
        let at = points.partition_point(|own| own.seconds <= point.seconds);
        if let Some(faster) = at.checked_sub(1).and_then(|before| points.get(before))
            && (faster.dominates(&point) || (faster.bytes <= point.bytes && !point.dominates(faster)))
        {
            return;
        }
        let first = points.partition_point(|own| own.seconds < point.seconds);
        let beaten = points.iter().skip(first).take_while(|own| own.bytes >= point.bytes).count();
        points.splice(first..first + beaten, [point]);
    }

    /// Whether something of as many devices is better than all strategies that take at least so long and hold at least
    /// so much: better in one of the two, as good in the other.
    pub fn beats(&self, devices: u64, seconds: f64, bytes: u64) -> bool {
        let Some((_, points)) = self.by_devices.iter().find(|(own, _)| *own == devices) else { return false };
        let at = points.partition_point(|own| own.seconds <= seconds);
        let Some(faster) = at.checked_sub(1).and_then(|before| points.get(before)) else { return false };
        faster.bytes <= bytes && (faster.bytes < bytes || faster.seconds < seconds)
    }

    /// Takes all of another front.
    pub fn absorb(&mut self, other: &Front) {
        other.by_devices.iter().flat_map(|(_, points)| points).for_each(|point| self.offer(*point));
    }

    /// The set over all numbers of devices: the fewest devices first, then by time.
    pub fn points(&self) -> Vec<Point> {
        let mut kept: Vec<Point> = Vec::new();
        for (_, points) in &self.by_devices {
            // What has as many devices does not dominate, and more devices cannot.
            let fewer = kept.len();
            for point in points {
                if !kept.iter().take(fewer).any(|own| own.dominates(point)) {
                    kept.push(*point);
                }
            }
        }
        kept
    }

    fn of_mut(&mut self, devices: u64) -> &mut Vec<Point> {
        let at = match self.by_devices.binary_search_by_key(&devices, |(own, _)| *own) {
            Ok(at) => at,
            Err(at) => {
                self.by_devices.insert(at, (devices, Vec::new()));
                at
            }
        };
        &mut self.by_devices[at].1
    }
}
