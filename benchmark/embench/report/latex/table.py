"""Scores as LaTeX tables (package booktabs), one for each dataset, protocol and target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from embench.errors import UsageError
from embench.records import cost
from embench.records.record import Record
from embench.records.scores import Score
from embench.records.wording import format_control, format_score
from embench.registry.naming import did_you_mean
from embench.report.facts import RunFacts
from embench.report.text import escape, render_text
from embench.statistics.metrics import metric_facts
from embench.statistics.personal import COMPARED
from embench.vocabulary import label

DEFAULT_COLUMNS = ("subjects", "seeds", "auroc_within", "concordance_within", "ccc", "ccc_pooled", "rmse")
"""The columns besides method and primary metric: metrics where any of a table's runs has them; subjects and seeds where
the runs differ in them, and in the caption where they don't. As wide as a page of a journal."""
_COSTS = {name.lower(): name for name in cost.COST_COLUMNS}
_COUNTS = ("subjects", "seeds")
EN_DASH = "--"
_ANSWERS = {"chance": "above chance", "movement": "given movement", "protocol_phase": "given phase"}
"""Question -> the head of its column; one that no run of a table is asked has none."""


def latex_tables(records: Sequence[Record], columns: Sequence[str] | None = None) -> str:
    """All tables of some runs, with the answers to whether scores are associated with the label.

    Args:
        columns: those besides method, primary metric and answers: `subjects`, `seeds`, metrics of the runs, `time`,
            `parameters`, `flops`, `memory`, `energy`; by default those of `DEFAULT_COLUMNS`.

    Raises:
        UsageError: a column is none of these.
    """
    runs = [RunFacts(record) for record in records]
    _check(runs, columns or ())
    groups: dict[tuple[str, str, str], list[RunFacts]] = {}
    for run in runs:
        for target in run.scores.headlines:
            groups.setdefault((run.manifest.dataset.name, run.manifest.protocol.name, target), []).append(run)
    tables = [_table(target, some, columns) for (_, _, target), some in groups.items()]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(tables)


def _check(runs: Sequence[RunFacts], columns: Sequence[str]) -> None:
    metrics = {name for run in runs for target in run.scores.headlines for name in run.scores.of(target)}
    known = [*_COUNTS, *sorted(metrics), *_COSTS]
    for name in columns:
        if name not in known:
            raise UsageError(
                f"unknown column `{name}`",
                where="--columns",
                expected=f"one of: {', '.join(known)}",
                hint=did_you_mean(name, known),
            )


def _table(target: str, runs: Sequence[RunFacts], columns: Sequence[str] | None) -> str:
    headline = runs[0].scores.headlines[target]
    chosen = _default(runs, target) if columns is None else columns
    counts = [name for name in _COUNTS if name in chosen]
    shown = [headline, *(name for name in chosen if name not in (*_COUNTS, headline))]
    facts = [metric_facts(name) for name in shown if name not in _COSTS]
    asked = [name for name in _ANSWERS if any(run.answers[target].answer(name) for run in runs)]
    rows = []
    for run in runs:
        about = [escape(run.row_name), *(str(_counts(run)[name]) for name in counts)]
        first, *others = _scores(run.scores.of(target), shown, format_score, run.costs)
        words = [escape(run.answers[target].word(name)) for name in asked]
        rows.append([*about, first, *words, *others])
    heads = [_COSTS.get(name) or metric_facts(name).short for name in shown]
    largest = max(runs, key=lambda run: tuple(_counts(run).values()))
    controls = []
    for control in largest.scores.controls(target):
        if not control.reason and control.name not in COMPARED:
            first, *others = _scores(control.scores, shown, format_control, {})
            about = [rf"\emph{{{escape(label(control.name))}}}", *(str(_counts(largest)[name]) for name in counts)]
            controls.append([*about, first, *("" for _ in asked), *others])
    return render_text(
        "table.tex",
        run=runs[0],
        target=target,
        counts=counts,
        **_counts(runs[0]),
        heads=["method", *counts, heads[0], *(_ANSWERS[name] for name in asked), *heads[1:]],
        named=[rf"\emph{{{escape(each.short)}}}: {escape(each.title)}" for each in facts if each.short != each.title],
        synthetic=any(run.synthetic for run in runs),
        dev=any(run.manifest.dev for run in runs),
        about=_caption(runs, target),
        rows=rows,
        controls=controls,
    )


def _caption(runs: Sequence[RunFacts], target: str) -> str:
    """Sentences of a caption: the result of a single run, or what the primary metric of several compares."""
    form = runs[0].forms[target]
    return escape(form.sentence if len(runs) == 1 else form.explanation)


def _default(runs: Sequence[RunFacts], target: str) -> list[str]:
    differ = {name for name in _COUNTS if len({_counts(run)[name] for run in runs}) > 1}
    defined = {name for run in runs for name, score in run.scores.of(target).items() if score.defined}
    return [name for name in DEFAULT_COLUMNS if name in differ | defined]


def _scores(
    scores: Mapping[str, Score], shown: Sequence[str], headline: Callable[..., str], costs: Mapping[str, str]
) -> list[str]:
    """The primary metric, first of those `shown`, with its interval; the others without, and known costs."""
    cells = [headline(scores.get(shown[0]), missing=EN_DASH)]
    for name in shown[1:]:
        if name in _COSTS:
            cells.append(escape(costs.get(_COSTS[name], "")))
        else:
            cells.append(format_score(scores.get(name), missing=EN_DASH, interval=False))
    return cells


def _counts(run: RunFacts) -> dict[str, int]:
    return {"subjects": run.manifest.cohort.size, "seeds": len(run.manifest.seeds)}
