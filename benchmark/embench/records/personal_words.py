"""Words for the calibration data of test subjects and for the gain from them, on the terminal, in notebooks, reports,
papers and on leaderboards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from embench.records.wording import format_score, join_with_and

if TYPE_CHECKING:  # reading scores needs pydantic, which no command waits for at its start
    from embench.records.scores import Gap, Personal, Scores

_NORMALISES = {True: "normalisation helps", False: "a benefit of normalisation is not shown"}
_LABELS = {True: "labels help", False: "a benefit of the labels is not shown"}
_FIRST, _ALONE = "nothing_given", "slice_only"
_OF_LABELS = frozenset({"slice_normalised", "slice_only", "slice_share"})
"""Comparisons of a method with labelled calibration data."""
COMPARISONS = {
    "nothing_given": "the same method without calibration data",
    "slice_normalised": "the same calibration data without labels, which normalise a subject",
    "slice_only": "a linear model of the calibration data only, on the same features",
    "slice_share": "the class proportions of the calibration data, or their mean",
    "since_slice": "the time since the calibration data",
}
"""Name -> description of each model that a method with calibration data is compared with."""


def given_in_words(given: Mapping[str, int | str], *, of_classes: bool = True) -> str:
    """Words for the calibration data of a test subject, as run.yaml names them.

    >>> given_in_words({"labelled": 5}), given_in_words({"unlabelled": 1}), given_in_words({})
    ('5 labelled units of each class', '1 unit of each class without its label', 'nothing')
    >>> given_in_words({"labelled": 2}, of_classes=False), given_in_words({"unlabelled": "session"})
    ('2 labelled units', 'the whole session without labels')
    """
    if not given:
        return "nothing"
    if given.get("unlabelled") == "session":
        return "the whole session without labels"
    [(kind, number)] = given.items()
    units = f"{'labelled ' * (kind == 'labelled')}unit{'s' * (number != 1)}{' of each class' * of_classes}"
    whose = "" if kind == "labelled" else f" without {'its label' if number == 1 else 'their labels'}"
    return f"{number} {units}{whose}"


def gain_sentences(scores: Scores, target: str, given: Mapping[str, int | str] | None) -> list[str]:
    """Sentences on the gain from calibration data: from their labels, over all comparisons, and from normalisation;
    none without calibration data.

    Args:
        given: as run.yaml names the calibration data; None where the protocol decides.
    """
    found = scores.personal(target)
    if found is None:
        return []
    metric, values = scores.headlines[target], found.level_score == "rmse"
    data = "with calibration data"
    if given is not None:
        units = given_in_words(given, of_classes=not values)
        data = f"with {units} as calibration data" if given else "without calibration data"
    own, nothing = (scores.score(target, metric, name) for name in (None, _FIRST))
    reached = f"{data}: {metric} {format_score(own, interval=False)}"
    if own is None:
        reached = f"{data}: {metric} cannot be estimated"
    elif nothing:
        reached += f", without {format_score(nothing, interval=False)}"
    if found.missing:
        reached += f" (not compared with {join_with_and(found.missing)})"
    normalising = "the gain from normalisation cannot be estimated"
    if found.normalising:
        normalising = f"{_gains(found, metric)}: {_NORMALISES[_helps(found.normalising)]}"
    if "labelled" not in (given if given is not None else {"labelled": 0}):
        return [f"{reached}, {normalising}"]
    told = f"{reached}{_above_best(found, metric)}: {_LABELS[found.gains_by == 'labels']}"
    if alone := scores.score(target, metric, _ALONE):
        told += f"; {COMPARISONS[_ALONE]}, reaches {format_score(alone)}"
    if not found.normalising or "slice_normalised" not in found.over:
        return [told]
    return [told, f"{COMPARISONS['slice_normalised']}: {normalising}"]


def least_gain(found: Personal, metric: str) -> tuple[str, Gap] | None:
    """The comparison with the least gain, of those that decide whether calibration data help, and that gain; None where
    none is known. Of units without labels, that is the method without calibration data. A model of the calibration data
    only is made of their labels, and is not a reason against them."""
    labelled = not _OF_LABELS.isdisjoint(found.over)
    decides = found.over.keys() - {_ALONE} if labelled else {_FIRST}
    known = {
        name: gaps[metric]
        for name, gaps in found.over.items()
        if name in decides and metric in gaps and gaps[metric].difference.defined
    }
    return min(known.items(), key=lambda each: each[1].difference.mean or 0.0, default=None)


def _above_best(found: Personal, metric: str) -> str:
    best = least_gain(found, metric)
    if best is None:
        return ""
    name, gap = best
    about = f" ({COMPARISONS[name]})" if name in COMPARISONS else ""
    return f"; the gain over the best comparison, {name}{about}, is {format_score(gap.difference)}"


def _gains(found: Personal, metric: str) -> str:
    """The gains from normalisation in the primary metric and in the score of level."""
    gaps = {score: gap.difference for score, gap in found.normalising.items() if gap.difference.defined}
    told = [f"a gain of {format_score(gaps[metric])}"] if metric in gaps else []
    if level := gaps.get(found.level_score):
        told.append(f"the difference of {found.level_score}, where less is better, is {format_score(level)}")
    return "; ".join(told) or "no gain can be estimated"


def _helps(gaps: Mapping[str, Gap]) -> bool:
    return any(gap.clears for gap in gaps.values())
