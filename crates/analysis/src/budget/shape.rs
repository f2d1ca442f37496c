//! A number of parameters as a shape: layers and widths that tensor cores and the plan's degrees of parallelism like.
//!
//! The kinds of the plan's model stay as they are: gated or not, query heads for each key head, tied or not, experts and
//! how many of them a token is routed to. What is scaled is depth and width, with the ratios that the plan has.

use llmplan_spec::plan::{Attention, FeedForward, LawParams, Layer, LayerKind, Mixer, Model, Plan, Run};

use super::family::{Family, Widths, lcm};
use crate::folds::{self, Sequence};
use crate::graph::{self, Component};

/// How far the parameters of a shape may be from those that were asked for, as a share.
pub const TOLERANCE: f64 = 0.01;

/// d_model over layers that is aimed at: the plan's own, within these bounds, where the model is not far from the plan's
/// in size. Loss hardly depends on it over a wider range (Kaplan 2020 §3.1).
const ASPECTS: (f64, f64) = (64.0, 160.0);

/// How far in size, as a factor each way.
const NEAR: f64 = 10.0;

/// Otherwise what published models have: GPT-3 64 to 85 from 760M to 2.7B and 128 from 6.7B on (Brown 2020 table 2.1),
/// Llama 3 102 to 130 (Grattafiori 2024 table 3).
const USUAL: (f64, f64) = (80.0, 128.0);

/// The parameters from which on the wider one is aimed at.
const LARGE: f64 = 5e9;

/// Widths of a head that kernels are made for.
const HEADS: [u64; 6] = [64, 80, 96, 128, 192, 256];

/// A shape, with its model.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// L.
    pub layers: u64,
    /// d.
    pub d_model: u64,
    /// Query heads.
    pub heads: u64,
    /// Key and value heads.
    pub kv_heads: u64,
    /// Width of a head.
    pub head_dim: u64,
    /// Inner width of the feed-forward network, or of one expert; `None` where there is none.
    pub d_ff: Option<u64>,
    /// The whole model.
    pub model: Model,
    /// Its parameters as the law counts them, exactly.
    pub counted: u128,
}

impl Shape {
    /// Its parameters over those that were asked for, less 1.
    pub fn gap(&self, params: f64) -> f64 {
        self.counted as f64 / params - 1.0
    }
}

/// Why there is no shape.
#[derive(Clone, Debug, PartialEq)]
pub enum NoShape {
    /// Layers of several kinds, latents, recurrences: how they would be scaled is for their author to say.
    Kinds(&'static str),
    /// None comes within [`TOLERANCE`]; the nearest, where there is any.
    None(Option<Box<Shape>>),
}

/// What divides a shape.
#[derive(Clone, Copy, Debug)]
pub struct Degrees {
    /// Heads and inner widths are divided by it.
    pub tensor: u64,
    /// Layers are divided by it: stages × chunks of each.
    pub pipeline: u64,
}

impl Degrees {
    /// Those of a plan: of its training, and the devices of a replica that serves; 1 without either.
    pub fn of(plan: &Plan) -> Degrees {
        let training = plan.training.as_ref().map(|own| &own.parallelism);
        let serving = plan.inference.as_ref().map_or(1, |own| own.tensor);
        Degrees {
            tensor: lcm(training.map_or(1, |own| own.tensor), serving),
            pipeline: training.map_or(1, |own| own.pipeline.max(1).saturating_mul(own.interleave.max(1))),
        }
    }
}

/// Parameters as a law counts them, of experts those that one token is routed to; for a law in FLOPs per token a sixth of
/// those of training, embeddings left out. `None` beyond 128 bits.
pub fn counted(model: &Model, params: LawParams, sequence: Sequence<'_>) -> Option<u128> {
    let graph = graph::lower(model);
    if params == LawParams::FlopsPerToken {
        let flops = folds::forward_flops(&graph, sequence)?;
        let inner = flops.total()?.checked_sub(flops.of(Component::Output))?;
        return inner.checked_div(u128::from(sequence.tokens.max(1)).checked_mul(2)?);
    }
    let active = folds::active_params(&graph)?;
    let total = active.total()?;
    match params {
        LawParams::NonEmbedding => {
            [Component::Embedding, Component::EmbeddingProjection, Component::Position, Component::Output]
                .iter()
                .try_fold(total, |rest, part| rest.checked_sub(active.of(*part)))
        }
        _ => Some(total),
    }
}

/// The best shape of a number of parameters, counted as the law does.
///
/// Of all shapes within [`TOLERANCE`] it is the one that is nearest to the number, to the plan's ratios and to widths that
/// are multiples of powers of two, together. The result depends on nothing else.
///
/// # Errors
/// Why there is none.
pub fn shape(
    model: &Model,
    params: f64,
    convention: LawParams,
    sequence: Sequence<'_>,
    degrees: Degrees,
) -> Result<Shape, NoShape> {
    let size = counted(model, convention, sequence).map_or(1.0, |own| own as f64);
    let own = Own::of(model, params, size).map_err(NoShape::Kinds)?;
    let mut nearest: Option<Shape> = None;
    for head_dim in own.head_dims() {
        for group in own.groups() {
            let family = Family { own: &own, head_dim, group, degrees };
            let Some(found) = family.best(params, &|model| counted(model, convention, sequence)) else {
                continue;
            };
            if found.gap(params).abs() <= TOLERANCE {
                return Ok(found);
            }
            if nearest.as_ref().is_none_or(|other| found.gap(params).abs() < other.gap(params).abs()) {
                nearest = Some(found);
            }
        }
    }
    Err(NoShape::None(nearest.map(Box::new)))
}

/// What is scaled of the plan's model, and the ratios that stay.
pub(super) struct Own<'m> {
    pub(super) model: &'m Model,
    pub(super) attention: &'m Attention,
    /// Inner width of the feed-forward network over d_model.
    pub(super) ffn: Option<f64>,
    /// d_model over layers that is aimed at.
    pub(super) aspect: f64,
}

impl<'m> Own<'m> {
    fn of(model: &'m Model, params: f64, size: f64) -> Result<Own<'m>, &'static str> {
        let [LayerKind { layer, .. }] = model.kinds.as_slice() else {
            return Err("its layers are of several kinds");
        };
        let Mixer::Attention(attention) = &layer.mixer else {
            return Err("its layers are no plain attention");
        };
        if attention.latent.is_some() {
            return Err("its attention has latents");
        }
        let d = model.d_model as f64;
        let ffn = match &layer.feed_forward {
            FeedForward::Dense(own) => Some(own.d_ff as f64 / d),
            FeedForward::Moe(own) => Some(own.d_ff as f64 / d),
            FeedForward::None => None,
        };
        let aspect = if (size / NEAR..=size * NEAR).contains(&params) {
            (d / model.layers as f64).clamp(ASPECTS.0, ASPECTS.1)
        } else if params < LARGE {
            USUAL.0
        } else {
            USUAL.1
        };
        Ok(Own { model, attention, ffn, aspect })
    }

    /// The plan's own width of a head where kernels are made for it, then the usual ones.
    fn head_dims(&self) -> Vec<u64> {
        let own = self.attention.head_dim;
        if self.attention.v_dim != own || self.attention.rope_dim != own {
            return vec![own];
        }
        let mut all = vec![128, 64];
        if HEADS.contains(&own) {
            all.retain(|other| *other != own);
            all.insert(0, own);
        }
        all
    }

    /// Query heads for each key head: the plan's own, then fewer, for models too narrow for it. 0 is one key head for all.
    fn groups(&self) -> Vec<u64> {
        let Attention { heads, kv_heads, .. } = *self.attention;
        if kv_heads == 1 && heads > 1 {
            return vec![0];
        }
        let mut group = heads / kv_heads.max(1);
        let mut all = Vec::new();
        while group > 1 {
            all.push(group);
            group /= 2;
        }
        all.push(1);
        all
    }

    /// The model with other widths and another depth.
    pub(super) fn scaled(&self, widths: Widths, layers: u64, d_ff: u64) -> Model {
        let Widths { d_model, heads, kv_heads, head_dim } = widths;
        let mut model = self.model.clone();
        model.layers = layers;
        model.d_model = d_model;
        if self.model.embedding_width == self.model.d_model {
            model.embedding_width = d_model;
        }
        for kind in &mut model.kinds {
            kind.count = layers;
            scale(&mut kind.layer, (heads, kv_heads, head_dim), d_ff);
        }
        model.order = vec![Run { kind: 0, repeat: layers }];
        model
    }
}

fn scale(layer: &mut Layer, (heads, kv_heads, head_dim): (u64, u64, u64), d_ff: u64) {
    if let Mixer::Attention(own) = &mut layer.mixer {
        own.heads = heads;
        own.kv_heads = kv_heads;
        if own.head_dim != head_dim {
            (own.head_dim, own.v_dim, own.rope_dim) = (head_dim, head_dim, head_dim);
        }
    }
    match &mut layer.feed_forward {
        FeedForward::Dense(own) => own.d_ff = d_ff,
        FeedForward::Moe(own) => {
            let ratio = own.shared_d_ff as f64 / own.d_ff.max(1) as f64;
            own.shared_d_ff = libm::round(ratio * d_ff as f64) as u64;
            own.d_ff = d_ff;
        }
        FeedForward::None => {}
    }
}
