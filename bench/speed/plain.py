"""The bundled encoders and their heads once more, as one writes them first: torch's own modules, or those of the
library that an encoder stands on, no masks, no plugin. The peer's environment, which has no embench, reads it too.

Each takes a recipe's `build` and the shape of a window, and maps (B, *shape) to one logit (B, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

Build = Mapping[str, Any]


def transformer(width: int, heads: int, ffn: int, dropout: float, attention: float | None) -> nn.Module:
    layer = nn.TransformerEncoderLayer(width, heads, ffn, dropout, batch_first=True)
    layer.self_attn.dropout = dropout if attention is None else attention
    return layer


def sinusoidal(length: int, dim: int) -> Tensor:
    """(length, dim) positions (Vaswani et al. 2017)."""
    angle = torch.arange(length)[:, None] * torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :dim]


def classifier(width: int, hidden: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1))


class CnnTf(nn.Module):
    def __init__(self, b: Build, shape: Sequence[int]) -> None:
        super().__init__()
        widths, length = [shape[0], *b["widths"]], shape[1]
        convolutions = (
            nn.Sequential(nn.Conv1d(before, width, kernel, padding="same"), nn.ReLU())
            for (before, width), kernel in zip(pairwise(widths), b["kernels"], strict=True)
        )
        self.cnn, dim, dropout = nn.Sequential(*convolutions), widths[-1], b["dropout"]
        self.cls, self.dropout = nn.Parameter(torch.zeros(dim)), nn.Dropout(dropout)
        self.register_buffer("positions", sinusoidal(length + 1, dim))
        sizes = (dim, b["heads"], b["ffn"], dropout, b.get("attention_dropout"))
        self.layers = nn.Sequential(*(transformer(*sizes) for _ in range(b["layers"])))
        self.head = classifier(dim, b["hidden"], b["head_dropout"])

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.cls.expand(len(x), 1, -1), self.cnn(x).transpose(1, 2)], 1) + self.positions
        return self.head(self.layers(self.dropout(x))[:, 0])


class Tcn(nn.Module):
    def __init__(self, b: Build, shape: Sequence[int]) -> None:
        super().__init__()
        filters, head = b["filters"], b["head"]
        widths = [shape[0], *[filters] * b["blocks"]]
        self.branches, self.shortcuts = nn.ModuleList(), nn.ModuleList()
        for level, (before, after) in enumerate(pairwise(widths)):
            dilation = 2**level
            parts: list[nn.Module] = []
            for width in (before, after):
                convolution = weight_norm(nn.Conv1d(width, after, b["kernel"], dilation=dilation))
                reach = nn.ConstantPad1d(((b["kernel"] - 1) * dilation, 0), 0.0)
                parts += [reach, convolution, nn.ReLU(), nn.Dropout(b["dropout"])]
            self.branches.append(nn.Sequential(*parts))
            self.shortcuts.append(nn.Identity() if before == after else nn.Conv1d(before, after, 1))
        width, hidden = head["width"], head["hidden"]
        self.group = shape[1] // (head["tokens"] or shape[1])
        self.project, self.norm, self.scale = nn.Linear(filters, width), nn.LayerNorm(width), math.sqrt(width)
        self.layer = transformer(width, head["heads"], head["ffn"], head["dropout"], head["attention_dropout"])
        self.head = nn.Sequential(
            nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(head["dropout"]),
            nn.Linear(hidden, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        for branch, shortcut in zip(self.branches, self.shortcuts, strict=True):
            x = torch.relu(branch(x) + shortcut(x))
        x = torch.sigmoid(x)
        if self.group > 1:
            x = nn.functional.avg_pool1d(x, self.group)
        x = self.norm(self.project(x.transpose(1, 2)) * self.scale)
        return self.head(self.layer(x).mean(1))


class CnnMlp(nn.Module):
    def __init__(self, b: Build, shape: Sequence[int]) -> None:
        super().__init__()
        widths, stride = [shape[0], *b["widths"]], b["stride"]
        convolutions = (
            nn.Sequential(nn.Conv1d(before, width, kernel, 1 if i else stride, padding=kernel // 2), nn.ReLU())
            for i, ((before, width), kernel) in enumerate(zip(pairwise(widths), b["kernels"], strict=True))
        )
        moments = (shape[1] - 1) // stride + 1
        self.cnn = nn.Sequential(*convolutions)
        self.mlp = nn.Sequential(
            nn.Linear(moments, b["hidden"]), nn.GELU(), nn.Dropout(b["dropout"]), nn.Linear(b["hidden"], b["tokens"])
        )
        self.head = nn.Sequential(nn.LayerNorm(widths[-1]), nn.Linear(widths[-1], 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mlp(self.cnn(x)).transpose(1, 2).mean(1))


class Excited(nn.Module):
    """Concurrent squeeze and excitation with its maximum, as its paper draws it: two gated maps, and the greater."""

    def __init__(self, width: int, conv: Any) -> None:
        super().__init__()
        self.channel = nn.Sequential(
            nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, width), nn.Sigmoid()
        )
        self.spatial = nn.Sequential(conv(width, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        channel = self.channel(x.flatten(2).mean(2)).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
        return torch.maximum(x * channel, x * self.spatial(x))


class Unet(nn.Module):
    def __init__(self, before: int, widths: Sequence[int], conv: Any, norm: Any, pool: Any, up: Any) -> None:
        super().__init__()

        def twice(one: int, width: int) -> nn.Module:
            return nn.Sequential(
                conv(one, width, 3, padding=1), norm(width), nn.ReLU(),
                conv(width, width, 3, padding=1), norm(width), nn.ReLU(), Excited(width, conv),
            )  # fmt: skip

        self.pool, self.first = pool(2), twice(before, widths[0])
        self.down = nn.ModuleList(twice(a, b) for a, b in pairwise(widths))
        self.lift = nn.ModuleList(up(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(twice(2 * a, a) for a in widths[:-1])

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.first(x)]
        for step in self.down:
            maps.append(step(self.pool(maps[-1])))
        x = maps.pop()
        for lift, step in zip(reversed(self.lift), reversed(self.up), strict=True):
            x = step(torch.cat([maps.pop(), lift(x)], 1))
        return x


class UnetSe(nn.Module):
    """U-Nets on intervals (1, 32), or on four bands of electrodes on a scalp of 12 x 12 cells."""

    def __init__(self, b: Build, shape: Sequence[int]) -> None:
        super().__init__()
        one = nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d, nn.ConvTranspose1d
        two = nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.ConvTranspose2d
        self.maps = shape[0] > 1
        layers, widths = (two, b["maps"]) if self.maps else (one, b["series"])
        befores = [shape[0], *[widths[0]] * (b["units"] - 1)]
        units = (Unet(before, widths, *layers) for before in befores)
        self.units = nn.Sequential(*units, layers[0](widths[0], b["dim"], 1))
        self.head = classifier(b["dim"], b["hidden"], b["dropout"])

    def forward(self, x: Tensor) -> Tensor:
        if self.maps:
            scalp = x.new_zeros(*x.shape[:2], 144)
            scalp[:, :, : x.shape[2]] = x
            x = scalp.unflatten(2, (12, 12))
        return self.head(self.units(x).flatten(2).mean(2))


class Handcrafted(nn.Module):
    """Features are standardised, missing ones become the mean, and long tails are cut."""

    def __init__(self, b: Build, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape[0]))
        self.register_buffer("std", torch.ones(shape[0]))
        dim = b["dim"]
        self.layers = nn.Sequential(nn.Linear(shape[0], dim), nn.GELU(), nn.LayerNorm(dim), nn.Linear(dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(((x - self.mean) / self.std).nan_to_num(0.0).clamp(-10, 10))


class Frames(nn.Module):
    """Mean over the tokens of a library's network for standardised bytes."""

    def __init__(self, network: nn.Module, width: int) -> None:
        super().__init__()
        self.network = network
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.tokens((x / 255 - self.mean) / self.std).mean(1))

    def tokens(self, x: Tensor) -> Tensor:
        return self.network(x).last_hidden_state


class TimmFrames(Frames):
    def __init__(self, b: Build, shape: Sequence[int]) -> None:
        from embench_plugins import torchvision_shim

        torchvision_shim.settle()
        import timm

        size = {"img_size": shape[2]} if "vit" in b["model"] else {}
        network = timm.create_model(b["model"], num_classes=0, **size)
        with torch.no_grad():
            (width,) = network.eval()(torch.zeros(1, *shape[1:])).shape[1:]
        super().__init__(network, width)

    def tokens(self, x: Tensor) -> Tensor:
        return self.network(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class VideoMae(Frames):
    def __init__(self, b: Build, shape: Sequence[int]) -> None:
        from embench_plugins import torchvision_shim

        torchvision_shim.settle()
        from transformers import VideoMAEConfig, VideoMAEModel

        config = VideoMAEConfig(
            num_frames=shape[0], image_size=shape[2], patch_size=b["patch"], tubelet_size=b["tubelet"],
            hidden_size=b["width"], num_hidden_layers=b["layers"], num_attention_heads=b["heads"],
            intermediate_size=b["ffn"], use_mean_pooling=False,
        )  # fmt: skip
        super().__init__(VideoMAEModel(config), b["width"])


PLAIN: Mapping[str, Callable[[Build, Sequence[int]], nn.Module]] = {
    "cnn_tf": CnnTf, "cnn_mlp": CnnMlp, "handcrafted": Handcrafted, "tcn": Tcn, "unet_se": UnetSe,
    "videomae": VideoMae, "timm_frames": TimmFrames,
}  # fmt: skip
