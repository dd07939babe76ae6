"""Pretrainer `signal_transform`: classifies which of five changes was made to a window, or none.

Wu et al. 2023 (`wu2023`), as its published code has it. Every window comes in all six versions, so labels are balanced.
All modalities of a sample get the same kind of change with draws of their own. The whole model learns, the Transformer
of the fusion included; each modality's mean after mixing goes into a head of its own, and the loss is the sum of their
cross-entropies. The paper's corpus is not public: the source of the windows is whatever a run names, and how far apart
they begin is open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import ClassVar, cast

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from embench.errors import UsageError
from embench.interfaces.fusion import MixesTokens
from embench.interfaces.pretrainer import Pretrainer
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Batch, InputSpec, OutputSpec
from embench.interfaces.units import View
from embench.nn import Model, hide

PAPER = Recipe(
    optimiser="sgd", lr=5e-3, momentum=0.9, weight_decay=5e-7, epochs=15, batch=32, selection="best_train",
    view=View("window", step_s=5.0),  # as long as the encoders' own views
    build={"hidden": 64, "dropout": 0.1},
    assumed=("view.step_s",),
)  # fmt: skip

SMALL = PAPER.replace(
    optimiser="adamw", lr=1e-3, momentum=0.0, weight_decay=1e-2, schedule="cosine", warmup=1, epochs=8, batch=32,
    clip=1.0, view=View("window", step_s=30.0), assumed=(),
)  # fmt: skip

KINDS = 6
SNR_DB = 15.0
PIECES = 10
WARP_PIECES, STRETCH = 9, 1.05
CROP_PIECES = 4
KNOTS, SIGMA = 6, 0.2


class SignalTransform(Pretrainer):
    """Six-way classification for every modality; the figure `accuracy` is the mean over modalities."""

    scope: ClassVar = "model"
    labels: ClassVar = "none"
    needs_fusion: ClassVar = frozenset({"mixed_tokens"})
    needs_input: ClassVar = frozenset({"signal"})
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=2, warmup=0),
    }

    def objective(self, model: Model, inputs: Mapping[str, InputSpec], outputs: OutputSpec | None) -> nn.Module:
        """The objective on `model` and its fusion, sized by the recipe's `build`; `outputs` is not used.

        Raises:
            UsageError: windows of a modality are too short to be warped.
        """
        return Objective(model, inputs, int(self.recipe.build["hidden"]), float(self.recipe.build["dropout"]))


class Objective(nn.Module):
    """`Batch -> (loss, {"accuracy", "accuracy_ppg", ..})`.

    Raises:
        UsageError: windows of a modality are too short to be warped in nine pieces.
    """

    def __init__(self, model: Model, inputs: Mapping[str, InputSpec], hidden: int, dropout: float) -> None:
        super().__init__()
        self.model, self.fusion = model, cast(MixesTokens, model.fusion)
        self.rates = {m: float(spec.rate or 1.0) for m, spec in inputs.items()}
        for m, spec in inputs.items():
            if min(compute_warped_sizes(spec.shape[-1], self.rates[m])) < 2:
                raise UsageError(
                    f"windows of {spec.shape[-1]} samples of {m} are too short to be warped in {WARP_PIECES} pieces",
                    where="pretrainer signal_transform",
                    hint="let the encoder see more: --set encoder.view.length_s=60",
                )
        self.heads = nn.ModuleDict({m: make_classifier(self.fusion.width, hidden, dropout) for m in inputs})

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss (scalar, sum over modalities) and accuracies, 0 to 1, of a batch of signals (B, C, T)."""
        changed = make_every_version(batch, self.rates)
        losses, right = [], {}
        for m, mixed in self.fusion.mix(*self.model.encode(changed)).items():
            rows = changed.rows[m]
            if len(rows) == 0:
                continue
            made = rows // batch.size
            logits = self.heads[m](mixed.pool()[rows]).float()
            losses.append(cross_entropy(logits, made))
            right[f"accuracy_{m}"] = (logits.argmax(1) == made).float().mean()
        return torch.stack(losses).sum(), {"accuracy": torch.stack(list(right.values())).mean(), **right}


def make_classifier(width: int, hidden: int, dropout: float) -> nn.Module:
    """(B, width) -> (B, 6)."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, KINDS),
    )  # fmt: skip


def make_every_version(batch: Batch, rates: Mapping[str, float]) -> Batch:
    """A batch of 6 x size samples: all of them changed in the first way, then all in the second, and so on.

    Samples that were not recorded become 0, the mean of a z-scored signal, and count from here on: changes move them.
    """
    x = {m: torch.cat(make_versions(hide(part, batch.mask[m]), rates[m])) for m, part in batch.x.items()}
    rows = {m: torch.cat([part + k * batch.size for k in range(KINDS)]) for m, part in batch.rows.items()}
    return Batch(x, dict.fromkeys(x), rows, KINDS * batch.size)


def make_versions(x: Tensor, rate: float) -> tuple[Tensor, ...]:
    """`x` (B, C, T) at `rate` Hz as it is, then changed in five ways; their positions are the labels."""
    return x, add_noise(x), permute(x), warp_time(x, rate), resize_crop(x), warp_magnitude(x)


def add_noise(x: Tensor) -> Tensor:
    """`x` (B, C, T) plus white noise, 15 dB below the signal's mean square, its offset included."""
    power = x.square().mean(-1, keepdim=True) * 10 ** (-SNR_DB / 10)
    return x + power.sqrt() * torch.randn_like(x)


def permute(x: Tensor) -> Tensor:
    """`x` (B, C, T) in ten nearly equal pieces in random order, the same for all channels; the order may come out as it
    was."""
    length = x.shape[-1]
    sizes = length // PIECES + (torch.arange(PIECES, device=x.device) < length % PIECES).long()
    order = torch.rand(len(x), PIECES, device=x.device).argsort(1)
    starts = sizes.cumsum(0) - sizes
    return _interpolate(x, _place_pieces(starts[order], sizes[order], sizes[order], length))


def warp_time(x: Tensor, rate: float) -> Tensor:
    """`x` (B, C, T) in nine pieces, five of them (at random) stretched by 1.05 and the other four squeezed: (B, C,
    T).

    Samples left over behind the last piece are dropped. At 4 Hz and 60 s pieces of 26 samples become 28 or 25.
    """
    rows, length = len(x), x.shape[-1]
    piece, stretched, squeezed, last = compute_warped_sizes(length, rate)
    longer = torch.rand(rows, WARP_PIECES, device=x.device).argsort(1).argsort(1) < math.ceil(WARP_PIECES / 2)
    sizes = torch.where(longer, stretched, squeezed)
    at = torch.arange(WARP_PIECES, device=x.device).expand(rows, -1)
    ending = at.masked_fill(longer, -1).argmax(1, keepdim=True)  # the last squeezed one takes what division leaves
    sizes = sizes.scatter(1, ending, last)
    return _interpolate(x, _place_pieces(at * piece, torch.full_like(sizes, piece), sizes, length))


def compute_warped_sizes(length: int, rate: float) -> tuple[int, int, int, int]:
    """Samples of a piece of `warp_time`; stretched; squeezed; and of the last squeezed one."""
    piece = int(length // rate / WARP_PIECES * rate)
    stretched, longer = math.ceil(STRETCH * piece), math.ceil(WARP_PIECES / 2)
    left, shorter = length - longer * stretched, WARP_PIECES - longer
    return piece, stretched, left // shorter, left // shorter + left % shorter


def resize_crop(x: Tensor) -> Tensor:
    """Replaces `x` (B, C, T) by one of four equal pieces (five where 4 does not divide T) at random, Fourier-resampled
    to T: (B, C, T)."""
    rows, channels, length = x.shape
    count = math.ceil(length / (length // CROP_PIECES))
    piece = length // count
    start = torch.randint(count, (rows, 1), device=x.device) * piece
    index = start + torch.arange(piece, device=x.device)
    spectrum = torch.fft.rfft(x.gather(-1, index[:, None].expand(-1, channels, -1)).float())
    if piece % 2 == 0:
        spectrum[..., -1] *= 0.5  # the bin at the old Nyquist frequency stands for two of the new spectrum
    return (torch.fft.irfft(spectrum, n=length) * (length / piece)).to(x.dtype)


def warp_magnitude(x: Tensor) -> Tensor:
    """Times a cubic spline through six equally spaced knots from N(1, 0.2), for each channel its own."""
    knots = 1 + SIGMA * torch.randn(*x.shape[:2], KNOTS, device=x.device)
    return x * (knots @ make_splines(x.shape[-1], x.device)).to(x.dtype)


@cache
def make_splines(length: int, device: torch.device) -> Tensor:
    """(6, length): the spline that is 1 at one knot and 0 at the others, for each knot; any other is a sum of these."""
    knots = np.linspace(0, length - 1, KNOTS)
    made = torch.from_numpy(CubicSpline(knots, np.eye(KNOTS))(np.arange(length)).T.astype(np.float32))
    return made.to(device, non_blocking=device.type == "cuda")


def _place_pieces(starts: Tensor, sources: Tensor, sizes: Tensor, length: int) -> Tensor:
    """(rows, length) positions in the old signal of each sample of the new one, made of pieces side by side. A piece
    that changes its length is read at the middles of as many equal parts, not beyond its own first and last sample.

    Args:
        starts, sources, sizes: (rows, pieces) where a piece begins in the old signal, its samples there and in the new
            one.
    """
    ends = sizes.cumsum(1)
    at = torch.arange(length, device=starts.device).expand(len(starts), -1).contiguous()
    owner = torch.searchsorted(ends, at, right=True)
    first, source, size = (part.gather(1, owner) for part in (starts, sources, sizes))
    inside = (at - (ends - sizes).gather(1, owner) + 0.5) * (source / size) - 0.5
    return first + inside.clamp_min(0).minimum(source - 1)


def _interpolate(x: Tensor, position: Tensor) -> Tensor:
    """`x` (rows, C, T) at fractional positions (rows, any number), by straight lines."""
    low = position.floor().long()
    share = (position - low).to(x.dtype)[:, None]
    low = low[:, None].expand(-1, x.shape[1], -1)
    return x.gather(-1, low) * (1 - share) + x.gather(-1, (low + 1).clamp_max(x.shape[-1] - 1)) * share
