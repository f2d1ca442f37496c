//! The builder of a block: operators are appended, each reading what was computed before.

use super::{Block, Component, Kind, Operator, Part, Tensor, Value};

/// A block in the making. Widths saturate: counts of such a size overflow where they are formed.
pub(super) struct Builder {
    operators: Vec<Operator>,
    widths: Vec<u64>,
}

impl Builder {
    /// A block whose input has so many values per token.
    pub(super) fn new(width: u64) -> Builder {
        Builder { operators: Vec::with_capacity(32), widths: vec![width] }
    }

    /// The block's input.
    pub(super) fn input(&self) -> Value {
        Value(0)
    }

    /// Values per token of something computed.
    pub(super) fn width(&self, value: Value) -> u64 {
        self.widths.get(value.0).copied().unwrap_or(0)
    }

    /// Appends an operator that gives `width` values per token.
    pub(super) fn operator(
        &mut self,
        name: &'static str,
        component: Component,
        kind: Kind,
        inputs: &[Value],
        width: u64,
        weights: Vec<Tensor>,
    ) -> Value {
        let output = Value(self.widths.len());
        self.widths.push(width);
        self.operators.push(Operator { name, component, kind, inputs: inputs.to_vec(), output, weights });
        output
    }

    /// Appends an operator without weights that is no matrix product.
    pub(super) fn pointwise(
        &mut self,
        name: &'static str,
        kind: Kind,
        inputs: &[Value],
        width: u64,
    ) -> Value {
        self.operator(name, Component::Pointwise, kind, inputs, width, Vec::new())
    }

    /// Appends a projection.
    pub(super) fn matmul(
        &mut self,
        name: &'static str,
        component: Component,
        input: Value,
        outer: u64,
        biased: bool,
    ) -> Value {
        let inner = self.width(input);
        let mut weights = vec![weight(inner, outer)];
        if biased {
            weights.push(bias(outer));
        }
        self.operator(name, component, Kind::MatMul { inner, outer }, &[input], outer, weights)
    }

    /// Appends an addition.
    pub(super) fn add(&mut self, name: &'static str, one: Value, other: Value) -> Value {
        let width = self.width(one);
        self.pointwise(name, Kind::Add { width }, &[one, other], width)
    }

    /// The finished block.
    pub(super) fn block(self, name: &str, part: Part, count: u64, output: Value) -> Block {
        Block { name: name.to_owned(), part, count, operators: self.operators, widths: self.widths, output }
    }
}

/// A matrix.
pub(super) fn weight(rows: u64, columns: u64) -> Tensor {
    Tensor { name: "weight", copies: 1, rows, columns, trained: true }
}

/// A vector.
pub(super) fn vector(name: &'static str, columns: u64) -> Tensor {
    Tensor { name, copies: 1, rows: 1, columns, trained: true }
}

/// A bias.
pub(super) fn bias(columns: u64) -> Tensor {
    vector("bias", columns)
}
