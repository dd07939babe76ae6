"""Encoder `unet_se`: U-Nets with squeeze and excitation over intervals between heart beats, or maps of the scalp.

Woo et al. 2023 (`woo2023`): units of convolution, batch norm and activation in the shape of a U, with concurrent
spatial and channel squeeze and excitation (Roy et al. 2018), several one after the other; 1D over heart rate
variability, 2D over the differential entropy of four EEG bands. The paper gives no size and no training recipe: all of
them are ours.
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
from embench.interfaces.tokens import InputSpec, Output, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import View
from embench.signals.beats import ecg_peaks, intervals, ppg_peaks
from embench.signals.filters import bandpass
from embench_plugins.encoders.features.lists import EEG_BANDS
from embench_plugins.encoders.features.spans import Spans

TYPICAL_S, SPREAD_S = 0.8, 0.2
"""Origin and unit of scaled intervals."""

GRID = 12
"""Cells a side: the scalp's 9 x 9, and empty ones up to a number that halves twice."""

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
"""Names that the 10-20 system had at first."""

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
    """A token a cell of the last map: (B, 32, D) of intervals, masked where there is none; (B, 144, D) of a scalp.

    `prepare.compat`: intervals in seconds and zeros after the last, which then look like intervals of 0 s, as the paper
    may be read. `build.layout` of EEG: `grid` (the bands are channels of a map of the scalp) or `matrix` (electrodes by
    bands, (B, 4 C, D)). `build.kernel`: an odd number of cells. `build.excitation`: see `EXCITATIONS`.
    """

    accepts: ClassVar = frozenset({"ecg", "ppg", "eeg"})
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=4, patience=4, datasets={}),
    }

    @property
    def reads(self) -> Literal["signal", "stream", "features"]:
        """Always `features`: intervals between beats, or bands of an EEG."""
        return "features"

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """(n, 1, 32) intervals of ECG (the left arm's lead, else the first) or PPG, NaN after a span's last one; or (n,
        4, C) differential entropy of theta, alpha, beta and gamma of EEG, in nats, NaN of a flat channel.

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
        """The electrodes of EEG, for the map's sake; else there is one row of intervals."""
        return channels if modality == "eeg" else ("interval",)

    def shared_axes(self, modality: str) -> tuple[int, ...]:
        """The intervals of a series; entropies differ by band and electrode."""
        return () if modality == "eeg" else (-1,)

    def fit_stats(self, x: np.ndarray, mask: np.ndarray | None) -> Mapping[str, np.ndarray]:
        """`mean` and `std` (bands, C) of an EEG's rows (n, bands, C); nothing for a series, which keeps its own
        scale."""
        if x.shape[1] == 1:
            return {}
        known = np.isfinite(x)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, x, 0.0).sum(0, dtype=np.float64) / count
        std = np.sqrt(np.where(known, (x - mean) ** 2, 0.0).sum(0, dtype=np.float64) / count)
        return {"mean": mean.astype(np.float32), "std": np.where(std > 1e-8, std, 1.0).astype(np.float32)}

    def build(self, spec: InputSpec) -> nn.Module:
        """`Maps` for an EEG (bands, channels), `Series` for the heart's intervals (1, L)."""
        build = self.recipe.build
        if spec.modality == "eeg":
            return Maps(spec, str(build["layout"]), list(build["maps"]), build)
        return Series(spec.shape[1], list(build["series"]), build)

    def head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """The classifier on the tokens' mean, sized by `build.hidden` and `build.dropout`."""
        build = self.recipe.build
        return Classifier(tokens.dim, int(build["hidden"]), outputs.size, float(build["dropout"]))


def make_series(peaks: np.ndarray, spans: Spans, length: int, *, compat: bool) -> np.ndarray:
    """(n, 1, length) float32: the intervals between beats at the samples `peaks` that lie in a span with both their
    beats, the first `length` of them; NaN altogether where there is none."""
    ends, gaps = intervals(peaks, spans.rate)
    first = np.searchsorted(ends - gaps, spans.start / spans.rate - 1e-9)
    last = np.searchsorted(ends, spans.stop / spans.rate - 1e-9)
    out = np.full((len(spans), 1, length), np.nan, np.float32)
    for row, (a, b) in enumerate(zip(first, last, strict=True)):
        inside = gaps[a:b][:length]
        if len(inside) and compat:
            out[row] = 0.0
        out[row, 0, : len(inside)] = inside if compat else (inside - TYPICAL_S) / SPREAD_S
    return out


def compute_entropies(x: np.ndarray, spans: Spans, bands: Mapping[str, Sequence[float]], order: int) -> np.ndarray:
    """(n, bands, C) float32: ln(2 pi e v) / 2 of the variance v that a zero-phase Butterworth filter leaves of `x`
    (C, T) in each band (Hz); NaN of a flat channel, and of a band that the rate cannot hold."""
    out = np.full((len(spans), len(bands), len(x)), np.nan, np.float32)
    for k, (low, high) in enumerate(bands.values()):
        if high >= spans.rate / 2:
            continue
        passed = bandpass(x, spans.rate, (low, high), order)
        variance = spans.rows(passed, lambda rows: rows.var(-1, dtype=np.float64), len(x))
        out[:, k] = 0.5 * np.log(2 * np.pi * np.e * np.where(variance > 0, variance, np.nan))
    return out


def find_cell(electrode: str) -> int:
    """Index of an electrode in the grid, row by row. Raises UsageError for one that is not on the scalp."""
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
    """(B, 1, L), NaN where there is no interval -> Tokens(x (B, L, dim), mask (B, L)).

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
        """`x` (B, 1, L), NaN where there is no interval -> tokens (B, L, dim) and their mask (B, L)."""
        known = torch.isfinite(x)
        return Tokens(self.units(x.masked_fill(~known, 0.0)).transpose(1, 2), known[:, 0])


class Maps(nn.Module):
    """(B, bands, C) -> Tokens(x (B, cells, dim)). Values are standardised by the training subjects' `stats`; a missing
    one, and a cell without an electrode, is 0, the mean.

    Raises:
        UsageError: there is no such `layout`, or it is `grid` and an electrode has no place on the scalp.
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
        """`x` (B, bands, C), NaN where a value is missing -> tokens (B, cells, dim), all of which count."""
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
    """U-Nets one after the other, then a convolution of one cell to `dim` channels.

    Args:
        build: `units`, the number of U-Nets; `dim`; `kernel` and `excitation` of their blocks.

    Raises:
        UsageError: `kernel` is even, or there is no such `excitation`.
    """
    kernel, excitation = build["kernel"], build["excitation"]
    if kernel % 2 == 0:
        raise UsageError(f"a kernel of {kernel} cells has no middle", where="build.kernel", expected="an odd number")
    if excitation not in EXCITATIONS:
        raise UsageError(
            f"no excitation is called {excitation!r}", where="build.excitation", expected=", ".join(EXCITATIONS)
        )
    befores = [channels, *[widths[0]] * (build["units"] - 1)]
    nets = (Unet(before, widths, dims, kernel, excitation) for before in befores)
    return nn.Sequential(*nets, LAYERS[dims]["conv"](widths[0], build["dim"], 1))


LAYERS: Mapping[int, Mapping[str, Any]] = {
    1: {"conv": nn.Conv1d, "norm": nn.BatchNorm1d, "pool": nn.MaxPool1d, "up": nn.ConvTranspose1d},
    2: {"conv": nn.Conv2d, "norm": nn.BatchNorm2d, "pool": nn.MaxPool2d, "up": nn.ConvTranspose2d},
}
"""Layers by the number of dimensions."""


class Unet(nn.Module):
    """(B, before, *size) -> (B, widths[0], *size); `widths` from the top down, each level half the size of the last."""

    def __init__(self, before: int, widths: Sequence[int], dims: int, kernel: int, excitation: str) -> None:
        super().__init__()
        layers, levels = LAYERS[dims], list(pairwise(widths))[::-1]
        self.pool = layers["pool"](2)
        self.down = nn.ModuleList(make_block(a, b, dims, kernel, excitation) for a, b in pairwise([before, *widths]))
        self.lift = nn.ModuleList(layers["up"](low, high, 2, stride=2) for high, low in levels)
        self.up = nn.ModuleList(make_block(2 * high, high, dims, kernel, excitation) for high, _ in levels)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, before, *size) -> (B, widths[0], *size)."""
        kept: list[Tensor] = []
        for step in self.down:
            x = step(self.pool(x) if kept else x)
            kept.append(x)
        for lift, step, skipped in zip(self.lift, self.up, kept[-2::-1], strict=True):
            x = step(torch.cat([skipped, lift(x)], 1))
        return x


def make_block(before: int, after: int, dims: int, kernel: int, excitation: str) -> nn.Module:
    """Two convolutions of `kernel` cells, each with batch norm and ReLU, then squeeze and excitation."""
    layers, parts = LAYERS[dims], list[nn.Module]()
    for width in (before, after):
        parts += [layers["conv"](width, after, kernel, padding=kernel // 2), layers["norm"](after), nn.ReLU()]
    return nn.Sequential(*parts, *([] if excitation == "none" else [Excitation(after, dims, excitation)]))


EXCITATIONS = ("greater", "sum", "channel", "spatial", "none")
"""Squeeze and excitation of Roy et al. 2018: channel and spatial gates at once, of whose maps the greater one counts or
the sum; either alone; or neither."""


class Excitation(nn.Module):
    """Squeeze and excitation by channel, by place or both, see `EXCITATIONS`."""

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
        """`x` (B, C, *size), from 0 -> the same shape, times a channel's gate, a place's, the greater one or their
        sum."""
        gates: list[Tensor] = []
        if hasattr(self, "channel"):
            gates.append(self.channel(x.flatten(2).mean(2)).reshape(*x.shape[:2], *[1] * (x.ndim - 2)))
        if hasattr(self, "spatial"):
            gates.append(self.spatial(x))
        # x comes from a ReLU, so the greater gate makes the greater map.
        return x * reduce(self.joined, gates)


class Classifier(nn.Module):
    """Linear, ReLU, dropout, Linear on the mean of the tokens; `hidden` is the layer after the ReLU."""

    def __init__(self, dim: int, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.first, self.dropout, self.last = nn.Linear(dim, hidden), nn.Dropout(dropout), nn.Linear(hidden, outputs)

    def forward(self, tokens: Tokens) -> Output:
        """`logits` (B, n) and `hidden` (B, hidden) from the mean of tokens (B, L, D)."""
        hidden = torch.relu(self.first(tokens.pool()))
        return Output(self.last(self.dropout(hidden)), hidden)
