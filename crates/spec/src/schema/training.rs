//! The `training` block: how the model is trained.

use super::blocks::{attribute, count, flag};
use super::parallelism::PARALLELISM;
use super::recipe;
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::{Noun, Unit};

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
            aliases: &["compute", "matmul_precision", "fp8", "compute_dtype"],
            quiet: true,
            ..attribute(
                "matmul",
                Type::Choice(&[
                    ("fp32", "on the ordinary units"),
                    ("tf32", "fp32 values multiplied at 19 bits"),
                    ("fp16", "with fp32 accumulation"),
                    ("bf16", "with fp32 accumulation"),
                    ("fp8", "a byte a value; norms, softmax, attention and the output stay as `precision`"),
                    ("fp4", "half a byte a value, with scales of small blocks"),
                ]),
                Default::Value("training.precision", "as the weights"),
                "Data type of the linear layers' products.",
            )
        },
        Attribute {
            aliases: &["grad_dtype", "gradient_precision", "grad_reduce_dtype"],
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
            aliases: &[
                "gradient_accumulation_fp32",
                "main_grad",
                "main_grads",
                "accumulate_allreduce_grads_in_fp32",
            ],
            quiet: true,
            ..attribute(
                "main_gradients",
                Type::Choice(&[
                    ("none", "the optimizer reads the gradients themselves"),
                    ("sharded", "divided as the optimizer's states are (DeepSpeed)"),
                    ("whole", "whole on each device (DeepSpeed's bf16 optimizer, BLOOM)"),
                ]),
                Default::Value("none", "the optimizer reads the gradients themselves"),
                "A further copy of the gradients, in fp32.",
            )
        },
        Attribute {
            aliases: &["optim", "optimiser", "optimizer_type"],
            ..attribute(
                "optimizer",
                Type::Choice(&[
                    ("sgd", "no state"),
                    ("momentum", "one value per parameter"),
                    ("adam", "two values per parameter (Kingma 2015)"),
                    ("adamw", "as adam, with decoupled weight decay (Loshchilov 2019)"),
                    ("adam8bit", "two int8 values per parameter and fp32 scales per block (Dettmers 2021)"),
                    ("adafactor", "a value for each row and column of a matrix (Shazeer 2018)"),
                    ("lion", "one value per parameter (Chen 2023)"),
                    ("muon", "one value per parameter of layers' matrices, two of all others (Jordan 2024)"),
                    (
                        "shampoo",
                        "statistics of rows and columns, their inverse roots, and a momentum (Gupta 2018)",
                    ),
                    ("soap", "Adam in the basis of such statistics (Vyas 2024)"),
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
            aliases: &["optimizer_dtype", "moment_dtype", "exp_avg_dtype", "optimizer_precision"],
            quiet: true,
            ..attribute(
                "optimizer_states",
                Type::Choice(&[("fp32", "4 bytes a value"), ("bf16", "2 bytes a value (DeepSeek-V3 §3.3)")]),
                Default::Value("fp32", "what optimizers keep"),
                "Data type of the optimizer's states; `adam8bit` does not use it.",
            )
        },
        Attribute {
            aliases: &["main_params", "master_params", "master_weight"],
            quiet: true,
            ..attribute(
                "master_weights",
                Type::Choice(&[
                    ("fp32", "a copy that the optimizer updates (Micikevicius 2018)"),
                    ("none", "no copy"),
                ]),
                Default::ByWord(
                    "precision",
                    &[
                        (&["fp16", "bf16"], "fp32", "small updates vanish in 16 bits"),
                        (&["fp32"], "none", "the weights are in fp32 themselves"),
                    ],
                ),
                "Whether a copy of the weights in fp32 is kept.",
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
                Default::Absent("what `hardware.measured` gives, else what is modelled"),
                "Model FLOPs utilisation: model FLOP/s achieved over the dense peak of the products' data type.",
            )
        },
        Attribute {
            aliases: &["attention_kernel", "flash_attention", "attn_implementation", "attention_backend"],
            quiet: true,
            ..attribute(
                "attention",
                Type::Choice(&[
                    ("flash", "in tiles on the chip: nothing of T² is kept (Dao 2022)"),
                    ("plain", "scores, softmax and weighted sum one after another, each in memory"),
                ]),
                Default::Value("flash", "what frameworks choose"),
                "How attention is computed.",
            )
        },
        Attribute {
            aliases: &["fusion", "kernel_fusion", "fused_kernels"],
            quiet: true,
            ..attribute(
                "pointwise",
                Type::Choice(&[
                    ("fused", "those that follow each other are one kernel"),
                    ("unfused", "each is a kernel of its own, and keeps what its backward pass reads"),
                ]),
                Default::Value("fused", "what frameworks choose"),
                "Whether pointwise operators run together.",
            )
        },
        Attribute {
            aliases: &["activation_func_fp8_input_store", "fp8_activations"],
            quiet: true,
            ..attribute(
                "activation_inputs",
                Type::Choice(&[("same", "as they are computed"), ("fp8", "in a byte (DeepSeek-V3 §3.3.3)")]),
                Default::Value("same", "as they are computed"),
                "Data type in which the inputs of the feed-forward network's non-linearity are kept.",
            )
        },
        Attribute {
            aliases: &["hidden_dropout", "attention_dropout", "dropout_rate"],
            quiet: true,
            ..attribute(
                "dropout",
                Type::Share { positive: false },
                Default::Value("0%", "models of this size are trained without"),
                "Probability that a value is dropped, behind attention's softmax and both halves of a layer; masks are kept.",
            )
        },
        Attribute {
            aliases: &["cross_entropy", "loss_kernel", "fused_cross_entropy", "cut_cross_entropy"],
            quiet: true,
            ..attribute(
                "logits",
                Type::Choice(&[
                    ("kept", "logits as computed, a copy in fp32, and its gradient"),
                    ("fused", "the softmax and its gradient replace the logits"),
                    ("chunked", "a part of the tokens at a time: all logits are never there"),
                ]),
                Default::Value("fused", "what frameworks choose"),
                "How logits and loss are computed.",
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
                    ("modules", "the parts that `recompute` names"),
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
                    (
                        "parameters",
                        "these and the weights, which are fetched a layer at a time (Rajbhandari 2021)",
                    ),
                ]),
                Default::Value("none", "everything is on the devices"),
                "What is kept in the host's memory.",
            )
        },
        Attribute {
            aliases: &["cpu_activation_offload", "activation_offload", "offload_checkpoints"],
            quiet: true,
            ..flag(
                "offload_activations",
                Default::Value("false", "activations stay on the devices"),
                "Whether what is kept of recomputed layers is in the host's memory.",
            )
        },
        Attribute {
            aliases: &["offload_device", "offload_target"],
            quiet: true,
            ..attribute(
                "offload_to",
                Type::Choice(&[("host", "the host's memory"), ("nvme", "the host's disks")]),
                Default::Value("host", "the host's memory"),
                "Where offloaded things are.",
            )
        },
        Attribute {
            aliases: &["dataloader", "data_loading", "loader_throughput"],
            ..attribute(
                "loading",
                Type::Amount(Unit::TOKENS_PER_SECOND),
                Default::Absent("data never keeps the devices waiting"),
                "What the data pipeline delivers to all devices together.",
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
        recipe::LEARNING_RATE,
        recipe::SCHEDULE,
        recipe::WARMUP,
        recipe::COOLDOWN,
        recipe::Z_LOSS,
        recipe::RECIPE_YEAR,
        recipe::RECIPE_BASE,
        recipe::RECIPE_DOUBLING,
    ],
    blocks: &[RECOMPUTE, LORA, PARALLELISM, recipe::DISTILLATION, recipe::SWEEP],
    aliases: &["train", "trainer", "pretraining"],
};

/// Data types of weights and gradients.
pub(super) const PRECISIONS: &[(&str, &str)] = &[
    ("fp32", "4 bytes a value"),
    ("fp16", "2 bytes a value, 5 exponent bits; master weights in fp32"),
    ("bf16", "2 bytes a value, 8 exponent bits; master weights in fp32"),
];

const RECOMPUTE: BlockSchema = BlockSchema {
    kind: "recompute",
    doc: "The parts of a layer that the backward pass recomputes, with `checkpointing = modules`.",
    naming: Naming::Never,
    presence: Presence::Always,
    attributes: &[
        part("attention", "Scores, softmax and weighted sum."),
        part(
            "latents",
            "Up-projections of latents, and what makes queries and keys of them (DeepSeek-V3 §3.2.3).",
        ),
        part("norm", "Norms."),
        part("activation", "The non-linearity of the feed-forward network, with its gate."),
        part("ffn", "The whole feed-forward network."),
        part("experts", "The routed experts."),
    ],
    blocks: &[],
    aliases: &["recompute_modules"],
};

const fn part(name: &'static str, doc: &'static str) -> Attribute {
    Attribute { quiet: true, ..flag(name, Default::Value("false", "it is kept"), doc) }
}

const LORA: BlockSchema = BlockSchema {
    kind: "lora",
    doc: "Adapters of low rank beside frozen weights: only they have gradients and optimizer states (Hu 2021).",
    naming: Naming::Never,
    presence: Presence::Declared,
    attributes: &[
        Attribute {
            aliases: &["r", "lora_r", "lora_rank"],
            ..count("rank", None, 1, Default::Required, "Rank of each adapter.")
        },
        Attribute {
            aliases: &["target_modules", "modules"],
            ..attribute(
                "targets",
                Type::Choice(&[
                    ("qv", "the projections of queries and values (Hu 2021)"),
                    ("attention", "all projections of attention"),
                    ("all", "all projections of attention and the feed-forward network (Dettmers 2023)"),
                ]),
                Default::Value("all", "as QLoRA found best (Dettmers 2023 §4)"),
                "The matrices that have adapters.",
            )
        },
        Attribute {
            aliases: &["quantization", "load_in", "bnb"],
            ..attribute(
                "base",
                Type::Choice(&[
                    ("same", "as `training.precision`"),
                    ("int8", "one byte a weight"),
                    ("nf4", "4.127 bits a weight, scales included (Dettmers 2023 §3)"),
                ]),
                Default::Value("same", "as training computes"),
                "How frozen weights are stored.",
            )
        },
    ],
    blocks: &[],
    aliases: &["peft", "adapter", "qlora"],
};
