//! The best strategy of very many: every one that runs is evaluated, or is in a group that cannot hold anything better.
//!
//! The result depends neither on threads nor on their number: layouts are taken in rounds of fixed size, each layout of a
//! round apart, and what a round found cuts the next ones short.

mod arithmetic;
pub mod engine;
pub mod judge;
pub mod pareto;
pub mod prune;
pub mod reasons;
pub mod space;

mod apply;

pub use apply::{Change, Choice, apply, changes};
pub use arithmetic::{Arithmetic, workload};
pub use engine::{Engine, Estimate};
pub use judge::{Candidate, best, judge};
pub use pareto::{Front, Point};
pub use reasons::{Family, Miss, Reason, Reasons};
pub use space::{Knob, Space};

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::cluster::feasible::Obstacle;
use crate::cluster::{Layout, Strategy, Workload};
use prune::{Bounds, Fate};

/// What is wanted. Every objective is decided among the strategies that nothing dominates: each is better with less time,
/// memory and devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// The shortest step.
    Time,
    /// The fewest device-seconds of a step, and so the least that is paid for devices.
    Cost,
    /// The least memory on a device.
    Memory,
    /// The fewest devices.
    Devices,
}

impl Objective {
    /// Whether it looks at fewer devices than the plan has.
    pub fn varies_devices(self) -> bool {
        matches!(self, Objective::Cost | Objective::Devices)
    }

    /// Which of two is wanted more: `Less` is the first. Time, memory and devices decide between what is alike, and then
    /// the order of strategies.
    pub fn order(self, one: &Point, other: &Point) -> std::cmp::Ordering {
        let cost = |point: &Point| point.seconds * point.devices as f64;
        let first = match self {
            Objective::Time => one.seconds.total_cmp(&other.seconds),
            Objective::Cost => cost(one).total_cmp(&cost(other)),
            Objective::Memory => one.bytes.cmp(&other.bytes),
            Objective::Devices => one.devices.cmp(&other.devices),
        };
        first
            .then_with(|| one.seconds.total_cmp(&other.seconds))
            .then_with(|| one.bytes.cmp(&other.bytes))
            .then_with(|| one.devices.cmp(&other.devices))
            .then_with(|| one.strategy.cmp(&other.strategy))
    }
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What nothing dominates, of what fits: the fewest devices first, then the shortest step.
    pub pareto: Vec<Point>,
    /// Why the others were rejected. Without those that were passed over, which may have been at fault too.
    pub reasons: Reasons,
    /// Strategies of the space.
    pub strategies: u64,
    /// Those that cannot run.
    pub unable: u64,
    /// Those whose memory and time were computed.
    pub evaluated: u64,
    /// Those that were passed over, since no strategy of their group could get under a memory limit.
    pub too_large: u64,
    /// Those that were passed over, since something found was better than any of their group could be.
    pub beaten: u64,
}

impl Found {
    /// The best by an objective.
    pub fn best(&self, objective: Objective) -> Option<&Point> {
        self.pareto.iter().min_by(|one, other| objective.order(one, other))
    }
}

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct Options<'p> {
    /// Whether groups are passed over that cannot hold anything better; otherwise everything that runs is evaluated.
    pub prune: bool,
    /// Where to run; `None` is the calling thread alone.
    pub pool: Option<&'p ThreadPool>,
}

/// Layouts of the first round; each later one has twice as many as the one before it, up to [`ROUND`].
const FIRST: usize = 16;

/// Most layouts of a round: few enough that a round soon sees what the others found.
const ROUND: usize = 512;

/// Looks at every strategy of a space.
pub fn search<E: Engine>(
    engine: &E,
    workload: &Workload<'_>,
    space: &Space,
    bounds: &Bounds,
    options: Options<'_>,
) -> Found {
    let layouts = space.layouts();
    let mut total = Part::default();
    let (mut rest, mut size) = (layouts.as_slice(), FIRST);
    while !rest.is_empty() {
        let (round, later) = rest.split_at(size.min(rest.len()));
        let known = &total.front;
        let one = |layout: &Layout| {
            let mut part = Part::default();
            let mut look = Look { engine, workload, space, bounds, known, prune: options.prune };
            look.layout(*layout, &mut part);
            part
        };
        let parts: Vec<Part> = match options.pool {
            Some(pool) => pool.install(|| round.par_iter().map(one).collect()),
            None => round.iter().map(one).collect(),
        };
        parts.iter().for_each(|part| total.absorb(part));
        (rest, size) = (later, (size * 2).min(ROUND));
    }
    Found {
        pareto: total.front.points(),
        reasons: total.reasons,
        strategies: total.strategies,
        unable: total.unable,
        evaluated: total.evaluated,
        too_large: total.too_large,
        beaten: total.beaten,
    }
}

/// What was found in some layouts.
#[derive(Clone, Debug, Default)]
struct Part {
    front: Front,
    reasons: Reasons,
    strategies: u64,
    unable: u64,
    evaluated: u64,
    too_large: u64,
    beaten: u64,
}

impl Part {
    fn absorb(&mut self, other: &Part) {
        self.front.absorb(&other.front);
        self.reasons.absorb(&other.reasons);
        self.strategies += other.strategies;
        self.unable += other.unable;
        self.evaluated += other.evaluated;
        self.too_large += other.too_large;
        self.beaten += other.beaten;
    }
}

/// A look at one layout.
struct Look<'a, E> {
    engine: &'a E,
    workload: &'a Workload<'a>,
    space: &'a Space,
    bounds: &'a Bounds,
    /// What earlier rounds found.
    known: &'a Front,
    prune: bool,
}

impl<E: Engine> Look<'_, E> {
    fn layout(&mut self, layout: Layout, part: &mut Part) {
        // Computed when the first strategy runs: most layouts have none.
        let mut tables: Option<Option<E::Tables>> = None;
        let space = self.space;
        space.groups(layout, |strategy| {
            let size = space.size(strategy);
            part.strategies += size;
            // An obstacle does not depend on what strategies of a group differ in, but where ZeRO's share is held.
            if let Some(obstacle) = space.limits.obstacle(self.workload, strategy) {
                part.unable += size;
                let miss = reasons::miss(obstacle, &space.limits, self.workload, strategy);
                return part.reasons.add(Family::Obstacle(obstacle), size, miss);
            }
            let tables = tables.get_or_insert_with(|| self.engine.tables(&layout));
            let group = tables.as_ref().and_then(|tables| self.engine.group(tables, strategy));
            let (Some(tables), Some(group)) = (tables.as_ref(), group) else {
                return unknown(strategy, size, part);
            };
            self.group(tables, &group, (strategy, size), part);
        });
    }

    fn group(
        &self,
        tables: &E::Tables,
        group: &E::Group<'_>,
        (strategy, size): (&Strategy, u64),
        part: &mut Part,
    ) {
        let devices = strategy.devices();
        if self.prune {
            let floor = self.engine.floor(tables, group, strategy);
            let fronts = [self.known, &part.front];
            match self.bounds.fate(&floor, devices, &fronts, &part.reasons) {
                Fate::TooLarge(family, limit) => {
                    part.too_large += size;
                    let value = floor.bytes as f64;
                    return part.reasons.add(family, size, Miss { value, limit, strategy: *strategy });
                }
                Fate::Beaten => return part.beaten += size,
                Fate::Open => {}
            }
        }
        self.space.leaves(strategy, |leaf| {
            if !leaf.ranks().is_multiple_of(leaf.shard.max(1)) {
                part.unable += 1;
                let miss = reasons::miss(Obstacle::Shard, &self.space.limits, self.workload, leaf);
                return part.reasons.add(Family::Obstacle(Obstacle::Shard), 1, miss);
            }
            let Some(estimate) = self.engine.estimate(tables, group, leaf) else {
                return unknown(leaf, 1, part);
            };
            part.evaluated += 1;
            if let Some((family, value, limit)) = self.bounds.broken(&estimate, devices) {
                return part.reasons.add(family, 1, Miss { value, limit, strategy: *leaf });
            }
            let Estimate { seconds, bytes, host } = estimate;
            part.front.offer(Point { devices, seconds, bytes, host, strategy: *leaf });
        });
    }
}

fn unknown(strategy: &Strategy, size: u64, part: &mut Part) {
    part.unable += size;
    part.reasons.add(Family::Unknown, size, Miss { value: 0.0, limit: 0.0, strategy: *strategy });
}
