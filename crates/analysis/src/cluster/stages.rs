//! Which layers are on which device of a pipeline.

use llmplan_spec::plan::{Checkpointing, Schedule, Training};

use super::strategy::Strategy;
use crate::graph::{Graph, Part};

/// Blocks of one kind on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The place in [`Graph::blocks`].
    pub block: usize,
    /// Whether they recompute what `checkpointing` says.
    pub recomputed: bool,
    /// How many of them.
    pub count: u64,
}

/// What one device of a pipeline runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Its blocks, each kind once.
    pub pieces: Vec<Piece>,
}

impl Content {
    fn add(&mut self, block: usize, recomputed: bool, count: u64) {
        let known = self.pieces.iter_mut().find(|own| own.block == block && own.recomputed == recomputed);
        match known {
            Some(piece) => piece.count = piece.count.saturating_add(count),
            None => self.pieces.push(Piece { block, recomputed, count }),
        }
    }

    /// The sum of something over all blocks.
    pub fn sum(&self, each: impl Fn(&Piece) -> f64) -> f64 {
        self.pieces.iter().map(|piece| each(piece) * piece.count as f64).sum()
    }

    /// The largest of something over all blocks.
    pub fn most(&self, each: impl Fn(&Piece) -> f64) -> f64 {
        self.pieces.iter().map(each).fold(0.0, f64::max)
    }
}

/// What each stage of a pipeline runs, the first one first.
///
/// Embedding and head are with the first and the last group of layers. Layers that cannot be divided evenly leave the
/// first and the last group one shorter, as embedding and head take time too (Llama 3 §3.3.2). Under a V, device `s` has
/// the groups `s` and `2p − 1 − s`; under DualPipe it has the stages `s` and `p − 1 − s`, of a copy each.
pub fn contents(graph: &Graph, training: &Training, layers: u64, strategy: &Strategy) -> Vec<Content> {
    let stages = strategy.pipeline.clamp(1, MOST_GROUPS);
    let groups = stages.saturating_mul(strategy.chunks()).min(MOST_GROUPS);
    let mut found: Vec<Content> = (0..stages).map(|_| Content::default()).collect();
    let mut place = |group: u64, block: usize, recomputed: bool, count: u64| {
        if count == 0 {
            return;
        }
        let stage = match strategy.schedule {
            Schedule::ZbV if group >= stages => groups - 1 - group,
            _ => group % stages,
        };
        if let Some(content) = found.get_mut(stage as usize) {
            content.add(block, recomputed, count);
        }
        if strategy.schedule == Schedule::DualPipe
            && let Some(content) = found.get_mut((stages - 1 - stage) as usize)
        {
            content.add(block, recomputed, count);
        }
    };
    let (mut layer, mut group) = (0_u64, 0_u64);
    for step in &graph.order {
        let Some(block) = graph.blocks.get(step.block) else { continue };
        match block.part {
            Part::Embedding => place(0, step.block, false, step.repeat),
            Part::Head | Part::Mtp => place(groups - 1, step.block, false, step.repeat),
            Part::Layer => {
                let last = layer.saturating_add(step.repeat);
                while layer < last {
                    let end = end_of(group, layers, groups).min(last);
                    if end > layer {
                        let again = match strategy.checkpointing {
                            Checkpointing::None => 0,
                            _ => training.checkpointed(layer, end, layers),
                        };
                        place(group, step.block, true, again);
                        place(group, step.block, false, (end - layer).saturating_sub(again));
                        layer = end;
                    }
                    if layer >= end_of(group, layers, groups) && group + 1 < groups {
                        group += 1;
                    }
                }
            }
        }
    }
    found
}

/// The most groups that are told apart: beyond them nothing is planned.
pub const MOST_GROUPS: u64 = 1 << 16;

/// The layer behind the last one of a group. Where layers cannot be divided evenly, the groups behind the first one have
/// one more, as many as it takes: the first and the last one come last.
fn end_of(group: u64, layers: u64, groups: u64) -> u64 {
    if group + 1 >= groups {
        return layers;
    }
    let (each, more) = (layers / groups, layers % groups);
    each.saturating_mul(group + 1).saturating_add(group.min(more))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails
mod tests {
    use super::end_of;

    fn sizes(layers: u64, groups: u64) -> Vec<u64> {
        let end = |group: u64| end_of(group, layers, groups);
        (0..groups).map(|group| end(group) - if group == 0 { 0 } else { end(group - 1) }).collect()
    }

    #[test]
    fn layers_are_divided_evenly_and_the_ends_are_shorter() {
        assert_eq!(sizes(96, 8), [12; 8]);
        // Llama 3 §3.3.2: 126 layers on 16 stages leave the first and the last one shorter.
        let llama = sizes(126, 16);
        assert_eq!((llama[0], llama[15]), (7, 7));
        assert!(llama[1..15].iter().all(|own| *own == 8));
        for layers in 1..40 {
            for groups in 1..=layers {
                let sizes = sizes(layers, groups);
                assert_eq!(sizes.iter().sum::<u64>(), layers);
                let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
                assert!(most - least <= 1, "{layers} on {groups}: {sizes:?}");
            }
        }
    }
}
