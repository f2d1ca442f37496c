//! Published figures, through the language: a plan's text in, the number out.

use llmplan_analysis::report::{Report, Value};
use llmplan_tests::reports;

/// What biases a model has.
#[derive(Clone, Copy, PartialEq)]
enum Bias {
    None,
    /// Q, K and V only.
    Qkv,
    /// Attention's output and the feed-forward network, not Q, K and V.
    OutputAndFfn,
    All,
}

/// A published model: its shape as its configuration states it, and its parameters as counted from its code.
struct Published {
    name: &'static str,
    /// layers, d_model, heads, kv_heads, head_dim, d_ff, vocab
    shape: [u64; 7],
    ffn: &'static str,
    norm: &'static str,
    /// Rows of the table of learned positions; 0 where there is none.
    positions: u64,
    biases: Bias,
    tied: bool,
    params: u128,
    /// Where the shape is from; where the total was printed, if it was.
    source: &'static str,
}

impl Published {
    fn text(&self) -> String {
        let [layers, d_model, heads, kv_heads, head_dim, d_ff, vocab] = self.shape;
        let position = if self.positions > 0 { "learned" } else { "rope" };
        let context =
            if self.positions > 0 { format!("  context = {}\n", self.positions) } else { String::new() };
        let qkv = matches!(self.biases, Bias::Qkv | Bias::All);
        let other = matches!(self.biases, Bias::OutputAndFfn | Bias::All);
        format!(
            "model {} {{\n  layers = {layers}\n  d_model = {d_model}\n  vocab = {vocab}\n{context}  tied_embeddings = {}\n\
             \n  attention {{\n    heads = {heads}\n    kv_heads = {kv_heads}\n    head_dim = {head_dim}\n    position = {position}\n    \
             qkv_bias = {qkv}\n    output_bias = {other}\n  }}\n  ffn {{\n    kind = {}\n    d_ff = {d_ff}\n    bias = {other}\n  }}\n  \
             norm {{\n    kind = {}\n  }}\n}}\n",
            self.name, self.tied, self.ffn, self.norm
        )
    }
}

const LITGPT: &str = "Lightning-AI/litgpt at 2685705, litgpt/config.py";

/// Totals are unique parameters of the model built by `transformers` 5.23.0, tied weights counted once.
const MODELS: &[Published] = &[
    Published {
        name: "gpt2",
        shape: [12, 768, 12, 12, 64, 3_072, 50_257],
        ffn: "gelu",
        norm: "layernorm",
        positions: 1_024,
        biases: Bias::All,
        tied: true,
        params: 124_439_808,
        source: "karpathy/nanoGPT model.py; total in mosaicml/llm-foundry scripts/inference/README.md",
    },
    Published {
        name: "gpt2-medium",
        shape: [24, 1_024, 16, 16, 64, 4_096, 50_257],
        ffn: "gelu",
        norm: "layernorm",
        positions: 1_024,
        biases: Bias::All,
        tied: true,
        params: 354_823_168,
        source: "karpathy/nanoGPT model.py",
    },
    Published {
        name: "gpt2-xl",
        shape: [48, 1_600, 25, 25, 64, 6_400, 50_257],
        ffn: "gelu",
        norm: "layernorm",
        positions: 1_024,
        biases: Bias::All,
        tied: true,
        params: 1_557_611_200,
        source: "karpathy/nanoGPT model.py",
    },
    Published {
        name: "gpt3-175b",
        shape: [96, 12_288, 96, 96, 128, 49_152, 50_257],
        ffn: "gelu",
        norm: "layernorm",
        positions: 2_048,
        biases: Bias::All,
        tied: true,
        params: 174_604_259_328,
        source: "Brown 2020, arXiv:2005.14165, Table 2.1, printed as 175.0B",
    },
    Published {
        name: "opt-125m",
        // OPT's table of positions has two rows more than its 2,048 tokens of context.
        shape: [12, 768, 12, 12, 64, 3_072, 50_272],
        ffn: "relu",
        norm: "layernorm",
        positions: 2_050,
        biases: Bias::All,
        tied: true,
        params: 125_239_296,
        source: "Zhang 2022, arXiv:2205.01068, Table 1; transformers OPTConfig",
    },
    Published {
        name: "gpt-neo-125m",
        shape: [12, 768, 12, 12, 64, 3_072, 50_257],
        ffn: "gelu",
        norm: "layernorm",
        positions: 2_048,
        biases: Bias::OutputAndFfn,
        tied: true,
        params: 125_198_592,
        source: "transformers GPTNeoConfig",
    },
    Published {
        name: "llm-foundry-7b",
        shape: [32, 4_096, 32, 32, 128, 16_384, 50_368],
        ffn: "gelu",
        norm: "layernorm",
        positions: 2_048,
        biases: Bias::All,
        tied: true,
        params: 6_658_859_008,
        source: "mosaicml/llm-foundry at 8c8dd48, scripts/train/benchmarking/README.md, column NumParams",
    },
    Published {
        name: "llm-foundry-70b",
        shape: [80, 8_192, 64, 64, 128, 32_768, 50_368],
        ffn: "gelu",
        norm: "layernorm",
        positions: 2_048,
        biases: Bias::All,
        tied: true,
        params: 64_862_437_376,
        source: "mosaicml/llm-foundry at 8c8dd48, scripts/train/benchmarking/README.md, column NumParams",
    },
    Published {
        name: "starcoder",
        shape: [40, 6_144, 48, 1, 128, 24_576, 49_152],
        ffn: "gelu",
        norm: "layernorm",
        positions: 8_192,
        biases: Bias::All,
        tied: true,
        params: 15_517_456_384,
        source: "transformers GPTBigCodeConfig: multi-query attention",
    },
    llama("llama-2-7b", [32, 4_096, 32, 32, 128, 11_008, 32_000], false, 6_738_415_616),
    llama("llama-2-13b", [40, 5_120, 40, 40, 128, 13_824, 32_000], false, 13_015_864_320),
    llama("llama-2-70b", [80, 8_192, 64, 8, 128, 28_672, 32_000], false, 68_976_648_192),
    llama("llama-3-8b", [32, 4_096, 32, 8, 128, 14_336, 128_256], false, 8_030_261_248),
    llama("llama-3.1-70b", [80, 8_192, 64, 8, 128, 28_672, 128_256], false, 70_553_706_496),
    llama("llama-3.2-1b", [16, 2_048, 32, 8, 64, 8_192, 128_256], true, 1_235_814_400),
    llama("mistral-7b-v0.1", [32, 4_096, 32, 8, 128, 14_336, 32_000], false, 7_241_732_096),
    llama("smollm2-135m", [30, 576, 9, 3, 64, 1_536, 49_152], true, 134_515_008),
    Published {
        biases: Bias::Qkv,
        ..llama("qwen2.5-0.5b", [24, 896, 14, 2, 64, 4_864, 151_936], true, 494_032_768)
    },
    Published {
        biases: Bias::Qkv,
        ..llama("qwen2.5-7b", [28, 3_584, 28, 4, 128, 18_944, 152_064], false, 7_615_616_512)
    },
    // A head is wider than d_model / heads, and the gate is GELU's.
    Published {
        ffn: "geglu",
        ..llama("gemma-2b", [18, 2_048, 8, 1, 256, 16_384, 256_000], true, 2_506_172_416)
    },
    // LayerNorm without weights.
    Published {
        norm: "none",
        ..llama("olmo-1b", [16, 2_048, 16, 16, 128, 8_192, 50_304], true, 1_176_764_416)
    },
    Published {
        norm: "layernorm",
        ..llama("stablelm-3b", [32, 2_560, 32, 32, 80, 6_912, 50_304], false, 2_795_443_200)
    },
];

/// SwiGLU, RMSNorm, rotary positions, no biases (Touvron 2023).
const fn llama(name: &'static str, shape: [u64; 7], tied: bool, params: u128) -> Published {
    Published {
        name,
        shape,
        ffn: "swiglu",
        norm: "rmsnorm",
        positions: 0,
        biases: Bias::None,
        tied,
        params,
        source: LITGPT,
    }
}

#[test]
fn published_models_have_their_parameters_exactly() {
    for model in MODELS {
        let report = only_report(&model.text());
        assert_eq!(count(&report, "model.params"), model.params, "{} ({})", model.name, model.source);
        let parts = ["embedding", "position", "attention", "ffn", "norm", "output"];
        let sum: u128 = parts.iter().filter_map(|part| whole(&report, &format!("model.params.{part}"))).sum();
        assert_eq!(sum, model.params, "{}: the parts do not make the whole", model.name);
    }
}

/// GPT-3 has the published 175.0B (Brown 2020, Table 2.1), and 12Ld² + Vd is within 0.2% of it.
#[test]
fn gpt3_is_as_large_as_its_table_says() {
    let gpt3 = MODELS.iter().find(|model| model.name == "gpt3-175b").unwrap();
    let report = only_report(&gpt3.text());
    let params = count(&report, "model.params") as f64;
    assert!((params / 175.0e9 - 1.0).abs() < 0.005, "{params}");
    let rule = count(&report, "model.params.rule_of_thumb");
    assert_eq!(rule, 12 * 96 * 12_288 * 12_288 + 50_257 * 12_288);
    assert!((rule as f64 / params - 1.0).abs() < 0.002);
}

/// 70B parameters in 16 bits are 140 GB: the lecture's example.
#[test]
fn seventy_billion_parameters_are_140_gb() {
    let text = plain(70_000_000_000);
    let report = only_report(&text);
    assert_eq!(count(&report, "model.params"), 70_000_000_000);
    assert_eq!(count(&report, "memory.weights_only.bf16"), 140_000_000_000);
    assert_eq!(report.get("memory.weights_only.bf16").unwrap().display, "140 GB");
    assert_eq!(count(&report, "memory.weights_only.fp32"), 280_000_000_000);
    assert_eq!(count(&report, "memory.weights_only.int8"), 70_000_000_000);
    assert_eq!(count(&report, "memory.weights_only.int4"), 35_000_000_000);
    // "a 70B parameter model costs ~140B FLOPs per token"
    assert_eq!(count(&report, "flops.rule_of_thumb.forward"), 140_000_000_000);
}

/// The lecture's tables for a sequence of T tokens and width d: each row, the total of a layer, and of all layers.
#[test]
fn forward_flops_are_the_tables() {
    let (layers, d, t, vocab) = (3_u128, 512_u128, 128_u128, 1_000_u128);
    let report = only_report(&lecture("sequence = 128"));
    let per_layer = 24 * t * d * d + 4 * t * t * d;
    let rows = [
        ("flops.forward.qkv", layers * 6 * t * d * d),
        ("flops.forward.scores", layers * 2 * t * t * d),
        ("flops.forward.weighted_sum", layers * 2 * t * t * d),
        ("flops.forward.output_projection", layers * 2 * t * d * d),
        ("flops.forward.ffn_up", layers * 8 * t * d * d),
        ("flops.forward.ffn_down", layers * 8 * t * d * d),
        ("flops.forward.logits", 2 * t * d * vocab),
        ("flops.forward.per_layer", per_layer),
        ("flops.forward.layers", layers * per_layer),
        ("flops.forward", layers * per_layer + 2 * t * d * vocab),
        ("flops.backward", 2 * (layers * per_layer + 2 * t * d * vocab)),
        ("flops.training", 3 * (layers * per_layer + 2 * t * d * vocab)),
        ("flops.rule_of_thumb.per_layer", per_layer),
        ("flops.rule_of_thumb.layers", layers * per_layer),
    ];
    for (path, expected) in rows {
        assert_eq!(count(&report, path), expected, "{path}");
    }
    let n = 12 * layers * d * d + 2 * vocab * d;
    assert_eq!(count(&report, "model.params.rule_of_thumb"), n);
    let params = count(&report, "model.params");
    assert_eq!(count(&report, "flops.rule_of_thumb.forward"), 2 * params);
    assert_eq!(count(&report, "flops.rule_of_thumb.training"), 6 * params);
    assert_eq!(count(&report, "flops.rule_of_thumb.inference"), 2 * params * t);
    assert_eq!(count(&report, "training.rule_of_thumb"), 6 * params * 1_000_000);
}

/// A mask leaves T(T+1)/2 of the T² scores (Megatron-LM since 2024).
#[test]
fn causal_attention_counts_the_scores_that_are_left() {
    let (layers, d, t) = (3_u128, 512_u128, 128_u128);
    let report = only_report(&(lecture("sequence = 128") + "\nconvention {\n  attention = causal\n}\n"));
    assert_eq!(count(&report, "flops.forward.scores"), layers * 2 * d * t * (t + 1) / 2);
    assert_eq!(count(&report, "flops.forward.qkv"), layers * 6 * t * d * d);
}

/// Bytes per parameter of the lecture's recipes, Rajbhandari 2020 §3.1 and Megatron-LM's fp32 main gradients.
#[test]
fn recipes_have_their_bytes_per_parameter() {
    let recipes = [
        ("precision = fp32", 16),
        ("precision = fp16", 16),
        ("precision = bf16", 16),
        ("precision = bf16\n  gradients = fp32", 18),
        ("precision = bf16\n  optimizer = adam8bit", 10),
        ("precision = bf16\n  optimizer = momentum", 12),
        ("precision = bf16\n  optimizer = sgd", 8),
    ];
    for (recipe, bytes) in recipes {
        let report = only_report(&lecture(&format!("sequence = 128\n  {recipe}")));
        let params = count(&report, "model.params");
        assert_eq!(count(&report, "memory.rule_of_thumb"), bytes * params, "{recipe}");
        let scales = whole(&report, "memory.optimizer.scales").unwrap_or(0);
        assert_eq!(count(&report, "memory.model_states"), bytes * params + scales, "{recipe}");
        if recipe.contains("8bit") {
            // Two moments, 4 bytes of scale for each begun block of 256 values; blocks do not cross parameters.
            let least = 2 * 4 * params / 256;
            assert!(scales >= least && scales < least + least / 10, "{scales} of at least {least}");
        }
    }
    let report = only_report(&lecture("sequence = 128\n  precision = bf16"));
    assert_eq!(report.get("memory.training_to_inference").and_then(|found| found.value.number()), Some(8.0));
}

/// The lecture's shape: 4d feed-forward, no biases, no norms, no positions.
fn lecture(training: &str) -> String {
    format!(
        "model lecture {{\n  layers = 3\n  d_model = 512\n  vocab = 1000\n\n  attention {{\n    heads = 8\n    position = none\n  }}\n\n  \
         norm {{\n    kind = none\n  }}\n}}\n\ndata {{\n  tokens = 1M\n}}\n\ntraining {{\n  {training}\n}}\n"
    )
}

/// A model of exactly so many parameters: one layer of width one has 12, a tied vocabulary has the rest.
fn plain(params: u64) -> String {
    format!(
        "model plain {{\n  layers = 1\n  d_model = 1\n  vocab = {}\n  tied_embeddings = true\n\n  attention {{\n    heads = 1\n    \
         position = none\n  }}\n\n  norm {{\n    kind = none\n  }}\n}}\n",
        params - 12
    )
}

fn only_report(text: &str) -> Report {
    let mut found = reports(text).unwrap_or_else(|diagnostics| panic!("{text}\n{diagnostics:#?}"));
    assert_eq!(found.len(), 1, "{text}");
    found.remove(0)
}

fn whole(report: &Report, path: &str) -> Option<u128> {
    match report.get(path)?.value {
        Value::Count(count) => Some(count),
        ref other => panic!("{path} is not counted: {other:?}"),
    }
}

fn count(report: &Report, path: &str) -> u128 {
    whole(report, path).unwrap_or_else(|| panic!("{path} is not reported"))
}
