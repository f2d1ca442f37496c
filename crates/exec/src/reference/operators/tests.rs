//! Single operators against what their papers say, written another way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use llmplan_analysis::folds::Sequence;
use llmplan_analysis::graph::Kind;
use llmplan_spec::plan::{AttentionConvention, FfnKind, Reach};

use super::{Reads, Tally, apply, loss, silu, softplus};
use crate::reference::sight::Sight;
use crate::weights::Weights;

/// Runs an operator over `tokens` tokens; gives its output and the multiply-adds done.
fn done(
    kind: Kind,
    tokens: usize,
    inputs: &[&[f32]],
    weights: &[(&'static str, &[f32])],
    output: usize,
) -> Option<(Vec<f32>, u128)> {
    let attention = AttentionConvention::Causal;
    let sight = Sight::of(tokens, Sequence { tokens: tokens as u64, documents: None, attention }).unwrap();
    let weights = Weights::of(weights);
    let reads = Reads { sight: &sight, inputs: inputs.to_vec(), weights: &weights, output };
    let mut tally = Tally::default();
    apply(kind, &reads, &mut tally).map(|values| (values, tally.done()))
}

fn close(one: &[f32], other: &[f32]) {
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        assert!((one - other).abs() < 1e-4, "{one} and {other}");
    }
}

/// Numbers without a pattern.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 7 + seed * 13) as f32 * 0.9).sin()).collect()
}

/// A key head that serves several query heads is as good as a copy of it for each.
#[test]
fn grouped_queries_share_heads() {
    let (tokens, q) = (3, numbers(3 * 4 * 5, 1));
    let (k, v) = (numbers(3 * 2 * 5, 2), numbers(3 * 2 * 6, 3));
    let copied = |values: &[f32], width: usize| -> Vec<f32> {
        values.chunks_exact(width).flat_map(|head| head.repeat(2)).collect()
    };
    let scores = |kv_heads, k: &[f32]| {
        let kind = Kind::Scores {
            heads: 4,
            kv_heads,
            head_dim: 5,
            scale: 5,
            reach: Reach::Full,
            alibi: false,
            relative: false,
        };
        done(kind, tokens, &[&q, k], &[], 0).unwrap()
    };
    let shared = scores(2, &k);
    assert_eq!(shared, scores(4, &copied(&k, 5)));
    let (weights, none) = done(Kind::Softmax { heads: 4 }, tokens, &[&shared.0], &[], 0).unwrap();
    assert_eq!(none, 0);
    for row in weights.chunks_exact(3) {
        close(&[row.iter().sum()], &[1.0]);
    }
    let sum = |kv_heads, v: &[f32]| {
        let kind = Kind::WeightedSum { heads: 4, kv_heads, head_dim: 6, reach: Reach::Full };
        done(kind, tokens, &[&weights, v], &[], 24).unwrap()
    };
    assert_eq!(sum(2, &v), sum(4, &copied(&v, 6)));
}

#[test]
fn a_sink_takes_its_share() {
    let scores = [0.0, f32::NEG_INFINITY, 0.0, 0.0];
    let (weights, _) =
        done(Kind::Softmax { heads: 1 }, 2, &[&scores], &[("sinks", &[2_f32.ln()])], 0).unwrap();
    close(&weights, &[1.0 / 3.0, 0.0, 0.25, 0.25]);
}

/// Nothing but the distance is scored: by a slope for each head (Press 2021 §3), or by its row (Dai 2019 §3.3).
#[test]
fn distances_are_scored() {
    let zeros = [0.0; 3 * 2];
    let score = |alibi, relative, inputs: &[&[f32]]| {
        let (heads, reach) = (2, Reach::Full);
        let kind = Kind::Scores { heads, kv_heads: 1, head_dim: 1, scale: 4, reach, alibi, relative };
        done(kind, 3, inputs, &[], 0).unwrap()
    };
    let hidden = f32::NEG_INFINITY;
    let (scores, count) = score(true, false, &[&zeros, &zeros[..3]]);
    let of = |slope: f32| [0.0, hidden, hidden, -slope, 0.0, hidden, -2.0 * slope, -slope, 0.0];
    assert_eq!((scores, count), ([of(1.0 / 16.0), of(1.0 / 256.0)].concat(), 2 * 6));
    let queries = [1.0, 10.0].repeat(3);
    let distances = [2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
    let (scores, count) = score(false, true, &[&queries, &zeros[..3], &distances]);
    let of = |rows: [f32; 3]| [rows[0], hidden, hidden, rows[1], rows[0], hidden, rows[2], rows[1], rows[0]];
    assert_eq!((scores, count), ([of([1.0, 2.0, 3.0]), of([15.0, 25.0, 35.0])].concat(), 2 * 2 * 6));
}

/// The loss of a guess is ln V; that of a sure answer is nothing.
#[test]
fn losses_are_of_the_tokens_ahead() {
    close(&[loss(&[0.0; 8], &[1, 3], 4, 1).unwrap()], &[4_f32.ln()]);
    let sure = [0.0, 99.0, 0.0, 99.0, 0.0, 0.0, 0.0, 0.0, 99.0];
    close(&[loss(&sure, &[2, 1, 0], 3, 1).unwrap(), loss(&sure, &[0, 2, 1], 3, 5).unwrap()], &[0.0, 0.0]);
    assert!(loss(&sure, &[2, 1, 3], 3, 1).is_none());
}

#[test]
fn rotations_keep_lengths_and_what_is_not_rotated() {
    let values = numbers(2 * 2 * 8, 4);
    let kind = Kind::Rotate { head_dim: 8, rope_dim: 4, offset: 3 };
    let (rotated, _) = done(kind, 2, &[&values], &[], 16).unwrap();
    assert_eq!(values[..16], rotated[..16], "the first position does not turn");
    assert_ne!(values, rotated);
    for (old, new) in values.chunks_exact(8).zip(rotated.chunks_exact(8)) {
        assert_eq!((&old[..3], old[7]), (&new[..3], new[7]));
        let length = |values: &[f32]| values[3..7].iter().map(|value| value * value).sum::<f32>();
        close(&[length(old)], &[length(new)]);
    }
    assert!(done(Kind::Rotate { head_dim: 8, rope_dim: 6, offset: 3 }, 2, &[&values], &[], 16).is_none());
}

#[test]
fn norms_have_one_row_of_weights_or_one_for_each_group_or_none() {
    let values = [3.0, 5.0, -2.0, 2.0];
    let norm = |centred, weights: &[(&'static str, &[f32])]| {
        done(Kind::Norm { width: 2, centred }, 1, &[&values], weights, 4).unwrap().0
    };
    close(&norm(true, &[]), &[-1.0, 1.0, -1.0, 1.0]);
    close(&norm(true, &[("weight", &[2.0, 3.0])]), &[-2.0, 3.0, -2.0, 3.0]);
    close(
        &norm(true, &[("weight", &[1.0, 2.0, 3.0, 4.0]), ("bias", &[0.0, 0.0, 0.0, 1.0])]),
        &[-1.0, 2.0, -3.0, 5.0],
    );
    close(&norm(false, &[])[..2], &[3.0 / 17_f32.sqrt(), 5.0 / 17_f32.sqrt()]);
}

#[test]
fn non_linearities_are_the_published_ones() {
    let activate = |kind, gate: Option<&[f32]>, weights: &[(&'static str, &[f32])]| {
        let up: &[f32] = &[-1.0, 2.0];
        let inputs: Vec<&[f32]> = [Some(up), gate].into_iter().flatten().collect();
        done(Kind::Activation { kind, width: 2 }, 1, &inputs, weights, 2).map(|(values, _)| values)
    };
    let gate: Option<&[f32]> = Some(&[1.0, -3.0]);
    close(&activate(FfnKind::Relu, None, &[]).unwrap(), &[0.0, 2.0]);
    close(&activate(FfnKind::Relu2, None, &[]).unwrap(), &[0.0, 4.0]);
    close(&activate(FfnKind::Gelu, None, &[]).unwrap(), &[-0.158_808, 1.954_597]);
    close(&activate(FfnKind::Silu, None, &[]).unwrap(), &[silu(-1.0), silu(2.0)]);
    close(&activate(FfnKind::Reglu, gate, &[]).unwrap(), &[-1.0, 0.0]);
    close(&activate(FfnKind::Swiglu, gate, &[]).unwrap(), &[-silu(1.0), 2.0 * silu(-3.0)]);
    close(&activate(FfnKind::Geglu, gate, &[]).unwrap(), &[-0.841_192, 2.0 * -0.003_637]);
    // α = 0 gives ln 2 on the right, and half more on the left.
    let (right, left) = (softplus(0.0), 0.5 + softplus(0.0));
    let xielu = activate(FfnKind::Xielu, None, &[("alpha", &[0.0, 0.0])]).unwrap();
    close(&xielu, &[left * ((-1_f32).exp() - 1.0 + 1.0) - 0.5, right * 4.0 + 1.0]);
    assert!(activate(FfnKind::Swiglu, None, &[]).is_none() && activate(FfnKind::Relu, gate, &[]).is_none());
}

/// The same recurrence without a state: every token reads every one before it (Dao 2024, eq. 3).
#[test]
fn a_state_space_is_a_masked_product() {
    let (tokens, heads, head_dim, groups, state) = (5, 4, 3, 2, 6);
    let (inner, shared) = (heads * head_dim, groups * state);
    let mixed = numbers(tokens * (inner + 2 * shared), 5);
    let steps = numbers(tokens * heads, 6);
    let (dt_bias, a_log, d) = (numbers(heads, 7), numbers(heads, 8), numbers(heads, 9));
    let kind = Kind::StateSpace { heads: 4, head_dim: 3, groups: 2, state: 6 };
    let weights: [(&str, &[f32]); 3] = [("dt_bias", &dt_bias), ("a_log", &a_log), ("d", &d)];
    let (output, count) = done(kind, tokens, &[&mixed, &steps], &weights, inner).unwrap();
    let row = |token: usize| &mixed[token * (inner + 2 * shared)..][..inner + 2 * shared];
    let mut expected = Vec::new();
    for token in 0..tokens {
        for place in 0..inner {
            let head = place / head_dim;
            let group = inner + head / 2 * state;
            let step = |token: usize| softplus(steps[token * heads + head] + dt_bias[head]);
            let mut sum = d[head] * row(token)[place];
            for past in 0..=token {
                let passed: f32 = (past + 1..=token).map(step).sum();
                let (b, c) = (&row(past)[group..][..state], &row(token)[group + shared..][..state]);
                let seen: f32 = b.iter().zip(c).map(|(b, c)| b * c).sum();
                sum += (-a_log[head].exp() * passed).exp() * seen * step(past) * row(past)[place];
            }
            expected.push(sum);
        }
    }
    close(&output, &expected);
    assert_eq!(count, 2 * (tokens * inner * state) as u128);
}

/// A value that was written whole, and not decayed, is read by its key, even where another stood before.
#[test]
fn the_delta_rule_replaces() {
    let kind = Kind::DeltaRule { key_heads: 1, value_heads: 1, key_dim: 2, value_dim: 3 };
    // q, k, v of three tokens: two write under one key, the third under another while it reads the first.
    let mixed = [
        [0.0, 1.0, 3.0, 4.0, 1.0, 2.0, 3.0],
        [0.6, 0.8, 3.0, 4.0, 5.0, 6.0, 7.0],
        [3.0, 4.0, -4.0, 3.0, 8.0, 8.0, 8.0],
    ]
    .concat();
    let strengths = [30.0, -30.0].repeat(3);
    let weights: [(&str, &[f32]); 2] = [("dt_bias", &[0.0]), ("a_log", &[0.0])];
    let (output, count) = done(kind, 3, &[&mixed, &strengths], &weights, 3).unwrap();
    close(&output[3..6], &[5.0, 6.0, 7.0]);
    close(&output[6..], &[5.0, 6.0, 7.0]);
    assert_eq!(count, 3 * 3 * 2 * 3);
    // Without strength nothing is written, and with much decay nothing stays.
    let silent = done(kind, 3, &[&mixed, &[-30.0, -30.0].repeat(3)], &weights, 3).unwrap().0;
    close(&silent, &[0.0; 9]);
    let forgotten = done(kind, 3, &[&mixed, &[30.0, 30.0].repeat(3)], &weights, 3).unwrap().0;
    close(&forgotten[6..], &[0.0; 3]);
}

/// A key head that serves several value heads is as good as a copy of it for each.
#[test]
fn the_delta_rule_shares_key_heads() {
    let (keys, values, strengths) = (numbers(3 * 2 * 4 * 2, 1), numbers(3 * 4, 2), numbers(3 * 8, 3));
    let (dt_bias, a_log) = (numbers(4, 4), numbers(4, 5));
    let weights: [(&str, &[f32]); 2] = [("dt_bias", &dt_bias), ("a_log", &a_log)];
    let run = |key_heads, copies| {
        let mut mixed = Vec::new();
        for (keys, values) in keys.chunks_exact(16).zip(values.chunks_exact(4)) {
            mixed.extend(keys.chunks_exact(4).flat_map(|head| head.repeat(copies)));
            mixed.extend(values);
        }
        let kind = Kind::DeltaRule { key_heads, value_heads: 4, key_dim: 4, value_dim: 1 };
        done(kind, 3, &[&mixed, &strengths], &weights, 4).unwrap()
    };
    assert_eq!(run(2, 1), run(4, 2));
}

#[test]
fn a_convolution_looks_back() {
    let weights: [(&str, &[f32]); 2] = [("weight", &[0.5, 2.0, 1.0, -1.0]), ("bias", &[0.0, 1.0])];
    let kind = Kind::Convolve { channels: 2, kernel: 2 };
    let (output, count) = done(kind, 2, &[&[1.0, 2.0, 3.0, 4.0]], &weights, 2).unwrap();
    close(&output, &[silu(2.0), silu(-1.0), silu(6.5), silu(-1.0)]);
    assert_eq!(count, 8);
}

#[test]
fn routes_are_the_largest_and_the_first_of_equal_ones() {
    let route = |active, weights: &[(&'static str, &[f32])]| {
        let kind = Kind::Route { inner: 1, experts: 3, active };
        done(kind, 1, &[&[1.0]], weights, 2 * usize::try_from(active).unwrap()).map(|(values, _)| values)
    };
    let table: (&str, &[f32]) = ("weight", &[0.0, 1.0, 1.0]);
    close(&route(1, &[table]).unwrap(), &[1.0, 1.0]);
    close(&route(2, &[table]).unwrap(), &[1.0, 0.5, 2.0, 0.5]);
    let share = 1.0 / (1.0 + 1_f32.exp());
    // The correction chooses the first expert, whose weight is that of its score all the same.
    let corrected = route(2, &[table, ("correction_bias", &[9.0, 0.0, 0.0])]).unwrap();
    close(&corrected, &[0.0, share, 1.0, 1.0 - share]);
    close(&route(2, &[table, ("bias", &[9.0, 0.0, 0.0])]).unwrap()[1..2], &[1.0 - 1.0 / (1.0 + 8_f32.exp())]);
    assert!(route(4, &[table]).is_none());
}

/// Experts that are all the same are one network, however many a token meets.
#[test]
fn equal_experts_are_one() {
    let (input, routes) = ([1.0, 2.0], [2.0, 0.25, 0.0, 0.75]);
    let table = numbers(2 * 3, 1);
    let alike = table.repeat(4);
    let kind = Kind::ExpertMatMul { experts: 4, active: 2, inner: 2, outer: 3, fan_out: true };
    let (each, count) = done(kind, 1, &[&input, &routes], &[("weight", &alike)], 6).unwrap();
    assert_eq!(count, 2 * 2 * 3);
    let (sum, _) = done(Kind::Combine { active: 2, width: 3 }, 1, &[&each, &routes], &[], 3).unwrap();
    let one = done(Kind::MatMul { inner: 2, outer: 3 }, 1, &[&input], &[("weight", &table)], 3).unwrap().0;
    close(&sum, &one);
    let kind = Kind::ExpertMatMul { experts: 4, active: 2, inner: 2, outer: 3, fan_out: false };
    let rows = [1.0, 2.0, 3.0, 4.0];
    let own = done(kind, 1, &[&rows, &routes], &[("weight", &alike)], 6).unwrap().0;
    let product = Kind::MatMul { inner: 2, outer: 3 };
    assert_eq!(own, done(product, 2, &[&rows], &[("weight", &table)], 3).unwrap().0);
}

#[test]
fn gates_serve_one_value_or_several() {
    let values = [1.0, 2.0, 3.0, 4.0];
    let gate = |gates: &[f32], silu| done(Kind::Gate { width: 4, silu }, 1, &[&values, gates], &[], 4);
    close(&gate(&[0.0, 90.0], false).unwrap().0, &[0.5, 1.0, 3.0, 4.0]);
    close(&gate(&[0.0], false).unwrap().0, &[0.5, 1.0, 1.5, 2.0]);
    close(&gate(&[0.0, 0.0, 90.0, 0.0], true).unwrap().0, &[0.0, 0.0, 270.0, 0.0]);
    assert!(gate(&[0.0; 3], false).is_none());
}

#[test]
fn a_join_serves_heads_with_fewer() {
    let join = |heads, other: &[f32], output| {
        done(Kind::Join { heads }, 1, &[&[1.0, 2.0, 3.0, 4.0], other], &[], output).map(|(values, _)| values)
    };
    assert_eq!(join(1, &[9.0], 5).unwrap(), [1.0, 2.0, 3.0, 4.0, 9.0]);
    assert_eq!(join(2, &[9.0], 6).unwrap(), [1.0, 2.0, 9.0, 3.0, 4.0, 9.0]);
    assert_eq!(join(4, &[8.0, 9.0], 8).unwrap(), [1.0, 8.0, 2.0, 8.0, 3.0, 9.0, 4.0, 9.0]);
    assert!(join(4, &[7.0, 8.0, 9.0], 8).is_none() && join(3, &[9.0], 7).is_none());
}
