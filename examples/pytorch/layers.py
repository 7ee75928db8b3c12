"""The nn.Module of each type of layer: PyTorch's own wherever it has one.

Each entry of LAYERS takes a layer of the spec and examples of its inputs.
"""
import inspect
import math

import torch
import torch.nn.functional as F
from torch import nn


def options(cls, layer, **sizes):
    """A module with those of the layer's options that its class has."""
    known = inspect.signature(cls.__init__).parameters
    chosen = {name: layer[name] for name in known if name in layer}
    return cls(**{**chosen, **sizes})


def own(cls):
    """A module that needs nothing but its options."""
    return lambda layer, *_: options(cls, layer)


def sized(cls, name, dim):
    """A module with an option that is the length of a dimension of its input."""
    return lambda layer, x, *_: options(cls, layer, **{name: x.shape[dim]})


def batched(dim):
    """A dimension of a sample, as one of the batch."""
    return dim + 1 if dim >= 0 else dim


class Function(nn.Module):
    """A function without parameters."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def function(make):
    """A layer without parameters: `make` takes its options and its first input to a function."""
    return lambda layer, x, *_: Function(make(layer, x))


def permute(layer, x):
    dims = [batched(dim % (x.dim() - 1)) for dim in layer["dims"]]
    return lambda value: value.permute(0, *dims).contiguous()


def over(layer):
    return batched(layer.get("dim", 0))


def select(layer, x):
    return lambda value: value.select(over(layer), layer.get("index", -1))


def attend(layer, _):
    """Attention of PyTorch; a mask of integers hides the keys where it is 0."""

    def attention(q, k, v, mask=None):
        seen = None
        if mask is not None:
            seen = mask[:, None, :] != 0 if mask.dim() == 2 else mask != 0
            while seen.dim() < q.dim():
                seen = seen[:, None]
        known = {"dropout_p": layer.get("dropout_p", 0), "is_causal": layer.get("is_causal", False)}
        return F.scaled_dot_product_attention(q, k, v, seen, **known, scale=layer.get("scale"))

    return attention


class Tables(nn.ModuleList):
    """A vector for the class of each column, and behind them the numbers of the other columns.

    `tables` are the shapes of the weights, which the description of the model has.
    """

    def __init__(self, layer, *_):
        super().__init__(nn.Embedding(*shape, padding_idx=0) for shape in layer["tables"])

    def forward(self, categories, *numbers):
        vectors = [table(categories[:, place]) for place, table in enumerate(self)]
        return torch.cat([*vectors, *numbers], 1)


class Positions(nn.Module):
    """Adds a learned vector to each position."""

    def __init__(self, layer, x):
        super().__init__()
        rows = layer.get("num_embeddings") or x.shape[1]
        self.weight = nn.Parameter(torch.randn(rows, x.shape[2]))

    def forward(self, x):
        return x + self.weight[: x.shape[1]]


class Waves(nn.Module):
    """Adds fixed waves to the positions."""

    def __init__(self, layer, x):
        super().__init__()
        time, size = x.shape[1:]
        place = torch.arange(size, dtype=torch.float64)
        angle = torch.arange(time).double()[:, None] / 10000 ** ((place - place % 2) / size)
        table = torch.where(place % 2 == 0, angle.sin(), angle.cos())
        self.register_buffer("table", table.float(), persistent=False)

    def forward(self, x):
        return x + self.table


class Rotary(nn.Module):
    """Turns the halves of heads of `dim` features against each other."""

    def __init__(self, time, dim, base):
        super().__init__()
        self.dim = dim
        rates = base ** (-torch.arange(dim // 2, dtype=torch.float64) / (dim // 2))
        angle = torch.arange(time).double()[:, None] * rates
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)

    def forward(self, x):
        low, high = x.reshape(*x.shape[:2], -1, self.dim).chunk(2, -1)
        cos, sin = self.cos[:, None], self.sin[:, None]
        return torch.cat([low * cos - high * sin, high * cos + low * sin], -1).reshape(x.shape)


def rotary(layer, x):
    return Rotary(x.shape[1], layer.get("dim") or x.shape[-1], layer.get("base", 10000))


def recurrent(cls, *more):
    """rnn, gru or lstm of PyTorch, of which the option `output` says what comes out."""
    names = ("hidden_size", "num_layers", "bias", "dropout", "bidirectional", *more)

    class Stack(cls):
        def __init__(self, layer, x, *_):
            chosen = {name: layer[name] for name in names if name in layer}
            super().__init__(input_size=x.shape[2], batch_first=True, **chosen)
            self.output = layer.get("output", "last")

        def forward(self, x, *states):
            # A state comes as [batch, layers and directions, hidden], or without the middle one.
            given = [state.reshape(len(x), -1, self.hidden_size) for state in states]
            given = [state.transpose(0, 1).contiguous() for state in given]
            start = None if not given else given[0] if len(given) == 1 else tuple(given)
            y, end = super().forward(x, start)
            if self.output == "all":
                return y
            if self.output == "last":
                return y[:, -1]
            if isinstance(end, tuple):
                end = end[1 if self.output == "last_cell" else 0]
            return end.transpose(0, 1).flatten(1)

    return Stack


def masks(query, key, mask, causal):
    """The keys that nobody sees [batch, keys], and the pairs that do not meet; None for none.

    `mask` holds integers, [batch, keys] or [batch, queries, keys], of which 0 hides.
    """
    hidden = None
    if causal:
        hidden = torch.ones(query.shape[1], key.shape[1], dtype=torch.bool).triu(1)
    if mask is None or mask.dim() == 2:
        return None if mask is None else mask == 0, hidden
    return None, mask == 0 if hidden is None else (mask == 0) | hidden


class Attention(nn.MultiheadAttention):
    """PyTorch's, with causal masks, masks of integers, and rotary positions."""

    def __init__(self, layer, x, *_):
        dropout, bias = layer.get("dropout", 0), layer.get("bias", True)
        super().__init__(x.shape[2], layer["num_heads"], dropout, bias, batch_first=True)
        self.causal = layer.get("causal", False)
        base = layer.get("rotary_base")
        self.rotary = base and Rotary(x.shape[1], x.shape[2] // self.num_heads, base)

    def forward(self, query, *others):
        mask = None
        if others and not others[-1].is_floating_point():
            *others, mask = others
        key = others[0] if others else query
        value = others[-1] if others else query
        padding, hidden = masks(query, key, mask, self.causal)
        if self.rotary:
            return self.rotated(query, padding, hidden)
        if hidden is not None and hidden.dim() == 3:
            hidden = hidden.repeat_interleave(self.num_heads, 0)
        return super().forward(query, key, value, padding, False, hidden)[0]

    def rotated(self, x, padding, hidden):
        q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        turned = (self.rotary(q), self.rotary(k), v)
        q, k, v = (each.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for each in turned)
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.head_dim)
        if padding is not None:
            scores = scores.masked_fill(padding[:, None, None], -math.inf)
        if hidden is not None:
            hidden = hidden if hidden.dim() == 2 else hidden[:, None]
            scores = scores.masked_fill(hidden, -math.inf)
        y = F.dropout(scores.softmax(-1), self.dropout, self.training) @ v
        return self.out_proj(y.transpose(1, 2).flatten(2))


class Block(nn.TransformerEncoderLayer):
    """PyTorch's, with causal masks, masks of integers, rotary positions, and swiglu."""

    def __init__(self, layer, x, *_):
        names = ("nhead", "dim_feedforward", "dropout", "layer_norm_eps", "norm_first", "bias")
        chosen = {name: layer[name] for name in names if name in layer}
        gated = layer.get("activation") == "swiglu"
        activation = F.silu if gated else layer.get("activation", "relu")
        super().__init__(x.shape[2], activation=activation, batch_first=True, **chosen)
        self.gated = gated
        self.causal = layer.get("causal", False)
        self.other = gated or layer.get("rotary_base") is not None
        bias = layer.get("bias", True)
        if gated:
            self.linear3 = nn.Linear(x.shape[2], self.linear1.out_features, bias)
        if self.other:
            self.self_attn = Attention({**layer, "num_heads": layer["nhead"]}, x)

    def forward(self, x, mask=None):
        if self.other:
            return self.assembled(x, *([] if mask is None else [mask]))
        padding, hidden = masks(x, x, mask, self.causal)
        if hidden is not None and hidden.dim() == 3:
            hidden = hidden.repeat_interleave(self.self_attn.num_heads, 0)
        return super().forward(x, hidden, padding)

    def assembled(self, x, *mask):
        attend = lambda value: self.dropout1(self.self_attn(value, *mask))
        feed = lambda value: self.dropout2(self.linear2(self.dropout(self.gate(value))))
        if self.norm_first:
            x = x + attend(self.norm1(x))
            return x + feed(self.norm2(x))
        x = self.norm1(x + attend(x))
        return self.norm2(x + feed(x))

    def gate(self, x):
        y = self.activation(self.linear1(x))
        return y * self.linear3(x) if self.gated else y


class SwiGLU(nn.Module):
    def __init__(self, layer, x):
        super().__init__()
        size, hidden, bias = x.shape[-1], layer["hidden_features"], layer.get("bias", False)
        self.w1, self.w3 = nn.Linear(size, hidden, bias), nn.Linear(size, hidden, bias)
        self.w2 = nn.Linear(hidden, size, bias)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


def normalized(cls):
    def make(layer, x):
        return options(cls, layer, normalized_shape=layer.get("normalized_shape") or x.shape[-1:])

    return make


LAYERS = {
    # Linear and convolutions
    "linear": sized(nn.Linear, "in_features", -1),
    "conv1d": sized(nn.Conv1d, "in_channels", 1),
    "conv2d": sized(nn.Conv2d, "in_channels", 1),
    "conv_transpose2d": sized(nn.ConvTranspose2d, "in_channels", 1),
    # Pooling
    "avg_pool1d": own(nn.AvgPool1d),
    "avg_pool2d": own(nn.AvgPool2d),
    "max_pool1d": own(nn.MaxPool1d),
    "max_pool2d": own(nn.MaxPool2d),
    "adaptive_avg_pool2d": own(nn.AdaptiveAvgPool2d),
    "global_avg_pool2d": function(lambda layer, x: lambda value: value.mean((2, 3))),
    "global_max_pool2d": function(lambda layer, x: lambda value: value.amax((2, 3))),
    # Norms
    "batch_norm1d": sized(nn.BatchNorm1d, "num_features", 1),
    "batch_norm2d": sized(nn.BatchNorm2d, "num_features", 1),
    "group_norm": sized(nn.GroupNorm, "num_channels", 1),
    "layer_norm": normalized(nn.LayerNorm),
    "rms_norm": normalized(nn.RMSNorm),
    # Sequences
    "rnn": recurrent(nn.RNN, "nonlinearity"),
    "gru": recurrent(nn.GRU),
    "lstm": recurrent(nn.LSTM),
    "embedding": own(nn.Embedding),
    "column_embedding": Tables,
    "position_embedding": Positions,
    "sinusoidal_position": Waves,
    "rotary_embedding": rotary,
    "scaled_dot_product_attention": function(attend),
    "multihead_attention": Attention,
    "transformer_encoder_layer": Block,
    "swiglu": SwiGLU,
    # Shapes
    "flatten": own(nn.Flatten),
    "reshape": function(lambda layer, x: lambda value: value.reshape(len(value), *layer["shape"])),
    "permute": function(permute),
    "mean": function(lambda layer, x: lambda value: value.mean(over(layer))),
    "select": function(select),
    # Activations and dropout
    "softmax": lambda layer, x: nn.Softmax(batched(layer.get("dim", -1))),
    "log_softmax": lambda layer, x: nn.LogSoftmax(batched(layer.get("dim", -1))),
    "dropout": own(nn.Dropout),
    "elu": own(nn.ELU),
    "gelu": own(nn.GELU),
    "hardsigmoid": own(nn.Hardsigmoid),
    "hardswish": own(nn.Hardswish),
    "leaky_relu": own(nn.LeakyReLU),
    "logsigmoid": own(nn.LogSigmoid),
    "mish": own(nn.Mish),
    "relu": own(nn.ReLU),
    "relu6": own(nn.ReLU6),
    "selu": own(nn.SELU),
    "sigmoid": own(nn.Sigmoid),
    "silu": own(nn.SiLU),
    "softplus": own(nn.Softplus),
    "softsign": own(nn.Softsign),
    "tanh": own(nn.Tanh),
}
