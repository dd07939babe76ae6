"""Words for what test subjects gave, and for what a method gains by it, on the terminal, in notebooks, reports, papers
and on boards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from embench.records.wording import format_score, join_with_and

if TYPE_CHECKING:  # reading scores needs pydantic, which no command waits for at its start
    from embench.records.scores import Gap, Personal, Scores

_NORMALISES = {True: "normalising a subject helps", False: "normalising a subject is not shown to help"}
_LABELS = {True: "labels help", False: "labels are not shown to help"}
_FIRST, _ALONE = "nothing_given", "slice_only"
_OF_LABELS = frozenset({"slice_normalised", "slice_only", "slice_share"})
"""Comparisons of a method that is given labels alone."""
COMPARISONS = {
    "nothing_given": "the same method where subjects give nothing",
    "slice_normalised": "the same units without their labels, which normalise a subject",
    "slice_only": "a linear model of these units alone, on the same features",
    "slice_share": "the share of each class among these units, or their mean",
    "since_slice": "the time since these units",
}
"""What a method that is given units is compared with, and what each is."""


def given_in_words(given: Mapping[str, int | str], *, of_classes: bool = True) -> str:
    """Words for what test subjects gave, as run.yaml holds it.

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
    """Sentences on what a method gains by what test subjects gave: by their labels, above all that it is compared with,
    and by normalising them; none where they gave nothing.

    Args:
        given: as run.yaml holds it; None where the protocol alone decides it.
    """
    found = scores.personal(target)
    if found is None:
        return []
    metric, values = scores.headlines[target], found.level_score == "rmse"
    what = "what subjects gave first" if given is None else given_in_words(given, of_classes=not values)
    own, nothing = (scores.score(target, metric, name) for name in (None, _FIRST))
    reached = f"given {what}: {metric} {format_score(own, interval=False)}"
    if own is None:
        reached = f"given {what}: {metric} can't be estimated"
    elif nothing:
        reached += f" against {format_score(nothing, interval=False)} with nothing given"
    if found.missing:
        reached += f" (not compared with {join_with_and(found.missing)})"
    normalising = "whether normalising a subject helps can't be told"
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
    """The comparison that a method gains least above, of those that decide whether what is given helps, and that gain;
    None where none is known. Of units without labels, that is the method with nothing given. A model of what is given
    alone is made of its labels, and is no reason against them."""
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
    return f"; the gain above the best control, {name}{about}, is {format_score(gap.difference)}"


def _gains(found: Personal, metric: str) -> str:
    """The gains by normalising on the headline and on the score of level."""
    gaps = {score: gap.difference for score, gap in found.normalising.items() if gap.difference.defined}
    told = [f"a gain of {format_score(gaps[metric])}"] if metric in gaps else []
    if level := gaps.get(found.level_score):
        told.append(f"the difference of {found.level_score}, where less is better, is {format_score(level)}")
    return "; ".join(told) or "no gain can be estimated"


def _helps(gaps: Mapping[str, Gap]) -> bool:
    return any(gap.clears for gap in gaps.values())
