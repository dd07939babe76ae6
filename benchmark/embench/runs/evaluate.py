"""The predictions of a plan's stages, scored: the only place where `run` meets test labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from embench import registry
from embench.callbacks import EventCallback
from embench.data.cohort import Cohort
from embench.engine.stage import Folder
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target, Units
from embench.planning.graph import ExpectedPredictions
from embench.planning.plan import Plan, seconds_to_fit
from embench.protocols import SLICE_ONLY, roles
from embench.records.predictions import MODEL, Embeddings
from embench.records.scores import Scores
from embench.statistics import evaluation
from embench.statistics.evaluation import ConfoundAnalysis, Evaluation
from embench.statistics.fold_predictions import FoldPredictions, about_units, decide, prediction_rows
from embench.statistics.inside import WITHIN_SUBJECT_SCORES
from embench.statistics.joined import units_of


def evaluate(
    plan: Plan,
    stages: Path,
    on_event: EventCallback | None = None,
    *,
    first: Callable[[Evaluation], None] | None = None,
    placebo: bool = False,
) -> Evaluation:
    """The scores of a plan whose stages are all done: of test subjects, or of validation subjects under `--dev`.

    Args:
        first, placebo: see `ConfoundAnalysis`.

    Raises:
        DamagedError: predictions are not as they were written.
    """
    cohort = plan.fit if plan.request.dev else plan.test
    for stage in {id_ for each in plan.graph.predictions for id_ in each.stages}:
        Folder(stages, stage).check(whole=True)  # what a record is made of is read, whatever was compared before
    predictions, picked = fold_predictions(plan, stages)

    def whole(evaluated: Evaluation) -> Evaluation:
        return replace(evaluated, scores=Scores({**evaluated.scores, "picked_epochs": picked})) if picked else evaluated

    analysis = _Analysis(plan, cohort, on_event, lambda found: first(whole(found)) if first else None)
    found = evaluation.score_predictions(
        predictions,
        cohort,
        plan.protocol,
        whole=not plan.request.dev,
        proved=plan.method.time_context == "unit",
        confounds=ConfoundAnalysis(analysis.begin, analysis.step, placebo) if plan.request.confounds else None,
        given=plan.setting.given,
    )
    analysis.end()
    return whole(found)


@dataclass
class _Analysis:
    """The events of a plan's confound analysis; none where its models were fitted before."""

    plan: Plan
    cohort: Cohort
    on_event: EventCallback | None
    first: Callable[[Evaluation], None]
    total: int | None = None

    def begin(self, found: Evaluation) -> None:
        """Tells of the scores that are known before it, and how long it will take."""
        self.first(found)
        self.total = 0
        if self.on_event:
            seconds = seconds_to_fit(self.cohort, self.plan.protocol, self.plan.request.seed_list)
            self.on_event(
                {"event": "confounds", "done": 0, "total": None, "text": "reading movement", "seconds": seconds}
            )

    def step(self, begun: int, total: int, target: str) -> None:
        """Tells of a model that begins."""
        if self.on_event and self.total is not None:
            self.total = total
            self.on_event({"event": "confounds", "done": begun - 1, "total": total, "text": target, "seconds": None})

    def end(self) -> None:
        """Tells that it is over."""
        if self.on_event and self.total:
            self.on_event({"event": "confounds", "done": self.total, "total": self.total, "text": "", "seconds": 0.0})


def fold_predictions(plan: Plan, stages: Path) -> tuple[list[FoldPredictions], list[dict[str, Any]]]:
    """The predictions of a plan whose stages are all done, and under protocols that pick an epoch by its score, which
    one was picked in each fold."""
    cohort = plan.fit if plan.request.dev else plan.test
    predictions: list[FoldPredictions] = []
    predicted_units: set[tuple[int, str, int]] = set()
    picked: list[dict[str, Any]] = []
    for expected in plan.graph.predictions:
        with np.load(Folder(stages, expected.stage).file("predictions.npz")) as arrays:
            table, every = arrays["score"], arrays.get("epochs")
            beside = {SLICE_ONLY: arrays[SLICE_ONLY]} if SLICE_ONLY in arrays else {}
        for name, stage in expected.beside.items():
            with np.load(Folder(stages, stage).file("predictions.npz")) as arrays:
                beside[name] = arrays["score"]
        at = 0
        for target in expected.targets:
            own = slice(at, at + len(target.columns))
            at = own.stop
            columns = table[:, own]
            if every is not None:
                epoch = _peak(plan, cohort, target, expected, every[:, :, own])
                columns = every[epoch][:, own]
                picked.append(
                    {
                        "target": target.name,
                        "seed": expected.seed,
                        "fold": expected.fold,
                        "epoch": epoch,
                        "of": len(every),
                    }
                )
            # Folds share validation subjects: under --dev each is scored once a seed, by the first fold that has them.
            first = np.array([(expected.seed, target.name, i) not in predicted_units for i in expected.units], bool)
            predicted_units |= {(expected.seed, target.name, i) for i in expected.units}
            score, decision = decide(target, columns[first], plan.protocol)
            index = np.array(expected.units, np.int64)[first]
            train = expected.train if plan.fit is cohort else None
            others = {name: decide(target, of[:, own][first], plan.protocol)[0] for name, of in beside.items()}
            predictions.append(
                FoldPredictions(target, expected.seed, expected.fold, index, train, score, decision, others)
            )
    return predictions, picked


def embeddings_of(plan: Plan, stages: Path) -> Embeddings | None:
    """The hidden layers behind the predictions of a plan whose stages are all done, for each of a network's targets;
    None where no network predicted. A stage that was done before hidden layers were kept has none."""
    cohort, parts = plan.fit if plan.request.dev else plan.test, []
    for expected in plan.graph.predictions:
        with np.load(Folder(stages, expected.stage).file("predictions.npz")) as arrays:
            x = arrays.get("hidden")
        if x is None:
            continue
        known = np.flatnonzero(np.isfinite(x[:, 0]))
        unit = np.array([cohort.units[expected.units[i]].id for i in known], dtype=np.str_)
        n = len(known)
        for target in expected.targets:
            columns = (np.full(n, target.name), np.full(n, expected.fold), np.full(n, expected.seed))
            parts.append(Embeddings(*columns, unit, x[known]))
    return Embeddings.concatenate(parts) if parts else None


def _peak(plan: Plan, cohort: Cohort, target: Target, expected: ExpectedPredictions, every: np.ndarray) -> int:
    """The first epoch whose predictions `every` (epochs, units, columns) score best on the labels of the very units
    that are scored, by the protocol's headline; the last one where it is undefined in all.

    Where the headline follows from the design, it is taken as that of a free one: a fold alone has few of the
    comparisons that hold a clock or a stimulus constant. That of values in version 3 is no metric: it is `ccc` then.
    """
    headline = plan.protocol.headline_for(target.kind, "free")
    metric = registry.load("metric", target.traits.within if headline in WITHIN_SUBJECT_SCORES else headline)()
    known, like = labelled_in_fold(plan, cohort, target, expected, every[0])
    values = np.full(len(every), np.nan)
    for epoch, table in enumerate(every):
        score, decision = decide(target, table[known], plan.protocol)
        predictions = replace(like, score=score, decision=decision)
        value = metric(predictions)
        values[epoch] = np.nan if isinstance(value, Undefined) else value if metric.direction == "higher" else -value
    return len(every) - 1 if np.isnan(values).all() else int(np.nanargmax(values))


def labelled_in_fold(
    plan: Plan, cohort: Cohort, target: Target, expected: ExpectedPredictions, table: np.ndarray
) -> tuple[np.ndarray, Units]:
    """The predictions `table` (units, columns) of a target in one fold, of those units (n,) alone, as a mask, that have
    a label and a prediction."""
    index = np.array(expected.units, np.int64)
    y = cohort.labels(target, expected.train)[index]
    known = np.isfinite(y) & np.isfinite(table[:, 0])
    score, decision = decide(target, table[known], plan.protocol)
    own = FoldPredictions(target, expected.seed, expected.fold, index[known], None, score, decision)
    rows = prediction_rows(MODEL, target, about_units(own, cohort, own.units), score, decision)
    return known, units_of(rows, y[known], target, cohort.groups, cohort.length_s)


def fold_rows(plan: Plan) -> list[dict[str, Any]]:
    """The record of folds: the part of each subject; and the excluded subjects, with the reason and without a fold."""
    if plan.fit is plan.test:
        rows = evaluation.record_folds(plan.fit, plan.folds)
    else:
        cohort, rows = plan.fit, []
        units = cohort.of(cohort.eligible)
        for seed, (fold,) in plan.folds.items():
            trained = roles(units, [replace(fold, test=())], cohort.groups)
            rows += [{**row._asdict(), "seed": seed, "reason": ""} for row in trained]
            columns = {"fold": 0, "role": "test", "seed": seed, "reason": ""}
            rows += [{"subject": s, "group": plan.test.groups[s], **columns} for s in plan.test.subjects]
    return [*rows, *evaluation.excluded_rows(plan.test, rows)]
