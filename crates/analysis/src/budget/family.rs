//! Shapes with one width of a head and one number of query heads for each key head, and the best of them.

use llmplan_spec::plan::{Attention, Model};

use super::shape::{Degrees, Own, Shape, TOLERANCE};

/// How far the aspect ratio of a shape may be from the one aimed at, as a factor each way.
const ASPECT_FACTOR: f64 = 3.0;

/// How far d_ff over d_model may be from the plan's own, as a factor each way.
const FFN_FACTOR: f64 = 1.2;

/// The widest model that is looked at: 6·10¹⁴ parameters.
const WIDEST: u64 = 1 << 17;

/// Widths of a shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Widths {
    pub(super) d_model: u64,
    pub(super) heads: u64,
    pub(super) kv_heads: u64,
    pub(super) head_dim: u64,
}

/// Shapes with one width of a head, and one number of query heads for each key head.
pub(super) struct Family<'o, 'm> {
    pub(super) own: &'o Own<'m>,
    pub(super) head_dim: u64,
    /// Query heads for each key head; 0 is one key head for all.
    pub(super) group: u64,
    pub(super) degrees: Degrees,
}

impl Family<'_, '_> {
    /// The best of them: within the tolerance by its score, else the nearest.
    pub(super) fn best(&self, params: f64, count: &dyn Fn(&Model) -> Option<u128>) -> Option<Shape> {
        let mut best: Option<(f64, Widths, u64, u64)> = None;
        let mut d_model = 0_u64;
        while let Some(next) = self.next(d_model) {
            d_model = next;
            let Some(widths) = self.widths(d_model) else { continue };
            let line = self.line(widths, count)?;
            // The deepest and the shallowest of this width; parameters grow with both depth and width.
            let (deep, shallow) = self.depths(d_model);
            if line.params(deep, self.d_ff(d_model, FFN_FACTOR)) < params * (1.0 - TOLERANCE) {
                continue;
            }
            if line.params(shallow, self.d_ff(d_model, 1.0 / FFN_FACTOR)) > params * (1.0 + TOLERANCE) {
                break;
            }
            for layers in (shallow..=deep).step_by(self.degrees.pipeline.max(1) as usize) {
                for d_ff in self.inner(&line, d_model, layers, params) {
                    let score = self.score(widths, layers, d_ff, line.params(layers, d_ff) / params);
                    if best.as_ref().is_none_or(|(least, ..)| score < *least) {
                        best = Some((score, widths, layers, d_ff));
                    }
                }
            }
        }
        let (_, widths, layers, d_ff) = best?;
        let model = self.own.scaled(widths, layers, d_ff);
        let Widths { d_model, heads, kv_heads, head_dim } = widths;
        let counted = count(&model)?;
        let d_ff = self.own.ffn.map(|_| d_ff);
        Some(Shape { layers, d_model, heads, kv_heads, head_dim, d_ff, model, counted })
    }

    /// The next width: multiples of 64, of 128 from 1,024 on, of 256 from 8,192 on; `None` where it is wider than any.
    fn next(&self, d_model: u64) -> Option<u64> {
        let step = match d_model {
            0..1_024 => 64,
            1_024..8_192 => 128,
            _ => 256,
        };
        Some(d_model + step).filter(|next| *next <= WIDEST)
    }

    /// The heads of a width; `None` where they do not come out whole, or cannot be divided.
    fn widths(&self, d_model: u64) -> Option<Widths> {
        let Attention { heads, head_dim, .. } = *self.own.attention;
        let tensor = self.degrees.tensor;
        let step = if self.group == 0 { tensor } else { lcm(self.group, tensor) };
        let own_width = heads.saturating_mul(head_dim);
        let heads = if own_width == self.own.model.d_model {
            d_model.is_multiple_of(self.head_dim).then(|| d_model / self.head_dim)?
        } else {
            let ratio = own_width as f64 / self.own.model.d_model as f64;
            let steps =
                libm::round(ratio * d_model as f64 / self.head_dim.saturating_mul(step) as f64) as u64;
            steps.max(1).saturating_mul(step)
        };
        if heads == 0 || !heads.is_multiple_of(step) {
            return None;
        }
        let kv_heads = heads.checked_div(self.group).unwrap_or(1);
        let divided = kv_heads.is_multiple_of(tensor) || tensor.is_multiple_of(kv_heads);
        divided.then_some(Widths { d_model, heads, kv_heads, head_dim: self.head_dim })
    }

    /// Least and most layers of a width: whole stages.
    fn depths(&self, d_model: u64) -> (u64, u64) {
        let stages = self.degrees.pipeline;
        let middle = d_model as f64 / self.own.aspect;
        let whole = |layers: f64| (libm::round(layers / stages as f64) as u64).max(1).saturating_mul(stages);
        (whole(middle * ASPECT_FACTOR), whole(middle / ASPECT_FACTOR))
    }

    /// The inner width at `factor` times the plan's own ratio, in whole units.
    fn d_ff(&self, d_model: u64, factor: f64) -> u64 {
        let Some(ratio) = self.own.ffn else { return 0 };
        let unit = self.unit();
        (libm::round(ratio * factor * d_model as f64 / unit as f64) as u64).max(1).saturating_mul(unit)
    }

    /// Inner widths are multiples of it.
    fn unit(&self) -> u64 {
        64_u64.saturating_mul(self.degrees.tensor)
    }

    /// Inner widths, near the plan's own ratio, that bring a depth near to the parameters: both neighbours, and the ratio
    /// itself.
    fn inner(&self, line: &Line, d_model: u64, layers: u64, params: f64) -> Vec<u64> {
        let usual = self.d_ff(d_model, 1.0);
        if self.own.ffn.is_none() {
            return vec![0];
        }
        let unit = self.unit();
        let exact = line.inner(layers, params) / unit as f64;
        let (low, high) = (self.d_ff(d_model, 1.0 / FFN_FACTOR), self.d_ff(d_model, FFN_FACTOR));
        let mut all = vec![usual];
        for units in [libm::floor(exact), libm::ceil(exact)] {
            if (1.0..1e9).contains(&units) {
                let d_ff = (units as u64).saturating_mul(unit);
                if (low..=high).contains(&d_ff) && d_ff != usual {
                    all.push(d_ff);
                }
            }
        }
        all
    }

    /// Parameters by depth and inner width: a plane, found from three of its points.
    fn line(&self, widths: Widths, count: &dyn Fn(&Model) -> Option<u128>) -> Option<Line> {
        let f = self.d_ff(widths.d_model, 1.0);
        let at = |layers: u64, d_ff: u64| count(&self.own.scaled(widths, layers, d_ff)).map(|own| own as f64);
        let one = at(1, f)?;
        let two = at(2, f)?;
        let wide = at(1, f.saturating_mul(2))?;
        let layer = two - one;
        let each = if f == 0 { 0.0 } else { (wide - one) / f as f64 };
        Some(Line { outside: one - layer, without: layer - each * f as f64, each })
    }

    /// The lower the better: how far it is from the parameters, from the plan's ratios, and from even widths.
    fn score(&self, widths: Widths, layers: u64, d_ff: u64, ratio: f64) -> f64 {
        let off = libm::fabs(libm::log(ratio)) / TOLERANCE;
        // Beyond the tolerance nothing else counts.
        let near = if off <= 0.99 { 0.3 * off } else { 1e3 * off };
        let d = widths.d_model as f64;
        let aspect = libm::fabs(libm::log(d / layers as f64 / self.own.aspect));
        let inner = match self.own.ffn {
            Some(own) => libm::fabs(libm::log(d_ff as f64 / d / own)),
            None => 0.0,
        };
        let odd = |width: u64, even: u64| {
            let twos = width.trailing_zeros().min(even.trailing_zeros());
            f64::from(even.trailing_zeros() - twos)
        };
        let inner_odd = if d_ff == 0 { 0.0 } else { odd(d_ff, 1024) };
        let even = if widths.d_model < 4096 { 512 } else { 1024 };
        near + aspect
            + 3.0 * inner
            + 0.1 * odd(widths.d_model, even)
            + 0.05 * inner_odd
            + 0.05 * odd(layers, 4)
            // A node of eight divides heads; what does not is the dearest oddity.
            + 0.25 * odd(widths.heads, 8)
    }
}

/// Parameters of a width: `outside + layers · (without + each · d_ff)`.
struct Line {
    outside: f64,
    without: f64,
    each: f64,
}

impl Line {
    fn params(&self, layers: u64, d_ff: u64) -> f64 {
        self.outside + layers as f64 * (self.without + self.each * d_ff as f64)
    }

    fn inner(&self, layers: u64, params: f64) -> f64 {
        ((params - self.outside) / layers as f64 - self.without) / self.each
    }
}

/// The least that both divide; of 0 as of 1.
pub(super) fn lcm(one: u64, other: u64) -> u64 {
    let (mut a, mut b) = (one.max(1), other.max(1));
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (one.max(1) / a).saturating_mul(other.max(1))
}
