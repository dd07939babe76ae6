"""The conformance of metrics."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from embench.interfaces.kinds import KINDS, KindName
from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.units import Units
from embench.testing import samples
from embench.testing.require import Check, leaves_no_trace


@leaves_no_trace
def check_metric(cls: type[Metric]) -> None:
    """Checks that a metric keeps its interface, for every kind of target it scores.

    A number in its range, or a reason; the same whatever the order of the units; inputs left as they are; a right
    prediction no worse than a noisy one; a chance level in its range; decisions read only where it says so; a reason
    and no error where there is one class only; and scores of samples of subjects that agree with the score itself.

    Raises:
        CheckFailed: with what was expected and what was found.
    """
    check = Check(cls)
    check.that(
        issubclass(cls, Metric), "the class is not a Metric", expected="a subclass of embench.interfaces.metric.Metric"
    )
    low, high = cls.range
    check.that(low < high, f"`range` is {cls.range!r}", expected="(least, greatest)")
    fine = cls.direction in ("higher", "lower")
    check.that(fine, f"`direction` is {cls.direction!r}", expected="higher or lower")
    fine = bool(cls.kinds) and cls.kinds <= set(KINDS)
    check.that(fine, f"`kinds` is {set(cls.kinds)!r}", expected=f"some of {', '.join(KINDS)}")
    for kind in KINDS:
        if kind in cls.kinds:
            with check.during(f"{kind} targets"):
                _check(check, cls(), _scorable(cls(), kind))


def _scorable(metric: Metric, kind: KindName) -> Units:
    """Made-up units of a kind; ratings for a score of values that scores nothing but whole numbers."""
    units = samples.units(kind)
    return samples.ratings() if kind == "value" and isinstance(metric(units), Undefined) else units


def _check(check: Check, metric: Metric, units: Units) -> None:
    before = replace(
        units, **{f.name: getattr(units, f.name).copy() for f in fields(units) if _is_array(units, f.name)}
    )
    score = _value(check, metric, units)
    check.that(
        score is not None, "the metric is undefined for units of six subjects with all labels", expected="a number"
    )
    same = all(
        np.array_equal(getattr(units, f.name), getattr(before, f.name))
        for f in fields(units)
        if _is_array(units, f.name)
    )
    check.that(same, "scoring changed the inputs", expected="unchanged arrays")
    check.sets_no_seed(lambda: metric(units), "scoring")
    shuffled = _value(check, metric, units.take(np.random.default_rng(1).permutation(len(units))))
    check.that(
        _near(shuffled, score),
        f"the score in another order is {shuffled}, not {score}",
        expected="a score that does not depend on the order of units",
    )
    best = _value(check, metric, _right(units))
    better = (
        best is not None and score is not None and (best >= score if metric.direction == "higher" else best <= score)
    )
    check.that(
        better, f"perfect predictions score {best}, noisy ones {score}", expected=f"{metric.direction} is better"
    )
    _says_what_it_is(check, metric, units, score)
    if KINDS[units.kind].has_classes:
        one_class = units.take(units.y_true == units.y_true[0])
        _value(check, metric, one_class)
    _resampled(check, metric, units, score)


def _says_what_it_is(check: Check, metric: Metric, units: Units, score: float | None) -> None:
    """Checks the attributes by which boards rank."""
    chance = float(metric.chance(units))
    _in_range(check, metric, chance, "chance")
    level = metric.chance_level
    fine = level is None or _near(level, chance)
    check.that(fine, f"`chance_level` is {level}, but `chance` gives {chance}", expected="the same value, or None")
    if not metric.depends_on_cut:
        other = _value(check, metric, replace(units, decision=units.decision[::-1].copy()))
        same = _near(other, score)
        check.that(
            same, "the metric depends on decisions but does not declare this", expected="`depends_on_cut = True`"
        )


def _resampled(check: Check, metric: Metric, units: Units, score: float | None) -> None:
    subjects = np.unique(units.subject)
    counts = np.ones((3, len(subjects)), int)
    counts[1, 0], counts[1, 1] = 0, 2
    counts[2] = 0
    counts[2, 0] = len(subjects)
    scores = np.asarray(metric.resampled(units, subjects, counts))
    check.that(scores.shape == (3,), f"`resampled` has shape {scores.shape}", expected="one score per sample")
    fine = _near(float(scores[0]), score)
    check.that(
        fine, f"with each subject once, `resampled` gives {scores[0]}, but the score is {score}", expected="the same"
    )
    for value in scores[np.isfinite(scores)]:
        _in_range(check, metric, float(value), "a sample's score")


def _right(units: Units) -> Units:
    """A copy of the units, predicted correctly and with certainty."""
    if units.score.ndim == 2:
        return replace(units, score=np.eye(3)[units.y_true.astype(int)], decision=units.y_true.copy())
    return replace(units, score=units.y_true.copy(), decision=units.y_true.copy())


def _value(check: Check, metric: Metric, units: Units) -> float | None:
    found = metric(units)
    if isinstance(found, Undefined):
        check.that(bool(found.reason), "the metric is undefined without a reason", expected="Undefined(reason)")
        return None
    fine = isinstance(found, float)
    check.that(fine, f"the result has the type {type(found).__name__}", expected="a float, or Undefined(reason)")
    _in_range(check, metric, found, "a score")
    return found


def _in_range(check: Check, metric: Metric, value: float, what: str) -> None:
    low, high = metric.range
    fine = bool(np.isfinite(value)) and low - 1e-9 <= value <= high + 1e-9
    check.that(fine, f"{what} of {value}", expected=f"a number from {low} to {high}, or Undefined(reason)")


def _near(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= 1e-9


def _is_array(units: Units, name: str) -> bool:
    return isinstance(getattr(units, name), np.ndarray)
