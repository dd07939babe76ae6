"""False alarms of detectors of stress where nobody is stressed: `python -m bench.exercise`.

A detector is an estimator on features, trained on the stress sessions of `wearable_stress` in the folds of `PROTOCOL`.
For each seed and fold it is applied to the stress and the aerobic session of the fold's test subjects, none of whose
sessions trained it. Features of both sessions are normalised by the statistics of the subject's stress session.

Threshold. It is where the fold's training subjects have a sensitivity of `SENSITIVITY` on average, by predictions of
models that did not see them: the training subjects are dealt into `PARTS`, and each part is predicted by a model of the
others. So no prediction behind it is in-sample, and none is of a test subject. These models learn from fewer subjects
than the one that the threshold is for, whose scores may lie otherwise; the realised sensitivity shows what comes of it.

False alarms. A unit is positive where its score reaches the threshold, and an alarm is a run of consecutive positive
units of one state: an alarm that lasts half an hour is one. Alarms a minute are per minute of recording in the state.
Figures are means over subjects, of each the mean over seeds, with t intervals over groups of subjects who rode
together. A unit without any signal counts nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from bench import ROOT
from bench.adjusted import with_data_root
from bench.boards.published import figure
from bench.boards.rows import FAST
from bench.markdown import table
from embench.data.cohort import Cohort
from embench.data.find import find_source
from embench.engine.assemble import compute_encoder_features, standardise
from embench.engine.feed import Data, FeatureFeed, mask_dropped_features
from embench.engine.fits import feature_rows, refit_estimator
from embench.engine.rows import (
    StoreSource,
    all_anchors,
    by_recording,
    load_encoder,
    require_view,
    stage_view,
    view_length,
)
from embench.engine.stage import FusionParams, Part, Stage
from embench.errors import CheckFailed
from embench.files import snapshot, write_text
from embench.interfaces.metric import Undefined
from embench.interfaces.tokens import InputSpec
from embench.interfaces.units import View
from embench.planning.graph import TRAIN, locate_data, make_all_units, make_source_spec
from embench.planning.plan import Plan, make
from embench.planning.request import Request
from embench.statistics.confound_only import CONFOUND_ONLY, ConfoundTask
from embench.statistics.intervals import mean_over_subjects
from embench.statistics.nuisance_movement import movement_features
from embench.store import derive
from embench.system import installed_version, limited_threads

STRESS, EXERCISE = "wearable_stress", "wearable_stress/exercise"
PROTOCOL, SEEDS = "subject-independent-v4", tuple(range(6))
SENSITIVITY, PARTS = 0.8, 5
RESULTS = ROOT / "docs" / "boards" / "exercise.json"
MOVEMENT = "movement"
ESTIMATORS = ("logreg", "linear_svm", "svm", "lda", "naive_bayes", "knn", "forest", "boosting", "mlp")


class Row(NamedTuple):
    """A detector: an estimator on `handcrafted` features of some modalities, or the control `MOVEMENT`."""

    method: str
    modalities: str


ROWS = (
    Row(MOVEMENT, "acc"),
    *(Row(name, "acc") for name in FAST),
    *(Row(name, modalities) for modalities in ("ppg,eda,temp", "ppg") for name in ESTIMATORS),
)
"""Runs, in the order in which they are made and shown."""

TASK, STRESS_REST, RIDE, RIDE_REST = "task", "rest of the stress session", "exercise", "rest of the aerobic session"
STATES = (TASK, RIDE, RIDE_REST, STRESS_REST)
SHARE, A_MINUTE = "share", "a minute"

Learner = Callable[[Stage[FusionParams]], tuple[np.ndarray, np.ndarray]]
"""Scores of all units of the stress sessions (n,), and of the aerobic sessions (m,), by a model of a stage's training
units; NaN where a unit has no signal."""


@dataclass(frozen=True, eq=False)
class Sessions:
    """The n units of all sessions of one kind, and of each the subject and the state, empty where it has none."""

    cohort: Cohort
    subject: np.ndarray
    state: np.ndarray

    @classmethod
    def of(cls, cohort: Cohort, states: Mapping[str, np.ndarray]) -> Sessions:
        """The units of a cohort, with each state where its array (n,) is true."""
        names = np.full(len(cohort.units), "", dtype="U32")
        for name, where in states.items():
            names[where] = name
        return cls(cohort, np.array([unit.subject for unit in cohort.units]), names)


# The two kinds of sessions, and the detectors on them


def read_sessions(plan: Plan, data_root: Path) -> tuple[Sessions, Sessions]:
    """The stress sessions of a plan, and the aerobic ones. The rest of an aerobic session is without the warm-up, and
    where the two targets of the reader disagree, a unit has no state but exercise."""
    rides = find_source(EXERCISE, data_root).cohort(plan.protocol, "exercise,work")
    stress = plan.test.label["stress"]
    return (
        Sessions.of(plan.test, {TASK: stress == 1, STRESS_REST: stress == 0}),
        Sessions.of(rides, {RIDE: rides.label["exercise"] == 1, RIDE_REST: rides.label["work"] == 0}),
    )


def planned(row: Row, data_root: Path, seeds: Sequence[int] = SEEDS) -> Plan:
    """The plan of a row's run on the stress sessions, of which no stage is run; that of the control is for its folds
    alone."""
    fusion = FAST[0] if row.method == MOVEMENT else row.method
    return make(
        Request(
            STRESS,
            encoders=("handcrafted",),
            fusion=fusion,
            modalities=row.modalities,
            protocol=PROTOCOL,
            targets="stress",
            recipe="small",
            seeds=tuple(seeds),
            device="cpu",
            data_root=data_root,
        )
    )


def learner_of(row: Row, plan: Plan, stress: Sessions, rides: Sessions) -> Learner:
    """Returns the learner that fits a row's model and applies it to all units of both kinds of sessions."""
    if row.method == MOVEMENT:
        return partial(_by_movement, stress.cohort, rides.cohort)
    here, there = (features(plan, of, stress) for of in (stress, rides))

    def learner(stage: Stage[FusionParams]) -> tuple[np.ndarray, np.ndarray]:
        estimator, specs = refit_estimator(stage)
        return _applied(estimator, specs, here), _applied(estimator, specs, there)

    return learner


def fitted_stages(plan: Plan) -> list[Stage[FusionParams]]:
    """The stages that fit an estimator, in the order of the plan's predictions."""
    stages = plan.graph.stages
    return [stages[stages[expected.stage].inputs["fitted"]] for expected in plan.graph.predictions]


def features(plan: Plan, of: Sessions, stress: Sessions) -> dict[str, FeatureFeed]:
    """A plan's features of all units of some sessions, z-scored by the statistics of their subject's stress session;
    those of the stress sessions are as the engine makes them. A subject without a stress session has none."""
    if plan.protocol.normalise != "subject_unlabelled":
        raise CheckFailed("the protocol does not normalise by the subject", where=plan.protocol.name)
    params, found = fitted_stages(plan)[0].params, {}
    views = {m: require_view(load_encoder(part), part.name) for m, part in params.modalities.items()}
    own = stage_view(params.recipe.view, [*views.values()])
    for m, part in params.modalities.items():
        encoder, length_s = load_encoder(part), view_length(views[m], stress.cohort.longest_s, stress.cohort.shortest_s)
        values, known = (
            _as_computed(plan, sessions.cohort, m, part, own, views[m], length_s) for sessions in (of, stress)
        )
        shared = encoder.shared_axes(derive.name_for(encoder, m))
        values = standardise(values, of.subject, known, stress.subject, shared)
        found[m] = FeatureFeed(torch.from_numpy(values), np.isfinite(values).any(1), "cpu")
    return found


def _as_computed(plan: Plan, cohort: Cohort, m: str, part: Part, own: View, view: View, length_s: float) -> np.ndarray:
    """(n, features) of a cohort's units, not normalised."""
    source = StoreSource.from_spec(make_source_spec(plan.protocol, cohort), locate_data(cohort), make_all_units(cohort))
    grid = all_anchors(source, own)
    table = compute_encoder_features(source.store, m, load_encoder(part), part.code, grid, view, length_s, False)
    values = np.full((len(grid), *next(iter(table.values())).shape[1:]), np.nan, np.float32)
    for recording, at in by_recording(grid).items():
        values[at] = table.get(source.store.recordings[recording].id, np.nan)
    return values


def _applied(estimator: Any, specs: Mapping[str, InputSpec], feeds: Mapping[str, FeatureFeed]) -> np.ndarray:
    """(n,) an estimator's scores of units, without the features that its training units told to drop."""
    size = len(next(iter(feeds.values())).present)
    data = Data({m: mask_dropped_features(feed, specs[m]) for m, feed in feeds.items()}, size, "cpu")
    there, scores = data.present.any(1), np.full(size, np.nan)
    scores[there] = estimator.score(feature_rows(data)[there])
    return scores


def _by_movement(stress: Cohort, rides: Cohort, stage: Stage[FusionParams]) -> tuple[np.ndarray, np.ndarray]:
    """The scores of the control `movement`, by its own features, as they are, and its own trees."""
    units = (*stress.units, *rides.units)
    position = {(unit.recording, unit.start): i for i, unit in enumerate(stress.units)}
    recordings = [entry.id for entry in stress.store.recordings]
    trained = stage.task["role"] == TRAIN
    at = zip(stage.task["recording"][trained].tolist(), stage.task["start"][trained].tolist(), strict=True)
    train = np.array([position[recordings[r], start] for r, start in at])
    (target,) = stress.targets
    y = np.concatenate([stress.label[target.name], np.full(len(rides.units), np.nan)])
    moved = np.concatenate([movement_features(cohort) for cohort in (stress, rides)])
    task = ConfoundTask(target, units, y, train, np.arange(len(units)), {}, {}, moved, 0)
    said = CONFOUND_ONLY[MOVEMENT](task)
    if isinstance(said, Undefined):
        raise CheckFailed(said.reason, where=MOVEMENT)
    return said[0][: len(stress.units)], said[0][len(stress.units) :]


# Thresholds and alarms


def threshold_of(scores: np.ndarray, subject: np.ndarray, sensitivity: float = SENSITIVITY) -> float:
    """The highest threshold that units reach with this `sensitivity` at least, on average over subjects.

    Args:
        scores: (n,) of positive units. `subject`: (n,) whose they are.
    """
    _, code, count = np.unique(subject, return_inverse=True, return_counts=True)
    order = np.argsort(-scores, kind="stable")
    reached = np.cumsum((1 / count[code] / len(count))[order])
    return float(scores[order][np.searchsorted(reached, sensitivity - 1e-9)])


def alarms(positive: np.ndarray, recording: np.ndarray, start: np.ndarray, length_s: float) -> int:
    """The number of runs of consecutive positive units among units (n,) in order of time."""
    follows = (recording[1:] == recording[:-1]) & (np.abs(start[1:] - start[:-1] - length_s) < 1e-3)
    goes_on = np.concatenate([[False], positive[:-1] & follows])
    return int((positive & ~goes_on).sum())


def crossed_scores(stage: Stage[FusionParams], stress: Sessions, learner: Learner) -> np.ndarray:
    """(n,) scores of the units of a stage's training subjects by models that did not see them; NaN for all others."""
    subjects, scores = trained_on(stage, stress.cohort), np.full(len(stress.subject), np.nan)
    dealt = np.random.default_rng([stage.description["seed"], stage.description["fold"]]).permutation(subjects)
    for part in np.array_split(dealt, min(PARTS, len(dealt))):
        own = np.isin(stress.subject, part)
        scores[own] = learner(left_out(stage, stress.cohort, part.tolist()))[0][own]
    return scores


def trained_on(stage: Stage[FusionParams], cohort: Cohort, role: int = TRAIN) -> list[str]:
    """The subjects of a stage's units with this role."""
    recordings = stage.task["recording"][stage.task["role"] == role]
    return sorted({cohort.store.recordings[r].subject for r in recordings.tolist()})


def left_out(stage: Stage[FusionParams], cohort: Cohort, subjects: Iterable[str]) -> Stage[FusionParams]:
    """A stage without the units of some subjects."""
    gone = set(subjects)
    stays = np.array([cohort.store.recordings[r].subject not in gone for r in stage.task["recording"].tolist()])
    own = {name: array[stays] for name, array in stage.task.items() if not name.startswith("all_")}
    return replace(stage, task={**stage.task, **own})


def measured(plan: Plan, stress: Sessions, rides: Sessions, learner: Learner) -> dict[str, dict[str, np.ndarray]]:
    """State -> figure -> (seeds, subjects) values, NaN where a subject has no unit of the state; the subjects are those
    of the plan, sorted. Raises CheckFailed where a test subject is among those who trained."""
    subjects, seeds = plan.test.subjects, list(plan.folds)
    found = {
        state: {name: np.full((len(seeds), len(subjects)), np.nan) for name in (SHARE, A_MINUTE)} for state in STATES
    }
    for expected, stage in zip(plan.graph.predictions, fitted_stages(plan), strict=True):
        tested = {plan.test.units[i].subject for i in expected.units}
        seen = {plan.test.store.recordings[r].subject for r in stage.task["recording"].tolist()}
        if tested & seen:
            raise CheckFailed(f"{', '.join(sorted(tested & seen))} trained their own model", where=stage.title)
        crossed = crossed_scores(stage, stress, learner)
        known = np.isfinite(crossed) & (stress.state == TASK)
        threshold = threshold_of(crossed[known], stress.subject[known])
        for sessions, scores in zip((stress, rides), learner(stage), strict=True):
            columns, length_s = sessions.cohort.columns, sessions.cohort.length_s
            for subject in tested:
                for state in set(STATES) & set(sessions.state):
                    at = (sessions.subject == subject) & (sessions.state == state) & np.isfinite(scores)
                    if at.any():
                        positive = scores[at] >= threshold
                        runs = alarms(positive, columns["recording"][at], columns["start"][at], length_s)
                        cell = seeds.index(expected.seed), subjects.index(subject)
                        found[state][SHARE][cell] = positive.mean()
                        found[state][A_MINUTE][cell] = runs / (at.sum() * length_s / 60)
    return found


# What is kept and shown


def summary(plan: Plan, stress: Sessions, rides: Sessions, learner: Learner) -> dict[str, Any]:
    """The minutes of all subjects in each state; of each figure the mean over subjects, its interval, and the number of
    subjects who have it."""
    groups = np.array([rides.cohort.groups.get(subject, subject) for subject in plan.test.subjects])
    found: dict[str, Any] = {}
    for state, figures in measured(plan, stress, rides, learner).items():
        sessions = rides if state in (RIDE, RIDE_REST) else stress
        minutes = (sessions.state == state).sum() * sessions.cohort.length_s / 60
        found[state] = {"minutes": round(float(minutes), 1)}
        for name, values in figures.items():
            there = np.isfinite(values).any(0)
            own = np.full(values.shape[1], np.nan)
            own[there] = np.nanmean(values[:, there], axis=0)
            estimate = mean_over_subjects(own, groups)
            if not isinstance(estimate, Undefined):
                numbers = {key: getattr(estimate, key) for key in ("mean", "low", "high")}
                found[state][name] = {
                    **{key: None if value is None else round(value, 6) for key, value in numbers.items()},
                    "subjects": estimate.subjects,
                }
    return found


def versions(row: Row, plan: Plan, rides: Sessions) -> dict[str, Any]:
    """Versions of all that a row's figures depend on beside this module."""
    libraries = {name: installed_version(name) for name in ("embench", "numpy", "scikit-learn")}
    data = {name: each.store.key for name, each in ((STRESS, plan.test), (EXERCISE, rides.cohort))}
    code = {} if row.method == MOVEMENT else {name: part.code for name, part in plan.method.parts()}
    return {**libraries, "protocol": PROTOCOL, "seeds": list(plan.folds), "data": data, "code": code}


def kept() -> dict[Row, dict[str, Any]]:
    """The rows that were run."""
    read = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else []
    return {Row(each["method"], each["modalities"]): each for each in read}


def false_alarms() -> str:
    """The table of `docs/boards/exercise.md`: of each detector the sensitivity, and the false alarms in each state."""
    known, lines = kept(), []
    for row in [each for each in ROWS if each in known]:
        figures = known[row]["figures"]
        cells = [_shown(figures[state][name]) for state in STATES[1:] for name in (SHARE, A_MINUTE)]
        lines.append([row.modalities.replace(",", ", "), row.method, _shown(figures[TASK][SHARE]), *cells])
    heads = [f"{state}: {name}" for state in STATES[1:] for name in ("share of units", "alarms a minute")]
    return table(["signals", "detector", "sensitivity on stress tasks", *heads], lines)


def minutes() -> str:
    """The table of the minutes of each state."""
    figures = next(iter(kept().values()))["figures"]
    lines = [[state, str(figures[state][SHARE]["subjects"]), f"{figures[state]['minutes']:,.0f}"] for state in STATES]
    return table(["state", "subjects", "minutes"], lines)


def _shown(number: Mapping[str, Any]) -> str:
    return f"{figure(number['mean'], '.2f')} [{figure(number['low'], '.2f')}, {figure(number['high'], '.2f')}]"


def main() -> None:
    parser = with_data_root("Runs the rows that are not there yet, and writes what they show.")
    methods = list(dict.fromkeys(row.method for row in ROWS))
    parser.add_argument("--only", choices=methods, action="append", metavar="METHOD", help="may be repeated")
    chosen = parser.parse_args()
    for row in ROWS:
        if chosen.only and row.method not in chosen.only:
            continue
        with snapshot(), limited_threads(1):
            plan = planned(row, chosen.data_root)
            stress, rides = read_sessions(plan, chosen.data_root)
            made = versions(row, plan, rides)
            rows = kept()
            if rows.get(row, {}).get("versions") != made:
                figures = summary(plan, stress, rides, learner_of(row, plan, stress, rides))
                rows = {**kept(), row: {**row._asdict(), "figures": figures, "versions": made}}  # others write, too
                content = [rows[each] for each in ROWS if each in rows]
                write_text(RESULTS, json.dumps(content, indent=1) + "\n")
        print(row.method, row.modalities, _shown(rows[row]["figures"][RIDE][SHARE]), flush=True)


if __name__ == "__main__":
    main()
