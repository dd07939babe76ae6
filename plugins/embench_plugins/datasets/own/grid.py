"""Samples that share the time at which their packet came: their rate, and their places on an even grid."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import minimum_filter1d

_NEAR = 9
"""So many packets before and after tell whether one was lost between them: of some packets one comes in time."""
_PASSES = 3


def are_packets(at: np.ndarray) -> bool:
    """True if most times (n,) are those of several samples."""
    return len(at) > 1 and float(np.median(np.unique(at, return_counts=True)[1])) > 1


def packet_places(at: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Samples a second, the place of each sample (n,) on a grid where lost packets leave their room, and by how many
    seconds the latest packet is late."""
    stamps, counts = np.unique(at, return_counts=True)
    if len(stamps) < 3:
        return 0.0, np.arange(len(at)), np.inf
    steps, size = np.diff(stamps), float(np.median(counts))
    near = steps <= 1.6 * np.median(steps)
    step = float(steps[near].sum() / counts[1:][near].sum())
    before, lost = np.cumsum(counts) - 1.0, np.zeros(len(stamps))
    before[-1] += max(0.0, size - counts[-1])  # a recording may end within a packet, which has the time of a whole one
    for _ in range(_PASSES):
        lost = _lost(stamps - before * step, size * step) * size
        step = float(np.polyfit(before + lost, stamps, 1)[0])
    late = stamps - (before + lost) * step
    place = np.arange(len(at)) + np.repeat(np.round(lost), counts)
    return 1 / step if step > 0 else 0.0, place, float(np.ptp(late[1:]) if len(late) > 1 else np.inf)


def _lost(late: np.ndarray, packet_s: float) -> np.ndarray:
    """How many packets (n,) were lost before each, by how late (n,) the earliest of those around it come."""
    after = minimum_filter1d(late, _NEAR, mode="nearest", origin=-(_NEAR // 2))
    until = minimum_filter1d(late, _NEAR, mode="nearest", origin=_NEAR // 2)
    jump = np.zeros(len(late))
    jump[1:] = after[1:] - until[:-1]
    gone = np.round(jump / packet_s)
    gone[(jump < 0.6 * packet_s) | (np.diff(late, prepend=late[0]) < 0.5 * packet_s)] = 0
    return np.cumsum(np.maximum(gone, 0))
