//! What a device holds at each instant of a step, and the most of it.
//!
//! [`Tables`] has all that depends on a [`Layout`] alone; [`stage`] adds it up for the stages, replicas and ZeRO of a
//! strategy with a few sums, as a search does millions of times.

use super::activation::{Activations, activations};
use super::schedule::{self, Shape};
use super::states::{BlockStates, Share, block_states, reads_embedding, states, table};
use super::{Content, Layout, Strategy, Workload, stages};
use crate::graph::{Block, Part};
use llmplan_spec::plan::{Checkpointing, Schedule};

/// An instant of a step at which memory can be at its most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// The forward pass ends of the last micro-batch that is in flight.
    Forward,
    /// The loss and its gradient are computed.
    Loss,
    /// The backward pass of a layer runs.
    Backward,
    /// The last gradients are reduced; activations are gone.
    Reduction,
    /// The optimizer updates the weights.
    Update,
}

impl Moment {
    /// All of them, in the order of a step.
    pub const ALL: [Moment; 5] =
        [Moment::Forward, Moment::Loss, Moment::Backward, Moment::Reduction, Moment::Update];

    /// Its name: `loss`.
    pub fn word(self) -> &'static str {
        match self {
            Moment::Forward => "forward",
            Moment::Loss => "loss",
            Moment::Backward => "backward",
            Moment::Reduction => "reduction",
            Moment::Update => "update",
        }
    }
}

/// Bytes on a device, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Weights that it holds all the time.
    pub weights: u64,
    /// Gradients.
    pub gradients: u64,
    /// Optimizer states, master weights, and gradients in fp32 beside the others.
    pub optimizer: u64,
    /// Activations, with what runs again and the gradients of activations.
    pub activations: u64,
    /// Logits with their softmax and gradient.
    pub logits: u64,
    /// Gathered weights, gradients being reduced, keys and values of other devices, and temporaries of the optimizer.
    pub buffers: u64,
    /// What context, libraries and the allocator take.
    pub reserve: u64,
}

impl Parts {
    /// Each part with its name, in the order of the fields.
    pub fn named(&self) -> [(&'static str, u64); 7] {
        [
            ("weights", self.weights),
            ("gradients", self.gradients),
            ("optimizer", self.optimizer),
            ("activations", self.activations),
            ("logits", self.logits),
            ("buffers", self.buffers),
            ("reserve", self.reserve),
        ]
    }

    /// The sum of all; the greatest number where it is beyond 64 bits.
    pub fn total(&self) -> u64 {
        self.named().iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }
}

/// Memory of the devices of one stage of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageMemory {
    /// The stage, counted from 0.
    pub stage: u64,
    /// What a device holds at each instant, in the order of [`Moment::ALL`].
    pub timeline: [Parts; 5],
    /// What the host holds for each device.
    pub host: u64,
}

impl StageMemory {
    /// What a device holds at an instant.
    pub fn at(&self, instant: Moment) -> Parts {
        self.timeline[instant as usize]
    }

    /// The instant at which it holds most, the first of them where several are alike.
    pub fn peak_instant(&self) -> Moment {
        let mut most = Moment::Forward;
        for instant in Moment::ALL {
            if self.at(instant).total() > self.at(most).total() {
                most = instant;
            }
        }
        most
    }

    /// What it holds then.
    pub fn peak(&self) -> Parts {
        self.at(self.peak_instant())
    }
}

/// Memory of every stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The stages, the first one first; there is at least one.
    pub stages: Vec<StageMemory>,
    /// The place of the stage that holds most.
    pub peak: usize,
}

impl Memory {
    /// The stage that holds most.
    pub fn worst(&self) -> &StageMemory {
        &self.stages[self.peak]
    }

    /// The stages that are shown: the first, the one in the middle and the last, each once.
    pub fn shown(&self) -> Vec<&StageMemory> {
        let last = self.stages.len().saturating_sub(1);
        let mut places = vec![0, last / 2, last];
        places.dedup();
        places.into_iter().filter_map(|place| self.stages.get(place)).collect()
    }

    /// What the device that holds most holds at its peak.
    pub fn total(&self) -> u64 {
        self.worst().peak().total()
    }
}

/// What a layout decides of the memory of each block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// For each block, where it keeps everything and where it recomputes.
    activations: Vec<[Activations; 2]>,
    states: Vec<BlockStates>,
    parts: Vec<Part>,
    /// For each block, whether it reads the table of the embedding.
    reads_embedding: Vec<bool>,
    embedding: Share,
}

impl Tables {
    /// The tables of a workload under a layout; `None` where a block is beyond 64 bits.
    pub fn new(workload: &Workload<'_>, layout: &Layout) -> Option<Tables> {
        let blocks = &workload.graph.blocks;
        let both = |block: &Block| {
            let kept = activations(workload, layout, block, false)?;
            let again = match layout.checkpointing {
                Checkpointing::None => kept,
                _ => activations(workload, layout, block, true)?,
            };
            Some([kept, again])
        };
        let states: Vec<BlockStates> =
            blocks.iter().map(|block| block_states(workload, layout, block)).collect::<Option<_>>()?;
        Some(Tables {
            activations: blocks.iter().map(both).collect::<Option<_>>()?,
            states,
            parts: blocks.iter().map(|block| block.part).collect(),
            reads_embedding: blocks.iter().map(reads_embedding).collect(),
            embedding: table(workload, layout)?,
        })
    }

    fn of(&self, block: usize, recomputed: bool) -> Activations {
        let own = self.activations.get(block);
        own.map_or_else(Activations::default, |both| both[usize::from(recomputed)])
    }

    /// The embedding's table, where a stage reads it and does not have it: a copy that is trained as well.
    fn shared(&self, content: &Content) -> Option<Share> {
        let any = |test: &dyn Fn(usize) -> bool| content.pieces.iter().any(|piece| test(piece.block));
        let has = any(&|block| self.parts.get(block) == Some(&Part::Embedding));
        let reads = any(&|block| self.reads_embedding.get(block) == Some(&true));
        (reads && !has).then_some(self.embedding)
    }
}

/// The memory of every stage under a strategy; `None` where the batch is no whole number of micro-batches, or a number is
/// beyond 64 bits.
pub fn memory(workload: &Workload<'_>, strategy: &Strategy) -> Option<Memory> {
    let micro_batches = workload.micro_batches(strategy)?;
    let tables = Tables::new(workload, &strategy.layout())?;
    let contents = stages::contents(workload.graph, workload.training, workload.layers, strategy);
    let stages: Vec<StageMemory> = (0_u64..)
        .zip(&contents)
        .map(|(place, content)| stage(&tables, workload, strategy, content, (place, micro_batches)))
        .collect();
    let mut peak = 0;
    for (place, own) in stages.iter().enumerate() {
        if own.peak().total() > stages.get(peak)?.peak().total() {
            peak = place;
        }
    }
    (!stages.is_empty()).then_some(Memory { stages, peak })
}

/// The memory of a stage, by its place in the pipeline, where each replica runs so many micro-batches.
pub fn stage(
    tables: &Tables,
    workload: &Workload<'_>,
    strategy: &Strategy,
    content: &Content,
    (place, micro_batches): (u64, u64),
) -> StageMemory {
    let training = workload.training;
    let states = states(&tables.states, workload, strategy, content, tables.shared(content));
    let sums = Sums::of(tables, strategy, content, (place, micro_batches));
    // Buffers of gradients are there all the time, but where each layer's are made and divided as it is done.
    let lasting = micro_batches > 1
        || matches!(strategy.zero, 1 | 2)
        || training.gradients.bytes() > training.precision.bytes() && strategy.zero == 0;
    let base = Parts {
        weights: states.weights,
        gradients: if lasting { states.gradients } else { 0 },
        optimizer: states.optimizer,
        ..Parts::default()
    };
    let running = states.gathered.saturating_add(sums.exchange);
    let forward = Parts { activations: sums.held, logits: sums.loss, buffers: running, ..base };
    let loss = Parts { logits: sums.loss.saturating_add(sums.logits), ..forward };
    let first = Parts {
        activations: sums.held.saturating_add(sums.working),
        logits: sums.loss.saturating_sub(sums.spent),
        buffers: running.saturating_add(states.reducing),
        ..forward
    };
    // The last layer to run: all gradients are there, and little else.
    let last = Parts {
        activations: sums.last.saturating_add(sums.working),
        gradients: states.gradients,
        logits: 0,
        ..first
    };
    let backward = if last.total() > first.total() { last } else { first };
    let all = Parts { gradients: states.gradients, ..base };
    let reduction = Parts { buffers: states.reducing, ..all };
    let update = Parts { buffers: states.update, ..all };
    let own = &workload.hardware.operation;
    let reserved = |parts: Parts| {
        let slack = (parts.total() as f64 * own.fragmentation) as u64;
        Parts { reserve: own.reserve.saturating_add(slack), ..parts }
    };
    StageMemory {
        stage: place,
        timeline: [forward, loss, backward, reduction, update].map(reserved),
        host: states.host.saturating_add(sums.host),
    }
}

/// Activations of a stage.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// Of all micro-batches in flight.
    held: u64,
    /// Of the block whose backward pass runs: what it computes again, and gradients.
    working: u64,
    /// Of one block: what the last backward pass still reads.
    last: u64,
    exchange: u64,
    /// Kept by losses.
    loss: u64,
    /// Of `loss`, what the first backward pass has read when it comes to the layers.
    spent: u64,
    /// Held beside while a loss is computed.
    logits: u64,
    host: u64,
}

impl Sums {
    fn of(
        tables: &Tables,
        strategy: &Strategy,
        content: &Content,
        (place, micro_batches): (u64, u64),
    ) -> Sums {
        let shape = Shape { stages: strategy.pipeline, chunks: strategy.interleave, micro_batches };
        // A device that has two copies shares them among the copies.
        let copies = schedule::parameter_copies(strategy.schedule) as f64;
        let flight = schedule::in_flight(strategy.schedule, shape, place) / copies;
        // The head's backward pass follows its forward pass at once, where forward passes are not all first.
        let of_head = if strategy.schedule == Schedule::Gpipe { flight } else { flight.min(1.0) };
        let mut sums = Sums::default();
        let (mut held, mut loss, mut spent, mut host) = (0.0, 0.0, 0.0, 0.0);
        for piece in &content.pieces {
            let own = tables.of(piece.block, piece.recomputed);
            let part = tables.parts.get(piece.block).copied().unwrap_or(Part::Layer);
            let times = if matches!(part, Part::Head | Part::Mtp) { of_head } else { flight };
            let times = times * piece.count as f64;
            let moved = if strategy.offload_activations { own.checkpoint } else { 0 };
            held += times * own.kept.saturating_sub(moved) as f64;
            host += times * moved as f64;
            loss += times * own.loss as f64;
            spent += times.min(piece.count as f64) * own.loss as f64;
            sums.logits = sums.logits.max(own.logits.saturating_sub(own.loss));
            sums.exchange = sums.exchange.max(own.exchange);
            // The input of the block that runs is fetched before it does.
            let working = own.again.saturating_add(own.gradients).saturating_add(moved);
            sums.working = sums.working.max(working);
            sums.last = sums.last.max(own.kept);
        }
        Sums { held: ceil(held), loss: ceil(loss), spent: ceil(spent), host: ceil(host), ..sums }
    }
}

/// A number of bytes, rounded up; the greatest number where it is beyond 64 bits.
fn ceil(bytes: f64) -> u64 {
    bytes.ceil() as u64
}
