"""Scores as LaTeX tables (package booktabs), one for each dataset, protocol and target."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from embench.errors import EmbenchError, UsageError
from embench.records import cost
from embench.records.method_kind import method_kind
from embench.records.record import Record
from embench.records.scores import Control, Score
from embench.records.wording import format_control, format_score, is_by_construction, join_with_and
from embench.registry.naming import did_you_mean
from embench.report.facts import RunFacts, row_names
from embench.report.text import escape, render_text
from embench.statistics.comparison import paired_gap
from embench.statistics.metrics import metric_facts
from embench.statistics.personal import COMPARED
from embench.vocabulary import label

DEFAULT_COLUMNS = (
    "difference", "subjects", "seeds", "auroc_within", "concordance_within", "ccc", "ccc_pooled", "rmse",
)  # fmt: skip
"""The columns besides method and primary metric: metrics where any of a table's runs has them; subjects and seeds where
the runs differ in them, and in the caption where they don't. As wide as a page of a journal."""
_COSTS = {name.lower(): name for name in cost.COST_COLUMNS}
_COUNTS = ("subjects", "seeds")
_DIFFERENCE = "difference"
EN_DASH = "--"
_ANSWERS = {"chance": "above chance", "movement": "given movement", "protocol_phase": "given phase"}
"""Question -> the head of its column; one that no run of a table is asked has none."""
NO_ROWS = "none"


def latex_tables(
    records: Sequence[Record], columns: Sequence[str] | None = None, rows: Sequence[str] | None = None
) -> str:
    """All tables of some runs, with the answers to whether scores are associated with the label; the best score of a
    column is bold.

    Args:
        columns: those besides method, primary metric and answers: `difference` (from the best method on features),
            `subjects`, `seeds`, metrics of the runs, `time`, `parameters`, `flops`, `memory`, `energy`; by default
            those of `DEFAULT_COLUMNS`.
        rows: the confound-only models below the methods, `none` for none; by default all, and those whose scores are
            constant in a note.

    Raises:
        UsageError: a column or a row is none of these.
    """
    runs = [RunFacts(record) for record in records]
    _check(runs, columns or (), rows or ())
    groups: dict[tuple[str, str, str], list[RunFacts]] = {}
    for run in runs:
        for target in run.scores.headlines:
            groups.setdefault((run.manifest.dataset.name, run.manifest.protocol.name, target), []).append(run)
    tables = [_table(target, some, columns, rows) for (_, _, target), some in groups.items()]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(tables)


def _check(runs: Sequence[RunFacts], columns: Sequence[str], rows: Sequence[str]) -> None:
    metrics = {name for run in runs for target in run.scores.headlines for name in run.scores.of(target)}
    models = {model.name for run in runs for target in run.scores.headlines for model in _models(run, target)}
    for option, named, known in (
        ("column", columns, [_DIFFERENCE, *_COUNTS, *sorted(metrics), *_COSTS]),
        ("row", rows, [NO_ROWS, *sorted(models)]),
    ):
        for name in named:
            if name not in known:
                raise UsageError(
                    f"unknown {option} `{name}`",
                    where=f"--{option}s",
                    expected=f"one of: {', '.join(known)}",
                    hint=did_you_mean(name, known),
                )


def _models(run: RunFacts, target: str) -> list[Control]:
    """The confound-only models that apply to a target."""
    return [model for model in run.scores.controls(target) if not model.reason and model.name not in COMPARED]


def _table(target: str, runs: Sequence[RunFacts], columns: Sequence[str] | None, rows: Sequence[str] | None) -> str:
    headline = runs[0].scores.headlines[target]
    chosen = _default(runs, target) if columns is None else columns
    counts = [name for name in _COUNTS if name in chosen]
    shown = [headline, *(name for name in chosen if name not in (*_COUNTS, _DIFFERENCE, headline))]
    asked = [name for name in _ANSWERS if any(run.answers[target].answer(name) for run in runs)]
    baseline = _strongest(runs, target, headline) if _DIFFERENCE in chosen else None
    gaps = _differences(runs, baseline, target, headline) if baseline else {}
    best = {name: _best(runs, target, name) for name in shown if name not in _COSTS}
    methods, names = [], row_names(runs)
    for run in runs:
        first, *others = _scores(run.scores.of(target), shown, format_score, run.costs, best)
        words = [escape(run.answers[target].word(name)) for name in asked]
        apart = [gaps[run.manifest.id]] if gaps else []
        methods.append([*_about(escape(names[run.manifest.id]), run, counts), first, *apart, *words, *others])
    largest = max(runs, key=lambda run: tuple(_counts(run).values()))
    constants = _constants(largest, target, shown) if rows is None else {}
    noted = [name for names in constants.values() for name in names]
    models = []
    for model in _models(largest, target):
        if model.name in (rows or []) or (rows is None and model.name not in noted):
            first, *others = _scores(model.scores, shown, format_control, {}, {})
            about = _about(rf"\emph{{{escape(label(model.name))}}}", largest, counts)
            models.append([*about, first, *([""] * (bool(gaps) + len(asked))), *others])
    heads = [_COSTS.get(name) or metric_facts(name).short for name in shown]
    facts = [metric_facts(name) for name in shown if name not in _COSTS]
    return render_text(
        "table.tex",
        run=runs[0],
        target=target,
        counts=counts,
        **_counts(runs[0]),
        heads=[
            "method",
            *counts,
            heads[0],
            *([_DIFFERENCE] if gaps else []),
            *(_ANSWERS[n] for n in asked),
            *heads[1:],
        ],
        named=[rf"\emph{{{escape(each.short)}}}: {escape(each.title)}" for each in facts if each.short != each.title],
        synthetic=any(run.synthetic for run in runs),
        dev=any(run.manifest.dev for run in runs),
        about=_caption(runs, target),
        baseline=escape(names[baseline.manifest.id]) if baseline else "",
        bold=any(best.values()),
        rows=methods,
        controls=models,
        constants=[f"{join_with_and([escape(label(n)) for n in names])} ({v})" for v, names in constants.items()],
    )


def _about(name: str, run: RunFacts, counts: Sequence[str]) -> list[str]:
    return [name, *(str(_counts(run)[count]) for count in counts)]


def _constants(run: RunFacts, target: str, shown: Sequence[str]) -> dict[str, list[str]]:
    """Score by construction -> the confound-only models that have no other score in the table."""
    found: dict[str, list[str]] = {}
    for model in _models(run, target):
        scores = [model.scores.get(name) for name in shown if name not in _COSTS]
        known = [score for score in scores if score is not None and score.defined]
        values = {f"{score.mean:.3f}" for score in known if is_by_construction(score)}
        if len(values) == 1 and all(f"{score.mean:.3f}" in values for score in known):
            found.setdefault(values.pop(), []).append(model.name)
    return found


def _strongest(runs: Sequence[RunFacts], target: str, headline: str) -> RunFacts | None:
    """The method on features with the best primary metric among several methods; None where there is none."""
    scored = [run for run in runs if (score := run.scores.of(target).get(headline)) and score.defined]
    simple = [run for run in scored if not run.outside and method_kind(run.manifest.method) == "features"]
    if len(runs) < 2 or not simple:
        return None
    sign = 1 if metric_facts(headline).higher else -1
    return max(simple, key=lambda run: sign * run.scores.of(target)[headline].mean)


def _differences(runs: Sequence[RunFacts], baseline: RunFacts, target: str, headline: str) -> dict[str, str]:
    """Run -> its paired difference from the baseline, with the interval."""
    found = {baseline.manifest.id: "baseline"}
    for run in runs:
        if run is not baseline:
            try:
                gap = paired_gap(run.record, baseline.record, target, headline)
                figures = format_score(Score(mean=gap.mean, low=gap.low, high=gap.high), "+.3f")
                cell = re.sub(r"[+-][\d.]+", r"$\g<0>$", figures)  # minus signs, not hyphens
            except EmbenchError:  # without labels, common units or a defined score
                cell = EN_DASH
            found[run.manifest.id] = cell
    return found


def _best(runs: Sequence[RunFacts], target: str, metric: str) -> str:
    """The best score of a metric as the table shows it; empty for a single method."""
    scores = [score for run in runs if (score := run.scores.of(target).get(metric)) and score.defined]
    if len(runs) < 2 or not scores:
        return ""
    best = max if metric_facts(metric).higher else min
    return f"{best(score.mean for score in scores):.3f}"


def _caption(runs: Sequence[RunFacts], target: str) -> str:
    """Sentences of a caption: the result of a single run, or what the primary metric of several compares."""
    form = runs[0].forms[target]
    return escape(form.sentence if len(runs) == 1 else form.explanation)


def _default(runs: Sequence[RunFacts], target: str) -> list[str]:
    differ = {name for name in _COUNTS if len({_counts(run)[name] for run in runs}) > 1}
    defined = {name for run in runs for name, score in run.scores.of(target).items() if score.defined}
    return [name for name in DEFAULT_COLUMNS if name in differ | defined | {_DIFFERENCE}]


def _scores(
    scores: Mapping[str, Score],
    shown: Sequence[str],
    headline: Callable[..., str],
    costs: Mapping[str, str],
    best: Mapping[str, str],
) -> list[str]:
    """The primary metric, first of those `shown`, with its interval; the others without, and known costs. Those that
    start with the `best` score of their metric are bold."""
    cells = [headline(scores.get(shown[0]), missing=EN_DASH)]
    for name in shown[1:]:
        if name in _COSTS:
            cells.append(escape(costs.get(_COSTS[name], "")))
        else:
            cells.append(format_score(scores.get(name), missing=EN_DASH, interval=False))
    for k, name in enumerate(shown):
        number, _, interval = cells[k].partition(" ")
        if best.get(name) and number == best[name]:
            cells[k] = rf"\textbf{{{number}}} {interval}".rstrip()
    return cells


def _counts(run: RunFacts) -> dict[str, int]:
    return {"subjects": run.manifest.cohort.size, "seeds": len(run.manifest.seeds)}
