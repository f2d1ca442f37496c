"""Writes gpt2.safetensors and llama.safetensors: logits, loss and gradients of two small models, by PyTorch in f64.

What the models are is in gpt2.llm and llama.llm; what the files hold, and how to run this, in README.md. Where
transformers is installed, its own models run on the same weights, and the script fails unless logits, loss and every
gradient agree with them.
"""

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F

theirs = __import__("theirs") if find_spec("transformers") else None

SEQUENCES, TOKENS, VOCAB = 2, 10, 61
COMMON = {"vocab": VOCAB, "context": 16, "heads": 4, "head_dim": 6, "epsilon": 1e-5}
GPT2 = SimpleNamespace(layers=2, d_model=24, kv_heads=4, d_ff=96, **COMMON)
LLAMA = SimpleNamespace(layers=3, d_model=20, kv_heads=2, d_ff=44, **COMMON)  # its heads are wider than the stream
TOLERANCE = 1e-10  # the largest difference to transformers that passes


# Weights: those of crates/exec/src/weights.rs, to the last bit.


def noise(occurrence, operator, tensor, count):
    """f32 numbers in -1..1: SplitMix64 (Steele 2014), seeded with the FNV-1a hash of the tensor's place."""
    seed = 0xCBF29CE484222325
    for byte in occurrence.to_bytes(8, "little") + f"{operator}/{tensor}".encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    # In 64 bits, where overflow wraps.
    mixed = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return (mixed >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)


def weights(shapes):
    """The f64 leaves of a model, by name `OCCURRENCE.operator.tensor`, from (rows, columns)."""
    leaves = {}
    for name, (rows, columns) in shapes.items():
        occurrence, place = name.split(".", 1)
        operator, tensor = place.rsplit(".", 1)
        centre, spread = np.float32(0), np.float32(0.5)
        if tensor == "weight" and "norm" in operator:
            centre, spread = np.float32(1), np.float32(0.2)
        elif tensor == "weight" and operator in ("embedding", "position"):
            spread = np.float32(1)
        elif tensor == "weight":
            spread = np.sqrt(np.float32(3) / np.float32(rows))
        values = centre + spread * noise(int(occurrence), operator, tensor, rows * columns)
        assert values.dtype == np.float32
        leaves[name] = torch.from_numpy(values).double().view(rows, columns).requires_grad_()
    return leaves


# Models: in the layout of the Graph a matrix has a row for each input, and a vector is one row.


def gpt2_shapes(s):
    d = s.d_model
    shapes = {"0.embedding.weight": (s.vocab, d), "0.position.weight": (s.context, d)}
    norms = [f"{s.layers + 1}.final_norm"]
    for at in range(1, s.layers + 1):
        for operator in ("attention.q", "attention.k", "attention.v", "attention.output"):
            shapes |= {f"{at}.{operator}.weight": (d, d), f"{at}.{operator}.bias": (1, d)}
        shapes |= {f"{at}.ffn.up.weight": (d, s.d_ff), f"{at}.ffn.up.bias": (1, s.d_ff)}
        shapes |= {f"{at}.ffn.down.weight": (s.d_ff, d), f"{at}.ffn.down.bias": (1, d)}
        norms += [f"{at}.mixer.norm", f"{at}.ffn.norm"]
    return shapes | {f"{norm}.{tensor}": (1, d) for norm in norms for tensor in ("weight", "bias")}


def llama_shapes(s):
    d, q, kv, last = s.d_model, s.heads * s.head_dim, s.kv_heads * s.head_dim, s.layers + 1
    shapes = {"0.embedding.weight": (s.vocab, d)}
    for at in range(1, last):
        shapes |= {f"{at}.mixer.norm.weight": (1, d), f"{at}.ffn.norm.weight": (1, d)}
        shapes |= {f"{at}.attention.q.weight": (d, q), f"{at}.attention.output.weight": (q, d)}
        shapes |= {f"{at}.attention.{name}.weight": (d, kv) for name in "kv"}
        shapes |= {f"{at}.ffn.{name}.weight": (d, s.d_ff) for name in ("up", "gate")}
        shapes |= {f"{at}.ffn.down.weight": (s.d_ff, d)}
    return shapes | {f"{last}.final_norm.weight": (1, d), f"{last}.logits.weight": (d, s.vocab)}


def gpt2(w, tokens, s):
    """Radford 2019: learned positions, LayerNorm before each branch, GELU by tanh, the embedding as output."""

    def linear(x, place):
        return x @ w[f"{place}.weight"] + w[f"{place}.bias"][0]

    def norm(x, place):
        return F.layer_norm(x, (s.d_model,), w[f"{place}.weight"][0], w[f"{place}.bias"][0], s.epsilon)

    x = F.embedding(tokens, w["0.embedding.weight"]) + w["0.position.weight"][:TOKENS]
    for at in range(1, s.layers + 1):
        normed = norm(x, f"{at}.mixer.norm")
        q, k, v = (linear(normed, f"{at}.attention.{name}") for name in "qkv")
        x = x + linear(attend(heads(q, s), heads(k, s), heads(v, s)), f"{at}.attention.output")
        up = linear(norm(x, f"{at}.ffn.norm"), f"{at}.ffn.up")
        x = x + linear(F.gelu(up, approximate="tanh"), f"{at}.ffn.down")
    return F.linear(norm(x, f"{s.layers + 1}.final_norm"), w["0.embedding.weight"])


def llama(w, tokens, s):
    """Touvron 2023: RMSNorm, rotations, grouped queries, SwiGLU, an output of its own; no biases."""

    def linear(x, place):
        return x @ w[f"{place}.weight"]

    def norm(x, place):
        return F.rms_norm(x, (s.d_model,), w[f"{place}.weight"][0], s.epsilon)

    # Values 2i and 2i+1 of a head are a pair, turned by position · 10000^(-2i / width) (Su 2021, eq. 15).
    angles = torch.arange(TOKENS)[:, None] * 10_000.0 ** (-torch.arange(0, s.head_dim, 2).double() / s.head_dim)
    turn = torch.polar(torch.ones_like(angles), angles)

    def rotate(x):
        return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turn).flatten(-2)

    x = F.embedding(tokens, w["0.embedding.weight"])
    for at in range(1, s.layers + 1):
        normed = norm(x, f"{at}.mixer.norm")
        q, k, v = (heads(linear(normed, f"{at}.attention.{name}"), s) for name in "qkv")
        # Key head 0 serves query heads 0 and 1, key head 1 the others.
        k, v = (each.repeat_interleave(s.heads // s.kv_heads, dim=1) for each in (rotate(k), v))
        x = x + linear(attend(rotate(q), k, v), f"{at}.attention.output")
        normed = norm(x, f"{at}.ffn.norm")
        inner = linear(normed, f"{at}.ffn.up") * F.silu(linear(normed, f"{at}.ffn.gate"))
        x = x + linear(inner, f"{at}.ffn.down")
    return linear(norm(x, f"{s.layers + 1}.final_norm"), f"{s.layers + 1}.logits")


def heads(values, s):
    """[B, T, heads · width] → [B, heads, T, width]."""
    return values.unflatten(-1, (-1, s.head_dim)).transpose(1, 2)


def attend(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)


def measured(w, logits, tokens):
    """Mean cross-entropy of the next token, behind the last one the first again, and its gradients."""
    loss = F.cross_entropy(logits.flatten(0, 1), tokens.roll(-1, dims=1).flatten())
    return loss, dict(zip(w, torch.autograd.grad(loss, list(w.values()))))


def make(name, shapes, model, s):
    # Some tokens come twice, and most never.
    places = torch.arange(SEQUENCES * TOKENS)
    tokens = ((17 * places**2 + 5 * places + 3) % VOCAB).view(SEQUENCES, TOKENS)
    w = weights(shapes(s))
    logits = model(w, tokens, s)
    loss, gradients = measured(w, logits, tokens)
    print(f"{name}: {sum(leaf.numel() for leaf in w.values()):,} parameters, loss {loss.item()!r}")
    made_by = f"torch {torch.__version__}"
    if theirs:
        again = getattr(theirs, name)(w, tokens, s)
        loss_again, gradients_again = measured(w, again, tokens)
        pairs = [(logits, again), (loss, loss_again)] + [(gradients[at], gradients_again[at]) for at in w]
        apart = max((one - other).abs().max().item() for one, other in pairs)
        print(f"{name}: {theirs.VERSION} differs by {apart:.1e} at most")
        assert apart <= TOLERANCE
        made_by += f", checked by {theirs.VERSION}"
    tensors = {"tokens": tokens, "loss": loss.reshape(1), "logits": logits} | gradients
    tensors |= {f"check.{at}": leaf.flatten()[:4].float() for at, leaf in w.items()}
    tensors = {at: tensor.detach().contiguous() for at, tensor in tensors.items()}
    safetensors.torch.save_file(tensors, f"{name}.safetensors", {"made_by": made_by})


make("gpt2", gpt2_shapes, gpt2, GPT2)
make("llama", llama_shapes, llama, LLAMA)
