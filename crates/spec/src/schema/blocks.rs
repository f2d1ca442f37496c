//! The blocks and attributes of the language.

use super::device::DEVICE;
use super::model::MODEL;
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::{Noun, Unit};

/// The blocks that stand at the top level, in the order of the reference. `require`, `prefer`, `import` and `let` are
/// statements of their own.
pub static BLOCKS: &[BlockSchema] = &[
    MODEL,
    BlockSchema {
        kind: "data",
        doc: "What the run consumes and where it comes from.",
        naming: Naming::Optional,
        presence: Presence::Always,
        attributes: &[Attribute {
            symbol: Some("D"),
            aliases: &["train_tokens", "num_tokens", "total_tokens", "n_tokens"],
            ..count(
                "tokens",
                Some(Noun::Tokens),
                1,
                Default::Required,
                "Tokens that training consumes, repeats counted.",
            )
        }],
        blocks: &[BlockSchema {
            kind: "source",
            doc: "One source of tokens. Each attribute that is not in this table names a stage: `filter = keep 50%`, in order.",
            naming: Naming::Required,
            presence: Presence::Always,
            attributes: &[
                Attribute {
                    aliases: &["size", "tokens", "total"],
                    ..count("raw", Some(Noun::Tokens), 1, Default::Required, "Tokens before the first stage.")
                },
                Attribute {
                    aliases: &["ratio", "proportion", "share", "probability"],
                    ..attribute(
                        "weight",
                        Type::Share { positive: false },
                        Default::Required,
                        "Share of the run's tokens that come from it; the weights of all sources sum to 100%.",
                    )
                },
            ],
            blocks: &[],
            aliases: &["dataset", "corpus"],
        }],
        aliases: &["dataset", "corpus"],
    },
    DEVICE,
    BlockSchema {
        kind: "hardware",
        doc: "A cluster of one kind of device.",
        naming: Naming::Optional,
        presence: Presence::Always,
        attributes: &[
            Attribute {
                aliases: &["gpu", "accelerator", "gpu_type", "chip"],
                ..attribute("device", Type::Reference("device"), Default::Required, "The device, by name.")
            },
            Attribute {
                aliases: &["num_nodes", "hosts", "n_nodes"],
                ..count(
                    "nodes",
                    None,
                    1,
                    Default::Value(
                        "ceil(hardware.devices / device.devices_per_node)",
                        "enough for the devices",
                    ),
                    "Number of hosts.",
                )
            },
            Attribute {
                aliases: &["gpus", "num_gpus", "n_gpus", "world_size", "chips", "count"],
                ..count(
                    "devices",
                    Some(Noun::Devices),
                    1,
                    Default::Value("hardware.nodes * device.devices_per_node", "nodes × devices per node"),
                    "Number of devices.",
                )
            },
            Attribute {
                aliases: &["cost", "price_per_hour", "gpu_price", "cost_per_gpu_hour"],
                ..attribute(
                    "price",
                    Type::Amount(Unit::MONEY_PER_TIME),
                    Default::Absent("cost is not reported"),
                    "Price of one device for a time.",
                )
            },
            Attribute {
                aliases: &["as_of", "price_date"],
                ..attribute(
                    "price_as_of",
                    Type::Date,
                    Default::Absent("the age of the price is unknown"),
                    "The day on which the price was looked up.",
                )
            },
        ],
        blocks: &[],
        aliases: &["cluster", "compute", "gpus", "infrastructure"],
    },
    BlockSchema {
        kind: "training",
        doc: "How the model is trained.",
        naming: Naming::Optional,
        presence: Presence::Always,
        attributes: &[
            Attribute {
                aliases: &["dtype", "torch_dtype", "mixed_precision", "data_type"],
                ..attribute(
                    "precision",
                    Type::Choice(PRECISIONS),
                    Default::Value("bf16", "mixed precision as practised since 2020"),
                    "Data type of weights in the forward and backward pass.",
                )
            },
            Attribute {
                aliases: &[
                    "grad_dtype",
                    "gradient_precision",
                    "main_grads",
                    "main_gradients",
                    "grad_reduce_dtype",
                ],
                ..attribute(
                    "gradients",
                    Type::Choice(PRECISIONS),
                    Default::Value(
                        "training.precision",
                        "as the weights (Rajbhandari 2020 §3.1); Megatron-LM keeps fp32",
                    ),
                    "Data type in which gradients are kept.",
                )
            },
            Attribute {
                aliases: &["optim", "optimiser", "optimizer_type"],
                ..attribute(
                    "optimizer",
                    Type::Choice(&[
                        ("sgd", "no state"),
                        ("momentum", "one fp32 value per parameter"),
                        ("adam", "two fp32 values per parameter (Kingma 2015)"),
                        ("adamw", "as adam, with decoupled weight decay (Loshchilov 2019)"),
                        (
                            "adam8bit",
                            "two int8 values per parameter and fp32 scales per block (Dettmers 2021)",
                        ),
                    ]),
                    Default::Value("adamw", "the standard optimizer of language models"),
                    "The optimizer: decides what is kept for each parameter.",
                )
            },
            Attribute {
                aliases: &["blocksize", "block_size", "quantization_block"],
                ..count(
                    "optimizer_block",
                    None,
                    1,
                    Default::Value("256", "bitsandbytes; the paper has 2048 (Dettmers 2021 §2.1)"),
                    "Values that share one scale in `adam8bit`; other optimizers do not use it.",
                )
            },
            Attribute {
                symbol: Some("T"),
                aliases: &["seq_len", "sequence_length", "seq_length", "max_seq_len", "cutoff_len"],
                ..count(
                    "sequence",
                    Some(Noun::Tokens),
                    1,
                    Default::Absent("the model's `context`, else 2048 tokens"),
                    "Tokens in one training sequence.",
                )
            },
            Attribute {
                aliases: &["document", "document_length", "packing", "doc_len"],
                ..attribute(
                    "documents",
                    Type::Lengths,
                    Default::Absent("a sequence is one text"),
                    "Lengths of the documents packed into one sequence, where attention ends at its document: one \
                     length for all, or a list that sums to `sequence`.",
                )
            },
            Attribute {
                aliases: &["global_batch_size", "batch_size", "gbs", "train_batch_size", "batch"],
                ..attribute(
                    "global_batch",
                    Type::Batch,
                    Default::Absent("steps are not reported"),
                    "What one optimizer step consumes, over all devices.",
                )
            },
            Attribute {
                aliases: &["micro_batch_size", "mbs", "per_device_train_batch_size", "device_batch_size"],
                ..count(
                    "micro_batch",
                    Some(Noun::Sequences),
                    1,
                    Default::Absent("micro-batches per step are not reported"),
                    "Sequences that one model replica processes at a time.",
                )
            },
            Attribute {
                aliases: &["utilization", "efficiency", "model_flops_utilization"],
                ..attribute(
                    "mfu",
                    Type::Share { positive: true },
                    Default::Absent("time and cost are not reported"),
                    "Model FLOPs utilisation: model FLOP/s achieved over the dense peak.",
                )
            },
            Attribute {
                aliases: &["activation_checkpointing", "gradient_checkpointing", "recompute", "remat"],
                inert: Some("activation memory and recomputation are not computed in this version"),
                ..attribute(
                    "checkpointing",
                    Type::Choice(&[
                        ("none", "everything the backward pass needs is kept"),
                        ("selective", "attention is recomputed"),
                        ("full", "each layer is recomputed from its input"),
                    ]),
                    Default::Absent("nothing is computed from it"),
                    "Which activations are recomputed instead of kept.",
                )
            },
        ],
        blocks: &[BlockSchema {
            kind: "parallelism",
            doc: "Degrees of parallelism: tensor × pipeline × data is the number of devices.",
            naming: Naming::Never,
            presence: Presence::Always,
            attributes: &[
                Attribute {
                    aliases: &["tp", "tensor_parallel", "tensor_model_parallel_size", "tensor_parallel_size"],
                    ..count(
                        "tensor",
                        None,
                        1,
                        Default::Value("1", "no tensor parallelism"),
                        "Devices that share each matrix.",
                    )
                },
                Attribute {
                    aliases: &[
                        "pp",
                        "pipeline_parallel",
                        "pipeline_model_parallel_size",
                        "pipeline_parallel_size",
                    ],
                    ..count(
                        "pipeline",
                        None,
                        1,
                        Default::Value("1", "no pipeline parallelism"),
                        "Groups of layers, each on devices of its own.",
                    )
                },
                Attribute {
                    aliases: &["dp", "data_parallel", "data_parallel_size", "replicas"],
                    ..attribute(
                        "data",
                        Type::CountOr(None, "auto"),
                        Default::Value("auto", "the devices that are left"),
                        "Model replicas; `auto` is the devices that are left.",
                    )
                },
                Attribute {
                    aliases: &["zero_stage", "zero_optimization", "fsdp"],
                    inert: Some("memory is not divided over devices in this version"),
                    ..count(
                        "zero",
                        None,
                        0,
                        Default::Absent("nothing is computed from it"),
                        "ZeRO stage, 0 to 3 (Rajbhandari 2020).",
                    )
                },
            ],
            blocks: &[],
            aliases: &["parallel", "distributed", "strategy"],
        }],
        aliases: &["train", "trainer", "pretraining"],
    },
    BlockSchema {
        kind: "convention",
        doc: "What FLOPs, parameters and bytes are taken to mean. A multiply-add is always 2 FLOP.",
        naming: Naming::Never,
        presence: Presence::Always,
        attributes: &[
            attribute(
                "attention",
                Type::Choice(&[
                    ("full", "all T² scores (PaLM, nanoGPT, the 24Td² + 4T²d rule)"),
                    ("causal", "the T(T+1)/2 scores that a causal mask leaves (Megatron-LM since 2024)"),
                ]),
                Default::Value("full", "the rule 24Td² + 4T²d counts all scores"),
                "Which attention scores count as FLOPs.",
            ),
            attribute(
                "params",
                Type::Choice(&[
                    ("total", "all parameters (Hoffmann 2022)"),
                    ("non_embedding", "without embeddings, positions and output projection (Kaplan 2020)"),
                ]),
                Default::Value("total", "N of Hoffmann 2022"),
                "Which parameters N counts in 2N and 6ND.",
            ),
            attribute(
                "bytes",
                Type::Choice(&[
                    ("GB", "powers of ten: 1 GB is 10^9 bytes"),
                    ("GiB", "powers of two: 1 GiB is 2^30 bytes"),
                ]),
                Default::Value("GB", "what vendors' sheets use"),
                "How bytes are shown.",
            ),
        ],
        blocks: &[],
        aliases: &["conventions"],
    },
    BlockSchema {
        kind: "plan",
        doc: "Picks blocks and overrides single attributes by path: `training.parallelism.tensor = 8`.",
        naming: Naming::Required,
        presence: Presence::Always,
        attributes: &[
            reference("model", "The model, by name."),
            reference("data", "The data, by name."),
            reference("hardware", "The hardware, by name."),
            reference("training", "The training, by name."),
        ],
        blocks: &[],
        aliases: &["variant", "scenario", "experiment"],
    },
];

const PRECISIONS: &[(&str, &str)] = &[
    ("fp32", "4 bytes a value"),
    ("fp16", "2 bytes a value, 5 exponent bits; master weights in fp32"),
    ("bf16", "2 bytes a value, 8 exponent bits; master weights in fp32"),
];

pub(super) const fn attribute(
    name: &'static str,
    ty: Type,
    default: Default,
    doc: &'static str,
) -> Attribute {
    Attribute { name, ty, default, doc, symbol: None, aliases: &[], inert: None, quiet: false }
}

pub(super) const fn count(
    name: &'static str,
    noun: Option<Noun>,
    min: u64,
    default: Default,
    doc: &'static str,
) -> Attribute {
    attribute(name, Type::Count { noun, min }, default, doc)
}

pub(super) const fn flag(name: &'static str, default: Default, doc: &'static str) -> Attribute {
    attribute(name, Type::Flag, default, doc)
}

const fn reference(kind: &'static str, doc: &'static str) -> Attribute {
    attribute(kind, Type::Reference(kind), Default::Absent("the file's own, where it has just one"), doc)
}
