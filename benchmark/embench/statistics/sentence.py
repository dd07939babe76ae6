"""A comparison in words, such as may stand in a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embench.records.wording import format_p, format_points, join_with_and
from embench.statistics.metrics import metric_facts
from embench.statistics.significance import ALPHA, EQUIVALENCE_MARGIN, POWER, SHARED_TRAINING

if TYPE_CHECKING:
    from embench.statistics.comparison import Comparison


def comparison_sentence(c: Comparison) -> str:
    """Which method is better, by how much, with interval, p and subjects; or that the data do not show it, and what
    difference they would have shown."""
    gap, first, second = c.difference, c.one, c.other
    mean, low, high = gap.mean, gap.low, gap.high
    if c.better == c.other or (c.better is None and (mean < 0) == c.higher_is_better):
        first, second = second, first
    if mean < 0:
        mean, low, high = -mean, None if high is None else -high, None if low is None else -low
    size = f"{format_points(mean, c.bounded)} {difference_unit(c)}{' on these stimuli' if c.these_stimuli else ''}"
    interval = (
        "no interval"
        if low is None or high is None
        else (f"95 % interval {format_points(low, c.bounded)} to {format_points(high, c.bounded)}")
    )
    corrected = " Holm-corrected" if c.together > 1 else ""
    paired = f"{c.subjects} subjects" if c.over == "people" else f"paired over folds, {c.subjects} subjects"
    figures = f"{interval}, {format_p(c.holm)}{corrected}, {paired}"
    if c.better:
        text = f"{first} is better than {second} by {size}, {figures}"
    else:
        text = f"{first} and {second} can't be told apart: they differ by {size}, {figures}"
        if c.smallest is not None:
            could = f"{format_points(c.smallest, c.bounded)} {'points' if c.bounded else difference_unit(c)}"
            text += f"; {could} would have been seen with {POWER:.0%} power".replace("%", " %")
    if c.better and c.tests.get(SHARED_TRAINING, 0.0) >= ALPHA:
        text += f"; with an allowance for shared training subjects {format_p(c.tests[SHARED_TRAINING])}"
    if c.equivalent:
        text += f"; equivalent within {EQUIVALENCE_MARGIN * 100:.0f} points ({format_p(c.tests['equivalence'])})"
    if c.more_seeds:
        seeds = [str(seed) for seed in c.seeds]
        text += f"; on the seed{'s' if len(seeds) > 1 else ''} that all have, {join_with_and(seeds)}"
    if c.unequal_tuning:
        text += "; unequal tuning"
    return text + "."


def difference_unit(c: Comparison) -> str:
    """What a difference is counted in: hundredths of a score that has bounds, else the score's own unit."""
    name = metric_facts(c.metric).title
    return f"points of {name}" if c.bounded else f"of {name}"
