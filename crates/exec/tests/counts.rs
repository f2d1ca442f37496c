//! What a run allocates and does is what the analysis counts, to the last value.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use llmplan_analysis::folds::{forward_flops, params};
use llmplan_analysis::graph::{Component, lower};
use llmplan_exec::{Refusal, run};
use llmplan_spec::plan::{
    Attention, AttentionConvention, FeedForward, FfnKind, Model, Norm, NormKind, Position,
};

const COMPONENTS: [Component; 12] = [
    Component::Embedding,
    Component::Position,
    Component::Qkv,
    Component::Scores,
    Component::WeightedSum,
    Component::AttentionOutput,
    Component::FfnUp,
    Component::FfnGate,
    Component::FfnDown,
    Component::Norm,
    Component::Output,
    Component::Pointwise,
];

/// A small model; no two of its sizes are equal, so that none can stand in for another.
fn small() -> Model {
    Model {
        name: "small".to_owned(),
        layers: 3,
        d_model: 12,
        vocab: 31,
        context: Some(16),
        tied_embeddings: false,
        output_bias: false,
        attention: Attention {
            heads: 4,
            kv_heads: 4,
            head_dim: 6,
            position: Position::Rope,
            qkv_bias: false,
            output_bias: false,
        },
        ffn: FeedForward { kind: FfnKind::Gelu, d_ff: 20, bias: false },
        norm: Norm { kind: NormKind::RmsNorm, bias: false },
    }
}

/// Every combination of the choices that change what a model has or does.
fn models() -> Vec<Model> {
    let mut models = Vec::new();
    for kind in [FfnKind::Gelu, FfnKind::Relu, FfnKind::Swiglu, FfnKind::Geglu] {
        for position in [Position::Learned, Position::Rope, Position::Alibi, Position::None] {
            for (norm, norm_bias) in [
                (NormKind::LayerNorm, true),
                (NormKind::LayerNorm, false),
                (NormKind::RmsNorm, false),
                (NormKind::None, false),
            ] {
                for kv_heads in [1, 2, 4] {
                    for bits in 0..8_u8 {
                        let mut model = small();
                        model.ffn.kind = kind;
                        model.attention.position = position;
                        model.norm = Norm { kind: norm, bias: norm_bias };
                        model.attention.kv_heads = kv_heads;
                        model.attention.qkv_bias = bits & 1 != 0;
                        model.attention.output_bias = bits & 2 != 0;
                        model.ffn.bias = bits & 2 != 0;
                        model.tied_embeddings = bits & 4 != 0;
                        model.output_bias = bits & 1 != 0;
                        models.push(model);
                    }
                }
            }
        }
    }
    models
}

#[test]
fn parameters_and_multiply_adds_are_as_many_as_the_analysis_says() {
    let tokens = [3, 1, 4, 1, 5, 9, 2];
    for model in models() {
        let graph = lower(&model);
        for attention in [AttentionConvention::Full, AttentionConvention::Causal] {
            let run = run(&graph, &tokens, attention).unwrap();
            let params = params(&graph).unwrap();
            let flops = forward_flops(&graph, tokens.len() as u64, attention).unwrap();
            for component in COMPONENTS {
                let allocated = run.parameters.get(&component).copied().unwrap_or(0);
                let done = run.multiply_adds.get(&component).copied().unwrap_or(0);
                assert_eq!(allocated, params.of(component), "{component:?} of {model:?}");
                assert_eq!(2 * done, flops.of(component), "{component:?} of {model:?}, {attention:?}");
            }
            assert!(run.loss.is_finite(), "{model:?}");
        }
    }
}

/// The masked half is computed by one and skipped by the other: the result is the same.
#[test]
fn full_and_causal_attention_give_the_same_logits() {
    for model in models() {
        let graph = lower(&model);
        let full = run(&graph, &[2, 7, 1, 8], AttentionConvention::Full).unwrap();
        let causal = run(&graph, &[2, 7, 1, 8], AttentionConvention::Causal).unwrap();
        assert_eq!(full.logits, causal.logits, "{model:?}");
    }
}

#[test]
fn a_token_does_not_see_the_future_and_sees_the_past() {
    let model = small();
    let graph = lower(&model);
    let one = run(&graph, &[2, 7, 1, 8], AttentionConvention::Causal).unwrap().logits;
    let other = run(&graph, &[2, 7, 1, 9], AttentionConvention::Causal).unwrap().logits;
    let vocab = usize::try_from(model.vocab).unwrap();
    assert_eq!(one[..3 * vocab], other[..3 * vocab]);
    assert_ne!(one[3 * vocab..], other[3 * vocab..]);
    let past = run(&graph, &[3, 7, 1, 8], AttentionConvention::Causal).unwrap().logits;
    assert_ne!(one[3 * vocab..], past[3 * vocab..]);
}

/// Without positions a model cannot tell the order of the past; with any kind of them it can.
#[test]
fn positions_tell_the_order() {
    for (position, told) in
        [(Position::None, false), (Position::Learned, true), (Position::Rope, true), (Position::Alibi, true)]
    {
        let mut model = small();
        model.layers = 1;
        model.attention.position = position;
        let graph = lower(&model);
        let last = |tokens: &[usize]| {
            let logits = run(&graph, tokens, AttentionConvention::Causal).unwrap().logits;
            logits[logits.len() - 31..].to_vec()
        };
        let apart =
            last(&[5, 6, 7]).iter().zip(last(&[6, 5, 7])).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert_eq!(apart > 1e-5, told, "{position:?}: {apart}");
    }
}

#[test]
fn what_is_too_large_or_out_of_shape_is_refused() {
    let mut model = small();
    model.d_model = 1 << 40;
    assert!(matches!(run(&lower(&model), &[1], AttentionConvention::Full), Err(Refusal::TooLarge(_))));
    let learned =
        Model { attention: Attention { position: Position::Learned, ..small().attention }, ..small() };
    let long: Vec<usize> = (0..17).collect();
    assert_eq!(run(&lower(&learned), &long, AttentionConvention::Full), Err(Refusal::Misshapen("position")));
    assert_eq!(run(&lower(&small()), &[31], AttentionConvention::Full), Err(Refusal::Misshapen("embedding")));
    assert!(run(&lower(&small()), &[], AttentionConvention::Full).is_err());
}
