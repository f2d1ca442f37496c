//! Tensors of a plan and of a checkpoint that are the same values: one may hold several of the other.

use std::collections::{BTreeMap, BTreeSet};

use llmplan_analysis::tensors::Named;

use super::compare::{Aside, Entry};
use super::names::{Meaning, Place, Target};

/// What belongs together.
#[derive(Clone, Debug, Default)]
pub(super) struct Group<'c> {
    /// Tensors of the plan.
    pub(super) planned: Vec<Named>,
    /// Tensors of the checkpoint.
    pub(super) entries: Vec<Entry<'c>>,
    /// Why it is not compared.
    pub(super) aside: Option<Aside>,
    /// Whether the values cannot be counted.
    packed: bool,
    /// What the checkpoint's would be if the plan had it, and whether it has it.
    meant: Option<(Target, bool)>,
}

/// What is wrong with a group, in words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    /// The names within the checkpoint, or where it has none those of the plan.
    pub(super) label: String,
    /// The plan's shape.
    pub(super) plan: String,
    /// The checkpoint's shape.
    pub(super) checkpoint: String,
    pub(super) what: What,
    pub(super) words: String,
    /// How many tensors that are.
    pub(super) tensors: u64,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The checkpoint has nothing.
    Missing,
    /// The plan has nothing.
    Unknown,
    /// Not as many values, or other sides.
    Shape,
    /// Packed by a number of bits that the checkpoint does not tell.
    Packed,
}

impl What {
    /// The word for it in JSON.
    pub(super) fn word(self) -> &'static str {
        match self {
            What::Missing => "missing",
            What::Unknown => "unknown",
            What::Shape => "shape",
            What::Packed => "packed",
        }
    }
}

/// Puts the tensors of one place together with those of a plan. Where `copies` are allowed, a tensor whose only meaning
/// is taken, or is one of `elsewhere`, is a copy.
pub(super) fn settle<'c>(
    entries: &[Entry<'c>],
    planned: &[Named],
    elsewhere: &[Named],
    copies: bool,
) -> Vec<Group<'c>> {
    let mut tails: BTreeMap<&str, Vec<&Entry<'c>>> = BTreeMap::new();
    for entry in entries {
        tails.entry(&entry.name.tail).or_default().push(entry);
    }
    let mut settling = Settling { planned, elsewhere, copies, groups: Vec::new(), taken: BTreeMap::new() };
    let mut later = Vec::new();
    let packs: BTreeSet<&str> = tails.keys().filter_map(|tail| tail.strip_suffix(".absmax")).collect();
    for (&tail, entries) in &tails {
        match entries.first().map_or(Meaning::Unknown, |entry| entry.name.meaning()) {
            Meaning::Buffer => settling.aside(entries, Aside::Buffer),
            Meaning::Companion => settling.aside(entries, Aside::Companion),
            Meaning::Unknown => settling.unknown(entries, None),
            Meaning::Packed(targets) => later.push((targets, entries, true)),
            Meaning::Plan(targets) => later.push((targets, entries, packs.contains(tail))),
        }
    }
    // Names with one meaning first: what they leave decides about the others.
    later.sort_by_key(|(targets, ..)| targets.len().min(2));
    for (targets, entries, packed) in later {
        settling.choose(&targets, entries, packed);
    }
    settling.finish()
}

struct Settling<'p, 'c> {
    planned: &'p [Named],
    elsewhere: &'p [Named],
    copies: bool,
    groups: Vec<Group<'c>>,
    /// Which group has a tensor of the plan.
    taken: BTreeMap<Target, usize>,
}

fn find(all: &[Named], target: Target) -> Option<Named> {
    all.iter().copied().find(|named| target_of(named) == target)
}

fn target_of(named: &Named) -> Target {
    Target { operator: named.operator, tensor: named.tensor.name }
}

impl<'c> Settling<'_, 'c> {
    fn choose(&mut self, candidates: &[Vec<Target>], entries: &[&Entry<'c>], packed: bool) {
        let exists = |target: &Target| find(self.planned, *target).is_some();
        let free = |target: &Target| exists(target) && !self.taken.contains_key(target);
        let only = candidates.len() == 1;
        let chosen = candidates
            .iter()
            .find(|targets| targets.iter().all(free))
            .or_else(|| candidates.iter().find(|targets| targets.iter().any(free)))
            .or_else(|| candidates.first().filter(|targets| only && targets.iter().any(exists)));
        let Some(chosen) = chosen else {
            // A second name for what another one has already is none, but for the output where embeddings are tied.
            let first = candidates.first().and_then(|targets| targets.first()).copied();
            let tied = first.is_some_and(|target| find(self.planned, target).is_none());
            let twin = candidates.iter().flatten().find_map(|target| {
                find(self.elsewhere, *target).or_else(|| find(self.planned, *target).filter(|_| tied))
            });
            let values: u128 = entries.iter().map(|entry| entry.values()).sum();
            let copy = twin.is_some_and(|twin| twin.tensor.elements() == Some(values));
            if self.copies && copy {
                return self.aside(entries, Aside::Copy);
            }
            return self.unknown(entries, first);
        };
        let mut own: Vec<Named> = chosen.iter().filter_map(|target| find(self.planned, *target)).collect();
        let mut group = Group { packed, ..Group::default() };
        // Two names for one tensor of the plan are parts of it.
        let joined: BTreeSet<usize> =
            chosen.iter().filter_map(|target| self.taken.get(target).copied()).collect();
        for at in joined {
            let Some(other) = self.groups.get_mut(at) else { continue };
            let other = std::mem::take(other);
            group.packed |= other.packed;
            group.entries.extend(other.entries);
            own.extend(other.planned);
        }
        own.sort_by_key(target_of);
        own.dedup();
        group.planned = own;
        group.entries.extend(entries.iter().map(|&entry| entry.clone()));
        let at = self.groups.len();
        self.taken.extend(group.planned.iter().map(|named| (target_of(named), at)));
        self.groups.push(group);
    }

    fn aside(&mut self, entries: &[&Entry<'c>], aside: Aside) {
        let entries = entries.iter().map(|&entry| entry.clone()).collect();
        self.groups.push(Group { entries, aside: Some(aside), ..Group::default() });
    }

    fn unknown(&mut self, entries: &[&Entry<'c>], meant: Option<Target>) {
        let meant = meant.map(|target| (target, find(self.planned, target).is_some()));
        let entries = entries.iter().map(|&entry| entry.clone()).collect();
        self.groups.push(Group { entries, meant, ..Group::default() });
    }

    /// The groups, and one for each tensor of the plan that no name was for.
    fn finish(mut self) -> Vec<Group<'c>> {
        self.groups.retain(|group| !group.entries.is_empty());
        for named in self.planned {
            if !self.taken.contains_key(&target_of(named)) {
                self.groups.push(Group { planned: vec![*named], ..Group::default() });
            }
        }
        self.groups
    }
}

impl Group<'_> {
    /// Values that the plan has.
    pub(super) fn planned(&self) -> u128 {
        let values = self.planned.iter().map(|named| named.tensor.elements().unwrap_or(u128::MAX));
        values.fold(0, u128::saturating_add)
    }

    /// Values that the checkpoint has.
    pub(super) fn stored(&self) -> u128 {
        self.entries.iter().map(Entry::values).fold(0, u128::saturating_add)
    }

    /// Whether it counts as parameters; what the plan does not know does.
    pub(super) fn trained(&self) -> bool {
        self.planned.is_empty() || self.planned.iter().any(|named| named.tensor.trained)
    }

    /// Bits of a value in the checkpoint; `None` where it does not tell.
    pub(super) fn bits(&self) -> Option<u128> {
        self.entries.first().filter(|_| !self.packed).map(|entry| entry.info.dtype.bitsize() as u128)
    }

    /// What is wrong with it.
    pub(super) fn problem(&self) -> Option<Problem> {
        let names = || {
            let names: BTreeSet<&str> = self.entries.iter().map(label).collect();
            names.into_iter().collect::<Vec<_>>().join(" + ")
        };
        let operators = || {
            let names: Vec<String> = self.planned.iter().map(|named| words(target_of(named))).collect();
            names.join(" + ")
        };
        let problem = |label: String, what: What, words: String| {
            let tensors = self.entries.len().max(1) as u64;
            let (plan, checkpoint) = (self.planned_shape(), self.stored_shape());
            Some(Problem { label, plan, checkpoint, what, words, tensors })
        };
        if self.planned.is_empty() {
            let words = match self.meant {
                Some((target, false)) => format!("the plan has no `{}`", words(target)),
                Some((target, true)) => format!("another tensor is `{}` already", words(target)),
                None => "unknown to the plan".to_owned(),
            };
            return problem(names(), What::Unknown, words);
        }
        if self.entries.is_empty() {
            return problem(operators(), What::Missing, "missing in the checkpoint".to_owned());
        }
        if self.packed {
            let words = "packed: its values cannot be counted from the header".to_owned();
            return problem(names(), What::Packed, words);
        }
        if self.stored() != self.planned() {
            return problem(names(), What::Shape, format!("not as many values as `{}`", operators()));
        }
        if !self.same_sides() {
            return problem(names(), What::Shape, format!("other sides than `{}`", operators()));
        }
        let copies: BTreeSet<u64> = self.entries.iter().filter_map(|entry| entry.name.copy).collect();
        if copies.last().is_some_and(|last| *last != copies.len() as u64 - 1) {
            return problem(names(), What::Shape, "not numbered from 0 without gaps".to_owned());
        }
        None
    }

    /// Whether rows and columns agree, either way round, where the checkpoint has one tensor for the plan's.
    fn same_sides(&self) -> bool {
        let packed = self.entries.iter().any(|entry| entry.name.values_per_element(entry.info.dtype) > 1);
        let Some((copies, rows, columns)) = self.sides().filter(|_| !packed) else { return true };
        let numbered = self.entries.iter().all(|entry| entry.name.copy.is_some());
        let each = match self.entries.as_slice() {
            [one] => one,
            // One matrix for each expert.
            [one, ..] if numbered && self.entries.len() as u128 == copies => one,
            _ => return true,
        };
        let copies = if self.entries.len() > 1 { 1 } else { copies };
        let sorted = |sides: &mut dyn Iterator<Item = u128>| {
            let mut sides: Vec<u128> = sides.filter(|&side| side != 1).collect();
            sides.sort_unstable();
            sides
        };
        let same = |entry: &Entry<'_>| {
            let own = sorted(&mut entry.info.shape.iter().map(|&side| side as u128));
            let stacked = [sorted(&mut [copies, rows, columns].into_iter())];
            // Experts may also be stacked in the rows or in the columns.
            let flat = [
                sorted(&mut [copies.saturating_mul(rows), columns].into_iter()),
                sorted(&mut [rows, copies.saturating_mul(columns)].into_iter()),
            ];
            stacked.contains(&own) || flat.contains(&own)
        };
        same(each) && self.entries.iter().all(same)
    }

    /// Copies, rows and columns of the plan's tensors side by side; `None` where they do not fit.
    fn sides(&self) -> Option<(u128, u128, u128)> {
        let first = self.planned.first()?.tensor;
        let fit = |named: &Named| named.tensor.copies == first.copies && named.tensor.rows == first.rows;
        let columns = self.planned.iter().map(|named| u128::from(named.tensor.columns)).sum();
        self.planned.iter().all(fit).then(|| (first.copies.into(), first.rows.into(), columns))
    }

    fn planned_shape(&self) -> String {
        match self.sides() {
            _ if self.planned.is_empty() => "–".to_owned(),
            None => format!("{} values", self.planned()),
            Some((copies, rows, columns)) => {
                let all = [copies, rows, columns];
                let sides = all.iter().filter(|&&side| side != 1).map(u128::to_string);
                let text = sides.collect::<Vec<_>>().join(" × ");
                if text.is_empty() { "1".to_owned() } else { text }
            }
        }
    }

    fn stored_shape(&self) -> String {
        let Some(first) = self.entries.first() else { return "–".to_owned() };
        if self.entries.iter().any(|entry| entry.info.shape != first.info.shape) {
            return format!("{} values", self.stored());
        }
        let sides: Vec<String> = first.info.shape.iter().take(6).map(usize::to_string).collect();
        let shape = if sides.is_empty() { "1".to_owned() } else { sides.join(" × ") };
        let more = if first.info.shape.len() > sides.len() { " × …" } else { "" };
        match self.entries.len() {
            1 => format!("{shape}{more}"),
            count => format!("{count} of {shape}{more}"),
        }
    }
}

/// The name of a tensor as a table has it: within its layer.
fn label<'e>(entry: &'e Entry<'_>) -> &'e str {
    match entry.name.place {
        Place::Outer => &entry.name.pattern,
        _ => &entry.name.tail,
    }
}

/// `attention.q`, `attention.q bias`
fn words(target: Target) -> String {
    match target.tensor {
        "weight" => target.operator.to_owned(),
        tensor => format!("{} {tensor}", target.operator),
    }
}
