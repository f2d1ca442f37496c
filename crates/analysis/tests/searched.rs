//! What a search says of a strategy is what `check` says of it, and its bounds are below all that they stand for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use llmplan_analysis::cluster::{Strategy, Workload, memory, step};
use llmplan_analysis::graph::lower;
use llmplan_analysis::search::prune::Bounds;
use llmplan_analysis::search::{
    Arithmetic, Engine, Objective, Options, Space, apply, best, judge, search, workload,
};
use llmplan_spec::plan::Plan;
use llmplan_tests::resolved;
use proptest::prelude::*;

const OBJECTIVES: [Objective; 4] = [Objective::Time, Objective::Cost, Objective::Memory, Objective::Devices];

/// Small workloads of all kinds that a search is asked about.
fn plans() -> impl Strategy_<Value = String> {
    let model = (
        1_u64..9,
        prop::sample::select(vec!["ffn {\n kind = gelu\n }", "ffn {\n kind = swiglu\n }", EXPERTS]),
        prop::sample::select(vec![2_u64, 8]),
        any::<bool>(),
    );
    let hardware = (
        prop::sample::select(vec![1_u64, 4, 8, 16, 24, 32]),
        prop::sample::select(vec!["a100-80gb", "v100-sxm-32gb", "h100-sxm"]),
        prop::sample::select(vec!["", "fragmentation = 90%\n", "reserve = 1 GB\n"]),
    );
    let training = (
        prop::sample::select(vec![
            "",
            "gradients = fp32\n",
            "main_gradients = sharded\n",
            "main_gradients = whole\n",
        ]),
        prop::sample::select(vec!["adamw", "sgd", "adam8bit", "adafactor", "muon"]),
        prop::sample::select(vec!["", "dropout = 10%\n", "attention = plain\n", "logits = chunked\n"]),
        prop::sample::select(vec!["", "offload_activations = true\n", "checkpointing_layers = 0\n"]),
        prop::sample::select(vec![4_u64, 8, 24]),
        prop::sample::select(vec![
            "",
            "context_kind = ulysses\n",
            "context_kind = all_gather\n",
            "prefetch = 0\n",
        ]),
    );
    (model, hardware, training).prop_map(|(model, (devices, device, reserved), training)| {
        let (layers, network, kv_heads, tied) = model;
        let (gradients, optimizer, kernels, kept, batch, parallel) = training;
        format!(
            "model m {{\n layers = {layers}\n d_model = 512\n vocab = 4096\n tied_embeddings = {tied}\n \
             attention {{\n heads = 8\n kv_heads = {kv_heads}\n }}\n {network}\n}}\n\
             hardware {{\n device = {device}\n devices = {devices}\n {reserved}}}\n\
             training {{\n precision = fp16\n sequence = 256\n micro_batch = 1\n global_batch = {batch} sequences\n \
             optimizer = {optimizer}\n {gradients} {kernels} {kept} parallelism {{\n {parallel} }}\n}}\n"
        )
    })
}

use proptest::strategy::Strategy as Strategy_;

const EXPERTS: &str = "moe {\n experts = 4\n experts_per_token = 2\n d_ff = 256\n }";

fn plan(text: &str) -> Plan {
    let (_, mut resolution) = resolved(text);
    assert!(resolution.diagnostics.is_empty(), "{text}\n{:?}", resolution.diagnostics);
    resolution.plans.remove(0)
}

/// Every strategy of a space that can run.
fn able(space: &Space, workload: &Workload<'_>) -> Vec<(Strategy, Vec<Strategy>)> {
    let mut found = Vec::new();
    for layout in space.layouts() {
        space.groups(layout, |group| {
            if space.limits.obstacle(workload, group).is_none() {
                let mut leaves = Vec::new();
                space.leaves(group, |leaf| leaves.push(*leaf));
                found.push((*group, leaves));
            }
        });
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pruned_and_exhaustive_search_find_the_same(text in plans(), fewer in any::<bool>(), tight in 0.0..1.0) {
        let plan = plan(&text);
        let graph = lower(&plan.model);
        let workload = workload(&plan, &graph).unwrap();
        let space = Space::of(&plan.model, &workload, fewer, &[]);
        let engine = Arithmetic::new(workload, &space).unwrap();
        let free = search(&engine, &workload, &space, &Bounds::default(), Options { prune: false, pool: None });
        // A limit that some of what nothing dominates keeps to.
        let held = free.pareto.iter().map(|point| point.bytes);
        let (least, most) = (held.clone().min().unwrap_or(0), held.max().unwrap_or(0));
        let device = Some(least + (tight * (most - least) as f64) as u64);
        let bounds = Bounds { device, ..Bounds::of(&plan) };
        let run = |prune| search(&engine, &workload, &space, &bounds, Options { prune, pool: None });
        let (all, pruned) = (run(false), run(true));
        prop_assert_eq!(&all.pareto, &pruned.pareto);
        for objective in OBJECTIVES {
            prop_assert_eq!(all.best(objective), pruned.best(objective));
        }
        for point in &all.pareto {
            prop_assert!(space.limits.obstacle(&workload, &point.strategy).is_none());
            prop_assert_eq!(point.bytes, memory::memory(&workload, &point.strategy).unwrap().total());
            prop_assert_eq!(point.seconds, step::step(&workload, &point.strategy).unwrap().total());
            prop_assert!(Some(point.bytes) <= bounds.device);
        }
    }

    #[test]
    fn numbers_are_those_of_a_single_evaluation_and_bounds_are_below_them(text in plans(), start in 0_usize..97) {
        let plan = plan(&text);
        let graph = lower(&plan.model);
        let workload = workload(&plan, &graph).unwrap();
        let space = Space::of(&plan.model, &workload, true, &[]);
        let engine = Arithmetic::new(workload, &space).unwrap();
        for (group, leaves) in able(&space, &workload).iter().skip(start).step_by(97) {
            let tables = engine.tables(&group.layout()).unwrap();
            let shared = engine.group(&tables, group).unwrap();
            let floor = engine.floor(&tables, &shared, group);
            for leaf in leaves {
                prop_assert!(space.limits.obstacle(&workload, leaf).is_none());
                let Some(own) = engine.estimate(&tables, &shared, leaf) else {
                    prop_assert!(step::step(&workload, leaf).is_none());
                    continue;
                };
                let memory = memory::memory(&workload, leaf).unwrap();
                prop_assert_eq!(own.bytes, memory.total());
                prop_assert_eq!(own.host, memory.stages.iter().map(|stage| stage.host).max().unwrap());
                prop_assert_eq!(own.seconds, step::step(&workload, leaf).unwrap().total());
                prop_assert!(floor.bytes <= own.bytes, "{} > {}: {leaf:?}", floor.bytes, own.bytes);
                prop_assert!(floor.seconds <= own.seconds, "{} > {}: {leaf:?}", floor.seconds, own.seconds);
            }
        }
    }
}

/// A model that some strategies have no room for.
const LARGE: &str = "model m {\n layers = 48\n d_model = 4096\n vocab = 50_304\n attention {\n heads = 32\n }\n}\n\
     hardware {\n device = v100-sxm-32gb\n devices = 64\n}\n\
     training {\n precision = fp16\n sequence = 1024\n global_batch = 512 sequences\n micro_batch = 1\n}\n";

#[test]
fn bounds_pass_over_most_of_a_space() {
    let plan = plan(LARGE);
    let graph = lower(&plan.model);
    let workload = workload(&plan, &graph).unwrap();
    let space = Space::of(&plan.model, &workload, false, &[]);
    let engine = Arithmetic::new(workload, &space).unwrap();
    let found = search(&engine, &workload, &space, &Bounds::of(&plan), Options { prune: true, pool: None });
    assert!(found.too_large + found.beaten > found.evaluated, "{found:?}");
    assert!(found.too_large > 0 && found.beaten > 0 && found.pareto.len() > 3);
}

#[test]
fn a_candidate_that_breaks_a_requirement_is_not_chosen() {
    let text = format!("{LARGE}require {{\n training.replicas <= 4\n}}\n");
    let (sources, resolution) = resolved(&text);
    let plan = &resolution.plans[0];
    let graph = lower(&plan.model);
    let workload = workload(plan, &graph).unwrap();
    let space = Space::of(&plan.model, &workload, false, &[]);
    let engine = Arithmetic::new(workload, &space).unwrap();
    let found = search(&engine, &workload, &space, &Bounds::of(plan), Options { prune: true, pool: None });
    let candidates = judge(plan, &sources, &found);
    assert_eq!(candidates.len(), found.pareto.len());
    let chosen = &candidates[best(&candidates, Objective::Time).unwrap()];
    let holding = candidates.iter().filter(|own| own.holds).count();
    assert!(holding > 0 && holding < candidates.len(), "{holding} of {}", candidates.len());
    assert!(chosen.holds && chosen.point.strategy.data <= 4);
    for own in &candidates {
        let report = own.report.as_ref().unwrap();
        let told = (&report.requirements, report.get("training.replicas"));
        assert_eq!(own.holds, own.point.strategy.data <= 4, "{:?} {told:#?}", own.point);
        assert!(!own.holds || own.point.seconds >= chosen.point.seconds);
        let mut applied = plan.clone();
        apply(&mut applied, &own.point.strategy);
        assert_eq!(applied.training.as_ref().unwrap().micro_batch, Some(own.point.strategy.micro_batch));
    }
}

/// A limit of the step bounds the search itself where the step is modelled: what is slower is in no front, and the rest
/// of it is as it was.
#[test]
fn a_required_step_time_bounds_the_search() {
    let text = "model m {\n layers = 4\n d_model = 512\n vocab = 4096\n attention {\n heads = 8\n }\n}\n\
                hardware {\n device = a100-80gb\n devices = 8\n}\n\
                training {\n precision = fp16\n sequence = 256\n micro_batch = 1\n global_batch = 8 sequences\n}\n";
    let found = |text: &str| {
        let plan = plan(text);
        let graph = lower(&plan.model);
        let workload = workload(&plan, &graph).unwrap();
        let space = Space::of(&plan.model, &workload, false, &[]);
        let engine = Arithmetic::new(workload, &space).unwrap();
        search(&engine, &workload, &space, &Bounds::of(&plan), Options { prune: true, pool: None })
    };
    let all = found(text);
    let (fastest, slowest) = (all.pareto.first().unwrap().seconds, all.pareto.last().unwrap().seconds);
    let limit = (fastest + slowest) / 2.0;
    let bound = found(&format!("{text}require {{\n training.step_time <= {limit} s\n}}\n"));
    let kept: Vec<_> = all.pareto.iter().filter(|point| point.seconds <= limit).copied().collect();
    assert!(kept.len() < all.pareto.len());
    assert_eq!(bound.pareto, kept);
}
