//! Closed forms: what a component of one layer costs, in the paths of the language. Tests evaluate them and hold them
//! to the folds over the Graph.

use llmplan_spec::plan::{
    Attention, FeedForward, Ffn, FfnKind, Layer, LayerKind, Mamba2, Mixer, Model, Moe, NormKind, OutputGate,
    Position, QkNorm,
};

use crate::graph::{Component, Graph, Kind, Part};
use crate::quantities::Quantities;

/// A sum of products: each a whole number times factors in the language's syntax. Empty factors are a number alone.
pub(crate) type Terms = Vec<(u64, String)>;

/// A kind of layer, how often it occurs, and where its attributes stand.
pub(crate) struct Form<'a> {
    /// The path of the number of such layers; `None` for one layer.
    pub(crate) count: Option<String>,
    /// The layer.
    layer: &'a Layer,
    model: &'a Model,
    /// The name of the kind, by which attributes of its own are found.
    kind: &'a str,
    /// Norms over the whole stream in such a layer.
    norms: u64,
    /// Attributes that have a path of their own in this kind.
    own: &'a dyn Fn(&str) -> bool,
}

impl<'a> Form<'a> {
    /// The form of a kind of layer.
    pub(crate) fn new(
        kind: &'a LayerKind,
        model: &'a Model,
        graph: &Graph,
        own: &'a dyn Fn(&str) -> bool,
        count: Option<String>,
    ) -> Form<'a> {
        let block = graph.blocks.iter().find(|block| block.part == Part::Layer && block.name == kind.name);
        let norm =
            |name: &str| matches!(name, "mixer.norm" | "mixer.post_norm" | "ffn.norm" | "ffn.post_norm");
        let norms = block.map_or(0, |block| {
            let whole = block
                .operators
                .iter()
                .filter(|operator| norm(operator.name) && matches!(operator.kind, Kind::Norm { .. }));
            whole.count() as u64
        });
        Form { count, layer: &kind.layer, model, kind: &kind.name, norms, own }
    }

    /// The name of the kind of layer.
    pub(crate) fn name(&self) -> &str {
        self.kind
    }

    /// The path of an attribute of the layer: its own, or the model's.
    pub(crate) fn path(&self, rest: &str) -> String {
        let own = format!("model.layer.{}.{rest}", self.kind);
        if (self.own)(&own) { own } else { format!("model.{rest}") }
    }

    /// Parameters of a component in one such layer.
    pub(crate) fn params(&self, component: Component) -> Terms {
        let mut terms = self.products(component, false);
        terms.extend(self.vectors(component));
        terms
    }

    /// Multiply-adds per token of a component in one such layer, but for attention scores.
    pub(crate) fn multiply_adds(&self, component: Component) -> Terms {
        match (component, &self.layer.mixer) {
            (Component::Recurrence, Mixer::Mamba2(_)) => {
                let (channels, conv) = (self.mamba_channels(), self.path("mamba2.conv"));
                let (inner, state) = (self.path("mamba2.d_inner"), self.path("mamba2.state"));
                vec![(1, format!("{channels} * {conv}")), (2, format!("{inner} * {state}"))]
            }
            (Component::Recurrence, Mixer::GatedDelta(_)) => {
                let (heads, key, value) = (
                    self.path("gated_delta.value_heads"),
                    self.path("gated_delta.key_dim"),
                    self.path("gated_delta.value_dim"),
                );
                let conv = self.path("gated_delta.conv");
                vec![
                    (1, format!("{} * {conv}", self.delta_channels())),
                    (3, format!("{heads} * {key} * {value}")),
                ]
            }
            _ => self.products(component, true),
        }
    }

    /// The width that scores (or, with `sum`, weighted sums) multiply for each pair: of all heads together.
    pub(crate) fn pair_width(&self, sum: bool) -> Option<(u64, String)> {
        let Mixer::Attention(own) = &self.layer.mixer else { return None };
        let heads = self.path("attention.heads");
        let twice = 1 + u64::from(!sum && own.position == Position::Relative);
        let width = match own.latent.filter(|latent| latent.absorbed) {
            Some(_) => {
                let (rank, rope) = (self.path("attention.kv_rank"), self.path("attention.rope_dim"));
                if sum { format!("{heads} * {rank}") } else { format!("{heads} * ({rank} + {rope})") }
            }
            None if self.square(own) => "model.d_model".to_owned(),
            None => {
                let leaf = if sum && own.v_dim != own.head_dim { "v_dim" } else { "head_dim" };
                format!("{heads} * {}", self.path(&format!("attention.{leaf}")))
            }
        };
        Some((twice, width))
    }

    /// Values that the KV cache keeps for each token of one such layer.
    pub(crate) fn cache_values(&self) -> Option<(u64, String)> {
        let Mixer::Attention(own) = &self.layer.mixer else { return None };
        let (kv, head) = (self.path("attention.kv_heads"), self.path("attention.head_dim"));
        Some(match own.latent {
            Some(_) => {
                let (rank, rope) = (self.path("attention.kv_rank"), self.path("attention.rope_dim"));
                (1, format!("({rank} + {rope})"))
            }
            None if own.v_dim == own.head_dim => (2, format!("{kv} * {head}")),
            None => (1, format!("{kv} * ({head} + {})", self.path("attention.v_dim"))),
        })
    }

    /// Values of state of one such layer, whatever the sequence.
    pub(crate) fn state_values(&self) -> Terms {
        match &self.layer.mixer {
            Mixer::Mamba2(_) => {
                let conv = self.path("mamba2.conv");
                let (inner, state) = (self.path("mamba2.d_inner"), self.path("mamba2.state"));
                vec![
                    (1, format!("{} * ({conv} - 1)", self.mamba_channels())),
                    (1, format!("{inner} * {state}")),
                ]
            }
            Mixer::GatedDelta(_) => {
                let conv = self.path("gated_delta.conv");
                let (heads, key, value) = (
                    self.path("gated_delta.value_heads"),
                    self.path("gated_delta.key_dim"),
                    self.path("gated_delta.value_dim"),
                );
                vec![
                    (1, format!("{} * ({conv} - 1)", self.delta_channels())),
                    (1, format!("{heads} * {key} * {value}")),
                ]
            }
            _ => Vec::new(),
        }
    }

    /// Routed experts that a token passes, in parameters.
    pub(crate) fn active_experts(&self) -> Terms {
        match &self.layer.feed_forward {
            FeedForward::Moe(own) => {
                let mut terms = self.expert_products(own, true);
                terms.extend(self.expert_vectors(own, "moe.experts_per_token"));
                terms
            }
            _ => Vec::new(),
        }
    }

    /// Matrices of a component; with `active`, the experts that a token passes instead of all.
    fn products(&self, component: Component, active: bool) -> Terms {
        match (&self.layer.mixer, component) {
            (
                Mixer::Attention(own),
                Component::Qkv | Component::Relative | Component::AttentionGate | Component::AttentionOutput,
            ) => self.attention_products(own, component),
            (
                Mixer::Mamba2(_),
                Component::RecurrentInput | Component::Recurrence | Component::RecurrentOutput,
            ) => self.mamba_products(component),
            (
                Mixer::GatedDelta(_),
                Component::RecurrentInput | Component::Recurrence | Component::RecurrentOutput,
            ) => self.delta_products(component),
            _ => match &self.layer.feed_forward {
                FeedForward::Dense(own) => self.ffn_products(own, component),
                FeedForward::Moe(own) => self.moe_products(own, component, active),
                FeedForward::None => Vec::new(),
            },
        }
    }

    /// Biases, norms and other vectors of a component.
    fn vectors(&self, component: Component) -> Terms {
        let mut terms = match (&self.layer.mixer, component) {
            (Mixer::Attention(own), Component::Qkv) => self.qkv_biases(own),
            (Mixer::Attention(own), Component::Sinks) if own.sinks => vec![(1, self.path("attention.heads"))],
            (Mixer::Attention(own), Component::AttentionGate) if own.gate_bias => match own.gate {
                OutputGate::None => Vec::new(),
                OutputGate::PerHead => vec![(1, self.path("attention.heads"))],
                OutputGate::Full => {
                    let leaf = if own.v_dim == own.head_dim { "head_dim" } else { "v_dim" };
                    let width = self.path(&format!("attention.{leaf}"));
                    vec![(1, format!("{} * {width}", self.path("attention.heads")))]
                }
            },
            (Mixer::Attention(own), Component::AttentionOutput) if own.bias.output => {
                vec![(1, "model.d_model".to_owned())]
            }
            (Mixer::Attention(own), Component::Norm) => self.attention_norms(own),
            (Mixer::Mamba2(own), _) => self.mamba_vectors(own, component),
            (Mixer::GatedDelta(_), Component::Recurrence) => {
                vec![(2, self.path("gated_delta.value_heads")), (1, self.path("gated_delta.value_dim"))]
            }
            _ => Vec::new(),
        };
        match &self.layer.feed_forward {
            FeedForward::Dense(own) => terms.extend(self.ffn_vectors(own, component)),
            FeedForward::Moe(own) => terms.extend(match component {
                Component::Router if own.router_bias => vec![(1, self.path("moe.experts"))],
                Component::Experts => self.expert_vectors(own, "moe.experts"),
                Component::SharedExperts if own.shared_experts > 0 => self.shared_vectors(own),
                _ => Vec::new(),
            }),
            FeedForward::None => {}
        }
        if component == Component::Norm && self.norms > 0 {
            let each = norm_vectors(self.model);
            terms.extend((each > 0).then(|| (each.saturating_mul(self.norms), "model.d_model".to_owned())));
        }
        terms
    }

    /// Whether all query heads together are as wide as the stream, and values as queries.
    fn square(&self, own: &Attention) -> bool {
        own.latent.is_none()
            && own.v_dim == own.head_dim
            && own.heads.checked_mul(own.head_dim) == Some(self.model.d_model)
    }

    fn attention_products(&self, own: &Attention, component: Component) -> Terms {
        let p = |leaf: &str| self.path(&format!("attention.{leaf}"));
        let d = "model.d_model";
        let (a, k, h) = (p("heads"), p("kv_heads"), p("head_dim"));
        let v = if own.v_dim == own.head_dim { h.clone() } else { p("v_dim") };
        match component {
            Component::Relative if own.position == Position::Relative => {
                vec![(1, format!("{d} * {a} * {h}"))]
            }
            Component::AttentionGate => match own.gate {
                OutputGate::None => Vec::new(),
                OutputGate::Full => vec![(1, format!("{d} * {a} * {v}"))],
                OutputGate::PerHead => vec![(1, format!("{d} * {a}"))],
            },
            Component::AttentionOutput if self.square(own) => vec![(1, format!("{d}^2"))],
            Component::AttentionOutput => vec![(1, format!("{a} * {v} * {d}"))],
            Component::Qkv => match own.latent {
                Some(latent) => {
                    let (rank, nope, rope) = (p("kv_rank"), p("nope_dim"), p("rope_dim"));
                    let mut terms = match latent.q_rank {
                        Some(_) => {
                            let rank = p("q_rank");
                            vec![(1, format!("{d} * {rank}")), (1, format!("{rank} * {a} * {h}"))]
                        }
                        None => vec![(1, format!("{d} * {a} * {h}"))],
                    };
                    terms.push((1, format!("{d} * ({rank} + {rope})")));
                    terms.push((1, format!("{rank} * {a} * ({nope} + {})", p("v_dim"))));
                    terms
                }
                None if self.square(own) && own.heads == own.kv_heads => vec![(3, format!("{d}^2"))],
                None if own.v_dim == own.head_dim => vec![(1, format!("{d} * ({a} + 2 * {k}) * {h}"))],
                None => {
                    vec![(1, format!("{d} * {a} * {h}")), (1, format!("{d} * {k} * ({h} + {v})"))]
                }
            },
            _ => Vec::new(),
        }
    }

    fn qkv_biases(&self, own: &Attention) -> Terms {
        let p = |leaf: &str| self.path(&format!("attention.{leaf}"));
        let (a, k, h) = (p("heads"), p("kv_heads"), p("head_dim"));
        let bias = own.bias;
        if let Some(latent) = own.latent {
            let mut terms = Vec::new();
            if bias.q {
                terms.push((1, if latent.q_rank.is_some() { p("q_rank") } else { format!("{a} * {h}") }));
            }
            if bias.k {
                terms.push((1, format!("({} + {})", p("kv_rank"), p("rope_dim"))));
            }
            return terms;
        }
        if bias.q && bias.k && bias.v && own.v_dim == own.head_dim {
            return match self.square(own) && own.heads == own.kv_heads {
                true => vec![(3, "model.d_model".to_owned())],
                false => vec![(1, format!("({a} + 2 * {k}) * {h}"))],
            };
        }
        let v = if own.v_dim == own.head_dim { h.clone() } else { p("v_dim") };
        [(bias.q, format!("{a} * {h}")), (bias.k, format!("{k} * {h}")), (bias.v, format!("{k} * {v}"))]
            .into_iter()
            .filter_map(|(on, term)| on.then_some((1, term)))
            .collect()
    }

    fn attention_norms(&self, own: &Attention) -> Terms {
        let p = |leaf: &str| self.path(&format!("attention.{leaf}"));
        if let Some(latent) = own.latent {
            let ranks = [latent.q_rank.map(|_| p("q_rank")), Some(p("kv_rank"))];
            return ranks.into_iter().flatten().map(|rank| (1, rank)).collect();
        }
        if norm_vectors(self.model) == 0 {
            return Vec::new();
        }
        let each = 1 + u64::from(own.qk_norm_bias);
        match own.qk_norm {
            QkNorm::None | QkNorm::Unweighted => Vec::new(),
            QkNorm::PerHead => vec![(2 * each, p("head_dim"))],
            QkNorm::PerHeadDistinct | QkNorm::Full => {
                vec![(each, format!("({} + {}) * {}", p("heads"), p("kv_heads"), p("head_dim")))]
            }
        }
    }

    fn mamba_channels(&self) -> String {
        let p = |leaf: &str| self.path(&format!("mamba2.{leaf}"));
        format!("({} + 2 * {} * {})", p("d_inner"), p("groups"), p("state"))
    }

    /// z, x, B, C and time steps.
    fn mamba_columns(&self) -> String {
        let p = |leaf: &str| self.path(&format!("mamba2.{leaf}"));
        let (i, g, n, h) = (p("d_inner"), p("groups"), p("state"), p("head_dim"));
        format!("(2 * {i} + 2 * {g} * {n} + {i} / {h})")
    }

    fn mamba_products(&self, component: Component) -> Terms {
        let p = |leaf: &str| self.path(&format!("mamba2.{leaf}"));
        match component {
            Component::RecurrentInput => vec![(1, format!("model.d_model * {}", self.mamba_columns()))],
            Component::Recurrence => vec![(1, format!("{} * {}", self.mamba_channels(), p("conv")))],
            _ => vec![(1, format!("{} * model.d_model", p("d_inner")))],
        }
    }

    fn mamba_vectors(&self, own: &Mamba2, component: Component) -> Terms {
        let p = |leaf: &str| self.path(&format!("mamba2.{leaf}"));
        match component {
            Component::RecurrentInput if own.bias => vec![(1, self.mamba_columns())],
            Component::RecurrentOutput if own.bias => vec![(1, "model.d_model".to_owned())],
            Component::Recurrence => {
                let mut terms = vec![(3, format!("{} / {}", p("d_inner"), p("head_dim")))];
                terms.extend(own.conv_bias.then(|| (1, self.mamba_channels())));
                terms.extend(own.norm.then(|| (1, p("d_inner"))));
                terms
            }
            _ => Vec::new(),
        }
    }

    fn delta_channels(&self) -> String {
        let p = |leaf: &str| self.path(&format!("gated_delta.{leaf}"));
        let (keys, values) = (p("key_heads"), p("value_heads"));
        format!("(2 * {keys} * {} + {values} * {})", p("key_dim"), p("value_dim"))
    }

    fn delta_products(&self, component: Component) -> Terms {
        let p = |leaf: &str| self.path(&format!("gated_delta.{leaf}"));
        let (values, width) = (p("value_heads"), p("value_dim"));
        match component {
            Component::RecurrentInput => vec![
                (1, format!("model.d_model * {}", self.delta_channels())),
                (1, format!("model.d_model * {values} * ({width} + 2)")),
            ],
            Component::Recurrence => vec![(1, format!("{} * {}", self.delta_channels(), p("conv")))],
            _ => vec![(1, format!("{values} * {width} * model.d_model"))],
        }
    }

    fn fourfold(&self, own: &Ffn) -> bool {
        self.model.d_model.checked_mul(4) == Some(own.d_ff)
    }

    fn ffn_products(&self, own: &Ffn, component: Component) -> Terms {
        let there = match component {
            Component::FfnUp | Component::FfnDown => true,
            Component::FfnGate => own.kind.gated(),
            _ => false,
        };
        match (there, self.fourfold(own)) {
            (false, _) => Vec::new(),
            (true, true) => vec![(4, "model.d_model^2".to_owned())],
            (true, false) => vec![(1, format!("model.d_model * {}", self.path("ffn.d_ff")))],
        }
    }

    fn ffn_vectors(&self, own: &Ffn, component: Component) -> Terms {
        let wide = || match self.fourfold(own) {
            true => (4, "model.d_model".to_owned()),
            false => (1, self.path("ffn.d_ff")),
        };
        match component {
            Component::FfnUp => {
                let mut terms = Vec::new();
                terms.extend(own.up_bias.then(wide));
                terms.extend((own.kind == FfnKind::Xielu).then(|| (2, String::new())));
                terms
            }
            Component::FfnGate if own.kind.gated() && own.gate_bias => vec![wide()],
            Component::FfnDown if own.down_bias => vec![(1, "model.d_model".to_owned())],
            _ => Vec::new(),
        }
    }

    fn moe_products(&self, own: &Moe, component: Component, active: bool) -> Terms {
        let p = |leaf: &str| self.path(&format!("moe.{leaf}"));
        match component {
            Component::Router => vec![(1, format!("model.d_model * {}", p("experts")))],
            Component::Experts => self.expert_products(own, active),
            Component::SharedExperts if own.shared_experts > 0 => {
                let matrices = if own.kind.gated() { 3 } else { 2 };
                let (s, f) = (p("shared_experts"), p("shared_d_ff"));
                let mut terms = vec![(matrices, format!("{s} * model.d_model * {f}"))];
                terms.extend(own.shared_gate.then(|| (1, "model.d_model".to_owned())));
                terms
            }
            _ => Vec::new(),
        }
    }

    fn expert_products(&self, own: &Moe, active: bool) -> Terms {
        let matrices = if own.kind.gated() { 3 } else { 2 };
        let count = self.path(if active { "moe.experts_per_token" } else { "moe.experts" });
        vec![(matrices, format!("{count} * model.d_model * {}", self.path("moe.d_ff")))]
    }

    /// Biases of routed experts, and the scalars of their non-linearity, which they share.
    fn expert_vectors(&self, own: &Moe, count: &str) -> Terms {
        let mut terms = Vec::new();
        if own.bias {
            let (count, f) = (self.path(count), self.path("moe.d_ff"));
            let wide = if own.kind.gated() { format!("2 * {f}") } else { f };
            terms.push((1, format!("{count} * ({wide} + model.d_model)")));
        }
        terms.extend((own.kind == FfnKind::Xielu).then(|| (2, String::new())));
        terms
    }

    fn shared_vectors(&self, own: &Moe) -> Terms {
        let mut terms = Vec::new();
        if own.shared_bias {
            let wide = format!("{} * {}", self.path("moe.shared_experts"), self.path("moe.shared_d_ff"));
            terms.push((1 + u64::from(own.kind.gated()), wide));
            terms.push((1, "model.d_model".to_owned()));
        }
        terms.extend((own.kind == FfnKind::Xielu).then(|| (2, String::new())));
        terms
    }
}

/// Vectors of one norm of the model: weights, biases.
pub(crate) fn norm_vectors(model: &Model) -> u64 {
    match model.norm.kind {
        NormKind::None => 0,
        _ => u64::from(model.norm.weight) + u64::from(model.norm.weight && model.norm.bias),
    }
}

/// Terms of every kind of layer as one formula: each product with its unit, the number of such layers, and `times`
/// besides. Kinds with the same terms are put together.
pub(crate) fn sum(
    q: &Quantities<'_>,
    forms: &[(&Form<'_>, Terms)],
    unit: &str,
    times: &str,
) -> Option<String> {
    let mut groups: Vec<(&Terms, Vec<&str>)> = Vec::new();
    for (form, terms) in forms {
        let count = form.count.as_deref().unwrap_or("");
        if terms.is_empty() {
            continue;
        }
        match groups.iter_mut().find(|(known, counts)| {
            *known == terms && counts.iter().all(|count| count.starts_with("model.layer."))
        }) {
            Some((_, counts)) if count.starts_with("model.layer.") => counts.push(count),
            _ => groups.push((terms, vec![count])),
        }
    }
    let kinds = q.plan.model.kinds.len();
    let mut parts = Vec::new();
    for (terms, counts) in &groups {
        let count = match counts.as_slice() {
            [only] => (*only).to_owned(),
            all if all.len() == kinds => "model.layers".to_owned(),
            all => format!("({})", all.join(" + ")),
        };
        for (coefficient, factors) in terms.iter() {
            parts.push(term(*coefficient, &[count.as_str(), times, factors], unit));
        }
    }
    (!parts.is_empty()).then(|| parts.join(" + "))
}

/// A product: the number with its unit where it says something, then the factors that are not empty.
pub(crate) fn term(coefficient: u64, factors: &[&str], unit: &str) -> String {
    let factors: Vec<&str> = factors.iter().copied().filter(|factor| !factor.is_empty()).collect();
    match (coefficient, unit, factors.is_empty()) {
        (1, "", false) => factors.join(" * "),
        (_, "", true) => coefficient.to_string(),
        (_, "", false) => format!("{coefficient} * {}", factors.join(" * ")),
        (_, unit, true) => format!("{coefficient} {unit}"),
        (_, unit, false) => format!("{coefficient} {unit} * {}", factors.join(" * ")),
    }
}
