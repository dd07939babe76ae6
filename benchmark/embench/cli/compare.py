"""`embench compare`: which of several runs is better, by how much, and how small a difference is detectable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embench.cli import console
from embench.cli.options import Json

if TYPE_CHECKING:
    from embench.statistics.compared import Comparison, Table


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN..", help="Folders of finished runs or leaderboard entries.")
    ],
    target: Annotated[str | None, typer.Option("--target", help="Targets, comma-separated; default: all.")] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Metric to compare instead of the headline.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show every test, its p, and the difference that is detectable.")
    ] = False,
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
        _show(table, every=every)


def _show(table: Table, *, every: bool) -> None:
    from embench.records.wording import format_figure, format_score, join_with_and
    from embench.statistics.metrics import metric_facts

    title = f"target {table.target}, {metric_facts(table.metric).title} ({table.metric})"
    if more := next((pair for pair in table.comparisons if pair.more_seeds), None):
        listed = join_with_and([str(seed) for seed in more.seeds])
        console.wrapped(f"The runs differ in seeds: compared on those that all have ({listed}).", colour="yellow")
    rows = [
        [s.name, format_score(s.score), s.group, "-" if s.tried is None else str(s.tried), s.run]
        for s in table.standings
    ]
    console.table(["method", table.metric, "group", "tried", "run"], rows, title=title)
    console.wrapped(
        "Methods that share a letter are not significantly different. tried: methods that opened these test labels."
    )
    console.echo()
    pairs = table.comparisons
    heads = ["one", "other", "difference", "p, Holm", *(["detectable"] if every else []), "verdict"]
    console.table(heads, [_cells(pair, every=every) for pair in pairs])
    if every:
        tests = [[p.one, p.other, name, format_figure(value, ".4f")] for p in pairs for name, value in p.tests.items()]
        console.table(["one", "other", "test", "p"], tests)
    for pair in pairs if len(pairs) <= 3 else pairs[: len(table.standings) - 1]:
        console.wrapped(pair.sentence)
    if not every:
        console.note("--all shows the other tests and the smallest difference that these subjects could show")
    console.echo()


def _cells(pair: Comparison, *, every: bool) -> list[str]:
    from embench.records.wording import format_figure, format_score

    verdicts = [
        "different" if pair.different else "equivalent" if pair.equivalent else "not told apart",
        *(["unequal tuning"] if pair.unequal_tuning else []),
    ]
    return [
        pair.one,
        pair.other,
        format_score(pair.difference),
        format_figure(pair.holm, ".4f"),
        *([format_figure(pair.smallest)] if every else []),
        ", ".join(verdicts),
    ]
