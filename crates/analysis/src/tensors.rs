//! The tensors that a checkpoint of a model has: those of the Graph, with its layers numbered.

use std::ops::Range;

use crate::graph::{Block, Graph, Part, Tensor};

/// Every tensor of a model. Equal layers share one list, so that a model may have any number of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tensors {
    /// Those of embedding and head: what is there once.
    pub outer: Vec<Named>,
    /// Layers, as runs of equal ones in their order.
    pub layers: Vec<Layers>,
    /// Those of each multi-token-prediction module.
    pub mtp: Vec<Named>,
    /// How many such modules there are.
    pub modules: u64,
}

/// Equal layers that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    /// Their numbers, from 0.
    pub numbers: Range<u64>,
    /// The name of their kind.
    pub kind: String,
    /// The tensors of each.
    pub tensors: Vec<Named>,
}

/// A tensor and what it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name of the operator: `attention.q`.
    pub operator: &'static str,
    /// The tensor, buffers included.
    pub tensor: Tensor,
}

impl Tensors {
    /// The layers that a number belongs to.
    pub fn layer(&self, number: u64) -> Option<&Layers> {
        let at = self.layers.partition_point(|layers| layers.numbers.end <= number);
        self.layers.get(at).filter(|layers| layers.numbers.contains(&number))
    }

    /// How many layers there are.
    pub fn depth(&self) -> u64 {
        self.layers.last().map_or(0, |layers| layers.numbers.end)
    }
}

/// The tensors of a graph, walked in the order in which its blocks run.
pub fn tensors(graph: &Graph) -> Tensors {
    let mut all = Tensors::default();
    for step in &graph.order {
        let Some(block) = graph.blocks.get(step.block) else { continue };
        match block.part {
            Part::Embedding | Part::Head => all.outer.extend(of(block)),
            Part::Layer => {
                let start = all.depth();
                let numbers = start..start.saturating_add(step.repeat);
                all.layers.push(Layers { numbers, kind: block.name.clone(), tensors: of(block).collect() });
            }
            Part::Mtp => {
                all.mtp = of(block).collect();
                all.modules = step.repeat;
            }
        }
    }
    all
}

fn of(block: &Block) -> impl Iterator<Item = Named> {
    block.operators.iter().flat_map(|operator| {
        operator.weights.iter().map(|tensor| Named { operator: operator.name, tensor: *tensor })
    })
}
