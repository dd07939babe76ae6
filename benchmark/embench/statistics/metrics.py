"""Facts of each score: those that metric plugins declare, and the table of the scores that are no plugin."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass

from embench import registry
from embench.errors import EmbenchError


@dataclass(frozen=True)
class MetricFacts:
    """The facts of a score.

    Args:
        title: in text. `short`: as the head of a column. `about`: what it measures, in a sentence.
        chance: what predictions without information score; None where that depends on the labels.
        higher: whether more is better. `range`: its least and its greatest value.
        why_unranked: why rows are not ranked by it, in a clause; empty where they are.
        needs: what it takes to estimate it, in a sentence; empty where any subjects do.
    """

    title: str
    short: str
    about: str
    chance: float | None = None
    higher: bool = True
    range: tuple[float, float] = (0.0, 1.0)
    why_unranked: str = ""
    needs: str = ""

    @property
    def bounded(self) -> bool:
        """True if it has a least and a greatest value."""
        return all(map(math.isfinite, self.range))

    @property
    def is_like_auroc(self) -> bool:
        """True if it lies in 0..1 and chance is in the middle, whatever the labels."""
        return self.range == (0.0, 1.0) and self.chance == 0.5


def _conditioned(title: str, short: str, about: str, needs: str) -> MetricFacts:
    return MetricFacts(title, short, about, chance=0.5, needs=f"It needs at least ten subjects {needs}.")


_PAIRS = "in which the positive {} has the higher score (chance is .5 for every score that the {} explains)."
_QUADRUPLES = "with opposite labels for the two subjects, "
_OPPOSED = "with labels that are higher at one for the one subject and at the other for the other, by a step at least, "
_ORDERED = (
    "in which the {} with the higher label has the higher score (chance is .5 for every score that the {} explains)."
)

CONDITIONED_FACTS = {
    "auroc_within_stimulus": _conditioned(
        "AUROC within stimulus",
        "AUROC within stimulus",
        "AUROC with the stimulus held constant.",
        "with opposite labels for the same stimuli",
    ),
    "auroc_crossed": _conditioned(
        "AUROC with subject and stimulus held constant",
        "AUROC crossed",
        "The share of quadruples of two subjects of one fold and two stimuli, "
        + _QUADRUPLES
        + _PAIRS.format("stimulus", "stimulus or the subject"),
        "of one fold who labelled two stimuli in opposite ways: more subjects, or stimuli that divide them",
    ),
    "auroc_crossed_time": _conditioned(
        "AUROC with subject and clock held constant",
        "AUROC crossed in time",
        "The share of quadruples of two subjects and two times, "
        + _QUADRUPLES
        + _PAIRS.format("time", "clock or the subject"),
        "of one fold with opposite labels at the same times: more subjects, or tasks in several orders",
    ),
    "auroc_crossed_matched": _conditioned(
        "AUROC with subject, clock and session length held constant",
        "AUROC matched",
        "The share of quadruples of two subjects of one fold, whose sessions differ by at most 60 s in length, and two "
        "times, " + _QUADRUPLES + _PAIRS.format("time", "clock or the subject"),
        "of one fold with opposite labels at the same times, in ten pairs whose sessions are of like length: more "
        "subjects, or sessions of one length",
    ),
    "auroc_crossed_balanced": _conditioned(
        "AUROC with subject and clock held constant, balanced in session length",
        "AUROC balanced",
        "The same as `auroc_crossed_matched`, with comparisons in which the longer session is later weighing as much "
        "as the others.",
        "with opposite labels at the same times, in pairs of which now the one, now the other had the longer session",
    ),
    "auroc_crossed_moment": _conditioned(
        "AUROC with subject and moment of the stimulus held constant",
        "AUROC crossed in moments",
        "The share of quadruples of two subjects of one fold and two moments of stimuli, "
        + _QUADRUPLES
        + _PAIRS.format("moment", "moment or the subject"),
        "of one fold who labelled two moments in opposite ways: more subjects, or stimuli that divide them",
    ),
    "concordance_within": MetricFacts(
        "concordance within subject",
        "concordance within",
        "The share of pairs of a subject's units, whose labels differ by a step at least, in which the one with the "
        "higher label has the higher score (chance is .5).",
        chance=0.5,
    ),
    "concordance_crossed": _conditioned(
        "concordance with subject and stimulus held constant",
        "concordance crossed",
        "The share of quadruples of two subjects of one fold and two stimuli, "
        + _OPPOSED
        + _ORDERED.format("stimulus", "stimulus or the subject"),
        "of one fold who put two stimuli in opposite orders: more subjects, or stimuli that divide them",
    ),
    "concordance_crossed_moment": _conditioned(
        "concordance with subject and moment of the stimulus held constant",
        "concordance crossed in moments",
        "The share of quadruples of two subjects of one fold and two moments of stimuli, "
        + _OPPOSED
        + _ORDERED.format("moment", "moment or the subject"),
        "of one fold who put two moments in opposite orders: more subjects, or stimuli that divide them",
    ),
    "concordance_crossed_matched": _conditioned(
        "concordance with subject, clock and session length held constant",
        "concordance matched",
        "The share of quadruples of two subjects of one fold, whose sessions differ by at most 60 s in length, and two "
        "times, " + _OPPOSED + _ORDERED.format("time", "clock or the subject"),
        "of one fold whose labels have opposite orders at the same times, in ten pairs whose sessions are of like "
        "length: more subjects, or sessions of one length",
    ),
}
"""The scores that are no plugins, most with a nuisance held constant, see `embench.statistics.conditioned`."""


_ERROR = "headline is an error, which also pays for knowing who it is"
"""Reason why rows are not ranked by a score of which less is better."""


def metric_facts(name: str) -> MetricFacts:
    """The facts of the score of this name; of a metric that is not installed, its name alone."""
    if name in CONDITIONED_FACTS:
        return CONDITIONED_FACTS[name]
    words = name.rpartition("/")[2].replace("_", " ")
    try:
        metric = registry.load("metric", name)
    except EmbenchError:
        unknown = "headline of a metric that is not installed"
        return MetricFacts(words, words, "", range=(-math.inf, math.inf), why_unranked=unknown)
    title, higher = metric.title or words, metric.direction == "higher"
    return MetricFacts(
        title,
        metric.short or title,
        metric.about or (inspect.getdoc(metric) or "").partition("\n\n")[0].replace("\n", " "),
        metric.chance_level,
        higher,
        metric.range,
        "headline depends on a decision threshold" if metric.depends_on_cut else "" if higher else _ERROR,
    )
