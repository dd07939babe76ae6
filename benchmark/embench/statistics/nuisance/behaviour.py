"""Features of muscles, eyes and breathing in each unit; without EOG or EMG, traces of eyes and jaw in the EEG. Offsets
of logarithms follow the subject's signal, so that its unit does not matter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from embench.data.cohort import Cohort
from embench.interfaces.ranking import rows_of
from embench.statistics.nuisance.accelerometer import windows_of
from embench.store import Store

MUSCLE_HZ = (0.5, 2.0, 6.0, 15.0, 40.0)
"""Bands of muscles and eyes begin here, those that begin below the Nyquist frequency; the last one ends there."""
BREATHS_HZ = np.arange(0.05, 1.0, 0.02)
BLINK_HZ = (1.0, 10.0)
BLINK_SD, APART_S = 4.0, 0.3
"""Deflection of an electrode by a blink, in (robust) standard deviations of the subject, and its duration."""
SLOW_HZ, FAST_HZ = 4.0, 20.0
FRONTAL = re.compile(r"(EEG[ _-]?)?(Fp(1|2|z)|AF(z|\d+)|F[78])(?![\dA-Za-z])", re.IGNORECASE)
"""Electrodes near the eyes."""
TEMPORAL = re.compile(r"(EEG[ _-]?)?(T(3|4|7|8|9|10)|FT\d+|TP\d+)(?![\dA-Za-z])", re.IGNORECASE)
"""Electrodes near the muscles of the jaw."""

_Features = Callable[[np.ndarray, float], np.ndarray]
"""Function of samples (n, T) of a subject's units and their rate in Hz: (n, k), NaN in units with a NaN sample."""


def modalities_held(store: Store) -> list[str]:
    """The modalities of which nuisances hold movement constant: `acc`, then those of this module, where recorded."""
    own = [name for name, _, _ in _sources(store)]
    return [*(["acc"] if "acc" in store.modalities else []), *dict.fromkeys(own)]


def behaviour_of(cohort: Cohort, units: np.ndarray) -> np.ndarray:
    """(n, k) features of the cohort's `units` (n,) positions, NaN where a recording is missing; no column where there
    is no such modality."""
    columns = [np.zeros((len(units), 0))]
    _, subject = np.unique([unit.subject for unit in cohort.of(units)], return_inverse=True)
    own = [rows for _, rows in rows_of(subject)]
    place = np.argsort(np.concatenate(own))
    for name, channels, features in _sources(cohort.store):
        rate = cohort.store.modalities[name].rate
        for channel in channels:
            samples = windows_of(cohort, name, units, channel)[:, 0].astype(np.float64)
            columns.append(np.concatenate([features(samples[rows], rate) for rows in own])[place])
    return np.hstack(columns)


def _sources(store: Store) -> Iterator[tuple[str, list[int], _Features]]:
    """Modalities, which of their channels are read, and what of them."""
    read: dict[str, _Features] = {"emg": muscle, "eog": muscle, "resp": breath}
    for name, features in read.items():
        if name in store.modalities:
            yield name, list(range(len(store.modalities[name].channels))), features
    stand_ins = (("eog", FRONTAL, eyes), ("emg", TEMPORAL, jaw))
    names = store.modalities["eeg"].channels if "eeg" in store.modalities else ()
    for missing, pattern, features in stand_ins:
        channels = [k for k, name in enumerate(names) if pattern.match(name)]
        if channels and missing not in store.modalities:
            yield "eeg", channels, features


def muscle(x: np.ndarray, rate: float) -> np.ndarray:
    """(n, 4 + B) mean size, SD, change from sample to sample, range, and power in B bands, of samples (n, T) at `rate`
    Hz; logarithms."""
    power, frequencies = _power(x, rate)
    edges = [low for low in MUSCLE_HZ if low < rate / 2] + [np.inf]
    bands = [power[:, (frequencies >= low) & (frequencies < high)].sum(1) for low, high in pairwise(edges)]
    return _log(np.abs(x).mean(1), x.std(1), _change(x), np.ptp(x, axis=1), *bands)


def breath(x: np.ndarray, rate: float) -> np.ndarray:
    """(n, 5) SD and change from sample to sample (log), dominant frequency in Hz, its share of the power, and zero
    crossings a second, of samples (n, T) at `rate` Hz."""
    around = x - x.mean(1, keepdims=True)
    seconds = np.arange(x.shape[1]) / rate
    waves = np.exp(-2j * np.pi * seconds[:, None] * BREATHS_HZ)
    power = np.abs((around * np.hanning(x.shape[1])) @ waves) ** 2 + 1e-30
    known = np.where(np.isnan(x).any(1), np.nan, 1.0)
    crossings = (np.diff(np.sign(around), axis=1) != 0).mean(1) * rate
    told = [BREATHS_HZ[power.argmax(1)], power.max(1) / power.sum(1), crossings]
    return np.column_stack([_log(x.std(1), _change(x)), np.stack(told, axis=1) * known[:, None]])


def eyes(x: np.ndarray, rate: float) -> np.ndarray:
    """(n, 2) blinks a second, and power below 4 Hz (log), of an electrode near the eyes: samples (n, T) at `rate` Hz.
    Blinks deflect it all to one side, that of the largest deflections."""
    from scipy.signal import find_peaks

    around = x - x.mean(1, keepdims=True)
    frequencies = np.fft.rfftfreq(x.shape[1], 1 / rate)
    low, high = (np.exp(-((frequencies / edge) ** 2)) for edge in BLINK_HZ)
    wave = np.fft.irfft(np.fft.rfft(around, axis=1) * (high - low), x.shape[1], axis=1)
    known = wave[np.isfinite(wave).all(1)]
    least = BLINK_SD * 1.4826 * np.median(np.abs(known)) if len(known) else 0.0
    wave *= np.sign((known**3).sum())
    apart = max(1, round(APART_S * rate))
    blinks = [len(find_peaks(one, height=least, distance=apart)[0]) for one in wave]
    rated = np.where(np.isfinite(wave).all(1), np.array(blinks, float), np.nan) * rate / x.shape[1]
    power, frequencies = _power(x, rate)
    return np.column_stack([rated, _log(power[:, frequencies < SLOW_HZ].sum(1))])


def jaw(x: np.ndarray, rate: float) -> np.ndarray:
    """(n, 1) power above 20 Hz (log) of an electrode near the jaw: samples (n, T) at `rate` Hz."""
    power, frequencies = _power(x, rate)
    return _log(power[:, frequencies >= FAST_HZ].sum(1))


def _power(x: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Power (n, F) at the frequencies (F,) in Hz, the mean left out."""
    tapered = (x - x.mean(1, keepdims=True)) * np.hanning(x.shape[1])
    return np.abs(np.fft.rfft(tapered, axis=1)) ** 2, np.fft.rfftfreq(x.shape[1], 1 / rate)


def _change(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((np.diff(x, axis=1) ** 2).mean(1)))


def _log(*values: np.ndarray) -> np.ndarray:
    """(n, k) logarithms of k values (n,) of 0 or more, to each of which a thousandth of its median is added, so that a
    flat signal is no outlier."""
    columns = []
    for value in values:
        known = value[np.isfinite(value)]
        offset = 1e-3 * np.median(known) if len(known) else 0.0
        columns.append(np.log(value + offset + 1e-30))
    return np.stack(columns, axis=1)
