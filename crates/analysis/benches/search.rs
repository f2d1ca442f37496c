//! How fast strategies are searched: the goal is a million a second on two cores, and all of GPT-3 175B on 1,024 devices
//! in less than one.
//!
//! Throughput is that of strategies which are evaluated; what is passed over is told apart, once, before the timings.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use llmplan_analysis::graph::lower;
use llmplan_analysis::search::prune::Bounds;
use llmplan_analysis::search::{Arithmetic, Found, Options, Space, search, workload};
use llmplan_spec::plan::Plan;
use llmplan_tests::resolved;
use rayon::ThreadPoolBuilder;

/// GPT-3 (Brown 2020) as Megatron trains it (Narayanan 2021, table 1), and a mixture of experts.
const PLANS: [(&str, &str); 2] = [
    (
        "gpt3-175b on 1,024",
        "model gpt3 {\n layers = 96\n d_model = 12_288\n vocab = 51_200\n context = 2048\n tied_embeddings = true\n \
         attention {\n heads = 96\n position = learned\n }\n ffn {\n kind = gelu\n }\n norm {\n kind = layernorm\n }\n}\n\
         hardware {\n device = a100-80gb\n devices = 1024\n}\n\
         training {\n sequence = 2048\n global_batch = 1536 sequences\n micro_batch = 1\n}\n",
    ),
    (
        "mixture on 256",
        "model mixture {\n layers = 32\n d_model = 4096\n vocab = 32_000\n context = 4096\n \
         attention {\n heads = 32\n kv_heads = 8\n }\n moe {\n experts = 8\n experts_per_token = 2\n d_ff = 14_336\n }\n}\n\
         hardware {\n device = h100-sxm\n devices = 256\n}\n\
         training {\n sequence = 4096\n global_batch = 1024 sequences\n micro_batch = 1\n}\n",
    ),
];

fn plan(text: &str) -> Option<Plan> {
    resolved(text).1.plans.into_iter().next()
}

fn searched(plan: &Plan, options: Options<'_>) -> Option<Found> {
    let graph = lower(&plan.model);
    let workload = workload(plan, &graph).ok()?;
    let space = Space::of(&plan.model, &workload, false, &[]);
    let engine = Arithmetic::new(workload, &space).ok()?;
    Some(search(&engine, &workload, &space, &Bounds::of(plan), options))
}

#[allow(clippy::print_stderr)] // what was evaluated, and what was not
fn searches(criterion: &mut Criterion) {
    for (name, text) in PLANS {
        let Some(plan) = plan(text) else { continue };
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10);
        for threads in [1, 2] {
            let Ok(pool) = ThreadPoolBuilder::new().num_threads(threads).build() else { continue };
            for (kind, prune) in [("pruned", true), ("exhaustive", false)] {
                let options = Options { prune, pool: Some(&pool) };
                let Some(found) = searched(&plan, options) else { continue };
                eprintln!(
                    "{name}, {kind}: {} strategies, {} cannot run, {} too large and {} beaten by their bounds, {} evaluated",
                    found.strategies, found.unable, found.too_large, found.beaten, found.evaluated
                );
                group.throughput(Throughput::Elements(found.evaluated));
                group.bench_function(format!("{kind}, {threads} threads"), |bencher| {
                    bencher.iter(|| searched(black_box(&plan), options));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, searches);
criterion_main!(benches);
