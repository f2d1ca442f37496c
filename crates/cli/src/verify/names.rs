//! Names of tensors, taken apart and looked up in the [table](super::table).

use safetensors::tensor::Dtype;

use super::table::{
    ATTENTION, BUFFERS, COMPANIONS, LAYER, LAYERS, MODULE, ONLY_IN_MODULES, OUTER, PACKED, PREFIXES, Part,
};

/// Where a tensor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Before or behind the layers.
    Outer,
    /// In a layer.
    Layer(u64),
    /// In a module of multi-token prediction.
    Module(u64),
}

/// A name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Where its tensor stands.
    pub(super) place: Place,
    /// The name with `*` for each number: the same in every layer and for every expert.
    pub(super) pattern: String,
    /// What follows the layer.
    pub(super) tail: String,
    /// Which expert or head it belongs to.
    pub(super) copy: Option<u64>,
}

/// A tensor of a plan: its operator, and its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) operator: &'static str,
    pub(super) tensor: &'static str,
}

/// What a name may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Tensors of a plan: alternatives, the likeliest first, each of one tensor or several that are stored as one.
    Plan(Vec<Vec<Target>>),
    /// Something that is computed again when the model is loaded.
    Buffer,
    /// What quantised weights need beside themselves: scales, zeros, order.
    Companion,
    /// Weights in a packing that does not tell how many they are.
    Packed(Vec<Vec<Target>>),
    /// Nothing that is known.
    Unknown,
}

impl Name {
    /// Takes a name apart.
    pub(super) fn read(name: &str) -> Name {
        let pattern = starred(name);
        let outer = |tail: &str| Name {
            place: Place::Outer,
            pattern: pattern.clone(),
            tail: starred(tail),
            copy: copy(tail),
        };
        if let Some(rest) = name.strip_prefix("mtp.") {
            let (number, tail) = numbered(rest, "layers").unwrap_or((0, rest));
            return Name { place: Place::Module(number), ..outer(tail) };
        }
        for prefix in PREFIXES {
            let Some(rest) = name.strip_prefix(prefix) else { continue };
            if let Some((number, tail)) = LAYERS.iter().find_map(|layers| numbered(rest, layers)) {
                return Name { place: Place::Layer(number), ..outer(tail) };
            }
            if let Some((number, tail)) = numbered(rest, "mtp_layers") {
                return Name { place: Place::Module(number), ..outer(tail) };
            }
        }
        let prefix = PREFIXES.iter().find(|prefix| name.starts_with(**prefix)).unwrap_or(&"");
        outer(name.get(prefix.len()..).unwrap_or(name))
    }

    /// Whether only a module of multi-token prediction has such a tensor.
    pub(super) fn in_modules_only(&self) -> bool {
        ONLY_IN_MODULES.contains(&self.tail.as_str())
    }

    /// What the name may mean.
    pub(super) fn meaning(&self) -> Meaning {
        let tail = self.tail.as_str();
        let attends = ATTENTION.containers.iter().any(|part| {
            tail.strip_prefix(part).is_some_and(|rest| BUFFERS.contains(&format!("*{rest}").as_str()))
        });
        if attends || BUFFERS.contains(&tail) {
            return Meaning::Buffer;
        }
        let last = tail.rsplit('.').next().unwrap_or_default();
        if COMPANIONS.contains(&last) || last.ends_with("_scales") || tail.contains(".weight.quant_state.") {
            return Meaning::Companion;
        }
        if let Some(module) = PACKED.iter().find_map(|end| tail.strip_suffix(end)?.strip_suffix('.')) {
            return Meaning::Packed(self.targets(module, "weight"));
        }
        let (module, tensor) = match tail.rsplit_once('.') {
            Some((module, "weight")) => (module, "weight"),
            Some((module, "bias")) => (module, "bias"),
            _ if tail.contains("experts.") => {
                let whole = tail.strip_suffix("_blocks").unwrap_or(tail);
                whole.strip_suffix("_bias").map_or((whole, "weight"), |module| (module, "bias"))
            }
            _ => (tail, "weight"),
        };
        match self.targets(module, tensor) {
            targets if targets.is_empty() => Meaning::Unknown,
            targets => Meaning::Plan(targets),
        }
    }

    /// How many values are in one element of its tensor: two of four bits in each byte of `*_blocks` (gpt-oss).
    pub(super) fn values_per_element(&self, dtype: Dtype) -> u64 {
        if self.tail.ends_with("_blocks") && dtype == Dtype::U8 { 2 } else { 1 }
    }

    fn targets(&self, module: &str, tensor: &'static str) -> Vec<Vec<Target>> {
        let parts: Vec<&Part> = match self.place {
            Place::Outer => vec![&OUTER],
            Place::Layer(_) => LAYER.to_vec(),
            Place::Module(_) => [&MODULE].into_iter().chain(LAYER).collect(),
        };
        let mut found = Vec::new();
        for part in parts {
            let names = part.containers.iter().filter_map(|container| match *container {
                "" => Some(module),
                container => module.strip_prefix(container)?.strip_prefix('.'),
            });
            for name in names {
                let rules = part.rules.iter().filter(|(names, _)| names.contains(&name));
                found.extend(rules.flat_map(|(_, targets)| *targets).map(|targets| {
                    targets.iter().map(|target| Target::read(target, tensor)).collect::<Vec<_>>()
                }));
            }
        }
        found
    }
}

impl Target {
    fn read(text: &'static str, tensor: &'static str) -> Target {
        let (operator, tensor) = text.split_once(':').unwrap_or((text, tensor));
        Target { operator, tensor }
    }
}

/// The number and the rest of `list.7.rest`.
fn numbered<'n>(name: &'n str, list: &str) -> Option<(u64, &'n str)> {
    let (number, tail) = name.strip_prefix(list)?.strip_prefix('.')?.split_once('.')?;
    Some((number_of(number)?, tail))
}

fn number_of(text: &str) -> Option<u64> {
    // No model has more layers or experts than that.
    text.parse::<u32>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit())).map(u64::from)
}

fn copy(tail: &str) -> Option<u64> {
    tail.split('.').find_map(number_of)
}

fn starred(name: &str) -> String {
    let parts: Vec<&str> =
        name.split('.').map(|part| if number_of(part).is_some() { "*" } else { part }).collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(name: &str) -> String {
        match Name::read(name).meaning() {
            Meaning::Plan(targets) => {
                let targets =
                    targets[0].iter().map(|target| format!("{}:{}", target.operator, target.tensor));
                targets.collect::<Vec<_>>().join(" ")
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn names_are_taken_apart() {
        let name = Name::read("model.layers.7.mlp.experts.12.up_proj.weight");
        assert_eq!((name.place, name.copy), (Place::Layer(7), Some(12)));
        assert_eq!(name.tail, "mlp.experts.*.up_proj.weight");
        assert_eq!(name.pattern, "model.layers.*.mlp.experts.*.up_proj.weight");
        for wte in ["wte.weight", "transformer.wte.weight"] {
            assert_eq!((Name::read(wte).place, Name::read(wte).tail.as_str()), (Place::Outer, "wte.weight"));
        }
        assert_eq!(Name::read("mtp.layers.0.mlp.gate.weight").place, Place::Module(0));
        assert_eq!(Name::read("mtp.fc.weight").tail, "fc.weight");
        assert_eq!(Name::read("model.mtp_layers.1.x").place, Place::Module(1));
        // Neither numbers beyond all layers nor the layers of something else are layers.
        for other in ["layers.4294967296.x", "layers.-1.x", "layers.+1.x", "visual.blocks.0.x", "h.1", ""] {
            assert_eq!(Name::read(other).place, Place::Outer, "{other}");
        }
    }

    #[test]
    fn names_mean_tensors_of_a_plan() {
        assert_eq!(first("h.0.attn.c_attn.bias"), "attention.q:bias attention.k:bias attention.v:bias");
        assert_eq!(first("model.layers.0.self_attn.sinks"), "attention.softmax:sinks");
        assert_eq!(first("backbone.layers.0.mixer.A_log"), "mamba2.scan:a_log");
        assert_eq!(first("model.layers.0.mlp.experts.gate_up_proj_bias"), "moe.gate:bias moe.up:bias");
        assert_eq!(first("model.layers.0.mlp.experts.gate_up_proj_blocks"), "moe.gate:weight moe.up:weight");
        assert_eq!(first("transformer.ln_f.bias"), "final_norm:bias");
        assert_eq!(first("transformer.h.0.attn.bias"), "Buffer");
        assert_eq!(first("gpt_neox.layers.0.attention.rotary_emb.inv_freq"), "Buffer");
        assert_eq!(first("model.layers.0.self_attn.q_proj.weight_scale_inv"), "Companion");
        assert_eq!(
            first("model.layers.0.self_attn.q_proj.weight.quant_state.bitsandbytes__nf4"),
            "Companion"
        );
        assert_eq!(first("model.vision_tower.patch.weight"), "Unknown");
    }
}
