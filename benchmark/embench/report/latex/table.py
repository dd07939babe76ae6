"""Scores as LaTeX tables (package booktabs), one for each dataset, protocol and target."""

from __future__ import annotations

from collections.abc import Sequence

from embench.errors import UsageError
from embench.records import cost
from embench.records.record import Record
from embench.records.wording import (
    counted,
    format_control,
    format_score,
    in_words,
    method_name,
)
from embench.registry.naming import did_you_mean
from embench.report.latex.bibliography import dataset_title
from embench.report.latex.tex import code, escape
from embench.statistics.metrics import metric_facts

DEFAULT_COLUMNS = ("subjects", "seeds", "auroc_within", "auroc", "balanced_accuracy", "ccc", "rmse")
"""The columns besides method and headline: metrics where any of a table's runs has them; subjects and seeds where the
runs differ in them, and in the caption where they don't. As wide as a page of a journal."""
_COSTS = {name.lower(): name for name in cost.COST_COLUMNS}
_COUNTS = ("subjects", "seeds")
EN_DASH = "--"


def latex_tables(records: Sequence[Record], columns: Sequence[str] | None = None) -> str:
    """All tables of some runs. A run that is not shown to be better than every control has a dagger.

    Args:
        columns: those besides method and headline: `subjects`, `seeds`, metrics of the runs, and `time`, `parameters`,
            `flops`, `memory`, `energy`; by default those of `DEFAULT_COLUMNS`.

    Raises:
        UsageError: a column is none of these.
    """
    _check(records, columns or ())
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for of in records:
        for target in of.scores.headlines:
            groups.setdefault((of.manifest.dataset.name, of.manifest.protocol.name, target), []).append(of)
    made = [_table(*key, some, columns) for key, some in groups.items()]
    return "% needs \\usepackage{booktabs}\n" + "\n\n".join(made) + "\n"


def _check(records: Sequence[Record], columns: Sequence[str]) -> None:
    metrics = {name for of in records for target in of.scores.headlines for name in of.scores.of(target)}
    known = [*_COUNTS, *sorted(metrics), *_COSTS]
    for name in columns:
        if name not in known:
            raise UsageError(
                f"unknown column `{name}`",
                where="--columns",
                expected=f"one of: {', '.join(known)}",
                hint=did_you_mean(name, known),
            )


def _table(dataset: str, protocol: str, target: str, records: Sequence[Record], columns: Sequence[str] | None) -> str:
    headline = records[0].scores.headlines[target]
    chosen = _default(records, target) if columns is None else columns
    chosen = [name for name in chosen if name != headline]
    before = [name for name in _COUNTS if name in chosen]
    after = [name for name in chosen if name not in _COUNTS]
    heads = [
        "method",
        *before,
        *(_COSTS.get(name) or metric_facts(name).short for name in [headline, *after]),
    ]
    controls = _controls(records, target, headline, before, after)
    caption = _caption(dataset, protocol, target, [headline, *after], records, alike=not before)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"\toprule",
        _line([escape(head) for head in heads]),
        r"\midrule",
        *[_line(_cells(of, target, headline, before, after)) for of in records],
        *([r"\midrule", *map(_line, controls)] if controls else []),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _default(records: Sequence[Record], target: str) -> list[str]:
    differ = {name for name in _COUNTS if len({_counts(of)[name] for of in records}) > 1}
    defined = {name for of in records for name, score in of.scores.of(target).items() if score.defined}
    return [name for name in DEFAULT_COLUMNS if name in differ | defined]


def _caption(
    dataset: str, protocol: str, target: str, metrics: Sequence[str], records: Sequence[Record], *, alike: bool
) -> str:
    counts = _counts(records[0])
    how_many = f" ({counted(counts['subjects'], 'subject')}, {counted(counts['seeds'], 'seed')})" if alike else ""
    where = f"{escape(in_words(target))} on {escape(dataset_title(dataset))}{how_many}"
    facts = [metric_facts(name) for name in metrics if name not in _COSTS]
    named = [rf"\emph{{{escape(each.short)}}}: {escape(each.title)}" for each in facts if each.short != each.title]
    sentences = [rf"Prediction of {where}, protocol {code(protocol)}. In brackets: 95~\% intervals."]
    sentences += [f"{'; '.join(named)}."] if named else []
    if any(of.manifest.dataset.synthetic is not None for of in records):
        sentences.append(r"\textbf{Synthetic data: these numbers say nothing about real subjects.}")
    if records[0].manifest.protocol.leaks:
        sentences.append("This protocol leaks: training has seen part of the test data.")
    if any(of.manifest.dev for of in records):
        sentences.append("Scores of validation subjects.")
    if any(_failed(of, target) for of in records):
        sentences.append(r"\textdagger: not shown to be better than every control.")
    return " ".join(sentences)


def _cells(of: Record, target: str, headline: str, before: Sequence[str], after: Sequence[str]) -> list[str]:
    scores, costs = of.scores.of(target), cost.format_cost(of.run["cost"])
    mark = r"\textsuperscript{\textdagger}" if _failed(of, target) else ""
    return [
        escape(method_name(of.run)) + mark,
        *(str(_counts(of)[name]) for name in before),
        format_score(scores.get(headline), missing=EN_DASH),
        *(
            escape(costs[_COSTS[name]])
            if name in _COSTS
            else format_score(scores.get(name), missing=EN_DASH, interval=False)
            for name in after
        ),
    ]


def _controls(
    records: Sequence[Record], target: str, headline: str, before: Sequence[str], after: Sequence[str]
) -> list[list[str]]:
    """Each control once, as it scored in the run with most subjects, then most seeds."""
    of = max(records, key=lambda r: (_counts(r)["subjects"], _counts(r)["seeds"]))
    rows = []
    for control in of.scores.controls(target):
        if not control.reason:
            others = [
                "" if metric in _COSTS else format_score(control.scores.get(metric), missing=EN_DASH, interval=False)
                for metric in after
            ]
            counts = [str(_counts(of)[count]) for count in before]
            first = format_control(control.scores.get(headline), missing=EN_DASH)
            rows.append([rf"\emph{{{escape(in_words(control.name))}}}", *counts, first, *others])
    return rows


def _counts(of: Record) -> dict[str, int]:
    return {"subjects": of.manifest.cohort.size, "seeds": len(of.manifest.seeds)}


def _failed(of: Record, target: str) -> bool:
    gaps = [control.gap for control in of.scores.controls(target) if control.gap]
    return not gaps or not all(gap.clears for gap in gaps)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
