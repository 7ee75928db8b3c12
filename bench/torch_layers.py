#!/usr/bin/env python3
"""The layers of `npm run bench -- layers` in PyTorch, for those who have it: how fast it is, and
what share of its speed Rappel's kernels reach.

    npm run --silent bench -- layers > ours.txt
    python3 bench/torch_layers.py ours.txt

Times the same layers with the same options at the same sizes: float32, forward in training mode,
and backward with the gradients of input and parameters, which is one call of `backward`. Several
files are several runs, of which the fastest counts. Prints a table, and as the last line one JSON
document. A ratio of 1 is as fast as PyTorch, 2 twice as fast; Rappel's side is one thread.
"""
import argparse
import json
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "examples" / "pytorch"))
from layers import LAYERS  # noqa: E402
from network import network  # noqa: E402

ROUNDS, SECONDS, MOST = 9, 0.06, 500


def case(row):
    """A module, and its input."""
    layer = {"type": row["layer"], **row["options"]}
    shape = (row["batch"], *row["shape"])
    if row["tokens"] is None:
        x = torch.rand(shape, requires_grad=True)
    else:
        x = torch.randint(row["tokens"], shape)
        layer.setdefault("num_embeddings", row["tokens"])
        layer["num_embeddings"] = layer["num_embeddings"] or row["tokens"]
    return network([layer], {"x": x.detach()}), x


def measure(row):
    """The lowest seconds of a forward and of a backward pass."""
    module, x = case(row)
    upstream = torch.rand_like(module(x))
    forward, backward, begin = [], [], time.perf_counter()
    while len(forward) < ROUNDS or (len(forward) < MOST and time.perf_counter() - begin < SECONDS):
        x.grad = None
        module.zero_grad(set_to_none=True)
        start = time.perf_counter()
        y = module(x)
        middle = time.perf_counter()
        if y.requires_grad:
            y.backward(upstream)
        end = time.perf_counter()
        forward.append(middle - start)
        backward.append(end - middle)
    return min(forward), min(backward)


def key(row):
    return json.dumps([row["layer"], row["shape"], row["options"]])


def runs(files):
    """The rows of all runs, with the lowest times of each."""
    rows = {}
    for file in files:
        for row in json.loads(file.read().splitlines()[-1])["rows"]:
            best = rows.setdefault(key(row), row)
            for name in ("forward_ms_min", "backward_ms_min"):
                best[name] = min(best[name], row[name])
    return rows.values()


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("files", nargs="+", type=argparse.FileType())
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"ms in PyTorch {torch.__version__}, and its time over ours: forward, backward")
    results = []
    for row in runs(arguments.files):
        if row["layer"] not in LAYERS:
            print(f"{row['layer']:30} is not there")
            continue
        seconds = measure(row)
        result = {"layer": row["layer"], "shape": row["shape"], "threads": arguments.threads}
        columns = []
        for name, each in zip(("forward", "backward"), seconds):
            ms = each * 1000
            ratio = ms / row[f"{name}_ms_min"]
            result.update({f"{name}_ms": ms, f"{name}_ratio": ratio})
            columns.append(f"{ms:9.3f} {ratio:7.2f}")
        results.append(result)
        print(f"{row['layer']:30} {' x '.join(map(str, row['shape'])):14} {' '.join(columns)}")
    print(json.dumps({"bench": "torch_layers", "torch": torch.__version__, "rows": results}))


if __name__ == "__main__":
    main()
