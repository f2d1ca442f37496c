//! The tape: a forward pass that keeps what the saved list says and no more, and the backward pass over what was kept.

use std::collections::{BTreeMap, HashSet};

use candle_core::{DType, Tensor};
use llmplan_analysis::graph::{Block, Component, Kind, Operator};
use llmplan_analysis::saved::{self, INPUT, Keep, Saves, Tag};

use crate::context::{Batch, Class, Context};
use crate::flops::{Flops, Phase};
use crate::gradients::Gradients;
use crate::model::{Model, Site};
use crate::operators::{self, Done, Held, Kept, Place, Weights};
use crate::trouble::{Result, Trouble};

/// A model over the tokens of one micro-batch.
pub struct Pass<'m> {
    model: &'m Model,
    cx: Context,
    keep: &'m [Keep],
}

/// What a forward pass kept.
pub struct Tape {
    sites: Vec<Record>,
    losses: Vec<Tensor>,
}

/// What one block kept.
struct Record {
    /// The operators, and what each kept. Empty where the block runs again.
    nodes: Vec<(usize, Kept)>,
    /// The block's input, where it runs again.
    input: Option<Held>,
}

impl<'m> Pass<'m> {
    /// A pass of a model over micro-batches of the shape of this one. `keep` says for each layer what it keeps; layers
    /// beyond it keep everything. Where it is `plain`, everything is composed of candle's own operators.
    ///
    /// # Errors
    /// Tokens that are not those of the sequence.
    pub fn new(model: &'m Model, batch: &Batch, keep: &'m [Keep], plain: bool) -> Result<Pass<'m>> {
        Ok(Pass { model, cx: Context::new(&model.device, model.dtype, batch, !plain)?, keep })
    }

    /// Takes the next micro-batch, of the same shape.
    ///
    /// # Errors
    /// Another number of tokens.
    pub fn load(&self, ids: Vec<u32>) -> Result<()> {
        self.cx.load(ids)
    }

    /// FLOPs of matrix products done so far.
    pub fn flops(&self) -> Flops {
        self.cx.flops()
    }

    /// The matrix products of each component since the last time, and how long they took; none where work is queued.
    pub fn classes(&self) -> BTreeMap<Component, Class> {
        self.cx.classes()
    }

    /// Runs the model forward.
    ///
    /// # Errors
    /// A graph whose operators do not fit together, and a device that fails.
    pub fn forward(&self) -> Result<Tape> {
        let mut tape = Tape { sites: Vec::with_capacity(self.model.sites.len()), losses: Vec::new() };
        let mut stream = Held::Tokens;
        for site in &self.model.sites {
            let block = self.block(site)?;
            let keep = self.keep(site);
            let input = (keep == Keep::Input).then(|| stream.clone());
            let (nodes, output) = self.run(site, block, stream, keep, &mut tape.losses)?;
            tape.sites.push(Record { nodes: if input.is_some() { Vec::new() } else { nodes }, input });
            stream = output;
        }
        Ok(tape)
    }

    /// Runs backward over what was kept, which it uses up. The gradient of each loss is `seed`.
    ///
    /// # Errors
    /// A device that fails.
    pub fn backward(&self, tape: Tape, seed: f64, gradients: &mut Gradients) -> Result<()> {
        self.cx.seed.set(seed);
        drop(tape.losses);
        let mut stream = None;
        for (site, record) in self.model.sites.iter().zip(tape.sites).rev() {
            stream = self.back(site, record, stream, gradients)?;
        }
        Ok(())
    }

    fn block(&self, site: &Site) -> Result<&'m Block> {
        self.model.graph.blocks.get(site.block).ok_or(Trouble::Misshapen("order"))
    }

    fn keep(&self, site: &Site) -> Keep {
        site.layer.and_then(|layer| self.keep.get(layer)).copied().unwrap_or_default()
    }

    fn place<'a>(&'a self, site: &'a Site, block: &'a Block, at: usize) -> Result<Place<'a>> {
        let misshapen = Trouble::Misshapen("block");
        let (Some(operator), Some(weights)) = (block.operators.get(at), site.weights.get(at)) else {
            return Err(misshapen);
        };
        let tensor = |(name, place): &(&'static str, usize)| {
            self.model.parameters.get(*place).map(|parameter| (*name, &parameter.tensor))
        };
        let weights = Weights(weights.iter().filter_map(tensor).collect());
        self.cx.component.set(operator.component);
        Ok(Place { block, operator, weights, ahead: site.ahead })
    }

    /// Runs a block. Values live until their last reader has run.
    fn run(
        &self,
        site: &Site,
        block: &Block,
        input: Held,
        keep: Keep,
        losses: &mut Vec<Tensor>,
    ) -> Result<(Vec<(usize, Kept)>, Held)> {
        let mut values: Vec<Option<Held>> = vec![None; block.widths.len()];
        *values.first_mut().ok_or(Trouble::Misshapen("block"))? = Some(input);
        let mut nodes = Vec::with_capacity(block.operators.len());
        for (at, operator) in block.operators.iter().enumerate() {
            let misshapen = || Trouble::Misshapen(operator.name);
            let inputs: Vec<Held> = operator
                .inputs
                .iter()
                .map(|value| values.get(value.0).and_then(Option::clone).ok_or_else(misshapen))
                .collect::<Result<_>>()?;
            let done = operators::forward(&self.cx, &self.place(site, block, at)?, &inputs)?;
            self.fits(block, operator, &done.output)?;
            if let (Kind::Loss { .. }, Held::Tensor(loss)) = (operator.kind, &done.output) {
                losses.push(loss.clone());
            }
            let saves = saved::kept(block, operator, keep);
            nodes.push((at, kept(&saves, &inputs, &done)?));
            drop(inputs);
            let place = values.get_mut(operator.output.0).filter(|place| place.is_none());
            *place.ok_or_else(misshapen)? = Some(done.output);
            for (value, last) in values.iter_mut().zip(&site.last_use) {
                if last.is_none_or(|last| last <= at) {
                    *value = None;
                }
            }
        }
        let output = values.get_mut(block.output.0).and_then(Option::take);
        Ok((nodes, output.ok_or(Trouble::Misshapen("block"))?))
    }

    /// Whether a value has the width that the block declares.
    fn fits(&self, block: &Block, operator: &Operator, output: &Held) -> Result<()> {
        let width = block.widths.get(operator.output.0).copied();
        let fits = match (operator.kind, output) {
            (Kind::Scores { .. } | Kind::Softmax { .. } | Kind::Loss { .. }, Held::Tensor(_)) => true,
            (_, Held::Tensor(tensor)) => {
                let wanted = width.and_then(|width| usize::try_from(width).ok());
                Some(tensor.dims())
                    == wanted.map(|width| [self.cx.rows(), width]).as_ref().map(|dims| &dims[..])
            }
            (_, Held::Routes(_)) => matches!(operator.kind, Kind::Route { .. }),
            (_, Held::Tokens) => false,
        };
        fits.then_some(()).ok_or(Trouble::Misshapen(operator.name))
    }

    /// Runs a block backward: the gradient of its output in, that of its input out.
    fn back(
        &self,
        site: &Site,
        record: Record,
        stream: Option<Tensor>,
        gradients: &mut Gradients,
    ) -> Result<Option<Tensor>> {
        let block = self.block(site)?;
        let mut nodes = match record.input {
            Some(input) => {
                let before = self.cx.enter(Phase::Recompute);
                let (nodes, _) = self.run(site, block, input, Keep::All, &mut Vec::new())?;
                self.cx.enter(before);
                nodes
            }
            None => record.nodes,
        };
        self.cx.enter(Phase::Backward);
        let mut flows: Vec<Option<Tensor>> = vec![None; block.widths.len()];
        if let Some(flow) = flows.get_mut(block.output.0) {
            *flow = stream;
        }
        // Where selected operators run again, what they kept the second time.
        let mut again = (self.keep(site) == Keep::Selective).then(BTreeMap::new);
        while let Some((at, own)) = nodes.pop() {
            let place = self.place(site, block, at)?;
            let operator = place.operator;
            let own = match again.as_mut() {
                Some(again) if saved::selected(operator.kind) => {
                    if again.is_empty() {
                        nodes.push((at, own));
                        *again = self.again(site, block, &mut nodes)?;
                        nodes.pop();
                    }
                    again.remove(&at).ok_or(Trouble::NotKept)?
                }
                _ => own,
            };
            let flow = flows.get_mut(operator.output.0).and_then(Option::take);
            let flow = match (operator.kind, flow) {
                (_, Some(flow)) => flow,
                // The seed stands for it.
                (Kind::Loss { .. }, None) => Tensor::zeros(1, DType::F32, &self.cx.device)?,
                (_, None) => continue,
            };
            let found = operators::backward(&self.cx, &place, &own, flow)?;
            drop(own);
            for (value, gradient) in operator.inputs.iter().zip(found.inputs) {
                let (Some(flow), Some(gradient)) = (flows.get_mut(value.0), gradient) else { continue };
                *flow = Some(match flow.take() {
                    Some(flow) => operators::sum(&self.cx, &flow, &gradient)?,
                    None => gradient,
                });
            }
            let own = site.weights.get(at).map(Vec::as_slice).unwrap_or_default();
            for (name, gradient) in found.weights {
                let place = own.iter().find(|(own, _)| *own == name).map(|(_, place)| *place);
                gradients.add(place.ok_or(Trouble::Misshapen(operator.name))?, gradient)?;
            }
        }
        self.cx.enter(Phase::Forward);
        Ok(flows.first_mut().and_then(Option::take))
    }

    /// Runs the selected operators of a block again, from what they kept.
    fn again(
        &self,
        site: &Site,
        block: &Block,
        nodes: &mut [(usize, Kept)],
    ) -> Result<BTreeMap<usize, Kept>> {
        let before = self.cx.enter(Phase::Recompute);
        let mut values: BTreeMap<usize, Held> = BTreeMap::new();
        let mut found = BTreeMap::new();
        for (at, own) in nodes {
            let place = self.place(site, block, *at)?;
            let operator = place.operator;
            if !saved::selected(operator.kind) {
                continue;
            }
            let input = |(place, value): (usize, &llmplan_analysis::graph::Value)| {
                let kept = own.inputs.get(place).and_then(Option::clone);
                kept.or_else(|| values.get(&value.0).cloned()).ok_or(Trouble::NotKept)
            };
            let inputs: Vec<Held> = operator.inputs.iter().enumerate().map(input).collect::<Result<_>>()?;
            let done = operators::forward(&self.cx, &place, &inputs)?;
            let saves = saved::saves(block, operator);
            found.insert(*at, kept(&saves, &inputs, &done)?);
            values.insert(operator.output.0, done.output);
        }
        self.cx.enter(before);
        Ok(found)
    }
}

impl Tape {
    /// The losses: the model's own, then those of its modules. Single numbers in nats.
    pub fn losses(&self) -> &[Tensor] {
        &self.losses
    }

    /// What the tape holds, by tag in bytes: each tensor once, elements times their size.
    pub fn saved(&self, pass: &Pass<'_>) -> Result<BTreeMap<Tag, u128>> {
        let mut seen = HashSet::new();
        let mut found = BTreeMap::new();
        let mut add = |tag: Tag, tensors: Vec<&Tensor>| {
            for tensor in tensors {
                if seen.insert(tensor.id()) {
                    let bytes = tensor.elem_count() as u128 * tensor.dtype().size_in_bytes() as u128;
                    *found.entry(tag).or_default() += bytes;
                }
            }
        };
        for (site, record) in pass.model.sites.iter().zip(&self.sites) {
            let block = pass.block(site)?;
            if let Some(input) = &record.input {
                add(Tag { operator: INPUT, what: "output" }, input.tensors());
            }
            for (at, own) in &record.nodes {
                let place = pass.place(site, block, *at)?;
                for (value, held) in place.operator.inputs.iter().zip(&own.inputs) {
                    let operator = saved::producer(block, *value).map_or(INPUT, |operator| operator.name);
                    if let Some(held) = held {
                        add(Tag { operator, what: "output" }, held.tensors());
                    }
                }
                let operator = place.operator.name;
                if let Some(held) = &own.output {
                    add(Tag { operator, what: "output" }, held.tensors());
                }
                let extras = saved::saves(block, place.operator).extras;
                for (extra, tensor) in extras.iter().zip(&own.extras) {
                    add(Tag { operator, what: extra.name }, vec![tensor]);
                }
            }
        }
        Ok(found)
    }

    /// The logits of the model, then those of its modules: B·T rows each.
    pub fn logits(&self, pass: &Pass<'_>) -> Result<Vec<Tensor>> {
        let mut found = Vec::new();
        for (site, record) in pass.model.sites.iter().zip(&self.sites) {
            for (at, own) in &record.nodes {
                let operator = pass.block(site)?.operators.get(*at);
                if let (Some(Kind::Loss { .. }), Some(Some(held))) =
                    (operator.map(|operator| operator.kind), own.inputs.first())
                {
                    found.push(held.tensor()?.clone());
                }
            }
        }
        Ok(found)
    }
}

/// What the saved list keeps of what an operator read and gave.
fn kept(saves: &Saves, inputs: &[Held], done: &Done) -> Result<Kept> {
    let mut own: Vec<Option<Held>> = vec![None; inputs.len()];
    for place in &saves.inputs {
        let input = inputs.get(*place).cloned().ok_or(Trouble::Misshapen("input"))?;
        *own.get_mut(*place).ok_or(Trouble::Misshapen("input"))? = Some(input);
    }
    let extras = done.extras.iter().take(saves.extras.len()).cloned().collect();
    Ok(Kept { inputs: own, output: saves.output.then(|| done.output.clone()), extras })
}
