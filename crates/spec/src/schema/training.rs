//! The `training` block: how the model is trained.

use super::blocks::{attribute, count};
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::Noun;

/// The block and the block in it.
pub(super) const TRAINING: BlockSchema = BlockSchema {
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
                    ("adam8bit", "two int8 values per parameter and fp32 scales per block (Dettmers 2021)"),
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
                Default::Absent("what `hardware.measured` gives, else time and cost are not reported"),
                "Model FLOPs utilisation: model FLOP/s achieved over the dense peak.",
            )
        },
        Attribute {
            aliases: &["activation_checkpointing", "gradient_checkpointing", "recompute", "remat"],
            quiet: true,
            ..attribute(
                "checkpointing",
                Type::Choice(&[
                    ("none", "everything the backward pass needs is kept"),
                    (
                        "selective",
                        "scores, softmax and weighted sum of attention are recomputed (Korthikanti 2022), and the states of recurrences",
                    ),
                    ("full", "each layer is recomputed from its input (Chen 2016)"),
                ]),
                Default::Value("none", "everything the backward pass needs is kept"),
                "Which activations the backward pass recomputes instead of keeping them.",
            )
        },
        Attribute {
            aliases: &["recompute_num_layers", "recompute_layers", "checkpoint_layers"],
            ..attribute(
                "checkpointing_layers",
                Type::Layers,
                Default::Absent("all layers"),
                "The layers that `checkpointing` holds for, where it is not `none`.",
            )
        },
        Attribute {
            aliases: &["cpu_offload", "offload_optimizer", "optimizer_offload", "zero_offload"],
            quiet: true,
            ..attribute(
                "offload",
                Type::Choice(&[
                    ("none", "everything is on the devices"),
                    (
                        "optimizer",
                        "optimizer states and master weights are in the host's memory and updated there (Ren 2021)",
                    ),
                ]),
                Default::Value("none", "everything is on the devices"),
                "What is kept in the host's memory.",
            )
        },
        Attribute {
            aliases: &["grad_scale", "init_scale", "initial_loss_scale"],
            quiet: true,
            ..count(
                "loss_scale",
                None,
                1,
                Default::ByWord(
                    "precision",
                    &[
                        (&["fp16"], "65_536", "2^16, where frameworks begin to adapt it"),
                        (&["fp32", "bf16"], "1", "small gradients keep their exponents"),
                    ],
                ),
                "The factor that the loss is multiplied by before the backward pass, so that small gradients survive in \
                 fp16 (Micikevicius 2018 §3.2). No number of the report depends on it; `llmplan validate` trains with it.",
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
};

/// Data types of weights and gradients.
pub(super) const PRECISIONS: &[(&str, &str)] = &[
    ("fp32", "4 bytes a value"),
    ("fp16", "2 bytes a value, 5 exponent bits; master weights in fp32"),
    ("bf16", "2 bytes a value, 8 exponent bits; master weights in fp32"),
];
