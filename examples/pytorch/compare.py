#!/usr/bin/env python3
"""Takes the model of every example to PyTorch and back, and compares the two.

    npm start
    python3 examples/pytorch/compare.py [URL]

It posts each example to the service, and waits for it. From the layers of the job it builds the
nn.Module (network.py). Then it compares:

- *predict*: `load_state_dict` takes the model file as it is, and the module's forward pass, on rows
  that are encoded as the description of the model says (encoding.py), gives what `predict` says.
  What it tells is the largest difference of a probability, or of a value in standard deviations of
  the target.
- *state_dict*: a module with random weights gives its state_dict to the service, where a job begins
  with it and learns at a rate of 0. The model file of that job has the same bytes.

Exits 1 if a difference is larger than 1e-5, or a byte another. Needs PyTorch 2.4 or later, and
nothing else.
"""
import csv
import datetime
import io
import json
import math
import pathlib
import random
import sys
import zipfile

import torch

from encoding import inputs
from network import network
from service import Service, safetensors, tensors

TOLERANCE = 1e-5
MOST_ROWS = 300
EXAMPLES = pathlib.Path(__file__).parent.parent


class Table:
    """A CSV. `read` makes cells of a column other than texts, for encoding.py."""

    kind = "text/csv"

    def __init__(self, file, read={}):
        self.file = file
        self.rows = list(csv.DictReader(io.StringIO(file.decode())))[:MOST_ROWS]
        names = self.rows[0]
        self.columns = {name: [row[name] for row in self.rows] for name in names}
        for name, make in read.items():
            self.columns[name] = [make(cell) for cell in self.columns[name]]

    def asked(self, _):
        return {"rows": self.rows}, self.columns


class Arrays:
    """An NPZ of bytes."""

    kind = "application/octet-stream"

    def __init__(self, file):
        self.file = file
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            self.columns = {name[:-4]: array(archive.read(name)) for name in archive.namelist()}

    def asked(self, description):
        columns = {name: values[:MOST_ROWS] for name, values in self.columns.items()}
        [encoder] = description["inputs"]
        return {"inputs": columns[encoder["column"]].tolist()}, columns


def array(file):
    length = int.from_bytes(file[8:10], "little")
    header = file[10 : 10 + length].decode()
    assert "'|u1'" in header, header
    shape = header.split("'shape': (")[1].split(")")[0].split(",")
    data = torch.frombuffer(bytearray(file[10 + length :]), dtype=torch.uint8)
    return data.reshape([int(length) for length in shape if length.strip()])


class Series(Table):
    """A CSV whose rows, in order, make samples of `length` rows."""

    def __init__(self, file, length):
        super().__init__(file)
        self.length = length

    def asked(self, description):
        names = [encoder["column"] for encoder in description["inputs"]]
        table = torch.tensor(
            [[float(row[name]) for name in names] for row in self.rows], dtype=torch.float64
        )
        samples = table.unfold(0, self.length, 1).transpose(1, 2)
        columns = {name: samples[..., place] for place, name in enumerate(names)}
        return {"inputs": samples.tolist()}, columns


class Synthetic:
    """Two columns that the service makes itself."""

    file = None

    def asked(self, description):
        names = [encoder["column"] for encoder in description["inputs"]]
        table = torch.randn(MOST_ROWS, len(names), dtype=torch.float64)
        columns = {name: table[:, place] for place, name in enumerate(names)}
        return {"rows": [dict(zip(names, row)) for row in table.tolist()]}, columns


class Text:
    kind = "text/plain"

    def __init__(self, file):
        self.file = file

    def asked(self, description):
        [encoder] = description["inputs"]
        characters = encoder["vocabulary"]["characters"]
        [context] = description["input"]["shape"]
        known = [characters.index(each) for each in self.file.decode() if each in characters]
        count = min(len(known) // context, MOST_ROWS)
        samples = torch.tensor(known[: count * context]).reshape(count, context)
        return {"inputs": samples.tolist()}, {encoder["column"]: samples}


def orders(rows=400):
    """Orders of a shop: dates with the month first, classes, yes and no, and missing cells."""
    draw = random.Random(4)
    lines = ["placed,city,gift,weight,price"]
    for _ in range(rows):
        day = datetime.date(2023, 1, 1) + datetime.timedelta(days=draw.randrange(700))
        city, weight = draw.choice(["Bern", "Genf", "Basel"]), draw.uniform(0.1, 9)
        gift = draw.choice(["yes", "no"])
        price = 4 + 2 * weight + len(city) + (3 if gift == "yes" else 0) + day.month / 2
        cells = [city, gift, f"{weight:.2f}"]
        cells = ["" if draw.random() < 0.1 else cell for cell in cells]
        lines.append(",".join([day.strftime("%m/%d/%Y"), *cells, f"{price:.2f}"]))
    return "\n".join(lines).encode()


def sales(months=400):
    """A season of twelve months, in order."""
    draw = random.Random(5)
    season = lambda month: 10 + 3 * math.sin(2 * math.pi * month / 12) + draw.gauss(0, 0.5)
    lines = [f"{month},{season(month):.3f},{draw.uniform(1, 2):.2f}" for month in range(months)]
    return "\n".join(["month,sales,price", *lines]).encode()


def jobs():
    """The examples, each with its data."""
    digits = Table((EXAMPLES / "digits.csv").read_bytes())
    images = Arrays((EXAMPLES / "digits.npz").read_bytes())
    data = {"digits-cnn": images, "digits-autoencoder": images, "two_moons-sgd": Synthetic()}
    data["digits-fine-tuned"] = Arrays((EXAMPLES / "digits-faint.npz").read_bytes())
    for path in sorted(EXAMPLES.glob("*.json")):
        name, kind = path.stem, path.stem.split("-")[0]
        if name not in data and (EXAMPLES / f"{kind}.npz").exists() and kind != "digits":
            data[name] = Arrays((EXAMPLES / f"{kind}.npz").read_bytes())
        elif name not in data:
            data[name] = Table((EXAMPLES / f"{kind}.csv").read_bytes())
        yield json.loads(path.read_text()), data[name]
    for name, (shape, layers) in NETWORKS.items():
        split = {"target": "target", "validation": {"every": 5}, "shape": shape}
        model = {"layers": layers}
        yield {**SHORT, "name": name, "data": split, "model": model, "loss": CLASSES}, digits
    date = lambda cell: datetime.datetime.strptime(cell, "%m/%d/%Y")
    yield ORDERS, Table(orders(), {"placed": date})
    yield FORECAST, Series(sales(), FORECAST["data"]["window"]["length"])
    yield TEXT, Text((EXAMPLES.parent / "README.md").read_bytes())


def linear(**options):
    return {"type": "linear", **options}


NETWORKS = {
    "digits-lstm": ([8, 8], [
        {"type": "lstm", "hidden_size": 32, "num_layers": 2, "bidirectional": True},
        linear(),
    ]),
    "digits-residual": ([1, 8, 8], [
        {"type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1},
        {"type": "batch_norm2d"},
        {"type": "residual", "layers": [
            {"type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1},
            {"type": "batch_norm2d"},
            {"type": "gelu"},
        ]},
        {"type": "flatten"},
        linear(),
    ]),
    "digits-transformer": ([8, 8], [
        linear(out_features=32),
        {"type": "position_embedding"},
        {"type": "repeat", "times": 2, "layers": [
            {"type": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 64},
        ]},
        {"type": "layer_norm"},
        {"type": "mean"},
        linear(),
    ]),
}
CLASSES = {"type": "cross_entropy"}
SHORT = {"optimizer": {"type": "adamw", "lr": 0.003}, "training": {"epochs": 3, "batch_size": 32}}
ORDERS = {
    **SHORT,
    "name": "orders",
    "data": {
        "target": "price",
        "validation": {"every": 5},
        "preprocess": {"missing": "most_frequent", "missing_indicator": True},
    },
    "model": {"layers": [linear(out_features=16), {"type": "tanh"}, linear()]},
    "loss": {"type": "mse"},
}
FORECAST = {
    **SHORT,
    "name": "forecast",
    "data": {
        "target": "sales",
        "features": ["sales", "price"],
        "window": {"order": "month", "length": 24},
        "validation": {"tail": 0.2},
    },
    "model": {"layers": [{"type": "lstm", "hidden_size": 16}, linear()]},
    "loss": {"type": "mse"},
}
TEXT = {
    **SHORT,
    "name": "text",
    "data": {
        "target": "next_token",
        "text": {"context": 32, "vocabulary": "characters"},
        "validation": {"tail": 0.1},
    },
    "model": {"layers": [
        {"type": "embedding", "name": "tokens", "embedding_dim": 32},
        {"type": "position_embedding"},
        {"type": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 64, "causal": True},
        {"type": "layer_norm"},
        linear(tied_to="tokens.weight", bias=False),
    ]},
    "loss": CLASSES,
}


def shares(told, classes):
    """The probabilities of one prediction, or of each position, in the order of the classes."""
    if isinstance(told, list):
        return [shares(each, classes) for each in told]
    return [told[name] for name in classes]


def difference(y, predictions, target):
    """How far the service's predictions are from the outputs of the module."""
    classes = target["classes"]
    if classes is not None:
        told = [one["probabilities"] for one in predictions]
        table = [shares(one, classes) for one in told]
        theirs, ours = torch.tensor(table, dtype=torch.float64), y.double().softmax(-1)
    else:
        values = torch.tensor([one["value"] for one in predictions], dtype=torch.float64)
        theirs, ours = ((values - target["mean"]) / target["std"]).reshape(y.shape), y.double()
    return (theirs - ours).abs().max().item()


def returned(service, spec, module, x):
    """Whether a job gives the module's state_dict back byte for byte."""
    held = {"parameters": "*", "statistics": "eval"}
    module.train()(*x)  # So that running statistics move.
    file = safetensors(module.state_dict())
    weights = json.loads(service.ask("/v1/weights", file, "application/octet-stream"))["id"]
    job = service.trained({
        **spec,
        "name": f"{spec['name']}-returned",
        "init": {"weights": weights},
        "data": {**spec["data"], "encoders": "refit", "encoders_sha256": None},
        "optimizer": {"type": "sgd", "lr": 0},
        "parameter_groups": [held] if [*module.buffers()] else [],
        "schedule": {"type": "constant"},
        "training": {"epochs": 1, "batch_size": "full"},
    })
    return service.ask(f"/v1/jobs/{job['id']}/model") == file


def layers_of(spec, description):
    """The layers of a job. A column_embedding is told the shapes of its tables."""
    shapes = {layer["name"]: [*layer["parameters"].values()] for layer in description["layers"]}
    tables = lambda layer: {"tables": shapes[layer["name"]]}
    return [
        {**layer, **(tables(layer) if layer["type"] == "column_embedding" else {})}
        for layer in spec["model"]["layers"]
    ]


def compared(service, job, data):
    """The largest difference of a prediction, and whether all bytes came back."""
    path = f"/v1/jobs/{job['id']}"
    description = service.json(f"{path}/model/description")
    asked, columns = data.asked(description)
    x = inputs(description, columns)
    layers = layers_of(job["spec"], description)
    module = network(layers, x)
    module.load_state_dict(tensors(service.ask(f"{path}/model")))
    with torch.no_grad():
        y = module.eval()(*x.values())
    predictions = service.json(f"{path}/predict", asked)["predictions"]
    most = difference(y, predictions, description["target"])
    return most, returned(service, job["spec"], network(layers, x), x.values())


def main():
    service = Service()
    print(f"{'example':22} {'predict':>8}  state_dict")
    datasets, trained, wrong = {}, {}, False
    for spec, data in jobs():
        if data.file is not None:
            if data not in datasets:
                datasets[data] = service.upload(spec["name"], data.file, data.kind)
            spec["data"]["dataset"] = datasets[data]
        if "init" in spec:
            spec["init"]["job"] = trained["digits-cnn"]
        job = service.trained(spec)
        trained[spec["name"]] = job["id"]
        most, same = compared(service, job, data)
        came = "the same bytes" if same else "other bytes"
        print(f"{spec['name']:22} {most:8.1e}  {came}", flush=True)
        wrong = wrong or not same or not most <= TOLERANCE
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
