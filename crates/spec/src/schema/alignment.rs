//! The `alignment` block: what is done after pretraining, stage by stage.

use super::blocks::{attribute, count, flag};
use super::{Attribute, BlockSchema, Default, Naming, Presence, Type};
use crate::units::{Noun, Unit};

/// The block.
pub(super) const ALIGNMENT: BlockSchema = BlockSchema {
    kind: "alignment",
    doc: "What is done with the model after pretraining, in stages.",
    naming: Naming::Optional,
    presence: Presence::Always,
    attributes: &[],
    blocks: &[BlockSchema {
        kind: "stage",
        doc: "One stage. Its name is a segment of paths: `alignment.NAME.cost`.",
        naming: Naming::Required,
        presence: Presence::Always,
        attributes: STAGE,
        blocks: &[VERIFIER],
        aliases: &["step", "phase"],
    }],
    aliases: &["post_training", "rlhf", "finetuning", "rl"],
};

const KINDS: &[(&str, &str)] = &[
    ("sft", "supervised fine-tuning"),
    ("reward", "a model of preferences (Ouyang 2022)"),
    ("dpo", "direct preference optimization (Rafailov 2023)"),
    ("ppo", "proximal policy optimization, with a critic (Schulman 2017)"),
    ("grpo", "group-relative policy optimization (Shao 2024)"),
    ("rloo", "REINFORCE leave-one-out (Ahmadian 2024)"),
    ("best_of_n", "the best of several samples is kept and trained on"),
    ("distillation", "training on the outputs of a larger model"),
    ("synthetic", "data written by a model, kept where it is accepted"),
];

const STAGE: &[Attribute] = &[
    Attribute {
        aliases: &["algorithm", "method", "algo"],
        ..attribute("kind", Type::Choice(KINDS), Default::Required, "What is done.")
    },
    Attribute {
        aliases: &["examples", "pairs", "num_prompts"],
        ..count("prompts", None, 1, Default::Required, "Prompts, examples or pairs of one pass.")
    },
    Attribute {
        symbol: Some("G"),
        aliases: &["group_size", "num_generations", "n", "rollouts_per_prompt"],
        ..count(
            "samples",
            None,
            1,
            Default::ByWord(
                "kind",
                &[
                    (&["grpo", "rloo", "best_of_n"], "16", "samples for each question, as DeepSeek-R1 takes"),
                    (
                        &["sft", "reward", "dpo", "ppo", "distillation", "synthetic"],
                        "1",
                        "one answer for each prompt",
                    ),
                ],
            ),
            "Answers sampled for each prompt.",
        )
    },
    Attribute {
        aliases: &["prompt_length", "max_prompt_length", "prompt_len"],
        ..count(
            "prompt_tokens",
            Some(Noun::Tokens),
            1,
            Default::Value("256", "a question"),
            "Tokens of a prompt.",
        )
    },
    Attribute {
        aliases: &["response_length", "completion_length", "answer_tokens"],
        ..count(
            "response_tokens",
            Some(Noun::Tokens),
            1,
            Default::Required,
            "Tokens of an answer, on average.",
        )
    },
    Attribute {
        aliases: &["max_completion_length", "max_new_tokens", "max_response_length"],
        ..count(
            "max_response_tokens",
            Some(Noun::Tokens),
            1,
            Default::Absent("all answers are of the mean length: no stragglers"),
            "Tokens of the longest answer. A synchronous step waits for it.",
        )
    },
    Attribute {
        aliases: &["num_epochs", "passes", "num_train_epochs"],
        ..count("epochs", None, 1, Default::Value("1", "one pass"), "Passes over the prompts.")
    },
    Attribute {
        aliases: &["rollout_batch_size", "prompts_per_step"],
        ..count(
            "batch",
            None,
            1,
            Default::Value("512", "prompts whose samples are generated together"),
            "Prompts of one step; all of them where there are fewer.",
        )
    },
    Attribute {
        symbol: Some("μ"),
        aliases: &["num_iterations", "ppo_epochs", "update_epochs"],
        ..count(
            "updates",
            None,
            1,
            Default::Value("1", "each rollout is trained on once"),
            "Passes of training over one rollout.",
        )
    },
    Attribute {
        aliases: &["ref_model", "reference_model", "kl"],
        ..attribute(
            "reference",
            Type::Choice(&[
                ("loaded", "a frozen copy of the policy runs beside it"),
                ("cached", "its log-probabilities were computed once: for pairs that stay the same"),
                ("none", "there is none: no KL term"),
            ]),
            Default::ByWord(
                "kind",
                &[
                    (&["dpo", "ppo", "grpo", "rloo"], "loaded", "their losses have a term of it"),
                    (
                        &["sft", "reward", "best_of_n", "distillation", "synthetic"],
                        "none",
                        "their losses do not need one",
                    ),
                ],
            ),
            "Where log-probabilities under the reference come from.",
        )
    },
    attribute(
        "old_logprobs",
        Type::Choice(&[
            ("recomputed", "a forward pass of the trainer"),
            ("sampled", "those of the engine, or of the training pass itself with `updates = 1`"),
        ]),
        Default::Value("recomputed", "engines round differently from trainers"),
        "Where log-probabilities under the policy that sampled come from.",
    ),
    Attribute {
        aliases: &["reward_model", "reward_model_params", "rm_params"],
        ..count(
            "reward_params",
            Some(Noun::Params),
            1,
            Default::Absent("the policy's"),
            "Parameters of the reward model.",
        )
    },
    Attribute {
        aliases: &["critic", "value_model", "value_params"],
        ..count(
            "critic_params",
            Some(Noun::Params),
            1,
            Default::Absent("the policy's"),
            "Parameters of the critic.",
        )
    },
    Attribute {
        aliases: &["teacher", "teacher_model", "generator_params"],
        ..count(
            "teacher_params",
            Some(Noun::Params),
            1,
            Default::Absent("the policy's; distillation needs it"),
            "Parameters of the model that is learnt from.",
        )
    },
    attribute(
        "teacher_cache",
        Type::Amount(Unit::BYTES),
        Default::Absent("the policy's"),
        "What the teacher's KV cache holds of one token.",
    ),
    Attribute {
        aliases: &["top_logits", "logits_kept"],
        ..count(
            "cached_logits",
            None,
            1,
            Default::Absent("the teacher runs in each pass"),
            "The largest logits of each token that are kept of the teacher, so that it runs once.",
        )
    },
    Attribute {
        symbol: Some("p"),
        aliases: &["success_rate", "pass_at_1", "solve_rate"],
        ..attribute(
            "pass_rate",
            Type::Share { positive: false },
            Default::Absent("every group is taken to have a signal"),
            "Probability that one sample is right.",
        )
    },
    Attribute {
        aliases: &["acceptance", "keep_rate", "yield"],
        ..attribute(
            "accept",
            Type::Share { positive: true },
            Default::Absent("what passes at `pass_rate`, else all"),
            "Share that is kept: of samples, or of prompts for best_of_n.",
        )
    },
    Attribute {
        aliases: &["peft", "adapters"],
        ..flag(
            "lora",
            Default::Value("false", "all weights are trained"),
            "Whether only adapters are trained.",
        )
    },
    attribute(
        "pair_price",
        Type::Amount(Unit::MONEY),
        Default::Absent("pairs cost nothing"),
        "Price of one preference pair.",
    ),
    Attribute {
        aliases: &["num_devices"],
        ..count(
            "devices",
            Some(Noun::Devices),
            1,
            Default::Value("hardware.devices", "all of them"),
            "Devices of the hardware that it uses.",
        )
    },
    Attribute {
        aliases: &["colocate", "hybrid_engine"],
        ..flag(
            "colocated",
            Default::Value("true", "one pool of devices, as in HybridFlow (Sheng 2024)"),
            "Whether the same devices generate and train, in turns.",
        )
    },
    Attribute {
        aliases: &["sync", "blocking"],
        ..flag(
            "synchronous",
            Default::Value("true", "training is on-policy"),
            "Whether a step waits for its own rollouts; where not, the policy that samples lags behind.",
        )
    },
    Attribute {
        aliases: &["rollout_gpus", "generation_gpus", "inference_devices"],
        ..count(
            "generation_devices",
            Some(Noun::Devices),
            1,
            Default::Absent("what takes the least time"),
            "Devices that generate, where `colocated = false`; the others train.",
        )
    },
    Attribute {
        aliases: &["tensor_parallel", "rollout_tensor_parallel", "tensor_model_parallel_size"],
        ..attribute(
            "tensor",
            Type::CountOr(Some(Noun::Devices), "auto"),
            Default::Value("auto", "as few as the weights and some cache fit on"),
            "Devices of one replica that generates.",
        )
    },
    Attribute {
        aliases: &["prefix_caching", "enable_prefix_caching"],
        ..flag(
            "prefix_cache",
            Default::Value("true", "engines keep the cache of a prompt for all of its samples"),
            "Whether a prompt is read once for all of its samples.",
        )
    },
    Attribute {
        aliases: &["utilization"],
        ..attribute(
            "mfu",
            Type::Share { positive: true },
            Default::Value("35%", "below pretraining: sequences are short and of unequal lengths"),
            "Model FLOPs utilisation of its training; where it is not declared, `training.mfu` stands before the default.",
        )
    },
    attribute(
        "worth",
        Type::Factor(0.0),
        Default::Absent("nothing is said of what a token is worth"),
        "What a kept token is worth, in distinct tokens of the data.",
    ),
    attribute(
        "buy_price",
        Type::Amount(Unit::MONEY),
        Default::Absent("there is nothing to buy instead"),
        "Price of one token that could be bought instead: `$2 / 1M tokens`.",
    ),
];

const VERIFIER: BlockSchema = BlockSchema {
    kind: "verifier",
    doc: "What judges the samples.",
    naming: Naming::Never,
    presence: Presence::Always,
    attributes: &[
        attribute(
            "kind",
            Type::Choice(&[
                ("none", "a comparison with a known answer, which costs nothing"),
                ("code", "a program that runs: unit tests, a proof checker"),
                ("reward", "a reward model of `reward_params`"),
                ("judge", "a language model that is asked"),
                ("human", "a person"),
            ]),
            Default::Absent("a reward model for ppo, rloo and best_of_n, else none"),
            "What it is.",
        ),
        Attribute {
            aliases: &["timeout", "latency"],
            ..attribute(
                "seconds",
                Type::Amount(Unit::TIME),
                Default::Absent("code needs it; people are taken to keep up"),
                "Time of one check.",
            )
        },
        count(
            "cores",
            None,
            1,
            Default::Value("1", "a check runs on one core"),
            "Cores that one check takes.",
        ),
        Attribute {
            aliases: &["pool", "sandboxes"],
            ..count(
                "workers",
                None,
                1,
                Default::ByWord(
                    "kind",
                    &[(
                        &["code"],
                        "12 * hardware.devices / (1 device)",
                        "what hosts of 96 cores and 8 devices have",
                    )],
                ),
                "Cores, or people, that check at the same time.",
            )
        },
        attribute(
            "core_price",
            Type::Amount(Unit::MONEY_PER_TIME),
            Default::Value("$0.04 / h", "a virtual core of a general-purpose cloud instance"),
            "Price of one core for a time.",
        ),
        Attribute {
            aliases: &["judge_model"],
            ..count(
                "judge_params",
                Some(Noun::Params),
                1,
                Default::Absent("a judge needs it, or a `price`"),
                "Parameters of the model that judges on the stage's devices.",
            )
        },
        count(
            "judge_tokens",
            Some(Noun::Tokens),
            1,
            Default::Value("256", "a short reasoning and a verdict"),
            "Tokens that the judge writes for each sample.",
        ),
        Attribute {
            aliases: &["cost", "price_per_sample"],
            ..attribute(
                "price",
                Type::Amount(Unit::MONEY),
                Default::Absent("a person needs it"),
                "What is paid for one sample, to people or to a provider.",
            )
        },
    ],
    blocks: &[],
    aliases: &["grader", "reward_function"],
};
