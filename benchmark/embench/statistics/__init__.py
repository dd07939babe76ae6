"""Scores with their intervals, tests and comparisons: arithmetic on predictions. Here: facts about each score."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from functools import cache

from embench import registry, vocabulary
from embench.errors import EmbenchError

# Scores with their intervals, confound-only models, tests and comparisons: arithmetic on predictions, which needs no
# torch.

SCORING_REVISION = 3
"""Increased when the same predictions and labels give other scores; records say it, and older ones are scored anew."""


# Facts of each score: those that metric plugins declare, and those of the scores that are not plugins.


@dataclass(frozen=True)
class MetricFacts:
    """The facts of a score.

    Args:
        title: in text. `short`: as the head of a column. `about`: what it measures, in a sentence.
        chance: what predictions without information score; None where that depends on the labels.
        higher: whether more is better. `range`: its least and its greatest value.
        why_unranked: why entries are not ranked by it, in a clause; empty where they are.
        needs: the subjects that an estimate takes, in a sentence; empty where any subjects do.
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


@cache
def _facts(name: str, needs: str) -> MetricFacts:
    """The facts of a score of the vocabulary that no plugin computes; `needs`: which ten subjects it takes."""
    term = vocabulary.terms("metrics")[name]
    wanted = f"It needs at least ten subjects {needs}." if needs else ""
    return MetricFacts(term.label, term.short, term.definition, chance=0.5, needs=wanted)


_LABELLED = "of one fold who labelled two {} in opposite ways: more subjects, or stimuli that divide them"
_ORDERED = "of one fold who put two {} in opposite orders: more subjects, or stimuli that divide them"
_LIKE_LENGTH = "in ten pairs whose sessions are of similar length: more subjects, or sessions of one length"

CONDITIONED_NEEDS = {
    "auroc_within_stimulus": "with opposite labels for the same stimuli",
    "auroc_crossed": _LABELLED.format("stimuli"),
    "auroc_crossed_time": "of one fold with opposite labels at the same times: more subjects, or tasks in several "
    "orders",
    "auroc_crossed_matched": f"of one fold with opposite labels at the same times, {_LIKE_LENGTH}",
    "auroc_crossed_balanced": "with opposite labels at the same times, in pairs of which now the one, now the "
    "other had the longer session",
    "auroc_crossed_moment": _LABELLED.format("moments"),
    "concordance_within": "",
    "concordance_crossed": _ORDERED.format("stimuli"),
    "concordance_crossed_moment": _ORDERED.format("moments"),
    "concordance_crossed_matched": f"of one fold whose labels have opposite orders at the same times, {_LIKE_LENGTH}",
}
"""The scores that are not plugins, most with a confound held constant, see `embench.statistics.conditioned`; and which
ten subjects each takes."""


_ERROR = "the primary metric is an error, which also rewards knowledge of the subject"
"""Reason why rows are not ranked by a score of which less is better."""


def metric_facts(name: str) -> MetricFacts:
    """The facts of the score of this name, in the vocabulary's words; only the name of a metric that is not
    installed."""
    if name in CONDITIONED_NEEDS:
        return _facts(name, CONDITIONED_NEEDS[name])
    words = name.rpartition("/")[2].replace("_", " ")
    try:
        metric = registry.load_plugin("metric", name)
    except EmbenchError:
        unknown = "the primary metric is not installed"
        return MetricFacts(words, words, "", range=(-math.inf, math.inf), why_unranked=unknown)
    title, higher = metric.title or words, metric.direction == "higher"
    first_paragraph = (inspect.getdoc(metric) or "").partition("\n\n")[0].replace("\n", " ")
    term = vocabulary.terms("metrics").get(name.removeprefix(f"{registry.BUNDLED}/"))
    return MetricFacts(
        *(
            (term.label, term.short, term.definition)
            if term
            else (title, metric.short or title, metric.about or first_paragraph)
        ),
        metric.chance_level,
        higher,
        metric.range,
        "the primary metric depends on a decision threshold" if metric.depends_on_cut else "" if higher else _ERROR,
    )
