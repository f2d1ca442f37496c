//! The memory of a step before it runs: the same walk as the tape's, over sizes instead of tensors.

use llmplan_analysis::folds;
use llmplan_analysis::graph::{Block, Graph, Kind, Operator, Part, Value};
use llmplan_analysis::saved::{self, Keep, Shape};
use llmplan_analysis::{master_bytes, moment_bytes};
use llmplan_spec::plan::Precision;

use crate::optimizer::Kind as Rule;
use crate::scratch::{Sizes, scratch};
use crate::trial::Setup;

/// What a step will take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// The most bytes that live at once: weights and optimizer included, the program itself left out.
    pub peak: u128,
    /// Of the first micro-batch's forward pass, when there are no gradients yet.
    pub forward_peak: u128,
    /// Of the backward pass.
    pub backward_peak: u128,
    /// Of the optimizer's step.
    pub optimizer_peak: u128,
    /// Bytes that live between two steps: weights, untrained values and optimizer.
    pub held: u128,
    /// FLOPs of one step, all micro-batches, what runs again included.
    pub flops: u128,
}

/// The memory and the FLOPs of a step. `fused` says whether kernels of our own may run: in f32 on the CPU. `None`
/// beyond 128 bits, and for more than 10,000 layers.
pub fn forecast(graph: &Graph, setup: &Setup, fused: bool) -> Option<Forecast> {
    let sites: u64 = graph.order.iter().map(|step| step.repeat).fold(0, u64::saturating_add);
    if sites > MOST_BLOCKS {
        return None;
    }
    let bytes = setup.precision.bytes();
    let params = folds::params(graph)?.total()?;
    let buffers = folds::buffers(graph)?.total()?;
    let held = params
        .checked_add(buffers)?
        .checked_mul(u128::from(bytes))?
        .checked_add(optimizer(graph, setup, params)?)?
        .checked_add(headers(graph, setup)?)?;
    let mut walk = Walk {
        graph,
        setup,
        shape: Shape { sequences: setup.sequences, tokens: setup.tokens, bytes },
        fused: fused && setup.precision == Precision::Fp32,
        live: held,
        peak: held,
        entries: Vec::new(),
        gradients: u128::from(setup.gradients.bytes()),
        began: false,
    };
    let mut found = Forecast { held, ..Forecast::default() };
    for micro_batch in 0..setup.micro_batches.clamp(1, 2) {
        walk.peak = walk.live;
        let tape = walk.forward()?;
        found.peak = found.peak.max(walk.peak);
        if micro_batch == 0 {
            found.forward_peak = walk.peak;
        }
        walk.peak = walk.live;
        walk.backward(tape)?;
        found.backward_peak = found.backward_peak.max(walk.peak);
        walk.began = true;
    }
    // Tensors are updated where they lie.
    found.optimizer_peak = walk.live;
    found.peak = found.peak.max(found.backward_peak).max(found.optimizer_peak);
    let pass = folds::dense_flops(graph, setup.tokens)?.checked_mul(3)?;
    let keep = |layer: usize| setup.keep.get(layer).copied().unwrap_or_default();
    let again = folds::recomputed_flops(graph, setup.tokens, &keep)?;
    let sequences = u128::from(setup.sequences).checked_mul(u128::from(setup.micro_batches.max(1)))?;
    found.flops = pass.checked_add(again)?.checked_mul(sequences)?;
    Some(found)
}

/// Bytes of the optimizer: master weights, moments, scales.
fn optimizer(graph: &Graph, setup: &Setup, params: u128) -> Option<u128> {
    let (first, second) = moment_bytes(setup.optimizer.into());
    let each = u128::from(first + second);
    let master = u128::from(master_bytes(setup.precision, setup.offload));
    let scales = match setup.optimizer {
        Rule::Adam8bit => folds::optimizer_blocks(graph, setup.optimizer_block)?.checked_mul(8)?,
        _ => 0,
    };
    params.checked_mul(each + master)?.checked_add(scales)
}

/// The most blocks that are walked: a model of more is not run anyway.
const MOST_BLOCKS: u64 = 10_000;

/// Bytes that a tensor takes beside its values, for its shape and its counts of holders; measured of candle 0.11.
pub(crate) const HEADER: u128 = 360;

/// Bytes of the headers of weights and of the optimizer's tensors.
fn headers(graph: &Graph, setup: &Setup) -> Option<u128> {
    let tensors = graph.blocks.iter().try_fold(0_u128, |sum, block| {
        let own: usize = block.operators.iter().map(|operator| operator.weights.len()).sum();
        sum.checked_add(u128::from(block.count).checked_mul(own as u128)?)
    })?;
    let states = match setup.optimizer {
        Rule::Sgd => 0,
        Rule::Momentum => 1,
        Rule::Adam | Rule::Adamw => 2,
        Rule::Adam8bit => 4,
    };
    let master = u128::from(master_bytes(setup.precision, setup.offload) > 0);
    tensors.checked_mul(1 + states + master)?.checked_mul(HEADER)
}

/// Something that lives as long as anybody holds it: its bytes, and its holders.
type Entry = (u128, u32);

/// A place among the entries.
type Id = usize;

/// Operators of a block, and for each what it kept.
type Nodes = Vec<(usize, Vec<Id>)>;

/// What one block kept.
struct Record {
    nodes: Nodes,
    input: Option<Id>,
}

struct Walk<'a> {
    graph: &'a Graph,
    setup: &'a Setup,
    shape: Shape,
    fused: bool,
    live: u128,
    peak: u128,
    entries: Vec<Entry>,
    /// Bytes of a value of a gradient that is kept.
    gradients: u128,
    /// Whether gradients are there already: those of the first micro-batch.
    began: bool,
}

impl Walk<'_> {
    fn keep(&self, block: &Block, layer: usize) -> Keep {
        if block.part != Part::Layer {
            return Keep::All;
        }
        self.setup.keep.get(layer).copied().unwrap_or_default()
    }

    /// The blocks in the order of execution, each with its layers before it.
    fn sites(&self) -> Option<Vec<(usize, usize)>> {
        let mut sites = Vec::new();
        let mut layers = 0;
        for step in &self.graph.order {
            let block = self.graph.blocks.get(step.block)?;
            for _ in 0..step.repeat {
                sites.push((step.block, layers));
                layers += usize::from(block.part == Part::Layer);
            }
        }
        Some(sites)
    }

    fn forward(&mut self) -> Option<Vec<Record>> {
        let mut tape = Vec::new();
        let mut stream = self.take(0)?;
        for (block, layer) in self.sites()? {
            let block = self.graph.blocks.get(block)?;
            let keep = self.keep(block, layer);
            let input = (keep == Keep::Input).then_some(stream);
            if keep == Keep::Input {
                self.hold(stream);
            }
            let (nodes, output) = self.run(block, stream, keep)?;
            tape.push(Record { nodes, input });
            stream = output;
        }
        self.free(stream);
        Some(tape)
    }

    /// Runs a block: its input is used up. Gives what it kept, and its output.
    fn run(&mut self, block: &Block, input: Id, keep: Keep) -> Option<(Nodes, Id)> {
        let last = crate::model::last_use(block);
        let mut values: Vec<Option<Id>> = vec![None; block.widths.len()];
        *values.first_mut()? = Some(input);
        let mut nodes = Vec::new();
        for (at, operator) in block.operators.iter().enumerate() {
            self.pass(
                self.scratch(block, operator, false)?.checked_add(self.bytes(block, operator.output)?)?,
            );
            let output = match operator.kind {
                // In the place of the products.
                Kind::Softmax { .. } if self.fused => {
                    let products = (*values.get(operator.inputs.first()?.0)?)?;
                    self.hold(products);
                    products
                }
                _ => self.take(self.bytes(block, operator.output)?)?,
            };
            let own = saved::kept(block, operator, keep);
            let mut kept = Vec::new();
            for place in &own.inputs {
                let id = (*values.get(operator.inputs.get(*place)?.0)?)?;
                self.hold(id);
                kept.push(id);
            }
            if own.output {
                self.hold(output);
                kept.push(output);
            }
            for extra in &own.extras {
                kept.push(self.take(self.shape.stored(extra.width, extra.store)?)?);
            }
            nodes.push((at, kept));
            *values.get_mut(operator.output.0)? = Some(output);
            for (value, last) in values.iter_mut().zip(&last) {
                if last.is_none_or(|last| last <= at)
                    && let Some(id) = value.take()
                {
                    self.free(id);
                }
            }
        }
        let output = values.get_mut(block.output.0)?.take()?;
        values.into_iter().flatten().for_each(|id| self.free(id));
        Some((nodes, output))
    }

    fn backward(&mut self, mut tape: Vec<Record>) -> Option<()> {
        let mut stream: Option<Id> = None;
        for (block, layer) in self.sites()?.into_iter().rev() {
            let block = self.graph.blocks.get(block)?;
            let record = tape.pop()?;
            let mut nodes = record.nodes;
            if let Some(input) = record.input {
                let (again, output) = self.run(block, input, Keep::All)?;
                self.free(output);
                nodes = again;
            }
            stream = self.back(block, self.keep(block, layer), nodes, stream)?;
        }
        if let Some(stream) = stream {
            self.free(stream);
        }
        Some(())
    }

    fn back(
        &mut self,
        block: &Block,
        keep: Keep,
        mut nodes: Nodes,
        stream: Option<Id>,
    ) -> Option<Option<Id>> {
        let mut flows: Vec<Option<Id>> = vec![None; block.widths.len()];
        *flows.get_mut(block.output.0)? = stream;
        let mut again = keep == Keep::Selective && block.part == Part::Layer;
        while let Some((at, kept)) = nodes.pop() {
            let operator = block.operators.get(at)?;
            if again && saved::selected(operator.kind) {
                again = false;
                let rerun = self.rerun(block, &mut nodes, at)?;
                rerun.into_iter().for_each(|id| self.free(id));
            }
            let flow = flows.get_mut(operator.output.0)?.take();
            if flow.is_none() && !matches!(operator.kind, Kind::Loss { .. }) {
                kept.into_iter().for_each(|id| self.free(id));
                continue;
            }
            let mut given = Vec::new();
            for (place, value) in operator.inputs.iter().enumerate() {
                let bytes = self.flow_bytes(block, operator, *value)?;
                let id = match (operator.kind, flow) {
                    // What is added takes the gradient as it is.
                    (Kind::Add { .. }, Some(flow)) => {
                        self.hold(flow);
                        flow
                    }
                    (Kind::AddPosition { .. }, Some(flow)) => {
                        self.hold(flow);
                        flow
                    }
                    (Kind::Softmax { .. }, Some(flow)) if self.fused => {
                        self.hold(flow);
                        flow
                    }
                    (Kind::ExpertMatMul { .. } | Kind::Combine { .. }, _) if place == 1 => {
                        self.take(if matches!(operator.kind, Kind::Combine { .. }) { bytes } else { 0 })?
                    }
                    _ => self.take(bytes)?,
                };
                given.push((*value, id));
            }
            let weights = self.weights(operator)?;
            self.pass(self.scratch(block, operator, true)?.checked_add(weights)?);
            if !self.began {
                let own: u128 = operator
                    .weights
                    .iter()
                    .filter(|tensor| tensor.trained)
                    .try_fold(0_u128, |sum, tensor| sum.checked_add(tensor.elements()?))?;
                self.live = self.live.checked_add(own.checked_mul(self.gradients)?)?;
                self.peak = self.peak.max(self.live);
            }
            kept.into_iter().for_each(|id| self.free(id));
            if let Some(flow) = flow {
                self.free(flow);
            }
            for (value, id) in given {
                let place = flows.get_mut(value.0)?;
                *place = Some(match place.take() {
                    Some(flow) => {
                        let sum = self.take(self.entries.get(id)?.0)?;
                        self.free(flow);
                        self.free(id);
                        sum
                    }
                    None => id,
                });
            }
        }
        let input = flows.first_mut()?.take();
        flows.into_iter().flatten().for_each(|id| self.free(id));
        Some(input)
    }

    /// What selected operators keep when they run again; it is freed with the block's other values.
    fn rerun(&mut self, block: &Block, nodes: &mut [(usize, Vec<Id>)], last: usize) -> Option<Vec<Id>> {
        let mut made = Vec::new();
        let places: Vec<usize> = nodes.iter().map(|(at, _)| *at).chain([last]).collect();
        for at in places {
            let operator = block.operators.get(at)?;
            if !saved::selected(operator.kind) {
                continue;
            }
            self.pass(
                self.scratch(block, operator, false)?.checked_add(self.bytes(block, operator.output)?)?,
            );
            let own = saved::saves(block, operator);
            if own.output {
                made.push(self.take(self.bytes(block, operator.output)?)?);
            }
            for extra in own.extras {
                made.push(self.take(self.shape.stored(extra.width, extra.store)?)?);
            }
        }
        // They live until the first of the selected operators has run backward; at the least through the last one's.
        let whole: u128 = made.iter().filter_map(|id| self.entries.get(*id)).map(|entry| entry.0).sum();
        self.pass(whole);
        Some(made)
    }

    fn bytes(&self, block: &Block, value: Value) -> Option<u128> {
        saved::value_bytes(block, value, self.shape)
    }

    /// Bytes of the gradient of a value: of routes, that of their weights.
    fn flow_bytes(&self, block: &Block, operator: &Operator, value: Value) -> Option<u128> {
        if matches!(operator.kind, Kind::Gather { .. }) {
            return Some(0);
        }
        let bytes = self.bytes(block, value)?;
        match saved::producer(block, value).map(|operator| operator.kind) {
            Some(Kind::Route { .. }) => Some(bytes / 2),
            _ => Some(bytes),
        }
    }

    /// Bytes of an operator's gradients where they are not kept as they come: in another type, or to be added.
    fn weights(&self, operator: &Operator) -> Option<u128> {
        let own = operator
            .weights
            .iter()
            .filter(|tensor| tensor.trained)
            .try_fold(0_u128, |sum, tensor| sum.checked_add(tensor.elements()?))?;
        // A table that others read has no gradient here: its rows are those of the values.
        let table = match operator.kind {
            Kind::Gather { .. } | Kind::Logits { .. } if own == 0 => self.table()?,
            _ => 0,
        };
        let comes = self.gradients != u128::from(self.shape.bytes) || self.began;
        let own = if comes { own } else { 0 };
        own.checked_add(table)?.checked_mul(u128::from(self.shape.bytes))
    }

    /// Values of the model's embedding.
    fn table(&self) -> Option<u128> {
        let first = self.graph.blocks.first()?.operators.first()?;
        first.weights.first().map_or(Some(0), |tensor| tensor.elements())
    }

    fn scratch(&self, block: &Block, operator: &Operator, backward: bool) -> Option<u128> {
        let sizes = Sizes { block, operator, shape: self.shape, fused: self.fused };
        scratch(&sizes, backward)
    }

    /// Something that lives for a moment.
    fn pass(&mut self, bytes: u128) {
        self.peak = self.peak.max(self.live.saturating_add(bytes));
    }

    fn take(&mut self, bytes: u128) -> Option<Id> {
        self.live = self.live.checked_add(bytes)?;
        self.peak = self.peak.max(self.live);
        self.entries.push((bytes, 1));
        Some(self.entries.len() - 1)
    }

    fn hold(&mut self, id: Id) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.1 += 1;
        }
    }

    fn free(&mut self, id: Id) {
        if let Some((bytes, holders)) = self.entries.get_mut(id) {
            *holders = holders.saturating_sub(1);
            if *holders == 0 {
                self.live = self.live.saturating_sub(*bytes);
            }
        }
    }
}
