"""Which part of people is told from what they give first: generated people with no part of their own, with a level of
their own in each feature, and with a relation of their own between features and label. `python -m tests.truth.personal
50` prints a line for each design and world.

Units, sessions and folds are those of a folder of own recordings; blocks, labels and features are drawn. Features are
normalised, a logistic regression (a ridge regression of values) is fitted, adapted and scored as in a run.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.signal import lfilter
from tabulate import tabulate

from embench import registry
from embench.data.cohort import Cohort, build_cohort
from embench.data.find import find_source
from embench.engine.predict import EstimatorAdapter, PersonalPredictions, PersonalRows
from embench.engine.rows import standardise_by_given
from embench.interfaces.fusion import TrainingRows
from embench.interfaces.units import Target
from embench.planning.graph import make_calibration_arrays, mark_normalising, select_trial_units
from embench.protocols import CALIBRATION_NORMALISED, CALIBRATION_ONLY, NO_CALIBRATION, Given, load_protocol
from embench.protocols.slices import cut_slices
from embench.records.predictions import ANY_SEED, MODEL, Labels, Predictions
from embench.records.scores import Scores
from embench.statistics.confound_only import ConfoundTask
from embench.statistics.evaluation import FoldPredictions, decide, prediction_rows, unit_columns
from embench.statistics.scores import compute_scores, predict_from_calibration_data

PROTOCOL = load_protocol("personalise-v1")
PEOPLE, FEATURES = 24, 6
SEEDS = {"free": (0,), "fixed order": (0, 1, 2), "values": (0, 1, 2)}
"""Design -> the partitions of a run: how much people who train each other's models share is known from several."""
WANDERS = 0.8
"""The correlation of values of neighbouring units."""
WORLDS = {"no part": "not_shown", "offset": "normalisation", "relation": "labels"}
"""What people have of their own -> what is said where it is told."""
FALSE = {"no part": ("normalisation", "labels"), "offset": ("labels",), "relation": ()}
"""What is gained falsely."""
TOLD = 0.8
"""The share of draws in which the own part is told, at least."""
DESIGNS = {"free": "stress", "fixed order": "stress", "values": "level"}
GIVEN = {"free": Given(5), "fixed order": Given(5), "values": Given(10)}
"""Design -> target: tasks in an order of each subject's own, in one order, or values that wander."""
OFFSET, RELATION, SHARED = 2.0, 0.8, 0.3
"""In units of the noise inside people: the spread of levels between people, that of what a label changes beside the
same change in everyone, and this change."""


@dataclass(frozen=True)
class World:
    """Drawn people: a cohort with their labels, and features (n, features) of its units."""

    cohort: Cohort
    target: Target
    x: np.ndarray


@cache
def cohort_of(design: str, folder: Path) -> tuple[Cohort, Target]:
    """The cohort of a design: a recording of each subject, whose signals and labels are not used. Whether people take
    part is decided once they are drawn."""
    root, minutes = folder / design.replace(" ", "-"), 14 if design == "values" else 54
    if not root.exists():
        _write(root / "study", minutes, DESIGNS[design], fixed_order=design == "fixed order")
    store, card = find_source("study", root).prepared(PROTOCOL, 1, None), find_source("study", root).card
    (target,) = card.targets
    return build_cohort(store, card, (target,), None, load_protocol("subject-independent-v4")), target


def _write(root: Path, minutes: int, target: str, *, fixed_order: bool) -> None:
    """A folder of own recordings, some a little longer than others."""
    (root / "labels").mkdir(parents=True)
    for k in range(PEOPLE):
        times = range(0, 60 * (minutes + k % 4), 10)
        rows = [f"{s},{s + 10},{('rest', 'stress')[s // 60 % 2]},{s % 7}" for s in times]
        (root / f"P{k:02d}.csv").write_text("\n".join(["EDA", *(str(s % 11 + k) for s in times for _ in range(40))]))
        (root / "labels" / f"P{k:02d}.csv").write_text("\n".join(["from,to,stage,level", *rows]))
    table = {"table": "labels/{participant}.csv"}
    labels = {
        "stress": {**table, "start": "from", "end": "to", "column": "stage", "classes": ["rest", "stress"]},
        "level": {**table, "time": "from", "column": "level", "scale": [0, 6]},
    }
    targets = {
        "stress": {"label": "stress", "kind": "binary", "positive": ["stress"], "negative": ["rest"]},
        "level": {"label": "level", "kind": "value"},
    }
    eda = {"channels": {"eda": "EDA"}, "rate": 4, "unit": "uS"}
    described = {
        "name": "study", "title": "A study", "citation": "ours", "licence": "CC BY 4.0", "mains_hz": 50,
        "longest_s": 3600, "fixed_order": fixed_order, "labels_public": "no",
        "recordings": [{"files": "{participant:P##}.csv", "signals": {"eda": eda}, "start_s": "0"}],
        "labels": {target: labels[target]}, "targets": {target: targets[target]},
    }  # fmt: skip
    (root / "dataset.yaml").write_text(yaml.safe_dump(described, sort_keys=False))


def drawn(rng: np.random.Generator, design: str, world: str, made: tuple[Cohort, Target], size: float = 1.0) -> World:
    """People of a world; `size`: that of what they have of their own, as a multiple of `OFFSET` or `RELATION`."""
    cohort, target = made
    subject = np.array([unit.subject for unit in cohort.units])
    y, block = np.full(len(subject), np.nan), np.zeros(len(subject), int)
    x = np.zeros((len(subject), FEATURES))
    shared = SHARED * rng.choice([-1, 1], FEATURES) * rng.uniform(0.5, 1.5, FEATURES)
    same = rng.permuted(np.tile([0, 1], (8, 1)), axis=1).ravel()
    own_offset = OFFSET * size * (world == "offset") or OFFSET * (world == "relation")
    for name in np.unique(subject).tolist():
        own = np.flatnonzero(subject == name)  # in the order of time
        y[own], block[own] = _labels(rng, design, len(own), same)
        offset = own_offset * rng.normal(size=FEATURES)
        relation = shared + RELATION * size * (world == "relation") * rng.normal(size=FEATURES)
        known = np.nan_to_num(y[own] - 0.5 * (target.kind == "binary")) * (2 if target.kind == "binary" else 1)
        inside = rng.normal(size=(block[own].max() + 1, FEATURES))[block[own]]
        noise = np.sqrt(0.3) * inside + np.sqrt(0.7) * rng.normal(size=(len(own), FEATURES))
        x[own] = offset + known[:, None] * relation + np.exp(0.15 * rng.normal()) * noise
    label = {target.name: y}
    drew = replace(cohort, label=label, raw=label, slices=None)
    slices = cut_slices(PROTOCOL.personal, drew.placed, cohort.card.name, cohort.subjects)
    eligible = tuple(i for i in cohort.eligible if cohort.units[i].subject not in slices.unusable)
    roster = tuple(unit for unit in cohort.roster if unit.subject not in slices.unusable)
    return World(replace(drew, slices=slices, eligible=eligible, positions=eligible, roster=roster), target, x)


def _labels(rng: np.random.Generator, design: str, n: int, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and blocks (n,): tasks of some units each, in pairs whose order is the subject's own or the `same`; or a
    value that wanders."""
    if design == "values":
        steps = rng.normal(size=n)
        return lfilter([np.sqrt(1 - WANDERS**2)], [1, -WANDERS], steps), np.arange(n) // 6
    order = same if design == "fixed order" else rng.permuted(np.tile([0, 1], (8, 1)), axis=1).ravel()
    lengths = rng.integers(5, 8, 16) if design == "fixed order" else rng.integers(3, 5, 16)
    if design == "fixed order":
        lengths[:2] = 5  # everyone's first tasks have the units that are given
    block = np.repeat(np.arange(16), lengths)[:n]
    tail = n - len(block)
    return np.r_[order[block], np.full(tail, np.nan)], np.r_[block, np.full(tail, 16)]


def predictions(world: World, given: Given, seed: int) -> list[FoldPredictions]:
    """What a linear model predicts in each fold, beside what it predicts with less."""
    found = []
    for fold in world.cohort.folds(PROTOCOL, seed):
        train, val, test = (world.cohort.find_positions(ids) for ids in (fold.train, fold.val, fold.test))
        train, val, test = (at[np.isfinite(world.cohort.label[world.target.name][at])] for at in (train, val, test))
        beside = {NO_CALIBRATION: _of_fold(world, Given(), seed, train, val, test)["score"]}
        made = beside
        if given.units:
            unlabelled = Given(given.units, labelled=False)
            beside[CALIBRATION_NORMALISED] = _of_fold(world, unlabelled, seed, train, val, test)["score"]
            made = _of_fold(world, given, seed, train, val, test)
            beside[CALIBRATION_ONLY] = made[CALIBRATION_ONLY]
        score = made["score"][:, 0]
        decision = world.target.traits.decide(score, 0.5)
        others = {name: table[:, 0] for name, table in beside.items()}
        found.append(
            FoldPredictions(world.target, seed, fold.index, test, tuple(train.tolist()), score, decision, others)
        )
    return found


def _of_fold(
    world: World, given: Given, seed: int, train: np.ndarray, val: np.ndarray, test: np.ndarray
) -> dict[str, np.ndarray]:
    """The tables of a stage that predicts: `score`, and `calibration_only` where labels are given."""
    cohort, target, x = world.cohort, world.target, world.x
    subject, y = np.array([unit.subject for unit in cohort.units]), cohort.label[target.name]
    if given.units:
        fitted_on, asked = (
            mark_normalising(cohort, train, np.r_[val, test], units)["all_given"]
            for units in (cohort.slices.most, given.units)
        )
        fitted_x = standardise_by_given(x, subject, fitted_on).astype(float)
        x = standardise_by_given(x, subject, asked).astype(float)
    else:
        fitted_x = x
    kind = registry.load_plugin("fusion", "logreg" if target.kind == "binary" else "ridge")
    estimator = kind(kind.recipes["small"], seed, target.kind, target.n, ("eda",))
    training = TrainingRows(fitted_x[train], y[train], subject[train], np.ones(len(train)))
    estimator.fit(*training)
    if not given.units or not given.labelled:
        return {"score": np.asarray(estimator.score(x[test]), float).reshape(len(test), -1)}
    slices = make_calibration_arrays(
        cohort, given, test, select_trial_units(cohort, train, val, test, left_out=True), y[:, None]
    )
    place = {(unit.recording, unit.start): i for i, unit in enumerate(cohort.units)}
    names = [entry.id for entry in cohort.store.recordings]
    spans = zip(slices["slice_recording"].tolist(), slices["slice_start"].tolist(), strict=True)
    at = np.r_[test, [place[names[r], start] for r, start in spans]].astype(int)
    role = np.r_[np.full(len(test), -1), slices["slice_role"]]
    labels = np.r_[np.full(len(test), np.nan), slices["slice_y"][:, 0]]
    rows, own = PersonalRows(subject[at], role, labels, np.ones(len(at))), x[at]
    adapter = EstimatorAdapter(estimator, training, rows, own, len(target.columns))
    return PersonalPredictions(target, rows, adapter, own.__getitem__, np.arange(len(at)))(np.arange(len(test)))


def judged(world: World, given: Given, seeds: Sequence[int]) -> Scores:
    """The scores of a drawn world, with the confound-only models of what is given alone: the others take most of the
    time."""
    cohort, target, rows, known = world.cohort, world.target, [], {}
    label = cohort.label[target.name]
    for of in (of_fold for seed in seeds for of_fold in predictions(world, given, seed)):
        about, train = unit_columns(of, cohort, of.units), np.array(of.train, np.int64)
        task = ConfoundTask(target, cohort.units, label, train, of.units, {}, cohort.sessions, None, of.seed)
        made = {
            MODEL: (of.score, of.decision),
            **predict_from_calibration_data(task, cohort.slices, cohort.placed, given),
        }
        made |= {name: decide(target, score[:, None], PROTOCOL) for name, score in of.beside.items()}
        rows += [prediction_rows(name, target, about, *each) for name, each in made.items()]
        for i, unit in zip(of.units.tolist(), cohort.select_units(of.units), strict=True):
            known[i] = (unit.subject, unit.recording, unit.id, target.name, ANY_SEED, label[i], label[i])
    return compute_scores(
        Predictions.concatenate(rows),
        Labels(
            {
                name: np.array(column)
                for name, column in zip(Labels.FIXED, zip(*known.values(), strict=True), strict=True)
            }
        ),
        targets=[target],
        protocol=PROTOCOL,
        design=cohort.design,
        groups=cohort.groups,
        unit_length_s=cohort.length_s,
        sessions=cohort.sessions,
    )


def trials(design: str, world: str, folder: Path, size: float = 1.0) -> Iterator[dict[str, Any]]:
    """What is found in each draw: the target's part of `personal` of `scores.json`."""
    made, draw = cohort_of(design, folder), 0
    while True:
        rng = np.random.default_rng([list(DESIGNS).index(design), list(WORLDS).index(world), draw])
        drew = drawn(rng, design, world, made, size)
        found = judged(drew, GIVEN[design], SEEDS[design]).get_calibration_gain(drew.target.name)
        assert found is not None
        yield dict(found)
        draw += 1


def main(draws: int, cells: Sequence[str]) -> int:
    """Prints what is said in so many draws of each design and world: 1 where it is too seldom right, or too often
    wrong."""
    rows, wrong = [], False
    with tempfile.TemporaryDirectory() as folder:
        for design in DESIGNS:
            for world, truth in WORLDS.items():
                if cells and design not in cells:
                    continue
                said = Counter(found["source"] for found in islice(trials(design, world, Path(folder)), draws))
                false = sum(said[verdict] for verdict in FALSE[world])
                rows.append([design, world, *(said[verdict] for verdict in WORLDS.values())])
                print(tabulate(rows[-1:], tablefmt="plain"), flush=True)
                wrong |= said[truth] < TOLD * draws or false > 0.05 * draws
    print(tabulate(rows, ["design", "own part", *WORLDS.values()], "github"))
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
