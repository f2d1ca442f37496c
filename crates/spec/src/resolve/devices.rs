//! The devices of a plan, with what their generations reach: the hardware's, and the one that the model is served on.

use super::blocks::BlockDef;
use super::plans::{Assembler, Draft};
use super::values::elements;
use crate::diagnostic::{Code, Diagnostic};
use crate::schema;
use crate::source::Span;

impl Assembler<'_> {
    /// The device that the hardware names.
    pub(super) fn device(&mut self, draft: &mut Draft) -> bool {
        let Some(device) = draft.attributes.get("hardware.device") else { return true };
        let names: Vec<(String, Span)> = match elements(&device.value) {
            Some(list) => list
                .iter()
                .filter_map(|element| element.as_name().map(|(name, span)| (name.to_owned(), span)))
                .collect(),
            None => device.value.as_name().map(|(name, span)| (name.to_owned(), span)).into_iter().collect(),
        };
        // With a list of devices each variant takes its own; the first is taken here to find mistakes once.
        let mut sound = true;
        for (at, (name, place)) in names.iter().enumerate() {
            match self
                .find("device", name, draft.span.file, *place)
                .and_then(|(file, index)| self.flattened(file, index))
            {
                Some(block) => {
                    let several = names.len() > 1;
                    let prefix = |kind: &str| if several { format!("{kind}@{at}") } else { kind.to_owned() };
                    let generation = self.generation(draft, &block);
                    let overridden = draft.attributes.clone();
                    draft.take(&prefix("device"), block);
                    match generation {
                        Some(generation) => draft.take(&prefix("generation"), generation),
                        None => sound = false,
                    }
                    draft.attributes.extend(overridden);
                }
                None => sound = false,
            }
        }
        sound
    }

    /// The generation that a device names, or the plan for it, or the default.
    fn generation(&mut self, draft: &Draft, device: &BlockDef) -> Option<BlockDef> {
        let own = || device.attributes.iter().find(|attribute| attribute.path == "generation");
        let named = draft.attributes.get("device.generation").or_else(own);
        let (name, place) = match named.map(|attribute| attribute.value.as_name()) {
            Some(named) => named?,
            None => match schema::declared("device.generation")?.default {
                schema::Default::Value(name, _) => (name, draft.span),
                _ => return None,
            },
        };
        let (name, from) = (name.to_owned(), named.map_or(draft.span.file, |attribute| attribute.span.file));
        let (file, index) = self.find("generation", &name, from, place)?;
        self.flattened(file, index)
    }

    /// The device that the model is served on, where the plan names one.
    pub(super) fn serving(&mut self, draft: &mut Draft) -> bool {
        let Some(named) = draft.attributes.get("inference.device").cloned() else { return true };
        if elements(&named.value).is_some() {
            let span = named.value.span().unwrap_or(named.span);
            let title = "a plan is served on one device";
            self.diagnostics.push(
                Diagnostic::error(Code::ListNotAllowed, span, title).help("write a `plan` for each device"),
            );
            return false;
        }
        let Some((name, place)) = named.value.as_name().map(|(name, span)| (name.to_owned(), span)) else {
            return true;
        };
        let Some(block) = self.device_block(&name, draft.span, place) else { return false };
        let mut own = Draft::new(name, draft.span);
        let Some(generation) = self.generation(&own, &block) else { return false };
        own.take("device", block);
        own.take("generation", generation);
        own.attributes.insert("hardware.device".to_owned(), named);
        draft.serving = Some(Box::new(own));
        true
    }

    fn device_block(&mut self, name: &str, from: Span, place: Span) -> Option<BlockDef> {
        let (file, index) = self.find("device", name, from.file, place)?;
        self.flattened(file, index)
    }
}
