//! Which layers a `layer` block means, and the kinds of layers that the blocks of a model make together.

use std::collections::BTreeMap;

use super::plans::Draft;
use super::values::{Typed, whole};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Pick, Value};
use crate::limits;
use crate::plan::{LayerChoice, Run};
use crate::schema::Type;
use crate::source::Span;
use crate::units::{Number, Unit};

/// The name of layers that no `layer` block picks.
pub(super) const BASE: &str = "base";

/// A value as a choice of layers.
pub(super) fn choice(value: Value, span: Span) -> Result<Typed, Diagnostic> {
    match value {
        Value::Picked(which, Some(count), from) => {
            let count = whole(count, 1, span)?;
            let start = match from {
                Some(from) => whole(from, 0, span)?,
                None => count.saturating_sub(1),
            };
            Ok(Typed::Layers(match which {
                Pick::Every => LayerChoice::Every { step: count, start },
                Pick::First => LayerChoice::First(count),
                Pick::Last => LayerChoice::Last(count),
            }))
        }
        Value::Picked(..) => Ok(Typed::Unknown),
        Value::List(values) => {
            let mut list = Vec::with_capacity(values.len());
            for value in values {
                match number(&value, span)? {
                    Some(layer) => list.push(layer),
                    None => return Ok(Typed::Unknown),
                }
            }
            list.sort_unstable();
            list.dedup();
            match list.is_empty() {
                true => Err(Diagnostic::error(Code::InvalidValue, span, "the list is empty")),
                false => Ok(Typed::Layers(LayerChoice::List(list))),
            }
        }
        value => Ok(match number(&value, span)? {
            Some(layer) => Typed::Layers(LayerChoice::List(vec![layer])),
            None => Typed::Unknown,
        }),
    }
}

/// The number of one layer; `None` where it is not known yet.
fn number(value: &Value, span: Span) -> Result<Option<u64>, Diagnostic> {
    match value {
        Value::Quantity { number, unit, .. } if *unit == Unit::NONE => {
            number.map(|number: Number| whole(number, 0, span)).transpose()
        }
        other => {
            let title = format!("this must be {}", Type::Layers.words());
            Err(Diagnostic::error(Code::TypeMismatch, span, title)
                .label(format!("this is {}", other.describe())))
        }
    }
}

/// A choice as a plan writes it.
pub(super) fn words(choice: &LayerChoice) -> String {
    match choice {
        LayerChoice::Every { step, start } if start.checked_add(1) == Some(*step) => format!("every {step}"),
        LayerChoice::Every { step, start } => format!("every {step} from {start}"),
        LayerChoice::First(count) => format!("first {count}"),
        LayerChoice::Last(count) => format!("last {count}"),
        LayerChoice::List(list) => match list.as_slice() {
            [only] => only.to_string(),
            [first, .., last] if is_range(list) => format!("{first}..{last}"),
            list => format!("[{}]", list.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
        },
    }
}

fn is_range(list: &[u64]) -> bool {
    list.windows(2).all(|pair| matches!(pair, [one, next] if one.checked_add(1) == Some(*next)))
}

/// A kind of layer before its values are known.
pub(super) struct Kind {
    /// Its name: see [`crate::plan::LayerKind::name`].
    pub(super) name: String,
    /// How many layers are of it.
    pub(super) count: u64,
    /// The `layer` blocks that make it, as places in the draft's list, in order.
    pub(super) blocks: Vec<usize>,
}

/// The kinds of a model's layers, and the order in which they run.
pub(super) fn kinds(
    draft: &Draft,
    layers: u64,
    choices: &[LayerChoice],
) -> Result<(Vec<Kind>, Vec<Run>), Box<Diagnostic>> {
    if choices.is_empty() {
        let base = Kind { name: BASE.to_owned(), count: layers, blocks: Vec::new() };
        return Ok((vec![base], vec![Run { kind: 0, repeat: layers }]));
    }
    let place = |path: &str| {
        draft.attributes.get(path).map(|attribute| attribute.value.span().unwrap_or(attribute.span))
    };
    let own = place("model.layers").unwrap_or(draft.span);
    if layers > limits::MAX_UNLIKE_LAYERS {
        let title = format!("more than {} layers cannot differ from each other", limits::MAX_UNLIKE_LAYERS);
        return Err(Box::new(
            Diagnostic::error(Code::OutOfRange, own, title).help("leave the `layer` blocks out"),
        ));
    }
    for (name, choice) in draft.layers.iter().zip(choices) {
        if choice.reach() > layers {
            let span = place(&format!("model.layer.{name}.at")).unwrap_or(draft.span);
            let title = format!("`{name}` picks layers that the model does not have");
            return Err(Box::new(
                Diagnostic::error(Code::InconsistentShape, span, title)
                    .label(format!("this needs {} layers", choice.reach()))
                    .also(own, format!("{layers} layers, numbered from 0 to {}", layers - 1)),
            ));
        }
    }
    let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    let mut kinds: Vec<Kind> = Vec::new();
    let mut order: Vec<Run> = Vec::new();
    for layer in 0..layers {
        let blocks: Vec<usize> = (0..choices.len()).filter(|&at| choices[at].has(layer, layers)).collect();
        let kind = *known.entry(blocks).or_insert_with_key(|blocks| {
            let names: Vec<&str> = blocks.iter().map(|&at| draft.layers[at].as_str()).collect();
            let joined = names.join("-");
            let name = match joined.len() {
                0 => BASE.to_owned(),
                length if length > limits::MAX_LAYER_NAME => format!("kind-{}", kinds.len()),
                _ => joined,
            };
            kinds.push(Kind { name, count: 0, blocks: blocks.clone() });
            kinds.len() - 1
        });
        if kinds.len() > limits::MAX_LAYER_KINDS {
            let title =
                format!("the `layer` blocks make more than {} kinds of layers", limits::MAX_LAYER_KINDS);
            return Err(Box::new(Diagnostic::error(Code::OutOfRange, own, title)));
        }
        kinds[kind].count += 1;
        match order.last_mut() {
            Some(run) if run.kind == kind => run.repeat += 1,
            _ => order.push(Run { kind, repeat: 1 }),
        }
    }
    Ok((kinds, order))
}

impl Draft {
    /// The draft as the layers of a kind see it: what their blocks say stands in the place of what the model says.
    pub(super) fn of_kind(&self, kind: &Kind) -> Draft {
        let mut draft = self.clone();
        for &block in &kind.blocks {
            let prefix = format!("model.layer.{}.", self.layers[block]);
            let opened = self.opened.iter().filter_map(|path| path.strip_prefix(&prefix));
            draft.opened.extend(opened.map(|rest| format!("model.{rest}")));
            let own =
                self.attributes.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
            for (path, attribute) in own {
                let rest = &path[prefix.len()..];
                if rest != "at" {
                    draft.attributes.insert(format!("model.{rest}"), attribute.clone());
                }
            }
        }
        draft
    }

    /// Whether a block is written, or anything in it is declared, by its path.
    pub(super) fn declares(&self, block: &str) -> bool {
        if self.opened.contains(block) {
            return true;
        }
        let prefix = format!("{block}.");
        self.attributes.range(prefix.clone()..).next().is_some_and(|(path, _)| path.starts_with(&prefix))
    }
}
