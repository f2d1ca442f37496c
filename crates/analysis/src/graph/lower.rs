//! A model lowered to blocks: embedding, kinds of layers, head, multi-token prediction.

use llmplan_spec::plan::{Arrangement, FeedForward, Layer, LayerKind, Mixer, Model, NormKind, Placement};

use super::build::{Builder, bias, vector, weight};
use super::{Block, Component, Graph, Kind, Part, Step, Value};
use super::{attention, feed_forward, recurrent};

/// Lowers a model to its operators (Vaswani 2017; Radford 2019; what is newer is cited where it is lowered).
pub fn lower(model: &Model) -> Graph {
    let mut blocks = vec![embedding(model)];
    blocks.extend(model.kinds.iter().map(|kind| layer(model, kind)));
    let mut order = vec![Step { block: 0, repeat: 1 }];
    order.extend(model.order.iter().map(|run| Step { block: run.kind + 1, repeat: run.repeat }));
    order.push(Step { block: blocks.len(), repeat: 1 });
    blocks.push(head(model));
    if let Some(kind) = model.last_kind().filter(|_| model.mtp > 0) {
        order.push(Step { block: blocks.len(), repeat: model.mtp });
        blocks.push(module(model, kind));
    }
    Graph { blocks, order }
}

fn embedding(model: &Model) -> Block {
    let mut block = Builder::new(0);
    let (width, d_model) = (model.embedding_width, model.d_model);
    let table = vec![weight(model.vocab, width)];
    let tokens = block.input();
    let kind = Kind::Gather { width };
    let mut stream = block.operator("embedding", Component::Embedding, kind, &[tokens], width, table);
    if width != d_model {
        stream = block.matmul("embedding.in", Component::EmbeddingProjection, stream, d_model, false);
    }
    if let Some(rows) = model.position_rows {
        let table = vec![weight(rows, d_model)];
        let kind = Kind::AddPosition { width: d_model };
        stream = block.operator("position", Component::Position, kind, &[stream], d_model, table);
    }
    if model.norm.embedding {
        stream = norm(&mut block, model, "embedding.norm", stream);
    }
    block.block("embedding", Part::Embedding, 1, stream)
}

fn layer(model: &Model, kind: &LayerKind) -> Block {
    let mut block = Builder::new(model.d_model);
    let stream = block.input();
    let output = layer_operators(&mut block, model, &kind.layer, stream);
    block.block(&kind.name, Part::Layer, kind.count, output)
}

/// A layer: mixer and feed-forward network, each with its norms and its residual.
fn layer_operators(block: &mut Builder, model: &Model, layer: &Layer, stream: Value) -> Value {
    let mixes = layer.mixer != Mixer::None;
    let feeds = layer.feed_forward != FeedForward::None;
    let pre = matches!(model.norm.placement, Placement::Pre | Placement::Sandwich);
    let post = matches!(model.norm.placement, Placement::Post | Placement::Sandwich);
    let behind = model.norm.placement == Placement::PostResidual;
    let parallel = layer.arrangement != Arrangement::Sequential && mixes && feeds;
    let mut stream = stream;
    let mut mixed = None;
    let mut normed = stream;
    if mixes {
        normed = if pre { norm(block, model, "mixer.norm", stream) } else { stream };
        let mut branch = match &layer.mixer {
            Mixer::Attention(own) => attention::lower(block, model, own, normed),
            Mixer::Mamba2(own) => recurrent::mamba2(block, own, normed),
            Mixer::GatedDelta(own) => recurrent::gated_delta(block, own, normed),
            Mixer::None => normed,
        };
        if post {
            branch = norm(block, model, "mixer.post_norm", branch);
        }
        if parallel {
            mixed = Some(branch);
        } else {
            stream = block.add("mixer.residual", stream, branch);
            if behind {
                stream = norm(block, model, "mixer.norm", stream);
            }
        }
    }
    if feeds {
        let shared = parallel && layer.arrangement == Arrangement::Parallel;
        let input = match (pre, shared) {
            (true, true) => normed,
            (true, false) => norm(block, model, "ffn.norm", stream),
            (false, _) => stream,
        };
        let mut branch = match &layer.feed_forward {
            FeedForward::Dense(own) => feed_forward::dense(block, own, input),
            FeedForward::Moe(own) => feed_forward::experts(block, own, input),
            FeedForward::None => input,
        };
        if post {
            branch = norm(block, model, "ffn.post_norm", branch);
        }
        if let Some(mixed) = mixed {
            branch = block.add("mixer.residual", mixed, branch);
        }
        stream = block.add("ffn.residual", stream, branch);
        if behind {
            stream = norm(block, model, "ffn.norm", stream);
        }
    }
    stream
}

fn head(model: &Model) -> Block {
    let mut block = Builder::new(model.d_model);
    let stream = block.input();
    let mut values = stream;
    if model.norm.last {
        values = norm(&mut block, model, "final_norm", values);
    }
    if model.embedding_width != model.d_model {
        let width = model.embedding_width;
        values = block.matmul("embedding.out", Component::EmbeddingProjection, values, width, false);
    }
    let (inner, outer) = (model.embedding_width, model.vocab);
    let mut weights = Vec::new();
    if !model.tied_embeddings {
        weights.push(weight(inner, outer));
    }
    if model.output_bias {
        weights.push(bias(outer));
    }
    let kind = Kind::Logits { inner, outer };
    let logits = block.operator("logits", Component::Output, kind, &[values], outer, weights);
    block.pointwise("loss", Kind::Loss { outer }, &[logits], 1);
    block.block("head", Part::Head, 1, stream)
}

/// A module of multi-token prediction (DeepSeek-V3 §2.2, eq. 21–23): the stream and the embedding of the token after
/// it, each normed, projected together, through a layer like the last one to the model's own output.
fn module(model: &Model, kind: &LayerKind) -> Block {
    let d_model = model.d_model;
    let mut block = Builder::new(d_model);
    let stream = block.input();
    let gather = Kind::Gather { width: d_model };
    let next = block.pointwise("mtp.embedding", gather, &[stream], d_model);
    let stream = norm(&mut block, model, "mtp.stream_norm", stream);
    let next = norm(&mut block, model, "mtp.embedding_norm", next);
    let width = d_model.saturating_mul(2);
    let both = block.pointwise("mtp.join", Kind::Join { heads: 1 }, &[stream, next], width);
    let input = block.matmul("mtp.projection", Component::Mtp, both, d_model, false);
    let output = layer_operators(&mut block, model, &kind.layer, input);
    let normed = norm(&mut block, model, "mtp.norm", output);
    let (inner, outer) = (d_model, model.vocab);
    let logits = Kind::Logits { inner, outer };
    let logits = block.operator("mtp.logits", Component::Mtp, logits, &[normed], outer, Vec::new());
    block.pointwise("mtp.loss", Kind::Loss { outer }, &[logits], 1);
    let mut block = block.block("mtp", Part::Mtp, model.mtp, output);
    for operator in &mut block.operators {
        operator.component = match operator.component {
            Component::Pointwise => Component::Pointwise,
            Component::Scores | Component::WeightedSum => Component::MtpAttention,
            _ => Component::Mtp,
        };
    }
    block
}

/// A norm of the model's kind over the whole stream; where the model has none, its input.
pub(super) fn norm(block: &mut Builder, model: &Model, name: &'static str, input: Value) -> Value {
    let width = block.width(input);
    norm_of(block, model, name, input, (width, 1), model.norm.bias)
}

/// A norm of the model's kind over each `width` values, with `rows` rows of weights; 0 rows are none.
pub(super) fn norm_of(
    block: &mut Builder,
    model: &Model,
    name: &'static str,
    input: Value,
    (width, rows): (u64, u64),
    biased: bool,
) -> Value {
    let centred = match model.norm.kind {
        NormKind::None => return input,
        NormKind::LayerNorm => true,
        NormKind::RmsNorm => false,
    };
    let mut weights = Vec::new();
    if model.norm.weight && rows > 0 {
        weights.push(if rows == 1 { vector("weight", width) } else { weight(rows, width) });
        if biased {
            weights.push(if rows == 1 {
                bias(width)
            } else {
                super::Tensor { name: "bias", ..weight(rows, width) }
            });
        }
    }
    let whole = block.width(input);
    block.operator(name, Component::Norm, Kind::Norm { width, centred }, &[input], whole, weights)
}
