"""Encoder `multirocket`: what 84 fixed convolutions at several dilations find in a signal, without training.

Tan et al. 2022 (`tan2022`): the kernels of MiniRocket (Dempster et al. 2021, doi 10.1145/3447548.3467231), nine samples
long with three weights of 2 and six of -1, run over the series and over its first difference, on random subsets of the
channels. Of each output above a bias, four values are kept: how often (`ppv`), how far (`mpv`) and where on average
(`mipv`) it is above, and the longest stretch of it (`lspv`).

Not followed: their biases are quantiles of outputs on training examples. Features here are computed once for all folds,
so a bias is a quantile of the normal distribution with the SD of the span's own output; the SD itself shows in `mpv`.
Units differ in length, so places and stretches are shares of it. Dilations are powers of 2 whose kernels span ten
seconds at most, one bias each, where the paper has about 6250 kernels for each series.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import combinations
from typing import ClassVar

import numpy as np

from embench.errors import UsageError
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench_plugins.encoders.features.spans import RATES_HZ, take_recorded
from embench_plugins.encoders.handcrafted import Handcrafted

TAPS = 9
KERNELS = np.array([[2.0 if tap in high else -1.0 for tap in range(TAPS)] for high in combinations(range(TAPS), 3)])
"""(84, 9) weights, which add up to 0."""
MOST_CHANNELS = 9
REACH_S = 10.0
LEAST_SAMPLES = 10
GOLDEN = (np.sqrt(5) + 1) / 2


class MultiRocket(Handcrafted):
    """The features are the same in every preset; a recipe's rest trains the one Linear that makes them a token, as with
    `handcrafted`.

    Prepare keys: `rates_hz` by modality; others keep the rate of the protocol.
    """

    accepts: ClassVar = frozenset(
        {"eeg", "ecg", "ppg", "eda", "resp", "temp", "emg", "eog", "acc", "hr", "eeg_bands", "face_au"}
    )
    recipes: ClassVar[Mapping[str, Recipe]] = {
        preset: replace(recipe, prepare={"rates_hz": dict(RATES_HZ)}) for preset, recipe in Handcrafted.recipes.items()
    }

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """(n, 2 * dilations * 4 * 84) float32: of the series and of its difference, of each dilation, `ppv`, `mpv`,
        `mipv` and `lspv` of the 84 kernels; dilations are 8 at 128 Hz, 3 at 4 Hz.

        NaN where samples were lost, in spans shorter than ten samples, and where all channels are constant.
        """
        x, where = take_recorded(signal, spans, self.recipe.prepare["rates_hz"])
        count = max(1, int(np.log2(REACH_S * where.rate / (TAPS - 1))) + 1)
        width = 2 * count * 4 * len(KERNELS)

        def compute(rows: np.ndarray) -> np.ndarray:
            if rows.shape[-1] < LEAST_SAMPLES:
                return np.full((len(rows), width), np.nan)
            return np.stack([_compute_values(row, count) for row in rows])

        return where.rows(x, compute, width).astype(np.float32)

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """No names: there are thousands. Raises UsageError where there are no features of this modality."""
        if modality not in self.accepts:
            raise UsageError(
                f"multirocket has no features of {modality!r}", expected=f"one of {', '.join(sorted(self.accepts))}"
            )
        return ()


def pool_outputs(output: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(4, K) `ppv`, `mpv`, `mipv`, `lspv` of outputs (K, T) above biases (K,). `mpv` is in units of the output, the
    others are shares; `mipv` is -1 where none is above.

    >>> pool_outputs(np.array([[1.0, 3.0, 2.0, 0.0]]), np.array([1.5])).T
    array([[0.5  , 1.   , 0.375, 0.5  ]])
    """
    length = output.shape[1]
    above = output - bias[:, None]
    on, at = above > 0, np.arange(length)
    count = on.sum(1)
    some = np.maximum(count, 1)
    place = np.where(count > 0, on @ at / (some * length), -1.0)
    stretch = at - np.maximum.accumulate(np.where(on, -1, at), axis=1)
    return np.stack([count / length, np.where(on, above, 0.0).sum(1) / some, place, stretch.max(1) / length])


def _compute_values(x: np.ndarray, dilations: int) -> np.ndarray:
    """(F,) of one span (C, length), NaN where no channel varies."""
    parts = []
    for series in (x, np.diff(x)):
        spread = series.std(-1, keepdims=True)
        if not spread.any():
            return np.full(2 * dilations * 4 * len(KERNELS), np.nan)
        scaled = (series - series.mean(-1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
        parts += [_pool_dilation(scaled.astype(np.float32), level) for level in range(dilations)]
    return np.concatenate(parts)


def _pool_dilation(x: np.ndarray, level: int) -> np.ndarray:
    """(4 * 84,) of one series (C, T) at the dilation 2^`level`, `ppv` of all kernels first. Every second kernel sees
    the zeros beside the series, as in MiniRocket, and others do where the series is shorter than they are."""
    weights, normal = _make_bank(len(x), level)
    step, length = 2**level, x.shape[1]
    edge = TAPS // 2 * step
    wide = np.pad(x, ((0, 0), (edge, edge)))
    taps = np.concatenate([wide[:, tap * step : tap * step + length] for tap in range(TAPS)])
    output = weights @ taps
    out = np.empty((4, len(weights)))
    for parity in (0, 1):
        inside = slice(edge, length - edge) if (parity + level) % 2 and length > 2 * edge else slice(None)
        own = output[parity::2, inside]
        out[:, parity::2] = pool_outputs(own, normal[parity::2] * own.std(1))
    return out.ravel()


@lru_cache(maxsize=64)
def _make_bank(channels: int, level: int) -> tuple[np.ndarray, np.ndarray]:
    """The kernels of a dilation: weights (84, 9 * channels) float32, tap by tap, of the channels that each reads, and
    the normal quantiles (84,) of their biases."""
    from scipy.special import ndtri

    random = np.random.default_rng([channels, level])
    most = np.log2(min(channels, MOST_CHANNELS) + 1)
    reads = np.zeros((len(KERNELS), channels), np.float32)
    for row, count in zip(reads, (2 ** random.uniform(0, most, len(KERNELS))).astype(int), strict=True):
        row[random.choice(channels, count, replace=False)] = 1.0
    weights = (KERNELS[:, :, None] * reads[:, None]).reshape(len(KERNELS), -1).astype(np.float32)
    shares = np.arange(1, len(KERNELS) + 1) + level * len(KERNELS)
    return weights, ndtri(shares * GOLDEN % 1)
