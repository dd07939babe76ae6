"""Spans that were recorded whole, at a rate at which neighbouring samples differ: for features of a signal's shape."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from embench.interfaces.recording import Signal
from embench.signals.resample import resample
from embench_plugins.encoders.features.spans import Spans

RATES_HZ: Mapping[str, float] = {
    "eda": 4.0, "temp": 4.0, "hr": 4.0, "eeg_bands": 4.0, "resp": 8.0, "ppg": 32.0, "acc": 32.0,
    "emg": 32.0, "eog": 32.0,
}  # fmt: skip
"""Enough for what protocols leave of a signal; at their 128 Hz, skin conductance is a straight line from one sample to
the next. ECG and EEG keep their rate."""


def recorded(signal: Signal, spans: np.ndarray, rates_hz: Mapping[str, float]) -> tuple[np.ndarray, Spans]:
    """Samples (C, T) float64 at the rate that `rates_hz` has for the modality, unless the signal's own is lower, and
    the `spans` (n, 2) in s among them. A span in which a sample of any channel was lost is empty; lost samples are
    bridged by straight lines, so that they do not ring into others."""
    lost = ~np.isfinite(signal.data).all(0)
    x, rate = np.asarray(signal.data, np.float64), signal.rate
    if lost.any():
        at, there = np.arange(len(lost)), np.flatnonzero(~lost)
        x = np.stack([np.interp(at, there, row[there]) for row in x]) if len(there) else np.zeros_like(x)
    gone = np.concatenate([[0], np.cumsum(lost)])
    own = Spans.of(spans, rate, len(lost))
    broken = gone[own.stop] > gone[own.start]
    if (slower := rates_hz.get(signal.modality, rate)) < rate:
        x, rate = resample(x, rate, slower).astype(np.float64), slower
    where = Spans.of(spans, rate, x.shape[1])
    return x, Spans(where.start, np.where(broken, where.start, where.stop), rate)
