"""Measures of finished runs beside their scores: cases, epochs, accuracy of pretext tasks, distances of classes.

Each measure gives values for each seed and fold, (J,), or for each subject or stimulus, which are larger the more a
claim is right, or nearer to its reference where it has a margin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from embench.claims.finished import ClaimRun, Runs, SeedAndFold, label_of
from embench.claims.subjects import SUBJECT_MEASURES
from embench.errors import DataError
from embench.records.embeddings import Embeddings, read_embeddings
from embench.statistics.by_subject import Each

Values = Mapping[str, np.ndarray]
"""A measure in words -> (J,) of the seeds and folds where it is defined."""


def cases(runs: Runs) -> Values:
    """Share of the units that one run alone gets right that the last run gets right, too; for each run but the last."""
    *alone, joined = runs
    right = {name: run.right() for name, run in runs.items()}
    found = {}
    for name in alone:
        shares = []
        for at in _everywhere(right.values()):
            correct = {run: right[run][at] for run in runs}
            units = set.intersection(*(set(units) for units in correct.values()))
            only = [u for u in units if correct[name][u] and not any(correct[o][u] for o in alone if o != name)]
            shares += [np.mean([correct[joined][u] for u in only])] if only else []
        found[f"{joined} is correct where {name} is the only correct single model"] = np.array(shares)
    return found


def disagreements(runs: Runs) -> Values:
    """Share of the units on which exactly one of two runs is right that the first gets right."""
    (one, first), (other, second) = runs.items()
    ours, theirs, shares = first.right(), second.right(), []
    for at in _everywhere([ours, theirs]):
        split = [right for unit, right in ours[at].items() if unit in theirs[at] and right != theirs[at][unit]]
        shares += [np.mean(split)] if split else []
    return {f"{one} is correct where {one} and {other} disagree": np.array(shares)}


def pretext_accuracy(runs: Runs) -> Values:
    """The best training accuracy of the pretext task."""
    ((_, run),) = runs.items()
    curves = run.curves("pretrain").values()
    best = [max(float(row["accuracy"]) for row in rows if row.get("accuracy")) for rows in curves]
    return {"best accuracy of the pretext task": np.array(best)}


def sooner(runs: Runs) -> Values:
    """Number of epochs by which the first run's loss on validation subjects is lowest before the second's."""
    best = []
    for run in runs.values():
        curves = run.curves("unimodal") or run.curves("fusion")
        best.append({
            at: min((float(row["val_loss"]), int(row["epoch"])) for row in rows if row.get("val_loss"))[1]
            for at, rows in curves.items()
        })  # fmt: skip
    first, second = best
    return {"epochs earlier": np.array([second[at] - first[at] for at in _everywhere(best)], float)}


def separation(runs: Runs) -> Values:
    """Differences between two runs, first less second, in the last hidden layer's share of variance between classes and
    in its silhouette."""
    between, silhouettes = zip(*(_layers(run) for run in runs.values()), strict=True)
    return {
        f"{what}, more": np.array([one[at] - other[at] for at in _everywhere([one, other])])
        for what, (one, other) in {"variance between classes": between, "silhouette": silhouettes}.items()
    }


def imbalance(runs: Runs) -> Values:
    """The share of the more frequent class among the labels."""
    ((_, run),) = runs.items()
    known = run.labels
    by_fold = [[label_of(known, seed, unit) for unit in units] for (seed, _), units in run.right().items()]
    share = np.array([np.mean(labels) for labels in by_fold])
    return {"proportion of the more frequent class": share if share.mean() >= 0.5 else 1 - share}


def gap(runs: Runs) -> Values:
    """Score of the first run less that of the second."""
    first, second = (run.scores() for run in runs.values())
    return {"difference": np.array([first[at] - second[at] for at in _everywhere([first, second])])}


def gap_of_gaps(runs: Runs) -> Values:
    """Difference of the first two runs' scores less that of the last two."""
    found = [run.scores() for run in runs.values()]
    values = [(a[at] - b[at]) - (c[at] - d[at]) for a, b, c, d in [found] for at in _everywhere(found)]
    return {"difference of differences": np.array(values)}


MEASURES: Mapping[str, tuple[Callable[[Runs], Values | Mapping[str, Each]], int]] = {
    "cases": (cases, 3),
    "disagreements": (disagreements, 2),
    "pretext_accuracy": (pretext_accuracy, 1),
    "sooner": (sooner, 2),
    "apart": (separation, 2),
    "imbalance": (imbalance, 1),
    "gap": (gap, 2),
    "gap_of_gaps": (gap_of_gaps, 4),
    **SUBJECT_MEASURES,
}
"""Name -> what measures finished runs, in the order of the claim, and how many it takes."""


def _everywhere(by_fold: Iterable[Mapping[SeedAndFold, Any]]) -> Sequence[SeedAndFold]:
    """The seeds and folds that all have."""
    every = list(by_fold)
    return [at for at in every[0] if all(at in other for other in every)]


def _layers(run: ClaimRun) -> tuple[dict[SeedAndFold, float], dict[SeedAndFold, float]]:
    """Share of a hidden layer's variance that lies between classes, and the silhouette, by seed and fold."""
    from sklearn.metrics import silhouette_score  # slow to import

    kept, known = read_embeddings(run.folder), run.labels
    if kept is None:
        raise DataError("the run saved no hidden layers", where=str(run.folder), expected="a run of a network")
    kept = kept.take(kept.target == run.target)
    shares, silhouettes = {}, {}
    for seed, fold in sorted(set(zip(kept.seed.tolist(), kept.fold.tolist(), strict=True))):
        hidden: Embeddings = kept.take((kept.seed == seed) & (kept.fold == fold))
        y = np.array([label_of(known, seed, unit) for unit in hidden.unit.tolist()])
        x, y = hidden.x[np.isfinite(y)].astype(np.float64), y[np.isfinite(y)]
        if len(np.unique(y)) < 2 or len(y) <= len(np.unique(y)):
            continue
        means = np.stack([x[y == label].mean(0) for label in y])
        total = ((x - x.mean(0)) ** 2).sum()
        if total > 0:
            shares[seed, fold] = float(1 - ((x - means) ** 2).sum() / total)
            silhouettes[seed, fold] = float(silhouette_score(x, y))
    return shares, silhouettes
