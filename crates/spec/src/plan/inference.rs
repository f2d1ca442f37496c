//! How a model is served.

use super::Device;

/// How a model is served.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference {
    /// The device it is served on; `None` for the hardware's, where there is any.
    pub device: Option<Device>,
    /// Devices of one replica: the tensor-parallel degree.
    pub tensor: u64,
    /// How weights are stored.
    pub weights: Stored,
    /// How keys and values are stored.
    pub kv_cache: Stored,
    /// Values that share one 16-bit scale, where numbers of fewer than 8 bits are stored.
    pub group: u64,
    /// The data type of products.
    pub matmul: Multiplied,
    /// Sequences decoded together in one replica; `None` for as many as fit.
    pub batch: Option<u64>,
    /// Tokens of a prompt.
    pub prompt: u64,
    /// Tokens of an answer.
    pub output: u64,
    /// Tokens of one block of the cache.
    pub block: u64,
    /// Bytes of each device that context, libraries and working space take.
    pub reserve: u64,
    /// Dollars per second of one device; `None` for the hardware's.
    pub price: Option<f64>,
    /// Share of the time in which replicas have work; in 0..=1.
    pub utilization: f64,
    /// Tokens served over the model's lifetime, prompts and answers.
    pub demand: Option<u64>,
    /// Speculative decoding, where it is declared.
    pub speculative: Option<Speculative>,
}

/// A number as it is stored for serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stored {
    /// 32 bits.
    Fp32,
    /// 16 bits.
    Bf16,
    /// 8-bit floating point.
    Fp8,
    /// 8-bit integers.
    Int8,
    /// 6-bit integers.
    Int6,
    /// 4-bit integers.
    Int4,
    /// 4-bit floating point.
    Fp4,
    /// 3-bit integers.
    Int3,
}

words!(Stored {
    "fp32" => Fp32,
    "bf16" => Bf16,
    "fp8" => Fp8,
    "int8" => Int8,
    "int6" => Int6,
    "int4" => Int4,
    "fp4" => Fp4,
    "int3" => Int3,
});

impl Stored {
    /// Bits of one value, scales left out.
    pub fn bits(self) -> u64 {
        match self {
            Stored::Fp32 => 32,
            Stored::Bf16 => 16,
            Stored::Fp8 | Stored::Int8 => 8,
            Stored::Int6 => 6,
            Stored::Int4 | Stored::Fp4 => 4,
            Stored::Int3 => 3,
        }
    }

    /// Whether values share a 16-bit scale in groups: those of fewer than 8 bits. One scale for a channel or a tensor, as
    /// 8-bit formats have, weighs nothing.
    pub fn grouped(self) -> bool {
        self.bits() < 8
    }
}

/// The data type in which a served model multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Multiplied {
    /// 32 bits.
    Fp32,
    /// 16 bits: bf16, or fp16 where a device has no bf16.
    Bf16,
    /// 8-bit floating point.
    Fp8,
    /// 8-bit integers.
    Int8,
    /// 4-bit floating point.
    Fp4,
}

words!(Multiplied {
    "fp32" => Fp32,
    "bf16" => Bf16,
    "fp8" => Fp8,
    "int8" => Int8,
    "fp4" => Fp4,
});

/// A small model proposes tokens that the model checks together (Leviathan 2023).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speculative {
    /// Parameters of the model that proposes.
    pub draft_params: u64,
    /// γ: tokens proposed at a time.
    pub tokens: u64,
    /// α: share of proposals that are accepted; in 0..=1.
    pub acceptance: f64,
}
