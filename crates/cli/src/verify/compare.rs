//! A plan's tensors against a checkpoint's, layer by layer.

use std::collections::BTreeMap;
use std::ops::Range;

use llmplan_analysis::tensors::{Named, Tensors};
use safetensors::tensor::TensorInfo;

use super::group::{Group, Problem, settle};
use super::index::Checkpoint;
use super::names::{Name, Place};
use super::ranges::Ranges;

/// The kind of layers that a plan has not.
const BEYOND: &str = "not in the plan";

/// A tensor of a checkpoint.
#[derive(Clone, Debug)]
pub(super) struct Entry<'c> {
    pub(super) name: Name,
    pub(super) info: &'c TensorInfo,
}

impl Entry<'_> {
    /// How many values it has; the header has been held to its rules, so that they can be counted.
    pub(super) fn values(&self) -> u128 {
        let values: u128 = self.info.shape.iter().map(|&side| side as u128).product();
        values * u128::from(self.name.values_per_element(self.info.dtype))
    }

    /// How many bytes it has.
    pub(super) fn bytes(&self) -> u128 {
        (self.info.data_offsets.1 - self.info.data_offsets.0) as u128
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    /// Each part, equal ones that follow each other in one.
    pub(super) parts: Vec<Part>,
    /// What differs, with the part that it is in and the layers or modules that have it.
    pub(super) differences: BTreeMap<(&'static str, Problem), Option<Ranges>>,
    /// What was found and is no part of the comparison.
    pub(super) aside: BTreeMap<Aside, Heap>,
    /// Trained values.
    pub(super) parameters: Pair,
    /// Stored values that are not trained.
    pub(super) buffers: Pair,
    /// Bytes of both: the plan's with the type that the checkpoint has for each.
    pub(super) bytes: Pair,
    /// Tensors of the checkpoint that were compared, by type.
    pub(super) types: BTreeMap<String, Heap>,
}

/// A number of the plan, and that of the checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) plan: u128,
    pub(super) checkpoint: u128,
}

/// Several tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heap {
    pub(super) tensors: u64,
    pub(super) values: u128,
    pub(super) bytes: u128,
    /// The name of one of them.
    pub(super) example: String,
}

impl Heap {
    fn add(&mut self, entry: &Entry<'_>) {
        self.tensors += 1;
        self.values = self.values.saturating_add(entry.values());
        self.bytes = self.bytes.saturating_add(entry.bytes());
        if self.example.is_empty() {
            self.example.clone_from(&entry.name.pattern);
        }
    }
}

/// Why a tensor is no part of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Aside {
    /// A second copy of a tensor that the plan has once.
    Copy,
    /// Computed when the model is loaded.
    Buffer,
    /// Multi-token prediction that the plan leaves out.
    Module,
    /// Scales of quantised weights.
    Companion,
}

/// A part of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: &'static str,
    /// The layers or modules; none for what is there once.
    pub(super) numbers: Option<Ranges>,
    /// The kind of layer.
    pub(super) kind: String,
    /// Tensors of each that were compared.
    pub(super) tensors: u64,
    /// Their values.
    pub(super) values: u128,
    pub(super) equal: bool,
}

/// Compares the tensors of a plan with those of a checkpoint.
pub(super) fn compare(plan: &Tensors, checkpoint: &Checkpoint) -> Comparison {
    let mut found = Comparison::default();
    let mut places = places(plan, checkpoint, &mut found);
    let bits = usual_bits(checkpoint);
    let outer = places.remove(&Place::Outer).unwrap_or_default();
    let mut fold = Fold { found: &mut found, bits };
    fold.place("embedding and head", None, "", &settle(&outer, &plan.outer, &[], true));
    for (place, entries) in &places {
        match *place {
            Place::Layer(number) => {
                let (kind, tensors) =
                    plan.layer(number).map_or((BEYOND, &[][..]), |layers| (&layers.kind, &layers.tensors));
                fold.place(
                    "layer",
                    Some(number..number.saturating_add(1)),
                    kind,
                    &settle(entries, tensors, &[], false),
                );
            }
            Place::Module(number) => {
                let groups = settle(entries, &plan.mtp, &plan.outer, true);
                fold.place("mtp", Some(number..number.saturating_add(1)), "", &groups);
            }
            Place::Outer => {}
        }
    }
    // Layers of which the checkpoint has nothing, however many they are.
    for layers in &plan.layers {
        for numbers in gaps(&places, layers.numbers.clone(), Place::Layer) {
            fold.absent("layer", numbers, &layers.kind, &layers.tensors);
        }
    }
    for numbers in gaps(&places, 0..plan.modules, Place::Module) {
        fold.absent("mtp", numbers, "", &plan.mtp);
    }
    for numbers in found.differences.values_mut() {
        *numbers = numbers.take().map(Ranges::sorted);
    }
    found.parts.sort_by_key(|part| (part.name, part.numbers.as_ref().map(Ranges::first)));
    found.parts = joined(std::mem::take(&mut found.parts));
    found
}

/// The numbers of places that the checkpoint has nothing for.
fn gaps(
    places: &BTreeMap<Place, Vec<Entry<'_>>>,
    numbers: Range<u64>,
    place: fn(u64) -> Place,
) -> Vec<Range<u64>> {
    let (mut start, mut gaps) = (numbers.start, Vec::new());
    for (present, _) in places.range(place(numbers.start)..place(numbers.end)) {
        let (Place::Layer(number) | Place::Module(number)) = *present else { continue };
        gaps.push(start..number);
        start = number.saturating_add(1);
    }
    gaps.push(start..numbers.end);
    gaps.retain(|gap| !gap.is_empty());
    gaps
}

/// Bits of a value where the checkpoint does not say: those of its largest tensor of floats.
fn usual_bits(checkpoint: &Checkpoint) -> u128 {
    let floats = checkpoint.tensors.values().filter(|info| info.dtype.to_string().contains('F'));
    let largest = floats.max_by_key(|info| info.data_offsets.1 - info.data_offsets.0);
    largest.map_or(16, |info| info.dtype.bitsize() as u128)
}

/// The tensors of a checkpoint by place; modules that the plan leaves out are set aside.
fn places<'c>(
    plan: &Tensors,
    checkpoint: &'c Checkpoint,
    found: &mut Comparison,
) -> BTreeMap<Place, Vec<Entry<'c>>> {
    let mut places: BTreeMap<Place, Vec<Entry<'c>>> = BTreeMap::new();
    for (name, info) in &checkpoint.tensors {
        let entry = Entry { name: Name::read(name), info };
        places.entry(entry.name.place).or_default().push(entry);
    }
    // DeepSeek numbers its modules on behind the layers.
    let depth = plan.depth();
    let behind: Vec<Place> = places
        .range(Place::Layer(depth)..Place::Module(0))
        .filter(|(_, entries)| entries.iter().any(|entry| entry.name.in_modules_only()))
        .map(|(place, _)| *place)
        .collect();
    for place in behind {
        let (Some(mut entries), Place::Layer(number)) = (places.remove(&place), place) else { continue };
        let place = Place::Module(number - depth);
        entries.iter_mut().for_each(|entry| entry.name.place = place);
        places.entry(place).or_default().extend(entries);
    }
    for (_, entries) in places.split_off(&Place::Module(plan.modules)) {
        let heap = found.aside.entry(Aside::Module).or_default();
        entries.iter().for_each(|entry| heap.add(entry));
    }
    places
}

/// Puts together what is the same in several places.
struct Fold<'f> {
    found: &'f mut Comparison,
    /// Bits of a value that the checkpoint lacks.
    bits: u128,
}

impl Fold<'_> {
    fn place(&mut self, part: &'static str, numbers: Option<Range<u64>>, kind: &str, groups: &[Group<'_>]) {
        let (mut tensors, mut values, mut equal) = (0, 0_u128, true);
        for group in groups {
            if let Some(aside) = group.aside {
                let heap = self.found.aside.entry(aside).or_default();
                group.entries.iter().for_each(|entry| heap.add(entry));
                continue;
            }
            tensors += group.entries.len() as u64;
            values = values.saturating_add(group.stored());
            self.count(group, 1);
            if let Some(mut problem) = group.problem() {
                equal = false;
                if kind == BEYOND {
                    problem.words = "the plan has no such layer".to_owned();
                }
                self.differ(part, numbers.clone(), problem);
            }
        }
        self.found.parts.push(Part {
            name: part,
            numbers: numbers.map(Ranges::from),
            kind: kind.to_owned(),
            tensors,
            values,
            equal,
        });
    }

    /// Layers or modules of which nothing is there.
    fn absent(&mut self, part: &'static str, numbers: Range<u64>, kind: &str, tensors: &[Named]) {
        let count = numbers.end - numbers.start;
        for group in settle(&[], tensors, &[], false) {
            self.count(&group, count.into());
            if let Some(problem) = group.problem() {
                self.differ(part, Some(numbers.clone()), problem);
            }
        }
        let numbers = Some(Ranges::from(numbers));
        self.found.parts.push(Part {
            name: part,
            numbers,
            kind: kind.to_owned(),
            tensors: 0,
            values: 0,
            equal: false,
        });
    }

    fn count(&mut self, group: &Group<'_>, times: u128) {
        for entry in &group.entries {
            self.found.types.entry(entry.info.dtype.to_string()).or_default().add(entry);
        }
        let bytes: u128 = group.entries.iter().map(|entry| entry.bytes()).sum();
        let planned = group.planned().saturating_mul(times);
        let stored = group.stored();
        let pair = if group.trained() { &mut self.found.parameters } else { &mut self.found.buffers };
        pair.plan = pair.plan.saturating_add(planned);
        pair.checkpoint = pair.checkpoint.saturating_add(stored);
        let pair = &mut self.found.bytes;
        pair.checkpoint = pair.checkpoint.saturating_add(bytes);
        let bytes = if planned == stored {
            bytes
        } else {
            planned.saturating_mul(group.bits().unwrap_or(self.bits)).div_ceil(8)
        };
        pair.plan = pair.plan.saturating_add(bytes);
    }

    fn differ(&mut self, part: &'static str, numbers: Option<Range<u64>>, problem: Problem) {
        match (self.found.differences.entry((part, problem)).or_default(), numbers) {
            (Some(all), Some(numbers)) => all.add(numbers),
            (all, numbers) => *all = numbers.map(Ranges::from),
        }
    }
}

/// Parts in their order, those that follow each other and are alike in one.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut all: Vec<Part> = Vec::new();
    for part in parts {
        let last = all.last_mut().filter(|last| {
            let key = |part: &Part| (part.name, part.kind.clone(), part.tensors, part.values, part.equal);
            key(last) == key(&part)
        });
        match (last.and_then(|last| last.numbers.as_mut()), &part.numbers) {
            (Some(all), Some(numbers)) if all.end() == numbers.first() => {
                all.add(numbers.first()..numbers.end());
            }
            _ => all.push(part),
        }
    }
    all
}
