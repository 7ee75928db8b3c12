"""What a model takes and says, from its description: cells to inputs, outputs to predictions."""
import datetime

import torch

MISSING = ("", None)
EPOCH = datetime.datetime(1970, 1, 1)
PARTS = {
    "year": lambda date: date.year,
    "month": lambda date: date.month,
    "day_of_week": lambda date: date.weekday(),
    "hour": lambda date: date.hour,
    "elapsed_days": lambda date: (date - EPOCH) / datetime.timedelta(days=1),
}


def inputs(description, columns):
    """The inputs of the model by name. `columns`: the cells of each column, or all its numbers."""
    encoders, given = description["inputs"], {}
    for named in description["named_inputs"]:
        own, encoders = encoders[: named["encoders"]], encoders[named["encoders"] :]
        whole = named["type"] == "int32"
        parts = [encoded(encoder, columns[encoder["column"]], whole) for encoder in own]
        x = parts[0] if own[0]["type"] in ("tensor", "text") else torch.cat(parts, -1)
        x = x.to(torch.int32 if whole else torch.float32)
        given[named["name"]] = x.reshape(-1, *named["shape"])
    return given


def encoded(encoder, cells, whole):
    """The numbers that one encoder makes, in double. `whole`: classes as numbers."""
    kind = encoder["type"]
    if kind == "missing_indicator":
        return torch.tensor([[float(cell in MISSING)] for cell in cells])
    if kind == "categorical":
        known = [encoder["fill"] if cell in MISSING else cell for cell in cells]
        if whole:
            places = {name: place for place, name in enumerate(encoder["classes"], 1)}
            return torch.tensor([[places.get(cell, 0)] for cell in known])
        classes = encoder["classes"]
        return torch.tensor([[float(cell == name) for name in classes] for cell in known])
    if kind == "text":
        return cells
    x = cells.double() if torch.is_tensor(cells) else numbers(encoder, cells)
    if kind == "tensor":
        return array(encoder, x)
    if encoder["scale"] == "standardize":
        x = (x - encoder["mean"]) / encoder["std"]
    elif encoder["scale"] == "min_max":
        x = (x - encoder["min"]) / (encoder["max"] - encoder["min"] or 1)
    return x[..., None]


def numbers(encoder, cells):
    read = float if encoder["type"] == "numeric" else lambda cell: PARTS[encoder["part"]](cell)
    values = [encoder["fill"] if cell in MISSING else read(cell) for cell in cells]
    return torch.tensor(values, dtype=torch.float64)


def array(encoder, x):
    if encoder["scale"] == "unit":
        return x / encoder["max"]
    if encoder["scale"] == "none":
        return x
    each = [1, -1] + [1] * (x.dim() - 2)
    mean, std = (torch.tensor(encoder[name]).reshape(each) for name in ("mean", "std"))
    return (x - mean) / std
