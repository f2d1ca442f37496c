//! Data types, and the optimizers that keep states in them.

/// A floating-point format that training uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 4 bytes.
    Fp32,
    /// 2 bytes, 5 exponent bits.
    Fp16,
    /// 2 bytes, 8 exponent bits.
    Bf16,
}

impl Precision {
    /// Bytes of one value.
    pub fn bytes(self) -> u64 {
        match self {
            Precision::Fp32 => 4,
            Precision::Fp16 | Precision::Bf16 => 2,
        }
    }
}

words!(Precision {
    "fp32" => Fp32,
    "fp16" => Fp16,
    "bf16" => Bf16,
});

/// A data type of matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatmulType {
    /// fp32 on the ordinary units.
    Fp32,
    /// fp32 values multiplied at 19 bits.
    Tf32,
    /// fp16 with fp32 accumulation.
    Fp16,
    /// bf16 with fp32 accumulation.
    Bf16,
    /// fp8, either split of its bits; inputs are kept in a byte.
    Fp8,
    /// fp4 with scales of small blocks.
    Fp4,
}

words!(MatmulType {
    "fp32" => Fp32,
    "tf32" => Tf32,
    "fp16" => Fp16,
    "bf16" => Bf16,
    "fp8" => Fp8,
    "fp4" => Fp4,
});

/// The data type of an optimizer's states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateType {
    /// 4 bytes.
    Fp32,
    /// 2 bytes.
    Bf16,
}

impl StateType {
    /// Bytes of one value.
    pub fn bytes(self) -> u64 {
        match self {
            StateType::Fp32 => 4,
            StateType::Bf16 => 2,
        }
    }
}

words!(StateType {
    "fp32" => Fp32,
    "bf16" => Bf16,
});

/// An optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Optimizer {
    /// Plain stochastic gradient descent: no state.
    Sgd,
    /// SGD with momentum: one value per parameter.
    Momentum,
    /// Adam: two values per parameter.
    Adam,
    /// Adam with decoupled weight decay: the same state.
    Adamw,
    /// Adam with both moments in int8, blockwise scales in fp32 (Dettmers 2021).
    Adam8bit,
    /// Sums of rows and columns in place of the second moment, and no first one (Shazeer 2018).
    Adafactor,
    /// The sign of a momentum: one value per parameter (Chen 2023).
    Lion,
    /// An orthogonalised momentum for the matrices of layers; AdamW for embeddings, output and vectors (Jordan 2024).
    Muon,
    /// Statistics of rows and of columns, with their inverse roots, and a momentum (Gupta 2018).
    Shampoo,
    /// Adam in the basis of Shampoo's statistics (Vyas 2024).
    Soap,
}

words!(Optimizer {
    "sgd" => Sgd,
    "momentum" => Momentum,
    "adam" => Adam,
    "adamw" => Adamw,
    "adam8bit" => Adam8bit,
    "adafactor" => Adafactor,
    "lion" => Lion,
    "muon" => Muon,
    "shampoo" => Shampoo,
    "soap" => Soap,
});
