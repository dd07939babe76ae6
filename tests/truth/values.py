"""What the verdict on values holds constant, on the units of generated cohorts whose labels and predictions are drawn:
`python -m tests.truth.values 20` prints a line for each bundled dataset with values."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d
from tabulate import tabulate

from embench import registry
from embench.data.cohort import Cohort, build_cohort
from embench.data.find import find_source
from embench.interfaces.units import Target
from embench.protocols import Fold, load_protocol
from embench.records.predictions import MODEL
from embench.statistics.estimates import estimate
from embench.statistics.evaluation import FoldPredictions, prediction_rows, score_predictions, unit_columns
from embench.statistics.intervals import Estimate, leave_one_out
from embench.statistics.joined import Joined, shared_stimuli, units_of
from embench.statistics.scores import choose_primary_metric, with_interval_of

PROTOCOL = load_protocol("subject-independent-v4")
SUBJECTS = {"wesad": 15}
"""24 of the others; the release has no more."""
MADE = {
    "amigos": ("arousal_value", 12), "amigos/long": ("arousal_value", 12), "amigos/external": ("arousal_value", 40),
    "deap": ("arousal_value", 9), "case": ("arousal_value", 900), "k_emocon": ("arousal_value", 300),
    "wesad": ("arousal_value", 300), "hku956": ("arousal_value", 20), "wearable_stress": ("rating", 900),
    "faced": ("amusement_value", 12), "emoeeg_mc": ("arousal_value", 4),
}  # fmt: skip
"""Dataset -> the target, and the seconds of a generated recording or session."""
ASKED = ("clock", "mixture", "own part")
"""Predictions of which it is asked whether they add."""
LAG = 2
"""Units by which the copy of the others' mean is late."""


@dataclass(frozen=True)
class Drawn:
    """Labels and predictions (n,) of a cohort's units. `nuisances` know nothing of the body of the person they predict;
    `known` know their own part."""

    y: np.ndarray
    nuisances: Mapping[str, np.ndarray]
    known: Mapping[str, np.ndarray]


def cohort_of(name: str, folder: Path) -> tuple[Cohort, Target]:
    """A generated cohort and its target. Its labels and signals are not used, its units and sessions are."""
    target, length_s = MADE[name]
    out, number = folder / name.partition("/")[0], SUBJECTS.get(name, 24)
    if not out.exists():
        registry.synthesizer(name)(out, subjects=number, seed=1, effect=0.0, length_s=length_s)
    store = find_source(name, folder).prepared(PROTOCOL, 1, None)
    card = find_source(name, folder).card
    (chosen,) = (t for t in card.targets if t.name == target)
    return build_cohort(store, card, (chosen,), None, PROTOCOL), chosen


def drawn(rng: np.random.Generator, cohort: Cohort, target: Target, folds: list[Fold]) -> Drawn:
    """Labels are a film's level and its curve, a clock, the subject's level, an own part of each subject, and noise."""
    labelled = np.flatnonzero(np.isfinite(cohort.label[target.name]))
    units = cohort.select_units(labelled.tolist())
    subject, film, recording = (
        np.unique([getattr(unit, name) for unit in units], return_inverse=True)[1]
        for name in ("subject", "stimulus", "recording")
    )
    length = cohort.length_s if np.isfinite(cohort.length_s) else np.inf
    moment = np.floor([unit.start / length + 1e-6 for unit in units]).astype(int)
    minutes = np.nan_to_num([unit.start_s for unit in units]) / 60

    level = rng.normal(size=subject.max() + 1)[subject]
    films = rng.normal(size=film.max() + 1)[film]
    curve = films + _smooth(rng, (film.max() + 1, moment.max() + 1))[film, moment]
    late = minutes / (minutes.max() or 1.0)
    clock = 2 * rng.normal() * late + rng.normal() * np.sin(np.pi * late)
    own = _smooth(rng, (recording.max() + 1, moment.max() + 1))[recording, moment]
    made = level + curve + clock + 1.2 * own + 0.5 * rng.normal(size=len(units))
    low, high = target.scale or (-3.0, 3.0)
    y = np.clip((low + high) / 2 + (high - low) / 8 * made, low, high)

    lagged = np.zeros(len(units))
    group = np.array([unit.group for unit in units])
    tested = {unit: fold.index for fold in folds for unit in fold.test}
    fold_of = np.array([tested.get(unit.id, -1) for unit in units])
    for i in range(len(units)):
        others = (fold_of != fold_of[i]) & (group != group[i]) & (film == film[i])
        at = others & (moment == max(0, moment[i] - LAG))
        lagged[i] = y[at].mean() if at.any() else y.mean()
    nuisances = {"film": curve, "clock": clock, "subject": level, "others, late": lagged}
    weights = rng.uniform(0.2, 1.0, len(nuisances))
    mixture = sum(w * part / (part.std() or 1.0) for w, part in zip(weights, nuisances.values(), strict=True))
    gain = np.exp(0.3 * rng.normal(size=subject.max() + 1))[subject]
    nuisances["mixture"] = gain * mixture + 0.2 * rng.normal(size=len(units))
    noisy = own + rng.normal(size=len(units))
    known = {"own part": noisy, "own part and mixture": noisy + 0.7 * nuisances["mixture"]}

    def whole(values: np.ndarray) -> np.ndarray:
        every = np.full(len(cohort.units), np.nan)
        every[labelled] = values
        return every

    return Drawn(whole(y), {k: whole(v) for k, v in nuisances.items()}, {k: whole(v) for k, v in known.items()})


def _smooth(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    made = gaussian_filter1d(rng.normal(size=shape), 1.0, axis=1) if shape[1] > 1 else rng.normal(size=shape)
    return np.asarray(made / (made.std() or 1.0))


def scored(cohort: Cohort, target: Target, folds: list[Fold], y: np.ndarray, score: np.ndarray) -> tuple[str, Any]:
    """The primary metric's name, and its estimate for one seed's predictions or why there is none."""
    of_folds = {}
    for fold in folds:
        at = cohort.find_positions(fold.test)
        at = at[np.isfinite(y[at])]
        made = FoldPredictions(target, 0, fold.index, at, None, score[at], score[at])
        rows = prediction_rows(MODEL, target, unit_columns(made, cohort, at), score[at], score[at])
        of_folds[fold.index] = units_of(rows, y[at], target, cohort.groups, cohort.length_s, cohort.sessions)
    joined = Joined({0: of_folds})
    name = choose_primary_metric(target, PROTOCOL, cohort.design, joined)
    jackknife = leave_one_out(joined.tested_subjects(), cohort.groups, shared_stimuli(cohort.design, joined))
    return name, with_interval_of(name, estimate(name, joined, target, jackknife)[0])


def adjusted(cohort: Cohort, target: Target, folds: list[Fold], score: np.ndarray) -> bool:
    """True if predictions for all units are said to add to clock and movement."""
    made = [
        FoldPredictions(
            target, 0, fold.index, at, tuple(cohort.find_positions(fold.train).tolist()), score[at], score[at]
        )
        for fold in folds
        if len(at := cohort.find_positions(fold.test))
    ]
    found = score_predictions(made, cohort, PROTOCOL).scores["adjusted"][target.name]
    return "undefined" not in found and bool(found["levels"][found["decisive_level"]]["associated"])


def findings(name: str, folder: Path, draws: int) -> dict[str, list[tuple[str, Any, bool | None]]]:
    """Prediction -> the primary metric's name and estimate in each draw, and of two predictions whether they add."""
    cohort, target = cohort_of(name, folder)
    found: dict[str, list[tuple[str, Any, bool | None]]] = {}
    for k in range(draws):
        folds = cohort.folds(PROTOCOL, k)
        drew = drawn(np.random.default_rng([k, len(name)]), cohort, target, folds)
        own = replace(cohort, label={target.name: drew.y}, raw={target.name: drew.y})
        for what, score in {**drew.nuisances, **drew.known}.items():
            added = adjusted(own, target, folds, score) if what in ASKED else None
            found.setdefault(what, []).append((*scored(own, target, folds, drew.y, score), added))
    return found


def is_above(found: Estimate) -> bool:
    """True if the interval lies above chance."""
    return found.low is not None and found.low > 0.5


def _cell(made: list[tuple[str, Any, bool | None]]) -> str:
    known = [found for _, found, _ in made if isinstance(found, Estimate)]
    told = f"{np.mean([found.mean for found in known]):.3f} ({sum(map(is_above, known))})".lstrip("0") if known else "-"
    added = [adjusted for *_, adjusted in made if adjusted is not None]
    return f"{told}, adds {sum(added)}" if added else told


def main(draws: int, *names: str) -> None:
    """Prints the table: the mean primary metric, in how many draws its interval lies above .5, and in how many it
    adds."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names or MADE:
            found = findings(name, Path(folder) / name.replace("/", "-"), draws)
            row = [name, MADE[name][0], found["film"][0][0], *map(_cell, found.values())]
            head = ["dataset", "target", "primary_metric", *found]
            print(tabulate([row], head, "github", disable_numparse=True), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
