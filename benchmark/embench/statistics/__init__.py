"""Scores, their intervals, tests and comparisons, computed from predictions without torch. This module: facts about
scores."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from functools import cache

from embench import registry, vocabulary
from embench.errors import EmbenchError

SCORING_REVISION = 3
"""Increased when the same predictions and labels give other scores. Records contain it; older ones are scored again."""


@dataclass(frozen=True)
class MetricFacts:
    """Facts about a score, such as `auroc_within`.

    Args:
        title: its name in a text. `short`: its name as a column head. `about`: what it measures, in a sentence.
        chance: the score of predictions without information; None if that depends on the labels.
        higher: whether more is better. `range`: the lowest and highest possible value.
        why_unranked: a clause on why entries are not ranked by it; empty if they are.
        needs: a sentence on the subjects that its estimation requires; empty if any subjects will do."""

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
        """True if the score has a finite lowest and highest value."""
        return all(map(math.isfinite, self.range))

    @property
    def is_like_auroc(self) -> bool:
        """True if the score lies in 0 to 1 and chance is 0.5, whatever the labels."""
        return self.range == (0.0, 1.0) and self.chance == 0.5


@cache
def _vocabulary_facts(name: str, needs: str) -> MetricFacts:
    """Return the facts of a score that no plugin computes. `needs`: a clause on the ten subjects that it requires."""
    term = vocabulary.terms("metrics")[name]
    sentence = f"It needs at least ten subjects {needs}." if needs else ""
    return MetricFacts(term.label, term.short, term.definition, chance=0.5, needs=sentence)


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
"""Conditioned score -> a clause on the ten subjects that it requires. These scores are not plugins, see
`embench.statistics.conditioned`."""


_LESS_IS_BETTER = "the primary metric is an error, which also rewards knowledge of the subject"
"""Reason why entries are not ranked by an error."""


def metric_facts(name: str) -> MetricFacts:
    """Return the facts of a score, in the words of the vocabulary. A metric that is not installed has only its name."""
    if name in CONDITIONED_NEEDS:
        return _vocabulary_facts(name, CONDITIONED_NEEDS[name])
    words = name.rpartition("/")[2].replace("_", " ")
    try:
        metric = registry.load_plugin("metric", name)
    except EmbenchError:
        unknown = "the primary metric is not installed"
        return MetricFacts(words, words, "", range=(-math.inf, math.inf), why_unranked=unknown)
    title, higher = metric.title or words, metric.direction == "higher"
    first_paragraph = (inspect.getdoc(metric) or "").partition("\n\n")[0].replace("\n", " ")
    term = vocabulary.terms("metrics").get(name.removeprefix(f"{registry.BUNDLED}/"))
    names = title, metric.short or title, metric.about or first_paragraph
    if term:
        names = term.label, term.short, term.definition
    why_unranked = "" if higher else _LESS_IS_BETTER
    if metric.depends_on_cut:
        why_unranked = "the primary metric depends on a decision threshold"
    return MetricFacts(*names, metric.chance_level, higher, metric.range, why_unranked)
