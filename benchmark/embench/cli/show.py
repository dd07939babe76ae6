"""How a result is read: the headline with its interval, what stands beside it, and what it must be better than."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embench.cli import console
from embench.records import cost

if TYPE_CHECKING:
    from embench.report.grid_curves import Curve

SYNTHETIC_SCORES = "SYNTHETIC DATA: these numbers say nothing about real subjects and cannot be published."


def result(document: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
    """One run: `document` as `run --json` gives it, `scores` as `scores.json` holds them."""
    synthetic = bool(document.get("synthetic"))
    if synthetic:
        console.echo(SYNTHETIC_SCORES, bold=True, colour="yellow")
    for target, headline in scores["headlines"].items():
        _scores(target, headline, scores["scores"].get(target, {}))
        _controls(target, headline, scores)
    if document.get("cost"):
        _cost(document["cost"])
    console.echo(f"run: {document['run']}")
    console.echo(f"files: {document['folder']}")
    if synthetic:
        console.echo(SYNTHETIC_SCORES, bold=True, colour="yellow")


def results(documents: Sequence[Mapping[str, Any]]) -> None:
    """Many runs, a row each and target: the headline with its interval, and where the files are."""
    rows = []
    for document in documents:
        for target, metrics in document["scores"].items():
            headline = metrics.get(document["headline"], {})
            mark = " (synthetic)" if document.get("synthetic") else ""
            rows.append(
                [
                    f"{document['run']}{mark}", target, document["headline"], value(headline),
                    *cost.format_cost(document["cost"]).values(), str(document["folder"]),
                ]
            )  # fmt: skip
    console.table(["run", "target", "headline", "score", *cost.COST_COLUMNS, "files"], rows)
    if any(document.get("synthetic") for document in documents):
        console.echo(SYNTHETIC_SCORES, bold=True, colour="yellow")


def curve(found: Curve, files: Sequence[Path]) -> None:
    """A grid along one axis: a table for each dataset and target, a row for each place, a column for each method."""
    from embench.report.grid_curves import AXIS_TITLES

    for title, rows in found.panels():
        lines = list(dict.fromkeys(row["line"] for row in rows))
        cells = {(row["at"], row["line"]): value(row) for row in rows}
        body = [[place, *(cells.get((place, line), "") for line in lines)] for place in found.places]
        console.table([AXIS_TITLES[found.axis], *lines], body, title=title)
    console.echo(f"files: {', '.join(map(str, files))}")


def print_plan(description: Mapping[str, Any]) -> None:
    """A plan: facts as lines, lists of mappings as tables."""
    for key, item in description.items():
        if isinstance(item, list) and item and all(isinstance(row, Mapping) for row in item):
            headers = list(dict.fromkeys(name for row in item for name in row))
            console.table(headers, [[_plain(row.get(name, "")) for name in headers] for row in item], title=key)
        else:
            console.echo(f"{key}: {_plain(item) or 'none'}")


def value(score: Mapping[str, Any]) -> str:
    """A score as text: `0.612 [0.550, 0.674]`, or why there is none."""
    if "undefined" in score:
        return f"undefined: {score['undefined']}"
    if score.get("mean") is None:
        return "-"
    text = f"{score['mean']:.3f}"
    if score.get("low") is not None and score.get("high") is not None:
        text += f" [{score['low']:.3f}, {score['high']:.3f}]"
    return text


def _scores(target: str, headline: str, metrics: Mapping[str, Mapping[str, Any]]) -> None:
    order = sorted(metrics, key=lambda name: name != headline)
    rows = [
        [f"{name} *" if name == headline else name, value(metrics[name]), _number(metrics[name].get("std"))]
        for name in order
    ]
    console.table(["score (* headline)", "mean and interval", "SD"], rows, title=f"target {target}")


def _controls(target: str, headline: str, scores: Mapping[str, Any]) -> None:
    rows, failed = [], []
    for name, by_target in scores.get("controls", {}).items():
        control = by_target.get(target, {})
        if "undefined" in control:
            rows.append([name, f"not applicable: {control['undefined']}", "", ""])
            continue
        paired = scores.get("differences", {}).get(name, {}).get(target, {})
        clears = paired.get("clears")
        cleared = "-" if clears is None else "yes" if clears else "NO"
        rows.append([name, value(control.get(headline, {})), value(paired.get("difference", {})), cleared])
        if clears is False:
            failed.append(name)
    if rows:
        console.table(["control", headline, "difference", "cleared"], rows, title=f"target {target}, controls")
    if failed:
        console.echo(f"{target}: not shown to be better than {', '.join(failed)}", bold=True, colour="red")


def _cost(measured: Mapping[str, Any]) -> None:
    columns = cost.format_cost(measured)
    if set(columns.values()) == {cost.NOT_MEASURED}:
        console.echo(f"cost: {cost.NOT_MEASURED}")
    else:
        console.table(list(columns), [list(columns.values())], title="cost")


def _number(item: Any) -> str:
    return f"{item:.3f}" if isinstance(item, float | int) else ""


def _plain(item: Any) -> str:
    if isinstance(item, float):
        return f"{item:.4g}"
    if isinstance(item, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in item.items())
    return ", ".join(_plain(part) for part in item) if isinstance(item, list | tuple) else str(item)
