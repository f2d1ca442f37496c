//! A model made smaller: the same architecture, every kind of layer and every feature, at a given width.

use llmplan_spec::plan::{
    Attention, FeedForward, GatedDelta, LayerKind, Mamba2, Mixer, Model, Moe, Reach, Run,
};

/// The most layers of each kind.
const LAYERS: u64 = 2;
/// The most experts.
const EXPERTS: u64 = 8;

/// The widths of proxies, the smallest first.
const WIDTHS: [u64; 7] = [64, 96, 128, 192, 256, 384, 512];
/// Those where time or memory is short.
const LIGHT_WIDTHS: [u64; 7] = [16, 24, 32, 48, 64, 96, 128];

/// The same architecture at growing widths: at least four of them, where the model is so wide that as many differ.
/// `light` is for little time or memory.
pub fn ladder(model: &Model, tokens: u64, light: bool) -> Vec<Model> {
    let known: &[u64] = if light { &LIGHT_WIDTHS } else { &WIDTHS };
    let mut widths: Vec<u64> = known.iter().copied().filter(|width| *width <= model.d_model).collect();
    if widths.len() < 4 {
        // Quarters of a narrow model.
        let quarter = |quarters: u64| (u128::from(model.d_model) * u128::from(quarters)).div_ceil(4);
        widths = (1..=4).filter_map(|quarters| u64::try_from(quarter(quarters)).ok()).collect();
        widths.dedup();
    }
    widths.into_iter().map(|width| scaled(model, width, tokens)).collect()
}

/// The architecture of a model with a stream of `width` values, made to see `tokens` tokens. What the model has less
/// of stays as it is.
pub fn scaled(model: &Model, width: u64, tokens: u64) -> Model {
    let by = Scale { from: model.d_model.max(1), to: width.min(model.d_model).max(1), tokens };
    let kinds: Vec<LayerKind> = model
        .kinds
        .iter()
        .map(|kind| {
            let mut kind = kind.clone();
            kind.count = kind.count.min(LAYERS);
            kind.layer.mixer = match kind.layer.mixer {
                Mixer::Attention(own) => Mixer::Attention(by.attention(own)),
                Mixer::Mamba2(own) => Mixer::Mamba2(by.mamba2(own)),
                Mixer::GatedDelta(own) => Mixer::GatedDelta(by.gated_delta(own)),
                Mixer::None => Mixer::None,
            };
            kind.layer.feed_forward = match kind.layer.feed_forward {
                FeedForward::Dense(mut own) => {
                    own.d_ff = by.size(own.d_ff);
                    FeedForward::Dense(own)
                }
                FeedForward::Moe(own) => FeedForward::Moe(by.experts(own)),
                FeedForward::None => FeedForward::None,
            };
            kind
        })
        .collect();
    Model {
        layers: kinds.iter().map(|kind| kind.count).sum(),
        d_model: by.to,
        vocab: model.vocab.min(by.to.saturating_mul(8)),
        embedding_width: match model.embedding_width == model.d_model {
            true => by.to,
            false => by.size(model.embedding_width),
        },
        context: Some(tokens),
        position_rows: model.position_rows.map(|rows| rows.min(tokens.saturating_mul(2)).max(tokens)),
        order: order(model, &kinds),
        mtp: model.mtp.min(1),
        kinds,
        ..model.clone()
    }
}

/// The order of a model as far as its kinds have layers left: how kinds alternate stays.
fn order(model: &Model, kinds: &[LayerKind]) -> Vec<Run> {
    let mut left: Vec<u64> = kinds.iter().map(|kind| kind.count).collect();
    let mut order = Vec::new();
    for run in &model.order {
        let Some(left) = left.get_mut(run.kind) else { continue };
        let repeat = run.repeat.min(*left);
        *left -= repeat;
        if repeat > 0 {
            order.push(Run { kind: run.kind, repeat });
        }
    }
    order
}

/// From one width to another.
#[derive(Clone, Copy)]
struct Scale {
    from: u64,
    to: u64,
    tokens: u64,
}

impl Scale {
    /// A width in proportion: a multiple of 8 where the width is above 8, and never more than it was.
    fn size(self, width: u64) -> u64 {
        let scaled = u128::from(width) * u128::from(self.to) / u128::from(self.from);
        let scaled = u64::try_from(scaled).unwrap_or(u64::MAX);
        (scaled / 8 * 8).max(8).min(width).max(1)
    }

    /// A count in proportion.
    fn count(self, count: u64) -> u64 {
        let scaled = u128::from(count) * u128::from(self.to) / u128::from(self.from);
        u64::try_from(scaled).unwrap_or(u64::MAX).clamp(1, count.max(1))
    }

    fn attention(self, own: Attention) -> Attention {
        // Heads that share keys stay as many for each.
        let served = own.heads.checked_div(own.kv_heads).unwrap_or(1).max(1);
        let kv_heads = self.count(own.kv_heads);
        let heads = kv_heads.saturating_mul(served);
        let most = 32;
        let shrink =
            |width: u64| if own.head_dim <= most { width } else { even(width * most / own.head_dim) };
        let rope_dim = shrink(own.rope_dim);
        let latent = own.latent.map(|mut latent| {
            latent.q_rank = latent.q_rank.map(|rank| self.size(rank));
            latent.kv_rank = self.size(latent.kv_rank);
            latent.nope_dim = shrink(latent.nope_dim).max(1);
            latent
        });
        let head_dim = match latent {
            Some(latent) => latent.nope_dim + rope_dim,
            None => shrink(own.head_dim).max(rope_dim).max(1),
        };
        let reach = match own.reach {
            Reach::Full => Reach::Full,
            Reach::Window(limit) => Reach::Window(limit.min((self.tokens / 2).max(1))),
            Reach::Chunk(limit) => Reach::Chunk(limit.min((self.tokens / 2).max(1))),
        };
        Attention {
            heads,
            kv_heads,
            head_dim,
            v_dim: shrink(own.v_dim).max(1),
            rope_dim,
            latent,
            reach,
            ..own
        }
    }

    fn mamba2(self, own: Mamba2) -> Mamba2 {
        let heads = self.count(own.heads());
        let groups = (1..=own.groups.min(heads)).rev().find(|groups| heads.is_multiple_of(*groups));
        let head_dim = own.head_dim.min(16);
        Mamba2 {
            d_inner: heads.saturating_mul(head_dim),
            head_dim,
            groups: groups.unwrap_or(1),
            state: own.state.min(16),
            ..own
        }
    }

    fn gated_delta(self, own: GatedDelta) -> GatedDelta {
        let served = own.value_heads.checked_div(own.key_heads).unwrap_or(1).max(1);
        let key_heads = self.count(own.key_heads);
        GatedDelta {
            key_heads,
            value_heads: key_heads.saturating_mul(served),
            key_dim: own.key_dim.min(16),
            value_dim: own.value_dim.min(16),
            ..own
        }
    }

    fn experts(self, own: Moe) -> Moe {
        let experts = own.experts.min(EXPERTS);
        Moe {
            experts,
            experts_per_token: own.experts_per_token.min(experts.div_ceil(2)).max(1),
            d_ff: self.size(own.d_ff),
            shared_d_ff: if own.shared_experts == 0 { own.shared_d_ff } else { self.size(own.shared_d_ff) },
            ..own
        }
    }
}

/// The next even number below, so that pairs can be rotated.
fn even(width: u64) -> u64 {
    width / 2 * 2
}
