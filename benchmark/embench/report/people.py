"""Scores of groups of subjects, by what the dataset records of them (sex, age band)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.report.facts import NO_LABELS, RunFacts
from embench.report.page import SectionBody, by_target, html_table, paragraph
from embench.report.quality import own_predictions, score_cells, score_of_part
from embench.statistics.intervals import Estimate, with_interval
from embench.statistics.joined import unit_length

SMALLEST_GROUP = 5
"""Least subjects of a group: a score of fewer says nothing about others, and too much about each."""

_NOTE = (
    "Descriptive: each score is of one group of test subjects alone, by models that were trained on subjects of all "
    f"groups. Groups of fewer than {SMALLEST_GROUP} subjects are not scored. Between two groups stands the difference, "
    "with an interval that takes them as independent and is not corrected for the number of groups looked at. An "
    "interval that holds 0 does not show that a method works alike for both, and a difference does not say why: groups "
    "may differ in age, in movement or in how the sensor sat."
)


class GroupScore(NamedTuple):
    """The score of a group of subjects, or the difference between two.

    `fact`: what is recorded, such as `sex`; `group`: its value; `subjects`: how many have it and are tested.
    """

    fact: str
    group: str
    subjects: int
    metric: str
    score: Estimate | Undefined
    is_difference: bool = False


def people_section(run: RunFacts) -> SectionBody | Undefined:
    """The section of scores by group of subjects."""
    if run.record.labels is None:
        return NO_LABELS
    if isinstance(run.store, Undefined):
        return run.store
    known = run.store.subjects
    if not any(known.values()):
        return Undefined("the dataset records nothing of its subjects, such as sex or age band")
    return by_target(run, lambda run, target: _table(run, target, known), paragraph(_NOTE))


def _table(run: RunFacts, target: Target, known: Mapping[str, Mapping[str, str]]) -> Markup | Undefined:
    rows = [
        (f"{one.fact}: {one.group}", one.subjects, one.metric, *score_cells(one.score))
        for one in group_scores(run, target, known)
    ]
    if not rows:
        return Undefined(f"nothing recorded of the subjects divides them into groups of at least {SMALLEST_GROUP}")
    heads = ("group", "subjects", "score", "mean", "low", "high", "remarks")
    return html_table(heads, rows, f"Scores of {target.name} by group of subjects")


def group_scores(run: RunFacts, target: Target, known: Mapping[str, Mapping[str, str]]) -> Iterator[GroupScore]:
    """The headline and the score within a subject, of each group of enough subjects.

    Where a fact divides the subjects into two such groups, the difference follows them.

    Args:
        known: subject -> what is recorded of it.
    """
    ours = own_predictions(run, target)
    length_s, tested = unit_length(np.unique(ours["unit"])), np.unique(ours["subject"]).tolist()
    for fact in sorted({fact for facts in known.values() for fact in facts}):
        group_of = {subject: value for subject in tested if (value := known.get(subject, {}).get(fact))}
        groups = sorted(value for value, subjects in Counter(group_of.values()).items() if subjects >= SMALLEST_GROUP)
        if len(groups) < 2:
            continue
        for metric in dict.fromkeys([run.scores.headlines[target.name], target.traits.within]):
            found = []
            for group in groups:
                members = [subject for subject, value in group_of.items() if value == group]
                score = score_of_part(run, target, metric, ours.take(np.isin(ours["subject"], members)), length_s)
                if score is not None:
                    found.append(GroupScore(fact, group, len(members), metric, score))
            yield from found
            if len(found) == 2 and (difference := _difference(*found)):
                yield difference


def _difference(one: GroupScore, other: GroupScore) -> GroupScore | None:
    """`one` minus `other`; None where one of them has no score, or no error."""
    a, b = one.score, other.score
    if isinstance(a, Undefined) or isinstance(b, Undefined) or a.error is None or b.error is None:
        return None
    gap = replace(a, mean=a.mean - b.mean, subjects=a.subjects + b.subjects, left_out=a.left_out + b.left_out)
    gap = with_interval(gap, math.hypot(a.error, b.error), min(a.df, b.df))
    name, subjects = f"{one.group} minus {other.group}", one.subjects + other.subjects
    return GroupScore(one.fact, name, subjects, one.metric, gap, is_difference=True)
