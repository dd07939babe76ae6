"""The arrays that a pretraining stage works on: segments of recordings, or a source's labelled units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from embench.data.cohort import Cohort
from embench.interfaces.recording import names_in

TRAIN, VAL = 0, 1

Segment = tuple[int, float, float, int]
"""Recording (position in the store), start, stop (s), role."""


def recorded_segments(cohort: Cohort, roles: Mapping[str, int], which: Sequence[str]) -> list[Segment]:
    """All recordings of subjects with a role that take part in the protocol. A video decides when a recording begins
    only where it is among the modalities: signals give the same numbers with and without one beside them. Alone it
    decides without them: they may begin before it."""
    taking_part = {unit.recording for unit in cohort.roster}
    alone = set(which) == {"video"}
    return [
        (
            r,
            min((s.t0 for m, s in entry.spans.items() if (m == "video") == alone or m in which), default=0.0),
            entry.duration_s,
            roles[entry.subject],
        )
        for r, entry in enumerate(cohort.store.recordings)
        if entry.subject in roles and entry.id in taking_part
    ]


def task_of(cohort: Cohort, segments: Sequence[Segment], which: Sequence[str]) -> dict[str, np.ndarray]:
    """Stretches of recordings that have any of the modalities."""
    sensors = [set(entry.spans) for entry in cohort.store.recordings]
    sensed = [s for s in segments if any(set(names_in(m)) <= sensors[s[0]] for m in which)]
    recording, start, stop, role = zip(*sensed, strict=True) if sensed else ((), (), (), ())
    return {
        "recording": np.array(recording, np.int64),
        "start": np.array(start, np.float64),
        "stop": np.array(stop, np.float64),
        "role": np.array(role, np.int64),
        **all_units(cohort),
    }


def labelled_units(cohort: Cohort, which: Sequence[str]) -> dict[str, np.ndarray]:
    """All units of a source with a label and any of the modalities, as arrays (n,), with their labels `y` (n,
    targets)."""
    labels = np.stack([cohort.labels(target, cohort.positions) for target in cohort.targets], 1)
    sensors = [set(entry.spans) for entry in cohort.store.recordings]
    at = cohort.columns["recording"]
    index = [
        i
        for i in cohort.positions
        if np.isfinite(labels[i]).any() and any(set(names_in(m)) <= sensors[at[i]] for m in which)
    ]
    role = np.full(len(index), TRAIN, np.int64)
    return {**cohort.arrays(index), "role": role, "y": labels[index], **all_units(cohort)}


def all_units(cohort: Cohort) -> dict[str, np.ndarray]:
    """Arrays `all_*` (n,) on all units of the dataset, over which features are standardised."""
    return {f"all_{name}": array for name, array in cohort.columns.items()}


def segments_of(cohort: Cohort, parts: Mapping[int, Sequence[int] | np.ndarray]) -> list[Segment]:
    """Segments covered by a fold's training and validation units, for splits that keep some of a training subject's
    segments or recordings for others; units of one role that touch are one segment."""
    at = {entry.id: r for r, entry in enumerate(cohort.store.recordings)}
    units = sorted((at[u.recording], u.start, u.stop, role) for role, index in parts.items() for u in cohort.of(index))
    segments: list[Segment] = []
    for recording, start, stop, role in units:
        if segments and segments[-1][::3] == (recording, role) and start <= segments[-1][2]:
            start = segments.pop()[1]
        segments.append((recording, start, stop, role))
    return segments


def roles_of_units(cohort: Cohort, index: Sequence[int] | np.ndarray, role: int) -> dict[str, int]:
    """Maps the subjects of the units at `index` to a role."""
    return dict.fromkeys((cohort.units[i].subject for i in index), role)
