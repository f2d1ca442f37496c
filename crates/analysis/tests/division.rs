//! One division for memory and for time: what a device holds of a value is what it computes of it, and the weights that it
//! updates are those that it has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod support;

use llmplan_analysis::cluster::block::Tables;
use llmplan_analysis::cluster::division::{Division, divisions, splits};
use llmplan_analysis::cluster::shares::shares;
use llmplan_analysis::cluster::states::block_states;
use llmplan_analysis::cluster::system::System;
use llmplan_analysis::cluster::{Layout, Strategy, Workload};
use llmplan_analysis::graph::{Graph, Part, lower};
use llmplan_spec::plan::Plan;

const TOKENS: u64 = 256;

/// Every kind of mixer and of feed-forward network.
const MODELS: [&str; 6] = [
    "attention {\n heads = 16\n kv_heads = 4\n head_dim = 32\n }\n ffn {\n kind = swiglu\n d_ff = 1024\n }",
    "attention {\n heads = 16\n qkv_bias = true\n output_bias = true\n }\n ffn {\n kind = gelu\n d_ff = 1024\n bias = true\n }",
    "attention {\n kind = mla\n heads = 16\n q_rank = 48\n kv_rank = 32\n nope_dim = 16\n rope_dim = 8\n }\n moe {\n \
     experts = 8\n experts_per_token = 2\n d_ff = 96\n shared_experts = 1\n }\n mtp {\n depth = 1\n }",
    "attention {\n kind = mla\n heads = 16\n kv_rank = 32\n nope_dim = 16\n rope_dim = 8\n absorbed = true\n }",
    "mixer = mamba2\n mamba2 {\n d_inner = 512\n head_dim = 32\n state = 16\n }",
    "mixer = gated_delta\n gated_delta {\n key_heads = 16\n value_heads = 16\n key_dim = 16\n value_dim = 32\n }",
];

fn plan_of(model: &str, parallelism: &str) -> Plan {
    support::plan(&format!(
        "model m {{\n layers = 4\n d_model = 256\n vocab = 1024\n context = 256\n {model}\n}}\nhardware {{\n device = \
         h100-sxm\n devices = 16\n}}\ntraining {{\n precision = bf16\n sequence = {TOKENS}\n global_batch = 64 sequences\n \
         micro_batch = 2\n parallelism {{\n {parallelism}\n }}\n}}\n"
    ))
}

/// Something asked of a plan's workload, and its own layout.
fn with<T>(plan: &Plan, ask: impl Fn(&Workload<'_>, &Layout, &Graph) -> T) -> T {
    let graph = lower(&plan.model);
    let workload = Workload::of(plan, &graph, TOKENS).unwrap();
    let layout = Strategy::of(workload.training, workload.hardware.devices).unwrap().layout();
    ask(&workload, &layout, &graph)
}

fn every() -> Vec<Plan> {
    let mut found = Vec::new();
    for model in MODELS {
        for parallelism in [
            "data = 16",
            "tensor = 8",
            "tensor = 16",
            "tensor = 8\n sequence_parallel = false",
            "tensor = 4\n context = 2\n expert = 4",
            "tensor = 4\n expert_tensor = 4\n expert = 2",
            "tensor = 4\n expert_tensor = 2\n sequence_parallel = false",
        ] {
            let moe = model.contains("moe") || !parallelism.contains("expert");
            if moe {
                found.push(plan_of(model, parallelism));
            }
        }
    }
    found
}

/// What a device writes of a value that is not summed over others is what it holds of it.
#[test]
fn a_device_holds_what_it_computes() {
    for plan in every() {
        with(&plan, |_, layout, graph| {
            for block in &graph.blocks {
                let splits = splits(block);
                let shares = shares(block, layout, TOKENS);
                for ((operator, share), division) in block.operators.iter().zip(&shares).zip(divisions(block))
                {
                    let width = block.widths[operator.output.0];
                    let all = u128::from(layout.micro_batch * TOKENS * width);
                    let held = splits[operator.output.0].values(all, layout) as f64;
                    let made = share.rows * width as f64 / share.outer;
                    let name = format!("{} {}", block.name, operator.name);
                    match division {
                        // Divided among them, or summed, on the way.
                        Division::Rows => assert!(made >= held, "{name}"),
                        Division::Gathered => assert!(made <= held, "{name}"),
                        // Rows of all members of a group meet their experts on each.
                        Division::ExpertColumns | Division::Routed => {
                            let group = layout.expert_tensor as f64;
                            let parts = if division == Division::Routed { 1.0 } else { group };
                            assert!((made * parts - held).abs() <= 1.0, "{name}: {made} {held}");
                        }
                        Division::ExpertRows | Division::Combined => {
                            assert!(made <= held.max(1.0) + 1.0, "{name}: {made} {held}");
                        }
                        _ => assert!((made - held).abs() <= 1.0, "{name}: {made} {held} {layout:?}"),
                    }
                }
            }
        });
    }
}

/// The weights that a device updates and exchanges are those that memory counts, and together the devices have all.
#[test]
fn a_device_updates_what_it_holds() {
    for plan in every() {
        with(&plan, |workload, layout, graph| {
            let system = System::of(workload.hardware, workload.training).unwrap();
            let tables = Tables::of(workload, &system, *layout).unwrap();
            for (block, [load, _]) in graph.blocks.iter().zip(&tables.blocks) {
                let own = block_states(workload, layout, block).unwrap();
                assert_eq!(load.held.dense, own.dense.trained as f64, "{}", block.name);
                assert_eq!(load.held.experts, own.expert.trained as f64, "{}", block.name);
                let values = |experts: bool| -> u64 {
                    let operators = block.operators.iter();
                    let own = operators.filter(|operator| {
                        (operator.name.starts_with("moe.")
                            && operator.weights.iter().any(|tensor| tensor.copies > 1))
                            == experts
                    });
                    let tensors = own.flat_map(|operator| &operator.weights).filter(|own| own.trained);
                    tensors.map(|tensor| tensor.rows * tensor.columns * tensor.copies).sum()
                };
                let experts = layout.expert * layout.expert_tensor;
                assert!(own.dense.trained * layout.tensor >= values(false), "{}", block.name);
                assert!(own.expert.trained * experts >= values(true), "{}", block.name);
                assert!(own.dense.trained <= values(false) && own.expert.trained <= values(true));
            }
        });
    }
}

/// Four heads of keys on sixteen devices: each has one, whole, and computes it.
#[test]
fn copies_of_keys_are_held_and_computed() {
    let held = |tensor: u64| {
        with(&plan_of(MODELS[0], &format!("tensor = {tensor}")), |workload, layout, graph| {
            let block = graph.blocks.iter().find(|block| block.part == Part::Layer).unwrap();
            let keys = block.operators.iter().position(|operator| operator.name == "attention.k").unwrap();
            let outer = shares(block, layout, TOKENS)[keys].outer;
            (block_states(workload, layout, block).unwrap().dense.trained, outer)
        })
    };
    let of = |tensor: u64, keys: u64| {
        // Q and O of 16 heads, K and V of 4, three matrices of the feed-forward network, two norms.
        2 * 256 * 512 / tensor + 2 * 256 * 128 / keys + 3 * 256 * 1024 / tensor + 2 * 256
    };
    assert_eq!(held(4), (of(4, 4), 4.0));
    assert_eq!(held(16), (of(16, 4), 4.0));
}

/// Between the widths of embedding and stream every device has the whole matrix; that of a further prediction is divided
/// by columns, and gathered (Megatron-LM).
#[test]
fn projections_outside_of_layers_are_whole_or_gathered() {
    let outside = "embedding_width = 64\n attention {\n heads = 16\n }";
    with(&plan_of(outside, "tensor = 8"), |workload, layout, graph| {
        let embedding = &graph.blocks[0];
        let own = block_states(workload, layout, embedding).unwrap().dense.trained;
        assert_eq!(own, 1024 * 64 / 8 + 64 * 256);
    });
    with(&plan_of(MODELS[2], "tensor = 8"), |_, layout, graph| {
        let block = graph.blocks.iter().find(|block| block.part == Part::Mtp).unwrap();
        let place = block.operators.iter().position(|own| own.name == "mtp.projection").unwrap();
        let (operator, share) = (&block.operators[place], shares(block, layout, TOKENS)[place]);
        assert_eq!(divisions(block)[place].parts(operator, &operator.weights[0], layout), 8);
        assert!(share.gathers && share.reduces && share.outer == 8.0);
    });
}
