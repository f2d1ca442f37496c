//! What a model is trained with: a cluster, its devices, and what they reach of their data sheets.

use super::{MatmulType, Measurement, Precision};
use crate::units::Date;

/// A cluster of one kind of device.
#[derive(Clone, Debug, PartialEq)]
pub struct Hardware {
    /// The block's name, where it has one.
    pub name: Option<String>,
    /// The device.
    pub device: Device,
    /// How many of them.
    pub devices: u64,
    /// $ per device and second, where declared.
    pub price: Option<f64>,
    /// When the price was looked up.
    pub price_as_of: Option<Date>,
    /// What was measured on the device, where a measurement is cited.
    pub measured: Option<Measurement>,
    /// What is not the plan's to use on each device, and how the cluster runs.
    pub operation: Operation,
}

/// How a cluster is run: what it loses, stores and draws.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Bytes of each device that context, libraries and the allocator take.
    pub reserve: u64,
    /// What the allocator holds beyond what is allocated, as a share of it, in [0, 1].
    pub fragmentation: f64,
    /// Mean time between failures of one device, s; its share of hosts and network included.
    pub mtbf: f64,
    /// From a failure to the next step, s.
    pub restart: f64,
    /// Bytes per second at which all devices together write a checkpoint.
    pub storage_bandwidth: f64,
    /// Checkpoints that are kept.
    pub checkpoints: u64,
    /// $ per byte and second of storage, where declared.
    pub storage_price: Option<f64>,
    /// Share of the time that waiting for the slowest device takes, in [0, 1).
    pub stragglers: f64,
    /// Share of a device's power that it draws on average, in (0, 1].
    pub utilization: f64,
    /// Power of the whole node over that of its devices, at least 1.
    pub host_power: f64,
    /// Power of the site over that of its nodes, at least 1.
    pub pue: f64,
    /// kg of CO2 equivalent per joule.
    pub carbon: f64,
}

/// One accelerator, or the processor of a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Its name in the catalog or the plan.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Bytes of device memory.
    pub memory: Option<u64>,
    /// Bytes per second of device memory.
    pub memory_bandwidth: Option<f64>,
    /// Devices in one node.
    pub devices_per_node: u64,
    /// Bytes per second from one device to the others of its node, one direction, all links together.
    pub link: Option<f64>,
    /// Bytes per second from one device out of its node, one direction: its share of the node's adapters.
    pub network: Option<f64>,
    /// Bytes per second between one device and its host, one direction.
    pub host_link: Option<f64>,
    /// Bytes of the host's memory, for the whole node.
    pub host_memory: Option<u64>,
    /// Bytes per second of the host's memory, for the whole node.
    pub host_memory_bandwidth: Option<f64>,
    /// Bytes per second of the host's disks, for the whole node, one direction.
    pub disk_bandwidth: Option<f64>,
    /// W of one device.
    pub power: Option<f64>,
    /// Least list price, $ per device and second.
    pub price_low: Option<f64>,
    /// Highest list price, $ per device and second.
    pub price_high: Option<f64>,
    /// When these prices were looked up.
    pub price_as_of: Option<Date>,
    /// Dense FLOP/s by the matmul's data type; `None` where the device has no such unit.
    pub peak: Peak,
    /// What its generation reaches of these figures.
    pub generation: Generation,
}

/// What devices of one generation reach of their data sheets: constants that were fitted, or are assumed.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// Its name in the catalog or the plan.
    pub name: String,
    /// Share of the dense peak that large 16-bit products reach.
    pub matmul: f64,
    /// Share of the fp8 peak that large fp8 products reach, quantization included.
    pub matmul_fp8: f64,
    /// Share of the fp4 peak that large fp4 products reach, quantization included.
    pub matmul_fp4: f64,
    /// Inner dimension at which a product reaches half of that.
    pub depth: f64,
    /// Units that compute tiles of a product at the same time; 0 where products are not cut into tiles.
    pub processors: u64,
    /// Rows of a tile.
    pub tile_rows: u64,
    /// Columns of a tile.
    pub tile_columns: u64,
    /// Share of the 16-bit peak that attention's forward pass reaches in a fused kernel.
    pub attention_forward: f64,
    /// The same of its backward pass, for the five products that it runs.
    pub attention_backward: f64,
    /// Share of the memory's bandwidth that pointwise kernels reach.
    pub memory: f64,
    /// Seconds from one kernel to the next.
    pub launch: f64,
    /// Share of the bandwidth within a node that collectives reach.
    pub link: f64,
    /// Seconds for each step of a collective within a node.
    pub link_latency: f64,
    /// Share of the bandwidth between nodes that collectives reach.
    pub network: f64,
    /// Seconds for each step of a collective between nodes.
    pub network_latency: f64,
    /// Mean error of step times for this generation, as a share; 0 where it is unknown.
    pub error: f64,
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// It trains: a GPU, a TPU or the like.
    Accelerator,
    /// The processor that accelerators are attached to.
    Host,
}

/// Dense peak FLOP/s by data type; an integer operation counts as one FLOP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peak {
    /// fp32 on the ordinary units, not TF32.
    pub fp32: Option<f64>,
    /// fp32 values multiplied at 19 bits, with fp32 accumulation.
    pub tf32: Option<f64>,
    /// fp16 with fp32 accumulation.
    pub fp16: Option<f64>,
    /// bf16 with fp32 accumulation.
    pub bf16: Option<f64>,
    /// fp8, either split of its bits.
    pub fp8: Option<f64>,
    /// fp4.
    pub fp4: Option<f64>,
    /// int8 with int32 accumulation.
    pub int8: Option<f64>,
}

impl Peak {
    /// The dense peak for the data type of weights, FLOP/s.
    pub fn of(&self, precision: Precision) -> Option<f64> {
        match precision {
            Precision::Fp32 => self.fp32,
            Precision::Fp16 => self.fp16,
            Precision::Bf16 => self.bf16,
        }
    }

    /// The dense peak for the data type of products, FLOP/s.
    pub fn of_matmul(&self, matmul: MatmulType) -> Option<f64> {
        match matmul {
            MatmulType::Fp32 => self.fp32,
            MatmulType::Tf32 => self.tf32,
            MatmulType::Fp16 => self.fp16,
            MatmulType::Bf16 => self.bf16,
            MatmulType::Fp8 => self.fp8,
            MatmulType::Fp4 => self.fp4,
        }
    }
}
