"""Builds the nn.Module that the `model.layers` of a Rappel job describe.

Modules stand under the names that Rappel gives them (docs/models.md, "Names"), so that
`load_state_dict` takes the job's model file as it is:

    module = network(job["spec"]["model"]["layers"], {"features": example})
    module.load_state_dict(safetensors.torch.load_file("model.safetensors"))

`example` is a batch of inputs, from which the sizes of the layers follow. A module takes the inputs
in the order of that dictionary. Needs PyTorch 2.4 or later.
"""
import torch
from torch import nn

from layers import LAYERS, batched


def network(layers, inputs):
    """The module for a job's layers. `inputs`: an example batch by the name of each input."""
    with torch.no_grad():
        return Network(layers, inputs)


class Network(nn.Module):
    """The whole model. Its children are those of its list of layers, without a name between."""

    def __init__(self, layers, inputs):
        super().__init__()
        self.inputs = list(inputs)
        self.steps = []
        build(self, layers, next(iter(inputs.values())), dict(inputs))
        for path, tied in ties(layers):
            owner, _, name = tied.rpartition(".")
            self.get_submodule(path).weight = getattr(self.get_submodule(owner), name)

    def forward(self, *values):
        return run(self, values[0], dict(zip(self.inputs, values)))


def build(parent, layers, x, around):
    """Adds a list of layers to a module. `around`: what layers of it may name as inputs."""
    for index, layer in enumerate(layers):
        name = layer.get("name") or str(index)
        names = named(layer, around)
        inputs = [x] if names is None else [around[each] for each in names]
        module = make(layer, inputs, around)
        parent.add_module(name, module)
        parent.steps.append((name, names))
        x = call(module.eval(), inputs, around)
        module.train()
        around = {**around, name: x}
    return x


def named(layer, around):
    """What a layer takes, by name; None: what the layer before it gives."""
    if layer.get("inputs") is None and layer["type"] == "column_embedding":
        return [name for name in ("categories", "numbers") if name in around]
    return layer.get("inputs")


def run(parent, x, around):
    for name, names in parent.steps:
        inputs = [x] if names is None else [around[each] for each in names]
        x = call(getattr(parent, name), inputs, around)
        around = {**around, name: x}
    return x


def call(module, inputs, around):
    return module(inputs, around) if isinstance(module, Container) else module(*inputs)


def ties(layers, path=""):
    """The path of each layer that is tied, and the parameter that it is tied to."""
    for index, layer in enumerate(layers):
        at = path + (layer.get("name") or str(index))
        if layer.get("tied_to"):
            yield at, layer["tied_to"]
        times = layer.get("times")
        for part in [f"{at}."] if times is None else [f"{at}.{i}." for i in range(times)]:
            yield from ties(layer.get("layers") or [], part)
        yield from ties(layer.get("shortcut") or [], f"{at}.shortcut.")
        for i, branch in enumerate(layer.get("branches") or []):
            yield from ties(branch, f"{at}.branches.{i}.")


class Container(nn.Module):
    """Holds layers, which may name layers of the lists around it."""

    def __init__(self):
        super().__init__()
        self.steps = []


class Sequence(Container):
    def __init__(self, layers, x, around):
        super().__init__()
        build(self, layers, x, around)

    def forward(self, inputs, around):
        return run(self, inputs[0], around)


class Residual(Sequence):
    def __init__(self, layer, inputs, around):
        super().__init__(layer["layers"], inputs[0], around)
        shortcut = layer.get("shortcut") or []
        self.shortcut = Sequence(shortcut, inputs[0], around) if shortcut else None

    def forward(self, inputs, around):
        beside = inputs[0] if self.shortcut is None else self.shortcut(inputs, around)
        return run(self, inputs[0], around) + beside


class Repeat(Container):
    def __init__(self, layer, inputs, around):
        super().__init__()
        [x] = inputs
        for i in range(layer["times"]):
            part = Sequence(layer["layers"], x, around)
            self.add_module(str(i), part)
            x = part.eval()([x], around)
            part.train()

    def forward(self, inputs, around):
        [x] = inputs
        for part in self.children():
            x = part([x], around)
        return x


class Branches(Container):
    """`add` and `concat`: of what their branches make of the input or, without, of the inputs."""

    def __init__(self, layer, inputs, around):
        super().__init__()
        branches = layer.get("branches")
        dim = batched(layer.get("dim", 0))
        self.join = sum if layer["type"] == "add" else lambda parts: torch.cat(parts, dim)
        self.branches = None
        if branches:
            self.branches = nn.ModuleList(Sequence(part, inputs[0], around) for part in branches)

    def forward(self, inputs, around):
        if self.branches is None:
            return self.join(inputs)
        return self.join([branch(inputs, around) for branch in self.branches])


def make(layer, inputs, around):
    """The module of one layer. `inputs` are examples of what comes in."""
    kind = layer["type"]
    if kind in CONTAINERS:
        return CONTAINERS[kind](layer, inputs, around)
    if kind not in LAYERS:
        raise ValueError(f"{kind}: no module is known here for this type of layer")
    given = {name: tuple(it) if isinstance(it, list) else it for name, it in layer.items()}
    return LAYERS[kind](given, *inputs)


CONTAINERS = {
    "sequential": lambda layer, inputs, around: Sequence(layer["layers"], inputs[0], around),
    "residual": Residual,
    "repeat": Repeat,
    "add": Branches,
    "concat": Branches,
}
