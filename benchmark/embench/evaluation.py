"""Joins predictions with labels and controls: what `scores.json` is made of. Only `run` uses this module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from embench import registry
from embench.engine.stage import Folder
from embench.errors import DataError
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target, Units
from embench.planning.cohort import Cohort
from embench.planning.graph import Answer
from embench.planning.plan import Plan
from embench.protocols import connected_groups, roles
from embench.results.controls import CONTROLS, control_scores, control_values
from embench.results.predictions import ANY_SEED, MODEL, Labels, Predictions
from embench.results.scores import score
from embench.store import Store


@dataclass(frozen=True)
class Evaluated:
    """What a run's record holds of its answers: predictions of the model and of every control, labels, scores."""

    predictions: Predictions
    labels: Labels
    scores: dict[str, Any]


def evaluate(plan: Plan, stages: Path) -> Evaluated:
    """The scores of a plan whose stages are all done: of test people, or of validation people under `--dev`."""
    cohort = plan.fit if plan.request.dev else plan.test
    movement = movement_of(cohort)
    parts: list[Predictions] = []
    reasons: dict[str, dict[str, str]] = {t.name: {} for t in cohort.targets}
    seen: set[tuple[int, str, int]] = set()
    absent: dict[str, set[int]] = {t.name: set() for t in cohort.targets}
    picked: list[dict[str, Any]] = []
    for answer in plan.graph.answers:
        with np.load(Folder(stages, answer.stage).file("predictions.npz")) as arrays:
            table, every = arrays["score"], arrays.get("epochs")
        at = 0
        for target in answer.targets:
            own = slice(at, at + target.outputs)
            at = own.stop
            columns = table[:, own]
            if every is not None:
                epoch = _peak(plan, cohort, target, answer, every[:, :, own])
                columns = every[epoch][:, own]
                picked.append(
                    {"target": target.name, "seed": answer.seed, "fold": answer.fold, "epoch": epoch, "of": len(every)}
                )
            # Folds share validation people: under --dev each is scored once a seed, by the first fold that has them.
            first = np.array([(answer.seed, target.name, i) not in seen for i in answer.units], bool)
            seen |= {(answer.seed, target.name, i) for i in answer.units}
            known = np.isfinite(columns[:, 0])
            absent[target.name] |= {answer.units[i] for i in np.flatnonzero(~known)}
            there = known & first
            if not there.any():
                continue
            index = np.array(answer.units, np.int64)[there]
            values = columns[there] if target.kind == "classes" else columns[there, 0]
            decided = values.copy() if target.kind == "value" else plan.protocol.decision(values)
            parts.append(_rows(MODEL, target, answer, cohort, index, values, decided))
            for name, control in _controls(plan, cohort, target, answer, index, movement).items():
                if isinstance(control, Undefined):
                    reasons[target.name].setdefault(name, control.reason)
                else:
                    parts.append(_rows(name, target, answer, cohort, index, *control))
    if not parts:
        raise DataError("no unit has any of the modalities: nothing was predicted", where=plan.id)
    predictions = Predictions.concatenate(parts)
    labels = labels_of(cohort, plan.graph.answers)
    scores = score(
        predictions,
        labels,
        targets=cohort.targets,
        protocol=plan.protocol,
        card=cohort.card,
        groups=cohort.groups,
        unit_length_s=cohort.length_s,
        not_applicable=reasons,
    )
    scores["absent"] = {name: len(units) for name, units in absent.items()}
    if picked:
        scores["picked_epochs"] = picked
    if cuts := _fitted_cuts(plan):
        scores["cuts"] = cuts
    return Evaluated(predictions, labels, scores)


def _peak(plan: Plan, cohort: Cohort, target: Target, answer: Answer, every: np.ndarray) -> int:
    """The first epoch whose answers `every` (epochs, units, n_out) score best on the labels of the very units that are
    scored, by the protocol's headline; the last one where it is undefined in all."""
    metric = registry.load("metric", plan.protocol.headline_for(target.kind, cohort.card.fixed_order))()
    index = np.array(answer.units, np.int64)
    y = cohort.labels(target, answer.train)[index]
    known = np.isfinite(y) & np.isfinite(every[0, :, 0])
    units = [cohort.units[i] for i in index[known]]
    like = Units(
        kind=target.kind,
        y_true=y[known],
        score=every[0, known],
        decision=every[0, known],
        subject=np.array([u.subject for u in units], dtype=np.str_),
        stimulus=np.array([u.stimulus for u in units], dtype=np.str_),
        start_s=np.array([u.start_s for u in units]),
        fold=np.full(len(units), answer.fold),
        group=np.array([cohort.groups[u.subject] for u in units], dtype=np.str_),
        length_s=cohort.length_s,
    )
    values = np.full(len(every), np.nan)
    for epoch, table in enumerate(every):
        score = table[known] if target.kind == "classes" else table[known, 0]
        decision = score if target.kind == "value" else plan.protocol.decision(score)
        answered = replace(like, score=score, decision=decision)
        value = metric(answered)
        values[epoch] = np.nan if isinstance(value, Undefined) else value if metric.direction == "higher" else -value
    return len(every) - 1 if np.isnan(values).all() else int(np.nanargmax(values))


def _fitted_cuts(plan: Plan) -> list[dict[str, Any]]:
    """The cuts that the training parts of folds decided."""
    return [
        {"target": t.name, "seed": answer.seed, "fold": answer.fold, "cut": plan.fit.rule(t, answer.train).cut}
        for answer in plan.graph.answers
        for t in answer.targets
        if t.rule.cut == "training_mean"
    ]


def _rows(
    method: str,
    target: Target,
    answer: Answer,
    cohort: Cohort,
    index: np.ndarray,
    values: np.ndarray,
    decided: np.ndarray,
) -> Predictions:
    units = [cohort.units[i] for i in index]
    n = len(units)
    several = values.ndim == 2
    columns: dict[str, Any] = {
        "method": np.full(n, method),
        "target": np.full(n, target.name),
        "fold": np.full(n, answer.fold),
        "seed": np.full(n, answer.seed),
        "subject": np.array([u.subject for u in units], dtype=np.str_),
        "recording": np.array([u.recording for u in units], dtype=np.str_),
        "stimulus": np.array([u.stimulus for u in units], dtype=np.str_),
        "unit": np.array([u.id for u in units], dtype=np.str_),
        "start_s": np.array([u.start_s for u in units], np.float64),
        "score": np.full(n, np.nan) if several else values.astype(np.float32).astype(np.float64),
        "decision": decided,
    }
    if several:
        columns |= {f"score_{k}": values[:, k].astype(np.float32).astype(np.float64) for k in range(values.shape[1])}
    return Predictions(columns)


def _controls(
    plan: Plan, cohort: Cohort, target: Target, answer: Answer, index: np.ndarray, movement: np.ndarray | None
) -> dict[str, Any]:
    """Controls of a fold, fitted on the labels of its training people."""
    if plan.fit is not cohort:
        return dict.fromkeys(CONTROLS, Undefined("the method was trained on another dataset"))
    label, train = cohort.labels(target, answer.train), np.array(answer.train, np.int64)
    about: dict[str, Any] = {
        "durations": {entry.id: entry.duration_s for entry in cohort.store.recordings},
        "movement": movement,
        "seed": answer.seed,
    }
    if target.kind == "value":
        return dict(control_values(cohort.units, label, train, index, **about))
    return dict(control_scores(cohort.units, label, train, index, **about, classes=target.n))


def labels_of(cohort: Cohort, answers: Sequence[Answer]) -> Labels:
    """The labels of the answered units, raw and as the rule makes them; units without one are not listed. Where a
    fold's training part decides the cut, a label holds for its seed: that of the first fold that answers the unit."""
    rows: list[tuple[Any, ...]] = []
    for target in cohort.targets:
        raw = cohort.raw[target.name]
        if target.rule.cut == "training_mean":
            made: dict[tuple[int, int], float] = {}
            for answer in answers:
                if target in answer.targets:
                    label = cohort.labels(target, answer.train)
                    made = {**{(answer.seed, i): label[i] for i in answer.units}, **made}
        else:
            made = {(ANY_SEED, i): cohort.label[target.name][i] for answer in answers for i in answer.units}
        for (seed, i), known in sorted(made.items()):
            if np.isfinite(known):
                unit = cohort.units[i]
                rows.append((unit.subject, unit.recording, unit.id, target.name, seed, raw[i], known))
    return Labels({name: np.array([row[k] for row in rows]) for k, name in enumerate(Labels.FIXED)})


def movement_of(cohort: Cohort) -> np.ndarray | None:
    """(units, 3 x axes) mean, SD and range of the accelerometer in each unit, NaN where it is missing."""
    store: Store = cohort.store
    if "acc" not in store.modalities:
        return None
    array, entry = store.array("acc"), store.modalities["acc"]
    table = np.full((len(cohort.units), 3 * len(entry.channels)), np.nan)
    for i, unit in enumerate(cohort.units):
        span = store.recording(unit.recording).spans.get("acc")
        part = array[:, span.cut(unit.start, unit.stop, entry.rate)] if span else array[:, :0]
        if part.shape[1]:
            table[i] = np.concatenate([part.mean(1), part.std(1), np.ptp(part, axis=1)])
    return table


def fold_rows(plan: Plan) -> list[dict[str, Any]]:
    """The record of folds: who had which part; who was left out, why, and of nobody's fold where they have no label."""
    cohort = plan.fit
    units = [cohort.units[i] for i in cohort.eligible]
    reasons = {row["subject"]: f"left out: {row['reason']}" for row in plan.test.left_out}
    shown = plan.folds if plan.fit is plan.test else dict.fromkeys(plan.folds, ())
    rows: list[dict[str, Any]] = []
    for seed, folds in shown.items():
        rows += [
            {**r._asdict(), "seed": seed, "reason": reasons.get(r.subject, "")}
            for r in roles(units, folds, cohort.groups)
        ]
        if plan.fit is not plan.test:
            (fold,) = plan.folds[seed]
            rows += [
                {**r._asdict(), "seed": seed, "reason": ""}
                for r in roles(units, [replace(fold, test=())], cohort.groups)
            ]
            about = {"fold": 0, "role": "test", "seed": seed, "reason": ""}
            rows += [{"subject": s, "group": plan.test.groups[s], **about} for s in plan.test.people]
    groups = connected_groups([*plan.test.units, *plan.test.roster])
    for s in sorted(reasons.keys() - {row["subject"] for row in rows}):
        rows.append({"subject": s, "group": groups.get(s, s), "fold": "", "role": "", "seed": "", "reason": reasons[s]})
    return rows
