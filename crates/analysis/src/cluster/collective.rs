//! The time of collectives over two levels: the links within a node, and the network between nodes.

use super::System;

/// Devices that exchange something: so many, each so many ranks from the next. Ranks count tensor parallelism first, then
/// context, then replicas (with experts divided over all three), and stages last, as Megatron-LM places them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// How many.
    pub ranks: f64,
    /// From one to the next.
    pub stride: f64,
}

/// A group as it lies on nodes.
#[derive(Clone, Copy)]
struct Levels {
    /// Devices of the group in one node.
    local: f64,
    /// Nodes.
    nodes: f64,
}

/// A collective as what crosses each level.
#[derive(Clone, Copy)]
struct Crossing {
    /// Bytes of each device over the links, and steps.
    link: (f64, f64),
    /// Bytes of each device over the network, and steps.
    network: (f64, f64),
}

impl Group {
    /// A group of so many ranks, each so many from the next.
    pub fn new(ranks: u64, stride: u64) -> Group {
        Group { ranks: ranks.max(1) as f64, stride: stride.max(1) as f64 }
    }
}

impl System {
    fn levels(&self, group: Group) -> Levels {
        let local = (self.node / group.stride).floor().clamp(1.0, group.ranks);
        Levels { local, nodes: (group.ranks / local).ceil() }
    }

    /// Both levels work on different parts of a message at the same time; steps wait for each other.
    fn crosses(&self, own: Crossing) -> f64 {
        let moves = (own.link.0 / self.link).max(own.network.0 / self.network);
        moves + own.link.1 * self.link_latency + own.network.1 * self.network_latency
    }

    /// Seconds until each rank has the sum of all ranks' `bytes`: the less of rings (2(n − 1)/n of the message, n − 1
    /// steps twice) and trees (all of it twice, and the logarithm of the steps). Between nodes, each device sums the part
    /// that it has of its node's (Patarasuk 2009; NVIDIA NCCL).
    pub fn all_reduce(&self, group: Group, bytes: f64) -> f64 {
        if group.ranks <= 1.0 || bytes <= 0.0 {
            return 0.0;
        }
        let Levels { local, nodes } = self.levels(group);
        let part = bytes / local;
        let inside = 2.0 * (local - 1.0) / local * bytes;
        let ring = Crossing {
            link: (inside, 2.0 * (local - 1.0)),
            network: (2.0 * (nodes - 1.0) / nodes * part, 2.0 * (nodes - 1.0)),
        };
        let between = if nodes > 1.0 { 2.0 * part } else { 0.0 };
        let within = if local > 1.0 { 2.0 * bytes } else { 0.0 };
        let tree = Crossing { link: (within, 2.0 * local.log2()), network: (between, 2.0 * nodes.log2()) };
        self.crosses(ring).min(self.crosses(tree))
    }

    /// Seconds until each rank has its part of the sum of all ranks' `bytes`, or, the other way, all parts of them
    /// (formulas of rings: (n − 1)/n of the message in n − 1 steps).
    pub fn scatter_or_gather(&self, group: Group, bytes: f64) -> f64 {
        if group.ranks <= 1.0 || bytes <= 0.0 {
            return 0.0;
        }
        let Levels { local, nodes } = self.levels(group);
        self.crosses(Crossing {
            link: ((local - 1.0) / local * bytes, local - 1.0),
            network: ((nodes - 1.0) / nodes * bytes / local, nodes - 1.0),
        })
    }

    /// Seconds until each rank has sent the `bytes` that it holds, `copies` of each value, to ranks of a group at random.
    /// Copies for several ranks of another node leave as one, and are made there (DeepSeek-V3 §3.2.2): of q nodes,
    /// K copies are expected to meet q (1 − (1 − 1/q)ᴷ). Other nodes are reached by the device's own adapter.
    pub fn all_to_all(&self, group: Group, bytes: f64, copies: f64) -> f64 {
        if group.ranks <= 1.0 || bytes <= 0.0 {
            return 0.0;
        }
        let Levels { local, nodes } = self.levels(group);
        let met = nodes * (1.0 - (1.0 - 1.0 / nodes).powf(copies.max(1.0)));
        let leaves = (nodes - 1.0) / nodes * met / copies.max(1.0) * bytes;
        let stays = (local - 1.0) / local * bytes;
        self.crosses(Crossing { link: (stays, local - 1.0), network: (leaves, nodes - 1.0) })
    }

    /// Seconds until the next rank of a group has `bytes`: within the node where all of the group are.
    pub fn next(&self, group: Group, bytes: f64) -> f64 {
        if group.ranks <= 1.0 || bytes <= 0.0 {
            return 0.0;
        }
        let leaves = self.levels(group).nodes > 1.0;
        let (link, network) = if leaves { ((0.0, 0.0), (bytes, 1.0)) } else { ((bytes, 1.0), (0.0, 0.0)) };
        self.crosses(Crossing { link, network })
    }
}

/// What of a communication is exposed: what cannot hide, and what finds nothing to hide behind.
pub fn exposed(seconds: f64, share: f64, window: f64) -> f64 {
    (seconds * (1.0 - share)).max(seconds - window).max(0.0)
}
