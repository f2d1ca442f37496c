//! Pipeline schedules: each closed form equals a replay of the schedule, device by device, and the replay keeps the
//! rules that make it a pipeline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use std::collections::BTreeMap;

use llmplan_analysis::cluster::schedule::order::{Cell, Op};
use llmplan_analysis::cluster::schedule::replay::{Timeline, replay};
use llmplan_analysis::cluster::schedule::{
    Passes, Schedule, Shape, bubble, chunks, in_flight, parameter_copies, runs, synchronized_bubble,
    transfers,
};
use proptest::prelude::*;

const ALL: [Schedule; 6] = [
    Schedule::Gpipe,
    Schedule::OneForwardOneBackward,
    Schedule::ZbH1,
    Schedule::ZbH2,
    Schedule::ZbV,
    Schedule::DualPipe,
];

const EVEN: Passes = Passes { forward: 1.0, input: 1.0, weight: 1.0 };

/// Every shape of a grid in which a schedule runs, with every ratio of passes from 0 to 3.
fn each(schedule: Schedule, mut check: impl FnMut(Shape, Passes, &Timeline)) {
    let all: &[u64] = if schedule == Schedule::OneForwardOneBackward { &[1, 2, 3, 4] } else { &[1] };
    for stages in [1, 2, 3, 4, 6, 8] {
        for micro_batches in [1, 2, 3, 4, 5, 7, 8, 11, 15, 16, 18, 24, 32] {
            for &chunks in all {
                let shape = Shape { stages, chunks, micro_batches };
                for ratio in 0..64 {
                    let [forward, input, weight] = [ratio / 16, ratio / 4 % 4, ratio % 4].map(f64::from);
                    let passes = Passes { forward, input, weight };
                    match replay(schedule, shape, passes) {
                        Some(timeline) => check(shape, passes, &timeline),
                        None => assert!(!runs(schedule, shape), "{schedule:?} {shape:?}"),
                    }
                }
            }
        }
    }
}

/// Where the documentation of `bubble` claims no more than an upper bound.
fn bounded(schedule: Schedule, shape: Shape, passes: Passes) -> bool {
    let Shape { stages: p, micro_batches: m, .. } = shape;
    let Passes { forward, input, weight } = passes;
    match schedule {
        Schedule::OneForwardOneBackward => shape.chunks > 1 && m > p && m % p != 0,
        Schedule::ZbV => input < forward || (p < m && m < 2 * p - 1 && forward < weight),
        _ => false,
    }
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * (1.0 + left.abs())
}

#[test]
fn bubbles_equal_a_replay() {
    for schedule in ALL {
        let (mut exact, mut loose) = (0, 0);
        each(schedule, |shape, passes, timeline| {
            let (formula, replayed) = (bubble(schedule, shape, passes), timeline.bubble());
            let what = format!("{schedule:?} {shape:?} {passes:?}: {formula}, replayed {replayed}");
            let work = passes.forward + passes.input + passes.weight;
            if bounded(schedule, shape, passes) {
                loose += 1;
                assert!(formula >= replayed - 1e-9, "{what}");
                // The bounds are of use: no worse than a pipeline whose passes for weights fill nothing.
                assert!(formula <= (shape.stages - 1) as f64 * work + 1e-9, "{what}");
            } else {
                exact += 1;
                assert!(close(formula, replayed), "{what}");
            }
            if schedule != Schedule::ZbV || passes.weight <= passes.forward {
                assert!(close(timeline.devices[0].idle, replayed), "{what}, not on the first device");
            }
        });
        assert!(exact > 500, "{schedule:?}: {exact} equal");
        let has_bounds = matches!(schedule, Schedule::OneForwardOneBackward | Schedule::ZbV);
        assert_eq!(loose > 500, has_bounds, "{schedule:?}: {loose} bounded");
    }
}

#[test]
fn the_bound_of_zb_v_is_within_3_percent_of_the_step() {
    each(Schedule::ZbV, |shape, passes, timeline| {
        if shape.micro_batches >= 2 * shape.stages - 1 {
            let step = shape.micro_batches as f64 * (passes.forward + passes.input + passes.weight);
            assert!(
                bubble(Schedule::ZbV, shape, passes) <= timeline.bubble() + 0.03 * step,
                "{shape:?} {passes:?}"
            );
        }
    });
}

#[test]
fn a_step_takes_its_work_and_the_synchronized_bubble() {
    for schedule in ALL {
        each(schedule, |shape, passes, timeline| {
            let work = shape.micro_batches as f64 * (passes.forward + passes.input + passes.weight);
            let formula = work + synchronized_bubble(schedule, shape, passes);
            let replayed = timeline.makespan();
            let what = format!("{schedule:?} {shape:?} {passes:?}: {formula}, replayed {replayed}");
            let few = schedule == Schedule::ZbV && shape.micro_batches < 2 * shape.stages - 1;
            if few || bounded(schedule, shape, passes) {
                assert!(formula >= replayed - 1e-9, "{what}");
            } else {
                assert!(close(formula, replayed), "{what}");
            }
        });
    }
}

#[test]
fn activations_in_flight_equal_a_replay_on_every_stage() {
    for schedule in ALL {
        each(schedule, |shape, passes, timeline| {
            for (stage, device) in (0..).zip(&timeline.devices) {
                let formula = in_flight(schedule, shape, stage);
                let what = format!("{schedule:?} {shape:?} {passes:?}, stage {stage}: {formula}");
                let interleaved = schedule == Schedule::OneForwardOneBackward && shape.chunks > 1;
                if interleaved && shape.micro_batches % shape.stages != 0 {
                    assert!(formula >= device.in_flight, "{what} below {}", device.in_flight);
                } else {
                    assert_eq!(formula, device.in_flight, "{what}");
                }
            }
        });
    }
}

/// Where in the model a chunk is, as the papers draw it.
fn position(schedule: Schedule, shape: Shape, device: u64, chunk: u64) -> u64 {
    let p = shape.stages;
    match (schedule, chunk) {
        (_, 0) => device,
        (Schedule::ZbV, _) => 2 * p - 1 - device,
        (Schedule::DualPipe, _) => p - 1 - device,
        _ => chunk * p + device,
    }
}

#[test]
fn a_replay_runs_every_pass_once_after_what_it_needs() {
    for schedule in ALL {
        let ratio = Passes { forward: 2.0, input: 3.0, weight: 1.0 };
        each(schedule, |shape, passes, timeline| {
            if passes != ratio {
                return;
            }
            // By kind of pass, micro-batch and position in the model: when it runs.
            let mut ran: BTreeMap<(char, u64, u64), (f64, f64)> = BTreeMap::new();
            for (number, device) in (0..).zip(&timeline.devices) {
                let mut free = 0.0;
                for slot in &device.slots {
                    assert!(slot.start >= free, "two passes at once");
                    free = slot.end;
                    let mut note = |kind: char, cell: Cell| {
                        let key = (kind, cell.micro_batch, position(schedule, shape, number, cell.chunk));
                        assert!(
                            ran.insert(key, (slot.start, slot.end)).is_none(),
                            "{schedule:?} {key:?} twice"
                        );
                    };
                    match slot.op {
                        Op::Forward(cell) => note('F', cell),
                        Op::Input(cell) => note('B', cell),
                        Op::Weight(cell) => note('W', cell),
                        Op::Backward(cell) => ['B', 'W'].into_iter().for_each(|kind| note(kind, cell)),
                        Op::Overlapped { forward, backward } => {
                            note('F', forward);
                            ['B', 'W'].into_iter().for_each(|kind| note(kind, backward));
                        }
                    }
                }
            }
            let depth = shape.stages * chunks(schedule, shape.chunks);
            assert_eq!(ran.len() as u64, 3 * depth * shape.micro_batches, "{schedule:?} {shape:?}");
            for (&(kind, batch, at), &(start, _)) in &ran {
                let needs = match kind {
                    'F' => vec![at.checked_sub(1).map(|before| ('F', batch, before))],
                    'B' => vec![Some(('F', batch, at)), (at + 1 < depth).then_some(('B', batch, at + 1))],
                    _ => Vec::new(),
                };
                for need in needs.into_iter().flatten() {
                    assert!(ran[&need].1 <= start, "{schedule:?} {shape:?}: {need:?} late");
                }
                if kind == 'W' {
                    assert!(ran[&('B', batch, at)].0 <= start, "{schedule:?} {shape:?}: weights first");
                }
            }
        });
    }
}

#[test]
fn published_figures_come_out() {
    let of = |stages, chunks, micro_batches| Shape { stages, chunks, micro_batches };
    // Narayanan 2021 §2.2: the bubble is (p − 1)/m of the work, over v where interleaved; memory of Korthikanti 2022 §4.2.3.
    let one = Schedule::OneForwardOneBackward;
    assert_eq!(bubble(one, of(8, 1, 64), EVEN) / (64.0 * 3.0), 7.0 / 64.0);
    assert_eq!(bubble(one, of(8, 4, 64), EVEN) / (64.0 * 3.0), 7.0 / 64.0 / 4.0);
    assert_eq!(in_flight(one, of(8, 3, 64), 0), 8.0 * (1.0 + 7.0 / 24.0));
    // Qi 2023 §2 with F = B = W: a third of the bubble of 1F1B, and none with 2p − 1 micro-batches in flight.
    assert_eq!(bubble(Schedule::ZbH1, of(4, 1, 8), EVEN), bubble(one, of(4, 1, 8), EVEN) / 3.0);
    assert_eq!(bubble(Schedule::ZbH2, of(4, 1, 8), EVEN), 0.0);
    assert_eq!(in_flight(Schedule::ZbH2, of(4, 1, 8), 0), 7.0);
    // Qi 2024: none in the memory of 1F1B, on every device.
    assert_eq!(bubble(Schedule::ZbV, of(4, 1, 8), EVEN), 0.0);
    assert!((0..4).all(|stage| in_flight(Schedule::ZbV, of(4, 1, 8), stage) == 4.0));
    // DeepSeek-V3 table 2 and figure 5: 8 devices, 20 micro-batches, its B is input and weight.
    assert_eq!(bubble(Schedule::DualPipe, of(8, 1, 20), EVEN), 3.0 * (3.0 + 2.0 - 3.0));
    assert_eq!(in_flight(Schedule::DualPipe, of(8, 1, 20), 3), 9.0);
    assert_eq!(parameter_copies(Schedule::DualPipe), 2);
    assert_eq!((transfers(Schedule::ZbV, 1), transfers(one, 3), transfers(Schedule::ZbH1, 3)), (2, 3, 1));
}

#[test]
fn dual_pipe_needs_an_even_pipeline_and_two_micro_batches_for_each_stage() {
    for (stages, micro_batches, expected) in [(8, 16, true), (8, 15, false), (8, 14, false), (7, 20, false)] {
        let shape = Shape { stages, chunks: 1, micro_batches };
        assert_eq!(runs(Schedule::DualPipe, shape), expected);
        assert_eq!(replay(Schedule::DualPipe, shape, EVEN).is_some(), expected);
    }
}

proptest! {
    #[test]
    fn fewer_gaps_in_better_schedules(
        (p, m, v) in (1_u64..200, 1_u64..2000, 1_u64..12),
        (forward, input, weight) in (0.0..9.0_f64, 0.0..9.0_f64, 0.0..9.0_f64),
    ) {
        let passes = Passes { forward, input, weight };
        let of = |schedule, chunks| bubble(schedule, Shape { stages: p, chunks, micro_batches: m }, passes);
        let one = of(Schedule::OneForwardOneBackward, 1);
        let slack = 1e-9 * (1.0 + one);
        prop_assert_eq!(of(Schedule::Gpipe, 1), one);
        prop_assert!(of(Schedule::ZbH2, 1) <= of(Schedule::ZbH1, 1) + slack);
        prop_assert!(of(Schedule::ZbH1, 1) <= one + slack);
        prop_assert!(of(Schedule::ZbV, 1) <= one + slack);
        prop_assert!(of(Schedule::OneForwardOneBackward, v) <= one + slack);
        for schedule in ALL {
            prop_assert!(of(schedule, v) >= 0.0, "{:?}", schedule);
            let shape = Shape { stages: p, chunks: v, micro_batches: m };
            prop_assert!(synchronized_bubble(schedule, shape, passes) >= of(schedule, v));
            if p == 1 {
                prop_assert_eq!(synchronized_bubble(schedule, shape, passes), 0.0);
            }
        }
    }

    #[test]
    fn micro_batches_beyond_a_full_pipeline_change_no_bubble(
        (p, more, v) in (1_u64..60, 1_u64..50, 1_u64..8),
        (forward, input, weight) in (0.0..9.0_f64, 0.0..9.0_f64, 0.0..9.0_f64),
    ) {
        let passes = Passes { forward, input, weight };
        for schedule in ALL {
            let at = |micro_batches| {
                let shape = Shape { stages: p, chunks: v, micro_batches };
                (bubble(schedule, shape, passes), synchronized_bubble(schedule, shape, passes))
            };
            prop_assert_eq!(at(2 * p), at(2 * p + more * p), "{:?}", schedule);
            let full = Shape { stages: p, chunks: v, micro_batches: 3 * p };
            let fuller = Shape { micro_batches: 3 * p + more * p, ..full };
            for stage in 0..p {
                let (few, many) = (in_flight(schedule, full, stage), in_flight(schedule, fuller, stage));
                prop_assert_eq!(few == many, schedule != Schedule::Gpipe, "{:?}", schedule);
            }
        }
    }

    #[test]
    fn no_shape_is_too_large(p in any::<u64>(), m in any::<u64>(), v in any::<u64>(), stage in any::<u64>()) {
        for (stages, chunks, micro_batches) in [(p, v, m), (u64::MAX, u64::MAX, u64::MAX), (0, 0, 0), (p, 0, 0), (0, v, m)] {
            let shape = Shape { stages, chunks, micro_batches };
            for schedule in ALL {
                prop_assert!(bubble(schedule, shape, EVEN).is_finite());
                prop_assert!(synchronized_bubble(schedule, shape, EVEN).is_finite());
                prop_assert!(in_flight(schedule, shape, stage).is_finite());
                prop_assert!(in_flight(schedule, shape, 0) >= 0.0);
                prop_assert!(replay(schedule, shape, EVEN).is_none() || stages.checked_mul(micro_batches).is_some());
            }
        }
    }
}
