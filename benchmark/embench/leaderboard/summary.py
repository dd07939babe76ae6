"""What a leaderboard shows, in words: its question, its answer as a sentence and as a line of a table, its models
without a physiological signal. Terminal, Markdown, site and findings take their words from here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from embench import registry, vocabulary
from embench.leaderboard.row import Row
from embench.leaderboard.sections import BoardSection
from embench.records.wording import OF_SYNTHETIC_DATA, in_words
from embench.statistics.form import ModelLine, model_lines
from embench.statistics.many_rows import ManyRows
from embench.statistics.metrics import metric_facts
from embench.statistics.ranking import Ranking

HEADS = {
    "question": "question",
    "methods": "methods",
    "chance": "above chance (by chance: at most)",
    "movement": "given time and movement (by chance: at most)",
    "protocol_phase": "given the protocol phase",
}
"""The columns of a summary of several leaderboards."""
_COUNTED = {
    "chance": "above chance",
    "movement": "given time and movement",
    "protocol_phase": "given the protocol phase",
}
"""Question -> the clause on methods for which the answer is *yes*."""
BY_CHANCE = (
    "By chance, at most: if no method predicted anything, 95 of 100 such leaderboards would show no more than this "
    "many."
)
ANSWERS = (
    "Above chance: the interval lies above chance. Given time and movement: the score and the label are still "
    "associated (partial r above 0) after both are adjusted for the time since the start and movement within 10 min. "
    "Given the protocol phase: also for the phase of the protocol, inferred from movement of the whole session."
)
CORRECTED = "* also after correction for all methods of this leaderboard (maximum statistic over subjects)"
NO_MODELS = "Scores of models without a physiological signal are not published, as the labels are withheld."


@dataclass(frozen=True)
class Summary:
    """A leaderboard in one line.

    Args:
        question: in the dataset's words. `dataset`: its display name. `subjects`: how many were scored.
        methods: how many no other entry took the place of.
        cells: question -> for how many methods the answer is *yes*, or why that is not known.
        reason: why no method has the primary metric; empty where one has.
        sentence: question, subjects and answer.
    """

    question: str
    dataset: str
    subjects: str
    methods: int
    cells: Mapping[str, str]
    reason: str
    sentence: str

    @property
    def line(self) -> dict[str, str]:
        """The line of a table with the columns `HEADS`."""
        cells = {name: self.cells[name] for name in HEADS if name in self.cells}
        line = {"question": f"{self.question} {self.dataset}", "methods": str(self.methods), **cells}
        return {head: line[name] for name, head in HEADS.items()}


def summarise(section: BoardSection) -> Summary:
    """Return the summary of a leaderboard."""
    rows = section.current or section.methods
    asked = registry.questions_of(section.source).get(section.target)
    question = asked.question if asked else f"{in_words(section.target)}?"
    problem = section.problem
    sizes = sorted({row.subjects for row in rows})
    subjects = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    start = f"{question} {subjects} subjects, {len(rows)} method{'s' * (len(rows) > 1)}"
    if section.trained_on:
        start += f" trained on {dataset_label(section.trained_on)}"
    if section.leaks:
        answer = "nothing can be concluded, since training has seen part of the test data."
    elif problem:
        answer = f"{problem.answer}. {problem.reason}"
    else:
        answer = ", ".join(_clauses(section.counts, len(rows))) + "."
    return Summary(
        question=question,
        dataset=dataset_label(section.dataset),
        subjects=subjects,
        methods=len(rows),
        cells={name: _cell(section, name, len(rows)) for name in _COUNTED},
        reason=problem.reason if problem else "",
        sentence=f"{start}: {answer}",
    )


def best_supported(section: BoardSection) -> tuple[object, ...]:
    """Sorts leaderboards: those with a primary metric first, then those with an answer given time and movement, then
    those with more such methods than chance explains."""
    adding = section.adding
    proportion = adding.adding / adding.asked if adding else 0.0
    few = not (adding and adding.beyond_luck)
    return section.problem is not None, adding is None, few, -proportion, -len(section.current)


def dataset_label(name: str) -> str:
    """The display name of a dataset; of an unknown one its name as it is."""
    real = name.removesuffix(OF_SYNTHETIC_DATA)
    known = vocabulary.terms("datasets").get(real)
    label = known.label if known else real
    return label if real == name else f"{label}, synthetic data"


def _clauses(counts: Mapping[str, ManyRows], methods: int) -> Iterator[str]:
    for name, words in _COUNTED.items():
        if count := counts.get(name):
            bound = f" (by chance: at most {count.by_luck})" if _has_bound(name, count) else ""
            yield f"{_of(count, methods)} {words}{bound}"


def _cell(section: BoardSection, name: str, methods: int) -> str:
    if section.problem:
        return section.problem.answer
    count = section.counts.get(name)
    if count is None:
        return "not computed"
    return f"{_of(count, methods)} ({count.by_luck})" if _has_bound(name, count) else _of(count, methods)


def _of(count: ManyRows, methods: int) -> str:
    """The number of *yes*, with the number of answers where some methods have none."""
    return str(count.adding) if count.asked == methods else f"{count.adding} of {count.asked}"


def _has_bound(name: str, count: ManyRows) -> bool:
    return count.by_luck is not None and name != "protocol_phase"


def models_of(section: BoardSection) -> list[ModelLine]:
    """The models without a physiological signal, from best to worst; those with a constant score share the last
    line."""
    metric = section.metric
    best = next((score for row in section.current if (score := row.scored(metric))), None)
    return list(model_lines(((str(row.control), row.scored(metric)) for row in section.controls), metric, best))


def answered_questions(rows: Sequence[Row]) -> list[str]:
    """The questions that some of these rows answer, in the order of columns."""
    return [name for name in _COUNTED if any(row.word(name) for row in rows)]


def score_head(section: BoardSection) -> str:
    """The head of the column of scores."""
    facts = metric_facts(section.metric)
    return facts.title if section.metric == section.methods[0].headline else f"{facts.title}, not the primary metric"


def lead_sentence(ranking: Ranking | None) -> str:
    """A sentence on the lead of the first of several ranked methods, and the lead that chance explains; empty for a
    single one."""
    if ranking is None or ranking.luck is None or len(ranking.ranks) < 2:
        return ""
    n, bound = len(ranking.ranks), "" if ranking.paired else "at most "
    return (
        f"The first of {n} ranked methods is {ranking.lead:.3f} above their mean; by chance, the best of {n} equal "
        f"methods would be {bound}{ranking.luck:.3f} above it."
    )
