"""Scores as LaTeX tables (package booktabs), one for each dataset, protocol and target."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from embench import vocabulary
from embench.errors import EmbenchError, UsageError
from embench.records import wording
from embench.records.manifest import method_kind
from embench.records.record import Record
from embench.records.scores import ConfoundOnlyModel, Score
from embench.records.wording import bare_name, is_by_construction, join_with_and
from embench.report.facts import RunFacts, row_names
from embench.report.latex.bibliography import escape, in_apa, render_text
from embench.statistics import metric_facts
from embench.statistics.answers import format_decimals, format_with_interval
from embench.statistics.comparison import paired_gap
from embench.statistics.scores import COMPARED
from embench.vocabulary import did_you_mean, label

DEFAULT_COLUMNS = (
    "difference", "subjects", "seeds", "auroc_within", "concordance_within", "ccc", "ccc_pooled", "rmse",
)  # fmt: skip
"""Default columns after method and primary metric. Metrics that no run has are omitted, and so are subjects and seeds
if they are the same for all runs: the caption names these."""
_COSTS = {name.lower(): name for name in wording.COST_COLUMNS}
_COUNTS = ("subjects", "seeds")
_DIFFERENCE = "difference"
EN_DASH = "--"
_INTERVAL = "{} [{}, {}]"
_ANSWERS = {"chance": "above chance", "movement": "given movement", "protocol_phase": "given phase"}
"""Question -> header of its column; questions without an answer have no column."""
_ASKED = {
    "chance": "more than by chance",
    "movement": "after adjustment for time and movement within 10~min",
    "protocol_phase": "after adjustment for the phase of the protocol, inferred from movement of the whole session",
}
_TIME_ALONE = "after adjustment for the time since the start (movement was not recorded)"
NO_ROWS = "none"
_LINE, _GAP, _NAMES = 345, 6, 70
"""Widths in pt: a line of LaTeX's article, the space between two columns, and the smallest column of methods."""
_NARROW, _SMALL, _MINUS = 2.8, 4.4, 6.6
"""Widths in pt at footnotesize: of points and brackets, of other characters, and of a minus sign."""


def latex_tables(
    records: Sequence[Record], columns: Sequence[str] | None = None, rows: Sequence[str] | None = None
) -> str:
    """Return LaTeX tables of runs, one for each dataset, protocol and target. They have columns for method, primary
    metric, and the answers to the questions of embench; the best score of a column is bold.

    Args:
        columns: further columns: `difference` (from the best method on features, or without one from the first run),
            `subjects`, `seeds`, metrics of the runs, `time`, `parameters`, `flops`, `memory`, `energy`. Default: the
            columns of `DEFAULT_COLUMNS` that fit on a line.
        rows: confound-only models below the methods, `none` for none; default: all, with constant scores in a note.

    Raises:
        UsageError: a column or a row is unknown.
    """
    runs = [RunFacts(record) for record in records]
    rows = None if rows is None else [_model_id(name) for name in rows]
    _check_names(runs, columns or (), rows or ())
    groups: dict[tuple[str, str, str], list[RunFacts]] = {}
    for run in runs:
        for target in run.scores.primary_metrics:
            groups.setdefault((run.manifest.dataset.name, run.manifest.protocol.name, target), []).append(run)
    if _DIFFERENCE in (columns or ()) and all(len(some) < 2 for some in groups.values()):
        raise UsageError("one run has no difference", where="--columns", expected="several runs of one dataset")
    tables = [_render(target, some, columns, rows) for (_, _, target), some in groups.items()]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(tables)


def best_first(records: Sequence[Record]) -> list[Record]:
    """Sort runs by the primary metric of their first target; runs without one come last."""

    def rank(record: Record) -> float:
        target, metric = next(iter(record.scores.primary_metrics.items()), ("", ""))
        score = record.scores.get_scores(target).get(metric) if target else None
        if score is None or not score.is_defined:
            return float("inf")
        return -score.mean if metric_facts(metric).higher else score.mean

    return sorted(records, key=rank)


def _check_names(runs: Sequence[RunFacts], columns: Sequence[str], rows: Sequence[str]) -> None:
    places = [(run, target) for run in runs for target in run.scores.primary_metrics]
    metrics = {name for run, target in places for name in run.scores.get_scores(target)}
    models = {_model_id(model.name) for run, target in places for model in _list_models(run, target)}
    for kind, named, known in (
        ("column", columns, [_DIFFERENCE, *_COUNTS, *sorted(metrics), *_COSTS]),
        ("confound-only model", rows, [NO_ROWS, *sorted(models)]),
    ):
        for name in named:
            if name not in known:
                what = f"unknown {kind} `{name}`"
                expected = f"one of: {', '.join(known)}"
                option = f"--{kind.replace(' ', '-')}s"
                raise UsageError(what, where=option, expected=expected, hint=did_you_mean(name, known))


def _model_id(name: str) -> str:
    """Return the id of a confound-only model in the vocabulary, from its id or an alias."""
    term = vocabulary.terms("models").get(name)
    return term.id if term else name


def _list_models(run: RunFacts, target: str) -> list[ConfoundOnlyModel]:
    """Return the confound-only models that apply to a target."""
    return [
        model
        for model in run.scores.get_confound_only_models(target)
        if not model.reason and model.name not in COMPARED
    ]


def _render(target: str, runs: Sequence[RunFacts], columns: Sequence[str] | None, rows: Sequence[str] | None) -> str:
    primary_metric = runs[0].scores.primary_metrics[target]
    questions = [name for name in _ANSWERS if any(run.answers[target].find_answer(name) for run in runs)]
    chosen = _choose_columns(runs, target, questions) if columns is None else columns
    counts = [name for name in _COUNTS if name in chosen]
    metrics = [primary_metric, *(name for name in chosen if name not in (*_COUNTS, _DIFFERENCE, primary_metric))]
    strongest = _find_strongest(runs, target, primary_metric)
    baseline = (strongest or runs[0]) if _DIFFERENCE in chosen and len(runs) > 1 else None
    gaps = _differences(runs, baseline, target, primary_metric) if baseline else {}
    best = {name: _format_best(runs, target, name) for name in metrics if name not in _COSTS}
    methods, names = [], row_names(runs)
    for run in runs:
        first, *others = _format_scores(run.scores.get_scores(target), metrics, run.costs, best)
        words = [escape(run.answers[target].format_answer(name)) for name in questions]
        apart = [gaps[run.manifest.id]] if gaps else []
        methods.append([*_first_cells(escape(names[run.manifest.id]), run, counts), first, *apart, *words, *others])
    largest = max(runs, key=lambda run: tuple(_get_counts(run).values()))
    constants = _find_constants(largest, target, metrics) if rows is None else {}
    noted = [name for names in constants.values() for name in names]
    models = []
    for model in _list_models(largest, target):
        if _model_id(model.name) in (rows or []) or (rows is None and model.name not in noted):
            first, *others = _format_scores(model.scores, metrics, {}, {}, fixed=True)
            about = _first_cells(rf"\emph{{{escape(label(model.name))}}}", largest, counts)
            models.append([*about, first, *([""] * (bool(gaps) + len(questions))), *others])
    heads = _build_headers(counts, metrics, questions, apart=bool(gaps))
    facts = [metric_facts(name) for name in metrics if name not in _COSTS]
    decides = [each.decisive_level for run in runs if (each := run.answers[target].adjusted)]
    manifest, form = runs[0].manifest, runs[0].summaries[target]
    place = (bare_name(manifest.dataset.name), target, manifest.protocol.name)
    return render_text(
        "table.tex",
        run=runs[0],
        target=target,
        counts=counts,
        **_get_counts(runs[0]),
        heads=list(zip(*heads, strict=True)),
        questions={_ANSWERS[name]: _ASKED[name] for name in questions} | _explain_time_alone(runs, target, questions),
        phase_decides="protocol_phase" in decides and "protocol_phase" in questions,
        names_width=max(_NAMES, round(_compute_room(heads, [*methods, *models]))),
        place=re.sub(r"[^A-Za-z0-9]+", "-", "-".join(place)),
        named=[rf"\emph{{{escape(each.short)}}}: {escape(each.title)}" for each in facts if each.short != each.title],
        synthetic=any(run.synthetic for run in runs),
        dev=any(run.manifest.dev for run in runs),
        about=escape(in_apa(form.sentence) if form.problem else form.explanation),
        baseline=escape(names[baseline.manifest.id]) if baseline else "",
        on_features=strongest is not None,
        bold=any(best.values()),
        rows=methods,
        confound_only=models,
        constants=[f"{join_with_and([escape(label(n)) for n in names])} ({v})" for v, names in constants.items()],
    )


def _build_headers(
    counts: Sequence[str], metrics: Sequence[str], questions: Sequence[str], *, apart: bool
) -> list[tuple[str, str]]:
    """Return the header of each column, in two lines."""
    first, *others = [_COSTS.get(name) or metric_facts(name).short for name in metrics]
    answers = [_ANSWERS[name] for name in questions]
    return [_split_header(head) for head in ("method", *counts, first, *([_DIFFERENCE] * apart), *answers, *others)]


def _split_header(head: str) -> tuple[str, str]:
    """Split a header into two lines of about equal length; a single word goes on the second line."""
    words = escape(head).split(" ")
    cuts = [(" ".join(words[:k]), " ".join(words[k:])) for k in range(len(words))]
    return min(cuts[1:] or cuts, key=lambda cut: max(map(len, cut)))


def _compute_room(heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> float:
    """Return the width in pt that the other columns leave for the first one."""
    columns = list(zip(*rows, strict=True))
    return _LINE - sum(
        _GAP + max(map(_estimate_width, (*head, *cells))) for head, cells in zip(heads[1:], columns[1:], strict=True)
    )


def _estimate_width(cell: str) -> float:
    """Estimate the width of a cell in LaTeX, in pt."""
    bare = re.sub(r"\\[a-z]+\b|[{}\\]", "", cell.replace("$-$", "-"))
    narrow = sum(map(bare.count, " .,[]()"))
    return narrow * _NARROW + bare.count("-") * _MINUS + (len(bare) - narrow - bare.count("-")) * _SMALL


def _explain_time_alone(runs: Sequence[RunFacts], target: str, questions: Sequence[str]) -> dict[str, str]:
    """Return the explanation of the column `given movement` if no movement was recorded; else empty."""
    recorded = [adjusted.has_movement for run in runs if (adjusted := run.answers[target].adjusted)]
    return {_ANSWERS["movement"]: _TIME_ALONE} if "movement" in questions and recorded and not any(recorded) else {}


def _first_cells(name: str, run: RunFacts, counts: Sequence[str]) -> list[str]:
    return [name, *(str(_get_counts(run)[count]) for count in counts)]


def _find_constants(run: RunFacts, target: str, metrics: Sequence[str]) -> dict[str, list[str]]:
    """Return score -> the confound-only models that have only this score in the table, by construction."""
    found: dict[str, list[str]] = {}
    for model in _list_models(run, target):
        scores = [model.scores.get(name) for name in metrics if name not in _COSTS]
        known = [score for score in scores if score is not None and score.is_defined]
        values = {format_decimals(score.mean) for score in known if is_by_construction(score)}
        if len(values) == 1 and all(format_decimals(score.mean) in values for score in known):
            found.setdefault(values.pop(), []).append(model.name)
    return found


def _find_strongest(runs: Sequence[RunFacts], target: str, primary_metric: str) -> RunFacts | None:
    """Return the method on features with the best primary metric; None where there is none, or only one run."""
    scored = [run for run in runs if (score := run.scores.get_scores(target).get(primary_metric)) and score.is_defined]
    simple = [run for run in scored if not run.submission and method_kind(run.manifest.method) == "features"]
    if len(runs) < 2 or not simple:
        return None
    sign = 1 if metric_facts(primary_metric).higher else -1
    return max(simple, key=lambda run: sign * run.scores.get_scores(target)[primary_metric].mean)


def _differences(runs: Sequence[RunFacts], baseline: RunFacts, target: str, primary_metric: str) -> dict[str, str]:
    """Return id of a run -> its paired difference from the baseline run, with the interval."""
    found = {baseline.manifest.id: "baseline"}
    for run in runs:
        if run is not baseline:
            try:
                gap = paired_gap(run.record, baseline.record, target, primary_metric)
                cell = escape(format_with_interval(Score(mean=gap.mean, low=gap.low, high=gap.high), 0.0, _INTERVAL))
            except EmbenchError:  # without labels, common units or a defined score
                cell = EN_DASH
            found[run.manifest.id] = cell
    return found


def _format_best(runs: Sequence[RunFacts], target: str, metric: str) -> str:
    """Return the best score of a metric, formatted as in the table; empty for a single run."""
    scores = [score for run in runs if (score := run.scores.get_scores(target).get(metric)) and score.is_defined]
    if len(runs) < 2 or not scores:
        return ""
    best = max if metric_facts(metric).higher else min
    return format_decimals(best(score.mean for score in scores))


def _choose_columns(runs: Sequence[RunFacts], target: str, questions: Sequence[str]) -> list[str]:
    """Return the default columns that these runs have and that fit on a line."""
    differ = {name for name in _COUNTS if len({_get_counts(run)[name] for run in runs}) > 1}
    defined = {name for run in runs for name, score in run.scores.get_scores(target).items() if score.is_defined}
    apart, primary_metric = len(runs) > 1, runs[0].scores.primary_metrics[target]
    counts = [name for name in _COUNTS if name in differ]
    metrics = [name for name in DEFAULT_COLUMNS if name in defined - {primary_metric}]
    while metrics:
        row = ["", *(["00"] * len(counts)), _INTERVAL.format(*["0.00"] * 3)]
        row += [_INTERVAL.format(*["-0.00"] * 3)] * apart + ["not shown"] * len(questions) + ["0.00"] * len(metrics)
        if _compute_room(_build_headers(counts, [primary_metric, *metrics], questions, apart=apart), [row]) >= _NAMES:
            break
        metrics.pop()
    return [*([_DIFFERENCE] * apart), *counts, *metrics]


def _format_scores(
    scores: Mapping[str, Score],
    metrics: Sequence[str],
    costs: Mapping[str, str],
    best: Mapping[str, str],
    *,
    fixed: bool = False,
) -> list[str]:
    """Return the cells of a row, one for each metric or cost in `metrics`. The first one has its interval.

    Args:
        costs: cost -> text.
        best: metric -> the best score, which is bold.
        fixed: whether to mark scores that are constant by construction.
    """
    cells = []
    for name in metrics:
        score = scores.get(name)
        if name in _COSTS:
            cells.append(escape(costs.get(_COSTS[name], "")))
        elif score is None or not score.is_defined:
            cells.append(EN_DASH)
        elif fixed and is_by_construction(score):
            cells.append(f"{escape(format_decimals(score.mean))} always")
        else:
            text = format_with_interval(score, metric_facts(name).chance, _INTERVAL) if name == metrics[0] else ""
            number, _, interval = escape(text or format_decimals(score.mean)).partition(" ")
            is_best = best.get(name) == format_decimals(score.mean)
            cells.append((rf"\textbf{{{number}}} {interval}" if is_best else f"{number} {interval}").rstrip())
    return cells


def _get_counts(run: RunFacts) -> dict[str, int]:
    return {"subjects": run.manifest.cohort.size, "seeds": len(run.manifest.seeds)}
