//! Attributes written into a plan's text, as `--apply` and `--fix` do.
//!
//! Values that stand in the text are replaced where they stand; the others are added to the block of their part, or, where
//! that would change another plan of the file, to the plan's own block. Whatever was edited is then read again: it must
//! be what was meant, and no other value of any plan of the file may have changed.

use std::ops::Range;

use llmplan_spec::diagnostic::Severity;
use llmplan_spec::format::format;
use llmplan_spec::plan::{Origin, Plan, Setting};
use llmplan_spec::resolve::{Request, resolve};
use llmplan_spec::source::{FileId, Source, SourceKind, Sources, Span};
use llmplan_spec::syntax::{Block, File, Item, ItemKind};

use crate::examine::Examined;
use crate::inputs::Input;
use crate::load::Project;

/// An attribute by its path, and its value as plans spell it.
pub(crate) type Assignment = (String, String);

/// Whether a plan is what was meant.
pub(crate) type Reached<'r> = &'r dyn Fn(&Plan) -> bool;

/// The text of a plan's file with some attributes set, in its canonical layout if it was in that before. What another
/// file says is not touched: the plan's own block overrides it. `reached` says whether a plan is what was meant.
///
/// # Errors
/// Why it cannot be written, in a line.
pub(crate) fn changed(
    input: &Input,
    examined: &Examined,
    plan: &Plan,
    values: &[Assignment],
    reached: Reached<'_>,
) -> Result<String, String> {
    placed(examined, plan, values, &|text| verify(text, input, examined, plan, (values, reached)))
}

/// The same, where nothing that another file says may be set, and where `wanted` is the plan as it is meant.
///
/// # Errors
/// Why it cannot be written, in a line.
pub(crate) fn assigned(
    input: &Input,
    examined: &Examined,
    (plan, wanted): (&Plan, &Plan),
    values: &[Assignment],
) -> Result<String, String> {
    own(examined, plan, values)?;
    placed(examined, plan, values, &|text| {
        let (_, read) = read(text, input);
        let same = match read.as_slice() {
            [new] => new.name == plan.name && different(wanted, new).next().is_none(),
            _ => false,
        };
        if same { Ok(()) } else { Err("its text has no place for it".to_owned()) }
    })
}

/// Whether what is to be set is not said by another file.
///
/// # Errors
/// The first that is, with its place.
pub(crate) fn own(examined: &Examined, plan: &Plan, values: &[Assignment]) -> Result<(), String> {
    for (path, _) in values {
        let origin = plan.setting(path).map(|setting| &setting.origin);
        if let Some(Origin::Declared(span)) = origin
            && span.file != plan.span.file
        {
            return Err(format!("`{path}` is set in {}", examined.sources.place(*span)));
        }
    }
    Ok(())
}

/// The text of a plan's file with values put where they stand, or where there is a place for them.
///
/// # Errors
/// Why it cannot be written, in a line.
fn placed(
    examined: &Examined,
    plan: &Plan,
    values: &[Assignment],
    verify: &dyn Fn(&str) -> Result<(), String>,
) -> Result<String, String> {
    if let Some((path, value)) = plan.variant.first() {
        return Err(format!("`{path} = {value}` is one of a list; pick one in the file first"));
    }
    let text = &examined.sources.get(plan.span.file).text;
    let (tree, _) = llmplan_spec::parse(text, plan.span.file);
    let editor = Editor { text, tree: &tree, plan };
    let canonical = format(text, plan.span.file).text == *text;
    let mut trouble = String::new();
    for place in [Place::Blocks, Place::Plan] {
        let written = editor.write(values, place).and_then(|new| {
            let new = if canonical { format(&new, plan.span.file).text } else { new };
            verify(&new).map(|()| new)
        });
        match written {
            Ok(new) => return Ok(new),
            // What keeps the first from being written is what can be helped.
            Err(why) if trouble.is_empty() => trouble = why,
            Err(_) => {}
        }
    }
    Err(trouble)
}

/// Where values go that are not in the text yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Into the blocks of its parts, and blocks within these.
    Blocks,
    /// Into the block of the plan itself, by their paths; values that stand elsewhere are left there.
    Plan,
}

struct Editor<'t> {
    text: &'t str,
    tree: &'t File,
    plan: &'t Plan,
}

impl Editor<'_> {
    fn write(&self, values: &[Assignment], place: Place) -> Result<String, String> {
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        let mut added: Vec<(&Block, Vec<String>)> = Vec::new();
        let mut nested: Vec<(&str, &str, Vec<String>)> = Vec::new();
        let own = self.block("plan", Some(&self.plan.name));
        for (path, value) in values {
            let standing = match self.plan.setting(path).map(|setting| &setting.origin) {
                Some(Origin::Declared(span)) if span.file == self.plan.span.file => {
                    attribute(&self.tree.items, *span)
                }
                _ => None,
            };
            let within =
                |block: &Block, span: Span| block.header.start <= span.start && span.end <= block.close.end;
            let standing = standing
                .filter(|(_, item)| place == Place::Blocks || own.is_some_and(|own| within(own, item.span)));
            if let Some((name, item)) = standing {
                edits.push((name.end as usize..item.span.end as usize, format!(" = {value}")));
                continue;
            }
            let (kind, leaf) = path.split_once('.').unwrap_or((path, ""));
            let (block, line) = match place {
                Place::Plan => {
                    let own = own.ok_or_else(|| "the file has no `plan` block for it".to_owned())?;
                    (own, format!("{path} = {value}"))
                }
                Place::Blocks if kind == "data" && self.plan.data.is_none() => {
                    edits.push(self.new_part(kind, &format!("{leaf} = {value}")));
                    continue;
                }
                Place::Blocks => {
                    let outer = self.part(kind)?;
                    match leaf.split_once('.') {
                        None => (outer, format!("{leaf} = {value}")),
                        Some((inner, leaf)) => match self.child(outer, inner) {
                            Some(inner) => (inner, format!("{leaf} = {value}")),
                            None => {
                                let line = format!("{leaf} = {value}");
                                match nested.iter_mut().find(|(part, own, _)| (*part, *own) == (kind, inner))
                                {
                                    Some((_, _, lines)) => lines.push(line),
                                    None => nested.push((kind, inner, vec![line])),
                                }
                                continue;
                            }
                        },
                    }
                }
            };
            match added.iter_mut().find(|(known, _)| known.header == block.header) {
                Some((_, lines)) => lines.push(line),
                None => added.push((block, vec![line])),
            }
        }
        edits.extend(added.iter().map(|(block, lines)| self.insertion(block, lines)));
        for (kind, inner, lines) in &nested {
            edits.push(self.new_block(self.part(kind)?, inner, lines));
        }
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut text = String::with_capacity(self.text.len() + 256);
        let mut end = 0;
        for (range, new) in edits {
            text.push_str(self.text.get(end..range.start).unwrap_or_default());
            text.push_str(&new);
            end = range.end;
        }
        text.push_str(self.text.get(end..).unwrap_or_default());
        Ok(text)
    }

    /// The block of a part of the plan.
    fn part(&self, kind: &str) -> Result<&Block, String> {
        let name = match kind {
            "training" => self.plan.training.as_ref().and_then(|own| own.name.as_deref()),
            "data" => self.plan.data.as_ref().and_then(|own| own.name.as_deref()),
            "model" => {
                // A model always has a name; its block may have none.
                let name = self.plan.model.name.as_str();
                Some(name)
                    .filter(|name| self.block(kind, Some(name)).is_some() || self.block(kind, None).is_none())
            }
            _ => self.plan.hardware.as_ref().and_then(|own| own.name.as_deref()),
        };
        self.block(kind, name).ok_or_else(|| match name {
            Some(name) => format!("`{kind} {name}` is in another file or in the catalog"),
            None => format!("the file has no block `{kind}`"),
        })
    }

    fn block(&self, kind: &str, name: Option<&str>) -> Option<&Block> {
        let same = |block: &&Block| {
            block.kind.map(|own| self.slice(own)) == Some(kind)
                && block.name.map(|own| self.slice(own)) == name
        };
        blocks(&self.tree.items).find(same)
    }

    fn child<'b>(&self, block: &'b Block, kind: &str) -> Option<&'b Block> {
        blocks(&block.items).find(|own| own.kind.map(|own| self.slice(own)) == Some(kind))
    }

    /// Lines behind the last attribute of a block.
    fn insertion(&self, block: &Block, lines: &[String]) -> (Range<usize>, String) {
        let last = block.items.iter().rfind(|item| matches!(item.kind, ItemKind::Attribute { .. }));
        let end = match last {
            Some(item) => item.comment.unwrap_or(item.span).end,
            None => block.comment.unwrap_or(block.header).end,
        };
        let indent = format!("{}{}  ", self.line_end(), self.indent(block));
        let lines: String = lines.iter().map(|line| format!("{indent}{line}")).collect();
        (end as usize..end as usize, lines)
    }

    /// A block with one attribute at the end of the file.
    fn new_part(&self, kind: &str, line: &str) -> (Range<usize>, String) {
        let nl = self.line_end();
        let end = self.text.len();
        let before = if self.text.ends_with('\n') { "" } else { nl };
        (end..end, format!("{before}{nl}{kind} {{{nl}  {line}{nl}}}{nl}"))
    }

    /// A block at the end of another.
    fn new_block(&self, block: &Block, kind: &str, lines: &[String]) -> (Range<usize>, String) {
        let (nl, indent) = (self.line_end(), self.indent(block));
        let lines: String = lines.iter().map(|line| format!("{indent}    {line}{nl}")).collect();
        let new = format!("{nl}{indent}  {kind} {{{nl}{lines}{indent}  }}{nl}");
        let close = block.close.start as usize;
        let before = self.text.get(..close).unwrap_or_default();
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        match before.get(line..) {
            Some(blank) if blank.trim().is_empty() => (line..line, new),
            // The brace stands behind something else.
            _ => (close..close, format!("{nl}{new}{indent}")),
        }
    }

    fn indent(&self, block: &Block) -> &str {
        let before = self.text.get(..block.header.start as usize).unwrap_or_default();
        let line = before.get(before.rfind('\n').map_or(0, |at| at + 1)..).unwrap_or_default();
        line.get(..line.len() - line.trim_start().len()).unwrap_or_default()
    }

    fn line_end(&self) -> &'static str {
        if self.text.find('\n').is_some_and(|at| self.text[..at].ends_with('\r')) { "\r\n" } else { "\n" }
    }

    fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }
}

fn blocks(items: &[Item]) -> impl Iterator<Item = &Block> {
    items.iter().filter_map(|item| match &item.kind {
        ItemKind::Block(block) => Some(&**block),
        _ => None,
    })
}

/// The attribute whose value has this place, with its name.
fn attribute(items: &[Item], place: Span) -> Option<(Span, &Item)> {
    let item = items.iter().find(|item| item.span.start <= place.start && place.end <= item.span.end)?;
    match &item.kind {
        ItemKind::Attribute { name, .. } => Some((*name, item)),
        ItemKind::Block(block) => attribute(&block.items, place),
        _ => None,
    }
}

/// Whether a text says what the file said, but for the changes.
///
/// # Errors
/// What else would change.
fn verify(
    text: &str,
    input: &Input,
    examined: &Examined,
    plan: &Plan,
    (values, reached): (&[Assignment], Reached<'_>),
) -> Result<(), String> {
    let (_, read) = read(text, input);
    let same_plans = read.len() == examined.plans.len()
        && read.iter().zip(&examined.plans).all(|(new, old)| new.name == old.plan.name);
    if !same_plans {
        return Err("the file would no longer say the same".to_owned());
    }
    for (new, old) in read.iter().zip(&examined.plans) {
        let own = old.plan.name == plan.name;
        let free = |path: &str| {
            own && (values.iter().any(|(own, _)| own == path)
                || (path == "hardware.nodes" || path == "hardware.devices")
                    && values.iter().any(|(own, _)| own.starts_with("hardware.")))
        };
        if let Some(path) = different(&old.plan, new).find(|path| !free(path)) {
            let plan = if own { String::new() } else { format!(" of plan `{}`", old.plan.name) };
            return Err(format!("`{path}`{plan} would change with it"));
        }
        if own && !reached(new) {
            return Err("its text has no place for it".to_owned());
        }
    }
    Ok(())
}

/// The paths whose values differ, without those that both leave out: their defaults follow what is set.
fn different<'p>(old: &'p Plan, new: &'p Plan) -> impl Iterator<Item = &'p str> {
    let lacking = |one: &'p Plan, other: &'p Plan| {
        one.settings.iter().filter_map(move |setting| {
            let others = other.setting(&setting.path);
            let follows = |own: &Setting| matches!(own.origin, Origin::Default(_));
            let same = others.map(|own| &own.value) == Some(&setting.value)
                || (follows(setting) && others.is_some_and(follows));
            (!same).then_some(setting.path.as_str())
        })
    };
    lacking(old, new).chain(lacking(new, old))
}

/// The plans of a text that stands in for a file; none where it has an error.
fn read(text: &str, input: &Input) -> (Sources, Vec<Plan>) {
    let mut sources = Sources::default();
    let source = Source { name: input.name(), text: text.to_owned(), kind: SourceKind::File };
    let file: FileId = sources.add(source);
    let project = Project::of(input);
    let resolution = resolve(Request {
        sources: &mut sources,
        file,
        path: project.file(),
        loader: &project,
        params: &llmplan_analysis::count,
        set: &[],
    });
    let sound = resolution.diagnostics.iter().all(|own| own.severity != Severity::Error);
    (sources, if sound { resolution.plans } else { Vec::new() })
}
