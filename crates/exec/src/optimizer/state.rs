//! What an optimizer keeps of one tensor from step to step.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::{Kind, Rule, StateBytes};

/// The states of one tensor, where the optimizer's home is. Each is `[copies, values of a copy]`.
pub(super) struct State {
    /// Steps taken.
    pub(super) steps: u64,
    /// The weights in fp32; `None` where the weights are that themselves.
    pub(super) master: Option<Tensor>,
    /// The moments of the gradient.
    pub(super) moments: Moments,
    /// How values fall into blocks.
    pub(super) blocks: Blocks,
    /// The weights' own format.
    pub(super) dtype: DType,
}

/// The moments of one tensor's gradient.
pub(super) enum Moments {
    /// SGD has none.
    None,
    /// The velocity of momentum.
    First(Tensor),
    /// Those of Adam.
    Both { first: Tensor, second: Tensor },
    /// Those of Adam in 8 bits.
    Coded { first: Coded, second: Coded },
}

/// A moment in 8 bits.
pub(super) struct Coded {
    /// One byte for each value.
    pub(super) codes: Tensor,
    /// `[copies, blocks of a copy]`: the largest magnitude in each block; of the second moment, that of its fourth root.
    pub(super) scales: Tensor,
}

/// How a tensor's values fall into blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    /// Copies of a matrix that lie one after another: blocks begin anew in every one.
    pub(super) copies: usize,
    /// Values of one copy.
    pub(super) each: usize,
    /// Values that share one scale, at most `each`.
    pub(super) size: usize,
}

impl Blocks {
    /// Blocks of one copy; the last one may be short.
    pub(super) fn of_copy(&self) -> usize {
        self.each.div_ceil(self.size)
    }
}

impl State {
    /// The states before the first step. `keep` asks for a copy of the weights even where they are fp32.
    pub(super) fn new(
        rule: &Rule,
        weights: &Tensor,
        copies: usize,
        home: &Device,
        keep: bool,
    ) -> Result<State> {
        let elements = weights.elem_count();
        if !matches!(weights.dtype(), DType::F32 | DType::BF16 | DType::F16) {
            bail!("weights are f32, bf16 or f16, not {:?}", weights.dtype());
        }
        if !weights.is_contiguous() || elements == 0 {
            bail!("weights are contiguous and at least one value: not {:?}", weights.layout());
        }
        if rule.block == 0 || copies == 0 || !elements.is_multiple_of(copies) {
            bail!("{elements} values are neither {copies} copies nor in blocks of {}", rule.block);
        }
        let each = elements / copies;
        let blocks = Blocks { copies, each, size: rule.block.min(each) };
        let zeros = || Tensor::zeros((copies, each), DType::F32, home);
        let coded = || {
            let codes = Tensor::zeros((copies, each), DType::U8, home)?;
            let scales = Tensor::zeros((copies, blocks.of_copy()), DType::F32, home)?;
            Ok::<_, candle_core::Error>(Coded { codes, scales })
        };
        let moments = match rule.kind {
            Kind::Sgd => Moments::None,
            Kind::Momentum => Moments::First(zeros()?),
            Kind::Adam | Kind::Adamw => Moments::Both { first: zeros()?, second: zeros()? },
            Kind::Adam8bit => Moments::Coded { first: coded()?, second: coded()? },
        };
        let master = if keep || weights.dtype() != DType::F32 {
            Some(master(weights, (copies, each), home)?)
        } else {
            None
        };
        Ok(State { steps: 0, master, moments, blocks, dtype: weights.dtype() })
    }

    /// Payload bytes.
    pub(super) fn bytes(&self) -> StateBytes {
        let bytes = |tensor: &Tensor| (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64;
        let master = self.master.as_ref().map_or(0, bytes);
        match &self.moments {
            Moments::None => StateBytes { master, ..StateBytes::default() },
            Moments::First(first) => {
                StateBytes { master, first_moment: bytes(first), ..StateBytes::default() }
            }
            Moments::Both { first, second } => {
                StateBytes { master, first_moment: bytes(first), second_moment: bytes(second), scales: 0 }
            }
            Moments::Coded { first, second } => StateBytes {
                master,
                first_moment: bytes(&first.codes),
                second_moment: bytes(&second.codes),
                scales: bytes(&first.scales) + bytes(&second.scales),
            },
        }
    }
}

/// The weights in fp32, in storage of their own.
fn master(weights: &Tensor, shape: (usize, usize), home: &Device) -> Result<Tensor> {
    let weights = weights.detach();
    let own = match weights.dtype() {
        DType::F32 => weights.force_contiguous()?,
        _ => weights.to_dtype(DType::F32)?,
    };
    own.reshape(shape)?.to_device(home)
}
