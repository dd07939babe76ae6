"""Scores as LaTeX tables (package booktabs), one for each dataset, protocol and target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from embench.errors import UsageError
from embench.records import cost
from embench.records.record import Record
from embench.records.scores import Score
from embench.records.wording import format_control, format_score, in_words, join_with_and
from embench.registry.naming import did_you_mean
from embench.report.facts import RunFacts
from embench.report.text import escape, render_text
from embench.statistics.metrics import metric_facts
from embench.statistics.personal import COMPARED
from embench.statistics.verdict import NOT_COMPARED

DEFAULT_COLUMNS = (
    *("subjects", "seeds", "auroc_within", "auroc", "balanced_accuracy"),
    *("concordance_within", "ccc", "ccc_pooled", "rmse"),
)
"""The columns besides method and headline: metrics where any of a table's runs has them; subjects and seeds where the
runs differ in them, and in the caption where they don't. As wide as a page of a journal."""
_COSTS = {name.lower(): name for name in cost.COST_COLUMNS}
_COUNTS = ("subjects", "seeds")
EN_DASH = "--"
_FAILED, _NOT_COMPARED, _NOT_ADDED, _NOT_ASKED = r"\textdagger", r"\textdaggerdbl", r"\textsection", r"\textparagraph"
_MARKS = {
    _FAILED: "not shown to be better than every control",
    _NOT_COMPARED: NOT_COMPARED,
    _NOT_ADDED: "not shown to add to clock and movement",
    _NOT_ASKED: "what it adds to clock and movement can't be estimated",
}
_LEVELS = {
    "local": r"the time since the start and movement within ten minutes (level \texttt{local})",
    "full": "the time since the start, movement within ten minutes and clocks that a whole session's movement sets "
    r"(level \texttt{full})",
    "": "the time since the start alone, as movement was not recorded",
}
"""Nuisances held constant at the level that decides what a row adds; the last where there is no accelerometer."""


def latex_tables(records: Sequence[Record], columns: Sequence[str] | None = None) -> str:
    """All tables of some runs. A run that is not shown to be better than every control has a dagger, and a
    double one where its headline can't be estimated.

    Args:
        columns: those besides method and headline: `subjects`, `seeds`, metrics of the runs, and `time`, `parameters`,
            `flops`, `memory`, `energy`; by default those of `DEFAULT_COLUMNS`.

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
    rows, marks = [], {run.manifest.id: _mark(run, target) for run in runs}
    for run in runs:
        mark = rf"\textsuperscript{{{marks[run.manifest.id]}}}" if marks[run.manifest.id] else ""
        about = [escape(run.row_name) + mark, *(str(_counts(run)[name]) for name in counts)]
        rows.append([*about, *_scores(run.scores.of(target), shown, format_score, run.costs)])
    largest = max(runs, key=lambda run: tuple(_counts(run).values()))
    controls = [
        [
            rf"\emph{{{escape(in_words(control.name))}}}",
            *(str(_counts(largest)[name]) for name in counts),
            *_scores(control.scores, shown, format_control, {}),
        ]
        for control in largest.scores.controls(target)
        if not control.reason and control.name not in COMPARED
    ]
    return render_text(
        "table.tex",
        run=runs[0],
        target=target,
        counts=counts,
        **_counts(runs[0]),
        heads=["method", *counts, *(_COSTS.get(name) or metric_facts(name).short for name in shown)],
        named=[rf"\emph{{{escape(each.short)}}}: {escape(each.title)}" for each in facts if each.short != each.title],
        synthetic=any(run.synthetic for run in runs),
        dev=any(run.manifest.dev for run in runs),
        notes=[
            *(f"{mark}: {escape(note)}" for mark, note in _MARKS.items() if mark in marks.values()),
            *_levels(runs, target),
        ],
        rows=rows,
        controls=controls,
    )


def _levels(runs: Sequence[RunFacts], target: str) -> list[str]:
    """A note on the level at which each row is asked what it adds; none where no row is asked."""
    by_level: dict[str, list[str]] = {}
    for run in runs:
        adds = run.verdicts[target].adds
        if adds and adds.decides:
            level = adds.judged if adds.movement else ""
            by_level.setdefault(_LEVELS[level], []).append(escape(run.row_name))
    if not by_level:
        return []
    if len(by_level) == 1:
        return [f"What a row adds is asked beyond {next(iter(by_level))}"]
    parts = (f"{join_with_and(list(dict.fromkeys(names)))} beyond {level}" for level, names in sorted(by_level.items()))
    return [f"What a row adds is asked of {'; of '.join(parts)}"]


def _default(runs: Sequence[RunFacts], target: str) -> list[str]:
    differ = {name for name in _COUNTS if len({_counts(run)[name] for run in runs}) > 1}
    defined = {name for run in runs for name, score in run.scores.of(target).items() if score.defined}
    return [name for name in DEFAULT_COLUMNS if name in differ | defined]


def _scores(
    scores: Mapping[str, Score], shown: Sequence[str], headline: Callable[..., str], costs: Mapping[str, str]
) -> list[str]:
    """The headline, first of those `shown`, with its interval; the others without, and costs where they are known."""
    cells = [headline(scores.get(shown[0]), missing=EN_DASH)]
    for name in shown[1:]:
        if name in _COSTS:
            cells.append(escape(costs.get(_COSTS[name], "")))
        else:
            cells.append(format_score(scores.get(name), missing=EN_DASH, interval=False))
    return cells


def _counts(run: RunFacts) -> dict[str, int]:
    return {"subjects": run.manifest.cohort.size, "seeds": len(run.manifest.seeds)}


def _mark(run: RunFacts, target: str) -> str:
    """The mark of a run that is not shown to be better than every control, or to add to them; empty where it is."""
    verdict = run.verdicts[target]
    if verdict.asked:
        if verdict.adds and verdict.adds.undefined:
            return _NOT_ASKED
        return _NOT_ADDED if verdict.fails else ""
    if verdict.score is None:
        return _NOT_COMPARED
    return _FAILED if verdict.failed or not verdict.compared else ""
