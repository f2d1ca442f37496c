//! How fast laws are fitted: the goal is a fit in less than 5 ms, and 4,000 resamples in less than 3 s on two cores.
//!
//! The runs are the 240 of Besiroglu 2024.

use std::fs;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use llmplan_analysis::scaling::fit::{DELTA, Rule, Run, bootstrap, fit, hold_out, keep};
use llmplan_tests::root;
use rayon::ThreadPoolBuilder;

fn runs() -> Vec<Run> {
    let text = fs::read_to_string(root().join("tests/data/scaling/chinchilla_fig4_points.csv"));
    let text = text.unwrap_or_default();
    let rows = text.lines().skip(1).filter_map(|line| {
        let mut values = line.split(',').map(str::parse);
        let (params, tokens) = (values.next()?.ok()?, values.next()?.ok()?);
        Some(Run { params, tokens, loss: values.nth(1)?.ok()? })
    });
    keep(&rows.collect::<Vec<Run>>(), Rule::Highest(5)).runs
}

fn fits(criterion: &mut Criterion) {
    let runs = runs();
    let Ok(found) = fit(&runs, DELTA) else { return };
    let mut group = criterion.benchmark_group("fit of 240 runs");
    group.sample_size(10);
    group.bench_function("fit", |bencher| bencher.iter(|| fit(black_box(&runs), DELTA)));
    group.bench_function("hold out", |bencher| bencher.iter(|| hold_out(black_box(&runs), DELTA)));
    for threads in [1, 2] {
        let Ok(pool) = ThreadPoolBuilder::new().num_threads(threads).build() else { continue };
        group.bench_function(format!("4,000 resamples, {threads} threads"), |bencher| {
            bencher.iter(|| pool.install(|| bootstrap(black_box(&runs), &found, DELTA, 4000, 1)));
        });
    }
    group.finish();
}

criterion_group!(benches, fits);
criterion_main!(benches);
