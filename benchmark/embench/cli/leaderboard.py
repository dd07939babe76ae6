"""`embench leaderboard`: what has been published, as tables made from the entries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from embench.cli import (
    console,
    leaderboard_reproduce,
    leaderboard_show,
    leaderboard_site,
    leaderboard_submit,
    leaderboard_verify,
)
from embench.cli.options import Boards, DataRoot
from embench.errors import DataError

leaderboard_app = typer.Typer(help="Show, send, check and reproduce published entries.", no_args_is_help=True)

leaderboard_app.command("show")(leaderboard_show.show)
leaderboard_app.command("site")(leaderboard_site.site)
leaderboard_app.command("submit")(leaderboard_submit.submit)
leaderboard_app.command("supersede")(leaderboard_submit.supersede)
leaderboard_app.command("verify")(leaderboard_verify.verify_leaderboards)
leaderboard_app.command("reproduce")(leaderboard_reproduce.reproduce)


@leaderboard_app.command("build")
def build(
    boards: Boards = Path("leaderboards"),
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
