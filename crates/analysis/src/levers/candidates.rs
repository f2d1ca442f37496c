//! What a plan's levers can be set to: words from the schema, numbers from the plan's own.

use llmplan_spec::plan::{LayerKind, Mixer, Plan, SettingValue};
use llmplan_spec::schema::{self, Type};
use llmplan_spec::units::format;

use super::change::{Change, count, declared, word};
use super::devices;
use super::loss::Loss;
use super::table::{LossEffect, Moves, Only, Own, Row, TABLE};
use crate::report::Report;

/// A lever of a plan: a row of the table, with the names of blocks put in.
#[derive(Clone, Debug)]
pub(super) struct Lever {
    /// The attribute.
    pub(super) path: String,
    /// Its row.
    pub(super) row: &'static Row,
}

/// Every lever that a plan has, in the order of the table.
pub(super) fn levers(plan: &Plan) -> Vec<Lever> {
    let mut found = Vec::new();
    for row in TABLE {
        match row.path.split_once(".*.") {
            Some((part, leaf)) => {
                let own = |path: &str| {
                    let rest = path.strip_prefix(part).and_then(|rest| rest.strip_prefix('.'));
                    rest.and_then(|rest| rest.split_once('.')).is_some_and(|(_, own)| own == leaf)
                };
                let settings = plan.settings.iter().filter(|setting| own(&setting.path));
                found.extend(settings.map(|setting| Lever { path: setting.path.clone(), row }));
            }
            None if there(plan, row) => found.push(Lever { path: path(plan, row).to_owned(), row }),
            None => {}
        }
    }
    found
}

/// Whether a plan has the attribute, or could have it where it has its block.
fn there(plan: &Plan, row: &Row) -> bool {
    let part = match row.path.split('.').next() {
        // A model that is only served, or aligned, is what it is.
        Some("model") => {
            let used = plan.inference.is_some() || plan.alignment.is_some();
            plan.training.is_some() || plan.data.is_some() || !used
        }
        Some("training") => plan.training.is_some(),
        Some("hardware") => {
            let busy = plan.training.is_some() || plan.alignment.is_some();
            let served = plan.inference.is_some() && row.path == "hardware.device";
            plan.hardware.is_some() && (busy || served)
        }
        Some("inference") => plan.inference.is_some(),
        Some("data") => plan.data.is_some(),
        _ => true,
    };
    // Without a device of its own the model is served on the hardware's.
    let known = row.path == "inference.device" || plan.setting(path(plan, row)).is_some();
    let known = known && schema::declared(row.path).is_some();
    let only = row.only.is_none_or(|(path, only)| match only {
        Only::Not(own) => word(plan, path).is_some_and(|has| has != own),
        Only::Is(own) => word(plan, path) == Some(own),
        Only::Above(least) => count(plan, path).is_some_and(|has| has > least),
        Only::Set => plan.setting(path).is_some(),
    });
    part && known && only
}

/// The attribute of a row: of nodes and devices the one that the plan declares.
fn path(plan: &Plan, row: &Row) -> &'static str {
    let fleet = matches!(row.moves, Moves::Own(Own::Fleet));
    if fleet && !declared(plan, "hardware.nodes") { "hardware.devices" } else { row.path }
}

impl Lever {
    /// What it can be set to, one step from what the plan has.
    pub(super) fn candidates(&self, plan: &Plan, loss: &Loss<'_>) -> Vec<Change> {
        match self.row.moves {
            Moves::Words(without) => {
                let Some(own) = word(plan, &self.path) else { return Vec::new() };
                let Some(attribute) = schema::declared(&self.path) else { return Vec::new() };
                let words: Vec<&str> = match attribute.ty {
                    Type::Choice(words) => words.iter().map(|(word, _)| *word).collect(),
                    Type::Flag => vec!["true", "false"],
                    _ => Vec::new(),
                };
                let others = words.into_iter().filter(|word| *word != own && !without.contains(word));
                others.map(|word| Change::word(plan, &self.path, word)).collect()
            }
            Moves::Own(Own::Tokens) => {
                let mut found: Vec<Change> = self.both(plan, loss).collect();
                let best = loss.tokens().filter(|tokens| Some(*tokens) != count(plan, &self.path));
                found.extend(best.map(|tokens| Change::number(plan, &self.path, tokens)));
                found
            }
            Moves::Own(Own::Depth) => depth(plan, loss).into_iter().collect(),
            Moves::Own(Own::Width) => widths(plan, loss),
            Moves::Own(Own::Groups) => groups(plan),
            Moves::Own(Own::FeedForward) => feed_forward(plan),
            Moves::Own(Own::Device) => devices::others(plan, &self.path),
            Moves::Own(Own::Rate) => {
                let rate = loss.learning_rate().map(|rate| format::plain(rate, 2));
                rate.map(|rate| Change::word(plan, &self.path, &rate)).into_iter().collect()
            }
            Moves::Any | Moves::Doubles | Moves::Steps | Moves::Own(Own::Fleet | Own::Auto(_)) => {
                self.both(plan, loss).collect()
            }
        }
    }

    /// The number that the plan has, or what stands for its `auto`.
    pub(super) fn start(&self, plan: &Plan, loss: &Loss<'_>) -> Option<u64> {
        let auto = || match self.row.moves {
            Moves::Own(Own::Auto(counted)) => {
                let name = self.path.split('.').nth(1).unwrap_or_default();
                loss.count(&counted.replace('*', name))
            }
            _ => None,
        };
        count(plan, &self.path).or_else(auto)
    }

    /// What it does to the loss, between two reports: what they price is not unknown.
    pub(super) fn loss(&self, before: &Report, after: &Report) -> LossEffect {
        match self.row.told {
            Some(path) if before.get(path).is_some() && after.get(path).is_some() => LossEffect::Law,
            _ => self.row.loss,
        }
    }

    fn both(&self, plan: &Plan, loss: &Loss<'_>) -> impl Iterator<Item = Change> {
        let own = self.start(plan, loss);
        let steps =
            [true, false].map(|up| own.and_then(|own| self.next(own, up)).and_then(|to| self.to(plan, to)));
        steps.into_iter().flatten()
    }

    /// The number one step on; `None` where there is none.
    pub(super) fn next(&self, from: u64, up: bool) -> Option<u64> {
        let steps = matches!(self.row.moves, Moves::Steps);
        let to = match (steps, up) {
            (true, true) => from.checked_add(1)?,
            (true, false) => from.checked_sub(1)?,
            (false, true) => from.checked_mul(2)?,
            (false, false) => from / 2,
        };
        let least = match schema::declared(&self.path)?.ty {
            Type::Count { min, .. } => min,
            _ => 1,
        };
        let most = if self.path.ends_with(".zero") { 3 } else { u64::MAX };
        (to != from && (least..=most).contains(&to)).then_some(to)
    }

    /// Whether it can be set to numbers one step after the other, and to any number between two steps.
    pub(super) fn ladder(&self) -> Option<bool> {
        match self.row.moves {
            Moves::Any | Moves::Own(Own::Fleet | Own::Tokens | Own::Depth) => Some(true),
            // Batches may be any; devices of a replica divide the heads.
            Moves::Own(Own::Auto(_)) => Some(self.path.ends_with(".batch")),
            Moves::Doubles | Moves::Steps => Some(false),
            Moves::Words(_) | Moves::Own(_) => None,
        }
    }

    /// A number in place of the plan's own, with what must change for the devices to be divided fully.
    pub(super) fn to(&self, plan: &Plan, to: u64) -> Option<Change> {
        let data = "training.parallelism.data";
        let mut change = Change::number(plan, &self.path, to);
        let own = count(plan, &self.path).unwrap_or(to);
        if self.path == "hardware.nodes" && declared(plan, "hardware.devices") {
            change.and(plan, "hardware.devices", to.checked_mul(count(plan, "device.devices_per_node")?)?);
        }
        let replicas = count(plan, data).filter(|_| declared(plan, data));
        let scaled = |more: u64, less: u64| {
            let replicas = replicas.and_then(|replicas| replicas.checked_mul(more))?;
            (less > 0 && replicas.is_multiple_of(less)).then_some(replicas / less)
        };
        let divides = ["tensor", "pipeline", "context"];
        let degree =
            self.path.strip_prefix("training.parallelism.").is_some_and(|leaf| divides.contains(&leaf));
        if replicas.is_some() && degree {
            change.and(plan, data, scaled(own, to)?);
        } else if replicas.is_some() && matches!(self.row.moves, Moves::Own(Own::Fleet)) {
            change.and(plan, data, scaled(to, own)?);
        }
        Some(change)
    }
}

/// A count of three significant digits.
pub(super) fn tidy(value: f64) -> u64 {
    format::round(value, 3).max(1.0) as u64
}

/// The multiple of `step` that is nearest, at least one of it.
fn nearest(value: f64, step: u64) -> u64 {
    ((value / step as f64).round() as u64).max(1).saturating_mul(step)
}

/// Channels for each layer that published models have: beyond, depth or width alone is no way to another size.
const ASPECT: std::ops::RangeInclusive<f64> = 40.0..=192.0;

/// A model of as many layers as the law finds best for its compute.
fn depth(plan: &Plan, loss: &Loss<'_>) -> Option<Change> {
    let own = count(plan, "model.layers").filter(|_| plan.model.kinds.len() == 1)?;
    let layers = layers(plan, own as f64 * loss.growth()?.clamp(0.25, 4.0));
    let channels = count(plan, "model.d_model")? as f64;
    if layers == own || !ASPECT.contains(&(channels / layers as f64)) {
        return None;
    }
    let mut change = Change::number(plan, "model.layers", layers);
    change.and(plan, "data.tokens", loss.tokens_of(layers as f64 / own as f64)?);
    Some(change)
}

/// Layers that stages of the pipeline share evenly.
fn layers(plan: &Plan, wanted: f64) -> u64 {
    let stages = count(plan, "training.parallelism.pipeline").unwrap_or(1);
    let groups = stages.saturating_mul(count(plan, "training.parallelism.interleave").unwrap_or(1));
    nearest(wanted, groups.max(1))
}

/// The same of its width, and of both in proportion, with heads as wide as they are.
fn widths(plan: &Plan, loss: &Loss<'_>) -> Vec<Change> {
    let Some(factor) = loss.growth().map(|factor| factor.clamp(0.25, 4.0)) else { return Vec::new() };
    let own = count(plan, "model.layers").unwrap_or(1);
    let deep = layers(plan, own as f64 * libm::cbrt(factor));
    let both = width(
        plan,
        loss,
        libm::sqrt(factor * own as f64 / deep as f64),
        Some(deep).filter(|deep| *deep != own),
    );
    let alone = width(plan, loss, factor.sqrt(), None);
    let mut found: Vec<Change> = both.into_iter().chain(alone).collect();
    found.dedup();
    found
}

fn width(plan: &Plan, loss: &Loss<'_>, factor: f64, layers: Option<u64>) -> Option<Change> {
    let (d, heads) = (count(plan, "model.d_model")?, count(plan, "model.attention.heads")?);
    if plan.model.kinds.len() > 1 || !d.is_multiple_of(heads) || plan.setting("model.moe.experts").is_some() {
        return None;
    }
    let kv_heads = count(plan, "model.attention.kv_heads").unwrap_or(heads);
    let group = heads.checked_div(kv_heads)?.max(1);
    let tensor = count(plan, "training.parallelism.tensor").unwrap_or(1);
    // Large models have heads by the eight: so tensor parallelism can divide them.
    let step = group.checked_mul(tensor)?.max(if heads.is_multiple_of(8) { 8 } else { 1 });
    let new = nearest(heads as f64 * factor, step);
    if new == heads {
        return None;
    }
    let ratio = new as f64 / heads as f64;
    let mut change = Change::number(plan, "model.d_model", (d / heads).checked_mul(new)?);
    let mut size = ratio * ratio;
    if let Some(layers) = layers {
        size *= layers as f64 / count(plan, "model.layers")? as f64;
        change.and(plan, "model.layers", layers);
    }
    change.and(plan, "model.attention.heads", new);
    if declared(plan, "model.attention.kv_heads") {
        change.and(plan, "model.attention.kv_heads", new / group);
    }
    if declared(plan, "model.ffn.d_ff") {
        let own = count(plan, "model.ffn.d_ff")?;
        change.and(plan, "model.ffn.d_ff", nearest(own as f64 * ratio, 64));
    }
    change.and(plan, "data.tokens", loss.tokens_of(size)?);
    Some(change)
}

fn groups(plan: &Plan) -> Vec<Change> {
    let path = "model.attention.kv_heads";
    let latent =
        |kind: &LayerKind| matches!(&kind.layer.mixer, Mixer::Attention(own) if own.latent.is_some());
    let Some(own) = count(plan, path).filter(|_| !plan.model.kinds.iter().any(latent)) else {
        return Vec::new();
    };
    let half = (own >= 2 && own.is_multiple_of(2)).then_some(own / 2);
    let eight = (own > 16 && own.is_multiple_of(8)).then_some(8);
    [half, eight].into_iter().flatten().map(|to| Change::number(plan, path, to)).collect()
}

fn feed_forward(plan: &Plan) -> Vec<Change> {
    let path = "model.ffn.d_ff";
    let has = matches!(plan.setting(path).map(|own| &own.value), Some(SettingValue::Quantity(_)));
    let Some(own) = count(plan, path).filter(|own| has && *own >= 256) else { return Vec::new() };
    let step = if own >= 2048 { 256 } else { 64 };
    let to = [1.25, 0.75].map(|factor| nearest(own as f64 * factor, step));
    to.into_iter().map(|to| Change::number(plan, path, to)).collect()
}
