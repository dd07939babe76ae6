"""The units of a run that rest on repaired signals: on samples that were lost and bridged, or that are missing."""

from __future__ import annotations

import numpy as np

from embench.data.cohort import Cohort
from embench.interfaces.recording import names_in
from embench.records.wording import format_share
from embench.store.store import RecordingEntry

MOST_REPAIRED = 0.1
"""Share of a unit's samples of a modality that may be bridged or missing. Of a unit of 10 s this is one second, about a
heartbeat; where it is more, whole beats and skin responses can be straight lines."""
NAMED_ABOVE = 0.05
"""A run says in a sentence that a larger share of its units is repaired."""


def repaired_units(cohort: Cohort) -> dict[str, np.ndarray]:
    """Modality of the run -> (n,) whether more than `MOST_REPAIRED` of its samples are bridged or missing, for the
    units of the run with a label. A sample is bridged where any channel of the modality is."""
    chosen = cohort.arrays(_labelled(cohort))
    order = np.argsort(chosen["recording"], kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(chosen["recording"][order])) + 1)
    found = {m: np.zeros(len(order), bool) for m in cohort.modalities}
    for rows in groups if len(order) else ():
        entry = cohort.store.recordings[chosen["recording"][rows[0]]]
        start, stop = chosen["start"][rows], chosen["stop"][rows]
        for m, repaired in found.items():
            sound = [_sound_s(cohort, entry, part, start, stop) for part in names_in(m)]
            repaired[rows] = np.min(sound, 0) < (1 - MOST_REPAIRED) * (stop - start) - 1e-6
    return found


def repaired_share(cohort: Cohort) -> float:
    """Share of a run's units with a label of which any of its modalities is repaired, to four digits."""
    return _share(np.any([*repaired_units(cohort).values()], 0))


def repaired_note(cohort: Cohort) -> str | None:
    """A sentence on the share of repaired units, and the modalities that they are of; None up to `NAMED_ABOVE`."""
    of_modality = repaired_units(cohort)
    share = _share(np.any([*of_modality.values()], 0))
    if share <= NAMED_ABOVE:
        return None
    names = ", ".join(m for m, repaired in of_modality.items() if repaired.any())
    return f"{format_share(share)} of the units rest on bridged or missing samples ({names})"


def _share(repaired: np.ndarray) -> float:
    return round(float(repaired.mean()), 4) if repaired.size else 0.0


def _labelled(cohort: Cohort) -> np.ndarray:
    """The positions of the run's units with a label of any target."""
    known = np.zeros(len(cohort.units), bool)
    for target in cohort.targets:
        known |= np.isfinite((cohort.raw if target.rule.cut == "training_mean" else cohort.label)[target.name])
    at = np.array(cohort.positions, np.int64)
    return at[known[at]]


def _sound_s(cohort: Cohort, entry: RecordingEntry, part: str, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """(n,) seconds of a modality in the spans `start` to `stop` of a recording that were recorded and not lost."""
    span = entry.spans.get(part)
    if span is None:
        return np.zeros(len(start))
    sound = _overlap(start, stop, span.t0, span.t0 + span.samples / cohort.store.modalities[part].rate)
    for first, last, lost in entry.lost.get(part, ()):
        sound -= _overlap(start, stop, first, last) * lost / (last - first)
    return sound


def _overlap(start: np.ndarray, stop: np.ndarray, first: float, last: float) -> np.ndarray:
    return np.clip(np.minimum(stop, last) - np.maximum(start, first), 0.0, None)
