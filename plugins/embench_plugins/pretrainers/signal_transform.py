"""Pretrainer `signal_transform`: classifies which of five changes was made to a window, if any.

Wu et al. 2023 (`wu2023`), following its published code. Every window is used in all six versions, so labels are
balanced. All modalities of a sample get the same kind of change, with random numbers of their own. The whole model is
trained, including the Transformer of the fusion. Each modality's mean after mixing goes into its own classifier, and
the loss is the sum of the cross-entropies.

The paper's corpus is not public, so the run names the source of the windows. The paper does not state the distance
between windows.
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
        """Return the objective for `model` and its fusion, sized by the recipe's `build`; `outputs` is not used.

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
        """Return the loss (scalar, sum over modalities) and accuracies, 0 to 1, of a batch of signals (B, C, T)."""
        changed = make_every_version(batch, self.rates)
        losses, accuracies = [], {}
        for m, mixed in self.fusion.mix(*self.model.encode(changed)).items():
            rows = changed.rows[m]
            if len(rows) == 0:
                continue
            kinds = rows // batch.size
            logits = self.heads[m](mixed.pool()[rows]).float()
            losses.append(cross_entropy(logits, kinds))
            accuracies[f"accuracy_{m}"] = (logits.argmax(1) == kinds).float().mean()
        return torch.stack(losses).sum(), {"accuracy": torch.stack(list(accuracies.values())).mean(), **accuracies}


def make_classifier(width: int, hidden: int, dropout: float) -> nn.Module:
    """Return a network (B, width) -> (B, 6), the logits of the six versions."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, KINDS),
    )  # fmt: skip


def make_every_version(batch: Batch, rates: Mapping[str, float]) -> Batch:
    """Return a batch of 6 x size samples: first all samples unchanged, then all with the first change, and so on.

    Samples that were not recorded become 0, the mean of a z-scored signal. The result has no mask.
    """
    x = {m: torch.cat(make_versions(hide(part, batch.mask[m]), rates[m])) for m, part in batch.x.items()}
    rows = {m: torch.cat([part + k * batch.size for k in range(KINDS)]) for m, part in batch.rows.items()}
    return Batch(x, dict.fromkeys(x), rows, KINDS * batch.size)


def make_versions(x: Tensor, rate: float) -> tuple[Tensor, ...]:
    """Return `x` (B, C, T) at `rate` Hz unchanged, then five changed versions; a version's label is its position."""
    return x, add_noise(x), permute(x), warp_time(x, rate), resize_crop(x), warp_magnitude(x)


def add_noise(x: Tensor) -> Tensor:
    """Return `x` (B, C, T) plus white noise, 15 dB below the signal's mean square (including its offset)."""
    power = x.square().mean(-1, keepdim=True) * 10 ** (-SNR_DB / 10)
    return x + power.sqrt() * torch.randn_like(x)


def permute(x: Tensor) -> Tensor:
    """Return `x` (B, C, T) cut into ten nearly equal pieces, in random order, the same order for all channels."""
    length = x.shape[-1]
    sizes = length // PIECES + (torch.arange(PIECES, device=x.device) < length % PIECES).long()
    order = torch.rand(len(x), PIECES, device=x.device).argsort(1)
    starts = sizes.cumsum(0) - sizes
    return _interpolate(x, _place_pieces(starts[order], sizes[order], sizes[order], length))


def warp_time(x: Tensor, rate: float) -> Tensor:
    """Return `x` (B, C, T) with five of nine pieces, chosen at random, stretched by 1.05 and the other four squeezed.

    Samples after the last whole piece are dropped. At 4 Hz and 60 s, pieces of 26 samples become 28 or 25 samples long.
    """
    rows, length = len(x), x.shape[-1]
    piece, stretched, squeezed, last = compute_warped_sizes(length, rate)
    is_stretched = torch.rand(rows, WARP_PIECES, device=x.device).argsort(1).argsort(1) < math.ceil(WARP_PIECES / 2)
    sizes = torch.where(is_stretched, stretched, squeezed)
    piece_number = torch.arange(WARP_PIECES, device=x.device).expand(rows, -1)
    # The last squeezed piece takes the remainder of the division.
    last_squeezed = piece_number.masked_fill(is_stretched, -1).argmax(1, keepdim=True)
    sizes = sizes.scatter(1, last_squeezed, last)
    return _interpolate(x, _place_pieces(piece_number * piece, torch.full_like(sizes, piece), sizes, length))


def compute_warped_sizes(length: int, rate: float) -> tuple[int, int, int, int]:
    """Return the sizes of a piece of `warp_time`: before warping, stretched, squeezed, and of the last squeezed one."""
    piece = int(length // rate / WARP_PIECES * rate)
    stretched, stretched_count = math.ceil(STRETCH * piece), math.ceil(WARP_PIECES / 2)
    remaining, squeezed_count = length - stretched_count * stretched, WARP_PIECES - stretched_count
    return piece, stretched, remaining // squeezed_count, remaining // squeezed_count + remaining % squeezed_count


def resize_crop(x: Tensor) -> Tensor:
    """Return one random quarter of `x` (B, C, T), or a fifth if 4 does not divide T, resampled to T samples by Fourier
    transform: (B, C, T)."""
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
    """Return `x` (B, C, T) times a cubic spline through six equally spaced knots from N(1, 0.2), drawn for each
    channel."""
    knots = 1 + SIGMA * torch.randn(*x.shape[:2], KNOTS, device=x.device)
    return x * (knots @ make_splines(x.shape[-1], x.device)).to(x.dtype)


@cache
def make_splines(length: int, device: torch.device) -> Tensor:
    """Return (6, length) basis splines: each is 1 at one knot and 0 at the others. Sums of them make any spline."""
    knots = np.linspace(0, length - 1, KNOTS)
    splines = torch.from_numpy(CubicSpline(knots, np.eye(KNOTS))(np.arange(length)).T.astype(np.float32))
    return splines.to(device, non_blocking=device.type == "cuda")


def _place_pieces(starts: Tensor, sources: Tensor, sizes: Tensor, length: int) -> Tensor:
    """Return (rows, length), for each sample of a new signal its position in the old signal. The new signal consists of
    pieces of the old one, stretched or squeezed, one after the other. Positions stay within a piece's first and last
    sample.

    Args:
        starts, sources, sizes: (rows, pieces) start of each piece in the old signal, its number of samples there, and
            its number of samples in the new signal.
    """
    ends = sizes.cumsum(1)
    sample = torch.arange(length, device=starts.device).expand(len(starts), -1).contiguous()
    piece = torch.searchsorted(ends, sample, right=True)
    first, source, size = (part.gather(1, piece) for part in (starts, sources, sizes))
    offset = (sample - (ends - sizes).gather(1, piece) + 0.5) * (source / size) - 0.5
    return first + offset.clamp_min(0).minimum(source - 1)


def _interpolate(x: Tensor, position: Tensor) -> Tensor:
    """Return `x` (rows, C, T) at fractional positions (rows, samples), by linear interpolation."""
    floor = position.floor().long()
    fraction = (position - floor).to(x.dtype)[:, None]
    floor = floor[:, None].expand(-1, x.shape[1], -1)
    return x.gather(-1, floor) * (1 - fraction) + x.gather(-1, (floor + 1).clamp_max(x.shape[-1] - 1)) * fraction
