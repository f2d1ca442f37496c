//! The loop over steps, blocks and operators: who reads what, and what is counted where.

use std::collections::BTreeMap;

use llmplan_analysis::graph::{Block, Component, Graph, Kind, Operator, Part, Value};

use super::operators::{self, Reads, Tally};
use super::{Prediction, Refusal, Run};
use crate::reference::sight::Sight;
use crate::weights::Weights;

/// Runs every step of a graph whose size is bounded.
pub(crate) fn run(graph: &Graph, tokens: &[usize], sight: &Sight) -> Result<Run, Refusal> {
    let mut machine = Machine {
        tokens,
        sight,
        stream: Vec::new(),
        embedding: Vec::new(),
        embedding_width: 0,
        output: None,
        ahead: 0,
        run: Run::default(),
    };
    let mut occurrence = 0;
    for step in &graph.order {
        let block = graph.blocks.get(step.block).ok_or(Refusal::Misshapen("order"))?;
        for _ in 0..step.repeat {
            machine.block(block, occurrence)?;
            occurrence += 1;
        }
    }
    Ok(machine.run)
}

struct Machine<'a> {
    tokens: &'a [usize],
    sight: &'a Sight,
    /// The residual stream: T rows of d values.
    stream: Vec<f32>,
    /// The table of the embedding: tied logits and modules read it again.
    embedding: Vec<f32>,
    /// Values in a row of it.
    embedding_width: usize,
    /// The head's output table, which modules read again.
    output: Option<Output>,
    /// How many tokens further than the model the module that runs looks; 0 for the model itself.
    ahead: usize,
    run: Run,
}

/// An output table with `inner` rows, and its bias.
struct Output {
    table: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Machine<'_> {
    /// One run of a block, with weights of its own: the stream goes in and comes out.
    fn block(&mut self, block: &Block, occurrence: u64) -> Result<(), Refusal> {
        if block.part == Part::Mtp {
            self.ahead += 1;
            self.run.modules.push(Prediction::default());
        }
        let mut values: Vec<Option<Vec<f32>>> = vec![None; block.widths.len()];
        let Some(first) = values.first_mut() else { return Err(Refusal::Misshapen("block")) };
        *first = Some(std::mem::take(&mut self.stream));
        for operator in &block.operators {
            let output = self.operator(block, operator, &values, occurrence);
            let place = values.get_mut(operator.output.0).filter(|place| place.is_none());
            match (output, place) {
                (Some(output), Some(place)) => *place = Some(output),
                _ => return Err(Refusal::Misshapen(operator.name)),
            }
        }
        let output = values.get_mut(block.output.0).and_then(Option::take);
        self.stream = output.ok_or(Refusal::Misshapen("block"))?;
        Ok(())
    }

    /// What an operator computes, of the width that the block declares; `None` where shapes do not fit.
    fn operator(
        &mut self,
        block: &Block,
        operator: &Operator,
        values: &[Option<Vec<f32>>],
        occurrence: u64,
    ) -> Option<Vec<f32>> {
        let weights = self.allocate(operator, occurrence)?;
        let width = |value: Value| usize::try_from(*block.widths.get(value.0)?).ok();
        let mut inputs = Vec::with_capacity(operator.inputs.len());
        for input in &operator.inputs {
            inputs.push(values.get(input.0)?.as_deref()?);
        }
        let reads = Reads { sight: self.sight, inputs, weights: &weights, output: width(operator.output)? };
        let mut tally = Tally::default();
        let output = match operator.kind {
            Kind::Distances { width } => operators::sinusoids(self.tokens.len(), operators::size(&[width])?)?,
            Kind::Gather { width } => self.gather(&reads, operators::size(&[width])?)?,
            Kind::Logits { inner, outer } => {
                self.logits(&reads, operators::size(&[inner])?, operators::size(&[outer])?, &mut tally)?
            }
            Kind::Loss { outer } => self.loss(&reads, operators::size(&[outer])?)?,
            _ => operators::apply(operator.kind, &reads, &mut tally)?,
        };
        // Scores are pairs of tokens: the graph gives them no width per token.
        let pairs = matches!(operator.kind, Kind::Scores { .. } | Kind::Softmax { .. });
        if !pairs && output.len() != self.tokens.len().checked_mul(reads.output)? {
            return None;
        }
        count(&mut self.run.multiply_adds, operator.component, tally.done());
        Some(output)
    }

    /// The operator's tensors, each value counted.
    fn allocate(&mut self, operator: &Operator, occurrence: u64) -> Option<Weights> {
        let weights = Weights::allocate(operator, occurrence)?;
        for (tensor, length) in operator.weights.iter().zip(weights.lengths()) {
            let counts = if tensor.trained { &mut self.run.parameters } else { &mut self.run.buffers };
            count(counts, operator.component, length as u128);
        }
        Some(weights)
    }

    /// Rows of the embedding. Without weights it is the model's own table, read for the tokens further on; behind the
    /// last token, the first ones follow again.
    fn gather(&mut self, reads: &Reads<'_>, width: usize) -> Option<Vec<f32>> {
        if let Some(table) = reads.weights.find("weight") {
            self.embedding = table.to_vec();
            self.embedding_width = width;
        }
        if width != self.embedding_width {
            return None;
        }
        let length = self.tokens.len();
        let rows: Vec<usize> = (0..length).map(|at| self.tokens[(at + self.ahead) % length]).collect();
        operators::rows_of(&self.embedding, &rows, width)
    }

    /// Logits by a table of its own, by the embedding's where those are tied, or by the head's where it is a module's.
    fn logits(
        &mut self,
        reads: &Reads<'_>,
        inner: usize,
        outer: usize,
        tally: &mut Tally,
    ) -> Option<Vec<f32>> {
        if self.ahead == 0 {
            let table = match reads.weights.find("weight") {
                Some(table) => table.to_vec(),
                None => operators::transposed(&self.embedding, inner),
            };
            let bias = reads.weights.optional("bias", outer)?.map(<[f32]>::to_vec);
            self.output = Some(Output { table, bias });
        }
        let own = self.output.as_ref()?;
        let table = (own.table.len() == inner.checked_mul(outer)?).then_some(&own.table)?;
        let input = reads.input(0, inner)?;
        let logits = operators::product(input, table, own.bias.as_deref(), (inner, outer), tally);
        match self.run.modules.last_mut() {
            Some(module) => module.logits.clone_from(&logits),
            None => self.run.logits.clone_from(&logits),
        }
        Some(logits)
    }

    /// The loss of the next token, or of the one that a module predicts; each token has the mean.
    fn loss(&mut self, reads: &Reads<'_>, vocab: usize) -> Option<Vec<f32>> {
        let loss = operators::loss(reads.input(0, vocab)?, self.tokens, vocab, self.ahead + 1)?;
        match self.run.modules.last_mut() {
            Some(module) => module.loss = loss,
            None => self.run.loss = loss,
        }
        Some(vec![loss; self.tokens.len()])
    }
}

fn count(counts: &mut BTreeMap<Component, u128>, component: Component, amount: u128) {
    if amount > 0 {
        *counts.entry(component).or_default() += amount;
    }
}
