"""Low-rank additions to the linear layers of a network (Hu et al. 2022, arXiv 2106.09685), merged when it is saved."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from embench.errors import UsageError


class LowRank(nn.Module):
    """`weight + alpha / rank * up @ down`: what a matrix (out, in) is while its addition is learned. `up` begins at
    zero, so that nothing changes at first.

    `dropout` is the share of inputs that the addition does not see in a step, the same for all rows of a batch: it is
    drawn for the matrix, where Hu et al. draw it for each row.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float, dropout: float) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        least = min(rank, outputs, inputs)
        self.down = nn.Parameter(torch.empty(least, inputs))
        self.up = nn.Parameter(torch.zeros(outputs, least))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.factor, self.dropout = alpha / rank, nn.Dropout(dropout)

    def forward(self, weight: Tensor) -> Tensor:
        """The matrix (out, in) with its addition."""
        down = self.down * self.dropout(self.down.new_ones(1, self.down.shape[1]))
        return weight + self.factor * (self.up @ down)


def add_lora(network: nn.Module, settings: Mapping[str, Any]) -> list[nn.Module]:
    """Freezes a network and puts additions to its linear layers and to the projections of its attention in place: they
    alone learn. Returns its layers that keep statistics, which have to stay in evaluation mode."""
    network.requires_grad_(False)
    for module, name in list(_matrices(network)):
        addition = LowRank(getattr(module, name), settings["rank"], settings["alpha"], settings["dropout"])
        parametrize.register_parametrization(module, name, addition)
    return [part for part in network.modules() if getattr(part, "track_running_stats", False)]


def check_lora(network: nn.Module, where: str) -> None:
    """Refuses a network without a linear layer. Raises UsageError."""
    if not any(True for _ in _matrices(network)):
        raise UsageError(
            "lora adds to linear layers, and this network has none",
            where=where,
            expected="an encoder with linear layers or attention, or adapt=frozen, ridge or full",
        )


def _matrices(network: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """The weights of linear layers, those in attention included, as (module, name of the parameter); each once, and
    none that a network computes from others, whose names would be gone when an addition is merged."""
    attention = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
    for module in network.modules():
        names = ("weight",) if isinstance(module, nn.Linear) else ()
        for name in attention if isinstance(module, nn.MultiheadAttention) else names:
            if isinstance(getattr(module, name), nn.Parameter):
                yield module, name


def merge_lora(network: nn.Module) -> None:
    """Puts additions into the matrices for good, which have their first names again; nothing where there are none."""
    network.eval()
    for _, module, name in _added(network):
        parametrize.remove_parametrizations(module, name)


def merged_state(network: nn.Module) -> dict[str, Tensor]:
    """The state of a network as it would be after `merge_lora`; the network goes on learning."""
    state = network.state_dict()
    for prefix, module, name in _added(network):
        additions = [part for part in module.parametrizations[name] if isinstance(part, LowRank)]
        drawing = [part.dropout.training for part in additions]
        for part in additions:
            part.dropout.training = False
        for key in [key for key in state if key.startswith(f"{prefix}parametrizations.{name}.")]:
            del state[key]
        state[f"{prefix}{name}"] = getattr(module, name).detach()
        for part, draws in zip(additions, drawing, strict=True):
            part.dropout.training = draws
    return state


def _added(network: nn.Module) -> list[tuple[str, Any, str]]:
    """The matrices with an addition: what names begin with in the network's state, module, name of the parameter."""
    return [
        (f"{path}." if path else "", module, name)
        for path, module in network.named_modules()
        for name, parts in getattr(module, "parametrizations", {}).items()
        if any(isinstance(part, LowRank) for part in parts)
    ]
