"""`embench leaderboard site`: the leaderboards as a static site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from embench.cli import console
from embench.cli.options import Boards


def site(
    out: Annotated[Path, typer.Option("--out", help="Folder to write; an earlier site there is replaced.")],
    boards: Boards = Path("leaderboards"),
    notes: Annotated[
        Path | None, typer.Option("--notes", help="Folder of notes in Markdown, DATASET.md, to show with the boards.")
    ] = None,
) -> None:
    """Write the leaderboards as web pages that open without a server or a network."""
    from embench.cli.progress import Steps
    from embench.site import build_site

    with Steps("entries") as steps:
        first = build_site(boards, out, notes_folder=notes, progress=steps)
    console.echo(str(first))
