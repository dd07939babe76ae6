"""`embench leaderboard`: what has been published, as tables made from the entries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from embench.cli import console, leaderboard_site
from embench.cli.options import DataRoot
from embench.errors import DataError
from embench.records import cost
from embench.records.wording import format_control, format_controls, format_rank, format_score, short_row_method_name

leaderboard_app = typer.Typer(help="Show published entries and build their tables.", no_args_is_help=True)
leaderboard_app.command("site")(leaderboard_site.site)

BoardsFolder = Annotated[Path, typer.Option("--boards", help="Folder of published entries.")]


@leaderboard_app.command("show")
def show(
    dataset: Annotated[str | None, typer.Argument(metavar="[DATASET]", help="Name of a dataset; default: all.")] = None,
    boards: BoardsFolder = Path("leaderboards"),
) -> None:
    """Print the tables of all datasets, or of one."""
    from embench import leaderboard
    from embench.leaderboard.board import luck_sentence

    sections = leaderboard.leaderboard_sections(boards, dataset)
    if not sections:
        console.echo(f"no published entries in {boards}")
    for section in sections:
        leaks = ", leaks" if section["leaks"] else ""
        old = f" (superseded by {section['superseded_by']})" if section["superseded_by"] else ""
        other = f", trained on {section['trained_on']}" if section["trained_on"] else ""
        title = f"{section['dataset']}, {section['protocol']}{other}{old}{leaks}, target {section['target']}"
        headline = section["rows"][0]["headline"]
        heads = ["rank", "method", "modalities", "recipe", "subjects", headline, "controls", *cost.COST_COLUMNS, "run"]
        console.table(heads, [_cells(row) for row in section["rows"]], title=title)
        for sentence in filter(None, map(luck_sentence, section["rankings"].values())):
            console.echo(sentence)


def _cells(row: Mapping[str, Any]) -> list[str]:
    if row["kind"] == "control":
        return [
            "",
            f"({row['control']})",
            "",
            "",
            str(row["people"]),
            format_control(row["score"]),
            "",
            *[""] * len(cost.COST_COLUMNS),
            row["id"],
        ]
    score, controls = format_score(row["score"]), format_controls(row["not_cleared"])
    modalities = ", ".join(row["modalities"])
    cells = [
        format_rank(row),
        short_row_method_name(row),
        modalities,
        row["recipe"],
        str(row["people"]),
        score,
        controls,
    ]
    return [*cells, *cost.format_cost(row["cost"]).values(), row["id"]]


@leaderboard_app.command("build")
def build(
    boards: BoardsFolder = Path("leaderboards"),
    runs: Annotated[
        Path | None, typer.Option("--from", help="Folder of runs; first publish those that qualify.")
    ] = None,
    data_root: DataRoot = None,
) -> None:
    """Score the entries again, and rebuild the Markdown tables; --from publishes runs first."""
    from embench import leaderboard
    from embench.cli.progress import Steps
    from embench.data.find import raw_digest_of
    from embench.leaderboard.entries import load_entries
    from embench.leaderboard.verify import verify_entries

    if runs is not None:
        folders = leaderboard.finished_runs(runs)
        if not folders:
            raise DataError("no finished runs found", where=str(runs), expected="<dataset>/<run>/run.yaml below it")
        entries, refused = leaderboard.publish_runs(folders, boards, lambda dataset: raw_digest_of(dataset, data_root))
        for entry in entries:
            console.echo(f"published {entry}")
        for folder, reasons in refused.items():
            console.note(f"not published: {folder}: {'; '.join(reasons)}")
    with Steps("entries") as steps:
        verify_entries(load_entries(boards), lambda n, all_, _: steps(n, all_, "verified"))
    for path in leaderboard.build_leaderboards(boards):
        console.echo(str(path))
