//! The values of tensors on the CPU as slices, to read and to write where they lie.

use std::cell::Cell;
use std::ops::{Deref, Range};

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Result, Storage, Tensor, bail};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// Values that are read.
#[derive(Clone, Copy)]
pub(crate) enum Values<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
    F16(&'a [f16]),
}

impl<'a> Values<'a> {
    /// The values of a contiguous tensor.
    fn of(storage: &'a CpuStorage, layout: &Layout) -> Result<Values<'a>> {
        let (start, end) = range(layout)?;
        Ok(match storage {
            CpuStorage::F32(values) => Values::F32(&values[start..end]),
            CpuStorage::BF16(values) => Values::Bf16(&values[start..end]),
            CpuStorage::F16(values) => Values::F16(&values[start..end]),
            _ => bail!("gradients are f32, bf16 or f16 on the CPU"),
        })
    }

    /// The first `length` values, and the rest.
    pub(crate) fn split(self, length: usize) -> (Values<'a>, Values<'a>) {
        match self {
            Values::F32(values) => pair(values.split_at(length), Values::F32),
            Values::Bf16(values) => pair(values.split_at(length), Values::Bf16),
            Values::F16(values) => pair(values.split_at(length), Values::F16),
        }
    }

    /// All values, in pieces of at most so many.
    pub(crate) fn pieces(self, most: usize) -> Vec<Values<'a>> {
        let mut pieces = Vec::new();
        let mut rest = self;
        while rest.len() > most {
            let (head, tail) = rest.split(most);
            pieces.push(head);
            rest = tail;
        }
        pieces.push(rest);
        pieces
    }

    /// How many values there are.
    pub(crate) fn len(self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::Bf16(values) => values.len(),
            Values::F16(values) => values.len(),
        }
    }

    /// Writes the values as f32 into a slice of the same length.
    pub(crate) fn decode(self, into: &mut [f32]) {
        match self {
            Values::F32(values) => into.copy_from_slice(values),
            Values::Bf16(values) => values.convert_to_f32_slice(into),
            Values::F16(values) => values.convert_to_f32_slice(into),
        }
    }

    /// Whether there is neither infinity nor NaN among the values.
    pub(crate) fn finite(self) -> bool {
        match self {
            Values::F32(values) => values.iter().all(|value| value.is_finite()),
            Values::Bf16(values) => values.iter().all(|value| value.is_finite()),
            Values::F16(values) => values.iter().all(|value| value.is_finite()),
        }
    }
}

/// Values that are written.
pub(crate) enum ValuesMut<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [bf16]),
    F16(&'a mut [f16]),
}

impl<'a> ValuesMut<'a> {
    /// The values of a contiguous tensor.
    fn of(storage: &'a mut CpuStorage, layout: &Layout) -> Result<ValuesMut<'a>> {
        let (start, end) = range(layout)?;
        Ok(match storage {
            CpuStorage::F32(values) => ValuesMut::F32(&mut values[start..end]),
            CpuStorage::BF16(values) => ValuesMut::Bf16(&mut values[start..end]),
            CpuStorage::F16(values) => ValuesMut::F16(&mut values[start..end]),
            _ => bail!("values are f32, bf16 or f16"),
        })
    }

    /// The first `length` values, and the rest.
    pub(crate) fn split(self, length: usize) -> (ValuesMut<'a>, ValuesMut<'a>) {
        match self {
            ValuesMut::F32(values) => pair(values.split_at_mut(length), ValuesMut::F32),
            ValuesMut::Bf16(values) => pair(values.split_at_mut(length), ValuesMut::Bf16),
            ValuesMut::F16(values) => pair(values.split_at_mut(length), ValuesMut::F16),
        }
    }

    /// The values as they are, to be read.
    pub(crate) fn read(&self) -> Values<'_> {
        match self {
            ValuesMut::F32(values) => Values::F32(values),
            ValuesMut::Bf16(values) => Values::Bf16(values),
            ValuesMut::F16(values) => Values::F16(values),
        }
    }

    /// Writes as many values, rounded to nearest.
    pub(crate) fn encode(&mut self, from: &[f32]) {
        match self {
            ValuesMut::F32(values) => values.copy_from_slice(from),
            ValuesMut::Bf16(values) => values.convert_from_f32_slice(from),
            ValuesMut::F16(values) => values.convert_from_f32_slice(from),
        }
    }
}

/// Lends the values of a contiguous CPU tensor of floats to be written, beside another's to be read. They must not
/// share storage: that is an error.
pub(crate) fn edit_beside(
    written: &Tensor,
    read: &Tensor,
    run: impl FnOnce(ValuesMut<'_>, Values<'_>) -> Result<()>,
) -> Result<()> {
    let lent = |storage: &mut CpuStorage, layout: &Layout, beside: &CpuStorage, other: &Layout| {
        run(ValuesMut::of(storage, layout)?, Values::of(beside, other)?)
    };
    written.inplace_op2(read, &Beside(Cell::new(Some(lent))))
}

/// Lends the values of a contiguous CPU tensor of f32.
pub(crate) fn edit_f32(tensor: &Tensor, run: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<()> {
    let lent = |storage: &mut CpuStorage, layout: &Layout| match ValuesMut::of(storage, layout)? {
        ValuesMut::F32(values) => run(values),
        _ => bail!("states are f32"),
    };
    tensor.inplace_op1(&Alone(Cell::new(Some(lent))))
}

/// Lends the values of a contiguous CPU tensor of bytes.
pub(crate) fn edit_u8(tensor: &Tensor, run: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<()> {
    let lent = |storage: &mut CpuStorage, layout: &Layout| {
        let (start, end) = range(layout)?;
        match storage {
            CpuStorage::U8(values) => run(&mut values[start..end]),
            _ => bail!("codes are u8"),
        }
    };
    tensor.inplace_op1(&Alone(Cell::new(Some(lent))))
}

/// Reads the values of a contiguous CPU tensor of floats.
pub(crate) fn read<R>(tensor: &Tensor, run: impl FnOnce(Values<'_>) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(run(Values::of(storage, layout)?)),
        _ => bail!("the tensor is not on the CPU"),
    }
}

/// The f32 values of a contiguous CPU tensor, lent to be read.
pub(crate) struct Lent<'a> {
    storage: Box<dyn Deref<Target = Storage> + 'a>,
    range: Range<usize>,
}

impl<'a> Lent<'a> {
    /// `None` for any other tensor.
    pub(crate) fn of(tensor: &'a Tensor) -> Option<Lent<'a>> {
        let (storage, layout) = tensor.storage_and_layout();
        let (start, end) = layout.contiguous_offsets()?;
        match &*storage {
            Storage::Cpu(CpuStorage::F32(_)) => Some(Lent { storage: Box::new(storage), range: start..end }),
            _ => None,
        }
    }

    /// The values.
    pub(crate) fn values(&self) -> &[f32] {
        match &**self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => values.get(self.range.clone()).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// Runs once on the storage of a tensor.
struct Alone<F>(Cell<Option<F>>);

impl<F: FnOnce(&mut CpuStorage, &Layout) -> Result<()>> InplaceOp1 for Alone<F> {
    fn name(&self) -> &'static str {
        "edit"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        self.0.take().map_or(Ok(()), |run| run(storage, layout))
    }
}

/// Runs once on the storages of two tensors.
struct Beside<F>(Cell<Option<F>>);

impl<F: FnOnce(&mut CpuStorage, &Layout, &CpuStorage, &Layout) -> Result<()>> InplaceOp2 for Beside<F> {
    fn name(&self) -> &'static str {
        "edit beside"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        self.0.take().map_or(Ok(()), |run| run(s1, l1, s2, l2))
    }
}

fn range(layout: &Layout) -> Result<(usize, usize)> {
    match layout.contiguous_offsets() {
        Some(range) => Ok(range),
        None => bail!("a tensor with gaps cannot be updated in place"),
    }
}

fn pair<S, V>((head, tail): (S, S), wrap: impl Fn(S) -> V) -> (V, V) {
    (wrap(head), wrap(tail))
}
