"""Scores as LaTeX tables (package booktabs), one for each dataset, protocol and target."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from embench import vocabulary
from embench.errors import EmbenchError, UsageError
from embench.records import wording
from embench.records.manifest import method_kind
from embench.records.record import Record
from embench.records.scores import Control, Score
from embench.records.wording import bare_name, is_by_construction, join_with_and
from embench.report.facts import RunFacts, row_names
from embench.report.latex.bibliography import escape, in_apa, render_text
from embench.statistics import metric_facts
from embench.statistics.answers import figures, two_decimals
from embench.statistics.comparison import paired_gap
from embench.statistics.scores import COMPARED
from embench.vocabulary import did_you_mean, label

DEFAULT_COLUMNS = (
    "difference", "subjects", "seeds", "auroc_within", "concordance_within", "ccc", "ccc_pooled", "rmse",
)  # fmt: skip
"""The columns besides method and primary metric: metrics where any of a table's runs has them; subjects and seeds where
the runs differ in them, and in the caption where they don't. As wide as a page of a journal."""
_COSTS = {name.lower(): name for name in wording.COST_COLUMNS}
_COUNTS = ("subjects", "seeds")
_DIFFERENCE = "difference"
EN_DASH = "--"
_INTERVAL = "{} [{}, {}]"
_ANSWERS = {"chance": "above chance", "movement": "given movement", "protocol_phase": "given phase"}
"""Question -> the head of its column; one that no run of a table is asked has none."""
_ASKED = {
    "chance": "more than by chance",
    "movement": "after adjustment for time and movement within 10~min",
    "protocol_phase": "after adjustment for the phase of the protocol, inferred from movement of the whole session",
}
_TIME_ALONE = "after adjustment for the time since the start (movement was not recorded)"
NO_ROWS = "none"
_LINE, _GAP, _NAMES = 345, 6, 70
"""Widths in pt: of a line of LaTeX's article, between two columns, and the least of names of methods."""
_NARROW, _SMALL, _MINUS = 2.8, 4.4, 6.6
"""Widths in pt at footnotesize: of points and brackets, of other characters, and of a minus sign."""


def latex_tables(
    records: Sequence[Record], columns: Sequence[str] | None = None, rows: Sequence[str] | None = None
) -> str:
    """All tables of some runs, with the answers to whether scores are associated with the label; the best score of a
    column is bold.

    Args:
        columns: those besides method, primary metric and answers: `difference` (from the best method on features, or
            where there is none from the first), `subjects`, `seeds`, metrics of the runs, `time`, `parameters`,
            `flops`, `memory`, `energy`; by default those of `DEFAULT_COLUMNS` that a line has room for.
        rows: the confound-only models below the methods, `none` for none; by default all, and those whose scores are
            constant in a note.

    Raises:
        UsageError: a column or a row is none of these.
    """
    runs = [RunFacts(record) for record in records]
    rows = None if rows is None else [_row(name) for name in rows]
    _check(runs, columns or (), rows or ())
    groups: dict[tuple[str, str, str], list[RunFacts]] = {}
    for run in runs:
        for target in run.scores.headlines:
            groups.setdefault((run.manifest.dataset.name, run.manifest.protocol.name, target), []).append(run)
    if _DIFFERENCE in (columns or ()) and all(len(some) < 2 for some in groups.values()):
        raise UsageError("one run has no difference", where="--columns", expected="several runs of one dataset")
    tables = [_table(target, some, columns, rows) for (_, _, target), some in groups.items()]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(tables)


def best_first(records: Sequence[Record]) -> list[Record]:
    """Runs by the primary metric of their first target, those without one last."""

    def rank(record: Record) -> float:
        target, metric = next(iter(record.scores.headlines.items()), ("", ""))
        score = record.scores.of(target).get(metric) if target else None
        if score is None or not score.defined:
            return float("inf")
        return -score.mean if metric_facts(metric).higher else score.mean

    return sorted(records, key=rank)


def _check(runs: Sequence[RunFacts], columns: Sequence[str], rows: Sequence[str]) -> None:
    metrics = {name for run in runs for target in run.scores.headlines for name in run.scores.of(target)}
    models = {_row(model.name) for run in runs for target in run.scores.headlines for model in _models(run, target)}
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


def _row(name: str) -> str:
    """The name of a confound-only model in `rows`: that of the glossary, for which records have others too."""
    term = vocabulary.terms("models").get(name)
    return term.id if term else name


def _models(run: RunFacts, target: str) -> list[Control]:
    """The confound-only models that apply to a target."""
    return [model for model in run.scores.controls(target) if not model.reason and model.name not in COMPARED]


def _table(target: str, runs: Sequence[RunFacts], columns: Sequence[str] | None, rows: Sequence[str] | None) -> str:
    headline = runs[0].scores.headlines[target]
    asked = [name for name in _ANSWERS if any(run.answers[target].answer(name) for run in runs)]
    chosen = _default(runs, target, asked) if columns is None else columns
    counts = [name for name in _COUNTS if name in chosen]
    shown = [headline, *(name for name in chosen if name not in (*_COUNTS, _DIFFERENCE, headline))]
    strongest = _strongest(runs, target, headline)
    baseline = (strongest or runs[0]) if _DIFFERENCE in chosen and len(runs) > 1 else None
    gaps = _differences(runs, baseline, target, headline) if baseline else {}
    best = {name: _best(runs, target, name) for name in shown if name not in _COSTS}
    methods, names = [], row_names(runs)
    for run in runs:
        first, *others = _scores(run.scores.of(target), shown, run.costs, best)
        words = [escape(run.answers[target].word(name)) for name in asked]
        apart = [gaps[run.manifest.id]] if gaps else []
        methods.append([*_about(escape(names[run.manifest.id]), run, counts), first, *apart, *words, *others])
    largest = max(runs, key=lambda run: tuple(_counts(run).values()))
    constants = _constants(largest, target, shown) if rows is None else {}
    noted = [name for names in constants.values() for name in names]
    models = []
    for model in _models(largest, target):
        if _row(model.name) in (rows or []) or (rows is None and model.name not in noted):
            first, *others = _scores(model.scores, shown, {}, {}, fixed=True)
            about = _about(rf"\emph{{{escape(label(model.name))}}}", largest, counts)
            models.append([*about, first, *([""] * (bool(gaps) + len(asked))), *others])
    heads = _heads(counts, shown, asked, apart=bool(gaps))
    facts = [metric_facts(name) for name in shown if name not in _COSTS]
    decides = [each.judged for run in runs if (each := run.answers[target].adds)]
    place = (bare_name(runs[0].manifest.dataset.name), target, runs[0].manifest.protocol.name)
    return render_text(
        "table.tex",
        run=runs[0],
        target=target,
        counts=counts,
        **_counts(runs[0]),
        heads=list(zip(*heads, strict=True)),
        asked={_ANSWERS[name]: _ASKED[name] for name in asked} | _without_movement(runs, target, asked),
        phase_decides="full" in decides and "protocol_phase" in asked,
        names_width=max(_NAMES, round(_room(heads, [*methods, *models]))),
        place=re.sub(r"[^A-Za-z0-9]+", "-", "-".join(place)),
        named=[rf"\emph{{{escape(each.short)}}}: {escape(each.title)}" for each in facts if each.short != each.title],
        synthetic=any(run.synthetic for run in runs),
        dev=any(run.manifest.dev for run in runs),
        about=_caption(runs, target),
        baseline=escape(names[baseline.manifest.id]) if baseline else "",
        on_features=strongest is not None,
        bold=any(best.values()),
        rows=methods,
        controls=models,
        constants=[f"{join_with_and([escape(label(n)) for n in names])} ({v})" for v, names in constants.items()],
    )


def _heads(counts: Sequence[str], shown: Sequence[str], asked: Sequence[str], *, apart: bool) -> list[tuple[str, str]]:
    """The head of each column, in two lines."""
    first, *others = [_COSTS.get(name) or metric_facts(name).short for name in shown]
    answers = [_ANSWERS[name] for name in asked]
    return [_two_lines(head) for head in ("method", *counts, first, *([_DIFFERENCE] * apart), *answers, *others)]


def _two_lines(head: str) -> tuple[str, str]:
    """A head cut where its longer line is shortest; one word stands in the second line."""
    words = escape(head).split(" ")
    cuts = [(" ".join(words[:k]), " ".join(words[k:])) for k in range(len(words))]
    return min(cuts[1:] or cuts, key=lambda cut: max(map(len, cut)))


def _room(heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> float:
    """The width that a line leaves to the first column."""
    columns = list(zip(*rows, strict=True))
    return _LINE - sum(
        _GAP + max(map(_width, (*head, *cells))) for head, cells in zip(heads[1:], columns[1:], strict=True)
    )


def _width(cell: str) -> float:
    """About how wide LaTeX sets a cell."""
    bare = re.sub(r"\\[a-z]+\b|[{}\\]", "", cell.replace("$-$", "-"))
    narrow = sum(map(bare.count, " .,[]()"))
    return narrow * _NARROW + bare.count("-") * _MINUS + (len(bare) - narrow - bare.count("-")) * _SMALL


def _without_movement(runs: Sequence[RunFacts], target: str, asked: Sequence[str]) -> dict[str, str]:
    """The meaning of the answer given movement where none was recorded."""
    recorded = [adds.movement for run in runs if (adds := run.answers[target].adds)]
    return {_ANSWERS["movement"]: _TIME_ALONE} if "movement" in asked and recorded and not any(recorded) else {}


def _about(name: str, run: RunFacts, counts: Sequence[str]) -> list[str]:
    return [name, *(str(_counts(run)[count]) for count in counts)]


def _constants(run: RunFacts, target: str, shown: Sequence[str]) -> dict[str, list[str]]:
    """Score by construction -> the confound-only models that have no other score in the table."""
    found: dict[str, list[str]] = {}
    for model in _models(run, target):
        scores = [model.scores.get(name) for name in shown if name not in _COSTS]
        known = [score for score in scores if score is not None and score.defined]
        values = {two_decimals(score.mean) for score in known if is_by_construction(score)}
        if len(values) == 1 and all(two_decimals(score.mean) in values for score in known):
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
                cell = escape(figures(Score(mean=gap.mean, low=gap.low, high=gap.high), 0.0, _INTERVAL))
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
    return two_decimals(best(score.mean for score in scores))


def _caption(runs: Sequence[RunFacts], target: str) -> str:
    """Sentences of a caption: what the primary metric compares, or why it can't be estimated."""
    form = runs[0].forms[target]
    return escape(in_apa(form.sentence) if form.problem else form.explanation)


def _default(runs: Sequence[RunFacts], target: str, asked: Sequence[str]) -> list[str]:
    """The columns of `DEFAULT_COLUMNS` that these runs have, and that a line has room for."""
    differ = {name for name in _COUNTS if len({_counts(run)[name] for run in runs}) > 1}
    defined = {name for run in runs for name, score in run.scores.of(target).items() if score.defined}
    apart, headline = len(runs) > 1, runs[0].scores.headlines[target]
    counts = [name for name in _COUNTS if name in differ]
    metrics = [name for name in DEFAULT_COLUMNS if name in defined - {headline}]
    while metrics:
        row = ["", *(["00"] * len(counts)), _INTERVAL.format(*["0.00"] * 3)]
        row += [_INTERVAL.format(*["-0.00"] * 3)] * apart + ["not shown"] * len(asked) + ["0.00"] * len(metrics)
        if _room(_heads(counts, [headline, *metrics], asked, apart=apart), [row]) >= _NAMES:
            break
        metrics.pop()
    return [*([_DIFFERENCE] * apart), *counts, *metrics]


def _scores(
    scores: Mapping[str, Score],
    shown: Sequence[str],
    costs: Mapping[str, str],
    best: Mapping[str, str],
    *,
    fixed: bool = False,
) -> list[str]:
    """The primary metric, first of those `shown`, with its interval; the others without, and known costs. The `best`
    score of each metric is bold. `fixed`: a score without any spread is one by construction."""
    cells = []
    for name in shown:
        score = scores.get(name)
        if name in _COSTS:
            cells.append(escape(costs.get(_COSTS[name], "")))
        elif score is None or not score.defined:
            cells.append(EN_DASH)
        elif fixed and is_by_construction(score):
            cells.append(f"{escape(two_decimals(score.mean))} always")
        else:
            text = figures(score, metric_facts(name).chance, _INTERVAL) if name == shown[0] else ""
            number, _, interval = escape(text or two_decimals(score.mean)).partition(" ")
            is_best = best.get(name) == two_decimals(score.mean)
            cells.append((rf"\textbf{{{number}}} {interval}" if is_best else f"{number} {interval}").rstrip())
    return cells


def _counts(run: RunFacts) -> dict[str, int]:
    return {"subjects": run.manifest.cohort.size, "seeds": len(run.manifest.seeds)}
