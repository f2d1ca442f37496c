//! The `device` block: what one accelerator, or the processor of a host, can do.

use super::blocks::{attribute, count};
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::{Noun, Unit};

const TYPES: &str = "no plan of this version trains in this data type";

/// The block and the block in it.
pub(super) const DEVICE: BlockSchema = BlockSchema {
    kind: "device",
    doc: "One accelerator, or the processor of a host. The catalog declares those that are published: `llmplan catalog`.",
    naming: Naming::Required,
    presence: Presence::Always,
    attributes: &[
        Attribute {
            aliases: &["type", "class", "category"],
            inert: Some("both are planned alike"),
            ..attribute(
                "kind",
                Type::Choice(&[
                    ("accelerator", "a GPU, a TPU or the like"),
                    ("host", "the processor that accelerators are attached to"),
                ]),
                Default::Value("accelerator", "most devices are"),
                "What it is.",
            )
        },
        Attribute {
            aliases: &["hbm", "vram", "mem", "memory_size"],
            ..attribute(
                "memory",
                Type::Amount(Unit::BYTES),
                Default::Absent("nothing is compared with it"),
                "Device memory as sold.",
            )
        },
        Attribute {
            aliases: &["bandwidth", "mem_bw", "hbm_bandwidth", "memory_bw"],
            ..amount("memory_bandwidth", Unit::BYTES_PER_SECOND, "Bandwidth of device memory.")
        },
        Attribute {
            aliases: &["gpus_per_node", "devices_per_host"],
            ..count(
                "devices_per_node",
                Some(Noun::Devices),
                1,
                Default::Value("8", "what vendors build"),
                "Devices in one node: one host, or a rack whose devices share fast links as if it were one.",
            )
        },
        Attribute {
            aliases: &["nvlink", "interconnect", "xgmi", "ici", "neuronlink", "intra_node_bandwidth"],
            ..amount(
                "link",
                Unit::BYTES_PER_SECOND,
                "Bandwidth from one device to the others of its node, all links together, in one direction. Sheets often \
                 add up both: NVLink's 900 GB/s of an H100 are 450 GB/s here.",
            )
        },
        Attribute {
            aliases: &["nic", "infiniband", "ib", "rdma", "ethernet", "efa", "inter_node_bandwidth"],
            ..amount(
                "network",
                Unit::BYTES_PER_SECOND,
                "Bandwidth from one device out of its node, in one direction: its share of the node's adapters. A 400 Gb/s \
                 adapter for each device is 50 GB/s.",
            )
        },
        Attribute {
            aliases: &["pcie", "pci", "c2c", "pcie_bandwidth", "nvlink_c2c"],
            ..amount(
                "host_link",
                Unit::BYTES_PER_SECOND,
                "Bandwidth between one device and its host, in one direction: PCIe or the like.",
            )
        },
        Attribute {
            aliases: &["cpu_memory", "ram", "dram", "system_memory", "host_ram"],
            ..amount("host_memory", Unit::BYTES, "Memory of the host, for the whole node.")
        },
        Attribute {
            aliases: &["cpu_memory_bandwidth", "ram_bandwidth", "dram_bandwidth"],
            ..amount(
                "host_memory_bandwidth",
                Unit::BYTES_PER_SECOND,
                "Bandwidth of the host's memory, for the whole node.",
            )
        },
        Attribute {
            aliases: &["nvme", "nvme_bandwidth", "ssd_bandwidth"],
            ..amount(
                "disk_bandwidth",
                Unit::BYTES_PER_SECOND,
                "Bandwidth of the host's disks, for the whole node, in one direction: what `offload_to = nvme` goes through.",
            )
        },
        Attribute {
            aliases: &["tdp", "tdp_w", "watts"],
            ..amount("power", Unit::POWER, "Thermal design power of one device.")
        },
        Attribute {
            aliases: &["min_price", "price_min"],
            ..amount("price_low", Unit::MONEY_PER_TIME, "Lowest list price of one device for a time.")
        },
        Attribute {
            aliases: &["max_price", "price_max"],
            ..amount(
                "price_high",
                Unit::MONEY_PER_TIME,
                "Highest list price of one device for a time, at least `price_low`.",
            )
        },
        Attribute {
            aliases: &["as_of", "price_date"],
            quiet: true,
            ..attribute(
                "price_as_of",
                Type::Date,
                Default::Absent("the age of the prices is unknown"),
                "The day, or the first day of the month, that the list prices are of.",
            )
        },
        Attribute {
            aliases: &["architecture", "microarchitecture"],
            ..attribute(
                "generation",
                Type::Reference("generation"),
                Default::Value("generic", "no constants are fitted for it"),
                "What it reaches of its figures: the `generation` block that holds for it.",
            )
        },
        attribute("source", Type::Text, Default::Absent("no source is named"), "Where the figures are from."),
    ],
    blocks: &[BlockSchema {
        kind: "peak",
        doc: "Dense peak of matrix products by data type; without sparsity.",
        naming: Naming::Never,
        presence: Presence::Always,
        attributes: &[
            peak("fp32", "Peak in fp32 on the ordinary units, not TF32."),
            peak("tf32", "Peak in TF32: fp32 values multiplied at 19 bits, with fp32 accumulation."),
            Attribute {
                aliases: &["float16", "half"],
                ..peak("fp16", "Peak in fp16 with fp32 accumulation.")
            },
            Attribute { aliases: &["bfloat16"], ..peak("bf16", "Peak in bf16 with fp32 accumulation.") },
            Attribute {
                aliases: &["float8", "e4m3", "e5m2"],
                ..peak("fp8", "Peak in fp8, either split of its bits.")
            },
            Attribute { aliases: &["float4", "nvfp4", "mxfp4", "e2m1"], ..peak("fp4", "Peak in fp4.") },
            Attribute {
                inert: Some(TYPES),
                aliases: &["tops", "int8_tops"],
                ..peak("int8", "Peak in int8 with int32 accumulation; an operation counts as one FLOP.")
            },
        ],
        blocks: &[],
        aliases: &["flops", "dense_flops", "tflops"],
    }],
    aliases: &["gpu", "accelerator", "chip", "tpu"],
};

const fn amount(name: &'static str, unit: Unit, doc: &'static str) -> Attribute {
    attribute(name, Type::Amount(unit), Default::Absent("the figure is unknown"), doc)
}

const fn peak(name: &'static str, doc: &'static str) -> Attribute {
    attribute(
        name,
        Type::Amount(Unit::FLOP_PER_SECOND),
        Default::Absent("the device cannot train in this data type"),
        doc,
    )
}
