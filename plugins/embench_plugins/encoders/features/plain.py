"""Values of the signals that have no list of their own in the papers (ours): five statistics a channel, how fast one
breathes, and differential entropy of EEG bands."""

from __future__ import annotations

import numpy as np
from scipy import signal as sps

from embench.signals.spectra import differential_entropy
from embench_plugins.encoders.features.spans import Spans, slope

STATISTICS = ("mean", "sd", "min", "max", "slope")
BREATHS = ("breaths_per_minute",)
EEG_BANDS = {"theta": (4.0, 8.0), "alpha": (8.0, 14.0), "beta": (14.0, 31.0), "gamma": (31.0, 45.0)}


def statistics(x: np.ndarray, spans: Spans) -> np.ndarray:
    """(n, 5 C) of `x` (C, T), channel by channel."""

    def compute(rows: np.ndarray) -> np.ndarray:
        columns = [rows.mean(-1), rows.std(-1, ddof=1), rows.min(-1), rows.max(-1), slope(rows, spans.rate)]
        return np.stack(columns, -1)

    return spans.rows(x, compute, len(x) * len(STATISTICS))


def breathing(x: np.ndarray, spans: Spans) -> np.ndarray:
    """(n, 1) breaths per minute of one belt `x` (T,), from the mean distance of its peaks; NaN under two of them."""
    slow = x - x.mean()
    peak = sps.find_peaks(slow, distance=max(1, int(spans.rate)), prominence=max(0.5 * slow.std(), 1e-12))[0]
    out = np.full((len(spans), 1), np.nan)
    for row, at in enumerate(spans.inside(peak)):
        inside = peak[at]
        if len(inside) >= 2:
            out[row] = 60.0 * spans.rate * (len(inside) - 1) / (inside[-1] - inside[0])
    return out


def entropies(x: np.ndarray, spans: Spans) -> np.ndarray:
    """(n, C 4) differential entropy (nats) of each channel's bands."""

    def compute(rows: np.ndarray) -> np.ndarray:
        return differential_entropy(rows, spans.rate, list(EEG_BANDS.values()))

    return spans.rows(x, compute, len(x) * len(EEG_BANDS))
