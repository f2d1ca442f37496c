//! A graph with weights: what runs.

use candle_core::{DType, Device, Tensor};
use llmplan_analysis::graph::{Block, Component, Graph, Kind, Part};

use crate::trouble::{Result, Trouble};
use crate::weights::Weights;

/// A graph with its weights on a device.
pub struct Model {
    pub(crate) device: Device,
    /// The data type of weights and activations.
    pub(crate) dtype: DType,
    pub(crate) graph: Graph,
    pub(crate) sites: Vec<Site>,
    pub(crate) parameters: Vec<Parameter>,
}

/// A tensor of a model.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its place, operator and name: `3.attention.q.weight`; places are counted in the order of execution.
    pub name: String,
    /// What it is counted under.
    pub component: Component,
    /// How many matrices of one shape it has: one for each expert, else 1.
    pub copies: usize,
    /// Whether it is trained.
    pub trained: bool,
    /// Rows × columns, with the copies in front where there are several.
    pub tensor: Tensor,
}

/// A block in its place in the order of execution.
pub(crate) struct Site {
    /// The place in [`Graph::blocks`].
    pub(crate) block: usize,
    /// Layers before it, for a layer.
    pub(crate) layer: Option<usize>,
    /// How many tokens further than the model it looks.
    pub(crate) ahead: usize,
    /// For each operator its tensors: names, and places in [`Model::parameters`].
    pub(crate) weights: Vec<Vec<(&'static str, usize)>>,
    /// For each value the operator that reads it last; none for what nobody reads, and beyond all for the output.
    pub(crate) last_use: Vec<Option<usize>>,
}

impl Model {
    /// Allocates the weights of a graph: pseudo-random values that depend on nothing but where they belong, the same on
    /// every device.
    ///
    /// # Errors
    /// A graph whose operators lack what they read, and a device without the memory.
    pub fn new(graph: &Graph, device: &Device, dtype: DType) -> Result<Model> {
        let mut model = Model {
            device: device.clone(),
            dtype,
            graph: graph.clone(),
            sites: Vec::new(),
            parameters: Vec::new(),
        };
        let mut shared = Shared::default();
        let (mut occurrence, mut layers, mut ahead) = (0_u64, 0, 0);
        for step in &graph.order {
            let block = graph.blocks.get(step.block).ok_or(Trouble::Misshapen("order"))?;
            for _ in 0..step.repeat {
                ahead += usize::from(block.part == Part::Mtp);
                let weights = model.allocate(block, occurrence, &mut shared)?;
                let layer = (block.part == Part::Layer).then_some(layers);
                layers += usize::from(layer.is_some());
                let last_use = last_use(block);
                model.sites.push(Site { block: step.block, layer, ahead, weights, last_use });
                occurrence += 1;
            }
        }
        Ok(model)
    }

    /// Its tensors, in the order of execution.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Its tensors, to be replaced by others of the same shape.
    pub fn parameters_mut(&mut self) -> &mut [Parameter] {
        &mut self.parameters
    }

    /// Layers.
    pub fn layers(&self) -> usize {
        self.sites.iter().filter(|site| site.layer.is_some()).count()
    }

    /// The tensors of a block's operators; those that it shares with others are found in `shared`.
    fn allocate(
        &mut self,
        block: &Block,
        occurrence: u64,
        shared: &mut Shared,
    ) -> Result<Vec<Vec<(&'static str, usize)>>> {
        let mut all = Vec::with_capacity(block.operators.len());
        for operator in &block.operators {
            let misshapen = Trouble::Misshapen(operator.name);
            let values = Weights::allocate(operator, occurrence).ok_or(misshapen)?;
            let mut own = Vec::with_capacity(operator.weights.len());
            for (tensor, values) in operator.weights.iter().zip(values.into_values()) {
                let size = |value: u64| usize::try_from(value).map_err(|_| Trouble::Misshapen(operator.name));
                let (copies, rows, columns) =
                    (size(tensor.copies)?, size(tensor.rows)?, size(tensor.columns)?);
                let shape = if copies == 1 { vec![rows, columns] } else { vec![copies, rows, columns] };
                let values = Tensor::from_vec(values, shape, &Device::Cpu)?;
                own.push((tensor.name, self.parameters.len()));
                self.parameters.push(Parameter {
                    name: format!("{occurrence}.{}.{}", operator.name, tensor.name),
                    component: operator.component,
                    copies,
                    trained: tensor.trained,
                    tensor: values.to_dtype(self.dtype)?.to_device(&self.device)?,
                });
            }
            shared.complete(operator.kind, block.part, &mut own);
            all.push(own);
        }
        Ok(all)
    }
}

/// The tables that more than one operator reads.
#[derive(Default)]
struct Shared {
    embedding: Option<usize>,
    /// What logits are formed with.
    output: Vec<(&'static str, usize)>,
}

impl Shared {
    /// Notes what others will read, and adds what the operator reads of others.
    fn complete(&mut self, kind: Kind, part: Part, own: &mut Vec<(&'static str, usize)>) {
        let weight = own.iter().find(|(name, _)| *name == "weight").map(|(_, place)| *place);
        let embedding = self.embedding.map(|place| ("embedding", place));
        match (kind, weight) {
            (Kind::Gather { .. }, Some(place)) => self.embedding = Some(place),
            (Kind::Gather { .. }, None) => own.extend(embedding),
            (Kind::Logits { .. }, _) if part == Part::Mtp => own.clone_from(&self.output),
            (Kind::Logits { .. }, found) => {
                own.extend(embedding.filter(|_| found.is_none()));
                self.output.clone_from(own);
            }
            _ => {}
        }
    }
}

/// For each value of a block the last operator that reads it.
pub(crate) fn last_use(block: &Block) -> Vec<Option<usize>> {
    let mut last = vec![None; block.widths.len()];
    for (at, operator) in block.operators.iter().enumerate() {
        for input in &operator.inputs {
            if let Some(last) = last.get_mut(input.0) {
                *last = Some(at);
            }
        }
    }
    if let Some(last) = last.get_mut(block.output.0) {
        *last = Some(usize::MAX);
    }
    last
}
