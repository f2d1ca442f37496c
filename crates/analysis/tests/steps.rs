//! Laws of the time of a step: parts sum to it, what is alone exchanges nothing, and more bandwidth never slows it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod support;

use llmplan_analysis::cluster::block::Tables;
use llmplan_analysis::cluster::product::Product;
use llmplan_analysis::cluster::step::{Stages, StepTime, step, step_time};
use llmplan_analysis::cluster::system::System;
use llmplan_analysis::cluster::{Group, Strategy, Workload, contents};
use llmplan_analysis::graph::{Graph, lower};
use llmplan_spec::plan::Plan;
use proptest::prelude::*;
use support::plan;

/// A plan with so many devices; further lines of training, and of its parallelism.
fn text(devices: u64, training: &str, parallelism: &str) -> String {
    format!(
        "model m {{\n layers = 16\n d_model = 4096\n vocab = 51200\n context = 4096\n attention {{\n heads = 32\n }}\n \
         ffn {{\n kind = gelu\n d_ff = 16384\n }}\n}}\nhardware {{\n device = a100-80gb\n devices = {devices}\n}}\n\
         training {{\n precision = bf16\n sequence = 2048\n {training}\n parallelism {{\n {parallelism}\n }}\n}}\n"
    )
}

/// A mixture of experts on 16 devices.
fn experts(parallelism: &str) -> String {
    format!(
        "model m {{\n layers = 8\n d_model = 2048\n vocab = 32000\n attention {{\n heads = 16\n kv_heads = 4\n }}\n moe {{\n \
         experts = 16\n experts_per_token = 2\n d_ff = 4096\n shared_experts = 1\n }}\n}}\nhardware {{\n \
         device = h100-sxm\n devices = 16\n}}\ntraining {{\n precision = bf16\n sequence = 2048\n \
         global_batch = 64 sequences\n micro_batch = 1\n parallelism {{\n {parallelism}\n }}\n}}\n"
    )
}

fn lowered(plan: &Plan) -> Graph {
    lower(&plan.model)
}

fn workload<'a>(plan: &'a Plan, graph: &'a Graph) -> Workload<'a> {
    Workload::of(plan, graph, plan.training.as_ref().unwrap().sequence.unwrap()).unwrap()
}

fn declared(workload: &Workload<'_>) -> Strategy {
    Strategy::of(workload.training, workload.hardware.devices).unwrap()
}

fn timed(text: &str) -> StepTime {
    let plan = plan(text);
    let graph = lowered(&plan);
    let workload = workload(&plan, &graph);
    step(&workload, &declared(&workload)).unwrap_or_else(|| panic!("no time for\n{text}"))
}

/// The same on another system.
fn timed_on(text: &str, change: impl Fn(&mut System)) -> StepTime {
    let plan = plan(text);
    let graph = lowered(&plan);
    let workload = workload(&plan, &graph);
    let strategy = declared(&workload);
    let mut system = System::of(workload.hardware, workload.training).unwrap();
    change(&mut system);
    let tables = Tables::of(&workload, &system, strategy.layout()).unwrap();
    let contents = contents(workload.graph, workload.training, workload.layers, &strategy);
    step_time(&workload, &system, &tables, &Stages::of(&tables, &contents), &strategy).unwrap()
}

fn system() -> System {
    let plan = plan(&text(8, "global_batch = 8 sequences\n micro_batch = 1", "data = 8"));
    System::of(plan.hardware.as_ref().unwrap(), plan.training.as_ref().unwrap()).unwrap()
}

/// Plans with every form of parallelism.
fn every() -> Vec<String> {
    let batch = "global_batch = 64 sequences\n micro_batch = 1";
    let full = &format!("{batch}\n checkpointing = full");
    let modules =
        &format!("{batch}\n checkpointing = modules\n recompute {{\n norm = true\n activation = true\n }}");
    let mut all = vec![
        text(32, batch, "tensor = 8\n pipeline = 2"),
        text(
            32,
            &format!("{batch}\n attention = plain\n dropout = 10%"),
            "tensor = 4\n sequence_parallel = false",
        ),
        text(32, full, "tensor = 2\n pipeline = 4\n interleave = 2"),
        text(32, modules, "context = 4\n context_kind = ring\n zero = 2"),
        text(32, batch, "context = 4\n context_kind = all_gather\n zero = 3"),
        text(32, batch, "context = 4\n context_kind = ulysses\n zero = 3\n shard = 8"),
        text(32, &format!("{full}\n offload = optimizer"), "zero = 2"),
        text(
            32,
            &format!("{full}\n offload = parameters\n offload_activations = true"),
            "zero = 3\n prefetch = 0",
        ),
        text(32, &format!("{batch}\n optimizer = muon\n pointwise = unfused"), "zero = 1"),
        text(32, &format!("{batch}\n lora {{\n rank = 16\n targets = all\n base = nf4\n }}"), "zero = 3"),
        text(32, &format!("{batch}\n loading = 1k tokens / s"), "zero = 1"),
        experts("expert = 8"),
        experts("tensor = 2\n expert = 4\n expert_tensor = 2\n zero = 3"),
        experts("pipeline = 2\n expert = 8\n zero = 1"),
    ];
    for schedule in ["gpipe", "zb_h1", "zb_h2", "zb_v", "dualpipe"] {
        all.push(text(32, batch, &format!("tensor = 2\n pipeline = 4\n schedule = {schedule}")));
    }
    all
}

#[test]
fn parts_sum_to_the_step_and_none_is_negative() {
    for text in every() {
        let time = timed(&text);
        let parts = [
            time.compute,
            time.recompute,
            time.bubble,
            time.tensor,
            time.pipeline,
            time.context,
            time.expert,
            time.data,
            time.optimizer,
            time.offload,
            time.loading,
        ];
        assert!(parts.iter().all(|part| part.is_finite() && *part >= 0.0), "{text}\n{time:#?}");
        let sum: f64 = parts.iter().sum();
        assert!((sum - time.total()).abs() <= 1e-12 * sum, "{text}\n{time:#?}");
        assert!(time.compute > 0.0 && time.optimizer > 0.0 && time.hardware_flops > 0.0, "{text}");
    }
}

#[test]
fn each_form_of_parallelism_has_its_part() {
    let batch = "global_batch = 64 sequences\n micro_batch = 1";
    let alone = timed(&text(1, batch, "tensor = 1"));
    assert_eq!(
        (alone.tensor, alone.pipeline, alone.context, alone.expert, alone.data, alone.bubble, alone.offload),
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    );
    let none = "overlap {\n context = 0%\n data = 0%\n }";
    assert!(timed(&text(8, batch, "tensor = 8")).tensor > 0.0);
    assert!(timed(&text(8, batch, "pipeline = 8")).pipeline > 0.0);
    assert!(timed(&text(8, batch, "pipeline = 8")).bubble > 0.0);
    assert!(timed(&text(8, batch, &format!("context = 8\n {none}"))).context > 0.0);
    assert!(timed(&text(8, batch, &format!("data = 8\n {none}"))).data > 0.0);
    assert!(timed(&experts("expert = 8")).expert > 0.0);
    assert!(timed(&text(1, &format!("{batch}\n offload = optimizer"), "tensor = 1")).offload > 0.0);
    assert!(timed(&text(1, &format!("{batch}\n loading = 10 tokens / s"), "tensor = 1")).loading > 0.0);
}

#[test]
fn replicas_divide_the_step_and_exchange_what_does_not_hide() {
    let alone = timed(&text(1, "global_batch = 8 sequences\n micro_batch = 1", "data = 1"));
    let shared = timed(&text(8, "global_batch = 64 sequences\n micro_batch = 1", "data = 8"));
    assert_eq!((alone.compute, alone.recompute), (shared.compute, shared.recompute));
    assert!(shared.data > 0.0 && shared.exchange >= shared.data);
}

#[test]
fn twice_the_batch_is_twice_the_compute() {
    let step = |batch: u64, each: u64| {
        timed(&text(1, &format!("global_batch = {batch} sequences\n micro_batch = {each}"), "data = 1"))
    };
    let (one, two) = (step(8, 1), step(16, 1));
    assert!((two.compute / one.compute - 2.0).abs() < 1e-9);
    assert!((two.hardware_flops / one.hardware_flops - 2.0).abs() < 1e-9);
    assert!((two.optimizer / one.optimizer - 1.0).abs() < 1e-9);
    // Larger products fill their tiles and waves no worse, and not by much better.
    let large = step(16, 2);
    assert!(large.compute <= two.compute * 1.001 && large.compute > 0.8 * two.compute);
}

#[test]
fn full_recomputation_adds_a_forward_pass_of_the_layers() {
    let batch = "global_batch = 8 sequences\n micro_batch = 1";
    let plan = plan(&text(1, &format!("{batch}\n checkpointing = full"), "data = 1"));
    let graph = lowered(&plan);
    let workload = workload(&plan, &graph);
    let strategy = declared(&workload);
    let system = System::of(workload.hardware, workload.training).unwrap();
    let tables = Tables::of(&workload, &system, strategy.layout()).unwrap();
    let layer = tables.blocks[1];
    assert_eq!(layer[0].forward, layer[1].recompute);
    assert_eq!(layer[0].recompute, 0.0);
    let time = step(&workload, &strategy).unwrap();
    assert!((time.recompute - 8.0 * 16.0 * layer[0].forward).abs() < 1e-9);
    let kept = timed(&text(1, batch, "data = 1"));
    assert_eq!(kept.compute, time.compute);
    // Selective recomputation is of attention alone.
    let selective = timed(&text(1, &format!("{batch}\n checkpointing = selective"), "data = 1"));
    assert!(selective.recompute > 0.0 && selective.recompute < 0.2 * time.recompute);
}

#[test]
fn more_bandwidth_never_slows_a_step() {
    for text in every() {
        let before = timed(&text).total();
        for (name, change) in [
            ("link", (|own| own.link *= 2.0) as fn(&mut System)),
            ("network", |own| own.network *= 2.0),
            ("memory", |own| own.memory *= 2.0),
            ("layers", |own| own.layers *= 2.0),
            ("others", |own| own.others *= 2.0),
            ("host", |own| own.host_link *= 2.0),
            ("latency", |own| own.network_latency /= 2.0),
        ] {
            let after = timed_on(&text, change).total();
            assert!(after <= before * (1.0 + 1e-12), "{name}: {before} to {after} of\n{text}");
        }
    }
}

#[test]
fn what_hides_is_at_most_what_is_exchanged() {
    let step = |share: u64| {
        let parallelism = format!("zero = 3\n overlap {{\n data = {share}%\n }}");
        timed(&text(64, "global_batch = 64 sequences\n micro_batch = 1", &parallelism))
    };
    let (all, half, none) = (step(100), step(50), step(0));
    assert!(all.data <= half.data && half.data <= none.data && all.data < none.data);
    assert!(none.data >= none.exchange * (1.0 - 1e-9));
    assert_eq!(all.exchange, none.exchange);
}

#[test]
fn a_step_needs_its_figures() {
    let plan = plan(&text(8, "global_batch = 8 sequences\n micro_batch = 1", "data = 8"));
    let (hardware, training) = (plan.hardware.clone().unwrap(), plan.training.clone().unwrap());
    let missing = |change: fn(&mut llmplan_spec::plan::Hardware)| {
        let mut hardware = hardware.clone();
        change(&mut hardware);
        System::of(&hardware, &training)
    };
    assert_eq!(missing(|own| own.device.peak.bf16 = None), Err("device.peak.bf16"));
    assert_eq!(missing(|own| own.device.memory_bandwidth = None), Err("device.memory_bandwidth"));
    let torus = missing(|own| own.device.network = None).unwrap();
    assert_eq!(torus.link, torus.network);
    let alone = |own: &mut llmplan_spec::plan::Hardware| {
        own.device.network = None;
        own.device.link = None;
    };
    // Within a node, boards without links reach each other through their host; beyond it, and without one, nothing does.
    let hosted = missing(alone).unwrap();
    let share = hosted.link / torus.link * hardware.device.link.unwrap();
    assert!((share / hardware.device.host_link.unwrap() - 1.0).abs() < 1e-12, "{share}");
    let bare = |own: &mut llmplan_spec::plan::Hardware| {
        (own.device.network, own.device.link, own.device.host_link) = (None, None, None);
    };
    assert_eq!(missing(bare), Err("device.link"));
    let several = |own: &mut llmplan_spec::plan::Hardware| {
        (own.device.network, own.device.link, own.devices) = (None, None, 16);
    };
    assert_eq!(missing(several), Err("device.network"));
}

/// Korthikanti 2022 table 5: 22B on 8 A100s with full recomputation, and with selective and sequence parallelism.
#[test]
fn published_steps_are_met_roughly() {
    let step = |training: &str, parallel: bool| {
        timed(&format!(
            "model m {{\n layers = 48\n d_model = 6144\n vocab = 51200\n context = 2048\n tied_embeddings = true\n \
             attention {{\n heads = 64\n position = learned\n qkv_bias = true\n output_bias = true\n }}\n ffn {{\n \
             kind = gelu\n d_ff = 24576\n bias = true\n }}\n norm {{\n kind = layernorm\n }}\n}}\nhardware {{\n \
             device = a100-80gb\n devices = 8\n}}\ntraining {{\n precision = fp16\n sequence = 2048\n attention = plain\n \
             dropout = 10%\n global_batch = 4 sequences\n micro_batch = 4\n checkpointing = {training}\n parallelism {{\n \
             tensor = 8\n sequence_parallel = {parallel}\n }}\n}}\n"
        ))
        .total()
    };
    let (full, selective) = (step("full", false), step("selective", true));
    assert!((full / 1.42 - 1.0).abs() < 0.15, "{full}");
    assert!((selective / 1.10 - 1.0).abs() < 0.15, "{selective}");
}

proptest! {
    #[test]
    fn a_product_never_exceeds_its_reach(
        copies in 1_u32..64, m in 1_u32..20_000, n in 1_u32..20_000, k in 1_u32..20_000
    ) {
        let system = system();
        let own = Product {
            copies: f64::from(copies),
            rows: f64::from(m),
            columns: f64::from(n),
            depth: f64::from(k),
            reach: system.layers,
            bytes: 0.0,
        };
        let seconds = system.product(&own);
        prop_assert!(own.flops() / seconds <= system.layers * (1.0 + 1e-12));
        prop_assert!(system.layers <= system.peak);
        // Rows that are added never make it faster.
        let more = Product { rows: own.rows * 2.0, ..own };
        prop_assert!(system.product(&more) >= seconds * (1.0 - 1e-12));
    }

    #[test]
    fn collectives_over_two_levels_beat_the_slower_one(
        ranks in 1_u64..2048, stride in 1_u64..16, bytes in 1.0_f64..1e10
    ) {
        let both = system();
        let group = Group::new(ranks, stride);
        // One level alone: every device a node of its own.
        let flat = System { node: 1.0, ..both };
        prop_assert!(both.all_reduce(group, bytes) <= flat.all_reduce(group, bytes) * (1.0 + 1e-12));
        prop_assert!(
            both.scatter_or_gather(group, bytes) <= flat.scatter_or_gather(group, bytes) * (1.0 + 1e-12)
        );
        prop_assert!(both.all_to_all(group, bytes, 1.0) <= flat.all_to_all(group, bytes, 1.0) * (1.0 + 1e-12));
        // A sum is no quicker than its halves allow, and twice the bytes take no more than twice the time.
        prop_assert!(both.all_reduce(group, 2.0 * bytes) <= 2.0 * both.all_reduce(group, bytes) * (1.0 + 1e-12));
        let alone = Group::new(1, stride);
        prop_assert_eq!(both.all_reduce(alone, bytes), 0.0);
        prop_assert_eq!(both.scatter_or_gather(alone, bytes), 0.0);
        prop_assert_eq!(both.all_to_all(alone, bytes, 1.0), 0.0);
        // Copies for one node leave for it once.
        prop_assert!(both.all_to_all(group, bytes, 8.0) <= both.all_to_all(group, bytes, 1.0) * (1.0 + 1e-12));
        prop_assert_eq!(both.next(alone, bytes), 0.0);
    }
}
