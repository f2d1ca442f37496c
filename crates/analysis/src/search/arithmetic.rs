//! The engine of a search: the memory and the time that `check` computes, with what strategies share computed once.

use std::collections::BTreeMap;

use llmplan_spec::plan::{Checkpointing, Offload, Plan, Schedule};

use super::engine::{Engine, Estimate};
use super::space::Space;
use crate::cluster::schedule::{self, Shape};
use crate::cluster::{Content, Layout, Strategy, System, Workload, block, contents, memory, step};
use crate::graph::Graph;

/// Memory and time of the strategies of a space.
pub struct Arithmetic<'a> {
    workload: Workload<'a>,
    system: System,
    /// What stages run, by what decides it.
    pipelines: BTreeMap<Order, Pipeline>,
    /// What the host keeps where it keeps most.
    most: Offload,
}

/// What decides which layers are on which device, and which of them recompute.
type Order = (u64, Schedule, u64, bool);

/// The stages of a pipeline.
struct Pipeline {
    stages: Vec<Content>,
    /// The places of stages that run the same.
    alike: Vec<Vec<u64>>,
}

/// The tables of a layout.
pub struct Tables {
    memory: memory::Tables,
    time: block::Tables,
}

/// What strategies share that differ in ZeRO and offloading alone.
pub struct Group<'e> {
    micro_batches: u64,
    stages: step::Stages,
    /// Of stages that run the same, the one that holds most activations.
    fullest: Vec<(u64, &'e Content)>,
}

/// The workload of a plan.
///
/// # Errors
/// What the plan lacks for a search, in a line.
pub fn workload<'a>(plan: &'a Plan, graph: &'a Graph) -> Result<Workload<'a>, String> {
    let batch = plan.training.as_ref().and_then(|training| training.global_batch);
    let lacking: Vec<&str> = [
        (plan.training.is_some(), "`training`"),
        (plan.hardware.is_some(), "`hardware`"),
        (plan.training.is_none() || batch.is_some(), "`training.global_batch`"),
    ]
    .into_iter()
    .filter_map(|(there, what)| (!there).then_some(what))
    .collect();
    if !lacking.is_empty() {
        let it = if lacking.len() > 1 { "them" } else { "it" };
        return Err(format!("a search needs {}: declare {it}", lacking.join(" and ")));
    }
    Workload::of(plan, graph, crate::flops::tokens(plan))
        .ok_or_else(|| "the tokens of a step are beyond 64 bits".to_owned())
}

impl<'a> Arithmetic<'a> {
    /// The engine for a workload.
    ///
    /// # Errors
    /// The figure that the device lacks, or that the space is too large, in a line.
    pub fn new(workload: Workload<'a>, space: &Space) -> Result<Arithmetic<'a>, String> {
        let system = System::of(workload.hardware, workload.training)
            .map_err(|lacking| format!("a search needs `{lacking}`: declare it"))?;
        if space.too_large() {
            return Err("there are too many strategies to look at; leave some choices as declared".to_owned());
        }
        let mut pipelines = BTreeMap::new();
        for &recomputes in &[false, true] {
            let chosen = space.checkpointing.iter().find(|own| (**own != Checkpointing::None) == recomputes);
            let Some(&checkpointing) = chosen else { continue };
            let Some(layout) = space.layouts().first().copied() else { continue };
            let layout = Layout { tensor: 1, context: 1, expert: 1, checkpointing, ..layout };
            space.groups(layout, |strategy| {
                let groups = strategy.pipeline.saturating_mul(strategy.chunks());
                if groups <= space.limits.layers.saturating_add(space.limits.ends) {
                    let order = order(strategy);
                    pipelines.entry(order).or_insert_with(|| Pipeline::of(&workload, strategy));
                }
            });
        }
        let most = space.offload.iter().copied().max().unwrap_or(Offload::None);
        Ok(Arithmetic { workload, system, pipelines, most })
    }
}

fn order(strategy: &Strategy) -> Order {
    let recomputes = strategy.checkpointing != Checkpointing::None;
    (strategy.pipeline, strategy.schedule, strategy.interleave, recomputes)
}

impl Pipeline {
    fn of(workload: &Workload<'_>, strategy: &Strategy) -> Pipeline {
        let stages = contents(workload.graph, workload.training, workload.layers, strategy);
        let mut alike: Vec<Vec<u64>> = Vec::new();
        for (place, content) in (0_u64..).zip(&stages) {
            let first = |places: &[u64]| places.first().and_then(|first| stages.get(*first as usize));
            match alike.iter_mut().find(|places| first(places) == Some(content)) {
                Some(places) => places.push(place),
                None => alike.push(vec![place]),
            }
        }
        Pipeline { stages, alike }
    }

    /// Of stages that run the same, the one with the most micro-batches in flight. All that a device holds grows with
    /// these and depends on its stage in nothing else, so that the others hold no more.
    fn fullest(&self, strategy: &Strategy, micro_batches: u64) -> Vec<(u64, &Content)> {
        let shape = Shape { stages: strategy.pipeline, chunks: strategy.interleave, micro_batches };
        let flight = |place: &u64| schedule::in_flight(strategy.schedule, shape, *place);
        let fullest = |places: &Vec<u64>| {
            let place = places.iter().copied().min_by(|one, other| flight(other).total_cmp(&flight(one)))?;
            Some((place, self.stages.get(place as usize)?))
        };
        self.alike.iter().filter_map(fullest).collect()
    }
}

impl<'a> Engine for Arithmetic<'a> {
    type Tables = Tables;
    type Group<'e>
        = Group<'e>
    where
        Self: 'e;

    fn tables(&self, layout: &Layout) -> Option<Tables> {
        Some(Tables {
            memory: memory::Tables::new(&self.workload, layout)?,
            time: block::Tables::of(&self.workload, &self.system, *layout)?,
        })
    }

    fn group(&self, tables: &Tables, strategy: &Strategy) -> Option<Group<'_>> {
        let pipeline = self.pipelines.get(&order(strategy))?;
        let micro_batches = self.workload.micro_batches(strategy)?;
        Some(Group {
            micro_batches,
            stages: step::Stages::of(&tables.time, &pipeline.stages),
            fullest: pipeline.fullest(strategy, micro_batches),
        })
    }

    /// Memory: what ZeRO 3 over all replicas leaves of weights, gradients and optimizer, with all offloaded that may be,
    /// and activations and logits, which neither changes; without buffers. Time: what every stage computes and
    /// exchanges within its layers; all else is added to that.
    fn floor(&self, tables: &Tables, group: &Group<'_>, strategy: &Strategy) -> Estimate {
        let least = Strategy { zero: 3, shard: strategy.ranks(), offload: self.most, ..*strategy };
        let own = &self.workload.hardware.operation;
        let held = |instant: memory::Parts| {
            let kept = instant.total().saturating_sub(instant.buffers).saturating_sub(instant.reserve);
            let slack = (kept as f64 * own.fragmentation) as u64;
            kept.saturating_add(slack).saturating_add(own.reserve)
        };
        let bytes =
            self.stages(tables, group, &least).flat_map(|own| own.timeline).map(held).max().unwrap_or(0);
        let runs =
            if strategy.schedule == Schedule::DualPipe { 0.5 } else { 1.0 } * group.micro_batches as f64;
        // Sums in another order may differ in their last bits.
        Estimate { seconds: runs * group.stages.slowest() * (1.0 - 1e-12), bytes, host: 0 }
    }

    fn estimate(&self, tables: &Tables, group: &Group<'_>, strategy: &Strategy) -> Option<Estimate> {
        let time = step::step_time(&self.workload, &self.system, &tables.time, &group.stages, strategy)?;
        let (mut bytes, mut host) = (0, 0);
        for own in self.stages(tables, group, strategy) {
            bytes = own.timeline.iter().map(memory::Parts::total).fold(bytes, u64::max);
            host = own.host.max(host);
        }
        Some(Estimate { seconds: time.total(), bytes, host })
    }
}

impl Arithmetic<'_> {
    /// The memory of each stage that may hold most.
    fn stages(
        &self,
        tables: &Tables,
        group: &Group<'_>,
        strategy: &Strategy,
    ) -> impl Iterator<Item = memory::StageMemory> {
        let of = |(place, content): &(u64, &Content)| {
            memory::stage(&tables.memory, &self.workload, strategy, content, (*place, group.micro_batches))
        };
        group.fullest.iter().map(of)
    }
}
