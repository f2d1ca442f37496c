//! Models on tensors: the same as the plain loops, and gradients that candle's own differentiation finds too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod models;

use candle_core::{DType, Device, Tensor, Var};
use llmplan_analysis::folds::{Sequence, forward_flops};
use llmplan_analysis::graph::{Graph, Kind, Part, lower};
use llmplan_analysis::saved::{self, Keep, Shape};
use llmplan_exec::{Batch, Gradients, Model, Pass, run};
use llmplan_spec::plan::{AttentionConvention, Documents, Reach};

const IDS: [u32; 14] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7];
const TOKENS: usize = 7;
const KEEPS: [Keep; 3] = [Keep::All, Keep::Selective, Keep::Input];

fn batch(documents: Option<Documents>) -> Batch {
    Batch { tokens: TOKENS, ids: IDS.to_vec(), documents }
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Norm of the difference over the norm, of two that are not both zero.
fn apart(one: &[f64], other: &[f64]) -> f64 {
    assert_eq!(one.len(), other.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = norm(&mut one.iter().zip(other).map(|(one, other)| one - other));
    let whole = norm(&mut one.iter().copied()).max(norm(&mut other.iter().copied()));
    if whole == 0.0 { 0.0 } else { difference / whole }
}

/// FLOPs of what runs again: the selected operators of all layers, or all of theirs.
fn recomputed(graph: &Graph, keep: Keep) -> u128 {
    let mut graph = dense(graph);
    for block in &mut graph.blocks {
        let runs = |kind| match keep {
            Keep::All => false,
            Keep::Selective => saved::selected(kind),
            Keep::Input => true,
        };
        block.operators.retain(|operator| block.part == Part::Layer && runs(operator.kind));
    }
    let sequence = Sequence { tokens: TOKENS as u64, documents: None, attention: AttentionConvention::Full };
    2 * forward_flops(&graph, sequence).unwrap().total().unwrap()
}

/// Graphs whose attention computes all pairs, as tensors do.
fn dense(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for operator in graph.blocks.iter_mut().flat_map(|block| &mut block.operators) {
        if let Kind::Scores { reach, .. } | Kind::WeightedSum { reach, .. } = &mut operator.kind {
            *reach = Reach::Full;
        }
    }
    graph
}

#[test]
fn logits_and_losses_are_those_of_the_loops() {
    for documents in [None, Some(Documents::Alike(3)), Some(Documents::Listed(vec![2, 4, 1]))] {
        for model in models::models() {
            let graph = lower(&model);
            let tensors = Model::new(&graph, &Device::Cpu, DType::F32).unwrap();
            let pass = Pass::new(&tensors, &batch(documents.clone()), &[], false).unwrap();
            let tape = pass.forward().unwrap_or_else(|trouble| panic!("{trouble}: {model:?}"));
            let logits = values(&tape.logits(&pass).unwrap()[0]);
            let mut losses = vec![0.0; tape.losses().len()];
            for (sequence, own) in IDS.chunks(TOKENS).zip(logits.chunks(TOKENS * models::VOCAB)) {
                let tokens: Vec<usize> = sequence.iter().map(|id| *id as usize).collect();
                let attention = AttentionConvention::Causal;
                let looped =
                    run(&graph, &tokens, models::sequence(TOKENS, attention, documents.as_ref())).unwrap();
                let expected: Vec<f64> = looped.logits.iter().map(|logit| f64::from(*logit)).collect();
                assert!(apart(own, &expected) < 1e-5, "{} of {model:?}", apart(own, &expected));
                losses[0] += f64::from(looped.loss) / 2.0;
                for (sum, module) in losses[1..].iter_mut().zip(&looped.modules) {
                    *sum += f64::from(module.loss) / 2.0;
                }
            }
            for (loss, expected) in tape.losses().iter().zip(&losses) {
                assert!((values(loss)[0] - expected).abs() < 1e-5 * expected, "{model:?}");
            }
        }
    }
}

#[test]
fn products_are_as_many_as_folded_and_twice_as_many_backward() {
    for (model, keep) in models::models().into_iter().zip(KEEPS.into_iter().cycle()) {
        let graph = lower(&model);
        let tensors = Model::new(&graph, &Device::Cpu, DType::F32).unwrap();
        let sequence =
            Sequence { tokens: TOKENS as u64, documents: None, attention: AttentionConvention::Full };
        let forward = 2 * forward_flops(&dense(&graph), sequence).unwrap().total().unwrap();
        let keeps = vec![keep; tensors.layers()];
        let pass = Pass::new(&tensors, &batch(None), &keeps, true).unwrap();
        let tape = pass.forward().unwrap();
        assert_eq!(pass.flops().forward, forward, "{model:?}");
        let mut gradients = Gradients::new(tensors.parameters().len(), DType::F32);
        pass.backward(tape, 1.0, &mut gradients).unwrap();
        assert_eq!(pass.flops().backward, 2 * forward, "{model:?}");
        assert_eq!(pass.flops().recompute, recomputed(&graph, keep), "{keep:?} of {model:?}");
    }
}

#[test]
fn what_is_saved_is_what_the_list_says() {
    let types = [(DType::F32, 4), (DType::BF16, 2), (DType::F16, 2)].into_iter().cycle();
    for (model, (dtype, bytes)) in models::models().into_iter().zip(types) {
        let graph = lower(&model);
        let tensors = Model::new(&graph, &Device::Cpu, dtype).unwrap();
        for keep in KEEPS {
            // The second layer keeps everything.
            let keeps = vec![keep];
            let pass = Pass::new(&tensors, &batch(None), &keeps, true).unwrap();
            let held = pass.forward().unwrap().saved(&pass).unwrap();
            let shape = Shape { sequences: 2, tokens: TOKENS as u64, bytes };
            let of = |layer| if layer == 0 { keep } else { Keep::All };
            assert_eq!(held, saved::saved(&graph, shape, &of).unwrap(), "{keep:?} {dtype:?} {model:?}");
        }
    }
}

/// The oracle: the same forward pass on tracked tensors, differentiated by candle.
#[test]
fn gradients_are_those_of_candle() {
    for model in models::models() {
        let graph = lower(&model);
        let mut tensors = Model::new(&graph, &Device::Cpu, DType::F64).unwrap();
        let documents = Some(Documents::Alike(5));
        let keeps = vec![Keep::All, Keep::Selective, Keep::Input];
        let mut gradients = Gradients::new(tensors.parameters().len(), DType::F64);
        let pass = Pass::new(&tensors, &batch(documents.clone()), &keeps, true).unwrap();
        let tape = pass.forward().unwrap();
        pass.backward(tape, 1.0, &mut gradients).unwrap_or_else(|trouble| panic!("{trouble}: {model:?}"));
        let vars: Vec<Var> =
            tensors.parameters().iter().map(|own| Var::from_tensor(&own.tensor).unwrap()).collect();
        for (own, var) in tensors.parameters_mut().iter_mut().zip(&vars) {
            own.tensor = var.as_tensor().clone();
        }
        let pass = Pass::new(&tensors, &batch(documents), &[], true).unwrap();
        let tape = pass.forward().unwrap();
        let total =
            tape.losses().iter().skip(1).fold(tape.losses()[0].clone(), |sum, loss| (sum + loss).unwrap());
        let oracle = total.backward().unwrap();
        for ((own, var), found) in tensors.parameters().iter().zip(&vars).zip(gradients.all()) {
            let expected = oracle.get(var.as_tensor());
            match (own.trained, found, expected) {
                (true, Some(found), Some(expected)) => {
                    let (found, expected) = (values(found), values(expected));
                    // A bias that softmax takes off has a gradient of rounding errors.
                    let large = |values: &[f64]| values.iter().any(|value| value.abs() > 1e-12);
                    let apart = if large(&found) { apart(&found, &expected) } else { 0.0 };
                    assert!(large(&found) == large(&expected), "{} of {model:?}", own.name);
                    assert!(apart < 1e-9, "{}: {apart} of {model:?}", own.name);
                }
                (true, found, expected) => {
                    // Where nothing flows, neither of the two may find something.
                    let none = |tensor: Option<&Tensor>| {
                        tensor.is_none_or(|tensor| values(tensor).iter().all(|value| value.abs() < 1e-12))
                    };
                    assert!(none(found.as_ref()) && none(expected), "{} of {model:?}", own.name);
                }
                (false, found, _) => assert!(found.is_none(), "{} is not trained", own.name),
            }
        }
    }
}

/// Kernels of our own take the place of candle's operators and change nothing, forward or backward.
#[test]
fn kernels_change_nothing() {
    for (model, keep) in models::models().into_iter().zip(KEEPS.into_iter().cycle()) {
        let graph = lower(&model);
        let gradients = |dtype, plain| {
            let tensors = Model::new(&graph, &Device::Cpu, dtype).unwrap();
            let keeps = vec![keep; tensors.layers()];
            let pass = Pass::new(&tensors, &batch(Some(Documents::Alike(5))), &keeps, plain).unwrap();
            let tape = pass.forward().unwrap();
            let saved = tape.saved(&pass).unwrap();
            let mut gradients = Gradients::new(tensors.parameters().len(), dtype);
            pass.backward(tape, 1.0, &mut gradients).unwrap();
            (saved, pass.flops(), gradients.into_all())
        };
        let (saved, flops, fused) = gradients(DType::F32, false);
        let (expected_saved, expected_flops, composed) = gradients(DType::F32, true);
        assert_eq!((saved, flops), (expected_saved, expected_flops));
        let (_, _, plain) = gradients(DType::F64, true);
        let whole = |all: &[Option<Tensor>]| -> Vec<f64> { all.iter().flatten().flat_map(values).collect() };
        let (own, rounded) =
            (apart(&whole(&fused), &whole(&plain)), apart(&whole(&composed), &whole(&plain)));
        assert!(own < f64::max(1e-5, 16.0 * rounded), "{own}, and {rounded} by candle, of {model:?}");
    }
}
