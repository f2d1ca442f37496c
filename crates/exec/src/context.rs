//! What every operator of a run has at hand: the device, the tokens, the masks, and the meter of matrix products.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use candle_core::{DType, Device, Shape, Tensor};
use llmplan_analysis::folds::Sequence;
use llmplan_analysis::graph::Component;
use llmplan_spec::plan::{AttentionConvention, Documents, Reach};

use crate::access::Lent;
use crate::flops::{Flops, Phase};
use crate::kernels::rotate::Rotations;
use crate::reference::sight::Sight;
use crate::trouble::{Result, Trouble};

/// The tokens of a micro-batch: B sequences of T.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// T: tokens of a sequence.
    pub tokens: usize,
    /// The tokens of all sequences, one after another: rows of the embedding.
    pub ids: Vec<u32>,
    /// The documents of each sequence, where attention ends at their bounds.
    pub documents: Option<Documents>,
}

impl Batch {
    /// B: sequences.
    pub fn sequences(&self) -> usize {
        self.ids.len().checked_div(self.tokens).unwrap_or(0)
    }
}

/// Matrix products of one sort.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Class {
    /// FLOPs of all.
    pub flops: u128,
    /// Seconds of all.
    pub seconds: f64,
}

/// For each query of a sequence the keys that it sees.
type Seen = Rc<[Range<usize>]>;

/// What operators have at hand.
pub(crate) struct Context {
    pub(crate) device: Device,
    /// The data type of activations.
    pub(crate) dtype: DType,
    /// B: sequences.
    pub(crate) sequences: usize,
    /// T: tokens of each.
    pub(crate) tokens: usize,
    /// Whether kernels of our own may take the place of candle's operators.
    pub(crate) fused: bool,
    /// What the gradient of the loss is multiplied by.
    pub(crate) seed: Cell<f64>,
    ids: RefCell<Vec<u32>>,
    sight: Sight,
    flops: RefCell<Flops>,
    phase: Cell<Phase>,
    /// Tables that hang on the shape alone, made once.
    tables: RefCell<BTreeMap<String, Tensor>>,
    rotations: RefCell<BTreeMap<usize, Rc<Rotations>>>,
    /// The component whose operator runs.
    pub(crate) component: Cell<Component>,
    clocks: RefCell<BTreeMap<Component, Class>>,
    ranges: RefCell<Vec<(Reach, Seen)>>,
}

impl Context {
    pub(crate) fn new(device: &Device, dtype: DType, batch: &Batch, fused: bool) -> Result<Context> {
        let tokens = u64::try_from(batch.tokens).map_err(|_| Trouble::Sequence)?;
        let attention = AttentionConvention::Causal;
        let sequence = Sequence { tokens, documents: batch.documents.as_ref(), attention };
        let sight = Sight::of(batch.tokens, sequence).ok_or(Trouble::Sequence)?;
        if batch.ids.is_empty() || !batch.ids.len().is_multiple_of(batch.tokens) {
            return Err(Trouble::Sequence);
        }
        Ok(Context {
            device: device.clone(),
            dtype,
            sequences: batch.sequences(),
            tokens: batch.tokens,
            fused,
            seed: Cell::new(1.0),
            ids: RefCell::new(batch.ids.clone()),
            sight,
            flops: RefCell::default(),
            phase: Cell::default(),
            tables: RefCell::default(),
            rotations: RefCell::default(),
            component: Cell::new(Component::Pointwise),
            clocks: RefCell::default(),
            ranges: RefCell::default(),
        })
    }

    /// Takes other tokens, as many.
    pub(crate) fn load(&self, ids: Vec<u32>) -> Result<()> {
        match ids.len() == self.rows() {
            true => {
                self.ids.replace(ids);
                Ok(())
            }
            false => Err(Trouble::Sequence),
        }
    }

    /// B·T.
    pub(crate) fn rows(&self) -> usize {
        self.sequences * self.tokens
    }

    /// The token that lies so many behind each: of the same sequence, whose first ones follow its last.
    pub(crate) fn ahead(&self, by: usize) -> Vec<u32> {
        let sequence =
            |ids: &[u32]| (0..ids.len()).map(|at| ids[(at + by) % ids.len()]).collect::<Vec<u32>>();
        self.ids.borrow().chunks_exact(self.tokens).flat_map(sequence).collect()
    }

    /// The keys that each query of a sequence sees.
    pub(crate) fn seen(&self, reach: Reach) -> Result<Seen> {
        let mut made = self.ranges.borrow_mut();
        if let Some((_, ranges)) = made.iter().find(|(own, _)| *own == reach) {
            return Ok(ranges.clone());
        }
        let seen = |query| self.sight.met(query, reach).map(|met| met.seen);
        let ranges: Option<Vec<Range<usize>>> = (0..self.tokens).map(seen).collect();
        let ranges: Seen = ranges.ok_or(Trouble::Misshapen("attention.scores"))?.into();
        made.push((reach, ranges.clone()));
        Ok(ranges)
    }

    /// A table that hangs on nothing but its name and this run's shape.
    pub(crate) fn table(&self, name: String, make: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        if let Some(table) = self.tables.borrow().get(&name) {
            return Ok(table.clone());
        }
        let table = make()?;
        self.tables.borrow_mut().insert(name, table.clone());
        Ok(table)
    }

    /// The values of a tensor for a kernel of our own; `None` where candle's operators have to do.
    pub(crate) fn lend<'a>(&self, tensor: &'a Tensor) -> Option<Lent<'a>> {
        if self.fused { Lent::of(tensor) } else { None }
    }

    /// Whether a kernel of our own may write into a tensor.
    pub(crate) fn lends(&self, tensor: &Tensor) -> bool {
        self.lend(tensor).is_some()
    }

    /// The values of a tensor that may be left out; `None` as for [`Context::lend`].
    pub(crate) fn lend_some<'a>(&self, tensor: Option<&'a Tensor>) -> Option<Option<Lent<'a>>> {
        match tensor {
            None => Some(None),
            Some(tensor) => self.lend(tensor).map(Some),
        }
    }

    /// What a kernel made, as a tensor.
    pub(crate) fn made(&self, values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
        Ok(Tensor::from_vec(values, shape.into(), &self.device)?)
    }

    /// The angles of rotary positions, made once.
    pub(crate) fn rotations(&self, rope: usize) -> Rc<Rotations> {
        let mut made = self.rotations.borrow_mut();
        made.entry(rope).or_insert_with(|| Rc::new(Rotations::of(self.tokens, rope))).clone()
    }

    /// The data type in which sums are formed: 32 bits where activations have 16.
    pub(crate) fn wide_type(&self) -> DType {
        match self.dtype {
            DType::BF16 | DType::F16 => DType::F32,
            other => other,
        }
    }

    /// A tensor in that type.
    pub(crate) fn wide(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.to_dtype(self.wide_type())?)
    }

    /// A tensor in the type of activations.
    pub(crate) fn narrow(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.to_dtype(self.dtype)?)
    }

    /// A matrix product: the only place where one is formed, and counted.
    pub(crate) fn product(&self, one: &Tensor, other: &Tensor) -> Result<Tensor> {
        // Elsewhere work is queued: the clock would see the queue.
        let started = self.device.is_cpu().then(Instant::now);
        let product = one.matmul(other)?;
        let inner = one.dims().last().copied().unwrap_or(0);
        let flops = 2 * product.elem_count() as u128 * inner as u128;
        self.count(flops);
        if let Some(started) = started {
            let mut clocks = self.clocks.borrow_mut();
            let class = clocks.entry(self.component.get()).or_default();
            class.flops = class.flops.saturating_add(flops);
            class.seconds += started.elapsed().as_secs_f64();
        }
        Ok(product)
    }

    /// Counts FLOPs that were done in another way than by a matrix product.
    pub(crate) fn count(&self, flops: u128) {
        self.flops.borrow_mut().add(self.phase.get(), flops);
    }

    /// Counts under another phase from now on; gives the one before.
    pub(crate) fn enter(&self, phase: Phase) -> Phase {
        self.phase.replace(phase)
    }

    /// The matrix products of each component since the last time, and how long they took; none where work is queued.
    pub(crate) fn classes(&self) -> BTreeMap<Component, Class> {
        self.clocks.take()
    }

    /// What was counted so far.
    pub(crate) fn flops(&self) -> Flops {
        *self.flops.borrow()
    }
}
