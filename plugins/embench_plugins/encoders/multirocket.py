"""Encoder `multirocket`: statistics of 84 fixed convolutions at several dilations, without training.

Tan et al. 2022 (`tan2022`): the kernels of MiniRocket (Dempster et al. 2021, doi 10.1145/3447548.3467231) are nine
samples long, with three weights of 2 and six of -1. They are applied to the series and to its first difference, on
random subsets of the channels. Four values describe where the output is above a bias: the proportion of samples
(`ppv`), the mean height (`mpv`), the mean position (`mipv`) and the longest stretch (`lspv`).

Not followed: their biases are quantiles of outputs on training examples. Features here are computed once for all folds,
so a bias is a quantile of the normal distribution with the SD of the span's own output; `mpv` reflects the SD itself.
Units differ in length, so positions and stretches are proportions of it. Dilations are powers of 2 whose kernels span
ten seconds at most, with one bias each; the paper has about 6250 kernels for each series.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations
from typing import ClassVar

import numpy as np

from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench_plugins.encoders.features.spans import ANY_SERIES, RATES_HZ, take_recorded
from embench_plugins.encoders.handcrafted import Handcrafted, check_modality, make_recipes

TAPS = 9
KERNELS = np.array([[2.0 if tap in high else -1.0 for tap in range(TAPS)] for high in combinations(range(TAPS), 3)])
"""(84, 9) weights, which add up to 0."""
MOST_CHANNELS = 9
REACH_S = 10.0
LEAST_SAMPLES = 10
GOLDEN = (np.sqrt(5) + 1) / 2


class MultiRocket(Handcrafted):
    """All presets have the same features. The rest of a recipe trains the linear layer from features to a token.

    Prepare keys: `rates_hz`, the rate by modality; other modalities keep the protocol's rate.
    """

    accepts: ClassVar = ANY_SERIES
    recipes: ClassVar[Mapping[str, Recipe]] = make_recipes(rates_hz=dict(RATES_HZ))
    check_input = Encoder.check_input

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """Return (n, 2 * dilations * 4 * 84) float32: for the series and then its difference, for each dilation, `ppv`,
        `mpv`, `mipv` and `lspv` of the 84 kernels. There are 8 dilations at 128 Hz, 3 at 4 Hz.

        NaN for spans with lost samples, with fewer than ten samples, and with constant channels only.
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
        """Return no names: there are thousands. Raises UsageError for a modality without features."""
        check_modality("multirocket", modality, self.accepts)
        return ()


def pool_outputs(output: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return (4, K) `ppv`, `mpv`, `mipv`, `lspv` of outputs (K, T) above biases (K,). `mpv` is in units of the output,
    the others are proportions. `mipv` is -1 if no sample is above.

    >>> pool_outputs(np.array([[1.0, 3.0, 2.0, 0.0]]), np.array([1.5])).T
    array([[0.5  , 1.   , 0.375, 0.5  ]])
    """
    length = output.shape[1]
    above = output - bias[:, None]
    is_above, position = above > 0, np.arange(length)
    count = is_above.sum(1)
    divisor = np.maximum(count, 1)
    mean_position = np.where(count > 0, is_above @ position / (divisor * length), -1.0)
    stretch = position - np.maximum.accumulate(np.where(is_above, -1, position), axis=1)
    return np.stack(
        [count / length, np.where(is_above, above, 0.0).sum(1) / divisor, mean_position, stretch.max(1) / length]
    )


def _compute_values(x: np.ndarray, dilations: int) -> np.ndarray:
    """Return (F,) features of one span (C, length), NaN if no channel varies."""
    parts = []
    for series in (x, np.diff(x)):
        spread = series.std(-1, keepdims=True)
        if not spread.any():
            return np.full(2 * dilations * 4 * len(KERNELS), np.nan)
        scaled = (series - series.mean(-1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
        parts += [_pool_dilation(scaled.astype(np.float32), level) for level in range(dilations)]
    return np.concatenate(parts)


def _pool_dilation(x: np.ndarray, level: int) -> np.ndarray:
    """Return (4 * 84,) features of one series (C, T) at the dilation 2^`level`, `ppv` of all kernels first. As in
    MiniRocket, every second kernel is applied to the series padded with zeros; all kernels are if the series is shorter
    than a kernel."""
    weights, normal = _make_bank(len(x), level)
    step, length = 2**level, x.shape[1]
    edge = TAPS // 2 * step
    padded = np.pad(x, ((0, 0), (edge, edge)))
    taps = np.concatenate([padded[:, tap * step : tap * step + length] for tap in range(TAPS)])
    output = weights @ taps
    out = np.empty((4, len(weights)))
    for parity in (0, 1):
        inside = slice(edge, length - edge) if (parity + level) % 2 and length > 2 * edge else slice(None)
        own = output[parity::2, inside]
        out[:, parity::2] = pool_outputs(own, normal[parity::2] * own.std(1))
    return out.ravel()


@lru_cache(maxsize=64)
def _make_bank(channels: int, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights and biases of the kernels at one dilation. Weights are float32 (84, 9 * channels), tap by tap,
    and 0 for channels that a kernel does not read. Biases (84,) are normal quantiles."""
    from scipy.special import ndtri

    random = np.random.default_rng([channels, level])
    most = np.log2(min(channels, MOST_CHANNELS) + 1)
    reads = np.zeros((len(KERNELS), channels), np.float32)
    for row, count in zip(reads, (2 ** random.uniform(0, most, len(KERNELS))).astype(int), strict=True):
        row[random.choice(channels, count, replace=False)] = 1.0
    weights = (KERNELS[:, :, None] * reads[:, None]).reshape(len(KERNELS), -1).astype(np.float32)
    levels = np.arange(1, len(KERNELS) + 1) + level * len(KERNELS)
    return weights, ndtri(levels * GOLDEN % 1)
