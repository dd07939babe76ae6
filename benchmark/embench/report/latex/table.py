"""Scores as LaTeX tables (package booktabs), one for each dataset, protocol and target."""

from __future__ import annotations

from collections.abc import Sequence

from embench.records import cost
from embench.records.record import Record
from embench.records.wording import bare_name, format_score, method_name, metric_name
from embench.report.latex.tex import code, escape

PAPER_METRICS = (
    "auroc_within", "auroc_crossed", "auroc_crossed_time", "auroc_crossed_matched", "auroc", "balanced_accuracy",
    "f1_weighted", "ccc", "rmse",
)  # fmt: skip
"""The columns next to the headline, where any of a table's runs has them."""

EN_DASH = "--"


def latex_tables(records: Sequence[Record]) -> str:
    """All tables of some runs. A run that is not shown to be better than every control has a dagger."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for of in records:
        for target in of.scores["headlines"]:
            groups.setdefault((of.run["dataset"]["name"], of.run["protocol"]["name"], target), []).append(of)
    made = [_table(*key, some) for key, some in groups.items()]
    return "% needs \\usepackage{booktabs}\n" + "\n\n".join(made) + "\n"


def _table(dataset: str, protocol: str, target: str, records: Sequence[Record]) -> str:
    headline = records[0].scores["headlines"][target]
    secondary = [
        name
        for name in PAPER_METRICS
        if name != headline and any("mean" in of.scores["scores"][target].get(name, {}) for of in records)
    ]
    heads = [
        "method",
        "subjects",
        "seeds",
        metric_name(headline),
        *(metric_name(n) for n in secondary),
        *cost.COST_COLUMNS,
    ]
    body = [_line(_cells(of, target, headline, secondary)) for of in records]
    controls = _controls(records, target, headline, secondary)
    failed = any(_failed(of, target) for of in records)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(dataset, protocol, target, headline, records, failed=failed)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"\toprule",
        _line([escape(head) for head in heads]),
        r"\midrule",
        *body,
        *([r"\midrule", *map(_line, controls)] if controls else []),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _caption(
    dataset: str, protocol: str, target: str, headline: str, records: Sequence[Record], *, failed: bool
) -> str:
    where = f"{escape(target)} on {escape(bare_name(dataset))}, protocol {code(protocol)}"
    sentences = [rf"{where}, compared by {escape(metric_name(headline))}. In brackets: 95~\% intervals."]
    if any(of.run["dataset"]["synthetic"] is not None for of in records):
        sentences.append(r"\textbf{Synthetic data: these numbers say nothing about real subjects.}")
    if records[0].run["protocol"]["leaks"]:
        sentences.append("This protocol leaks: training has seen part of the test data.")
    if any(of.run["dev"] for of in records):
        sentences.append("Scores of validation subjects.")
    if failed:
        sentences.append(r"\textdagger: not shown to be better than every control.")
    return " ".join(sentences)


def _cells(of: Record, target: str, headline: str, secondary: Sequence[str]) -> list[str]:
    scores = of.scores["scores"][target]
    name = escape(method_name(of.run))
    numbers = [
        format_score(scores.get(headline), missing=EN_DASH),
        *(format_score(scores.get(metric), missing=EN_DASH, interval=False) for metric in secondary),
    ]
    subjects = of.run["cohort"]["people"]
    costs = [escape(text) for text in cost.format_cost(of.run["cost"]).values()]
    mark = r"\textsuperscript{\textdagger}" if _failed(of, target) else ""
    return [name + mark, _count(subjects), str(len(of.run["seeds"])), *numbers, *costs]


def _controls(records: Sequence[Record], target: str, headline: str, secondary: Sequence[str]) -> list[list[str]]:
    """Each control once, as it scored in the run with most subjects."""
    of = max(records, key=lambda r: int(_count(r.run["cohort"]["people"])))
    rows = []
    for name, by_target in of.scores["controls"].items():
        scores = by_target.get(target, {"undefined": ""})
        if "undefined" not in scores:
            numbers = [
                format_score(scores.get(headline), missing=EN_DASH),
                *(format_score(scores.get(n), missing=EN_DASH, interval=False) for n in secondary),
            ]
            subjects, seeds = _count(of.run["cohort"]["people"]), str(len(of.run["seeds"]))
            rows.append([rf"\emph{{{escape(name)}}}", subjects, seeds, *numbers, *[""] * len(cost.COST_COLUMNS)])
    return rows


def _failed(of: Record, target: str) -> bool:
    cleared = [c[target]["clears"] for c in of.scores["differences"].values() if target in c]
    return not cleared or not all(cleared)


def _count(subjects: int | Sequence[str]) -> str:
    return str(subjects if isinstance(subjects, int) else len(subjects))


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
