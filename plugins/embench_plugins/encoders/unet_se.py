"""Encoder `unet_se`: U-Nets with squeeze and excitation over intervals between heart beats, or maps of the scalp.

Woo et al. 2023 (`woo2023`): blocks of convolution, batch norm and activation in the shape of a U, with concurrent
spatial and channel squeeze and excitation (Roy et al. 2018), several U-Nets in sequence. They are 1D over heart rate
variability, and 2D over the differential entropy of four EEG bands. The paper gives no sizes and no training recipe:
all of them are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from embench.errors import UsageError
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import View
from embench.signals.beats import check_rate, ecg_peaks, intervals, ppg_peaks
from embench.signals.filters import bandpass
from embench_plugins.encoders.cnn_tf import Classifier
from embench_plugins.encoders.features.lists import EEG_BANDS
from embench_plugins.encoders.features.spans import Spans, fit_known_stats

TYPICAL_S, SPREAD_S = 0.8, 0.2
"""Intervals between beats are scaled as (interval - TYPICAL_S) / SPREAD_S."""

GRID = 12
"""Cells per side of the map: the scalp's 9, and empty ones up to a number that can be halved twice."""

SCALP = """
    .   .   .   Fp1 Fpz Fp2 .   .   .
    .   AF7 .   AF3 AFz AF4 .   AF8 .
    F7  F5  F3  F1  Fz  F2  F4  F6  F8
    FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8
    T7  C5  C3  C1  Cz  C2  C4  C6  T8
    TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8
    P7  P5  P3  P1  Pz  P2  P4  P6  P8
    .   PO7 .   PO3 POz PO4 .   PO8 .
    .   .   .   O1  Oz  O2  .   .   .
"""
"""The 10-20 system and its 10-10 extension from above, the nose at the top."""

OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
"""Older names of the 10-20 system -> today's."""

# Three levels below the top for 32 intervals, two for 12 x 12 cells: down to 4 intervals, and to 3 x 3 cells.
PAPER = Recipe(
    optimiser="adam", lr=1e-3, weight_decay=1e-4, epochs=100, batch=64, selection="early_stop", patience=100,
    view=View("window", 10.0, 10.0),
    prepare={"intervals": 32, "compat": False, "bands": {k: list(v) for k, v in EEG_BANDS.items()}, "order": 4},
    build={
        "series": [16, 32, 64, 128], "maps": [16, 32, 64], "layout": "grid", "units": 2, "kernel": 3,
        "excitation": "greater", "dim": 64, "hidden": 64, "dropout": 0.5,
    },
    assumed=("optimiser", "lr", "weight_decay", "epochs", "batch", "selection", "class_weight", "view.step_s",
             "prepare.intervals", "prepare.compat", "prepare.bands", "prepare.order", "build.series",
             "build.maps", "build.layout", "build.units", "build.kernel", "build.excitation", "build.dim",
             "build.hidden", "build.dropout"),
)  # fmt: skip

SMALL = PAPER.replace(
    optimiser="adamw", weight_decay=1e-2, schedule="cosine", epochs=12, patience=12, class_weight="balanced", clip=1.0,
    build={"series": [8, 16, 32], "maps": [8, 16, 32], "units": 1, "dim": 32, "hidden": 32}, assumed=(),
    # In nine fits of ten the validation loss was lowest after one to six epochs of twelve.
    datasets={"stress_predict": {"epochs": 6, "patience": 6}},
)  # fmt: skip


class UnetSe(Encoder):
    """A token for each cell of the last map: (B, 32, D) for intervals, masked where an interval is missing; (B, 144, D)
    for a scalp.

    Prepare keys: `compat`, one possible reading of the paper: intervals in seconds, with zeros after the last one.

    Build keys: `layout` of EEG, `grid` (a map of the scalp with bands as channels) or `matrix` (electrodes by bands,
    (B, 4 C, D)); `kernel`, an odd number of cells; `excitation`, see `EXCITATIONS`.
    """

    reads: ClassVar[Literal["features"]] = "features"
    accepts: ClassVar = frozenset({"ecg", "ppg", "eeg"})
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=4, patience=4, datasets={}),
    }

    def check_input(self, modality: str, channels: tuple[str, ...], rate: float) -> None:
        """Raise UsageError if beats cannot be found at this rate."""
        check_rate(modality, rate)

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """Return (n, 1, 32) intervals of ECG (the left arm's lead, else the first) or PPG, NaN after a span's last one.
        For EEG, return (n, 4, C) differential entropies of theta, alpha, beta and gamma, in nats, NaN for a constant
        channel.

        Raises:
            UsageError: nothing can be computed from this modality.
        """
        where, prepare = Spans.from_seconds(spans, signal.rate, signal.data.shape[1]), self.recipe.prepare
        if signal.modality == "eeg":
            return compute_entropies(signal.data, where, prepare["bands"], int(prepare["order"]))
        if signal.modality not in self.accepts:
            raise UsageError(
                f"unet_se has nothing to compute from {signal.modality!r}",
                expected="one of " + ", ".join(sorted(self.accepts)),
                hint="give each modality on its own (`ecg,eeg`), not joined (`ecg+eeg`)",
            )
        lead = signal.data[signal.channels.index("left") if "left" in signal.channels else 0]
        peaks = (ecg_peaks if signal.modality == "ecg" else ppg_peaks)(lead, signal.rate)
        return make_series(peaks, where, int(prepare["intervals"]), compat=bool(prepare["compat"]))

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Return the electrodes of EEG, which the map needs, or the name of the one row of intervals."""
        return channels if modality == "eeg" else ("interval",)

    def shared_axes(self, modality: str) -> tuple[int, ...]:
        """Return the axis whose values share a mean and SD: the axis of the intervals; none for EEG."""
        return () if modality == "eeg" else (-1,)

    def fit_stats(self, x: np.ndarray, mask: np.ndarray | None) -> Mapping[str, np.ndarray]:
        """Return `mean` and `std` (bands, C) of an EEG's features (n, bands, C); nothing for a series."""
        return {} if x.shape[1] == 1 else fit_known_stats(x)

    def build(self, spec: InputSpec) -> nn.Module:
        """Return `Maps` for an EEG (bands, channels), `Series` for intervals between beats (1, L)."""
        build = self.recipe.build
        if spec.modality == "eeg":
            return Maps(spec, str(build["layout"]), list(build["maps"]), build)
        return Series(spec.shape[1], list(build["series"]), build)

    def head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """Return the classifier on the tokens' mean, sized by `build.hidden` and `build.dropout`."""
        build = self.recipe.build
        return Classifier(tokens.dim, int(build["hidden"]), outputs.size, float(build["dropout"]))


def make_series(peaks: np.ndarray, spans: Spans, length: int, *, compat: bool) -> np.ndarray:
    """Return (n, 1, length) float32: for each span, the first `length` intervals between beats that lie in it with both
    their beats. NaN for a span without any.

    Args:
        peaks: (k,) positions of the beats, in samples.
        compat: intervals in seconds and zeros after the last, else scaled intervals and NaN.
    """
    ends, gaps = intervals(peaks, spans.rate)
    out = np.full((len(spans), 1, length), np.nan, np.float32)
    for row, enclosed in enumerate(spans.enclosed(ends - gaps, ends)):
        inside = gaps[enclosed][:length]
        if len(inside) and compat:
            out[row] = 0.0
        out[row, 0, : len(inside)] = inside if compat else (inside - TYPICAL_S) / SPREAD_S
    return out


def compute_entropies(x: np.ndarray, spans: Spans, bands: Mapping[str, Sequence[float]], order: int) -> np.ndarray:
    """Return (n, bands, C) float32 differential entropies ln(2 pi e v) / 2, for the variance v of `x` (C, T) in each
    band (Hz) after a zero-phase Butterworth filter. NaN for a constant channel, and for a band above half the rate."""
    out = np.full((len(spans), len(bands), len(x)), np.nan, np.float32)
    for k, (low, high) in enumerate(bands.values()):
        if high >= spans.rate / 2:
            continue
        passed = bandpass(x, spans.rate, (low, high), order)
        variance = spans.rows(passed, lambda rows: rows.var(-1, dtype=np.float64), len(x))
        out[:, k] = 0.5 * np.log(2 * np.pi * np.e * np.where(variance > 0, variance, np.nan))
    return out


def find_cell(electrode: str) -> int:
    """Return the index of an electrode in the grid, row by row. Raises UsageError for one that is not on the scalp."""
    name = OLD_NAMES.get(electrode.upper(), electrode).upper()
    for row, names in enumerate(SCALP.upper().strip().splitlines()):
        if name in names.split() and name != ".":
            return row * GRID + names.split().index(name)
    raise UsageError(
        f"the map of the scalp has no electrode {electrode!r}",
        where="encoder unet_se",
        expected="names of the 10-20 system, such as Fp1, Cz, T7",
        hint="--set encoder[eeg].build.layout=matrix needs no positions",
    )


class Series(nn.Module):
    """(B, 1, L), NaN without an interval -> Tokens(x (B, L, dim), mask (B, L)).

    Raises:
        UsageError: L cannot be halved once for each level below the first.
    """

    def __init__(self, length: int, widths: Sequence[int], build: Mapping[str, Any]) -> None:
        super().__init__()
        whole = 2 ** (len(widths) - 1)
        if length % whole:
            raise UsageError(
                f"{length} intervals cannot be halved {len(widths) - 1} times",
                where="encoder unet_se, prepare.intervals",
                expected=f"a multiple of {whole}",
            )
        self.units = stack_unets(1, widths, build, dims=1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Return tokens (B, L, dim) and their mask (B, L) for `x` (B, 1, L), NaN without an interval."""
        known = torch.isfinite(x)
        return Tokens(self.units(x.masked_fill(~known, 0.0)).transpose(1, 2), known[:, 0])


class Maps(nn.Module):
    """(B, bands, C) -> Tokens(x (B, cells, dim)). Values are standardised by the training subjects' `stats`. A missing
    value, and a cell without an electrode, is 0, the mean.

    Raises:
        UsageError: the `layout` does not exist, or it is `grid` and an electrode has no place on the scalp.
    """

    mean: Tensor
    std: Tensor
    cells: Tensor

    def __init__(self, spec: InputSpec, layout: str, widths: Sequence[int], build: Mapping[str, Any]) -> None:
        super().__init__()
        if layout not in ("grid", "matrix"):
            raise UsageError(f"no layout is called {layout!r}", where="build.layout", expected="grid, matrix")
        for name, default in (("mean", 0.0), ("std", 1.0)):
            value = spec.stats.get(name, np.full(spec.shape, default, np.float32))
            self.register_buffer(name, torch.as_tensor(value))
        self.grid, self.whole = layout == "grid", 2 ** (len(widths) - 1)
        cells = [find_cell(name) for name in spec.channels] if self.grid else []
        self.register_buffer("cells", torch.tensor(cells, dtype=torch.long), persistent=False)
        self.units = stack_unets(spec.shape[0] if self.grid else 1, widths, build, dims=2)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Return tokens (B, cells, dim), none masked, for `x` (B, bands, C), NaN where a value is missing."""
        x = ((x - self.mean) / self.std).nan_to_num(0.0)
        if self.grid:
            empty = x.new_zeros(*x.shape[:2], GRID * GRID)
            image = empty.index_copy(2, self.cells, x).unflatten(2, (GRID, GRID))
        else:
            image = x.transpose(1, 2)[:, None]
        rows, columns = image.shape[2:]
        image = nn.functional.pad(image, (0, -columns % self.whole, 0, -rows % self.whole))
        return Tokens(self.units(image)[:, :, :rows, :columns].flatten(2).transpose(1, 2))


def stack_unets(channels: int, widths: Sequence[int], build: Mapping[str, Any], *, dims: Literal[1, 2]) -> nn.Module:
    """Return several U-Nets in sequence, then a convolution of one cell to `dim` channels.

    Args:
        build: `units`, the number of U-Nets; `dim`; `kernel` and `excitation` of their blocks.

    Raises:
        UsageError: `kernel` is even, or the `excitation` does not exist.
    """
    kernel, excitation = build["kernel"], build["excitation"]
    if kernel % 2 == 0:
        raise UsageError(f"a kernel of {kernel} cells has no middle", where="build.kernel", expected="an odd number")
    if excitation not in EXCITATIONS:
        raise UsageError(
            f"no excitation is called {excitation!r}", where="build.excitation", expected=", ".join(EXCITATIONS)
        )
    input_channels = [channels, *[widths[0]] * (build["units"] - 1)]
    nets = (Unet(before, widths, dims, kernel, excitation) for before in input_channels)
    return nn.Sequential(*nets, LAYERS[dims]["conv"](widths[0], build["dim"], 1))


LAYERS: Mapping[int, Mapping[str, Any]] = {
    1: {"conv": nn.Conv1d, "norm": nn.BatchNorm1d, "pool": nn.MaxPool1d, "up": nn.ConvTranspose1d},
    2: {"conv": nn.Conv2d, "norm": nn.BatchNorm2d, "pool": nn.MaxPool2d, "up": nn.ConvTranspose2d},
}
"""Number of dimensions -> classes of layers."""


class Unet(nn.Module):
    """U-Net (B, before, *size) -> (B, widths[0], *size). `widths` are the numbers of channels of the levels from the
    top down. Each level has half the size of the level above."""

    def __init__(self, before: int, widths: Sequence[int], dims: int, kernel: int, excitation: str) -> None:
        super().__init__()
        layers, levels = LAYERS[dims], list(pairwise(widths))[::-1]
        self.pool = layers["pool"](2)
        self.down = nn.ModuleList(make_block(a, b, dims, kernel, excitation) for a, b in pairwise([before, *widths]))
        self.lift = nn.ModuleList(layers["up"](low, high, 2, stride=2) for high, low in levels)
        self.up = nn.ModuleList(make_block(2 * high, high, dims, kernel, excitation) for high, _ in levels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, widths[0], *size) for `x` (B, before, *size)."""
        levels: list[Tensor] = []
        for block in self.down:
            x = block(self.pool(x) if levels else x)
            levels.append(x)
        for lift, block, skipped in zip(self.lift, self.up, levels[-2::-1], strict=True):
            x = block(torch.cat([skipped, lift(x)], 1))
        return x


def make_block(before: int, after: int, dims: int, kernel: int, excitation: str) -> nn.Module:
    """Return two convolutions of `kernel` cells, each with batch norm and ReLU, then squeeze and excitation."""
    layers, parts = LAYERS[dims], list[nn.Module]()
    for width in (before, after):
        parts += [layers["conv"](width, after, kernel, padding=kernel // 2), layers["norm"](after), nn.ReLU()]
    return nn.Sequential(*parts, *([] if excitation == "none" else [Excitation(after, dims, excitation)]))


EXCITATIONS = ("greater", "sum", "channel", "spatial", "none")
"""Kinds of squeeze and excitation (Roy et al. 2018). `greater` and `sum` combine the maps of channel and spatial gates;
`channel` and `spatial` use one kind of gate, `none` none."""


class Excitation(nn.Module):
    """Squeeze and excitation by channel, by position or both, see `EXCITATIONS`."""

    def __init__(self, channels: int, dims: int, kind: str) -> None:
        super().__init__()
        self.joined = torch.add if kind == "sum" else torch.maximum
        if kind != "spatial":
            self.channel = nn.Sequential(
                nn.Linear(channels, channels // 2), nn.ReLU(), nn.Linear(channels // 2, channels), nn.Sigmoid()
            )
        if kind != "channel":
            self.spatial = nn.Sequential(LAYERS[dims]["conv"](channels, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` (B, C, *size), all values at least 0, times the gates of its channels, its positions, or both
        combined."""
        gates: list[Tensor] = []
        if hasattr(self, "channel"):
            gates.append(self.channel(x.flatten(2).mean(2)).reshape(*x.shape[:2], *[1] * (x.ndim - 2)))
        if hasattr(self, "spatial"):
            gates.append(self.spatial(x))
        # x comes from a ReLU, so the greater gate makes the greater map.
        return x * reduce(self.joined, gates)
