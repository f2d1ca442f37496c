//! How fast plans are read: goals are 20 MB/s for parsing with checking and for formatting, 50 µs for lowering and folding
//! a model, and 5 ms for a whole process.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use llmplan_analysis::folds::{self, Sequence};
use llmplan_analysis::graph::lower;
use llmplan_spec::catalog;
use llmplan_spec::format::format;
use llmplan_spec::plan::AttentionConvention;
use llmplan_spec::source::FileId;
use llmplan_tests::{resolved, root};

/// A megabyte of plans as people write them: comments, blank lines, lets, models, data, hardware, training, conditions.
fn plans(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 4_096);
    let mut at = 0;
    while text.len() < bytes {
        let (layers, d_model, heads) = (12 + at % 84, 64 * (8 + at % 120), 8 + at % 120);
        let _ = write!(
            text,
            "# Variant {at}: what changes with width at a fixed budget.\n\
             let budget_{at} = 6 FLOP * {layers} * 12 * {d_model}^2 * 1.4T  # 6ND, embeddings left out\n\
             \n\
             model variant-{at} {{\n  layers = {layers}\n  d_model = {d_model}\n  vocab = 128_256  # padded to a multiple of 128\n  context = 8192\n\
             \n  attention {{\n    heads = {heads}\n    kv_heads = {heads}\n    position = rope\n  }}\n\
             \n  ffn {{\n    kind = swiglu\n    d_ff = 256 * ceil(model.d_model / 96)\n  }}\n}}\n\
             \n\
             data mix-{at} {{\n  tokens = 1.4T\n\
             \n  source crawl {{\n    raw = 40T tokens\n    filter = keep 50%  # language and quality\n    dedup = keep 70%\n    weight = 85%\n  }}\n\
             \n  source code {{\n    raw = 4T tokens\n    weight = 15%\n  }}\n}}\n\
             \n\
             hardware cluster-{at} {{\n  device = h100-sxm\n  nodes = {}\n  price = $2.00 / h  # of one device\n  price_as_of = 2026-11-01\n}}\n\
             \n\
             training run-{at} {{\n  precision = bf16\n  optimizer = adamw\n  sequence = 8192\n  global_batch = 4M tokens\n  mfu = 40%\n  micro_batch = 1\n\
             \n  parallelism {{\n    tensor = 4\n    pipeline = 1\n    data = auto\n  }}\n}}\n\n",
            8 * (1 + at % 16)
        );
        at += 1;
    }
    text
}

fn read(criterion: &mut Criterion) {
    let text = plans(1_000_000);
    let one = plans(1);
    let mut group = criterion.benchmark_group("text");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group
        .bench_function("parse", |bencher| bencher.iter(|| llmplan_spec::parse(black_box(&text), FileId(0))));
    group.bench_function("parse and check", |bencher| bencher.iter(|| resolved(black_box(&text))));
    group.bench_function("format", |bencher| bencher.iter(|| format(black_box(&text), FileId(0))));
    group.throughput(Throughput::Bytes(one.len() as u64));
    group.bench_function("parse and check one plan", |bencher| bencher.iter(|| resolved(black_box(&one))));
    group.finish();
}

/// Every model of the catalog, lowered and folded: parameters, active parameters, FLOPs, bytes moved.
fn fold(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lower and fold");
    group.sample_size(20);
    for name in catalog::names("model") {
        let Some(entry) = catalog::find("model", name) else { continue };
        let (_, resolution) = resolved(entry.text);
        let Some(plan) = resolution.plans.first() else { continue };
        let sequence = Sequence { tokens: 8192, documents: None, attention: AttentionConvention::Causal };
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let graph = lower(black_box(&plan.model));
                let moved = folds::forward_traffic(&graph, sequence.tokens);
                (
                    folds::params(&graph),
                    folds::active_params(&graph),
                    folds::forward_flops(&graph, sequence),
                    moved,
                )
            });
        });
    }
    group.finish();
}

/// Needs the release binary: `cargo build --release` first.
fn process(criterion: &mut Criterion) {
    let target = std::env::current_exe().ok().and_then(|bench| Some(bench.parent()?.parent()?.to_owned()));
    let Some(tool) = target.map(|target| target.join("llmplan")).filter(|tool| tool.exists()) else {
        eprintln!("no release binary of llmplan: its process is not measured");
        return;
    };
    let named = target_file("deepseek-v3.llm", "plan deepseek-v3 {\n  model = deepseek-v3\n}\n");
    for (name, plan) in [("gpt3-175b", root().join("examples/gpt3-175b.llm")), ("deepseek-v3", named)] {
        criterion.bench_function(&format!("process check {name}"), |bencher| {
            bencher.iter(|| {
                let status = Command::new(&tool).arg("check").arg(&plan).stdout(Stdio::null()).status();
                assert!(status.is_ok_and(|status| status.success()));
            });
        });
    }
}

/// A file for this run of the benchmarks.
fn target_file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("llmplan-{}-{name}", std::process::id()));
    std::fs::write(&path, text).expect("the folder for temporary files can be written");
    path
}

criterion_group!(benches, read, fold, process);
criterion_main!(benches);
