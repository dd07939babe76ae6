"""Values that a body and a sensor on it can give, by unit: one table for all readers."""

from __future__ import annotations

import numpy as np

from embench.interfaces.recording import Signal
from embench.registry import modality_of
from embench.signals.plausible import UNIT_SPELLINGS

PHYSICAL_RANGES: dict[str, tuple[float, float]] = {
    "uS": (-5.0, 200.0),
    "degC": (0.0, 60.0),
    "bpm": (20.0, 300.0),
    "mV": (-500.0, 500.0),
    "uV": (-500e3, 500e3),
    "g": (-32.0, 32.0),
}
"""Unit -> least and greatest value. Wide enough for any device: electrodes have offsets of up to 300 mV (IEC
60601-2-27), amplifiers of skin conductance end at 100 uS, accelerometers for the body at 16 g. What lies outside was
read or written wrongly. Units such as `a.u.` have no range."""


def outside_range(modality: str, signal: Signal) -> str | None:
    """The fault in a signal with values outside the range of its modality, where a package defines one, else of its
    unit; None where there is none."""
    unit = UNIT_SPELLINGS.get(signal.unit, signal.unit)
    limits = modality_of(modality).limits or PHYSICAL_RANGES.get(unit)
    if limits is None:
        return None
    low, high = limits
    data = np.asarray(signal.data)
    wrong = data[np.isfinite(data) & ((data < low) | (data > high))]
    if not wrong.size:
        return None
    farthest = wrong[np.abs(wrong - (low + high) / 2).argmax()]
    return (
        f"{modality} has {wrong.size} values outside {low:g} to {high:g} {unit}, the range of human bodies; the most "
        f"extreme value is {farthest:g}"
    )
