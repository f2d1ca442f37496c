//! Rows of a validation: all of them hold for what was predicted, and each of them can fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use std::collections::{BTreeMap, BTreeSet};

use llmplan_analysis::folds::{self, Counts};
use llmplan_analysis::graph::Component;
use llmplan_analysis::saved::{Shape, Tag, saved};
use llmplan_exec::validate::{Amount, Limits, Planned, Row, Tolerance, by_convention, choose, compare};
use llmplan_exec::{Flops, Instant, Moment, States, Times, Trial};
use llmplan_spec::plan::{AttentionConvention, Plan};
use llmplan_tests::resolved;

/// With a window and packed documents, of which tensors take no notice; in 16 bits, with scales and what runs again.
const PLAN: &str = "model wide {
  layers = 4
  d_model = 256
  vocab = 4000
  context = 512

  attention {
    heads = 4
    kv_heads = 2
    window = 64
  }

  moe {
    experts = 4
    experts_per_token = 2
    d_ff = 256
    correction_bias = true
  }
}

training {
  precision = bf16
  gradients = fp32
  optimizer = adam8bit
  sequence = 256
  documents = 96
  checkpointing = selective
}
";

fn plan() -> Plan {
    let (_, resolution) = resolved(PLAN);
    assert!(resolution.diagnostics.is_empty(), "{:?}", resolution.diagnostics);
    resolution.plans.into_iter().next().unwrap()
}

fn run() -> Planned {
    let limits = Limits { seconds: 1e4, memory: 8 << 30, steps: 1, rate: 50e9, fused: false };
    choose(&plan(), &limits).unwrap().runs.into_iter().next().unwrap()
}

fn by_component(counts: Counts) -> BTreeMap<Component, u128> {
    let of = |component| (component, counts.of(component));
    Component::ALL.into_iter().map(of).filter(|(_, count)| *count > 0).collect()
}

/// The trial of a run that did what was predicted, by the folds and not by the comparison.
fn perfect(run: &Planned) -> Trial {
    let (graph, setup) = (&run.graph, &run.setup);
    let all = u128::from(setup.sequences * setup.micro_batches);
    let keep = |layer: usize| setup.keep.get(layer).copied().unwrap_or_default();
    let shape = Shape { sequences: setup.sequences, tokens: setup.tokens, bytes: 2 };
    let params = folds::params(graph).unwrap().total().unwrap();
    let buffers = folds::buffers(graph).unwrap();
    let states = States {
        weights: 2 * params,
        gradients: 4 * params,
        master: 4 * params,
        first_moment: params,
        second_moment: params,
        scales: 8 * folds::optimizer_blocks(graph, setup.optimizer_block).unwrap(),
    };
    let saved = saved(graph, shape, &keep).unwrap();
    let held = states.held() + 2 * buffers.total().unwrap();
    let forward = all * folds::dense_flops(graph, setup.tokens).unwrap();
    let recompute = all * folds::recomputed_flops(graph, setup.tokens, &keep).unwrap();
    let kept = held + saved.values().sum::<u128>();
    let instants = [
        (Moment::Start, held),
        (Moment::ForwardPeak, run.forecast.forward_peak),
        (Moment::ForwardEnd, kept),
        (Moment::BackwardPeak, run.forecast.backward_peak),
        (Moment::BackwardEnd, held + states.gradients),
        (Moment::OptimizerPeak, run.forecast.optimizer_peak),
    ];
    let instant = |(moment, payload)| Instant { moment, payload, bytes: u64::try_from(payload).unwrap() };
    Trial {
        parameters: by_component(folds::params(graph).unwrap()),
        buffers: by_component(buffers),
        flops: Flops { forward, backward: 2 * forward, recompute },
        saved,
        states,
        instants: instants.map(instant).to_vec(),
        losses: vec![8.0, 7.9],
        times: Times::default(),
        classes: BTreeMap::new(),
    }
}

/// The quantities that do not hold.
fn out(run: &Planned, trial: &Trial) -> BTreeSet<String> {
    compare(run, trial).into_iter().filter(|row| !row.holds).map(|row| row.quantity).collect()
}

/// A wrong number that is measured, and the rows that say so.
type Wrong = (&'static str, fn(&mut Trial), &'static [&'static str]);

fn at(trial: &mut Trial, moment: Moment) -> &mut Instant {
    trial.instants.iter_mut().find(|instant| instant.moment == moment).unwrap()
}

const WRONG: [Wrong; 16] = [
    (
        "a value more",
        |trial| *trial.parameters.get_mut(&Component::Qkv).unwrap() += 1,
        &["model.params", "model.params.qkv"],
    ),
    (
        "a value elsewhere",
        |trial| {
            *trial.parameters.get_mut(&Component::Qkv).unwrap() -= 1;
            *trial.parameters.get_mut(&Component::Norm).unwrap() += 1;
        },
        &["model.params.norm", "model.params.qkv"],
    ),
    (
        "a value of a sort that the model has not",
        |trial| {
            trial.parameters.insert(Component::Sinks, 1);
        },
        &["model.params", "model.params.sinks"],
    ),
    ("no buffers", |trial| trial.buffers.clear(), &["model.buffers", "model.buffers.router"]),
    ("a FLOP less forward", |trial| trial.flops.forward -= 1, &["flops.forward"]),
    ("a FLOP more backward", |trial| trial.flops.backward += 1, &["flops.backward"]),
    ("nothing ran again", |trial| trial.flops.recompute = 0, &["flops.recompute"]),
    ("a byte of weights", |trial| trial.states.weights += 1, &["memory.weights"]),
    ("no gradients", |trial| trial.states.gradients = 0, &["memory.gradients"]),
    ("no master weights", |trial| trial.states.master = 0, &["memory.optimizer.master"]),
    (
        "moments of 4 bytes",
        |trial| {
            trial.states.first_moment *= 4;
            trial.states.second_moment *= 4;
        },
        &["memory.optimizer.first_moment", "memory.optimizer.second_moment"],
    ),
    ("a scale less", |trial| trial.states.scales -= 4, &["memory.optimizer.scales"]),
    (
        "logits that are not kept",
        |trial| {
            trial.saved.remove(&Tag { operator: "logits", what: "output" });
        },
        &["activations", "activations.logits"],
    ),
    (
        "something that no list has",
        |trial| {
            trial.saved.insert(Tag { operator: "attention.q", what: "copy" }, 1);
        },
        &["activations", "activations.attention.q.copy"],
    ),
    (
        "as much again as the saved list lives behind the forward pass",
        |trial| {
            let more: u128 = trial.saved.values().sum();
            at(trial, Moment::ForwardEnd).bytes += u64::try_from(more).unwrap();
        },
        &["memory.live.activations", "memory.live.forward_end"],
    ),
    ("a peak twice as high", |trial| at(trial, Moment::BackwardPeak).bytes *= 2, &["memory.peak.backward"]),
];

#[test]
fn what_was_predicted_holds() {
    let run = run();
    let rows = compare(&run, &perfect(&run));
    assert!(rows.iter().all(|row| row.holds && row.error() == Some(0.0)), "{rows:#?}");
    assert!(rows.iter().all(|row| row.tolerance != Tolerance::Told));
    let quantities: BTreeSet<&str> = rows.iter().map(|row| row.quantity.as_str()).collect();
    assert_eq!(quantities.len(), rows.len(), "a quantity has one row");
    // Each row of a count is made to fail below.
    let wrong: BTreeSet<&str> = WRONG.iter().flat_map(|(_, _, rows)| rows.iter().copied()).collect();
    for quantity in quantities {
        let family = ["model.params.", "activations.", "memory.peak.", "memory.live."];
        assert!(
            wrong.contains(quantity) || family.iter().any(|family| quantity.starts_with(family)),
            "{quantity} is never seen to fail"
        );
    }
}

#[test]
fn whatever_is_measured_wrong_fails_and_nothing_else() {
    let run = run();
    for (words, spoil, rows) in WRONG {
        let mut trial = perfect(&run);
        spoil(&mut trial);
        let expected: BTreeSet<String> = rows.iter().map(|row| (*row).to_owned()).collect();
        assert_eq!(out(&run, &trial), expected, "{words}");
    }
}

/// What a convention leaves out, tensors do: the row says how much, and judges nothing.
#[test]
fn a_report_that_counts_less_is_told() {
    let run = run();
    let trial = perfect(&run);
    for attention in [AttentionConvention::Full, AttentionConvention::Causal] {
        let row = by_convention(&run, &trial, attention).unwrap();
        assert_eq!((row.tolerance, row.holds), (Tolerance::Told, true));
        assert!(row.error().is_some_and(|error| error > 0.0), "{row:?}");
    }
    // 96-token documents of which each query sees 64 at the most: of both conventions that is known in closed form.
    let causal = by_convention(&run, &trial, AttentionConvention::Causal).unwrap();
    let dense: u128 = 256 * 256;
    let within = |n: u128| (1..=n).map(|seen| seen.min(64)).sum::<u128>();
    let pairs = 2 * within(96) + within(64);
    // Two products of 256 values for each pair, in four layers.
    let less = (dense - pairs) * 2 * 2 * 256 * 4 * u128::from(run.setup.sequences * run.setup.micro_batches);
    assert_eq!(causal.predicted, Some(Amount::Count(trial.flops.forward - less)));

    let mut plain = run.clone();
    for kind in &mut plain.model.kinds {
        if let llmplan_spec::plan::Mixer::Attention(own) = &mut kind.layer.mixer {
            own.reach = llmplan_spec::plan::Reach::Full;
        }
    }
    plain.graph = llmplan_analysis::graph::lower(&plain.model);
    plain.setup.documents = None;
    assert_eq!(by_convention(&plain, &perfect(&plain), AttentionConvention::Full), None);
}

/// Where nobody meters bytes there is nothing to say about them.
#[test]
fn bytes_that_are_not_metered_have_no_rows() {
    let run = run();
    let trial = Trial { instants: Vec::new(), ..perfect(&run) };
    let rows: Vec<Row> = compare(&run, &trial);
    assert!(rows.iter().all(|row| row.holds && row.tolerance == Tolerance::Exact));
}
