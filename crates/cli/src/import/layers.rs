//! Which layers differ from the others, said shortly.

use super::shape::{FeedForward, Layer, Mixer, Position, QkNorm, Shape, View, grouped};

/// Layers that differ, and in what.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Overlay {
    pub(crate) name: String,
    pub(crate) at: String,
    pub(crate) mixer: Option<Mixer>,
    pub(crate) feed_forward: Option<FeedForward>,
    pub(crate) view: Option<View>,
}

/// The most common layer, and what the others have instead.
pub(crate) fn overlays(shape: &Shape) -> (Layer, Vec<Overlay>) {
    let mut found: Vec<(Vec<u64>, Overlay)> = Vec::new();
    let layers = &shape.layers;
    // A layer that lacks a part is of a kind of its own: then both parts are told together.
    let single = layers.iter().any(|l| l.mixer == Mixer::None || l.feed_forward == FeedForward::None);
    let (mixer, feed_forward) = if single {
        let plain = (Mixer::Attention, FeedForward::Dense);
        let parts = |layer: &Layer| Some((layer.mixer, layer.feed_forward));
        let (base, others) = grouped(layers, parts).unwrap_or((plain, Vec::new()));
        for ((mixer, feed_forward), at) in others {
            let mixer = (mixer != base.0).then_some(mixer);
            add(&mut found, at, mixer, (feed_forward != base.1).then_some(feed_forward), None);
        }
        base
    } else {
        let (mixer, others) =
            grouped(layers, |layer| Some(layer.mixer)).unwrap_or((Mixer::Attention, Vec::new()));
        for (other, at) in others {
            add(&mut found, at, Some(other), None, None);
        }
        let (feed_forward, others) =
            grouped(layers, |layer| Some(layer.feed_forward)).unwrap_or((FeedForward::Dense, Vec::new()));
        for (other, at) in others {
            add(&mut found, at, None, Some(other), None);
        }
        (mixer, feed_forward)
    };
    let attends = |layer: &Layer| (layer.mixer == Mixer::Attention).then_some(layer.view);
    let plain = View { window: None, chunk: None, position: Position::Rope, qk_norm: QkNorm::None };
    let (view, others) = grouped(layers, attends).unwrap_or((plain, Vec::new()));
    for (other, at) in others {
        add(&mut found, at, None, None, Some(other));
    }
    let mut overlays = Vec::with_capacity(found.len());
    for (at, mut overlay) in found {
        overlay.name = unique(name(&overlay, &view), &overlays);
        overlay.at = places(&at, layers.len() as u64);
        overlays.push(overlay);
    }
    (Layer { mixer, feed_forward, view }, overlays)
}

/// Adds a difference, to that of the same layers where there is one.
fn add(
    found: &mut Vec<(Vec<u64>, Overlay)>,
    at: Vec<u64>,
    mixer: Option<Mixer>,
    feed_forward: Option<FeedForward>,
    view: Option<View>,
) {
    match found.iter_mut().find(|(layers, _)| *layers == at) {
        Some((_, overlay)) => {
            overlay.mixer = overlay.mixer.or(mixer);
            overlay.feed_forward = overlay.feed_forward.or(feed_forward);
            overlay.view = overlay.view.or(view);
        }
        None => {
            let overlay = Overlay { name: String::new(), at: String::new(), mixer, feed_forward, view };
            found.push((at, overlay));
        }
    }
}

fn name(overlay: &Overlay, base: &View) -> &'static str {
    match (overlay.mixer, overlay.feed_forward, overlay.view) {
        (Some(Mixer::Attention), ..) => "attention",
        (Some(Mixer::Mamba2), ..) => "mamba",
        (Some(Mixer::GatedDelta), ..) => "delta",
        (_, Some(FeedForward::Dense), _) => "dense",
        (_, Some(FeedForward::Moe), _) => "sparse",
        (_, Some(FeedForward::None), _) | (Some(Mixer::None), ..) => "partial",
        (.., Some(view)) if view.window.is_some() && base.window.is_none() => "sliding",
        (.., Some(view)) if view.chunk.is_some() && base.chunk.is_none() => "chunked",
        (.., Some(view)) if (view.window, view.chunk) != (base.window, base.chunk) => "full",
        (.., Some(view)) if view.position == Position::None => "nope",
        _ => "other",
    }
}

/// A name that no overlay has.
fn unique(name: &str, taken: &[Overlay]) -> String {
    let is_free = |name: &String| taken.iter().all(|overlay| overlay.name != *name);
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

/// The shortest way to say which of `count` layers are meant.
fn places(at: &[u64], count: u64) -> String {
    let (Some(&first), Some(&last)) = (at.first(), at.last()) else { return "[]".to_owned() };
    let length = at.len() as u64;
    if last - first + 1 == length {
        return match (first, last + 1 == count) {
            (0, _) => format!("first {length}"),
            (_, true) => format!("last {length}"),
            _ if length == 1 => first.to_string(),
            _ => format!("{first}..{last}"),
        };
    }
    let step = at.get(1).map_or(1, |second| second - first);
    let even = at.windows(2).all(|pair| matches!(pair, [a, b] if b - a == step));
    if even && last + step >= count {
        return match first + 1 == step {
            true => format!("every {step}"),
            false => format!("every {step} from {first}"),
        };
    }
    let list: Vec<String> = at.iter().map(u64::to_string).collect();
    format!("[{}]", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_said_shortly() {
        assert_eq!(places(&[0, 1, 2], 61), "first 3");
        assert_eq!(places(&[0], 61), "first 1");
        assert_eq!(places(&[60], 61), "last 1");
        assert_eq!(places(&[7], 61), "7");
        assert_eq!(places(&[5, 11, 17], 20), "every 6");
        assert_eq!(places(&[5, 11, 17], 24), "[5, 11, 17]");
        assert_eq!(places(&[4, 12, 20], 24), "every 8 from 4");
        assert_eq!(places(&[0, 2, 4], 6), "every 2 from 0");
        assert_eq!(places(&[3, 4, 5], 61), "3..5");
        assert_eq!(places(&[3, 4, 6], 7), "[3, 4, 6]");
    }
}
