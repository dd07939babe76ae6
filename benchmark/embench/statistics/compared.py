"""Results of comparing methods: figures, and a sentence for a paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from embench import vocabulary
from embench.records.manifest import with_people
from embench.records.wording import format_p, format_points, join_with_and
from embench.statistics.intervals import Estimate
from embench.statistics.significance import ALPHA, EQUIVALENCE_MARGIN, POWER, SHARED_TRAINING

_KEYS = {"subjects": "people"}
"""Fields of a comparison that `--json` writes under another key."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two methods on one target; it prints as its sentence.

    Args:
        one, other: the methods' names; `scores`: theirs, on the common units.
        difference: `one` less `other`, paired, with its 95 % interval.
        p: of the primary test; `holm`: the same, corrected for the `together` comparisons made at once.
        tests: name -> p, of the primary test and the further ones that apply. `equivalence` tests whether the
            difference lies within .02.
        subjects, units: how many it rests on. `over`: what was paired.
        smallest: the smallest detectable difference: the true one that this cohort would show with 80 % power, from
            the differences' own spread; None where nothing can vary.
        unequal_tuning: more than twice as many methods were scored on the test subjects when one was as for the other.
        higher_is_better, bounded: of the metric.
        seeds: those compared, which all methods have. `more_seeds`: whether a method has others.
        these_stimuli: all subjects had the same stimuli, and the interval does not cover others.
    """

    target: str
    metric: str
    one: str
    other: str
    scores: tuple[Estimate, Estimate]
    difference: Estimate
    p: float
    holm: float
    together: int
    tests: Mapping[str, float]
    subjects: int
    units: int
    over: Literal["people", "folds"]
    smallest: float | None
    unequal_tuning: bool
    higher_is_better: bool = True
    bounded: bool = True
    seeds: tuple[int, ...] = ()
    more_seeds: bool = False
    these_stimuli: bool = False

    @property
    def different(self) -> bool:
        """True if the corrected primary test is significant."""
        return self.holm < ALPHA

    @property
    def equivalent(self) -> bool:
        """True if the equivalence test is significant: the methods differ by less than its margin."""
        return self.tests.get("equivalence", 1.0) < ALPHA

    @property
    def better(self) -> str | None:
        """The name of the better method; None where they can't be told apart."""
        if not self.different:
            return None
        return self.one if (self.difference.mean > 0) == self.higher_is_better else self.other

    @property
    def sentence(self) -> str:
        """A sentence that may be quoted."""
        return _sentence(self)

    def __repr__(self) -> str:
        return self.sentence

    def as_json(self) -> dict[str, Any]:
        """The comparison as `embench compare --json` prints it."""
        apart = ("scores", "difference", "tests")
        return {
            **{_KEYS.get(name, name): value for name, value in vars(self).items() if name not in apart},
            "scores": {
                self.one: with_people(self.scores[0].as_json()),
                self.other: with_people(self.scores[1].as_json()),
            },
            "difference": with_people(self.difference.as_json()),
            "tests": dict(self.tests),
            "equivalent": self.equivalent,
            "better": self.better,
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class Standing:
    """A method among others: those that share a letter of `group` can't be told apart. `tried`: how many methods were
    scored on the test subjects when it was, itself included; None where that was not counted."""

    name: str
    run: str
    score: Estimate
    group: str
    tried: int | None

    def as_json(self) -> dict[str, Any]:
        """The standing as `embench compare --json` prints it."""
        return {**vars(self), "score": with_people(self.score.as_json())}


@dataclass(frozen=True)
class Table:
    """Several methods on one target, best first, and every two of them compared."""

    target: str
    metric: str
    standings: tuple[Standing, ...]
    comparisons: tuple[Comparison, ...]

    def as_json(self) -> dict[str, Any]:
        """The table as `embench compare --json` prints it."""
        return {
            "target": self.target,
            "metric": self.metric,
            "methods": [standing.as_json() for standing in self.standings],
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
        }


def _sentence(c: Comparison) -> str:
    """A sentence on the better method, with the difference, interval, p and subjects; or on the lack of evidence, with
    the smallest detectable difference."""
    gap, first, second = c.difference, c.one, c.other
    mean, low, high = gap.mean, gap.low, gap.high
    if c.better == c.other or (c.better is None and (mean < 0) == c.higher_is_better):
        first, second = second, first
    if mean < 0:
        mean, low, high = -mean, None if high is None else -high, None if low is None else -low
    size = f"{format_points(mean, c.bounded)} {_unit(c)}{' on these stimuli' if c.these_stimuli else ''}"
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
            smallest = f"{format_points(c.smallest, c.bounded)} {'points' if c.bounded else _unit(c)}"
            text += f"; the smallest detectable difference is {smallest} ({POWER:.0%} power)".replace("%", " %")
    if c.better and c.tests.get(SHARED_TRAINING, 0.0) >= ALPHA:
        text += f"; with the training-overlap correction {format_p(c.tests[SHARED_TRAINING])}"
    if c.equivalent:
        text += f"; equivalent within {EQUIVALENCE_MARGIN * 100:.0f} points ({format_p(c.tests['equivalence'])})"
    if c.more_seeds:
        seeds = [str(seed) for seed in c.seeds]
        text += f"; on the seed{'s' if len(seeds) > 1 else ''} that all have, {join_with_and(seeds)}"
    if c.unequal_tuning:
        text += "; unequal tuning"
    return text + "."


def _unit(c: Comparison) -> str:
    """Unit of a difference: hundredths of a score that has bounds, else the score's own unit."""
    name = vocabulary.in_sentence(c.metric, "metrics") if c.metric in vocabulary.terms("metrics") else c.metric
    return f"points of {name}" if c.bounded else f"of {name}"
