//! The figures of a device and of its links that step times rest on: data sheet times what its generation reaches.

use llmplan_spec::plan::{Device, Hardware, MatmulType, Offload, OffloadTo, Precision, Training};

/// What one device of a cluster does in a second. Bandwidths are one direction, of one device, as reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct System {
    /// FLOP/s that large products of layers reach, in the data type of [`Training::matmul`].
    pub layers: f64,
    /// FLOP/s that other large products reach: output, router, and attention without a kernel of its own.
    pub others: f64,
    /// FLOP/s that attention in one kernel reaches forward.
    pub attention_forward: f64,
    /// The same backward.
    pub attention_backward: f64,
    /// Dense peak of the layers' products, FLOP/s: what nothing exceeds.
    pub peak: f64,
    /// Inner dimension at which a product reaches half of what large ones do.
    pub depth: f64,
    /// Units that compute tiles at the same time; 0 where products are not cut into tiles.
    pub processors: f64,
    /// Rows of a large product's tile.
    pub tile_rows: f64,
    /// Columns of a large product's tile.
    pub tile_columns: f64,
    /// Bytes per second of device memory.
    pub memory: f64,
    /// Seconds from one kernel to the next that the host takes: a block of short kernels takes no less.
    pub launch: f64,
    /// Devices of a node.
    pub node: f64,
    /// Bytes per second within a node.
    pub link: f64,
    /// Seconds for each step within a node.
    pub link_latency: f64,
    /// Bytes per second out of the node.
    pub network: f64,
    /// Seconds for each step between nodes.
    pub network_latency: f64,
    /// Bytes per second between a device and its host; 0 where it is unknown.
    pub host_link: f64,
    /// Bytes per second of the host's memory, the share of one device; 0 where it is unknown.
    pub host_memory: f64,
}

impl System {
    /// The system that a training runs on, or the figure that is missing for it, as a plan would declare it.
    ///
    /// A device without a network uses its links for all, as the chips of a torus do. Devices on their own need neither.
    pub fn of(hardware: &Hardware, training: &Training) -> Result<System, &'static str> {
        let device = &hardware.device;
        let own = &device.generation;
        let peak = device.peak.of_matmul(training.matmul).ok_or(peak_path(training.matmul))?;
        let reach = match training.matmul {
            MatmulType::Fp8 => own.matmul_fp8,
            MatmulType::Fp4 => own.matmul_fp4,
            MatmulType::Fp32 | MatmulType::Tf32 | MatmulType::Fp16 | MatmulType::Bf16 => own.matmul,
        };
        let small = matches!(training.matmul, MatmulType::Fp8 | MatmulType::Fp4);
        // What stays in the data type of the passes; in fp32 it runs as the products do.
        let wide = match training.precision {
            Precision::Fp32 if !small => peak,
            precision => device.peak.of(precision).ok_or(precision_path(precision))?,
        };
        let bandwidth = device.memory_bandwidth.ok_or("device.memory_bandwidth")?;
        let (link, network) = links(device, hardware.devices)?;
        let torus = device.network.is_none();
        let node = device.devices_per_node.max(1) as f64;
        Ok(System {
            layers: peak * reach,
            others: wide * own.matmul,
            attention_forward: wide * own.attention_forward,
            attention_backward: wide * own.attention_backward,
            peak,
            depth: own.depth,
            processors: own.processors as f64,
            tile_rows: own.tile_rows.max(1) as f64,
            tile_columns: own.tile_columns.max(1) as f64,
            memory: bandwidth * own.memory,
            launch: own.launch,
            node,
            link: link * own.link,
            link_latency: own.link_latency,
            network: network * if torus { own.link } else { own.network },
            network_latency: if torus { own.link_latency } else { own.network_latency },
            host_link: host(hardware, training)?,
            host_memory: device.host_memory_bandwidth.unwrap_or(0.0) / node,
        })
    }

    /// The links of so many devices and nothing else: what collectives of a served model rest on. Or the figure that is
    /// missing for it.
    pub fn linked(device: &Device, devices: u64) -> Result<System, &'static str> {
        let own = &device.generation;
        let (link, network) = links(device, devices)?;
        let torus = device.network.is_none();
        Ok(System {
            layers: 0.0,
            others: 0.0,
            attention_forward: 0.0,
            attention_backward: 0.0,
            peak: 0.0,
            depth: 0.0,
            processors: 0.0,
            tile_rows: 1.0,
            tile_columns: 1.0,
            memory: 0.0,
            launch: 0.0,
            node: device.devices_per_node.max(1) as f64,
            link: link * own.link,
            link_latency: own.link_latency,
            network: network * if torus { own.link } else { own.network },
            network_latency: if torus { own.link_latency } else { own.network_latency },
            host_link: 0.0,
            host_memory: 0.0,
        })
    }

    /// Seconds of moving so many bytes through device memory.
    pub fn moves(&self, bytes: f64) -> f64 {
        bytes / self.memory
    }
}

/// Bytes per second within a node and between nodes, as sold, for so many devices; the figure that is missing otherwise.
fn links(device: &Device, devices: u64) -> Result<(f64, f64), &'static str> {
    let alone = devices <= device.devices_per_node;
    // Boards without links of their own reach each other through their host.
    match (device.link, device.network) {
        (Some(link), Some(network)) => Ok((link, network)),
        (Some(link), None) => Ok((link, link)),
        (None, Some(network)) => Ok((device.host_link.unwrap_or(network), network)),
        (None, None) if devices == 1 => Ok((f64::INFINITY, f64::INFINITY)),
        (None, None) if alone => {
            let host = device.host_link.ok_or("device.link")?;
            Ok((host, host))
        }
        (None, None) => Err("device.network"),
    }
}

/// Bytes per second between a device and where it offloads to: its link to the host, or, if less, its share of the disks
/// behind it. 0 where they are unknown and nothing is offloaded.
fn host(hardware: &Hardware, training: &Training) -> Result<f64, &'static str> {
    let device = &hardware.device;
    let optimizer = training.offload != Offload::None;
    let disks = training.offload_to == OffloadTo::Nvme;
    if optimizer || training.offload_activations {
        device.host_link.ok_or("device.host_link")?;
        if disks {
            device.disk_bandwidth.ok_or("device.disk_bandwidth")?;
        }
    }
    if optimizer {
        device.host_memory_bandwidth.ok_or("device.host_memory_bandwidth")?;
    }
    let link = device.host_link.unwrap_or(0.0);
    let share = device.disk_bandwidth.unwrap_or(0.0) / device.devices_per_node.max(1) as f64;
    Ok(if disks { link.min(share) } else { link })
}

fn peak_path(matmul: MatmulType) -> &'static str {
    match matmul {
        MatmulType::Fp32 => "device.peak.fp32",
        MatmulType::Tf32 => "device.peak.tf32",
        MatmulType::Fp16 => "device.peak.fp16",
        MatmulType::Bf16 => "device.peak.bf16",
        MatmulType::Fp8 => "device.peak.fp8",
        MatmulType::Fp4 => "device.peak.fp4",
    }
}

fn precision_path(precision: Precision) -> &'static str {
    match precision {
        Precision::Fp32 => "device.peak.fp32",
        Precision::Fp16 => "device.peak.fp16",
        Precision::Bf16 => "device.peak.bf16",
    }
}
