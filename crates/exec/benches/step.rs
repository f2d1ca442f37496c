//! A training step of a small GPT on the CPU: by the tape, and by candle's own differentiation; and where the seconds
//! go. `cargo bench -p llmplan-exec --bench step`; on a machine that does something else the figures mean nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a benchmark prints, and stops where it fails

use std::time::Instant;

use candle_core::{DType, Device, Var};
use llmplan_analysis::graph::lower;
use llmplan_exec::{Batch, Gradients, Model, Pass};
use llmplan_tests::resolved;

const GPT: &str = include_str!("../tests/data/gpt.llm");

const STEPS: usize = 7;

/// The median of the seconds of some work, behind two warm-ups.
fn median(mut work: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..STEPS + 2)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed().as_secs_f64()
        })
        .skip(2)
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[STEPS / 2]
}

fn main() {
    let (_, resolution) = resolved(GPT);
    let graph = lower(&resolution.plans[0].model);
    let ids: Vec<u32> = (0..1024).map(|at| at * 2_654_435 % 8192).collect();
    let batch = Batch { tokens: 256, ids, documents: None };

    let mut model = Model::new(&graph, &Device::Cpu, DType::F32).unwrap();
    let pass = Pass::new(&model, &batch, &[], false).unwrap();
    let mut step = || {
        let mut gradients = Gradients::new(model.parameters().len(), DType::F32);
        let tape = pass.forward().unwrap();
        pass.backward(tape, 1.0, &mut gradients).unwrap();
    };
    step();
    let flops = pass.flops().total() as f64;
    pass.classes();
    let own = median(&mut step);
    let products: f64 = pass.classes().values().map(|class| class.seconds).sum::<f64>() / (STEPS + 2) as f64;

    let vars: Vec<Var> =
        model.parameters().iter().map(|own| Var::from_tensor(&own.tensor).unwrap()).collect();
    for (own, var) in model.parameters_mut().iter_mut().zip(&vars) {
        own.tensor = var.as_tensor().clone();
    }
    let pass = Pass::new(&model, &batch, &[], true).unwrap();
    let candle = median(|| {
        let tape = pass.forward().unwrap();
        tape.losses()[0].backward().unwrap();
    });

    println!("forward and backward, {:.2} GFLOP", flops / 1e9);
    println!("the tape                 {own:.3} s, {:.1} GFLOP/s", flops / own / 1e9);
    println!("its matrix products      {products:.3} s, {:.1} GFLOP/s", flops / products / 1e9);
    println!("share of their rate      {:.1} %", 100.0 * products / own);
    println!("candle's differentiation {candle:.3} s, {:.2} times as long", candle / own);
}
