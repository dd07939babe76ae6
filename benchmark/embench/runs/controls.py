"""Scores that methods must beat: those of controls, which read no signals but the accelerometer's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embench.callbacks import ProgressCallback
from embench.data.cohort import build_cohort
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target
from embench.protocols import Given, Protocol
from embench.records.scores import Control
from embench.statistics import evaluation
from embench.statistics.controls import FOR_COMPARISON
from embench.statistics.fold_predictions import unpredicted
from embench.statistics.metrics import metric_facts
from embench.store import Store


def describe_controls(
    store: Store,
    card: Card,
    targets: Sequence[Target],
    protocol: Protocol,
    seeds: Sequence[int],
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """The controls of a dataset, fitted and scored in the folds of a run with these seeds. The numbers are those of a
    run's `scores.json`, if all subjects have any of the run's modalities; where a run says what test subjects give,
    those of one to which they give nothing.

    Args:
        progress: called with (folds whose controls are fitted, folds in all, the target).

    Returns:
        `headlines` {target: metric}; `controls` {control: {target: {metric: number}}} as in `Scores.content`; `best`
        {target: {metric: {"control": name, "mean": number}}}, the best of the controls that a method has to clear;
        `people` {target: how many} and `left_out` {target: [{"subject", "reason"}]}; and what the numbers are of:
        `dataset`, `synthetic`, `protocol`, `seeds`.

    Raises:
        UsageError: there is too little to split. DataError: nobody has a label. CheckFailed: the folds are not what
            the protocol declares.
    """
    found: dict[str, Any] = {
        "dataset": store.name,
        "synthetic": store.synthetic is not None,
        "protocol": protocol.name,
        "seeds": list(seeds),
        **{key: {} for key in ("people", "left_out", "headlines", "controls", "best")},
    }
    cohorts = [build_cohort(store, card, (target,), None, protocol) for target in targets]  # units differ by target
    blank = [list(unpredicted(cohort, protocol, seeds)) for cohort in cohorts]
    done, total = 0, sum(map(len, blank))

    def on_fold(of_target: int, _: int, name: str) -> None:
        if progress:
            progress(done + of_target, total, name)

    given = Given() if protocol.asks_given else None
    for target, cohort, folds in zip(targets, cohorts, blank, strict=True):
        scores = evaluation.score_predictions(folds, cohort, protocol, on_fold, method=False, given=given).scores
        done += len(folds)
        found["people"][target.name], found["left_out"][target.name] = len(cohort.subjects), list(cohort.excluded)
        found["headlines"] |= scores.headlines
        for name, by_target in scores.content["controls"].items():
            found["controls"].setdefault(name, {}).update(by_target)
        found["best"][target.name] = _best(scores.controls(target.name))
    return found


def _best(controls: Sequence[Control]) -> dict[str, dict[str, Any]]:
    """Metric -> the best control that is not for comparison, and its score; none where all are undefined."""
    best: dict[str, dict[str, Any]] = {}
    for control in controls:
        for metric, score in control.scores.items() if control.name not in FOR_COMPARISON else ():
            if score.defined:
                sign = 1 if metric_facts(metric).higher else -1
                if metric not in best or sign * score.mean > sign * best[metric]["mean"]:
                    best[metric] = {"control": control.name, "mean": score.mean}
    return best
