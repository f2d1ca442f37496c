//! What a run allocates and does is what the analysis counts, to the last value.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod models;

use std::collections::BTreeMap;

use llmplan_analysis::folds::{Counts, buffers, forward_flops, params};
use llmplan_analysis::graph::{Component, Graph, lower};
use llmplan_exec::run;
use llmplan_spec::plan::{AttentionConvention, Documents, Model};

const TOKENS: [usize; 7] = [3, 1, 4, 1, 5, 9, 2];

/// Holds counts to a fold, component by component.
fn same(counted: &BTreeMap<Component, u128>, folded: &Counts, each: u128, model: &Model) {
    for component in Component::ALL {
        let counted = counted.get(&component).copied().unwrap_or(0);
        assert_eq!(each * counted, folded.of(component), "{component:?} of {model:?}");
    }
}

/// One run of a model, held to every fold that says something about it.
fn hold(
    model: &Model,
    graph: &Graph,
    attention: AttentionConvention,
    documents: Option<&Documents>,
) -> Vec<f32> {
    let sequence = models::sequence(TOKENS.len(), attention, documents);
    let run = run(graph, &TOKENS, sequence).unwrap_or_else(|refusal| panic!("{refusal}: {model:?}"));
    same(&run.parameters, &params(graph).unwrap(), 1, model);
    same(&run.buffers, &buffers(graph).unwrap(), 1, model);
    same(&run.multiply_adds, &forward_flops(graph, sequence).unwrap(), 2, model);
    assert!(run.loss.is_finite() && run.modules.iter().all(|module| module.loss.is_finite()), "{model:?}");
    assert_eq!(run.modules.len() as u64, model.mtp);
    assert_eq!(run.logits.len(), TOKENS.len() * models::VOCAB);
    run.logits
}

/// Parameters, buffers and multiply-adds are as many as the analysis says; and what the full convention computes beyond
/// the causal one changes nothing.
#[test]
fn counts_are_those_of_the_folds_in_every_variation() {
    let documents =
        [None, Some(Documents::Alike(3)), Some(Documents::Alike(50)), Some(Documents::Listed(vec![2, 4, 1]))];
    for model in models::models() {
        let graph = lower(&model);
        for documents in &documents {
            let full = hold(&model, &graph, AttentionConvention::Full, documents.as_ref());
            let causal = hold(&model, &graph, AttentionConvention::Causal, documents.as_ref());
            assert_eq!(full, causal, "{model:?}");
        }
    }
}

/// The variations have every operator, and every component that a count can be under.
#[test]
fn nothing_is_left_out() {
    let mut components = BTreeMap::new();
    for model in models::models() {
        for block in &lower(&model).blocks {
            for operator in &block.operators {
                *components.entry(operator.component).or_insert(0) += 1;
            }
        }
    }
    for component in Component::ALL {
        assert!(components.get(&component).is_some_and(|count| *count >= 10), "{component:?}");
    }
}
