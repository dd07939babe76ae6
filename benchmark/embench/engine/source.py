"""The dataset that a stage reads, as its params and places name it, and the anchors of its units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from embench.engine.inputs import encoder_of, view_of
from embench.engine.rows import Grid, anchors, stage_view
from embench.engine.specs import Part, SourceSpec
from embench.interfaces.recording import without_channels
from embench.interfaces.units import View
from embench.store import Store, open_store

TRAINED, TESTED = 1, 2
"""What `Source.given` holds of units: bits, since a training subject may be tried as a test subject is. Units of
`TESTED` normalise their subject, where it has none those of `TRAINED`, which say how far training subjects vary."""


@dataclass(frozen=True)
class Source:
    """A prepared store with the units of the whole dataset, as a stage's params and task arrays hold it.
    `rest` (s, s) is where in a recording its subject rested, where that alone may normalise; modalities of `keep_level`
    are scaled by the training units instead. `given` (n,) says of which units a subject's statistics are where it gives
    some: 0, or `TRAINED`, `TESTED` or both."""

    store: Store
    longest_s: float
    shortest_s: float
    normalise: str
    rest: tuple[float, float] | None
    keep_level: tuple[str, ...]
    all_recording: np.ndarray
    all_start: np.ndarray
    all_stop: np.ndarray
    given: np.ndarray | None = None

    @classmethod
    def of(cls, spec: SourceSpec, places: Mapping[str, Any], task: Mapping[str, np.ndarray]) -> Source:
        """The source that a stage's params describe: its store is opened in the folder that `places` has for it, and
        its units are the arrays `all_*` of `task`."""
        return cls(
            open_store(places["stores"][spec.store]),
            spec.longest_s,
            spec.shortest_s,
            spec.normalise,
            spec.rest,
            spec.keep_level,
            task["all_recording"],
            task["all_start"],
            task["all_stop"],
            task.get("all_given"),
        )


def normalising(given: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """(n,) whether units, or rows, are those that normalise their subject (n,)."""
    tested = np.isin(subject, np.unique(subject[(given & TESTED) > 0]))
    return np.asarray((given & np.where(tested, TESTED, TRAINED)) > 0)


def grid_of(
    modalities: Mapping[str, Part],
    own: View | None,
    recording: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
) -> Grid:
    """The anchors of a stage over units, as arrays (n,): `recording`, `start` and `stop` in s."""
    views = [view_of(encoder_of(part), part.name) for part in modalities.values()]
    view = stage_view(own, views)
    if view.kind == "unit" and view.length == "common":
        view = View("unit")
    return anchors(view, recording, start, stop)


def all_anchors(source: Source, all_view: View | None) -> Grid:
    """The anchors of all units of the dataset, as a stage with this view of its own reads them."""
    return anchors(all_view or View("unit"), source.all_recording, source.all_start, source.all_stop)


def by_subject(source: Source) -> bool:
    """True if features are z-scored by their subject's, or by those of its rest."""
    return source.normalise in ("subject_unlabelled", "baseline", "given")


def standardises(source: Source | SourceSpec, m: str) -> bool:
    """True if an encoder with features is given signals that are z-scored by recording."""
    return source.normalise == "recording_unlabelled" and not keeps_level(source, m)


def keeps_level(source: Source | SourceSpec, m: str) -> bool:
    """True if a modality, or the one channel of it that is read, is scaled by the training units."""
    return source.normalise == "training" or without_channels(m) in source.keep_level
