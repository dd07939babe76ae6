"""Plausible values of body signals, by modality and measurement unit: limits for single values, and typical signal
sizes, which reveal a wrong unit.

| modality | unit | what is measured | range | source |
|---|---|---|---|---|
| eda | uS | median | 0.05 to 60 | Boucsein, Electrodermal Activity, 2012, doi 10.1007/978-1-4614-1126-0 |
| temp | degC | median | 15 to 43 | skin, from a cold hand to the pain of heat: ISO 9886:2004 |
| hr | bpm | median | 25 to 230 | Tanaka et al. 2001, doi 10.1016/S0735-1097(00)01054-8; athletes at rest |
| ecg | mV | swing | 0.02 to 20 | QRS complexes of 0.5 to 5 mV: IEC 60601-2-27; ten times that for the lead and noise |
| eeg | uV | swing | 1 to 1500 | 10 to 100 uV at the scalp: Schomer and Lopes da Silva, Niedermeyer's EEG, 2017 |
| emg | uV | swing | 0.5 to 20000 | up to 10 mV at the skin: De Luca, Surface Electromyography, 2002 |
| eog | uV | swing | 5 to 10000 | 50 to 3500 uV: Webster, Medical Instrumentation, 2009 |
| acc | g | length | below 4 | a body at rest feels 1 g, or 0 where gravity is taken out |

The *swing* is the median over the seconds and channels of the difference between the least and the greatest value in a
second; the *length* is the median of the length of the vector of all axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from embench.interfaces.recording import Signal

UNIT_SPELLINGS = {"µS": "uS", "μS": "uS", "°C": "degC", "C": "degC", "µV": "uV", "μV": "uV"}
"""Other spellings of a measurement unit -> the spelling in tables."""

LEVEL_LIMITS = {("eda", "uS"): (0.1, 100.0), ("temp", "degC"): (20.0, 42.0), ("hr", "bpm"): (30.0, 220.0)}
"""(modality, unit) -> range of values of a sensor that touches the body."""
SPAN_LIMITS = {("eeg", "uV"): 200.0}
"""(modality, unit) -> largest range of values within a second without movement, muscles or a loose electrode."""

_Convert = Callable[[float], float]


@dataclass(frozen=True)
class PlausibleSize:
    """Plausible size of a modality in `unit`, see the module's table.

    `usual` is a typical size. `others`: another unit -> function that converts its values to `unit`."""

    unit: str
    measure: Literal["median", "swing", "length"]
    low: float
    high: float
    usual: float
    source: str
    others: Mapping[str, _Convert]


def _times(factor: float) -> _Convert:
    return lambda x: factor * x


def _per(factor: float) -> _Convert:
    return lambda x: factor / x if x else float("inf")


_VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9}


def _potential(unit: str, low: float, high: float, usual: float, source: str) -> PlausibleSize:
    others = {name: _times(volts / _VOLTS[unit]) for name, volts in _VOLTS.items() if name != unit}
    return PlausibleSize(unit, "swing", low, high, usual, source, others)


PLAUSIBLE_SIZES = {
    "eda": PlausibleSize("uS", "median", 0.05, 60, 3, "Boucsein 2012", {
        "S": _times(1e6), "mS": _times(1e3), "nS": _times(1e-3), "kOhm": _per(1e3), "Ohm": _per(1e6)}),
    "temp": PlausibleSize("degC", "median", 15, 43, 33, "ISO 9886:2004", {
        "degF": lambda x: (x - 32) / 1.8, "K": lambda x: x - 273.15}),
    "hr": PlausibleSize("bpm", "median", 25, 230, 72, "Tanaka et al. 2001", {
        "Hz": _times(60), "s between beats": _per(60), "ms between beats": _per(6e4)}),
    "ecg": _potential("mV", 0.02, 20, 1, "IEC 60601-2-27"),
    "eeg": _potential("uV", 1, 1500, 40, "Schomer and Lopes da Silva 2017"),
    "emg": _potential("uV", 0.5, 20000, 100, "De Luca 2002"),
    "eog": _potential("uV", 5, 10000, 200, "Webster 2009"),
    "acc": PlausibleSize("g", "length", 0, 4, 1, "gravity is 1 g", {
        "m/s2": _times(1 / 9.80665), "mg": _times(1e-3), "counts of 1/64 g": _times(1 / 64)}),
}  # fmt: skip
"""Modality -> its plausible size. Modalities in arbitrary units are missing."""


def signal_size(modality: str, signal: Signal) -> float:
    """Return the size of a signal in its own unit, measured as the module's table says. NaN for a modality that is not
    in the table, or without finite values.

    >>> signal_size("eda", Signal(np.full((1, 40), 2.5), 4.0, ("eda",), "uS"))
    2.5
    """
    known = PLAUSIBLE_SIZES.get(modality)
    x = np.moveaxis(np.asarray(signal.data, np.float64), signal.time_axis, -1)
    if known is None or not np.isfinite(x).any():
        return float("nan")
    if known.measure == "swing":
        per_second = max(2, int(signal.rate))
        seconds = x[:, : x.shape[1] // per_second * per_second].reshape(len(x), -1, per_second)
        spans = np.ptp(seconds, axis=2)
        return float(np.nanmedian(spans)) if np.isfinite(spans).any() else float("nan")
    return float(np.nanmedian(np.linalg.norm(x, axis=0) if known.measure == "length" else x))


def known_units(modality: str) -> tuple[str, ...]:
    """Return the measurement units in which values of a modality can be checked, in all spellings. Empty for a modality
    without a plausible size."""
    known = PLAUSIBLE_SIZES.get(modality)
    units = (known.unit, *known.others) if known else ()
    return (*units, *(other for other, unit in UNIT_SPELLINGS.items() if unit in units))


def format_size(size: float) -> str:
    """Return a number with three digits, without an exponent if it is large.

    >>> format_size(7614.2), format_size(0.0041234)
    ('7,610', '0.00412')
    """
    return f"{float(f'{size:.3g}'):,.0f}" if 1000 <= abs(size) < 1e7 else f"{size:.3g}"


def unit_fault(modality: str, unit: str, sizes: Sequence[float]) -> str | None:
    """Return a sentence on a wrong measurement unit of a modality, with the likely unit of its values. None if the
    values are plausible in `unit`, or if the plausible size in `unit` is unknown.

    Args:
        sizes: `signal_size` of each recording. Their median decides, so that one detached sensor has no effect.

    >>> unit_fault("eda", "uS", [2.5e-6, 4.0e-6]).partition(";")[0]
    'eda is given in uS with a usual median of 3.25e-06, which no body gives'
    >>> unit_fault("eda", "uS", [2.5, 4.0]) is None
    True
    """
    known, unit = PLAUSIBLE_SIZES.get(modality), UNIT_SPELLINGS.get(unit, unit)
    finite = np.asarray(sizes, np.float64)
    finite = finite[np.isfinite(finite)]
    if known is None or not finite.size or (unit != known.unit and unit not in known.others):
        return None
    size = float(np.median(finite))
    stated = size if unit == known.unit else known.others[unit](size)
    if known.low <= stated <= known.high:
        return None
    readings = {known.unit: size, **{name: convert(size) for name, convert in known.others.items()}}
    near = min(max(known.high / known.usual, 2), 10)  # largest factor between a likely size and the usual one
    fits = [
        name
        for name, value in readings.items()
        if known.low <= value <= known.high and 1 / near <= value / known.usual <= near
    ]
    seem = f"its values look like {' or '.join(fits)}" if fits else "no other common unit fits either"
    text = f"{modality} is given in {unit} with a usual {known.measure} of {format_size(size)}, which no body gives"
    return f"{text}; {known.low:g} to {known.high:g} {known.unit} is plausible ({known.source}), and {seem}"
