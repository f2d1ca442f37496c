//! What the parts of a model mean: what is the same and what is not. Laws that hold whatever the weights are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod models;

use llmplan_analysis::graph::{Component, Graph, lower};
use llmplan_exec::run;
use llmplan_spec::plan::{
    Arrangement, Attention, AttentionConvention, FeedForward, Ffn, FfnKind, Mixer, Model, Moe, NormKind,
    OutputGate, Placement, Position, QkNorm, Reach, Run,
};
use models::{TOLD, apart, attends, attention, attentions, causal, dense, layer, moe, rows, small};

/// Attention over the latents is attention over what they are projected to (DeepSeek-V2 §2.1.2).
#[test]
fn absorbed_latents_give_the_same_logits() {
    let tokens = [3, 1, 4, 1, 5, 9, 2];
    for own in attentions() {
        let Some(latent) = own.latent.filter(|latent| latent.absorbed) else { continue };
        let mut plain = own.clone();
        plain.latent.as_mut().unwrap().absorbed = false;
        assert!(!plain.latent.unwrap().absorbed && latent.absorbed);
        let (one, other) = (causal(&attends(3, own.clone()), &tokens), causal(&attends(3, plain), &tokens));
        assert!(apart(&one.logits, &other.logits) < TOLD, "{own:?}");
        assert_eq!(one.parameters, other.parameters);
        assert_ne!(one.multiply_adds[&Component::Scores], other.multiply_adds[&Component::Scores]);
    }
}

/// Rotating nothing is no position, and rotating a part is neither that nor rotating all.
#[test]
fn a_part_of_a_head_can_be_rotated() {
    let of = |rope_dim, position| {
        causal(&attends(1, Attention { rope_dim, position, ..attention() }), &[3, 1, 4, 1]).logits
    };
    assert_eq!(of(0, Position::Rope), of(6, Position::None));
    assert!(apart(&of(4, Position::Rope), &of(6, Position::None)) > TOLD);
    assert!(apart(&of(4, Position::Rope), &of(6, Position::Rope)) > TOLD);
}

/// Logits that all differ from each other.
fn all_unlike(models: &[Model]) {
    let all: Vec<Vec<f32>> = models.iter().map(|model| causal(model, &[3, 1, 4, 1, 5]).logits).collect();
    for (at, one) in all.iter().enumerate() {
        for (other, logits) in all.iter().enumerate().skip(at + 1) {
            assert!(apart(one, logits) > TOLD, "{:?}\nis {:?}", models[at], models[other]);
        }
    }
}

#[test]
fn every_choice_of_attention_matters() {
    let with = |change: fn(&mut Attention)| {
        let mut own = attention();
        change(&mut own);
        attends(2, own)
    };
    all_unlike(&[
        with(|_| {}),
        with(|own| own.qk_norm = QkNorm::PerHead),
        with(|own| own.qk_norm = QkNorm::PerHeadDistinct),
        with(|own| own.qk_norm = QkNorm::Full),
        with(|own| own.qk_norm = QkNorm::Unweighted),
        with(|own| own.gate = OutputGate::Full),
        with(|own| own.gate = OutputGate::PerHead),
        with(|own| (own.qk_norm, own.qk_norm_bias) = (QkNorm::PerHead, true)),
        with(|own| (own.gate, own.gate_bias) = (OutputGate::Full, true)),
        with(|own| own.sinks = true),
        with(|own| own.bias.q = true),
        with(|own| own.bias.v = true),
        with(|own| own.bias.output = true),
        with(|own| own.kv_heads = 1),
        with(|own| own.reach = Reach::Window(2)),
        with(|own| own.position = Position::Alibi),
        with(|own| own.position = Position::Relative),
        with(|own| own.position = Position::Learned),
    ]);
    // A bias on the keys turns with them; without rotation it adds as much to every score, which softmax takes off.
    let keys = |position, k| {
        let mut own = Attention { position, ..attention() };
        own.bias.k = k;
        causal(&attends(1, own), &[3, 1, 4, 1, 5]).logits
    };
    assert!(apart(&keys(Position::Rope, false), &keys(Position::Rope, true)) > TOLD);
    assert!(apart(&keys(Position::None, false), &keys(Position::None, true)) < TOLD);
    // A reach as long as the sequence is no limit.
    let reach = |reach| causal(&attends(2, Attention { reach, ..attention() }), &[3, 1, 4, 1, 5]).logits;
    assert_eq!(reach(Reach::Full), reach(Reach::Window(5)));
    assert_eq!(reach(Reach::Full), reach(Reach::Chunk(5)));
}

#[test]
fn every_place_of_a_norm_matters_and_without_norms_none_does() {
    let placements = [Placement::Pre, Placement::Post, Placement::Sandwich, Placement::PostResidual];
    for arrangement in [Arrangement::Sequential, Arrangement::Parallel, Arrangement::ParallelTwoNorms] {
        let models = placements.map(|placement| {
            let mut model = attends(2, attention());
            model.norm.placement = placement;
            layer(&mut model).arrangement = arrangement;
            model
        });
        all_unlike(&models);
        let bare = models.map(|mut model| {
            model.norm.kind = NormKind::None;
            causal(&model, &[3, 1, 4]).logits
        });
        assert!(bare.iter().all(|logits| *logits == bare[0]));
    }
    let with = |change: fn(&mut Model)| {
        let mut model = attends(2, attention());
        change(&mut model);
        model
    };
    all_unlike(&[
        with(|_| {}),
        with(|model| model.norm.kind = NormKind::LayerNorm),
        with(|model| (model.norm.kind, model.norm.bias) = (NormKind::LayerNorm, true)),
        with(|model| model.norm.weight = false),
        with(|model| model.norm.embedding = true),
        with(|model| model.norm.last = false),
        with(|model| model.tied_embeddings = true),
        with(|model| model.output_bias = true),
        with(|model| model.embedding_width = 9),
        with(|model| layer(model).arrangement = Arrangement::Parallel),
        with(|model| layer(model).arrangement = Arrangement::ParallelTwoNorms),
    ]);
}

/// Side by side, mixer and network each add what they would add alone; without a norm behind them logits are sums too.
#[test]
fn a_parallel_block_is_the_sum_of_its_parts() {
    for mixer in models::mixers() {
        let model = |mixer: &Mixer, feed: &FeedForward, arrangement| {
            let mut model = small(1, mixer.clone(), feed.clone());
            model.norm.last = false;
            // One norm is for both, or each has its own: without weights that is the same.
            model.norm.weight = false;
            layer(&mut model).arrangement = arrangement;
            model
        };
        if matches!(&mixer, Mixer::Attention(own) if own.position == Position::Learned) {
            // Only the models that attend would have its table.
            continue;
        }
        let feed = dense(FfnKind::Geglu);
        let of = |mixer: &Mixer, feed: &FeedForward, arrangement| {
            causal(&model(mixer, feed, arrangement), &[3, 1, 4, 1, 5]).logits
        };
        let mixes = of(&mixer, &FeedForward::None, Arrangement::Sequential);
        let feeds = of(&Mixer::None, &feed, Arrangement::Sequential);
        let neither = of(&Mixer::None, &FeedForward::None, Arrangement::Sequential);
        let sum: Vec<f32> =
            mixes.iter().zip(&feeds).zip(&neither).map(|((one, other), twice)| one + other - twice).collect();
        for arrangement in [Arrangement::Parallel, Arrangement::ParallelTwoNorms] {
            assert!(apart(&of(&mixer, &feed, arrangement), &sum) < TOLD, "{mixer:?}");
        }
    }
}

/// Renames operators, and so gives them the weights of others.
fn renamed(graph: &mut Graph, names: &[(&str, &'static str)]) {
    for operator in graph.blocks.iter_mut().flat_map(|block| &mut block.operators) {
        if let Some((_, new)) = names.iter().find(|(old, _)| *old == operator.name) {
            operator.name = new;
        }
    }
}

/// A single expert is a network, whether a token is routed to it or always passes it.
#[test]
fn a_single_expert_is_a_network() {
    for &kind in FfnKind::ALL {
        let bias = true;
        let network =
            FeedForward::Dense(Ffn { kind, d_ff: 9, up_bias: bias, gate_bias: bias, down_bias: bias });
        let mixer = Mixer::Attention(attention());
        let sequence = models::sequence(4, AttentionConvention::Causal, None);
        let expected = causal(&small(2, mixer.clone(), network), &[3, 1, 4, 1]).logits;
        let single = Moe { experts: 1, experts_per_token: 1, kind, bias, ..moe() };
        let mut graph = lower(&small(2, mixer, FeedForward::Moe(single)));
        let names = [
            ("moe.up", "ffn.up"),
            ("moe.gate", "ffn.gate"),
            ("moe.activation", "ffn.activation"),
            ("moe.down", "ffn.down"),
        ];
        renamed(&mut graph, &names);
        let run = run(&graph, &[3, 1, 4, 1], sequence).unwrap();
        assert!(apart(&run.logits, &expected) < TOLD, "{kind:?}");
    }
}

#[test]
fn every_switch_of_a_mixture_matters() {
    let with = |change: fn(&mut Moe)| {
        let mut own = moe();
        change(&mut own);
        small(2, Mixer::Attention(attention()), FeedForward::Moe(own))
    };
    all_unlike(&[
        with(|_| {}),
        with(|own| own.experts_per_token = 1),
        with(|own| own.experts_per_token = 6),
        with(|own| own.bias = true),
        with(|own| own.router_bias = true),
        with(|own| own.correction_bias = true),
        with(|own| own.shared_experts = 1),
        with(|own| own.shared_experts = 2),
        with(|own| (own.shared_experts, own.shared_bias) = (1, true)),
        with(|own| (own.shared_experts, own.shared_gate) = (1, true)),
    ]);
    // Where every expert is taken there is nothing to choose, and the weights are not corrected.
    let all = |correction_bias| {
        let own = Moe { experts_per_token: 6, correction_bias, ..moe() };
        causal(&small(1, Mixer::None, FeedForward::Moe(own)), &[3, 1, 4, 1]).logits
    };
    assert!(apart(&all(false), &all(true)) < TOLD);
}

#[test]
fn every_network_is_another() {
    let models: Vec<Model> =
        models::feeds().into_iter().take(8).map(|feed| small(2, Mixer::None, feed)).collect();
    all_unlike(&models);
}

/// The model's output is the modules' own: one that is tied, and one with a bias.
#[test]
fn modules_share_the_output() {
    let logits = |tied_embeddings, output_bias| {
        let model = Model { mtp: 1, tied_embeddings, output_bias, ..attends(1, attention()) };
        causal(&model, &[3, 1, 4]).modules.remove(0).logits
    };
    assert!(apart(&logits(false, false), &logits(true, false)) > TOLD);
    let bias: Vec<f32> =
        logits(false, true).iter().zip(logits(false, false)).map(|(one, other)| one - other).collect();
    rows(&bias).iter().for_each(|row| assert!(apart(row, &bias[..models::VOCAB]) < TOLD));
    assert!(bias.iter().any(|bias| bias.abs() > TOLD));
}

/// Kinds of layers run in the order that the model gives, and each run of a layer has weights of its own.
#[test]
fn layers_run_in_order() {
    let base = attends(3, Attention { position: Position::None, ..attention() });
    let base = models::mixed(base, Mixer::Mamba2(models::mamba2()), dense(FfnKind::Relu));
    let ordered = |order: &[(usize, u64)]| {
        let order = order.iter().map(|(kind, repeat)| Run { kind: *kind, repeat: *repeat }).collect();
        Model { order, ..base.clone() }
    };
    all_unlike(&[ordered(&[(0, 1), (1, 1), (0, 1)]), ordered(&[(0, 2), (1, 1)]), ordered(&[(1, 1), (0, 2)])]);
    let of = |order: &[(usize, u64)]| causal(&ordered(order), &[3, 1, 4]);
    assert_eq!(of(&[(0, 2), (1, 1)]), of(&[(0, 1), (0, 1), (1, 1)]));
}

/// An untrained model is about as wrong as a guess, and gives the same twice.
#[test]
fn runs_repeat() {
    for model in models::models().iter().step_by(29) {
        let one = causal(model, &[3, 1, 4, 1, 5, 9, 2]);
        assert_eq!(one, causal(model, &[3, 1, 4, 1, 5, 9, 2]));
        assert!(one.loss > 0.5, "{}", one.loss);
    }
}
