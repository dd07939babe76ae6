"""A method's predictions fold by fold, and those that it owes: under protocols of version 3, labelled units without one
count in every score that is a share of comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from embench.data.cohort import Cohort
from embench.interfaces.units import Target
from embench.protocols import Fold, Protocol
from embench.records.predictions import COUNTS_LOST, COUNTS_TIED, MODEL, UNPREDICTED, Columns, Predictions, TextColumn


@dataclass(frozen=True)
class FoldPredictions:
    """A method's predictions in one fold and seed of one target, unit by unit, each unit once per seed.

    Args:
        units: (n,) positions in the cohort.
        train: positions of the units whose labels it was fitted on; None where it was fitted on another dataset.
        score: (n,) or, of several classes, (n, K); NaN in the rows of units without a prediction, inf where the data
            have no signal there.
        decision: (n,).
        beside: comparison -> what it predicts for the same units, as `score`.
    """

    target: Target
    seed: int
    fold: int
    units: np.ndarray
    train: tuple[int, ...] | None
    score: np.ndarray
    decision: np.ndarray
    beside: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def predicted(self) -> np.ndarray:
        """(n,) bool: whether there is a prediction."""
        return np.isfinite(self.score if self.score.ndim == 1 else self.score[:, 0])


def decide(target: Target, table: np.ndarray, protocol: Protocol) -> tuple[np.ndarray, np.ndarray]:
    """Score (n,) or (n, K), and decision (n,), of the predictions for a target in the columns of `table` (n, K)."""
    score = table if target.traits.several else table[:, 0]
    return score, target.traits.decide(score, protocol.decision.threshold)


def unpredicted(cohort: Cohort, protocol: Protocol, seeds: Sequence[int]) -> Iterator[FoldPredictions]:
    """The folds of a method without predictions: the units to predict, and those to learn from."""
    position, keep = {unit.id: i for i, unit in enumerate(cohort.units)}, set(cohort.positions)
    for seed in seeds:
        for fold in cohort.folds(protocol, seed):
            train, test = ([i for unit in ids if (i := position[unit]) in keep] for ids in (fold.train, fold.test))
            for target in cohort.targets if train and test else ():
                nothing = decide(target, np.zeros((len(test), len(target.columns))), protocol)
                yield FoldPredictions(target, seed, fold.index, np.array(test, np.int64), tuple(train), *nothing)


def completed(by_fold: Sequence[FoldPredictions], cohort: Cohort, protocol: Protocol) -> list[FoldPredictions]:
    """The predictions with all units that are tested, those of subjects without a prediction in the fold that
    tests them. Where folds are not the protocol's own, such subjects are dealt out to them."""
    made = list(by_fold)
    for target, seed in dict.fromkeys((of.target, of.seed) for of in by_fold):
        own = {k: of for k, of in enumerate(by_fold) if (of.target, of.seed) == (target, seed)}
        outside = np.setdiff1d(cohort.tested, np.concatenate([of.units for of in own.values()]))
        if not len(outside):
            continue
        folds = cohort.folds(protocol, seed)
        tested = {unit: fold.index for fold in folds for unit in fold.test}
        fold_of = np.array([tested.get(cohort.units[i].id, -1) for i in outside.tolist()])
        if all(tested.get(cohort.units[i].id) == of.fold for of in own.values() for i in of.units.tolist()):
            known = {of.fold for of in own.values()}
            made += [_nothing(target, seed, fold, cohort) for fold in folds if fold.index not in known]
            place = {of.fold: k for k, of in enumerate(made) if (of.target, of.seed) == (target, seed)}
        else:
            place = dict(enumerate(own))
            fold_of = np.where(fold_of >= 0, fold_of % len(own), -1)
        for fold, k in place.items():
            made[k] = _with_units(made[k], outside[fold_of == fold])
    return [replace(of, score=_silent_tied(of, cohort)) for of in made]


def _nothing(target: Target, seed: int, fold: Fold, cohort: Cohort) -> FoldPredictions:
    """A fold of whose subjects none is predicted."""
    train = tuple(cohort.positions_of(fold.train).tolist())
    score = np.empty((0, len(target.columns)) if target.traits.several else 0)
    return FoldPredictions(target, seed, fold.index, np.empty(0, np.int64), train, score, np.empty(0))


def _with_units(of: FoldPredictions, more: np.ndarray) -> FoldPredictions:
    """The predictions with more units, which have none."""
    nothing = np.full((len(more), *of.score.shape[1:]), np.nan)
    beside = {name: np.concatenate([score, nothing]) for name, score in of.beside.items()}
    return replace(
        of,
        units=np.concatenate([of.units, more]),
        score=np.concatenate([of.score, nothing]),
        decision=np.concatenate([of.decision, np.full(len(more), np.nan)]),
        beside=beside,
    )


def _silent_tied(of: FoldPredictions, cohort: Cohort) -> np.ndarray:
    """The scores of units (n,) or (n, K), inf in those without a prediction in which no signal was recorded."""
    if of.predicted.all():
        return of.score
    silent = ~of.predicted & cohort.silent[of.units]
    return np.where(silent.reshape(-1, *[1] * (of.score.ndim - 1)), np.inf, of.score)


def coverage(cohort: Cohort, by_fold: Sequence[FoldPredictions]) -> dict[str, float]:
    """Target -> the share of the labelled units that were predicted, over all seeds."""
    shares = {}
    for target in cohort.targets:
        own = [of_fold for of_fold in by_fold if of_fold.target.name == target.name]
        labelled = [np.isfinite(cohort.labels(target, of.train or ())[of.units]) for of in own]
        if asked := sum(int(known.sum()) for known in labelled):
            predicted = sum(int((of.predicted & known).sum()) for of, known in zip(own, labelled, strict=True))
            shares[target.name] = predicted / asked
    return shares


def wrongly_owed(predictions: Predictions, cohort: Cohort, seeds: Sequence[int]) -> list[str]:
    """Sentences on labelled units, of those that are tested, that a record neither predicts nor counts as it should."""
    wrong = []
    ids = [unit.id for unit in cohort.of(cohort.tested)]
    position = dict(zip(ids, cohort.tested, strict=True))
    for target in cohort.targets:
        values = cohort.raw if target.rule.cut == "training_mean" else cohort.label
        known = np.isfinite(values[target.name][list(cohort.tested)])
        labelled = {id_ for id_, has_label in zip(ids, known.tolist(), strict=True) if has_label}
        for seed in seeds:
            mine = predictions.take(predictions.rows_with(target=target.name) & (predictions["seed"] == seed))
            predicted = set(mine["unit"][mine.rows_with(method=MODEL)].tolist())
            owed = mine.take(mine.rows_with(method=UNPREDICTED))
            counted = dict(zip(owed["unit"].tolist(), owed["score"].tolist(), strict=True))
            should = {id_: COUNTS_TIED if cohort.silent[position[id_]] else COUNTS_LOST for id_ in labelled - predicted}
            if odd := [id_ for id_ in should.keys() | counted.keys() if should.get(id_) != counted.get(id_)]:
                which = f"such as {min(odd)} of {target.name} with seed {seed}"
                wrong.append(f"predictions: {len(odd)} units without one do not count as they should, {which}")
    return wrong


def about_units(of_fold: FoldPredictions, cohort: Cohort, index: np.ndarray) -> Columns:
    """The columns of a record that describe the units at `index`, whatever the method."""
    units = cohort.of(index.tolist())
    n = len(units)
    return Columns(
        {
            "target": TextColumn.same(of_fold.target.name, n),
            "fold": np.full(n, of_fold.fold),
            "seed": np.full(n, of_fold.seed),
            "subject": TextColumn.of([[u.subject for u in units]]),
            "recording": TextColumn.of([[u.recording for u in units]]),
            "stimulus": TextColumn.of([[u.stimulus for u in units]]),
            "unit": TextColumn.of([[u.id for u in units]]),
            "start_s": np.array([u.start_s for u in units], np.float64),
        }
    )


def prediction_rows(
    method: str, target: Target, about: Columns, values: np.ndarray, decision: np.ndarray
) -> Predictions:
    """A method's predictions for the units of `about_units`, as rows of the record."""
    n = about.rows
    table = values.astype(np.float32).astype(np.float64)
    several = target.traits.several
    columns: dict[str, TextColumn | np.ndarray] = {
        **about.stored,
        "method": TextColumn.same(method, n),
        "score": np.full(n, np.nan) if several else table,
        "decision": decision,
    }
    if several:
        columns |= dict(zip(target.columns, table.T, strict=True))
    return Predictions(Columns(columns))
