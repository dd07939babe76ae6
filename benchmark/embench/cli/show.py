"""How a result is read: the headline with its interval, the other scores, and the controls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embench.cli import console
from embench.records import cost
from embench.records.scores import Score, Scores
from embench.records.wording import (
    compared_metric,
    control_note,
    format_control,
    format_figure,
    format_over_folds,
    format_score,
    format_value,
    score_or_reason,
)

if TYPE_CHECKING:
    from embench.report.grid_curves import Curve

SYNTHETIC_SCORES = "SYNTHETIC DATA: these numbers say nothing about real subjects and cannot be published."


def result(document: Mapping[str, Any], scores: Scores) -> None:
    """One run: `document` as `run --json` gives it."""
    synthetic = bool(document.get("synthetic"))
    if synthetic:
        console.wrapped(SYNTHETIC_SCORES, bold=True, colour="yellow")
    for target in scores.headlines:
        _scores(target, scores)
        _controls(target, scores)
    if document.get("cost"):
        _cost(document["cost"])
    console.echo(f"run: {document['run']}")
    console.echo(f"files: {document['folder']}")
    if synthetic:
        console.wrapped(SYNTHETIC_SCORES, bold=True, colour="yellow")


def results(documents: Sequence[Mapping[str, Any]]) -> None:
    """Many runs, a row each and target: the headline with its interval, and where the files are."""
    rows = []
    for document in documents:
        for target, metrics in document["scores"].items():
            headline = Score.model_validate(metrics.get(document["headline"], {}))
            mark = " (synthetic)" if document.get("synthetic") else ""
            rows.append(
                [
                    f"{document['run']}{mark}", target, document["headline"], score_or_reason(headline),
                    *cost.format_cost(document["cost"]).values(), str(document["folder"]),
                ]
            )  # fmt: skip
    console.table(["run", "target", "headline", "score", *cost.COST_COLUMNS, "files"], rows)
    if any(document.get("synthetic") for document in documents):
        console.wrapped(SYNTHETIC_SCORES, bold=True, colour="yellow")


def curve(found: Curve, files: Sequence[Path]) -> None:
    """A grid along one axis: a table for each dataset and target, a row for each place, a column for each method."""
    from embench.report.grid_curves import AXIS_TITLES

    for title, points in found.panels():
        lines = list(dict.fromkeys(point.line for point in points))
        cells = {(point.at, point.line): format_score(point.score) for point in points}
        body = [[place, *(cells.get((place, line), "") for line in lines)] for place in found.places]
        console.table([AXIS_TITLES[found.axis], *lines], body, title=title)
    console.echo(f"files: {', '.join(map(str, files))}")


def print_plan(description: Mapping[str, Any]) -> None:
    """A plan: facts as lines, lists of mappings as tables."""
    for key, item in description.items():
        name = _PLAN_WORDS.get(key, key.replace("_", " "))
        if isinstance(item, list) and item and all(isinstance(row, Mapping) for row in item):
            headers = list(dict.fromkeys(name for row in item for name in row))
            rows = [[format_value(row.get(name, ""), ".4g") for name in headers] for row in item]
            console.table(headers, rows, title=name)
        elif key != "smallest_difference_note":
            note = f" ({description['smallest_difference_note']})" if key == "smallest_difference" else ""
            console.wrapped(f"{name}: {_plan_value(key, item)}{note}")


_PLAN_WORDS = {
    "people": "subjects",
    "left_out": "excluded",
    "gives_up": "protocol deviations",
    "assumed": "settings that the papers leave open",
    "flops": "FLOPs",
    "expected_s": "expected time",
    "smallest_difference": "smallest detectable difference",
}


def _plan_value(key: str, item: Any) -> str:
    """A value of a plan in the form that it has in the table of a run."""
    if isinstance(item, bool):
        return "yes" if item else "no"
    if key in ("parameters", "flops", "expected_s") and not item:
        return "none: no network is trained" if key != "expected_s" else "not estimated where no network is trained"
    if key == "expected_s":
        return f"about {cost.format_duration(item)}"
    if key in ("parameters", "flops"):
        return cost.format_cost({key: item})["FLOPs" if key == "flops" else key]
    return format_value(item, ".4g") or "none"


def _scores(target: str, scores: Scores) -> None:
    headline, found = scores.headlines[target], scores.of(target)
    stimulus, folds = scores.control_scores(target, "stimulus_mean"), _folds(scores, target)
    heads = ["score (* headline)", "mean and interval", *(["stimulus_mean"] if stimulus else []), "SD", "over folds"]
    rows = [
        [
            f"{name} *" if name == headline else name,
            score_or_reason(found[name]),
            *([format_score(stimulus.get(name), interval=False)] if stimulus else []),
            format_figure(found[name].std, missing=""),
            format_over_folds(found[name], folds),
        ]
        for name in sorted(found, key=lambda name: name != headline)
    ]
    # Only where the headline itself is a score of folds, as under papers' protocols: elsewhere it would mislead.
    columns = len(heads) - (headline not in found or found[headline].over != "folds")
    console.table(heads[:columns], [row[:columns] for row in rows], title=f"target {target}")


def _folds(scores: Scores, target: str) -> int:
    """In how many folds the method was scored, in the seed with fewest."""
    from embench.records.predictions import MODEL

    own = [row["seed"] for row in scores.folds if (row["method"], row["target"]) == (MODEL, target)]
    return min(Counter(own).values(), default=0)


def _controls(target: str, scores: Scores) -> None:
    headline = scores.headlines[target]
    if (metric := compared_metric(scores, target)) != headline:
        _side_by_side(target, metric, scores)
        return
    rows, failed = [], []
    for control in scores.controls(target):
        if control.reason:
            rows.append([control.name, f"not applicable: {control.reason}", "", ""])
            continue
        score, gap = control.scores.get(headline, Score()), control.gap
        shown = format_control(score) if score.defined else score_or_reason(score)
        cleared = "-" if gap is None else "yes" if gap.clears else "NO"
        rows.append([control.name, shown, score_or_reason(gap.difference) if gap else "-", cleared])
        if gap and not gap.clears:
            failed.append(control.name)
    if rows:
        console.table(["control", headline, "difference", "cleared"], rows, title=f"target {target}, controls")
    if note := control_note(scores, target):
        console.wrapped(note)
    if failed:
        console.wrapped(f"{target}: not shown to be better than {', '.join(failed)}", bold=True, colour="red")


def _side_by_side(target: str, metric: str, scores: Scores) -> None:
    """The method and the controls in another score than the headline, which is undefined and so ranks nothing."""
    headline = scores.headlines[target]
    rows = [["the method", score_or_reason(scores.of(target)[metric])]]
    for control in scores.controls(target):
        told = f"not applicable: {control.reason}" if control.reason else ""
        rows.append([control.name, told or score_or_reason(control.scores.get(metric, Score()))])
    console.table(["method or control", metric], rows, title=f"target {target}, method and controls side by side")
    why = f"{headline} is undefined ({scores.why_undefined(target, headline)})"
    console.wrapped(f"{target}: {why}, so no control is cleared and nothing is ranked", bold=True, colour="red")


def _cost(measured: Mapping[str, Any]) -> None:
    columns = cost.format_cost(measured)
    if set(columns.values()) == {cost.NOT_MEASURED}:
        console.echo(f"cost: {cost.NOT_MEASURED}")
    else:
        console.table(list(columns), [list(columns.values())], title="cost")
