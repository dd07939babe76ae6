"""`embench compare`: which of several runs is better, by how much, and how small a difference is detectable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embench.cli import console
from embench.cli.options import Json

if TYPE_CHECKING:
    from embench.statistics.comparison import Comparison, Table


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN..", help="Folders of finished runs or leaderboard entries.")
    ],
    target: Annotated[str | None, typer.Option("--target", help="Targets, comma-separated; default: all.")] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Metric to compare instead of the headline.")] = None,
    as_json: Json = False,
) -> None:
    """Compare runs in pairs, on the units that all of them predicted."""
    with console.stdout_kept(as_json):
        from embench.records import record
        from embench.statistics import comparison

        records = [record.read_record(folder) for folder in runs]
        tables = comparison.compare_all(records, target.split(",") if target else None, metric)
    if as_json:
        console.document({"targets": [table.as_json() for table in tables]})
        return
    for table in tables:
        _show(table)


def _show(table: Table) -> None:
    from embench.records.wording import format_score, metric_name

    title = f"target {table.target}, {metric_name(table.metric)} ({table.metric})"
    rows = [
        [s.name, format_score(s.score.as_json()), s.group, "-" if s.tried is None else str(s.tried), s.run]
        for s in table.standings
    ]
    console.table(["method", table.metric, "group", "tried", "run"], rows, title=title)
    console.echo(
        "Methods that share a letter are not significantly different. tried: methods that opened these test labels."
    )
    console.echo()
    pairs = table.comparisons
    tests = list(dict.fromkeys(name for pair in pairs for name in pair.tests))
    heads = ["one", "other", "difference", "p, Holm", *(f"p, {name}" for name in tests), "detectable", ""]
    console.table(heads, [_cells(pair, tests) for pair in pairs])
    for pair in pairs if len(pairs) <= 3 else pairs[: len(table.standings) - 1]:
        console.echo(pair.sentence)
    console.echo()


def _cells(pair: Comparison, tests: list[str]) -> list[str]:
    from embench.records.wording import format_figure, format_score

    figures = [format_figure(pair.tests.get(name), ".4f") for name in tests]
    detectable = format_figure(pair.smallest)
    verdicts = [
        *(["different"] if pair.different else []),
        *(["equivalent"] if pair.equivalent else []),
        *(["unequal tuning"] if pair.unequal_tuning else []),
    ]
    difference = format_score(pair.difference.as_json())
    return [
        pair.one,
        pair.other,
        difference,
        format_figure(pair.holm, ".4f"),
        *figures,
        detectable,
        ", ".join(verdicts),
    ]
