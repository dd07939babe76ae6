"""Features of movement and behaviour in each unit: accelerometer, muscles, eyes and breathing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from embench.data.cohort import Cohort
from embench.files import digest, sha256
from embench.interfaces.ranking import iterate_groups
from embench.statistics.nuisance_models import (
    CLIP,
    Members,
    Sessions,
    careful_trees,
    forest,
    kernel,
    linear,
    perceptron,
    standardise_all,
    trees,
)
from embench.store import Store
from embench.store.store import cache_array
from embench.system import installed_version

# Accelerometer features of each unit. Offsets of logarithms are for samples in g.

BANDS_HZ = (0.05, 0.4, 1.0, 3.0, 6.0, 10.0, 16.1)
CONVOLUTIONS = 400
SAMPLES = 160
"""Approximate number of samples in the window of a random convolution."""
UNITS_AT_ONCE = 256
"""Number of windows whose features are computed together, to bound memory."""


@dataclass(frozen=True)
class Movement:
    """Features of the accelerometer in each unit, arrays (n, k); NaN without accelerometer samples.

    Args:
        size: mean, SD (log), jerk (log), median change (log), SD and range of the acceleration's magnitude.
        posture: mean of each axis. `axis_sd`: SD (log) of each axis.
        bands: power (log) in `BANDS_HZ`, of all axes together, then of each axis. `shape`: spectral centroid and
            entropy, kurtosis, skewness and zero crossings of the acceleration's magnitude.
        direction: (n, C) unit vector of gravity. `turn`: (n, 1) change of the mean acceleration within the unit.
        convolved: outputs of random convolutions."""

    size: np.ndarray
    posture: np.ndarray
    axis_sd: np.ndarray
    bands: np.ndarray
    shape: np.ndarray
    direction: np.ndarray
    turn: np.ndarray
    convolved: np.ndarray


def accelerometer_features(windows: np.ndarray, rate: float, convolutions: int = CONVOLUTIONS) -> Movement:
    """Return the features of `windows` (n, C, T), in g at `rate` Hz, with so many random `convolutions`; NaN for a
    window of NaN."""
    chunks = np.array_split(windows, -(-len(windows) // UNITS_AT_ONCE) or 1)
    parts = [_accelerometer_features(chunk.astype(np.float64), rate, convolutions) for chunk in chunks]
    names = [each.name for each in fields(Movement)]
    return Movement(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _accelerometer_features(x: np.ndarray, rate: float, convolutions: int) -> Movement:
    """Return the features of a few windows `x` (n, C, T), see `accelerometer_features`."""
    size = np.linalg.norm(x, axis=1)
    change, spread = np.abs(np.diff(size, axis=1)), size.std(1)
    jerk = np.abs(np.diff(x, axis=2)).mean((1, 2))
    centred = size - size.mean(1, keepdims=True)
    variance = (centred**2).mean(1)
    bands, total, frequencies = _spectrum(x, rate)
    share = total / total.sum(1, keepdims=True)
    crossings = (np.diff(np.sign(centred), axis=1) != 0).mean(1) + np.where(np.isnan(variance), np.nan, 0.0)
    mean = x.mean(2)
    half = x.shape[2] // 2
    return Movement(
        size=np.stack(
            [
                size.mean(1),
                np.log(spread + 1e-3),
                np.log(jerk + 1e-3),
                np.log(np.median(change, axis=1) + 1e-3),
                spread,
                np.ptp(size, axis=1),
            ],
            axis=1,
        ),
        posture=mean,
        axis_sd=np.log(x.std(2) + 1e-3),
        bands=bands,
        shape=np.stack(
            [
                (total * frequencies).sum(1) / total.sum(1),
                -(share * np.log(share)).sum(1),
                (centred**4).mean(1) / (variance**2 + 1e-9),
                (centred**3).mean(1) / (variance**1.5 + 1e-6),
                crossings,
            ],
            axis=1,
        ),
        direction=mean / (np.linalg.norm(mean, axis=1, keepdims=True) + 1e-6),
        turn=np.linalg.norm(x[:, :, :half].mean(2) - x[:, :, half:].mean(2), axis=1, keepdims=True),
        convolved=_convolved(x, convolutions),
    )


def _spectrum(x: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return power (log) in B bands (n, B (1 + C)), power at each frequency (n, F), and the frequencies (F,) in Hz."""
    power = np.abs(np.fft.rfft(x - x.mean(2, keepdims=True), axis=2)) ** 2
    frequencies = np.fft.rfftfreq(x.shape[2], 1 / rate)
    all_axes, each_axis = [], []
    for low, high in pairwise(BANDS_HZ):
        band = power[:, :, (frequencies >= low) & (frequencies < high)].sum(2)
        all_axes.append(np.log(band.sum(1, keepdims=True) + 1e-4))
        each_axis.append(np.log(band + 1e-4))
    return np.hstack([*all_axes, *each_axis]), power.sum(1) + 1e-9, frequencies


def _convolved(x: np.ndarray, kernels: int) -> np.ndarray:
    """Return (n, 2 K): for each of K random kernels the proportion of samples above its bias, and the largest value
    (log), after Dempster et al. 2020 (doi 10.1007/s10618-020-00701-z). The kernels are the same for all data."""
    random = np.random.default_rng(0)
    x = x[:, :, :: max(1, x.shape[2] // SAMPLES)]
    # Samples lie in rows, so that a kernel adds up contiguous memory.
    centred = np.ascontiguousarray(((x - x.mean(2, keepdims=True)) / 0.1).astype(np.float32).transpose(1, 2, 0))
    samples = x.shape[2]
    features = np.empty((2 * kernels, len(x)), np.float32)
    totals, products = np.empty((2, samples, len(x)), np.float32)
    for k in range(kernels):
        taps = int(random.choice([7, 9, 11]))
        dilation = int(2 ** random.uniform(0, max(0.0, np.log2((samples - 1) / (taps - 1)))))
        axis = random.integers(x.shape[1])
        weights = random.standard_normal(taps)
        weights = (weights - weights.mean()).astype(np.float32)
        bias = np.float32(random.uniform(-0.3, 0.3))
        left = max(1, samples - dilation * (taps - 1))
        total, product = totals[:left], products[:left]
        total[:] = 0
        for j, weight in enumerate(weights):
            total += np.multiply(centred[axis, j * dilation : j * dilation + left], weight, out=product)
        total -= bias
        above = np.add.reduce(total > 0, axis=0, dtype=np.uint16) / left
        features[2 * k] = np.where(np.isnan(total[0]), np.nan, above)
        features[2 * k + 1] = np.log1p(np.maximum(total.max(0), 0))
    return np.ascontiguousarray(features.T)


def read_windows(cohort: Cohort, modality: str, units: np.ndarray, channel: int | None = None) -> np.ndarray:
    """Return (n, C, T) samples of a modality in the units at positions `units` (n,), with the median length T. Shorter
    units repeat their last sample; missing samples are NaN. With `channel`, a position, C is 1."""
    array = cohort.store.array(modality, slice(None) if channel is None else slice(channel, channel + 1))
    cuts = list(_cuts(cohort, modality, units))
    samples = max(2, round(float(np.median([cut.stop - cut.start for cut in cuts if cut.stop > cut.start] or [2]))))
    out = np.full((len(units), array.shape[0], samples), np.nan, np.float32)
    for row, cut in zip(out, cuts, strict=True):
        part = array[:, cut][:, :samples]
        if part.shape[1]:
            row[:, : part.shape[1]] = part
            row[:, part.shape[1] :] = part[:, -1:]
    return out


def _cuts(cohort: Cohort, modality: str, units: np.ndarray) -> Iterator[slice]:
    """Yield the slice of each unit's samples in the modality's array; an empty slice for a unit without samples."""
    rate = cohort.store.modalities[modality].rate
    for i in units.tolist():
        unit = cohort.units[i]
        span = cohort.store.recording(unit.recording).spans.get(modality)
        yield span.cut(unit.start, unit.stop, rate) if span else slice(0, 0)


def movement_features(cohort: Cohort) -> np.ndarray | None:
    """Return (units, 3 C) mean, SD and range of each accelerometer axis in each of the cohort's units, NaN if missing:
    the input of the confound-only model `movement`. None without an accelerometer."""
    if "acc" not in cohort.store.modalities:
        return None
    where = {name: digest(array) for name, array in cohort.arrays(range(len(cohort.units))).items()}
    key = ["movement", sha256(Path(__file__)), installed_version("numpy"), where]
    return cache_array(cohort.store, key, lambda: _movement_features(cohort))


def _movement_features(cohort: Cohort) -> np.ndarray:
    array, entry = cohort.store.array("acc"), cohort.store.modalities["acc"]
    table = np.full((len(cohort.units), 3 * len(entry.channels)), np.nan)
    for row, cut in zip(table, _cuts(cohort, "acc", np.arange(len(table))), strict=True):
        part = array[:, cut]
        if part.shape[1]:
            row[:] = np.concatenate([part.mean(1), part.std(1), np.ptp(part, axis=1)])
    return table


# Features of muscles, eyes and breathing in each unit. If EOG or EMG is missing, EEG electrodes near the eyes or jaw
# replace it. Offsets of logarithms follow the subject's signal, so that its measurement unit does not matter.

MUSCLE_HZ = (0.5, 2.0, 6.0, 15.0, 40.0)
"""Lower edges in Hz of the bands of muscles and eyes. Edges below the Nyquist frequency are used, and the last band
ends there."""
BREATHS_HZ = np.arange(0.05, 1.0, 0.02)
BLINK_HZ = (1.0, 10.0)
BLINK_SD, APART_S = 4.0, 0.3
"""Least deflection of an electrode by a blink, in (robust) standard deviations of the subject, and least time in s
between two blinks."""
SLOW_HZ, FAST_HZ = 4.0, 20.0
FRONTAL = re.compile(r"(EEG[ _-]?)?(Fp(1|2|z)|AF(z|\d+)|F[78])(?![\dA-Za-z])", re.IGNORECASE)
"""Names of electrodes near the eyes."""
TEMPORAL = re.compile(r"(EEG[ _-]?)?(T(3|4|7|8|9|10)|FT\d+|TP\d+)(?![\dA-Za-z])", re.IGNORECASE)
"""Names of electrodes near the muscles of the jaw."""

_Features = Callable[[np.ndarray, float], np.ndarray]
"""Function of samples (n, T) of a subject's units and their rate in Hz: (n, k), NaN in units with a NaN sample."""


def adjusted_modalities(store: Store) -> list[str]:
    """Return the recorded modalities that measure movement and behaviour, for which scores are adjusted: `acc`, then
    those of muscles, eyes and breathing."""
    behaviour = [name for name, _, _ in _sources(store)]
    return [*(["acc"] if "acc" in store.modalities else []), *dict.fromkeys(behaviour)]


def behaviour_features(cohort: Cohort, units: np.ndarray) -> np.ndarray:
    """Return (n, k) features of muscles, eyes and breathing in the units at positions `units` (n,), NaN for units
    without samples. (n, 0) without such a modality."""
    columns = [np.zeros((len(units), 0))]
    _, subject = np.unique([unit.subject for unit in cohort.select_units(units)], return_inverse=True)
    by_subject = [rows for _, rows in iterate_groups(subject)]
    place = np.argsort(np.concatenate(by_subject))
    for name, channels, features in _sources(cohort.store):
        rate = cohort.store.modalities[name].rate
        for channel in channels:
            samples = read_windows(cohort, name, units, channel)[:, 0].astype(np.float64)
            columns.append(np.concatenate([features(samples[rows], rate) for rows in by_subject])[place])
    return np.hstack(columns)


def _sources(store: Store) -> Iterator[tuple[str, list[int], _Features]]:
    """Yield the name of each recorded modality, the channels to read, and the function that computes their features."""
    functions: dict[str, _Features] = {"emg": muscle, "eog": muscle, "resp": breath}
    for name, features in functions.items():
        if name in store.modalities:
            yield name, list(range(len(store.modalities[name].channels))), features
    stand_ins = (("eog", FRONTAL, eyes), ("emg", TEMPORAL, jaw))
    names = store.modalities["eeg"].channels if "eeg" in store.modalities else ()
    for missing, pattern, features in stand_ins:
        channels = [k for k, name in enumerate(names) if pattern.match(name)]
        if channels and missing not in store.modalities:
            yield "eeg", channels, features


def muscle(x: np.ndarray, rate: float) -> np.ndarray:
    """Return (n, 4 + B) logarithms of mean absolute value, SD, change from sample to sample, range, and power in B
    bands, of samples (n, T) at `rate` Hz."""
    power, frequencies = _power(x, rate)
    edges = [low for low in MUSCLE_HZ if low < rate / 2] + [np.inf]
    bands = [power[:, (frequencies >= low) & (frequencies < high)].sum(1) for low, high in pairwise(edges)]
    return _log(np.abs(x).mean(1), x.std(1), _rms_change(x), np.ptp(x, axis=1), *bands)


def breath(x: np.ndarray, rate: float) -> np.ndarray:
    """Return (n, 5) SD and change from sample to sample (log), dominant frequency in Hz, its proportion of the power,
    and zero crossings per second, of samples (n, T) at `rate` Hz."""
    centred = x - x.mean(1, keepdims=True)
    seconds = np.arange(x.shape[1]) / rate
    waves = np.exp(-2j * np.pi * seconds[:, None] * BREATHS_HZ)
    power = np.abs((centred * np.hanning(x.shape[1])) @ waves) ** 2 + 1e-30
    known = np.where(np.isnan(x).any(1), np.nan, 1.0)
    crossings = (np.diff(np.sign(centred), axis=1) != 0).mean(1) * rate
    rhythm = [BREATHS_HZ[power.argmax(1)], power.max(1) / power.sum(1), crossings]
    return np.column_stack([_log(x.std(1), _rms_change(x)), np.stack(rhythm, axis=1) * known[:, None]])


def eyes(x: np.ndarray, rate: float) -> np.ndarray:
    """Return (n, 2) blinks per second and power below 4 Hz (log), from samples (n, T) at `rate` Hz of an electrode near
    the eyes. Blinks deflect it to one side, which is taken to be the side of the largest deflections."""
    from scipy.signal import find_peaks

    centred = x - x.mean(1, keepdims=True)
    frequencies = np.fft.rfftfreq(x.shape[1], 1 / rate)
    low, high = (np.exp(-((frequencies / edge) ** 2)) for edge in BLINK_HZ)
    wave = np.fft.irfft(np.fft.rfft(centred, axis=1) * (high - low), x.shape[1], axis=1)
    known = wave[np.isfinite(wave).all(1)]
    least = BLINK_SD * 1.4826 * np.median(np.abs(known)) if len(known) else 0.0
    wave *= np.sign((known**3).sum())
    apart = max(1, round(APART_S * rate))
    blinks = [len(find_peaks(one, height=least, distance=apart)[0]) for one in wave]
    rated = np.where(np.isfinite(wave).all(1), np.array(blinks, float), np.nan) * rate / x.shape[1]
    power, frequencies = _power(x, rate)
    return np.column_stack([rated, _log(power[:, frequencies < SLOW_HZ].sum(1))])


def jaw(x: np.ndarray, rate: float) -> np.ndarray:
    """Return (n, 1) power above 20 Hz (log), from samples (n, T) at `rate` Hz of an electrode near the jaw."""
    power, frequencies = _power(x, rate)
    return _log(power[:, frequencies >= FAST_HZ].sum(1))


def _power(x: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the power (n, F) of `x` (n, T) without its mean, and the frequencies (F,) in Hz."""
    tapered = (x - x.mean(1, keepdims=True)) * np.hanning(x.shape[1])
    return np.abs(np.fft.rfft(tapered, axis=1)) ** 2, np.fft.rfftfreq(x.shape[1], 1 / rate)


def _rms_change(x: np.ndarray) -> np.ndarray:
    """Return (n,) the root mean square of changes from sample to sample of `x` (n, T)."""
    return np.asarray(np.sqrt((np.diff(x, axis=1) ** 2).mean(1)))


def _log(*values: np.ndarray) -> np.ndarray:
    """Return (n, k) logarithms of k arrays (n,) of values of at least 0. A thousandth of its median is added to each
    array, so that a flat signal is not an outlier."""
    columns = []
    for value in values:
        known = value[np.isfinite(value)]
        offset = 1e-3 * np.median(known) if len(known) else 0.0
        columns.append(np.log(value + offset + 1e-30))
    return np.stack(columns, axis=1)


# Columns of the units from the accelerometer, with minutes before and after, and models that predict the label from
# them.

NEAR_S = (30.0, 60.0, 120.0)
FAR_S = (240.0, 600.0)
BURSTS = (0.5, 1.0, 1.5, 2.0)
"""Standard deviations above the subject's mean from which movement counts as a burst."""
MOST_SINCE = 60
"""Upper limit of the number of units since the last burst."""
COMPONENTS = 60
Smoothed = Mapping[str, Sequence[tuple[float, float]]]
"""Model -> spans (seconds before, seconds after) over which its predictions are smoothed, as further columns."""


@dataclass(frozen=True)
class MovementColumns:
    """Movement columns of n units, in the order of sessions, from an accelerometer of C axes."""

    movement: Movement
    sessions: Sessions

    @cached_property
    def raw(self) -> np.ndarray:
        """(n, 4 (5 + C)) movement and posture, standardised over all subjects, with context."""
        size = self.movement.size
        columns = [size[:, 1], np.log(size[:, 5] + 1e-3), size[:, [0, 2, 3]], self.movement.posture]
        return self.sessions.context(standardise_all(np.column_stack(columns)), NEAR_S)

    @cached_property
    def wide(self) -> np.ndarray:
        """(n, 6 (6 + 2 C)) movement and posture standardised within subjects, with context of up to ten minutes."""
        features = np.hstack([self.movement.size, self.movement.posture, self.movement.axis_sd])
        return self.sessions.context(self.sessions.standardised(features), (*NEAR_S, *FAR_S))

    @cached_property
    def bands(self) -> np.ndarray:
        """(n, 6 (1 + C) + 5) power in bands and shape of movement, standardised within subjects."""
        return self.sessions.standardised(np.hstack([self.movement.bands, self.movement.shape]))

    @cached_property
    def oriented(self) -> np.ndarray:
        """(n, C + 5) direction of gravity, its change since 1, 3, 6 and 12 units ago, and that within the unit."""
        direction = np.nan_to_num(self.movement.direction)
        turned = [self.sessions.angle(direction, back)[:, None] for back in (1, 3, 6, 12)]
        return self.sessions.standardised(np.hstack([self.movement.direction, *turned, self.movement.turn]))

    @cached_property
    def since_bursts(self) -> np.ndarray:
        """(n, 4) number of units since movement last exceeded each of `BURSTS`."""
        size = self.sessions.standardised(self.movement.size[:, 1:2])[:, 0]
        return np.stack([self.sessions.since(size, above, MOST_SINCE) for above in BURSTS], axis=1)

    def near(self, columns: np.ndarray) -> np.ndarray:
        """Return (n, 4 k) `columns` (n, k) with their means over up to two minutes before and after."""
        return self.sessions.context(columns, NEAR_S)

    def columns(self) -> list[np.ndarray]:
        """Return the columns, of about unit scale, for which scores are adjusted."""
        wide = np.clip(self.wide, -CLIP, CLIP)
        share = self.sessions.share_so_far(self.movement.size[:, 4])
        far = np.stack([share, share - self.sessions.start / self.sessions.length], axis=1)
        return [
            wide,
            wide**2 / 2,
            self.since_bursts / 20,
            self.raw,
            self.raw**2 / 2,
            np.clip(self.near(self.bands), -CLIP, CLIP),
            np.clip(self.near(self.oriented), -CLIP, CLIP),
            np.clip(self.sessions.standardised(far), -CLIP, CLIP),
        ]

    def members(self, places: np.ndarray) -> tuple[Members, Smoothed]:
        """Return models on these columns, some also on `places` (n, k), positions in the session; and the spans over
        which predictions are smoothed."""
        simple = self.sessions.standardised(np.hstack([self.movement.size, self.movement.posture]))
        both = np.hstack([self.bands, self.oriented])
        near_both = np.hstack([self.near(self.bands), self.near(self.oriented)])
        unscaled = standardise_all(np.hstack([self.movement.bands, self.movement.shape]))
        convolved = self.sessions.standardised(_components(self.movement.convolved))
        near_convolved = self.sessions.context(convolved[:, : COMPONENTS // 2], (60.0, 120.0))
        members: Members = {
            f"{make.__name__} {seconds:g}": (self.sessions.context(simple, [seconds] if seconds else []), make)
            for make in (trees, kernel, linear)
            for seconds in (0.0, *NEAR_S)
        }
        members = {
            **members,
            "joint": (np.hstack([self.wide, self.since_bursts, self.raw, places]), careful_trees),
            "bands forest": (both, forest),
            "bands trees": (both, careful_trees),
            "bands kernel": (both, kernel),
            "bands forest near": (self.sessions.context(both, (60.0,)), forest),
            "bands linear": (self.near(unscaled), linear),
            "bands trees near": (near_both, careful_trees),
            "bands trees clock": (np.hstack([near_both, places]), careful_trees),
            "convolved linear": (convolved, linear),
            "convolved network": (near_convolved, perceptron),
            "convolved network clock": (np.hstack([near_convolved, places]), perceptron),
            "convolved trees": (near_convolved, careful_trees),
        }
        spans = [(s, s) for s in NEAR_S]
        smoothed: Smoothed = {
            **dict.fromkeys(("trees 0", "kernel 0", "joint"), spans),
            **dict.fromkeys(("bands trees near", "convolved linear", "convolved network"), spans[1:2]),
            "bands forest": spans[:2],
        }
        return members, smoothed

    def traces(self) -> list[list[np.ndarray]]:
        """Return groups of traces (n,), series of movement features, by which sessions are aligned."""
        sessions, movement = self.sessions, self.movement
        size = sessions.standardised(movement.size)
        log_range = sessions.standardised(np.log(movement.size[:, 5:] + 1e-3))
        centroid = self.bands[:, movement.bands.shape[1], None]
        turned = self.oriented[:, movement.direction.shape[1] :]

        def around(values: np.ndarray, units: int) -> list[np.ndarray]:
            return list(sessions.mean(values, units * sessions.unit_s, units * sessions.unit_s).T)

        return [
            around(size[:, 1:2], 2),
            around(size[:, 2:3], 1),
            around(log_range, 0),
            *([trace] for trace in around(sessions.standardised(movement.posture), 2)),
            around(sessions.standardised(movement.axis_sd), 2),
            around(self.bands[:, [0, 2, 4]], 2),
            around(centroid, 2),
            around(turned[:, [1, 3]], 2),
            around(size[:, 1:2], 9),
        ]


def make_context_block(
    values: np.ndarray, sessions: Sessions, about: str
) -> tuple[list[np.ndarray], Members, Smoothed]:
    """Return columns, models on them, and the spans over which predictions are smoothed. The columns are `values` (n,
    k) within subjects, their means over up to two minutes before and after, and squares. `about`: for models' names."""
    alone = sessions.standardised(values)
    wide = sessions.context(alone, NEAR_S)
    members: Members = {
        f"{about} trees": (wide, careful_trees),
        f"{about} linear": (wide, linear),
        f"{about} forest": (alone, forest),
    }
    wide = np.clip(wide, -CLIP, CLIP)
    return [wide, wide**2 / 2], members, {f"{about} trees": [(60.0, 60.0)]}


def _components(convolved: np.ndarray) -> np.ndarray:
    """Return (n, up to `COMPONENTS`) principal components of the convolutions' outputs; labels are not used."""
    from sklearn.decomposition import PCA

    known = standardise_all(convolved)
    return np.asarray(PCA(min(COMPONENTS, *known.shape), random_state=0).fit_transform(known))
