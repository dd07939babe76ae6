"""Compute the content of a run's `scores.json` from predictions and labels alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Protocol, overload

import numpy as np

from embench import registry
from embench.files import digest
from embench.interfaces.kinds import KindName
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target, Units
from embench.protocols import CALIBRATION_NORMALISED, CALIBRATION_ONLY, NO_CALIBRATION, Design, Given, Placed, Slices
from embench.reasons import Reason
from embench.records.manifest import SCHEMA
from embench.records.predictions import MODEL, Labels, Predictions
from embench.records.scores import Scores
from embench.statistics import metric_facts
from embench.statistics.confound_only import (
    ConfoundPrediction,
    ConfoundTask,
    predict_from_proportions,
    predict_with_trees,
)
from embench.statistics.estimates import ScoreOrReason, estimate_all, load_metric, number_as_json, warn_of_slow_metrics
from embench.statistics.intervals import (
    LEVEL,
    Estimate,
    Jackknife,
    leave_one_out,
    paired_difference,
    training_overlap,
    widen,
    with_add_one_interval,
)
from embench.statistics.joined import Joined, join, shared_stimuli, varies_within_stimuli

# Gains from calibration data over each of `COMPARED`, see docs/guide/personal.md. `source` names the cause of the gain.
# A gain is shown if the interval of the paired difference lies wholly on the better side of 0.
#
# - `labels`: the primary metric is higher than without calibration data, with unlabelled data, for class proportions
#   and for the time since. All four must be shown, so that a false one passes by chance in 2.5 % at most.
# - `normalisation`: unlabelled calibration data are better than none, in the primary metric or in a score that depends
#   on the level (Brier, RMSE), each by chance in 2.5 % at most. A shift of a subject's level does not change
#   within-subject scores.
# - `not_shown`: neither is shown.
#
# A method need not be better than `calibration_only`, which also uses labels. The gain over it comes from other
# subjects' data.
#
# A method that trains on a session or blocks of its test subjects is compared with itself trained on other subjects
# alone (`no_calibration`), and with the last three. It is normalised as without calibration data. Comparisons that a
# file of predictions lacks are named, and the others decide.

CALIBRATION_CLASS_PROPORTIONS, TIME_SINCE_CALIBRATION = "calibration_class_proportions", "time_since_calibration"
"""Confound-only models of calibration data: one reads only labels (proportions of classes), the other only times
(seconds since the end of the calibration data)."""
COMPARED = (
    NO_CALIBRATION,
    CALIBRATION_NORMALISED,
    CALIBRATION_ONLY,
    CALIBRATION_CLASS_PROPORTIONS,
    TIME_SINCE_CALIBRATION,
)
"""Methods with which a method with calibration data is compared, in the order in which records list them."""
LEVEL_SCORES = {"binary": "brier", "classes": "brier", "value": "rmse"}
"""Kind of target -> a score that a shift of a subject's level can improve."""

Gain = Callable[[str, str, str], ScoreOrReason]
"""Function of the names of two methods and a score to their paired difference, first less second."""


def compute_calibration_gain(
    target: Target,
    primary_metric: str,
    methods: Mapping[str, object],
    gain: Gain,
    is_better: Callable[[Any, str], bool],
    absent: Collection[str] = (),
) -> dict[str, Any] | None:
    """Return the part `calibration_gain` of `scores.json` for a target; None if nothing in `COMPARED` was predicted.

    It holds the gain of the run's method over each of `COMPARED` that was predicted, and of normalisation by
    calibration data over no calibration data.

    Args:
        methods: mapping whose keys are the names of the scored methods, among them `model`, the run's own.
        gain: function that returns the difference of two methods in a score, see `Gain`.
        is_better: function that returns True if a difference in a score is an improvement.
        absent: names of methods that were not scored for a known reason."""
    compared = [name for name in COMPARED if name in methods]
    if not compared:
        return None
    missing = [name for name in COMPARED if name in absent]
    labelled = CALIBRATION_ONLY in compared or CALIBRATION_CLASS_PROPORTIONS in compared
    level = LEVEL_SCORES[target.kind]

    def gains(one: str, other: str) -> dict[str, Any]:
        by_score = {}
        for score in (primary_metric, level):
            difference = gain(one, other, score)
            better = not isinstance(difference, Undefined) and is_better(difference, score)
            by_score[score] = {"difference": number_as_json(difference), "above_zero": better}
        return by_score

    over = {name: gains("model", name) for name in compared}
    normalising = {} if labelled else over.get(NO_CALIBRATION, {})  # without labels, the method itself only normalises
    if CALIBRATION_NORMALISED in compared and NO_CALIBRATION in compared:
        normalising = gains(CALIBRATION_NORMALISED, NO_CALIBRATION)
    by_labels = labelled and all(over[name][primary_metric]["above_zero"] for name in over if name != CALIBRATION_ONLY)
    by_level = any(gap["above_zero"] for gap in normalising.values())
    return {
        "level_metric": level,
        "compared_with": over,
        "normalisation": normalising,
        "source": "labels" if by_labels else "normalisation" if by_level else "not_shown",
        **({"missing": missing} if missing else {}),
    }


def predict_from_calibration_data(
    task: ConfoundTask, slices: Slices, placed: Placed, given: Given | None
) -> dict[str, ConfoundPrediction]:
    """Return name -> predictions of the confound-only models of calibration data, for the test units of a fold. Empty
    without calibration data. `given`: the amount of calibration data; None if all of it is in the training set."""
    if given is not None and not given.units:
        return {}
    first = slices.rank > 0 if given is None else slices.select_given(given.units)
    since = _seconds_since(placed, first)
    learned = task.train[slices.scored[task.train] & np.isfinite(since[task.train])]
    predictions: dict[str, ConfoundPrediction] = {}
    if not len(learned):
        predictions[TIME_SINCE_CALIBRATION] = Undefined("unknown_time_since_calibration")
    else:
        predictions[TIME_SINCE_CALIBRATION] = predict_with_trees(replace(task, train=learned), since[:, None])
    if given is None or given.labelled:
        predictions[CALIBRATION_CLASS_PROPORTIONS] = _predict_calibration_proportions(task, placed, first)
    return predictions


def _seconds_since(placed: Placed, first: np.ndarray) -> np.ndarray:
    """Return (n,) the seconds from the end of a subject's calibration data to the unit's start, NaN if unknown. `first`
    (n,) marks the units of calibration data."""
    seconds = np.full(len(first), np.nan)
    for units in placed.by_subject.values():
        times, is_given = placed.times(units), first[units]  # columns of times: session, start, stop
        if is_given.any():
            last = times[is_given, 0].max()
            end = np.max(times[is_given & (times[:, 0] == last), 2])
            seconds[units] = np.where(times[:, 0] == last, times[:, 1] - end, np.nan)
    return seconds


def _predict_calibration_proportions(task: ConfoundTask, placed: Placed, first: np.ndarray) -> ConfoundPrediction:
    """Predict the proportions of classes, or the mean label, in the subject's calibration data. `first` (n,) marks the
    units of calibration data."""
    subject = task.subject.astype(int)
    count = int(subject.max()) + 1
    known = np.flatnonzero(first & np.isfinite(placed.y))
    size = np.maximum(1, np.bincount(subject[known], minlength=count))
    if not task.target.traits.has_classes:
        values = (np.bincount(subject[known], placed.y[known], count) / size)[subject[task.test]]
        return values, values.copy()
    shares = np.zeros((count, task.target.n))
    np.add.at(shares, (subject[known], placed.y[known].astype(int)), 1)
    return predict_from_proportions(task.target, (shares / size[:, None])[subject[task.test]])


class PrimaryMetricRule(Protocol):
    """Properties of a protocol that scoring needs."""

    def primary_metric_for(self, kind: KindName, design: Design, moments: bool) -> str:
        """Return the metric that ranks runs on targets of this kind in a study of this design. `moments`: whether
        labels vary within a stimulus."""


def compute_scores(
    predictions: Predictions,
    labels: Labels,
    *,
    targets: Sequence[Target],
    protocol: PrimaryMetricRule,
    design: Design,
    groups: Mapping[str, str],
    unit_length_s: float | Mapping[str, float],
    sessions: Mapping[str, float] | None = None,
    not_applicable: Mapping[str, Mapping[str, str]] | None = None,
) -> Scores:
    """Return the scores of the method and of every confound-only model, each with its interval or the reason why it is
    undefined.

    Args:
        groups: subject -> group of subjects recorded together.
        unit_length_s: nominal length of a unit, for all targets or each; NaN if units are whole recordings.
        sessions: subject -> length of the session in s, if known.
        not_applicable: target -> confound-only model -> why it was not scored.

    Returns:
        A mapping with `primary_metrics` {target: metric}; `scores` {target: {metric: number}} of the method;
        `confound_only` {model: {target: {metric: number}}}, or {target: {"undefined": reason}} for a model that does
        not apply; and `folds`, a row for each method, seed and fold. A number is {mean, std, low, high, subjects, over,
        left_out} or {"undefined": reason}, see `Estimate`.

    Raises:
        DataError: predictions do not fit together or with `groups`.
        PluginError: a metric raised."""
    primary_metrics: dict[str, str] = {}
    out: dict[str, Any] = {
        "schema": SCHEMA,
        "primary_metrics": primary_metrics,
        "level": LEVEL,
        "scores": {},
        "confound_only": {},
        "folds": [],
    }
    took: dict[str, float] = {}
    for target in targets:
        length = unit_length_s[target.name] if isinstance(unit_length_s, Mapping) else unit_length_s
        methods, partial = _comparable_methods(join(predictions, labels, target, groups, length, sessions, whole=True))
        absent = {**(not_applicable or {}).get(target.name, {}), **partial}
        for model, reason in absent.items():
            out["confound_only"].setdefault(model, {})[target.name] = {"undefined": Reason.make(reason).to_dict()}
        primary_metrics[target.name] = choose_primary_metric(target, protocol, design, methods.get(MODEL))
        if MODEL in methods and methods[MODEL].predicted.seeds:
            jackknife = leave_one_out(methods[MODEL].tested_subjects(), groups, shared_stimuli(design, methods[MODEL]))
            _add_target(out, target, methods, jackknife, took, absent)
        else:
            nothing = number_as_json(Undefined("no_predicted_label"))
            out["scores"][target.name] = {primary_metrics[target.name]: nothing}
    warn_of_slow_metrics(took)
    return Scores(out)


def choose_primary_metric(target: Target, protocol: PrimaryMetricRule, design: Design, joined: Joined | None) -> str:
    """Return the metric that ranks a method with the units `joined`; None: a method without units.

    If tasks came in one order and a unit is a whole task, units are compared by task, as if tasks were stimuli. This
    also holds time constant."""
    tasks = design == "fixed_order" and joined is not None and _are_whole_recordings(joined)
    moments = joined is not None and varies_within_stimuli(joined)
    return protocol.primary_metric_for(target.kind, "shared_stimuli" if tasks else design, moments)


def _are_whole_recordings(joined: Joined) -> bool:
    """Return True if units are whole recordings, of several tasks."""
    stimuli = {name for _, _, units in joined for name in units.stimulus.tolist()}
    return len(stimuli) > 1 and not any(np.isfinite(units.length_s) for _, _, units in joined)


@overload
def with_interval_of(name: str, score: Estimate) -> Estimate: ...
@overload
def with_interval_of(name: str, score: ScoreOrReason) -> ScoreOrReason: ...
def with_interval_of(name: str, score: ScoreOrReason) -> ScoreOrReason:
    """Return the score `name` with the interval that records report: `with_add_one_interval` for scores like AUROC,
    else unchanged."""
    if isinstance(score, Estimate) and metric_facts(name).is_like_auroc:
        return with_add_one_interval(score)
    return score


def _add_target(
    out: dict[str, Any],
    target: Target,
    methods: Mapping[str, Joined],
    jackknife: Jackknife,
    took: dict[str, float],
    absent: Mapping[str, str],
) -> None:
    """Add the scores of the method and of every confound-only model on a target to `out`, and the seconds that each
    metric took to `took`. `absent`: confound-only model -> why it was not scored."""
    primary_metric = out["primary_metrics"][target.name]
    scored: dict[str, dict[str, ScoreOrReason]] = {}
    for method, joined in methods.items():
        scores, folds = _estimate_once(joined, target, primary_metric, jackknife, took)
        scored[method] = {name: with_interval_of(name, score) for name, score in scores.items()}
        out["folds"] += [{"method": method, "target": target.name, **fold} for fold in folds]
    out["scores"][target.name] = {name: number_as_json(value) for name, value in scored[MODEL].items()}
    trained = methods[MODEL].trained(jackknife)

    def gain(one: str, other: str, score: str) -> ScoreOrReason:
        nothing = Undefined("metric_not_computed", metric=score)
        return _paired_gap(scored[one].get(score, nothing), scored[other].get(score, nothing), jackknife, trained)

    if (gains := compute_calibration_gain(target, primary_metric, scored, gain, _is_better, absent)) is not None:
        out.setdefault("calibration_gain", {})[target.name] = gains
    for model in sorted(set(scored) - {MODEL}):
        values = {name: number_as_json(value) for name, value in scored[model].items()}
        out["confound_only"].setdefault(model, {})[target.name] = values


def _estimate_once(
    joined: Joined, target: Target, primary_metric: str, jackknife: Jackknife, took: dict[str, float]
) -> tuple[dict[str, ScoreOrReason], list[dict[str, Any]]]:
    """Return the result of `estimate_all`, from memory if this process computed it before. Methods with the same folds
    share confound-only models, and an audit scores a record again after the run."""
    metrics = [load_metric(name) for name in registry.list_plugins("metric")]
    about = [repr(target), primary_metric, digest(jackknife.subjects), digest(jackknife.codes), jackknife.stimuli]
    content = digest([about, [[seed, fold, _digest_units(units)] for seed, fold, units in joined]])
    key = content, tuple(metric if isinstance(metric, Undefined) else type(metric) for metric in metrics)
    if key not in _ESTIMATED:
        if len(_ESTIMATED) == _MOST_ESTIMATED:
            del _ESTIMATED[next(iter(_ESTIMATED))]
        _ESTIMATED[key] = estimate_all(joined, target, primary_metric, jackknife, took)
    return _ESTIMATED[key]


def _digest_units(units: Units) -> str:
    """Return a digest of the content of units."""
    content = hashlib.sha256()
    for field in fields(units):
        value = getattr(units, field.name)
        if isinstance(value, np.ndarray):
            value = value.astype("U") if value.dtype.kind == "O" else value
            content.update(f"{field.name} {value.dtype.str} {value.shape}\n".encode())
            content.update(np.ascontiguousarray(value).tobytes())
        else:
            content.update(f"{field.name} {value!r}\n".encode())
    return content.hexdigest()


_ESTIMATED: dict[object, tuple[dict[str, ScoreOrReason], list[dict[str, Any]]]] = {}
_MOST_ESTIMATED = 1024


def _comparable_methods(methods: dict[str, Joined]) -> tuple[dict[str, Joined], dict[str, Reason]]:
    """Return the methods that predict all units of the run's method; and for each method that predicts only some of
    them, the reason why it can't be compared."""
    sizes = {name: sum(len(units) for _, _, units in joined) for name, joined in methods.items()}
    all_of_them = sizes.get(MODEL, 0)
    partial = {
        name: Reason.make("part_predicted", n=size, of=all_of_them)
        for name, size in sizes.items()
        if size < all_of_them
    }
    return {n: joined for n, joined in methods.items() if sizes[n] and n not in partial}, partial


def _paired_gap(one: ScoreOrReason, other: ScoreOrReason, jackknife: Jackknife, trained: np.ndarray) -> ScoreOrReason:
    """Return the paired difference of two scores, with the training-overlap correction. If there are too few seeds to
    estimate it, the variance is doubled, as for models of noise."""
    if isinstance(one, Undefined) or isinstance(other, Undefined):
        return one if isinstance(one, Undefined) else other
    gap = paired_difference(one, other, jackknife.codes)
    if isinstance(gap, Undefined) or gap.error is None or not trained.any():
        return gap
    shared = training_overlap(gap.by_seed, trained)
    return widen(gap, gap.error**2 if shared is None else shared)


def _is_better(gap: Estimate, primary_metric: str) -> bool:
    """Return True if the interval of a difference lies wholly on the better side of 0, which is below 0 for errors."""
    if gap.low is None or gap.high is None:
        return False
    return gap.low > 0 if metric_facts(primary_metric).higher else gap.high < 0
