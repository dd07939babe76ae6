"""`embench compare`: which of several runs is better, by how much, and how small a difference is detectable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from embench.cli import console
from embench.cli.options import DataAt, Json, named_runs
from embench.cli.tables import TableColumn, field, fields, show_table
from embench.records.wording import format_figure, format_score, join_with_and
from embench.statistics.metrics import metric_facts

if TYPE_CHECKING:
    from embench.statistics.compared import Comparison, Table
    from embench.statistics.curve_gaps import CurveTable
    from embench.statistics.intervals import Estimate


def compare(
    runs: Annotated[
        list[Path] | None,
        Argument(
            metavar="[RUN RUN..]",
            help="Folders of finished runs or leaderboard entries; default: all runs of --dataset in runs/.",
        ),
    ] = None,
    dataset: DataAt = None,
    target: Annotated[str | None, Option(help="Targets, comma-separated; default: all.")] = None,
    metric: Annotated[str | None, Option(help="Metric to compare instead of the primary metric.")] = None,
    given: Annotated[
        str | None,
        Option(
            help="Compare what methods gain where test subjects give this first, over nothing given: 5, unlabelled:5."
        ),
    ] = None,
    every: Annotated[
        bool, Option("--all", help="Show every test, its p, and the smallest detectable difference.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare runs in pairs, on the units that all of them predicted."""
    from embench.cli import floors
    from embench.data.find import checked_dataset
    from embench.records import record
    from embench.records.looks import scored_and_whose
    from embench.statistics import comparison, curve_gaps, floor_gaps

    folders = named_runs(runs, dataset, "embench compare")
    records, targets = [record.read_record(folder) for folder in folders], target.split(",") if target else None
    if dataset:
        checked_dataset(dataset, None, [each.manifest.dataset.name for each in records])
    if given or curve_gaps.are_curves(records):
        curves = curve_gaps.compare_curves(records, given, targets, metric)
        if as_json:
            console.document({"curves": [table.as_json() for table in curves]})
            return
        for curve in curves:
            _show_curves(curve)
        return
    tables = comparison.compare_all(records, targets, metric)
    gaps = floor_gaps.gaps_of(records, metric, [table.target for table in tables])
    if as_json:
        found = {"floors": [floors.as_document(*each) for each in gaps]} if gaps else {}
        console.document({"targets": [table.as_json() for table in tables], **found})
        return
    whose = {record.run["id"]: scored_and_whose(record.manifest) for record in records}
    for table in tables:
        _show(table, whose, max(each.manifest.cohort.size for each in records), every=every)
    floors.show_gaps([each for each in gaps if each[2].gaps], records, metric)


def _show(table: Table, whose: Mapping[str, str], cohort: int, *, every: bool) -> None:
    """A table, and what must be known to read it. `whose`: run -> how many methods were scored, and whose they are.
    `cohort`: how many subjects were scored."""
    if more := next((pair for pair in table.comparisons if pair.more_seeds), None):
        listed = join_with_and([str(seed) for seed in more.seeds])
        console.wrapped(f"The runs differ in seeds: compared on those that all have ({listed}).", colour="yellow")
    facts = metric_facts(table.metric)
    score = TableColumn(facts.title, lambda standing: _figures(standing.score, facts.chance))
    columns = [field("name", "method"), score, field("group"), field("tried", missing="-"), field("run")]
    title = f"target {table.target}, {facts.title} ({table.metric})"
    show_table(table.standings, columns, title=title)
    console.wrapped(
        "Methods that share a letter are not significantly different. tried: methods that were scored on these test "
        "subjects when this one was, including this one."
    )
    if any(pair.unequal_tuning for pair in table.comparisons):
        console.wrapped("unequal tuning: tried is more than twice as high for one as for the other.")
        for standing in table.standings:
            console.wrapped(f"{standing.name}: {whose[standing.run]}", indent="    ")
    console.echo()
    pairs = table.comparisons
    columns = [
        *fields("one", "other"),
        TableColumn("difference", lambda pair: _figures(pair.difference, 0.0)),
        field("holm", "p, Holm", ".4f"),
        *([field("smallest", "detectable", missing="-")] if every else []),
        TableColumn("verdict", _verdict),
    ]
    show_table(pairs, columns)
    over = "folds" if pairs[0].over == "folds" else "subjects"
    count = pairs[0].together
    several = f", and p is corrected for the {count} comparisons of this command (Holm)" if count > 1 else ""
    why = ", which the intervals are not: p may be high where an interval excludes 0" if count > 1 else ""
    console.wrapped(f"Differences are paired over {over}, with 95 % intervals{several}{why}.")
    if pairs[0].subjects < cohort:
        console.wrapped(
            f"{pairs[0].subjects} of {cohort} subjects have units that this metric compares; the differences rest on "
            "these."
        )
    if every:
        show_table(
            {"one": pair.one, "other": pair.other, "test": name, "p": format_figure(p, ".4f")}
            for pair in pairs
            for name, p in pair.tests.items()
        )
    with_sentence = pairs if len(pairs) <= 3 else pairs[: len(table.standings) - 1]
    for pair in with_sentence:
        console.wrapped(pair.sentence)
    if len(with_sentence) < len(pairs):
        console.note(f"the sentences are on {table.standings[0].name} and each other method; --json has all pairs")
    if not every:
        console.note("--all shows the other tests and the smallest detectable difference")
    console.echo()


def _show_curves(table: CurveTable) -> None:
    """The scores of methods at each amount, what each gains over nothing given, and how their gains differ."""
    names = dict.fromkeys(name for _, name in table.scores)
    rows = [
        {"given": given, **{name: format_score(table.scores.get((given, name))) for name in names}}
        for given in dict.fromkeys(given for given, _ in table.scores)
    ]
    show_table(rows, title=f"target {table.target}, {metric_facts(table.metric).title} ({table.metric})")
    figures = (
        TableColumn("difference", lambda gap: format_score(gap.difference, "+.3f")),
        field("holm", "p, Holm", ".4f"),
    )
    shown = TableColumn("", lambda gap: "shown" if gap.shown else "not shown")
    show_table(table.gains, [field("one", "method"), field("given"), *figures, shown], title="gain over nothing given")
    differs = [field("one", "gain of"), field("other", "minus gain of"), field("given"), *figures, shown]
    show_table(table.differences, differs, title="difference of gains")
    for gap in (*table.gains, *table.differences):
        console.wrapped(gap.sentence)
    console.note("labels explain a gain only where it is above all confound-only models too: see `embench report RUN`")
    console.echo()


def _figures(score: Estimate, null: float | None) -> str:
    """A score or a difference with its interval."""
    from embench.records.scores import Score  # takes as long as the rest of the command line
    from embench.statistics.answers import figures

    return figures(Score(mean=score.mean, low=score.low, high=score.high), null)


def _verdict(pair: Comparison) -> str:
    verdict = "different" if pair.different else "equivalent" if pair.equivalent else "not told apart"
    return f"{verdict}, unequal tuning" if pair.unequal_tuning else verdict
