//! Which model a name means: one of the catalog, or one whose shape its source publishes elsewhere.

use llmplan_spec::catalog;

/// The catalog's name of a model as tables spell it: `LLAMA3_70B`, `GPT OSS 120B`, `llama-2-70b (8k)`.
pub(crate) fn catalog_name(name: &str) -> Option<&'static str> {
    let wanted = letters(bare(name));
    if wanted.len() < 3 {
        return None;
    }
    let named = |wanted: &str| catalog::names("model").find(|known| letters(known) == wanted);
    if let Some(found) = named(&wanted) {
        return Some(found);
    }
    if let Some((_, known)) = OTHER_NAMES.iter().find(|(other, _)| *other == wanted) {
        return named(&letters(known));
    }
    // `Qwen3_235B` is the only model whose name goes on so: with the active parameters, or with `text`.
    let longer: Vec<&str> = catalog::names("model")
        .filter(|known| {
            let known = letters(known);
            let rest = known.strip_prefix(&wanted).unwrap_or_default();
            rest == "text" || (rest.starts_with('a') && rest.ends_with('b') && wanted.ends_with('b'))
        })
        .collect();
    match longer.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

/// Other spellings of models of the catalog.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("nemotron8b", "nemotron-3-8b"),
    ("nemotron15b", "nemotron-4-15b"),
    ("nemotron415b", "nemotron-4-15b"),
    ("nemotron340b", "nemotron-4-340b"),
    ("nemotronh8b", "nemotron-h-8b"),
    ("megatronturingnlg530b", "mt-nlg-530b"),
    ("megatron530b", "mt-nlg-530b"),
    ("mtnlg", "mt-nlg-530b"),
    ("bloom", "bloom-176b"),
    ("opt175", "opt-175b"),
    ("gpt3", "gpt-3-175b"),
    ("palm", "palm-540b"),
    ("chinchilla", "chinchilla-70b"),
    ("gopher", "gopher-280b"),
    ("starcoderbase", "starcoder"),
    ("starcoder155b", "starcoder"),
    ("llama3405b", "llama-3.1-405b"),
    ("llama405b", "llama-3.1-405b"),
    // Never released; Code Llama 34B was trained on from it.
    ("llama234b", "codellama-34b"),
    ("kimik2thinking", "kimi-k2"),
    ("qwen3next", "qwen3-next-80b-a3b"),
    ("qwen72b", "qwen2.5-72b"),
    ("mistral7b", "mistral-7b-v0.1"),
    ("mixtral8x7binstruct", "mixtral-8x7b"),
];

/// The text of a `model` block named `run` for a name that the catalog lacks; `None` where the shape is unknown.
pub(crate) fn published(name: &str) -> Option<String> {
    let wanted = letters(bare(name));
    let known = PUBLISHED.iter().find(|(other, _)| wanted == *other);
    if let Some((_, body)) = known {
        return Some(spread(&format!("model run {{ {body} }}\n")));
    }
    hybrid(&wanted).map(Hybrid::text)
}

/// Whether a model's experts run on latents, which the language has not: what is sent to them is a quarter of what a plan
/// counts.
pub(crate) fn has_latents(name: &str) -> bool {
    hybrid(&letters(bare(name))).is_some_and(|hybrid| hybrid.latents)
}

fn hybrid(letters: &str) -> Option<&'static Hybrid> {
    HYBRIDS.iter().find(|hybrid| hybrid.names.contains(&letters))
}

macro_rules! maxtext {
    ($layers:literal, $width:literal, $heads:literal, $head:literal, $kind:literal, $inner:literal) => {
        concat!(
            "layers = ",
            $layers,
            "; d_model = ",
            $width,
            "; vocab = 32_000; attention { heads = ",
            $heads,
            "; head_dim = ",
            $head,
            " }; ffn { kind = ",
            $kind,
            "; d_ff = ",
            $inner,
            " }"
        )
    };
}

/// Shapes outside the catalog. MaxText's are `global_parameter_scale` of its base configuration, and its v4 scripts
/// (AI-Hypercomputer/maxtext, configs/v4 and configs/v5e); Nemotron 22B is NeMo's `nemotron_22b`.
const PUBLISHED: &[(&str, &str)] = &[
    ("maxtext16b", maxtext!(32, 4096, 64, 128, "swiglu", 28_672)),
    ("maxtext32b", maxtext!(32, 8192, 64, 128, "swiglu", 28_672)),
    ("maxtext64b", maxtext!(64, 8192, 64, 128, "swiglu", 28_672)),
    ("maxtext128b", maxtext!(64, 8192, 128, 128, "swiglu", 57_344)),
    ("maxtext256b", maxtext!(64, 16_384, 128, 128, "swiglu", 57_344)),
    ("maxtext22b", maxtext!(48, 6144, 24, 256, "relu", 24_576)),
    ("maxtext52b", maxtext!(32, 12_288, 32, 256, "relu", 49_152)),
    (
        "nemotron22b",
        "layers = 40; d_model = 6144; vocab = 256_000; attention { heads = 48 }; ffn { kind = relu2; d_ff = 24_576 }; norm { kind = layernorm }",
    ),
];

/// A model of Mamba-2, attention and feed-forward layers in a pattern: `M`, `*`, `-` and `E` as Megatron-LM writes them.
struct Hybrid {
    names: &'static [&'static str],
    pattern: &'static str,
    /// How often the pattern repeats.
    repeats: usize,
    d_model: u64,
    heads: u64,
    kv_heads: u64,
    d_inner: u64,
    head_dim: u64,
    state: u64,
    d_ff: u64,
    /// Experts, experts per token, inner width of an expert, inner width of the shared expert.
    moe: Option<(u64, u64, u64, u64)>,
    /// Whether experts run on latents a quarter as wide as the stream.
    latents: bool,
    /// Modules that predict a further token each.
    mtp: u64,
}

/// Nemotron 3 Nano 30B-A3B: what its successor has but for the modules of multi-token prediction.
const NANO: Hybrid = Hybrid {
    names: &["nemotron3nano", "nemotron3nano30ba3b", "nemotron3nano30b"],
    pattern: "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
    repeats: 1,
    d_model: 2688,
    heads: 32,
    kv_heads: 2,
    d_inner: 4096,
    head_dim: 64,
    state: 128,
    d_ff: 1856,
    moe: Some((128, 6, 1856, 3712)),
    latents: false,
    mtp: 0,
};

/// NVIDIA-NeMo/Megatron-Bridge models/nemotronh/nemotron_h_provider.py and the model cards. Experts of Super and Ultra run
/// on latents a quarter as wide as the stream: an expert of `d_ff` over the latent has the weights and FLOPs of one of
/// `d_ff`/4 over the stream, and the projections to the latent and back those of as many columns of the shared expert;
/// what is sent to experts is then counted four times.
const HYBRIDS: &[Hybrid] = &[
    Hybrid {
        names: &["nemotronh56b"],
        pattern: "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
        repeats: 1,
        d_model: 8192,
        heads: 64,
        kv_heads: 8,
        d_inner: 16_384,
        head_dim: 64,
        state: 256,
        d_ff: 32_768,
        moe: None,
        latents: false,
        mtp: 0,
    },
    Hybrid {
        names: &["nemotronh47b"],
        pattern: "M-M-M-M-M-M-M-M-M*-M-M-M-M-M-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-M-M---MM---M-M*-M-M-M-M-M-",
        repeats: 1,
        d_model: 8192,
        heads: 64,
        kv_heads: 8,
        d_inner: 16_384,
        head_dim: 64,
        state: 256,
        d_ff: 30_720,
        moe: None,
        latents: false,
        mtp: 0,
    },
    NANO,
    Hybrid { names: &["nemotron35lightning", "nemotron35nano"], mtp: 2, ..NANO },
    Hybrid {
        names: &["nemotron3super", "nemotron3super120ba12b", "nemotron3super120b"],
        pattern: "MEMEMEM*EMEMEMEM*EMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEM*EMEMEMEME",
        repeats: 1,
        d_model: 4096,
        heads: 32,
        kv_heads: 2,
        d_inner: 8192,
        head_dim: 64,
        state: 128,
        d_ff: 2688,
        moe: Some((512, 22, 2688 / 4, 5376 + 1024)),
        latents: true,
        mtp: 2,
    },
    Hybrid {
        names: &["nemotron3ultra", "nemotron3ultra550ba55b", "nemotron3ultra550b"],
        pattern: "MEMEMEM*E",
        repeats: 12,
        d_model: 8192,
        heads: 64,
        kv_heads: 2,
        d_inner: 16_384,
        head_dim: 64,
        state: 128,
        d_ff: 5120,
        moe: Some((512, 22, 5120 / 4, 10_240 + 2048)),
        latents: true,
        mtp: 2,
    },
];

impl Hybrid {
    /// The block as text: Mamba-2 in every layer, and the others by number.
    fn text(&self) -> String {
        let pattern = self.pattern.repeat(self.repeats);
        let at = |letter: char| {
            let places: Vec<String> = pattern
                .chars()
                .enumerate()
                .filter(|(_, kind)| *kind == letter)
                .map(|(place, _)| place.to_string())
                .collect();
            places.join(", ")
        };
        let mut text = format!(
            "model run {{ layers = {}; d_model = {}; vocab = 131_072; mixer = mamba2; feed_forward = none; \
             attention {{ heads = {}; kv_heads = {}; head_dim = 128; position = none }}; \
             ffn {{ kind = relu2; d_ff = {} }}; \
             mamba2 {{ d_inner = {}; head_dim = {}; groups = 8; state = {} }}; ",
            pattern.len(),
            self.d_model,
            self.heads,
            self.kv_heads,
            self.d_ff,
            self.d_inner,
            self.head_dim,
            self.state,
        );
        if let Some((experts, each, d_ff, shared)) = self.moe {
            text.push_str(&format!(
                "moe {{ experts = {experts}; experts_per_token = {each}; d_ff = {d_ff}; kind = relu2; \
                 correction_bias = true; shared_experts = 1; shared_d_ff = {shared} }}; "
            ));
        }
        for (letter, name, body) in [
            ('-', "dense", "mixer = none; feed_forward = dense"),
            ('E', "experts", "mixer = none; feed_forward = moe"),
            ('*', "attention", "mixer = attention"),
        ] {
            if pattern.contains(letter) {
                text.push_str(&format!("layer {name} {{ at = [{}]; {body} }}; ", at(letter)));
            }
        }
        if self.mtp > 0 {
            text.push_str(&format!("mtp {{ depth = {} }}; ", self.mtp));
        }
        spread(&format!("{} }}\n", text.trim_end_matches("; ")))
    }
}

/// A text in one line, statements set apart by `; `, as the language has it: a statement a line.
pub(crate) fn spread(text: &str) -> String {
    text.replace("; ", "\n").replace("{ ", "{\n").replace(" }", "\n}")
}

/// The parameters that a name states: `GPT 1T` is 1e12, `MPT-760m` 760e6.
pub(crate) fn size(name: &str) -> Option<f64> {
    let name = bare(name).to_lowercase();
    let bytes = name.as_bytes();
    let mut found = None;
    for (at, byte) in bytes.iter().enumerate() {
        let scale = match byte {
            b't' => 1e12,
            b'b' => 1e9,
            b'm' => 1e6,
            _ => continue,
        };
        if bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric) {
            continue;
        }
        let head = name.get(..at).unwrap_or_default();
        let start = head.rfind(|c: char| !c.is_ascii_digit() && c != '.').map_or(0, |last| last + 1);
        if let Some(number) = head.get(start..).and_then(|digits| digits.parse::<f64>().ok()) {
            found = found.or(Some(number * scale));
        }
    }
    found
}

/// A name without what stands in parentheses behind it.
pub(crate) fn bare(name: &str) -> &str {
    name.split(" (").next().unwrap_or(name).split(',').next().unwrap_or(name).trim()
}

/// Letters and digits in lower case.
pub(crate) fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::{catalog_name, size};

    #[test]
    fn names_as_tables_spell_them_are_found() {
        for (spelled, name) in [
            ("LLAMA3_70B", "llama-3-70b"),
            ("GPT OSS 120B", "gpt-oss-120b"),
            ("DeepSeekV3 (w/o MTP)", "deepseek-v3"),
            ("Qwen3_30B_a3B", "qwen3-30b-a3b"),
            ("Qwen3_235B", "qwen3-235b-a22b"),
            ("GPT3-175B", "gpt-3-175b"),
            ("llama-3.1-405b (kv_head_num 16 in config)", "llama-3.1-405b"),
            ("megatron-sc21-1.7B", "megatron-sc21-1.7b"),
        ] {
            assert_eq!(catalog_name(spelled), Some(name), "{spelled}");
        }
        assert_eq!(catalog_name("GPT shape"), None);
    }

    #[test]
    fn sizes_are_read_from_names() {
        assert_eq!(size("GPT 1T"), Some(1e12));
        assert_eq!(size("BLOOM-shape 183B"), Some(183e9));
        assert_eq!(size("MPT-760m"), Some(760e6));
        assert_eq!(size("7.5B params, K=12, Nd=64"), Some(7.5e9));
        assert_eq!(size("GPT shape"), None);
    }
}
