//! How many bytes a second the kernels read and write. The goals for two threads are 8 GB/s, and 4 GB/s for GELU.

#[allow(dead_code, unused_imports)] // what is measured is a part of it, and its tests do not run here
#[path = "../src/kernels/mod.rs"]
mod kernels;

use std::hint::black_box;
use std::ops::Range;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kernels::{activation, gate, gather, loss, norm, permute, rotate, softmax, sum};
use llmplan_spec::plan::FfnKind;

const ROWS: usize = 1024;
const WIDTH: usize = 512;
const HEADS: usize = 8;
const TOKENS: usize = 512;
const VOCAB: usize = 8192;

/// Numbers without a pattern, between -4 and 4.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 5 + seed * 13) as f32 * 0.9).sin() * 4.0).collect()
}

/// Measures a function that reads and writes so many values.
fn measure<R>(criterion: &mut Criterion, name: &str, values: usize, mut run: impl FnMut() -> R) {
    let mut group = criterion.benchmark_group("kernels");
    group.sample_size(20).throughput(Throughput::Bytes(4 * values as u64));
    group.bench_function(name, |bencher| bencher.iter(|| black_box(run())));
}

fn rows(criterion: &mut Criterion) {
    let n = ROWS * WIDTH;
    let (x, gates, dy) = (numbers(n, 1), numbers(n, 2), numbers(n, 3));
    let (weight, bias) = (numbers(WIDTH, 4), numbers(WIDTH, 5));
    for (name, centred) in [("layernorm", true), ("rmsnorm", false)] {
        let how = norm::Norm { width: WIDTH, centred, weight: Some(&weight), bias: centred.then_some(&bias) };
        measure(criterion, name, 2 * n, || norm::norm(&x, how));
        let (_, statistics) = norm::norm(&x, how);
        let name = format!("{name} backward");
        measure(criterion, &name, 3 * n, || norm::norm_backward(&x, &statistics, &dy, how).x);
    }
    let kinds = [
        ("gelu", FfnKind::Gelu),
        ("relu", FfnKind::Relu),
        ("silu", FfnKind::Silu),
        ("xielu", FfnKind::Xielu),
        ("swiglu", FfnKind::Swiglu),
    ];
    for (name, kind) in kinds {
        let gate = kind.gated().then_some(gates.as_slice());
        let alpha = (kind == FfnKind::Xielu).then_some([0.5, 0.7]);
        let values = if kind.gated() { 3 } else { 2 };
        measure(criterion, name, values * n, || activation::activation(kind, &x, gate, alpha));
        let values = if kind.gated() { 5 } else { 3 };
        measure(criterion, &format!("{name} backward"), values * n, || {
            activation::activation_backward(kind, &x, gate, alpha, &dy).up
        });
    }
    measure(criterion, "gate per head", 2 * n, || gate::gate(&x, &gates[..n / 64], 64, false));
    measure(criterion, "add", 3 * n, || sum::add(&x, &dy));
    measure(criterion, "sum of rows", n, || sum::sum_rows(&x, WIDTH));
    let mut sums = x.clone();
    measure(criterion, "add row", 2 * n, || sum::add_row(&mut sums, &bias));
}

fn attention(criterion: &mut Criterion) {
    let n = ROWS * WIDTH;
    let x = numbers(n, 1);
    let shape = (ROWS / TOKENS, TOKENS, HEADS, WIDTH / HEADS);
    measure(criterion, "heads first", 2 * n, || permute::heads_first(&x, shape));
    measure(criterion, "tokens first", 2 * n, || permute::tokens_first(&x, shape));
    let by = rotate::Rotations::of(TOKENS, WIDTH / HEADS);
    let turned = rotate::Turned { width: WIDTH, head: WIDTH / HEADS, offset: 0 };
    measure(criterion, "rotate", 2 * n, || rotate::rotate(&x, turned, &by, false));

    let n = HEADS * TOKENS * TOKENS;
    let (causal, full): (Vec<Range<usize>>, Vec<Range<usize>>) =
        (0..TOKENS).map(|query| (0..query + 1, 0..TOKENS)).unzip();
    let (slopes, scores, gradients) = (numbers(HEADS, 2), numbers(n, 3), numbers(n, 4));
    let mut buffer = scores.clone();
    for (name, seen, slopes) in
        [("full", &full, None), ("causal", &causal, None), ("alibi", &full, Some(slopes.as_slice()))]
    {
        let how = softmax::Softmax { heads: HEADS, keys: TOKENS, scale: 0.125, seen, slopes, sinks: None };
        measure(criterion, &format!("softmax {name}"), 2 * n, || softmax::softmax(&mut buffer, how));
        let mut weights = scores.clone();
        softmax::softmax(&mut weights, how);
        buffer.copy_from_slice(&gradients);
        measure(criterion, &format!("softmax {name} backward"), 3 * n, || {
            softmax::softmax_backward(&weights, &mut buffer, how)
        });
        buffer.copy_from_slice(&scores);
    }
}

fn ends(criterion: &mut Criterion) {
    let logits = numbers(TOKENS * VOCAB, 1);
    let ids: Vec<u32> = (0..TOKENS).map(|at| (at * 7919 % VOCAB) as u32).collect();
    let n = TOKENS * VOCAB;
    measure(criterion, "cross-entropy", n, || loss::cross_entropy(&logits, VOCAB, &ids));
    let (_, sums) = loss::cross_entropy(&logits, VOCAB, &ids);
    measure(criterion, "cross-entropy backward", 2 * n, || {
        loss::cross_entropy_backward(&logits, VOCAB, &sums, &ids, 0.002)
    });
    let mut table = numbers(VOCAB * WIDTH, 2);
    let gradients = numbers(TOKENS * WIDTH, 3);
    let n = TOKENS * WIDTH;
    measure(criterion, "gather", 2 * n, || gather::rows(&table, WIDTH, &ids));
    measure(criterion, "scatter", 3 * n, || gather::scatter_add(&mut table, WIDTH, &ids, &gradients));
}

criterion_group!(kernels_of_a_step, rows, attention, ends);
criterion_main!(kernels_of_a_step);
