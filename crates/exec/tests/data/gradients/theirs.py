"""The models of make.py by transformers, on tensors made of make.py's: gradients flow back to the same leaves."""

from unittest import mock

import torch
import transformers

VERSION = f"transformers {transformers.__version__}"


def gpt2(w, tokens, s):
    """Logits of GPT2LMHeadModel. Its matrices have a row for each input, and q, k and v are one."""
    config = transformers.GPT2Config(
        vocab_size=s.vocab, n_positions=s.context, n_embd=s.d_model, n_layer=s.layers, n_head=s.heads, n_inner=s.d_ff,
        layer_norm_epsilon=s.epsilon, bos_token_id=None, eos_token_id=None, attn_implementation="eager")
    state = {"transformer.wte.weight": w["0.embedding.weight"], "transformer.wpe.weight": w["0.position.weight"]}
    names = {"ln_1": "mixer.norm", "attn.c_proj": "attention.output", "ln_2": "ffn.norm", "mlp.c_fc": "ffn.up",
             "mlp.c_proj": "ffn.down"}

    def of(place, tensor):
        values = w[f"{place}.{tensor}"]
        return values if tensor == "weight" and "norm" not in place else values[0]

    for tensor in ("weight", "bias"):
        for at in range(1, s.layers + 1):
            own = f"transformer.h.{at - 1}"
            state |= {f"{own}.{name}.{tensor}": of(f"{at}.{place}", tensor) for name, place in names.items()}
            qkv = [of(f"{at}.attention.{name}", tensor) for name in "qkv"]
            state[f"{own}.attn.c_attn.{tensor}"] = torch.cat(qkv, -1)
        state[f"transformer.ln_f.{tensor}"] = of(f"{s.layers + 1}.final_norm", tensor)
    return logits(transformers.GPT2LMHeadModel, config, state, tokens)


def llama(w, tokens, s):
    """Logits of LlamaForCausalLM. Its matrices have a row for each output."""
    config = transformers.LlamaConfig(
        vocab_size=s.vocab, max_position_embeddings=s.context, hidden_size=s.d_model, intermediate_size=s.d_ff,
        num_hidden_layers=s.layers, num_attention_heads=s.heads, num_key_value_heads=s.kv_heads, head_dim=s.head_dim,
        rms_norm_eps=s.epsilon, rope_theta=10_000.0, tie_word_embeddings=False, attn_implementation="eager")
    last = s.layers + 1
    state = {"model.embed_tokens.weight": w["0.embedding.weight"], "lm_head.weight": w[f"{last}.logits.weight"].T,
             "model.norm.weight": w[f"{last}.final_norm.weight"][0]}
    # It turns value i with value i + width/2: the first of each pair go before the second.
    halves = [column for first in (0, 1) for column in range(first, s.head_dim, 2)]
    for at in range(1, last):
        own = f"model.layers.{at - 1}"
        for name in "qk":
            pairs = w[f"{at}.attention.{name}.weight"].unflatten(-1, (-1, s.head_dim))
            state[f"{own}.self_attn.{name}_proj.weight"] = pairs[:, :, halves].flatten(1).T
        state[f"{own}.self_attn.v_proj.weight"] = w[f"{at}.attention.v.weight"].T
        state[f"{own}.self_attn.o_proj.weight"] = w[f"{at}.attention.output.weight"].T
        state |= {f"{own}.mlp.{name}_proj.weight": w[f"{at}.ffn.{name}.weight"].T for name in ("up", "gate", "down")}
        state[f"{own}.input_layernorm.weight"] = w[f"{at}.mixer.norm.weight"][0]
        state[f"{own}.post_attention_layernorm.weight"] = w[f"{at}.ffn.norm.weight"][0]
    return logits(transformers.LlamaForCausalLM, config, state, tokens)


def logits(kind, config, state, tokens):
    """Runs a model. transformers goes to f32 in norms, softmax and rotations: here that name means f64."""
    wide = {"float": torch.float64, "float32": torch.float64}
    with mock.patch.multiple(torch, **wide), mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
        model = kind(config).double().eval()
        missing = {name for name, _ in model.named_parameters()} ^ set(state)
        assert not missing, missing
        return torch.func.functional_call(model, state, (tokens,)).logits
