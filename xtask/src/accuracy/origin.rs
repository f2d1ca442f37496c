//! Whose run a row is: the framework decides what a row leaves unsaid. Each default is that of the framework's own code or
//! papers at the time of the run, never of a single row.

use super::rows::Row;

/// The code that a run was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framework {
    /// Megatron-LM until 2022: fused softmax but no flash attention, nothing overlapped.
    MegatronEarly,
    /// Megatron-DeepSpeed: the same kernels over DeepSpeed's optimizer.
    MegatronDeepSpeed,
    /// Large runs of 2020 to 2022 whose code is not named: kernels of that time, ZeRO.
    Early,
    /// DeepSpeed ZeRO-3 without model parallelism.
    DeepSpeed,
    /// Megatron-LM since 2023: flash attention, distributed optimizer, data and tensor parallelism overlapped.
    Megatron,
    /// NeMo and Megatron-Bridge: the same with their performance recipes.
    Nemo,
    /// PyTorch FSDP under LLM Foundry.
    Foundry,
    /// PyTorch FSDP2 under torchtitan.
    Torchtitan,
    /// LitGPT: LoRA in pure bf16.
    Litgpt,
    /// JAX on TPUs: MaxText, Levanter.
    Jax,
    /// The ZeRO paper's accounting, or an estimate by the same rules.
    Zero,
    /// None of these.
    Other,
}

/// The framework of a row, from the words of its source and group.
pub(crate) fn framework(row: &Row) -> Framework {
    let words: String = ["group", "source", "parallelism", "notes", "optimizer"]
        .iter()
        .map(|field| row.lower(field))
        .collect::<Vec<_>>()
        .join(" ");
    let model = row.lower("model");
    let has = |word: &str| words.contains(word);
    if has("llm-foundry") {
        Framework::Foundry
    } else if has("torchtitan") {
        Framework::Torchtitan
    } else if has("litgpt") {
        Framework::Litgpt
    } else if has("maxtext") || has("levanter") || row.lower("gpu").contains("tpu") {
        Framework::Jax
    } else if has("zero paper") && row.has("kind") {
        Framework::Zero
    } else if has("megatron-deepspeed") || has("bigscience") || has("mt-nlg") || has("gpt-neox") {
        Framework::MegatronDeepSpeed
    } else if has("nemo") {
        Framework::Nemo
    } else if has("deepspeed") {
        Framework::DeepSpeed
    } else if has("2104.04473")
        || has("2205.05198")
        || has("sc21")
        || has("korthikanti")
        || early_gpt3(row, &words)
    {
        Framework::MegatronEarly
    } else if has("megatron") || has("simumax") || has("calculon") {
        Framework::Megatron
    } else if ["gpt-neox", "bloom", "mt-nlg"].iter().any(|name| model.contains(name)) {
        Framework::MegatronDeepSpeed
    } else if row.lower("gpu").contains("v100")
        || ["opt-", "gopher", "gpt-3", "gpt3", "glm-130b", "bloomberg"]
            .iter()
            .any(|name| model.starts_with(name))
    {
        Framework::Early
    } else {
        Framework::Other
    }
}

/// Megatron-LM's GPT-3 on A100s: the run of its README, of 2021.
fn early_gpt3(row: &Row, words: &str) -> bool {
    let model = row.lower("model");
    words.contains("megatron")
        && (model.contains("gpt-3") || model.contains("gpt3"))
        && row.lower("gpu").contains("a100")
}

impl Framework {
    /// Whether attention's scores go through memory: until flash attention was adopted.
    pub(crate) fn plain_attention(self) -> bool {
        matches!(
            self,
            Framework::MegatronEarly | Framework::MegatronDeepSpeed | Framework::DeepSpeed | Framework::Early
        )
    }

    /// Whether models were trained with 10 % dropout, as GPT-3's code of that time does by default.
    pub(crate) fn dropout(self) -> bool {
        self.plain_attention()
    }

    /// Whether communication waits for computation: gradients are reduced behind the last backward pass.
    pub(crate) fn overlaps_nothing(self) -> bool {
        matches!(self, Framework::MegatronEarly | Framework::MegatronDeepSpeed)
    }

    /// Whether tensor parallelism divides norms only where a row says so.
    pub(crate) fn sequence_parallel_when_said(self) -> bool {
        matches!(self, Framework::MegatronEarly | Framework::MegatronDeepSpeed)
    }

    /// The ZeRO stage where a row names none.
    pub(crate) fn zero(self) -> u64 {
        match self {
            Framework::MegatronEarly | Framework::MegatronDeepSpeed | Framework::Zero => 0,
            Framework::Megatron | Framework::Nemo => 1,
            _ => 3,
        }
    }

    /// The checkpointing to try where a row names none: the first that fits holds.
    pub(crate) fn checkpointing(self) -> &'static [Checkpointing] {
        match self {
            Framework::MegatronEarly
            | Framework::MegatronDeepSpeed
            | Framework::DeepSpeed
            | Framework::Early
            | Framework::Jax => &[Checkpointing::Full],
            Framework::Megatron | Framework::Nemo => {
                &[Checkpointing::None, Checkpointing::Pointwise, Checkpointing::Experts, Checkpointing::Full]
            }
            _ => &[Checkpointing::None, Checkpointing::Full],
        }
    }
}

/// What is recomputed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checkpointing {
    /// Nothing.
    None,
    /// Attention's scores.
    Selective,
    /// Norms and activations: Megatron's output-discarding checkpoints.
    Pointwise,
    /// These, attention's scores and the routed experts: what Megatron-Bridge's recipes recompute of the largest models.
    Experts,
    /// Every second layer: what torchtitan's selective checkpointing, which keeps every second product, comes to.
    EverySecond,
    /// Every layer.
    Full,
}

/// The checkpointing that a row states, in its framework's words.
pub(crate) fn stated_checkpointing(row: &Row, framework: Framework) -> Option<Checkpointing> {
    let words = row.lower("recompute");
    if words.is_empty() {
        return None;
    }
    Some(if words.starts_with("none") || words.starts_with("no ") || words == "no" {
        Checkpointing::None
    } else if words.contains("selective") && framework == Framework::Torchtitan {
        Checkpointing::EverySecond
    } else if words.contains("selective") {
        Checkpointing::Selective
    } else {
        Checkpointing::Full
    })
}
