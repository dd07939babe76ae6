"""Predictions joined with labels: one set of units for each fold and seed, units without a label dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from embench.errors import DataError
from embench.interfaces.units import Target, Units
from embench.protocols import MADE_BY_METHOD, Design, UnitId
from embench.records.predictions import ANY_SEED, MODEL, UNPREDICTED, Labels, Predictions, as_scored
from embench.statistics.intervals import Jackknife


@dataclass(frozen=True)
class Joined:
    """One method's labelled units of one target: seed -> fold -> units."""

    seeds: dict[int, dict[int, Units]]

    def __iter__(self) -> Iterator[tuple[int, int, Units]]:
        """(seed, fold, units)."""
        for seed, folds in self.seeds.items():
            for fold, units in folds.items():
                yield seed, fold, units

    @cached_property
    def predicted(self) -> Joined:
        """The units with a prediction alone; itself where all have one."""
        known = [is_predicted(units) for _, _, units in self]
        if all(each.all() for each in known):
            return self
        seeds: dict[int, dict[int, Units]] = {}
        for (seed, fold, units), each in zip(self, known, strict=True):
            if each.any():
                seeds.setdefault(seed, {})[fold] = units.take(each)
        return Joined(seeds)

    def tested_subjects(self) -> list[dict[int, np.ndarray]]:
        """Tested subjects (P,) of each fold, for each seed."""
        return [{fold: units.subjects[0] for fold, units in folds.items()} for folds in self.seeds.values()]

    def trained(self, jackknife: Jackknife) -> np.ndarray:
        """(S, G, G) in each seed, whether a group of subjects (column) was free to train the models that predict
        another (row): no fold tests both."""
        together = []
        for folds in self.tested_subjects():
            tested = np.stack([np.isin(jackknife.subjects, members) for members in folds.values()])
            groups = jackknife.by_group(tested.astype(int))
            together.append(groups.T @ groups > 0)
        return ~np.stack(together)


def is_predicted(units: Units) -> np.ndarray:
    """(n,) whether each unit has a prediction."""
    return finite_rows(units.score)


def finite_rows(score: np.ndarray) -> np.ndarray:
    """(n,) whether each row of scores (n,) or (n, K) is finite.

    >>> finite_rows(np.zeros(0)).tolist(), finite_rows(np.array([[1.0, np.nan], [0.0, 1.0]])).tolist()
    ([], [False, True])
    """
    known = np.isfinite(score)
    return np.asarray(known.all(1) if known.ndim > 1 else known)


def shared_stimuli(design: Design | None, joined: Joined) -> list[str]:
    """The stimuli of a study in which subjects share them, where there are several; else none."""
    stimuli = {name for _, _, units in joined for name in units.stimulus.tolist()}
    return sorted(stimuli) if design == "shared_stimuli" and len(stimuli) > 1 else []


def varies_within_stimuli(joined: Joined) -> bool:
    """True if a subject has different labels, of values a step apart, at one stimulus with several units."""
    return any(np.isfinite(units.length_s) and _varies(units) for _, _, units in joined)


def _varies(units: Units) -> bool:
    stimuli, stimulus = np.unique(units.stimulus, return_inverse=True)
    at = units.subjects[1] * len(stimuli) + stimulus
    low, high = np.full((2, at.max() + 1), units.y_true[0])
    low[at] = high[at] = units.y_true
    np.minimum.at(low, at, units.y_true)
    np.maximum.at(high, at, units.y_true)
    return bool(((high - low > 0) & (high - low >= units.step)).any())


def join(
    predictions: Predictions,
    labels: Labels,
    target: Target,
    groups: Mapping[str, str],
    unit_length_s: float,
    sessions: Mapping[str, float] | None = None,
    *,
    whole: bool = False,
) -> dict[str, Joined]:
    """Method -> its labelled units; a control's are limited to those of the model.

    Args:
        groups: subject -> group. `sessions`: subject -> length of the session in s, where known.
        whole: whether units that the model should have predicted, and did not, are among them.

    Raises:
        DataError: a score is missing or not finite, a unit is predicted twice, or subjects are unknown to `groups`.
    """
    chosen = predictions.rows_with(target=target.name)
    ours = predictions if chosen.all() else predictions.take(chosen)
    y = labels_of(ours, labels, target)
    units = ours.texts("unit")
    unit = units.code
    # One number for each (seed, unit); the order of units is then by seed, fold and unit id, whatever the file's.
    key = (ours["seed"] - ours["seed"].min(initial=0)) * max(1, len(units.names)) + unit
    method_of = ours.texts("method")
    at = {name: method_of.code == code for code, name in enumerate(method_of.names.tolist())}
    not_predicted = at.pop(UNPREDICTED, None)
    if whole and not_predicted is not None:  # what the method makes with less given predicts no more
        at |= {name: at.get(name, False) | not_predicted for name in (MODEL, *MADE_BY_METHOD) if name in {MODEL, *at}}
    known = np.isfinite(y) & np.isin(key, key[at[MODEL]] if MODEL in at else [])
    values = labels["label"][labels["target"] == target.name]
    step, whole_numbers = target.step_over(values), bool((values == np.rint(values)).all())
    methods = {}
    for method in sorted(at, key=lambda name: (name != MODEL, name)):
        rows = np.flatnonzero(at[method] & known)
        rows = rows[np.lexsort((unit[rows], ours["fold"][rows], ours["seed"][rows]))]
        if not np.diff(np.sort(key[rows])).all():  # `np.unique` takes fifty times as long
            raise DataError(f"units are predicted more than once in a seed by {method}", where=f"target {target.name}")
        units_in_order = units_of(ours.take(rows), y[rows], target, groups, unit_length_s, sessions)
        methods[method] = _split(replace(units_in_order, step=step, whole_numbers=whole_numbers), ours["seed"][rows])
    return methods


def unit_length(ids: np.ndarray) -> float:
    """The nominal length in seconds of the units with these ids (n,), which hold recording, start and stop; NaN where
    no recording holds several, so that units are whole recordings."""
    spans = [UnitId.read(id_) for id_ in set(ids.tolist())]
    if len({span.recording for span in spans}) == len(spans):
        return float("nan")
    return float(np.median([span.stop_ms - span.start_ms for span in spans])) / 1000


def labels_of(predictions: Predictions, labels: Labels, target: Target) -> np.ndarray:
    """(n,) the label of each row, NaN where there is none."""
    y = np.full(len(predictions), np.nan)
    units = predictions.texts("unit")
    for seed in np.unique(labels["seed"][labels["target"] == target.name]).tolist():
        chosen = (labels["target"] == target.name) & (labels["seed"] == seed)
        order = np.argsort(labels["unit"][chosen])
        ids, values = labels["unit"][chosen][order], labels["label"][chosen][order]
        at = np.minimum(np.searchsorted(ids, units.names), len(ids) - 1)
        found, at = (ids[at] == units.names)[units.code], at[units.code]
        if seed != ANY_SEED:
            found &= predictions["seed"] == seed
        y[found] = values[at][found]
    return y


def _split(units: Units, seed_of: np.ndarray) -> Joined:
    """The units (n,) by seed and fold, in the order of which they are; `seed_of` (n,)."""
    seeds: dict[int, dict[int, Units]] = {}
    ends = [*(np.flatnonzero(np.diff(seed_of) | np.diff(units.fold)) + 1).tolist(), len(units)]
    for start, end in pairwise([0, *ends] if len(units) else []):
        part = units.take(slice(start, end))
        seeds.setdefault(int(seed_of[start]), {})[int(part.fold[0])] = part
    return Joined(seeds)


def units_of(
    rows: Predictions,
    y: np.ndarray,
    target: Target,
    groups: Mapping[str, str],
    unit_length_s: float,
    sessions: Mapping[str, float] | None = None,
) -> Units:
    """Rows of predictions of one target with their labels `y` (n,), as metrics read them.

    Raises:
        DataError: a score is missing or not finite, or subjects are unknown to `groups`.
    """
    score = rows["score"]
    if target.traits.several:
        if rows.classes < len(target.columns):
            raise DataError(f"predictions have no column for every class of {target.name}", expected=f"{target.n}")
        score = np.stack([rows[name] for name in target.columns], axis=1)
    decision, missing = rows["decision"], rows.rows_with(method=UNPREDICTED)
    if not np.isfinite(score[~missing]).all() or (
        target.traits.has_classes and not np.isfinite(decision[~missing]).all()
    ):
        raise DataError("a score or decision is missing or not finite", where=f"predictions of {target.name}")
    if missing.any():
        score = score.copy()
        score[missing] = as_scored(rows["score"][missing]).reshape(-1, *[1] * (score.ndim - 1))
    subject = rows.texts("subject")
    unknown = sorted(set(subject.names.tolist()) - set(groups))
    if unknown:
        raise DataError(f"subjects without a group: {', '.join(unknown[:5])}", where=f"predictions of {target.name}")
    recording, moment = _places(rows)
    return Units(
        kind=target.kind,
        y_true=y,
        score=score,
        decision=decision,
        subject=subject.array(),
        stimulus=rows["stimulus"],
        start_s=rows["start_s"],
        fold=rows["fold"],
        group=np.array([groups[s] for s in subject.names.tolist()], dtype=np.str_)[subject.code],
        length_s=unit_length_s,
        session_s=None
        if sessions is None
        else np.array([sessions.get(s, np.nan) for s in subject.names.tolist()])[subject.code],
        moment_s=moment,
        recording=recording,
        step=target.step_over(y),
    )


def _places(rows: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the number of the recording of each row's unit, and the time since that began, in s: a recording is one
    stimulus."""
    units = rows.texts("unit")
    ids = [UnitId.read(unit) for unit in units.names.tolist()]
    number = np.unique(np.array([id_.recording for id_ in ids], np.str_), return_inverse=True)[1]
    return number[units.code], np.array([id_.start_ms / 1000 for id_ in ids])[units.code]
