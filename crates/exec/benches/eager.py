"""A training step of a small GPT-2 in f32 by PyTorch in eager mode on the CPU: what `exec` is compared with.

    pip install torch numpy
    python eager.py

Prints seconds and GFLOP/s of the step, with fused and with plain attention, and of matrix products of its shapes.
FLOPs are those of all matrix products, 2·m·n·k each; attention counts in full (T²), and backward is twice forward.
Each line says how busy the machine was: of several runs, the best counts.
"""

import os
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

THREADS, WARM, REPEATS, RUNS = 2, 3, 7, 3
LAYERS, WIDTH, HEADS, INNER, VOCAB, TOKENS, BATCH = 6, 384, 6, 1536, 8192, 256, 4
HEAD, ROWS = WIDTH // HEADS, BATCH * TOKENS
FORWARD = 2 * ROWS * (LAYERS * (4 * WIDTH**2 + 2 * WIDTH * INNER) + WIDTH * VOCAB) + 4 * LAYERS * ROWS * TOKENS * WIDTH
STEP = 3 * FORWARD


class Layer(nn.Module):
    def __init__(self, fused):
        super().__init__()
        self.fused = fused
        self.norm, self.qkv, self.output = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.ffn_norm, self.up, self.down = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.register_buffer("mask", torch.full((TOKENS, TOKENS), -torch.inf).triu(1))

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (HEADS, HEAD)).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, -1))
        if self.fused:
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            mixed = torch.softmax(q @ k.mT * HEAD**-0.5 + self.mask, -1) @ v
        x = x + self.output(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.ffn_norm(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, fused):
        super().__init__()
        self.embedding, self.position = nn.Embedding(VOCAB, WIDTH), nn.Embedding(TOKENS, WIDTH)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.layers, self.norm = nn.Sequential(*(Layer(fused) for _ in range(LAYERS))), nn.LayerNorm(WIDTH)

    def forward(self, tokens):
        x = self.layers(self.embedding(tokens) + self.position.weight)
        logits = F.linear(self.norm(x), self.embedding.weight)
        return F.cross_entropy(logits.flatten(0, 1), tokens.roll(-1, dims=1).flatten())


def step(model, optimizer, tokens):
    """Seconds of forward, backward and optimizer."""
    optimizer.zero_grad()
    times = [time.perf_counter()]
    loss = model(tokens)
    times.append(time.perf_counter())
    loss.backward()
    times.append(time.perf_counter())
    optimizer.step()
    times.append(time.perf_counter())
    return [end - start for start, end in zip(times, times[1:])]


def report_steps(name, fused):
    torch.manual_seed(0)
    model, tokens = Gpt2(fused), torch.randint(VOCAB, (BATCH, TOKENS))
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(WARM):
        step(model, optimizer, tokens)
    times = [step(model, optimizer, tokens) for _ in range(REPEATS)]
    forward, backward, update = (statistics.median(part) for part in zip(*times))
    passes = statistics.median(forward + backward for forward, backward, _ in times)
    whole = statistics.median(map(sum, times))
    parts = f"forward {forward:.3f}, backward {backward:.3f}, AdamW {update:.3f}"
    print(f"{name}: {parts}; {rate(passes)} without AdamW; {rate(whole)} in all; load {os.getloadavg()[0]:.1f}")


def rate(seconds):
    return f"{seconds:.3f} s = {STEP / seconds / 1e9:.0f} GFLOP/s"


def report_product(*shape):
    """The matrix product of (batch,) m, k, n."""
    *batch, m, k, n = shape
    one, other = torch.randn(*batch, m, k), torch.randn(*batch, k, n)
    times = []
    for _ in range(WARM + 25):
        start = time.perf_counter()
        one @ other
        times.append(time.perf_counter() - start)
    flops = 2 * one.numel() * n
    best, median = flops / min(times) / 1e9, flops / statistics.median(times[WARM:]) / 1e9
    name = "×".join(map(str, shape))
    print(f"  {name}: best {best:.0f}, median {median:.0f} GFLOP/s; load {os.getloadavg()[0]:.1f}")


torch.set_num_threads(THREADS)
parameters = sum(parameter.numel() for parameter in Gpt2(True).parameters())
print(f"torch {torch.__version__}, {THREADS} threads; {parameters:,} parameters, {STEP:,} FLOP a step")
for _ in range(RUNS):
    report_steps("fused attention", True)
    report_steps("plain attention", False)
    for outer in ((WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, INNER), (INNER, WIDTH), (WIDTH, VOCAB)):
        report_product(ROWS, *outer)
    report_product(BATCH * HEADS, TOKENS, HEAD, TOKENS)
    report_product(BATCH * HEADS, TOKENS, TOKENS, HEAD)
