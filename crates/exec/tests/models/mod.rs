//! Small models of every sort. No two of their sizes are equal where they need not be, so that none can stand in for
//! another.
#![allow(dead_code, clippy::panic)] // each test uses what it needs, and a panic is how it fails

use llmplan_analysis::folds::Sequence;
use llmplan_analysis::graph::lower;
use llmplan_exec::run;
use llmplan_spec::plan::{
    Arrangement, Attention, AttentionBias, AttentionConvention, Documents, FeedForward, Ffn, FfnKind,
    GatedDelta, Latent, Layer, LayerKind, Mamba2, Mixer, Model, Moe, Norm, NormKind, OutputGate, Placement,
    Position, QkNorm, Reach, Run,
};

/// Rows of the vocabulary.
pub(crate) const VOCAB: usize = 31;

/// Differences that rounding does not make.
pub(crate) const TOLD: f32 = 1e-4;

/// Layers of one kind, with nothing that is not needed.
pub(crate) fn small(layers: u64, mixer: Mixer, feed_forward: FeedForward) -> Model {
    let learned = matches!(&mixer, Mixer::Attention(own) if own.position == Position::Learned);
    let layer = Layer { arrangement: Arrangement::Sequential, mixer, feed_forward };
    Model {
        name: "small".to_owned(),
        layers,
        d_model: 14,
        vocab: VOCAB as u64,
        embedding_width: 14,
        context: Some(16),
        position_rows: learned.then_some(18),
        tied_embeddings: false,
        output_bias: false,
        norm: Norm {
            kind: NormKind::RmsNorm,
            weight: true,
            bias: false,
            placement: Placement::Pre,
            embedding: false,
            last: true,
        },
        kinds: vec![LayerKind { name: "base".to_owned(), count: layers, layer }],
        order: vec![Run { kind: 0, repeat: layers }],
        mtp: 0,
    }
}

/// A second kind of layer, in the middle of three.
pub(crate) fn mixed(mut model: Model, mixer: Mixer, feed_forward: FeedForward) -> Model {
    if matches!(&mixer, Mixer::Attention(own) if own.position == Position::Learned) {
        model.position_rows = Some(18);
    }
    let layer = Layer { arrangement: model.kinds[0].layer.arrangement, mixer, feed_forward };
    model.kinds[0].count = 2;
    model.kinds.push(LayerKind { name: "other".to_owned(), count: 1, layer });
    model.order = [0, 1, 0].map(|kind| Run { kind, repeat: 1 }).to_vec();
    model
}

/// Layers of one kind that attend, each with a gated network.
pub(crate) fn attends(layers: u64, own: Attention) -> Model {
    small(layers, Mixer::Attention(own), dense(FfnKind::Swiglu))
}

/// Grouped queries with rotary positions.
pub(crate) fn attention() -> Attention {
    Attention {
        heads: 4,
        kv_heads: 2,
        head_dim: 6,
        v_dim: 5,
        rope_dim: 6,
        latent: None,
        position: Position::Rope,
        reach: Reach::Full,
        bias: AttentionBias::default(),
        qk_norm: QkNorm::None,
        qk_norm_bias: false,
        sinks: false,
        gate: OutputGate::None,
        gate_bias: false,
    }
}

/// Multi-head latent attention.
pub(crate) fn latent(q_rank: Option<u64>, absorbed: bool) -> Attention {
    Attention {
        kv_heads: 4,
        head_dim: 7,
        rope_dim: 4,
        latent: Some(Latent { q_rank, kv_rank: 8, nope_dim: 3, absorbed }),
        ..attention()
    }
}

pub(crate) fn mamba2() -> Mamba2 {
    Mamba2 {
        d_inner: 24,
        head_dim: 6,
        groups: 2,
        state: 5,
        conv: 3,
        conv_bias: true,
        bias: false,
        norm: true,
    }
}

pub(crate) fn gated_delta() -> GatedDelta {
    GatedDelta { key_heads: 2, value_heads: 4, key_dim: 5, value_dim: 3, conv: 4 }
}

pub(crate) fn dense(kind: FfnKind) -> FeedForward {
    FeedForward::Dense(Ffn { kind, d_ff: 20, up_bias: false, gate_bias: false, down_bias: false })
}

pub(crate) fn moe() -> Moe {
    Moe {
        experts: 6,
        experts_per_token: 2,
        d_ff: 9,
        kind: FfnKind::Swiglu,
        bias: false,
        router_bias: false,
        correction_bias: false,
        shared_experts: 0,
        shared_d_ff: 11,
        shared_bias: false,
        shared_gate: false,
        capacity: None,
        imbalance: 1.0,
    }
}

/// Every way to attend, by kind, position, reach, norm, gate, sinks and bias.
pub(crate) fn attentions() -> Vec<Attention> {
    let mut all: Vec<Attention> =
        [1, 2, 4].map(|kv_heads| Attention { kv_heads, ..attention() }).into_iter().collect();
    let bias = |bits: u8| AttentionBias {
        q: bits & 1 != 0,
        k: bits & 2 != 0,
        v: bits & 4 != 0,
        output: bits & 8 != 0,
    };
    all.extend(
        [Position::Learned, Position::Alibi, Position::Relative, Position::None]
            .map(|position| Attention { position, ..attention() }),
    );
    all.extend([0, 4].map(|rope_dim| Attention { rope_dim, ..attention() }));
    all.extend(reaches().map(|reach| Attention { reach, ..attention() }));
    for bias in [false, true] {
        let (qk_norm_bias, gate_bias) = (bias, bias);
        all.extend(
            [QkNorm::PerHead, QkNorm::PerHeadDistinct, QkNorm::Full, QkNorm::Unweighted]
                .map(|qk_norm| Attention { qk_norm, qk_norm_bias, ..attention() }),
        );
        all.extend([OutputGate::Full, OutputGate::PerHead].map(|gate| Attention {
            gate,
            gate_bias,
            ..attention()
        }));
    }
    all.push(Attention { sinks: true, ..attention() });
    all.extend([1, 2, 4, 8, 15].map(|bits| Attention { bias: bias(bits), ..attention() }));
    all.push(Attention {
        position: Position::Relative,
        reach: Reach::Window(3),
        sinks: true,
        gate: OutputGate::PerHead,
        qk_norm: QkNorm::PerHeadDistinct,
        bias: bias(15),
        ..attention()
    });
    for q_rank in [None, Some(10)] {
        for absorbed in [false, true] {
            let plain = latent(q_rank, absorbed);
            all.push(plain.clone());
            all.push(Attention { bias: bias(11), position: Position::None, ..plain.clone() });
            all.push(Attention { reach: Reach::Window(3), sinks: true, gate: OutputGate::Full, ..plain });
        }
    }
    all
}

/// Windows and chunks, shorter than a sequence and longer.
pub(crate) fn reaches() -> [Reach; 5] {
    [Reach::Window(1), Reach::Window(3), Reach::Window(100), Reach::Chunk(3), Reach::Chunk(100)]
}

/// Every mixer.
pub(crate) fn mixers() -> Vec<Mixer> {
    let mut all: Vec<Mixer> = attentions().into_iter().map(Mixer::Attention).collect();
    all.extend(recurrents());
    all.push(Mixer::None);
    all
}

/// Every mixer with a state.
pub(crate) fn recurrents() -> Vec<Mixer> {
    let mut all: Vec<Mixer> = (0..8_u8)
        .map(|bits| {
            let groups = if bits & 1 != 0 { 2 } else { 1 };
            let (bias, norm, conv_bias) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            Mixer::Mamba2(Mamba2 { groups, bias, norm, conv_bias, ..mamba2() })
        })
        .collect();
    all.push(Mixer::GatedDelta(gated_delta()));
    all.push(Mixer::GatedDelta(GatedDelta { key_heads: 4, conv: 1, ..gated_delta() }));
    all
}

/// Every network, with and without biases; mixtures with every switch.
pub(crate) fn feeds() -> Vec<FeedForward> {
    let mut all: Vec<FeedForward> = FfnKind::ALL.iter().map(|kind| dense(*kind)).collect();
    for bits in 1..8_u8 {
        let (up_bias, gate_bias, down_bias) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
        let kind = FfnKind::Geglu;
        all.push(FeedForward::Dense(Ffn { kind, d_ff: 17, up_bias, gate_bias, down_bias }));
    }
    all.extend(FfnKind::ALL.iter().map(|kind| FeedForward::Moe(Moe { kind: *kind, ..moe() })));
    for bits in 1..32_u8 {
        all.push(FeedForward::Moe(Moe {
            experts_per_token: [1, 3, 6][usize::from(bits) % 3],
            kind: if bits % 2 == 0 { FfnKind::Swiglu } else { FfnKind::Relu2 },
            bias: bits & 1 != 0,
            router_bias: bits & 2 != 0,
            correction_bias: bits & 4 != 0,
            shared_experts: if bits & 8 != 0 { 2 } else { 0 },
            shared_bias: bits & 3 != 0,
            shared_gate: bits & 16 != 0,
            ..moe()
        }));
    }
    all.push(FeedForward::None);
    all
}

/// Every norm in every place, around every arrangement.
pub(crate) fn frames() -> Vec<(Norm, Arrangement)> {
    let mut all = Vec::new();
    for placement in [Placement::Pre, Placement::Post, Placement::Sandwich, Placement::PostResidual] {
        for arrangement in [Arrangement::Sequential, Arrangement::Parallel, Arrangement::ParallelTwoNorms] {
            for (kind, weight, bias) in [
                (NormKind::LayerNorm, true, true),
                (NormKind::LayerNorm, true, false),
                (NormKind::LayerNorm, false, false),
                (NormKind::RmsNorm, true, false),
                (NormKind::RmsNorm, false, false),
                (NormKind::None, false, false),
            ] {
                let at = all.len();
                let norm = Norm { kind, weight, bias, placement, embedding: at % 2 == 0, last: at % 3 != 0 };
                all.push((norm, arrangement));
            }
        }
    }
    all
}

/// Hundreds of models: each mixer before each sort of network, each frame around many of both, every switch of the whole
/// model, and mixed layers.
pub(crate) fn models() -> Vec<Model> {
    let (mixers, feeds, frames) = (mixers(), feeds(), frames());
    // A turn through the mixers, then another one step further in the networks: no pair comes twice.
    let mixer = |at: usize| mixers[at % mixers.len()].clone();
    let feed = |at: usize| feeds[(at + at / mixers.len()) % feeds.len()].clone();
    let mut models = Vec::new();
    for at in 0..600 {
        let mut model = match at % 3 {
            0 => mixed(small(3, mixer(at), feed(at)), mixer(at * 5 + 7), feed(at * 5 + 7)),
            _ => small(2, mixer(at), feed(at)),
        };
        let (norm, arrangement) = frames[at % frames.len()];
        model.norm = norm;
        model.kinds.iter_mut().for_each(|kind| kind.layer.arrangement = arrangement);
        model.tied_embeddings = at % 2 == 0;
        model.output_bias = at % 5 < 2;
        model.mtp = [0, 1, 0, 2][at / 7 % 4];
        if model.mtp == 0 && at % 7 < 3 {
            model.embedding_width = [9, 22][at % 2];
        }
        models.push(model);
    }
    models
}

/// A sequence of so many tokens.
pub(crate) fn sequence(
    tokens: usize,
    attention: AttentionConvention,
    documents: Option<&Documents>,
) -> Sequence<'_> {
    Sequence { tokens: tokens as u64, documents, attention }
}

/// A causal run in one document.
pub(crate) fn causal(model: &Model, tokens: &[usize]) -> llmplan_exec::Run {
    let sequence = sequence(tokens.len(), AttentionConvention::Causal, None);
    run(&lower(model), tokens, sequence).unwrap_or_else(|refusal| panic!("{refusal}: {model:?}"))
}

/// The logits of a causal run, a row for each token.
pub(crate) fn logits(model: &Model, tokens: &[usize]) -> Vec<Vec<f32>> {
    rows(&causal(model, tokens).logits)
}

pub(crate) fn rows(logits: &[f32]) -> Vec<Vec<f32>> {
    logits.chunks_exact(VOCAB).map(<[f32]>::to_vec).collect()
}

/// The largest difference of two rows.
pub(crate) fn apart(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

/// The layer of a model whose layers are alike.
pub(crate) fn layer(model: &mut Model) -> &mut Layer {
    &mut model.kinds[0].layer
}
