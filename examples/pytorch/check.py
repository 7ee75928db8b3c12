#!/usr/bin/env python3
"""Trains a CNN, an LSTM and a transformer, loads them into PyTorch, and compares the two.

    npm start
    python3 examples/pytorch/check.py [URL]

For each network it posts a job on the digits to the service (default: RAPPEL_API_URL, or
http://127.0.0.1:8080; with the key in RAPPEL_API_KEY, if the service needs one), waits for it, and
builds the nn.Module of the job's layers (network.py). `load_state_dict` takes the model file as it
is. Then the module sees the validation rows, encoded as the description of the model says. Its
loss and accuracy are those that the service measured, and its probabilities those of `predict`,
within 1e-5. Exits 1 if they differ. Needs PyTorch 2.4 or later, and nothing else.
"""
import csv
import json
import os
import pathlib
import struct
import sys
import time
import urllib.request

import torch
import torch.nn.functional as F

from network import network

TOLERANCE = 1e-5
EXAMPLES = pathlib.Path(__file__).parent.parent

LSTM = [
    {"type": "lstm", "hidden_size": 32, "num_layers": 2, "bidirectional": True},
    {"type": "linear"},
]
TRANSFORMER = [
    {"type": "linear", "out_features": 32},
    {"type": "position_embedding"},
    {"type": "repeat", "times": 2, "layers": [
        {"type": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 64},
    ]},
    {"type": "layer_norm"},
    {"type": "mean"},
    {"type": "linear"},
]


def specs(dataset):
    """The three jobs. Rows of an image are steps of a sequence."""
    cnn = json.loads((EXAMPLES / "digits-cnn.json").read_text())
    data = {**cnn["data"], "dataset": dataset, "target": "target"}
    sequence = {**data, "shape": [8, 8]}
    yield {**cnn, "data": data}
    yield {**cnn, "name": "digits-lstm", "data": sequence, "model": {"layers": LSTM}}
    yield {**cnn, "name": "digits-transformer", "data": sequence, "model": {"layers": TRANSFORMER}}


class Service:
    def __init__(self, url):
        self.url = url
        key = os.environ.get("RAPPEL_API_KEY")
        self.headers = {"authorization": f"Bearer {key}"} if key else {}

    def ask(self, path, body=None, kind="application/json"):
        headers = {**self.headers, **({} if body is None else {"content-type": kind})}
        request = urllib.request.Request(self.url + path, body, headers)
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def json(self, path, value=None):
        return json.loads(self.ask(path, None if value is None else json.dumps(value).encode()))

    def trained(self, spec):
        """A job of this spec, after it has succeeded."""
        job = self.json("/v1/jobs", spec)
        while job["status"] not in ("succeeded", "failed", "cancelled"):
            time.sleep(0.2)
            job = self.json(f"/v1/jobs/{job['id']}")
        if job["status"] != "succeeded":
            raise SystemExit(f"{spec['name']} {job['status']}: {job['error']}")
        return job


def tensors(file):
    """The tensors of a safetensors file, by name."""
    (length,) = struct.unpack("<Q", file[:8])
    header = json.loads(file[8 : 8 + length])
    header.pop("__metadata__", None)
    types = {"F32": torch.float32, "I64": torch.int64}
    body = bytearray(file[8 + length :])

    def tensor(dtype, shape, data_offsets):
        begin, end = data_offsets
        if begin == end:
            return torch.empty(shape, dtype=types[dtype])
        return torch.frombuffer(body[begin:end], dtype=types[dtype]).reshape(shape)

    return {name: tensor(**entry) for name, entry in header.items()}


def encoded(rows, encoders, shape):
    """Rows of numeric columns as the model's inputs."""
    columns = []
    for encoder in encoders:
        assert encoder["type"] == "numeric" and encoder["scale"] == "standardize", encoder
        values = torch.tensor([float(row[encoder["column"]]) for row in rows], dtype=torch.float64)
        columns.append((values - encoder["mean"]) / (encoder["std"] or 1))
    return torch.stack(columns, 1).float().reshape(-1, *shape)


def check(service, spec, rows):
    job = service.trained(spec)
    path = f"/v1/jobs/{job['id']}"
    description = service.json(f"{path}/model/description")
    seen = rows[:: spec["data"]["validation"]["every"]]
    x = encoded(seen, description["inputs"], description["input"]["shape"])
    module = network(job["spec"]["model"]["layers"], {"features": x[:2]})
    module.load_state_dict(tensors(service.ask(f"{path}/model")))
    with torch.no_grad():
        y = module.eval()(x)
    classes = description["target"]["classes"]
    target = torch.tensor([classes.index(row["target"]) for row in seen])
    ours = {
        "valid_loss": F.cross_entropy(y, target).item(),
        "valid_accuracy": (y.argmax(1) == target).double().mean().item(),
    }
    wrong = {name: abs(value - job["result"]["metrics"][name]) for name, value in ours.items()}
    wrong["probabilities"] = predicted(service, path, seen, classes, y.softmax(1))
    print(f"{spec['name']}: {', '.join(f'{name} {value:.1e}' for name, value in wrong.items())}")
    return max(wrong.values()) <= TOLERANCE


def predicted(service, path, rows, classes, ours):
    """How far the service's probabilities are from these."""
    features = [name for name in rows[0] if name != "target"]
    samples = [{name: float(row[name]) for name in features} for row in rows]
    theirs = service.json(f"{path}/predict", {"rows": samples})["predictions"]
    table = [[one["probabilities"][name] for name in classes] for one in theirs]
    return (torch.tensor(table, dtype=torch.float64) - ours).abs().max().item()


def main():
    default = os.environ.get("RAPPEL_API_URL", "http://127.0.0.1:8080")
    service = Service((sys.argv[1:] or [default])[0].rstrip("/"))
    file = (EXAMPLES / "digits.csv").read_bytes()
    dataset = json.loads(service.ask("/v1/datasets?name=digits", file, "text/csv"))["id"]
    rows = list(csv.DictReader(file.decode().splitlines()))
    right = [check(service, spec, rows) for spec in specs(dataset)]
    sys.exit(0 if all(right) else 1)


if __name__ == "__main__":
    main()
