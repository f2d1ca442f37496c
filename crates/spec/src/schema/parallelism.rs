//! The `parallelism` block: how a model and its batches are divided over devices.

use super::blocks::{attribute, count, flag};
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::Noun;

/// The block and the block in it.
pub(super) const PARALLELISM: BlockSchema = BlockSchema {
    kind: "parallelism",
    doc: "How a model and its batches are divided: tensor × pipeline × context × data is the number of devices.",
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
                "Devices that share each matrix (Shoeybi 2019).",
            )
        },
        Attribute {
            aliases: &["sp", "sequence_parallelism"],
            quiet: true,
            ..flag(
                "sequence_parallel",
                Default::Value("true", "it costs no communication and saves memory (Korthikanti 2022)"),
                "Whether tensor parallelism divides by tokens what it does not divide by matrices: norms, residuals and \
                 what is kept of them.",
            )
        },
        Attribute {
            aliases: &["pp", "pipeline_parallel", "pipeline_model_parallel_size", "pipeline_parallel_size"],
            ..count(
                "pipeline",
                None,
                1,
                Default::Value("1", "no pipeline parallelism"),
                "Groups of layers, each on devices of its own.",
            )
        },
        Attribute {
            aliases: &["vp", "vpp", "virtual_pipeline", "virtual_pipeline_model_parallel_size", "num_chunks"],
            quiet: true,
            ..count(
                "interleave",
                None,
                1,
                Default::Value("1", "each device has layers that follow each other"),
                "Groups of layers on each device of a pipeline (Narayanan 2021 §2.2).",
            )
        },
        Attribute {
            aliases: &["pipeline_schedule", "pp_schedule"],
            quiet: true,
            ..attribute(
                "schedule",
                Type::Choice(&[
                    ("gpipe", "all forward passes, then all backward passes (Huang 2019)"),
                    (
                        "one_f_one_b",
                        "one forward, one backward; interleaved where `interleave` is above 1 (Narayanan 2021)",
                    ),
                    ("zb_h1", "backward passes in two halves, in the memory of 1f1b (Qi 2023)"),
                    ("zb_h2", "the same, with twice the memory and almost no bubble (Qi 2023)"),
                    ("zb_v", "two groups of layers on each device, in a V (Qi 2024)"),
                    ("dualpipe", "two copies of the model that run towards each other (DeepSeek-V3 §3.2.1)"),
                ]),
                Default::Value("one_f_one_b", "what frameworks run"),
                "The order of micro-batches in the pipeline.",
            )
        },
        Attribute {
            aliases: &["cp", "context_parallel", "context_parallel_size"],
            quiet: true,
            ..count(
                "context",
                None,
                1,
                Default::Value("1", "no context parallelism"),
                "Devices that share each sequence.",
            )
        },
        Attribute {
            aliases: &["cp_comm_type", "context_parallel_type"],
            quiet: true,
            ..attribute(
                "context_kind",
                Type::Choice(&[
                    ("ring", "keys and values go around while attention runs (Liu 2023)"),
                    ("all_gather", "all keys and values are gathered before attention (Llama 3 §3.3.2)"),
                    ("ulysses", "tokens are exchanged for heads, and back (Jacobs 2023)"),
                ]),
                Default::Value("ring", "the volume of heads and tokens is the least in most shapes"),
                "How the devices that share a sequence exchange keys and values.",
            )
        },
        Attribute {
            aliases: &["ep", "expert_parallel", "expert_model_parallel_size"],
            quiet: true,
            ..count(
                "expert",
                None,
                1,
                Default::Value("1", "each device has all experts of its layers"),
                "Devices that share the routed experts of a layer; taken from those of `data`, `context` and `tensor`.",
            )
        },
        Attribute {
            aliases: &["moe_token_dispatcher_type", "dispatcher", "token_dispatcher"],
            quiet: true,
            ..attribute(
                "expert_kind",
                Type::Choice(&[
                    ("all_to_all", "a copy for each expert, from device to device (Lepikhin 2020)"),
                    ("by_node", "one copy for each node, which is copied further there (DeepSeek-V3 §3.2.2)"),
                ]),
                Default::Value("all_to_all", "what communication libraries have"),
                "How tokens are sent to the experts of other devices.",
            )
        },
        Attribute {
            aliases: &["etp", "expert_tensor_parallel_size"],
            quiet: true,
            ..count(
                "expert_tensor",
                None,
                1,
                Default::Value("1", "an expert's matrices are whole"),
                "Devices that share each matrix of a routed expert.",
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
            ..count(
                "zero",
                None,
                0,
                Default::Value("0", "each replica has everything"),
                "What replicas divide among themselves: 1 optimizer states, 2 gradients too, 3 weights too (Rajbhandari 2020).",
            )
        },
        Attribute {
            aliases: &["hsdp", "shard_size", "fsdp_shard", "num_distributed_optimizer_instances"],
            ..count(
                "shard",
                Some(Noun::Devices),
                1,
                Default::Absent("all replicas of a weight divide it"),
                "Devices over which ZeRO divides; groups of so many have everything once (HSDP).",
            )
        },
        Attribute {
            aliases: &["forward_prefetch", "prefetch_layers"],
            quiet: true,
            ..count(
                "prefetch",
                None,
                0,
                Default::Value("1", "the next layer's weights are gathered while one runs"),
                "Layers whose weights are gathered ahead of the one that runs, under `zero = 3`.",
            )
        },
    ],
    blocks: &[BlockSchema {
        kind: "overlap",
        doc: "What of each communication can run beside computation. What finds no computation to hide behind is exposed \
              all the same.",
        naming: Naming::Never,
        presence: Presence::Always,
        attributes: &[
            share("tensor", "0%", "layers wait for it unless products are cut up", "Of tensor parallelism."),
            share("pipeline", "0%", "a stage waits for its input", "Of sending activations between stages."),
            share(
                "context",
                "100%",
                "blocks of keys arrive while others are multiplied",
                "Of context parallelism.",
            ),
            share("expert", "0%", "experts wait for their tokens", "Of sending tokens to experts and back."),
            share(
                "data",
                "100%",
                "gradients are reduced while others are computed",
                "Of data parallelism: reductions, and gathering weights.",
            ),
            share(
                "offload",
                "100%",
                "copies run beside computation",
                "Of transfers between devices and hosts.",
            ),
        ],
        blocks: &[],
        aliases: &["comm_overlap"],
    }],
    aliases: &["parallel", "distributed", "strategy"],
};

const fn share(name: &'static str, value: &'static str, why: &'static str, doc: &'static str) -> Attribute {
    Attribute {
        quiet: true,
        ..attribute(name, Type::Share { positive: false }, Default::Value(value, why), doc)
    }
}
