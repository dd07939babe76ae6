"""`embench leaderboard`: what has been published, as tables made from the entries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from embench.cli import console

app = typer.Typer(help="Show published entries, and make the tables from them.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--boards", help="Folder of the published entries.")]


@app.command("show")
def show(
    dataset: Annotated[str | None, typer.Argument(metavar="[DATASET]")] = None, boards: Folder = Path("leaderboards")
) -> None:
    """Print the tables of all datasets, or of one."""
    from embench import leaderboard

    console.say(leaderboard.show(boards, dataset).rstrip())


@app.command("build")
def build(boards: Folder = Path("leaderboards")) -> None:
    """Make the Markdown tables anew from the entries."""
    from embench import leaderboard

    for path in leaderboard.build(boards):
        console.say(str(path))
