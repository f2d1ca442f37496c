//! Bytes that the process holds while a model trains, against those that were counted beforehand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod models;

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::Device;
use llmplan_analysis::graph::lower;
use llmplan_analysis::saved::Keep;
use llmplan_exec::meter::allocator::Counting;
use llmplan_exec::optimizer::Kind;
use llmplan_exec::{Moment, Setup, Trial, forecast, trial};
use llmplan_spec::plan::Precision;
use llmplan_tests::resolved;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocator counts the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn setup() -> Setup {
    Setup {
        precision: Precision::Fp32,
        gradients: Precision::Fp32,
        optimizer: Kind::Adamw,
        optimizer_block: 256,
        offload: false,
        loss_scale: 1.0,
        keep: Vec::new(),
        sequences: 2,
        tokens: 256,
        documents: None,
        micro_batches: 1,
        steps: 3,
    }
}

const GPT: &str = include_str!("data/gpt.llm");

/// Bytes at an instant.
fn at(done: &Trial, moment: Moment) -> f64 {
    done.instants.iter().find(|instant| instant.moment == moment).unwrap().bytes as f64
}

/// What lives is what was counted: at most 0.2 % more, for shapes and headers.
#[test]
fn what_lives_is_what_was_counted() {
    let _alone = alone();
    let (_, resolution) = resolved(GPT);
    let graph = lower(&resolution.plans[0].model);
    for (precision, gradients, optimizer) in [
        (Precision::Fp32, Precision::Fp32, Kind::Adamw),
        (Precision::Bf16, Precision::Bf16, Kind::Adamw),
        (Precision::Bf16, Precision::Fp32, Kind::Adamw),
        (Precision::Fp16, Precision::Fp16, Kind::Adam8bit),
        (Precision::Fp32, Precision::Fp32, Kind::Sgd),
    ] {
        let setup = Setup { precision, gradients, optimizer, steps: 1, loss_scale: 64.0, ..setup() };
        let done = trial(&graph, &setup, &Device::Cpu, &mut |_| ()).unwrap();
        for moment in [Moment::Start, Moment::ForwardEnd, Moment::BackwardEnd] {
            let instant = done.instants.iter().find(|instant| instant.moment == moment).unwrap();
            let more = instant.bytes as f64 / instant.payload as f64 - 1.0;
            assert!((0.0..0.002).contains(&more), "{precision:?} {optimizer:?} {moment:?}: {more}");
        }
        // The recipes: 16, 18 and 10 bytes for each parameter, and the scales.
        let params = done.parameters.values().sum::<u128>();
        let each = match (precision, gradients, optimizer) {
            (Precision::Fp32, _, Kind::Sgd) => 8,
            (Precision::Bf16, Precision::Fp32, _) => 18,
            (_, _, Kind::Adam8bit) => 10,
            _ => 16,
        };
        let states = done.states;
        assert_eq!(states.held() + states.gradients - states.scales, each * params);
        assert!(done.losses.iter().all(|loss| loss.is_finite()), "{:?}", done.losses);
    }
}

/// Peaks are forecast within bounds that are stated to users.
#[test]
fn peaks_are_forecast() {
    let _alone = alone();
    let mut graphs = vec![lower(&resolved(GPT).1.plans[0].model)];
    graphs.extend(models::models().iter().step_by(23).map(lower));
    let keeps = [Keep::All, Keep::Selective, Keep::Input].into_iter().cycle();
    for (place, (graph, keep)) in graphs.iter().zip(keeps).enumerate() {
        for precision in [Precision::Fp32, Precision::Bf16] {
            let (sequences, tokens) = if place == 0 { (2, 128) } else { (96, 18) };
            let keep = vec![keep; 6];
            let setup =
                Setup { keep, precision, gradients: precision, steps: 1, sequences, tokens, ..setup() };
            let expected = forecast(graph, &setup, true).unwrap();
            let done = trial(graph, &setup, &Device::Cpu, &mut |_| ()).unwrap();
            assert_eq!(expected.flops, done.flops.total());
            for (moment, forecast) in [
                (Moment::ForwardPeak, expected.forward_peak),
                (Moment::BackwardPeak, expected.backward_peak),
                (Moment::OptimizerPeak, expected.optimizer_peak),
            ] {
                let ratio = at(&done, moment) / forecast as f64;
                let blocks: Vec<&str> =
                    graph.blocks.iter().flat_map(|block| &block.operators).map(|own| own.name).collect();
                assert!((0.8..1.25).contains(&ratio), "{moment:?} {setup:?} {ratio} {blocks:?}");
            }
        }
    }
}
