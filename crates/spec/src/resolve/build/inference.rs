//! How the model is served.

use super::Builder;
use crate::plan::{Device, Inference, Multiplied, Speculative, Stored};
use crate::resolve::attributes::Values;
use crate::resolve::values::Names;

impl Builder<'_> {
    /// How the model is served.
    pub(super) fn inference(&mut self) -> Option<Inference> {
        let speculative = match self.count("inference.speculative.draft_params") {
            Some(draft_params) => Some(Speculative {
                draft_params,
                tokens: self.count("inference.speculative.tokens")?,
                acceptance: self.share("inference.speculative.acceptance")?,
            }),
            None => None,
        };
        Some(Inference {
            device: self.serving_device()?,
            tensor: self.count("inference.tensor")?,
            weights: Stored::of(&self.word("inference.weights")?)?,
            kv_cache: Stored::of(&self.word("inference.kv_cache")?)?,
            group: self.count("inference.group")?,
            matmul: Multiplied::of(&self.word("inference.matmul")?)?,
            batch: self.count("inference.batch"),
            prompt: self.count("inference.prompt")?,
            output: self.count("inference.output")?,
            block: self.count("inference.block")?,
            reserve: self.bytes("inference.reserve")?,
            price: self.amount("inference.price"),
            utilization: self.share("inference.utilization")?,
            demand: self.count("inference.demand"),
            speculative,
        })
    }

    /// The device of its own that it is served on, `Some(None)` where it is the hardware's.
    fn serving_device(&mut self) -> Option<Option<Device>> {
        let Some(draft) = &self.values.draft.serving else { return Some(None) };
        let values = Values::new(draft, self.values.params);
        let mut own = Builder { names: Names::new(self.names.files, draft.span), values, failed: false };
        let device = own.device();
        self.values.found.append(&mut own.values.found);
        Some(Some(device?))
    }
}
