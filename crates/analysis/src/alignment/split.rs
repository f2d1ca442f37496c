//! How devices are divided between generating and training, and how many of them one replica needs: numbers alone.

/// What decoding rests on, per replica of `replica` devices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoder {
    /// Bytes of the weights.
    pub(super) weights: f64,
    /// Bytes of the cache of one sequence, on average while it is decoded.
    pub(super) cache: f64,
    /// The same once it is whole.
    pub(super) whole: f64,
    /// Bytes of one device that weights and cache may have.
    pub(super) free: f64,
    /// Bytes per second of one device.
    pub(super) bandwidth: f64,
    /// FLOP per token.
    pub(super) flops: f64,
    /// FLOP per second of one device.
    pub(super) rate: f64,
    /// Devices of a replica.
    pub(super) replica: f64,
}

impl Decoder {
    /// Sequences that are decoded together where `waiting` of them are there for each replica; at least one.
    pub(super) fn batch(&self, waiting: f64) -> f64 {
        let room = self.free * self.replica - self.weights;
        let most = (room / self.whole).floor();
        waiting.min(most).max(1.0)
    }

    /// Seconds in which each of `batch` sequences gets a token: weights and cache are read once, products computed.
    pub(super) fn step(&self, batch: f64) -> f64 {
        let read = (self.weights + batch * self.cache) / self.bandwidth;
        read.max(batch * self.flops / self.rate) / self.replica
    }
}

/// The work of a stage on any number of devices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Devices of the stage.
    pub(super) devices: u64,
    /// Tokens to decode, stragglers counted.
    pub(super) tokens: f64,
    /// Sequences of one step.
    pub(super) sequences: f64,
    /// Device-seconds of reading prompts.
    pub(super) prefill: f64,
    /// Device-seconds of training.
    pub(super) training: f64,
    /// Whether generating and training take turns.
    pub(super) turns: bool,
}

impl Work {
    /// Seconds of generation on so many devices.
    fn generation(&self, decoder: &Decoder, devices: f64) -> f64 {
        let replicas = (devices / decoder.replica).floor().max(1.0);
        let batch = decoder.batch(self.sequences / replicas);
        self.prefill / devices + self.tokens * decoder.step(batch) / (batch * replicas)
    }

    /// The devices that should generate: a whole number of replicas with which the stage takes least time.
    pub(super) fn balance(&self, decoder: &Decoder) -> u64 {
        let replica = decoder.replica as u64;
        let most = self.devices.saturating_sub(1) / replica.max(1);
        // Very large clusters in steps: a thousandth of them makes no difference.
        let stride = (most / 4_096).max(1);
        let mut best = (f64::INFINITY, replica);
        let mut replicas = 1;
        while replicas <= most {
            let devices = replicas * replica;
            let generation = self.generation(decoder, devices as f64);
            let training = self.training / (self.devices - devices) as f64;
            let time = if self.turns { generation + training } else { generation.max(training) };
            if time < best.0 {
                best = (time, devices);
            }
            replicas += stride;
        }
        best.1
    }
}

/// The fewest devices, a power of two, on which weights leave half of the room to the cache; the most that there are where
/// none do, but a tenth is left; `None` where the weights fit nowhere.
pub(super) fn replica(weights: f64, free: f64, most: u64) -> Option<u64> {
    let powers = || {
        std::iter::successors(Some(1_u64), |devices| devices.checked_mul(2))
            .take_while(|devices| *devices <= most)
    };
    let leaves = |share: f64| move |devices: &u64| weights <= (1.0 - share) * free * *devices as f64;
    powers().find(leaves(0.5)).or_else(|| powers().filter(leaves(0.1)).last())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

    use super::*;

    const DECODER: Decoder = Decoder {
        weights: 16e9,
        cache: 1e8,
        whole: 2e8,
        free: 60e9,
        bandwidth: 2e12,
        flops: 16e9,
        rate: 5e14,
        replica: 1.0,
    };

    #[test]
    fn a_batch_is_what_waits_or_what_fits() {
        assert_eq!(DECODER.batch(10.0), 10.0);
        assert_eq!(DECODER.batch(1_000.0), 220.0);
        assert_eq!(DECODER.batch(0.2), 1.0);
    }

    #[test]
    fn a_step_is_bound_by_memory_and_then_by_products() {
        assert_eq!(DECODER.step(1.0), 16.1e9 / 2e12);
        let dense = Decoder { cache: 0.0, ..DECODER };
        assert_eq!(dense.step(1_000.0), 1_000.0 * 16e9 / 5e14);
    }

    /// Where each side takes what it has to do, both end at about the same time.
    #[test]
    fn a_split_balances_both_sides() {
        let work = Work {
            devices: 64,
            tokens: 1e7,
            sequences: 8192.0,
            prefill: 10.0,
            training: 4_000.0,
            turns: false,
        };
        let generating = work.balance(&DECODER);
        let time = work.generation(&DECODER, generating as f64);
        let training = work.training / (64 - generating) as f64;
        assert!((time / training - 1.0).abs() < 0.1, "{generating}: {time} s and {training} s");
        // More training, fewer that generate.
        let more = Work { training: 40_000.0, ..work };
        assert!(more.balance(&DECODER) < generating);
    }

    #[test]
    fn a_replica_is_no_larger_than_it_must_be() {
        assert_eq!(replica(16e9, 60e9, 64), Some(1));
        assert_eq!(replica(140e9, 60e9, 64), Some(8));
        assert_eq!(replica(140e9, 60e9, 4), Some(4));
        assert_eq!(replica(140e9, 60e9, 2), None);
        assert_eq!(replica(16e9, -1.0, 64), None);
    }
}
