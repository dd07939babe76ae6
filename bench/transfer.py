"""Transfer map of *stress or rest*: `python -m bench.transfer --data-root DIR` computes `transfer.json`.

This plan was committed before any result was computed.

Question. How well do models that were trained on one dataset separate stress tasks from rest in subjects of another,
next to models trained on other subjects of the same dataset? `stress_predict` and `wearable_stress` are the only
datasets at hand that ask it of shared signals, so leave-one-dataset-out is the same as the pair. Their labels differ:
`LABELS`.

Models. `svm`, `boosting` and `logreg` with their default settings on handcrafted features of PPG, EDA and temperature,
and three confound-only models. In all cells the access to test subjects is the same: features are z-scored for each
subject over all of their units, labelled or not, and confound-only models read the whole session's clock or movement.
`svm` keeps a sigmoid of fixed slope, because the AUROC within a subject depends on ranks alone.

Draws. Each of `DRAWS` draws takes n subjects of the source without replacement. n is that of the smallest training part
of the smaller dataset in the six partitions of `PROTOCOL`. A model of each draw is tested on all subjects of the other
dataset, and on the subjects of its own dataset that were not drawn. So n is equal on and off the diagonal, and no model
is tested on a training subject. The number of units of n subjects differs between datasets.

Score. AUROC within each test subject, mean over draws, mean over subjects. The loss of a test set is the score off the
diagonal less the score on it, for the same test subjects: below 0, transfer costs. A method is also compared with the
confound-only model that has the highest score in the same cell, so trained on the same draws; choosing it by this score
favours it.

Intervals are for new subjects of both populations, and n training subjects. Their variance is that of the delete-one
jackknife: the score without a subject leaves out that test subject and all draws that contain it, so overlapping draws
and test subjects that train each other's models count. The finite number of draws makes it somewhat too large. The
variance of the score from the draws is added. Limits come from t with as many degrees of freedom as the smaller dataset
of a comparison has subjects, less 1. They do not cover other studies: two datasets tell nothing of the variation
between datasets.

Tests. t tests of all losses (6 models, 2 test sets) and all differences from the best confound-only model (3 methods,
4 cells), 24 in all, with Holm's correction over all of them. A result counts as shown if the corrected p is below .05.

Noted after the results. The partitions of `PROTOCOL` put subjects with sessions of similar length into one fold, and
random draws do not. So on the diagonal `session_position` may score higher here than on the leaderboard of
`wearable_stress`, whose two protocols differ in length.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import embench
from bench import ROOT, find_commit
from bench.adjusted import DATASETS, PROTOCOL, TARGET, with_data_root
from bench.boards.published import figure
from bench.markdown import table
from embench import registry
from embench.data.cohort import Cohort
from embench.data.find import find_source
from embench.errors import CheckFailed
from embench.files import write_text
from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import compare_subjects, compute_tie_width
from embench.interfaces.units import Unit
from embench.protocols import load_protocol
from embench.statistics.confound_only import CONFOUND_ONLY, ConfoundTask
from embench.statistics.intervals import ALPHA, Estimate, holm, t_test, with_interval
from embench.statistics.nuisance_movement import movement_features
from embench.system import installed_version, limited_threads

METHODS = ("svm", "boosting", "logreg")
CONFOUNDS = ("elapsed_time", "session_position", "movement")
MODALITIES = ("ppg", "eda", "temp")
DRAWS, PARTITIONS, SEED = 120, 6, 20261201
RESULTS = ROOT / "bench" / "transfer.json"
LABELS = {
    "stress_predict": "colour-word test, interview and hyperventilation, or rest",
    "wearable_stress": "colour-word test, arithmetic, opinions and subtraction, or baseline and rest",
}
"""What the labels 1 and 0 are."""


# Cells of the map: models of drawn training subjects, and their scores on test subjects


@dataclass(frozen=True, eq=False)
class Side:
    """The n labelled units of a dataset, with labels `y` (n,), features `X` (n, k) and `movement` (n, m).

    Args:
        code: (n,) position of each unit's subject in `names`, which begin with the dataset's name."""

    cohort: Cohort
    units: list[Unit]
    names: list[str]
    code: np.ndarray
    y: np.ndarray
    X: np.ndarray
    movement: np.ndarray

    @property
    def sessions(self) -> dict[str, float]:
        """Subject -> length of the session in s."""
        return {name: self.cohort.sessions[name.partition("/")[2]] for name in self.names}


def read_side(dataset: str, data_root: Path) -> Side:
    """Read the units of a dataset. Raises CheckFailed if subjects were recorded together: draws are of subjects."""
    features = embench.compute_features(
        dataset, modalities=",".join(MODALITIES), target=TARGET, protocol=PROTOCOL, data_root=data_root
    )
    cohort = find_source(dataset, data_root).cohort(load_protocol(PROTOCOL), TARGET)
    if len(set(cohort.groups.values())) < len(cohort.groups):
        raise CheckFailed("some subjects were recorded together", where=dataset)
    y = cohort.label[TARGET]
    known = np.flatnonzero(np.isfinite(y))
    units = [replace(cohort.units[i], subject=f"{dataset}/{cohort.units[i].subject}") for i in known]
    names, code = np.unique([unit.subject for unit in units], return_inverse=True)
    rows = features.index.get_level_values("unit").get_indexer([unit.id for unit in units])
    if (rows < 0).any():
        raise CheckFailed("a labelled unit has no features", where=dataset)
    movement = movement_features(cohort)
    if movement is None:
        raise CheckFailed("no accelerometer", where=dataset)
    X = features.to_numpy(np.float64)[rows]
    return Side(cohort, units, names.tolist(), code, y[known], X, movement[known])


def count_training_subjects(cohort: Cohort) -> int:
    """Return the number of subjects of the smallest training part of the partitions."""
    protocol = load_protocol(PROTOCOL)
    parts = [cohort.find_positions(fold.train) for k in range(PARTITIONS) for fold in cohort.folds(protocol, k)]
    return min(len({cohort.units[i].subject for i in part}) for part in parts)


def draw_subjects(subjects: int, n: int, draws: int, seed: list[int]) -> np.ndarray:
    """Return (draws, subjects) bool: the n subjects of each draw."""
    random = np.random.default_rng(seed)
    return np.array([np.isin(np.arange(subjects), random.choice(subjects, n, replace=False)) for _ in range(draws)])


def score_subjects(scores: np.ndarray, side: Side) -> np.ndarray:
    """Return (subjects,) the AUROC within each subject, of `scores` (n,)."""
    found = compare_subjects(scores, side.y == 1, side.code, len(side.names), compute_tie_width(scores))
    return np.asarray(np.diagonal(found.wins) / np.diagonal(found.pairs))


def predict(model: str, source: Side, train: np.ndarray, tested: list[Side]) -> Iterator[np.ndarray]:
    """Yield scores of all units of each tested side by a model fitted to the `train` positions of the source."""
    if model in METHODS:
        kind: Any = registry.load_plugin("fusion", model)
        estimator = kind(kind.recipes["small"], 0, "binary", 2, MODALITIES)
        one = np.zeros(len(train), int)  # one subject: see the plan on `svm`
        estimator.fit(source.X[train], source.y[train], one, np.ones(len(train)))
        yield from (np.asarray(estimator.score(side.X)) for side in tested)
        return
    for side in tested:
        (target,) = source.cohort.targets
        units, movement = [*source.units, *side.units], np.concatenate([source.movement, side.movement])
        y = np.concatenate([source.y, side.y])
        test = np.arange(len(source.y), len(y))
        sessions = {**source.sessions, **side.sessions}
        found = CONFOUND_ONLY[model](ConfoundTask(target, units, y, train, test, {}, sessions, movement, 0))
        if isinstance(found, Undefined):
            raise CheckFailed(found.reason, where=model)
        yield found[0]


Scores = dict[tuple[str, str, str], np.ndarray]
"""(model, source, tested dataset) -> (draws, subjects) AUROC, NaN for subjects who trained."""


def score_draws(sides: Mapping[str, Side], drawn: Mapping[str, np.ndarray]) -> Scores:
    """Fit every model to every draw of every source, and score it on all sides."""
    found: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for source, draws in drawn.items():
        for r, chosen in enumerate(draws):
            train = np.flatnonzero(chosen[sides[source].code])
            for model in (*METHODS, *CONFOUNDS):
                predicted = predict(model, sides[source], train, [*sides.values()])
                for (tested, side), scores in zip(sides.items(), predicted, strict=True):
                    own = score_subjects(scores, side)
                    own = np.where(chosen, np.nan, own) if tested == source else own
                    found.setdefault((model, source, tested), []).append(own)
            print(f"{source}: draw {r + 1} of {len(draws)}", flush=True)
    return {cell: np.array(rows) for cell, rows in found.items()}


# Intervals over training and test subjects


@dataclass(frozen=True, eq=False)
class Influence:
    """A score, or a difference of scores, and how it changes without each subject.

    Args:
        changes: dataset -> (subjects,) change of the score without each subject.
        draws: variance of the score from the finite number of draws."""

    mean: float
    changes: dict[str, np.ndarray]
    draws: float

    def __sub__(self, other: Influence) -> Influence:
        zero = np.zeros(1)
        names = {**self.changes, **other.changes}
        changes = {name: self.changes.get(name, zero) - other.changes.get(name, zero) for name in names}
        return Influence(self.mean - other.mean, changes, self.draws + other.draws)

    def estimate(self) -> Estimate:
        """Return the score with its interval and standard error, see the plan."""
        parts = [(len(change) - 1) / len(change) * (change**2).sum() for change in self.changes.values()]
        subjects = min(map(len, self.changes.values()))
        found = Estimate(self.mean, None, None, None, subjects, "jackknife")
        return with_interval(found, float(np.sqrt(sum(parts) + self.draws)), subjects - 1)


def measure_influence(values: np.ndarray, drawn: np.ndarray, source: str, tested: str) -> Influence:
    """Return the mean of `values` (draws, test subjects), NaN for subjects who trained, and the changes of it.

    Args:
        drawn: (draws, subjects of the source) bool."""
    by_subject = np.nanmean(values, axis=0)
    mean, count = float(by_subject.mean()), len(by_subject)
    changes = {tested: (mean - by_subject) / (count - 1), source: np.zeros(drawn.shape[1])}
    for j, has in enumerate(drawn.T):
        others = np.arange(count) != j if source == tested else np.ones(count, bool)
        changes[source][j] = np.nanmean(values[~has][:, others], axis=0).mean() - mean
    return Influence(mean, changes, _draw_variance(values))


def _draw_variance(values: np.ndarray) -> float:
    """Return the variance, between sets of as many draws from the same subjects, of the mean of `values`."""
    count = np.isfinite(values).sum(0)
    parts = np.nansum((values - np.nanmean(values, axis=0)) / count, axis=1) / len(count)
    return float(len(parts) / (len(parts) - 1) * (parts**2).sum())


# The map


def summarise(scores: Scores, drawn: Mapping[str, np.ndarray]) -> dict[str, list[dict[str, Any]]]:
    """Return the cells, the losses and the differences from the best confound-only model, with corrected p."""
    found = {cell: measure_influence(values, drawn[cell[1]], *cell[1:]) for cell, values in scores.items()}
    cells, losses, differences = [], [], []
    for (model, source, tested), cell in found.items():
        cells.append(_row(cell.estimate(), model=model, source=source, tested=tested))
        if source != tested:
            loss = (cell - found[model, tested, tested]).estimate()
            losses.append(_row(loss, model=model, source=source, tested=tested))
        if model in METHODS:
            best = max(CONFOUNDS, key=lambda name: found[name, source, tested].mean)
            values = scores[model, source, tested] - scores[best, source, tested]
            gap = measure_influence(values, drawn[source], source, tested).estimate()
            differences.append(_row(gap, model=model, source=source, tested=tested, best=best))
    tests = [*losses, *differences]
    for row, p in zip(tests, holm([t_test(row["mean"], row["error"], row["df"]) for row in tests]), strict=True):
        row["p"] = p
    return {"cells": cells, "losses": losses, "differences": differences}


def _row(found: Estimate, **about: str) -> dict[str, Any]:
    numbers = {name: round(getattr(found, name), 6) for name in ("mean", "low", "high", "error")}
    return {**about, **numbers, "df": found.df}


@cache
def load_map() -> dict[str, Any]:
    """Return the computed map."""
    return dict(json.loads(RESULTS.read_text("utf-8")))


def transfer_map() -> str:
    """Return what the map shows, and its table: a line for each test set and model."""
    found = load_map()
    losses, differences = found["losses"], found["differences"]
    by_place = [
        {(row["model"], row["source"], row["tested"]): row for row in rows}
        for rows in (found["cells"], losses, differences)
    ]
    lines = []
    for other, tested in (DATASETS[::-1], DATASETS):
        for model in (*METHODS, *CONFOUNDS):
            places = (model, other, tested), (model, tested, tested)
            scores, (loss, _), gaps = (
                [_shown(rows.get(place), spec) for place in places]
                for rows, spec in zip(by_place, (".3f", "+.3f", "+.3f"), strict=True)
            )
            lines.append([f"`{tested}`", f"`{model}`", *scores, loss, *gaps])
    elsewhere, same = (
        [row for row in differences if (row["source"] != row["tested"]) == away] for away in (True, False)
    )
    labels = "; ".join(f"in `{name}` {pair}" for name, pair in found["labels"].items())
    text = (
        f"- Trained on the other dataset instead of the same, methods score lower in {_count(losses, -1)} comparisons, "
        f"confound-only models in {_count(losses, -1, CONFOUNDS)}.\n"
        f"- Trained on the other dataset, methods score higher than the best confound-only model of the same training "
        f"subjects in {_count(elsewhere, 1)} comparisons.\n"
        f"- Trained on the same, they score higher than it in {_count(same, 1)}, and lower in {_count(same, -1)}.\n\n"
        f"Comparisons count with p < {figure(ALPHA, '.2f')} after Holm's correction over all "
        f"{len(losses) + len(differences)}; intervals are not corrected. A loss that does not count may still exist. "
        f"All models learned from {found['training_subjects']} subjects. Labels: {labels}."
    )
    heads = ["tested on, `auroc_within`", "model", "trained on the other", "trained on the same", "difference"]
    best = "less best confound-only"
    return f"{text}\n\n{table([*heads, f'other, {best}', f'same, {best}'], lines)}"


def _count(rows: Sequence[Mapping[str, Any]], sign: int, models: Sequence[str] = METHODS) -> str:
    own = [row for row in rows if row["model"] in models]
    return f"{sum(row['p'] < ALPHA and row['mean'] * sign > 0 for row in own)} of {len(own)}"


def _shown(row: Mapping[str, Any] | None, spec: str) -> str:
    if row is None:
        return "—"
    text = f"{figure(row['mean'], spec)} [{figure(row['low'])}, {figure(min(row['high'], 1.0))}]"
    return f"{text}, p {'< .001' if row['p'] < 0.001 else figure(row['p'])}" if "p" in row else text


def main() -> None:
    data_root = with_data_root("Computes the transfer map.").parse_args().data_root
    with limited_threads(1):
        sides = {name: read_side(name, data_root) for name in DATASETS}
        n = min(count_training_subjects(side.cohort) for side in sides.values())
        drawn = {
            name: draw_subjects(len(side.names), n, DRAWS, [SEED, k]) for k, (name, side) in enumerate(sides.items())
        }
        scores = score_draws(sides, drawn)
    made = {
        "command": "python -m bench.transfer --data-root DIR",
        "commit": find_commit(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "versions": {name: installed_version(name) for name in ("numpy", "scikit-learn")},
        "protocol": PROTOCOL,
        "data": {name: side.cohort.store.key for name, side in sides.items()},
    }
    subjects = {name: len(side.names) for name, side in sides.items()}
    design = {"training_subjects": n, "draws": DRAWS, "seed": SEED, "subjects": subjects, "labels": LABELS}
    write_text(RESULTS, json.dumps({**made, **design, **summarise(scores, drawn)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
