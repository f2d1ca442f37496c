//! What is run of a plan: for every model of the catalog, within every limit.

use std::collections::BTreeMap;
use std::mem::discriminant;

use llmplan_analysis::folds::{self, Counts};
use llmplan_analysis::graph::{Component, Graph, Kind, lower};
use llmplan_analysis::saved::{Keep, Shape, saved};
use llmplan_exec::validate::{Choice, Extent, Limits, choose, ladder, needed, slices, sorts, together};
use llmplan_exec::{Flops, States, Times, Trial};
use llmplan_spec::catalog;
use llmplan_spec::plan::{Mixer, Model, Plan, Position};
use llmplan_tests::resolved;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// T of the sequences here.
const TOKENS: u64 = 64;

fn plan(text: &str) -> Plan {
    let (_, resolution) = resolved(text);
    assert!(resolution.diagnostics.is_empty(), "{text}\n{:?}", resolution.diagnostics);
    resolution.plans.into_iter().next().unwrap()
}

/// Every model of the catalog, by name.
fn models() -> impl Iterator<Item = (&'static str, Model)> {
    catalog::names("model").map(|name| (name, plan(&format!("plan p {{\n  model = {name}\n}}\n")).model))
}

/// What the operators of each block are, whatever their sizes: names, what they are counted under, tensors.
fn operators(graph: &Graph) -> Vec<(String, Vec<String>)> {
    let tensors = |operator: &llmplan_analysis::graph::Operator| {
        let own = operator.weights.iter().map(|tensor| format!("{}:{}", tensor.name, tensor.trained));
        format!("{} {:?} {:?}", operator.name, operator.component, own.collect::<Vec<_>>())
    };
    let block = |block: &llmplan_analysis::graph::Block| {
        (block.name.clone(), block.operators.iter().map(tensors).collect())
    };
    graph.blocks.iter().map(block).collect()
}

/// Sizes that must divide each other, and choices that sizes must leave room for.
fn sound(name: &str, model: &Model) {
    for kind in &model.kinds {
        match &kind.layer.mixer {
            Mixer::Attention(own) => {
                assert!(own.kv_heads > 0 && own.heads % own.kv_heads == 0, "{name}: {own:?}");
                assert!(own.rope_dim <= own.head_dim && own.v_dim > 0, "{name}: {own:?}");
                if let Some(latent) = own.latent {
                    assert_eq!(own.head_dim, latent.nope_dim + own.rope_dim, "{name}");
                    assert_eq!(own.heads, own.kv_heads, "{name}");
                }
            }
            Mixer::Mamba2(own) => {
                assert!(own.d_inner % own.head_dim == 0 && own.heads() % own.groups == 0, "{name}: {own:?}");
            }
            Mixer::GatedDelta(own) => assert_eq!(own.value_heads % own.key_heads, 0, "{name}: {own:?}"),
            Mixer::None => {}
        }
        if let llmplan_spec::plan::FeedForward::Moe(own) = kind.layer.feed_forward {
            assert!(own.experts_per_token >= 1 && own.experts_per_token <= own.experts, "{name}: {own:?}");
            assert!(own.imbalance <= own.experts as f64 / own.experts_per_token as f64, "{name}: {own:?}");
        }
    }
    assert_eq!(model.kinds.iter().map(|kind| kind.count).sum::<u64>(), model.layers, "{name}");
    assert_eq!(model.order.iter().map(|run| run.repeat).sum::<u64>(), model.layers, "{name}");
    assert!(model.position_rows.is_none_or(|rows| rows >= TOKENS), "{name}");
}

fn params(model: &Model) -> u128 {
    folds::params(&lower(model)).and_then(|counts| counts.total()).unwrap()
}

/// Proxies are the architecture: each kind of layer with each of its operators and tensors, at four sizes or more.
#[test]
fn ladders_keep_every_model_of_the_catalog() {
    let mut known = 0;
    for (name, model) in models() {
        let whole = lower(&model);
        for light in [false, true] {
            let rungs = ladder(&model, TOKENS, light);
            assert!(rungs.len() >= 4, "{name}: {}", rungs.len());
            let mut before = 0;
            for small in &rungs {
                sound(name, small);
                assert_eq!(operators(&lower(small)), operators(&whole), "{name}");
                for (small, kind) in small.kinds.iter().zip(&model.kinds) {
                    same_features(name, &small.layer.mixer, &kind.layer.mixer);
                }
                let own = params(small);
                assert!(own > before, "{name}: {own} of width {} behind {before}", small.d_model);
                assert!(own <= params(&model), "{name}");
                before = own;
            }
        }
        known += 1;
    }
    assert!(known > 220, "{known}");
}

/// What no operator's name tells.
fn same_features(name: &str, small: &Mixer, whole: &Mixer) {
    let (Mixer::Attention(small), Mixer::Attention(whole)) = (small, whole) else { return };
    assert_eq!(discriminant(&small.reach), discriminant(&whole.reach), "{name}");
    assert_eq!((small.position, small.qk_norm), (whole.position, whole.qk_norm), "{name}");
    assert_eq!(small.kv_heads < small.heads, whole.kv_heads < whole.heads, "{name}: groups");
    if whole.position == Position::Rope && whole.rope_dim > 0 {
        assert!(small.rope_dim > 0 && small.rope_dim % 2 == 0, "{name}: {}", small.rope_dim);
        let part = |own: &llmplan_spec::plan::Attention| own.rope_dim < own.head_dim;
        assert_eq!(part(small), part(whole), "{name}: a part of a head is rotated");
    }
}

/// What a run of a graph counts, if it is what the folds say.
fn counted(model: &Model, keep: &[Keep]) -> Trial {
    let graph = lower(model);
    let by_component = |counts: Counts| -> BTreeMap<Component, u128> {
        let of = |component| (component, counts.of(component));
        Component::ALL.into_iter().map(of).filter(|(_, count)| *count > 0).collect()
    };
    let own = |layer: usize| keep.get(layer).copied().unwrap_or_default();
    let forward = folds::dense_flops(&graph, TOKENS).unwrap();
    let recompute = folds::recomputed_flops(&graph, TOKENS, &own).unwrap();
    let total = folds::params(&graph).unwrap().total().unwrap();
    let shape = Shape { sequences: 1, tokens: TOKENS, bytes: 2 };
    let mut saved = saved(&graph, shape, &own).unwrap();
    saved.retain(|_, bytes| *bytes > 0);
    Trial {
        parameters: by_component(folds::params(&graph).unwrap()),
        buffers: by_component(folds::buffers(&graph).unwrap()),
        flops: Flops { forward, backward: 2 * forward, recompute },
        saved,
        states: States {
            weights: 2 * total,
            gradients: 4 * total,
            master: 4 * total,
            first_moment: total,
            second_moment: total,
            scales: 8 * folds::optimizer_blocks(&graph, 256).unwrap(),
        },
        instants: Vec::new(),
        losses: Vec::new(),
        times: Times::default(),
        classes: BTreeMap::new(),
    }
}

/// Slopes and an intercept are the whole, whatever its layers keep: values, FLOPs, saved bytes by tag and states, all of
/// them to the digit. Modules of multi-token prediction are a slope too.
#[test]
fn slices_add_up_to_every_model_of_the_catalog() {
    let (mut modules, mut mixed) = (0, 0);
    for (name, mut model) in models() {
        // The catalog's models are listed as they are served, without modules.
        model.mtp = if model.embedding_width == model.d_model { 3 } else { 0 };
        let layers = usize::try_from(model.layers).unwrap();
        let every_third = |layer: usize| if layer.is_multiple_of(3) { Keep::Input } else { Keep::Selective };
        for keep in [vec![Keep::All; layers], (0..layers).map(every_third).collect()] {
            let slices = slices(&model, &keep);
            let trials: Vec<Trial> = slices.iter().map(|own| counted(&own.model, &own.keep)).collect();
            let trials: Vec<&Trial> = trials.iter().collect();
            assert_eq!(together(&model, &keep, &trials), Some(counted(&model, &keep)), "{name}");
            assert_eq!(sorts(&model, &keep).iter().map(|sort| sort.count).sum::<u64>(), model.layers);
            // A slice that is missing, or not the one it should be, does not go unseen.
            assert_eq!(together(&model, &keep, &trials[1..]), None, "{name}");
            modules += usize::from(model.mtp > 0);
            mixed += usize::from(model.kinds.len() > 1);
        }
    }
    assert!(modules > 400 && mixed > 20, "{modules} {mixed}");
}

/// A layer that is not as it should be shows in the sum.
#[test]
fn a_wrong_slice_shows_in_the_sum() {
    let (_, model) = models().find(|(name, _)| *name == "llama-3.2-1b").unwrap();
    let keep = vec![Keep::All; 16];
    let slices = slices(&model, &keep);
    let mut wrong: Vec<Trial> = slices.iter().map(|own| counted(&own.model, &own.keep)).collect();
    wrong[1].flops.forward += 1;
    *wrong[1].parameters.get_mut(&Component::Qkv).unwrap() += 1;
    let trials: Vec<&Trial> = wrong.iter().collect();
    let (sum, whole) = (together(&model, &keep, &trials).unwrap(), counted(&model, &keep));
    // Sixteen layers less the one that is in the intercept.
    assert_eq!(sum.flops.forward, whole.flops.forward + 15);
    assert_eq!(sum.parameters[&Component::Qkv], whole.parameters[&Component::Qkv] + 15);
}

/// A model of any number of layers is answered at once.
#[test]
fn layers_without_number_are_no_work() {
    let mut model = models().next().unwrap().1;
    model.layers = 1 << 60;
    model.kinds.truncate(1);
    model.kinds[0].count = 1 << 60;
    model.order = vec![llmplan_spec::plan::Run { kind: 0, repeat: 1 << 60 }];
    assert_eq!(
        sorts(&model, &[Keep::Input; 3]).iter().map(|sort| sort.count).collect::<Vec<_>>(),
        [3, (1 << 60) - 3]
    );
    let mut plan = plan("plan p {\n  model = llama-3.2-1b\n}\n");
    plan.model = model;
    if let Ok(choice) = choose(&plan, &limits(1e3, 2 << 30)) {
        assert_eq!(choice.extent, Extent::Proxies);
    }
}

fn limits(seconds: f64, memory: u64) -> Limits {
    Limits { seconds, memory, steps: 2, rate: 80e9, fused: true }
}

/// What was chosen keeps to the memory, and is of the sort that it says it is.
fn kept(name: &str, choice: &Choice, limits: &Limits) {
    for run in &choice.runs {
        assert!(needed(run.forecast.peak) <= u128::from(limits.memory), "{name}: {}", run.label);
        assert!(
            run.graph
                .blocks
                .iter()
                .flat_map(|block| &block.operators)
                .any(|own| matches!(own.kind, Kind::Loss { .. }))
        );
    }
    match choice.extent {
        Extent::Whole => assert_eq!(choice.runs.len(), 1, "{name}"),
        Extent::Slices => assert!(choice.runs.len() >= 2, "{name}"),
        Extent::Proxies => assert!(choice.runs.len() >= 4, "{name}: {} proxies", choice.runs.len()),
    }
    assert!(choice.why.chars().any(|c| c.is_ascii_digit()), "{name}: {}", choice.why);
}

/// Within a minute and 8 GiB there is something to run of every model.
#[test]
fn every_model_of_the_catalog_can_be_validated() {
    let mut extents = BTreeMap::new();
    for name in catalog::names("model") {
        let plan = plan(&format!("plan p {{\n  model = {name}\n}}\n"));
        let limits = limits(60.0, 8 << 30);
        let choice = choose(&plan, &limits).unwrap_or_else(|refused| panic!("{name}: {}", refused.0));
        kept(name, &choice, &limits);
        *extents.entry(format!("{:?}", choice.extent)).or_insert(0) += 1;
    }
    assert!(extents.len() >= 2, "{extents:?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        rng_seed: RngSeed::Fixed(20_261_125),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever the model, its training and the limits are: no run is forecast to take more than is allowed.
    #[test]
    fn no_choice_exceeds_the_memory(
        at in 0_usize..10_000,
        memory in 20_u32..40,
        odd in 0_u64..1 << 20,
        seconds in 0.01_f64..1e4,
        precision in prop::sample::select(vec!["fp32", "bf16", "fp16"]),
        optimizer in prop::sample::select(vec!["sgd", "momentum", "adamw", "adam8bit"]),
        checkpointing in prop::sample::select(vec!["none", "selective", "full"]),
        micro_batch in 1_u64..64,
    ) {
        let names: Vec<&str> = catalog::names("model").collect();
        let name = names[at % names.len()];
        let plan = plan(&format!(
            "plan p {{\n  model = {name}\n}}\n\ntraining {{\n  precision = {precision}\n  optimizer = {optimizer}\n  \
             checkpointing = {checkpointing}\n  micro_batch = {micro_batch}\n}}\n"
        ));
        let limits = limits(seconds, (1_u64 << memory) + odd);
        match choose(&plan, &limits) {
            Ok(choice) => kept(name, &choice, &limits),
            Err(refused) => assert!(refused.0.chars().any(|c| c.is_ascii_digit()), "{}", refused.0),
        }
    }
}
