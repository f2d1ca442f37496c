//! A search finds what looking at everything finds, whatever it passes over and on how many threads it runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use llmplan_analysis::cluster::{Layout, Strategy, Workload};
use llmplan_analysis::graph::{Graph, lower};
use llmplan_analysis::search::prune::Bounds;
use llmplan_analysis::search::space::divisors;
use llmplan_analysis::search::{
    Engine, Estimate, Family, Found, Front, Knob, Objective, Options, Point, Space, apply, changes, search,
};
use llmplan_spec::plan::Plan;
use llmplan_tests::resolved;
use proptest::prelude::*;

const OBJECTIVES: [Objective; 4] = [Objective::Time, Objective::Cost, Objective::Memory, Objective::Devices];

/// Costs that follow no order at all, above a floor that may be anywhere below the least of them.
struct Arbitrary {
    seed: u64,
    /// How far floors are below, as a share.
    slack: f64,
    space: Space,
}

impl Arbitrary {
    fn mixed(&self, strategy: &Strategy, salt: u64) -> f64 {
        let mut state = self.seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let words = [
            strategy.tensor,
            strategy.pipeline,
            strategy.interleave,
            strategy.schedule as u64,
            strategy.context,
            strategy.expert,
            strategy.data,
            strategy.zero,
            strategy.shard,
            strategy.micro_batch,
            strategy.checkpointing as u64,
            strategy.offload as u64,
        ];
        for word in words {
            state = (state ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
            state ^= state >> 31;
        }
        // Few different values, so that many strategies are alike.
        (state % 64) as f64
    }

    fn of(&self, strategy: &Strategy) -> Estimate {
        let layout =
            self.mixed(&Strategy { zero: 0, shard: 0, offload: self.space.offload[0], ..*strategy }, 1);
        Estimate {
            seconds: 1.0 + layout + self.mixed(strategy, 2) / 16.0,
            bytes: (100.0 + layout * 3.0 + self.mixed(strategy, 3)) as u64,
            host: self.mixed(strategy, 4) as u64,
        }
    }
}

impl Engine for Arbitrary {
    type Tables = ();
    type Group<'e> = Estimate;

    fn tables(&self, layout: &Layout) -> Option<()> {
        (layout.micro_batch != 3).then_some(())
    }

    fn group(&self, (): &(), strategy: &Strategy) -> Option<Estimate> {
        let mut least = Estimate { seconds: f64::INFINITY, bytes: u64::MAX, host: 0 };
        self.space.leaves(strategy, |leaf| {
            let own = self.of(leaf);
            least.seconds = least.seconds.min(own.seconds);
            least.bytes = least.bytes.min(own.bytes);
        });
        least.seconds *= self.slack;
        least.bytes = (least.bytes as f64 * self.slack) as u64;
        Some(least)
    }

    fn floor(&self, (): &(), group: &Estimate, _: &Strategy) -> Estimate {
        *group
    }

    fn estimate(&self, (): &(), _: &Estimate, strategy: &Strategy) -> Option<Estimate> {
        Some(self.of(strategy))
    }
}

/// A plan of small numbers with many divisors.
fn plan(devices: u64, batch: u64, layers: u64, experts: u64) -> Plan {
    let network = if experts > 0 {
        format!("moe {{\n experts = {experts}\n experts_per_token = 1\n d_ff = 96\n }}\n")
    } else {
        String::new()
    };
    let text = format!(
        "model m {{\n layers = {layers}\n d_model = 96\n vocab = 512\n attention {{\n heads = 12\n }}\n {network}}}\n\
         hardware {{\n device = a100-80gb\n devices = {devices}\n}}\n\
         training {{\n sequence = 64\n global_batch = {batch} sequences\n micro_batch = 1\n}}\n"
    );
    let (_, mut resolution) = resolved(&text);
    assert!(resolution.diagnostics.is_empty(), "{:?}", resolution.diagnostics);
    resolution.plans.remove(0)
}

fn workload<'a>(plan: &'a Plan, graph: &'a Graph) -> Workload<'a> {
    Workload::of(plan, graph, 64).unwrap()
}

fn found(engine: &Arbitrary, workload: &Workload<'_>, bounds: &Bounds, prune: bool, threads: usize) -> Found {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build().unwrap();
    let pool = (threads > 0).then_some(&pool);
    search(engine, workload, &engine.space, bounds, Options { prune, pool })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pruned_and_exhaustive_search_find_the_same(
        seed in any::<u64>(),
        devices in prop::sample::select(vec![1_u64, 2, 6, 8, 16, 24]),
        batch in prop::sample::select(vec![4_u64, 12, 16]),
        layers in 1_u64..9,
        experts in prop::sample::select(vec![0_u64, 4]),
        slack in 0.3..=1.0,
        fewer in any::<bool>(),
        limit in prop::option::of(100_u64..400),
        seconds in prop::option::of(2.0..70.0),
    ) {
        let plan = plan(devices, batch, layers, experts);
        let graph = lower(&plan.model);
        let workload = workload(&plan, &graph);
        let space = Space::of(&plan.model, &workload, fewer, &[]);
        let engine = Arbitrary { seed, slack, space };
        let bounds = Bounds { device: limit, required: None, host: Some(240), node: 4, seconds };
        let all = found(&engine, &workload, &bounds, false, 0);
        let pruned = found(&engine, &workload, &bounds, true, 0);
        prop_assert_eq!(&all.pareto, &pruned.pareto);
        for objective in OBJECTIVES {
            prop_assert_eq!(all.best(objective), pruned.best(objective));
        }
        prop_assert_eq!(all.strategies, pruned.strategies);
        prop_assert_eq!(all.unable, pruned.unable);
        prop_assert_eq!((all.too_large, all.beaten), (0, 0));
        prop_assert_eq!(all.evaluated, pruned.evaluated + pruned.too_large + pruned.beaten);
        for threads in [1, 2, 5] {
            prop_assert_eq!(&found(&engine, &workload, &bounds, true, threads), &pruned);
        }
        check_exhaustive(&engine, &workload, &bounds, &all)?;
    }

    #[test]
    fn a_front_is_what_nothing_dominates(
        values in prop::collection::vec((1_u64..4, 0_u32..12, 0_u64..12), 0..80),
    ) {
        let plan = plan(24, 12, 4, 0);
        let graph = lower(&plan.model);
        let workload = workload(&plan, &graph);
        let space = Space::of(&plan.model, &workload, true, &[]);
        let mut strategies = Vec::new();
        space.layouts().into_iter().for_each(|layout| space.groups(layout, |own| strategies.push(*own)));
        let points: Vec<Point> = values
            .iter()
            .zip(strategies.iter().cycle().step_by(7))
            .map(|(&(devices, seconds, bytes), &strategy)| {
                Point { devices, seconds: f64::from(seconds), bytes, host: 0, strategy }
            })
            .collect();
        let mut front = Front::default();
        points.iter().for_each(|point| front.offer(*point));
        let kept = front.points();
        for point in &points {
            let dominated = points.iter().any(|other| other.dominates(point));
            prop_assert_eq!(kept.contains(point), !dominated);
        }
        let mut backwards = Front::default();
        points.iter().rev().for_each(|point| backwards.offer(*point));
        prop_assert_eq!(&backwards, &front);
    }
}

/// Every strategy of the space, one after another, in plain words.
fn check_exhaustive(
    engine: &Arbitrary,
    workload: &Workload<'_>,
    bounds: &Bounds,
    found: &Found,
) -> Result<(), TestCaseError> {
    let space = &engine.space;
    let mut points: Vec<Point> = Vec::new();
    let (mut all, mut able) = (0, 0);
    for layout in space.layouts() {
        space.groups(layout, |group| {
            space.leaves(group, |leaf| {
                all += 1;
                assert_eq!(leaf.layout(), layout);
                assert!(space.devices.contains(&leaf.devices()));
                if space.limits.obstacle(workload, leaf).is_some() || layout.micro_batch == 3 {
                    return;
                }
                able += 1;
                let Estimate { seconds, bytes, host } = engine.of(leaf);
                let large =
                    bounds.device.is_some_and(|limit| bytes > limit) || host * leaf.devices().min(4) > 240;
                if large || bounds.seconds.is_some_and(|limit| seconds > limit) {
                    return;
                }
                points.push(Point { devices: leaf.devices(), seconds, bytes, host, strategy: *leaf });
            });
        });
    }
    let mut distinct: Vec<Strategy> = points.iter().map(|point| point.strategy).collect();
    distinct.sort();
    distinct.dedup();
    prop_assert_eq!(distinct.len(), points.len(), "a strategy is there twice");
    prop_assert_eq!((all, able), (found.strategies, found.evaluated));
    prop_assert_eq!(all, found.evaluated + found.unable);
    let rejected: u64 = found.reasons.list().map(|reason| reason.strategies).sum();
    prop_assert_eq!(all, rejected + points.len() as u64);
    for point in &found.pareto {
        prop_assert!(points.contains(point));
        prop_assert!(space.limits.obstacle(workload, &point.strategy).is_none());
    }
    for point in &points {
        let dominated = points.iter().any(|other| other.dominates(point));
        prop_assert_eq!(found.pareto.contains(point), !dominated);
    }
    for objective in OBJECTIVES {
        let best = points.iter().min_by(|one, other| objective.order(one, other));
        prop_assert_eq!(best, found.best(objective));
    }
    Ok(())
}

#[test]
fn a_space_has_every_divisor_and_what_is_kept_as_declared() {
    for whole in 1..200 {
        assert_eq!(divisors(whole), (1..=whole).filter(|part| whole % part == 0).collect::<Vec<_>>());
    }
    assert_eq!(divisors(u64::MAX).first(), Some(&1));
    let plan = plan(24, 12, 4, 0);
    let graph = lower(&plan.model);
    let workload = workload(&plan, &graph);
    let space = Space::of(&plan.model, &workload, true, &[]);
    // Parts of a node of eight, and whole nodes.
    assert_eq!(space.devices, [1, 2, 4, 8, 24]);
    assert_eq!(space.tensor, divisors(24));
    assert_eq!(space.micro_batch, divisors(12));
    assert!(!space.too_large());
    let many = Space { tensor: divisors(720_720), context: divisors(720_720), ..space.clone() };
    assert!(!many.too_large());
    assert!(Space { micro_batch: divisors(720_720), ..many }.too_large());
    let every = [
        Knob::Tensor,
        Knob::Pipeline,
        Knob::Context,
        Knob::Expert,
        Knob::Zero,
        Knob::Schedule,
        Knob::MicroBatch,
        Knob::Checkpointing,
        Knob::Offload,
    ];
    let kept = Space::of(&plan.model, &workload, false, &every);
    let mut left = Vec::new();
    for layout in kept.layouts() {
        kept.groups(layout, |group| kept.leaves(group, |leaf| left.push(*leaf)));
    }
    assert_eq!(left, [Strategy::of(plan.training.as_ref().unwrap(), 24).unwrap()]);
}

#[test]
fn what_cannot_run_is_counted_by_what_keeps_it_from_it() {
    let plan = plan(8, 12, 4, 0);
    let graph = lower(&plan.model);
    let workload = workload(&plan, &graph);
    let space = Space::of(&plan.model, &workload, false, &[]);
    let engine = Arbitrary { seed: 1, slack: 1.0, space };
    let found = found(&engine, &workload, &Bounds { device: Some(0), ..Bounds::default() }, true, 0);
    assert!(found.pareto.is_empty());
    let reason = |family| found.reasons.list().find(|reason| reason.family == family).unwrap();
    use llmplan_analysis::cluster::feasible::Obstacle;
    let tensor = reason(Family::Obstacle(Obstacle::Tensor)).nearest;
    assert_eq!((tensor.value, tensor.limit), (8.0, 12.0));
    let layers = reason(Family::Obstacle(Obstacle::Layers)).nearest;
    assert_eq!((layers.value, layers.limit), (8.0, 4.0));
    // The nearest miss is evaluated, not a bound.
    let memory = reason(Family::DeviceMemory).nearest;
    assert_eq!(engine.of(&memory.strategy).bytes as f64, memory.value);
}

#[test]
fn a_plan_with_a_strategy_is_what_it_would_be_if_its_text_said_so() {
    let plan = plan(24, 12, 4, 0);
    let graph = lower(&plan.model);
    let workload = workload(&plan, &graph);
    let space = Space::of(&plan.model, &workload, true, &[]);
    let mut tried = 0;
    for layout in space.layouts() {
        space.groups(layout, |group| {
            space.leaves(group, |leaf| {
                tried += 1;
                if tried % 37 != 0 {
                    return;
                }
                let mut applied = plan.clone();
                apply(&mut applied, leaf);
                assert!(changes(&applied, leaf).is_empty());
                assert_eq!(Strategy::of(applied.training.as_ref().unwrap(), leaf.devices()), Some(*leaf));
                assert_eq!(applied.hardware.as_ref().unwrap().devices, leaf.devices());
            });
        });
    }
    assert!(tried > 1_000);
}
