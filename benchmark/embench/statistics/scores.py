"""The content of a run's `scores.json`, from predictions and labels alone."""

from __future__ import annotations

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
from embench.statistics.confound_only import ConfoundPrediction, ConfoundTask, boosted, from_shares
from embench.statistics.estimates import ScoreOrReason, estimate_all, metric_of, name_slow
from embench.statistics.intervals import (
    LEVEL,
    Estimate,
    Jackknife,
    add_one,
    leave_one_out,
    paired_difference,
    training_overlap,
    widen,
)
from embench.statistics.joined import Joined, join, shared_stimuli, varies_within_stimuli

# Gains of a method by what test subjects give of themselves first, above what is gained without it.
#
# A method that is given labelled units is compared with itself where nothing is given, and with four confound_only:
# itself with the same units without their labels, which normalise a subject (`calibration_normalised`); a linear model
# of these units alone on the same features (`calibration_only`); the share of each class among them, or their mean
# (`calibration_class_proportions`); and a clock, the time since they ended (`time_since_calibration`).
#
# The verdict, `gain_source`, says what of the given helps, by intervals of paired differences that lie wholly on the
# better side of 0:
#
# - `labels`: the primary metric is above that with nothing given, with the same units without labels, of the slice's
# share   and
#   of the clock. All four must be shown, so that one that is not so is missed by chance in 2.5 % at most.
# - `normalising`: the same units without labels are above nothing given, in the primary metric or in a score that heeds
# level   (Brier, RMSE): each by chance in 2.5 % at most. A shift of a subject's level gains nothing in a score inside
#   subjects.
# - `nothing`: neither is shown.
#
# A model of the slice alone is no reason against labels: where the relation between signal and label is a subject's
# own, such a model is as good as any, and it is made of labels. What other people's data add to it is the gain over it.
#
# A method that is trained on a session or on blocks of its test subjects is compared with itself trained on other
# subjects alone (`no_calibration`), and with the last three; it is normalised as if nothing were given. What is
# missing, of a file of predictions, is named: the verdict is by what is there.

CALIBRATION_CLASS_PROPORTIONS, TIME_SINCE_CALIBRATION = "calibration_class_proportions", "time_since_calibration"
"""The confound-only models that only read labels and times: of what a subject gave, and since it did."""
COMPARED = (
    NO_CALIBRATION,
    CALIBRATION_NORMALISED,
    CALIBRATION_ONLY,
    CALIBRATION_CLASS_PROPORTIONS,
    TIME_SINCE_CALIBRATION,
)
"""What a method that is given something is compared with, in the order in which records list it."""
LEVEL_SCORES = {"binary": "brier", "classes": "brier", "value": "rmse"}
"""Kind of target -> a score by which a shift of a subject's level can gain."""

Gain = Callable[[str, str, str], ScoreOrReason]
"""Of two methods and a score, the paired difference of the first, as `embench.statistics.scores` makes it."""


def gains(
    target: Target,
    primary_metric: str,
    methods: Mapping[str, object],
    gain: Gain,
    is_better: Callable[[Any, str], bool],
    absent: Collection[str] = (),
) -> dict[str, Any] | None:
    """The part of a target in `calibration_gain` of `scores.json`: what the `model` among the `methods` gains over each
    of `COMPARED` that was predicted, and normalisation over nothing, where it is by what is given; None where nothing
    was.

    Args:
        gain: see `Gain`; of the names of methods, `model` among them. `is_better`: of a gain and its score.
        absent: methods of which it is known why they are not there.
    """
    compared = [name for name in COMPARED if name in methods]
    if not compared:
        return None
    missing = [name for name in COMPARED if name in absent]
    normalised, labelled = (
        CALIBRATION_NORMALISED in compared,
        bool({CALIBRATION_ONLY, CALIBRATION_CLASS_PROPORTIONS} & set(compared)),
    )
    level = LEVEL_SCORES[target.kind]

    def of(one: str, other: str) -> dict[str, Any]:
        found = {}
        for score in (primary_metric, level):
            made = gain(one, other, score)
            better = not isinstance(made, Undefined) and is_better(made, score)
            number = {"undefined": made.reason.to_dict()} if isinstance(made, Undefined) else made.to_dict()
            found[score] = {"difference": number, "above_zero": better}
        return found

    over = {name: of("model", name) for name in compared}
    normalising = {} if labelled else over.get(NO_CALIBRATION, {})
    if normalised and NO_CALIBRATION in compared:
        normalising = of(CALIBRATION_NORMALISED, NO_CALIBRATION)
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
    """The confound-only models that read labels and times alone, of the test units of a fold: none where nothing is
    given.
    `given`: None where all that subjects may give is trained on."""
    if given is not None and not given.units:
        return {}
    first = slices.rank > 0 if given is None else slices.select_given(given.units)
    since = _seconds_since(placed, first)
    learned = task.train[slices.scored[task.train] & np.isfinite(since[task.train])]
    made: dict[str, ConfoundPrediction] = {}
    if not len(learned):
        made[TIME_SINCE_CALIBRATION] = Undefined("unknown_time_since_calibration")
    else:
        made[TIME_SINCE_CALIBRATION] = boosted(replace(task, train=learned), since[:, None])
    if given is None or given.labelled:
        made[CALIBRATION_CLASS_PROPORTIONS] = _share_of_slice(task, placed, first)
    return made


def _seconds_since(placed: Placed, first: np.ndarray) -> np.ndarray:
    """(n,) the seconds from the end of what its subject gave to a unit's start, NaN where they are not known."""
    found = np.full(len(first), np.nan)
    for own in placed.by_subject.values():
        times, mine = placed.times(own), first[own]
        if mine.any():
            last = times[mine, 0].max()
            end = np.max(times[mine & (times[:, 0] == last), 2])
            found[own] = np.where(times[:, 0] == last, times[:, 1] - end, np.nan)
    return found


def _share_of_slice(task: ConfoundTask, placed: Placed, first: np.ndarray) -> ConfoundPrediction:
    """The share of each class in what the unit's subject gave, or the mean of its values."""
    subject = task.subject.astype(int)
    count = int(subject.max()) + 1
    known = np.flatnonzero(first & np.isfinite(placed.y))
    size = np.maximum(1, np.bincount(subject[known], minlength=count))
    if not task.target.traits.has_classes:
        values = (np.bincount(subject[known], placed.y[known], count) / size)[subject[task.test]]
        return values, values.copy()
    shares = np.zeros((count, task.target.n))
    np.add.at(shares, (subject[known], placed.y[known].astype(int)), 1)
    return from_shares(task.target, (shares / size[:, None])[subject[task.test]])


# The content of a run's `scores.json`, from its predictions and labels alone.


class PrimaryMetricRule(Protocol):
    """Properties of a protocol that scoring needs."""

    @property
    def rules(self) -> int:
        """The version of the rules by which results are judged."""

    def primary_metric_for(self, kind: KindName, design: Design, moments: bool) -> str:
        """The metric that ranks runs on targets of a kind in a study of this design; `moments`: whether labels vary
        while a stimulus lasts."""


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
    """Scores of the model and of every control, each number with its interval or the reason why there is none.

    Args:
        groups: subject -> subjects recorded together with them.
        unit_length_s: nominal length of a unit, for all targets or each; NaN where units are whole recordings.
        sessions: subject -> length of the session in s, where known.
        not_applicable: target -> control -> why it was not scored.

    Returns:
        Their content: `primary_metrics` {target: metric}; `scores` {target: {metric: number}} of the model;
        `confound_only` {control: {target: {metric: number}}}, or {target: {"undefined": Reason.make(reason).to_dict()}}
        where it does not apply; `folds`, every method, seed and fold by itself. A number is {mean, std, low, high,
        subjects, over, left_out} or {"undefined": Reason.make(reason).to_dict()}, see `Estimate`.

    Raises:
        DataError: predictions do not fit together or with `groups`.
        PluginError: a metric raised.
    """
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
        methods, partial = _whole(
            join(predictions, labels, target, groups, length, sessions, whole=True, scoring=protocol.rules)
        )
        absent = {**(not_applicable or {}).get(target.name, {}), **partial}
        for control, reason in absent.items():
            out["confound_only"].setdefault(control, {})[target.name] = {"undefined": Reason.make(reason).to_dict()}
        primary_metrics[target.name] = choose_primary_metric(target, protocol, design, methods.get(MODEL))
        if MODEL in methods and methods[MODEL].predicted.seeds:
            jackknife = leave_one_out(methods[MODEL].tested_subjects(), groups, shared_stimuli(design, methods[MODEL]))
            _add_target(out, target, methods, jackknife, took, absent)
        else:
            nothing = Undefined("no_predicted_label")
            out["scores"][target.name] = {primary_metrics[target.name]: _json(nothing)}
    name_slow(took)
    return Scores(out)


def choose_primary_metric(target: Target, protocol: PrimaryMetricRule, design: Design, joined: Joined | None) -> str:
    """The score that ranks a method with these units, or one without any.

    Where tasks came in one order and a unit is a whole task, bins of time cannot be compared; the task holds the clock
    constant, as a stimulus would.
    """
    tasks = design == "fixed_order" and joined is not None and _are_whole(joined)
    moments = joined is not None and varies_within_stimuli(joined)
    return protocol.primary_metric_for(target.kind, "shared_stimuli" if tasks else design, moments)


def _are_whole(joined: Joined) -> bool:
    """True if units are whole recordings, of several tasks."""
    stimuli = {name for _, _, units in joined for name in units.stimulus.tolist()}
    return len(stimuli) > 1 and not any(np.isfinite(units.length_s) for _, _, units in joined)


@overload
def with_interval_of(name: str, score: Estimate) -> Estimate: ...
@overload
def with_interval_of(name: str, score: ScoreOrReason) -> ScoreOrReason: ...
def with_interval_of(name: str, score: ScoreOrReason) -> ScoreOrReason:
    """Return the score of this name with its interval: scores like AUROC have that of `add_one`."""
    if isinstance(score, Estimate) and metric_facts(name).is_like_auroc:
        return add_one(score)
    return score


def _add_target(
    out: dict[str, Any],
    target: Target,
    methods: Mapping[str, Joined],
    jackknife: Jackknife,
    took: dict[str, float],
    absent: Mapping[str, str],
) -> None:
    """Adds the scores of the model and of every control on a target.
    `absent`: control -> why it is not there."""
    primary_metric = out["primary_metrics"][target.name]
    scored: dict[str, dict[str, ScoreOrReason]] = {}
    for method, joined in methods.items():
        scores, folds = _estimated(joined, target, primary_metric, jackknife, took)
        scored[method] = {name: with_interval_of(name, score) for name, score in scores.items()}
        out["folds"] += [{"method": method, "target": target.name, **fold} for fold in folds]
    out["scores"][target.name] = {name: _json(value) for name, value in scored[MODEL].items()}
    trained = methods[MODEL].trained(jackknife)

    def gain(one: str, other: str, score: str) -> ScoreOrReason:
        nothing = Undefined("metric_not_computed", metric=score)
        return _gap(scored[one].get(score, nothing), scored[other].get(score, nothing), jackknife, trained)

    if (found := gains(target, primary_metric, scored, gain, _is_better, absent)) is not None:
        out.setdefault("calibration_gain", {})[target.name] = found
    for control in sorted(set(scored) - {MODEL}):
        values = {name: _json(value) for name, value in scored[control].items()}
        out["confound_only"].setdefault(control, {})[target.name] = values


def _estimated(
    joined: Joined, target: Target, primary_metric: str, jackknife: Jackknife, took: dict[str, float]
) -> tuple[dict[str, ScoreOrReason], list[dict[str, Any]]]:
    """`estimate_all`, or what it made of the same content in this process: the methods of a split share the
    confound-only models, and an audit computes again what stands in a record that was just written."""
    metrics = [metric_of(name) for name in registry.list_plugins("metric")]
    about = [repr(target), primary_metric, digest(jackknife.subjects), digest(jackknife.codes), jackknife.stimuli]
    content = digest([about, [[seed, fold, _plain(units)] for seed, fold, units in joined]])
    key = content, tuple(metric if isinstance(metric, Undefined) else type(metric) for metric in metrics)
    if key not in _ESTIMATED:
        if len(_ESTIMATED) == _MOST_ESTIMATED:
            del _ESTIMATED[next(iter(_ESTIMATED))]
        _ESTIMATED[key] = estimate_all(joined, target, primary_metric, jackknife, took)
    return _ESTIMATED[key]


def _plain(units: Units) -> list[str]:
    """Short texts that identify the content."""
    values = [getattr(units, field.name) for field in fields(units)]
    return [digest(value) if isinstance(value, np.ndarray) else repr(value) for value in values]


_ESTIMATED: dict[object, tuple[dict[str, ScoreOrReason], list[dict[str, Any]]]] = {}
_MOST_ESTIMATED = 64


def _whole(methods: dict[str, Joined]) -> tuple[dict[str, Joined], dict[str, Reason]]:
    """The methods that predict every unit of the model, and why the others can't be compared with it."""
    sizes = {name: sum(len(units) for _, _, units in joined) for name, joined in methods.items()}
    all_of_them = sizes.get(MODEL, 0)
    partial = {
        name: Reason.make("part_predicted", n=size, of=all_of_them)
        for name, size in sizes.items()
        if size < all_of_them
    }
    return {n: joined for n, joined in methods.items() if sizes[n] and n not in partial}, partial


def _gap(one: ScoreOrReason, other: ScoreOrReason, jackknife: Jackknife, trained: np.ndarray) -> ScoreOrReason:
    """Return the paired difference of two scores.

    Where nothing was learned, subjects who train each other's models about double the variance: that much is allowed
    for where seeds do not show how much it is.
    """
    if isinstance(one, Undefined) or isinstance(other, Undefined):
        return one if isinstance(one, Undefined) else other
    gap = paired_difference(one, other, jackknife.codes)
    if isinstance(gap, Undefined) or gap.error is None or not trained.any():
        return gap
    shared = training_overlap(gap.by_seed, trained)
    return widen(gap, gap.error**2 if shared is None else shared)


def _is_better(gap: Estimate, primary_metric: str) -> bool:
    """True if the interval of a difference lies wholly where the primary metric is better: below 0 for an error."""
    if gap.low is None or gap.high is None:
        return False
    return gap.low > 0 if metric_facts(primary_metric).higher else gap.high < 0


def _json(value: ScoreOrReason) -> dict[str, Any]:
    return {"undefined": value.reason.to_dict()} if isinstance(value, Undefined) else value.to_dict()
