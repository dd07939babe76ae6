"""`--floors` of `embench run` and `embench grid`: pretrained rows with their floors, as one grid, and the gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from embench.cli import console
from embench.cli.tables import TableColumn, field, show_table
from embench.records.floors import RowFloors
from embench.records.wording import format_score
from embench.screen.progress import Progress

if TYPE_CHECKING:
    from embench.planning.floors import FloorRow, Floors
    from embench.planning.request import Request
    from embench.records.record import Record
    from embench.statistics.floor_gaps import Gaps


def run_with_floors(
    requests: Sequence[Request],
    *,
    executor: str = "local",
    workers: int | None = None,
    options: Mapping[str, str] | None = None,
    dry_run: bool = False,
    as_json: bool = False,
) -> None:
    """Runs requests, and the floors of those that are pretrained, and prints all rows and the gap to each floor; a dry
    run prints the plans.

    Raises:
        UsageError: nothing is pretrained.
    """
    from embench.cli import show
    from embench.planning.floors import split_pretrained
    from embench.records.record import read_record
    from embench.runs import run as runner
    from embench.statistics.floor_gaps import gaps_of

    found, plain = split_pretrained(requests)
    for floors in found:
        _tell(floors)
    every = list(dict.fromkeys([*(each for floors in found for each in floors.requests), *plain]))
    if dry_run:
        show.print_plans(every, as_json=as_json)
        return
    with Progress() as progress:
        done = runner.grid(every, executor=executor, workers=workers, progress=progress.event, options=options)
    records = [read_record(result.folder) for result in done.results]
    gaps = gaps_of(records)
    if as_json:
        console.document(
            {"runs": [result.json() for result in done.results], "floors": [as_document(*each) for each in gaps]}
        )
    else:
        alone = [result for result in done.results if result.id not in _shown_in(gaps)]
        if alone:
            show.results(alone)
        show_gaps(gaps, records)
        show.run_folders(done.results)
    done.check()


def _shown_in(gaps: Sequence[Gaps]) -> set[str]:
    return {id_ for record, _, floors in gaps for id_ in (record.run["id"], *(each.run for each in floors.gaps))}


def _tell(floors: Floors) -> None:
    """Prints the rows of a request with its floors, and how they are trained."""
    show_table(floors.rows, [field("title", "row"), TableColumn("method", _method)])
    console.wrapped(f"{floors.training[:1].upper()}{floors.training[1:]}.")


def _method(row: FloorRow) -> str:
    if row.request is None:
        return f"none: {row.reason}"
    asked = row.request
    after = f" after {', '.join(asked.pretrainers)}" if asked.pretrainers else ""
    named = [asked.pretrained, *(text.partition("=")[2] for text in asked.settings if ".build.weights=" in text)]
    weights = ", ".join(dict.fromkeys(filter(None, named)))
    method = " + ".join(filter(None, [", ".join(asked.encoders), asked.fusion]))
    return f"{method}{after}{f', weights: {weights}' if weights else ''}"


def show_gaps(gaps: Sequence[Gaps], records: Sequence[Record], metric: str | None = None) -> None:
    """Prints a table for each pretrained run and target: its score, those of its floors, and the gap to each."""
    from embench.records.wording import method_name
    from embench.statistics.floor_gaps import shown_metric

    by_id = {record.run["id"]: record for record in records}
    for record, target, floors in gaps:
        shown = metric or shown_metric(record, target)
        rows = [("pretrained", record, ""), *((each.floor, by_id[each.run], each.text) for each in floors.gaps)]
        columns = [
            TableColumn("row", lambda row: row[0]),
            TableColumn("method", lambda row: method_name(row[1].run)),
            TableColumn(shown, partial(_score, target, shown)),
            TableColumn("gap", lambda row: row[2]),
            TableColumn("run", lambda row: row[1].run["id"].rpartition("-")[2]),
        ]
        show_table(rows, columns, title=f"target {target}: {record.run['id']} and its comparison models")
        if not floors.gaps:
            console.wrapped(f"{record.run['id']} has no from-scratch or feature comparison here.")
        elif floors.epochs:
            console.wrapped(
                f"Networks were trained for at most {floors.epochs} epochs and stopped before the validation loss "
                "converged. A gap may come from an undertrained head."
            )
    if gaps:
        console.wrapped(
            "gap: score of the pretrained network minus the score of the comparison model, paired, with "
            "a 95 % interval."
        )
        console.echo()


def _score(target: str, metric: str, row: tuple[str, Record, str]) -> str:
    return format_score(row[1].scores.of(target).get(metric))


def as_document(record: Record, target: str, floors: RowFloors) -> dict[str, Any]:
    """The gaps of a run as `--json` prints them."""
    return {
        "run": record.run["id"],
        "target": target,
        "epochs_at_most": floors.epochs,
        "floors": [
            {
                "kind": gap.kind,
                "method": gap.name,
                "run": gap.run,
                "gap": gap.gap.as_json() if gap.gap else None,
                "why": gap.why,
            }
            for gap in floors.gaps
        ],
    }
