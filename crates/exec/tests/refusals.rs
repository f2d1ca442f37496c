//! What is too large, or fits nowhere, is refused and not run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod models;

use llmplan_analysis::graph::{Graph, Kind, Operator, Value, lower};
use llmplan_exec::{Refusal, run};
use llmplan_spec::plan::{
    Attention, AttentionConvention, Documents, FeedForward, FfnKind, Mamba2, Mixer, Model, Position, Reach,
    Run,
};
use models::{attention, dense, sequence, small};

fn plain() -> Model {
    small(2, Mixer::Attention(attention()), dense(FfnKind::Gelu))
}

fn refused(model: &Model, tokens: &[usize]) -> Refusal {
    run(&lower(model), tokens, sequence(tokens.len(), AttentionConvention::Full, None)).unwrap_err()
}

#[test]
fn what_is_too_large_is_refused() {
    let wide = Model { d_model: 1 << 40, ..plain() };
    let many = Model { vocab: u64::MAX, embedding_width: u64::MAX, ..plain() };
    // Layers without weights take no memory, but time.
    let mut empty = small(1 << 60, Mixer::None, FeedForward::None);
    empty.norm.last = false;
    let heads = Attention { heads: 1 << 50, kv_heads: 1 << 50, ..attention() };
    let heads = small(1, Mixer::Attention(heads), FeedForward::None);
    // A state that is the product of widths which are not large themselves.
    let state = Mamba2 { d_inner: 100_000, head_dim: 1, groups: 1, state: 1_000, ..models::mamba2() };
    let state = Model { d_model: 1, embedding_width: 1, ..small(1, Mixer::Mamba2(state), FeedForward::None) };
    for model in [wide, many, empty, heads, state] {
        assert!(matches!(refused(&model, &[1, 2]), Refusal::TooLarge(_)), "{model:?}");
    }
    assert!(matches!(refused(&plain(), &[1; 5_000]), Refusal::TooLarge(_)));
}

#[test]
fn tokens_are_those_of_the_sequence() {
    let graph = lower(&plain());
    let result = |tokens: &[usize], length, documents: Option<Documents>| {
        run(&graph, tokens, sequence(length, AttentionConvention::Full, documents.as_ref()))
    };
    assert_eq!(result(&[], 0, None), Err(Refusal::Sequence));
    assert_eq!(result(&[1, 2], 3, None), Err(Refusal::Sequence));
    assert_eq!(result(&[1, 2], 2, Some(Documents::Alike(0))), Err(Refusal::Sequence));
    for lengths in [vec![], vec![1], vec![3], vec![1, 1, 1], vec![u64::MAX, 2]] {
        assert_eq!(result(&[1, 2], 2, Some(Documents::Listed(lengths))), Err(Refusal::Sequence));
    }
    assert!(result(&[1, 2], 2, Some(Documents::Listed(vec![0, 1, 1, 0]))).is_ok());
}

#[test]
fn what_has_no_row_or_no_shape_is_refused() {
    assert_eq!(refused(&plain(), &[31]), Refusal::Misshapen("embedding"));
    let learned = Attention { position: Position::Learned, ..attention() };
    let learned = small(1, Mixer::Attention(learned), FeedForward::None);
    assert_eq!(refused(&learned, &[1; 19]), Refusal::Misshapen("position"));
    let with = |own: Attention| small(1, Mixer::Attention(own), FeedForward::None);
    let nothing = with(Attention { reach: Reach::Window(0), ..attention() });
    assert_eq!(refused(&nothing, &[1, 2]), Refusal::Misshapen("attention.scores"));
    let uneven = with(Attention { kv_heads: 3, ..attention() });
    assert_eq!(refused(&uneven, &[1, 2]), Refusal::Misshapen("attention.scores"));
    let outside = with(Attention { rope_dim: 8, ..attention() });
    assert_eq!(refused(&outside, &[1, 2]), Refusal::Misshapen("attention.rotate_q"));
    let mut jump = plain();
    jump.order.push(Run { kind: 9, repeat: 1 });
    assert!(run(&lower(&jump), &[1], sequence(1, AttentionConvention::Full, None)).is_err());
}

/// Whatever is wrong with one operator of a graph, the run ends with a refusal.
#[test]
fn broken_graphs_are_refused() {
    let broken = |graph: &Graph, name: &str, model: &Model| {
        let result = run(graph, &[1, 2, 3], sequence(3, AttentionConvention::Causal, None));
        assert!(matches!(result, Err(Refusal::Misshapen(_))), "{name} of {model:?}");
    };
    for model in models::models().iter().step_by(17) {
        let sound = lower(model);
        for (at, block) in sound.blocks.iter().enumerate() {
            for (place, operator) in block.operators.iter().enumerate() {
                let name = operator.name;
                let change = |change: &dyn Fn(&mut Operator)| {
                    let mut graph = sound.clone();
                    change(&mut graph.blocks[at].operators[place]);
                    broken(&graph, name, model);
                };
                change(&|operator| operator.output = Value(0));
                change(&|operator| operator.output = Value(1_000));
                change(&|operator| operator.inputs.push(Value(1_000)));
                change(&|operator| operator.kind = Kind::MatMul { inner: 1 << 40, outer: 1 << 40 });
                // Tokens are read whatever the input is.
                if !matches!(operator.kind, Kind::Gather { .. }) {
                    change(&|operator| operator.inputs.clear());
                }
                // A longer table has rows that nobody looks up.
                let table = matches!(operator.kind, Kind::Gather { .. } | Kind::AddPosition { .. });
                if !operator.weights.is_empty() && !table {
                    change(&|operator| operator.weights.iter_mut().for_each(|tensor| tensor.columns += 1));
                }
            }
        }
    }
}
