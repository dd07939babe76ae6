"""Find one subject's signal under another subject's name, at any offset."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

from embench.interfaces.recording import Signal

_CHANGES = 128
"""Number of consecutive changes of a signal that two subjects do not share by chance."""

_MAX_SECTIONS = 64
"""Number of remembered sections of a signal: those with the lowest hashes, which a copy shares."""

_LEAST_SHARED = 2
"""Number of common remembered sections from which on a signal counts as a copy."""

_DISTINCT = 10
"""Least number of distinct changes in a remembered section; a sensor that flickers between two values has fewer."""


class SeenSignals:
    """Signals of a dataset seen so far, remembered by hashes that an exact copy shares. The audit's check `copies`
    finds scaled and resampled copies; this class does not."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, bytes | int], tuple[str, str]] = {}

    def twin(self, subject: str, recording: str, modality: str, signal: Signal) -> str | None:
        """Remember a signal. Return another subject's recording that contains it or a long section of it, or None."""
        data = np.moveaxis(np.asarray(signal.data, np.float32), signal.time_axis, -1)
        finite = data[np.isfinite(data)]
        if finite.size < _CHANGES or (finite == finite[0]).all():
            return None
        whole = self._owner(subject, recording, modality, hashlib.blake2b(data.tobytes(), digest_size=16).digest())
        others = (self._owner(subject, recording, modality, mark) for mark in stretches(data))
        shared = Counter(other for other in others if other is not None).most_common(1)
        return whole or (shared[0][0] if shared and shared[0][1] >= _LEAST_SHARED else None)

    def _owner(self, subject: str, recording: str, modality: str, mark: bytes | int) -> str | None:
        """Remember the hash `mark`. Return the recording of another subject that had it first, or None."""
        owner, first = self._owners.setdefault((modality, mark), (subject, recording))
        return first if owner != subject else None


def stretches(data: np.ndarray) -> list[int]:
    """Return at most `_MAX_SECTIONS` hashes of sections of a signal (channels, n). A section has `_CHANGES` changes of
    value. Sections are chosen by content, so that two differently cut copies of a signal share most hashes."""
    bits = (np.where(np.isfinite(data), data, np.nan) + np.float32(0)).view(np.uint32).astype(np.uint64)  # no -0
    value = np.zeros(bits.shape[-1], np.uint64)
    for channel in bits.reshape(-1, bits.shape[-1]):
        value = _mix_bits(value * _ODD + channel)
    starts = np.flatnonzero(np.diff(value)) + 1  # the first and the last value may have been cut
    change = _mix_bits(value[starts[:-1]] * _ODD + np.diff(starts).astype(np.uint64))
    section_hash, width = change, 1  # the hash of the `width` changes from each position on
    while width < _CHANGES:
        section_hash = _mix_bits(section_hash[:-width] * _ODD + section_hash[width:])
        width *= 2
    lowest, hashes = np.argsort(section_hash)[: 8 * _MAX_SECTIONS], list[int]()
    for first in range(0, len(lowest), _MAX_SECTIONS):
        starts = lowest[first : first + _MAX_SECTIONS]
        changes = np.sort(change[starts[:, None] + np.arange(_CHANGES)], axis=1)
        distinct = 1 + (np.diff(changes, axis=1) != 0).sum(axis=1)
        hashes += section_hash[starts[distinct >= _DISTINCT]].tolist()
        if len(hashes) >= _MAX_SECTIONS:
            break
    return hashes[:_MAX_SECTIONS]


_ODD = np.uint64(0x9E3779B97F4A7C15)


def _mix_bits(x: np.ndarray) -> np.ndarray:
    """Return each number (uint64) with its bits mixed, by the last step of splitmix64 (Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
