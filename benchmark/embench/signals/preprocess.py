"""Preprocessing of signals by a protocol: filters per modality, and one common rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embench.interfaces.recording import Signal
from embench.signals import filters
from embench.signals.gaps import Unusable, fill_gaps
from embench.signals.resample import resample, resample_linear

if TYPE_CHECKING:
    from embench.registry import ModalityDefinition

PREPROCESS_REVISION = 1
"""Increased when the resulting numbers change; part of the address of prepared data."""

VIDEO_FEATURES_HZ = 18.0
"""Rate of facial action units (strizhkova2024)."""

LOWPASS_LIMIT = 0.45
"""Least proportion of the rate at which the edge of a low-pass has no effect. Such a low-pass is skipped."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Filters of one modality.

    Args:
        high, low: edges in Hz of the high-pass and the low-pass; together they are one band-pass of `order`.
        notch: True to remove mains hum; only if the source rate is above `notch_above_hz`.
        low_above_hz: the low-pass runs only if the source rate is above this.
        envelope: True to return the magnitude of the analytic signal at the end.
        average_reference: True to subtract the mean of the channels from each at the end."""

    high: float | None = None
    low: float | None = None
    order: int = 4
    notch: bool = False
    notch_above_hz: float = 0.0
    low_above_hz: float = 0.0
    envelope: bool = False
    average_reference: bool = False


@dataclass(frozen=True)
class Rules:
    """Preprocessing rules that a protocol names in `preprocess`.

    Args:
        filters: filters by modality; a missing modality is only resampled.
        stack: True to run filters even if the recorder already applied one that is at least as strict.
        filter_first: True to filter at the source rate, before any resampling.
        skip_start: True to drop the seconds at the start of every signal that the dataset's card declares."""

    filters: Mapping[str, Rule]
    stack: bool = False
    filter_first: bool = False
    skip_start: bool = True


_STANDARD = {
    "ecg": Rule(high=0.5, order=5, notch=True),  # strizhkova2024, as ppg and eda
    "ppg": Rule(high=0.5, low=8.0, order=3, notch=True, notch_above_hz=100.0),
    "eda": Rule(low=3.0, order=4, low_above_hz=8.0),
    "eeg": Rule(high=4.0, low=45.0, order=4),  # as AMIGOS and DEAP release it
    "temp": Rule(low=0.5, order=2),
    "resp": Rule(high=0.05, low=1.0, order=2),
    "emg": Rule(high=20.0, order=4, envelope=True),
    "acc": Rule(low=20.0, order=4),
}

RULES = {
    "standard-v1": Rules(_STANDARD),
    # Bands of LaBraM and LUNA, EEG networks whose authors state one.
    "wide-eeg-v1": Rules({**_STANDARD, "eeg": Rule(high=0.1, low=75.0, order=4, notch=True)}),
    # A transfer function of order 8 is scipy's band-pass of order 4. The paper filters all corpora alike, so that
    # AMIGOS, released with 4 to 45 Hz, gets both filters. It drops nothing from a recording's start.
    "vazquez2022": Rules(
        {**_STANDARD, "eeg": Rule(high=0.8, low=50.0, order=4), "ecg": Rule(high=0.8, low=50.0, order=4)},
        stack=True,
        skip_start=False,
    ),
    "strizhkova2024": Rules(
        {
            **_STANDARD,
            "ecg": Rule(high=0.5, order=5, notch=True),
            "ppg": Rule(high=0.5, low=8.0, order=3, notch=True),
            "eda": Rule(low=3.0, order=4, notch=True),
        }
    ),
    # The method itself finds beats in the ECG and cuts bands from the EEG.
    "woo2023": Rules({**_STANDARD, "eeg": Rule(), "ecg": Rule()}, skip_start=False),
    "wu2023": Rules(
        {
            **_STANDARD,
            "eda": Rule(low=1.0, order=4),
            "ppg": Rule(high=0.5, low=8.0, order=3),
            "temp": Rule(low=0.5, order=2),
        },
        filter_first=True,
    ),
    # Bad channels are not interpolated, and no components are removed: the authors' decomposition has no seed.
    "chen2023": Rules({**_STANDARD, "eeg": Rule(high=0.05, low=47.0, order=4, average_reference=True)}),
}
"""Name -> preprocessing rules of protocols and of papers. Modalities that a paper does not use are treated as in
`standard-v1`."""

LINEAR = frozenset({"hr", "eeg_bands", "face_au"})
"""Modalities that are derived series, not waveforms. They are not filtered, and resampled by linear interpolation."""


def band_after(
    modality: str, rates: Iterable[float], applied: tuple[float | None, float | None], rules: str
) -> tuple[float, float]:
    """Return the lower and upper edge in Hz of the band that filters and sampling rates leave of a signal.

    Args:
        rates: the signal's sampling rates in Hz before and after resampling; a varying rate is NaN and sets no limit.
        applied: edges (high-pass, low-pass) of filters already in the files. rules: a name in `RULES`.

    >>> band_after("eeg", (128.0, 256.0), (4.0, 45.0), "wide-eeg-v1")
    (4.0, 45.0)
    """
    rule = Rule() if modality in LINEAR else RULES[rules].filters.get(modality, Rule())
    half = min(rate for rate in rates if not math.isnan(rate)) / 2
    low = min(edge for edge in (rule.low, applied[1], half) if edge is not None)
    return max(rule.high or 0.0, applied[0] or 0.0), low


def preprocess(
    signal: Signal,
    modality: str,
    *,
    rate_hz: float,
    mains_hz: float,
    applied: tuple[float | None, float | None] = (None, None),
    rules: str = "standard-v1",
    added: ModalityDefinition | None = None,
) -> Signal:
    """Return a preprocessed signal: gaps bridged, filtered, at `rate_hz` (`face_au` always at 18 Hz).

    Filters run at the source rate if it is below `rate_hz`, else after resampling, which takes a tenth of the time and
    prevents aliasing.

    Args:
        rules: a name in `RULES`.
        mains_hz: frequency of the power line at the place of recording.
        applied: edges (high-pass, low-pass) of filters already in the files; one at least as strict is not repeated.
        added: definition of a modality that a package adds, with its own filter and rate.

    Raises:
        Unusable: the signal is too damaged, or its rate too low for its modality.

    >>> raw = Signal(np.ones((1, 2560), np.float32), rate=256.0, channels=("eda",), unit="uS")
    >>> preprocess(raw, "eda", rate_hz=128.0, mains_hz=50.0).data.shape
    (1, 1280)
    """
    x = fill_gaps(np.moveaxis(signal.data, signal.time_axis, -1), signal.channels)
    rate_hz = rate_after(modality, rate_hz, added)
    if is_linear(modality, added):
        return Signal(resample_linear(x, signal.rate, rate_hz), rate_hz, signal.channels, signal.unit)
    chosen = RULES[rules]
    rule = Rule(**dict(added.filter)) if added is not None else chosen.filters.get(modality, Rule())
    if chosen.stack:
        applied = (None, None)
    if signal.rate < rate_hz or chosen.filter_first:
        x = resample(_filter(x, rule, signal.rate, signal.rate, mains_hz, applied), signal.rate, rate_hz)
    else:
        x = _filter(resample(x, signal.rate, rate_hz), rule, rate_hz, signal.rate, mains_hz, applied)
    return Signal(x, rate_hz, signal.channels, signal.unit)


def rate_after(modality: str, rate_hz: float, added: ModalityDefinition | None = None) -> float:
    """Return the rate in Hz at which a protocol with the common rate `rate_hz` reads a modality."""
    if added is not None and added.rate_hz is not None:
        return added.rate_hz
    return VIDEO_FEATURES_HZ if modality == "face_au" else rate_hz


def is_linear(modality: str, added: ModalityDefinition | None = None) -> bool:
    """Return True if a modality is resampled by linear interpolation."""
    return modality in LINEAR or (added is not None and added.linear)


def _filter(
    x: np.ndarray,
    rule: Rule,
    rate: float,
    source_rate: float,
    mains_hz: float,
    applied: tuple[float | None, float | None],
) -> np.ndarray:
    """Filter `x` (C, T) at `rate` Hz; its source rate was `source_rate` Hz. `applied`: cut-off frequencies (high-pass,
    low-pass) in Hz of filters that the recorder applied; a filter of the rule that is not stricter is skipped."""
    high, low = rule.high, rule.low
    if x.shape[1] == 0:
        raise Unusable("no_samples_left")
    if high is not None and high >= rate / 2:
        raise Unusable("low_rate", rate_hz=source_rate, high_hz=high)
    if high is not None and applied[0] is not None and applied[0] >= high:
        high = None
    if low is not None and applied[1] is not None and applied[1] <= low:
        low = None
    if low is not None and (low >= LOWPASS_LIMIT * rate or source_rate <= rule.low_above_hz):
        low = None
    if high is not None and low is not None:
        x = filters.bandpass(x, rate, (high, low), rule.order)
    elif high is not None:
        x = filters.highpass(x, rate, high, rule.order)
    elif low is not None:
        x = filters.lowpass(x, rate, low, rule.order)
    if rule.notch and source_rate > rule.notch_above_hz and mains_hz < rate / 2:
        x = filters.notch(x, rate, mains_hz)
    if rule.average_reference:
        x = x - x.mean(0, keepdims=True)
    return filters.envelope(x) if rule.envelope else x
