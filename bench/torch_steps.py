#!/usr/bin/env python3
"""PyTorch's side of `npm run bench -- compare`: milliseconds a training step on the CPU.

Reads a JSON object from each line of stdin, and answers with one: {"ms": 1.23}, the median of a
measurement. `workload` is a letter of bench/models.ts, whose models these are, or "adam" for
Adam alone over `parameters` numbers. A step is zero_grad, forward, loss, backward and Adam. Its
batch is made beforehand: no reading of data is timed, and no loss is read back.
"""
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn, optim

WARM_UP, SECONDS, LEAST = 5, 1.0, 5


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        rows, length, width = x.shape
        shape = (rows, length, self.heads, width // self.heads)
        q, k, v = (t.view(shape).transpose(1, 2) for t in self.qkv(self.norm1(x)).split(width, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(rows, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self, context, width, blocks, heads):
        super().__init__()
        self.tokens, self.places = nn.Embedding(65, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 65, bias=False)

    def forward(self, x):
        y = self.blocks(self.tokens(x) + self.places(torch.arange(x.shape[1])))
        return self.head(self.norm(y)).flatten(0, 1)


class LastOfLstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(32, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def mlp(*widths):
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return layers[:-1]


def lenet():
    def convolution(*shape, **options):
        return [nn.Conv2d(*shape, **options), nn.ReLU(), nn.MaxPool2d(2)]

    images = [*convolution(1, 6, 5, padding=2), *convolution(6, 16, 5), nn.Flatten()]
    return nn.Sequential(*images, *mlp(400, 120, 84, 10))


def classes(count, *shape):
    return torch.randint(0, count, shape)


def probability(y, target):
    return F.binary_cross_entropy_with_logits(y.squeeze(1), target)


def tokens(*shape):
    return classes(65, *shape), classes(65, *shape).flatten()


# The model, its loss, and its batch.
WORKLOADS = {
    "a": lambda: (nn.Linear(20, 1), probability, (torch.randn(32, 20), classes(2, 32).float())),
    "b": lambda: (
        nn.Sequential(*mlp(784, 256, 128, 10)),
        F.cross_entropy,
        (torch.randn(64, 784), classes(10, 64)),
    ),
    "c": lambda: (lenet(), F.cross_entropy, (torch.randn(64, 1, 28, 28), classes(10, 64))),
    "d": lambda: (LastOfLstm(), F.cross_entropy, (torch.randn(32, 64, 32), classes(10, 32))),
    "e": lambda: (Gpt(64, 128, 4, 4), F.cross_entropy, tokens(16, 64)),
    "f": lambda: (Gpt(256, 384, 6, 6), F.cross_entropy, tokens(8, 256)),
}


def adam(parameters, fused):
    return optim.Adam(parameters, lr=1e-3, **({"fused": True} if fused else {}))


def training(workload, fused):
    """A step of a workload."""
    model, loss, (x, target) = WORKLOADS[workload]()
    optimizer = adam(model.parameters(), fused)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(model(x), target).backward()
        optimizer.step()

    return step


def update(parameters, fused):
    """A step of Adam alone, on four equal matrices."""
    side = round((parameters / 4) ** 0.5)
    weights = [nn.Parameter(torch.randn(side, side)) for _ in range(4)]
    for weight in weights:
        weight.grad = torch.randn(side, side)
    return adam(weights, fused).step


def measure(step):
    for _ in range(WARM_UP):
        step()
    times, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < LEAST:
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


def main():
    torch.manual_seed(0)
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        torch.set_num_threads(asked["threads"])
        fused, workload = asked["fused"], asked["workload"]
        alone = workload == "adam"
        step = update(asked["parameters"], fused) if alone else training(workload, fused)
        print(json.dumps({"ms": measure(step)}), flush=True)


main()
